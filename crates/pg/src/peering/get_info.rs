//! `GetInfo`: everyone who may know of a write says what it has. And `Down`: someone who must be
//! heard is not there.

use std::collections::BTreeSet;

use types::{EVersion, Epoch, OsdId, PgInfo, PgQueryKind};

use super::{Peering, Step};
use crate::env::{Env, PgOutput};
use crate::pg::{Pg, Phase};

impl Pg {
    pub(crate) fn get_info(&mut self, env: &mut Env) {
        let prior = self.build_prior();
        if self.need_up_thru {
            env.out.push(PgOutput::UpThru { want: self.info.history.same_interval_since });
        }
        let step = Step::GetInfo { requested: BTreeSet::new() };
        self.enter(env, Phase::Peering(Peering { prior, step, history_les_bound: false }));
        self.ask_infos(env);
        self.got_all_infos(env);
    }

    /// Asks those of the prior set that were not asked yet.
    fn ask_infos(&mut self, env: &mut Env) {
        let Some(Peering { prior, step: Step::GetInfo { requested }, .. }) = self.peering() else { return };
        let (probe, asked) = (prior.probe.clone(), requested.clone());
        self.blocked_by.clear();
        let mut ask = Vec::new();
        for osd in probe {
            if osd == self.whoami || self.peers.info.contains_key(&osd) || self.map.is_down(osd) {
                continue;
            }
            self.blocked_by.insert(osd);
            if !asked.contains(&osd) {
                ask.push(osd);
            }
        }
        self.leases.refresh_history(env.now.mono, &mut self.info.history);
        for osd in &ask {
            self.ask(env, *osd, PgQueryKind::Info, EVersion::ZERO);
        }
        if let Some(Peering { step: Step::GetInfo { requested }, .. }) = self.peering() {
            requested.extend(ask);
        }
        let map = self.map.clone();
        self.leases.forget_dead(|o| crate::active::is_dead(&map, o));
        self.stat_changed(env);
    }

    pub(super) fn got_info(&mut self, env: &mut Env, from: OsdId, info: &PgInfo, sent: Epoch) {
        if let Some(Peering { step: Step::GetInfo { requested }, .. }) = self.peering() {
            requested.remove(&from);
        }
        self.blocked_by.remove(&from);
        let old_start = self.info.history.last_epoch_started;
        if !self.take_info(env, from, info, sent) {
            return self.got_all_infos(env);
        }
        if old_start < self.info.history.last_epoch_started {
            // The PG went active later than we knew: fewer past intervals matter.
            let prior = self.build_prior();
            if let Some(p) = self.peering() {
                if let Step::GetInfo { requested } = &mut p.step {
                    requested.retain(|o| prior.probe.contains(o));
                }
                p.prior = prior;
            }
            self.ask_infos(env);
        }
        self.got_all_infos(env);
    }

    fn got_all_infos(&mut self, env: &mut Env) {
        let Some(p) = self.peering() else { return };
        let Step::GetInfo { requested } = &p.step else { return };
        if p.prior.pg_down {
            self.blocked_by = p.prior.down.clone();
            self.set_step(env, Step::Down);
        } else if requested.is_empty() {
            self.leases.all_heard();
            self.get_log(env);
        }
    }

    /// While down, only the history counts: it may tell that we need not wait.
    pub(super) fn down_notified(&mut self, env: &mut Env, from: OsdId, info: &PgInfo, sent: Epoch) {
        let old_start = self.info.history.last_epoch_started;
        let is_alive = self.map.is_up(from) && self.map.up_from(from) <= sent;
        if is_alive && !self.peers.info.contains_key(&from) {
            self.update_history(env, &info.history);
        }
        if self.info.history.last_epoch_started > old_start {
            self.get_info(env);
        }
    }
}
