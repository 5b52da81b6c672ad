//! What the manager's commands print.

use std::collections::BTreeMap;
use std::fmt::Write;

use node::Now;
use osdmap::OsdMap;
use types::dump::Dump;
use types::flags::pg_state;
use types::stats::PoolStat;
use types::table::Table;
use types::{OsdId, OsdStat, PgId, PgStat, PoolId, StoreStatfs};

use crate::stats::PgMap;
use crate::summary::{Rates, Summary, recovery_rate};
use crate::text;

const OMAP_NOTE: &str = "\n* NOTE: Omap statistics are gathered during deep scrub and may be inaccurate soon afterwards \
depending on utilization. See http://docs.ceph.com/en/latest/dev/placement-group/#omap-statistics for further details.\n";

fn osds(list: &[OsdId]) -> String {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    format!("[{}]", list.join(","))
}

/// The columns of sums that PGs, pools and the total share.
fn sum_cells(stats: &types::ObjectStatCollection, log: i64, ondisk_log: i64) -> Vec<String> {
    let s = &stats.sum;
    [
        s.num_objects,
        s.num_objects_missing_on_primary,
        s.num_objects_degraded,
        s.num_objects_misplaced,
        s.num_objects_unfound,
        s.num_bytes,
        s.num_omap_bytes,
        s.num_omap_keys,
        log,
        ondisk_log,
    ]
    .iter()
    .map(ToString::to_string)
    .collect()
}

fn sum_columns(first: &str) -> Table {
    Table::new()
        .left(first)
        .right("OBJECTS")
        .right("MISSING_ON_PRIMARY")
        .right("DEGRADED")
        .right("MISPLACED")
        .right("UNFOUND")
        .right("BYTES")
        .right("OMAP_BYTES*")
        .right("OMAP_KEYS*")
        .right("LOG")
        .right("DISK_LOG")
}

/// The head of every `pg dump`.
pub fn basic_text(pgs: &PgMap) -> String {
    format!("version {}\nstamp {}\nlast_osdmap_epoch 0\nlast_pg_scan 0\n", pgs.version, pgs.stamp)
}

/// `pg dump pgs` as a table, from the newest pool's last PG down.
pub fn pgs_text(pgs: &PgMap) -> String {
    let mut t = sum_columns("PG_STAT")
        .right("STATE")
        .right("STATE_STAMP")
        .right("VERSION")
        .right("REPORTED")
        .right("UP")
        .right("UP_PRIMARY")
        .right("ACTING")
        .right("ACTING_PRIMARY")
        .right("LAST_SCRUB")
        .right("SCRUB_STAMP")
        .right("LAST_DEEP_SCRUB")
        .right("DEEP_SCRUB_STAMP")
        .right("SNAPTRIMQ_LEN");
    for (id, s) in &pgs.pgs {
        let mut row = vec![id.to_string()];
        row.extend(sum_cells(&s.stats, s.log_size, s.ondisk_log_size));
        row.extend([
            pg_state::to_string(s.state),
            s.last_change.to_string(),
            s.version.to_string(),
            format!("{}:{}", s.reported_epoch, s.reported_seq),
            osds(&s.up),
            s.up_primary.to_string(),
            osds(&s.acting),
            s.acting_primary.to_string(),
            s.last_scrub.to_string(),
            s.last_scrub_stamp.to_string(),
            s.last_deep_scrub.to_string(),
            s.last_deep_scrub_stamp.to_string(),
            s.snaptrimq_len.to_string(),
        ]);
        t.row(row);
    }
    t.render()
}

pub fn pools_text(pools: &BTreeMap<PoolId, PoolStat>, heading: bool) -> String {
    let mut t = sum_columns(if heading { "POOLID" } else { "" });
    if !heading {
        t = (0..10).fold(Table::new().left(""), |t, _| t.far_right(""));
    }
    for (id, p) in pools.iter().rev() {
        let mut row = vec![id.to_string()];
        row.extend(sum_cells(&p.stats, p.log_size, p.ondisk_log_size));
        t.row(row);
    }
    t.render()
}

