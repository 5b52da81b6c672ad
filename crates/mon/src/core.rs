//! The node itself: from input to proposal to answer.

use std::collections::VecDeque;
use std::time::Duration;

use denc::to_bytes;
use messages::{Body, Message};
use mgr::{Digest, Mgr};
use node::{ConnId, Dest, Endpoint, Input, Level, Node, Now, Output, Token};
use os::{Coll, ObjectRead, Transaction, TxOp};
use quorum::{Index, MemberId, Raft, Restored, Setup as RaftSetup, Timing};
use types::options::{Config, Source};

use crate::Setup;
use crate::auth::{self, GlobalIds};
use crate::change::{Change, Proposal, Space};
use crate::health::HealthWatch;
use crate::osd_service::OsdService;
use crate::pending::{Pending, Waiter};
use crate::session::Sessions;
use crate::state::{Effects, State, meta};

/// What a handler sees of the world.
pub struct Cx<'a> {
    pub now: Now,
    pub store: &'a dyn ObjectRead,
    pub out: &'a mut Vec<Output>,
}

impl Cx<'_> {
    pub fn send(&mut self, conn: ConnId, msg: impl Into<Message>) {
        self.out.push(Output::Send { to: Dest::Conn(conn), msg: msg.into(), after: None });
    }

    pub fn log(&mut self, level: Level, text: impl Into<String>) {
        self.out.push(Output::Log { level, text: text.into() });
    }
}

/// An input that has to wait: for leadership, or for the proposal under way.
#[derive(Debug)]
enum Held {
    Message { conn: ConnId, msg: Message },
    Auth { conn: ConnId, method: u32, payload: bytes::Bytes },
    Admin { id: u64, command: String },
    Mgr(mgr::ToMonitor),
}

/// The proposal under way.
#[derive(Debug)]
struct Flight {
    index: Index,
    waiters: Vec<Waiter>,
}

/// How often failures, time-outs and health are looked at (Ceph: `mon_tick_interval` is 5 s; a second
/// makes failures show sooner and costs nothing).
const TICK: Duration = Duration::from_secs(1);
/// The log is cut off this far behind what is applied.
const KEEP_ENTRIES: Index = 200;
const COMPACT_STEP: Index = 100;
/// Its number in the log.
const ALONE: MemberId = 0;

/// The monitor, with its manager inside.
#[derive(Debug)]
pub struct Mon {
    pub(crate) setup: Setup,
    /// The options in force for this monitor.
    pub(crate) config: Config,
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
    flight: Option<Flight>,
    held: VecDeque<Held>,
    /// Log writes under way.
    writes: VecDeque<(Token, u64)>,
    next_token: u64,
    next_tick: Option<Duration>,
    dead: bool,
}

impl Mon {
    pub fn new(setup: Setup) -> Self {
        let mut config = Config::daemon();
        for (name, value) in &setup.options {
            // What the configuration file gets wrong is reported where the file is read.
            let _ = config.set(name, value, Source::File);
        }
        let secrets = crate::secrets::Secrets::new(setup.entropy);
        let mgr = Mgr::new(config.u64("mgr_stats_period") as u32);
        Self {
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
            log: alone(Restored::default(), 0),
            leading_since: None,
            flight: None,
            held: VecDeque::new(),
            writes: VecDeque::new(),
            next_token: 1,
            next_tick: None,
            dead: false,
            setup,
        }
    }

    pub fn name(&self) -> &str {
        &self.setup.name
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
        let (state, restored) = match loaded {
            Ok(loaded) => loaded,
            Err(why) => return self.die(cx, &why),
        };
        if let Some(fsid) = state.text(Space::Meta, meta::FSID)
            && fsid != self.setup.fsid.to_string()
        {
            let why = format!("this store belongs to cluster {fsid}, not to {}", self.setup.fsid);
            return self.die(cx, &why);
        }
        self.log = alone(restored, state.applied);
        self.state = state;
        self.reload_config();
        self.log.campaign();
        self.drive(cx);
        self.next_tick = Some(cx.now.mono + TICK);
    }

    fn die(&mut self, cx: &mut Cx, why: &str) {
        cx.log(Level::Error, why);
        cx.out.push(Output::Exit { code: 1 });
        self.dead = true;
    }

    /// Everything earlier is applied, and proposals are taken.
    fn on_leading(&mut self, cx: &mut Cx) {
        self.leading_since = Some(cx.now);
        self.ids.start(self.state.value(Space::Meta, meta::GLOBAL_ID_MAX).unwrap_or(0));
        if self.state.is_new() {
            self.mkfs(cx);
        }
        self.announce(cx);
        self.mgr_new_map(cx);
        self.osd.on_leading(cx.now, &self.state);
    }

    // --- the log

