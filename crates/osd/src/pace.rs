//! How much of its limits recovery may use beside clients: as much as leaves their operations not much slower
//! than they are without it.
//!
//! What clients wait is measured all the time. While nothing is recovered it is the measure (`calm`); while
//! something is, recovery gets less as soon as clients wait clearly longer than that, and more when they do
//! not, or when there are none. Since the clients' load changes, recovery stops for a moment every few
//! seconds to measure anew. Nothing is measured in advance, and an idle cluster recovers at full speed.
//! (Unlike Ceph, whose wpq weighs by cost and whose mclock asks for benchmarks.)

use std::collections::VecDeque;
use std::time::Duration;

/// A window ends when it has so many operations and has lasted so long …
const WINDOW_OPS: u64 = 16;
const WINDOW_MIN: Duration = Duration::from_millis(50);
/// … or has lasted so long.
const WINDOW_MAX: Duration = Duration::from_millis(500);
/// How long recovery stands still at most, to see how clients fare without it, and how often.
const PROBE: Duration = Duration::from_millis(200);
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// Clients may wait so much longer before recovery gets less; below the second it gets more.
const SLOWER: f64 = 1.45;
const HARDLY_SLOWER: f64 = 1.25;
const SHARE_MIN: f64 = 0.02;
/// However slow clients are, one recovery at a time goes on, with a pause as long as itself: a cluster that does not
/// heal loses more than time.
const SLOTS_MIN: f64 = 0.5;

/// Client operations that were answered, and how long they took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    pub ops: u64,
    pub total: Duration,
}

#[derive(Debug)]
pub struct Pace {
    window: Waits,
    window_start: Duration,
    /// Something was under way in this window.
    disturbed: bool,
    /// Seconds that a client's operation takes while nothing is recovered.
    calm: Option<f64>,
    /// Of the limits, from [`SHARE_MIN`] to 1.
    share: f64,
    /// Standing still to measure, until then.
    probing: Option<Duration>,
    next_probe: Duration,
    /// When what is under way was started, the oldest first.
    started: VecDeque<Duration>,
    /// Seconds that one recovery takes.
    takes: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: Waits::default(),
            window_start: Duration::ZERO,
            disturbed: false,
            calm: None,
            share: 1.0,
            probing: None,
            next_probe: Duration::ZERO,
            started: VecDeque::new(),
            takes: 0.0,
        }
    }
}

/// What recovery may do now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// So many at a time; after each start so long a pause.
    Slots(u32, Duration),
    /// Nothing new before.
    Until(Duration),
}

impl Pace {
    /// Takes up what was measured since the last call. `under_way`: recoveries.
    pub fn measured(&mut self, now: Duration, waits: Waits, under_way: u32) {
        self.window.ops += waits.ops;
        self.window.total += waits.total;
        self.disturbed |= under_way > 0;
        let lasted = now.saturating_sub(self.window_start);
        if lasted < WINDOW_MIN || self.window.ops < WINDOW_OPS && lasted < WINDOW_MAX {
            return;
        }
        let window = std::mem::take(&mut self.window);
        let disturbed = std::mem::replace(&mut self.disturbed, under_way > 0);
        self.window_start = now;
        // Of a few operations the mean says little.
        let mean = (window.ops >= 4).then(|| window.total.as_secs_f64() / window.ops as f64);
        match (mean, disturbed) {
            (Some(mean), false) => {
                self.calm = Some(self.calm.map_or(mean, |calm| 0.7 * calm + 0.3 * mean));
                self.next_probe = now + PROBE_EVERY;
                self.probing = None;
            }
            (Some(mean), true) => self.judge(mean),
            (None, true) => self.share = (self.share * 1.5).min(1.0),
            (None, false) => {}
        }
    }

    fn judge(&mut self, mean: f64) {
        let Some(calm) = self.calm else { return };
        if mean > SLOWER * calm {
            self.share = (self.share * (SLOWER * calm / mean).max(0.5)).max(SHARE_MIN);
        } else if mean < HARDLY_SLOWER * calm {
            self.share = (self.share * 1.15 + 0.005).min(1.0);
        }
    }

