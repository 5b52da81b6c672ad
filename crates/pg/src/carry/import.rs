//! Writing an exported PG into a store, and removing a PG from one.

use std::io::Read;

use bytes::Bytes;
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use types::{EVersion, GHObject, HObject, SpgId};

use super::for_each_object;
use super::format::{FileError, Frame, Frames, Totals};
use crate::persist::{self, Dirty, Parts};
use crate::pg::LoadError;
use crate::snap_map::SnapMap;

/// A transaction is submitted once it has this much data or so many changes.
const TXN_BYTES: usize = 4 << 20;
const TXN_OPS: usize = 512;

/// Why a PG could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the store cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("the store refuses it: {0}")]
    Submit(String),
}

/// Takes a transaction, durably by the time that the import is said to be done; reads show it at once.
pub type Submit<'a> = dyn FnMut(Transaction) -> Result<(), String> + 'a;

/// Writes what `input` holds into the store, as a PG whose objects `bits` bits of the hash tell. That the PG may
/// come here, and that the file is whole, is proved already; `extra` goes with the first transaction.
///
/// # Errors
/// What is wrong with the file or the store. What was written by then is marked as of no use.
pub fn import(
    input: impl Read,
    store: &dyn ObjectRead,
    bits: u32,
    extra: Transaction,
    submit: &mut Submit<'_>,
) -> Result<Totals, ImportError> {
    let (mut frames, head) = Frames::new(input)?;
    let id = head.pgid;
    let coll = Coll::Pg(id);
    let mut importer = Importer { store, id, coll, txn: extra, bytes: 0, clones: SnapMap::default(), at: None, submit };
    importer.txn.push(TxOp::MkColl { coll, bits });
    // From the first moment on what is here is marked: mark and record are one transaction, before any object.
    persist::mark_deleting(id, &mut importer.txn);
    let mut left_out = Vec::new();
    let mut begun = false;
    while let Some(frame) = frames.next()? {
        if !begun && !matches!(frame, Frame::Record(_)) {
            importer.flush()?;
            begun = true;
        }
        let in_place = match frame {
            Frame::Record(keys) => {
                importer.txn.push(TxOp::OmapSet { coll, oid: GHObject::pgmeta(id.pgid), keys });
                !begun
            }
            Frame::LeftOut { oid, need } => {
                left_out.push((oid.hobj, need));
                true
            }
            Frame::Head(_) | Frame::End(_) => false,
            object => importer.object(object)?,
        };
        if !in_place {
            return Err(FileError::Misplaced(frames.last()).into());
        }
    }
    importer.flush()?;
    importer.finish(left_out)?;
    Ok(frames.totals())
}

struct Importer<'a, 'b> {
    store: &'a dyn ObjectRead,
    id: SpgId,
    coll: Coll,
    txn: Transaction,
    bytes: usize,
    clones: SnapMap,
    /// The object that data and omap belong to.
    at: Option<GHObject>,
    submit: &'a mut Submit<'b>,
}

impl Importer<'_, '_> {
    /// Takes a frame of an object; whether it may be here.
    fn object(&mut self, frame: Frame) -> Result<bool, ImportError> {
        let coll = self.coll;
        match frame {
            Frame::Object(o) => {
                let oid = o.oid;
                self.bytes += o.attrs.values().map(Bytes::len).sum::<usize>() + o.omap_header.len();
                self.txn.push(TxOp::Touch { coll, oid: oid.clone() });
                self.txn.push(TxOp::Truncate { coll, oid: oid.clone(), size: o.size });
                self.txn.push(TxOp::SetAttrs { coll, oid: oid.clone(), attrs: o.attrs });
                if !o.omap_header.is_empty() {
                    self.txn.push(TxOp::OmapSetHeader { coll, oid: oid.clone(), header: o.omap_header });
                }
                if oid.hobj.is_snap() {
                    self.clones.set(&oid.hobj, o.snaps);
                }
                self.at = Some(oid);
            }
            Frame::Data { off, data } => {
                let Some(oid) = self.at.clone() else { return Ok(false) };
                self.bytes += data.len();
                self.txn.push(TxOp::Write { coll, oid, off, data, fadvise: 0 });
            }
            Frame::Omap(keys) => {
                let Some(oid) = self.at.clone() else { return Ok(false) };
                self.bytes += keys.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
                self.txn.push(TxOp::OmapSet { coll, oid, keys });
            }
            _ => return Ok(false),
        }
        if self.bytes >= TXN_BYTES || self.txn.ops.len() >= TXN_OPS {
            self.flush()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        let mut txn = std::mem::take(&mut self.txn);
        std::mem::take(&mut self.clones).prepare(self.store, self.coll, &mut txn)?;
        self.bytes = 0;
        if txn.is_empty() { Ok(()) } else { (self.submit)(txn).map_err(ImportError::Submit) }
    }

    /// The copy counts from now on. It must read back as a PG, and it lacks what was left out.
    fn finish(&mut self, left_out: Vec<(HObject, EVersion)>) -> Result<(), ImportError> {
        let mut stored = persist::read(self.id, self.store)?;
        let mut txn = Transaction::new();
        if !left_out.is_empty() {
            for (soid, need) in &left_out {
                stored.missing.add(soid, *need, EVersion::ZERO, false);
            }
            // A copy that lacks something must not look complete: its missing set would not be asked for.
            stored.info.last_complete = EVersion::ZERO;
            let persist::Stored { epoch, info, past, mut log, mut missing, .. } = stored;
            let parts = Parts { id: self.id, epoch, info: &info, past: &past, log: &mut log, missing: &mut missing };
            persist::write(Dirty { info: true, ..Dirty::default() }, parts, &mut txn);
        }
        persist::unmark_deleting(self.id, &mut txn);
        (self.submit)(txn).map_err(ImportError::Submit)
    }
}

/// Removes a PG whole. It is marked first, so that an OSD that starts after a crash in the middle goes on with it.
///
/// # Errors
/// What the store says.
pub fn remove_pg(id: SpgId, store: &dyn ObjectRead, submit: &mut Submit<'_>) -> Result<u64, ImportError> {
    let coll = Coll::Pg(id);
    let mut txn = Transaction::new();
    persist::mark_deleting(id, &mut txn);
    submit(txn).map_err(ImportError::Submit)?;
    let mut removed = 0;
    for coll in [Coll::Temp(id), coll] {
        if !store.collection_exists(coll) {
            continue;
        }
        let mut objects = Vec::new();
        for_each_object::<ReadError>(store, coll, |oid| {
            objects.push(oid);
            Ok(())
        })?;
        removed += objects.len() as u64;
        for batch in objects.chunks(TXN_OPS) {
            let mut txn = Transaction::new();
            txn.ops.extend(batch.iter().map(|oid| TxOp::Remove { coll, oid: oid.clone() }));
            super::with_snap_index(store, coll, &mut txn)?;
            submit(txn).map_err(ImportError::Submit)?;
        }
        let mut txn = Transaction::new();
        txn.push(TxOp::Remove { coll, oid: GHObject::pgmeta(id.pgid) });
        txn.push(TxOp::RmColl { coll });
        submit(txn).map_err(ImportError::Submit)?;
    }
    Ok(removed)
}
