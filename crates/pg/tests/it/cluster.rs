//! One PG on several OSDs, with monitors of a few lines, a network and disks that do what a case says.
//!
//! Each OSD has a store as it would be after a crash (`durable`) and one as its PG sees it (`live`).
//! Every message goes through its encoding.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messages::{Body, MOSDOp, Message};
use node::{ConnId, Now, Peer, Token};
use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use osdmap::{Incremental, OsdMap};
use pg::scrub::ScrubSlots;
use pg::track::Tracker;
use pg::{ClockDelta, Env, Pg, PgConfig, PgOutput, Stray, Tokens};
use types::options::{Config, Source};
use types::pool::PgMergeMeta;
use types::{
    EntityAddr, EntityAddrVec, EntityName, Epoch, GHObject, HObject, OsdId, OsdOp, PgId, PgPool, SNAP_HEAD, SpgId,
    UTime, Uuid, features, op, osd_flag, pg_state,
};

const POOL: i64 = 1;

pub fn pgid() -> SpgId {
    PgId::new(POOL, 0).into()
}

/// What splits off it.
pub fn child() -> SpgId {
    PgId::new(POOL, 1).into()
}

pub struct Host {
    pub live: MemStore,
    pub durable: MemStore,
    /// Submitted and not committed, in order.
    unsynced: VecDeque<(Token, Transaction)>,
    /// Messages that wait for a commit.
    held: Vec<(Token, PgOutput)>,
    pub pg: Option<Pg>,
    /// The half of a split PG that no command speaks of at present: it stands still.
    aside: Option<Pg>,
    /// The process runs.
    pub running: bool,
    tokens: Tokens,
    scrubs: ScrubSlots,
    rooms: pg::Rooms,
    /// Commits do not come.
    pub slow_disk: bool,
    /// New maps do not come.
    pub deaf: bool,
    reads: VecDeque<(Token, Coll, GHObject, u64, u64)>,
    recoveries: u32,
}

pub struct Cluster {
    /// The PG that is played: the first, or what split off it.
    pub pgid: SpgId,
    pub maps: Vec<Arc<OsdMap>>,
    pub hosts: BTreeMap<OsdId, Host>,
    net: VecDeque<(OsdId, OsdId, Message)>,
    /// Pairs between which nothing gets through.
    pub cut: BTreeSet<(OsdId, OsdId)>,
    stuck: VecDeque<(OsdId, OsdId, Message)>,
    /// Pairs between which everything is lost, though their sessions live.
    pub lossy: BTreeSet<(OsdId, OsdId)>,
    /// Messages of a type to an OSD that are held back.
    pub hold: BTreeSet<(String, OsdId)>,
    held_back: VecDeque<(OsdId, OsdId, Message)>,
    stashed: BTreeMap<(OsdId, String), Transaction>,
    pub now: Duration,
    pub cfg: PgConfig,
    clocks: BTreeMap<OsdId, ClockDelta>,
    client: Arc<Peer>,
    last_tid: u64,
    sent: BTreeMap<u64, MOSDOp>,
    /// Everything that clients got.
    pub replies: Vec<Message>,
    /// The maps by which clients sent what was let go of: they are told of newer ones.
    pub outdated: Vec<Epoch>,
    /// OSDs whose PG had something new for the manager since their last reports.
    news: BTreeSet<OsdId>,
    /// The monitors answer requests of OSDs.
    pub mon: bool,
    wanted: Vec<Wanted>,
    pub log: Vec<String>,
    /// Bytes of data in pushes.
    pub pushed: usize,
    /// Set in the ops that clients send.
    pub op_flags: u32,
    /// What clients know of snapshots, newest first.
    pub snaps: Vec<u64>,
    /// At which snapshot they read; the head if at none.
    pub read_at: u64,
    tracing: bool,
}

#[derive(Debug, PartialEq)]
enum Wanted {
    UpThru(OsdId, Epoch),
    PgTemp(Vec<OsdId>),
}

fn addr(osd: OsdId, nonce: u32) -> EntityAddrVec {
    let sock = format!("127.0.0.1:{}", 6800 + osd).parse().expect("an address");
    EntityAddr::msgr2(sock, nonce).into()
}

impl Cluster {
    pub fn new(osds: i32, size: u8, min_size: u8) -> Self {
        let mut config = Config::daemon();
        config.set("osd_delete_sleep", "0", Source::Override).expect("an option");
        // Only those that a case asks for.
        config.set("osd_scrub_min_interval", "1e12", Source::Override).expect("an option");
        let entity = EntityName::client(4100);
        let client = Peer {
            name: entity,
            addrs: addr(100, 9),
            features: features::ALL,
            global_id: 4100,
            entity: "client.admin".into(),
        };
        let mut c = Self {
            pgid: pgid(),
            maps: vec![Arc::new(OsdMap::default())],
            hosts: BTreeMap::new(),
            net: VecDeque::new(),
            cut: BTreeSet::new(),
            stuck: VecDeque::new(),
            lossy: BTreeSet::new(),
            hold: BTreeSet::new(),
            held_back: VecDeque::new(),
            stashed: BTreeMap::new(),
            now: Duration::from_secs(1000),
            cfg: PgConfig::new(&config, 1),
            clocks: BTreeMap::new(),
            client: Arc::new(client),
            last_tid: 0,
            sent: BTreeMap::new(),
            replies: Vec::new(),
            outdated: Vec::new(),
            news: BTreeSet::new(),
            mon: true,
            wanted: Vec::new(),
            log: Vec::new(),
            pushed: 0,
            op_flags: 0,
            snaps: Vec::new(),
            read_at: SNAP_HEAD,
            tracing: std::env::var_os("PG_TRACE").is_some(),
        };
        c.next_map(|inc, _| {
            inc.new_max_osd = Some(osds);
            for osd in 0..osds {
                inc.new_state.insert(osd, types::osd_state::EXISTS);
                inc.new_weight.insert(osd, 0x10000);
                inc.new_uuid.insert(osd, Uuid([osd as u8 + 1; 16]));
                boot(inc, osd, 1);
            }
        });
        c.next_map(|inc, _| {
            let pool = PgPool {
                kind: types::pool::POOL_TYPE_REPLICATED,
                size,
                min_size,
                pg_num: 1,
                pgp_num: 1,
                pg_num_pending: 1,
                pg_num_target: 1,
                pgp_num_target: 1,
                object_hash: 2,
                ..PgPool::default()
            };
            inc.new_pools.insert(POOL, pool);
            inc.new_pool_names.insert(POOL, "rbd".into());
            inc.new_pg_upmap.insert(pgid().pgid, (0..i32::from(size)).collect());
        });
        for osd in 0..osds {
            c.clocks.insert(osd, ClockDelta { lb: Some(0), ub: Some(0) });
            c.hosts.insert(osd, Host::new());
        }
        c.create_pg();
        c
    }

