//! PGs that copy: recovery, backfill, remapped; how long it takes, and what holds it up.

use types::{OsdId, PgId};

use super::pools_of;
use crate::command::Command;
use crate::facts::{Facts, PgFacts};
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

const MOVING: &[&str] = &[
    "recovering",
    "recovery_wait",
    "recovery_toofull",
    "backfilling",
    "backfill_wait",
    "backfill_toofull",
    "forced_recovery",
    "forced_backfill",
    "remapped",
];

fn is_moving(pg: &PgFacts) -> bool {
    let work = pg.degraded + pg.misplaced > 0;
    // Clean and remapped: it stays where it is, as the place that CRUSH wants does not do.
    let rests = pg.is("clean") && pg.is("remapped");
    !rests && !pg.is("stale") && !pg.is_unknown() && MOVING.iter().any(|s| pg.is(s)) && (work || pg.is("remapped"))
}

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let pgs: Vec<PgId> = f.pgs.iter().filter(|(_, pg)| is_moving(pg)).map(|(id, _)| *id).collect();
    if pgs.is_empty() {
        return;
    }
    let all = |count: fn(&PgFacts) -> u64| pgs.iter().filter_map(|id| f.pgs.get(id)).map(count).sum::<u64>();
    let (degraded, misplaced) = (all(|pg| pg.degraded), all(|pg| pg.misplaced));
    let in_state = |name: &str| pgs.iter().filter(|id| f.pgs[id].is(name)).count();
    let too_full = in_state("backfill_toofull") + in_state("recovery_toofull");
    let paused: Vec<&str> = ["norecover", "nobackfill", "norebalance", "pause"]
        .into_iter()
        .filter(|flag| f.flags.contains(*flag))
        .collect();
    let states = MOVING.iter().map(|s| (in_state(s), *s)).filter(|(n, s)| *n > 0 && *s != "remapped");
    let mut evidence: Vec<String> = states.map(|(n, s)| format!("{n} {s}")).collect();
    if f.recovering_objects_per_sec > 0 {
        let (objects, bytes) = (f.recovering_objects_per_sec, words::bytes(f.recovering_bytes_per_sec));
        evidence.push(format!("{} and {bytes} a second", words::count(objects, "object")));
    }
    let full = f.osds.iter().filter(|(_, o)| o.state.contains("backfillfull") || o.state.contains("full"));
    let full: Vec<OsdId> = full.map(|(id, _)| *id).collect();
    let verb = |one: &str, more: &str| if pgs.len() == 1 { one.to_owned() } else { more.to_owned() };
    let what = match (degraded, misplaced) {
        (0, 0) => format!("{} about to copy", verb("is", "are")),
        (0, m) => {
            let objects = words::count(m, "misplaced object");
            format!("{} {objects} to the OSDs that CRUSH wants now", verb("copies", "copy"))
        }
        (d, 0) => format!("{} {} anew", verb("makes", "make"), copies(d)),
        (d, m) => {
            let objects = words::count(m, "misplaced object");
            format!("{} {} anew, and {} {objects}", verb("makes", "make"), copies(d), verb("moves", "move"))
        }
    };
    let held = match (&paused[..], too_full) {
        ([], 0) => String::new(),
        ([], n) => format!(
            "; {n} wait because {} too full",
            if full.is_empty() {
                "an OSD is".to_owned()
            } else {
                format!("{} {}", words::osds(&full), words::is(full.len()))
            }
        ),
        (flags, _) => format!("; it is held up by the flag {}", flags.join(" and ")),
    };
    let advice = paused.iter().filter(|flag| **flag != "pause").map(|flag| Advice {
        command: Command::unset(flag),
        does: "lets the PGs copy again".to_owned(),
        risk: "takes some of the disks' time from clients".to_owned(),
        safe: Safety::Yes("copies are only added".to_owned()),
    });
    found.push(Finding {
        cause: "moving",
        severity: if degraded > 0 { Severity::Weak } else { Severity::Note },
        sentence: format!("{} {what}{held}.", words::pgs(&pgs)),
        evidence,
        data: match degraded {
            0 => "nothing is lost: every object has all its copies, some not yet where they belong".to_owned(),
            _ => "nothing is lost; these objects have fewer copies than wanted".to_owned(),
        },
        io: "goes on".to_owned(),
        waiting: waiting(f, degraded + misplaced, &paused, too_full),
        advice: advice.collect(),
        osds: pgs
            .iter()
            .filter_map(|id| f.pgs.get(id))
            .flat_map(|pg| pg.up.iter().chain(&pg.acting).copied())
            .collect(),
        pools: pools_of(&pgs),
        pgs,
        health: codes(&["PG_DEGRADED", "OBJECT_MISPLACED", "PG_BACKFILL_FULL", "PG_RECOVERY_FULL"]),
    });
}

fn copies(n: u64) -> String {
    if n == 1 { "1 copy of objects".to_owned() } else { format!("{n} copies of objects") }
}

fn waiting(f: &Facts, left: u64, paused: &[&str], too_full: usize) -> Waiting {
    if !paused.is_empty() {
        return Waiting::no("does not help while the flag is set");
    }
    if too_full > 0 && f.recovering_objects_per_sec == 0 {
        return Waiting::no("does not help until there is space");
    }
    match f.recovering_objects_per_sec {
        0 => Waiting::yes(None, "helps; there is no rate yet from which to estimate: ask again in a few seconds"),
        rate => {
            let secs = left.div_ceil(rate);
            let left = words::count(left, "copy").replace("copys", "copies");
            Waiting::yes(
                Some(secs),
                format!("helps: about {} for {left} at {rate} objects a second", words::span(secs)),
            )
        }
    }
}
