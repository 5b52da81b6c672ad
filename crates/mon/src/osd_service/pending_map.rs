//! The next OSD map while it gathers: the present one and an incremental.
//!
//! Questions are answered as if the incremental were applied, so that several requests in one
//! proposal see each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use crush::CrushMap;
use denc::to_bytes;
use osdmap::{Incremental, OsdMap, state};
use types::{Epoch, OsdId, PgPool, PoolId, SnapId, UTime};

use crate::change::{Change, Space};
use crate::osd_service::snaps::purge_changes;
use crate::state::State;

#[derive(Debug, Clone)]
pub struct PendingMap {
    base: Arc<OsdMap>,
    pub inc: Incremental,
    /// Numbers that the pools' sequences took for the removal of snapshots: they were never snapshots.
    pub pseudo_purged: BTreeMap<PoolId, BTreeSet<SnapId>>,
}

impl PendingMap {
    pub fn after(base: &Arc<OsdMap>) -> Self {
        Self { base: base.clone(), inc: Incremental::after(base), pseudo_purged: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.inc.is_empty()
    }

    pub fn base(&self) -> &OsdMap {
        &self.base
    }

    /// The epoch that these changes will make.
    pub fn epoch(&self) -> Epoch {
        self.inc.epoch
    }

    // --- OSDs

    pub fn state(&self, osd: OsdId) -> u32 {
        let bits = self.inc.pending_state(&self.base, osd);
        if self.inc.new_up_client.contains_key(&osd) { bits | state::EXISTS | state::UP } else { bits }
    }

    pub fn exists(&self, osd: OsdId) -> bool {
        self.state(osd) & state::EXISTS != 0
    }

    pub fn is_up(&self, osd: OsdId) -> bool {
        self.state(osd) & state::UP != 0
    }

    pub fn weight(&self, osd: OsdId) -> u32 {
        self.inc.new_weight.get(&osd).copied().unwrap_or_else(|| self.base.weight(osd))
    }

    pub fn max_osd(&self) -> OsdId {
        self.inc.new_max_osd.unwrap_or_else(|| self.base.max_osd())
    }

    pub fn osds(&self) -> impl Iterator<Item = OsdId> {
        (0..self.max_osd()).filter(|osd| self.exists(*osd))
    }

    pub fn flip(&mut self, osd: OsdId, bits: u32) {
        self.inc.flip_state(osd, bits);
    }

    pub fn set_state(&mut self, osd: OsdId, bits: u32, on: bool) {
        self.inc.set_state(&self.base, osd, bits, on);
    }

    /// Marks an OSD down; the epoch's stamp becomes its down stamp.
    pub fn mark_down(&mut self, now: UTime, osd: OsdId) {
        self.inc.mark_down(&self.base, osd);
        self.inc.xinfo_mut(&self.base, osd).down_stamp = now;
    }

    pub fn set_flag(&mut self, flag: u32, on: bool) {
        let now = self.flags();
        if (now & flag == flag) != on || (on && now & flag != flag) || (!on && now & flag != 0) {
            self.inc.set_flags(&self.base, flag, on);
        }
    }

    pub fn flags(&self) -> u32 {
        self.inc.new_flags.unwrap_or(self.base.flags)
    }

    // --- pools

    pub fn pool_id(&self, name: &str) -> Option<PoolId> {
        let new = self.inc.new_pool_names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id);
        let old = || {
            let id = self.base.pool_id(name)?;
            let kept = !self.inc.old_pools.contains(&id) && !self.inc.new_pool_names.contains_key(&id);
            kept.then_some(id)
        };
        new.or_else(old)
    }

    pub fn pool(&self, id: PoolId) -> Option<&PgPool> {
        if self.inc.old_pools.contains(&id) {
            return None;
        }
        self.inc.new_pools.get(&id).or_else(|| self.base.pool(id))
    }

    /// A pool, to be changed; its `last_change` becomes this epoch.
    pub fn pool_mut(&mut self, id: PoolId) -> Option<&mut PgPool> {
        self.pool(id)?;
        let epoch = self.inc.epoch;
        let pool = self.inc.pool_mut(&self.base, id)?;
        pool.last_change = epoch;
        Some(pool)
    }

