//! What waits to be written to a socket: a list of chunks for a vectored write.
//!
//! Small pieces are gathered in one buffer; large ones (message data) are queued as they are and
//! never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces below this many bytes are copied: a chunk of its own costs more than the copy.
const COPY_MAX: usize = 1024;
const TAIL_CAPACITY: usize = 16 * 1024;

/// Chunks in order.
#[derive(Debug, Default)]
pub struct TxQueue {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl TxQueue {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn put(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.close_tail();
            self.tail.reserve(bytes.len().max(TAIL_CAPACITY));
        }
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < COPY_MAX {
            return self.put(bytes);
        }
        self.close_tail();
        self.len += bytes.len();
        self.chunks.push_back(bytes.clone());
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }

    /// The first chunks, as many as fit into `slices`; gives how many were set.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.chunks.iter().map(|c| &c[..]).chain((!self.tail.is_empty()).then_some(&self.tail[..]));
        let mut n = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            n += 1;
        }
        n
    }

    /// `n` bytes were written.
    pub fn advance(&mut self, mut n: usize) {
        self.len -= n;
        while let Some(front) = self.chunks.front_mut() {
            if n < front.len() {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.chunks.pop_front();
        }
        self.tail.advance(n);
    }

    /// Everything, as one piece (for tests and drivers without vectored writes).
    pub fn take_all(&mut self) -> Bytes {
        self.close_tail();
        self.len = 0;
        let mut all = BytesMut::new();
        for chunk in self.chunks.drain(..) {
            all.extend_from_slice(&chunk);
        }
        all.freeze()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bytes after the first `from`, for signatures over what was sent.
    pub(crate) fn copy_from(&self, from: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for chunk in &self.chunks {
            all.extend_from_slice(chunk);
        }
        all.extend_from_slice(&self.tail);
        all.split_off(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_in_order_however_they_are_advanced() {
        for step in [1, 7, 1500, 100_000] {
            let mut q = TxQueue::default();
            let mut want = Vec::new();
            for i in 0..20u8 {
                let small = vec![i; 40];
                let large = Bytes::from(vec![i ^ 0xff; 3000]);
                q.put(&small);
                q.put_bytes(&large);
                want.extend_from_slice(&small);
                want.extend_from_slice(&large);
            }
            let mut got = Vec::new();
            while !q.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let n = q.slices(&mut slices);
                let flat: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).take(step).collect();
                q.advance(flat.len());
                got.extend_from_slice(&flat);
            }
            assert_eq!(got, want);
        }
    }

    #[test]
    fn large_pieces_are_shared_and_not_copied() {
        let mut q = TxQueue::default();
        let data = Bytes::from(vec![7; 4096]);
        q.put(b"head");
        q.put_bytes(&data);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(q.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), data.as_ptr());
    }
}
