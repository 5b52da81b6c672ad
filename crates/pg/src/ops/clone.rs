//! Snapshots: which clone a snapshot means, cloning before the first write after one, and rolling back.
//!
//! A family is a head and its clones, oldest first. A clone stands for the snapshots in its
//! `clone_snaps`; `clone_overlap` says what it shares with the next newer member, for the space they take.
//!
//! Ceph: `PrimaryLogPG::find_object_context`, `make_writeable`, `_rollback_to`.

use bytes::Bytes;
use denc::{Encoder, to_bytes};
use os::TxOp;
use types::errno::{EBUSY, EINVAL, ENOENT};
use types::{
    HObject, IntervalSet, LogEntry, LogOp, ObjectInfo, ObjectModDesc, SNAP_HEAD, SnapId, SnapSet, object_flag,
};

use super::exec::{Exec, OI_NAME, SS_NAME, Step, Stop};
use super::{Blocked, OpEnv};
use crate::object::{ObjectContext, ObjectState};
use crate::planted;

/// Which object holds what is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Object(HObject),
    Nothing,
}

/// The member of a family that holds the state at `snap`. The head must be readable.
pub(super) fn find(env: &OpEnv, head: &HObject, snapset: &SnapSet, snap: SnapId, map_to_clone: bool) -> Step<Found> {
    if snap == SNAP_HEAD || snap > snapset.seq {
        return Ok(Found::Object(head.clone()));
    }
    let clone = match map_to_clone {
        true => snapset.clones.iter().find(|c| **c == snap),
        false => snapset.clones.iter().find(|c| **c >= snap),
    };
    let Some(clone) = clone else { return Ok(Found::Nothing) };
    let soid = head.with_snap(*clone);
    if env.missing.is_missing(&soid) {
        return Err(Stop::Blocked(Blocked::Missing(soid)));
    }
    let holds = snapset.clone_snaps.get(clone).is_some_and(|snaps| snaps.contains(&snap));
    let removed = env.removed_snaps.is_some_and(|r| r.contains(snap));
    Ok(if map_to_clone || holds && !removed { Found::Object(soid) } else { Found::Nothing })
}

impl Exec<'_, '_> {
    /// `LIST_SNAPS`: `obj_list_snap_response_t`.
    pub fn list_snaps(&mut self) -> Step<Bytes> {
        self.stats.num_rd += 1;
        let set = &self.snapset;
        let mut e = Encoder::new(0);
        let mut complete = true;
        e.versioned(2, 1, |e| {
            e.u32((set.clones.len() + usize::from(self.is_visible())) as u32);
            for clone in &set.clones {
                let parts = (set.clone_snaps.get(clone), set.clone_overlap.get(clone), set.clone_size.get(clone));
                let (Some(snaps), Some(overlap), Some(size)) = parts else {
                    complete = false;
                    return;
                };
                // Oldest first here, newest first in the set.
                let snaps: Vec<SnapId> = snaps.iter().rev().copied().collect();
                put_clone_info(e, *clone, &snaps, &overlap.iter().collect::<Vec<_>>(), *size);
            }
            if self.is_visible() {
                put_clone_info(e, SNAP_HEAD, &[], &[], self.obs.oi.size);
            }
            e.u64(set.seq);
        });
        if complete { Ok(e.finish()) } else { Err(EINVAL.into()) }
    }

    /// Before the first write after a snapshot: keeps the object as it was under the snapshot's number.
    /// Gives the clone's log entry and context; the clone's changes are to come before all others.
    pub fn make_writeable(&mut self) -> Option<(TxnHead, LogEntry, ObjectContext)> {
        self.account_flags();
        let existed = self.before.exists && !self.before.oi.is_whiteout();
        let newer = self.snapc.snaps.first().is_some_and(|s| *s > self.snapset.seq);
        let forgotten = !self.is_visible() && planted::has(planted::Bug::SkippedClone);
        let cloned = (existed && newer && !forgotten).then(|| self.clone_head());
        self.account_overlap();
        if self.snapc.seq > self.snapset.seq {
            self.snapset.seq = self.snapc.seq;
            self.snapset.snaps.clear();
        }
        cloned
    }

    /// The dirty flag (for cache tiers; every write sets it) and counts that follow flags.
    fn account_flags(&mut self) {
        let was_dirty = self.before.oi.test_flag(object_flag::DIRTY);
        let oi = &mut self.obs.oi;
        if self.obs.exists && !self.undirty {
            oi.set_flag(object_flag::DIRTY);
        } else {
            oi.clear_flag(object_flag::DIRTY);
        }
        self.stats.num_objects_dirty += i64::from(oi.test_flag(object_flag::DIRTY)) - i64::from(was_dirty);
        let had_omap = self.before.exists && self.before.oi.is_omap();
        let has_omap = self.obs.exists && oi.is_omap();
        self.stats.num_objects_omap += i64::from(has_omap) - i64::from(had_omap);
    }

