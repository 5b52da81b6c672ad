//! `coll_t`: where objects are kept together, and how that is written.
//!
//! A PG's collection is not a box but a range: the objects of its pool whose hash ends in the PG's bits.
//! In the order of `ghobject_t` they lie side by side, so a PG is split, or merged with its sibling, by
//! changing how many bits count; no object moves (BlueStore does the same).

use std::fmt;

use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};
use types::{GHObject, HObject, NO_SHARD, PgId, SNAP_HEAD, SpgId};

/// `coll_t`: one collection a PG, one for the OSD itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coll {
    #[default]
    Meta,
    Pg(SpgId),
    /// Objects under way to their PG (recovery pushes are assembled here).
    Temp(SpgId),
}

impl fmt::Display for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Pg(pg) => write!(f, "{pg}_head"),
            Self::Temp(pg) => write!(f, "{pg}_TEMP"),
        }
    }
}

impl fmt::Debug for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const TYPE_META: u8 = 0;
const TYPE_PG: u8 = 2;

fn low_bits(bits: u32) -> u32 {
    u32::MAX.checked_shr(u32::BITS - bits.min(u32::BITS)).unwrap_or(0)
}

impl Coll {
    /// The first object that the collection may hold and the first beyond it, if `bits` bits of the hash count.
    pub fn bounds(self, bits: u32) -> (GHObject, GHObject) {
        let Self::Pg(pg) = self else { return (GHObject::min(), GHObject::max()) };
        let at = |pool, hash| {
            let hobj = HObject { pool, hash, snap: 0, ..HObject::default() };
            GHObject { shard: pg.shard, ..GHObject::from(hobj) }
        };
        let PgId { pool, seed } = pg.pgid;
        let seed = seed & low_bits(bits);
        // Objects are ordered by their hash with its bits reversed.
        let last = seed.reverse_bits() | u32::MAX.checked_shr(bits).unwrap_or(0);
        let end = last.checked_add(1).map_or(at(pool.saturating_add(1), 0), |end| at(pool, end.reverse_bits()));
        (at(pool, seed), end)
    }

    /// Whether the object belongs into the collection, if `bits` bits of the hash count.
    pub fn holds(self, bits: u32, oid: &GHObject) -> bool {
        let Self::Pg(pg) = self else { return true };
        let h = &oid.hobj;
        let mine = (h.hash ^ pg.pgid.seed) & low_bits(bits) == 0;
        mine && oid.shard == pg.shard && h.pool == pg.pgid.pool && !h.max && !oid.max
    }

    /// Whether both are PGs of one pool (and shard) that are, or were, one PG while `bits` bits counted.
    pub fn is_sibling(self, other: Self, bits: u32) -> bool {
        let (Self::Pg(a), Self::Pg(b)) = (self, other) else { return false };
        let same = (a.pgid.seed ^ b.pgid.seed) & low_bits(bits) == 0;
        same && a.pgid.pool == b.pgid.pool && a.shard == b.shard
    }

    /// Whether `rem` is what the hashes of the PG's objects end in, if `bits` bits count.
    pub fn ends_in(self, bits: u32, rem: u32) -> bool {
        matches!(self, Self::Pg(pg) if (pg.pgid.seed ^ rem) & low_bits(bits) == 0)
    }

    /// The inverse of `Display` for collections of PGs.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "meta" {
            return Some(Self::Meta);
        }
        let (pg, kind) = name.rsplit_once('_')?;
        let (pgid, shard) = match pg.split_once('s') {
            Some((pgid, shard)) => (pgid, shard.parse().ok()?),
            None => (pg, NO_SHARD),
        };
        let pg = SpgId { pgid: pgid.parse::<PgId>().ok()?, shard };
        match kind {
            "head" => Some(Self::Pg(pg)),
            "TEMP" => Some(Self::Temp(pg)),
            _ => None,
        }
    }
}

/// Ceph: `coll_t::encode`: version 2 in fields; a temporary collection only has a version 3, as text.
impl Encode for Coll {
    fn encode(&self, e: &mut Encoder) {
        let (kind, pg) = match self {
            Self::Temp(_) => {
                e.u8(3);
                return e.string(&self.to_string());
            }
            Self::Meta => (TYPE_META, SpgId::default()),
            Self::Pg(pg) => (TYPE_PG, *pg),
        };
        e.u8(2);
        e.u8(kind);
        e.put(&pg);
        e.u64(SNAP_HEAD);
    }
}

impl Decode for Coll {
    const MIN_SIZE: usize = 5;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.u8()? {
            2 => {
                let kind = d.u8()?;
                let pg = d.get()?;
                d.u64()?;
                match kind {
                    TYPE_META => Ok(Self::Meta),
                    TYPE_PG => Ok(Self::Pg(pg)),
                    _ => Err(DecodeError::Invalid { what: "coll_t type", value: kind.into() }),
                }
            }
            3 => {
                let name: ByteStr = d.get()?;
                Self::parse(&name.to_string_lossy())
                    .ok_or(DecodeError::Invalid { what: "coll_t name length", value: name.len() as u64 })
            }
            version => Err(DecodeError::TooOld { what: "coll_t", version }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collection_holds_is_what_lies_within_its_bounds() {
        for (seed, bits) in [(0, 0), (0, 1), (1, 1), (5, 3), (7, 3), (4, 3), (u32::MAX, 32)] {
            let coll = Coll::Pg(PgId::new(3, seed).into());
            let (first, end) = coll.bounds(bits);
            for pool in [2, 3, 4] {
                for hash in (0..32).chain([seed, !seed, u32::MAX, u32::MAX - 1]) {
                    for oid in ["", "a"] {
                        let oid: GHObject =
                            HObject { pool, hash, snap: SNAP_HEAD, oid: oid.into(), ..HObject::default() }.into();
                        assert_eq!(coll.holds(bits, &oid), first <= oid && oid < end, "{coll} {bits} {oid}");
                    }
                }
            }
        }
    }
}
