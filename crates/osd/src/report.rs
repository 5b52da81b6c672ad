//! What the manager and the cluster's log are told.
//!
//! The manager's address is in the MgrMap. Over its session go `MMgrOpen`, then reports every
//! `mgr_stats_period`, and soon after a PG changed its state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use denc::Decoder;
use messages::{
    AuthName, ClogEntry, ClogLevel, DaemonHealthMetric, MLog, MMgrConfigure, MMgrOpen, MMgrReport, MOSDAlive,
    MOSDBeacon, MOSDFull, MOSDPGTemp, MPGStats, Paxos,
};
use monclient::MonClient;
use node::{ConnId, Dest, Endpoint, Level, Now, Output, Peer};
use os::ObjectRead;
use types::options::Source;
use types::{ENTITY_TYPE_MGR, EntityName, Epoch, MgrMap, ObjectStorePerfStat, OsdStat, PoolId, SpgId, StoreStatfs};

use crate::{Conn, Osd, Setup, State, Timer};

/// How soon after a change the manager hears of it, so that many changes make one report.
const REPORT_SOON: Duration = Duration::from_millis(50);
/// How long the monitors have to answer before they are asked again.
const MON_AGAIN: Duration = Duration::from_secs(5);
/// How long a manager that refused is left alone.
const MGR_RETRY: Duration = Duration::from_secs(1);

/// The session with the manager.
#[derive(Debug, Default)]
pub struct Report {
    mgr: MgrMap,
    conn: Option<ConnId>,
    /// The manager asked for reports at this interval.
    period: Option<Duration>,
    /// PGs whose state changed since the last report.
    changed: BTreeSet<SpgId>,
    seq: u32,
    retry_at: Option<Duration>,
    /// The options as the manager was last told.
    config: Bytes,
    /// What the monitors were last to be told of fullness.
    fullness: u32,
}

impl Report {
    /// Whether the manager is at the other end.
    pub(crate) fn is_from_mgr(&self, conn: ConnId) -> bool {
        self.conn == Some(conn)
    }
}

impl Osd {
    pub(crate) fn new_mgr_map(&mut self, now: Now, raw: Bytes, out: &mut Vec<Output>) {
        let map: MgrMap = match Decoder::new(raw).get() {
            Ok(map) => map,
            Err(e) => return self.log(Level::Warn, format!("an mgrmap does not decode: {e}"), out),
        };
        self.mon.sub_got("mgrmap", map.epoch.into());
        let moved = map.active_addrs != self.report.mgr.active_addrs || map.active_gid != self.report.mgr.active_gid;
        let old = std::mem::replace(&mut self.report.mgr, map);
        if moved {
            if self.report.conn.take().is_some() {
                out.push(Output::ClosePeer { via: Endpoint::Public, addrs: old.active_addrs });
            }
            self.report.period = None;
        }
        self.connect_mgr(now, out);
    }

    /// The first message makes the session; the manager answers with what it wants.
    fn connect_mgr(&mut self, now: Now, out: &mut Vec<Output>) {
        let mgr = &self.report.mgr;
        if self.report.conn.is_some() || mgr.active_addrs.is_empty() {
            return;
        }
        let to = Dest::Peer {
            via: Endpoint::Public,
            name: EntityName::mgr(mgr.active_gid as i64),
            addrs: mgr.active_addrs.clone(),
        };
        let config = self.config_for_mgr();
        self.report.config = config.clone();
        let open = MMgrOpen { daemon_name: self.setup.whoami.to_string(), config, ..MMgrOpen::default() };
        out.push(Output::Send { to, msg: open.into(), after: None });
        self.report.retry_at = Some(now.mono + MGR_RETRY);
        self.timers.set(Timer::Report, now.mono + MGR_RETRY);
    }

    /// Whether it is the active one: it may no longer be, since we called.
    pub(crate) fn mgr_connected(&mut self, conn: ConnId, peer: &Peer) -> bool {
        let is_active = peer.addrs == self.report.mgr.active_addrs;
        if is_active {
            self.report.conn = Some(conn);
            self.report.retry_at = None;
        }
        is_active
    }

    pub(crate) fn mgr_reset(&mut self, now: Now, conn: ConnId) -> bool {
        if self.report.conn != Some(conn) {
            return false;
        }
        self.report.conn = None;
        self.report.period = None;
        self.timers.set(Timer::Report, now.mono + MGR_RETRY);
        true
    }

    pub(crate) fn mgr_refused(&mut self, now: Now, _name: EntityName) {
        self.timers.set(Timer::Report, now.mono + MGR_RETRY);
    }

