//! The maps that this OSD holds, and its superblock.
//!
//! Every epoch is kept twice: the whole map, and the incremental that led to it, for peers and clients
//! that are a few epochs behind. Both, and the superblock that names the range, are written in one
//! transaction before anything that rests on them, and the store keeps the order.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use denc::{Decoder, from_bytes, to_bytes};
use messages::{MOSDMap, OsdSuperblock};
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use osdmap::{Incremental, OsdMap};
use types::{Epoch, GHObject, HObject, OsdId, Uuid, features};

/// Decoded maps kept in memory.
const CACHE_MAX: usize = 64;
/// Encoded maps kept in memory: what peers and clients lack is mostly the newest, and what was submitted in this
/// very call cannot be read yet.
const RECENT_MAX: usize = 16;
/// Ceph: `osd_map_share_max_epochs`.
const SHARE_MAX: u32 = 40;

/// Why the OSD cannot use what it was sent or has stored.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    #[error("reading {what} from the store")]
    Read {
        what: String,
        #[source]
        source: ReadError,
    },
    #[error("{what} does not decode: {source}")]
    Decode { what: String, source: denc::DecodeError },
    #[error("{0} is missing in the store")]
    Missing(String),
    #[error("incremental {epoch} does not fit on our map {on}: {why}")]
    Apply { epoch: Epoch, on: Epoch, why: String },
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Maps {
    pub superblock: OsdSuperblock,
    current: Arc<OsdMap>,
    cache: BTreeMap<Epoch, Arc<OsdMap>>,
    /// The newest epochs as they came: the whole map, and the incremental that led to it.
    recent: BTreeMap<Epoch, (Bytes, Option<Bytes>)>,
}

fn meta_object(name: &str) -> GHObject {
    let hash = name.bytes().fold(0u32, |h, b| h.rotate_left(5) ^ u32::from(b));
    HObject { oid: name.into(), pool: -1, hash, ..HObject::default() }.into()
}

fn superblock_object() -> GHObject {
    meta_object("osd_superblock")
}

pub(crate) fn full_object(epoch: Epoch) -> GHObject {
    meta_object(&format!("osdmap.{epoch}"))
}

fn inc_object(epoch: Epoch) -> GHObject {
    meta_object(&format!("inc_osdmap.{epoch}"))
}

pub(crate) fn read_whole(store: &dyn ObjectRead, oid: &GHObject) -> Result<Option<Bytes>, MapError> {
    store
        .read(Coll::Meta, oid, 0, u64::from(u32::MAX))
        .map_err(|source| MapError::Read { what: oid.hobj.oid.to_string(), source })
}

pub(crate) fn write_whole(txn: &mut Transaction, oid: GHObject, data: Bytes) {
    txn.push(TxOp::Truncate { coll: Coll::Meta, oid: oid.clone(), size: 0 });
    txn.push(TxOp::Write { coll: Coll::Meta, oid, off: 0, data, fadvise: 0 });
}

