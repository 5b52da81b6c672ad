//! Control frames: what peers tell each other besides messages.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddr, EntityAddrVec, UTime, features};

use crate::error::ProtocolError;
use crate::frame::{Frame, Tag};

/// What the peers' addresses are encoded with, whatever they say later.
const FRAME_FEATURES: u64 = features::MSG_ADDR2 | features::SERVER_NAUTILUS;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub entity_type: u8,
    /// The receiver's address as the sender sees it.
    pub peer_addr: EntityAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    pub method: u32,
    pub preferred_modes: Vec<u32>,
    pub payload: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthBadMethod {
    pub method: u32,
    pub result: i32,
    pub allowed_methods: Vec<u32>,
    pub allowed_modes: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthDone {
    pub global_id: u64,
    pub con_mode: u32,
    pub payload: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdent {
    pub addrs: EntityAddrVec,
    pub target: EntityAddr,
    pub gid: i64,
    pub global_seq: u64,
    pub features_supported: u64,
    pub features_required: u64,
    /// [`FLAG_LOSSY`].
    pub flags: u64,
    pub cookie: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdent {
    pub addrs: EntityAddrVec,
    pub gid: i64,
    pub global_seq: u64,
    pub features_supported: u64,
    pub features_required: u64,
    pub flags: u64,
    pub cookie: u64,
}

/// `CEPH_MSG_CONNECT_LOSSY`.
pub const FLAG_LOSSY: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    pub addrs: EntityAddrVec,
    pub client_cookie: u64,
    pub server_cookie: u64,
    pub global_seq: u64,
    pub connect_seq: u64,
    /// The last message that the sender has.
    pub msg_seq: u64,
}

/// A control frame, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    Hello(Hello),
    AuthRequest(AuthRequest),
    AuthBadMethod(AuthBadMethod),
    AuthReplyMore(Bytes),
    AuthRequestMore(Bytes),
    AuthDone(AuthDone),
    AuthSignature([u8; 32]),
    ClientIdent(ClientIdent),
    ServerIdent(ServerIdent),
    IdentMissingFeatures(u64),
    Reconnect(Reconnect),
    /// The server does not know the session; with `true`, what is queued is void as well.
    SessionReset(bool),
    /// The `connect_seq` was stale: the server's.
    SessionRetry(u64),
    /// The `global_seq` was stale: the server's.
    SessionRetryGlobal(u64),
    /// The last message that the server has.
    ReconnectOk(u64),
    Wait,
    Keepalive2(UTime),
    Keepalive2Ack(UTime),
    Ack(u64),
}

impl Control {
    pub fn tag(&self) -> Tag {
        match self {
            Self::Hello(_) => Tag::Hello,
            Self::AuthRequest(_) => Tag::AuthRequest,
            Self::AuthBadMethod(_) => Tag::AuthBadMethod,
            Self::AuthReplyMore(_) => Tag::AuthReplyMore,
            Self::AuthRequestMore(_) => Tag::AuthRequestMore,
            Self::AuthDone(_) => Tag::AuthDone,
            Self::AuthSignature(_) => Tag::AuthSignature,
            Self::ClientIdent(_) => Tag::ClientIdent,
            Self::ServerIdent(_) => Tag::ServerIdent,
            Self::IdentMissingFeatures(_) => Tag::IdentMissingFeatures,
            Self::Reconnect(_) => Tag::SessionReconnect,
            Self::SessionReset(_) => Tag::SessionReset,
            Self::SessionRetry(_) => Tag::SessionRetry,
            Self::SessionRetryGlobal(_) => Tag::SessionRetryGlobal,
            Self::ReconnectOk(_) => Tag::SessionReconnectOk,
            Self::Wait => Tag::Wait,
            Self::Keepalive2(_) => Tag::Keepalive2,
            Self::Keepalive2Ack(_) => Tag::Keepalive2Ack,
            Self::Ack(_) => Tag::Ack,
        }
    }

    /// The frame's one segment.
    pub fn payload(&self) -> Bytes {
        let mut e = Encoder::new(FRAME_FEATURES);
        match self {
            Self::Hello(h) => {
                e.u8(h.entity_type);
                h.peer_addr.encode(&mut e);
            }
            Self::AuthRequest(r) => {
                e.u32(r.method);
                r.preferred_modes.encode(&mut e);
                e.blob(&r.payload);
            }
            Self::AuthBadMethod(b) => {
                e.u32(b.method);
                e.i32(b.result);
                b.allowed_methods.encode(&mut e);
                b.allowed_modes.encode(&mut e);
            }
            Self::AuthReplyMore(payload) | Self::AuthRequestMore(payload) => e.blob(payload),
            Self::AuthDone(d) => {
                e.u64(d.global_id);
                e.u32(d.con_mode);
                e.blob(&d.payload);
            }
            Self::AuthSignature(signature) => e.raw(signature),
            Self::ClientIdent(i) => {
                i.addrs.encode(&mut e);
                i.target.encode(&mut e);
                e.i64(i.gid);
                for v in [i.global_seq, i.features_supported, i.features_required, i.flags, i.cookie] {
                    e.u64(v);
                }
            }
            Self::ServerIdent(i) => {
                i.addrs.encode(&mut e);
                e.i64(i.gid);
                for v in [i.global_seq, i.features_supported, i.features_required, i.flags, i.cookie] {
                    e.u64(v);
                }
            }
            Self::Reconnect(r) => {
                r.addrs.encode(&mut e);
                for v in [r.client_cookie, r.server_cookie, r.global_seq, r.connect_seq, r.msg_seq] {
                    e.u64(v);
                }
            }
            Self::SessionReset(full) => e.bool(*full),
            Self::IdentMissingFeatures(v)
            | Self::SessionRetry(v)
            | Self::SessionRetryGlobal(v)
            | Self::ReconnectOk(v)
            | Self::Ack(v) => e.u64(*v),
            Self::Wait => {}
            Self::Keepalive2(t) | Self::Keepalive2Ack(t) => t.encode(&mut e),
        }
        e.finish()
    }

    /// Reads any frame but a message.
    ///
    /// # Errors
    /// [`ProtocolError::Decode`].
    pub fn open(frame: Frame) -> Result<Self, ProtocolError> {
        let tag = frame.tag;
        let [payload, ..] = frame.segments;
        Self::decode(tag, payload).map_err(|source| ProtocolError::Decode { tag, source })
    }

    fn decode(tag: Tag, payload: Bytes) -> Result<Self, DecodeError> {
        let d = &mut Decoder::new(payload);
        Ok(match tag {
            Tag::Hello => Self::Hello(Hello { entity_type: d.u8()?, peer_addr: d.get()? }),
            Tag::AuthRequest => {
                Self::AuthRequest(AuthRequest { method: d.u32()?, preferred_modes: d.get()?, payload: d.blob()? })
            }
            Tag::AuthBadMethod => Self::AuthBadMethod(AuthBadMethod {
                method: d.u32()?,
                result: d.i32()?,
                allowed_methods: d.get()?,
                allowed_modes: d.get()?,
            }),
            Tag::AuthReplyMore => Self::AuthReplyMore(d.blob()?),
            Tag::AuthRequestMore => Self::AuthRequestMore(d.blob()?),
            Tag::AuthDone => Self::AuthDone(AuthDone { global_id: d.u64()?, con_mode: d.u32()?, payload: d.blob()? }),
            Tag::AuthSignature => Self::AuthSignature(d.slice(32)?.try_into().expect("slice gave 32 bytes")),
            Tag::ClientIdent => Self::ClientIdent(ClientIdent {
                addrs: d.get()?,
                target: d.get()?,
                gid: d.i64()?,
                global_seq: d.u64()?,
                features_supported: d.u64()?,
                features_required: d.u64()?,
                flags: d.u64()?,
                cookie: d.u64()?,
            }),
            Tag::ServerIdent => Self::ServerIdent(ServerIdent {
                addrs: d.get()?,
                gid: d.i64()?,
                global_seq: d.u64()?,
                features_supported: d.u64()?,
                features_required: d.u64()?,
                flags: d.u64()?,
                cookie: d.u64()?,
            }),
            Tag::IdentMissingFeatures => Self::IdentMissingFeatures(d.u64()?),
            Tag::SessionReconnect => Self::Reconnect(Reconnect {
                addrs: d.get()?,
                client_cookie: d.u64()?,
                server_cookie: d.u64()?,
                global_seq: d.u64()?,
                connect_seq: d.u64()?,
                msg_seq: d.u64()?,
            }),
            Tag::SessionReset => Self::SessionReset(d.bool()?),
            Tag::SessionRetry => Self::SessionRetry(d.u64()?),
            Tag::SessionRetryGlobal => Self::SessionRetryGlobal(d.u64()?),
            Tag::SessionReconnectOk => Self::ReconnectOk(d.u64()?),
            Tag::Wait => Self::Wait,
            Tag::Keepalive2 => Self::Keepalive2(UTime::decode(d)?),
            Tag::Keepalive2Ack => Self::Keepalive2Ack(UTime::decode(d)?),
            Tag::Ack => Self::Ack(d.u64()?),
            Tag::Message => return Err(DecodeError::Invalid { what: "control tag", value: tag as u64 }),
        })
    }
}
