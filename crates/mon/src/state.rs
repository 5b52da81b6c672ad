//! The replicated state: what all committed proposals have made.
//!
//! Small things are keys and values, kept in memory whole and in the omap of one object; OSD maps are
//! objects of their own, one full and one incremental an epoch. Applying an entry changes memory and
//! adds to a transaction which also moves `applied`; so after a crash the state is that of some
//! applied entry, and the log gives the rest again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use denc::{ByteStr, Decoder, Encode, Encoder, from_bytes, to_bytes};
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use osdmap::{Incremental, OsdMap};
use quorum::{Entry, Index, MemberId, Payload, Snapshot};
use types::{Epoch, GHObject, HObject, UTime};

use crate::change::{Change, Proposal, Space};

/// Keys of [`Space::Meta`].
pub mod meta {
    pub const FSID: &str = "fsid";
    /// Global ids below it may have been given out.
    pub const GLOBAL_ID_MAX: &str = "global_id_max";
    pub const MONMAP: &str = "monmap";
    pub const MGRMAP: &str = "mgrmap";
    pub const CONFIG_VERSION: &str = "config_version";
    pub const LOG_NEXT: &str = "log_next";
    pub const SERVICEMAP: &str = "servicemap";
    /// Each monitor's name and the number of its store.
    pub const MEMBERS: &str = "members";
    /// See `quorum_record.rs`.
    pub const QUORUM: &str = "quorum";
}

const APPLIED: &str = "applied";
const FIRST_MAP: &str = "osdmap_first";
/// This store's number in the log; not part of what is replicated.
const MEMBER: &str = "member";
const READ_STEP: usize = 512;
const SNAPSHOT_FORMAT: u8 = 1;
/// Encoded maps held in memory.
const CACHED_MAPS: usize = 64;

/// Why a store's state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("reading the monitor's state")]
    Read(#[from] ReadError),
    #[error("the monitor's state holds what it cannot hold: {what}")]
    Decode {
        what: String,
        #[source]
        source: denc::DecodeError,
    },
    #[error("the OSD map of epoch {0} is missing")]
    MapMissing(Epoch),
}

/// What an applied entry changed; subscribers are told by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    pub osdmap: bool,
    pub spaces: BTreeSet<Space>,
    pub keys: Vec<(Space, String)>,
}

/// See the file's documentation.
#[derive(Debug)]
pub struct State {
    pub applied: Index,
    /// Stamp of the last proposal.
    pub stamp: UTime,
    pub osdmap: Arc<OsdMap>,
    /// The oldest epoch whose map is kept.
    pub first_map: Epoch,
    /// This store's number in the log, if it has one.
    pub member: Option<MemberId>,
    kv: BTreeMap<Space, BTreeMap<String, Bytes>>,
    full: BTreeMap<Epoch, Bytes>,
    inc: BTreeMap<Epoch, Bytes>,
}

fn object(name: String) -> GHObject {
    GHObject::from(HObject { oid: name.into(), pool: -1, snap: types::SNAP_HEAD, ..HObject::default() })
}

fn kv_object() -> GHObject {
    object("mon_state".to_owned())
}

fn full_object(epoch: Epoch) -> GHObject {
    object(format!("osdmap.{epoch}"))
}

fn inc_object(epoch: Epoch) -> GHObject {
    object(format!("inc_osdmap.{epoch}"))
}

fn kv_key(space: Space, key: &str) -> ByteStr {
    format!("{}/{key}", space.as_str()).into()
}

impl Default for State {
    fn default() -> Self {
        Self {
            applied: 0,
            stamp: UTime::ZERO,
            osdmap: Arc::new(OsdMap::default()),
            first_map: 0,
            member: None,
            kv: BTreeMap::new(),
            full: BTreeMap::new(),
            inc: BTreeMap::new(),
        }
    }
}

impl State {
    /// Reads the state back; an empty store gives the empty state.
    ///
    /// # Errors
    /// If the store cannot read, or holds what [`State::apply`] never writes.
    pub fn load(store: &dyn ObjectRead) -> Result<Self, LoadError> {
        let mut state = Self::default();
        if !store.collection_exists(Coll::Meta) || store.stat(Coll::Meta, &kv_object())?.is_none() {
            return Ok(state);
        }
        let mut epoch: Epoch = 0;
        let mut after: Option<ByteStr> = None;
        loop {
            let (page, more) =
                store.omap_range(Coll::Meta, &kv_object(), after.as_ref().map(ByteStr::as_bytes), READ_STEP)?;
            for (key, value) in &page {
                let key = key.to_string_lossy();
                let wrong = |source| LoadError::Decode { what: key.to_string(), source };
                match &*key {
                    APPLIED => (state.applied, state.stamp, epoch) = from_triple(value.clone()).map_err(wrong)?,
                    MEMBER => state.member = Some(from_bytes(value.clone()).map_err(wrong)?),
                    FIRST_MAP => state.first_map = from_bytes(value.clone()).map_err(wrong)?,
                    _ => state.take(&key, value.clone()),
                }
            }
            after = page.last().map(|(key, _)| key.clone());
            if !more || after.is_none() {
                break;
            }
        }
        if epoch > 0 {
            let bytes = state.full_map(store, epoch)?.ok_or(LoadError::MapMissing(epoch))?;
            let map = denc::from_bytes::<OsdMap>(bytes)
                .map_err(|source| LoadError::Decode { what: format!("OSD map {epoch}"), source })?;
            state.osdmap = Arc::new(map);
        }
        Ok(state)
    }