impl Maps {
    /// What a store holds; `None` if it was never made an OSD's.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn load(store: &dyn ObjectRead) -> Result<Option<Self>, MapError> {
        if !store.collection_exists(Coll::Meta) {
            return Ok(None);
        }
        let Some(raw) = read_whole(store, &superblock_object())? else { return Ok(None) };
        let superblock: OsdSuperblock =
            from_bytes(raw).map_err(|source| MapError::Decode { what: "the superblock".into(), source })?;
        let mut maps = Self { superblock, current: Arc::default(), cache: BTreeMap::new(), recent: BTreeMap::new() };
        if maps.superblock.current_epoch > 0 {
            maps.current = maps.get(store, maps.superblock.current_epoch)?;
        }
        Ok(Some(maps))
    }

    /// Makes an empty store this OSD's.
    pub fn mkfs(whoami: OsdId, cluster_fsid: Uuid, osd_fsid: Uuid) -> (Self, Transaction) {
        let superblock = OsdSuperblock { cluster_fsid, whoami, osd_fsid, weight: 1.0, ..OsdSuperblock::default() };
        let maps = Self { superblock, current: Arc::default(), cache: BTreeMap::new(), recent: BTreeMap::new() };
        let mut txn = Transaction::new();
        txn.push(TxOp::MkColl { coll: Coll::Meta, bits: 0 });
        maps.write_superblock(&mut txn);
        (maps, txn)
    }

    pub fn write_superblock(&self, txn: &mut Transaction) {
        write_whole(txn, superblock_object(), to_bytes(&self.superblock, features::ALL));
    }

    /// The newest epochs, as they came: how many, and their bytes.
    pub fn memory(&self) -> (usize, usize) {
        let bytes = |(map, inc): &(Bytes, Option<Bytes>)| map.len() + inc.as_ref().map_or(0, Bytes::len);
        (self.recent.len(), self.recent.values().map(bytes).sum())
    }

    pub fn current(&self) -> &Arc<OsdMap> {
        &self.current
    }

    pub fn epoch(&self) -> Epoch {
        self.current.epoch
    }

    /// The map of an epoch that we hold.
    ///
    /// # Errors
    /// If it is not there or damaged.
    pub fn get(&mut self, store: &dyn ObjectRead, epoch: Epoch) -> Result<Arc<OsdMap>, MapError> {
        if let Some(map) = self.peek(epoch) {
            return Ok(map);
        }
        let map = Arc::new(Self::read(store, epoch)?);
        self.remember(map.clone());
        Ok(map)
    }

    /// The map of an epoch, if it is at hand.
    pub fn peek(&self, epoch: Epoch) -> Option<Arc<OsdMap>> {
        if self.current.epoch == epoch { Some(self.current.clone()) } else { self.cache.get(&epoch).cloned() }
    }

    /// Reads and decodes a stored map.
    ///
    /// # Errors
    /// If it is not there or damaged.
    pub fn read(store: &dyn ObjectRead, epoch: Epoch) -> Result<OsdMap, MapError> {
        let what = || format!("osdmap.{epoch}");
        let raw = read_whole(store, &full_object(epoch))?.ok_or_else(|| MapError::Missing(what()))?;
        decode_map(raw).map_err(|source| MapError::Decode { what: what(), source })
    }

    fn remember(&mut self, map: Arc<OsdMap>) {
        self.cache.insert(map.epoch, map);
        while self.cache.len() > CACHE_MAX {
            self.cache.pop_first();
        }
    }

    /// Takes the maps of a message that follow ours. Gives the new ones in order and the transaction
    /// that keeps them; none if there is nothing new or a gap. `may_leap`: a gap whose far side is a whole map is
    /// leapt over.
    ///
    /// # Errors
    /// If one of them does not decode or fit: nothing is changed then.
    pub fn absorb(&mut self, m: &MOSDMap, may_leap: bool) -> Result<Absorbed, MapError> {
        let (Some(first), Some(last)) = (m.first(), m.last()) else { return Ok(Absorbed::default()) };
        let ours = self.epoch();
        if last <= ours {
            return Ok(Absorbed::default());
        }
        let mut next = ours + 1;
        if first > next {
            if !may_leap || !m.maps.contains_key(&first) {
                return Ok(Absorbed { gap: true, ..Absorbed::default() });
            }
            next = first;
        }
        let mut taken = Absorbed::default();
        let mut encoded = Vec::new();
        let mut map = self.current.clone();
        for epoch in next..=last {
            let (new, full, inc) = one_map(&map, epoch, m)?;
            if let Some(inc) = &inc {
                write_whole(&mut taken.txn, inc_object(epoch), inc.clone());
            }
            write_whole(&mut taken.txn, full_object(epoch), full.clone());
            encoded.push((epoch, (full, inc)));
            map = Arc::new(new);
            taken.maps.push(map.clone());
        }
        if self.superblock.oldest_map == 0 || next > ours + 1 {
            self.superblock.oldest_map = next;
        }
        self.superblock.newest_map = last;
        self.superblock.current_epoch = last;
        self.write_superblock(&mut taken.txn);
        for map in &taken.maps {
            self.remember(map.clone());
        }
        self.recent.extend(encoded);
        while self.recent.len() > RECENT_MAX {
            self.recent.pop_first();
        }
        self.current = map;
        Ok(taken)
    }

    /// Forgets maps before `bound`, some at a time.
    pub fn trim(&mut self, bound: Epoch) -> Option<Transaction> {
        const AT_ONCE: u32 = 30;
        let oldest = self.superblock.oldest_map;
        let end = bound.min(self.epoch()).min(oldest + AT_ONCE);
        if oldest == 0 || end <= oldest {
            return None;
        }
        let mut txn = Transaction::new();
        for epoch in oldest..end {
            txn.push(TxOp::Remove { coll: Coll::Meta, oid: full_object(epoch) });
            txn.push(TxOp::Remove { coll: Coll::Meta, oid: inc_object(epoch) });
        }
        self.superblock.oldest_map = end;
        self.write_superblock(&mut txn);
        Some(txn)
    }

    /// What one who has epoch `since` lacks: incrementals, or the newest map where they are gone or too many. The
    /// monitors have maps from `oldest` on.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn share(&self, store: &dyn ObjectRead, since: Epoch, oldest: Epoch) -> Result<MOSDMap, MapError> {
        let mut m = MOSDMap {
            fsid: self.superblock.cluster_fsid,
            oldest_map: oldest,
            newest_map: self.superblock.newest_map,
            ..MOSDMap::default()
        };
        let newest = self.epoch();
        let from = since + 1;
        // One who is far behind gets the newest one whole, and it alone: of a message with both, the kernel's client
        // leaves out the increments. An OSD asks the monitors for those between.
        if since == 0 || from < self.superblock.oldest_map || newest - since > SHARE_MAX {
            let whole = self.whole(store, newest)?.ok_or_else(|| MapError::Missing(format!("osdmap.{newest}")))?;
            m.maps.insert(newest, whole);
            return Ok(m);
        }
        for epoch in from..=newest {
            match self.incremental(store, epoch)? {
                Some(inc) => m.incremental_maps.insert(epoch, inc),
                None => match self.whole(store, epoch)? {
                    Some(full) => m.maps.insert(epoch, full),
                    None => return Err(MapError::Missing(format!("osdmap.{epoch}"))),
                },
            };
        }
        Ok(m)
    }

    fn whole(&self, store: &dyn ObjectRead, epoch: Epoch) -> Result<Option<Bytes>, MapError> {
        match self.recent.get(&epoch) {
            Some((full, _)) => Ok(Some(full.clone())),
            None => read_whole(store, &full_object(epoch)),
        }
    }

    fn incremental(&self, store: &dyn ObjectRead, epoch: Epoch) -> Result<Option<Bytes>, MapError> {
        match self.recent.get(&epoch) {
            Some((_, inc)) => Ok(inc.clone()),
            None => read_whole(store, &inc_object(epoch)),
        }
    }
}

