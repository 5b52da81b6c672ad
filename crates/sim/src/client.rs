//! A simulated client: `rados::Client` under a load of operations on a few hot objects, each written down in
//! the [`History`]; and the operator, who sends the requests of a scenario.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use messages::PoolOp;
use node::{Input, Node, Now, Output};
use os::ObjectRead;
use rados::{Client, ObjectOp, Reply, Request, RequestId, Setup};
use types::{PoolId, SnapId, errno};

use crate::history::{History, OpId};
use crate::host::Simulated;
use crate::model::{self, Action, Answer, Op};
use crate::rng::Rng;

/// What the load is like.
#[derive(Debug, Clone)]
pub struct Mix {
    /// How many objects all clients fight for.
    pub objects: u64,
    /// How many operations a client has under way.
    pub depth: usize,
    /// How long it waits before the next one, at most.
    pub think: Duration,
    /// Bytes of an ordinary write, at most; one in a while is larger.
    pub bytes: u64,
    pub snaps: Snaps,
}

/// Whose snapshots are taken meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Snaps {
    #[default]
    None,
    /// The clients' own: all of them write with these from then on, read at them and roll back to them.
    OfClients,
    /// The pool's, by a client that does nothing else ([`crate::snap_client`]).
    OfPool,
}

impl Default for Mix {
    fn default() -> Self {
        Self { objects: 6, depth: 4, think: Duration::from_millis(40), bytes: 600, snaps: Snaps::None }
    }
}

/// What all clients of a scenario share.
#[derive(Debug, Default)]
pub struct Work {
    pub history: History,
    pub mix: Mix,
    /// New operations begin.
    pub running: bool,
    /// Where; set once there are pools.
    pub pools: Vec<PoolId>,
    /// The snapshots there are, newest first.
    pub snaps: BTreeMap<PoolId, Vec<SnapId>>,
    /// Operations without an outcome, by client.
    pub in_flight: BTreeMap<usize, usize>,
    /// Makes what is written unique.
    pub(crate) written: u64,
}

pub type SharedWork = Rc<RefCell<Work>>;

/// A client under a load.
pub struct SimClient {
    client: Client,
    number: usize,
    rng: Rng,
    work: SharedWork,
    flying: BTreeMap<RequestId, (OpId, Op)>,
    /// It asked for a new snapshot of this pool.
    snapping: Option<(RequestId, PoolId)>,
    think_until: Duration,
}

/// So many snapshots a pool.
const SNAPS_MAX: usize = 6;
/// The attribute that is compared and set.
const GUARD: &str = "guard";

impl SimClient {
    pub fn new(setup: Setup, number: usize, seed: u64, work: SharedWork) -> Self {
        // Another life of this client: what the last one waited for, nobody will hear of.
        let lost = work.borrow_mut().in_flight.insert(number, 0).unwrap_or(0);
        work.borrow_mut().history.counts.unknown += lost as u64;
        Self {
            client: Client::new(setup),
            number,
            rng: Rng::new(seed),
            work,
            flying: BTreeMap::new(),
            snapping: None,
            think_until: Duration::ZERO,
        }
    }

    fn begin(&mut self, now: Now, pool: PoolId, name: &str, op: Op) {
        let request = model::request(&op, ObjectOp::new(pool, name));
        let id = self.client.submit(Request::Op(Box::new(request)));
        let mut work = self.work.borrow_mut();
        let known_as = format!("{pool}/{name}");
        let event = work.history.begins(now.mono, self.number, &known_as, op.clone());
        *work.in_flight.entry(self.number).or_default() += 1;
        self.flying.insert(id, (event, op));
    }

    /// Begins what there is time for.
    fn work(&mut self, now: Now) {
        let (running, mix) = {
            let work = self.work.borrow();
            (work.running && !work.pools.is_empty(), work.mix.clone())
        };
        while running && now.mono >= self.think_until && self.flying.len() < mix.depth {
            let object = self.rng.below(mix.objects);
            let pools = self.work.borrow().pools.clone();
            let pool = pools[object as usize % pools.len()];
            let managed = mix.snaps == Snaps::OfClients;
            if managed && self.snapping.is_none() && self.rng.percent(1) {
                self.take_snapshot(pool);
            }
            let op = if managed { self.some_op_with_snaps(&mix, pool) } else { self.some_op(&mix) };
            self.begin(now, pool, &format!("hot-{object}"), op);
            self.think_until = now.mono + Duration::from_micros(self.rng.below(mix.think.as_micros() as u64 + 1));
        }
    }

