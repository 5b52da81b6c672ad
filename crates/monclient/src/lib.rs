//! A client of the monitors, shared by OSDs, managers and clients.
//!
//! [`MonClient`] keeps one session with one monitor. It hunts for another when the session is lost or
//! slow to begin, asks again for what is subscribed, and sends again what has no answer yet. It is a
//! part of a core: its owner hands it the inputs that concern it and performs its outputs.
//!
//! Invariants:
//! - A command that was given a tid is answered once, or asked again for ever.
//! - What is subscribed is asked for in each new session, from where [`MonClient::sub_got`] says.
//! - Where there is more than one monitor, none keeps a session by saying nothing.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use messages::{Body, MMonCommand, MMonGetVersion, MMonSubscribe, Message, Paxos, SubscribeItem};
use node::{ConnId, Dest, Endpoint, Now, Output, Peer};
use types::{EntityAddrVec, EntityName, Uuid};

/// One monitor that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonAddr {
    pub rank: i64,
    pub addrs: EntityAddrVec,
}

/// The monitors of a map, by rank.
pub fn mons_of(map: &types::MonMap) -> Vec<MonAddr> {
    map.by_rank().map(|(rank, m)| MonAddr { rank: rank as i64, addrs: m.public_addrs.clone() }).collect()
}

