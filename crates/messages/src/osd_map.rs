//! OSDMaps on their way.

use std::collections::BTreeMap;

use bytes::Bytes;
use types::{Epoch, IntervalSet, PoolId, Uuid};

use crate::payload::{Paxos, message};

/// `MOSDMap`: encoded maps and incrementals by epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDMap {
    pub fsid: Uuid,
    pub incremental_maps: BTreeMap<Epoch, Bytes>,
    pub maps: BTreeMap<Epoch, Bytes>,
    /// What the sender could give, so that a reader knows whether it asks in vain.
    pub oldest_map: Epoch,
    pub newest_map: Epoch,
    /// Snapshots removed in epochs that the gap to `maps` leaves out; nobody uses it any more.
    pub gap_removed_snaps: BTreeMap<PoolId, IntervalSet>,
}
message!(MOSDMap = 41, v 4 / 3;
    old 2, fsid, incremental_maps, maps, oldest_map, newest_map, since 4 gap_removed_snaps);

impl MOSDMap {
    pub fn first(&self) -> Option<Epoch> {
        self.maps.keys().next().into_iter().chain(self.incremental_maps.keys().next()).min().copied()
    }

    pub fn last(&self) -> Option<Epoch> {
        self.maps.keys().next_back().into_iter().chain(self.incremental_maps.keys().next_back()).max().copied()
    }
}

/// `MMonGetOSDMap`: asks a monitor for ranges of full and incremental maps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonGetOSDMap {
    pub paxos: Paxos,
    pub full_first: Epoch,
    pub full_last: Epoch,
    pub inc_first: Epoch,
    pub inc_last: Epoch,
}
message!(MMonGetOSDMap = 6, v 1 / 1; paxos, full_first, full_last, inc_first, inc_last);

/// `MMonGetPurgedSnaps`: asks which snapshots were purged in epochs `start..last`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonGetPurgedSnaps {
    pub paxos: Paxos,
    pub start: Epoch,
    pub last: Epoch,
}
message!(MMonGetPurgedSnaps = 76, v 1 / 1; paxos, start, last);

/// `MMonGetPurgedSnapsReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonGetPurgedSnapsReply {
    pub paxos: Paxos,
    pub start: Epoch,
    pub last: Epoch,
    pub purged_snaps: BTreeMap<Epoch, BTreeMap<PoolId, IntervalSet>>,
}
message!(MMonGetPurgedSnapsReply = 77, v 1 / 1, prio PRIO_HIGH; paxos, start, last, purged_snaps);
