//! What monitors say to each other, inside `MMonPeer`: `docs/formats/mon.md` has the table.
//!
//! Nothing here is trusted to be recent; all of it may be lost or come twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use messages::{Message, Wire};
use quorum::{Index, MemberId};
use types::{EntityAddr, EntityAddrVec, EntityName, UTime, Uuid};

use crate::connected::Counts;

/// One `MMonPeer`.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub fsid: Uuid,
    pub from: MemberId,
    /// Where the sender listens: who has no state yet knows it from here.
    pub at: EntityAddr,
    pub body: PeerMsg,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PeerMsg {
    Raft(quorum::Message),
    /// To the leader: do this; by a number that the sender chose.
    Ask {
        rid: u64,
        ask: Ask,
    },
    /// From the leader: part of the answer, to be used once the state reaches `applied`.
    Answer {
        rid: u64,
        applied: Index,
        answer: Answer,
    },
    /// A monitor whose store does not vote asks to be taken in.
    Join {
        name: String,
        addr: EntityAddr,
    },
    /// It is not: why, and whether to give up.
    Refused {
        why: String,
        fatal: bool,
    },
    /// What does your clock say?
    WhatTime {
        round: u64,
    },
    Time {
        round: u64,
        stamp: UTime,
    },
    /// To the leader: who is connected to the sender.
    Connected {
        counts: Counts,
    },
}

/// What only the leader can do.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A client's message.
    Message { who: Who, msg: Message },
    /// A command from the admin socket.
    Admin { command: String },
    /// What a monitor tells of itself.
    Hello(Hello),
    /// Global ids, to give to clients.
    Ids,
}

/// Who is at the other end of a session with another monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    pub name: EntityName,
    pub entity: String,
    pub addrs: EntityAddrVec,
    pub features: u64,
    pub global_id: u64,
    pub host: String,
}

/// A monitor and the manager in its process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    pub name: String,
    pub mgr: EntityAddr,
    /// Whether the manager runs.
    pub mgr_runs: bool,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Message(Message),
    Admin(String),
    /// From the first to before the second.
    Ids(u64, u64),
    /// That was all.
    Done,
}

fn put_message(e: &mut Encoder, m: &Message) {
    let w = m.encode(types::features::ALL);
    e.u16(w.kind);
    e.u64(w.tid);
    e.u16(w.priority);
    e.u16(w.version);
    e.u16(w.compat_version);
    e.u16(w.data_off);
    e.blob(&w.front);
    e.blob(&w.middle);
    e.blob(&w.data);
}

fn get_message(d: &mut Decoder) -> Result<Message, DecodeError> {
    let wire = Wire {
        kind: d.u16()?,
        tid: d.u64()?,
        priority: d.u16()?,
        version: d.u16()?,
        compat_version: d.u16()?,
        data_off: d.u16()?,
        front: d.blob()?,
        middle: d.blob()?,
        data: d.blob()?,
    };
    let kind = wire.kind.into();
    Message::decode(wire, types::features::ALL)
        .map_err(|_| DecodeError::Invalid { what: "message inside a monitor's message", value: kind })
}

/// A message as bytes, for the replicated state.
pub fn message_bytes(m: &Message) -> Bytes {
    let mut e = Encoder::new(types::features::ALL);
    put_message(&mut e, m);
    e.finish()
}

/// # Errors
/// If [`message_bytes`] did not write it.
pub fn message_from(bytes: Bytes) -> Result<Message, DecodeError> {
    get_message(&mut Decoder::new(bytes))
}

impl Encode for Who {
    fn encode(&self, e: &mut Encoder) {
        e.put(&self.name);
        e.string(&self.entity);
        e.put(&self.addrs);
        e.u64(self.features);
        e.u64(self.global_id);
        e.string(&self.host);
    }
}

impl Decode for Who {
    const MIN_SIZE: usize = 30;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            name: d.get()?,
            entity: d.string()?,
            addrs: d.get()?,
            features: d.u64()?,
            global_id: d.u64()?,
            host: d.string()?,
        })
    }
}

impl Encode for Hello {
    fn encode(&self, e: &mut Encoder) {
        e.string(&self.name);
        e.put(&self.mgr);
        e.bool(self.mgr_runs);
        e.put(&self.metadata);
    }
}

impl Decode for Hello {
    const MIN_SIZE: usize = 10;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { name: d.string()?, mgr: d.get()?, mgr_runs: d.bool()?, metadata: d.get()? })
    }
}

impl Encode for Ask {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Message { who, msg } => {
                e.u8(1);
                e.put(who);
                put_message(e, msg);
            }
            Self::Admin { command } => {
                e.u8(2);
                e.string(command);
            }
            Self::Hello(hello) => {
                e.u8(3);
                e.put(hello);
            }
            Self::Ids => e.u8(4),
        }
    }
}

impl Decode for Ask {
    const MIN_SIZE: usize = 1;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match d.u8()? {
            1 => Self::Message { who: d.get()?, msg: get_message(d)? },
            2 => Self::Admin { command: d.string()? },
            3 => Self::Hello(d.get()?),
            4 => Self::Ids,
            value => return Err(DecodeError::Invalid { what: "monitors' request", value: value.into() }),
        })
    }
}

