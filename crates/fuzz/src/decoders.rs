//! One target a decoder: recorded bytes to start from, and what reads them.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use denc::from_bytes;
use messages::{Message, Wire, kind_name};
use msgr::{
    AuthDone, AuthOutcome, AuthVerdict, Codec, Config, Event, FrameReader, Limits, MODE_CRC, Messenger, Policies,
    Policy, Tag, TxQueue, put_frame,
};
use types::{EntityAddr, EntityAddrVec, EntityName, features};

use crate::noise::Noise;
use crate::samples;

/// Reads one input; what it makes of it is its own business, as long as it ends, holds little and does not panic.
pub type Run = Box<dyn FnMut(&mut Noise, &[u8])>;

pub struct Target {
    pub name: String,
    pub seeds: Vec<Vec<u8>>,
    /// Bytes that may be held for each byte of input, and for none.
    pub per_byte: usize,
    pub at_rest: usize,
    pub run: Run,
}

impl Target {
    fn new(name: impl Into<String>, seeds: Vec<Vec<u8>>, mut run: impl FnMut(&[u8]) + 'static) -> Self {
        let run = Box::new(move |_: &mut Noise, bytes: &[u8]| run(bytes));
        Self { name: name.into(), seeds, per_byte: 64, at_rest: 64 << 10, run }
    }

    fn holding(self, per_byte: usize, at_rest: usize) -> Self {
        Self { per_byte, at_rest, ..self }
    }
}

pub fn all() -> Vec<Target> {
    let mut targets = type_targets();
    targets.extend(message_targets());
    targets.extend(map_targets());
    targets.extend(wire_targets());
    targets.push(transaction_target());
    targets
}

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut out).expect("our own test data");
    out
}

pub fn unhex(hex: &str) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).expect("our own test data is hex") as u8;
    hex.trim().as_bytes().chunks_exact(2).map(|p| digit(p[0]) << 4 | digit(p[1])).collect()
}

/// Hex that goes on over several lines.
fn unhex_lines(text: &str) -> Vec<u8> {
    unhex(&text.lines().filter(|l| !l.starts_with('#')).map(str::trim).collect::<String>())
}

fn text(packed: &[u8]) -> String {
    String::from_utf8(gunzip(packed)).expect("our own test data is text")
}

fn type_targets() -> Vec<Target> {
    let mut seeds: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for line in text(include_bytes!("../../types/testdata/recorded.txt.gz")).lines() {
        let mut parts = line.split(' ');
        let (Some(kind), Some(hex)) = (parts.next(), parts.next()) else { continue };
        seeds.entry(kind.to_owned()).or_default().push(unhex(hex));
    }
    let mut all: Vec<Vec<u8>> = seeds.values().flatten().cloned().collect();
    all.push(vec![0; 64]);
    let targets = samples::SAMPLES.iter().map(|sample| {
        let rewrite = sample.rewrite;
        // A type of which nothing was recorded alone starts from other types' bytes.
        let own = seeds.get(sample.name).unwrap_or(&all).clone();
        Target::new(sample.name, own, move |bytes| {
            if let Ok(again) = rewrite(Bytes::copy_from_slice(bytes)) {
                // What we write we can read.
                assert!(rewrite(again).is_ok(), "what was read cannot be read again");
            }
        })
    });
    targets.collect()
}

/// Every recorded message.
pub fn recorded_messages() -> Vec<Wire> {
    let bytes = |field: &str| if field == "-" { Bytes::new() } else { unhex(field).into() };
    let parse = |line: &str| {
        let f: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| f[i].parse::<u16>().expect("our own test data");
        Wire {
            kind: number(2),
            tid: 1,
            version: number(3),
            compat_version: number(4),
            priority: number(5),
            data_off: number(6),
            front: bytes(f[7]),
            middle: bytes(f[8]),
            data: bytes(f[9]),
        }
    };
    text(include_bytes!("../../messages/testdata/recorded.txt.gz")).lines().map(parse).collect()
}

