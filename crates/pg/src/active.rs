//! `Started/Primary/Active`: from activation to clean. What lies between, recovery and backfill with their
//! reservations, is in `reserve`.

use std::sync::Arc;

use messages::{MOSDPGInfo2, MOSDPGLog, MOSDPGRemove};
use node::Level;
use osdmap::OsdMap;
use types::pool::flag;
use types::{EVersion, Epoch, HObject, OsdId, PastIntervals, PgInfo, PgPool, PgQueryKind};

use crate::env::{Env, PgOutput};
use crate::interval::members;
use crate::lease::Readable;
use crate::missing::Missing;
use crate::peering::Chosen;
use crate::pg::{Activation, Active, Catchup, OnCommit, Pg, Phase};
use crate::reserve::{Forced, Stage};

/// Whether the monitors vouch that an OSD that is down serves nobody any more.
pub(crate) fn is_dead(map: &OsdMap, osd: OsdId) -> bool {
    // One that was removed may not have heard of it.
    map.exists(osd) && map.xinfo(osd).dead_epoch > map.info(osd).up_from
}

/// What a copy is that holds nothing yet of what counts (Ceph: the backfill part of `activate`).
fn restart_backfill(info: &mut PgInfo, ours: &PgInfo) {
    info.last_update = ours.last_update;
    info.last_complete = ours.last_update;
    info.last_backfill = HObject::min();
    info.last_epoch_started = ours.last_epoch_started;
    info.last_interval_started = ours.last_interval_started;
    info.history = ours.history.clone();
    // It may lead one day, and must not count backwards then.
    info.last_user_version = ours.last_user_version;
    info.hit_set = ours.hit_set.clone();
    info.purged_snaps = ours.purged_snaps.clone();
    // What it holds already counts when it is asked for a slot.
    let held = info.stats.stats.sum.num_bytes.max(0);
    info.stats.stats = Default::default();
    info.stats.stats.sum.num_bytes = held;
}

impl Pg {
    /// Whether there are enough members to take writes.
    pub(crate) fn enough_members(&self) -> bool {
        members(&self.ua.acting).count() >= usize::from(self.pool.min_size)
    }

    /// Whether clients' ops, and those of our own, may be carried out.
    pub(crate) fn serves(&self) -> bool {
        let active = matches!(&self.phase, Phase::Active(Active { all_activated: true, .. }));
        active && self.enough_members() && !self.is_premerge()
    }

    pub(crate) fn active(&mut self) -> Option<&mut Active> {
        match &mut self.phase {
            Phase::Active(a) => Some(a),
            _ => None,
        }
    }

    /// Peering is done: brings the members in line and starts (Ceph: `activate` on the primary).
    pub(crate) fn activate(&mut self, env: &mut Env) {
        let activation = self.map.epoch;
        if self.enough_members() {
            // Only where writes may follow: whoever is asked later must find one who took part.
            self.info.last_epoch_started = activation;
            self.info.last_interval_started = self.info.history.same_interval_since;
        }
        self.blocked_by = self.actingbackfill.iter().copied().filter(|o| *o != self.whoami).collect();
        let active = Active {
            activated: Default::default(),
            all_activated: false,
            told: Default::default(),
            stage: Stage::Activating,
            backfill_toofull: false,
        };
        self.enter(env, Phase::Active(active));
        self.queue_removed_snaps();
        self.activate_self();
        self.last_update_ondisk = self.info.last_update;
        self.then.push(OnCommit::Activated { reset: self.last_peering_reset, activation });

        self.set_lease_interval(env);
        self.leases.renew(self.whoami, env.now.mono);
        self.leases.refresh_history(env.now.mono, &mut self.info.history);
        for osd in self.actingbackfill.clone() {
            if osd != self.whoami {
                self.activate_replica(env, osd);
            }
        }
        self.locate_missing(env);
        self.stat_changed(env);
    }

    /// What primary and replica do alike.
    pub(crate) fn activate_self(&mut self) {
        self.send_notify = false;
        self.need_up_thru = false;
        self.min_last_complete_ondisk = EVersion::ZERO;
        self.dirty.info = true;
        self.dirty.big = true;
        self.info.last_complete = self.complete_to();
        self.info.stats.stats.sum.num_objects_missing = self.missing.len() as i64;
    }

    /// Up to which write everything is here.
    pub(crate) fn complete_to(&self) -> EVersion {
        let Some(first) = self.missing.oldest_need() else { return self.info.last_update };
        let before = self.log.entries().rev().map(|e| e.version).find(|v| *v < first);
        before.unwrap_or(self.log.tail.min(first))
    }

