//! What goes wrong on the model's disk without a word: metadata that cannot be read or has changed, objects that are
//! gone, writes that were lost or went elsewhere.
//!
//! Damage that a read meets (an error) may strike any copy. What no read can see, as there is no checksum over it,
//! strikes copies that no client reads, and scrubs have to find it.

use std::collections::BTreeSet;

use bytes::Bytes;
use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use types::GHObject;

use crate::rng::Rng;

type Name = (Coll, GHObject);

/// What became of some objects, and what they once were.
#[derive(Debug, Default)]
pub struct Rotten {
    /// Those that are not what was written last.
    names: BTreeSet<Name>,
    /// An object as it was, for a write to get lost.
    once: Option<(Name, Transaction)>,
}

impl Rotten {
    pub fn has(&self, coll: Coll, oid: &GHObject) -> bool {
        self.names.contains(&(coll, oid.clone()))
    }

    fn has_family_of(&self, coll: Coll, oid: &GHObject) -> bool {
        self.names.iter().any(|(c, o)| *c == coll && o.hobj.is_same_family(&oid.hobj))
    }

    /// A transaction writes objects anew, or copies what is rotten.
    pub fn note(&mut self, txn: &Transaction) {
        if self.names.is_empty() {
            return;
        }
        for op in &txn.ops {
            match op {
                TxOp::Remove { coll, oid } => drop(self.names.remove(&(*coll, oid.clone()))),
                TxOp::MoveRename { coll, oid, dest_coll, dest } => {
                    match self.names.remove(&(*coll, oid.clone())) {
                        true => self.names.insert((*dest_coll, dest.clone())),
                        false => self.names.remove(&(*dest_coll, dest.clone())),
                    };
                }
                TxOp::Clone { coll, oid, dest } | TxOp::CloneRange { coll, oid, dest, .. } if self.has(*coll, oid) => {
                    self.names.insert((*coll, dest.clone()));
                }
                // What a write makes of a member of the family that is gone, a clone or a head that is rolled back, lacks
                // what that should have been.
                TxOp::SetAttrs { coll, oid, .. } if self.has_family_of(*coll, oid) => {
                    self.names.insert((*coll, oid.clone()));
                }
                _ => {}
            }
        }
    }

    /// Something happens to one object of `stores`, which are the same disk; what it was.
    pub fn strike(
        &mut self,
        stores: [&mut MemStore; 2],
        rng: &mut Rng,
        unseen_in: &dyn Fn(Coll) -> bool,
    ) -> Option<String> {
        let [now, durable] = stores;
        let (coll, oid) = any(now, rng)?;
        if !exists(durable, coll, &oid) {
            return None;
        }
        let mut each = |f: &dyn Fn(&mut MemStore)| [&mut *now, &mut *durable].into_iter().for_each(f);
        let what = match rng.below(if unseen_in(coll) { 12 } else { 2 }) {
            0 => {
                each(&|s| s.spoil(coll, &oid).expect(IS_THERE));
                "its data cannot be read"
            }
            1 => {
                each(&|s| s.spoil_omap(coll, &oid).expect(IS_THERE));
                "its omap cannot be read"
            }
            kind => {
                let (txn, what) = self.unseen(now, coll, &oid, kind, rng)?;
                [now, durable].into_iter().for_each(|s| s.apply_in_place(&txn).expect(IS_THERE));
                what
            }
        };
        self.names.insert((coll, oid.clone()));
        Some(format!("{coll} {oid}: {what}"))
    }

