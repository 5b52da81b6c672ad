//! What monitors of ours say to each other. Ceph's monitors have messages of their own for it (`MMonPaxos`,
//! `MMonElection`, `MForward`, …); ours agree by another protocol, so nothing of theirs is spoken.

use bytes::Bytes;
use denc::{DecodeError, Decoder, Encoder};

use crate::Wire;
use crate::payload::Payload;

/// One monitor to another: what is in it is crate `mon`'s affair (`peers/wire.rs`). The number is none of
/// Ceph's, which end below 0x800.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonPeer {
    pub payload: Bytes,
}

impl Payload for MMonPeer {
    const KIND: u16 = 0x5350;
    const NAME: &'static str = "MMonPeer";
    const VERSION: u16 = 1;
    const COMPAT: u16 = 1;
    const PRIORITY: u16 = crate::PRIO_HIGH;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.raw(&self.payload);
    }

    fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
        Ok(Self { payload: d.rest() })
    }
}