    pub(crate) fn mgr_configured(&mut self, now: Now, conn: ConnId, m: &MMgrConfigure) {
        // What a manager answers is said over the session, whatever became of it in between.
        let is_mgr = |c: &Conn| c.peer.name.kind == ENTITY_TYPE_MGR && c.peer.addrs == self.report.mgr.active_addrs;
        if self.conns.get(&conn).is_some_and(is_mgr) {
            self.report.conn = Some(conn);
            self.report.period = Some(Duration::from_secs(m.stats_period.max(1).into()));
            self.timers.set(Timer::Report, now.mono);
        }
    }

    pub(crate) fn report_soon(&mut self, now: Now, id: SpgId) {
        self.report.changed.insert(id);
        if self.report.period.is_some() {
            let soon = now.mono + REPORT_SOON;
            if self.timers.next().is_none_or(|next| next > soon) || !self.timers.is_set(&Timer::Report) {
                self.timers.set(Timer::Report, soon);
            } else if self.report.changed.len() == 1 {
                // A report is planned, perhaps much later: this one is worth an early one.
                self.timers.set(Timer::Report, soon);
            }
        }
    }

    pub(crate) fn send_report(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let Some(conn) = self.report.conn else { return self.connect_mgr(now, out) };
        let Some(period) = self.report.period else { return };
        self.timers.set(Timer::Report, now.mono + period);
        self.report.changed.clear();
        self.report.seq += 1;
        let mut report = MMgrReport::new(self.setup.whoami.to_string());
        let slow = self.slow_ops(now);
        // Ceph packs the count below the age of the oldest.
        let value = u64::from(slow.count) | slow.oldest.as_secs() << 32;
        report.daemon_health_metrics = vec![DaemonHealthMetric { kind: DaemonHealthMetric::SLOW_OPS, value }];
        if slow.count > 0
            && let Some(why) = self.explain_oldest(now)
        {
            // Ceph's managers look here only at daemons of services: nobody else minds.
            report.task_status = Some([(DaemonHealthMetric::SLOW_OPS_WHY.to_owned(), why)].into());
        }
        let config = self.config_for_mgr();
        if config != self.report.config {
            self.report.config = config.clone();
            report.config = config;
        }
        out.push(Output::Send { to: Dest::Conn(conn), msg: report.into(), after: None });
        let stats = self.pg_stats(now, store);
        out.push(Output::Send { to: Dest::Conn(conn), msg: stats.into(), after: None });
    }

    /// The options that differ from their defaults: name → where from → value, for `config show`.
    fn config_for_mgr(&self) -> Bytes {
        let level = |source: &Source| match source {
            Source::Mon => 1i32,
            Source::File => 2,
            Source::Cmdline => 4,
            Source::Override => 5,
        };
        let all: BTreeMap<String, BTreeMap<i32, String>> = self
            .cfg
            .changed()
            .map(|(name, values)| (name.to_owned(), values.iter().map(|(s, v)| (level(s), v.clone())).collect()))
            .collect();
        denc::to_bytes(&all, types::features::ALL)
    }

    fn pg_stats(&mut self, now: Now, store: &dyn ObjectRead) -> MPGStats {
        let pg_stat = self.pgs.values_mut().filter_map(|pg| Some((pg.id().pgid, pg.stat(now)?))).collect();
        MPGStats {
            fsid: self.setup.fsid,
            epoch: self.epoch(),
            pg_stat,
            osd_stat: self.osd_stat(store),
            pool_stat: self.space_by_pool(store),
            ..MPGStats::default()
        }
    }

    /// What the PGs here take, primary or not. Data is counted by the store; of omap is known what the last deep
    /// scrubs found.
    fn space_by_pool(&self, store: &dyn ObjectRead) -> BTreeMap<PoolId, StoreStatfs> {
        let mut pools: BTreeMap<PoolId, StoreStatfs> = BTreeMap::new();
        for pg in self.pgs.values() {
            let pool = pools.entry(pg.id().pgid.pool).or_default();
            pool.omap_allocated = pool.omap_allocated.saturating_add(pg.omap_bytes());
        }
        for (id, space) in store.space_by_pool() {
            let pool = pools.entry(id).or_default();
            (pool.allocated, pool.data_stored) = (space.allocated.cast_signed(), space.stored.cast_signed());
        }
        pools
    }

    /// About once a second: the cluster's log hears of a disk that has become slow.
    pub(crate) fn look_at_disk(&mut self, now: Now) {
        if let Some(text) = self.disk_times.tick(now.mono) {
            let me = self.setup.whoami;
            let text = format!("osd.{me}: {text}; `spirula explain osd.{me}` says what helps");
            self.log.entry(now, Level::Warn, text);
        }
    }

