//! What may be stopped or destroyed without harm: `osd ok-to-stop`, `osd safe-to-destroy`, and the check
//! that `osd destroy` and `osd purge` make first.

use std::collections::BTreeSet;

use osdmap::OsdMap;
use types::dump::Dump;
use types::errno::{EAGAIN, EBUSY};
use types::flags::pg_state;
use types::{OsdId, PgId, PgStat};

use crate::stats::PgMap;

/// What becomes of PGs if some OSDs stop (Ceph: `offline_pg_report`).
#[derive(Debug, Default, Clone)]
pub struct OfflineReport {
    osds: BTreeSet<OsdId>,
    ok: BTreeSet<PgId>,
    not_ok: BTreeSet<PgId>,
    unknown: BTreeSet<PgId>,
    become_degraded: Vec<PgId>,
    become_more_degraded: Vec<PgId>,
    no_pool: Vec<PgId>,
    already_inactive: Vec<PgId>,
    become_inactive: Vec<PgId>,
}

impl OfflineReport {
    fn new(pgs: &PgMap, map: &OsdMap, osds: BTreeSet<OsdId>) -> Self {
        let mut report = Self { osds, ..Self::default() };
        pgs.pgs.iter().for_each(|(id, s)| report.count(map, *id, s));
        report
    }

    fn count(&mut self, map: &OsdMap, id: PgId, s: &PgStat) {
        if s.state == 0 {
            self.unknown.insert(id);
            return;
        }
        // Of a degraded PG those count that miss nothing.
        let degraded = s.state & pg_state::DEGRADED != 0;
        let complete: Vec<OsdId> = match degraded && !s.avail_no_missing.is_empty() {
            true => s.avail_no_missing.iter().map(|shard| shard.osd).collect(),
            false => s.acting.clone(),
        };
        let touched = complete.iter().any(|osd| self.osds.contains(osd));
        if !touched {
            return;
        }
        let left = complete.iter().filter(|osd| **osd != types::CRUSH_ITEM_NONE && !self.osds.contains(osd)).count();
        let mut bad = false;
        let mut note = |list: &mut Vec<PgId>| {
            list.push(id);
            bad = true;
        };
        let least = map.pool(id.pool).map(|p| usize::from(p.min_size));
        if least.is_none() {
            note(&mut self.no_pool);
        }
        if s.state & pg_state::ACTIVE == 0 {
            note(&mut self.already_inactive);
        }
        if least.is_some_and(|least| left < least) {
            note(&mut self.become_inactive);
        }
        if bad {
            self.not_ok.insert(id);
            return;
        }
        self.ok.insert(id);
        match degraded {
            true => self.become_more_degraded.push(id),
            false => self.become_degraded.push(id),
        }
    }

    pub fn is_ok(&self) -> bool {
        self.not_ok.is_empty() && self.unknown.is_empty()
    }

    /// The errno and the sentence, unless all is well.
    pub fn objection(&self) -> Option<(i32, String)> {
        if !self.unknown.is_empty() {
            return Some((
                EAGAIN,
                format!("{} pgs have unknown state; cannot draw any conclusions", self.unknown.len()),
            ));
        }
        let bad = self.not_ok.len();
        let text = || format!("unsafe to stop osd(s) at this time ({bad} PGs are or would become offline)");
        (bad > 0).then(|| (EBUSY, text()))
    }

    pub fn dump(&self) -> Dump {
        let mut d = Dump::obj()
            .with("ok_to_stop", self.is_ok())
            .with("osds", Dump::arr("osd", self.osds.iter().copied()))
            .with("num_ok_pgs", self.ok.len())
            .with("num_not_ok_pgs", self.not_ok.len());
        if !self.unknown.is_empty() {
            d.put("num_unknown_pgs", self.unknown.len());
            d.put("unknown_pgs", Dump::arr("pg", self.unknown.iter().copied()));
        }
        let lists = [
            ("bad_no_pool_pgs", &self.no_pool),
            ("bad_already_inactive", &self.already_inactive),
            ("bad_become_inactive", &self.become_inactive),
            ("ok_become_degraded", &self.become_degraded),
            ("ok_become_more_degraded", &self.become_more_degraded),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            d.put(name, Dump::arr("pg", list.iter().copied()));
        }
        d
    }
}

