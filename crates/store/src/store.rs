//! The store as its users see it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use denc::ByteStr;
use os::{Coll, ObjectRead, ObjectStat, PoolSpace, ReadError, Statfs, Transaction};
use types::{GHObject, PoolId, Uuid};

use crate::alloc::Allocator;
use crate::commit::Committer;
use crate::device::Devices;
use crate::key;
use crate::kv::{KvBase, KvError, RedbBase, Table};
use crate::onode::{BLOCK, Chunk, Onode, parse_chunk_key};
use crate::overlay::{Layers, Overlay};
use crate::presence::Presence;
use crate::scratch;
use crate::space::{Count, Space};
use crate::stage::{Stage, SubmitError};
use crate::state::{Options, Pace, Shared, Source, State, block_of, decode_row};
use crate::superblock::{self, Superblock, SuperblockError};
use crate::wal::{Meta, Record, ReplayError, Wal, WalError, decode_meta, encode_meta};

/// What a threaded store tells its owner, in order, from a thread of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// These transactions, and all submitted before them, are on stable storage.
    Committed(Vec<u64>),
    /// A write or a sync failed. Nothing more will commit.
    Failed(String),
}

/// What a thread of the store does until it ends or fails.
type Work = dyn Fn(&Committer) -> Result<(), String> + Send;

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    #[error("a device cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(transparent)]
    Kv(#[from] KvError),
    #[error("block {block} belongs to two objects, or lies beyond the disk ({owner})")]
    BadBlock { block: u32, owner: String },
    #[error("row {0} cannot be understood")]
    BadRow(String),
    #[error("`{0}` is empty: it was cut off after the store was made, and what it held is lost")]
    Emptied(&'static str),
    #[error("`wal` has {len} bytes, and had {mark} when its last checkpoint was made: its end was cut off")]
    ShortLog { len: u64, mark: u64 },
    #[error("the folder holds a store already")]
    Exists,
    #[error("recovery failed: {0}")]
    Recovery(String),
}

/// The store failed: a write or a sync went wrong, and nothing submitted since the last commit is
/// known to be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailed(pub String);

/// How a store is made.
#[derive(Debug, Clone)]
pub struct Geometry {
    pub uuid: Uuid,
    /// Bytes that data, log and metadata may take together.
    pub size: u64,
    /// Bytes of the log.
    pub wal_ring: u64,
}

impl Geometry {
    pub fn new(uuid: Uuid, size: u64) -> Self {
        Self { uuid, size, wal_ring: (384 << 20).min(size / 16).next_multiple_of(4096) }
    }
}

/// An open store. Dropping it commits what was submitted, but makes no checkpoint: the next open
/// replays the log. See [`Store::close`].
#[derive(Debug)]
pub struct Store {
    committer: Arc<Committer>,
    reader: Reader,
    threads: Vec<JoinHandle<()>>,
    meta: BTreeMap<String, String>,
    _lock: Option<File>,
}

impl Store {
    /// Makes a store in `dir`, which may exist. `meta` can be read back with [`Store::meta`].
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one; it is left as it is.
    pub fn mkfs(dir: &Path, geometry: &Geometry, meta: BTreeMap<String, String>) -> Result<(), OpenError> {
        fs::create_dir_all(dir)?;
        let _lock = superblock::lock(dir)?;
        if dir.join("superblock").exists() {
            return Err(OpenError::Exists);
        }
        // What an interrupted attempt left.
        for name in ["block", "wal", "kv"] {
            match fs::remove_file(dir.join(name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        let devices = Devices::open_files(dir, true)?;
        devices.block.set_len(geometry.size)?;
        devices.block.sync()?;
        RedbBase::open(devices.kv.clone(), 1 << 20)?;
        let Geometry { uuid, size, wal_ring } = *geometry;
        Ok(Superblock { uuid, size, wal_ring, meta }.write(dir)?)
    }

    /// Opens a store with threads of its own. `on_event` is called by them.
    ///
    /// # Errors
    /// Any [`OpenError`]; nothing was changed but for the replay of the log.
    pub fn open(
        dir: &Path,
        options: Options,
        on_event: impl Fn(StoreEvent) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let mut store = Self::open_quiet(dir, options)?;
        let on_event = Arc::new(on_event);
        let commit_event = on_event.clone();
        let report = move |c: crate::commit::Committed| commit_event(StoreEvent::Committed(c.tokens));
        let spawn = |name: &str, run: Box<Work>| {
            let (committer, on_event) = (store.committer.clone(), on_event.clone());
            std::thread::Builder::new().name(name.into()).spawn({
                let name = name.to_owned();
                move || {
                    let ended = catch_unwind(AssertUnwindSafe(|| run(&committer)));
                    // A panic must not look like a disk that takes its time.
                    let ended = ended.unwrap_or_else(|_| Err(committer.fail(&format!("thread {name}"), "it panicked")));
                    if let Err(why) = ended {
                        on_event(StoreEvent::Failed(why));
                    }
                }
            })
        };
        let threads = [
            spawn("store-commit", Box::new(move |c| c.commit_loop(&mut |done| report(done))))?,
            spawn("store-data", Box::new(Committer::data_loop))?,
            spawn("store-ckpt", Box::new(Committer::checkpoint_loop))?,
        ];
        store.threads.extend(threads);
        Ok(store)
    }

    /// Opens a store without threads: [`Store::commit_step`] commits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_quiet(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let lock = superblock::lock(dir)?;
        let superblock = Superblock::read(dir)?;
        let devices = open_whole(dir)?;
        let mut store = Self::open_devices(devices, options, &dir.display().to_string(), &superblock)?;
        store._lock = Some(lock);
        Ok(store)
    }

    /// Opens a store to look at it: what would be written, the replay of the log above all, stays in memory and is
    /// lost with the store.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_scratch(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let superblock = Superblock::read(dir)?;
        let lock = superblock::lock(dir)?;
        let devices = scratch::over(&open_whole(dir)?);
        let mut store = Self::open_devices(devices, options, &dir.display().to_string(), &superblock)?;
        store._lock = Some(lock);
        Ok(store)
    }

    /// Opens a store without threads on any devices. New devices are an empty store.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_devices(
        devices: Devices,
        options: Options,
        disk: &str,
        superblock: &Superblock,
    ) -> Result<Self, OpenError> {
        let base: Arc<dyn KvBase> = Arc::new(RedbBase::open_checked(devices.kv.clone(), options.kv_cache_bytes)?);
        let wal = recover(&devices, &*base, superblock)?;
        let mark = base.mark()?;
        let mut layers = Layers::over(base);
        let (alloc, present, space) = claim_blocks(&layers, superblock.size)?;
        layers.present = Some(present);
        layers.base_ids = mark.next_id;
        let state = State {
            alloc,
            colls: read_colls(&layers)?,
            layers,
            next_id: mark.next_id,
            next_txn: wal.next_txn(),
            quarantined: 0,
            space,
            active_log_bytes: 0,
            pace: Pace::new(superblock.tag()),
        };
        let (size, ring) = (superblock.size, superblock.wal_ring);
        let shared = Arc::new(Shared::new(devices, options, disk.to_owned(), size, ring, state));
        Ok(Self {
            committer: Arc::new(Committer::new(shared.clone(), wal)),
            reader: Reader { shared },
            threads: Vec::new(),
            meta: superblock.meta.clone(),
            _lock: None,
        })
    }

    /// What `mkfs` was given.
    pub fn meta(&self) -> &BTreeMap<String, String> {
        &self.meta
    }

    /// Takes a transaction. Reads see it from now on; `token` is reported once it is durable, in the
    /// order of submission. Must be called by one thread at a time for the order to mean something.
    ///
    /// # Errors
    /// Nothing of a transaction that is refused is visible.
    pub fn submit(&self, token: u64, txn: &Transaction) -> Result<(), SubmitError> {
        self.submit_held(token, txn)?;
        self.release();
        Ok(())
    }

    /// As [`Store::submit`], but it is committed only after the next [`Store::release`]: what is submitted in one go
    /// shares a sync.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn submit_held(&self, token: u64, txn: &Transaction) -> Result<(), SubmitError> {
        match self.try_submit(token, txn) {
            Err(SubmitError::NoSpace { .. }) if self.reader.shared.read_state().quarantined > 0 => {
                self.committer.reclaim(!self.threads.is_empty()).map_err(SubmitError::Failed)?;
                self.try_submit(token, txn)
            }
            other => other,
        }
    }

    fn try_submit(&self, token: u64, txn: &Transaction) -> Result<(), SubmitError> {
        let shared = &self.reader.shared;
        if let Some(why) = shared.failed.get() {
            return Err(SubmitError::Failed(why.clone()));
        }
        let mut state = shared.write_state();
        let state = &mut *state;
        let mut staged = Stage::run(shared, state, txn)?;
        let meta = encode_meta(&staged.changes, state.next_id);
        let meta = match meta.len() > shared.record_max() / 2 {
            true => Meta::Away(staged.put_away(shared, state, &meta)?),
            false => Meta::Here(meta),
        };
        let record = Record::new(meta, std::mem::take(&mut staged.logged));
        let pieces = record.pieces.iter().chain(&staged.direct);
        shared.lock_pending().extend(pieces.map(|p| (p.phys, p.clone())));
        let mut cache = shared.lock_cache();
        for (key, onode) in staged.onodes {
            cache.insert(key, onode);
        }
        drop(cache);
        state.quarantined += staged.changes.freed.iter().map(|(_, n)| u64::from(*n)).sum::<u64>();
        state.space.merge(&staged.space);
        state.layers.merge(staged.changes);
        state.colls = staged.colls.unwrap_or_else(|| std::mem::take(&mut state.colls));
        state.next_txn += 1;
        // A batch of its own takes up to 128 bytes more.
        state.active_log_bytes += record.len() as u64 + 128;
        let full = state.pace.is_reached(state.layers.active.bytes as u64, shared.options.overlay_bytes as u64)
            || state.pace.is_reached(state.active_log_bytes, shared.wal_ring / 4);
        // Queued under the lock: the log has transactions in the order of their numbers.
        self.committer.enqueue(token, record, staged.direct);
        if full {
            state.freeze();
        }
        Ok(())
    }

    /// What was submitted may be committed.
    pub fn release(&self) {
        self.committer.kick();
    }

    /// Commits everything submitted, for stores without threads; gives the tokens in order.
    ///
    /// # Errors
    /// The store has failed; tokens that it would have given are neither known to be kept nor lost.
    pub fn commit_step(&self) -> Result<Vec<u64>, StoreFailed> {
        self.committer.step().map(|c| c.tokens).map_err(StoreFailed)
    }

    /// A handle for reading on other threads.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Whether that much more data could be written now.
    pub fn would_fit(&self, bytes: u64) -> bool {
        bytes.div_ceil(BLOCK) <= self.reader.shared.spare_blocks(&self.reader.shared.read_state())
    }

    /// Commits everything and checkpoints it, so that the next open has nothing to replay.
    ///
    /// # Errors
    /// The store has failed; what was reported as committed is kept nevertheless.
    pub fn close(mut self) -> Result<(), StoreFailed> {
        self.join();
        self.committer.step().map_err(StoreFailed)?;
        self.committer.flush().map_err(StoreFailed)
    }

    fn join(&mut self) {
        self.committer.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.join();
    }
}

