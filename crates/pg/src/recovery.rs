//! Log-based recovery on the primary: which object next, from whom, to whom.
//!
//! What the primary lacks it pulls, then pushes to the replicas that lack it as well. Deletes are
//! carried out rather than copied. An object that a client wants goes first, without waiting for a
//! slot. (Ceph: `PrimaryLogPG::recover_primary`, `recover_replicas`, `maybe_kick_recovery`)
//!
//! Invariant: an object is in at most one of `pulls`, `pushes`, `deletes`; each object in `slotted`
//! is in one of them.

use std::collections::{BTreeMap, BTreeSet};

use messages::{
    MOSDPGPull, MOSDPGRecoveryDelete, MOSDPGRecoveryDeleteReply, ObjectRecoveryInfo, ObjectRecoveryProgress, PullOp,
};
use node::Token;
use os::TxOp;
use types::{EVersion, HObject, IntervalSet, OsdId, PgShard, osdmap_flag};

use crate::env::{Env, PgOutput};
use crate::object::read_object_info;
use crate::pg::{OnCommit, Pg, Phase};
use crate::push::{Piece, Transfer};
use crate::reserve::{Halt, Stage};

/// Deletes that go together, with one message and in one slot: each is a fraction of what an object is.
const DELETES: usize = 32;
/// How many missing objects are looked at for such.
const DELETES_WITHIN: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// What is being fetched, and from whom.
    pub pulls: BTreeMap<HObject, (OsdId, Transfer)>,
    /// Pulled, and on its way to our disk.
    pub landing: BTreeSet<HObject>,
    /// What is being sent, to whom.
    pub pushes: BTreeMap<HObject, BTreeMap<OsdId, Transfer>>,
    /// Who was told to delete what.
    deletes: BTreeMap<HObject, BTreeSet<OsdId>>,
    /// Pieces whose data is being read.
    pub pieces: BTreeMap<Token, Piece>,
    /// Those that took a slot of the OSD.
    slotted: BTreeSet<HObject>,
    /// The OSD has been asked for slots since it last gave some.
    pub queued: bool,
    /// The loss has been put on record.
    pub unfound_told: bool,
}

impl Recovery {
    pub fn is_idle(&self) -> bool {
        self.pulls.is_empty() && self.landing.is_empty() && self.pushes.is_empty() && self.deletes.is_empty()
    }

    pub fn is_recovering(&self, soid: &HObject) -> bool {
        self.pulls.contains_key(soid)
            || self.landing.contains(soid)
            || self.pushes.contains_key(soid)
            || self.deletes.contains_key(soid)
    }

    /// What we recovered of it, or deleted, may not be in the store yet: nobody may look at it.
    pub fn is_settling(&self, soid: &HObject) -> bool {
        self.landing.contains(soid) || self.deletes.contains_key(soid)
    }

    /// All objects under way.
    pub fn objects(&self) -> BTreeSet<&HObject> {
        self.pulls.keys().chain(&self.landing).chain(self.pushes.keys()).chain(self.deletes.keys()).collect()
    }
}

impl Pg {
    /// Starts at most `slots` recoveries of objects and says how many it started; each comes back
    /// as [`PgOutput::RecoveryDone`].
    pub fn recover(&mut self, env: &mut Env, slots: u32) -> u32 {
        self.recovery.queued = false;
        let recovering = matches!(self.stage(), Some(Stage::Recovering | Stage::Backfilling));
        if !recovering || self.map.test_flag(osdmap_flag::NORECOVER) {
            return 0;
        }
        if self.is_too_full_to_recover(env) {
            self.pause(env, Halt::TooFull);
            self.finish(env);
            return 0;
        }
        let mut started = 0;
        for soid in self.next_objects(slots) {
            // It may have gone along with another.
            let begun = self.recovery.is_recovering(&soid) || self.is_family_busy(&soid);
            if !begun && self.recover_object(env, &soid) {
                self.recovery.slotted.insert(soid);
                started += 1;
            }
        }
        if started < slots && self.is_backfilling() {
            started += self.continue_backfill(env, slots - started);
        }
        if started == 0 {
            self.recovery_idle(env);
        }
        self.run_ready(env);
        self.finish(env);
        started
    }

