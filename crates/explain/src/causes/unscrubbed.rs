//! PGs that were not scrubbed for too long: what keeps them from it.

use std::collections::BTreeSet;

use types::PgId;

use super::other::pgs_in;
use super::pools_of;
use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::safety;
use crate::words;

const CHECKS: [(&str, &str, &str); 2] =
    [("PG_NOT_SCRUBBED", "noscrub", "scrub"), ("PG_NOT_DEEP_SCRUBBED", "nodeep-scrub", "deep-scrub")];

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (code, flag, verb) in CHECKS {
        let Some(check) = f.checks.get(code) else { continue };
        let pgs: BTreeSet<PgId> = check.detail.iter().flat_map(|line| pgs_in(line)).collect();
        let mut finding = finding(f, pgs.into_iter().collect(), flag, verb);
        finding.evidence.extend(check.detail.iter().take(3).cloned());
        finding.health = codes(&[code]);
        found.push(finding);
    }
}

/// Why, in a few words, and what helps against that.
fn reasons(f: &Facts, pgs: &[PgId], flag: &str) -> (Vec<String>, Vec<Advice>) {
    let (mut why, mut advice) = (Vec::new(), Vec::new());
    let by_default =
        || Safety::Yes("it is how pools are by default; whoever set it may still have a reason".to_owned());
    if f.flags.contains(flag) {
        why.push(format!("the flag {flag} is set"));
        let does = "takes the flag away; routine scrubs run again".to_owned();
        advice.push(Advice { command: Command::unset(flag), does, risk: String::new(), safe: by_default() });
    }
    for pool in pools_of(pgs).iter().filter_map(|pool| f.pools.get(pool)).filter(|p| p.flags.contains(flag)) {
        why.push(format!("the pool {} has the flag {flag}", pool.name));
        advice.push(Advice {
            command: Command::person(&format!("ceph osd pool set {} {flag} 0", pool.name)),
            does: "takes the flag away; routine scrubs of the pool run again".to_owned(),
            risk: String::new(),
            safe: by_default(),
        });
    }
    let unclean = pgs.iter().filter(|id| f.pgs.get(id).is_some_and(|pg| !pg.is_clean())).count();
    if unclean > 0 {
        let is = words::is(unclean);
        let when = if unclean == 1 { "it is" } else { "they are" };
        why.push(format!("{unclean} of them {is} not clean, and {is} scrubbed when {when}"));
    }
    if why.is_empty() {
        why.push(
            "nothing forbids it: the hours, days and load that are set for scrubs (osd_scrub_*), or how many run at \
             once (osd_max_scrubs), leave too little time"
                .to_owned(),
        );
    }
    (why, advice)
}

fn finding(f: &Facts, pgs: Vec<PgId>, flag: &str, verb: &str) -> Finding {
    let (why, mut advice) = reasons(f, &pgs, flag);
    let held_up = !advice.is_empty();
    let clean = pgs.iter().filter(|id| f.pgs.get(id).is_some_and(crate::facts::PgFacts::is_clean));
    advice.extend(clean.take(2).map(|id| Advice {
        command: Command::scrub(verb, *id),
        does: "compares the PG's copies now, whatever flags and hours say; begins within seconds".to_owned(),
        risk: String::new(),
        safe: safety::look(),
    }));
    Finding {
        cause: "unscrubbed",
        severity: Severity::Note,
        sentence: format!("The last {verb} of {} is too long ago: {}.", words::pgs(&pgs), words::list(&why)),
        evidence: Vec::new(),
        data: "not touched; if a copy has rotted meanwhile, nobody knows yet".to_owned(),
        io: "goes on".to_owned(),
        waiting: match held_up {
            true => Waiting::no("does not help while it is forbidden"),
            false => Waiting::yes(None, "helps if scrubs get time; else ask for them"),
        },
        advice,
        pools: pools_of(&pgs),
        pgs,
        osds: Vec::new(),
        health: Vec::new(),
    }
}
