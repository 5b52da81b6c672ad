//! `Started/Primary/Peering`: how a primary finds out what is true before it serves.
//!
//! ```text
//!  Reset ─► GetInfo ─► GetLog ─► GetMissing ─► (WaitUpThru) ─► Active
//!             │  ▲        │
//!             ▼  │        ├─► WaitActingChange   others should serve: pg_temp was asked for
//!            Down         └─► Incomplete         no copy is complete enough
//! ```
//! A map that makes the prior set void sends all of it back to `Reset`. (Ceph: PeeringState.cc,
//! doc/dev/peering)

use std::collections::BTreeSet;

use messages::{MOSDPGInfo2, MOSDPGLog, MOSDPGQuery2};
use osdmap::OsdMap;
use types::{Epoch, OsdId, PgHistory, PgInfo, PgNotify, PgQuery, PgQueryKind};

use crate::env::Env;
use crate::interval::PriorSet;
use crate::pg::{Pg, Phase};
use crate::planted;

mod get_info;
mod get_log;
mod get_missing;

pub(crate) use get_log::Chosen;

/// What lasts through all of peering, and the step.
#[derive(Debug)]
pub(crate) struct Peering {
    pub prior: PriorSet,
    pub step: Step,
    /// What a log must reach is known only from the shared history; the reason why none may be good enough.
    pub history_les_bound: bool,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// Asking all of the prior set what they have.
    GetInfo {
        requested: BTreeSet<OsdId>,
    },
    /// Fetching the authoritative log from `auth`.
    GetLog {
        auth: OsdId,
    },
    /// Fetching the logs and missing sets of those who will serve with us.
    GetMissing {
        requested: BTreeSet<OsdId>,
    },
    /// The monitors must note that we are alive in this interval before we may take writes.
    WaitUpThru,
    /// Someone whose writes we may lack is not up.
    Down,
    Incomplete,
}

impl Peering {
    /// Somebody has to come back, or an operator to decide, before it goes on.
    pub fn is_stuck(&self) -> bool {
        matches!(self.step, Step::Down | Step::Incomplete)
    }

    /// Whether a map makes what was learnt so far void.
    pub fn is_void(&self, map: &OsdMap) -> bool {
        // The log's source may be a stray, which is not in the prior set.
        let source_gone = matches!(self.step, Step::GetLog { auth } if map.is_down(auth));
        source_gone || self.prior.affected_by(map)
    }
}

impl Pg {
    /// Enters `Primary/Peering/GetInfo`.
    pub(crate) fn start_peering(&mut self, env: &mut Env) {
        if self.info.history.last_epoch_started == 0 {
            self.stamp_creation();
        }
        self.get_info(env);
    }

    /// A PG that never was active counts as fresh since the monitors created it.
    fn stamp_creation(&mut self) {
        let t = self.info.history.last_scrub_stamp;
        let s = &mut self.info.stats;
        for stamp in [
            &mut s.last_fresh,
            &mut s.last_active,
            &mut s.last_change,
            &mut s.last_peered,
            &mut s.last_clean,
            &mut s.last_unstale,
            &mut s.last_undegraded,
            &mut s.last_fullsized,
            &mut s.last_scrub_stamp,
            &mut s.last_deep_scrub_stamp,
            &mut s.last_clean_scrub_stamp,
        ] {
            *stamp = t;
        }
    }

    pub(crate) fn peering(&mut self) -> Option<&mut Peering> {
        match &mut self.phase {
            Phase::Peering(p) => Some(p),
            _ => None,
        }
    }

    pub(crate) fn set_step(&mut self, env: &mut Env, step: Step) {
        self.phase_since = env.now.wall;
        if let Some(p) = self.peering() {
            p.step = step;
        }
        self.note_state(env);
        self.stat_changed(env);
    }

    pub(crate) fn build_prior(&mut self) -> PriorSet {
        let les = self.info.history.last_epoch_started;
        let prior = PriorSet::new(&self.past, les, &self.ua, &self.map);
        self.need_up_thru = self.map.info(self.whoami).up_thru < self.info.history.same_interval_since
            && !planted::has(planted::Bug::SkippedUpThru);
        self.leases.set_prior_down(&prior.down);
        prior
    }