fn sum_text(total: &PoolStat, heading: bool) -> String {
    let mut t =
        if heading { sum_columns("PG_STAT") } else { (0..10).fold(Table::new().left(""), |t, _| t.far_right("")) };
    let mut row = vec!["sum".to_owned()];
    row.extend(sum_cells(&total.stats, total.log_size, total.ondisk_log_size));
    t.row(row);
    t.render()
}

fn usage_cells(s: &StoreStatfs) -> Vec<String> {
    vec![text::bytes(s.used()), text::bytes(s.available), text::bytes(s.used_raw()), text::bytes(s.total)]
}

fn osd_columns() -> Table {
    Table::new().left("OSD_STAT").right("USED").right("AVAIL").right("USED_RAW").right("TOTAL")
}

pub fn osds_text(pgs: &PgMap) -> String {
    let mut t = osd_columns().right("HB_PEERS").right("PG_SUM").right("PRIMARY_PG_SUM");
    let mut sum = StoreStatfs::default();
    for (osd, stat) in pgs.osds.iter().rev() {
        crate::summary::add_statfs(&mut sum, &stat.statfs);
        let primary = pgs.pgs.values().filter(|s| s.acting_primary == *osd).count();
        let member = pgs.pgs.values().filter(|s| s.acting.contains(osd) || s.up.contains(osd)).count();
        let mut row = vec![osd.to_string()];
        row.extend(usage_cells(&stat.statfs));
        row.extend([osds(&stat.hb_peers), member.to_string(), primary.to_string()]);
        t.row(row);
    }
    let mut row = vec!["sum".to_owned()];
    row.extend(usage_cells(&sum));
    t.row(row);
    t.render()
}

fn osd_sum_text(summary: &Summary) -> String {
    let mut t = osd_columns();
    let mut row = vec!["sum".to_owned()];
    row.extend(usage_cells(&summary.statfs));
    t.row(row);
    t.render()
}

/// `pg dump WHAT` for people.
pub fn pg_dump_text(pgs: &PgMap, map: &OsdMap, what: &str) -> String {
    let summary = Summary::new(pgs, map);
    let head = basic_text(pgs);
    match what {
        "summary" | "sum" => {
            format!("{head}{}{}{OMAP_NOTE}", sum_text(&summary.total, true), osd_sum_text(&summary))
        }
        "pools" => format!("{}{OMAP_NOTE}", pools_text(&summary.pools, true)),
        "osds" => osds_text(pgs),
        "pgs" => format!("{}{OMAP_NOTE}", pgs_text(pgs)),
        "pgs_brief" => brief_text(pgs.pgs.iter()),
        // It has no plain form, in Ceph neither.
        "delta" => String::new(),
        _ => {
            let blank = " ".repeat(40);
            format!(
                "{head}{}{blank}\n{}{blank}\n{}{}{OMAP_NOTE}",
                pgs_text(pgs),
                pools_text(&summary.pools, false),
                sum_text(&summary.total, false),
                osds_text(pgs)
            )
        }
    }
}

fn brief_text<'a>(pgs: impl Iterator<Item = (&'a PgId, &'a PgStat)>) -> String {
    let mut t = Table::new()
        .left("PG_STAT")
        .right("STATE")
        .right("UP")
        .right("UP_PRIMARY")
        .right("ACTING")
        .right("ACTING_PRIMARY");
    for (id, s) in pgs {
        t.row(vec![
            id.to_string(),
            pg_state::to_string(s.state),
            osds(&s.up),
            s.up_primary.to_string(),
            osds(&s.acting),
            s.acting_primary.to_string(),
        ]);
    }
    t.render()
}

fn pg_dump(id: &PgId, s: &PgStat) -> Dump {
    let mut d = Dump::obj().with("pgid", *id);
    d.extend(s.dump());
    d
}

fn brief_dump(id: &PgId, s: &PgStat) -> Dump {
    Dump::obj()
        .with("pgid", *id)
        .with("state", pg_state::to_string(s.state))
        .with("up", Dump::arr("osd", s.up.iter().copied()))
        .with("acting", Dump::arr("osd", s.acting.iter().copied()))
        .with("up_primary", s.up_primary)
        .with("acting_primary", s.acting_primary)
}

pub fn pool_dump(id: PoolId, num_pg: u32, p: &PoolStat) -> Dump {
    let mut d = Dump::obj().with("poolid", id).with("num_pg", num_pg);
    d.extend(p.dump());
    d
}

