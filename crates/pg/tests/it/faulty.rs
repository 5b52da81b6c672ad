//! A store in which some objects cannot be read.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::ByteStr;
use os::{Coll, MemStore, ObjectRead, ObjectStat, ReadError, Statfs};
use types::GHObject;

pub struct Faulty {
    pub store: MemStore,
    /// Whose data is bad.
    pub bad: BTreeSet<GHObject>,
}

impl ObjectRead for Faulty {
    fn collections(&self) -> Vec<Coll> {
        self.store.collections()
    }

    fn collection_exists(&self, coll: Coll) -> bool {
        self.store.collection_exists(coll)
    }

    fn stat(&self, coll: Coll, oid: &GHObject) -> Result<Option<ObjectStat>, ReadError> {
        self.store.stat(coll, oid)
    }

    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Option<Bytes>, ReadError> {
        if self.bad.contains(oid) {
            return Err(ReadError::Io { coll, oid: Box::new(oid.clone()), off, why: "bad checksum".into() });
        }
        self.store.read(coll, oid, off, len)
    }

    fn extents(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Vec<(u64, u64)>, ReadError> {
        self.store.extents(coll, oid, off, len)
    }

    fn attr(&self, coll: Coll, oid: &GHObject, name: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.store.attr(coll, oid, name)
    }

    fn attrs(&self, coll: Coll, oid: &GHObject) -> Result<Option<BTreeMap<ByteStr, Bytes>>, ReadError> {
        self.store.attrs(coll, oid)
    }

    fn omap_header(&self, coll: Coll, oid: &GHObject) -> Result<Bytes, ReadError> {
        self.store.omap_header(coll, oid)
    }

    fn omap_values(&self, coll: Coll, oid: &GHObject, keys: &[ByteStr]) -> Result<BTreeMap<ByteStr, Bytes>, ReadError> {
        self.store.omap_values(coll, oid, keys)
    }

    fn omap_range(
        &self,
        coll: Coll,
        oid: &GHObject,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<(Vec<(ByteStr, Bytes)>, bool), ReadError> {
        self.store.omap_range(coll, oid, after, max)
    }

    fn list(&self, coll: Coll, from: &GHObject, max: usize) -> Result<(Vec<GHObject>, Option<GHObject>), ReadError> {
        self.store.list(coll, from, max)
    }

    fn statfs(&self) -> Statfs {
        self.store.statfs()
    }
}
