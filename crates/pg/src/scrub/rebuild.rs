//! `rebuild_snapset`: a head's snapset is wrong on all copies, and nothing proves what it should say. On a person's word
//! it is made anew from the clones that are there.
//!
//! What becomes of each part of it:
//!
//! | part | from |
//! |---|---|
//! | clones | those of the family that the primary holds |
//! | sizes | their object infos |
//! | snapshots that a clone stands for | the index of clones ([`crate::snap_map`]); else the old snapset; else its own |
//! | what clones share | nothing, which is always true enough |
//! | `seq` | the old snapset's, so that what was lost is not read off the head; if that cannot be read, the newest clone: then a snapshot since keeps the head at the next write, perhaps once too often |
//!
//! A clone that the old snapset named and that is nowhere is given up by it, so it never happens unasked, nor while
//! copies of the family's clones differ (one that the primary lacks would be given up, too). Ceph has nothing like it
//! online: `ceph-objectstore-tool` on each stopped OSD.

use std::collections::BTreeMap;

use node::Level;
use os::ReadError;
use types::errno::{EBUSY, EINVAL, EIO, ENOENT, EPERM, EROFS};
use types::{GHObject, HObject, IntervalSet, SNAP_HEAD, SnapId, SnapSet};

use super::Kind;
use crate::client::ClientOp;
use crate::env::Env;
use crate::object::{Lock, ObjectContext, ObjectState, SS_ATTR, read_object_info};
use crate::ops;
use crate::pg::Pg;

/// A family has at most so many members that we look at.
const FAMILY_MAX: usize = 100_000;

/// A family as it will be.
struct Rebuilt {
    head: ObjectContext,
    /// Clones that the index knows nothing of.
    unknown: Vec<HObject>,
}

type Refused = (i32, String);

impl Pg {
    /// See the file's documentation. Without `sure` only says what would be done.
    ///
    /// # Errors
    /// If the last repair did not leave something wrong with that object's snapset, or it cannot be done now.
    pub fn rebuild_snapset(&mut self, env: &mut Env, name: &str, sure: bool) -> Result<String, Refused> {
        let pgid = self.id.pgid;
        if !self.is_primary() {
            return Err((EROFS, "not primary".into()));
        }
        let heads: Vec<HObject> = self.scrub.bad_snapsets.iter().filter(|h| h.oid == name).cloned().collect();
        if heads.is_empty() {
            let text =
                format!("no repair left the snapset of '{name}' as wrong on all copies: ceph pg repair {pgid} first");
            return Err((ENOENT, text));
        }
        if !self.is_clean() || self.scrub.run.is_some() || !self.scrub.mending.is_idle() {
            return Err((EBUSY, format!("{pgid} is not clean, or is being scrubbed or repaired: try again later")));
        }
        let families = heads.iter().map(|head| self.rebuilt(env, head)).collect::<Result<Vec<_>, _>>()?;
        let plan: Vec<String> = families.iter().map(describe).collect();
        if !sure {
            return Err((
                EPERM,
                format!(
                    "{}. What is not named here is given up. If that is what you want, add --yes-i-really-mean-it",
                    plan.join("; ")
                ),
            ));
        }
        for family in families {
            self.write_family(env, family)?;
        }
        // Whether all is well now shows a scrub, which also puts the PG's sums right.
        self.scrub.asked = Some(Kind { deep: true, repair: true, asked: true, queued: false });
        self.scrub.look_at = Some(env.now.mono);
        self.run_ready(env);
        self.finish(env);
        Ok(plan.join("; "))
    }

