//! What is checked of a client's op before it runs, and on which object it runs.
//!
//! Ceph: `PrimaryLogPG::do_op`.

use cls::Errno;
use messages::{MOSDOp, MOSDOpReply};
use types::errno::{EINVAL, EIO, EMSGSIZE, ENAMETOOLONG, ENFILE, ENOENT, ENOSPC, EOLDSNAPC};
use types::{HObject, SNAP_DIR, SNAP_HEAD, SnapContext, object_flag, op, osd_flag};

use super::access::Access;
use super::clone::{Found, find};
use super::exec::{Exec, Stop};
use super::{Blocked, Executed, Gone, OpEnv, copy};

/// Writes from this size on ask whether the store has room for them.
const LARGE: u64 = 64 << 10;

/// Runs a client's op vector, or says why not.
pub(super) fn execute(env: &mut OpEnv, msg: &MOSDOp) -> Executed {
    let access = match checked_access(env, msg) {
        Ok(access) => access,
        Err(errno) => return refuse(env, msg, errno),
    };
    if access.pg_op {
        return super::list::execute(env, msg);
    }
    if access.write_ordered() && is_held_back(env, msg) {
        return Executed::Drop;
    }
    let head = msg.hobj.head();
    if env.missing.is_missing(&head) {
        return Executed::Blocked(Blocked::Missing(head));
    }
    match run(env, msg, access, &head) {
        Ok(executed) => executed,
        Err(Stop::Errno(errno) | Stop::Refused(errno)) => refuse(env, msg, errno),
        Err(Stop::Blocked(why)) => Executed::Blocked(why),
    }
}

fn checked_access(env: &OpEnv, msg: &MOSDOp) -> Result<Access, Errno> {
    if msg.has_flag(osd_flag::PARALLELEXEC) {
        return Err(EINVAL);
    }
    let access = Access::of(msg)?;
    if access.pg_op {
        return Ok(access);
    }
    let (oid, cfg) = (&msg.hobj, env.cfg);
    let too_long = oid.oid.len() > cfg.max_object_name_len
        || oid.key.len() > cfg.max_object_name_len
        || oid.nspace.len() > cfg.max_object_namespace_len;
    if too_long {
        return Err(ENAMETOOLONG);
    }
    if oid.oid.is_empty() || access.write && oid.snap != SNAP_HEAD {
        return Err(EINVAL);
    }
    let payload: u64 = msg.ops.iter().map(|op| op.indata.len() as u64).sum();
    if access.write && cfg.max_write_size > 0 && payload > cfg.max_write_size {
        return Err(EMSGSIZE);
    }
    // A store that runs out of space ends its OSD. What is kept back at the last threshold is there for small writes.
    if access.write && payload > LARGE && payload > env.store.statfs().available {
        return Err(ENOSPC);
    }
    let all_list_snaps = msg.ops.iter().all(|o| o.op == op::LIST_SNAPS);
    let none_lists_snaps = msg.ops.iter().all(|o| o.op != op::LIST_SNAPS);
    let fits = if oid.snap == SNAP_DIR { all_list_snaps } else { none_lists_snaps };
    if fits { Ok(access) } else { Err(EINVAL) }
}

/// Writes that were sent before the cluster or the pool was full are dropped: the client sends them again
/// if it wants them all the same. At the last threshold nothing is taken but what tries expressly.
fn is_held_back(env: &OpEnv, msg: &MOSDOp) -> bool {
    let tries = msg.has_flag(osd_flag::FULL_TRY);
    let forces = msg.has_flag(osd_flag::FULL_FORCE);
    let from_before = env.last_epoch_marked_full > msg.map_epoch && !tries && !forces;
    from_before || env.failsafe_full && !tries
}

/// An answer without results, that is not remembered.
pub(super) fn refuse(env: &OpEnv, msg: &MOSDOp, errno: Errno) -> Executed {
    let reply = MOSDOpReply::to(msg, -errno, env.epoch, msg.flags & (osd_flag::ACK | osd_flag::ONDISK));
    Executed::Reply { reply: Box::new(reply), effects: None }
}

fn run(env: &mut OpEnv, msg: &MOSDOp, access: Access, head: &HObject) -> Result<Executed, Stop> {
    let (store, coll) = (env.store, env.coll());
    let damaged =
        |soid: &HObject, e: os::ReadError| Stop::Blocked(Blocked::Damaged { soid: soid.clone(), why: e.to_string() });
    let mut context = env.contexts.load(store, coll, head).map_err(|e| damaged(head, e))?.clone();
    if !context.obs.exists {
        match env.missing.gone(head) {
            Gone::No => (),
            Gone::Here => {
                let why = "is gone, though the log knows that it was written".to_owned();
                return Err(Stop::Blocked(Blocked::Damaged { soid: head.clone(), why }));
            }
            // It can be written anew.
            Gone::Everywhere if access.write => (),
            Gone::Everywhere => return Err(EIO.into()),
        }
    }
    let snapset = std::mem::take(&mut context.ssc);
    if msg.hobj.snap != SNAP_HEAD && msg.hobj.snap != SNAP_DIR {
        let map_to_clone = msg.has_flag(osd_flag::MAP_SNAP_CLONE);
        let found = match context.obs.exists {
            true => find(env, head, &snapset, msg.hobj.snap, map_to_clone)?,
            false => Found::Nothing,
        };
        let Found::Object(soid) = found else { return not_found(env, msg) };
        if soid != *head {
            context = env.contexts.load(store, coll, &soid).map_err(|e| damaged(&soid, e))?.clone();
        }
    }
    let oi = &context.obs.oi;
    if access.read && oi.test_flag(object_flag::LOST) {
        return Err(ENFILE.into());
    }
    let visible = context.obs.exists && (msg.hobj.snap == SNAP_DIR || !oi.is_whiteout());
    if !visible && !access.write && !access.cache {
        return not_found(env, msg);
    }
    if !oi.watchers.is_empty() {
        env.watches.adopt(env.now, &oi.soid, &oi.watchers);
    }
    let snapc = snap_context(env, msg, access);
    if access.write && msg.has_flag(osd_flag::ORDERSNAP) && snapc.seq < snapset.seq {
        return Err(EOLDSNAPC.into());
    }
    let reply = MOSDOpReply::to(msg, 0, env.epoch, osd_flag::ACK | osd_flag::ONDISK);
    Ok(Exec::new(env, msg, access, context.obs, snapset, snapc).execute(Box::new(reply)))
}

/// There is nothing to read. A copy still learns which requests made it so.
fn not_found(env: &OpEnv, msg: &MOSDOp) -> Result<Executed, Stop> {
    match msg.ops.first() {
        Some(first) if first.op == op::COPY_GET => Ok(copy::get_nothing(env, msg)),
        _ => Err(ENOENT.into()),
    }
}

/// The snapshots that a write has to keep: the pool's own, or those that the client brings.
fn snap_context(env: &OpEnv, msg: &MOSDOp, access: Access) -> SnapContext {
    if !access.write && !access.cache {
        return SnapContext::default();
    }
    if env.pool.is_pool_snaps_mode() && !msg.has_flag(osd_flag::ENFORCE_SNAPC) {
        return env.pool.snap_context();
    }
    let mut snaps = msg.snaps.clone();
    if let Some(removed) = env.removed_snaps {
        snaps.retain(|s| !removed.contains(*s));
    }
    SnapContext { seq: msg.snap_seq, snaps }
}
