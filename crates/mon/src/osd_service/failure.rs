//! Is an OSD down? Its peers report that it does not answer; enough of them, from different places,
//! for long enough, and it is (Ceph: `OSDMonitor::check_failure`).
//!
//! Unlike in Ceph, words are weighed:
//! - A reporter that has lost most of its own peers ([`MOSDFailure::ISOLATED`]) is more likely the one that is cut
//!   off. Its word counts only against an OSD that has said nothing to us, monitor or manager, since it is said
//!   to have failed: two healthy OSDs that cannot reach each other both report it.
//! - That a connection was refused is a fact about the network between two hosts. It proves a death at once if the
//!   OSD's session with us is gone as well, or if reporters from enough places say so.
//!
//! All of this is in the leader's memory: OSDs repeat their reports, so a new leader learns them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use messages::{ClogLevel, MOSDBeacon, MOSDFailure};
use node::ConnId;
use osdmap::{OsdMap, flag, state};
use types::OsdId;

use super::location;
use crate::core::{Cx, Mon};

/// What one reporter says.
#[derive(Debug, Clone, Copy)]
struct Word {
    /// Since when the OSD is silent.
    since: Duration,
    isolated: bool,
    /// Since when connections are refused, if they are.
    refused: Option<Duration>,
}

/// The reports against one OSD.
#[derive(Debug, Default)]
pub struct Failure {
    words: BTreeMap<OsdId, Word>,
}

/// A refused connection to an OSD whose session with us stands is believed after so long a silence.
const SILENT_AFTER_REFUSAL: Duration = Duration::from_secs(6);

impl Mon {
    pub(super) fn osd_failure(&mut self, cx: &mut Cx, conn: ConnId, m: &MOSDFailure) {
        let target = m.target_osd;
        let Some(reporter) = self.reporter(conn) else { return };
        if m.fsid != self.setup.fsid || reporter == target {
            return;
        }
        let map = self.state.osdmap.clone();
        if !map.is_up(target) || map.addrs(target) != m.target_addrs {
            // It speaks of another instance than the map does, so it has an old map.
            return self.send_maps(cx, conn, m.epoch + 1);
        }
        if m.flags & MOSDFailure::FAILED == 0 {
            return self.take_back(target, reporter);
        }
        let silent = Duration::from_secs(u64::try_from(m.failed_for).unwrap_or(0));
        let since = cx.now.mono.saturating_sub(silent);
        let isolated = m.flags & MOSDFailure::ISOLATED != 0;
        let refused = (m.flags & MOSDFailure::IMMEDIATE != 0).then_some(cx.now.mono);
        let failure = self.osd.failures.entry(target).or_default();
        let word = failure.words.entry(reporter).or_insert(Word { since, isolated, refused });
        word.isolated = isolated;
        word.refused = word.refused.or(refused);
        if isolated {
            // Whatever it said before it knew of its state was said in the same state.
            self.osd.failures.values_mut().filter_map(|f| f.words.get_mut(&reporter)).for_each(|w| w.isolated = true);
        }
        self.check_failure(cx, target);
    }

    fn take_back(&mut self, target: OsdId, reporter: OsdId) {
        if let Some(failure) = self.osd.failures.get_mut(&target) {
            failure.words.remove(&reporter);
            if failure.words.is_empty() {
                self.osd.failures.remove(&target);
            }
        }
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
        failure.words.retain(|reporter, _| map.exists(*reporter));
        if let Some(by) = self.refusal(cx, osd) {
            let text = format!("osd.{osd} failed ({}) (connection refused reported by osd.{by})", location(&map, osd));
            self.pending.clog(ClogLevel::Info, text);
            let next = self.map();
            next.mark_down(cx.now.wall, osd);
            // Nobody listens there any more, so no PG has to wait for leases that it may hold
            // (Ceph: OSDMonitor::force_failure).
            next.inc.xinfo_mut(&map, osd).dead_epoch = map.epoch + 1;
        } else if let Some(why) = self.silence(cx, osd, false).or_else(|| self.silence(cx, osd, true)) {
            self.pending.clog(ClogLevel::Info, format!("osd.{osd} failed ({}) ({why})", location(&map, osd)));
            self.map().mark_down(cx.now.wall, osd);
        }
    }

