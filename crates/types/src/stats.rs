//! Statistics of objects, PGs and pools.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, SubAssign};

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::framed::framed;
use crate::ids::{EVersion, Epoch, OsdId, PgId, PgShard, Version};
use crate::interval_set::IntervalSet;
use crate::osd_stat::StoreStatfs;
use crate::time::UTime;

macro_rules! object_stat_sum {
    ($($since:literal => $field:ident: $ty:ty,)*) => {
        /// `object_stat_sum_t`: counts over objects. The fields have Ceph's names.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct ObjectStatSum {
            $(pub $field: $ty,)*
        }

        impl AddAssign<&Self> for ObjectStatSum {
            fn add_assign(&mut self, o: &Self) {
                $(self.$field = self.$field.wrapping_add(o.$field);)*
            }
        }

        impl SubAssign<&Self> for ObjectStatSum {
            fn sub_assign(&mut self, o: &Self) {
                $(self.$field = self.$field.wrapping_sub(o.$field);)*
            }
        }

        impl ObjectStatSum {
            /// Raises what is below `min` to it: sums of differences may run negative.
            pub fn floor(&mut self, min: i32) {
                $(self.$field = self.$field.max(min.into());)*
            }

            pub fn is_zero(&self) -> bool {
                *self == Self::default()
            }

            /// Shares for `n` PGs that come of one; nobody knows yet which objects are whose.
            fn shares(&self, n: u32) -> Vec<Self> {
                let of = |i: u32| Self { $($field: share(self.$field.into(), i, n) as $ty,)* };
                (0..n).map(of).collect()
            }
        }

        framed! { ObjectStatSum, "object_stat_sum_t", 20, compat 14, min 17; ; $($since => $field;)* }
    };
}

// The version that brought a field, and the field.
object_stat_sum! {
    17 => num_bytes: i64,
    17 => num_objects: i64,
    17 => num_object_clones: i64,
    17 => num_object_copies: i64,
    17 => num_objects_missing_on_primary: i64,
    17 => num_objects_degraded: i64,
    17 => num_objects_unfound: i64,
    17 => num_rd: i64,
    17 => num_rd_kb: i64,
    17 => num_wr: i64,
    17 => num_wr_kb: i64,
    17 => num_scrub_errors: i64,
    17 => num_objects_recovered: i64,
    17 => num_bytes_recovered: i64,
    17 => num_keys_recovered: i64,
    17 => num_shallow_scrub_errors: i64,
    17 => num_deep_scrub_errors: i64,
    17 => num_objects_dirty: i64,
    17 => num_whiteouts: i64,
    17 => num_objects_omap: i64,
    17 => num_objects_hit_set_archive: i64,
    17 => num_objects_misplaced: i64,
    17 => num_bytes_hit_set_archive: i64,
    17 => num_flush: i64,
    17 => num_flush_kb: i64,
    17 => num_evict: i64,
    17 => num_evict_kb: i64,
    17 => num_promote: i64,
    17 => num_flush_mode_high: i32,
    17 => num_flush_mode_low: i32,
    17 => num_evict_mode_some: i32,
    17 => num_evict_mode_full: i32,
    17 => num_objects_pinned: i64,
    17 => num_objects_missing: i64,
    17 => num_legacy_snapsets: i64,
    17 => num_large_omap_objects: i64,
    18 => num_objects_manifest: i64,
    19 => num_omap_bytes: i64,
    19 => num_omap_keys: i64,
    20 => num_objects_repaired: i64,
}

fn share(all: i64, i: u32, n: u32) -> i64 {
    let n = i64::from(n.max(1));
    all / n + i64::from(i64::from(i) < all % n)
}

impl ObjectStatSum {
    /// What each of `n` PGs shows that one is split into. What was found damaged may be in any of them
    /// (Ceph: `object_stat_sum_t::split`).
    pub fn split(&self, n: u32) -> Vec<Self> {
        let anywhere = |all: i64| if all == 0 { 0 } else { 1 + all / i64::from(n.max(1)) };
        let mut shares = self.shares(n);
        for s in &mut shares {
            s.num_shallow_scrub_errors = anywhere(self.num_shallow_scrub_errors);
            s.num_deep_scrub_errors = anywhere(self.num_deep_scrub_errors);
            s.num_scrub_errors = s.num_shallow_scrub_errors + s.num_deep_scrub_errors;
            s.num_legacy_snapsets = anywhere(self.num_legacy_snapsets);
        }
        shares
    }
}