    /// What to recover next: what we lack first, then what replicas lack, oldest writes first.
    fn next_objects(&self, max: u32) -> Vec<HObject> {
        let ours = self.missing.by_version();
        let theirs = self.actingbackfill.iter().filter_map(|o| self.peers.missing.get(o)).flat_map(|m| m.by_version());
        let mut next = Vec::new();
        for soid in ours.chain(theirs) {
            if next.len() >= max as usize {
                break;
            }
            let soid = &*self.head_first(soid);
            let busy = self.recovery.is_recovering(soid) || self.is_family_busy(soid);
            let family_waits = || next.iter().any(|o: &HObject| o.is_same_family(soid));
            if !busy && !self.missing_loc.is_unfound(soid) && !family_waits() {
                next.push(soid.clone());
            }
        }
        next
    }

    /// A client waits for it.
    pub(crate) fn recover_now(&mut self, env: &mut Env, soid: &HObject) {
        let soid = &self.head_first(soid).into_owned();
        if !self.recovery.is_recovering(soid) && !self.missing_loc.is_unfound(soid) {
            self.recover_object(env, soid);
        }
    }

    /// Begins with one object. False if nothing can be done for it now.
    fn recover_object(&mut self, env: &mut Env, soid: &HObject) -> bool {
        let Some(item) = self.missing_loc.needs(soid) else { return false };
        let (need, is_delete) = (item.need, item.is_delete);
        if is_delete {
            self.recover_deletes(env, soid, need)
        } else if self.missing.contains(soid) {
            self.revert_here(env, soid, need) || self.start_pull(env, soid, need, true)
        } else {
            self.start_pushes(env, soid)
        }
    }

    /// Pushes an object to the targets of backfill that are known to lack it.
    pub(crate) fn start_backfill_push(&mut self, env: &mut Env, soid: &HObject, version: EVersion) {
        self.recovery.slotted.insert(soid.clone());
        if self.start_pushes(env, soid) {
            return;
        }
        // Our copy cannot be read: perhaps another's can.
        if !self.mend_from_peer(env, soid) {
            self.missing.add(soid, version, EVersion::ZERO, false);
            self.dirty.info = true;
            let item = self.missing.get(soid).cloned().expect("just added");
            self.missing_loc.need(soid, item);
        }
        self.give_up(env, soid);
    }

    /// Who of the acting set lacks it, besides us.
    pub(crate) fn replicas_lacking(&self, soid: &HObject) -> Vec<OsdId> {
        let lacks = |o: &OsdId| self.peers.missing.get(o).is_some_and(|m| m.contains(soid));
        self.actingbackfill.iter().copied().filter(|o| *o != self.whoami && lacks(o)).collect()
    }

    /// Nothing more can be recovered now; whether because all is, or because the rest is unfound.
    fn recovery_idle(&mut self, env: &mut Env) {
        let lost = self.recovery.is_idle() && self.missing_loc.unfound().next().is_some();
        match self.stage() {
            Some(Stage::Recovering) if !self.needs_recovery() => {
                self.release_reservations(env);
                self.begin_recovery(env);
            }
            Some(Stage::Backfilling) if self.backfill_is_done() => self.backfilled(env),
            Some(Stage::Recovering | Stage::Backfilling) if lost => self.pause(env, Halt::Unfound),
            _ => (),
        }
    }

    // --- deletes

    fn recover_deletes(&mut self, env: &mut Env, first: &HObject, version: EVersion) -> bool {
        let mut told: BTreeMap<OsdId, Vec<(HObject, EVersion)>> = BTreeMap::new();
        let (coll, reset) = (self.coll(), self.last_peering_reset);
        for (soid, version) in [(first.clone(), version)].into_iter().chain(self.more_deletes(first)) {
            if self.missing.contains(&soid) {
                self.contexts.forget(&soid);
                self.txn.push(TxOp::Remove { coll, oid: soid.clone().into() });
                self.got(&soid, version);
            }
            let replicas = self.replicas_lacking(&soid);
            for osd in &replicas {
                told.entry(*osd).or_default().push((soid.clone(), version));
            }
            self.then.push(OnCommit::Recovered { reset, soid: soid.clone() });
            self.recovery.deletes.insert(soid, replicas.into_iter().chain([self.whoami]).collect());
        }
        for (osd, objects) in told {
            self.send_deletes(env, osd, objects);
        }
        true
    }

