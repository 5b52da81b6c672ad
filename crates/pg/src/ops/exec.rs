//! One op vector under way: the state that its ops share, and the table of ops.
//!
//! Ceph: `PrimaryLogPG::do_osd_ops`.

use std::sync::LazyLock;

use bytes::Bytes;
use cls::Errno;
use denc::{ByteStr, Decode, Decoder, Encoder};
use messages::{MOSDOp, OpResult};
use os::{Coll, ReadError, Transaction, TxOp};
use types::errno::{EAGAIN, ECANCELED, EINVAL, ENOENT, ENOTCONN, EOPNOTSUPP, EOVERFLOW, ERANGE, ETIMEDOUT};
use types::osd_op::{OpArgs, OsdOp, op, op_flag, watch_op};
use types::{
    GHObject, HObject, IntervalSet, ObjectCleanRegions, ObjectStatSum, OsdReqId, SnapContext, SnapSet, UTime, Version,
    WatchInfo, object_flag,
};

use super::access::{Access, Call};
use super::{Blocked, OpEnv, ReadRange};
use crate::object::ObjectState;
use crate::watch::Effect;

/// Why a vector stops.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Errno(Errno),
    /// As [`Self::Errno`], but not to be remembered: a resend tries again.
    Refused(Errno),
    Blocked(Blocked),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

pub(super) type Step<T = ()> = Result<T, Stop>;

/// Names of attributes that every write sets, made once.
pub(super) static OI_NAME: LazyLock<ByteStr> = LazyLock::new(|| crate::object::OI_ATTR.into());
pub(super) static SS_NAME: LazyLock<ByteStr> = LazyLock::new(|| crate::object::SS_ATTR.into());

/// A source's version and times, which the copy keeps, and the requests that count as done with it.
#[derive(Debug, Clone)]
pub(super) struct CopiedStamp {
    pub user_version: Version,
    pub mtime: UTime,
    pub reqids: Vec<(OsdReqId, Version)>,
    pub reqid_return_codes: Vec<(u32, i32)>,
}

/// The state of a vector (Ceph: `OpContext`).
pub(super) struct Exec<'a, 'e> {
    pub env: &'a mut OpEnv<'e>,
    pub msg: &'a MOSDOp,
    pub access: Access,
    pub goid: GHObject,
    /// The object before the vector.
    pub before: ObjectState,
    /// The object as the ops so far left it.
    pub obs: ObjectState,
    /// The family's snapshots: the head's, whichever object is addressed.
    pub snapset: SnapSet,
    pub snapc: SnapContext,
    pub txn: Transaction,
    pub stats: ObjectStatSum,
    /// Data that changed and so is no longer shared with the newest clone.
    pub modified: IntervalSet,
    pub clean: ObjectCleanRegions,
    /// Whether anything is to be written, be it the object's info alone.
    pub modify: bool,
    /// Whether users see a change, that is, a new version.
    pub user_modify: bool,
    pub undirty: bool,
    /// What `COPY_FROM` took over.
    pub copied: Option<CopiedStamp>,
    pub effects: Vec<Effect>,
    /// Bulk reads that are still to be done.
    pub wanted: Vec<ReadRange>,
}

impl<'a, 'e> Exec<'a, 'e> {
    pub fn new(
        env: &'a mut OpEnv<'e>,
        msg: &'a MOSDOp,
        access: Access,
        obs: ObjectState,
        snapset: SnapSet,
        snapc: SnapContext,
    ) -> Self {
        Self {
            goid: obs.oi.soid.clone().into(),
            before: obs.clone(),
            obs,
            env,
            msg,
            access,
            snapset,
            snapc,
            txn: Transaction::new(),
            stats: ObjectStatSum::default(),
            modified: IntervalSet::default(),
            clean: ObjectCleanRegions::default(),
            modify: false,
            user_modify: false,
            undirty: false,
            copied: None,
            effects: Vec::new(),
            wanted: Vec::new(),
        }
    }

    pub fn soid(&self) -> &HObject {
        &self.goid.hobj
    }

    pub fn coll(&self) -> Coll {
        self.env.coll()
    }