    fn submit(&mut self, cx: &mut Cx, txn: Transaction) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        cx.out.push(Output::Submit { token, txn });
        token
    }

    /// Does what the log asks for.
    fn drive(&mut self, cx: &mut Cx) {
        while let Some(output) = self.log.poll() {
            match output {
                quorum::Output::Persist(p) => {
                    let token = self.submit(cx, quorum::disk::transaction(&p));
                    self.writes.push_back((token, p.seq));
                }
                quorum::Output::Committed(entry) => self.apply(cx, &entry),
                quorum::Output::Leading { .. } => self.on_leading(cx),
                // There is nobody else.
                quorum::Output::Send { .. }
                | quorum::Output::Following { .. }
                | quorum::Output::SnapshotWanted { .. } => {}
            }
        }
    }

    fn committed(&mut self, cx: &mut Cx, token: Token) {
        while let Some(&(first, seq)) = self.writes.front() {
            if first > token {
                break;
            }
            self.writes.pop_front();
            self.log.persisted(seq);
        }
        self.drive(cx);
    }

    fn apply(&mut self, cx: &mut Cx, entry: &quorum::Entry) {
        let before = self.state.osdmap.clone();
        let mut txn = Transaction::new();
        let effects = self.state.apply(entry, &mut txn);
        self.submit(cx, txn);
        if entry.index.is_multiple_of(COMPACT_STEP) {
            self.log.compact(entry.index.saturating_sub(KEEP_ENTRIES));
        }
        if effects.spaces.contains(&Space::Config) {
            self.reload_config();
        }
        self.ids.grant(self.state.value(Space::Meta, meta::GLOBAL_ID_MAX).unwrap_or(0));
        if effects.osdmap {
            self.osd.on_new_map(cx.now, &before, &self.state.osdmap);
            let creating: Vec<_> = self.creating().map(|(pgid, _)| pgid).collect();
            self.mgr_new_map(cx);
            self.osd.note_primaries(&before, &self.state.osdmap, creating.into_iter());
        }
        let moved = before.crush_version != self.state.osdmap.crush_version;
        self.tell(cx, &effects, moved);
        if self.flight.as_ref().is_some_and(|f| f.index == entry.index) {
            let flight = self.flight.take().expect("it was there");
            flight.waiters.into_iter().for_each(|w| answer(cx, w));
        }
    }

    /// Tells subscribers. `moved`: the CRUSH map changed, and with it where settings may apply.
    fn tell(&mut self, cx: &mut Cx, effects: &Effects, moved: bool) {
        if effects.osdmap {
            self.tell_osdmap(cx);
        }
        // PGs that have been made are nobody's business; those to be made (again) are.
        let to_make =
            |(space, key): &(Space, String)| *space == Space::Creating && self.state.get(*space, key).is_some();
        if effects.osdmap || effects.keys.iter().any(to_make) {
            self.tell_creates(cx);
        }
        if moved || effects.spaces.contains(&Space::Config) {
            self.tell_config(cx);
        }
        if effects.spaces.contains(&Space::ClusterLog) {
            self.tell_log(cx);
        }
        if effects.spaces.contains(&Space::Meta) {
            self.tell_meta(cx);
        }
    }

    fn can_propose(&self) -> bool {
        self.log.is_leading() && self.flight.is_none()
    }

    /// Whether a request that changes state can be handled now. Not before the first maps are committed:
    /// there is nothing yet that could be changed.
    pub(crate) fn is_writeable(&self) -> bool {
        self.can_propose() && !self.state.is_new()
    }

    /// Handles what was held, looks after the services, and proposes what has gathered.
    fn maintain(&mut self, cx: &mut Cx) {
        if self.dead {
            return;
        }
        // Each round handles what the last commit let go; one that proposes ends it.
        while self.can_propose() {
            if self.is_writeable() {
                for held in std::mem::take(&mut self.held) {
                    self.retry(cx, held);
                }
                self.service(cx);
            }
            if self.pending.is_empty() {
                std::mem::take(&mut self.pending.waiters).into_iter().for_each(|w| answer(cx, w));
                self.pending = Pending::default();
                break;
            }
            self.propose(cx);
        }
    }

    /// What the monitor itself finds to do while it leads.
    fn service(&mut self, cx: &mut Cx) {
        if let Some(max) = self.ids.wanted()
            && self.pending.get(Space::Meta, meta::GLOBAL_ID_MAX).is_none()
        {
            self.pending.put_value(Space::Meta, meta::GLOBAL_ID_MAX, &max);
        }
        self.osd_service(cx);
    }

    fn propose(&mut self, cx: &mut Cx) {
        let pending = std::mem::take(&mut self.pending);
        let mut changes = pending.changes;
        if let Some(map) = pending.map
            && !map.is_empty()
        {
            let (inc, creating) = map.finish(cx.now.wall, &self.state);
            changes.push(Change::OsdMapInc(inc));
            changes.extend(creating);
        }
        self.log_changes(cx.now, pending.log, &mut changes);
        let proposal = Proposal { stamp: cx.now.wall, changes };
        let index = self.log.propose(to_bytes(&proposal, types::features::ALL)).expect("only a leader proposes");
        self.flight = Some(Flight { index, waiters: pending.waiters });
        self.drive(cx);
    }

    fn retry(&mut self, cx: &mut Cx, held: Held) {
        match held {
            Held::Message { conn, msg } => self.on_message(cx, conn, msg),
            Held::Auth { conn, method, payload } => self.on_auth(cx, conn, method, payload),
            Held::Admin { id, command } => self.on_admin(cx, id, command),
            Held::Mgr(request) => self.mgr_request(cx, request),
        }
    }

    // --- inputs

    fn on_auth(&mut self, cx: &mut Cx, conn: ConnId, method: u32, payload: bytes::Bytes) {
        if self.leading_since.is_none() {
            return self.held.push_back(Held::Auth { conn, method, payload });
        }
        match auth::answer(&mut self.ids, method, &payload) {
            Some(reply) => cx.out.push(Output::AuthReply { conn, reply }),
            None => self.held.push_back(Held::Auth { conn, method, payload }),
        }
    }

    pub(crate) fn on_message(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) {
        if self.sessions.get(conn).is_none() {
            return;
        }
        if !self.is_writeable() && self.changes_state(&msg) {
            return self.held.push_back(Held::Message { conn, msg });
        }
        self.dispatch(cx, conn, msg);
    }

    /// Keeps a message for after the next commit.
    pub(crate) fn hold_message(&mut self, conn: ConnId, msg: Message) {
        self.held.push_back(Held::Message { conn, msg });
    }

    pub(crate) fn hold_mgr_request(&mut self, request: mgr::ToMonitor) {
        self.held.push_back(Held::Mgr(request));
    }

    pub(crate) fn on_admin(&mut self, cx: &mut Cx, id: u64, command: String) {
        let (writes, run) = self.admin_command(&command);
        if writes && !self.is_writeable() {
            return self.held.push_back(Held::Admin { id, command });
        }
        let body = run(self, cx);
        self.reply(cx, writes, Waiter::Admin { id, body });
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
            if self.is_writeable() {
                self.adjust_pools();
                self.watch_mgr(cx);
                self.watch_health(cx);
            }
        }
    }
}

