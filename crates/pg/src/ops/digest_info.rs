//! Digests that a scrub found go into an object's info: nothing else of the object changes, nor does the version
//! that users see, nor its time.

use denc::to_bytes;
use os::{ReadError, Transaction, TxOp};
use types::{HObject, LogEntry, LogOp, ObjectModDesc, ObjectStatSum, UTime, features};

use super::exec::OI_NAME;
use super::{OpEnv, WriteSet};

/// `None` if the object is gone. The PG holds the lock of its head.
///
/// # Errors
/// If its info cannot be read.
pub fn record_digests(
    env: &mut OpEnv,
    soid: &HObject,
    data: Option<u32>,
    omap: Option<u32>,
) -> Result<Option<Box<WriteSet>>, ReadError> {
    let (store, coll, version) = (env.store, env.coll(), env.next_version);
    let mut context = env.contexts.load(store, coll, soid)?.clone();
    if !context.obs.exists {
        return Ok(None);
    }
    let prior_version = context.obs.oi.version;
    let mut entry = LogEntry {
        op: LogOp::Modify,
        soid: soid.clone(),
        version,
        prior_version,
        mtime: UTime::ZERO,
        mod_desc: ObjectModDesc::unrollbackable(),
        ..LogEntry::default()
    };
    if soid.is_snap() {
        // The index of clones follows the log: it must not lose this one.
        let head = env.contexts.load(store, coll, &soid.head())?;
        let Some(snaps) = head.ssc.clone_snaps.get(&soid.snap) else { return Ok(None) };
        entry.set_snaps(snaps);
    }
    let oi = &mut context.obs.oi;
    (oi.prior_version, oi.version) = (prior_version, version);
    if let Some(crc) = data {
        oi.set_data_digest(crc);
    }
    if let Some(crc) = omap {
        oi.set_omap_digest(crc);
    }
    let attrs = [(OI_NAME.clone(), to_bytes(oi, features::ALL))].into();
    let mut txn = Transaction::new();
    txn.push(TxOp::SetAttrs { coll, oid: soid.clone().into(), attrs });
    Ok(Some(Box::new(WriteSet {
        txn,
        log: vec![entry],
        contexts: vec![context],
        stats: ObjectStatSum::default(),
        reply: None,
        effects: None,
    })))
}
