//! The PG itself: what it holds, and the calls that the OSD makes.
//!
//! Each call works on the value, gathers changes to the store in one transaction, and ends with
//! [`Pg::finish`], which adds the PG's own metadata to it and submits it. What must wait for that
//! commit is kept under the transaction's token.
//!
//! Invariants:
//! - `info.last_update` is the log's head, `info.log_tail` its tail.
//! - In the phases of a primary `ua.acting_primary` is this OSD; only then are the fields from
//!   `peers` on meaningful.
//! - Nothing of an earlier interval is answered to anyone: [`Pg::start_interval`] drops or requeues
//!   all that was under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use messages::{Body, Message};
use node::{Level, Token};
use os::{Coll, ReadError, Transaction, TxOp};
use osdmap::OsdMap;
use types::{
    EVersion, Epoch, HObject, LogEntry, ObjectStatSum, OsdId, OsdReqId, PastIntervals, PgInfo, PgPool, SpgId, UTime,
};

use crate::backfill::Backfill;
use crate::backoff::Backoffs;
use crate::client::Waiting;
use crate::env::{Env, PgOutput};
use crate::interval::{UpActing, members};
use crate::lease::Leases;
use crate::log::PgLog;
use crate::missing::{Missing, MissingLoc};
use crate::object::ObjectContexts;
use crate::peering::Peering;
use crate::persist::{self, Dirty};
use crate::recovery::Recovery;
use crate::replicate::{Reads, RepOps, fits_fast_info};
use crate::resend::Resend;
use crate::reserve::{Forced, RemoteSlot, Stage};
use crate::scrub::Scrub;
use crate::snap_map::SnapMap;
use crate::snap_trim::SnapTrim;
use crate::state_history::StateHistory;
use crate::stats::Published;
use crate::watch::Watches;

/// Why a PG that the store holds cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("pg {0}: reading its metadata")]
    Read(SpgId, #[source] ReadError),
    #[error("pg {0}: {1} is missing or does not decode")]
    Corrupt(SpgId, &'static str),
}

/// Where the PG is in its life, with what only that phase needs. Names are Ceph's; `Initial` and
/// `Start` are passed at once and have no variant.
#[derive(Debug)]
pub(crate) enum Phase {
    /// A new interval, or peering that must begin again; until the next `activate_map`.
    Reset,
    /// Not primary, and not (yet) told by the primary to be active.
    Stray,
    ReplicaActive(ReplicaActive),
    Peering(Peering),
    /// The acting set that we want has been asked for.
    WaitActingChange,
    Active(Active),
    /// The pool is gone, or the primary told us to go.
    Deleting(crate::remove::Deleting),
}

#[derive(Debug, Default)]
pub(crate) struct ReplicaActive {
    /// The activation has committed.
    pub committed: bool,
    /// What the primary asked us for.
    pub reservation: Option<RemoteSlot>,
}

/// What a primary keeps while its PG is active (or peered).
#[derive(Debug)]
pub(crate) struct Active {
    /// Members of `acting_recovery_backfill` that committed the activation.
    pub activated: BTreeSet<OsdId>,
    /// All of them did.
    pub all_activated: bool,
    /// How those that did not were told to.
    pub told: BTreeMap<OsdId, Activation>,
    pub stage: Stage,
    /// A target had no space when it was last asked.
    pub backfill_toofull: bool,
}

/// How a member was activated.
#[derive(Debug)]
pub(crate) struct Activation {
    pub how: Catchup,
    /// It never heard of the PG, so it needs the past intervals as well.
    pub with_past: bool,
}

#[derive(Debug)]
pub(crate) enum Catchup {
    /// Its log is ours.
    UpToDate,
    /// It lacks what was written since.
    LogSince(EVersion),
    /// It begins with nothing, and is backfilled.
    Afresh,
}

/// What is to be done when a transaction has committed.
#[derive(Debug)]
pub(crate) enum OnCommit {
    /// The activation of an interval: `reset` says of which.
    Activated {
        reset: Epoch,
        activation: Epoch,
    },
    /// Our own part of a write.
    RepOp {
        reset: Epoch,
        tid: u64,
    },
    /// An object that we recovered for ourselves.
    Recovered {
        reset: Epoch,
        soid: HObject,
    },
    /// `last_complete` as it was in the transaction.
    CompleteTo {
        reset: Epoch,
        version: EVersion,
    },
    Removed,
}

/// What a primary knows of its peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    pub info: BTreeMap<OsdId, PgInfo>,
    pub missing: BTreeMap<OsdId, Missing>,
    pub missing_requested: BTreeSet<OsdId>,
    /// Strays that were told to go.
    pub purged: BTreeSet<OsdId>,
    /// Have a copy but no part in the interval.
    pub strays: BTreeSet<OsdId>,
    pub last_complete_ondisk: BTreeMap<OsdId, EVersion>,
    pub might_have_unfound: BTreeSet<OsdId>,
}