    /// There, and not only remembered for its clones.
    pub fn is_visible(&self) -> bool {
        self.obs.exists && !self.obs.oi.is_whiteout()
    }

    pub fn push(&mut self, op: TxOp) {
        self.modify = true;
        self.txn.push(op);
    }

    /// Makes sure that the object exists when the vector is done. The store needs no telling: writing the
    /// object's info creates it.
    ///
    /// What is there already, or remembered as a whiteout, counts as changed only if the op changes it: an
    /// empty `WRITEFULL` does not bring a whiteout back (Ceph: `maybe_create_new_object`).
    pub fn create_object(&mut self) {
        if !self.obs.exists {
            self.modify = true;
            self.stats.num_objects += 1;
            self.obs.exists = true;
            self.obs.oi.clear_data_digest();
            self.obs.oi.clear_omap_digest();
            self.clean.new_object = true;
        } else if self.obs.oi.is_whiteout() {
            self.obs.oi.clear_flag(object_flag::WHITEOUT);
            self.stats.num_whiteouts -= 1;
        }
    }

    /// What a local disk could not give: another copy may be good.
    pub fn damaged(&self, error: ReadError) -> Stop {
        Stop::Blocked(Blocked::Damaged { soid: self.soid().clone(), why: error.to_string() })
    }

    /// Runs all ops; their results go to `results`. Gives the vector's result.
    pub fn run(&mut self, results: &mut [OpResult]) -> Step<i32> {
        let msg = self.msg;
        let mut result = 0;
        for (op, out) in msg.ops.iter().zip(results) {
            let outcome = self.run_op(op, out);
            result = match outcome {
                Ok(value) => value.unwrap_or(result),
                Err(Stop::Errno(errno)) => -errno,
                Err(blocked) => return Err(blocked),
            };
            out.rval = result;
            if result < 0 {
                if op.has_flag(op_flag::FAILOK) && result != -EAGAIN {
                    result = 0;
                } else if self.wanted.is_empty() {
                    return Err(Stop::Errno(-result));
                } else {
                    // What was read before the failure is answered with it.
                    break;
                }
            }
        }
        if self.wanted.is_empty() {
            return Ok(result);
        }
        Err(Stop::Blocked(Blocked::Read(std::mem::take(&mut self.wanted))))
    }