/// What a message meant, if it was for the monitors' client.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `MMonMap`, encoded.
    MonMap(Bytes),
    /// `MConfig`: the values for us that the monitors keep.
    Config(BTreeMap<String, String>),
    CommandDone {
        tid: u64,
        r: i32,
        rs: String,
        data: Bytes,
    },
    Version {
        handle: u64,
        newest: u64,
        oldest: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    /// Asked for a connection to `mons[target]`.
    Hunting {
        give_up: Duration,
    },
    Open {
        conn: ConnId,
    },
    Closed,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct MonClient {
    mons: Vec<MonAddr>,
    /// Index into `mons`.
    target: usize,
    session: Session,
    fsid: Uuid,
    hostname: String,
    subs: BTreeMap<String, SubscribeItem>,
    commands: BTreeMap<u64, MMonCommand>,
    versions: BTreeMap<u64, String>,
    /// The open or coming session does not know all of `subs`.
    subs_changed: bool,
    /// Sent in order once a session is open; not kept beyond that.
    queue: Vec<Message>,
    next_tid: u64,
    hunt_interval: Duration,
    /// Whether the session said anything since it was last looked at.
    heard: bool,
    /// It did not, and was asked for a sign of life.
    asked: bool,
    look_at: Option<Duration>,
}

/// Ceph: `mon_client_hunt_interval`.
const HUNT_INTERVAL: Duration = Duration::from_secs(3);
/// A monitor that says nothing for so long is asked a question, and left if it has not answered after as
/// long again (Ceph: `mon_client_ping_interval` and `_timeout`, 10 s and 30 s).
const SILENCE: Duration = Duration::from_secs(5);
/// The question's number.
const SIGN_OF_LIFE: u64 = u64::MAX;

impl MonClient {
    /// `seed` chooses the first monitor to ask.
    pub fn new(mons: Vec<MonAddr>, hostname: impl Into<String>, seed: u64) -> Self {
        let target = if mons.is_empty() { 0 } else { (seed % mons.len() as u64) as usize };
        Self {
            mons,
            target,
            session: Session::Closed,
            fsid: Uuid::default(),
            hostname: hostname.into(),
            subs: BTreeMap::new(),
            commands: BTreeMap::new(),
            versions: BTreeMap::new(),
            subs_changed: false,
            queue: Vec::new(),
            next_tid: 1,
            hunt_interval: HUNT_INTERVAL,
            heard: false,
            asked: false,
            look_at: None,
        }
    }

    pub fn set_fsid(&mut self, fsid: Uuid) {
        self.fsid = fsid;
    }

    /// Replaces the monitors that may be asked; the session goes on.
    pub fn set_mons(&mut self, mons: Vec<MonAddr>) {
        if !mons.is_empty() {
            self.target %= mons.len();
            self.mons = mons;
        }
    }

    pub fn conn(&self) -> Option<ConnId> {
        match self.session {
            Session::Open { conn } => Some(conn),
            _ => None,
        }
    }

    /// Begins to look for a monitor.
    pub fn start(&mut self, now: Now, out: &mut Vec<Output>) {
        self.hunt(now, out);
    }

    fn hunt(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(mon) = self.mons.get(self.target) else { return };
        self.session = Session::Hunting { give_up: now.mono + self.hunt_interval };
        // The first message makes the connection; a subscription is what every client begins with.
        let to = Dest::Peer { via: Endpoint::Public, name: EntityName::mon(mon.rank), addrs: mon.addrs.clone() };
        out.push(Output::Send { to, msg: self.subscribe_message(), after: None });
        self.subs_changed = false;
    }

    fn subscribe_message(&self) -> Message {
        MMonSubscribe { what: self.subs.clone(), hostname: self.hostname.clone() }.into()
    }

    /// [`node::Input::Connected`] of an outgoing connection to a monitor. Gives whether it was ours.
    pub fn connected(&mut self, conn: ConnId, peer: &Peer, out: &mut Vec<Output>) -> bool {
        if !peer.name.is_mon() || !matches!(self.session, Session::Hunting { .. }) {
            return false;
        }
        self.session = Session::Open { conn };
        (self.heard, self.asked, self.look_at) = (true, false, None);
        if self.subs_changed {
            self.renew(out);
        }
        for (tid, command) in &self.commands {
            let mut msg: Message = command.clone().into();
            msg.tid = *tid;
            out.push(Output::Send { to: Dest::Conn(conn), msg, after: None });
        }
        for (handle, what) in &self.versions {
            let msg = MMonGetVersion { handle: *handle, what: what.clone() };
            out.push(Output::Send { to: Dest::Conn(conn), msg: msg.into(), after: None });
        }
        for msg in self.queue.drain(..) {
            out.push(Output::Send { to: Dest::Conn(conn), msg, after: None });
        }
        true
    }

    /// [`node::Input::Reset`]. Gives whether the session was lost; then another is looked for.
    pub fn reset(&mut self, now: Now, conn: ConnId, out: &mut Vec<Output>) -> bool {
        if self.session != (Session::Open { conn }) {
            return false;
        }
        self.next_mon();
        self.hunt(now, out);
        true
    }

    /// [`node::Input::Refused`] by a monitor: the next one is asked when the hunt interval is over, at
    /// once if there is another.
    pub fn refused(&mut self, now: Now, name: EntityName, out: &mut Vec<Output>) {
        if !name.is_mon() || !matches!(self.session, Session::Hunting { .. }) {
            return;
        }
        self.next_mon();
        if self.mons.len() > 1 {
            self.hunt(now, out);
        } else {
            // A lone monitor that restarts is back soon.
            self.session = Session::Hunting { give_up: now.mono + self.hunt_interval / 10 };
        }
    }

    fn next_mon(&mut self) {
        self.target = (self.target + 1) % self.mons.len().max(1);
    }

    pub fn next_wakeup(&self) -> Option<Duration> {
        match self.session {
            Session::Hunting { give_up } => Some(give_up),
            Session::Open { .. } if self.mons.len() > 1 => Some(self.look_at.unwrap_or_default()),
            _ => None,
        }
    }

    /// Looks whether the session is alive.
    fn look(&mut self, now: Now, conn: ConnId, out: &mut Vec<Output>) {
        let due = *self.look_at.get_or_insert(now.mono + SILENCE);
        if due > now.mono {
            return;
        }
        self.look_at = Some(now.mono + SILENCE);
        if std::mem::take(&mut self.heard) {
            self.asked = false;
        } else if self.asked {
            out.push(Output::Close { conn });
            self.next_mon();
            self.hunt(now, out);
        } else {
            self.asked = true;
            let msg = MMonGetVersion { handle: SIGN_OF_LIFE, what: "monmap".to_owned() };
            out.push(Output::Send { to: Dest::Conn(conn), msg: msg.into(), after: None });
        }
    }

    pub fn wake(&mut self, now: Now, out: &mut Vec<Output>) {
        if let Session::Open { conn } = self.session
            && self.mons.len() > 1
        {
            self.look(now, conn, out);
        }
        if let Session::Hunting { give_up } = self.session
            && now.mono >= give_up
        {
            if let Some(mon) = self.mons.get(self.target) {
                out.push(Output::ClosePeer { via: Endpoint::Public, addrs: mon.addrs.clone() });
            }
            self.next_mon();
            self.hunt(now, out);
        }
    }

    /// Sends a message in the current session, or in the next one.
    pub fn send(&mut self, msg: impl Into<Message>, out: &mut Vec<Output>) {
        match self.session {
            Session::Open { conn } => out.push(Output::Send { to: Dest::Conn(conn), msg: msg.into(), after: None }),
            _ => self.queue.push(msg.into()),
        }
    }

    /// Wants `what` (`osdmap`, `monmap`, `config`, …) from version `start` on; `onetime`: once.
    /// Takes effect with [`Self::renew`].
    pub fn subscribe(&mut self, what: &str, start: u64, onetime: bool) {
        let flags = if onetime { SubscribeItem::ONETIME } else { 0 };
        self.subs.insert(what.to_owned(), SubscribeItem { start, flags });
        self.subs_changed = true;
    }

    /// Tells the monitor what is wanted.
    pub fn renew(&mut self, out: &mut Vec<Output>) {
        if let Session::Open { conn } = self.session {
            self.subs_changed = false;
            out.push(Output::Send { to: Dest::Conn(conn), msg: self.subscribe_message(), after: None });
        }
    }

    /// Version `have` of `what` has arrived: a new session asks from the next on.
    pub fn sub_got(&mut self, what: &str, have: u64) {
        let Some(item) = self.subs.get_mut(what) else { return };
        if item.start > have {
            return;
        }
        if item.is_onetime() {
            self.subs.remove(what);
        } else {
            item.start = have + 1;
        }
    }

    /// Sends a command in JSON; [`Event::CommandDone`] follows with the tid that this gives.
    pub fn command(&mut self, cmd: String, data: Bytes, out: &mut Vec<Output>) -> u64 {
        let tid = self.next_tid;
        self.next_tid += 1;
        let command = MMonCommand { paxos: Paxos::default(), fsid: self.fsid, cmd: vec![cmd], data };
        if let Session::Open { conn } = self.session {
            let mut msg: Message = command.clone().into();
            msg.tid = tid;
            out.push(Output::Send { to: Dest::Conn(conn), msg, after: None });
        }
        self.commands.insert(tid, command);
        tid
    }

    /// Asks for the newest version of a map; [`Event::Version`] follows with the handle that this gives.
    pub fn get_version(&mut self, what: &str, out: &mut Vec<Output>) -> u64 {
        let handle = self.next_tid;
        self.next_tid += 1;
        self.versions.insert(handle, what.to_owned());
        if let Session::Open { conn } = self.session {
            let msg = MMonGetVersion { handle, what: what.to_owned() };
            out.push(Output::Send { to: Dest::Conn(conn), msg: msg.into(), after: None });
        }
        handle
    }

    /// Takes a message that came over `conn`. `None`: it is the owner's.
    pub fn message(&mut self, conn: ConnId, msg: &Message) -> Option<Event> {
        if self.conn() != Some(conn) {
            return None;
        }
        self.heard = true;
        match &msg.body {
            Body::MMonMap(m) => Some(Event::MonMap(m.map.clone())),
            Body::MConfig(m) => Some(Event::Config(m.config.clone())),
            Body::MMonCommandAck(m) => {
                self.commands.remove(&msg.tid)?;
                Some(Event::CommandDone { tid: msg.tid, r: m.r, rs: m.rs.clone(), data: m.data.clone() })
            }
            Body::MMonGetVersionReply(m) => {
                self.versions.remove(&m.handle)?;
                Some(Event::Version { handle: m.handle, newest: m.version, oldest: m.oldest_version })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::UTime;

    fn at(secs: u64) -> Now {
        Now { mono: Duration::from_secs(secs), wall: UTime { sec: 1_795_000_000, nsec: 0 } }
    }

    fn client(mons: i64) -> MonClient {
        let mons = (0..mons).map(|rank| MonAddr { rank, addrs: EntityAddrVec::default() }).collect();
        MonClient::new(mons, "host", 0)
    }

    fn mon(rank: i64) -> Peer {
        Peer {
            name: EntityName::mon(rank),
            addrs: EntityAddrVec::default(),
            features: 0,
            global_id: 4,
            entity: String::new(),
        }
    }

    #[test]
    fn a_command_without_an_answer_is_sent_again_in_the_next_session() {
        let mut c = client(2);
        let mut out = Vec::new();
        c.start(at(1), &mut out);
        assert!(c.connected(ConnId(1), &mon(0), &mut out));
        let tid = c.command("{}".into(), Bytes::new(), &mut out);
        assert!(c.reset(at(2), ConnId(1), &mut out));
        out.clear();
        assert!(c.connected(ConnId(2), &mon(1), &mut out));
        let again = out.iter().any(
            |o| matches!(o, Output::Send { msg: Message { tid: t, body: Body::MMonCommand(_), .. }, .. } if *t == tid),
        );
        assert!(again, "{out:?}");
    }

    #[test]
    fn a_monitor_that_does_not_answer_gives_way_to_the_next() {
        let mut c = client(3);
        let mut out = Vec::new();
        c.start(at(1), &mut out);
        out.clear();
        c.wake(at(1) /* too early */, &mut out);
        assert!(out.is_empty());
        c.wake(at(9), &mut out);
        assert!(matches!(&out[..], [Output::ClosePeer { .. }, Output::Send { to: Dest::Peer { name, .. }, .. }]
            if *name == EntityName::mon(1)));
    }

    #[test]
    fn a_session_that_says_nothing_is_left() {
        let mut c = client(2);
        let mut out = Vec::new();
        c.start(at(1), &mut out);
        assert!(c.connected(ConnId(1), &mon(0), &mut out));
        for secs in [1, 6, 11] {
            c.wake(at(secs), &mut out);
            assert_eq!(c.conn(), Some(ConnId(1)));
        }
        c.wake(at(16), &mut out);
        assert!(out.iter().any(|o| matches!(o, Output::Close { conn: ConnId(1) })));
        assert!(
            matches!(out.last(), Some(Output::Send { to: Dest::Peer { name, .. }, .. }) if *name == EntityName::mon(1))
        );
    }

    #[test]
    fn what_is_subscribed_while_hunting_is_asked_for_when_the_session_opens() {
        let mut c = client(1);
        let mut out = Vec::new();
        c.start(at(1), &mut out);
        c.subscribe("osdmap", 1, false);
        out.clear();
        assert!(c.connected(ConnId(1), &mon(0), &mut out));
        assert!(matches!(&out[..], [Output::Send { msg: Message { body: Body::MMonSubscribe(m), .. }, .. }]
            if m.what.contains_key("osdmap")));
    }

    #[test]
    fn a_subscription_is_renewed_from_what_arrived() {
        let mut c = client(1);
        c.subscribe("osdmap", 5, false);
        c.subscribe("monmap", 0, true);
        c.sub_got("osdmap", 9);
        c.sub_got("monmap", 1);
        assert_eq!(c.subs, [("osdmap".to_owned(), SubscribeItem { start: 10, flags: 0 })].into());
    }
}
