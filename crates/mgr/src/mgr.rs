//! The manager as a value: sessions, statistics, commands.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::Decoder;
use messages::{
    Body, DaemonHealthMetric, MCommand, MCommandReply, MMgrCommandReply, MMgrConfigure, MMgrOpen, MOSDForceRecovery,
    MOSDScrub2, Message,
};
use node::{ConnId, Dest, Now, Output, Peer};
use osdmap::OsdMap;
use types::command::Args;
use types::dump::{Dump, Format};
use types::errno::{EAGAIN, EINVAL, ENOENT};
use types::flags::pg_state;
use types::network;
use types::options::{self, Config, Source};
use types::table::Table;
use types::{EntityAddr, OsdId, PgId, PgStat, PoolId, Service, ServiceDaemon, ServiceMap};

use crate::digest::{Digest, PoolSum};
use crate::force::Force;
use crate::health::Thresholds;
use crate::iostat;
use crate::modules::{self, Told};
use crate::osd_df::{Filter, OsdDf};
use crate::reweight::{self, Plan};
use crate::safety::{self, Destruction};
use crate::scrub::ScrubOrder;
use crate::stats::PgMap;
use crate::summary::Summary;
use crate::{autoscale, commands, health, health_scrub, osd_status, show};

/// Reports beyond this are not asked for (Ceph: `mgr_stats_threshold`).
const STATS_THRESHOLD: u32 = 5;

/// One daemon or client that has opened a session.
#[derive(Debug, Default)]
struct Session {
    peer: Option<Peer>,
    /// `osd.3`, or a service daemon's `SERVICE.NAME`.
    daemon: Option<String>,
    is_service: bool,
    slow: health::SlowOps,
}

/// A command's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// 0, or a negative errno.
    pub r: i32,
    pub rs: String,
    pub data: Bytes,
}

type Answer = Result<Shown, (i32, String)>;

enum Shown {
    Text(String),
    Tree(Dump, &'static str),
    /// Its inner part is lines, its end stands behind them (Ceph: `process_pg_map_command`).
    Lined(Dump),
    /// Words for the terminal besides the output.
    Said(i32, String, Box<Shown>),
    /// The monitor is to run this command; its output goes behind ours.
    Monitor(String, String),
}

/// A command that the manager passes on to the monitor: it has judged it, and changes no map itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToMonitor {
    pub conn: ConnId,
    tid: u64,
    /// It came as `MMgrCommand`, and so does the answer.
    newer: bool,
    /// The monitor's command, in JSON.
    pub cmd: String,
    /// What the client sent along.
    pub input: Bytes,
    data: Bytes,
}

impl ToMonitor {
    /// The answer to whom asked, from the monitor's.
    pub fn reply(&self, r: i32, rs: String, data: &[u8]) -> Message {
        let data = Bytes::from([&self.data, data].concat());
        let msg = match self.newer {
            true => Message::from(MMgrCommandReply { r, rs, data }),
            false => Message::from(MCommandReply { r, rs, data }),
        };
        msg.with_tid(self.tid)
    }
}

/// What became of a command.
enum Outcome {
    Done(Reply),
    Monitor { cmd: String, data: Bytes },
}

/// The options that a daemon told: name → level → value (Ceph: `CONF_DEFAULT` … `CONF_FINAL`).
type DaemonConfig = BTreeMap<String, BTreeMap<i32, String>>;

/// See the crate's documentation.
#[derive(Debug)]
pub struct Mgr {
    pub stats: PgMap,
    sessions: BTreeMap<ConnId, Session>,
    configs: BTreeMap<String, DaemonConfig>,
    services: ServiceMap,
    stats_period: u32,
    /// `mon_target_pg_per_osd`.
    pgs_per_osd: u64,
    /// As its monitor has them, and as they are in force here.
    base: Config,
    cfg: Config,
    /// What `tell mgr config set` and its like have set.
    own: BTreeMap<&'static str, String>,
    name: String,
    map_epoch: types::Epoch,
    /// The epoch of the last map that was followed.
    followed: types::Epoch,
    stopped: bool,
}

impl Mgr {
    /// `name` is the manager's, as in `mgr.NAME`.
    pub fn new(name: &str, cfg: &Config) -> Self {
        let mut mgr = Self {
            stats: PgMap::default(),
            sessions: BTreeMap::new(),
            configs: BTreeMap::new(),
            services: ServiceMap::default(),
            stats_period: 1,
            pgs_per_osd: 0,
            base: Config::daemon(),
            cfg: Config::daemon(),
            own: BTreeMap::new(),
            name: name.to_owned(),
            map_epoch: 0,
            followed: 0,
            stopped: false,
        };
        mgr.configure(cfg);
        mgr
    }

    /// Whether it was stopped and not started since.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Drops all state and all sessions, as the death of a manager's process would.
    pub fn stop(&mut self, out: &mut Vec<Output>) {
        self.stopped = true;
        self.stats.clear();
        self.configs.clear();
        self.followed = 0;
        for conn in std::mem::take(&mut self.sessions).into_keys() {
            out.push(Output::Close { conn });
        }
    }

