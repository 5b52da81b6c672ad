//! Two PGs become one as the pool's `pg_num` shrinks (Ceph: `PeeringState::merge_from`, `OSD::advance_pg`).
//!
//! ```text
//!  pg_num_pending falls ─► both peer again and stop taking ops (peered, premerge) ─► both clean
//!        ─► the primary tells the monitors (MOSDPGReadyToMerge) ─► pg_num falls: the merge itself
//! ```
//! Nothing was written since both were clean and still, so what a member holds then is all there is. A copy
//! that was not there, or stands at another version than the monitors were told, becomes an empty target of
//! backfill.
//!
//! Invariant: the merge is part of the transaction with which the target comes to stand at the map that
//! merges it. So after a crash there are either both at the map before, or one at this one.

use os::{Coll, ObjectRead, ReadError, TxOp};
use types::pool::PgMergeMeta;
use types::{GHObject, HObject, PgInfo, PgPool, SpgId};

use crate::env::{Env, MergeReady, PgOutput};
use crate::persist::Dirty;
use crate::pg::Pg;

/// Whether a copy is all that it should be, at the version that the monitors were told.
fn is_whole(info: &PgInfo, expected: Option<types::EVersion>) -> bool {
    info.last_complete == info.last_update
        && !info.is_incomplete()
        && !info.dne()
        && expected.is_none_or(|v| v == info.last_update)
}

impl Pg {
    /// Whether the PG has stopped taking ops because it is to be merged.
    pub(crate) fn is_premerge(&self) -> bool {
        self.pool.pending_merge(self.id.pgid).is_some()
    }

    /// All members are active: whether enough of them are there to merge.
    pub(crate) fn check_merge(&mut self, env: &mut Env) {
        if let Some(role) = self.pool.pending_merge(self.id.pgid)
            && self.actingset().len() != usize::from(self.pool.size)
        {
            env.out.push(PgOutput::Merge { role, ready: None });
        }
    }

    /// The PG is clean.
    pub(crate) fn ready_to_merge(&mut self, env: &mut Env) {
        if let Some(role) = self.pool.pending_merge(self.id.pgid) {
            let h = &self.info.history;
            let ready = MergeReady {
                version: self.info.last_update,
                last_epoch_started: h.last_epoch_started,
                last_epoch_clean: h.last_epoch_clean,
            };
            env.out.push(PgOutput::Merge { role, ready: Some(ready) });
        }
    }

    /// Stands for a PG of which there is nothing here, so that its siblings' objects have where to go.
    pub fn placeholder(id: SpgId, env: &mut Env) -> Self {
        let mut pg = Self::new(id, env, PgInfo::new(id));
        let bits = id.pgid.split_bits(pg.pool.pg_num);
        pg.txn.push(TxOp::MkColl { coll: pg.coll(), bits });
        pg.txn.push(TxOp::MkColl { coll: Coll::Temp(id), bits: 0 });
        pg.txn.push(TxOp::Touch { coll: pg.coll(), oid: GHObject::pgmeta(id.pgid) });
        pg.dirty = Dirty { info: true, big: true, ..Dirty::default() };
        pg
    }

    /// The last call to a PG that goes into another one: lets go of clients, slots and peers.
    pub fn leave(&mut self, env: &mut Env) {
        self.release_reservations(env);
        self.interrupt_ops(env, false);
        env.out.push(PgOutput::PgTempDone);
        self.finish(env);
    }

    /// Takes in its siblings, those of `expected` that are here, as the next map (`env.map`) wants it.
    /// [`Self::advance_map`] to that map must follow at once: it submits the change.
    ///
    /// # Errors
    /// If the store cannot be read; nothing is changed then.
    pub fn absorb(&mut self, env: &mut Env, expected: &[SpgId], sources: Vec<Self>) -> Result<(), ReadError> {
        let pgid = self.id.pgid;
        let Some(pool) = env.map.pools.get(&pgid.pool).cloned() else { return Ok(()) };
        let bits = pgid.split_bits(pool.pg_num);
        let mut moves = Vec::new();
        for id in expected {
            let source = sources.iter().find(|s| s.id == *id);
            self.take_collections(env.store, *id, source, bits, &mut moves)?;
        }
        self.txn.ops.extend(moves);
        if self.is_deleting() {
            // What came in goes as well.
            self.delete_from_the_start();
            self.note_epoch_of_removal(env.map.epoch);
            return Ok(());
        }
        self.join(env, &pool, expected, sources);
        Ok(())
    }