fn message_targets() -> Vec<Target> {
    let mut kinds: BTreeMap<u16, Vec<Wire>> = BTreeMap::new();
    for wire in recorded_messages() {
        kinds.entry(wire.kind).or_default().push(wire);
    }
    let target = |(kind, wires): (u16, Vec<Wire>)| {
        let seeds = wires.iter().map(|w| w.front.to_vec()).collect();
        let run = move |noise: &mut Noise, front: &[u8]| {
            let like = &wires[noise.below(wires.len())];
            let mut wire = Wire { front: Bytes::copy_from_slice(front), ..like.clone() };
            if noise.below(4) == 0 {
                wire.version = noise.below(12) as u16;
            }
            if noise.below(4) == 0 {
                wire.data = wire.data.slice(..noise.below(wire.data.len() + 1));
            }
            if let Ok(message) = Message::decode(wire, features::ALL) {
                message.encode(features::ALL);
            }
        };
        Target { name: kind_name(kind).to_owned(), seeds, per_byte: 64, at_rest: 1 << 20, run: Box::new(run) }
    };
    kinds.into_iter().map(target).collect()
}

macro_rules! packed {
    ($($file:literal),* $(,)?) => { vec![$(gunzip(include_bytes!(concat!("../../", $file)))),*] };
}

fn map_targets() -> Vec<Target> {
    let fulls = packed!["osdmap/testdata/osdmap.0001.bin.gz", "osdmap/testdata/osdmap.0039.bin.gz"];
    let incs: Vec<Vec<u8>> = text(include_bytes!("../../osdmap/testdata/incrementals.hex.gz"))
        .lines()
        .filter_map(|line| Some(unhex(line.split_once(' ')?.1)))
        .collect();
    let crushes = packed![
        "crush/testdata/build-straw2.bin.gz",
        "crush/testdata/build-tree.bin.gz",
        "crush/testdata/build-list.bin.gz",
        "crush/testdata/hand-jewel.bin.gz",
        "crush/testdata/hand-argonaut.bin.gz",
    ];
    let base: osdmap::OsdMap = from_bytes(fulls[0].clone()).expect("a recorded map");
    vec![
        Target::new("OSDMap", fulls, |bytes| {
            if let Ok(map) = from_bytes::<osdmap::OsdMap>(Bytes::copy_from_slice(bytes)) {
                map_pgs(&map);
            }
        })
        .holding(512, 16 << 20),
        Target::new("OSDMap::Incremental", incs, move |bytes| {
            if let Ok(inc) = from_bytes::<osdmap::Incremental>(Bytes::copy_from_slice(bytes)) {
                let mut map = base.clone();
                if map.apply(&inc).is_ok() {
                    map_pgs(&map);
                }
            }
        })
        .holding(512, 64 << 20),
        Target::new("CrushWrapper", crushes, |bytes| {
            let map = from_bytes::<crush::CrushMap>(Bytes::copy_from_slice(bytes));
            // The monitor lets only a valid map in; what it lets in is placed with.
            if let Some(map) = map.ok().filter(|map| map.validate().is_ok()) {
                let rules: Vec<u32> = map.rules().map(|(id, _)| id).take(4).collect();
                for rule in rules {
                    map.do_rule(rule, 7, 3, &[0x10000; 64], 1);
                }
            }
        })
        .holding(512, 16 << 20),
    ]
}

/// Places some PGs, and dumps the map as `osd dump` does.
fn map_pgs(map: &osdmap::OsdMap) {
    for pool in map.pools.keys().take(3) {
        for ps in 0..4 {
            map.pg_to_up_acting(types::PgId::new(*pool, ps));
        }
    }
    map.dump();
}

fn frames() -> Vec<(u8, Vec<Vec<u8>>)> {
    include_str!("../../msgr/testdata/frames.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let tag = words.next()?.parse().ok()?;
            Some((tag, words.map(|w| if w == "-" { Vec::new() } else { unhex(w) }).collect()))
        })
        .collect()
}