    /// Tells a member where the PG stands, with what it lacks of the log.
    fn activate_replica(&mut self, env: &mut Env, osd: OsdId) {
        let Some(info) = self.peers.info.get_mut(&osd) else { return };
        let missing = self.peers.missing.entry(osd).or_default();
        let is_target = self.backfill_targets.contains(&osd);
        let with_past = info.dne();
        let how = if info.last_update == self.info.last_update && !info.is_empty() {
            Catchup::UpToDate
        } else if self.log.tail > info.last_update
            || info.last_backfill == HObject::min()
            // It may be a target because the authoritative log does not reach it, though ours does.
            || is_target && !info.is_incomplete()
        {
            restart_backfill(info, &self.info);
            missing.clear();
            // Some of the newest writes, so that it recognises them when they are sent again.
            info.log_tail = self.log.copy_up_to(env.cfg.max_pg_log_entries).tail;
            Catchup::Afresh
        } else {
            for e in self.log.after(info.last_update).filter(|e| !e.is_error() && e.soid <= info.last_backfill) {
                missing.add_next_event(e);
            }
            Catchup::LogSince(info.last_update)
        };
        info.last_update = self.info.last_update;
        if missing.is_empty() {
            info.last_complete = info.last_update;
        }
        let told = Activation { how, with_past };
        self.send_activation(env, osd, &told);
        if let Some(active) = self.active() {
            active.told.insert(osd, told);
        }
    }

    /// (Again) what activates a member. Nothing is written before all members are active, so it is the same
    /// each time.
    pub(crate) fn send_activation(&mut self, env: &mut Env, osd: OsdId, told: &Activation) {
        let Some(theirs) = self.peers.info.get(&osd) else { return };
        let (epoch, query_epoch) = (self.map.epoch, self.last_peering_reset);
        let lease = Some(self.leases.lease());
        let (info, log) = match told.how {
            Catchup::UpToDate => {
                let (spgid, info) = (self.id, self.info.clone());
                let m = MOSDPGInfo2 { spgid, epoch_sent: epoch, min_epoch: epoch, info, lease, lease_ack: None };
                return env.send_osd(osd, m);
            }
            Catchup::Afresh => (theirs.clone(), self.log.copy_up_to(env.cfg.max_pg_log_entries)),
            Catchup::LogSince(v) => (self.info.clone(), self.log.copy_after(v)),
        };
        let past_intervals = if told.with_past { self.past.clone() } else { PastIntervals::default() };
        let m = MOSDPGLog { epoch, query_epoch, info, log, past_intervals, lease, ..MOSDPGLog::default() };
        env.send_osd(osd, m);
    }

    /// Works out who has what somebody lacks (Ceph: the `missing_loc` part of `activate`).
    fn locate_missing(&mut self, env: &mut Env) {
        self.missing_loc.clear();
        self.missing_loc.add_active_missing(&self.missing);
        for osd in &self.actingbackfill {
            if let Some(m) = self.peers.missing.get(osd) {
                self.missing_loc.add_active_missing(m);
            }
        }
        if !self.needs_recovery() {
            return;
        }
        self.missing_loc.add_source(self.whoami, &self.info, &self.missing);
        for (osd, missing) in &self.peers.missing {
            if let Some(info) = self.peers.info.get(osd) {
                self.missing_loc.add_source(*osd, info, missing);
            }
        }
        let participants = self.past.all_participants().iter().map(|s| s.osd);
        self.peers.might_have_unfound = participants.chain(self.peers.info.keys().copied()).collect();
        self.peers.might_have_unfound.remove(&self.whoami);
        self.discover_missing(env);
    }

    /// Asks those who may have an object that nobody here has.
    fn discover_missing(&mut self, env: &mut Env) {
        if self.missing_loc.unfound().next().is_none() {
            return;
        }
        for osd in self.peers.might_have_unfound.clone() {
            let known = self.peers.missing.contains_key(&osd) || self.peers.missing_requested.contains(&osd);
            let empty = self.peers.info.get(&osd).is_some_and(|i| i.is_empty() || i.dne());
            if self.map.is_down(osd) || self.peers.purged.contains(&osd) || known || empty {
                continue;
            }
            self.peers.missing_requested.insert(osd);
            self.ask(env, osd, PgQueryKind::FullLog, EVersion::ZERO);
        }
    }

