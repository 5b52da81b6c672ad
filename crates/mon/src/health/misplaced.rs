//! `OBJECT_MISPLACED`: objects that are not where they should be; only if `mon_warn_on_misplaced` is set.

use mgr::{Severity, text};
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let sum = mon.mgr.stats.total().stats.sum;
    let (part, whole) = (sum.num_objects_misplaced.max(0) as u64, sum.num_object_copies.max(0) as u64);
    if part > 0 && whole > 0 && mon.config.bool("mon_warn_on_misplaced") {
        let summary = format!("{part}/{whole} objects misplaced ({}%)", text::percent(part, whole));
        report(checks, "OBJECT_MISPLACED", Severity::Warn, summary, part, vec![]);
    }
}