fn osd_dump(osd: OsdId, s: &OsdStat) -> Dump {
    let mut d = Dump::obj().with("osd", osd);
    d.extend(s.dump());
    d
}

/// The sum over OSDs.
pub fn osd_sum(pgs: &PgMap) -> OsdStat {
    let mut total = OsdStat::default();
    pgs.osds.values().for_each(|s| total += s);
    total
}

/// `pg dump WHAT -f json`.
pub fn pg_dump_tree(pgs: &PgMap, map: &OsdMap, what: &str) -> Dump {
    let pools = pgs.pools(map);
    let pool_stats = || {
        let num = |id: &PoolId| map.pool(*id).map_or(0, |p| p.pg_num);
        Dump::arr("pool_stat", pools.iter().rev().map(|(id, p)| pool_dump(*id, num(id), p)))
    };
    let osd_stats = || Dump::arr("osd_stat", pgs.osds.iter().rev().map(|(osd, s)| osd_dump(*osd, s)));
    let all_pgs = || Dump::arr("pg_stat", pgs.pgs.iter().map(|(id, s)| pg_dump(id, s)));
    let delta = || {
        let mut delta = PoolStat::default();
        let (secs, sum) = pgs.delta(None).unwrap_or_default();
        delta.stats.sum = sum;
        let mut delta = delta.dump();
        delta.put("stamp_delta", format!("{secs:.6}"));
        delta
    };
    let basic = || {
        Dump::obj()
            .with("version", pgs.version)
            .with("stamp", pgs.stamp)
            .with("last_osdmap_epoch", 0u32)
            .with("last_pg_scan", 0u32)
            .with("pg_stats_sum", pgs.total().dump())
            .with("osd_stats_sum", osd_sum(pgs).dump())
            .with("pg_stats_delta", delta())
    };
    let mut d = Dump::obj().with("pg_ready", true);
    match what {
        "pools" => d.put("pool_stats", pool_stats()),
        "osds" => {
            d.put("osd_stats", osd_stats());
            d.put("pool_statfs", Dump::arr("item", pool_statfs(pgs)));
        }
        "pgs" => d.put("pg_stats", all_pgs()),
        "pgs_brief" => d.put("pg_stats", Dump::arr("pg_stat", pgs.pgs.iter().map(|(id, s)| brief_dump(id, s)))),
        "summary" | "sum" => d.put("pg_map", basic()),
        "delta" => d.put("delta", Dump::obj().with("pg_stats_delta", delta())),
        _ => {
            let mut all = basic();
            all.put("pg_stats", all_pgs());
            all.put("pool_stats", pool_stats());
            all.put("osd_stats", osd_stats());
            all.put("pool_statfs", Dump::arr("item", pool_statfs(pgs)));
            d.put("pg_map", all);
        }
    }
    d
}

/// What each OSD holds of each pool.
fn pool_statfs(pgs: &PgMap) -> Vec<Dump> {
    let all = pgs.pool_space.iter();
    all.map(|((pool, osd), space)| {
        let mut d = Dump::obj().with("poolid", *pool).with("osd", *osd);
        d.extend(space.dump());
        d
    })
    .collect()
}

/// `pg ls…`: some PGs.
pub fn ls_tree(chosen: &[(&PgId, &PgStat)]) -> Dump {
    Dump::obj()
        .with("pg_ready", true)
        .with("pg_stats", Dump::arr("pg_stat", chosen.iter().map(|(id, s)| pg_dump(id, s))))
}

