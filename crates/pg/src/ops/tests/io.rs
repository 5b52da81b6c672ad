//! Data: reading, writing, sizes, limits. From the lab's suite `rados_io`.

use types::errno::{EEXIST, EFBIG, EINVAL, EMSGSIZE, ENAMETOOLONG, ENOENT, EOPNOTSUPP};
use types::{LogOp, crc32c, object_flag, op_flag};

use super::*;

#[test]
fn writes_overlay_each_other_and_reads_stop_at_the_end() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write(0, "hello")]), 0);
    assert_eq!(r.run("o", vec![write(3, "XY")]), 0);
    assert_eq!(r.data("o"), "helXY");
    assert_eq!(r.one("o", read(1, 2)), (0, "el".into()));
    assert_eq!(r.one("o", read(10, 20000)), (0, "".into()));
    assert_eq!(r.one("o", read(3, 20000)), (0, "XY".into()));
    r.forget();
    assert_eq!(r.data("o"), "helXY");
}

#[test]
fn write_full_shrinks_and_append_grows() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("aaaaaaaaaa")]), 0);
    assert_eq!(r.run("o", vec![write_full("b")]), 0);
    assert_eq!(r.run("o", vec![append("cd")]), 0);
    assert_eq!((r.data("o"), r.size("o")), ("bcd".into(), Ok(3)));
    assert_eq!((r.stats.num_bytes, r.stats.num_objects, r.stats.num_wr), (3, 1, 3));
}

#[test]
fn a_hole_reads_as_zeros() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write(10_000, "x")]), 0);
    let data = r.data("o");
    assert_eq!(data.len(), 10_001);
    assert!(data[..10_000].iter().all(|b| *b == 0));
    assert_eq!(r.stats.num_bytes, 10_001);
}

#[test]
fn truncation_goes_both_ways_but_makes_nothing() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("abcdef")]), 0);
    assert_eq!(r.run("o", vec![truncate(3)]), 0);
    assert_eq!(r.data("o"), "abc");
    assert_eq!(r.run("o", vec![truncate(5)]), 0);
    assert_eq!(r.data("o"), "abc\0\0");
    assert_eq!(r.run("new", vec![truncate(7)]), 0);
    assert_eq!(r.size("new"), Err(ENOENT));
    assert_eq!(r.log.last().expect("logged").op, LogOp::Error);
}

#[test]
fn what_was_removed_is_not_there() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("a"), xattr(op::SETXATTR, "x", b"1")]), 0);
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), 0);
    assert_eq!(r.log.last().expect("logged").op, LogOp::Delete);
    assert_eq!(r.size("o"), Err(ENOENT));
    assert_eq!(r.run("o", vec![read(0, 1)]), -ENOENT);
    assert_eq!(r.run("o", vec![xattr(op::GETXATTR, "x", b"")]), -ENOENT);
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), -ENOENT);
    assert_eq!(r.log.last().map(|l| (l.op, l.return_code)), Some((LogOp::Error, -ENOENT)));
    assert_eq!((r.stats.num_bytes, r.stats.num_objects), (0, 0));
    r.forget();
    assert_eq!(r.size("o"), Err(ENOENT));
}

#[test]
fn exclusive_creation_happens_once() {
    let mut r = Rig::new();
    let exclusive = || with_flags(plain(op::CREATE), op_flag::EXCL);
    assert_eq!(r.run("o", vec![exclusive()]), 0);
    assert_eq!(r.run("o", vec![exclusive()]), -EEXIST);
    assert_eq!(r.run("o", vec![plain(op::CREATE)]), 0);
    assert_eq!(r.size("o"), Ok(0));
}

#[test]
fn limits_have_their_errno() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write(1 << 40, "x")]), -EFBIG);
    assert_eq!(r.run("o", vec![write(u64::MAX, "x")]), -EFBIG);
    assert_eq!(r.run("o", vec![OsdOp::extent(op::ZERO, u64::MAX, u64::MAX, "")]), -EFBIG);
    assert_eq!(r.run(&"x".repeat(3000), vec![write_full("")]), -ENAMETOOLONG);
    assert_eq!(r.run("", vec![write_full("")]), -EINVAL);
    assert_eq!(r.run("o", vec![OsdOp::extent(op::WRITE, 0, 2, "x")]), -EINVAL);
    r.cfg.max_write_size = 3;
    assert_eq!(r.run("o", vec![write(0, "four")]), -EMSGSIZE);
    assert_eq!(r.run("o", vec![plain(0x2fff)]), -EOPNOTSUPP);
    assert_eq!(r.run("o", vec![plain(op::TMAPUP)]), -EOPNOTSUPP);
    assert_eq!(r.run("o", vec![]), -EINVAL);
    assert_eq!(r.size("o"), Err(ENOENT));
}

