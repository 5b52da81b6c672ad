//! What changes from one epoch to the next, and its form on the wire.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddr, EntityAddrVec, Epoch, IntervalSet, OsdId, PgId, PgPool, PoolId, UTime, Uuid};

use crate::map::{ErasureCodeProfiles, StretchMode};
use crate::osd::OsdXInfo;
use crate::{OsdMap, Release, blocklist, codec, crc, state};

type Result<T> = std::result::Result<T, DecodeError>;

/// `OSDMap::Incremental`. Empty fields change nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Incremental {
    pub fsid: Uuid,
    /// The epoch that this leads to.
    pub epoch: Epoch,
    pub modified: UTime,
    pub new_pool_max: Option<PoolId>,
    /// All of the flags, not only the changed ones.
    pub new_flags: Option<u32>,
    /// An encoded [`OsdMap`] that replaces everything; may be empty.
    pub fullmap: Bytes,
    /// An encoded CRUSH map; may be empty.
    pub crush: Bytes,
    pub new_max_osd: Option<OsdId>,
    pub new_pools: BTreeMap<PoolId, PgPool>,
    pub new_pool_names: BTreeMap<PoolId, String>,
    pub old_pools: BTreeSet<PoolId>,
    /// OSDs that come up, with their addresses.
    pub new_up_client: BTreeMap<OsdId, EntityAddrVec>,
    /// State bits to flip; 0 means "up", for history's sake.
    pub new_state: BTreeMap<OsdId, u32>,
    pub new_weight: BTreeMap<OsdId, u32>,
    /// An empty list takes the entry away.
    pub new_pg_temp: BTreeMap<PgId, Vec<OsdId>>,
    /// -1 takes the entry away.
    pub new_primary_temp: BTreeMap<PgId, OsdId>,
    pub new_primary_affinity: BTreeMap<OsdId, u32>,
    pub new_erasure_code_profiles: ErasureCodeProfiles,
    pub old_erasure_code_profiles: Vec<String>,
    pub new_pg_upmap: BTreeMap<PgId, Vec<OsdId>>,
    pub old_pg_upmap: BTreeSet<PgId>,
    pub new_pg_upmap_items: BTreeMap<PgId, Vec<(OsdId, OsdId)>>,
    pub old_pg_upmap_items: BTreeSet<PgId>,
    pub new_removed_snaps: BTreeMap<PoolId, IntervalSet>,
    pub new_purged_snaps: BTreeMap<PoolId, IntervalSet>,
    /// Zero changes nothing.
    pub new_last_up_change: UTime,
    pub new_last_in_change: UTime,
    pub new_hb_back_up: BTreeMap<OsdId, EntityAddrVec>,
    pub new_up_thru: BTreeMap<OsdId, Epoch>,
    pub new_last_clean_interval: BTreeMap<OsdId, (Epoch, Epoch)>,
    pub new_lost: BTreeMap<OsdId, Epoch>,
    pub new_blocklist: BTreeMap<EntityAddr, UTime>,
    pub old_blocklist: Vec<EntityAddr>,
    pub new_up_cluster: BTreeMap<OsdId, EntityAddrVec>,
    pub cluster_snapshot: String,
    pub new_uuid: BTreeMap<OsdId, Uuid>,
    pub new_xinfo: BTreeMap<OsdId, OsdXInfo>,
    pub new_hb_front_up: BTreeMap<OsdId, EntityAddrVec>,
    /// With which features the map that results was encoded for `full_crc`.
    pub encode_features: u64,
    pub new_nearfull_ratio: Option<f32>,
    pub new_full_ratio: Option<f32>,
    pub new_backfillfull_ratio: Option<f32>,
    pub new_require_min_compat_client: Option<Release>,
    pub new_require_osd_release: Option<Release>,
    /// 0 takes the entry away.
    pub new_crush_node_flags: BTreeMap<i32, u32>,
    pub new_device_class_flags: BTreeMap<i32, u32>,
    pub new_stretch: Option<StretchMode>,
    pub new_range_blocklist: BTreeMap<EntityAddr, UTime>,
    pub old_range_blocklist: Vec<EntityAddr>,
    /// The checksum of the resulting map's canonical encoding.
    pub full_crc: u32,
    /// Of the bytes that this was decoded from.
    pub inc_crc: u32,
}

