//! A cluster of simulated hosts: monitors, OSDs, clients, and an operator. What scenarios are made of.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use monclient::MonAddr;
use node::{Endpoint, Input, Listening};
use rados::{CommandReply, ObjectOp, Reply, Request, TellTarget};
use serde_json::{Value, json};
use types::{ENTITY_TYPE_CLIENT, ENTITY_TYPE_MON, ENTITY_TYPE_OSD, EntityAddr, PgId, SpgId, Uuid};

use crate::client::{Desk, Mix, Operator, SharedWork, SimClient, Work};
use crate::disk::{ModelDisk, SimStore, StoreDisk};
use crate::host::{Maker, Simulated};
use crate::invariants::replicas;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::world::{HostId, World};

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    pub mons: usize,
    pub osds: usize,
    pub clients: usize,
    /// Of one OSD's store.
    pub disk_bytes: u64,
    /// The model instead of the real store.
    pub model_disks: bool,
    /// After which clients give an operation up: its outcome is unknown then.
    pub op_timeout: Option<Duration>,
    pub options: Vec<(String, String)>,
    pub mix: Mix,
}

impl Default for Plan {
    fn default() -> Self {
        // One machine is one failure domain; nothing is marked out, as backfill is another issue's.
        let options = [
            ("osd_crush_chooseleaf_type", "0"),
            ("mon_osd_reporter_subtree_level", "osd"),
            ("mon_osd_min_down_reporters", "1"),
            ("mon_osd_down_out_interval", "0"),
            // An operator who marks OSDs down in rows does not want them to give up.
            ("osd_max_markdown_count", "1000"),
            ("mon_allow_pool_delete", "true"),
            ("osd_pool_default_pg_autoscale_mode", "off"),
        ];
        Self {
            mons: 1,
            osds: 3,
            clients: 2,
            disk_bytes: 256 << 20,
            model_disks: false,
            op_timeout: None,
            options: options.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            mix: Mix::default(),
        }
    }
}

/// See the file's documentation.
pub struct Cluster {
    pub world: World,
    pub mons: Vec<HostId>,
    pub osds: Vec<HostId>,
    pub clients: Vec<HostId>,
    pub work: SharedWork,
    wiped_mons: Vec<Rc<Cell<bool>>>,
    operator: HostId,
    desk: Rc<RefCell<Desk>>,
    next_request: u64,
    disk_bytes: u64,
    model_disks: bool,
    new_disks: Rng,
    /// What further OSDs are made from.
    origin: Origin,
}

#[derive(Clone)]
struct Origin {
    plan: Plan,
    fsid: Uuid,
    mons: Vec<MonAddr>,
}

/// A pool of the plan.
#[derive(Debug, Clone)]
pub struct PoolPlan {
    pub size: usize,
    /// What the monitors make of the size, if 0.
    pub min_size: usize,
    pub pg_num: u32,
}

/// The longest that anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(300);

fn uuid(rng: &mut Rng) -> Uuid {
    let (a, b) = (rng.next().to_le_bytes(), rng.next().to_le_bytes());
    Uuid::from_random(std::array::from_fn(|i| if i < 8 { a[i] } else { b[i - 8] }))
}

fn new_disk(rng: &mut Rng, bytes: u64, model: bool) -> Box<dyn SimStore> {
    let uuid = uuid(rng);
    if model { Box::<ModelDisk>::default() } else { Box::new(StoreDisk::new(uuid, bytes)) }
}

impl Cluster {
    /// Makes a cluster and starts it.
    pub fn new(seed: u64, plan: &Plan) -> Self {
        Self::with_trace(seed, plan, Trace::default())
    }

