//! Copying an object: `COPY_GET` gives its state in pieces, `COPY_FROM` takes it.
//!
//! The source may be in any pool, led by any OSD. So `COPY_FROM` first answers [`Blocked::Remote`]; whoever
//! can ask other OSDs runs a [`Fetch`] and has the vector executed again with what it got.
//!
//! Ceph: `PrimaryLogPG::do_copy_get`, `_copy_some`, `process_copy_chunk`, `finish_copyfrom`.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use cls::Errno;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder, from_bytes, to_bytes};
use messages::{MOSDOp, MOSDOpReply};
use os::TxOp;
use types::errno::{EFBIG, EINVAL, EIO, ENOENT, EOPNOTSUPP};
use types::osd_op::copy_from_flag;
use types::{
    Epoch, HObject, ObjectLocator, OpArgs, OsdOp, OsdReqId, SNAP_HEAD, SnapId, SpgId, UTime, Version, object_flag, op,
    osd_flag,
};

use super::exec::{Exec, Step, Stop, decoded, kib};
use super::{Blocked, Executed, OpEnv};

/// `osd_copyfrom_max_chunk`: how much a `COPY_GET` of ours asks for. Tests need several.
const CHUNK: u64 = if cfg!(test) { 4 << 10 } else { 8 << 20 };

/// What a `COPY_FROM` copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCopy {
    pub oid: ByteStr,
    pub locator: ObjectLocator,
    pub snap: SnapId,
    /// The version that users must see, or 0 for any.
    pub version: Version,
    /// Bits of [`copy_from_flag`].
    pub flags: u8,
    pub fadvise: u32,
}

/// A source that has been fetched, or why it could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub source: RemoteCopy,
    pub outcome: Result<CopyData, Errno>,
}

/// The state of an object, as a copy takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyData {
    pub mtime: UTime,
    pub user_version: Version,
    pub data: Bytes,
    /// Under the client's names.
    pub attrs: BTreeMap<ByteStr, Bytes>,
    pub omap_header: Bytes,
    pub omap: BTreeMap<ByteStr, Bytes>,
    pub data_digest: Option<u32>,
    pub omap_digest: Option<u32>,
    pub truncate_seq: u64,
    pub truncate_size: u64,
    /// Recent requests on the source: they count as done here.
    pub reqids: Vec<(OsdReqId, Version)>,
    pub reqid_return_codes: BTreeMap<u32, i32>,
}

/// `object_copy_cursor_t`: how far a copy is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cursor {
    attr_complete: bool,
    data_offset: u64,
    data_complete: bool,
    omap_offset: ByteStr,
    omap_complete: bool,
}

impl Cursor {
    fn is_complete(&self) -> bool {
        self.attr_complete && self.data_complete && self.omap_complete
    }
}

impl Encode for Cursor {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.bool(self.attr_complete);
            e.u64(self.data_offset);
            e.bool(self.data_complete);
            e.put(&self.omap_offset);
            e.bool(self.omap_complete);
        });
    }
}

impl Decode for Cursor {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_copy_cursor_t", 1, |d, _| {
            Ok(Self {
                attr_complete: d.bool()?,
                data_offset: d.u64()?,
                data_complete: d.bool()?,
                omap_offset: d.get()?,
                omap_complete: d.bool()?,
            })
        })
    }
}

/// `object_copy_data_t`: one piece of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Piece {
    size: u64,
    mtime: UTime,
    attrs: BTreeMap<ByteStr, Bytes>,
    data: Bytes,
    /// A count and pairs, or nothing.
    omap_data: Bytes,
    cursor: Cursor,
    omap_header: Bytes,
    snaps: Vec<SnapId>,
    snap_seq: SnapId,
    data_digest: Option<u32>,
    omap_digest: Option<u32>,
    reqids: Vec<(OsdReqId, Version)>,
    truncate_seq: u64,
    truncate_size: u64,
    reqid_return_codes: BTreeMap<u32, i32>,
}

const FLAG_DATA_DIGEST: u32 = 1;
const FLAG_OMAP_DIGEST: u32 = 2;

impl Encode for Piece {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(8, 5, |e| {
            e.u64(self.size);
            e.put(&self.mtime);
            e.put(&self.attrs);
            e.put(&self.data);
            e.put(&self.omap_data);
            e.put(&self.cursor);
            e.put(&self.omap_header);
            e.put(&self.snaps);
            e.u64(self.snap_seq);
            let bit = |digest: Option<u32>, flag| if digest.is_some() { flag } else { 0 };
            e.u32(bit(self.data_digest, FLAG_DATA_DIGEST) | bit(self.omap_digest, FLAG_OMAP_DIGEST));
            e.u32(self.data_digest.unwrap_or(u32::MAX));
            e.u32(self.omap_digest.unwrap_or(u32::MAX));
            e.put(&self.reqids);
            e.u64(self.truncate_seq);
            e.u64(self.truncate_size);
            e.put(&self.reqid_return_codes);
        });
    }
}