    pub fn start(&mut self) {
        self.stopped = false;
    }

    /// Options have changed.
    pub fn configure(&mut self, cfg: &Config) {
        self.base = cfg.clone();
        self.cfg = cfg.clone();
        for (name, value) in &self.own {
            self.cfg.set(name, value, Source::Override).expect("it was accepted before");
        }
        self.stats_period = (self.cfg.u64("mgr_stats_period") as u32).max(1);
        self.pgs_per_osd = self.cfg.u64("mon_target_pg_per_osd");
    }

    /// The options in force.
    pub(crate) fn config(&self) -> Config {
        self.cfg.clone()
    }

    /// Options were set by a tell: they stay so, whatever the monitor is told.
    pub(crate) fn set_own(&mut self, cfg: &Config) {
        let overrides = |cfg: &Config| -> BTreeMap<&'static str, String> {
            cfg.changed().filter_map(|(name, by)| Some((name, by.get(&Source::Override)?.clone()))).collect()
        };
        let base = std::mem::take(&mut self.base);
        let known = overrides(&base);
        self.own = overrides(cfg).into_iter().filter(|(name, value)| known.get(name) != Some(value)).collect();
        self.configure(&base);
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The epoch of the map of managers that is in force.
    pub fn mapped(&mut self, epoch: types::Epoch) {
        self.map_epoch = epoch;
    }

    pub(crate) fn map_epoch(&self) -> types::Epoch {
        self.map_epoch
    }

    /// The counters of `perf dump`.
    pub(crate) fn perf(&self) -> Dump {
        let daemons = self.sessions.values().filter(|s| s.daemon.is_some()).count();
        let mgr = Dump::obj()
            .with("num_sessions", self.sessions.len())
            .with("num_daemons", daemons)
            .with("num_pg", self.stats.pgs.len())
            .with("num_osd", self.stats.osds.len());
        Dump::obj().with("mgr", mgr)
    }

    pub fn services(&self) -> &ServiceMap {
        &self.services
    }

    pub fn connected(&mut self, conn: ConnId, peer: Peer, out: &mut Vec<Output>) {
        if self.stopped {
            return out.push(Output::Close { conn });
        }
        self.sessions.insert(conn, Session { peer: Some(peer), ..Session::default() });
    }

    pub fn reset(&mut self, now: Now, conn: ConnId) {
        let Some(session) = self.sessions.remove(&conn) else { return };
        if let (true, Some(daemon)) = (session.is_service, session.daemon) {
            self.forget_service(now, &daemon);
        }
    }

    /// Each registered daemon with when it was last heard of.
    fn service_status(&self, now: Now) -> Dump {
        let mut out = Dump::obj();
        for (name, service) in &self.services.services {
            let mut daemons = Dump::obj();
            for (id, daemon) in &service.daemons {
                let mut status = Dump::obj();
                daemon.task_status.iter().for_each(|(k, v)| status.put(k.clone(), v));
                let d = Dump::obj()
                    .with("status_stamp", daemon.start_stamp)
                    .with("last_beacon", now.wall)
                    .with("status", status);
                daemons.put(id.clone(), d);
            }
            out.put(name.clone(), daemons);
        }
        out
    }

    fn forget_service(&mut self, now: Now, daemon: &str) {
        let Some((service, name)) = daemon.split_once('.') else { return };
        if let Some(s) = self.services.services.get_mut(service) {
            s.daemons.remove(name);
            if s.daemons.is_empty() {
                self.services.services.remove(service);
            }
            self.services.epoch += 1;
            self.services.modified = now.wall;
        }
    }

    /// The OSD at the other end, if it is one.
    pub fn osd_of(&self, conn: ConnId) -> Option<OsdId> {
        let name = self.sessions.get(&conn)?.peer.as_ref()?.name;
        OsdId::try_from(name.num).ok().filter(|_| name.is_osd())
    }