pub fn ls_text(now: Now, chosen: &[(&PgId, &PgStat)]) -> String {
    if chosen.is_empty() {
        return String::new();
    }
    let mut t = Table::new()
        .left("PG")
        .right("OBJECTS")
        .right("DEGRADED")
        .right("MISPLACED")
        .right("UNFOUND")
        .right("BYTES")
        .right("OMAP_BYTES*")
        .right("OMAP_KEYS*")
        .right("LOG")
        .right("STATE")
        .right("SINCE")
        .right("VERSION")
        .right("REPORTED")
        .right("UP")
        .right("ACTING")
        .right("SCRUB_STAMP")
        .right("DEEP_SCRUB_STAMP");
    for (id, s) in chosen {
        let sum = &s.stats.sum;
        t.row(vec![
            id.to_string(),
            sum.num_objects.to_string(),
            sum.num_objects_degraded.to_string(),
            sum.num_objects_misplaced.to_string(),
            sum.num_objects_unfound.to_string(),
            sum.num_bytes.to_string(),
            sum.num_omap_bytes.to_string(),
            sum.num_omap_keys.to_string(),
            s.log_size.to_string(),
            pg_state::to_string(s.state),
            text::age(now.wall.sec.saturating_sub(s.last_change.sec).into()),
            s.version.to_string(),
            format!("{}:{}", s.reported_epoch, s.reported_seq),
            format!("{}p{}", osds(&s.up), s.up_primary),
            format!("{}p{}", osds(&s.acting), s.acting_primary),
            s.last_scrub_stamp.to_string(),
            s.last_deep_scrub_stamp.to_string(),
        ]);
    }
    format!("{}{OMAP_NOTE}", t.render())
}

/// The kinds of stuck that `pg dump_stuck` knows, and since when each PG is not so.
pub fn stuck<'a>(pgs: &'a PgMap, kinds: &[String], older_than: u32, now: Now) -> Vec<(&'a PgId, &'a PgStat)> {
    let cut = now.wall.sec.saturating_sub(older_than);
    let is_stuck = |s: &PgStat, kind: &str| match kind {
        "inactive" => s.state & pg_state::ACTIVE == 0 && s.last_active.sec <= cut,
        "unclean" => s.state & pg_state::CLEAN == 0 && s.last_clean.sec <= cut,
        "undersized" => s.state & pg_state::UNDERSIZED != 0 && s.last_fullsized.sec <= cut,
        "degraded" => s.state & pg_state::DEGRADED != 0 && s.last_undegraded.sec <= cut,
        "stale" => s.state & pg_state::STALE != 0 && s.last_unstale.sec <= cut,
        _ => false,
    };
    pgs.pgs.iter().filter(|(_, s)| kinds.iter().any(|k| is_stuck(s, k))).collect()
}

pub fn stuck_tree(chosen: &[(&PgId, &PgStat)]) -> Dump {
    let list = chosen.iter().map(|(id, s)| pg_dump(id, s));
    Dump::obj().with("pg_ready", true).with("stuck_pg_stats", Dump::arr("pg", list))
}

pub fn stuck_text(chosen: &[(&PgId, &PgStat)]) -> String {
    if chosen.is_empty() { String::new() } else { brief_text(chosen.iter().copied()) }
}

/// `osd perf`.
pub fn perf_tree(pgs: &PgMap) -> Dump {
    let infos =
        pgs.osds.iter().rev().map(|(osd, s)| Dump::obj().with("id", *osd).with("perf_stats", s.os_perf_stat.dump()));
    Dump::obj()
        .with("pg_ready", true)
        .with("osdstats", Dump::obj().with("osd_perf_infos", Dump::arr("osd_perf_info", infos)))
}

pub fn perf_text(pgs: &PgMap) -> String {
    let mut t = Table::new().far_right("osd").far_right("commit_latency(ms)").far_right("apply_latency(ms)");
    for (osd, s) in pgs.osds.iter().rev() {
        let ms = |ns: u64| (ns / 1_000_000).to_string();
        t.row(vec![osd.to_string(), ms(s.os_perf_stat.os_commit_latency_ns), ms(s.os_perf_stat.os_apply_latency_ns)]);
    }
    t.render()
}

/// `osd blocked-by`: which OSDs others wait for.
pub fn blocked_by(pgs: &PgMap) -> BTreeMap<OsdId, usize> {
    let mut counts = BTreeMap::new();
    for osd in pgs.pgs.values().flat_map(|s| &s.blocked_by) {
        *counts.entry(*osd).or_default() += 1;
    }
    counts
}

pub fn blocked_tree(pgs: &PgMap) -> Dump {
    let infos = blocked_by(pgs).into_iter().map(|(osd, n)| Dump::obj().with("id", osd).with("num_blocked", n));
    Dump::obj()
        .with("pg_ready", true)
        .with("osd_blocked_by", Dump::obj().with("osd_blocked_by_infos", Dump::arr("osd_blocked_by_info", infos)))
}

