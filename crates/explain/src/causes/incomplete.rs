//! PGs that are incomplete: no copy that can be reached is whole.

use std::collections::BTreeSet;

use types::OsdId;

use super::{bring_back, pools_of, whereabouts};
use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, pg) in f.pgs.iter().filter(|(_, pg)| pg.is("incomplete") && !pg.is("stale")) {
        let query = f.queries.get(id);
        let absent = |osd: &OsdId| !f.is_up(*osd);
        let mut once: BTreeSet<OsdId> = pg.blocked_by.iter().copied().collect();
        if let Some(q) = query {
            once.extend(q.down_to_probe.iter().chain(q.past.iter().flat_map(|i| &i.acting)));
        }
        let (known, gone): (Vec<OsdId>, Vec<OsdId>) =
            once.into_iter().filter(absent).partition(|osd| f.osds.contains_key(osd));
        let asked = query.map(|q| q.probing.clone()).filter(|p| !p.is_empty()).unwrap_or_else(|| pg.acting.clone());
        let mut evidence = vec![format!("asked: {}", words::osds(&asked))];
        evidence.extend(known.iter().map(|osd| whereabouts(f, *osd)));
        if !gone.is_empty() {
            evidence.push(format!("once held by {}, removed from the cluster", words::osds(&gone)));
        }
        if query.is_some_and(|q| q.history_les_bound) {
            evidence.push("a later copy served for a while and is not among those asked".to_owned());
        }
        let whose = match &known[..] {
            [] => "no OSD that is down is known to have one".to_owned(),
            osds => format!("{} once held it and {} down", words::osds(osds), words::is(osds.len())),
        };
        let mut advice = bring_back(f, &known, "the PG takes its copy if it is whole");
        if known.is_empty() {
            advice.push(Advice {
                command: Command::person("connect a disk that once held this PG, and start its OSD"),
                does: "the PG takes its copy if it is whole".to_owned(),
                risk: String::new(),
                safe: Safety::NotKnown("which disk has a whole copy is not known".to_owned()),
            });
        }
        found.push(Finding {
            cause: "incomplete",
            severity: Severity::Damage,
            sentence: format!("PG {id} is incomplete: none of the copies that are up is whole; {whose}."),
            evidence,
            data: "not readable now; lost only if no disk with a whole copy comes back".to_owned(),
            io: "all reads and writes there wait".to_owned(),
            waiting: Waiting::no("does not help"),
            advice,
            pgs: vec![*id],
            osds: known.iter().copied().chain(pg.acting.iter().copied()).collect(),
            pools: pools_of(&[*id]),
            health: codes(&["PG_AVAILABILITY"]),
        });
    }
}
