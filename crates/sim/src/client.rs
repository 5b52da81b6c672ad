//! A simulated client: `rados::Client` under a workload, every reply judged by the oracle; and the
//! operator, who sends the requests of a scenario.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use node::{Input, Node, Now, Output};
use os::ObjectRead;
use rados::{Client, ObjectOp, OpReply, Reply, Request, RequestId, Setup};
use types::osd_op::cmpxattr;
use types::{PoolId, errno};

use crate::oracle::{Floor, Oracle, Outcome, whole_content};
use crate::rng::Rng;

/// What all clients of a scenario share.
#[derive(Debug, Default)]
pub struct Work {
    pub oracle: Oracle,
    /// New operations begin.
    pub running: bool,
    /// Where; set once the pool exists.
    pub pool: PoolId,
    /// Operations without an outcome, over all clients.
    pub in_flight: usize,
    /// What each client's operations wait for, for the report of a run that does not end.
    pub stuck: BTreeMap<usize, Vec<String>>,
}

pub type SharedWork = Rc<RefCell<Work>>;

/// What a request was for.
#[derive(Debug, Clone)]
enum Intent {
    Append {
        object: String,
        record: Bytes,
    },
    Whole {
        object: String,
        version: u64,
    },
    MakeCounter,
    /// To raise it next, if `raise`.
    Counter {
        object: String,
        floor: Floor,
        raise: bool,
    },
    Raise {
        object: String,
        to: u64,
    },
    ReadLog {
        object: String,
        floor: Floor,
    },
    ReadWhole {
        object: String,
        floor: Floor,
    },
}

/// A client under a workload.
pub struct SimClient {
    client: Client,
    number: usize,
    rng: Rng,
    work: SharedWork,
    flying: BTreeMap<RequestId, Intent>,
    next_record: u64,
    /// Our wholes that have a write under way: a second would make their order a guess.
    busy: BTreeSet<String>,
    made_counters: bool,
    think_until: Duration,
    depth: usize,
}

const LOGS: u64 = 3;
const COUNTERS: u64 = 2;
const WHOLES: u64 = 3;

impl SimClient {
    pub fn new(setup: Setup, number: usize, seed: u64, work: SharedWork) -> Self {
        Self {
            client: Client::new(setup),
            number,
            rng: Rng::new(seed),
            work,
            flying: BTreeMap::new(),
            next_record: 0,
            busy: BTreeSet::new(),
            made_counters: false,
            think_until: Duration::ZERO,
            depth: 4,
        }
    }

    fn begin(&mut self, intent: Intent, op: ObjectOp) {
        let id = self.client.submit(Request::Op(Box::new(op)));
        self.flying.insert(id, intent);
        self.work.borrow_mut().in_flight += 1;
    }

    fn object(&self, name: &str) -> ObjectOp {
        ObjectOp::new(self.work.borrow().pool, name)
    }

    /// Begins what there is time for.
    fn work(&mut self, now: Now) {
        if !self.work.borrow().running {
            return;
        }
        if !self.made_counters {
            self.made_counters = true;
            for n in 0..COUNTERS {
                let name = format!("counter-{n}");
                // Whoever comes first makes it; the others are told that it is there.
                let op = self.object(&name).create(true).setxattr("n", b"0");
                self.begin(Intent::MakeCounter, op);
            }
        }
        while now.mono >= self.think_until && self.flying.len() < self.depth {
            self.one();
            self.think_until = now.mono + Duration::from_micros(self.rng.between(0, 20_000));
        }
    }

    fn one(&mut self) {
        let log = format!("log-{}", self.rng.below(LOGS));
        let counter = format!("counter-{}", self.rng.below(COUNTERS));
        let whole = format!("whole-{}-{}", self.number, self.rng.below(WHOLES));
        match self.rng.below(10) {
            0..=2 => {
                self.next_record += 1;
                let record = Bytes::from(format!("client {:03} op {:08}\n", self.number, self.next_record));
                self.work.borrow_mut().oracle.append_begins(&log, &record);
                let op = self.object(&log).append(record.clone());
                self.begin(Intent::Append { object: log, record }, op);
            }
            3..=4 if self.busy.insert(whole.clone()) => {
                let version = self.work.borrow_mut().oracle.whole_begins(&whole);
                let op = self
                    .object(&whole)
                    .write_full(whole_content(&whole, version))
                    .setxattr("version", version.to_string().as_bytes());
                self.begin(Intent::Whole { object: whole, version }, op);
            }
            5..=6 => self.read_counter(counter, true),
            7 => self.read_counter(counter, false),
            8 => self.read_log(log),
            _ => self.read_whole(whole),
        }
    }

    fn read_counter(&mut self, object: String, raise: bool) {
        let floor = self.work.borrow().oracle.read_begins(&object);
        let op = self.object(&object).getxattr("n");
        self.begin(Intent::Counter { object, floor, raise }, op);
    }