/// One placement group on one OSD.
#[derive(Debug)]
pub struct Pg {
    pub(crate) id: SpgId,
    pub(crate) whoami: OsdId,
    pub(crate) map: Arc<OsdMap>,
    /// As last seen; stays when the pool is deleted.
    pub(crate) pool: Arc<PgPool>,
    pub(crate) ua: UpActing,
    pub(crate) phase: Phase,
    pub(crate) phase_since: UTime,
    pub(crate) started_since: UTime,
    pub(crate) states: StateHistory,

    // What is stored.
    pub(crate) info: PgInfo,
    pub(crate) past: PastIntervals,
    pub(crate) log: PgLog,
    pub(crate) missing: Missing,
    pub(crate) dirty: Dirty,
    pub(crate) persisted_epoch: Epoch,
    /// The sums in the stored `pg_info_t`.
    written_sum: ObjectStatSum,

    // The call under way, and what waits for commits.
    pub(crate) txn: Transaction,
    pub(crate) then: Vec<OnCommit>,
    on_commit: BTreeMap<Token, Vec<OnCommit>>,
    pub(crate) last_submitted: Token,
    pub(crate) last_committed: Token,
    /// What we say in a new interval speaks of what we hold, so it must not get out before that is on
    /// disk: the last transaction of the earlier intervals (Ceph: `begin_block_outgoing`).
    pub(crate) flush: Option<Token>,
    /// Messages of peers that need a later map than ours.
    pub(crate) waiting_for_map: VecDeque<(OsdId, Message)>,

    /// The epoch in which peering last began; answers to older questions are void.
    pub(crate) last_peering_reset: Epoch,
    /// The primary does not know yet that we have a copy.
    pub(crate) send_notify: bool,
    pub(crate) last_complete_ondisk: EVersion,
    pub(crate) leases: Leases,
    pub(crate) backoffs: Backoffs,
    pub(crate) contexts: ObjectContexts,
    pub(crate) watches: Watches,
    pub(crate) waiting: Waiting,
    pub(crate) repops: RepOps,
    pub(crate) resend: Resend,
    pub(crate) reads: Reads,
    pub(crate) snap_map: SnapMap,
    pub(crate) scrub: Scrub,

    // The primary's.
    pub(crate) peers: Peers,
    /// Who gets every write: the acting set and the targets of backfill.
    pub(crate) actingbackfill: BTreeSet<OsdId>,
    /// Those of them that the log does not bring up to date: not in the acting set until they are backfilled.
    pub(crate) backfill_targets: BTreeSet<OsdId>,
    pub(crate) want_acting: Vec<OsdId>,
    /// Whose logs, from here to there, were found not to join the authoritative one; kept over intervals.
    pub(crate) cut_off: BTreeMap<OsdId, (EVersion, EVersion)>,
    pub(crate) need_up_thru: bool,
    pub(crate) blocked_by: BTreeSet<OsdId>,
    pub(crate) missing_loc: MissingLoc,
    pub(crate) recovery: Recovery,
    pub(crate) trim: SnapTrim,
    pub(crate) backfill: Backfill,
    pub(crate) forced: Forced,
    pub(crate) last_update_ondisk: EVersion,
    pub(crate) min_last_complete_ondisk: EVersion,
    pub(crate) trim_to: EVersion,
    pub(crate) published: Published,
    /// Objects that are being put together in the temp collection.
    pub(crate) temp_objects: BTreeSet<HObject>,
}

