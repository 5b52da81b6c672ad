//! Which objects may have a row: a Bloom filter over their keys.
//!
//! Making an object asks first whether it is there. The base answers that with a walk through its pages, the layers
//! above it with one through trees of keys, which together were a tenth of what a small write cost; the filter nearly
//! always with one look at a line of memory.
//!
//! Invariant: a key that has a row in the base or above it, or had one since the store was opened, is in the filter. A
//! key that is not in it has no row; one that is in it may have none.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Bits that one key sets, all in one line of memory.
const PROBES: u32 = 6;
/// With so many bits a key, six probes let through about one in two hundred absent ones.
const BITS_PER_KEY: usize = 16;
const FIRST_KEYS: usize = 32 << 10;

type Line = [u64; 8];

/// Filters of growing size; keys go into the last one.
#[derive(Debug, Default)]
pub struct Presence {
    filters: Vec<Vec<Line>>,
    /// How many keys the last one may yet take.
    room: usize,
}

/// The hash of a key. It is fixed: whoever chooses names to collide makes look-ups as slow as they would be without a
/// filter, and no slower.
fn hash(key: &[u8]) -> u64 {
    FixedState::with_seed(0).hash_one(key)
}

/// Line and bits of a key's hash.
fn places(hash: u64, lines: usize) -> (usize, impl Iterator<Item = (usize, u64)>) {
    let line = (((hash >> 32) * lines as u64) >> 32) as usize;
    // Nine bits each, of the half that did not choose the line, stirred: it has only 32.
    let stirred = (hash & 0xffff_ffff).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (line, (0..PROBES).map(move |i| (stirred >> (10 + 9 * i)) & 511).map(|bit| ((bit / 64) as usize, 1 << (bit % 64))))
}

impl Presence {
    pub fn insert(&mut self, key: &[u8]) {
        let hash = hash(key);
        if self.has(hash) {
            return;
        }
        if self.room == 0 {
            self.room = FIRST_KEYS << self.filters.len().min(20);
            self.filters.push(vec![Line::default(); self.room * BITS_PER_KEY / 512]);
        }
        self.room -= 1;
        let Some(filter) = self.filters.last_mut() else { return };
        let (line, bits) = places(hash, filter.len());
        bits.for_each(|(word, bit)| filter[line][word] |= bit);
    }

    pub fn may_hold(&self, key: &[u8]) -> bool {
        self.has(hash(key))
    }

    fn has(&self, hash: u64) -> bool {
        self.filters.iter().rev().any(|filter| {
            let (line, mut bits) = places(hash, filter.len());
            bits.all(|(word, bit)| filter[line][word] & bit != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(i: u32) -> Vec<u8> {
        format!("benchmark_data_host_{i}").into_bytes()
    }

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        let mut p = Presence::default();
        (0..200_000).for_each(|i| p.insert(&key(i)));
        assert!((0..200_000).all(|i| p.may_hold(&key(i))));
        let wrong = (200_000..300_000).filter(|i| p.may_hold(&key(*i))).count();
        assert!(wrong < 2_500, "{wrong} of 100,000");
    }

    #[test]
    fn an_empty_one_holds_nothing() {
        assert!(!Presence::default().may_hold(b"a"));
    }
}
