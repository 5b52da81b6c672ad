//! What a scrub found wrong, as clients ask for it (`SCRUBLS`) and `rados list-inconsistent-obj` shows it.
//!
//! The bits are librados' (`err_t`, `obj_err_t`, `inconsistent_snapset_t`).

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

use crate::hobject::HObject;
use crate::ids::{Epoch, PgShard, SnapId, Version};

/// What is wrong with one copy (`err_t`).
pub mod shard_error {
    pub const MISSING: u64 = 1 << 1;
    pub const STAT_ERROR: u64 = 1 << 2;
    pub const READ_ERROR: u64 = 1 << 3;
    pub const DATA_DIGEST_MISMATCH_INFO: u64 = 1 << 9;
    pub const OMAP_DIGEST_MISMATCH_INFO: u64 = 1 << 10;
    pub const SIZE_MISMATCH_INFO: u64 = 1 << 11;
    pub const INFO_MISSING: u64 = 1 << 14;
    pub const INFO_CORRUPTED: u64 = 1 << 15;
    pub const SNAPSET_MISSING: u64 = 1 << 16;
    pub const SNAPSET_CORRUPTED: u64 = 1 << 17;
    pub const OBJ_SIZE_INFO_MISMATCH: u64 = 1 << 18;

    /// Those that only reading all data finds.
    pub const DEEP: u64 = READ_ERROR | DATA_DIGEST_MISMATCH_INFO | OMAP_DIGEST_MISMATCH_INFO;
    pub const SHALLOW: u64 = MISSING
        | STAT_ERROR
        | SIZE_MISMATCH_INFO
        | INFO_MISSING
        | INFO_CORRUPTED
        | SNAPSET_MISSING
        | SNAPSET_CORRUPTED
        | OBJ_SIZE_INFO_MISMATCH;
}

/// How copies differ from each other (`obj_err_t`).
pub mod object_error {
    pub const OBJECT_INFO_INCONSISTENCY: u64 = 1 << 1;
    pub const DATA_DIGEST_MISMATCH: u64 = 1 << 4;
    pub const OMAP_DIGEST_MISMATCH: u64 = 1 << 5;
    pub const SIZE_MISMATCH: u64 = 1 << 6;
    pub const ATTR_VALUE_MISMATCH: u64 = 1 << 7;
    pub const ATTR_NAME_MISMATCH: u64 = 1 << 8;
    pub const SNAPSET_INCONSISTENCY: u64 = 1 << 9;
    pub const SIZE_TOO_LARGE: u64 = 1 << 11;

    pub const DEEP: u64 = DATA_DIGEST_MISMATCH | OMAP_DIGEST_MISMATCH;
    pub const SHALLOW: u64 = OBJECT_INFO_INCONSISTENCY
        | SIZE_MISMATCH
        | ATTR_VALUE_MISMATCH
        | ATTR_NAME_MISMATCH
        | SNAPSET_INCONSISTENCY
        | SIZE_TOO_LARGE;
}

/// How the snapshots of an object are not what its snapset says (`inconsistent_snapset_t`).
pub mod snapset_error {
    pub const SNAPSET_MISSING: u64 = 1 << 0;
    pub const SNAPSET_CORRUPTED: u64 = 1 << 1;
    pub const CLONE_MISSING: u64 = 1 << 2;
    pub const SNAP_ERROR: u64 = 1 << 3;
    pub const HEADLESS_CLONE: u64 = 1 << 5;
    pub const SIZE_MISMATCH: u64 = 1 << 6;
    pub const INFO_MISSING: u64 = 1 << 7;
    pub const INFO_CORRUPTED: u64 = 1 << 8;
    pub const EXTRA_CLONES: u64 = 1 << 9;
}

/// `librados::object_id_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubObjectId {
    pub name: ByteStr,
    pub nspace: ByteStr,
    pub locator: ByteStr,
    pub snap: SnapId,
}

impl From<&HObject> for ScrubObjectId {
    fn from(o: &HObject) -> Self {
        Self { name: o.oid.clone(), nspace: o.nspace.clone(), locator: o.key.clone(), snap: o.snap }
    }
}

impl Encode for ScrubObjectId {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.name);
            e.put(&self.nspace);
            e.put(&self.locator);
            e.u64(self.snap);
        });
    }
}

impl Decode for ScrubObjectId {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_id_t", 1, |d, _| {
            Ok(Self { name: d.get()?, nspace: d.get()?, locator: d.get()?, snap: d.u64()? })
        })
    }
}

/// `shard_info_t`: one copy of an inconsistent object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubShard {
    /// Bits of [`shard_error`].
    pub errors: u64,
    pub primary: bool,
    pub attrs: BTreeMap<ByteStr, Bytes>,
    pub size: u64,
    pub omap_digest: Option<u32>,
    pub data_digest: Option<u32>,
    /// Its object info is the one that the others are compared with.
    pub selected_oi: bool,
}

impl Encode for ScrubShard {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(3, 3, |e| {
            e.u64(self.errors);
            e.bool(self.primary);
            if self.errors & shard_error::MISSING != 0 {
                return;
            }
            e.put(&self.attrs);
            e.u64(self.size);
            for digest in [self.omap_digest, self.data_digest] {
                e.bool(digest.is_some());
                e.u32(digest.unwrap_or(0));
            }
            e.bool(self.selected_oi);
        });
    }
}

