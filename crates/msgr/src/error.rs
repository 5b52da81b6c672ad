//! How a peer can misbehave, one variant a way. Each ends its connection and nothing else.

use denc::DecodeError;
use types::EntityAddr;

use crate::frame::Tag;

/// The peer broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("the peer speaks msgr1, which we do not")]
    BannerV1,
    #[error("the peer's first bytes are no msgr2 banner")]
    Banner,
    #[error("a banner payload of {len} bytes")]
    BannerLength { len: usize },
    #[error("the peer requires msgr2 features {required:#x}, we have {ours:#x}")]
    BannerFeatures { required: u64, ours: u64 },

    #[error("wrong checksum of a frame's preamble")]
    PreambleCrc,
    #[error("unknown frame tag {0}")]
    UnknownTag(u8),
    #[error("a frame of {0} segments")]
    SegmentCount(u8),
    #[error("a frame whose last segment is empty")]
    LastSegmentEmpty,
    #[error("a {tag:?} frame announces a segment {index} of {len} bytes, more than {max}")]
    SegmentTooLong { tag: Tag, index: usize, len: u32, max: u32 },
    #[error("wrong checksum of segment {index} of a {tag:?} frame")]
    SegmentCrc { tag: Tag, index: usize },
    #[error("a {tag:?} frame ends in the unknown status {status:#04x}")]
    LateStatus { tag: Tag, status: u8 },
    #[error("a message header of {0} bytes")]
    HeaderLength(usize),
    #[error("a control frame {0:?} of several segments")]
    ControlSegments(Tag),
    #[error("cannot read a {tag:?} frame")]
    Decode {
        tag: Tag,
        #[source]
        source: DecodeError,
    },
    #[error("a {tag:?} frame while {phase}")]
    Unexpected { tag: Tag, phase: &'static str },

    #[error("the peer is of type {got}, not {wanted}")]
    PeerType { wanted: u8, got: u8 },
    #[error("the handshake before authentication is longer than {max} bytes")]
    HandshakeTooLong { max: usize },
    #[error("the peer refuses authentication method {method} with error {result} and allows {allowed:?}")]
    AuthRefused { method: u32, result: i32, allowed: Vec<u32> },
    #[error("authentication failed: {0}")]
    Auth(String),
    #[error("the peer chose connection mode {0}, which we do not speak")]
    ConnectionMode(u32),
    #[error("the peer's signature does not match what we sent")]
    Signature,
    #[error("the peer gives no address of its own")]
    NoAddress,
    #[error("the peer looks for {wanted}, which is not us")]
    NotUs { wanted: EntityAddr },
    #[error("the peer is not {wanted} but {got}")]
    NotThem { wanted: EntityAddr, got: String },
    #[error("the peer lacks features {missing:#x} that we require")]
    PeerFeatures { missing: u64 },
    #[error("the peer requires features {missing:#x} that we lack")]
    OurFeatures { missing: u64 },
}

/// Why a socket is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer closed it in the ordinary way.
    #[error("closed by the peer")]
    Closed,
    /// Nobody listens there (`ECONNREFUSED`).
    #[error("connection refused")]
    Refused,
    #[error("{0}")]
    Io(String),
    #[error("no progress in the handshake for {0} s")]
    HandshakeTimeout(u64),
    #[error("idle for {0} s")]
    Idle(u64),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}
