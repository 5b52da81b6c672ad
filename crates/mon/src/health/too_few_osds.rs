//! `TOO_FEW_OSDS`: fewer OSDs than a pool has replicas by default.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let wanted = mon.config.u64("osd_pool_default_size");
    let have = mon.state.osdmap.num_osds() as u64;
    if !mon.config.bool("mon_warn_on_too_few_osds") || have >= wanted {
        return;
    }
    let summary = format!("OSD count {have} < osd_pool_default_size {wanted}");
    report(checks, "TOO_FEW_OSDS", Severity::Warn, summary, wanted - have, vec![]);
}
