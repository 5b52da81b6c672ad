//! What a leader tells a follower.

use bytes::Bytes;

use super::log::EntryLog;
use super::{Persist, Raft, Snapshot};
use crate::entry::{Cut, Entry, Index, MemberId, Term};
use crate::message::{Body, Round};

impl Raft {
    fn hear(&mut self, leader: MemberId) {
        self.follow(self.term, Some(leader));
        self.quiet = 0;
    }

    pub(super) fn on_append(
        &mut self,
        from: MemberId,
        round: Round,
        prev: (Index, Term),
        commit: Index,
        entries: Vec<Entry>,
    ) {
        if matches!(self.role, super::Part::Leader(_)) {
            return; // There are no two leaders in a term.
        }
        self.hear(from);
        let (prev_index, prev_term) = prev;
        // What is committed here is in every leader's log: no need to compare it.
        let agrees = prev_index <= self.commit || self.log.term_at(prev_index) == Some(prev_term);
        if !agrees {
            let hint = self.log.before_term(prev_index - 1, prev_term).max(self.commit);
            return self.send(from, Body::Rejected { round, hint }, None);
        }
        let matched = entries.last().map_or(prev_index, |e| e.index).max(self.commit);
        self.take_entries(entries);
        self.commit_to(commit.min(matched));
        let after = if matched <= self.stable { None } else { self.pending_write() };
        self.send(from, Body::Appended { round, matched }, after);
    }

    /// Adds what the log does not hold, and drops what contradicts it.
    fn take_entries(&mut self, entries: Vec<Entry>) {
        let known = |e: &Entry| e.index <= self.commit || self.log.term_at(e.index) == Some(e.term);
        let Some(first) = entries.iter().position(|e| !known(e)) else { return };
        let new = entries[first..].to_vec();
        let truncate = (new[0].index <= self.log.last_index()).then_some(new[0].index);
        if let Some(from) = truncate {
            self.log.truncate(from);
        }
        new.iter().for_each(|e| self.log.push(e.clone()));
        self.persist(Persist { truncate, entries: new, ..Persist::default() }, false);
    }

    pub(super) fn on_snapshot(&mut self, from: MemberId, round: Round, cut: Cut, data: Bytes) {
        if matches!(self.role, super::Part::Leader(_)) {
            return;
        }
        self.hear(from);
        if cut.index > self.commit {
            self.install(cut, data);
        }
        let after = self.pending_write();
        self.send(from, Body::Appended { round, matched: self.commit }, after);
    }

    /// Replaces the owner's state. Entries beyond the cut stay if they follow from it: a leader may have
    /// counted on them.
    fn install(&mut self, cut: Cut, data: Bytes) {
        let from = self.log.cut.index;
        let index = cut.index;
        let hold = self.log.term_at(index) == Some(cut.term);
        let mut write = Persist { install: Some(Snapshot { cut: cut.clone(), data }), ..Persist::default() };
        if hold {
            self.log.compact(index);
            self.log.cut = cut;
            write.forget = Some((from, index));
        } else {
            write.truncate = Some(from + 1);
            self.log = EntryLog::new(cut, Vec::new());
        }
        self.commit = index;
        self.given = index;
        self.persist(write, true);
    }
}
