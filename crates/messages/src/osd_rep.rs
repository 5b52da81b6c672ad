//! Replication: the primary's writes at its replicas.

use bytes::Bytes;
use types::pg_info::PgHitSetHistory;
use types::{EVersion, Epoch, HObject, LogEntry, OsdReqId, PgShard, PgStat, ShardId, SpgId};

use crate::payload::message;

/// `MOSDRepOp`: a write for a replica. `data` is the encoded transaction, `log_entries` the encoded
/// entries for the PG's log; both are shared with the frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MOSDRepOp {
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub reqid: OsdReqId,
    /// The PG at the receiver.
    pub pgid: SpgId,
    pub poid: HObject,
    /// `CEPH_OSD_FLAG_*`; always `ONDISK`.
    pub acks_wanted: u8,
    pub version: EVersion,
    /// `vector<pg_log_entry_t>`.
    pub log_entries: Bytes,
    pub pg_stats: PgStat,
    pub pg_trim_to: EVersion,
    /// A temporary object that begins to exist, and one that ceases to.
    pub new_temp_oid: HObject,
    pub discard_temp_oid: HObject,
    pub from: PgShard,
    pub updated_hit_set_history: Option<PgHitSetHistory>,
    /// All members have committed up to here.
    pub min_last_complete_ondisk: EVersion,
    pub data: Bytes,
}
message!(MOSDRepOp = 112, v 3 / 1;
    map_epoch, since 2 min_epoch or map_epoch, since 2 pad 24, reqid, pgid, poid, acks_wanted, version,
    log_entries, pg_stats, pg_trim_to, new_temp_oid, discard_temp_oid, from, updated_hit_set_history,
    min_last_complete_ondisk, data data);

/// `MOSDRepOpReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDRepOpReply {
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub reqid: OsdReqId,
    /// The PG at the receiver, the primary.
    pub pgid: SpgId,
    /// `CEPH_OSD_FLAG_*`; `ONDISK` when committed.
    pub ack_type: u8,
    pub result: i32,
    pub last_complete_ondisk: EVersion,
    pub from: PgShard,
}
message!(MOSDRepOpReply = 113, v 2 / 1, prio PRIO_HIGH;
    map_epoch, since 2 min_epoch or map_epoch, since 2 pad 24, reqid, pgid, ack_type, result,
    last_complete_ondisk, from);

/// `MOSDPGUpdateLogMissing`: log entries without a write, such as errors and lost objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MOSDPGUpdateLogMissing {
    pub map_epoch: Epoch,
    pub pgid: SpgId,
    pub from: ShardId,
    pub rep_tid: u64,
    pub entries: Vec<LogEntry>,
    pub min_epoch: Epoch,
    pub pg_trim_to: EVersion,
    pub pg_roll_forward_to: EVersion,
}
message!(MOSDPGUpdateLogMissing = 114, v 3 / 1;
    map_epoch, pgid, from, rep_tid, entries, since 2 min_epoch or map_epoch, since 3 pg_trim_to,
    since 3 pg_roll_forward_to);

/// `MOSDPGUpdateLogMissingReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGUpdateLogMissingReply {
    pub map_epoch: Epoch,
    pub pgid: SpgId,
    pub from: ShardId,
    pub rep_tid: u64,
    pub min_epoch: Epoch,
    pub last_complete_ondisk: EVersion,
}
message!(MOSDPGUpdateLogMissingReply = 115, v 3 / 1, prio PRIO_HIGH;
    map_epoch, pgid, from, rep_tid, since 2 min_epoch or map_epoch, since 3 last_complete_ondisk);
