//! The threaded store on real files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;

use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use store::{Geometry, OpenError, Options, Store, StoreEvent, SuperblockError, fsck};
use types::Uuid;

use crate::gen_txn::{Rng, apply_both, contents, first_txn, options, txn};

/// A folder that goes away with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("spirula-store-{}-{name}", std::process::id()));
        let meta: BTreeMap<_, _> = [("whoami".to_owned(), "3".to_owned())].into();
        let geometry = Geometry { uuid: Uuid::from_random([3; 16]), size: 256 << 20, wal_ring: 2 << 20 };
        Store::mkfs(&dir, &geometry, meta).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(dir: &Dir) -> (Store, mpsc::Receiver<StoreEvent>) {
    let (send, events) = mpsc::channel();
    let store = Store::open(&dir.0, options(), move |e| drop(send.send(e))).unwrap();
    (store, events)
}

#[test]
fn commits_are_reported_in_order_and_everything_is_there_after_a_drop_or_a_close() {
    let dir = Dir::new("order");
    let mut rng = Rng(1);
    let mut model = MemStore::new();
    let mut token = 0;
    for round in 0..4 {
        let (store, events) = open(&dir);
        if round == 0 {
            apply_both(&store, &mut model, 0, &first_txn());
            assert_eq!(events.recv(), Ok(StoreEvent::Committed(vec![0])));
        }
        let first = token + 1;
        for _ in 0..300 {
            if apply_both(&store, &mut model, token + 1, &txn(&mut rng)) {
                token += 1;
            }
        }
        assert_eq!(contents(&store).unwrap(), contents(&model).unwrap());
        if round % 2 == 0 {
            store.close().unwrap()
        } else {
            drop(store)
        }
        let reported = events.into_iter().flat_map(|e| match e {
            StoreEvent::Committed(tokens) => tokens,
            StoreEvent::Failed(why) => panic!("{why}"),
        });
        assert_eq!(reported.collect::<Vec<_>>(), (first..=token).collect::<Vec<_>>());
        assert_eq!(fsck(&dir.0), []);
    }
    let (store, _) = open(&dir);
    assert_eq!(contents(&store).unwrap(), contents(&model).unwrap());
    assert_eq!(store.meta()["whoami"], "3");
}

#[test]
fn a_reader_on_another_thread_never_sees_a_wrong_byte_while_objects_change() {
    let dir = Dir::new("reader");
    let (store, _events) = open(&dir);
    store.submit(0, &first_txn()).unwrap();
    let mut rng = Rng(5);
    let reader = store.reader();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        let reading = s.spawn(|| {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for n in 0..5 {
                    let oid = crate::gen_txn::object(n);
                    reader.read(os::Coll::Meta, &oid, 0, u64::MAX).expect("checksums are right");
                    reader.try_read_now(os::Coll::Meta, &oid, 0, u64::MAX);
                    reader.omap_range(os::Coll::Meta, &oid, None, 9).expect("checksums are right");
                    reads += 1;
                }
            }
            reads
        });
        for i in 1..1500 {
            let _ = store.submit(i, &txn(&mut rng));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reading.join().unwrap() > 0);
    });
    store.close().unwrap();
    assert_eq!(fsck(&dir.0), []);
}

#[test]
fn large_and_small_data_is_the_same_from_memory_and_from_the_disk() {
    let dir = Dir::new("sources");
    let (store, events) = open(&dir);
    store.submit(0, &first_txn()).unwrap();
    let reader = store.reader();
    let sizes = [100, 5000, 300 << 10, (1 << 20) + 7, 4 << 20, 4 << 20, 4 << 20, 4 << 20];
    let data =
        |n: usize, salt: u64| bytes::Bytes::from_iter((0..sizes[n] as u64).map(|i| (i * 31 + i / 4096 + salt) as u8));
    let mut token = 0;
    // Written twice: the second time to places of which memory may keep what was there before.
    for salt in 1..=2 {
        for n in 0..sizes.len() {
            token += 1;
            let (coll, oid, fadvise) = (Coll::Meta, crate::gen_txn::object(n as u64), 0);
            store
                .submit(
                    token,
                    &Transaction { ops: vec![TxOp::Write { coll, oid, off: 0, data: data(n, salt), fadvise }] },
                )
                .unwrap();
        }
        while !matches!(events.recv().unwrap(), StoreEvent::Committed(tokens) if tokens.last() == Some(&token)) {}
        for (n, size) in sizes.iter().map(|size| *size as u64).enumerate() {
            let oid = crate::gen_txn::object(n as u64);
            for (off, len) in [(0, size), (90, 5), (4096, 8192), (0, 1 << 20)] {
                let end = (off + len).min(size);
                let want = data(n, salt).slice(off.min(end) as usize..end as usize);
                let read = reader.read(Coll::Meta, &oid, off, len).unwrap().unwrap();
                let fresh = reader.read_from_disk(Coll::Meta, &oid, off, len).unwrap().unwrap();
                assert!(read == want && fresh == want, "object {n}, {len} bytes from {off}");
            }
        }
    }
    store.close().unwrap();
    assert_eq!(fsck(&dir.0), []);
}

