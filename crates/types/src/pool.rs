//! Pools: what the OSD map says about one, and how its objects spread over its PGs.

use std::collections::{BTreeMap, BTreeSet};

use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

use crate::framed::framed;
use crate::hash;
use crate::ids::{EVersion, Epoch, OsdId, PgId, PgShard, PoolId, ShardId, SnapId};
use crate::interval_set::IntervalSet;
use crate::object::SnapContext;
use crate::pool_opts::{HitSetParams, PoolOpts};
use crate::time::UTime;
use crate::{NO_SHARD, features};

pub const POOL_TYPE_REPLICATED: u8 = 1;
pub const POOL_TYPE_ERASURE: u8 = 3;

/// `CRUSH_ITEM_NONE`: a hole in an up or acting set.
pub const CRUSH_ITEM_NONE: OsdId = 0x7fff_ffff;

/// Bits of [`PgPool::flags`], and their names by bit.
pub mod flag {
    pub const HASHPSPOOL: u64 = 1 << 0;
    pub const FULL: u64 = 1 << 1;
    pub const EC_OVERWRITES: u64 = 1 << 2;
    pub const INCOMPLETE_CLONES: u64 = 1 << 3;
    pub const NODELETE: u64 = 1 << 4;
    pub const NOPGCHANGE: u64 = 1 << 5;
    pub const NOSIZECHANGE: u64 = 1 << 6;
    pub const WRITE_FADVISE_DONTNEED: u64 = 1 << 7;
    pub const NOSCRUB: u64 = 1 << 8;
    pub const NODEEP_SCRUB: u64 = 1 << 9;
    pub const FULL_QUOTA: u64 = 1 << 10;
    pub const NEARFULL: u64 = 1 << 11;
    pub const BACKFILLFULL: u64 = 1 << 12;
    pub const SELFMANAGED_SNAPS: u64 = 1 << 13;
    pub const POOL_SNAPS: u64 = 1 << 14;
    pub const CREATING: u64 = 1 << 15;

    pub const NAMES: [&str; 16] = [
        "hashpspool",
        "full",
        "ec_overwrites",
        "incomplete_clones",
        "nodelete",
        "nopgchange",
        "nosizechange",
        "write_fadvise_dontneed",
        "noscrub",
        "nodeep-scrub",
        "full_quota",
        "nearfull",
        "backfillfull",
        "selfmanaged_snaps",
        "pool_snaps",
        "creating",
    ];

    /// The bit that a name stands for.
    pub fn by_name(name: &str) -> Option<u64> {
        NAMES.iter().position(|n| *n == name).map(|bit| 1 << bit)
    }
}

/// Values of [`PgPool::pg_autoscale_mode`].
pub const PG_AUTOSCALE_OFF: u8 = 0;
pub const PG_AUTOSCALE_WARN: u8 = 1;
pub const PG_AUTOSCALE_ON: u8 = 2;

/// `pool_snap_info_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolSnapInfo {
    pub snapid: SnapId,
    pub stamp: UTime,
    pub name: String,
}

framed! { PoolSnapInfo, "pool_snap_info_t", 2, compat 2, min 2; snapid, stamp, name; }

/// `pg_merge_meta_t`: how far the two halves of the latest merge were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgMergeMeta {
    pub source_pgid: PgId,
    pub ready_epoch: Epoch,
    pub last_epoch_started: Epoch,
    pub last_epoch_clean: Epoch,
    pub source_version: EVersion,
    pub target_version: EVersion,
}

framed! { PgMergeMeta, "pg_merge_meta_t", 1, compat 1, min 1;
    source_pgid, ready_epoch, last_epoch_started, last_epoch_clean, source_version, target_version;
}

