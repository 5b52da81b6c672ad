//! Clients' ops on their way in: what is dropped, what waits for what, and in which order it goes on.
//!
//! An op waits in exactly one list of [`Waiting`]. When the reason may be gone, the list is moved to
//! `ready` in order and each op is tried again from the start. (Ceph: `PrimaryLogPG::do_request`,
//! `do_op`)

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messages::{Body, MOSDOp, MOSDOpReply, Message};
use node::{ConnId, Level, Now, Peer};
use types::errno::{EAGAIN, EIO, ENOSPC, ESHUTDOWN};
use types::{EVersion, EntityAddrVec, EntityName, HObject, LogEntry, OsdReqId, features, osd_flag};

use crate::env::{Env, PgOutput};
use crate::lease::Readable;
use crate::log::{PgLog, Recorded};
use crate::missing;
use crate::object::Lock;
use crate::ops::{self, Access, Blocked, Copied, Executed, OpEnv, ReadRange};
use crate::pg::{Pg, Phase};
use crate::planted;
use crate::room::Verdict;
use crate::scrub::Scrub;
use crate::track::{ClientInfo, Event, OpReport, Trace};
use crate::watch::{Effects, Expired};

/// The connection of writes that no client asked for.
const OWN: ConnId = ConnId(u64::MAX);

/// A client's op, from its arrival to its answer.
#[derive(Debug)]
pub(crate) struct ClientOp {
    pub conn: ConnId,
    pub peer: Arc<Peer>,
    pub tid: u64,
    pub priority: u16,
    pub msg: Box<MOSDOp>,
    pub reqid: OsdReqId,
    pub access: Access,
    pub prefetched: Vec<(ReadRange, Bytes)>,
    pub copied: Option<Box<Copied>>,
    /// What it holds on [`Self::head`].
    pub lock: Lock,
    pub trace: Box<Trace>,
}

impl ClientOp {
    /// Stands for a write that no client asked for.
    pub fn own(head: &HObject) -> Self {
        let msg = MOSDOp { hobj: head.clone(), ..MOSDOp::default() };
        let peer = Peer {
            name: EntityName::default(),
            addrs: EntityAddrVec::default(),
            features: 0,
            global_id: 0,
            entity: String::new(),
        };
        Self {
            conn: OWN,
            peer: Arc::new(peer),
            tid: 0,
            priority: 0,
            msg: Box::new(msg),
            reqid: OsdReqId::default(),
            access: Access::default(),
            prefetched: Vec::new(),
            copied: None,
            lock: Lock::None,
            trace: Box::default(),
        }
    }

    /// The client reads from whichever member is near, or idle.
    fn may_read_anywhere(&self) -> bool {
        let anywhere = osd_flag::BALANCE_READS | osd_flag::LOCALIZE_READS;
        !self.access.write && self.msg.flags & anywhere != 0
    }

    /// Whether no client asked for it.
    fn is_own(&self) -> bool {
        self.conn == OWN
    }

    fn delayed(&mut self, now: Now, why: &'static str) {
        self.trace.mark(now, Event::Delayed(why));
    }

    /// It would rather hear that there is no space than wait, or frees space.
    pub fn tries_when_full(&self) -> bool {
        self.msg.flags & (osd_flag::FULL_TRY | osd_flag::FULL_FORCE) != 0
    }

    fn knows_backoff(&self) -> bool {
        self.peer.features & features::RADOS_BACKOFF == features::RADOS_BACKOFF
    }

    pub fn head(&self) -> HObject {
        self.msg.hobj.head()
    }
}

/// What a client sent along with its operations.
fn bytes_in(msg: &MOSDOp) -> u64 {
    msg.ops.iter().map(|op| op.indata.len() as u64).sum()
}

fn bytes_out(reply: &MOSDOpReply) -> u64 {
    reply.ops.iter().map(|op| op.outdata.len() as u64).sum()
}

/// As Ceph prints it: `osd_op(client.4138.0:165 1.2 1:4ff44963:::a:head [write 0~4] snapc 0=[] ondisk+write e9)`.
fn describe(reqid: OsdReqId, m: &MOSDOp) -> String {
    let ops: Vec<String> = m.ops.iter().map(ToString::to_string).collect();
    let snaps: Vec<String> = m.snaps.iter().map(|s| format!("{s:x}")).collect();
    let retry = if m.retry_attempt > 0 { format!(" RETRY={}", m.retry_attempt) } else { String::new() };
    format!(
        "osd_op({reqid} {} {} [{}] snapc {:x}=[{}]{retry} {} e{})",
        m.pgid,
        m.hobj,
        ops.join(","),
        m.snap_seq,
        snaps.join(","),
        osd_flag::to_string(m.flags),
        m.map_epoch
    )
}

