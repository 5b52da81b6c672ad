//! Who votes: a monitor's number, how one is taken in and how one leaves.
//!
//! A monitor has a name, by which people and the map know it, and its store has a number, by which the log
//! knows it (`quorum::MemberId`). A store that was lost comes back under another number: it gets the log
//! without a vote until it has all of it; then the state says that the name is its, the old number leaves
//! the log, and the new one enters. The leader brings the log's members in line with the state's, one
//! change at a time, so a change of leader in the middle does no harm.
//!
//! Refused, in one line: another cluster's monitor, a second one of a name, one that the map does not know.

use std::collections::BTreeMap;
use std::time::Duration;

use node::{Level, Output};
use os::Transaction;
use quorum::{MemberId, Restored};
use types::{EntityAddr, MgrStandby, features};

use crate::auth;
use crate::change::Space;
use crate::core::{Cx, Mon};
use crate::peers::{Ask, Hello, PeerMsg};
use crate::quorum_record::Absent;
use crate::state::{State, meta};

/// Numbers of stores that did not found the cluster begin here.
const JOINED: MemberId = 1 << 32;
/// One that is refused for good tries for so long: who is in its place may just be dying.
const GIVE_UP: Duration = Duration::from_secs(15);

/// What a monitor remembers of the others.
#[derive(Debug, Default)]
pub struct Watch {
    pub absent: Absent,
    /// Since when we are refused, and the last reason.
    refused: Option<(Duration, String)>,
    /// The rank that peers know us by.
    rank: Option<usize>,
}

impl Mon {
    /// This store's number; an empty one gets it now.
    pub(crate) fn identify(&mut self, cx: &mut Cx, state: &State, restored: &mut Restored) -> MemberId {
        let empty = state.applied == 0 && restored.entries.is_empty() && restored.hard.snapshot.index == 0;
        let place = self.setup.mons.iter().position(|(name, _)| *name == self.setup.name);
        let me = match (state.member, place) {
            (Some(me), _) => me,
            // Stores of the time when there was one monitor have no number.
            (None, _) if !empty => 0,
            (None, Some(place)) if self.setup.founds => place as MemberId,
            (None, _) => JOINED | u64::from_le_bytes(*self.setup.entropy.first_chunk().expect("of 32")),
        };
        if state.member.is_none() {
            let mut txn = Transaction::new();
            State::keep_member(me, &mut txn);
            self.submit(cx, txn);
        }
        if restored.hard.snapshot.members.is_empty() && me < JOINED {
            // It founded the cluster; what it has not written yet is the same at all founders.
            let founders = if empty || state.member.is_some() { self.setup.mons.len() } else { 1 };
            restored.hard.snapshot.members = (0..founders as MemberId).collect();
        }
        me
    }

    /// Each monitor's name and its store's number.
    pub(crate) fn member_names(&self) -> Option<BTreeMap<String, MemberId>> {
        if let Some(names) = self.state.value(Space::Meta, meta::MEMBERS) {
            return Some(names);
        }
        // A state of the time when there was one monitor.
        (!self.state.is_new()).then(|| [(self.setup.name.clone(), self.log.me())].into())
    }

    pub(crate) fn rank(&self) -> Option<usize> {
        self.monmap().rank_of(&self.setup.name)
    }

    /// The map of monitors may be another.
    pub(crate) fn on_members(&mut self, cx: &mut Cx) {
        let rank = self.rank();
        if rank != self.watch.rank
            && let Some(rank) = rank
        {
            let name = types::EntityName::mon(rank as i64);
            cx.out.push(Output::Identity { name, global_id: 0 });
        }
        self.watch.rank = rank;
    }

    // --- the leader's work