/// `pg_pool_t`. The fields have Ceph's names.
#[derive(Debug, Clone, PartialEq)]
pub struct PgPool {
    pub create_time: UTime,
    pub flags: u64,
    /// [`POOL_TYPE_REPLICATED`] or [`POOL_TYPE_ERASURE`].
    pub kind: u8,
    pub size: u8,
    pub min_size: u8,
    pub crush_rule: u8,
    pub object_hash: u8,
    pub pg_autoscale_mode: u8,
    pub pg_num: u32,
    pub pgp_num: u32,
    pub pg_num_pending: u32,
    pub pg_num_target: u32,
    pub pgp_num_target: u32,
    /// Stretch pools: in how many buckets peering must find a member; 0 for all other pools.
    pub peering_crush_bucket_count: u32,
    pub peering_crush_bucket_target: u32,
    pub peering_crush_bucket_barrier: u32,
    pub peering_crush_mandatory_member: i32,
    pub properties: BTreeMap<String, String>,
    pub erasure_code_profile: String,
    pub last_change: Epoch,
    pub last_force_op_resend: Epoch,
    pub last_force_op_resend_prenautilus: Epoch,
    pub last_force_op_resend_preluminous: Epoch,
    pub last_pg_merge_meta: PgMergeMeta,
    pub snap_seq: SnapId,
    pub snap_epoch: Epoch,
    pub auid: u64,
    pub quota_max_bytes: u64,
    pub quota_max_objects: u64,
    pub snaps: BTreeMap<SnapId, PoolSnapInfo>,
    pub removed_snaps: IntervalSet,
    pub tiers: BTreeSet<u64>,
    pub tier_of: PoolId,
    pub read_tier: PoolId,
    pub write_tier: PoolId,
    pub cache_mode: u8,
    pub target_max_bytes: u64,
    pub target_max_objects: u64,
    pub cache_target_dirty_ratio_micro: u32,
    pub cache_target_dirty_high_ratio_micro: u32,
    pub cache_target_full_ratio_micro: u32,
    pub cache_min_flush_age: u32,
    pub cache_min_evict_age: u32,
    pub hit_set_params: HitSetParams,
    pub hit_set_period: u32,
    pub hit_set_count: u32,
    pub use_gmt_hitset: bool,
    pub min_read_recency_for_promote: u32,
    pub min_write_recency_for_promote: u32,
    pub hit_set_grade_decay_rate: u32,
    pub hit_set_search_last_n: u32,
    pub stripe_width: u32,
    pub expected_num_objects: u64,
    pub fast_read: bool,
    pub opts: PoolOpts,
    /// Application to its own keys and values.
    pub application_metadata: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for PgPool {
    /// A pool with no PGs, as Ceph's constructor leaves it.
    fn default() -> Self {
        Self {
            create_time: UTime::ZERO,
            flags: 0,
            kind: 0,
            size: 0,
            min_size: 0,
            crush_rule: 0,
            object_hash: 0,
            pg_autoscale_mode: u8::MAX,
            pg_num: 0,
            pgp_num: 0,
            pg_num_pending: 0,
            pg_num_target: 0,
            pgp_num_target: 0,
            peering_crush_bucket_count: 0,
            peering_crush_bucket_target: 0,
            peering_crush_bucket_barrier: 0,
            peering_crush_mandatory_member: CRUSH_ITEM_NONE,
            properties: BTreeMap::new(),
            erasure_code_profile: String::new(),
            last_change: 0,
            last_force_op_resend: 0,
            last_force_op_resend_prenautilus: 0,
            last_force_op_resend_preluminous: 0,
            last_pg_merge_meta: PgMergeMeta::default(),
            snap_seq: 0,
            snap_epoch: 0,
            auid: 0,
            quota_max_bytes: 0,
            quota_max_objects: 0,
            snaps: BTreeMap::new(),
            removed_snaps: IntervalSet::default(),
            tiers: BTreeSet::new(),
            tier_of: -1,
            read_tier: -1,
            write_tier: -1,
            cache_mode: 0,
            target_max_bytes: 0,
            target_max_objects: 0,
            cache_target_dirty_ratio_micro: 0,
            cache_target_dirty_high_ratio_micro: 0,
            cache_target_full_ratio_micro: 0,
            cache_min_flush_age: 0,
            cache_min_evict_age: 0,
            hit_set_params: HitSetParams::None,
            hit_set_period: 0,
            hit_set_count: 0,
            use_gmt_hitset: true,
            min_read_recency_for_promote: 0,
            min_write_recency_for_promote: 0,
            hit_set_grade_decay_rate: 0,
            hit_set_search_last_n: 0,
            stripe_width: 0,
            expected_num_objects: 0,
            fast_read: false,
            opts: PoolOpts::default(),
            application_metadata: BTreeMap::new(),
        }
    }
}

/// All ones below the next power of two (Ceph: `calc_pg_masks`).
fn mask_of(n: u32) -> u32 {
    match n {
        0 => 0,
        n => u32::MAX.checked_shr((n - 1).leading_zeros()).unwrap_or(0),
    }
}

impl PgPool {
    pub fn is_replicated(&self) -> bool {
        self.kind == POOL_TYPE_REPLICATED
    }

