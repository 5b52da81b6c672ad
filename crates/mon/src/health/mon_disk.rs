//! `MON_DISK_LOW`, `MON_DISK_CRIT`: the disk that the leading monitor's store is on runs full.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let Some(percent) = mon.health.disk_avail_percent else { return };
    let at_most = |option: &str| i64::from(percent) <= mon.config.i64(option);
    let (code, severity, word) = if at_most("mon_data_avail_crit") {
        ("MON_DISK_CRIT", Severity::Err, "very low")
    } else if at_most("mon_data_avail_warn") {
        ("MON_DISK_LOW", Severity::Warn, "low")
    } else {
        return;
    };
    let summary = format!("mon {} is {word} on available space", mon.name());
    report(checks, code, severity, summary, 1, vec![format!("mon.{} has {percent}% avail", mon.name())]);
}
