//! Single objects of a stopped OSD's store.

use anyhow::{Result, bail};
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
    println!("{:<10} {:>8} {:>14} {:>8} {:>8}  STATE", "PG", "OBJECTS", "LAST_UPDATE", "EPOCH", "MISSING");
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
                println!("{:<10} {objects:>8} {update:>14} {:>8} {:>8}  {state}", id.to_string(), s.epoch, s.missing);
            }
            (Err(e), _) => println!("{:<10} its objects cannot be listed: {e}", id.to_string()),
            (_, Err(e)) => println!("{:<10} {objects:>8}  its record cannot be read: {e}", id.to_string()),
        }
    }
    Ok(0)
}

pub fn list(store: &Store, pgid: &str) -> Result<i32> {
    let coll = Coll::Pg(pg_in(store, pgid)?);
    carry::for_each_object::<ReadError>(store, coll, |oid| {
        match store.stat(coll, &oid) {
            Ok(stat) => println!("{oid} {}", stat.map_or(0, |s| s.size)),
            Err(e) => println!("{oid} unreadable: {e}"),
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
    println!("osd.{whoami} holds {oid}: {bytes} bytes, {keys} omap keys");
    if oid.hobj.is_head() {
        let clones = carry::clones_of(&store, coll, &oid.hobj);
        if clones > 0 {
            println!("its {clones} clones stay, without the head that says what they are");
        }
    }
    let others: Vec<_> = offline.acting(id.pgid).into_iter().filter(|o| *o != whoami).map(|o| o.to_string()).collect();
    match others.is_empty() {
        true => println!("at epoch {} no other OSD serves pg {pgid}: the object would be LOST", offline.map.epoch),
        false => println!(
            "osd.{} serve pg {pgid}, too: `ceph pg deep-scrub {pgid}` will find it missing, `ceph pg repair {pgid}` bring it back",
            others.join(", osd.")
        ),
    }
    if !yes {
        println!("nothing was removed: --yes removes it");
        return Ok(0);
    }
    let mut txn = Transaction::new();
    txn.push(TxOp::Remove { coll, oid });
    carry::with_snap_index(&store, coll, &mut txn)?;
    commit(&store, &txn).map_err(anyhow::Error::msg)?;
    store.close()?;
    println!("removed {} from {coll}", which.name);
    Ok(0)
}

pub fn corrupt(at: &StoreArg, pgid: &str, object: &str, what: Corrupt) -> Result<i32> {
    let store = open(at)?;
    let id = pg_in(&store, pgid)?;
    let coll = Coll::Pg(id);
    let oid = find(&store, id, &Which { name: object, namespace: "", clone: None })?;
    let mut data = vec![0; CORRUPT_BYTES];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut data)?;
    let data = Bytes::from(data);
    let attr = |name: &str| TxOp::SetAttrs { coll, oid: oid.clone(), attrs: [(name.into(), data.slice(..64))].into() };
    let op = match what {
        Corrupt::Data => TxOp::Write { coll, oid: oid.clone(), off: 0, data: data.clone(), fadvise: 0 },
        Corrupt::Attr => attr("_spoilt"),
        Corrupt::Snapset => attr("snapset"),
        Corrupt::Omap => {
            let (pairs, _) = store.omap_range(coll, &oid, None, 1)?;
            let Some((key, _)) = pairs.into_iter().next() else { bail!("{object} has no omap") };
            TxOp::OmapSet { coll, oid: oid.clone(), keys: [(key, data.slice(..64))].into() }
        }
    };
    let mut txn = Transaction::new();
    txn.push(op);
    commit(&store, &txn).map_err(anyhow::Error::msg)?;
    store.close()?;
    match what {
        Corrupt::Data => println!("overwrote the first {CORRUPT_BYTES} bytes of {object} in {coll}"),
        other => println!("spoilt {other:?} of {object} in {coll}"),
    }
    Ok(0)
}