impl Pg {
    pub(crate) fn new(id: SpgId, env: &Env, info: PgInfo) -> Self {
        let pool = env.map.pools.get(&id.pgid.pool).cloned().unwrap_or_default();
        Self {
            id,
            whoami: env.whoami,
            map: env.map.clone(),
            pool,
            ua: UpActing::of(env.map, id.pgid),
            phase: Phase::Reset,
            phase_since: env.now.wall,
            started_since: env.now.wall,
            states: StateHistory::new("Reset", env.map.epoch, env.now),
            past: PastIntervals::default(),
            log: PgLog::new(info.log_tail, info.last_update, Vec::new(), Vec::new()),
            missing: Missing::default(),
            dirty: Dirty::default(),
            persisted_epoch: 0,
            written_sum: info.stats.stats.sum.clone(),
            txn: Transaction::new(),
            then: Vec::new(),
            on_commit: BTreeMap::new(),
            last_submitted: Token(0),
            last_committed: Token(0),
            flush: None,
            waiting_for_map: VecDeque::new(),
            last_peering_reset: env.map.epoch,
            send_notify: false,
            last_complete_ondisk: info.last_complete,
            leases: Leases::default(),
            backoffs: Backoffs::default(),
            contexts: ObjectContexts::default(),
            watches: Watches::default(),
            waiting: Waiting::default(),
            repops: RepOps::default(),
            resend: Resend::default(),
            reads: Reads::default(),
            snap_map: SnapMap::default(),
            scrub: Scrub::default(),
            peers: Peers::default(),
            actingbackfill: BTreeSet::new(),
            backfill_targets: BTreeSet::new(),
            want_acting: Vec::new(),
            cut_off: BTreeMap::new(),
            need_up_thru: false,
            blocked_by: BTreeSet::new(),
            missing_loc: MissingLoc::default(),
            recovery: Recovery::default(),
            trim: SnapTrim::default(),
            backfill: Backfill::default(),
            forced: Forced::default(),
            last_update_ondisk: EVersion::ZERO,
            min_last_complete_ondisk: EVersion::ZERO,
            trim_to: EVersion::ZERO,
            published: Published::default(),
            temp_objects: BTreeSet::new(),
            info,
        }
    }

    pub fn id(&self) -> SpgId {
        self.id
    }

    pub fn map(&self) -> &Arc<OsdMap> {
        &self.map
    }

    /// The epoch of the map that [`Pg::load`] would begin with.
    pub fn stored_at(&self) -> Epoch {
        self.persisted_epoch
    }

    pub fn info(&self) -> &PgInfo {
        &self.info
    }

    pub fn is_primary(&self) -> bool {
        self.ua.acting_primary == self.whoami
    }

    pub(crate) fn is_acting(&self, osd: OsdId) -> bool {
        self.ua.acting.contains(&osd)
    }

    pub(crate) fn is_up_member(&self, osd: OsdId) -> bool {
        self.ua.up.contains(&osd)
    }

    /// Members of the acting set.
    pub(crate) fn actingset(&self) -> BTreeSet<OsdId> {
        members(&self.ua.acting).collect()
    }

    pub(crate) fn coll(&self) -> Coll {
        Coll::Pg(self.id)
    }

    pub(crate) fn enter(&mut self, env: &Env, phase: Phase) {
        self.phase = phase;
        self.phase_since = env.now.wall;
        self.note_state(env);
    }

    // --- messages

    /// What other OSDs send.
    pub fn peer_message(&mut self, env: &mut Env, from: OsdId, msg: Message) {
        let Some((_, epoch)) = crate::route::route(&msg) else { return };
        if self.is_deleting()
            || epoch > self.map.epoch
            || !self.waiting_for_map.is_empty() && self.map.epoch != env.map.epoch
        {
            self.waiting_for_map.push_back((from, msg));
            return;
        }
        self.dispatch(env, from, msg);
        self.run_ready(env);
        self.finish(env);
    }

    /// Messages that came while the PG was being deleted: for whoever comes after it.
    pub fn take_held(&mut self) -> impl Iterator<Item = (OsdId, Message)> {
        std::mem::take(&mut self.waiting_for_map).into_iter()
    }

