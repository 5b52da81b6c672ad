//! Monitors that are down: how many more may be lost.

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    if f.quorum.is_empty() && f.unanswered.contains_key("status") {
        found.push(silent(f));
        return;
    }
    let down: Vec<String> = f.mons.iter().filter(|m| !f.quorum.contains(m)).cloned().collect();
    if down.is_empty() || f.quorum.is_empty() {
        return;
    }
    let (all, have) = (f.mons.len(), f.quorum.len());
    let spare = have - (all / 2 + 1).min(have);
    let names = words::list(&down.iter().map(|m| format!("mon.{m}")).collect::<Vec<_>>());
    let then = match spare {
        0 => "if one more is lost, nothing in the cluster can be changed".to_owned(),
        n => format!("{} may still be lost", words::count(n as u64, "more")),
    };
    let evidence = down
        .iter()
        .filter_map(|m| Some((m, *f.processes.get(&format!("mon.{m}"))?)))
        .map(|(m, runs)| format!("the process of mon.{m} {}", if runs { "runs here" } else { "does not run" }));
    let advice = down.iter().map(|m| Advice {
        command: Command::start_mon(f, m),
        does: format!("starts mon.{m}; it catches up from the others within seconds"),
        risk: String::new(),
        safe: Safety::Yes("a monitor that comes back only adds a vote".to_owned()),
    });
    found.push(Finding {
        cause: "monitor-down",
        severity: Severity::Weak,
        sentence: format!("{names} {} not in the quorum: {have} of {all} monitors are; {then}.", words::is(down.len())),
        evidence: evidence.collect(),
        data: "not touched".to_owned(),
        io: "goes on".to_owned(),
        waiting: Waiting::no("does not help if the process does not run"),
        advice: advice.collect(),
        pgs: Vec::new(),
        osds: Vec::new(),
        pools: Vec::new(),
        health: codes(&["MON_DOWN"]),
    });
}

/// Nobody answers: all that is known is which processes run here.
fn silent(f: &Facts) -> Finding {
    let mons: Vec<(&str, bool)> =
        f.processes.iter().filter_map(|(name, runs)| Some((name.strip_prefix("mon.")?, *runs))).collect();
    let runs = mons.iter().filter(|(_, runs)| *runs).count();
    let dead: Vec<&str> = mons.iter().filter(|(_, runs)| !runs).map(|(name, _)| *name).collect();
    let needed = mons.len() / 2 + 1;
    let sentence = match (mons.len(), runs) {
        (0, _) => "No monitor answers; whether their processes run is not known here.".to_owned(),
        (all, runs) if runs < needed => {
            format!("No monitor answers: {runs} of {all} run, and {needed} are needed for a majority.")
        }
        (all, runs) => format!("No monitor answers, though {runs} of {all} run here: see their logs."),
    };
    let osds = f.processes.iter().filter(|(name, _)| name.starts_with("osd.")).count();
    let osds_run = f.processes.iter().filter(|(name, runs)| name.starts_with("osd.") && **runs).count();
    let advice = dead.iter().map(|name| Advice {
        command: Command { text: format!("spirula start mon.{name}"), ..Command::start_mon(f, name) },
        does: "starts it; with a majority the cluster answers within seconds".to_owned(),
        risk: String::new(),
        safe: Safety::Yes("a monitor that comes back only adds a vote".to_owned()),
    });
    Finding {
        cause: "no-quorum",
        severity: Severity::Blocked,
        sentence,
        evidence: if osds > 0 { vec![format!("{osds_run} of {osds} OSDs' processes run here")] } else { Vec::new() },
        data: "not touched; nothing can be said of PGs without a monitor".to_owned(),
        io: "clients that know the map go on; nobody new can connect, and no failure is handled".to_owned(),
        waiting: Waiting::no("does not help if the processes do not run"),
        advice: advice.collect(),
        pgs: Vec::new(),
        osds: Vec::new(),
        pools: Vec::new(),
        health: codes(&["MON_DOWN"]),
    }
}
