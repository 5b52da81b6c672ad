//! Members on a virtual clock, with disks that are late and networks that lose, double and delay.
//!
//! Checked after every event, named as in openraft's suite (sections are those of Ongaro's thesis):
//! election safety (3.2), log matching (3.3), leader completeness (3.4), state machine safety (3.2),
//! committed entries never change, committed entries are on a majority's disks, and terms, votes within
//! a term, commit and applied indexes never go back. Besides: a lease excludes any later leader.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use bytes::Bytes;
use denc::{from_bytes, to_bytes};
use quorum::{
    Entry, HardState, Index, MemberId, Members, Message, Output, Payload, Persist, Raft, Restored, Role, Setup, Term,
    Timing,
};

pub const TIMING: Timing = Timing { heartbeat: 3, election: 10, spread: 10 };
/// Units of virtual time in a tick, about.
const TICK: u64 = 100;

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What is on a disk: the log, and the owner's state.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub hard: HardState,
    entries: BTreeMap<Index, Entry>,
    pub applied: Vec<Entry>,
}

impl Disk {
    fn applied_index(&self) -> Index {
        self.applied.last().map_or(0, |e| e.index)
    }

    fn restored(&self) -> Restored {
        Restored { hard: self.hard.clone(), entries: self.entries.values().cloned().collect() }
    }

    fn holds(&self, entry: &Entry) -> bool {
        self.hard.snapshot.index >= entry.index || self.entries.get(&entry.index) == Some(entry)
    }

    fn perform(&mut self, op: Write) {
        match op {
            Write::Apply(entry) => self.applied.push(entry),
            Write::Log(p) => {
                if let Some(from) = p.truncate {
                    self.entries.retain(|i, _| *i < from);
                }
                self.entries.extend(p.entries.into_iter().map(|e| (e.index, e)));
                if let Some((_, to)) = p.forget {
                    self.entries.retain(|i, _| *i > to);
                }
                if let Some(snapshot) = p.install {
                    self.applied = from_bytes(snapshot.data).expect("our own encoding");
                }
                if let Some(hard) = p.hard {
                    self.hard = hard;
                }
            }
        }
    }
}

enum Write {
    Log(Persist),
    Apply(Entry),
}

pub struct Member {
    pub raft: Option<Raft>,
    pub disk: Disk,
    writes: VecDeque<Write>,
    /// The owner's state in memory: runs ahead of the disk.
    pub applied: Vec<Entry>,
    held: Vec<(u64, MemberId, Message)>,
    /// Counts the lives; events of an earlier one are void.
    life: u64,
    seen: (Term, Option<MemberId>, Index),
    /// Proposed here in this life: index, term and value.
    proposed: BTreeMap<Index, (Term, Bytes)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick(MemberId, u64),
    Written(MemberId, u64),
    Deliver(MemberId, Bytes),
    Fault,
    Propose,
    Heal,
}

pub struct Net {
    pub rng: Rng,
    pub now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    pub members: BTreeMap<MemberId, Member>,
    /// Directed.
    cut: BTreeSet<(MemberId, MemberId)>,
    /// Percent.
    pub loss: u64,
    pub doubling: u64,
    pub delay: u64,
    pub faults: bool,
    /// Every `compact`-th entry, the log is cut off.
    compact: u64,
    leaders: BTreeMap<Term, MemberId>,
    pub committed: Vec<Entry>,
    /// Values that a client was told to be committed.
    pub acked: Vec<Bytes>,
    next_value: u64,
    next_id: MemberId,
    /// Puts a bug back: messages do not wait for the disk.
    pub careless: bool,
    /// Changes of members join the faults.
    pub churn: bool,
}

impl Net {
    pub fn new(n: u64, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let loss = [0, 0, 2, 10, 30][rng.below(5) as usize];
        let doubling = [0, 0, 5, 20][rng.below(4) as usize];
        let delay = [5, 20, 100, 400][rng.below(4) as usize];
        let compact = [0, 0, 3, 10][rng.below(4) as usize];
        let mut net = Self {
            rng,
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            members: BTreeMap::new(),
            cut: BTreeSet::new(),
            loss,
            doubling,
            delay,
            faults: true,
            compact,
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            acked: Vec::new(),
            next_value: 0,
            next_id: n + 1,
            careless: false,
            churn: false,
        };
        let all: Members = (1..=n).collect();
        for id in 1..=n {
            let mut disk = Disk::default();
            disk.hard.snapshot.members = all.clone();
            net.add(id, disk);
        }
        net
    }

