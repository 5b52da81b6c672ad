//! A PG on its way from one OSD's store into another's: what `spirula store export` writes and `import` takes
//! (for what operators use `ceph-objectstore-tool --op export` and `import`). The bytes are described in
//! `docs/formats/pg-export.md`.
//!
//! Invariants:
//! - A file is whole, or it is refused before anything is written: frames are numbered and checksummed, and the
//!   last one counts what came before.
//! - A PG that is half imported is marked as being deleted: an OSD that starts on it removes it.
//! - An object that could not be read is not silently absent: the imported copy says that it lacks it.

mod export;
mod format;
mod import;
#[cfg(test)]
mod tests;

pub use export::{ExportError, Exported, export};
pub use format::{FileError, Head, Totals, check};
pub use import::{ImportError, import, remove_pg};

use os::{Coll, ObjectRead, ReadError, Transaction};
use types::{GHObject, HObject, PgInfo, SpgId};

use crate::pg::LoadError;
use crate::{persist, snap_map};

/// What a store says of one PG.
#[derive(Debug)]
pub struct Summary {
    pub info: PgInfo,
    /// The map epoch at which it stands.
    pub epoch: types::Epoch,
    /// What its log knows this copy to lack.
    pub missing: usize,
    /// It is on its way out.
    pub deleting: bool,
}

/// Reads what a store says of a PG that it holds.
///
/// # Errors
/// If that cannot be read or makes no sense.
pub fn summary(id: SpgId, store: &dyn ObjectRead) -> Result<Summary, LoadError> {
    let stored = persist::read(id, store)?;
    let missing = stored.missing.len();
    Ok(Summary { info: stored.info, epoch: stored.epoch, missing, deleting: stored.deleting })
}

/// How many objects are looked at in one go.
const LIST_BATCH: usize = 512;

/// Calls `each` for every object of a collection, the PG's own record left out.
///
/// # Errors
/// If they cannot be listed, or what `each` says.
pub fn for_each_object<E: From<ReadError>>(
    store: &dyn ObjectRead,
    coll: Coll,
    mut each: impl FnMut(GHObject) -> Result<(), E>,
) -> Result<(), E> {
    let mut from = Some(GHObject::min());
    while let Some(at) = from {
        let (objects, next) = store.list(coll, &at, LIST_BATCH)?;
        objects.into_iter().filter(|o| !o.is_pgmeta()).try_for_each(&mut each)?;
        from = next;
    }
    Ok(())
}

/// What one removal means for the index of clones is added to it.
///
/// # Errors
/// If the index cannot be read.
pub fn with_snap_index(store: &dyn ObjectRead, coll: Coll, txn: &mut Transaction) -> Result<(), ReadError> {
    snap_map::SnapMap::default().prepare(store, coll, txn)
}

/// The version at which a store holds an object; `None` if its info cannot be read or understood.
fn held_version(store: &dyn ObjectRead, coll: Coll, oid: &GHObject) -> Option<types::EVersion> {
    let raw = store.attr(coll, oid, crate::object::OI_ATTR.as_bytes()).ok()??;
    denc::from_bytes::<types::ObjectInfo>(raw).ok().map(|oi| oi.version)
}

/// Whether the family of an object has clones, as its head says.
pub fn clones_of(store: &dyn ObjectRead, coll: Coll, head: &HObject) -> usize {
    let raw = store.attr(coll, &head.clone().into(), crate::object::SS_ATTR.as_bytes()).ok().flatten();
    raw.and_then(|raw| denc::from_bytes::<types::SnapSet>(raw).ok()).map_or(0, |set| set.clones.len())
}