    /// The same, with a trace that may keep its text.
    pub fn with_trace(seed: u64, plan: &Plan, trace: Trace) -> Self {
        let mut world = World::new(seed);
        world.trace = trace;
        let mut rng = world.rng().fork();
        let fsid = uuid(&mut rng);
        let disk = |rng: &mut Rng| new_disk(rng, plan.disk_bytes, plan.model_disks);
        // Monitors are the first hosts, so their addresses are known before they are.
        let mon_hosts: Vec<HostId> = (0..plan.mons).collect();
        let mon_addr = |host: HostId| World::addr(host, Endpoint::Public, 0);
        let places: Vec<_> = mon_hosts.iter().map(|h| (mon_name(*h), mon_addr(*h))).collect();
        let wiped: Vec<Rc<Cell<bool>>> = mon_hosts.iter().map(|_| Rc::default()).collect();
        for host in &mon_hosts {
            let mon_disk = disk(&mut rng);
            let maker = mon_maker(*host, fsid, plan, &places, wiped[*host].clone(), rng.next());
            assert_eq!(world.add_host((ENTITY_TYPE_MON, &mon_name(*host)), mon_disk, maker), *host);
        }
        let rank = |host: &HostId| MonAddr { rank: *host as i64, addrs: mon_addr(*host).into() };
        let mons: Vec<MonAddr> = mon_hosts.iter().map(rank).collect();
        let osd_fsids: Vec<Uuid> = (0..plan.osds).map(|_| uuid(&mut rng)).collect();
        let osds: Vec<HostId> = (0..plan.osds)
            .map(|n| {
                let disk = disk(&mut rng);
                let maker = osd_maker(n, fsid, osd_fsids[n], mons.clone(), plan, rng.next());
                world.add_host((ENTITY_TYPE_OSD, &n.to_string()), disk, maker)
            })
            .collect();
        let setup = |seed: u64, op_timeout| rados::Setup {
            mons: mons.clone(),
            hostname: "sim".to_owned(),
            seed,
            op_timeout,
            mon_timeout: None,
        };
        let desk: Rc<RefCell<Desk>> = Rc::default();
        let (at_desk, operator_setup) = (desk.clone(), setup(rng.next(), None));
        let operator: Maker = Box::new(move |_, _| Box::new(Operator::new(operator_setup.clone(), at_desk.clone())));
        let operator = world.add_host((ENTITY_TYPE_CLIENT, "admin"), Box::<ModelDisk>::default(), operator);
        let work: SharedWork = Rc::new(RefCell::new(Work { mix: plan.mix.clone(), ..Work::default() }));
        let clients: Vec<HostId> = (0..plan.clients)
            .map(|n| {
                let (work, setup, seed) = (work.clone(), setup(rng.next(), plan.op_timeout), rng.next());
                let maker: Maker = Box::new(move |_, _| Box::new(SimClient::new(setup.clone(), n, seed, work.clone())));
                world.add_host((ENTITY_TYPE_CLIENT, &format!("load{n}")), Box::<ModelDisk>::default(), maker)
            })
            .collect();
        let new_disks = rng.fork();
        let (disk_bytes, model_disks) = (plan.disk_bytes, plan.model_disks);
        let mut cluster = Self {
            world,
            mons: mon_hosts,
            wiped_mons: wiped,
            osds,
            clients,
            work,
            operator,
            desk,
            next_request: 0,
            disk_bytes,
            model_disks,
            new_disks,
            origin: Origin { plan: plan.clone(), fsid, mons },
        };
        for host in cluster.all_hosts() {
            cluster.world.start(host);
        }
        for (id, uuid) in osd_fsids.iter().enumerate() {
            cluster.command(&json!({"prefix": "osd new", "uuid": uuid.to_string(), "id": id.to_string()}));
        }
        cluster
    }

    fn all_hosts(&self) -> Vec<HostId> {
        let daemons = self.mons.iter().copied().chain(self.osds.iter().copied());
        daemons.chain([self.operator]).chain(self.clients.iter().copied()).collect()
    }

    // --- requests

    /// Sends a request as the operator and runs the world until it is answered.
    pub fn ask(&mut self, request: Request) -> Reply {
        let what = format!("{request:?}");
        self.try_ask(request, PATIENCE).unwrap_or_else(|| panic!("no answer in {PATIENCE:?} to {what}"))
    }

    pub(crate) fn try_ask(&mut self, request: Request, patience: Duration) -> Option<Reply> {
        let number = self.post(request);
        let desk = self.desk.clone();
        self.world.run_while(patience, |_| desk.borrow().replies.contains_key(&number));
        self.desk.borrow_mut().replies.remove(&number)
    }

    /// Sends a command to the monitors; its number is for [`Self::wait_reply`].
    pub fn post_command(&mut self, json: &Value) -> u64 {
        self.post(Request::MonCommand { cmd: json.to_string(), data: Bytes::new() })
    }