impl Incremental {
    /// No change yet, towards `epoch`.
    pub fn new(fsid: Uuid, epoch: Epoch) -> Self {
        Self {
            fsid,
            epoch,
            modified: UTime::ZERO,
            new_pool_max: None,
            new_flags: None,
            fullmap: Bytes::new(),
            crush: Bytes::new(),
            new_max_osd: None,
            new_pools: BTreeMap::new(),
            new_pool_names: BTreeMap::new(),
            old_pools: BTreeSet::new(),
            new_up_client: BTreeMap::new(),
            new_state: BTreeMap::new(),
            new_weight: BTreeMap::new(),
            new_pg_temp: BTreeMap::new(),
            new_primary_temp: BTreeMap::new(),
            new_primary_affinity: BTreeMap::new(),
            new_erasure_code_profiles: BTreeMap::new(),
            old_erasure_code_profiles: Vec::new(),
            new_pg_upmap: BTreeMap::new(),
            old_pg_upmap: BTreeSet::new(),
            new_pg_upmap_items: BTreeMap::new(),
            old_pg_upmap_items: BTreeSet::new(),
            new_removed_snaps: BTreeMap::new(),
            new_purged_snaps: BTreeMap::new(),
            new_last_up_change: UTime::ZERO,
            new_last_in_change: UTime::ZERO,
            new_hb_back_up: BTreeMap::new(),
            new_up_thru: BTreeMap::new(),
            new_last_clean_interval: BTreeMap::new(),
            new_lost: BTreeMap::new(),
            new_blocklist: BTreeMap::new(),
            old_blocklist: Vec::new(),
            new_up_cluster: BTreeMap::new(),
            cluster_snapshot: String::new(),
            new_uuid: BTreeMap::new(),
            new_xinfo: BTreeMap::new(),
            new_hb_front_up: BTreeMap::new(),
            encode_features: 0,
            new_nearfull_ratio: None,
            new_full_ratio: None,
            new_backfillfull_ratio: None,
            new_require_min_compat_client: None,
            new_require_osd_release: None,
            new_crush_node_flags: BTreeMap::new(),
            new_device_class_flags: BTreeMap::new(),
            new_stretch: None,
            new_range_blocklist: BTreeMap::new(),
            old_range_blocklist: Vec::new(),
            full_crc: 0,
            inc_crc: 0,
        }
    }

    /// No change yet, towards the epoch after `map`.
    pub fn after(map: &OsdMap) -> Self {
        Self::new(map.fsid, map.epoch + 1)
    }

    /// Whether it changes nothing, leaving the epoch and stamps aside.
    pub fn is_empty(&self) -> bool {
        let blank = Self {
            modified: self.modified,
            encode_features: self.encode_features,
            full_crc: self.full_crc,
            inc_crc: self.inc_crc,
            ..Self::new(self.fsid, self.epoch)
        };
        *self == blank
    }

    // --- Building one. What is pending counts: a second flip of a bit takes the first back.

    /// Flips state bits of the OSD, on top of what is pending.
    pub fn flip_state(&mut self, osd: OsdId, bits: u32) {
        let pending = self.new_state.entry(osd).or_insert(0);
        *pending ^= bits;
        if *pending == 0 {
            self.new_state.remove(&osd);
        }
    }

    pub fn mark_down(&mut self, map: &OsdMap, osd: OsdId) {
        if self.pending_state(map, osd) & state::UP != 0 {
            self.flip_state(osd, state::UP);
        }
    }

    /// The OSD's state when this is applied (Ceph: `pending_inc.new_state` over `osdmap`), boots aside.
    /// A weight comes first: it makes an OSD exist.
    pub fn pending_state(&self, map: &OsdMap, osd: OsdId) -> u32 {
        let weighed = match self.new_weight.get(&osd) {
            Some(1..) => (map.state(osd) | state::EXISTS) & !(state::AUTOOUT | state::NEW),
            _ => map.state(osd),
        };
        weighed ^ self.new_state.get(&osd).copied().unwrap_or(0)
    }

    /// Sets or clears state bits of the OSD (Ceph: `pending_osd_state_set`, `…_clear`).
    pub fn set_state(&mut self, map: &OsdMap, osd: OsdId, bits: u32, on: bool) {
        let now = self.pending_state(map, osd);
        let wanted = if on { now | bits } else { now & !bits };
        self.flip_state(osd, now ^ wanted);
    }

    /// Sets or clears flags of the map.
    pub fn set_flags(&mut self, map: &OsdMap, bits: u32, on: bool) {
        let now = self.new_flags.unwrap_or(map.flags);
        self.new_flags = Some(if on { now | bits } else { now & !bits });
    }

    /// The pool as this will leave it, to be changed.
    pub fn pool_mut(&mut self, map: &OsdMap, id: PoolId) -> Option<&mut PgPool> {
        if let std::collections::btree_map::Entry::Vacant(e) = self.new_pools.entry(id) {
            e.insert(map.pool(id)?.clone());
        }
        self.new_pools.get_mut(&id)
    }

