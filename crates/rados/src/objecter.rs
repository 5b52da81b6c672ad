//! Sends operations to where the map says, again and again until each has its answer (Ceph: `Objecter`).
//!
//! Invariants:
//! - An operation keeps its tid for as long as an OSD may have seen it, so that a resend is recognised
//!   and happens once. Only an answer of `EAGAIN`, which says that nothing happened, gives it a new one.
//! - Operations that must be sent again are sent in the order of their tids.
//! - An operation is in flight on at most one session, and only that session's answer to the last
//!   attempt counts.
//! - A pool that the map does not have is gone only once the map is as new as the newest that a monitor
//!   had after the operation was submitted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use messages::{BackoffOp, MOSDBackoff, MOSDOp, MOSDOpReply, Message, PRIO_CLIENT_OP};
use node::{ConnId, Dest, Endpoint, Now, Output, Peer, Timers};
use osdmap::OsdMap;
use types::osd_op::osd_flag;
use types::{EntityAddrVec, EntityName, Epoch, HObject, OsdId, errno, features};

use crate::op::{ObjectOp, OpReply};
use crate::session::{Backoff, Session};
use crate::target::{Change, Target};

/// Names an operation from [`Objecter::submit`] to [`Objecter::take_done`].
pub type OpId = u64;

/// How much an operation's pool is known not to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PoolCheck {
    /// The pool is there.
    None,
    Wanted,
    Asked(u64),
    /// Gone, if the map of this epoch does not have it.
    Bound(Epoch),
}

#[derive(Debug, Clone)]
struct Pending {
    id: OpId,
    op: ObjectOp,
    target: Target,
    /// The OSD whose session it was sent on last, while that lives.
    sent_to: Option<OsdId>,
    attempts: i32,
    check: PoolCheck,
    deadline: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// An OSD whose sessions fail may be tried again.
    Retry(OsdId),
    Deadline(u64),
}

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// See the file's documentation. A part of a core: its owner hands it what concerns it.
#[derive(Debug)]
pub struct Objecter {
    map: Arc<OsdMap>,
    via: Endpoint,
    ops: BTreeMap<u64, Pending>,
    /// Those of `ops` that wait to be sent.
    unsent: BTreeSet<u64>,
    sessions: BTreeMap<OsdId, Session>,
    /// Open connections to OSDs, also those that somebody else made.
    conns: BTreeMap<ConnId, (OsdId, EntityAddrVec)>,
    /// Sessions that failed in a row.
    failures: BTreeMap<OsdId, u32>,
    timers: Timers<Timer>,
    next_tid: u64,
    done: VecDeque<(OpId, OpReply)>,
    timeout: Option<Duration>,
    /// Who the peers think we are has to be known before the first operation leaves.
    ready: bool,
}

impl Objecter {
    /// `timeout`: operations without an answer fail with `ETIMEDOUT`; `None`: they are tried for ever.
    pub fn new(via: Endpoint, timeout: Option<Duration>) -> Self {
        Self {
            map: Arc::default(),
            via,
            ops: BTreeMap::new(),
            unsent: BTreeSet::new(),
            sessions: BTreeMap::new(),
            conns: BTreeMap::new(),
            failures: BTreeMap::new(),
            timers: Timers::default(),
            next_tid: 1,
            done: VecDeque::new(),
            timeout,
            ready: false,
        }
    }

    pub fn map(&self) -> &Arc<OsdMap> {
        &self.map
    }

    /// Our name is known (and the peers will see it): operations may leave.
    pub fn set_ready(&mut self, out: &mut Vec<Output>) {
        self.ready = true;
        self.send_unsent(out);
    }

    /// Operations without an answer yet.
    pub fn pending(&self) -> usize {
        self.ops.len()
    }

    /// A tid that no operation has: for other messages to OSDs.
    pub fn take_tid(&mut self) -> u64 {
        let tid = self.next_tid;
        self.next_tid += 1;
        tid
    }

    /// The connection to the OSD that leads the object's PG now, if one is open.
    pub(crate) fn conn_for(&self, op: &ObjectOp) -> Option<ConnId> {
        let mut target = Target::default();
        if target.update(op, &self.map) == Change::PoolGone {
            return None;
        }
        self.sessions.get(&target.osd)?.conn
    }

