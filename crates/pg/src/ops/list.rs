//! Listing a PG's objects, in the order of their hashes, with cursors (Ceph: `PrimaryLogPG::do_pg_op`).

use bytes::Bytes;
use cls::{Errno, XattrEquals};
use denc::{ByteStr, Decoder, Encoder, from_bytes, to_bytes};
use messages::{MOSDOp, MOSDOpReply};
use types::errno::{EINVAL, ENOENT, EPERM};
use types::{GHObject, HObject, ObjectInfo, OpArgs, OsdOp, SNAP_HEAD, op, osd_flag};

use super::{Blocked, Executed, OpEnv};
use crate::object::OI_ATTR;

/// `librados::all_nspaces`: a namespace that means all of them.
const ALL_NSPACES: &[u8] = b"\x01";
/// Where Ceph keeps hit sets; not listed.
const HIT_SET_NSPACE: &[u8] = b".ceph-internal";

pub(super) fn execute(env: &mut OpEnv, msg: &MOSDOp) -> Executed {
    let mut reply = MOSDOpReply::to(msg, 0, env.epoch, osd_flag::ACK | osd_flag::ONDISK);
    for (op, out) in msg.ops.iter().zip(&mut reply.ops) {
        match run(env, msg, op) {
            Ok((result, outdata)) => {
                reply.result = result;
                out.outdata = outdata;
            }
            Err(Failure::Errno(errno)) => {
                reply.result = -errno;
                break;
            }
            Err(Failure::Damaged { soid, why }) => return Executed::Blocked(Blocked::Damaged { soid, why }),
        }
    }
    reply.set_reply_versions(env.last_update, env.last_user_version);
    Executed::Reply { reply: Box::new(reply), effects: None }
}

enum Failure {
    Errno(Errno),
    Damaged { soid: HObject, why: String },
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

fn run(env: &OpEnv, msg: &MOSDOp, osd_op: &OsdOp) -> Result<(i32, Bytes), Failure> {
    let names_only = matches!(osd_op.op, op::PGLS | op::PGLS_FILTER);
    match osd_op.op {
        op::PGNLS | op::PGNLS_FILTER | op::PGLS | op::PGLS_FILTER => {
            if msg.hobj.snap != SNAP_HEAD {
                return Err(EINVAL.into());
            }
            let mut d = Decoder::new(osd_op.indata.clone());
            let filtered = matches!(osd_op.op, op::PGNLS_FILTER | op::PGLS_FILTER);
            let filter = if filtered { Some(read_filter(&mut d)?) } else { None };
            let OpArgs::Pgls { count, .. } = osd_op.args else { return Err(EINVAL.into()) };
            let handle: HObject = d.get().map_err(|_| EINVAL)?;
            if env.pool.raw_pg_to_pg(msg.raw_pg()) != env.pgid.pgid {
                return Ok((0, Bytes::new()));
            }
            let listing = Listing { env, msg, filter, names_only };
            listing.run(handle, usize::try_from(count.min(env.cfg.max_pgls)).unwrap_or(usize::MAX))
        }
        // No pool has hit sets.
        op::PG_HITSET_LS => Ok((0, to_bytes(&0_u32, 0))),
        op::PG_HITSET_GET => Err(ENOENT.into()),
        op::SCRUBLS => Ok(crate::scrub::list(env.scrub_results, env.same_interval_since, osd_op.indata.clone())),
        _ => Err(EINVAL.into()),
    }
}

/// Class and method (unused), then the filter's type and parameters.
fn read_filter(d: &mut Decoder) -> Result<XattrEquals, Failure> {
    let names: Result<(ByteStr, ByteStr), _> = d.get();
    names.map_err(|_| EINVAL)?;
    let kind: ByteStr = d.get().map_err(|_| EINVAL)?;
    if kind == "plain" {
        let (xattr, value): (ByteStr, ByteStr) = d.get().map_err(|_| EINVAL)?;
        return Ok(XattrEquals { xattr, value });
    }
    let dot = kind.as_bytes().iter().position(|b| *b == b'.').ok_or(EINVAL)?;
    let (class, name) = (&kind.as_bytes()[..dot], &kind.as_bytes()[dot + 1..]);
    if class.is_empty() || name.is_empty() {
        return Err(EINVAL.into());
    }
    let filter = cls::find(class).ok_or(EPERM)?.filter(name).ok_or(EINVAL)?;
    Ok((filter.init)(d)?)
}

struct Listing<'a, 'e> {
    env: &'a OpEnv<'e>,
    msg: &'a MOSDOp,
    filter: Option<XattrEquals>,
    /// The old form of answer, without namespaces.
    names_only: bool,
}

impl Listing<'_, '_> {
    /// From the cursor on, at most `max` objects; 1 if that was the end of the PG.
    fn run(&self, cursor: HObject, max: usize) -> Result<(i32, Bytes), Failure> {
        let (start, end) = (self.env.pgid.pgid.hobj_start(), self.env.pgid.pgid.hobj_end(self.env.pool.pg_num));
        let outside = !cursor.is_max() && cursor >= end || !cursor.is_min() && cursor < start;
        if !self.names_only && outside {
            return Err(EINVAL.into());
        }
        let (entries, next) = self.collect(cursor, max)?;
        let at_end = next.is_none();
        let next = match next {
            Some(next) => next,
            None if self.names_only => HObject::max(),
            None => end,
        };
        let mut e = Encoder::new(0);
        match self.names_only {
            true => {
                e.u8(1);
                e.put(&next);
                e.u32(entries.len() as u32);
                for o in &entries {
                    e.put(&o.oid);
                    e.put(&o.key);
                }
            }
            false => e.versioned(1, 1, |e| {
                e.put(&next);
                e.u32(entries.len() as u32);
                for o in &entries {
                    e.put(&o.nspace);
                    e.put(&o.oid);
                    e.put(&o.key);
                }
            }),
        }
        Ok((i32::from(at_end), e.finish()))
    }