    /// The monitors tell the primary to create the PG.
    fn create_pg(&mut self) {
        let map = self.map();
        let primary = map.pg_to_up_acting(pgid().pgid).acting_primary;
        let (created, maps) = (map.epoch, self.maps.clone());
        let lookup = move |e: Epoch| maps.get(e as usize).cloned();
        self.with_env(primary, &map, |host, env| {
            host.pg = Some(Pg::create(pgid(), env, created, UTime { sec: 7, nsec: 0 }, &lookup));
        });
        self.with_pg(primary, Pg::activate_map);
    }

    pub fn map(&self) -> Arc<OsdMap> {
        self.maps.last().expect("there is a map").clone()
    }

    pub fn next_map(&mut self, change: impl FnOnce(&mut Incremental, &OsdMap)) {
        let mut map = (*self.map()).clone();
        let mut inc = Incremental::new(Uuid([9; 16]), map.epoch + 1);
        change(&mut inc, &map);
        map.apply(&inc).expect("a good incremental");
        self.maps.push(Arc::new(map));
        self.trace(|| {
            let map = self.map();
            let up: Vec<OsdId> = map.osds().filter(|o| map.is_up(*o)).collect();
            let up_thru: Vec<Epoch> = map.osds().map(|o| map.info(o).up_thru).collect();
            format!("map: up {up:?} up_thru {up_thru:?} temp {:?}", map.pg_temp)
        });
    }

    /// `PG_TRACE=1` shows what happens.
    fn trace(&self, what: impl FnOnce() -> String) {
        if self.tracing {
            eprintln!("e{} {}", self.map().epoch, what());
        }
    }

    // --- hosts

    pub fn with_env<R>(&mut self, osd: OsdId, map: &Arc<OsdMap>, f: impl FnOnce(&mut Host, &mut Env) -> R) -> R {
        let mut out = Vec::new();
        let host = self.hosts.get_mut(&osd).expect("a host");
        let mut tokens = std::mem::take(&mut host.tokens);
        let mut tracker = Tracker::new(&Config::daemon());
        let mut scrubs = std::mem::take(&mut host.scrubs);
        let mut rooms = std::mem::take(&mut host.rooms);
        let store = host.live.clone();
        let wall = UTime::from_duration(Duration::from_secs(1_700_000_000) + self.now);
        let mut env = Env {
            now: Now { mono: self.now, wall },
            whoami: osd,
            map,
            store: &store,
            cfg: &self.cfg,
            failsafe_full: false,
            clocks: &self.clocks,
            tokens: &mut tokens,
            tracker: &mut tracker,
            scrubs: &mut scrubs,
            rooms: &mut rooms,
            out: &mut out,
        };
        let result = f(host, &mut env);
        host.tokens = tokens;
        host.scrubs = scrubs;
        host.rooms = rooms;
        self.perform(osd, out);
        result
    }

    pub fn with_pg(&mut self, osd: OsdId, f: impl FnOnce(&mut Pg, &mut Env)) {
        let Some(map) = self.hosts[&osd].pg.as_ref().map(|pg| pg.map().clone()) else { return };
        self.with_env(osd, &map, |host, env| {
            let mut pg = host.pg.take().expect("just looked");
            f(&mut pg, env);
            host.pg = Some(pg);
        });
    }