    pub(crate) fn osd_stat(&self, store: &dyn ObjectRead) -> OsdStat {
        let s = store.statfs();
        let written = u64::try_from(self.disk_times.write_mean().as_nanos()).unwrap_or(u64::MAX);
        let up_from = self.maps.as_ref().map_or(0, |m| m.current().up_from(self.setup.whoami));
        OsdStat {
            statfs: StoreStatfs {
                total: s.total,
                available: s.available,
                allocated: s.allocated as i64,
                data_stored: s.stored as i64,
                omap_allocated: s.omap_allocated as i64,
                internal_metadata: s.internal_metadata as i64,
                ..StoreStatfs::default()
            },
            num_shards_repaired: self.scrubs.mended_total(),
            hb_peers: self.heartbeats.peers().into_iter().collect(),
            hb_pingtime: self.heartbeats.ping_times(),
            up_from,
            // Ours are the same: what is submitted can be read at once.
            os_perf_stat: ObjectStorePerfStat { os_commit_latency_ns: written, os_apply_latency_ns: written },
            seq: self.stat_seq(),
            num_pgs: self.pgs.len() as u32,
            num_osds: 1,
            num_per_pool_osds: 1,
            num_per_pool_omap_osds: 1,
            ..OsdStat::default()
        }
    }

    /// Ceph packs the epoch it became up in above the count of reports.
    pub(crate) fn stat_seq(&self) -> u64 {
        let up_from = self.maps.as_ref().map_or(0, |m| m.current().up_from(self.setup.whoami));
        u64::from(up_from) << 32 | u64::from(self.report.seq)
    }

    pub(crate) fn send_beacon(&mut self, now: Now, out: &mut Vec<Output>) {
        let interval = self.cfg.secs("osd_beacon_report_interval").max(Duration::from_secs(1));
        self.timers.set(Timer::Beacon, now.mono + interval);
        if self.state != State::Active {
            return;
        }
        let beacon = MOSDBeacon {
            paxos: Paxos { version: self.epoch().into(), ..Paxos::default() },
            pgs: self.pgs.keys().map(|id| id.pgid).collect(),
            min_last_epoch_clean: self.pgs.values().map(|pg| pg.last_epoch_clean()).min().unwrap_or(self.epoch()),
            osd_beacon_report_interval: interval.as_secs() as u32,
            ..MOSDBeacon::default()
        };
        self.mon.send(beacon, out);
    }

    /// A PG cannot go active before a map shows us alive in its interval.
    pub(crate) fn want_up_thru(&mut self, want: Epoch, out: &mut Vec<Output>) {
        if want > self.up_thru_wanted {
            self.up_thru_wanted = want;
            self.up_thru_asked_again(out);
        }
    }

    pub(crate) fn up_thru_asked_again(&mut self, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        if self.state == State::Active && map.info(self.setup.whoami).up_thru < self.up_thru_wanted {
            let paxos = Paxos { version: map.epoch.into(), ..Paxos::default() };
            self.mon.send(MOSDAlive { paxos, want: self.up_thru_wanted }, out);
        }
    }

    /// What the monitors were asked for, and no map shows, is asked for again: the leader may have gone before
    /// it was agreed upon, or had no use for it by the map that it had then.
    pub(crate) fn ask_mon_again(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let waits_for_up_thru = maps.current().info(self.setup.whoami).up_thru < self.up_thru_wanted;
        if self.state != State::Active || !waits_for_up_thru && self.pg_temp_wanted.is_empty() {
            self.mon_again_at = None;
        } else if *self.mon_again_at.get_or_insert(now.mono + MON_AGAIN) <= now.mono {
            self.mon_again_at = Some(now.mono + MON_AGAIN);
            self.up_thru_asked_again(out);
            self.send_pg_temp(out);
        }
    }

    pub(crate) fn send_pg_temp(&mut self, out: &mut Vec<Output>) {
        if self.pg_temp_wanted.is_empty() {
            return;
        }
        for forced in [false, true] {
            let wanted = self.pg_temp_wanted.iter().filter(|(_, (_, f))| *f == forced);
            let pg_temp: std::collections::BTreeMap<_, _> = wanted.map(|(id, (want, _))| (*id, want.clone())).collect();
            if !pg_temp.is_empty() {
                let epoch = self.epoch();
                let paxos = Paxos { version: epoch.into(), ..Paxos::default() };
                self.mon.send(MOSDPGTemp { paxos, map_epoch: epoch, pg_temp, forced }, out);
            }
        }
    }

