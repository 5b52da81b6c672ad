//! Upmaps that no longer make sense: their PG or an OSD of theirs is gone, out or elsewhere, they break the
//! rule's failure domains, or they say what CRUSH says anyway.

use std::collections::{BTreeMap, BTreeSet};

use crush::{CrushMap, StepOp};
use types::{CRUSH_ITEM_NONE, OsdId, PgId, PgPool};

use crate::{Incremental, OsdMap};

/// What is to become of an upmap.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Cancel,
    /// Only these pairs of it still do something.
    Simplify(Vec<(OsdId, OsdId)>),
}

impl OsdMap {
    /// Takes out of `inc` and its result the upmaps that are invalid or do nothing. This is the map with `inc`
    /// applied (Ceph: `OSDMap::clean_pg_upmaps`).
    pub fn clean_pg_upmaps(&self, inc: &mut Incremental) {
        let all: BTreeSet<PgId> = self.pg_upmap.keys().chain(self.pg_upmap_items.keys()).copied().collect();
        for pg in all {
            match self.judge_upmap(pg) {
                Verdict::Keep => {}
                Verdict::Simplify(pairs) => _ = inc.new_pg_upmap_items.insert(pg, pairs),
                Verdict::Cancel => {
                    inc.new_pg_upmap.remove(&pg);
                    inc.new_pg_upmap_items.remove(&pg);
                    if self.pg_upmap.contains_key(&pg) {
                        inc.old_pg_upmap.insert(pg);
                    }
                    if self.pg_upmap_items.contains_key(&pg) {
                        inc.old_pg_upmap_items.insert(pg);
                    }
                }
            }
        }
    }

    fn judge_upmap(&self, pg: PgId) -> Verdict {
        let Some(pool) = self.pool(pg.pool) else { return Verdict::Cancel };
        if pg.seed >= pool.pg_num_pending || pool.pending_merge(pg).is_some() {
            return Verdict::Cancel;
        }
        let (raw, up) = self.pg_to_raw_upmap(pg);
        if !self.upmap_is_valid(pool, &up) {
            return Verdict::Cancel;
        }
        if self.pg_upmap.get(&pg).is_some_and(|osds| *osds == raw) {
            return Verdict::Cancel;
        }
        let Some(pairs) = self.pg_upmap_items.get(&pg) else { return Verdict::Keep };
        let target_is_out = |to: OsdId| to != CRUSH_ITEM_NONE && to < self.max_osd() && self.weight(to) == 0;
        let works = |(from, to): &&(OsdId, OsdId)| raw.contains(from) && !target_is_out(*to);
        let working: Vec<_> = pairs.iter().filter(works).copied().collect();
        match working.len() {
            0 => Verdict::Cancel,
            n if n < pairs.len() => Verdict::Simplify(working),
            _ => Verdict::Keep,
        }
    }

    /// Whether the OSDs are apart as the rule wants, below its roots, in, and of some weight.
    fn upmap_is_valid(&self, pool: &PgPool, up: &[OsdId]) -> bool {
        let rule = u32::from(pool.crush_rule);
        if !keeps_apart(&self.crush, rule, pool.size.into(), up) {
            return false;
        }
        let below = weights_below(&self.crush, rule);
        up.iter().all(|osd| self.weight(*osd) > 0 && below.get(osd).is_some_and(|weight| *weight > 0))
    }
}

/// The devices below the roots of a rule, with their CRUSH weights there.
fn weights_below(crush: &CrushMap, rule: u32) -> BTreeMap<OsdId, u32> {
    let mut weights = BTreeMap::new();
    for root in crush.rule(rule).into_iter().flat_map(|r| r.takes()) {
        if root >= 0 {
            weights.insert(root, crush.item_weight(root).unwrap_or(0));
        }
        for bucket in crush.subtree(root).into_iter().filter_map(|id| crush.bucket(id)) {
            let held = bucket.items.iter().enumerate().filter(|(_, item)| **item >= 0);
            weights.extend(held.map(|(pos, item)| (*item, bucket.item_weight(pos))));
        }
    }
    weights
}

