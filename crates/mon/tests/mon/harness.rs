//! One monitor on the model store; every output is performed at once, every write is durable at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use messages::{Body, MCommand, MMonCommand, MOSDBoot, MOSDFailure, Message};
use mon::{Mon, Setup};
use node::{AuthReply, ConnId, Dest, Endpoint, Input, Listening, Node, Now, Output, Peer};
use os::MemStore;
use types::{AddrType, EntityAddr, EntityName, OsdId, UTime, Uuid, features};

pub struct Cluster {
    pub mon: Mon,
    pub store: MemStore,
    pub mono: Duration,
    pub sent: VecDeque<(ConnId, Message)>,
    pub auth: Vec<(ConnId, AuthReply)>,
    pub exited: Option<i32>,
    /// Every transaction, in order.
    pub txns: Vec<os::Transaction>,
    next_conn: u64,
}

pub fn fsid() -> Uuid {
    "2f9e1c1a-5a5e-4a3c-9f0e-000102030405".parse().unwrap()
}

pub fn addr(port: u16, nonce: u32) -> EntityAddr {
    let mut a = EntityAddr::parse(&format!("v2:127.0.0.1:{port}"), AddrType::Msgr2).unwrap();
    a.nonce = nonce;
    a
}

/// What an OSD says of another that does not answer.
pub fn failure(target: OsdId, failed_for: i32, flags: u8) -> MOSDFailure {
    MOSDFailure {
        fsid: fsid(),
        target_osd: target,
        target_addrs: addr(7000 + target as u16 * 4, 9).into(),
        epoch: 1,
        flags,
        failed_for,
        ..MOSDFailure::default()
    }
}

pub fn setup(options: &[(&str, &str)]) -> Setup {
    let own = [
        ("osd_crush_chooseleaf_type", "0"),
        ("mon_osd_reporter_subtree_level", "osd"),
        ("mon_allow_pool_delete", "true"),
        ("osd_pool_default_pg_num", "8"),
        ("auth_allow_insecure_global_id_reclaim", "false"),
        ("osd_pool_default_pg_autoscale_mode", "off"),
    ];
    Setup {
        name: "a".to_owned(),
        fsid: fsid(),
        listening: Listening { public: addr(3300, 0), mgr: addr(6800, 77), ..Listening::default() },
        options: own.iter().chain(options).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        hostname: "vm".to_owned(),
        ..Setup::default()
    }
}

impl Cluster {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(options: &[(&str, &str)]) -> Self {
        let mut c = Self::on(MemStore::default(), options);
        c.input(Input::Start);
        c
    }

    pub fn on(store: MemStore, options: &[(&str, &str)]) -> Self {
        Self {
            mon: Mon::new(setup(options)),
            store,
            mono: Duration::from_secs(100),
            sent: VecDeque::new(),
            auth: vec![],
            exited: None,
            txns: vec![],
            next_conn: 1,
        }
    }

    /// The same store under a new process, as after kill -9.
    pub fn restart(self) -> Self {
        let mut c = Self::on(self.store, &[]);
        c.mono = self.mono;
        c.input(Input::Start);
        c
    }

    pub fn now(&self) -> Now {
        let wall = UTime { sec: 1_795_000_000 + self.mono.as_secs() as u32, nsec: self.mono.subsec_nanos() };
        Now { mono: self.mono, wall }
    }

    pub fn input(&mut self, input: Input) {
        self.input_all([input]);
    }

    /// Several inputs before anything of the first is durable.
    pub fn input_all<const N: usize>(&mut self, inputs: [Input; N]) {
        let mut inputs = VecDeque::from(inputs);
        while let Some(input) = inputs.pop_front() {
            let mut out = vec![];
            self.mon.handle(self.now(), &self.store, input, &mut out);
            for output in out {
                match output {
                    Output::Submit { token, txn } => {
                        self.store.apply(&txn).expect("the model store takes what the monitor writes");
                        self.txns.push(txn);
                        inputs.push_back(Input::Committed(token));
                    }
                    Output::Send { to: Dest::Conn(conn), msg, .. } => self.sent.push_back((conn, msg)),
                    Output::AuthReply { conn, reply } => self.auth.push((conn, reply)),
                    Output::Exit { code } => self.exited = Some(code),
                    _ => {}
                }
            }
        }
    }

