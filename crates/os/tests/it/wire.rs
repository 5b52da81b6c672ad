use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use denc::{ByteStr, DecodeError, from_bytes, to_bytes};
use os::{Coll, Transaction, TxOp};
use types::{GHObject, HObject, PgId, SNAP_HEAD, SpgId, features};

fn object(name: &str) -> GHObject {
    HObject { pool: 1, hash: 0x1234_5678, snap: SNAP_HEAD, oid: name.into(), ..HObject::default() }.into()
}

fn pg() -> Coll {
    Coll::Pg(PgId::new(1, 0).into())
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

/// The public object corpus, as far as it concerns `type_name`; empty where it is not at hand.
fn corpus(type_name: &str) -> Vec<Bytes> {
    let base = std::env::var_os("SPIRULA_REFERENCE")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"));
    let file = base.join("encodings/corpus-16.2.0-90.jsonl.xz");
    let Some(text) = Command::new("xzcat").arg(&file).output().ok().filter(|o| o.status.success()) else {
        println!("skipped: no object corpus at {}", file.display());
        return Vec::new();
    };
    let text = String::from_utf8(text.stdout).expect("the corpus is text");
    let wanted = format!("{{\"type\": \"{type_name}\",");
    let lines = text.lines().filter(|l| l.starts_with(&wanted));
    lines.map(|l| unhex(l.split("\"hex\": \"").nth(1).expect("hex").trim_end_matches("\"}"))).collect()
}

#[test]
fn collections_of_the_corpus_are_read_and_written_back_byte_for_byte() {
    for bytes in corpus("coll_t") {
        let coll: Coll = from_bytes(bytes.clone()).unwrap();
        assert_eq!(to_bytes(&coll, features::ALL), bytes, "{coll}");
    }
}

#[test]
fn transactions_of_the_corpus_are_read_and_written_back() {
    for name in ["ObjectStore::Transaction", "Transaction"] {
        for bytes in corpus(name) {
            let txn: Transaction = from_bytes(bytes.clone()).unwrap();
            let again = to_bytes(&txn, features::ALL);
            // Changes without effect (`OP_NOP`) are not kept, `OP_SETATTR` is written as `OP_SETATTRS`.
            let same_ops = bytes.len() == again.len();
            let kept = if same_ops { again == bytes } else { from_bytes(again) == Ok(txn.clone()) };
            assert!(kept, "{txn:?}");
        }
    }
}

/// Data segments of the MOSDRepOps that OSDs of Ceph 16.2.15 sent for `rados` put, append, truncate,
/// create, rm, setxattr, rmxattr, omap commands and a snapshot's clone.
#[test]
fn transactions_that_real_osds_replicate_are_read_and_written_back_byte_for_byte() {
    let mut kinds = std::collections::BTreeSet::new();
    for line in include_str!("../../testdata/mosdrepop-data.hex").lines() {
        let bytes = unhex(line);
        let txn: Transaction = from_bytes(bytes.clone()).unwrap();
        assert_eq!(to_bytes(&txn, features::ALL), bytes, "{txn:?}");
        let kind = |op| format!("{op:?}").split(' ').next().expect("a name").to_owned();
        kinds.extend(txn.ops.iter().map(kind));
    }
    let expected = "Clone Create OmapClear OmapRm OmapSet OmapSetHeader Remove SetAttrs Truncate Write";
    let missing: Vec<_> = expected.split(' ').filter(|k| !kinds.contains(*k)).collect();
    assert!(missing.is_empty(), "not among the vectors: {missing:?}, but {kinds:?}");
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<ByteStr, Bytes> {
    pairs.iter().map(|(k, v)| (ByteStr::from(*k), Bytes::copy_from_slice(v.as_bytes()))).collect()
}

#[test]
fn every_kind_of_change_survives_the_wire() {
    let (coll, oid, dest) = (pg(), object("a"), object("b"));
    let temp = Coll::Temp(SpgId { pgid: PgId::new(1, 0x1f), shard: 2 });
    let ops = vec![
        TxOp::MkColl { coll, bits: 5 },
        TxOp::RmColl { coll: temp },
        TxOp::SplitColl { coll, bits: 6, rem: 32, dest: temp },
        TxOp::MergeColl { coll: temp, dest: coll, bits: 5 },
        TxOp::Create { coll, oid: oid.clone() },
        TxOp::Touch { coll, oid: oid.clone() },
        TxOp::Write { coll, oid: oid.clone(), off: 7, data: Bytes::from_static(b"hello"), fadvise: 4 },
        TxOp::Zero { coll, oid: oid.clone(), off: 1, len: 2 },
        TxOp::Truncate { coll, oid: oid.clone(), size: 9 },
        TxOp::Remove { coll, oid: oid.clone() },
        TxOp::SetAttrs { coll, oid: oid.clone(), attrs: map(&[("_", "x"), ("snapset", "y")]) },
        TxOp::RmAttr { coll, oid: oid.clone(), name: "_".into() },
        TxOp::RmAttrs { coll, oid: oid.clone() },
        TxOp::Clone { coll, oid: oid.clone(), dest: dest.clone() },
        TxOp::CloneRange { coll, oid: oid.clone(), dest: dest.clone(), off: 1, len: 2, dest_off: 3 },
        TxOp::OmapClear { coll, oid: oid.clone() },
        TxOp::OmapSet { coll, oid: oid.clone(), keys: map(&[("k", "v")]) },
        TxOp::OmapRm { coll, oid: oid.clone(), keys: vec!["k".into(), "l".into()] },
        TxOp::OmapRmRange { coll, oid: oid.clone(), first: "a".into(), last: "z".into() },
        TxOp::OmapSetHeader { coll, oid: oid.clone(), header: Bytes::from_static(b"head") },
        TxOp::MoveRename { coll: temp, oid: oid.clone(), dest_coll: coll, dest },
        TxOp::SetAllocHint { coll, oid, object_size: 1, write_size: 2, flags: 3 },
    ];
    let txn = Transaction { ops };
    assert_eq!(from_bytes::<Transaction>(to_bytes(&txn, features::ALL)), Ok(txn));
}

#[test]
fn a_written_payload_is_shared_with_the_frame_it_came_in() {
    let data = Bytes::from(vec![7; 8192]);
    let write = TxOp::Write { coll: pg(), oid: object("a"), off: 0, data, fadvise: 0 };
    let frame = to_bytes(&Transaction { ops: vec![write] }, features::ALL);
    let txn: Transaction = from_bytes(frame.clone()).unwrap();
    let TxOp::Write { data, .. } = &txn.ops[0] else { panic!("not a write") };
    assert!(frame.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn a_transaction_cut_or_changed_anywhere_is_refused_or_read_but_never_panics() {
    let keys = map(&[("k", "v")]);
    let ops = vec![
        TxOp::Write { coll: pg(), oid: object("a"), off: 7, data: Bytes::from_static(b"hello"), fadvise: 4 },
        TxOp::OmapSet { coll: pg(), oid: object("b"), keys },
    ];
    let good = to_bytes(&Transaction { ops }, features::ALL);
    for n in 0..good.len() {
        assert!(from_bytes::<Transaction>(good.slice(..n)).is_err());
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.to_vec();
            bad[n] ^= flip;
            let _ = from_bytes::<Transaction>(bad);
        }
    }
}

#[test]
fn an_object_beyond_the_largest_size_is_refused() {
    let txn = Transaction { ops: vec![TxOp::Truncate { coll: pg(), oid: object("a"), size: 1 << 32 }] };
    let got = from_bytes::<Transaction>(to_bytes(&txn, features::ALL));
    assert!(matches!(got, Err(DecodeError::Invalid { what: "Transaction::Op range", .. })));
}