    /// Others that are to be deleted and can go along. (Clones wait for their turn: their family has an order.)
    fn more_deletes(&self, first: &HObject) -> Vec<(HObject, EVersion)> {
        let ours = self.missing.by_version();
        let theirs = self.actingbackfill.iter().filter_map(|o| self.peers.missing.get(o)).flat_map(|m| m.by_version());
        let mut more: BTreeMap<&HObject, EVersion> = BTreeMap::new();
        for soid in ours.chain(theirs).take(DELETES_WITHIN).filter(|o| !o.is_snap() && !o.is_same_family(first)) {
            if more.len() + 1 == DELETES {
                break;
            }
            let delete = self.missing_loc.needs(soid).filter(|item| item.is_delete);
            if let Some(item) = delete
                && !self.recovery.is_recovering(soid)
                && !self.is_family_busy(soid)
            {
                more.insert(soid, item.need);
            }
        }
        more.into_iter().map(|(soid, need)| (soid.clone(), need)).collect()
    }

    fn send_deletes(&self, env: &mut Env, to: OsdId, objects: Vec<(HObject, EVersion)>) {
        let m = MOSDPGRecoveryDelete {
            from: PgShard::from(self.whoami),
            pgid: self.id,
            map_epoch: self.map.epoch,
            min_epoch: self.last_peering_reset,
            cost: 0,
            objects,
        };
        env.send_osd(to, m);
    }

    /// A replica carries out deletes that it missed.
    pub(crate) fn on_recovery_delete(&mut self, env: &mut Env, from: OsdId, m: MOSDPGRecoveryDelete) {
        if self.is_stale(from, m.map_epoch) || !matches!(self.phase, Phase::ReplicaActive(_)) {
            return;
        }
        let coll = self.coll();
        for (soid, version) in &m.objects {
            self.txn.push(TxOp::Remove { coll, oid: soid.clone().into() });
            self.got(soid, *version);
        }
        let reply = MOSDPGRecoveryDeleteReply {
            from: PgShard::from(self.whoami),
            pgid: self.id,
            map_epoch: m.map_epoch,
            min_epoch: m.min_epoch,
            objects: m.objects,
        };
        let after = Some(self.submit_recovered(env));
        env.out.push(PgOutput::ToOsd { osd: from, msg: reply.into(), after });
    }

    pub(crate) fn on_recovery_delete_reply(&mut self, env: &mut Env, from: OsdId, m: MOSDPGRecoveryDeleteReply) {
        if self.is_stale(from, m.map_epoch) || !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        for (soid, version) in &m.objects {
            if let Some(missing) = self.peers.missing.get_mut(&from) {
                missing.got(soid, *version);
            }
            self.deleted_at(env, soid, from);
        }
    }

    fn deleted_at(&mut self, env: &mut Env, soid: &HObject, osd: OsdId) {
        let Some(waiting) = self.recovery.deletes.get_mut(soid) else { return };
        waiting.remove(&osd);
        if waiting.is_empty() {
            self.recovery.deletes.remove(soid);
            self.object_recovered(env, soid);
        }
    }

    // --- pulls

    /// `partly`: without what clones that are here have of it.
    pub(crate) fn start_pull(&mut self, env: &mut Env, soid: &HObject, need: EVersion, partly: bool) -> bool {
        let sources: Vec<OsdId> = self.missing_loc.locations(soid).filter(|o| *o != self.whoami).collect();
        // Spread over the sources, the same way every time.
        let Some(from) = sources.get(soid.hash as usize % sources.len().max(1)).copied() else { return false };
        let whole = ObjectRecoveryInfo {
            soid: soid.clone(),
            version: self.version_to_fetch(need),
            size: u64::MAX,
            copy_subset: IntervalSet::from_iter([(0, u64::MAX)]),
            ..ObjectRecoveryInfo::default()
        };
        let info = if partly { self.with_local_clones(env, whole) } else { whole };
        let progress = ObjectRecoveryProgress { first: true, ..ObjectRecoveryProgress::default() };
        let transfer = Transfer { info, progress };
        self.send_pull(env, from, soid, &transfer);
        self.recovery.pulls.insert(soid.clone(), (from, transfer));
        self.stat_changed(env);
        true
    }

    pub(crate) fn send_pull(&self, env: &mut Env, to: OsdId, soid: &HObject, t: &Transfer) {
        let pull = PullOp { soid: soid.clone(), recovery_info: t.info.clone(), recovery_progress: t.progress.clone() };
        let m = MOSDPGPull {
            from: PgShard::from(self.whoami),
            pgid: self.id,
            map_epoch: self.map.epoch,
            min_epoch: self.last_peering_reset,
            pulls: vec![pull],
            cost: env.cfg.recovery_max_chunk,
        };
        env.send_osd(to, m);
    }