/// What [`Maps::absorb`] took.
#[derive(Debug, Default)]
pub struct Absorbed {
    /// In order of their epochs.
    pub maps: Vec<Arc<OsdMap>>,
    pub txn: Transaction,
    /// Epochs are missing between ours and the message's.
    pub gap: bool,
}

pub(crate) fn decode_map(raw: Bytes) -> Result<OsdMap, denc::DecodeError> {
    Decoder::new(raw).get::<OsdMap>()
}

/// The map of `epoch` from a message: whole if it is there, else the incremental on the map before.
fn one_map(before: &OsdMap, epoch: Epoch, m: &MOSDMap) -> Result<(OsdMap, Bytes, Option<Bytes>), MapError> {
    let inc_raw = m.incremental_maps.get(&epoch).cloned();
    if let Some(full) = m.maps.get(&epoch) {
        let map =
            decode_map(full.clone()).map_err(|source| MapError::Decode { what: format!("osdmap.{epoch}"), source })?;
        return Ok((map, full.clone(), inc_raw));
    }
    let raw = inc_raw.ok_or_else(|| MapError::Missing(format!("inc_osdmap.{epoch}")))?;
    let inc: Incremental = Decoder::new(raw.clone())
        .get()
        .map_err(|source| MapError::Decode { what: format!("inc_osdmap.{epoch}"), source })?;
    let mut map = before.clone();
    map.apply(&inc).map_err(|e| MapError::Apply { epoch, on: before.epoch, why: e.to_string() })?;
    let full = map.encode_canonical();
    Ok((map, full, Some(raw)))
}

#[cfg(test)]
mod tests {
    use os::MemStore;

    use super::*;

    fn message(maps: impl IntoIterator<Item = (Epoch, Bytes)>) -> MOSDMap {
        MOSDMap { maps: maps.into_iter().collect(), ..MOSDMap::default() }
    }

    #[test]
    fn epochs_are_leapt_over_only_by_leave() {
        let map = |epoch| {
            let mut map = OsdMap::default();
            map.epoch = epoch;
            map.encode_canonical()
        };
        let mut maps = Maps::mkfs(0, Uuid::default(), Uuid::default()).0;
        assert_eq!(maps.absorb(&message([(3, map(3))]), true).unwrap().maps.len(), 1);
        let later = message([(60, map(60)), (61, map(61))]);
        assert!(maps.absorb(&later, false).unwrap().gap);
        assert_eq!((maps.epoch(), maps.superblock.oldest_map), (3, 3));
        assert_eq!(maps.absorb(&later, true).unwrap().maps.len(), 2);
        assert_eq!((maps.epoch(), maps.superblock.oldest_map), (61, 60));
        // What is told of the oldest one is the monitors' word, not where this OSD happens to begin.
        assert_eq!(maps.share(&MemStore::default(), 60, 2).unwrap().oldest_map, 2);
        let for_the_late = maps.share(&MemStore::default(), 3, 2).unwrap();
        assert!(for_the_late.maps.keys().eq([&61]) && for_the_late.incremental_maps.is_empty());
    }
}
