//! One of a daemon's addresses: its sockets ("links") and its sessions with peers.
//!
//! The driver owns the sockets and calls:
//! ```text
//! accept → link                       a socket came in
//! Action::Dial{link, addr} → link_up  a socket is wanted, and is there
//! recv_buf + received                 bytes came
//! transmit, after take_dirty          bytes are to be written
//! link_lost                           the socket is gone
//! Action::Hangup{link}                the socket is of no use any more
//! handle_timeout at next_deadline
//! ```
//! It takes what to do with sockets from [`Messenger::poll_action`], and what is to be told to the
//! core from [`Messenger::poll_event`], after each of the calls.
//!
//! Invariants:
//! - A session has at most one link. A link that serves a session carries that session's key.
//! - Every key that appeared in `Auth` or `Connected` ends in one `Reset`, unless [`Messenger::close`]
//!   ended it.
//! - A message is given out at most once a session: numbers at or below `in_seq` are dropped.
//!
//! Where two peers dial each other at once, the dial of the lower address stays, as in Ceph
//! (`ProtocolV2::handle_existing_connection`).

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use foldhash::HashMap;
use types::errno::EOPNOTSUPP;
use types::{AddrType, EntityAddr, EntityAddrVec, EntityName, UTime, features};

use crate::auth::{AUTH_MODE_AUTHORIZER, AUTH_MODE_MON};
use crate::auth::{AuthClient, AuthOutcome, METHOD_NONE, MODE_CRC, NoneAuth, NonePayload};
use crate::connection::{ConnEvent, Connection, Side};
use crate::control::{AuthBadMethod, AuthDone, ClientIdent, Control, FLAG_LOSSY, Hello, Reconnect, ServerIdent};
use crate::error::{LinkError, ProtocolError};
use crate::frame::Limits;
use crate::message::{MessageFrame, Received};
use crate::session::{Policies, Policy, Session, SessionState, dial_addr};
use crate::tx::TxQueue;

/// A session (and, while it authenticates, an incoming link). Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnKey(pub u64);

/// A socket. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(pub u64);

/// How a messenger is made.
#[derive(Debug)]
pub struct Config {
    pub name: EntityName,
    /// Where we listen; blank for a client, which learns its address from its peers.
    pub addrs: EntityAddrVec,
    /// What a client's own address gets; random.
    pub nonce: u32,
    pub policies: Policies,
    pub features: u64,
    pub limits: Limits,
    /// For cookies.
    pub seed: u64,
    /// Keys are `key_start`, `key_start + key_step`, …, so that several messengers share one space.
    pub key_start: u64,
    pub key_step: u64,
    pub timing: Timing,
    /// Who we say we are when we dial.
    pub auth: Box<dyn AuthProvider>,
}

/// Ceph's options `ms_connection_ready_timeout`, `ms_connection_idle_timeout`, `ms_initial_backoff`,
/// `ms_max_backoff`; and how long an acknowledgement may wait for a message to ride on.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub handshake: Duration,
    pub idle: Duration,
    pub backoff_initial: Duration,
    pub backoff_max: Duration,
    pub ack_delay: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(900),
            backoff_initial: Duration::from_millis(200),
            backoff_max: Duration::from_secs(15),
            ack_delay: Duration::from_millis(20),
        }
    }
}

/// Makes the credentials for one outgoing connection.
pub trait AuthProvider: std::fmt::Debug + Send {
    fn client(&self, peer_type: u8, us: EntityName, global_id: u64) -> Box<dyn AuthClient>;
}

/// Method none: the entity's name as in a keyring (`admin` of `client.admin`, `3` of `osd.3`).
#[derive(Debug, Clone)]
pub struct NoneProvider {
    pub entity_id: String,
}

impl AuthProvider for NoneProvider {
    fn client(&self, peer_type: u8, us: EntityName, global_id: u64) -> Box<dyn AuthClient> {
        let to_mon = peer_type == types::ids::ENTITY_TYPE_MON;
        Box::new(NoneAuth(NonePayload {
            auth_mode: if to_mon { AUTH_MODE_MON } else { AUTH_MODE_AUTHORIZER },
            entity_type: us.kind,
            entity_id: self.entity_id.clone(),
            global_id,
        }))
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    pub name: EntityName,
    pub addrs: EntityAddrVec,
    /// What both sides can speak.
    pub features: u64,
    /// Incoming: the peer's. Outgoing: ours, as the peer gave or confirmed it.
    pub global_id: u64,
    /// `client.admin`: incoming only.
    pub entity: String,
}

/// What the driver has to do with a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Connect one to `addr`; answer with [`Messenger::link_up`] or [`Messenger::link_lost`].
    Dial { link: LinkKey, addr: SocketAddr },
    /// Close it. The messenger has forgotten the link already.
    Hangup { link: LinkKey },
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Answer with [`Messenger::auth_reply`].
    Auth {
        conn: ConnKey,
        method: u32,
        payload: Bytes,
        /// A further round, whose method is that of the first.
        more: bool,
    },
    Connected {
        conn: ConnKey,
        peer: PeerInfo,
        incoming: bool,
    },
    Message {
        conn: ConnKey,
        message: MessageFrame,
    },
    Reset {
        conn: ConnKey,
    },
    RemoteReset {
        conn: ConnKey,
    },
    /// Nobody listens there. A lossy session is gone with it; a lossless one dials again.
    Refused {
        name: EntityName,
        addrs: EntityAddrVec,
    },
    KeepaliveAck {
        conn: ConnKey,
        stamp: UTime,
    },
    /// A socket was dropped: for the log.
    Dropped {
        peer: SocketAddr,
        error: LinkError,
    },
}

