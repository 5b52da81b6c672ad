//! What of an object need not be sent because the receiver holds it in another member of the family:
//! members share what was not written between their snapshots, and `clone_overlap` says what that is.
//!
//! Overlaps are between neighbours, so what two members share is the intersection of all overlaps between
//! them. Clones never change, so what the receiver has of them is right whenever the push arrives. A head
//! does: who takes from it must see to it, when the object is complete, that they still share that much
//! ([`shared_with_head`]).
//!
//! Ceph: `ReplicatedBackend::calc_head_subsets`, `calc_clone_subsets`.

use std::collections::BTreeMap;

use types::{HObject, IntervalSet, SNAP_HEAD, SnapId, SnapSet};

/// How an object is put together at the receiver.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Subsets {
    /// To be sent.
    pub data: IntervalSet,
    /// To be taken from clones that are there.
    pub clones: BTreeMap<HObject, IntervalSet>,
}

/// For the head, of `size` bytes. `has` says which clones the receiver holds, `limit` how many ranges it
/// may have to copy.
pub(crate) fn head_subsets(
    set: &SnapSet,
    head: &HObject,
    size: u64,
    has: impl Fn(&HObject) -> bool,
    limit: usize,
) -> Subsets {
    let mut out = Subsets { data: whole(size), clones: BTreeMap::new() };
    let older = set.clones.iter().rev().map(|clone| (*clone, *clone));
    out.share(head, older, set, size, has);
    out.limited(size, limit)
}

/// For a clone; `None` if it is no member of the family. `has` is asked for the head as well.
pub(crate) fn clone_subsets(
    set: &SnapSet,
    soid: &HObject,
    has: impl Fn(&HObject) -> bool,
    limit: usize,
) -> Option<Subsets> {
    let size = *set.clone_size.get(&soid.snap)?;
    let at = set.clones.iter().position(|c| *c == soid.snap)?;
    let mut out = Subsets { data: whole(size), clones: BTreeMap::new() };
    let (older, newer) = (&set.clones[..at], &set.clones[at + 1..]);
    out.share(soid, older.iter().rev().map(|clone| (*clone, *clone)), set, size, &has);
    // What a clone shares with a newer member stands with the older of the two.
    let newer = newer.iter().chain(&[SNAP_HEAD]).zip(&set.clones[at..]);
    out.share(soid, newer.map(|(member, before)| (*member, *before)), set, size, &has);
    Some(out.limited(size, limit))
}

/// What a clone has in common with the head.
pub(crate) fn shared_with_head(set: &SnapSet, clone: SnapId) -> IntervalSet {
    let mut shared = whole(set.clone_size.get(&clone).copied().unwrap_or(0));
    for overlap in set.clone_overlap.range(clone..).map(|(_, o)| o) {
        shared.intersection_of(overlap);
    }
    if set.clone_overlap.contains_key(&clone) { shared } else { IntervalSet::new() }
}

fn whole(size: u64) -> IntervalSet {
    IntervalSet::from_iter([(0, size)])
}

impl Subsets {
    /// Takes what it can from the nearest member that the receiver has. `away`: members with each step
    /// farther, and where the overlap of that step stands.
    fn share(
        &mut self,
        soid: &HObject,
        away: impl Iterator<Item = (SnapId, SnapId)>,
        set: &SnapSet,
        size: u64,
        has: impl Fn(&HObject) -> bool,
    ) {
        let mut shared = whole(size);
        for (clone, step) in away {
            match set.clone_overlap.get(&step) {
                Some(overlap) => shared.intersection_of(overlap),
                None => return,
            }
            let clone = soid.with_snap(clone);
            if !shared.is_empty() && has(&clone) {
                // Once is enough where both neighbours have it.
                shared.intersection_of(&self.data);
                self.data.subtract(&shared);
                if !shared.is_empty() {
                    self.clones.insert(clone, shared);
                }
                return;
            }
        }
    }

    /// Many small ranges cost more than they save.
    fn limited(self, size: u64, limit: usize) -> Self {
        let ranges: usize = self.clones.values().map(IntervalSet::num_intervals).sum();
        if ranges <= limit { self } else { Self { data: whole(size), clones: BTreeMap::new() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u64, u64)]) -> IntervalSet {
        list.iter().copied().collect()
    }

    fn soid(snap: SnapId) -> HObject {
        HObject { oid: "o".into(), pool: 1, snap, ..HObject::default() }
    }

    /// Three clones of 100 bytes; between 2 and 4 the first ten bytes were written, between 4 and 6 the
    /// second, and since 6 the third.
    fn family() -> SnapSet {
        let mut set = SnapSet { seq: 6, clones: vec![2, 4, 6], ..SnapSet::default() };
        for (clone, written) in [(2, 0), (4, 10), (6, 20)] {
            let mut overlap = whole(100);
            overlap.erase(written, 10);
            set.clone_overlap.insert(clone, overlap);
            set.clone_size.insert(clone, 100);
            set.clone_snaps.insert(clone, vec![clone]);
        }
        set
    }

    #[test]
    fn a_head_takes_from_the_newest_clone_what_was_not_written_since() {
        let head = soid(SNAP_HEAD);
        let got = head_subsets(&family(), &head, 100, |_| true, 10);
        assert_eq!(got.data, ranges(&[(20, 10)]));
        assert_eq!(got.clones, [(soid(6), ranges(&[(0, 20), (30, 70)]))].into());
        let got = head_subsets(&family(), &head, 100, |c| c.snap == 2, 10);
        assert_eq!(got.data, ranges(&[(0, 30)]));
        assert_eq!(got.clones, [(soid(2), ranges(&[(30, 70)]))].into());
        let got = head_subsets(&family(), &head, 25, |_| true, 10);
        assert_eq!((got.data, got.clones), (ranges(&[(20, 5)]), [(soid(6), ranges(&[(0, 20)]))].into()));
    }

    #[test]
    fn a_clone_takes_from_both_its_neighbours_and_nothing_twice() {
        let got = clone_subsets(&family(), &soid(4), HObject::is_snap, 10).expect("a member");
        assert_eq!(got.data, ranges(&[]));
        assert_eq!(got.clones, [(soid(2), ranges(&[(10, 90)])), (soid(6), ranges(&[(0, 10)]))].into());
        let got = clone_subsets(&family(), &soid(2), |c| c.snap == 6, 10).expect("a member");
        assert_eq!(got.data, ranges(&[(0, 20)]));
        assert_eq!(clone_subsets(&family(), &soid(3), |_| true, 10), None);
    }

    #[test]
    fn a_clone_takes_from_the_head_if_no_newer_clone_is_there() {
        let got = clone_subsets(&family(), &soid(4), |c| c.is_head(), 10).expect("a member");
        assert_eq!(got.data, ranges(&[(10, 20)]));
        assert_eq!(got.clones, [(soid(SNAP_HEAD), ranges(&[(0, 10), (30, 70)]))].into());
        assert_eq!(shared_with_head(&family(), 4), ranges(&[(0, 10), (30, 70)]));
        assert_eq!(shared_with_head(&family(), 5), ranges(&[]));
    }

    #[test]
    fn what_would_be_too_many_pieces_is_sent_whole() {
        let got = head_subsets(&family(), &soid(SNAP_HEAD), 100, |_| true, 1);
        assert_eq!(got, Subsets { data: whole(100), clones: BTreeMap::new() });
    }

    #[test]
    fn a_receiver_without_clones_gets_everything() {
        let got = clone_subsets(&family(), &soid(4), |_| false, 10);
        assert_eq!(got, Some(Subsets { data: whole(100), clones: BTreeMap::new() }));
    }
}
