//! `OSD_FULL`, `OSD_BACKFILLFULL`, `OSD_NEARFULL`: OSDs that have crossed a ratio. For full ones the details say,
//! unlike Ceph's, which pools take no writes and what helps.

use std::collections::BTreeSet;

use mgr::Severity;
use node::Now;
use osdmap::state;
use types::OsdId;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    for (code, bit, severity, word, what) in [
        ("OSD_FULL", state::FULL, Severity::Err, "full", "full"),
        ("OSD_BACKFILLFULL", state::BACKFILLFULL, Severity::Warn, "backfillfull", "backfill full"),
        ("OSD_NEARFULL", state::NEARFULL, Severity::Warn, "nearfull", "near full"),
    ] {
        let osds: Vec<OsdId> = map.osds().filter(|osd| map.state(*osd) & bit != 0).collect();
        if osds.is_empty() {
            continue;
        }
        let mut lines: Vec<String> = osds.iter().map(|osd| format!("osd.{osd} is {what}")).collect();
        if bit == state::FULL {
            lines.extend(help(mon, &osds));
        }
        report(checks, code, severity, format!("{} {word} osd(s)", osds.len()), osds.len() as u64, lines);
    }
}

fn help(mon: &Mon, full: &[OsdId]) -> Vec<String> {
    let map = &mon.state.osdmap;
    let on_full = |(_, stat): &(&types::PgId, &types::PgStat)| stat.acting.iter().any(|osd| full.contains(osd));
    let pools: BTreeSet<_> = mon.mgr.stats.pgs.iter().filter(on_full).map(|(pg, _)| pg.pool).collect();
    let names: Vec<String> = pools.iter().filter_map(|id| Some(format!("'{}'", map.pool_name(*id)?))).collect();
    let mut lines = vec![];
    if !names.is_empty() {
        lines.push(format!("writes to pools {} wait or fail (ENOSPC) until there is space", names.join(", ")));
    }
    lines.push(
        "to free space: `rados -p POOL rm OBJECT --force-full` (a plain `rados rm` waits in the client), remove snapshots \
         or a pool; or add OSDs; or, for the moment, `ceph osd set-full-ratio` a little higher"
            .to_owned(),
    );
    lines
}
