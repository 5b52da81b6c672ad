//! `spirula store …`: looking into, and into the works of, a stopped OSD's store (for what operators use
//! `ceph-objectstore-tool` for). What destroys says first what it would destroy.

mod carry;
mod objects;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cli::args::{StoreArg, StoreCommand};
use os::{Coll, ObjectRead, Transaction};
use store::{Options, Store};
use types::{PgId, SpgId};

/// Runs one of the commands; gives the exit code.
pub fn run(command: &StoreCommand) -> Result<i32> {
    match command {
        StoreCommand::Fsck(store) => fsck(&store_dir(&store.dir)?),
        StoreCommand::Repair { store, dry_run } => repair(&store_dir(&store.dir)?, *dry_run),
        StoreCommand::List { store, pgid: None } => objects::list_pgs(&peek(store)?),
        StoreCommand::List { store, pgid: Some(pgid) } => objects::list(&peek(store)?, pgid),
        StoreCommand::Export { store, pgid, file, skip_unreadable } => {
            carry::export(&peek(store)?, pgid, file, *skip_unreadable)
        }
        StoreCommand::Import { store, file, dry_run, force } => carry::import(store, file, *dry_run, *force),
        StoreCommand::RemoveObject { store, pgid, object, namespace, clone, yes } => {
            let which = objects::Which { name: object, namespace, clone: *clone };
            objects::remove(store, pgid, &which, *yes)
        }
        StoreCommand::RemovePg { store, pgid, yes } => carry::remove_pg(store, pgid, *yes),
        StoreCommand::CorruptObject { store, pgid, object, clone, what, set_attr, rm_attr, truncate } => {
            let which = objects::Which { name: object, namespace: "", clone: *clone };
            let damage = match (set_attr.as_deref(), rm_attr, truncate) {
                (Some([name, hex]), ..) => objects::Damage::SetAttr(name, hex),
                (_, Some(name), _) => objects::Damage::RmAttr(name),
                (.., Some(size)) => objects::Damage::Truncate(*size),
                _ => objects::Damage::Random(*what),
            };
            objects::corrupt(store, pgid, &which, &damage)
        }
    }
}

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
        cli::say!("{finding}");
    }
    if findings.iter().any(|f| f.1 == store::Mend::InUse) {
        cli::say!("its OSD must be stopped first; of one that runs, `ceph pg deep-scrub PG` tells");
    } else if findings.is_empty() {
        cli::say!("{}: no findings", dir.display());
    } else {
        cli::say!("`spirula store repair --dir {}` says what can be done", dir.display());
    }
    Ok(i32::from(!findings.is_empty()))
}

fn repair(dir: &Path, dry_run: bool) -> Result<i32> {
    let done = store::repair(dir, dry_run).with_context(|| format!("cannot repair the store in {}", dir.display()))?;
    let verb = if dry_run { "would mend" } else { "mended" };
    done.mended.iter().for_each(|line| cli::say!("{verb}: {line}"));
    for (line, help) in &done.left {
        cli::say!("left: {line}\n      {help}");
    }
    if done.mended.is_empty() && done.left.is_empty() {
        cli::say!("{}: no findings, nothing to do", dir.display());
    }
    Ok(i32::from(!done.left.is_empty()))
}

/// Opens a store to look at: nothing is changed, the log is replayed in memory only.
fn peek(at: &StoreArg) -> Result<Store> {
    let dir = store_dir(&at.dir)?;
    Store::open_scratch(&dir, Options::default()).with_context(|| cannot_open(&dir))
}

/// Opens a store to change it.
fn open(at: &StoreArg) -> Result<Store> {
    let dir = store_dir(&at.dir)?;
    Store::open_quiet(&dir, Options::default()).with_context(|| cannot_open(&dir))
}

fn cannot_open(dir: &Path) -> String {
    format!("cannot open the store in {} (its OSD must be stopped)", dir.display())
}

/// A PG that the store holds.
fn pg_in(store: &dyn ObjectRead, pgid: &str) -> Result<SpgId> {
    let id = SpgId::from(pgid.parse::<PgId>()?);
    if !store.collection_exists(Coll::Pg(id)) {
        bail!("this store does not hold pg {id}; `spirula store list` says which it holds");
    }
    Ok(id)
}

/// Submits and commits one transaction.
fn commit(store: &Store, txn: &Transaction) -> Result<(), String> {
    store.submit(1, txn).map_err(|e| e.to_string())?;
    store.commit_step().map(drop).map_err(|e| e.to_string())
}
