//! Several ops at once: guards, atomicity, versions. From the lab's suite `rados_ops`.

use types::errno::{ECANCELED, EDQUOT, ENOENT, ENOSPC, EOVERFLOW, ERANGE, MAX_ERRNO};
use types::osd_op::cmpxattr;
use types::pool::flag;
use types::{op_flag, osd_flag};

use super::*;

fn assert_version(ver: u64) -> OsdOp {
    OsdOp::new(op::ASSERT_VER, OpArgs::AssertVer { unused: 0, ver }, "")
}

#[test]
fn an_asserted_version_must_be_the_objects() {
    let mut r = Rig::new();
    let v = r.reply("o", vec![write_full("1")]).expect("an answer").user_version;
    assert_eq!(r.run("o", vec![assert_version(v), append("2")]), 0);
    assert_eq!(r.run("o", vec![assert_version(v), append("3")]), -ERANGE);
    assert_eq!(r.run("o", vec![assert_version(v + 10), append("3")]), -EOVERFLOW);
    assert_eq!(r.data("o"), "12");
}

#[test]
fn versions_grow_with_what_users_see() {
    let mut r = Rig::new();
    let first = r.reply("o", vec![write_full("1")]).expect("an answer");
    assert_eq!((first.replay_version, first.user_version), (EVersion::new(10, 1), 1));
    let read_back = r.reply("o", vec![read(0, 0)]).expect("an answer");
    assert_eq!((read_back.replay_version, read_back.user_version), (EVersion::ZERO, 1));
    // A failure takes a version of the log but none of the object.
    assert_eq!(r.run("o", vec![assert_version(9), append("x")]), -EOVERFLOW);
    let third = r.reply("o", vec![append("2")]).expect("an answer");
    assert_eq!((third.replay_version.version, third.user_version), (3, 3));
    let log = r.log.last().expect("logged");
    assert_eq!((log.prior_version, log.user_version), (EVersion::new(10, 1), 3));
}

#[test]
fn an_attribute_guards_as_text_or_number() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![xattr(op::SETXATTR, "a", b"abc")]), 0);
    for (cmp_op, value, holds) in [
        (cmpxattr::EQ, "abc", true),
        (cmpxattr::EQ, "abd", false),
        (cmpxattr::NE, "abd", true),
        (cmpxattr::NE, "abc", false),
        (cmpxattr::GT, "abb", false),
        (cmpxattr::GT, "abd", true),
        (cmpxattr::LTE, "abc", true),
    ] {
        let guard = compare_xattr_as(op::CMPXATTR, "a", value.as_bytes(), cmp_op, cmpxattr::MODE_STRING);
        let want = if holds { 0 } else { -ECANCELED };
        assert_eq!(r.run("o", vec![guard, append("x")]), want, "{cmp_op} {value}");
    }
    assert_eq!(r.run("o", vec![xattr(op::SETXATTR, "n", b"17")]), 0);
    let number = |v: u64, cmp_op| compare_xattr_as(op::CMPXATTR, "n", &v.to_le_bytes(), cmp_op, cmpxattr::MODE_U64);
    assert_eq!(r.run("o", vec![number(18, cmpxattr::GT), append("x")]), 0);
    assert_eq!(r.run("o", vec![number(17, cmpxattr::NE), append("x")]), -ECANCELED);
}

#[test]
fn a_vector_takes_effect_as_a_whole_or_not() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("keep")]), 0);
    let guard = compare_xattr_as(op::CMPXATTR, "nosuch", b"v", cmpxattr::EQ, cmpxattr::MODE_STRING);
    let ops = vec![write_full("gone"), xattr(op::SETXATTR, "x", b"1"), guard];
    assert_eq!(r.run("o", ops), -ECANCELED);
    assert_eq!(r.data("o"), "keep");
    assert_eq!(r.one("o", plain(op::GETXATTRS)), (0, denc::to_bytes(&0_u32, 0)));
}

#[test]
fn all_kinds_of_writes_go_into_one_vector() {
    let mut r = Rig::new();
    let write_same =
        OsdOp::new(op::WRITESAME, OpArgs::WriteSame { offset: 6, length: 4, data_length: 2 }, Bytes::from("QR"));
    let hint = OpArgs::AllocHint { expected_object_size: 4 << 20, expected_write_size: 4096, flags: 0 };
    let ops = vec![
        with_flags(plain(op::CREATE), op_flag::EXCL),
        write(0, "0123456789"),
        append("ab"),
        OsdOp::extent(op::ZERO, 2, 3, ""),
        truncate(11),
        xattr(op::SETXATTR, "x", b"v"),
        write_same,
        OsdOp::new(op::SETALLOCHINT, hint, ""),
    ];
    assert_eq!(r.run("o", ops), 0);
    assert_eq!(r.data("o"), "01\0\0\x005QRQRa");
    assert_eq!(r.one("o", xattr(op::GETXATTR, "x", b"")), (0, "v".into()));
}

