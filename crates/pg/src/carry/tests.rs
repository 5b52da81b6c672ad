//! A PG that is carried comes out as it went in; a file that is not whole is not taken.

use std::collections::BTreeMap;

use bytes::Bytes;
use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use types::{
    EVersion, GHObject, HObject, LogEntry, ObjectInfo, PastIntervals, PgId, PgInfo, SNAP_HEAD, SpgId, Uuid, features,
};

use super::*;
use crate::log::PgLog;
use crate::missing::Missing;
use crate::persist::{Dirty, Parts};
use crate::snap_map::clone_index;

fn id() -> SpgId {
    PgId::new(3, 1).into()
}

fn coll() -> Coll {
    Coll::Pg(id())
}

fn oid(name: &str, snap: u64) -> GHObject {
    HObject { pool: 3, hash: 1, snap, oid: name.into(), ..HObject::default() }.into()
}

fn v(version: u64) -> EVersion {
    EVersion { epoch: 4, version }
}

fn meta() -> MemStore {
    let mut store = MemStore::new();
    let mut txn = Transaction::new();
    txn.push(TxOp::MkColl { coll: Coll::Meta, bits: 0 });
    store.apply(&txn).expect("a new store");
    store
}

/// A PG with a head, a clone of it, and an object with an omap and a hole.
fn a_pg() -> MemStore {
    let mut store = meta();
    let mut txn = Transaction::new();
    txn.push(TxOp::MkColl { coll: coll(), bits: 1 });
    let mut clones = crate::snap_map::SnapMap::default();
    let mut entries = Vec::new();
    for (n, (name, snap)) in [("a", 5), ("a", SNAP_HEAD), ("big", SNAP_HEAD)].into_iter().enumerate() {
        let (oid, version) = (oid(name, snap), v(n as u64 + 1));
        let info = ObjectInfo { soid: oid.hobj.clone(), version, ..ObjectInfo::default() };
        let attrs = [("_".into(), denc::to_bytes(&info, features::ALL))].into();
        let data = Bytes::from(vec![n as u8 + 1; 5000]);
        txn.push(TxOp::Write { coll: coll(), oid: oid.clone(), off: n as u64 * 1_500_000, data, fadvise: 0 });
        txn.push(TxOp::SetAttrs { coll: coll(), oid: oid.clone(), attrs });
        entries.push(LogEntry { soid: oid.hobj.clone(), version, ..LogEntry::default() });
        if snap == 5 {
            clones.set(&oid.hobj, [5, 4]);
        }
    }
    let keys: BTreeMap<_, _> = (0..3000).map(|n| (format!("key{n:05}").into(), Bytes::from(vec![7; 500]))).collect();
    txn.push(TxOp::OmapSet { coll: coll(), oid: oid("big", SNAP_HEAD), keys });
    let header = Bytes::from_static(b"header");
    txn.push(TxOp::OmapSetHeader { coll: coll(), oid: oid("big", SNAP_HEAD), header });
    let info = PgInfo { last_update: v(3), last_complete: v(3), ..PgInfo::new(id()) };
    let mut log = PgLog::new(EVersion::ZERO, EVersion::ZERO, Vec::new(), Vec::new());
    log.replace(types::PgLogData { head: v(3), log: entries, ..Default::default() });
    let (past, mut missing) = (PastIntervals::default(), Missing::default());
    let parts = Parts { id: id(), epoch: 9, info: &info, past: &past, log: &mut log, missing: &mut missing };
    persist::write(Dirty { info: true, big: true, epoch: true, ..Dirty::default() }, parts, &mut txn);
    clones.prepare(&store, coll(), &mut txn).expect("readable");
    store.apply(&txn).expect("a sound transaction");
    store
}

fn head() -> Head {
    let (fsid, osd_fsid) = (Uuid::from_random([1; 16]), Uuid::from_random([2; 16]));
    let map = Bytes::from_static(b"a map");
    Head { pgid: id(), fsid, whoami: 2, osd_fsid, epoch: 0, map, last_update: EVersion::ZERO }
}

