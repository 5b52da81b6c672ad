//! `OSD_OUT_OF_ORDER_FULL`: the ratios from nearly full to failsafe do not rise.

use mgr::Severity;
use node::Now;
use types::dump::general_float;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let failsafe = mon.config.f64("osd_failsafe_full_ratio");
    let failsafe = if failsafe > 1.0 { failsafe / 100.0 } else { failsafe } as f32;
    let ratios = [
        ("nearfull_ratio", map.nearfull_ratio),
        ("backfillfull_ratio", map.backfillfull_ratio),
        ("full_ratio", map.full_ratio),
        ("osd_failsafe_full_ratio", failsafe),
    ];
    let shown = |ratio: f32| general_float(ratio.to_string().parse().unwrap_or_default(), 6);
    let (mut least, mut lines) = (ratios[0], vec![]);
    for (name, ratio) in &ratios[1..] {
        if *ratio < least.1 {
            lines.push(format!("{name} ({}) < {} ({}), increased", shown(*ratio), least.0, shown(least.1)));
            least = (name, least.1);
        } else {
            least = (name, *ratio);
        }
    }
    if !lines.is_empty() {
        report(checks, "OSD_OUT_OF_ORDER_FULL", Severity::Err, "full ratio(s) out of order".into(), 0, lines);
    }
}
