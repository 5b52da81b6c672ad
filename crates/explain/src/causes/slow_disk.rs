//! A disk that takes much longer than the others do.

use types::OsdId;

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::safety;
use crate::words;

/// A write that takes so long, and so many times as long as with the others, is far too long, …
const SLOW: [(f64, f64); 2] = [(500.0, 5.0), (100.0, 20.0)];

fn is_slow(ms: f64, usual: Option<f64>) -> bool {
    // … and where there is no other, only time counts.
    SLOW.iter().any(|(least, times)| ms >= *least && usual.map_or(*least >= 500.0, |usual| usual * times <= ms))
}

/// What a write takes with most of the other disks of its class that had one to keep of late.
fn usual(f: &Facts, id: OsdId) -> Option<f64> {
    let class = f.crush.class_of(id);
    let others = f.osds.iter().filter(|(other, o)| **other != id && o.up && o.commit_ms > 0.0);
    let mut others: Vec<f64> =
        others.filter(|(other, _)| f.crush.class_of(**other) == class).map(|(_, o)| o.commit_ms).collect();
    others.sort_unstable_by(f64::total_cmp);
    others.get(others.len() / 2).copied()
}

/// `812 ms`, `0.4 ms`.
fn ms(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, osd) in f.osds.iter().filter(|(_, o)| o.up) {
        let usual = usual(f, *id);
        // All are slow alike: it is the load, not a disk.
        if is_slow(osd.commit_ms, usual) {
            found.push(finding(f, *id, osd.commit_ms, usual));
        }
    }
}

fn finding(f: &Facts, id: OsdId, took: f64, usual: Option<f64>) -> Finding {
    let others = usual.map_or_else(String::new, |usual| format!(", where others take {}", ms(usual)));
    let led: Vec<_> = f.pgs.iter().filter(|(_, pg)| pg.acting_primary == id).collect();
    Finding {
        cause: "disk-slow",
        severity: Severity::Weak,
        sentence: format!("The disk of osd.{id} is slow: it takes {} to keep a write{others}.", ms(took)),
        evidence: vec![format!("`ceph osd perf`: osd.{id} commits in {}", ms(took))],
        data: "nothing is lost: a write is acknowledged when it is kept".to_owned(),
        io: "each write to a PG with a copy there waits for it".to_owned(),
        waiting: Waiting::no("helps only if the disk recovers: see its kernel log and SMART values"),
        advice: vec![
            Advice {
                command: Command::stop_osd(f, id),
                does: format!("takes osd.{id} out of the way at once; its PGs go on with their other copies"),
                risk: "one copy less until it is back".to_owned(),
                safe: safety::stop(f, id),
            },
            Advice {
                command: Command::out(id),
                does: format!("moves the data of osd.{id} to others, so that its disk can be replaced"),
                risk: "copies all that it holds".to_owned(),
                safe: safety::out(f, id),
            },
            Advice {
                command: Command::never_primary(id),
                does: format!(
                    "reads are then served by other copies ({} led by osd.{id} now); writes still wait for it",
                    words::count(led.len() as u64, "PG")
                ),
                risk: String::new(),
                safe: Safety::Yes("which copies there are stays as it is; only who leads changes".to_owned()),
            },
        ],
        pgs: Vec::new(),
        osds: vec![id],
        pools: Vec::new(),
        health: codes(&["SLOW_OPS"]),
    }
}
