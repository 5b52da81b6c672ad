//! What is kept of an object: its size, attributes, and where its blocks are.
//!
//! ```text
//! onode:  version, number, size, omap number, attributes, omap header, blocks if it is small
//! chunk:  32 blocks (128 KiB of an object); one row each if the object is larger than that
//! block:  where it lies (in units of 4 KiB, 0 = a hole) and the crc32c of its 4 KiB
//! ```
//! A version byte and plain numbers; the row's own checksum is added by `kv`.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

pub const BLOCK: u64 = 4096;
/// Blocks in a chunk.
pub const CHUNK_BLOCKS: u64 = 32;
/// Objects up to this size keep their blocks in the onode.
pub const INLINE_SIZE: u64 = CHUNK_BLOCKS * BLOCK;

const VERSION: u8 = 1;

/// Where a block lies, in units of 4 KiB from the device's start; 0 is a hole. 32 bits allow 16 TiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    pub phys: u32,
    pub crc: u32,
}

/// Some blocks of an object, the first of which has index 0 modulo [`CHUNK_BLOCKS`]. What is beyond
/// the vector's end are holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk(pub Vec<Block>);

impl Chunk {
    pub fn get(&self, i: usize) -> Block {
        self.0.get(i).copied().unwrap_or_default()
    }

    pub fn set(&mut self, i: usize, block: Block) {
        if self.0.len() <= i {
            self.0.resize(i + 1, Block::default());
        }
        self.0[i] = block;
        while self.0.last().is_some_and(|b| b.phys == 0) {
            self.0.pop();
        }
    }

    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        self.0.iter().copied().filter(|b| b.phys != 0)
    }
}

impl Encode for Chunk {
    fn encode(&self, e: &mut Encoder) {
        e.u8(self.0.len() as u8);
        for b in &self.0 {
            e.u32(b.phys);
            e.u32(b.crc);
        }
    }
}

impl Decode for Chunk {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let n = d.u8()?;
        if u64::from(n) > CHUNK_BLOCKS {
            return Err(DecodeError::Invalid { what: "blocks in a chunk", value: n.into() });
        }
        (0..n).map(|_| Ok(Block { phys: d.u32()?, crc: d.u32()? })).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Onode {
    /// Names its chunks. Never used again once the object is gone.
    pub id: u64,
    pub size: u64,
    /// Names its omap rows; 0 if it never had any. A cleared omap gets a new number.
    pub omap_id: u64,
    pub attrs: BTreeMap<ByteStr, Bytes>,
    pub omap_header: Bytes,
    /// Its blocks, if `chunked` is not set.
    pub inline: Chunk,
    pub chunked: bool,
}

impl Onode {
    /// About how much memory it takes.
    pub fn mem_bytes(&self) -> usize {
        let attrs: usize = self.attrs.iter().map(|(k, v)| k.len() + v.len() + 96).sum();
        160 + attrs + self.omap_header.len() + self.inline.0.len() * 8
    }
}

impl Encode for Onode {
    fn encode(&self, e: &mut Encoder) {
        e.u8(VERSION);
        e.u64(self.id);
        e.u64(self.size);
        e.u64(self.omap_id);
        e.bool(self.chunked);
        e.put(&self.inline);
        e.put(&self.omap_header);
        e.put(&self.attrs);
    }
}

impl Decode for Onode {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let version = d.u8()?;
        if version != VERSION {
            return Err(DecodeError::TooNew { what: "onode", compat: version, known: VERSION });
        }
        let (id, size, omap_id, chunked) = (d.u64()?, d.u64()?, d.u64()?, d.bool()?);
        let (inline, omap_header, attrs) = (d.get()?, d.get()?, d.get()?);
        Ok(Self { id, size, omap_id, attrs, omap_header, inline, chunked })
    }
}

/// The object's number and the chunk's, of a chunk row's key.
pub fn parse_chunk_key(key: &[u8]) -> Option<(u64, u32)> {
    let (id, number) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*id), u32::from_be_bytes(number.try_into().ok()?)))
}

/// The key of a chunk row.
pub fn chunk_key(id: u64, chunk: u64) -> Vec<u8> {
    crate::key::numbered(id, &(chunk as u32).to_be_bytes())
}