    /// Begins an operation; [`Self::take_done`] tells when it has ended.
    pub fn submit(&mut self, now: Now, mut op: ObjectOp, out: &mut Vec<Output>) -> OpId {
        let tid = self.take_tid();
        if op.is_write() && op.mtime.is_none() {
            op.mtime = Some(now.wall);
        }
        let deadline = self.timeout.map(|t| now.mono + t);
        if let Some(at) = deadline {
            self.timers.set(Timer::Deadline(tid), at);
        }
        let mut pending = Pending {
            id: tid,
            op,
            target: Target::default(),
            sent_to: None,
            attempts: 0,
            check: PoolCheck::None,
            deadline,
        };
        if pending.target.update(&pending.op, &self.map) == Change::PoolGone {
            pending.check = PoolCheck::Wanted;
        }
        self.ops.insert(tid, pending);
        self.unsent.insert(tid);
        self.send_unsent(out);
        tid
    }

    /// Forgets an operation; it may yet happen.
    pub fn cancel(&mut self, id: OpId) {
        if let Some(tid) = self.tid_of(id) {
            self.forget(tid);
        }
    }

    fn tid_of(&self, id: OpId) -> Option<u64> {
        if self.ops.get(&id).is_some_and(|p| p.id == id) {
            return Some(id);
        }
        self.ops.iter().find(|(_, p)| p.id == id).map(|(tid, _)| *tid)
    }

    fn forget(&mut self, tid: u64) -> Option<Pending> {
        self.unsent.remove(&tid);
        self.timers.cancel(&Timer::Deadline(tid));
        self.ops.remove(&tid)
    }

    fn finish(&mut self, tid: u64, reply: OpReply) {
        if let Some(pending) = self.forget(tid) {
            self.done.push_back((pending.id, reply));
        }
    }

    pub fn take_done(&mut self) -> Option<(OpId, OpReply)> {
        self.done.pop_front()
    }

    // --- maps

    /// The next map. Call it for each epoch in turn, then [`Self::send_unsent`]; `skipped` says that
    /// epochs between this and the last were not seen, so anything may have happened in them.
    pub fn advance(&mut self, map: Arc<OsdMap>, skipped: bool, out: &mut Vec<Output>) {
        self.map = map;
        self.end_stale_sessions(out);
        for (tid, pending) in &mut self.ops {
            match pending.target.update(&pending.op, &self.map) {
                Change::PoolGone => {
                    if pending.check == PoolCheck::None {
                        pending.check = PoolCheck::Wanted;
                    }
                    pending.sent_to = None;
                    self.unsent.insert(*tid);
                    continue;
                }
                Change::None if !skipped => {}
                _ => {
                    pending.sent_to = None;
                    self.unsent.insert(*tid);
                }
            }
            pending.check = PoolCheck::None;
        }
        self.fail_gone();
    }

    /// Sessions with OSDs that are down, or whose place another instance took.
    fn end_stale_sessions(&mut self, out: &mut Vec<Output>) {
        let map = &self.map;
        let stale = |osd: OsdId, s: &Session| !map.is_up(osd) || map.addrs(osd) != s.addrs;
        let ended: Vec<OsdId> = self.sessions.iter().filter(|(osd, s)| stale(**osd, s)).map(|(osd, _)| *osd).collect();
        for osd in ended {
            if let Some(session) = self.sessions.get(&osd) {
                out.push(Output::ClosePeer { via: self.via, addrs: session.addrs.clone() });
            }
            self.drop_session(osd);
            self.failures.remove(&osd);
            self.timers.cancel(&Timer::Retry(osd));
        }
    }

    /// Whether a monitor must be asked for its newest epoch, see [`Self::asked_latest`].
    pub fn wants_latest(&self) -> bool {
        self.unsent.iter().any(|tid| self.ops[tid].check == PoolCheck::Wanted)
    }

    /// A monitor is being asked, under this number.
    pub fn asked_latest(&mut self, handle: u64) {
        for p in self.ops.values_mut().filter(|p| p.check == PoolCheck::Wanted) {
            p.check = PoolCheck::Asked(handle);
        }
    }

    /// The answer: the newest map has this epoch.
    pub fn latest(&mut self, handle: u64, epoch: Epoch) {
        for p in self.ops.values_mut().filter(|p| p.check == PoolCheck::Asked(handle)) {
            p.check = PoolCheck::Bound(epoch);
        }
        self.fail_gone();
    }

    fn fail_gone(&mut self) {
        let epoch = self.map.epoch;
        let gone = |p: &Pending| matches!(p.check, PoolCheck::Bound(bound) if bound <= epoch);
        let gone: Vec<u64> = self.unsent.iter().copied().filter(|tid| gone(&self.ops[tid])).collect();
        for tid in gone {
            self.finish(tid, OpReply::failed(errno::ENOENT));
        }
    }

    // --- sending

    /// Sends what can be sent, in order.
    pub fn send_unsent(&mut self, out: &mut Vec<Output>) {
        if !self.ready || self.unsent.is_empty() {
            return;
        }
        let tids: Vec<u64> = self.unsent.iter().copied().collect();
        for tid in tids {
            if self.send(tid, out) {
                self.unsent.remove(&tid);
            }
        }
    }