    fn take(&mut self, key: &str, value: Bytes) {
        let Some((space, key)) = key.split_once('/') else { return };
        if let Some(space) = Space::ALL.into_iter().find(|s| s.as_str() == space) {
            self.kv.entry(space).or_default().insert(key.to_owned(), value);
        }
    }

    pub fn get(&self, space: Space, key: &str) -> Option<&Bytes> {
        self.kv.get(&space)?.get(key)
    }

    /// A value in our own encoding; `None` if it is not there (or not readable, which no writer of
    /// ours makes).
    pub fn value<T: denc::Decode>(&self, space: Space, key: &str) -> Option<T> {
        from_bytes(self.get(space, key)?.clone()).ok()
    }

    pub fn text(&self, space: Space, key: &str) -> Option<&str> {
        std::str::from_utf8(self.get(space, key)?).ok()
    }

    pub fn space(&self, space: Space) -> impl DoubleEndedIterator<Item = (&String, &Bytes)> {
        self.kv.get(&space).into_iter().flatten()
    }

    /// What is kept in memory, by kind: how many items, and their bytes.
    pub fn memory(&self) -> [(&'static str, (usize, usize)); 2] {
        let kv = self.kv.values().flatten().fold((0, 0), |(n, bytes), (k, v)| (n + 1, bytes + k.len() + v.len()));
        let maps = self.full.values().chain(self.inc.values()).fold((0, 0), |(n, bytes), m| (n + 1, bytes + m.len()));
        [("mon_state", kv), ("osdmap", maps)]
    }

    /// The keys of a space that are not before `first`.
    pub fn space_from(&self, space: Space, first: &str) -> impl Iterator<Item = (&String, &Bytes)> {
        let from = (std::ops::Bound::Included(first), std::ops::Bound::Unbounded);
        self.kv.get(&space).into_iter().flat_map(move |keys| keys.range::<str, _>(from))
    }

    /// Whether nothing was ever applied.
    pub fn is_new(&self) -> bool {
        self.osdmap.epoch == 0
    }

    /// The full map of an epoch, encoded, if it is kept.
    ///
    /// # Errors
    /// If the store cannot read.
    pub fn full_map(&self, store: &dyn ObjectRead, epoch: Epoch) -> Result<Option<Bytes>, ReadError> {
        match self.full.get(&epoch) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => store.read(Coll::Meta, &full_object(epoch), 0, u64::MAX),
        }
    }

