//! What a client may see, given what it was told.
//!
//! Every write has one of three outcomes: *acked*, *failed*, or *unknown* (it may happen yet, or not).
//! Rules that are checked at each read and once more at the end:
//! - What was acked before a read began is in it.
//! - Nothing is in it that was never written, or that has failed.
//! - Nothing is in it twice, and no write is there in part.
//! - Reads do not go back in time: what a completed read has shown, a later one shows too.
//!
//! A rule that is broken panics with the object and what was seen.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Acked,
    Failed,
    Unknown,
}

/// How often each came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub acked: u64,
    pub failed: u64,
    pub unknown: u64,
    pub reads: u64,
}

/// An object to which records of [`RECORD`] bytes are appended.
#[derive(Debug, Default)]
struct AppendLog {
    /// Written and not failed.
    possible: BTreeSet<Bytes>,
    acked: Vec<Bytes>,
    /// The longest content that a read has shown.
    seen: Bytes,
}

/// A number that is raised by one if nobody else did.
#[derive(Debug, Default)]
struct Counter {
    /// The values whose writers were told that they made them.
    acked: BTreeSet<u64>,
    /// Values that somebody may have made, and how many such attempts there are.
    possible: BTreeMap<u64, u32>,
    seen: u64,
}

/// An object that one client writes whole, again and again.
#[derive(Debug, Default)]
struct Whole {
    submitted: u64,
    acked: u64,
    failed: BTreeSet<u64>,
    seen: u64,
}

/// Bytes of a record of an append log.
pub const RECORD: usize = 23;

/// What a read that begins now must at least show.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    acked: usize,
    seen: u64,
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub struct Oracle {
    logs: BTreeMap<String, AppendLog>,
    counters: BTreeMap<String, Counter>,
    wholes: BTreeMap<String, Whole>,
    pub counts: Counts,
}

impl Oracle {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Acked => self.counts.acked += 1,
            Outcome::Failed => self.counts.failed += 1,
            Outcome::Unknown => self.counts.unknown += 1,
        }
    }

    pub fn objects(&self) -> Vec<String> {
        self.logs.keys().chain(self.counters.keys()).chain(self.wholes.keys()).cloned().collect()
    }

    // --- append logs

    pub fn append_begins(&mut self, object: &str, record: &Bytes) {
        assert_eq!(record.len(), RECORD);
        assert!(self.logs.entry(object.to_owned()).or_default().possible.insert(record.clone()), "records are unique");
    }

    pub fn append_ends(&mut self, object: &str, record: &Bytes, outcome: Outcome) {
        self.count(outcome);
        let log = self.logs.entry(object.to_owned()).or_default();
        match outcome {
            Outcome::Acked => log.acked.push(record.clone()),
            Outcome::Failed => {
                log.possible.remove(record);
            }
            Outcome::Unknown => {}
        }
    }

    // --- counters

    pub fn raise_begins(&mut self, object: &str, to: u64) {
        *self.counters.entry(object.to_owned()).or_default().possible.entry(to).or_default() += 1;
    }

    pub fn raise_ends(&mut self, object: &str, to: u64, outcome: Outcome) {
        self.count(outcome);
        let counter = self.counters.entry(object.to_owned()).or_default();
        if outcome != Outcome::Unknown
            && let Some(n) = counter.possible.get_mut(&to)
        {
            *n -= 1;
            if *n == 0 {
                counter.possible.remove(&to);
            }
        }
        if outcome == Outcome::Acked {
            assert!(counter.acked.insert(to), "{object}: two writers were told that they raised it to {to}");
        }
    }

    // --- wholes

    /// The next version to write.
    pub fn whole_begins(&mut self, object: &str) -> u64 {
        let whole = self.wholes.entry(object.to_owned()).or_default();
        whole.submitted += 1;
        whole.submitted
    }

    pub fn whole_ends(&mut self, object: &str, version: u64, outcome: Outcome) {
        self.count(outcome);
        let whole = self.wholes.entry(object.to_owned()).or_default();
        match outcome {
            Outcome::Acked => whole.acked = whole.acked.max(version),
            Outcome::Failed => {
                whole.failed.insert(version);
            }
            Outcome::Unknown => {}
        }
    }

    // --- reads

    pub fn read_begins(&self, object: &str) -> Floor {
        if let Some(log) = self.logs.get(object) {
            return Floor { acked: log.acked.len(), seen: log.seen.len() as u64 };
        }
        if let Some(counter) = self.counters.get(object) {
            return Floor { acked: 0, seen: counter.seen.max(counter.acked.last().copied().unwrap_or(0)) };
        }
        let whole = self.wholes.get(object);
        Floor { acked: 0, seen: whole.map_or(0, |w| w.seen.max(w.acked)) }
    }

    pub fn log_read(&mut self, object: &str, floor: Floor, content: &Bytes) {
        self.counts.reads += 1;
        let log = self.logs.entry(object.to_owned()).or_default();
        assert_eq!(content.len() % RECORD, 0, "{object}: a torn record at the end of {} bytes", content.len());
        let mut there = BTreeSet::new();
        for at in (0..content.len()).step_by(RECORD) {
            let record = content.slice(at..at + RECORD);
            let text = String::from_utf8_lossy(&record).into_owned();
            assert!(log.possible.contains(&record), "{object} at {at}: '{text}' was never written, or has failed");
            assert!(there.insert(record), "{object} at {at}: '{text}' is there twice");
        }
        for record in &log.acked[..floor.acked] {
            let text = String::from_utf8_lossy(record);
            assert!(there.contains(record), "{object}: '{text}' was acked and is lost");
        }
        assert!(content.len() as u64 >= floor.seen, "{object}: a read went back from {} bytes", floor.seen);
        let common = content.len().min(log.seen.len());
        assert_eq!(content[..common], log.seen[..common], "{object}: what was read before has changed");
        if content.len() > log.seen.len() {
            log.seen = content.clone();
        }
    }

    pub fn counter_read(&mut self, object: &str, floor: Floor, value: u64) {
        self.counts.reads += 1;
        let counter = self.counters.entry(object.to_owned()).or_default();
        assert!(value >= floor.seen, "{object}: it is {value} and was {}", floor.seen);
        for n in counter.seen + 1..=value {
            let made = counter.acked.contains(&n) || counter.possible.contains_key(&n);
            assert!(made, "{object}: it is {value}, and nobody can have raised it to {n}");
        }
        counter.seen = counter.seen.max(value);
    }

    /// `version`, as an attribute that was written with the data says.
    pub fn whole_read(&mut self, object: &str, floor: Floor, content: &Bytes, version: u64) {
        self.counts.reads += 1;
        let whole = self.wholes.entry(object.to_owned()).or_default();
        assert!(version >= floor.seen, "{object}: version {version} after version {}", floor.seen);
        assert!(version <= whole.submitted, "{object}: version {version} was never written");
        assert!(!whole.failed.contains(&version), "{object}: version {version} had failed");
        assert_eq!(*content, whole_content(object, version), "{object}: version {version} is torn or mixed");
        whole.seen = whole.seen.max(version);
    }
}

