//! An OSD's arrival: what it tells the monitors about itself.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddrVec, Epoch, OsdId, PoolId, UTime, Uuid};

use crate::payload::{Paxos, message};

/// `CompatSet::FeatureSet`: named on-disk features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureSet {
    pub mask: u64,
    pub names: BTreeMap<u64, String>,
}

impl Encode for FeatureSet {
    fn encode(&self, e: &mut Encoder) {
        e.u64(self.mask & !1);
        e.put(&self.names);
    }
}

impl Decode for FeatureSet {
    const MIN_SIZE: usize = 12;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { mask: d.u64()?, names: d.get()? })
    }
}

/// `CompatSet`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompatSet {
    pub compat: FeatureSet,
    pub ro_compat: FeatureSet,
    pub incompat: FeatureSet,
}

impl Encode for CompatSet {
    fn encode(&self, e: &mut Encoder) {
        e.put(&self.compat);
        e.put(&self.ro_compat);
        e.put(&self.incompat);
    }
}

impl Decode for CompatSet {
    const MIN_SIZE: usize = 36;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { compat: d.get()?, ro_compat: d.get()?, incompat: d.get()? })
    }
}

/// `OSDSuperblock`: who the OSD is and which maps it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OsdSuperblock {
    pub cluster_fsid: Uuid,
    pub whoami: OsdId,
    pub current_epoch: Epoch,
    pub oldest_map: Epoch,
    pub newest_map: Epoch,
    pub weight: f64,
    pub compat_features: CompatSet,
    /// The last epoch in which it was surely clean …
    pub clean_thru: Epoch,
    /// … and the one in which it was last mounted.
    pub mounted: Epoch,
    pub osd_fsid: Uuid,
    pub purged_snaps_last: Epoch,
    pub last_purged_snaps_scrub: UTime,
    /// Older maps may be gone everywhere in the cluster.
    pub cluster_osdmap_trim_lower_bound: Epoch,
}

impl Encode for OsdSuperblock {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(10, 5, |e| {
            e.put(&self.cluster_fsid);
            e.i32(self.whoami);
            e.u32(self.current_epoch);
            e.u32(self.oldest_map);
            e.u32(self.newest_map);
            e.f64(self.weight);
            e.put(&self.compat_features);
            e.u32(self.clean_thru);
            e.u32(self.mounted);
            e.put(&self.osd_fsid);
            e.u32(0); // once: the last epoch in which the cluster was full
            e.u32(0); // and the same by pool
            e.u32(self.purged_snaps_last);
            e.put(&self.last_purged_snaps_scrub);
            e.u32(self.cluster_osdmap_trim_lower_bound);
        });
    }
}

impl Decode for OsdSuperblock {
    const MIN_SIZE: usize = 126;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("OSDSuperblock", 10, |d, v| {
            if v < 8 {
                return Err(DecodeError::TooOld { what: "OSDSuperblock", version: v });
            }
            let mut sb = Self {
                cluster_fsid: d.get()?,
                whoami: d.i32()?,
                current_epoch: d.u32()?,
                oldest_map: d.u32()?,
                newest_map: d.u32()?,
                weight: d.f64()?,
                compat_features: d.get()?,
                clean_thru: d.u32()?,
                mounted: d.u32()?,
                osd_fsid: d.get()?,
                ..Self::default()
            };
            d.u32()?;
            d.get::<BTreeMap<PoolId, Epoch>>()?;
            if v >= 9 {
                sb.purged_snaps_last = d.u32()?;
                sb.last_purged_snaps_scrub = d.get()?;
            }
            if v >= 10 {
                sb.cluster_osdmap_trim_lower_bound = d.u32()?;
            }
            Ok(sb)
        })
    }
}

/// `MOSDBoot`: mark me up, at these addresses. The public address is that of the session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MOSDBoot {
    pub paxos: Paxos,
    pub sb: OsdSuperblock,
    pub hb_back_addrs: EntityAddrVec,
    pub cluster_addrs: EntityAddrVec,
    /// When the OSD's earlier boot of this process was marked up; 0 at first.
    pub boot_epoch: Epoch,
    pub hb_front_addrs: EntityAddrVec,
    pub metadata: BTreeMap<String, String>,
    pub osd_features: u64,
}
message!(MOSDBoot = 71, v 7 / 7;
    old 7, paxos, sb, hb_back_addrs, cluster_addrs, boot_epoch, hb_front_addrs, metadata, osd_features);
