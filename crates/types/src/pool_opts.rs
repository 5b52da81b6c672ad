//! A pool's options and hit-set parameters.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::features;
use crate::framed::framed;

/// The value of a pool option.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolOptValue {
    Str(String),
    Int(i64),
    Double(f64),
}

/// What an option's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolOptType {
    Str,
    Int,
    Double,
}

/// Name, key on the wire and type of each option, by name as Ceph prints them.
pub const POOL_OPTS: [(&str, i32, PoolOptType); 20] = [
    ("compression_algorithm", 7, PoolOptType::Str),
    ("compression_max_blob_size", 9, PoolOptType::Int),
    ("compression_min_blob_size", 10, PoolOptType::Int),
    ("compression_mode", 6, PoolOptType::Str),
    ("compression_required_ratio", 8, PoolOptType::Double),
    ("csum_max_block", 12, PoolOptType::Int),
    ("csum_min_block", 13, PoolOptType::Int),
    ("csum_type", 11, PoolOptType::Int),
    ("deep_scrub_interval", 2, PoolOptType::Double),
    ("fingerprint_algorithm", 14, PoolOptType::Str),
    ("pg_autoscale_bias", 18, PoolOptType::Double),
    ("pg_num_min", 15, PoolOptType::Int),
    ("read_lease_interval", 19, PoolOptType::Double),
    ("recovery_op_priority", 4, PoolOptType::Int),
    ("recovery_priority", 3, PoolOptType::Int),
    ("scrub_max_interval", 1, PoolOptType::Double),
    ("scrub_min_interval", 0, PoolOptType::Double),
    ("scrub_priority", 5, PoolOptType::Int),
    ("target_size_bytes", 16, PoolOptType::Int),
    ("target_size_ratio", 17, PoolOptType::Double),
];

/// `pool_opts_t`: the options that are set, by their key on the wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolOpts(pub BTreeMap<i32, PoolOptValue>);

impl PoolOpts {
    pub fn get(&self, name: &str) -> Option<&PoolOptValue> {
        let (_, key, _) = POOL_OPTS.iter().find(|(n, ..)| *n == name)?;
        self.0.get(key)
    }

    pub fn get_f64(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            PoolOptValue::Double(v) => Some(*v),
            PoolOptValue::Int(v) => Some(*v as f64),
            PoolOptValue::Str(_) => None,
        }
    }

    pub fn get_i64(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            PoolOptValue::Int(v) => Some(*v),
            _ => None,
        }
    }

    /// Sets the option, or with `None` unsets it; false if there is none of that name.
    pub fn set(&mut self, name: &str, value: Option<PoolOptValue>) -> bool {
        let Some((_, key, _)) = POOL_OPTS.iter().find(|(n, ..)| *n == name) else { return false };
        match value {
            Some(value) => self.0.insert(*key, value),
            None => self.0.remove(key),
        };
        true
    }
}

impl Encode for PoolOpts {
    fn encode(&self, e: &mut Encoder) {
        let wide = e.has_feature(features::SERVER_NAUTILUS);
        e.versioned(if wide { 2 } else { 1 }, 1, |e| {
            e.u32(u32::try_from(self.0.len()).expect("there are few options"));
            for (key, value) in &self.0 {
                e.i32(*key);
                match value {
                    PoolOptValue::Str(s) => {
                        e.i32(0);
                        e.string(s);
                    }
                    PoolOptValue::Int(v) => {
                        e.i32(1);
                        // Before nautilus these had 32 bits.
                        if wide { e.i64(*v) } else { e.i32(*v as i32) }
                    }
                    PoolOptValue::Double(v) => {
                        e.i32(2);
                        e.f64(*v);
                    }
                }
            }
        });
    }
}

impl Decode for PoolOpts {
    const MIN_SIZE: usize = 10;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pool_opts_t", 2, |d, v| {
            let n = d.count(12)?;
            let mut out = BTreeMap::new();
            for _ in 0..n {
                let key = d.i32()?;
                let value = match d.i32()? {
                    0 => PoolOptValue::Str(d.string()?),
                    1 if v >= 2 => PoolOptValue::Int(d.i64()?),
                    1 => PoolOptValue::Int(d.i32()?.into()),
                    2 => PoolOptValue::Double(d.f64()?),
                    t => return Err(DecodeError::Invalid { what: "pool_opts_t type", value: t as u64 }),
                };
                out.insert(key, value);
            }
            Ok(Self(out))
        })
    }
}

/// `BloomHitSet::Params`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BloomParams {
    pub fpp_micro: u32,
    pub target_size: u64,
    pub seed: u64,
}

framed! { BloomParams, "BloomHitSet::Params", 1, compat 1, min 1; fpp_micro, target_size, seed; }

/// `HitSet::Params`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HitSetParams {
    #[default]
    None,
    ExplicitHash,
    ExplicitObject,
    Bloom(BloomParams),
}

impl HitSetParams {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ExplicitHash => "explicit_hash",
            Self::ExplicitObject => "explicit_object",
            Self::Bloom(_) => "bloom",
        }
    }
}

impl Encode for HitSetParams {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| match self {
            Self::None => e.u8(0),
            Self::ExplicitHash => e.u8(1),
            Self::ExplicitObject => e.u8(2),
            Self::Bloom(p) => {
                e.u8(3);
                e.put(p);
            }
        });
    }
}

impl Decode for HitSetParams {
    const MIN_SIZE: usize = 7;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("HitSet::Params", 1, |d, _| match d.u8()? {
            0 => Ok(Self::None),
            1 => Ok(Self::ExplicitHash),
            2 => Ok(Self::ExplicitObject),
            3 => Ok(Self::Bloom(d.get()?)),
            t => Err(DecodeError::Invalid { what: "HitSet type", value: t.into() }),
        })
    }
}
