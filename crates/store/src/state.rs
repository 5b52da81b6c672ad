//! What all parts of an open store share, and reading from it.
//!
//! Locks, in the order in which they may be taken: `state`, then `pending` or `cache`. Nobody waits
//! for a disk while holding `state` for writing, but `submit` when it must read part of a block.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use foldhash::HashMap;
use os::{Coll, ReadError, Statfs};
use types::GHObject;

use crate::alloc::Allocator;
use crate::buffers::{ReadBuffer, ReadBuffers};
use crate::crc::crc32c;
use crate::device::Devices;
use crate::key;
use crate::kv::{KvError, Table};
use crate::onode::{BLOCK, Block, CHUNK_BLOCKS, Chunk, Onode, chunk_key};
use crate::overlay::{Layers, Overlay};
use crate::space::Space;
use crate::wal::Piece;

/// What a store may use, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for decoded onodes.
    pub onode_cache_bytes: usize,
    /// redb's cache.
    pub kv_cache_bytes: usize,
    /// An overlay that takes more memory is frozen and checkpointed.
    pub overlay_bytes: usize,
    /// Writes from this size on go to the block device before they are logged, instead of through the log.
    pub large_write: usize,
    /// Of smaller ones so much is gathered after it was logged, before it goes to its place.
    pub unsettled_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            onode_cache_bytes: 16 << 20,
            kv_cache_bytes: 32 << 20,
            overlay_bytes: 24 << 20,
            large_write: 64 << 10,
            unsettled_bytes: 1 << 20,
        }
    }
}

#[derive(Debug)]
pub struct State {
    pub layers: Layers,
    pub alloc: Allocator,
    pub colls: BTreeMap<Coll, u32>,
    pub next_id: u64,
    /// The number of the next transaction to be submitted.
    pub next_txn: u64,
    /// Blocks that were let go of, but are not free before a checkpoint.
    pub quarantined: u64,
    pub space: Space,
    /// Bytes logged, or to be logged, for the active overlay.
    pub active_log_bytes: u64,
    pub pace: Pace,
}

/// When the active overlay is frozen: at how much of its limits, in parts of [`Pace::FULL`].
///
/// Stores that are written at the same rate, as the copies of a pool are, would make their checkpoints at the same time,
/// on the same machine perhaps; a write to all of them would meet them all at once.
#[derive(Debug)]
pub struct Pace {
    parts: u64,
    random: u64,
}

impl Pace {
    const FULL: u64 = 64;

    /// The first overlay is frozen somewhere on the way.
    pub fn new(tag: u64) -> Self {
        let mut pace = Self { parts: 0, random: tag };
        pace.draw(Self::FULL / 4);
        pace
    }

    fn draw(&mut self, least: u64) {
        // Knuth's multiplier; its high bits are the good ones.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.parts = least + (self.random >> 32) % (Self::FULL - least + 1);
    }

    /// Whether this is as much of the limit as is waited for.
    pub fn is_reached(&self, now: u64, limit: u64) -> bool {
        now >= limit / Self::FULL * self.parts
    }
}

impl State {
    /// Where the object's row would be; `None` if it does not belong into the collection.
    pub fn key_in(&self, coll: Coll, oid: &GHObject) -> Option<Vec<u8>> {
        let bits = *self.colls.get(&coll)?;
        coll.holds(bits, oid).then(|| key::object(coll, oid))
    }

    /// Closes the active overlay, for a checkpoint, and starts a new one.
    ///
    /// What is in it may not be committed yet; its checkpoint waits for that. It must never stand for
    /// more of the log than fits, or its end could not be logged before its beginning is checkpointed:
    /// so this is called as soon as a quarter of the ring is reached.
    pub fn freeze(&mut self) {
        if self.layers.active.is_empty() {
            return;
        }
        let mut frozen = std::mem::take(&mut self.layers.active);
        frozen.last_txn = self.next_txn - 1;
        frozen.next_id = self.next_id;
        self.active_log_bytes = 0;
        self.pace.draw(Pace::FULL * 7 / 8);
        self.layers.frozen.push_back(Arc::new(frozen));
    }
}