impl Decode for Piece {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_copy_data_t", 8, |d, v| {
            if v < 8 {
                return Err(DecodeError::TooOld { what: "object_copy_data_t", version: v });
            }
            let mut p = Self { size: d.u64()?, mtime: d.get()?, attrs: d.get()?, data: d.get()?, ..Self::default() };
            (p.omap_data, p.cursor, p.omap_header) = (d.get()?, d.get()?, d.get()?);
            (p.snaps, p.snap_seq) = (d.get()?, d.u64()?);
            let (flags, data_digest, omap_digest) = (d.u32()?, d.u32()?, d.u32()?);
            p.data_digest = (flags & FLAG_DATA_DIGEST != 0).then_some(data_digest);
            p.omap_digest = (flags & FLAG_OMAP_DIGEST != 0).then_some(omap_digest);
            p.reqids = d.get()?;
            (p.truncate_seq, p.truncate_size) = (d.u64()?, d.u64()?);
            p.reqid_return_codes = d.get()?;
            Ok(p)
        })
    }
}

/// The answer to a `COPY_GET` of nothing: empty, but with the requests that are known.
pub(super) fn get_nothing(env: &OpEnv, msg: &MOSDOp) -> Executed {
    let mut reply = MOSDOpReply::to(msg, -ENOENT, env.epoch, osd_flag::ACK | osd_flag::ONDISK);
    if let Some(first) = reply.ops.first_mut() {
        first.rval = -ENOENT;
        first.outdata = to_bytes(&Piece { size: u64::MAX, ..Piece::default() }, types::features::ALL);
    }
    Executed::Reply { reply: Box::new(reply), effects: None }
}

impl Exec<'_, '_> {
    /// `COPY_GET`: the next piece after a cursor, of about so many bytes.
    pub fn copy_get(&mut self, input: &Bytes) -> Step<Bytes> {
        let (cursor, max): (Cursor, u64) = decoded(input)?;
        let oi = &self.before.oi;
        let mut piece = Piece {
            size: oi.size,
            mtime: oi.mtime,
            cursor,
            data_digest: oi.test_flag(object_flag::DATA_DIGEST).then_some(oi.data_digest),
            omap_digest: oi.test_flag(object_flag::OMAP_DIGEST).then_some(oi.omap_digest),
            truncate_seq: oi.truncate_seq,
            truncate_size: oi.truncate_size,
            ..Piece::default()
        };
        match self.goid.hobj.is_head() {
            true => piece.snap_seq = self.snapset.seq,
            false => piece.snaps = self.snapset.clone_snaps.get(&self.goid.hobj.snap).cloned().unwrap_or_default(),
        }
        if !piece.cursor.attr_complete {
            piece.attrs = self.xattrs()?;
            piece.cursor.attr_complete = true;
        }
        let left = self.copy_data(&mut piece, max)?;
        self.copy_omap(&mut piece, left)?;
        Ok(to_bytes(&piece, self.env.peer.features))
    }

    /// How much room is left after the data.
    fn copy_data(&mut self, piece: &mut Piece, max: u64) -> Step<u64> {
        let at = piece.cursor.data_offset;
        if max == 0 || piece.cursor.data_complete {
            return Ok(max);
        }
        let len = max.min(piece.size.checked_sub(at).ok_or(EINVAL)?);
        piece.data = self.bytes_now(at, len)?;
        piece.cursor.data_offset = at + len;
        piece.cursor.data_complete = at + len == piece.size;
        Ok(max - len)
    }

    fn copy_omap(&mut self, piece: &mut Piece, left: u64) -> Step {
        if !self.env.pool.supports_omap() || !self.before.oi.is_omap() {
            piece.cursor.omap_complete = true;
            return Ok(());
        }
        if left == 0 || piece.cursor.omap_complete || !piece.cursor.data_complete {
            return Ok(());
        }
        if piece.cursor.omap_offset.is_empty() {
            piece.omap_header = self.omap_header()?;
        }
        let mut e = Encoder::new(0);
        let count_at = e.reserve_u32();
        let (mut count, mut last) = (0, None);
        let after = piece.cursor.omap_offset.clone();
        let more = self.scan(after.as_bytes(), b"", |key, value| {
            let room = (e.len() as u64) < left + 4;
            if room {
                e.put(key);
                e.put(value);
                count += 1;
                last = Some(key.clone());
            }
            room
        })?;
        e.fill_u32(count_at, count);
        if count > 0 {
            piece.omap_data = e.finish();
        }
        match last {
            Some(key) if more => piece.cursor.omap_offset = key,
            _ => piece.cursor.omap_complete = true,
        }
        Ok(())
    }

