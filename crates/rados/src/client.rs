//! The client as a node: requests in, replies out.
//!
//! Invariants:
//! - Each request gets one reply, unless it is cancelled.
//! - The map only moves forward, epoch by epoch; a gap in what arrived is bridged by a full map, and then
//!   every operation is sent again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messages::{Body, MGetPoolStats, MLog, MOSDMap, MPoolOp, MPoolOpReply, MStatfs, Message};
use monclient::{Event as MonEvent, MonAddr, MonClient, mons_of};
use node::{ConnId, Dest, Endpoint, Input, Level, Node, Now, Output, Peer, Timers};
use os::ObjectRead;
use osdmap::{Incremental, OsdMap};
use types::{EntityName, Epoch, HObject, MgrMap, MonMap, PgNlsResponse, Uuid, errno};

use crate::linger::{Lingers, Sender};
use crate::objecter::{Objecter, OpId};
use crate::op::{ObjectOp, OpReply};
use crate::request::{CommandReply, Event, Page, Reply, Request, RequestId};
use crate::tell::{Kind, Maps, Tells};

/// What a client is told when it is made.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub mons: Vec<MonAddr>,
    pub hostname: String,
    /// Chooses the first monitor to ask.
    pub seed: u64,
    /// Operations on objects that take longer fail with `ETIMEDOUT` (`rados_osd_op_timeout`).
    pub op_timeout: Option<Duration>,
    /// All other requests (`rados_mon_op_timeout`).
    pub mon_timeout: Option<Duration>,
}

/// What a request waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Waits {
    Op(OpId),
    /// A page of a listing, of a PG at or after `from`.
    Page(OpId),
    /// A map of at least this epoch; then the pool of this name, if one was asked for.
    Map {
        epoch: Epoch,
        pool: Option<String>,
    },
    /// The monitors' newest epoch, under this number.
    Version {
        handle: u64,
        pool: Option<String>,
    },
    MonCommand(u64),
    Tell,
    /// A watch or a notify.
    Linger,
    /// A message that is sent again in each session, with this tid.
    Mon(u64),
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Client {
    mon: MonClient,
    objecter: Objecter,
    tells: Tells,
    lingers: Lingers,
    /// The version of the cluster's log up to which it was seen, while it is watched.
    log_seen: Option<(String, u64)>,
    mon_map: Option<MonMap>,
    mgr_map: Option<MgrMap>,
    fsid: Uuid,
    global_id: u64,
    queue: VecDeque<(RequestId, Request)>,
    next_request: RequestId,
    waiting: BTreeMap<RequestId, Waits>,
    mon_messages: BTreeMap<u64, Message>,
    /// The number under which the newest epoch is being asked for by the objecter.
    latest_handle: Option<u64>,
    deadlines: Timers<RequestId>,
    mon_timeout: Option<Duration>,
    replies: BTreeMap<RequestId, Reply>,
    order: VecDeque<RequestId>,
}

