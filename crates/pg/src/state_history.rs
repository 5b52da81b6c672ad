//! Which states a PG went through, and how long it was in each: `dump_pgstate_history`, `dump_pg_recovery_stats`
//! (Ceph: `PGStateHistory`, `PGRecoveryStats`).
//!
//! Unlike Ceph, which keeps what enclosed a state only as long as it lasts, every innermost state is noted with its
//! whole name.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use node::Now;
use types::dump::Dump;
use types::{Epoch, UTime};

/// So many of the last states are kept.
const KEPT: usize = 20;

/// How often a state was entered and left, and how long it lasted.
#[derive(Debug, Clone, Copy, Default)]
pub struct StateTime {
    entered: u64,
    left: u64,
    total: Duration,
    min: Duration,
    max: Duration,
}

impl StateTime {
    fn lasted(&mut self, time: Duration) {
        self.min = if self.left == 0 { time } else { self.min.min(time) };
        self.max = self.max.max(time);
        self.left += 1;
        self.total += time;
    }
}

/// By the state's whole name.
pub type StateTimes = BTreeMap<&'static str, StateTime>;

#[derive(Debug)]
struct Past {
    epoch: Epoch,
    name: &'static str,
    enter: UTime,
    exit: UTime,
}

#[derive(Debug)]
pub struct StateHistory {
    now: (&'static str, Epoch, Now),
    past: VecDeque<Past>,
    times: StateTimes,
}

impl StateHistory {
    pub fn new(name: &'static str, epoch: Epoch, now: Now) -> Self {
        let first = StateTime { entered: 1, ..StateTime::default() };
        Self { now: (name, epoch, now), past: VecDeque::new(), times: [(name, first)].into() }
    }

    /// The PG is in this state, perhaps since before.
    pub fn is_in(&mut self, name: &'static str, epoch: Epoch, now: Now) {
        let (before, since_epoch, since) = self.now;
        if before == name {
            return;
        }
        self.times.entry(before).or_default().lasted(now.mono.saturating_sub(since.mono));
        self.times.entry(name).or_default().entered += 1;
        self.past.push_back(Past { epoch: since_epoch, name: before, enter: since.wall, exit: now.wall });
        if self.past.len() > KEPT {
            self.past.pop_front();
        }
        self.now = (name, epoch, now);
    }

    pub fn times(&self) -> &StateTimes {
        &self.times
    }

    /// Counts from here on.
    pub fn forget_times(&mut self) {
        self.times.clear();
        self.times.insert(self.now.0, StateTime { entered: 1, ..StateTime::default() });
    }

    /// One PG of `dump_pgstate_history`.
    pub fn dump(&self, pg: &str) -> Dump {
        let state = |p: &Past| {
            let one = Dump::obj().with("state", p.name).with("enter", p.enter).with("exit", p.exit);
            Dump::obj().with("epoch", Dump::text(p.epoch)).with("states", Dump::arr("state", [one]))
        };
        Dump::obj()
            .with("pg", pg.to_owned())
            .with("currently", self.now.0)
            .with("history", Dump::arr("epochs", self.past.iter().map(state)))
    }
}

/// Adds one PG's times to those of others.
pub fn add_times(sum: &mut StateTimes, more: &StateTimes) {
    for (name, t) in more {
        let s = sum.entry(name).or_default();
        s.min = match (s.left, t.left) {
            (0, _) => t.min,
            (_, 0) => s.min,
            _ => s.min.min(t.min),
        };
        s.max = s.max.max(t.max);
        s.entered += t.entered;
        s.left += t.left;
        s.total += t.total;
    }
}

/// `dump_pg_recovery_stats`. Events are not counted: a state's reaction is part of its time.
pub fn dump_times(times: &StateTimes) -> Dump {
    let secs = |d: Duration| format!("{:.6}", d.as_secs_f64());
    let one = |(name, t): (&&'static str, &StateTime)| {
        Dump::obj()
            .with("enter", t.entered)
            .with("exit", t.left)
            .with("total_time", secs(t.total))
            .with("min_time", secs(t.min))
            .with("max_time", secs(t.max))
            .with("nested_states", Dump::arr("state", name.split('/')))
    };
    Dump::arr("stat", times.iter().map(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        let mono = Duration::from_millis(ms);
        Now { mono, wall: UTime::from_duration(Duration::from_secs(1_700_000_000) + mono) }
    }

    #[test]
    fn states_are_kept_with_their_times_and_summed() {
        let mut h = StateHistory::new("Reset", 7, at(0));
        h.is_in("Started/Stray", 7, at(10));
        h.is_in("Started/Stray", 8, at(15));
        h.is_in("Reset", 9, at(40));
        h.is_in("Started/Stray", 9, at(60));
        let dump = h.dump("1.0").to_json();
        let first = r#"{"pg":"1.0","currently":"Started/Stray","history":[{"epoch":"7","states":[{"state":"Reset""#;
        assert!(dump.starts_with(first), "{dump}");
        let mut sum = h.times().clone();
        add_times(&mut sum, h.times());
        let times = dump_times(&sum).to_json();
        let reset = r#"{"enter":4,"exit":4,"total_time":"0.060000","min_time":"0.010000","max_time":"0.020000","nested_states":["Reset"]}"#;
        assert!(times.contains(reset), "{times}");
        assert!(times.contains(r#"{"enter":4,"exit":2,"total_time":"0.060000""#), "{times}");
    }
}
