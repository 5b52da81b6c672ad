//! The simulated world: hosts, a network, disks and a clock, all driven by one seed.
//!
//! Each host runs one [`Node`]. The world performs its outputs under the contract of crate `node` and
//! feeds it inputs in an order that depends on nothing but the seed.
//!
//! The network keeps the order within a session, as TCP does. A cut ([`World::cut`]) holds back what is
//! under way until it is healed; a broken session loses what is in flight if it is lossy, and delivers
//! it later, once, if it is lossless. A crashed host loses its sessions, its memory, and what its disk
//! had not made durable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use denc::Encoder;
use messages::Message;
use node::{AuthReply, ConnId, Dest, Endpoint, Input, Level, Listening, Node, Now, Output, Peer, Token};
use types::{EntityAddr, EntityAddrVec, EntityName, UTime, features};

use crate::disk::SimStore;
use crate::rng::Rng;
use crate::trace::Trace;

/// A host's number in the world.
pub type HostId = usize;

/// Makes a host's node each time the host starts: with its addresses and the number of its life.
pub type Maker = Box<dyn FnMut(&Listening, u32) -> Box<dyn Node>>;

/// What the network and the disks do at random.
#[derive(Debug, Clone)]
pub struct Weather {
    pub delay_us: (u64, u64),
    pub disk_us: (u64, u64),
    /// Of a thousand messages, how many break their session instead of arriving.
    pub breaks_permille: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self { delay_us: (50, 400), disk_us: (100, 1_500), breaks_permille: 0 }
    }
}

impl Weather {
    /// Slow, jittery, and with connections that break.
    pub fn stormy() -> Self {
        Self { delay_us: (50, 20_000), disk_us: (100, 30_000), breaks_permille: 3 }
    }
}

struct Host {
    label: String,
    /// Who it says it is when it authenticates: kind and id.
    entity: (u8, String),
    maker: Maker,
    node: Option<Box<dyn Node>>,
    life: u32,
    listening: Listening,
    name: EntityName,
    global_id: u64,
    disk: Box<dyn SimStore>,
    commit_due: bool,
    /// Sends that wait for a commit.
    held: BTreeMap<Token, Vec<(Dest, Message)>>,
    last_committed: Option<Token>,
    committed: BTreeSet<Token>,
    wake_at: Option<Duration>,
    next_conn: u64,
    conns: BTreeMap<ConnId, (usize, usize)>,
}

struct Session {
    ends: [End; 2],
    /// Which instances this is between: the first end looked for the second address.
    addrs: [EntityAddrVec; 2],
    via: Endpoint,
    lossless: bool,
    phase: Phase,
    /// Messages under way, by direction (index of the sender): in order, with the time of arrival.
    flight: [VecDeque<Message>; 2],
    last_arrival: [Duration; 2],
}

#[derive(Debug, Clone)]
struct End {
    host: HostId,
    life: u32,
    conn: ConnId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Dead,
}

#[derive(Debug)]
enum Event {
    Start {
        host: HostId,
        life: u32,
    },
    Wake {
        host: HostId,
        life: u32,
    },
    Commit {
        host: HostId,
        life: u32,
    },
    /// The connecting end's first packet arrives.
    Connect {
        session: usize,
    },
    /// The server's yes arrives at the connecting end.
    Accepted {
        session: usize,
        peer: Peer,
    },
    /// The next message of a direction arrives.
    Deliver {
        session: usize,
        from: usize,
    },
    Feed {
        host: HostId,
        life: u32,
        input: Box<Input>,
    },
}

/// See the file's documentation.
pub struct World {
    now: Duration,
    rng: Rng,
    pub weather: Weather,
    hosts: Vec<Host>,
    sessions: Vec<Session>,
    /// Pairs of hosts that cannot hear each other.
    cuts: BTreeSet<(HostId, HostId)>,
    /// Ends of sessions that died behind a cut; they hear of it when it heals.
    untold: Vec<End>,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    pub trace: Trace,
}

