//! `MGR_DOWN`: no manager serves.

use mgr::Severity;
use node::Now;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    if !mon.mgrmap().available && mon.leading_since.is_some() {
        report(checks, "MGR_DOWN", Severity::Warn, "no active mgr".to_owned(), 0, vec![]);
    }
}
