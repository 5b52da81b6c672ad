//! Removed snapshots, from the queue in the map to the end.
//!
//! A snapshot that is removed stands in the map's `removed_snaps_queue` until every PG of its pool says
//! that it has nothing of it any more; then it leaves the queue (`new_purged_snaps`) and is remembered
//! here, so that it is not removed again. Keys and values are Ceph's (prefix `osd_snap`):
//!
//! | key | value |
//! |---|---|
//! | `purged_snap_POOL_LAST` | first, one past the last (u64 each), and the epoch (u32) |
//! | `purged_epoch_EPOCH` | pool → intervals |
//!
//! (Ceph: `OSDMonitor::try_prune_purged_snaps`, `insert_purged_snap_update`)

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::{from_bytes, to_bytes};
use messages::{MMonGetPurgedSnaps, MMonGetPurgedSnapsReply};
use types::{Epoch, IntervalSet, PoolId, SnapId};

use crate::change::{Change, Space};
use crate::core::Mon;
use crate::state::State;

type Range = (SnapId, SnapId, Epoch);

/// About how large a reply to `MMonGetPurgedSnaps` becomes.
const REPLY_SIZE: usize = 1 << 20;

fn pool_prefix(pool: PoolId) -> String {
    format!("purged_snap_{pool}_")
}

fn range_key(pool: PoolId, last: SnapId) -> String {
    format!("purged_snap_{pool}_{last:016x}")
}

fn epoch_key(epoch: Epoch) -> String {
    format!("purged_epoch_{epoch:08x}")
}

impl State {
    /// The purged range that holds `snap`, or else the one after it.
    fn purged_from(&self, pool: PoolId, snap: SnapId) -> Option<Range> {
        let (key, value) = self.space_from(Space::OsdSnap, &range_key(pool, snap)).next()?;
        if !key.starts_with(&pool_prefix(pool)) {
            return None;
        }
        from_range(value)
    }

    fn is_purged(&self, pool: PoolId, snap: SnapId) -> bool {
        self.purged_from(pool, snap).is_some_and(|(first, end, _)| (first..end).contains(&snap))
    }
}

fn from_range(value: &Bytes) -> Option<Range> {
    from_bytes::<((SnapId, SnapId), Epoch)>(value.clone()).ok().map(|((first, end), epoch)| (first, end, epoch))
}

/// What becomes of the records when `purged` leaves the queue, and `pseudo` (numbers that never were
/// snapshots, but lie between them) joins what needs no queue.
pub(super) fn purge_changes(
    state: &State,
    epoch: Epoch,
    purged: &BTreeMap<PoolId, IntervalSet>,
    pseudo: &BTreeMap<PoolId, BTreeSet<SnapId>>,
    old_pools: &BTreeSet<PoolId>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let space = Space::OsdSnap;
    if !purged.is_empty() {
        changes.push(Change::Put { space, key: epoch_key(epoch), value: to_bytes(purged, 0) });
    }
    let pools: BTreeSet<PoolId> = purged.keys().chain(pseudo.keys()).copied().collect();
    for pool in pools.difference(old_pools) {
        let mut added = purged.get(pool).cloned().unwrap_or_default();
        pseudo.get(pool).into_iter().flatten().for_each(|snap| added.insert_one(*snap));
        for (start, len) in added.iter() {
            join_range(state, *pool, (start, start + len, epoch), &mut changes);
        }
    }
    for pool in old_pools {
        let prefix = pool_prefix(*pool);
        let gone = state.space_from(space, &prefix).take_while(|(key, _)| key.starts_with(&prefix));
        changes.extend(gone.map(|(key, _)| Change::Rm { space, key: key.clone() }));
    }
    changes
}

/// Adds a range, made one with those that it touches. The ranges of one call do not touch each other.
fn join_range(state: &State, pool: PoolId, (mut first, mut end, epoch): Range, changes: &mut Vec<Change>) {
    let space = Space::OsdSnap;
    let before = first.checked_sub(1).and_then(|s| state.purged_from(pool, s)).filter(|r| r.0 < first);
    if let Some((start, stop, _)) = before {
        changes.push(Change::Rm { space, key: range_key(pool, stop - 1) });
        (first, end) = (start, end.max(stop));
    }
    if let Some((start, stop, _)) = state.purged_from(pool, end).filter(|r| r.0 <= end) {
        debug_assert!(start <= end);
        changes.push(Change::Rm { space, key: range_key(pool, stop - 1) });
        end = stop;
    }
    changes.push(Change::Put { space, key: range_key(pool, end - 1), value: to_bytes(&((first, end), epoch), 0) });
}

impl Mon {
    /// Whether a snapshot was removed already, be it in the proposal that is gathering.
    pub(crate) fn is_removed_snap(&mut self, pool: PoolId, snap: SnapId) -> bool {
        let map = self.map();
        let queued = map.base().removed_snaps_queue.get(&pool).is_some_and(|q| q.contains(snap));
        let pending = map.inc.new_removed_snaps.get(&pool).is_some_and(|q| q.contains(snap));
        queued || pending || self.state.is_purged(pool, snap)
    }

