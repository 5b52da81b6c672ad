//! The writing side.

use bytes::Bytes;

/// Most of what is encoded fits, so that no buffer is made several times while it grows.
const FIRST_CAPACITY: usize = 512;

/// Collects encoded bytes. `features` are the peer's feature bits: some structs have an older form
/// for peers that lack one.
#[derive(Debug)]
pub struct Encoder {
    buf: Vec<u8>,
    features: u64,
}

impl Encoder {
    pub fn new(features: u64) -> Self {
        Self::with_capacity(features, FIRST_CAPACITY)
    }

    pub fn with_capacity(features: u64, bytes: usize) -> Self {
        Self { buf: Vec::with_capacity(bytes), features }
    }

    pub fn features(&self) -> u64 {
        self.features
    }

    /// Whether every bit of `mask` is among the peer's features.
    pub fn has_feature(&self, mask: u64) -> bool {
        self.features & mask == mask
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// What was written so far, for checksums over it.
    pub fn as_slice(&self) -> &[u8] {
        &self.buf
    }

    pub fn finish(self) -> Bytes {
        self.buf.into()
    }

    pub fn u8(&mut self, v: u8) {
        self.buf.push(v);
    }

    pub fn u16(&mut self, v: u16) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn u32(&mut self, v: u32) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn u64(&mut self, v: u64) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn i8(&mut self, v: i8) {
        self.buf.push(v as u8);
    }

    pub fn i32(&mut self, v: i32) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn i64(&mut self, v: i64) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn f32(&mut self, v: f32) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn f64(&mut self, v: f64) {
        self.buf.extend_from_slice(&v.to_le_bytes());
    }

    pub fn bool(&mut self, v: bool) {
        self.buf.push(v.into());
    }

    /// Bytes with nothing around them.
    pub fn raw(&mut self, v: &[u8]) {
        self.buf.extend_from_slice(v);
    }

    /// A 32-bit length, then the bytes (Ceph: `bufferlist`, `std::string`).
    pub fn blob(&mut self, v: &[u8]) {
        self.u32(u32::try_from(v.len()).expect("no single field reaches 4 GiB"));
        self.buf.extend_from_slice(v);
    }

    pub fn string(&mut self, v: &str) {
        self.blob(v.as_bytes());
    }

    pub fn put<T: crate::Encode + ?Sized>(&mut self, v: &T) {
        v.encode(self);
    }

    /// A collection of known length: its count, then each item.
    pub fn seq<'a, T: crate::Encode + 'a>(&mut self, items: impl ExactSizeIterator<Item = &'a T>) {
        self.u32(u32::try_from(items.len()).expect("no collection reaches 2^32 items"));
        for item in items {
            item.encode(self);
        }
    }

    /// A versioned frame (Ceph: `ENCODE_START(v, compat, bl)` … `ENCODE_FINISH`).
    pub fn versioned(&mut self, version: u8, compat: u8, body: impl FnOnce(&mut Self)) {
        self.u8(version);
        self.u8(compat);
        self.with_length(body);
    }

    /// A 32-bit length, then whatever `body` writes (a struct encoded into a `bufferlist` field).
    pub fn with_length(&mut self, body: impl FnOnce(&mut Self)) {
        let at = self.reserve_u32();
        body(self);
        let len = self.buf.len() - at - 4;
        self.fill_u32(at, u32::try_from(len).expect("no frame reaches 4 GiB"));
    }

    /// Leaves room for a u32 to be filled in later; gives its position.
    pub fn reserve_u32(&mut self) -> usize {
        let at = self.buf.len();
        self.buf.extend_from_slice(&[0; 4]);
        at
    }

    /// Fills what [`Self::reserve_u32`] left open.
    pub fn fill_u32(&mut self, at: usize, v: u32) {
        self.buf[at..at + 4].copy_from_slice(&v.to_le_bytes());
    }
}
