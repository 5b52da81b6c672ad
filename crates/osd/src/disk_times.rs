//! How long the disk takes to keep a write and to give what is read: what `ceph osd perf` shows, and the word that a
//! disk has become slow.
//!
//! One write and one read at a time are followed from the moment they are asked for. One that does not come back
//! counts with its age, so that a disk that hangs is slow, too.

use std::time::Duration;

use node::Token;

/// Means are taken over so long.
const WINDOW: Duration = Duration::from_secs(10);
/// A disk that takes so long on average is worth a word, and no new one for a while.
const SLOW: Duration = Duration::from_secs(1);
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// Times of one kind.
#[derive(Debug, Default)]
struct Times {
    followed: Option<(Token, Duration)>,
    sum: Duration,
    count: u32,
    mean: Duration,
}

impl Times {
    fn begin(&mut self, token: Token, now: Duration) {
        self.followed.get_or_insert((token, now));
    }

    fn end(&mut self, is_over: impl Fn(Token) -> bool, now: Duration) {
        if let Some((_, began)) = self.followed.take_if(|(token, _)| is_over(*token)) {
            self.sum += now.saturating_sub(began);
            self.count += 1;
        }
    }

    fn close_window(&mut self, now: Duration) {
        let pending = self.followed.map_or(Duration::ZERO, |(_, began)| now.saturating_sub(began));
        let mean = self.sum.checked_div(self.count).unwrap_or_default();
        (self.sum, self.count) = (Duration::ZERO, 0);
        self.mean = mean.max(if pending > WINDOW { pending } else { Duration::ZERO });
    }
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub(crate) struct DiskTimes {
    writes: Times,
    reads: Times,
    window_ends: Duration,
    said_at: Option<Duration>,
}

impl DiskTimes {
    pub fn submitted(&mut self, token: Token, now: Duration) {
        self.writes.begin(token, now);
    }

    /// This transaction is kept, and all before it.
    pub fn committed(&mut self, token: Token, now: Duration) {
        self.writes.end(|t| t <= token, now);
    }

    pub fn read(&mut self, token: Token, now: Duration) {
        self.reads.begin(token, now);
    }

    pub fn read_done(&mut self, token: Token, now: Duration) {
        self.reads.end(|t| t == token, now);
    }

    /// What a write took in the last window.
    pub fn write_mean(&self) -> Duration {
        self.writes.mean
    }

    /// To be called about once a second; what is to be said of the disk, if anything.
    pub fn tick(&mut self, now: Duration) -> Option<String> {
        if now < self.window_ends {
            return None;
        }
        self.window_ends = now + WINDOW;
        self.writes.close_window(now);
        self.reads.close_window(now);
        let slow = self.writes.mean.max(self.reads.mean) >= SLOW;
        if !slow || self.said_at.is_some_and(|at| now < at + SAY_AGAIN) {
            return None;
        }
        self.said_at = Some(now);
        let secs = |t: &Times| format!("{:.1} s", t.mean.as_secs_f64());
        Some(format!(
            "its disk is slow: in the last {} s a write took {} on average, a read {}",
            WINDOW.as_secs(),
            secs(&self.writes),
            secs(&self.reads)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn a_disk_that_takes_long_is_called_slow_once_in_a_while() {
        let mut d = DiskTimes::default();
        assert_eq!(d.tick(s(0.0)), None);
        for n in 0..5_u32 {
            d.submitted(Token(n.into()), s(f64::from(n) * 2.0));
            d.committed(Token(n.into()), s(f64::from(n) * 2.0 + 1.5));
        }
        let said = d.tick(s(10.0)).expect("1.5 s a write");
        assert!(said.contains("a write took 1.5 s on average, a read 0.0 s"), "{said}");
        assert_eq!(d.write_mean(), s(1.5));
        d.submitted(Token(9), s(11.0));
        d.committed(Token(9), s(13.0));
        assert_eq!(d.tick(s(20.0)), None, "it was said");
    }

    #[test]
    fn a_disk_that_hangs_is_slow_and_a_quick_one_is_not() {
        let mut d = DiskTimes::default();
        d.tick(s(0.0));
        d.submitted(Token(1), s(1.0));
        d.committed(Token(3), s(1.001));
        assert_eq!(d.tick(s(10.0)), None);
        assert_eq!(d.write_mean(), s(0.001));
        d.read(Token(4), s(11.0));
        d.read(Token(5), s(12.0));
        assert_eq!(d.tick(s(20.0)), None, "it may yet come");
        assert!(d.tick(s(30.0)).expect("it does not come").contains("a read 19.0 s"));
    }
}
