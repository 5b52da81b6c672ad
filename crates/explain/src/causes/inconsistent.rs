//! Copies that differ: what scrub found, which copy is sound, and what a repair would do.

use std::collections::BTreeSet;

use types::{OsdId, PgId};

use super::pools_of;
use crate::command::Command;
use crate::facts::{BadFamily, BadObject, Facts, PgFacts};
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::safety;
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (id, pg) in f.pgs.iter().filter(|(_, pg)| pg.is("inconsistent")) {
        found.push(finding(f, *id, pg));
    }
}

fn finding(f: &Facts, id: PgId, pg: &PgFacts) -> Finding {
    let objects = f.inconsistent.get(&id).map(Vec::as_slice).unwrap_or_default();
    let families = f.bad_snapsets.get(&id).map(Vec::as_slice).unwrap_or_default();
    let bad: BTreeSet<OsdId> = objects.iter().flat_map(|o| &o.bad).map(|c| c.osd).collect();
    let bad: Vec<OsdId> = bad.into_iter().collect();
    let undecided = objects.iter().filter(|o| o.is_open()).count();
    let repairing = pg.is("repair");
    let what = match objects.len() {
        0 => words::count(pg.scrub_errors, "error"),
        n => words::count(n as u64, "object"),
    };
    let blame = match (&bad[..], undecided) {
        ([], 0) => String::new(),
        ([], _) => ", and nothing shows which copy is sound".to_owned(),
        (bad, 0) => format!(": {} {} bad copies, and of each another copy is sound", words::osds(bad), have(bad)),
        (bad, n) => {
            format!(": {} {} bad copies; of {} nothing shows which is sound", words::osds(bad), have(bad), objects_(n))
        }
    };
    let again = objects.is_empty() && families.is_empty() && !repairing;
    let mut advice = Vec::new();
    if again {
        advice.push(Advice {
            command: Command::scrub("deep-scrub", id),
            does: "compares all copies anew, so that the bad ones are known by name (it asks the disks for all \
                   of the PG's data)"
                .to_owned(),
            risk: String::new(),
            safe: safety::look(),
        });
    }
    if !repairing {
        advice.push(Advice {
            command: Command::scrub("repair", id),
            does: "compares all copies, and writes those anew that are proven bad; begins within seconds".to_owned(),
            risk: String::new(),
            safe: safety::repair(f, id),
        });
    }
    // Ours leaves these alone until a person chooses.
    let is_family = |o: &BadObject| families.iter().any(|s| s.name == o.name);
    let open = objects.iter().filter(|o| f.spirula && o.is_open() && !is_family(o));
    advice.extend(open.take(2).map(|o| choose(id, o)));
    if f.spirula && !repairing {
        advice.extend(families.iter().take(2).map(|s| rebuild(id, s)));
    }
    Finding {
        cause: "inconsistent",
        severity: Severity::Damage,
        sentence: match (objects, families) {
            ([], [_, ..]) => format!(
                "In PG {id} the clones of {} are not what its snapset says, on all copies alike.",
                objects_(families.len())
            ),
            _ => format!("The copies of PG {id} differ: {what}{blame}."),
        },
        evidence: objects.iter().map(one).chain(families.iter().map(snapset)).take(5).collect(),
        data: match (&bad[..], undecided, objects.is_empty()) {
            (_, _, true) if !families.is_empty() => {
                "what is there of the objects is right; of their snapshots something may be lost".to_owned()
            }
            (_, _, true) => "which copies are bad is not known until it is scrubbed again".to_owned(),
            (_, 0, _) => "nothing is lost: each object has a sound copy".to_owned(),
            (_, n, _) => format!("{} may be wrong on any copy", objects_(n)),
        },
        io: match f.spirula {
            true if families.iter().any(|s| s.errors.contains("snapset_corrupted")) => {
                "goes on, but an object whose snapset cannot be read answers with an error".to_owned()
            }
            true => "goes on; a read that meets a bad checksum is answered from another copy".to_owned(),
            false => "goes on; reads of a bad copy on the primary may fail or give wrong data".to_owned(),
        },
        waiting: match (repairing, f.spirula) {
            (true, _) => Waiting::yes(None, "helps: a repair is under way"),
            (_, true) if !families.is_empty() => {
                Waiting::no("does not help unless a repair proves what the snapsets should say")
            }
            (_, true) if undecided > 0 && undecided == objects.len() => {
                Waiting::no("does not help: no scrub can decide it")
            }
            (_, true) => Waiting::yes(
                None,
                "the next routine scrub mends what it can prove, if osd_scrub_auto_repair is on (days; repair is sooner)",
            ),
            _ => Waiting::no("does not help"),
        },
        advice,
        pgs: vec![id],
        osds: bad.iter().copied().chain(pg.acting.iter().copied().filter(|o| !bad.contains(o))).collect(),
        pools: pools_of(&[id]),
        health: codes(&["PG_DAMAGED", "OSD_SCRUB_ERRORS"]),
    }
}

/// A person has a snapset made anew.
fn rebuild(id: PgId, s: &BadFamily) -> Advice {
    Advice {
        command: Command::person(&format!("ceph tell {id} rebuild_snapset {}", s.name)),
        does: "if `pg repair` left it: says which clones there are, and with --yes-i-really-mean-it makes the snapset \
               anew from them"
            .to_owned(),
        risk: "clones that it named and that are on no disk are given up".to_owned(),
        safe: Safety::NotKnown("nothing shows what the snapset should say".to_owned()),
    }
}

/// A person says which copy counts.
fn choose(id: PgId, o: &BadObject) -> Advice {
    let copies: Vec<OsdId> = o.bad.iter().map(|c| c.osd).chain(o.sound.iter().copied()).collect();
    Advice {
        command: Command::person(&format!("ceph tell {id} keep_copy {} OSD", o.name)),
        does: format!(
            "takes the copy of the OSD that you name ({}) as right and overwrites the others; after `ceph pg repair`, \
             the cluster's log tells each copy's size, digest and date",
            words::osds(&copies)
        ),
        risk: "the other copies are gone".to_owned(),
        safe: Safety::NotKnown("nothing shows which copy is right".to_owned()),
    }
}

fn have(osds: &[OsdId]) -> &'static str {
    if osds.len() == 1 { "has" } else { "have" }
}

fn objects_(n: usize) -> String {
    words::count(n as u64, "object")
}

fn snapset(s: &BadFamily) -> String {
    let errors: Vec<&str> = s.errors.iter().map(String::as_str).collect();
    format!("{}: {} (its snapset)", s.name, errors.join(", "))
}

/// An object, and what is wrong with which copy.
fn one(o: &BadObject) -> String {
    let copies = o.bad.iter().map(|c| format!("{} on osd.{}", c.errors.join(" and "), c.osd));
    let mut all: Vec<String> = copies.collect();
    if all.is_empty() {
        all = o.errors.clone();
    }
    format!("{}: {}", o.name, all.join(", "))
}
