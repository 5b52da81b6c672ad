//! OSDs that are marked down and come back, again and again.

use std::collections::BTreeMap;

use types::OsdId;

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Severity, Waiting};
use crate::gather::To;
use crate::safety;
use crate::words;

/// As far back as `osd_max_markdown_period` looks.
const PERIOD: u64 = 600;
/// So often is more than a restart.
const OFTEN: usize = 3;

/// `osd.3 failed (root=…) (2 reporters…)`, `osd.3 … boot`.
fn subject(message: &str) -> Option<(OsdId, &str)> {
    let rest = message.strip_prefix("osd.")?;
    let (id, what) = rest.split_once(' ')?;
    Some((id.parse().ok()?, what))
}

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    // The log's own clock: statistics may be older than its last line.
    let now = f.log.iter().map(|(at, _)| *at).max().unwrap_or(0).max(f.now);
    let mut ends: BTreeMap<OsdId, (usize, usize, String)> = BTreeMap::new();
    for (_, message) in f.log.iter().filter(|(at, _)| now.saturating_sub(*at) <= PERIOD) {
        let Some((osd, what)) = subject(message) else { continue };
        let of = ends.entry(osd).or_default();
        if what.starts_with("failed (") {
            of.0 += 1;
            of.2 = what.rsplit_once('(').map(|(_, why)| why.trim_end_matches(')').to_owned()).unwrap_or_default();
        } else if what.ends_with("boot") {
            of.1 += 1;
        }
    }
    for (osd, (failed, boots, why)) in
        ends.into_iter().filter(|(_, (failed, boots, _))| *failed >= OFTEN && *boots >= OFTEN - 1)
    {
        let up = f.is_up(osd);
        // Its peers found nobody at its address.
        let died = why.starts_with("connection refused");
        let mut advice = vec![Advice {
            command: Command::look(
                format!("ceph tell osd.{osd} dump_osd_network"),
                To::Osd(osd),
                serde_json::json!({"prefix": "dump_osd_network", "format": "json"}),
            ),
            does: "shows which of its heartbeats are slow: by peer, front or back network".to_owned(),
            risk: String::new(),
            safe: safety::look(),
        }];
        advice.push(Advice {
            command: Command::out(osd),
            does: format!("moves the data of osd.{osd} to others, so that it may be stopped and looked at"),
            risk: "copies all that it holds".to_owned(),
            safe: safety::out(f, osd),
        });
        found.push(Finding {
            cause: "flapping",
            severity: Severity::Weak,
            sentence: match died {
                true => format!(
                    "The process of osd.{osd} ends again and again: in the last {} it died {failed} times and was \
                     started {boots} times.",
                    words::span(PERIOD)
                ),
                false => format!(
                    "osd.{osd} flaps: in the last {} it was marked down {failed} times and came back {boots} times.",
                    words::span(PERIOD)
                ),
            },
            evidence: vec![
                format!("last: {why}"),
                format!("it is {} now, on {}", if up { "up" } else { "down" }, f.host_of(osd)),
            ],
            data: "not touched; each time its PGs peer again and copy what it missed".to_owned(),
            io: "stalls for a few seconds each time, for its PGs".to_owned(),
            waiting: Waiting::no(match died {
                true => "does not help: its log says why it ends",
                false => "does not help: look for its network, its disk, or too little memory",
            }),
            advice,
            pgs: Vec::new(),
            osds: vec![osd],
            pools: Vec::new(),
            health: Vec::new(),
        });
    }
}
