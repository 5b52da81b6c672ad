//! Objects whose newest version no OSD that is up has.

use std::collections::BTreeSet;

use types::OsdId;

use super::{bring_back, pools_of, whereabouts};
use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, pg) in f.pgs.iter().filter(|(_, pg)| pg.unfound > 0) {
        let query = f.queries.get(id);
        let might = query.map(|q| &q.might_have_unfound[..]).unwrap_or_default();
        let down: BTreeSet<OsdId> = might.iter().filter(|m| !f.is_up(m.osd) && m.osd >= 0).map(|m| m.osd).collect();
        let down: Vec<OsdId> = down.into_iter().collect();
        let pending: Vec<OsdId> =
            might.iter().filter(|m| f.is_up(m.osd) && m.status != "already probed").map(|m| m.osd).collect();
        let objects = words::count(pg.unfound, "object");
        let whose = match (&down[..], &pending[..]) {
            ([], []) => "every OSD that might have it was asked".to_owned(),
            ([], asked) => format!("{} {} still to answer", words::osds(asked), words::is(asked.len())),
            (down, _) => format!("{} might have {}", words::osds(down), if pg.unfound == 1 { "it" } else { "them" }),
        };
        let mut evidence: Vec<String> = down.iter().map(|osd| whereabouts(f, *osd)).collect();
        if let Some(names) = f.unfound.get(id).filter(|names| !names.is_empty()) {
            evidence.push(format!("unfound: {}", words::list(names)));
        }
        let mut advice = bring_back(f, &down, "the PG takes the objects from it by itself");
        if query.is_some() {
            advice.push(give_up(*id, pg.unfound, &down));
        }
        found.push(Finding {
            cause: "unfound",
            severity: Severity::Damage,
            sentence: format!("PG {id} knows of {objects} whose newest version no OSD that is up has; {whose}."),
            evidence,
            data: match down.is_empty() && pending.is_empty() {
                true => format!("the newest version of {objects} is lost unless a disk that was removed comes back"),
                false => "not lost as long as the disks of those OSDs are whole".to_owned(),
            },
            io: "clients of these objects wait; all other objects of the PG are served".to_owned(),
            waiting: match pending.is_empty() {
                true => Waiting::no("does not help"),
                false => Waiting::yes(Some(30), "helps for some seconds: OSDs are still being asked"),
            },
            advice,
            pgs: vec![*id],
            osds: down.iter().copied().chain(pg.acting.iter().copied()).collect(),
            pools: pools_of(&[*id]),
            health: codes(&["OBJECT_UNFOUND", "PG_DAMAGED", "PG_DEGRADED"]),
        });
    }
}

fn give_up(id: types::PgId, unfound: u64, down: &[OsdId]) -> Advice {
    let why = match down {
        [] => "it is the last step: acknowledged writes are given up for good".to_owned(),
        down => format!("{} might have the newest version", words::osds(down)),
    };
    Advice {
        command: Command::mark_unfound_lost(id, "revert"),
        does: format!(
            "gives {} up: each goes back to the version before, or is removed if it had none",
            words::count(unfound, "object")
        ),
        risk: "what was written last to them is lost, though it was acknowledged".to_owned(),
        safe: Safety::No(why),
    }
}
