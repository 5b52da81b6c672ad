//! Where an object lives: object → PG → raw → up → acting.
//!
//! *raw* is what CRUSH says; *up* leaves out who is down, after upmaps; *acting* is who serves, which
//! `pg_temp` may set aside from up while data moves. In a replicated pool the lists close their gaps; in an
//! erasure-coded one each place is a shard of its own, and holds [`ITEM_NONE`] if nobody is there.

use crush::{ITEM_NONE, Workspace, hash};
use denc::ByteStr;
use types::{NO_SHARD, OsdId, PgId, PgPool, PoolId, ShardId, SpgId};

use crate::{DEFAULT_PRIMARY_AFFINITY, OsdMap};

/// The OSDs of one PG. A primary of -1 is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgMapping {
    pub up: Vec<OsdId>,
    pub up_primary: OsdId,
    pub acting: Vec<OsdId>,
    pub acting_primary: OsdId,
}

impl PgMapping {
    /// Of a PG that does not exist.
    pub const NONE: Self = Self { up: Vec::new(), up_primary: -1, acting: Vec::new(), acting_primary: -1 };
}

impl Default for PgMapping {
    fn default() -> Self {
        Self::NONE
    }
}

/// The first OSD that is there.
fn first(osds: &[OsdId]) -> OsdId {
    osds.iter().copied().find(|osd| *osd != ITEM_NONE).unwrap_or(-1)
}

impl OsdMap {
    /// The PG of an object, with the full precision of its hash. `hash` overrides the name (a locator that
    /// names a hash); `key` takes the name's place if it is not empty. `None`: no such pool.
    pub fn object_to_pg(
        &self,
        pool: PoolId,
        oid: &ByteStr,
        key: &ByteStr,
        nspace: &ByteStr,
        hash: Option<u32>,
    ) -> Option<PgId> {
        let info = self.pool(pool)?;
        Some(PgId::new(pool, hash.unwrap_or_else(|| info.hash_object(oid, key, nspace))))
    }

    /// The PG that stores what the raw one means.
    pub fn raw_pg_to_pg(&self, raw: PgId) -> Option<PgId> {
        Some(self.pool(raw.pool)?.raw_pg_to_pg(raw))
    }

    /// What CRUSH says, without OSDs that do not exist; and the primary.
    pub fn pg_to_raw_osds(&self, pg: PgId) -> (Vec<OsdId>, OsdId) {
        let Some(pool) = self.pool(pg.pool) else { return (Vec::new(), -1) };
        let raw = self.raw_osds(pool, pg, &mut Workspace::default());
        let primary = first(&raw);
        (raw, primary)
    }

    /// What CRUSH says, and the same after upmaps.
    pub fn pg_to_raw_upmap(&self, pg: PgId) -> (Vec<OsdId>, Vec<OsdId>) {
        let Some(pool) = self.pool(pg.pool) else { return (Vec::new(), Vec::new()) };
        let raw = self.raw_osds(pool, pg, &mut Workspace::default());
        let mut mapped = raw.clone();
        self.apply_upmap(pool, pg, &mut mapped);
        (raw, mapped)
    }

    /// Up, with its primary: where the PG would be served without `pg_temp`.
    pub fn pg_to_raw_up(&self, pg: PgId) -> (Vec<OsdId>, OsdId) {
        let Some(pool) = self.pool(pg.pool) else { return (Vec::new(), -1) };
        let raw = self.upmapped_osds(pool, pg, &mut Workspace::default());
        let mut up = self.raw_to_up(pool, &raw);
        let mut primary = first(&raw);
        self.apply_primary_affinity(pool.raw_pg_to_pps(pg), pool, &mut up, &mut primary);
        (up, primary)
    }

    /// Up and acting. Seeds of full precision are brought down to the pool's.
    pub fn pg_to_up_acting(&self, pg: PgId) -> PgMapping {
        self.pg_to_up_acting_in(pg, &mut Workspace::default())
    }

    /// [`Self::pg_to_up_acting`] with buffers that many mappings share.
    pub fn pg_to_up_acting_in(&self, pg: PgId, work: &mut Workspace) -> PgMapping {
        let Some(pool) = self.pool(pg.pool) else { return PgMapping::NONE };
        let (mut acting, mut acting_primary) = self.temp_osds(pool, pg);
        let raw = self.upmapped_osds(pool, pg, work);
        let mut up = self.raw_to_up(pool, &raw);
        let mut up_primary = first(&up);
        self.apply_primary_affinity(pool.raw_pg_to_pps(pg), pool, &mut up, &mut up_primary);
        if acting.is_empty() {
            acting.clone_from(&up);
            if acting_primary == -1 {
                acting_primary = up_primary;
            }
        }
        PgMapping { up, up_primary, acting, acting_primary }
    }

    /// The acting primary; -1 if there is none.
    pub fn pg_primary(&self, pg: PgId) -> OsdId {
        self.pg_to_up_acting(pg).acting_primary
    }

