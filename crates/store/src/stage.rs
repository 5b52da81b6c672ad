//! A transaction while it is applied: everything it changes is here, and becomes visible at once or,
//! if a change is refused, not at all.
//!
//! Data never overwrites data: each written block gets a new place, and the old one is let go of when
//! the change is in a checkpoint. So whatever a crash loses, what the checkpoint and the log refer to
//! is intact.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use os::{ApplyError, Coll, OBJECT_SIZE_MAX, Transaction, TxOp};
use types::{GHObject, op_flag};

use crate::alloc::Run;
use crate::crc::crc32c;
use crate::key;
use crate::kv::{KvError, Table};
use crate::onode::{BLOCK, Block, CHUNK_BLOCKS, Chunk, INLINE_SIZE, Onode, chunk_key};
use crate::overlay::Overlay;
use crate::space::{Counts, Space, slack};
use crate::state::{Shared, Source, State, copy_piece, decode_row};
use crate::wal::{Away, Piece};

/// Data of one transaction that may travel through the log.
const LOGGED_MAX: usize = 1 << 20;

/// Hints with which data does not stay in memory.
const NOT_READ_SOON: u32 = op_flag::FADVISE_DONTNEED | op_flag::FADVISE_NOCACHE;

/// So often a block is read before it counts as one that cannot be.
const READ_TRIES: usize = 3;

/// Why a transaction was not taken. Nothing of it is visible.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    #[error("the store has failed before: {0}")]
    Failed(String),
    #[error(transparent)]
    Refused(#[from] ApplyError),
    #[error("no space left: {wanted} more bytes are wanted, {left} may be used")]
    NoSpace { wanted: u64, left: u64 },
    #[error(transparent)]
    Kv(#[from] KvError),
}

/// Overlays and caches keep small values long; as slices they would keep the large frame they came in.
fn owned(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}

type Result<T> = std::result::Result<T, SubmitError>;

/// A block of which a part is kept. One that cannot be read is spoilt, and so is what is made of it: it gets a
/// checksum that is wrong, so that reads go on to fail until all of it is written anew. A disk's bad block must not
/// keep the PG from writing beside it; the other copies know what was there.
struct Kept {
    data: Vec<u8>,
    spoilt: bool,
}

/// What was read to be copied: offset and bytes, and from where to where it cannot be read.
struct Copied {
    data: Vec<(u64, Bytes)>,
    spoilt: Vec<(u64, u64)>,
}

struct Slot {
    onode: Option<Onode>,
    edit: Edit,
}

/// How far a change of an onode has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    /// It is as it was.
    None,
    /// It has no row yet.
    New,
    /// It has.
    Settled,
}

/// What came of a transaction.
pub struct Staged {
    pub changes: Overlay,
    pub colls: Option<BTreeMap<Coll, u32>>,
    /// To be logged.
    pub logged: Vec<Piece>,
    /// To be written and synced before the log record.
    pub direct: Vec<Piece>,
    pub onodes: Vec<(Vec<u8>, Option<Arc<Onode>>)>,
    /// What pools' objects take more now, or less.
    pub space: Space,
}

impl Staged {
    /// Finds blocks for encoded changes that are too large for the log. If there are none, nothing has happened.
    pub fn put_away(&mut self, shared: &Shared, state: &mut State, meta: &Bytes) -> Result<Away> {
        let blocks = (meta.len() as u64).div_ceil(BLOCK);
        let spare = shared.spare_blocks(state);
        let Some(runs) = (blocks <= spare).then(|| state.alloc.alloc(blocks)).flatten() else {
            for piece in self.logged.iter().chain(&self.direct) {
                state.alloc.free((piece.phys, piece.blocks));
            }
            return Err(SubmitError::NoSpace { wanted: blocks * BLOCK, left: spare * BLOCK });
        };
        let away = Away::new(runs, meta);
        self.direct.extend(away.pieces(meta));
        self.changes.freed.extend(&away.runs);
        Ok(away)
    }
}

