//! The map, and plain questions to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crush::CrushMap;
use types::{EntityAddrVec, Epoch, IntervalSet, OsdId, PgId, PgPool, PoolId, UTime, Uuid};

use crate::blocklist::Blocklist;
use crate::osd::{Osd, OsdInfo, OsdXInfo};
use crate::{DEFAULT_PRIMARY_AFFINITY, Release, flag, state};

/// Erasure-code profiles by name.
pub type ErasureCodeProfiles = BTreeMap<String, BTreeMap<String, String>>;

/// `stretch_mode`: two sites and a tie-breaking monitor. Kept and passed on, not acted upon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StretchMode {
    pub enabled: bool,
    pub bucket_count: u32,
    pub degraded: u32,
    pub recovering: u32,
    pub bucket: i32,
}

/// `OSDMap`: one epoch of the cluster's state. What may be large and seldom changes is shared between
/// epochs, so a clone costs little more than its OSDs.
#[derive(Debug, Clone)]
pub struct OsdMap {
    pub fsid: Uuid,
    pub epoch: Epoch,
    pub created: UTime,
    pub modified: UTime,
    pub pools: BTreeMap<PoolId, Arc<PgPool>>,
    pub pool_names: BTreeMap<PoolId, String>,
    /// The largest pool id there ever was.
    pub pool_max: PoolId,
    /// Bits of [`flag`].
    pub flags: u32,
    /// By id, holes included: the length is Ceph's `max_osd`.
    pub(crate) osds: Vec<Arc<Osd>>,
    /// 16.16: 0 is out, 0x10000 is in. As long as `osds`.
    pub(crate) weights: Vec<u32>,
    /// Only there once one was set. As long as `osds`.
    pub(crate) primary_affinity: Option<Arc<Vec<u32>>>,
    pub pg_temp: Arc<BTreeMap<PgId, Vec<OsdId>>>,
    pub primary_temp: Arc<BTreeMap<PgId, OsdId>>,
    pub crush: Arc<CrushMap>,
    pub erasure_code_profiles: Arc<ErasureCodeProfiles>,
    pub pg_upmap: Arc<BTreeMap<PgId, Vec<OsdId>>>,
    pub pg_upmap_items: Arc<BTreeMap<PgId, Vec<(OsdId, OsdId)>>>,
    pub crush_version: u32,
    /// Snaps removed, and purged, by this very epoch.
    pub new_removed_snaps: BTreeMap<PoolId, IntervalSet>,
    pub new_purged_snaps: BTreeMap<PoolId, IntervalSet>,
    /// Removed and not purged yet.
    pub removed_snaps_queue: BTreeMap<PoolId, IntervalSet>,
    pub last_up_change: UTime,
    pub last_in_change: UTime,
    pub blocklist: Arc<Blocklist>,
    pub cluster_snapshot_epoch: Epoch,
    pub cluster_snapshot: String,
    pub nearfull_ratio: f32,
    pub full_ratio: f32,
    pub backfillfull_ratio: f32,
    pub require_min_compat_client: Release,
    pub require_osd_release: Release,
    /// OSD states that a bucket or class imposes on all below it.
    pub crush_node_flags: BTreeMap<i32, u32>,
    pub device_class_flags: BTreeMap<i32, u32>,
    pub stretch: StretchMode,
    /// Of the bytes that this was decoded from; 0 if it was not.
    pub crc: u32,
}

impl Default for OsdMap {
    /// The map before epoch 1.
    fn default() -> Self {
        Self {
            fsid: Uuid::default(),
            epoch: 0,
            created: UTime::ZERO,
            modified: UTime::ZERO,
            pools: BTreeMap::new(),
            pool_names: BTreeMap::new(),
            pool_max: 0,
            flags: 0,
            osds: Vec::new(),
            weights: Vec::new(),
            primary_affinity: None,
            pg_temp: Arc::default(),
            primary_temp: Arc::default(),
            crush: Arc::default(),
            erasure_code_profiles: Arc::default(),
            pg_upmap: Arc::default(),
            pg_upmap_items: Arc::default(),
            crush_version: 1,
            new_removed_snaps: BTreeMap::new(),
            new_purged_snaps: BTreeMap::new(),
            removed_snaps_queue: BTreeMap::new(),
            last_up_change: UTime::ZERO,
            last_in_change: UTime::ZERO,
            blocklist: Arc::default(),
            cluster_snapshot_epoch: 0,
            cluster_snapshot: String::new(),
            nearfull_ratio: 0.0,
            full_ratio: 0.0,
            backfillfull_ratio: 0.0,
            require_min_compat_client: Release::UNKNOWN,
            require_osd_release: Release::UNKNOWN,
            crush_node_flags: BTreeMap::new(),
            device_class_flags: BTreeMap::new(),
            stretch: StretchMode::default(),
            crc: 0,
        }
    }
}

