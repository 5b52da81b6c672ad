//! Looking for damage, without changing anything: the store is opened over a scratch layer in memory,
//! which takes the replay of the log, and then everything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use os::Coll;

use crate::alloc::Allocator;
use crate::device::Devices;
use crate::key;
use crate::kv::{KvBase, KvError, RedbBase, Table};
use crate::onode::{BLOCK, Block, CHUNK_BLOCKS, Chunk, Onode};
use crate::overlay::Layers;
use crate::scratch;
use crate::state::{Options, decode_row};
use crate::store::{OpenError, open_whole, recover};
use crate::superblock::{self, Superblock, SuperblockError};

/// One thing that is wrong, in one line, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding(pub String, pub Mend);

/// What can be done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// The tree of the metadata can be built again from its rows, which are all there.
    Tree,
    /// Rows of this object or omap number belong to nothing.
    Stray(Table, u64),
    /// The file `block` is shorter than it was made.
    Short,
    /// Data that another copy has: the PG can mend it.
    OtherCopy,
    /// Its OSD runs: nothing is known.
    InUse,
    /// Nothing that the store knows tells what was there.
    Nothing,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the store in `dir`, which must not be in use. An empty answer means that all is well.
pub fn fsck(dir: &Path) -> Vec<Finding> {
    let open = || -> Result<_, OpenError> {
        // The lock is taken only where there is a store: fsck makes no files.
        let superblock = Superblock::read(dir)?;
        let lock = superblock::lock(dir)?;
        Ok((superblock, lock, open_whole(dir)?))
    };
    match open() {
        Ok((superblock, _lock, devices)) => fsck_files(&devices, &superblock),
        Err(e @ OpenError::Superblock(SuperblockError::InUse)) => vec![Finding(e.to_string(), Mend::InUse)],
        Err(e) => vec![finding(&e)],
    }
}

/// As [`fsck_devices`], on a store's files, of which `block` is as long as it ever will be from the first day.
pub(crate) fn fsck_files(devices: &Devices, superblock: &Superblock) -> Vec<Finding> {
    let mut found = fsck_devices(devices, superblock);
    let (len, size) = (devices.block.len(), superblock.size);
    if len < size {
        let line = format!("`block` has {len} bytes and was made with {size}: its end is lost");
        found.push(Finding(line, Mend::Short));
    }
    found
}

/// An error with its causes, in one line.
fn finding(e: &dyn std::error::Error) -> Finding {
    let mut line = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        line += &format!(": {e}");
        cause = e.source();
    }
    Finding(line, Mend::Nothing)
}

/// As [`fsck`], on any devices.
pub fn fsck_devices(devices: &Devices, superblock: &Superblock) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut check = Check { devices: scratch::over(devices), found: &mut found, size: superblock.size };
    if let Err(e) = check.run(superblock) {
        check.found.push(finding(&e));
    }
    found
}

struct Check<'a> {
    devices: Devices,
    found: &'a mut Vec<Finding>,
    size: u64,
}

