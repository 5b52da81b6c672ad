//! One member as a value: messages, ticks and proposals in; writes, messages and committed entries out.
//!
//! ```text
//!            no leader for a while          a majority would vote        a majority voted
//! Follower ───────────────────────► PreCandidate ─────────────► Candidate ──────────────► Leader
//!    ▲  ▲                               │  ▲                        │                        │
//!    │  └──── a leader speaks ──────────┘  └──── too slow ──────────┘                        │
//!    └────────────── a higher term, or no majority heard for an election's time ─────────────┘
//! ```
//!
//! Time is counted in ticks that the owner makes. No safety rests on them, but for one thing: a leader's
//! lease ([`Raft::lease`]), which also needs that ticks of two members do not differ in length by half.

mod election;
mod essence;
mod follower;
mod leader;
mod log;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::entry::{Cut, Entry, HardState, Index, MemberId, Members, Payload, Term};
use crate::message::{Body, Message};
pub use essence::Essence;
use leader::Leading;
use log::EntryLog;

/// How long things take, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    /// A leader speaks this often.
    pub heartbeat: u32,
    /// A leader that was not heard for so long may be replaced, and one that hears no majority steps down.
    pub election: u32,
    /// Each waits up to so much longer, by chance, so that not all stand at once.
    pub spread: u32,
}

/// What a member needs to know of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setup {
    pub me: MemberId,
    pub timing: Timing,
    /// Ticks that this one waits beyond the others before it stands, so that the first in rank mostly wins.
    pub reticence: u32,
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// Write this, all of it at once, and call [`Raft::persisted`] with `seq` when it is on stable storage.
/// Writes are to be done in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Persist {
    pub seq: u64,
    pub hard: Option<HardState>,
    /// Entries from here on are to be forgotten, before any is added.
    pub truncate: Option<Index>,
    pub entries: Vec<Entry>,
    /// Entries up to here are to be forgotten (exclusive start, inclusive end).
    pub forget: Option<(Index, Index)>,
    /// The owner's state is to be replaced by this.
    pub install: Option<Snapshot>,
}

/// The owner's state at a cut.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    pub cut: Cut,
    pub data: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Output {
    Persist(Persist),
    /// To be sent once the write `after` is on stable storage. It may get lost.
    Send {
        to: MemberId,
        message: Message,
        after: Option<u64>,
    },
    /// Apply it. Given once while this value lives, in order, without gaps (but for an installed
    /// snapshot).
    Committed(Entry),
    /// From now on [`Raft::propose`] works, and all that earlier leaders committed was given out.
    Leading {
        term: Term,
    },
    /// Someone else leads, or nobody is known to: what was proposed here may or may not be committed.
    Following {
        leader: Option<MemberId>,
        term: Term,
    },
    /// The log no longer reaches this member: call [`Raft::send_snapshot`] with the state as of all that
    /// was given out.
    SnapshotWanted {
        to: MemberId,
    },
}

/// What a store held (see [`crate::disk::load`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Restored {
    pub hard: HardState,
    /// Without gaps, from the cut on.
    pub entries: Vec<Entry>,
}

/// Why a change of the members is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    #[error("this monitor does not lead")]
    NotLeading,
    #[error("an earlier change is not committed yet")]
    UnderWay,
    #[error("more than one monitor would come or go at once")]
    TooMany,
    #[error("the last monitor cannot go")]
    Last,
}

/// One member. See the crate's doc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raft {
    setup: Setup,
    role: Part,
    term: Term,
    vote: Option<MemberId>,
    log: EntryLog,
    commit: Index,
    /// Given out as committed up to here.
    given: Index,
    leader: Option<MemberId>,
    /// Ticks since a leader of this term was heard (or this member started).
    quiet: u32,
    /// Ticks since the role or the leader changed, or a leader was heard.
    elapsed: u32,
    /// Elections that this member stood for: another draw each.
    draws: u64,
    last_seq: u64,
    /// Writes under way: their number and the last index that each makes stable.
    writes: VecDeque<(u64, Index)>,
    /// On stable storage up to here.
    stable: Index,
    out: VecDeque<Output>,
}

/// A role with what only it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Follower,
    PreCandidate {
        granted: BTreeSet<MemberId>,
    },
    /// The own vote counts once the write `own` is on stable storage.
    Candidate {
        granted: BTreeSet<MemberId>,
        own: u64,
    },
    Leader(Leading),
}

