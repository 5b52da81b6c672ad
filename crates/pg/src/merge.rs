//! Bringing one copy's log in line with another that counts (Ceph: `PGLog::merge_log`,
//! `proc_replica_log`, `rewind_divergent_log`).
//!
//! A write is *divergent* on a copy if the authoritative log does not have it: it was never
//! acknowledged. Replicated pools keep no way back, so what a divergent write changed is thrown away
//! and fetched again: the object is removed here and added to the missing set at the version that
//! the authoritative log says.

use std::collections::BTreeMap;

use types::{EVersion, HObject, LogEntry, PgInfo, PgLogData};

use crate::log::PgLog;
use crate::missing::Missing;

/// The other log cannot be joined to ours; the peer sent nonsense or should not have been asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the logs ({ours_tail},{ours_head}] and ({theirs_tail},{theirs_head}] do not overlap")]
pub struct NoOverlap {
    ours_tail: EVersion,
    ours_head: EVersion,
    theirs_tail: EVersion,
    theirs_head: EVersion,
}

fn check_overlap(log: &PgLog, theirs: &PgLogData) -> Result<(), NoOverlap> {
    let rising = theirs.log.iter().zip(theirs.log.iter().skip(1)).all(|(a, b)| a.version < b.version);
    let inside = theirs.log.iter().all(|e| e.version > theirs.tail && e.version <= theirs.head);
    if log.head >= theirs.tail && theirs.head >= log.tail && theirs.tail <= theirs.head && rising && inside {
        return Ok(());
    }
    Err(NoOverlap { ours_tail: log.tail, ours_head: log.head, theirs_tail: theirs.tail, theirs_head: theirs.head })
}

/// Makes our log the authoritative one, of which `theirs` is the newer part. Gives the objects to
/// remove from the store.
///
/// # Errors
/// [`NoOverlap`]; nothing is changed then.
pub fn merge_log(
    log: &mut PgLog,
    missing: &mut Missing,
    info: &mut PgInfo,
    their_info: &PgInfo,
    theirs: PgLogData,
) -> Result<Vec<HObject>, NoOverlap> {
    check_overlap(log, &theirs)?;
    let mut removed = Vec::new();
    let our_tail = log.tail;
    let (older, newer): (Vec<LogEntry>, Vec<LogEntry>) = theirs.log.into_iter().partition(|e| e.version <= our_tail);
    if theirs.tail < log.tail {
        log.extend_tail(theirs.tail, older);
        info.log_tail = log.tail;
    }
    let reported = (info.stats.reported_seq, info.stats.reported_epoch);
    info.stats = their_info.stats.clone();
    info.stats.reported_seq = info.stats.reported_seq.max(reported.0);
    info.stats.reported_epoch = info.stats.reported_epoch.max(reported.1);
    info.hit_set = their_info.hit_set.clone();

    if theirs.head < log.head {
        removed.extend(rewind_divergent(log, missing, info, theirs.head));
    }
    if theirs.head > log.head {
        // The newest entry that both have; what is ours and later is divergent.
        let shared = newer.iter().rev().map(|e| e.version).find(|v| *v <= log.head);
        let cut = shared.unwrap_or(EVersion::ZERO).max(theirs.tail).max(our_tail);
        let divergent = log.rewind(cut);
        info.last_complete = info.last_complete.min(cut.max(info.log_tail));
        for e in newer.into_iter().filter(|e| e.version > cut) {
            if e.soid <= info.last_backfill && !e.is_error() {
                missing.add_next_event(&e);
            }
            log.append(e);
        }
        log.head = theirs.head;
        removed.extend(merge_divergent(log, missing, info, divergent));
        info.last_update = log.head;
        info.last_user_version = their_info.last_user_version;
        info.purged_snaps = their_info.purged_snaps.clone();
        info.stats.stats.sum.num_objects_missing = missing.len() as i64;
    }
    log.merge_dups(&theirs.dups);
    Ok(removed)
}

/// Throws away our writes later than `head` (Ceph: `rewind_divergent_log`). Gives the objects to
/// remove from the store.
pub fn rewind_divergent(log: &mut PgLog, missing: &mut Missing, info: &mut PgInfo, head: EVersion) -> Vec<HObject> {
    info.last_complete = info.last_complete.min(head);
    let divergent = log.rewind(head);
    info.last_update = head;
    merge_divergent(log, missing, info, divergent)
}

/// Works out, on the primary, what a replica that showed its log and missing set will have and lack
/// once it follows ours (Ceph: `proc_replica_log`).
pub fn replica_missing(log: &PgLog, their_info: &mut PgInfo, theirs: &PgLogData, their_missing: &mut Missing) {
    if their_info.last_update < log.tail || theirs.head < log.tail {
        // Out of reach of our log: it will be backfilled, so its missing set is of no use.
        return;
    }
    let shared = log.entries().rev().map(|e| e.version).find(|v| *v <= theirs.head);
    let limit = theirs.tail.max(log.tail);
    let last_update = shared.filter(|v| *v >= limit).unwrap_or(limit);
    let split = theirs.log.iter().position(|e| e.version > last_update).unwrap_or(theirs.log.len());
    let divergent: Vec<LogEntry> = theirs.log.iter().skip(split).cloned().collect();
    merge_divergent(log, their_missing, their_info, divergent);
    their_info.last_update = their_info.last_update.min(last_update);
    their_info.last_complete = match their_missing.oldest_need() {
        Some(first) => theirs.log.iter().map(|e| e.version).take_while(|v| *v < first).last().unwrap_or(EVersion::ZERO),
        None => their_info.last_update,
    };
}

/// Handles divergent entries object by object (Ceph: `_merge_object_divergent_entries`); gives the
/// objects that must go from the store.
fn merge_divergent(log: &PgLog, missing: &mut Missing, info: &PgInfo, divergent: Vec<LogEntry>) -> Vec<HObject> {
    let mut by_object: BTreeMap<HObject, Vec<LogEntry>> = BTreeMap::new();
    for e in divergent.into_iter().filter(|e| !e.is_error() && e.soid <= info.last_backfill) {
        by_object.entry(e.soid.clone()).or_default().push(e);
    }
    let newest = log.newest_of(by_object.keys());
    let mut removed = Vec::new();
    for (soid, entries) in &by_object {
        let (first, last) = (&entries[0], &entries[entries.len() - 1]);
        let in_store = missing.contains(soid) || !last.is_delete();
        let mut remove = |soid: &HObject| {
            if in_store {
                removed.push(soid.clone());
            }
        };
        if newest[soid] >= first.version {
            // The authoritative log goes on with this object: it is in the missing set at that
            // version already, but what we hold is not what it builds on.
            missing.revise_have(soid, EVersion::ZERO);
            remove(soid);
        } else if first.prior_version.is_zero() || first.is_clone() {
            // Only divergent writes made it.
            missing.remove(soid);
            remove(soid);
        } else if let Some(item) = missing.get(soid) {
            // The store still holds what was there before: perhaps just the right version.
            if item.have == first.prior_version {
                missing.remove(soid);
            } else {
                missing.revise_need(soid, first.prior_version, false);
            }
        } else {
            remove(soid);
            missing.add(soid, first.prior_version, EVersion::ZERO, false);
        }
    }
    removed
}
