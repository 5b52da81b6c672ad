//! Backfill on the primary: copies to members whom the log does not reach.
//!
//! Primary and targets list their objects in order, in pieces; the primary walks along all lists at
//! once. What a target has and the primary has not is removed there, what differs in its version is
//! pushed, what is equal stays. (Ceph: `PrimaryLogPG::recover_backfill`)
//!
//! ```text
//!   objects in order ──────────────────────────────────────────────────────────────►
//!   ├── on every target ──┤── pushed, some still on their way ──┤── not come to yet ──
//!              last_backfill                              last_started
//! ```
//! A write to an object up to `last_started` goes to the targets whole; beyond it they only log it, for
//! they will get the object as it is then. While an object is on its way it is locked for reading, so
//! that writes wait; one that is being written is not started.
//!
//! Invariants:
//! - Each target's `last_backfill` ≤ `last_started`; both only grow.
//! - All objects up to `last_started` that exist are in no list any more; those in `in_flight` are not on
//!   all targets yet, and hold a read lock on their head.
//! - What is past and not in flight waits in `passed` until all before it is there as well: then
//!   `last_backfill` moves.

use std::collections::{BTreeMap, BTreeSet};

use messages::{MOSDPGBackfill, MOSDPGBackfillRemove, MOSDPGScan};
use node::Level;
use os::ReadError;
use types::{EVersion, GHObject, HObject, ObjectStatSum, OsdId, PgShard, osdmap_flag};

use crate::env::Env;
use crate::log::PgLog;
use crate::object::{Lock, ObjectContext, read_object_info};
use crate::pg::{Pg, Phase};
use crate::planted;
use crate::reserve::Stage;

/// How many objects are done, or bytes, before a target is told to remember how far it is. A target that
/// restarts is compared, not copied, from there on: little is lost with what it was not told.
const TOLD_OBJECTS: usize = 32;
const TOLD_BYTES: i64 = 64 << 20;

/// `BackfillInterval`: the objects of one copy from `begin` up to, not including, `end`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Interval {
    /// Of the primary's: it is true as of this entry of the log.
    version: EVersion,
    pub begin: HObject,
    pub end: HObject,
    pub objects: BTreeMap<HObject, EVersion>,
}

impl Interval {
    /// Nothing is known from here on.
    fn at(begin: HObject) -> Self {
        Self { version: EVersion::ZERO, end: begin.clone(), begin, objects: BTreeMap::new() }
    }

    /// All of it is used up, and there is more to list.
    fn wants_more(&self) -> bool {
        self.objects.is_empty() && !self.end.is_max()
    }

    fn trim(&mut self) {
        self.begin = self.objects.keys().next().unwrap_or(&self.end).clone();
    }

    fn pop_front(&mut self) -> Option<(HObject, EVersion)> {
        let first = self.objects.pop_first();
        self.trim();
        first
    }

    /// Drops what is not later than `soid`.
    fn trim_to(&mut self, soid: &HObject) {
        self.trim();
        while !self.objects.is_empty() && self.begin <= *soid {
            self.pop_front();
        }
    }