#[test]
fn zeros_to_the_end_shorten_the_object() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("abcdef")]), 0);
    assert_eq!(r.run("o", vec![OsdOp::extent(op::ZERO, 1, 2, "")]), 0);
    assert_eq!(r.data("o"), "a\0\0def");
    assert_eq!(r.run("o", vec![OsdOp::extent(op::ZERO, 4, 100, "")]), 0);
    assert_eq!(r.data("o"), "a\0\0d");
}

#[test]
fn a_write_that_a_truncation_overtook_stays_within_it() {
    let mut r = Rig::new();
    let at = |off, seq, size, data: &'static str| {
        let args = OpArgs::Extent { offset: off, length: data.len() as u64, truncate_size: size, truncate_seq: seq };
        OsdOp::new(op::WRITE, args, data)
    };
    assert_eq!(r.run("o", vec![at(0, 1, 1000, "abcdef")]), 0);
    // One that knows of truncation 2, to 3 bytes, comes before the truncation itself.
    assert_eq!(r.run("o", vec![at(0, 2, 3, "X")]), 0);
    assert_eq!(r.data("o"), "Xbc");
    // One that does not, comes after it.
    assert_eq!(r.run("o", vec![at(2, 1, 1000, "YZ")]), 0);
    assert_eq!(r.data("o"), "XbY");
}

#[test]
fn long_reads_are_left_to_the_driver() {
    let mut r = Rig::new();
    let data = vec![7_u8; 200_000];
    let full = OsdOp::extent(op::WRITEFULL, 0, data.len() as u64, data.clone());
    assert_eq!(r.run("o", vec![full]), 0);
    let reply = r.reply("o", vec![read(0, 0), read(10, 3)]).expect("an answer");
    assert_eq!((reply.result, &reply.ops[0].outdata[..], &reply.ops[1].outdata[..]), (0, &data[..], &[7_u8; 3][..]));
    assert_eq!(r.bulk_reads.len(), 1);
    assert!(matches!(reply.ops[0].op.args, OpArgs::Extent { length: 200_000, .. }));
}

#[test]
fn a_sparse_read_names_what_it_gives() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write(0, "abc")]), 0);
    let (result, out) = r.one("o", OsdOp::extent(op::SPARSE_READ, 0, 100, ""));
    let expected = denc::to_bytes(&(vec![(0_u64, 3_u64)], Bytes::from("abc")), 0);
    assert_eq!((result, out), (0, expected));
}

#[test]
fn digests_are_kept_as_long_as_they_are_known() {
    let mut r = Rig::new();
    let digest = |r: &mut Rig| {
        let soid = r.msg.hobj.clone();
        let soid = HObject { hash: types::hash::rjenkins(b"o"), ..soid };
        let oi = r.contexts.get(&soid).expect("a context").obs.oi.clone();
        oi.test_flag(object_flag::DATA_DIGEST).then_some(oi.data_digest)
    };
    assert_eq!(r.run("o", vec![write_full("ab")]), 0);
    assert_eq!(digest(&mut r), Some(crc32c(u32::MAX, b"ab")));
    assert_eq!(r.run("o", vec![append("cd")]), 0);
    assert_eq!(digest(&mut r), Some(crc32c(u32::MAX, b"abcd")));
    assert_eq!(r.run("o", vec![write(1, "x")]), 0);
    assert_eq!(digest(&mut r), None);
}

#[test]
fn checksums_come_one_a_chunk() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("123456789")]), 0);
    let sum = |kind, len, chunk, init: &[u8]| {
        OsdOp::new(op::CHECKSUM, OpArgs::Checksum { offset: 0, length: len, chunk_size: chunk, kind }, init.to_vec())
    };
    let (result, out) = r.one("o", sum(2, 9, 0, &[0xff; 4]));
    assert_eq!((result, out), (0, denc::to_bytes(&(1_u32, 0xe306_9283_u32 ^ u32::MAX), 0)));
    let (result, out) = r.one("o", sum(2, 9, 3, &[0; 4]));
    let three = [b"123", b"456", b"789"].map(|c| crc32c(0, c));
    assert_eq!((result, out), (0, denc::to_bytes(&(three.to_vec()), 0)));
    assert_eq!(r.one("o", sum(2, 9, 4, &[0; 4])).0, -EINVAL);
    assert_eq!(r.one("o", sum(9, 9, 0, &[0; 4])).0, -EINVAL);
    assert_eq!(r.one("o", sum(1, 9, 0, &[0; 4])).0, -EINVAL);
}
