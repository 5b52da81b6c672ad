//! Digests that a scrub found go into an object's info, or a snapset is written anew: nothing else of the object
//! changes, nor does the version that users see, nor its time.

use denc::to_bytes;
use os::{ReadError, Transaction, TxOp};
use types::{HObject, LogEntry, LogOp, ObjectInfo, ObjectModDesc, ObjectStatSum, SnapSet, UTime, features};

use super::exec::{OI_NAME, SS_NAME};
use super::{OpEnv, WriteSet};
use crate::scrub::Measure;

/// What a scrub knows of an object whose copies are alike. `None` if the object is gone. The PG holds the lock of its
/// head.
///
/// # Errors
/// If its info cannot be read.
pub fn record_digests(
    env: &mut OpEnv,
    soid: &HObject,
    data: Option<u32>,
    omap: Option<u32>,
) -> Result<Option<Box<WriteSet>>, ReadError> {
    record(env, soid, |oi| {
        if let Some(crc) = data {
            oi.set_data_digest(crc);
        }
        if let Some(crc) = omap {
            oi.set_omap_digest(crc);
        }
    })
}

/// What an object is whose info may say otherwise. `None` if it is gone. The PG holds the lock of its head.
///
/// # Errors
/// If its info cannot be read.
pub fn record_measure(env: &mut OpEnv, soid: &HObject, found: &Measure) -> Result<Option<Box<WriteSet>>, ReadError> {
    let mut grown = 0;
    let written = record(env, soid, |oi| {
        grown = found.size.cast_signed() - oi.size.cast_signed();
        oi.size = found.size;
        oi.clear_data_digest();
        oi.clear_omap_digest();
        if let Some(crc) = found.data {
            oi.set_data_digest(crc);
        }
        if let Some(crc) = found.omap {
            oi.set_omap_digest(crc);
        }
    });
    let mut ws = written?;
    // What a clone adds to the sums its head's snapset says.
    if let Some(ws) = ws.as_mut().filter(|_| soid.is_head()) {
        ws.stats.num_bytes = grown;
    }
    Ok(ws)
}

fn record(
    env: &mut OpEnv,
    soid: &HObject,
    change: impl FnOnce(&mut ObjectInfo),
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
    change(oi);
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

/// Writes what a head says of its clones anew. `None` if the object is gone. The PG holds the lock.
///
/// # Errors
/// If its info cannot be read.
pub fn record_snapset(env: &mut OpEnv, head: &HObject, snapset: SnapSet) -> Result<Option<Box<WriteSet>>, ReadError> {
    let Some(mut ws) = record_digests(env, head, None, None)? else { return Ok(None) };
    let attrs = [(SS_NAME.clone(), to_bytes(&snapset, features::ALL))].into();
    ws.txn.push(TxOp::SetAttrs { coll: env.coll(), oid: head.clone().into(), attrs });
    for context in &mut ws.contexts {
        context.ssc = snapset.clone();
    }
    Ok(Some(ws))
}
