//! Trimming: what removed snapshots left behind goes in the background, a few clones at a time
//! (Ceph: `PrimaryLogPG::SnapTrimmer`).
//!
//! ```text
//!  NotTrimming ─► WaitReservation ─► AwaitAsyncWork ─► WaitRepops ─► WaitTrimTimer ─┐
//!       ▲  (osd_max_trimming_pgs)      ▲   │  ▲                                     │
//!       │                              │   ▼  └──────── osd_snap_trim_sleep ◄───────┘
//!       └── nothing of the snap left ──┼── ·
//!                                 WaitRWLock (a client is at the object)
//! ```
//! The queue is the map's `removed_snaps_queue` without what this PG has trimmed before
//! (`pg_info_t::purged_snaps`). Only the primary of a clean PG trims, so a clone is changed on all members
//! at once, by writes like any other.
//!
//! Invariant: in every state but `NotTrimming` the PG has asked the OSD for a slot, or holds it.

use std::collections::BTreeSet;
use std::time::Duration;

use node::{Level, Now};
use types::{HObject, IntervalSet, OsdReqId, SnapId, osdmap_flag, pg_state};

use crate::client::ClientOp;
use crate::env::{Env, PgOutput};
use crate::object::Lock;
use crate::ops::{self, TrimError};
use crate::pg::Pg;
use crate::snap_map;

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    NotTrimming,
    WaitReservation,
    AwaitAsyncWork,
    /// For the lock on this head.
    WaitRWLock(HObject),
    /// For these writes to be committed everywhere.
    WaitRepops(BTreeSet<u64>),
    WaitTrimTimer {
        until: Duration,
    },
}

#[derive(Debug, Default)]
pub(crate) struct SnapTrim {
    /// `snap_trimq`: removed, and not trimmed yet.
    queue: IntervalSet,
    state: State,
    /// What is being trimmed, from `AwaitAsyncWork` on.
    snap: SnapId,
    /// The last attempt met an object that needs repair.
    error: bool,
}

impl SnapTrim {
    pub fn queue(&self) -> &IntervalSet {
        &self.queue
    }

    /// Bits of [`pg_state`].
    pub fn flags(&self) -> u64 {
        let state = match &self.state {
            State::NotTrimming => 0,
            State::WaitReservation => pg_state::SNAPTRIM_WAIT,
            _ => pg_state::SNAPTRIM,
        };
        if self.error { state | pg_state::SNAPTRIM_ERROR } else { state }
    }

    /// When the pause between two rounds is over.
    pub fn next_wakeup(&self) -> Option<Duration> {
        match self.state {
            State::WaitTrimTimer { until } => Some(until),
            _ => None,
        }
    }

    /// Whether there is work that waits for nothing.
    pub fn is_runnable(&self, now: Now) -> bool {
        self.state == State::AwaitAsyncWork || self.next_wakeup().is_some_and(|at| at <= now.mono)
    }

    /// A lock that somebody held is free.
    pub fn unlocked(&mut self, head: &HObject) {
        if matches!(&self.state, State::WaitRWLock(h) if h == head) {
            self.state = State::AwaitAsyncWork;
        }
    }
}

impl Pg {
    // --- the queue

    /// The PG goes active: what is there to trim (Ceph: `PeeringState::activate`).
    pub(crate) fn queue_removed_snaps(&mut self) {
        let mut queue = self.map.removed_snaps_queue.get(&self.id.pgid.pool).cloned().unwrap_or_default();
        let mut purged = queue.clone();
        purged.intersection_of(&self.info.purged_snaps);
        queue.subtract(&purged);
        // What has left the map's queue meanwhile need not be remembered.
        self.info.purged_snaps = purged;
        self.trim.queue = queue;
    }

    /// A map that goes on with the interval removes snapshots, or says that all PGs have trimmed some
    /// (Ceph: `PG::on_active_advmap`).
    pub(crate) fn advance_snaps(&mut self, env: &mut Env) {
        let (map, pool) = (self.map.clone(), self.id.pgid.pool);
        if let Some(removed) = map.new_removed_snaps.get(&pool) {
            self.trim.queue.union_of(removed);
            self.stat_changed(env);
        }
        let Some(purged) = map.new_purged_snaps.get(&pool) else { return };
        self.info.purged_snaps.subtract(purged);
        // Those who trimmed it elsewhere while we did not lead the PG.
        self.trim.queue.subtract(purged);
        self.dirty.info = true;
        self.share_info(env);
        self.stat_changed(env);
    }

    // --- states

    /// Starts if there is something to trim and nothing in the way (Ceph: `kick_snap_trim`).
    pub(crate) fn kick_snap_trim(&mut self, env: &mut Env) {
        if self.trim.state == State::NotTrimming && self.can_trim() {
            self.set_trim_state(env, State::WaitReservation);
            env.out.push(PgOutput::ReserveSnapTrim);
        }
    }

    fn can_trim(&self) -> bool {
        !self.trim.queue.is_empty()
            && self.is_clean()
            && !self.scrub.is_active()
            // What is being mended is on its way to members: a clone must not go meanwhile, and come back.
            && self.missing_loc.all().next().is_none()
            && !self.map.test_flag(osdmap_flag::NOSNAPTRIM)
            && self.state() & pg_state::PREMERGE == 0
    }

    fn set_trim_state(&mut self, env: &mut Env, state: State) {
        self.trim.state = state;
        self.stat_changed(env);
    }

