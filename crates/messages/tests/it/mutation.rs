//! Damaged messages: an error or another message, never a panic, and memory bounded by what came in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use messages::{Message, Wire};
use types::features;

use crate::recorded::vectors;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Counts this thread's live bytes.
struct Counting;

// SAFETY: every call goes to `System` unchanged, so its contract is kept; beside that only two
// thread-local integers change, whose access neither allocates (they are const-initialised and have no
// destructor) nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get() + layout.size() as isize);
        PEAK.set(PEAK.get().max(LIVE.get()));
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: `ptr` came from `System.alloc` with this `layout`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `f` held at once beyond what was held before.
fn peak_of(f: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    f();
    (PEAK.get() - before).unsigned_abs()
}

fn size(wire: &Wire) -> usize {
    wire.front.len() + wire.middle.len() + wire.data.len()
}

/// Decodes and, if that works, writes what was read; both within their bounds.
fn try_it(what: &str, wire: Wire) {
    let bound = 16 * size(&wire) + 4096;
    let mut message = None;
    let peak = peak_of(|| message = Message::decode(wire, features::ALL).ok());
    assert!(peak <= bound, "{what}: {peak} bytes held to decode, at most {bound} expected");
    if let Some(message) = message {
        message.encode(features::ALL);
    }
}

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn truncated_messages_are_refused_or_read_within_bounds() {
    for (what, wire) in vectors() {
        let step = wire.front.len() / 400 + 1;
        for len in (0..wire.front.len()).step_by(step) {
            try_it(&what, Wire { front: wire.front.slice(..len), ..wire.clone() });
        }
        for len in [0, wire.data.len() / 2, wire.data.len().saturating_sub(1)] {
            try_it(&what, Wire { data: wire.data.slice(..len), ..wire.clone() });
        }
    }
}

#[test]
fn messages_with_flipped_bits_are_refused_or_read_within_bounds() {
    let mut noise = Noise(0x5eed);
    for (what, wire) in vectors() {
        for _ in 0..200 {
            let mut front = wire.front.to_vec();
            for _ in 0..=noise.below(3) {
                if !front.is_empty() {
                    let at = noise.below(front.len());
                    front[at] ^= 1 << noise.below(8);
                }
            }
            let version = if noise.below(4) == 0 { noise.below(12) as u16 } else { wire.version };
            try_it(&what, Wire { front: front.into(), version, ..wire.clone() });
        }
    }
}

#[test]
fn messages_with_huge_counts_and_lengths_are_refused_or_read_within_bounds() {
    for (what, wire) in vectors() {
        let step = wire.front.len() / 400 + 1;
        for at in (0..wire.front.len().saturating_sub(4)).step_by(step) {
            for value in [u32::MAX, wire.front.len() as u32] {
                let mut front = wire.front.to_vec();
                front[at..at + 4].copy_from_slice(&value.to_le_bytes());
                try_it(&what, Wire { front: front.into(), ..wire.clone() });
            }
        }
    }
}

#[test]
fn noise_is_no_message_of_any_type() {
    let mut noise = Noise(0xbad);
    for kind in 0..2048 {
        for version in [1, 2, 5, 9] {
            let front: Bytes = (0..noise.below(300)).map(|_| noise.below(256) as u8).collect();
            try_it("noise", Wire { kind, version, front, ..Wire::default() });
        }
    }
}
