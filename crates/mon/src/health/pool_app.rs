//! `POOL_APP_NOT_ENABLED`: pools with objects of which nobody said what they are for.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    if !mon.config.bool("mon_warn_on_pool_no_app") {
        return;
    }
    let map = &mon.state.osdmap;
    let used = |id: &i64| mon.digest.pools.get(id).is_some_and(|sum| sum.objects > 0);
    let nameless = map.pools.iter().filter(|(id, p)| p.application_metadata.is_empty() && used(id));
    let mut lines: Vec<String> = nameless
        .map(|(id, _)| format!("application not enabled on pool '{}'", map.pool_name(*id).unwrap_or_default()))
        .collect();
    if lines.is_empty() {
        return;
    }
    let n = lines.len();
    lines.push(
        "use 'ceph osd pool application enable <pool-name> <app-name>', where <app-name> is 'cephfs', 'rbd', 'rgw', \
         or freeform for custom applications."
            .to_owned(),
    );
    let summary = format!("{n} pool(s) do not have an application enabled");
    report(checks, "POOL_APP_NOT_ENABLED", Severity::Warn, summary, n as u64, lines);
}
