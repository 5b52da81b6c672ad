//! Where the log is kept: one object of the meta collection, its omap holding the hard state under
//! `hard` and each entry under `e` and its index in 16 hex digits.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{ByteStr, DecodeError, from_bytes, to_bytes};
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use types::{GHObject, HObject};

use crate::{Entry, HardState, Index, Persist, Restored};

const HARD: &str = "hard";
const READ_STEP: usize = 256;

/// Why the log in a store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("reading the monitor's log")]
    Read(#[from] ReadError),
    #[error("the monitor's log holds what it cannot hold, at key {key}")]
    Decode {
        key: String,
        #[source]
        source: DecodeError,
    },
    #[error("the monitor's log has a gap: entry {found} follows {last}")]
    Gap { last: Index, found: Index },
}

/// The object that holds the log.
pub fn object() -> GHObject {
    let hobj = HObject { oid: "mon_log".into(), pool: -1, snap: types::SNAP_HEAD, ..HObject::default() };
    GHObject::from(hobj)
}

fn entry_key(index: Index) -> ByteStr {
    format!("e{index:016x}").into()
}

/// The transaction that does what `persist` asks, but for [`Persist::install`], which is the owner's: it
/// belongs into the same transaction.
pub fn transaction(persist: &Persist) -> Transaction {
    let (coll, mut txn) = (Coll::Meta, Transaction::new());
    if let Some(from) = persist.truncate {
        let (first, last) = (entry_key(from), entry_key(Index::MAX));
        txn.push(TxOp::OmapRmRange { coll, oid: object(), first, last });
    }
    let mut keys: BTreeMap<ByteStr, Bytes> =
        persist.entries.iter().map(|e| (entry_key(e.index), to_bytes(e, 0))).collect();
    if let Some(hard) = &persist.hard {
        keys.insert(HARD.into(), to_bytes(hard, 0));
    }
    txn.push(TxOp::OmapSet { coll, oid: object(), keys });
    if let Some((from, to)) = persist.forget {
        let (first, last) = (entry_key(from + 1), entry_key(to + 1));
        txn.push(TxOp::OmapRmRange { coll, oid: object(), first, last });
    }
    txn
}

/// Reads the log back.
///
/// # Errors
/// If the store cannot read, or holds what [`transaction`] never writes.
pub fn load(store: &dyn ObjectRead) -> Result<Restored, LoadError> {
    let (coll, oid) = (Coll::Meta, object());
    let mut restored = Restored::default();
    if !store.collection_exists(coll) || store.stat(coll, &oid)?.is_none() {
        return Ok(restored);
    }
    let mut after: Option<ByteStr> = None;
    loop {
        let (page, more) = store.omap_range(coll, &oid, after.as_ref().map(ByteStr::as_bytes), READ_STEP)?;
        for (key, value) in &page {
            take(&mut restored, key, value.clone())?;
        }
        after = page.last().map(|(key, _)| key.clone());
        if !more || after.is_none() {
            break;
        }
    }
    let mut last = restored.hard.snapshot.index;
    for e in &restored.entries {
        if e.index != last + 1 {
            return Err(LoadError::Gap { last, found: e.index });
        }
        last = e.index;
    }
    Ok(restored)
}

fn take(restored: &mut Restored, key: &ByteStr, value: Bytes) -> Result<(), LoadError> {
    let wrong = |source| LoadError::Decode { key: key.to_string_lossy().into_owned(), source };
    if key == HARD {
        restored.hard = from_bytes::<HardState>(value).map_err(wrong)?;
    } else {
        restored.entries.push(from_bytes::<Entry>(value).map_err(wrong)?);
    }
    Ok(())
}