    /// Whether a command is answered within this time.
    pub fn wait_reply(&mut self, number: u64, within: Duration) -> bool {
        let desk = self.desk.clone();
        self.world.run_while(within, |_| desk.borrow().replies.contains_key(&number))
    }

    /// Everyone who takes part.
    pub fn everyone(&self) -> Vec<HostId> {
        self.all_hosts()
    }

    /// Whether the monitors answer a command within this time.
    pub fn answers(&mut self, json: &Value, within: Duration) -> bool {
        self.try_ask(Request::MonCommand { cmd: json.to_string(), data: Bytes::new() }, within).is_some()
    }

    /// Sends a request as the operator and waits for nothing.
    fn post(&mut self, request: Request) -> u64 {
        self.next_request += 1;
        self.desk.borrow_mut().requests.push_back((self.next_request, request));
        self.world.feed(self.operator, Input::Continue);
        self.next_request
    }

    /// A command to the monitors, whatever they say to it, and whenever.
    pub fn order(&mut self, json: &Value) {
        self.world.note("operator", &json.to_string());
        self.post(Request::MonCommand { cmd: json.to_string(), data: Bytes::new() });
    }

    /// A command to the monitors; panics if it fails.
    pub fn command(&mut self, json: &Value) -> CommandReply {
        match self.ask(Request::MonCommand { cmd: json.to_string(), data: Bytes::new() }) {
            Reply::Command(reply) if reply.r >= 0 => reply,
            other => panic!("{json}: {other:?}"),
        }
    }

    /// Makes a pool for the clients to work on, of as many copies as there are OSDs up to three.
    pub fn create_pool(&mut self, pg_num: u32) {
        let size = self.osds.len().min(3);
        self.create_pool_as(&PoolPlan { size, min_size: 0, pg_num });
    }

    /// The name of the clients' `n`th pool.
    pub fn pool_name(n: usize) -> String {
        if n == 0 { "data".to_owned() } else { format!("data{n}") }
    }

    /// Makes one more pool for the clients to work on.
    pub fn create_pool_as(&mut self, plan: &PoolPlan) {
        let name = Self::pool_name(self.work.borrow().pools.len());
        let pg_num = plan.pg_num;
        self.command(&json!({"prefix": "osd pool create", "pool": name, "pg_num": pg_num, "pgp_num": pg_num,
            "size": plan.size}));
        if plan.min_size > 0 {
            let val = plan.min_size.to_string();
            self.command(&json!({"prefix": "osd pool set", "pool": name, "var": "min_size", "val": val}));
        }
        match self.ask(Request::FindPool(name)) {
            Reply::Pool(id) => self.work.borrow_mut().pools.push(id),
            other => panic!("the pool that was made is not there: {other:?}"),
        }
    }

    /// Has the clients' pool grow or shrink.
    pub fn set_pg_num(&mut self, pg_num: u32) {
        let val = pg_num.to_string();
        self.command(&json!({"prefix": "osd pool set", "pool": "data", "var": "pg_num", "val": val}));
    }

    /// A few writes to a pool that is none of the load's, if it is there; nobody waits for them.
    pub fn write_aside(&mut self, pool: &str, objects: u64) {
        let found = self.try_ask(Request::FindPool(pool.to_owned()), Duration::from_secs(2));
        let Some(Reply::Pool(id)) = found else { return };
        for n in 0..objects {
            let op = ObjectOp::new(id, format!("aside-{n}")).write_full(Bytes::from(vec![n as u8; 2_000]));
            self.post(Request::Op(Box::new(op)));
        }
    }

    /// Waits until the OSDs hold nothing of pools that are deleted, nor of PGs that were merged.
    pub fn wait_deleted(&mut self) {
        let end = self.world.now() + PATIENCE;
        loop {
            let Reply::Map(map) = self.ask(Request::LatestMap) else { panic!("there is no map") };
            let stale = |c: &os::Coll| match c {
                os::Coll::Meta => false,
                os::Coll::Pg(id) | os::Coll::Temp(id) => !map.pg_exists(id.pgid),
            };
            let of = |host: &HostId| self.world.disk(*host).reader().collections().into_iter().filter(stale).collect();
            let left: Vec<Vec<os::Coll>> = self.osds.iter().map(of).collect();
            if left.iter().all(Vec::is_empty) {
                return;
            }
            assert!(self.world.now() < end, "of deleted pools there is left {left:?}:\n{}", self.report());
            self.run(1);
        }
    }

