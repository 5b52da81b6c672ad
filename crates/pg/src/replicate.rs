//! Replicated writes: the primary's transaction and log entries go to every member of the acting set;
//! the client is answered when all of them have it on disk (Ceph: `ReplicatedBackend`,
//! `PrimaryLogPG::issue_repop`).
//!
//! Invariants:
//! - Writes are answered in the order of their versions.
//! - The log entry, the info and the objects change in one transaction, on the primary and on each
//!   replica.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use denc::{Encoder, to_bytes};
use messages::{MOSDOpReply, MOSDRepOp, MOSDRepOpReply};
use node::{Level, Token};
use os::{Coll, ReadError, Transaction, TxOp};
use types::{
    EVersion, Epoch, GHObject, HObject, LogEntry, ObjectStatSum, OsdId, OsdReqId, PgShard, features, op_flag, osd_flag,
};

use crate::client::ClientOp;
use crate::env::{Env, PgOutput};
use crate::object::Lock;
use crate::ops::{Copied, ReadRange, WriteSet};
use crate::pg::{OnCommit, Pg, Phase};
use crate::planted;
use crate::room;
use crate::track::Event;
use crate::watch::Effects;

/// A write under way.
#[derive(Debug)]
pub(crate) struct RepOp {
    pub tid: u64,
    pub version: EVersion,
    /// Who has not committed yet.
    waiting: Vec<OsdId>,
    /// About what it takes of each disk; counted while room is scarce.
    need: u64,
    /// Our `last_complete` once it is on our disk.
    complete_to: EVersion,
    sent: Sent,
    /// `None` for writes of our own, such as the removal of a watch.
    pub op: Option<Box<ClientOp>>,
    reply: Option<Box<MOSDOpReply>>,
    effects: Option<Box<Effects>>,
}

/// What the replicas get of a write; kept until they have it on disk, to be sent again if need be.
#[derive(Debug)]
struct Sent {
    reqid: OsdReqId,
    poid: HObject,
    entries: Bytes,
    data: Bytes,
}

/// Writes under way, oldest first; their tids count up by one.
#[derive(Debug, Default)]
pub(crate) struct RepOps {
    queue: VecDeque<RepOp>,
    last_tid: u64,
}

impl RepOps {
    pub fn take_ops(&mut self) -> Vec<ClientOp> {
        self.queue.drain(..).filter_map(|r| r.op).map(|op| *op).collect()
    }

    pub fn ops(&self) -> impl Iterator<Item = &ClientOp> {
        self.queue.iter().filter_map(|r| r.op.as_deref())
    }
}

/// Bulk reads for client ops under way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    by_token: BTreeMap<Token, u64>,
    ops: BTreeMap<u64, PendingRead>,
    last_id: u64,
    /// Ops that wait for another PG's object.
    pub copies: BTreeMap<Token, ClientOp>,
}

#[derive(Debug)]
struct PendingRead {
    op: ClientOp,
    left: BTreeMap<Token, ReadRange>,
    failed: Option<(HObject, String)>,
}

impl Reads {
    pub fn take_ops(&mut self) -> Vec<ClientOp> {
        self.by_token.clear();
        let copies = std::mem::take(&mut self.copies).into_values();
        copies.chain(std::mem::take(&mut self.ops).into_values().map(|p| p.op)).collect()
    }

    pub fn ops(&self) -> impl Iterator<Item = &ClientOp> {
        self.copies.values().chain(self.ops.values().map(|p| &p.op))
    }
}

impl Pg {
    /// The version of the next write.
    pub(crate) fn next_version(&self) -> EVersion {
        EVersion::new(self.map.epoch, self.log.head.version.max(self.info.last_update.version) + 1)
    }