    /// Takes out of the queue what all PGs have trimmed (Ceph: `try_prune_purged_snaps`).
    pub(super) fn prune_purged_snaps(&mut self) {
        let base = self.state.osdmap.clone();
        if base.removed_snaps_queue.is_empty() || !self.map().inc.new_purged_snaps.is_empty() {
            return;
        }
        let max = match self.config.u64("mon_max_snap_prune_per_epoch") {
            0 => 100_000,
            set => set,
        };
        let mut left = max;
        for (pool, reported) in self.mgr.stats.purged_snaps() {
            let Some(queue) = base.removed_snaps_queue.get(&pool).filter(|_| base.pool(pool).is_some()) else {
                continue;
            };
            // PGs may still report what has left the queue since.
            let mut purged = reported;
            purged.intersection_of(queue);
            let purged = purged.first_n(left);
            if purged.is_empty() || self.map().inc.old_pools.contains(&pool) {
                continue;
            }
            left -= purged.size();
            self.map().inc.new_purged_snaps.insert(pool, purged);
            if left == 0 {
                break;
            }
        }
    }

    /// What was purged in the epochs after `start`, up to `last`.
    pub(crate) fn purged_snaps_since(&self, m: &MMonGetPurgedSnaps) -> MMonGetPurgedSnapsReply {
        let mut reply = MMonGetPurgedSnapsReply { start: m.start, last: m.last, ..MMonGetPurgedSnapsReply::default() };
        let mut size = 0;
        let (first, last) = (epoch_key(m.start.saturating_add(1)), epoch_key(m.last));
        let epochs = self.state.space_from(Space::OsdSnap, &first);
        for (key, value) in epochs.take_while(|(key, _)| **key <= last) {
            let hex = key.trim_start_matches("purged_epoch_");
            let (Ok(epoch), Ok(purged)) = (Epoch::from_str_radix(hex, 16), from_bytes(value.clone())) else { continue };
            reply.purged_snaps.insert(epoch, purged);
            reply.last = epoch;
            size += value.len();
            if size > REPLY_SIZE {
                return reply;
            }
        }
        reply.last = m.last;
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the changes to a state that holds nothing else.
    fn apply(state: &mut State, changes: Vec<Change>) {
        let proposal = crate::change::Proposal { changes, ..Default::default() };
        let index = state.applied + 1;
        let entry = quorum::Entry { index, term: 1, payload: quorum::Payload::Data(to_bytes(&proposal, 0)) };
        state.apply(&entry, &mut os::Transaction::new());
    }

    fn purge(state: &mut State, epoch: Epoch, start: SnapId, len: u64) {
        let purged = BTreeMap::from([(1, IntervalSet::from_iter([(start, len)]))]);
        let changes = purge_changes(state, epoch, &purged, &BTreeMap::new(), &BTreeSet::new());
        apply(state, changes);
    }

    fn ranges(state: &State) -> Vec<(String, Range)> {
        let of_pools = state.space(Space::OsdSnap).filter(|(k, _)| k.starts_with("purged_snap_"));
        of_pools.map(|(k, v)| (k.clone(), from_range(v).expect("it decodes"))).collect()
    }

    #[test]
    fn purged_snapshots_that_touch_become_one_record_under_their_last_number() {
        let mut state = State::default();
        purge(&mut state, 10, 2, 1);
        purge(&mut state, 11, 6, 1);
        assert_eq!(
            ranges(&state),
            [
                ("purged_snap_1_0000000000000002".to_owned(), (2, 3, 10)),
                ("purged_snap_1_0000000000000006".to_owned(), (6, 7, 11))
            ]
        );
        purge(&mut state, 12, 3, 3);
        assert_eq!(ranges(&state), [("purged_snap_1_0000000000000006".to_owned(), (2, 7, 12))]);
        assert!(state.is_purged(1, 2) && state.is_purged(1, 6));
        assert!(!state.is_purged(1, 7) && !state.is_purged(1, 1) && !state.is_purged(12, 2));
    }

    #[test]
    fn the_records_of_a_pool_go_with_it() {
        let mut state = State::default();
        purge(&mut state, 10, 2, 1);
        let none = BTreeMap::new();
        let changes = purge_changes(&state, 11, &none, &BTreeMap::new(), &BTreeSet::from([1]));
        apply(&mut state, changes);
        assert_eq!(ranges(&state), []);
    }

    #[test]
    fn records_of_a_real_monitor_read_and_write_alike() {
        // purged_snap_137_0000000000000003 and purged_epoch_00000141 of a cluster of 16.2.15.
        let raw = Bytes::from_static(&[2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x41, 1, 0, 0]);
        assert_eq!(from_range(&raw), Some((2, 4, 0x141)));
        assert_eq!(to_bytes(&((2_u64, 4_u64), 0x141_u32), 0), raw);
        let mut e = denc::Encoder::new(0);
        e.u32(1);
        e.u64(0x89);
        e.u32(1);
        e.u64(2);
        e.u64(1);
        let purged = BTreeMap::from([(0x89_i64, IntervalSet::from_iter([(2, 1)]))]);
        assert_eq!(to_bytes(&purged, 0), e.finish());
        assert_eq!(
            (range_key(137, 3), epoch_key(0x141)),
            ("purged_snap_137_0000000000000003".to_owned(), "purged_epoch_00000141".to_owned())
        );
    }
}