pub struct Stage<'a> {
    shared: &'a Shared,
    state: &'a mut State,
    slots: BTreeMap<Vec<u8>, Slot>,
    chunks: BTreeMap<(u64, u64), (Chunk, bool)>,
    kv: Overlay,
    colls: Option<BTreeMap<Coll, u32>>,
    logged: Vec<Piece>,
    logged_bytes: usize,
    direct: Vec<Piece>,
    allocated: Vec<Run>,
    space: Space,
    /// Of the object that is being changed; not in `space` yet.
    blocks: i64,
}

impl<'a> Stage<'a> {
    /// Applies all of `txn`. On an error the state is as before.
    pub fn run(shared: &'a Shared, state: &'a mut State, txn: &Transaction) -> Result<Staged> {
        let mut stage = Self {
            shared,
            state,
            slots: BTreeMap::new(),
            chunks: BTreeMap::new(),
            kv: Overlay::default(),
            colls: None,
            logged: Vec::new(),
            logged_bytes: 0,
            direct: Vec::new(),
            allocated: Vec::new(),
            space: Space::default(),
            blocks: 0,
        };
        let applied = txn.ops.iter().try_for_each(|op| stage.apply(op)).and_then(|()| stage.settle());
        if let Err(e) = applied {
            for run in std::mem::take(&mut stage.allocated) {
                stage.state.alloc.free(run);
            }
            return Err(e);
        }
        let edited = stage.slots.into_iter().filter(|(_, s)| s.edit != Edit::None);
        let onodes = edited.map(|(k, s)| (k, s.onode.map(Arc::new))).collect();
        let Self { kv: changes, colls, logged, direct, space, .. } = Stage { slots: BTreeMap::new(), ..stage };
        Ok(Staged { changes, colls, logged, direct, onodes, space })
    }

