//! msgr2, Ceph's wire protocol, as values.
//!
//! - [`Connection`]: one socket. Banner, hello, authentication, frames.
//! - [`Messenger`]: one of a daemon's addresses. Its sessions with peers, which outlive sockets where
//!   both sides want that: sequence numbers, replay, connection races, resets.
//! - [`FrameReader`], [`put_frame`]: frames alone.
//!
//! Bytes, time and randomness come in as arguments; bytes and events go out. The driver owns the
//! sockets: see [`Messenger`] for the calls it makes.
//!
//! msgr knows no messages: a [`MessageFrame`] is a header and three byte strings.

#![forbid(unsafe_code)]

mod auth;
mod connection;
mod control;
mod error;
mod frame;
mod message;
mod messenger;
mod session;
mod tx;

pub use auth::{
    AUTH_MODE_AUTHORIZER, AUTH_MODE_MON, AuthClient, AuthOutcome, METHOD_CEPHX, METHOD_NONE, MODE_CRC, MODE_SECURE,
    NoneAuth, NonePayload, SessionKey,
};
pub use connection::{ConnEvent, Connection, Side};
pub use control::{
    AuthBadMethod, AuthDone, AuthRequest, ClientIdent, Control, FLAG_LOSSY, Hello, Reconnect, ServerIdent,
};
pub use error::{LinkError, ProtocolError};
pub use frame::{Codec, Frame, FrameReader, Limits, Tag, put_frame};
pub use message::{MessageFrame, Received, open_message, put_message};
pub use messenger::{
    Action, AuthProvider, AuthVerdict, Config, ConnKey, Event, LinkKey, Messenger, NoneProvider, PeerInfo, Timing,
};
pub use session::{Policies, Policy};
pub use tx::TxQueue;
