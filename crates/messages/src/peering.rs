//! Peering between OSDs: queries and answers, logs, leases, reservations.

use std::collections::BTreeMap;

use types::{
    EVersion, Epoch, NO_SHARD, PastIntervals, PgHistory, PgInfo, PgLease, PgLeaseAck, PgLogData, PgMissing, PgNotify,
    PgQuery, ShardId, SpgId, UTime,
};

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

/// `MOSDPGNotify`: infos for a primary, of several PGs (before release 15).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGNotify {
    pub epoch: Epoch,
    pub pg_list: Vec<PgNotify>,
}
message!(MOSDPGNotify = 80, v 7 / 6, prio PRIO_HIGH; old 7, epoch, pg_list);

/// `MOSDPGNotify2`: a member's info for the primary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGNotify2 {
    pub spgid: SpgId,
    pub notify: PgNotify,
}
message!(MOSDPGNotify2 = 130, v 1 / 1, prio PRIO_HIGH; spgid, notify);

/// `MOSDPGQuery`: the primary's questions, of several PGs (before release 15).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGQuery {
    pub epoch: u64,
    pub pg_list: BTreeMap<SpgId, PgQuery>,
}
message!(MOSDPGQuery = 81, v 4 / 4, prio PRIO_HIGH; epoch, pg_list);

/// `MOSDPGQuery2`: the primary asks a member for its info, log or missing set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGQuery2 {
    pub spgid: SpgId,
    pub query: PgQuery,
}
message!(MOSDPGQuery2 = 131, v 1 / 1, prio PRIO_HIGH; spgid, query);

/// `MOSDPGInfo`: infos of several PGs (before release 15).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGInfo {
    pub epoch: Epoch,
    pub pg_list: Vec<PgNotify>,
}
message!(MOSDPGInfo = 85, v 6 / 5, prio PRIO_HIGH; old 6, epoch, pg_list);

/// `MOSDPGInfo2`: the primary tells its info (you are activated), or a replica that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGInfo2 {
    pub spgid: SpgId,
    pub epoch_sent: Epoch,
    pub min_epoch: Epoch,
    pub info: PgInfo,
    pub lease: Option<PgLease>,
    pub lease_ack: Option<PgLeaseAck>,
}
message!(MOSDPGInfo2 = 132, v 1 / 1, prio PRIO_HIGH; spgid, epoch_sent, min_epoch, info, lease, lease_ack);

/// `MOSDPGLog`: a log or a piece of it, with what is missing: a member's for the primary, or the
/// authoritative one for a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MOSDPGLog {
    pub epoch: Epoch,
    /// The epoch of the query that this answers.
    pub query_epoch: Epoch,
    pub to: ShardId,
    pub from: ShardId,
    pub info: PgInfo,
    pub log: PgLogData,
    pub missing: PgMissing,
    pub past_intervals: PastIntervals,
    pub lease: Option<PgLease>,
}

impl Default for MOSDPGLog {
    fn default() -> Self {
        Self {
            epoch: 0,
            query_epoch: 0,
            to: NO_SHARD,
            from: NO_SHARD,
            info: PgInfo::default(),
            log: PgLogData::default(),
            missing: PgMissing::default(),
            past_intervals: PastIntervals::default(),
            lease: None,
        }
    }
}
message!(MOSDPGLog = 83, v 6 / 5, prio PRIO_HIGH;
    epoch, info, log, missing, query_epoch, past_intervals, to, from, since 6 lease);

impl MOSDPGLog {
    /// The PG at the receiver.
    pub fn spgid(&self) -> SpgId {
        SpgId { pgid: self.info.pgid.pgid, shard: self.to }
    }
}

/// `MOSDPGLease`: until when a replica may serve reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGLease {
    pub epoch: Epoch,
    pub spgid: SpgId,
    pub lease: PgLease,
}
message!(MOSDPGLease = 133, v 1 / 1; epoch, spgid, lease);

/// `MOSDPGLeaseAck`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGLeaseAck {
    pub epoch: Epoch,
    pub spgid: SpgId,
    pub lease_ack: PgLeaseAck,
}
message!(MOSDPGLeaseAck = 134, v 1 / 1; epoch, spgid, lease_ack);

/// `MOSDPGCreate2`: a monitor asks an OSD for new PGs, of which it is the primary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGCreate2 {
    pub epoch: Epoch,
    /// The epoch and time of their creation.
    pub pgs: BTreeMap<SpgId, (Epoch, UTime)>,
    pub pg_extra: BTreeMap<SpgId, (PgHistory, PastIntervals)>,
}
message!(MOSDPGCreate2 = 120, v 2 / 1, prio PRIO_HIGH; epoch, pgs, since 2 pg_extra);
