//! Leading: who has what, what is committed, and who else votes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{ChangeRefused, Output, Part, Raft, Role};
use crate::entry::{Cut, Index, MemberId, Members, Payload};
use crate::message::{Body, Round};

/// Bytes of entries in one message, about.
const APPEND_MAX: usize = 1 << 20;
/// A snapshot that was not answered for so many election times is sent again.
const SNAPSHOT_PATIENCE: u64 = 10;

/// What only a leader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leading {
    /// Everyone but this member, learners included.
    progress: BTreeMap<MemberId, Progress>,
    /// Those who get the log and do not vote.
    learners: BTreeSet<MemberId>,
    /// The leader's first entry, until it is committed.
    pub opening: Option<Index>,
    /// Ticks since it leads.
    now: u64,
    round: Round,
    /// When each of the last rounds began.
    rounds: VecDeque<(Round, u64)>,
}

/// How far another member is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    /// It has this much, on stable storage.
    matched: Index,
    /// What to send next.
    next: Index,
    /// Where its log agrees with ours is not known: one message at a time.
    probing: bool,
    /// A probe is out; a heartbeat asks again.
    waiting: bool,
    /// It needs a snapshot, which was asked for or sent then.
    snapshot: Option<u64>,
    /// When it was last heard.
    heard: u64,
    /// The latest round that it answered.
    answered: Round,
}

impl Leading {
    pub(super) fn matched(&self) -> BTreeMap<MemberId, Index> {
        self.progress.iter().map(|(id, p)| (*id, p.matched)).collect()
    }
}

impl Progress {
    fn new(next: Index, now: u64) -> Self {
        Self { matched: 0, next, probing: true, waiting: false, snapshot: None, heard: now, answered: 0 }
    }
}

impl Raft {
    pub(super) fn lead(&mut self) {
        self.leader = Some(self.setup.me);
        self.role = Part::Leader(Leading {
            progress: BTreeMap::new(),
            learners: BTreeSet::new(),
            opening: None,
            now: 0,
            round: 0,
            rounds: VecDeque::new(),
        });
        let index = self.append(Payload::Opening);
        self.leading().opening = Some(index);
        self.sync_progress();
        self.heartbeat();
        self.advance_commit();
    }

    fn leading(&mut self) -> &mut Leading {
        match &mut self.role {
            Part::Leader(leading) => leading,
            _ => unreachable!("only a leader comes here"),
        }
    }

    /// One entry for everyone who gets the log.
    fn sync_progress(&mut self) {
        let me = self.setup.me;
        let next = self.log.last_index() + 1;
        let members = self.members().clone();
        let leading = self.leading();
        let learners = &mut leading.learners;
        learners.retain(|l| !members.contains(*l));
        let wanted: BTreeSet<_> = members.iter().chain(learners.iter().copied()).filter(|m| *m != me).collect();
        leading.progress.retain(|m, _| wanted.contains(m));
        for m in wanted {
            leading.progress.entry(m).or_insert_with(|| Progress::new(next, leading.now));
        }
    }

    pub(super) fn lead_tick(&mut self) {
        let election = u64::from(self.setup.timing.election);
        let every = u64::from(self.setup.timing.heartbeat);
        let leading = self.leading();
        leading.now += 1;
        let now = leading.now;
        if self.heard_since(now.saturating_sub(election)) < self.members().majority() {
            return self.follow(self.term, None);
        }
        if now.is_multiple_of(every) {
            self.heartbeat();
        }
    }

    /// How many members were heard at `since` or later, this one included.
    fn heard_since(&self, since: u64) -> usize {
        let Part::Leader(leading) = &self.role else { return 0 };
        let heard = |m: MemberId| m == self.setup.me || leading.progress.get(&m).is_some_and(|p| p.heard >= since);
        self.members().iter().filter(|m| heard(*m)).count()
    }