    fn perform(&mut self, osd: OsdId, out: Vec<PgOutput>) {
        for output in out {
            let host = self.hosts.get_mut(&osd).expect("a host");
            match output {
                PgOutput::ToOsd { after: Some(t), .. } | PgOutput::ToClient { after: Some(t), .. }
                    if host.unsynced.iter().any(|(u, _)| *u >= t) =>
                {
                    host.held.push((t, output));
                }
                PgOutput::ToOsd { osd: to, msg, .. } => {
                    if let Body::MOSDPGPush(m) = &msg.body {
                        self.pushed += m.pushes.iter().map(|p| p.data.len()).sum::<usize>();
                    }
                    self.net.push_back((osd, to, recoded(msg)));
                }
                PgOutput::ToClient { msg, .. } => self.replies.push(recoded(msg)),
                PgOutput::DiskFails { why } => self.log.push(format!("osd.{osd} leaves: {why}")),
                PgOutput::ShareMap { has, .. } => self.outdated.push(has),
                PgOutput::Submit { token, txn } => {
                    host.live.apply(&txn).unwrap_or_else(|e| panic!("osd.{osd} {e}: {txn:?}"));
                    host.unsynced.push_back((token, txn));
                }
                PgOutput::Read { token, coll, oid, off, len, .. } => host.reads.push_back((token, coll, oid, off, len)),
                PgOutput::Fetch { .. } => panic!("no case copies objects"),
                PgOutput::UpThru { want } => self.want(Wanted::UpThru(osd, want)),
                PgOutput::PgTemp { want, .. } => self.want(Wanted::PgTemp(want)),
                PgOutput::ReserveLocal { .. } => self.with_pg(osd, Pg::local_reserved),
                PgOutput::ReserveRemote { .. } => self.with_pg(osd, Pg::remote_reserved),
                PgOutput::ReserveSnapTrim => self.with_pg(osd, Pg::snap_trim_reserved),
                PgOutput::QueueRecovery { .. } => host.recoveries += 1,
                PgOutput::ClusterLog { text, .. } => self.log.push(format!("osd.{osd}: {text}")),
                PgOutput::Removed => {
                    if let Some(mut pg) = host.pg.take() {
                        self.net.extend(pg.take_held().map(|(from, msg)| (from, osd, msg)));
                    }
                }
                PgOutput::StatChanged => {
                    self.news.insert(osd);
                }
                PgOutput::PgTempDone
                | PgOutput::Merge { .. }
                | PgOutput::MergeOff
                | PgOutput::Created
                | PgOutput::CancelLocal
                | PgOutput::UpdateLocal { .. }
                | PgOutput::CancelRemote
                | PgOutput::CancelSnapTrim
                | PgOutput::RecoveryDone { .. }
                | PgOutput::PeersChanged => (),
            }
        }
    }

    fn want(&mut self, wanted: Wanted) {
        if !self.wanted.contains(&wanted) {
            self.wanted.push(wanted);
        }
    }

    /// All OSDs report to the manager; who had news.
    pub fn report(&mut self) -> BTreeSet<OsdId> {
        let now = Now { mono: self.now, wall: UTime::default() };
        for pg in self.hosts.values_mut().filter_map(|h| h.pg.as_mut()) {
            pg.stat(now);
        }
        std::mem::take(&mut self.news)
    }

    /// Changes the pool's `pg_num`; with `meta`, as the end of a merge that both PGs were ready for.
    pub fn set_pg_num(&mut self, pg_num: u32, meta: PgMergeMeta) {
        self.next_map(|inc, map| {
            let p = inc.pool_mut(map, POOL).expect("the pool");
            (p.pg_num, p.pg_num_pending, p.pg_num_target) = (pg_num, pg_num, pg_num);
            p.last_pg_merge_meta = meta;
        });
    }

    /// The PG splits in two, at the places where it was; the other half waits to be played.
    pub fn split_in_two(&mut self) {
        self.next_map(|inc, map| {
            let pool = inc.pool_mut(map, POOL).expect("the pool");
            (pool.pg_num, pool.pg_num_pending, pool.pg_num_target) = (2, 2, 2);
            let places = map.pg_upmap.get(&pgid().pgid).cloned().expect("a case says where the PG is");
            inc.new_pg_upmap.insert(child().pgid, places);
        });
    }

    /// From now on commands speak of the other half of a PG that was split.
    pub fn turn(&mut self) {
        self.settle();
        self.pgid = if self.pgid == child() { pgid() } else { child() };
        self.hosts.values_mut().for_each(Host::turn);
    }

    /// Gives the newest map to the PG; what splits off it is the caller's.
    pub fn split(&mut self, osd: OsdId) -> Vec<Pg> {
        let map = self.map();
        self.with_env(osd, &map, |host, env| host.pg.as_mut().expect("there").advance_map(env))
    }

    /// Everything submitted reaches the disk, though nobody is told.
    pub fn sync(&mut self, osd: OsdId) {
        let host = self.hosts.get_mut(&osd).expect("a host");
        host.durable.clone_from(&host.live);
        host.unsynced.clear();
    }

    // --- one step at a time

    /// Lets everything happen that can, until nothing does.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Everyone does one thing, if there is one to do.
    pub fn step(&mut self) -> bool {
        self.take_maps() | self.deliver() | self.commit() | self.read() | self.recover() | self.delete() | self.decide()
    }

    /// One thing happens, as chance has it.
    pub fn step_one(&mut self, choice: usize) {
        match choice % 10 {
            0 | 1 => self.take_maps(),
            2..=5 => self.deliver_any(choice / 10),
            6 | 7 => self.commit(),
            8 => self.read() | self.recover(),
            _ => self.decide() | self.delete(),
        };
    }

