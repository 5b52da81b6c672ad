//! A client that lives on snapshots: it writes a few objects of its own, takes and removes snapshots of the
//! whole pool, reads at them, rolls back to them, and knows at each moment what it must see.
//!
//! One request at a time: a snapshot is taken when no write is under way, so it holds exactly what was
//! written before. The other clients' objects get clones by it as well.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use messages::PoolOp;
use monclient::MonAddr;
use node::{Endpoint, Input, Node, Now, Output};
use os::ObjectRead;
use rados::{Client, ObjectOp, OpReply, Reply, Request, Setup};
use types::{ENTITY_TYPE_CLIENT, PoolId, SNAP_HEAD, SnapId, errno};

use crate::client::Snaps;
use crate::cluster::Cluster;
use crate::disk::ModelDisk;
use crate::host::{Maker, Simulated};
use crate::invariants::clones;
use crate::rng::Rng;
use crate::world::World;

/// The objects as they are, or were; what is not in it does not exist.
type Objects = BTreeMap<String, Vec<u8>>;

/// What the scenario sees of the client.
#[derive(Debug, Default)]
pub struct SnapWork {
    /// Goes on; else it removes its snapshots, looks at everything once more and is done.
    pub running: bool,
    pub done: bool,
    pub writes: u64,
    pub reads_at_snaps: u64,
    pub rollbacks: u64,
    pub snaps_removed: u64,
    /// What it waits for.
    pub waits_for: String,
}

#[derive(Debug)]
enum Step {
    Idle,
    /// The objects as they are once the write is done.
    Write(Objects),
    Make(String),
    Remove(SnapId),
    Read {
        object: String,
        at: SnapId,
    },
}

/// See the file's documentation.
pub struct SnapClient {
    client: Client,
    rng: Rng,
    pool: PoolId,
    work: Rc<RefCell<SnapWork>>,
    step: Step,
    heads: Objects,
    snaps: BTreeMap<SnapId, (String, Objects)>,
    made: u64,
    /// Heads that are still to be read at the end.
    to_check: Option<Vec<String>>,
    think_until: Duration,
}

const OBJECTS: u64 = 3;
const SNAPS_MAX: usize = 6;
const SIZE_MAX: u64 = 20_000;

fn name(n: u64) -> String {
    format!("snapped-{n}")
}

impl SnapClient {
    fn begin(&mut self, step: Step, request: Request) {
        self.work.borrow_mut().waits_for = format!("{request:?}");
        self.step = step;
        self.client.submit(request);
    }

    fn op(&mut self, step: Step, op: ObjectOp) {
        self.begin(step, Request::Op(Box::new(op)));
    }

    fn next(&mut self, now: Now) {
        if !matches!(self.step, Step::Idle) || now.mono < self.think_until || self.work.borrow().done {
            return;
        }
        self.think_until = now.mono + Duration::from_micros(self.rng.between(0, 100_000));
        if !self.work.borrow().running {
            return self.wind_up();
        }
        let object = name(self.rng.below(OBJECTS));
        match self.rng.below(12) {
            0..=5 => self.write(object),
            // There is something to keep, and the client has a map by now.
            _ if self.work.borrow().writes == 0 => self.write(object),
            6 if self.snaps.len() < SNAPS_MAX => self.make_snap(),
            7 => match self.any_snap() {
                Some(snap) => self.remove_snap(snap),
                None => self.make_snap(),
            },
            8 => match self.any_snap() {
                Some(snap) => self.roll_back(object, snap),
                None => self.write(object),
            },
            _ => {
                let at = self.any_snap().filter(|_| self.rng.below(4) > 0).unwrap_or(SNAP_HEAD);
                self.read(object, at);
            }
        }
    }

    /// The end: no snapshots any more, and the heads as they should be.
    fn wind_up(&mut self) {
        if let Some(snap) = self.snaps.keys().next().copied() {
            return self.remove_snap(snap);
        }
        match self.to_check.get_or_insert_with(|| (0..OBJECTS).map(name).collect()).pop() {
            Some(object) => self.read(object, SNAP_HEAD),
            None => self.work.borrow_mut().done = true,
        }
    }