    /// `COPY_FROM`, `COPY_FROM2`: replaces the object by another's state, version included.
    pub fn copy_from(&mut self, osd_op: &OsdOp) -> Step {
        let OpArgs::CopyFrom { snapid, src_version, flags, src_fadvise_flags } = osd_op.args else {
            return Err(EINVAL.into());
        };
        let extended = osd_op.op == op::COPY_FROM2;
        if extended && flags & !copy_from_flag::ALL != 0 {
            return Err(EINVAL.into());
        }
        let mut d = Decoder::new(osd_op.indata.clone());
        let (oid, locator): (ByteStr, ObjectLocator) = d.get().map_err(|_| EINVAL)?;
        let truncate: Option<(u32, u64)> = match extended && flags & copy_from_flag::TRUNCATE_SEQ != 0 {
            true => Some(d.get().map_err(|_| EINVAL)?),
            false => None,
        };
        let dest = &self.goid.hobj;
        let itself = (&oid, &locator.key, &locator.nspace) == (&dest.oid, &dest.key, &dest.nspace);
        if itself && locator.pool == dest.pool && snapid == dest.snap {
            return Err(EINVAL.into());
        }
        let source = RemoteCopy { oid, locator, snap: snapid, version: src_version, flags, fadvise: src_fadvise_flags };
        let copied = match self.env.copied {
            Some(copied) if copied.source == source => copied,
            _ => return Err(Stop::Blocked(Blocked::Remote(Box::new(source)))),
        };
        let data = copied.outcome.clone().map_err(Stop::Refused)?;
        self.take_copy(data, truncate)
    }

    fn take_copy(&mut self, copy: CopyData, truncate: Option<(u32, u64)>) -> Step {
        let has_omap = !copy.omap.is_empty() || !copy.omap_header.is_empty();
        if has_omap && !self.env.pool.supports_omap() {
            return Err(EOPNOTSUPP.into());
        }
        if copy.data.len() as u64 > self.env.cfg.max_object_size {
            return Err(EFBIG.into());
        }
        let (coll, oid, old, new) = (self.coll(), self.goid.clone(), self.obs.oi.size, copy.data.len() as u64);
        if self.obs.exists {
            self.push(TxOp::Remove { coll, oid: oid.clone() });
        }
        self.create_object();
        if new > 0 {
            self.push(TxOp::Write { coll, oid: oid.clone(), off: 0, data: copy.data, fadvise: 0 });
        }
        if !copy.omap_header.is_empty() {
            self.push(TxOp::OmapSetHeader { coll, oid: oid.clone(), header: copy.omap_header });
        }
        if !copy.omap.is_empty() {
            self.push(TxOp::OmapSet { coll, oid: oid.clone(), keys: copy.omap });
        }
        if !copy.attrs.is_empty() {
            let attrs = copy.attrs.into_iter().map(|(n, v)| (super::attr::stored_name(n.as_bytes()), v)).collect();
            self.push(TxOp::SetAttrs { coll, oid, attrs });
        }
        self.modified.insert(0, old);
        self.clean.mark_data_region_dirty(0, old.max(new));
        self.clean.mark_omap_dirty();
        self.resize(new);
        self.stats.num_wr += 1;
        self.stats.num_wr_kb += kib(new);
        let oi = &mut self.obs.oi;
        (oi.truncate_seq, oi.truncate_size) = match truncate {
            Some((seq, size)) => (seq.into(), size),
            None => (copy.truncate_seq, copy.truncate_size),
        };
        match copy.data_digest {
            Some(crc) => oi.set_data_digest(crc),
            None => oi.clear_data_digest(),
        }
        match copy.omap_digest {
            Some(crc) => oi.set_omap_digest(crc),
            None => oi.clear_omap_digest(),
        }
        match has_omap {
            true => oi.set_flag(object_flag::OMAP),
            false => oi.clear_flag(object_flag::OMAP),
        }
        self.copied = Some(super::exec::CopiedStamp {
            user_version: copy.user_version,
            mtime: copy.mtime,
            reqids: copy.reqids,
            reqid_return_codes: copy.reqid_return_codes.into_iter().collect(),
        });
        Ok(())
    }
}