pub fn blocked_text(pgs: &PgMap) -> String {
    let mut t = Table::new().far_right("osd").far_right("num_blocked");
    for (osd, n) in blocked_by(pgs) {
        t.row(vec![osd.to_string(), n.to_string()]);
    }
    t.render()
}

/// `osd pool stats`.
pub fn pool_stats_tree(pgs: &PgMap, map: &OsdMap, only: Option<PoolId>) -> Dump {
    let sums = pgs.pools(map);
    let pools = map.pools.keys().filter(|id| only.is_none_or(|o| o == **id)).map(|id| {
        let mut recovery = Dump::obj();
        if let Some(p) = sums.get(id) {
            let s = &p.stats.sum;
            let mut put = |what: &str, n: i64, of: i64| {
                if n > 0 {
                    recovery.put(format!("{what}_objects"), n);
                    recovery.put(format!("{what}_total"), of);
                    recovery.put(format!("{what}_ratio"), n as f64 / of.max(1) as f64);
                }
            };
            put("degraded", s.num_objects_degraded, s.num_object_copies);
            put("misplaced", s.num_objects_misplaced, s.num_object_copies);
            put("unfound", s.num_objects_unfound, s.num_objects);
        }
        let delta = pgs.delta(Some(*id));
        let mut rate = Dump::obj();
        if let Some((secs, d)) = &delta
            && (d.num_objects_recovered > 0 || d.num_bytes_recovered > 0)
        {
            let per_sec = |n: i64| (n.max(0) as f64 / secs) as u64;
            rate.put("recovering_objects_per_sec", per_sec(d.num_objects_recovered));
            rate.put("recovering_bytes_per_sec", per_sec(d.num_bytes_recovered));
            rate.put("recovering_keys_per_sec", per_sec(d.num_keys_recovered));
            rate.put("num_objects_recovered", d.num_objects_recovered);
            rate.put("num_bytes_recovered", d.num_bytes_recovered);
            rate.put("num_keys_recovered", d.num_keys_recovered);
        }
        let mut io = Dump::obj();
        if let Some(r) = Rates::new(delta.as_ref()) {
            if r.read_bytes > 0 {
                io.put("read_bytes_sec", r.read_bytes);
            }
            if r.write_bytes > 0 {
                io.put("write_bytes_sec", r.write_bytes);
            }
            io.put("read_op_per_sec", r.read_ops);
            io.put("write_op_per_sec", r.write_ops);
        }
        Dump::obj()
            .with("pool_name", map.pool_name(*id).unwrap_or_default())
            .with("pool_id", *id)
            .with("recovery", recovery)
            .with("recovery_rate", rate)
            .with("client_io_rate", io)
    });
    Dump::arr("pool", pools)
}

pub fn pool_stats_text(pgs: &PgMap, map: &OsdMap, only: Option<PoolId>) -> String {
    let sums = pgs.pools(map);
    let mut out = String::new();
    if map.pools.is_empty() {
        return "there are no pools!\n".to_owned();
    }
    for id in map.pools.keys().filter(|id| only.is_none_or(|o| o == **id)) {
        let _ = writeln!(out, "pool {} id {id}", map.pool_name(*id).unwrap_or_default());
        let mut lines = Vec::new();
        if let Some(p) = sums.get(id) {
            let s = &p.stats.sum;
            let part = |n: i64, of: i64, what: &str| {
                let share = text::percent(n.max(0) as u64, of.max(0) as u64);
                (n > 0).then(|| format!("  {n}/{of} objects {what} ({share}%)"))
            };
            lines.extend(part(s.num_objects_degraded, s.num_object_copies, "degraded"));
            lines.extend(part(s.num_objects_misplaced, s.num_object_copies, "misplaced"));
            lines.extend(part(s.num_objects_unfound, s.num_objects, "unfound"));
        }
        let delta = pgs.delta(Some(*id));
        lines.extend(recovery_rate(delta.as_ref()).map(|t| format!("  recovery io {t}")));
        lines.extend(Rates::new(delta.as_ref()).map(|r| format!("  client io {}", r.text())));
        if lines.is_empty() {
            lines.push("  nothing is going on".to_owned());
        }
        let _ = writeln!(out, "{}\n", lines.join("\n"));
    }
    out
}
