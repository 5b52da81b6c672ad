//! Ceph's messages and the table of their type numbers.
//!
//! A message on the wire is a type, a few header fields and three byte strings: front, middle, data
//! ([`Wire`]). [`Message`] is that, decoded.
//!
//! Start at [`Message::encode`] and [`Message::decode`], then [`Body`]. Messages of one topic share a
//! file: [`mon_session`], [`mon_command`], [`pool`], [`log`], [`mgr`], [`osd_boot`], [`osd_state`],
//! [`osd_map`], [`osd_ping`], [`osd_op`], [`osd_rep`], [`watch`], [`peering`], [`recovery`], [`scrub`].
//!
//! Invariants:
//! - What we write is what Ceph 16.2.15 writes, byte for byte; releases 14 to 20 are read.
//! - Decoding never panics, and its memory is bounded by a small multiple of the message's size.
//! - Payload data (`Bytes`) is shared with the frame it came in, in both directions.

#![forbid(unsafe_code)]

use bytes::Bytes;
use denc::{Decoder, Encoder};

pub mod log;
pub mod mgr;
pub mod mon_command;
mod mon_peer;
pub mod mon_session;
pub mod opaque;
pub mod osd_boot;
pub mod osd_map;
pub mod osd_op;
pub mod osd_ping;
pub mod osd_rep;
pub mod osd_state;
pub mod payload;
pub mod peering;
pub mod pool;
pub mod recovery;
pub mod scrub;
pub mod watch;

pub use log::*;
pub use mgr::*;
pub use mon_command::*;
pub use mon_peer::MMonPeer;
pub use mon_session::*;
pub use opaque::{Opaque, Rest};
pub use osd_boot::*;
pub use osd_map::*;
pub use osd_op::*;
pub use osd_ping::*;
pub use osd_rep::*;
pub use osd_state::*;
pub use payload::{Paxos, Payload, Trace};
pub use peering::*;
pub use pool::*;
pub use recovery::*;
pub use scrub::*;
pub use watch::*;

/// `CEPH_MSG_PRIO_LOW`, for background work; below are the others that Ceph uses.
pub const PRIO_LOW: u16 = 64;
pub const PRIO_DEFAULT: u16 = 127;
pub const PRIO_HIGH: u16 = 196;
pub const PRIO_HIGHEST: u16 = 255;
/// `osd_client_op_priority`, with which clients send their ops.
pub const PRIO_CLIENT_OP: u16 = 63;
/// `osd_recovery_op_priority`: pushes and pulls.
pub const PRIO_RECOVERY_OP: u16 = 3;

/// A message: the header's fields that cores see, and the body.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The sender's transaction number; a reply repeats it.
    pub tid: u64,
    pub priority: u16,
    pub body: Body,
}

/// A message as msgr carries it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wire {
    pub kind: u16,
    pub tid: u64,
    pub priority: u16,
    /// The encoding's version and the oldest reader it allows (header fields, not in `front`).
    pub version: u16,
    pub compat_version: u16,
    /// Where the data wants to be aligned (Ceph: `data_off`).
    pub data_off: u16,
    pub front: Bytes,
    pub middle: Bytes,
    pub data: Bytes,
}

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{message}: needs a reader of version {compat}, we know {known}")]
    TooNew { message: &'static str, compat: u16, known: u16 },
    #[error("{message} (version {version})")]
    Payload {
        message: &'static str,
        version: u16,
        #[source]
        source: denc::DecodeError,
    },
}

impl Message {
    pub fn new(body: impl Into<Body>) -> Self {
        let body = body.into();
        Self { tid: 0, priority: body.priority(), body }
    }

    pub fn with_tid(mut self, tid: u64) -> Self {
        self.tid = tid;
        self
    }

    pub fn with_priority(mut self, priority: u16) -> Self {
        self.priority = priority;
        self
    }

    /// The message as it travels to a peer with these features.
    pub fn encode(&self, features: u64) -> Wire {
        let mut wire = self.body.encode(features);
        wire.tid = self.tid;
        wire.priority = self.priority;
        wire
    }

    /// Reads a message. `_features` are the sender's; no encoding since release 14 depends on them.
    ///
    /// # Errors
    /// [`DecodeError`] names the message. A type that we do not know is no error: [`Body::Unknown`].
    pub fn decode(wire: Wire, _features: u64) -> Result<Self, DecodeError> {
        let (tid, priority) = (wire.tid, wire.priority);
        Ok(Self { tid, priority, body: Body::decode(wire)? })
    }
}

/// Room for the fronts of operations and their replies without growing.
const FRONT_CAPACITY: usize = 512;

fn encode_as<P: Payload>(payload: &P, features: u64) -> Wire {
    let mut wire = Wire { kind: P::KIND, version: P::VERSION, compat_version: P::COMPAT, ..Wire::default() };
    let mut e = Encoder::with_capacity(features, FRONT_CAPACITY);
    payload.encode_payload(&mut e, &mut wire);
    wire.front = e.finish();
    wire
}