    /// Time goes on by `secs`, with a wake-up each second.
    pub fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.mono += Duration::from_secs(1);
            self.input(Input::Wake);
        }
    }

    pub fn connect(&mut self, name: EntityName, entity: &str, at: EntityAddr) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let peer = Peer { name, addrs: at.into(), features: features::ALL, global_id: 4242, entity: entity.to_owned() };
        self.input(Input::Connected { conn, via: Endpoint::Public, peer, incoming: true });
        conn
    }

    pub fn client(&mut self) -> ConnId {
        self.connect(EntityName::client(4242), "client.admin", addr(0, 5))
    }

    pub fn send(&mut self, conn: ConnId, msg: impl Into<Message>) {
        self.input(Input::Message { conn, via: Endpoint::Public, msg: msg.into() });
    }

    /// What was sent to a connection since it was last asked.
    pub fn received(&mut self, conn: ConnId) -> Vec<Body> {
        let (ours, rest): (Vec<_>, Vec<_>) = self.sent.drain(..).partition(|(c, _)| *c == conn);
        self.sent = rest.into();
        ours.into_iter().map(|(_, m)| m.body).collect()
    }

    /// Runs a command: errno, text, output.
    pub fn run(&mut self, json: &str) -> (i32, String, String) {
        self.run_with(json, Bytes::new())
    }

    pub fn run_with(&mut self, json: &str, data: Bytes) -> (i32, String, String) {
        let conn = self.client();
        let m = MMonCommand { paxos: 0.into(), fsid: fsid(), cmd: vec![json.to_owned()], data };
        self.send(conn, m);
        let reply = self.received(conn).into_iter().find_map(|b| match b {
            Body::MMonCommandAck(m) => Some((m.r, m.rs, String::from_utf8_lossy(&m.data).into_owned())),
            _ => None,
        });
        self.input(Input::Reset { conn });
        reply.unwrap_or_else(|| panic!("{json} was not answered"))
    }

    pub fn tell(&mut self, json: &str) -> (i32, String, String) {
        let conn = self.client();
        self.send(conn, MCommand { fsid: fsid(), cmd: vec![json.to_owned()], data: Bytes::new() });
        let reply = self.received(conn).into_iter().find_map(|b| match b {
            Body::MCommandReply(m) => Some((m.r, m.rs, String::from_utf8_lossy(&m.data).into_owned())),
            _ => None,
        });
        reply.unwrap_or_else(|| panic!("{json} was not answered"))
    }

    /// A command that must succeed; its output.
    pub fn ok(&mut self, json: &str) -> String {
        let (r, rs, data) = self.run(json);
        assert_eq!(r, 0, "{json}: {rs}");
        data
    }

    pub fn json(&mut self, json: &str) -> serde_json::Value {
        let data = self.ok(json);
        serde_json::from_str(&data).unwrap_or_else(|e| panic!("{json}: {e}: {data}"))
    }

    /// Boots an OSD; gives its connection.
    pub fn boot(&mut self, osd: i32) -> ConnId {
        let conn = self.connect(EntityName::osd(osd), &format!("osd.{osd}"), addr(7000 + osd as u16 * 4, 9));
        self.send(conn, self.boot_message(osd));
        conn
    }

    pub fn boot_message(&self, osd: i32) -> MOSDBoot {
        let mut m = MOSDBoot::default();
        m.sb.cluster_fsid = fsid();
        m.sb.whoami = osd;
        m.sb.osd_fsid = Uuid([osd as u8 + 1; 16]);
        m.cluster_addrs = addr(7001 + osd as u16 * 4, 9).into();
        m.hb_back_addrs = addr(7002 + osd as u16 * 4, 9).into();
        m.hb_front_addrs = addr(7003 + osd as u16 * 4, 9).into();
        m.osd_features = features::ALL;
        m.metadata = BTreeMap::from([
            ("hostname".to_owned(), "vm".to_owned()),
            ("osd_size".to_owned(), (10u64 << 30).to_string()),
            ("default_device_class".to_owned(), "hdd".to_owned()),
            ("ceph_version".to_owned(), types::version::full()),
        ]);
        m
    }

    pub fn with_osds(n: i32) -> Self {
        let mut c = Self::new();
        for osd in 0..n {
            c.boot(osd);
        }
        c
    }
}

// --- the manager

impl Cluster {
    /// An OSD's report to the manager.
    pub fn report(&mut self, osd: i32, stats: messages::MPGStats) {
        let conn = ConnId(10_000 + osd as u64);
        let peer = Peer {
            name: EntityName::osd(osd),
            addrs: addr(7000 + osd as u16 * 4, 9).into(),
            features: features::ALL,
            global_id: 4300 + osd as u64,
            entity: format!("osd.{osd}"),
        };
        self.input(Input::Connected { conn, via: Endpoint::Mgr, peer, incoming: true });
        self.input(Input::Message { conn, via: Endpoint::Mgr, msg: stats.into() });
    }

    /// A command to the manager: errno, text, output.
    pub fn ask_mgr(&mut self, json: &str, data: impl Into<Bytes>) -> (i32, String, String) {
        let conn = ConnId(20_000);
        let peer = Peer {
            name: EntityName::client(4242),
            addrs: addr(0, 5).into(),
            features: features::ALL,
            global_id: 4242,
            entity: "client.admin".to_owned(),
        };
        self.input(Input::Connected { conn, via: Endpoint::Mgr, peer, incoming: true });
        let m = MCommand { fsid: fsid(), cmd: vec![json.to_owned()], data: data.into() };
        self.input(Input::Message { conn, via: Endpoint::Mgr, msg: m.into() });
        let reply = self.received(conn).into_iter().find_map(|b| match b {
            Body::MCommandReply(m) => Some((m.r, m.rs, String::from_utf8_lossy(&m.data).into_owned())),
            _ => None,
        });
        self.input(Input::Reset { conn });
        reply.unwrap_or_else(|| panic!("{json} was not answered"))
    }

    /// The codes of what is wrong, after a moment.
    pub fn codes(&mut self) -> Vec<String> {
        self.pass(1);
        let health = self.json(r#"{"prefix":"health","format":"json"}"#);
        health["checks"].as_object().unwrap().keys().cloned().collect()
    }

    /// Severity, summary and details of one check.
    pub fn check(&mut self, code: &str) -> (String, String, Vec<String>) {
        self.pass(1);
        let health = self.json(r#"{"prefix":"health","detail":"detail","format":"json"}"#);
        let check = &health["checks"][code];
        assert!(check.is_object(), "{code} is not raised: {health}");
        let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
        let lines = check["detail"].as_array().unwrap().iter().map(|line| text(&line["message"])).collect();
        (text(&check["severity"]), text(&check["summary"]["message"]), lines)
    }
}