    fn dispatch(&mut self, env: &mut Env, from: OsdId, msg: Message) {
        let tid = msg.tid;
        match msg.body {
            Body::MOSDPGNotify2(m) => self.on_notify(env, from, m.notify),
            Body::MOSDPGQuery2(m) => self.on_query(env, from, m.query),
            Body::MOSDPGInfo2(m) => self.on_info(env, from, *m),
            Body::MOSDPGLog(m) => self.on_log(env, from, *m),
            Body::MOSDPGLease(m) => self.on_lease(env, from, m),
            Body::MOSDPGLeaseAck(m) => self.on_lease_ack(env, from, m),
            Body::MOSDPGTrim(m) => self.on_trim(env, from, m),
            Body::MOSDPGRemove(m) => self.on_remove(env, from, m.epoch),
            Body::MRecoveryReserve(m) => self.on_recovery_reserve(env, from, m),
            Body::MBackfillReserve(m) => self.on_backfill_reserve(env, from, m),
            Body::MOSDPGScan(m) => self.on_scan(env, from, *m),
            Body::MOSDPGBackfill(m) => self.on_backfill(env, from, *m),
            Body::MOSDPGBackfillRemove(m) => self.on_backfill_remove(from, m),
            Body::MOSDRepOp(m) => self.on_repop(env, from, tid, *m),
            Body::MOSDRepOpReply(m) => self.on_repop_reply(env, from, tid, &m),
            Body::MOSDPGPush(m) => self.on_push(env, from, m),
            Body::MOSDPGPushReply(m) => self.on_push_reply(env, from, m),
            Body::MOSDScrubReserve(m) => self.on_scrub_reserve(env, from, &m),
            Body::MOSDRepScrub(m) => self.on_rep_scrub(from, tid, &m),
            Body::MOSDRepScrubMap(m) => self.on_rep_scrub_map(env, from, tid, &m),
            Body::MOSDPGPull(m) => self.on_pull(env, from, m),
            Body::MOSDPGRecoveryDelete(m) => self.on_recovery_delete(env, from, m),
            Body::MOSDPGRecoveryDeleteReply(m) => self.on_recovery_delete_reply(env, from, m),
            _ => (),
        }
    }

    /// Whether a peering message belongs to questions that are void by now
    /// (Ceph: `old_peering_msg`).
    pub(crate) fn is_old(&self, sent: Epoch, query: Epoch) -> bool {
        self.last_peering_reset > sent || self.last_peering_reset > query
    }

    /// Whether a message of a replicated write or a recovery belongs to an earlier interval, or to an
    /// earlier life of its sender (Ceph: `can_discard_replica_op`).
    pub(crate) fn is_stale(&self, from: OsdId, epoch: Epoch) -> bool {
        epoch < self.info.history.same_interval_since || !self.map.is_up(from) || self.map.up_from(from) > epoch
    }

    // --- commits

    /// A token of a `Submit` has committed.
    pub fn committed(&mut self, env: &mut Env, token: Token) {
        self.last_committed = token;
        self.snap_map.committed(token);
        if self.flush.is_some_and(|t| t <= token) {
            self.flush = None;
        }
        for what in self.on_commit.remove(&token).unwrap_or_default() {
            self.on_committed(env, what);
        }
        self.run_ready(env);
        self.finish(env);
    }

    fn on_committed(&mut self, env: &mut Env, what: OnCommit) {
        match what {
            OnCommit::Removed => env.out.push(PgOutput::Removed),
            OnCommit::Activated { reset, .. }
            | OnCommit::RepOp { reset, .. }
            | OnCommit::Recovered { reset, .. }
            | OnCommit::CompleteTo { reset, .. }
                if reset < self.last_peering_reset => {}
            OnCommit::Activated { activation, .. } => self.activate_committed(env, activation),
            OnCommit::RepOp { tid, .. } => self.repop_committed(env, self.whoami, tid),
            OnCommit::Recovered { soid, .. } => self.recovered_on_disk(env, &soid),
            OnCommit::CompleteTo { version, .. } => self.complete_on_disk(env, version),
        }
    }

    /// Ends a call: the metadata that changed joins the transaction, and off it goes.
    pub(crate) fn finish(&mut self, env: &mut Env) {
        self.kick_backfill(env);
        if let Some(flush) = self.flush {
            for output in env.out.iter_mut() {
                if let PgOutput::ToOsd { after: after @ None, .. } = output {
                    *after = Some(flush);
                }
            }
        }
        self.plan_resend(env);
        self.write_metadata();
        if self.txn.is_empty() {
            let then = std::mem::take(&mut self.then);
            // Nothing to write: it is on disk already.
            for what in then {
                self.on_committed(env, what);
            }
            if !self.txn.is_empty() || self.dirty != Dirty::default() {
                self.finish(env);
            }
            return;
        }
        self.submit(env);
    }