    /// Logs, replicates and submits a write; gives its number.
    pub(crate) fn submit_write(&mut self, env: &mut Env, op: Option<ClientOp>, reqid: OsdReqId, ws: WriteSet) -> u64 {
        let version = ws.log.last().map(|e| e.version).expect("every write leaves an entry in the log");
        self.info.stats.stats.sum += &ws.stats;
        self.info.stats.stats.sum.floor(0);
        if let Some(e) = ws.log.last() {
            self.note_backfill_sums(&e.soid, &ws.stats);
            self.scrub.wrote(&e.soid, &ws.stats);
        }
        self.calc_trim_to(env);
        self.repops.last_tid += 1;
        let tid = self.repops.last_tid;
        let replicas: Vec<OsdId> = self.actingbackfill.iter().copied().filter(|o| *o != self.whoami).collect();
        let poid = ws.log.last().map(|e| e.soid.clone()).unwrap_or_default();
        let sent = Sent { reqid, poid, entries: encode_entries(&ws.log), data: to_bytes(&ws.txn, features::ALL) };
        let need = if env.rooms.is_scarce() { room::need(env.store, self.coll(), &ws.txn) } else { 0 };
        for entry in ws.log {
            self.snap_map.note_entry(&entry);
            self.append_entry(entry);
        }
        self.log.trim(self.trim_to, env.cfg.pg_log_dups_tracked);
        for context in ws.contexts {
            self.contexts.put(context);
        }
        self.txn.append(ws.txn);
        self.dirty.fast = true;
        self.write_metadata();
        self.then.push(OnCommit::RepOp { reset: self.last_peering_reset, tid });
        self.submit(env);
        for osd in &replicas {
            if let Some(info) = self.peers.info.get_mut(osd) {
                if info.last_complete == info.last_update {
                    info.last_complete = version;
                }
                info.last_update = version;
            }
        }
        for osd in &replicas {
            env.rooms.sent(*osd, self.id, need);
            self.send_repop(env, *osd, tid, version, &sent);
        }
        let mut op = op;
        if let Some(op) = op.as_mut().filter(|_| !replicas.is_empty()) {
            op.trace.sub_ops_sent(env.now, &replicas);
        }
        let mut waiting = replicas;
        waiting.push(self.whoami);
        self.repops.queue.push_back(RepOp {
            tid,
            version,
            waiting,
            need,
            complete_to: self.info.last_complete,
            sent,
            op: op.map(Box::new),
            reply: ws.reply,
            effects: ws.effects,
        });
        tid
    }

    /// One member's part of a write. A target of backfill that has not come to the object yet only logs it
    /// (Ceph: `should_send_op`, `generate_subop`).
    fn send_repop(&self, env: &mut Env, osd: OsdId, tid: u64, version: EVersion, sent: &Sent) {
        let target = self.peers.info.get(&osd).filter(|i| i.is_incomplete());
        let m = MOSDRepOp {
            map_epoch: self.map.epoch,
            min_epoch: self.last_peering_reset,
            reqid: sent.reqid,
            pgid: self.id,
            poid: sent.poid.clone(),
            acks_wanted: osd_flag::ONDISK as u8,
            version,
            log_entries: sent.entries.clone(),
            pg_stats: target.map_or(&self.info.stats, |i| &i.stats).clone(),
            pg_trim_to: self.trim_to,
            from: PgShard::from(self.whoami),
            min_last_complete_ondisk: self.min_last_complete_ondisk,
            data: match self.is_backfilled_at(osd, &sent.poid) {
                true => sent.data.clone(),
                false => to_bytes(&Transaction::new(), features::ALL),
            },
            ..MOSDRepOp::default()
        };
        env.send_osd(osd, messages::Message::new(m).with_tid(tid));
    }

    /// Sends a member again what it has not said to have on disk, in the order of the writes.
    pub(crate) fn resend_repops(&self, env: &mut Env, osd: OsdId) {
        for r in self.repops.queue.iter().filter(|r| r.waiting.contains(&osd)) {
            self.send_repop(env, osd, r.tid, r.version, &r.sent);
        }
    }

    /// The oldest write under way, and who does not have it yet.
    pub(crate) fn oldest_repop(&self) -> Option<(u64, &[OsdId])> {
        self.repops.queue.front().map(|r| (r.tid, r.waiting.as_slice()))
    }

    /// Whether a member follows what is written to an object: all do, but targets of backfill that have not
    /// come to it.
    pub(crate) fn is_backfilled_at(&self, osd: OsdId, soid: &HObject) -> bool {
        *soid <= self.backfill.last_started || self.peers.info.get(&osd).is_none_or(|i| *soid <= i.last_backfill)
    }

    /// Takes an entry into the log and the info (Ceph: `add_log_entry`).
    fn append_entry(&mut self, entry: LogEntry) {
        if self.info.last_complete == self.info.last_update {
            self.info.last_complete = entry.version;
        }
        self.info.last_update = entry.version;
        self.info.last_user_version = self.info.last_user_version.max(entry.user_version);
        self.info.stats.version = entry.version;
        self.log.append(entry);
    }

