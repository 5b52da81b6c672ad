//! A buffer that begins at a multiple of 4 KiB in memory, as writes round the page cache want it.

/// What a direct write's place, length and memory must be multiples of.
pub const ALIGN: usize = 4096;

const GROWTH: usize = 256 << 10;

/// Bytes that are appended to, written, and appended to again: its memory is kept.
#[derive(Debug, Default)]
pub struct AlignedBuf {
    /// The bytes begin at `start`, and end with `len`.
    space: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn capacity(&self) -> usize {
        self.space.len() - self.start
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.space[self.start..self.start + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.space[self.start..self.start + self.len]
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Makes it that long; what is gained are zeros.
    pub fn resize(&mut self, len: usize) {
        self.reserve(len);
        if len > self.len {
            self.space[self.start + self.len..self.start + len].fill(0);
        }
        self.len = len;
    }

    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.reserve(end);
        self.space[self.start + self.len..self.start + end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Makes room for `len` bytes in all.
    pub fn reserve(&mut self, len: usize) {
        if len <= self.capacity() {
            return;
        }
        let space = vec![0; len.next_multiple_of(GROWTH) + ALIGN];
        let start = space.as_ptr().align_offset(ALIGN);
        let before = std::mem::replace(self, Self { space, start, len: 0 });
        self.extend_from_slice(before.as_slice());
    }

    /// Keeps only the bytes from `from` on.
    pub fn keep_from(&mut self, from: usize) {
        self.space.copy_within(self.start + from..self.start + self.len, self.start);
        self.len -= from;
    }
}

pub fn is_aligned(data: &[u8]) -> bool {
    (data.as_ptr() as usize).is_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_aligned_and_keeps_its_bytes_while_it_grows() {
        let mut buf = AlignedBuf::default();
        let mut want = Vec::new();
        for i in 1..300u32 {
            let bytes = vec![i as u8; i as usize * 7];
            buf.extend_from_slice(&bytes);
            want.extend_from_slice(&bytes);
            assert!(is_aligned(buf.as_slice()) && buf.as_slice() == want);
        }
        buf.keep_from(want.len() - 5);
        assert_eq!(buf.as_slice(), &want[want.len() - 5..]);
        buf.resize(9);
        assert_eq!(buf.as_slice()[5..], [0; 4]);
    }
}