    /// Deletes the clients' pool.
    pub fn delete_pool(&mut self) {
        self.command(&json!({"prefix": "osd pool delete", "pool": "data", "pool2": "data",
            "yes_i_really_really_mean_it": true}));
    }

    /// How many collections of PGs the OSDs hold.
    pub fn collections(&self) -> usize {
        let of = |host: &HostId| {
            let all = self.world.disk(*host).reader().collections();
            all.iter().filter(|c| !matches!(c, os::Coll::Meta)).count()
        };
        self.osds.iter().map(of).sum()
    }

    /// Waits until all pools are as large as they were told to be.
    pub fn wait_pg_num(&mut self) {
        let end = self.world.now() + PATIENCE;
        loop {
            let Reply::Map(map) = self.ask(Request::LatestMap) else { panic!("there is no map") };
            let late = map.pools.values().find(|p| p.pg_num != p.pg_num_target || p.pgp_num != p.pgp_num_target);
            let Some(p) = late else { return };
            if self.world.now() >= end {
                let report = self.report();
                panic!("pg_num {} of {} pgp_num {}:\n{report}", p.pg_num, p.pg_num_target, p.pgp_num);
            }
            self.run(1);
        }
    }

    fn status(&mut self) -> Value {
        let reply = self.command(&json!({"prefix": "status", "format": "json"}));
        serde_json::from_slice(&reply.data).expect("status answers in JSON")
    }

    /// Waits until all OSDs that run are up, and all PGs are in one of these states.
    pub fn wait_pgs(&mut self, states: &[&str]) {
        if let Err(status) = self.try_pgs(states, PATIENCE) {
            self.judge();
            panic!("PGs are not {states:?} after {PATIENCE:?}: {}\n{}", status["pgmap"], self.report());
        }
    }

    fn try_pgs(&mut self, states: &[&str], within: Duration) -> Result<(), Value> {
        let end = self.world.now() + within;
        let mut status = Value::Null;
        // Statistics are a few seconds old: what they say must hold for longer than that.
        let mut good = 0;
        while good < 3 {
            if self.world.now() >= end {
                return Err(status);
            }
            self.world.run_for(Duration::from_secs(3));
            status = self.status();
            let running = self.osds.iter().filter(|o| self.world.is_up(**o)).count() as u64;
            let up = status["osdmap"]["num_up_osds"].as_u64().unwrap_or(0);
            let pgs = status["pgmap"]["num_pgs"].as_u64().unwrap_or(0);
            let by_state = status["pgmap"]["pgs_by_state"].as_array().cloned().unwrap_or_default();
            let fine: u64 = by_state
                .iter()
                .filter(|s| s["state_name"].as_str().is_some_and(|name| states.contains(&name)))
                .map(|s| s["count"].as_u64().unwrap_or(0))
                .sum();
            // Also those of which nobody has reported yet count.
            let all = pgs > 0 && by_state.iter().map(|s| s["count"].as_u64().unwrap_or(0)).sum::<u64>() == pgs;
            good = if up == running && all && fine == pgs { good + 1 } else { 0 };
        }
        Ok(())
    }

    /// Whether all is clean within this time.
    pub fn becomes_clean(&mut self, within: Duration) -> bool {
        self.try_pgs(&["active+clean"], within).is_ok()
    }

    pub fn wait_clean(&mut self) {
        self.wait_pgs(&["active+clean"]);
    }

    /// Waits until this many OSDs are up in the map.
    pub fn wait_up(&mut self, count: u64) {
        let end = self.world.now() + PATIENCE;
        loop {
            let status = self.status();
            if status["osdmap"]["num_up_osds"].as_u64() == Some(count) {
                return;
            }
            assert!(self.world.now() < end, "there are not {count} OSDs up after {PATIENCE:?}: {status}");
            self.world.run_for(Duration::from_secs(1));
        }
    }

    // --- load

    /// Lets clients begin operations, or end them.
    pub fn load(&mut self, on: bool) {
        self.work.borrow_mut().running = on;
        for client in self.clients.clone() {
            self.world.feed(client, Input::Continue);
        }
    }

