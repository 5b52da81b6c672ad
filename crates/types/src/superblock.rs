//! Feature sets by name, and the superblock of an OSD.

use std::collections::BTreeMap;

use crate::framed::{framed, unframed};
use crate::ids::{Epoch, OsdId, Uuid};
use crate::time::UTime;

/// `CompatSet::FeatureSet`: features by number, with their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompatFeatures {
    /// Bit `n` for feature `n`; bit 0 is never set on the wire.
    pub mask: u64,
    pub names: BTreeMap<u64, String>,
}

unframed! { CompatFeatures; mask: u64, names: BTreeMap<u64, String> }

impl CompatFeatures {
    pub fn insert(&mut self, number: u64, name: &str) {
        self.mask |= 1_u64.checked_shl(number as u32).unwrap_or(0);
        self.names.insert(number, name.to_owned());
    }
}

/// `CompatSet`: what a reader must know to read, to write, or may ignore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompatSet {
    pub compat: CompatFeatures,
    pub ro_compat: CompatFeatures,
    pub incompat: CompatFeatures,
}

unframed! { CompatSet; compat: CompatFeatures, ro_compat: CompatFeatures, incompat: CompatFeatures }

/// `OSDSuperblock`.
#[derive(Debug, Clone, PartialEq)]
pub struct OsdSuperblock {
    pub cluster_fsid: Uuid,
    pub osd_fsid: Uuid,
    pub whoami: OsdId,
    /// The newest map that the OSD has acted on.
    pub current_epoch: Epoch,
    pub oldest_map: Epoch,
    pub newest_map: Epoch,
    pub weight: f64,
    pub compat_features: CompatSet,
    /// The last epoch in which the OSD was up, and how long it was active in it.
    pub mounted: Epoch,
    pub clean_thru: Epoch,
    pub purged_snaps_last: Epoch,
    pub last_purged_snaps_scrub: UTime,
    /// Two counts of release 12; always 0.
    pub last_epoch_marked_full: Epoch,
    pub pool_last_epoch_marked_full: BTreeMap<i64, Epoch>,
    /// Older maps may be gone everywhere in the cluster.
    pub cluster_osdmap_trim_lower_bound: Epoch,
}

impl Default for OsdSuperblock {
    fn default() -> Self {
        Self {
            cluster_fsid: Uuid::default(),
            osd_fsid: Uuid::default(),
            whoami: -1,
            current_epoch: 0,
            oldest_map: 0,
            newest_map: 0,
            weight: 0.0,
            compat_features: CompatSet::default(),
            mounted: 0,
            clean_thru: 0,
            purged_snaps_last: 0,
            last_purged_snaps_scrub: UTime::ZERO,
            last_epoch_marked_full: 0,
            pool_last_epoch_marked_full: BTreeMap::new(),
            cluster_osdmap_trim_lower_bound: 0,
        }
    }
}

framed! { OsdSuperblock, "OSDSuperblock", 10, compat 5, min 8;
    cluster_fsid, whoami, current_epoch, oldest_map, newest_map, weight, compat_features, clean_thru, mounted,
    osd_fsid, last_epoch_marked_full, pool_last_epoch_marked_full;
    9 => purged_snaps_last, last_purged_snaps_scrub;
    10 => cluster_osdmap_trim_lower_bound;
}
