//! A session: what two peers agree on beyond one socket. Policies, sequence numbers, the messages
//! that may have to be sent again.

use std::collections::VecDeque;
use std::time::Duration;

use types::{EntityAddr, EntityAddrVec, EntityName, features};

use crate::message::MessageFrame;
use crate::messenger::LinkKey;

/// What is done when a socket fails (Ceph: `Messenger::Policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The session ends with its socket.
    pub lossy: bool,
    /// We never dial.
    pub server: bool,
    /// With nothing to send, wait for the peer to come back.
    pub standby: bool,
    /// A peer that comes back without its session is told apart from one that merely reconnects:
    /// what was queued for it is dropped, and the core hears of it.
    pub resetcheck: bool,
    /// A lossy client has one connection: a second one replaces the first.
    pub registered: bool,
    pub features_required: u64,
}

impl Policy {
    const fn new(lossy: bool, server: bool, standby: bool, resetcheck: bool, registered: bool) -> Self {
        Self { lossy, server, standby, resetcheck, registered, features_required: features::MSG_ADDR2 }
    }

    /// We dial, and forget the session when the socket fails.
    pub const fn lossy_client() -> Self {
        Self::new(true, false, false, false, true)
    }

    /// Either dials, nothing is lost, and a peer that lost its state is noticed
    /// (Ceph: `lossless_peer_reuse`).
    pub const fn lossless_peer() -> Self {
        Self::new(false, false, true, true, true)
    }

    /// Others dial, and we forget the session when the socket fails.
    pub const fn stateless_server() -> Self {
        Self::new(true, true, false, false, false)
    }

    /// As [`Self::stateless_server`], with one connection a client.
    pub const fn stateless_registered_server() -> Self {
        Self::new(true, true, false, false, true)
    }
}

/// Which policy holds for whom.
#[derive(Debug, Clone)]
pub struct Policies {
    pub incoming: Policy,
    pub outgoing: Policy,
    /// By the peer's type, in both directions.
    pub by_type: Vec<(u8, Policy)>,
}

/// What real daemons have at their addresses (Ceph: `ceph_osd.cc`, `ceph_mon.cc`, where they are set). Unlike Ceph's,
/// our monitors want nothing resent to each other: their log does that itself.
impl Policies {
    fn with(incoming: Policy, by_type: Vec<(u8, Policy)>) -> Self {
        Self { incoming, outgoing: Policy::lossy_client(), by_type }
    }

    /// Sessions end with their sockets: clients, monitors, managers, heartbeats.
    pub fn stateless() -> Self {
        Self::with(Policy::stateless_server(), Vec::new())
    }

    /// An OSD's for clients: one connection each.
    pub fn for_clients() -> Self {
        Self::with(Policy::stateless_registered_server(), Vec::new())
    }

    /// The cluster network: between OSDs nothing is lost.
    pub fn between_osds() -> Self {
        Self::with(Policy::stateless_server(), vec![(types::ENTITY_TYPE_OSD, Policy::lossless_peer())])
    }

    pub(crate) fn of(&self, peer_type: u8, outgoing: bool) -> Policy {
        let other = if outgoing { self.outgoing } else { self.incoming };
        self.by_type.iter().find(|(t, _)| *t == peer_type).map_or(other, |(_, p)| *p)
    }
}

/// Messages in the order of their numbers: those on the link and not acknowledged, then those that
/// were never sent. The first one's number is `acked + 1`.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    acked: u64,
    messages: VecDeque<MessageFrame>,
    /// How many of them the present link carries, and how many some link carried.
    on_link: usize,
    sent: usize,
}