/// A client's op that arrived at `since` and waits for a map, before any PG has seen it.
pub fn waiting_op(peer: &Peer, msg: &Message, since: Now) -> Option<OpReport> {
    let Body::MOSDOp(m) = &msg.body else { return None };
    let mut trace = Trace::arrived(since);
    trace.mark(since, Event::Delayed("wait for new map"));
    let description = describe(m.reqid(peer.name, msg.tid), m);
    Some(OpReport { description, client: Some(client_info(peer, msg.tid)), trace })
}

fn client_info(peer: &Peer, tid: u64) -> ClientInfo {
    ClientInfo { name: peer.name.to_string(), addr: peer.addrs.legacy_or_first().legacy_str(), tid }
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// To be tried (again) at once.
    pub ready: VecDeque<ClientOp>,
    for_map: VecDeque<ClientOp>,
    /// For the PG to be active.
    for_active: VecDeque<ClientOp>,
    /// For a lease, our own or others' to end.
    for_readable: VecDeque<ClientOp>,
    /// For the end of a chunk of a scrub.
    for_scrub: VecDeque<ClientOp>,
    /// For room on some disk; see `room`.
    for_room: VecDeque<ClientOp>,
    // Only ever asked by key, or sorted.
    for_object: HashMap<HObject, VecDeque<ClientOp>>,
    for_lock: HashMap<HObject, VecDeque<ClientOp>>,
    /// Resends of writes that are under way.
    for_commit: BTreeMap<EVersion, Vec<ClientOp>>,
    /// Why ops wait in `for_readable`; shown in the PG's state.
    pub laggy: bool,
    pub wait: bool,
}

impl Waiting {
    /// Whether somebody waits for the lock on an object.
    pub fn is_lock_wanted(&self, head: &HObject) -> bool {
        self.for_lock.get(head).is_some_and(|ops| !ops.is_empty())
    }

    /// The clone that an earlier write to this head, a rollback, waits for.
    fn clone_awaited(&self, head: &HObject) -> Option<&HObject> {
        let mut clones = self.for_object.iter().filter(|(soid, _)| !soid.is_head() && soid.head() == *head);
        let by_write = |ops: &VecDeque<ClientOp>| ops.iter().any(|op| op.access.write_ordered());
        clones.find(|(_, ops)| by_write(ops)).map(|(soid, _)| soid)
    }

    /// All of them but those that wait for a map or a commit, in the order in which they are to go on.
    fn take_all(&mut self) -> VecDeque<ClientOp> {
        fn drain(map: &mut HashMap<HObject, VecDeque<ClientOp>>) -> Vec<ClientOp> {
            let mut lists: Vec<_> = map.drain().collect();
            lists.sort_by(|(a, _), (b, _)| a.cmp(b));
            lists.into_iter().flat_map(|(_, ops)| ops).collect()
        }
        let mut all = VecDeque::new();
        all.extend(drain(&mut self.for_object));
        all.extend(drain(&mut self.for_lock));
        all.append(&mut self.for_scrub);
        all.append(&mut self.for_room);
        all.append(&mut self.ready);
        all.append(&mut self.for_readable);
        all.append(&mut self.for_active);
        all
    }

    /// Whether an op has to wait behind those that wait for room: a write always, a read behind its object's writes.
    fn is_room_awaited(&self, op: &ClientOp) -> bool {
        let of_object = |other: &ClientOp| other.msg.hobj.head() == op.msg.hobj.head();
        op.access.write && self.any_for_room() || self.for_room.iter().any(of_object)
    }

