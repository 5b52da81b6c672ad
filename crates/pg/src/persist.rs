//! How a PG keeps itself in the store: keys of its collection's pgmeta object, changed in the same
//! transaction as the objects they speak of.
//!
//! | key | value |
//! |---|---|
//! | `_info` | `pg_info_t` |
//! | `_fastinfo` | `pg_fast_info_t`: what a write changes of it; counts if its version is newer |
//! | `_biginfo` | `past_intervals` |
//! | `_epoch` | the map epoch at which the PG stands (u32) |
//! | `_deleting` | nothing; this copy is on its way out, and what is left of it is of no use |
//! | `EPOCH.VERSION` | a log entry |
//! | `dup_EPOCH.VERSION/REQUEST` | what is left of a trimmed one |
//! | `missing/OBJECT` | the object (`hobject_t`) and a `pg_missing_item`; OBJECT is its encoding, so unique |
//!
//! (Ceph: PG::_prepare_write_info, PGLog::write_log_and_missing; the missing keys differ in their names.)

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, Decode, Decoder, Encoder, to_bytes};
use os::{Coll, ObjectRead, Transaction, TxOp};
use types::{
    Epoch, GHObject, HObject, LogDup, LogEntry, MissingItem, PastIntervals, PgFastInfo, PgInfo, SpgId, features,
};

use crate::log::{PgLog, dup_key, entry_key};
use crate::missing::Missing;
use crate::pg::LoadError;

const INFO: &str = "_info";
const FAST_INFO: &str = "_fastinfo";
const BIG_INFO: &str = "_biginfo";
const EPOCH: &str = "_epoch";
const DELETING: &str = "_deleting";
const DUP_PREFIX: &[u8] = b"dup_";
const MISSING_PREFIX: &[u8] = b"missing/";

/// How many keys are read at a time.
const PAGE: usize = 1024;

/// What has changed and is to go with the next transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Only what [`PgFastInfo`] holds.
    pub fast: bool,
    pub info: bool,
    /// Past intervals.
    pub big: bool,
    /// The map epoch.
    pub epoch: bool,
}

/// What is written.
pub struct Parts<'a> {
    pub id: SpgId,
    pub epoch: Epoch,
    pub info: &'a PgInfo,
    pub past: &'a PastIntervals,
    pub log: &'a mut PgLog,
    pub missing: &'a mut Missing,
}

fn pgmeta(id: SpgId) -> (Coll, GHObject) {
    (Coll::Pg(id), GHObject::pgmeta(id.pgid))
}

fn encode_pair(soid: &HObject, item: &MissingItem) -> Bytes {
    let mut e = Encoder::new(features::ALL);
    e.put(soid);
    e.put(item);
    e.finish()
}

fn missing_key(soid: &HObject) -> ByteStr {
    let mut key = MISSING_PREFIX.to_vec();
    key.extend_from_slice(&to_bytes(soid, features::ALL));
    key.into()
}

/// Appends to `txn` what has changed.
pub fn write(dirty: Dirty, parts: Parts<'_>, txn: &mut Transaction) {
    let mut set: BTreeMap<ByteStr, Bytes> = BTreeMap::new();
    let mut remove: Vec<ByteStr> = Vec::new();
    if dirty.info || dirty.big {
        set.insert(INFO.into(), to_bytes(parts.info, features::ALL));
        remove.push(FAST_INFO.into());
    } else if dirty.fast {
        set.insert(FAST_INFO.into(), to_bytes(&PgFastInfo::from(parts.info), features::ALL));
    }
    if dirty.big {
        set.insert(BIG_INFO.into(), to_bytes(parts.past, features::ALL));
    }
    if dirty.epoch || dirty.info || dirty.big {
        set.insert(EPOCH.into(), to_bytes(&parts.epoch, features::ALL));
    }
    let changes = parts.log.take_changes();
    set.extend(changes.set.iter().map(|e| (entry_key(e.version), to_bytes(*e, features::ALL))));
    set.extend(changes.set_dups.iter().map(|d| (dup_key((d.version, d.reqid)), to_bytes(*d, features::ALL))));
    remove.extend(changes.remove);
    let (missing, found) = parts.missing.take_changes();
    set.extend(missing.into_iter().map(|(soid, item)| (missing_key(soid), encode_pair(soid, item))));
    remove.extend(found.iter().map(missing_key));

    let (coll, oid) = pgmeta(parts.id);
    if !remove.is_empty() {
        txn.push(TxOp::OmapRm { coll, oid: oid.clone(), keys: remove });
    }
    if !set.is_empty() {
        txn.push(TxOp::OmapSet { coll, oid, keys: set });
    }
}