    /// The last piece of a pulled object is in the transaction under way.
    pub(crate) fn pulled(&mut self, soid: &HObject, version: EVersion, bytes: u64) {
        self.recovery.pulls.remove(soid);
        self.recovery.landing.insert(soid.clone());
        self.contexts.forget(soid);
        self.got(soid, version);
        self.missing_loc.add_location(soid, self.whoami);
        let sum = &mut self.info.stats.stats.sum;
        sum.num_objects_recovered += 1;
        sum.num_bytes_recovered += bytes as i64;
        let reset = self.last_peering_reset;
        self.then.push(OnCommit::Recovered { reset, soid: soid.clone() });
    }

    /// The source does not have what it should.
    pub(crate) fn pull_failed(&mut self, env: &mut Env, soid: &HObject, from: OsdId) {
        if self.recovery.pulls.remove(soid).is_none() {
            return;
        }
        self.missing_loc.remove_location(soid, from);
        self.give_up(env, soid);
    }

    /// Pulls from OSDs that are gone start again elsewhere.
    pub(crate) fn drop_pulls_from(&mut self, gone: impl Fn(OsdId) -> bool) {
        self.recovery.pulls.retain(|soid, (from, _)| {
            let keep = !gone(*from);
            if !keep {
                self.recovery.slotted.remove(soid);
            }
            keep
        });
    }

    /// What we recovered is on our disk; now the others.
    pub(crate) fn recovered_on_disk(&mut self, env: &mut Env, soid: &HObject) {
        let version = self.info.last_complete;
        self.complete_on_disk(env, version);
        if self.recovery.deletes.contains_key(soid) {
            return self.deleted_at(env, soid, self.whoami);
        }
        if !self.recovery.landing.remove(soid) {
            return;
        }
        if !self.start_pushes(env, soid) {
            self.object_recovered(env, soid);
        }
        self.requeue_for_object(soid);
        self.release_object_backoffs(env, soid);
    }

    // --- pushes

    fn start_pushes(&mut self, env: &mut Env, soid: &HObject) -> bool {
        let replicas = self.replicas_lacking(soid);
        let Some(info) = self.push_info(env, soid) else { return false };
        if replicas.is_empty() {
            return false;
        }
        let progress = ObjectRecoveryProgress { first: true, ..ObjectRecoveryProgress::default() };
        let family = self.family(env, soid);
        let all: BTreeMap<OsdId, Transfer> = replicas
            .into_iter()
            .map(|osd| {
                let info = match self.scrub.is_mending(soid) {
                    // What it holds of the family may be as bad.
                    true => info.clone(),
                    false => self.with_clones_of(env, osd, &family, info.clone()),
                };
                (osd, Transfer { info, progress: progress.clone() })
            })
            .collect();
        self.recovery.pushes.insert(soid.clone(), all.clone());
        for (to, transfer) in all {
            self.start_piece(env, Piece { to, transfer });
        }
        self.stat_changed(env);
        true
    }

    /// A replica has all of it.
    pub(crate) fn pushed(&mut self, env: &mut Env, soid: &HObject, to: OsdId) {
        let Some(all) = self.recovery.pushes.get_mut(soid) else { return };
        let Some(done) = all.remove(&to) else { return };
        let last = all.is_empty();
        if let Some(missing) = self.peers.missing.get_mut(&to) {
            missing.got(soid, done.info.version);
        }
        self.missing_loc.add_location(soid, to);
        let sum = &mut self.info.stats.stats.sum;
        sum.num_objects_recovered += 1;
        sum.num_bytes_recovered += done.info.size as i64;
        if last {
            self.recovery.pushes.remove(soid);
            self.object_recovered(env, soid);
        }
    }

    /// The session with an OSD was lost: what it was to send is asked for again, what it was to get is sent
    /// again from the beginning. An answer to an earlier piece that comes yet does no harm: it only has the
    /// next piece sent sooner, and pieces and writes arrive in order.
    pub(crate) fn transfer_again(&mut self, env: &mut Env, osd: OsdId) {
        for (soid, (from, transfer)) in &self.recovery.pulls {
            if *from == osd {
                self.send_pull(env, osd, soid, transfer);
            }
        }
        for soid in self.recovery.deletes.iter().filter(|(_, w)| w.contains(&osd)).map(|(soid, _)| soid) {
            if let Some(item) = self.missing_loc.needs(soid) {
                self.send_deletes(env, osd, vec![(soid.clone(), item.need)]);
            }
        }
        // A piece that is being read belongs to the old run.
        self.recovery.pieces.retain(|_, p| p.to != osd || !self.recovery.pushes.contains_key(&p.transfer.info.soid));
        let mut again = Vec::new();
        for transfer in self.recovery.pushes.values_mut().filter_map(|all| all.get_mut(&osd)) {
            transfer.progress = ObjectRecoveryProgress { first: true, ..ObjectRecoveryProgress::default() };
            again.push(transfer.clone());
        }
        for transfer in again {
            self.start_piece(env, Piece { to: osd, transfer });
        }
    }

