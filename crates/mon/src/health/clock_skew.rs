//! `MON_CLOCK_SKEW`: monitors whose clocks differ from the leader's by more than `mon_clock_drift_allowed`.

use mgr::Severity;
use node::Now;
use types::dump::general_float;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let (mut names, mut lines) = (Vec::new(), Vec::new());
    for (name, clock, fault) in mon.clocks() {
        let Some(fault) = fault else { continue };
        lines.push(format!("mon.{name} {fault} (latency {}s)", general_float(clock.latency, 6)));
        names.push(format!("mon.{name}"));
    }
    if !names.is_empty() {
        let summary = format!("clock skew detected on {}", names.join(", "));
        report(checks, "MON_CLOCK_SKEW", Severity::Warn, summary, names.len() as u64, lines);
    }
}