    /// A life long enough for elections, with faults; then everything is mended.
    pub fn live(&mut self, faults: u64, until: u64) {
        for _ in 0..faults {
            let at = self.rng.below(until * 9 / 10);
            self.at(at, Event::Fault);
        }
        for _ in 0..until / 150 {
            let at = self.rng.below(until);
            self.at(at, Event::Propose);
        }
        self.at(until, Event::Heal);
        while self.queue.peek().is_some_and(|Reverse((at, ..))| *at <= until) {
            self.next_event();
        }
    }

    /// Runs until `done`, for at most `time`; gives whether it was.
    pub fn run_until(&mut self, time: u64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + time;
        while !done(self) {
            if self.now > end || self.queue.is_empty() {
                return false;
            }
            self.next_event();
        }
        true
    }

    fn add(&mut self, id: MemberId, disk: Disk) {
        let member = Member {
            raft: None,
            applied: Vec::new(),
            disk,
            writes: VecDeque::new(),
            held: Vec::new(),
            life: 0,
            seen: (0, None, 0),
            proposed: BTreeMap::new(),
        };
        self.members.insert(id, member);
        self.start(id);
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, event)));
    }

    fn next_event(&mut self) {
        let Some(Reverse((at, _, event))) = self.queue.pop() else { return };
        self.now = self.now.max(at);
        match event {
            Event::Tick(id, life) if self.lives(id, life) => {
                self.act(id, Raft::tick);
                let next = self.now + TICK * 9 / 10 + self.rng.below(TICK / 5);
                self.at(next, Event::Tick(id, life));
            }
            Event::Written(id, life) if self.lives(id, life) => self.written(id),
            Event::Deliver(id, bytes) => {
                let message: Message = from_bytes(bytes).expect("what was sent can be read");
                self.act(id, |raft| raft.step(message));
            }
            Event::Fault => self.fault(),
            Event::Propose => self.propose(),
            Event::Heal => self.heal(),
            _ => {}
        }
    }

    fn lives(&self, id: MemberId, life: u64) -> bool {
        self.members.get(&id).is_some_and(|m| m.life == life && m.raft.is_some())
    }

    // ---- Faults ------------------------------------------------------------------------------

    fn pick(&mut self) -> MemberId {
        let ids: Vec<_> = self.members.keys().copied().collect();
        ids[self.rng.below(ids.len() as u64) as usize]
    }

    fn fault(&mut self) {
        let id = self.pick();
        match self.rng.below(if self.churn { 11 } else { 8 }) {
            0 | 1 => self.crash(id),
            2 => self.start(id),
            3 => self.cut = self.members.keys().flat_map(|other| [(id, *other), (*other, id)]).collect(),
            4 => {
                let other = self.pick();
                self.cut.insert((id, other));
            }
            5 => {
                // Two sides.
                let side: BTreeSet<_> = self.members.keys().copied().filter(|m| (m ^ id) & 1 == 0).collect();
                let ids: Vec<_> = self.members.keys().copied().collect();
                for (a, b) in ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b))) {
                    if side.contains(&a) != side.contains(&b) {
                        self.cut.insert((a, b));
                    }
                }
            }
            6 => self.cut.clear(),
            7 => {
                for id in self.members.keys().copied().collect::<Vec<_>>() {
                    self.crash(id);
                    self.start(id);
                }
            }
            _ => self.change_members(),
        }
    }

    /// Power off: what was not written is lost; of the writes under way the first few are kept.
    pub fn crash(&mut self, id: MemberId) {
        let kept = self.rng.below(4);
        let m = self.members.get_mut(&id).expect("a member");
        if m.raft.take().is_none() {
            return;
        }
        for write in std::mem::take(&mut m.writes).into_iter().take(kept as usize) {
            m.disk.perform(write);
        }
        m.held.clear();
        m.proposed.clear();
    }

    pub fn start(&mut self, id: MemberId) {
        let seed = self.rng.next();
        let m = self.members.get_mut(&id).expect("a member");
        if m.raft.is_some() {
            return;
        }
        m.life += 1;
        m.applied = m.disk.applied.clone();
        let setup = Setup { me: id, timing: TIMING, reticence: 0, seed };
        assert!(m.disk.hard.term >= m.seen.0 || !m.disk.entries.is_empty() || m.seen.0 == 0 || m.life > 1);
        let raft = Raft::new(setup, m.disk.restored(), m.disk.applied_index());
        m.seen = (raft.term(), raft.vote(), 0);
        m.raft = Some(raft);
        let life = m.life;
        let at = self.now + self.rng.below(TICK);
        self.at(at, Event::Tick(id, life));
    }

    pub fn isolate(&mut self, id: MemberId) {
        self.cut = self.members.keys().flat_map(|other| [(id, *other), (*other, id)]).collect();
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.faults = false;
        (self.loss, self.doubling, self.delay) = (0, 0, 5);
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.start(id);
        }
    }

    pub fn leader(&self) -> Option<MemberId> {
        let leading = |(id, m): (&MemberId, &Member)| {
            let raft = m.raft.as_ref().filter(|r| r.is_leading())?;
            Some((raft.term(), *id))
        };
        self.members.iter().filter_map(leading).max().map(|(_, id)| id)
    }

    pub fn propose(&mut self) {
        // Old leaders that do not know it are asked, too.
        let leading = |m: &Member| m.raft.as_ref().is_some_and(Raft::is_leading);
        let leaders: Vec<_> = self.members.iter().filter(|(_, m)| leading(m)).map(|(id, _)| *id).collect();
        if leaders.is_empty() {
            return;
        }
        let id = leaders[self.rng.below(leaders.len() as u64) as usize];
        self.next_value += 1;
        let value = Bytes::from(self.next_value.to_le_bytes().to_vec());
        let m = self.members.get_mut(&id).expect("a member");
        let raft = m.raft.as_mut().expect("it leads");
        let term = raft.term();
        if let Some(index) = raft.propose(value.clone()) {
            m.proposed.insert(index, (term, value));
        }
        self.drain(id);
    }

    /// The leader takes one in or lets one go; newcomers first learn.
    fn change_members(&mut self) {
        let Some(leader) = self.leader() else { return };
        let grow = self.rng.chance(50);
        if grow && self.members.len() < 7 {
            let id = self.next_id;
            self.next_id += 1;
            self.add(id, Disk::default());
            self.act(leader, |raft| raft.add_learner(id));
            return;
        }
        let candidates: Vec<_> = self.members.keys().copied().collect();
        let id = candidates[self.rng.below(candidates.len() as u64) as usize];
        self.act(leader, |raft| {
            let members = raft.members().clone();
            let changed = if members.contains(id) {
                if members.len() <= 2 { members } else { members.without(id) }
            } else if raft.is_caught_up(id) {
                members.with(id)
            } else {
                raft.add_learner(id);
                members
            };
            if changed != *raft.members() {
                let _ = raft.change_members(changed);
            }
        });
    }

    // ---- Performing what members want --------------------------------------------------------

    pub fn act(&mut self, id: MemberId, f: impl FnOnce(&mut Raft)) {
        let Some(raft) = self.members.get_mut(&id).and_then(|m| m.raft.as_mut()) else { return };
        f(raft);
        self.drain(id);
    }

    fn drain(&mut self, id: MemberId) {
        self.note_leader(id);
        while let Some(output) = self.members.get_mut(&id).and_then(|m| m.raft.as_mut()).and_then(Raft::poll) {
            match output {
                Output::Persist(p) => {
                    if let Some(snapshot) = &p.install {
                        let applied: Vec<Entry> = from_bytes(snapshot.data.clone()).expect("our own encoding");
                        applied.iter().for_each(|e| self.note_committed(id, e));
                        self.member(id).applied = applied;
                    }
                    self.write(id, Write::Log(p));
                }
                Output::Send { to, message, after } => match after.filter(|_| !self.careless) {
                    Some(seq) => self.member(id).held.push((seq, to, message)),
                    None => self.post(id, to, &message),
                },
                Output::Committed(entry) => self.committed(id, entry),
                Output::Leading { .. } | Output::Following { .. } => {}
                Output::SnapshotWanted { to } => {
                    let m = self.member(id);
                    let data = to_bytes(&m.applied, 0);
                    m.raft.as_mut().expect("it runs").send_snapshot(to, data);
                }
            }
        }
        self.check(id);
    }

    fn member(&mut self, id: MemberId) -> &mut Member {
        self.members.get_mut(&id).expect("a member")
    }

    fn write(&mut self, id: MemberId, write: Write) {
        let m = self.member(id);
        m.writes.push_back(write);
        let life = m.life;
        let slow = if self.rng.chance(5) { 300 } else { 10 };
        let at = self.now + self.rng.below(slow);
        self.at(at, Event::Written(id, life));
    }

    /// The oldest write is on the disk.
    fn written(&mut self, id: MemberId) {
        let m = self.member(id);
        let Some(write) = m.writes.pop_front() else { return };
        let seq = if let Write::Log(p) = &write { Some(p.seq) } else { None };
        m.disk.perform(write);
        let Some(seq) = seq else { return };
        let (ready, held) = std::mem::take(&mut m.held).into_iter().partition(|(after, ..)| *after <= seq);
        m.held = held;
        for (_, to, message) in ready {
            self.post(id, to, &message);
        }
        self.act(id, |raft| raft.persisted(seq));
    }

    fn post(&mut self, from: MemberId, to: MemberId, message: &Message) {
        if self.cut.contains(&(from, to)) || self.rng.chance(self.loss) {
            return;
        }
        let bytes = to_bytes(message, 0);
        let copies = 1 + u64::from(self.rng.chance(self.doubling));
        for _ in 0..copies {
            let at = self.now + 1 + self.rng.below(self.delay);
            self.at(at, Event::Deliver(to, bytes.clone()));
        }
    }

    fn committed(&mut self, id: MemberId, entry: Entry) {
        self.note_committed(id, &entry);
        let compact = self.compact;
        let m = self.member(id);
        assert_eq!(m.applied.last().map_or(0, |e| e.index) + 1, entry.index, "entries are given out without gaps");
        m.applied.push(entry.clone());
        if let Some((term, value)) = m.proposed.remove(&entry.index)
            && term == entry.term
        {
            assert_eq!(entry.payload, Payload::Data(value.clone()), "a leader's own entry is what it proposed");
            self.acked.push(value);
        }
        let index = entry.index;
        self.write(id, Write::Apply(entry));
        if compact > 0 && index.is_multiple_of(compact) {
            let raft = self.member(id).raft.as_mut().expect("it runs");
            raft.compact(index.saturating_sub(2));
        }
    }

    // ---- Invariants --------------------------------------------------------------------------

    /// Election safety, and leader completeness.
    fn note_leader(&mut self, id: MemberId) {
        let Some(raft) = self.members[&id].raft.as_ref().filter(|r| r.role() == Role::Leader) else { return };
        let term = raft.term();
        match self.leaders.get(&term) {
            Some(other) => assert_eq!(*other, id, "two leaders in term {term}"),
            None => {
                for e in self.committed.iter().filter(|e| e.index >= raft.first_index()) {
                    assert_eq!(raft.entry(e.index), Some(e), "the leader of term {term} lacks what is committed");
                }
                self.leaders.insert(term, id);
            }
        }
    }

    /// State machine safety; and when it is new, that it is on a majority's disks.
    fn note_committed(&mut self, id: MemberId, entry: &Entry) {
        let at = entry.index as usize - 1;
        if let Some(known) = self.committed.get(at) {
            assert_eq!(known, entry, "member.{id} was given another entry {}", entry.index);
            return;
        }
        assert_eq!(at, self.committed.len(), "entries are committed in order");
        let members = self.members[&id].raft.as_ref().expect("it runs").members().clone();
        let have = members.iter().filter(|m| self.members.get(m).is_some_and(|m| m.disk.holds(entry))).count();
        assert!(have >= members.majority(), "entry {} is committed and on {have} disks", entry.index);
        self.committed.push(entry.clone());
    }

    fn check(&mut self, id: MemberId) {
        let m = self.members.get_mut(&id).expect("a member");
        let Some(raft) = &m.raft else { return };
        let now = (raft.term(), raft.vote(), raft.committed_index());
        let (term, vote, commit) = m.seen;
        assert!(now.0 >= term && now.2 >= commit, "member.{id} went back from {:?} to {now:?}", m.seen);
        assert!(now.0 > term || vote.is_none() || now.1 == vote, "member.{id} voted twice in term {term}");
        m.seen = now;
        if raft.lease() > 0 {
            let (term, id) = (raft.term(), raft.me());
            let later = |m: &&Member| m.raft.as_ref().is_some_and(|r| r.is_leading() && r.term() > term);
            assert!(self.members.values().find(later).is_none(), "member.{id} has a lease, and someone leads after it");
        }
    }

    /// Log matching, over all pairs.
    pub fn check_logs(&self) {
        let rafts: Vec<_> = self.members.values().filter_map(|m| m.raft.as_ref()).collect();
        for (a, b) in rafts.iter().flat_map(|a| rafts.iter().map(move |b| (a, b))) {
            let first = a.first_index().max(b.first_index());
            let mut agree = false;
            for index in (first..=a.last_index().min(b.last_index())).rev() {
                let (x, y) = (a.entry(index).expect("in range"), b.entry(index).expect("in range"));
                agree |= x.term == y.term;
                assert!(!agree || x == y, "logs of {} and {} part below {index}", a.me(), b.me());
            }
        }
    }

    /// Every value that a client saw committed is there once, and none twice.
    pub fn check_client(&self) {
        let mut count: BTreeMap<&[u8], usize> = BTreeMap::new();
        for e in &self.committed {
            if let Payload::Data(data) = &e.payload {
                *count.entry(data).or_default() += 1;
            }
        }
        for value in &self.acked {
            assert_eq!(count.get(value.as_ref()), Some(&1), "an acknowledged value is lost or doubled");
        }
        assert!(count.values().all(|n| *n == 1), "a value was committed twice");
    }
}
