//! `spirula store …`: looking into, and into the works of, a stopped OSD's store.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cli::args::StoreCommand;
use os::{Coll, ObjectRead, Transaction, TxOp};
use store::{Options, Store};
use types::{GHObject, PgId, SpgId};

/// Runs one of the commands; gives the exit code.
pub fn run(command: &StoreCommand) -> Result<i32> {
    match command {
        StoreCommand::Fsck { dir } => fsck(&store_dir(dir)?),
        StoreCommand::RemoveObject { dir, pgid, object } => {
            let (store, coll, oid) = open_at(&store_dir(dir)?, pgid, object)?;
            change(store, TxOp::Remove { coll, oid })?;
            println!("removed {object} from {coll}");
            Ok(0)
        }
        StoreCommand::CorruptObject { dir, pgid, object } => {
            let (store, coll, oid) = open_at(&store_dir(dir)?, pgid, object)?;
            let mut data = vec![0; CORRUPT_BYTES];
            std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut data)?;
            change(store, TxOp::Write { coll, oid, off: 0, data: data.into(), fadvise: 0 })?;
            println!("overwrote the first {CORRUPT_BYTES} bytes of {object} in {coll}");
            Ok(0)
        }
    }
}

const CORRUPT_BYTES: usize = 4096;
/// Objects looked at in one go while one is searched by name.
const LIST_BATCH: usize = 512;

/// An OSD's folder, or the store's own.
pub fn store_dir(dir: &Path) -> Result<PathBuf> {
    for candidate in [dir.join("store"), dir.to_owned()] {
        if candidate.join("superblock").exists() {
            return Ok(candidate);
        }
    }
    bail!("there is no store in {}: name an OSD's folder, such as spirula-data/osd.0", dir.display())
}

fn fsck(dir: &Path) -> Result<i32> {
    let findings = store::fsck(dir);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("{}: no findings", dir.display());
    }
    Ok(i32::from(!findings.is_empty()))
}

fn open_at(dir: &Path, pgid: &str, object: &str) -> Result<(Store, Coll, GHObject)> {
    let id: PgId = pgid.parse()?;
    let coll = Coll::Pg(SpgId::from(id));
    let store = Store::open_quiet(dir, Options::default())
        .with_context(|| format!("cannot open the store in {} (does its OSD run?)", dir.display()))?;
    let reader = store.reader();
    if !reader.collection_exists(coll) {
        bail!("the store in {} does not hold pg {id}", dir.display());
    }
    let mut from = Some(GHObject::min());
    while let Some(at) = from {
        let (objects, next) = reader.list(coll, &at, LIST_BATCH)?;
        if let Some(found) = objects.into_iter().find(|o| o.hobj.is_head() && o.hobj.oid == *object) {
            return Ok((store, coll, found));
        }
        from = next;
    }
    bail!("pg {id} holds no object '{object}' here")
}

fn change(store: Store, op: TxOp) -> Result<()> {
    let mut txn = Transaction::new();
    txn.push(op);
    store.submit(1, &txn)?;
    store.commit_step()?;
    store.close()?;
    Ok(())
}