    fn read_log(&mut self, object: String) {
        let floor = self.work.borrow().oracle.read_begins(&object);
        let op = self.object(&object).read(0, 0);
        self.begin(Intent::ReadLog { object, floor }, op);
    }

    fn read_whole(&mut self, object: String) {
        let floor = self.work.borrow().oracle.read_begins(&object);
        let op = self.object(&object).read(0, 0).getxattr("version");
        self.begin(Intent::ReadWhole { object, floor }, op);
    }

    /// Reads everything there is, for the last check.
    fn read_all(&mut self) {
        let objects = self.work.borrow().oracle.objects();
        for object in objects {
            match object.split('-').next() {
                Some("log") => self.read_log(object),
                Some("counter") => self.read_counter(object, false),
                _ => self.read_whole(object),
            }
        }
    }

    fn ended(&mut self, intent: Intent, reply: &OpReply) {
        let outcome = match reply.result {
            0.. => Outcome::Acked,
            r if r == -errno::ETIMEDOUT => Outcome::Unknown,
            _ => Outcome::Failed,
        };
        let work = self.work.clone();
        let mut work = work.borrow_mut();
        work.in_flight -= 1;
        let oracle = &mut work.oracle;
        match intent {
            Intent::Append { object, record } => {
                expected(&object, "append", reply.result, &[errno::ETIMEDOUT]);
                oracle.append_ends(&object, &record, outcome);
            }
            Intent::Whole { object, version } => {
                expected(&object, "write", reply.result, &[errno::ETIMEDOUT]);
                oracle.whole_ends(&object, version, outcome);
                self.busy.remove(&object);
            }
            Intent::MakeCounter => expected("counter", "create", reply.result, &[errno::ETIMEDOUT, errno::EEXIST]),
            Intent::Raise { object, to } => {
                expected(&object, "raise", reply.result, &[errno::ETIMEDOUT, errno::ECANCELED]);
                oracle.raise_ends(&object, to, outcome);
            }
            Intent::Counter { object, floor, raise } => {
                let Some(value) = answer(&object, reply, 0) else { return };
                let value: u64 = if value.is_empty() { 0 } else { number(&value) };
                oracle.counter_read(&object, floor, value);
                // A counter that is not there yet has no number to compare with.
                if raise && reply.result >= 0 {
                    oracle.raise_begins(&object, value + 1);
                    drop(work);
                    let (was, to) = (value.to_string(), (value + 1).to_string());
                    let op = self.object(&object).cmpxattr("n", cmpxattr::EQ, was.as_bytes());
                    self.begin(Intent::Raise { object, to: value + 1 }, op.setxattr("n", to.as_bytes()));
                }
            }
            Intent::ReadLog { object, floor } => {
                if let Some(content) = answer(&object, reply, 0) {
                    oracle.log_read(&object, floor, &content);
                }
            }
            Intent::ReadWhole { object, floor } => {
                if let (Some(content), Some(version)) = (answer(&object, reply, 0), answer(&object, reply, 1)) {
                    let version = if version.is_empty() { 0 } else { number(&version) };
                    oracle.whole_read(&object, floor, &content, version);
                }
            }
        }
    }
}

fn expected(object: &str, what: &str, result: i32, errnos: &[i32]) {
    let fine = result >= 0 || errnos.contains(&-result);
    assert!(fine, "{object}: {what} answered {result} ({})", types::errno::message(result));
}

/// What a read's `n`th op gave, empty if there is no such object; `None` if there was no answer.
fn answer(object: &str, reply: &OpReply, n: usize) -> Option<Bytes> {
    expected(object, "read", reply.result, &[errno::ETIMEDOUT, errno::ENOENT]);
    match reply.result {
        r if r == -errno::ETIMEDOUT => None,
        r if r < 0 => Some(Bytes::new()),
        _ => Some(reply.data(n)),
    }
}

fn number(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no number that anybody wrote"))
}

impl Node for SimClient {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        // An admin command asks for the last check.
        if let Input::Admin { id, .. } = input {
            self.read_all();
            out.push(Output::AdminReply { id, body: String::new() });
            return self.client.handle(now, store, Input::Continue, out);
        }
        self.client.handle(now, store, input, out);
        while let Some((id, reply)) = self.client.next_reply() {
            let Some(intent) = self.flying.remove(&id) else { continue };
            match reply {
                Reply::Op(reply) => self.ended(intent, &reply),
                other => panic!("an operation was answered by {other:?}"),
            }
        }
        self.work(now);
        if self.client.runnable() {
            self.client.handle(now, store, Input::Continue, out);
        }
        let stuck = self.client.describe();
        self.work.borrow_mut().stuck.insert(self.number, stuck);
    }

    fn next_wakeup(&self) -> Option<Duration> {
        let work = self.work.borrow().running && self.flying.len() < self.depth;
        [self.client.next_wakeup(), work.then_some(self.think_until)].into_iter().flatten().min()
    }

    fn runnable(&self) -> bool {
        self.client.runnable()
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

impl crate::host::Simulated for SimClient {}

impl crate::host::Simulated for Operator {}
