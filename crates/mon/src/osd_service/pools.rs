//! Pools come and go (Ceph: `OSDMonitor::prepare_new_pool`, `_prepare_remove_pool`).

use std::collections::BTreeMap;

use types::{PgPool, PoolId, UTime, errno, pool};

use crate::core::Mon;

/// What a new pool shall be; `None` and zero take the default.
#[derive(Debug, Clone, Default)]
pub struct NewPool {
    pub name: String,
    pub pg_num: u32,
    pub pgp_num: u32,
    pub size: u8,
    /// A rule's name, or empty.
    pub rule: String,
    pub rule_id: Option<u32>,
    pub expected_num_objects: u64,
    pub autoscale_mode: Option<String>,
}

/// Why not: the errno and the sentence.
pub type PoolError = (i32, String);

/// Ceph's hash of object names that every cluster uses (`CEPH_STR_HASH_RJENKINS`).
const HASH_RJENKINS: u8 = 2;

impl Mon {
    /// Adds a pool to the pending map.
    ///
    /// # Errors
    /// With Ceph's numbers; `EEXIST` if the name is taken.
    pub(crate) fn new_pool(&mut self, now: UTime, want: &NewPool) -> Result<PoolId, PoolError> {
        if want.name.is_empty() {
            return Err((errno::EINVAL, "pool name must not be empty".to_owned()));
        }
        if self.map().pool_id(&want.name).is_some() {
            return Err((errno::EEXIST, format!("pool '{}' already exists", want.name)));
        }
        let rule = self.rule_for(want)?;
        let default_size = self.config.u64("osd_pool_default_size") as u8;
        let size = if want.size > 0 { want.size } else { default_size };
        if size == 0 || size > 10 {
            return Err((errno::EINVAL, "pool size must be between 1 and 10".to_owned()));
        }
        let pg_num = if want.pg_num > 0 { want.pg_num } else { self.config.u64("osd_pool_default_pg_num") as u32 };
        let pgp_num = if want.pgp_num > 0 { want.pgp_num } else { pg_num };
        self.check_pg_num(None, pg_num, size)?;
        if pgp_num > pg_num {
            let text = format!(
                "'pgp_num' must be greater than 0 and lower or equal than 'pg_num', which in this case is {pg_num}"
            );
            return Err((errno::ERANGE, text));
        }
        let mut p = self.pool_template(now);
        p.size = size;
        p.min_size = self.min_size_for(size);
        p.crush_rule = rule;
        (p.pg_num, p.pgp_num) = (pg_num, pgp_num);
        (p.pg_num_target, p.pgp_num_target, p.pg_num_pending) = (pg_num, pgp_num, pg_num);
        p.expected_num_objects = want.expected_num_objects;
        let mode = want
            .autoscale_mode
            .clone()
            .unwrap_or_else(|| self.config.str("osd_pool_default_pg_autoscale_mode").to_owned());
        p.pg_autoscale_mode = autoscale_mode(&mode).unwrap_or(pool::PG_AUTOSCALE_OFF);
        let map = self.map();
        let id = map.pool_max() + 1;
        p.last_change = map.epoch();
        map.inc.new_pool_max = Some(id);
        map.inc.new_pools.insert(id, p);
        map.inc.new_pool_names.insert(id, want.name.clone());
        Ok(id)
    }

    /// Ceph: `get_osd_pool_default_min_size`: more than half, if nothing else is set.
    pub(crate) fn min_size_for(&self, size: u8) -> u8 {
        match self.config.u64("osd_pool_default_min_size") as u8 {
            0 => size - size / 2,
            set => set.min(size),
        }
    }

    fn rule_for(&mut self, want: &NewPool) -> Result<u8, PoolError> {
        let default = self.config.i64("osd_pool_default_crush_rule");
        let crush = self.map().crush();
        let id = if !want.rule.is_empty() {
            let found = crush.rule_id(&want.rule);
            found.ok_or_else(|| (errno::ENOENT, format!("specified rule {} doesn't exist", want.rule)))?
        } else if let Some(id) = want.rule_id.or(u32::try_from(default).ok()) {
            id
        } else {
            let found = crush.find_first_rule(crush::RuleKind::Replicated);
            found.ok_or_else(|| {
                (
                    errno::ENOENT,
                    "No suitable CRUSH rule exists, check 'osd pool default crush *' config options".to_owned(),
                )
            })?
        };
        if !crush.rule_exists(id) {
            return Err((errno::ENOENT, format!("crush rule {id} does not exist")));
        }
        u8::try_from(id).map_err(|_| (errno::ERANGE, format!("crush rule {id} is out of range")))
    }