    /// Up to where the log may be cut: what is on disk everywhere, and no more than is needed to keep the log
    /// within its size. A member that has still to be brought up to date holds nothing up, for what it lacks
    /// is known by now (Ceph: `calc_trim_to_aggressive`, which `pglog_hardlimit` asks for).
    fn calc_trim_to(&mut self, env: &Env) {
        let target = env.cfg.pg_log_entries();
        let limit = self.last_update_ondisk;
        if limit.is_zero() || limit <= self.trim_to || self.log.size() <= target {
            return;
        }
        let count = (self.log.size() - target).min(env.cfg.pg_log_trim_max);
        if count < env.cfg.pg_log_trim_min && env.cfg.pg_log_trim_max >= env.cfg.pg_log_trim_min {
            return;
        }
        if let Some(e) = self.log.entries().nth(count - 1) {
            self.trim_to = self.trim_to.max(e.version.min(limit));
        }
    }

    pub(crate) fn calc_min_last_complete(&mut self) {
        let mut min = self.last_complete_ondisk;
        for osd in self.actingbackfill.iter().filter(|o| **o != self.whoami) {
            match self.peers.last_complete_ondisk.get(osd) {
                Some(v) => min = min.min(*v),
                None => return,
            }
        }
        self.min_last_complete_ondisk = self.min_last_complete_ondisk.max(min);
    }

    // --- the replica

    /// A write from the primary.
    pub(crate) fn on_repop(&mut self, env: &mut Env, from: OsdId, tid: u64, m: MOSDRepOp) {
        let active = matches!(self.phase, Phase::ReplicaActive(_));
        if self.is_stale(from, m.map_epoch) || !active || from != self.ua.acting_primary {
            return;
        }
        let (mut txn, entries) = match self.decode_repop(&m) {
            Ok((_, entries)) if entries.last().is_some_and(|e| e.version <= self.log.head) => {
                // Sent again: it is in the log, and on disk when what was submitted last is.
                let epochs = (m.map_epoch, m.min_epoch);
                return self.reply_repop(env, from, tid, epochs, m.reqid, self.last_submitted);
            }
            Ok(decoded) => decoded,
            Err(why) => {
                let text = format!("{} write {} from osd.{from} is refused: {why}", self.id.pgid, m.version);
                return env.cluster_log(Level::Error, text);
            }
        };
        self.leave_out_lost(env, &mut txn);
        self.dirty.info |= self.note_started();
        self.note_lost(&m, &entries);
        for entry in entries {
            // Empty: backfill will bring the object.
            if !txn.is_empty() {
                self.snap_map.note_entry(&entry);
            }
            self.append_entry(entry);
        }
        self.info.stats = m.pg_stats;
        self.min_last_complete_ondisk = m.min_last_complete_ondisk;
        self.log.trim(m.pg_trim_to.min(self.info.last_update), env.cfg.pg_log_dups_tracked);
        self.txn.append(txn);
        self.dirty.fast = true;
        self.write_metadata();
        let after = self.submit(env);
        self.reply_repop(env, from, tid, (m.map_epoch, m.min_epoch), m.reqid, after);
    }

    /// What is to be copied and is gone from our disk cannot be: the store would end the OSD. What comes of the rest is
    /// no worse than any write upon what is gone, and scrubs mend it.
    fn leave_out_lost(&self, env: &mut Env, txn: &mut Transaction) {
        let is_copy = |op: &TxOp| matches!(op, TxOp::Clone { .. } | TxOp::CloneRange { .. });
        if !txn.ops.iter().any(is_copy) {
            return;
        }
        let mut made: BTreeSet<GHObject> = BTreeSet::new();
        let mut lost: BTreeSet<GHObject> = BTreeSet::new();
        txn.ops.retain(|op| match op {
            TxOp::Clone { coll, oid, dest } | TxOp::CloneRange { coll, oid, dest, .. } => {
                let here = made.contains(oid) || !matches!(env.store.stat(*coll, oid), Ok(None));
                let into = if here { &mut made } else { &mut lost };
                into.insert(if here { dest } else { oid }.clone());
                here
            }
            TxOp::MoveRename { dest, .. } => {
                made.insert(dest.clone());
                true
            }
            TxOp::Create { oid, .. }
            | TxOp::Touch { oid, .. }
            | TxOp::Write { oid, .. }
            | TxOp::Truncate { oid, .. }
            | TxOp::SetAttrs { oid, .. } => {
                made.insert(oid.clone());
                true
            }
            _ => true,
        });
        for oid in lost {
            let text =
                format!("{} {}: is gone from osd.{}; a repair brings it back", self.id.pgid, oid.hobj, self.whoami);
            env.cluster_log(Level::Error, text);
        }
    }