    /// Gives whether it was sent; else it waits for a map, an unblock or a timer.
    fn send(&mut self, tid: u64, out: &mut Vec<Output>) -> bool {
        let Some(pending) = self.ops.get_mut(&tid) else { return true };
        let osd = pending.target.osd;
        let held = pending.check != PoolCheck::None || pending.target.paused || osd < 0 || !self.map.is_up(osd);
        if held || self.timers.is_set(&Timer::Retry(osd)) {
            return false;
        }
        let addrs = self.map.addrs(osd);
        let conns = &self.conns;
        let session = self.sessions.entry(osd).or_insert_with(|| {
            let conn = conns.iter().find(|(_, (_, a))| *a == addrs).map(|(conn, _)| *conn);
            Session { addrs, conn, ..Session::default() }
        });
        let hobj = pending.target.hobject(&pending.op);
        if session.holds_back(pending.target.pgid, &hobj) {
            return false;
        }
        let to = match session.conn {
            Some(conn) => Dest::Conn(conn),
            None => Dest::Peer { via: self.via, name: EntityName::osd(osd), addrs: session.addrs.clone() },
        };
        let msg = message(pending, hobj, self.map.epoch);
        pending.attempts += 1;
        pending.sent_to = Some(osd);
        out.push(Output::Send { to, msg: Message::from(msg).with_tid(tid).with_priority(PRIO_CLIENT_OP), after: None });
        true
    }

    // --- sessions

    /// An outgoing connection is open.
    pub fn connected(&mut self, conn: ConnId, peer: &Peer) {
        let Some(osd) = osd_of(peer.name) else { return };
        self.conns.insert(conn, (osd, peer.addrs.clone()));
        if let Some(session) = self.sessions.get_mut(&osd).filter(|s| s.addrs == peer.addrs) {
            session.conn = Some(conn);
        }
    }

    /// A connection is gone: its operations go again, at once after the first failure.
    pub fn reset(&mut self, now: Now, conn: ConnId, out: &mut Vec<Output>) {
        if let Some((osd, _)) = self.conns.remove(&conn)
            && self.sessions.get(&osd).is_some_and(|s| s.conn == Some(conn))
        {
            self.session_failed(now, osd, false, out);
        }
    }

    /// Nobody listens where the OSD was.
    pub fn refused(&mut self, now: Now, name: EntityName, addrs: &EntityAddrVec, out: &mut Vec<Output>) {
        if let Some(osd) = osd_of(name).filter(|osd| self.sessions.get(osd).is_some_and(|s| s.addrs == *addrs)) {
            self.session_failed(now, osd, true, out);
        }
    }

    fn session_failed(&mut self, now: Now, osd: OsdId, refused: bool, out: &mut Vec<Output>) {
        self.drop_session(osd);
        let failures = self.failures.entry(osd).or_default();
        *failures += 1;
        if *failures > 1 || refused {
            let wait = (RETRY_FIRST * 2u32.pow((*failures - 1).min(5))).min(RETRY_MAX);
            self.timers.set(Timer::Retry(osd), now.mono + wait);
        }
        self.send_unsent(out);
    }

    /// The OSD whose session this connection carries.
    fn osd_at(&self, conn: ConnId) -> Option<OsdId> {
        let osd = self.conns.get(&conn)?.0;
        (self.sessions.get(&osd)?.conn == Some(conn)).then_some(osd)
    }

    fn drop_session(&mut self, osd: OsdId) {
        if let Some(conn) = self.sessions.remove(&osd).and_then(|s| s.conn) {
            self.conns.remove(&conn);
        }
        for (tid, pending) in self.ops.iter_mut().filter(|(_, p)| p.sent_to == Some(osd)) {
            pending.sent_to = None;
            self.unsent.insert(*tid);
        }
    }

    // --- answers

