//! `OSD_DOWN`, and `OSD_HOST_DOWN` and its kin where all of a place is down.

use std::collections::BTreeSet;

use mgr::Severity;
use node::Now;
use osdmap::state;
use types::OsdId;

use super::{Checks, report, s};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    down(mon, checks);
}

fn down(mon: &Mon, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    // An OSD that is out is not missed; one that never booted is not down but new.
    let counts = |osd: &OsdId| map.is_in(*osd) && map.is_down(*osd) && map.state(*osd) & state::NEW == 0;
    let down: BTreeSet<OsdId> = map.osds().filter(counts).collect();
    if down.is_empty() {
        return;
    }
    let mut at_type = |kind: &str, type_id: i32| {
        let places = map.crush.all_of_type(type_id).into_iter().filter(|place| {
            let below = map.crush.devices_below(*place);
            let inside: Vec<OsdId> = below.into_iter().filter(|osd| map.exists(*osd)).collect();
            !inside.is_empty() && inside.iter().all(|osd| down.contains(osd))
        });
        let lines: Vec<String> = places
            .map(|id| {
                let name = map.crush.item_name(id).unwrap_or_default();
                let osds = map.crush.devices_below(id).len();
                let place = place(mon, id);
                // What is at the top is nowhere.
                let at = if place.is_empty() { place } else { format!(" ({place})") };
                format!("{kind} {name}{at} ({osds} osds) is down")
            })
            .collect();
        if !lines.is_empty() {
            let n = lines.len();
            let osds = down.len();
            let code = format!("OSD_{}_DOWN", kind.to_uppercase());
            let summary = format!("{n} {kind}{} ({osds} osds) down", s(n));
            report(checks, &code, Severity::Warn, summary, n as u64, lines);
        }
    };
    for (type_id, kind) in map.crush.type_names.iter().filter(|(id, _)| **id > 0) {
        at_type(kind, *type_id);
    }
    let lines: Vec<String> = down.iter().map(|osd| format!("osd.{osd} ({}) is down", place(mon, *osd))).collect();
    let summary = format!("{} osds down", down.len());
    report(checks, "OSD_DOWN", Severity::Warn, summary, down.len() as u64, lines);
}

/// `root=default,host=vm`.
fn place(mon: &Mon, id: i32) -> String {
    let mut parts = mon.state.osdmap.crush.full_location_ordered(id);
    parts.reverse();
    parts.into_iter().map(|(kind, name)| format!("{kind}={name}")).collect::<Vec<_>>().join(",")
}
