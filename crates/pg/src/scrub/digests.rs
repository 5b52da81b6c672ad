//! Digests that a deep scrub writes down: where all copies are alike, what they add up to goes into the object's
//! info, so that a later scrub tells which copy rotted, even if it is all but one.
//!
//! It is a logged modification of the info alone, as a client's would be (Ceph: `scrub_snapshot_metadata`,
//! `osd_deep_scrub_update_digest_min_age`). What was written lately is left alone: it will be written again, and
//! that would make the digest void.

use std::collections::BTreeSet;

use types::{HObject, ObjectInfo, OsdReqId, ScrubObject, UTime, object_flag};

use super::mend::Measure;
use super::snapsets::Proven;
use super::{Run, Stage};
use crate::client::ClientOp;
use crate::env::Env;
use crate::object::{Lock, ObjectContext};
use crate::ops;
use crate::pg::Pg;

/// What an object's info is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    soid: HObject,
    data: Option<u32>,
    omap: Option<u32>,
}

impl Record {
    pub fn soid(&self) -> &HObject {
        &self.soid
    }

    /// What is to be written down of an object whose copies are all alike; `None` if nothing has to be.
    pub fn of(soid: &HObject, oi: &ObjectInfo, o: &ScrubObject, now: UTime, min_age_secs: u64) -> Option<Self> {
        let lacks = |there: bool, flag| there && !oi.test_flag(flag);
        let wanted =
            lacks(o.digest_present, object_flag::DATA_DIGEST) || lacks(o.omap_digest_present, object_flag::OMAP_DIGEST);
        let age = u64::from(now.sec.saturating_sub(oi.local_mtime.sec));
        (wanted && age > min_age_secs).then(|| Self {
            soid: soid.clone(),
            data: o.digest_present.then_some(o.digest),
            omap: o.omap_digest_present.then_some(o.omap_digest),
        })
    }
}

impl Pg {
    /// Writes down what a chunk showed, before the next one.
    pub(super) fn record_digests(&mut self, env: &mut Env, records: Vec<Record>) {
        let mut sent = BTreeSet::new();
        for record in records {
            let head = record.soid.head();
            // Another scrub will come by.
            let is_bad = [&record.soid, &head].into_iter().any(|o| self.missing_loc.needs(o).is_some());
            if is_bad || !self.contexts.try_lock(&head, Lock::Write) {
                continue;
            }
            let op = ClientOp::own(&head);
            let Record { soid, data, omap } = record;
            let written = self.with_op_env(env, &op, |op_env| ops::record_digests(op_env, &soid, data, omap));
            match written {
                Ok(Some(ws)) => {
                    let op = ClientOp { lock: Lock::Write, ..op };
                    sent.insert(self.submit_write(env, Some(op), OsdReqId::default(), *ws));
                }
                nothing => {
                    if let Err(e) = nothing {
                        let text = format!("{} cannot write down the digest of {soid}: {e}", self.id.pgid);
                        env.cluster_log(node::Level::Error, text);
                    }
                    if self.contexts.unlock(&head, Lock::Write) {
                        self.requeue_for_lock(&head);
                    }
                }
            }
        }
        if let Some(run) = &mut self.scrub.run {
            run.recording = sent;
        }
    }

    /// A person chose among copies, and all are as the chosen one now: its info is to say so, at a version of its own,
    /// for the log may name one that nobody holds.
    pub(super) fn record_kept(&mut self, env: &mut Env, soid: &HObject, measure: &Measure) {
        let head = soid.head();
        let is_it = |c: &ObjectContext| c.obs.exists && c.obs.oi.version == measure.version;
        self.contexts.forget(soid);
        let known = self.contexts.load(env.store, self.coll(), soid);
        if !known.is_ok_and(|c| is_it(c)) || !self.contexts.try_lock(&head, Lock::Write) {
            return;
        }
        let op = ClientOp::own(&head);
        let written = self.with_op_env(env, &op, |op_env| ops::record_measure(op_env, soid, measure));
        if let Ok(Some(ws)) = written {
            let op = ClientOp { lock: Lock::Write, ..op };
            self.submit_write(env, Some(op), OsdReqId::default(), *ws);
        } else if self.contexts.unlock(&head, Lock::Write) {
            self.requeue_for_lock(&head);
        }
    }

    /// Writes snapsets anew of which the clones themselves prove what is wrong: such errors are mended by it.
    pub(super) fn record_snapsets(&mut self, env: &mut Env, proven: Vec<Proven>) {
        for Proven { head, snapset, errors, clones } in proven {
            if self.missing_loc.needs(&head).is_some() || !self.contexts.try_lock(&head, Lock::Write) {
                continue;
            }
            let op = ClientOp::own(&head);
            let written = self.with_op_env(env, &op, |op_env| ops::record_snapset(op_env, &head, snapset));
            let Ok(Some(ws)) = written else {
                if self.contexts.unlock(&head, Lock::Write) {
                    self.requeue_for_lock(&head);
                }
                continue;
            };
            let op = ClientOp { lock: Lock::Write, ..op };
            let sent = self.submit_write(env, Some(op), OsdReqId::default(), *ws);
            let Some(run) = &mut self.scrub.run else { return };
            run.recording.insert(sent);
            run.shallow = run.shallow.saturating_sub(errors);
            run.bad_snapsets.remove(&head);
            run.snapsets_mended += 1;
            if let Some(results) = &mut self.scrub.results {
                clones.iter().chain([&head]).for_each(|o| results.mended(o));
            }
            let text =
                format!("{} repair: the snapset of {head} is written anew from what its clones are", self.id.pgid);
            env.cluster_log(node::Level::Info, text);
        }
    }

    /// A write is committed everywhere; perhaps one of ours.
    pub(crate) fn digest_committed(&mut self, env: &Env, tid: u64) {
        if let Some(Run { recording, stage: Stage::Rest(until), .. }) = &mut self.scrub.run
            && recording.remove(&tid)
            && recording.is_empty()
        {
            *until = (*until).min(env.now.mono);
        }
    }
}