impl Check<'_> {
    fn say(&mut self, line: String) {
        self.tell(line, Mend::Nothing);
    }

    fn tell(&mut self, line: String, mend: Mend) {
        self.found.push(Finding(line, mend));
    }

    fn run(&mut self, superblock: &Superblock) -> Result<(), OpenError> {
        let mut base = RedbBase::open(self.devices.kv.clone(), Options::default().kv_cache_bytes)?;
        if !base.check()? {
            self.tell("metadata: its tree was damaged (checked on a copy; nothing was changed)".to_owned(), Mend::Tree);
        }
        recover(&self.devices, &base, superblock)?;
        let layers = Layers::over(Arc::new(base));
        self.rows(&layers)
    }

    fn rows(&mut self, layers: &Layers) -> Result<(), OpenError> {
        let mut alloc = Allocator::new(self.size / BLOCK);
        let mut chunked: BTreeSet<u64> = BTreeSet::new();
        let mut omaps: BTreeSet<u64> = BTreeSet::new();
        let mut colls = BTreeMap::new();
        layers.scan_all::<KvError>(Table::Coll, &mut |key, row| {
            let bits = row.as_ref().try_into().map(u32::from_le_bytes);
            match (key::parse_coll(key), bits) {
                (Some(coll), Ok(bits)) => drop(colls.insert(coll, bits)),
                _ => self.say(format!("collection with unreadable key {key:02x?}")),
            }
            Ok(())
        })?;
        layers.scan_all::<KvError>(Table::Object, &mut |key, row| {
            let Some((row_of, oid)) = key::parse_object(key) else {
                self.say(format!("object with unreadable key {key:02x?}"));
                return Ok(());
            };
            let owners: Vec<Coll> = match row_of {
                Coll::Pg(_) => {
                    let is_owner = |c: &&Coll| c.is_sibling(row_of, 0) && c.holds(colls[*c], &oid);
                    colls.keys().filter(is_owner).copied().collect()
                }
                other => colls.contains_key(&other).then_some(other).into_iter().collect(),
            };
            let [coll] = owners[..] else {
                self.say(match owners.is_empty() {
                    true => format!("{oid}: its collection does not exist"),
                    false => format!("{oid}: several collections hold it: {owners:?}"),
                });
                return Ok(());
            };
            let onode: Onode = decode_row(Table::Object, row.clone())?;
            if onode.chunked {
                chunked.insert(onode.id);
            }
            if onode.omap_id != 0 && !omaps.insert(onode.omap_id) {
                self.say(format!("{coll} {oid}: shares its omap with another object"));
            }
            self.blocks(&mut alloc, &onode.inline, 0, &format!("{coll} {oid}"));
            Ok(())
        })?;
        let mut stray = BTreeSet::new();
        layers.scan_all::<KvError>(Table::Chunk, &mut |key, row| {
            let (id, number) = key::parse_numbered(key).unwrap_or_default();
            if !chunked.contains(&id) && stray.insert(id) {
                let line = format!("blocks of object number {id}, which does not exist");
                self.tell(line, Mend::Stray(Table::Chunk, id));
            }
            let first = number.try_into().map_or(0, u32::from_be_bytes);
            let chunk = decode_row(Table::Chunk, row.clone())?;
            self.blocks(&mut alloc, &chunk, u64::from(first) * CHUNK_BLOCKS, &format!("object number {id}"));
            Ok(())
        })?;
        stray.clear();
        layers.scan_all::<KvError>(Table::Omap, &mut |key, _| {
            let (id, _) = key::parse_numbered(key).unwrap_or_default();
            if !omaps.contains(&id) && stray.insert(id) {
                self.tell(format!("omap number {id}, which belongs to no object"), Mend::Stray(Table::Omap, id));
            }
            Ok(())
        })?;
        Ok(())
    }

    fn blocks(&mut self, alloc: &mut Allocator, chunk: &Chunk, first: u64, owner: &str) {
        for (i, block) in (first..).zip(&chunk.0).filter(|(_, b)| b.phys != 0) {
            if !alloc.claim(block.phys) {
                self.say(format!("{owner} at {}: block {} has two owners or is no block", i * BLOCK, block.phys));
            }
            if let Err(why) = self.read(*block) {
                // What is the OSD's own, its maps above all, no other OSD has.
                let mend = if owner.starts_with("meta ") { Mend::Nothing } else { Mend::OtherCopy };
                self.tell(format!("{owner} at {}: {why}", i * BLOCK), mend);
            }
        }
    }

    fn read(&self, block: Block) -> Result<(), String> {
        let mut buf = [0; BLOCK as usize];
        self.devices.block.read_at(u64::from(block.phys) * BLOCK, &mut buf).map_err(|e| e.to_string())?;
        crate::state::verify(&[block], &buf).map_err(|(_, why)| why)
    }
}
