//! OSDs that are down, where no other cause has told of them.

use types::{OsdId, PgId};

use super::{bring_back, marked_out_in, pools_of, whereabouts};
use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Severity, Waiting, codes};
use crate::safety;
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let down: Vec<OsdId> = f.osds.iter().filter(|(_, o)| !o.up).map(|(id, _)| *id).collect();
    if down.is_empty() {
        return;
    }
    let down_ = |osd: &OsdId| down.contains(osd);
    let weak = |id: &PgId| f.pgs[id].is("active") && (f.pgs[id].is("undersized") || f.pgs[id].is("degraded"));
    let told = |id: &PgId| found.iter().any(|x| x.cause != "moving" && x.pgs.contains(id));
    let pgs: Vec<PgId> = f.pgs.keys().copied().filter(|id| weak(id) && !told(id)).collect();
    let named = |osd: &OsdId| found.iter().any(|x| x.osds.contains(osd) && x.cause != "moving");
    if pgs.is_empty() && down.iter().all(named) {
        return;
    }
    let in_: Vec<OsdId> = down.iter().copied().filter(|osd| f.is_in(*osd)).collect();
    let single: Vec<PgId> = pgs.iter().copied().filter(|id| f.pgs[id].acting.len() == 1).collect();
    let meaning = match pgs.len() {
        0 if f.pgs.values().any(|pg| !pg.is_clean()) => "what that means for PGs is told above".to_owned(),
        0 => "every PG has all its copies on others".to_owned(),
        _ => format!("{} {} fewer copies than wanted", words::pgs(&pgs), if pgs.len() == 1 { "has" } else { "have" }),
    };
    let timer = marked_out_in(f, &in_).filter(|_| !in_.is_empty());
    let mut advice = bring_back(f, &down, "it copies only what changed meanwhile");
    advice.extend(in_.iter().take(3).map(|osd| Advice {
        command: Command::out(*osd),
        does: format!("does not wait for osd.{osd}: others take its copies over now"),
        risk: "copies all that it held".to_owned(),
        safe: safety::out(f, *osd),
    }));
    let out: Vec<OsdId> = down.iter().copied().filter(|osd| !f.is_in(*osd)).collect();
    advice.extend(out.iter().take(3).map(|osd| Advice {
        command: Command::purge(*osd),
        does: format!("forgets osd.{osd}, if it is never to come back"),
        risk: "what only its disk has is lost".to_owned(),
        safe: safety::purge(f, *osd),
    }));
    found.push(Finding {
        cause: "osd-down",
        severity: if pgs.is_empty() { Severity::Note } else { Severity::Weak },
        sentence: format!("{} {} down: {meaning}.", words::osds(&down), words::is(down.len())),
        evidence: down.iter().filter(|o| down_(o)).take(6).map(|osd| whereabouts(f, *osd)).collect(),
        data: match (&single[..], pgs.is_empty()) {
            (_, true) => "nothing is lost, and nothing is short of copies".to_owned(),
            ([], _) => "nothing is lost: each object has at least two copies up".to_owned(),
            (single, _) => format!("nothing is lost, but of {} only one copy is up", words::pgs(single)),
        },
        io: "goes on".to_owned(),
        waiting: match timer {
            Some(secs) => Waiting::yes(
                Some(secs),
                format!(
                    "in {} {} marked out, and others take the copies over if they have the place",
                    words::span(secs),
                    if in_.len() == 1 { "it is" } else { "they are" }
                ),
            ),
            None if in_.is_empty() => Waiting::no(match pgs.is_empty() {
                true => "nothing is to be waited for",
                false => "does not bring it back; copies are made elsewhere if there is a place",
            }),
            None => Waiting::no("does not help: nothing marks it out, so its place is kept"),
        },
        advice,
        pools: pools_of(&pgs),
        osds: down,
        pgs,
        health: codes(&["OSD_DOWN", "OSD_HOST_DOWN", "OSD_ROOT_DOWN", "PG_DEGRADED"]),
    });
}