    /// A new round: everyone is asked, also those who owe an answer.
    pub(super) fn heartbeat(&mut self) {
        let kept = usize::try_from(self.setup.timing.election).unwrap_or(usize::MAX);
        let patience = SNAPSHOT_PATIENCE * u64::from(self.setup.timing.election);
        let leading = self.leading();
        leading.round += 1;
        leading.rounds.push_back((leading.round, leading.now));
        if leading.rounds.len() > kept {
            leading.rounds.pop_front();
        }
        let now = leading.now;
        for p in leading.progress.values_mut() {
            p.waiting = false;
            p.snapshot = p.snapshot.filter(|at| now - at < patience);
        }
        self.broadcast();
    }

    pub(super) fn broadcast(&mut self) {
        for to in self.leading().progress.keys().copied().collect::<Vec<_>>() {
            self.send_append(to);
        }
    }

    fn send_append(&mut self, to: MemberId) {
        let (first, commit) = (self.log.first_index(), self.commit);
        let cut = (self.log.cut.index, self.log.cut.term);
        let leading = self.leading();
        let (round, now) = (leading.round, leading.now);
        let Some(p) = leading.progress.get_mut(&to) else { return };
        if p.waiting {
            return;
        }
        if p.next < first {
            // Its heartbeat meanwhile: what it cannot agree to.
            p.waiting = true;
            let ask = p.snapshot.replace(p.snapshot.unwrap_or(now)).is_none();
            let body = Body::Append { round, prev_index: cut.0, prev_term: cut.1, commit, entries: Vec::new() };
            self.send(to, body, None);
            if ask {
                self.out.push_back(Output::SnapshotWanted { to });
            }
            return;
        }
        let next = p.next;
        let entries = self.log.from(next, APPEND_MAX);
        let sent = entries.last().map_or(next, |e| e.index + 1);
        let prev_index = next - 1;
        let prev_term = self.log.term_at(prev_index).expect("at the cut or above it");
        let p = self.leading().progress.get_mut(&to).expect("it was there");
        if p.probing {
            p.waiting = true;
        } else {
            p.next = sent;
        }
        self.send(to, Body::Append { round, prev_index, prev_term, commit, entries }, None);
    }

    /// Sends the owner's state, which must be that after everything that was given out.
    pub fn send_snapshot(&mut self, to: MemberId, data: Bytes) {
        let index = self.given;
        let Some(term) = self.log.term_at(index) else { return };
        let cut = Cut { index, term, members: self.log.members_at(index).clone() };
        let Part::Leader(leading) = &mut self.role else { return };
        let round = leading.round;
        let now = leading.now;
        let Some(p) = leading.progress.get_mut(&to) else { return };
        p.snapshot = Some(now);
        p.waiting = true;
        self.send(to, Body::Snapshot { round, cut, data }, None);
    }

    /// An answer from `from`: notes that it lives. Gives its progress.
    fn answered(&mut self, from: MemberId, round: Round) -> Option<&mut Progress> {
        let Part::Leader(leading) = &mut self.role else { return None };
        let (now, latest) = (leading.now, leading.round);
        let p = leading.progress.get_mut(&from)?;
        p.heard = now;
        p.answered = p.answered.max(round.min(latest));
        p.waiting = false;
        Some(p)
    }

    pub(super) fn on_appended(&mut self, from: MemberId, round: Round, matched: Index) {
        let (last, first) = (self.log.last_index(), self.log.first_index());
        let Some(p) = self.answered(from, round) else { return };
        if matched > last {
            return; // No honest member has what its leader has not.
        }
        p.matched = p.matched.max(matched);
        p.next = p.next.max(p.matched + 1);
        p.probing = false;
        if p.next >= first {
            p.snapshot = None;
        }
        let behind = p.next <= last;
        self.advance_commit();
        if behind && matches!(self.role, Part::Leader(_)) {
            self.send_append(from);
        }
    }

    pub(super) fn on_rejected(&mut self, from: MemberId, round: Round, hint: Index) {
        let Some(p) = self.answered(from, round) else { return };
        if p.snapshot.is_some() {
            p.waiting = true; // Until the snapshot is there, heartbeats are enough.
            return;
        }
        p.next = (hint.saturating_add(1)).min(p.next).max(p.matched + 1);
        p.probing = true;
        self.send_append(from);
    }

