//! The entries that a member holds, in memory.

use std::collections::VecDeque;

use crate::entry::{Cut, Entry, Index, Members, Payload, Term};

/// Entries without a gap, from the cut on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryLog {
    pub cut: Cut,
    entries: VecDeque<Entry>,
    /// Where the entries that say who votes are, ascending.
    changes: Vec<Index>,
}

impl EntryLog {
    pub fn new(cut: Cut, entries: Vec<Entry>) -> Self {
        let mut log = Self { cut, entries: VecDeque::new(), changes: Vec::new() };
        entries.into_iter().for_each(|e| log.push(e));
        log
    }

    pub fn first_index(&self) -> Index {
        self.cut.index + 1
    }

    pub fn last_index(&self) -> Index {
        self.entries.back().map_or(self.cut.index, |e| e.index)
    }

    pub fn last_term(&self) -> Term {
        self.entries.back().map_or(self.cut.term, |e| e.term)
    }

    pub fn get(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The term of the entry at `index`; none above the end and below the cut.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.cut.index { Some(self.cut.term) } else { self.get(index).map(|e| e.term) }
    }

    /// Who votes: the last entry that says so, committed or not.
    pub fn members(&self) -> &Members {
        self.members_at(self.last_index())
    }

    /// Who votes as of the entry at `index`.
    pub fn members_at(&self, index: Index) -> &Members {
        let change = self.changes.iter().rev().find(|c| **c <= index).and_then(|c| self.get(*c));
        match change.map(|e| &e.payload) {
            Some(Payload::Members(members)) => members,
            _ => &self.cut.members,
        }
    }

    /// Where the last change of the members stands; the cut if none is in the log.
    pub fn last_change(&self) -> Index {
        self.changes.last().copied().unwrap_or(self.cut.index)
    }

    pub fn push(&mut self, entry: Entry) {
        assert!(
            entry.index == self.last_index() + 1 && entry.term >= self.last_term(),
            "log entry {}.{} after {}.{}",
            entry.term,
            entry.index,
            self.last_term(),
            self.last_index()
        );
        if matches!(entry.payload, Payload::Members(_)) {
            self.changes.push(entry.index);
        }
        self.entries.push_back(entry);
    }

    /// Drops the entries from `index` on.
    pub fn truncate(&mut self, index: Index) {
        assert!(index > self.cut.index, "what the snapshot holds is not cut off again");
        self.entries.truncate(usize::try_from(index - self.first_index()).unwrap_or(usize::MAX));
        self.changes.retain(|c| *c < index);
    }

    /// Drops the entries up to `index`.
    pub fn compact(&mut self, index: Index) {
        let term = self.term_at(index).expect("only what the log holds is cut off");
        let members = self.members_at(index).clone();
        while self.entries.front().is_some_and(|e| e.index <= index) {
            self.entries.pop_front();
        }
        self.changes.retain(|c| *c > index);
        self.cut = Cut { index, term, members };
    }

    /// The entries from `index` on, up to about `bytes`, but one at least if there is one.
    pub fn from(&self, index: Index, bytes: usize) -> Vec<Entry> {
        let (mut some, mut size) = (Vec::new(), 0);
        for e in (index..).map_while(|i| self.get(i)) {
            size += e.size();
            if size > bytes && !some.is_empty() {
                break;
            }
            some.push(e.clone());
        }
        some
    }

    /// The last index at or below `index` whose term is at most `term`: where a leader who does not
    /// agree there may try next.
    pub fn before_term(&self, index: Index, term: Term) -> Index {
        let mut at = index.min(self.last_index());
        while at > self.cut.index && self.term_at(at).is_some_and(|t| t > term) {
            at -= 1;
        }
        at
    }
}
