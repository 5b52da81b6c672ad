//! Every interleaving of a small scope, of the real step function: three members, elections up to term 2,
//! a log of three entries, one crash that forgets what was not written, messages lost, late and in
//! any order.
//!
//! The default scope is cut to what a test run can afford; `QUORUM_MODEL=full` takes the whole of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use quorum::{
    Body, Entry, HardState, Index, MemberId, Members, Message, Output, Payload, Persist, Raft, Restored, Role, Setup,
    Timing,
};
use stateright::{Checker, Model, Property};

/// A tick ends any patience: time is as free as the network.
const TIMING: Timing = Timing { heartbeat: 1, election: 1, spread: 0 };

#[derive(Clone)]
struct Scope {
    terms: u64,
    entries: Index,
    crashes: u8,
    /// Messages under way at once; more are lost.
    flying: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    raft: Raft,
    hard: HardState,
    entries: BTreeMap<Index, Entry>,
    writes: Vec<Persist>,
    held: Vec<(u64, MemberId, Message)>,
    given: Vec<Entry>,
}

/// Writes are numbered from the newest, so that equal states are equal.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let newest = self.writes.last().map_or(0, |w| w.seq);
        (&self.raft, &self.hard, &self.entries, &self.given).hash(state);
        for w in &self.writes {
            (newest - w.seq, &w.hard, w.truncate, &w.entries).hash(state);
        }
        self.held.iter().for_each(|(seq, to, m)| (newest.wrapping_sub(*seq), to, m).hash(state));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cluster {
    nodes: Vec<Node>,
    network: BTreeSet<(MemberId, Vec<u8>)>,
    crashes: u8,
    /// Leaders seen, by term.
    leaders: BTreeMap<u64, BTreeSet<MemberId>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    Campaign(usize),
    Beat(usize),
    Propose(usize),
    Written(usize),
    Deliver(MemberId, Vec<u8>),
    Crash(usize),
}

fn setup(id: MemberId) -> Setup {
    Setup { me: id, timing: TIMING, reticence: 0, seed: 0 }
}

fn all() -> Members {
    (1..=3).collect()
}

impl Node {
    fn new(id: MemberId) -> Self {
        let mut hard = HardState::default();
        hard.snapshot.members = all();
        let raft = Raft::new(setup(id), Restored { hard: hard.clone(), entries: vec![] }, 0);
        Self { raft, hard, entries: BTreeMap::new(), writes: vec![], held: vec![], given: vec![] }
    }

    fn perform(&mut self, p: Persist) {
        if let Some(from) = p.truncate {
            self.entries.retain(|i, _| *i < from);
        }
        self.entries.extend(p.entries.into_iter().map(|e| (e.index, e)));
        if let Some(hard) = p.hard {
            self.hard = hard;
        }
    }
}

impl Cluster {
    fn drain(&mut self, at: usize, scope: &Scope) {
        while let Some(output) = self.nodes[at].raft.poll() {
            let node = &mut self.nodes[at];
            match output {
                Output::Persist(p) => node.writes.push(p),
                Output::Send { to, message, after: Some(seq) } => node.held.push((seq, to, message)),
                Output::Send { to, message, after: None } => self.post(to, &message, scope),
                Output::Committed(entry) => node.given.push(entry),
                Output::Leading { .. } | Output::Following { .. } => {}
                Output::SnapshotWanted { .. } => unreachable!("nothing is cut off here"),
            }
        }
        let raft = &self.nodes[at].raft;
        if raft.role() == Role::Leader {
            self.leaders.entry(raft.term()).or_default().insert(raft.me());
        }
    }

    fn post(&mut self, to: MemberId, message: &Message, scope: &Scope) {
        if self.network.len() < scope.flying {
            // The number of a round only serves leases; it would make equal states differ.
            let mut message = message.clone();
            if let Body::Append { round, .. } | Body::Appended { round, .. } | Body::Rejected { round, .. } =
                &mut message.body
            {
                *round = 0;
            }
            self.network.insert((to, denc::to_bytes(&message, 0).to_vec()));
        }
    }
}