    /// What a majority has on stable storage is committed, if it is of this term; what came before it
    /// is committed with it (Raft §5.4.2).
    pub(super) fn advance_commit(&mut self) {
        let Part::Leader(leading) = &self.role else { return };
        let me = self.setup.me;
        let matched = |m| if m == me { self.stable } else { leading.progress.get(&m).map_or(0, |p| p.matched) };
        let mut have: Vec<Index> = self.members().iter().map(matched).collect();
        have.sort_unstable_by(|a, b| b.cmp(a));
        let Some(&index) = have.get(self.members().majority() - 1) else { return };
        if index <= self.commit || self.log.term_at(index) != Some(self.term) {
            return;
        }
        self.commit_to(index);
        let term = self.term;
        let leading = self.leading();
        if leading.opening.is_some_and(|opening| opening <= index) {
            leading.opening = None;
            self.out.push_back(Output::Leading { term });
        }
        self.broadcast();
        if !self.members().contains(me) && self.log.last_change() <= self.commit {
            self.follow(self.term, None);
        }
    }

    /// One member comes or goes; in force at once.
    ///
    /// # Errors
    /// See [`ChangeRefused`].
    pub fn change_members(&mut self, members: Members) -> Result<Index, ChangeRefused> {
        if !self.is_leading() {
            return Err(ChangeRefused::NotLeading);
        }
        if self.log.last_change() > self.commit {
            return Err(ChangeRefused::UnderWay);
        }
        if members.is_empty() {
            return Err(ChangeRefused::Last);
        }
        if self.members().differences(&members) > 1 {
            return Err(ChangeRefused::TooMany);
        }
        let index = self.append(Payload::Members(members));
        self.sync_progress();
        self.broadcast();
        self.advance_commit();
        self.check();
        Ok(index)
    }

    /// From now on `id` gets the log without a vote, until it is a member or this one no longer leads.
    pub fn add_learner(&mut self, id: MemberId) {
        if self.role() == Role::Leader && id != self.setup.me && !self.members().contains(id) {
            self.leading().learners.insert(id);
            self.sync_progress();
            self.send_append(id);
        }
    }

    pub fn remove_learner(&mut self, id: MemberId) {
        if self.role() == Role::Leader && self.leading().learners.remove(&id) {
            self.sync_progress();
        }
    }

    /// Whether `id` has all that is committed: it can vote without holding up anybody.
    pub fn is_caught_up(&self, id: MemberId) -> bool {
        let Part::Leader(leading) = &self.role else { return false };
        leading.progress.get(&id).is_some_and(|p| p.matched >= self.commit)
    }

    /// The members that a leader has heard within an election's time, itself included: Ceph's quorum.
    /// Empty if this one does not lead.
    pub fn heard(&self) -> Vec<MemberId> {
        let Part::Leader(leading) = &self.role else { return Vec::new() };
        let since = leading.now.saturating_sub(u64::from(self.setup.timing.election));
        let heard = |m: &MemberId| {
            *m == self.setup.me || leading.progress.get(m).is_some_and(|p| p.heard >= since && p.answered > 0)
        };
        self.members().iter().filter(heard).collect()
    }

    /// Ticks for which nobody else can lead: reads of the state are those of the cluster. A majority
    /// answered a round that began `election - lease` ago or later, and none of them votes for another
    /// before it was quiet for `election` ticks of its own. Half of them are left for clocks that run
    /// unevenly.
    pub fn lease(&self) -> u64 {
        let Part::Leader(leading) = &self.role else { return 0 };
        let half = u64::from(self.setup.timing.election / 2);
        let members = self.members();
        if leading.opening.is_some() {
            return 0;
        }
        if members.majority() == 1 && members.contains(self.setup.me) {
            return half;
        }
        let answered = |m: MemberId| {
            if m == self.setup.me { leading.round } else { leading.progress.get(&m).map_or(0, |p| p.answered) }
        };
        let mut rounds: Vec<Round> = members.iter().map(answered).collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        let round = rounds[members.majority() - 1];
        let began = leading.rounds.iter().find(|(r, _)| *r == round).map(|(_, at)| *at);
        began.map_or(0, |at| (at + half).saturating_sub(leading.now))
    }
}