    pub fn any_for_room(&self) -> bool {
        !self.for_room.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &ClientOp> {
        let queues = [&self.ready, &self.for_map, &self.for_active, &self.for_readable, &self.for_scrub].into_iter();
        let queues = queues.chain([&self.for_room]).chain(self.for_object.values()).chain(self.for_lock.values());
        queues.flatten().chain(self.for_commit.values().flatten())
    }

    fn retain(&mut self, keep: impl Fn(&ClientOp) -> bool) {
        let queues = [&mut self.ready, &mut self.for_map, &mut self.for_active, &mut self.for_readable];
        queues.into_iter().chain([&mut self.for_scrub, &mut self.for_room]).for_each(|l| l.retain(&keep));
        self.for_object.values_mut().chain(self.for_lock.values_mut()).for_each(|l| l.retain(&keep));
        self.for_commit.values_mut().for_each(|l| l.retain(&keep));
    }
}

/// Objects that ops may not read here, and those that not every member has.
struct Unreadable<'a> {
    missing: &'a missing::Missing,
    loc: &'a missing::MissingLoc,
    /// `None` where nobody else could have what is gone here.
    log: Option<&'a PgLog>,
    scrub: &'a Scrub,
}

impl ops::Missing for Unreadable<'_> {
    fn is_missing(&self, soid: &HObject) -> bool {
        self.missing.contains(soid)
    }

    fn is_degraded(&self, soid: &HObject) -> bool {
        self.missing.contains(soid) || self.loc.needs(soid).is_some()
    }

    fn first_missing(&self, from: &HObject) -> Option<HObject> {
        self.missing.first_from(from).cloned()
    }

    fn gone(&self, soid: &HObject) -> ops::Gone {
        match self.log.and_then(|log| log.newest(soid)).is_some_and(LogEntry::is_update) {
            true if self.scrub.is_hopeless(soid) => ops::Gone::Everywhere,
            true => ops::Gone::Here,
            false => ops::Gone::No,
        }
    }
}

impl Pg {
    /// `MOSDOp`, `MOSDBackoff` (acknowledgements): what clients send.
    pub fn client_message(&mut self, env: &mut Env, conn: ConnId, peer: &Arc<Peer>, msg: Message) {
        self.client_message_since(env, conn, peer, msg, env.now);
    }

    /// A client's message that arrived at `since` and had to wait for a map or the PG.
    pub fn client_message_since(&mut self, env: &mut Env, conn: ConnId, peer: &Arc<Peer>, msg: Message, since: Now) {
        let (tid, priority) = (msg.tid, msg.priority);
        // What may go on came first: a client's writes to an object are answered in its order.
        self.run_ready(env);
        if let Body::MOSDOp(msg) = msg.body {
            let reqid = msg.reqid(peer.name, tid);
            match Access::of(&msg) {
                Ok(access) => {
                    let peer = peer.clone();
                    let (prefetched, copied, lock) = (Vec::new(), None, Lock::None);
                    let trace = env.tracker.begin(since, env.now);
                    let op =
                        ClientOp { conn, peer, tid, priority, msg, reqid, access, prefetched, copied, lock, trace };
                    self.admit(env, op);
                }
                Err(errno) => {
                    let reply = MOSDOpReply::to(&msg, -errno, self.map.epoch, osd_flag::ACK | osd_flag::ONDISK);
                    let msg = Message::new(reply).with_tid(tid).with_priority(priority);
                    env.out.push(PgOutput::ToClient { conn, msg, after: None });
                }
            }
        }
        self.run_ready(env);
        self.finish(env);
    }

    /// Tries all that is ready, until nothing is.
    pub(crate) fn run_ready(&mut self, env: &mut Env) {
        while let Some(op) = self.waiting.ready.pop_front() {
            self.admit(env, op);
        }
    }

    /// Goes on with what was put off (deletion of a PG); whether there is more.
    pub fn step(&mut self, env: &mut Env) -> bool {
        self.run_ready(env);
        let more = self.delete_some(env) | self.trim_some(env) | self.scrub_some(env);
        self.run_ready(env);
        self.finish(env);
        more
    }

    /// A client's connection is gone: nobody waits for these answers any more. What is under way goes
    /// on; the client finds it by its request id.
    pub fn conn_reset(&mut self, env: &mut Env, conn: ConnId) {
        self.waiting.retain(|op| op.conn != conn);
        // Some may have waited only behind a rollback of that client's.
        let mut clones: Vec<HObject> = self.waiting.for_object.keys().filter(|soid| !soid.is_head()).cloned().collect();
        clones.sort();
        clones.iter().for_each(|soid| self.requeue_for_object(soid));
        self.run_ready(env);
        self.watches.conn_reset(env.now, conn);
        self.backoffs.conn_reset(conn);
        self.finish(env);
    }

