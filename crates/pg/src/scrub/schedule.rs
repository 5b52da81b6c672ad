//! When a PG is scrubbed: as soon as it can be if somebody asked, else when its time has come.
//!
//! A PG's next routine scrub is due `osd_scrub_min_interval` after its last, and a share of
//! `osd_scrub_interval_randomize_ratio` of that later, which differs from PG to PG; then in the hours and on the
//! days that are set (in local time), while the machine is not too busy (`osd_scrub_load_threshold`), or at any time once
//! `osd_scrub_max_interval` is over; and not while the OSD recovers objects (`osd_scrub_during_recovery`).
//! It is deep if the last deep one is `osd_deep_scrub_interval` ago, or by chance
//! (`osd_deep_scrub_randomize_ratio`). (Ceph: `OSDService::ScrubJob`, `PG::sched_scrub`)

use std::time::Duration;

use messages::MOSDScrub2;
use types::dump::Dump;
use types::errno::EPERM;
use types::pool::flag;
use types::{UTime, osdmap_flag};

use super::Kind;
use crate::env::Env;
use crate::pg::Pg;

/// How often it is looked whether a PG is due, or whether one that was asked for can begin.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_SOON: Duration = Duration::from_millis(500);
/// What counts as long ago is so much longer.
const AGED_BY_SECS: u32 = 100;
/// Reads that fail call for a scrub, but not for one after the other.
const AFTER_DAMAGE_SECS: u32 = 60;

/// A number that looks random, the same for the same PG and scrub.
pub(super) fn chance(parts: &[u64]) -> f64 {
    let mut h: u64 = 0x9e37_79b9_7f4a_7c15;
    for p in parts {
        h = (h ^ p).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        h ^= h >> 29;
        h = h.wrapping_mul(0x94d0_49bb_1331_11eb);
        h ^= h >> 32;
    }
    (h >> 11) as f64 / (1_u64 << 53) as f64
}

/// The hour, and the day of the week (Sunday is 0), so many seconds ahead of UTC.
fn hour_and_day(now: UTime, utc_offset: i32) -> (i64, i64) {
    let secs = i64::from(now.sec) + i64::from(utc_offset);
    // The first of January 1970 was a Thursday.
    (secs.div_euclid(3600).rem_euclid(24), (secs.div_euclid(86400) + 4).rem_euclid(7))
}

/// Whether `x` is in `from..until` on a circle; everything if they are the same.
fn within(x: i64, (from, until): (i64, i64)) -> bool {
    match from.cmp(&until) {
        std::cmp::Ordering::Less => (from..until).contains(&x),
        std::cmp::Ordering::Equal => true,
        std::cmp::Ordering::Greater => x >= from || x < until,
    }
}

impl Pg {
    /// `pg scrub`, `pg deep-scrub`, `pg repair` (`MOSDScrub2`). Begins at once if the PG is clean and the order is for
    /// it alone.
    pub fn order_scrub(&mut self, env: &mut Env, m: &MOSDScrub2) {
        if !self.is_primary() {
            return;
        }
        let kind = Kind { deep: m.deep || m.repair, repair: m.repair, asked: true, queued: m.scrub_pgs.len() > 1 };
        self.scrub.asked = Some(kind);
        self.scrub.look_at = Some(env.now.mono);
        self.look_for_scrub(env);
        self.run_ready(env);
        self.finish(env);
    }

    /// `tell PG scrub|deep_scrub`: the last scrub counts as so many seconds ago, or as long as it may be at most. What
    /// follows is a routine scrub (Ceph: `PrimaryLogPG::do_command`).
    ///
    /// # Errors
    /// If we do not lead the PG.
    pub fn age_scrub(&mut self, env: &mut Env, deep: bool, ago: u32) -> Result<Dump, (i32, String)> {
        if !self.is_primary() {
            return Err((EPERM, "Not primary".into()));
        }
        let (_, max, deep_after) = self.scrub_intervals(env);
        let ago = if ago > 0 {
            f64::from(ago)
        } else if deep {
            deep_after
        } else {
            max
        };
        let now = env.now.wall;
        let stamp = UTime { sec: now.sec.saturating_sub(ago as u32).saturating_sub(AGED_BY_SECS), ..now };
        let h = &mut self.info.history;
        *if deep { &mut h.last_deep_scrub_stamp } else { &mut h.last_scrub_stamp } = stamp;
        self.dirty.info = true;
        self.plan_scrub(env);
        self.stat_changed(env);
        self.finish(env);
        Ok(Dump::obj().with("deep", deep).with("stamp", Dump::text(stamp)))
    }

    /// A copy that cannot be read, and of which it is not even known what it should be: comparing all copies tells.
    pub(crate) fn scrub_after_damage(&mut self, env: &Env) {
        let last = self.info.history.last_deep_scrub_stamp.sec;
        let lately = env.now.wall.sec.saturating_sub(last) < AFTER_DAMAGE_SECS;
        if env.cfg.scrub.auto_repair && !lately && self.scrub.run.is_none() && self.scrub.asked.is_none() {
            self.scrub.asked = Some(Kind { deep: true, repair: true, ..Kind::default() });
            self.scrub.look_at = Some(env.now.mono + LOOK_SOON);
        }
    }

