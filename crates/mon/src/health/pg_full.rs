//! `PG_BACKFILL_FULL`, `PG_RECOVERY_FULL`: PGs that cannot be filled, because OSDs are too full.

use mgr::Severity;
use node::Now;
use types::flags::pg_state;

use super::{Checks, report, s};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    for (code, severity, bit, lead, name) in [
        (
            "PG_BACKFILL_FULL",
            Severity::Warn,
            pg_state::BACKFILL_TOOFULL,
            "Low space hindering backfill (add storage if this doesn't resolve itself)",
            "backfill_toofull",
        ),
        (
            "PG_RECOVERY_FULL",
            Severity::Err,
            pg_state::RECOVERY_TOOFULL,
            "Full OSDs blocking recovery",
            "recovery_toofull",
        ),
    ] {
        let lines = mon.mgr.stats.pgs.iter().filter(|(_, stat)| stat.state & bit != 0).map(|(id, stat)| {
            let acting: Vec<String> = stat.acting.iter().map(ToString::to_string).collect();
            format!("pg {id} is {}, acting [{}]", pg_state::to_string(stat.state), acting.join(","))
        });
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            let n = lines.len();
            report(checks, code, severity, format!("{lead}: {n} pg{} {name}", s(n)), n as u64, lines);
        }
    }
}
