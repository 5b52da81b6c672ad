//! The log as a value: proposals in, things to persist and committed entries out.
//!
//! ```text
//! start ──► Candidate ──vote persisted──► Leader: empty entry persisted ──► committed up to it
//!                                           propose ──► Persist ──persisted──► Committed
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{Entry, HardState, Index, MemberId, Term};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Follower,
    Candidate,
    Leader,
}

/// Write this and call [`Log::persisted`] with `seq` when it is on stable storage. Writes are to be
/// done in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persist {
    pub seq: u64,
    pub hard: Option<HardState>,
    pub entries: Vec<Entry>,
    /// Entries up to here may be forgotten (exclusive start, inclusive end).
    pub forget: Option<(Index, Index)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Persist(Persist),
    /// Apply it. Given once while this value lives, in order, without gaps.
    Committed(Entry),
    /// From now on [`Log::propose`] works, and all that earlier leaders committed was given out.
    Leading {
        term: Term,
    },
}

/// What a store held (see [`crate::disk::load`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    pub hard: HardState,
    /// Without gaps, from `hard.snapshot_index + 1`.
    pub entries: Vec<Entry>,
}

/// One member's log. See the crate's doc.
#[derive(Debug)]
pub struct Log {
    me: MemberId,
    role: Role,
    hard: HardState,
    entries: VecDeque<Entry>,
    commit: Index,
    /// Given out as committed up to here.
    given: Index,
    /// The leader's empty entry, until it is committed.
    opening: Option<Index>,
    last_seq: u64,
    /// Writes under way: their number and the last index that each makes stable.
    writes: VecDeque<(u64, Index)>,
    out: VecDeque<Output>,
}

impl Log {
    /// A member with what its store held; `applied` is up to where its owner's state is known to
    /// reach (at least the snapshot index): those entries are not given out again.
    pub fn new(me: MemberId, restored: Restored, applied: Index) -> Self {
        let given = applied.max(restored.hard.snapshot_index);
        let log = Self {
            me,
            role: Role::Follower,
            hard: restored.hard,
            entries: restored.entries.into(),
            commit: given,
            given,
            opening: None,
            last_seq: 0,
            writes: VecDeque::new(),
            out: VecDeque::new(),
        };
        log.check();
        log
    }

    /// Stands for election. Alone, the own vote is a majority as soon as it is persisted.
    pub fn campaign(&mut self) {
        self.role = Role::Candidate;
        self.hard.term += 1;
        self.hard.vote = Some(self.me);
        self.persist(true, vec![]);
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether proposals are taken: leading, with everything earlier given out.
    pub fn is_leading(&self) -> bool {
        self.role == Role::Leader && self.opening.is_none()
    }

    pub fn term(&self) -> Term {
        self.hard.term
    }

    pub fn last_index(&self) -> Index {
        self.entries.back().map_or(self.hard.snapshot_index, |e| e.index)
    }

    pub fn committed_index(&self) -> Index {
        self.commit
    }

    pub fn first_index(&self) -> Index {
        self.hard.snapshot_index + 1
    }

    /// Appends an entry; it comes back as [`Output::Committed`]. `None` unless this member leads.
    pub fn propose(&mut self, data: Bytes) -> Option<Index> {
        self.is_leading().then(|| self.append(data))
    }

    /// The write `seq` is on stable storage.
    pub fn persisted(&mut self, seq: u64) {
        let mut stable = 0;
        while let Some(&(first, index)) = self.writes.front() {
            if first > seq {
                break;
            }
            stable = stable.max(index);
            self.writes.pop_front();
        }
        if self.role == Role::Candidate && self.writes.is_empty() {
            self.role = Role::Leader;
            let index = self.append(Bytes::new());
            self.opening = Some(index);
        } else if self.role == Role::Leader {
            self.commit_to(stable);
        }
        self.check();
    }

    /// Forgets entries up to `index`, whose effect the owner's state holds on stable storage.
    pub fn compact(&mut self, index: Index) {
        let index = index.min(self.given);
        if index <= self.hard.snapshot_index {
            return;
        }
        let from = self.hard.snapshot_index;
        while self.entries.front().is_some_and(|e| e.index <= index) {
            let gone = self.entries.pop_front().expect("front was there");
            self.hard.snapshot_term = gone.term;
        }
        self.hard.snapshot_index = index;
        self.persist(true, vec![]);
        if let Some(Output::Persist(p)) = self.out.back_mut() {
            p.forget = Some((from, index));
        }
        self.check();
    }

    /// What to do next, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn append(&mut self, data: Bytes) -> Index {
        let entry = Entry { term: self.hard.term, index: self.last_index() + 1, data };
        let index = entry.index;
        self.entries.push_back(entry.clone());
        self.persist(false, vec![entry]);
        index
    }

    fn persist(&mut self, hard: bool, entries: Vec<Entry>) {
        self.last_seq += 1;
        self.writes.push_back((self.last_seq, entries.last().map_or(0, |e| e.index)));
        let hard = hard.then_some(self.hard);
        self.out.push_back(Output::Persist(Persist { seq: self.last_seq, hard, entries, forget: None }));
    }

    /// Only entries of the current term count towards a commit; those before come with them.
    fn commit_to(&mut self, index: Index) {
        let own_term = self.entry(index).is_some_and(|e| e.term == self.hard.term);
        if !own_term || index <= self.commit {
            return;
        }
        self.commit = index;
        while self.given < self.commit {
            let entry = self.entry(self.given + 1).expect("the log has no gaps").clone();
            self.given += 1;
            self.out.push_back(Output::Committed(entry));
        }
        if self.opening.is_some_and(|i| i <= self.commit) {
            self.opening = None;
            self.out.push_back(Output::Leading { term: self.hard.term });
        }
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn check(&self) {
        let mut want = (self.hard.snapshot_term, self.first_index());
        for e in &self.entries {
            assert!(e.index == want.1 && e.term >= want.0, "log entry {}.{} after {want:?}", e.term, e.index);
            want = (e.term, e.index + 1);
        }
        assert!(self.given <= self.commit && self.commit <= self.last_index().max(self.given));
        assert!(want.0 <= self.hard.term, "an entry of a later term than ours");
    }
}