impl Raft {
    /// A member with what its store held; `applied` is up to where its owner's state is known to reach
    /// (at least the cut): those entries are not given out again.
    pub fn new(setup: Setup, restored: Restored, applied: Index) -> Self {
        let Restored { hard, entries } = restored;
        let given = applied.max(hard.snapshot.index);
        let log = EntryLog::new(hard.snapshot, entries);
        let stable = log.last_index();
        let raft = Self {
            setup,
            role: Part::Follower,
            term: hard.term,
            vote: hard.vote,
            log,
            commit: given,
            given,
            leader: None,
            quiet: 0,
            elapsed: 0,
            draws: 0,
            last_seq: 0,
            writes: VecDeque::new(),
            stable,
            out: VecDeque::new(),
        };
        raft.check();
        raft
    }

    // ---- What the owner calls ----------------------------------------------------------------

    /// A tick has passed.
    pub fn tick(&mut self) {
        self.quiet = self.quiet.saturating_add(1);
        self.elapsed = self.elapsed.saturating_add(1);
        if matches!(self.role, Part::Leader(_)) {
            self.lead_tick();
        } else if self.elapsed >= self.patience() {
            self.campaign();
        }
        self.check();
    }

    /// A message has come.
    pub fn step(&mut self, message: Message) {
        if self.admit(&message) {
            let Message { from, term, body } = message;
            match body {
                Body::PreVote { last_index, last_term } => self.on_pre_vote(from, term, (last_term, last_index)),
                Body::PreVoteReply { granted } => self.on_pre_vote_reply(from, term, granted),
                Body::Vote { last_index, last_term } => self.on_vote(from, (last_term, last_index)),
                Body::VoteReply { granted } => self.on_vote_reply(from, granted),
                Body::Append { round, prev_index, prev_term, commit, entries } => {
                    self.on_append(from, round, (prev_index, prev_term), commit, entries);
                }
                Body::Appended { round, matched } => self.on_appended(from, round, matched),
                Body::Rejected { round, hint } => self.on_rejected(from, round, hint),
                Body::Snapshot { round, cut, data } => self.on_snapshot(from, round, cut, data),
            }
        }
        self.check();
    }

    /// The write `seq` is on stable storage, and all before it.
    pub fn persisted(&mut self, seq: u64) {
        while let Some(&(first, index)) = self.writes.front() {
            if first > seq {
                break;
            }
            self.stable = self.stable.max(index);
            self.writes.pop_front();
        }
        match &self.role {
            Part::Candidate { own, .. } if *own <= seq => self.count_own_vote(),
            Part::Leader(_) => self.advance_commit(),
            _ => {}
        }
        self.check();
    }

    /// Appends an entry; it comes back as [`Output::Committed`]. `None` unless this member leads.
    pub fn propose(&mut self, data: Bytes) -> Option<Index> {
        if !self.is_leading() {
            return None;
        }
        let index = self.append(Payload::Data(data));
        self.broadcast();
        self.check();
        Some(index)
    }

