//! What safety rests on: two members that are equal in it, and hear the same from here on, give the same out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Part, Raft, Role};
use crate::entry::{Cut, Entry, Index, MemberId, Term};

/// A member without the numbers of rounds and writes, without times, and without a leader's guess of
/// where to go on sending. For a model checker, which is to meet a state once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Essence<'a> {
    pub role: Role,
    pub term: Term,
    pub vote: Option<MemberId>,
    /// Who voted for this candidate, or would.
    pub granted: BTreeSet<MemberId>,
    pub cut: &'a Cut,
    pub log: Vec<&'a Entry>,
    pub commit: Index,
    pub given: Index,
    /// On stable storage up to here.
    pub stable: Index,
    /// What the others have on stable storage, as far as this leader heard.
    pub matched: BTreeMap<MemberId, Index>,
    /// Writes under way, counted back from the newest, and how far each makes the log stable.
    pub writes: Vec<(u64, Index)>,
    /// The one with a candidate's own vote, if that is under way.
    pub own: Option<u64>,
}

impl Raft {
    pub fn essence(&self) -> Essence<'_> {
        let age = |seq: u64| self.last_seq - seq;
        let under_way = |seq: &u64| self.writes.iter().any(|(s, _)| s == seq);
        let (granted, own, matched) = match &self.role {
            Part::Follower => Default::default(),
            Part::PreCandidate { granted } => (granted.clone(), None, BTreeMap::new()),
            Part::Candidate { granted, own } => {
                (granted.clone(), Some(*own).filter(under_way).map(age), BTreeMap::new())
            }
            Part::Leader(leading) => (BTreeSet::new(), None, leading.matched()),
        };
        Essence {
            role: self.role(),
            term: self.term,
            vote: self.vote,
            granted,
            cut: &self.log.cut,
            log: (self.first_index()..=self.last_index()).filter_map(|i| self.log.get(i)).collect(),
            commit: self.commit,
            given: self.given,
            stable: self.stable,
            matched,
            writes: self.writes.iter().map(|(seq, index)| (age(*seq), *index)).collect(),
            own,
        }
    }
}
