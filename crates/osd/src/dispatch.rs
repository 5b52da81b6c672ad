//! Messages: whose they are, whether they may be believed yet, and what becomes of those that came too
//! early.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messages::{Body, MOSDMap, MOSDPGCreate2, MOSDPing, Message, PingOp};
use monclient::Event;
use node::{ConnId, Dest, Endpoint, Level, Now, Output};
use os::ObjectRead;
use osdmap::OsdMap;
use pg::Stray;
use types::{EntityAddrVec, EntityName, Epoch, OsdId, SpgId};

use crate::heartbeat::{HbAddrs, HbNet, PingTo, Us, Wanted};
use crate::maps::Maps;
use crate::ops::SubOp;
use crate::{Osd, State};

/// What cannot be handled until a map or a PG is there.
#[derive(Debug, Default)]
pub struct Waiting {
    /// In order of arrival.
    messages: Vec<(ConnId, Message, Now)>,
    creates: BTreeMap<SpgId, (Epoch, types::UTime)>,
    /// Connections of which a message could not be kept.
    overflowing: BTreeSet<ConnId>,
    /// The oldest map that the monitors still have, by their own word.
    pub(crate) oldest_cluster_map: Epoch,
    /// The monitors' increments did not fit, and they were asked for a whole map: it may leap over others.
    asked_whole: bool,
    /// The newest map that an OSD or a monitor was sending maps up to; what mere messages claim does not count.
    pub(crate) newest_cluster_map: Epoch,
    /// Some of them need not wait any longer.
    pub(crate) retry: bool,
    /// Clients who aim again when they have a newer map than this, which nobody else may send them.
    pub(crate) for_newer_map: Vec<(ConnId, Epoch)>,
}

/// More than this many early messages are not kept: the session that brings more of them is ended, so that
/// its other end begins anew and says again what still counts.
const WAITING_MAX: usize = 10_000;

impl Waiting {
    fn hold(&mut self, conn: ConnId, msg: Message, since: Now) {
        if self.messages.len() < WAITING_MAX {
            self.messages.push((conn, msg, since));
        } else {
            self.overflowing.insert(conn);
        }
    }

    /// To be handled again as soon as the input at hand is done with.
    pub(crate) fn again(&mut self, conn: ConnId, msg: Message, now: Now) {
        self.hold(conn, msg, now);
        self.retry = true;
    }

    /// What is held, by whom it was brought and since when.
    pub(crate) fn held(&self) -> impl Iterator<Item = &(ConnId, Message, Now)> {
        self.messages.iter()
    }

    /// Whether this connection brought what needs a later map than this one.
    fn holds_later(&self, conn: ConnId, epoch: Epoch) -> bool {
        let later = |m| pg::route(m).is_some_and(|(_, needs)| needs > epoch);
        self.messages.iter().any(|(c, m, _)| *c == conn && later(m))
    }

    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.messages.retain(|(c, ..)| *c != conn);
    }
}

impl Osd {
    pub(crate) fn message(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        conn: ConnId,
        via: Endpoint,
        msg: Message,
        out: &mut Vec<Output>,
    ) {
        match via {
            Endpoint::HbBack => self.heartbeat(now, store, conn, HbNet::Back, &msg, out),
            Endpoint::HbFront => self.heartbeat(now, store, conn, HbNet::Front, &msg, out),
            Endpoint::Cluster if self.failed => {}
            Endpoint::Cluster => self.peer_message(now, store, conn, msg, out),
            Endpoint::Public | Endpoint::Mgr => self.public_message(now, store, conn, msg, out),
        }
        self.grant_slots(now, store, out);
    }