    /// What may be started, of at most `most` at a time.
    pub fn allowed(&mut self, now: Duration, most: u32, under_way: u32) -> Allowed {
        if let Some(until) = self.probing {
            if now < until {
                return Allowed::Until(until);
            }
            // Nobody was there to be measured, or what is under way takes long.
            self.probing = None;
            self.next_probe = now + PROBE_EVERY;
        }
        // Worth it only if there are clients.
        if now >= self.next_probe && self.window.ops >= 4 {
            let until = now + PROBE;
            self.probing = Some(until);
            if under_way == 0 {
                self.window = Waits::default();
                self.window_start = now;
                self.disturbed = false;
            }
            return Allowed::Until(until);
        }
        let slots = (f64::from(most) * self.share).max(SLOTS_MIN);
        if slots >= 1.0 {
            return Allowed::Slots(slots as u32, Duration::ZERO);
        }
        let pause = Duration::from_secs_f64((self.takes * (1.0 / slots - 1.0)).clamp(0.0, 1.0));
        Allowed::Slots(1, pause)
    }

    pub fn start(&mut self, now: Duration, count: u32) {
        self.started.extend((0..count).map(|_| now));
    }

    pub fn end(&mut self, now: Duration, count: u32) {
        for _ in 0..count {
            if let Some(at) = self.started.pop_front() {
                let took = now.saturating_sub(at).as_secs_f64();
                self.takes = if self.takes == 0.0 { took } else { 0.9 * self.takes + 0.1 * took };
            }
        }
        if self.started.is_empty() && self.probing.is_some() {
            // From here on it is calm.
            self.window = Waits::default();
            self.window_start = now;
            self.disturbed = false;
        }
    }

    /// For `perf dump`: seconds that clients wait when it is calm, and the share that recovery has.
    pub fn figures(&self) -> (f64, f64) {
        (self.calm.unwrap_or_default(), self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Windows of 100 ms in which clients wait `each` ms an operation, by how much recovery they get.
    fn run(p: &mut Pace, now: &mut u64, windows: usize, each: impl Fn(f64) -> f64) {
        for _ in 0..windows {
            *now += 100;
            let ops = 20;
            let total = Duration::from_secs_f64(each(p.share) * ops as f64 / 1000.0);
            p.measured(ms(*now), Waits { ops, total }, 1);
        }
    }

    fn calm(each_ms: u64) -> (Pace, u64) {
        let mut p = Pace::default();
        for i in 1..=10 {
            p.measured(ms(i * 100), Waits { ops: 20, total: ms(20 * each_ms) }, 0);
        }
        (p, 1000)
    }

    #[test]
    fn without_clients_recovery_has_all_there_is() {
        let mut p = Pace::default();
        p.measured(ms(600), Waits::default(), 3);
        assert_eq!(p.allowed(ms(600), 10, 0), Allowed::Slots(10, Duration::ZERO));
    }

    #[test]
    fn clients_that_wait_longer_slow_recovery_down_until_they_wait_little_longer() {
        let (mut p, mut now) = calm(2);
        // Full recovery makes them five times as slow.
        run(&mut p, &mut now, 100, |share| 2.0 + 8.0 * share);
        let each = 2.0 + 8.0 * p.share;
        assert!((2.3..3.1).contains(&each), "{each} ms at a share of {}", p.share);
        assert!(p.share > SHARE_MIN);
    }

    #[test]
    fn recovery_that_hurts_nobody_goes_on_at_full_speed() {
        let (mut p, mut now) = calm(2);
        run(&mut p, &mut now, 100, |_| 2.2);
        assert_eq!(p.share, 1.0);
    }

    #[test]
    fn when_the_clients_are_gone_the_speed_comes_back() {
        let (mut p, mut now) = calm(2);
        run(&mut p, &mut now, 50, |_| 50.0);
        assert_eq!(p.share, SHARE_MIN);
        for _ in 0..20 {
            now += 500;
            p.measured(ms(now), Waits::default(), 1);
        }
        assert_eq!(p.share, 1.0);
    }

    #[test]
    fn clients_of_whom_nothing_is_known_are_measured_first() {
        let mut p = Pace::default();
        p.measured(ms(10), Waits { ops: 10, total: ms(20) }, 1);
        p.start(ms(10), 1);
        assert_eq!(p.allowed(ms(20), 10, 1), Allowed::Until(ms(220)));
        p.end(ms(30), 1);
        p.measured(ms(90), Waits { ops: 20, total: ms(40) }, 0);
        assert_eq!(p.calm, Some(0.002));
        assert_eq!(p.allowed(ms(91), 10, 0), Allowed::Slots(10, Duration::ZERO));
    }
}
