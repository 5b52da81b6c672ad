//! Flags that a person set on the whole cluster.

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

/// The flag as the map has it, as it is unset, and what it does.
const FLAGS: &[(&str, &str, &str)] = &[
    ("pauserd", "pause", "all reads wait"),
    ("pausewr", "pause", "all writes wait"),
    ("noup", "noup", "no OSD that starts is taken in"),
    ("nodown", "nodown", "an OSD that died is still counted as up, and I/O to it hangs"),
    ("noin", "noin", "new OSDs get no data"),
    ("noout", "noout", "an OSD that stays down keeps its place: no copies are made elsewhere"),
    ("nobackfill", "nobackfill", "nothing is backfilled"),
    ("norecover", "norecover", "nothing is recovered"),
    ("norebalance", "norebalance", "misplaced objects stay where they are"),
    ("noscrub", "noscrub", "routine scrubs do not run"),
    ("nodeep-scrub", "nodeep-scrub", "routine deep scrubs do not run"),
    ("nosnaptrim", "nosnaptrim", "removed snapshots keep their space"),
];

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let set: Vec<_> = FLAGS.iter().filter(|(flag, ..)| f.flags.contains(*flag)).collect();
    if set.is_empty() {
        return;
    }
    let blocking = f.flags.contains("pauserd") || f.flags.contains("pausewr");
    let names: Vec<String> = set.iter().map(|(flag, ..)| (*flag).to_owned()).collect();
    let mut unset: Vec<&str> = set.iter().map(|(_, name, _)| *name).collect();
    unset.dedup();
    let advice = unset.into_iter().map(|flag| Advice {
        command: Command::unset(flag),
        does: "takes the flag away; the cluster does by itself again what it held up".to_owned(),
        risk: match flag {
            "noout" => {
                "OSDs that have been down for long are marked out, and their copies are made elsewhere".to_owned()
            }
            _ => String::new(),
        },
        safe: Safety::Yes("it is how the cluster runs by default; whoever set it may still have a reason".to_owned()),
    });
    found.push(Finding {
        cause: "flags",
        severity: if blocking { Severity::Blocked } else { Severity::Note },
        sentence: format!("Somebody set the flag{} {}.", if names.len() == 1 { "" } else { "s" }, words::list(&names)),
        evidence: set.iter().map(|(flag, _, what)| format!("{flag}: {what}")).collect(),
        data: "not touched".to_owned(),
        io: if blocking { "waits" } else { "goes on" }.to_owned(),
        waiting: Waiting::no("does not help: a flag stays until it is unset"),
        advice: advice.collect(),
        pgs: Vec::new(),
        osds: Vec::new(),
        pools: Vec::new(),
        health: codes(&["OSDMAP_FLAGS"]),
    });
}