    fn public_message(&mut self, now: Now, store: &dyn ObjectRead, conn: ConnId, msg: Message, out: &mut Vec<Output>) {
        if let Some(event) = self.mon.message(conn, &msg) {
            return self.mon_event(now, event, out);
        }
        let from_mon = self.mon.conn() == Some(conn);
        match msg.body {
            Body::MOSDMap(m) if from_mon => self.new_maps(now, store, &m, true, out),
            Body::MOSDPGCreate2(m) if from_mon => self.creates(now, store, &m, out),
            Body::MMgrMap(m) if from_mon => self.new_mgr_map(now, m.map, out),
            Body::MLogAck(m) => self.log.acknowledged(m.last),
            Body::MOSDMarkMeDown(_) if from_mon => {
                if matches!(self.state, State::Stopping { .. }) {
                    self.exit(out);
                }
            }
            // What cannot be kept is not begun.
            _ if self.failed => {}
            Body::MMgrConfigure(m) => self.mgr_configured(now, conn, &m),
            Body::MPGStatsAck(_) => {}
            Body::MOSDForceRecovery(m) if self.report.is_from_mgr(conn) => self.force_recovery(now, store, &m, out),
            Body::MOSDScrub2(m) if from_mon || self.report.is_from_mgr(conn) => self.order_scrubs(now, store, &m, out),
            Body::MCommand(m) => {
                let reply = self.command(now, store, &m, out);
                if self.begin_bench(now, conn, msg.tid, out) {
                    return;
                }
                let reply = Message { tid: msg.tid, ..Message::from(reply) };
                out.push(Output::Send { to: Dest::Conn(conn), msg: reply, after: None });
            }
            Body::MOSDOp(_) | Body::MOSDBackoff(_) => self.client_op(now, store, conn, msg, now, out),
            _ => self.note(format!("a message of type {} is not for an OSD", msg.body.name()), out),
        }
    }

    fn mon_event(&mut self, now: Now, event: Event, out: &mut Vec<Output>) {
        match event {
            Event::MonMap(raw) => self.new_mon_map(raw, out),
            Event::Config(values) => self.apply_config(now, &values, out),
            Event::CommandDone { .. } => {}
            Event::Version { newest, .. } => self.want_epoch(newest as Epoch, out),
        }
    }

    fn new_mon_map(&mut self, raw: bytes::Bytes, out: &mut Vec<Output>) {
        match denc::Decoder::new(raw).get::<types::MonMap>() {
            Ok(map) => {
                self.mon.sub_got("monmap", map.epoch.into());
                self.mon.set_mons(monclient::mons_of(&map));
            }
            Err(e) => self.log(Level::Warn, format!("the monitors sent a monmap that does not decode: {e}"), out),
        }
    }

    /// Somebody knows of this epoch: we must, too.
    pub(crate) fn want_epoch(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        if epoch <= self.epoch() || epoch <= self.wanted_epoch {
            return;
        }
        self.wanted_epoch = epoch;
        self.mon.subscribe("osdmap", u64::from(self.epoch()) + 1, false);
        self.mon.renew(out);
    }

    /// Maps, from the monitors or from another OSD.
    pub(crate) fn new_maps(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        m: &MOSDMap,
        from_mon: bool,
        out: &mut Vec<Output>,
    ) {
        if m.fsid != self.setup.fsid {
            return;
        }
        if from_mon {
            self.waiting.oldest_cluster_map = self.waiting.oldest_cluster_map.max(m.oldest_map);
        }
        self.waiting.newest_cluster_map = self.waiting.newest_cluster_map.max(m.newest_map);
        let Some(maps) = &mut self.maps else { return };
        // Epochs are left out only if nobody has them any more: PGs have to see in which intervals others served.
        let has_none = maps.epoch() == 0;
        let may_leap = has_none || from_mon && (self.waiting.asked_whole || m.oldest_map > maps.epoch() + 1);
        let taken = match maps.absorb(m, may_leap) {
            Ok(taken) => taken,
            Err(e) => {
                self.log(Level::Warn, format!("maps were not taken, asking for others: {e}"), out);
                // From epoch 0 the monitors send a whole map.
                let from = if from_mon { 0 } else { u64::from(self.epoch()) + 1 };
                self.waiting.asked_whole |= from_mon;
                self.mon.subscribe("osdmap", from, false);
                return self.mon.renew(out);
            }
        };
        if taken.gap {
            self.mon.subscribe("osdmap", u64::from(self.epoch()) + 1, false);
            return self.mon.renew(out);
        }
        if taken.maps.is_empty() {
            return;
        }
        self.waiting.asked_whole = false;
        self.submit_own(taken.txn, out);
        self.mon.sub_got("osdmap", self.epoch().into());
        self.heartbeat_peers_changed = true;
        // Before the PGs say anything by the new maps: that must not be lost with an old session.
        self.drop_old_peers(&taken.maps, out);
        if let Some(newest) = taken.maps.last() {
            self.heartbeats.forget_old_clocks(|osd| newest.up_from(osd));
            self.rooms.new_map(newest);
        }
        self.advance_all(now, store, &taken.maps, out);
        self.tell_of_losses(now, store, &taken.maps, out);
        self.check_standing(now, store, out);
        self.up_thru_asked_again(out);
        let newest = self.maps.as_ref().map_or(0, |maps| maps.superblock.newest_map);
        if m.newest_map > newest {
            self.want_epoch(m.newest_map, out);
        }
    }