    /// A text that nobody else writes.
    fn unique(&mut self) -> Bytes {
        let mut work = self.work.borrow_mut();
        work.written += 1;
        format!("<{}.{}>", self.number, work.written).into()
    }

    /// So many bytes that nobody else writes.
    fn content(&mut self, mix: &Mix) -> Bytes {
        let max = if self.rng.percent(3) { mix.bytes * 30 } else { mix.bytes };
        let len = self.rng.below(max) as usize + 1;
        self.unique().iter().copied().cycle().take(len.max(12)).collect()
    }

    fn key(&mut self) -> String {
        format!("key-{}", self.rng.below(12))
    }

    fn some_op(&mut self, mix: &Mix) -> Op {
        match self.rng.below(100) {
            0..28 => vec![Action::ReadAll],
            28..42 => vec![Action::Append(self.unique())],
            42..50 => vec![Action::WriteFull(self.content(mix)), Action::SetXattr("whole", self.unique())],
            50..58 => vec![Action::Write(self.rng.below(mix.bytes * 4), self.content(mix))],
            58..61 => vec![Action::Touch, Action::Truncate(self.rng.below(mix.bytes * 3))],
            61..67 => vec![Action::SetXattr("colour", self.unique())],
            67..69 => vec![Action::Touch, Action::RmXattr("colour")],
            69..78 => {
                let n = self.rng.between(1, 4);
                vec![Action::OmapSet((0..n).map(|_| (self.key(), self.unique())).collect())]
            }
            78..82 => vec![Action::Touch, Action::OmapRm(vec![self.key(), self.key()])],
            // The attribute makes it a write also where nothing was to be cleared.
            82..84 => vec![Action::Touch, Action::OmapClear, Action::SetXattr("cleared", self.unique())],
            84..86 => vec![Action::OmapHeader(self.unique()), Action::Append(self.unique())],
            86..91 => vec![Action::Remove],
            91..94 => vec![Action::Create, Action::SetXattr("made", self.unique())],
            // What a comparison finds of an object that was removed depends on whether a snapshot holds it, and nobody
            // knows when one of the pool's begins to.
            _ if mix.snaps == Snaps::OfPool => vec![Action::Append(self.unique())],
            _ => {
                // Of those who found the attribute absent, one may set it; somebody takes it away again.
                if self.rng.percent(35) {
                    return vec![Action::Touch, Action::RmXattr(GUARD)];
                }
                let (mark, record) = (self.unique(), self.unique());
                vec![Action::Compare(GUARD, Bytes::new()), Action::SetXattr(GUARD, mark), Action::Append(record)]
            }
        }
    }

    /// The same by one who knows the snapshots there are.
    fn some_op_with_snaps(&mut self, mix: &Mix, pool: PoolId) -> Op {
        let known = self.work.borrow().snaps.get(&pool).cloned().unwrap_or_default();
        let some = (!known.is_empty()).then(|| *self.rng.pick(&known));
        let mut op = match (self.rng.below(100), some) {
            (0..12, Some(snap)) => return vec![Action::ReadAt(snap)],
            // The attribute makes it a write also where there is nothing, before and after.
            (12..16, Some(snap)) => vec![Action::RollBack(snap), Action::SetXattr("back", self.unique())],
            _ => self.some_op(mix),
        };
        if model::is_write(&op) {
            op.insert(0, Action::Knowing(known));
        }
        op
    }

    fn take_snapshot(&mut self, pool: PoolId) {
        if self.work.borrow().snaps.get(&pool).is_some_and(|s| s.len() >= SNAPS_MAX) {
            return;
        }
        let request = Request::PoolOp { pool, op: PoolOp::CreateUnmanagedSnap, name: String::new(), snap: 0 };
        self.snapping = Some((self.client.submit(request), pool));
    }