    /// The incremental that leads to an epoch, encoded, if it is kept.
    ///
    /// # Errors
    /// If the store cannot read.
    pub fn inc_map(&self, store: &dyn ObjectRead, epoch: Epoch) -> Result<Option<Bytes>, ReadError> {
        match self.inc.get(&epoch) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => store.read(Coll::Meta, &inc_object(epoch), 0, u64::MAX),
        }
    }

    /// Applies a committed entry, adding to `txn` what is to be kept.
    ///
    /// # Panics
    /// If the entry is not one that a leader of ours makes: then this member must not go on.
    pub fn apply(&mut self, entry: &Entry, txn: &mut Transaction) -> Effects {
        let mut effects = Effects::default();
        if let Payload::Data(data) = &entry.payload {
            let proposal: Proposal = from_bytes(data.clone()).expect("the log holds what a leader encoded");
            self.stamp = proposal.stamp;
            let mut puts = BTreeMap::new();
            for change in proposal.changes {
                self.apply_one(change, txn, &mut puts, &mut effects);
            }
            flush_puts(txn, &mut puts);
        }
        self.applied = entry.index;
        self.keep(txn, APPLIED, &((self.applied, self.stamp), self.osdmap.epoch));
        effects
    }

    fn apply_one(
        &mut self,
        change: Change,
        txn: &mut Transaction,
        puts: &mut BTreeMap<ByteStr, Bytes>,
        effects: &mut Effects,
    ) {
        match change {
            Change::Put { space, key, value } => {
                puts.insert(kv_key(space, &key), value.clone());
                effects.spaces.insert(space);
                effects.keys.push((space, key.clone()));
                self.kv.entry(space).or_default().insert(key, value);
            }
            Change::Rm { space, key } => {
                flush_puts(txn, puts);
                txn.push(TxOp::OmapRm { coll: Coll::Meta, oid: kv_object(), keys: vec![kv_key(space, &key)] });
                self.kv.entry(space).or_default().remove(&key);
                effects.spaces.insert(space);
                effects.keys.push((space, key));
            }
            Change::FirstOsdMap(bytes) => {
                let map = denc::from_bytes::<OsdMap>(bytes.clone()).expect("the leader encoded the first map");
                self.first_map = map.epoch;
                self.keep(txn, FIRST_MAP, &self.first_map);
                self.new_map(map, bytes, txn);
                effects.osdmap = true;
            }
            Change::OsdMapInc(bytes) => {
                let inc = denc::from_bytes::<Incremental>(bytes.clone()).expect("the leader encoded the incremental");
                // Two leaders may have proposed a successor of one map; only the first one counts.
                if inc.epoch != self.osdmap.epoch + 1 {
                    return;
                }
                let mut map = OsdMap::clone(&self.osdmap);
                map.apply(&inc).expect("the leader applied it before it proposed it");
                let full = map.encode_canonical();
                put_object(txn, inc_object(inc.epoch), bytes.clone());
                cache(&mut self.inc, inc.epoch, bytes);
                self.new_map(map, full, txn);
                effects.osdmap = true;
            }
            Change::TrimMaps(first) => self.trim(first, txn),
        }
    }

    fn new_map(&mut self, map: OsdMap, full: Bytes, txn: &mut Transaction) {
        put_object(txn, full_object(map.epoch), full.clone());
        cache(&mut self.full, map.epoch, full);
        self.osdmap = Arc::new(map);
    }

    /// Forgets the maps before `first`, but for the newest.
    fn trim(&mut self, first: Epoch, txn: &mut Transaction) {
        let first = first.min(self.osdmap.epoch);
        for epoch in self.first_map..first {
            txn.push(TxOp::Remove { coll: Coll::Meta, oid: full_object(epoch) });
            txn.push(TxOp::Remove { coll: Coll::Meta, oid: inc_object(epoch) });
        }
        self.first_map = self.first_map.max(first);
        self.keep(txn, FIRST_MAP, &self.first_map);
    }

    /// What an empty store gets to hold this state, as that of a monitor alone.
    pub fn write_new(
        txn: &mut Transaction,
        stamp: UTime,
        (first, newest): (Epoch, Epoch),
        keys: Vec<(Space, String, Bytes)>,
        full: impl Iterator<Item = (Epoch, Bytes)>,
        inc: impl Iterator<Item = (Epoch, Bytes)>,
    ) {
        full.for_each(|(epoch, bytes)| put_object(txn, full_object(epoch), bytes));
        inc.for_each(|(epoch, bytes)| put_object(txn, inc_object(epoch), bytes));
        let mut keys: BTreeMap<ByteStr, Bytes> =
            keys.into_iter().map(|(space, key, value)| (kv_key(space, &key), value)).collect();
        keys.insert(FIRST_MAP.into(), to_bytes(&first, 0));
        keys.insert(APPLIED.into(), to_bytes(&((0 as Index, stamp), newest), 0));
        txn.push(TxOp::OmapSet { coll: Coll::Meta, oid: kv_object(), keys });
        Self::keep_member(0, txn);
    }

    /// Writes down the store's number.
    pub fn keep_member(me: MemberId, txn: &mut Transaction) {
        let keys = [(MEMBER.into(), to_bytes(&me, 0))].into();
        txn.push(TxOp::OmapSet { coll: Coll::Meta, oid: kv_object(), keys });
    }

    /// All of it, for a monitor whom the log does not reach: the keys, the oldest map, and what followed.
    ///
    /// # Errors
    /// If the store cannot read, or a map is missing.
    pub fn snapshot(&self, store: &dyn ObjectRead) -> Result<Bytes, LoadError> {
        let mut e = Encoder::new(types::features::ALL);
        let newest = self.osdmap.epoch;
        e.u8(SNAPSHOT_FORMAT);
        e.put(&((self.applied, self.stamp), (self.first_map, newest)));
        let kv: BTreeMap<String, Bytes> = self
            .kv
            .iter()
            .flat_map(|(space, keys)| keys.iter().map(|(k, v)| (format!("{}/{k}", space.as_str()), v.clone())))
            .collect();
        e.put(&kv);
        if newest > 0 {
            let first = self.full_map(store, self.first_map)?.ok_or(LoadError::MapMissing(self.first_map))?;
            e.blob(&first);
            for epoch in self.first_map + 1..=newest {
                e.blob(&self.inc_map(store, epoch)?.ok_or(LoadError::MapMissing(epoch))?);
            }
        }
        Ok(e.finish())
    }

    /// Takes another monitor's state in place of this one; `txn` gets what that changes in the store.
    ///
    /// # Errors
    /// If [`State::snapshot`] did not write it; nothing was changed then.
    pub fn install(&mut self, snapshot: &Snapshot, txn: &mut Transaction) -> Result<(), LoadError> {
        let wrong = |source| LoadError::Decode { what: "a snapshot".to_owned(), source };
        let mut d = Decoder::new(snapshot.data.clone());
        let mut next = Self { member: self.member, ..Self::default() };
        let mut added = Transaction::new();
        next.fill(&mut d, &mut added).map_err(wrong)?;
        next.applied = snapshot.cut.index;
        for epoch in self.first_map..=self.osdmap.epoch {
            txn.push(TxOp::Remove { coll: Coll::Meta, oid: full_object(epoch) });
            txn.push(TxOp::Remove { coll: Coll::Meta, oid: inc_object(epoch) });
        }
        txn.push(TxOp::Remove { coll: Coll::Meta, oid: kv_object() });
        txn.ops.append(&mut added.ops);
        if let Some(me) = self.member {
            Self::keep_member(me, txn);
        }
        next.keep(txn, FIRST_MAP, &next.first_map);
        next.keep(txn, APPLIED, &((next.applied, next.stamp), next.osdmap.epoch));
        *self = next;
        Ok(())
    }

    fn fill(&mut self, d: &mut Decoder, txn: &mut Transaction) -> Result<(), denc::DecodeError> {
        let format = d.u8()?;
        if format != SNAPSHOT_FORMAT {
            return Err(denc::DecodeError::Invalid { what: "snapshot's format", value: format.into() });
        }
        let ((applied, stamp), (first, newest)) = d.get::<((Index, UTime), (Epoch, Epoch))>()?;
        (self.applied, self.stamp, self.first_map) = (applied, stamp, first);
        let kv: BTreeMap<String, Bytes> = d.get()?;
        let keys = kv.iter().map(|(k, v)| (ByteStr::from(k.as_str()), v.clone())).collect();
        txn.push(TxOp::OmapSet { coll: Coll::Meta, oid: kv_object(), keys });
        kv.into_iter().for_each(|(key, value)| self.take(&key, value));
        if newest == 0 {
            return Ok(());
        }
        let bytes = d.blob()?;
        self.new_map(from_bytes::<OsdMap>(bytes.clone())?, bytes, txn);
        for epoch in first.saturating_add(1)..=newest {
            let bytes = d.blob()?;
            let inc = from_bytes::<Incremental>(bytes.clone())?;
            let mut map = OsdMap::clone(&self.osdmap);
            if inc.epoch != epoch || map.apply(&inc).is_err() {
                return Err(denc::DecodeError::Invalid { what: "map in a snapshot", value: epoch.into() });
            }
            let full = map.encode_canonical();
            put_object(txn, inc_object(epoch), bytes.clone());
            cache(&mut self.inc, epoch, bytes);
            self.new_map(map, full, txn);
        }
        Ok(())
    }

    fn keep(&self, txn: &mut Transaction, key: &str, value: &impl Encode) {
        let keys = [(key.into(), to_bytes(value, 0))].into();
        txn.push(TxOp::OmapSet { coll: Coll::Meta, oid: kv_object(), keys });
    }
}

type Triple = (Index, UTime, Epoch);

fn from_triple(bytes: Bytes) -> Result<Triple, denc::DecodeError> {
    let ((applied, stamp), epoch) = from_bytes::<((Index, UTime), Epoch)>(bytes)?;
    Ok((applied, stamp, epoch))
}

fn flush_puts(txn: &mut Transaction, puts: &mut BTreeMap<ByteStr, Bytes>) {
    if !puts.is_empty() {
        txn.push(TxOp::OmapSet { coll: Coll::Meta, oid: kv_object(), keys: std::mem::take(puts) });
    }
}

fn put_object(txn: &mut Transaction, oid: GHObject, data: Bytes) {
    txn.push(TxOp::Write { coll: Coll::Meta, oid, off: 0, data, fadvise: 0 });
}

fn cache(maps: &mut BTreeMap<Epoch, Bytes>, epoch: Epoch, bytes: Bytes) {
    maps.insert(epoch, bytes);
    while maps.len() > CACHED_MAPS {
        maps.pop_first();
    }
}
