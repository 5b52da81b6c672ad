//! Pool operations and statistics that librados asks the monitors for.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{PoolStat, SnapId, Uuid};

use crate::Wire;
use crate::payload::{Paxos, Payload, message};

/// `MStatfs`: asks for the cluster's usage, or one pool's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MStatfs {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub data_pool: Option<i64>,
}
message!(MStatfs = 13, v 2 / 1; paxos, fsid, since 2 data_pool);

/// `MStatfsReply`. Sizes are in KiB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MStatfsReply {
    pub fsid: Uuid,
    pub version: u64,
    pub kb: u64,
    pub kb_used: u64,
    pub kb_avail: u64,
    pub num_objects: u64,
}
message!(MStatfsReply = 14, v 1 / 1, prio PRIO_HIGH; fsid, version, kb, kb_used, kb_avail, num_objects);

/// `MGetPoolStats`: asks for the usage of some pools, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MGetPoolStats {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub pools: Vec<String>,
}
message!(MGetPoolStats = 58, v 1 / 1; paxos, fsid, pools);

/// `MGetPoolStatsReply`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MGetPoolStatsReply {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub pool_stats: BTreeMap<String, PoolStat>,
    /// Whether the sizes are the pools' own, as bluestore counts them.
    pub per_pool: bool,
}
message!(MGetPoolStatsReply = 59, v 2 / 1, prio PRIO_HIGH; paxos, fsid, pool_stats, since 2 per_pool);

/// What a [`MPoolOp`] does (Ceph: `POOL_OP_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum PoolOp {
    #[default]
    Create = 0x01,
    Delete = 0x02,
    AuidChange = 0x03,
    CreateSnap = 0x11,
    DeleteSnap = 0x12,
    CreateUnmanagedSnap = 0x21,
    DeleteUnmanagedSnap = 0x22,
}

impl Encode for PoolOp {
    fn encode(&self, e: &mut Encoder) {
        e.u32(*self as u32);
    }
}

impl Decode for PoolOp {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match d.u32()? {
            0x01 => Self::Create,
            0x02 => Self::Delete,
            0x03 => Self::AuidChange,
            0x11 => Self::CreateSnap,
            0x12 => Self::DeleteSnap,
            0x21 => Self::CreateUnmanagedSnap,
            0x22 => Self::DeleteUnmanagedSnap,
            value => return Err(DecodeError::Invalid { what: "pool op", value: value.into() }),
        })
    }
}

/// `MPoolOp`: creates or deletes a pool or a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MPoolOp {
    pub paxos: Paxos,
    pub fsid: Uuid,
    /// The low half of the pool's id.
    pub pool: u32,
    pub op: PoolOp,
    pub snapid: SnapId,
    /// Of the pool or the snapshot.
    pub name: String,
    /// -1: the default rule.
    pub crush_rule: i16,
}

impl Payload for MPoolOp {
    const KIND: u16 = 49;
    const NAME: &'static str = "MPoolOp";
    const VERSION: u16 = 4;
    const COMPAT: u16 = 2;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.put(&self.paxos);
        e.put(&self.fsid);
        e.u32(self.pool);
        e.put(&self.op);
        e.u64(0); // once an owner
        e.u64(self.snapid);
        e.string(&self.name);
        e.u8(0); // the rule when it was a byte
        e.u16(self.crush_rule.cast_unsigned());
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        crate::payload::refuse_older(wire, 2, Self::NAME)?;
        let (paxos, fsid, pool, op) = (d.get()?, d.get()?, d.u32()?, d.get()?);
        d.u64()?;
        let (snapid, name) = (d.u64()?, d.get()?);
        let byte = if wire.version >= 3 { i16::from(d.u8()?) } else { -1 };
        let crush_rule = if wire.version >= 4 { d.u16()?.cast_signed() } else { byte };
        Ok(Self { paxos, fsid, pool, op, snapid, name, crush_rule })
    }
}

/// `MPoolOpReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MPoolOpReply {
    pub paxos: Paxos,
    pub fsid: Uuid,
    /// 0, or the bits of a negative errno.
    pub reply_code: u32,
    /// The osdmap epoch in which the change shows.
    pub epoch: u32,
    /// The new snapshot's id for `CreateUnmanagedSnap`; empty else.
    pub response_data: Bytes,
}

impl Payload for MPoolOpReply {
    const KIND: u16 = 48;
    const NAME: &'static str = "MPoolOpReply";
    const VERSION: u16 = 1;
    const COMPAT: u16 = 1;
    const PRIORITY: u16 = crate::PRIO_HIGH;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.put(&self.paxos);
        e.put(&self.fsid);
        e.u32(self.reply_code);
        e.u32(self.epoch);
        e.put(&(!self.response_data.is_empty()).then_some(&self.response_data));
    }

    fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
        let (paxos, fsid, reply_code, epoch) = (d.get()?, d.get()?, d.u32()?, d.u32()?);
        let response_data = d.get::<Option<Bytes>>()?.unwrap_or_default();
        Ok(Self { paxos, fsid, reply_code, epoch, response_data })
    }
}
