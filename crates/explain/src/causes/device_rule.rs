//! Pools whose rule finds no OSD at all, or none of its device class.

use types::PgId;

use super::down_osds_of;
use crate::command::Command;
use crate::facts::{Facts, PgFacts};
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::safety;
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, pool) in &f.pools {
        let Some(rule) = f.crush.rules.get(&pool.rule) else { continue };
        let (Some((root, domain)), Some(devices)) = (&rule.shape, f.crush.devices(pool.rule)) else { continue };
        let class = root.split_once('~').map(|(_, class)| class);
        let places = f.crush.places(pool.rule, &|osd| f.is_in(osd)).unwrap_or(0);
        // Too few of a class, or nothing below the root: starting OSDs does not help.
        let all_places = f.crush.places(pool.rule, &|osd| f.osds.contains_key(&osd)).unwrap_or(0);
        if all_places >= pool.size || (class.is_none() && !devices.is_empty()) {
            continue;
        }
        // Copies that are elsewhere from before make it clean, and remapped.
        let lacks = |pg: &PgFacts| !pg.is_clean() || pg.is("remapped") && pg.up.len() < pool.size;
        let pgs: Vec<PgId> = f.pgs_of(*id).filter(|(_, pg)| lacks(pg)).map(|(id, _)| *id).collect();
        if pgs.is_empty() {
            continue;
        }
        let serving = pgs.iter().all(|id| f.pgs[id].is("active"));
        let kind = class.map_or_else(|| "OSD".to_owned(), |class| format!("OSD of class {class}"));
        let have = match (devices.len(), class) {
            (0, Some(class)) => format!("no OSD has the class {class}"),
            (0, None) => format!("there is no OSD below {root}"),
            (n, _) => {
                let in_places = if domain == "osd" {
                    String::new()
                } else {
                    format!(" in {}", words::count(all_places as u64, domain))
                };
                format!("there {} {}{in_places}", words::is(n), count_of(n, &kind))
            }
        };
        let mut evidence: Vec<String> = Vec::new();
        let others = classes(f);
        if !others.is_empty() {
            evidence.push(format!("classes: {}", words::list(&others)));
        }
        evidence.extend(super::once(f, &pgs));
        evidence.extend(down_osds_of(f, *id).iter().map(|osd| super::whereabouts(f, *osd)));
        found.push(Finding {
            cause: "device-rule",
            severity: if serving { Severity::Weak } else { Severity::Blocked },
            sentence: format!(
                "Pool {} keeps {} copies by rule {}, which takes {root} and spreads over {domain}s: {have}.",
                pool.name, pool.size, rule.name
            ),
            evidence,
            data: match places {
                0 if pgs.iter().all(|id| f.pgs[id].reported_epoch == 0) => {
                    "nothing was ever written there: its PGs were never made".to_owned()
                }
                _ if pgs.iter().all(|id| f.pgs[id].objects == 0) => "nothing is stored there".to_owned(),
                0 => "what was written stays on the OSDs that had it".to_owned(),
                _ => "nothing is lost; there are fewer copies than wanted".to_owned(),
            },
            io: if serving { "goes on".to_owned() } else { "reads and writes to the pool wait".to_owned() },
            waiting: Waiting::no("does not help"),
            advice: advice(f, *id, class),
            osds: Vec::new(),
            pools: vec![*id],
            pgs,
            health: codes(&["PG_AVAILABILITY", "PG_DEGRADED"]),
        });
    }
}

fn count_of(n: usize, kind: &str) -> String {
    if n == 1 { format!("1 {kind}") } else { format!("{n} {}", kind.replacen("OSD", "OSDs", 1)) }
}

/// `hdd (osd.0 and osd.1)`.
fn classes(f: &Facts) -> Vec<String> {
    let mut by_class: std::collections::BTreeMap<&str, Vec<types::OsdId>> = Default::default();
    for osd in f.osds.keys() {
        if let Some(class) = f.crush.class_of(*osd) {
            by_class.entry(class).or_default().push(*osd);
        }
    }
    by_class.into_iter().map(|(class, osds)| format!("{class} ({})", words::osds(&osds))).collect()
}

fn advice(f: &Facts, id: types::PoolId, class: Option<&str>) -> Vec<Advice> {
    let pool = &f.pools[&id];
    let mut all = Vec::new();
    // Another rule that has the places.
    let other = f
        .crush
        .rules
        .iter()
        .find(|(rule, _)| f.crush.places(**rule, &safety::usable(f)).is_some_and(|places| places >= pool.size));
    if let Some((rule, r)) = other {
        all.push(Advice {
            command: Command::pool_set(&pool.name, "crush_rule", &r.name),
            does: format!("puts the pool by rule {} instead, which has the places; its data moves there", r.name),
            risk: "the pool is then on other disks than it was meant to be".to_owned(),
            safe: safety::change_rule(f, id, *rule),
        });
    }
    if let Some(class) = class {
        let text = format!("ceph osd crush rm-device-class ID && ceph osd crush set-device-class {class} ID");
        all.push(Advice {
            command: Command::person(&text),
            does: format!("gives an OSD the class {class}; pools on its old class move away from it"),
            risk: "pools of the old class may lack OSDs then".to_owned(),
            safe: Safety::NotKnown("which OSD, is yours to say".to_owned()),
        });
    }
    all.push(Advice {
        command: Command::add_osd(f),
        does: match class {
            Some(class) => format!("adds an OSD; it counts if its disk gives it the class {class}"),
            None => "adds an OSD".to_owned(),
        },
        risk: "copies data to it".to_owned(),
        safe: Safety::Yes("copies are only added".to_owned()),
    });
    all
}
