//! One socket's worth of msgr2: banner, hello, authentication, then frames.
//!
//! A value: bytes in by [`Connection::handle_bytes`] (or read straight into
//! [`Connection::recv_buf`]), events out by [`Connection::poll_event`], bytes out by
//! [`Connection::transmit`]. It knows no sessions: [`crate::Messenger`] answers what a peer says
//! about them.
//!
//! ```text
//! Banner → Hello → Auth ⇄ (AuthDecision) → Signature → Session → Open
//! ```
//! Invariants:
//! - A frame is accepted only in the phase it belongs to; anything else is a typed error, after
//!   which the connection gives nothing more.
//! - While the server's side waits for its core to decide on an authentication, the peer may send
//!   nothing.

use bytes::{BufMut, Bytes, BytesMut};
use types::{EntityAddr, UTime};

use crate::auth::{AuthClient, AuthOutcome, MODE_CRC};
use crate::control::{AuthBadMethod, AuthDone, AuthRequest, Control, Hello};
use crate::error::ProtocolError;
use crate::frame::{Codec, Frame, FrameReader, Limits, Tag, put_frame};
use crate::message::{MessageFrame, Received, open_message, put_message};
use crate::tx::TxQueue;

const BANNER: &[u8] = b"ceph v2\n";
const BANNER_V1: &[u8] = b"ceph v0";
const BANNER_PAYLOAD: u16 = 16;
/// `CEPH_MSGR2_FEATURE_REVISION_1`: we offer it, and require nothing.
const MSGR2_REVISION_1: u64 = 1;
/// More than any authentication needs; what is recorded for the signatures is bounded by it.
const HANDSHAKE_MAX: usize = 1 << 20;

/// Which side of the socket we are.
#[derive(Debug)]
pub enum Side {
    /// We dialled: whom we want to find there, and how we prove who we are.
    Client { peer_type: u8, auth: Box<dyn AuthClient> },
    /// We accepted.
    Server,
}

/// What a peer said, for the owner of the connection.
#[derive(Debug)]
pub enum ConnEvent {
    /// The peer's type, and our own address as the peer sees it.
    Hello(Hello),
    /// Server: to be answered by [`Connection::auth_done`], `auth_more` or `auth_bad`.
    AuthRequest {
        method: u32,
        preferred_modes: Vec<u32>,
        payload: Bytes,
        more: bool,
    },
    /// Both sides have proved what they had to; `global_id` is what the server knows the client by.
    /// The client goes on with `ClientIdent` or `Reconnect`.
    Authenticated {
        global_id: u64,
    },
    /// What a client says about its session, or a server answers.
    Session(Control),
    Message(Received),
    Ack(u64),
    KeepaliveAck(UTime),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Banner,
    Hello,
    /// Server: waiting for a request. Client: waiting for the answer to one.
    Auth,
    /// Server: the core decides.
    AuthDecision,
    Signature,
    Session,
    Open,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Banner => "expecting the banner",
            Self::Hello => "expecting the hello",
            Self::Auth => "authenticating",
            Self::AuthDecision => "deciding on an authentication",
            Self::Signature => "expecting the signature",
            Self::Session => "setting up the session",
            Self::Open => "open",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    side: Side,
    phase: Phase,
    our_type: u8,
    /// The peer's address as we see it, to be told in our hello.
    peer_addr: EntityAddr,
    rx: FrameReader,
    /// What frames may be like once the session is agreed.
    limits: Limits,
    tx: TxQueue,
    codec: Codec,
    auth_rounds: u32,
    outcome: AuthOutcome,
    global_id: u64,
    /// What we sent before our signature.
    sent: Vec<u8>,
}

impl Connection {
    /// A connection whose socket is up. The banner waits to be sent.
    pub fn new(side: Side, our_type: u8, peer_addr: EntityAddr, limits: Limits) -> Self {
        let mut connection = Self {
            side,
            phase: Phase::Banner,
            our_type,
            peer_addr,
            rx: FrameReader::new(limits.handshake()),
            limits,
            tx: TxQueue::default(),
            codec: Codec::default(),
            auth_rounds: 0,
            outcome: AuthOutcome::default(),
            global_id: 0,
            sent: Vec::new(),
        };
        let mut banner = BytesMut::new();
        banner.put_slice(BANNER);
        banner.put_u16_le(BANNER_PAYLOAD);
        banner.put_u64_le(MSGR2_REVISION_1);
        banner.put_u64_le(0);
        connection.tx.put(&banner);
        connection.sent.extend_from_slice(&banner);
        connection
    }

    pub fn is_client(&self) -> bool {
        matches!(self.side, Side::Client { .. })
    }

    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What the server knows the client by, once authenticated.
    pub fn global_id(&self) -> u64 {
        self.global_id
    }

