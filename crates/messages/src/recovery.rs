//! Recovery and backfill: objects pushed and pulled whole or in pieces, scans, deletions.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EVersion, Epoch, HObject, IntervalSet, ObjectInfo, PgId, PgShard, PgStat, SnapSet, SpgId};

use crate::Wire;
use crate::payload::{Payload, message, refuse_older};

/// `ObjectRecoveryInfo`: what is to be recovered of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRecoveryInfo {
    pub soid: HObject,
    pub version: EVersion,
    pub size: u64,
    pub oi: ObjectInfo,
    /// Of a head or a snapdir only.
    pub ss: SnapSet,
    /// What must be copied, …
    pub copy_subset: IntervalSet,
    /// … and what can be cloned from which of the receiver's objects.
    pub clone_subset: BTreeMap<HObject, IntervalSet>,
    /// The receiver has an older version, whose untouched parts stay.
    pub object_exist: bool,
}

impl Encode for ObjectRecoveryInfo {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(3, 1, |e| {
            e.put(&self.soid);
            e.put(&self.version);
            e.u64(self.size);
            e.put(&self.oi);
            e.put(&self.ss);
            e.put(&self.copy_subset);
            e.put(&self.clone_subset);
            e.bool(self.object_exist);
        });
    }
}

impl Decode for ObjectRecoveryInfo {
    const MIN_SIZE: usize = 85;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ObjectRecoveryInfo", 3, |d, v| {
            if v < 2 {
                return Err(DecodeError::TooOld { what: "ObjectRecoveryInfo", version: v });
            }
            Ok(Self {
                soid: d.get()?,
                version: d.get()?,
                size: d.u64()?,
                oi: d.get()?,
                ss: d.get()?,
                copy_subset: d.get()?,
                clone_subset: d.get()?,
                object_exist: v >= 3 && d.bool()?,
            })
        })
    }
}

/// `ObjectRecoveryProgress`: how far the pieces have come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRecoveryProgress {
    pub first: bool,
    pub data_complete: bool,
    pub data_recovered_to: u64,
    /// The first key that is not there yet.
    pub omap_recovered_to: ByteStr,
    pub omap_complete: bool,
}

impl ObjectRecoveryProgress {
    /// Whether this was the last piece.
    pub fn is_complete(&self) -> bool {
        self.data_complete && self.omap_complete
    }
}

impl Encode for ObjectRecoveryProgress {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.bool(self.first);
            e.bool(self.data_complete);
            e.u64(self.data_recovered_to);
            e.put(&self.omap_recovered_to);
            e.bool(self.omap_complete);
        });
    }
}

impl Decode for ObjectRecoveryProgress {
    const MIN_SIZE: usize = 21;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ObjectRecoveryProgress", 1, |d, _| {
            Ok(Self {
                first: d.bool()?,
                data_complete: d.bool()?,
                data_recovered_to: d.u64()?,
                omap_recovered_to: d.get()?,
                omap_complete: d.bool()?,
            })
        })
    }
}

/// `PushOp`: a piece of an object. `data` holds the intervals of `data_included`, joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushOp {
    pub soid: HObject,
    pub version: EVersion,
    pub data: Bytes,
    pub data_included: IntervalSet,
    pub omap_header: Bytes,
    pub omap_entries: BTreeMap<ByteStr, Bytes>,
    pub attrset: BTreeMap<ByteStr, Bytes>,
    pub recovery_info: ObjectRecoveryInfo,
    pub after_progress: ObjectRecoveryProgress,
    pub before_progress: ObjectRecoveryProgress,
}

impl Encode for PushOp {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.soid);
            e.put(&self.version);
            e.blob(&self.data);
            e.put(&self.data_included);
            e.blob(&self.omap_header);
            e.put(&self.omap_entries);
            e.put(&self.attrset);
            e.put(&self.recovery_info);
            e.put(&self.after_progress);
            e.put(&self.before_progress);
        });
    }
}

impl Decode for PushOp {
    const MIN_SIZE: usize = 205;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("PushOp", 1, |d, _| {
            Ok(Self {
                soid: d.get()?,
                version: d.get()?,
                data: d.blob()?,
                data_included: d.get()?,
                omap_header: d.blob()?,
                omap_entries: d.get()?,
                attrset: d.get()?,
                recovery_info: d.get()?,
                after_progress: d.get()?,
                before_progress: d.get()?,
            })
        })
    }
}

/// `PullOp`: asks for the next piece of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullOp {
    pub soid: HObject,
    pub recovery_info: ObjectRecoveryInfo,
    pub recovery_progress: ObjectRecoveryProgress,
}

impl Encode for PullOp {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.soid);
            e.put(&self.recovery_info);
            e.put(&self.recovery_progress);
        });
    }
}

impl Decode for PullOp {
    const MIN_SIZE: usize = 151;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("PullOp", 1, |d, _| {
            Ok(Self { soid: d.get()?, recovery_info: d.get()?, recovery_progress: d.get()? })
        })
    }
}

/// `PushReplyOp`: a piece has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReplyOp {
    pub soid: HObject,
}

