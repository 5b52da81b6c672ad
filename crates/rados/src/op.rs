//! A compound operation on one object, as its caller builds it; and what became of it.

use bytes::Bytes;
use denc::{ByteStr, Encoder};
use messages::OpResult;
use types::osd_op::{OpArgs, OsdOp, cmpxattr, op, osd_flag};
use types::{HObject, PoolId, SNAP_DIR, SNAP_HEAD, SnapContext, SnapId, UTime, Version};

/// What is to be done to an object (or, with [`Self::on_pg`], to a PG). Ops happen in order, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOp {
    pub pool: PoolId,
    pub oid: ByteStr,
    /// Placement follows this instead of the name, unless it is empty.
    pub key: ByteStr,
    pub nspace: ByteStr,
    /// Placement follows this hash: for operations on a PG.
    pub hash: Option<u32>,
    /// What reads look at.
    pub snap: SnapId,
    /// What writes know of snapshots.
    pub snapc: SnapContext,
    pub ops: Vec<OsdOp>,
    /// Bits of [`osd_flag`]; `READ` and `WRITE` follow from the ops.
    pub flags: u32,
    /// Of a write; the time of submission if there is none.
    pub mtime: Option<UTime>,
}

/// What became of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpReply {
    /// 0 or what the last op returns, or a negative errno.
    pub result: i32,
    /// The object's version as users see it.
    pub version: Version,
    pub ops: Vec<OpResult>,
}

impl OpReply {
    pub fn failed(errno: i32) -> Self {
        Self { result: -errno.abs(), ..Self::default() }
    }

    /// The data that the `n`th op returned.
    pub fn data(&self, n: usize) -> Bytes {
        self.ops.get(n).map(|o| o.outdata.clone()).unwrap_or_default()
    }

    /// # Errors
    /// The positive errno.
    pub fn ok(self) -> Result<Self, i32> {
        if self.result < 0 { Err(-self.result) } else { Ok(self) }
    }
}

impl ObjectOp {
    pub fn new(pool: PoolId, oid: impl Into<ByteStr>) -> Self {
        Self {
            pool,
            oid: oid.into(),
            key: ByteStr::default(),
            nspace: ByteStr::default(),
            hash: None,
            snap: SNAP_HEAD,
            snapc: SnapContext::default(),
            ops: Vec::new(),
            flags: 0,
            mtime: None,
        }
    }

    /// An operation on the PG that holds this hash.
    pub fn on_pg(pool: PoolId, nspace: impl Into<ByteStr>, hash: u32) -> Self {
        Self { nspace: nspace.into(), hash: Some(hash), ..Self::new(pool, ByteStr::default()) }
    }

    pub fn in_namespace(mut self, nspace: impl Into<ByteStr>) -> Self {
        self.nspace = nspace.into();
        self
    }

    pub fn with_key(mut self, key: impl Into<ByteStr>) -> Self {
        self.key = key.into();
        self
    }

