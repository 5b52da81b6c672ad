//! Attributes and omap.

use types::errno::{ECANCELED, ENAMETOOLONG, ENODATA, ENOENT};

use super::*;

fn get_vals(after: &str, max: u64, prefix: &str) -> OsdOp {
    encoded(op::OMAPGETVALS, &(ByteStr::from(after), (max, ByteStr::from(prefix))))
}

fn listed(reply: (i32, Bytes)) -> (Vec<String>, bool) {
    assert_eq!(reply.0, 0);
    let mut d = denc::Decoder::new(reply.1);
    let pairs: Vec<(String, Bytes)> = d.get().expect("pairs");
    let more = d.bool().expect("a flag");
    d.expect_end().expect("nothing else");
    (pairs.into_iter().map(|(k, _)| k).collect(), more)
}

#[test]
fn attributes_come_and_go() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![xattr(op::SETXATTR, "a", b"1"), xattr(op::SETXATTR, "b", b"\0bin\xff")]), 0);
    assert_eq!(r.one("o", xattr(op::GETXATTR, "b", b"")), (0, Bytes::from_static(b"\0bin\xff")));
    assert_eq!(r.one("o", plain(op::GETXATTRS)).1.len(), 4 + (4 + 1 + 4 + 1) + (4 + 1 + 4 + 5));
    assert_eq!(r.run("o", vec![xattr(op::RMXATTR, "a", b"")]), 0);
    assert_eq!(r.run("o", vec![xattr(op::GETXATTR, "a", b"")]), -ENODATA);
    assert_eq!(r.size("o"), Ok(0));
    assert_eq!(r.run("o", vec![xattr(op::SETXATTR, "x", &[b'v'; 65536])]), 0);
    assert_eq!(r.one("o", xattr(op::GETXATTR, "x", b"")).1.len(), 65536);
    assert_eq!(r.run("o", vec![xattr(op::SETXATTR, &"n".repeat(300), b"x")]), -ENAMETOOLONG);
    assert_eq!(r.run("none", vec![xattr(op::RMXATTR, "x", b"")]), -ENOENT);
}

#[test]
fn keys_are_listed_in_order_after_a_key_and_by_prefix() {
    let mut r = Rig::new();
    let set = encoded(op::OMAPSETVALS, &pairs(&[("k1", "v1"), ("k2", "v2"), ("k3", ""), ("z", "\0")]));
    assert_eq!(r.run("o", vec![set]), 0);
    r.forget();
    assert_eq!(
        listed(r.one("o", get_vals("", 10, ""))),
        (vec!["k1".into(), "k2".into(), "k3".into(), "z".into()], false)
    );
    assert_eq!(listed(r.one("o", get_vals("k1", 10, "k"))), (vec!["k2".into(), "k3".into()], false));
    assert_eq!(listed(r.one("o", get_vals("", 2, ""))), (vec!["k1".into(), "k2".into()], true));
    assert_eq!(listed(r.one("o", get_vals("", 10, "k2"))), (vec!["k2".into()], false));
    // More with another prefix is no more.
    assert_eq!(listed(r.one("o", get_vals("", 3, "k"))), (vec!["k1".into(), "k2".into(), "k3".into()], false));
    let by_keys = encoded(op::OMAPGETVALSBYKEYS, &vec![ByteStr::from("nosuch"), "z".into()]);
    assert_eq!(r.one("o", by_keys), (0, denc::to_bytes(&pairs(&[("z", "\0")]), 0)));
}

#[test]
fn keys_are_removed_singly_by_range_and_all() {
    let mut r = Rig::new();
    let set = encoded(op::OMAPSETVALS, &pairs(&[("k1", "1"), ("k2", "2"), ("k3", "3"), ("z", "4")]));
    assert_eq!(r.run("o", vec![set]), 0);
    assert_eq!(r.run("o", vec![encoded(op::OMAPRMKEYS, &vec![ByteStr::from("k1"), "nosuch".into()])]), 0);
    assert_eq!(r.run("o", vec![encoded(op::OMAPRMKEYRANGE, &(ByteStr::from("k2"), ByteStr::from("k3")))]), 0);
    assert_eq!(listed(r.one("o", get_vals("", 10, ""))).0, ["k3", "z"]);
    assert_eq!(r.stats.num_objects_omap, 1);
    assert_eq!(r.run("o", vec![plain(op::OMAPCLEAR)]), 0);
    assert_eq!(listed(r.one("o", get_vals("", 10, ""))).0, [""; 0]);
    assert_eq!(r.stats.num_objects_omap, 0);
    assert_eq!(r.run("none", vec![plain(op::OMAPCLEAR)]), -ENOENT);
}

#[test]
fn a_request_has_its_limits_and_says_that_more_follow() {
    let mut r = Rig::new();
    let keys: Vec<String> = (0..3000).map(|i| format!("key{i:05}")).collect();
    let all: std::collections::BTreeMap<ByteStr, Bytes> =
        keys.iter().map(|k| (k.as_str().into(), Bytes::from(k.clone()))).collect();
    assert_eq!(r.run("o", vec![encoded(op::OMAPSETVALS, &all)]), 0);
    let (mut got, mut after) = (Vec::new(), String::new());
    loop {
        let (page, more) = listed(r.one("o", get_vals(&after, 700, "")));
        after = page.last().expect("a page holds something").clone();
        got.extend(page);
        if !more {
            break;
        }
    }
    assert_eq!(got, keys);
    let (page, more) = listed(r.one("o", get_vals("", u64::MAX, "")));
    assert_eq!((page.len() as u64, more), (r.cfg.max_omap_entries_per_request, true));
    r.cfg.max_omap_bytes_per_request = 50;
    assert_eq!(listed(r.one("o", get_vals("", 100, ""))).0.len(), 3);
}

#[test]
fn the_header_is_kept_apart() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![OsdOp::new(op::OMAPSETHEADER, OpArgs::default(), Bytes::from("head"))]), 0);
    assert_eq!(r.one("o", plain(op::OMAPGETHEADER)), (0, "head".into()));
    assert_eq!(r.run("p", vec![plain(op::CREATE)]), 0);
    assert_eq!(r.one("p", plain(op::OMAPGETHEADER)), (0, "".into()));
}

#[test]
fn omap_values_guard() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![encoded(op::OMAPSETVALS, &pairs(&[("k", "v")]))]), 0);
    let guard = |key: &str, value: &'static str, cmp: i32| {
        let one = (ByteStr::from(key), (Bytes::from(value), cmp));
        encoded(op::OMAP_CMP, &vec![one])
    };
    assert_eq!(r.run("o", vec![guard("k", "v", 1), append("1")]), 0);
    assert_eq!(r.run("o", vec![guard("k", "w", 1), append("2")]), -ECANCELED);
    assert_eq!(r.run("o", vec![guard("k", "w", 5), append("3")]), 0);
    assert_eq!(r.run("o", vec![guard("nosuch", "", 1), append("4")]), 0);
    assert_eq!(r.data("o"), "134");
    assert_eq!(r.run("none", vec![guard("k", "v", 1), append("1")]), -ENOENT);
}