    pub fn pools(&self) -> Vec<(PoolId, &PgPool)> {
        let ids: std::collections::BTreeSet<PoolId> =
            self.base.pools.keys().chain(self.inc.new_pools.keys()).copied().collect();
        ids.into_iter().filter_map(|id| Some((id, self.pool(id)?))).collect()
    }

    /// The largest pool id there ever was.
    pub fn pool_max(&self) -> PoolId {
        self.inc.new_pool_max.unwrap_or(self.base.pool_max)
    }

    // --- CRUSH

    pub fn crush(&self) -> CrushMap {
        self.inc.pending_crush(&self.base)
    }

    pub fn set_crush(&mut self, crush: &CrushMap) {
        self.inc.set_crush(&self.base, crush);
    }

    // --- the end

    /// The encoded incremental, and what becomes of the list of PGs to be made.
    pub fn finish(mut self, now: UTime, state: &State) -> (Bytes, Vec<Change>) {
        self.inc.modified = now;
        self.note_changes(now);
        self.clean_placement();
        let mut creating = self.creating(now, state);
        let (inc, old_pools) = (&self.inc, self.inc.old_pools.iter().copied().collect());
        let purged = purge_changes(state, inc.epoch, &inc.new_purged_snaps, &self.pseudo_purged, &old_pools);
        creating.extend(purged);
        let (_, _, bytes) = self.inc.seal(&self.base).expect("every change was checked against the map");
        (bytes, creating)
    }

    /// Drops what placement by hand no longer needs: temporary mappings that equal what is so anyway or name
    /// only OSDs that are down, upmaps that have become invalid (Ceph: `OSDMonitor::encode_pending`).
    fn clean_placement(&mut self) {
        let (base, inc) = (&self.base, &self.inc);
        let temps = !base.pg_temp.is_empty() || !base.primary_temp.is_empty();
        let upmaps = !base.pg_upmap.is_empty() || !base.pg_upmap_items.is_empty();
        let new_temps = !inc.new_pg_temp.is_empty() || !inc.new_primary_temp.is_empty();
        let new_upmaps = !inc.new_pg_upmap.is_empty() || !inc.new_pg_upmap_items.is_empty();
        // Most maps have nothing of the kind, and need no trial.
        if !(temps || upmaps || new_temps || new_upmaps) {
            return;
        }
        let mut next = (**base).clone();
        if next.apply(inc).is_ok() {
            base.clean_temps(&next, &mut self.inc);
            next.clean_pg_upmaps(&mut self.inc);
        }
    }

    /// When OSDs last came up or went down, in or out.
    fn note_changes(&mut self, now: UTime) {
        let flips_up = self.inc.new_state.values().any(|bits| *bits == 0 || bits & state::UP != 0);
        if flips_up || !self.inc.new_up_client.is_empty() {
            self.inc.new_last_up_change = now;
        }
        let moves = |(osd, weight): (&OsdId, &u32)| (*weight == 0) != (self.base.weight(*osd) == 0);
        if self.inc.new_weight.iter().any(moves) {
            self.inc.new_last_in_change = now;
        }
    }

    fn creating(&self, now: UTime, state: &State) -> Vec<Change> {
        let mut changes = vec![];
        for (id, pool) in &self.inc.new_pools {
            // A pool that grows splits the PGs that it has; only a new one makes them from nothing.
            if self.base.pool(*id).is_some() || self.inc.old_pools.contains(id) {
                continue;
            }
            let value = to_bytes(&(self.inc.epoch, now), 0);
            changes.extend((0..pool.pg_num).map(|seed| Change::Put {
                space: Space::Creating,
                key: types::PgId::new(*id, seed).to_string(),
                value: value.clone(),
            }));
        }
        for id in &self.inc.old_pools {
            let prefix = format!("{id}.");
            let gone = state.space(Space::Creating).filter(|(key, _)| key.starts_with(&prefix));
            changes.extend(gone.map(|(key, _)| Change::Rm { space: Space::Creating, key: key.clone() }));
        }
        changes
    }
}