impl Encode for PushReplyOp {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| e.put(&self.soid));
    }
}

impl Decode for PushReplyOp {
    const MIN_SIZE: usize = 45;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("PushReplyOp", 1, |d, _| Ok(Self { soid: d.get()? }))
    }
}

/// `MOSDPGPush`: pieces of objects for a member that lacks them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGPush {
    pub from: PgShard,
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub pushes: Vec<PushOp>,
    /// For the receiver's scheduler.
    pub cost: u64,
    pub is_repair: bool,
}
message!(MOSDPGPush = 105, v 4 / 2, prio PRIO_RECOVERY_OP;
    pgid.pgid, map_epoch, pushes, cost, pgid.shard, from, since 3 min_epoch or map_epoch, since 4 is_repair);

/// `MOSDPGPushReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGPushReply {
    pub from: PgShard,
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub replies: Vec<PushReplyOp>,
    pub cost: u64,
}
message!(MOSDPGPushReply = 107, v 3 / 2, prio PRIO_RECOVERY_OP;
    pgid.pgid, map_epoch, replies, cost, pgid.shard, from, since 3 min_epoch or map_epoch);

/// `MOSDPGPull`: the primary lacks objects and asks a member for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGPull {
    pub from: PgShard,
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub pulls: Vec<PullOp>,
    pub cost: u64,
}
message!(MOSDPGPull = 106, v 3 / 2, prio PRIO_RECOVERY_OP;
    pgid.pgid, map_epoch, pulls, cost, pgid.shard, from, since 3 min_epoch or map_epoch);

/// `MOSDPGScan`: asks a backfill target for the objects of a range, or answers; then `data` is an
/// encoded BackfillInterval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGScan {
    /// [`Self::GET_DIGEST`] or [`Self::DIGEST`].
    pub op: u32,
    pub map_epoch: Epoch,
    pub query_epoch: Epoch,
    pub from: PgShard,
    pub pgid: SpgId,
    pub begin: HObject,
    pub end: HObject,
    pub data: Bytes,
}

impl MOSDPGScan {
    pub const GET_DIGEST: u32 = 1;
    pub const DIGEST: u32 = 2;
}
message!(MOSDPGScan = 94, v 2 / 2;
    op, map_epoch, query_epoch, pgid.pgid, begin, end, from, pgid.shard, data data);

/// `MOSDPGBackfill`: how far backfill has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MOSDPGBackfill {
    /// [`Self::PROGRESS`], [`Self::FINISH`] or [`Self::FINISH_ACK`].
    pub op: u32,
    pub map_epoch: Epoch,
    pub query_epoch: Epoch,
    pub pgid: SpgId,
    pub last_backfill: HObject,
    pub stats: PgStat,
}

impl MOSDPGBackfill {
    pub const PROGRESS: u32 = 2;
    pub const FINISH: u32 = 3;
    pub const FINISH_ACK: u32 = 4;
}

impl Payload for MOSDPGBackfill {
    const KIND: u16 = 95;
    const NAME: &'static str = "MOSDPGBackfill";
    const VERSION: u16 = 3;
    const COMPAT: u16 = 3;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.u32(self.op);
        e.u32(self.map_epoch);
        e.u32(self.query_epoch);
        e.put(&self.pgid.pgid);
        e.put(&self.last_backfill);
        e.put(&self.stats.stats); // once alone, then with the rest
        e.put(&self.stats);
        e.i8(self.pgid.shard);
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        refuse_older(wire, 3, Self::NAME)?;
        let (op, map_epoch, query_epoch, pgid) = (d.u32()?, d.u32()?, d.u32()?, d.get::<PgId>()?);
        let last_backfill = d.get()?;
        d.get::<types::ObjectStatCollection>()?;
        let stats = d.get()?;
        let pgid = SpgId { pgid, shard: d.i8()? };
        Ok(Self { op, map_epoch, query_epoch, pgid, last_backfill, stats })
    }
}

/// `MOSDPGBackfillRemove`: objects that a backfill target has and should not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGBackfillRemove {
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub objects: Vec<(HObject, EVersion)>,
}
message!(MOSDPGBackfillRemove = 96, v 1 / 1; pgid, map_epoch, objects);

/// `MOSDPGRecoveryDelete`: deletions that a member missed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGRecoveryDelete {
    pub from: PgShard,
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub cost: u64,
    pub objects: Vec<(HObject, EVersion)>,
}
message!(MOSDPGRecoveryDelete = 118, v 2 / 1, prio PRIO_RECOVERY_OP;
    from, pgid, map_epoch, min_epoch, cost, objects);

/// `MOSDPGRecoveryDeleteReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPGRecoveryDeleteReply {
    pub from: PgShard,
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub min_epoch: Epoch,
    pub objects: Vec<(HObject, EVersion)>,
}
message!(MOSDPGRecoveryDeleteReply = 119, v 2 / 1, prio PRIO_RECOVERY_OP;
    pgid.pgid, map_epoch, min_epoch, objects, pgid.shard, from);
