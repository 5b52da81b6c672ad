//! Peering and recovery messages between OSDs that need only basic types: reservations, trimming.

use types::{EVersion, Epoch, SpgId};

use crate::payload::message;

/// `MOSDPGTrim`: trim your log to here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGTrim {
    pub epoch: Epoch,
    pub pgid: SpgId,
    pub trim_to: EVersion,
}
message!(MOSDPGTrim = 86, v 2 / 2; epoch, pgid.pgid, trim_to, pgid.shard);

/// `MOSDPGRemove`: drop these PGs, they have moved away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGRemove {
    pub epoch: Epoch,
    pub pg_list: Vec<SpgId>,
}
message!(MOSDPGRemove = 84, v 3 / 3; epoch, pg_list);

/// `MRecoveryReserve`: the primary's and a replica's talk about a recovery slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MRecoveryReserve {
    pub pgid: SpgId,
    pub query_epoch: Epoch,
    /// [`Self::REQUEST`] and so on.
    pub kind: u32,
    pub priority: u32,
}

impl MRecoveryReserve {
    /// Primary to replica: please reserve a slot.
    pub const REQUEST: u32 = 0;
    /// Replica to primary: reserved.
    pub const GRANT: u32 = 1;
    /// Primary to replica: the slot is free again.
    pub const RELEASE: u32 = 2;
    /// Replica to primary: I take the slot back.
    pub const REVOKE: u32 = 3;
}
message!(MRecoveryReserve = 150, v 3 / 2; pgid.pgid, query_epoch, kind, pgid.shard, since 3 priority);

/// `MBackfillReserve`: the same for a backfill slot, with the space it will take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MBackfillReserve {
    pub pgid: SpgId,
    pub query_epoch: Epoch,
    /// [`Self::REQUEST`] and so on.
    pub kind: u32,
    pub priority: u32,
    pub primary_num_bytes: i64,
    pub shard_num_bytes: i64,
}

impl MBackfillReserve {
    pub const REQUEST: u32 = 0;
    pub const GRANT: u32 = 1;
    /// Replica to primary: too full, try again later.
    pub const REJECT_TOOFULL: u32 = 2;
    pub const RELEASE: u32 = 3;
    /// Replica to primary: too full now, stop.
    pub const REVOKE_TOOFULL: u32 = 4;
    pub const REVOKE: u32 = 5;
}
message!(MBackfillReserve = 99, v 5 / 4;
    pgid.pgid, query_epoch, kind, priority, pgid.shard, since 5 primary_num_bytes, since 5 shard_num_bytes);
