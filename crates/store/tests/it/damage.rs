use bytes::Bytes;
use os::{Coll, MemStore, ObjectRead, ReadError, Transaction, TxOp};
use store::sim::{Lost, SimDisk};
use store::{BlockDevice, OpenError, Store, WalError, fsck_devices};

use crate::gen_txn::{Rng, apply_both, contents, first_txn, object, open, superblock, txn};

const COLL: Coll = Coll::Meta;

fn write(n: u64, len: usize) -> Transaction {
    let data = Bytes::from(vec![n as u8 + 1; len]);
    Transaction { ops: vec![TxOp::Write { coll: COLL, oid: object(n), off: 0, data, fadvise: 0 }] }
}

/// A store with `n` objects of one block, each committed on its own; nothing is checkpointed.
fn disk_with(n: u64) -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    store.submit(0, &first_txn()).unwrap();
    store.commit_step().unwrap();
    for i in 0..n {
        store.submit(i, &write(i, 4096)).unwrap();
        store.commit_step().unwrap();
    }
    drop(store);
    disk.crash(Lost::None, &mut |_| 0)
}

/// Where in a device these bytes are.
fn find(device: &dyn BlockDevice, what: &[u8]) -> u64 {
    let mut all = vec![0; device.len() as usize];
    device.read_at(0, &mut all).unwrap();
    let at = all.windows(what.len()).position(|w| w == what);
    at.expect("it was written") as u64
}

#[test]
fn a_flipped_bit_in_the_middle_of_the_log_stops_the_open() {
    let disk = disk_with(3);
    disk.wal.flip(find(&*disk.wal, &[1; 4096]) + 99, 4);
    let refused = open(&disk).map(|_| ());
    assert!(matches!(refused, Err(OpenError::Wal(WalError::Damaged { expected: 2, later: 3, .. }))), "{refused:?}");
    let found = fsck_devices(&disk.devices(), &superblock());
    assert!(found.len() == 1 && found[0].0.starts_with("the log is damaged: transaction 2"), "{found:?}");
}

#[test]
fn a_damaged_last_batch_is_a_torn_tail() {
    let disk = disk_with(3);
    disk.wal.flip(find(&*disk.wal, &[3; 4096]) + 99, 4);
    let store = open(&disk).unwrap();
    assert!(store.stat(COLL, &object(1)).unwrap().is_some() && store.stat(COLL, &object(2)).unwrap().is_none());
}

#[test]
fn a_flipped_bit_in_data_is_an_error_that_names_disk_object_and_offset() {
    let disk = disk_with(1);
    open(&disk).unwrap().close().unwrap();
    disk.block.flip(find(&*disk.block, &[1; 4096]) + 7, 1);
    let store = open(&disk).unwrap();
    let Err(ReadError::Io { coll, oid, off, why }) = store.read(COLL, &object(0), 0, 10) else { panic!("no error") };
    assert_eq!((coll, *oid, off), (COLL, object(0), 0));
    assert!(why.starts_with("sim: block ") && why.contains("crc32c"), "{why}");
    assert_eq!(store.reader().try_read_now(COLL, &object(0), 0, 10), None);
    drop(store);
    let found = fsck_devices(&disk.devices(), &superblock());
    assert!(found.len() == 1 && found[0].0.contains("crc32c"), "{found:?}");
}

#[test]
fn what_is_written_into_a_bad_block_leaves_it_bad_until_all_of_it_is_written() {
    let disk = disk_with(1);
    open(&disk).unwrap().close().unwrap();
    disk.block.flip(find(&*disk.block, &[1; 4096]) + 7, 1);
    let store = open(&disk).unwrap();
    let change = |token, op| {
        store.submit(token, &Transaction { ops: vec![op] }).unwrap();
        store.commit_step().unwrap();
    };
    let write = |off, len| {
        let data = Bytes::from(vec![9; len]);
        TxOp::Write { coll: COLL, oid: object(0), off, data, fadvise: 0 }
    };
    let reads = |n| store.read(COLL, &object(n), 0, 5000);
    change(10, write(100, 8));
    assert!(reads(0).is_err());
    change(11, TxOp::Clone { coll: COLL, oid: object(0), dest: object(1) });
    assert!(reads(1).is_err() && store.stat(COLL, &object(1)).unwrap().is_some());
    change(12, TxOp::Truncate { coll: COLL, oid: object(0), size: 2000 });
    change(13, write(4096, 10));
    assert!(reads(0).is_err());
    change(14, write(0, 4096));
    assert_eq!(reads(0).unwrap().unwrap().len(), 4106);
    change(15, TxOp::Remove { coll: COLL, oid: object(1) });
    assert_eq!(reads(1).unwrap(), None);
}

