use bytes::Bytes;
use denc::ByteStr;
use os::{ApplyError, Coll, MemStore, ObjectRead, Transaction, TxOp};
use types::{GHObject, HObject, PgId, SNAP_HEAD};

const COLL: Coll = Coll::Meta;

fn object(name: &str, hash: u32) -> GHObject {
    HObject { pool: 1, hash, snap: SNAP_HEAD, oid: name.into(), ..HObject::default() }.into()
}

fn a() -> GHObject {
    object("a", 0)
}

fn write(oid: GHObject, off: u64, data: &'static [u8]) -> TxOp {
    TxOp::Write { coll: COLL, oid, off, data: Bytes::from_static(data), fadvise: 0 }
}

fn store(ops: Vec<TxOp>) -> MemStore {
    let mut s = MemStore::new();
    s.apply(&Transaction { ops: vec![TxOp::MkColl { coll: COLL, bits: 0 }] }).unwrap();
    s.apply(&Transaction { ops }).unwrap();
    s
}

fn read(s: &MemStore, oid: &GHObject) -> Bytes {
    s.read(COLL, oid, 0, u64::MAX).unwrap().expect("the object is there")
}

#[test]
fn a_write_beyond_the_end_leaves_a_hole_of_zeros() {
    let s = store(vec![write(a(), 8192, b"x")]);
    assert_eq!(s.stat(COLL, &a()).unwrap().unwrap().size, 8193);
    assert_eq!(s.extents(COLL, &a(), 0, u64::MAX).unwrap(), [(8192, 1)]);
    assert!(read(&s, &a())[..8192].iter().all(|b| *b == 0));
}

#[test]
fn what_was_truncated_away_does_not_come_back_when_the_object_grows() {
    let truncate = |size| TxOp::Truncate { coll: COLL, oid: a(), size };
    let s = store(vec![write(a(), 0, b"abcdef"), truncate(2), truncate(6)]);
    assert_eq!(read(&s, &a()), &b"ab\0\0\0\0"[..]);
}

#[test]
fn a_clone_takes_data_attributes_and_omap_and_then_lives_alone() {
    let b = object("b", 0);
    let keys = || [(ByteStr::from("k"), Bytes::from_static(b"v"))].into();
    let s = store(vec![
        write(a(), 0, b"old"),
        TxOp::SetAttrs { coll: COLL, oid: a(), attrs: keys() },
        TxOp::OmapSet { coll: COLL, oid: a(), keys: keys() },
        TxOp::Clone { coll: COLL, oid: a(), dest: b.clone() },
        write(a(), 0, b"new"),
        TxOp::OmapClear { coll: COLL, oid: a() },
    ]);
    assert_eq!(read(&s, &b), &b"old"[..]);
    assert_eq!(s.attrs(COLL, &b).unwrap(), Some(keys()));
    assert_eq!(s.omap_range(COLL, &b, None, 9).unwrap().0.len(), 1);
    assert_eq!(s.omap_range(COLL, &a(), None, 9).unwrap().0.len(), 0);
}

#[test]
fn a_refused_transaction_leaves_nothing_behind() {
    let mut s = store(vec![]);
    let before = s.clone();
    let clone = TxOp::Clone { coll: COLL, oid: object("gone", 0), dest: object("b", 0) };
    let refused = s.apply(&Transaction { ops: vec![write(a(), 0, b"x"), clone] });
    assert!(matches!(refused, Err(ApplyError::NoObject(..))));
    assert_eq!(s, before);
}

#[test]
fn a_split_and_a_merge_move_no_object_but_change_to_whom_it_belongs() {
    let pg = |seed| Coll::Pg(PgId::new(1, seed).into());
    let names = |s: &MemStore, coll| -> Vec<u32> {
        s.list(coll, &GHObject::min(), 9).unwrap().0.iter().map(|o| o.hobj.hash).collect()
    };
    let mut s = store(vec![
        TxOp::MkColl { coll: pg(0), bits: 0 },
        TxOp::Touch { coll: pg(0), oid: object("even", 2) },
        TxOp::Touch { coll: pg(0), oid: object("odd", 3) },
        TxOp::MkColl { coll: pg(1), bits: 1 },
        TxOp::SplitColl { coll: pg(0), bits: 1, rem: 1, dest: pg(1) },
    ]);
    assert_eq!((names(&s, pg(0)), names(&s, pg(1))), (vec![2], vec![3]));
    assert_eq!(s.stat(pg(0), &object("odd", 3)).unwrap(), None);
    let wrong = TxOp::Touch { coll: pg(0), oid: object("odd", 5) };
    assert!(matches!(s.apply(&Transaction { ops: vec![wrong] }), Err(ApplyError::Misplaced(..))));
    s.apply(&Transaction { ops: vec![TxOp::MergeColl { coll: pg(1), dest: pg(0), bits: 0 }] }).unwrap();
    assert_eq!((names(&s, pg(0)), s.collection_exists(pg(1))), (vec![2, 3], false));
}

#[test]
fn a_list_goes_on_where_it_stopped() {
    let s = store((0..5).map(|i| TxOp::Touch { coll: COLL, oid: object("x", i) }).collect());
    let (first, next) = s.list(COLL, &GHObject::min(), 3).unwrap();
    let (rest, end) = s.list(COLL, &next.expect("two are left"), 3).unwrap();
    assert_eq!((first.len(), rest.len(), end), (3, 2, None));
}
