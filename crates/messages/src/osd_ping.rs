//! Heartbeats between OSDs.

use denc::{DecodeError, Decoder, Encoder};
pub use types::Timespan as SignedSpan;
use types::{Epoch, UTime, Uuid};

use crate::Wire;
use crate::payload::Payload;

/// What a [`MOSDPing`] says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum PingOp {
    Heartbeat = 0,
    StartHeartbeat = 1,
    /// You are down in my map: catch up.
    YouDied = 2,
    StopHeartbeat = 3,
    #[default]
    Ping = 4,
    PingReply = 5,
}

impl PingOp {
    fn from_code(code: u8) -> Result<Self, DecodeError> {
        Ok(match code {
            0 => Self::Heartbeat,
            1 => Self::StartHeartbeat,
            2 => Self::YouDied,
            3 => Self::StopHeartbeat,
            4 => Self::Ping,
            5 => Self::PingReply,
            _ => return Err(DecodeError::Invalid { what: "osd_ping op", value: code.into() }),
        })
    }
}

/// `MOSDPing`. A reply repeats `ping_stamp`, `mono_ping_stamp` and `min_message_size`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MOSDPing {
    pub fsid: Uuid,
    pub map_epoch: Epoch,
    pub op: PingOp,
    /// The pinger's wall clock when it sent the ping.
    pub ping_stamp: UTime,
    /// The sender's epoch of becoming up.
    pub up_from: Epoch,
    /// The pinger's monotonic clock when it sent the ping.
    pub mono_ping_stamp: SignedSpan,
    /// The replier's monotonic clock when it answered.
    pub mono_send_stamp: SignedSpan,
    /// The pinger's upper bound of how far the replier's clock is ahead of its own.
    pub delta_ub: Option<SignedSpan>,
    /// The front is padded to about this size, so that heartbeats notice a broken MTU.
    pub min_message_size: u32,
}

/// The front up to the padding's length: fsid, epoch, op, stamp.
const HEAD_SIZE: usize = 29;

/// More padding than any ping of ours may have; a peer's wish beyond it is cut.
const PADDING_MAX: usize = 1 << 20;

impl Payload for MOSDPing {
    const KIND: u16 = 70;
    const NAME: &'static str = "MOSDPing";
    const VERSION: u16 = 5;
    const COMPAT: u16 = 4;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.put(&self.fsid);
        e.u32(self.map_epoch);
        e.u8(self.op as u8);
        e.put(&self.ping_stamp);
        let padding = (self.min_message_size as usize).saturating_sub(HEAD_SIZE).min(PADDING_MAX);
        e.u32(padding as u32);
        e.u32(self.up_from);
        e.put(&self.mono_ping_stamp);
        e.put(&self.mono_send_stamp);
        e.put(&self.delta_ub);
        const ZEROS: [u8; 256] = [0; 256];
        (0..padding / ZEROS.len()).for_each(|_| e.raw(&ZEROS));
        e.raw(&ZEROS[..padding % ZEROS.len()]);
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        crate::payload::refuse_older(wire, 4, Self::NAME)?;
        let (fsid, map_epoch, op) = (d.get()?, d.u32()?, PingOp::from_code(d.u8()?)?);
        let (ping_stamp, padding) = (d.get()?, d.u32()?);
        let mut ping = Self { fsid, map_epoch, op, ping_stamp, ..Self::default() };
        if wire.version >= 5 {
            ping.up_from = d.u32()?;
            ping.mono_ping_stamp = d.get()?;
            ping.mono_send_stamp = d.get()?;
            ping.delta_ub = d.get()?;
        }
        d.skip(padding as usize)?;
        ping.min_message_size = padding.saturating_add(HEAD_SIZE as u32);
        Ok(ping)
    }
}