    /// What the connection waits for, in words.
    pub fn phase(&self) -> &'static str {
        self.phase.name()
    }

    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.rx.extend(bytes);
    }

    /// Room to read into; what is read is seen by the next [`Self::poll_event`].
    pub fn recv_buf(&mut self) -> &mut BytesMut {
        self.rx.recv_buf()
    }

    /// Bytes that arrived and are not yet part of a whole frame.
    pub fn buffered(&self) -> usize {
        self.rx.buffered()
    }

    /// What waits to be written.
    pub fn transmit(&mut self) -> &mut TxQueue {
        &mut self.tx
    }

    pub fn unsent(&self) -> usize {
        self.tx.len()
    }

    /// Sends a control frame. Those of the session phase are the owner's; the rest send themselves.
    pub fn send_control(&mut self, control: &Control) {
        let payload = control.payload();
        let recording = matches!(self.phase, Phase::Banner | Phase::Hello | Phase::Auth | Phase::AuthDecision);
        let before = self.tx.len();
        put_frame(&mut self.tx, self.codec, control.tag(), &payload, [&Bytes::new(), &Bytes::new(), &Bytes::new()]);
        if recording {
            self.sent.extend(self.tx.copy_from(before));
        }
    }

    pub fn send_message(&mut self, message: &MessageFrame, seq: u64, ack_seq: u64) {
        put_message(&mut self.tx, self.codec, message, seq, ack_seq);
    }

    /// The session is agreed: messages may flow.
    pub fn open(&mut self) {
        self.rx.set_limits(self.limits);
        self.phase = Phase::Open;
    }

    /// The next thing that the bytes received so far say.
    ///
    /// # Errors
    /// What the peer did wrong; drop the connection.
    pub fn poll_event(&mut self) -> Result<Option<ConnEvent>, ProtocolError> {
        if self.phase == Phase::Banner && !self.read_banner()? {
            return Ok(None);
        }
        loop {
            if self.rx.recorded().len() > HANDSHAKE_MAX {
                return Err(ProtocolError::HandshakeTooLong { max: HANDSHAKE_MAX });
            }
            let Some(frame) = self.rx.next_frame()? else { return Ok(None) };
            if let Some(event) = self.handle_frame(frame)? {
                return Ok(Some(event));
            }
        }
    }

    fn read_banner(&mut self) -> Result<bool, ProtocolError> {
        let head = self.rx.peek();
        let n = head.len().min(BANNER.len());
        if head[..n] != BANNER[..n] {
            let v1 = head.starts_with(BANNER_V1);
            return Err(if v1 { ProtocolError::BannerV1 } else { ProtocolError::Banner });
        }
        let Some(length) = head.get(BANNER.len()..BANNER.len() + 2) else { return Ok(false) };
        let len = usize::from(u16::from_le_bytes([length[0], length[1]]));
        // Later protocols may append to the payload, but not without end.
        if !(usize::from(BANNER_PAYLOAD)..=256).contains(&len) {
            return Err(ProtocolError::BannerLength { len });
        }
        let start = BANNER.len() + 2;
        let Some(raw) = self.rx.take_raw(start + len) else { return Ok(false) };
        let word = |at: usize| u64::from_le_bytes(raw[at..at + 8].try_into().expect("8 bytes"));
        let (supported, required) = (word(start), word(start + 8));
        if required & !MSGR2_REVISION_1 != 0 {
            return Err(ProtocolError::BannerFeatures { required, ours: MSGR2_REVISION_1 });
        }
        self.codec = if supported & MSGR2_REVISION_1 != 0 { Codec::CrcRev1 } else { Codec::CrcRev0 };
        self.rx.set_codec(self.codec);
        self.phase = Phase::Hello;
        self.send_control(&Control::Hello(Hello { entity_type: self.our_type, peer_addr: self.peer_addr }));
        Ok(true)
    }

    fn unexpected(&self, tag: Tag) -> ProtocolError {
        ProtocolError::Unexpected { tag, phase: self.phase.name() }
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<Option<ConnEvent>, ProtocolError> {
        if frame.tag == Tag::Message {
            return match self.phase {
                Phase::Open => Ok(Some(ConnEvent::Message(open_message(frame)?))),
                _ => Err(self.unexpected(Tag::Message)),
            };
        }
        let tag = frame.tag;
        let control = Control::open(frame)?;
        match (self.phase, control) {
            (Phase::Open, Control::Ack(seq)) => Ok(Some(ConnEvent::Ack(seq))),
            (Phase::Open, Control::Keepalive2(stamp)) => {
                self.send_control(&Control::Keepalive2Ack(stamp));
                Ok(None)
            }
            (Phase::Open, Control::Keepalive2Ack(stamp)) => Ok(Some(ConnEvent::KeepaliveAck(stamp))),
            (Phase::Hello, Control::Hello(hello)) => self.handle_hello(hello).map(Some),
            (Phase::Auth, control) => self.handle_auth(control),
            (Phase::Signature, Control::AuthSignature(signature)) => self.handle_signature(signature).map(Some),
            (Phase::Session, control) if self.session_frame(tag) => Ok(Some(ConnEvent::Session(control))),
            _ => Err(self.unexpected(tag)),
        }
    }

    /// Whether this tag is what a peer of its side may say about the session.
    fn session_frame(&self, tag: Tag) -> bool {
        if self.is_client() {
            matches!(
                tag,
                Tag::ServerIdent
                    | Tag::IdentMissingFeatures
                    | Tag::SessionReset
                    | Tag::SessionRetry
                    | Tag::SessionRetryGlobal
                    | Tag::SessionReconnectOk
                    | Tag::Wait
            )
        } else {
            matches!(tag, Tag::ClientIdent | Tag::SessionReconnect)
        }
    }

    fn handle_hello(&mut self, hello: Hello) -> Result<ConnEvent, ProtocolError> {
        self.phase = Phase::Auth;
        if let Side::Client { peer_type, auth } = &mut self.side {
            if hello.entity_type != *peer_type {
                return Err(ProtocolError::PeerType { wanted: *peer_type, got: hello.entity_type });
            }
            let request = auth.initial();
            self.send_control(&Control::AuthRequest(request));
        }
        Ok(ConnEvent::Hello(hello))
    }

    fn handle_auth(&mut self, control: Control) -> Result<Option<ConnEvent>, ProtocolError> {
        let tag = control.tag();
        let Side::Client { auth, .. } = &mut self.side else { return self.handle_auth_request(control) };
        match control {
            Control::AuthBadMethod(refusal) => {
                let AuthBadMethod { method, result, allowed_methods: allowed, .. } = refusal.clone();
                let request =
                    auth.on_bad_method(&refusal).map_err(|_| ProtocolError::AuthRefused { method, result, allowed })?;
                self.send_control(&Control::AuthRequest(request));
                Ok(None)
            }
            Control::AuthReplyMore(payload) => {
                let reply = auth.on_reply_more(payload).map_err(ProtocolError::Auth)?;
                self.send_control(&Control::AuthRequestMore(reply));
                Ok(None)
            }
            Control::AuthDone(done) => {
                if done.con_mode != MODE_CRC {
                    return Err(ProtocolError::ConnectionMode(done.con_mode));
                }
                self.outcome = auth.on_done(&done).map_err(ProtocolError::Auth)?;
                self.global_id = done.global_id;
                self.finish_auth();
                Ok(None)
            }
            _ => Err(self.unexpected(tag)),
        }
    }

    fn handle_auth_request(&mut self, control: Control) -> Result<Option<ConnEvent>, ProtocolError> {
        let event = match control {
            Control::AuthRequest(AuthRequest { method, preferred_modes, payload }) => {
                ConnEvent::AuthRequest { method, preferred_modes, payload, more: false }
            }
            Control::AuthRequestMore(payload) if self.auth_rounds > 0 => {
                ConnEvent::AuthRequest { method: 0, preferred_modes: Vec::new(), payload, more: true }
            }
            other => return Err(self.unexpected(other.tag())),
        };
        self.phase = Phase::AuthDecision;
        Ok(Some(event))
    }

    /// Server: lets the peer in.
    pub fn auth_done(&mut self, done: AuthDone, outcome: AuthOutcome) {
        if self.phase != Phase::AuthDecision {
            return;
        }
        self.global_id = done.global_id;
        self.outcome = outcome;
        self.send_control(&Control::AuthDone(done));
        self.finish_auth();
    }

    /// Server: asks for another round.
    pub fn auth_more(&mut self, payload: Bytes) {
        if self.phase != Phase::AuthDecision {
            return;
        }
        self.auth_rounds += 1;
        self.send_control(&Control::AuthReplyMore(payload));
        self.phase = Phase::Auth;
    }

    /// Server: refuses the method; the peer may try another.
    pub fn auth_bad(&mut self, refusal: AuthBadMethod) {
        if self.phase != Phase::AuthDecision {
            return;
        }
        self.send_control(&Control::AuthBadMethod(refusal));
        self.phase = Phase::Auth;
    }

    /// Both sides sign all that the other has sent so far.
    fn finish_auth(&mut self) {
        let signature = self.sign(self.rx.recorded());
        self.rx.stop_recording();
        self.phase = Phase::Signature;
        self.send_control(&Control::AuthSignature(signature));
    }

    fn sign(&self, handshake: &[u8]) -> [u8; 32] {
        self.outcome.session_key.as_ref().map_or([0; 32], |key| key.sign(handshake))
    }

    fn handle_signature(&mut self, signature: [u8; 32]) -> Result<ConnEvent, ProtocolError> {
        let sent = std::mem::take(&mut self.sent);
        if signature != self.sign(&sent) {
            return Err(ProtocolError::Signature);
        }
        self.phase = Phase::Session;
        Ok(ConnEvent::Authenticated { global_id: self.global_id })
    }
}
