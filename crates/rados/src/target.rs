//! Where an operation goes: object → PG → acting primary; and when a change of the map means that it
//! must be sent again (Ceph: `Objecter::_calc_target`).

use std::sync::Arc;

use osdmap::{OsdMap, PgMapping, flag};
use types::osd_op::osd_flag;
use types::past_intervals::{IntervalView, is_new_interval};
use types::pool::flag as pool_flag;
use types::{Epoch, HObject, OsdId, PgId, PgPool, PoolId, SpgId};

use crate::op::ObjectOp;

/// An operation's place in the newest map that was looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// With the full precision of the hash.
    raw: PgId,
    pub pgid: SpgId,
    /// The acting primary; -1 for none.
    pub osd: OsdId,
    /// The map says to hold it back: paused, or full.
    pub paused: bool,
    mapping: PgMapping,
    pool: Option<Arc<PgPool>>,
    map_flags: u32,
    force_resend: Epoch,
}

/// What a look at a map changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Resend,
    PoolGone,
}

impl Target {
    /// Looks the operation up in `map`.
    pub fn update(&mut self, op: &ObjectOp, map: &OsdMap) -> Change {
        let pool_id = tier_of(op, map);
        let Some(pool) = map.pools.get(&pool_id) else {
            *self = Self { osd: -1, ..Self::default() };
            return Change::PoolGone;
        };
        let Some(raw) = map.object_to_pg(pool_id, &op.oid, &op.key, &op.nspace, op.hash) else {
            return Change::PoolGone;
        };
        let pgid = pool.raw_pg_to_pg(raw);
        let mapping = map.pg_to_up_acting(pgid);
        let paused = is_paused(op, map, pool);
        let forced = pool.last_force_op_resend > self.force_resend;
        let shard = if pool.can_shift_osds() { None } else { map.primary_shard(pgid) };
        let new = Self {
            raw,
            pgid: shard.map_or_else(|| pgid.into(), |(_, spg)| spg),
            osd: mapping.acting_primary,
            paused,
            map_flags: map.flags,
            force_resend: self.force_resend.max(pool.last_force_op_resend),
            pool: Some(pool.clone()),
            mapping,
        };
        let resend = forced
            || self.pgid != new.pgid
            || self.osd != new.osd
            || (self.paused && !paused)
            || is_new_interval(pgid, &self.view(), &new.view());
        *self = new;
        if resend { Change::Resend } else { Change::None }
    }

    fn view(&self) -> IntervalView<'_> {
        IntervalView {
            up: &self.mapping.up,
            up_primary: self.mapping.up_primary,
            acting: &self.mapping.acting,
            acting_primary: self.mapping.acting_primary,
            pool: self.pool.as_deref(),
            map_flags: self.map_flags,
        }
    }

    /// The object as its PG knows it.
    pub fn hobject(&self, op: &ObjectOp) -> HObject {
        HObject {
            oid: op.oid.clone(),
            key: op.key.clone(),
            snap: op.snap,
            hash: self.raw.seed,
            max: false,
            pool: self.raw.pool,
            nspace: op.nspace.clone(),
        }
    }
}

/// A cache tier serves in place of its base pool.
fn tier_of(op: &ObjectOp, map: &OsdMap) -> PoolId {
    let Some(pool) = map.pool(op.pool) else { return op.pool };
    if op.flags & osd_flag::IGNORE_OVERLAY != 0 {
        return op.pool;
    }
    match (op.is_write(), pool.write_tier, pool.read_tier) {
        (true, tier @ 0.., _) | (false, _, tier @ 0..) => tier,
        _ => op.pool,
    }
}

fn is_paused(op: &ObjectOp, map: &OsdMap, pool: &PgPool) -> bool {
    let full = map.test_flag(flag::FULL) || pool.has_flag(pool_flag::FULL);
    let writes = op.flags & (osd_flag::WRITE | osd_flag::RWORDERED) != 0;
    let tries = op.flags & (osd_flag::FULL_TRY | osd_flag::FULL_FORCE) != 0;
    let pause_write = map.test_flag(flag::PAUSEWR) || (full && writes && !tries);
    (op.flags & osd_flag::READ != 0 && map.test_flag(flag::PAUSERD)) || (op.is_write() && pause_write)
}