fn server() -> Messenger {
    let addr = EntityAddr::msgr2("127.0.0.1:6800".parse().expect("an address"), 7);
    let policies = Policies {
        incoming: Policy::stateless_registered_server(),
        outgoing: Policy::lossy_client(),
        by_type: vec![(types::ENTITY_TYPE_OSD, Policy::lossless_peer())],
    };
    Messenger::new(Config::new(EntityName::osd(0), "0", EntityAddrVec::from(addr), policies))
}

const BANNER: &[u8] = b"ceph v2\n\x10\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const CONTROL_TAGS: [Tag; 8] = [
    Tag::Hello,
    Tag::AuthRequest,
    Tag::AuthRequestMore,
    Tag::AuthSignature,
    Tag::ClientIdent,
    Tag::SessionReconnect,
    Tag::Keepalive2,
    Tag::Ack,
];

fn wire_targets() -> Vec<Target> {
    let now = std::time::Duration::from_secs(1);
    let stream = unhex_lines(include_str!("../../msgr/testdata/mon-stream.hex"));
    let frames = frames();
    let hello = frames.iter().find(|(tag, _)| *tag == 1).expect("a hello was recorded").1[0].clone();
    let payloads: Vec<Vec<u8>> = frames.iter().filter_map(|(_, segments)| segments.first().cloned()).collect();
    let raw = move |bytes: &[u8]| {
        let mut m = server();
        let link = m.accept(now, "127.0.0.1:9".parse().expect("an address"));
        m.handle_bytes(now, link, bytes);
        while m.poll_event().is_some() {}
    };
    let good_crcs = move |noise: &mut Noise, payload: &[u8]| {
        let mut tx = TxQueue::default();
        let none = Bytes::new();
        put_frame(&mut tx, Codec::CrcRev1, Tag::Hello, &hello, [&none, &none, &none]);
        for _ in 0..1 + noise.below(3) {
            let tag = CONTROL_TAGS[noise.below(CONTROL_TAGS.len())];
            let payload = if payload.is_empty() { &[0] } else { payload };
            put_frame(&mut tx, Codec::CrcRev1, tag, payload, [&none, &none, &none]);
        }
        let mut m = server();
        let link = m.accept(now, "127.0.0.1:9".parse().expect("an address"));
        m.handle_bytes(now, link, &[BANNER, &tx.take_all()].concat());
        while let Some(event) = m.poll_event() {
            if let Event::Auth { conn, .. } = event {
                let done = AuthDone { global_id: 7, con_mode: MODE_CRC, payload: Bytes::new() };
                let outcome = AuthOutcome::default();
                m.auth_reply(conn, AuthVerdict::Done { entity: "client.x".to_owned(), done, outcome });
            }
        }
    };
    let mut reader_seeds = vec![stream.clone()];
    reader_seeds.push([BANNER, &stream].concat());
    vec![
        Target::new("msgr2 frames", reader_seeds.clone(), |bytes| {
            let mut reader = FrameReader::new(Limits::default());
            reader.set_codec(Codec::CrcRev1);
            reader.extend(bytes);
            while let Ok(Some(frame)) = reader.next_frame() {
                if frame.tag == Tag::Message {
                    let _ = msgr::open_message(frame);
                } else {
                    let _ = msgr::Control::open(frame);
                }
            }
        }),
        Target::new("msgr2 stream", reader_seeds, raw),
        Target {
            name: "msgr2 control frames".to_owned(),
            seeds: payloads,
            per_byte: 64,
            at_rest: 256 << 10,
            run: Box::new(good_crcs),
        },
    ]
}

fn transaction_target() -> Target {
    let seeds = include_str!("../../os/testdata/mosdrepop-data.hex").lines().map(unhex).collect();
    Target::new("ObjectStore::Transaction", seeds, |bytes| {
        if let Ok(txn) = from_bytes::<os::Transaction>(Bytes::copy_from_slice(bytes)) {
            // A transaction of a peer that the store refuses is an error, not a panic.
            let _ = os::MemStore::new().apply(&txn);
        }
    })
    .holding(256, 1 << 20)
}