impl OsdMap {
    // --- OSDs

    /// One more than the largest id that may be used.
    pub fn max_osd(&self) -> OsdId {
        OsdId::try_from(self.osds.len()).expect("decoded and set as a 32-bit number")
    }

    /// Every id in use, ascending.
    pub fn osds(&self) -> impl Iterator<Item = OsdId> {
        (0..self.max_osd()).filter(|osd| self.exists(*osd))
    }

    pub fn osd(&self, osd: OsdId) -> Option<&Osd> {
        self.osds.get(usize::try_from(osd).ok()?).map(Arc::as_ref)
    }

    /// Bits of [`state`]; 0 for ids out of range.
    pub fn state(&self, osd: OsdId) -> u32 {
        self.osd(osd).map_or(0, |o| o.state)
    }

    pub fn exists(&self, osd: OsdId) -> bool {
        self.state(osd) & state::EXISTS != 0
    }

    pub fn is_up(&self, osd: OsdId) -> bool {
        self.state(osd) & (state::EXISTS | state::UP) == state::EXISTS | state::UP
    }

    /// Also for ids that do not exist.
    pub fn is_down(&self, osd: OsdId) -> bool {
        !self.is_up(osd)
    }

    pub fn is_destroyed(&self, osd: OsdId) -> bool {
        self.exists(osd) && self.state(osd) & state::DESTROYED != 0
    }

    /// Also for ids that do not exist.
    pub fn is_out(&self, osd: OsdId) -> bool {
        !self.exists(osd) || self.weight(osd) == 0
    }

    pub fn is_in(&self, osd: OsdId) -> bool {
        !self.is_out(osd)
    }

    /// The up OSD since which epoch; 0 if there is none.
    pub fn up_from(&self, osd: OsdId) -> Epoch {
        self.info(osd).up_from
    }

    /// 16.16; 0 for ids out of range.
    pub fn weight(&self, osd: OsdId) -> u32 {
        usize::try_from(osd).ok().and_then(|i| self.weights.get(i)).copied().unwrap_or(0)
    }

