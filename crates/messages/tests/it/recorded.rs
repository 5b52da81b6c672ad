//! Messages recorded from real Ceph 16.2.15 are read and written back byte for byte.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use messages::{Body, Message, Wire, kind_name};
use types::features;
use types::osd_op::{OSD_OP_SIZE, op};

fn unhex(s: &str) -> Bytes {
    let digit = |b: u8| (b as char).to_digit(16).expect("hex") as u8;
    s.as_bytes().chunks_exact(2).map(|p| digit(p[0]) << 4 | digit(p[1])).collect::<Vec<u8>>().into()
}

/// The messages that stand in the repository (see testdata/make.py).
pub fn vectors() -> Vec<(String, Wire)> {
    let mut text = String::new();
    let packed: &[u8] = include_bytes!("../../testdata/recorded.txt.gz");
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("our own test data");
    text.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> (String, Wire) {
    let f: Vec<&str> = line.split(' ').collect();
    let number = |i: usize| f[i].parse::<u16>().expect("a number");
    let bytes = |i: usize| if f[i] == "-" { Bytes::new() } else { unhex(f[i]) };
    let wire = Wire {
        kind: number(2),
        tid: 0,
        version: number(3),
        compat_version: number(4),
        priority: number(5),
        data_off: number(6),
        front: bytes(7),
        middle: bytes(8),
        data: bytes(9),
    };
    (format!("{} of {} in {}", kind_name(wire.kind), f[1], f[0]), wire)
}

/// What is wrong with our reading and writing of one message, if anything.
fn complaint(wire: &Wire) -> Option<String> {
    let message = match Message::decode(wire.clone(), features::ALL) {
        Ok(m) => m,
        Err(e) => {
            let cause = std::error::Error::source(&e).map(|s| s.to_string()).unwrap_or_default();
            return Some(format!("{e}: {cause}"));
        }
    };
    let mut again = message.encode(features::ALL);
    // A version that our reader knows may be older than the one we write.
    if wire.version < again.version {
        return None;
    }
    again.data_off = wire.data_off;
    let wire = &without_call_lengths(wire, &message);
    (again != *wire).then(|| {
        let (ours, theirs) = (&again.front, &wire.front);
        let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let from = |b: &Bytes| b.slice(at.min(b.len())..b.len().min(at + 40));
        let lengths = |w: &Wire| [w.front.len(), w.middle.len(), w.data.len()];
        let (ours, theirs, l, r) = (from(ours), from(theirs), lengths(&again), lengths(wire));
        format!("front differs at {at}: {ours:?} for {theirs:?}; lengths {l:?} for {r:?}; read as {message:.2000?}")
    })
}

/// The one exception: where a reply repeats a `call`, Ceph's OSD writes the result's length over bytes of
/// the op that `call` does not have (it sets `extent.length` whatever the op is). No client reads them;
/// here they are zero.
fn without_call_lengths(wire: &Wire, message: &Message) -> Wire {
    let mut wire = wire.clone();
    if let Body::MOSDOpReply(reply) = &message.body {
        // Name, PG, flags, result, version, epoch and the count come before the ops.
        let ops_at = 4 + reply.oid.len() + 17 + 8 + 4 + 12 + 4 + 4;
        let mut front = wire.front.to_vec();
        for (i, _) in reply.ops.iter().enumerate().filter(|(_, o)| o.op.op == op::CALL) {
            let extent_length = ops_at + i * OSD_OP_SIZE + 6 + 8;
            front[extent_length..extent_length + 8].fill(0);
        }
        wire.front = front.into();
    }
    wire
}

#[test]
fn recorded_messages_are_written_back_byte_for_byte() {
    let mut types = BTreeMap::<u16, usize>::new();
    for (what, wire) in vectors() {
        if matches!(Message::decode(wire.clone(), features::ALL), Ok(Message { body: Body::Unknown(_), .. })) {
            continue;
        }
        *types.entry(wire.kind).or_default() += 1;
        if let Some(why) = complaint(&wire) {
            panic!("{what}: {why}");
        }
    }
    assert!(types.len() >= 60, "only {} types are known", types.len());
}

fn reference() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let root = std::env::var_os("SPIRULA_REFERENCE").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let wire = root.join("wire");
    wire.is_dir().then_some(wire)
}

/// All of the reference's captures, through the client that is on every Debian: xzcat.
fn recorded_in_full(mut each: impl FnMut(&str, Wire)) -> bool {
    let Some(folder) = reference() else { return false };
    for entry in folder.read_dir().expect("the reference is readable").flatten() {
        let path = entry.path();
        if !path.to_string_lossy().ends_with(".jsonl.xz") {
            continue;
        }
        let Ok(out) = Command::new("xzcat").arg(&path).output() else { return false };
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = String::from_utf8(out.stdout).expect("JSON is UTF-8");
        text.lines().filter_map(whole_message).for_each(|wire| each(&name, wire));
    }
    true
}

/// The message in a recorded frame, if it is one and was recorded whole.
fn whole_message(line: &str) -> Option<Wire> {
    if !line.contains("\"tagname\": \"MESSAGE\"") {
        return None;
    }
    let frame: serde_json::Value = serde_json::from_str(line).expect("a line is an object");
    let number = |k: &str| frame[k].as_u64().expect("a number") as u16;
    let part = |k: &str| unhex(frame["msg"][k].as_str().expect("hex"));
    let wire = Wire {
        kind: number("type"),
        tid: 0,
        version: number("ver"),
        compat_version: number("compat"),
        priority: number("prio"),
        data_off: number("data_off"),
        front: part("front"),
        middle: part("middle"),
        data: part("data"),
    };
    let sizes: u64 = frame["segs"].as_array()?.iter().skip(1).filter_map(serde_json::Value::as_u64).sum();
    (sizes as usize == wire.front.len() + wire.middle.len() + wire.data.len()).then_some(wire)
}

#[test]
fn all_of_the_reference_is_written_back_byte_for_byte() {
    let mut wrong = BTreeMap::<u16, (usize, String)>::new();
    let mut count = 0;
    let ran = recorded_in_full(|name, wire| {
        count += 1;
        if let Some(why) = complaint(&wire) {
            wrong.entry(wire.kind).or_insert_with(|| (0, format!("{name}: {why}"))).0 += 1;
        }
    });
    if !ran {
        println!("skipped: no ../shared/reference/wire, or no xzcat");
        return;
    }
    for (kind, (times, why)) in &wrong {
        println!("{} ({kind}), {times} times: {why:.3000}", kind_name(*kind));
    }
    assert!(wrong.is_empty(), "{} types of {count} messages", wrong.len());
}
