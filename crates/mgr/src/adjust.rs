//! Bringing `pg_num` and `pgp_num` to their targets in steps that the cluster can bear (Ceph:
//! `DaemonServer::adjust_pgs`).
//!
//! A pool grows by as many PGs at once as may be made, but is merged one PG at a time: `pg_num_pending` falls,
//! the two PGs come to rest, and only then does `pg_num` follow. `pgp_num`, which moves data, follows so slowly
//! that no more than `target_max_misplaced_ratio` of it is on the move.
//!
//! Unlike Ceph, which steps blindly every two seconds, we step as soon as the statistics are of this map: when
//! each PG of the pool says that it is where the map has it.

use osdmap::OsdMap;
use types::flags::pg_state;
use types::{PgId, PgPool, PoolId, pool};

use crate::stats::PgMap;

/// What bounds the steps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `mon_osd_max_creating_pgs`.
    pub max_creating: u32,
    /// `target_max_misplaced_ratio`.
    pub max_misplaced: f64,
    /// `mgr_debug_aggressive_pg_num_changes`.
    pub aggressive: bool,
}

/// One step, to be taken as a command would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `osd pool set POOL pg_num_actual N`
    PgNum(PoolId, u32),
    /// `osd pool set POOL pgp_num_actual N`
    PgpNum(PoolId, u32),
    /// An exception for a PG that is to be merged is in the way.
    ClearUpmap(PgId),
}

const ACTIVE_CLEAN: u64 = pg_state::ACTIVE | pg_state::CLEAN;

/// Shares of PGs and of objects over the whole cluster.
struct Ratios {
    misplaced: f64,
    degraded: f64,
    /// PGs that serve nothing, or of which nothing is known.
    inactive: u64,
}

impl Ratios {
    fn of(pgs: &PgMap) -> Self {
        let sum = pgs.total().stats.sum;
        let copies = sum.num_object_copies.max(1) as f64;
        let idle = |s: &&types::PgStat| s.state & (pg_state::ACTIVE | pg_state::PEERED) == 0;
        Self {
            misplaced: sum.num_objects_misplaced.max(0) as f64 / copies,
            degraded: sum.num_objects_degraded.max(0) as f64 / copies,
            inactive: pgs.pgs.values().filter(idle).count() as u64,
        }
    }
}

/// The steps to take now.
pub fn steps(pgs: &PgMap, map: &OsdMap, limits: Limits) -> Vec<Step> {
    let mut steps = Vec::new();
    let wants = |p: &PgPool| p.pg_num != p.pg_num_target || p.pgp_num != p.pgp_num_target;
    if !map.pools.values().any(|p| wants(p)) {
        return steps;
    }
    let creating = pgs.pgs.values().filter(|s| s.state == 0 || s.state & pg_state::CREATING != 0).count();
    let mut left = limits.max_creating.max(1).saturating_sub(creating as u32);
    let ratios = Ratios::of(pgs);
    for (id, p) in map.pools.iter().filter(|(_, p)| wants(p)) {
        if left == 0 {
            break;
        }
        if p.pg_num != p.pg_num_target
            && !p.has_flag(pool::flag::CREATING)
            && step_pg_num(pgs, map, *id, p, &mut left, &mut steps)
        {
            continue;
        }
        steps.extend(step_pgp_num(pgs, map, *id, p, &ratios, limits));
    }
    steps
}

/// Whether a merge was begun: then `pgp_num` waits.
fn step_pg_num(pgs: &PgMap, map: &OsdMap, id: PoolId, p: &PgPool, left: &mut u32, steps: &mut Vec<Step>) -> bool {
    if p.pg_num_target > p.pg_num {
        let serves = |s: &types::PgStat| s.state & (pg_state::ACTIVE | pg_state::PEERED) != 0;
        if (0..p.pg_num).all(|seed| pgs.pgs.get(&PgId::new(id, seed)).is_some_and(serves)) {
            let add = (*left).min(p.pg_num_target - p.pg_num);
            *left -= add;
            steps.push(Step::PgNum(id, p.pg_num + add));
        }
        return false;
    }
    let source = PgId::new(id, p.pg_num - 1);
    let Some(target) = source.parent() else { return false };
    let mut ready = p.pg_num == p.pg_num_pending && p.pg_num != p.pgp_num;
    for pg in [source, target] {
        if map.pg_upmap.contains_key(&pg) || map.pg_upmap_items.contains_key(&pg) {
            steps.push(Step::ClearUpmap(pg));
            ready = false;
        }
        ready &= pgs.pgs.get(&pg).is_some_and(|s| s.state & ACTIVE_CLEAN == ACTIVE_CLEAN && is_of_map(map, pg, s));
    }
    let acting = |pg| pgs.pgs.get(&pg).map(|s| &s.acting);
    if !ready || acting(source) != acting(target) {
        return false;
    }
    steps.push(Step::PgNum(id, p.pg_num - 1));
    true
}

/// Whether a PG's statistics are of the interval that the map shows.
fn is_of_map(map: &OsdMap, pg: PgId, stat: &types::PgStat) -> bool {
    let mapping = map.pg_to_up_acting(pg);
    stat.up == mapping.up && stat.acting == mapping.acting
}