    /// Ceph: `OSDMonitor::check_pg_num`: no more PGs an OSD than it can bear.
    pub(crate) fn check_pg_num(&mut self, but: Option<PoolId>, pg_num: u32, size: u8) -> Result<(), PoolError> {
        self.pg_num_in_range(pg_num.into())?;
        let per_osd = self.config.u64("mon_max_pg_per_osd");
        let osds = self.state.osdmap.num_in_osds().max(3) as u64;
        let limit = per_osd * osds;
        let others = self.map().pools().into_iter().filter(|(id, _)| Some(*id) != but);
        let projected: u64 = others.map(|(_, p)| u64::from(p.pg_num_target) * u64::from(p.size)).sum();
        let wanted = u64::from(pg_num) * u64::from(size);
        if projected + wanted > limit {
            let text = format!(
                "pg_num {pg_num} size {size} would mean {} total pgs, which exceeds max {limit} \
                 (mon_max_pg_per_osd {per_osd} * num_in_osds {osds})",
                projected + wanted
            );
            return Err((errno::ERANGE, text));
        }
        Ok(())
    }

    fn pool_template(&self, now: UTime) -> PgPool {
        let c = &self.config;
        let micro = |name: &str| (c.f64(name) * 1_000_000.0) as u32;
        // Until each of its PGs was active once.
        let mut flags = pool::flag::CREATING;
        for (name, flag) in [
            ("osd_pool_default_flag_hashpspool", pool::flag::HASHPSPOOL),
            ("osd_pool_default_flag_nodelete", pool::flag::NODELETE),
            ("osd_pool_default_flag_nopgchange", pool::flag::NOPGCHANGE),
            ("osd_pool_default_flag_nosizechange", pool::flag::NOSIZECHANGE),
        ] {
            if c.bool(name) {
                flags |= flag;
            }
        }
        PgPool {
            create_time: now,
            kind: pool::POOL_TYPE_REPLICATED,
            flags,
            object_hash: HASH_RJENKINS,
            cache_target_dirty_ratio_micro: micro("osd_pool_default_cache_target_dirty_ratio"),
            cache_target_dirty_high_ratio_micro: micro("osd_pool_default_cache_target_dirty_high_ratio"),
            cache_target_full_ratio_micro: micro("osd_pool_default_cache_target_full_ratio"),
            cache_min_flush_age: c.u64("osd_pool_default_cache_min_flush_age") as u32,
            cache_min_evict_age: c.u64("osd_pool_default_cache_min_evict_age") as u32,
            ..PgPool::default()
        }
    }

    /// Takes a pool away in the pending map, with all that speaks of it.
    pub(crate) fn remove_pool(&mut self, id: PoolId) {
        let base = self.state.osdmap.clone();
        let map = self.map();
        let inc = &mut map.inc;
        inc.new_pools.remove(&id);
        inc.new_pool_names.remove(&id);
        if base.pool(id).is_none() {
            return;
        }
        inc.old_pools.insert(id);
        inc.new_pg_temp.retain(|pg, _| pg.pool != id);
        inc.new_primary_temp.retain(|pg, _| pg.pool != id);
        let of_pool = |pg: &&types::PgId| pg.pool == id;
        inc.new_pg_temp.extend(base.pg_temp.keys().filter(of_pool).map(|pg| (*pg, vec![])));
        inc.new_primary_temp.extend(base.primary_temp.keys().filter(of_pool).map(|pg| (*pg, -1)));
        inc.old_pg_upmap.extend(base.pg_upmap.keys().filter(of_pool));
        inc.old_pg_upmap_items.extend(base.pg_upmap_items.keys().filter(of_pool));
    }
}

/// `off`, `warn`, `on`.
pub fn autoscale_mode(name: &str) -> Option<u8> {
    let modes: BTreeMap<&str, u8> =
        [("off", pool::PG_AUTOSCALE_OFF), ("warn", pool::PG_AUTOSCALE_WARN), ("on", pool::PG_AUTOSCALE_ON)].into();
    modes.get(name).copied()
}