/// The core's answer to [`Event::Auth`].
#[derive(Debug)]
pub enum AuthVerdict {
    Done { entity: String, done: AuthDone, outcome: AuthOutcome },
    More { payload: Bytes },
    Bad { result: i32, allowed_methods: Vec<u32>, allowed_modes: Vec<u32> },
}

#[derive(Debug)]
struct Link {
    /// `None` while the driver dials.
    connection: Option<Connection>,
    /// The session served, or the key kept for the one to come.
    key: ConnKey,
    serves: bool,
    peer: SocketAddr,
    peer_type: u8,
    /// Ceph's method number of the authentication under way.
    method: u32,
    /// The core has heard `Auth` under `key`.
    asked: bool,
    entity: String,
    dirty: bool,
    active_at: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Handshake(LinkKey),
    Idle(LinkKey),
    Redial(ConnKey),
    Ack(ConnKey),
}

/// Acknowledge at once when this much has come without an answer to ride on.
const ACK_COUNT: u32 = 64;
const ACK_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Messenger {
    config: Config,
    global_id: u64,
    global_seq: u64,
    next_key: u64,
    next_link: u64,
    random: u64,
    links: HashMap<LinkKey, Link>,
    sessions: HashMap<ConnKey, Session>,
    /// Sessions that may be dialled or resumed, by the peer's address.
    peers: HashMap<EntityAddr, ConnKey>,
    /// Registered lossy clients.
    clients: HashMap<EntityAddr, ConnKey>,
    timers: BTreeSet<(Duration, Timer)>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    dirty: Vec<LinkKey>,
}

impl Messenger {
    pub fn new(config: Config) -> Self {
        Self {
            global_id: 0,
            global_seq: 0,
            next_key: config.key_start,
            next_link: 0,
            random: config.seed,
            links: HashMap::default(),
            sessions: HashMap::default(),
            peers: HashMap::default(),
            clients: HashMap::default(),
            timers: BTreeSet::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            dirty: Vec::new(),
            config,
        }
    }

    // ---- What the driver asks and tells ------------------------------------------------------

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Moves the links that have something to write, each once, to `into`.
    pub fn take_dirty(&mut self, into: &mut Vec<LinkKey>) {
        for link in self.dirty.drain(..) {
            if let Some(l) = self.links.get_mut(&link) {
                l.dirty = false;
                into.push(link);
            }
        }
    }

    pub fn transmit(&mut self, link: LinkKey) -> Option<&mut TxQueue> {
        self.links.get_mut(&link)?.connection.as_mut().map(Connection::transmit)
    }

    /// Room to read into; then call [`Self::received`].
    pub fn recv_buf(&mut self, link: LinkKey) -> Option<&mut BytesMut> {
        self.links.get_mut(&link)?.connection.as_mut().map(Connection::recv_buf)
    }

    pub fn handle_bytes(&mut self, now: Duration, link: LinkKey, bytes: &[u8]) {
        if let Some(connection) = self.links.get_mut(&link).and_then(|l| l.connection.as_mut()) {
            connection.handle_bytes(bytes);
            self.received(now, link);
        }
    }

    /// A socket came in.
    pub fn accept(&mut self, now: Duration, peer: SocketAddr) -> LinkKey {
        let link = self.new_link_key();
        let key = self.new_conn_key();
        let seen_as = EntityAddr { kind: AddrType::Msgr2, nonce: 0, sock: Some(peer) };
        let connection = Connection::new(Side::Server, self.config.name.kind, seen_as, self.config.limits);
        self.links.insert(link, Link::new(Some(connection), key, false, peer, now));
        self.timers.insert((now + self.config.timing.handshake, Timer::Handshake(link)));
        self.mark_dirty(link);
        link
    }

    /// The socket that [`Action::Dial`] asked for is connected.
    pub fn link_up(&mut self, now: Duration, link: LinkKey) {
        let Some(l) = self.links.get_mut(&link) else { return };
        let Some(session) = self.sessions.get(&l.key) else { return };
        let peer_type = session.peer_type;
        let auth = self.config.auth.client(peer_type, self.config.name, self.global_id);
        let side = Side::Client { peer_type, auth };
        l.connection = Some(Connection::new(side, self.config.name.kind, session.target(), self.config.limits));
        l.active_at = now;
        self.mark_dirty(link);
    }