#[test]
fn a_disk_that_hiccups_twice_makes_no_block_bad() {
    let disk = disk_with(1);
    let store = open(&disk).unwrap();
    disk.block.fail_reads(2);
    let ops = vec![TxOp::Write { coll: COLL, oid: object(0), off: 100, data: Bytes::from_static(b"new"), fadvise: 0 }];
    store.submit(10, &Transaction { ops }).unwrap();
    store.commit_step().unwrap();
    assert_eq!(&store.read(COLL, &object(0), 99, 5).unwrap().unwrap()[..], b"\x01new\x01");
}

#[test]
fn a_flipped_bit_anywhere_in_the_metadata_never_changes_what_is_read() {
    let mut rng = Rng(7);
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let mut model = MemStore::new();
    apply_both(&store, &mut model, 0, &first_txn());
    for i in 0..60 {
        apply_both(&store, &mut model, i, &txn(&mut rng));
    }
    store.close().unwrap();
    let truth = contents(&model).unwrap();
    let mut noticed = 0;
    for _ in 0..200 {
        let hurt = disk.crash(Lost::None, &mut |_| 0);
        hurt.kv.flip(rng.below(hurt.kv.len()), 1 << rng.below(8));
        // Whatever redb makes of a broken page, a panic included, is better than a wrong answer.
        let read = std::panic::catch_unwind(|| open(&hurt).ok().and_then(|store| contents(&store).ok()));
        match read {
            Ok(Some(found)) => assert_eq!(found, truth),
            _ => noticed += 1,
        }
    }
    assert!(noticed > 0);
}

#[test]
fn a_sound_store_has_no_findings_and_fsck_changes_nothing() {
    let mut rng = Rng(3);
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let mut model = MemStore::new();
    apply_both(&store, &mut model, 0, &first_txn());
    for i in 0..200 {
        apply_both(&store, &mut model, i, &txn(&mut rng));
        if i % 3 == 0 {
            store.commit_step().unwrap();
        }
    }
    store.commit_step().unwrap();
    let disk = disk.crash(Lost::All, &mut |_| 0);
    let ops = disk.ops();
    assert_eq!(fsck_devices(&disk.devices(), &superblock()), []);
    assert_eq!(disk.ops(), ops);
    assert_eq!(contents(&open(&disk).unwrap()).unwrap(), contents(&model).unwrap());
}

#[test]
fn a_disk_that_fails_ends_the_store_and_nothing_is_reported_after() {
    let disk = disk_with(1);
    let store = open(&disk).unwrap();
    disk.fail_after(Some(0));
    store.submit(1, &write(1, 100)).unwrap();
    assert!(store.commit_step().is_err());
    disk.fail_after(None);
    assert!(store.submit(2, &write(2, 100)).is_err());
    assert!(store.commit_step().is_err());
}

#[test]
fn a_full_disk_refuses_writes_lets_deletes_through_and_takes_writes_again() {
    let disk = disk_with(0);
    let store: Store = open(&disk).unwrap();
    let mut taken = 0;
    while store.submit(taken, &write(taken, 1 << 20)).is_ok() {
        store.commit_step().unwrap();
        taken += 1;
    }
    assert!(taken > 30 && !store.would_fit(1 << 20), "{taken}");
    assert!(store.statfs().available < 1 << 20);
    let remove = TxOp::Remove { coll: COLL, oid: object(0) };
    store.submit(taken, &Transaction { ops: vec![remove] }).unwrap();
    store.submit(taken + 1, &write(taken, 1 << 20)).expect("the space of the deleted object is found again");
    store.commit_step().unwrap();
    assert_eq!(store.read(COLL, &object(1), 5, 1).unwrap().unwrap(), &[2][..]);
}