    // --- ends

    /// This copy has the object (or has deleted it) at `version`.
    pub(crate) fn got(&mut self, soid: &HObject, version: EVersion) {
        self.missing.got(soid, version);
        self.info.last_complete = self.complete_to();
        self.info.stats.stats.sum.num_objects_missing = self.missing.len() as i64;
        self.dirty.info = true;
    }

    /// Every member has it.
    fn object_recovered(&mut self, env: &mut Env, soid: &HObject) {
        let somebody_lacks = self.missing.contains(soid) || !self.replicas_lacking(soid).is_empty();
        if !somebody_lacks {
            self.missing_loc.recovered(soid);
        }
        self.dirty.info = true;
        self.mend_recovered(env, soid);
        self.backfill_object_done(env, soid);
        self.give_up(env, soid);
        self.requeue_for_object(soid);
        self.release_object_backoffs(env, soid);
    }

    /// Ends the work on an object; there may be more, or none at all.
    pub(crate) fn give_up(&mut self, env: &mut Env, soid: &HObject) {
        if self.recovery.slotted.remove(soid) {
            env.out.push(PgOutput::RecoveryDone { slots: 1 });
        }
        self.mend_stuck(env, soid);
        match self.stage() {
            Some(Stage::Recovering) => (),
            // Perhaps there is no more to push, but that is for those to say who walk along the lists.
            Some(Stage::Backfilling) => return self.queue_recovery(env),
            _ => return,
        }
        if self.recovery.queued {
            return self.stat_changed(env);
        }
        if self.next_objects(1).is_empty() {
            if self.recovery.is_idle() {
                self.recovery_idle(env);
            }
        } else {
            self.queue_recovery(env);
        }
        self.stat_changed(env);
    }

    /// The interval is over.
    pub(crate) fn drop_recovery(&mut self, env: &mut Env) {
        let slots = self.recovery.slotted.len() as u32;
        self.recovery = Recovery::default();
        if slots > 0 {
            env.out.push(PgOutput::RecoveryDone { slots });
        }
        self.clear_temp();
    }

    /// What others lack cannot be read here either, nor elsewhere: nobody has it.
    pub(crate) fn lose_own_copy(&mut self, soid: &HObject) {
        let Some(need) = self.missing_loc.needs(soid).map(|item| item.need) else { return };
        self.missing.add(soid, need, EVersion::ZERO, false);
        self.missing_loc.remove_location(soid, self.whoami);
        self.contexts.forget(soid);
        self.info.last_complete = self.complete_to();
        self.dirty.info = true;
    }

    /// Our copy is damaged: fetch the object from another that should be good. False if there is none.
    pub(crate) fn mend_from_peer(&mut self, env: &mut Env, soid: &HObject) -> bool {
        let known = self.contexts.load(env.store, os::Coll::Pg(self.id), soid).map(|c| c.obs.oi.version);
        // Its snapset may be what is damaged. Where even its info cannot be read the log may know.
        let alone = || read_object_info(env.store, os::Coll::Pg(self.id), &soid.clone().into()).ok().flatten();
        let own = || alone().filter(|oi| oi.soid == *soid).map(|oi| oi.version);
        let logged = || self.log.newest(soid).filter(|e| e.is_update()).map(|e| e.version);
        let known = known.ok().filter(|v| !v.is_zero());
        let Some(version) = known.or_else(own).or_else(logged) else { return false };
        let good = |o: &OsdId| *o != self.whoami && self.peers.missing.get(o).is_none_or(|m| !m.contains(soid));
        let sources: Vec<OsdId> = self.actingset().into_iter().filter(good).collect();
        if sources.is_empty() {
            return false;
        }
        self.note_unreadable(env, soid);
        self.missing.add(soid, version, EVersion::ZERO, false);
        self.dirty.info = true;
        let item = self.missing.get(soid).cloned().expect("just added");
        self.missing_loc.need(soid, item);
        self.missing_loc.remove_location(soid, self.whoami);
        for osd in sources {
            self.missing_loc.add_location(soid, osd);
        }
        true
    }
}