    /// One op. `None` leaves the result of the op before it, as Ceph does.
    fn run_op(&mut self, osd_op: &OsdOp, out: &mut OpResult) -> Step<Option<i32>> {
        if types::osd_op::is_write(osd_op.op) && !quiet(osd_op.op) {
            self.user_modify = true;
        }
        let input = &osd_op.indata;
        match (osd_op.op, without_old_truncate(osd_op.args)) {
            (op::READ | op::SYNC_READ, OpArgs::Extent { offset, length, truncate_size, truncate_seq }) => {
                let (data, args) = self.read_op(offset, length, truncate_size, truncate_seq)?;
                (out.outdata, out.op.args) = (data, args);
                Ok(Some(0))
            }
            (op::SPARSE_READ, OpArgs::Extent { offset, length, truncate_seq, .. }) => {
                self.sparse_read(offset, length, truncate_seq, out).map(Some)
            }
            (op::MAPEXT, OpArgs::Extent { offset, length, .. }) => {
                out.outdata = self.map_extents(offset, length)?;
                Ok(None)
            }
            (op::CMPEXT, OpArgs::Extent { offset, length, truncate_size, truncate_seq }) => {
                self.compare_extent(offset, length, truncate_size, truncate_seq, input, out).map(|()| Some(0))
            }
            (op::CHECKSUM, OpArgs::Checksum { offset, length, chunk_size, kind }) => {
                self.checksum(offset, length, chunk_size, kind, input, out).map(|()| Some(0))
            }
            (op::CALL, _) => self.call(osd_op, out).map(Some),
            (op::STAT, _) => {
                out.outdata = self.stat()?;
                Ok(None)
            }
            (op::ISDIRTY, _) => {
                out.outdata = Bytes::copy_from_slice(&[u8::from(self.obs.oi.test_flag(object_flag::DIRTY))]);
                self.stats.num_rd += 1;
                Ok(Some(0))
            }
            (op::UNDIRTY, _) => {
                if self.obs.oi.test_flag(object_flag::DIRTY) {
                    self.undirty = true;
                    self.modify = true;
                    self.stats.num_wr += 1;
                }
                Ok(Some(0))
            }
            // Our pools are no caches.
            (op::CACHE_TRY_FLUSH | op::CACHE_FLUSH | op::CACHE_EVICT | op::CACHE_PIN | op::CACHE_UNPIN, _) => {
                Err(EINVAL.into())
            }
            (op::ASSERT_VER, OpArgs::AssertVer { ver, .. }) => self.assert_version(ver).map(|()| None),
            (op::LIST_WATCHERS, _) => {
                out.outdata = self.list_watchers();
                Ok(Some(0))
            }
            (op::LIST_SNAPS, _) => {
                out.outdata = self.list_snaps()?;
                Ok(Some(0))
            }
            (op::NOTIFY, OpArgs::Notify { cookie }) => {
                out.outdata = self.notify(cookie, input);
                Ok(None)
            }
            (op::NOTIFY_ACK, OpArgs::Notify { cookie }) => {
                self.notify_ack(cookie, input);
                Ok(None)
            }
            (op::WATCH, OpArgs::Watch { cookie, op, timeout, .. }) => self.watch(cookie, op, timeout).map(|()| Some(0)),
            (op::GETXATTR, OpArgs::Xattr { name_len, .. }) => {
                let (name, _) = split_name(input, name_len)?;
                out.outdata = self.xattr(name)?;
                if let OpArgs::Xattr { value_len, .. } = &mut out.op.args {
                    *value_len = out.outdata.len() as u32;
                }
                Ok(Some(0))
            }
            (op::GETXATTRS, _) => {
                out.outdata = self.xattrs_op()?;
                Ok(Some(0))
            }
            (op::CMPXATTR, OpArgs::Xattr { name_len, value_len, cmp_op, cmp_mode }) => {
                self.compare_xattr(input, name_len, value_len, cmp_op, cmp_mode).map(Some)
            }
            (op::OMAPGETKEYS, _) => {
                out.outdata = self.omap_keys_op(input)?;
                Ok(None)
            }
            (op::OMAPGETVALS, _) => {
                out.outdata = self.omap_values_op(input)?;
                Ok(None)
            }
            (op::OMAPGETHEADER, _) => {
                out.outdata = self.omap_header()?;
                Ok(None)
            }
            (op::OMAPGETVALSBYKEYS, _) => {
                out.outdata = self.omap_values_by_keys_op(input)?;
                Ok(None)
            }
            (op::OMAP_CMP, _) => self.omap_compare(input).map(|()| None),
            (op::COPY_GET, _) => {
                out.outdata = self.copy_get(input)?;
                Ok(Some(0))
            }
            _ => self.run_write_op(osd_op, out).map(Some),
        }
    }

