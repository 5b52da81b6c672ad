//! A message as msgr carries it: a header and three byte strings. What they mean is not msgr's
//! business.

use bytes::Bytes;

use crate::error::ProtocolError;
use crate::frame::{Codec, Frame, Tag, put_frame};
use crate::tx::TxQueue;

/// `ceph_msg_header2` without its sequence numbers, and the message's three parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFrame {
    /// The type number, such as 42 for `MOSDOp`.
    pub kind: u16,
    pub tid: u64,
    pub priority: u16,
    pub version: u16,
    pub compat_version: u16,
    pub data_off: u16,
    pub front: Bytes,
    pub middle: Bytes,
    pub data: Bytes,
}

impl MessageFrame {
    /// Bytes of its three parts.
    pub fn len(&self) -> usize {
        self.front.len() + self.middle.len() + self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const HEADER: usize = 41;
/// `CEPH_MSG_FOOTER_COMPLETE | CEPH_MSG_FOOTER_NOCRC`, as every message of real Ceph has it over
/// msgr2.
const FLAGS: u8 = 3;

/// Appends a message.
pub fn put_message(tx: &mut TxQueue, codec: Codec, m: &MessageFrame, seq: u64, ack_seq: u64) {
    let mut h = [0; HEADER];
    h[0..8].copy_from_slice(&seq.to_le_bytes());
    h[8..16].copy_from_slice(&m.tid.to_le_bytes());
    h[16..18].copy_from_slice(&m.kind.to_le_bytes());
    h[18..20].copy_from_slice(&m.priority.to_le_bytes());
    h[20..22].copy_from_slice(&m.version.to_le_bytes());
    // 22..26 is the padding before the data, which nobody uses.
    h[26..28].copy_from_slice(&m.data_off.to_le_bytes());
    h[28..36].copy_from_slice(&ack_seq.to_le_bytes());
    h[36] = FLAGS;
    h[37..39].copy_from_slice(&m.compat_version.to_le_bytes());
    put_frame(tx, codec, Tag::Message, &h, [&m.front, &m.middle, &m.data]);
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub seq: u64,
    /// The last of our messages that the peer has.
    pub ack_seq: u64,
    pub message: MessageFrame,
}

/// Reads a frame whose tag is `Message`.
///
/// # Errors
/// [`ProtocolError::HeaderLength`].
pub fn open_message(frame: Frame) -> Result<Received, ProtocolError> {
    let [header, front, middle, data] = frame.segments;
    let h: &[u8; HEADER] = header[..].try_into().map_err(|_| ProtocolError::HeaderLength(header.len()))?;
    let u16_at = |at: usize| u16::from_le_bytes([h[at], h[at + 1]]);
    let u64_at = |at: usize| u64::from_le_bytes(h[at..at + 8].try_into().expect("8 bytes"));
    Ok(Received {
        seq: u64_at(0),
        ack_seq: u64_at(28),
        message: MessageFrame {
            tid: u64_at(8),
            kind: u16_at(16),
            priority: u16_at(18),
            version: u16_at(20),
            data_off: u16_at(26),
            compat_version: u16_at(37),
            front,
            middle,
            data,
        },
    })
}
