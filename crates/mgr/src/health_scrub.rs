//! What scrubs found, scrubs that are overdue, and disks that had to be mended too often.
//! (Ceph: `PGMap::get_health_checks`)

use std::collections::BTreeMap;

use osdmap::OsdMap;

use crate::digest::{HealthCheck, Severity};
use crate::health::detail;
use crate::stats::PgMap;

/// From when on scrubs are overdue, and a disk is not to be trusted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScrubThresholds {
    /// `osd_scrub_max_interval` and `mon_warn_pg_not_scrubbed_ratio`.
    pub scrub: (f64, f64),
    /// `osd_deep_scrub_interval` and `mon_warn_pg_not_deep_scrubbed_ratio`.
    pub deep: (f64, f64),
    /// `mon_osd_warn_num_repaired`.
    pub repairs: u64,
}

pub fn checks(pgs: &PgMap, map: &OsdMap, now_secs: u32, t: &ScrubThresholds) -> BTreeMap<String, HealthCheck> {
    let mut found = BTreeMap::new();
    let errors = pgs.total().stats.sum.num_scrub_errors;
    if errors > 0 {
        let summary = format!("{errors} scrub errors");
        let check = HealthCheck { severity: Severity::Err, summary, count: errors.unsigned_abs(), detail: Vec::new() };
        found.insert("OSD_SCRUB_ERRORS".into(), check);
    }
    let late = |interval: f64, ratio: f64, last: u32| {
        // One that nobody has told of yet has no stamp.
        last > 0 && interval > 0.0 && ratio > 0.0 && f64::from(now_secs) - f64::from(last) > interval * (1.0 + ratio)
    };
    let own = |pool: i64, name: &str, general: f64| {
        let opt = map.pool(pool).and_then(|p| p.opts.get_f64(name));
        opt.filter(|v| *v > 0.0).unwrap_or(general)
    };
    let (mut shallow, mut deep) = (Vec::new(), Vec::new());
    for (id, s) in &pgs.pgs {
        if late(own(id.pool, "scrub_max_interval", t.scrub.0), t.scrub.1, s.last_scrub_stamp.sec) {
            shallow.push(format!("pg {id} not scrubbed since {}", s.last_scrub_stamp));
        }
        if late(own(id.pool, "deep_scrub_interval", t.deep.0), t.deep.1, s.last_deep_scrub_stamp.sec) {
            deep.push(format!("pg {id} not deep-scrubbed since {}", s.last_deep_scrub_stamp));
        }
    }
    for (code, word, lines) in
        [("PG_NOT_SCRUBBED", "scrubbed", shallow), ("PG_NOT_DEEP_SCRUBBED", "deep-scrubbed", deep)]
    {
        if !lines.is_empty() {
            let count = lines.len() as u64;
            let summary = format!("{count} pgs not {word} in time");
            let detail = detail(lines.into_iter());
            found.insert(code.into(), HealthCheck { severity: Severity::Warn, summary, count, detail });
        }
    }
    found.extend(too_many_repairs(pgs, t.repairs).map(|c| ("OSD_TOO_MANY_REPAIRS".to_owned(), c)));
    found
}

fn too_many_repairs(pgs: &PgMap, limit: u64) -> Option<HealthCheck> {
    let over = pgs.osds.iter().filter(|(_, s)| s.num_shards_repaired > limit);
    let lines: Vec<String> = over
        .map(|(osd, s)| {
            let n = s.num_shards_repaired;
            format!("osd.{osd} had {n} reads repaired: its disk should be replaced (`ceph osd out {osd}` moves its data away first)")
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let count = lines.len() as u64;
    let summary = format!("Too many repaired reads on {count} OSDs");
    Some(HealthCheck { severity: Severity::Warn, summary, count, detail: detail(lines.into_iter()) })
}

#[cfg(test)]
mod tests {
    use types::{OsdStat, PgId, PgStat, UTime};

    use super::*;

    const T: ScrubThresholds = ScrubThresholds { scrub: (100.0, 0.5), deep: (700.0, 0.75), repairs: 10 };

    fn one(stat: PgStat) -> PgMap {
        let mut pgs = PgMap::default();
        pgs.pgs.insert(PgId::new(1, 0), stat);
        pgs
    }

    #[test]
    fn a_pg_is_late_when_its_interval_and_a_share_of_it_are_over() {
        let at = |sec| UTime { sec, nsec: 0 };
        let stat = PgStat { last_scrub_stamp: at(1000), last_deep_scrub_stamp: at(1000), ..PgStat::default() };
        let codes = |now| checks(&one(stat.clone()), &OsdMap::default(), now, &T).into_keys().collect::<Vec<_>>();
        assert_eq!(codes(1150), Vec::<String>::new());
        assert_eq!(codes(1151), ["PG_NOT_SCRUBBED"]);
        assert_eq!(codes(2226), ["PG_NOT_DEEP_SCRUBBED", "PG_NOT_SCRUBBED"]);
    }

    #[test]
    fn scrub_errors_and_disks_that_were_mended_too_often_are_told_as_ceph_tells_them() {
        let mut stat = PgStat { last_scrub_stamp: UTime { sec: 9, nsec: 0 }, ..PgStat::default() };
        stat.last_deep_scrub_stamp = stat.last_scrub_stamp;
        stat.stats.sum.num_scrub_errors = 2;
        let mut pgs = one(stat);
        pgs.osds.insert(3, OsdStat { num_shards_repaired: 11, ..OsdStat::default() });
        let found = checks(&pgs, &OsdMap::default(), 10, &T);
        let said: Vec<&str> = found.values().map(|c| c.summary.as_str()).collect();
        assert_eq!(said, ["2 scrub errors", "Too many repaired reads on 1 OSDs"]);
    }
}
