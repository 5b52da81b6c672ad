//! Taking a removed snapshot away from a clone: the clone goes with its last snapshot, and a head that was
//! only kept for its clones goes with the last of those.
//!
//! Ceph: `PrimaryLogPG::trim_object`.

use denc::to_bytes;
use os::{ReadError, Transaction, TxOp};
use types::{
    EVersion, HObject, LogEntry, LogOp, ObjectInfo, ObjectModDesc, ObjectStatSum, SnapId, SnapSet, features,
    object_flag,
};

use super::exec::{OI_NAME, SS_NAME};
use super::{OpEnv, WriteSet};
use crate::object::ObjectContext;

/// Why a clone cannot be trimmed.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The index names a clone that is not there.
    #[error("the clone is not there")]
    NoClone,
    #[error("its head does not know of it")]
    NotInSnapSet,
}

/// Takes `snap`, and all others that are being removed, from a clone.
///
/// # Errors
/// If the clone or its head is not what it should be: the PG needs repair.
pub fn trim_clone(env: &mut OpEnv, clone: &HObject, snap: SnapId) -> Result<Box<WriteSet>, TrimError> {
    let (store, coll) = (env.store, env.coll());
    let mut clone_ctx = env.contexts.load(store, coll, clone)?.clone();
    let mut head_ctx = env.contexts.load(store, coll, &clone.head())?.clone();
    if !clone_ctx.obs.exists {
        return Err(TrimError::NoClone);
    }
    let snaps = head_ctx.ssc.clone_snaps.get(&clone.snap).cloned().unwrap_or_default();
    if !head_ctx.obs.exists || snaps.is_empty() {
        return Err(TrimError::NotInSnapSet);
    }
    let removed = |s: &SnapId| *s == snap || env.removed_snaps.is_some_and(|r| r.contains(*s));
    let left: Vec<SnapId> = snaps.into_iter().filter(|s| !removed(s)).collect();
    let mut trim = Trim { txn: Transaction::new(), log: Vec::new(), stats: ObjectStatSum::default() };
    let mut version = env.next_version;
    let coid = clone.clone();
    if left.is_empty() {
        account_removal(&mut head_ctx.ssc, &clone_ctx.obs.oi, &mut trim.stats).ok_or(TrimError::NotInSnapSet)?;
        trim.log(LogOp::Delete, clone, version, clone_ctx.obs.oi.version, env);
        trim.txn.push(TxOp::Remove { coll, oid: coid.into() });
        clone_ctx = ObjectContext::absent(clone.clone());
    } else {
        trim.log(LogOp::Modify, clone, version, clone_ctx.obs.oi.version, env);
        trim.log[0].set_snaps(&left);
        let oi = &mut clone_ctx.obs.oi;
        (oi.prior_version, oi.version) = (oi.version, version);
        let attrs = [(OI_NAME.clone(), to_bytes(oi, features::ALL))].into();
        trim.txn.push(TxOp::SetAttrs { coll, oid: coid.into(), attrs });
        head_ctx.ssc.clone_snaps.insert(clone.snap, left);
    }
    version.version += 1;
    let head = clone.head();
    let before = head_ctx.obs.oi.version;
    if head_ctx.ssc.clones.is_empty() && head_ctx.obs.oi.is_whiteout() {
        account_object(&head_ctx.obs.oi, &mut trim.stats);
        trim.log(LogOp::Delete, &head, version, before, env);
        trim.txn.push(TxOp::Remove { coll, oid: head.clone().into() });
        head_ctx = ObjectContext::absent(head);
    } else {
        trim.log(LogOp::Modify, &head, version, before, env);
        head_ctx.ssc.snaps.clear();
        let oi = &mut head_ctx.obs.oi;
        (oi.prior_version, oi.version) = (before, version);
        let oi = (OI_NAME.clone(), to_bytes(oi, features::ALL));
        let ss = (SS_NAME.clone(), to_bytes(&head_ctx.ssc, features::ALL));
        trim.txn.push(TxOp::SetAttrs { coll, oid: head.into(), attrs: [oi, ss].into() });
    }
    Ok(Box::new(WriteSet {
        txn: trim.txn,
        log: trim.log,
        contexts: vec![clone_ctx, head_ctx],
        stats: trim.stats,
        reply: None,
        effects: None,
    }))
}

struct Trim {
    txn: Transaction,
    log: Vec<LogEntry>,
    stats: ObjectStatSum,
}

impl Trim {
    fn log(&mut self, op: LogOp, soid: &HObject, version: EVersion, prior_version: EVersion, env: &OpEnv) {
        self.log.push(LogEntry {
            op,
            soid: soid.clone(),
            version,
            prior_version,
            mtime: env.now.wall,
            mod_desc: ObjectModDesc::unrollbackable(),
            ..LogEntry::default()
        });
    }
}

/// Takes a clone out of its family: what it shared with the next newer member its older neighbour now
/// shares only as far as it did with the clone. `None` if it is no member.
fn account_removal(set: &mut SnapSet, info: &ObjectInfo, stats: &mut ObjectStatSum) -> Option<()> {
    let clone = info.soid.snap;
    let at = set.clones.iter().position(|c| *c == clone)?;
    let bytes = |set: &SnapSet, clone| set.clone_bytes(clone).unwrap_or(0).cast_signed();
    stats.num_bytes -= bytes(set, clone);
    let overlap = set.clone_overlap.remove(&clone).unwrap_or_default();
    if let Some(older) = at.checked_sub(1).map(|i| set.clones[i]) {
        stats.num_bytes -= bytes(set, older);
        set.clone_overlap.entry(older).or_default().intersection_of(&overlap);
        stats.num_bytes += bytes(set, older);
    }
    set.clones.remove(at);
    set.clone_size.remove(&clone);
    set.clone_snaps.remove(&clone);
    stats.num_object_clones -= 1;
    account_object(info, stats);
    Some(())
}

fn account_object(info: &ObjectInfo, stats: &mut ObjectStatSum) {
    let one_if = |flag| i64::from(info.test_flag(flag));
    stats.num_objects -= 1;
    stats.num_objects_dirty -= one_if(object_flag::DIRTY);
    stats.num_objects_omap -= one_if(object_flag::OMAP);
    stats.num_whiteouts -= one_if(object_flag::WHITEOUT);
    stats.num_objects_manifest -= one_if(object_flag::MANIFEST);
}
