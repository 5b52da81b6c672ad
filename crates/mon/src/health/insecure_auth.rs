//! `AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED`: clients may keep their id without proving that it is theirs.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    let allowed = mon.config.bool("auth_allow_insecure_global_id_reclaim");
    if !allowed || !mon.config.bool("mon_warn_on_insecure_global_id_reclaim_allowed") {
        return;
    }
    let summary = "mon is allowing insecure global_id reclaim".to_owned();
    let line = format!("mon.{} has auth_allow_insecure_global_id_reclaim set to true", mon.name());
    report(checks, "AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED", Severity::Warn, summary, 1, vec![line]);
}
