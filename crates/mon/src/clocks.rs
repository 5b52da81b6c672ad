//! How far the monitors' clocks are apart, as `MON_CLOCK_SKEW` and `time-sync-status` tell.
//!
//! ```text
//! leader ─WhatTime(round)─► each of the quorum ─Time(round, stamp)─► leader
//! ```
//!
//! Nothing rests on it: the log, its leases and all time-outs go by each monitor's own monotonic clock. People
//! compare stamps of several daemons, and tickets end at a time of day; so they are told.
//!
//! Rounds come as in Ceph: when a quorum has formed, then each `mon_timecheck_interval`, and sooner while a clock
//! is off (`mon_timecheck_skew_interval`). What is told of a clock is the least by which it can be off: the
//! difference without the time that question and answer took (Ceph: `Monitor::handle_timecheck_leader`).

use std::collections::BTreeMap;
use std::time::Duration;

use node::Now;
use quorum::MemberId;
use types::UTime;
use types::dump::{Dump, general_float};

use crate::core::{Cx, Mon};
use crate::peers::PeerMsg;

/// Who has not answered by then is missing in this round.
const PATIENCE: Duration = Duration::from_secs(5);
/// If our own clock moved by more than the time that passed, it was set meanwhile, and says nothing.
const JUMP: f64 = 0.01;
/// How much of the old a new measurement leaves (Ceph).
const LATENCY_KEEP: f64 = 0.8;

/// What is known of one monitor's clock, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Clock {
    /// Ahead of the leader's, or behind if negative.
    pub skew: f64,
    /// From question to answer.
    pub latency: f64,
}

/// The leader's measurements.
#[derive(Debug, Default)]
pub struct Clocks {
    /// Odd while a round is under way.
    round: u64,
    /// The election that they belong to.
    epoch: u64,
    started: Duration,
    next: Duration,
    asked: BTreeMap<MemberId, Now>,
    seen: BTreeMap<MemberId, Clock>,
    /// Rounds since all clocks agreed.
    skewed_rounds: u32,
}

impl Clocks {
    /// One answer. `None` if our own clock was set since we asked.
    fn measure(asked: Now, now: Now, stamp: UTime) -> Option<Clock> {
        let latency = now.mono.saturating_sub(asked.mono).as_secs_f64();
        let own = seconds(now.wall) - seconds(asked.wall);
        if (own - latency).abs() > JUMP {
            return None;
        }
        let delta = seconds(stamp) - seconds(now.wall);
        Some(Clock { skew: (delta.abs() - latency).max(0.0).copysign(delta), latency })
    }

    fn is_under_way(&self) -> bool {
        !self.round.is_multiple_of(2)
    }
}

fn seconds(stamp: UTime) -> f64 {
    stamp.to_duration().as_secs_f64()
}

impl Mon {
    /// What is wrong with a clock, in words.
    fn clock_fault(&self, clock: &Clock) -> Option<String> {
        let allowed = self.config.f64("mon_clock_drift_allowed");
        let skew = clock.skew.abs();
        let text = |v| general_float(v, 6);
        (skew > allowed).then(|| format!("clock skew {}s > max {}s", text(skew), text(allowed)))
    }

    /// Each measured monitor by rank: its name, its clock, and what is wrong with that.
    pub(crate) fn clocks(&self) -> Vec<(String, Clock, Option<String>)> {
        let seen = self.clocks.seen.iter().filter_map(|(id, clock)| Some((self.mon_place(*id)?, *clock)));
        let mut all: Vec<_> = seen.collect();
        all.sort_by_key(|(place, _)| place.rank);
        all.into_iter().map(|(place, clock)| (place.name, clock, self.clock_fault(&clock))).collect()
    }

    /// `time-sync-status`.
    pub(crate) fn clocks_dump(&self) -> Dump {
        let mut d = Dump::obj();
        let clocks = self.clocks();
        if !clocks.is_empty() {
            let mut all = Dump::obj();
            for (name, clock, fault) in clocks {
                let health = if fault.is_some() { "HEALTH_WARN" } else { "HEALTH_OK" };
                let mut one = Dump::obj().with("skew", clock.skew).with("latency", clock.latency);
                one.put("health", health);
                fault.into_iter().for_each(|why| one.put("details", why));
                all.put(name, one);
            }
            d.put("time_skew_status", all);
        }
        let status = if self.clocks.is_under_way() { "on-going" } else { "finished" };
        let epoch = self.quorum().epoch;
        d.with(
            "timechecks",
            Dump::obj().with("epoch", epoch).with("round", self.clocks.round).with("round_status", status),
        )
    }

