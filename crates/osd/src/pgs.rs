//! The PGs that live here: calling them, and performing what they ask for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use messages::{MOSDPGCreated, Message, Paxos};
use node::{Dest, Endpoint, Level, Now, Output, Token};
use os::{Coll, ObjectRead, Transaction};
use osdmap::OsdMap;
use pg::{Env, Pg, PgOutput};
use types::{EntityName, Epoch, OsdId, SpgId, UTime};

use crate::{Osd, State, Timer, copies};

impl Osd {
    pub(crate) fn pg_ids(&self) -> Vec<SpgId> {
        self.pgs.keys().copied().collect()
    }

    /// Calls one PG at the newest map and performs what it asks for. Nothing happens if it is not here.
    pub(crate) fn with_pg(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        id: SpgId,
        out: &mut Vec<Output>,
        call: impl FnOnce(&mut Pg, &mut Env),
    ) {
        let Some(maps) = &self.maps else { return };
        let Some(pg) = self.pgs.get_mut(&id) else { return };
        let mut env = Env {
            now,
            whoami: self.setup.whoami,
            map: maps.current(),
            store,
            cfg: &self.pg_cfg,
            failsafe_full: self.failsafe_full,
            clocks: self.heartbeats.clocks(),
            tokens: &mut self.tokens,
            tracker: &mut self.tracker,
            scrubs: &mut self.scrubs,
            rooms: &mut self.rooms,
            out: &mut self.pg_out,
        };
        call(pg, &mut env);
        match pg.next_wakeup() {
            // A deadline that has passed is met by the PG's next step, not by asking again at once.
            Some(at) => self.timers.set(Timer::Pg(id), at.max(now.mono + Duration::from_millis(1))),
            None => self.timers.cancel(&Timer::Pg(id)),
        }
        if pg.runnable(now) {
            self.run_queue.insert(id);
        }
        for next in self.scrubs.take_given() {
            self.timers.set(Timer::Pg(next), now.mono);
        }
        self.perform(now, id, out);
    }

    /// Goes on with PGs that have work which needs no input: one step each.
    pub(crate) fn run_pgs(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        for id in std::mem::take(&mut self.run_queue) {
            let mut more = false;
            self.with_pg(now, store, id, out, |pg, env| more = pg.step(env));
            if !more {
                self.run_queue.remove(&id);
            }
        }
    }

    pub(crate) fn perform(&mut self, now: Now, id: SpgId, out: &mut Vec<Output>) {
        let mut asked = std::mem::take(&mut self.pg_out);
        for output in asked.drain(..) {
            self.perform_one(now, id, output, out);
        }
        self.pg_out = asked;
    }

    fn perform_one(&mut self, now: Now, id: SpgId, output: PgOutput, out: &mut Vec<Output>) {
        match output {
            PgOutput::ToOsd { osd, msg, after } => self.send_osd(osd, msg, after, out),
            PgOutput::ToClient { conn, msg, .. } if conn == copies::OWN_CONN => self.copies.answered(msg),
            PgOutput::Fetch { token, source } => self.copies.start(id, token, *source),
            PgOutput::ToClient { conn, msg, after } => out.push(Output::Send { to: Dest::Conn(conn), msg, after }),
            PgOutput::DiskFails { why } => self.store_failed(now, &why, out),
            PgOutput::ShareMap { conn, has } => self.waiting.for_newer_map.push((conn, has)),
            PgOutput::Submit { token, txn } => {
                self.submitted.push_back((token, Some(id)));
                self.disk_times.submitted(token, now.mono);
                out.push(Output::Submit { token, txn });
            }
            PgOutput::Read { token, coll, oid, off, len, fresh } => {
                self.reads.insert(token, id);
                self.disk_times.read(token, now.mono);
                out.push(Output::Read { token, coll, oid, off, len, fresh });
            }
            PgOutput::UpThru { want } => self.want_up_thru(want, out),
            PgOutput::PgTemp { want, forced } => {
                self.pg_temp_wanted.insert(id.pgid, (want, forced));
                self.send_pg_temp(out);
            }
            PgOutput::PgTempDone => {
                self.pg_temp_wanted.remove(&id.pgid);
            }
            PgOutput::Created => {
                let paxos = Paxos { version: self.epoch().into(), ..Paxos::default() };
                self.mon.send(MOSDPGCreated { paxos, pgid: id.pgid }, out);
            }
            PgOutput::Merge { role, ready } => {
                self.merges.note(id.pgid, role, ready);
                self.send_merges(out);
            }
            PgOutput::MergeOff => self.merges.forget(id.pgid),
            PgOutput::ClusterLog { level, text } => self.log.entry(now, level, text),
            PgOutput::ReserveLocal { priority } => self.local_slots.request(id, priority),
            PgOutput::UpdateLocal { priority } => self.local_slots.update(id, priority),
            PgOutput::CancelLocal => self.local_slots.cancel(id),
            PgOutput::ReserveSnapTrim => self.trim_slots.request(id, 0),
            PgOutput::CancelSnapTrim => self.trim_slots.cancel(id),
            PgOutput::ReserveRemote { priority, space } => self.recovery.ask_remote(id, priority, space),
            PgOutput::CancelRemote => self.cancel_remote(id),
            PgOutput::QueueRecovery { priority } => self.queue_recovery(now, id, priority),
            PgOutput::RecoveryDone { slots } => self.recovery_done(now, slots),
            PgOutput::StatChanged => self.report_soon(now, id),
            PgOutput::PeersChanged => self.heartbeat_peers_changed = true,
            PgOutput::Removed => self.forget_pg(now, id),
        }
    }