    /// A message at the manager's address. Gives what the monitor is to do about it.
    pub fn message(
        &mut self,
        now: Now,
        map: &OsdMap,
        conn: ConnId,
        msg: Message,
        out: &mut Vec<Output>,
    ) -> Option<ToMonitor> {
        if self.stopped {
            out.push(Output::Close { conn });
            return None;
        }
        match msg.body {
            Body::MMgrOpen(m) => self.open(now, conn, &m, map, out),
            Body::MMgrReport(m) => {
                let slow = m.daemon_health_metrics.iter().find(|metric| metric.kind == DaemonHealthMetric::SLOW_OPS);
                if let (Some(slow), Some(session)) = (slow, self.sessions.get_mut(&conn)) {
                    let (count, oldest_secs) = slow.count_and_age();
                    let said = m.task_status.as_ref().and_then(|s| s.get(DaemonHealthMetric::SLOW_OPS_WHY).cloned());
                    session.slow = health::SlowOps { count, oldest_secs, why: said };
                }
                self.config_of(conn, m.config);
            }
            Body::MPGStats(m) => {
                let from = self.sessions.get(&conn).and_then(|s| s.peer.as_ref()).map(|p| p.name);
                if let Some(from) = from.filter(|n| n.is_osd()) {
                    self.stats.report(now, from.num as OsdId, &m, map);
                }
            }
            Body::MMgrClose(_) => {
                self.reset(now, conn);
                out.push(Output::Close { conn });
            }
            Body::MMgrUpdate(_) => {}
            Body::MCommand(MCommand { cmd, data, .. }) => {
                if let Some(Reply { r, rs, data }) = self.told(&cmd) {
                    let reply = Message::from(MCommandReply { r, rs, data }).with_tid(msg.tid);
                    out.push(Output::Send { to: Dest::Conn(conn), msg: reply, after: None });
                    return None;
                }
                return self.client_command(now, map, (conn, msg.tid, false), (&cmd, data), out);
            }
            Body::MMgrCommand(m) => {
                return self.client_command(now, map, (conn, msg.tid, true), (&m.cmd, m.data), out);
            }
            _ => {}
        }
        None
    }

    fn client_command(
        &mut self,
        now: Now,
        map: &OsdMap,
        (conn, tid, newer): (ConnId, u64, bool),
        (cmd, input): (&[String], Bytes),
        out: &mut Vec<Output>,
    ) -> Option<ToMonitor> {
        let to_monitor = |cmd, data| ToMonitor { conn, tid, newer, cmd, input, data };
        match self.command(now, map, cmd, out) {
            Outcome::Done(Reply { r, rs, data }) => {
                let msg = to_monitor(String::new(), data).reply(r, rs, &[]);
                out.push(Output::Send { to: Dest::Conn(conn), msg, after: None });
                None
            }
            Outcome::Monitor { cmd, data } => Some(to_monitor(cmd, data)),
        }
    }

    /// A command of ours that a client sent to the monitor: the answer, or what the monitor is to run, and what goes
    /// before its output.
    ///
    /// # Errors
    /// The monitor's command, and our part of the output.
    pub fn for_monitor(
        &mut self,
        now: Now,
        map: &OsdMap,
        cmd: &[String],
        out: &mut Vec<Output>,
    ) -> Result<Reply, (String, Bytes)> {
        match self.command(now, map, cmd, out) {
            Outcome::Done(reply) => Ok(reply),
            Outcome::Monitor { cmd, data } => Err((cmd, data)),
        }
    }

    fn open(&mut self, now: Now, conn: ConnId, m: &MMgrOpen, map: &OsdMap, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let kind = session.peer.as_ref().map_or("unknown", |p| p.name.kind_str());
        let service = if m.service_name.is_empty() { kind } else { &m.service_name };
        session.daemon = Some(format!("{service}.{}", m.daemon_name));
        session.is_service = m.service_daemon.is_some();
        let addr = session.peer.as_ref().map_or_else(EntityAddr::default, |p| p.addrs.legacy_or_first());
        let gid = session.peer.as_ref().map_or(0, |p| p.global_id);
        if let Some((metadata, status)) = &m.service_daemon {
            let daemon = ServiceDaemon {
                gid,
                addr,
                start_epoch: map.epoch,
                start_stamp: now.wall,
                metadata: metadata.clone(),
                task_status: status.clone(),
            };
            let entry: &mut Service = self.services.services.entry(m.service_name.clone()).or_default();
            entry.daemons.insert(m.daemon_name.clone(), daemon);
            self.services.epoch += 1;
            self.services.modified = now.wall;
        }
        self.config_of(conn, m.config.clone());
        let configure = MMgrConfigure::new(self.stats_period, STATS_THRESHOLD);
        out.push(Output::Send { to: Dest::Conn(conn), msg: configure.into(), after: None });
    }

    /// A daemon's options, if it sent them and they decode.
    fn config_of(&mut self, conn: ConnId, raw: Bytes) {
        if raw.is_empty() {
            return;
        }
        let Some(daemon) = self.sessions.get(&conn).and_then(|s| s.daemon.clone()) else { return };
        if let Ok(config) = Decoder::new(raw).get::<DaemonConfig>() {
            self.configs.insert(daemon, config);
        }
    }

    /// About once a second: follows the map and sums up.
    pub fn tick(&mut self, now: Now, map: &OsdMap, warn: Thresholds) -> Digest {
        self.follow(now, map);
        self.stats.sample(now);
        self.digest(now, map, warn)
    }

    /// A new map: what it changes shows at once.
    pub fn follow(&mut self, now: Now, map: &OsdMap) {
        if map.epoch != self.followed && !self.stopped {
            self.followed = map.epoch;
            self.stats.follow(now, map);
        }
    }

    pub fn summary(&self, map: &OsdMap) -> Summary {
        Summary::new(&self.stats, map)
    }