    fn apply(&mut self, op: &TxOp) -> Result<()> {
        match op {
            TxOp::MkColl { coll, bits } => {
                if self.colls().contains_key(coll) {
                    return Err(ApplyError::CollectionExists(*coll).into());
                }
                self.set_coll(*coll, Some(*bits));
            }
            TxOp::RmColl { coll } => {
                self.check_coll(*coll)?;
                let (first, end) = key::bounds(*coll, self.bits(*coll)?);
                if !self.rows(Table::Object, &first, &end, 1)?.is_empty() {
                    return Err(ApplyError::NotEmpty(*coll).into());
                }
                self.set_coll(*coll, None);
            }
            TxOp::SplitColl { coll, bits, rem, dest } => {
                self.check_coll(*coll)?;
                self.check_coll(*dest)?;
                if !dest.ends_in(*bits, *rem) || !coll.is_sibling(*dest, 0) {
                    return Err(ApplyError::Unrelated(*coll, *dest).into());
                }
                self.set_coll(*coll, Some(*bits));
                self.set_coll(*dest, Some(*bits));
            }
            TxOp::MergeColl { coll, dest, bits } => {
                self.check_coll(*dest)?;
                self.check_coll(*coll)?;
                if coll == dest || !coll.is_sibling(*dest, *bits) {
                    return Err(ApplyError::Unrelated(*coll, *dest).into());
                }
                self.set_coll(*coll, None);
                self.set_coll(*dest, Some(*bits));
            }
            TxOp::Create { coll, oid } | TxOp::Touch { coll, oid } | TxOp::SetAllocHint { coll, oid, .. } => {
                self.make(*coll, oid, Some(0))?;
            }
            TxOp::Write { coll, oid, off, data, fadvise } => {
                let key = self.make(*coll, oid, off.checked_add(data.len() as u64))?;
                let first = self.direct.len();
                self.edit_data(&key, |stage, onode| stage.write(onode, *off, data))?;
                let cached = fadvise & NOT_READ_SOON == 0 && first < self.direct.len() && self.shared.cache_turn();
                self.direct[first..].iter_mut().for_each(|piece| piece.cached = cached);
            }
            TxOp::Zero { coll, oid, off, len } => {
                let key = self.make(*coll, oid, off.checked_add(*len))?;
                self.edit_data(&key, |stage, onode| stage.zero(onode, *off, *len))?;
            }
            TxOp::Truncate { coll, oid, size } => {
                let key = self.make(*coll, oid, Some(*size))?;
                self.edit_data(&key, |stage, onode| stage.truncate(onode, *size))?;
            }
            TxOp::Remove { coll, oid } => {
                if self.holds(*coll, oid)? {
                    self.remove(&key::object(*coll, oid))?;
                }
            }
            TxOp::SetAttrs { coll, oid, attrs } => {
                let key = self.make(*coll, oid, Some(0))?;
                self.edit(&key, |_, onode| {
                    onode.attrs.extend(attrs.iter().map(|(k, v)| (k.clone(), owned(v))));
                    Ok(())
                })?;
            }
            TxOp::RmAttr { coll, oid, name } => self.edit_if_there(*coll, oid, |_, onode| {
                onode.attrs.remove(name);
                Ok(())
            })?,
            TxOp::RmAttrs { coll, oid } => self.edit_if_there(*coll, oid, |_, onode| {
                onode.attrs.clear();
                Ok(())
            })?,
            TxOp::Clone { coll, oid, dest } => self.clone_object(*coll, oid, dest)?,
            TxOp::CloneRange { coll, oid, dest, off, len, dest_off } => {
                self.source(*coll, oid)?;
                let dest_key = self.make(*coll, dest, dest_off.checked_add(*len))?;
                let source = self.source(*coll, oid)?;
                let Copied { data, spoilt } = self.data_in(&source, *off, off.saturating_add(*len))?;
                self.edit_data(&dest_key, |stage, onode| {
                    stage.zero(onode, *dest_off, *len)?;
                    for (at, bytes) in data {
                        stage.write(onode, dest_off + (at - off), &bytes)?;
                    }
                    spoilt
                        .iter()
                        .try_for_each(|(from, to)| stage.spoil(onode, dest_off + (from - off), dest_off + (to - off)))
                })?;
            }
            TxOp::OmapClear { coll, oid } => self.edit_if_there(*coll, oid, |stage, onode| {
                stage.clear_omap(onode);
                Ok(())
            })?,
            TxOp::OmapSet { coll, oid, keys } => {
                let key = self.make(*coll, oid, Some(0))?;
                let id = self.omap_id(&key)?;
                for (k, v) in keys {
                    self.kv.set(Table::Omap, key::numbered(id, k.as_bytes()), Some(owned(v)));
                }
            }
            TxOp::OmapRm { coll, oid, keys } => {
                if let Some(id) = self.existing_omap(*coll, oid)? {
                    for k in keys {
                        self.kv.set(Table::Omap, key::numbered(id, k.as_bytes()), None);
                    }
                }
            }
            TxOp::OmapRmRange { coll, oid, first, last } => {
                if let Some(id) = self.existing_omap(*coll, oid)? {
                    let (from, to) = (key::numbered(id, first.as_bytes()), key::numbered(id, last.as_bytes()));
                    for (k, _) in self.rows(Table::Omap, &from, &to, usize::MAX)? {
                        self.kv.set(Table::Omap, k, None);
                    }
                }
            }
            TxOp::OmapSetHeader { coll, oid, header } => {
                let key = self.make(*coll, oid, Some(0))?;
                self.edit(&key, |_, onode| {
                    onode.omap_header = owned(header);
                    Ok(())
                })?;
            }
            TxOp::MoveRename { coll, oid, dest_coll, dest } => {
                self.bits(*dest_coll)?;
                let from = key::object(*coll, oid);
                if self.holds(*coll, oid)? && self.slot(&from)?.onode.is_some() {
                    self.check_place(*dest_coll, dest)?;
                    self.rename(&from, key::object(*dest_coll, dest))?;
                }
            }
        }
        Ok(())
    }

