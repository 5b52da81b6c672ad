//! From one epoch to the next. Every daemon and client does the same, and must come out with the same
//! bytes (Ceph: `OSDMap::apply_incremental`).

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Epoch, IntervalSet, OsdId, PoolId, Uuid};

use crate::map::OsdMap;
use crate::osd::{Osd, OsdInfo, OsdXInfo};
use crate::{DEFAULT_PRIMARY_AFFINITY, Incremental, Release, codec, flag, state};

/// Why an incremental does not apply to a map. The map may then be half changed, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("the incremental is for cluster {theirs}, the map of {ours}")]
    OtherCluster { ours: Uuid, theirs: Uuid },
    #[error("the incremental leads to epoch {to}, the map is at {at}")]
    WrongEpoch { at: Epoch, to: Epoch },
    #[error("osd.{0} is beyond max_osd")]
    NoSuchOsd(OsdId),
    #[error("max_osd {0} is out of range")]
    MaxOsd(OsdId),
    #[error("the map inside the incremental")]
    FullMap(#[source] denc::DecodeError),
    #[error("the CRUSH map inside the incremental")]
    Crush(#[source] denc::DecodeError),
}

type Result<T> = std::result::Result<T, ApplyError>;

impl OsdMap {
    /// Turns this map into the next one. The caller checks `full_crc`, if it cares.
    ///
    /// # Errors
    /// If the incremental belongs elsewhere or is malformed. What can be checked first leaves the map as
    /// it was; otherwise throw it away.
    pub fn apply(&mut self, inc: &Incremental) -> Result<()> {
        if inc.epoch != 1 && inc.fsid != self.fsid {
            return Err(ApplyError::OtherCluster { ours: self.fsid, theirs: inc.fsid });
        }
        if inc.epoch != self.epoch.wrapping_add(1) {
            return Err(ApplyError::WrongEpoch { at: self.epoch, to: inc.epoch });
        }
        if !inc.fullmap.is_empty() {
            *self = denc::from_bytes(inc.fullmap.clone()).map_err(ApplyError::FullMap)?;
            return Ok(());
        }
        let crush = match inc.crush.is_empty() {
            true => None,
            false => Some(denc::from_bytes(inc.crush.clone()).map_err(ApplyError::Crush)?),
        };
        self.fsid = inc.fsid;
        self.epoch = inc.epoch;
        self.modified = inc.modified;
        self.crc = 0;
        if let Some(flags) = inc.new_flags {
            self.flags = flags;
        }
        if let Some(max) = inc.new_max_osd {
            let len = usize::try_from(max).ok().filter(|n| *n <= codec::MAX_OSD_LIMIT);
            self.set_max_osd(len.ok_or(ApplyError::MaxOsd(max))?);
        }
        self.apply_pools(inc);
        self.apply_snaps(inc);
        self.apply_osds(inc)?;
        self.apply_placement(inc);
        self.apply_settings(inc);
        if let Some(crush) = crush {
            self.crush = Arc::new(crush);
            if self.require_osd_release >= Release::LUMINOUS {
                self.crush_version = self.crush_version.wrapping_add(1);
            }
            let crush = &self.crush;
            self.device_class_flags.retain(|class, _| crush.class_name(*class).is_some());
        }
        Ok(())
    }

    fn apply_pools(&mut self, inc: &Incremental) {
        if let Some(max) = inc.new_pool_max {
            self.pool_max = max;
        }
        for (id, pool) in &inc.new_pools {
            let mut pool = pool.clone();
            pool.last_change = self.epoch;
            self.pools.insert(*id, Arc::new(pool));
        }
        for (id, name) in &inc.new_pool_names {
            self.pool_names.insert(*id, name.clone());
        }
        for id in &inc.old_pools {
            self.pools.remove(id);
            self.pool_names.remove(id);
        }
    }

    fn apply_snaps(&mut self, inc: &Incremental) {
        self.new_removed_snaps = inc.new_removed_snaps.clone();
        self.new_purged_snaps = inc.new_purged_snaps.clone();
        for (pool, snaps) in &inc.new_removed_snaps {
            let queue = self.removed_snaps_queue.entry(*pool).or_default();
            snaps.iter().for_each(|(start, len)| queue.insert(start, len));
        }
        for (pool, snaps) in &inc.new_purged_snaps {
            purge(&mut self.removed_snaps_queue, *pool, snaps);
        }
    }

    fn osd_mut(&mut self, osd: OsdId) -> Result<&mut Osd> {
        let slot = usize::try_from(osd).ok().and_then(|i| self.osds.get_mut(i));
        slot.map(Arc::make_mut).ok_or(ApplyError::NoSuchOsd(osd))
    }

    fn set_primary_affinity(&mut self, osd: OsdId, affinity: u32) -> Result<()> {
        let len = self.osds.len();
        let all = self.primary_affinity.get_or_insert_with(|| Arc::new(vec![DEFAULT_PRIMARY_AFFINITY; len]));
        let slot = usize::try_from(osd).ok().filter(|i| *i < len).ok_or(ApplyError::NoSuchOsd(osd))?;
        Arc::make_mut(all)[slot] = affinity;
        Ok(())
    }

    fn apply_osds(&mut self, inc: &Incremental) -> Result<()> {
        let (epoch, modified) = (self.epoch, self.modified);
        for (osd, weight) in &inc.new_weight {
            let entry = self.osd_mut(*osd)?;
            if *weight != 0 {
                entry.state = (entry.state | state::EXISTS) & !(state::AUTOOUT | state::NEW);
                entry.xinfo.old_weight = 0;
            }
            self.weights[usize::try_from(*osd).expect("osd_mut found it")] = *weight;
        }
        for (osd, affinity) in &inc.new_primary_affinity {
            self.set_primary_affinity(*osd, *affinity)?;
        }
        for (osd, bits) in &inc.new_state {
            let flip = if *bits == 0 { state::UP } else { *bits };
            let entry = self.osd_mut(*osd)?;
            if entry.state & flip & state::UP != 0 {
                entry.info.down_at = epoch;
                entry.xinfo.down_stamp = modified;
            }
            if entry.state & flip & state::EXISTS != 0 {
                *entry = Osd::default();
                // As a side effect, Ceph creates the table of affinities here, and so must we.
                self.set_primary_affinity(*osd, DEFAULT_PRIMARY_AFFINITY)?;
            } else {
                entry.state ^= flip;
            }
        }
        for (osd, addrs) in &inc.new_up_client {
            let entry = self.osd_mut(*osd)?;
            entry.state = (entry.state | state::EXISTS | state::UP) & !state::STOP;
            entry.addrs.client = addrs.clone();
            entry.addrs.hb_back = inc.new_hb_back_up.get(osd).cloned().unwrap_or_default();
            entry.addrs.hb_front = inc.new_hb_front_up.get(osd).cloned().unwrap_or_default();
            entry.info.up_from = epoch;
        }
        for (osd, addrs) in &inc.new_up_cluster {
            self.osd_mut(*osd)?.addrs.cluster = addrs.clone();
        }
        self.apply_osd_infos(inc)
    }

    fn apply_osd_infos(&mut self, inc: &Incremental) -> Result<()> {
        let info = |map: &mut Self, osd: &OsdId, set: &dyn Fn(&mut OsdInfo)| -> Result<()> {
            set(&mut map.osd_mut(*osd)?.info);
            Ok(())
        };
        for (osd, thru) in &inc.new_up_thru {
            info(self, osd, &|i| i.up_thru = *thru)?;
        }
        for (osd, interval) in &inc.new_last_clean_interval {
            info(self, osd, &|i| (i.last_clean_begin, i.last_clean_end) = *interval)?;
        }
        for (osd, lost) in &inc.new_lost {
            info(self, osd, &|i| i.lost_at = *lost)?;
        }
        for (osd, xinfo) in &inc.new_xinfo {
            let xinfo: OsdXInfo = *xinfo;
            self.osd_mut(*osd)?.xinfo = xinfo;
        }
        for (osd, uuid) in &inc.new_uuid {
            self.osd_mut(*osd)?.uuid = *uuid;
        }
        Ok(())
    }

    fn apply_placement(&mut self, inc: &Incremental) {
        if !inc.new_pg_temp.is_empty() {
            let all = Arc::make_mut(&mut self.pg_temp);
            for (pg, osds) in &inc.new_pg_temp {
                match osds.is_empty() {
                    true => all.remove(pg),
                    false => all.insert(*pg, osds.clone()),
                };
            }
        }
        if !inc.new_primary_temp.is_empty() {
            let all = Arc::make_mut(&mut self.primary_temp);
            for (pg, osd) in &inc.new_primary_temp {
                match *osd == -1 {
                    true => all.remove(pg),
                    false => all.insert(*pg, *osd),
                };
            }
        }
        if !inc.new_pg_upmap.is_empty() || !inc.old_pg_upmap.is_empty() {
            let all = Arc::make_mut(&mut self.pg_upmap);
            all.extend(inc.new_pg_upmap.iter().map(|(pg, osds)| (*pg, osds.clone())));
            all.retain(|pg, _| !inc.old_pg_upmap.contains(pg));
        }
        if !inc.new_pg_upmap_items.is_empty() || !inc.old_pg_upmap_items.is_empty() {
            let all = Arc::make_mut(&mut self.pg_upmap_items);
            all.extend(inc.new_pg_upmap_items.iter().map(|(pg, items)| (*pg, items.clone())));
            all.retain(|pg, _| !inc.old_pg_upmap_items.contains(pg));
        }
    }

    fn apply_settings(&mut self, inc: &Incremental) {
        if !inc.new_last_up_change.is_zero() {
            self.last_up_change = inc.new_last_up_change;
        }
        if !inc.new_last_in_change.is_zero() {
            self.last_in_change = inc.new_last_in_change;
        }
        if !inc.new_erasure_code_profiles.is_empty() || !inc.old_erasure_code_profiles.is_empty() {
            let all = Arc::make_mut(&mut self.erasure_code_profiles);
            inc.old_erasure_code_profiles.iter().for_each(|name| drop(all.remove(name)));
            all.extend(inc.new_erasure_code_profiles.iter().map(|(name, p)| (name.clone(), p.clone())));
        }
        self.apply_blocklist(inc);
        apply_flags(&mut self.crush_node_flags, &inc.new_crush_node_flags);
        apply_flags(&mut self.device_class_flags, &inc.new_device_class_flags);
        self.cluster_snapshot = inc.cluster_snapshot.clone();
        self.cluster_snapshot_epoch = if inc.cluster_snapshot.is_empty() { 0 } else { inc.epoch };
        self.nearfull_ratio = inc.new_nearfull_ratio.unwrap_or(self.nearfull_ratio);
        self.backfillfull_ratio = inc.new_backfillfull_ratio.unwrap_or(self.backfillfull_ratio);
        self.full_ratio = inc.new_full_ratio.unwrap_or(self.full_ratio);
        if let Some(release) = inc.new_require_min_compat_client.filter(|r| *r > Release::UNKNOWN) {
            self.require_min_compat_client = release;
        }
        if let Some(release) = inc.new_require_osd_release {
            self.require_osd_release = release;
            if release >= Release::LUMINOUS {
                self.flags = self.flags & !flag::LEGACY_REQUIRE | flag::RECOVERY_DELETES;
            }
            if release >= Release::NAUTILUS {
                self.flags |= flag::PGLOG_HARDLIMIT;
            }
        }
        if let Some(stretch) = inc.new_stretch {
            self.stretch = stretch;
        }
    }

    fn apply_blocklist(&mut self, inc: &Incremental) {
        let changes = !inc.new_blocklist.is_empty()
            || !inc.old_blocklist.is_empty()
            || !inc.new_range_blocklist.is_empty()
            || !inc.old_range_blocklist.is_empty();
        if !changes {
            return;
        }
        let list = Arc::make_mut(&mut self.blocklist);
        // Ceph inserts without overwriting: who is listed already keeps the older time.
        for (addr, until) in &inc.new_blocklist {
            list.entries.entry(*addr).or_insert(*until);
        }
        inc.old_blocklist.iter().for_each(|addr| _ = list.entries.remove(addr));
        for (addr, until) in &inc.new_range_blocklist {
            list.ranges.entry(*addr).or_insert(*until);
        }
        inc.old_range_blocklist.iter().for_each(|addr| _ = list.ranges.remove(addr));
    }
}

fn apply_flags(all: &mut BTreeMap<i32, u32>, new: &BTreeMap<i32, u32>) {
    all.extend(new);
    all.retain(|_, flags| *flags != 0);
}

fn purge(queue: &mut BTreeMap<PoolId, IntervalSet>, pool: PoolId, snaps: &IntervalSet) {
    let Some(left) = queue.get_mut(&pool) else { return };
    snaps.iter().for_each(|(start, len)| left.erase(start, len));
    if left.is_empty() {
        queue.remove(&pool);
    }
}