    /// The socket is gone, or could not be had.
    pub fn link_lost(&mut self, now: Duration, link: LinkKey, error: LinkError) {
        if let Some(l) = self.links.remove(&link) {
            self.fault(now, link, l, error);
        }
    }

    /// Something was read into [`Self::recv_buf`].
    pub fn received(&mut self, now: Duration, link: LinkKey) {
        loop {
            let Some(l) = self.links.get_mut(&link) else { return };
            l.active_at = now;
            let Some(connection) = &mut l.connection else { return };
            let before = connection.unsent();
            let polled = connection.poll_event();
            if connection.unsent() != before {
                self.mark_dirty(link);
            }
            match polled {
                Ok(Some(event)) => self.on_event(now, link, event),
                Ok(None) => return,
                Err(error) => return self.drop_link(now, link, error.into()),
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Handshake(link) => self.on_handshake_timer(now, link),
                Timer::Idle(link) => self.on_idle_timer(now, link),
                Timer::Redial(conn) => self.on_redial_timer(now, conn),
                Timer::Ack(conn) => self.on_ack_timer(conn),
            }
        }
    }

    // ---- What the core wants -------------------------------------------------------------------

    /// Who we are from now on.
    pub fn set_identity(&mut self, name: EntityName, global_id: u64) {
        self.config.name = name;
        self.global_id = global_id;
    }

    pub fn addrs(&self) -> &EntityAddrVec {
        &self.config.addrs
    }

    /// The session with exactly this instance of a peer; dials if there is none.
    pub fn peer(&mut self, now: Duration, name: EntityName, addrs: &EntityAddrVec) -> ConnKey {
        let target = dial_addr(addrs);
        if let Some(key) = self.peers.get(&target) {
            return *key;
        }
        let key = self.new_conn_key();
        let policy = self.config.policies.of(name.kind, true);
        self.sessions.insert(key, Session::new(policy, name, addrs.clone()));
        self.peers.insert(target, key);
        self.dial(now, key);
        key
    }

    /// The session with this instance, if there is one.
    pub fn find_peer(&self, addrs: &EntityAddrVec) -> Option<ConnKey> {
        self.peers.get(&dial_addr(addrs)).copied()
    }

    /// The features to encode a message with; all of ours until the peer has spoken.
    pub fn features(&self, conn: ConnKey) -> Option<u64> {
        self.sessions.get(&conn).map(|s| s.features)
    }

    /// Bytes that wait for the peer to read them.
    pub fn unsent(&self, conn: ConnKey) -> usize {
        let link = self.sessions.get(&conn).and_then(|s| s.link).and_then(|l| self.links.get(&l));
        link.and_then(|l| l.connection.as_ref()).map_or(0, Connection::unsent)
    }

    /// Whether the peer made this connection.
    pub fn is_incoming(&self, link: LinkKey) -> bool {
        self.links.get(&link).and_then(|l| l.connection.as_ref()).is_some_and(|c| !c.is_client())
    }

    /// The socket that carries a session at present, and its far end.
    pub fn link_of(&self, conn: ConnKey) -> Option<(LinkKey, SocketAddr)> {
        let link = self.sessions.get(&conn)?.link?;
        Some((link, self.links.get(&link)?.peer))
    }

    /// Queues a message; `false` if there is no such session (any more).
    pub fn send(&mut self, now: Duration, conn: ConnKey, message: MessageFrame) -> bool {
        let Some(session) = self.sessions.get_mut(&conn) else { return false };
        session.queue.push(message);
        match session.state {
            SessionState::Open => self.pump(conn),
            SessionState::Standby => self.dial(now, conn),
            SessionState::Connecting | SessionState::Backoff { .. } => {}
        }
        true
    }

    /// Asks an open connection for a sign of life; [`Event::KeepaliveAck`] follows.
    pub fn keepalive(&mut self, conn: ConnKey, stamp: UTime) {
        self.send_control(conn, &Control::Keepalive2(stamp));
    }

    /// Ends a session or an authentication (Ceph: `mark_down`). What was sent before still goes out
    /// if the socket takes it.
    pub fn close(&mut self, conn: ConnKey) {
        if let Some(session) = self.sessions.get(&conn) {
            let link = session.link;
            self.forget(conn);
            if let Some(link) = link {
                self.links.remove(&link);
                self.actions.push_back(Action::Hangup { link });
            }
        } else if let Some((&link, _)) = self.links.iter().find(|(_, l)| l.key == conn) {
            self.links.remove(&link);
            self.actions.push_back(Action::Hangup { link });
        }
    }