    // Collections.

    fn colls(&self) -> &BTreeMap<Coll, u32> {
        self.colls.as_ref().unwrap_or(&self.state.colls)
    }

    fn bits(&self, coll: Coll) -> Result<u32> {
        self.colls().get(&coll).copied().ok_or(ApplyError::NoCollection(coll).into())
    }

    fn check_coll(&self, coll: Coll) -> Result<()> {
        self.bits(coll).map(drop)
    }

    /// Whether the object, if it is there, is the collection's.
    fn holds(&self, coll: Coll, oid: &GHObject) -> Result<bool> {
        Ok(coll.holds(self.bits(coll)?, oid))
    }

    /// That the object may be put there.
    fn check_place(&self, coll: Coll, oid: &GHObject) -> Result<()> {
        let holds = self.holds(coll, oid)?;
        holds.then_some(()).ok_or_else(|| ApplyError::Misplaced(coll, oid.clone().into()).into())
    }

    fn set_coll(&mut self, coll: Coll, bits: Option<u32>) {
        let colls = self.colls.get_or_insert_with(|| self.state.colls.clone());
        match bits {
            Some(bits) => drop(colls.insert(coll, bits)),
            None => drop(colls.remove(&coll)),
        }
        let value = bits.map(|b| Bytes::copy_from_slice(&b.to_le_bytes()));
        self.kv.set(Table::Coll, key::coll(coll), value);
    }

