//! What PG and store statistics say is wrong.

use std::collections::BTreeMap;

use types::flags::pg_state;
use types::{PgId, PgStat};

use crate::digest::{HealthCheck, Severity};
use crate::stats::PgMap;
use crate::text;

/// Details beyond this many are counted, not listed (Ceph: `mon_health_max_detail`).
const DETAIL_MAX: usize = 50;

/// When a PG was last not in a state; a PG counts as being in it only after a while.
type Since = fn(&PgStat) -> types::UTime;

/// What makes data unavailable: at once, or (Ceph: `mon_pg_stuck_threshold`) when it lasts. `inactive` is the
/// absence of a state.
const AVAILABILITY: &[(u64, &str, Option<Since>)] = &[
    (pg_state::ACTIVE, "inactive", Some(|s| s.last_active)),
    (pg_state::STALE, "stale", Some(|s| s.last_unstale)),
    (pg_state::INCOMPLETE, "incomplete", None),
    (pg_state::DOWN, "down", None),
    (pg_state::PEERING, "peering", Some(|s| s.last_peered)),
];
const DEGRADED: &[(u64, &str)] = &[(pg_state::DEGRADED, "degraded"), (pg_state::UNDERSIZED, "undersized")];
const DAMAGED: &[(u64, &str)] = &[
    (pg_state::INCONSISTENT, "inconsistent"),
    (pg_state::SNAPTRIM_ERROR, "snaptrim_error"),
    (pg_state::FAILED_REPAIR, "failed_repair"),
    (pg_state::RECOVERY_UNFOUND, "recovery_unfound"),
    (pg_state::BACKFILL_UNFOUND, "backfill_unfound"),
];

/// From when on something is worth a warning.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    /// `mon_pg_stuck_threshold`.
    pub stuck_secs: u32,
    /// `mon_osd_snap_trim_queue_warn_on`; never, if zero.
    pub trimq: u32,
    pub scrub: crate::ScrubThresholds,
}

/// The checks that the manager raises. `now_secs` and `stuck_secs`: a PG counts as undersized only once
/// it has been so for a while, as in Ceph.
pub fn checks(pgs: &PgMap, now_secs: u32, stuck_secs: u32) -> BTreeMap<String, HealthCheck> {
    let mut found = BTreeMap::new();
    availability(pgs, now_secs, stuck_secs, &mut found);
    degraded(pgs, now_secs, stuck_secs, &mut found);
    damaged(pgs, &mut found);
    unfound(pgs, &mut found);
    found
}

/// A daemon's slow operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlowOps {
    pub count: u32,
    pub oldest_secs: u32,
    /// Where the time of the oldest goes, in its words.
    pub why: Option<String>,
}

/// `SLOW_OPS`, by daemon (Ceph: `DaemonHealthMetricCollector`). Unlike Ceph's it has details: where the time goes.
pub fn slow_ops(slow: &BTreeMap<String, SlowOps>) -> Option<HealthCheck> {
    let count: u64 = slow.values().map(|s| u64::from(s.count)).sum();
    let oldest = slow.values().map(|s| s.oldest_secs).max()?;
    let names: Vec<&str> = slow.keys().map(String::as_str).collect();
    let who = match names[..] {
        [one] => format!("{one} has slow ops"),
        ref all if all.len() > 10 => format!("daemons [{}]... have slow ops.", all[..10].join(",")),
        ref all => format!("daemons [{}] have slow ops.", all.join(",")),
    };
    Some(HealthCheck {
        severity: Severity::Warn,
        summary: format!("{count} slow ops, oldest one blocked for {oldest} sec, {who}"),
        count: 1,
        detail: slow.iter().filter_map(|(name, s)| Some(slow_line(name, s.count, s.why.as_ref()?))).collect(),
    })
}

fn slow_line(name: &str, count: u32, why: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{name} has {count} slow op{s}; the oldest: {why}")
}

