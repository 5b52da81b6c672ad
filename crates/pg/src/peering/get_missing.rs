//! `GetMissing`: learns what each member of the acting set lacks, also because of writes that only it
//! had. Then, if the monitors know that we are alive, the PG goes active; else `WaitUpThru`.

use std::collections::BTreeSet;

use messages::MOSDPGLog;
use types::{EVersion, HObject, OsdId, PgQueryKind};

use super::{Peering, Step};
use crate::env::Env;
use crate::merge::replica_missing;
use crate::missing::Missing;
use crate::pg::Pg;

impl Pg {
    pub(super) fn get_missing(&mut self, env: &mut Env) {
        let mut ask = Vec::new();
        for osd in self.actingbackfill.iter().copied().filter(|o| *o != self.whoami) {
            let Some(info) = self.peers.info.get(&osd) else { continue };
            self.peers.missing.entry(osd).or_default();
            // It is backfilled from the start: what it has counts for nothing.
            let beyond_log = info.last_update < self.log.tail || info.last_backfill == HObject::min();
            let afresh = self.backfill_targets.contains(&osd) && !info.is_incomplete();
            let beyond_log = beyond_log || afresh;
            let up_to_date = !info.has_missing() && info.last_update == self.info.last_update;
            if info.is_empty() || beyond_log || up_to_date {
                self.peers.missing.insert(osd, Missing::default());
                continue;
            }
            ask.push(osd);
        }
        let requested: BTreeSet<OsdId> = ask.iter().copied().collect();
        self.blocked_by = requested.clone();
        self.set_step(env, Step::GetMissing { requested });
        for osd in ask {
            if let Some((kind, since)) = self.missing_question(osd) {
                self.ask(env, osd, kind, since);
            }
        }
        self.got_all_missing(env);
    }

    /// What a member is asked so that its divergent writes show: its log from where it last went active on.
    /// Writes from before that are agreed upon.
    pub(crate) fn missing_question(&self, osd: OsdId) -> Option<(PgQueryKind, EVersion)> {
        let info = self.peers.info.get(&osd)?;
        let since = EVersion::new(info.last_epoch_started, 0);
        Some(if info.log_tail <= since { (PgQueryKind::Log, since) } else { (PgQueryKind::FullLog, EVersion::ZERO) })
    }

    pub(super) fn got_missing(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLog) {
        let Some(Peering { step: Step::GetMissing { requested }, .. }) = self.peering() else { return };
        if !requested.remove(&from) {
            return;
        }
        self.blocked_by.remove(&from);
        let shown = m.info.clone();
        if !self.take_replica_log(from, m) && self.actingbackfill.contains(&from) {
            if !shown.is_incomplete() {
                // It cannot serve as it is: perhaps others should.
                self.note_cut_off(env, from, &shown);
                return self.get_log(env);
            }
            if let Some(info) = self.peers.info.get_mut(&from) {
                info.last_backfill = HObject::min();
            }
            self.peers.missing.insert(from, Missing::default());
        }
        self.got_all_missing(env);
    }

    /// What another copy has and lacks; false if its log does not join ours (Ceph: `proc_replica_log`).
    pub(crate) fn take_replica_log(&mut self, from: OsdId, m: MOSDPGLog) -> bool {
        let (mut info, mut missing) = (m.info, Missing::from(m.missing));
        let joins = replica_missing(&self.log, &mut info, &m.log, &mut missing);
        self.peers.info.insert(from, info);
        self.peers.might_have_unfound.insert(from);
        self.peers.missing.insert(from, missing);
        joins
    }

    fn got_all_missing(&mut self, env: &mut Env) {
        let Some(Peering { step: Step::GetMissing { requested }, .. }) = self.peering() else { return };
        if !requested.is_empty() {
            return;
        }
        if self.need_up_thru {
            self.set_step(env, Step::WaitUpThru);
        } else {
            self.activate(env);
        }
    }
}
