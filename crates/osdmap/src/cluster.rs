//! Questions that the monitors and the OSDs ask a map about the cluster as a whole.

use std::collections::BTreeSet;

use crush::CrushMap;
use types::{OsdId, PoolId, SpgId};

use crate::{OsdMap, state};

/// OSDs by how full they are; each is in one set only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FullOsds {
    pub full: BTreeSet<OsdId>,
    pub backfillfull: BTreeSet<OsdId>,
    pub nearfull: BTreeSet<OsdId>,
}

/// Why a CRUSH map cannot serve the pools that exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolRuleError {
    #[error("pool {pool} references crush_rule {rule} but it is not present")]
    Missing { pool: PoolId, rule: u8 },
    #[error("rule {rule} mask ruleset does not match rule id")]
    Ruleset { rule: u8 },
    #[error("pool {pool} type does not match rule {rule}")]
    Type { pool: PoolId, rule: u8 },
    #[error("pool {pool} size {size} does not fall within rule {rule} min_size {min_size} and max_size {max_size}")]
    Size { pool: PoolId, size: u8, rule: u8, min_size: u8, max_size: u8 },
}

impl OsdMap {
    /// The OSDs whose state says that they are (nearly) full.
    pub fn full_osds(&self) -> FullOsds {
        let mut sets = FullOsds::default();
        for osd in self.osds().filter(|osd| self.is_up(*osd) && self.is_in(*osd)) {
            let bits = self.state(osd);
            if bits & state::FULL != 0 {
                sets.full.insert(osd);
            } else if bits & state::BACKFILLFULL != 0 {
                sets.backfillfull.insert(osd);
            } else if bits & state::NEARFULL != 0 {
                sets.nearfull.insert(osd);
            }
        }
        sets
    }

    /// Whether everything below an item is down. An empty bucket is.
    pub fn is_subtree_down(&self, item: i32) -> bool {
        self.crush.devices_below(item).into_iter().all(|osd| self.is_down(osd))
    }

    /// Whether a bucket of at least this type that holds the OSD is down as a whole: then the OSDs are
    /// not marked out (`mon_osd_down_out_subtree_limit`).
    pub fn is_containing_subtree_down(&self, osd: OsdId, type_id: i32) -> bool {
        let mut above = std::iter::once(osd).chain(self.crush.ancestors(osd));
        let big_enough = |item: &i32| self.crush.item_type(*item) >= type_id;
        let place = above.find(|item| big_enough(item) || !self.is_subtree_down(*item));
        place.is_some_and(|item| big_enough(&item) && self.is_subtree_down(item))
    }

    /// The up OSD with the next higher id, wrapping around; heartbeats go there.
    pub fn next_up_osd_after(&self, osd: OsdId) -> Option<OsdId> {
        let max = self.max_osd();
        (osd.saturating_add(1)..max).chain(0..osd.clamp(0, max)).find(|o| self.is_up(*o))
    }

    pub fn previous_up_osd_before(&self, osd: OsdId) -> Option<OsdId> {
        let max = self.max_osd();
        (0..osd.clamp(0, max)).rev().chain((osd.saturating_add(1)..max).rev()).find(|o| self.is_up(*o))
    }

    /// Whether the OSD has this PG, or this shard of it, in its up or acting set.
    pub fn is_up_or_acting(&self, pg: SpgId, osd: OsdId) -> bool {
        let mapping = self.pg_to_up_acting(pg.pgid);
        Self::calc_pg_role(osd, pg.shard, &mapping.acting) >= 0 || Self::calc_pg_role(osd, pg.shard, &mapping.up) >= 0
    }

    pub fn pools_of_rule(&self, rule: u32) -> impl Iterator<Item = PoolId> {
        self.pools.iter().filter(move |(_, p)| u32::from(p.crush_rule) == rule).map(|(id, _)| *id)
    }

    /// How many bytes are stored for one of data (Ceph: `pool_raw_used_rate`).
    pub fn raw_used_rate(&self, pool: PoolId) -> f64 {
        let Some(info) = self.pool(pool) else { return 1.0 };
        if !info.is_erasure() {
            return info.size.into();
        }
        let profile = self.erasure_code_profiles.get(&info.erasure_code_profile);
        let number = |key: &str| profile?.get(key)?.parse::<f64>().ok();
        match (number("k"), number("m")) {
            (Some(k), Some(m)) if k > 0.0 => (k + m) / k,
            _ => 0.0,
        }
    }

    /// Whether a CRUSH map serves all pools that exist (Ceph: `validate_crush_rules`).
    ///
    /// # Errors
    /// The first pool that it does not serve.
    pub fn validate_crush_rules(&self, crush: &CrushMap) -> Result<(), PoolRuleError> {
        for (id, info) in &self.pools {
            let (pool, rule) = (*id, info.crush_rule);
            let found = crush.rule(rule.into()).ok_or(PoolRuleError::Missing { pool, rule })?;
            let (min_size, max_size) = (found.min_size, found.max_size);
            if found.ruleset != rule {
                return Err(PoolRuleError::Ruleset { rule });
            }
            if found.kind != info.kind {
                return Err(PoolRuleError::Type { pool, rule });
            }
            if !(min_size..=max_size).contains(&info.size) {
                return Err(PoolRuleError::Size { pool, size: info.size, rule, min_size, max_size });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Osd, WEIGHT_IN};

    fn map(up: &[bool]) -> OsdMap {
        let mut crush = CrushMap::new_cluster(1).expect("hosts exist");
        for osd in 0..up.len() {
            let id = OsdId::try_from(osd).expect("few");
            let loc = [("host".into(), format!("h{}", osd / 2)), ("root".into(), "default".into())].into();
            crush.insert_item(id, WEIGHT_IN, &format!("osd.{osd}"), &loc).expect("fits");
        }
        let mut map = OsdMap { crush: Arc::new(crush), ..OsdMap::default() };
        map.set_max_osd(up.len());
        for (osd, up) in map.osds.iter_mut().zip(up) {
            let state = state::EXISTS | if *up { state::UP } else { 0 };
            *osd = Arc::new(Osd { state, ..Osd::default() });
        }
        map.weights.fill(WEIGHT_IN);
        map
    }

    #[test]
    fn a_host_is_down_when_all_its_osds_are() {
        let map = map(&[false, false, false, true]);
        let type_of = |name: &str| map.crush.type_id(name).expect("known");
        assert!(map.is_containing_subtree_down(0, type_of("host")));
        assert!(!map.is_containing_subtree_down(2, type_of("host")));
        assert!(!map.is_containing_subtree_down(0, type_of("root")));
        assert!(map.is_containing_subtree_down(2, type_of("osd")));
    }

    #[test]
    fn neighbours_wrap_around_and_skip_who_is_down() {
        let map = map(&[true, false, true, true]);
        assert_eq!((map.next_up_osd_after(0), map.next_up_osd_after(3)), (Some(2), Some(0)));
        assert_eq!((map.previous_up_osd_before(0), map.previous_up_osd_before(2)), (Some(3), Some(0)));
        let alone = super::tests::map(&[true]);
        assert_eq!((alone.next_up_osd_after(0), alone.previous_up_osd_before(0)), (None, None));
        assert_eq!(OsdMap::default().next_up_osd_after(0), None);
    }
}