/// The files of a store that was made once: an empty one lost all it held, and must not pass for a new one.
pub(crate) fn open_whole(dir: &Path) -> Result<Devices, OpenError> {
    let devices = Devices::open_files(dir, false)?;
    if devices.kv.is_empty() {
        return Err(OpenError::Emptied("kv"));
    }
    if devices.block.is_empty() {
        return Err(OpenError::Emptied("block"));
    }
    Ok(devices)
}

/// Replays the log into the checkpoint.
pub(crate) fn recover(devices: &Devices, base: &dyn KvBase, superblock: &Superblock) -> Result<Wal, OpenError> {
    let mark = base.mark()?;
    // What lies before the mark was synced: a log that does not reach it lost its end later.
    if mark.wal_pos % superblock.wal_ring > devices.wal.len() {
        return Err(OpenError::ShortLog { len: devices.wal.len(), mark: mark.wal_pos % superblock.wal_ring });
    }
    let mut wal = Wal::new(devices.wal.clone(), superblock.wal_ring, superblock.tag(), mark);
    let mut replayed = Overlay::default();
    let mut written = Ok(());
    wal.replay(|txn, record| {
        // The batch at the mark may begin with what the checkpoint has already; the blocks of that
        // may since have been used again.
        if txn <= mark.applied_txn {
            return Ok(());
        }
        let meta = match record.meta()? {
            Meta::Here(meta) => meta,
            Meta::Away(away) => match away.read(&*devices.block, superblock.size / BLOCK) {
                Ok(meta) => meta,
                Err(e) => return Err(ReplayError::Away(e)),
            },
        };
        replayed.next_id = decode_meta(meta, &mut replayed)?;
        replayed.last_txn = txn;
        for piece in record.pieces {
            let fits = u64::from(piece.phys) + u64::from(piece.blocks) <= superblock.size / BLOCK
                && piece.data.len() as u64 <= u64::from(piece.blocks) * BLOCK;
            if !fits {
                return Err(denc::DecodeError::Invalid { what: "block in the log", value: piece.phys.into() }.into());
            }
            if written.is_ok() {
                written = piece.write_to(&*devices.block);
            }
        }
        Ok(())
    })?;
    written?;
    if !replayed.is_empty() {
        devices.block.sync()?;
        let mark = wal.mark_after(replayed.last_txn, replayed.next_id);
        base.apply(&replayed, mark)?;
        base.refresh()?;
        wal.trim(mark);
    }
    Ok(wal)
}

