//! The replicated log in the monitor: driving it, applying what it commits, proposing, snapshots.
//!
//! Invariants:
//! - At most one proposal is under way, and only while this monitor leads.
//! - What is applied is applied in the log's order, and `State::applied` moves with it in one transaction.
//! - A monitor that stops leading answers nothing that it had not committed: those requests are asked again.

use std::time::Duration;

use denc::to_bytes;
use node::{Level, Output, Token};
use os::Transaction;
use quorum::{Index, MemberId, Raft, Restored, Setup as RaftSetup, Timing};

use crate::change::{Change, Proposal, Space};
use crate::core::{Cx, Flight, Held, Mon, answer, chain};
use crate::peers::PeerMsg;
use crate::pending::Pending;
use crate::state::{Effects, meta};

/// The log's time. A leader that dies is replaced after 1.2 to 2 s.
pub const RAFT_TICK: Duration = Duration::from_millis(100);
pub const TIMING: Timing = Timing { heartbeat: 3, election: 12, spread: 2 };
/// One of a higher rank waits so much longer for each rank: the first one mostly wins, and no two stand at
/// once (Ceph's classic strategy: the lowest rank leads).
const RETICENCE: u32 = 4;
/// A process that slept for long counts no more ticks than this: enough to know that it heard nobody.
const TICKS_MAX: u32 = 40;
/// The log is cut off this far behind what is applied.
const KEEP_ENTRIES: Index = 200;
const COMPACT_STEP: Index = 100;

/// The log as a store has it.
pub fn raft(me: MemberId, rank: u32, restored: Restored, applied: Index) -> Raft {
    Raft::new(RaftSetup { me, timing: TIMING, reticence: rank * RETICENCE, seed: me }, restored, applied)
}

impl Mon {
    /// Cuts off what the state holds, but for the last entries: whoever is a little behind gets along with those.
    /// Gives how many.
    pub(crate) fn compact_log(&mut self) -> Index {
        let first = self.log.first_index();
        self.log.compact(self.state.applied.saturating_sub(KEEP_ENTRIES));
        self.log.first_index() - first
    }

    /// The log's clock; before anything else is handled, so that a leader which slept knows that it may
    /// lead no longer.
    pub(crate) fn advance_log(&mut self, cx: &mut Cx) {
        if !self.needs_ticks() {
            self.raft_ticked = cx.now.mono;
            return;
        }
        let mut ticks = 0;
        while self.raft_ticked + RAFT_TICK <= cx.now.mono {
            self.raft_ticked += RAFT_TICK;
            if ticks < TICKS_MAX {
                ticks += 1;
                self.log.tick();
            }
        }
        if ticks > 0 {
            self.drive(cx);
            self.mind_members(cx);
        }
    }

    /// A lone monitor needs no time to know that it leads.
    pub(crate) fn needs_ticks(&self) -> bool {
        !self.dead && (self.log.members().len() != 1 || !self.learners.is_empty() || !self.log.is_leading())
    }

