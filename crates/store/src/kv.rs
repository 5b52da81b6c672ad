//! The checkpointed metadata: ordered rows behind [`KvBase`], kept by `redb`.
//!
//! redb checks its pages when it repairs, not when it reads, and a store must never serve what it cannot vouch for. So
//!
//! - each value carries the crc32c of its key and itself;
//! - all pages are checked when a store is opened ([`RedbBase::open_checked`]): a key that changed is no longer found,
//!   and a wrong branch leads past rows that are there;
//! - a page that is read again must be what it was then, or what was written since (`Backend`).

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition};

use crate::crc::{crc32c, crc32c_of};
use crate::device::BlockDevice;
use crate::overlay::Overlay;
use crate::scratch;

/// What rows are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Collection → how many bits of the hash it covers.
    Coll,
    /// Collection and object → onode.
    Object,
    /// Object number and chunk → chunk.
    Chunk,
    /// Omap number and key → value.
    Omap,
}

impl Table {
    pub const ALL: [Self; 4] = [Self::Coll, Self::Object, Self::Chunk, Self::Omap];

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::Coll => "coll",
            Self::Object => "object",
            Self::Chunk => "chunk",
            Self::Omap => "omap",
        })
    }
}

const STATE: TableDefinition<'static, &'static str, u64> = TableDefinition::new("state");

#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    #[error("metadata: {0}")]
    Db(String),
    #[error("metadata: a row of table {0:?} does not match its checksum")]
    BadCrc(Table),
    #[error("metadata: the tree in `kv` is damaged{0}; `spirula store repair` says what helps")]
    Damaged(String),
}

fn db(e: impl fmt::Display) -> KvError {
    KvError::Db(e.to_string())
}

/// Up to where the log is contained in the checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Where replay starts in the log, and the first transaction of the batch there.
    pub wal_pos: u64,
    pub wal_txn: u64,
    /// All transactions up to this one are contained.
    pub applied_txn: u64,
    /// Objects and omaps have numbers below this.
    pub next_id: u64,
}

pub type Row = (Vec<u8>, Bytes);
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row, KvError>> + 'a>;

/// Where checkpoints go. Readers see the state of the last [`Self::refresh`].
pub trait KvBase: Send + Sync + fmt::Debug {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, KvError>;
    /// Rows from `from` on, before `to`.
    fn range(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Rows<'_>, KvError>;
    /// Applies all changes and the mark as one, durably.
    fn apply(&self, changes: &Overlay, mark: Mark) -> Result<(), KvError>;
    fn refresh(&self) -> Result<(), KvError>;
    fn mark(&self) -> Result<Mark, KvError>;
    /// Reads everything; `false` if something is damaged.
    fn check(&mut self) -> Result<bool, KvError>;
}

type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

pub struct RedbBase {
    view: RwLock<Option<Arc<[ReadTable; 4]>>>,
    db: Database,
}

impl fmt::Debug for RedbBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedbBase")
    }
}

impl RedbBase {
    /// Opens what was found whole.
    ///
    /// # Errors
    /// [`KvError::Damaged`] if it is not; nothing was changed then.
    pub fn open_checked(device: Arc<dyn BlockDevice>, cache_bytes: usize) -> Result<Self, KvError> {
        // On a copy: redb's check mends what it finds, which may take it back to an earlier state.
        match Self::open(scratch::over_one(&device), cache_bytes)?.check() {
            Ok(true) => Self::open(device, cache_bytes),
            Ok(false) => Err(KvError::Damaged(String::new())),
            Err(e) => Err(KvError::Damaged(format!(" ({e})"))),
        }
    }

    pub fn open(device: Arc<dyn BlockDevice>, cache_bytes: usize) -> Result<Self, KvError> {
        let backend = Backend { device, sums: Mutex::default() };
        let db = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend).map_err(db)?;
        let base = Self { view: RwLock::new(None), db };
        if base.refresh().is_err() {
            base.make_tables()?;
            base.refresh()?;
        }
        Ok(base)
    }

    fn make_tables(&self) -> Result<(), KvError> {
        let txn = self.db.begin_write().map_err(db)?;
        for table in Table::ALL {
            txn.open_table(table.definition()).map_err(db)?;
        }
        txn.open_table(STATE).map_err(db)?;
        txn.commit().map_err(db)
    }

    fn view(&self) -> Arc<[ReadTable; 4]> {
        let view = self.view.read().unwrap_or_else(|p| p.into_inner());
        view.clone().expect("open and refresh set it")
    }
}