/// Where a read may find what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Anywhere,
    /// Not in what memory keeps of it: the disk itself shall be tried.
    Disk,
}

#[derive(Debug)]
pub struct Shared {
    pub devices: Devices,
    pub options: Options,
    /// What people call this disk.
    pub disk: String,
    /// Bytes that data, log and metadata may take together.
    pub size: u64,
    pub wal_ring: u64,
    pub state: RwLock<State>,
    /// Data that is not at its place yet, by first block.
    pub pending: Mutex<BTreeMap<u32, Piece>>,
    cache: Mutex<OnodeCache>,
    buffers: Arc<ReadBuffers>,
    pub failed: OnceLock<String>,
    /// Counts large writes that may stay in memory.
    cache_turns: AtomicU32,
}

impl Shared {
    pub fn new(devices: Devices, options: Options, disk: String, size: u64, wal_ring: u64, state: State) -> Self {
        Self {
            cache: Mutex::new(OnodeCache::new(options.onode_cache_bytes)),
            buffers: Arc::default(),
            devices,
            options,
            disk,
            size,
            wal_ring,
            state: RwLock::new(state),
            pending: Mutex::default(),
            failed: OnceLock::new(),
            cache_turns: AtomicU32::new(0),
        }
    }

    /// Whether the large data that is being written stays in memory: one in three does. A third of the reads that come
    /// soon need no disk then, which makes all of them half as fast again; to keep it all would cost writes more than
    /// that where fresh memory is dear.
    pub fn cache_turn(&self) -> bool {
        const ONE_IN: u32 = 3;
        self.cache_turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN)
    }

    /// The largest record that is taken.
    pub fn record_max(&self) -> usize {
        self.wal_ring as usize / 8
    }

    // A panic under a lock has already ended what it was about; the state itself is only ever changed
    // by moves that cannot panic half-way.
    pub fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(|p| p.into_inner())
    }

    pub fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|p| p.into_inner())
    }

    pub fn lock_pending(&self) -> MutexGuard<'_, BTreeMap<u32, Piece>> {
        self.pending.lock().unwrap_or_else(|p| p.into_inner())
    }

    pub fn lock_cache(&self) -> MutexGuard<'_, OnodeCache> {
        self.cache.lock().unwrap_or_else(|p| p.into_inner())
    }

    pub fn io_error(&self, coll: Coll, oid: &GHObject, off: u64, why: impl std::fmt::Display) -> ReadError {
        ReadError::Io { coll, oid: oid.clone().into(), off, why: format!("{}: {why}", self.disk) }
    }

    /// The onode as of `state`.
    pub fn onode(&self, state: &State, key: &[u8]) -> Result<Option<Arc<Onode>>, KvError> {
        if let Some(found) = self.lock_cache().get(key) {
            return Ok(found);
        }
        let row = state.layers.get(Table::Object, key)?;
        let onode = row.map(|row| decode_row(Table::Object, row)).transpose()?.map(Arc::new);
        self.lock_cache().insert(key.to_vec(), onode.clone());
        Ok(onode)
    }

    /// Appends consecutive blocks to `out`, verified; what is not written yet comes from memory in any case. The error says which block and why.
    pub fn read_blocks(&self, blocks: &[Block], from: Source, out: &mut Vec<u8>) -> Result<(), (usize, String)> {
        let mut i = 0;
        for row in in_rows(blocks) {
            let start = out.len();
            if row[0].phys == 0 {
                out.resize(start + row.len() * BLOCK as usize, 0);
            } else {
                self.read_row(row[0].phys, row.len(), from, out).map_err(|why| (i, why))?;
                verify(row, &out[start..]).map_err(|(bad, why)| (i + bad, why))?;
            }
            i += row.len();
        }
        Ok(())
    }

    /// Blocks that lie in a row, from memory where they are not written yet.
    fn read_row(&self, first: u32, blocks: usize, from: Source, out: &mut Vec<u8>) -> Result<(), String> {
        let (start, len) = (out.len(), blocks * BLOCK as usize);
        let waiting = pending_in(&self.lock_pending(), first, first + blocks as u32);
        if let [piece] = &waiting[..]
            && piece.phys <= first
            && piece.phys + piece.blocks >= first + blocks as u32
        {
            append_piece(piece, first, len, out);
            return Ok(());
        }
        let device = &self.devices.block;
        let read = |off, len, out: &mut Vec<u8>| match from {
            Source::Anywhere => device.read_onto(off, len, out),
            Source::Disk => device.read_from_disk(off, len, out),
        };
        match read(u64::from(first) * BLOCK, len, out) {
            // A block that was never written may lie beyond the end of the file.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof && !waiting.is_empty() => {
                for at in (u64::from(first)..).take(blocks) {
                    if waiting.iter().any(|p| (p.phys.into()..u64::from(p.phys + p.blocks)).contains(&at)) {
                        out.resize(out.len() + BLOCK as usize, 0);
                    } else {
                        read(at * BLOCK, BLOCK as usize, out).map_err(|e| e.to_string())?;
                    }
                }
            }
            other => other.map_err(|e| e.to_string())?,
        }
        for piece in waiting {
            copy_piece(&piece, first, &mut out[start..]);
        }
        Ok(())
    }

    /// Log and metadata count as used.
    pub fn statfs(&self) -> Statfs {
        let state = self.read_state();
        // What waits for a checkpoint to be free counts as free: whoever needs it gets that checkpoint.
        let allocated = state.alloc.used().saturating_sub(state.quarantined) * BLOCK;
        let stored = state.space.stored();
        drop(state);
        let internal_metadata = self.wal_ring + self.devices.kv.len();
        let used = allocated + internal_metadata + reserve(self.size);
        Statfs {
            total: self.size,
            available: self.size.saturating_sub(used),
            allocated,
            stored,
            internal_metadata,
            omap_allocated: 0,
        }
    }

    /// Blocks that may still be given out.
    pub fn spare_blocks(&self, state: &State) -> u64 {
        let taken = state.alloc.used() * BLOCK + self.wal_ring + self.devices.kv.len() + reserve(self.size);
        self.size.saturating_sub(taken) / BLOCK
    }
}

