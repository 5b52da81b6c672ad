//! `OSD_ORPHAN`: OSDs that the CRUSH map places and the OSD map does not know: data may be mapped to nobody.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let placed = (0..map.crush.max_devices()).filter(|osd| map.crush.parent(*osd).is_some());
    let lines: Vec<String> = placed
        .filter(|osd| !map.exists(*osd))
        .map(|osd| format!("osd.{osd} exists in crush map but not in osdmap"))
        .collect();
    if !lines.is_empty() {
        let n = lines.len();
        let summary = format!("{n} osds exist in the crush map but not in the osdmap");
        report(checks, "OSD_ORPHAN", Severity::Warn, summary, n as u64, lines);
    }
}
