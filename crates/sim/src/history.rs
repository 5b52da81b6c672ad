//! What clients saw, and whether a cluster that does one thing at a time could have shown it.
//!
//! Of each object the history of all operations is kept: when it began, when it ended, what it answered. The
//! history is right if the operations can be put in an order that keeps to real time (one that ended before
//! another began comes first) in which every answer is what [`crate::model`] gives. So no acknowledged
//! write is lost, none is applied twice or in part, and no read goes back in time.
//!
//! An operation whose outcome nobody heard of is *unknown*: it may take effect at any time after it began,
//! or never.
//!
//! Searching all orders would take for ever, but three things make it quick:
//! - What changes nothing (a read, a refusal) may be put in place as soon as its answer fits.
//! - The cluster itself says in which order writes happened: their versions grow. That they do is
//!   demanded as well.
//! - So only unknown operations are guesses, and a set of operations done that leads to the same
//!   object is not tried twice.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::model::{self, Answer, Op, State};

/// How often each came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes.
    pub acked: u64,
    /// Writes that were refused: by a comparison, or because something was there or was not.
    pub failed: u64,
    pub unknown: u64,
    pub reads: u64,
}

/// Names an operation in the history.
pub type OpId = usize;

#[derive(Debug)]
struct Event {
    op: Op,
    who: usize,
    began: u64,
    /// When, what, and as which version; `None` while it is unknown.
    ended: Option<(u64, Answer, u64)>,
    at: Duration,
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub struct History {
    objects: BTreeMap<String, Vec<OpId>>,
    events: Vec<Event>,
    clock: u64,
    pub counts: Counts,
}

impl History {
    pub fn begins(&mut self, at: Duration, who: usize, object: &str, op: Op) -> OpId {
        self.clock += 1;
        let id = self.events.len();
        self.objects.entry(object.to_owned()).or_default().push(id);
        self.events.push(Event { op, who, began: self.clock, ended: None, at });
        id
    }

    pub fn ends(&mut self, id: OpId, answer: Answer, version: u64) {
        self.clock += 1;
        let event = &mut self.events[id];
        match (&answer, model::is_write(&event.op)) {
            (Answer::Errno(_), true) => self.counts.failed += 1,
            (_, true) => self.counts.acked += 1,
            (_, false) => self.counts.reads += 1,
        }
        event.ended = Some((self.clock, answer, version));
    }

    pub fn objects(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    /// Judges everything.
    ///
    /// # Errors
    /// Which object's history cannot be, and where it stops making sense.
    pub fn check(&self) -> Result<(), String> {
        for (object, ids) in &self.objects {
            let events: Vec<&Event> = ids.iter().map(|id| &self.events[*id]).collect();
            Search::new(&events).run().map_err(|why| format!("{object}: {why}"))?;
        }
        Ok(())
    }
}

/// Gives up, in favour of the cluster, after so many guesses.
const STEPS_MAX: usize = 200_000;

/// The search for an order of one object's operations.
struct Search<'a> {
    events: &'a [&'a Event],
    /// Successful writes by version.
    by_version: Vec<usize>,
    seen: HashSet<(Vec<u64>, u64)>,
    steps: usize,
    /// The longest order found, for the report.
    best: (usize, Vec<usize>, State),
}

/// How far one attempt has come.
#[derive(Clone)]
struct Attempt {
    done: Vec<u64>,
    order: Vec<usize>,
    /// Successful writes that are in place.
    writes: usize,
    /// All events before this one are done or unknown.
    first: usize,
    state: State,
}

impl Attempt {
    fn has(&self, n: usize) -> bool {
        self.done[n / 64] & 1 << (n % 64) != 0
    }

    fn put(&mut self, n: usize) {
        self.done[n / 64] |= 1 << (n % 64);
        self.order.push(n);
    }
}

