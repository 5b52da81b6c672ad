//! New maps: when the interval goes on, and when it ends and everything begins anew.

use osdmap::OsdMap;
use types::pool::flag as pool_flag;
use types::{EVersion, OsdId, osdmap_flag};

use crate::backfill::Backfill;
use crate::env::{Env, PgOutput};
use crate::interval::{UpActing, is_new_interval, note_past_interval};
use crate::pg::{Peers, Pg, Phase};
use crate::recovery::Recovery;

impl Pg {
    /// Takes the next map (`env.map`, one epoch on): a new interval resets peering. Gives the PGs that split
    /// off, which stand at this map, too.
    pub fn advance_map(&mut self, env: &mut Env) -> Vec<Self> {
        let last = std::mem::replace(&mut self.map, env.map.clone());
        let map = self.map.clone();
        let pool_before = self.pool.clone();
        if let Some(pool) = map.pools.get(&self.id.pgid.pool) {
            self.pool = pool.clone();
        }
        if self.is_deleting() {
            // It goes on to the end, whatever the maps say; if the PG is wanted here again it is made anew.
            let children = self.split_off(env, &last);
            self.finish(env);
            return children;
        }
        self.note_full(&last, &map);
        let next = UpActing::of(&map, self.id.pgid);
        if is_new_interval(&self.ua, &next, &last, &map, self.id.pgid) {
            self.start_interval(env, &last, next);
        } else if self.peering_is_void(&map) {
            self.reset_peering(env);
        } else if let Phase::Active(_) = self.phase {
            self.active_advance(env, &pool_before);
        }
        self.remove_down_peers(&map);
        self.adjust_need_up_thru(env);
        let mut children = self.split_off(env, &last);
        self.finish(env);
        self.attend_split(&mut children);
        children
    }

    /// The last of a row of maps has been taken: acts on it.
    pub fn activate_map(&mut self, env: &mut Env) {
        if self.is_deleting() {
            return;
        }
        match &self.phase {
            Phase::Reset => self.start(env),
            Phase::Stray | Phase::ReplicaActive(_) => self.notify_primary(env),
            Phase::Peering(_) => self.peering_map_activated(env),
            Phase::Active(_) => {
                self.active_map_activated(env);
                self.drop_shut_out_watches(env);
            }
            Phase::WaitActingChange | Phase::Deleting(_) => (),
        }
        if self.map.epoch - self.persisted_epoch > env.cfg.epoch_persisted_max_stale {
            self.dirty.epoch = true;
        }
        self.finish(env);
        for (from, msg) in std::mem::take(&mut self.waiting_for_map) {
            self.peer_message(env, from, msg);
        }
        self.requeue_waiting_for_map();
        self.run_ready(env);
        self.finish(env);
    }

    /// Remembers when the pool or the cluster became full: writes that were sent before it knew are held
    /// back (Ceph: `check_full_transition`).
    fn note_full(&mut self, last: &OsdMap, map: &OsdMap) {
        let pool = self.id.pgid.pool;
        let is_full =
            |m: &OsdMap| m.test_flag(osdmap_flag::FULL) || m.pool(pool).is_some_and(|p| p.has_flag(pool_flag::FULL));
        if is_full(map) && !is_full(last) {
            self.info.history.last_epoch_marked_full = map.epoch;
            self.dirty.info = true;
        }
    }

    /// What is decided so far does not hold by the new map, though the interval goes on.
    fn peering_is_void(&self, map: &OsdMap) -> bool {
        match &self.phase {
            Phase::Peering(p) => p.is_void(map),
            Phase::WaitActingChange => self.want_acting.iter().any(|o| !map.is_up(*o)),
            _ => false,
        }
    }

    fn reset_peering(&mut self, env: &mut Env) {
        self.last_peering_reset = self.map.epoch;
        self.want_acting.clear();
        self.blocked_by.clear();
        self.enter(env, Phase::Reset);
    }

