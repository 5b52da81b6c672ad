//! Every interleaving of a small scope, of the real step function: three members, elections up to term 2,
//! a log of three entries, a crash that forgets what was not written, messages lost, doubled, late and in
//! any order.
//!
//! The walk is made small enough to come to its end by letting more happen than can, so that what holds
//! here holds for what can happen:
//! - Time is free: whoever likes stands for election, as if a majority had answered its pre-vote; a
//!   leader gives up, and a member votes, though a leader was heard just now.
//! - A message that was sent stays: it may arrive never, once, often, late. What is under way is therefore
//!   a set of [`Fact`]s. Of a leader there is all that it could ever have sent: each entry of its log, one
//!   at a time, and how far is committed, to everyone. (What it does send is checked to be among that.) So it does not
//!   matter what a leader believes to be the next entry of a follower, nor what a rejection tells it.
//! - Who has heard a message of a later term may also just learn that term.
//! - Who never crashes writes at once: a write that takes its time delays only what waits for it, and
//!   messages are late anyway.
//! - The number of a round only serves leases; it is always 0.
//!
//! and by calling states the same of which each can do what the other can (the walk keeps a number of 64 bits
//! of each, and is depth-first, so that memory is no limit):
//! - The one that may crash is the first; the other two differ by their numbers only ([`Cluster::as_if`]).
//! - What can never again change anything is not kept ([`Cluster::forget_the_useless`]).
//! - Of a member counts its [`quorum::Essence`]; of its vote nothing once nobody stands, or ever will, in that term;
//!   of what a leader knows of the others only what is beyond the committed.
//!
//! A test run walks one term; `QUORUM_MODEL=TERMS,ENTRIES,CRASHES` any scope (see docs/TESTING.md).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use quorum::{
    Body, Entry, HardState, Index, MemberId, Members, Message, Output, Payload, Persist, Raft, Restored, Role, Setup,
    Term, Timing,
};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// No patience at all: a tick makes a member stand, and a leader give up.
const TIMING: Timing = Timing { heartbeat: 1, election: 0, spread: 0 };
/// The one who may crash.
const VICTIM: MemberId = 1;

#[derive(Debug, Clone)]
struct Scope {
    terms: Term,
    /// Indexes of the log; each leader's first entry takes one.
    entries: Index,
    crashes: u64,
    /// Plants a bug: answers do not wait for the disk.
    careless: bool,
}

/// What was said, and may be heard by whom it concerns, ever after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Fact {
    Asked { term: Term, by: MemberId, last_index: Index, last_term: Term },
    Granted { term: Term, by: MemberId, to: MemberId },
    Holds { term: Term, by: MemberId, index: Index },
    Term(Term),
}

/// All that a leader said: its log, and how much of it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Speech {
    leader: MemberId,
    entries: Vec<Entry>,
    commit: Index,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    raft: Raft,
    hard: HardState,
    entries: BTreeMap<Index, Entry>,
    writes: Vec<Persist>,
    /// What is said once the write of this number is done.
    held: BTreeMap<Fact, u64>,
    given: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cluster {
    nodes: [Node; 3],
    said: BTreeSet<Fact>,
    speeches: BTreeMap<Term, Speech>,
    crashes: u64,
    two_leaders: bool,
    /// What any member ever gave out, though it has crashed since, and the first term in which one did.
    given: Vec<(Entry, Term)>,
    two_outcomes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    Stand(MemberId),
    Propose(MemberId),
    Written(MemberId),
    Crash(MemberId),
    Hear(MemberId, Fact),
    /// The entry at this index, from the leader of the term.
    Entry(MemberId, Term, Index),
    /// That so much is committed.
    Commit(MemberId, Term, Index),
}

fn setup(id: MemberId) -> Setup {
    Setup { me: id, timing: TIMING, reticence: 0, seed: 0 }
}