    /// What the store has merged with what is still missing here, and where to go on.
    fn collect(&self, cursor: HObject, max: usize) -> Result<(Vec<HObject>, Option<HObject>), Failure> {
        let mut from = if cursor.is_min() { self.env.pgid.pgid.hobj_start() } else { cursor };
        let listed = self.env.store.list(self.env.coll(), &from.clone().into(), max.max(1));
        let (listed, next) = listed.map_err(|e| Failure::Damaged { soid: from.clone(), why: e.to_string() })?;
        let next = next.map(|n| n.hobj);
        let mut listed = listed.into_iter().filter(|o| !o.is_pgmeta()).map(|o| o.hobj).peekable();
        let mut entries = Vec::new();
        loop {
            let missing = self.env.missing.first_missing(&from);
            let candidate = match (listed.peek(), missing) {
                (None, None) => return Ok((entries, next)),
                (Some(here), Some(missing)) if missing < *here => missing,
                (Some(_), _) => listed.next().expect("peeked"),
                (None, Some(missing)) => missing,
            };
            if next.as_ref().is_some_and(|n| candidate >= *n) {
                return Ok((entries, next));
            }
            if entries.len() >= max {
                return Ok((entries, Some(candidate)));
            }
            from = after(&candidate);
            while listed.peek().is_some_and(|o| *o <= candidate) {
                listed.next();
            }
            if self.shows(&candidate)? {
                entries.push(candidate);
            }
        }
    }

    fn shows(&self, o: &HObject) -> Result<bool, Failure> {
        let wanted = &self.msg.hobj.nspace;
        let in_nspace = o.nspace == *wanted || !self.names_only && wanted.as_bytes() == ALL_NSPACES;
        if !o.is_head() || !in_nspace || o.nspace.as_bytes() == HIT_SET_NSPACE {
            return Ok(false);
        }
        match &self.filter {
            Some(filter) => self.matches(filter, o),
            None => Ok(true),
        }
    }

    fn matches(&self, filter: &XattrEquals, o: &HObject) -> Result<bool, Failure> {
        let oid = GHObject::from(o.clone());
        let attr = |name: &[u8]| {
            let value = self.env.store.attr(self.env.coll(), &oid, name);
            value.map_err(|e| Failure::Damaged { soid: o.clone(), why: e.to_string() })
        };
        let there = attr(OI_ATTR.as_bytes())?.and_then(|raw| from_bytes::<ObjectInfo>(raw).ok());
        let value = attr(filter.xattr.as_bytes())?;
        Ok(there.is_some() && value.is_some_and(|v| v == filter.value.as_bytes()))
    }
}

/// The smallest object after this one: its name with a zero byte behind.
fn after(o: &HObject) -> HObject {
    match o.snap {
        types::SNAP_DIR => HObject { oid: [o.oid.as_bytes(), b"\0"].concat().into(), snap: 0, ..o.clone() },
        snap => o.with_snap(snap + 1),
    }
}