/// What version `version` of an object holds; nothing before the first.
pub fn whole_content(object: &str, version: u64) -> Bytes {
    if version == 0 {
        return Bytes::new();
    }
    let seed = object.bytes().fold(version, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = Rng::new(seed);
    let words = rng.below(1_500) as usize + 1;
    (0..words).flat_map(|_| rng.next().to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u32) -> Bytes {
        format!("record {n:015}\n").into()
    }

    fn two_appends() -> (Oracle, Floor) {
        let mut o = Oracle::default();
        for n in 1..=2 {
            o.append_begins("log", &record(n));
        }
        o.append_ends("log", &record(1), Outcome::Acked);
        let floor = o.read_begins("log");
        (o, floor)
    }

    #[test]
    fn an_unknown_write_may_be_there_or_not() {
        let (mut o, floor) = two_appends();
        o.append_ends("log", &record(2), Outcome::Unknown);
        o.log_read("log", floor, &record(1));
        o.log_read("log", floor, &[record(1), record(2)].concat().into());
    }

    #[test]
    #[should_panic(expected = "was acked and is lost")]
    fn a_lost_write_is_found() {
        let (mut o, floor) = two_appends();
        o.log_read("log", floor, &Bytes::new());
    }

    #[test]
    #[should_panic(expected = "is there twice")]
    fn a_doubled_append_is_found() {
        let (mut o, floor) = two_appends();
        o.log_read("log", floor, &[record(1), record(1)].concat().into());
    }

    #[test]
    #[should_panic(expected = "a read went back")]
    fn a_stale_read_is_found() {
        let (mut o, floor) = two_appends();
        o.log_read("log", floor, &[record(1), record(2)].concat().into());
        let floor = o.read_begins("log");
        o.log_read("log", floor, &record(1));
    }

    #[test]
    #[should_panic(expected = "two writers were told")]
    fn a_lost_increment_is_found() {
        let mut o = Oracle::default();
        o.raise_begins("n", 1);
        o.raise_begins("n", 1);
        o.raise_ends("n", 1, Outcome::Acked);
        o.raise_ends("n", 1, Outcome::Acked);
    }

    #[test]
    #[should_panic(expected = "nobody can have raised it to 2")]
    fn an_increment_that_had_failed_is_found() {
        let mut o = Oracle::default();
        for to in 1..=2 {
            o.raise_begins("n", to);
        }
        o.raise_ends("n", 1, Outcome::Acked);
        o.raise_ends("n", 2, Outcome::Failed);
        let floor = o.read_begins("n");
        o.counter_read("n", floor, 2);
    }

    #[test]
    #[should_panic(expected = "torn or mixed")]
    fn a_mixed_object_is_found() {
        let mut o = Oracle::default();
        o.whole_begins("w");
        let floor = o.read_begins("w");
        o.whole_read("w", floor, &Bytes::from_static(b"x"), 1);
    }
}
