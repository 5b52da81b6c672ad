//! What the PG is like: its state's flags, derived here and nowhere else, and its statistics for the
//! manager (Ceph: `PeeringState::update_calc_stats`, `prepare_stats_for_publish`).

use std::collections::{BTreeMap, BTreeSet};

use node::Now;
use types::pg_state as flag;
use types::pool::flag as pool_flag;
use types::{OsdId, PgShard, PgStat};

use crate::env::{Env, PgOutput};
use crate::interval::members;
use crate::lease::Readable;
use crate::peering::Step;
use crate::pg::{Active, Pg, Phase};
use crate::reserve::{Halt, Stage};

/// What was last told.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Something has changed since.
    pub changed: bool,
}

/// So many intervals of purged snapshots are reported at once: Ceph's default of
/// `osd_max_snap_prune_intervals_per_epoch`.
const PURGED_INTERVALS_MAX: usize = 512;

impl Pg {
    /// Bits of [`types::pg_state`], as the PG is now.
    pub fn state(&self) -> u64 {
        let mut s = 0;
        if self.ua.up != self.ua.acting {
            s |= flag::REMAPPED;
        }
        if self.is_primary() && self.info.history.last_epoch_started == 0 {
            s |= flag::CREATING;
        }
        match &self.phase {
            Phase::Reset | Phase::Stray | Phase::WaitActingChange => (),
            Phase::Deleting(_) => (),
            Phase::ReplicaActive(r) if r.committed => s |= self.active_or_peered(),
            Phase::ReplicaActive(_) => (),
            Phase::Peering(p) => {
                s |= match p.step {
                    Step::Down => flag::DOWN,
                    Step::Incomplete => flag::INCOMPLETE,
                    _ => flag::PEERING,
                }
            }
            Phase::Active(a) => s |= self.active_flags(a),
        }
        if matches!(self.phase, Phase::WaitActingChange) {
            // Peering goes on once the acting set has changed.
            s |= flag::PEERING;
        }
        s
    }

    fn active_or_peered(&self) -> u64 {
        if self.is_premerge() {
            return flag::PEERED | flag::PREMERGE;
        }
        if self.enough_members() { flag::ACTIVE } else { flag::PEERED }
    }

    fn active_flags(&self, a: &Active) -> u64 {
        let mut s = if a.all_activated { self.active_or_peered() } else { flag::ACTIVATING };
        if self.actingset().len() < usize::from(self.pool.size) {
            s |= flag::UNDERSIZED;
        }
        if self.is_degraded() {
            s |= flag::DEGRADED;
        }
        if a.backfill_toofull {
            s |= flag::BACKFILL_TOOFULL;
        }
        if self.forced.recovery {
            s |= flag::FORCED_RECOVERY;
        }
        if self.forced.backfill {
            s |= flag::FORCED_BACKFILL;
        }
        if self.waiting.laggy {
            s |= flag::LAGGY;
        }
        if self.waiting.wait {
            s |= flag::WAIT;
        }
        s | self.trim.flags()
            | self.scrub_flags()
            | match &a.stage {
                Stage::Activating | Stage::Recovered => 0,
                Stage::WaitLocalRecoveryReserved | Stage::WaitRemoteRecoveryReserved(_) => flag::RECOVERY_WAIT,
                Stage::Recovering => flag::RECOVERING,
                Stage::NotRecovering(p) => match p.why {
                    Halt::Unfound => flag::RECOVERY_UNFOUND,
                    Halt::TooFull => flag::RECOVERY_TOOFULL,
                    Halt::Revoked => flag::RECOVERY_WAIT,
                },
                Stage::WaitLocalBackfillReserved | Stage::WaitRemoteBackfillReserved(_) => flag::BACKFILL_WAIT,
                Stage::Backfilling => flag::BACKFILLING,
                Stage::NotBackfilling(p) if p.why == Halt::Unfound => flag::BACKFILL_UNFOUND,
                Stage::NotBackfilling(_) => 0,
                Stage::Clean if self.is_clean() => flag::CLEAN,
                Stage::Clean => 0,
            }
    }

    pub(crate) fn is_degraded(&self) -> bool {
        self.degraded_and_misplaced().0 > 0
    }