    /// `MOSDOpReply`.
    pub fn reply(&mut self, conn: ConnId, tid: u64, reply: MOSDOpReply, out: &mut Vec<Output>) {
        let Some(osd) = self.osd_at(conn) else { return };
        self.failures.remove(&osd);
        let Some(pending) = self.ops.get_mut(&tid).filter(|p| p.sent_to == Some(osd)) else { return };
        if reply.retry_attempt >= 0 && reply.retry_attempt != pending.attempts - 1 {
            return; // to an earlier attempt; the last one's answer comes
        }
        if let Some(redirect) = reply.redirect.filter(|r| !r.is_empty()) {
            pending.op.pool = redirect.locator.pool;
            pending.op.key = redirect.locator.key;
            pending.op.nspace = redirect.locator.nspace;
            if !redirect.object.is_empty() {
                pending.op.oid = redirect.object;
            }
            pending.op.flags |= osd_flag::REDIRECTED | osd_flag::IGNORE_CACHE | osd_flag::IGNORE_OVERLAY;
            return self.again(tid, out);
        }
        if reply.result == -errno::EAGAIN {
            pending.op.flags &= !(osd_flag::BALANCE_READS | osd_flag::LOCALIZE_READS);
            return self.again(tid, out);
        }
        let done = OpReply { result: reply.result, version: reply.user_version, ops: reply.ops };
        self.finish(tid, done);
    }

    /// The OSD did nothing: the operation begins anew, as another one.
    fn again(&mut self, tid: u64, out: &mut Vec<Output>) {
        let Some(mut pending) = self.forget(tid) else { return };
        let tid = self.take_tid();
        pending.sent_to = None;
        pending.attempts = 0;
        pending.target = Target::default();
        if pending.target.update(&pending.op, &self.map) == Change::PoolGone {
            pending.check = PoolCheck::Wanted;
        }
        if let Some(at) = pending.deadline {
            self.timers.set(Timer::Deadline(tid), at);
        }
        self.ops.insert(tid, pending);
        self.unsent.insert(tid);
        self.send_unsent(out);
    }

    /// `MOSDBackoff`.
    pub fn backoff(&mut self, conn: ConnId, m: MOSDBackoff, out: &mut Vec<Output>) {
        let Some(osd) = self.osd_at(conn) else { return };
        let Some(session) = self.sessions.get_mut(&osd) else { return };
        match m.op {
            BackoffOp::Block => {
                let ack = MOSDBackoff { op: BackoffOp::AckBlock, map_epoch: self.map.epoch, ..m.clone() };
                session.backoffs.insert(m.id, Backoff { pgid: m.pgid, begin: m.begin, end: m.end });
                out.push(Output::Send { to: Dest::Conn(conn), msg: ack.into(), after: None });
            }
            BackoffOp::Unblock => {
                let Some(lifted) = session.backoffs.remove(&m.id) else { return };
                // What was under way when the block came was dropped by the OSD.
                for (tid, p) in &mut self.ops {
                    if p.sent_to == Some(osd) && lifted.covers(p.target.pgid, &p.target.hobject(&p.op)) {
                        p.sent_to = None;
                        self.unsent.insert(*tid);
                    }
                }
                self.send_unsent(out);
            }
            BackoffOp::AckBlock => {}
        }
    }

    // --- time

    pub fn next_wakeup(&self) -> Option<Duration> {
        self.timers.next()
    }

    pub fn wake(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::Retry(_) => self.send_unsent(out),
                Timer::Deadline(tid) => self.finish(tid, OpReply::failed(errno::ETIMEDOUT)),
            }
        }
    }

    /// For people: each operation without an answer, where it is, and why it waits.
    pub fn describe(&self) -> Vec<String> {
        let state = |p: &Pending| match (p.sent_to, p.target.paused, p.check) {
            (Some(osd), ..) => format!("at osd.{osd}"),
            (None, true, _) => "paused by the map".to_owned(),
            (None, _, PoolCheck::None) => format!("waits for osd.{}", p.target.osd),
            (None, ..) => "waits to hear whether its pool exists".to_owned(),
        };
        self.ops
            .iter()
            .map(|(tid, p)| {
                let names: Vec<&str> = p.op.ops.iter().map(|o| o.name()).collect();
                format!("tid {tid} {} {} [{}] {}", p.target.pgid, p.op.oid, names.join(","), state(p))
            })
            .collect()
    }
}

fn osd_of(name: EntityName) -> Option<OsdId> {
    if name.is_osd() { OsdId::try_from(name.num).ok() } else { None }
}

fn message(p: &Pending, hobj: HObject, map_epoch: Epoch) -> MOSDOp {
    let retry = if p.attempts > 0 { osd_flag::RETRY } else { 0 };
    let (snap_seq, snaps) = if p.op.is_write() { (p.op.snapc.seq, p.op.snapc.snaps.clone()) } else { (0, Vec::new()) };
    MOSDOp {
        pgid: p.target.pgid,
        hobj,
        map_epoch,
        flags: p.op.flags | osd_flag::ONDISK | osd_flag::RETURNVEC | retry,
        mtime: p.op.mtime.unwrap_or_default(),
        ops: p.op.ops.clone(),
        snap_seq,
        snaps,
        retry_attempt: p.attempts,
        features: features::ALL,
        ..MOSDOp::default()
    }
}