    pub fn run(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds));
    }

    /// Runs under load until this many more writes are acknowledged.
    pub fn more_writes(&mut self, writes: u64) {
        let (goal, end) = (self.acked() + writes, self.world.now() + Duration::from_secs(120));
        self.load(true);
        while self.acked() < goal {
            self.run(1);
            assert!(self.world.now() < end, "only {} of {goal} writes:\n{}", self.acked(), self.report());
        }
    }

    pub fn acked(&self) -> u64 {
        self.work.borrow().history.counts.acked
    }

    /// What a run that does not end looks like: PGs that are not clean, and operations that wait.
    pub fn report(&mut self) -> String {
        const SOON: Duration = Duration::from_secs(20);
        let mut report = String::new();
        for (n, client) in self.clients.iter().enumerate() {
            let lines = self.world.describe(*client).into_iter().take(8);
            lines.for_each(|line| report += &format!("  client {n}: {line}\n"));
        }
        let Some(Reply::Map(map)) = self.try_ask(Request::LatestMap, SOON) else { return report };
        for (pool, plan) in &map.pools {
            for pg in (0..plan.pg_num).map(|seed| PgId::new(*pool, seed)) {
                let mapping = map.pg_to_up_acting(pg);
                let cmd = json!({"prefix": "pg", "pgid": pg.to_string(), "cmd": "query"}).to_string();
                let target = TellTarget::Osd(mapping.acting_primary);
                let query: Value = match self.try_ask(Request::Tell { target, cmd, data: Bytes::new() }, SOON) {
                    Some(Reply::Command(reply)) => serde_json::from_slice(&reply.data).unwrap_or_default(),
                    _ => Value::Null,
                };
                if query["state"] != "active+clean" {
                    let (state, why) = (&query["state"], &query["recovery_state"]);
                    let (e, acting, up) = (map.epoch, mapping.acting, mapping.up);
                    report += &format!("  e{e} {pg} acting {acting:?} up {up:?}: {state} {why}\n");
                }
            }
        }
        report
    }

    fn wait_idle(&mut self) {
        let work = self.work.clone();
        let idle = self.world.run_while(PATIENCE, |_| work.borrow().in_flight.values().all(|n| *n == 0));
        if !idle {
            panic!("operations without an answer after {PATIENCE:?}:\n{}", self.report());
        }
    }

    /// Demands liveness and checks everything: the load ends, every operation is answered, the PGs are
    /// clean, all that was written is read, and the replicas are the same.
    pub fn settle(&mut self) {
        self.load(false);
        self.wait_idle();
        self.wait_pg_num();
        self.wait_clean();
        self.read_all();
        self.compare_replicas();
    }

    /// The load ends, and all that was written is read: it must be what clients were told.
    pub fn read_all(&mut self) {
        self.load(false);
        self.wait_idle();
        for client in self.clients.clone() {
            self.world.feed(client, Input::Admin { id: 0, command: "check".to_owned() });
        }
        self.run(1);
        self.wait_idle();
        self.judge();
    }

    /// Whether what clients saw can be.
    pub fn judge(&self) {
        if let Err(why) = self.work.borrow().history.check() {
            panic!("{why}");
        }
    }

    // --- faults

    pub fn kill_osd(&mut self, n: usize) {
        self.world.crash(self.osds[n]);
    }

    pub fn start_osd(&mut self, n: usize) {
        self.world.start(self.osds[n]);
    }

    /// All daemons are killed at once; clients live on.
    pub fn power_off(&mut self) {
        for host in self.mons.iter().copied().chain(self.osds.clone()) {
            self.world.crash(host);
        }
    }

    /// The power of all daemons goes at once: nobody tells anybody.
    pub fn black_out(&mut self) {
        for host in self.mons.iter().copied().chain(self.osds.clone()) {
            self.world.power_loss(host);
        }
    }

    /// One more OSD, which starts.
    pub fn add_osd(&mut self) {
        let (n, Origin { plan, fsid, mons }) = (self.osds.len(), self.origin.clone());
        let disk = new_disk(&mut self.new_disks, self.disk_bytes, self.model_disks);
        let osd_fsid = uuid(&mut self.new_disks);
        let maker = osd_maker(n, fsid, osd_fsid, mons, &plan, self.new_disks.next());
        let host = self.world.add_host((ENTITY_TYPE_OSD, &n.to_string()), disk, maker);
        self.osds.push(host);
        self.command(&json!({"prefix": "osd new", "uuid": osd_fsid.to_string(), "id": n.to_string()}));
        self.world.start(host);
    }

    /// An OSD that is down gets an empty disk.
    pub fn wipe_osd(&mut self, n: usize) {
        let disk = new_disk(&mut self.new_disks, self.disk_bytes, self.model_disks);
        self.world.replace_disk(self.osds[n], disk);
    }

    /// A monitor that is down gets an empty disk: it has to be taken in as a new one.
    pub fn wipe_mon(&mut self, n: usize) {
        let disk = new_disk(&mut self.new_disks, self.disk_bytes, self.model_disks);
        self.world.replace_disk(self.mons[n], disk);
        self.wiped_mons[n].set(true);
    }

    /// Which monitor leads, as itself sees it.
    pub fn leader(&self) -> Option<usize> {
        (0..self.mons.len()).find(|n| self.world.mon(self.mons[*n]).is_some_and(mon::Mon::is_leader))
    }

    /// Starts every host that does not run.
    pub fn power_on(&mut self) {
        for host in self.all_hosts() {
            if !self.world.is_up(host) {
                self.world.start(host);
            }
        }
    }

    /// Cuts one OSD off from the other daemons. Clients still reach it: a stale answer would get out.
    pub fn cut_off(&mut self, n: usize) {
        let others: Vec<HostId> =
            self.mons.iter().copied().chain(self.osds.iter().copied()).filter(|h| *h != self.osds[n]).collect();
        self.world.cut(&[self.osds[n]], &others);
    }

    pub fn heal(&mut self) {
        self.world.heal();
    }

    // --- replicas

    /// Every PG is the same wherever the map has it: objects, data, attributes, omap.
    pub fn compare_replicas(&mut self) {
        self.world.look();
        let Reply::Map(map) = self.ask(Request::LatestMap) else { panic!("the monitors have no map") };
        for (pool, plan) in &map.pools {
            for pg in (0..plan.pg_num).map(|seed| PgId::new(*pool, seed)) {
                let acting = map.pg_to_up_acting(pg).acting;
                assert_eq!(acting.len(), usize::from(plan.size), "PG {pg} is on {acting:?} only");
                for osd in &acting[1..] {
                    let (one, other) = (self.osds[acting[0] as usize], self.osds[*osd as usize]);
                    replicas::compare(&self.world, SpgId::from(pg), one, other);
                }
            }
        }
    }
}

