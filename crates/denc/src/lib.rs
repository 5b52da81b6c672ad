//! Ceph's binary encoding.
//!
//! Everything that travels or is kept is little-endian, unpadded, and written field by field.
//! Most structs sit in a *versioned frame* (Ceph: `ENCODE_START`): a version byte, the oldest
//! version that a reader must know, and a 32-bit length, so that old readers skip what newer
//! writers appended.
//!
//! Start at [`Encode`] and [`Decode`]; [`Encoder::versioned`] and [`Decoder::versioned`] are the
//! frames.
//!
//! Invariants:
//! - A decode never panics and never allocates more than a small multiple of its input, whatever
//!   the bytes are: counts are checked against what is left before anything is reserved.
//! - Decoding a frame always ends exactly at the frame's end, so an unknown tail is skipped.

#![forbid(unsafe_code)]

mod bytestr;
mod decoder;
mod encoder;
mod impls;

pub use bytestr::ByteStr;
pub use decoder::{DecodeError, Decoder};
pub use encoder::Encoder;

/// A value that can be written in Ceph's encoding.
pub trait Encode {
    /// Appends the value. What is written may depend on [`Encoder::features`].
    fn encode(&self, e: &mut Encoder);
}

/// A value that can be read back.
pub trait Decode: Sized {
    /// The fewest bytes one value can take; bounds how many a count may announce.
    const MIN_SIZE: usize = 1;

    /// Reads one value.
    ///
    /// # Errors
    /// Any [`DecodeError`]; the decoder's position is then meaningless.
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError>;
}

/// Encodes one value on its own, with the given feature bits.
pub fn to_bytes<T: Encode + ?Sized>(value: &T, features: u64) -> bytes::Bytes {
    let mut e = Encoder::new(features);
    value.encode(&mut e);
    e.finish()
}

/// Decodes one value which must fill `bytes` entirely.
///
/// # Errors
/// [`DecodeError::Trailing`] if bytes are left over.
pub fn from_bytes<T: Decode>(bytes: impl Into<bytes::Bytes>) -> Result<T, DecodeError> {
    let mut d = Decoder::new(bytes.into());
    let value = T::decode(&mut d)?;
    d.expect_end()?;
    Ok(value)
}
