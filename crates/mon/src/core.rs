//! The node itself: its parts, and its inputs. What it agrees upon with others is in `replication.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use messages::{Body, Message};
use mgr::{Digest, Mgr};
use node::{ConnId, Dest, Endpoint, Input, Level, Logging, Node, Now, Output, Token};
use os::{Coll, ObjectRead, Transaction, TxOp};
use quorum::{Index, MemberId, Raft, Restored};
use types::EntityAddr;
use types::options::{Config, Source};

use crate::Setup;
use crate::auth::{self, GlobalIds};
use crate::change::Space;
use crate::forward::{Forwards, Job, Routed};
use crate::health::HealthWatch;
use crate::members;
use crate::osd_service::OsdService;
use crate::peers::Links;
use crate::pending::{Pending, Waiter};
use crate::replication::{RAFT_TICK, raft};
use crate::session::Sessions;
use crate::state::{State, meta};

/// What a handler sees of the world.
pub struct Cx<'a> {
    pub now: Now,
    pub store: &'a dyn ObjectRead,
    pub out: &'a mut Vec<Output>,
    /// Answers for sessions of other monitors, and to jobs.
    pub routed: Vec<Routed>,
}

impl Cx<'_> {
    pub fn send(&mut self, conn: ConnId, msg: impl Into<Message>) {
        match Forwards::is_proxy(conn) {
            true => self.routed.push(Routed::Session(conn, msg.into())),
            false => self.out.push(Output::Send { to: Dest::Conn(conn), msg: msg.into(), after: None }),
        }
    }

    pub fn log(&mut self, level: Level, text: impl Into<String>) {
        self.out.push(Output::Log { level, text: text.into() });
    }
}

/// An input that has to wait: for leadership, or for the proposal under way.
#[derive(Debug)]
pub enum Held {
    Job(Box<Job>),
    Mgr(mgr::ToMonitor),
}

/// A client that waits to be let in: for a quorum, or for an id.
#[derive(Debug)]
pub struct AtTheDoor {
    pub conn: ConnId,
    pub since: Duration,
    pub method: u32,
    pub payload: bytes::Bytes,
}

/// The proposal under way.
#[derive(Debug)]
pub struct Flight {
    pub index: Index,
    pub waiters: Vec<Waiter>,
}

/// How often failures, time-outs and health are looked at (Ceph: `mon_tick_interval` is 5 s; a second
/// makes failures show sooner and costs nothing).
const TICK: Duration = Duration::from_secs(1);
/// A client's id that we do not know may be of a grant that reaches us later, but not later than this.
const ID_PATIENCE: Duration = Duration::from_secs(2);
/// Whoever has waited for so long at a monitor without a quorum wants this very one (`ceph ping`, `ceph tell`): those
/// who look for any have found another by then.
const VISIT_AFTER: Duration = Duration::from_secs(1);
/// Time enough for one question.
const VISIT: Duration = Duration::from_secs(3);
/// A monitor that is out of the quorum for so long sends its clients to another one (Ceph: twice
/// `mon_lease`).
const OUT_TOO_LONG: Duration = Duration::from_secs(5);

/// The monitor, with its manager inside.
#[derive(Debug)]
pub struct Mon {
    pub(crate) setup: Setup,
    /// The options in force for this monitor.
    pub(crate) config: Config,
    pub(crate) logging: Logging,
    pub(crate) state: State,
    pub(crate) pending: Pending,
    pub(crate) sessions: Sessions,
    pub(crate) osd: OsdService,
    /// The manager that lives in this process, at an address of its own.
    pub(crate) mgr: Mgr,
    pub(crate) secrets: crate::secrets::Secrets,
    /// When it was stopped, if it was.
    pub(crate) mgr_stopped: Option<Duration>,
    /// Its sums.
    pub(crate) digest: Digest,
    pub(crate) health: HealthWatch,
    pub(crate) ids: GlobalIds,
    pub(crate) log: Raft,
    /// When this monitor began to lead.
    pub(crate) leading_since: Option<Now>,
    /// Since when the quorum is what it is.
    pub(crate) quorum_since: Option<Now>,
    pub(crate) flight: Option<Flight>,
    pub(crate) held: VecDeque<Held>,
    at_the_door: VecDeque<AtTheDoor>,
    /// Let in without a quorum, and when.
    visitors: BTreeMap<ConnId, Duration>,
    pub(crate) forwards: Forwards,
    pub(crate) links: Links,
    /// At the leader: stores that get the log and do not vote yet, and where they are.
    pub(crate) learners: BTreeMap<MemberId, (String, EntityAddr)>,
    pub(crate) watch: members::Watch,
    pub(crate) clocks: crate::clocks::Clocks,
    pub(crate) connected: crate::connected::Connected,
    /// Log writes under way.
    pub(crate) writes: VecDeque<(Token, u64)>,
    pub(crate) next_token: u64,
    next_tick: Option<Duration>,
    /// How far the log's clock has come.
    pub(crate) raft_ticked: Duration,
    /// Since when no leader is known.
    out_since: Option<Duration>,
    pub(crate) dead: bool,
    /// It was told to take no part in the quorum (`quorum exit`): it hears and says nothing of the log.
    pub(crate) apart: bool,
}