/// Kept back so that checkpoints and deletes work on a full disk.
fn reserve(size: u64) -> u64 {
    (size / 32).min(64 << 20)
}

/// Waiting pieces that overlap blocks `first..last`, in order.
fn overlapping(pending: &BTreeMap<u32, Piece>, first: u32, last: u32) -> impl Iterator<Item = &Piece> {
    let before = pending.range(..first).next_back().filter(|(start, p)| *start + p.blocks > first);
    before.into_iter().chain(pending.range(first..last)).map(|(_, p)| p)
}

fn pending_in(pending: &BTreeMap<u32, Piece>, first: u32, last: u32) -> Vec<Piece> {
    overlapping(pending, first, last).cloned().collect()
}

fn any_pending(pending: &BTreeMap<u32, Piece>, first: u32, last: u32) -> bool {
    overlapping(pending, first, last).next().is_some()
}

/// Blocks cut where the next one does not lie behind the one before it; holes stand alone.
fn in_rows(blocks: &[Block]) -> impl Iterator<Item = &[Block]> {
    blocks.chunk_by(|a, b| a.phys != 0 && a.phys.checked_add(1) == Some(b.phys))
}

/// Appends `len` bytes of a piece, from block `first` on, all of which it covers.
fn append_piece(piece: &Piece, first: u32, len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    let from = piece.data.get((first - piece.phys) as usize * BLOCK as usize..).unwrap_or_default();
    out.extend_from_slice(&from[..from.len().min(len)]);
    out.resize(end, 0);
}

