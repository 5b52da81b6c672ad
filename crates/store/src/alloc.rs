//! Which blocks are free.
//!
//! A bitmap in memory, rebuilt at every open from the onodes and chunks of the checkpoint: it cannot
//! disagree with them, so no block can leak. A block that was in use becomes free only once a
//! checkpoint holds the change that let go of it: until then the log or the older checkpoint may
//! still refer to it.
//!
//! The search goes on where the last one ended, so that what is written together lies together. Space that came free in
//! large rows behind it is used again before untouched space: a file system or a thin disk below has that already, and
//! takes it twice as fast (measured on ext4 over a thin disk, 4 MiB at a time: 2.3 GB/s against 1.3).

/// Blocks in a row: the first, and how many.
pub type Run = (u32, u32);

/// Rows from this length on are worth going back for, …
const WORTH: u32 = 256;
/// … once there are as many blocks in them.
const GO_BACK: u64 = 16 << 10;

#[derive(Debug)]
pub struct Allocator {
    /// A set bit is a block in use.
    words: Vec<u64>,
    blocks: u64,
    used: u64,
    /// Where the next search starts.
    cursor: u64,
    /// Blocks that came free in long rows behind the cursor, and the first of them.
    behind: u64,
    first_behind: u64,
}

impl Allocator {
    /// All of `blocks` free but block 0, whose number means a hole.
    pub fn new(blocks: u64) -> Self {
        let blocks = blocks.min(u32::MAX.into());
        let mut words = vec![0; blocks.div_ceil(64) as usize];
        for beyond in blocks..words.len() as u64 * 64 {
            words[(beyond / 64) as usize] |= 1 << (beyond % 64);
        }
        words[0] |= 1;
        Self { words, blocks, used: 1, cursor: 1, behind: 0, first_behind: u64::MAX }
    }

    pub fn used(&self) -> u64 {
        self.used
    }

    fn is_used(&self, block: u64) -> bool {
        self.words[(block / 64) as usize] & 1 << (block % 64) != 0
    }

    /// Marks a block that is referred to; `false` if it is so already, or does not exist.
    pub fn claim(&mut self, block: u32) -> bool {
        let block = u64::from(block);
        if block >= self.blocks || self.is_used(block) {
            return false;
        }
        self.words[(block / 64) as usize] |= 1 << (block % 64);
        self.used += 1;
        true
    }

    /// `n` blocks in as few rows as the search from where the last one ended finds; `None` if there
    /// are not that many.
    pub fn alloc(&mut self, n: u64) -> Option<Vec<Run>> {
        if self.blocks - self.used < n {
            return None;
        }
        if self.behind >= GO_BACK {
            self.go_to(self.first_behind);
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut left = n;
        while left > 0 {
            let start = self.next_free();
            let mut end = start;
            while end < self.blocks && end - start < left && !self.is_used(end) {
                self.words[(end / 64) as usize] |= 1 << (end % 64);
                end += 1;
            }
            left -= end - start;
            self.used += end - start;
            self.cursor = end;
            runs.push((start as u32, (end - start) as u32));
        }
        Some(runs)
    }

    fn go_to(&mut self, block: u64) {
        (self.cursor, self.behind, self.first_behind) = (block, 0, u64::MAX);
    }

    /// The first free block at or after the cursor, going round. There must be one.
    fn next_free(&self) -> u64 {
        let mut at = if self.cursor >= self.blocks { 0 } else { self.cursor };
        loop {
            let word = self.words[(at / 64) as usize] | ((1 << (at % 64)) - 1);
            if word != u64::MAX {
                return at / 64 * 64 + u64::from(word.trailing_ones());
            }
            at = (at / 64 + 1) * 64;
            if at >= self.blocks {
                at = 0;
            }
        }
    }

    pub fn free(&mut self, (start, count): Run) {
        for block in u64::from(start)..u64::from(start) + u64::from(count) {
            debug_assert!(self.is_used(block), "block {block} is freed twice");
            self.words[(block / 64) as usize] &= !(1 << (block % 64));
            self.used -= 1;
        }
        if count >= WORTH && u64::from(start) < self.cursor {
            self.behind += u64::from(count);
            self.first_behind = self.first_behind.min(start.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_but_the_first_is_given_out_once() {
        let mut a = Allocator::new(130);
        let mut seen: Vec<u32> = Vec::new();
        while let Some(runs) = a.alloc(3) {
            seen.extend(runs.iter().flat_map(|(start, n)| *start..start + n));
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..130).collect::<Vec<_>>());
    }

    #[test]
    fn freed_blocks_are_found_again_after_going_round() {
        let mut a = Allocator::new(100);
        assert_eq!(a.alloc(99), Some(vec![(1, 99)]));
        a.free((5, 2));
        a.free((64, 1));
        assert_eq!(a.alloc(4), None);
        assert_eq!(a.alloc(3), Some(vec![(5, 2), (64, 1)]));
    }

    #[test]
    fn long_rows_that_came_free_are_used_before_untouched_space() {
        let mut a = Allocator::new(1 << 20);
        a.alloc(100_000).unwrap();
        a.free((1000, 16_000));
        (20_000..30_000).step_by(2).for_each(|block| a.free((block, 1)));
        assert_eq!(a.alloc(1024), Some(vec![(100_001, 1024)]), "not enough yet");
        a.free((50_000, 1024));
        assert_eq!(a.alloc(1024), Some(vec![(1000, 1024)]));
        assert_eq!(a.alloc(15_000).unwrap()[..2], [(2024, 14_976), (20_000, 1)]);
    }
}