    pub(crate) fn forget_pg(&mut self, now: Now, id: SpgId) {
        if let Some(mut pg) = self.pgs.remove(&id) {
            for (from, msg) in pg.take_held() {
                let name = EntityName::osd(from);
                let conn = self.conns.iter().find(|(_, c)| c.via == Endpoint::Cluster && c.peer.name == name);
                if let Some(conn) = conn.map(|(id, _)| *id) {
                    self.waiting.again(conn, msg, now);
                }
            }
        }
        self.run_queue.remove(&id);
        self.timers.cancel(&Timer::Pg(id));
        self.local_slots.cancel(id);
        self.trim_slots.cancel(id);
        self.scrubs.forget(id);
        self.rooms.forget(id);
        self.cancel_remote(id);
        self.recovery.forget(id);
        self.pg_temp_wanted.remove(&id.pgid);
        self.merges.forget(id.pgid);
        self.pg_cfg.pgs = self.pgs.len();
        self.heartbeat_peers_changed = true;
    }

    /// To the instance of an OSD that our map shows; nowhere if that is down.
    pub(crate) fn send_osd(&mut self, osd: OsdId, msg: Message, after: Option<Token>, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        if map.is_up(osd) {
            let to = Dest::Peer { via: Endpoint::Cluster, name: EntityName::osd(osd), addrs: map.cluster_addrs(osd) };
            out.push(Output::Send { to, msg, after });
        }
    }

    /// Submits a transaction of the OSD's own.
    pub(crate) fn submit_own(&mut self, txn: Transaction, out: &mut Vec<Output>) -> Token {
        let token = self.tokens.next();
        self.submitted.push_back((token, None));
        out.push(Output::Submit { token, txn });
        token
    }

    pub(crate) fn committed(&mut self, now: Now, store: &dyn ObjectRead, token: Token, out: &mut Vec<Output>) {
        self.disk_times.committed(token, now.mono);
        while let Some((submitted, owner)) = self.submitted.front().copied() {
            if submitted > token {
                break;
            }
            self.submitted.pop_front();
            self.sub_ops.committed(now, submitted, &mut self.tracker);
            if let Some(id) = owner {
                self.with_pg(now, store, id, out, |pg, env| pg.committed(env, submitted));
            } else {
                self.bench_committed(now, submitted, out);
            }
        }
    }

    pub(crate) fn is_rotational(&self) -> bool {
        self.setup.is_rotational()
    }

    /// Takes up the PGs that the store holds and brings each to the newest map.
    pub(crate) fn load_pgs(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) -> Result<(), String> {
        let newest = self.epoch();
        let mut first = newest;
        for coll in store.collections() {
            let Coll::Pg(id) = coll else { continue };
            let stands_at = Pg::stored_epoch(id, store).map_err(|e| e.to_string())?;
            let maps = self.maps.as_mut().expect("maps are loaded before PGs");
            let map = maps.get(store, stands_at).map_err(|e| format!("pg {id}: {e}"))?;
            let pg = Pg::load(id, &mut self.env(now, store, &map)).map_err(|e| e.to_string())?;
            self.pgs.insert(id, pg);
            self.perform(now, id, out);
            first = first.min(stands_at);
        }
        self.pg_cfg.pgs = self.pgs.len();
        // Maps that were leapt over are not there (the crash came before the PGs had followed).
        let oldest = self.maps.as_ref().map_or(0, |m| m.superblock.oldest_map);
        for epoch in oldest.max(first + 1)..=newest {
            let maps = self.maps.as_mut().expect("maps are loaded before PGs");
            let map = maps.get(store, epoch).map_err(|e| format!("the map of epoch {epoch}: {e}"))?;
            self.advance_to(now, store, &map, out);
        }
        for id in self.pg_ids() {
            self.with_pg(now, store, id, out, Pg::activate_map);
        }
        Ok(())
    }

