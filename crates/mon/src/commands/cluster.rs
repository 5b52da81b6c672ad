//! Commands about the cluster as a whole.

use std::collections::BTreeMap;
use std::fmt::Write;

use messages::{ClogEntry, ClogLevel};
use types::dump::Dump;
use types::{EntityName, errno};

use super::{Cmd, CmdResult, Handler, Reply, age, fail, osd};
use crate::change::Space;
use crate::core::Mon;
use crate::state::meta;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "status" => status,
        "health" => health,
        "health mute" => health_mute,
        "health unmute" => health_unmute,
        "df" => super::df::df,
        "fsid" => fsid,
        "versions" => versions,
        "features" => features,
        "node ls" => node_ls,
        "time-sync-status" => time_sync_status,
        "log" => log,
        "log last" => log_last,
        "report" => super::report::report,
        "version" => version,
        _ => return None,
    })
}

/// Of the monitor that was asked.
fn version(c: &mut Cmd) -> CmdResult {
    let full = types::version::full();
    Ok(c.dump_or("version", || Dump::obj().with("version", &full), || full.clone()))
}

fn status(c: &mut Cmd) -> CmdResult {
    let now = c.now();
    let mon: &Mon = c.mon;
    Ok(c.dump_or("status", || mon.status_dump(now), || mon.status_text(now)))
}

fn health(c: &mut Cmd) -> CmdResult {
    let detail = c.args.has("detail");
    let now = c.now();
    let mon: &Mon = c.mon;
    Ok(c.dump_or("health", || mon.health_dump(now, detail), || mon.health_text(now, detail)))
}

fn health_mute(c: &mut Cmd) -> CmdResult {
    let code = c.arg("code")?;
    let sticky = c.args.flag("sticky");
    let until = match c.args.text("ttl") {
        None => types::UTime::ZERO,
        Some(ttl) => match parse_ttl(&ttl) {
            Some(secs) => types::UTime { sec: c.now().wall.sec.saturating_add(secs), nsec: 0 },
            None => return fail(errno::EINVAL, format!("not a valid duration: {ttl}")),
        },
    };
    let checks = c.mon.health_checks(c.now());
    let check = checks.get(&code);
    if check.is_none() && !sticky {
        return fail(errno::ENOENT, format!("health alert {code} is not currently raised"));
    }
    let (summary, count) = check.map(|k| (k.summary.clone(), k.count)).unwrap_or_default();
    let mute = crate::health::Mute { sticky, until, summary, count };
    c.mon.pending.put_value(Space::HealthMute, code, &mute);
    Ok(Reply::default())
}

