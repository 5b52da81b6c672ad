//! What members say to each other.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::entry::{Cut, Entry, Index, MemberId, Term};

/// Numbers a leader's rounds of appends, so that an answer tells when its question was asked.
pub type Round = u64;

/// Messages may be lost, doubled, late and out of order; none is trusted to be recent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    pub from: MemberId,
    /// The sender's term; of a [`Body::PreVote`] and a granting answer to it the one that would begin.
    pub term: Term,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Body {
    /// Would you vote for me? Changes nothing at the one who is asked.
    PreVote {
        last_index: Index,
        last_term: Term,
    },
    PreVoteReply {
        granted: bool,
    },
    Vote {
        last_index: Index,
        last_term: Term,
    },
    VoteReply {
        granted: bool,
    },
    /// The entries after `prev`, and how far is committed. Without entries it is a heartbeat.
    Append {
        round: Round,
        prev_index: Index,
        prev_term: Term,
        commit: Index,
        entries: Vec<Entry>,
    },
    /// The log agrees with the leader's up to `matched`, on stable storage.
    Appended {
        round: Round,
        matched: Index,
    },
    /// The log does not hold `prev`; the leader may try again after `hint`.
    Rejected {
        round: Round,
        hint: Index,
    },
    /// The owner's whole state at `cut`, for one whom the log no longer reaches.
    Snapshot {
        round: Round,
        cut: Cut,
        data: Bytes,
    },
}

impl Body {
    fn kind(&self) -> u8 {
        match self {
            Self::PreVote { .. } => 1,
            Self::PreVoteReply { .. } => 2,
            Self::Vote { .. } => 3,
            Self::VoteReply { .. } => 4,
            Self::Append { .. } => 5,
            Self::Appended { .. } => 6,
            Self::Rejected { .. } => 7,
            Self::Snapshot { .. } => 8,
        }
    }
}

impl Encode for Message {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u64(self.from);
            e.u64(self.term);
            e.u8(self.body.kind());
            match &self.body {
                Body::PreVote { last_index, last_term } | Body::Vote { last_index, last_term } => {
                    e.u64(*last_index);
                    e.u64(*last_term);
                }
                Body::PreVoteReply { granted } | Body::VoteReply { granted } => e.u8(u8::from(*granted)),
                Body::Append { round, prev_index, prev_term, commit, entries } => {
                    for v in [round, prev_index, prev_term, commit] {
                        e.u64(*v);
                    }
                    e.seq(entries.iter());
                }
                Body::Appended { round, matched: index } | Body::Rejected { round, hint: index } => {
                    e.u64(*round);
                    e.u64(*index);
                }
                Body::Snapshot { round, cut, data } => {
                    for v in [round, &cut.index, &cut.term] {
                        e.u64(*v);
                    }
                    e.put(&cut.members);
                    e.blob(data);
                }
            }
        });
    }
}

impl Decode for Message {
    const MIN_SIZE: usize = 24;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("monitors' log message", 1, |d, _| {
            let (from, term) = (d.u64()?, d.u64()?);
            let body = match d.u8()? {
                1 => Body::PreVote { last_index: d.u64()?, last_term: d.u64()? },
                2 => Body::PreVoteReply { granted: d.u8()? != 0 },
                3 => Body::Vote { last_index: d.u64()?, last_term: d.u64()? },
                4 => Body::VoteReply { granted: d.u8()? != 0 },
                5 => Body::Append {
                    round: d.u64()?,
                    prev_index: d.u64()?,
                    prev_term: d.u64()?,
                    commit: d.u64()?,
                    entries: d.get()?,
                },
                6 => Body::Appended { round: d.u64()?, matched: d.u64()? },
                7 => Body::Rejected { round: d.u64()?, hint: d.u64()? },
                8 => {
                    let round = d.u64()?;
                    let cut = Cut { index: d.u64()?, term: d.u64()?, members: d.get()? };
                    Body::Snapshot { round, cut, data: d.blob()? }
                }
                kind => return Err(DecodeError::Invalid { what: "kind of log message", value: kind.into() }),
            };
            let message = Self { from, term, body };
            message.check()?;
            Ok(message)
        })
    }
}

impl Message {
    /// What no member ever sends: entries that are not a run after `prev`, or of a later term than the
    /// sender's.
    fn check(&self) -> Result<(), DecodeError> {
        let Body::Append { prev_index, prev_term, entries, .. } = &self.body else { return Ok(()) };
        let mut last = (*prev_index, *prev_term);
        for e in entries {
            if last.0.checked_add(1) != Some(e.index) || e.term < last.1 || e.term > self.term {
                return Err(DecodeError::Invalid { what: "entry of a log message", value: e.index });
            }
            last = (e.index, e.term);
        }
        Ok(())
    }
}
