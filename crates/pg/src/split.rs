//! One PG becomes several: the map in which the pool's `pg_num` grows takes part of the PG's objects away
//! from it (Ceph: `OSD::split_pgs`, `PeeringState::split_into`).
//!
//! The children are as complete, or as incomplete, as their parent: they get its history and past intervals,
//! the log's entries and missing objects of their own hashes, and all of its dups. Peering then finds that out
//! for each anew.
//!
//! Invariant: the split is part of the transaction with which the parent comes to stand at the map that
//! splits it. So after a crash there are either the parent at the map before, or parent and children at this one.

use os::{Coll, TxOp};
use osdmap::OsdMap;
use types::{GHObject, HObject, ObjectStatSum, PgInfo, SpgId};

use crate::env::Env;
use crate::persist::Dirty;
use crate::pg::Pg;

/// How the sums of a PG that was split, or merged, are known: by and large.
fn approximate(info: &mut PgInfo, sum: ObjectStatSum) {
    info.stats.stats.sum = sum;
    info.stats.stats_invalid = true;
}

impl Pg {
    /// Makes the PGs that split off this one with our map. What makes them is in our own transaction;
    /// [`Self::attend_split`] must be called once that is submitted.
    pub(crate) fn split_off(&mut self, env: &mut Env, last: &OsdMap) -> Vec<Self> {
        let pgid = self.id.pgid;
        let (Some(before), Some(after)) = (last.pool(pgid.pool), self.map.pool(pgid.pool)) else { return Vec::new() };
        let ids = pgid.split_children(before.pg_num, after.pg_num);
        if ids.is_empty() || self.is_removed() {
            return Vec::new();
        }
        let pg_num = after.pg_num;
        let mut sums = self.info.stats.stats.sum.split(ids.len() as u32 + 1).into_iter();
        let mut children = Vec::with_capacity(ids.len());
        for (pgid, sum) in ids.into_iter().zip(&mut sums) {
            let id = SpgId { pgid, ..self.id };
            children.push(self.split_one(env, id, pgid.split_bits(pg_num), sum));
        }
        approximate(&mut self.info, sums.next().unwrap_or_default());
        self.info.last_complete = self.complete_to();
        self.dirty.info = true;
        self.dirty.big = true;
        self.note_epoch_of_removal(self.map.epoch);
        children
    }

    fn split_one(&mut self, env: &mut Env, id: SpgId, bits: u32, sum: ObjectStatSum) -> Self {
        let belongs = |o: &HObject| o.in_pg(id.pgid, bits);
        let log = self.log.split_off(belongs);
        if self.info.is_incomplete() {
            // Backfill begins again, in both: how far it got says nothing of what is left of each.
            self.info.last_backfill = HObject::min();
            self.missing.clear();
        }
        let mut info = PgInfo { pgid: id, ..self.info.clone() };
        info.history.epoch_created = self.map.epoch;
        info.stats.parent_split_bits = bits;
        approximate(&mut info, sum);

        let mut child = Self::new(id, env, info);
        child.log = log;
        child.missing = self.missing.split_off(belongs);
        child.past = self.past.clone();
        child.info.last_complete = child.complete_to();
        child.last_complete_ondisk = child.info.last_complete;
        if child.ua.acting_primary != self.ua.acting_primary {
            child.info.history.same_primary_since = self.map.epoch;
        }
        let s = &mut child.info.stats;
        s.up.clone_from(&child.ua.up);
        s.acting.clone_from(&child.ua.acting);
        s.up_primary = child.ua.up_primary;
        s.acting_primary = child.ua.acting_primary;
        s.mapping_epoch = self.map.epoch;
        child.leases.split_from(&self.leases);
        let since = child.info.history.same_interval_since;
        child.leases.new_interval(&child.ua, child.is_primary(), env.now.mono, since, &mut child.info.history);
        child.send_notify = !child.is_primary();
        child.dirty = Dirty { info: true, big: true, ..Dirty::default() };

        let (coll, dest) = (self.coll(), child.coll());
        self.txn.push(TxOp::MkColl { coll: dest, bits });
        self.txn.push(TxOp::SplitColl { coll, bits, rem: id.pgid.seed, dest });
        self.txn.push(TxOp::MkColl { coll: Coll::Temp(id), bits: 0 });
        self.txn.push(TxOp::Touch { coll: dest, oid: GHObject::pgmeta(id.pgid) });
        if self.is_deleting() {
            child.start_delete(env);
        } else {
            child.write_metadata();
        }
        self.txn.append(std::mem::take(&mut child.txn));
        child
    }

    /// Makes the children wait, with what they say, for the transaction that made them.
    pub(crate) fn attend_split(&self, children: &mut [Self]) {
        for child in children {
            child.last_submitted = self.last_submitted;
            child.flush = Some(self.last_submitted);
        }
    }
}