    fn any_snap(&mut self) -> Option<SnapId> {
        let count = self.snaps.len() as u64;
        (count > 0).then(|| self.rng.below(count) as usize).and_then(|n| self.snaps.keys().nth(n).copied())
    }

    fn bytes(&mut self, max: u64) -> Vec<u8> {
        let words = self.rng.between(1, max.div_ceil(8));
        (0..words).flat_map(|_| self.rng.next().to_le_bytes()).collect()
    }

    fn write(&mut self, object: String) {
        let mut after = self.heads.clone();
        let op = ObjectOp::new(self.pool, object.as_str());
        let op = match self.rng.below(8) {
            0 => {
                let data = self.bytes(SIZE_MAX);
                after.insert(object, data.clone());
                op.write_full(data.into())
            }
            1 if after.contains_key(&object) => {
                after.remove(&object);
                op.remove()
            }
            2 if after.contains_key(&object) => {
                let size = self.rng.below(SIZE_MAX);
                after.get_mut(&object).expect("just looked").resize(size as usize, 0);
                op.truncate(size)
            }
            3 => {
                let data = self.bytes(500);
                after.entry(object).or_default().extend(&data);
                op.append(data.into())
            }
            _ => {
                let (off, data) = (self.rng.below(SIZE_MAX) as usize, self.bytes(3_000));
                let content = after.entry(object).or_default();
                content.resize(content.len().max(off + data.len()), 0);
                content[off..off + data.len()].copy_from_slice(&data);
                op.write(off as u64, data.into())
            }
        };
        self.work.borrow_mut().writes += 1;
        self.op(Step::Write(after), op);
    }

    fn roll_back(&mut self, object: String, snap: SnapId) {
        let mut after = self.heads.clone();
        match self.snaps[&snap].1.get(&object) {
            Some(content) => after.insert(object.clone(), content.clone()),
            None => after.remove(&object),
        };
        self.work.borrow_mut().rollbacks += 1;
        self.op(Step::Write(after), ObjectOp::new(self.pool, object.as_str()).rollback(snap));
    }

    fn read(&mut self, object: String, at: SnapId) {
        let mut op = ObjectOp::new(self.pool, object.as_str()).read(0, 0);
        op.snap = at;
        self.op(Step::Read { object, at }, op);
    }

    fn make_snap(&mut self) {
        self.made += 1;
        let name = format!("snap-{}", self.made);
        self.begin(
            Step::Make(name.clone()),
            Request::PoolOp { pool: self.pool, op: PoolOp::CreateSnap, name, snap: 0 },
        );
    }

    fn remove_snap(&mut self, snap: SnapId) {
        let name = self.snaps[&snap].0.clone();
        self.begin(Step::Remove(snap), Request::PoolOp { pool: self.pool, op: PoolOp::DeleteSnap, name, snap: 0 });
    }

    fn ended(&mut self, reply: &Reply) {
        match (std::mem::replace(&mut self.step, Step::Idle), reply) {
            (Step::Write(after), Reply::Op(r)) => {
                assert!(r.result >= 0, "a write among snapshots answered {}", r.result);
                self.heads = after;
            }
            (Step::Make(name), Reply::Map(map)) => {
                let snap = map.pool(self.pool).and_then(|p| p.snap_by_name(&name)).expect("the map shows it");
                self.snaps.insert(snap, (name, self.heads.clone()));
            }
            (Step::Remove(snap), Reply::Map(_)) => {
                self.snaps.remove(&snap);
                self.work.borrow_mut().snaps_removed += 1;
            }
            (Step::Read { object, at }, Reply::Op(r)) => self.check(&object, at, r),
            (step, reply) => panic!("{step:?} was answered by {reply:?}"),
        }
    }