/// `30`, `5m`, `2h`, `1d`, `1w`: seconds.
fn parse_ttl(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at(text.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hr" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor)
}

fn health_unmute(c: &mut Cmd) -> CmdResult {
    let codes: Vec<String> = match c.args.text("code") {
        Some(code) => vec![code],
        None => c.mon.state.space(Space::HealthMute).map(|(k, _)| k.clone()).collect(),
    };
    for code in codes {
        c.mon.pending.rm(Space::HealthMute, code);
    }
    Ok(Reply::default())
}

fn fsid(c: &mut Cmd) -> CmdResult {
    let fsid = c.mon.setup.fsid;
    Ok(c.dump_or("fsid", || Dump::obj().with("fsid", fsid), || format!("{fsid}\n")))
}

impl Mon {
    /// The version strings of all monitors, or managers.
    fn daemon_versions(&self, space: Space) -> Vec<String> {
        let all = self.state.space(space).map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let of = |name: &String| self.state.value::<BTreeMap<String, String>>(space, name);
        all.iter().filter_map(|n| of(n)?.remove("ceph_version")).collect()
    }
}

pub fn mon_versions(mon: &Mon) -> Vec<String> {
    mon.daemon_versions(Space::MonMetadata)
}

pub fn mgr_versions(mon: &Mon) -> Vec<String> {
    mon.daemon_versions(Space::MgrMetadata)
}

fn versions(c: &mut Cmd) -> CmdResult {
    let (mons, mgrs) = (mon_versions(c.mon), mgr_versions(c.mon));
    let osds = osd::osd_field(c.mon, "ceph_version");
    let all = mons.iter().chain(&mgrs).chain(&osds).cloned().collect::<Vec<_>>();
    let d = Dump::obj()
        .with("mon", osd::count(mons.into_iter()))
        .with("mgr", osd::count(mgrs.into_iter()))
        .with("osd", osd::count(osds.into_iter()))
        .with("mds", Dump::obj())
        .with("overall", osd::count(all.into_iter()));
    Ok(c.dump("version", &d))
}

fn features(c: &mut Cmd) -> CmdResult {
    let d = c.mon.quorum_features_dump();
    Ok(c.dump("features", &d))
}

fn node_ls(c: &mut Cmd) -> CmdResult {
    let kind = c.args.text("type").unwrap_or_else(|| "all".to_owned());
    let mon: &Mon = c.mon;
    let host = |space: Space, name: &str| {
        let metadata = mon.state.value::<BTreeMap<String, String>>(space, name).unwrap_or_default();
        metadata.get("hostname").cloned().unwrap_or_default()
    };
    let by_host = |kind: &'static str, items: Vec<(String, Dump)>| {
        let mut hosts: BTreeMap<String, Vec<Dump>> = BTreeMap::new();
        items.into_iter().for_each(|(h, item)| hosts.entry(h).or_default().push(item));
        let mut d = Dump::obj();
        hosts.into_iter().for_each(|(h, items)| d.put(h, Dump::Array(kind.into(), items)));
        d
    };
    let named = |kind: &'static str, space: Space| {
        let names = mon.state.space(space).map(|(n, _)| (host(space, n), Dump::from(n.as_str())));
        by_host(kind, names.collect())
    };
    let map = &mon.state.osdmap;
    let osds = || {
        let osds = map.osds().filter(|o| !mon.osd_metadata(*o).is_empty());
        by_host("osd", osds.map(|o| (host(Space::OsdMetadata, &o.to_string()), Dump::from(o))).collect())
    };
    let d = match kind.as_str() {
        "mon" => named("mon", Space::MonMetadata),
        "osd" => osds(),
        "mgr" => named("mgr", Space::MgrMetadata),
        "mds" => Dump::obj(),
        _ => Dump::obj()
            .with("mon", named("mon", Space::MonMetadata))
            .with("osd", osds())
            .with("mgr", named("mgr", Space::MgrMetadata)),
    };
    Ok(c.dump("nodes", &d))
}

fn time_sync_status(c: &mut Cmd) -> CmdResult {
    let d = c.mon.clocks_dump();
    Ok(c.dump("time_sync", &d))
}

// --- the cluster log

fn log(c: &mut Cmd) -> CmdResult {
    let text = c.args.list("logtext").join(" ");
    let conn = c.conn;
    let mut line = ClogEntry {
        level: ClogLevel::Info,
        msg: text,
        channel: "cluster".to_owned(),
        stamp: c.now().wall,
        ..ClogEntry::default()
    };
    if let Some(session) = conn.and_then(|conn| c.mon.sessions.get(conn)) {
        line.rank = session.peer.name;
        line.addrs = session.peer.addrs.clone();
        let (_, id) = session.peer.entity.split_once('.').unwrap_or(("", ""));
        line.name = messages::AuthName { kind: session.peer.name.kind.into(), id: id.to_owned() };
        line.seq = c.mon.state.value(Space::Meta, meta::LOG_NEXT).unwrap_or(0);
    }
    c.mon.pending.log.push(line);
    Ok(Reply::default())
}

/// As Ceph writes a line: stamp, name (rank), number, channel, level, text.
pub fn log_line(e: &ClogEntry) -> String {
    format!("{} {} ({}) {} : {} {} {}", e.stamp, entity(e), e.rank, e.seq, e.channel, e.level.tag(), e.msg)
}

fn entity(e: &ClogEntry) -> String {
    let kind = EntityName { kind: e.name.kind as u8, num: 0 };
    format!("{}.{}", kind.kind_str(), e.name.id)
}

fn dump_log_line(e: &ClogEntry) -> Dump {
    Dump::obj()
        .with("name", entity(e))
        .with("rank", Dump::text(e.rank))
        .with("addrs", e.addrs.dump())
        .with("stamp", e.stamp)
        .with("seq", e.seq)
        .with("channel", &e.channel)
        .with("priority", e.level.tag())
        .with("message", &e.msg)
}

