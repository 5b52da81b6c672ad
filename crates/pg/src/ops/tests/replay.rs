//! Real clients' ops, as Ceph 16.2.15 answered them: ours must answer the same.
//!
//! Each line of the files has the client's number and address, the transaction number, and front and data of
//! the `MOSDOp` and of its `MOSDOpReply`, in hex. The ops stand in the order in which they were sent, one
//! after the other.

use std::io::Read;

use messages::{Body, Wire};

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
fn essence(r: &MOSDOpReply) -> (i32, i64, u64, u64, i32, Vec<(u16, u32, OpArgs, i32, Bytes)>) {
    let ops = r.ops.iter().map(|o| (o.op.op, o.op.flags, o.op.args, o.rval, o.outdata.clone())).collect();
    (r.result, r.flags, r.replay_version.version, r.user_version, r.retry_attempt, ops)
}

fn replay(rig: &mut Rig, exchanges: &[Exchange]) -> Vec<String> {
    let mut differences = Vec::new();
    for (i, x) in exchanges.iter().enumerate() {
        rig.client = x.client;
        rig.addr = Some(x.addr);
        rig.tid = x.tid;
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
    let mut rig = Rig::new();
    let all = exchanges(include_bytes!("../../../testdata/ops-one-pg.txt.gz"));
    rig.adopt(&all[0].request);
    let differences = replay(&mut rig, &all);
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), all.len(), differences.join("\n"));
}
