//! Elections: who would be voted for, who was, and what a majority makes of it.

use std::collections::BTreeSet;

use super::{Output, Part, Persist, Raft};
use crate::entry::{Index, MemberId, Term};
use crate::message::{Body, Message};

/// Where a log ends: logs compare by it.
type End = (Term, Index);

impl Raft {
    /// Stands for election, if it votes at all: asks first whether a majority would vote for it, so that
    /// one who cannot win disturbs nobody.
    pub fn campaign(&mut self) {
        self.draws += 1;
        self.elapsed = 0;
        if matches!(self.role, Part::Leader(_)) || !self.members().contains(self.setup.me) {
            return;
        }
        if self.leader.take().is_some() {
            self.out.push_back(Output::Following { leader: None, term: self.term });
        }
        self.role = Part::PreCandidate { granted: BTreeSet::from([self.setup.me]) };
        if self.members().majority() == 1 {
            return self.stand();
        }
        let (last_term, last_index) = self.end();
        self.ask(self.term + 1, &Body::PreVote { last_index, last_term }, None);
    }

    pub(super) fn on_pre_vote(&mut self, from: MemberId, term: Term, end: End) {
        let granted = term > self.term && end >= self.end();
        let term = if granted { term } else { self.term };
        let message = Message { from: self.setup.me, term, body: Body::PreVoteReply { granted } };
        self.out.push_back(Output::Send { to: from, message, after: None });
    }

    pub(super) fn on_pre_vote_reply(&mut self, from: MemberId, term: Term, yes: bool) {
        let next = self.term + 1;
        let Part::PreCandidate { granted } = &mut self.role else { return };
        if yes && term == next {
            granted.insert(from);
            let granted = granted.clone();
            if self.is_majority(&granted) {
                self.stand();
            }
        }
    }

    /// A new term, with the own vote.
    fn stand(&mut self) {
        self.term += 1;
        self.vote = Some(self.setup.me);
        self.elapsed = 0;
        let own = self.persist(Persist::default(), true);
        self.role = Part::Candidate { granted: BTreeSet::new(), own };
        let (last_term, last_index) = self.end();
        self.ask(self.term, &Body::Vote { last_index, last_term }, Some(own));
    }

    pub(super) fn on_vote(&mut self, from: MemberId, end: End) {
        let free = self.vote.is_none_or(|vote| vote == from);
        let granted = free && end >= self.end();
        if granted && self.vote.is_none() {
            self.vote = Some(from);
            self.elapsed = 0;
            self.persist(Persist::default(), true);
        }
        let after = if granted { self.pending_write() } else { None };
        self.send(from, Body::VoteReply { granted }, after);
    }

    pub(super) fn on_vote_reply(&mut self, from: MemberId, yes: bool) {
        if yes {
            self.count_vote(from);
        }
    }

    pub(super) fn count_own_vote(&mut self) {
        self.count_vote(self.setup.me);
    }

    fn count_vote(&mut self, from: MemberId) {
        let Part::Candidate { granted, .. } = &mut self.role else { return };
        granted.insert(from);
        let granted = granted.clone();
        if self.is_majority(&granted) {
            self.lead();
        }
    }

    fn is_majority(&self, granted: &BTreeSet<MemberId>) -> bool {
        let members = self.members();
        granted.iter().filter(|m| members.contains(**m)).count() >= members.majority()
    }

    fn end(&self) -> End {
        (self.log.last_term(), self.log.last_index())
    }

    /// Asks every other member.
    fn ask(&mut self, term: Term, body: &Body, after: Option<u64>) {
        let me = self.setup.me;
        for to in self.members().iter().filter(|m| *m != me).collect::<Vec<_>>() {
            let message = Message { from: me, term, body: body.clone() };
            self.out.push_back(Output::Send { to, message, after });
        }
    }
}
