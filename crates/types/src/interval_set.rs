//! Sets of numbers kept as intervals: removed snaps, clean regions of an object, overlaps of clones.
//!
//! Invariants: intervals are in order, not empty, do not overlap and do not touch; none ends beyond
//! `u64::MAX`. Most sets hold one interval and live in PG log entries, so they are a plain vector.

use std::fmt;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

/// `interval_set<snapid_t>`, `interval_set<uint64_t>`: each interval's start and length.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntervalSet(Vec<(u64, u64)>);

impl IntervalSet {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives back memory that no interval takes.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn num_intervals(&self) -> usize {
        self.0.len()
    }

    /// How many numbers are in it.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|(_, l)| l).sum()
    }

    /// The intervals as `(start, length)`, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    pub fn range_start(&self) -> Option<u64> {
        self.0.first().map(|(s, _)| *s)
    }

    /// One past the last number.
    pub fn range_end(&self) -> Option<u64> {
        self.0.last().map(|(s, l)| s + l)
    }

    /// The interval that holds `n`.
    pub fn interval_of(&self, n: u64) -> Option<(u64, u64)> {
        let (s, l) = *self.0.get(self.0.partition_point(|(s, l)| s + l <= n))?;
        (s <= n).then_some((s, l))
    }

    pub fn contains(&self, n: u64) -> bool {
        self.interval_of(n).is_some()
    }

    /// Whether all of `start..start+len` is in it.
    pub fn contains_range(&self, start: u64, len: u64) -> bool {
        len == 0 || self.interval_of(start).is_some_and(|(s, l)| len <= l - (start - s))
    }

    pub fn intersects(&self, start: u64, len: u64) -> bool {
        !self.overlapping(start, start.saturating_add(len)).is_empty()
    }

    /// Which intervals have numbers of `start..end`; no numbers are in none.
    fn overlapping(&self, start: u64, end: u64) -> std::ops::Range<usize> {
        if start >= end {
            return 0..0;
        }
        let from = self.0.partition_point(|(s, l)| s + l <= start);
        from..self.0.partition_point(|(s, _)| *s < end).max(from)
    }

    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|(s, l)| other.contains_range(s, l))
    }

    /// Adds one number.
    pub fn insert_one(&mut self, n: u64) {
        self.insert(n, 1);
    }

    /// Adds `start..start+len`; what is already there does not matter (Ceph: `union_insert`).
    pub fn insert(&mut self, start: u64, len: u64) {
        if len == 0 {
            return;
        }
        let end = start.saturating_add(len);
        // What touches or overlaps becomes one with the new interval.
        let lo = self.0.partition_point(|(s, l)| s + l < start);
        let hi = self.0.partition_point(|(s, _)| *s <= end);
        let from = self.0[lo..hi].first().map_or(start, |(s, _)| start.min(*s));
        let to = self.0[lo..hi].last().map_or(end, |(s, l)| end.max(s + l));
        self.0.splice(lo..hi, [(from, to - from)]);
    }

    /// Takes `start..start+len` out; what of it is not there does not matter.
    pub fn erase(&mut self, start: u64, len: u64) {
        let end = start.saturating_add(len);
        let hit = self.overlapping(start, end);
        let (Some((first, _)), Some((s, l))) = (self.0[hit.clone()].first(), self.0[hit.clone()].last()) else {
            return;
        };
        let (first, last) = (*first, s + l);
        let before = (first < start).then(|| (first, start - first));
        let after = (last > end).then(|| (end, last - end));
        self.0.splice(hit, before.into_iter().chain(after));
    }

    pub fn union_of(&mut self, other: &Self) {
        other.iter().for_each(|(s, l)| self.insert(s, l));
    }

    pub fn subtract(&mut self, other: &Self) {
        other.iter().for_each(|(s, l)| self.erase(s, l));
    }

    pub fn intersection_of(&mut self, other: &Self) {
        let mut out = Self::default();
        for (s, l) in self.iter() {
            for (os, ol) in &other.0[other.overlapping(s, s + l)] {
                let from = s.max(*os);
                out.insert(from, (s + l).min(os + ol) - from);
            }
        }
        *self = out;
    }

    /// The `n` smallest numbers' worth of intervals, for trimming in portions.
    pub fn first_n(&self, n: u64) -> Self {
        let mut left = n;
        let mut out = Self::default();
        for (s, l) in self.iter() {
            out.insert(s, l.min(left));
            left -= l.min(left);
        }
        out
    }
}