    fn run_write_op(&mut self, osd_op: &OsdOp, out: &mut OpResult) -> Step<i32> {
        let (input, flags) = (&osd_op.indata, osd_op.flags);
        match (osd_op.op, without_old_truncate(osd_op.args)) {
            (op::WRITE, OpArgs::Extent { offset, length, truncate_size, truncate_seq }) => {
                check_payload(length, input)?;
                self.write(offset, input.clone(), truncate_size, truncate_seq.into(), flags)
            }
            (op::WRITEFULL, OpArgs::Extent { length, .. }) => {
                check_payload(length, input)?;
                self.write_full(input.clone(), flags)
            }
            (op::APPEND, OpArgs::Extent { length, .. }) => {
                check_payload(length, input)?;
                let (size, truncate_seq) = (self.obs.oi.size, self.obs.oi.truncate_seq);
                self.write(size, input.clone(), 0, truncate_seq, flags)
            }
            (op::WRITESAME, OpArgs::WriteSame { offset, length, data_length }) => {
                self.write_same(offset, length, data_length, input, flags)
            }
            (op::ZERO, OpArgs::Extent { offset, length, .. }) => self.zero(offset, length, &mut out.op.op),
            (op::TRUNCATE, OpArgs::Extent { offset, truncate_seq, .. }) => self.truncate(offset, offset, truncate_seq),
            (op::TRIMTRUNC, OpArgs::Extent { truncate_size, truncate_seq, .. }) => {
                self.truncate(truncate_size, truncate_size, truncate_seq)
            }
            (op::CREATE, _) => self.create(osd_op.has_flag(op_flag::EXCL), input),
            (op::DELETE, _) => self.delete(),
            (op::STARTSYNC, _) => {
                self.modify = true;
                Ok(())
            }
            (op::SETALLOCHINT, OpArgs::AllocHint { expected_object_size, expected_write_size, flags }) => {
                self.set_alloc_hint(expected_object_size, expected_write_size, flags);
                Ok(())
            }
            (op::SETXATTR, OpArgs::Xattr { name_len, value_len, .. }) => self.set_xattr_op(input, name_len, value_len),
            (op::RMXATTR, OpArgs::Xattr { name_len, .. }) => {
                let (name, _) = split_name(input, name_len)?;
                self.rm_xattr(name)
            }
            (op::OMAPSETVALS, _) => decoded(input).and_then(|pairs| self.omap_set(pairs, input.len())),
            (op::OMAPSETHEADER, _) => self.omap_set_header(input.clone()),
            (op::OMAPCLEAR, _) => self.omap_clear(),
            (op::OMAPRMKEYS, _) => self.omap_rm_op(input),
            (op::OMAPRMKEYRANGE, _) => self.omap_rm_range_op(input),
            (op::ROLLBACK, OpArgs::Snap { snapid }) => self.rollback(snapid),
            (op::COPY_FROM | op::COPY_FROM2, _) => self.copy_from(osd_op),
            // Tiering by manifests, the trivial map, and what nobody knows.
            _ => Err(EOPNOTSUPP.into()),
        }
        .map(|()| 0)
    }

    pub fn stat(&mut self) -> Step<Bytes> {
        self.stats.num_rd += 1;
        if !self.is_visible() {
            return Err(ENOENT.into());
        }
        let mut e = Encoder::with_capacity(0, 16);
        e.u64(self.obs.oi.size);
        e.put(&self.obs.oi.mtime);
        Ok(e.finish())
    }

    fn assert_version(&self, version: u64) -> Step {
        match version {
            0 => Err(EINVAL.into()),
            v if v < self.obs.oi.user_version => Err(ERANGE.into()),
            v if v > self.obs.oi.user_version => Err(EOVERFLOW.into()),
            _ => Ok(()),
        }
    }

    /// `obj_list_watch_response_t`.
    fn list_watchers(&mut self) -> Bytes {
        self.stats.num_rd += 1;
        let mut e = Encoder::new(self.env.peer.features);
        let watchers = &self.obs.oi.watchers;
        e.versioned(1, 1, |e| {
            e.u32(watchers.len() as u32);
            for ((cookie, name), info) in watchers {
                e.versioned(2, 1, |e| {
                    e.put(name);
                    e.u64(*cookie);
                    e.u32(info.timeout_seconds);
                    e.put(&info.addr);
                });
            }
        });
        e.finish()
    }

    fn notify(&mut self, cookie: u64, input: &Bytes) -> Bytes {
        let mut d = Decoder::new(input.clone());
        // Version (obsolete), timeout, payload.
        let parsed = d.u32().and_then(|_| Ok((d.u32()?, d.blob()?)));
        let (timeout, payload) = parsed.unwrap_or_default();
        let timeout = if timeout == 0 { self.env.cfg.default_notify_timeout } else { timeout };
        let notify_id = self.env.watches.next_notify_id(self.env.epoch);
        let timeout = std::time::Duration::from_secs(timeout.into());
        self.effects.push(Effect::Notify { notify_id, cookie, timeout, payload });
        denc::to_bytes(&notify_id, 0)
    }

