//! The checkpointed metadata: ordered rows behind [`KvBase`], kept by `redb`.
//!
//! Each value carries the crc32c of its key and itself: redb checks its pages when it repairs, not when
//! it reads, and a store must never serve what it cannot vouch for.

use std::fmt;
use std::io;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition};

use crate::crc::crc32c_of;
use crate::device::BlockDevice;
use crate::overlay::Overlay;

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
    pub fn open(device: Arc<dyn BlockDevice>, cache_bytes: usize) -> Result<Self, KvError> {
        let db = Database::builder().set_cache_size(cache_bytes).create_with_backend(Backend(device)).map_err(db)?;
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

/// Our devices as redb wants them.
#[derive(Debug)]
struct Backend(Arc<dyn BlockDevice>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}
