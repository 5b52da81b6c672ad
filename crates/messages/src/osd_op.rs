//! Clients' operations on objects. The hot path: payloads are shared with the frame they came in or
//! go out in, and nothing is allocated but names and the list of ops.

use bytes::Bytes;
use denc::{ByteStr, DecodeError, Decoder, Encoder};
use types::osd_op::{OSD_OP_SIZE, OsdOp, osd_flag};
use types::{
    EVersion, EntityName, Epoch, HObject, ObjectLocator, OsdReqId, PgId, RequestRedirect, SnapId, SpgId, UTime, Version,
};

use crate::Wire;
use crate::payload::{Payload, Trace, refuse_older};

/// `MOSDOp`: a compound operation on one object, or on a PG as a whole (then `hobj` has no name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MOSDOp {
    pub pgid: SpgId,
    /// With the object's raw hash; for operations on a PG, any hash in it.
    pub hobj: HObject,
    /// The client's map.
    pub map_epoch: Epoch,
    /// Bits of [`types::osd_op::osd_flag`].
    pub flags: u32,
    /// Whose operation this is, if not the sender's own; see [`Self::reqid`].
    pub explicit_reqid: OsdReqId,
    pub client_inc: u32,
    pub mtime: UTime,
    pub ops: Vec<OsdOp>,
    /// The snap context of writes: the newest snapshot's number, and those that exist, descending.
    pub snap_seq: SnapId,
    pub snaps: Vec<SnapId>,
    /// 0 is the first; -1 if the client does not say.
    pub retry_attempt: i32,
    pub features: u64,
}

impl Default for MOSDOp {
    fn default() -> Self {
        Self {
            pgid: SpgId::default(),
            hobj: HObject::default(),
            map_epoch: 0,
            flags: 0,
            explicit_reqid: OsdReqId::default(),
            client_inc: 0,
            mtime: UTime::ZERO,
            ops: Vec::new(),
            snap_seq: 0,
            snaps: Vec::new(),
            retry_attempt: -1,
            features: 0,
        }
    }
}

impl MOSDOp {
    /// The operation's name for good: as the sender gave it, or its own name and the header's tid.
    pub fn reqid(&self, sender: EntityName, tid: u64) -> OsdReqId {
        let explicit = self.explicit_reqid;
        if explicit.name != EntityName::default() || explicit.tid != 0 {
            return explicit;
        }
        OsdReqId { name: sender, tid, inc: explicit.inc }
    }

    /// The PG by the object's raw hash, before the pool's `pg_num` is applied.
    pub fn raw_pg(&self) -> PgId {
        PgId::new(self.pgid.pgid.pool, self.hobj.hash)
    }

    pub fn has_flag(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The object's fields that lie behind the trace in version 8 and before the ops in older ones.
    fn decode_tail(&mut self, d: &mut Decoder, data: Bytes) -> Result<(), DecodeError> {
        self.hobj.oid = d.get()?;
        let heads = decode_heads(d, |d| Ok(d.u16()?.into()))?;
        self.hobj.snap = d.u64()?;
        self.snap_seq = d.u64()?;
        self.snaps = d.get()?;
        self.ops = OsdOp::split_data(heads, data)?;
        Ok(())
    }

    fn set_place(&mut self, locator: ObjectLocator) {
        self.hobj.pool = self.pgid.pgid.pool;
        self.hobj.key = locator.key;
        self.hobj.nspace = locator.nspace;
    }

    /// Version 7 and 8: what lies before the common part.
    fn decode_front(d: &mut Decoder, version: u16) -> Result<Self, DecodeError> {
        let mut op = Self::default();
        if version >= 8 {
            op.pgid = d.get()?;
            op.hobj.hash = d.u32()?;
        } else {
            op.pgid = d.get::<PgId>()?.into();
            op.hobj.hash = op.pgid.pgid.seed;
        }
        op.map_epoch = d.u32()?;
        op.flags = d.u32()?;
        if version < 8 {
            d.get::<EVersion>()?; // once the version to reassert
        }
        op.explicit_reqid = d.get()?;
        if version >= 8 {
            d.get::<Trace>()?;
        }
        if version >= 9 {
            d.versioned("jspan_context", u8::MAX, |_, _| Ok(()))?;
        }
        Ok(op)
    }

    /// Versions 3 to 6, which the kernel's client wrote for long.
    fn decode_old(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        let mut op = Self { client_inc: d.u32()?, map_epoch: d.u32()?, flags: d.u32()?, ..Self::default() };
        op.mtime = d.get()?;
        d.get::<EVersion>()?;
        let locator: ObjectLocator = d.get()?;
        op.pgid = d.get::<PgId>()?.into();
        op.decode_tail(d, wire.data.clone())?;
        op.retry_attempt = if wire.version >= 4 { d.i32()? } else { -1 };
        op.features = if wire.version >= 5 { d.u64()? } else { 0 };
        if wire.version >= 6 {
            op.explicit_reqid = d.get()?;
        }
        op.hobj.hash = op.pgid.pgid.seed;
        op.set_place(locator);
        if op.explicit_reqid.name == EntityName::default() && op.explicit_reqid.tid == 0 {
            op.explicit_reqid.inc = op.client_inc.cast_signed();
        }
        Ok(op)
    }
}

impl Payload for MOSDOp {
    const KIND: u16 = 42;
    const NAME: &'static str = "MOSDOp";
    const VERSION: u16 = 8;
    const COMPAT: u16 = 3;
    const PRIORITY: u16 = crate::PRIO_CLIENT_OP;