impl Decode for ScrubShard {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("shard_info_t", 3, |d, _| {
            let mut s = Self { errors: d.u64()?, primary: d.bool()?, ..Self::default() };
            if s.errors & shard_error::MISSING != 0 {
                return Ok(s);
            }
            s.attrs = d.get()?;
            s.size = d.u64()?;
            let mut digest = || -> Result<Option<u32>, DecodeError> {
                let (there, value) = (d.bool()?, d.u32()?);
                Ok(there.then_some(value))
            };
            (s.omap_digest, s.data_digest) = (digest()?, digest()?);
            s.selected_oi = d.bool()?;
            Ok(s)
        })
    }
}

/// `inconsistent_obj_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InconsistentObject {
    /// Bits of [`object_error`].
    pub errors: u64,
    pub object: ScrubObjectId,
    /// `user_version` of the object info that counts.
    pub version: Version,
    pub shards: BTreeMap<PgShard, ScrubShard>,
    /// What is wrong with any copy.
    pub union_errors: u64,
}

impl Encode for InconsistentObject {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 2, |e| {
            e.u64(self.errors);
            e.put(&self.object);
            e.u64(self.version);
            e.u32(self.shards.len() as u32);
            for (at, shard) in &self.shards {
                e.versioned(1, 1, |e| {
                    e.i32(at.osd);
                    e.i8(at.shard);
                });
                e.put(shard);
            }
            e.u64(self.union_errors);
        });
    }
}

impl Decode for InconsistentObject {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("inconsistent_obj_t", 2, |d, _| {
            let mut o = Self { errors: d.u64()?, object: d.get()?, version: d.u64()?, ..Self::default() };
            for _ in 0..d.u32()? {
                let at = d.versioned("osd_shard_t", 1, |d, _| Ok(PgShard { osd: d.i32()?, shard: d.i8()? }))?;
                o.shards.insert(at, d.get()?);
            }
            o.union_errors = d.u64()?;
            Ok(o)
        })
    }
}

/// `inconsistent_snapset_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InconsistentSnapset {
    /// Bits of [`snapset_error`].
    pub errors: u64,
    pub object: ScrubObjectId,
    /// Clones that are there and should not be.
    pub clones: Vec<SnapId>,
    pub missing: Vec<SnapId>,
    /// The snapset as it is stored.
    pub snapset: Bytes,
}

impl Encode for InconsistentSnapset {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 1, |e| {
            e.u64(self.errors);
            e.put(&self.object);
            e.put(&self.clones);
            e.put(&self.missing);
            e.put(&self.snapset);
        });
    }
}

impl Decode for InconsistentSnapset {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("inconsistent_snapset_t", 2, |d, v| {
            let mut s =
                Self { errors: d.u64()?, object: d.get()?, clones: d.get()?, missing: d.get()?, ..Self::default() };
            if v >= 2 {
                s.snapset = d.get()?;
            }
            Ok(s)
        })
    }
}

/// `scrub_ls_arg_t`: what the op `SCRUBLS` asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubLsArg {
    /// The interval of an earlier answer; 0: whichever it is.
    pub interval: Epoch,
    pub snapsets: bool,
    /// The last object of an earlier answer. Its locator does not travel.
    pub start_after: ScrubObjectId,
    pub max: u64,
}

impl Encode for ScrubLsArg {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u32(self.interval);
            e.u32(self.snapsets.into());
            e.put(&self.start_after.name);
            e.put(&self.start_after.nspace);
            e.u64(self.start_after.snap);
            e.u64(self.max);
        });
    }
}

impl Decode for ScrubLsArg {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("scrub_ls_arg_t", 1, |d, _| {
            let (interval, snapsets) = (d.u32()?, d.u32()? != 0);
            let start_after =
                ScrubObjectId { name: d.get()?, nspace: d.get()?, snap: d.u64()?, ..ScrubObjectId::default() };
            Ok(Self { interval, snapsets, start_after, max: d.u64()? })
        })
    }
}

/// `scrub_ls_result_t`: encoded [`InconsistentObject`]s or [`InconsistentSnapset`]s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubLsResult {
    pub interval: Epoch,
    pub vals: Vec<Bytes>,
}

impl Encode for ScrubLsResult {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u32(self.interval);
            e.put(&self.vals);
        });
    }
}

impl Decode for ScrubLsResult {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("scrub_ls_result_t", 1, |d, _| Ok(Self { interval: d.u32()?, vals: d.get()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scrub_found_survives_the_way_to_the_client() {
        let copy = ScrubShard {
            errors: shard_error::DATA_DIGEST_MISMATCH_INFO,
            primary: true,
            attrs: [("_".into(), Bytes::from_static(b"oi"))].into(),
            size: 4096,
            omap_digest: Some(u32::MAX),
            data_digest: Some(7),
            selected_oi: true,
        };
        let gone = ScrubShard { errors: shard_error::MISSING, ..ScrubShard::default() };
        let object = InconsistentObject {
            errors: object_error::DATA_DIGEST_MISMATCH,
            object: ScrubObjectId { name: "a".into(), snap: crate::SNAP_HEAD, ..ScrubObjectId::default() },
            version: 3,
            shards: [(PgShard::from(0), copy), (PgShard::from(2), gone)].into(),
            union_errors: shard_error::MISSING,
        };
        let bytes = denc::to_bytes(&object, 0);
        assert_eq!(denc::from_bytes::<InconsistentObject>(bytes).expect("our own encoding"), object);
        let arg = ScrubLsArg { interval: 9, snapsets: true, max: 10, ..ScrubLsArg::default() };
        assert_eq!(denc::from_bytes::<ScrubLsArg>(denc::to_bytes(&arg, 0)).expect("our own encoding"), arg);
    }
}