#[test]
fn compared_data_names_the_first_difference() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("abcdef")]), 0);
    let compare = |off, data: &'static str| OsdOp::extent(op::CMPEXT, off, data.len() as u64, data);
    assert_eq!(r.run("o", vec![compare(0, "abcdef"), write(0, "Z")]), 0);
    assert_eq!(r.run("o", vec![compare(0, "ZbcXef"), write(0, "Q")]), -MAX_ERRNO - 3);
    assert_eq!(r.data("o"), "Zbcdef");
    assert_eq!(r.run("o", vec![compare(4, "ef\0\0")]), 0);
    assert_eq!(r.run("o", vec![compare(4, "ef\0x")]), -MAX_ERRNO - 3);
    assert_eq!(r.run("new", vec![compare(0, "\0"), write(0, "Q")]), 0);
}

#[test]
fn a_guard_on_existence_makes_nothing() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![plain(op::STAT), write_full("x")]), -ENOENT);
    assert_eq!(r.size("o"), Err(ENOENT));
}

#[test]
fn a_failure_that_is_allowed_does_not_stop_the_rest() {
    let mut r = Rig::new();
    let delete = with_flags(plain(op::DELETE), op_flag::FAILOK);
    let reply = r.reply("o", vec![delete, write_full("x")]).expect("an answer");
    assert_eq!((reply.result, reply.ops[0].rval), (0, -ENOENT));
    assert_eq!(r.data("o"), "x");
}

#[test]
fn several_reads_answer_each_for_itself() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("0123456789")]), 0);
    let reply = r.reply("o", vec![plain(op::STAT), read(2, 4), read(8, 20)]).expect("an answer");
    assert_eq!((reply.result, &reply.ops[1].outdata[..], &reply.ops[2].outdata[..]), (0, &b"2345"[..], &b"89"[..]));
}

#[test]
fn reads_in_a_vector_see_the_data_before_it_but_the_size_after() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("old")]), 0);
    r.msg.flags = osd_flag::RETURNVEC;
    let reply = r.reply("o", vec![append("new"), plain(op::STAT), read(0, 2)]).expect("an answer");
    assert_eq!((reply.ops[1].outdata[0], &reply.ops[2].outdata[..]), (6, &b"ol"[..]));
    // A resend is told the same.
    assert_eq!(r.log.last().expect("logged").rare().op_returns[2].data, b"ol");
}

#[test]
fn writes_return_data_only_to_those_who_ask() {
    let mut r = Rig::new();
    let call = |input: &[u8]| OsdOp::call("hello", "write_return_data", input);
    let reply = r.reply("o", vec![call(b"")]).expect("an answer");
    assert_eq!((reply.result, reply.ops[0].outdata.len()), (0, 0));
    r.msg.flags = osd_flag::RETURNVEC;
    let reply = r.reply("o", vec![call(b"")]).expect("an answer");
    assert_eq!((reply.result, &reply.ops[0].outdata[..]), (42, &b"you might see this"[..]));
    let reply = r.reply("o", vec![OsdOp::call("hello", "write_too_much_return_data", b"")]).expect("an answer");
    assert_eq!((reply.result, reply.ops[0].rval), (-EOVERFLOW, -EOVERFLOW));
    assert_eq!(r.log.len(), 2, "not remembered");
}

#[test]
fn a_full_pool_takes_what_frees_space() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("abc")]), 0);
    r.pool.flags |= flag::FULL | flag::FULL_QUOTA;
    assert!(r.reply("o", vec![append("x")]).is_none(), "dropped: the client sends it again");
    r.msg.flags = osd_flag::FULL_TRY;
    assert_eq!(r.run("o", vec![append("x")]), -EDQUOT);
    assert_eq!(r.run("new", vec![plain(op::CREATE)]), -EDQUOT);
    r.pool.flags &= !flag::FULL_QUOTA;
    assert_eq!(r.run("o", vec![append("x")]), -ENOSPC);
    assert_eq!(r.run("o", vec![write_full("ab")]), 0);
    r.msg.flags = osd_flag::FULL_FORCE;
    assert_eq!(r.run("o", vec![append("x")]), 0);
    r.msg.flags = 0;
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), 0);
}

#[test]
fn what_was_read_before_a_failure_is_answered_whatever_its_size() {
    let mut r = Rig::new();
    let large = Bytes::from(vec![b'x'; 100_000]);
    assert_eq!(r.run("o", vec![OsdOp::extent(op::WRITEFULL, 0, 100_000, large)]), 0);
    let guard = compare_xattr_as(op::CMPXATTR, "nosuch", b"v", cmpxattr::EQ, cmpxattr::MODE_STRING);
    let reply = r.reply("o", vec![read(0, 100_000), guard]).expect("an answer");
    assert_eq!((reply.result, reply.ops[0].outdata.len()), (-ECANCELED, 100_000));
}

#[test]
fn what_one_vector_makes_and_deletes_was_never_there() {
    let mut r = Rig::new();
    let reply = r.reply("o", vec![write(0, "x"), plain(op::DELETE)]).expect("an answer");
    assert_eq!((reply.result, reply.user_version), (0, 0));
    assert_eq!(r.log.last().expect("logged").op, types::LogOp::Error);
    assert_eq!(r.size("o"), Err(ENOENT));
    assert_eq!(r.stats.num_objects, 0);
}