/// A source being fetched, a piece at a time.
#[derive(Debug, Clone)]
pub struct Fetch {
    source: RemoteCopy,
    cursor: Cursor,
    got: CopyData,
    data: BytesMut,
}

impl Fetch {
    pub fn new(source: RemoteCopy) -> Self {
        let got = CopyData { user_version: source.version, ..CopyData::default() };
        Self { source, cursor: Cursor::default(), got, data: BytesMut::new() }
    }

    pub fn source(&self) -> &RemoteCopy {
        &self.source
    }

    /// The message that asks the source's primary for the next piece. `hash` is the object's.
    pub fn request(&self, pgid: SpgId, hash: u32, map_epoch: Epoch) -> MOSDOp {
        const FLAGS: [(u8, u32); 5] = [
            (copy_from_flag::FLUSH, osd_flag::FLUSH),
            (copy_from_flag::IGNORE_CACHE, osd_flag::IGNORE_CACHE),
            (copy_from_flag::IGNORE_OVERLAY, osd_flag::IGNORE_OVERLAY),
            (copy_from_flag::MAP_SNAP_CLONE, osd_flag::MAP_SNAP_CLONE),
            (copy_from_flag::RWORDERED, osd_flag::RWORDERED),
        ];
        let s = &self.source;
        let asked = FLAGS.iter().filter(|(bit, _)| s.flags & bit != 0).fold(0, |all, (_, flag)| all | flag);
        let get = OsdOp {
            flags: s.fadvise,
            ..OsdOp::new(op::COPY_GET, OpArgs::CopyGet { max: CHUNK }, to_bytes(&(&self.cursor, CHUNK), 0))
        };
        let same = |ver| OsdOp::new(op::ASSERT_VER, OpArgs::AssertVer { unused: 0, ver }, Bytes::new());
        let guard = Some(self.got.user_version).filter(|v| *v != 0).map(same);
        MOSDOp {
            pgid,
            hobj: HObject {
                oid: s.oid.clone(),
                key: s.locator.key.clone(),
                nspace: s.locator.nspace.clone(),
                pool: s.locator.pool,
                snap: if s.snap == 0 { SNAP_HEAD } else { s.snap },
                hash,
                max: false,
            },
            map_epoch,
            flags: osd_flag::READ | osd_flag::KNOWN_REDIR | asked,
            ops: guard.into_iter().chain([get]).collect(),
            features: types::features::ALL,
            ..MOSDOp::default()
        }
    }

    /// Takes an answer. `Some` if the copy is complete or has failed; else the next piece is to be
    /// asked for.
    pub fn absorb(&mut self, reply: &MOSDOpReply) -> Option<Copied> {
        let outcome = match self.absorb_piece(reply) {
            Ok(false) => return None,
            Ok(true) => {
                self.got.data = std::mem::take(&mut self.data).freeze();
                Ok(std::mem::take(&mut self.got))
            }
            Err(errno) => Err(errno),
        };
        Some(Copied { source: self.source.clone(), outcome })
    }

    fn absorb_piece(&mut self, reply: &MOSDOpReply) -> Result<bool, Errno> {
        if reply.result < 0 {
            return Err(-reply.result);
        }
        let raw = reply.ops.last().ok_or(EIO)?.outdata.clone();
        let piece: Piece = from_bytes(raw).map_err(|_| EIO)?;
        let progress = piece.cursor != self.cursor;
        if !progress && !piece.cursor.is_complete() {
            return Err(EIO);
        }
        let got = &mut self.got;
        got.user_version = reply.user_version;
        got.mtime = piece.mtime;
        got.attrs.extend(piece.attrs);
        self.data.extend_from_slice(&piece.data);
        if !piece.omap_header.is_empty() {
            got.omap_header = piece.omap_header;
        }
        if !piece.omap_data.is_empty() {
            let pairs: BTreeMap<ByteStr, Bytes> = from_bytes(piece.omap_data).map_err(|_| EIO)?;
            got.omap.extend(pairs);
        }
        (got.data_digest, got.omap_digest) = (piece.data_digest, piece.omap_digest);
        (got.truncate_seq, got.truncate_size) = (piece.truncate_seq, piece.truncate_size);
        (got.reqids, got.reqid_return_codes) = (piece.reqids, piece.reqid_return_codes);
        self.cursor = piece.cursor;
        if !self.cursor.is_complete() {
            return Ok(false);
        }
        let intact = self.got.data_digest.is_none_or(|crc| crc == types::crc32c(u32::MAX, &self.data));
        if self.data.len() as u64 == piece.size && intact { Ok(true) } else { Err(EIO) }
    }
}