impl Mon {
    pub fn new(mut setup: Setup) -> Self {
        if setup.mons.is_empty() {
            setup.mons = vec![(setup.name.clone(), setup.listening.public)];
            setup.founds = true;
        }
        let mut config = Config::daemon();
        for (name, value) in &setup.options {
            // What the configuration file gets wrong is reported where the file is read.
            let _ = config.set(name, value, Source::File);
        }
        let secrets = crate::secrets::Secrets::new(setup.entropy);
        let mgr = Mgr::new(&setup.name, &config);
        Self {
            logging: Logging::default(),
            config,
            mgr,
            secrets,
            mgr_stopped: None,
            state: State::default(),
            pending: Pending::default(),
            sessions: Sessions::default(),
            osd: OsdService::default(),
            digest: Digest::default(),
            health: HealthWatch::default(),
            ids: GlobalIds::default(),
            log: raft(0, 0, Restored::default(), 0),
            leading_since: None,
            quorum_since: None,
            flight: None,
            held: VecDeque::new(),
            at_the_door: VecDeque::new(),
            visitors: BTreeMap::new(),
            forwards: Forwards::new(u64::from_le_bytes(*setup.entropy.first_chunk().expect("of 32"))),
            links: Links::default(),
            learners: BTreeMap::new(),
            watch: members::Watch::default(),
            clocks: crate::clocks::Clocks::default(),
            connected: crate::connected::Connected::default(),
            writes: VecDeque::new(),
            next_token: 1,
            next_tick: None,
            raft_ticked: Duration::ZERO,
            out_since: None,
            dead: false,
            apart: false,
            setup,
        }
    }

    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Whether it leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.log.is_leading()
    }

    /// Its part of the replicated log, to look at.
    pub fn raft(&self) -> &Raft {
        &self.log
    }

    /// The newest OSD map that is committed here.
    pub fn osdmap(&self) -> &osdmap::OsdMap {
        &self.state.osdmap
    }

    // --- start

    fn start(&mut self, cx: &mut Cx) {
        if !cx.store.collection_exists(Coll::Meta) {
            let mut txn = Transaction::new();
            txn.push(TxOp::MkColl { coll: Coll::Meta, bits: 0 });
            self.submit(cx, txn);
        }
        let loaded = State::load(cx.store).map_err(|e| chain(&e));
        let loaded = loaded.and_then(|state| Ok((state, quorum::disk::load(cx.store).map_err(|e| chain(&e))?)));
        let (state, mut restored) = match loaded {
            Ok(loaded) => loaded,
            Err(why) => return self.die(cx, &why),
        };
        if let Some(fsid) = state.text(Space::Meta, meta::FSID)
            && fsid != self.setup.fsid.to_string()
        {
            let why = format!("this store belongs to cluster {fsid}, not to {}", self.setup.fsid);
            return self.die(cx, &why);
        }
        let me = self.identify(cx, &state, &mut restored);
        let applied = state.applied;
        self.state = state;
        self.raft_ticked = cx.now.mono;
        self.osd.blind_before = self.state.osdmap.epoch;
        self.log = raft(me, 0, restored.clone(), applied);
        let rank = self.rank().unwrap_or(0);
        self.log = raft(me, rank as u32, restored, applied);
        self.ids.set_max(self.state.value(Space::Meta, meta::GLOBAL_ID_MAX).unwrap_or(0));
        self.reload_config();
        self.on_members(cx);
        if self.log.members().len() == 1 {
            self.log.campaign();
        }
        self.drive(cx);
        self.next_tick = Some(cx.now.mono + TICK);
    }

    /// Ends for a reason that is no fault of this monitor's.
    pub(crate) fn exit(&mut self, cx: &mut Cx, why: &str) {
        cx.log(Level::Warn, why);
        cx.out.push(Output::Exit { code: 1 });
        self.dead = true;
    }

    pub(crate) fn die(&mut self, cx: &mut Cx, why: &str) {
        cx.log(Level::Error, why);
        cx.out.push(Output::Exit { code: 1 });
        self.dead = true;
    }

    pub(crate) fn retry(&mut self, cx: &mut Cx, held: Held) {
        match held {
            Held::Job(job) => self.run_job(cx, *job),
            Held::Mgr(request) => self.mgr_request(cx, request),
        }
    }

    // --- inputs

    /// Whether this monitor is one of those who agree: it leads, or hears who does.
    pub(crate) fn in_quorum(&self) -> bool {
        let follows = self.log.leader().is_some() && self.log.members().contains(self.log.me());
        self.log.is_leading() || follows && self.log.leader() != Some(self.log.me())
    }

    fn on_auth(&mut self, cx: &mut Cx, conn: ConnId, method: u32, payload: bytes::Bytes) {
        if let Some(reply) = auth::answer_mon(method, &payload) {
            return cx.out.push(Output::AuthReply { conn, reply });
        }
        self.at_the_door.push_back(AtTheDoor { conn, since: cx.now.mono, method, payload });
    }

    /// Lets clients in while this monitor can serve them. Those who cannot wait go to another.
    pub(crate) fn let_in(&mut self, cx: &mut Cx) {
        if !self.in_quorum() || self.state.is_new() {
            return self.let_visitors_in(cx);
        }
        for at in std::mem::take(&mut self.at_the_door) {
            // Another monitor gave it an id, of which this one is yet to hear: another id would make
            // another client of it, whose repeated requests nobody knows.
            let early = auth::claimed_id(&at.payload) >= self.ids.max();
            let patient = cx.now.mono.saturating_sub(at.since) < ID_PATIENCE;
            if early && patient {
                self.at_the_door.push_back(at);
                continue;
            }
            match auth::answer(&mut self.ids, at.method, &at.payload) {
                Some(reply) => cx.out.push(Output::AuthReply { conn: at.conn, reply }),
                None => self.at_the_door.push_back(at),
            }
        }
    }

    /// Who is let in without a quorum is answered what this monitor alone can answer, and sent away soon: it gets no
    /// id, as it could keep it (Ceph: `Monitor::dispatch_op`, before it asks for a quorum).
    fn let_visitors_in(&mut self, cx: &mut Cx) {
        let waited = |at: &AtTheDoor| cx.now.mono.saturating_sub(at.since) >= VISIT_AFTER;
        while let Some(at) = self.at_the_door.pop_front_if(|at| waited(at)) {
            let reply = auth::answer_visitor(at.method, &at.payload);
            cx.out.push(Output::AuthReply { conn: at.conn, reply });
            self.visitors.insert(at.conn, cx.now.mono);
        }
    }

    fn send_visitors_away(&mut self, cx: &mut Cx) {
        let late: Vec<ConnId> =
            self.visitors.extract_if(.., |_, since| cx.now.mono - *since >= VISIT).map(|v| v.0).collect();
        for conn in late {
            cx.out.push(Output::Close { conn });
            self.sessions.close(conn);
            self.forwards.forget(conn);
        }
    }

    /// Asks for more ids in time.
    pub(crate) fn want_ids(&mut self, cx: &mut Cx) {
        use crate::peers::Ask;
        if self.in_quorum() && self.ids.wants_more() && !self.forwards.is_waiting_for(&Ask::Ids) {
            self.request_own(cx, Ask::Ids);
        }
    }

    fn on_message(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) {
        if let Body::MMonPeer(m) = msg.body {
            return self.peer_message(cx, conn, m);
        }
        if self.sessions.get(conn).is_none() {
            return;
        }
        let asks_this_one = matches!(msg.body, Body::MPing(_) | Body::MCommand(_));
        if self.visitors.contains_key(&conn) && !asks_this_one {
            return;
        }
        if self.is_local(&msg) {
            return self.dispatch(cx, conn, msg);
        }
        self.request(cx, conn, msg);
    }

    /// Keeps a message for after the next commit.
    pub(crate) fn hold_message(&mut self, msg: Message) {
        self.forwards.put_off = Some(msg);
    }

    pub(crate) fn hold_mgr_request(&mut self, request: mgr::ToMonitor) {
        self.held.push_back(Held::Mgr(request));
    }

    fn on_admin(&mut self, cx: &mut Cx, id: u64, command: String) {
        if !self.is_local_command(std::slice::from_ref(&command)) {
            return self.request_admin(cx, id, command);
        }
        let (_, run) = self.admin_command(&command);
        let body = run(self, cx);
        cx.out.push(Output::AdminReply { id, body });
    }

    fn on_reset(&mut self, cx: &mut Cx, conn: ConnId) {
        self.sessions.close(conn);
        self.osd.look_soon();
        self.forwards.forget(conn);
        self.at_the_door.retain(|a| a.conn != conn);
        self.visitors.remove(&conn);
        self.mgr.reset(cx.now, conn);
        self.links.reset(conn);
    }

    /// A monitor that agrees with nobody sends its clients away: others may serve them.
    fn mind_quorum(&mut self, cx: &mut Cx) {
        if self.in_quorum() {
            self.out_since = None;
            return;
        }
        let since = *self.out_since.get_or_insert(cx.now.mono);
        if cx.now.mono.saturating_sub(since) < OUT_TOO_LONG {
            return;
        }
        // What stands for others' clients is theirs: a leader that has just been elected is not in the quorum yet.
        let own = |conn: &ConnId| !self.visitors.contains_key(conn) && !Forwards::is_proxy(*conn);
        for conn in self.sessions.conns().into_iter().filter(own).collect::<Vec<_>>() {
            cx.out.push(Output::Close { conn });
            self.sessions.close(conn);
            self.forwards.forget(conn);
        }
    }

    /// Answers now, or once what is pending is committed if the request may have changed state.
    pub(crate) fn reply(&mut self, cx: &mut Cx, wrote: bool, waiter: Waiter) {
        if wrote && !self.pending.is_empty() {
            self.pending.waiters.push(waiter);
        } else {
            answer(cx, waiter);
        }
    }

    pub(crate) fn reply_message(&mut self, cx: &mut Cx, wrote: bool, conn: ConnId, tid: u64, body: impl Into<Body>) {
        let msg = Message::new(body).with_tid(tid);
        self.reply(cx, wrote, Waiter::Message { conn, msg });
    }

    fn tick(&mut self, cx: &mut Cx) {
        if self.next_tick.is_some_and(|at| at <= cx.now.mono) {
            self.next_tick = Some(cx.now.mono + TICK);
            self.mgr_tick(cx);
            self.mind_quorum(cx);
            self.send_visitors_away(cx);
            self.ask_again(cx);
            self.ask_to_join(cx);
            self.tell_connected(cx);
            if self.is_writeable() {
                self.mind_clocks(cx);
                self.adjust_pools();
                self.watch_mgr(cx);
                self.watch_health(cx);
            }
        }
    }
}

