//! From activation to clean: what an active primary waits for, and the slots that recovery and backfill
//! need, here and on the other members.
//!
//! ```text
//!  Activating ─► WaitLocalRecoveryReserved ─► WaitRemoteRecoveryReserved ─► Recovering ◄─► NotRecovering
//!      │                                                                       │
//!      ├─► WaitLocalBackfillReserved ─► WaitRemoteBackfillReserved ─► Backfilling ◄─► NotBackfilling
//!      │                                                                       │
//!      └──────────────────────────────────────────────────────────────► Recovered ─► Clean
//! ```
//! A slot that is taken back (by a more urgent PG, or because a disk fills) sends the PG back to the
//! start of its row; what it has under way then still ends. (Ceph: the states of
//! `PeeringState::Active` and of `PeeringState::ReplicaActive`)

use std::time::Duration;

use messages::{MBackfillReserve, MRecoveryReserve};
use types::{OsdId, osd_state};

use crate::env::{Env, PgOutput};
use crate::missing::Missing;
use crate::pg::{Active, Pg, Phase};

/// How far an active PG is on its way to clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    Activating,
    WaitLocalRecoveryReserved,
    /// Replicas that are still to be asked for a slot; the first one is being asked.
    WaitRemoteRecoveryReserved(Vec<OsdId>),
    Recovering,
    NotRecovering(Pause),
    WaitLocalBackfillReserved,
    /// As for recovery; only targets are asked.
    WaitRemoteBackfillReserved(Vec<OsdId>),
    Backfilling,
    NotBackfilling(Pause),
    Recovered,
    Clean,
}

/// Why nothing is done though there is something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// What is left is unfound.
    Unfound,
    /// A member has no space.
    TooFull,
    /// A member took back the slot that it was about to give.
    Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    pub why: Halt,
    /// When to try again; `None`: when something changes.
    pub until: Option<Duration>,
}

/// A slot that we hold, or wait for, on behalf of our primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RemoteSlot {
    for_backfill: bool,
    granted: bool,
}

/// What an operator asked for (`pg force-recovery` and its kin); outlives the interval, ends with clean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Forced {
    pub recovery: bool,
    pub backfill: bool,
}

/// (Ceph: `OSD_RECOVERY_PRIORITY_BASE` and its kin, with the highest that each may reach.)
mod priority {
    pub const BACKFILL: (i64, i64) = (100, 139);
    pub const BACKFILL_DEGRADED: (i64, i64) = (140, 179);
    pub const RECOVERY: (i64, i64) = (180, 219);
    pub const INACTIVE: (i64, i64) = (220, 253);
    pub const BACKFILL_FORCED: u32 = 254;
    pub const RECOVERY_FORCED: u32 = 255;
}

impl Stage {
    fn is_backfill(&self) -> bool {
        matches!(
            self,
            Self::WaitLocalBackfillReserved
                | Self::WaitRemoteBackfillReserved(_)
                | Self::Backfilling
                | Self::NotBackfilling(_)
        )
    }
}

impl Pg {
    pub(crate) fn stage(&self) -> Option<&Stage> {
        match &self.phase {
            Phase::Active(a) => Some(&a.stage),
            _ => None,
        }
    }

    pub(crate) fn set_stage(&mut self, env: &mut Env, stage: Stage) {
        if let Some(active) = self.active() {
            active.stage = stage;
        }
        self.note_state(env);
        self.stat_changed(env);
    }

    // --- the primary's way

    /// All members are active: recover what is missing, or be clean at once.
    pub(crate) fn begin_recovery(&mut self, env: &mut Env) {
        let Some(active) = self.active() else { return };
        if !active.all_activated {
            return;
        }
        if !self.needs_recovery() {
            return self.recovery_done(env);
        }
        let is_full = |o: &OsdId| self.map.state(*o) & osd_state::FULL != 0;
        if self.actingbackfill.iter().any(is_full) {
            let until = Some(env.now.mono + env.cfg.recovery_retry_interval);
            return self.set_stage(env, Stage::NotRecovering(Pause { why: Halt::TooFull, until }));
        }
        let priority = self.recovery_priority();
        self.set_stage(env, Stage::WaitLocalRecoveryReserved);
        env.out.push(PgOutput::ReserveLocal { priority });
    }