    /// Submits what has been gathered.
    pub(crate) fn submit(&mut self, env: &mut Env) -> Token {
        let coll = self.coll();
        if let Err(e) = self.snap_map.prepare(env.store, coll, &mut self.txn) {
            env.cluster_log(Level::Error, format!("{} cannot read the index of its clones: {e}", self.id.pgid));
        }
        let token = env.submit(std::mem::take(&mut self.txn));
        self.last_submitted = token;
        self.snap_map.submitted(token);
        if !self.then.is_empty() {
            self.on_commit.insert(token, std::mem::take(&mut self.then));
        }
        token
    }

    pub(crate) fn write_metadata(&mut self) {
        if matches!(self.phase, Phase::Deleting(_)) {
            return;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        // The small record has no place for the log's tail.
        dirty.info |= self.info.log_tail != self.log.tail;
        dirty.info |= dirty.fast && !fits_fast_info(&self.written_sum, &self.info.stats.stats.sum);
        if dirty.info || dirty.big {
            self.written_sum.clone_from(&self.info.stats.stats.sum);
        }
        if dirty.info || dirty.big || dirty.epoch {
            self.persisted_epoch = self.map.epoch;
        }
        self.info.log_tail = self.log.tail;
        let parts = persist::Parts {
            id: self.id,
            epoch: self.map.epoch,
            info: &self.info,
            past: &self.past,
            log: &mut self.log,
            missing: &mut self.missing,
        };
        persist::write(dirty, parts, &mut self.txn);
    }

    // --- odds and ends

    /// Objects go from the store because divergent writes made them.
    pub(crate) fn remove_objects(&mut self, objects: Vec<HObject>) {
        let coll = self.coll();
        for soid in objects {
            self.contexts.forget(&soid);
            self.txn.push(TxOp::Remove { coll, oid: soid.into() });
        }
    }

    /// The newest entries, for tests and queries.
    pub fn log_entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> {
        self.log.entries()
    }

    /// What this copy lacks, with the version that it has and the one it needs; for tests and queries.
    pub fn missing_objects(&self) -> impl Iterator<Item = (&HObject, EVersion, EVersion)> {
        self.missing.iter().map(|(soid, item)| (soid, item.have, item.need))
    }

    /// Whether the log, or what is left of its older part, has the request.
    pub fn knows_request(&self, reqid: &OsdReqId) -> bool {
        self.log.request(reqid).is_some()
    }

    /// Timers: to be called at [`Pg::next_wakeup`] or later.
    pub fn wake(&mut self, env: &mut Env) {
        self.leases_due(env);
        self.watches_due(env);
        self.resend_due(env);
        self.recovery_due(env);
        self.run_ready(env);
        self.delete_some(env);
        self.trim_some(env);
        self.scrub_some(env);
        self.run_ready(env);
        self.finish(env);
    }

    pub fn next_wakeup(&self) -> Option<Duration> {
        let background = [self.delete_wakeup(), self.trim.next_wakeup(), self.resend.at, self.recovery_wakeup()];
        let background = background.into_iter().chain([self.scrub.next_wakeup()]);
        [self.leases.next_wakeup(), self.watches.next_deadline()].into_iter().chain(background).flatten().min()
    }

    /// The OSDs that the PG must exchange pings with.
    pub fn heartbeat_peers(&self) -> Vec<OsdId> {
        if !self.is_primary() {
            return Vec::new();
        }
        let known = self.peers.info.keys().copied();
        let mut peers: BTreeSet<OsdId> = members(&self.ua.acting).chain(members(&self.ua.up)).chain(known).collect();
        peers.remove(&self.whoami);
        peers.into_iter().collect()
    }

    /// The last epoch in which the PG was clean in all its places (for the trimming of maps).
    pub fn last_epoch_clean(&self) -> Epoch {
        if self.is_clean() { self.map.epoch } else { self.info.history.last_epoch_clean }
    }
}
