//! The seam to authentication. msgr carries the payloads; what they say is decided elsewhere: on the
//! accepting side by the daemon's core, on the connecting side by an [`AuthClient`] value.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::control::{AuthBadMethod, AuthDone, AuthRequest};

/// `CEPH_AUTH_NONE` and `CEPH_AUTH_CEPHX`.
pub const METHOD_NONE: u32 = 1;
pub const METHOD_CEPHX: u32 = 2;
/// `CEPH_CON_MODE_CRC` and `CEPH_CON_MODE_SECURE`.
pub const MODE_CRC: u32 = 1;
pub const MODE_SECURE: u32 = 2;
/// First byte of a request's payload: an authorizer for a service (`AUTH_MODE_AUTHORIZER`), or the
/// start of a session with a monitor (`AUTH_MODE_MON`).
pub const AUTH_MODE_AUTHORIZER: u8 = 1;
pub const AUTH_MODE_MON: u8 = 10;

/// Signs what was exchanged before authentication ended (HMAC-SHA256 with the session key).
pub trait SessionKey: fmt::Debug + Send + Sync {
    fn sign(&self, handshake: &[u8]) -> [u8; 32];
}

/// What both sides know once authentication is done.
#[derive(Debug, Clone, Default)]
pub struct AuthOutcome {
    /// `None` with method none: signatures are then zeros.
    pub session_key: Option<Arc<dyn SessionKey>>,
    /// Key material for secure mode.
    pub connection_secret: Bytes,
}

/// The connecting side of one authentication.
pub trait AuthClient: fmt::Debug + Send {
    /// The first request.
    fn initial(&mut self) -> AuthRequest;

    /// The server refuses the method: another request, or the reason to give up.
    ///
    /// # Errors
    /// Why no other method can be tried.
    fn on_bad_method(&mut self, refusal: &AuthBadMethod) -> Result<AuthRequest, String>;

    /// The server wants another round: what to send.
    ///
    /// # Errors
    /// Why the server's payload is not acceptable.
    fn on_reply_more(&mut self, payload: Bytes) -> Result<Bytes, String>;

    /// The server has let us in.
    ///
    /// # Errors
    /// Why the server's proof is not acceptable.
    fn on_done(&mut self, done: &AuthDone) -> Result<AuthOutcome, String>;
}

/// The payload of a request with method none: who it is.
/// (Ceph: `MonClient::get_auth_request`, `AuthNoneAuthorizer`.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonePayload {
    /// [`AUTH_MODE_MON`] or [`AUTH_MODE_AUTHORIZER`].
    pub auth_mode: u8,
    /// `EntityName`: the type and the name as in a keyring, `client` and `admin`.
    pub entity_type: u8,
    pub entity_id: String,
    /// Zero from a client that has none yet.
    pub global_id: u64,
}

impl Encode for NonePayload {
    fn encode(&self, e: &mut Encoder) {
        e.u8(self.auth_mode);
        e.u32(self.entity_type.into());
        e.string(&self.entity_id);
        e.u64(self.global_id);
    }
}

impl Decode for NonePayload {
    const MIN_SIZE: usize = 17;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let auth_mode = d.u8()?;
        let kind = d.u32()?;
        let entity_type =
            u8::try_from(kind).map_err(|_| DecodeError::Invalid { what: "EntityName type", value: kind.into() })?;
        Ok(Self { auth_mode, entity_type, entity_id: d.string()?, global_id: d.u64()? })
    }
}

/// Authentication that proves nothing.
#[derive(Debug, Clone)]
pub struct NoneAuth(pub NonePayload);

impl AuthClient for NoneAuth {
    fn initial(&mut self) -> AuthRequest {
        AuthRequest { method: METHOD_NONE, preferred_modes: vec![MODE_CRC], payload: denc::to_bytes(&self.0, 0) }
    }

    fn on_bad_method(&mut self, _: &AuthBadMethod) -> Result<AuthRequest, String> {
        Err("we have no credentials, and the peer wants some".into())
    }

    fn on_reply_more(&mut self, _: Bytes) -> Result<Bytes, String> {
        Err("the peer asks for proof of an identity that needs none".into())
    }

    fn on_done(&mut self, _: &AuthDone) -> Result<AuthOutcome, String> {
        Ok(AuthOutcome::default())
    }
}