/// `object_stat_collection_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectStatCollection {
    pub sum: ObjectStatSum,
}

impl AddAssign<&Self> for ObjectStatCollection {
    fn add_assign(&mut self, o: &Self) {
        self.sum += &o.sum;
    }
}

impl SubAssign<&Self> for ObjectStatCollection {
    fn sub_assign(&mut self, o: &Self) {
        self.sum -= &o.sum;
    }
}

impl Encode for ObjectStatCollection {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 2, |e| {
            e.put(&self.sum);
            e.u32(0); // sums by category, which are no more
        });
    }
}

impl Decode for ObjectStatCollection {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_stat_collection_t", 2, |d, _| Ok(Self { sum: d.get()? }))
    }
}

/// `pg_stat_t`: what a PG's primary tells the manager of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgStat {
    pub version: EVersion,
    pub reported_seq: Version,
    pub reported_epoch: Epoch,
    /// Bits of [`crate::flags::pg_state`].
    pub state: u64,
    pub log_start: EVersion,
    pub ondisk_log_start: EVersion,
    pub created: Epoch,
    pub last_epoch_clean: Epoch,
    pub parent: PgId,
    pub parent_split_bits: u32,
    pub last_scrub: EVersion,
    pub last_scrub_stamp: UTime,
    pub stats: ObjectStatCollection,
    pub log_size: i64,
    pub ondisk_log_size: i64,
    pub up: Vec<OsdId>,
    pub acting: Vec<OsdId>,
    pub last_fresh: UTime,
    pub last_change: UTime,
    pub last_active: UTime,
    pub last_clean: UTime,
    pub last_unstale: UTime,
    pub mapping_epoch: Epoch,
    pub last_deep_scrub: EVersion,
    pub last_deep_scrub_stamp: UTime,
    pub stats_invalid: bool,
    pub last_clean_scrub_stamp: UTime,
    pub last_became_active: UTime,
    pub dirty_stats_invalid: bool,
    pub up_primary: OsdId,
    pub acting_primary: OsdId,
    pub omap_stats_invalid: bool,
    pub hitset_stats_invalid: bool,
    pub blocked_by: Vec<OsdId>,
    pub last_undegraded: UTime,
    pub last_fullsized: UTime,
    pub hitset_bytes_stats_invalid: bool,
    pub last_peered: UTime,
    pub last_became_peered: UTime,
    pub pin_stats_invalid: bool,
    pub snaptrimq_len: u32,
    pub purged_snaps: IntervalSet,
    pub manifest_stats_invalid: bool,
    pub avail_no_missing: Vec<PgShard>,
    pub object_location_counts: BTreeMap<BTreeSet<PgShard>, i32>,
}

impl Encode for PgStat {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(26, 22, |e| {
            e.put(&self.version);
            e.u64(self.reported_seq);
            e.u32(self.reported_epoch);
            e.u32(self.state as u32); // the upper half follows below
            e.put(&self.log_start);
            e.put(&self.ondisk_log_start);
            e.u32(self.created);
            e.u32(self.last_epoch_clean);
            e.put(&self.parent);
            e.u32(self.parent_split_bits);
            e.put(&self.last_scrub);
            e.put(&self.last_scrub_stamp);
            e.put(&self.stats);
            e.i64(self.log_size);
            e.i64(self.ondisk_log_size);
            e.put(&self.up);
            e.put(&self.acting);
            e.put(&self.last_fresh);
            e.put(&self.last_change);
            e.put(&self.last_active);
            e.put(&self.last_clean);
            e.put(&self.last_unstale);
            e.u32(self.mapping_epoch);
            e.put(&self.last_deep_scrub);
            e.put(&self.last_deep_scrub_stamp);
            e.bool(self.stats_invalid);
            e.put(&self.last_clean_scrub_stamp);
            e.put(&self.last_became_active);
            e.bool(self.dirty_stats_invalid);
            e.i32(self.up_primary);
            e.i32(self.acting_primary);
            e.bool(self.omap_stats_invalid);
            e.bool(self.hitset_stats_invalid);
            e.put(&self.blocked_by);
            e.put(&self.last_undegraded);
            e.put(&self.last_fullsized);
            e.bool(self.hitset_bytes_stats_invalid);
            e.put(&self.last_peered);
            e.put(&self.last_became_peered);
            e.bool(self.pin_stats_invalid);
            e.u32(self.snaptrimq_len);
            e.u32((self.state >> 32) as u32);
            e.put(&self.purged_snaps);
            e.bool(self.manifest_stats_invalid);
            e.put(&self.avail_no_missing);
            e.put(&self.object_location_counts);
        });
    }
}

