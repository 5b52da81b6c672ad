//! Object classes as clients call them. From the lab's suite `rados_cls`.

use types::errno::{EEXIST, EIO, EOPNOTSUPP, EPERM};

use super::*;

#[test]
fn hello_is_said_and_recorded_once() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    assert_eq!(r.one("o", OsdOp::call("hello", "say_hello", b"you")), (0, "Hello, you!".into()));
    assert_eq!(r.run("p", vec![OsdOp::call("hello", "record_hello", b"me")]), 0);
    assert_eq!(r.run("p", vec![OsdOp::call("hello", "record_hello", b"me")]), -EEXIST);
    assert_eq!(r.one("p", OsdOp::call("hello", "replay", b"")), (0, "Hello, me!".into()));
    assert_eq!(r.one("p", xattr(op::GETXATTR, "said_by", b"")).1, "client.4100 v1:127.0.0.1:0/77");
}

#[test]
fn unknown_classes_and_methods_have_their_errno() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    assert_eq!(r.run("o", vec![OsdOp::call("nosuchclass", "m", b"")]), -EPERM);
    assert_eq!(r.run("o", vec![OsdOp::call("hello", "nosuchmethod", b"")]), -EOPNOTSUPP);
    assert_eq!(r.run("o", vec![OsdOp::call("hello", "bad_reader", b"")]), -EIO);
    assert_eq!(r.run("o", vec![OsdOp::call("hello", "bad_writer", b"x")]), -EIO);
}

#[test]
fn a_lock_guards_the_rest_of_its_vector() {
    let mut r = Rig::new();
    let mut e = Encoder::new(0);
    e.versioned(1, 1, |e| {
        e.string("lk");
        e.u8(1);
        ["cookie", "", "desc"].iter().for_each(|s| e.string(s));
        e.put(&UTime::ZERO);
        e.u8(0);
    });
    let lock = OsdOp::call("lock", "lock", &e.finish());
    assert_eq!(r.run("o", vec![lock.clone(), append("1")]), 0);
    assert_eq!(r.run("o", vec![lock, append("2")]), -EEXIST);
    assert_eq!(r.data("o"), "1");
}

#[test]
fn numbers_add_up_in_omap() {
    let mut r = Rig::new();
    let add = |v: &str| OsdOp::call("numops", "add", &denc::to_bytes(&(ByteStr::from("n"), ByteStr::from(v)), 0));
    assert_eq!(r.run("o", vec![write_full("")]), 0);
    assert_eq!(r.run("o", vec![add("5")]), 0);
    assert_eq!(r.run("o", vec![add("2.5")]), 0);
    let by_key = encoded(op::OMAPGETVALSBYKEYS, &vec![ByteStr::from("n")]);
    assert_eq!(r.one("o", by_key), (0, denc::to_bytes(&pairs(&[("n", "7.5")]), 0)));
}