impl Encode for Answer {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Message(m) => {
                e.u8(1);
                put_message(e, m);
            }
            Self::Admin(body) => {
                e.u8(2);
                e.string(body);
            }
            Self::Ids(from, to) => {
                e.u8(3);
                e.u64(*from);
                e.u64(*to);
            }
            Self::Done => e.u8(4),
        }
    }
}

impl Decode for Answer {
    const MIN_SIZE: usize = 1;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match d.u8()? {
            1 => Self::Message(get_message(d)?),
            2 => Self::Admin(d.string()?),
            3 => Self::Ids(d.u64()?, d.u64()?),
            4 => Self::Done,
            value => return Err(DecodeError::Invalid { what: "monitors' answer", value: value.into() }),
        })
    }
}

impl Encode for Envelope {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.fsid);
            e.u64(self.from);
            e.put(&self.at);
            match &self.body {
                PeerMsg::Raft(m) => {
                    e.u8(1);
                    e.put(m);
                }
                PeerMsg::Ask { rid, ask } => {
                    e.u8(2);
                    e.u64(*rid);
                    e.put(ask);
                }
                PeerMsg::Answer { rid, applied, answer } => {
                    e.u8(3);
                    e.u64(*rid);
                    e.u64(*applied);
                    e.put(answer);
                }
                PeerMsg::Join { name, addr } => {
                    e.u8(4);
                    e.string(name);
                    e.put(addr);
                }
                PeerMsg::Refused { why, fatal } => {
                    e.u8(5);
                    e.string(why);
                    e.bool(*fatal);
                }
                PeerMsg::WhatTime { round } => {
                    e.u8(6);
                    e.u64(*round);
                }
                PeerMsg::Time { round, stamp } => {
                    e.u8(7);
                    e.u64(*round);
                    e.put(stamp);
                }
                PeerMsg::Connected { counts } => {
                    e.u8(8);
                    e.put(counts);
                }
            }
        });
    }
}

impl Decode for Envelope {
    const MIN_SIZE: usize = 31;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("monitors' message", 1, |d, _| {
            let (fsid, from, at) = (d.get()?, d.u64()?, d.get()?);
            let body = match d.u8()? {
                1 => PeerMsg::Raft(d.get()?),
                2 => PeerMsg::Ask { rid: d.u64()?, ask: d.get()? },
                3 => PeerMsg::Answer { rid: d.u64()?, applied: d.u64()?, answer: d.get()? },
                4 => PeerMsg::Join { name: d.string()?, addr: d.get()? },
                5 => PeerMsg::Refused { why: d.string()?, fatal: d.bool()? },
                6 => PeerMsg::WhatTime { round: d.u64()? },
                7 => PeerMsg::Time { round: d.u64()?, stamp: d.get()? },
                8 => PeerMsg::Connected { counts: d.get()? },
                value => return Err(DecodeError::Invalid { what: "monitors' message", value: value.into() }),
            };
            Ok(Self { fsid, from, at, body })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use denc::{from_bytes, to_bytes};
    use messages::MMonGetVersion;

    #[test]
    fn what_monitors_say_comes_back_as_it_was() {
        let who = Who {
            name: EntityName::client(7),
            entity: "client.admin".to_owned(),
            addrs: EntityAddrVec::default(),
            features: 3,
            global_id: 7,
            host: "h".to_owned(),
        };
        let msg = Message::new(MMonGetVersion { handle: 3, what: "osdmap".to_owned() }).with_tid(9);
        let raft = quorum::Message { from: 1, term: 2, body: quorum::Body::VoteReply { granted: true } };
        let bodies = [
            PeerMsg::Raft(raft),
            PeerMsg::Ask { rid: 1, ask: Ask::Message { who, msg: msg.clone() } },
            PeerMsg::Ask { rid: 2, ask: Ask::Admin { command: "{}".to_owned() } },
            PeerMsg::Ask { rid: 3, ask: Ask::Hello(Hello { name: "b".to_owned(), ..Hello::default() }) },
            PeerMsg::Ask { rid: 4, ask: Ask::Ids },
            PeerMsg::Answer { rid: 5, applied: 6, answer: Answer::Message(msg) },
            PeerMsg::Answer { rid: 5, applied: 6, answer: Answer::Admin("x".to_owned()) },
            PeerMsg::Answer { rid: 5, applied: 6, answer: Answer::Ids(1, 2) },
            PeerMsg::Answer { rid: 5, applied: 6, answer: Answer::Done },
            PeerMsg::Join { name: "c".to_owned(), addr: EntityAddr::default() },
            PeerMsg::Refused { why: "no".to_owned(), fatal: true },
            PeerMsg::WhatTime { round: 7 },
            PeerMsg::Time { round: 7, stamp: UTime { sec: 8, nsec: 9 } },
            PeerMsg::Connected { counts: [((8, 3), 2)].into() },
        ];
        for body in bodies {
            let envelope = Envelope { fsid: Uuid::default(), from: 8, at: EntityAddr::default(), body };
            assert_eq!(from_bytes::<Envelope>(to_bytes(&envelope, types::features::ALL)), Ok(envelope));
        }
    }
}