    /// The log has brought everyone up to date that it reaches; who else is there is backfilled.
    fn recovery_done(&mut self, env: &mut Env) {
        self.forced.recovery = false;
        if self.needs_backfill() { self.begin_backfill(env) } else { self.enter_recovered(env) }
    }

    fn begin_backfill(&mut self, env: &mut Env) {
        let priority = self.backfill_priority();
        self.set_stage(env, Stage::WaitLocalBackfillReserved);
        env.out.push(PgOutput::ReserveLocal { priority });
    }

    /// Every target has every object.
    pub(crate) fn backfilled(&mut self, env: &mut Env) {
        self.release_reservations(env);
        self.forced = Forced::default();
        self.enter_recovered(env);
    }

    /// Stops for a while, or until something changes.
    pub(crate) fn pause(&mut self, env: &mut Env, why: Halt) {
        let Some(stage) = self.stage().cloned() else { return };
        let until = match why {
            Halt::Unfound => None,
            _ if stage.is_backfill() => Some(env.now.mono + env.cfg.backfill_retry_interval),
            _ => Some(env.now.mono + env.cfg.recovery_retry_interval),
        };
        self.release_reservations(env);
        let pause = Pause { why, until };
        if stage.is_backfill() {
            self.cancel_backfill();
            if let Some(active) = self.active() {
                active.backfill_toofull |= why == Halt::TooFull;
            }
            self.set_stage(env, Stage::NotBackfilling(pause));
        } else {
            self.set_stage(env, Stage::NotRecovering(pause));
        }
    }

    /// Something changed: what was stopped because of unfound objects goes on.
    pub(crate) fn resume(&mut self, env: &mut Env) {
        let stopped = |p: &Pause| p.why == Halt::Unfound;
        match self.stage() {
            Some(Stage::NotRecovering(p) | Stage::NotBackfilling(p)) if stopped(p) => self.begin_recovery(env),
            Some(Stage::Recovering | Stage::Backfilling) => self.queue_recovery(env),
            _ => (),
        }
    }

    /// When a stop is over.
    pub(crate) fn recovery_wakeup(&self) -> Option<Duration> {
        match self.stage() {
            Some(Stage::NotRecovering(p) | Stage::NotBackfilling(p)) => p.until,
            _ => None,
        }
    }

    pub(crate) fn recovery_due(&mut self, env: &mut Env) {
        if self.recovery_wakeup().is_some_and(|at| at <= env.now.mono) {
            self.begin_recovery(env);
        }
    }

    // --- priorities

    /// How urgent recovery is (Ceph: `get_recovery_priority`).
    pub(crate) fn recovery_priority(&self) -> u32 {
        if self.forced.recovery {
            return priority::RECOVERY_FORCED;
        }
        let lacks_nothing = |o: &&OsdId| self.peers.missing.get(o).is_some_and(Missing::is_empty);
        let members = self.actingbackfill.difference(&self.backfill_targets);
        let complete = usize::from(self.missing.is_empty()) + members.filter(lacks_nothing).count();
        let min_size = usize::from(self.pool.min_size);
        match min_size.checked_sub(complete) {
            Some(short @ 1..) => self.adjusted(priority::INACTIVE, short),
            _ => self.adjusted(priority::RECOVERY, 0),
        }
    }

    /// How urgent backfill is (Ceph: `get_backfill_priority`).
    fn backfill_priority(&self) -> u32 {
        if self.forced.backfill {
            return priority::BACKFILL_FORCED;
        }
        let (size, min_size) = (usize::from(self.pool.size), usize::from(self.pool.min_size));
        let acting = self.actingset().len();
        if acting < min_size {
            self.adjusted(priority::INACTIVE, min_size - acting)
        } else if acting < size {
            self.adjusted(priority::BACKFILL_DEGRADED, size - acting)
        } else if self.is_degraded() {
            self.adjusted(priority::BACKFILL_DEGRADED, 0)
        } else {
            self.adjusted(priority::BACKFILL, 0)
        }
    }