    /// The OSD's extended info as this will leave it, to be changed.
    pub fn xinfo_mut(&mut self, map: &OsdMap, osd: OsdId) -> &mut OsdXInfo {
        self.new_xinfo.entry(osd).or_insert_with(|| map.xinfo(osd))
    }

    /// The CRUSH map as this will leave it (Ceph: `_get_pending_crush`).
    pub fn pending_crush(&self, map: &OsdMap) -> crush::CrushMap {
        if self.crush.is_empty() {
            return map.crush.as_ref().clone();
        }
        denc::from_bytes(self.crush.clone()).expect("a pending CRUSH map was encoded by set_crush")
    }

    pub fn set_crush(&mut self, map: &OsdMap, crush: &crush::CrushMap) {
        self.crush = denc::to_bytes(crush, map.encoding_features());
    }

    /// Fills in what the monitors do last: applies this to `map`, and notes the features and the checksum.
    /// Gives the next map, its canonical encoding, and this one's.
    ///
    /// # Errors
    /// [`crate::ApplyError`] if it cannot be applied.
    pub fn seal(&mut self, map: &OsdMap) -> std::result::Result<(OsdMap, Bytes, Bytes), crate::ApplyError> {
        let mut next = map.clone();
        next.apply(self)?;
        let full = next.encode_canonical();
        next.crc = OsdMap::crc_of_encoded(&full);
        self.full_crc = next.crc;
        self.encode_features = next.encoding_features();
        let bytes = denc::to_bytes(self, self.encode_features);
        Ok((next, full, bytes))
    }

    fn encode_client_data(&self, e: &mut Encoder) {
        e.put(&self.fsid);
        e.u32(self.epoch);
        e.put(&self.modified);
        e.i64(self.new_pool_max.unwrap_or(-1));
        e.i32(self.new_flags.map_or(-1, u32::cast_signed));
        e.put(&self.fullmap);
        e.put(&self.crush);
        e.i32(self.new_max_osd.unwrap_or(-1));
        e.put(&self.new_pools);
        e.put(&self.new_pool_names);
        e.put(&self.old_pools);
        e.put(&self.new_up_client);
        e.put(&self.new_state);
        e.put(&self.new_weight);
        e.put(&self.new_pg_temp);
        e.put(&self.new_primary_temp);
        e.put(&self.new_primary_affinity);
        e.put(&self.new_erasure_code_profiles);
        e.put(&self.old_erasure_code_profiles);
        e.put(&self.new_pg_upmap);
        e.put(&self.old_pg_upmap);
        e.put(&self.new_pg_upmap_items);
        e.put(&self.old_pg_upmap_items);
        e.put(&self.new_removed_snaps);
        e.put(&self.new_purged_snaps);
        e.put(&self.new_last_up_change);
        e.put(&self.new_last_in_change);
    }

    fn encode_osd_data(&self, version: u8, e: &mut Encoder) {
        e.put(&self.new_hb_back_up);
        e.put(&self.new_up_thru);
        e.put(&self.new_last_clean_interval);
        e.put(&self.new_lost);
        blocklist::encode_map(&self.new_blocklist, e);
        e.put(&self.old_blocklist);
        e.put(&self.new_up_cluster);
        e.string(&self.cluster_snapshot);
        e.put(&self.new_uuid);
        e.put(&self.new_xinfo);
        e.put(&self.new_hb_front_up);
        e.u64(e.features());
        e.f32(self.new_nearfull_ratio.unwrap_or(-1.0));
        e.f32(self.new_full_ratio.unwrap_or(-1.0));
        e.f32(self.new_backfillfull_ratio.unwrap_or(-1.0));
        e.u8(self.new_require_min_compat_client.map_or(0xff, |r| r.0));
        e.u8(self.new_require_osd_release.map_or(0xff, |r| r.0));
        e.put(&self.new_crush_node_flags);
        e.put(&self.new_device_class_flags);
        if version >= 10 {
            let stretch = self.new_stretch.unwrap_or_default();
            e.bool(self.new_stretch.is_some());
            e.u32(stretch.bucket_count);
            e.u32(stretch.degraded);
            e.u32(stretch.recovering);
            e.i32(stretch.bucket);
            e.bool(stretch.enabled);
        }
        if version >= 11 {
            blocklist::encode_map(&self.new_range_blocklist, e);
            e.put(&self.old_range_blocklist);
        }
    }

    fn osd_data_version(&self) -> u8 {
        if !self.new_range_blocklist.is_empty() || !self.old_range_blocklist.is_empty() {
            11
        } else if self.new_stretch.is_some() {
            10
        } else {
            9
        }
    }
}