/// Notes that the copy is being deleted, so that a crash does not make it look whole.
pub fn mark_deleting(id: SpgId, txn: &mut Transaction) {
    let (coll, oid) = pgmeta(id);
    txn.push(TxOp::OmapSet { coll, oid, keys: [(DELETING.into(), Bytes::new())].into() });
}

/// The copy is whole, and counts from now on.
pub fn unmark_deleting(id: SpgId, txn: &mut Transaction) {
    let (coll, oid) = pgmeta(id);
    txn.push(TxOp::OmapRm { coll, oid, keys: vec![DELETING.into()] });
}

/// Notes only where the PG stands.
pub fn write_epoch(id: SpgId, epoch: Epoch, txn: &mut Transaction) {
    let (coll, oid) = pgmeta(id);
    txn.push(TxOp::OmapSet { coll, oid, keys: [(EPOCH.into(), to_bytes(&epoch, features::ALL))].into() });
}

/// What was stored.
#[derive(Debug)]
pub struct Stored {
    pub deleting: bool,
    pub epoch: Epoch,
    pub info: PgInfo,
    pub past: PastIntervals,
    pub log: PgLog,
    pub missing: Missing,
}

pub fn read_epoch(id: SpgId, store: &dyn ObjectRead) -> Result<Epoch, LoadError> {
    let (coll, oid) = pgmeta(id);
    let found = store.omap_values(coll, &oid, &[EPOCH.into()]).map_err(|e| LoadError::Read(id, e))?;
    let raw = found.into_values().next().ok_or(LoadError::Corrupt(id, EPOCH))?;
    decode(id, EPOCH, raw)
}

fn decode<T: Decode>(id: SpgId, what: &'static str, raw: Bytes) -> Result<T, LoadError> {
    denc::from_bytes(raw).map_err(|_| LoadError::Corrupt(id, what))
}

fn decode_pair(id: SpgId, raw: Bytes) -> Result<(HObject, MissingItem), LoadError> {
    let mut d = Decoder::new(raw);
    let pair = d.get::<(HObject, MissingItem)>();
    pair.map_err(|_| LoadError::Corrupt(id, "a missing item"))
}

pub fn read(id: SpgId, store: &dyn ObjectRead) -> Result<Stored, LoadError> {
    let (coll, oid) = pgmeta(id);
    let mut named: BTreeMap<ByteStr, Bytes> = BTreeMap::new();
    let (mut entries, mut dups, mut missing) = (Vec::<LogEntry>::new(), Vec::<LogDup>::new(), BTreeMap::new());
    let mut after: Option<ByteStr> = None;
    loop {
        let page = store.omap_range(coll, &oid, after.as_ref().map(ByteStr::as_bytes), PAGE);
        let (pairs, more) = page.map_err(|e| LoadError::Read(id, e))?;
        after = pairs.last().map(|(k, _)| k.clone());
        for (key, value) in pairs {
            match key.as_bytes() {
                k if k.starts_with(b"_") => {
                    named.insert(key, value);
                }
                k if k.starts_with(DUP_PREFIX) => dups.push(decode(id, "a dup", value)?),
                k if k.starts_with(MISSING_PREFIX) => {
                    let (soid, item) = decode_pair(id, value)?;
                    missing.insert(soid, item);
                }
                _ => entries.push(decode(id, "a log entry", value)?),
            }
        }
        if !more {
            break;
        }
    }
    let deleting = named.contains_key(DELETING.as_bytes());
    let mut take = |key: &'static str| named.remove(key.as_bytes()).ok_or(LoadError::Corrupt(id, key));
    let mut info: PgInfo = decode(id, INFO, take(INFO)?)?;
    if let Ok(raw) = take(FAST_INFO) {
        decode::<PgFastInfo>(id, FAST_INFO, raw)?.apply_to(&mut info);
    }
    let past = decode(id, BIG_INFO, take(BIG_INFO)?)?;
    let epoch = decode(id, EPOCH, take(EPOCH)?)?;
    let sorted = entries.iter().zip(entries.iter().skip(1)).all(|(a, b)| a.version < b.version);
    let inside = entries.first().is_none_or(|e| e.version > info.log_tail);
    let ends = entries.last().is_none_or(|e| e.version <= info.last_update);
    if !(sorted && inside && ends) {
        return Err(LoadError::Corrupt(id, "the log"));
    }
    let log = PgLog::new(info.log_tail, info.last_update, entries, dups);
    Ok(Stored { deleting, epoch, info, past, log, missing: Missing::from_items(missing) })
}