pub fn answer(cx: &mut Cx, waiter: Waiter) {
    match waiter {
        Waiter::Message { conn, msg } => cx.send(conn, msg),
        Waiter::Job(id, answer) => cx.routed.push(Routed::Job(id, answer)),
    }
}

/// An error with what caused it, in one line.
pub fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(e) = source {
        text = format!("{text}: {e}");
        source = e.source();
    }
    text
}

impl Node for Mon {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        let mut cx = Cx { now, store, out, routed: Vec::new() };
        let cx = &mut cx;
        if !matches!(input, Input::Start) {
            self.advance_log(cx);
        }
        match input {
            Input::Start => self.start(cx),
            Input::Committed(token) => self.committed(cx, token),
            Input::Connected { conn, via: Endpoint::Mgr, peer, .. } => self.mgr.connected(conn, peer, cx.out),
            Input::Connected { conn, peer, incoming, .. } if peer.name.is_mon() => {
                self.links.connected(cx, conn, &peer, incoming);
            }
            Input::Connected { conn, peer, .. } => self.sessions.open(conn, peer),
            Input::Reset { conn } => self.on_reset(cx, conn),
            Input::Refused { addrs, .. } => self.links.refused(cx.now.mono, &addrs),
            Input::Message { conn, via: Endpoint::Mgr, msg } => self.mgr_message(cx, conn, msg),
            Input::Message { conn, via: Endpoint::Public, msg } => self.on_message(cx, conn, msg),
            Input::Auth { conn, method, payload, .. } => self.on_auth(cx, conn, method, payload),
            Input::Admin { id, command } => self.on_admin(cx, id, command),
            Input::Wake => self.tick(cx),
            Input::Shutdown => cx.out.push(Output::Exit { code: 0 }),
            Input::StoreFailed { why } => self.die(cx, &format!("the monitor's store failed: {why}")),
            Input::Message { .. }
            | Input::RemoteReset { .. }
            | Input::ReadDone { .. }
            | Input::Continue
            | Input::Load(_) => {}
        }
        self.maintain(cx);
        // An answer of our own may let something more be done.
        while !cx.routed.is_empty() {
            self.flush_routed(cx);
            self.maintain(cx);
        }
    }

    fn logging(&self) -> Logging {
        self.logging
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let log = self.needs_ticks().then_some(self.raft_ticked + RAFT_TICK);
        [self.next_tick, log].into_iter().flatten().min()
    }
}