fn step_pgp_num(pgs: &PgMap, map: &OsdMap, id: PoolId, p: &PgPool, ratios: &Ratios, limits: Limits) -> Option<Step> {
    let (now, target) = (p.pgp_num, p.pg_num_pending.min(p.pgp_num_target));
    if target == now || target > now && now == p.pg_num {
        return None;
    }
    let objects: i64 = pgs.pgs.iter().filter(|(pg, _)| pg.pool == id).map(|(_, s)| s.stats.sum.num_objects).sum();
    if !limits.aggressive {
        let known = |seed: u32| {
            let pg = PgId::new(id, seed);
            pgs.pgs.get(&pg).is_some_and(|s| is_of_map(map, pg, s))
        };
        let busy = ratios.inactive > 0 || ratios.degraded > 0.0 || ratios.misplaced > limits.max_misplaced;
        if busy || !(0..p.pg_num).all(known) {
            return None;
        }
    }
    // With about one object a PG nothing much moves.
    let empty = target > now && objects <= i64::from(p.pgp_num_target);
    if limits.aggressive || empty {
        return Some(Step::PgpNum(id, target));
    }
    // Objects are taken as spread evenly; half of what may be misplaced leaves room for that being wrong.
    let room = (limits.max_misplaced - ratios.misplaced).min(limits.max_misplaced / 2.0);
    let most = ((f64::from(p.pg_num) * room) as u32).max(1);
    let mut next = target.clamp(now.saturating_sub(most), now.saturating_add(most));
    if p.pgp_num_target == p.pg_num_target && p.pgp_num_target < p.pg_num {
        // The PGs that are to be merged gather on few OSDs: not too many ahead of the merges.
        let ahead = ((f64::from(p.pg_num) * limits.max_misplaced) as u32).max(8);
        next = next.max(p.pg_num.saturating_sub(ahead)).min(now);
    }
    (next != now).then_some(Step::PgpNum(id, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::PgStat;

    const LIMITS: Limits = Limits { max_creating: 1024, max_misplaced: 0.05, aggressive: false };

    fn map(p: PgPool) -> OsdMap {
        let mut map = OsdMap::default();
        map.pools.insert(1, p.into());
        map
    }

    fn pool(pg_num: u32, pgp_num: u32, target: u32) -> PgPool {
        PgPool {
            pg_num,
            pgp_num,
            pg_num_pending: pg_num,
            pg_num_target: target,
            pgp_num_target: target,
            ..PgPool::default()
        }
    }

    /// All PGs in this state, with ten objects each.
    fn pgs(n: u32, state: u64) -> PgMap {
        let mut pgs = PgMap::default();
        for seed in 0..n {
            let mut stat = PgStat { state, ..PgStat::default() };
            stat.stats.sum.num_objects = 10;
            stat.stats.sum.num_object_copies = 30;
            pgs.pgs.insert(PgId::new(1, seed), stat);
        }
        pgs
    }

    #[test]
    fn a_pool_grows_at_once_when_each_of_its_pgs_serves() {
        let m = map(pool(8, 8, 32));
        assert_eq!(steps(&pgs(8, ACTIVE_CLEAN), &m, LIMITS), [Step::PgNum(1, 32)]);
        assert_eq!(steps(&pgs(8, ACTIVE_CLEAN), &m, Limits { max_creating: 6, ..LIMITS }), [Step::PgNum(1, 14)]);
        assert_eq!(steps(&pgs(7, ACTIVE_CLEAN), &m, LIMITS), []);
        let creating = PgPool { flags: pool::flag::CREATING, ..pool(8, 8, 32) };
        assert_eq!(steps(&pgs(8, ACTIVE_CLEAN), &map(creating), LIMITS), []);
    }

    #[test]
    fn data_moves_in_steps_that_keep_most_of_it_in_place() {
        let m = map(pool(128, 64, 128));
        assert_eq!(steps(&pgs(128, ACTIVE_CLEAN), &m, LIMITS), [Step::PgpNum(1, 67)]);
        let mut busy = pgs(128, ACTIVE_CLEAN);
        busy.pgs.get_mut(&PgId::new(1, 0)).expect("there").stats.sum.num_objects_misplaced = 300;
        assert_eq!(steps(&busy, &m, LIMITS), []);
        let mut hurt = pgs(128, ACTIVE_CLEAN);
        hurt.pgs.get_mut(&PgId::new(1, 0)).expect("there").stats.sum.num_objects_degraded = 1;
        assert_eq!(steps(&hurt, &m, LIMITS), []);
        assert_eq!(steps(&hurt, &m, Limits { aggressive: true, ..LIMITS }), [Step::PgpNum(1, 128)]);
    }

    #[test]
    fn a_pool_shrinks_by_one_pg_at_a_time_once_its_data_is_where_it_belongs() {
        let clean = pgs(8, ACTIVE_CLEAN);
        assert_eq!(steps(&clean, &map(pool(8, 8, 4)), LIMITS), [Step::PgpNum(1, 7)]);
        assert_eq!(steps(&clean, &map(pool(8, 7, 4)), LIMITS), [Step::PgNum(1, 7)]);
        let pending = PgPool { pg_num_pending: 7, ..pool(8, 4, 4) };
        assert_eq!(steps(&clean, &map(pending), LIMITS), []);
        let mut unclean = pgs(8, ACTIVE_CLEAN);
        unclean.pgs.get_mut(&PgId::new(1, 3)).expect("there").state = pg_state::ACTIVE;
        assert_eq!(steps(&unclean, &map(pool(8, 4, 4)), LIMITS), []);
        let mut apart = pgs(8, ACTIVE_CLEAN);
        apart.pgs.get_mut(&PgId::new(1, 3)).expect("there").acting = vec![1, 2];
        assert_eq!(steps(&apart, &map(pool(8, 4, 4)), LIMITS), []);
    }
}