    pub fn auth_reply(&mut self, conn: ConnKey, verdict: AuthVerdict) {
        let Some((&link, l)) = self.links.iter_mut().find(|(_, l)| l.key == conn && !l.serves) else { return };
        let method = l.method;
        let Some(connection) = &mut l.connection else { return };
        match verdict {
            AuthVerdict::Done { entity, done, outcome } => {
                l.entity = entity;
                connection.auth_done(done, outcome);
            }
            AuthVerdict::More { payload } => connection.auth_more(payload),
            AuthVerdict::Bad { result, allowed_methods, allowed_modes } => {
                connection.auth_bad(AuthBadMethod { method, result, allowed_methods, allowed_modes });
            }
        }
        self.mark_dirty(link);
    }

    // ---- Keys and small helpers ----------------------------------------------------------------

    fn new_conn_key(&mut self) -> ConnKey {
        let key = self.next_key;
        self.next_key += self.config.key_step.max(1);
        ConnKey(key)
    }

    fn new_link_key(&mut self) -> LinkKey {
        self.next_link += 1;
        LinkKey(self.next_link)
    }

    /// A number that is not zero (splitmix64).
    fn new_cookie(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).max(1)
    }

    /// Ceph: `get_global_seq`.
    fn new_global_seq(&mut self, above: u64) -> u64 {
        self.global_seq = self.global_seq.max(above) + 1;
        self.global_seq
    }

    fn mark_dirty(&mut self, link: LinkKey) {
        if let Some(l) = self.links.get_mut(&link)
            && !l.dirty
        {
            l.dirty = true;
            self.dirty.push(link);
        }
    }

    fn connection_of(&mut self, conn: ConnKey) -> Option<(LinkKey, &mut Connection)> {
        let link = self.sessions.get(&conn)?.link?;
        let connection = self.links.get_mut(&link)?.connection.as_mut()?;
        Some((link, connection))
    }

    fn send_control(&mut self, conn: ConnKey, control: &Control) {
        if let Some((link, connection)) = self.connection_of(conn) {
            connection.send_control(control);
            self.mark_dirty(link);
        }
    }

    fn answer(&mut self, link: LinkKey, control: &Control) {
        if let Some(connection) = self.links.get_mut(&link).and_then(|l| l.connection.as_mut()) {
            connection.send_control(control);
            self.mark_dirty(link);
        }
    }

    /// Writes what is queued to the open link.
    fn pump(&mut self, conn: ConnKey) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(link) = session.link else { return };
        let Some(connection) = self.links.get_mut(&link).and_then(|l| l.connection.as_mut()) else { return };
        while let Some((seq, message)) = session.queue.next(session.policy.lossy) {
            connection.send_message(&message, seq, session.in_seq);
            session.clear_acks();
        }
        self.mark_dirty(link);
    }

    /// Removes a session from everywhere but its link.
    fn forget(&mut self, conn: ConnKey) {
        if let Some(session) = self.sessions.remove(&conn) {
            let addr = session.target();
            for map in [&mut self.peers, &mut self.clients] {
                if map.get(&addr) == Some(&conn) {
                    map.remove(&addr);
                }
            }
        }
    }

    // ---- Dialling and failing ------------------------------------------------------------------

    fn dial(&mut self, now: Duration, conn: ConnKey) {
        let global_seq = self.new_global_seq(0);
        let link = self.new_link_key();
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(addr) = session.target().sock else {
            // Nothing to dial: the peer has to come to us.
            session.state = SessionState::Standby;
            return;
        };
        if session.server_cookie != 0 {
            session.connect_seq += 1;
        }
        session.global_seq = global_seq;
        session.state = SessionState::Connecting;
        session.link = Some(link);
        self.links.insert(link, Link::new(None, conn, true, addr, now));
        self.timers.insert((now + self.config.timing.handshake, Timer::Handshake(link)));
        self.actions.push_back(Action::Dial { link, addr });
    }

    /// We end a link.
    fn drop_link(&mut self, now: Duration, link: LinkKey, error: LinkError) {
        if let Some(l) = self.links.remove(&link) {
            self.actions.push_back(Action::Hangup { link });
            self.fault(now, link, l, error);
        }
    }

    /// A link is gone. What becomes of its session? (Ceph: `ProtocolV2::_fault`.)
    fn fault(&mut self, now: Duration, link: LinkKey, l: Link, error: LinkError) {
        if error != LinkError::Refused {
            self.events.push_back(Event::Dropped { peer: l.peer, error: error.clone() });
        }
        if !l.serves {
            if l.asked {
                self.events.push_back(Event::Reset { conn: l.key });
            }
            return;
        }
        let timing = self.config.timing;
        let Some(session) = self.sessions.get_mut(&l.key) else { return };
        if session.link != Some(link) {
            return;
        }
        session.link = None;
        session.queue.rewind();
        session.clear_acks();
        let was_open = session.state == SessionState::Open;
        if error == LinkError::Refused {
            let (name, addrs) = (session.name, session.addrs.clone());
            self.events.push_back(Event::Refused { name, addrs });
        }
        if session.policy.lossy && (was_open || error == LinkError::Refused) {
            if session.announced {
                self.events.push_back(Event::Reset { conn: l.key });
            }
            return self.forget(l.key);
        }
        if session.policy.standby && session.queue.is_empty() {
            session.state = SessionState::Standby;
            session.backoff = Duration::ZERO;
            return;
        }
        if was_open {
            session.backoff = Duration::ZERO;
            return self.dial(now, l.key);
        }
        session.backoff = (session.backoff * 2).clamp(timing.backoff_initial, timing.backoff_max);
        let until = now + session.backoff;
        session.state = SessionState::Backoff { until };
        self.timers.insert((until, Timer::Redial(l.key)));
    }

    fn on_redial_timer(&mut self, now: Duration, conn: ConnKey) {
        let state = self.sessions.get(&conn).map(|s| s.state);
        if matches!(state, Some(SessionState::Backoff { until }) if until <= now) {
            self.dial(now, conn);
        }
    }

    fn on_handshake_timer(&mut self, now: Duration, link: LinkKey) {
        let Some(l) = self.links.get(&link) else { return };
        if l.connection.as_ref().is_some_and(Connection::is_open) {
            return;
        }
        self.drop_link(now, link, LinkError::HandshakeTimeout(self.config.timing.handshake.as_secs()));
    }

    fn on_idle_timer(&mut self, now: Duration, link: LinkKey) {
        let idle = self.config.timing.idle;
        let Some(l) = self.links.get(&link) else { return };
        if now < l.active_at + idle {
            self.timers.insert((l.active_at + idle, Timer::Idle(link)));
        } else {
            self.drop_link(now, link, LinkError::Idle(idle.as_secs()));
        }
    }

    fn on_ack_timer(&mut self, conn: ConnKey) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.ack_timer = false;
        if session.unacked > 0 && session.state == SessionState::Open {
            session.clear_acks();
            let ack = Control::Ack(session.in_seq);
            self.send_control(conn, &ack);
        }
    }

    // ---- What peers say ------------------------------------------------------------------------

    fn on_event(&mut self, now: Duration, link: LinkKey, event: ConnEvent) {
        let Some(l) = self.links.get_mut(&link) else { return };
        let key = l.key;
        match event {
            ConnEvent::Message(received) => self.on_message(now, key, received),
            ConnEvent::Ack(seq) => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.queue.ack(seq);
                }
            }
            ConnEvent::KeepaliveAck(stamp) => self.events.push_back(Event::KeepaliveAck { conn: key, stamp }),
            ConnEvent::Hello(hello) => self.on_hello(link, &hello),
            ConnEvent::AuthRequest { method, preferred_modes, payload, more } => {
                if !more {
                    l.method = method;
                    if !preferred_modes.contains(&MODE_CRC) {
                        return self.refuse_mode(link, method);
                    }
                }
                l.asked = true;
                let method = l.method;
                self.events.push_back(Event::Auth { conn: key, method, payload, more });
            }
            ConnEvent::Authenticated { global_id } => self.on_authenticated(link, key, global_id),
            ConnEvent::Session(control) => self.on_session_frame(now, link, key, control),
        }
    }

    /// Whoever wants each byte encrypted must not be let in without (Ceph: `pick_con_mode`, `_auth_bad_method`).
    fn refuse_mode(&mut self, link: LinkKey, method: u32) {
        let refusal = AuthBadMethod {
            method,
            result: -EOPNOTSUPP,
            allowed_methods: vec![METHOD_NONE],
            allowed_modes: vec![MODE_CRC],
        };
        if let Some(connection) = self.links.get_mut(&link).and_then(|l| l.connection.as_mut()) {
            connection.auth_bad(refusal);
            self.mark_dirty(link);
        }
    }

    fn on_message(&mut self, now: Duration, key: ConnKey, received: Received) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.queue.ack(received.ack_seq);
        if received.seq <= session.in_seq {
            return;
        }
        session.in_seq = received.seq;
        if !session.policy.lossy {
            session.unacked += 1;
            session.unacked_bytes += received.message.len();
            if session.unacked >= ACK_COUNT || session.unacked_bytes >= ACK_BYTES {
                session.clear_acks();
                let ack = Control::Ack(session.in_seq);
                self.send_control(key, &ack);
            } else if !session.ack_timer {
                session.ack_timer = true;
                self.timers.insert((now + self.config.timing.ack_delay, Timer::Ack(key)));
            }
        }
        self.events.push_back(Event::Message { conn: key, message: received.message });
    }

    fn on_hello(&mut self, link: LinkKey, hello: &Hello) {
        if let Some(l) = self.links.get_mut(&link) {
            l.peer_type = hello.entity_type;
        }
        // A client learns its own address from whom it talks to, as Ceph's do.
        let blank = self.config.addrs.0.first().is_none_or(EntityAddr::is_blank);
        if let (true, Some(seen)) = (blank, hello.peer_addr.sock) {
            let sock = Some(SocketAddr::new(seen.ip(), 0));
            self.config.addrs = EntityAddr { kind: AddrType::Any, nonce: self.config.nonce, sock }.into();
        }
    }

    /// As a client we now say who we are, or which session we resume.
    fn on_authenticated(&mut self, link: LinkKey, key: ConnKey, global_id: u64) {
        let is_client = self.links.get(&link).and_then(|l| l.connection.as_ref()).is_some_and(Connection::is_client);
        if !is_client {
            return;
        }
        if self.global_id == 0 {
            self.global_id = global_id;
        }
        match self.sessions.get(&key).map(|s| s.server_cookie) {
            Some(0) => self.send_client_ident(link, key),
            Some(_) => self.send_reconnect(link, key),
            None => {}
        }
    }

    fn send_client_ident(&mut self, link: LinkKey, key: ConnKey) {
        let cookie = self.new_cookie();
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if !session.policy.lossy && session.client_cookie == 0 {
            session.client_cookie = cookie;
        }
        let ident = Control::ClientIdent(ClientIdent {
            addrs: self.config.addrs.clone(),
            target: session.target(),
            gid: self.config.name.num,
            global_seq: session.global_seq,
            features_supported: self.config.features,
            features_required: session.policy.features_required,
            flags: if session.policy.lossy { FLAG_LOSSY } else { 0 },
            cookie: session.client_cookie,
        });
        self.answer(link, &ident);
    }

    fn send_reconnect(&mut self, link: LinkKey, key: ConnKey) {
        let Some(session) = self.sessions.get(&key) else { return };
        let reconnect = Control::Reconnect(Reconnect {
            addrs: self.config.addrs.clone(),
            client_cookie: session.client_cookie,
            server_cookie: session.server_cookie,
            global_seq: session.global_seq,
            connect_seq: session.connect_seq,
            msg_seq: session.in_seq,
        });
        self.answer(link, &reconnect);
    }

    fn on_session_frame(&mut self, now: Duration, link: LinkKey, key: ConnKey, control: Control) {
        let done = match control {
            Control::ClientIdent(ident) => self.on_client_ident(now, link, ident),
            Control::Reconnect(reconnect) => self.on_reconnect(now, link, reconnect),
            Control::ServerIdent(ident) => self.on_server_ident(now, link, key, ident),
            Control::ReconnectOk(seq) => self.on_reconnect_ok(now, link, key, seq),
            Control::IdentMissingFeatures(missing) => Err(ProtocolError::OurFeatures { missing }),
            Control::SessionReset(full) => {
                self.on_session_reset(link, key, full);
                Ok(())
            }
            Control::SessionRetry(seq) => {
                self.on_retry(link, key, |session| session.connect_seq = seq + 1);
                Ok(())
            }
            Control::SessionRetryGlobal(seq) => {
                let global_seq = self.new_global_seq(seq);
                self.on_retry(link, key, |session| session.global_seq = global_seq);
                Ok(())
            }
            Control::Wait => {
                // The peer dials us as well, and its connection wins. If it never comes, we try again.
                self.drop_link(now, link, LinkError::Closed);
                Ok(())
            }
            other => Err(ProtocolError::Unexpected { tag: other.tag(), phase: "setting up the session" }),
        };
        if let Err(error) = done {
            self.drop_link(now, link, error.into());
        }
    }

    // ---- Client side of the session handshake --------------------------------------------------

    fn on_server_ident(
        &mut self,
        now: Duration,
        link: LinkKey,
        key: ConnKey,
        ident: ServerIdent,
    ) -> Result<(), ProtocolError> {
        let ours = self.config.features;
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        let wanted = session.target();
        if !ident.addrs.0.contains(&wanted) {
            return Err(ProtocolError::NotThem { wanted, got: ident.addrs.to_string() });
        }
        check_features(&ident.features_required, ours)?;
        session.server_cookie = ident.cookie;
        session.name.num = ident.gid;
        session.features = ident.features_supported & ours;
        session.peer_global_seq = ident.global_seq;
        // The server's policy decides.
        session.policy.lossy = ident.flags & FLAG_LOSSY != 0;
        self.session_open(now, link, key, false);
        Ok(())
    }

    fn on_reconnect_ok(&mut self, now: Duration, link: LinkKey, key: ConnKey, seq: u64) -> Result<(), ProtocolError> {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.queue.ack(seq);
            self.session_open(now, link, key, false);
        }
        Ok(())
    }

    fn on_session_reset(&mut self, link: LinkKey, key: ConnKey, full: bool) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if full {
            session.reset();
            self.events.push_back(Event::RemoteReset { conn: key });
        } else {
            session.server_cookie = 0;
            session.connect_seq = 0;
            session.in_seq = 0;
        }
        self.send_client_ident(link, key);
    }

    fn on_retry(&mut self, link: LinkKey, key: ConnKey, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&key) {
            change(session);
            self.send_reconnect(link, key);
        }
    }

    // ---- Server side of the session handshake --------------------------------------------------

    fn on_client_ident(&mut self, now: Duration, link: LinkKey, ident: ClientIdent) -> Result<(), ProtocolError> {
        let addr = dial_addr(&ident.addrs);
        if addr.is_blank() {
            return Err(ProtocolError::NoAddress);
        }
        if !self.config.addrs.0.contains(&ident.target) {
            return Err(ProtocolError::NotUs { wanted: ident.target });
        }
        check_features(&ident.features_required, self.config.features)?;
        let Some(l) = self.links.get(&link) else { return Ok(()) };
        let policy = self.config.policies.of(l.peer_type, false);
        let missing = policy.features_required & !ident.features_supported;
        if missing != 0 {
            self.answer(link, &Control::IdentMissingFeatures(missing));
            return Ok(());
        }
        if policy.lossy {
            if policy.registered
                && let Some(old) = self.clients.get(&addr).copied()
            {
                self.replace_client(now, old);
            }
            self.accept_new(now, link, policy, addr, ident);
            return Ok(());
        }
        match self.peers.get(&addr).copied() {
            Some(existing) => self.on_existing(now, link, policy, existing, addr, ident),
            None => {
                self.accept_new(now, link, policy, addr, ident);
                Ok(())
            }
        }
    }

    /// A lossy client came again: its former connection is dead, whatever its socket says.
    fn replace_client(&mut self, now: Duration, old: ConnKey) {
        match self.sessions.get(&old).and_then(|s| s.link) {
            Some(link) => self.drop_link(now, link, LinkError::Closed),
            None => self.forget(old),
        }
    }

    /// Makes a session for an incoming link.
    fn accept_new(&mut self, now: Duration, link: LinkKey, policy: Policy, addr: EntityAddr, ident: ClientIdent) {
        let Some(l) = self.links.get_mut(&link) else { return };
        l.serves = true;
        let key = l.key;
        let name = EntityName { kind: l.peer_type, num: ident.gid };
        self.sessions.insert(key, Session::new(policy, name, ident.addrs.clone()));
        if !policy.lossy {
            self.peers.insert(addr, key);
        } else if policy.registered {
            self.clients.insert(addr, key);
        }
        self.welcome(now, link, key, &ident);
    }

    /// Answers a `ClientIdent` for a session that is (now) this link's.
    fn welcome(&mut self, now: Duration, link: LinkKey, key: ConnKey, ident: &ClientIdent) {
        let global_seq = self.new_global_seq(0);
        let cookie = self.new_cookie();
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.link = Some(link);
        session.name.num = ident.gid;
        session.features = ident.features_supported & self.config.features;
        session.client_cookie = ident.cookie;
        session.server_cookie = if session.policy.lossy { 0 } else { cookie };
        session.peer_global_seq = ident.global_seq;
        session.connect_seq = 0;
        session.in_seq = 0;
        session.clear_acks();
        let answer = Control::ServerIdent(ServerIdent {
            addrs: self.config.addrs.clone(),
            gid: self.config.name.num,
            global_seq,
            features_supported: self.config.features,
            features_required: session.policy.features_required,
            flags: if session.policy.lossy { FLAG_LOSSY } else { 0 },
            cookie: session.server_cookie,
        });
        self.answer(link, &answer);
        self.session_open(now, link, key, true);
    }

    /// A lossless peer we have a session with sends a `ClientIdent`.
    /// (Ceph: `ProtocolV2::handle_existing_connection`.)
    fn on_existing(
        &mut self,
        now: Duration,
        link: LinkKey,
        policy: Policy,
        existing: ConnKey,
        addr: EntityAddr,
        ident: ClientIdent,
    ) -> Result<(), ProtocolError> {
        let us = dial_addr(&self.config.addrs);
        let Some(session) = self.sessions.get_mut(&existing) else { return Ok(()) };
        if session.peer_global_seq > ident.global_seq {
            // Overtaken: the peer has dialled, or answered, since.
            self.drop_link(now, link, LinkError::Closed);
            return Ok(());
        }
        if session.policy.lossy {
            self.close_with_reset(existing);
            self.accept_new(now, link, policy, addr, ident);
            return Ok(());
        }
        let established = session.server_cookie != 0 && session.client_cookie != 0;
        if established && session.client_cookie != ident.cookie {
            // The peer has lost its side of the session.
            if policy.resetcheck {
                session.reset();
                if session.announced {
                    self.events.push_back(Event::RemoteReset { conn: existing });
                }
            }
        } else if session.client_cookie != ident.cookie
            && !matches!(session.state, SessionState::Open | SessionState::Standby)
            && addr > us
        {
            // Both dial at once, and ours wins: see it through.
            if let SessionState::Backoff { .. } = session.state {
                self.dial(now, existing);
            }
            self.answer(link, &Control::Wait);
            return Ok(());
        }
        self.adopt(link, existing);
        self.welcome(now, link, existing, &ident);
        Ok(())
    }

    /// A lossy session in the way of a new one.
    fn close_with_reset(&mut self, conn: ConnKey) {
        let announced = self.sessions.get(&conn).is_some_and(|s| s.announced);
        self.close(conn);
        if announced {
            self.events.push_back(Event::Reset { conn });
        }
    }

    /// Gives an incoming link to a session, in place of the one it has.
    fn adopt(&mut self, link: LinkKey, conn: ConnKey) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let old = session.link.replace(link);
        session.queue.rewind();
        session.backoff = Duration::ZERO;
        if let Some(old) = old.filter(|old| *old != link) {
            self.links.remove(&old);
            self.actions.push_back(Action::Hangup { link: old });
        }
        if let Some(l) = self.links.get_mut(&link) {
            l.serves = true;
            let kept = std::mem::replace(&mut l.key, conn);
            if l.asked {
                self.events.push_back(Event::Reset { conn: kept });
            }
        }
    }

    /// Ceph: `ProtocolV2::handle_reconnect`.
    fn on_reconnect(&mut self, now: Duration, link: LinkKey, reconnect: Reconnect) -> Result<(), ProtocolError> {
        let addr = dial_addr(&reconnect.addrs);
        let us = dial_addr(&self.config.addrs);
        let Some(l) = self.links.get(&link) else { return Ok(()) };
        let policy = self.config.policies.of(l.peer_type, false);
        let Some(existing) = self.peers.get(&addr).copied() else {
            self.answer(link, &Control::SessionReset(true));
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(&existing) else { return Ok(()) };
        let refusal = if session.client_cookie != reconnect.client_cookie {
            Some(Control::SessionReset(policy.resetcheck))
        } else if session.server_cookie == 0 {
            // We were the client and never saw the answer: start over, keeping what is queued.
            Some(Control::SessionReset(false))
        } else if session.peer_global_seq > reconnect.global_seq {
            Some(Control::SessionRetryGlobal(session.peer_global_seq))
        } else if session.connect_seq > reconnect.connect_seq {
            Some(Control::SessionRetry(session.connect_seq))
        } else if session.connect_seq == reconnect.connect_seq && addr > us && !session.policy.server {
            Some(Control::Wait)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            if refusal == Control::Wait && matches!(session.state, SessionState::Backoff { .. }) {
                self.dial(now, existing);
            }
            self.answer(link, &refusal);
            return Ok(());
        }
        session.connect_seq = reconnect.connect_seq;
        session.peer_global_seq = reconnect.global_seq;
        session.queue.ack(reconnect.msg_seq);
        let in_seq = session.in_seq;
        self.adopt(link, existing);
        self.answer(link, &Control::ReconnectOk(in_seq));
        self.session_open(now, link, existing, true);
        Ok(())
    }

    /// Messages may flow.
    fn session_open(&mut self, now: Duration, link: LinkKey, key: ConnKey, incoming: bool) {
        let Some(l) = self.links.get_mut(&link) else { return };
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Some(connection) = &mut l.connection {
            connection.open();
        }
        session.state = SessionState::Open;
        session.backoff = Duration::ZERO;
        if !session.announced {
            session.announced = true;
            let connection = l.connection.as_ref();
            let peer = PeerInfo {
                name: session.name,
                addrs: session.addrs.clone(),
                features: session.features,
                global_id: connection.map_or(0, Connection::global_id),
                entity: l.entity.clone(),
            };
            self.events.push_back(Event::Connected { conn: key, peer, incoming });
        }
        self.timers.insert((now + self.config.timing.idle, Timer::Idle(link)));
        self.pump(key);
    }
}

fn check_features(required: &u64, ours: u64) -> Result<(), ProtocolError> {
    match required & !ours {
        0 => Ok(()),
        missing => Err(ProtocolError::OurFeatures { missing }),
    }
}

impl Link {
    fn new(connection: Option<Connection>, key: ConnKey, serves: bool, peer: SocketAddr, now: Duration) -> Self {
        Self {
            connection,
            key,
            serves,
            peer,
            peer_type: 0,
            method: METHOD_NONE,
            asked: false,
            entity: String::new(),
            dirty: false,
            active_at: now,
        }
    }
}

/// A configuration with Ceph's defaults.
impl Config {
    pub fn new(name: EntityName, entity_id: &str, addrs: EntityAddrVec, policies: Policies) -> Self {
        Self {
            name,
            nonce: addrs.0.first().map_or(0, |a| a.nonce),
            addrs,
            policies,
            features: features::ALL,
            limits: Limits::default(),
            seed: 0,
            key_start: 0,
            key_step: 1,
            timing: Timing::default(),
            auth: Box::new(NoneProvider { entity_id: entity_id.to_owned() }),
        }
    }
}
