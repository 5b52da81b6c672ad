//! Whole daemons under damaged input: every recorded message, damaged and undamaged, from every kind of peer, in any
//! order, to a monitor and to an OSD as values; damaged commands to both; stores with flipped bytes.
//!
//! What a daemon answers is not judged, only that it lives and does not hold ever more.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use messages::{Message, Wire};
use monclient::MonAddr;
use node::{ConnId, Endpoint, Input, Listening, Node, Now, Output, Peer};
use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use store::sim::{Lost, SimDisk};
use store::{Geometry, Options, Store, Superblock};
use types::{EntityAddr, EntityName, GHObject, HObject, UTime, Uuid, features};

use crate::decoders::{Target, recorded_messages};
use crate::noise::Noise;

/// A daemon starts afresh after so many inputs, so that a finding repeats from few of them.
const LIFE: u32 = 400;

/// Commands to start from; their answers read most of a daemon's state.
const COMMANDS: &[&str] = &[
    r#"{"prefix":"status","format":"json"}"#,
    r#"{"prefix":"health","detail":"detail"}"#,
    r#"{"prefix":"osd pool create","pool":"p","pg_num":8,"pgp_num":8,"pool_type":"replicated"}"#,
    r#"{"prefix":"osd pool set","pool":"p","var":"size","val":"2"}"#,
    r#"{"prefix":"osd pool delete","pool":"p","pool2":"p","yes_i_really_really_mean_it":true}"#,
    r#"{"prefix":"osd dump","epoch":1,"format":"json"}"#,
    r#"{"prefix":"osd tree","states":["up"],"format":"json-pretty"}"#,
    r#"{"prefix":"osd map","pool":"p","object":"o","nspace":"n","format":"xml"}"#,
    r#"{"prefix":"osd out","ids":["0","1"]}"#,
    r#"{"prefix":"osd reweight","id":0,"weight":0.5}"#,
    r#"{"prefix":"osd blocklist","blocklistop":"add","addr":"127.0.0.1:0/1","expire":60.0}"#,
    r#"{"prefix":"config set","who":"osd.0","name":"osd_max_backfills","value":"2"}"#,
    r#"{"prefix":"config-key set","key":"k","val":"v"}"#,
    r#"{"prefix":"osd new","uuid":"11111111-2222-3333-4444-555555555555","id":"0"}"#,
    r#"{"prefix":"log","logtext":["a","b"]}"#,
    r#"{"prefix":"pg dump","dumpcontents":["pgs"],"format":"json"}"#,
    r#"{"prefix":"get_command_descriptions"}"#,
    r#"{"prefix":"perf dump"}"#,
    r#"{"prefix":"query","pgid":"1.0"}"#,
];

pub fn all() -> Vec<Target> {
    let messages = |name: &str, make: fn(u64) -> Host| {
        let wires = recorded_messages();
        let seeds = wires.iter().map(|w| w.front.to_vec()).collect();
        let mut host = make(1);
        let run = move |noise: &mut Noise, front: &[u8]| {
            host.renew(make, noise);
            let like = &wires[noise.below(wires.len())];
            let whole = noise.below(2) == 0;
            let front = if whole { like.front.clone() } else { Bytes::copy_from_slice(front) };
            host.message(noise, Wire { front, ..like.clone() });
        };
        Target { name: name.to_owned(), seeds, per_byte: 4096, at_rest: 64 << 20, run: Box::new(run) }
    };
    let commands = |name: &str, make: fn(u64) -> Host| {
        let seeds = COMMANDS.iter().map(|c| c.as_bytes().to_vec()).collect();
        let mut host = make(1);
        let run = move |noise: &mut Noise, text: &[u8]| {
            host.renew(make, noise);
            host.command(String::from_utf8_lossy(text).into_owned());
        };
        Target { name: name.to_owned(), seeds, per_byte: 4096, at_rest: 64 << 20, run: Box::new(run) }
    };
    vec![
        messages("a monitor's messages", Host::mon),
        messages("an OSD's messages", Host::osd),
        commands("a monitor's commands", Host::mon),
        commands("an OSD's commands", Host::osd),
        store_target(),
    ]
}

/// One daemon with a store in memory that is always quick.
struct Host {
    node: Box<dyn Node>,
    store: MemStore,
    now: Duration,
    inputs: u32,
    failed: bool,
    /// Every transaction is the daemon's own making.
    own_writes: bool,
}

fn listening(port: u16) -> Listening {
    let addr = |n: u16| EntityAddr::msgr2(([127, 0, 0, 1], port + n).into(), 1);
    Listening { public: addr(0), cluster: addr(1), hb_back: addr(2), hb_front: addr(3), ..Listening::default() }
}