    /// Brings the log's members in line with the state's.
    pub(crate) fn mind_members(&mut self, cx: &mut Cx) {
        if !self.log.is_leading() || self.state.is_new() {
            return;
        }
        self.mind_quorum_record(cx);
        let Some(mut names) = self.member_names() else { return };
        if !self.is_writeable() {
            return;
        }
        if self.state.get(Space::Meta, meta::MEMBERS).is_none() {
            return self.pending.put_value(Space::Meta, meta::MEMBERS, &names);
        }
        // A store that has all of the log takes the place of the one that was lost.
        let ready = |id: MemberId| self.log.is_caught_up(id) && !self.log.members().contains(id);
        let next = self.learners.iter().find(|(id, (name, _))| ready(**id) && names.get(name) != Some(id));
        if let Some((id, (name, _))) = next {
            cx.log(Level::Info, format!("mon.{name} has the log and is taken in"));
            names.insert(name.clone(), *id);
            return self.pending.put_value(Space::Meta, meta::MEMBERS, &names);
        }
        let me = self.log.me();
        let members = self.log.members().clone();
        let is_named = |id: &MemberId| names.values().any(|m| m == id);
        let leaver = members.iter().filter(|id| !is_named(id)).min_by_key(|id| *id == me);
        let comer = names.values().copied().find(|id| !members.contains(*id) && ready(*id));
        let change = match (leaver, comer) {
            (Some(id), _) => members.without(id),
            (None, Some(id)) => members.with(id),
            (None, None) => return,
        };
        // One that is under way is waited for; this comes again.
        if self.log.change_members(change).is_ok() {
            self.learners.retain(|id, _| Some(*id) != comer);
        }
        self.drive(cx);
    }

    /// A store that does not vote wants to.
    pub(crate) fn on_join(&mut self, cx: &mut Cx, from: MemberId, name: String, addr: EntityAddr) {
        if !self.log.is_leading() || self.state.is_new() || self.log.members().contains(from) {
            return;
        }
        if let Err((why, fatal)) = self.judge_join(from, &name, addr) {
            return self.send_peer_at(cx, -1, addr, PeerMsg::Refused { why, fatal }, None);
        }
        if self.learners.get(&from).is_none_or(|(_, at)| *at != addr) {
            cx.log(Level::Info, format!("mon.{name} at {addr} gets the log"));
        }
        // Of several tries of one name only the last can be alive.
        let rivals: Vec<_> = self.learners.iter().filter(|(id, (n, _))| *n == name && **id != from).collect();
        for id in rivals.into_iter().map(|(id, _)| *id).collect::<Vec<_>>() {
            self.learners.remove(&id);
            self.log.remove_learner(id);
        }
        self.learners.insert(from, (name, addr));
        self.log.add_learner(from);
        self.drive(cx);
    }

    fn judge_join(&self, from: MemberId, name: &str, addr: EntityAddr) -> Result<(), (String, bool)> {
        let map = self.monmap();
        let Some(info) = map.mons.get(name) else {
            let addr = addr.to_string();
            return Err((
                format!("mon.{name} is not in the monitors' map: `ceph mon add {name} {addr}` adds it"),
                false,
            ));
        };
        if !info.public_addrs.0.contains(&addr) {
            let theirs = &info.public_addrs;
            return Err((format!("mon.{name} is at {theirs} by the monitors' map, this one is at {addr}"), true));
        }
        let holder = self.member_names().and_then(|names| names.get(name).copied());
        if holder.is_some_and(|id| id != from && self.log.heard().contains(&id)) {
            return Err((format!("there is a mon.{name} in the quorum already: this is a second one"), true));
        }
        Ok(())
    }

    /// One who does not vote any more, and does not know it, says something.
    pub(crate) fn mind_strangers(&mut self, cx: &mut Cx, from: MemberId) {
        let known = self.log.members().contains(from) || self.learners.contains_key(&from);
        if known || !self.log.is_leading() {
            return;
        }
        let why = "this monitor was removed from the cluster".to_owned();
        self.send_peer(cx, from, PeerMsg::Refused { why, fatal: true }, None);
    }

    // --- the other side

    /// A store that does not vote asks those whom it knows to be taken in.
    pub(crate) fn ask_to_join(&mut self, cx: &mut Cx) {
        // One that was removed may not know it by its own log.
        let votes = self.log.members().contains(self.log.me()) && self.watch.refused.is_none();
        if self.dead || votes {
            return;
        }
        let (name, own) = (self.setup.name.clone(), self.setup.listening.public);
        let known = self.monmap().by_rank().filter_map(|(_, m)| m.public_addrs.0.first().copied()).collect::<Vec<_>>();
        let mut addrs: Vec<EntityAddr> = self.setup.mons.iter().map(|(_, addr)| *addr).chain(known).collect();
        addrs.sort();
        addrs.dedup();
        for addr in addrs.into_iter().filter(|a| *a != own) {
            let join = PeerMsg::Join { name: name.clone(), addr: own };
            self.send_peer_at(cx, -1, addr, join, None);
        }
    }