impl Node {
    fn new(id: MemberId) -> Self {
        let mut hard = HardState::default();
        hard.snapshot.members = Members::from_iter(1..=3);
        let raft = Raft::new(setup(id), Restored { hard: hard.clone(), entries: vec![] }, 0);
        Self { raft, hard, entries: BTreeMap::new(), writes: vec![], held: BTreeMap::new(), given: vec![] }
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

    fn crash(&mut self) {
        let entries = self.entries.values().cloned().collect();
        self.raft = Raft::new(setup(self.raft.me()), Restored { hard: self.hard.clone(), entries }, 0);
        self.writes.clear();
        self.held.clear();
        self.given.clear();
    }

    /// A leader hears no majority.
    fn give_up(&mut self) {
        if self.raft.role() == Role::Leader {
            self.raft.tick();
        }
    }

    fn stand(&mut self) {
        self.give_up();
        self.raft.tick();
        let (from, term) = (self.raft.me() % 3 + 1, self.raft.term() + 1);
        self.raft.step(Message { from, term, body: Body::PreVoteReply { granted: true } });
    }

    /// Whether it stands in this term, or may come to it. (A crash takes it back to its disk's.)
    fn may_stand_in(&self, term: Term) -> bool {
        self.hard.term < term || (self.raft.role() == Role::Candidate && self.raft.term() == term)
    }

    /// Feeds what is to be told apart of this member, others named by `name`; `open` says whether anyone
    /// stands, or may, in a term.
    fn digest(&self, name: Naming, open: impl Fn(Term) -> bool, state: &mut DefaultHasher) {
        let mut raft = self.raft.essence();
        let vote = |vote: Option<MemberId>, term: Term| vote.filter(|_| open(term)).map(name);
        raft.vote = vote(raft.vote, raft.term);
        raft.granted = raft.granted.into_iter().map(name).collect();
        raft.matched = raft.matched.into_iter().map(|(id, index)| (name(id), index.max(raft.commit))).collect();
        (raft, self.hard.term, vote(self.hard.vote, self.hard.term)).hash(state);
        self.entries.values().chain(&self.given).for_each(|e| e.hash(state));
        // Writes are numbered from the newest.
        let newest = self.writes.last().map_or(0, |w| w.seq);
        for w in &self.writes {
            let hard = w.hard.as_ref().map(|h| (h.term, vote(h.vote, h.term)));
            (newest - w.seq, hard, w.truncate, &w.entries).hash(state);
        }
        let held: BTreeSet<_> = self.held.iter().map(|(f, seq)| (f.renamed(name), newest.wrapping_sub(*seq))).collect();
        held.hash(state);
    }
}

/// What a member is called.
type Naming = fn(MemberId) -> MemberId;

impl Fact {
    fn renamed(&self, name: Naming) -> Self {
        match self.clone() {
            Self::Asked { term, by, last_index, last_term } => {
                Self::Asked { term, by: name(by), last_index, last_term }
            }
            Self::Granted { term, by, to } => Self::Granted { term, by: name(by), to: name(to) },
            Self::Holds { term, by, index } => Self::Holds { term, by: name(by), index },
            Self::Term(term) => Self::Term(term),
        }
    }
}

/// States are told apart by a number of 64 bits, the same for the second and the third in each other's place.
impl Hash for Cluster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let exchanged = |id| if id == VICTIM { id } else { 5 - id };
        self.as_if([0, 1, 2], |id| id).min(self.as_if([0, 2, 1], exchanged)).hash(state);
    }
}

fn fact(to: MemberId, message: &Message) -> Option<Fact> {
    let (by, term) = (message.from, message.term);
    match message.body {
        Body::Vote { last_index, last_term } => Some(Fact::Asked { term, by, last_index, last_term }),
        Body::VoteReply { granted: true } => Some(Fact::Granted { term, by, to }),
        Body::Appended { matched, .. } => Some(Fact::Holds { term, by, index: matched }),
        Body::VoteReply { granted: false } | Body::Rejected { .. } => Some(Fact::Term(term)),
        Body::PreVote { .. } | Body::PreVoteReply { .. } => None,
        Body::Append { .. } | Body::Snapshot { .. } => unreachable!("a leader's words are in its speech"),
    }
}

