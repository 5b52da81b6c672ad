//! `POOL_NEAR_FULL`, and `POOL_FULL` before a quota is reached: pools that have used much of it
//! (`mon_pool_quota_warn_threshold`, `mon_pool_quota_crit_threshold`, in percent; 0 is never).

use mgr::{Severity, text};
use node::Now;
use types::PgPool;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let percent = |option: &str| mon.config.i64(option).max(0) as f64 / 100.0;
    let (warn, crit) = (percent("mon_pool_quota_warn_threshold"), percent("mon_pool_quota_crit_threshold"));
    let (mut near, mut full) = (vec![], vec![]);
    for (id, pool) in &mon.state.osdmap.pools {
        let Some(sum) = mon.digest.pools.get(id) else { continue };
        let name = mon.state.osdmap.pool_name(*id).unwrap_or_default();
        for (used, max, shown) in quotas(pool, sum) {
            let beyond = |threshold: f64| threshold > 0.0 && used as f64 >= max as f64 * threshold;
            if max == 0 || used >= max {
                // Nothing to say, or `POOL_FULL` by the map's flag.
                continue;
            }
            let line = format!("pool '{name}' has {shown}");
            if beyond(crit) {
                full.push(line);
            } else if beyond(warn) {
                near.push(line);
            }
        }
    }
    if !full.is_empty() && !checks.contains_key("POOL_FULL") {
        report(checks, "POOL_FULL", Severity::Err, format!("{} pools full", full.len()), full.len() as u64, full);
    }
    if !near.is_empty() {
        let summary = format!("{} pools nearfull", near.len());
        report(checks, "POOL_NEAR_FULL", Severity::Warn, summary, near.len() as u64, near);
    }
}

/// Used, allowed, and both in words.
fn quotas(pool: &PgPool, sum: &mgr::PoolSum) -> [(u64, u64, String); 2] {
    let (objects, bytes) = (pool.quota_max_objects, pool.quota_max_bytes);
    [
        (sum.objects, objects, format!("{} objects (max {objects})", sum.objects)),
        (sum.bytes, bytes, format!("{} (max {})", text::bytes(sum.bytes), text::bytes(bytes))),
    ]
}
