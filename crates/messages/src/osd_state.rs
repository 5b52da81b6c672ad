//! What OSDs tell the monitors about themselves and each other.

use std::collections::BTreeMap;

use types::{EVersion, EntityAddrVec, Epoch, OsdId, OsdStat, PgId, PgStat, PoolId, StoreStatfs, UTime, Uuid};

use crate::payload::{Paxos, message};

/// `MOSDAlive`: asks for `up_thru` to reach `want`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDAlive {
    pub paxos: Paxos,
    pub want: Epoch,
}
message!(MOSDAlive = 73, v 1 / 1; paxos, want);

/// `MOSDFailure`: reports a peer as failed, or takes the report back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDFailure {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub target_osd: OsdId,
    pub target_addrs: EntityAddrVec,
    pub epoch: Epoch,
    /// [`Self::FAILED`], [`Self::IMMEDIATE`]; none: it is alive after all.
    pub flags: u8,
    /// Seconds for which it is known to have failed.
    pub failed_for: i32,
}

impl MOSDFailure {
    pub const FAILED: u8 = 1;
    /// Known (its port refuses), not a timeout.
    pub const IMMEDIATE: u8 = 2;
    /// Ours; real monitors do not look at it. The reporter has lost most of its peers, so that the fault may be
    /// its own.
    pub const ISOLATED: u8 = 4;
}
message!(MOSDFailure = 72, v 4 / 4; old 4, paxos, fsid, target_osd, target_addrs, epoch, flags, failed_for);

/// `MOSDBeacon`: an OSD's sign of life to the monitors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDBeacon {
    pub paxos: Paxos,
    pub pgs: Vec<PgId>,
    pub min_last_epoch_clean: Epoch,
    pub last_purged_snaps_scrub: UTime,
    /// Seconds between beacons.
    pub osd_beacon_report_interval: u32,
}
message!(MOSDBeacon = 79, v 3 / 1;
    paxos, pgs, min_last_epoch_clean, since 2 last_purged_snaps_scrub, since 3 osd_beacon_report_interval);

/// `MOSDMarkMeDown`: an OSD says good-bye; the monitor repeats the message as its acknowledgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDMarkMeDown {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub target_osd: OsdId,
    pub target_addrs: EntityAddrVec,
    pub epoch: Epoch,
    pub request_ack: bool,
    pub down_and_dead: bool,
}
message!(MOSDMarkMeDown = 74, v 4 / 3;
    old 3, paxos, fsid, target_osd, target_addrs, epoch, request_ack, since 4 down_and_dead);

/// `MOSDMarkMeDead`: an OSD says that its earlier instance is gone for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDMarkMeDead {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub target_osd: OsdId,
    pub epoch: Epoch,
}
message!(MOSDMarkMeDead = 123, v 1 / 1; paxos, fsid, target_osd, epoch);

/// `MOSDPGTemp`: asks for other acting sets while the up sets are being filled; an empty one ends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGTemp {
    pub paxos: Paxos,
    pub map_epoch: Epoch,
    pub pg_temp: BTreeMap<PgId, Vec<OsdId>>,
    pub forced: bool,
}
message!(MOSDPGTemp = 78, v 2 / 1; paxos, map_epoch, pg_temp, since 2 forced);

/// `MOSDPGReadyToMerge`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGReadyToMerge {
    pub paxos: Paxos,
    pub pgid: PgId,
    pub source_version: EVersion,
    pub target_version: EVersion,
    pub last_epoch_started: Epoch,
    pub last_epoch_clean: Epoch,
    pub ready: bool,
}
message!(MOSDPGReadyToMerge = 122, v 1 / 1;
    paxos, pgid, source_version, target_version, last_epoch_started, last_epoch_clean, ready);

/// `MOSDPGCreated`: a new PG has been active once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGCreated {
    pub paxos: Paxos,
    pub pgid: PgId,
}
message!(MOSDPGCreated = 116, v 1 / 1; paxos, pgid);

/// `MOSDFull`: an OSD's fullness bits (`CEPH_OSD_FULL`, …) as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDFull {
    pub paxos: Paxos,
    pub map_epoch: Epoch,
    pub state: u32,
}
message!(MOSDFull = 75, v 1 / 1; paxos, map_epoch, state);

/// `MPGStatsAck`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MPGStatsAck {
    pub pg_stat: BTreeMap<PgId, (u64, Epoch)>,
}
message!(MPGStatsAck = 88, v 1 / 1; pg_stat);

/// `MPGStats`: an OSD's statistics and those of the PGs of which it is the primary, for the manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MPGStats {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub osd_stat: OsdStat,
    pub pg_stat: BTreeMap<PgId, PgStat>,
    pub epoch: Epoch,
    /// Always zero.
    pub had_map_for: UTime,
    pub pool_stat: BTreeMap<PoolId, StoreStatfs>,
}
message!(MPGStats = 87, v 2 / 1; paxos, fsid, osd_stat, pg_stat, epoch, had_map_for, since 2 pool_stat);
