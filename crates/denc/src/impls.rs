//! The encodings of std types: numbers, text, collections, tuples.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

macro_rules! number {
    ($($t:ident $size:literal),* $(,)?) => {$(
        impl Encode for $t {
            fn encode(&self, e: &mut Encoder) {
                e.$t(*self);
            }
        }
        impl Decode for $t {
            const MIN_SIZE: usize = $size;
            fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
                d.$t()
            }
        }
    )*};
}

number!(u8 1, u16 2, u32 4, u64 8, i8 1, i32 4, i64 8, f32 4, f64 8, bool 1);

impl Encode for str {
    fn encode(&self, e: &mut Encoder) {
        e.string(self);
    }
}

impl Encode for String {
    fn encode(&self, e: &mut Encoder) {
        e.string(self);
    }
}

impl Decode for String {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.string()
    }
}

impl Encode for ByteStr {
    fn encode(&self, e: &mut Encoder) {
        e.blob(self.as_bytes());
    }
}

impl Decode for ByteStr {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let n = d.u32()? as usize;
        Ok(d.slice(n)?.into())
    }
}

impl Encode for Bytes {
    fn encode(&self, e: &mut Encoder) {
        e.blob(self);
    }
}

impl Decode for Bytes {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.blob()
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, e: &mut Encoder) {
        e.seq(self.iter());
    }
}

impl<T: Decode> Decode for Vec<T> {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let n = d.count(T::MIN_SIZE)?;
        // In memory an item may be larger than encoded, so the reservation is bounded by bytes too.
        let mut v = Vec::with_capacity(n.min(d.remaining() / size_of::<T>().max(1) + 1));
        for _ in 0..n {
            v.push(T::decode(d)?);
        }
        Ok(v)
    }
}

impl<T: Encode> Encode for BTreeSet<T> {
    fn encode(&self, e: &mut Encoder) {
        e.seq(self.iter());
    }
}

impl<T: Decode + Ord> Decode for BTreeSet<T> {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let n = d.count(T::MIN_SIZE)?;
        (0..n).map(|_| T::decode(d)).collect()
    }
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, e: &mut Encoder) {
        e.u32(u32::try_from(self.len()).expect("no map reaches 2^32 items"));
        for (k, v) in self {
            k.encode(e);
            v.encode(e);
        }
    }
}

impl<K: Decode + Ord, V: Decode> Decode for BTreeMap<K, V> {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let n = d.count(K::MIN_SIZE + V::MIN_SIZE)?;
        (0..n).map(|_| Ok((K::decode(d)?, V::decode(d)?))).collect()
    }
}

/// Ceph's `std::optional`: a byte that says whether the value follows.
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, e: &mut Encoder) {
        e.bool(self.is_some());
        if let Some(v) = self {
            v.encode(e);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.bool()?.then(|| T::decode(d)).transpose()
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, e: &mut Encoder) {
        (**self).encode(e);
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, e: &mut Encoder) {
        self.0.encode(e);
        self.1.encode(e);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    const MIN_SIZE: usize = A::MIN_SIZE + B::MIN_SIZE;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok((A::decode(d)?, B::decode(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_bytes, to_bytes};

    #[test]
    fn a_map_of_sets_comes_back_as_it_was() {
        let map: BTreeMap<String, BTreeSet<u64>> =
            [("a".to_owned(), [1, 2].into()), ("b".to_owned(), [].into())].into();
        assert_eq!(from_bytes::<BTreeMap<String, BTreeSet<u64>>>(to_bytes(&map, 0)), Ok(map));
    }

    #[test]
    fn a_count_that_cannot_fit_is_refused_before_anything_is_reserved() {
        let bytes = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
        assert_eq!(from_bytes::<Vec<u32>>(bytes), Err(DecodeError::Count { at: 0, count: 0xffff_ffff, left: 3 }));
    }

    #[test]
    fn a_frame_skips_the_tail_that_a_newer_writer_appended() {
        let mut e = Encoder::new(0);
        e.versioned(9, 1, |e| {
            e.u32(7);
            e.string("from the future");
        });
        e.u8(42);
        let mut d = Decoder::new(e.finish());
        assert_eq!(d.versioned("t", 1, |d, v| Ok((v, d.u32()?))), Ok((9, 7)));
        assert_eq!(d.u8(), Ok(42));
    }

    #[test]
    fn a_frame_body_cannot_read_past_its_end() {
        let mut e = Encoder::new(0);
        e.versioned(1, 1, |e| e.u16(7));
        e.u64(1);
        let mut d = Decoder::new(e.finish());
        assert!(matches!(d.versioned("t", 1, |d, _| d.u32()), Err(DecodeError::Short { .. })));
    }

    #[test]
    fn a_frame_that_needs_a_newer_reader_says_so() {
        let mut e = Encoder::new(0);
        e.versioned(5, 4, |_| ());
        let mut d = Decoder::new(e.finish());
        assert_eq!(
            d.versioned("pg_info_t", 3, |_, _| Ok(())),
            Err(DecodeError::TooNew { what: "pg_info_t", compat: 4, known: 3 })
        );
    }
}
