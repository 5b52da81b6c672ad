//! `GetLog`: picks the authoritative log and who should serve, and fetches that log.

use std::collections::{BTreeMap, BTreeSet};

use messages::MOSDPGLog;
use types::{EVersion, HObject, OsdId, PgInfo, PgQueryKind};

use super::Step;
use crate::choose;
use crate::env::{Env, PgOutput};
use crate::merge::{common_point, merge_log};
use crate::missing::Missing;
use crate::pg::{Pg, Phase};

/// What came of choosing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// The acting set is right; this one's log counts.
    Keep { auth: OsdId },
    /// Another acting set was asked for.
    Change,
    /// No copy can lead.
    Nobody,
}

impl Pg {
    /// Chooses whose log counts and who should serve; asks for another acting set if it is not
    /// this one (Ceph: `choose_acting`).
    pub(crate) fn choose_acting(&mut self, env: &mut Env, restrict_to_up_acting: bool, ask_only: bool) -> Chosen {
        let infos = self.all_infos();
        let allowed = |o: OsdId| !restrict_to_up_acting || self.is_up_member(o) || self.is_acting(o);
        let Some(auth) = choose::best_info(&infos, self.whoami, allowed) else {
            if self.ua.up != self.ua.acting {
                self.want_acting = self.ua.up.clone();
                env.out.push(PgOutput::PgTemp { want: Vec::new(), forced: false });
                return Chosen::Change;
            }
            return Chosen::Nobody;
        };
        let size = usize::from(self.pool.size);
        let force = env.cfg.force_auth_primary_missing_objects;
        let cut_off = self.cut_off_now(&infos);
        let choice = choose::acting_set(&infos, auth, &self.ua, size, force, restrict_to_up_acting, &cut_off);
        let enough = choice.want.len() >= usize::from(self.pool.min_size);
        if !enough && !env.cfg.allow_recovery_below_min_size {
            self.want_acting.clear();
            return Chosen::Nobody;
        }
        if choice.want != self.ua.acting {
            let want = if choice.want == self.ua.up { Vec::new() } else { choice.want.clone() };
            self.want_acting = choice.want;
            env.out.push(PgOutput::PgTemp { want, forced: false });
            return Chosen::Change;
        }
        if !self.want_acting.is_empty() {
            // What was asked for is not wanted any more.
            env.out.push(PgOutput::PgTempDone);
            self.want_acting.clear();
        }
        if !ask_only {
            self.actingbackfill = choice.members();
            self.backfill_targets = choice.backfill;
        }
        Chosen::Keep { auth }
    }

    /// Those whose logs were found not to join the authoritative one, and who still have those logs.
    fn cut_off_now(&self, infos: &BTreeMap<OsdId, &PgInfo>) -> BTreeSet<OsdId> {
        let same = |osd: &OsdId, (tail, head): &(EVersion, EVersion)| {
            infos.get(osd).is_some_and(|i| !i.is_incomplete() && i.log_tail == *tail && i.last_update == *head)
        };
        self.cut_off.iter().filter(|(osd, log)| same(osd, log)).map(|(osd, _)| *osd).collect()
    }

    /// An OSD's log tells of nothing that the authoritative log has as well: what it holds counts for nothing.
    /// Remembered, since it will say the same of itself in the next interval.
    pub(crate) fn note_cut_off(&mut self, env: &mut Env, osd: OsdId, info: &PgInfo) {
        let text = format!(
            "{} osd.{osd} has writes that do not count, and more of them than its log ({},{}] tells: it is filled anew",
            self.id.pgid, info.log_tail, info.last_update
        );
        env.cluster_log(node::Level::Warn, text);
        self.cut_off.insert(osd, (info.log_tail, info.last_update));
    }

    /// What all copies that we know of say of themselves, ours among them.
    fn all_infos(&self) -> BTreeMap<OsdId, &PgInfo> {
        let mut infos: BTreeMap<OsdId, &PgInfo> = self.peers.info.iter().map(|(o, i)| (*o, i)).collect();
        infos.insert(self.whoami, &self.info);
        infos
    }

    pub(crate) fn get_log(&mut self, env: &mut Env) {
        self.blocked_by.clear();
        let infos = self.all_infos();
        let bound = choose::is_history_les_bound(&infos);
        if let Some(p) = self.peering() {
            p.history_les_bound = bound;
        }
        let auth = match self.choose_acting(env, false, false) {
            Chosen::Keep { auth } => auth,
            Chosen::Change => return self.enter(env, Phase::WaitActingChange),
            Chosen::Nobody => return self.enter_incomplete(env),
        };
        if auth == self.whoami {
            self.set_step(env, Step::GetLog { auth });
            return self.got_log(env, auth, None);
        }
        let best = &self.peers.info[&auth];
        if self.info.last_update < best.log_tail {
            return self.enter_incomplete(env);
        }
        self.blocked_by.insert(auth);
        self.set_step(env, Step::GetLog { auth });
        let since = self.log_wanted_since(auth);
        self.ask(env, auth, PgQueryKind::Log, since);
    }

    /// From where on the authoritative log is needed: far enough back to reach every member that it can
    /// still bring up to date.
    pub(crate) fn log_wanted_since(&self, auth: OsdId) -> EVersion {
        let mut since = self.info.last_update;
        let Some(best) = self.peers.info.get(&auth) else { return since };
        for info in self.actingbackfill.iter().filter_map(|o| self.peers.info.get(o)) {
            if info.last_update < self.info.log_tail && info.last_update >= best.log_tail {
                since = since.min(info.last_update);
            }
        }
        since
    }

    pub(super) fn got_log(&mut self, env: &mut Env, auth: OsdId, msg: Option<MOSDPGLog>) {
        self.blocked_by.clear();
        if let Some(m) = msg
            && !self.take_master_log(env, auth, m)
        {
            if self.info.is_incomplete() {
                // Another leads, and fills us.
                return self.get_log(env);
            }
            return self.enter_incomplete(env);
        }
        self.get_missing(env);
    }

    /// Makes the authoritative log ours (Ceph: `proc_master_log`).
    fn take_master_log(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLog) -> bool {
        let theirs = m.info;
        if common_point(&self.log, &m.log, self.info.history.last_epoch_split).is_none() {
            let ours = self.info.clone();
            self.note_cut_off(env, self.whoami, &ours);
            // Whoever leads next must know as well, or would ask us to lead again.
            self.info.last_backfill = HObject::min();
            self.dirty.info = true;
            return false;
        }
        let merged = merge_log(&mut self.log, &mut self.missing, &mut self.info, &theirs, m.log);
        let removed = match merged {
            Ok(removed) => removed,
            Err(e) => {
                env.cluster_log(node::Level::Error, format!("{} osd.{from} sent a log of no use: {e}", self.id));
                return false;
            }
        };
        self.remove_objects(removed);
        self.dirty.big = true;
        self.info.last_epoch_started = self.info.last_epoch_started.max(theirs.last_epoch_started);
        self.info.last_interval_started = self.info.last_interval_started.max(theirs.last_interval_started);
        self.update_history(env, &theirs.history);
        self.peers.might_have_unfound.insert(from);
        self.peers.missing.insert(from, Missing::from(m.missing));
        self.peers.info.insert(from, theirs);
        true
    }
}