    /// Delivers the oldest message of any pair.
    fn deliver_any(&mut self, choice: usize) -> bool {
        let mut pairs: Vec<(OsdId, OsdId)> = self.net.iter().map(|(a, b, _)| (*a, *b)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let Some(pair) = pairs.get(choice % pairs.len().max(1)) else { return false };
        let at = self.net.iter().position(|(a, b, _)| (*a, *b) == *pair).expect("just seen");
        let first = self.net.remove(at).expect("just seen");
        self.net.push_front(first);
        self.deliver()
    }

    fn take_maps(&mut self) -> bool {
        let mut any = false;
        for osd in self.hosts.keys().copied().collect::<Vec<_>>() {
            let mut moved = false;
            loop {
                let host = &self.hosts[&osd];
                let at = host.pg.as_ref().filter(|_| host.running && !host.deaf).map(|pg| pg.map().epoch as usize);
                let Some(next) = at.and_then(|at| self.maps.get(at + 1).cloned()) else { break };
                self.with_env(osd, &next, |host, env| {
                    let mut children = host.pg.as_mut().expect("there").advance_map(env);
                    host.aside = children.pop().or(host.aside.take());
                });
                moved = true;
            }
            if moved {
                self.with_pg(osd, Pg::activate_map);
            }
            any |= moved;
        }
        any
    }

    fn deliver(&mut self) -> bool {
        let Some((from, to, msg)) = self.net.pop_front() else { return false };
        if self.cut.contains(&(from.min(to), from.max(to))) {
            self.stuck.push_back((from, to, msg));
            return true;
        }
        if self.lossy.contains(&(from.min(to), from.max(to))) {
            return true;
        }
        if self.hold.contains(&(msg.body.name().to_owned(), to)) {
            self.held_back.push_back((from, to, msg));
            return true;
        }
        self.trace(|| {
            format!("osd.{from} -> osd.{to} {}", format!("{:?}", msg.body).chars().take(260).collect::<String>())
        });
        let map = self.map();
        let host = &self.hosts[&to];
        if !host.running || !self.hosts[&from].running || map.is_down(to) && !host.deaf {
            return true;
        }
        if host.pg.is_some() {
            self.with_pg(to, |pg, env| pg.peer_message(env, from, msg));
            return true;
        }
        match self.with_env(to, &map, |_, env| pg::stray_message(env, from, &msg)) {
            Stray::Create => {
                let (pgid, maps) = (self.pgid, self.maps.clone());
                let lookup = move |e: Epoch| maps.get(e as usize).cloned();
                self.with_env(to, &map, |host, env| {
                    host.pg = Some(Pg::create_for_peer(pgid, env, &msg, &lookup));
                });
                self.with_pg(to, Pg::activate_map);
                self.with_pg(to, |pg, env| pg.peer_message(env, from, msg));
            }
            Stray::Reply(reply) => self.net.push_back((to, from, *reply)),
            Stray::Ignore => (),
        }
        true
    }

    fn commit(&mut self) -> bool {
        let mut any = false;
        for osd in self.hosts.keys().copied().collect::<Vec<_>>() {
            let host = self.hosts.get_mut(&osd).expect("a host");
            if host.slow_disk || !host.running {
                continue;
            }
            let Some((token, txn)) = host.unsynced.pop_front() else { continue };
            host.durable.apply(&txn).expect("it was applied once");
            let (go, keep) = std::mem::take(&mut host.held).into_iter().partition(|(t, _)| *t <= token);
            host.held = keep;
            let go: Vec<(Token, PgOutput)> = go;
            self.perform(osd, go.into_iter().map(|(_, o)| o).collect());
            for _half in 0..2 {
                self.with_pg(osd, |pg, env| pg.committed(env, token));
                self.hosts.get_mut(&osd).expect("a host").turn();
            }
            any = true;
        }
        any
    }

    fn read(&mut self) -> bool {
        let mut any = false;
        for osd in self.hosts.keys().copied().collect::<Vec<_>>() {
            let host = self.hosts.get_mut(&osd).expect("a host");
            let Some((token, coll, oid, off, len)) = host.reads.pop_front() else { continue };
            let result = host.live.read(coll, &oid, off, len);
            self.with_pg(osd, |pg, env| pg.read_done(env, token, result));
            any = true;
        }
        any
    }

    fn recover(&mut self) -> bool {
        let mut any = false;
        for osd in self.hosts.keys().copied().collect::<Vec<_>>() {
            let host = self.hosts.get_mut(&osd).expect("a host");
            if std::mem::take(&mut host.recoveries) > 0 {
                self.with_pg(osd, |pg, env| {
                    pg.recover(env, 3);
                });
                any = true;
            }
        }
        any
    }

    fn delete(&mut self) -> bool {
        let now = Now { mono: self.now, wall: UTime::default() };
        let runnable = |h: &Host| h.pg.as_ref().is_some_and(|pg| pg.is_deleting() || pg.runnable(now));
        let osds: Vec<OsdId> = self.hosts.iter().filter(|(_, h)| runnable(h)).map(|(o, _)| *o).collect();
        let mut any = false;
        for osd in osds {
            self.with_pg(osd, |pg, env| any |= pg.step(env) || !pg.is_deleting());
        }
        any
    }

    /// The monitors.
    fn decide(&mut self) -> bool {
        if !self.mon || self.wanted.is_empty() {
            return false;
        }
        let wanted = std::mem::take(&mut self.wanted);
        let map = self.map();
        let needed = wanted.into_iter().filter(|w| match w {
            Wanted::UpThru(osd, want) => map.is_up(*osd) && map.info(*osd).up_thru < *want,
            Wanted::PgTemp(want) => map.pg_temp.get(&self.pgid.pgid).cloned().unwrap_or_default() != *want,
        });
        let needed: Vec<Wanted> = needed.collect();
        if needed.is_empty() {
            return false;
        }
        let pgid = self.pgid.pgid;
        self.next_map(|inc, map| {
            for w in needed {
                match w {
                    Wanted::UpThru(osd, _) => {
                        inc.new_up_thru.insert(osd, map.epoch);
                    }
                    Wanted::PgTemp(want) => {
                        inc.new_pg_temp.insert(pgid, want);
                    }
                }
            }
        });
        true
    }

    // --- what cases do

    /// The process is gone, with what was not synced. The monitors do not know yet.
    pub fn kill(&mut self, osd: OsdId) {
        self.trace(|| format!("kill osd.{osd}"));
        let host = self.hosts.get_mut(&osd).expect("a host");
        host.running = false;
        host.live = host.durable.clone();
        (host.pg, host.aside) = (None, None);
        host.unsynced.clear();
        host.held.clear();
        host.reads.clear();
        host.recoveries = 0;
        self.net.retain(|(from, to, _)| *from != osd && *to != osd);
        self.stuck.retain(|(from, to, _)| *from != osd && *to != osd);
    }

    pub fn mark_down(&mut self, osds: &[OsdId]) {
        self.next_map(|inc, map| osds.iter().for_each(|o| inc.mark_down(map, *o)));
    }

    /// And they vouch that it serves nobody.
    pub fn mark_dead(&mut self, osds: &[OsdId]) {
        self.next_map(|inc, map| {
            for osd in osds {
                inc.mark_down(map, *osd);
                inc.xinfo_mut(map, *osd).dead_epoch = map.epoch + 1;
            }
        });
    }

    /// The process starts and the monitors mark it up.
    pub fn start(&mut self, osds: &[OsdId]) {
        for osd in osds {
            self.hosts.get_mut(osd).expect("a host").running = true;
            let other = if self.pgid == child() { pgid() } else { child() };
            let pg = self.load(*osd, self.pgid);
            let aside = self.load(*osd, other);
            assert!(pg.is_some() || aside.is_none(), "what has not split yet must be played before what splits off it");
            let host = self.hosts.get_mut(osd).expect("a host");
            (host.pg, host.aside) = (pg, aside);
        }
        // One that was never seen to be gone is marked down first, so that the interval changes.
        let unnoticed: Vec<OsdId> = osds.iter().copied().filter(|o| self.map().is_up(*o)).collect();
        if !unnoticed.is_empty() {
            self.mark_down(&unnoticed);
        }
        let nonce = self.maps.len() as u32;
        self.next_map(|inc, _| osds.iter().for_each(|o| boot(inc, *o, nonce)));
    }

    fn load(&mut self, osd: OsdId, id: SpgId) -> Option<Pg> {
        let epoch = Pg::stored_epoch(id, &self.hosts[&osd].live).ok()?;
        let map = self.maps[epoch as usize].clone();
        Some(self.with_env(osd, &map, |_, env| Pg::load(id, env).expect("what was stored can be loaded")))
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        // In order: what was held back was sent first.
        let mut all = std::mem::take(&mut self.stuck);
        all.append(&mut self.net);
        self.net = all;
    }

    /// The session between two OSDs is lost, with all that is on its way, and both notice.
    pub fn lose_session(&mut self, a: OsdId, b: OsdId) {
        self.trace(|| format!("session of osd.{a} and osd.{b} lost"));
        let theirs = |from: &OsdId, to: &OsdId| (*from, *to) == (a, b) || (*from, *to) == (b, a);
        self.net.retain(|(from, to, _)| !theirs(from, to));
        self.stuck.retain(|(from, to, _)| !theirs(from, to));
        for (osd, peer) in [(a, b), (b, a)] {
            if self.hosts[&osd].running {
                self.with_pg(osd, |pg, env| pg.peer_reset(env, peer));
            }
        }
    }

    /// An object is gone from a store, and nothing says so.
    pub fn vanish(&mut self, osd: OsdId, name: &str, clone: Option<types::SnapId>) {
        let host = self.hosts.get_mut(&osd).expect("a host");
        for store in [&mut host.live, &mut host.durable] {
            let (all, _) = store.list(Coll::Pg(self.pgid), &GHObject::min(), usize::MAX).expect("memory can be read");
            let mut txn = Transaction::new();
            for oid in all.into_iter().filter(|o| o.hobj.oid == name && clone.is_none_or(|c| o.hobj.snap == c)) {
                txn.push(os::TxOp::Remove { coll: Coll::Pg(self.pgid), oid });
            }
            store.apply(&txn).expect("it is there");
        }
    }

    /// Remembers what a disk holds under a name; [`Self::restore`] brings it back there, as if what was written since
    /// had been lost.
    pub fn stash(&mut self, osd: OsdId, name: &str) {
        let (store, coll) = (&self.hosts[&osd].live, Coll::Pg(self.pgid));
        let mut txn = Transaction::new();
        for oid in self.named(osd, name) {
            let data = store.read(coll, &oid, 0, u64::MAX).expect("it can be read").unwrap_or_default();
            let attrs = store.attrs(coll, &oid).expect("it can be read").unwrap_or_default();
            let (keys, _) = store.omap_range(coll, &oid, None, usize::MAX).expect("it can be read");
            txn.push(TxOp::Remove { coll, oid: oid.clone() });
            txn.push(TxOp::Write { coll, oid: oid.clone(), off: 0, data, fadvise: 0 });
            txn.push(TxOp::SetAttrs { coll, oid: oid.clone(), attrs });
            txn.push(TxOp::OmapSet { coll, oid, keys: keys.into_iter().collect() });
        }
        self.stashed.insert((osd, name.to_owned()), txn);
    }

    pub fn restore(&mut self, osd: OsdId, name: &str) {
        let txn = self.stashed.get(&(osd, name.to_owned())).expect("it was stashed");
        let host = self.hosts.get_mut(&osd).expect("a host");
        host.live.apply(txn).expect("it can be written");
        host.durable.apply(txn).expect("it can be written");
    }

    /// On a disk the snapset of an object tells a wrong size of a clone.
    pub fn belie_clone(&mut self, osd: OsdId, name: &str, clone: types::SnapId) {
        let coll = Coll::Pg(self.pgid);
        let oid = self.named(osd, name).into_iter().find(|oid| oid.hobj.is_head()).expect("a head");
        let raw = self.hosts[&osd].live.attr(coll, &oid, b"snapset").expect("it can be read").expect("a head has one");
        let mut ss: types::SnapSet = denc::from_bytes(raw).expect("it makes sense");
        ss.clone_size.insert(clone, 77);
        let attrs: BTreeMap<denc::ByteStr, Bytes> = [("snapset".into(), denc::to_bytes(&ss, features::ALL))].into();
        let txn = Transaction { ops: vec![TxOp::SetAttrs { coll, oid, attrs }] };
        let host = self.hosts.get_mut(&osd).expect("a host");
        host.live.apply(&txn).expect("it is there");
        host.durable.apply(&txn).expect("it is there");
    }

    /// The names of all objects that are called so on a disk.
    fn named(&self, osd: OsdId, name: &str) -> Vec<GHObject> {
        let store = &self.hosts[&osd].live;
        let (all, _) = store.list(Coll::Pg(self.pgid), &GHObject::min(), usize::MAX).expect("memory can be read");
        all.into_iter().filter(|o| o.hobj.oid == name).collect()
    }

    /// The data of an object becomes unreadable on a disk.
    pub fn spoil(&mut self, osd: OsdId, name: &str) {
        for oid in self.named(osd, name) {
            let host = self.hosts.get_mut(&osd).expect("a host");
            host.live.spoil(Coll::Pg(self.pgid), &oid).expect("it is there");
            host.durable.spoil(Coll::Pg(self.pgid), &oid).expect("it is there");
        }
    }

    /// Changes what a disk holds, without anybody knowing.
    pub fn tamper(&mut self, osd: OsdId, name: &str, change: impl Fn(Coll, GHObject) -> TxOp) {
        for oid in self.named(osd, name) {
            let txn = Transaction { ops: vec![change(Coll::Pg(self.pgid), oid)] };
            let host = self.hosts.get_mut(&osd).expect("a host");
            host.live.apply(&txn).expect("it is there");
            host.durable.apply(&txn).expect("it is there");
        }
    }

    /// `pg scrub|deep-scrub|repair`.
    pub fn scrub(&mut self, verb: &str) {
        let order = messages::MOSDScrub2 {
            scrub_pgs: vec![self.pgid],
            deep: verb == "deep-scrub",
            repair: verb == "repair",
            ..messages::MOSDScrub2::default()
        };
        let primary = self.leader();
        self.with_pg(primary, |pg, env| pg.order_scrub(env, &order));
    }

    /// What `rados list-inconsistent-obj` and `list-inconsistent-snapset` have to show, in short.
    pub fn inconsistent(&self) -> String {
        use types::{object_error as oe, shard_error as se, snapset_error as ss};
        let Some(results) = self.pg(self.leader()).and_then(Pg::scrub_results) else { return "not scrubbed".into() };
        let of = |bits: u64, names: &[(u64, &str)]| {
            names.iter().filter(|(b, _)| bits & b != 0).map(|(_, n)| *n).collect::<Vec<_>>().join("+")
        };
        let shard_names = [
            (se::MISSING, "missing"),
            (se::STAT_ERROR, "stat_error"),
            (se::READ_ERROR, "read_error"),
            (se::DATA_DIGEST_MISMATCH_INFO, "data_digest_mismatch_info"),
            (se::OMAP_DIGEST_MISMATCH_INFO, "omap_digest_mismatch_info"),
            (se::SIZE_MISMATCH_INFO, "size_mismatch_info"),
            (se::INFO_MISSING, "info_missing"),
            (se::INFO_CORRUPTED, "info_corrupted"),
            (se::SNAPSET_MISSING, "snapset_missing"),
            (se::SNAPSET_CORRUPTED, "snapset_corrupted"),
            (se::OBJ_SIZE_INFO_MISMATCH, "obj_size_info_mismatch"),
        ];
        let names = [
            (oe::OBJECT_INFO_INCONSISTENCY, "object_info_inconsistency"),
            (oe::DATA_DIGEST_MISMATCH, "data_digest_mismatch"),
            (oe::OMAP_DIGEST_MISMATCH, "omap_digest_mismatch"),
            (oe::SIZE_MISMATCH, "size_mismatch"),
            (oe::ATTR_VALUE_MISMATCH, "attr_value_mismatch"),
            (oe::ATTR_NAME_MISMATCH, "attr_name_mismatch"),
            (oe::SNAPSET_INCONSISTENCY, "snapset_inconsistency"),
        ];
        let snap_names = [
            (ss::SNAPSET_MISSING, "snapset_missing"),
            (ss::SNAPSET_CORRUPTED, "snapset_corrupted"),
            (ss::CLONE_MISSING, "clone_missing"),
            (ss::HEADLESS_CLONE, "headless"),
            (ss::SIZE_MISMATCH, "size_mismatch"),
            (ss::EXTRA_CLONES, "extra_clones"),
        ];
        let object = |o: types::InconsistentObject| {
            let bad = o.shards.iter().filter(|(_, s)| s.errors != 0);
            let bad: Vec<String> =
                bad.map(|(at, s)| format!("osd.{} {}", at.osd, of(s.errors, &shard_names))).collect();
            format!("{} [{}] {}", o.object.name, of(o.errors, &names), bad.join(" "))
        };
        let family = |s: types::InconsistentSnapset| {
            format!("{}:{:x} [{}]", s.object.name, s.object.snap, of(s.errors, &snap_names))
        };
        let all: Vec<String> = results.objects().map(object).chain(results.snapsets().map(family)).collect();
        all.join("; ")
    }

    /// What is held back is lost.
    pub fn lose(&mut self) -> String {
        let what = |(from, to, m): (OsdId, OsdId, Message)| format!("{} {from} to {to}", m.body.name());
        self.held_back.drain(..).map(what).collect::<Vec<_>>().join(", ")
    }

    pub fn unhold(&mut self) {
        self.hold.clear();
        let mut all = std::mem::take(&mut self.held_back);
        all.append(&mut self.net);
        self.net = all;
    }

    pub fn tick(&mut self, by: Duration) {
        self.now += by;
        for osd in self.hosts.keys().copied().collect::<Vec<_>>() {
            if self.hosts[&osd].running {
                self.with_pg(osd, Pg::wake);
            }
        }
    }

    pub fn pg(&self, osd: OsdId) -> Option<&Pg> {
        self.hosts.get(&osd)?.pg.as_ref()
    }

    pub fn primary(&self) -> OsdId {
        self.map().pg_to_up_acting(self.pgid.pgid).acting_primary
    }

    /// Where a client sends ops: the primary, if there is one.
    pub fn leader(&self) -> OsdId {
        self.primary().max(0)
    }

    /// Sends an op to an OSD as a client with its map would; gives the tid.
    pub fn send_op(&mut self, to: OsdId, name: &str, ops: Vec<OsdOp>) -> u64 {
        self.last_tid += 1;
        let tid = self.last_tid;
        let write = ops.iter().any(|o| types::osd_op::is_write(o.op));
        let hobj = HObject { oid: name.into(), pool: POOL, snap: self.read_at, hash: hash(name), ..HObject::default() };
        let op = MOSDOp {
            snap_seq: self.snaps.first().copied().unwrap_or(0),
            snaps: self.snaps.clone(),
            pgid: self.pgid,
            hobj,
            map_epoch: self.map().epoch,
            flags: self.op_flags
                | osd_flag::ONDISK
                | osd_flag::ACK
                | if write { osd_flag::WRITE } else { osd_flag::READ },
            ops,
            mtime: UTime { sec: 1_700_000_000, nsec: 0 },
            ..MOSDOp::default()
        };
        self.sent.insert(tid, op);
        self.resend(to, tid);
        tid
    }

    /// Sends it again, with the newest map.
    pub fn resend(&mut self, to: OsdId, tid: u64) {
        self.trace(|| format!("client -> osd.{to} op {tid}"));
        let mut op = self.sent[&tid].clone();
        op.map_epoch = self.map().epoch;
        let (client, msg) = (self.client.clone(), recoded(Message::new(op).with_tid(tid)));
        if self.hosts.get(&to).is_some_and(|h| h.running) {
            self.with_pg(to, |pg, env| pg.client_message(env, ConnId(1), &client, msg));
        }
    }

    /// What came back for an op, and is taken: result, version and the first op's data.
    pub fn take_reply(&mut self, tid: u64) -> Option<String> {
        let at = self.replies.iter().position(|m| m.tid == tid && matches!(m.body, Body::MOSDOpReply(_)))?;
        let Body::MOSDOpReply(r) = self.replies.remove(at).body else { return None };
        let data: Vec<u8> = r.ops.iter().flat_map(|o| o.outdata.to_vec()).collect();
        let text = String::from_utf8_lossy(&data).into_owned();
        Some(match (r.result, r.replay_version.is_zero()) {
            (0, true) => format!("\"{text}\""),
            (0, false) => format!("ok {}", r.replay_version),
            (e, _) => format!("error {e}"),
        })
    }

    /// What clients were told of holding back.
    pub fn take_backoffs(&mut self) -> String {
        let told = std::mem::take(&mut self.replies);
        let name = |m: &Message| match &m.body {
            Body::MOSDBackoff(b) => Some(format!("{:?} {}", b.op, b.begin.oid)),
            _ => None,
        };
        told.iter().filter_map(name).collect::<Vec<_>>().join(", ")
    }

    // --- snapshots

    /// The monitors give out a number, and clients write with it from now on.
    pub fn make_snap(&mut self) -> u64 {
        let mut snap = 0;
        self.next_map(|inc, map| snap = inc.pool_mut(map, POOL).expect("the pool").add_unmanaged_snap());
        self.snaps.insert(0, snap);
        snap
    }

    pub fn remove_snap(&mut self, snap: u64) {
        self.snaps.retain(|s| *s != snap);
        self.next_map(|inc, map| {
            inc.pool_mut(map, POOL).expect("the pool").remove_unmanaged_snap();
            inc.new_removed_snaps.entry(POOL).or_default().insert_one(snap);
        });
    }

    /// The monitors hear what the primary has trimmed.
    pub fn prune_snaps(&mut self) {
        let primary = self.primary();
        let purged = self.hosts[&primary].pg.as_ref().expect("a PG").info().purged_snaps.clone();
        self.next_map(|inc, _| {
            inc.new_purged_snaps.insert(POOL, purged);
        });
    }

    /// The removed snapshots that the map still queues, and those the members know as trimmed.
    pub fn snap_queue(&self) -> String {
        let queue = self.map().removed_snaps_queue.get(&POOL).cloned().unwrap_or_default();
        let purged = |o: &OsdId| self.hosts[o].pg.as_ref().map_or("-".into(), |pg| pg.info().purged_snaps.to_string());
        let known: Vec<String> = self.map().pg_to_up_acting(self.pgid.pgid).acting.iter().map(purged).collect();
        format!("{queue}, purged {}", known.join(" "))
    }

    /// The members of an object's family on one OSD, and how many keys its index of clones has.
    pub fn family(&self, osd: OsdId, name: &str) -> String {
        let all = objects(&self.hosts[&osd].live, self.pgid);
        let ours = all.keys().filter(|o| o.hobj.oid.as_bytes() == name.as_bytes());
        let members = ours.map(|o| if o.hobj.is_head() { "head".to_owned() } else { o.hobj.snap.to_string() });
        let members = members.collect::<Vec<_>>().join(" ");
        format!("{members}, {} keys", index(&self.hosts[&osd].live).len())
    }

    /// The primary's state and the members, as an operator sees them.
    pub fn state(&mut self) -> String {
        let primary = self.primary();
        let map = self.map();
        let m = map.pg_to_up_acting(self.pgid.pgid);
        let acting = if m.up == m.acting { String::new() } else { format!(" acting {:?}", m.acting) };
        let state = match self.hosts.get(&primary).and_then(|h| h.pg.as_ref()) {
            Some(pg) if self.hosts[&primary].running => pg_state::to_string(pg.state()),
            _ => "unserved".to_owned(),
        };
        format!("{state} up {:?}{acting}", m.up)
    }

    /// Whether all members hold the same objects; else what differs.
    pub fn compare(&self) -> String {
        let m = self.map().pg_to_up_acting(self.pgid.pgid);
        let copies: Vec<(OsdId, BTreeMap<GHObject, Bytes>)> =
            m.acting.iter().map(|o| (*o, objects(&self.hosts[o].live, self.pgid))).collect();
        let Some((first, rest)) = copies.split_first() else { return "nobody serves".into() };
        for (osd, copy) in rest {
            if *copy != first.1 {
                let names =
                    |c: &BTreeMap<GHObject, Bytes>| c.keys().map(|o| o.hobj.oid.to_string()).collect::<Vec<_>>();
                return format!("osd.{} has {:?}, osd.{osd} has {:?}", first.0, names(&first.1), names(copy));
            }
            if index(&self.hosts[osd].live) != index(&self.hosts[&first.0].live) {
                return format!("osd.{} and osd.{osd} differ in their index of clones", first.0);
            }
        }
        format!("{} objects, identical on {:?}", first.1.len(), m.acting)
    }
}

impl Host {
    /// The other half of the PG is played.
    fn turn(&mut self) {
        std::mem::swap(&mut self.pg, &mut self.aside);
    }

