//! Health checks that no cause has explained: told as they are.

use crate::facts::Facts;
use crate::finding::{Finding, Severity, Waiting};

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for (code, check) in &f.checks {
        // OSDs that are down are told of where they keep PGs from serving.
        let named = f.osds_named_by(code);
        let down = code.ends_with("_DOWN") && !named.is_empty();
        let told = |osd: &types::OsdId| found.iter().any(|x| x.osds.contains(osd));
        if found.iter().any(|x| x.health.iter().any(|c| c == code)) || (down && named.iter().all(told)) {
            continue;
        }
        found.push(Finding {
            cause: "health",
            severity: if check.is_error { Severity::Weak } else { Severity::Note },
            sentence: format!(
                "{code}: {}{}.",
                check.summary.trim_end_matches('.'),
                if check.muted { " (muted)" } else { "" }
            ),
            evidence: check.detail.iter().filter(|line| **line != check.summary).take(4).cloned().collect(),
            data: String::new(),
            io: String::new(),
            waiting: Waiting::no(""),
            advice: Vec::new(),
            pgs: check.detail.iter().flat_map(|line| pgs_in(line)).collect(),
            osds: named.into_iter().collect(),
            pools: Vec::new(),
            health: vec![code.clone()],
        });
    }
}

/// `pg 1.7f is …`.
pub(super) fn pgs_in(line: &str) -> Vec<types::PgId> {
    line.split("pg ").skip(1).filter_map(|rest| rest.split([' ', ',']).next()?.parse().ok()).collect()
}
