//! `MON_DOWN`: monitors of the map that are not in the quorum.

use mgr::Severity;
use node::Now;

use super::{Checks, report, s};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let (map, quorum) = (mon.monmap(), mon.quorum());
    let out = mon.out_of_quorum();
    if quorum.names.is_empty() || out.is_empty() {
        return;
    }
    let summary =
        format!("{}/{} mon{} down, quorum {}", out.len(), map.ranks.len(), s(map.ranks.len()), quorum.names.join(","));
    let detail = out.iter().filter_map(|name| {
        let (rank, addrs) = (map.rank_of(name)?, &map.mons.get(name)?.public_addrs);
        Some(format!("mon.{name} (rank {rank}) addr {addrs} is down (out of quorum)"))
    });
    let detail = detail.collect();
    report(checks, "MON_DOWN", Severity::Warn, summary, out.len() as u64, detail);
}