    /// Whether it may take until an operator or another OSD does something that the PG is active.
    fn unavailable_for_long(&self, env: &Env) -> bool {
        match &self.phase {
            Phase::Peering(p) => p.is_stuck() || env.cfg.backoff_on_peering,
            Phase::Active(a) => a.all_activated && !self.serves(),
            _ => env.cfg.backoff_on_peering,
        }
    }

    /// Whether the client sends this op again, perhaps elsewhere, so that it must not be carried out
    /// here (Ceph: `can_discard_op`).
    fn is_outdated(&self, op: &ClientOp) -> bool {
        let epoch = op.msg.map_epoch;
        let h = &self.info.history;
        epoch < h.same_primary_since || epoch < self.pool.last_force_op_resend || epoch < h.last_epoch_split
    }

    /// Carries the op out, or finds what it has to wait for.
    fn admit(&mut self, env: &mut Env, mut op: ClientOp) {
        if op.msg.map_epoch > self.map.epoch {
            op.delayed(env.now, "op must wait for map");
            return self.waiting.for_map.push_back(op);
        }
        if self.map.is_blocklisted_any(&op.peer.addrs) {
            return self.reply_error(env, op, -ESHUTDOWN);
        }
        if !self.is_primary() && self.is_acting(self.whoami) && op.may_read_anywhere() {
            // We could serve it under a lease, but send the client to the primary, as Ceph does whenever
            // a replica is not sure.
            return self.reply_error(env, op, -EAGAIN);
        }
        let pgid = self.id.pgid;
        if !op.access.pg_op && !op.msg.hobj.in_pg(pgid, pgid.split_bits(self.pool.pg_num)) {
            // It aims by a map that is not ours, or wrongly; in either case nothing of it is here.
            return let_go(env, &op);
        }
        if self.is_outdated(&op) || !self.is_primary() {
            return let_go(env, &op);
        }
        if self.backoffs.blocks(op.conn, &op.head()) {
            return;
        }
        if !self.serves() {
            if self.unavailable_for_long(env) && op.knows_backoff() {
                return self.back_off_pg(env, &op);
            }
            let active = matches!(&self.phase, Phase::Active(a) if a.all_activated);
            op.delayed(env.now, if active { "waiting for active" } else { "waiting for peered" });
            return self.waiting.for_active.push_back(op);
        }
        match self.readable(env.now.mono) {
            Readable::Yes => (),
            blocked => {
                let flag = if blocked == Readable::Wait { &mut self.waiting.wait } else { &mut self.waiting.laggy };
                let news = !std::mem::replace(flag, true);
                if news {
                    self.stat_changed(env);
                }
                op.delayed(env.now, "waiting for readable");
                return self.waiting.for_readable.push_back(op);
            }
        }
        if op.access.write
            && !planted::has(planted::Bug::DroppedDup)
            && let Some(recorded) = self.log.request(&op.reqid)
        {
            return self.answer_again(env, op, recorded);
        }
        if op.access.pg_op {
            op.trace.mark(env.now, Event::Started);
            return self.execute(env, op);
        }
        let head = op.head();
        // Behind those who came first, whatever those will have to wait for next.
        if self.waiting.is_lock_wanted(&head) {
            op.delayed(env.now, "waiting for rw locks");
            return self.waiting.for_lock.entry(head).or_default().push_back(op);
        }
        let absent = self.missing.contains(&head) || self.recovery.is_settling(&head);
        if absent || op.access.write_ordered() && self.missing_loc.needs(&head).is_some() {
            return self.wait_for_object(env, op, head);
        }
        // Ceph: `objects_blocked_on_degraded_snap`.
        if op.access.write_ordered()
            && let Some(clone) = self.waiting.clone_awaited(&head).cloned()
        {
            return self.wait_for_object(env, op, clone);
        }
        if op.access.write_ordered() && self.scrub.blocks(&head) {
            op.delayed(env.now, "waiting for scrub");
            return self.waiting.for_scrub.push_back(op);
        }
        if op.access.write_ordered() && !op.tries_when_full() && self.waiting.is_room_awaited(&op) {
            op.delayed(env.now, "waiting for room");
            return self.waiting.for_room.push_back(op);
        }
        if op.access.write && self.gives_way_to_backfill(&head) {
            op.delayed(env.now, "waiting for rw locks");
            return self.waiting.for_lock.entry(head).or_default().push_back(op);
        }
        let lock = op.access.lock();
        if !self.contexts.try_lock(&head, lock) {
            op.delayed(env.now, "waiting for rw locks");
            return self.waiting.for_lock.entry(head).or_default().push_back(op);
        }
        op.trace.mark(env.now, Event::Started);
        self.execute(env, ClientOp { lock, ..op });
    }