    /// How many objects a member lacks. Targets of backfill are followed by their sums, others by what the
    /// log says.
    fn lacking(&self, osd: OsdId) -> i64 {
        let objects = self.info.stats.stats.sum.num_objects.max(0);
        if osd == self.whoami {
            return self.missing.len() as i64;
        }
        match (self.peers.missing.get(&osd), self.peers.info.get(&osd)) {
            (Some(m), _) if !self.backfill_targets.contains(&osd) => m.len() as i64,
            (_, Some(i)) => (objects - i.stats.stats.sum.num_objects.max(0)).max(0),
            (_, None) => objects,
        }
    }

    /// How many copies of objects there should be and are not, and how many are on the wrong OSD.
    fn degraded_and_misplaced(&self) -> (i64, i64) {
        let Some(stage) = self.stage() else { return (0, 0) };
        let up: BTreeSet<OsdId> = members(&self.ua.up).collect();
        let absent = usize::from(self.pool.size).saturating_sub(up.len());
        let objects = self.info.stats.stats.sum.num_objects.max(0);
        if *stage == Stage::Recovering {
            let (degraded, misplaced) = self.missing_by_count(&up);
            return (degraded + objects * absent as i64, misplaced);
        }
        // What each place that should hold a copy lacks, and what those who hold one instead lack.
        let mut targets: Vec<i64> = up.iter().map(|o| self.lacking(*o)).collect();
        targets.extend((absent > 0).then_some(objects * absent as i64));
        let mut sources: Vec<i64> = self.actingset().difference(&up).map(|o| self.lacking(*o)).collect();
        targets.sort_unstable();
        sources.sort_unstable();
        let (mut degraded, mut misplaced) = (0, 0);
        let mut sources = sources.into_iter();
        for target in targets.into_iter().rev() {
            match sources.next() {
                Some(source) if target >= source => {
                    misplaced += target - source;
                    degraded += source;
                }
                _ => degraded += target,
            }
        }
        misplaced += sources.map(|s| (objects - s).max(0)).sum::<i64>();
        (degraded, misplaced)
    }

    /// While the log is followed it is known of each object where it is (Ceph: `get_missing_by_count`).
    fn missing_by_count(&self, up: &BTreeSet<OsdId>) -> (i64, i64) {
        let (mut degraded, mut misplaced) = (0, 0);
        for (soid, _) in self.missing_loc.all() {
            let (mut in_place, mut elsewhere) = (0, 0);
            for osd in self.missing_loc.locations(soid) {
                *(if up.contains(&osd) { &mut in_place } else { &mut elsewhere }) += 1;
            }
            if in_place + elsewhere > 0 {
                let lacking = (up.len() as i64 - in_place).max(0);
                misplaced += lacking.min(elsewhere);
                degraded += (lacking - elsewhere).max(0);
            }
        }
        (degraded, misplaced)
    }

    /// Tells the OSD that the manager should hear of us.
    pub(crate) fn stat_changed(&mut self, env: &mut Env) {
        if self.is_primary() && !std::mem::replace(&mut self.published.changed, true) {
            env.out.push(PgOutput::StatChanged);
        }
    }

    /// What the omap of this PG's objects takes, as the last deep scrub found it.
    pub fn omap_bytes(&self) -> i64 {
        self.info.stats.stats.sum.num_omap_bytes.max(0)
    }

    /// What the manager is told, if this OSD is the one to tell it.
    pub fn stat(&mut self, now: Now) -> Option<PgStat> {
        // Also of one that is not primary any more: when it is again, its changes are news.
        self.published.changed = false;
        if !self.is_primary() {
            return None;
        }
        self.refresh_stat(now);
        let s = &mut self.info.stats;
        s.reported_epoch = self.map.epoch;
        s.reported_seq += 1;
        Some(s.clone())
    }