/// Whether these OSDs may stop; with `max` above their number, with as many of their neighbours as may
/// stop too (Ceph: `_maximize_ok_to_stop_set`).
pub fn ok_to_stop(pgs: &PgMap, map: &OsdMap, osds: BTreeSet<OsdId>, max: usize) -> OfflineReport {
    let mut best = OfflineReport::new(pgs, map, osds.clone());
    let (Some(first), true) = (osds.first(), best.is_ok() && osds.len() < max) else { return best };
    let mut osds = osds.clone();
    for above in map.crush.ancestors(*first) {
        let mut failed = false;
        for osd in map.crush.devices_below(above) {
            if !map.is_up(osd) || !osds.insert(osd) {
                continue;
            }
            let report = OfflineReport::new(pgs, map, osds.clone());
            if report.is_ok() {
                best = report;
            } else {
                osds.remove(&osd);
                failed = true;
            }
            if osds.len() == max {
                return best;
            }
        }
        if failed {
            break;
        }
    }
    best
}

/// Which OSDs may be destroyed.
#[derive(Debug, Default)]
pub struct Destruction {
    osds: BTreeSet<OsdId>,
    safe: BTreeSet<OsdId>,
    active: BTreeSet<OsdId>,
    missing_stats: BTreeSet<OsdId>,
    stored_pgs: BTreeSet<OsdId>,
    unknown: usize,
    /// PGs that are mapped to them; one that is mapped to two counts twice.
    pgs: usize,
}

impl Destruction {
    pub fn new(pgs: &PgMap, map: &OsdMap, osds: BTreeSet<OsdId>) -> Self {
        let unknown = pgs.pgs.values().filter(|s| s.state == 0).count();
        let healthy = pg_state::ACTIVE | pg_state::CLEAN;
        let clean = pgs.pgs.values().all(|s| s.state & healthy == healthy);
        let mut d = Self { unknown, ..Self::default() };
        for osd in osds.iter().copied() {
            let on_it = pgs.pgs.values().filter(|s| s.acting.contains(&osd) || s.up.contains(&osd)).count();
            let stat = pgs.osds.get(&osd).filter(|_| map.is_up(osd));
            let list = if !map.exists(osd) {
                &mut d.safe
            } else if on_it > 0 {
                d.pgs += on_it;
                &mut d.active
            } else if clean {
                &mut d.safe
            } else if stat.is_none() {
                &mut d.missing_stats
            } else if stat.is_some_and(|s| s.num_pgs > 0) {
                &mut d.stored_pgs
            } else {
                &mut d.safe
            };
            list.insert(osd);
        }
        d.osds = osds;
        d
    }

    /// Nothing can be said while PGs are unknown.
    pub fn unsure(&self) -> Option<(i32, String)> {
        let text = || format!("{} pgs have unknown state; cannot draw any conclusions", self.unknown);
        (self.unknown > 0).then(|| (EAGAIN, text()))
    }

    /// The errno and the sentences, unless all is well.
    pub fn objection(&self) -> Option<(i32, String)> {
        if self.unknown > 0 {
            return self.unsure();
        }
        let mut text = String::new();
        let mut say = |osds: &BTreeSet<OsdId>, what: &str| {
            if !osds.is_empty() {
                text.push_str(&format!("OSD(s) {} {what}", names(osds)));
            }
        };
        if self.safe == self.osds {
            return None;
        }
        say(&self.safe, "are safe to destroy without reducing data durability. ");
        say(&self.active, &format!("have {} pgs currently mapped to them. ", self.pgs));
        say(
            &self.missing_stats,
            "have no reported stats, and not all PGs are active+clean; we cannot draw any conclusions. ",
        );
        say(
            &self.stored_pgs,
            "last reported they still store some PG data, and not all PGs are active+clean; we cannot be sure they \
             aren't still needed.",
        );
        let errno = if self.active.is_empty() && self.stored_pgs.is_empty() { EAGAIN } else { EBUSY };
        Some((errno, text))
    }

    pub fn approval(&self) -> String {
        format!("OSD(s) {} are safe to destroy without reducing data durability.", names(&self.osds))
    }

    pub fn dump(&self) -> Dump {
        let list = |osds: &BTreeSet<OsdId>| Dump::arr("osd", osds.iter().copied());
        Dump::obj()
            .with("safe_to_destroy", list(&self.safe))
            .with("active", list(&self.active))
            .with("missing_stats", list(&self.missing_stats))
            .with("stored_pgs", list(&self.stored_pgs))
    }
}

fn names(osds: &BTreeSet<OsdId>) -> String {
    osds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