impl Cluster {
    fn node(&mut self, id: MemberId) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    /// A number for this state with the members in this order, by these names.
    fn as_if(&self, order: [usize; 3], name: Naming) -> u64 {
        let mut state = DefaultHasher::new();
        let open = |term| self.nodes.iter().any(|n| n.may_stand_in(term));
        order.iter().for_each(|at| self.nodes[*at].digest(name, open, &mut state));
        self.said.iter().map(|fact| fact.renamed(name)).collect::<BTreeSet<_>>().hash(&mut state);
        for (term, speech) in &self.speeches {
            (term, name(speech.leader), &speech.entries, speech.commit).hash(&mut state);
        }
        (self.crashes, self.two_leaders, &self.given, self.two_outcomes).hash(&mut state);
        state.finish()
    }

    fn drain(&mut self, id: MemberId, scope: &Scope) {
        let slow = id == VICTIM && self.crashes < scope.crashes;
        let waits = slow && !scope.careless;
        self.note_leader(id);
        while let Some(output) = self.node(id).raft.poll() {
            match output {
                Output::Persist(p) if slow => self.node(id).writes.push(p),
                Output::Persist(p) => {
                    let (seq, node) = (p.seq, self.node(id));
                    node.perform(p);
                    node.raft.persisted(seq);
                    self.note_leader(id);
                }
                Output::Send { message, after, .. } if matches!(message.body, Body::Append { .. }) => {
                    assert_eq!(after, None);
                    self.check_speech(&message);
                }
                Output::Send { to, message, after } => match (fact(to, &message), after) {
                    (Some(fact), Some(seq)) if waits => _ = self.node(id).held.entry(fact).or_insert(seq),
                    (Some(fact), _) => self.say(fact),
                    (None, _) => {}
                },
                Output::Committed(entry) => self.note_given(id, entry),
                Output::Leading { .. } | Output::Following { .. } => {}
                Output::SnapshotWanted { .. } => unreachable!("nothing is cut off here"),
            }
        }
    }

    fn say(&mut self, fact: Fact) {
        let (Fact::Asked { term, .. } | Fact::Granted { term, .. } | Fact::Holds { term, .. } | Fact::Term(term)) =
            fact;
        self.said.insert(Fact::Term(term));
        match fact {
            // Who holds an entry holds those before it.
            Fact::Holds { term, by, index } => {
                self.said.extend((1..=index).map(|index| Fact::Holds { term, by, index }));
            }
            _ => _ = self.said.insert(fact),
        }
    }

    /// Takes away what can never again change anything, whatever happens: a term that is on disk does not
    /// come back, nor does a role in it that was given up, nor is a vote in it given twice. (A vote for who no
    /// longer stands would only keep it from others; and what is committed is no less so if one more holds it.)
    fn forget_the_useless(&mut self) {
        let Self { nodes, said, speeches, .. } = self;
        let raft = |id: MemberId| &nodes[id as usize - 1].raft;
        let is = |id: MemberId, role: Role, term: Term| raft(id).role() == role && raft(id).term() == term;
        let useful = |fact: &Fact| match fact {
            Fact::Asked { term, by, .. } => {
                let open = |hard: &HardState| hard.term < *term || (hard.term == *term && hard.vote.is_none());
                is(*by, Role::Candidate, *term) && nodes.iter().any(|n| n.raft.me() != *by && open(&n.hard))
            }
            Fact::Granted { term, to, .. } => is(*to, Role::Candidate, *term),
            Fact::Holds { term, index, .. } => {
                (1..=3).any(|id| is(id, Role::Leader, *term) && raft(id).committed_index() < *index)
            }
            Fact::Term(term) => nodes.iter().any(|n| n.hard.term < *term),
        };
        said.retain(useful);
        let useless = |n: &Node| n.held.keys().filter(|f| !useful(f)).cloned().collect::<BTreeSet<Fact>>();
        let useless = [0, 1, 2].map(|at| useless(&nodes[at]));
        speeches.retain(|term, speech| {
            nodes.iter().any(|n| n.hard.term < *term || (n.hard.term == *term && n.raft.me() != speech.leader))
        });
        for (node, useless) in nodes.iter_mut().zip(useless) {
            node.held.retain(|fact, _| !useless.contains(fact));
        }
    }

