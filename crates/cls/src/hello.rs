//! Class `hello`: Ceph's example, which its tests and librados' use.

use bytes::Bytes;
use denc::{ByteStr, Decoder, Encoder};
use types::errno::{EEXIST, EINVAL, ENOENT};

use crate::{Class, ClsContext, Filter, Flags, Method, Result, XattrEquals};

pub const CLASS: Class = Class {
    name: "hello",
    methods: &[
        Method { name: "say_hello", flags: Flags::Rd, call: say_hello },
        Method { name: "record_hello", flags: Flags::Wr, call: record_hello },
        Method { name: "write_return_data", flags: Flags::Wr, call: write_return_data },
        Method { name: "writes_dont_return_data", flags: Flags::Wr, call: write_return_data },
        Method { name: "write_too_much_return_data", flags: Flags::Wr, call: write_too_much_return_data },
        Method { name: "replay", flags: Flags::Rd, call: replay },
        Method { name: "turn_it_to_11", flags: Flags::RdWr, call: turn_it_to_11 },
        Method { name: "bad_reader", flags: Flags::Wr, call: bad_reader },
        Method { name: "bad_writer", flags: Flags::Rd, call: bad_writer },
    ],
    filters: &[Filter { name: "hello", init: filter }],
};

const NAME_LEN_MAX: usize = 100;
const READ_LEN: u64 = 1100;

fn greeting(name: &[u8]) -> Result<Vec<u8>> {
    if name.len() > NAME_LEN_MAX {
        return Err(EINVAL);
    }
    let name = if name.is_empty() { b"world" } else { name };
    Ok([b"Hello, ", name, b"!"].concat())
}

fn say_hello(_: &mut dyn ClsContext, name: Bytes, out: &mut Encoder) -> Result<i32> {
    out.raw(&greeting(&name)?);
    Ok(0)
}

/// Creates the object; says who did.
fn record_hello(ctx: &mut dyn ClsContext, name: Bytes, _: &mut Encoder) -> Result<i32> {
    let text = greeting(&name)?;
    match stat_unmarked(ctx) {
        true => return Err(EEXIST),
        false => ctx.write_full(text.into())?,
    }
    note_origin(ctx, b"said_by")?;
    Ok(0)
}

/// Whether the object is there. Stat needs no read flag in Ceph.
fn stat_unmarked(ctx: &mut dyn ClsContext) -> bool {
    ctx.stat() != Err(ENOENT)
}

fn note_origin(ctx: &mut dyn ClsContext, attr: &[u8]) -> Result<()> {
    let who = ctx.origin();
    let text = format!("{} {}", who.name, who.addrs.legacy_or_first());
    ctx.set_xattr(attr, text.into())
}

fn replay(ctx: &mut dyn ClsContext, _: Bytes, out: &mut Encoder) -> Result<i32> {
    out.raw(&ctx.read(0, READ_LEN)?);
    Ok(0)
}

fn write_return_data(ctx: &mut dyn ClsContext, input: Bytes, out: &mut Encoder) -> Result<i32> {
    ctx.set_xattr(b"foo", Bytes::from_static(b"bar"))?;
    if !input.is_empty() {
        out.raw(b"too much input data!");
        return Err(EINVAL);
    }
    out.raw(b"you might see this");
    Ok(42)
}

fn write_too_much_return_data(ctx: &mut dyn ClsContext, _: Bytes, out: &mut Encoder) -> Result<i32> {
    ctx.set_xattr(b"foo", Bytes::from_static(b"bar"))?;
    // More than `osd_max_write_op_reply_len` allows.
    (0..10).for_each(|_| out.raw(b"you should not see this because it is toooooo long. "));
    Ok(42)
}

fn turn_it_to_11(ctx: &mut dyn ClsContext, input: Bytes, _: &mut Encoder) -> Result<i32> {
    if !input.is_empty() {
        return Err(EINVAL);
    }
    let loud = ctx.read(0, READ_LEN)?.to_ascii_uppercase();
    ctx.write_full(loud.into())?;
    note_origin(ctx, b"amplified_by")?;
    Ok(0)
}

/// Not marked as reading: fails.
fn bad_reader(ctx: &mut dyn ClsContext, _: Bytes, out: &mut Encoder) -> Result<i32> {
    out.raw(&ctx.read(0, 100)?);
    Ok(0)
}

/// Not marked as writing: fails.
fn bad_writer(ctx: &mut dyn ClsContext, data: Bytes, _: &mut Encoder) -> Result<i32> {
    ctx.write_full(data)?;
    Ok(0)
}

fn filter(params: &mut Decoder) -> Result<XattrEquals> {
    let (xattr, value) = params.get::<(ByteStr, ByteStr)>().map_err(|_| EINVAL)?;
    Ok(XattrEquals { xattr, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Object;

    #[test]
    fn a_recorded_hello_is_replayed_and_not_recorded_twice() {
        let mut o = Object::default();
        assert_eq!(o.call("hello", "say_hello", b""), Ok(b"Hello, world!".to_vec()));
        assert_eq!(o.call("hello", "record_hello", b"me"), Ok(vec![]));
        assert_eq!(o.call("hello", "record_hello", b"me"), Err(EEXIST));
        assert_eq!(o.call("hello", "replay", b""), Ok(b"Hello, me!".to_vec()));
        assert_eq!(o.call("hello", "turn_it_to_11", b""), Ok(vec![]));
        assert_eq!(o.call("hello", "replay", b""), Ok(b"HELLO, ME!".to_vec()));
        assert_eq!(o.call("hello", "say_hello", &[b'x'; 101]), Err(EINVAL));
    }
}
