//! `POOL_NO_REDUNDANCY`: pools that keep one copy.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    if !mon.config.bool("mon_warn_on_pool_no_redundancy") {
        return;
    }
    let map = &mon.state.osdmap;
    let single = map.pools.iter().filter(|(_, p)| p.size == 1);
    let lines: Vec<String> = single
        .map(|(id, _)| format!("pool '{}' has no replicas configured", map.pool_name(*id).unwrap_or_default()))
        .collect();
    if !lines.is_empty() {
        let n = lines.len();
        let summary = format!("{n} pool(s) have no replicas configured");
        report(checks, "POOL_NO_REDUNDANCY", Severity::Warn, summary, n as u64, lines);
    }
}