    pub fn digest(&self, now: Now, map: &OsdMap, warn: Thresholds) -> Digest {
        let summary = self.summary(map);
        let mut checks = health::checks(&self.stats, now.wall.sec, warn.stuck_secs);
        checks.extend(health_scrub::checks(&self.stats, map, now.wall.sec, &warn.scrub));
        let slow = self.sessions.values().filter(|s| s.slow.count > 0);
        let slow = slow.filter_map(|s| Some((s.daemon.clone()?, s.slow.clone()))).collect();
        checks.extend(health::slow_ops(&slow).map(|check| ("SLOW_OPS".into(), check)));
        let trimming = health::slow_snap_trimming(&self.stats, warn.trimq);
        checks.extend(trimming.map(|check| ("PG_SLOW_SNAP_TRIMMING".into(), check)));
        let pools = summary.pools.iter().map(|(id, p)| {
            let sum = PoolSum {
                bytes: p.stats.sum.num_bytes.max(0) as u64,
                objects: p.stats.sum.num_objects.max(0) as u64,
                stat: denc::to_bytes(p, types::features::ALL),
            };
            (*id, sum)
        });
        Digest {
            pgs_by_state: summary.states.iter().map(|(s, n)| (pg_state::to_string(*s), *n)).collect(),
            pools: pools.collect(),
            kb: summary.statfs.total >> 10,
            kb_used: summary.statfs.used_raw() >> 10,
            kb_avail: summary.statfs.available >> 10,
            objects: summary.total.stats.sum.num_objects.max(0) as u64,
            checks,
        }
    }

    /// Runs a command.
    fn command(&mut self, now: Now, map: &OsdMap, cmd: &[String], out: &mut Vec<Output>) -> Outcome {
        let failed = |errno: i32, rs: String| Outcome::Done(Reply { r: -errno, rs, data: Bytes::new() });
        if self.stopped {
            return failed(EAGAIN, "the manager is stopped".into());
        }
        let args = match Args::parse(cmd) {
            Ok(args) => args,
            Err(why) => return failed(EINVAL, why),
        };
        let prefix = args.prefix().to_owned();
        if prefix == "get_command_descriptions" {
            let data = types::command::descriptions(commands()).to_json().into();
            return Outcome::Done(Reply { data, ..Reply::default() });
        }
        if let Some(command) = commands().find(|c| c.is_named(&prefix))
            && let Err((errno, why)) = command.check(&args)
        {
            return failed(errno, why);
        }
        if prefix.starts_with("crash ") {
            // Reports outlive the manager: the monitors keep them.
            return Outcome::Monitor { cmd: cmd.concat(), data: Bytes::new() };
        }
        self.follow(now, map);
        if prefix == "pg getmap" {
            let rs = format!("got pgmap version {}", self.stats.version);
            return Outcome::Done(Reply { r: 0, rs, data: denc::to_bytes(&self.stats, crate::stats::FEATURES) });
        }
        if let Some(force) = Force::new(&prefix, &args, map, &self.stats) {
            return Outcome::Done(self.order_recovery(map, &prefix, force, out));
        }
        match ScrubOrder::new(&prefix, &args, map) {
            Some(Ok(order)) => return Outcome::Done(self.order_scrub(map, order, out)),
            Some(Err((errno, why))) => return failed(errno, why),
            None => (),
        }
        let format = Format::parse(args.format());
        match self.answer(now, map, &prefix, &args, format.is_some()) {
            Ok(Shown::Monitor(cmd, data)) => Outcome::Monitor { cmd, data: data.into() },
            Ok(Shown::Said(errno, rs, shown)) => {
                Outcome::Done(Reply { r: -errno, rs, data: render(*shown, format).into() })
            }
            Ok(shown) => Outcome::Done(Reply { data: render(shown, format).into(), ..Reply::default() }),
            Err((errno, why)) => failed(errno, why),
        }
    }

    /// Tells primaries which PGs are to be recovered first, or as all others.
    fn order_recovery(&self, map: &OsdMap, prefix: &str, mut force: Force, out: &mut Vec<Output>) -> Reply {
        for (osd, forced_pgs) in std::mem::take(&mut force.orders) {
            let daemon = format!("osd.{osd}");
            let Some(conn) = self.sessions.iter().find(|(_, s)| s.daemon.as_deref() == Some(&daemon)) else {
                force.unreachable(osd);
                continue;
            };
            force.ordered(osd, &forced_pgs, prefix);
            let order = MOSDForceRecovery { fsid: map.fsid, forced_pgs, options: force.options };
            out.push(Output::Send { to: Dest::Conn(*conn.0), msg: order.into(), after: None });
        }
        // Ceph ends the list of what it did with a line's end, and a plain refusal without.
        if force.words.ends_with("; ") {
            force.words.push('\n');
        }
        Reply { r: -force.errno, rs: force.words, data: Bytes::new() }
    }

