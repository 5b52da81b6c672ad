//! From an executed op vector to what has to be written, logged and answered.
//!
//! Ceph: `PrimaryLogPG::execute_ctx`, `prepare_transaction`, `finish_ctx`, `record_write_error`.

use cls::Errno;
use denc::{Encoder, to_bytes};
use messages::MOSDOpReply;
use os::{Transaction, TxOp};
use types::errno::{EAGAIN, EDQUOT, EINVAL, ENOENT, ENOSPC, EOVERFLOW};
use types::pool::flag;
use types::{
    EVersion, HObject, LogEntry, LogOp, ObjectModDesc, ObjectStatSum, OpReturn, RareOfEntry, SnapSet, Version,
    object_flag, osd_flag,
};

use super::clone::TxnHead;
use super::exec::{Exec, OI_NAME, SS_NAME, Stop};
use super::precheck::refuse;
use super::{Executed, OpEnv, WriteSet};
use crate::object::{ObjectContext, ObjectState};
use crate::watch::{Effect, Effects};

/// Attributes of a small object: info and snapset together seldom need more.
const INFO_SIZE_HINT: usize = 320;

impl Exec<'_, '_> {
    /// Runs the vector and finishes it.
    pub fn execute(mut self, mut reply: Box<MOSDOpReply>) -> Executed {
        if !self.snapc.is_valid() {
            return self.fail(reply, EINVAL);
        }
        let result = match self.run(&mut reply.ops) {
            Ok(result) => result,
            Err(Stop::Errno(EAGAIN)) => return Executed::Drop,
            Err(Stop::Errno(errno)) => return self.fail(reply, errno),
            Err(Stop::Refused(errno)) => return refuse(self.env, self.msg, errno),
            Err(Stop::Blocked(why)) => return Executed::Blocked(why),
        };
        // What was made and deleted again was never there (Ceph: `PGTransaction::remove` of a fresh object).
        let never_there = !self.before.exists && !self.obs.exists;
        if !self.modify || never_there {
            return self.nothing_changed(reply, result);
        }
        if let Some(refused) = self.check_full() {
            return match refused {
                EAGAIN => Executed::Drop,
                errno => self.fail(reply, errno),
            };
        }
        match self.bound_returns(&mut reply, result) {
            Ok(result) => self.write_out(reply, result),
            // As in Ceph, this is not remembered.
            Err(errno) => {
                reply.result = -errno;
                Executed::Reply { reply, effects: None }
            }
        }
    }

    /// A pool at its quota or without space takes nothing that adds to it. Clients hold such writes back;
    /// those of one that does not are dropped, and it sends them again when the flag goes.
    fn check_full(&self) -> Option<Errno> {
        let grows = self.stats.num_bytes > 0 || self.stats.num_objects > 0;
        if !grows || !self.env.pool.has_flag(flag::FULL) || self.msg.has_flag(osd_flag::FULL_FORCE) {
            return None;
        }
        let over_quota = self.env.pool.has_flag(flag::FULL_QUOTA);
        match self.msg.has_flag(osd_flag::FULL_TRY) {
            true if over_quota => Some(EDQUOT),
            true => Some(ENOSPC),
            false => Some(EAGAIN),
        }
    }

    /// A write's results are kept in the log for resends: only if the client asks for them, and only so
    /// much.
    fn bound_returns(&self, reply: &mut MOSDOpReply, result: i32) -> Result<i32, Errno> {
        if !self.access.returnvec {
            for op in &mut reply.ops {
                op.outdata.clear();
            }
            return Ok(0);
        }
        let mut outcome = Ok(result);
        for op in &mut reply.ops {
            if op.outdata.len() > self.env.cfg.max_write_op_reply_len {
                op.outdata.clear();
                op.rval = -EOVERFLOW;
                outcome = Err(EOVERFLOW);
            }
        }
        outcome
    }