    /// What moves a source's objects here, and removes what else it kept.
    fn take_collections(
        &self,
        store: &dyn ObjectRead,
        id: SpgId,
        source: Option<&Self>,
        bits: u32,
        moves: &mut Vec<TxOp>,
    ) -> Result<(), ReadError> {
        let (coll, temp, dest) = (Coll::Pg(id), Coll::Temp(id), self.coll());
        if source.is_none_or(Self::is_removed) {
            // The range of hashes is ours all the same.
            moves.push(TxOp::MkColl { coll, bits });
        }
        if source.is_some_and(Self::has_temp) {
            let (left, _) = store.list(temp, &GHObject::min(), usize::MAX)?;
            moves.extend(left.into_iter().map(|oid| TxOp::Remove { coll: temp, oid }));
            moves.push(TxOp::RmColl { coll: temp });
        }
        moves.push(TxOp::Remove { coll, oid: GHObject::pgmeta(id.pgid) });
        moves.push(TxOp::MergeColl { coll, dest, bits });
        Ok(())
    }

    /// Makes one history of several.
    fn join(&mut self, env: &Env, pool: &PgPool, expected: &[SpgId], sources: Vec<Self>) {
        let meta = &pool.last_pg_merge_meta;
        let told = meta.source_pgid != PgMergeMeta::default().source_pgid;
        let as_told = |version| told.then_some(version);
        let mut whole = is_whole(&self.info, as_told(meta.target_version));
        whole &= !told || meta.source_pgid.parent() == Some(self.id.pgid);
        whole &= sources.len() == expected.len();
        for source in &sources {
            whole &= is_whole(&source.info, as_told(meta.source_version)) && !source.is_deleting();
            whole &= !told || source.id.pgid == meta.source_pgid;
        }
        let was_here = self.info.history.epoch_created != 0;
        let mut logs = Vec::with_capacity(sources.len());
        for source in sources {
            self.info.last_update = self.info.last_update.max(source.info.last_update);
            self.info.last_user_version = self.info.last_user_version.max(source.info.last_user_version);
            self.info.stats.stats.sum += &source.info.stats.stats.sum;
            self.info.stats.stats_invalid |= source.info.stats.stats_invalid;
            // Trimmed is what both have trimmed.
            self.info.purged_snaps.intersection_of(&source.info.purged_snaps);
            // The mappings were made the same before, so the intervals are.
            if self.past.is_empty() {
                self.past = source.past;
            }
            if !was_here && self.info.history.epoch_created == 0 {
                self.info.history = source.info.history;
            }
            self.leases.split_from(&source.leases);
            logs.push(source.log);
        }
        if !was_here {
            self.adopt_history(meta);
        }
        self.info.last_complete = self.info.last_update;
        self.info.log_tail = self.info.last_update;
        if !whole {
            self.info.last_backfill = HObject::min();
        }
        self.log.absorb(logs, self.info.last_update, env.cfg.pg_log_dups_tracked);
        self.missing.clear();
        self.missing_loc.clear();
        self.last_complete_ondisk = self.info.last_complete;
        self.dirty = Dirty { info: true, big: true, ..self.dirty };
    }

    /// There was nothing of the target here: when the PGs were last active and clean the monitors were told.
    fn adopt_history(&mut self, meta: &PgMergeMeta) {
        let h = &mut self.info.history;
        h.last_epoch_clean = meta.last_epoch_clean;
        h.last_epoch_started = meta.last_epoch_started;
        self.info.last_epoch_started = meta.last_epoch_started;
        if h.epoch_created == 0 {
            h.same_interval_since = h.last_epoch_clean;
        }
        if h.last_epoch_clean < self.past.bounds().0 {
            self.past.adjust_start_backwards(h.last_epoch_clean);
        }
        if h.last_epoch_started < h.same_interval_since {
            h.same_interval_since = h.last_epoch_clean;
            h.same_up_since = h.same_up_since.min(h.same_interval_since);
            h.same_primary_since = h.same_primary_since.min(h.same_interval_since);
        }
    }
}