    pub(crate) fn refresh_stat(&mut self, now: Now) {
        let state = self.state();
        let (degraded, misplaced) = self.degraded_and_misplaced();
        let unfound = self.missing_loc.num_unfound() as i64;
        let missing = self.missing.len() as i64;
        let copies = usize::from(self.pool.size).max(self.ua.up.len()).max(self.ua.acting.len()) as i64;
        let (complete, locations) = self.whereabouts();
        let h = &self.info.history;
        let s = &mut self.info.stats;
        s.version = self.info.last_update;
        s.created = h.epoch_created;
        s.last_epoch_clean = h.last_epoch_clean;
        s.last_scrub = h.last_scrub;
        s.last_scrub_stamp = h.last_scrub_stamp;
        s.last_deep_scrub = h.last_deep_scrub;
        s.last_deep_scrub_stamp = h.last_deep_scrub_stamp;
        s.last_clean_scrub_stamp = h.last_clean_scrub_stamp;
        s.log_size = (self.log.head.version - self.log.tail.version) as i64;
        s.ondisk_log_size = s.log_size;
        s.log_start = self.log.tail;
        s.ondisk_log_start = self.log.tail;
        s.blocked_by = self.blocked_by.iter().copied().collect();
        s.avail_no_missing = complete;
        s.object_location_counts = locations;
        s.snaptrimq_len = self.trim.queue().size() as u32;
        // Some of them: the monitor takes no more at once.
        s.purged_snaps = self.info.purged_snaps.iter().take(PURGED_INTERVALS_MAX).collect();
        let sum = &mut s.stats.sum;
        sum.num_object_copies = sum.num_objects * copies;
        sum.num_objects_missing_on_primary = missing;
        sum.num_objects_degraded = degraded;
        sum.num_objects_misplaced = misplaced;
        sum.num_objects_unfound = unfound;
        stamp(s, state, now);
    }

    /// Members that lack nothing, and where how many objects are. Told only while there is something
    /// to tell, as Ceph does.
    fn whereabouts(&self) -> (Vec<PgShard>, BTreeMap<BTreeSet<PgShard>, i32>) {
        let active = matches!(&self.phase, Phase::Active(_));
        if !active || self.is_clean() && self.ua.up == self.ua.acting {
            return (Vec::new(), BTreeMap::new());
        }
        let mut complete = Vec::new();
        if self.missing.is_empty() {
            complete.push(PgShard::from(self.whoami));
        }
        let whole = |o: &OsdId| self.peers.info.get(o).is_none_or(|i| !i.is_incomplete());
        let others = self.peers.missing.iter().filter(|(o, m)| **o != self.whoami && m.is_empty() && whole(o));
        complete.extend(others.map(|(o, _)| PgShard::from(*o)));
        let mut locations: BTreeMap<BTreeSet<PgShard>, i32> = BTreeMap::new();
        let mut elsewhere = 0;
        for (soid, _) in self.missing_loc.all() {
            elsewhere += 1;
            let at = self.missing_loc.locations(soid).map(PgShard::from).collect();
            *locations.entry(at).or_default() += 1;
        }
        let rest = self.info.stats.stats.sum.num_objects - elsewhere;
        if rest > 0 {
            let all = self.actingset().into_iter().map(PgShard::from).collect();
            *locations.entry(all).or_default() += rest as i32;
        }
        (complete, locations)
    }

    /// Whether the pool's creation is still being reported.
    pub fn is_creating(&self) -> bool {
        self.pool.has_flag(pool_flag::CREATING)
    }

    /// `ceph pg dump` and others show why ops wait.
    pub fn is_laggy(&self, now: Now) -> bool {
        self.is_primary() && self.readable(now.mono) == Readable::Laggy
    }
}

/// The times at which the PG was last what.
fn stamp(s: &mut PgStat, state: u64, now: Now) {
    let now = now.wall;
    let was = s.state;
    let active_or_peered = flag::ACTIVE | flag::PEERED;
    if was != state {
        s.last_change = now;
        if state & flag::ACTIVE == 0 && was & flag::ACTIVE != 0 {
            s.last_active = now;
        }
        if state & flag::ACTIVE != 0 && was & flag::ACTIVE == 0 {
            s.last_became_active = now;
        }
        if state & active_or_peered != 0 && was & active_or_peered == 0 {
            s.last_became_peered = now;
        }
        s.state = state;
    }
    s.last_fresh = now;
    s.last_unstale = now;
    if state & flag::CLEAN != 0 {
        s.last_clean = now;
    }
    if state & flag::ACTIVE != 0 {
        s.last_active = now;
    }
    if state & active_or_peered != 0 {
        s.last_peered = now;
    }
    if state & flag::DEGRADED == 0 {
        s.last_undegraded = now;
    }
    if state & flag::UNDERSIZED == 0 {
        s.last_fullsized = now;
    }
}