/// Wall clocks begin here.
const EPOCH_SECS: u64 = 1_795_000_000;
const PORTS: [(Endpoint, u16); 5] = [
    (Endpoint::Public, 6800),
    (Endpoint::Cluster, 6801),
    (Endpoint::HbBack, 6802),
    (Endpoint::HbFront, 6803),
    (Endpoint::Mgr, 6804),
];

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Duration::from_secs(1),
            rng: Rng::new(seed),
            weather: Weather::default(),
            hosts: Vec::new(),
            sessions: Vec::new(),
            cuts: BTreeSet::new(),
            untold: Vec::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            trace: Trace::default(),
        }
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Adds a host that does not run yet. Its addresses are `10.0.x.y` with fixed ports.
    pub fn add_host(&mut self, entity: (u8, &str), disk: Box<dyn SimStore>, maker: Maker) -> HostId {
        let id = self.hosts.len();
        // A monitor's number is its rank; there is one.
        let unnamed = if entity.0 == types::ENTITY_TYPE_MON { 0 } else { -1 };
        let name = EntityName { kind: entity.0, num: entity.1.parse().unwrap_or(unnamed) };
        let label = format!("{}.{}", name.kind_str(), entity.1);
        self.hosts.push(Host {
            label,
            entity: (entity.0, entity.1.to_owned()),
            maker,
            node: None,
            life: 0,
            listening: Listening::default(),
            name,
            global_id: 0,
            disk,
            commit_due: false,
            held: BTreeMap::new(),
            last_committed: None,
            committed: BTreeSet::new(),
            wake_at: None,
            next_conn: 1,
            conns: BTreeMap::new(),
        });
        id
    }

    /// The public address that a host has (or will have) in its life number `life`.
    pub fn addr(host: HostId, via: Endpoint, life: u32) -> EntityAddr {
        let ip = Ipv4Addr::new(10, 0, (host / 250) as u8, (host % 250 + 1) as u8);
        let (_, port) = PORTS.iter().find(|(e, _)| *e == via).expect("every endpoint has a port");
        EntityAddr::msgr2(SocketAddr::new(IpAddr::V4(ip), *port), life)
    }

    pub fn is_up(&self, host: HostId) -> bool {
        self.hosts[host].node.is_some()
    }

    pub fn disk(&self, host: HostId) -> &dyn SimStore {
        &*self.hosts[host].disk
    }

    /// Starts a host that is down. A monitor keeps its nonce, as its address is known to all.
    pub fn start(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        assert!(h.node.is_none(), "{} runs already", h.label);
        h.life += 1;
        let life = h.life;
        if h.entity.0 == types::ENTITY_TYPE_CLIENT {
            // A client's next life is somebody else: its tids begin anew.
            h.name.num = -1;
            h.global_id = 0;
        }
        let nonce = if h.entity.0 == types::ENTITY_TYPE_MON { 0 } else { life };
        let at = |via| Self::addr(host, via, nonce);
        h.listening = Listening {
            public: at(Endpoint::Public),
            cluster: at(Endpoint::Cluster),
            hb_back: at(Endpoint::HbBack),
            hb_front: at(Endpoint::HbFront),
            mgr: at(Endpoint::Mgr),
        };
        h.node = Some((h.maker)(&h.listening, life));
        h.next_conn = u64::from(life) << 32;
        self.trace.line(self.now, &h.label, "starts");
        self.schedule(Duration::ZERO, Event::Start { host, life });
    }

    /// The host's power goes: memory, sessions and what was not durable are lost.
    pub fn crash(&mut self, host: HostId) {
        if self.hosts[host].node.take().is_none() {
            return;
        }
        let mut rng = self.rng.fork();
        let h = &mut self.hosts[host];
        self.trace.line(self.now, &h.label, "crashes");
        h.disk.crash(&mut rng);
        h.held.clear();
        h.committed.clear();
        h.last_committed = None;
        h.commit_due = false;
        h.wake_at = None;
        h.conns.clear();
        for session in 0..self.sessions.len() {
            self.end_died(session, host);
        }
    }

    /// What a session's other end notices of a host's death.
    fn end_died(&mut self, session: usize, host: HostId) {
        let s = &mut self.sessions[session];
        let Some(dead) = s.ends.iter().position(|e| e.host == host) else { return };
        if s.phase == Phase::Dead {
            return;
        }
        s.phase = Phase::Dead;
        s.flight = [VecDeque::new(), VecDeque::new()];
        let other = s.ends[1 - dead].clone();
        let (via, lossless) = (s.via, s.lossless);
        let addrs = self.peer_addrs(host, via);
        let name = self.hosts[host].name;
        if self.is_cut(host, other.host) {
            return self.untold.push(other);
        }
        let delay = self.delay();
        if lossless {
            // The survivor tries to connect again and finds nobody.
            self.feed_after(delay, other.host, other.life, Input::Refused { via, name, addrs });
        }
        self.drop_conn(&other);
        self.feed_after(delay, other.host, other.life, Input::Reset { conn: other.conn });
    }

    fn drop_conn(&mut self, end: &End) {
        if self.hosts[end.host].life == end.life {
            self.hosts[end.host].conns.remove(&end.conn);
        }
    }

    /// Separates two groups of hosts: nothing gets across until [`Self::heal`].
    pub fn cut(&mut self, one: &[HostId], other: &[HostId]) {
        for a in one {
            for b in other {
                self.cuts.insert((*a.min(b), *a.max(b)));
            }
        }
        self.trace.line(self.now, "net", &format!("cut {one:?} from {other:?}"));
    }

    /// Ends all cuts; what was held back goes on.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.trace.line(self.now, "net", "heals");
        for end in std::mem::take(&mut self.untold) {
            self.drop_conn(&end);
            let delay = self.delay();
            self.feed_after(delay, end.host, end.life, Input::Reset { conn: end.conn });
        }
        for session in 0..self.sessions.len() {
            if self.sessions[session].phase == Phase::Connecting {
                let delay = self.delay();
                self.schedule(delay, Event::Connect { session });
            }
            for from in 0..2 {
                for _ in 0..self.sessions[session].flight[from].len() {
                    let delay = self.delay();
                    self.schedule(delay, Event::Deliver { session, from });
                }
            }
        }
    }

    fn is_cut(&self, a: HostId, b: HostId) -> bool {
        self.cuts.contains(&(a.min(b), a.max(b)))
    }

    fn peer_addrs(&self, host: HostId, via: Endpoint) -> EntityAddrVec {
        let l = &self.hosts[host].listening;
        match via {
            Endpoint::Public => l.public,
            Endpoint::Cluster => l.cluster,
            Endpoint::HbBack => l.hb_back,
            Endpoint::HbFront => l.hb_front,
            Endpoint::Mgr => l.mgr,
        }
        .into()
    }

    /// Lets time pass until `until`, or until nothing is left to happen.
    pub fn run_until(&mut self, until: Duration) {
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(event) = self.events.remove(&id) {
                self.happen(event);
            }
        }
        self.now = self.now.max(until);
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs until `done` holds, looking after each ten milliseconds, for at most `limit`. Gives
    /// whether it came to hold.
    pub fn run_while(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            if done(self) {
                return true;
            }
            self.run_for(Duration::from_millis(10));
        }
        done(self)
    }

    /// Hands an input to a host from outside (an admin command, a polite shutdown).
    pub fn feed(&mut self, host: HostId, input: Input) {
        let life = self.hosts[host].life;
        self.feed_after(Duration::ZERO, host, life, input);
    }

    fn feed_after(&mut self, delay: Duration, host: HostId, life: u32, input: Input) {
        self.schedule(delay, Event::Feed { host, life, input: Box::new(input) });
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert(self.next_event, event);
        self.queue.push(Reverse((self.now + delay, self.next_event)));
    }

    fn delay(&mut self) -> Duration {
        let (low, high) = self.weather.delay_us;
        Duration::from_micros(self.rng.between(low, high))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start { host, life } => self.step(host, life, Input::Start),
            Event::Wake { host, life } => {
                let h = &mut self.hosts[host];
                if h.life == life && h.wake_at.is_some_and(|at| at <= self.now) {
                    h.wake_at = None;
                    self.step(host, life, Input::Wake);
                }
            }
            Event::Commit { host, life } => self.commit(host, life),
            Event::Connect { session } => self.connect_arrives(session),
            Event::Accepted { session, peer } => self.accepted(session, peer),
            Event::Deliver { session, from } => self.deliver(session, from),
            Event::Feed { host, life, input } => self.step(host, life, *input),
        }
    }

    /// Hands one input to a node and performs what comes of it.
    fn step(&mut self, host: HostId, life: u32, input: Input) {
        if self.hosts[host].life != life || self.hosts[host].node.is_none() {
            return;
        }
        self.trace.input(self.now, &self.hosts[host].label, &input);
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let now = Now { mono: self.now, wall: UTime::from_duration(Duration::from_secs(EPOCH_SECS) + self.now) };
            let h = &mut self.hosts[host];
            let Some(node) = h.node.as_mut() else { return };
            let mut out = Vec::new();
            node.handle(now, h.disk.reader(), input, &mut out);
            for output in out {
                self.perform(host, output);
                if self.hosts[host].node.is_none() {
                    return;
                }
            }
            if self.hosts[host].node.as_ref().is_some_and(|n| n.runnable()) {
                next = Some(Input::Continue);
            }
        }
        self.plan_wake(host);
    }

    fn plan_wake(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        let Some(at) = h.node.as_ref().and_then(|n| n.next_wakeup()) else { return };
        if h.wake_at.is_some_and(|planned| planned <= at && planned > self.now) {
            return;
        }
        // A deadline in the past is met a moment from now: time must pass.
        let at = at.max(self.now + Duration::from_micros(1));
        h.wake_at = Some(at);
        let life = h.life;
        self.schedule(at - self.now, Event::Wake { host, life });
    }

    fn perform(&mut self, host: HostId, output: Output) {
        match output {
            Output::Send { to, msg, after } => self.send_after(host, to, msg, after),
            Output::Close { conn } => self.close(host, conn),
            Output::ClosePeer { via, addrs } => {
                if let Some(conn) = self.session_to(host, via, &addrs) {
                    self.close(host, conn);
                }
            }
            Output::Identity { name, global_id } => {
                let h = &mut self.hosts[host];
                h.name = name;
                h.global_id = global_id;
            }
            Output::AuthReply { conn, reply } => self.auth_reply(host, conn, reply),
            Output::Submit { token, txn } => self.submit(host, token, txn),
            Output::Read { token, coll, oid, off, len } => {
                let result = self.hosts[host].disk.reader().read(coll, &oid, off, len);
                let (low, high) = self.weather.disk_us;
                let delay = Duration::from_micros(self.rng.between(low, high));
                let life = self.hosts[host].life;
                self.feed_after(delay, host, life, Input::ReadDone { token, result });
            }
            Output::AdminReply { id, body } => self.trace.admin(host, id, body),
            Output::Log { level, text } => {
                self.trace.line(self.now, &self.hosts[host].label, &format!("{level:?}: {text}"));
                assert!(level < Level::Error || self.trace.errors_allowed, "{}: {text}", self.hosts[host].label);
            }
            Output::Exit { .. } => self.crash(host),
        }
    }

    fn submit(&mut self, host: HostId, token: Token, txn: os::Transaction) {
        let h = &mut self.hosts[host];
        h.disk.submit(token, txn);
        if !h.commit_due {
            h.commit_due = true;
            let life = h.life;
            let (low, high) = self.weather.disk_us;
            let delay = Duration::from_micros(self.rng.between(low, high));
            self.schedule(delay, Event::Commit { host, life });
        }
    }

    fn commit(&mut self, host: HostId, life: u32) {
        let h = &mut self.hosts[host];
        if h.life != life || h.node.is_none() {
            return;
        }
        h.commit_due = false;
        let tokens = h.disk.commit();
        for token in tokens {
            let h = &mut self.hosts[host];
            h.committed.insert(token);
            for (to, msg) in h.held.remove(&token).unwrap_or_default() {
                self.send(host, to, msg);
            }
            self.step(host, life, Input::Committed(token));
        }
        let h = &mut self.hosts[host];
        if h.node.is_some() && h.disk.has_pending() && !h.commit_due {
            h.commit_due = true;
            let (low, high) = self.weather.disk_us;
            let delay = Duration::from_micros(self.rng.between(low, high));
            self.schedule(delay, Event::Commit { host, life });
        }
    }

    fn send_after(&mut self, host: HostId, to: Dest, msg: Message, after: Option<Token>) {
        match after {
            Some(token) if !self.hosts[host].committed.contains(&token) => {
                self.hosts[host].held.entry(token).or_default().push((to, msg));
            }
            _ => self.send(host, to, msg),
        }
    }

    fn send(&mut self, host: HostId, to: Dest, msg: Message) {
        let conn = match to {
            Dest::Conn(conn) => conn,
            Dest::Peer { via, addrs, .. } => match self.session_to(host, via, &addrs) {
                Some(conn) => conn,
                None => match self.connect(host, via, &addrs) {
                    Some(conn) => conn,
                    None => return,
                },
            },
        };
        let Some(&(session, end)) = self.hosts[host].conns.get(&conn) else { return };
        let s = &mut self.sessions[session];
        if s.phase == Phase::Dead {
            return;
        }
        s.flight[end].push_back(msg);
        if s.phase == Phase::Open {
            self.schedule_delivery(session, end);
        }
    }

    fn schedule_delivery(&mut self, session: usize, from: usize) {
        let arrival = self.now + self.delay();
        let s = &mut self.sessions[session];
        let at = arrival.max(s.last_arrival[from]);
        s.last_arrival[from] = at;
        let delay = at - self.now;
        self.schedule(delay, Event::Deliver { session, from });
    }

    /// A session of this host with exactly this instance of a peer: one that still looks for an earlier
    /// life is none.
    fn session_to(&self, host: HostId, via: Endpoint, addrs: &EntityAddrVec) -> Option<ConnId> {
        self.hosts[host].conns.iter().find_map(|(conn, (session, end))| {
            let s = &self.sessions[*session];
            let same = s.via == via && s.phase != Phase::Dead && s.addrs[1 - end] == *addrs;
            // Client sessions are not used in the other direction.
            (same && (s.lossless || *end == 0)).then_some(*conn)
        })
    }

    fn connect(&mut self, host: HostId, via: Endpoint, addrs: &EntityAddrVec) -> Option<ConnId> {
        let sock = addrs.msgr2()?.sock?;
        let via_there = PORTS.iter().find(|(_, port)| *port == sock.port()).map(|(e, _)| *e)?;
        let server = (0..self.hosts.len()).find(|h| Self::addr(*h, via_there, 0).sock == Some(sock))?;
        let conn = self.new_conn(host);
        let there = self.new_conn(server);
        let ends = [
            End { host, life: self.hosts[host].life, conn },
            End { host: server, life: self.hosts[server].life, conn: there },
        ];
        let session = self.sessions.len();
        self.sessions.push(Session {
            ends,
            addrs: [self.peer_addrs(host, via_there), addrs.clone()],
            via: via_there,
            lossless: via_there == Endpoint::Cluster && via == Endpoint::Cluster,
            phase: Phase::Connecting,
            flight: [VecDeque::new(), VecDeque::new()],
            last_arrival: [Duration::ZERO; 2],
        });
        self.hosts[host].conns.insert(conn, (session, 0));
        let nonce_known = addrs.msgr2().is_some_and(|a| self.peer_addrs(server, via_there).msgr2() == Some(a));
        if self.hosts[server].node.is_some() && !nonce_known {
            // Another life listens there: it will never be who is looked for.
            self.sessions[session].phase = Phase::Dead;
            self.hosts[host].conns.remove(&conn);
            return None;
        }
        let delay = self.delay();
        self.schedule(delay, Event::Connect { session });
        Some(conn)
    }

    fn new_conn(&mut self, host: HostId) -> ConnId {
        let h = &mut self.hosts[host];
        h.next_conn += 1;
        ConnId(h.next_conn)
    }

    fn connect_arrives(&mut self, session: usize) {
        let s = &self.sessions[session];
        let (client, server, via) = (s.ends[0].clone(), s.ends[1].clone(), s.via);
        if s.phase != Phase::Connecting || self.is_cut(client.host, server.host) {
            return;
        }
        if self.hosts[server.host].node.is_none() || self.hosts[server.host].life != server.life {
            self.sessions[session].phase = Phase::Dead;
            self.drop_conn(&client);
            // Nobody listens as the instance that was looked for; another may.
            let (name, addrs) = (self.hosts[server.host].name, self.sessions[session].addrs[1].clone());
            return self.step(client.host, client.life, Input::Refused { via, name, addrs });
        }
        self.hosts[server.host].conns.insert(server.conn, (session, 1));
        let payload = self.auth_payload(client.host, server.host, via);
        self.step(server.host, server.life, Input::Auth { conn: server.conn, via, method: 1, payload });
    }

    /// What a client without keys says: how it authenticates, who it is, and the id it had.
    fn auth_payload(&self, client: HostId, server: HostId, via: Endpoint) -> Bytes {
        const MODE_AUTHORIZER: u8 = 1;
        const MODE_MON: u8 = 10;
        let h = &self.hosts[client];
        let mut e = Encoder::new(features::ALL);
        if self.hosts[server].entity.0 == types::ENTITY_TYPE_MON && via == Endpoint::Public {
            e.u8(MODE_MON);
        } else {
            e.u8(MODE_AUTHORIZER);
        }
        e.u32(h.entity.0.into());
        e.string(&h.entity.1);
        e.u64(h.global_id);
        e.finish()
    }

    fn auth_reply(&mut self, host: HostId, conn: ConnId, reply: AuthReply) {
        let Some(&(session, 1)) = self.hosts[host].conns.get(&conn) else { return };
        let s = &self.sessions[session];
        let (client, server, via) = (s.ends[0].clone(), s.ends[1].clone(), s.via);
        match reply {
            AuthReply::Done { name, entity, global_id, .. } => {
                let back = Peer {
                    name: self.server_name(host, via),
                    addrs: self.peer_addrs(host, via),
                    features: features::ALL,
                    global_id,
                    entity: String::new(),
                };
                let delay = self.delay();
                self.sessions[session].last_arrival[1] = self.now + delay;
                self.sessions[session].phase = Phase::Open;
                self.schedule(delay, Event::Accepted { session, peer: back });
                let peer =
                    Peer { name, addrs: self.peer_addrs(client.host, via), features: features::ALL, global_id, entity };
                let input = Input::Connected { conn, via, peer, incoming: true };
                self.feed_after(Duration::ZERO, host, server.life, input);
            }
            AuthReply::More { .. } | AuthReply::Bad { .. } => {
                self.sessions[session].phase = Phase::Dead;
                self.drop_conn(&client);
                self.feed_after(Duration::ZERO, client.host, client.life, Input::Reset { conn: client.conn });
            }
        }
    }

    fn server_name(&self, host: HostId, via: Endpoint) -> EntityName {
        match via {
            Endpoint::Mgr => EntityName::mgr(self.hosts[host].global_id as i64),
            _ => self.hosts[host].name,
        }
    }

    fn accepted(&mut self, session: usize, peer: Peer) {
        let s = &self.sessions[session];
        let client = s.ends[0].clone();
        if s.phase != Phase::Open {
            return;
        }
        let h = &mut self.hosts[client.host];
        if peer.name.is_mon() && h.global_id == 0 {
            h.global_id = peer.global_id;
        }
        let via = self.sessions[session].via;
        for _ in 0..self.sessions[session].flight[0].len() {
            self.schedule_delivery(session, 0);
        }
        self.step(client.host, client.life, Input::Connected { conn: client.conn, via, peer, incoming: false });
    }

    fn deliver(&mut self, session: usize, from: usize) {
        let s = &self.sessions[session];
        let (sender, receiver) = (s.ends[from].clone(), s.ends[1 - from].clone());
        if s.phase != Phase::Open || self.is_cut(sender.host, receiver.host) {
            return; // what was cut off is scheduled again by `heal`
        }
        if !s.lossless && self.rng.below(1_000) < self.weather.breaks_permille {
            return self.break_session(session);
        }
        let Some(msg) = self.sessions[session].flight[from].pop_front() else { return };
        let via = self.sessions[session].via;
        self.step(receiver.host, receiver.life, Input::Message { conn: receiver.conn, via, msg });
    }

    /// A lossy session's socket breaks: both ends notice, what was in flight is gone.
    fn break_session(&mut self, session: usize) {
        let s = &mut self.sessions[session];
        s.phase = Phase::Dead;
        s.flight = [VecDeque::new(), VecDeque::new()];
        for end in s.ends.clone() {
            self.drop_conn(&end);
            let delay = self.delay();
            self.feed_after(delay, end.host, end.life, Input::Reset { conn: end.conn });
        }
    }

    fn close(&mut self, host: HostId, conn: ConnId) {
        let Some((session, end)) = self.hosts[host].conns.remove(&conn) else { return };
        let s = &mut self.sessions[session];
        if s.phase == Phase::Dead {
            return;
        }
        s.phase = Phase::Dead;
        s.flight = [VecDeque::new(), VecDeque::new()];
        let other = s.ends[1 - end].clone();
        if self.is_cut(host, other.host) {
            return self.untold.push(other);
        }
        self.drop_conn(&other);
        let delay = self.delay();
        self.feed_after(delay, other.host, other.life, Input::Reset { conn: other.conn });
    }
}