fn decode_as<P: Payload>(wire: &Wire) -> Result<P, DecodeError> {
    if wire.compat_version > P::VERSION {
        return Err(DecodeError::TooNew { message: P::NAME, compat: wire.compat_version, known: P::VERSION });
    }
    P::decode_payload(&mut Decoder::new(wire.front.clone()), wire).map_err(|source| DecodeError::Payload {
        message: P::NAME,
        version: wire.version,
        source,
    })
}

/// Lists every message once: the enum, its table of names and numbers, and the ways in and out.
macro_rules! bodies {
    ($($name:ident)* ; boxed: $($boxed:ident)*) => {
        /// What a message says, by type.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Body {
            $($name($name),)*
            $($boxed(Box<$boxed>),)*
            /// A type that we do not know; kept as it came.
            Unknown(Box<Wire>),
        }

        impl Body {
            /// The type number.
            pub fn kind(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $name::KIND,)*
                    $(Self::$boxed(_) => $boxed::KIND,)*
                    Self::Unknown(wire) => wire.kind,
                }
            }

            /// Ceph's class name.
            pub fn name(&self) -> &'static str {
                kind_name(self.kind())
            }

            /// What its sender usually gives such a message.
            pub fn priority(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $name::PRIORITY,)*
                    $(Self::$boxed(_) => $boxed::PRIORITY,)*
                    Self::Unknown(wire) => wire.priority,
                }
            }

            fn encode(&self, features: u64) -> Wire {
                match self {
                    $(Self::$name(m) => encode_as(m, features),)*
                    $(Self::$boxed(m) => encode_as(&**m, features),)*
                    Self::Unknown(wire) => (**wire).clone(),
                }
            }

            fn decode(wire: Wire) -> Result<Self, DecodeError> {
                Ok(match wire.kind {
                    $($name::KIND => Self::$name(decode_as(&wire)?),)*
                    $($boxed::KIND => Self::$boxed(Box::new(decode_as(&wire)?)),)*
                    _ => Self::Unknown(Box::new(wire)),
                })
            }
        }

        /// Ceph's class name of a type number.
        pub fn kind_name(kind: u16) -> &'static str {
            match kind {
                $($name::KIND => $name::NAME,)*
                $($boxed::KIND => $boxed::NAME,)*
                _ => "unknown message",
            }
        }

        $(impl From<$name> for Body {
            fn from(m: $name) -> Self {
                Self::$name(m)
            }
        }
        impl From<$name> for Message {
            fn from(m: $name) -> Self {
                Self::new(m)
            }
        })*

        $(impl From<$boxed> for Body {
            fn from(m: $boxed) -> Self {
                Self::$boxed(Box::new(m))
            }
        }
        impl From<$boxed> for Message {
            fn from(m: $boxed) -> Self {
                Self::new(m)
            }
        })*
    };
}

bodies! {
    MPing MMonMap MMonGetMap MMonSubscribe MMonSubscribeAck MMonGetVersion MMonGetVersionReply
    MAuth MAuthReply MConfig MGetConfig MMonPeer
    MMonCommand MMonCommandAck MCommand MCommandReply MMgrCommand MMgrCommandReply
    MLog MLogAck
    MMgrMap MServiceMap MFSMap MFSMapUser MMgrUpdate MMgrClose MMgrConfigure MMgrDigest
    MStatfs MStatfsReply MGetPoolStats MPoolOp MPoolOpReply
    MOSDAlive MOSDFailure MOSDBeacon MOSDMarkMeDown MOSDMarkMeDead MOSDPGTemp MOSDPGReadyToMerge
    MOSDPGCreated MOSDFull MPGStatsAck
    MOSDMap MMonGetOSDMap MMonGetPurgedSnaps MMonGetPurgedSnapsReply
    MOSDPing MWatchNotify
    MOSDPGTrim MOSDPGRemove MRecoveryReserve MBackfillReserve
    MGetPoolStatsReply MOSDPGNotify MOSDPGQuery MOSDPGInfo MOSDPGLease MOSDPGLeaseAck MOSDPGCreate2
    MOSDPGUpdateLogMissing MOSDPGUpdateLogMissingReply
    MOSDPGPush MOSDPGPushReply MOSDPGPull MOSDPGBackfillRemove MOSDPGRecoveryDelete MOSDPGRecoveryDeleteReply
    MOSDScrub2 MOSDForceRecovery MOSDRepScrubMap MOSDScrubReserve;
    boxed: MOSDOp MOSDOpReply MOSDBackoff MOSDRepOp MOSDRepOpReply MOSDPGNotify2 MOSDPGQuery2 MOSDPGInfo2 MOSDPGLog
    MOSDPGScan MOSDPGBackfill MOSDRepScrub
    MMgrOpen MMgrReport MMgrBeacon MMonMgrReport MOSDBoot MPGStats
}
