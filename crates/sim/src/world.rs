//! The simulated world: hosts, a network, disks and clocks, all driven by one seed.
//!
//! Each host runs one [`Node`](node::Node) behind real messengers (crate `msgr`); what travels are bytes.
//! The world performs a node's outputs under the contract of crate `node`, as crate `runtime` does, and
//! feeds it inputs in an order that depends on nothing but the seed. What the network does is in
//! [`crate::net`], what disks do in [`crate::disk`].
//!
//! Whatever happens, [`Invariant`]s look on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use messages::Message;
use msgr::{Action, AuthDone, AuthOutcome, AuthVerdict, ConnKey, Event as NetEvent, LinkError, LinkKey, ProtocolError};
use node::{AuthReply, ConnId, Dest, Endpoint, Input, Level, Output, Peer, Token};
use os::{Coll, Transaction};
use types::{EntityAddr, GHObject};

use crate::disk::SimStore;
use crate::host::{self, Host, Maker, to_frame, to_wire};
use crate::invariants::{self, Invariant, Sent};
use crate::net::{End, Net, Piece, PipeId};
use crate::rng::Rng;
use crate::trace::Trace;

/// A host's number in the world.
pub type HostId = usize;

/// What the network and the disks do at random.
#[derive(Debug, Clone)]
pub struct Weather {
    pub delay_us: (u64, u64),
    pub disk_us: (u64, u64),
    /// Of a thousand pieces, how many break their connection instead of arriving.
    pub breaks_permille: u64,
    /// Of a thousand pieces, how many are sent again and arrive up to three seconds late.
    pub stalls_permille: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self { delay_us: (50, 400), disk_us: (100, 1_500), breaks_permille: 0, stalls_permille: 0 }
    }
}

impl Weather {
    /// Slow, jittery, and with connections that break.
    pub fn stormy() -> Self {
        Self { delay_us: (50, 20_000), disk_us: (100, 30_000), breaks_permille: 3, stalls_permille: 1 }
    }
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
    ReadDone {
        host: HostId,
        life: u32,
        read: Box<Read>,
    },
    Feed {
        host: HostId,
        life: u32,
        input: Box<Input>,
    },
    /// The first packet of a new connection arrives.
    Dial {
        pipe: PipeId,
        to: SocketAddr,
    },
    /// Its answer: whether somebody listens there.
    Dialled {
        pipe: PipeId,
        ok: bool,
    },
    /// The next piece of this direction arrives.
    Arrive {
        pipe: PipeId,
        from: usize,
    },
    /// This end notices that its connection is gone.
    Broken {
        pipe: PipeId,
        end: usize,
    },
    /// The invariants look at everything.
    Look,
}

#[derive(Debug)]
struct Read {
    token: Token,
    coll: Coll,
    oid: GHObject,
    off: u64,
    len: u64,
    /// What was there when it was asked for, if that is what it sees.
    early: Option<Input>,
}

/// See the file's documentation.
pub struct World {
    now: Duration,
    rng: Rng,
    pub weather: Weather,
    hosts: Vec<Host>,
    net: Net,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    invariants: Vec<Box<dyn Invariant>>,
    pub trace: Trace,
}