    /// Notes how full the store is. Called for each client's operation, since a fast client fills what a tick's
    /// delay leaves; the monitors are told at once when a ratio is crossed.
    pub(crate) fn note_fullness(&mut self, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let s = store.statfs();
        if s.total == 0 {
            return;
        }
        self.rooms.set_here(s.available);
        let used = 1.0 - s.available as f64 / s.total as f64;
        self.failsafe_full = used >= self.failsafe_ratio || s.available < FAILSAFE_BYTES;
        let Some(maps) = &self.maps else { return };
        let state = fullness(maps.current(), used, s.available);
        if state != self.report.fullness {
            self.report.fullness = state;
            self.check_fullness(store, out);
        }
    }

    /// Tells the monitors when the store crosses one of the map's ratios.
    pub(crate) fn check_fullness(&mut self, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let Some(maps) = &self.maps else { return };
        let map = maps.current();
        let s = store.statfs();
        if s.total == 0 || self.state != State::Active {
            return;
        }
        let used = 1.0 - s.available as f64 / s.total as f64;
        let state = fullness(map, used, s.available);
        let all = osdmap::state::FULL | osdmap::state::BACKFILLFULL | osdmap::state::NEARFULL;
        if map.state(self.setup.whoami) & all != state {
            let paxos = Paxos { version: map.epoch.into(), ..Paxos::default() };
            self.mon.send(MOSDFull { paxos, map_epoch: map.epoch, state }, out);
        }
    }
}

/// Below this, only what frees space is taken, however large the disk: what replicas have under way must fit.
const FAILSAFE_BYTES: u64 = 96 << 20;

/// The bit of the highest of the map's ratios that is crossed; a disk with less than the last reserve is full
/// whatever the ratio says.
fn fullness(map: &osdmap::OsdMap, used: f64, available: u64) -> u32 {
    if available < FAILSAFE_BYTES {
        return osdmap::state::FULL;
    }
    [
        (map.full_ratio, osdmap::state::FULL),
        (map.backfillfull_ratio, osdmap::state::BACKFILLFULL),
        (map.nearfull_ratio, osdmap::state::NEARFULL),
    ]
    .into_iter()
    .find(|(ratio, _)| *ratio > 0.0 && used >= f64::from(*ratio))
    .map_or(0, |(_, bit)| bit)
}

/// Lines for the cluster's log that the monitors have not acknowledged.
#[derive(Debug, Default)]
pub struct ClusterLog {
    entries: Vec<ClogEntry>,
    next_seq: u64,
    /// Sent in this session up to here.
    sent: u64,
}

/// What is kept while no monitor is there; the oldest go first.
const LOG_MAX: usize = 1_000;

impl ClusterLog {
    pub(crate) fn entry(&mut self, now: Now, level: Level, msg: String) {
        self.next_seq += 1;
        let level = match level {
            Level::Debug => ClogLevel::Debug,
            Level::Info => ClogLevel::Info,
            Level::Warn => ClogLevel::Warn,
            Level::Error => ClogLevel::Error,
        };
        let entry = ClogEntry {
            stamp: now.wall,
            seq: self.next_seq,
            level,
            msg,
            channel: "cluster".into(),
            ..ClogEntry::default()
        };
        self.entries.push(entry);
        if self.entries.len() > LOG_MAX {
            self.entries.remove(0);
        }
    }

    pub(crate) fn warn(&mut self, now: Now, msg: String) {
        self.entry(now, Level::Warn, msg);
    }

    pub(crate) fn resend(&mut self) {
        self.sent = 0;
    }

    pub(crate) fn acknowledged(&mut self, last: u64) {
        self.entries.retain(|e| e.seq > last);
    }

    pub(crate) fn flush(&mut self, _now: Now, setup: &Setup, mon: &mut MonClient, out: &mut Vec<Output>) {
        if mon.conn().is_none() || self.sent >= self.next_seq {
            return;
        }
        let name = AuthName { kind: types::ENTITY_TYPE_OSD.into(), id: setup.whoami.to_string() };
        let entries: Vec<ClogEntry> = self
            .entries
            .iter()
            .filter(|e| e.seq > self.sent)
            .map(|e| ClogEntry {
                name: name.clone(),
                rank: EntityName::osd(setup.whoami),
                addrs: setup.listening.public.into(),
                ..e.clone()
            })
            .collect();
        self.sent = self.next_seq;
        if !entries.is_empty() {
            mon.send(MLog { paxos: Paxos::default(), fsid: setup.fsid, entries }, out);
        }
    }
}
