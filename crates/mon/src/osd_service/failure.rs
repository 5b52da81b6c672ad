//! Is an OSD down? Its peers report that it does not answer; enough of them, from different places,
//! for long enough, and it is (Ceph: `OSDMonitor::check_failure`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use messages::{ClogLevel, MOSDBeacon, MOSDFailure};
use node::ConnId;
use osdmap::{flag, state};
use types::OsdId;

use super::location;
use crate::core::{Cx, Mon};

/// The reports against one OSD: by whom, and since when it has been silent according to them.
#[derive(Debug, Default)]
pub struct Failure {
    reporters: BTreeMap<OsdId, Duration>,
}

impl Failure {
    /// The latest moment that any reporter names: all agree that it is silent since then.
    fn since(&self) -> Duration {
        self.reporters.values().copied().max().unwrap_or_default()
    }
}

impl Mon {
    pub(super) fn osd_failure(&mut self, cx: &mut Cx, conn: ConnId, m: &MOSDFailure) {
        let target = m.target_osd;
        let Some(reporter) = self.reporter(conn) else { return };
        if m.fsid != self.setup.fsid {
            return;
        }
        let map = self.state.osdmap.clone();
        if !map.is_up(target) || map.addrs(target) != m.target_addrs {
            // It speaks of another instance than the map does, so it has an old map.
            return self.send_maps(cx, conn, m.epoch + 1);
        }
        if m.flags & MOSDFailure::FAILED == 0 {
            if let Some(failure) = self.osd.failures.get_mut(&target) {
                failure.reporters.remove(&reporter);
                if failure.reporters.is_empty() {
                    self.osd.failures.remove(&target);
                }
            }
            return;
        }
        if m.flags & MOSDFailure::IMMEDIATE != 0 {
            if self.can_mark_down(target) {
                let text = format!("osd.{target} reported immediately failed by osd.{reporter}");
                self.pending.clog(ClogLevel::Info, text);
                let base = self.state.osdmap.clone();
                let map = self.map();
                map.mark_down(cx.now.wall, target);
                // Nobody listens there any more, so no PG has to wait for leases that it may hold
                // (Ceph: OSDMonitor::force_failure).
                map.inc.xinfo_mut(&base, target).dead_epoch = base.epoch + 1;
            }
            return;
        }
        let silent = Duration::from_secs(u64::try_from(m.failed_for).unwrap_or(0));
        let since = cx.now.mono.saturating_sub(silent);
        let failure = self.osd.failures.entry(target).or_default();
        failure.reporters.entry(reporter).or_insert(since);
        self.check_failure(cx, target);
    }

    pub(super) fn check_failures(&mut self, cx: &mut Cx) {
        for osd in self.osd.failures.keys().copied().collect::<Vec<_>>() {
            self.check_failure(cx, osd);
        }
    }

    fn check_failure(&mut self, cx: &mut Cx, osd: OsdId) {
        if !self.can_mark_down(osd) {
            return;
        }
        let map = self.state.osdmap.clone();
        let Some(failure) = self.osd.failures.get_mut(&osd) else { return };
        failure.reporters.retain(|reporter, _| map.exists(*reporter));
        if failure.reporters.is_empty() {
            return;
        }
        let failed_for = cx.now.mono.saturating_sub(failure.since()).as_secs_f64();
        let reporters: Vec<OsdId> = failure.reporters.keys().copied().collect();
        let level = self.config.str("mon_osd_reporter_subtree_level").to_owned();
        let places: BTreeSet<String> = reporters
            .iter()
            .map(|r| {
                let place = map.crush.full_location(*r).into_iter().find(|(kind, _)| *kind == level);
                place.map_or_else(|| format!("osd.{r}"), |(_, name)| name)
            })
            .collect();
        let grace = self.grace(cx, osd, &reporters, failed_for);
        let needed = self.config.u64("mon_osd_min_down_reporters");
        if failed_for < grace || (places.len() as u64) < needed {
            return;
        }
        let text = format!(
            "osd.{osd} failed ({}) ({} reporters from different {level} after {failed_for:.6} >= grace {grace:.6})",
            location(&map, osd),
            places.len(),
        );
        self.pending.clog(ClogLevel::Info, text);
        self.map().mark_down(cx.now.wall, osd);
    }

    /// How long an OSD may be silent: longer if it, or those who report it, were wrongly suspected
    /// before; old suspicions fade.
    fn grace(&self, cx: &Cx, osd: OsdId, reporters: &[OsdId], failed_for: f64) -> f64 {
        let grace = self.config.f64("osd_heartbeat_grace");
        if !self.config.bool("mon_osd_adjust_heartbeat_grace") {
            return grace;
        }
        let decay = 0.5f64.ln() / self.config.f64("mon_osd_laggy_halflife").max(1.0);
        let map = &self.state.osdmap;
        let lag = |osd: OsdId, age: f64| {
            let x = map.xinfo(osd);
            (age * decay).exp() * f64::from(x.laggy_interval) * f64::from(x.laggy_probability)
        };
        let age = |osd: OsdId| cx.now.wall.since(map.xinfo(osd).down_stamp).as_secs_f64();
        let peers: f64 = reporters.iter().map(|r| lag(*r, age(*r))).sum();
        grace + lag(osd, failed_for) + peers / reporters.len() as f64
    }

    /// Ceph: `OSDMonitor::can_mark_down`: unless forbidden, or too few would be left.
    pub(super) fn can_mark_down(&mut self, osd: OsdId) -> bool {
        let least = self.config.f64("mon_osd_min_up_ratio");
        if self.state.osdmap.is_forbidden(osd, flag::NODOWN, state::NODOWN) {
            return false;
        }
        let map = self.map();
        if !map.is_up(osd) {
            return false;
        }
        let all = map.osds().count();
        let up = map.osds().filter(|o| map.is_up(*o)).count();
        all > 0 && up as f64 / all as f64 >= least
    }

    pub(super) fn osd_beacon(&mut self, cx: &mut Cx, conn: ConnId, m: &MOSDBeacon) {
        if let Some(osd) = self.reporter(conn) {
            self.osd.beacon(cx.now, osd, m.osd_beacon_report_interval);
        }
    }

    /// Those that nobody reports and that say nothing themselves.
    pub(super) fn check_beacons(&mut self, cx: &mut Cx) {
        let timeout = self.config.secs("mon_osd_report_timeout");
        let silent = |(heard, interval): &(Duration, u32)| {
            let limit = timeout.max(Duration::from_secs(u64::from(*interval) * 2));
            cx.now.mono.saturating_sub(*heard) > limit
        };
        let late: Vec<OsdId> = self.osd.heard.iter().filter(|(_, h)| silent(h)).map(|(osd, _)| *osd).collect();
        for osd in late {
            if self.can_mark_down(osd) {
                let heard = self.osd.heard[&osd].0;
                let secs = cx.now.mono.saturating_sub(heard).as_secs_f64();
                let text = format!("osd.{osd} marked down after no beacon for {secs:.6} seconds");
                self.pending.clog(ClogLevel::Info, text);
                self.map().mark_down(cx.now.wall, osd);
            }
        }
    }
}