/// Copies what `piece` has of the blocks from `first` on into `buf`.
pub fn copy_piece(piece: &Piece, first: u32, buf: &mut [u8]) {
    let n = (buf.len() / BLOCK as usize) as u32;
    let (start, end) = (piece.phys.max(first), (piece.phys + piece.blocks).min(first + n));
    if start >= end {
        return;
    }
    let to = &mut buf[((start - first) as usize * BLOCK as usize)..((end - first) as usize * BLOCK as usize)];
    let from = piece.data.get((start - piece.phys) as usize * BLOCK as usize..).unwrap_or_default();
    let have = from.len().min(to.len());
    to[..have].copy_from_slice(&from[..have]);
    to[have..].fill(0);
}

pub fn verify(blocks: &[Block], data: &[u8]) -> Result<(), (usize, String)> {
    for (i, (block, bytes)) in blocks.iter().zip(data.chunks_exact(BLOCK as usize)).enumerate() {
        let got = crc32c(bytes);
        if got != block.crc {
            let why = format!("block {}: crc32c is {got:08x}, should be {:08x}", block.phys, block.crc);
            return Err((i, why));
        }
    }
    Ok(())
}

pub fn decode_row<T: denc::Decode>(table: Table, row: Bytes) -> Result<T, KvError> {
    denc::from_bytes(row).map_err(|e| KvError::Db(format!("a row of table {table:?} cannot be read: {e}")))
}

/// Block `i` of an object, through the layers and what a running transaction changed.
pub fn block_of(
    state: &State,
    top: Option<&Overlay>,
    onode: &Onode,
    chunk: &mut Option<(u64, Chunk)>,
    i: u64,
) -> Result<Block, KvError> {
    if !onode.chunked {
        return Ok(onode.inline.get(usize::try_from(i).unwrap_or(usize::MAX)));
    }
    let number = i / CHUNK_BLOCKS;
    if chunk.as_ref().is_none_or(|(n, _)| *n != number) {
        let key = chunk_key(onode.id, number);
        let row = match top.and_then(|t| t.get(Table::Chunk, &key)) {
            Some(found) => found.clone(),
            None => state.layers.get(Table::Chunk, &key)?,
        };
        let found = row.map(|row| decode_row(Table::Chunk, row)).transpose()?.unwrap_or_default();
        *chunk = Some((number, found));
    }
    Ok(chunk.as_ref().map_or(Block::default(), |(_, c)| c.get((i % CHUNK_BLOCKS) as usize)))
}

/// The blocks that a range of bytes touches.
pub fn blocks_in(state: &State, onode: &Onode, off: u64, end: u64) -> Result<Vec<Block>, KvError> {
    let mut chunk = None;
    (off / BLOCK..end.div_ceil(BLOCK)).map(|i| block_of(state, None, onode, &mut chunk, i)).collect()
}

/// Where the bytes of a read lie; resolved under the lock, read without it.
#[derive(Debug)]
pub struct Plan {
    pub off: u64,
    pub end: u64,
    pub blocks: Vec<Block>,
}

impl Plan {
    /// Cuts the asked range out of whole blocks.
    fn cut(&self, whole: ReadBuffer) -> Bytes {
        let skip = (self.off % BLOCK) as usize;
        whole.into_bytes().slice(skip..skip + (self.end - self.off) as usize)
    }

    fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK as usize
    }
}

impl Shared {
    /// `None` if there is no such object.
    pub fn plan(&self, state: &State, key: &[u8], off: u64, len: u64) -> Result<Option<Plan>, KvError> {
        let Some(onode) = self.onode(state, key)? else { return Ok(None) };
        let end = off.saturating_add(len).min(onode.size);
        if off >= end {
            return Ok(Some(Plan { off: 0, end: 0, blocks: Vec::new() }));
        }
        Ok(Some(Plan { off, end, blocks: blocks_in(state, &onode, off, end)? }))
    }