    /// Who says that nobody listens at the OSD's address any more, if that proves its death.
    fn refusal(&self, cx: &Cx, osd: OsdId) -> Option<OsdId> {
        let words = &self.osd.failures.get(&osd)?.words;
        let refused: BTreeMap<OsdId, Duration> =
            words.iter().filter(|(_, w)| !w.isolated).filter_map(|(r, w)| Some((*r, w.refused?))).collect();
        let (by, first) = refused.iter().min_by_key(|(_, at)| **at)?;
        let heard_since = self.osd.words.get(&osd).is_some_and(|at| at > first);
        let long_ago = cx.now.mono.saturating_sub(*first) >= SILENT_AFTER_REFUSAL && !heard_since;
        let needed = self.config.u64("mon_osd_min_down_reporters").max(2);
        let agreed = self.places(refused.keys()).len() as u64 >= needed;
        (!self.is_connected(osd) || agreed || long_ago).then_some(*by)
    }

    /// Whether the very instance that is up has a session with this monitor.
    fn is_connected(&self, osd: OsdId) -> bool {
        let addrs = self.state.osdmap.addrs(osd);
        self.sessions.iter().any(|(_, s)| s.peer.name == types::EntityName::osd(osd) && s.peer.addrs == addrs)
    }

    /// The different places that these OSDs stand in.
    fn places<'a>(&self, osds: impl IntoIterator<Item = &'a OsdId>) -> BTreeSet<String> {
        let level = self.config.str("mon_osd_reporter_subtree_level");
        osds.into_iter().map(|osd| place(&self.state.osdmap, *osd, level)).collect()
    }

    /// Why the OSD has been silent for too long, according to enough others. `all`: those that are themselves
    /// isolated count as well, if there is reason to believe them.
    fn silence(&self, cx: &Cx, osd: OsdId, all: bool) -> Option<String> {
        let words = &self.osd.failures.get(&osd)?.words;
        let counted = words.iter().filter(|(_, w)| all || !w.isolated);
        let since = counted.clone().map(|(_, w)| w.since).max()?;
        let reporters: Vec<OsdId> = counted.map(|(reporter, _)| *reporter).collect();
        let places = self.places(&reporters).len();
        let failed_for = cx.now.mono.saturating_sub(since).as_secs_f64();
        let mut grace = self.grace(cx, osd, &reporters, failed_for);
        if all {
            // Time for a healthy one to contradict.
            grace *= 1.25;
        }
        let enough = failed_for >= grace && places as u64 >= self.config.u64("mon_osd_min_down_reporters");
        if !enough || all && !self.is_silent_here(cx, osd, since) {
            return None;
        }
        let level = self.config.str("mon_osd_reporter_subtree_level");
        Some(format!("{places} reporters from different {level} after {failed_for:.6} >= grace {grace:.6}"))
    }

    /// Whether the OSD has said nothing to us either since it is said to be silent. Its reports to the manager
    /// are its most frequent words; without a manager, or so soon after we began to lead, silence proves nothing.
    fn is_silent_here(&self, cx: &Cx, osd: OsdId, since: Duration) -> bool {
        let grace = self.config.secs("osd_heartbeat_grace");
        let listening = !self.mgr.is_stopped()
            && self.leading_since.is_some_and(|began| cx.now.mono.saturating_sub(began.mono) >= grace * 2);
        // What it said within a round of pings after the last answered one, it may have said before it failed.
        listening && self.osd.words.get(&osd).is_none_or(|at| *at <= since + grace / 4)
    }

    /// How long an OSD may be silent: longer if it, or those who report it, were wrongly suspected
    /// before; old suspicions fade.
    fn grace(&self, cx: &Cx, osd: OsdId, reporters: &[OsdId], failed_for: f64) -> f64 {
        let grace = self.config.f64("osd_heartbeat_grace");
        if !self.config.bool("mon_osd_adjust_heartbeat_grace") {
            return grace;
        }
        let map = &self.state.osdmap;
        let age = |osd: OsdId| cx.now.wall.since(map.xinfo(osd).down_stamp).as_secs_f64();
        let peers: f64 = reporters.iter().map(|r| self.lag(*r, age(*r))).sum();
        grace + self.lag(osd, failed_for) + peers / reporters.len().max(1) as f64
    }

    /// For how many seconds this OSD is likely to be silent without being dead.
    pub(super) fn lag(&self, osd: OsdId, age: f64) -> f64 {
        let decay = 0.5f64.ln() / self.config.f64("mon_osd_laggy_halflife").max(1.0);
        let x = self.state.osdmap.xinfo(osd);
        (age * decay).exp() * f64::from(x.laggy_interval) * f64::from(x.laggy_probability)
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
            self.osd.clean_since.insert(osd, m.min_last_epoch_clean);
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

/// Where an OSD stands, by the name of its bucket of this type; by itself if there is none.
fn place(map: &OsdMap, osd: OsdId, level: &str) -> String {
    let place = map.crush.full_location(osd).into_iter().find(|(kind, _)| kind == level);
    place.map_or_else(|| format!("osd.{osd}"), |(_, name)| name)
}
