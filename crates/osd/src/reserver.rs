//! Slots that PGs compete for: how many may recover or be filled at once (Ceph: `AsyncReserver`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Grants at most `max` slots; the highest priority waits least, then the longest waiting.
#[derive(Debug)]
pub struct Reserver<K: Ord + Copy> {
    max: usize,
    next_seq: u64,
    held: BTreeSet<K>,
    waiting: BTreeMap<(Reverse<u32>, u64), K>,
}

impl<K: Ord + Copy> Reserver<K> {
    pub fn new(max: usize) -> Self {
        Self { max, next_seq: 0, held: BTreeSet::new(), waiting: BTreeMap::new() }
    }

    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Queues for a slot. One who holds or waits already keeps the place.
    pub fn request(&mut self, key: K, priority: u32) {
        if self.held.contains(&key) || self.waiting.values().any(|k| *k == key) {
            return;
        }
        self.next_seq += 1;
        self.waiting.insert((Reverse(priority), self.next_seq), key);
    }

    /// Gives the slot back, or leaves the queue.
    pub fn cancel(&mut self, key: K) {
        if !self.held.remove(&key) {
            self.waiting.retain(|_, k| *k != key);
        }
    }

    /// Grants one more slot, if one is free and wanted.
    pub fn grant(&mut self) -> Option<K> {
        if self.held.len() >= self.max {
            return None;
        }
        let (_, key) = self.waiting.pop_first()?;
        self.held.insert(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_go_to_the_highest_priority_then_to_the_longest_waiting() {
        let mut r = Reserver::new(2);
        for (key, priority) in [('a', 1), ('b', 1), ('c', 9), ('a', 5)] {
            r.request(key, priority);
        }
        assert_eq!((r.grant(), r.grant(), r.grant()), (Some('c'), Some('a'), None));
        r.cancel('c');
        assert_eq!((r.grant(), r.grant()), (Some('b'), None));
    }
}
