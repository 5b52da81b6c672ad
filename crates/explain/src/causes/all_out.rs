//! Pools of which every OSD that their rule takes is out: CRUSH finds no place, and nobody serves.

use types::{OsdId, PgId};

use super::{bring_back, whereabouts};
use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, pool) in &f.pools {
        let told = found.iter().any(|other| other.cause == "device-rule" && other.pools.contains(id));
        let places = f.crush.places(pool.rule, &|osd| f.is_in(osd));
        let pgs: Vec<PgId> = f.pgs_of(*id).filter(|(_, pg)| !pg.is("active")).map(|(id, _)| *id).collect();
        let (Some(rule), Some(devices)) = (f.crush.rules.get(&pool.rule), f.crush.devices(pool.rule)) else { continue };
        if told || places != Some(0) || pgs.is_empty() || devices.is_empty() {
            continue;
        }
        let (up, down): (Vec<OsdId>, Vec<OsdId>) = devices.iter().copied().partition(|osd| f.is_up(*osd));
        let mut advice: Vec<Advice> = up
            .iter()
            .take(6)
            .map(|osd| Advice {
                command: Command::osd_in(*osd),
                does: format!("lets osd.{osd} serve again, with the copies that it still has"),
                risk: "copies data to it".to_owned(),
                safe: Safety::Yes("copies are only added".to_owned()),
            })
            .collect();
        advice.extend(bring_back(f, &down, "it still has to be marked in if a person marked it out"));
        let mut evidence = super::once(f, &pgs);
        evidence.extend(down.iter().map(|osd| whereabouts(f, *osd)));
        found.push(Finding {
            cause: "all-out",
            severity: Severity::Blocked,
            sentence: format!(
                "No OSD that rule {} of pool {} takes is in: {} {} out.",
                rule.name,
                pool.name,
                words::osds(&devices.iter().copied().collect::<Vec<_>>()),
                words::is(devices.len())
            ),
            evidence,
            data: "nothing is lost: OSDs that are out keep their copies".to_owned(),
            io: "reads and writes to the pool wait".to_owned(),
            waiting: Waiting::no("does not help"),
            advice,
            osds: devices.into_iter().collect(),
            pools: vec![*id],
            pgs,
            health: codes(&["PG_AVAILABILITY"]),
        });
    }
}
