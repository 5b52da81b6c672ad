//! Pools that keep a single copy.

use types::PoolId;

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::safety;
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    let pools: Vec<PoolId> = f.pools.iter().filter(|(_, p)| p.size == 1).map(|(id, _)| *id).collect();
    if pools.is_empty() {
        return;
    }
    let names: Vec<String> = pools.iter().map(|id| f.pool_name(*id)).collect();
    let (objects, bytes) =
        pools.iter().flat_map(|id| f.pgs_of(*id)).fold((0, 0), |(o, b), (_, pg)| (o + pg.objects, b + pg.bytes));
    let mut advice: Vec<Advice> = pools
        .iter()
        .take(4)
        .map(|id| Advice {
            command: Command::pool_set(&f.pool_name(*id), "size", "2"),
            does: "makes a second copy of all that it holds, while it serves (then the same with 3)".to_owned(),
            risk: "copies data".to_owned(),
            safe: safety::grow(f, *id, 2),
        })
        .collect();
    if pools.iter().any(|id| safety::places_without(f, *id, &[]).is_some_and(|n| n < 2)) {
        advice.insert(
            0,
            Advice {
                command: Command::add_osd(f),
                does: "adds an OSD: there is no place for a second copy now".to_owned(),
                risk: String::new(),
                safe: Safety::Yes("copies are only added".to_owned()),
            },
        );
    }
    found.push(Finding {
        cause: "no-redundancy",
        severity: Severity::Note,
        sentence: format!(
            "Pool{} {} keep{} one copy of everything: a disk that is lost takes its data along.",
            if names.len() == 1 { "" } else { "s" },
            words::list(&names),
            if names.len() == 1 { "s" } else { "" }
        ),
        evidence: vec![format!("{}, {}", words::count(objects, "object"), words::bytes(bytes))],
        data: "nothing is lost yet".to_owned(),
        io: "goes on; while an OSD is down, its share of the pool is not served".to_owned(),
        waiting: Waiting::no("does not help"),
        advice,
        pgs: Vec::new(),
        osds: Vec::new(),
        pools,
        health: codes(&["POOL_NO_REDUNDANCY"]),
    });
}
