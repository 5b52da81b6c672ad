//! What a store is: a text file, written last when a store is made and never changed.
//!
//! A folder without one is not a store (or one whose making was cut short, which can be made again).

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use types::Uuid;

use crate::crc::crc32c;

pub const FORMAT: u32 = 2;
const FIRST_LINE: &str = "spirula store, format";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    pub uuid: Uuid,
    /// Bytes that data, log and metadata may take together.
    pub size: u64,
    pub wal_ring: u64,
    /// What the owner wants to find again: `whoami`, `fsid`, `magic`, …
    pub meta: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SuperblockError {
    #[error("there is no store in this folder (no file `superblock`)")]
    Missing,
    #[error("`superblock` cannot be read")]
    Io(#[from] io::Error),
    #[error("the store has format {0}, this program knows format {FORMAT}: use the version that made it")]
    OtherFormat(String),
    #[error("`superblock` is damaged: {0}")]
    Damaged(&'static str),
    #[error("another process uses this store (it holds the lock on `lock`)")]
    InUse,
}

impl Superblock {
    /// Names this store in its log, so that another store's log never passes for ours.
    pub fn tag(&self) -> u64 {
        u64::from_le_bytes(self.uuid.0[..8].try_into().expect("8 bytes"))
    }

    fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE} {FORMAT}\nuuid = {}\n", self.uuid);
        text += &format!("size = {}\nwal_ring = {}\n", self.size, self.wal_ring);
        for (name, value) in &self.meta {
            text += &format!("meta.{name} = {value}\n");
        }
        let crc = crc32c(text.as_bytes());
        text + &format!("crc32c = {crc:08x}\n")
    }

    fn from_text(text: &str) -> Result<Self, SuperblockError> {
        use SuperblockError::Damaged;
        let first = text.lines().next().unwrap_or_default();
        let format = first.strip_prefix(FIRST_LINE).ok_or(Damaged("it does not begin as it must"))?.trim();
        if format != FORMAT.to_string() {
            return Err(SuperblockError::OtherFormat(format.to_owned()));
        }
        let (body, crc) = text.rsplit_once("crc32c = ").ok_or(Damaged("its end is missing"))?;
        if u32::from_str_radix(crc.trim(), 16) != Ok(crc32c(body.as_bytes())) {
            return Err(Damaged("its checksum is wrong"));
        }
        let fields: BTreeMap<_, _> = body.lines().filter_map(|l| l.split_once(" = ")).collect();
        let number = |name| fields.get(name).and_then(|v| v.parse().ok()).ok_or(Damaged("a size is missing"));
        let meta = fields.iter().filter_map(|(k, v)| Some((k.strip_prefix("meta.")?.to_owned(), (*v).to_owned())));
        Ok(Self {
            uuid: fields.get("uuid").and_then(|v| v.parse().ok()).ok_or(Damaged("the uuid is missing"))?,
            size: number("size")?,
            wal_ring: number("wal_ring")?,
            meta: meta.collect(),
        })
    }

    pub fn read(dir: &Path) -> Result<Self, SuperblockError> {
        match fs::read_to_string(dir.join("superblock")) {
            Ok(text) => Self::from_text(&text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(SuperblockError::Missing),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes the folder a store, durably.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let tmp = dir.join("superblock.tmp");
        let mut file = File::create(&tmp)?;
        file.write_all(self.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&tmp, dir.join("superblock"))?;
        File::open(dir)?.sync_all()
    }
}

/// How long a store may still be held by a process that was killed: one of its threads may wait for the disk.
const DYING: Duration = Duration::from_secs(2);
const DYING_POLL: Duration = Duration::from_millis(20);

/// Holds the store for this process until it is dropped.
pub fn lock(dir: &Path) -> Result<File, SuperblockError> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    let give_up = Instant::now() + DYING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => std::thread::sleep(DYING_POLL),
            Err(TryLockError::WouldBlock) => return Err(SuperblockError::InUse),
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_comes_back_and_a_changed_one_does_not() {
        let meta = [("whoami".to_owned(), "3".to_owned())].into();
        let sb = Superblock { uuid: Uuid::from_random([7; 16]), size: 10 << 30, wal_ring: 1 << 20, meta };
        let text = sb.to_text();
        assert_eq!(Superblock::from_text(&text).unwrap(), sb);
        assert!(matches!(Superblock::from_text(&text.replace("= 3", "= 4")), Err(SuperblockError::Damaged(_))));
        let newer = text.replace("format 2", "format 3");
        assert!(matches!(Superblock::from_text(&newer), Err(SuperblockError::OtherFormat(_))));
    }
}
