//! Copies of objects, through the messages that OSDs exchange for them.

use types::ObjectLocator;
use types::errno::{EINVAL, ENOENT, ERANGE};

use super::*;

fn copy_from(source: &str, version: u64) -> OsdOp {
    let args = OpArgs::CopyFrom { snapid: SNAP_HEAD, src_version: version, flags: 0, src_fadvise_flags: 0 };
    OsdOp::new(op::COPY_FROM, args, denc::to_bytes(&(ByteStr::from(source), ObjectLocator::pool(POOL)), 0))
}

#[test]
fn a_copy_has_everything_of_its_source_and_nothing_else() {
    let mut r = Rig::new();
    let big = OsdOp::extent(op::WRITEFULL, 0, 9 << 10, vec![5; 9 << 10]);
    let omap = encoded(op::OMAPSETVALS, &pairs(&[("k1", "v1"), ("k2", "v2")]));
    let header = OsdOp::new(op::OMAPSETHEADER, OpArgs::default(), Bytes::from("head"));
    let version = r.reply("src", vec![big, xattr(op::SETXATTR, "a", b"1"), omap, header]).expect("done").user_version;
    assert_eq!(r.run("dst", vec![write_full("old"), xattr(op::SETXATTR, "gone", b"1")]), 0);
    r.msg.mtime = UTime { sec: 1_800_000_000, nsec: 0 };
    assert_eq!(r.run("dst", vec![copy_from("src", version)]), 0);
    r.forget();
    assert_eq!(r.size("dst"), Ok(9 << 10));
    assert!(r.data("dst").iter().all(|b| *b == 5));
    let attrs = std::collections::BTreeMap::from([(ByteStr::from("a"), Bytes::from("1"))]);
    assert_eq!(r.one("dst", plain(op::GETXATTRS)).1, denc::to_bytes(&attrs, 0));
    let all = encoded(op::OMAPGETVALSBYKEYS, &vec![ByteStr::from("k1"), "k2".into()]);
    assert_eq!(r.one("dst", all).1, denc::to_bytes(&pairs(&[("k1", "v1"), ("k2", "v2")]), 0));
    assert_eq!(r.one("dst", plain(op::OMAPGETHEADER)).1, "head");
    let stat = r.reply("dst", vec![plain(op::STAT)]).expect("an answer");
    assert_eq!(stat.user_version, version);
    assert_eq!(stat.ops[0].outdata[8..12], 1_700_000_000_u32.to_le_bytes());
}

#[test]
fn a_copy_of_nothing_of_itself_or_of_another_version_fails() {
    let mut r = Rig::new();
    assert_eq!(r.run("src", vec![write_full("x")]), 0);
    assert_eq!(r.run("src", vec![write_full("y")]), 0);
    assert_eq!(r.run("dst", vec![copy_from("none", 0)]), -ENOENT);
    assert_eq!(r.run("dst", vec![copy_from("src", 1)]), -ERANGE);
    assert_eq!(r.run("src", vec![copy_from("src", 0)]), -EINVAL);
    assert_eq!(r.size("dst"), Err(ENOENT));
    assert_eq!(r.run("dst", vec![copy_from("src", 0)]), 0);
    assert_eq!(r.data("dst"), "y");
}