impl SendQueue {
    pub fn push(&mut self, message: MessageFrame) {
        self.messages.push_back(message);
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The next message for the link, with its number. A lossy session forgets it at once.
    pub fn next(&mut self, lossy: bool) -> Option<(u64, MessageFrame)> {
        if lossy {
            debug_assert_eq!(self.on_link, 0);
            let message = self.messages.pop_front()?;
            self.acked += 1;
            return Some((self.acked, message));
        }
        let message = self.messages.get(self.on_link)?.clone();
        self.on_link += 1;
        self.sent = self.sent.max(self.on_link);
        Some((self.acked + self.on_link as u64, message))
    }

    /// The peer has everything up to `seq`. It cannot have what was never sent to it.
    pub fn ack(&mut self, seq: u64) {
        let n = usize::try_from(seq.saturating_sub(self.acked)).unwrap_or(usize::MAX).min(self.sent);
        self.messages.drain(..n);
        self.acked += n as u64;
        self.on_link = self.on_link.saturating_sub(n);
        self.sent -= n;
    }

    /// The link is gone: all of them go over the next one.
    pub fn rewind(&mut self) {
        self.on_link = 0;
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// A link is being set up by us.
    Connecting,
    /// Dials again then.
    Backoff {
        until: Duration,
    },
    /// Nothing to send; the next message dials, or the peer does.
    Standby,
    Open,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub policy: Policy,
    pub peer_type: u8,
    /// Whom the core asked for; the number is the peer's own word once it has spoken.
    pub name: EntityName,
    pub addrs: EntityAddrVec,
    pub state: SessionState,
    pub link: Option<LinkKey>,
    pub queue: SendQueue,
    pub in_seq: u64,
    pub unacked: u32,
    pub unacked_bytes: usize,
    pub ack_timer: bool,
    pub client_cookie: u64,
    pub server_cookie: u64,
    pub connect_seq: u64,
    pub global_seq: u64,
    pub peer_global_seq: u64,
    pub features: u64,
    pub backoff: Duration,
    /// The core has heard `Connected`.
    pub announced: bool,
}

impl Session {
    pub fn new(policy: Policy, name: EntityName, addrs: EntityAddrVec) -> Self {
        Self {
            policy,
            peer_type: name.kind,
            name,
            addrs,
            state: SessionState::Connecting,
            link: None,
            queue: SendQueue::default(),
            in_seq: 0,
            unacked: 0,
            unacked_bytes: 0,
            ack_timer: false,
            client_cookie: 0,
            server_cookie: 0,
            connect_seq: 0,
            global_seq: 0,
            peer_global_seq: 0,
            features: features::ALL,
            backoff: Duration::ZERO,
            announced: false,
        }
    }

    /// Forgets everything that was agreed, and what was queued under it (Ceph: `reset_session`).
    pub fn reset(&mut self) {
        self.queue = SendQueue::default();
        self.in_seq = 0;
        self.clear_acks();
        self.client_cookie = 0;
        self.server_cookie = 0;
        self.connect_seq = 0;
        self.peer_global_seq = 0;
    }

    pub fn clear_acks(&mut self) {
        self.unacked = 0;
        self.unacked_bytes = 0;
    }

    pub fn target(&self) -> EntityAddr {
        dial_addr(&self.addrs)
    }
}

/// The address by which a peer is dialled and told apart.
pub(crate) fn dial_addr(addrs: &EntityAddrVec) -> EntityAddr {
    addrs.msgr2().or(addrs.0.first()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn m(tid: u64) -> MessageFrame {
        MessageFrame { tid, ..Default::default() }
    }

    #[test]
    fn a_lossless_queue_replays_what_was_not_acknowledged_under_the_same_numbers() {
        let mut q = SendQueue::default();
        (1..=4).for_each(|tid| q.push(m(tid)));
        assert_eq!(q.next(false), Some((1, m(1))));
        assert_eq!(q.next(false), Some((2, m(2))));
        assert_eq!(q.next(false), Some((3, m(3))));
        q.ack(1);
        q.rewind();
        q.ack(2);
        assert_eq!(q.next(false), Some((3, m(3))));
        assert_eq!(q.next(false), Some((4, m(4))));
        assert_eq!(q.next(false), None);
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_drops_nothing() {
        let mut q = SendQueue::default();
        (1..=3).for_each(|tid| q.push(m(tid)));
        q.next(false);
        q.ack(u64::MAX);
        assert_eq!(q.next(false), Some((2, m(2))));
    }
}
