//! What a map asks of those who read it.

use types::features as f;

use crate::{DEFAULT_PRIMARY_AFFINITY, OsdMap, Release};

impl OsdMap {
    /// The features that a client must have to map PGs as this map does, and all that could have been
    /// asked (Ceph: `get_features` for clients). OSDs need more, see [`Self::required_osd_features`].
    pub fn required_client_features(&self) -> u64 {
        let t = &self.crush.tunables;
        let mut need = 0;
        let mut when = |wanted: bool, feature: u64| need |= if wanted { feature } else { 0 };
        when(t.need_tunables(), f::CRUSH_TUNABLES);
        when(t.need_tunables2(), f::CRUSH_TUNABLES2);
        when(t.need_tunables3(), f::CRUSH_TUNABLES3);
        when(self.crush.has_v4_buckets(), f::CRUSH_V4);
        when(t.need_tunables5(), f::CRUSH_TUNABLES5);
        when(self.crush.has_incompat_choose_args(), f::CRUSH_CHOOSE_ARGS);
        when(!self.pg_upmap.is_empty() || !self.pg_upmap_items.is_empty(), f::OSDMAP_PG_UPMAP);
        for pool in self.pools.values() {
            when(pool.has_flag(types::pool::flag::HASHPSPOOL), f::OSDHASHPSPOOL);
            when(!pool.tiers.is_empty() || pool.is_tier(), f::OSD_CACHEPOOL);
            let rule = self.crush.find_rule(pool.crush_rule.into(), pool.kind, pool.size.into());
            when(rule.is_some_and(|r| self.crush.is_v2_rule(r)), f::CRUSH_V2);
            when(rule.is_some_and(|r| self.crush.is_v3_rule(r)), f::CRUSH_TUNABLES3);
            when(rule.is_some_and(|r| self.crush.is_v5_rule(r)), f::CRUSH_TUNABLES5);
        }
        let unusual = |osd| self.primary_affinity(osd) != DEFAULT_PRIMARY_AFFINITY;
        when((0..self.max_osd()).any(unusual), f::OSD_PRIMARY_AFFINITY);
        when(self.require_min_compat_client >= Release::NAUTILUS, f::CEPHX_V2);
        need
    }

    /// The features that an OSD must have to join.
    pub fn required_osd_features(&self) -> u64 {
        let mut need = self.required_client_features();
        let release = self.require_osd_release;
        for (since, feature) in [
            (Release::JEWEL, f::SERVER_JEWEL),
            (Release::KRAKEN, f::SERVER_KRAKEN | f::MSG_ADDR2),
            (Release::NAUTILUS, f::CEPHX_V2),
        ] {
            need |= if release >= since { feature } else { 0 };
        }
        need
    }

    /// The oldest clients that can still map PGs.
    pub fn min_compat_client(&self) -> Release {
        let need = self.required_client_features();
        let has = |feature: u64| need & feature == feature;
        if has(f::OSDMAP_PG_UPMAP) || has(f::CRUSH_CHOOSE_ARGS) {
            Release::LUMINOUS
        } else if has(f::CRUSH_TUNABLES5) {
            Release::JEWEL
        } else if has(f::CRUSH_V4) {
            Release::HAMMER
        } else if has(f::OSD_PRIMARY_AFFINITY) || has(f::CRUSH_TUNABLES3) || has(f::OSD_CACHEPOOL) {
            Release::FIREFLY
        } else if has(f::CRUSH_TUNABLES2) || has(f::OSDHASHPSPOOL) {
            Release::DUMPLING
        } else {
            Release::ARGONAUT
        }
    }
}