    fn encode_payload(&self, e: &mut Encoder, wire: &mut Wire) {
        e.put(&self.pgid);
        e.u32(self.hobj.hash);
        e.u32(self.map_epoch);
        e.u32(self.flags);
        e.put(&self.explicit_reqid);
        e.put(&Trace::default());
        e.u32(self.client_inc);
        e.put(&self.mtime);
        e.put(&locator_of(&self.hobj));
        e.put(&self.hobj.oid);
        e.u16(u16::try_from(self.ops.len()).expect("an operation has fewer than 65,536 ops"));
        self.ops.iter().for_each(|op| e.put(op));
        e.u64(self.hobj.snap);
        e.u64(self.snap_seq);
        e.put(&self.snaps);
        e.i32(self.retry_attempt);
        e.u64(self.features);
        wire.data = OsdOp::join_data(&self.ops);
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        refuse_older(wire, 3, Self::NAME)?;
        if wire.version < 7 {
            return Self::decode_old(d, wire);
        }
        let mut op = Self::decode_front(d, wire.version)?;
        op.client_inc = d.u32()?;
        op.mtime = d.get()?;
        let locator = d.get()?;
        op.decode_tail(d, wire.data.clone())?;
        op.retry_attempt = d.i32()?;
        op.features = d.u64()?;
        op.set_place(locator);
        Ok(op)
    }
}

/// An object is placed by its key or name; a PG operation by a hash (Ceph: `get_object_locator`).
fn locator_of(hobj: &HObject) -> ObjectLocator {
    if hobj.oid.is_empty() {
        return ObjectLocator { hash: hobj.hash.into(), nspace: hobj.nspace.clone(), ..ObjectLocator::pool(hobj.pool) };
    }
    hobj.into()
}

/// The ops of a message with the lengths of their payloads.
fn decode_heads(
    d: &mut Decoder,
    count: impl FnOnce(&mut Decoder) -> Result<u32, DecodeError>,
) -> Result<Vec<(OsdOp, u32)>, DecodeError> {
    let at = d.pos();
    let count = count(d)?;
    if count as usize > d.remaining() / OSD_OP_SIZE {
        return Err(DecodeError::Count { at, count: count.into(), left: d.remaining() });
    }
    (0..count).map(|_| OsdOp::decode_head(d)).collect()
}

/// What became of one op. The op's `indata` is empty here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpResult {
    pub op: OsdOp,
    /// 0, a negative errno, or what the op returns.
    pub rval: i32,
    pub outdata: Bytes,
}

/// `MOSDOpReply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MOSDOpReply {
    pub oid: ByteStr,
    pub pgid: PgId,
    /// The request's, with `ONDISK` (or `ACK`) for what has been reached.
    pub flags: i64,
    /// 0, a negative errno, or what the operation returns.
    pub result: i32,
    /// What clients older than the two fields below look at.
    pub bad_replay_version: EVersion,
    pub map_epoch: Epoch,
    pub ops: Vec<OpResult>,
    /// The request's.
    pub retry_attempt: i32,
    /// The version of the write; zero for reads.
    pub replay_version: EVersion,
    /// The object's version as users see it.
    pub user_version: Version,
    /// Where to ask instead.
    pub redirect: Option<RequestRedirect>,
}

