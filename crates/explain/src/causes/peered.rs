//! PGs with fewer copies up than min_size: whole, but they take no I/O.

use std::collections::BTreeMap;

use types::{OsdId, PgId, PoolId};

use super::{bring_back, down_osds_of, marked_out_in, whereabouts};
use crate::command::Command;
use crate::facts::{Facts, PgFacts};
use crate::finding::{Advice, Finding, Severity, Waiting, codes};
use crate::safety;
use crate::words;

/// Peered, and kept from being active by min_size alone.
fn is_below(f: &Facts, id: &PgId, pg: &PgFacts) -> bool {
    let few = f.pool_of(*id).is_some_and(|p| pg.acting.len() < p.min_size);
    let elsewhere = ["active", "down", "incomplete", "stale", "peering"].iter().any(|s| pg.is(s));
    few && !elsewhere && !pg.acting.is_empty() && !pg.is_unknown()
}

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let mut groups: BTreeMap<(PoolId, usize), Vec<PgId>> = BTreeMap::new();
    let told = |id: &PgId| found.iter().any(|x| x.cause == "device-rule" && x.pgs.contains(id));
    for (id, pg) in f.pgs.iter().filter(|(id, pg)| is_below(f, id, pg) && !told(id)) {
        groups.entry((id.pool, pg.acting.len())).or_default().push(*id);
    }
    for ((pool, copies), pgs) in groups {
        found.push(finding(f, pool, copies, pgs));
    }
}

fn finding(f: &Facts, id: PoolId, copies: usize, pgs: Vec<PgId>) -> Finding {
    let pool = &f.pools[&id];
    let down = down_osds_of(f, id);
    let who = match (&down[..], safety::places_without(f, id, &[])) {
        ([], Some(places)) => format!("its rule has {} for copies", words::count(places as u64, "place")),
        ([], None) => "no OSD is down".to_owned(),
        (osds, _) => format!("{} {} down", words::osds(osds), words::is(osds.len())),
    };
    let one = pgs.iter().find_map(|id| f.pgs.get(id).map(|pg| (id, pg)));
    let mut evidence: Vec<String> = one
        .map(|(id, pg)| format!("PG {id} is {} on {}", pg.state_text, words::osds(&pg.acting)))
        .into_iter()
        .collect();
    evidence.extend(down.iter().map(|osd| whereabouts(f, *osd)));
    let unfound: u64 = pgs.iter().filter_map(|id| f.pgs.get(id)).map(|pg| pg.unfound).sum();
    let mut advice = bring_back(f, &down, "the PGs go on within seconds and copy only what changed");
    advice.extend(elsewhere(f, id, &down));
    advice.push(Advice {
        command: Command::pool_set(&pool.name, "min_size", &copies.to_string()),
        does: format!(
            "reads and writes go on at once with {}; set it back to {} afterwards",
            words::count(copies as u64, "copy").replace("copys", "copies"),
            pool.min_size
        ),
        risk: "until then every pool member may serve with fewer copies"
            .to_owned()
            .replace("pool member", "PG of the pool"),
        safe: safety::lower_min_size(&pool.name, copies),
    });
    let copies_text = if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") };
    Finding {
        cause: "below-min-size",
        severity: Severity::Blocked,
        sentence: format!(
            "{} of pool {} {} {copies_text} up and need{} {} (min_size): {who}.",
            words::pgs(&pgs),
            pool.name,
            if pgs.len() == 1 { "has" } else { "have" },
            if pgs.len() == 1 { "s" } else { "" },
            pool.min_size
        ),
        evidence,
        data: match (unfound, copies) {
            (0, 1) => {
                "nothing is lost: the copy that is up has every acknowledged write, but it is the only one".to_owned()
            }
            (0, _) => "nothing is lost: the copies that are up have every acknowledged write".to_owned(),
            (n, _) => {
                format!("the newest version of {} is not among the copies that are up", words::count(n, "object"))
            }
        },
        io: "all reads and writes there wait; they go on by themselves".to_owned(),
        waiting: waiting(f, id, &down),
        advice,
        osds: down
            .into_iter()
            .chain(pgs.iter().filter_map(|id| f.pgs.get(id)).flat_map(|pg| pg.acting.clone()))
            .collect(),
        pools: vec![id],
        pgs,
        health: codes(&["PG_AVAILABILITY", "PG_DEGRADED"]),
    }
}

/// Whether other OSDs can take over once those that are down are out.
fn can_move(f: &Facts, pool: PoolId) -> bool {
    let min_size = f.pools.get(&pool).map_or(0, |p| p.min_size);
    safety::places_without(f, pool, &[]).is_some_and(|places| places >= min_size)
}

fn waiting(f: &Facts, pool: PoolId, down: &[OsdId]) -> Waiting {
    let in_: Vec<OsdId> = down.iter().copied().filter(|osd| f.is_in(*osd)).collect();
    match marked_out_in(f, &in_).filter(|_| !in_.is_empty() && can_move(f, pool)) {
        Some(secs) => Waiting::yes(
            Some(secs),
            format!(
                "helps: from {} on, OSDs that stay down are marked out, and others take their copies over",
                words::span(secs)
            ),
        ),
        None => Waiting::no("does not help: it goes on only when enough of these OSDs are back"),
    }
}

/// Not waiting for the timer.
fn elsewhere(f: &Facts, pool: PoolId, down: &[OsdId]) -> Vec<Advice> {
    if !can_move(f, pool) {
        return Vec::new();
    }
    let in_ = down.iter().copied().filter(|osd| f.is_in(*osd));
    let one = |osd: OsdId| Advice {
        command: Command::out(osd),
        does: format!("gives osd.{osd} up for now: others take its copies over, from those that are left"),
        risk: "copies all that it held".to_owned(),
        safe: safety::out(f, osd),
    };
    in_.take(3).map(one).collect()
}