    /// Forgets entries up to `index`, whose effect the owner's state holds on stable storage.
    pub fn compact(&mut self, index: Index) {
        let index = index.min(self.given).min(self.log.last_index());
        let from = self.log.cut.index;
        if index <= from {
            return;
        }
        self.log.compact(index);
        self.persist(Persist { forget: Some((from, index)), ..Persist::default() }, true);
        self.check();
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// A leader speaks now, whatever the time.
    pub fn beat(&mut self) {
        if matches!(self.role, Part::Leader(_)) {
            self.heartbeat();
        }
    }

    // ---- What the owner asks -----------------------------------------------------------------

    pub fn me(&self) -> MemberId {
        self.setup.me
    }

    pub fn role(&self) -> Role {
        match self.role {
            Part::Follower => Role::Follower,
            Part::PreCandidate { .. } => Role::PreCandidate,
            Part::Candidate { .. } => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }

    /// Whether proposals are taken: leading, with everything earlier given out.
    pub fn is_leading(&self) -> bool {
        matches!(&self.role, Part::Leader(l) if l.opening.is_none())
    }

    /// Who leads in this term, as far as this member knows.
    pub fn leader(&self) -> Option<MemberId> {
        self.leader
    }

    pub fn term(&self) -> Term {
        self.term
    }

    pub fn vote(&self) -> Option<MemberId> {
        self.vote
    }

    pub fn members(&self) -> &Members {
        self.log.members()
    }

    pub fn first_index(&self) -> Index {
        self.log.first_index()
    }

    pub fn last_index(&self) -> Index {
        self.log.last_index()
    }

    pub fn committed_index(&self) -> Index {
        self.commit
    }

    /// The entry at `index`, if the log holds it.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    // ---- Shared by the roles -----------------------------------------------------------------

    /// Settles terms; gives whether the message is to be looked at further.
    fn admit(&mut self, message: &Message) -> bool {
        let Message { from, term, body } = message;
        if *from == self.setup.me {
            return false;
        }
        let asks = matches!(body, Body::PreVote { .. } | Body::Vote { .. });
        if asks && *term > self.term && self.hears_a_leader() {
            // Whoever was cut off, or removed, shall not unseat a leader whom we hear.
            return false;
        }
        if *term > self.term {
            let hypothetical =
                matches!(body, Body::PreVote { .. }) || matches!(body, Body::PreVoteReply { granted: true });
            if !hypothetical {
                let leader = matches!(body, Body::Append { .. } | Body::Snapshot { .. }).then_some(*from);
                self.follow(*term, leader);
            }
            return true;
        }
        if *term < self.term {
            self.correct(*from, body);
            return false;
        }
        true
    }

    /// Answers one whose term is over, so that it learns of ours.
    fn correct(&mut self, from: MemberId, body: &Body) {
        match body {
            Body::PreVote { .. } => self.send(from, Body::PreVoteReply { granted: false }, None),
            Body::Vote { .. } => self.send(from, Body::VoteReply { granted: false }, None),
            Body::Append { round, .. } | Body::Snapshot { round, .. } => {
                let body = Body::Rejected { round: *round, hint: self.commit };
                self.send(from, body, None);
            }
            _ => {}
        }
    }

    /// Whether a leader was heard so lately that nobody else is to be elected.
    fn hears_a_leader(&self) -> bool {
        match &self.role {
            Part::Leader(_) => true,
            _ => self.quiet < self.setup.timing.election,
        }
    }

    /// Becomes a follower in `term`, which is ours or a later one.
    fn follow(&mut self, term: Term, leader: Option<MemberId>) {
        let changed = term != self.term || !matches!(self.role, Part::Follower) || leader != self.leader;
        self.role = Part::Follower;
        self.leader = leader;
        self.elapsed = 0;
        if term > self.term {
            self.term = term;
            self.vote = None;
            self.persist(Persist::default(), true);
        }
        if changed {
            self.out.push_back(Output::Following { leader, term });
        }
    }

    /// Ticks without a leader after which this member stands.
    fn patience(&self) -> u32 {
        let Setup { me, timing, reticence, seed } = self.setup;
        let draw = splitmix(seed ^ splitmix(me) ^ splitmix(self.term) ^ self.draws);
        timing.election + reticence + (draw % (u64::from(timing.spread) + 1)) as u32
    }

    fn append(&mut self, payload: Payload) -> Index {
        let entry = Entry { term: self.term, index: self.log.last_index() + 1, payload };
        let index = entry.index;
        self.log.push(entry.clone());
        self.persist(Persist { entries: vec![entry], ..Persist::default() }, false);
        index
    }

    /// Numbers a write and hands it out; gives its number.
    fn persist(&mut self, mut persist: Persist, hard: bool) -> u64 {
        self.last_seq += 1;
        persist.seq = self.last_seq;
        persist.hard = hard.then(|| HardState { term: self.term, vote: self.vote, snapshot: self.log.cut.clone() });
        if let Some(from) = persist.truncate {
            self.stable = self.stable.min(from - 1);
            self.writes.iter_mut().for_each(|(_, index)| *index = (*index).min(from - 1));
        }
        let installed = persist.install.as_ref().map_or(0, |s| s.cut.index);
        let last = persist.entries.last().map_or(installed, |e| e.index);
        self.writes.push_back((persist.seq, last));
        self.out.push_back(Output::Persist(persist));
        self.last_seq
    }

    fn send(&mut self, to: MemberId, body: Body, after: Option<u64>) {
        let message = Message { from: self.setup.me, term: self.term, body };
        self.out.push_back(Output::Send { to, message, after });
    }

    /// The write that everything said until now must wait for; none if all is on stable storage.
    fn pending_write(&self) -> Option<u64> {
        self.writes.back().map(|(seq, _)| *seq)
    }

    /// Gives out what is committed now.
    fn commit_to(&mut self, index: Index) {
        if index <= self.commit {
            return;
        }
        assert!(index <= self.log.last_index(), "what is committed is in the log");
        self.commit = index;
        while self.given < self.commit {
            let entry = self.log.get(self.given + 1).expect("the log has no gaps").clone();
            self.given += 1;
            self.out.push_back(Output::Committed(entry));
        }
    }

    fn check(&self) {
        assert!(self.given <= self.commit, "given out and not committed");
        assert!(self.log.cut.index <= self.given, "cut off before it was given out");
        assert!(self.log.last_term() <= self.term, "an entry of a later term than ours");
        assert!(self.stable <= self.log.last_index(), "stable beyond the log");
    }
}

/// A well mixed number from another (Steele, Lea, Flood 2014).
fn splitmix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