    fn clone_head(&mut self) -> (TxnHead, LogEntry, ObjectContext) {
        let coid = self.soid().with_snap(self.snapc.seq);
        let snaps: Vec<SnapId> = self.snapc.snaps.iter().copied().take_while(|s| *s > self.snapset.seq).collect();
        let (version, before) = (self.env.next_version, &self.before.oi);
        let info = ObjectInfo {
            soid: coid.clone(),
            version,
            prior_version: before.version,
            watchers: std::collections::BTreeMap::new(),
            ..before.clone()
        };
        let coll = self.coll();
        let oi = to_bytes(&info, types::features::ALL);
        let head = TxnHead(vec![
            TxOp::Clone { coll, oid: self.goid.clone(), dest: coid.clone().into() },
            TxOp::SetAttrs { coll, oid: coid.clone().into(), attrs: [(OI_NAME.clone(), oi)].into() },
            TxOp::RmAttr { coll, oid: coid.clone().into(), name: SS_NAME.clone() },
        ]);
        self.stats.num_objects += 1;
        self.stats.num_object_clones += 1;
        self.stats.num_objects_dirty += i64::from(info.test_flag(object_flag::DIRTY));
        self.stats.num_objects_omap += i64::from(info.is_omap());
        let set = &mut self.snapset;
        set.clones.push(coid.snap);
        set.clone_size.insert(coid.snap, before.size);
        set.clone_overlap.insert(coid.snap, [(0, before.size)].into_iter().collect());
        let mut entry = LogEntry {
            op: LogOp::Clone,
            soid: coid,
            version,
            prior_version: before.version,
            user_version: before.user_version,
            mtime: self.obs.oi.mtime,
            mod_desc: ObjectModDesc::unrollbackable(),
            ..LogEntry::default()
        };
        entry.set_snaps(&snaps);
        set.clone_snaps.insert(entry.soid.snap, snaps);
        let context = ObjectContext { obs: ObjectState { exists: true, oi: info }, ssc: SnapSet::default() };
        (head, entry, context)
    }

    /// What was written is no longer shared with the newest clone, and now takes space twice.
    fn account_overlap(&mut self) {
        if self.snapset.clones.is_empty() {
            return;
        }
        if let Some(mut newest) = self.snapset.clone_overlap.last_entry() {
            self.modified.intersection_of(newest.get());
            self.stats.num_bytes += self.modified.size().cast_signed();
            newest.get_mut().subtract(&self.modified);
        }
    }

    /// `ROLLBACK`: the head becomes what it was at a snapshot, which may be nothing.
    pub fn rollback(&mut self, snap: SnapId) -> Step {
        let head = self.soid().clone();
        let found = match self.before.exists {
            true => find(self.env, &head, &self.snapset, snap, false)?,
            false => Found::Nothing,
        };
        let source = match found {
            // The head is still what it was; writing it makes the clone that is due.
            Found::Object(soid) if soid == head && !self.before.oi.is_whiteout() => {
                self.modify = true;
                return Ok(());
            }
            // Every member makes its own head of it.
            Found::Object(soid) if soid != head && self.env.missing.is_degraded(&soid) => {
                return Err(Stop::Blocked(Blocked::Missing(soid)));
            }
            Found::Object(soid) if soid != head => soid,
            _ => return self.rollback_to_nothing(),
        };
        let (store, coll) = (self.env.store, self.coll());
        let loaded = self.env.contexts.load(store, coll, &source).map(|c| c.obs.clone());
        let clone = loaded.map_err(|e| self.damaged(e))?;
        if !clone.exists || clone.oi.is_whiteout() {
            return self.rollback_to_nothing();
        }
        self.restore(snap, clone.oi);
        Ok(())
    }

    fn rollback_to_nothing(&mut self) -> Step {
        if !self.before.oi.watchers.is_empty() {
            return Err(EBUSY.into());
        }
        match self.delete() {
            // There is nothing already.
            Err(Stop::Errno(ENOENT)) => Ok(()),
            other => other,
        }
    }

    fn restore(&mut self, snap: SnapId, from: ObjectInfo) {
        let coll = self.coll();
        if self.obs.exists {
            self.push(TxOp::Remove { coll, oid: self.goid.clone() });
        }
        self.push(TxOp::Clone { coll, oid: from.soid.clone().into(), dest: self.goid.clone() });
        // Shared with the head is what all clones from that one on share.
        let mut shared: Option<IntervalSet> = None;
        for overlap in self.snapset.clone_overlap.range(snap..).map(|(_, o)| o) {
            match &mut shared {
                Some(s) => s.intersection_of(overlap),
                None => shared = Some(overlap.clone()),
            }
        }
        let size = self.obs.oi.size;
        let mut modified: IntervalSet = [(0, size)].into_iter().collect();
        modified.subtract(&shared.unwrap_or_default());
        self.modified.union_of(&modified);
        self.create_object();
        self.clean.mark_data_region_dirty(0, size.max(from.size));
        self.clean.mark_omap_dirty();
        self.resize(from.size);
        let oi = &mut self.obs.oi;
        const COPIED: u32 = object_flag::DATA_DIGEST | object_flag::OMAP_DIGEST | object_flag::OMAP;
        oi.flags = oi.flags & !COPIED | from.flags & COPIED;
        (oi.data_digest, oi.omap_digest) = (from.data_digest, from.omap_digest);
    }
}

/// Changes that must come before those of the vector's ops.
pub(super) struct TxnHead(pub Vec<TxOp>);

/// `clone_info`.
fn put_clone_info(e: &mut Encoder, clone: SnapId, snaps: &[SnapId], overlap: &[(u64, u64)], size: u64) {
    e.versioned(1, 1, |e| {
        e.u64(clone);
        e.seq(snaps.iter());
        e.seq(overlap.iter());
        e.u64(size);
    });
}
