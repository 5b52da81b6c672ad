//! Objects: how RADOS names them, and the order in which a PG keeps them.

use std::cmp::Ordering;
use std::fmt;

use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

use crate::ids::{NO_SHARD, PgId, PoolId, ShardId, SnapId};

/// `CEPH_NOSNAP`: the head, that is the object as it is now.
pub const SNAP_HEAD: SnapId = u64::MAX - 1;
/// `CEPH_SNAPDIR`.
pub const SNAP_DIR: SnapId = u64::MAX;
/// `ghobject_t::NO_GEN`.
pub const NO_GEN: u64 = u64::MAX;
/// `INT64_MIN`: the pool of the smallest and the largest `hobject_t`.
const POOL_NONE: PoolId = i64::MIN;

/// `hobject_t`: an object of a pool at a snapshot. Ordered as Ceph lists a PG: by pool, by the hash
/// with its bits reversed, by namespace, locator key, name and snap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HObject {
    pub oid: ByteStr,
    /// The locator key, empty if placement follows the name.
    pub key: ByteStr,
    pub snap: SnapId,
    pub hash: u32,
    /// Greater than every object.
    pub max: bool,
    pub pool: PoolId,
    pub nspace: ByteStr,
}

impl Default for HObject {
    /// The smallest: before every object.
    fn default() -> Self {
        Self {
            oid: ByteStr::default(),
            key: ByteStr::default(),
            snap: 0,
            hash: 0,
            max: false,
            pool: POOL_NONE,
            nspace: ByteStr::default(),
        }
    }
}

impl HObject {
    pub fn min() -> Self {
        Self::default()
    }

    pub fn max() -> Self {
        Self { max: true, ..Self::default() }
    }

    pub fn is_min(&self) -> bool {
        !self.max && self.pool == POOL_NONE && self.snap == 0 && self.hash == 0 && self.oid.is_empty()
    }

    pub fn is_max(&self) -> bool {
        self.max
    }

    pub fn is_head(&self) -> bool {
        self.snap == SNAP_HEAD
    }

    /// A clone kept for a snapshot.
    pub fn is_snap(&self) -> bool {
        !self.max && self.snap < SNAP_HEAD
    }

    pub fn with_snap(&self, snap: SnapId) -> Self {
        Self { snap, ..self.clone() }
    }

    pub fn head(&self) -> Self {
        self.with_snap(SNAP_HEAD)
    }

    /// Whether both are the same object, perhaps at different snapshots.
    pub fn is_same_family(&self, o: &Self) -> bool {
        (self.hash, self.pool, self.max) == (o.hash, o.pool, o.max)
            && (&self.oid, &self.key, &self.nspace) == (&o.oid, &o.key, &o.nspace)
    }

    /// What placement hashes: the locator key, or the name.
    pub fn effective_key(&self) -> &ByteStr {
        if self.key.is_empty() { &self.oid } else { &self.key }
    }

    /// The key by which Ceph sorts within a pool.
    pub fn bitwise_key(&self) -> u32 {
        self.hash.reverse_bits()
    }

    /// Whether the object belongs to `pgid` when the pool is split `bits` bits deep.
    pub fn in_pg(&self, pgid: PgId, bits: u32) -> bool {
        let mask = if bits >= 32 { u32::MAX } else { (1 << bits) - 1 };
        self.pool == pgid.pool && self.hash & mask == pgid.seed
    }
}

impl Ord for HObject {
    fn cmp(&self, o: &Self) -> Ordering {
        self.max
            .cmp(&o.max)
            .then_with(|| self.pool.cmp(&o.pool))
            .then_with(|| self.bitwise_key().cmp(&o.bitwise_key()))
            .then_with(|| self.nspace.cmp(&o.nspace))
            .then_with(|| {
                if self.key.is_empty() && o.key.is_empty() {
                    self.oid.cmp(&o.oid)
                } else {
                    self.effective_key().cmp(o.effective_key()).then_with(|| self.oid.cmp(&o.oid))
                }
            })
            .then_with(|| self.snap.cmp(&o.snap))
    }
}

impl PartialOrd for HObject {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

/// As Ceph logs it: `pool:reversed-hash:namespace:key:name:snap`, or `MIN`/`MAX`.
impl fmt::Display for HObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_max() {
            return f.write_str("MAX");
        }
        if self.is_min() {
            return f.write_str("MIN");
        }
        write!(f, "{}:{:08x}:{}:{}:{}:", self.pool, self.bitwise_key(), self.nspace, self.key, self.oid)?;
        match self.snap {
            SNAP_HEAD => f.write_str("head"),
            SNAP_DIR => f.write_str("snapdir"),
            snap => write!(f, "{snap:x}"),
        }
    }
}

