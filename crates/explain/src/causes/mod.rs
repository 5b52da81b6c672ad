//! The causes, one file each. A cause looks at the facts and adds what it finds.

mod all_out;
mod device_rule;
mod down;
mod flags;
mod flapping;
mod full;
mod incomplete;
mod inconsistent;
mod mons;
mod moving;
mod no_place;
mod no_redundancy;
mod osd_down;
mod other;
mod peered;
mod peering;
mod repairs;
mod slow;
mod slow_disk;
mod stale;
mod unfound;
mod unscrubbed;

use types::{OsdId, PgId, PoolId};

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding};
use crate::safety;
use crate::words;

type Cause = fn(&Facts, &mut Vec<Finding>);

/// In the order in which what is equally bad is told; the last two look at what the others left.
const CAUSES: &[Cause] = &[
    mons::find,
    unfound::find,
    inconsistent::find,
    stale::find,
    down::find,
    incomplete::find,
    device_rule::find,
    all_out::find,
    peered::find,
    peering::find,
    full::find,
    flags::find,
    slow::find,
    slow_disk::find,
    flapping::find,
    repairs::find,
    no_place::find,
    moving::find,
    no_redundancy::find,
    unscrubbed::find,
    osd_down::find,
    other::find,
];

pub fn all(f: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    CAUSES.iter().for_each(|cause| cause(f, &mut found));
    found
}

/// What is known of an OSD that is down: for how long, and whether its process runs.
fn whereabouts(f: &Facts, osd: OsdId) -> String {
    let Some(facts) = f.osds.get(&osd) else { return format!("osd.{osd} is not in the map") };
    let since = match facts.down_stamp {
        Some(at) => format!("has been down for {}", words::span(f.since(at))),
        None => "is down".to_owned(),
    };
    let process = match f.processes.get(&format!("osd.{osd}")) {
        Some(true) => ", though its process runs here",
        Some(false) => ", its process does not run",
        None => "",
    };
    let out = if facts.weight > 0.0 { "" } else { ", and is out" };
    format!("osd.{osd} {since}{process}{out}")
}

/// What the statistics still say of PGs that are mapped to no OSD.
fn once(f: &Facts, pgs: &[PgId]) -> Vec<String> {
    let mut states: Vec<&str> = pgs.iter().filter_map(|id| f.pgs[id].once.as_deref()).collect();
    states.sort_unstable();
    states.dedup();
    let told = |state| format!("the statistics still say {state}: no OSD is left to say otherwise");
    states.into_iter().map(told).collect()
}

/// Bringing OSDs back, one command each.
fn bring_back(f: &Facts, osds: &[OsdId], what_then: &str) -> Vec<Advice> {
    let one = |osd: &OsdId| match f.processes.get(&format!("osd.{osd}")) {
        Some(true) if f.flags.contains("noup") => Advice {
            command: Command::unset("noup"),
            does: format!("lets osd.{osd} in: it runs, and only the flag noup keeps it out"),
            risk: String::new(),
            safe: safety::start_osd(),
        },
        Some(true) => Advice {
            command: Command::restart_osd(f, *osd),
            does: format!("starts osd.{osd} anew: it runs, yet the monitors count it as down (see its log first)"),
            risk: String::new(),
            safe: safety::stop(f, *osd),
        },
        _ => Advice {
            command: Command::start_osd(f, *osd),
            does: format!("starts osd.{osd}; {what_then}"),
            risk: String::new(),
            safe: safety::start_osd(),
        },
    };
    let mut all: Vec<Advice> = osds.iter().take(6).map(one).collect();
    all.dedup_by(|a, b| a.command == b.command);
    all
}

/// The OSDs that a pool's rule may use and that are down; all that are down if the rule is not understood.
fn down_osds_of(f: &Facts, pool: PoolId) -> Vec<OsdId> {
    let devices = f.pools.get(&pool).and_then(|p| f.crush.devices(p.rule));
    let concerned = |osd: &OsdId| devices.as_ref().is_none_or(|d| d.contains(osd));
    f.osds.iter().filter(|(_, o)| !o.up).map(|(id, _)| *id).filter(concerned).collect()
}

/// When OSDs that are down are marked out, in seconds from now: those that a timer takes.
fn marked_out_in(f: &Facts, osds: &[OsdId]) -> Option<u64> {
    let interval = f.down_out_interval.filter(|secs| *secs > 0)?;
    if f.flags.contains("noout") {
        return None;
    }
    let all = f.osds.len() as f64;
    let in_ = f.osds.values().filter(|o| o.weight > 0.0).count() as f64;
    // The monitors stop when too few are left (`mon_osd_min_in_ratio`).
    if (in_ - 1.0) / all < f.min_in_ratio.unwrap_or(0.75) {
        return None;
    }
    let left = |osd: &OsdId| {
        let o = f.osds.get(osd).filter(|o| o.weight > 0.0 && !o.up)?;
        Some(interval.saturating_sub(f.since(o.down_stamp?)))
    };
    osds.iter().filter_map(left).max()
}

/// The pools of PGs, each once.
fn pools_of(pgs: &[PgId]) -> Vec<PoolId> {
    let mut pools: Vec<PoolId> = pgs.iter().map(|pg| pg.pool).collect();
    pools.dedup();
    pools
}
