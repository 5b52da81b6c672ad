//! How often this OSD was marked down though it lived. One that is marked down again and again harms the
//! cluster more than one that is gone: it stops, and says why (Ceph: `OSD::osd_markdown_log`).

use std::collections::VecDeque;
use std::time::Duration;

use types::options::Config;

/// The latest times, oldest first.
#[derive(Debug, Default)]
pub struct Markdowns(VecDeque<Duration>);

impl Markdowns {
    /// Notes one; the sentence to end with, if it was one too many.
    pub fn note(&mut self, mono: Duration, cfg: &Config) -> Option<String> {
        self.forget_old(mono, cfg);
        self.0.push_back(mono);
        let (most, period) = (cfg.u64("osd_max_markdown_count"), cfg.u64("osd_max_markdown_period"));
        let count = self.0.len() as u64;
        (count > most).then(|| {
            format!(
                "marked down {count} times in the last {period} s though it lives, more than osd_max_markdown_count \
                 ({most}): it stops. See in the cluster's log who reported it and why (network? a slow disk? too \
                 little memory?), then start it again"
            )
        })
    }

    /// Whether there was one in the last `osd_max_markdown_period`.
    pub fn any(&mut self, mono: Duration, cfg: &Config) -> bool {
        self.forget_old(mono, cfg);
        !self.0.is_empty()
    }

    fn forget_old(&mut self, mono: Duration, cfg: &Config) {
        let period = cfg.secs("osd_max_markdown_period");
        while self.0.front().is_some_and(|at| *at + period < mono) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_times_in_ten_minutes_is_too_often() {
        let (cfg, mut m) = (Config::daemon(), Markdowns::default());
        let secs = Duration::from_secs;
        for minute in 0..5 {
            assert_eq!(m.note(secs(60 * minute), &cfg), None);
        }
        assert_eq!(m.note(secs(601), &cfg), None, "the first is more than ten minutes ago");
        let why = m.note(secs(602), &cfg).expect("the sixth in ten minutes");
        assert!(why.starts_with("marked down 6 times in the last 600 s"), "{why}");
        assert!(m.any(secs(1_200), &cfg));
        assert!(!m.any(secs(1_300), &cfg));
    }
}
