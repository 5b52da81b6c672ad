//! `OSD_NO_DOWN_OUT_INTERVAL`: an OSD that stays down is never marked out, as if `noout` were set.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let never = mon.config.secs("mon_osd_down_out_interval").is_zero();
    if !never || !mon.config.bool("mon_warn_on_osd_down_out_interval_zero") {
        return;
    }
    let summary = format!("mon {} has mon_osd_down_out_interval set to 0", mon.name());
    let line = format!("mon.{} has mon_osd_down_out_interval set to 0", mon.name());
    report(checks, "OSD_NO_DOWN_OUT_INTERVAL", Severity::Warn, summary, 1, vec![line]);
}