    pub fn is_erasure(&self) -> bool {
        self.kind == POOL_TYPE_ERASURE
    }

    pub fn has_flag(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    pub fn is_stretch_pool(&self) -> bool {
        self.peering_crush_bucket_count != 0
    }

    /// Whether a member that leaves an up set leaves no hole (Ceph: `can_shift_osds`).
    pub fn can_shift_osds(&self) -> bool {
        self.is_replicated()
    }

    pub fn allows_ecoverwrites(&self) -> bool {
        self.has_flag(flag::EC_OVERWRITES)
    }

    /// Whether writes must be a whole number of stripes appended at the end.
    pub fn requires_aligned_append(&self) -> bool {
        self.is_erasure() && !self.allows_ecoverwrites()
    }

    pub fn supports_omap(&self) -> bool {
        self.is_replicated()
    }

    pub fn is_tier(&self) -> bool {
        self.tier_of >= 0
    }

    /// `hashpspool,nodelete`
    pub fn flags_string(&self) -> String {
        let name = |bit: usize| flag::NAMES.get(bit).copied().unwrap_or("???");
        let names: Vec<_> = (0..64).filter(|bit| self.flags & 1 << bit != 0).map(name).collect();
        names.join(",")
    }

    pub fn pg_num_mask(&self) -> u32 {
        mask_of(self.pg_num)
    }

    pub fn pgp_num_mask(&self) -> u32 {
        mask_of(self.pgp_num)
    }

    /// The hash of an object by its name or locator key, and its namespace.
    pub fn hash_key(&self, key: &[u8], nspace: &[u8]) -> u32 {
        if nspace.is_empty() {
            return hash::str_hash(self.object_hash, key);
        }
        let mut text = Vec::with_capacity(nspace.len() + 1 + key.len());
        text.extend_from_slice(nspace);
        text.push(0o37);
        text.extend_from_slice(key);
        hash::str_hash(self.object_hash, &text)
    }

    /// The hash of an object, by its name unless a locator key is given.
    pub fn hash_object(&self, oid: &ByteStr, key: &ByteStr, nspace: &ByteStr) -> u32 {
        let placed_by = if key.is_empty() { oid } else { key };
        self.hash_key(placed_by.as_bytes(), nspace.as_bytes())
    }

    /// `raw_hash_to_pg`.
    pub fn hash_to_seed(&self, hash: u32) -> u32 {
        hash::stable_mod(hash, self.pg_num, self.pg_num_mask())
    }

    /// The PG that stores what a PG of full hash precision means.
    pub fn raw_pg_to_pg(&self, raw: PgId) -> PgId {
        PgId { seed: self.hash_to_seed(raw.seed), ..raw }
    }

    /// The placement seed: what CRUSH is asked with (Ceph: `raw_pg_to_pps`).
    pub fn raw_pg_to_pps(&self, raw: PgId) -> u32 {
        let seed = hash::stable_mod(raw.seed, self.pgp_num, self.pgp_num_mask());
        // CRUSH knows 32 bits of a pool's id.
        let pool = raw.pool as u32;
        if self.has_flag(flag::HASHPSPOOL) { hash::crush_hash32_2(seed, pool) } else { seed.wrapping_add(pool) }
    }

    /// Into how many PGs the hash space of this size is divided (Ceph: `get_pg_num_divisor`).
    pub fn pg_num_divisor(&self, pgid: PgId) -> u32 {
        let (n, mask) = (self.pg_num, self.pg_num_mask());
        if n == mask.wrapping_add(1) {
            return n;
        }
        let low = mask >> 1;
        if pgid.seed & low < n & low { mask.wrapping_add(1) } else { low + 1 }
    }

    /// Whether a merge that is under way concerns the PG, as its source or as its target.
    pub fn pending_merge(&self, pgid: PgId) -> Option<MergeRole> {
        if self.pg_num_pending >= self.pg_num || pgid.seed >= self.pg_num {
            return None;
        }
        if pgid.seed >= self.pg_num_pending {
            return Some(MergeRole::Source);
        }
        let merges = |seed: u32| PgId { seed, ..pgid }.parent() == Some(pgid);
        (self.pg_num_pending..self.pg_num).any(merges).then_some(MergeRole::Target)
    }

    pub fn is_pool_snaps_mode(&self) -> bool {
        self.has_flag(flag::POOL_SNAPS)
    }

    pub fn is_unmanaged_snaps_mode(&self) -> bool {
        self.has_flag(flag::SELFMANAGED_SNAPS)
    }

    pub fn is_removed_snap(&self, snap: SnapId) -> bool {
        if self.is_pool_snaps_mode() {
            snap <= self.snap_seq && !self.snaps.contains_key(&snap)
        } else {
            self.removed_snaps.contains(snap)
        }
    }

    pub fn snap_by_name(&self, name: &str) -> Option<SnapId> {
        self.snaps.values().find(|s| s.name == name).map(|s| s.snapid)
    }

    /// Makes a pool snapshot; gives its id.
    pub fn add_snap(&mut self, name: &str, stamp: UTime) -> SnapId {
        self.flags |= flag::POOL_SNAPS;
        self.snap_seq += 1;
        let snapid = self.snap_seq;
        self.snaps.insert(snapid, PoolSnapInfo { snapid, stamp, name: name.to_owned() });
        snapid
    }

    /// Gives out an id for a snapshot that the client manages. The first is 2, as in Ceph, where 1 was
    /// once marked removed to tell the two modes apart.
    pub fn add_unmanaged_snap(&mut self) -> SnapId {
        if self.snap_seq == 0 {
            self.snap_seq = 1;
        }
        self.flags |= flag::SELFMANAGED_SNAPS;
        self.snap_seq += 1;
        self.snap_seq
    }

    pub fn remove_snap(&mut self, snap: SnapId) {
        self.snaps.remove(&snap);
        self.snap_seq += 1;
    }

    pub fn remove_unmanaged_snap(&mut self) {
        self.snap_seq += 1;
    }

    /// The pool snapshots as writes must carry them.
    pub fn snap_context(&self) -> SnapContext {
        SnapContext { seq: self.snap_seq, snaps: self.snaps.keys().rev().copied().collect() }
    }

    /// An up or acting set as PG shards; holes are left out.
    pub fn to_pg_shards(&self, osds: &[OsdId]) -> BTreeSet<PgShard> {
        let shard = |i: usize| if self.is_erasure() { i as ShardId } else { NO_SHARD };
        let present = osds.iter().enumerate().filter(|(_, osd)| **osd != CRUSH_ITEM_NONE);
        present.map(|(i, osd)| PgShard { osd: *osd, shard: shard(i) }).collect()
    }

    fn encoding_version(&self, e: &Encoder) -> u8 {
        if !e.has_feature(features::NEW_OSDOP_ENCODING) {
            21
        } else if !e.has_feature(features::SERVER_LUMINOUS) {
            24
        } else if !e.has_feature(features::SERVER_MIMIC) {
            26
        } else if !e.has_feature(features::SERVER_NAUTILUS) {
            27
        } else if !self.is_stretch_pool() {
            29
        } else {
            30
        }
    }

    fn encode_tail(&self, e: &mut Encoder, v: u8) {
        if v >= 22 {
            e.bool(self.fast_read);
            e.u32(self.hit_set_grade_decay_rate);
            e.u32(self.hit_set_search_last_n);
            e.put(&self.opts);
        }
        if v >= 25 {
            e.u32(self.last_force_op_resend_prenautilus);
            e.put(&self.application_metadata);
        }
        if v >= 27 {
            e.put(&self.create_time);
        }
        if v >= 28 {
            e.u32(self.pg_num_target);
            e.u32(self.pgp_num_target);
            e.u32(self.pg_num_pending);
            e.u32(0); // two epochs that only 14.1.0 and 14.1.1 had
            e.u32(0);
            e.u32(self.last_force_op_resend);
            e.u8(self.pg_autoscale_mode);
            e.put(&self.last_pg_merge_meta);
        }
        if v >= 30 {
            e.u32(self.peering_crush_bucket_count);
            e.u32(self.peering_crush_bucket_target);
            e.u32(self.peering_crush_bucket_barrier);
            e.i32(self.peering_crush_mandatory_member);
        }
    }

    fn decode_tail(&mut self, d: &mut Decoder, v: u8) -> Result<(), DecodeError> {
        self.fast_read = d.bool()?;
        self.hit_set_grade_decay_rate = d.u32()?;
        self.hit_set_search_last_n = d.u32()?;
        self.opts = d.get()?;
        self.last_force_op_resend_prenautilus = d.u32()?;
        self.application_metadata = d.get()?;
        if v >= 27 {
            self.create_time = d.get()?;
        }
        if v >= 28 {
            self.pg_num_target = d.u32()?;
            self.pgp_num_target = d.u32()?;
            self.pg_num_pending = d.u32()?;
            d.skip(8)?;
            self.last_force_op_resend = d.u32()?;
            self.pg_autoscale_mode = d.u8()?;
        } else {
            self.pg_num_target = self.pg_num;
            self.pgp_num_target = self.pgp_num;
            self.pg_num_pending = self.pg_num;
            self.last_force_op_resend = self.last_force_op_resend_prenautilus;
            self.pg_autoscale_mode = PG_AUTOSCALE_WARN;
        }
        if v >= 29 {
            self.last_pg_merge_meta = d.get()?;
        }
        // Release 19 writes a byte before these that says whether they are there.
        if v == 30 || v > 30 && d.bool()? {
            self.peering_crush_bucket_count = d.u32()?;
            self.peering_crush_bucket_target = d.u32()?;
            self.peering_crush_bucket_barrier = d.u32()?;
            self.peering_crush_mandatory_member = d.i32()?;
        }
        Ok(())
    }

    /// Snapshots without a mode were made before the mode was written down.
    fn mend_snap_mode(&mut self) {
        if self.snap_seq > 0 && !self.has_flag(flag::SELFMANAGED_SNAPS | flag::POOL_SNAPS) {
            self.flags |= if self.removed_snaps.is_empty() { flag::POOL_SNAPS } else { flag::SELFMANAGED_SNAPS };
        }
    }
}

/// What a PG is to a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeRole {
    Source,
    Target,
}

impl Encode for PgPool {
    fn encode(&self, e: &mut Encoder) {
        let v = self.encoding_version(e);
        e.versioned(v, 5, |e| {
            e.u8(self.kind);
            e.u8(self.size);
            e.u8(self.crush_rule);
            e.u8(self.object_hash);
            e.u32(self.pg_num);
            e.u32(self.pgp_num);
            e.u64(0); // counts of localized PGs, which are no more
            e.u32(self.last_change);
            e.u64(self.snap_seq);
            e.u32(self.snap_epoch);
            e.put(&self.snaps);
            e.put(&self.removed_snaps);
            e.u64(self.auid);
            let unknown_before_mimic = flag::SELFMANAGED_SNAPS | flag::POOL_SNAPS | flag::CREATING;
            e.u64(if v >= 27 { self.flags } else { self.flags & !unknown_before_mimic });
            e.u32(0); // once crash_replay_interval
            e.u8(self.min_size);
            e.u64(self.quota_max_bytes);
            e.u64(self.quota_max_objects);
            e.put(&self.tiers);
            e.i64(self.tier_of);
            e.u8(self.cache_mode);
            e.i64(self.read_tier);
            e.i64(self.write_tier);
            e.put(&self.properties);
            e.put(&self.hit_set_params);
            e.u32(self.hit_set_period);
            e.u32(self.hit_set_count);
            e.u32(self.stripe_width);
            e.u64(self.target_max_bytes);
            e.u64(self.target_max_objects);
            e.u32(self.cache_target_dirty_ratio_micro);
            e.u32(self.cache_target_full_ratio_micro);
            e.u32(self.cache_min_flush_age);
            e.u32(self.cache_min_evict_age);
            e.string(&self.erasure_code_profile);
            e.u32(self.last_force_op_resend_preluminous);
            e.u32(self.min_read_recency_for_promote);
            e.u64(self.expected_num_objects);
            e.u32(self.cache_target_dirty_high_ratio_micro);
            e.u32(self.min_write_recency_for_promote);
            e.bool(self.use_gmt_hitset);
            self.encode_tail(e, v);
        });
    }
}

impl Decode for PgPool {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_pool_t", 30, |d, v| {
            if v < 26 {
                return Err(DecodeError::TooOld { what: "pg_pool_t", version: v });
            }
            let mut p = Self {
                kind: d.u8()?,
                size: d.u8()?,
                crush_rule: d.u8()?,
                object_hash: d.u8()?,
                pg_num: d.u32()?,
                pgp_num: d.u32()?,
                ..Self::default()
            };
            d.skip(8)?;
            p.last_change = d.u32()?;
            p.snap_seq = d.u64()?;
            p.snap_epoch = d.u32()?;
            p.snaps = d.get()?;
            p.removed_snaps = d.get()?;
            p.auid = d.u64()?;
            p.flags = d.u64()?;
            d.skip(4)?;
            p.mend_snap_mode();
            p.min_size = d.u8()?;
            p.quota_max_bytes = d.u64()?;
            p.quota_max_objects = d.u64()?;
            p.tiers = d.get()?;
            p.tier_of = d.i64()?;
            p.cache_mode = d.u8()?;
            p.read_tier = d.i64()?;
            p.write_tier = d.i64()?;
            p.properties = d.get()?;
            p.hit_set_params = d.get()?;
            p.hit_set_period = d.u32()?;
            p.hit_set_count = d.u32()?;
            p.stripe_width = d.u32()?;
            p.target_max_bytes = d.u64()?;
            p.target_max_objects = d.u64()?;
            p.cache_target_dirty_ratio_micro = d.u32()?;
            p.cache_target_full_ratio_micro = d.u32()?;
            p.cache_min_flush_age = d.u32()?;
            p.cache_min_evict_age = d.u32()?;
            p.erasure_code_profile = d.string()?;
            p.last_force_op_resend_preluminous = d.u32()?;
            p.min_read_recency_for_promote = d.u32()?;
            p.expected_num_objects = d.u64()?;
            p.cache_target_dirty_high_ratio_micro = d.u32()?;
            p.min_write_recency_for_promote = d.u32()?;
            p.use_gmt_hitset = d.bool()?;
            p.decode_tail(d, v)?;
            Ok(p)
        })
    }
}