    /// Adds the pool's say, which runs from -10 to 10.
    fn adjusted(&self, (base, max): (i64, i64), urgency: usize) -> u32 {
        let of_pool = self.pool.opts.get_i64("recovery_priority").unwrap_or(0).clamp(-10, 10);
        (base + urgency as i64 + of_pool + 10).clamp(0, max) as u32
    }

    /// `pg force-recovery`, `pg force-backfill` and their contraries (`MOSDForceRecovery`).
    pub fn force(&mut self, env: &mut Env, recovery: bool, on: bool) {
        let Some(stage) = self.stage().cloned() else { return };
        let concerned = self.is_degraded()
            || match recovery {
                true => matches!(
                    stage,
                    Stage::WaitLocalRecoveryReserved | Stage::WaitRemoteRecoveryReserved(_) | Stage::Recovering
                ),
                false => stage.is_backfill(),
            };
        let flag = if recovery { &mut self.forced.recovery } else { &mut self.forced.backfill };
        if *flag == on || on && !concerned {
            return;
        }
        *flag = on;
        let priority = if stage.is_backfill() { self.backfill_priority() } else { self.recovery_priority() };
        env.out.push(PgOutput::UpdateLocal { priority });
        self.stat_changed(env);
        self.finish(env);
    }

    // --- the primary's slots

    /// The OSD has a slot for us.
    pub fn local_reserved(&mut self, env: &mut Env) {
        match self.stage() {
            Some(Stage::WaitLocalRecoveryReserved) => {
                let others = self.actingbackfill.iter().copied().filter(|o| *o != self.whoami).collect();
                self.set_stage(env, Stage::WaitRemoteRecoveryReserved(others));
                self.reserve_next(env);
            }
            Some(Stage::WaitLocalBackfillReserved) => {
                let targets = self.backfill_targets.iter().copied().collect();
                self.set_stage(env, Stage::WaitRemoteBackfillReserved(targets));
                self.reserve_next(env);
            }
            _ => env.out.push(PgOutput::CancelLocal),
        }
        self.finish(env);
    }

    /// A more urgent PG needs our slot on this OSD.
    pub fn local_preempted(&mut self, env: &mut Env) {
        self.start_over(env);
        self.finish(env);
    }

    /// Begins again with the reservations.
    fn start_over(&mut self, env: &mut Env) {
        match self.stage() {
            Some(Stage::WaitRemoteRecoveryReserved(_) | Stage::Recovering) => {
                self.release_reservations(env);
                self.begin_recovery(env);
            }
            Some(Stage::WaitRemoteBackfillReserved(_) | Stage::Backfilling) => {
                self.release_reservations(env);
                self.cancel_backfill();
                self.begin_backfill(env);
            }
            _ => (),
        }
    }

    fn reserve_next(&mut self, env: &mut Env) {
        let (pgid, query_epoch) = (self.id, self.map.epoch);
        match self.stage() {
            Some(Stage::WaitRemoteRecoveryReserved(left)) => match left.first().copied() {
                Some(osd) => {
                    let (kind, priority) = (MRecoveryReserve::REQUEST, self.recovery_priority());
                    env.send_osd(osd, MRecoveryReserve { pgid, query_epoch, kind, priority });
                }
                None => {
                    self.set_stage(env, Stage::Recovering);
                    self.queue_recovery(env);
                }
            },
            Some(Stage::WaitRemoteBackfillReserved(left)) => match left.first().copied() {
                Some(osd) => self.request_backfill_slot(env, osd),
                None => {
                    if let Some(active) = self.active() {
                        active.backfill_toofull = false;
                    }
                    self.set_stage(env, Stage::Backfilling);
                    self.queue_recovery(env);
                }
            },
            _ => (),
        }
    }

