//! Slots that PGs compete for: how many may recover or be filled at once (Ceph: `AsyncReserver`).
//!
//! Invariant: at most `max` keys hold a slot once [`Reserver::next`] has nothing to say.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use types::dump::Dump;

/// What becomes of somebody's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<K> {
    Granted(K),
    /// The slot goes to one more urgent; ask again.
    Preempted(K),
}

/// Grants at most `max` slots; the highest priority waits least, then the longest waiting. One of higher
/// priority takes the slot of the lowest.
#[derive(Debug)]
pub struct Reserver<K: Ord + Copy> {
    max: usize,
    next_seq: u64,
    held: BTreeMap<K, u32>,
    waiting: BTreeMap<(Reverse<u32>, u64), K>,
}

impl<K: Ord + Copy> Reserver<K> {
    pub fn new(max: usize) -> Self {
        Self { max, next_seq: 0, held: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Queues for a slot. One who holds or waits already keeps the place.
    pub fn request(&mut self, key: K, priority: u32) {
        if self.held.contains_key(&key) || self.waiting.values().any(|k| *k == key) {
            return;
        }
        self.next_seq += 1;
        self.waiting.insert((Reverse(priority), self.next_seq), key);
    }

    /// Somebody became more urgent, or less. One who waits goes to the end of the new row.
    pub fn update(&mut self, key: K, priority: u32) {
        if let Some(held) = self.held.get_mut(&key) {
            *held = priority;
        } else if let Some((place, _)) = self.waiting.iter().find(|(_, k)| **k == key) {
            let place = *place;
            if place.0 != Reverse(priority) {
                self.waiting.remove(&place);
                self.request(key, priority);
            }
        }
    }

    /// Gives the slot back, or leaves the queue.
    pub fn cancel(&mut self, key: K) {
        if self.held.remove(&key).is_none() {
            self.waiting.retain(|_, k| *k != key);
        }
    }

    /// The next thing to tell somebody, if there is one.
    #[expect(clippy::should_implement_trait, reason = "what comes next depends on what is done between")]
    pub fn next(&mut self) -> Option<Verdict<K>> {
        let lowest = self.held.iter().min_by_key(|(_, p)| **p).map(|(k, p)| (*k, *p));
        let first = self.waiting.first_key_value().map(|((Reverse(p), _), _)| *p);
        if let Some((key, held)) = lowest
            && (self.held.len() > self.max || self.held.len() == self.max && first.is_some_and(|p| p > held))
        {
            self.held.remove(&key);
            return Some(Verdict::Preempted(key));
        }
        if self.held.len() >= self.max {
            return None;
        }
        let ((Reverse(priority), _), key) = self.waiting.pop_first()?;
        self.held.insert(key, priority);
        Some(Verdict::Granted(key))
    }

    /// As `dump_recovery_reservations` shows it.
    pub fn dump(&self) -> Dump
    where
        K: std::fmt::Display,
    {
        let item = |key: &K, priority: u32| {
            Dump::obj().with("item", key.to_string()).with("prio", priority).with("can_preempt", true)
        };
        let mut rows: BTreeMap<u32, Vec<Dump>> = BTreeMap::new();
        for ((Reverse(priority), _), key) in &self.waiting {
            rows.entry(*priority).or_default().push(item(key, *priority));
        }
        let queues =
            rows.into_iter().map(|(p, items)| Dump::obj().with("priority", p).with("items", Dump::arr("item", items)));
        let held = self.held.iter().map(|(k, p)| item(k, *p));
        Dump::obj()
            .with("max_allowed", self.max as u64)
            .with("min_priority", 0)
            .with("queues", Dump::arr("queue", queues.collect::<Vec<_>>()))
            .with("in_progress", Dump::arr("item", held.collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Granted, Preempted};
    use super::*;

    fn all(r: &mut Reserver<char>) -> Vec<Verdict<char>> {
        std::iter::from_fn(|| r.next()).collect()
    }

    #[test]
    fn slots_go_to_the_highest_priority_then_to_the_longest_waiting() {
        let mut r = Reserver::new(2);
        for (key, priority) in [('a', 1), ('b', 1), ('c', 9), ('a', 5)] {
            r.request(key, priority);
        }
        assert_eq!(all(&mut r), [Granted('c'), Granted('a')]);
        r.cancel('c');
        assert_eq!(all(&mut r), [Granted('b')]);
    }

    #[test]
    fn one_more_urgent_takes_the_slot_of_the_least_urgent_and_an_equal_does_not() {
        let mut r = Reserver::new(1);
        r.request('a', 5);
        r.request('b', 5);
        assert_eq!(all(&mut r), [Granted('a')]);
        r.request('c', 6);
        assert_eq!(all(&mut r), [Preempted('a'), Granted('c')]);
        r.cancel('c');
        assert_eq!(all(&mut r), [Granted('b')]);
    }

    #[test]
    fn one_who_becomes_more_urgent_overtakes() {
        let mut r = Reserver::new(1);
        for key in ['a', 'b', 'c'] {
            r.request(key, 5);
        }
        assert_eq!(all(&mut r), [Granted('a')]);
        r.update('c', 254);
        assert_eq!(all(&mut r), [Preempted('a'), Granted('c')]);
        r.update('c', 1);
        assert_eq!(all(&mut r), [Preempted('c'), Granted('b')]);
    }

    #[test]
    fn when_there_are_fewer_slots_the_least_urgent_lose_theirs() {
        let mut r = Reserver::new(2);
        r.request('a', 5);
        r.request('b', 6);
        assert_eq!(all(&mut r), [Granted('b'), Granted('a')]);
        r.set_max(1);
        assert_eq!(all(&mut r), [Preempted('a')]);
    }
}