    /// Sessions with OSDs that one of these maps has down are over, even if a later one has the OSD up
    /// at the same addresses again: it closed its side when it learnt that it was down.
    fn drop_old_peers(&mut self, maps: &[Arc<OsdMap>], out: &mut Vec<Output>) {
        let stale: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, c)| c.via == Endpoint::Cluster && c.peer.name.is_osd())
            .filter(|(id, c)| {
                let osd = c.peer.name.num as OsdId;
                // One who is ahead of us may be right: only what a map says of *this* instance counts,
                // and if it has said what needs a later map, this session is one of its next life.
                maps.iter().any(|map| {
                    let down = map.exists(osd) && map.is_down(osd) && map.cluster_addrs(osd) == c.peer.addrs;
                    down && !self.waiting.holds_later(**id, map.epoch)
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for conn in stale {
            self.close_session(conn, out);
        }
    }

    /// Ends the sessions of which a message was not kept: nothing may get lost within a session.
    pub(crate) fn end_overflowing(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        for conn in std::mem::take(&mut self.waiting.overflowing) {
            let Some(c) = self.conns.get(&conn) else { continue };
            let text = format!(
                "more than {WAITING_MAX} messages wait for a later map than e{}; {} is disconnected and has to ask again",
                self.epoch(),
                c.peer.name
            );
            self.log(Level::Warn, text, out);
            let peer = c.peer.name;
            self.close_session(conn, out);
            self.session_lost(now, store, conn, peer, out);
        }
    }

    /// What was on its way over a connection is gone: PGs that wait for something from there ask again, and
    /// forget what they keep for a client.
    pub(crate) fn session_lost(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        conn: ConnId,
        peer: EntityName,
        out: &mut Vec<Output>,
    ) {
        for id in self.pg_ids() {
            if peer.is_client() {
                self.with_pg(now, store, id, out, |pg, env| pg.conn_reset(env, conn));
            } else if peer.is_osd() {
                self.with_pg(now, store, id, out, |pg, env| pg.peer_reset(env, peer.num as OsdId));
            }
        }
    }

    fn close_session(&mut self, conn: ConnId, out: &mut Vec<Output>) {
        self.conns.remove(&conn);
        self.waiting.forget(conn);
        out.push(Output::Close { conn });
    }

    /// We were marked down though we live, and keep our addresses: what is queued for our peers is of the
    /// past, and their side of the sessions is closed. What we say when we are up again takes new ones.
    pub(crate) fn close_sessions(&mut self, map: &OsdMap, out: &mut Vec<Output>) {
        let open: Vec<ConnId> =
            self.conns.iter().filter(|(_, c)| c.via == Endpoint::Cluster).map(|(id, _)| *id).collect();
        for conn in open {
            self.close_session(conn, out);
        }
        // Also those that are still being made.
        for osd in map.osds().filter(|o| *o != self.setup.whoami) {
            out.push(Output::ClosePeer { via: Endpoint::Cluster, addrs: map.cluster_addrs(osd) });
        }
    }

    fn creates(&mut self, now: Now, store: &dyn ObjectRead, m: &MOSDPGCreate2, out: &mut Vec<Output>) {
        self.mon.sub_got("osd_pg_creates", m.epoch.into());
        self.want_epoch(m.epoch, out);
        for (id, (created, stamp)) in &m.pgs {
            self.waiting.creates.insert(*id, (*created, *stamp));
        }
        if m.epoch <= self.epoch() {
            self.retry_waiting(now, store, out);
        }
    }

    /// A new map is there: what was early may be in time now.
    pub(crate) fn retry_waiting(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        if self.state == State::Active {
            let epoch = self.epoch();
            let due: Vec<_> =
                self.waiting.creates.iter().filter(|(_, (e, _))| *e <= epoch).map(|(id, c)| (*id, *c)).collect();
            for (id, (created, stamp)) in due {
                self.waiting.creates.remove(&id);
                self.create_pg(now, store, id, created, stamp, out);
            }
        }
        if self.state != State::Active {
            // The map that these wait for may be the one that has us up; then is soon enough.
            return;
        }
        for (conn, msg, since) in std::mem::take(&mut self.waiting.messages) {
            match self.conns.get(&conn) {
                Some(c) if c.via == Endpoint::Cluster => self.peer_message(now, store, conn, msg, out),
                Some(_) => self.client_op(now, store, conn, msg, since, out),
                None => {}
            }
        }
    }

    /// A client's message, which arrived at `since`.
    fn client_op(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        conn: ConnId,
        msg: Message,
        since: Now,
        out: &mut Vec<Output>,
    ) {
        let Some((id, needs)) = pg::route(&msg) else { return };
        if let Some(c) = self.conns.get_mut(&conn) {
            c.note_op(now, needs);
        }
        self.share_map(store, conn, needs, out);
        if needs > self.epoch() {
            self.want_epoch(needs, out);
        }
        if self.pgs.contains_key(&id) {
            // Lent to the PG for the call; nothing in it looks at connections.
            let Some(c) = self.conns.remove(&conn) else { return };
            self.note_fullness(store, out);
            self.with_pg(now, store, id, out, |pg, env| pg.client_message_since(env, conn, &c.peer, msg, since));
            self.conns.insert(conn, c);
            return;
        }
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        let ours = !map.pg_exists(id.pgid) || map.pg_to_up_acting(id.pgid).acting_primary == self.setup.whoami;
        if needs > map.epoch || (ours && map.pool(id.pgid.pool).is_some()) {
            self.waiting.hold(conn, msg, since);
        }
        // Else the client aims by an old map; it has been sent a newer one and aims again.
    }

    /// Sends newer maps to those whose ops PGs let go of since the last input.
    pub(crate) fn inform_clients(&mut self, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        for (conn, has) in std::mem::take(&mut self.waiting.for_newer_map) {
            self.share_map(store, conn, has, out);
        }
    }

    /// Sends newer maps to a peer that shows by its message that it has only `has`.
    pub(crate) fn share_map(&mut self, store: &dyn ObjectRead, conn: ConnId, has: Epoch, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let since = has.max(c.sent_epoch);
        if since >= maps.epoch() {
            return;
        }
        match maps.share(store, since, self.waiting.oldest_cluster_map) {
            Ok(m) => {
                c.sent_epoch = maps.epoch();
                out.push(Output::Send { to: Dest::Conn(conn), msg: m.into(), after: None });
            }
            Err(e) => out.push(Output::Log { level: Level::Warn, text: format!("maps cannot be shared: {e}") }),
        }
    }

    pub(crate) fn peer_message(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        conn: ConnId,
        msg: Message,
        out: &mut Vec<Output>,
    ) {
        let Some(c) = self.conns.get(&conn) else { return };
        if !c.peer.name.is_osd() {
            return self.note(format!("{} speaks on the OSDs' network", c.peer.name), out);
        }
        let from = c.peer.name.num as OsdId;
        if let Body::MOSDMap(m) = &msg.body {
            return self.new_maps(now, store, m, false, out);
        }
        match &msg.body {
            // Objects that are copied from one PG to another.
            Body::MOSDOp(_) => return self.client_op(now, store, conn, msg, now, out),
            Body::MOSDOpReply(_) => return self.copies.answered(msg),
            Body::MOSDBackoff(_) => return,
            _ => {}
        }
        let Some((id, needs)) = pg::route(&msg) else {
            return self.note(format!("a message of type {} from osd.{from} is not for a PG", msg.body.name()), out);
        };
        if needs > self.epoch() {
            self.want_epoch(needs, out);
            return self.waiting.hold(conn, msg, now);
        }
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        if !map.is_up(from) || map.cluster_addrs(from) != c.peer.addrs || self.state != State::Active {
            // An instance that is no more, or that we do not know yet; what it says counts for nothing
            // now, and whoever lives says it again when the map has changed.
            return;
        }
        self.share_map(store, conn, needs, out);
        if !self.pgs.contains_key(&id) {
            let map = self.maps.as_ref().expect("checked above").current().clone();
            let mut env = pg::Env {
                now,
                whoami: self.setup.whoami,
                map: &map,
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
            match pg::stray_message(&mut env, from, &msg) {
                Stray::Create => self.create_pg_for_peer(now, store, id, &msg, out),
                Stray::Reply(reply) => return self.send_osd(from, *reply, None, out),
                Stray::Ignore => return,
            }
        }
        if matches!(msg.body, Body::MOSDRepOp(_) | Body::MOSDPGPush(_)) {
            self.note_fullness(store, out);
        }
        if self.holds_push(conn, &msg) {
            return;
        }
        let sub_op = SubOp::of(&msg);
        let before = self.submitted.back().copied();
        self.with_pg(now, store, id, out, |pg, env| pg.peer_message(env, from, msg));
        if let (Some(sub_op), Some(last)) = (sub_op, self.submitted.back().copied())
            && Some(last) != before
        {
            self.sub_ops.begin(now, last.0, sub_op, &mut self.tracker);
        }
    }

    fn us(&self) -> Us {
        let up_from = self.maps.as_ref().map_or(0, |m| m.current().up_from(self.setup.whoami));
        Us { fsid: self.setup.fsid, epoch: self.epoch(), up_from }
    }

    fn heartbeat(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        conn: ConnId,
        net: HbNet,
        msg: &Message,
        out: &mut Vec<Output>,
    ) {
        let Body::MOSDPing(m) = &msg.body else { return };
        let Some(c) = self.conns.get(&conn) else { return };
        if m.fsid != self.setup.fsid || !c.peer.name.is_osd() {
            return;
        }
        let from = c.peer.name.num as OsdId;
        let us = self.us();
        match m.op {
            PingOp::Ping => {
                let reply = self.heartbeats.ping(now, us, from, m);
                out.push(Output::Send { to: Dest::Conn(conn), msg: reply.into(), after: None });
                self.tell_the_dead(now, conn, from, m, out);
            }
            PingOp::PingReply => {
                if let Some(alive) = self.heartbeats.reply(now, us, from, net, m) {
                    self.mon.send(alive, out);
                }
                self.boot_if_healthy(now, store, out);
            }
            PingOp::YouDied => self.want_epoch(m.map_epoch, out),
            PingOp::Heartbeat | PingOp::StartHeartbeat | PingOp::StopHeartbeat => {}
        }
        if m.map_epoch > self.epoch() && self.state == State::Active {
            self.want_epoch(m.map_epoch, out);
        }
    }

    /// A peer that the map has down for longer than it knows maps is told so.
    fn tell_the_dead(&mut self, now: Now, conn: ConnId, from: OsdId, m: &MOSDPing, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        if !map.is_up(from) && (!map.exists(from) || map.info(from).down_at > m.map_epoch) {
            let dead = self.heartbeats.you_died(now, self.us(), m);
            out.push(Output::Send { to: Dest::Conn(conn), msg: dead.into(), after: None });
        }
    }

    pub(crate) fn ping_round(&mut self, now: Now, out: &mut Vec<Output>) {
        if matches!(self.state, State::Active | State::Waiting) {
            let pings = self.heartbeats.round(now, self.us());
            send_pings(pings, out);
            self.check_heartbeats(now, out);
        }
    }

    pub(crate) fn check_heartbeats(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.state != State::Active {
            return;
        }
        for report in self.heartbeats.failures(now, self.us()) {
            for why in report.why {
                self.log.warn(now, why);
            }
            self.mon.send(report.failure, out);
        }
    }

    /// A connection for heartbeats is gone: a peer that was killed refuses the next one.
    pub(crate) fn heartbeat_reset(&mut self, now: Now, from: EntityName, out: &mut Vec<Output>) {
        if self.state == State::Active && from.is_osd() {
            let pings = self.heartbeats.hurry(now, self.us(), from.num as OsdId);
            send_pings(pings, out);
        }
    }

    pub(crate) fn peer_refused(&mut self, now: Now, name: EntityName, addrs: &EntityAddrVec, out: &mut Vec<Output>) {
        if self.state != State::Active || !name.is_osd() || !self.cfg.bool("osd_fast_fail_on_connection_refused") {
            return;
        }
        if let Some(report) = self.heartbeats.refused(now, self.us(), name.num as OsdId, addrs) {
            self.mon.send(report, out);
        }
    }

    /// Chooses whom to ping: the PGs' members, the neighbours by id, and enough others.
    pub(crate) fn refresh_heartbeat_peers(&mut self) {
        if !matches!(self.state, State::Active | State::Waiting) || !std::mem::take(&mut self.heartbeat_peers_changed) {
            return;
        }
        let Some(map) = self.maps.as_ref().map(Maps::current).cloned() else { return };
        let me = self.setup.whoami;
        let level = self.cfg.str("mon_osd_reporter_subtree_level");
        let place = |osd: OsdId| {
            let location = map.crush.full_location(osd);
            location.into_iter().find(|(kind, _)| kind == level).map_or_else(|| format!("osd.{osd}"), |(_, name)| name)
        };
        let here = place(me);
        let mut wanted: Vec<OsdId> = self.pgs.values().flat_map(|pg| pg.heartbeat_peers()).collect();
        let up: Vec<OsdId> = map.osds().filter(|o| *o != me && map.is_up(*o)).collect();
        wanted.extend(up.iter().find(|o| **o > me).or(up.first()));
        wanted.extend(up.iter().rev().find(|o| **o < me).or(up.last()));
        let enough =
            (self.cfg.u64("osd_heartbeat_min_peers") as usize).max(self.cfg.u64("mon_osd_min_down_reporters") as usize);
        let after_me: Vec<OsdId> =
            up.iter().filter(|o| **o > me).chain(up.iter().filter(|o| **o < me)).copied().collect();
        // Enough different places must be able to say that they do not hear us, and we of them.
        let mut places: BTreeSet<String> = wanted.iter().map(|o| place(*o)).collect();
        let needed = self.cfg.u64("mon_osd_min_down_reporters") as usize + 1;
        for osd in &after_me {
            if places.len() >= needed {
                break;
            }
            if places.insert(place(*osd)) {
                wanted.push(*osd);
            }
        }
        for osd in &after_me {
            if wanted.len() >= enough {
                break;
            }
            if !wanted.contains(osd) {
                wanted.push(*osd);
            }
        }
        let peers = wanted.into_iter().filter(|o| *o != me && map.is_up(*o)).map(|o| {
            let addrs = HbAddrs {
                front: map.hb_front_addrs(o),
                back: map.hb_back_addrs(o),
                cluster: map.cluster_addrs(o),
                public: map.addrs(o),
            };
            (o, Wanted { addrs, elsewhere: place(o) != here })
        });
        self.heartbeats.set_peers(peers.collect());
    }
}

fn send_pings(pings: Vec<PingTo>, out: &mut Vec<Output>) {
    for p in pings {
        let via = match p.net {
            HbNet::Back => Endpoint::HbBack,
            HbNet::Front => Endpoint::HbFront,
        };
        if p.anew {
            out.push(Output::ClosePeer { via, addrs: p.addrs.clone() });
        }
        let to = Dest::Peer { via, name: EntityName::osd(p.osd), addrs: p.addrs };
        out.push(Output::Send { to, msg: p.ping.into(), after: None });
    }
}