    fn new() -> Self {
        let mut store = MemStore::new();
        let mkfs = Transaction { ops: vec![TxOp::MkColl { coll: Coll::Meta, bits: 0 }] };
        store.apply(&mkfs).expect("a new collection");
        Self {
            live: store.clone(),
            durable: store,
            unsynced: VecDeque::new(),
            held: Vec::new(),
            pg: None,
            aside: None,
            running: true,
            tokens: Tokens::default(),
            scrubs: ScrubSlots::new(1),
            rooms: pg::Rooms::default(),
            slow_disk: false,
            deaf: false,
            reads: VecDeque::new(),
            recoveries: 0,
        }
    }
}

fn boot(inc: &mut Incremental, osd: OsdId, nonce: u32) {
    inc.new_up_client.insert(osd, addr(osd, nonce));
    inc.new_up_cluster.insert(osd, addr(osd + 20, nonce));
}

fn recoded(msg: Message) -> Message {
    let again = Message::decode(msg.encode(features::ALL), features::ALL).expect("what we send can be read");
    assert_eq!(again.body, msg.body, "it reads back as it was");
    again
}

/// The objects of the PG with everything that is in them, as text to compare.
fn objects(store: &MemStore, pgid: SpgId) -> BTreeMap<GHObject, Bytes> {
    let coll = Coll::Pg(pgid);
    if !store.collection_exists(coll) {
        return BTreeMap::new();
    }
    let (all, _) = store.list(coll, &GHObject::min(), usize::MAX).expect("memory can be read");
    let all = all.into_iter().filter(|o| !o.is_pgmeta());
    all.map(|oid| {
        let data = store.read(coll, &oid, 0, u64::MAX).expect("memory").unwrap_or_default();
        let attrs = store.attrs(coll, &oid).expect("memory");
        let omap = store.omap_range(coll, &oid, None, usize::MAX).expect("memory");
        let header = store.omap_header(coll, &oid).expect("memory");
        (oid, format!("{data:?} {attrs:?} {omap:?} {header:?}").into())
    })
    .collect()
}

/// The index of clones; there is one PG, so all of it is that one's.
fn index(store: &MemStore) -> Vec<(denc::ByteStr, Bytes)> {
    let oid = GHObject::from(HObject { oid: "snapmapper".into(), pool: -1, ..HObject::default() });
    store.omap_range(Coll::Meta, &oid, None, usize::MAX).expect("memory can be read").0
}

/// Any spread will do: there is one PG.
fn hash(name: &str) -> u32 {
    name.bytes().fold(17, |h, b| h.wrapping_mul(31).wrapping_add(b.into()))
}

pub fn put(text: &str) -> Vec<OsdOp> {
    let data = Bytes::from(text.to_owned());
    vec![OsdOp::extent(op::WRITEFULL, 0, data.len() as u64, data)]
}

pub fn append(text: &str) -> Vec<OsdOp> {
    let data = Bytes::from(text.to_owned());
    vec![OsdOp::extent(op::APPEND, 0, data.len() as u64, data)]
}

pub fn get() -> Vec<OsdOp> {
    vec![OsdOp::extent(op::READ, 0, 0, Bytes::new())]
}

pub fn roll_back(snapid: u64) -> Vec<OsdOp> {
    vec![OsdOp::new(op::ROLLBACK, types::OpArgs::Snap { snapid }, Bytes::new())]
}

pub fn write_at(off: u64, text: &str) -> Vec<OsdOp> {
    let data = Bytes::from(text.to_owned());
    vec![OsdOp::extent(op::WRITE, off, data.len() as u64, data)]
}

pub fn remove() -> Vec<OsdOp> {
    vec![OsdOp { op: op::DELETE, ..OsdOp::default() }]
}
