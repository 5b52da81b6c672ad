//! Class `version`: a counter with a tag, kept in an attribute, to guard other ops of the vector.

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder, from_bytes, to_bytes};
use types::errno::{ECANCELED, EIO, ENODATA, ENOENT};

use crate::{Class, ClsContext, Flags, Method, Result, input};

pub const CLASS: Class = Class {
    name: "version",
    methods: &[
        Method { name: "set", flags: Flags::RdWr, call: set },
        Method { name: "inc", flags: Flags::RdWr, call: inc },
        Method { name: "inc_conds", flags: Flags::RdWr, call: inc },
        Method { name: "read", flags: Flags::Rd, call: read },
        Method { name: "check_conds", flags: Flags::Rd, call: check },
    ],
    filters: &[],
};

const ATTR: &[u8] = b"ceph.objclass.version";
const TAG_LEN: usize = 24;

/// `obj_version`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ObjVersion {
    ver: u64,
    tag: ByteStr,
}

impl Encode for ObjVersion {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u64(self.ver);
            e.put(&self.tag);
        });
    }
}

impl Decode for ObjVersion {
    const MIN_SIZE: usize = 18;
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("obj_version", 1, |d, _| Ok(Self { ver: d.u64()?, tag: d.get()? }))
    }
}

/// `obj_version_cond`.
struct Cond {
    than: ObjVersion,
    cond: u32,
}

impl Decode for Cond {
    const MIN_SIZE: usize = 28;
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("obj_version_cond", 1, |d, _| Ok(Self { than: d.get()?, cond: d.u32()? }))
    }
}

impl Cond {
    /// Unknown conditions hold, as in Ceph.
    fn holds(&self, v: &ObjVersion) -> bool {
        match self.cond {
            1 => *v == self.than,
            2 => v.ver > self.than.ver,
            3 => v.ver >= self.than.ver,
            4 => v.ver < self.than.ver,
            5 => v.ver <= self.than.ver,
            6 => v.tag == self.than.tag,
            7 => v.tag != self.than.tag,
            _ => true,
        }
    }
}

/// `cls_version_set_op`.
struct SetOp(ObjVersion);

impl Decode for SetOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_version_set_op", 1, |d, _| Ok(Self(d.get()?)))
    }
}

/// `cls_version_inc_op`, `cls_version_check_op`.
struct CondOp {
    conds: Vec<Cond>,
}

impl Decode for CondOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_version_inc_op", 1, |d, _| {
            d.get::<ObjVersion>()?;
            Ok(Self { conds: d.get()? })
        })
    }
}

impl CondOp {
    fn check(&self, v: &ObjVersion) -> Result<()> {
        if self.conds.iter().all(|c| c.holds(v)) { Ok(()) } else { Err(ECANCELED) }
    }
}

fn load(ctx: &mut dyn ClsContext) -> Result<Option<ObjVersion>> {
    match ctx.xattr(ATTR) {
        Ok(raw) => from_bytes(raw).map(Some).map_err(|_| EIO),
        Err(e) if e == ENOENT || e == ENODATA => Ok(None),
        Err(e) => Err(e),
    }
}

fn store(ctx: &mut dyn ClsContext, v: &ObjVersion) -> Result<i32> {
    ctx.set_xattr(ATTR, to_bytes(v, ctx.features()))?;
    Ok(0)
}

/// A version that no other object started with.
fn fresh(ctx: &dyn ClsContext) -> ObjVersion {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut tag = Vec::with_capacity(TAG_LEN);
    for group in ctx.unique().chunks(3) {
        let bits = group.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b));
        tag.extend([18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]));
    }
    ObjVersion { ver: 1, tag: tag.into() }
}

fn set(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let SetOp(v) = input(bytes)?;
    store(ctx, &v)
}

fn inc(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: CondOp = input(bytes)?;
    let mut v = match load(ctx)? {
        Some(v) => v,
        None => fresh(ctx),
    };
    op.check(&v)?;
    v.ver = v.ver.wrapping_add(1);
    store(ctx, &v)
}

fn check(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: CondOp = input(bytes)?;
    op.check(&load(ctx)?.unwrap_or_default())?;
    Ok(0)
}

fn read(ctx: &mut dyn ClsContext, _: Bytes, out: &mut Encoder) -> Result<i32> {
    let v = load(ctx)?.unwrap_or_default();
    out.versioned(1, 1, |e| e.put(&v));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Object;

    fn cond_op(conds: &[(ObjVersion, u32)]) -> Bytes {
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| {
            e.put(&ObjVersion::default());
            e.u32(conds.len() as u32);
            for (v, cond) in conds {
                e.versioned(1, 1, |e| {
                    e.put(v);
                    e.u32(*cond);
                });
            }
        });
        e.finish()
    }

    #[test]
    fn a_version_counts_and_guards() {
        let mut o = Object::with_data(b"");
        let v = |ver| ObjVersion { ver, tag: "t".into() };
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| e.put(&v(7)));
        assert_eq!(o.call("version", "set", &e.finish()), Ok(vec![]));
        assert_eq!(o.call("version", "inc", &cond_op(&[])), Ok(vec![]));
        assert_eq!(o.call("version", "check_conds", &cond_op(&[(v(8), 1), (v(7), 2)])), Ok(vec![]));
        assert_eq!(o.call("version", "inc_conds", &cond_op(&[(v(7), 1)])), Err(ECANCELED));
        let read = o.call("version", "read", b"").expect("read");
        let framed = Decoder::new(read.into()).versioned("ret", 1, |d, _| d.get::<ObjVersion>());
        assert_eq!(framed, Ok(v(8)));
    }

    #[test]
    fn incrementing_nothing_starts_at_a_tag_of_its_own() {
        let mut o = Object::with_data(b"");
        assert_eq!(o.call("version", "inc", &cond_op(&[])), Ok(vec![]));
        let v: ObjVersion = from_bytes(o.xattrs[ATTR].clone()).expect("a version");
        assert_eq!((v.ver, v.tag.len()), (2, TAG_LEN));
    }
}
