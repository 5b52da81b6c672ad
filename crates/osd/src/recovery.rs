//! What recovery and backfill may take of this OSD: slots for PGs, slots for objects, space, time.
//!
//! A PG needs a slot here (`local_slots`) and one on each member that it writes to (`remote_slots`), each of
//! `osd_max_backfills`. Its objects then share `osd_recovery_max_active`, with pauses of
//! `osd_recovery_sleep`. (Ceph: `OSDService::local_reserver`, `_maybe_queue_recovery`,
//! `tentative_backfill_full`)

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use messages::{Body, MOSDForceRecovery, MOSDScrub2, Message};
use node::{ConnId, Now, Output};
use os::ObjectRead;
use pg::Pg;
use types::SpgId;

use crate::pace::{Allowed, Pace, Waits};
use crate::reserver::Verdict;
use crate::{Osd, Timer};

/// PGs with objects to recover, and the slots that they share.
#[derive(Debug, Default)]
pub struct RecoveryQueue {
    waiting: BTreeSet<(Reverse<u32>, SpgId)>,
    used: u32,
    /// No recovery starts before (`osd_recovery_sleep`).
    not_before: Duration,
    /// Asked for by other primaries since the last input: urgency, and the space that it needs.
    asked: Vec<(SpgId, u32, Option<u64>)>,
    /// Bytes that backfills of which we are the target may yet bring.
    promised: BTreeMap<SpgId, u64>,
    pace: Pace,
    /// Pushes that wait for room.
    held: VecDeque<(ConnId, Message)>,
}

impl RecoveryQueue {
    /// Whether objects are being recovered, or wait for it.
    pub fn is_busy(&self) -> bool {
        self.used > 0 || !self.waiting.is_empty()
    }

    pub fn ask_remote(&mut self, id: SpgId, priority: u32, space: Option<u64>) {
        self.asked.push((id, priority, space));
    }

    /// Seconds that clients wait while nothing is recovered, and the share of its limits that recovery has.
    pub fn pace(&self) -> (f64, f64) {
        self.pace.figures()
    }

    pub fn forget(&mut self, id: SpgId) {
        self.waiting.retain(|(_, pg)| *pg != id);
    }
}

impl Osd {
    // --- slots for PGs

    pub(crate) fn cancel_remote(&mut self, id: SpgId) {
        self.recovery.asked.retain(|(pg, ..)| *pg != id);
        self.recovery.promised.remove(&id);
        self.remote_slots.cancel(id);
    }

    /// Grants slots that are free, and takes back what more urgent PGs need. Called after each input.
    pub(crate) fn grant_slots(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        for (id, priority, space) in std::mem::take(&mut self.recovery.asked) {
            match space {
                Some(bytes) if !self.has_room(store, bytes) => self.with_pg(now, store, id, out, Pg::remote_too_full),
                _ => {
                    self.recovery.promised.extend(space.map(|bytes| (id, bytes)));
                    self.remote_slots.request(id, priority);
                }
            }
        }
        while let Some(verdict) = self.local_slots.next() {
            match verdict {
                Verdict::Granted(id) => self.with_pg(now, store, id, out, Pg::local_reserved),
                Verdict::Preempted(id) => self.with_pg(now, store, id, out, Pg::local_preempted),
            }
        }
        while let Some(verdict) = self.remote_slots.next() {
            match verdict {
                Verdict::Granted(id) => self.with_pg(now, store, id, out, Pg::remote_reserved),
                Verdict::Preempted(id) => {
                    self.recovery.promised.remove(&id);
                    self.with_pg(now, store, id, out, Pg::remote_preempted);
                }
            }
        }
        // All are as urgent as each other, so none is taken back but by fewer slots; then it ends by itself.
        while let Some(verdict) = self.trim_slots.next() {
            if let Verdict::Granted(id) = verdict {
                self.with_pg(now, store, id, out, Pg::snap_trim_reserved);
            }
        }
    }

    // --- space

    /// Whether so many bytes more, with what other backfills may bring, leave the disk below the ratio at
    /// which it takes no backfill.
    fn has_room(&self, store: &dyn ObjectRead, bytes: u64) -> bool {
        let Some(maps) = &self.maps else { return false };
        let ratio = f64::from(maps.current().backfillfull_ratio);
        let s = store.statfs();
        if s.total == 0 || ratio <= 0.0 {
            return true;
        }
        let promised: u64 = self.recovery.promised.values().sum();
        let used = s.total.saturating_sub(s.available) as f64 + promised as f64 + bytes as f64;
        used < ratio * s.total as f64
    }

    /// Backfills whose target we are end when the disk is too full for them.
    pub(crate) fn stop_backfill_if_full(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        if self.recovery.promised.is_empty() {
            return;
        }
        let promised = std::mem::take(&mut self.recovery.promised);
        if self.has_room(store, 0) {
            self.recovery.promised = promised;
            return;
        }
        for id in promised.into_keys() {
            self.with_pg(now, store, id, out, Pg::remote_too_full);
        }
    }

    /// A push that would take the last room waits for more; its sender does not begin others meanwhile.
    pub(crate) fn holds_push(&mut self, conn: ConnId, msg: &Message) -> bool {
        let Body::MOSDPGPush(m) = &msg.body else { return false };
        let holds = !self.rooms.takes_push(m);
        if holds {
            self.recovery.held.push_back((conn, msg.clone()));
        }
        holds
    }