    /// The in/out weights of all OSDs, for CRUSH.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    pub fn primary_affinity(&self, osd: OsdId) -> u32 {
        let set = self.primary_affinity.as_deref().zip(usize::try_from(osd).ok());
        set.and_then(|(all, i)| all.get(i)).copied().unwrap_or(DEFAULT_PRIMARY_AFFINITY)
    }

    pub fn info(&self, osd: OsdId) -> OsdInfo {
        self.osd(osd).map(|o| o.info).unwrap_or_default()
    }

    pub fn xinfo(&self, osd: OsdId) -> OsdXInfo {
        self.osd(osd).map(|o| o.xinfo).unwrap_or_default()
    }

    pub fn uuid(&self, osd: OsdId) -> Uuid {
        self.osd(osd).map(|o| o.uuid).unwrap_or_default()
    }

    /// Where clients reach the OSD; empty for ids out of range.
    pub fn addrs(&self, osd: OsdId) -> EntityAddrVec {
        self.osd(osd).map(|o| o.addrs.client.clone()).unwrap_or_default()
    }

    pub fn cluster_addrs(&self, osd: OsdId) -> EntityAddrVec {
        self.osd(osd).map(|o| o.addrs.cluster.clone()).unwrap_or_default()
    }

    pub fn hb_back_addrs(&self, osd: OsdId) -> EntityAddrVec {
        self.osd(osd).map(|o| o.addrs.hb_back.clone()).unwrap_or_default()
    }

    pub fn hb_front_addrs(&self, osd: OsdId) -> EntityAddrVec {
        self.osd(osd).map(|o| o.addrs.hb_front.clone()).unwrap_or_default()
    }

    /// The OSD with this uuid.
    pub fn identify_osd(&self, uuid: Uuid) -> Option<OsdId> {
        self.osds().find(|osd| self.uuid(*osd) == uuid)
    }

    pub fn num_osds(&self) -> usize {
        self.osds().count()
    }

    pub fn num_up_osds(&self) -> usize {
        self.osds().filter(|osd| self.is_up(*osd)).count()
    }

    pub fn num_in_osds(&self) -> usize {
        self.osds().filter(|osd| self.is_in(*osd)).count()
    }

    /// The features that all up OSDs have; 0 if none is up.
    pub fn up_osd_features(&self) -> u64 {
        let known = |osd: OsdId| Some(self.xinfo(osd).features).filter(|f| *f != 0);
        self.osds().filter(|osd| self.is_up(*osd)).filter_map(known).reduce(|a, b| a & b).unwrap_or(0)
    }

    /// Grows or shrinks the table; new places hold no OSD.
    pub fn set_max_osd(&mut self, max: usize) {
        self.osds.resize_with(max, Arc::default);
        self.weights.resize(max, 0);
        if let Some(affinity) = &mut self.primary_affinity {
            Arc::make_mut(affinity).resize(max, DEFAULT_PRIMARY_AFFINITY);
        }
    }

    // --- flags

    pub fn test_flag(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub fn flag_string(&self) -> String {
        flag::string(self.flags)
    }

    /// OSD states that the buckets above the OSD impose (Ceph: `get_osd_crush_node_flags`).
    pub fn crush_flags_of(&self, osd: OsdId) -> u32 {
        if self.crush_node_flags.is_empty() {
            return 0;
        }
        let above = self.crush.ancestors(osd);
        self.crush_node_flags.iter().filter(|(id, _)| above.contains(id)).fold(0, |all, (_, f)| all | f)
    }

    /// OSD states that the class of the OSD imposes.
    pub fn device_class_flags_of(&self, osd: OsdId) -> u32 {
        let class = self.crush.item_class(osd).and_then(|name| self.crush.class_id(name));
        class.and_then(|c| self.device_class_flags.get(&c)).copied().unwrap_or(0)
    }

    /// Whether the OSD may not be marked up, down, in or out: by a flag of the map, of the OSD, of a bucket
    /// above it, or of its class. `state_bit` is one of [`state::NOUP`], …
    pub fn is_forbidden(&self, osd: OsdId, map_flag: u32, state_bit: u32) -> bool {
        self.test_flag(map_flag)
            || (self.state(osd) | self.crush_flags_of(osd) | self.device_class_flags_of(osd)) & state_bit != 0
    }

    // --- pools

    pub fn pool(&self, id: PoolId) -> Option<&PgPool> {
        self.pools.get(&id).map(Arc::as_ref)
    }

    pub fn pool_id(&self, name: &str) -> Option<PoolId> {
        self.pool_names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    pub fn pool_name(&self, id: PoolId) -> Option<&str> {
        self.pool_names.get(&id).map(String::as_str)
    }

    /// Whether the PG is one of its pool's.
    pub fn pg_exists(&self, pgid: PgId) -> bool {
        self.pool(pgid.pool).is_some_and(|p| pgid.seed < p.pg_num)
    }

    pub fn num_pgs(&self) -> u64 {
        self.pools.values().map(|p| u64::from(p.pg_num)).sum()
    }

    pub fn is_crush_rule_in_use(&self, rule: u32) -> bool {
        self.pools.values().any(|p| u32::from(p.crush_rule) == rule)
    }

    /// The OSDs below everything that the rule takes.
    pub fn osds_of_rule(&self, rule: u32) -> BTreeSet<OsdId> {
        let takes = self.crush.rule(rule).into_iter().flat_map(crush::Rule::takes);
        takes.flat_map(|root| self.crush.devices_below(root)).collect()
    }
}