/// The only monitor there is. A store that its first format wrote does not say who votes.
fn alone(mut restored: Restored, applied: Index) -> Raft {
    if restored.hard.snapshot.members.is_empty() {
        restored.hard.snapshot.members = [ALONE].into_iter().collect();
    }
    let timing = Timing { heartbeat: 3, election: 10, spread: 10 };
    Raft::new(RaftSetup { me: ALONE, timing, reticence: 0, seed: 0 }, restored, applied)
}

fn answer(cx: &mut Cx, waiter: Waiter) {
    match waiter {
        Waiter::Message { conn, msg } => cx.send(conn, msg),
        Waiter::Admin { id, body } => cx.out.push(Output::AdminReply { id, body }),
    }
}

/// An error with what caused it, in one line.
fn chain(e: &dyn std::error::Error) -> String {
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
        let mut cx = Cx { now, store, out };
        let cx = &mut cx;
        match input {
            Input::Start => self.start(cx),
            Input::Committed(token) => self.committed(cx, token),
            Input::Connected { conn, via: Endpoint::Mgr, peer, .. } => self.mgr.connected(conn, peer, cx.out),
            Input::Connected { conn, peer, .. } => self.sessions.open(conn, peer),
            Input::Reset { conn } => {
                self.sessions.close(conn);
                self.mgr.reset(cx.now, conn);
            }
            Input::Message { conn, via: Endpoint::Mgr, msg } => self.mgr_message(cx, conn, msg),
            Input::Message { conn, via: Endpoint::Public, msg } => self.on_message(cx, conn, msg),
            Input::Auth { conn, method, payload, .. } => self.on_auth(cx, conn, method, payload),
            Input::Admin { id, command } => self.on_admin(cx, id, command),
            Input::Wake => self.tick(cx),
            Input::Shutdown => cx.out.push(Output::Exit { code: 0 }),
            Input::StoreFailed { why } => self.die(cx, &format!("the monitor's store failed: {why}")),
            Input::Message { .. }
            | Input::RemoteReset { .. }
            | Input::Refused { .. }
            | Input::ReadDone { .. }
            | Input::Continue => {}
        }
        self.maintain(cx);
    }

    fn next_wakeup(&self) -> Option<Duration> {
        self.next_tick
    }
}