    /// The object has to be recovered first: at once, whatever else is waiting.
    fn wait_for_object(&mut self, env: &mut Env, mut op: ClientOp, soid: HObject) {
        self.unlock(&mut op);
        let hold_back = env.cfg.backoff_on_degraded || env.cfg.backoff_on_unfound && self.missing_loc.is_unfound(&soid);
        // Clients look up what they hold back by its head, whichever clone an op needs: of a clone they would never
        // be let go.
        if hold_back && soid.is_head() && op.knows_backoff() {
            self.recover_now(env, &soid);
            return self.back_off_object(env, &op, soid);
        }
        let here = self.missing.contains(&soid);
        op.delayed(env.now, if here { "waiting for missing object" } else { "waiting for degraded object" });
        self.waiting.for_object.entry(soid.clone()).or_default().push_back(op);
        self.recover_now(env, &soid);
    }

    /// Runs the op vector; the op holds its lock.
    pub(crate) fn execute(&mut self, env: &mut Env, mut op: ClientOp) {
        let result = self.with_op_env(env, &op, |op_env| ops::execute(op_env, &op.msg));
        match result {
            Executed::Reply { reply, effects } => {
                self.unlock(&mut op);
                if let Some(effects) = effects {
                    self.apply_effects(env, *effects);
                }
                self.reply(env, op, *reply);
            }
            Executed::Write(ws) => {
                match self.judge_room(env, &op, &ws.txn) {
                    Verdict::Go => (),
                    Verdict::Wait => return self.wait_for_room(env, op),
                    Verdict::Refuse => {
                        self.unlock(&mut op);
                        return self.reply_error(env, op, -ENOSPC);
                    }
                }
                let reqid = op.reqid;
                op.prefetched.clear();
                op.copied = None;
                self.submit_write(env, Some(op), reqid, *ws);
            }
            Executed::Blocked(Blocked::Missing(soid)) => self.wait_for_object(env, op, soid),
            Executed::Blocked(Blocked::Read(ranges)) => self.start_reads(env, op, ranges),
            Executed::Blocked(Blocked::Damaged { soid, why }) => self.damaged(env, op, &soid, why),
            Executed::Blocked(Blocked::Remote(source)) => {
                let token = env.tokens.next();
                env.out.push(PgOutput::Fetch { token, source });
                self.reads.copies.insert(token, op);
            }
            Executed::Drop => self.unlock(&mut op),
        }
    }

    fn wait_for_room(&mut self, env: &Env, mut op: ClientOp) {
        self.unlock(&mut op);
        op.prefetched.clear();
        op.copied = None;
        op.delayed(env.now, "waiting for room");
        self.waiting.for_room.push_back(op);
    }

    pub fn waits_for_room(&self) -> bool {
        self.waiting.any_for_room()
    }

    pub(crate) fn with_op_env<R>(&mut self, env: &Env, op: &ClientOp, f: impl FnOnce(&mut OpEnv) -> R) -> R {
        let next_version = self.next_version();
        let mut op_env = OpEnv {
            now: env.now,
            pgid: self.id,
            pool: &self.pool,
            epoch: self.map.epoch,
            cfg: env.cfg,
            store: env.store,
            contexts: &mut self.contexts,
            watches: &mut self.watches,
            missing: &Unreadable {
                missing: &self.missing,
                loc: &self.missing_loc,
                log: (self.actingbackfill.len() > 1).then_some(&self.log),
                scrub: &self.scrub,
            },
            removed_snaps: self.map.removed_snaps_queue.get(&self.id.pgid.pool),
            last_epoch_marked_full: self.info.history.last_epoch_marked_full,
            failsafe_full: env.failsafe_full,
            next_version,
            last_update: self.info.last_update,
            last_user_version: self.info.last_user_version,
            conn: op.conn,
            peer: &op.peer,
            reqid: op.reqid,
            prefetched: &op.prefetched,
            copied: op.copied.as_deref(),
            scrub_results: self.scrub.results.as_ref(),
            same_interval_since: self.info.history.same_interval_since,
        };
        f(&mut op_env)
    }

