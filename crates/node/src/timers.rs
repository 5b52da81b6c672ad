//! A core's timers: keys with deadlines, asked in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// At most one deadline a key. Setting a key again moves it.
#[derive(Debug, Clone)]
pub struct Timers<K: Ord + Clone> {
    by_key: BTreeMap<K, Duration>,
    by_time: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Clone> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    pub fn set(&mut self, key: K, at: Duration) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    pub fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest key whose deadline has come.
    pub fn pop_due(&mut self, mono: Duration) -> Option<K> {
        if self.next()? > mono {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_fires_once_at_the_later_time() {
        let mut t = Timers::default();
        t.set("a", Duration::from_secs(1));
        t.set("b", Duration::from_secs(2));
        t.set("a", Duration::from_secs(3));
        assert_eq!(t.pop_due(Duration::from_secs(9)), Some("b"));
        assert_eq!(t.pop_due(Duration::from_secs(9)), Some("a"));
        assert_eq!(t.pop_due(Duration::from_secs(9)), None);
    }
}