    /// A leader speaks to us.
    pub(crate) fn on_accepted(&mut self) {
        self.watch.refused = None;
    }

    pub(crate) fn on_refused_join(&mut self, cx: &mut Cx, why: &str, fatal: bool) {
        let (since, before) = self.watch.refused.get_or_insert((cx.now.mono, String::new()));
        if before != why {
            why.clone_into(before);
            cx.log(Level::Warn, format!("mon.{} is not taken in: {why}", self.setup.name));
        }
        if fatal && cx.now.mono.saturating_sub(*since) >= GIVE_UP {
            self.exit(cx, &format!("mon.{} ends: {why}", self.setup.name));
        }
    }

    // --- what monitors tell of themselves

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            name: self.setup.name.clone(),
            mgr: self.setup.listening.mgr,
            mgr_runs: self.mgr_stopped.is_none(),
            metadata: self.own_metadata(),
        }
    }

    /// Tells the leader who we are.
    pub(crate) fn say_hello(&mut self, cx: &mut Cx) {
        let hello = Ask::Hello(self.hello());
        if self.in_quorum() && !self.forwards.is_waiting_for(&hello) {
            self.request_own(cx, hello);
        }
    }

    pub(crate) fn on_hello(&mut self, hello: &Hello) {
        let name = &hello.name;
        if !self.monmap().mons.contains_key(name) {
            return;
        }
        let of_mgr = mgr_metadata(hello);
        for (space, fields) in [(Space::MonMetadata, &hello.metadata), (Space::MgrMetadata, &of_mgr)] {
            if self.state.value::<BTreeMap<String, String>>(space, name).as_ref() != Some(fields) {
                self.pending.put_value(space, name.clone(), fields);
            }
        }
        if *name == self.setup.name {
            return;
        }
        let mut map = self.pending_mgrmap();
        let gid = u64::from(hello.mgr.nonce) << 16;
        let known = map.standbys.values().any(|s| s.name == *name && s.gid == gid);
        if known == hello.mgr_runs {
            return;
        }
        map.standbys.retain(|_, s| s.name != *name);
        if hello.mgr_runs {
            let standby = MgrStandby { gid, name: name.clone(), mgr_features: features::ALL, ..MgrStandby::default() };
            map.standbys.insert(gid, standby);
        }
        self.put_mgrmap(map);
    }

    /// A monitor is gone, and the manager in its process with it.
    pub(crate) fn drop_standby(&mut self, name: &str) {
        let mut map = self.pending_mgrmap();
        let before = map.standbys.len();
        map.standbys.retain(|_, s| s.name != *name);
        if map.standbys.len() != before {
            self.put_mgrmap(map);
        }
    }

    fn put_mgrmap(&mut self, mut map: types::MgrMap) {
        map.epoch += 1;
        self.pending.put_value(Space::Meta, meta::MGRMAP, &map);
    }

    pub(crate) fn pending_mgrmap(&self) -> types::MgrMap {
        let pending = self.pending.get(Space::Meta, meta::MGRMAP).flatten();
        pending.and_then(|b| denc::from_bytes(b.clone()).ok()).unwrap_or_else(|| self.mgrmap())
    }

    /// A range of global ids, granted to one monitor once it is committed.
    pub(crate) fn grant_ids(&mut self) -> (u64, u64) {
        let pending = self.pending.get(Space::Meta, meta::GLOBAL_ID_MAX).flatten();
        let pending = pending.and_then(|b| denc::from_bytes(b.clone()).ok());
        let max = pending.or_else(|| self.state.value(Space::Meta, meta::GLOBAL_ID_MAX)).unwrap_or(0);
        let (from, to) = auth::next_range(max);
        self.pending.put_value(Space::Meta, meta::GLOBAL_ID_MAX, &to);
        (from, to)
    }
}

pub fn mgr_metadata(hello: &Hello) -> BTreeMap<String, String> {
    let mut of_mgr = hello.metadata.clone();
    of_mgr.insert("addr".to_owned(), hello.mgr.sock.map(|s| s.ip().to_string()).unwrap_or_default());
    of_mgr.insert("addrs".to_owned(), hello.mgr.legacy_str());
    of_mgr
}
