//! Operations that take long, by what they wait for.

use std::collections::{BTreeMap, BTreeSet};

use types::OsdId;

use crate::command::Command;
use crate::facts::{self, Facts, SlowOp};
use crate::finding::{Advice, Finding, Severity, Waiting, codes};
use crate::gather::To;
use crate::safety;
use crate::words;

/// What an operation waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    /// A replica's disk, or the network to it.
    Replica(OsdId),
    /// The OSD's own disk.
    Disk(OsdId),
    /// The OSD's own queue.
    Queue(OsdId),
    /// The PG's state: peering, min_size, a missing object.
    Pg(String),
    Unknown,
}

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let Some(check) = f.checks.get("SLOW_OPS") else { return };
    let mut by_cause: BTreeMap<For, (usize, f64, BTreeSet<OsdId>, String)> = BTreeMap::new();
    for (osd, ops) in &f.slow {
        for op in ops {
            for cause in causes(f, *osd, op) {
                let (count, oldest, at, example) = by_cause.entry(cause).or_default();
                *count += 1;
                at.insert(*osd);
                if op.age > *oldest {
                    *oldest = op.age;
                    example.clone_from(&op.description);
                }
            }
        }
    }
    // Several OSDs that wait for the same one are the best witnesses.
    let mut all: Vec<_> = by_cause.into_iter().collect();
    all.sort_by_key(|(_, (count, ..))| std::cmp::Reverse(*count));
    if all.is_empty() {
        let named: Vec<OsdId> = f.osds_named_by("SLOW_OPS").into_iter().collect();
        all.push((For::Unknown, (0, 0.0, named.into_iter().collect(), String::new())));
    }
    for (cause, (count, oldest, at, example)) in all.into_iter().take(3) {
        let at: Vec<OsdId> = at.into_iter().collect();
        let mut evidence = Vec::new();
        if count > 0 {
            evidence.push(format!(
                "{} at {}, the oldest for {}",
                words::count(count as u64, "operation"),
                words::osds(&at),
                words::span(oldest as u64)
            ));
            evidence.push(short(&example));
        } else {
            evidence.push(check.summary.clone());
        }
        found.push(finding(f, cause, at, evidence));
    }
}

/// `osd_op(client.4123.0:17 1.2 …`: the long rest is for programs.
fn short(description: &str) -> String {
    let words: Vec<&str> = description.split(' ').take(3).collect();
    words.join(" ").chars().take(70).collect()
}

fn causes(f: &Facts, osd: OsdId, op: &SlowOp) -> Vec<For> {
    if let Some(waited) = op.last_event.strip_prefix("waiting for subops from ") {
        let ids = waited.split(',').filter_map(|id| id.split('(').next()?.trim().parse().ok());
        return ids.map(For::Replica).collect();
    }
    let state = |why: &str| {
        let pg = f.pgs.iter().find(|(id, _)| op.description.contains(&format!(" {id}")));
        vec![For::Pg(pg.map_or_else(|| why.to_owned(), |(id, pg)| format!("PG {id} ({})", pg.state_text)))]
    };
    if !op.place.is_empty() {
        let at = facts::osds_in(&op.place).first().copied().unwrap_or(osd);
        return match op.place.split(' ').next() {
            Some("replica") => vec![For::Replica(at)],
            _ if op.place.starts_with("the queue") => vec![For::Queue(at)],
            _ if op.place.starts_with("the disk") => vec![For::Disk(at)],
            _ => state(&op.place),
        };
    }
    match (op.stands.as_str(), op.last_event.as_str()) {
        ("waiting for sub ops", _) => vec![For::Unknown],
        ("queued for pg", _) => vec![For::Queue(osd)],
        ("delayed", why) => state(why),
        ("started" | "reached pg" | "commit sent; apply or cleanup", _) => vec![For::Disk(osd)],
        _ => vec![For::Unknown],
    }
}

fn finding(f: &Facts, cause: For, at: Vec<OsdId>, evidence: Vec<String>) -> Finding {
    let (sentence, culprit) = match &cause {
        For::Replica(osd) => (
            format!(
                "Operations are slow because they wait for the replica on osd.{osd}: its disk, or the network to it."
            ),
            Some(*osd),
        ),
        For::Disk(osd) => (format!("Operations are slow because the disk of osd.{osd} takes long."), Some(*osd)),
        For::Queue(osd) => {
            (format!("Operations are slow because osd.{osd} has more queued than it can do."), Some(*osd))
        }
        For::Pg(pg) => (format!("Operations wait for {pg}; they go on when it does."), None),
        For::Unknown => ("Operations are slow; what they wait for is not known.".to_owned(), None),
    };
    let waiting = match &cause {
        For::Pg(_) => Waiting::no("does not help unless that is mended: see what is said of the PG"),
        For::Queue(_) => Waiting::yes(None, "helps once clients ask for less"),
        _ => Waiting::no("helps only if the disk or network recovers"),
    };
    let mut advice = Vec::new();
    let ask = culprit.or(at.first().copied()).filter(|osd| f.is_up(*osd));
    if let Some(osd) = ask {
        let (prefix, does) = match f.spirula {
            true => ("explain_slow_ops", "says of each slow operation where its time went"),
            false => ("dump_historic_slow_ops", "shows of each slow operation where its time went"),
        };
        advice.push(Advice {
            command: Command::look(
                format!("ceph tell osd.{osd} {prefix}"),
                To::Osd(osd),
                serde_json::json!({"prefix": prefix}),
            ),
            does: does.to_owned(),
            risk: String::new(),
            safe: safety::look(),
        });
    }
    if let Some(osd) = culprit.filter(|osd| f.is_up(*osd) && !matches!(cause, For::Queue(_))) {
        advice.push(Advice {
            command: Command::stop_osd(f, osd),
            does: format!("takes osd.{osd} out of the way at once; its PGs go on with their other copies"),
            risk: "one copy less until it is back".to_owned(),
            safe: safety::stop(f, osd),
        });
        advice.push(Advice {
            command: Command::out(osd),
            does: format!("moves the data of osd.{osd} to others"),
            risk: "copies all that it holds, from and to busy disks".to_owned(),
            safe: safety::out(f, osd),
        });
    }
    let mut osds = at;
    osds.extend(culprit);
    Finding {
        cause: match cause {
            For::Replica(_) => "slow-replica",
            For::Disk(_) => "slow-disk",
            For::Queue(_) => "slow-queue",
            For::Pg(_) => "slow-pg",
            For::Unknown => "slow",
        },
        severity: Severity::Blocked,
        sentence,
        evidence,
        data: "nothing is lost: what is not acknowledged is tried on".to_owned(),
        io: "these operations wait, others go on".to_owned(),
        waiting,
        advice,
        pgs: Vec::new(),
        osds,
        pools: Vec::new(),
        health: codes(&["SLOW_OPS"]),
    }
}
