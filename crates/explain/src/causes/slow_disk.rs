//! A disk that takes much longer than the others do.

use types::OsdId;

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::safety;
use crate::words;

/// A write that takes less is no reason to worry, whatever the others take.
const SLOW_MS: u64 = 500;
/// So many times as long as the others' is much longer.
const TIMES: u64 = 5;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, osd) in f.osds.iter().filter(|(_, o)| o.up && o.commit_ms >= SLOW_MS) {
        let others = f.osds.iter().filter(|(other, o)| *other != id && o.up && o.commit_ms > 0);
        let mut others: Vec<u64> = others.map(|(_, o)| o.commit_ms).collect();
        others.sort_unstable();
        let usual = others.get(others.len() / 2).copied();
        // All are slow alike: it is the load, not a disk.
        if usual.is_some_and(|usual| usual * TIMES > osd.commit_ms) {
            continue;
        }
        found.push(finding(f, *id, osd.commit_ms, usual));
    }
}

fn finding(f: &Facts, id: OsdId, ms: u64, usual: Option<u64>) -> Finding {
    let others = usual.map_or_else(String::new, |usual| format!(", where others take {usual} ms"));
    let led: Vec<_> = f.pgs.iter().filter(|(_, pg)| pg.acting_primary == id).collect();
    Finding {
        cause: "disk-slow",
        severity: Severity::Weak,
        sentence: format!("The disk of osd.{id} is slow: it takes {ms} ms to keep a write{others}."),
        evidence: vec![format!("`ceph osd perf`: osd.{id} commits in {ms} ms")],
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
