//! The executable model of a store: what every transaction and every read means, in memory.
//!
//! Invariants:
//! - Data is kept in whole pages of 4 KiB; a page that is not there is a hole. Bytes of a page beyond
//!   the object's size are zero.
//! - A transaction is applied entirely or, if any change of it is refused, not at all.
//! - The objects of a pool lie in one row; a PG's collection is a range of it ([`Coll::bounds`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use denc::ByteStr;
use types::{GHObject, PgId, PoolId, SpgId};

use crate::{Coll, OBJECT_SIZE_MAX, ObjectRead, ObjectStat, PoolSpace, ReadError, Statfs, Transaction, TxOp};

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
    #[error("object {1} does not belong into {0}")]
    Misplaced(Coll, Box<GHObject>),
    #[error("{0} and {1} are no parts of one PG")]
    Unrelated(Coll, Coll),
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
    /// See [`MemStore::spoil`] and [`MemStore::spoil_omap`].
    spoiled: bool,
    omap_spoiled: bool,
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

    fn space(&self) -> PoolSpace {
        let stored = self.pages.keys().map(|i| self.size.saturating_sub(i * PAGE).min(PAGE)).sum();
        PoolSpace { allocated: self.pages.len() as u64 * PAGE, stored }
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

/// Objects by where they lie: those of all PGs of a pool together.
type Objects = BTreeMap<GHObject, Arc<Object>>;

/// A store in memory. A clone shares the objects until they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemStore {
    /// How many bits of the hash count.
    colls: BTreeMap<Coll, u32>,
    rows: BTreeMap<Coll, Objects>,
}

/// The row in which a collection's objects lie.
fn row(coll: Coll) -> Coll {
    match coll {
        Coll::Pg(pg) => Coll::Pg(SpgId { pgid: PgId::new(pg.pgid.pool, 0), shard: pg.shard }),
        other => other,
    }
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

    /// As [`Self::apply`], in place and so much cheaper: after an error the store is half changed and of no
    /// more use. For drivers to whom a refusal is the end.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply_in_place(&mut self, txn: &Transaction) -> Result<(), ApplyError> {
        txn.ops.iter().try_for_each(|op| self.apply_op(op))
    }

    /// Makes an object's data unreadable until it is removed, as a bad sector does: for tests of those who read.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn spoil(&mut self, coll: Coll, oid: &GHObject) -> Result<(), ApplyError> {
        let object = self.find(coll, oid)?.ok_or_else(|| ApplyError::NoObject(coll, oid.clone().into()))?;
        object.spoiled = true;
        Ok(())
    }

    /// The same of its omap.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn spoil_omap(&mut self, coll: Coll, oid: &GHObject) -> Result<(), ApplyError> {
        let object = self.find(coll, oid)?.ok_or_else(|| ApplyError::NoObject(coll, oid.clone().into()))?;
        object.omap_spoiled = true;
        Ok(())
    }

    fn bits(&self, coll: Coll) -> Result<u32, ApplyError> {
        self.colls.get(&coll).copied().ok_or(ApplyError::NoCollection(coll))
    }

    fn row_mut(&mut self, coll: Coll) -> Result<&mut Objects, ApplyError> {
        self.bits(coll)?;
        Ok(self.rows.entry(row(coll)).or_default())
    }

    /// The row of an object that is to exist.
    fn place_mut(&mut self, coll: Coll, oid: &GHObject) -> Result<&mut Objects, ApplyError> {
        if !coll.holds(self.bits(coll)?, oid) {
            return Err(ApplyError::Misplaced(coll, oid.clone().into()));
        }
        self.row_mut(coll)
    }

    fn objects(&self, coll: Coll) -> impl Iterator<Item = (&GHObject, &Arc<Object>)> {
        let found = self.colls.get(&coll).zip(self.rows.get(&row(coll)));
        found.into_iter().flat_map(move |(bits, row)| {
            let (first, end) = coll.bounds(*bits);
            row.range(first..end)
        })
    }

    /// The object, made if need be; it may come to reach up to `end`.
    fn make(&mut self, coll: Coll, oid: &GHObject, end: Option<u64>) -> Result<&mut Object, ApplyError> {
        if end.is_none_or(|end| end > OBJECT_SIZE_MAX) {
            return Err(ApplyError::TooLarge(coll, oid.clone().into()));
        }
        Ok(Arc::make_mut(self.place_mut(coll, oid)?.entry(oid.clone()).or_default()))
    }

    /// The object if it is there.
    fn peek(&self, coll: Coll, oid: &GHObject) -> Result<Option<&Arc<Object>>, ApplyError> {
        let bits = self.bits(coll)?;
        Ok(self.rows.get(&row(coll)).and_then(|r| r.get(oid)).filter(|_| coll.holds(bits, oid)))
    }

    /// The object if it is there, to be changed.
    fn find(&mut self, coll: Coll, oid: &GHObject) -> Result<Option<&mut Object>, ApplyError> {
        if self.peek(coll, oid)?.is_none() {
            return Ok(None);
        }
        Ok(self.row_mut(coll)?.get_mut(oid).map(Arc::make_mut))
    }

    fn source(&mut self, coll: Coll, oid: &GHObject) -> Result<Arc<Object>, ApplyError> {
        let missing = || ApplyError::NoObject(coll, oid.clone().into());
        self.peek(coll, oid)?.cloned().ok_or_else(missing)
    }

    fn apply_op(&mut self, op: &TxOp) -> Result<(), ApplyError> {
        match op {
            TxOp::MkColl { coll, bits } => {
                if self.colls.contains_key(coll) {
                    return Err(ApplyError::CollectionExists(*coll));
                }
                self.colls.insert(*coll, *bits);
            }
            TxOp::RmColl { coll } => {
                self.bits(*coll)?;
                if self.objects(*coll).next().is_some() {
                    return Err(ApplyError::NotEmpty(*coll));
                }
                self.colls.remove(coll);
            }
            TxOp::SplitColl { coll, bits, rem, dest } => {
                self.bits(*coll)?;
                self.bits(*dest)?;
                if !dest.ends_in(*bits, *rem) || !coll.is_sibling(*dest, 0) {
                    return Err(ApplyError::Unrelated(*coll, *dest));
                }
                self.colls.insert(*coll, *bits);
                self.colls.insert(*dest, *bits);
            }
            TxOp::MergeColl { coll, dest, bits } => {
                self.bits(*dest)?;
                self.bits(*coll)?;
                if coll == dest || !coll.is_sibling(*dest, *bits) {
                    return Err(ApplyError::Unrelated(*coll, *dest));
                }
                self.colls.remove(coll);
                self.colls.insert(*dest, *bits);
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
                if self.peek(*coll, oid)?.is_some() {
                    self.row_mut(*coll)?.remove(oid);
                }
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
                self.place_mut(*coll, dest)?.insert(dest.clone(), copy);
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
                self.bits(*dest_coll)?;
                if self.peek(*coll, oid)?.is_some() {
                    self.place_mut(*dest_coll, dest)?;
                    let object = self.row_mut(*coll)?.remove(oid).expect("just found");
                    self.place_mut(*dest_coll, dest)?.insert(dest.clone(), object);
                }
            }
        }
        Ok(())
    }

    fn object(&self, coll: Coll, oid: &GHObject) -> Option<&Object> {
        self.peek(coll, oid).ok()?.map(|o| &**o)
    }

    /// The object, of whose omap something is to be read.
    fn omap_of(&self, coll: Coll, oid: &GHObject) -> Result<Option<&Object>, ReadError> {
        match self.object(coll, oid) {
            Some(o) if o.omap_spoiled => {
                Err(ReadError::Io { coll, oid: Box::new(oid.clone()), off: 0, why: "a bad row of its omap".into() })
            }
            found => Ok(found),
        }
    }
}

