//! What a member finds when it scrubs its part of a PG.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

use crate::hobject::HObject;
use crate::ids::EVersion;

/// `ScrubMap::object`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubObject {
    pub attrs: BTreeMap<ByteStr, Bytes>,
    /// `u64::MAX` until it is known.
    pub size: u64,
    pub omap_digest: u32,
    pub digest: u32,
    pub negative: bool,
    pub digest_present: bool,
    pub omap_digest_present: bool,
    pub read_error: bool,
    pub stat_error: bool,
    pub ec_hash_mismatch: bool,
    pub ec_size_mismatch: bool,
    pub large_omap_object_found: bool,
    pub large_omap_object_key_count: u64,
    pub large_omap_object_value_size: u64,
    pub object_omap_bytes: u64,
    pub object_omap_keys: u64,
}

impl Default for ScrubObject {
    fn default() -> Self {
        Self {
            attrs: BTreeMap::new(),
            size: u64::MAX,
            omap_digest: 0,
            digest: 0,
            negative: false,
            digest_present: false,
            omap_digest_present: false,
            read_error: false,
            stat_error: false,
            ec_hash_mismatch: false,
            ec_size_mismatch: false,
            large_omap_object_found: false,
            large_omap_object_key_count: 0,
            large_omap_object_value_size: 0,
            object_omap_bytes: 0,
            object_omap_keys: 0,
        }
    }
}

impl Encode for ScrubObject {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(10, 7, |e| {
            e.u64(self.size);
            e.bool(self.negative);
            e.put(&self.attrs);
            e.u32(self.digest);
            e.bool(self.digest_present);
            e.u64(0); // once links and snapshot collections
            e.u32(self.omap_digest);
            e.bool(self.omap_digest_present);
            // For readers that know one kind of error.
            e.bool(self.read_error || self.ec_hash_mismatch || self.ec_size_mismatch);
            e.bool(self.stat_error);
            e.bool(self.read_error);
            e.bool(self.ec_hash_mismatch);
            e.bool(self.ec_size_mismatch);
            e.bool(self.large_omap_object_found);
            e.u64(self.large_omap_object_key_count);
            e.u64(self.large_omap_object_value_size);
            e.u64(self.object_omap_bytes);
            e.u64(self.object_omap_keys);
        });
    }
}

impl Decode for ScrubObject {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ScrubMap::object", 10, |d, v| {
            if v < 10 {
                return Err(DecodeError::TooOld { what: "ScrubMap::object", version: v });
            }
            let mut o = Self { size: d.u64()?, negative: d.bool()?, attrs: d.get()?, ..Self::default() };
            o.digest = d.u32()?;
            o.digest_present = d.bool()?;
            let _once: (u32, Vec<u64>) = d.get()?;
            o.omap_digest = d.u32()?;
            o.omap_digest_present = d.bool()?;
            let _some_error = d.bool()?;
            o.stat_error = d.bool()?;
            o.read_error = d.bool()?;
            o.ec_hash_mismatch = d.bool()?;
            o.ec_size_mismatch = d.bool()?;
            o.large_omap_object_found = d.bool()?;
            o.large_omap_object_key_count = d.u64()?;
            o.large_omap_object_value_size = d.u64()?;
            o.object_omap_bytes = d.u64()?;
            o.object_omap_keys = d.u64()?;
            Ok(o)
        })
    }
}

/// `ScrubMap`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubMap {
    pub objects: BTreeMap<HObject, ScrubObject>,
    pub valid_through: EVersion,
    pub incr_since: EVersion,
}

impl Encode for ScrubMap {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(3, 2, |e| {
            e.put(&self.objects);
            e.u64(0); // once attributes and a log
            e.put(&self.valid_through);
            e.put(&self.incr_since);
        });
    }
}

impl Decode for ScrubMap {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ScrubMap", 3, |d, v| {
            if v < 3 {
                return Err(DecodeError::TooOld { what: "ScrubMap", version: v });
            }
            let objects = d.get()?;
            let _once: (BTreeMap<ByteStr, ByteStr>, Bytes) = d.get()?;
            Ok(Self { objects, valid_through: d.get()?, incr_since: d.get()? })
        })
    }
}