    /// A watch whose client was silent for too long goes from the object's info; one that cannot be
    /// written now keeps its place until the next look.
    fn remove_watch(&mut self, env: &mut Env, expired: Expired) {
        let head = expired.soid.head();
        let whole = self.missing_loc.needs(&head).is_none();
        if !self.serves() || !whole || !self.contexts.try_lock(&head, Lock::Write) {
            return self.watches.keep(env.now, &expired);
        }
        let op = ClientOp::own(&head);
        if let Some(ws) = self.with_op_env(env, &op, |op_env| ops::remove_watch(op_env, &expired)) {
            self.submit_write(env, Some(ClientOp { lock: Lock::Write, ..op }), OsdReqId::default(), *ws);
        } else {
            self.contexts.unlock(&head, Lock::Write);
        }
    }

    /// Our copy of the object cannot be read. If another copy is known to be good we take that; else
    /// the client gets EIO (Ceph: `rep_repair_primary_object`).
    pub(crate) fn damaged(&mut self, env: &mut Env, mut op: ClientOp, soid: &HObject, why: String) {
        env.cluster_log(Level::Error, format!("{} {soid}: {why}", self.id.pgid));
        op.prefetched.clear();
        if !self.mend_at_read(env, soid) {
            self.scrub_after_damage(env);
            self.unlock(&mut op);
            return self.reply_error(env, op, -EIO);
        }
        self.wait_for_object(env, op, soid.clone());
    }

    /// The op was carried out before, or is under way.
    fn answer_again(&mut self, env: &mut Env, mut op: ClientOp, recorded: Recorded) {
        if recorded.version > self.last_update_ondisk {
            op.delayed(env.now, "waiting for ondisk");
            return self.waiting.for_commit.entry(recorded.version).or_default().push(op);
        }
        let reached = osd_flag::ACK | osd_flag::ONDISK;
        let mut reply = MOSDOpReply::to(&op.msg, recorded.return_code, self.map.epoch, reached);
        reply.set_reply_versions(recorded.version, recorded.user_version);
        if op.access.returnvec {
            for (result, recorded) in reply.ops.iter_mut().zip(recorded.op_returns) {
                result.rval = recorded.rval;
                result.outdata = recorded.data.into();
            }
        }
        self.reply(env, op, reply);
    }

    /// Answers an op; that is its end.
    pub(crate) fn reply(&self, env: &mut Env, mut op: ClientOp, reply: MOSDOpReply) {
        env.tracker.count(env.now, &op.trace, (op.access.read, op.access.write), bytes_in(&op.msg), bytes_out(&reply));
        let msg = Message::new(reply).with_tid(op.tid).with_priority(op.priority);
        env.out.push(PgOutput::ToClient { conn: op.conn, msg, after: None });
        if op.access.write {
            op.trace.mark(env.now, Event::CommitSent);
            env.tracker.answered(env.now, &op.trace);
        }
        let ClientOp { trace, reqid, msg, peer, tid, .. } = op;
        env.tracker.finish(env.now, trace, || (describe(reqid, &msg), Some(client_info(&peer, tid))));
    }

    fn reply_error(&self, env: &mut Env, op: ClientOp, result: i32) {
        let reached = osd_flag::ACK | osd_flag::ONDISK;
        let reply = MOSDOpReply::to(&op.msg, result, self.map.epoch, reached);
        self.reply(env, op, reply);
    }

    pub(crate) fn apply_effects(&mut self, env: &mut Env, effects: Effects) {
        let mut sends = Vec::new();
        self.watches.apply(env.now, effects, &mut sends);
        send_to_clients(env, sends);
    }

    /// Ends notifies and watches whose time is up.
    pub(crate) fn watches_due(&mut self, env: &mut Env) {
        if self.watches.next_deadline().is_none_or(|d| d > env.now.mono) {
            return;
        }
        let mut sends = Vec::new();
        let expired = self.watches.expire(env.now, &mut sends);
        send_to_clients(env, sends);
        for watch in expired {
            self.remove_watch(env, watch);
        }
    }

    /// Clients that the map shuts out watch no more.
    pub(crate) fn drop_shut_out_watches(&mut self, env: &mut Env) {
        let map = self.map.clone();
        for watch in self.watches.of_addrs(|addr| map.is_blocklisted(addr)) {
            self.remove_watch(env, watch);
        }
    }

    // --- what is under way

    /// Clients' ops that have no answer yet.
    fn client_ops(&self) -> impl Iterator<Item = &ClientOp> {
        self.waiting.iter().chain(self.repops.ops()).chain(self.reads.ops()).filter(|op| !op.is_own())
    }