    /// Perhaps there is room for what waited.
    pub(crate) fn recheck_room(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        // Those that still have none are held again.
        for (conn, msg) in std::mem::take(&mut self.recovery.held) {
            self.peer_message(now, store, conn, msg, out);
        }
        let waiting: Vec<SpgId> = self.pgs.iter().filter(|(_, pg)| pg.waits_for_room()).map(|(id, _)| *id).collect();
        for id in waiting {
            self.with_pg(now, store, id, out, Pg::recheck_room);
        }
    }

    // --- slots for objects

    pub(crate) fn queue_recovery(&mut self, now: Now, id: SpgId, priority: u32) {
        self.recovery.waiting.retain(|(_, pg)| *pg != id);
        self.recovery.waiting.insert((Reverse(priority), id));
        self.timers.set(Timer::Recovery, now.mono.max(self.recovery.not_before));
    }

    pub(crate) fn recovery_done(&mut self, now: Now, slots: u32) {
        self.recovery.used = self.recovery.used.saturating_sub(slots);
        self.recovery.pace.end(now.mono, slots);
        if !self.recovery.waiting.is_empty() {
            self.timers.set(Timer::Recovery, now.mono.max(self.recovery.not_before));
        }
    }

    /// Notes what clients had to wait lately.
    pub(crate) fn measure_clients(&mut self, now: Now) {
        let (ops, total) = self.tracker.take_answered();
        if ops > 0 {
            self.scrubs.note_clients(now.mono);
        }
        self.recovery.pace.measured(now.mono, Waits { ops, total }, self.recovery.used);
    }

    /// Starts recoveries while slots are free, the most urgent PG first.
    pub(crate) fn run_recovery(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let paused = self.maps.as_ref().is_some_and(|m| m.current().test_flag(osdmap::flag::NORECOVER));
        if paused {
            self.recovery.not_before = now.mono + Duration::from_secs(1);
        }
        self.measure_clients(now);
        let sleep = self.recovery_sleep();
        while now.mono >= self.recovery.not_before && !self.recovery.waiting.is_empty() {
            let (most, pause) = match self.recovery.pace.allowed(now.mono, self.recovery_max(), self.recovery.used) {
                Allowed::Slots(most, pause) => (most, pause.max(sleep)),
                Allowed::Until(until) => {
                    self.recovery.not_before = until;
                    break;
                }
            };
            if self.recovery.used >= most {
                break;
            }
            let Some((_, id)) = self.recovery.waiting.pop_first() else { break };
            let slots = if pause.is_zero() { most - self.recovery.used } else { 1 };
            let mut started = 0;
            // The slots count as used before the call: what finishes within it gives them back.
            self.recovery.used += slots;
            self.with_pg(now, store, id, out, |pg, env| started = pg.recover(env, slots));
            self.recovery.used = self.recovery.used.saturating_sub(slots - started);
            self.recovery.pace.start(now.mono, started);
            if started > 0 {
                self.recovery.not_before = now.mono + pause;
            }
        }
        if !self.recovery.waiting.is_empty() && self.recovery.not_before > now.mono {
            self.timers.set(Timer::Recovery, self.recovery.not_before);
        }
    }

    /// `osd_recovery_max_active`, or what fits the kind of disk.
    fn recovery_max(&self) -> u32 {
        let by_kind = if self.is_rotational() { "osd_recovery_max_active_hdd" } else { "osd_recovery_max_active_ssd" };
        match self.cfg.u64("osd_recovery_max_active") {
            0 => self.cfg.u64(by_kind) as u32,
            set => set as u32,
        }
    }

    fn recovery_sleep(&self) -> Duration {
        let by_kind = if self.is_rotational() { "osd_recovery_sleep_hdd" } else { "osd_recovery_sleep_ssd" };
        let general = self.cfg.secs("osd_recovery_sleep");
        if general.is_zero() { self.cfg.secs(by_kind) } else { general }
    }

    // --- what operators ask for

    /// `pg scrub`, `osd deep-scrub`, `pg repair` and their kin. PGs that are led elsewhere take no notice.
    pub(crate) fn order_scrubs(&mut self, now: Now, store: &dyn ObjectRead, m: &MOSDScrub2, out: &mut Vec<Output>) {
        if m.fsid != self.setup.fsid {
            return;
        }
        for id in &m.scrub_pgs {
            self.with_pg(now, store, *id, out, |pg, env| pg.order_scrub(env, m));
        }
    }

    /// `pg force-recovery` and its kin, by way of the manager.
    pub(crate) fn force_recovery(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        m: &MOSDForceRecovery,
        out: &mut Vec<Output>,
    ) {
        if m.fsid != self.setup.fsid {
            return;
        }
        let on = m.options & MOSDForceRecovery::CANCEL == 0;
        let ids = if m.forced_pgs.is_empty() { self.pg_ids() } else { m.forced_pgs.clone() };
        for id in ids {
            for (flag, recovery) in [(MOSDForceRecovery::RECOVERY, true), (MOSDForceRecovery::BACKFILL, false)] {
                if m.options & flag != 0 {
                    self.with_pg(now, store, id, out, |pg, env| pg.force(env, recovery, on));
                }
            }
        }
    }
}
