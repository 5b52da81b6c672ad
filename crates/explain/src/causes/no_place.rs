//! PGs with fewer copies than their pool wants, because CRUSH has no place for the rest.

use types::{OsdId, PgId};

use super::{down_osds_of, whereabouts};
use crate::command::Command;
use crate::facts::{Facts, PgFacts};
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, pool) in &f.pools {
        let lacks = |pg: &PgFacts| pg.up.len() < pool.size && (pg.is("undersized") || pg.is("remapped"));
        let pgs: Vec<PgId> = f.pgs_of(*id).filter(|(_, pg)| lacks(pg)).map(|(id, _)| *id).collect();
        let (Some(rule), Some(in_places)) =
            (f.crush.rules.get(&pool.rule), f.crush.places(pool.rule, &|osd| f.is_in(osd)))
        else {
            continue;
        };
        // With a down OSD that is still in, its place is kept for it: that is another cause. Too few of a
        // class, or none at all, was told.
        let told =
            found.iter().any(|other| ["device-rule", "all-out"].contains(&other.cause) && other.pools.contains(id));
        if pgs.is_empty() || in_places >= pool.size || in_places == 0 || told {
            continue;
        }
        let Some((root, domain)) = &rule.shape else { continue };
        let out: Vec<OsdId> = f
            .osds
            .iter()
            .filter(|(osd, o)| o.up && o.weight == 0.0 && f.crush.devices(pool.rule).is_some_and(|d| d.contains(osd)))
            .map(|(osd, _)| *osd)
            .collect();
        let down: Vec<OsdId> = down_osds_of(f, *id);
        let mut advice: Vec<Advice> = out
            .iter()
            .map(|osd| Advice {
                command: Command::osd_in(*osd),
                does: format!("lets osd.{osd} take copies again"),
                risk: "copies data to it".to_owned(),
                safe: Safety::Yes("copies are only added".to_owned()),
            })
            .collect();
        advice.extend(super::bring_back(
            f,
            &down,
            "it is marked in again if it was marked out by the monitors, and takes copies",
        ));
        let needs = pool.size - in_places;
        advice.push(Advice {
            command: Command::add_osd(f),
            does: match domain.as_str() {
                "osd" => "adds an OSD; the PGs copy to it by themselves".to_owned(),
                domain => format!("adds an OSD; it helps only on another {domain}"),
            },
            risk: "copies data to it".to_owned(),
            safe: Safety::Yes("copies are only added".to_owned()),
        });
        if in_places >= 2 && out.is_empty() && down.is_empty() {
            advice.push(Advice {
                command: Command::pool_set(&pool.name, "size", &in_places.to_string()),
                does: format!("is content with {in_places} copies: the warning ends, nothing is copied"),
                risk: "the pool stands one failure less than it was meant to".to_owned(),
                safe: fewer(f, *id, in_places),
            });
        }
        found.push(Finding {
            cause: "no-place",
            severity: Severity::Weak,
            sentence: format!(
                "{} of pool {} cannot have {} copies: its rule {} has {} below {root} that {} in; {needs} more needed.",
                words::pgs(&pgs),
                pool.name,
                pool.size,
                rule.name,
                words::count(in_places as u64, if domain == "osd" { "OSD" } else { domain }),
                words::is(in_places)
            ),
            evidence: out
                .iter()
                .map(|osd| format!("osd.{osd} is up, and out"))
                .chain(down.iter().map(|osd| whereabouts(f, *osd)))
                .collect(),
            data: match pgs.iter().all(|id| f.pgs[id].acting.len() >= pool.size) {
                true => "nothing is lost: OSDs that are out still keep and serve their copies".to_owned(),
                false => "nothing is lost; there are fewer copies than wanted".to_owned(),
            },
            io: match pgs.iter().all(|id| f.pgs[id].is("active")) {
                true => "goes on".to_owned(),
                false => format!("waits: {} are needed (min_size)", pool.min_size),
            },
            waiting: Waiting::no("does not help: there is no OSD that could take the missing copies"),
            advice,
            osds: out.into_iter().chain(down).collect(),
            pools: vec![*id],
            pgs,
            health: codes(&["PG_DEGRADED", "OBJECT_MISPLACED"]),
        });
    }
}

/// Fewer copies of a pool: nothing is removed that is not there already.
fn fewer(f: &Facts, id: types::PoolId, size: usize) -> Safety {
    let Some(pool) = f.pools.get(&id) else { return Safety::NotKnown("the pool is not known".to_owned()) };
    if pool.min_size < 2 {
        return Safety::No(
            "the pool may serve with a single copy (min_size 1), and would have one less to spare".to_owned(),
        );
    }
    if f.pgs_of(id).any(|(_, pg)| pg.acting.len() != size) {
        return Safety::No("some PGs have another number of copies now".to_owned());
    }
    Safety::No("a copy less of everything for as long as it stays so".to_owned())
}
