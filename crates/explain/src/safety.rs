//! What may be carried out now.
//!
//! "Safe": no acknowledged write is lost by it, none is acknowledged on a single disk because of it, and I/O that
//! goes on now goes on. Each answer is computed from the facts, and says from which; what they do not show is
//! "not known".

use std::collections::BTreeSet;

use types::{OsdId, PgId, PoolId};

use crate::facts::{Facts, PgFacts};
use crate::finding::Safety;
use crate::words;

fn yes(why: impl Into<String>) -> Safety {
    Safety::Yes(why.into())
}

fn no(why: impl Into<String>) -> Safety {
    Safety::No(why.into())
}

fn not_known(why: impl Into<String>) -> Safety {
    Safety::NotKnown(why.into())
}

/// Starting a daemon that belongs to the cluster.
pub fn start_osd() -> Safety {
    yes("an OSD that comes back adds copies and takes none away")
}

/// A command that only looks, or compares copies.
pub fn look() -> Safety {
    yes("it only reads")
}

/// OSDs that hold data now: up, and in.
pub fn usable(f: &Facts) -> impl Fn(OsdId) -> bool + '_ {
    |osd| f.is_up(osd) && f.is_in(osd)
}

/// Among how many places a pool's rule can spread copies, of OSDs that are up and in and not these.
pub fn places_without(f: &Facts, pool: PoolId, gone: &[OsdId]) -> Option<usize> {
    let rule = f.pools.get(&pool)?.rule;
    f.crush.places(rule, &|osd| usable(f)(osd) && !gone.contains(&osd))
}

/// The pools whose rule may use an OSD; `None` if a rule is of a shape that is not understood.
pub fn pools_on(f: &Facts, osd: OsdId) -> Option<Vec<PoolId>> {
    let mut pools = Vec::new();
    for (id, pool) in &f.pools {
        if f.crush.devices(pool.rule)?.contains(&osd) {
            pools.push(*id);
        }
    }
    Some(pools)
}

/// Whether so many more bytes fit on these OSDs. CRUSH spreads unevenly: twice the even share must fit below the
/// nearfull ratio.
fn fits(f: &Facts, osds: &BTreeSet<OsdId>, bytes: u64) -> Result<(), String> {
    let here: Vec<OsdId> = osds.iter().copied().filter(|osd| usable(f)(*osd)).collect();
    if here.is_empty() {
        return Err("no OSD is left that may take the copies".to_owned());
    }
    let share = 2 * bytes / here.len() as u64;
    for id in here {
        let osd = &f.osds[&id];
        if osd.kb == 0 {
            return Err(format!("how full osd.{id} is, is not known"));
        }
        let after = osd.used_ratio() + share as f64 / 1024.0 / osd.kb as f64;
        if after > f.nearfull_ratio {
            let limit = words::percent(f.nearfull_ratio);
            return Err(format!("osd.{id} might become {} full, and is nearly full at {limit}", words::percent(after)));
        }
    }
    Ok(())
}

/// Marking an OSD out: its copies are made elsewhere.
pub fn out(f: &Facts, osd: OsdId) -> Safety {
    let Some(pools) = pools_on(f, osd) else { return not_known("a CRUSH rule is not understood") };
    let mut devices = BTreeSet::new();
    for id in pools {
        let pool = &f.pools[&id];
        let Some(places) = places_without(f, id, &[osd]) else { return not_known("a CRUSH rule is not understood") };
        if places < pool.size {
            return no(format!(
                "pool {} keeps {} copies and would have {} for them",
                pool.name,
                pool.size,
                words::count(places as u64, "place")
            ));
        }
        devices.extend(f.crush.devices(pool.rule).unwrap_or_default());
    }
    devices.remove(&osd);
    let bytes = f.osds.get(&osd).map_or(0, |o| o.kb_used_data * 1024);
    match fits(f, &devices, bytes) {
        Err(why) => no(why),
        Ok(()) => yes("the others have the places and the space; no copy is removed before its successor is whole"),
    }
}

/// Fewer copies than now suffice for I/O.
pub fn lower_min_size(pool: &str, to: usize) -> Safety {
    if to < 2 {
        return no(format!("each write to pool {pool} would be acknowledged on a single disk, and be lost with it"));
    }
    yes(format!("each write is still on {to} disks before it is acknowledged"))
}

/// More copies of all that a pool has.
pub fn grow(f: &Facts, pool: PoolId, size: usize) -> Safety {
    let Some(p) = f.pools.get(&pool) else { return not_known("the pool is not known") };
    let (Some(places), Some(devices)) = (places_without(f, pool, &[]), f.crush.devices(p.rule)) else {
        return not_known("its CRUSH rule is not understood");
    };
    if places < size {
        return no(format!("its rule has {} for copies", words::count(places as u64, "place")));
    }
    let bytes: u64 = f.pgs_of(pool).map(|(_, pg)| pg.bytes).sum::<u64>() * size.saturating_sub(p.size) as u64;
    match fits(f, &devices, bytes) {
        Err(why) => no(why),
        Ok(()) => yes("copies are only added; places and space suffice"),
    }
}