    /// Whether a member lacks what the log says it should have. (What backfill is pushing does not count.)
    pub(crate) fn needs_recovery(&self) -> bool {
        let lacks = |m: &Missing| m.iter().any(|(soid, _)| !self.backfill.is_in_flight(soid));
        !self.missing.is_empty() || self.actingbackfill.iter().any(|o| self.peers.missing.get(o).is_some_and(lacks))
    }

    /// Whether a member that gets our writes does not have all objects yet.
    pub(crate) fn needs_backfill(&self) -> bool {
        self.backfill_targets.iter().any(|o| self.peers.info.get(o).is_some_and(PgInfo::is_incomplete))
    }

    // --- activation

    pub(crate) fn activate_committed(&mut self, env: &mut Env, activation: Epoch) {
        match &mut self.phase {
            Phase::Active(a) => {
                a.activated.insert(self.whoami);
                self.check_all_activated(env);
            }
            Phase::ReplicaActive(_) => self.replica_activate_committed(env, activation),
            _ => (),
        }
    }

    /// A member says that its activation is on disk.
    pub(crate) fn replica_activated(&mut self, env: &mut Env, from: OsdId, m: &MOSDPGInfo2) {
        if let Some(ack) = &m.lease_ack {
            self.take_lease_ack(env, from, ack);
        }
        if !self.actingbackfill.contains(&from) {
            return;
        }
        let Some(active) = self.active() else { return };
        if active.activated.insert(from) {
            active.told.remove(&from);
            self.blocked_by.remove(&from);
            self.check_all_activated(env);
        }
    }

    fn check_all_activated(&mut self, env: &mut Env) {
        let members = self.actingbackfill.len();
        let Some(active) = self.active() else { return };
        if active.all_activated || active.activated.len() < members {
            return;
        }
        active.all_activated = true;
        self.renew_leases(env);
        self.waiting.wait = self.readable(env.now.mono) == Readable::Wait;
        self.plan_readable_check(env);
        if self.pool.has_flag(flag::CREATING) {
            env.out.push(PgOutput::Created);
        }
        // Only now is it true for everyone: whoever peers later must know of this interval.
        self.info.history.last_epoch_started = self.info.last_epoch_started;
        self.info.history.last_interval_started = self.info.last_interval_started;
        self.dirty.info = true;
        self.share_info(env);
        self.check_merge(env);
        self.begin_recovery(env);
        self.stat_changed(env);
        self.release_pg_backoffs(env);
        self.requeue_for_activation();
    }

    /// Tells the members what the history is now.
    pub(crate) fn share_info(&mut self, env: &mut Env) {
        self.leases.refresh_history(env.now.mono, &mut self.info.history);
        for osd in self.actingbackfill.iter().filter(|o| **o != self.whoami) {
            if let Some(info) = self.peers.info.get_mut(osd) {
                info.last_epoch_started = self.info.last_epoch_started;
                info.last_interval_started = self.info.last_interval_started;
                info.history.merge(&self.info.history);
            }
            let m = MOSDPGInfo2 {
                spgid: self.id,
                epoch_sent: self.map.epoch,
                min_epoch: self.map.epoch,
                info: self.info.clone(),
                lease: Some(self.leases.lease()),
                lease_ack: None,
            };
            env.send_osd(*osd, m);
        }
    }

    // --- the way to clean

    /// `Recovered`: perhaps another acting set is right now; else the PG is clean, when no earlier lease runs.
    pub(crate) fn enter_recovered(&mut self, env: &mut Env) {
        self.set_stage(env, Stage::Recovered);
        if self.ua.acting != self.ua.up && self.choose_acting(env, true, false) == Chosen::Change {
            return;
        }
        if self.readable(env.now.mono) == Readable::Wait {
            // The past intervals say whose lease it is.
            return self.plan_readable_check(env);
        }
        self.set_stage(env, Stage::Clean);
        self.try_mark_clean(env);
    }

    /// An earlier interval's lease may have been all that it waited for.
    pub(crate) fn recheck_clean(&mut self, env: &mut Env) {
        let waits = self.stage() == Some(&Stage::Recovered) && self.want_acting.is_empty();
        if waits && self.readable(env.now.mono) != Readable::Wait {
            self.enter_recovered(env);
        }
    }

    fn try_mark_clean(&mut self, env: &mut Env) {
        if self.actingset().len() == usize::from(self.pool.size) {
            self.info.history.last_epoch_clean = self.map.epoch;
            self.info.history.last_interval_clean = self.info.history.same_interval_since;
            self.past.clear();
            self.dirty.big = true;
            self.purge_strays(env);
            self.ready_to_merge(env);
        }
        self.forced = Forced::default();
        self.share_info(env);
        self.kick_snap_trim(env);
        self.plan_scrub(env);
        self.stat_changed(env);
    }