/// `PG_SLOW_SNAP_TRIMMING`: PGs with so many removed snapshots to trim. No threshold: no warning.
pub fn slow_snap_trimming(pgs: &PgMap, threshold: u32) -> Option<HealthCheck> {
    let behind = with_state(pgs, |s| threshold > 0 && s.snaptrimq_len >= threshold);
    let (longest, stat) = behind.iter().max_by_key(|(_, s)| s.snaptrimq_len)?;
    let line = |(id, s): &(&PgId, &PgStat)| format!("snap trim queue for pg {id} at {}", s.snaptrimq_len);
    let mut lines = detail(behind.iter().map(line));
    lines.push(format!("longest queue on pg {longest} at {}", stat.snaptrimq_len));
    let advice =
        "try decreasing \"osd snap trim sleep\" and/or increasing \"osd pg max concurrent snap trims\".".to_owned();
    lines.push(advice);
    Some(HealthCheck {
        severity: Severity::Warn,
        summary: format!("snap trim queue for {} pg(s) >= {threshold} (mon_osd_snap_trim_queue_warn_on)", behind.len()),
        count: behind.len() as u64,
        detail: lines,
    })
}

pub(crate) fn detail(lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = lines.len().saturating_sub(DETAIL_MAX);
    let mut detail: Vec<String> = lines.take(DETAIL_MAX).collect();
    if more > 0 {
        detail.push(format!("{more} more pgs are not shown"));
    }
    detail
}

fn acting(stat: &PgStat) -> String {
    let osds: Vec<String> = stat.acting.iter().map(ToString::to_string).collect();
    format!("[{}]", osds.join(","))
}

fn describe((id, stat): &(&PgId, &PgStat)) -> String {
    let mut line = format!("pg {id} is {}, acting {}", pg_state::to_string(stat.state), acting(stat));
    if !stat.blocked_by.is_empty() {
        let by: Vec<String> = stat.blocked_by.iter().map(|o| format!("osd.{o}")).collect();
        line.push_str(&format!(", blocked by {}", by.join(",")));
    }
    line
}

fn with_state(pgs: &PgMap, wanted: impl Fn(&PgStat) -> bool) -> Vec<(&PgId, &PgStat)> {
    pgs.pgs.iter().filter(|(_, s)| wanted(s)).collect()
}

/// `2 pgs inactive, 1 pg down`.
fn counted(parts: &[(usize, &str)]) -> String {
    let parts = parts.iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> =
        parts.map(|(n, what)| format!("{n} pg{} {what}", if *n == 1 { "" } else { "s" })).collect();
    parts.join(", ")
}

fn availability(pgs: &PgMap, now_secs: u32, stuck_secs: u32, found: &mut BTreeMap<String, HealthCheck>) {
    let lasted = |s: &PgStat, since: Since| {
        let last = since(s);
        // One that never was otherwise counts from its last change.
        now_secs.saturating_sub(if last.is_zero() { s.last_change.sec } else { last.sec })
    };
    let mut parts = vec![];
    let mut lines: BTreeMap<PgId, String> = BTreeMap::new();
    for (bit, name, since) in AVAILABILITY {
        let is_so = |s: &PgStat| (s.state & bit != 0) != (*bit == pg_state::ACTIVE);
        let these = with_state(pgs, |s| is_so(s) && since.is_none_or(|since| lasted(s, since) > stuck_secs));
        parts.push((these.len(), *name));
        for (id, s) in these {
            // What is so at once says more than what has merely lasted.
            let line = match since {
                None => describe(&(id, s)),
                Some(since) => stuck_for(*id, s, name, lasted(s, *since)),
            };
            if since.is_none() || !lines.contains_key(id) {
                lines.insert(*id, line);
            }
        }
    }
    if lines.is_empty() {
        return;
    }
    let check = HealthCheck {
        severity: Severity::Warn,
        summary: format!("Reduced data availability: {}", counted(&parts)),
        count: lines.len() as u64,
        detail: detail(lines.into_values()),
    };
    found.insert("PG_AVAILABILITY".into(), check);
}

fn stuck_for(id: PgId, s: &PgStat, name: &str, secs: u32) -> String {
    let (age, state) = (text::age(secs.into()), pg_state::to_string(s.state));
    format!("pg {id} is stuck {name} for {age}, current state {state}, last acting {}", acting(s))
}

