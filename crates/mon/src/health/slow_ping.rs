//! `OSD_SLOW_PING_TIME_BACK`, `OSD_SLOW_PING_TIME_FRONT`: heartbeats that take long, on average over 1, 5 or 15
//! minutes.

use std::collections::BTreeSet;

use mgr::Severity;
use node::Now;
use types::{OsdId, network};

use super::{Checks, report};
use crate::core::Mon;

/// Details beyond this many are left out, as in Ceph.
const DETAIL_MAX: usize = 10;

pub fn check(mon: &Mon, now: Now, checks: &mut Checks) {
    let grace = mon.config.u64("osd_heartbeat_grace");
    let Some(limit) = network::threshold_us(&mon.config).filter(|us| *us > 0) else { return };
    for (code, interface) in [("OSD_SLOW_PING_TIME_BACK", "back"), ("OSD_SLOW_PING_TIME_FRONT", "front")] {
        let mut slow: Vec<_> = network::entries(mon.mgr.stats.osds.iter().map(|(osd, s)| (*osd, &s.hb_pingtime)))
            .filter(|e| e.interface == interface && u64::from(e.slowest_us()) > limit)
            // What a peer said long ago says nothing about the network of today.
            .filter(|e| u64::from(now.wall.sec.saturating_sub(e.last_update)) <= grace * 60)
            .collect();
        slow.sort_by_key(|e| std::cmp::Reverse((e.slowest_us(), e.from, e.to)));
        let Some(longest) = slow.first() else { continue };
        let ms = |us: u32| format!("{}.{:03}", us / 1000, us % 1000);
        let summary = format!("Slow OSD heartbeats on {interface} (longest {}ms)", ms(longest.slowest_us()));
        let lines = slow.iter().take(DETAIL_MAX).map(|e| {
            let better = if e.times.pingtime.is_sorted_by(|a, b| a < b) { " possibly improving" } else { "" };
            let (from, to, ms) = (who(mon, e.from), who(mon, e.to), ms(e.slowest_us()));
            format!("Slow OSD heartbeats on {interface} from {from} to {to} {ms} msec{better}")
        });
        let mut lines: Vec<String> = lines.collect();
        if slow.len() > DETAIL_MAX {
            lines.push(
                "Truncated long network list.  Use ceph daemon mgr.# dump_osd_network for more information".to_owned(),
            );
        }
        report(checks, code, Severity::Warn, summary, slow.len() as u64, lines);
    }
}

/// `osd.3 [rack1,row2] (down)`: the buckets above the host, without the root.
fn who(mon: &Mon, osd: OsdId) -> String {
    let map = &mon.state.osdmap;
    let level = mon.config.str("mon_osd_reporter_subtree_level");
    let places = map.crush.full_location(osd).into_iter().filter(|(kind, _)| kind != "root" && kind != level);
    let places: BTreeSet<String> = places.map(|(_, name)| name).collect();
    let places: Vec<String> = places.into_iter().collect();
    format!("osd.{osd} [{}]{}", places.join(","), if map.is_down(osd) { " (down)" } else { "" })
}