    /// All copies that should be are there and complete.
    pub(crate) fn is_clean(&self) -> bool {
        let clean = matches!(&self.phase, Phase::Active(a) if a.stage == Stage::Clean);
        clean && self.actingset().len() == usize::from(self.pool.size)
    }

    /// Copies that are of no use any more are told to go.
    pub(crate) fn purge_strays(&mut self, env: &mut Env) {
        let strays = std::mem::take(&mut self.peers.strays);
        if strays.is_empty() {
            return;
        }
        for osd in strays {
            if self.map.is_up(osd) {
                env.send_osd(osd, MOSDPGRemove { epoch: self.map.epoch, pg_list: vec![self.id] });
            }
            self.peers.info.remove(&osd);
            self.peers.missing.remove(&osd);
            self.peers.missing_requested.remove(&osd);
            self.missing_loc.remove_source(|o| o == osd);
            self.peers.purged.insert(osd);
        }
        env.out.push(PgOutput::PeersChanged);
    }

    // --- maps and messages while active

    /// A map that starts no new interval.
    pub(crate) fn active_advance(&mut self, env: &mut Env, pool_before: &Arc<PgPool>) {
        let map = self.map.clone();
        let gone = |o: &OsdId| map.is_down(*o) && !self.is_acting(*o) && !self.is_up_member(*o);
        if self.want_acting.iter().any(gone) {
            self.remove_down_peers(&map);
            self.choose_acting(env, false, true);
        }
        if **pool_before != *self.pool {
            self.set_lease_interval(env);
        }
        self.advance_snaps(env);
        if self.info.stats.reported_epoch + env.cfg.pg_stat_report_interval_max < map.epoch {
            self.stat_changed(env);
        }
        if self.leases.forget_dead(|o| is_dead(&map, o)) && self.leases.all_heard() {
            self.recheck_readable(env);
        }
    }

    pub(crate) fn active_map_activated(&mut self, env: &mut Env) {
        self.discover_missing(env);
        let unfound = self.missing_loc.num_unfound();
        if unfound > 0 && self.unfound_are_lost() && !self.recovery.unfound_told {
            self.recovery.unfound_told = true;
            env.cluster_log(
                Level::Error,
                format!("{} has {unfound} objects unfound and apparently lost", self.id.pgid),
            );
        }
        if matches!(self.stage(), Some(Stage::Recovering | Stage::Backfilling)) {
            // A flag may have gone.
            self.queue_recovery(env);
        }
        self.kick_snap_trim(env);
        self.stat_changed(env);
    }

    /// Everyone who might have them was asked, has nothing, is no more, or was declared lost since it went
    /// down (Ceph: `all_unfound_are_queried_or_lost`).
    pub(crate) fn unfound_are_lost(&self) -> bool {
        self.peers.might_have_unfound.iter().all(|o| {
            let nothing = self.peers.info.get(o).is_some_and(|i| i.is_empty() || i.dne());
            let lost = !self.map.exists(*o) || self.map.info(*o).lost_at > self.map.info(*o).up_from;
            self.peers.missing.contains_key(o) || nothing || lost
        })
    }

    /// Someone who is not of the acting set has a copy: perhaps it should be.
    pub(crate) fn active_notified(&mut self, env: &mut Env, from: OsdId, info: &PgInfo, sent: Epoch) {
        if self.peers.purged.contains(&from) {
            // It was told to go, but does not seem to have heard.
            if self.is_clean() && !self.is_up_member(from) && !self.is_acting(from) {
                env.send_osd(from, MOSDPGRemove { epoch: self.map.epoch, pg_list: vec![self.id] });
            }
            return;
        }
        if self.peers.info.contains_key(&from) {
            return;
        }
        self.take_info(env, from, info, sent);
        self.discover_missing(env);
        self.choose_acting(env, false, true);
    }

    /// Someone who may have unfound objects shows its log.
    pub(crate) fn active_log(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLog) {
        if !self.peers.missing_requested.remove(&from) {
            return;
        }
        // Even if its log has nothing in common with ours: a source sends the version that is asked for, or none.
        self.take_replica_log(from, m);
        let (Some(info), Some(missing)) = (self.peers.info.get(&from), self.peers.missing.get(&from)) else { return };
        if self.missing_loc.add_source(from, info, missing) {
            self.resume(env);
            self.stat_changed(env);
        }
    }
}