impl Client {
    pub fn new(setup: Setup) -> Self {
        let mut mon = MonClient::new(setup.mons, setup.hostname, setup.seed);
        for what in ["monmap", "osdmap", "mgrmap", "config"] {
            mon.subscribe(what, 0, false);
        }
        Self {
            mon,
            objecter: Objecter::new(Endpoint::Public, setup.op_timeout),
            tells: Tells::default(),
            lingers: Lingers::default(),
            log_seen: None,
            mon_map: None,
            mgr_map: None,
            fsid: Uuid::default(),
            global_id: 0,
            queue: VecDeque::new(),
            next_request: 1,
            waiting: BTreeMap::new(),
            mon_messages: BTreeMap::new(),
            latest_handle: None,
            deadlines: Timers::default(),
            mon_timeout: setup.mon_timeout,
            replies: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Takes a request; it begins with the next input (the node is runnable until then).
    pub fn submit(&mut self, request: Request) -> RequestId {
        let id = self.next_request;
        self.next_request += 1;
        self.queue.push_back((id, request));
        id
    }

    /// The reply to one request, if it is there.
    pub fn take_reply(&mut self, id: RequestId) -> Option<Reply> {
        let reply = self.replies.remove(&id)?;
        self.order.retain(|other| *other != id);
        Some(reply)
    }

    /// The oldest reply of all.
    pub fn next_reply(&mut self) -> Option<(RequestId, Reply)> {
        let id = self.order.pop_front()?;
        Some((id, self.replies.remove(&id)?))
    }

    /// Gives a request up. What it asked for may yet happen.
    pub fn cancel(&mut self, id: RequestId) {
        self.queue.retain(|(queued, _)| *queued != id);
        self.deadlines.cancel(&id);
        match self.waiting.remove(&id) {
            Some(Waits::Op(op) | Waits::Page(op)) => self.objecter.cancel(op),
            Some(Waits::Tell) => self.tells.cancel(id),
            Some(Waits::Linger) => self.lingers.cancel(id),
            Some(Waits::Mon(tid)) => {
                self.mon_messages.remove(&tid);
            }
            _ => {}
        }
    }

    /// The oldest of what came unasked.
    pub fn take_event(&mut self) -> Option<Event> {
        self.lingers.events.pop_front()
    }

    /// 0 until a monitor has given one.
    pub fn global_id(&self) -> u64 {
        self.global_id
    }

    pub fn fsid(&self) -> Uuid {
        self.fsid
    }

    /// Whether a session with a monitor is open.
    pub fn is_connected(&self) -> bool {
        self.mon.conn().is_some()
    }

    pub fn map(&self) -> &Arc<OsdMap> {
        self.objecter.map()
    }

    pub fn mgr_map(&self) -> Option<&MgrMap> {
        self.mgr_map.as_ref()
    }

    pub fn mon_map(&self) -> Option<&MonMap> {
        self.mon_map.as_ref()
    }

    /// Each operation without an answer, and why it waits.
    pub fn describe(&self) -> Vec<String> {
        self.objecter.describe()
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.waiting.remove(&id);
        self.deadlines.cancel(&id);
        self.replies.insert(id, reply);
        self.order.push_back(id);
    }

    // --- requests

    fn begin(&mut self, now: Now, id: RequestId, request: Request, out: &mut Vec<Output>) {
        if let (Some(timeout), true) = (self.mon_timeout, request.is_for_monitors()) {
            self.deadlines.set(id, now.mono + timeout);
        }
        let waits = match request {
            Request::Op(op) => Waits::Op(self.objecter.submit(now, *op, out)),
            Request::List { pool, nspace, from, max } => {
                // An answer may be empty and say only where to go on; `max` 0 would never end.
                let op = ObjectOp::on_pg(pool, nspace, from.hash).pgnls(&from, max.max(1), self.map().epoch);
                Waits::Page(self.objecter.submit(now, op, out))
            }
            Request::Map => Waits::Map { epoch: 1, pool: None },
            Request::LatestMap => Waits::Version { handle: self.mon.get_version("osdmap", out), pool: None },
            Request::FindPool(name) => match self.map().pool_id(&name) {
                Some(pool) => return self.reply(id, Reply::Pool(pool)),
                None => Waits::Version { handle: self.mon.get_version("osdmap", out), pool: Some(name) },
            },
            Request::MonCommand { cmd, data } => Waits::MonCommand(self.mon.command(cmd, data, out)),
            Request::MgrCommand { cmd, data } => {
                self.tells.add(self.objecter.take_tid(), id, Kind::Cluster, cmd, data);
                Waits::Tell
            }
            Request::Tell { target, cmd, data } => {
                self.tells.add(self.objecter.take_tid(), id, Kind::Tell(target), cmd, data);
                Waits::Tell
            }
            Request::Statfs { pool } => {
                let fsid = self.fsid;
                self.ask_mon(MStatfs { fsid, data_pool: pool, ..MStatfs::default() }.into(), out)
            }
            Request::PoolOp { pool, op, name, snap } => {
                let fsid = self.fsid;
                let pool = pool as u32;
                let m = MPoolOp { fsid, pool, op, name, snapid: snap, crush_rule: -1, ..MPoolOp::default() };
                self.ask_mon(m.into(), out)
            }
            Request::Watch { object, timeout } => {
                let mut to = Sender { objecter: &mut self.objecter, out };
                self.lingers.watch(now, id, *object, timeout, &mut to);
                Waits::Linger
            }
            Request::Notify { object, payload, timeout } => {
                let mut to = Sender { objecter: &mut self.objecter, out };
                self.lingers.notify(now, id, *object, (payload, timeout), &mut to);
                Waits::Linger
            }
            Request::Unwatch(cookie) => match self.lingers.unwatch(cookie) {
                Some(op) => Waits::Op(self.objecter.submit(now, op, out)),
                None => return self.reply(id, Reply::Failed(errno::ENOTCONN)),
            },
            Request::NotifyAck { cookie, notify_id, reply } => match self.lingers.ack(cookie, notify_id, &reply) {
                Some(op) => Waits::Op(self.objecter.submit(now, op, out)),
                None => return self.reply(id, Reply::Failed(errno::ENOTCONN)),
            },
            Request::WatchLog(what) => {
                self.mon.subscribe(&what, 0, false);
                self.mon.renew(out);
                self.log_seen = Some((what, 0));
                return;
            }
            Request::PoolStats(pools) => {
                let fsid = self.fsid;
                self.ask_mon(MGetPoolStats { fsid, pools, ..MGetPoolStats::default() }.into(), out)
            }
        };
        self.waiting.insert(id, waits);
    }

    fn ask_mon(&mut self, msg: Message, out: &mut Vec<Output>) -> Waits {
        let tid = self.objecter.take_tid();
        let msg = msg.with_tid(tid);
        if let Some(conn) = self.mon.conn() {
            out.push(Output::Send { to: Dest::Conn(conn), msg: msg.clone(), after: None });
        }
        self.mon_messages.insert(tid, msg);
        Waits::Mon(tid)
    }

    fn who_waits(&self, wanted: impl Fn(&Waits) -> bool) -> Option<RequestId> {
        self.waiting.iter().find(|(_, w)| wanted(w)).map(|(id, _)| *id)
    }

    // --- maps

    fn osd_map(&mut self, now: Now, m: MOSDMap, out: &mut Vec<Output>) {
        let before = self.map().epoch;
        let (Some(first), Some(last)) = (m.first(), m.last()) else { return };
        for epoch in first.max(before + 1)..=last {
            let have = self.map().epoch;
            let incremental = m.incremental_maps.get(&epoch).filter(|_| epoch == have + 1 && have > 0);
            let next = match (incremental, m.maps.get(&epoch)) {
                (Some(inc), _) => self.applied(inc),
                (None, Some(full)) => denc::from_bytes(full.clone()).map_err(|e: denc::DecodeError| e.to_string()),
                (None, None) => continue,
            };
            match next {
                Ok(map) => self.objecter.advance(Arc::new(map), have > 0 && epoch != have + 1, out),
                Err(why) => {
                    let text = format!("OSD map {epoch} cannot be used: {why}");
                    out.push(Output::Log { level: Level::Warn, text });
                    break;
                }
            }
        }
        let epoch = self.map().epoch;
        if epoch == before {
            return self.ask_for_maps(last, out);
        }
        self.mon.sub_got("osdmap", epoch.into());
        if epoch < last {
            self.ask_for_maps(last, out);
        }
        self.objecter.send_unsent(out);
        self.lingers.maps_changed(now, &mut Sender { objecter: &mut self.objecter, out });
        self.tells.maps_changed(&maps(&self.objecter, self.mgr_map.as_ref(), self.mon_map.as_ref()));
        self.maps_arrived();
    }

    /// Maps up to `newest` exist and we could not get there with what we were sent.
    fn ask_for_maps(&mut self, newest: Epoch, out: &mut Vec<Output>) {
        let have = self.map().epoch;
        if newest > have {
            self.mon.subscribe("osdmap", if have == 0 { 0 } else { u64::from(have) + 1 }, false);
            self.mon.renew(out);
        }
    }

    fn applied(&self, inc: &Bytes) -> Result<OsdMap, String> {
        let inc: Incremental = denc::from_bytes(inc.clone()).map_err(|e| e.to_string())?;
        let mut map = OsdMap::clone(self.map());
        map.apply(&inc).map_err(|e| e.to_string())?;
        Ok(map)
    }

    fn maps_arrived(&mut self) {
        let map = self.map().clone();
        if self.waiting.is_empty() || map.epoch == 0 {
            return;
        }
        let ready: Vec<(RequestId, Option<String>)> = self
            .waiting
            .iter()
            .filter_map(|(id, w)| match w {
                Waits::Map { epoch, pool } if *epoch <= map.epoch => Some((*id, pool.clone())),
                _ => None,
            })
            .collect();
        for (id, pool) in ready {
            let reply = match pool.map(|name| map.pool_id(&name)) {
                None => Reply::Map(map.clone()),
                Some(Some(pool)) => Reply::Pool(pool),
                Some(None) => Reply::Failed(errno::ENOENT),
            };
            self.reply(id, reply);
        }
    }

    fn version(&mut self, handle: u64, newest: u64) {
        let epoch = Epoch::try_from(newest).unwrap_or(Epoch::MAX);
        if self.latest_handle == Some(handle) {
            self.latest_handle = None;
            self.objecter.latest(handle, epoch);
        }
        for w in self.waiting.values_mut() {
            if let Waits::Version { handle: asked, pool } = w
                && *asked == handle
            {
                *w = Waits::Map { epoch: epoch.max(1), pool: pool.take() };
            }
        }
        self.maps_arrived();
    }

    // --- inputs

    fn connected(&mut self, conn: ConnId, peer: &Peer, out: &mut Vec<Output>) {
        if self.mon.connected(conn, peer, out) {
            // The name must not change while operations of ours may be known by it.
            if self.global_id == 0 && peer.global_id != 0 {
                self.global_id = peer.global_id;
                let name = EntityName::client(peer.global_id as i64);
                out.push(Output::Identity { name, global_id: peer.global_id });
                self.objecter.set_ready(out);
            }
            for msg in self.mon_messages.values() {
                out.push(Output::Send { to: Dest::Conn(conn), msg: msg.clone(), after: None });
            }
        }
        self.objecter.connected(conn, peer);
        self.tells.connected(conn, peer);
    }

    fn message(&mut self, now: Now, conn: ConnId, msg: Message, out: &mut Vec<Output>) {
        if let Some(event) = self.mon.message(conn, &msg) {
            return self.mon_event(event);
        }
        let tid = msg.tid;
        match msg.body {
            Body::MOSDOpReply(reply) => self.objecter.reply(conn, tid, *reply, out),
            Body::MOSDBackoff(m) => self.objecter.backoff(conn, *m, out),
            Body::MOSDMap(m) => self.osd_map(now, m, out),
            Body::MMgrMap(m) => match denc::from_bytes::<MgrMap>(m.map) {
                Ok(map) => {
                    self.mon.sub_got("mgrmap", map.epoch.into());
                    self.mgr_map = Some(map);
                    self.tells.maps_changed(&maps(&self.objecter, self.mgr_map.as_ref(), self.mon_map.as_ref()));
                }
                Err(e) => out.push(Output::Log { level: Level::Warn, text: format!("the MgrMap cannot be read: {e}") }),
            },
            Body::MCommandReply(m) => self.told(tid, m.r, m.rs, m.data),
            Body::MMgrCommandReply(m) => self.told(tid, m.r, m.rs, m.data),
            Body::MPoolOpReply(m) => self.pool_op_done(tid, &m),
            Body::MWatchNotify(m) => {
                let mut to = Sender { objecter: &mut self.objecter, out };
                self.lingers.message(now, m, &mut to);
            }
            Body::MLog(m) => self.log_lines(m),
            Body::MStatfsReply(m) => self.mon_answered(tid, Reply::Statfs(Box::new(m))),
            Body::MGetPoolStatsReply(m) => self.mon_answered(tid, Reply::PoolStats(Box::new(m))),
            _ => {}
        }
    }

    fn mon_event(&mut self, event: MonEvent) {
        match event {
            MonEvent::MonMap(bytes) => {
                if let Ok(map) = denc::from_bytes::<MonMap>(bytes) {
                    self.fsid = map.fsid;
                    self.mon.set_fsid(map.fsid);
                    self.mon.set_mons(mons_of(&map));
                    self.mon.sub_got("monmap", map.epoch.into());
                    self.mon_map = Some(map);
                }
            }
            MonEvent::Config(_) => {}
            MonEvent::CommandDone { tid, r, rs, data } => {
                if let Some(id) = self.who_waits(|w| *w == Waits::MonCommand(tid)) {
                    self.reply(id, Reply::Command(CommandReply { r, rs, data }));
                }
            }
            MonEvent::Version { handle, newest, .. } => self.version(handle, newest),
        }
    }

    /// A map that shows what was done to the pool is waited for.
    fn pool_op_done(&mut self, tid: u64, m: &MPoolOpReply) {
        let Some(id) = self.who_waits(|w| *w == Waits::Mon(tid)) else { return };
        self.mon_messages.remove(&tid);
        match m.reply_code.cast_signed() {
            0 => {
                self.waiting.insert(id, Waits::Map { epoch: m.epoch.max(1), pool: None });
            }
            r => self.reply(id, Reply::Failed(r.abs())),
        }
    }

    /// Lines that are new; the monitors send from the beginning of what they have in each session.
    fn log_lines(&mut self, m: MLog) {
        let Some((what, seen)) = &mut self.log_seen else { return };
        if m.paxos.version > *seen {
            *seen = m.paxos.version;
            self.mon.sub_got(what, m.paxos.version);
            self.lingers.events.extend(m.entries.into_iter().map(Event::Log));
        }
    }

    fn told(&mut self, tid: u64, r: i32, rs: String, data: Bytes) {
        if let Some((id, reply)) = self.tells.done(tid, r, rs, data) {
            self.reply(id, Reply::Command(reply));
        }
    }

    fn mon_answered(&mut self, tid: u64, reply: Reply) {
        if self.mon_messages.remove(&tid).is_some()
            && let Some(id) = self.who_waits(|w| *w == Waits::Mon(tid))
        {
            self.reply(id, reply);
        }
    }

    fn wake(&mut self, now: Now, out: &mut Vec<Output>) {
        self.mon.wake(now, out);
        self.objecter.wake(now, out);
        self.lingers.wake(now, &mut Sender { objecter: &mut self.objecter, out });
        self.tells.wake(now);
        while let Some(id) = self.deadlines.pop_due(now.mono) {
            self.cancel(id);
            self.reply(id, Reply::Failed(errno::ETIMEDOUT));
        }
    }

    /// After each input: begins what is queued, asks what must be asked, and hands out what is done.
    fn maintain(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some((id, request)) = self.queue.pop_front() {
            self.begin(now, id, request, out);
        }
        self.maps_arrived();
        if self.latest_handle.is_none() && self.objecter.wants_latest() {
            let handle = self.mon.get_version("osdmap", out);
            self.latest_handle = Some(handle);
            self.objecter.asked_latest(handle);
        }
        let maps = maps(&self.objecter, self.mgr_map.as_ref(), self.mon_map.as_ref());
        // Daemons check the cluster's id.
        if self.mon_map.is_some() {
            for (id, errno) in self.tells.send(&maps, self.fsid, out) {
                self.reply(id, Reply::Failed(errno));
            }
        }
        while let Some((op, reply)) = self.objecter.take_done() {
            let mut to = Sender { objecter: &mut self.objecter, out };
            if !self.lingers.op_done(now, op, &reply, &mut to) {
                self.op_done(op, reply);
            }
        }
        while let Some((id, reply)) = self.lingers.done.pop_front() {
            self.reply(id, reply);
        }
    }

    fn op_done(&mut self, op: OpId, reply: OpReply) {
        let Some(id) = self.who_waits(|w| matches!(w, Waits::Op(o) | Waits::Page(o) if *o == op)) else { return };
        let page = matches!(self.waiting.get(&id), Some(Waits::Page(_)));
        let reply = if page { page_of(&reply) } else { Reply::Op(reply) };
        self.reply(id, reply);
    }
}

fn maps<'a>(objecter: &'a Objecter, mgr: Option<&'a MgrMap>, mon: Option<&'a MonMap>) -> Maps<'a> {
    Maps { osd: objecter.map(), mgr, mon }
}

