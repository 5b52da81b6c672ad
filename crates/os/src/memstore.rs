//! The executable model of a store: what every transaction and every read means, in memory.
//!
//! Invariants:
//! - Data is kept in whole pages of 4 KiB; a page that is not there is a hole. Bytes of a page beyond
//!   the object's size are zero.
//! - A transaction is applied entirely or, if any change of it is refused, not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use denc::ByteStr;
use types::GHObject;

use crate::{Coll, OBJECT_SIZE_MAX, ObjectRead, ObjectStat, ReadError, Statfs, Transaction, TxOp};

const PAGE: u64 = 4096;

/// Why a transaction was refused: the core that made it, or the peer that sent it, is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("there is no collection {0}")]
    NoCollection(Coll),
    #[error("collection {0} exists already")]
    CollectionExists(Coll),
    #[error("collection {0} is not empty")]
    NotEmpty(Coll),
    #[error("there is no object {1} in {0} to copy from")]
    NoObject(Coll, Box<GHObject>),
    #[error("object {1} in {0} would exceed the largest size of an object")]
    TooLarge(Coll, Box<GHObject>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Object {
    size: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    attrs: BTreeMap<ByteStr, Bytes>,
    omap_header: Bytes,
    omap: BTreeMap<ByteStr, Bytes>,
}

impl Object {
    fn write(&mut self, mut off: u64, mut data: &[u8]) {
        if !data.is_empty() {
            self.size = self.size.max(off + data.len() as u64);
        }
        while !data.is_empty() {
            let at = (off % PAGE) as usize;
            let n = data.len().min(PAGE as usize - at);
            let page = self.pages.entry(off / PAGE).or_insert_with(|| vec![0; PAGE as usize]);
            page[at..at + n].copy_from_slice(&data[..n]);
            (off, data) = (off + n as u64, &data[n..]);
        }
    }

    /// Whole pages become holes, parts of pages zeros.
    fn punch(&mut self, off: u64, end: u64) {
        self.pages.retain(|&i, _| !(off <= i * PAGE && (i + 1) * PAGE <= end));
        for (i, page) in self.pages.range_mut(off / PAGE..=end / PAGE) {
            let start = off.clamp(i * PAGE, (i + 1) * PAGE) - i * PAGE;
            let stop = end.clamp(i * PAGE, (i + 1) * PAGE) - i * PAGE;
            page[start as usize..stop as usize].fill(0);
        }
    }

    fn zero(&mut self, off: u64, len: u64) {
        self.punch(off, off + len);
        if len > 0 {
            self.size = self.size.max(off + len);
        }
    }

    fn truncate(&mut self, size: u64) {
        if size < self.size {
            self.punch(size, self.size.next_multiple_of(PAGE));
        }
        self.size = size;
    }

    fn read(&self, off: u64, len: u64) -> Bytes {
        let end = off.saturating_add(len).min(self.size);
        let mut out = BytesMut::zeroed(end.saturating_sub(off) as usize);
        for (i, page) in self.pages.range(off / PAGE..) {
            let (start, stop) = (off.max(i * PAGE), end.min((i + 1) * PAGE));
            if start < stop {
                let part = &page[(start - i * PAGE) as usize..(stop - i * PAGE) as usize];
                out[(start - off) as usize..(stop - off) as usize].copy_from_slice(part);
            }
        }
        out.freeze()
    }

    fn extents(&self, off: u64, len: u64) -> Vec<(u64, u64)> {
        let end = off.saturating_add(len).min(self.size);
        let mut out: Vec<(u64, u64)> = Vec::new();
        for i in self.pages.keys() {
            let (start, stop) = (off.max(i * PAGE), end.min((i + 1) * PAGE));
            match out.last_mut() {
                _ if start >= stop => {}
                Some(last) if last.0 + last.1 == start => last.1 += stop - start,
                _ => out.push((start, stop - start)),
            }
        }
        out
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Collection {
    bits: u32,
    objects: BTreeMap<GHObject, Arc<Object>>,
}

/// A store in memory. A clone shares the objects until they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemStore {
    colls: BTreeMap<Coll, Collection>,
}

impl MemStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies all of a transaction, or nothing of it.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(&mut self, txn: &Transaction) -> Result<(), ApplyError> {
        let mut next = self.clone();
        txn.ops.iter().try_for_each(|op| next.apply_op(op))?;
        *self = next;
        Ok(())
    }

    fn coll_mut(&mut self, coll: Coll) -> Result<&mut Collection, ApplyError> {
        self.colls.get_mut(&coll).ok_or(ApplyError::NoCollection(coll))
    }

    /// The object, made if need be; it may come to reach up to `end`.
    fn make(&mut self, coll: Coll, oid: &GHObject, end: Option<u64>) -> Result<&mut Object, ApplyError> {
        if end.is_none_or(|end| end > OBJECT_SIZE_MAX) {
            return Err(ApplyError::TooLarge(coll, oid.clone().into()));
        }
        Ok(Arc::make_mut(self.coll_mut(coll)?.objects.entry(oid.clone()).or_default()))
    }

    /// The object if it is there.
    fn find(&mut self, coll: Coll, oid: &GHObject) -> Result<Option<&mut Object>, ApplyError> {
        Ok(self.coll_mut(coll)?.objects.get_mut(oid).map(Arc::make_mut))
    }

    fn source(&mut self, coll: Coll, oid: &GHObject) -> Result<Arc<Object>, ApplyError> {
        let missing = || ApplyError::NoObject(coll, oid.clone().into());
        self.coll_mut(coll)?.objects.get(oid).cloned().ok_or_else(missing)
    }

    fn apply_op(&mut self, op: &TxOp) -> Result<(), ApplyError> {
        match op {
            TxOp::MkColl { coll, bits } => {
                if self.colls.contains_key(coll) {
                    return Err(ApplyError::CollectionExists(*coll));
                }
                self.colls.insert(*coll, Collection { bits: *bits, ..Collection::default() });
            }
            TxOp::RmColl { coll } => {
                if !self.coll_mut(*coll)?.objects.is_empty() {
                    return Err(ApplyError::NotEmpty(*coll));
                }
                self.colls.remove(coll);
            }
            TxOp::SplitColl { coll, bits, rem, dest } => {
                let mask = u32::MAX.checked_shr(32 - bits.min(&32)).unwrap_or(0);
                let from = self.coll_mut(*coll)?;
                from.bits = *bits;
                let moved: Vec<_> = from.objects.extract_if(.., |oid, _| oid.hobj.hash & mask == *rem).collect();
                let dest = self.coll_mut(*dest)?;
                dest.bits = *bits;
                dest.objects.extend(moved);
            }
            TxOp::MergeColl { coll, dest, bits } => {
                self.coll_mut(*dest)?;
                let from = self.colls.remove(coll).ok_or(ApplyError::NoCollection(*coll))?;
                let dest = self.coll_mut(*dest)?;
                dest.bits = *bits;
                dest.objects.extend(from.objects);
            }
            TxOp::Create { coll, oid } | TxOp::Touch { coll, oid } | TxOp::SetAllocHint { coll, oid, .. } => {
                self.make(*coll, oid, Some(0))?;
            }
            TxOp::Write { coll, oid, off, data, .. } => {
                self.make(*coll, oid, off.checked_add(data.len() as u64))?.write(*off, data);
            }
            TxOp::Zero { coll, oid, off, len } => {
                self.make(*coll, oid, off.checked_add(*len))?.zero(*off, *len);
            }
            TxOp::Truncate { coll, oid, size } => self.make(*coll, oid, Some(*size))?.truncate(*size),
            TxOp::Remove { coll, oid } => {
                self.coll_mut(*coll)?.objects.remove(oid);
            }
            TxOp::SetAttrs { coll, oid, attrs } => {
                let attrs = attrs.iter().map(|(k, v)| (k.clone(), v.clone()));
                self.make(*coll, oid, Some(0))?.attrs.extend(attrs);
            }
            TxOp::RmAttr { coll, oid, name } => {
                self.find(*coll, oid)?.map(|o| o.attrs.remove(name));
            }
            TxOp::RmAttrs { coll, oid } => {
                self.find(*coll, oid)?.map(|o| std::mem::take(&mut o.attrs));
            }
            TxOp::Clone { coll, oid, dest } => {
                let copy = self.source(*coll, oid)?;
                self.coll_mut(*coll)?.objects.insert(dest.clone(), copy);
            }
            TxOp::CloneRange { coll, oid, dest, off, len, dest_off } => {
                let source = self.source(*coll, oid)?;
                let dest = self.make(*coll, dest, dest_off.checked_add(*len))?;
                dest.zero(*dest_off, *len);
                for (start, n) in source.extents(*off, *len) {
                    dest.write(dest_off + (start - off), &source.read(start, n));
                }
            }
            TxOp::OmapClear { coll, oid } => {
                if let Some(o) = self.find(*coll, oid)? {
                    o.omap.clear();
                    o.omap_header.clear();
                }
            }
            TxOp::OmapSet { coll, oid, keys } => {
                let keys = keys.iter().map(|(k, v)| (k.clone(), v.clone()));
                self.make(*coll, oid, Some(0))?.omap.extend(keys);
            }
            TxOp::OmapRm { coll, oid, keys } => {
                if let Some(o) = self.find(*coll, oid)? {
                    keys.iter().for_each(|k| drop(o.omap.remove(k)));
                }
            }
            TxOp::OmapRmRange { coll, oid, first, last } => {
                if let Some(o) = self.find(*coll, oid)? {
                    o.omap.retain(|k, _| k < first || k >= last);
                }
            }
            TxOp::OmapSetHeader { coll, oid, header } => {
                self.make(*coll, oid, Some(0))?.omap_header = header.clone();
            }
            TxOp::MoveRename { coll, oid, dest_coll, dest } => {
                self.coll_mut(*dest_coll)?;
                if let Some(object) = self.coll_mut(*coll)?.objects.remove(oid) {
                    self.coll_mut(*dest_coll)?.objects.insert(dest.clone(), object);
                }
            }
        }
        Ok(())
    }

    fn object(&self, coll: Coll, oid: &GHObject) -> Option<&Object> {
        self.colls.get(&coll)?.objects.get(oid).map(|o| &**o)
    }
}

impl ObjectRead for MemStore {
    /// As if on a disk of 10 GiB.
    fn statfs(&self) -> Statfs {
        const TOTAL: u64 = 10 << 30;
        let stored = self.colls.values().flat_map(|c| c.objects.values()).map(|o| o.size).sum();
        Statfs { total: TOTAL, available: TOTAL.saturating_sub(stored), allocated: stored, stored, ..Statfs::default() }
    }

    fn collections(&self) -> Vec<Coll> {
        self.colls.keys().copied().collect()
    }

    fn collection_exists(&self, coll: Coll) -> bool {
        self.colls.contains_key(&coll)
    }

    fn stat(&self, coll: Coll, oid: &GHObject) -> Result<Option<ObjectStat>, ReadError> {
        Ok(self.object(coll, oid).map(|o| ObjectStat { size: o.size }))
    }

    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Option<Bytes>, ReadError> {
        Ok(self.object(coll, oid).map(|o| o.read(off, len)))
    }

    fn extents(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Result<Vec<(u64, u64)>, ReadError> {
        Ok(self.object(coll, oid).map(|o| o.extents(off, len)).unwrap_or_default())
    }

    fn attr(&self, coll: Coll, oid: &GHObject, name: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.object(coll, oid).and_then(|o| o.attrs.get(name).cloned()))
    }

    fn attrs(&self, coll: Coll, oid: &GHObject) -> Result<Option<BTreeMap<ByteStr, Bytes>>, ReadError> {
        Ok(self.object(coll, oid).map(|o| o.attrs.clone()))
    }

    fn omap_header(&self, coll: Coll, oid: &GHObject) -> Result<Bytes, ReadError> {
        Ok(self.object(coll, oid).map(|o| o.omap_header.clone()).unwrap_or_default())
    }

    fn omap_values(&self, coll: Coll, oid: &GHObject, keys: &[ByteStr]) -> Result<BTreeMap<ByteStr, Bytes>, ReadError> {
        let Some(o) = self.object(coll, oid) else { return Ok(BTreeMap::new()) };
        Ok(keys.iter().filter_map(|k| Some((k.clone(), o.omap.get(k)?.clone()))).collect())
    }

    fn omap_range(
        &self,
        coll: Coll,
        oid: &GHObject,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<(Vec<(ByteStr, Bytes)>, bool), ReadError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let Some(o) = self.object(coll, oid) else { return Ok((Vec::new(), false)) };
        let mut rest = o.omap.range::<[u8], _>((after.map_or(Unbounded, Excluded), Unbounded));
        let page = rest.by_ref().take(max).map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok((page, rest.next().is_some()))
    }

    fn list(&self, coll: Coll, from: &GHObject, max: usize) -> Result<(Vec<GHObject>, Option<GHObject>), ReadError> {
        let Some(c) = self.colls.get(&coll) else { return Ok((Vec::new(), None)) };
        let mut rest = c.objects.range(from..);
        let page = rest.by_ref().take(max).map(|(oid, _)| oid.clone()).collect();
        Ok((page, rest.next().map(|(oid, _)| oid.clone())))
    }
}