    pub(crate) fn submit(&mut self, cx: &mut Cx, txn: Transaction) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        cx.out.push(Output::Submit { token, txn });
        token
    }

    /// Does what the log asks for.
    pub(crate) fn drive(&mut self, cx: &mut Cx) {
        let mut behind = Vec::new();
        loop {
            while let Some(output) = self.log.poll() {
                match output {
                    quorum::Output::Persist(p) => self.persist(cx, p),
                    quorum::Output::Committed(entry) => self.apply(cx, &entry),
                    quorum::Output::Leading { .. } => self.on_leading(cx),
                    quorum::Output::Following { leader, .. } => self.on_following(cx, leader),
                    quorum::Output::Send { to, message, after } => {
                        let after = after.and_then(|seq| self.writes.iter().find(|(_, s)| *s >= seq)).map(|(t, _)| *t);
                        self.send_peer(cx, to, PeerMsg::Raft(message), after);
                    }
                    quorum::Output::SnapshotWanted { to } => behind.push(to),
                }
            }
            // Only now is everything applied that was given out.
            let Some(to) = behind.pop() else { break };
            match self.state.snapshot(cx.store) {
                Ok(data) => self.log.send_snapshot(to, data),
                Err(e) => cx.log(Level::Error, format!("no snapshot for another monitor: {}", chain(&e))),
            }
        }
    }

    fn persist(&mut self, cx: &mut Cx, p: quorum::Persist) {
        let mut txn = quorum::disk::transaction(&p);
        let installed = p.install.as_ref().map(|s| self.state.install(s, &mut txn));
        let token = self.submit(cx, txn);
        self.writes.push_back((token, p.seq));
        match installed {
            None => {}
            Some(Ok(())) => self.on_installed(cx),
            // Whoever leads us speaks another language: better no monitor than a wrong one.
            Some(Err(e)) => self.die(cx, &format!("the leader's state cannot be read: {}", chain(&e))),
        }
    }

    /// The whole state is another.
    fn on_installed(&mut self, cx: &mut Cx) {
        self.reload_config();
        self.on_members(cx);
        self.mgr_new_map(cx);
        self.osd.blind_before = self.state.osdmap.epoch;
        let everything = Effects { osdmap: true, spaces: Space::ALL.into_iter().collect(), keys: Vec::new() };
        self.tell(cx, &everything, true);
        self.deliver_early(cx);
    }

    pub(crate) fn committed(&mut self, cx: &mut Cx, token: Token) {
        while let Some(&(first, seq)) = self.writes.front() {
            if first > token {
                break;
            }
            self.writes.pop_front();
            self.log.persisted(seq);
        }
        self.drive(cx);
    }

    fn apply(&mut self, cx: &mut Cx, entry: &quorum::Entry) {
        let before = self.state.osdmap.clone();
        let mut txn = Transaction::new();
        let effects = self.state.apply(entry, &mut txn);
        self.submit(cx, txn);
        if entry.index.is_multiple_of(COMPACT_STEP) {
            self.compact_log();
        }
        if effects.spaces.contains(&Space::Config) {
            self.reload_config();
        }
        self.ids.set_max(self.state.value(Space::Meta, meta::GLOBAL_ID_MAX).unwrap_or(0));
        if effects.osdmap {
            self.osd.on_new_map(cx.now, &before, &self.state.osdmap);
            let creating: Vec<_> = self.creating().map(|(pgid, _)| pgid).collect();
            self.mgr_new_map(cx);
            self.osd.note_primaries(&before, &self.state.osdmap, creating.into_iter());
        }
        if effects.spaces.contains(&Space::Meta) {
            self.on_members(cx);
            self.on_quorum(cx.now, &effects);
        }
        let moved = before.crush_version != self.state.osdmap.crush_version;
        self.tell(cx, &effects, moved);
        if self.flight.as_ref().is_some_and(|f| f.index == entry.index) {
            let flight = self.flight.take().expect("it was there");
            flight.waiters.into_iter().for_each(|w| answer(cx, w));
        }
        self.deliver_early(cx);
    }

    /// Tells subscribers. `moved`: the CRUSH map changed, and with it where settings may apply.
    fn tell(&mut self, cx: &mut Cx, effects: &Effects, moved: bool) {
        if effects.osdmap {
            self.tell_osdmap(cx);
        }
        // PGs that have been made are nobody's business; those to be made (again) are.
        let to_make =
            |(space, key): &(Space, String)| *space == Space::Creating && self.state.get(*space, key).is_some();
        if effects.osdmap || effects.keys.iter().any(to_make) {
            self.tell_creates(cx);
        }
        if moved || effects.spaces.contains(&Space::Config) {
            self.tell_config(cx);
        }
        if effects.spaces.contains(&Space::ClusterLog) {
            self.tell_log(cx);
        }
        if effects.spaces.contains(&Space::Meta) {
            self.tell_meta(cx);
        }
    }

    fn can_propose(&self) -> bool {
        self.log.is_leading() && self.flight.is_none()
    }

    /// Whether a request that changes state can be handled now. Not before the first maps are committed:
    /// there is nothing yet that could be changed.
    pub(crate) fn is_writeable(&self) -> bool {
        self.can_propose() && !self.state.is_new()
    }

    /// Whether what this monitor knows is what the cluster knows: it leads, and nobody else can.
    pub(crate) fn is_readable(&self) -> bool {
        self.log.is_leading() && self.log.lease() > 0 && !self.state.is_new()
    }

    /// Handles what was held, looks after the services, and proposes what has gathered.
    pub(crate) fn maintain(&mut self, cx: &mut Cx) {
        if self.dead {
            return;
        }
        self.want_ids(cx);
        self.let_in(cx);
        // Each round handles what the last commit let go; one that proposes ends it.
        while self.log.is_leading() {
            for held in std::mem::take(&mut self.held) {
                self.retry(cx, held);
            }
            if !self.can_propose() {
                break;
            }
            if self.is_writeable() {
                self.osd_service(cx);
            }
            if self.pending.is_empty() {
                std::mem::take(&mut self.pending.waiters).into_iter().for_each(|w| answer(cx, w));
                self.pending = Pending::default();
                break;
            }
            self.propose(cx);
        }
    }

    fn propose(&mut self, cx: &mut Cx) {
        let pending = std::mem::take(&mut self.pending);
        let mut changes = pending.changes;
        if let Some(map) = pending.map
            && !map.is_empty()
        {
            let (inc, creating) = map.finish(cx.now.wall, &self.state);
            changes.push(Change::OsdMapInc(inc));
            changes.extend(creating);
        }
        self.log_changes(cx.now, pending.log, &mut changes);
        self.forget_old_answers(cx.now, &mut changes);
        let proposal = Proposal { stamp: cx.now.wall, changes };
        let index = self.log.propose(to_bytes(&proposal, types::features::ALL)).expect("only a leader proposes");
        self.flight = Some(Flight { index, waiters: pending.waiters });
        self.drive(cx);
    }

    // --- who leads

    /// Everything earlier is applied, and proposals are taken.
    fn on_leading(&mut self, cx: &mut Cx) {
        self.leading_since = Some(cx.now);
        self.pending = Pending::default();
        self.flight = None;
        if self.state.is_new() {
            self.mkfs(cx);
        }
        self.begin_quorum(cx);
        self.announce(cx);
        if self.mgr_stopped.is_none() {
            self.mgr.start();
        }
        self.mgr_new_map(cx);
        self.osd.on_leading(cx.now, &self.state);
        self.route_all(cx);
    }

    /// Somebody else leads, or nobody is known to.
    fn on_following(&mut self, cx: &mut Cx, leader: Option<MemberId>) {
        if self.leading_since.take().is_some() {
            cx.log(Level::Info, format!("mon.{} leads no longer", self.setup.name));
            self.pending = Pending::default();
            self.flight = None;
            self.learners.clear();
            self.forget_clocks();
            self.forget_connected();
            self.drop_jobs();
        }
        if leader.is_some() {
            // The manager goes with the lead: who was connected connects to the new leader's. Until there is one it
            // answers what needs no monitor, as Ceph's does without a quorum: a client that gave up waiting for an
            // answer does not always survive it when it comes (librados 16, `MgrClient::handle_command_reply`).
            self.mgr.stop(cx.out);
            self.held.retain(|h| !matches!(h, Held::Mgr(_)));
            self.on_accepted();
            self.say_hello(cx);
            self.route_all(cx);
        }
    }
}
