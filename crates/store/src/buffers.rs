//! Buffers of large reads, used again: fresh memory of that size costs the kernel as much as the read itself.
//!
//! A buffer comes back when the last slice of what was read is gone, which is when a socket has taken it. What is read
//! into it begins where a read round the page cache wants that.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::aligned::ALIGN;

/// Reads from this size on use a kept buffer; an allocator is good at smaller ones.
const LARGE: usize = 256 << 10;
/// What is kept at most, and of what size.
const KEPT: usize = 4;
const KEPT_BYTES: usize = 4 << 20;
/// The largest that is kept, with what goes unused before its aligned part.
const KEPT_CAPACITY: usize = KEPT_BYTES + ALIGN;

#[derive(Debug, Default)]
pub struct ReadBuffers(Mutex<Vec<Vec<u8>>>);

impl ReadBuffers {
    /// An empty buffer with room for `bytes`.
    pub fn take(self: &Arc<Self>, bytes: usize) -> ReadBuffer {
        let kept = if (LARGE..=KEPT_BYTES).contains(&bytes) { self.kept().pop() } else { None };
        let mut buf = kept.unwrap_or_default();
        if bytes < LARGE {
            buf.reserve_exact(bytes);
            return ReadBuffer { buf, start: 0, home: self.clone() };
        }
        // All kept ones get the same size, or each would be found too small in its turn.
        buf.reserve_exact(bytes.max(KEPT_BYTES) + ALIGN);
        let start = buf.as_ptr().align_offset(ALIGN);
        buf.resize(start, 0);
        ReadBuffer { buf, start, home: self.clone() }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(|p| p.into_inner())
    }
}

/// A buffer that goes back where it came from.
#[derive(Debug)]
pub struct ReadBuffer {
    /// What is read is appended to it.
    pub buf: Vec<u8>,
    /// Where that begins.
    start: usize,
    home: Arc<ReadBuffers>,
}

impl ReadBuffer {
    fn is_worth_keeping(&self) -> bool {
        (LARGE..=KEPT_CAPACITY).contains(&self.buf.capacity())
    }

    /// What was read. The buffer goes back when nobody holds any of it.
    pub fn into_bytes(mut self) -> Bytes {
        if self.is_worth_keeping() {
            return Bytes::from_owner(self);
        }
        let start = self.start;
        Bytes::from(std::mem::take(&mut self.buf)).slice(start..)
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buf[self.start..]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if !self.is_worth_keeping() {
            return;
        }
        let mut kept = self.home.kept();
        if kept.len() < KEPT {
            let mut buf = std::mem::take(&mut self.buf);
            buf.clear();
            kept.push(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aligned::is_aligned;

    #[test]
    fn a_large_buffer_is_used_again_once_nobody_holds_a_slice_of_it() {
        let pool = Arc::new(ReadBuffers::default());
        let read = |n: usize| {
            let mut buf = pool.take(n);
            buf.buf.resize(buf.buf.len() + n, 7);
            let bytes = buf.into_bytes();
            assert_eq!((bytes.len(), bytes.iter().all(|b| *b == 7)), (n, true));
            assert!(n < LARGE || is_aligned(&bytes));
            bytes
        };
        let slice = read(1 << 20).slice(5..9);
        let place = slice.as_ptr() as usize - 5;
        assert_ne!(read(1 << 20).as_ptr() as usize, place);
        drop(slice);
        assert!([read(2 << 20), read(4 << 20)].iter().any(|b| b.as_ptr() as usize == place));
        drop([(); 9].map(|()| read(1 << 20)));
        assert_eq!(pool.kept().len(), KEPT);
        drop([read(9 << 20), read(100)]);
        // What was taken in vain, too.
        drop(pool.take(1 << 20));
        assert_eq!(pool.kept().len(), KEPT);
    }
}