    /// Tells primaries which PGs are to be scrubbed.
    fn order_scrub(&self, map: &OsdMap, order: ScrubOrder, out: &mut Vec<Output>) -> Reply {
        let mut unreached = Vec::new();
        for (osd, scrub_pgs) in &order.orders {
            let daemon = format!("osd.{osd}");
            let Some(conn) = self.sessions.iter().find(|(_, s)| s.daemon.as_deref() == Some(&daemon)) else {
                unreached.push(*osd);
                continue;
            };
            let (repair, deep) = (order.verb == "repair", order.verb == "deep-scrub");
            let order = MOSDScrub2 { fsid: map.fsid, epoch: map.epoch, scrub_pgs: scrub_pgs.clone(), repair, deep };
            out.push(Output::Send { to: Dest::Conn(*conn.0), msg: order.into(), after: None });
        }
        let (errno, rs) = order.told(&unreached);
        Reply { r: -errno, rs, data: Bytes::new() }
    }

    /// `formatted`: a format other than plain was asked for.
    fn answer(&self, now: Now, map: &OsdMap, prefix: &str, args: &Args, formatted: bool) -> Answer {
        let pgs = &self.stats;
        let either = |tree: &dyn Fn() -> Dump, text: &dyn Fn() -> String| -> Answer {
            Ok(match prefix {
                _ if !formatted => Shown::Text(text()),
                "pg stat" | "pg dump_stuck" | "osd perf" | "osd blocked-by" => Shown::Lined(tree()),
                _ => Shown::Tree(tree(), root_of(prefix)),
            })
        };
        match prefix {
            "pg stat" => either(
                &|| Dump::obj().with("pg_ready", true).with("pg_summary", self.summary(map).pg_stat_dump()),
                &|| format!("{}\n", self.summary(map).oneline()),
            ),
            "pg dump" | "pg dump_json" => {
                let what = args.list("dumpcontents").first().cloned().unwrap_or_else(|| "all".into());
                let shown = match prefix {
                    "pg dump_json" => Ok(Shown::Text(show::pg_dump_tree(pgs, map, &what).to_json())),
                    _ => either(&|| show::pg_dump_tree(pgs, map, &what), &|| show::pg_dump_text(pgs, map, &what)),
                };
                said(format!("dumped {what}"), shown?)
            }
            "pg dump_pools_json" => {
                said("dumped pools".to_owned(), Shown::Text(show::pg_dump_tree(pgs, map, "pools").to_json()))
            }
            "pg ls" | "pg ls-by-pool" | "pg ls-by-primary" | "pg ls-by-osd" => {
                let chosen = self.choose_pgs(map, prefix, args)?;
                either(&|| show::ls_tree(&chosen), &|| show::ls_text(now, &chosen))
            }
            "pg dump_stuck" => {
                let mut kinds = args.list("stuckops");
                if kinds.is_empty() {
                    kinds.push("unclean".into());
                }
                let older = args.i64("threshold").and_then(|t| u32::try_from(t).ok()).unwrap_or(60);
                let chosen = show::stuck(pgs, &kinds, older, now);
                let shown = either(&|| show::stuck_tree(&chosen), &|| show::stuck_text(&chosen));
                said("ok".to_owned(), shown?)
            }
            "pg debug" => {
                let sum = pgs.total().stats.sum;
                let exist = match args.str("debugop") {
                    Some("unfound_objects_exist") => sum.num_objects_unfound > 0,
                    _ => sum.num_objects_degraded > 0,
                };
                let word = if exist { "TRUE\n" } else { "FALSE\n" };
                let ready = Dump::obj().with("pg_ready", true);
                Ok(Shown::Text(match Format::parse(args.format()) {
                    Some(format) => format!("{word}{}", ready.render(format, root_of(prefix))),
                    None => word.to_owned(),
                }))
            }
            "osd perf" => either(&|| show::perf_tree(pgs), &|| show::perf_text(pgs)),
            "osd df" => {
                let filter = Filter::parse(map, args.str("filter").unwrap_or_default())?;
                let df = OsdDf::new(pgs, map, &filter, args.str("output_method") == Some("tree"));
                either(&|| df.dump(), &|| df.text())
            }
            "osd status" => {
                let below = args.str("bucket").map(|name| below_bucket(map, name)).transpose()?;
                let only = |osd| below.as_ref().is_none_or(|below| below.contains(&osd));
                Ok(Shown::Text(osd_status::table(pgs, map, only) + "\n"))
            }
            "osd pool autoscale-status" => {
                let all = autoscale::status(pgs, map, self.pgs_per_osd);
                Ok(if formatted {
                    of_module(&autoscale::dump(&all))
                } else {
                    Shown::Text(autoscale::table(&all) + "\n")
                })
            }
            "dump_osd_network" => {
                let entries = network::entries(pgs.osds.iter().map(|(osd, stat)| (*osd, &stat.hb_pingtime)));
                Ok(Shown::Tree(
                    network::dump(entries, &self.cfg, args.i64("value"), now.wall.sec),
                    "network_ping_times",
                ))
            }
            "osd blocked-by" => either(&|| show::blocked_tree(pgs), &|| show::blocked_text(pgs)),
            "osd pool stats" => {
                let none = |name: &str| (ENOENT, format!("unrecognized pool '{name}'"));
                let only = args.str("pool_name").map(|name| map.pool_id(name).ok_or_else(|| none(name))).transpose()?;
                either(&|| show::pool_stats_tree(pgs, map, only), &|| show::pool_stats_text(pgs, map, only))
            }
            "osd ok-to-stop" => self.ok_to_stop(map, args),
            "osd safe-to-destroy" => self.safe_to_destroy(map, args, formatted),
            "osd destroy" | "osd purge" => self.destroy(map, prefix, args),
            "osd reweight-by-utilization"
            | "osd reweight-by-pg"
            | "osd test-reweight-by-utilization"
            | "osd test-reweight-by-pg" => self.reweight(map, prefix, args, formatted),
            "config show" | "config show-with-defaults" => self.config_show(prefix, args, formatted),
            "progress" => said("Nothing in progress".to_owned(), Shown::Text(String::new())),
            "progress json" => Ok(of_module(
                &Dump::obj()
                    .with("completed", Dump::arr("event", Vec::<Dump>::new()))
                    .with("events", Dump::arr("event", Vec::<Dump>::new())),
            )),
            "balancer status" => Ok(of_module(
                &Dump::obj()
                    .with("active", false)
                    .with("last_optimize_duration", "")
                    .with("last_optimize_started", "")
                    .with("mode", "none")
                    .with("no_optimization_needed", false)
                    .with("optimize_result", "")
                    .with("plans", Dump::arr("plan", Vec::<Dump>::new())),
            )),
            "device ls" => either(&|| Dump::arr("device", Vec::<Dump>::new()), &|| {
                "DEVICE  HOST:DEV  DAEMONS  WEAR  LIFE EXPECTANCY\n".into()
            }),
            "iostat" => {
                let width = args.i64("width").and_then(|w| usize::try_from(w).ok()).unwrap_or(80).clamp(30, 1_000);
                Ok(Shown::Text(iostat::lines(pgs, width, args.flag("print_header"))))
            }
            "service dump" => Ok(Shown::Tree(self.services.dump(), "service_map")),
            "service status" => Ok(Shown::Tree(self.service_status(now), "service_status")),
            _ => match modules::answer(prefix, &subject(args))? {
                Told::Empty(tree, text) => either(&|| tree.clone(), &|| text.to_owned()),
                Told::Word(word) => said(word, Shown::Text(String::new())),
            },
        }
    }