    fn notify_ack(&mut self, cookie: u64, input: &Bytes) {
        let mut d = Decoder::new(input.clone());
        let parsed = (|| {
            let (id, cookie) = (d.u64()?, d.u64()?);
            let reply = if d.is_empty() { Bytes::new() } else { d.blob()? };
            Ok::<_, denc::DecodeError>(Effect::Ack { notify_id: id, cookie: Some(cookie), reply })
        })();
        // Old clients put the notify's number where the cookie is now.
        let old = Effect::Ack { notify_id: cookie, cookie: None, reply: Bytes::new() };
        self.effects.push(parsed.unwrap_or(old));
    }

    fn watch(&mut self, cookie: u64, what: u8, timeout: u32) -> Step {
        if !self.obs.exists {
            return Err(ENOENT.into());
        }
        let entity = self.env.reqid.name;
        let key = (cookie, entity);
        let timeout_seconds = if timeout == 0 { self.env.cfg.client_watch_timeout } else { timeout };
        let info = WatchInfo { cookie, timeout_seconds, addr: self.env.peer.addrs.legacy_or_first() };
        let known = self.obs.oi.watchers.contains_key(&key);
        match what {
            watch_op::WATCH | watch_op::LEGACY_WATCH => {
                if !known {
                    self.obs.oi.watchers.insert(key, info.clone());
                    self.modify = true;
                }
                self.effects.push(Effect::Connect { info, will_ping: what == watch_op::WATCH });
            }
            watch_op::RECONNECT | watch_op::PING if !known => return Err(ENOTCONN.into()),
            watch_op::RECONNECT => self.effects.push(Effect::Connect { info, will_ping: true }),
            watch_op::PING => {
                if !self.env.watches.is_connected(&self.goid.hobj, &key) {
                    return Err(ETIMEDOUT.into());
                }
                self.effects.push(Effect::Ping { cookie });
            }
            watch_op::UNWATCH if self.obs.oi.watchers.remove(&key).is_some() => {
                self.modify = true;
                self.effects.push(Effect::Disconnect { watch: key, tell: false });
            }
            _ => (),
        }
        Ok(())
    }

    fn call(&mut self, osd_op: &OsdOp, out: &mut OpResult) -> Step<i32> {
        let call = Call::parse(osd_op)?;
        self.user_modify |= call.method.flags.writes();
        let mut e = Encoder::new(self.env.peer.features);
        let result = super::call::run(self, call, &mut e);
        out.outdata = e.finish();
        result
    }
}

/// Writes that users do not see, or whose version is set explicitly.
fn quiet(code: u16) -> bool {
    matches!(code, op::WATCH | op::UNDIRTY | op::COPY_FROM | op::COPY_FROM2 | op::CACHE_PIN | op::CACHE_UNPIN)
}

/// Clients without truncation send 1 and -1 for none.
fn without_old_truncate(args: OpArgs) -> OpArgs {
    match args {
        OpArgs::Extent { offset, length, truncate_size: u64::MAX, truncate_seq: 1 } => {
            OpArgs::Extent { offset, length, truncate_size: 0, truncate_seq: 0 }
        }
        other => other,
    }
}

fn check_payload(length: u64, payload: &Bytes) -> Step {
    if length == payload.len() as u64 { Ok(()) } else { Err(EINVAL.into()) }
}

/// Reads an op's input; what follows it is ignored, as in Ceph.
pub(super) fn decoded<T: Decode>(input: &Bytes) -> Step<T> {
    Decoder::new(input.clone()).get().map_err(|_| EINVAL.into())
}

/// An attribute's name at the front of the input, and what follows.
pub(super) fn split_name(input: &Bytes, name_len: u32) -> Step<(&[u8], &[u8])> {
    input.split_at_checked(name_len as usize).ok_or_else(|| EINVAL.into())
}

/// What a comparison answers that does not hold.
pub(super) fn canceled<T>() -> Step<T> {
    Err(ECANCELED.into())
}

/// Kibibytes, begun ones counted.
pub(super) fn kib(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(1024)).unwrap_or(i64::MAX)
}