    /// The newest snapshot of a pool is known to all from now on; what is under way does not know it.
    fn snapshot_taken(&mut self, pool: PoolId, reply: &Reply) {
        // Without an answer it may be there or not; nobody uses it.
        let Reply::Map(map) = reply else { return };
        let Some(newest) = map.pool(pool).map(|p| p.snap_seq).filter(|s| *s > 0) else { return };
        let mut work = self.work.borrow_mut();
        let known = work.snaps.entry(pool).or_default();
        if known.first().is_none_or(|s| newest > *s) {
            known.insert(0, newest);
        }
    }

    /// Reads everything there is, for the last check.
    fn read_all(&mut self, now: Now) {
        let objects = self.work.borrow().history.objects();
        for object in objects {
            if let Some((pool, name)) = object.split_once('/')
                && let Ok(pool) = pool.parse()
            {
                let snaps = self.work.borrow().snaps.get(&pool).cloned().unwrap_or_default();
                let reads = std::iter::once(Action::ReadAll).chain(snaps.into_iter().map(Action::ReadAt));
                reads.for_each(|read| self.begin(now, pool, name, vec![read]));
            }
        }
    }

    fn ended(&mut self, event: OpId, op: &Op, reply: &Reply) {
        let Reply::Op(reply) = reply else { panic!("an operation was answered by {reply:?}") };
        let mut work = self.work.borrow_mut();
        *work.in_flight.entry(self.number).or_default() -= 1;
        match model::answer(op, reply) {
            Answer::Errno(errno::ETIMEDOUT) => work.history.counts.unknown += 1,
            answer => work.history.ends(event, answer, reply.version),
        }
    }
}

impl Node for SimClient {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        // An admin command asks for the last check.
        if let Input::Admin { id, .. } = input {
            self.read_all(now);
            out.push(Output::AdminReply { id, body: String::new() });
            return self.client.handle(now, store, Input::Continue, out);
        }
        self.client.handle(now, store, input, out);
        while let Some((id, reply)) = self.client.next_reply() {
            if let Some((event, op)) = self.flying.remove(&id) {
                self.ended(event, &op, &reply);
            } else if let Some((_, pool)) = self.snapping.take_if(|(asked, _)| *asked == id) {
                self.snapshot_taken(pool, &reply);
            }
        }
        self.work(now);
        if self.client.runnable() {
            self.client.handle(now, store, Input::Continue, out);
        }
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let work = self.work.borrow();
        let work = work.running && !work.pools.is_empty() && self.flying.len() < work.mix.depth;
        [self.client.next_wakeup(), work.then_some(self.think_until)].into_iter().flatten().min()
    }

    fn runnable(&self) -> bool {
        self.client.runnable()
    }
}

impl Simulated for SimClient {
    fn describe(&self) -> Vec<String> {
        self.client.describe()
    }
}

/// Requests of a scenario and their replies.
#[derive(Debug, Default)]
pub struct Desk {
    pub requests: VecDeque<(u64, Request)>,
    pub replies: BTreeMap<u64, Reply>,
}

/// The client through which a scenario speaks to its cluster.
pub struct Operator {
    client: Client,
    desk: Rc<RefCell<Desk>>,
    waiting: BTreeMap<RequestId, u64>,
}

impl Operator {
    pub fn new(setup: Setup, desk: Rc<RefCell<Desk>>) -> Self {
        Self { client: Client::new(setup), desk, waiting: BTreeMap::new() }
    }
}

impl Node for Operator {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        while let Some((number, request)) = self.desk.borrow_mut().requests.pop_front() {
            self.waiting.insert(self.client.submit(request), number);
        }
        self.client.handle(now, store, input, out);
        while let Some((id, reply)) = self.client.next_reply() {
            if let Some(number) = self.waiting.remove(&id) {
                self.desk.borrow_mut().replies.insert(number, reply);
            }
        }
    }

    fn next_wakeup(&self) -> Option<Duration> {
        self.client.next_wakeup()
    }

    fn runnable(&self) -> bool {
        self.client.runnable()
    }
}

impl Simulated for Operator {}
