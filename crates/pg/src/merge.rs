//! Bringing one copy's log in line with another that counts (Ceph: `PGLog::merge_log`,
//! `proc_replica_log`, `rewind_divergent_log`).
//!
//! A write is *divergent* on a copy if the authoritative log does not have it: it was never
//! acknowledged. Replicated pools keep no way back, so what a divergent write changed is thrown away
//! and fetched again: the object is removed here and added to the missing set at the version that
//! the authoritative log says.

use std::collections::BTreeMap;

use types::{EVersion, Epoch, HObject, LogEntry, PgInfo, PgLogData};

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

/// The newest write that both logs have. `None` if they tell of none: one side's log begins after a write
/// that the other does not have, so nobody knows what it changed before.
///
/// Ceph takes for granted that both have what the longer trimmed one begins with, since only what all members
/// have on disk is trimmed. That does not hold once an OSD that wrote alone was declared lost and comes back.
/// After a split what a log began with may have gone to another PG with its object; then we do as Ceph.
pub fn common_point(log: &PgLog, theirs: &PgLogData, split: Epoch) -> Option<EVersion> {
    if log.head == theirs.head {
        // Perhaps neither has an entry of it, if that went to another PG with a split.
        return Some(log.head);
    }
    if let Some(e) = theirs.log.iter().rev().find(|e| log.find(e.version).is_some()) {
        return Some(e.version);
    }
    let limit = log.tail.max(theirs.tail);
    if limit > log.head || limit > theirs.head {
        return None;
    }
    let here = limit == log.tail || log.find(limit).is_some();
    let there = limit == theirs.tail || theirs.log.iter().any(|e| e.version == limit);
    (here && there || limit.epoch < split).then_some(limit)
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
    let no_overlap =
        NoOverlap { ours_tail: log.tail, ours_head: log.head, theirs_tail: theirs.tail, theirs_head: theirs.head };
    let cut = common_point(log, &theirs, info.history.last_epoch_split).ok_or(no_overlap)?;
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

    if cut < log.head || cut < theirs.head {
        // What is ours and later is divergent.
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
/// once it follows ours (Ceph: `proc_replica_log`). False if that cannot be known because the logs have
/// nothing in common: it must be backfilled.
pub fn replica_missing(log: &PgLog, their_info: &mut PgInfo, theirs: &PgLogData, their_missing: &mut Missing) -> bool {
    if their_info.last_update < log.tail || theirs.head < log.tail {
        // Out of reach of our log: it can only be backfilled, but may have what others lack.
        return true;
    }
    let Some(common) = common_point(log, theirs, their_info.history.last_epoch_split) else { return false };
    let split = theirs.log.iter().position(|e| e.version > common).unwrap_or(theirs.log.len());
    let divergent: Vec<LogEntry> = theirs.log.iter().skip(split).cloned().collect();
    merge_divergent(log, their_missing, their_info, divergent);
    their_info.last_update = their_info.last_update.min(common);
    their_info.last_complete = match their_missing.oldest_need() {
        Some(first) => theirs.log.iter().map(|e| e.version).take_while(|v| *v < first).last().unwrap_or(EVersion::ZERO),
        None => their_info.last_update,
    };
    true
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

#[cfg(test)]
mod tests {
    use super::*;
    use types::{LogOp, SpgId};

    fn v(epoch: u32, version: u64) -> EVersion {
        EVersion::new(epoch, version)
    }

    fn object(name: &str) -> HObject {
        HObject { oid: name.into(), pool: 1, ..HObject::default() }
    }

    fn write(name: &str, version: EVersion, prior: EVersion) -> LogEntry {
        LogEntry { op: LogOp::Modify, soid: object(name), version, prior_version: prior, ..LogEntry::default() }
    }

    struct Copy {
        log: PgLog,
        missing: Missing,
        info: PgInfo,
    }

    fn copy(entries: Vec<LogEntry>) -> Copy {
        let head = entries.last().map_or(EVersion::ZERO, |e| e.version);
        let info = PgInfo { last_update: head, last_complete: head, ..PgInfo::new(SpgId::default()) };
        Copy { log: PgLog::new(EVersion::ZERO, head, entries, Vec::new()), missing: Missing::default(), info }
    }

    /// `mine` follows `theirs`; what it removes and then lacks, with what it has and needs.
    fn follow(mine: &mut Copy, theirs: &Copy) -> (Vec<HObject>, Vec<(HObject, EVersion, EVersion)>) {
        let data = theirs.log.copy_after(EVersion::ZERO);
        let removed =
            merge_log(&mut mine.log, &mut mine.missing, &mut mine.info, &theirs.info, data).expect("they overlap");
        assert_eq!((mine.log.head, mine.info.last_update), (theirs.log.head, theirs.log.head));
        (removed, mine.missing.iter().map(|(o, i)| (o.clone(), i.have, i.need)).collect())
    }

    #[test]
    fn a_copy_that_is_behind_lacks_what_the_newer_entries_changed() {
        let old = write("a", v(1, 1), EVersion::ZERO);
        let mut mine = copy(vec![old.clone()]);
        let theirs = copy(vec![old, write("a", v(2, 2), v(1, 1)), write("b", v(2, 3), EVersion::ZERO)]);
        let (removed, missing) = follow(&mut mine, &theirs);
        assert_eq!(removed, []);
        assert_eq!(missing, [(object("a"), v(1, 1), v(2, 2)), (object("b"), EVersion::ZERO, v(2, 3))]);
    }

    #[test]
    fn an_object_that_only_a_divergent_write_made_is_gone_and_not_missing() {
        let old = write("a", v(1, 1), EVersion::ZERO);
        let mut mine = copy(vec![old.clone(), write("b", v(1, 2), EVersion::ZERO)]);
        let theirs = copy(vec![old, write("c", v(2, 2), EVersion::ZERO)]);
        let (removed, missing) = follow(&mut mine, &theirs);
        assert_eq!(removed, [object("b")]);
        assert_eq!(missing, [(object("c"), EVersion::ZERO, v(2, 2))]);
    }

    #[test]
    fn an_object_that_a_divergent_write_changed_is_fetched_again_at_the_version_before() {
        let old = write("a", v(1, 1), EVersion::ZERO);
        let mut mine = copy(vec![old.clone(), write("a", v(1, 2), v(1, 1))]);
        let theirs = copy(vec![old]);
        let (removed, missing) = follow(&mut mine, &theirs);
        assert_eq!(removed, [object("a")]);
        assert_eq!(missing, [(object("a"), EVersion::ZERO, v(1, 1))]);
    }

    #[test]
    fn an_object_that_both_sides_went_on_with_is_fetched_whole() {
        let old = write("a", v(1, 1), EVersion::ZERO);
        let mut mine = copy(vec![old.clone(), write("a", v(1, 2), v(1, 1))]);
        let theirs = copy(vec![old, write("a", v(2, 2), v(1, 1))]);
        let (removed, missing) = follow(&mut mine, &theirs);
        assert_eq!(removed, [object("a")]);
        assert_eq!(missing, [(object("a"), EVersion::ZERO, v(2, 2))]);
    }

    #[test]
    fn a_divergent_write_that_was_never_carried_out_leaves_the_object_as_it_is() {
        let old = write("a", v(1, 1), EVersion::ZERO);
        let divergent = write("a", v(1, 2), v(1, 1));
        let mut mine = copy(vec![old.clone(), divergent.clone()]);
        mine.missing.add_next_event(&divergent);
        let (removed, missing) = follow(&mut mine, &copy(vec![old]));
        assert_eq!((removed, missing), (vec![], vec![]));
    }

    #[test]
    fn what_a_replica_lacks_is_known_from_its_log() {
        let old = write("a", v(1, 1), EVersion::ZERO);
        let mine = copy(vec![old.clone(), write("b", v(2, 2), EVersion::ZERO)]);
        let theirs = copy(vec![old, write("a", v(1, 2), v(1, 1))]);
        let (mut info, mut missing) = (theirs.info.clone(), Missing::default());
        replica_missing(&mine.log, &mut info, &theirs.log.copy_after(EVersion::ZERO), &mut missing);
        assert_eq!((info.last_update, info.last_complete), (v(1, 1), EVersion::ZERO));
        assert_eq!(missing.get(&object("a")).map(|i| i.need), Some(v(1, 1)));
    }

    #[test]
    fn two_logs_meet_at_the_newest_write_that_both_have_not_at_the_newest_before_the_others_head() {
        let old = write("a", v(3, 1), EVersion::ZERO);
        let mine = copy(vec![old.clone(), write("a", v(4, 2), v(3, 1))]);
        let theirs = copy(vec![old, write("a", v(5, 2), v(3, 1))]);
        let data = theirs.log.copy_after(EVersion::ZERO);
        assert_eq!(common_point(&mine.log, &data, 0), Some(v(3, 1)));
    }

    #[test]
    fn a_log_that_begins_after_a_write_that_the_other_does_not_have_does_not_meet_it_except_across_a_split() {
        let mine = copy(vec![write("a", v(3, 1), EVersion::ZERO), write("a", v(9, 2), v(3, 1))]);
        let mut theirs = PgLogData { tail: v(5, 8), head: v(5, 9), ..PgLogData::default() };
        theirs.log.extend([write("a", v(5, 9), v(5, 8))]);
        assert_eq!(common_point(&mine.log, &theirs, 0), None);
        assert_eq!(common_point(&mine.log, &theirs, 6), Some(v(5, 8)));
    }

    #[test]
    fn logs_that_do_not_meet_are_refused() {
        let mut mine = copy(vec![write("a", v(1, 1), EVersion::ZERO)]);
        let theirs = PgLogData { tail: v(1, 5), head: v(1, 9), ..PgLogData::default() };
        let info = PgInfo::default();
        assert!(merge_log(&mut mine.log, &mut mine.missing, &mut mine.info, &info, theirs).is_err());
    }
}
