//! The end of a PG on this OSD: its pool is gone, or it has moved away. Objects go in small batches,
//! the collection last (Ceph: `Started/ToDelete`, `PG::do_delete_work`).
//!
//! First of all the copy is marked as of no use (nothing backfilled, no log), so that after a crash in
//! the middle nobody takes what is left for the PG.

use std::time::Duration;

use node::Now;
use os::{Coll, TxOp};
use types::{EVersion, Epoch, GHObject, HObject, OsdId, PastIntervals, PgLogData};

use crate::env::Env;
use crate::missing::Missing;
use crate::persist::{mark_deleting, write_epoch};
use crate::pg::{OnCommit, Pg, Phase};

#[derive(Debug)]
pub(crate) struct Deleting {
    /// The temp collection first, then the PG's own.
    colls: Vec<Coll>,
    next: GHObject,
    /// `osd_delete_sleep` between batches.
    not_before: Duration,
}

impl Pg {
    /// The primary says that this copy is not needed.
    pub(crate) fn on_remove(&mut self, env: &mut Env, from: OsdId, epoch: Epoch) {
        let needed = self.is_acting(self.whoami) || self.is_up_member(self.whoami) || self.is_primary();
        if !self.is_stale(from, epoch) && !needed && matches!(self.phase, Phase::Stray) {
            self.start_delete(env);
        }
    }

    pub(crate) fn start_delete(&mut self, env: &mut Env) {
        self.info.last_backfill = HObject::min();
        self.info.last_update = EVersion::ZERO;
        self.info.last_complete = EVersion::ZERO;
        self.info.log_tail = EVersion::ZERO;
        self.log.replace(PgLogData::default());
        let missing: Vec<HObject> = self.missing.iter().map(|(o, _)| o.clone()).collect();
        missing.iter().for_each(|o| self.missing.remove(o));
        self.missing_loc.clear();
        self.past = PastIntervals::default();
        self.dirty.big = true;
        self.write_metadata();
        mark_deleting(self.id, &mut self.txn);
        self.missing = Missing::default();
        let colls = vec![Coll::Temp(self.id), self.coll()];
        self.enter(env, Phase::Deleting(Deleting { colls, next: GHObject::min(), not_before: env.now.mono }));
    }

    /// Whether the PG is on its way out.
    pub fn is_deleting(&self) -> bool {
        matches!(self.phase, Phase::Deleting(_))
    }

    /// Nothing is left, or will be once the transaction under way has committed.
    pub fn is_removed(&self) -> bool {
        matches!(&self.phase, Phase::Deleting(d) if d.colls.is_empty())
    }

    /// Whether there is still a collection for what is under way to its place.
    pub(crate) fn has_temp(&self) -> bool {
        match &self.phase {
            Phase::Deleting(d) => d.colls.first() == Some(&Coll::Temp(self.id)),
            _ => true,
        }
    }

    /// Objects came in that have to go, too.
    pub(crate) fn delete_from_the_start(&mut self) {
        if let Phase::Deleting(d) = &mut self.phase {
            d.next = GHObject::min();
        }
    }

    /// A copy that is being deleted was split or merged: after a restart that must not happen again.
    pub(crate) fn note_epoch_of_removal(&mut self, epoch: Epoch) {
        if self.is_deleting() {
            self.persisted_epoch = epoch;
            write_epoch(self.id, epoch, &mut self.txn);
        }
    }

    /// Whether [`Pg::step`] would do something now.
    pub fn runnable(&self, now: Now) -> bool {
        let due = self.delete_wakeup().is_some_and(|at| at <= now.mono);
        due || self.trim.is_runnable(now) || self.scrub.is_runnable(now)
    }

    /// When the next batch may go.
    pub(crate) fn delete_wakeup(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Deleting(d) if !d.colls.is_empty() => Some(d.not_before),
            _ => None,
        }
    }

    /// Deletes a batch; whether there is more to do at once.
    pub(crate) fn delete_some(&mut self, env: &mut Env) -> bool {
        let Phase::Deleting(d) = &mut self.phase else { return false };
        let Some(coll) = d.colls.first().copied() else { return false };
        if env.now.mono < d.not_before {
            return false;
        }
        let batch = match env.store.collection_exists(coll) {
            true => env.store.list(coll, &d.next, env.cfg.target_transaction_size),
            false => Ok((Vec::new(), None)),
        };
        let (objects, next) = match batch {
            Ok(found) => found,
            Err(e) => {
                d.colls.clear();
                let text = format!("{} cannot be deleted: {e}", self.id.pgid);
                env.cluster_log(node::Level::Error, text);
                return false;
            }
        };
        d.not_before = env.now.mono + env.cfg.delete_sleep;
        for oid in objects.into_iter().filter(|o| next.is_none() || !o.is_pgmeta()) {
            self.txn.push(TxOp::Remove { coll, oid });
        }
        match next {
            Some(next) => d.next = next,
            None => {
                d.colls.remove(0);
                d.next = GHObject::min();
                if env.store.collection_exists(coll) {
                    // The listing leaves the PG's own record out.
                    self.txn.push(TxOp::Remove { coll, oid: GHObject::pgmeta(self.id.pgid) });
                    self.txn.push(TxOp::RmColl { coll });
                }
                if d.colls.is_empty() {
                    self.then.push(OnCommit::Removed);
                    return false;
                }
            }
        }
        env.cfg.delete_sleep.is_zero()
    }
}
