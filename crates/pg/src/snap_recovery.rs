//! Families of objects in recovery: the head comes before its clones, for it knows what they share; what
//! they share is not sent twice.

use std::borrow::Cow;

use messages::ObjectRecoveryInfo;
use os::{ObjectRead, TxOp};
use types::{GHObject, HObject, IntervalSet, OsdId, SnapSet};

use crate::env::Env;
use crate::object::SS_ATTR;
use crate::pg::Pg;
use crate::snap_subsets::{Subsets, clone_subsets, head_subsets, shared_with_head};

/// So many bytes take longer to send than another object's way to the target and back.
const WORTH_WAITING: u64 = 256 << 10;

fn subsets(env: &Env, family: &SnapSet, soid: &HObject, size: u64, has: impl Fn(&HObject) -> bool) -> Option<Subsets> {
    let limit = env.cfg.recover_clone_overlap_limit;
    match soid.is_snap() {
        true => clone_subsets(family, soid, has, limit),
        false => Some(head_subsets(family, soid, size, has, limit)),
    }
}

impl Pg {
    /// What has to be recovered for an object: the head, if that is missing here as well
    /// (Ceph: `recover_missing`).
    pub(crate) fn head_first<'a>(&self, soid: &'a HObject) -> Cow<'a, HObject> {
        if soid.is_snap() {
            let head = soid.head();
            if self.missing.contains(&head) {
                return Cow::Owned(head);
            }
        }
        Cow::Borrowed(soid)
    }

    /// What our copy of the head knows of its clones.
    pub(crate) fn family(&self, env: &Env, soid: &HObject) -> SnapSet {
        let head = soid.head();
        if let Some(context) = self.contexts.get(&head) {
            return context.ssc.clone();
        }
        let raw = env.store.attr(self.coll(), &head.into(), SS_ATTR.as_bytes()).ok().flatten();
        raw.and_then(|raw| denc::from_bytes(raw).ok()).unwrap_or_default()
    }

    /// Whether another member of the family is being recovered; what comes after it can share with it.
    pub(crate) fn is_family_busy(&self, soid: &HObject) -> bool {
        let family = soid.with_snap(0)..=soid.head();
        let r = &self.recovery;
        r.pulls.range(family.clone()).next().is_some()
            || r.landing.range(family.clone()).next().is_some()
            || r.pushes.range(family).next().is_some()
    }

    fn has_object(&self, store: &dyn ObjectRead, soid: &HObject) -> bool {
        let there = || store.stat(self.coll(), &GHObject::from(soid.clone())).is_ok_and(|s| s.is_some());
        !self.missing.contains(soid) && there()
    }

    /// A pull of a clone asks only for what no other member here has. A head is always pulled whole: its
    /// overlaps come with it.
    pub(crate) fn with_local_clones(&self, env: &Env, info: ObjectRecoveryInfo) -> ObjectRecoveryInfo {
        if !info.soid.is_snap() {
            return info;
        }
        let ss = self.family(env, &info.soid);
        let has = |clone: &HObject| self.has_object(env.store, clone);
        match clone_subsets(&ss, &info.soid, has, env.cfg.recover_clone_overlap_limit) {
            Some(Subsets { data, clones }) => {
                let size = ss.clone_size.get(&info.soid.snap).copied().unwrap_or(u64::MAX);
                ObjectRecoveryInfo { size, copy_subset: data, clone_subset: clones, ss, ..info }
            }
            None => info,
        }
    }

    /// A push leaves out what the receiver has in other members of the family.
    pub(crate) fn with_clones_of(
        &self,
        env: &Env,
        osd: OsdId,
        family: &SnapSet,
        info: ObjectRecoveryInfo,
    ) -> ObjectRecoveryInfo {
        let Some(missing) = self.peers.missing.get(&osd) else { return info };
        // Not the head, which changes under our hands.
        let has = |clone: &HObject| clone.is_snap() && !missing.contains(clone) && self.is_backfilled_at(osd, clone);
        match subsets(env, family, &info.soid, info.size, has) {
            Some(Subsets { data, clones }) => ObjectRecoveryInfo { copy_subset: data, clone_subset: clones, ..info },
            None => info,
        }
    }

    /// Whether an object that is to be backfilled shares so much with a member of its family that is on its
    /// way that it had better wait for it.
    pub(crate) fn waits_for_family(&self, env: &Env, soid: &HObject) -> bool {
        if !self.backfill.in_flight().any(|o| o.is_same_family(soid)) {
            return false;
        }
        let on_its_way = |clone: &HObject| clone.is_snap() && self.backfill.is_in_flight(clone);
        let size = env.store.stat(self.coll(), &soid.clone().into()).ok().flatten().map_or(0, |s| s.size);
        let shared = subsets(env, &self.family(env, soid), soid, size, on_its_way);
        shared.is_some_and(|s| s.clones.values().map(IntervalSet::size).sum::<u64>() >= WORTH_WAITING)
    }

    /// Whether a pulled object may be completed: what it takes from the head must be as it was when we chose
    /// not to ask for it.
    pub(crate) fn still_shared(&self, env: &Env, info: &ObjectRecoveryInfo) -> bool {
        let Some(taken) = info.clone_subset.get(&info.soid.head()) else { return true };
        taken.is_subset_of(&shared_with_head(&self.family(env, &info.soid), info.soid.snap))
    }

    /// Whether a push makes sense with what we have.
    pub(crate) fn has_clones(&self, env: &Env, info: &ObjectRecoveryInfo) -> bool {
        let one = |clone: &HObject| clone.is_snap() && clone.head() == info.soid.head() && *clone != info.soid;
        info.clone_subset.iter().all(|(clone, ranges)| {
            one(clone) && self.has_object(env.store, clone) && ranges.range_end().is_none_or(|end| end <= info.size)
        })
    }

    /// Completes a recovered object with what it shares with clones that are here.
    pub(crate) fn take_from_clones(&mut self, info: &ObjectRecoveryInfo) {
        let (coll, dest) = (self.coll(), GHObject::from(info.soid.clone()));
        for (clone, ranges) in &info.clone_subset {
            for (off, len) in ranges.iter() {
                let (oid, dest) = (clone.clone().into(), dest.clone());
                self.txn.push(TxOp::CloneRange { coll, oid, dest, off, len, dest_off: off });
            }
        }
    }
}