    fn reply_repop(
        &self,
        env: &mut Env,
        to: OsdId,
        tid: u64,
        (map_epoch, min_epoch): (Epoch, Epoch),
        reqid: OsdReqId,
        after: Token,
    ) {
        let reply = MOSDRepOpReply {
            map_epoch,
            min_epoch,
            reqid,
            pgid: self.id,
            ack_type: osd_flag::ONDISK as u8,
            result: env.rooms.word(),
            last_complete_ondisk: self.info.last_complete,
            from: PgShard::from(self.whoami),
        };
        let msg = messages::Message::new(reply).with_tid(tid);
        let uncommitted = after > self.last_committed && !planted::has(planted::Bug::AckBeforeCommit);
        let after = uncommitted.then_some(after);
        env.out.push(PgOutput::ToOsd { osd: to, msg, after });
    }

    /// Whoever remembers a write must remember that it was made in an interval that went active, even if
    /// the primary's word on that has not come yet (Ceph: `append_log`). Whether that is news. (A backfill
    /// target outside of the acting set knows of the start by the primary's word alone: its own copy counts
    /// for an older one. Unlike Ceph, which then takes back what the target was told.)
    fn note_started(&mut self) -> bool {
        let started = (self.info.last_epoch_started, self.info.last_interval_started);
        let history = &mut self.info.history;
        let known = (history.last_epoch_started, history.last_interval_started);
        history.last_epoch_started = known.0.max(started.0);
        history.last_interval_started = known.1.max(started.1);
        known != (history.last_epoch_started, history.last_interval_started)
    }

    /// Nothing that a peer sends may reach beyond this PG or break the log's order.
    fn decode_repop(&self, m: &MOSDRepOp) -> Result<(Transaction, Vec<LogEntry>), String> {
        let mut txn: Transaction = denc::from_bytes(m.data.clone()).map_err(|e| e.to_string())?;
        for op in &mut txn.ops {
            // Clients read from the primary: this copy need not stay in memory.
            if let TxOp::Write { fadvise, .. } = op {
                *fadvise |= op_flag::FADVISE_DONTNEED;
            }
        }
        let entries: Vec<LogEntry> = denc::from_bytes(m.log_entries.clone()).map_err(|e| e.to_string())?;
        let ours = |c: Coll| c == self.coll() || c == Coll::Temp(self.id);
        let harmless = |op: &TxOp| {
            let (coll, dest) = op.colls();
            ours(coll) && dest.is_none_or(ours) && !matches!(op, TxOp::RmColl { .. } | TxOp::SplitColl { .. })
        };
        if !txn.ops.iter().all(harmless) {
            return Err("it touches another collection".into());
        }
        let is_known = |e: &LogEntry| match self.log.find(e.version) {
            Some(known) => known.reqid == e.reqid && known.soid == e.soid,
            None => e.version <= self.log.tail,
        };
        if entries.last().is_some_and(|e| e.version <= self.log.head) && entries.iter().all(is_known) {
            return Ok((txn, entries));
        }
        let mut last = self.log.head;
        for e in &entries {
            // A gap would mean that a write got lost on the way.
            if e.version <= last || e.version.version != last.version + 1 {
                return Err(format!("version {} follows {last}", e.version));
            }
            last = e.version;
        }
        Ok((txn, entries))
    }

    // --- commits on the primary

    pub(crate) fn on_repop_reply(&mut self, env: &mut Env, from: OsdId, tid: u64, m: &MOSDRepOpReply) {
        if self.is_stale(from, m.map_epoch) || !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        self.peers.last_complete_ondisk.insert(from, m.last_complete_ondisk);
        env.rooms.heard(env.now.mono, from, m.result);
        self.repop_committed(env, from, tid);
    }

    pub(crate) fn repop_committed(&mut self, env: &mut Env, by: OsdId, tid: u64) {
        let Some(first) = self.repops.queue.front().map(|r| r.tid) else { return };
        let place = tid.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        let Some(repop) = place.and_then(|i| self.repops.queue.get_mut(i)) else { return };
        if repop.waiting.contains(&by) {
            repop.waiting.retain(|o| *o != by);
            env.rooms.done(by, self.id, repop.need);
        }
        if let Some(op) = &mut repop.op {
            op.trace.mark(env.now, if by == self.whoami { Event::OpCommit } else { Event::SubOpCommit(by) });
        }
        if by == self.whoami {
            self.last_complete_ondisk = self.last_complete_ondisk.max(repop.complete_to);
        }
        while self.repops.queue.front().is_some_and(|r| r.waiting.is_empty()) {
            let done = self.repops.queue.pop_front().expect("there is a front");
            self.write_done(env, done);
        }
    }