    /// The primary's own PG: with its shard, in an erasure-coded pool (Ceph: `get_primary_shard`).
    pub fn primary_shard(&self, pg: PgId) -> Option<(OsdId, SpgId)> {
        let pool = self.pool(pg.pool)?;
        let mapping = self.pg_to_up_acting(pg);
        if pool.can_shift_osds() {
            return (mapping.acting_primary >= 0)
                .then_some((mapping.acting_primary, SpgId { pgid: pg, shard: NO_SHARD }));
        }
        let at = mapping.acting.iter().position(|osd| *osd == mapping.acting_primary)?;
        Some((mapping.acting_primary, SpgId { pgid: pg, shard: ShardId::try_from(at).ok()? }))
    }

    /// The place of an OSD in an acting set, given its shard or [`NO_SHARD`]; -1 for none.
    pub fn calc_pg_role(osd: OsdId, shard: ShardId, acting: &[OsdId]) -> i32 {
        let place = match usize::try_from(shard) {
            Err(_) => acting.iter().position(|o| *o == osd),
            Ok(shard) => (acting.get(shard) == Some(&osd)).then_some(shard),
        };
        place.map_or(-1, |at| i32::try_from(at).unwrap_or(-1))
    }

    fn raw_osds(&self, pool: &PgPool, pg: PgId, work: &mut Workspace) -> Vec<OsdId> {
        let size = u32::from(pool.size);
        let Some(rule) = self.crush.find_rule(pool.crush_rule.into(), pool.kind, size) else { return Vec::new() };
        let seed = pool.raw_pg_to_pps(pg);
        let found = self.crush.do_rule_in(work, rule, seed, size as usize, &self.weights, pg.pool);
        if pool.can_shift_osds() {
            found.iter().copied().filter(|osd| self.exists(*osd)).collect()
        } else {
            found.iter().map(|osd| if self.exists(*osd) { *osd } else { ITEM_NONE }).collect()
        }
    }

    fn upmapped_osds(&self, pool: &PgPool, pg: PgId, work: &mut Workspace) -> Vec<OsdId> {
        let mut raw = self.raw_osds(pool, pg, work);
        self.apply_upmap(pool, pg, &mut raw);
        raw
    }

    /// An upmap that leads to an OSD that is out is ignored.
    fn apply_upmap(&self, pool: &PgPool, raw_pg: PgId, raw: &mut Vec<OsdId>) {
        if self.pg_upmap.is_empty() && self.pg_upmap_items.is_empty() {
            return;
        }
        let pg = pool.raw_pg_to_pg(raw_pg);
        let known_out = |osd: OsdId| (0..self.max_osd()).contains(&osd) && self.weight(osd) == 0;
        if let Some(osds) = self.pg_upmap.get(&pg) {
            if osds.iter().any(|osd| known_out(*osd)) {
                return;
            }
            raw.clone_from(osds);
        }
        for (from, to) in self.pg_upmap_items.get(&pg).into_iter().flatten() {
            if raw.contains(to) || known_out(*to) {
                continue;
            }
            if let Some(place) = raw.iter_mut().find(|osd| *osd == from) {
                *place = *to;
            }
        }
    }

    fn raw_to_up(&self, pool: &PgPool, raw: &[OsdId]) -> Vec<OsdId> {
        if pool.can_shift_osds() {
            raw.iter().copied().filter(|osd| self.is_up(*osd)).collect()
        } else {
            raw.iter().map(|osd| if self.is_up(*osd) { *osd } else { ITEM_NONE }).collect()
        }
    }

    /// An OSD of affinity one half declines to be primary for half of its PGs, if another can be.
    fn apply_primary_affinity(&self, seed: u32, pool: &PgPool, osds: &mut [OsdId], primary: &mut OsdId) {
        if self.primary_affinity.is_none() {
            return;
        }
        let usual = |osd: &OsdId| *osd == ITEM_NONE || self.primary_affinity(*osd) == DEFAULT_PRIMARY_AFFINITY;
        if osds.iter().all(usual) {
            return;
        }
        let accepts = |osd: OsdId| {
            let affinity = self.primary_affinity(osd);
            affinity >= DEFAULT_PRIMARY_AFFINITY || hash::hash2(seed, osd.cast_unsigned()) >> 16 < affinity
        };
        let there = |osd: &OsdId| *osd != ITEM_NONE;
        let chosen = osds.iter().position(|osd| there(osd) && accepts(*osd)).or_else(|| osds.iter().position(there));
        let Some(at) = chosen else { return };
        *primary = osds[at];
        if pool.can_shift_osds() {
            osds[..=at].rotate_right(1);
        }
    }

    /// Who serves in place of up, and the primary if one is set.
    fn temp_osds(&self, pool: &PgPool, pg: PgId) -> (Vec<OsdId>, OsdId) {
        if self.pg_temp.is_empty() && self.primary_temp.is_empty() {
            return (Vec::new(), -1);
        }
        let pg = pool.raw_pg_to_pg(pg);
        let temp = self.pg_temp.get(&pg).map_or(Vec::new(), |osds| self.raw_to_up(pool, osds));
        let primary = self.primary_temp.get(&pg).copied().unwrap_or_else(|| first(&temp));
        (temp, primary)
    }
}