fn seal(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(value);
    out.extend_from_slice(&crc32c_of(&[key, value]).to_le_bytes());
}

fn unseal(table: Table, key: &[u8], sealed: &[u8]) -> Result<Bytes, KvError> {
    let (value, crc) = sealed.split_last_chunk::<4>().ok_or(KvError::BadCrc(table))?;
    if crc32c_of(&[key, value]) != u32::from_le_bytes(*crc) {
        return Err(KvError::BadCrc(table));
    }
    Ok(Bytes::copy_from_slice(value))
}

impl KvBase for RedbBase {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let view = self.view();
        let found = view[table as usize].get(key).map_err(db)?;
        found.map(|guard| unseal(table, key, guard.value())).transpose()
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8]) -> Result<Rows<'_>, KvError> {
        if from >= to {
            return Ok(Box::new(std::iter::empty()));
        }
        let rows = self.view()[table as usize].range::<&[u8]>(from..to).map_err(db)?;
        Ok(Box::new(rows.map(move |row| {
            let (key, value) = row.map_err(db)?;
            Ok((key.value().to_vec(), unseal(table, key.value(), value.value())?))
        })))
    }

    fn apply(&self, changes: &Overlay, mark: Mark) -> Result<(), KvError> {
        let mut txn = self.db.begin_write().map_err(db)?;
        // Without it, an open after an unclean stop walks the whole file.
        txn.set_quick_repair(true);
        {
            let mut sealed = Vec::new();
            for table in Table::ALL {
                let mut rows = txn.open_table(table.definition()).map_err(db)?;
                for id in changes.drops(table) {
                    let (from, to) = (id.to_be_bytes(), (id + 1).to_be_bytes());
                    rows.retain_in::<&[u8], _>(&from[..]..&to[..], |_, _| false).map_err(db)?;
                }
                for (key, value) in changes.rows(table) {
                    match value {
                        Some(value) => {
                            seal(key, value, &mut sealed);
                            rows.insert(key.as_slice(), sealed.as_slice()).map_err(db)?;
                        }
                        None => {
                            rows.remove(key.as_slice()).map_err(db)?;
                        }
                    }
                }
            }
            let mut state = txn.open_table(STATE).map_err(db)?;
            let Mark { wal_pos, wal_txn, applied_txn, next_id } = mark;
            let fields = [("wal_pos", wal_pos), ("wal_txn", wal_txn), ("applied_txn", applied_txn)];
            for (name, value) in fields.into_iter().chain([("next_id", next_id)]) {
                state.insert(name, value).map_err(db)?;
            }
        }
        txn.commit().map_err(db)
    }

    fn refresh(&self) -> Result<(), KvError> {
        let txn = self.db.begin_read().map_err(db)?;
        let open = |table: Table| txn.open_table(table.definition()).map_err(db);
        let [a, b, c, d] = Table::ALL;
        let tables = Arc::new([open(a)?, open(b)?, open(c)?, open(d)?]);
        *self.view.write().unwrap_or_else(|p| p.into_inner()) = Some(tables);
        Ok(())
    }

    fn mark(&self) -> Result<Mark, KvError> {
        let txn = self.db.begin_read().map_err(db)?;
        let state = txn.open_table(STATE).map_err(db)?;
        let field = |name| Ok(state.get(name).map_err(db)?.map_or(0, |v| v.value()));
        Ok(Mark {
            wal_pos: field("wal_pos")?,
            wal_txn: field("wal_txn")?.max(1),
            applied_txn: field("applied_txn")?,
            next_id: field("next_id")?.max(1),
        })
    }

    fn check(&mut self) -> Result<bool, KvError> {
        // The check needs the database for itself.
        *self.view.get_mut().unwrap_or_else(|p| p.into_inner()) = None;
        let good = self.db.check_integrity().map_err(db)?;
        self.refresh()?;
        Ok(good)
    }
}

const PAGE: usize = 4096;
/// So often a page is read before it counts as damaged.
const READ_TRIES: usize = 3;

/// The checksum of a page; never 0.
fn sum(page: &[u8]) -> u32 {
    crc32c(page).max(1)
}

/// Our devices as redb wants them.
///
/// Invariant: `sums` has the checksum of each page that was written whole, or read, since this was made; 0 stands for
/// one that is not known. redb reads no page while it writes it.
#[derive(Debug)]
struct Backend {
    device: Arc<dyn BlockDevice>,
    sums: Mutex<Vec<u32>>,
}