    /// Everyone has it on disk.
    fn write_done(&mut self, env: &mut Env, repop: RepOp) {
        self.last_update_ondisk = repop.version;
        self.calc_min_last_complete();
        if let Some(effects) = repop.effects {
            self.apply_effects(env, *effects);
        }
        if let Some(mut op) = repop.op {
            self.unlock(&mut op);
            if let Some(reply) = repop.reply {
                self.reply(env, *op, *reply);
            }
        }
        self.trim_committed(env, repop.tid);
        self.digest_committed(env, repop.tid);
        self.answer_repetitions(env, repop.version);
        self.requeue_for_room();
    }

    // --- bulk reads

    /// Reads what an op needs before it can be carried out; the op keeps its lock.
    pub(crate) fn start_reads(&mut self, env: &mut Env, op: ClientOp, ranges: Vec<ReadRange>) {
        self.reads.last_id += 1;
        let id = self.reads.last_id;
        let mut left = BTreeMap::new();
        for range in ranges {
            let token = env.tokens.next();
            let (coll, oid) = (self.coll(), range.soid.clone().into());
            env.out.push(PgOutput::Read { token, coll, oid, off: range.off, len: range.len, fresh: false });
            self.reads.by_token.insert(token, id);
            left.insert(token, range);
        }
        self.reads.ops.insert(id, PendingRead { op, left, failed: None });
    }

    /// Answers `PgOutput::Read`.
    pub fn read_done(&mut self, env: &mut Env, token: Token, result: Result<Option<Bytes>, ReadError>) {
        if let Some(id) = self.reads.by_token.remove(&token) {
            self.client_read_done(env, id, token, result);
        } else if self.scrub_read_done(env, token, &result) {
            self.scrub_some(env);
        } else {
            self.piece_read(env, token, result);
        }
        self.run_ready(env);
        self.finish(env);
    }

    /// Answers `PgOutput::Fetch`.
    pub fn fetched(&mut self, env: &mut Env, token: Token, copied: Copied) {
        if let Some(op) = self.reads.copies.remove(&token) {
            self.execute(env, ClientOp { copied: Some(Box::new(copied)), ..op });
        }
        self.run_ready(env);
        self.finish(env);
    }

    fn client_read_done(&mut self, env: &mut Env, id: u64, token: Token, result: Result<Option<Bytes>, ReadError>) {
        let Some(pending) = self.reads.ops.get_mut(&id) else { return };
        let Some(range) = pending.left.remove(&token) else { return };
        match result {
            Ok(data) => pending.op.prefetched.push((range, data.unwrap_or_default())),
            Err(e) => pending.failed = Some((range.soid, e.to_string())),
        }
        if !pending.left.is_empty() {
            return;
        }
        let pending = self.reads.ops.remove(&id).expect("it was just looked at");
        match pending.failed {
            None => self.execute(env, pending.op),
            Some((soid, why)) => self.damaged(env, pending.op, &soid, why),
        }
    }

    pub(crate) fn unlock(&mut self, op: &mut ClientOp) {
        let lock = std::mem::replace(&mut op.lock, Lock::None);
        let head = op.head();
        if self.contexts.unlock(&head, lock) {
            self.object_is_free(&head);
        }
    }
}

fn encode_entries(entries: &[LogEntry]) -> Bytes {
    let mut e = Encoder::with_capacity(features::ALL, 256 * entries.len());
    e.seq(entries.iter());
    e.finish()
}

/// Whether the small info record can hold the change of the sums since the large one was written.
pub(crate) fn fits_fast_info(written: &ObjectStatSum, now: &ObjectStatSum) -> bool {
    let mut same = now.clone();
    same.num_bytes = written.num_bytes;
    same.num_objects = written.num_objects;
    same.num_object_copies = written.num_object_copies;
    same.num_rd = written.num_rd;
    same.num_rd_kb = written.num_rd_kb;
    same.num_wr = written.num_wr;
    same.num_wr_kb = written.num_wr_kb;
    same.num_objects_dirty = written.num_objects_dirty;
    same == *written
}