    /// A read, or a write that had nothing to do.
    fn nothing_changed(self, mut reply: Box<MOSDOpReply>, result: i32) -> Executed {
        reply.result = result;
        let effects = self.effects_of(self.obs.oi.user_version);
        if !self.access.write {
            reply.set_reply_versions(EVersion::ZERO, self.obs.oi.user_version);
            return Executed::Reply { reply, effects };
        }
        reply.set_reply_versions(self.env.next_version, self.obs.oi.user_version);
        let op_returns = op_returns(&reply, self.access.returnvec);
        let stats = self.stats.clone();
        let entry = error_entry(self.env, self.goid.hobj.clone(), -result, op_returns);
        let effects = effects.map(|e| *e);
        log_only(entry, reply, effects, stats)
    }

    /// A vector that failed: a write's failure is logged, so that a resend fails alike.
    fn fail(self, mut reply: Box<MOSDOpReply>, errno: Errno) -> Executed {
        reply.result = -errno;
        if self.access.write {
            reply.set_reply_versions(self.env.next_version, self.before.oi.user_version);
        }
        if errno == ENOENT {
            reply.set_enoent_reply_versions(self.env.last_update, self.env.last_user_version);
        }
        if !self.access.write {
            return Executed::Reply { reply, effects: None };
        }
        let op_returns = op_returns(&reply, self.access.returnvec);
        let entry = error_entry(self.env, self.goid.hobj.clone(), errno, op_returns);
        log_only(entry, reply, None, ObjectStatSum::default())
    }

    fn effects_of(&self, user_version: Version) -> Option<Box<Effects>> {
        if self.effects.is_empty() {
            return None;
        }
        Some(Box::new(Effects {
            soid: self.goid.hobj.clone(),
            conn: self.env.conn,
            entity: self.env.reqid.name,
            user_version,
            list: self.effects.clone(),
        }))
    }

    fn write_out(mut self, mut reply: Box<MOSDOpReply>, result: i32) -> Executed {
        let mut version = self.env.next_version;
        let mut log = Vec::with_capacity(2);
        let mut contexts = Vec::with_capacity(2);
        let mut txn = std::mem::take(&mut self.txn);
        if self.goid.hobj.is_head()
            && let Some((TxnHead(first), entry, context)) = self.make_writeable()
        {
            log.push(entry);
            contexts.push(context);
            version.version += 1;
            txn.ops.splice(0..0, first);
        }
        let user_version = self.bump_user_version(version);
        let op = if self.obs.exists { LogOp::Modify } else { LogOp::Delete };
        if self.obs.exists {
            self.put_info(version, &mut txn);
        } else {
            self.obs.oi = types::ObjectInfo::new(self.goid.hobj.clone());
            self.snapset = SnapSet::default();
        }
        reply.result = result;
        reply.set_reply_versions(version, user_version);
        let effects = self.effects_of(user_version);
        let (extra_reqids, extra_reqid_return_codes) =
            self.copied.take().map(|c| (c.reqids, c.reqid_return_codes)).unwrap_or_default();
        let op_returns = op_returns(&reply, self.access.returnvec);
        let rare = RareOfEntry { extra_reqids, extra_reqid_return_codes, op_returns, ..RareOfEntry::default() };
        log.push(LogEntry {
            op,
            soid: self.goid.hobj.clone(),
            version,
            prior_version: self.before.oi.version,
            user_version,
            reqid: self.env.reqid,
            mtime: self.msg.mtime,
            return_code: if self.access.returnvec { result } else { 0 },
            mod_desc: ObjectModDesc::unrollbackable(),
            clean_regions: self.clean,
            rare: rare.boxed(),
        });
        contexts.push(ObjectContext { obs: self.obs, ssc: self.snapset });
        Executed::Write(Box::new(WriteSet { txn, log, contexts, stats: self.stats, reply: Some(reply), effects }))
    }

    /// The version that users see. At least the log's, which is all that old clients look at.
    fn bump_user_version(&mut self, version: EVersion) -> Version {
        let oi = &mut self.obs.oi;
        if let Some(copied) = &self.copied {
            oi.user_version = copied.user_version;
        } else if self.user_modify {
            let next = self.env.last_user_version.max(oi.user_version) + 1;
            oi.user_version = next.max(version.version);
        }
        oi.user_version
    }

