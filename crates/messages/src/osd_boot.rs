//! An OSD's arrival: what it tells the monitors about itself.

use std::collections::BTreeMap;

pub use types::OsdSuperblock;
use types::{EntityAddrVec, Epoch};

use crate::payload::{Paxos, message};

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
