//! PGs of which nobody reports: all OSDs that served them are gone.

use std::collections::{BTreeMap, BTreeSet};

use types::{OsdId, PgId};

use super::{bring_back, down_osds_of, pools_of, whereabouts};
use crate::facts::Facts;
use crate::finding::{Finding, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let mut groups: BTreeMap<Vec<OsdId>, Vec<PgId>> = BTreeMap::new();
    for (id, pg) in f.pgs.iter().filter(|(_, pg)| pg.is("stale")) {
        let mut members: BTreeSet<OsdId> = pg.acting.iter().copied().collect();
        if members.is_empty() {
            // The map has no OSD for it any more: those that may hold it are down.
            members.extend(down_osds_of(f, id.pool));
        }
        groups.entry(members.into_iter().collect()).or_default().push(*id);
    }
    for (members, pgs) in groups {
        let down: Vec<OsdId> = members.iter().copied().filter(|osd| !f.is_up(*osd)).collect();
        let last = pgs.iter().filter_map(|id| f.pgs.get(id)).map(|pg| pg.last_fresh).max().unwrap_or(0);
        let mut evidence = vec![format!("last heard of {} ago", words::span(f.since(last)))];
        evidence.extend(down.iter().map(|osd| whereabouts(f, *osd)));
        let sentence = match down.is_empty() {
            true => format!("Nobody reports {}, though {} are up.", words::pgs(&pgs), words::osds(&members)),
            false => {
                format!(
                    "Nobody serves {}: the copies last in use are on OSDs that are down ({}).",
                    words::pgs(&pgs),
                    words::osds(&down)
                )
            }
        };
        found.push(Finding {
            cause: "stale",
            severity: Severity::Blocked,
            sentence,
            evidence,
            data: "as it was when it was last heard of; not lost as long as one of these disks is whole".to_owned(),
            io: "all reads and writes there wait; they go on by themselves when an OSD is back".to_owned(),
            waiting: match down.is_empty() {
                true => Waiting::yes(Some(60), "helps: they should report within a minute"),
                false => Waiting::no("does not help: nobody else has a copy in use"),
            },
            advice: bring_back(f, &down, "its PGs are served again as soon as min_size copies are up"),
            osds: members,
            pools: pools_of(&pgs),
            pgs,
            health: codes(&["PG_AVAILABILITY"]),
        });
    }
}