    /// The PGs that a `pg ls…` command means.
    fn choose_pgs(&self, map: &OsdMap, prefix: &str, args: &Args) -> Result<Vec<(&PgId, &PgStat)>, (i32, String)> {
        let pool = match prefix {
            "pg ls-by-pool" => Some(pool_id(map, args.str("poolstr").unwrap_or_default())?),
            _ => args.i64("pool"),
        };
        if let Some(pool) = pool.filter(|p| map.pool(*p).is_none()) {
            return Err((ENOENT, format!("pool {pool} does not exist")));
        }
        let osd = args.text("osd").map(|text| up_osd(map, &text)).transpose()?;
        let mut wanted = 0;
        let mut unknown = false;
        for name in args.list("states") {
            match pg_state::by_name(&name) {
                Some(0) => unknown = true,
                Some(bit) => wanted |= bit,
                None if name == "all" => {}
                None => {
                    // The first 32, as Ceph lists them.
                    let all = pg_state::to_string(u32::MAX.into());
                    return Err((EINVAL, format!("'{name}' is not a valid pg state, available choices: {all}")));
                }
            }
        }
        let fits = |id: &PgId, s: &PgStat| {
            pool.is_none_or(|p| id.pool == p)
                && s.state & wanted == wanted
                && (!unknown || s.state == 0)
                && osd.is_none_or(|o| match prefix {
                    "pg ls-by-primary" => s.acting_primary == o,
                    _ => s.acting.contains(&o) || s.up.contains(&o),
                })
        };
        Ok(self.stats.pgs.iter().filter(|(id, s)| fits(id, s)).collect())
    }

    /// Which PGs would still serve without these OSDs. As in Ceph it is JSON, asked for or not.
    fn ok_to_stop(&self, map: &OsdMap, args: &Args) -> Answer {
        let ids = osd_ids(map, args)?;
        let max = args.i64("max").and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let report = safety::ok_to_stop(&self.stats, map, ids, max);
        let format = Format::parse(args.format()).unwrap_or(Format::Json);
        let text = report.dump().render(format, "ok_to_stop") + "\n";
        let (errno, why) = report.objection().unwrap_or_default();
        Ok(Shown::Said(errno, why, Box::new(Shown::Text(text))))
    }