impl Host {
    fn mon(seed: u64) -> Self {
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&seed.to_le_bytes());
        let setup = mon::Setup {
            name: "a".to_owned(),
            fsid: Uuid::from_random([1; 16]),
            listening: listening(6700),
            hostname: "here".to_owned(),
            entropy,
            ..mon::Setup::default()
        };
        let mut host = Self::new(Box::new(mon::Mon::new(setup)), true);
        for command in COMMANDS.iter().filter(|c| c.contains("osd new") || c.contains("pool create")) {
            host.command((*command).to_owned());
        }
        host
    }

    fn osd(seed: u64) -> Self {
        let mon = EntityAddr::msgr2(([127, 0, 0, 1], 6700).into(), 0);
        Self::new(
            Box::new(osd::Osd::new(osd::Setup {
                whoami: 0,
                fsid: Uuid::from_random([1; 16]),
                osd_fsid: Uuid::from_random([2; 16]),
                listening: listening(6800),
                mons: vec![MonAddr { rank: 0, addrs: mon.into() }],
                hostname: "here".to_owned(),
                options: Vec::new(),
                metadata: std::collections::BTreeMap::new(),
                seed,
            })),
            false,
        )
    }

    fn new(node: Box<dyn Node>, own_writes: bool) -> Self {
        let mut host =
            Self { node, store: MemStore::new(), now: Duration::from_secs(1), inputs: 0, failed: false, own_writes };
        host.feed(Input::Start);
        let peers = [EntityName::client(4100), EntityName::mon(0), EntityName::osd(1), EntityName::mgr(1)];
        for (i, name) in peers.into_iter().enumerate() {
            for (n, via) in [Endpoint::Public, Endpoint::Cluster].into_iter().enumerate() {
                let addr = EntityAddr::msgr2(([127, 0, 0, 1], 7000 + i as u16).into(), 5);
                let peer = Peer {
                    name,
                    addrs: addr.into(),
                    features: features::ALL,
                    global_id: 4100 + i as u64,
                    entity: "client.admin".to_owned(),
                };
                let conn = ConnId(1 + (2 * i + n) as u64);
                host.feed(Input::Connected { conn, via, peer, incoming: i % 2 == 0 });
            }
        }
        host
    }

    fn renew(&mut self, make: fn(u64) -> Self, noise: &mut Noise) {
        self.inputs += 1;
        if self.inputs > LIFE || self.failed {
            *self = make(noise.word());
        }
    }

    fn message(&mut self, noise: &mut Noise, wire: Wire) {
        let Ok(msg) = Message::decode(wire, features::ALL) else { return };
        let n = noise.below(8) as u64;
        let via = if n.is_multiple_of(2) { Endpoint::Public } else { Endpoint::Cluster };
        self.feed(Input::Message { conn: ConnId(1 + n), via, msg });
        if noise.below(20) == 0 {
            self.now += Duration::from_millis(noise.below(3000) as u64);
            self.feed(Input::Wake);
        }
    }

    fn command(&mut self, command: String) {
        self.feed(Input::Admin { id: 1, command });
    }

    /// Gives one input and performs all that follows from it.
    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        for _ in 0..2000 {
            let Some(input) = inputs.pop_front() else { break };
            let now = Now { mono: self.now, wall: UTime { sec: 1_700_000_000 + self.now.as_secs() as u32, nsec: 0 } };
            self.node.handle(now, &self.store, input, &mut out);
            for output in out.drain(..) {
                match output {
                    Output::Submit { token, txn } => match self.store.apply(&txn) {
                        Ok(()) => inputs.push_back(Input::Committed(token)),
                        Err(e) => {
                            // An OSD writes what its primary tells it: OSDs trust each other. A monitor's are its own.
                            assert!(!self.own_writes, "the store refuses a transaction: {e}");
                            self.failed = true;
                        }
                    },
                    Output::Read { token, coll, oid, off, len, .. } => {
                        let result = self.store.read(coll, &oid, off, len);
                        inputs.push_back(Input::ReadDone { token, result });
                    }
                    Output::Exit { .. } => self.failed = true,
                    _ => {}
                }
            }
            if self.node.runnable() {
                inputs.push_back(Input::Continue);
            }
        }
    }
}

/// A store on a simulated disk, closed, of which some bytes are flipped: it opens or refuses, `fsck` ends, and what
/// can be read is read.
fn store_target() -> Target {
    let superblock = || Superblock {
        uuid: Uuid::from_random([9; 16]),
        size: Geometry::new(Uuid::from_random([9; 16]), 64 << 20).size,
        wal_ring: 256 << 10,
        meta: Default::default(),
    };
    let options = || Options {
        onode_cache_bytes: 4096,
        kv_cache_bytes: 1 << 20,
        overlay_bytes: 32 << 10,
        large_write: 32 << 10,
        unsettled_bytes: 16 << 10,
    };
    let object = |n: u64| -> GHObject {
        HObject { pool: 1, hash: n as u32, snap: types::SNAP_HEAD, oid: "o".into(), ..HObject::default() }.into()
    };
    let coll = Coll::Pg(types::PgId::new(1, 0).into());
    let disk = SimDisk::new();
    let filled = Store::open_devices(disk.devices(), options(), "sim", &superblock()).expect("a new disk is good");
    let mut first = Transaction::default();
    first.ops.push(TxOp::MkColl { coll, bits: 0 });
    filled.submit(0, &first).expect("a new store takes it");
    for n in 0..20u64 {
        let mut txn = Transaction::default();
        let data = Bytes::from(vec![n as u8; 3000 * n as usize + 10]);
        txn.ops.push(TxOp::Write { coll, oid: object(n), off: n * 100, data, fadvise: 0 });
        filled.submit(n + 1, &txn).expect("there is room");
        filled.commit_step().expect("the disk is good");
    }
    drop(filled);
    let run = move |noise: &mut Noise, _: &[u8]| {
        let disk = disk.crash(Lost::All, &mut |n| noise.word() % n.max(1));
        let devices = disk.devices();
        for _ in 0..1 + noise.below(6) {
            let sim = [&disk.wal, &disk.kv, &disk.block][noise.below(3)];
            let off = noise.word() % (512 << 10);
            sim.flip(off, 1 << noise.below(8));
        }
        store::fsck_devices(&devices, &superblock());
        if let Ok(store) = Store::open_devices(devices, options(), "sim", &superblock()) {
            let reader = store.reader();
            for n in 0..20 {
                let _ = reader.read(coll, &object(n), 0, 1 << 20);
            }
        }
    };
    let seeds = vec![vec![0]];
    Target { name: "a store with flipped bits".to_owned(), seeds, per_byte: 0, at_rest: 64 << 20, run: Box::new(run) }
}