    fn note_given(&mut self, id: MemberId, entry: Entry) {
        let at = entry.index as usize - 1;
        let term = self.node(id).raft.term();
        match self.given.get_mut(at) {
            Some((known, first)) => {
                self.two_outcomes |= *known != entry;
                *first = term.min(*first);
            }
            None => self.given.push((entry.clone(), term)),
        }
        self.node(id).given.push(entry);
    }

    fn note_leader(&mut self, id: MemberId) {
        let raft = &self.nodes[id as usize - 1].raft;
        if raft.role() != Role::Leader {
            return;
        }
        let entries = (1..=raft.last_index()).map(|i| raft.entry(i).expect("nothing is cut off").clone()).collect();
        let speech = Speech { leader: id, entries, commit: raft.committed_index() };
        self.two_leaders |= self.speeches.get(&raft.term()).is_some_and(|s| s.leader != id);
        self.said.insert(Fact::Term(raft.term()));
        self.speeches.insert(raft.term(), speech);
    }

    /// What a leader sends is part of what it is taken to have sent.
    fn check_speech(&self, message: &Message) {
        let Body::Append { prev_index, prev_term, commit, entries, .. } = &message.body else { return };
        let speech = &self.speeches[&message.term];
        let term_at = |index: Index| if index == 0 { 0 } else { speech.entries[index as usize - 1].term };
        assert!(speech.leader == message.from && *commit <= speech.commit && *prev_term == term_at(*prev_index));
        assert!(entries.iter().all(|e| speech.entries[e.index as usize - 1] == *e));
    }

    fn append(&self, term: Term, prev_index: Index, commit: Index, entries: &[Entry]) -> Message {
        let speech = &self.speeches[&term];
        let prev_term = if prev_index == 0 { 0 } else { speech.entries[prev_index as usize - 1].term };
        let entries = entries.to_vec();
        Message { from: speech.leader, term, body: Body::Append { round: 0, prev_index, prev_term, commit, entries } }
    }
}