/// Whether OSDs are in as many failure domains as the rule asks for (Ceph: `CrushWrapper::verify_upmap`).
fn keeps_apart(crush: &CrushMap, rule: u32, size: i32, up: &[OsdId]) -> bool {
    let Some(rule) = crush.rule(rule) else { return false };
    rule.steps.iter().all(|step| {
        let domain = |osd: &OsdId| if step.arg2 == 0 { Some(*osd) } else { crush.ancestor_of_type(*osd, step.arg2) };
        let domains: Vec<i32> = up.iter().filter_map(domain).collect();
        let different: BTreeSet<i32> = domains.iter().copied().collect();
        match step.op {
            StepOp::ChooseleafFirstn | StepOp::ChooseleafIndep => different.len() == domains.len(),
            StepOp::ChooseFirstn | StepOp::ChooseIndep if step.arg2 != 0 => {
                let wanted = if step.arg1 <= 0 { step.arg1 + size } else { step.arg1 };
                i32::try_from(different.len()).is_ok_and(|n| n <= wanted)
            }
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Osd, WEIGHT_IN, state};

    /// Two OSDs on each of three hosts, and a pool that keeps two replicas on different hosts.
    fn map() -> OsdMap {
        let mut crush = CrushMap::new_cluster(1).expect("hosts exist");
        for osd in 0..6 {
            let loc = [("host".into(), format!("h{}", osd / 2)), ("root".into(), "default".into())].into();
            crush.insert_item(osd, WEIGHT_IN, &format!("osd.{osd}"), &loc).expect("fits");
        }
        let mut map = OsdMap { crush: Arc::new(crush), ..OsdMap::default() };
        map.set_max_osd(6);
        for osd in &mut map.osds {
            *osd = Arc::new(Osd { state: state::EXISTS | state::UP, ..Osd::default() });
        }
        map.weights.fill(WEIGHT_IN);
        let pool = PgPool { size: 2, min_size: 1, pg_num: 8, pgp_num: 8, pg_num_pending: 8, ..PgPool::default() };
        map.pools.insert(1, Arc::new(PgPool { kind: 1, ..pool }));
        map
    }

    /// An OSD of no host that the PG's OSDs are on, and the PG's first OSD.
    fn move_away(map: &OsdMap, pg: PgId) -> (OsdId, OsdId) {
        let raw = map.pg_to_raw_upmap(pg).0;
        let free = (0..6).find(|osd| raw.iter().all(|o| o / 2 != osd / 2)).expect("three hosts, two replicas");
        (raw[0], free)
    }

    fn cleaned(map: &OsdMap) -> Incremental {
        let mut inc = Incremental::after(map);
        map.clean_pg_upmaps(&mut inc);
        inc
    }

    #[test]
    fn an_upmap_to_a_free_host_stays() {
        let mut map = map();
        let pg = PgId::new(1, 0);
        map.pg_upmap_items = Arc::new([(pg, vec![move_away(&map, pg)])].into());
        let inc = cleaned(&map);
        assert!(inc.old_pg_upmap_items.is_empty() && inc.new_pg_upmap_items.is_empty());
    }

    #[test]
    fn an_upmap_that_puts_two_replicas_on_one_host_is_cancelled() {
        let mut map = map();
        let pg = PgId::new(1, 0);
        let raw = map.pg_to_raw_upmap(pg).0;
        let neighbour = raw[1] ^ 1;
        map.pg_upmap_items = Arc::new([(pg, vec![(raw[0], neighbour)])].into());
        assert!(cleaned(&map).old_pg_upmap_items.contains(&pg));
    }

    #[test]
    fn an_upmap_to_an_osd_that_is_out_is_cancelled() {
        let mut map = map();
        let pg = PgId::new(1, 0);
        let (from, to) = move_away(&map, pg);
        map.weights[usize::try_from(to).expect("an OSD")] = 0;
        map.pg_upmap_items = Arc::new([(pg, vec![(from, to)])].into());
        assert!(cleaned(&map).old_pg_upmap_items.contains(&pg));
    }

    #[test]
    fn pairs_that_do_nothing_are_dropped_and_a_whole_upmap_that_equals_crush_is_cancelled() {
        let mut map = map();
        let (pg, other) = (PgId::new(1, 0), PgId::new(1, 1));
        let (from, to) = move_away(&map, pg);
        let idle = (0..6).find(|o| !map.pg_to_raw_upmap(pg).0.contains(o) && *o != to).expect("six OSDs");
        map.pg_upmap_items = Arc::new([(pg, vec![(from, to), (idle, to)])].into());
        map.pg_upmap = Arc::new([(other, map.pg_to_raw_upmap(other).0)].into());
        let inc = cleaned(&map);
        assert_eq!(inc.new_pg_upmap_items.get(&pg), Some(&vec![(from, to)]));
        assert!(inc.old_pg_upmap.contains(&other));
    }

    #[test]
    fn the_upmap_of_a_pg_that_does_not_exist_is_cancelled() {
        let mut map = map();
        let (gone, merging) = (PgId::new(7, 0), PgId::new(1, 9));
        map.pg_upmap = Arc::new([(gone, vec![0, 2]), (merging, vec![0, 2])].into());
        let inc = cleaned(&map);
        assert!(inc.old_pg_upmap.contains(&gone) && inc.old_pg_upmap.contains(&merging));
    }
}