    /// The session with a member was lost: perhaps our request with it, or its answer, or our word that we
    /// need its slot no more.
    pub(crate) fn reserve_again(&mut self, env: &mut Env, osd: OsdId) {
        let (pgid, query_epoch) = (self.id, self.map.epoch);
        match self.stage() {
            Some(Stage::WaitRemoteRecoveryReserved(left) | Stage::WaitRemoteBackfillReserved(left))
                if left.first() == Some(&osd) =>
            {
                self.reserve_next(env);
            }
            Some(Stage::WaitRemoteRecoveryReserved(_) | Stage::WaitRemoteBackfillReserved(_)) => (),
            Some(Stage::Recovering | Stage::Backfilling) => (),
            _ if self.backfill_targets.contains(&osd) => {
                let kind = MBackfillReserve::RELEASE;
                env.send_osd(osd, MBackfillReserve { pgid, query_epoch, kind, ..MBackfillReserve::default() });
            }
            _ if self.actingbackfill.contains(&osd) => {
                let kind = MRecoveryReserve::RELEASE;
                env.send_osd(osd, MRecoveryReserve { pgid, query_epoch, kind, priority: 0 });
            }
            _ => (),
        }
    }

    fn request_backfill_slot(&self, env: &mut Env, osd: OsdId) {
        let held = self.peers.info.get(&osd).map_or(0, |i| i.stats.stats.sum.num_bytes);
        let m = MBackfillReserve {
            pgid: self.id,
            query_epoch: self.map.epoch,
            kind: MBackfillReserve::REQUEST,
            priority: self.backfill_priority(),
            primary_num_bytes: self.info.stats.stats.sum.num_bytes,
            shard_num_bytes: held.max(0),
        };
        env.send_osd(osd, m);
    }

    fn remote_granted(&mut self, env: &mut Env, from: OsdId, for_backfill: bool) {
        let left = match self.active() {
            Some(Active { stage: Stage::WaitRemoteRecoveryReserved(left), .. }) if !for_backfill => left,
            Some(Active { stage: Stage::WaitRemoteBackfillReserved(left), .. }) if for_backfill => left,
            _ => return,
        };
        if left.first() == Some(&from) {
            left.remove(0);
            self.reserve_next(env);
        }
    }

    pub(crate) fn queue_recovery(&mut self, env: &mut Env) {
        let priority = match self.stage() {
            Some(stage) if stage.is_backfill() => self.backfill_priority(),
            _ => self.recovery_priority(),
        };
        self.recovery.queued = true;
        env.out.push(PgOutput::QueueRecovery { priority });
    }

    /// Gives back what this PG has reserved, here and elsewhere.
    pub(crate) fn release_reservations(&mut self, env: &mut Env) {
        let (pgid, query_epoch) = (self.id, self.map.epoch);
        if let Phase::ReplicaActive(r) = &mut self.phase {
            return env.out.extend(r.reservation.take().map(|_| PgOutput::CancelRemote));
        }
        match self.stage() {
            Some(Stage::WaitLocalRecoveryReserved | Stage::WaitLocalBackfillReserved) => {
                env.out.push(PgOutput::CancelLocal);
            }
            Some(Stage::WaitRemoteRecoveryReserved(_) | Stage::Recovering) => {
                env.out.push(PgOutput::CancelLocal);
                for osd in self.actingbackfill.iter().filter(|o| **o != self.whoami) {
                    let kind = MRecoveryReserve::RELEASE;
                    env.send_osd(*osd, MRecoveryReserve { pgid, query_epoch, kind, priority: 0 });
                }
            }
            Some(Stage::WaitRemoteBackfillReserved(_) | Stage::Backfilling) => {
                env.out.push(PgOutput::CancelLocal);
                for osd in &self.backfill_targets {
                    let kind = MBackfillReserve::RELEASE;
                    env.send_osd(*osd, MBackfillReserve { pgid, query_epoch, kind, ..MBackfillReserve::default() });
                }
            }
            _ => (),
        }
    }

    // --- messages about slots

    pub(crate) fn on_recovery_reserve(&mut self, env: &mut Env, from: OsdId, m: MRecoveryReserve) {
        if self.is_stale(from, m.query_epoch) {
            return;
        }
        match (m.kind, &mut self.phase) {
            (MRecoveryReserve::REQUEST, Phase::ReplicaActive(_)) => self.asked_for_slot(env, false, m.priority, None),
            (MRecoveryReserve::RELEASE, Phase::ReplicaActive(_)) => self.release_reservations(env),
            (MRecoveryReserve::GRANT, Phase::Active(_)) => self.remote_granted(env, from, false),
            (MRecoveryReserve::REVOKE, Phase::Active(_)) => self.start_over(env),
            _ => (),
        }
    }