    fn check(&mut self, object: &str, at: SnapId, reply: &OpReply) {
        let expected = if at == SNAP_HEAD { self.heads.get(object) } else { self.snaps[&at].1.get(object) };
        let at_text = if at == SNAP_HEAD { "now".to_owned() } else { format!("at snapshot {at}") };
        match expected {
            None => assert_eq!(reply.result, -errno::ENOENT, "{object} should not be there {at_text}"),
            Some(content) => {
                assert!(reply.result >= 0, "{object} {at_text}: {}", reply.result);
                let got: Bytes = reply.data(0);
                let differs = got.iter().zip(content).position(|(a, b)| a != b);
                let lengths = (got.len(), content.len());
                assert!(got == *content, "{object} {at_text}: read and written differ at {differs:?} of {lengths:?}");
            }
        }
        if at != SNAP_HEAD {
            self.work.borrow_mut().reads_at_snaps += 1;
        }
    }
}

impl Node for SnapClient {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        self.client.handle(now, store, input, out);
        while let Some((_, reply)) = self.client.next_reply() {
            self.ended(&reply);
        }
        self.next(now);
        if self.client.runnable() {
            self.client.handle(now, store, Input::Continue, out);
        }
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let idle = matches!(self.step, Step::Idle) && !self.work.borrow().done;
        [self.client.next_wakeup(), idle.then_some(self.think_until)].into_iter().flatten().min()
    }

    fn runnable(&self) -> bool {
        self.client.runnable()
    }
}

impl Simulated for SnapClient {}

impl Cluster {
    /// Starts a client that works with snapshots of the load's `n`th pool, until `running` is taken away.
    pub fn start_snapshots(&mut self, n: usize) -> Rc<RefCell<SnapWork>> {
        let pool = self.work.borrow().pools[n];
        self.work.borrow_mut().mix.snaps = Snaps::OfPool;
        let work = Rc::new(RefCell::new(SnapWork { running: true, ..SnapWork::default() }));
        let (shared, seed) = (work.clone(), self.world.rng().next());
        let setup = Setup {
            mons: vec![MonAddr { rank: 0, addrs: World::addr(self.mons[0], Endpoint::Public, 0).into() }],
            hostname: "sim".to_owned(),
            seed,
            op_timeout: None,
            mon_timeout: None,
        };
        let maker: Maker = Box::new(move |_, _| {
            Box::new(SnapClient {
                client: Client::new(setup.clone()),
                rng: Rng::new(seed),
                pool,
                work: shared.clone(),
                step: Step::Idle,
                heads: Objects::new(),
                snaps: BTreeMap::new(),
                made: 0,
                to_check: None,
                think_until: Duration::ZERO,
            })
        });
        let host = self.world.add_host((ENTITY_TYPE_CLIENT, "snapshots"), Box::<ModelDisk>::default(), maker);
        self.world.start(host);
        work
    }

    /// Lets it remove its snapshots and look at everything once more.
    pub fn end_snapshots(&mut self, work: &Rc<RefCell<SnapWork>>) {
        work.borrow_mut().running = false;
        let done = self.world.run_while(Duration::from_secs(300), |_| work.borrow().done);
        assert!(done, "the client with the snapshots does not come to an end: {:?}", work.borrow());
    }

    /// Removes the snapshots that the load has taken.
    pub fn remove_snapshots(&mut self) {
        let all = std::mem::take(&mut self.work.borrow_mut().snaps);
        for (pool, snap) in all.into_iter().flat_map(|(pool, snaps)| snaps.into_iter().map(move |s| (pool, s))) {
            let op = PoolOp::DeleteUnmanagedSnap;
            let reply = self.ask(Request::PoolOp { pool, op, name: String::new(), snap });
            assert!(matches!(reply, Reply::Map(_)), "snapshot {snap} of pool {pool} is not removed: {reply:?}");
        }
    }

    /// Demands that all clones are accounted for, and that nothing is left of the snapshots that were removed.
    pub fn wait_trimmed(&mut self) {
        clones::compare_sums(&self.world);
        let index =
            |c: &Self, host| pg::clone_index(c.world.disk(host).reader()).expect("a healthy disk reads").0.len();
        let left = |c: &Self| -> usize { c.osds.iter().map(|host| index(c, *host)).sum() };
        for _ in 0..150 {
            let Reply::Map(map) = self.ask(Request::LatestMap) else { panic!("there is no map") };
            if left(self) == 0 && map.removed_snaps_queue.is_empty() {
                return;
            }
            self.run(2);
        }
        panic!("{} clones are left of removed snapshots:\n{}", left(self), self.report());
    }
}