fn log_last(c: &mut Cmd) -> CmdResult {
    let max = c.args.i64("num").and_then(|n| usize::try_from(n).ok()).unwrap_or(20);
    let least = match c.args.str("level").unwrap_or("info") {
        "debug" => ClogLevel::Debug,
        "sec" => ClogLevel::Sec,
        "warn" => ClogLevel::Warn,
        "error" => ClogLevel::Error,
        _ => ClogLevel::Info,
    };
    let channel = c.args.text("channel").unwrap_or_else(|| "cluster".to_owned());
    let mon: &Mon = c.mon;
    let fits = |e: &ClogEntry| e.level >= least && (channel == "*" || e.channel == channel);
    let mut lines: Vec<ClogEntry> = mon.log_lines().rev().map(|(_, e)| e).filter(|e| fits(e)).take(max).collect();
    lines.reverse();
    Ok(c.dump_or(
        "tail",
        || Dump::arr("entry", lines.iter().map(dump_log_line)),
        || lines.iter().map(|e| log_line(e) + "\n").collect(),
    ))
}

impl Mon {
    fn status_dump(&self, now: node::Now) -> Dump {
        let map = &self.state.osdmap;
        let mgr = self.mgrmap();
        let monmap = self.monmap();
        let quorum = self.quorum();
        Dump::obj()
            .with("fsid", self.setup.fsid)
            .with("health", self.health_dump(now, false))
            .with("election_epoch", quorum.epoch)
            .with("quorum", Dump::arr("rank", self.quorum_ranks()))
            .with("quorum_names", Dump::arr("id", &quorum.names))
            .with("quorum_age", self.quorum_age(now).as_secs())
            .with(
                "monmap",
                Dump::obj()
                    .with("epoch", monmap.epoch)
                    .with("min_mon_release_name", "pacific")
                    .with("num_mons", monmap.ranks.len()),
            )
            .with("osdmap", osd::osdmap_summary(map))
            .with("pgmap", self.pgmap_dump())
            .with(
                "fsmap",
                Dump::obj()
                    .with("epoch", 1u8)
                    .with("by_rank", Dump::arr("mds", Vec::<Dump>::new()))
                    .with("up:standby", 0u8),
            )
            .with(
                "mgrmap",
                Dump::obj()
                    .with("available", mgr.available)
                    .with("num_standbys", mgr.standbys.len())
                    .with("modules", Dump::arr("module", &mgr.modules))
                    .with("services", Dump::obj()),
            )
            .with("servicemap", self.service_map_dump())
            .with("progress_events", Dump::obj())
    }

    fn status_text(&self, now: node::Now) -> String {
        let map = &self.state.osdmap;
        let mgr = self.mgrmap();
        let mut t = format!("  cluster:\n    id:     {}\n    health: ", self.setup.fsid);
        let lines = self.health_summary(now);
        t += &lines.join("\n            ");
        let (mons, quorum) = (self.monmap().ranks.len(), self.quorum().names.join(","));
        let _ =
            write!(t, "\n \n  services:\n    mon: {mons} daemons, quorum {quorum} (age {})", age(self.quorum_age(now)));
        let out = self.out_of_quorum();
        t += &if out.is_empty() { "\n".to_owned() } else { format!(", out of quorum: {}\n", out.join(", ")) };
        if mgr.available {
            let since = now.wall.since(mgr.active_change);
            let _ = write!(t, "    mgr: {}(active, since {})", mgr.active_name, age(since));
            let standbys: Vec<_> = mgr.standbys.values().map(|s| s.name.as_str()).collect();
            t += &if standbys.is_empty() { "\n".to_owned() } else { format!(", standbys: {}\n", standbys.join(", ")) };
        } else {
            t += "    mgr: no daemons active\n";
        }
        let _ = writeln!(t, "    osd: {}", osd::osd_counts(map, now.wall));
        let flags = osd::shown_flags(map);
        if !flags.is_empty() {
            let _ = writeln!(t, "         flags {flags}");
        }
        let _ = write!(t, " \n  data:\n{} \n", self.pgmap_text());
        t
    }
}
