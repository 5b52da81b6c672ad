//! Reading a PG out of a store, into a file.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use denc::ByteStr;
use os::{Coll, ObjectRead, ReadError};
use types::{EVersion, GHObject, LogEntry, SpgId};

use super::format::{Frame, Head, ObjectHead, PIECE, Totals, Writer};
use super::{for_each_object, held_version};
use crate::persist;
use crate::pg::LoadError;
use crate::snap_map::SnapMap;

/// How many omap keys are read in one go.
const KEYS: usize = 1024;

/// Why a PG cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the objects of the PG cannot be listed: {0}")]
    List(#[from] ReadError),
    #[error("the file cannot be written: {0}")]
    Write(#[from] io::Error),
    #[error("pg {0} is being deleted here: what is left of it is of no use")]
    Deleting(SpgId),
    #[error("{oid} cannot be read ({why}), and its version is not known either, so it cannot be left out")]
    Unknown { oid: Box<GHObject>, why: String },
}

/// What became of it.
#[derive(Debug)]
pub struct Exported {
    pub totals: Totals,
    /// Objects that could not be read, and why: they are left out.
    pub unreadable: Vec<(GHObject, ReadError)>,
}

/// Writes a PG to `out`. Objects that cannot be read are left out, and are told of in the file and in the answer:
/// whether such a file is wanted is the caller's to say. `head` says where the PG comes from; its `pgid` is taken.
///
/// # Errors
/// If the PG's own record cannot be read, its objects cannot be listed, or the file cannot be written.
pub fn export(store: &dyn ObjectRead, head: Head, out: impl Write) -> Result<Exported, ExportError> {
    let id = head.pgid;
    let stored = persist::read(id, store)?;
    if stored.deleting {
        return Err(ExportError::Deleting(id));
    }
    let head = Head { epoch: stored.epoch, last_update: stored.info.last_update, ..head };
    let mut file = Exporter { store, coll: Coll::Pg(id), out: Writer::new(out)?, unreadable: Vec::new() };
    file.out.put(&Frame::Head(head))?;
    file.record(id)?;
    let newest: BTreeMap<&types::HObject, &LogEntry> = stored.log.entries().map(|e| (&e.soid, e)).collect();
    for_each_object(store, file.coll, |oid| file.object(oid, &newest))?;
    let unreadable = file.unreadable;
    Ok(Exported { totals: file.out.end()?, unreadable })
}

struct Exporter<'a, W> {
    store: &'a dyn ObjectRead,
    coll: Coll,
    out: Writer<W>,
    unreadable: Vec<(GHObject, ReadError)>,
}

impl<W: Write> Exporter<'_, W> {
    fn record(&mut self, id: SpgId) -> Result<(), ExportError> {
        let pages = omap(self.store, self.coll, &GHObject::pgmeta(id.pgid));
        for page in pages.map_err(|e| LoadError::Read(id, e))? {
            self.out.put(&Frame::Record(page))?;
        }
        Ok(())
    }

    /// The object is read whole before the first of it is written: a file never holds half an object.
    fn object(&mut self, oid: GHObject, log: &BTreeMap<&types::HObject, &LogEntry>) -> Result<(), ExportError> {
        match self.read(&oid) {
            Ok(frames) => frames.iter().try_for_each(|frame| self.out.put(frame))?,
            Err(why) => {
                let logged = || log.get(&oid.hobj).filter(|e| !e.is_delete()).map(|e| e.version);
                let need: Option<EVersion> = held_version(self.store, self.coll, &oid).or_else(logged);
                let Some(need) = need else {
                    return Err(ExportError::Unknown { oid: Box::new(oid), why: why.to_string() });
                };
                self.out.put(&Frame::LeftOut { oid: oid.clone(), need })?;
                self.unreadable.push((oid, why));
            }
        }
        Ok(())
    }

    fn read(&self, oid: &GHObject) -> Result<Vec<Frame>, ReadError> {
        let (store, coll) = (self.store, self.coll);
        let size = store.stat(coll, oid)?.map_or(0, |stat| stat.size);
        let attrs = store.attrs(coll, oid)?.unwrap_or_default();
        let omap_header = store.omap_header(coll, oid)?;
        let snaps = match oid.hobj.is_snap() {
            true => SnapMap::default().current(store, &oid.hobj)?,
            false => Default::default(),
        };
        let mut frames = vec![Frame::Object(ObjectHead { oid: oid.clone(), size, attrs, omap_header, snaps })];
        for (start, len) in store.extents(coll, oid, 0, size)? {
            for off in (start..start + len).step_by(PIECE) {
                let data = store.read(coll, oid, off, (start + len - off).min(PIECE as u64))?.unwrap_or_default();
                frames.push(Frame::Data { off, data });
            }
        }
        frames.extend(omap(store, coll, oid)?.into_iter().map(Frame::Omap));
        Ok(frames)
    }
}

/// An object's omap in pieces.
fn omap(store: &dyn ObjectRead, coll: Coll, oid: &GHObject) -> Result<Vec<BTreeMap<ByteStr, Bytes>>, ReadError> {
    let mut pieces = Vec::new();
    let mut piece = BTreeMap::new();
    let mut bytes = 0;
    let mut after: Option<ByteStr> = None;
    loop {
        let (pairs, more) = store.omap_range(coll, oid, after.as_ref().map(ByteStr::as_bytes), KEYS)?;
        after = pairs.last().map(|(k, _)| k.clone());
        for (key, value) in pairs {
            bytes += key.len() + value.len();
            piece.insert(key, value);
            if bytes >= PIECE {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
        }
        if !more {
            break;
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    Ok(pieces)
}
