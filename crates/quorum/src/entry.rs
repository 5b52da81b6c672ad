//! What the log is made of.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

/// A leadership; grows with each election.
pub type Term = u64;
/// A position in the log; the first entry has 1.
pub type Index = u64;
/// A monitor, by its number for good (its rank may change, this does not).
pub type MemberId = u64;

/// One decision. Empty data is a leader's first entry, which carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub term: Term,
    pub index: Index,
    pub data: Bytes,
}

impl Encode for Entry {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u64(self.term);
            e.u64(self.index);
            e.blob(&self.data);
        });
    }
}

impl Decode for Entry {
    const MIN_SIZE: usize = 26;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("log entry", 1, |d, _| Ok(Self { term: d.u64()?, index: d.u64()?, data: d.blob()? }))
    }
}

/// What a member must not forget, besides the entries: its term, its vote in it, and up to where the
/// log was cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HardState {
    pub term: Term,
    pub vote: Option<MemberId>,
    pub snapshot_index: Index,
    pub snapshot_term: Term,
}

impl Encode for HardState {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u64(self.term);
            e.put(&self.vote);
            e.u64(self.snapshot_index);
            e.u64(self.snapshot_term);
        });
    }
}

impl Decode for HardState {
    const MIN_SIZE: usize = 31;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("hard state", 1, |d, _| {
            Ok(Self { term: d.u64()?, vote: d.get()?, snapshot_index: d.u64()?, snapshot_term: d.u64()? })
        })
    }
}