    /// A change of which the disk says nothing.
    fn unseen(
        &mut self,
        store: &MemStore,
        coll: Coll,
        oid: &GHObject,
        kind: u64,
        rng: &mut Rng,
    ) -> Option<(Transaction, &'static str)> {
        let mut txn = Transaction::new();
        let oid = oid.clone();
        let attrs = |name: &'static str, value: &'static [u8]| TxOp::SetAttrs {
            coll,
            oid: oid.clone(),
            attrs: [(name.into(), Bytes::from_static(value))].into(),
        };
        let what = match kind {
            2 => {
                let (keys, _) = store.omap_range(coll, &oid, None, 100).ok()?;
                let key = keys.get(rng.below(keys.len() as u64) as usize)?.0.clone();
                txn.push(match rng.percent(50) {
                    true => TxOp::OmapRm { coll, oid, keys: vec![key] },
                    false => TxOp::OmapSet { coll, oid, keys: [(key, Bytes::from_static(b"rotten"))].into() },
                });
                "a key of its omap is gone or another"
            }
            3 => {
                txn.push(TxOp::OmapSetHeader { coll, oid, header: Bytes::from_static(b"rotten") });
                "the header of its omap is another"
            }
            4 => {
                txn.push(attrs("_guard", b"rotten"));
                "an attribute is another"
            }
            5 => {
                txn.push(attrs("_rotten", b"attribute"));
                "it has an attribute too many"
            }
            6 => {
                let name = *rng.pick(&["_", "snapset"]);
                txn.push(attrs(name, b"rotten"));
                "its info or its snapset makes no sense"
            }
            7 => {
                let name = *rng.pick(&["_", "snapset"]);
                txn.push(TxOp::RmAttr { coll, oid, name: name.into() });
                "its info or its snapset is gone"
            }
            8 => {
                txn.push(TxOp::Remove { coll, oid });
                "it is gone"
            }
            9 => {
                let size = store.stat(coll, &oid).ok()??.size;
                txn.push(TxOp::Truncate { coll, oid, size: size / 2 });
                "its end is gone"
            }
            10 => {
                let (before, old) = self.once.replace(((coll, oid.clone()), content(store, coll, &oid)?))?;
                // What that write made durable is still what it was: only the object's own write is lost.
                if !exists(store, before.0, &before.1) || before != (coll, oid) {
                    return None;
                }
                txn.append(old);
                "its last writes are lost"
            }
            _ => {
                let other = any(store, rng).filter(|(c, o)| *c == coll && *o != oid)?;
                txn.append(renamed(content(store, coll, &other.1)?, &oid));
                "it is what was meant for another"
            }
        };
        Some((txn, what))
    }
}

const IS_THERE: &str = "the object is there";

/// Some object of some PG.
fn any(store: &MemStore, rng: &mut Rng) -> Option<Name> {
    let pgs: Vec<Coll> = store.collections().into_iter().filter(|c| matches!(c, Coll::Pg(_))).collect();
    let coll = *pgs.get(rng.below(pgs.len().max(1) as u64) as usize)?;
    let (all, _) = store.list(coll, &GHObject::min(), usize::MAX).ok()?;
    let all: Vec<GHObject> = all.into_iter().filter(|o| !o.is_pgmeta()).collect();
    Some((coll, all.get(rng.below(all.len().max(1) as u64) as usize)?.clone()))
}

fn exists(store: &MemStore, coll: Coll, oid: &GHObject) -> bool {
    store.stat(coll, oid).is_ok_and(|stat| stat.is_some())
}

/// What makes an object what it is now.
fn content(store: &MemStore, coll: Coll, oid: &GHObject) -> Option<Transaction> {
    let oid = oid.clone();
    let data = store.read(coll, &oid, 0, u64::MAX).ok()??;
    let attrs = store.attrs(coll, &oid).ok()??;
    let header = store.omap_header(coll, &oid).ok()?;
    let (keys, _) = store.omap_range(coll, &oid, None, usize::MAX).ok()?;
    let mut txn = Transaction::new();
    txn.push(TxOp::Remove { coll, oid: oid.clone() });
    txn.push(TxOp::Write { coll, oid: oid.clone(), off: 0, data, fadvise: 0 });
    txn.push(TxOp::SetAttrs { coll, oid: oid.clone(), attrs });
    txn.push(TxOp::OmapSetHeader { coll, oid: oid.clone(), header });
    txn.push(TxOp::OmapSet { coll, oid, keys: keys.into_iter().collect() });
    Some(txn)
}

/// The same for another object.
fn renamed(mut txn: Transaction, to: &GHObject) -> Transaction {
    for op in &mut txn.ops {
        match op {
            TxOp::Remove { oid, .. }
            | TxOp::Write { oid, .. }
            | TxOp::SetAttrs { oid, .. }
            | TxOp::OmapSetHeader { oid, .. }
            | TxOp::OmapSet { oid, .. } => *oid = to.clone(),
            _ => {}
        }
    }
    txn
}
