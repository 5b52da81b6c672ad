//! Class `refcount`: an object that removes itself when its last reference is put.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder, from_bytes, to_bytes};
use types::errno::{EINVAL, EIO, ENODATA};

use crate::{Class, ClsContext, Flags, Method, Result, input};

pub const CLASS: Class = Class {
    name: "refcount",
    methods: &[
        Method { name: "get", flags: Flags::RdWr, call: get },
        Method { name: "put", flags: Flags::RdWr, call: put },
        Method { name: "set", flags: Flags::RdWr, call: set },
        Method { name: "read", flags: Flags::Rd, call: read },
    ],
    filters: &[],
};

const ATTR: &[u8] = b"refcount";

/// `obj_refcount`: who refers to the object. The empty tag stands for the reference that an object
/// without this attribute is supposed to have.
#[derive(Debug, Default, PartialEq)]
struct Refs {
    refs: BTreeMap<ByteStr, bool>,
    retired: BTreeSet<ByteStr>,
}

impl Encode for Refs {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 1, |e| {
            e.put(&self.refs);
            e.put(&self.retired);
        });
    }
}

impl Decode for Refs {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("obj_refcount", 2, |d, v| {
            Ok(Self { refs: d.get()?, retired: if v >= 2 { d.get()? } else { BTreeSet::new() } })
        })
    }
}

/// `cls_refcount_get_op`, `cls_refcount_put_op`.
struct TagOp {
    tag: ByteStr,
    implicit: bool,
}

impl Decode for TagOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_refcount_get_op", 1, |d, _| Ok(Self { tag: d.get()?, implicit: d.bool()? }))
    }
}

/// `cls_refcount_set_op`.
struct SetOp(Vec<ByteStr>);

impl Decode for SetOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_refcount_set_op", 1, |d, _| Ok(Self(d.get()?)))
    }
}

/// `cls_refcount_read_op`.
struct ReadOp {
    implicit: bool,
}

impl Decode for ReadOp {
    fn decode(d: &mut Decoder) -> std::result::Result<Self, DecodeError> {
        d.versioned("cls_refcount_read_op", 1, |d, _| Ok(Self { implicit: d.bool()? }))
    }
}

fn load(ctx: &mut dyn ClsContext, implicit: bool) -> Result<Refs> {
    match ctx.xattr(ATTR) {
        Ok(raw) => from_bytes(raw).map_err(|_| EIO),
        Err(ENODATA) if implicit => Ok(Refs { refs: [(ByteStr::default(), true)].into(), ..Refs::default() }),
        Err(ENODATA) => Ok(Refs::default()),
        Err(e) => Err(e),
    }
}

fn store(ctx: &mut dyn ClsContext, refs: &Refs) -> Result<i32> {
    ctx.set_xattr(ATTR, to_bytes(refs, ctx.features()))?;
    Ok(0)
}

fn get(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: TagOp = input(bytes)?;
    let mut refs = load(ctx, op.implicit)?;
    refs.refs.insert(op.tag, true);
    store(ctx, &refs)
}

fn put(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let op: TagOp = input(bytes)?;
    let mut refs = load(ctx, op.implicit)?;
    if refs.refs.is_empty() {
        return Err(EINVAL);
    }
    if refs.retired.contains(&op.tag) {
        return Ok(0);
    }
    let wildcard = ByteStr::default();
    let found = refs.refs.remove(&op.tag).is_some() || op.implicit && refs.refs.remove(&wildcard).is_some();
    if !found {
        return Ok(0);
    }
    if refs.refs.is_empty() {
        ctx.remove()?;
        return Ok(0);
    }
    refs.retired.insert(op.tag);
    store(ctx, &refs)
}

fn set(ctx: &mut dyn ClsContext, bytes: Bytes, _: &mut Encoder) -> Result<i32> {
    let SetOp(tags) = input(bytes)?;
    if tags.is_empty() {
        ctx.remove()?;
        return Ok(0);
    }
    store(ctx, &Refs { refs: tags.into_iter().map(|t| (t, true)).collect(), ..Refs::default() })
}

fn read(ctx: &mut dyn ClsContext, bytes: Bytes, out: &mut Encoder) -> Result<i32> {
    let op: ReadOp = input(bytes)?;
    let refs = load(ctx, op.implicit)?;
    out.versioned(1, 1, |e| e.seq(refs.refs.keys()));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Object;

    fn tag_op(tag: &str, implicit: bool) -> Bytes {
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| {
            e.string(tag);
            e.bool(implicit);
        });
        e.finish()
    }

    #[test]
    fn the_last_put_removes_the_object() {
        let mut o = Object::with_data(b"x");
        assert_eq!(o.call("refcount", "put", &tag_op("a", false)), Err(EINVAL));
        assert_eq!(o.call("refcount", "get", &tag_op("a", false)), Ok(vec![]));
        assert_eq!(o.call("refcount", "get", &tag_op("b", false)), Ok(vec![]));
        assert_eq!(o.call("refcount", "put", &tag_op("a", false)), Ok(vec![]));
        assert_eq!(o.call("refcount", "put", &tag_op("a", false)), Ok(vec![]));
        assert!(o.exists);
        assert_eq!(o.call("refcount", "put", &tag_op("b", false)), Ok(vec![]));
        assert!(!o.exists);
    }

    #[test]
    fn an_implicit_reference_is_the_wildcard() {
        let mut o = Object::with_data(b"x");
        assert_eq!(o.call("refcount", "put", &tag_op("whoever", true)), Ok(vec![]));
        assert!(!o.exists);
    }
}
