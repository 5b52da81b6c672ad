//! What subscribers are sent: maps, settings, the log, PGs to create.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::Encoder;
use messages::{ClogEntry, ClogLevel, MConfig, MLog, MMgrMap, MMonMap, MMonSubscribe, MOSDMap, MServiceMap};
use messages::{MOSDPGCreate2, Paxos};
use node::{ConnId, Level};
use types::options::Source;
use types::{Epoch, SpgId, UTime};

use crate::change::Space;
use crate::config_db::{self, Setting, Who};
use crate::core::{Cx, Mon};
use crate::state::meta;

/// Epochs in one `MOSDMap` (Ceph: `osd_map_message_max`).
const MAPS_MAX: Epoch = 40;

/// Ceph: the subscriptions to the cluster log, and the least level of each.
const LOG_SUBS: [(&str, ClogLevel); 5] = [
    ("log-debug", ClogLevel::Debug),
    ("log-info", ClogLevel::Info),
    ("log-sec", ClogLevel::Sec),
    ("log-warn", ClogLevel::Warn),
    ("log-error", ClogLevel::Error),
];

impl Mon {
    pub(crate) fn subscribe(&mut self, cx: &mut Cx, conn: ConnId, m: MMonSubscribe) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        for what in session.subscribe(m) {
            match what.as_str() {
                "monmap" => self.send_monmap_sub(cx, conn),
                "osdmap" => self.send_osdmap_sub(cx, conn),
                "osd_pg_creates" => self.send_creates(cx, conn),
                "config" => self.send_config(cx, conn),
                "mgrmap" => self.send_mgrmap(cx, conn),
                "servicemap" => self.send_servicemap(cx, conn),
                "fsmap" => self.send_fsmap(cx, conn),
                // Of `mdsmap`, for one file system, there is nothing to say: Ceph is silent as well.
                "fsmap.user" => self.send_fsmap_user(cx, conn),
                other if other.starts_with("log-") => self.send_log(cx, conn),
                _ => {}
            }
        }
    }

    // --- OSD maps

    pub(crate) fn tell_osdmap(&mut self, cx: &mut Cx) {
        for conn in self.sessions.subscribed("osdmap") {
            self.send_osdmap_sub(cx, conn);
        }
    }

    fn send_osdmap_sub(&mut self, cx: &mut Cx, conn: ConnId) {
        let newest = self.state.osdmap.epoch;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let Some(item) = session.wants("osdmap", newest.into()).filter(|_| newest > 0) else { return };
        if item.start > 0 {
            let first = Epoch::try_from(item.start).unwrap_or(Epoch::MAX);
            self.send_maps(cx, conn, first);
        } else {
            self.send_latest_map(cx, conn);
        }
        if let Some(session) = self.sessions.get_mut(conn) {
            session.sent("osdmap", newest.into());
            session.osd_epoch = newest;
        }
    }

    pub(crate) fn map_message(&self) -> MOSDMap {
        MOSDMap {
            fsid: self.setup.fsid,
            oldest_map: self.state.first_map,
            newest_map: self.state.osdmap.epoch,
            ..MOSDMap::default()
        }
    }

    fn send_latest_map(&self, cx: &mut Cx, conn: ConnId) {
        let epoch = self.state.osdmap.epoch;
        let mut m = self.map_message();
        if let Some(full) = self.full(cx, epoch) {
            m.maps.insert(epoch, full);
            cx.send(conn, m);
        }
    }

    /// Sends all epochs from `first` on, as incrementals as far as they are kept.
    pub(crate) fn send_maps(&self, cx: &mut Cx, conn: ConnId, first: Epoch) {
        let newest = self.state.osdmap.epoch;
        let mut next = first.max(self.state.first_map);
        if next == self.state.first_map && next < newest {
            // Whole, and by itself: of a message with both, the kernel takes the increments first, and then the map.
            let m = self.maps_between(cx, next, next);
            cx.send(conn, m);
            next += 1;
        }
        while next <= newest {
            let last = newest.min(next + MAPS_MAX - 1);
            let m = self.maps_between(cx, next, last);
            cx.send(conn, m);
            next = last + 1;
        }
    }

    pub(crate) fn maps_between(&self, cx: &mut Cx, first: Epoch, last: Epoch) -> MOSDMap {
        let mut m = self.map_message();
        for epoch in first..=last {
            // The oldest epoch has no predecessor to add to, so it goes whole.
            let inc = if epoch > self.state.first_map { self.inc(cx, epoch) } else { None };
            match inc {
                Some(inc) => drop(m.incremental_maps.insert(epoch, inc)),
                None => drop(self.full(cx, epoch).map(|full| m.maps.insert(epoch, full))),
            }
        }
        m
    }

    pub(crate) fn full(&self, cx: &mut Cx, epoch: Epoch) -> Option<Bytes> {
        self.state.full_map(cx.store, epoch).unwrap_or_else(|e| {
            cx.log(Level::Error, format!("OSD map {epoch}: {e}"));
            None
        })
    }

    pub(crate) fn inc(&self, cx: &mut Cx, epoch: Epoch) -> Option<Bytes> {
        self.state.inc_map(cx.store, epoch).unwrap_or_else(|e| {
            cx.log(Level::Error, format!("OSD map increment {epoch}: {e}"));
            None
        })
    }

    // --- the other maps

    pub(crate) fn tell_meta(&mut self, cx: &mut Cx) {
        for conn in self.sessions.conns() {
            self.send_monmap_sub(cx, conn);
            self.send_mgrmap(cx, conn);
            self.send_servicemap(cx, conn);
        }
    }

    pub(crate) fn send_monmap(&self, cx: &mut Cx, conn: ConnId) {
        let map = denc::to_bytes(&self.monmap(), types::features::ALL);
        cx.send(conn, MMonMap { map });
    }

    fn send_monmap_sub(&mut self, cx: &mut Cx, conn: ConnId) {
        let epoch = self.monmap().epoch.into();
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.wants("monmap", epoch).is_some() {
            session.sent("monmap", epoch);
            self.send_monmap(cx, conn);
        }
    }

    fn send_mgrmap(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(bytes) = self.state.get(Space::Meta, meta::MGRMAP).cloned() else { return };
        let epoch = self.mgrmap().epoch.into();
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.wants("mgrmap", epoch).is_some() {
            session.sent("mgrmap", epoch);
            cx.send(conn, MMgrMap { map: bytes });
        }
    }

    fn send_servicemap(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(bytes) = self.state.get(Space::Meta, meta::SERVICEMAP).cloned() else { return };
        let epoch = self.service_map_epoch();
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.wants("servicemap", epoch).is_some() {
            session.sent("servicemap", epoch);
            cx.send(conn, MServiceMap { map: bytes });
        }
    }

    // --- settings

    pub(crate) fn settings(&self) -> Vec<Setting> {
        let rows = self.state.space(Space::Config).filter_map(|(key, value)| {
            let (target, option) = config_db::parse_key(key)?;
            Some(Setting { target, option, value: String::from_utf8_lossy(value).into_owned() })
        });
        rows.collect()
    }

    /// What settings may depend on, for a daemon or client of this name.
    pub(crate) fn who(&self, entity: &str, host: &str) -> Who {
        let mut who = Who { entity: entity.to_owned(), host: host.to_owned(), ..Who::default() };
        if let Some(osd) = entity.strip_prefix("osd.").and_then(|id| id.parse().ok()) {
            let crush = &self.state.osdmap.crush;
            who.device_class = crush.item_class(osd).map(str::to_owned);
            who.location = crush.full_location(osd).into_iter().collect();
        }
        who
    }

    pub(crate) fn config_for(&self, who: &Who) -> BTreeMap<String, String> {
        let settings = self.settings();
        let found = config_db::effective(&settings, who);
        found.into_iter().map(|(option, s)| (option, s.value.clone())).collect()
    }

    pub(crate) fn tell_config(&mut self, cx: &mut Cx) {
        for conn in self.sessions.subscribed("config") {
            self.send_config(cx, conn);
        }
    }

    /// A client waits for this even if there is nothing to say.
    fn send_config(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(session) = self.sessions.get(conn) else { return };
        let who = self.who(&session.peer.entity, &session.host);
        let config = self.config_for(&who);
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.config.as_ref() != Some(&config) {
            session.config = Some(config.clone());
            cx.send(conn, MConfig { config });
        }
    }

    /// Takes over what the settings say for this monitor.
    pub(crate) fn reload_config(&mut self) {
        let who = self.who(&format!("mon.{}", self.setup.name), &self.setup.hostname);
        let values = self.config_for(&who);
        let pairs = values.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        // Names were checked when they were set; those forced in are not ours to know.
        let _ = self.config.replace(Source::Mon, pairs);
        self.configured();
    }

    /// Options have changed: what caches one reads it again.
    pub(crate) fn configured(&mut self) {
        self.mgr.configure(&self.config);
        self.logging = self.logging.configured(&self.config, &["debug_mon", "debug_paxos", "debug_mgr", "debug_auth"]);
    }

    // --- the cluster log

    pub(crate) fn log_lines(&self) -> impl DoubleEndedIterator<Item = (u64, ClogEntry)> {
        self.state.space(Space::ClusterLog).filter_map(|(key, value)| {
            Some((u64::from_str_radix(key, 16).ok()?, denc::from_bytes(value.clone()).ok()?))
        })
    }

    pub(crate) fn tell_log(&mut self, cx: &mut Cx) {
        for conn in self.sessions.conns() {
            self.send_log(cx, conn);
        }
    }

    /// New lines for one who listens; a first subscription starts at the end, as in Ceph.
    fn send_log(&mut self, cx: &mut Cx, conn: ConnId) {
        let next: u64 = self.state.value(Space::Meta, meta::LOG_NEXT).unwrap_or(0);
        let Some(session) = self.sessions.get(conn) else { return };
        let Some((what, least)) = LOG_SUBS.into_iter().find(|(what, _)| session.subs.contains_key(*what)) else {
            return;
        };
        let from = session.subs[what].start;
        let entries: Vec<ClogEntry> = if from == 0 {
            vec![]
        } else {
            let lines = self.log_lines().filter(|(n, e)| *n >= from && e.level >= least);
            lines.map(|(_, e)| e).collect()
        };
        if let Some(item) = self.sessions.get_mut(conn).and_then(|s| s.subs.get_mut(what)) {
            item.start = next.max(1);
        }
        if !entries.is_empty() {
            // Librados takes only messages whose version is newer than the last one's.
            cx.send(conn, MLog { paxos: Paxos::from(next), fsid: self.setup.fsid, entries });
        }
    }

    // --- PGs to create

    pub(crate) fn tell_creates(&mut self, cx: &mut Cx) {
        for conn in self.sessions.subscribed("osd_pg_creates") {
            self.send_creates(cx, conn);
        }
    }

    /// Tells an OSD which PGs it is to make: those whose acting primary it is, and that nobody has
    /// reported as made (Ceph: `OSDMonitor::send_pg_creates`).
    fn send_creates(&mut self, cx: &mut Cx, conn: ConnId) {
        let Some(session) = self.sessions.get(conn) else { return };
        if !session.peer.name.is_osd() {
            return;
        }
        let map = &self.state.osdmap;
        let Some(item) = session.wants("osd_pg_creates", map.epoch.into()) else { return };
        let (osd, from) = (session.peer.name.num, item.start);
        let mut pgs = BTreeMap::new();
        for (pgid, (epoch, stamp)) in self.creating() {
            let placement = map.pg_to_up_acting(pgid);
            // What was sent before and did not change need not be sent again.
            let sent = from > u64::from(epoch) && !self.osd.primary_changed_since(pgid, from);
            if i64::from(placement.acting_primary) == osd && !sent {
                pgs.insert(SpgId::from(pgid), (epoch, stamp));
            }
        }
        let epoch = map.epoch;
        if !pgs.is_empty() {
            cx.send(conn, MOSDPGCreate2 { epoch, pgs, ..MOSDPGCreate2::default() });
        }
        if let Some(session) = self.sessions.get_mut(conn) {
            session.sent("osd_pg_creates", epoch.into());
        }
    }

    pub(crate) fn creating(&self) -> impl Iterator<Item = (types::PgId, (Epoch, UTime))> {
        self.state
            .space(Space::Creating)
            .filter_map(|(key, value)| Some((key.parse().ok()?, denc::from_bytes(value.clone()).ok()?)))
    }
}

/// The reply to a ping: one string, the JSON of it.
pub(crate) fn ping_front(json: &str) -> Bytes {
    let mut e = Encoder::new(0);
    e.string(json);
    e.finish()
}