fn mon_name(n: usize) -> String {
    char::from(b'a' + n as u8).to_string()
}

fn mon_maker(
    n: usize,
    fsid: Uuid,
    plan: &Plan,
    places: &[(String, EntityAddr)],
    wiped: Rc<Cell<bool>>,
    seed: u64,
) -> Maker {
    let (options, mons) = (plan.options.clone(), places.to_vec());
    Box::new(move |listening: &Listening, life| -> Box<dyn Simulated> {
        Box::new(mon::Mon::new(mon::Setup {
            name: mon_name(n),
            fsid,
            listening: listening.clone(),
            mons: mons.clone(),
            // A store that was lost may not begin anew as if nothing had been.
            founds: !wiped.get(),
            options: options.clone(),
            hostname: "sim".to_owned(),
            entropy: entropy(seed.wrapping_add(life.into())),
            ..mon::Setup::default()
        }))
    })
}

/// A seed, as long as keys want it.
fn entropy(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}

fn osd_maker(n: usize, fsid: Uuid, osd_fsid: Uuid, mons: Vec<MonAddr>, plan: &Plan, seed: u64) -> Maker {
    let options = plan.options.clone();
    Box::new(move |listening: &Listening, life| -> Box<dyn Simulated> {
        Box::new(osd::Osd::new(osd::Setup {
            whoami: n as i32,
            fsid,
            osd_fsid,
            listening: listening.clone(),
            mons: mons.clone(),
            hostname: format!("sim{n}"),
            options: options.clone(),
            metadata: BTreeMap::new(),
            seed: seed.wrapping_add(life.into()),
        }))
    })
}