    fn safe_to_destroy(&self, map: &OsdMap, args: &Args, formatted: bool) -> Answer {
        let found = Destruction::new(&self.stats, map, osd_ids(map, args)?);
        if let Some(why) = found.unsure() {
            return Err(why);
        }
        if formatted {
            return Ok(Shown::Tree(found.dump(), "osd_status"));
        }
        match found.objection() {
            Some(why) => Err(why),
            None => said(found.approval(), Shown::Text(String::new())),
        }
    }

    /// `osd destroy` and `osd purge`: what is safe needs no `--force`, and `--yes-i-really-mean-it` is one.
    fn destroy(&self, map: &OsdMap, prefix: &str, args: &Args) -> Answer {
        let text = args.text("id").unwrap_or_default();
        let osd = number(&text).ok_or_else(|| (EINVAL, "must specify OSD id".to_owned()))?;
        let found = Destruction::new(&self.stats, map, [osd].into());
        let force = args.flag("force") || args.flag("yes_i_really_mean_it");
        if let Some((errno, why)) = found.objection().filter(|_| !force) {
            let loss = self.stats.loss_with_osd(map, osd);
            let text = format!(
                "{why}\nYou can proceed by passing --force, but be warned that this will likely mean real, permanent \
                 data loss.{loss}"
            );
            return Err((errno, text));
        }
        let cmd = Dump::obj().with("prefix", format!("{prefix}-actual")).with("id", osd);
        Ok(Shown::Monitor(cmd.with("yes_i_really_mean_it", true).to_json(), String::new()))
    }

    fn reweight(&self, map: &OsdMap, prefix: &str, args: &Args, formatted: bool) -> Answer {
        let mut pools = BTreeSet::new();
        for name in args.list("pools") {
            let missing = || (ENOENT, format!("pool '{name}' does not exist"));
            pools.insert(map.pool_id(&name).ok_or_else(missing)?);
        }
        let change_max = args.f64("max_change").unwrap_or(0.05);
        if change_max <= 0.0 {
            let shown = types::dump::general_float(change_max, 6);
            return Err((EINVAL, format!("max_change {shown} must be positive")));
        }
        let osds_max = args.i64("max_osds").unwrap_or(4);
        let osds_max = match usize::try_from(osds_max) {
            Ok(n @ 1..) => n,
            _ => return Err((EINVAL, format!("max_osds {osds_max} must be positive"))),
        };
        let request = reweight::Request {
            overload_percent: args.i64("oload").unwrap_or(120),
            change_max,
            osds_max,
            by_pg: prefix.ends_with("-pg"),
            pools,
            no_increasing: args.has("no_increasing"),
        };
        let plan = Plan::new(&self.stats, map, &request)
            .map_err(|(errno, why)| (errno, format!("{why}FAILED reweight-by-pg")))?;
        let shown = match formatted {
            true => Shown::Tree(plan.dump, "reweight_by_utilization"),
            false => Shown::Text(plan.text),
        };
        if prefix.starts_with("osd test-") || plan.weights.is_empty() {
            return said("no change".to_owned(), shown);
        }
        let mut weights = Dump::obj();
        plan.weights.iter().for_each(|(osd, weight)| weights.put(osd.to_string(), weight.to_string()));
        let cmd = Dump::obj().with("prefix", "osd reweightn").with("weights", weights.to_json());
        Ok(Shown::Monitor(cmd.to_json(), render(shown, Format::parse(args.format()))))
    }

    fn config_show(&self, prefix: &str, args: &Args, formatted: bool) -> Answer {
        let who = args.str("who").unwrap_or_default();
        if !who.contains('.') {
            return Err((EINVAL, "invalid daemon name: use <type>.<id>".into()));
        }
        let Some(config) = self.configs.get(who) else {
            return Err((ENOENT, format!("no config state for daemon {who}")));
        };
        let value_of = |name: &str| config.get(name).and_then(|levels| levels.last_key_value());
        if let Some(key) = args.str("key") {
            let name = options::normal_name(key);
            return match (value_of(&name), options::find(&name)) {
                (Some((_, value)), _) => Ok(Shown::Text(format!("{value}\n"))),
                (None, Some(def)) => Ok(Shown::Text(format!("{}\n", def.default_for(true)))),
                (None, None) => Err((ENOENT, format!("unrecognized key '{key}'"))),
            };
        }
        let everything = prefix == "config show-with-defaults";
        let names: BTreeSet<&str> = match everything {
            true => options::all().map(|d| d.name).chain(config.keys().map(String::as_str)).collect(),
            false => config.keys().map(String::as_str).collect(),
        };
        let rows = names.into_iter().map(|name| match value_of(name) {
            Some((level, value)) => (name, value.clone(), level_name(*level)),
            None => (name, options::find(name).map_or("", |d| d.default_for(true)).to_owned(), "default"),
        });
        if formatted {
            let list = rows.map(|(name, value, source)| {
                Dump::obj().with("name", name).with("value", value).with("source", source)
            });
            return Ok(Shown::Tree(Dump::arr("value", list), "config"));
        }
        let mut t = Table::new().left("NAME").left("VALUE").left("SOURCE").left("OVERRIDES").left("IGNORES");
        for (name, value, source) in rows {
            t.row(vec![name.to_owned(), value, source.to_owned()]);
        }
        Ok(Shown::Text(t.render()))
    }
}