impl FromIterator<(u64, u64)> for IntervalSet {
    /// From pairs of start and length.
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(items: I) -> Self {
        let mut out = Self::default();
        items.into_iter().for_each(|(s, l)| out.insert(s, l));
        out
    }
}

/// As Ceph prints it: `[1~3,8~1]`, in hex.
impl fmt::Display for IntervalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, (s, l)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{s:x}~{l:x}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for IntervalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for IntervalSet {
    fn encode(&self, e: &mut Encoder) {
        self.0.encode(e);
    }
}

impl Decode for IntervalSet {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let n = d.count(16)?;
        let mut raw = Vec::with_capacity(n);
        for _ in 0..n {
            let (start, len) = (d.u64()?, d.u64()?);
            if start.checked_add(len).is_none() {
                return Err(DecodeError::Invalid { what: "interval_set length", value: len });
            }
            raw.push((start, len));
        }
        // In order already, unless the writer means harm: each insertion then moves nothing.
        raw.sort_unstable();
        Ok(raw.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(items: &[(u64, u64)]) -> IntervalSet {
        items.iter().copied().collect()
    }

    #[test]
    fn neighbours_merge_and_holes_split() {
        let mut s = set(&[(1, 2), (3, 1), (10, 5)]);
        assert_eq!(s.to_string(), "[1~3,a~5]");
        s.erase(11, 2);
        assert_eq!(s, set(&[(1, 3), (10, 1), (13, 2)]));
        s.insert(0, 20);
        assert_eq!(s, set(&[(0, 20)]));
        s.erase(5, u64::MAX);
        assert_eq!(s.size(), 5);
    }

    #[test]
    fn taking_nothing_out_of_the_middle_cuts_nothing() {
        let mut s = set(&[(0, 20)]);
        s.erase(5, 0);
        assert_eq!((&s, s.num_intervals()), (&set(&[(0, 20)]), 1));
        assert!(!s.intersects(5, 0));
        assert_eq!(denc::from_bytes(denc::to_bytes(&s, 0)), Ok(s));
    }

    #[test]
    fn set_operations_agree_with_a_set_of_numbers() {
        use std::collections::BTreeSet;
        let numbers = |s: &IntervalSet| s.iter().flat_map(|(a, l)| a..a + l).collect::<BTreeSet<u64>>();
        let mut seed = 7_u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for _ in 0..500 {
            let mut draw = || (0..random(6)).map(|_| (random(40), random(8))).collect::<IntervalSet>();
            let (a, b) = (draw(), draw());
            let (na, nb) = (numbers(&a), numbers(&b));
            let with = |f: fn(&mut IntervalSet, &IntervalSet)| {
                let mut out = a.clone();
                f(&mut out, &b);
                numbers(&out)
            };
            assert_eq!(with(IntervalSet::union_of), &na | &nb);
            assert_eq!(with(IntervalSet::subtract), &na - &nb);
            assert_eq!(with(IntervalSet::intersection_of), &na & &nb);
            assert_eq!(a.is_subset_of(&b), na.is_subset(&nb));
            assert!((0..50).all(|n| a.contains(n) == na.contains(&n)));
            assert_eq!(numbers(&a.first_n(3)), na.iter().copied().take(3).collect());
        }
    }

    #[test]
    fn intervals_out_of_order_are_read_and_endless_ones_are_not() {
        let bytes = |items: &[(u64, u64)]| denc::to_bytes(&items.to_vec(), 0);
        assert_eq!(denc::from_bytes(bytes(&[(9, 1), (1, 2), (2, 3)])), Ok(set(&[(1, 4), (9, 1)])));
        assert!(denc::from_bytes::<IntervalSet>(bytes(&[(2, u64::MAX)])).is_err());
    }
}