impl Backend {
    fn sums(&self) -> MutexGuard<'_, Vec<u32>> {
        self.sums.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// The first page of these that is not what it was.
    fn changed(&self, first: usize, pages: &[u8]) -> Option<usize> {
        (first..).zip(pages.chunks_exact(PAGE)).find_map(|(n, page)| {
            let found = sum(page);
            let mut sums = self.sums();
            if sums.len() <= n {
                sums.resize(n + 1, 0);
            }
            let known = std::mem::replace(&mut sums[n], found);
            if known != 0 && known != found {
                sums[n] = known;
                return Some(n);
            }
            None
        })
    }

    fn forget(&self, off: u64, end: u64) {
        let mut sums = self.sums();
        let pages = off as usize / PAGE..(end as usize).div_ceil(PAGE).min(sums.len());
        if let Some(pages) = sums.get_mut(pages) {
            pages.fill(0);
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.device.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut bad = None;
        for _ in 0..READ_TRIES {
            self.device.read_at(offset, out)?;
            bad = match offset.is_multiple_of(PAGE as u64) {
                true => self.changed(offset as usize / PAGE, out),
                false => None,
            };
            if bad.is_none() {
                return Ok(());
            }
        }
        let page = bad.unwrap_or_default();
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("page {page} of `kv` is not what was written")))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.device.set_len(len)?;
        self.forget(len, u64::MAX);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.device.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.forget(offset, offset + data.len() as u64);
        self.device.write_at(offset, data)?;
        if offset.is_multiple_of(PAGE as u64) {
            self.changed(offset as usize / PAGE, data);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Lost, SimDevice, SimDisk};

    const ROWS: u32 = 3000;

    fn row(i: u32) -> (Vec<u8>, Bytes) {
        (format!("key of some length {:08x}", i.wrapping_mul(0x9e37_79b9)).into_bytes(), Bytes::from(vec![i as u8; 60]))
    }

    fn filled() -> SimDisk {
        let disk = SimDisk::new();
        let base = RedbBase::open(disk.kv.clone(), 1 << 20).unwrap();
        for part in 0..3 {
            let mut rows = Overlay::default();
            (part * ROWS / 3..(part + 1) * ROWS / 3).map(row).for_each(|(k, v)| rows.set(Table::Omap, k, Some(v)));
            base.apply(&rows, Mark::default()).unwrap();
        }
        disk
    }

    /// Copies of a disk, and where in its metadata a bit shall flip.
    fn cases(disk: &SimDisk) -> impl Iterator<Item = (Arc<SimDevice>, u64, u8)> {
        let offs = (0..disk.kv.len()).step_by(9973);
        offs.map(|off| (disk.crash(Lost::None, &mut |_| 0).kv.clone(), off, 1 << (off % 8)))
    }

    /// No row is missing or wrong, whatever else happens.
    fn finds_no_wrong_row(base: &RedbBase) -> bool {
        let get = |i| {
            let (key, value) = row(i);
            base.get(Table::Omap, &key).inspect(|found| assert_eq!(found.as_ref(), Some(&value), "row {i}")).is_ok()
        };
        (0..ROWS).filter(|i| !get(*i)).count() == 0
    }

    #[test]
    fn a_bit_that_flips_while_nobody_looks_is_found_when_the_store_opens() {
        let mut noticed = 0;
        for (hurt, off, mask) in cases(&filled()) {
            hurt.flip(off, mask);
            let opened = std::panic::catch_unwind(|| RedbBase::open_checked(hurt.clone(), 1 << 20));
            match opened {
                Ok(Ok(base)) => assert!(finds_no_wrong_row(&base)),
                _ => noticed += 1,
            }
        }
        assert!(noticed > 10, "{noticed}");
    }

    #[test]
    fn a_bit_that_flips_while_it_is_open_makes_reads_fail_and_never_lie() {
        let mut noticed = 0;
        for (hurt, off, mask) in cases(&filled()) {
            // With no cache to speak of, so that rows are read again.
            let base = RedbBase::open_checked(hurt.clone(), 0).unwrap();
            assert!(finds_no_wrong_row(&base));
            hurt.flip(off, mask);
            noticed += u32::from(!finds_no_wrong_row(&base));
        }
        assert!(noticed > 10, "{noticed}");
    }
}
