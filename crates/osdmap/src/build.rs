//! The first map of a cluster, and the clean-up that every new epoch needs.

use std::sync::Arc;

use crush::{CrushError, CrushMap};
use types::{UTime, Uuid};

use crate::map::ErasureCodeProfiles;
use crate::{Incremental, OsdMap, Release, flag};

/// What a new cluster's options say.
#[derive(Debug, Clone)]
pub struct NewCluster {
    /// `osd_crush_chooseleaf_type`: 0 keeps replicas on different OSDs, 1 on different hosts.
    pub chooseleaf_type: i32,
    /// `mon_osd_nearfull_ratio` and its kin.
    pub nearfull_ratio: f32,
    pub backfillfull_ratio: f32,
    pub full_ratio: f32,
    /// `osd_pool_default_erasure_code_profile`, taken apart.
    pub erasure_code_profile: Vec<(String, String)>,
}

impl Default for NewCluster {
    fn default() -> Self {
        let profile = [("k", "2"), ("m", "2"), ("plugin", "jerasure"), ("technique", "reed_sol_van")];
        Self {
            chooseleaf_type: 1,
            nearfull_ratio: 0.85,
            backfillfull_ratio: 0.90,
            full_ratio: 0.95,
            erasure_code_profile: profile.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        }
    }
}

impl OsdMap {
    /// Epoch 1 of a new cluster: no OSD, no pool, the CRUSH map of [`CrushMap::new_cluster`], and the
    /// flags that release 16 starts with (Ceph: `OSDMonitor::create_initial`).
    ///
    /// # Errors
    /// If there is no bucket type of number `chooseleaf_type`.
    pub fn new_cluster(fsid: Uuid, now: UTime, options: &NewCluster) -> Result<Self, CrushError> {
        let profile = options.erasure_code_profile.iter().cloned().collect();
        let profiles = ErasureCodeProfiles::from([("default".to_owned(), profile)]);
        Ok(Self {
            fsid,
            epoch: 1,
            created: now,
            modified: now,
            flags: flag::SORTBITWISE | flag::RECOVERY_DELETES | flag::PURGED_SNAPDIRS | flag::PGLOG_HARDLIMIT,
            crush: Arc::new(CrushMap::new_cluster(options.chooseleaf_type)?),
            erasure_code_profiles: Arc::new(profiles),
            nearfull_ratio: options.nearfull_ratio,
            backfillfull_ratio: options.backfillfull_ratio,
            full_ratio: options.full_ratio,
            require_min_compat_client: Release::LUMINOUS,
            require_osd_release: Release::PACIFIC,
            ..Self::default()
        })
    }

    /// Takes out of `inc` and its result what `pg_temp` and `primary_temp` no longer need: entries of pools
    /// that are gone, of OSDs that are all down, and those that say what is so anyway. `next` is this map
    /// with `inc` applied (Ceph: `OSDMap::clean_temps`).
    pub fn clean_temps(&self, next: &Self, inc: &mut Incremental) {
        for (pg, osds) in next.pg_temp.iter() {
            let Some(pool) = next.pool(pg.pool) else {
                inc.new_pg_temp.insert(*pg, Vec::new());
                continue;
            };
            if osds.iter().all(|osd| next.is_down(*osd)) {
                inc.new_pg_temp.insert(*pg, Vec::new());
                continue;
            }
            let redundant = next.pg_to_raw_up(*pg).0 == *osds || osds.len() > usize::from(pool.size);
            if redundant {
                match self.pg_temp.contains_key(pg) {
                    true => _ = inc.new_pg_temp.insert(*pg, Vec::new()),
                    false => _ = inc.new_pg_temp.remove(pg),
                }
            }
        }
        for (pg, osd) in next.primary_temp.iter() {
            if next.is_down(*osd) {
                inc.new_primary_temp.insert(*pg, -1);
            } else if next.pg_primary(*pg) == next.pg_to_raw_up(*pg).1 {
                match self.primary_temp.contains_key(pg) {
                    true => _ = inc.new_primary_temp.insert(*pg, -1),
                    false => _ = inc.new_primary_temp.remove(pg),
                }
            }
        }
    }
}
