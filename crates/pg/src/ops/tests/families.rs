//! Families of objects byte for byte as Ceph 16.2.15 keeps them: the same writes among snapshots, made there
//! through librados and read back from a stopped OSD with ceph-objectstore-tool, before and after snapshots
//! 3, 5 and 7 were removed and trimmed.
//!
//! `testdata/families.recorded`: stage, object, `head` or the clone's number, attribute and hex; or stage,
//! `index`, key and hex, of the OSD's snapmapper.

use std::collections::BTreeMap;

use types::{ObjectInfo, SnapId};

use super::*;
use crate::snap_map::SnapMap;

const RECORDED: &str = include_str!("../../../testdata/families.recorded");

fn hex(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

/// What a stage's attributes hold by object, clone and name, and the index by key.
type Recorded = (BTreeMap<(String, SnapId, String), Bytes>, BTreeMap<String, Bytes>);

fn recorded(stage: &str) -> Recorded {
    let (mut attrs, mut index) = (BTreeMap::new(), BTreeMap::new());
    for line in RECORDED.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [s, "index", key, value] if s == stage => {
                index.insert(key.to_owned(), hex(value));
            }
            [s, oid, snap, name, value] if s == stage => {
                let snap = snap.parse().unwrap_or(SNAP_HEAD);
                attrs.insert((oid.to_owned(), snap, name.to_owned()), hex(value));
            }
            _ => (),
        }
    }
    assert!(!attrs.is_empty() && !index.is_empty());
    (attrs, index)
}

/// The same of ours.
fn ours(r: &Rig) -> Recorded {
    let (coll, mut attrs) = (Coll::Pg(r.msg.pgid), BTreeMap::new());
    let (all, _) = r.store.list(coll, &types::GHObject::min(), 1000).expect("memory");
    for oid in all.iter().filter(|o| !o.is_pgmeta()) {
        for (name, value) in r.store.attrs(coll, oid).expect("memory").unwrap_or_default() {
            let name = name.to_string();
            if name == "_" || name == "snapset" {
                attrs.insert((oid.hobj.oid.to_string(), oid.hobj.snap, name), value);
            }
        }
    }
    let mut store = MemStore::new();
    let (mut map, mut txn) = (SnapMap::default(), Transaction::new());
    r.log.iter().for_each(|e| map.note_entry(e));
    map.prepare(&store, coll, &mut txn).expect("memory");
    txn.ops.insert(0, TxOp::MkColl { coll: Coll::Meta, bits: 0 });
    store.apply(&txn).expect("it applies");
    let (objects, _) = store.list(Coll::Meta, &types::GHObject::min(), 9).expect("memory");
    let (pairs, _) = store.omap_range(Coll::Meta, &objects[0], None, 1000).expect("memory");
    (attrs, pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect())
}

/// An object's info without what differs from run to run: epochs, times and who asked.
fn timeless(raw: &Bytes) -> ObjectInfo {
    let mut oi: ObjectInfo = denc::from_bytes(raw.clone()).expect("an info");
    (oi.version.epoch, oi.prior_version.epoch) = (0, 0);
    (oi.mtime, oi.local_mtime, oi.last_reqid) = (UTime::ZERO, UTime::ZERO, OsdReqId::default());
    oi
}

fn compare(r: &Rig, stage: &str) {
    let ((their_attrs, their_index), (our_attrs, our_index)) = (recorded(stage), ours(r));
    assert!(our_attrs.keys().eq(their_attrs.keys()), "{stage}: {:?}", our_attrs.keys());
    for (key, theirs) in &their_attrs {
        match key.2.as_str() {
            "_" => assert_eq!(timeless(&our_attrs[key]), timeless(theirs), "{stage} {key:?}"),
            _ => assert_eq!(our_attrs[key], theirs, "{stage} {key:?}"),
        }
    }
    assert_eq!(our_index, their_index, "{stage}");
}

#[test]
fn families_and_their_index_are_kept_as_ceph_keeps_them() {
    let mut r = Rig::new();
    let mut newest = 1;
    let mut snap = |r: &mut Rig| {
        newest += 1;
        (r.msg.snap_seq, r.msg.snaps) = (newest, (2..=newest).rev().collect());
    };
    let write = |off, byte: u8, n: usize| OsdOp::extent(op::WRITE, off, n as u64, vec![byte; n]);
    let full = |byte: u8, n: usize| OsdOp::extent(op::WRITEFULL, 0, n as u64, vec![byte; n]);
    let roll_back = |snapid| OsdOp::new(op::ROLLBACK, OpArgs::Snap { snapid }, "");
    let run = |r: &mut Rig, oid: &str, op: OsdOp| assert_eq!(r.run(oid, vec![op]), 0, "{oid}");

    run(&mut r, "a", write(0, b'x', 100));
    snap(&mut r);
    run(&mut r, "a", write(0, b'y', 10));
    snap(&mut r);
    snap(&mut r);
    run(&mut r, "a", write(10, b'z', 10));
    snap(&mut r);
    run(&mut r, "a", truncate(60));
    snap(&mut r);
    run(&mut r, "a", roll_back(3));
    run(&mut r, "a", write(90, b'w', 50));
    run(&mut r, "b", full(b'b', 30));
    run(&mut r, "b", xattr(op::SETXATTR, "k", b"v"));
    snap(&mut r);
    run(&mut r, "b", plain(op::DELETE));
    run(&mut r, "c", full(b'c', 5));
    snap(&mut r);
    run(&mut r, "c", plain(op::DELETE));
    snap(&mut r);
    run(&mut r, "c", append("again"));
    run(&mut r, "d", full(b'd', 1));
    snap(&mut r);
    run(&mut r, "e", encoded(op::OMAPSETVALS, &pairs(&[("k1", "v1"), ("k2", "v2")])));
    snap(&mut r);
    run(&mut r, "e", encoded(op::OMAPRMKEYS, &std::collections::BTreeSet::from([ByteStr::from("k1")])));
    compare(&r, "full");

    r.trim("a", 4, 3);
    r.trim("a", 5, 5);
    r.trim("b", 7, 7);
    compare(&r, "trimmed");
}
