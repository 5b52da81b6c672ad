//! `RECENT_CRASH`: daemons crashed in the last two weeks (`mgr/crash/warn_recent_interval`), and nobody has taken
//! note of it (`ceph crash archive`).

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::commands::crash;
use crate::core::Mon;

/// So many are named (Ceph).
const NAMED_MAX: usize = 30;

pub fn check(mon: &Mon, now: Now, checks: &mut Checks) {
    let recent = crash::recent(mon, now.wall);
    if recent.is_empty() {
        return;
    }
    let n = recent.len();
    let line = |r: &crash::Report| {
        let field = |key: &str, none: &'static str| r.text(key).unwrap_or(none).to_owned();
        let (who, host) = (field("entity_name", "unidentified daemon"), field("utsname_hostname", "(unknown)"));
        format!("{who} crashed on host {host} at {}", field("timestamp", "unknown time"))
    };
    let mut lines: Vec<String> = recent.iter().take(NAMED_MAX).map(line).collect();
    if n > NAMED_MAX {
        lines.push(format!("and {} more", n - NAMED_MAX));
    }
    report(checks, "RECENT_CRASH", Severity::Warn, format!("{n} daemons have recently crashed"), n as u64, lines);
}