/// Which blocks are in use, which objects are there, and what pools take.
fn claim_blocks(layers: &Layers, size: u64) -> Result<(Allocator, Presence, Space), OpenError> {
    let mut alloc = Allocator::new(size / BLOCK);
    let mut present = Presence::default();
    let mut count = Count::default();
    let mut claim = |chunk: &Chunk, owner: &dyn Fn() -> String| {
        let bad = chunk.blocks().find(|b| !alloc.claim(b.phys));
        bad.map_or(Ok(()), |b| Err(OpenError::BadBlock { block: b.phys, owner: owner() }))
    };
    layers.scan_all::<OpenError>(Table::Object, &mut |key, row| {
        present.insert(key);
        let onode: Onode = decode_row(Table::Object, row.clone())?;
        count.object(key::pool(key), &onode);
        claim(&onode.inline, &|| key::parse_object(key).map_or(String::new(), |(c, o)| format!("{c} {o}")))
    })?;
    layers.scan_all::<OpenError>(Table::Chunk, &mut |key, row| {
        let chunk = decode_row(Table::Chunk, row.clone())?;
        if let Some((id, number)) = parse_chunk_key(key) {
            count.chunk(id, number, &chunk);
        }
        claim(&chunk, &|| format!("chunk {key:02x?}"))
    })?;
    Ok((alloc, present, count.space))
}