    pub(crate) fn on_backfill_reserve(&mut self, env: &mut Env, from: OsdId, m: MBackfillReserve) {
        if self.is_stale(from, m.query_epoch) {
            return;
        }
        match (m.kind, &mut self.phase) {
            (MBackfillReserve::REQUEST, Phase::ReplicaActive(_)) => {
                let space = m.primary_num_bytes.saturating_sub(m.shard_num_bytes).max(0).cast_unsigned();
                self.asked_for_slot(env, true, m.priority, Some(space));
            }
            (MBackfillReserve::RELEASE, Phase::ReplicaActive(_)) => self.release_reservations(env),
            (MBackfillReserve::GRANT, Phase::Active(_)) => self.remote_granted(env, from, true),
            (kind, Phase::Active(a)) => match (&a.stage, kind) {
                (
                    Stage::WaitRemoteBackfillReserved(_) | Stage::Backfilling,
                    MBackfillReserve::REJECT_TOOFULL | MBackfillReserve::REVOKE_TOOFULL,
                ) => self.pause(env, Halt::TooFull),
                (Stage::WaitRemoteBackfillReserved(_), MBackfillReserve::REVOKE) => self.pause(env, Halt::Revoked),
                (Stage::Backfilling, MBackfillReserve::REVOKE) => self.start_over(env),
                _ => (),
            },
            _ => (),
        }
    }

    // --- the replica

    fn asked_for_slot(&mut self, env: &mut Env, for_backfill: bool, priority: u32, space: Option<u64>) {
        let Phase::ReplicaActive(r) = &mut self.phase else { return };
        if r.reservation == Some(RemoteSlot { for_backfill, granted: true }) {
            // Asked again, because our word was lost.
            let slot = RemoteSlot { for_backfill, granted: true };
            return self.tell_primary(env, slot, MRecoveryReserve::GRANT, MBackfillReserve::GRANT);
        }
        r.reservation = Some(RemoteSlot { for_backfill, granted: false });
        env.out.push(PgOutput::ReserveRemote { priority, space });
    }

    fn tell_primary(&self, env: &mut Env, slot: RemoteSlot, recovery: u32, backfill: u32) {
        let (pgid, query_epoch, to) = (self.id, self.map.epoch, self.ua.acting_primary);
        match slot.for_backfill {
            false => env.send_osd(to, MRecoveryReserve { pgid, query_epoch, kind: recovery, priority: 0 }),
            true => {
                let m = MBackfillReserve { pgid, query_epoch, kind: backfill, ..MBackfillReserve::default() };
                env.send_osd(to, m);
            }
        }
    }

    /// The OSD has a slot for the recovery that our primary leads.
    pub fn remote_reserved(&mut self, env: &mut Env) {
        match &mut self.phase {
            Phase::ReplicaActive(r) if r.reservation.is_some_and(|s| !s.granted) => {
                let slot = r.reservation.as_mut().expect("just looked");
                slot.granted = true;
                let slot = *slot;
                self.tell_primary(env, slot, MRecoveryReserve::GRANT, MBackfillReserve::GRANT);
            }
            _ => env.out.push(PgOutput::CancelRemote),
        }
        self.finish(env);
    }

    /// A more urgent PG needs the slot.
    pub fn remote_preempted(&mut self, env: &mut Env) {
        if let Phase::ReplicaActive(r) = &mut self.phase
            && let Some(slot) = r.reservation.take()
        {
            self.tell_primary(env, slot, MRecoveryReserve::REVOKE, MBackfillReserve::REVOKE);
        }
        self.finish(env);
    }

    /// This OSD has no space for what backfill would bring.
    pub fn remote_too_full(&mut self, env: &mut Env) {
        if let Phase::ReplicaActive(r) = &mut self.phase
            && let Some(slot) = r.reservation.take_if(|s| s.for_backfill)
        {
            env.out.push(PgOutput::CancelRemote);
            let kind = if slot.granted { MBackfillReserve::REVOKE_TOOFULL } else { MBackfillReserve::REJECT_TOOFULL };
            self.tell_primary(env, slot, MRecoveryReserve::REVOKE, kind);
        }
        self.finish(env);
    }
}