    fn rebuilt(&self, env: &Env, head: &HObject) -> Result<Rebuilt, Refused> {
        let differs = |r: &super::Results| {
            r.objects().any(|o| {
                let o = o.object;
                o.snap != SNAP_HEAD && o.name == head.oid && o.locator == head.key && o.nspace == head.nspace
            })
        };
        if self.scrub.results.as_ref().is_some_and(differs) {
            let text = format!("copies of a clone of {head} differ: ceph pg repair {} first", self.id.pgid);
            return Err((EBUSY, text));
        }
        let unreadable = |e: ReadError| (EIO, format!("{head} cannot be read: {e}"));
        let info = |soid: &HObject| read_object_info(env.store, self.coll(), &soid.clone().into());
        let Some(mut oi) = info(head).map_err(unreadable)? else {
            let text = format!(
                "{head} itself is gone: `spirula store remove-object --clone` on each stopped OSD takes away clones \
                 that nobody wants"
            );
            return Err((EINVAL, text));
        };
        oi.soid = head.clone();
        let mut members = BTreeMap::new();
        let first = GHObject::from(head.with_snap(0));
        let (found, _) = env.store.list(self.coll(), &first, FAMILY_MAX).map_err(unreadable)?;
        for clone in found.into_iter().map(|o| o.hobj).take_while(|o| o.is_same_family(head)) {
            if !clone.is_snap() {
                continue;
            }
            let size =
                info(&clone).map_err(unreadable)?.ok_or_else(|| (EIO, format!("{clone} has no object info")))?.size;
            let snaps = self.snap_map.current(env.store, &clone).map_err(unreadable)?;
            members.insert(clone.snap, (clone, size, snaps));
        }
        let old = env.store.attr(self.coll(), &head.clone().into(), SS_ATTR.as_bytes()).map_err(unreadable)?;
        let old = old.and_then(|raw| denc::from_bytes::<SnapSet>(raw).ok()).unwrap_or_default();
        let newest = members.keys().next_back().copied().unwrap_or(0);
        let mut ssc = SnapSet { seq: old.seq.max(newest), ..SnapSet::default() };
        let mut unknown = Vec::new();
        for (snap, (clone, size, snaps)) in members {
            let mut snaps: Vec<SnapId> = snaps.into_iter().rev().collect();
            if snaps.is_empty() {
                snaps = old.clone_snaps.get(&snap).cloned().unwrap_or_else(|| vec![snap]);
                unknown.push(clone);
            }
            ssc.clones.push(snap);
            ssc.clone_size.insert(snap, size);
            ssc.clone_overlap.insert(snap, IntervalSet::default());
            ssc.clone_snaps.insert(snap, snaps);
        }
        Ok(Rebuilt { head: ObjectContext { obs: ObjectState { exists: true, oi }, ssc }, unknown })
    }

    fn write_family(&mut self, env: &mut Env, family: Rebuilt) -> Result<(), Refused> {
        let head = family.head.obs.oi.soid.clone();
        let failed = |e: ReadError| (EIO, format!("{head} cannot be written: {e}"));
        if self.contexts.is_locked(&head) {
            return Err((EBUSY, format!("a client is at {head}: try again")));
        }
        let snapset = family.head.ssc.clone();
        // What is on the disk does not even decode.
        self.contexts.put(family.head);
        let op = ClientOp::own(&head);
        // The index of clones follows the log, on each member.
        let clones = family.unknown.into_iter().map(|clone| (clone, None));
        for (soid, snapset) in std::iter::once((head.clone(), Some(snapset))).chain(clones) {
            assert!(self.contexts.try_lock(&head, Lock::Write), "only we are at it, and writes share");
            let written = self.with_op_env(env, &op, |op_env| match snapset {
                Some(snapset) => ops::record_snapset(op_env, &soid, snapset),
                None => ops::record_digests(op_env, &soid, None, None),
            });
            match written {
                Ok(Some(ws)) => {
                    let op = ClientOp { lock: Lock::Write, ..ClientOp::own(&head) };
                    self.submit_write(env, Some(op), types::OsdReqId::default(), *ws);
                }
                nothing => {
                    if self.contexts.unlock(&head, Lock::Write) {
                        self.requeue_for_lock(&head);
                    }
                    nothing.map_err(failed)?;
                }
            }
        }
        self.scrub.bad_snapsets.remove(&head);
        self.scrub.mending.is_well(&head);
        let text = format!("{} the snapset of {head} is made anew from the clones that are there", self.id.pgid);
        env.cluster_log(Level::Warn, text);
        Ok(())
    }
}

/// What the snapset will say.
fn describe(family: &Rebuilt) -> String {
    let ssc = &family.head.ssc;
    let clones = ssc.clones.iter().map(|clone| {
        let snaps: Vec<String> = ssc.clone_snaps[clone].iter().map(ToString::to_string).collect();
        let guessed = if family.unknown.iter().any(|o| o.snap == *clone) { ", as it seems" } else { "" };
        format!("clone {clone} of {} bytes for snapshots {}{guessed}", ssc.clone_size[clone], snaps.join(","))
    });
    let clones: Vec<String> = clones.collect();
    let what = if clones.is_empty() { "no clones".to_owned() } else { clones.join(", ") };
    format!("the snapset of {} will say: {what}", family.head.obs.oi.soid)
}
