//! How long a peer's answers take over one network: average, least and most over 1, 5 and 15 minutes.
//!
//! As in Ceph, answers are summed up by the minute and fifteen minutes are kept
//! (Ceph: `OSD::handle_osd_ping`, `hb_vector_size`); until they have passed, the averages are over what there is.
//! The minute under way does not count: the first answer after a start may be a slow one.

use std::collections::VecDeque;
use std::time::Duration;

use types::PingTimes;

const MINUTE: Duration = Duration::from_secs(60);
const KEPT: usize = 15;

/// The answers of one minute, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    total: u64,
    min: u32,
    max: u32,
}

impl Sum {
    fn add(&mut self, us: u32) {
        self.min = if self.count == 0 { us } else { self.min.min(us) };
        self.max = self.max.max(us);
        self.total += u64::from(us);
        self.count += 1;
    }

    fn merged(self, o: &Self) -> Self {
        let min = if self.count == 0 || o.count > 0 && o.min < self.min { o.min } else { self.min };
        Self { count: self.count + o.count, total: self.total + o.total, min, max: self.max.max(o.max) }
    }
}

/// See the file's documentation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// The latest minute first; the first is under way.
    minutes: VecDeque<Sum>,
    began: Duration,
    last: u32,
}

impl Window {
    pub fn add(&mut self, now: Duration, took: Duration) {
        if self.minutes.is_empty() || now >= self.began + MINUTE {
            self.began = now;
            self.minutes.push_front(Sum::default());
            self.minutes.truncate(KEPT + 1);
        }
        // Zero means that there is no answer yet.
        self.last = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        self.minutes[0].add(self.last);
    }

    /// Before the first whole minute.
    pub fn is_empty(&self) -> bool {
        self.minutes.len() < 2
    }

    pub fn times(&self) -> PingTimes {
        let sums = [1, 5, 15].map(|n| self.minutes.iter().skip(1).take(n).fold(Sum::default(), Sum::merged));
        PingTimes {
            pingtime: sums.map(|s| s.total.checked_div(s.count).unwrap_or(0) as u32),
            min: sums.map(|s| s.min),
            max: sums.map(|s| s.max),
            last: self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_counts_in_the_minutes_it_belongs_to_and_leaves_with_them() {
        let mut w = Window::default();
        let mut at = |minute: u64, ms: u64| w.add(Duration::from_secs(minute * 60), Duration::from_millis(ms));
        at(0, 100);
        at(1, 2);
        at(1, 4);
        at(2, 9);
        at(3, 7);
        let t = w.times();
        assert_eq!((t.pingtime, t.last), ([9_000, 28_750, 28_750], 7_000));
        assert_eq!((t.min, t.max), ([9_000, 2_000, 2_000], [9_000, 100_000, 100_000]));
        for minute in 4..17 {
            w.add(Duration::from_secs(minute * 60), Duration::from_millis(1));
        }
        assert_eq!(w.times().max, [1_000, 1_000, 9_000], "the slow answer is more than fifteen minutes old");
    }

    #[test]
    fn the_minute_under_way_does_not_count() {
        let mut w = Window::default();
        w.add(Duration::from_secs(1), Duration::from_secs(2));
        assert!(w.is_empty());
        assert_eq!(w.times().pingtime, [0; 3]);
    }
}