    /// Follows the log from where the list was true. Entries that it knows already change nothing.
    fn follow(&mut self, log: &PgLog) {
        for e in log.after(self.version).filter(|e| !e.is_error() && e.soid >= self.begin && e.soid < self.end) {
            if e.is_delete() {
                self.objects.remove(&e.soid);
            } else {
                self.objects.insert(e.soid.clone(), e.version);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Backfill {
    /// The lists are set up.
    begun: bool,
    /// Up to here the targets follow what is written.
    pub last_started: HObject,
    ours: Interval,
    theirs: BTreeMap<OsdId, Interval>,
    /// Targets that are listing their objects.
    scanning: BTreeSet<OsdId>,
    in_flight: BTreeSet<HObject>,
    /// What moves on with `last_backfill`, and how the sums of the targets grow then.
    passed: BTreeMap<HObject, ObjectStatSum>,
    /// Told that they have everything, and not yet answered.
    finishing: BTreeSet<OsdId>,
    /// What each target was told to remove since it last answered.
    removed: BTreeMap<OsdId, Vec<(HObject, EVersion)>>,
    /// Objects and bytes since the targets were last told how far they are.
    untold: (usize, i64),
    /// An object that is being written, and is to be pushed next: new writes wait.
    awaited: Option<HObject>,
    /// It is free now.
    kicked: bool,
}

impl Backfill {
    /// How far a target certainly is.
    fn position(&self) -> &HObject {
        let theirs = self.theirs.values().map(|i| &i.begin).min();
        theirs.map_or(&self.ours.begin, |t| t.min(&self.ours.begin))
    }

    fn earliest(&self) -> HObject {
        self.theirs.values().map(|i| &i.begin).min().cloned().unwrap_or_else(HObject::max)
    }

    fn all_listed(&self) -> bool {
        self.ours.objects.is_empty()
            && self.ours.end.is_max()
            && self.theirs.values().all(|i| i.objects.is_empty() && i.end.is_max())
    }

    /// Lists, for queries: what is known of each copy.
    pub fn lists(&self) -> (&Interval, &BTreeMap<OsdId, Interval>) {
        (&self.ours, &self.theirs)
    }

    pub fn waiting_on(&self) -> impl Iterator<Item = OsdId> {
        self.scanning.iter().copied()
    }

    pub fn is_in_flight(&self, soid: &HObject) -> bool {
        self.in_flight.contains(soid)
    }

    pub fn in_flight(&self) -> impl Iterator<Item = &HObject> {
        self.in_flight.iter()
    }
}

impl Pg {
    pub(crate) fn is_backfilling(&self) -> bool {
        self.stage() == Some(&Stage::Backfilling)
    }

    /// Where the target that is least far is.
    fn earliest_backfill(&self) -> HObject {
        let of = |o: &OsdId| self.peers.info.get(o).map(|i| i.last_backfill.clone());
        self.backfill_targets.iter().filter_map(of).min().unwrap_or_else(HObject::max)
    }

    /// An operator's flag says that it must wait.
    fn backfill_is_held(&self) -> bool {
        let flagged = |f| self.map.test_flag(f);
        flagged(osdmap_flag::NOBACKFILL) || flagged(osdmap_flag::NOREBALANCE) && !self.is_degraded()
    }

    /// Goes on with at most `max` more objects on their way; says how many were started.
    pub(crate) fn continue_backfill(&mut self, env: &mut Env, max: u32) -> u32 {
        if !self.missing.is_empty() || self.backfill_is_held() || !self.backfill.finishing.is_empty() {
            self.give_way();
            return 0;
        }
        self.begin_lists();
        let mut started = 0;
        let mut removals: BTreeMap<OsdId, Vec<(HObject, EVersion)>> = BTreeMap::new();
        if let Err(e) = self.walk(env, max, &mut started, &mut removals) {
            env.cluster_log(Level::Error, format!("{} cannot list its objects to backfill: {e}", self.id.pgid));
        }
        let (pgid, map_epoch) = (self.id, self.map.epoch);
        for (osd, objects) in removals {
            self.backfill.removed.entry(osd).or_default().extend(objects.iter().cloned());
            env.send_osd(osd, MOSDPGBackfillRemove { pgid, map_epoch, objects });
        }
        self.move_last_backfill(env, true);
        started
    }

    fn begin_lists(&mut self) {
        let earliest = self.earliest_backfill();
        let b = &mut self.backfill;
        if b.begun {
            return;
        }
        b.begun = true;
        b.ours = Interval::at(earliest.clone());
        b.last_started = earliest;
        for osd in &self.backfill_targets {
            if let Some(info) = self.peers.info.get(osd) {
                b.theirs.insert(*osd, Interval::at(info.last_backfill.clone()));
            }
        }
    }

    /// Walks along the lists until enough is on its way, or a list has to be fetched first.
    fn walk(
        &mut self,
        env: &mut Env,
        max: u32,
        started: &mut u32,
        removals: &mut BTreeMap<OsdId, Vec<(HObject, EVersion)>>,
    ) -> Result<(), ReadError> {
        self.follow_writes(env)?;
        let from = self.backfill.last_started.clone();
        self.backfill.ours.trim_to(&from);
        for (osd, list) in &mut self.backfill.theirs {
            let done = self.peers.info.get(osd).map_or(&from, |i| (&i.last_backfill).max(&from));
            list.trim_to(done);
        }
        while *started < max && self.backfill.scanning.is_empty() {
            let b = &self.backfill;
            if b.ours.wants_more() && b.ours.begin <= b.earliest() {
                let next = b.ours.end.clone();
                self.list_ours(env, next)?;
                self.backfill.ours.trim();
            }
            if self.ask_for_lists(env) || self.backfill.all_listed() {
                break;
            }
            let check = self.backfill.earliest();
            if check < self.backfill.ours.begin {
                // Nobody should have it any more.
                for (osd, list) in self.backfill.theirs.iter_mut().filter(|(_, l)| l.begin == check) {
                    removals.entry(*osd).or_default().extend(list.pop_front());
                }
                self.backfill.passed.entry(check.clone()).or_default();
                self.backfill.last_started = check;
            } else if !self.pass_object(env, started)? {
                break;
            }
        }
        Ok(())
    }

    /// Handles the first object of our list. False if it cannot be done now.
    fn pass_object(&mut self, env: &mut Env, started: &mut u32) -> Result<bool, ReadError> {
        let Some((soid, version)) = self.backfill.ours.objects.first_key_value() else { return Ok(false) };
        let (soid, version) = (soid.clone(), *version);
        let mut lacking = Vec::new();
        for (osd, list) in &self.backfill.theirs {
            let differs = match list.objects.first_key_value() {
                Some((theirs, at)) if *theirs == soid => *at != version && !planted::has(planted::Bug::StaleBackfill),
                _ => self.peers.info.get(osd).is_some_and(|i| soid > i.last_backfill),
            };
            if differs {
                lacking.push(*osd);
            }
        }
        if !lacking.is_empty() {
            if self.waits_for_family(env, &soid) {
                return Ok(false);
            }
            if !self.contexts.try_lock(&soid.head(), Lock::Read) {
                self.backfill.awaited = Some(soid.head());
                return Ok(false);
            }
            self.backfill.awaited = None;
            for osd in &lacking {
                self.peers.missing.entry(*osd).or_default().add(&soid, version, EVersion::ZERO, false);
            }
            self.backfill.in_flight.insert(soid.clone());
            self.backfill.last_started = soid.clone();
            *started += 1;
            self.start_backfill_push(env, &soid, version);
        }
        let sum = self.sums_of(env, &soid)?;
        let b = &mut self.backfill;
        b.passed.insert(soid.clone(), sum);
        b.ours.pop_front();
        for list in b.theirs.values_mut().filter(|l| l.objects.keys().next() == Some(&soid)) {
            list.pop_front();
        }
        b.last_started = soid;
        Ok(true)
    }

    /// What one object adds to the sums of a copy (Ceph: `add_object_context_to_pg_stat`).
    fn sums_of(&mut self, env: &Env, soid: &HObject) -> Result<ObjectStatSum, ReadError> {
        let coll = self.coll();
        let head = soid.is_snap().then(|| soid.head());
        let clone_bytes = match head {
            Some(head) => self.contexts.load(env.store, coll, &head)?.ssc.clone_bytes(soid.snap),
            None => None,
        };
        let ObjectContext { obs, .. } = self.contexts.load(env.store, coll, soid)?;
        let is = |flag: u32| i64::from(obs.oi.flags & flag != 0);
        Ok(ObjectStatSum {
            num_objects: 1,
            num_bytes: clone_bytes.unwrap_or(obs.oi.size) as i64,
            num_objects_dirty: is(types::object_flag::DIRTY),
            num_whiteouts: is(types::object_flag::WHITEOUT),
            num_objects_omap: is(types::object_flag::OMAP),
            num_object_clones: i64::from(soid.is_snap()),
            ..ObjectStatSum::default()
        })
    }

    // --- lists

    /// Brings our list up to the newest write.
    fn follow_writes(&mut self, env: &mut Env) -> Result<(), ReadError> {
        let begin = self.backfill.last_started.clone();
        self.backfill.ours.begin = begin.clone();
        if self.backfill.ours.version < self.log.tail {
            return self.list_ours(env, begin);
        }
        self.backfill.ours.follow(&self.log);
        self.backfill.ours.version = self.info.last_update;
        Ok(())
    }

    /// Lists our objects from `begin` on, as they are after the newest write.
    fn list_ours(&mut self, env: &mut Env, begin: HObject) -> Result<(), ReadError> {
        // The store may not show yet what was submitted last: the log says what that changed.
        let version = self.last_update_ondisk.max(self.log.tail);
        let list = self.list_objects(env, begin)?;
        self.backfill.ours = Interval { version, ..list };
        self.backfill.ours.follow(&self.log);
        self.backfill.ours.version = self.info.last_update;
        Ok(())
    }

    /// What this copy holds from `begin` on, a piece of it.
    pub(crate) fn list_objects(&self, env: &Env, begin: HObject) -> Result<Interval, ReadError> {
        let coll = self.coll();
        let max = env.cfg.backfill_scan_max.max(1);
        let (found, next) = env.store.list(coll, &GHObject::from(begin.clone()), max)?;
        let mut objects = BTreeMap::new();
        for oid in found.into_iter().filter(|o| !o.is_pgmeta()) {
            if let Some(info) = read_object_info(env.store, coll, &oid)? {
                objects.insert(oid.hobj, info.version);
            }
        }
        let end = next.map_or_else(HObject::max, |n| n.hobj);
        Ok(Interval { version: EVersion::ZERO, begin, end, objects })
    }

    /// Asks targets whose list is used up for more of it; whether any was asked.
    fn ask_for_lists(&mut self, env: &mut Env) -> bool {
        let b = &mut self.backfill;
        for (osd, _) in b.theirs.iter().filter(|(_, l)| l.wants_more() && l.begin <= b.ours.begin) {
            b.scanning.insert(*osd);
        }
        for osd in &self.backfill.scanning {
            self.ask_for_list(env, *osd);
        }
        !self.backfill.scanning.is_empty()
    }

    fn ask_for_list(&self, env: &mut Env, osd: OsdId) {
        let Some(list) = self.backfill.theirs.get(&osd) else { return };
        let m = MOSDPGScan {
            op: MOSDPGScan::GET_DIGEST,
            map_epoch: self.map.epoch,
            query_epoch: self.last_peering_reset,
            from: PgShard::from(self.whoami),
            pgid: self.id,
            begin: list.end.clone(),
            ..MOSDPGScan::default()
        };
        env.send_osd(osd, m);
    }

    /// The session with a target was lost, with what was on its way. (Objects that were being pushed are
    /// sent again elsewhere; that a target forgets how far it was costs only a comparison.)
    pub(crate) fn backfill_again(&mut self, env: &mut Env, osd: OsdId) {
        let (pgid, map_epoch) = (self.id, self.map.epoch);
        let mut objects = self.backfill.removed.get(&osd).cloned().unwrap_or_default();
        // What is there again was removed there before it was written, if it was written there.
        let written = |o: &HObject| self.contexts.get(o).is_some_and(|c| c.obs.exists);
        objects.retain(|(soid, _)| {
            !written(soid) && matches!(env.store.stat(self.coll(), &soid.clone().into()), Ok(None))
        });
        if !objects.is_empty() {
            env.send_osd(osd, MOSDPGBackfillRemove { pgid, map_epoch, objects });
        }
        if self.backfill.scanning.contains(&osd) {
            self.ask_for_list(env, osd);
        }
        if self.backfill.finishing.contains(&osd) {
            self.tell_target(env, osd);
        }
    }

    /// A target lists a piece of what it holds.
    pub(crate) fn take_list(&mut self, env: &mut Env, from: OsdId, m: MOSDPGScan) {
        // An answer to what was asked before backfill was stopped is as good.
        if !self.backfill.scanning.remove(&from) {
            return;
        }
        // What was sent before the question has arrived.
        self.backfill.removed.remove(&from);
        match denc::from_bytes::<BTreeMap<HObject, EVersion>>(m.data) {
            Ok(mut objects) => {
                objects.retain(|o, _| *o >= m.begin && *o < m.end);
                let list = Interval { version: EVersion::ZERO, begin: m.begin, end: m.end, objects };
                // A list that goes nowhere would be asked for again and again.
                if list.end > list.begin {
                    self.backfill.theirs.insert(from, list);
                }
            }
            Err(e) => {
                let text = format!("{} list of osd.{from} to backfill is of no use: {e}", self.id.pgid);
                env.cluster_log(Level::Error, text);
            }
        }
        if self.backfill.scanning.is_empty() {
            self.queue_recovery(env);
        }
    }

    // --- progress

    /// Every target has the object that was pushed, or has given up on it.
    pub(crate) fn backfill_object_done(&mut self, env: &mut Env, soid: &HObject) {
        if !self.backfill.in_flight.remove(soid) {
            return;
        }
        let head = soid.head();
        if self.contexts.unlock(&head, Lock::Read) {
            self.requeue_for_lock(&head);
        }
        self.move_last_backfill(env, false);
    }

    /// A client's write changed the sums (Ceph: `apply_op_stats`, `apply_stats`).
    pub(crate) fn note_backfill_sums(&mut self, soid: &HObject, delta: &ObjectStatSum) {
        if self.backfill_targets.is_empty() {
            return;
        }
        let mut pending = false;
        for osd in &self.backfill_targets {
            let Some(info) = self.peers.info.get_mut(osd).filter(|i| i.is_incomplete()) else { continue };
            if *soid <= info.last_backfill {
                info.stats.stats.sum += delta;
                info.stats.stats.sum.floor(0);
            } else {
                pending |= *soid <= self.backfill.last_started;
            }
        }
        if pending {
            *self.backfill.passed.entry(soid.clone()).or_default() += delta;
        }
    }

    /// Moves `last_backfill` up to the first object that is still on its way, and tells the targets. Only who
    /// has just followed the log may say that nothing is left.
    fn move_last_backfill(&mut self, env: &mut Env, may_finish: bool) {
        let b = &mut self.backfill;
        if !b.begun {
            return;
        }
        let next = b.in_flight.first().unwrap_or_else(|| b.position()).clone();
        let mut reached = None;
        while let Some(entry) = b.passed.first_entry().filter(|e| *e.key() < next) {
            let (soid, sum) = entry.remove_entry();
            b.untold.0 += 1;
            b.untold.1 += sum.num_bytes;
            for osd in &self.backfill_targets {
                if let Some(info) = self.peers.info.get_mut(osd).filter(|i| soid > i.last_backfill) {
                    info.stats.stats.sum += &sum;
                }
            }
            reached = Some(soid);
        }
        let nothing_left = b.passed.is_empty() && b.in_flight.is_empty() && b.all_listed() && b.scanning.is_empty();
        let finished = may_finish && nothing_left && !b.last_started.is_max();
        if finished {
            b.last_started = HObject::max();
            reached = Some(HObject::max());
        }
        if let Some(reached) = reached {
            self.reach(reached);
        }
        let (objects, bytes) = self.backfill.untold;
        if finished || objects >= TOLD_OBJECTS || bytes >= TOLD_BYTES {
            self.tell_targets(env);
        }
    }

    fn reach(&mut self, reached: HObject) {
        for osd in &self.backfill_targets {
            let Some(info) = self.peers.info.get_mut(osd).filter(|i| reached > i.last_backfill) else { continue };
            info.last_backfill = reached.clone();
            if reached.is_max() {
                // Recovery by the log along the way may have made the sums wrong.
                info.stats = self.info.stats.clone();
            }
        }
    }

    fn tell_targets(&mut self, env: &mut Env) {
        self.backfill.untold = (0, 0);
        for osd in self.backfill_targets.clone() {
            self.tell_target(env, osd);
        }
        self.stat_changed(env);
    }

    fn tell_target(&mut self, env: &mut Env, osd: OsdId) {
        let Some(info) = self.peers.info.get(&osd) else { return };
        let finish = info.last_backfill.is_max();
        if finish {
            self.backfill.finishing.insert(osd);
        }
        let m = MOSDPGBackfill {
            op: if finish { MOSDPGBackfill::FINISH } else { MOSDPGBackfill::PROGRESS },
            map_epoch: self.map.epoch,
            query_epoch: self.last_peering_reset,
            pgid: self.id,
            last_backfill: info.last_backfill.clone(),
            stats: info.stats.clone(),
        };
        env.send_osd(osd, m);
    }

    /// A target has everything, and knows it.
    pub(crate) fn target_finished(&mut self, env: &mut Env, from: OsdId) {
        if self.backfill.finishing.remove(&from) && self.backfill.finishing.is_empty() {
            self.queue_recovery(env);
        }
    }

    /// All targets have said that they have everything.
    pub(crate) fn backfill_is_done(&self) -> bool {
        !self.needs_backfill() && self.backfill.finishing.is_empty() && self.backfill.in_flight.is_empty()
    }

    // --- stops

    /// Writes that waited so that an object could be pushed need not wait any more.
    fn give_way(&mut self) {
        if let Some(head) = self.backfill.awaited.take() {
            self.requeue_for_lock(&head);
        }
    }

    /// The object that is to be pushed next is free.
    pub(crate) fn kick_backfill(&mut self, env: &mut Env) {
        if std::mem::take(&mut self.backfill.kicked) {
            self.queue_recovery(env);
        }
    }

    /// Nobody is at an object any more.
    pub(crate) fn object_is_free(&mut self, head: &HObject) {
        self.backfill.kicked |= self.backfill.awaited.as_ref() == Some(head);
        self.requeue_for_lock(head);
    }

    /// A write must wait so that backfill gets at the object.
    pub(crate) fn gives_way_to_backfill(&self, head: &HObject) -> bool {
        self.backfill.awaited.as_ref() == Some(head)
    }

    /// Slots are given back; what is on its way still arrives.
    pub(crate) fn cancel_backfill(&mut self) {
        self.backfill.scanning.clear();
        self.give_way();
    }

    // --- what targets say

    pub(crate) fn on_scan(&mut self, env: &mut Env, from: OsdId, m: MOSDPGScan) {
        if self.is_stale(from, m.map_epoch) || self.is_old(m.map_epoch, m.query_epoch) {
            return;
        }
        match (m.op, &self.phase) {
            (MOSDPGScan::GET_DIGEST, Phase::ReplicaActive(_)) => self.send_list(env, from, m),
            (MOSDPGScan::DIGEST, Phase::Active(_)) => self.take_list(env, from, m),
            _ => (),
        }
    }

    pub(crate) fn on_backfill(&mut self, env: &mut Env, from: OsdId, m: MOSDPGBackfill) {
        if self.is_stale(from, m.map_epoch) || self.is_old(m.map_epoch, m.query_epoch) {
            return;
        }
        match (m.op, &self.phase) {
            (MOSDPGBackfill::PROGRESS | MOSDPGBackfill::FINISH, Phase::ReplicaActive(_)) => {
                self.note_progress(env, from, m);
            }
            (MOSDPGBackfill::FINISH_ACK, Phase::Active(_)) => self.target_finished(env, from),
            _ => (),
        }
    }
}
