//! What objects' data takes, by pool: `ceph df` shows it.
//!
//! Kept in memory beside the objects, and counted anew from their rows at every open, as the free blocks are.
//!
//! Invariant: `blocks` are the blocks of the pool's objects that are no holes; of those, `slack` bytes lie beyond their
//! objects' ends.

use std::collections::BTreeMap;

use os::PoolSpace;
use types::PoolId;

use crate::onode::{BLOCK, Block, CHUNK_BLOCKS, Chunk, Onode};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub blocks: i64,
    pub slack: i64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.slack += other.slack;
    }

    fn space(self) -> PoolSpace {
        let allocated = self.blocks * BLOCK.cast_signed();
        PoolSpace {
            allocated: allocated.max(0).cast_unsigned(),
            stored: (allocated - self.slack).max(0).cast_unsigned(),
        }
    }
}

/// By pool; what belongs to none is the OSD's own (maps, its superblock).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space(BTreeMap<Option<PoolId>, Counts>);

impl Space {
    pub fn add(&mut self, pool: Option<PoolId>, counts: Counts) {
        if counts != Counts::default() {
            self.0.entry(pool).or_default().add(counts);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (pool, counts) in &other.0 {
            self.add(*pool, *counts);
        }
    }

    /// The logical size of all data that is there.
    pub fn stored(&self) -> u64 {
        self.0.values().map(|c| c.space().stored).sum()
    }

    pub fn by_pool(&self) -> BTreeMap<PoolId, PoolSpace> {
        self.0.iter().filter_map(|(pool, c)| Some(((*pool)?, c.space()))).collect()
    }
}

/// Bytes of an object's last block that lie beyond its end; `block` gives a block by its index.
pub fn slack<E>(size: u64, block: impl FnOnce(u64) -> Result<Block, E>) -> Result<i64, E> {
    let over = size % BLOCK;
    Ok(if over == 0 || block(size / BLOCK)?.phys == 0 { 0 } else { (BLOCK - over).cast_signed() })
}

/// Counts a store's rows: all objects first, then all chunks.
#[derive(Debug, Default)]
pub struct Count {
    pub space: Space,
    /// Number, pool and size of the objects that have chunks.
    chunked: Vec<(u64, Option<PoolId>, u64)>,
    sorted: bool,
}

impl Count {
    pub fn object(&mut self, pool: Option<PoolId>, onode: &Onode) {
        if onode.chunked {
            return self.chunked.push((onode.id, pool, onode.size));
        }
        let Ok(slack) = slack(onode.size, |i| Ok::<_, std::convert::Infallible>(onode.inline.get(i as usize)));
        self.space.add(pool, Counts { blocks: onode.inline.blocks().count() as i64, slack });
    }

    pub fn chunk(&mut self, id: u64, number: u32, chunk: &Chunk) {
        if !std::mem::replace(&mut self.sorted, true) {
            self.chunked.sort_unstable();
        }
        let at = self.chunked.partition_point(|(other, ..)| *other < id);
        let Some((_, pool, size)) = self.chunked.get(at).filter(|(other, ..)| *other == id).copied() else { return };
        let (in_chunk, in_object) = (size / BLOCK % CHUNK_BLOCKS, size / BLOCK / CHUNK_BLOCKS);
        let last = if in_object == u64::from(number) { chunk.get(in_chunk as usize) } else { Block::default() };
        let Ok(slack) = slack(size, |_| Ok::<_, std::convert::Infallible>(last));
        self.space.add(pool, Counts { blocks: chunk.blocks().count() as i64, slack });
    }
}