fn exported(store: &MemStore) -> (Vec<u8>, Exported) {
    let mut file = Vec::new();
    let done = export(store, head(), &mut file).expect("it can be read");
    (file, done)
}

fn imported(file: &[u8], upto: usize) -> (MemStore, Result<Totals, ImportError>) {
    let (mut done, mut view) = (0, meta());
    // Each transaction shows at once, as in a real store; here by importing again up to the one that fails.
    let result = loop {
        let (mut n, mut next) = (0, view.clone());
        let result = import(file, &view, 1, Transaction::new(), &mut |txn| {
            n += 1;
            if n <= done {
                return Ok(());
            }
            if n > upto || n > done + 1 {
                return Err("cut off".to_owned());
            }
            next.apply(&txn).map_err(|e| e.to_string())
        });
        if n <= done || done >= upto {
            break result;
        }
        (done, view) = (done + 1, next);
    };
    (view, result)
}

#[test]
fn a_carried_pg_comes_out_as_it_went_in() {
    let store = a_pg();
    let (file, done) = exported(&store);
    let (head, totals) = check(&file[..]).expect("it is whole");
    assert_eq!((head.epoch, head.last_update, totals), (9, v(3), done.totals));
    assert_eq!(totals, Totals { objects: 3, bytes: totals.bytes, omap_keys: 3000, left_out: 0 });
    let (copy, result) = imported(&file, usize::MAX);
    assert_eq!(result.expect("it is taken"), totals);
    assert_eq!(copy, store);
    assert_eq!(clone_index(&copy), clone_index(&store));
}

#[test]
fn an_import_that_is_cut_off_anywhere_leaves_a_pg_marked_as_being_deleted_or_none() {
    let (file, _) = exported(&a_pg());
    for upto in 0..20 {
        let (copy, result) = imported(&file, upto);
        if result.is_ok() {
            assert!(upto > 2, "several transactions");
            return;
        }
        assert!(!copy.collection_exists(coll()) || summary(id(), &copy).expect("it can be read").deleting);
    }
    panic!("it never came to an end");
}

#[test]
fn a_file_that_is_cut_or_changed_anywhere_is_refused() {
    let (file, _) = exported(&a_pg());
    for at in (0..file.len()).step_by(50_021).chain(file.len() - 60..file.len()) {
        assert!(check(&file[..at]).is_err(), "cut at {at}");
        let mut other = file.clone();
        other[at] ^= 4;
        assert!(check(&other[..]).is_err(), "flipped at {at}");
    }
    let twice = [&file[..], &file[8..]].concat();
    assert!(matches!(check(&twice[..]), Err(FileError::Trailing)));
    assert!(matches!(check(&b"something else"[..]), Err(FileError::NoExport)));
}

#[test]
fn an_object_that_cannot_be_read_is_missing_from_the_copy_and_not_just_absent() {
    let mut store = a_pg();
    store.spoil(coll(), &oid("big", SNAP_HEAD)).expect("it is there");
    let (file, done) = exported(&store);
    assert_eq!((done.unreadable.len(), done.totals.left_out), (1, 1));
    let (copy, result) = imported(&file, usize::MAX);
    result.expect("it is taken");
    assert_eq!(copy.stat(coll(), &oid("big", SNAP_HEAD)), Ok(None));
    let stored = persist::read(id(), &copy).expect("it can be read");
    let item = stored.missing.get(&oid("big", SNAP_HEAD).hobj).expect("it is known to be missing");
    assert_eq!((item.need, stored.info.last_complete), (v(3), EVersion::ZERO));
    assert!(!stored.deleting);
}

#[test]
fn a_pg_is_removed_with_its_clones_entries_in_the_index() {
    let mut store = a_pg();
    let mut steps = Vec::new();
    let whole = store.clone();
    let removed = remove_pg(id(), &whole, &mut |txn| {
        steps.push(txn);
        Ok(())
    });
    assert_eq!(removed.expect("it can be read"), 3);
    steps.iter().for_each(|txn| store.apply(txn).expect("a sound transaction"));
    assert_eq!(store.collections(), [Coll::Meta]);
    assert_eq!(clone_index(&store), Ok((BTreeMap::new(), 0)));
}