impl<'a> Search<'a> {
    fn new(events: &'a [&'a Event]) -> Self {
        let version = |n: &usize| match &events[*n].ended {
            Some((_, Answer::Ok, version)) => Some(*version),
            _ => None,
        };
        let mut by_version: Vec<usize> = (0..events.len()).filter(|n| version(n).is_some()).collect();
        by_version.sort_by_key(version);
        Self { events, by_version, seen: HashSet::new(), steps: 0, best: (0, Vec::new(), None) }
    }

    fn run(mut self) -> Result<(), String> {
        let words = self.events.len().div_ceil(64);
        let start = Attempt { done: vec![0; words], order: Vec::new(), writes: 0, first: 0, state: None };
        let mut stack = vec![start];
        while let Some(mut attempt) = stack.pop() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Ok(());
            }
            if self.advance(&mut attempt) {
                return Ok(());
            }
            if attempt.order.len() > self.best.0 || self.best.0 == 0 {
                self.best = (attempt.order.len(), attempt.order.clone(), attempt.state.clone());
            }
            if self.seen.insert((attempt.done.clone(), model::digest_of(&attempt.state))) {
                self.branch(&attempt, &mut stack);
            }
        }
        Err(self.report())
    }

    /// The earliest end among those that are not in place: who begins later has to wait.
    fn horizon(&self, attempt: &mut Attempt) -> u64 {
        while self.events.get(attempt.first).is_some_and(|e| attempt.has(attempt.first) || e.ended.is_none()) {
            attempt.first += 1;
        }
        let mut horizon = u64::MAX;
        for n in attempt.first..self.events.len() {
            if self.events[n].began > horizon {
                break;
            }
            if !attempt.has(n)
                && let Some((end, ..)) = self.events[n].ended
            {
                horizon = horizon.min(end);
            }
        }
        horizon
    }

    /// Puts in place what changes nothing and fits; gives whether all is in place.
    fn advance(&self, attempt: &mut Attempt) -> bool {
        loop {
            let horizon = self.horizon(attempt);
            if horizon == u64::MAX {
                return true;
            }
            let mut moved = false;
            for n in attempt.first..self.events.len() {
                let event = self.events[n];
                if event.began > horizon {
                    break;
                }
                let Some((_, answer, _)) = &event.ended else { continue };
                if attempt.has(n) || *answer == Answer::Ok {
                    continue;
                }
                if fits(answer, &model::apply(&attempt.state, &event.op).1) {
                    attempt.put(n);
                    moved = true;
                }
            }
            if !moved {
                return false;
            }
        }
    }

    /// What could come next: the next write by version, or, as a guess, one that is unknown.
    fn branch(&self, attempt: &Attempt, stack: &mut Vec<Attempt>) {
        let horizon = self.horizon(&mut attempt.clone());
        for n in 0..self.events.len() {
            let event = self.events[n];
            if event.began > horizon {
                break;
            }
            if event.ended.is_none() && !attempt.has(n) {
                let (state, answer) = model::apply(&attempt.state, &event.op);
                if answer == Answer::Ok && state != attempt.state {
                    let mut next = attempt.clone();
                    next.put(n);
                    next.state = state;
                    stack.push(next);
                }
            }
        }
        // Last on the stack is tried first.
        if let Some(n) = self.by_version.get(attempt.writes).filter(|n| self.events[**n].began <= horizon) {
            let (state, answer) = model::apply(&attempt.state, &self.events[*n].op);
            if answer == Answer::Ok {
                let mut next = attempt.clone();
                next.put(*n);
                next.writes += 1;
                next.state = state;
                stack.push(next);
            }
        }
    }

    fn report(&self) -> String {
        let (_, order, state) = &self.best;
        let mut text =
            String::from("no order of what clients did explains what they saw. The longest that does ends:\n");
        for n in order.iter().rev().take(12).rev() {
            text += &format!("    {}\n", self.line(*n));
        }
        let object = model::describe_all(state);
        text += &format!("  Then the object is {object}\n  and next may come none of\n");
        let done: HashSet<usize> = order.iter().copied().collect();
        let rest = (0..self.events.len()).filter(|n| !done.contains(n));
        for n in rest.take(12) {
            text += &format!("    {}\n", self.line(n));
        }
        text
    }

    fn line(&self, n: usize) -> String {
        let e = self.events[n];
        let ended = match &e.ended {
            Some((end, answer, version)) => format!("until {end}: {answer:?} version {version}"),
            None => "outcome unknown".to_owned(),
        };
        let mut op = format!("{:?}", e.op);
        if let Some((at, _)) = op.char_indices().nth(160) {
            op.truncate(at);
            op += "…";
        }
        format!("{:.6} client {} {op} from {} {ended}", e.at.as_secs_f64(), e.who, e.began)
    }
}

