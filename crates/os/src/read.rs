//! What a core may read while it decides.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::ByteStr;
use types::{GHObject, PoolId};

use crate::Coll;

/// Why a read gave nothing. "Not there" is not among them: that is `Ok(None)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The disk could not read, or gave bytes that fail their checksum. Another copy may be good.
    #[error("{coll}/{oid} at {off}: {why}")]
    Io { coll: Coll, oid: Box<GHObject>, off: u64, why: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectStat {
    pub size: u64,
}

/// `store_statfs_t`: the store's space, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statfs {
    pub total: u64,
    pub available: u64,
    /// What objects' data takes on the disk, and its logical size.
    pub allocated: u64,
    pub stored: u64,
    /// What the log, metadata and omap take.
    pub internal_metadata: u64,
    pub omap_allocated: u64,
}

/// What a pool's objects take, in bytes: on the disk, and by their sizes without their holes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolSpace {
    pub allocated: u64,
    pub stored: u64,
}

/// Synchronous reads of the state that all submitted transactions have made, committed or not.
/// Meant for metadata, omap and small data; bulk reads are `node::Output::Read`.
pub trait ObjectRead {
    fn collections(&self) -> Vec<Coll>;
    fn collection_exists(&self, coll: Coll) -> bool;

    /// `None` if there is no such object.
    fn stat(&self, coll: Coll, oid: &GHObject) -> Result<Option<ObjectStat>, ReadError>;

    /// Up to `len` bytes from `off`, fewer at the object's end; holes read as zeros. `None` if there
    /// is no such object.
    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Option<Bytes>, ReadError>;

    /// The ranges in `off..off+len` that hold data, as (offset, length).
    fn extents(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Vec<(u64, u64)>, ReadError>;

    fn attr(&self, coll: Coll, oid: &GHObject, name: &[u8]) -> Result<Option<Bytes>, ReadError>;
    fn attrs(&self, coll: Coll, oid: &GHObject) -> Result<Option<BTreeMap<ByteStr, Bytes>>, ReadError>;

    fn omap_header(&self, coll: Coll, oid: &GHObject) -> Result<Bytes, ReadError>;
    /// Those of `keys` that exist.
    fn omap_values(&self, coll: Coll, oid: &GHObject, keys: &[ByteStr]) -> Result<BTreeMap<ByteStr, Bytes>, ReadError>;
    /// Key and value pairs in order: those greater than `after` (or from the first if `None`), at
    /// most `max`, and whether more follow.
    fn omap_range(
        &self,
        coll: Coll,
        oid: &GHObject,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<(Vec<(ByteStr, Bytes)>, bool), ReadError>;

    /// Objects of a collection in `ghobject_t` order: those >= `from`, at most `max`; the second
    /// value is where to go on, `None` at the end.
    fn list(&self, coll: Coll, from: &GHObject, max: usize) -> Result<(Vec<GHObject>, Option<GHObject>), ReadError>;

    /// The space there is, and what of it is used.
    fn statfs(&self) -> Statfs;

    /// What objects' data takes; pools of which nothing is here may be missing.
    fn space_by_pool(&self) -> BTreeMap<PoolId, PoolSpace>;
}