    pub fn with_flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }

    /// Adds any op.
    pub fn push(mut self, op: OsdOp) -> Self {
        use types::osd_op::{is_pg, is_read, is_write};
        if is_read(op.op) || is_pg(op.op) {
            self.flags |= osd_flag::READ;
        }
        if is_write(op.op) {
            self.flags |= osd_flag::WRITE;
        }
        self.ops.push(op);
        self
    }

    pub fn is_write(&self) -> bool {
        self.flags & osd_flag::WRITE != 0
    }

    fn plain(self, code: u16, indata: impl Into<Bytes>) -> Self {
        self.push(OsdOp::new(code, OpArgs::default(), indata))
    }

    // --- data

    pub fn read(self, offset: u64, length: u64) -> Self {
        self.push(OsdOp::extent(op::READ, offset, length, Bytes::new()))
    }

    pub fn stat(self) -> Self {
        self.plain(op::STAT, Bytes::new())
    }

    pub fn write(self, offset: u64, data: Bytes) -> Self {
        self.push(OsdOp::extent(op::WRITE, offset, data.len() as u64, data))
    }

    pub fn write_full(self, data: Bytes) -> Self {
        self.push(OsdOp::extent(op::WRITEFULL, 0, data.len() as u64, data))
    }

    pub fn append(self, data: Bytes) -> Self {
        self.push(OsdOp::extent(op::APPEND, 0, data.len() as u64, data))
    }

    pub fn truncate(self, size: u64) -> Self {
        self.push(OsdOp::extent(op::TRUNCATE, size, 0, Bytes::new()))
    }

    pub fn zero(self, offset: u64, length: u64) -> Self {
        self.push(OsdOp::extent(op::ZERO, offset, length, Bytes::new()))
    }

    pub fn remove(self) -> Self {
        self.plain(op::DELETE, Bytes::new())
    }

    /// `exclusive`: fails with `EEXIST` if the object is there.
    pub fn create(self, exclusive: bool) -> Self {
        let flags = if exclusive { types::osd_op::op_flag::EXCL } else { 0 };
        self.push(OsdOp { op: op::CREATE, flags, ..OsdOp::default() })
    }

    pub fn assert_version(self, ver: Version) -> Self {
        self.push(OsdOp::new(op::ASSERT_VER, OpArgs::AssertVer { unused: 0, ver }, Bytes::new()))
    }

    // --- attributes

    fn xattr(self, code: u16, name: &str, value: &[u8], cmp: (u8, u8)) -> Self {
        let args = OpArgs::Xattr {
            name_len: name.len() as u32,
            value_len: value.len() as u32,
            cmp_op: cmp.0,
            cmp_mode: cmp.1,
        };
        self.push(OsdOp::new(code, args, [name.as_bytes(), value].concat()))
    }

    pub fn setxattr(self, name: &str, value: &[u8]) -> Self {
        self.xattr(op::SETXATTR, name, value, (0, 0))
    }

    pub fn getxattr(self, name: &str) -> Self {
        self.xattr(op::GETXATTR, name, &[], (0, 0))
    }

    pub fn rmxattr(self, name: &str) -> Self {
        self.xattr(op::RMXATTR, name, &[], (0, 0))
    }

    /// Goes on only if the attribute compares so (`cmpxattr::EQ`, …) with the given bytes.
    pub fn cmpxattr(self, name: &str, how: u8, value: &[u8]) -> Self {
        self.xattr(op::CMPXATTR, name, value, (how, cmpxattr::MODE_STRING))
    }

    /// All attributes, as an encoded map.
    pub fn getxattrs(self) -> Self {
        self.plain(op::GETXATTRS, Bytes::new())
    }

    // --- omap

    pub fn omap_set<'a>(self, pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let pairs: std::collections::BTreeMap<ByteStr, Bytes> =
            pairs.into_iter().map(|(k, v)| (k.into(), Bytes::copy_from_slice(v))).collect();
        self.plain(op::OMAPSETVALS, denc::to_bytes(&pairs, 0))
    }

    /// Up to `max` pairs after `after`, as an encoded map and whether more follow.
    pub fn omap_get(self, after: &[u8], max: u64) -> Self {
        let mut e = Encoder::new(0);
        e.put(&ByteStr::from(after));
        e.u64(max);
        e.put(&ByteStr::default()); // a prefix to filter by
        self.plain(op::OMAPGETVALS, e.finish())
    }

    pub fn omap_get_keys(self, after: &[u8], max: u64) -> Self {
        let mut e = Encoder::new(0);
        e.put(&ByteStr::from(after));
        e.u64(max);
        self.plain(op::OMAPGETKEYS, e.finish())
    }

    /// Those of these keys that exist, as an encoded map.
    pub fn omap_get_by_keys<'a>(self, keys: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let keys: std::collections::BTreeSet<ByteStr> = keys.into_iter().map(Into::into).collect();
        self.plain(op::OMAPGETVALSBYKEYS, denc::to_bytes(&keys, 0))
    }

    pub fn omap_rm_keys<'a>(self, keys: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let keys: std::collections::BTreeSet<ByteStr> = keys.into_iter().map(Into::into).collect();
        self.plain(op::OMAPRMKEYS, denc::to_bytes(&keys, 0))
    }

    pub fn omap_clear(self) -> Self {
        self.plain(op::OMAPCLEAR, Bytes::new())
    }

    pub fn omap_get_header(self) -> Self {
        self.plain(op::OMAPGETHEADER, Bytes::new())
    }

    pub fn omap_set_header(self, header: Bytes) -> Self {
        self.plain(op::OMAPSETHEADER, header)
    }

    // --- classes, listing

    /// Calls an object class's method; `writes` says whether it may change the object.
    pub fn call(self, class: &str, method: &str, input: &[u8], writes: bool) -> Self {
        let flag = if writes { osd_flag::WRITE } else { osd_flag::READ };
        self.push(OsdOp::call(class, method, input)).with_flags(flag)
    }

    /// Objects of a PG from `from` on, for [`Self::on_pg`].
    pub fn pgnls(self, from: &HObject, max: u64, start_epoch: u32) -> Self {
        let args = OpArgs::Pgls { count: max, start_epoch };
        self.push(OsdOp::new(op::PGNLS, args, denc::to_bytes(from, 0)))
    }

    /// Makes the object what it was at a snapshot.
    pub fn rollback(self, snapid: SnapId) -> Self {
        self.push(OsdOp::new(op::ROLLBACK, OpArgs::Snap { snapid }, Bytes::new()))
    }

    /// The object's clones; the operation looks at the directory of its snapshots.
    pub fn list_snaps(self) -> Self {
        Self { snap: SNAP_DIR, ..self }.plain(op::LIST_SNAPS, Bytes::new())
    }

    /// How large the object and its writes are going to be.
    pub fn set_alloc_hint(self, expected_object_size: u64, expected_write_size: u64) -> Self {
        let args = OpArgs::AllocHint { expected_object_size, expected_write_size, flags: 0 };
        self.push(OsdOp::new(op::SETALLOCHINT, args, Bytes::new()))
    }

    /// The ranges that hold data, as an encoded map.
    pub fn mapext(self, offset: u64, length: u64) -> Self {
        self.push(OsdOp::extent(op::MAPEXT, offset, length, Bytes::new()))
    }

    pub fn list_watchers(self) -> Self {
        self.plain(op::LIST_WATCHERS, Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_reads_and_writes_what_its_ops_do() {
        let op = ObjectOp::new(1, "a").cmpxattr("n", cmpxattr::EQ, b"1").setxattr("n", b"2");
        assert_eq!(op.flags, osd_flag::READ | osd_flag::WRITE);
        assert_eq!(&op.ops[0].indata[..], b"n1");
        assert!(!ObjectOp::new(1, "a").stat().is_write());
        assert_eq!(ObjectOp::on_pg(1, "", 5).pgnls(&HObject::min(), 10, 3).flags, osd_flag::READ);
    }
}