impl Decode for PgStat {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_stat_t", 26, |d, v| {
            if v < 24 {
                return Err(DecodeError::TooOld { what: "pg_stat_t", version: v });
            }
            let mut s = Self {
                version: d.get()?,
                reported_seq: d.u64()?,
                reported_epoch: d.u32()?,
                state: d.u32()?.into(),
                log_start: d.get()?,
                ondisk_log_start: d.get()?,
                created: d.u32()?,
                last_epoch_clean: d.u32()?,
                parent: d.get()?,
                parent_split_bits: d.u32()?,
                last_scrub: d.get()?,
                last_scrub_stamp: d.get()?,
                stats: d.get()?,
                log_size: d.i64()?,
                ondisk_log_size: d.i64()?,
                up: d.get()?,
                acting: d.get()?,
                last_fresh: d.get()?,
                last_change: d.get()?,
                last_active: d.get()?,
                last_clean: d.get()?,
                last_unstale: d.get()?,
                mapping_epoch: d.u32()?,
                last_deep_scrub: d.get()?,
                last_deep_scrub_stamp: d.get()?,
                stats_invalid: d.bool()?,
                last_clean_scrub_stamp: d.get()?,
                last_became_active: d.get()?,
                dirty_stats_invalid: d.bool()?,
                up_primary: d.i32()?,
                acting_primary: d.i32()?,
                omap_stats_invalid: d.bool()?,
                hitset_stats_invalid: d.bool()?,
                blocked_by: d.get()?,
                last_undegraded: d.get()?,
                last_fullsized: d.get()?,
                hitset_bytes_stats_invalid: d.bool()?,
                last_peered: d.get()?,
                last_became_peered: d.get()?,
                pin_stats_invalid: d.bool()?,
                snaptrimq_len: d.u32()?,
                ..Self::default()
            };
            s.state |= u64::from(d.u32()?) << 32;
            s.purged_snaps = d.get()?;
            s.manifest_stats_invalid = if v >= 25 { d.bool()? } else { true };
            if v >= 26 {
                s.avail_no_missing = d.get()?;
                s.object_location_counts = d.get()?;
            }
            Ok(s)
        })
    }
}

/// `pool_stat_t`: the sum over a pool's PGs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolStat {
    pub stats: ObjectStatCollection,
    pub log_size: i64,
    pub ondisk_log_size: i64,
    /// Copies over all up sets.
    pub up: i32,
    pub acting: i32,
    pub store_stats: StoreStatfs,
    /// How many OSDs told their usage of the pool.
    pub num_store_stats: i32,
}

framed! { PoolStat, "pool_stat_t", 7, compat 5, min 6;
    stats, log_size, ondisk_log_size, up, acting; 7 => store_stats, num_store_stats;
}

impl PoolStat {
    /// Adds one PG.
    pub fn add_pg(&mut self, pg: &PgStat) {
        self.stats += &pg.stats;
        self.log_size = self.log_size.wrapping_add(pg.log_size);
        self.ondisk_log_size = self.ondisk_log_size.wrapping_add(pg.ondisk_log_size);
        self.up += pg.up.len() as i32;
        self.acting += pg.acting.len() as i32;
    }
}
