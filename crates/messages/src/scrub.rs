//! Scrub and forced recovery: orders from the monitors and the manager, and the talk of a PG's members.

use bytes::Bytes;
use types::{EVersion, Epoch, HObject, PgShard, SpgId, Uuid};

use crate::payload::message;

/// `MOSDScrub2`: scrub these PGs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDScrub2 {
    pub fsid: Uuid,
    pub epoch: Epoch,
    pub scrub_pgs: Vec<SpgId>,
    pub repair: bool,
    pub deep: bool,
}
message!(MOSDScrub2 = 121, v 1 / 1; fsid, epoch, scrub_pgs, repair, deep);

/// `MOSDForceRecovery`: recover these PGs (or all, if none is named) before others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDForceRecovery {
    pub fsid: Uuid,
    pub forced_pgs: Vec<SpgId>,
    /// [`Self::RECOVERY`] and so on.
    pub options: u8,
}

impl MOSDForceRecovery {
    pub const RECOVERY: u8 = 1;
    pub const BACKFILL: u8 = 2;
    pub const CANCEL: u8 = 4;
}
message!(MOSDForceRecovery = 151, v 2 / 2; fsid, forced_pgs, options);

/// `MOSDRepScrub`: a replica shall list and digest the objects of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDRepScrub {
    pub pgid: SpgId,
    pub scrub_from: EVersion,
    /// The replica waits until it has applied this.
    pub scrub_to: EVersion,
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub chunky: bool,
    pub start: HObject,
    pub end: HObject,
    pub deep: bool,
    pub allow_preemption: bool,
    pub priority: i32,
    pub high_priority: bool,
    /// Of the digests; always -1.
    pub seed: u32,
}
message!(MOSDRepScrub = 93, v 9 / 6;
    old 6, pgid.pgid, scrub_from, scrub_to, map_epoch, chunky, start, end, deep, pgid.shard, seed,
    since 7 min_epoch or map_epoch, since 8 allow_preemption, since 9 priority, since 9 high_priority);

/// `MOSDRepScrubMap`: a replica's encoded ScrubMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDRepScrubMap {
    /// The PG at the primary.
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub from: PgShard,
    pub preempted: bool,
    pub scrub_map: Bytes,
}
message!(MOSDRepScrubMap = 117, v 2 / 1; pgid, map_epoch, from, since 2 preempted, data scrub_map);

/// `MOSDScrubReserve`: the members' talk about a scrub slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDScrubReserve {
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    /// [`Self::REQUEST`] and so on.
    pub kind: i32,
    pub from: PgShard,
}

impl MOSDScrubReserve {
    pub const REQUEST: i32 = 0;
    pub const GRANT: i32 = 1;
    pub const RELEASE: i32 = 2;
    pub const REJECT: i32 = 3;
}
message!(MOSDScrubReserve = 92, v 1 / 1; pgid, map_epoch, kind, from);