    /// Stamps the object's info and writes it, once, beside the snapset.
    fn put_info(&mut self, version: EVersion, txn: &mut Transaction) {
        let oi = &mut self.obs.oi;
        oi.version = version;
        oi.prior_version = self.before.oi.version;
        oi.last_reqid = self.env.reqid;
        if let Some(copied) = &self.copied {
            oi.mtime = copied.mtime;
        } else if !self.msg.mtime.is_zero() {
            oi.mtime = self.msg.mtime;
            oi.local_mtime = self.env.now.wall;
        }
        let mut e = Encoder::with_capacity(types::features::ALL, INFO_SIZE_HINT);
        e.put(&*oi);
        let mut attrs = std::collections::BTreeMap::from([(OI_NAME.clone(), e.finish())]);
        if self.goid.hobj.is_head() {
            attrs.insert(SS_NAME.clone(), to_bytes(&self.snapset, types::features::ALL));
        }
        txn.push(TxOp::SetAttrs { coll: self.env.coll(), oid: self.goid.clone(), attrs });
    }
}

/// What a resend will be told about each op.
fn op_returns(reply: &MOSDOpReply, wanted: bool) -> Vec<OpReturn> {
    if !wanted {
        return Vec::new();
    }
    reply.ops.iter().map(|o| OpReturn { rval: o.rval, data: o.outdata.to_vec() }).collect()
}

fn error_entry(env: &OpEnv, soid: HObject, errno: Errno, op_returns: Vec<OpReturn>) -> LogEntry {
    LogEntry {
        op: LogOp::Error,
        soid,
        version: env.next_version,
        reqid: env.reqid,
        return_code: -errno,
        rare: RareOfEntry { op_returns, ..RareOfEntry::default() }.boxed(),
        mod_desc: ObjectModDesc::unrollbackable(),
        ..LogEntry::default()
    }
}

fn log_only(entry: LogEntry, reply: Box<MOSDOpReply>, effects: Option<Effects>, stats: ObjectStatSum) -> Executed {
    Executed::Write(Box::new(WriteSet {
        txn: Transaction::new(),
        log: vec![entry],
        contexts: Vec::new(),
        stats,
        reply: Some(reply),
        effects: effects.map(Box::new),
    }))
}

/// Takes a watch that has timed out, or whose client was shut out, from its object. `None` if it is gone
/// already. The PG must have the object and no recovery of it under way (Ceph: `handle_watch_timeout`).
pub(super) fn remove_watch(env: &mut OpEnv, expired: &crate::watch::Expired) -> Option<Box<WriteSet>> {
    let (coll, version) = (env.coll(), env.next_version);
    let context = env.contexts.load(env.store, coll, &expired.soid).ok()?;
    let before = context.obs.oi.version;
    let mut after = ObjectContext { obs: ObjectState { ..context.obs.clone() }, ssc: context.ssc.clone() };
    after.obs.oi.watchers.remove(&expired.watch)?;
    (after.obs.oi.prior_version, after.obs.oi.version) = (before, version);
    debug_assert!(after.obs.exists && !after.obs.oi.test_flag(object_flag::LOST));
    let mut txn = Transaction::new();
    let oi = to_bytes(&after.obs.oi, types::features::ALL);
    txn.push(TxOp::SetAttrs { coll, oid: expired.soid.clone().into(), attrs: [(OI_NAME.clone(), oi)].into() });
    let entry = LogEntry {
        op: LogOp::Modify,
        soid: expired.soid.clone(),
        version,
        prior_version: before,
        mod_desc: ObjectModDesc::unrollbackable(),
        ..LogEntry::default()
    };
    let effects = Effects {
        soid: expired.soid.clone(),
        conn: env.conn,
        entity: expired.watch.1,
        user_version: after.obs.oi.user_version,
        list: vec![Effect::Disconnect { watch: expired.watch, tell: true }],
    };
    Some(Box::new(WriteSet {
        txn,
        log: vec![entry],
        contexts: vec![after],
        stats: ObjectStatSum::default(),
        reply: None,
        effects: Some(Box::new(effects)),
    }))
}