/// Reads are told apart by their digests.
fn fits(seen: &Answer, expected: &Answer) -> bool {
    match (seen, expected) {
        (Answer::Read(a, _), Answer::Read(b, _)) => a == b,
        (seen, expected) => seen == expected,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::Action;

    const ZERO: Duration = Duration::ZERO;

    fn append(text: &'static str) -> Op {
        vec![Action::Append(Bytes::from_static(text.as_bytes()))]
    }

    fn sees(text: &str) -> Answer {
        let object = model::Object { data: text.as_bytes().to_vec(), ..Default::default() };
        model::apply(&Some(model::Family::from(object).into()), &vec![Action::ReadAll]).1
    }

    /// Reads the object now.
    fn read(h: &mut History, answer: Answer) {
        let id = h.begins(ZERO, 9, "o", vec![Action::ReadAll]);
        h.ends(id, answer, 0);
    }

    #[test]
    fn an_unknown_write_may_happen_or_not_or_late() {
        for shown in [["", "", "b"], ["", "b", "b"], ["b", "b", "b"], ["", "", ""]] {
            let mut h = History::default();
            let id = h.begins(ZERO, 0, "o", vec![Action::Touch]);
            h.ends(id, Answer::Ok, 1);
            h.begins(ZERO, 0, "o", append("b"));
            shown.iter().for_each(|text| read(&mut h, sees(text)));
            assert_eq!(h.check(), Ok(()));
        }
    }

    #[test]
    fn a_lost_write_a_doubled_one_and_a_read_that_goes_back_are_found() {
        for shown in [vec!["a"], vec!["abb"], vec!["ab", "a"], vec!["ba"], vec![""]] {
            let mut h = History::default();
            for (n, text) in ["a", "b"].into_iter().enumerate() {
                let id = h.begins(ZERO, 0, "o", append(text));
                h.ends(id, Answer::Ok, n as u64 + 1);
            }
            shown.iter().for_each(|text| read(&mut h, sees(text)));
            assert!(h.check().is_err(), "{shown:?}");
        }
    }

    #[test]
    fn versions_that_go_back_are_found() {
        let mut h = History::default();
        for (text, version) in [("a", 2), ("b", 1)] {
            let id = h.begins(ZERO, 0, "o", append(text));
            h.ends(id, Answer::Ok, version);
        }
        assert!(h.check().is_err());
    }

    #[test]
    fn concurrent_operations_may_come_in_either_order() {
        for shown in ["ab", "ba"] {
            let mut h = History::default();
            let (a, b) = (h.begins(ZERO, 0, "o", append("a")), h.begins(ZERO, 1, "o", append("b")));
            let (first, second) = if shown == "ab" { (1, 2) } else { (2, 1) };
            h.ends(b, Answer::Ok, second);
            h.ends(a, Answer::Ok, first);
            read(&mut h, sees(shown));
            assert_eq!(h.check(), Ok(()));
        }
    }

    #[test]
    fn two_winners_of_one_comparison_are_found() {
        let mut h = History::default();
        let id = h.begins(ZERO, 0, "o", vec![Action::Touch]);
        h.ends(id, Answer::Ok, 1);
        for (version, value) in [(2, "1"), (3, "2")] {
            let op =
                vec![Action::Compare("n", Bytes::new()), Action::SetXattr("n", Bytes::from_static(value.as_bytes()))];
            let id = h.begins(ZERO, 0, "o", op);
            h.ends(id, Answer::Ok, version);
        }
        assert!(h.check().is_err());
    }
}