#[test]
fn a_transaction_larger_than_the_log_is_kept_and_its_blocks_come_back() {
    let dir = Dir::new("large");
    let (store, events) = open(&dir);
    let mut model = MemStore::new();
    apply_both(&store, &mut model, 0, &first_txn());
    let used = store.reader().statfs().allocated;
    let oid = crate::gen_txn::object(1);
    for token in 1..=5 {
        let value = bytes::Bytes::from(vec![token as u8; 700 << 10]);
        let keys = (0..12).map(|k| (format!("key{k}").into(), value.clone())).collect();
        let txn = Transaction { ops: vec![TxOp::OmapSet { coll: Coll::Meta, oid: oid.clone(), keys }] };
        assert!(apply_both(&store, &mut model, token, &txn));
    }
    drop(store);
    let last = events.into_iter().last();
    assert!(matches!(&last, Some(StoreEvent::Committed(tokens)) if tokens.last() == Some(&5)), "{last:?}");
    let (store, _events) = open(&dir);
    assert_eq!(contents(&store).unwrap(), contents(&model).unwrap());
    assert_eq!(store.reader().statfs().allocated, used);
    store.close().unwrap();
    assert_eq!(fsck(&dir.0), []);
}

#[test]
fn a_second_opener_an_empty_folder_and_a_second_mkfs_get_one_clear_line() {
    let dir = Dir::new("lock");
    let (_store, _events) = open(&dir);
    let refused = |r: Result<Store, OpenError>| r.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused(Store::open_quiet(&dir.0, Options::default())),
        "another process uses this store (it holds the lock on `lock`)"
    );
    let nothing = std::env::temp_dir();
    assert!(matches!(fsck(&nothing).as_slice(), [f] if f.0.starts_with("there is no store in this folder")));
    let again = Store::mkfs(&dir.0, &Geometry::new(Uuid::default(), 1 << 30), BTreeMap::new());
    assert!(matches!(again, Err(OpenError::Superblock(SuperblockError::InUse))));
}

#[test]
fn a_file_that_was_emptied_does_not_pass_for_a_new_store_and_repair_says_what_helps() {
    for name in ["kv", "block"] {
        let dir = Dir::new(&format!("emptied-{name}"));
        Store::open_quiet(&dir.0, Options::default()).unwrap().close().unwrap();
        std::fs::File::options().write(true).open(dir.0.join(name)).unwrap().set_len(0).unwrap();
        let refused = Store::open_quiet(&dir.0, Options::default()).map(drop);
        assert!(matches!(refused, Err(OpenError::Emptied(n)) if n == name), "{refused:?}");
        let done = store::repair(&dir.0, false).unwrap();
        assert!(done.mended.is_empty() && done.left[0].1.contains("move"), "{done:?}");
    }
}

#[test]
fn a_store_that_is_looked_at_does_not_change() {
    let dir = Dir::new("looked-at");
    let read = || ["wal", "kv", "block"].map(|name| std::fs::read(dir.0.join(name)).unwrap());
    let before = read();
    let store = Store::open_scratch(&dir.0, Options::default()).unwrap();
    assert!(matches!(Store::open_quiet(&dir.0, Options::default()), Err(OpenError::Superblock(_))));
    store.close().unwrap();
    assert!(read() == before);
}
