//! Bytes that a cluster of release 16.2.15 wrote, with what it printed of them (see `testdata/make.py`).

use std::io::Read;

use bytes::Bytes;
use denc::from_bytes;
use types::dump::Dump;
use types::osd_stat::{HbPing, OsdStat, PingTimes};
use types::{ObjectInfo, PgInfo, PgPool, PoolStat, SnapSet};

use crate::reference::unhex;
use crate::samples::sample;

pub struct Vector {
    pub kind: String,
    pub bytes: Bytes,
    shown: Option<serde_json::Value>,
}

pub fn vectors() -> Vec<Vector> {
    let packed: &[u8] = include_bytes!("../../testdata/recorded.txt.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("the vectors are packed text");
    let vector = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let (kind, hex) = (parts.next().expect("a type"), parts.next().expect("bytes"));
        let shown = parts.next().map(|json| serde_json::from_str(json).expect("JSON"));
        Vector { kind: kind.to_owned(), bytes: unhex(hex), shown }
    };
    text.lines().map(vector).collect()
}

#[test]
fn recorded_bytes_are_written_back_byte_for_byte() {
    let vectors = vectors();
    assert!(vectors.len() >= 60);
    for v in vectors {
        let sample = sample(&v.kind).expect("a type of ours");
        assert_eq!((sample.rewrite)(v.bytes.clone()).as_ref(), Ok(&v.bytes), "{}", v.kind);
    }
}

fn dump(kind: &str, bytes: Bytes) -> Dump {
    match kind {
        "object_info_t" => from_bytes::<ObjectInfo>(bytes).expect("it is whole").dump(),
        "SnapSet" => from_bytes::<SnapSet>(bytes).expect("it is whole").dump(),
        "pg_pool_t" => from_bytes::<PgPool>(bytes).expect("it is whole").dump(),
        other => panic!("{other} has no recorded output"),
    }
}

#[test]
fn values_print_as_the_cluster_printed_them() {
    for v in vectors() {
        let Some(shown) = v.shown else { continue };
        let ours: serde_json::Value = serde_json::from_str(&dump(&v.kind, v.bytes).to_json()).expect("JSON");
        // As text, so that the order of the fields counts.
        assert_eq!(ours.to_string(), shown.to_string(), "{}", v.kind);
    }
}

/// The names in a tree of JSON, with their places.
fn names(v: &serde_json::Value, at: &str, out: &mut Vec<String>) {
    match v {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                out.push(format!("{at}/{key}"));
                names(value, &format!("{at}/{key}"), out);
            }
        }
        serde_json::Value::Array(items) => {
            if let Some(first) = items.first() {
                names(first, &format!("{at}/*"), out);
            }
        }
        _ => {}
    }
}

fn assert_same_names(what: &str, ours: &Dump) {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../testdata/shown.json")).expect("JSON");
    let ours = serde_json::from_str(&ours.to_json()).expect("JSON");
    let [mut theirs, mut mine] = [Vec::new(), Vec::new()];
    names(&all[what], "", &mut theirs);
    names(&ours, "", &mut mine);
    assert_eq!(mine, theirs, "{what}");
}

#[test]
fn statistics_have_the_fields_of_pg_query_and_pg_dump_in_order() {
    let info = vectors().into_iter().find(|v| v.kind == "pg_info_t").expect("there is one");
    assert_same_names("pg_info", &from_bytes::<PgInfo>(info.bytes).expect("it is whole").dump());
    assert_same_names("pool_stat", &PoolStat::default().dump());
    let times = PingTimes { pingtime: [1; 3], ..PingTimes::default() };
    let ping = HbPing { last_update: 1, back: times.clone(), front: times };
    let osd = OsdStat { hb_pingtime: [(1, ping)].into(), ..OsdStat::default() };
    assert_same_names("osd_stat", &osd.dump());
}
