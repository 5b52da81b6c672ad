//! What a 4 KiB object write and read cost: `cargo run --release -p store --example store-bench DIR [N]`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use os::{Coll, ObjectRead, Transaction, TxOp};
use store::{Geometry, Options, Store, StoreEvent};
use types::{GHObject, HObject, PgId, SNAP_HEAD, Uuid};

fn object(n: u64) -> GHObject {
    let oid = format!("benchmark_data_host_12345_object{n}").as_str().into();
    let hash = (n as u32).wrapping_mul(0x9e37_79b9);
    HObject { pool: 1, hash, snap: SNAP_HEAD, oid, ..HObject::default() }.into()
}

/// As a PG writes it: data, object_info and SnapSet, one log entry in and one old one out, the info.
fn write(n: u64, data: &Bytes) -> Transaction {
    let coll = Coll::Pg(PgId::new(1, 0).into());
    let (oid, meta) = (object(n), GHObject::pgmeta(PgId::new(1, 0)));
    let log_key = |n: u64| format!("0000000010.{n:020}").as_str().into();
    let attrs = [("_".into(), vec![1; 270].into()), ("snapset".into(), vec![2; 35].into())].into();
    let keys = [(log_key(n), vec![3; 200].into()), ("_fastinfo".into(), vec![4; 186].into())].into();
    let mut ops = vec![
        TxOp::Touch { coll, oid: oid.clone() },
        TxOp::SetAllocHint { coll, oid: oid.clone(), object_size: 4096, write_size: 4096, flags: 0 },
        TxOp::Write { coll, oid: oid.clone(), off: 0, data: data.clone(), fadvise: 0 },
        TxOp::SetAttrs { coll, oid, attrs },
        TxOp::OmapSet { coll, oid: meta.clone(), keys },
    ];
    if n > 3000 {
        ops.push(TxOp::OmapRm { coll, oid: meta, keys: vec![log_key(n - 3000)] });
    }
    Transaction { ops }
}

fn cpu(clock: libc::clockid_t) -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(clock, &mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn rss_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().expect("a folder"));
    let n: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let depth: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(16);
    let size: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(4096);
    Store::mkfs(&dir, &Geometry::new(Uuid::from_random([1; 16]), 10 << 30), Default::default()).expect("mkfs");
    let (send, done) = mpsc::channel();
    let batches = Arc::new(AtomicU64::new(0));
    let count = batches.clone();
    let store = Store::open(&dir, Options::default(), move |event| match event {
        StoreEvent::Committed(tokens) => {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = send.send(tokens.len() as u64);
        }
        StoreEvent::Failed(why) => panic!("{why}"),
    })
    .expect("open");
    let coll = Coll::Pg(PgId::new(1, 0).into());
    store.submit(0, &Transaction { ops: vec![TxOp::MkColl { coll, bits: 0 }] }).expect("submit");
    let data: Bytes = (0..size).map(|i| (i * 7) as u8).collect();
    let (mut in_flight, mut longest) = (1, Duration::ZERO);
    let (start, node, all) = (Instant::now(), cpu(libc::CLOCK_THREAD_CPUTIME_ID), cpu(libc::CLOCK_PROCESS_CPUTIME_ID));
    let mut submitting = Duration::ZERO;
    for i in 1..=n {
        let txn = write(i, &data);
        let before = Instant::now();
        store.submit(i, &txn).expect("submit");
        submitting += before.elapsed();
        in_flight += 1;
        let waited = Instant::now();
        while in_flight >= depth {
            in_flight -= done.recv().expect("the store lives");
        }
        longest = longest.max(waited.elapsed());
    }
    while in_flight > 0 {
        in_flight -= done.recv().expect("the store lives");
    }
    let (wall, node, all) =
        (start.elapsed(), cpu(libc::CLOCK_THREAD_CPUTIME_ID) - node, cpu(libc::CLOCK_PROCESS_CPUTIME_ID) - all);
    let per = |d: Duration| d.as_nanos() as f64 / 1000.0 / n as f64;
    println!(
        "write: {:.0}/s, node thread {:.1} us CPU (submit {:.1} us wall), process {:.1} us CPU, {:.1} a sync, longest wait {:.1} ms, rss {} MiB",
        n as f64 / wall.as_secs_f64(),
        per(node),
        per(submitting),
        per(all),
        n as f64 / batches.load(Ordering::Relaxed) as f64,
        longest.as_secs_f64() * 1e3,
        rss_mib(),
    );
    let (start, node) = (Instant::now(), cpu(libc::CLOCK_THREAD_CPUTIME_ID));
    for i in 0..n {
        let oid = object(1 + i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % n);
        assert_eq!(store.read(coll, &oid, 0, size as u64).expect("read").expect("there").len(), size);
    }
    let (wall, node) = (start.elapsed(), cpu(libc::CLOCK_THREAD_CPUTIME_ID) - node);
    println!("read: {:.0}/s, {:.1} us CPU, rss {} MiB", n as f64 / wall.as_secs_f64(), per(node), rss_mib());
    let start = Instant::now();
    store.close().expect("close");
    println!("close: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let store = Store::open_quiet(&dir, Options::default()).expect("open");
    println!("open: {:.0} ms, {:?}", start.elapsed().as_secs_f64() * 1e3, store.statfs());
}
