//! Structs that pass through unread.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

/// A versioned struct that we carry but never look into: its version, the oldest reader, its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opaque {
    pub version: u8,
    pub compat: u8,
    pub body: Bytes,
}

impl Encode for Opaque {
    fn encode(&self, e: &mut Encoder) {
        e.u8(self.version);
        e.u8(self.compat);
        e.blob(&self.body);
    }
}

impl Decode for Opaque {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { version: d.u8()?, compat: d.u8()?, body: d.blob()? })
    }
}

/// Everything to the end of the front, carried unread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rest(pub Bytes);

impl Encode for Rest {
    fn encode(&self, e: &mut Encoder) {
        e.raw(&self.0);
    }
}

impl Decode for Rest {
    const MIN_SIZE: usize = 0;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self(d.rest()))
    }
}