    /// Starts what was asked for, or is due.
    pub(super) fn look_for_scrub(&mut self, env: &mut Env) {
        let its_turn = self.scrub.asked.is_some_and(|k| k.queued) && env.scrubs.holds_ordered(self.id);
        if !its_turn && self.scrub.look_at.is_none_or(|at| at > env.now.mono) {
            return;
        }
        self.scrub.look_at = None;
        if !self.is_primary() {
            return;
        }
        self.scrub.look_at = Some(env.now.mono + LOOK);
        if let Some(kind) = self.scrub.asked {
            self.scrub.look_at = Some(env.now.mono + LOOK_SOON);
            // What is routine gives way.
            if self.scrub.run.as_ref().is_some_and(|r| !r.kind.asked || kind.repair && !r.kind.repair) {
                self.abort_scrub(env);
            }
            let free = self.can_scrub() && self.scrub.run.is_none() && self.scrub.mending.is_idle();
            if free && (!kind.queued || env.scrubs.take_ordered(self.id)) {
                self.scrub.asked = None;
                self.start_scrub(env, kind);
            } else if !free && self.scrub.run.is_none() {
                // Others need not wait until it can.
                env.scrubs.release_ordered(self.id);
            }
        } else if self.can_scrub()
            && self.scrub.run.is_none()
            && self.scrub.mending.is_idle()
            && let Some(kind) = self.routine_scrub(env)
        {
            self.reserve_scrub(env, kind);
        }
    }

    /// All copies are there and whole.
    pub(super) fn can_scrub(&self) -> bool {
        self.is_clean() && self.missing_loc.all().next().is_none() && !self.is_premerge()
    }

    /// Looks again soon: the PG is clean, or a scrub has ended.
    pub(crate) fn plan_scrub(&mut self, env: &Env) {
        if self.is_primary() {
            let spread = chance(&[self.id.pgid.pool.cast_unsigned(), self.id.pgid.seed.into(), 1]);
            let first = if self.scrub.asked.is_some() { LOOK_SOON } else { LOOK.mul_f64(spread) + LOOK_SOON };
            self.scrub.look_at = Some(env.now.mono + first);
        }
    }

    fn scrub_intervals(&self, env: &Env) -> (f64, f64, f64) {
        let opt = |name: &str, general: f64| match self.pool.opts.get_f64(name) {
            Some(own) if own > 0.0 => own,
            _ => general,
        };
        let c = &env.cfg.scrub;
        (
            opt("scrub_min_interval", c.min_interval),
            opt("scrub_max_interval", c.max_interval),
            opt("deep_scrub_interval", c.deep_interval),
        )
    }

    /// The routine scrub that is due, if one is.
    fn routine_scrub(&self, env: &Env) -> Option<Kind> {
        let (min, max, deep_after) = self.scrub_intervals(env);
        let (h, now) = (&self.info.history, env.now.wall);
        let age = |stamp: UTime| f64::from(now.sec) - f64::from(stamp.sec);
        let luck = |n| {
            let last = h.last_scrub_stamp;
            chance(&[self.id.pgid.pool.cast_unsigned(), self.id.pgid.seed.into(), last.sec.into(), last.nsec.into(), n])
        };
        let shallow_ok = !self.map.test_flag(osdmap_flag::NOSCRUB) && !self.pool.has_flag(flag::NOSCRUB);
        let deep_ok = !self.map.test_flag(osdmap_flag::NODEEP_SCRUB) && !self.pool.has_flag(flag::NODEEP_SCRUB);
        let wait = min * (1.0 + luck(2) * env.cfg.scrub.randomize_ratio);
        let must = self.info.stats.stats_invalid;
        if age(h.last_scrub_stamp) < wait && !must {
            return None;
        }
        if env.scrubs.is_recovering() && !env.cfg.scrub.during_recovery {
            return None;
        }
        let late = max > 0.0 && age(h.last_scrub_stamp) >= max;
        let may = self.is_scrub_time(env) && env.scrubs.load_permits(env.cfg.scrub.load_threshold);
        if !late && !must && !may {
            return None;
        }
        let has_deep_errors = self.info.stats.stats.sum.num_deep_scrub_errors > 0;
        let time_for_deep = age(h.last_deep_scrub_stamp) >= deep_after || has_deep_errors;
        let deep = deep_ok && (time_for_deep || shallow_ok && luck(3) < env.cfg.scrub.deep_randomize_ratio);
        // A shallow scrub would forget what a deep one found.
        if !deep && (!shallow_ok || has_deep_errors) {
            return None;
        }
        Some(Kind { deep, repair: env.cfg.scrub.auto_repair, ..Kind::default() })
    }

    fn is_scrub_time(&self, env: &Env) -> bool {
        let (hour, day) = hour_and_day(env.now.wall, env.scrubs.utc_offset());
        within(hour, env.cfg.scrub.hours) && within(day, env.cfg.scrub.week_days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_go_round_midnight_and_equal_ones_are_the_whole_day() {
        assert!(within(5, (0, 0)) && within(23, (22, 6)) && within(3, (22, 6)) && !within(6, (22, 6)));
        assert!(within(8, (8, 9)) && !within(9, (8, 9)));
    }

    #[test]
    fn hours_and_days_are_local() {
        // Saturday, 21 November 2026, 23:30 UTC.
        let at = UTime { sec: 1_795_303_800, nsec: 0 };
        assert_eq!(hour_and_day(at, 0), (23, 6));
        assert_eq!(hour_and_day(at, 5400), (1, 0));
        assert_eq!(hour_and_day(at, -5 * 3600), (18, 6));
        assert_eq!(hour_and_day(UTime::ZERO, -3600), (23, 3));
    }

    #[test]
    fn chance_spreads_over_the_whole_range() {
        let all: Vec<f64> = (0..1000).map(|n| chance(&[1, n])).collect();
        assert!(all.iter().all(|c| (0.0..1.0).contains(c)));
        let mean = all.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