impl fmt::Debug for HObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl HObject {
    fn encode_fields(&self, e: &mut Encoder) {
        e.put(&self.key);
        e.put(&self.oid);
        e.u64(self.snap);
        e.u32(self.hash);
        e.bool(self.max);
        e.put(&self.nspace);
        e.i64(self.pool);
    }

    fn decode_fields(d: &mut Decoder) -> Result<Self, DecodeError> {
        let (key, oid, snap, hash) = (d.get()?, d.get()?, d.u64()?, d.u32()?);
        let (max, nspace, pool) = (d.bool()?, d.get()?, d.i64()?);
        let object = Self { oid, key, snap, hash, max, pool, nspace };
        // Older writers gave the smallest object pool -1 (Ceph: hobject_t::decode).
        let hollow = object.oid.is_empty() && object.snap == 0 && object.hash == 0;
        Ok(match (hollow, object.max, object.pool) {
            (true, false, -1) => Self::min(),
            (true, true, _) => Self::max(),
            _ => object,
        })
    }
}

impl Encode for HObject {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(4, 3, |e| self.encode_fields(e));
    }
}

impl Decode for HObject {
    const MIN_SIZE: usize = 39;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("hobject_t", 4, |d, v| {
            if v < 4 {
                return Err(DecodeError::TooOld { what: "hobject_t", version: v });
            }
            Self::decode_fields(d)
        })
    }
}

/// `ghobject_t`: an object as a store keeps it: with a generation and a shard.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GHObject {
    pub hobj: HObject,
    pub generation: u64,
    pub shard: ShardId,
    pub max: bool,
}

impl From<HObject> for GHObject {
    fn from(hobj: HObject) -> Self {
        Self { max: false, hobj, generation: NO_GEN, shard: NO_SHARD }
    }
}

impl GHObject {
    pub fn min() -> Self {
        HObject::min().into()
    }

    pub fn max() -> Self {
        Self { max: true, ..HObject::max().into() }
    }

    pub fn is_max(&self) -> bool {
        self.max
    }

    /// The object in which a PG keeps its own metadata: nameless, hash = the PG's seed (Ceph:
    /// `make_pgmeta`).
    pub fn pgmeta(pgid: PgId) -> Self {
        HObject { pool: pgid.pool, hash: pgid.seed, snap: SNAP_HEAD, ..HObject::default() }.into()
    }

    pub fn is_pgmeta(&self) -> bool {
        self.hobj.pool >= 0 && self.hobj.oid.is_empty() && !self.max
    }
}

impl Ord for GHObject {
    fn cmp(&self, o: &Self) -> Ordering {
        (self.max.cmp(&o.max))
            .then_with(|| self.shard.cmp(&o.shard))
            .then_with(|| self.hobj.cmp(&o.hobj))
            .then_with(|| self.generation.cmp(&o.generation))
    }
}

impl PartialOrd for GHObject {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}

impl fmt::Display for GHObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.max {
            return f.write_str("GHMAX");
        }
        if self.shard != NO_SHARD {
            write!(f, "{:x}", self.shard)?;
        }
        write!(f, "#{}#", self.hobj)?;
        if self.generation != NO_GEN {
            write!(f, "{:x}", self.generation)?;
        }
        Ok(())
    }
}

impl fmt::Debug for GHObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for GHObject {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(6, 3, |e| {
            self.hobj.encode_fields(e);
            e.u64(self.generation);
            e.i8(self.shard);
            e.bool(self.max);
        });
    }
}

impl Decode for GHObject {
    const MIN_SIZE: usize = 49;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ghobject_t", 6, |d, v| {
            if v < 4 {
                return Err(DecodeError::TooOld { what: "ghobject_t", version: v });
            }
            let hobj = HObject::decode_fields(d)?;
            let (generation, shard) = if v >= 5 { (d.u64()?, d.i8()?) } else { (NO_GEN, NO_SHARD) };
            let max = if v >= 6 { d.bool()? } else { false };
            Ok(Self { hobj, generation, shard, max })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_ordered_by_the_reversed_hash() {
        let at = |hash| HObject { pool: 1, hash, snap: SNAP_HEAD, oid: "a".into(), ..HObject::default() };
        assert!(at(0x8000_0000) < at(1));
        assert!(HObject::min() < at(0) && at(u32::MAX) < HObject::max());
    }
}