fn page_of(reply: &OpReply) -> Reply {
    if reply.result < 0 {
        return Reply::Failed(-reply.result);
    }
    match denc::from_bytes::<PgNlsResponse>(reply.data(0)) {
        Ok(PgNlsResponse { handle, entries }) => {
            let next: Option<HObject> = (!handle.is_max()).then_some(handle);
            Reply::Page(Page { entries, next })
        }
        Err(_) => Reply::Failed(errno::EIO),
    }
}

impl Node for Client {
    fn handle(&mut self, now: Now, _store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Start => self.mon.start(now, out),
            Input::Connected { conn, peer, incoming: false, .. } => self.connected(conn, &peer, out),
            Input::Message { conn, msg, .. } => self.message(now, conn, msg, out),
            Input::Reset { conn } | Input::RemoteReset { conn } => {
                self.mon.reset(now, conn, out);
                self.tells.reset(now, conn);
                self.objecter.reset(now, conn, out);
                self.lingers.reset(now, conn, &mut Sender { objecter: &mut self.objecter, out });
            }
            Input::Refused { name, addrs, .. } => {
                self.mon.refused(now, name, out);
                self.tells.failed(now, &addrs);
                self.objecter.refused(now, name, &addrs, out);
            }
            Input::Wake => self.wake(now, out),
            Input::Shutdown => out.push(Output::Exit { code: 0 }),
            // A client listens nowhere and keeps nothing.
            _ => {}
        }
        self.maintain(now, out);
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let own =
            [self.mon.next_wakeup(), self.objecter.next_wakeup(), self.tells.next_wakeup(), self.deadlines.next()];
        own.into_iter().chain([self.lingers.next_wakeup()]).flatten().min()
    }

    fn runnable(&self) -> bool {
        !self.queue.is_empty()
    }
}
