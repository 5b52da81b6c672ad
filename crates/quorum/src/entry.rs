//! What the log is made of.

use std::collections::BTreeSet;

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

/// A leadership; grows with each election.
pub type Term = u64;
/// A position in the log; the first entry has 1.
pub type Index = u64;
/// One store of a monitor, by a number drawn when it was made. A monitor whose store was lost comes
/// back as another member: the old one's votes and acknowledgements are forgotten, so it may not vote
/// in its place.
pub type MemberId = u64;

/// Who votes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Members(BTreeSet<MemberId>);

impl Members {
    pub fn contains(&self, id: MemberId) -> bool {
        self.0.contains(&id)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.0.iter().copied()
    }

    /// How many make a majority.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    #[must_use]
    pub fn with(&self, id: MemberId) -> Self {
        Self(self.iter().chain([id]).collect())
    }

    #[must_use]
    pub fn without(&self, id: MemberId) -> Self {
        Self(self.iter().filter(|m| *m != id).collect())
    }

    /// How many are in one of the two and not in the other.
    pub fn differences(&self, other: &Self) -> usize {
        self.0.symmetric_difference(&other.0).count()
    }
}

impl FromIterator<MemberId> for Members {
    fn from_iter<T: IntoIterator<Item = MemberId>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl Encode for Members {
    fn encode(&self, e: &mut Encoder) {
        e.seq(self.0.iter());
    }
}

impl Decode for Members {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self(d.get::<Vec<MemberId>>()?.into_iter().collect()))
    }
}

/// What an entry decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Payload {
    /// A leader's first entry: it carries nothing, and with it all before it is committed.
    Opening,
    /// The owner's.
    Data(Bytes),
    /// Who votes from here on; in force as soon as it is in a member's log.
    Members(Members),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    pub term: Term,
    pub index: Index,
    pub payload: Payload,
}

impl Entry {
    /// Bytes of it on the wire, nearly.
    pub fn size(&self) -> usize {
        let payload = match &self.payload {
            Payload::Opening => 0,
            Payload::Data(data) => data.len(),
            Payload::Members(members) => 8 * members.len(),
        };
        32 + payload
    }
}

impl Encode for Entry {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 2, |e| {
            e.u64(self.term);
            e.u64(self.index);
            match &self.payload {
                Payload::Opening => e.u8(0),
                Payload::Data(data) => {
                    e.u8(1);
                    e.blob(data);
                }
                Payload::Members(members) => {
                    e.u8(2);
                    e.put(members);
                }
            }
        });
    }
}

impl Decode for Entry {
    const MIN_SIZE: usize = 23;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("log entry", 2, |d, version| {
            let (term, index) = (d.u64()?, d.u64()?);
            let kind = if version >= 2 { Some(d.u8()?) } else { None };
            let payload = match kind {
                Some(0) => Payload::Opening,
                Some(2) => Payload::Members(d.get()?),
                Some(1) => Payload::Data(d.blob()?),
                // The first format knew only data, and the opening entry by its being empty.
                None => match d.blob()? {
                    data if data.is_empty() => Payload::Opening,
                    data => Payload::Data(data),
                },
                Some(_) => return Err(DecodeError::Invalid { what: "kind of log entry", value: 0 }),
            };
            Ok(Self { term, index, payload })
        })
    }
}

/// What a member must not forget, besides the entries: its term, its vote in it, and where the log was
/// cut off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    pub term: Term,
    pub vote: Option<MemberId>,
    pub snapshot: Cut,
}

/// Where a log begins: everything up to `index` is in the owner's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Cut {
    pub index: Index,
    pub term: Term,
    /// Who voted there.
    pub members: Members,
}

impl Encode for HardState {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 1, |e| {
            e.u64(self.term);
            e.put(&self.vote);
            e.u64(self.snapshot.index);
            e.u64(self.snapshot.term);
            e.put(&self.snapshot.members);
        });
    }
}

impl Decode for HardState {
    const MIN_SIZE: usize = 31;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("hard state", 2, |d, version| {
            let (term, vote, index, cut_term) = (d.u64()?, d.get()?, d.u64()?, d.u64()?);
            let members = if version >= 2 { d.get()? } else { Members::default() };
            Ok(Self { term, vote, snapshot: Cut { index, term: cut_term, members } })
        })
    }
}
