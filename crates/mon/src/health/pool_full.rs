//! `POOL_FULL`: pools that take no more writes; `POOL_NEAR_FULL` and its kin.

use mgr::Severity;
use node::Now;
use types::pool::flag;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    for (code, bit, word) in [
        ("POOL_FULL", flag::FULL, "full"),
        ("POOL_BACKFILLFULL", flag::BACKFILLFULL, "backfillfull"),
        ("POOL_NEARFULL", flag::NEARFULL, "nearfull"),
    ] {
        let pools = map.pools.iter().filter(|(_, p)| p.has_flag(bit));
        let lines: Vec<String> = pools
            .map(|(id, p)| {
                let name = map.pool_name(*id).unwrap_or_default();
                let why = if p.has_flag(flag::FULL_QUOTA) { "full (running out of quota)" } else { "full (no space)" };
                format!("pool '{name}' is {}", if bit == flag::FULL { why } else { word })
            })
            .collect();
        if !lines.is_empty() {
            report(checks, code, Severity::Warn, format!("{} pool(s) {word}", lines.len()), lines.len() as u64, lines);
        }
    }
}
