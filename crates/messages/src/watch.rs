//! What an OSD tells a client unasked: notifications and backoffs.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{Epoch, HObject, SpgId};

use crate::Wire;
use crate::payload::{Payload, message};

/// What a [`MWatchNotify`] is about (Ceph: `CEPH_WATCH_EVENT_*`).
pub mod watch_event {
    /// To a watcher: someone notifies.
    pub const NOTIFY: u8 = 1;
    /// To the notifier: all have answered, or the time is up.
    pub const NOTIFY_COMPLETE: u8 = 2;
    /// To a watcher: your watch is gone.
    pub const DISCONNECT: u8 = 3;
}

/// `MWatchNotify`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MWatchNotify {
    /// One of [`watch_event`].
    pub opcode: u8,
    /// The client's own number for this watch or notify.
    pub cookie: u64,
    pub ver: u64,
    /// The OSD's number for the notify.
    pub notify_id: u64,
    /// What the notifier says to the watchers.
    pub payload: Bytes,
    /// 0 or a negative errno, of a finished notify.
    pub return_code: i32,
    /// The global id of who notifies.
    pub notifier_gid: u64,
    /// Of a finished notify: the watchers' answers and those who gave none, encoded.
    pub replies: Bytes,
}

impl Payload for MWatchNotify {
    const KIND: u16 = 44;
    const NAME: &'static str = "MWatchNotify";
    const VERSION: u16 = 3;
    const COMPAT: u16 = 1;

    fn encode_payload(&self, e: &mut Encoder, wire: &mut Wire) {
        e.u8(1); // a version of its own, from before headers had one
        e.u8(self.opcode);
        e.u64(self.cookie);
        e.u64(self.ver);
        e.u64(self.notify_id);
        e.blob(&self.payload);
        e.i32(self.return_code);
        e.u64(self.notifier_gid);
        wire.data = self.replies.clone();
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        let inner = d.u8()?;
        let (opcode, cookie, ver, notify_id) = (d.u8()?, d.u64()?, d.u64()?, d.u64()?);
        let payload = if inner >= 1 { d.blob()? } else { Bytes::new() };
        let return_code = if wire.version >= 2 { d.i32()? } else { 0 };
        let notifier_gid = if wire.version >= 3 { d.u64()? } else { 0 };
        let replies = wire.data.clone();
        Ok(Self { opcode, cookie, ver, notify_id, payload, return_code, notifier_gid, replies })
    }
}

/// What a backoff says (Ceph: `CEPH_OSD_BACKOFF_OP_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum BackoffOp {
    /// OSD to client: stop sending ops on this range.
    #[default]
    Block = 1,
    /// Client to OSD: understood.
    AckBlock = 2,
    /// OSD to client: go on.
    Unblock = 3,
}

impl Encode for BackoffOp {
    fn encode(&self, e: &mut Encoder) {
        e.u8(*self as u8);
    }
}

impl Decode for BackoffOp {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.u8()? {
            1 => Ok(Self::Block),
            2 => Ok(Self::AckBlock),
            3 => Ok(Self::Unblock),
            value => Err(DecodeError::Invalid { what: "backoff op", value: value.into() }),
        }
    }
}

/// `MOSDBackoff`: stops and restarts a client's ops on `begin..end` (one object if they are equal).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDBackoff {
    pub pgid: SpgId,
    pub map_epoch: Epoch,
    pub op: BackoffOp,
    /// Unique within the session.
    pub id: u64,
    pub begin: HObject,
    pub end: HObject,
}
message!(MOSDBackoff = 61, v 1 / 1; pgid, map_epoch, op, id, begin, end);
