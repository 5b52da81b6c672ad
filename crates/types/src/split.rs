//! How PGs descend from each other when a pool's `pg_num` grows or shrinks.

use std::collections::BTreeSet;

use crate::hash::stable_mod;
use crate::hobject::{HObject, SNAP_HEAD};
use crate::ids::PgId;

/// Bits that a number needs (Ceph: `cbits`).
pub fn cbits(n: u32) -> u32 {
    u32::BITS - n.leading_zeros()
}

fn low_bits(n: u32) -> u32 {
    u32::MAX.checked_shr(u32::BITS - n.min(u32::BITS)).unwrap_or(0)
}

impl PgId {
    /// The PG from which this one split off; the first PG of a pool has none.
    pub fn parent(self) -> Option<Self> {
        let bits = cbits(self.seed).checked_sub(1)?;
        Some(Self { seed: self.seed & low_bits(bits), ..self })
    }

    /// The PG that held this one's objects when the pool had `old_pg_num` PGs.
    pub fn ancestor(self, old_pg_num: u32) -> Self {
        Self { seed: stable_mod(self.seed, old_pg_num, low_bits(cbits(old_pg_num))), ..self }
    }

    /// Which PGs split off this one as `pg_num` grows (Ceph: `pg_t::is_split`).
    pub fn split_children(self, old_pg_num: u32, new_pg_num: u32) -> BTreeSet<Self> {
        let mut children = BTreeSet::new();
        if self.seed >= old_pg_num || new_pg_num <= old_pg_num {
            return children;
        }
        let bits = cbits(old_pg_num);
        let step = 1_u64 << (bits - 1);
        let candidates = (1..).map(|n| (n * step) | u64::from(self.seed));
        for seed in candidates.take_while(|s| *s < u64::from(new_pg_num)) {
            let seed = u32::try_from(seed).expect("it is below new_pg_num");
            if seed >= old_pg_num && seed != self.seed && stable_mod(seed, old_pg_num, low_bits(bits)) == self.seed {
                children.insert(Self { seed, ..self });
            }
        }
        children
    }

    pub fn is_split(self, old_pg_num: u32, new_pg_num: u32) -> bool {
        !self.split_children(old_pg_num, new_pg_num).is_empty()
    }

    /// The PG into which this one goes as `pg_num` shrinks (Ceph: `pg_t::is_merge_source`).
    pub fn merge_target(self, old_pg_num: u32, new_pg_num: u32) -> Option<Self> {
        if self.seed >= old_pg_num || self.seed < new_pg_num {
            return None;
        }
        let mut target = self;
        while target.seed >= new_pg_num {
            target = target.parent()?;
        }
        Some(target)
    }

    pub fn is_merge_source(self, old_pg_num: u32, new_pg_num: u32) -> bool {
        self.seed < old_pg_num && self.seed >= new_pg_num
    }

    /// Whether PGs go into this one as `pg_num` shrinks.
    pub fn is_merge_target(self, old_pg_num: u32, new_pg_num: u32) -> bool {
        self.seed < new_pg_num && self.is_split(new_pg_num, old_pg_num)
    }

    /// How many low bits of the hash all objects of this PG share (Ceph: `get_split_bits`).
    pub fn split_bits(self, pg_num: u32) -> u32 {
        let bits = cbits(pg_num);
        if bits <= 1 {
            return 0;
        }
        let half = low_bits(bits - 1);
        if self.seed & half < pg_num & half { bits } else { bits - 1 }
    }

    /// Before every object of this PG.
    pub fn hobj_start(self) -> HObject {
        HObject { hash: self.seed, pool: self.pool, ..HObject::default() }
    }

    /// After every object of this PG.
    pub fn hobj_end(self, pg_num: u32) -> HObject {
        let bits = self.split_bits(pg_num);
        let last = self.seed.reverse_bits() | u32::MAX.checked_shr(bits).unwrap_or(0);
        match last.checked_add(1) {
            Some(end) => HObject { hash: end.reverse_bits(), pool: self.pool, snap: SNAP_HEAD, ..HObject::default() },
            None => HObject::max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_merges_agree_with_where_hashes_go() {
        let place = |hash: u32, pg_num: u32| stable_mod(hash, pg_num, low_bits(cbits(pg_num - 1)));
        for (old, new) in [(1, 2), (1, 16), (3, 7), (8, 12), (12, 16), (6, 20), (16, 17)] {
            for seed in 0..old {
                let pg = PgId::new(1, seed);
                let moved: BTreeSet<u32> = (0..1024)
                    .filter(|h| place(*h, old) == seed)
                    .map(|h| place(h, new))
                    .filter(|s| *s != seed)
                    .collect();
                let children: BTreeSet<u32> = pg.split_children(old, new).iter().map(|c| c.seed).collect();
                assert_eq!(children, moved, "1.{seed:x} of {old} to {new}");
                assert_eq!(pg.is_merge_target(new, old), !moved.is_empty());
                for child in pg.split_children(old, new) {
                    assert_eq!(child.merge_target(new, old), Some(pg));
                    assert_eq!(child.ancestor(old), pg);
                }
            }
        }
    }

    #[test]
    fn a_pg_spans_exactly_its_objects() {
        for pg_num in [1, 2, 3, 7, 8, 12] {
            for hash in (0..u32::MAX).step_by(0x0101_0107) {
                let object = HObject { hash, pool: 1, snap: SNAP_HEAD, oid: "x".into(), ..HObject::default() };
                for seed in 0..pg_num {
                    let pg = PgId::new(1, seed);
                    let within = pg.hobj_start() <= object && object < pg.hobj_end(pg_num);
                    let here = stable_mod(hash, pg_num, low_bits(cbits(pg_num - 1))) == seed;
                    assert_eq!(within, here, "hash {hash:x} and {pg} of {pg_num}");
                    assert_eq!(object.in_pg(pg, pg.split_bits(pg_num)), here);
                }
            }
        }
    }
}