impl ObjectRead for MemStore {
    /// As if on a disk of 10 GiB.
    fn statfs(&self) -> Statfs {
        const TOTAL: u64 = 10 << 30;
        let stored = self.rows.values().flat_map(BTreeMap::values).map(|o| o.space().stored).sum();
        Statfs { total: TOTAL, available: TOTAL.saturating_sub(stored), allocated: stored, stored, ..Statfs::default() }
    }

    fn space_by_pool(&self) -> BTreeMap<PoolId, PoolSpace> {
        let mut pools: BTreeMap<PoolId, PoolSpace> = BTreeMap::new();
        for (row, objects) in &self.rows {
            let (Coll::Pg(pg) | Coll::Temp(pg)) = row else { continue };
            for space in objects.values().map(|o| o.space()).filter(|s| s.allocated > 0) {
                let pool = pools.entry(pg.pgid.pool).or_default();
                pool.allocated += space.allocated;
                pool.stored += space.stored;
            }
        }
        pools
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
        let object = self.object(coll, oid);
        if object.is_some_and(|o| o.spoiled) {
            return Err(ReadError::Io { coll, oid: Box::new(oid.clone()), off, why: "bad checksum".into() });
        }
        Ok(object.map(|o| o.read(off, len)))
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
        Ok(self.omap_of(coll, oid)?.map(|o| o.omap_header.clone()).unwrap_or_default())
    }

    fn omap_values(&self, coll: Coll, oid: &GHObject, keys: &[ByteStr]) -> Result<BTreeMap<ByteStr, Bytes>, ReadError> {
        let Some(o) = self.omap_of(coll, oid)? else { return Ok(BTreeMap::new()) };
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
        let Some(o) = self.omap_of(coll, oid)? else { return Ok((Vec::new(), false)) };
        let mut rest = o.omap.range::<[u8], _>((after.map_or(Unbounded, Excluded), Unbounded));
        let page = rest.by_ref().take(max).map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok((page, rest.next().is_some()))
    }

    fn list(&self, coll: Coll, from: &GHObject, max: usize) -> Result<(Vec<GHObject>, Option<GHObject>), ReadError> {
        let Some((bits, objects)) = self.colls.get(&coll).zip(self.rows.get(&row(coll))) else {
            return Ok((Vec::new(), None));
        };
        let (first, end) = coll.bounds(*bits);
        let first = first.max(from.clone()).min(end.clone());
        let mut rest = objects.range(first..end);
        let page = rest.by_ref().take(max).map(|(oid, _)| oid.clone()).collect();
        Ok((page, rest.next().map(|(oid, _)| oid.clone())))
    }
}