    /// An environment at a map that need not be the newest.
    pub(crate) fn env<'a>(&'a mut self, now: Now, store: &'a dyn ObjectRead, map: &'a Arc<OsdMap>) -> Env<'a> {
        Env {
            now,
            whoami: self.setup.whoami,
            map,
            store,
            cfg: &self.pg_cfg,
            failsafe_full: self.failsafe_full,
            clocks: self.heartbeats.clocks(),
            tokens: &mut self.tokens,
            tracker: &mut self.tracker,
            scrubs: &mut self.scrubs,
            rooms: &mut self.rooms,
            out: &mut self.pg_out,
        }
    }

    pub(crate) fn activate_all(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        for id in self.pg_ids() {
            self.with_pg(now, store, id, out, Pg::activate_map);
        }
        self.retry_waiting(now, store, out);
    }

    /// The monitors want a PG whose primary we are.
    pub(crate) fn create_pg(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        id: SpgId,
        created: Epoch,
        stamp: UTime,
        out: &mut Vec<Output>,
    ) {
        if self.pgs.contains_key(&id) {
            return;
        }
        let Some(maps) = &self.maps else { return };
        let map = maps.current().clone();
        let primary = map.pg_exists(id.pgid) && map.pg_to_up_acting(id.pgid).acting_primary == self.setup.whoami;
        if !primary {
            return;
        }
        let known = self.maps_between(store, created);
        let lookup = |epoch: Epoch| known.get(&epoch).cloned();
        let pg = Pg::create(id, &mut self.env(now, store, &map), created, stamp, &lookup);
        self.adopt(now, store, id, pg, out);
    }

    /// A peer's message supposes a PG that is not here yet.
    pub(crate) fn create_pg_for_peer(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        id: SpgId,
        msg: &Message,
        out: &mut Vec<Output>,
    ) {
        let Some(maps) = &self.maps else { return };
        let map = maps.current().clone();
        let since = pg::creation_epoch(msg).unwrap_or(map.epoch);
        let known = self.maps_between(store, since);
        let lookup = |epoch: Epoch| known.get(&epoch).cloned();
        let pg = Pg::create_for_peer(id, &mut self.env(now, store, &map), msg, &lookup);
        self.adopt(now, store, id, pg, out);
    }

    fn adopt(&mut self, now: Now, store: &dyn ObjectRead, id: SpgId, pg: Pg, out: &mut Vec<Output>) {
        self.pgs.insert(id, pg);
        self.pg_cfg.pgs = self.pgs.len();
        self.heartbeat_peers_changed = true;
        self.perform(now, id, out);
        self.with_pg(now, store, id, out, Pg::activate_map);
        // Clients may have been waiting for it.
        self.waiting.retry = true;
    }

    /// The maps from an epoch on that we hold, decoded.
    fn maps_between(&mut self, store: &dyn ObjectRead, from: Epoch) -> BTreeMap<Epoch, Arc<OsdMap>> {
        let Some(maps) = &mut self.maps else { return BTreeMap::new() };
        let first = from.max(maps.superblock.oldest_map).max(1);
        (first..=maps.epoch()).filter_map(|e| Some((e, maps.get(store, e).ok()?))).collect()
    }

    /// Forgets maps that nobody here needs and that the monitors have trimmed.
    pub(crate) fn trim_maps(&mut self, out: &mut Vec<Output>) {
        let Some(maps) = &mut self.maps else { return };
        // A PG that is loaded again begins at the epoch that it has stored, not at the one where it stands.
        let needed = self.pgs.values().map(Pg::stored_at).min().unwrap_or(maps.epoch());
        if let Some(txn) = maps.trim(needed.min(self.waiting.oldest_cluster_map)) {
            self.submit_own(txn, out);
        }
    }

    pub(crate) fn note(&self, text: String, out: &mut Vec<Output>) {
        if self.state != State::Active {
            out.push(Output::Log { level: Level::Debug, text });
        }
    }
}