impl Model for Scope {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        let nodes = (1..=3).map(Node::new).collect();
        vec![Cluster { nodes, network: BTreeSet::new(), crashes: 0, leaders: BTreeMap::new() }]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Action>) {
        for (at, node) in state.nodes.iter().enumerate() {
            let raft = &node.raft;
            match raft.role() {
                Role::Leader => {
                    actions.push(Action::Beat(at));
                    if raft.is_leading() && raft.last_index() < self.entries {
                        actions.push(Action::Propose(at));
                    }
                }
                _ if raft.term() < self.terms => actions.push(Action::Campaign(at)),
                _ => {}
            }
            if !node.writes.is_empty() {
                actions.push(Action::Written(at));
            }
            if state.crashes < self.crashes {
                actions.push(Action::Crash(at));
            }
        }
        actions.extend(state.network.iter().map(|(to, m)| Action::Deliver(*to, m.clone())));
    }

    fn next_state(&self, state: &Cluster, action: Action) -> Option<Cluster> {
        let mut next = state.clone();
        let at = match action {
            Action::Campaign(at) => {
                next.nodes[at].raft.tick();
                at
            }
            Action::Beat(at) => {
                // A heartbeat without the passing of time, which only makes leaders give up.
                next.nodes[at].raft.beat();
                at
            }
            Action::Propose(at) => {
                next.nodes[at].raft.propose(Bytes::from_static(b"v"));
                at
            }
            Action::Written(at) => {
                let node = &mut next.nodes[at];
                let write = node.writes.remove(0);
                let seq = write.seq;
                node.perform(write);
                node.raft.persisted(seq);
                let (ready, held) = std::mem::take(&mut node.held).into_iter().partition(|(after, ..)| *after <= seq);
                node.held = held;
                let ready: Vec<_> = ready;
                ready.iter().for_each(|(_, to, message)| next.post(*to, message, self));
                at
            }
            Action::Deliver(to, bytes) => {
                let message = denc::from_bytes(Bytes::from(bytes.clone())).expect("what was sent can be read");
                next.network.remove(&(to, bytes));
                let at = to as usize - 1;
                next.nodes[at].raft.step(message);
                at
            }
            Action::Crash(at) => {
                next.crashes += 1;
                let node = &mut next.nodes[at];
                let restored = Restored { hard: node.hard.clone(), entries: node.entries.values().cloned().collect() };
                node.raft = Raft::new(setup(at as u64 + 1), restored, 0);
                node.writes.clear();
                node.held.clear();
                node.given.clear();
                at
            }
        };
        next.drain(at, self);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one leader a term", |_, s: &Cluster| s.leaders.values().all(|l| l.len() == 1)),
            Property::always("what one was given, no other was given otherwise", |_, s: &Cluster| {
                let same = |a: &Node, b: &Node| a.given.iter().zip(&b.given).all(|(x, y)| x == y);
                s.nodes.iter().all(|a| s.nodes.iter().all(|b| same(a, b)))
            }),
            Property::always("what was given out is on two disks", |_, s: &Cluster| {
                let disks = |e: &Entry| s.nodes.iter().filter(|n| n.entries.get(&e.index) == Some(e)).count();
                s.nodes.iter().flat_map(|n| &n.given).all(|e| disks(e) >= 2)
            }),
            Property::always("a leader's log holds what was given out", |_, s: &Cluster| {
                let given: Vec<&Entry> = s.nodes.iter().flat_map(|n| &n.given).collect();
                let newest = s.nodes.iter().map(|n| &n.raft).filter(|r| r.role() == Role::Leader);
                newest
                    .max_by_key(|r| r.term())
                    .is_none_or(|r| given.iter().all(|e| e.term > r.term() || r.entry(e.index) == Some(*e)))
            }),
            Property::sometimes("something is committed", |_, s: &Cluster| {
                s.nodes.iter().any(|n| n.given.iter().any(|e| matches!(e.payload, Payload::Data(_))))
            }),
        ]
    }
}

#[test]
fn no_interleaving_of_the_small_scope_breaks_safety() {
    let full = std::env::var("QUORUM_MODEL").is_ok_and(|v| v == "full");
    let scope = if full {
        Scope { terms: 2, entries: 3, crashes: 1, flying: 3 }
    } else {
        Scope { terms: 1, entries: 2, crashes: 1, flying: 3 }
    };
    let mut checker = scope.checker().threads(std::thread::available_parallelism().map_or(1, usize::from));
    if !full {
        checker = checker.target_state_count(100_000);
    }
    let checker = checker.spawn_bfs().join();
    println!("{} states, {} unique", checker.state_count(), checker.unique_state_count());
    if full {
        checker.assert_properties();
    } else {
        checker.assert_no_discovery("one leader a term");
        checker.assert_no_discovery("what one was given, no other was given otherwise");
        checker.assert_no_discovery("what was given out is on two disks");
        checker.assert_no_discovery("a leader's log holds what was given out");
    }
}