    /// The leader's part, about once a second.
    pub(crate) fn mind_clocks(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let quorum = self.quorum();
        let me = self.log.me();
        if quorum.epoch != self.clocks.epoch {
            self.clocks = Clocks { epoch: quorum.epoch, next: now, ..Clocks::default() };
        }
        if self.clocks.is_under_way() && now.saturating_sub(self.clocks.started) >= PATIENCE {
            self.end_clock_round(now);
        }
        let in_quorum = |id: &MemberId| self.mon_place(*id).is_some_and(|p| quorum.names.contains(&p.name));
        let others: Vec<MemberId> = self.log.members().iter().filter(|id| *id != me && in_quorum(id)).collect();
        if others.is_empty() || self.clocks.is_under_way() || now < self.clocks.next {
            return;
        }
        self.clocks.round += 1;
        self.clocks.started = now;
        self.clocks.seen.insert(me, Clock::default());
        let round = self.clocks.round;
        for id in others {
            self.clocks.asked.insert(id, cx.now);
            self.send_peer(cx, id, PeerMsg::WhatTime { round }, None);
        }
    }

    fn end_clock_round(&mut self, now: Duration) {
        self.clocks.round += 1;
        for id in std::mem::take(&mut self.clocks.asked).into_keys() {
            self.clocks.seen.remove(&id);
        }
        let off = self.clocks().iter().any(|(.., fault)| fault.is_some());
        self.clocks.skewed_rounds = if off { self.clocks.skewed_rounds + 1 } else { 0 };
        let usual = self.config.f64("mon_timecheck_interval");
        let sooner = self.config.f64("mon_timecheck_skew_interval") * f64::from(self.clocks.skewed_rounds);
        let secs = if sooner > 0.0 && sooner < usual { sooner } else { usual };
        self.clocks.next = now + Duration::try_from_secs_f64(secs).unwrap_or(PATIENCE).max(Duration::from_secs(1));
    }

    pub(crate) fn on_time_asked(&mut self, cx: &mut Cx, from: MemberId, round: u64) {
        let stamp = cx.now.wall;
        self.send_peer(cx, from, PeerMsg::Time { round, stamp }, None);
    }

    pub(crate) fn on_time_told(&mut self, cx: &mut Cx, from: MemberId, round: u64, stamp: UTime) {
        if round != self.clocks.round || !self.log.is_leading() {
            return;
        }
        let Some(asked) = self.clocks.asked.get(&from).copied() else { return };
        // Not measured: it is missing in this round, as if it had not answered.
        let Some(mut clock) = Clocks::measure(asked, cx.now, stamp) else { return };
        if let Some(before) = self.clocks.seen.get(&from) {
            clock.latency = before.latency * LATENCY_KEEP + clock.latency * (1.0 - LATENCY_KEEP);
        }
        self.clocks.asked.remove(&from);
        self.clocks.seen.insert(from, clock);
        if self.clocks.asked.is_empty() {
            self.end_clock_round(cx.now.mono);
        }
    }

    /// Another leads.
    pub(crate) fn forget_clocks(&mut self) {
        self.clocks = Clocks::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall_ms: u64) -> Now {
        let wall = Duration::from_secs(1_795_000_000) + Duration::from_millis(wall_ms);
        Now { mono: Duration::from_millis(mono_ms), wall: UTime::from_duration(wall) }
    }

    fn skew(theirs_ms: u64) -> Option<f64> {
        // Asked at 1,000, answered at 1,040, by our own clock.
        let stamp = at(0, theirs_ms).wall;
        Clocks::measure(at(100, 1_000), at(140, 1_040), stamp).map(|c| (c.skew * 1e3).round())
    }

    #[test]
    fn a_clock_is_off_by_no_less_than_the_difference_without_the_way() {
        assert_eq!(skew(1_020), Some(0.0), "within the 40 ms that the way took");
        assert_eq!(skew(1_140), Some(60.0), "ahead");
        assert_eq!(skew(500), Some(-500.0), "behind");
    }

    #[test]
    fn a_leader_whose_own_clock_was_set_meanwhile_judges_nobody() {
        assert_eq!(Clocks::measure(at(100, 1_000), at(140, 9_000), at(0, 1_020).wall), None);
    }
}
