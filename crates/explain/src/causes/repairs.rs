//! Disks that gave bad copies, which were mended.

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Severity, Waiting, codes};
use crate::safety;
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let many = f.osds_named_by("OSD_TOO_MANY_REPAIRS");
    for (id, osd) in f.osds.iter().filter(|(_, o)| o.repaired > 0) {
        let bad = many.contains(id);
        let copies = if osd.repaired == 1 { "1 bad copy".to_owned() } else { format!("{} bad copies", osd.repaired) };
        let mut advice = Vec::new();
        if bad {
            advice.push(Advice {
                command: Command::out(*id),
                does: format!(
                    "moves its data to others; when all is clean, osd.{id} can be purged and its disk replaced"
                ),
                risk: "copies all that it holds".to_owned(),
                safe: safety::out(f, *id),
            });
        }
        found.push(Finding {
            cause: "repairs",
            severity: if bad { Severity::Weak } else { Severity::Note },
            sentence: match bad {
                true => format!("The disk of osd.{id} gave {copies}: it should be replaced."),
                false => format!("The disk of osd.{id} gave {copies}; all mended from other copies."),
            },
            evidence: vec![format!("{} since it started", words::count(osd.repaired, "repair"))],
            data: "nothing is lost: each was mended from a sound copy".to_owned(),
            io: "goes on".to_owned(),
            waiting: Waiting::no(if bad {
                "makes it worse: disks that begin to rot go on"
            } else {
                "nothing is to be done; a second time would be a sign"
            }),
            advice,
            pgs: Vec::new(),
            osds: vec![*id],
            pools: Vec::new(),
            health: codes(&["OSD_TOO_MANY_REPAIRS"]),
        });
    }
}