    /// Rows as this transaction sees them.
    fn rows(&mut self, table: Table, from: &[u8], to: &[u8], max: usize) -> Result<Vec<(Vec<u8>, Bytes)>> {
        self.settle()?;
        let mut out = Vec::new();
        self.state.layers.scan(Some(&self.kv), table, from, to, &mut |k, v| {
            out.push((k.to_vec(), v.clone()));
            if out.len() >= max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(out)
    }

    // Objects.

    fn slot(&mut self, key: &[u8]) -> Result<&mut Slot> {
        if !self.slots.contains_key(key) {
            let onode = self.shared.onode(self.state, key)?.map(Arc::unwrap_or_clone);
            self.slots.insert(key.to_vec(), Slot { onode, edit: Edit::None });
        }
        Ok(self.slots.get_mut(key).expect("just put there"))
    }

    fn new_id(&mut self) -> u64 {
        self.state.next_id += 1;
        self.state.next_id - 1
    }

    /// The key of the object, which exists from now on; it may come to reach up to `end`.
    fn make(&mut self, coll: Coll, oid: &GHObject, end: Option<u64>) -> Result<Vec<u8>> {
        if end.is_none_or(|end| end > OBJECT_SIZE_MAX) {
            return Err(ApplyError::TooLarge(coll, oid.clone().into()).into());
        }
        self.check_place(coll, oid)?;
        let key = key::object(coll, oid);
        if self.slot(&key)?.onode.is_none() {
            let id = self.new_id();
            *self.slot(&key)? = Slot { onode: Some(Onode { id, ..Onode::default() }), edit: Edit::New };
        }
        Ok(key)
    }

    /// Changes an object that exists.
    fn edit(&mut self, key: &[u8], change: impl FnOnce(&mut Self, &mut Onode) -> Result<()>) -> Result<()> {
        let mut onode = self.slot(key)?.onode.take().expect("the caller made it or looked");
        let changed = change(self, &mut onode);
        *self.slot(key)? = Slot { onode: Some(onode), edit: Edit::New };
        changed
    }

    /// Changes the data of an object that exists; what it takes more or less is counted.
    fn edit_data(&mut self, key: &[u8], change: impl FnOnce(&mut Self, &mut Onode) -> Result<()>) -> Result<()> {
        self.edit(key, |stage, onode| {
            let before = stage.slack(onode)?;
            change(stage, onode)?;
            let slack = stage.slack(onode)? - before;
            stage.count(key, slack);
            Ok(())
        })
    }

    fn slack(&mut self, onode: &Onode) -> Result<i64> {
        slack(onode.size, |i| self.block(onode, i))
    }

    /// Ends a change of one object's data.
    fn count(&mut self, key: &[u8], slack: i64) {
        let blocks = std::mem::take(&mut self.blocks);
        self.space.add(key::pool(key), Counts { blocks, slack });
    }

    fn edit_if_there(
        &mut self,
        coll: Coll,
        oid: &GHObject,
        change: impl FnOnce(&mut Self, &mut Onode) -> Result<()>,
    ) -> Result<()> {
        let key = key::object(coll, oid);
        if self.holds(coll, oid)? && self.slot(&key)?.onode.is_some() { self.edit(&key, change) } else { Ok(()) }
    }

    fn source(&mut self, coll: Coll, oid: &GHObject) -> Result<Onode> {
        let found = match self.holds(coll, oid)? {
            true => self.slot(&key::object(coll, oid))?.onode.clone(),
            false => None,
        };
        found.ok_or_else(|| ApplyError::NoObject(coll, oid.clone().into()).into())
    }

    fn remove(&mut self, key: &[u8]) -> Result<()> {
        let slot = self.slot(key)?;
        let Some(mut onode) = slot.onode.take() else { return Ok(()) };
        slot.edit = Edit::New;
        let slack = self.slack(&onode)?;
        self.drop_blocks_from(&mut onode, 0)?;
        self.count(key, -slack);
        self.clear_omap(&mut onode);
        if onode.chunked {
            self.chunks.retain(|(id, _), _| *id != onode.id);
            self.kv.drop_numbered(Table::Chunk, onode.id);
        }
        Ok(())
    }

    fn rename(&mut self, from: &[u8], to: Vec<u8>) -> Result<()> {
        if from == to || self.slot(from)?.onode.is_none() {
            return Ok(());
        }
        self.remove(&to)?;
        let slot = self.slot(from)?;
        slot.edit = Edit::New;
        let onode = slot.onode.take();
        if key::pool(from) != key::pool(&to) {
            self.recount(onode.as_ref(), from, &to)?;
        }
        self.slots.insert(to, Slot { onode, edit: Edit::New });
        Ok(())
    }

    /// An object that goes to another pool takes its blocks along.
    fn recount(&mut self, onode: Option<&Onode>, from: &[u8], to: &[u8]) -> Result<()> {
        let Some(onode) = onode else { return Ok(()) };
        let slack = self.slack(onode)?;
        let mut blocks = 0;
        for i in 0..onode.size.div_ceil(BLOCK) {
            blocks += i64::from(self.block(onode, i)?.phys != 0);
        }
        self.space.add(key::pool(from), Counts { blocks: -blocks, slack: -slack });
        self.space.add(key::pool(to), Counts { blocks, slack });
        Ok(())
    }

    fn clone_object(&mut self, coll: Coll, oid: &GHObject, dest: &GHObject) -> Result<()> {
        let source = self.source(coll, oid)?;
        if oid == dest {
            return Ok(());
        }
        self.check_place(coll, dest)?;
        let Copied { data, spoilt } = self.data_in(&source, 0, source.size)?;
        let dest_key = key::object(coll, dest);
        self.remove(&dest_key)?;
        let dest_key = self.make(coll, dest, Some(source.size)).map(|_| dest_key)?;
        if source.omap_id != 0 {
            let id = self.omap_id(&dest_key)?;
            let (from, to) = (key::numbered(source.omap_id, &[]), key::numbered(source.omap_id + 1, &[]));
            for (k, v) in self.rows(Table::Omap, &from, &to, usize::MAX)? {
                self.kv.set(Table::Omap, key::numbered(id, &k[8..]), Some(v));
            }
        }
        self.edit_data(&dest_key, |stage, onode| {
            onode.attrs = source.attrs.clone();
            onode.omap_header = source.omap_header.clone();
            for (at, bytes) in data {
                stage.write(onode, at, &bytes)?;
            }
            spoilt.iter().try_for_each(|(from, to)| stage.spoil(onode, *from, *to))?;
            stage.grow(onode, source.size)
        })
    }

    // Omap.

    fn omap_id(&mut self, key: &[u8]) -> Result<u64> {
        let id = self.slot(key)?.onode.as_ref().expect("the caller made it").omap_id;
        if id != 0 {
            return Ok(id);
        }
        let id = self.new_id();
        self.edit(key, |_, onode| {
            onode.omap_id = id;
            Ok(())
        })?;
        Ok(id)
    }

    fn existing_omap(&mut self, coll: Coll, oid: &GHObject) -> Result<Option<u64>> {
        if !self.holds(coll, oid)? {
            return Ok(None);
        }
        let onode = self.slot(&key::object(coll, oid))?.onode.as_ref();
        Ok(onode.map(|o| o.omap_id).filter(|id| *id != 0))
    }

    fn clear_omap(&mut self, onode: &mut Onode) {
        if onode.omap_id != 0 {
            self.kv.drop_numbered(Table::Omap, onode.omap_id);
            onode.omap_id = 0;
        }
        onode.omap_header.clear();
    }

    // Data.

    fn block(&mut self, onode: &Onode, i: u64) -> Result<Block> {
        if !onode.chunked {
            return Ok(onode.inline.get(i as usize));
        }
        Ok(self.chunk(onode.id, i / CHUNK_BLOCKS)?.0.get((i % CHUNK_BLOCKS) as usize))
    }

    fn chunk(&mut self, id: u64, number: u64) -> Result<&mut (Chunk, bool)> {
        if !self.chunks.contains_key(&(id, number)) {
            let row_key = chunk_key(id, number);
            let row = match self.kv.get(Table::Chunk, &row_key) {
                Some(found) => found.clone(),
                None => self.state.layers.get(Table::Chunk, &row_key)?,
            };
            let chunk = row.map(|row| decode_row(Table::Chunk, row)).transpose()?.unwrap_or_default();
            self.chunks.insert((id, number), (chunk, false));
        }
        Ok(self.chunks.get_mut(&(id, number)).expect("just put there"))
    }

    /// Puts a block into its place in the object; the one that was there is let go of.
    fn set_block(&mut self, onode: &mut Onode, i: u64, block: Block) -> Result<()> {
        let old = self.block(onode, i)?;
        if old == block {
            return Ok(());
        }
        self.blocks += i64::from(block.phys != 0) - i64::from(old.phys != 0);
        if old.phys != 0 {
            self.kv.free_block(old.phys);
        }
        if !onode.chunked {
            onode.inline.set(i as usize, block);
            return Ok(());
        }
        let (chunk, dirty) = self.chunk(onode.id, i / CHUNK_BLOCKS)?;
        chunk.set((i % CHUNK_BLOCKS) as usize, block);
        *dirty = true;
        Ok(())
    }

    /// Makes the object at least `size` long.
    fn grow(&mut self, onode: &mut Onode, size: u64) -> Result<()> {
        onode.size = onode.size.max(size);
        if onode.size > INLINE_SIZE && !onode.chunked {
            onode.chunked = true;
            let inline = std::mem::take(&mut onode.inline);
            *self.chunk(onode.id, 0)? = (inline, true);
        }
        Ok(())
    }

    fn write(&mut self, onode: &mut Onode, off: u64, data: &Bytes) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let end = off + data.len() as u64;
        self.grow(onode, end)?;
        let (first, last) = (off / BLOCK, (end - 1) / BLOCK);
        let mut runs = self.alloc(last - first + 1)?.into_iter();
        let mut run = (0, 0);
        let mut pieces: Vec<Piece> = Vec::new();
        // Bytes of `data` that the last piece ends with, if it is a slice of `data`.
        let mut slice_end = None;
        for i in first..=last {
            if run.1 == 0 {
                run = runs.next().expect("as many as asked for");
                slice_end = None;
            }
            let phys = run.0;
            run = (run.0 + 1, run.1 - 1);
            let (start, stop) = (off.max(i * BLOCK), end.min((i + 1) * BLOCK));
            let part = (start - off) as usize..(stop - off) as usize;
            if stop - start == BLOCK {
                self.set_block(onode, i, Block { phys, crc: crc32c(&data[part.clone()]) })?;
                match (pieces.last_mut(), slice_end) {
                    (Some(piece), Some(from)) => {
                        piece.blocks += 1;
                        piece.data = data.slice(from..part.end);
                    }
                    _ => {
                        slice_end = Some(part.start);
                        pieces.push(Piece { phys, blocks: 1, data: data.slice(part), cached: false });
                    }
                }
                continue;
            }
            slice_end = None;
            let old = self.block(onode, i)?;
            let mut kept = self.kept_block(old);
            kept.data[(start - i * BLOCK) as usize..(stop - i * BLOCK) as usize].copy_from_slice(&data[part]);
            pieces.push(self.whole_block(phys, kept, onode, i)?);
        }
        self.keep(pieces);
        Ok(())
    }

    fn whole_block(&mut self, phys: u32, block: Kept, onode: &mut Onode, i: u64) -> Result<Piece> {
        let Kept { data: mut buf, spoilt } = block;
        let crc = crc32c(&buf);
        self.set_block(onode, i, Block { phys, crc: if spoilt { !crc } else { crc } })?;
        let len = buf.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        buf.truncate(len);
        Ok(Piece { phys, blocks: 1, data: buf.into(), cached: false })
    }

    /// Large data goes straight to its place, small data through the log.
    fn keep(&mut self, pieces: Vec<Piece>) {
        let bytes: usize = pieces.iter().map(|p| p.data.len()).sum();
        if bytes >= self.shared.options.large_write
            || self.logged_bytes + bytes > LOGGED_MAX.min(self.shared.record_max() / 2)
        {
            self.direct.extend(pieces);
        } else {
            self.logged_bytes += bytes;
            self.logged.extend(pieces);
        }
    }

    fn alloc(&mut self, n: u64) -> Result<Vec<Run>> {
        let spare = self.shared.spare_blocks(self.state);
        let no_space = SubmitError::NoSpace { wanted: n * BLOCK, left: spare * BLOCK };
        if n > spare {
            return Err(no_space);
        }
        let runs = self.state.alloc.alloc(n).ok_or(no_space)?;
        self.allocated.extend(&runs);
        Ok(runs)
    }

    /// A block's 4 KiB as this transaction sees them.
    fn kept_block(&self, block: Block) -> Kept {
        let ours = |p: &&Piece| (p.phys..p.phys + p.blocks).contains(&block.phys);
        if let Some(piece) = self.logged.iter().chain(&self.direct).find(ours) {
            let mut data = vec![0; BLOCK as usize];
            copy_piece(piece, block.phys, &mut data);
            let spoilt = crc32c(&data) != block.crc;
            return Kept { data, spoilt };
        }
        let mut data = Vec::with_capacity(BLOCK as usize);
        // What is found spoilt here is so for good: a disk that only hiccuped gets another chance.
        let spoilt = (0..READ_TRIES).all(|_| {
            data.clear();
            self.shared.read_blocks(&[block], Source::Anywhere, &mut data).is_err()
        });
        data.resize(BLOCK as usize, 0);
        Kept { data, spoilt }
    }

    /// Makes the blocks that a range touches unreadable: they stand for what could not be read elsewhere.
    fn spoil(&mut self, onode: &mut Onode, off: u64, end: u64) -> Result<()> {
        let mut pieces = Vec::new();
        for i in off / BLOCK..end.div_ceil(BLOCK) {
            let phys = self.alloc(1)?[0].0;
            pieces.push(self.whole_block(phys, Kept { data: vec![0; BLOCK as usize], spoilt: true }, onode, i)?);
        }
        self.keep(pieces);
        Ok(())
    }

    /// The data in a range without its holes, and what of it cannot be read.
    fn data_in(&mut self, onode: &Onode, off: u64, end: u64) -> Result<Copied> {
        let end = end.min(onode.size);
        let mut out: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut spoilt = Vec::new();
        let mut at = off;
        while at < end {
            let i = at / BLOCK;
            let stop = end.min((i + 1) * BLOCK);
            let block = self.block(onode, i)?;
            if block.phys != 0 {
                let whole = self.kept_block(block);
                if whole.spoilt {
                    spoilt.push((at, stop));
                }
                let part = &whole.data[(at - i * BLOCK) as usize..(stop - i * BLOCK) as usize];
                match out.last_mut() {
                    Some((start, bytes)) if *start + bytes.len() as u64 == at => bytes.extend_from_slice(part),
                    _ => out.push((at, part.to_vec())),
                }
            }
            at = stop;
        }
        Ok(Copied { data: out.into_iter().map(|(at, bytes)| (at, bytes.into())).collect(), spoilt })
    }

    /// Whole blocks become holes, parts of blocks zeros.
    fn punch(&mut self, onode: &mut Onode, off: u64, end: u64) -> Result<()> {
        let mut at = off;
        let mut pieces = Vec::new();
        while at < end {
            let i = at / BLOCK;
            let stop = end.min((i + 1) * BLOCK);
            let old = self.block(onode, i)?;
            if old.phys != 0 && stop - at == BLOCK {
                self.set_block(onode, i, Block::default())?;
            } else if old.phys != 0 {
                let mut kept = self.kept_block(old);
                kept.data[(at - i * BLOCK) as usize..(stop - i * BLOCK) as usize].fill(0);
                let phys = self.alloc(1)?[0].0;
                pieces.push(self.whole_block(phys, kept, onode, i)?);
            }
            at = stop;
        }
        self.keep(pieces);
        Ok(())
    }

    fn zero(&mut self, onode: &mut Onode, off: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        self.punch(onode, off, (off + len).min(onode.size.next_multiple_of(BLOCK)))?;
        self.grow(onode, off + len)
    }

    fn truncate(&mut self, onode: &mut Onode, size: u64) -> Result<()> {
        if size >= onode.size {
            return self.grow(onode, size);
        }
        self.drop_blocks_from(onode, size.div_ceil(BLOCK))?;
        onode.size = size;
        self.punch(onode, size, size.next_multiple_of(BLOCK))
    }

    /// Lets go of all blocks from index `from` on.
    fn drop_blocks_from(&mut self, onode: &mut Onode, from: u64) -> Result<()> {
        let blocks = onode.size.div_ceil(BLOCK);
        let mut i = from;
        while i < blocks {
            // Skip chunks that are all holes: objects may be sparse and 4 GiB long.
            if onode.chunked && i.is_multiple_of(CHUNK_BLOCKS) && self.chunk(onode.id, i / CHUNK_BLOCKS)?.0.0.is_empty()
            {
                i += CHUNK_BLOCKS;
                continue;
            }
            self.set_block(onode, i, Block::default())?;
            i += 1;
        }
        Ok(())
    }

    /// Brings what was decoded and changed back into rows.
    fn settle(&mut self) -> Result<()> {
        for (key, slot) in &mut self.slots {
            if slot.edit == Edit::New {
                slot.edit = Edit::Settled;
                self.kv.set(Table::Object, key.clone(), slot.onode.as_ref().map(|o| denc::to_bytes(o, 0)));
            }
        }
        for ((id, number), (chunk, dirty)) in &mut self.chunks {
            if std::mem::take(dirty) {
                let row = (!chunk.0.is_empty()).then(|| denc::to_bytes(chunk, 0));
                self.kv.set(Table::Chunk, chunk_key(*id, *number), row);
            }
        }
        Ok(())
    }
}