fn read_colls(layers: &Layers) -> Result<BTreeMap<Coll, u32>, OpenError> {
    let mut colls = BTreeMap::new();
    layers.scan_all::<OpenError>(Table::Coll, &mut |key, row| {
        let bad = || OpenError::BadRow(format!("collection {key:02x?}"));
        let bits = row.as_ref().try_into().map_err(|_| bad())?;
        colls.insert(key::parse_coll(key).ok_or_else(bad)?, u32::from_le_bytes(bits));
        Ok(())
    })?;
    Ok(colls)
}

/// Reads a store; cheap to clone, usable on any thread.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

impl Reader {
    /// The bytes if they are in memory: `None` means that [`ObjectRead::read`] would have to wait for
    /// the disk, or has an error to tell.
    pub fn try_read_now(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Option<Option<Bytes>> {
        self.shared.try_read_object(coll, oid, off, len)
    }

    /// As [`ObjectRead::read`], from the disk itself: what memory keeps of it proves nothing.
    ///
    /// # Errors
    /// As [`ObjectRead::read`].
    pub fn read_from_disk(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Option<Bytes>, ReadError> {
        self.shared.read_object(coll, oid, off, len, Source::Disk)
    }

    fn onode(&self, coll: Coll, oid: &GHObject) -> Result<Option<Arc<Onode>>, ReadError> {
        let state = self.shared.read_state();
        let Some(key) = state.key_in(coll, oid) else { return Ok(None) };
        self.shared.onode(&state, &key).map_err(|e| self.shared.io_error(coll, oid, 0, e))
    }
}

impl ObjectRead for Reader {
    fn statfs(&self) -> Statfs {
        self.shared.statfs()
    }

    fn space_by_pool(&self) -> BTreeMap<PoolId, PoolSpace> {
        self.shared.read_state().space.by_pool()
    }

    fn collections(&self) -> Vec<Coll> {
        self.shared.read_state().colls.keys().copied().collect()
    }

    fn collection_exists(&self, coll: Coll) -> bool {
        self.shared.read_state().colls.contains_key(&coll)
    }

    fn stat(&self, coll: Coll, oid: &GHObject) -> Result<Option<ObjectStat>, ReadError> {
        Ok(self.onode(coll, oid)?.map(|o| ObjectStat { size: o.size }))
    }

    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Option<Bytes>, ReadError> {
        self.shared.read_object(coll, oid, off, len, Source::Anywhere)
    }

    fn extents(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Vec<(u64, u64)>, ReadError> {
        let Some(onode) = self.onode(coll, oid)? else { return Ok(Vec::new()) };
        let end = off.saturating_add(len).min(onode.size);
        let state = self.shared.read_state();
        let mut chunk = None;
        let mut out: Vec<(u64, u64)> = Vec::new();
        let mut at = off;
        while at < end {
            let i = at / BLOCK;
            let stop = end.min((i + 1) * BLOCK);
            let block = block_of(&state, None, &onode, &mut chunk, i);
            if block.map_err(|e| self.shared.io_error(coll, oid, at, e))?.phys != 0 {
                match out.last_mut() {
                    Some((start, n)) if *start + *n == at => *n += stop - at,
                    _ => out.push((at, stop - at)),
                }
            }
            at = stop;
        }
        Ok(out)
    }

    fn attr(&self, coll: Coll, oid: &GHObject, name: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.onode(coll, oid)?.and_then(|o| o.attrs.get(name).cloned()))
    }

    fn attrs(&self, coll: Coll, oid: &GHObject) -> Result<Option<BTreeMap<ByteStr, Bytes>>, ReadError> {
        Ok(self.onode(coll, oid)?.map(|o| o.attrs.clone()))
    }

    fn omap_header(&self, coll: Coll, oid: &GHObject) -> Result<Bytes, ReadError> {
        Ok(self.onode(coll, oid)?.map(|o| o.omap_header.clone()).unwrap_or_default())
    }

    fn omap_values(&self, coll: Coll, oid: &GHObject, keys: &[ByteStr]) -> Result<BTreeMap<ByteStr, Bytes>, ReadError> {
        let mut out = BTreeMap::new();
        let Some(id) = self.onode(coll, oid)?.map(|o| o.omap_id).filter(|id| *id != 0) else { return Ok(out) };
        let state = self.shared.read_state();
        for k in keys {
            let found = state.layers.get(Table::Omap, &key::numbered(id, k.as_bytes()));
            if let Some(value) = found.map_err(|e| self.shared.io_error(coll, oid, 0, e))? {
                out.insert(k.clone(), value);
            }
        }
        Ok(out)
    }

    fn omap_range(
        &self,
        coll: Coll,
        oid: &GHObject,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<(Vec<(ByteStr, Bytes)>, bool), ReadError> {
        let mut page = Vec::new();
        let mut more = false;
        let Some(id) = self.onode(coll, oid)?.map(|o| o.omap_id).filter(|id| *id != 0) else { return Ok((page, more)) };
        let mut from = key::numbered(id, after.unwrap_or_default());
        if after.is_some() {
            from.push(0);
        }
        let state = self.shared.read_state();
        let scanned = state.layers.scan(None, Table::Omap, &from, &key::numbered(id + 1, &[]), &mut |k, v| {
            more = page.len() >= max;
            if more {
                return ControlFlow::Break(());
            }
            page.push((k[8..].into(), v.clone()));
            ControlFlow::Continue(())
        });
        scanned.map_err(|e| self.shared.io_error(coll, oid, 0, e))?;
        Ok((page, more))
    }

    fn list(&self, coll: Coll, from: &GHObject, max: usize) -> Result<(Vec<GHObject>, Option<GHObject>), ReadError> {
        let mut page = Vec::new();
        let mut next = None;
        let mut bad = false;
        let state = self.shared.read_state();
        let Some(bits) = state.colls.get(&coll) else { return Ok((page, None)) };
        let (first, end) = key::bounds(coll, *bits);
        let start = key::object(coll, from).max(first);
        let scanned = state.layers.scan(None, Table::Object, &start, &end, &mut |k, _| {
            let Some((_, oid)) = key::parse_object(k) else {
                bad = true;
                return ControlFlow::Break(());
            };
            if page.len() >= max {
                next = Some(oid);
                return ControlFlow::Break(());
            }
            page.push(oid);
            ControlFlow::Continue(())
        });
        scanned.map_err(|e| self.shared.io_error(coll, from, 0, e))?;
        match bad {
            true => Err(self.shared.io_error(coll, from, 0, "an object's key cannot be read")),
            false => Ok((page, next)),
        }
    }
}

impl ObjectRead for Store {
    fn statfs(&self) -> Statfs {
        self.reader.statfs()
    }

    fn space_by_pool(&self) -> BTreeMap<PoolId, PoolSpace> {
        self.reader.space_by_pool()
    }

    fn collections(&self) -> Vec<Coll> {
        self.reader.collections()
    }

    fn collection_exists(&self, coll: Coll) -> bool {
        self.reader.collection_exists(coll)
    }

    fn stat(&self, coll: Coll, oid: &GHObject) -> Result<Option<ObjectStat>, ReadError> {
        self.reader.stat(coll, oid)
    }

    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Option<Bytes>, ReadError> {
        self.reader.read(coll, oid, off, len)
    }

    fn extents(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Vec<(u64, u64)>, ReadError> {
        self.reader.extents(coll, oid, off, len)
    }

    fn attr(&self, coll: Coll, oid: &GHObject, name: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.reader.attr(coll, oid, name)
    }

    fn attrs(&self, coll: Coll, oid: &GHObject) -> Result<Option<BTreeMap<ByteStr, Bytes>>, ReadError> {
        self.reader.attrs(coll, oid)
    }

    fn omap_header(&self, coll: Coll, oid: &GHObject) -> Result<Bytes, ReadError> {
        self.reader.omap_header(coll, oid)
    }

    fn omap_values(&self, coll: Coll, oid: &GHObject, keys: &[ByteStr]) -> Result<BTreeMap<ByteStr, Bytes>, ReadError> {
        self.reader.omap_values(coll, oid, keys)
    }

    fn omap_range(
        &self,
        coll: Coll,
        oid: &GHObject,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<(Vec<(ByteStr, Bytes)>, bool), ReadError> {
        self.reader.omap_range(coll, oid, after, max)
    }

    fn list(&self, coll: Coll, from: &GHObject, max: usize) -> Result<(Vec<GHObject>, Option<GHObject>), ReadError> {
        self.reader.list(coll, from, max)
    }
}
