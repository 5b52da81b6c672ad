//! PGs that are down: an OSD that is not up may have acknowledged writes that no other copy has.

use std::collections::BTreeMap;

use types::{OsdId, PgId};

use super::{bring_back, pools_of, whereabouts};
use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let mut groups: BTreeMap<Vec<OsdId>, Vec<PgId>> = BTreeMap::new();
    for (id, pg) in f.pgs.iter().filter(|(_, pg)| pg.is("down") && !pg.is("stale")) {
        let mut blocking = match f.queries.get(id) {
            Some(q) if !q.blocked_by.is_empty() => q.blocked_by.iter().map(|(osd, _)| *osd).collect(),
            _ => pg.blocked_by.clone(),
        };
        blocking.sort_unstable();
        groups.entry(blocking).or_default().push(*id);
    }
    for (blocking, pgs) in groups {
        found.push(finding(f, blocking, pgs));
    }
}

fn finding(f: &Facts, blocking: Vec<OsdId>, pgs: Vec<PgId>) -> Finding {
    let who = words::osds(&blocking);
    let mut evidence: Vec<String> = pgs.iter().filter_map(|id| alone(f, *id)).take(3).collect();
    evidence.extend(blocking.iter().map(|osd| whereabouts(f, *osd)));
    let mut advice = bring_back(f, &blocking, "the PG compares what it has and goes on by itself");
    advice.extend(blocking.iter().take(3).map(|osd| lost(f, *osd, &pgs)));
    let (pgs_text, have) = (words::pgs(&pgs), if blocking.len() == 1 { "has" } else { "have" });
    Finding {
        cause: "down",
        severity: Severity::Blocked,
        sentence: match blocking.is_empty() {
            true => format!(
                "{pgs_text} {} down: a copy that may be newer than those that are up is not.",
                words::is(pgs.len())
            ),
            false => format!(
                "{pgs_text} {} down: {who} may have acknowledged writes that nobody else {have}, and {} down.",
                words::is(pgs.len()),
                words::is(blocking.len())
            )
            .replace("nobody else have", "nobody else has"),
        },
        evidence,
        data: format!(
            "nothing is lost as long as {} whole; what is newest there cannot be seen until then",
            if blocking.len() == 1 { format!("the disk of {who} is") } else { format!("the disks of {who} are") }
        ),
        io: "all reads and writes there wait; they go on by themselves when it is back".to_owned(),
        waiting: Waiting::no("does not help: the PG goes on only when that copy is back"),
        advice,
        osds: blocking,
        pools: pools_of(&pgs),
        pgs,
        health: codes(&["PG_AVAILABILITY"]),
    }
}

/// An interval that only OSDs served that are down now.
fn alone(f: &Facts, id: PgId) -> Option<String> {
    let past = &f.queries.get(&id)?.past;
    let gone = past.iter().rfind(|i| !i.acting.is_empty() && i.acting.iter().all(|osd| !f.is_up(*osd)))?;
    let only = words::osds(&gone.acting);
    Some(format!("in epochs {} to {} PG {id} was served by {only} only", gone.first, gone.last))
}

fn lost(f: &Facts, osd: OsdId, pgs: &[PgId]) -> Advice {
    let objects: u64 = pgs.iter().filter_map(|id| f.pgs.get(id)).map(|pg| pg.objects).sum();
    // A copy that is not whole may report none at all.
    let holding = if objects == 0 { String::new() } else { format!(" ({} in them)", words::count(objects, "object")) };
    Advice {
        command: Command::lost(osd),
        does: format!(
            "gives osd.{osd} up: {} with older copies{holding}",
            if pgs.len() == 1 { "the PG goes on" } else { "these PGs go on" }
        ),
        risk: format!("acknowledged writes that only osd.{osd} has are lost for good"),
        safe: Safety::No(format!("osd.{osd} may be the only one that has them; only if its disk is gone for ever")),
    }
}