impl Model for Scope {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        let nodes = [1, 2, 3].map(Node::new);
        vec![Cluster {
            nodes,
            said: BTreeSet::new(),
            speeches: BTreeMap::new(),
            crashes: 0,
            two_leaders: false,
            given: vec![],
            two_outcomes: false,
        }]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Action>) {
        for node in &state.nodes {
            let (raft, id) = (&node.raft, node.raft.me());
            if raft.term() < self.terms {
                actions.push(Action::Stand(id));
            }
            if raft.is_leading() && raft.last_index() < self.entries {
                actions.push(Action::Propose(id));
            }
            if !node.writes.is_empty() {
                actions.push(Action::Written(id));
            }
            if id == VICTIM && state.crashes < self.crashes {
                actions.push(Action::Crash(id));
            }
            let concerns = |fact: &&Fact| match fact {
                Fact::Asked { by, term, .. } => *by != id && *term >= raft.term(),
                Fact::Granted { to, term, .. } => *to == id && *term == raft.term() && raft.role() == Role::Candidate,
                Fact::Holds { term, by, .. } => *by != id && *term == raft.term() && raft.role() == Role::Leader,
                Fact::Term(term) => *term > raft.term(),
            };
            actions.extend(state.said.iter().filter(concerns).map(|fact| Action::Hear(id, fact.clone())));
            for (term, speech) in state.speeches.iter().filter(|(t, s)| s.leader != id && **t >= raft.term()) {
                let (last, commit) = (speech.entries.len() as Index, speech.commit);
                actions.extend((1..=last).map(|i| Action::Entry(id, *term, i)));
                actions.extend((1..=commit).map(|i| Action::Commit(id, *term, i)));
            }
        }
    }

    fn next_state(&self, state: &Cluster, action: Action) -> Option<Cluster> {
        let mut next = state.clone();
        let id = match action {
            Action::Stand(id) => {
                next.node(id).stand();
                id
            }
            Action::Propose(id) => {
                next.node(id).raft.propose(Bytes::from_static(b"v"));
                id
            }
            Action::Written(id) => {
                let node = next.node(id);
                let write = node.writes.remove(0);
                let seq = write.seq;
                node.perform(write);
                node.raft.persisted(seq);
                let ready: Vec<_> = node.held.extract_if(.., |_, after| *after <= seq).collect();
                ready.into_iter().for_each(|(fact, _)| next.say(fact));
                id
            }
            Action::Crash(id) => {
                next.crashes += 1;
                next.node(id).crash();
                id
            }
            Action::Hear(id, fact) => {
                let node = next.node(id);
                let message = match fact {
                    Fact::Asked { term, by, last_index, last_term } => {
                        if term > node.raft.term() {
                            node.give_up();
                        }
                        Message { from: by, term, body: Body::Vote { last_index, last_term } }
                    }
                    Fact::Granted { term, by, .. } => {
                        Message { from: by, term, body: Body::VoteReply { granted: true } }
                    }
                    Fact::Holds { term, by, index } => {
                        Message { from: by, term, body: Body::Appended { round: 0, matched: index } }
                    }
                    Fact::Term(term) => Message { from: id % 3 + 1, term, body: Body::VoteReply { granted: false } },
                };
                node.raft.step(message);
                id
            }
            Action::Entry(id, term, index) => {
                let message =
                    next.append(term, index - 1, 0, &state.speeches[&term].entries[index as usize - 1..][..1]);
                next.node(id).raft.step(message);
                id
            }
            Action::Commit(id, term, index) => {
                let message = next.append(term, index, index, &[]);
                next.node(id).raft.step(message);
                id
            }
        };
        next.drain(id, self);
        next.forget_the_useless();
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one leader a term", |_, s: &Cluster| !s.two_leaders),
            Property::always("what one was given, no other was given otherwise", |_, s: &Cluster| !s.two_outcomes),
            Property::always("what was given out is on two disks", |_, s: &Cluster| {
                let disks = |e: &Entry| s.nodes.iter().filter(|n| n.entries.get(&e.index) == Some(e)).count();
                s.given.iter().all(|(e, _)| disks(e) >= 2)
            }),
            Property::always(
                "the leader of this term, and of later ones, holds what was given out",
                |_, s: &Cluster| {
                    let leaders = s.nodes.iter().map(|n| &n.raft).filter(|r| r.role() == Role::Leader);
                    let holds =
                        |r: &Raft| s.given.iter().all(|(e, term)| *term > r.term() || r.entry(e.index) == Some(e));
                    leaders.into_iter().all(holds)
                },
            ),
            Property::always("logs that agree at an index agree before it", |_, s: &Cluster| {
                let logs = s.nodes.each_ref().map(|n| &n.raft);
                let agree = |a: &Raft, b: &Raft| {
                    let common = a.last_index().min(b.last_index());
                    let term = |r: &Raft, i| r.entry(i).map(|e| e.term);
                    let last = (1..=common).rev().find(|i| term(a, *i) == term(b, *i)).unwrap_or(0);
                    (1..=last).all(|i| a.entry(i) == b.entry(i))
                };
                agree(logs[0], logs[1]) && agree(logs[0], logs[2]) && agree(logs[1], logs[2])
            }),
            Property::sometimes("something is committed", |_, s: &Cluster| {
                s.nodes.iter().any(|n| n.given.iter().any(|e| matches!(e.payload, Payload::Data(_))))
            }),
        ]
    }
}

#[test]
fn no_interleaving_of_the_small_scope_breaks_safety() {
    let given = std::env::var("QUORUM_MODEL").unwrap_or_else(|_| "1,3,1".into());
    let numbers: Vec<u64> = given.split(',').map(|n| n.parse().expect("terms,entries,crashes")).collect();
    let scope = Scope { terms: numbers[0], entries: numbers[1], crashes: numbers[2], careless: false };
    let began = std::time::Instant::now();
    let checker = scope.clone().checker().threads(std::thread::available_parallelism().map_or(1, usize::from));
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    let (steps, states) = (checker.state_count(), checker.unique_state_count());
    println!("{scope:?}: {steps} steps, {states} states, {:?}", began.elapsed());
    checker.assert_properties();
}

/// The checker checks.
#[test]
fn a_vote_that_does_not_wait_for_the_disk_is_caught() {
    let scope = Scope { terms: 1, entries: 2, crashes: 1, careless: true };
    let checker = scope.checker().spawn_bfs().join();
    checker.assert_any_discovery("one leader a term");
}