    pub fn read_object(
        &self,
        coll: Coll,
        oid: &GHObject,
        off: u64,
        len: u64,
        from: Source,
    ) -> Result<Option<Bytes>, ReadError> {
        let failed = |e: KvError| self.io_error(coll, oid, off, e);
        let state = self.read_state();
        let Some(key) = state.key_in(coll, oid) else { return Ok(None) };
        let Some(plan) = self.plan(&state, &key, off, len).map_err(failed)? else { return Ok(None) };
        drop(state);
        let mut buf = self.buffers.take(plan.bytes());
        if self.read_blocks(&plan.blocks, from, &mut buf.buf).is_ok() {
            return Ok(Some(plan.cut(buf)));
        }
        // The object may have changed under us and its old blocks been used again. Under the lock
        // that cannot happen: if it is still wrong, it is wrong.
        let state = self.read_state();
        let Some(plan) = self.plan(&state, &key, off, len).map_err(failed)? else { return Ok(None) };
        let mut buf = self.buffers.take(plan.bytes());
        let at = |i: usize| (plan.off / BLOCK + i as u64) * BLOCK;
        let read = self.read_blocks(&plan.blocks, from, &mut buf.buf);
        read.map_err(|(i, why)| self.io_error(coll, oid, at(i), why))?;
        Ok(Some(plan.cut(buf)))
    }

    /// As [`Self::read_object`], if that needs no waiting for a disk.
    pub fn try_read_object(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Option<Option<Bytes>> {
        let state = self.read_state();
        let Some(key) = state.key_in(coll, oid) else { return Some(None) };
        let Some(plan) = self.plan(&state, &key, off, len).ok()? else { return Some(None) };
        let mut buffer = self.buffers.take(plan.bytes());
        let buf = &mut buffer.buf;
        for row in in_rows(&plan.blocks) {
            let (start, len) = (buf.len(), row.len() * BLOCK as usize);
            let first = row[0].phys;
            if first == 0 {
                buf.resize(start + len, 0);
                continue;
            }
            let waiting = any_pending(&self.lock_pending(), first, first + row.len() as u32);
            match waiting {
                true => self.read_row(first, row.len(), Source::Anywhere, buf).ok()?,
                false if self.devices.block.try_read_onto(u64::from(first) * BLOCK, len, buf).ok()? => {}
                false => return None,
            }
            verify(row, &buf[start..]).ok()?;
        }
        Some(Some(plan.cut(buffer)))
    }
}

/// Decoded onodes, and which objects do not exist (so that making one costs no look-up below), bounded by bytes.
/// Two generations: what was not asked for while the young one filled up is forgotten.
#[derive(Debug)]
pub struct OnodeCache {
    young: HashMap<Vec<u8>, Option<Arc<Onode>>>,
    old: HashMap<Vec<u8>, Option<Arc<Onode>>>,
    young_bytes: usize,
    max_bytes: usize,
}

/// Memory that an absent object takes besides its key.
const ABSENT_BYTES: usize = 64;

fn cached_bytes(onode: Option<&Arc<Onode>>) -> usize {
    onode.map_or(ABSENT_BYTES, |o| o.mem_bytes())
}

impl OnodeCache {
    fn new(max_bytes: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), young_bytes: 0, max_bytes }
    }

    /// `Some(None)` is an object that does not exist.
    pub fn get(&mut self, key: &[u8]) -> Option<Option<Arc<Onode>>> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = self.old.remove_entry(key)?;
        self.insert(key, found.clone());
        Some(found)
    }

    pub fn insert(&mut self, key: Vec<u8>, onode: Option<Arc<Onode>>) {
        self.young_bytes += key.len() + cached_bytes(onode.as_ref());
        self.old.remove(&key);
        if let Some(before) = self.young.insert(key, onode) {
            self.young_bytes = self.young_bytes.saturating_sub(cached_bytes(before.as_ref()));
        }
        if self.young_bytes > self.max_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}
