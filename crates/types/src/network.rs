//! Ping times between OSDs, as `dump_osd_network` shows them and the health check judges them.

use std::collections::BTreeMap;

use crate::dump::Dump;
use crate::ids::OsdId;
use crate::options::Config;
use crate::osd_stat::{HbPing, PingTimes};

/// What one OSD measured to another over one network.
#[derive(Debug, Clone)]
pub struct Entry {
    pub from: OsdId,
    pub to: OsdId,
    /// `back` or `front`.
    pub interface: &'static str,
    pub times: PingTimes,
    /// Seconds since 1970.
    pub last_update: u32,
}

impl Entry {
    /// The worst of the averages.
    pub fn slowest_us(&self) -> u32 {
        self.times.pingtime.into_iter().max().unwrap_or(0)
    }

    fn dump(&self, now_secs: u32, stale_secs: u64) -> Dump {
        let mut d = Dump::obj()
            .with("last update", crate::dumps::ctime(self.last_update))
            .with("stale", u64::from(now_secs.saturating_sub(self.last_update)) > stale_secs)
            .with("from osd", self.from)
            .with("to osd", self.to)
            .with("interface", self.interface);
        d.extend(self.times.dump_times());
        d
    }
}

/// From when on a ping is slow, in microseconds; `None` if never.
pub fn threshold_us(cfg: &Config) -> Option<u64> {
    let us = match cfg.f64("mon_warn_on_slow_ping_time") * 1_000.0 {
        0.0 => cfg.u64("osd_heartbeat_grace") as f64 * 1_000_000.0 * cfg.f64("mon_warn_on_slow_ping_ratio"),
        us => us,
    };
    (us > 0.0).then_some(us as u64)
}

/// Everything that these OSDs measured.
pub fn entries<'a>(osds: impl Iterator<Item = (OsdId, &'a BTreeMap<OsdId, HbPing>)>) -> impl Iterator<Item = Entry> {
    osds.flat_map(|(from, peers)| {
        peers.iter().filter(|(_, p)| p.last_update > 0).flat_map(move |(to, p)| {
            let entry = |interface, times: &PingTimes| Entry {
                from,
                to: *to,
                interface,
                times: times.clone(),
                last_update: p.last_update,
            };
            let front = (p.front.last > 0).then(|| entry("front", &p.front));
            std::iter::once(entry("back", &p.back)).chain(front)
        })
    })
}

/// `dump_osd_network [VALUE]`: what took at least so many milliseconds, the slowest first; without a value, what
/// is too slow.
pub fn dump(entries: impl Iterator<Item = Entry>, cfg: &Config, value_ms: Option<i64>, now_secs: u32) -> Dump {
    let limit = match value_ms {
        Some(ms) => u64::try_from(ms).unwrap_or(0).saturating_mul(1_000),
        None => threshold_us(cfg).unwrap_or(0),
    };
    let mut slow: Vec<Entry> = entries.filter(|e| u64::from(e.slowest_us()) >= limit).collect();
    slow.sort_by_key(|e| std::cmp::Reverse((e.slowest_us(), e.from, e.to, e.interface == "back")));
    let stale = cfg.u64("osd_heartbeat_stale");
    let shown = slow.iter().map(|e| e.dump(now_secs, stale));
    Dump::obj().with("threshold", limit / 1_000).with("entries", Dump::arr("entry", shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_is_listed_the_slowest_first() {
        let times = |us: u32| PingTimes { pingtime: [us; 3], min: [us; 3], max: [us; 3], last: us };
        let ping =
            |back: u32, front: u32| HbPing { last_update: 1_795_000_000, back: times(back), front: times(front) };
        let osds = BTreeMap::from([(0, BTreeMap::from([(1, ping(2_000_000, 900)), (2, ping(1_200_345, 0))]))]);
        let all = || entries(osds.iter().map(|(osd, peers)| (*osd, peers)));
        let cfg = Config::daemon();
        let json = dump(all(), &cfg, None, 1_795_000_700).to_json();
        let start = "{\"threshold\":1000,\"entries\":[{\"last update\":\"";
        assert!(json.starts_with(start), "{json}");
        for part in [
            r#""stale":true,"from osd":0,"to osd":1,"interface":"back","average":{"1min":2000"#,
            r#""to osd":2,"interface":"back","average":{"1min":1200.345"#,
            r#""last":1200.345}"#,
        ] {
            assert!(json.contains(part), "{json}");
        }
        assert!(!json.contains("front"));
        let json = dump(all(), &cfg, Some(0), 1_795_000_000).to_json();
        assert!(json.contains("front") && json.contains("\"threshold\":0"), "{json}");
    }
}