    /// Gives the slot back; the queue stays.
    fn pause_trimming(&mut self, env: &mut Env) {
        if self.trim.state != State::NotTrimming {
            env.out.push(PgOutput::CancelSnapTrim);
            self.set_trim_state(env, State::NotTrimming);
        }
    }

    /// The interval is over.
    pub(crate) fn stop_trimming(&mut self, env: &mut Env) {
        self.pause_trimming(env);
        self.trim = SnapTrim::default();
    }

    /// The OSD has a slot of `osd_max_trimming_pgs` for us.
    pub fn snap_trim_reserved(&mut self, env: &mut Env) {
        if self.trim.state != State::WaitReservation {
            env.out.push(PgOutput::CancelSnapTrim);
        } else if let Some(snap) = self.trim.queue.range_start().filter(|_| self.can_trim()) {
            self.trim.snap = snap;
            self.trim.error = false;
            self.set_trim_state(env, State::AwaitAsyncWork);
        } else {
            self.pause_trimming(env);
        }
        self.finish(env);
    }

    /// A write is committed everywhere; perhaps one of ours.
    pub(crate) fn trim_committed(&mut self, env: &mut Env, tid: u64) {
        let State::WaitRepops(in_flight) = &mut self.trim.state else { return };
        if !in_flight.remove(&tid) || !in_flight.is_empty() {
            return;
        }
        if self.trim.error || !self.can_trim() {
            return self.pause_trimming(env);
        }
        let sleep = env.cfg.snap_trim_sleep;
        self.trim.state = match sleep.is_zero() {
            true => State::AwaitAsyncWork,
            false => State::WaitTrimTimer { until: env.now.mono + sleep },
        };
    }

    /// One round; nothing if it is not the time for one. Whether another may follow at once.
    pub(crate) fn trim_some(&mut self, env: &mut Env) -> bool {
        if !self.trim.is_runnable(env.now) {
            return false;
        }
        if !self.can_trim() {
            self.pause_trimming(env);
            self.kick_snap_trim(env);
            return false;
        }
        let (snap, max) = (self.trim.snap, env.cfg.pg_max_concurrent_snap_trims.max(1));
        let bits = self.id.pgid.split_bits(self.pool.pg_num);
        match snap_map::next_to_trim(env.store, self.id.pgid, bits, snap, max) {
            Ok(clones) if clones.is_empty() => self.snap_trimmed(env),
            Ok(clones) => self.trim_clones(env, &clones),
            Err(e) => self.trim_failed(env, format!("reading which clones snapshot {snap} has: {e}")),
        }
        self.trim.is_runnable(env.now)
    }

    /// Nothing of the snapshot is left.
    fn snap_trimmed(&mut self, env: &mut Env) {
        let snap = self.trim.snap;
        self.trim.queue.erase(snap, 1);
        self.info.purged_snaps.insert_one(snap);
        self.dirty.info = true;
        self.share_info(env);
        // The others get their turn before our next one.
        self.pause_trimming(env);
        self.kick_snap_trim(env);
    }

    fn trim_clones(&mut self, env: &mut Env, clones: &[HObject]) {
        let mut in_flight = BTreeSet::new();
        let mut next = None;
        for clone in clones {
            let head = clone.head();
            // Behind the clients who came first, unless that would mean never.
            let waited_for = !in_flight.is_empty() && self.waiting.is_lock_wanted(&head);
            if waited_for || !self.contexts.try_lock(&head, Lock::Write) {
                next = Some(State::WaitRWLock(head));
                break;
            }
            match self.trim_clone(env, clone) {
                Ok(tid) => in_flight.insert(tid),
                Err(TrimError::NoClone) => {
                    // Unlike Ceph, which stops here until somebody repairs the PG.
                    self.unlock_untrimmed(&head);
                    self.snap_map.forget(clone, self.trim.snap, &mut self.txn);
                    continue;
                }
                Err(e) => {
                    self.unlock_untrimmed(&head);
                    self.trim.error = true;
                    let text = format!("{} cannot trim {clone}: {e}; it needs repair", self.id.pgid);
                    env.cluster_log(Level::Error, text);
                    break;
                }
            };
        }
        match next {
            _ if !in_flight.is_empty() => self.set_trim_state(env, State::WaitRepops(in_flight)),
            _ if self.trim.error => self.pause_trimming(env),
            Some(state) => self.set_trim_state(env, state),
            None => (),
        }
    }

    /// Writes what becomes of one clone; the lock on its head goes with the write. Gives its number.
    fn trim_clone(&mut self, env: &mut Env, clone: &HObject) -> Result<u64, TrimError> {
        let (op, snap) = (ClientOp::own(&clone.head()), self.trim.snap);
        let ws = self.with_op_env(env, &op, |op_env| ops::trim_clone(op_env, clone, snap))?;
        let op = ClientOp { lock: Lock::Write, ..op };
        Ok(self.submit_write(env, Some(op), OsdReqId::default(), *ws))
    }

    fn unlock_untrimmed(&mut self, head: &HObject) {
        if self.contexts.unlock(head, Lock::Write) {
            self.requeue_for_lock(head);
        }
    }

    fn trim_failed(&mut self, env: &mut Env, why: String) {
        env.cluster_log(Level::Error, format!("{} {why}", self.id.pgid));
        self.trim.error = true;
        self.pause_trimming(env);
    }
}