    /// A new interval: everything that was agreed on in the last one is void
    /// (Ceph: `start_peering_interval`).
    fn start_interval(&mut self, env: &mut Env, last: &OsdMap, next: UpActing) {
        let epoch = self.map.epoch;
        let was = std::mem::replace(&mut self.ua, next);
        let was_primary = was.acting_primary == self.whoami;
        note_past_interval(&mut self.past, &was, &self.info.history, last, epoch, self.id.pgid);
        let h = &mut self.info.history;
        let ended = std::mem::replace(&mut h.same_interval_since, epoch);
        let pg_num = |map: &OsdMap| map.pool(self.id.pgid.pool).map_or(0, |p| p.pg_num);
        if self.id.pgid.is_split(pg_num(last), pg_num(&self.map)) {
            h.last_epoch_split = epoch;
        }
        if was.up != self.ua.up || was.up_primary != self.ua.up_primary {
            h.same_up_since = epoch;
        }
        if was.acting_primary != self.ua.acting_primary {
            h.same_primary_since = epoch;
        }
        self.dirty.big = true;
        self.flush = (self.last_submitted > self.last_committed).then_some(self.last_submitted);
        let s = &mut self.info.stats;
        s.up.clone_from(&self.ua.up);
        s.acting.clone_from(&self.ua.acting);
        s.up_primary = self.ua.up_primary;
        s.acting_primary = self.ua.acting_primary;
        s.mapping_epoch = epoch;

        let primary = self.is_primary();
        self.leases.new_interval(&self.ua, primary, env.now.mono, ended, &mut self.info.history);
        self.release_reservations(env);
        self.stop_trimming(env);
        self.stop_scrub(env);
        self.interrupt_ops(env, was.acting_primary == self.ua.acting_primary);
        self.clear_primary_state();
        if was_primary || primary {
            env.out.push(PgOutput::PgTempDone);
            env.out.push(PgOutput::MergeOff);
        }
        self.send_notify = !primary;
        self.reset_peering(env);
        if self.ua.acting.is_empty() && self.ua.up_primary == self.whoami {
            // The pg_temp is of no use any more; only its owner-to-be can say so.
            env.out.push(PgOutput::PgTemp { want: Vec::new(), forced: false });
        }
        env.out.push(PgOutput::PeersChanged);
    }

    fn clear_primary_state(&mut self) {
        self.peers = Peers::default();
        self.actingbackfill.clear();
        self.backfill_targets.clear();
        self.want_acting.clear();
        self.need_up_thru = false;
        self.blocked_by.clear();
        self.missing_loc.clear();
        self.recovery = Recovery::default();
        self.backfill = Backfill::default();
        self.last_update_ondisk = EVersion::ZERO;
        self.min_last_complete_ondisk = EVersion::ZERO;
        self.trim_to = EVersion::ZERO;
    }

    pub(crate) fn remove_down_peers(&mut self, map: &OsdMap) {
        let gone: Vec<OsdId> = self.peers.info.keys().copied().filter(|o| !map.is_up(*o)).collect();
        for osd in gone {
            self.peers.info.remove(&osd);
            self.peers.missing.remove(&osd);
            self.peers.missing_requested.remove(&osd);
            self.peers.strays.remove(&osd);
        }
        self.peers.purged.retain(|o| map.is_up(*o));
        self.missing_loc.remove_source(|o| !map.is_up(o));
        self.drop_pulls_from(|o| !map.is_up(o));
    }

    fn adjust_need_up_thru(&mut self, env: &mut Env) {
        if !self.need_up_thru {
            return;
        }
        if self.map.info(self.whoami).up_thru >= self.info.history.same_interval_since {
            self.need_up_thru = false;
        } else {
            env.out.push(PgOutput::UpThru { want: self.info.history.same_interval_since });
        }
    }

    /// (Ceph: `Start`)
    fn start(&mut self, env: &mut Env) {
        self.started_since = env.now.wall;
        if self.map.pool(self.id.pgid.pool).is_none() {
            self.start_delete(env);
        } else if self.is_primary() {
            self.start_peering(env);
        } else {
            self.enter(env, Phase::Stray);
            self.notify_primary(env);
        }
        env.out.push(PgOutput::PeersChanged);
    }
}