/// Another rule for a pool: all its data moves.
pub fn change_rule(f: &Facts, pool: PoolId, rule: i64) -> Safety {
    let Some(p) = f.pools.get(&pool) else { return not_known("the pool is not known") };
    let (Some(places), Some(devices)) = (f.crush.places(rule, &usable(f)), f.crush.devices(rule)) else {
        return not_known("that CRUSH rule is not understood");
    };
    if places < p.size {
        return no(format!("that rule has {} for copies", words::count(places as u64, "place")));
    }
    let bytes: u64 = f.pgs_of(pool).map(|(_, pg)| pg.bytes * p.size as u64).sum();
    match fits(f, &devices, bytes) {
        Err(why) => no(why),
        Ok(()) => yes("no copy is removed before its successor is whole; places and space suffice"),
    }
}

/// Whether an OSD may be forgotten with all that is on its disk.
pub fn purge(f: &Facts, osd: OsdId) -> Safety {
    if f.is_up(osd) {
        return no("it is up");
    }
    if f.unanswered.contains_key("pg dump") {
        return not_known("the states of PGs are not known");
    }
    let unclean: Vec<PgId> =
        f.pgs.iter().filter(|(_, pg)| !pg.is_clean() || pg.is("inconsistent")).map(|(id, _)| *id).collect();
    if !unclean.is_empty() {
        let are = words::is(unclean.len());
        return not_known(format!("{} {are} not clean: its disk may be needed", words::pgs(&unclean)));
    }
    let on_it = |pg: &&PgFacts| pg.up.contains(&osd) || pg.acting.contains(&osd);
    let old = |pg: &&PgFacts| pg.reported_epoch < f.osds.get(&osd).map_or(0, |o| o.down_at);
    if f.pgs.values().any(|pg| on_it(&pg)) {
        return no("PGs are mapped to it");
    }
    if f.pgs.is_empty() || f.pgs.values().any(|pg| old(&pg)) {
        return not_known("the PGs' states are older than its end");
    }
    let complete = |(id, pg): (&PgId, &PgFacts)| f.pool_of(*id).is_some_and(|p| pg.acting.len() >= p.size);
    if !f.pgs.iter().all(complete) {
        return not_known("not all PGs have all their copies");
    }
    yes("every PG is clean, with all its copies on other OSDs")
}

/// Whether an OSD may stop for a while.
pub fn stop(f: &Facts, osd: OsdId) -> Safety {
    if !f.is_up(osd) {
        return yes("the cluster does not use it now");
    }
    if f.unanswered.contains_key("pg dump") || f.unanswered.contains_key("osd dump") {
        return not_known("the states of PGs are not known");
    }
    if f.flags.contains("nodown") {
        return no("with the flag nodown it would still be counted as up, and I/O to it would hang");
    }
    let mut without = Vec::new();
    for (id, pg) in &f.pgs {
        if pg.is_unknown() {
            return not_known(format!("the state of PG {id} is not known"));
        }
        if !pg.acting.contains(&osd) {
            continue;
        }
        let Some(pool) = f.pool_of(*id) else { return not_known(format!("the pool of PG {id} is not known")) };
        if pg.is("inconsistent") {
            return no(format!("PG {id} is inconsistent: the sound copy may be the one on it"));
        }
        // Copies that miss something do not count; which those are, a degraded PG does not tell.
        if pg.degraded > 0 || pg.is("degraded") || pg.is("stale") || !pg.is("active") {
            return no(format!("PG {id} is {}: it has no copy to spare", pg.state_text));
        }
        if pg.acting.len() - 1 < pool.min_size {
            without.push(*id);
        }
    }
    match without.is_empty() {
        true => yes("every PG on it keeps enough whole copies to serve"),
        false => no(format!("{} would have fewer copies than min_size", words::pgs(&without))),
    }
}

/// Whether `pg repair` cannot choose wrongly.
pub fn repair(f: &Facts, pg: PgId) -> Safety {
    if f.spirula {
        return yes("a copy is overwritten only where checksums, digests or the log prove it bad; the rest is left");
    }
    match f.inconsistent.get(&pg) {
        Some(all) if !all.is_empty() => {
            let proven = |e: &String| e.contains("read_error") || e.contains("missing") || e.contains("mismatch_info");
            let certain = |o: &&crate::facts::BadObject| {
                !o.bad.is_empty() && !o.sound.is_empty() && o.bad.iter().all(|c| c.errors.iter().any(proven))
            };
            match all.iter().find(|o| !certain(o)) {
                None => yes("each bad copy has an error of its own, and another copy has none"),
                Some(o) => not_known(format!("of {} nothing shows which copy is sound", o.name)),
            }
        }
        _ => not_known("what the scrub found is not known"),
    }
}