    /// Clients' ops that have no answer yet, in words.
    pub fn ops_in_flight(&self) -> Vec<OpReport> {
        let report = |op: &ClientOp| OpReport {
            description: describe(op.reqid, &op.msg),
            client: Some(client_info(&op.peer, op.tid)),
            trace: Trace::clone(&op.trace),
        };
        self.client_ops().map(report).collect()
    }

    /// Clients' ops that have had no answer since before `before`: when each arrived, and where it stands.
    pub fn slow_ops(&self, before: Duration) -> impl Iterator<Item = (Duration, &'static str)> {
        let slow = move |op: &&ClientOp| op.trace.initiated() < before;
        self.client_ops().filter(slow).map(|op| (op.trace.initiated(), op.trace.flag_point()))
    }

    // --- requeueing

    pub(crate) fn requeue_waiting_for_map(&mut self) {
        self.waiting.ready.append(&mut self.waiting.for_map);
    }

    pub(crate) fn requeue_for_activation(&mut self) {
        self.waiting.ready.append(&mut self.waiting.for_active);
    }

    pub(crate) fn requeue_for_room(&mut self) {
        self.waiting.ready.append(&mut self.waiting.for_room);
    }

    pub(crate) fn release_scrub_waiters(&mut self) {
        self.waiting.ready.append(&mut self.waiting.for_scrub);
    }

    pub(crate) fn requeue_for_lock(&mut self, head: &HObject) {
        self.trim.unlocked(head);
        if let Some(ops) = self.waiting.for_lock.remove(head) {
            self.waiting.ready.extend(ops);
        }
    }

    pub(crate) fn requeue_for_object(&mut self, soid: &HObject) {
        if let Some(ops) = self.waiting.for_object.remove(soid) {
            self.waiting.ready.extend(ops);
        }
    }

    /// Repetitions of a write are answered with it, before the write behind it is.
    pub(crate) fn answer_repetitions(&mut self, env: &mut Env, version: EVersion) {
        while let Some(entry) = self.waiting.for_commit.first_entry().filter(|e| *e.key() <= version) {
            entry.remove().into_iter().for_each(|op| self.admit(env, op));
        }
    }

    /// Whether reads may be served again.
    pub(crate) fn recheck_readable(&mut self, env: &mut Env) {
        self.recheck_clean(env);
        if self.readable(env.now.mono) != Readable::Yes {
            return self.plan_readable_check(env);
        }
        self.waiting.ready.append(&mut self.waiting.for_readable);
        if std::mem::take(&mut self.waiting.laggy) | std::mem::take(&mut self.waiting.wait) {
            self.stat_changed(env);
        }
    }

    /// The interval is over. Ops go back to the start of the queue if we still lead the PG (those that
    /// were logged will be found there); else the clients send them to whoever does.
    pub(crate) fn interrupt_ops(&mut self, env: &mut Env, same_primary: bool) {
        self.contexts.clear();
        self.watches.clear();
        env.rooms.forget(self.id);
        self.release_all_backoffs(env);
        self.waiting.laggy = false;
        self.waiting.wait = false;
        // What follows repetitions on their connections may be under way already.
        let repetitions = std::mem::take(&mut self.waiting.for_commit);
        let mut ops: VecDeque<ClientOp> = repetitions.into_values().flatten().collect();
        ops.extend(self.repops.take_ops());
        ops.extend(self.reads.take_ops());
        ops.append(&mut self.waiting.take_all());
        self.drop_recovery(env);
        if same_primary && self.is_primary() {
            for op in &mut ops {
                op.lock = Lock::None;
                op.prefetched.clear();
                op.copied = None;
            }
            self.waiting.for_active = ops;
        } else {
            ops.iter().for_each(|op| let_go(env, op));
        }
    }
}

/// The op is the next primary's. A client that sends nothing else hears of no new map but from us: without one it
/// would wait until it asks the monitors of its own accord, ten seconds and more (Ceph: `OSD::dequeue_op`, which
/// shares its map before it drops an op).
fn let_go(env: &mut Env, op: &ClientOp) {
    env.out.push(PgOutput::ShareMap { conn: op.conn, has: op.msg.map_epoch });
}

pub(crate) fn send_to_clients(env: &mut Env, sends: Vec<(ConnId, Message)>) {
    for (conn, msg) in sends {
        env.out.push(PgOutput::ToClient { conn, msg, after: None });
    }
}