    /// What another copy knows of the PG's history.
    pub(crate) fn update_history(&mut self, env: &Env, theirs: &PgHistory) {
        let history = &mut self.info.history;
        self.leases.merge(env.now.mono, history, theirs);
        let changed = history.merge(theirs);
        self.leases.refresh_history(env.now.mono, history);
        if !changed {
            return;
        }
        self.dirty.info = true;
        if history.last_epoch_clean >= history.same_interval_since {
            self.past.clear();
            self.dirty.big = true;
        }
    }

    /// A copy tells what it has; whether that is news (Ceph: `proc_replica_info`).
    pub(crate) fn take_info(&mut self, env: &mut Env, from: OsdId, info: &PgInfo, sent: Epoch) -> bool {
        if self.peers.info.get(&from).is_some_and(|i| i.last_update == info.last_update) {
            return false;
        }
        if !self.map.is_up(from) || self.map.up_from(from) > sent {
            return false;
        }
        let is_new = self.peers.info.insert(from, info.clone()).is_none();
        self.peers.might_have_unfound.insert(from);
        self.update_history(env, &info.history);
        if !self.is_up_member(from) && !self.is_acting(from) {
            self.peers.strays.insert(from);
            if self.is_clean() {
                self.purge_strays(env);
            }
        }
        if is_new {
            env.out.push(crate::env::PgOutput::PeersChanged);
        }
        true
    }

    pub(crate) fn ask(&self, env: &mut Env, osd: OsdId, kind: PgQueryKind, since: types::EVersion) {
        let epoch_sent = self.map.epoch;
        let history = self.info.history.clone();
        let query = PgQuery { kind, since, history, epoch_sent, ..PgQuery::default() };
        env.send_osd(osd, MOSDPGQuery2 { spgid: self.id, query });
    }

    pub(crate) fn on_notify(&mut self, env: &mut Env, from: OsdId, notify: PgNotify) {
        if self.is_old(notify.epoch_sent, notify.query_epoch) || !self.is_primary() {
            return;
        }
        let sent = notify.epoch_sent;
        match &self.phase {
            Phase::Peering(p) => match p.step {
                Step::GetInfo { .. } => self.got_info(env, from, &notify.info, sent),
                Step::Down => self.down_notified(env, from, &notify.info, sent),
                Step::Incomplete => {
                    if self.take_info(env, from, &notify.info, sent) {
                        self.get_log(env);
                    }
                }
                Step::GetLog { .. } | Step::GetMissing { .. } | Step::WaitUpThru => {
                    self.take_info(env, from, &notify.info, sent);
                }
            },
            Phase::Active(_) => self.active_notified(env, from, &notify.info, sent),
            _ => (),
        }
    }

    pub(crate) fn on_info(&mut self, env: &mut Env, from: OsdId, m: MOSDPGInfo2) {
        if self.is_old(m.epoch_sent, m.min_epoch) {
            return;
        }
        match &self.phase {
            Phase::Active(_) => self.replica_activated(env, from, &m),
            Phase::Stray => self.stray_info(env, from, m),
            Phase::ReplicaActive(_) => self.replica_info(env, from, &m),
            _ => (),
        }
    }

    pub(crate) fn on_log(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLog) {
        if self.is_old(m.epoch, m.query_epoch) {
            return;
        }
        match &self.phase {
            Phase::Peering(p) => match p.step {
                Step::GetLog { auth } if auth == from => self.got_log(env, from, Some(m)),
                Step::GetMissing { .. } => self.got_missing(env, from, m),
                _ => (),
            },
            Phase::Active(_) => self.active_log(env, from, m),
            Phase::Stray => self.stray_log(env, from, m),
            Phase::ReplicaActive(_) => self.replica_log(env, from, m),
            _ => (),
        }
    }

    /// The rows of maps at hand have been taken.
    pub(crate) fn peering_map_activated(&mut self, env: &mut Env) {
        let waiting = self.peering().is_some_and(|p| matches!(p.step, Step::WaitUpThru));
        if waiting && !self.need_up_thru {
            self.activate(env);
        }
        self.stat_changed(env);
    }

    pub(crate) fn enter_incomplete(&mut self, env: &mut Env) {
        let down = self.peering().map(|p| p.prior.down.clone()).unwrap_or_default();
        self.blocked_by = down;
        self.set_step(env, Step::Incomplete);
    }
}