impl Default for MOSDOpReply {
    fn default() -> Self {
        Self {
            oid: ByteStr::default(),
            pgid: PgId::default(),
            flags: 0,
            result: 0,
            bad_replay_version: EVersion::ZERO,
            map_epoch: 0,
            ops: Vec::new(),
            retry_attempt: -1,
            replay_version: EVersion::ZERO,
            user_version: 0,
            redirect: None,
        }
    }
}

impl MOSDOpReply {
    /// An answer to `request` that repeats its ops, without payloads or results. `reached` is
    /// `osd_flag::ONDISK`, `ACK`, or both.
    pub fn to(request: &MOSDOp, result: i32, map_epoch: Epoch, reached: u32) -> Self {
        const REACHED: u32 = osd_flag::ONDISK | osd_flag::ONNVRAM | osd_flag::ACK;
        let bare = |op: &OsdOp| OpResult {
            op: OsdOp { op: op.op, flags: op.flags, args: op.args, indata: Bytes::new() },
            ..OpResult::default()
        };
        Self {
            oid: request.hobj.oid.clone(),
            pgid: request.pgid.pgid,
            flags: (request.flags & !REACHED | reached).into(),
            result,
            map_epoch,
            ops: request.ops.iter().map(bare).collect(),
            retry_attempt: request.retry_attempt,
            ..Self::default()
        }
    }

    /// After a write at `version` (Ceph: `set_reply_versions`). Old clients read the first field and
    /// are promised that a watch does not change the version they see.
    pub fn set_reply_versions(&mut self, version: EVersion, user_version: Version) {
        self.replay_version = version;
        self.user_version = user_version;
        self.bad_replay_version = version;
        if user_version != 0 {
            self.bad_replay_version.version = user_version;
        }
    }

    /// After a read of something that is not there (Ceph: `set_enoent_reply_versions`).
    pub fn set_enoent_reply_versions(&mut self, version: EVersion, user_version: Version) {
        self.user_version = user_version;
        self.bad_replay_version = version;
    }

    pub fn is_ondisk(&self) -> bool {
        self.flags & i64::from(osd_flag::ONDISK) != 0
    }

    /// The results' data, joined; that of a single one is shared.
    fn join_outdata(&self) -> Bytes {
        let mut with_data = self.ops.iter().filter(|o| !o.outdata.is_empty());
        match (with_data.next(), with_data.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.outdata.clone(),
            _ => self.ops.iter().map(|o| &o.outdata[..]).collect::<Vec<_>>().concat().into(),
        }
    }
}

impl Payload for MOSDOpReply {
    const KIND: u16 = 43;
    const NAME: &'static str = "MOSDOpReply";
    const VERSION: u16 = 8;
    const COMPAT: u16 = 2;

    fn encode_payload(&self, e: &mut Encoder, wire: &mut Wire) {
        e.put(&self.oid);
        e.put(&self.pgid);
        e.i64(self.flags);
        e.i32(self.result);
        e.put(&self.bad_replay_version);
        e.u32(self.map_epoch);
        e.u32(self.ops.len() as u32);
        for o in &self.ops {
            o.op.encode_head(e, u32::try_from(o.outdata.len()).expect("no result reaches 4 GiB"));
        }
        e.i32(self.retry_attempt);
        self.ops.iter().for_each(|o| e.i32(o.rval));
        e.put(&self.replay_version);
        e.u64(self.user_version);
        e.put(&self.redirect);
        e.put(&Trace::default());
        wire.data = self.join_outdata();
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        // Version 7 came with release 10.
        refuse_older(wire, 7, Self::NAME)?;
        let (oid, pgid, flags, result) = (d.get()?, d.get()?, d.i64()?, d.i32()?);
        let (bad_replay_version, map_epoch) = (d.get()?, d.u32()?);
        let heads = decode_heads(d, Decoder::u32)?;
        let retry_attempt = d.i32()?;
        let mut data = Decoder::new(wire.data.clone());
        let result_of = |(op, len): (OsdOp, u32)| {
            let rval = d.i32()?;
            Ok(OpResult { op, rval, outdata: data.take(len as usize)? })
        };
        let ops = heads.into_iter().map(result_of).collect::<Result<_, DecodeError>>()?;
        let (replay_version, user_version, redirect) = (d.get()?, d.u64()?, d.get()?);
        Ok(Self {
            oid,
            pgid,
            flags,
            result,
            bad_replay_version,
            map_epoch,
            ops,
            retry_attempt,
            replay_version,
            user_version,
            redirect,
        })
    }
}