impl Encode for Incremental {
    /// For peers of release 14 (nautilus) and newer.
    fn encode(&self, e: &mut Encoder) {
        let start = e.len();
        let mut hole = 0;
        e.versioned(8, 7, |e| {
            e.versioned(8, 1, |e| self.encode_client_data(e));
            let version = self.osd_data_version();
            e.versioned(version, 1, |e| self.encode_osd_data(version, e));
            hole = e.reserve_u32();
            e.u32(self.full_crc);
        });
        crc::seal(e, start, hole);
    }
}

impl Decode for Incremental {
    const MIN_SIZE: usize = 200;

    fn decode(d: &mut Decoder) -> Result<Self> {
        let (mut inc, crc, mut tail) = codec::open("OSDMap::Incremental", d, |d| {
            let mut inc = d.versioned("OSDMap::Incremental client data", 8, decode_client_data)?;
            d.versioned("OSDMap::Incremental osd data", 11, |d, v| decode_osd_data(&mut inc, d, v))?;
            Ok(inc)
        })?;
        inc.inc_crc = crc;
        inc.full_crc = tail.u32()?;
        Ok(inc)
    }
}

fn decode_client_data(d: &mut Decoder, v: u8) -> Result<Incremental> {
    if v < 5 {
        return Err(DecodeError::TooOld { what: "OSDMap::Incremental client data", version: v });
    }
    let mut i = Incremental::new(d.get()?, d.u32()?);
    i.modified = d.get()?;
    i.new_pool_max = Some(d.i64()?).filter(|n| *n != -1);
    i.new_flags = u32::try_from(d.i32()?).ok();
    i.fullmap = d.get()?;
    i.crush = d.get()?;
    i.new_max_osd = Some(d.i32()?).filter(|n| *n >= 0);
    i.new_pools = d.get()?;
    i.new_pool_names = d.get()?;
    i.old_pools = d.get()?;
    i.new_up_client = d.get()?;
    i.new_state = d.get()?;
    i.new_weight = d.get()?;
    i.new_pg_temp = d.get()?;
    i.new_primary_temp = d.get()?;
    i.new_primary_affinity = d.get()?;
    i.new_erasure_code_profiles = d.get()?;
    i.old_erasure_code_profiles = d.get()?;
    i.new_pg_upmap = d.get()?;
    i.old_pg_upmap = d.get()?;
    i.new_pg_upmap_items = d.get()?;
    i.old_pg_upmap_items = d.get()?;
    if v >= 6 {
        i.new_removed_snaps = d.get()?;
        i.new_purged_snaps = d.get()?;
    }
    if v >= 8 {
        i.new_last_up_change = d.get()?;
        i.new_last_in_change = d.get()?;
    }
    Ok(i)
}

fn decode_osd_data(i: &mut Incremental, d: &mut Decoder, v: u8) -> Result<()> {
    if v < 6 {
        return Err(DecodeError::TooOld { what: "OSDMap::Incremental osd data", version: v });
    }
    let release = |r: u8| Some(Release(r)).filter(|r| r.0 != 0xff);
    let ratio = |r: f32| Some(r).filter(|r| *r >= 0.0);
    i.new_hb_back_up = d.get()?;
    i.new_up_thru = d.get()?;
    i.new_last_clean_interval = d.get()?;
    i.new_lost = d.get()?;
    i.new_blocklist = blocklist::decode_map(d)?;
    i.old_blocklist = d.get()?;
    i.new_up_cluster = d.get()?;
    i.cluster_snapshot = d.get()?;
    i.new_uuid = d.get()?;
    i.new_xinfo = d.get()?;
    i.new_hb_front_up = d.get()?;
    i.encode_features = d.u64()?;
    i.new_nearfull_ratio = ratio(d.f32()?);
    i.new_full_ratio = ratio(d.f32()?);
    i.new_backfillfull_ratio = ratio(d.f32()?);
    i.new_require_min_compat_client = release(d.u8()?);
    i.new_require_osd_release = release(d.u8()?);
    if v >= 8 {
        i.new_crush_node_flags = d.get()?;
    }
    if v >= 9 {
        i.new_device_class_flags = d.get()?;
    }
    if v >= 10 {
        let change = d.bool()?;
        let mut stretch = StretchMode {
            bucket_count: d.u32()?,
            degraded: d.u32()?,
            recovering: d.u32()?,
            bucket: d.i32()?,
            enabled: false,
        };
        stretch.enabled = d.bool()?;
        i.new_stretch = change.then_some(stretch);
    }
    if v >= 11 {
        i.new_range_blocklist = blocklist::decode_map(d)?;
        i.old_range_blocklist = d.get()?;
    }
    Ok(())
}