/// What a module's command is about.
fn subject(args: &Args) -> String {
    ["devid", "plan", "vol_name", "name", "fs"].into_iter().find_map(|name| args.text(name)).unwrap_or_default()
}

fn level_name(level: i32) -> &'static str {
    match level {
        1 => Source::Mon.as_str(),
        2 => Source::File.as_str(),
        3 => "env",
        4 => Source::Cmdline.as_str(),
        5 => Source::Override.as_str(),
        6 => "final",
        _ => "default",
    }
}

fn pool_id(map: &OsdMap, name: &str) -> Result<PoolId, (i32, String)> {
    map.pool_id(name).ok_or_else(|| (ENOENT, format!("pool {name} does not exist")))
}

fn said(words: String, shown: Shown) -> Answer {
    Ok(Shown::Said(0, words, Box::new(shown)))
}

/// The outermost element in XML of an answer that has a plain form, too.
fn root_of(prefix: &str) -> &'static str {
    match prefix {
        "osd df" => "df",
        "osd pool stats" => "pool_stats",
        "device ls" => "devices",
        _ => "pg_info",
    }
}

fn end_on_a_line_of_its_own(text: &str, format: Format) -> String {
    let end = match format {
        Format::Json => text.rfind('}'),
        Format::JsonPretty => text.rfind("\n}"),
        Format::Xml | Format::XmlPretty => text.rfind("</"),
    };
    let (inner, end) = text.split_at(end.unwrap_or(text.len()));
    format!("{inner}\n{end}")
}

/// As Ceph's Python modules answer, whatever the format asked for.
fn of_module(tree: &Dump) -> Shown {
    Shown::Text(tree.render(Format::JsonPretty, ""))
}

/// What goes to the output.
fn render(shown: Shown, format: Option<Format>) -> String {
    match shown {
        Shown::Text(text) => text,
        Shown::Tree(tree, root) => {
            let format = format.unwrap_or(Format::JsonPretty);
            let text = tree.render(format, root);
            match root {
                "df" if format != Format::JsonPretty => text + "\n",
                _ => text,
            }
        }
        Shown::Lined(tree) => {
            let format = format.unwrap_or(Format::JsonPretty);
            end_on_a_line_of_its_own(&tree.render(format, "pg_info"), format)
        }
        Shown::Said(_, _, shown) => render(*shown, format),
        Shown::Monitor(_, text) => text,
    }
}

/// `3` or `osd.3`.
fn number(text: &str) -> Option<OsdId> {
    text.strip_prefix("osd.").unwrap_or(text).parse().ok().filter(|id| *id >= 0)
}

/// An OSD that is up: others have no PGs to show.
fn up_osd(map: &OsdMap, text: &str) -> Result<OsdId, (i32, String)> {
    let id = number(text).ok_or_else(|| (EINVAL, format!("'{text}' is no OSD: write 3 or osd.3")))?;
    if map.is_up(id) { Ok(id) } else { Err((EAGAIN, format!("osd {id} is not up"))) }
}

/// A list of OSDs, in the map or not; `all` and `any` mean all of the map.
fn osd_ids(map: &OsdMap, args: &Args) -> Result<BTreeSet<OsdId>, (i32, String)> {
    let words = args.list("ids");
    let words: Vec<&str> = words.iter().flat_map(|w| w.split([',', ' '])).filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        return Err((EINVAL, "must specify one or more OSDs".to_owned()));
    }
    if matches!(words[0], "all" | "any" | "*") {
        return Ok(map.osds().collect());
    }
    let none = |w: &str| (EINVAL, format!("Expected option value to be integer, got '{w}'invalid osd id '{w}'"));
    words.into_iter().map(|w| number(w).ok_or_else(|| none(w))).collect()
}

/// The OSDs right under the buckets of this name, which may hold `*` at its end.
fn below_bucket(map: &OsdMap, name: &str) -> Result<BTreeSet<OsdId>, (i32, String)> {
    let crush = &map.crush;
    let fits = |bucket: &str| name.strip_suffix('*').map_or(bucket == name, |start| bucket.starts_with(start));
    let ids: Vec<i32> = crush.type_names.keys().filter(|id| **id > 0).flat_map(|id| crush.all_of_type(*id)).collect();
    let found: Vec<i32> = ids.into_iter().filter(|id| crush.item_name(*id).is_some_and(fits)).collect();
    if found.is_empty() {
        return Err((ENOENT, format!("Bucket '{name}' not found")));
    }
    Ok(found.into_iter().flat_map(|id| crush.devices_below(id)).collect())
}