/// How often the invariants look at everything.
const LOOK: Duration = Duration::from_millis(500);
/// A first packet that is lost is sent again after so long.
const SYN_AGAIN: Duration = Duration::from_secs(1);
/// A node that goes on by itself for so long goes on for ever.
const CONTINUE_MAX: usize = 100_000;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            now: Duration::from_secs(1),
            rng: Rng::new(seed),
            weather: Weather::default(),
            hosts: Vec::new(),
            net: Net::default(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            invariants: invariants::all(),
            trace: Trace::default(),
        };
        world.schedule(LOOK, Event::Look);
        world
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Adds a host that does not run yet.
    pub fn add_host(&mut self, entity: (u8, &str), disk: Box<dyn SimStore>, maker: Maker) -> HostId {
        self.hosts.push(Host::new(entity, disk, maker));
        self.hosts.len() - 1
    }

    /// The address that a host has (or will have) in its life number `life`; monitors have 0.
    pub fn addr(host: HostId, via: Endpoint, life: u32) -> EntityAddr {
        host::address(host, life, via)
    }

    pub fn is_up(&self, host: HostId) -> bool {
        self.hosts[host].node.is_some()
    }

    pub fn disk(&self, host: HostId) -> &dyn SimStore {
        &*self.hosts[host].disk
    }

    /// The disk of a host goes bad in one place.
    pub fn rot(&mut self, host: HostId) {
        self.rot_in(host, &BTreeSet::new());
    }

    /// The same, and of PGs that it does not lead also what no read can see, as long as it does not.
    pub fn rot_unseen(&mut self, host: HostId) {
        let followed = |osd: &osd::Osd| osd.pgs().filter(|pg| !pg.is_primary()).map(|pg| Coll::Pg(pg.id())).collect();
        let unseen_in = self.osd(host).map(followed).unwrap_or_default();
        self.rot_in(host, &unseen_in);
    }

    fn rot_in(&mut self, host: HostId, unseen_in: &BTreeSet<Coll>) {
        if let Some(what) = self.hosts[host].disk.rot(&mut self.rng, &|coll| unseen_in.contains(&coll)) {
            self.note_of(host, &what);
        }
    }

    /// Replaces the disk of a host that is down: what was on it is lost.
    pub fn replace_disk(&mut self, host: HostId, disk: Box<dyn SimStore>) {
        assert!(!self.is_up(host), "{} runs", self.hosts[host].label);
        self.note_of(host, "has a new disk");
        self.hosts[host].disk = disk;
        self.each_invariant(|i, _| i.wiped(host));
    }

    /// The OSD that runs on a host.
    pub fn osd(&self, host: HostId) -> Option<&osd::Osd> {
        self.hosts[host].node.as_ref()?.as_osd()
    }

    /// The monitor that runs on a host.
    pub fn mon(&self, host: HostId) -> Option<&mon::Mon> {
        self.hosts[host].node.as_ref()?.as_mon()
    }

    /// All monitors that run.
    pub fn mons(&self) -> impl Iterator<Item = (HostId, &mon::Mon)> {
        (0..self.hosts.len()).filter_map(|h| Some((h, self.mon(h)?)))
    }

    /// What a host's node waits for.
    pub fn describe(&self, host: HostId) -> Vec<String> {
        self.hosts[host].node.as_ref().map(|n| n.describe()).unwrap_or_default()
    }

    /// All OSDs that run.
    pub fn osds(&self) -> impl Iterator<Item = (HostId, &osd::Osd)> {
        (0..self.hosts.len()).filter_map(|h| Some((h, self.osd(h)?)))
    }

    /// How often a host has been started.
    pub fn life(&self, host: HostId) -> u32 {
        self.hosts[host].life
    }

    pub fn label(&self, host: HostId) -> &str {
        &self.hosts[host].label
    }

    /// What a host's clocks show.
    pub fn clock(&self, host: HostId) -> node::Now {
        self.hosts[host].now(self.now)
    }

    /// Writes something into the trace.
    pub fn note(&mut self, who: &str, what: &str) {
        self.trace.line(self.now, who, what);
    }

    fn note_of(&mut self, host: HostId, what: &str) {
        self.trace.line(self.now, &self.hosts[host].label, what);
    }

    // --- faults

    /// Starts a host that is down.
    pub fn start(&mut self, host: HostId) {
        assert!(!self.is_up(host), "{} runs already", self.hosts[host].label);
        let mut rng = self.rng.fork();
        self.hosts[host].start(host, &mut rng);
        self.note_of(host, "starts");
        let life = self.hosts[host].life;
        // Peers of its last life that never heard of its end do now.
        for (pipe, end) in self.net.of_host(host) {
            self.break_end(pipe, 1 - end);
        }
        self.schedule(Duration::ZERO, Event::Start { host, life });
    }

    pub fn start_if_down(&mut self, host: HostId) {
        if !self.is_up(host) {
            self.start(host);
        }
    }

    /// The host's process is killed: memory and what was not durable are lost, its sockets close.
    pub fn crash(&mut self, host: HostId) {
        if !self.stop(host, "crashes") {
            return;
        }
        for (pipe, end) in self.net.of_host(host) {
            self.net.pipes[pipe].ends[end].link = None;
            self.push_piece(pipe, end, Piece::End);
        }
    }

    /// The host's power goes. Nobody is told; what it had sent and did not arrive is lost.
    pub fn power_loss(&mut self, host: HostId) {
        if !self.stop(host, "loses power") {
            return;
        }
        self.hosts[host].dark = true;
        for (pipe, end) in self.net.of_host(host) {
            let p = &mut self.net.pipes[pipe];
            p.ends[end].link = None;
            p.flight[end].clear();
        }
    }

    fn stop(&mut self, host: HostId, how: &str) -> bool {
        if !self.is_up(host) {
            return false;
        }
        self.note_of(host, how);
        let mut rng = self.rng.fork();
        self.hosts[host].stop(&mut rng);
        true
    }

    /// Separates two groups of hosts: nothing gets across until [`Self::heal`].
    pub fn cut(&mut self, one: &[HostId], other: &[HostId]) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing gets from `one` to `other` until [`Self::heal`].
    pub fn cut_one_way(&mut self, one: &[HostId], other: &[HostId]) {
        for a in one {
            for b in other {
                self.net.cut(*a, *b);
            }
        }
        self.trace.line(self.now, "net", &format!("nothing from {one:?} to {other:?}"));
    }

    /// Whether anybody is cut off from anybody.
    pub fn has_cuts(&self) -> bool {
        self.net.has_cuts()
    }

    /// Ends all cuts. What was held back goes on, unless the connection has died of waiting.
    pub fn heal(&mut self) {
        self.net.heal();
        self.trace.line(self.now, "net", "heals");
        for pipe in 0..self.net.pipes.len() {
            let p = &self.net.pipes[pipe];
            let held = |from: usize| p.flight[from].len() > p.scheduled[from];
            if p.broken || !(held(0) || held(1)) {
                continue;
            }
            if self.rng.percent(30) {
                self.break_pipe(pipe);
                continue;
            }
            for from in 0..2 {
                let p = &self.net.pipes[pipe];
                for _ in p.scheduled[from]..p.flight[from].len() {
                    self.schedule_arrival(pipe, from);
                }
            }
        }
    }

    /// A host's wall clock jumps.
    pub fn jump_clock(&mut self, host: HostId, by: i64) {
        self.note_of(host, &format!("clock jumps by {by} ns"));
        self.hosts[host].wall_off += by;
    }

    // --- time

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
        self.schedule(Duration::ZERO, Event::Feed { host, life, input: Box::new(input) });
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert(self.next_event, event);
        self.queue.push(Reverse((self.now + delay, self.next_event)));
    }

    fn between_us(&mut self, (low, high): (u64, u64)) -> Duration {
        Duration::from_micros(self.rng.between(low, high))
    }

    fn delay(&mut self) -> Duration {
        let mut delay = self.between_us(self.weather.delay_us);
        if self.weather.stalls_permille > 0 && self.rng.below(1_000) < self.weather.stalls_permille {
            delay += Duration::from_millis(self.rng.between(200, 3_000));
        }
        delay
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start { host, life } => self.step(host, life, Input::Start),
            Event::Wake { host, life } => self.wake(host, life),
            Event::Commit { host, life } => self.commit(host, life),
            Event::ReadDone { host, life, read } => self.read_done(host, life, *read),
            Event::Feed { host, life, input } => self.step(host, life, *input),
            Event::Dial { pipe, to } => self.dial_arrives(pipe, to),
            Event::Dialled { pipe, ok } => self.dialled(pipe, ok),
            Event::Arrive { pipe, from } => self.arrive(pipe, from),
            Event::Broken { pipe, end } => self.broken(pipe, end),
            Event::Look => {
                self.schedule(LOOK, Event::Look);
                self.each_invariant(|i, world| i.look(world));
            }
        }
    }

    /// Has every invariant look at everything now.
    pub fn look(&mut self) {
        self.each_invariant(|i, world| i.look(world));
    }

    fn each_invariant(&mut self, mut f: impl FnMut(&mut dyn Invariant, &Self)) {
        let mut all = std::mem::take(&mut self.invariants);
        all.iter_mut().for_each(|i| f(&mut **i, self));
        self.invariants = all;
    }

    // --- nodes

    fn lives(&self, host: HostId, life: u32) -> bool {
        self.hosts[host].life == life && self.hosts[host].node.is_some()
    }

    fn step(&mut self, host: HostId, life: u32, input: Input) {
        if self.lives(host, life) {
            self.hosts[host].inbox.push_back(input);
            self.settle(host);
        }
    }

    fn wake(&mut self, host: HostId, life: u32) {
        if !self.lives(host, life) || self.hosts[host].wake_at.is_none_or(|at| at > self.now) {
            return;
        }
        let h = &mut self.hosts[host];
        h.wake_at = None;
        let now = h.now(self.now).mono;
        for a in &mut h.addresses {
            if a.messenger.next_deadline().is_some_and(|at| at <= now) {
                a.messenger.handle_timeout(now);
            }
        }
        if h.node.as_ref().and_then(|n| n.next_wakeup()).is_some_and(|at| at <= now) {
            h.inbox.push_back(Input::Wake);
        }
        self.settle(host);
    }

    /// Handles all there is for a host to handle, then lets out what it has to say.
    fn settle(&mut self, host: HostId) {
        let mut continued = 0;
        while self.is_up(host) {
            let h = &mut self.hosts[host];
            if let Some(input) = h.inbox.pop_front() {
                self.handle(host, input);
            } else if let Some((address, event)) =
                h.addresses.iter_mut().enumerate().find_map(|(n, a)| Some((n, a.messenger.poll_event()?)))
            {
                self.net_event(host, address, event);
            } else if h.node.as_ref().is_some_and(|n| n.runnable()) {
                continued += 1;
                assert!(continued < CONTINUE_MAX, "{} goes on for ever", h.label);
                self.handle(host, Input::Continue);
            } else {
                break;
            }
        }
        if self.is_up(host) {
            self.flush(host);
            self.plan_wake(host);
        }
    }

    /// Hands one input to a node and performs what comes of it.
    fn handle(&mut self, host: HostId, input: Input) {
        self.trace.input(self.now, &self.hosts[host].label, &input);
        let h = &mut self.hosts[host];
        let now = h.now(self.now);
        let Some(node) = h.node.as_mut() else { return };
        let mut out = Vec::new();
        node.handle(now, h.disk.reader(), input, &mut out);
        // A send may stand before the submit that it waits for.
        for output in &out {
            if let Output::Submit { token, .. } = output {
                h.held.submitted(*token);
            }
        }
        for output in out {
            self.perform(host, output);
            if !self.is_up(host) {
                return;
            }
        }
    }

    fn plan_wake(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        let Some(at) = h.deadline() else { return };
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
            Output::Send { to, msg, after } => self.send(host, to, msg, after),
            Output::Submit { token, txn } => self.submit(host, token, txn),
            Output::Read { token, coll, oid, off, len, .. } => self.read(host, token, coll, oid, off, len),
            Output::Close { conn } => self.close(host, conn),
            Output::ClosePeer { via, addrs } => {
                let found = self.hosts[host].at(via).and_then(|(_, a)| a.messenger.find_peer(&addrs));
                if let Some(conn) = found {
                    self.close(host, ConnId(conn.0));
                }
            }
            Output::Identity { name, global_id } => {
                let h = &mut self.hosts[host];
                for a in h.addresses.iter_mut().filter(|a| a.endpoint != Endpoint::Mgr) {
                    a.messenger.set_identity(name, global_id);
                }
            }
            Output::AuthReply { conn, reply } => self.auth_reply(host, conn, reply),
            Output::AdminReply { id, body } => self.trace.admin(host, id, body),
            Output::Log { level, text } => {
                self.trace.line(self.now, &self.hosts[host].label, &format!("{level:?}: {text}"));
                assert!(level < Level::Error || self.trace.errors_allowed, "{}: {text}", self.hosts[host].label);
            }
            Output::Exit { .. } => {
                self.flush(host);
                self.crash(host);
            }
        }
    }

    // --- disks

    fn submit(&mut self, host: HostId, token: Token, txn: Transaction) {
        self.hosts[host].disk.submit(token, txn);
        self.plan_commit(host);
    }

    fn plan_commit(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        if !std::mem::replace(&mut h.commit_due, true) {
            let life = h.life;
            let delay = self.between_us(self.weather.disk_us);
            self.schedule(delay, Event::Commit { host, life });
        }
    }

    fn commit(&mut self, host: HostId, life: u32) {
        if !self.lives(host, life) {
            return;
        }
        self.hosts[host].commit_due = false;
        for token in self.hosts[host].disk.commit() {
            for (conn, msg) in self.hosts[host].held.committed(token) {
                self.send_now(host, conn, &msg);
            }
            self.hosts[host].inbox.push_back(Input::Committed(token));
        }
        self.settle(host);
        if self.is_up(host) && self.hosts[host].disk.has_pending() {
            self.plan_commit(host);
        }
    }

    fn read(&mut self, host: HostId, token: Token, coll: Coll, oid: GHObject, off: u64, len: u64) {
        let delay = self.between_us(self.weather.disk_us);
        let mut read = Box::new(Read { token, coll, oid, off, len, early: None });
        // It sees all that was submitted before it, and may see more.
        if self.rng.percent(50) {
            read.early = Some(self.read_now(host, &read));
        }
        let life = self.hosts[host].life;
        self.schedule(delay, Event::ReadDone { host, life, read });
    }

    fn read_now(&self, host: HostId, read: &Read) -> Input {
        let result = self.hosts[host].disk.reader().read(read.coll, &read.oid, read.off, read.len);
        Input::ReadDone { token: read.token, result }
    }

    fn read_done(&mut self, host: HostId, life: u32, mut read: Read) {
        if self.lives(host, life) {
            let input = read.early.take().unwrap_or_else(|| self.read_now(host, &read));
            self.step(host, life, input);
        }
    }

    // --- sessions: the node's side of a messenger

    fn send(&mut self, host: HostId, to: Dest, msg: Message, after: Option<Token>) {
        let h = &mut self.hosts[host];
        let conn = match to {
            Dest::Conn(conn) => conn,
            Dest::Peer { via, name, addrs } => {
                let now = h.now(self.now).mono;
                let Some((address, a)) = h.at(via) else { panic!("no endpoint {via:?} to reach {name}") };
                let conn = ConnId(a.messenger.peer(now, name, &addrs).0);
                self.take_actions(host, address);
                conn
            }
        };
        if let Some(msg) = self.hosts[host].held.offer(conn, after, msg) {
            self.send_now(host, conn, &msg);
        }
    }

    fn send_now(&mut self, host: HostId, conn: ConnId, msg: &Message) {
        let h = &mut self.hosts[host];
        let now = h.now(self.now).mono;
        let Some(a) = h.address_of(conn) else { return };
        let Some(features) = a.messenger.features(ConnKey(conn.0)) else { return };
        let wire = msg.encode(features);
        let via = a.endpoint;
        a.messenger.send(now, ConnKey(conn.0), to_frame(wire.clone()));
        let sent = Sent { host, via, msg, wire: &wire };
        self.each_invariant(|i, world| i.sent(world, &sent));
    }

    fn close(&mut self, host: HostId, conn: ConnId) {
        let h = &mut self.hosts[host];
        h.held.forget(conn);
        h.auth_names.remove(&conn);
        // What was sent before still gets its chance.
        self.flush(host);
        if let Some(a) = self.hosts[host].address_of(conn) {
            a.messenger.close(ConnKey(conn.0));
        }
        self.flush(host);
    }

    fn auth_reply(&mut self, host: HostId, conn: ConnId, reply: AuthReply) {
        let h = &mut self.hosts[host];
        let verdict = match reply {
            AuthReply::Done { name, entity, global_id, con_mode, payload } => {
                h.auth_names.insert(conn, name);
                let done = AuthDone { global_id, con_mode, payload };
                AuthVerdict::Done { entity, done, outcome: AuthOutcome::default() }
            }
            AuthReply::More { payload } => AuthVerdict::More { payload },
            AuthReply::Bad { errno, allowed_methods, allowed_modes } => {
                AuthVerdict::Bad { result: -errno.abs(), allowed_methods, allowed_modes }
            }
        };
        if let Some(a) = h.address_of(conn) {
            a.messenger.auth_reply(ConnKey(conn.0), verdict);
        }
    }

    fn net_event(&mut self, host: HostId, address: usize, event: NetEvent) {
        let via = self.hosts[host].addresses[address].endpoint;
        let input = match event {
            NetEvent::Message { conn, message } => {
                let kind = message.kind;
                match Message::decode(to_wire(message), 0) {
                    Ok(msg) => Input::Message { conn: ConnId(conn.0), via, msg },
                    Err(e) => panic!("{} cannot read a message of type {kind}: {e:?}", self.hosts[host].label),
                }
            }
            NetEvent::Auth { conn, method, payload, .. } => Input::Auth { conn: ConnId(conn.0), via, method, payload },
            NetEvent::Connected { conn, peer, incoming } => {
                let conn = ConnId(conn.0);
                let claimed = self.hosts[host].auth_names.remove(&conn);
                let name = claimed.filter(|_| peer.name.num < 0).unwrap_or(peer.name);
                let msgr::PeerInfo { addrs, features, global_id, entity, .. } = peer;
                Input::Connected { conn, via, peer: Peer { name, addrs, features, global_id, entity }, incoming }
            }
            NetEvent::Reset { conn } => {
                let conn = ConnId(conn.0);
                self.hosts[host].held.forget(conn);
                self.hosts[host].auth_names.remove(&conn);
                Input::Reset { conn }
            }
            NetEvent::RemoteReset { conn } => Input::RemoteReset { conn: ConnId(conn.0) },
            NetEvent::Refused { name, addrs } => Input::Refused { via, name, addrs },
            NetEvent::KeepaliveAck { .. } => return,
            NetEvent::Dropped { error, .. } => return self.dropped(host, &error),
        };
        self.hosts[host].inbox.push_back(input);
    }

    /// A link was given up: for good reason, or because somebody broke the protocol.
    fn dropped(&mut self, host: HostId, error: &LinkError) {
        use ProtocolError::{NoAddress, NotThem, NotUs};
        if let LinkError::Protocol(e) = error {
            let stale = matches!(e, NotUs { .. } | NotThem { .. } | NoAddress);
            assert!(stale, "{} dropped a connection: {e:?}", self.hosts[host].label);
        }
        if self.trace.keep_text {
            self.note_of(host, &format!("dropped a connection: {error}"));
        }
    }

    // --- connections: the messenger's side of the network

    /// Lets out what messengers want to do and to say.
    fn flush(&mut self, host: HostId) {
        let mut dirty = Vec::new();
        for address in 0..self.hosts[host].addresses.len() {
            self.take_actions(host, address);
            self.hosts[host].addresses[address].messenger.take_dirty(&mut dirty);
            for link in dirty.drain(..) {
                let a = &mut self.hosts[host].addresses[address];
                let Some(&(pipe, end)) = a.links.get(&link) else { continue };
                let Some(tx) = a.messenger.transmit(link).filter(|tx| !tx.is_empty()) else { continue };
                let bytes = tx.take_all();
                self.push_piece(pipe, end, Piece::Bytes(bytes));
            }
        }
    }

    fn take_actions(&mut self, host: HostId, address: usize) {
        while let Some(action) = self.hosts[host].addresses[address].messenger.poll_action() {
            match action {
                Action::Dial { link, addr } => self.dial(host, address, link, addr),
                Action::Hangup { link } => {
                    if let Some((pipe, end)) = self.hosts[host].addresses[address].links.remove(&link) {
                        self.net.pipes[pipe].ends[end].link = None;
                        self.push_piece(pipe, end, Piece::End);
                    }
                }
            }
        }
    }

    fn dial(&mut self, host: HostId, address: usize, link: LinkKey, to: SocketAddr) {
        let h = &mut self.hosts[host];
        let us = End { host, life: h.life, address, link: Some(link) };
        let server = host::listener(self.hosts.len(), to).map_or(usize::MAX, |(host, _)| host);
        let them = End { host: server, life: 0, address: 0, link: None };
        let pipe = self.net.open([us, them]);
        self.hosts[host].addresses[address].links.insert(link, (pipe, 0));
        let delay = self.delay();
        self.schedule(delay, Event::Dial { pipe, to });
    }

    fn dial_arrives(&mut self, pipe: PipeId, to: SocketAddr) {
        let p = &self.net.pipes[pipe];
        let client = p.ends[0].clone();
        if p.broken || client.link.is_none() {
            return;
        }
        let Some((server, via)) = host::listener(self.hosts.len(), to) else {
            let delay = self.delay();
            return self.schedule(delay, Event::Dialled { pipe, ok: false });
        };
        if self.hosts[server].dark || self.net.is_apart(client.host, server) {
            return self.schedule(SYN_AGAIN, Event::Dial { pipe, to });
        }
        let h = &mut self.hosts[server];
        let (now, life) = (h.now(self.now).mono, h.life);
        let delay = self.delay();
        let Some((address, a)) = self.hosts[server].at(via).filter(|_| life > 0) else {
            return self.schedule(delay, Event::Dialled { pipe, ok: false });
        };
        let seen_as = SocketAddr::new(host::ip(client.host), 40_000 + (pipe % 20_000) as u16);
        let link = a.messenger.accept(now, seen_as);
        a.links.insert(link, (pipe, 1));
        let p = &mut self.net.pipes[pipe];
        p.ends[1] = End { host: server, life, address, link: Some(link) };
        p.last_arrival[1] = self.now + delay;
        self.schedule(delay, Event::Dialled { pipe, ok: true });
        self.settle(server);
    }

    fn dialled(&mut self, pipe: PipeId, ok: bool) {
        let end = self.net.pipes[pipe].ends[0].clone();
        let Some(link) = end.link.filter(|_| self.lives(end.host, end.life)) else { return };
        let h = &mut self.hosts[end.host];
        let now = h.now(self.now).mono;
        let a = &mut h.addresses[end.address];
        if ok {
            a.messenger.link_up(now, link);
        } else {
            a.links.remove(&link);
            a.messenger.link_lost(now, link, LinkError::Refused);
            self.net.pipes[pipe].broken = true;
        }
        self.settle(end.host);
    }

    fn push_piece(&mut self, pipe: PipeId, from: usize, piece: Piece) {
        if self.net.pipes[pipe].broken {
            return;
        }
        self.net.pipes[pipe].flight[from].push_back(piece);
        self.schedule_arrival(pipe, from);
    }

    fn schedule_arrival(&mut self, pipe: PipeId, from: usize) {
        let arrival = self.now + self.delay();
        let p = &mut self.net.pipes[pipe];
        p.scheduled[from] += 1;
        let at = arrival.max(p.last_arrival[from]);
        p.last_arrival[from] = at;
        self.schedule(at - self.now, Event::Arrive { pipe, from });
    }

    fn arrive(&mut self, pipe: PipeId, from: usize) {
        let p = &mut self.net.pipes[pipe];
        p.scheduled[from] -= 1;
        let (sender, receiver) = (p.ends[from].host, p.ends[1 - from].clone());
        if p.broken || p.flight[from].is_empty() || receiver.host == usize::MAX || self.hosts[receiver.host].dark {
            return;
        }
        if self.net.is_cut(sender, receiver.host) {
            return; // `heal` schedules it again
        }
        if self.weather.breaks_permille > 0 && self.rng.below(1_000) < self.weather.breaks_permille {
            return self.break_pipe(pipe);
        }
        let piece = self.net.pipes[pipe].flight[from].pop_front();
        let here = receiver.link.filter(|_| self.lives(receiver.host, receiver.life));
        match (piece, here) {
            (Some(Piece::Bytes(bytes)), Some(link)) => {
                self.trace.bytes(self.now, pipe, &bytes);
                let h = &mut self.hosts[receiver.host];
                let now = h.now(self.now).mono;
                h.addresses[receiver.address].messenger.handle_bytes(now, link, &bytes);
                self.settle(receiver.host);
            }
            (Some(Piece::Bytes(_)), None) if self.net.pipes[pipe].ends[1 - from].life > 0 => {
                self.break_end(pipe, from);
            }
            (Some(Piece::End), Some(_)) => {
                self.net.pipes[pipe].broken = true;
                self.broken(pipe, 1 - from);
            }
            _ => {}
        }
    }

    /// The connection is dead, and both ends will notice.
    fn break_pipe(&mut self, pipe: PipeId) {
        for end in 0..2 {
            self.break_end(pipe, end);
        }
    }

    fn break_end(&mut self, pipe: PipeId, end: usize) {
        let p = &mut self.net.pipes[pipe];
        p.broken = true;
        p.flight = Default::default();
        let delay = self.delay();
        self.schedule(delay, Event::Broken { pipe, end });
    }

    fn broken(&mut self, pipe: PipeId, end: usize) {
        let e = &mut self.net.pipes[pipe].ends[end];
        let (host, life, address) = (e.host, e.life, e.address);
        let Some(link) = e.link.take().filter(|_| host != usize::MAX && self.lives(host, life)) else { return };
        let h = &mut self.hosts[host];
        let now = h.now(self.now).mono;
        let a = &mut h.addresses[address];
        a.links.remove(&link);
        a.messenger.link_lost(now, link, LinkError::Closed);
        self.settle(host);
    }
}
