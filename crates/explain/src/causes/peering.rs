//! PGs that are still being agreed on, or of which nobody has told yet.

use types::{OsdId, PgId};

use super::pools_of;
use crate::facts::{Facts, PgFacts};
use crate::finding::{Finding, Severity, Waiting, codes};
use crate::words;

/// Longer than peering takes.
const LONG: u64 = 30;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let told = |id: &PgId, found: &Vec<Finding>| found.iter().any(|x| x.pgs.contains(id));
    let idle = |pg: &PgFacts| !pg.is("active") && !pg.is("stale");
    let left: Vec<PgId> = f.pgs.iter().filter(|(id, pg)| idle(pg) && !told(id, found)).map(|(id, _)| *id).collect();
    let (unknown, peering): (Vec<PgId>, Vec<PgId>) = left.into_iter().partition(|id| f.pgs[id].is_unknown());
    if !unknown.is_empty() {
        found.push(finding(
            unknown.clone(),
            format!("Nobody has reported {} since the manager started.", words::pgs(&unknown)),
            Vec::new(),
            Vec::new(),
            Waiting::yes(Some(LONG), "helps: OSDs report every few seconds"),
        ));
    }
    if peering.is_empty() {
        return;
    }
    let age = peering.iter().map(|id| f.since(f.pgs[id].last_change)).max().unwrap_or(0);
    let mut osds: Vec<OsdId> =
        peering.iter().filter_map(|id| f.queries.get(id)).flat_map(|q| q.probing.clone()).collect();
    osds.sort_unstable();
    osds.dedup();
    let mut evidence: Vec<String> = peering
        .iter()
        .filter_map(|id| Some((id, f.queries.get(id)?.states.first()?)))
        .take(2)
        .map(|(id, state)| format!("PG {id} is in {}", state.trim_start_matches("Started/Primary/")))
        .collect();
    if !osds.is_empty() {
        evidence.push(format!("asks {}", words::osds(&osds)));
    }
    let waiting = match age {
        0..LONG => Waiting::yes(Some(LONG), "helps: it takes seconds"),
        _ => Waiting::no("has not helped so far: one of the OSDs asked does not answer; see their logs"),
    };
    let sentence = format!(
        "{} {} peering for {}: its OSDs agree on what was written last.",
        words::pgs(&peering),
        words::is(peering.len()).replace("is", "has been").replace("are", "have been"),
        words::span(age)
    );
    found.push(finding(peering, sentence, evidence, osds, waiting));
}

fn finding(pgs: Vec<PgId>, sentence: String, evidence: Vec<String>, osds: Vec<OsdId>, waiting: Waiting) -> Finding {
    Finding {
        cause: "peering",
        severity: Severity::Blocked,
        sentence,
        evidence,
        data: "not touched".to_owned(),
        io: "waits there meanwhile".to_owned(),
        waiting,
        advice: Vec::new(),
        osds,
        pools: pools_of(&pgs),
        pgs,
        health: codes(&["PG_AVAILABILITY"]),
    }
}