fn degraded(pgs: &PgMap, now_secs: u32, stuck_secs: u32, found: &mut BTreeMap<String, HealthCheck>) {
    let sum = pgs.total().stats.sum;
    let stuck =
        |s: &PgStat, bit: u64| bit == pg_state::DEGRADED || now_secs.saturating_sub(s.last_fullsized.sec) > stuck_secs;
    let mut parts = Vec::new();
    let mut lines: BTreeMap<PgId, String> = BTreeMap::new();
    for (bit, name) in DEGRADED {
        let these = with_state(pgs, |s| s.state & bit != 0 && stuck(s, *bit));
        parts.push((these.len(), *name));
        for (id, s) in these {
            let line = match *bit {
                pg_state::DEGRADED => describe(&(id, s)),
                _ => stuck_for(*id, s, name, now_secs.saturating_sub(s.last_fullsized.sec)),
            };
            lines.insert(*id, line);
        }
    }
    let mut summary = Vec::new();
    if sum.num_objects_degraded > 0 {
        let (part, whole) = (sum.num_objects_degraded.max(0) as u64, sum.num_object_copies.max(0) as u64);
        summary.push(format!("{part}/{whole} objects degraded ({}%)", text::percent(part, whole)));
    }
    let counts = counted(&parts);
    if !counts.is_empty() {
        summary.push(counts);
    }
    if summary.is_empty() {
        return;
    }
    let check = HealthCheck {
        severity: Severity::Warn,
        summary: format!("Degraded data redundancy: {}", summary.join(", ")),
        count: lines.len() as u64,
        detail: detail(lines.into_values()),
    };
    found.insert("PG_DEGRADED".into(), check);
}

fn damaged(pgs: &PgMap, found: &mut BTreeMap<String, HealthCheck>) {
    let parts: Vec<(usize, &str)> =
        DAMAGED.iter().map(|(bit, name)| (with_state(pgs, |s| s.state & bit != 0).len(), *name)).collect();
    let any = DAMAGED.iter().fold(0, |all, (bit, _)| all | bit);
    let these = with_state(pgs, |s| s.state & any != 0);
    if these.is_empty() {
        return;
    }
    let check = HealthCheck {
        severity: Severity::Err,
        summary: format!("Possible data damage: {}", counted(&parts)),
        count: these.len() as u64,
        detail: detail(these.iter().map(describe)),
    };
    found.insert("PG_DAMAGED".into(), check);
}

fn unfound(pgs: &PgMap, found: &mut BTreeMap<String, HealthCheck>) {
    let sum = pgs.total().stats.sum;
    if sum.num_objects_unfound <= 0 {
        return;
    }
    let (part, whole) = (sum.num_objects_unfound as u64, sum.num_objects.max(0) as u64);
    let these = with_state(pgs, |s| s.stats.sum.num_objects_unfound > 0);
    let line = |(id, s): &(&PgId, &PgStat)| format!("pg {id} has {} unfound objects", s.stats.sum.num_objects_unfound);
    let check = HealthCheck {
        severity: Severity::Warn,
        summary: format!("{part}/{whole} objects unfound ({}%)", text::percent(part, whole)),
        count: part,
        detail: detail(these.iter().map(line)),
    };
    found.insert("OBJECT_UNFOUND".into(), check);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(list: &[(&str, (u32, u32))]) -> BTreeMap<String, SlowOps> {
        let one = |(count, oldest_secs): (u32, u32)| SlowOps { count, oldest_secs, why: None };
        list.iter().map(|(name, s)| ((*name).to_owned(), one(*s))).collect()
    }

    fn summary(list: &[(&str, (u32, u32))]) -> Option<String> {
        slow_ops(&slow(list)).map(|c| c.summary)
    }

    #[test]
    fn each_daemon_with_slow_ops_says_where_the_time_goes() {
        let mut all = slow(&[("osd.1", (2, 8)), ("osd.2", (1, 30)), ("osd.3", (1, 30))]);
        all.get_mut("osd.1").expect("it is there").why = Some("x is under way for 8 s".to_owned());
        all.get_mut("osd.2").expect("it is there").why = Some("y is under way for 30 s".to_owned());
        let lines = slow_ops(&all).expect("some are slow").detail;
        assert_eq!(
            lines,
            [
                "osd.1 has 2 slow ops; the oldest: x is under way for 8 s",
                "osd.2 has 1 slow op; the oldest: y is under way for 30 s"
            ]
        );
    }

    #[test]
    fn slow_ops_are_counted_and_their_daemons_named_as_ceph_does() {
        assert_eq!(summary(&[]), None);
        let one = "2 slow ops, oldest one blocked for 8 sec, osd.1 has slow ops";
        assert_eq!(summary(&[("osd.1", (2, 8))]).as_deref(), Some(one));
        let two = "5 slow ops, oldest one blocked for 30 sec, daemons [osd.1,osd.2] have slow ops.";
        assert_eq!(summary(&[("osd.1", (2, 8)), ("osd.2", (3, 30))]).as_deref(), Some(two));
    }
}
