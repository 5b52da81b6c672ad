//! The reading side. Bytes come from a peer or a disk and are never trusted.

use bytes::Bytes;

/// Why bytes could not be read as a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{wanted} bytes wanted at offset {at}, {left} left")]
    Short { at: usize, wanted: usize, left: usize },
    #[error("count {count} at offset {at} cannot fit in the {left} bytes left")]
    Count { at: usize, count: u64, left: usize },
    #[error("{what}: needs a reader of version {compat}, we know {known}")]
    TooNew { what: &'static str, compat: u8, known: u8 },
    #[error("{what}: version {version} is older than any we read")]
    TooOld { what: &'static str, version: u8 },
    #[error("{what}: value {value} is not allowed")]
    Invalid { what: &'static str, value: u64 },
    #[error("text at offset {at} is not UTF-8")]
    Utf8 { at: usize },
    #[error("{left} bytes left over at offset {at}")]
    Trailing { at: usize, left: usize },
}

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads values off a shared buffer. [`Self::blob`] and [`Self::take`] share it instead of copying,
/// so keep long-lived small pieces as owned copies (`ByteStr`, `Vec`), not as slices of a big frame.
#[derive(Debug, Clone)]
pub struct Decoder {
    buf: Bytes,
    pos: usize,
    end: usize,
}

impl Decoder {
    pub fn new(buf: Bytes) -> Self {
        let end = buf.len();
        Self { buf, pos: 0, end }
    }

    pub fn pos(&self) -> usize {
        self.pos
    }

    pub fn remaining(&self) -> usize {
        self.end - self.pos
    }

    pub fn is_empty(&self) -> bool {
        self.pos == self.end
    }

    /// # Errors
    /// [`DecodeError::Trailing`] unless everything was read.
    pub fn expect_end(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { at: self.pos, left }),
        }
    }

    fn advance(&mut self, n: usize) -> Result<usize> {
        if n > self.remaining() {
            return Err(DecodeError::Short { at: self.pos, wanted: n, left: self.remaining() });
        }
        let at = self.pos;
        self.pos += n;
        Ok(at)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let at = self.advance(N)?;
        Ok(self.buf[at..at + N].try_into().expect("advance gave N bytes"))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_le_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn f32(&mut self) -> Result<f32> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    /// The next `n` bytes, shared with the buffer.
    pub fn take(&mut self, n: usize) -> Result<Bytes> {
        let at = self.advance(n)?;
        Ok(self.buf.slice(at..at + n))
    }

    /// The next `n` bytes, borrowed.
    pub fn slice(&mut self, n: usize) -> Result<&[u8]> {
        let at = self.advance(n)?;
        Ok(&self.buf[at..at + n])
    }

    /// Everything that is left of the buffer (or of the current frame), shared.
    pub fn rest(&mut self) -> Bytes {
        let at = self.pos;
        self.pos = self.end;
        self.buf.slice(at..self.end)
    }

    pub fn skip(&mut self, n: usize) -> Result<()> {
        self.advance(n).map(|_| ())
    }

    /// A 32-bit length and that many bytes, shared with the buffer.
    pub fn blob(&mut self) -> Result<Bytes> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    /// A 32-bit length and that much UTF-8.
    pub fn string(&mut self) -> Result<String> {
        let n = self.u32()? as usize;
        let at = self.pos;
        let raw = self.slice(n)?;
        std::str::from_utf8(raw).map(str::to_owned).map_err(|_| DecodeError::Utf8 { at })
    }

    pub fn get<T: crate::Decode>(&mut self) -> Result<T> {
        T::decode(self)
    }

    /// A 32-bit count of things that take at least `min_size` bytes each.
    ///
    /// # Errors
    /// [`DecodeError::Count`] if that many cannot be in what is left.
    pub fn count(&mut self, min_size: usize) -> Result<usize> {
        let at = self.pos;
        let count = self.u32()?;
        if count as usize > self.remaining() / min_size.max(1) {
            return Err(DecodeError::Count { at, count: count.into(), left: self.remaining() });
        }
        Ok(count as usize)
    }

    /// A versioned frame (Ceph: `DECODE_START(known, bl)` … `DECODE_FINISH`). `body` gets the
    /// version and sees the frame's bytes only; what it leaves unread is skipped.
    ///
    /// # Errors
    /// [`DecodeError::TooNew`] if the writer says that a reader of version `known` cannot read it.
    pub fn versioned<T>(
        &mut self,
        what: &'static str,
        known: u8,
        body: impl FnOnce(&mut Self, u8) -> Result<T>,
    ) -> Result<T> {
        let version = self.u8()?;
        let compat = self.u8()?;
        if compat > known {
            return Err(DecodeError::TooNew { what, compat, known });
        }
        self.with_length(|d| body(d, version))
    }

    /// A 32-bit length, then `body` on just those bytes; what it leaves unread is skipped.
    pub fn with_length<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let n = self.u32()? as usize;
        let at = self.advance(n)?;
        let mut inner = Self { buf: self.buf.clone(), pos: at, end: at + n };
        body(&mut inner)
    }
}
