//! Single objects of a stopped OSD's store.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use cli::args::{Corrupt, StoreArg};
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use osd::offline::Offline;
use pg::carry;
use store::Store;
use types::{GHObject, SpgId};

use super::{commit, open, pg_in};

const CORRUPT_BYTES: usize = 4096;

/// Which object is meant.
pub struct Which<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub clone: Option<u64>,
}

impl Which<'_> {
    fn is(&self, oid: &GHObject) -> bool {
        let version = match self.clone {
            Some(snap) => oid.hobj.snap == snap,
            None => oid.hobj.is_head(),
        };
        version && oid.hobj.oid == *self.name && oid.hobj.nspace == *self.namespace
    }
}

pub fn list_pgs(store: &Store) -> Result<i32> {
    let held = store.collections().into_iter().filter_map(|c| if let Coll::Pg(id) = c { Some(id) } else { None });
    cli::say!("{:<10} {:>8} {:>14} {:>8} {:>8}  STATE", "PG", "OBJECTS", "LAST_UPDATE", "EPOCH", "MISSING");
    for id in held {
        let mut objects = 0_u64;
        let counted = carry::for_each_object::<ReadError>(store, Coll::Pg(id), |_| {
            objects += 1;
            Ok(())
        });
        let state = |deleting: bool| if deleting { "being removed" } else { "" };
        match (counted, carry::summary(id, store)) {
            (Ok(()), Ok(s)) => {
                let update = s.info.last_update.to_string();
                let state = if s.info.is_incomplete() { "being backfilled" } else { state(s.deleting) };
                cli::say!("{:<10} {objects:>8} {update:>14} {:>8} {:>8}  {state}", id.to_string(), s.epoch, s.missing);
            }
            (Err(e), _) => cli::say!("{:<10} its objects cannot be listed: {e}", id.to_string()),
            (_, Err(e)) => cli::say!("{:<10} {objects:>8}  its record cannot be read: {e}", id.to_string()),
        }
    }
    Ok(0)
}

pub fn list(store: &Store, pgid: &str) -> Result<i32> {
    let coll = Coll::Pg(pg_in(store, pgid)?);
    carry::for_each_object::<ReadError>(store, coll, |oid| {
        match store.stat(coll, &oid) {
            Ok(stat) => cli::say!("{oid} {}", stat.map_or(0, |s| s.size)),
            Err(e) => cli::say!("{oid} unreadable: {e}"),
        }
        Ok(())
    })?;
    Ok(0)
}

fn find(store: &Store, id: SpgId, which: &Which<'_>) -> Result<GHObject> {
    let mut found = Vec::new();
    carry::for_each_object::<ReadError>(store, Coll::Pg(id), |oid| {
        if which.is(&oid) {
            found.push(oid);
        }
        Ok(())
    })?;
    match (found.pop(), found.is_empty()) {
        (Some(oid), true) => Ok(oid),
        (None, _) => bail!("pg {id} holds no object '{}' here; `spirula store list` shows what it holds", which.name),
        (Some(_), false) => bail!("pg {id} holds several objects '{}' with different locator keys", which.name),
    }
}

pub fn remove(at: &StoreArg, pgid: &str, which: &Which<'_>, yes: bool) -> Result<i32> {
    let store = open(at)?;
    let id = pg_in(&store, pgid)?;
    let (coll, oid) = (Coll::Pg(id), find(&store, id, which)?);
    let offline = Offline::open(&store)?;
    let whoami = offline.superblock.whoami;
    let keys = store.omap_range(coll, &oid, None, usize::MAX).map_or(0, |(keys, _)| keys.len());
    let bytes = store.stat(coll, &oid)?.map_or(0, |s| s.size);
    cli::say!("osd.{whoami} holds {oid}: {bytes} bytes, {keys} omap keys");
    if oid.hobj.is_head() {
        let clones = carry::clones_of(&store, coll, &oid.hobj);
        if clones > 0 {
            cli::say!("its {clones} clones stay, without the head that says what they are");
        }
    }
    let others: Vec<_> = offline.acting(id.pgid).into_iter().filter(|o| *o != whoami).map(|o| o.to_string()).collect();
    match others.is_empty() {
        true => cli::say!("at epoch {} no other OSD serves pg {pgid}: the object would be LOST", offline.map.epoch),
        false => cli::say!(
            "osd.{} serve pg {pgid}, too: `ceph pg deep-scrub {pgid}` will find it missing, `ceph pg repair {pgid}` bring it back",
            others.join(", osd.")
        ),
    }
    if !yes {
        cli::say!("nothing was removed: --yes removes it");
        return Ok(0);
    }
    let mut txn = Transaction::new();
    txn.push(TxOp::Remove { coll, oid });
    carry::with_snap_index(&store, coll, &mut txn)?;
    commit(&store, &txn).map_err(anyhow::Error::msg)?;
    store.close()?;
    cli::say!("removed {} from {coll}", which.name);
    Ok(0)
}

/// What is done to an object on purpose.
#[derive(Debug)]
pub enum Damage<'a> {
    /// Random bytes in place of this.
    Random(Corrupt),
    SetAttr(&'a str, &'a str),
    RmAttr(&'a str),
    Truncate(u64),
}

pub fn corrupt(at: &StoreArg, pgid: &str, which: &Which<'_>, damage: &Damage<'_>) -> Result<i32> {
    let store = open(at)?;
    let id = pg_in(&store, pgid)?;
    let (coll, object) = (Coll::Pg(id), which.name);
    let oid = find(&store, id, which)?;
    let set =
        |name: &str, value: Bytes| TxOp::SetAttrs { coll, oid: oid.clone(), attrs: [(name.into(), value)].into() };
    let op = match damage {
        Damage::Random(Corrupt::Data) => {
            TxOp::Write { coll, oid: oid.clone(), off: 0, data: random(CORRUPT_BYTES)?, fadvise: 0 }
        }
        Damage::Random(Corrupt::Attr) => set("_spoilt", random(64)?),
        Damage::Random(Corrupt::Snapset) => set("snapset", random(64)?),
        Damage::Random(Corrupt::Omap) => {
            let (pairs, _) = store.omap_range(coll, &oid, None, 1)?;
            let Some((key, _)) = pairs.into_iter().next() else { bail!("{object} has no omap") };
            TxOp::OmapSet { coll, oid: oid.clone(), keys: [(key, random(64)?)].into() }
        }
        Damage::SetAttr(name, hex) => set(name, from_hex(hex)?),
        Damage::RmAttr(name) => TxOp::RmAttr { coll, oid: oid.clone(), name: (*name).into() },
        Damage::Truncate(size) => TxOp::Truncate { coll, oid: oid.clone(), size: *size },
    };
    let mut txn = Transaction::new();
    txn.push(op);
    commit(&store, &txn).map_err(anyhow::Error::msg)?;
    store.close()?;
    match damage {
        Damage::Random(Corrupt::Data) => cli::say!("overwrote the first {CORRUPT_BYTES} bytes of {object} in {coll}"),
        Damage::Random(what) => cli::say!("spoilt {what:?} of {object} in {coll}"),
        other => cli::say!("did {other:?} to {object} in {coll}"),
    }
    Ok(0)
}

fn random(bytes: usize) -> Result<Bytes> {
    let mut data = vec![0; bytes];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut data)?;
    Ok(data.into())
}

fn from_hex(text: &str) -> Result<Bytes> {
    let byte = |i: usize| text.get(i..i + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.map(Bytes::from).with_context(|| format!("{text} is not hexadecimal"))
}
