//! Which clones stand for a snapshot: an index beside the objects, so that what a removed snapshot
//! leaves behind is found without looking at every object.
//!
//! It is one object of the OSD's own collection, shared by all PGs: its keys begin with the snapshot and
//! go on with the object's hash, so a PG's part of it follows the PG through split and merge without being
//! touched. Names and values are Ceph's (`SnapMapper`):
//!
//! | key | value |
//! |---|---|
//! | `SNA_POOL_SNAP_OBJECT` | the snapshot and the clone |
//! | `OBJ_OBJECT` | the clone and all its snapshots |
//!
//! Invariant: a clone in the PG's collection has its snapshots here, and no other object has any. Changes
//! go with the transaction that changes the clone: whoever makes one calls [`SnapMap::set`]; removals are
//! read off the transaction itself ([`SnapMap::prepare`]), so that no way of removing a clone can forget it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bytes::Bytes;
use denc::{ByteStr, Encode, Encoder};
use node::Token;
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use types::{GHObject, HObject, LogEntry, PgId, PoolId, SNAP_DIR, SNAP_HEAD, SnapId, SnapSet, features};

type Snaps = BTreeSet<SnapId>;

fn mapper() -> GHObject {
    HObject { oid: "snapmapper".into(), pool: -1, ..HObject::default() }.into()
}

/// `hobject_t::to_str`: sorts by the hash, its lowest digit first.
fn object_key(soid: &HObject) -> Vec<u8> {
    let mut key = format!("{:016X}.{:08X}.", soid.pool, reversed_digits(soid.hash));
    let _ = match soid.snap {
        SNAP_HEAD => key.write_str("head"),
        SNAP_DIR => key.write_str("snapdir"),
        snap => write!(key, "{snap:x}"),
    };
    let mut key = key.into_bytes();
    for part in [&soid.oid, &soid.key, &soid.nspace] {
        key.push(b'.');
        push_escaped(&mut key, part);
    }
    key
}

/// A part of a key in which dots and underscores stand between parts. (Ceph: `append_escaped`)
pub(crate) fn push_escaped(key: &mut Vec<u8>, part: &ByteStr) {
    for byte in part.as_bytes() {
        match byte {
            b'%' => key.extend(b"%p"),
            b'.' => key.extend(b"%e"),
            b'_' => key.extend(b"%u"),
            other => key.push(*other),
        }
    }
}

/// The hash with its hexadecimal digits in reverse order.
fn reversed_digits(hash: u32) -> u32 {
    (0..8).fold(0, |out, digit| out << 4 | hash >> (4 * digit) & 0xf)
}

fn snap_prefix(pool: PoolId, snap: SnapId) -> String {
    format!("SNA_{pool}_{snap:016X}_")
}

fn mapping_key(snap: SnapId, soid: &HObject) -> ByteStr {
    let mut key = snap_prefix(soid.pool, snap).into_bytes();
    key.extend(object_key(soid));
    key.into()
}

fn snaps_key(soid: &HObject) -> ByteStr {
    let mut key = b"OBJ_".to_vec();
    key.extend(object_key(soid));
    key.into()
}

fn framed<T: Encode>(pair: &T) -> Bytes {
    let mut e = Encoder::new(features::ALL);
    e.versioned(1, 1, |e| e.put(pair));
    e.finish()
}

fn unframed<A: denc::Decode, B: denc::Decode>(raw: Bytes) -> Option<(A, B)> {
    denc::Decoder::new(raw).versioned("SnapMapper", 1, |d, _| Ok((d.get()?, d.get()?))).ok()
}

/// How keys of a PG's objects begin, after the snapshot's part: the digits that the PG's bits reach, the
/// last one with each value it may have (Ceph: `hobject_t::get_prefixes`).
fn pg_prefixes(pgid: PgId, bits: u32) -> Vec<String> {
    let digits = bits.div_ceil(4);
    let low = if bits >= 32 { pgid.seed } else { pgid.seed & ((1 << bits) - 1) };
    let free = 4 * digits - bits;
    let mut out: Vec<String> = (0..1_u32 << free)
        .map(|high| reversed_digits(low | high.checked_shl(bits).unwrap_or(0)))
        .map(|hash| format!("{:016X}.{}", pgid.pool, &format!("{hash:08X}")[..digits as usize]))
        .collect();
    out.sort_unstable();
    out
}

/// See the file's documentation.
#[derive(Debug, Default)]
pub(crate) struct SnapMap {
    /// What the transaction under way changes; no snapshots: the clone is gone.
    pending: BTreeMap<HObject, Snaps>,
    /// What was submitted, but perhaps the store does not show yet.
    submitted: BTreeMap<HObject, (Token, Snaps)>,
}

impl SnapMap {
    /// The snapshots that a clone stands for from now on.
    pub fn set(&mut self, clone: &HObject, snaps: impl IntoIterator<Item = SnapId>) {
        self.pending.insert(clone.clone(), snaps.into_iter().collect());
    }

    /// A clone came whole from another copy, with what its family looks like (Ceph: `on_local_recover`).
    pub fn note_recovered(&mut self, soid: &HObject, set: &SnapSet) {
        if soid.is_snap() {
            self.set(soid, set.clone_snaps.get(&soid.snap).cloned().unwrap_or_default());
        }
    }

    /// A write to a clone, as the log tells it (Ceph: `PG::update_snap_map`).
    pub fn note_entry(&mut self, e: &LogEntry) {
        if !e.soid.is_snap() || e.is_error() {
            return;
        }
        let snaps = if e.is_delete() { Vec::new() } else { e.snaps() };
        self.set(&e.soid, snaps);
    }

    /// Adds to the transaction what it means for the index. `coll` is the PG's.
    ///
    /// # Errors
    /// If the index cannot be read; then what was there before of the clones stays.
    pub fn prepare(&mut self, store: &dyn ObjectRead, coll: Coll, txn: &mut Transaction) -> Result<(), ReadError> {
        for op in &txn.ops {
            if let TxOp::Remove { coll: at, oid } = op
                && *at == coll
                && oid.hobj.is_snap()
                && !oid.is_pgmeta()
            {
                self.pending.entry(oid.hobj.clone()).or_default();
            }
        }
        let (mut set, mut remove, mut result) = (BTreeMap::new(), Vec::new(), Ok(()));
        for (clone, snaps) in &self.pending {
            let before = self.current(store, clone).unwrap_or_else(|e| {
                result = Err(e);
                Snaps::new()
            });
            if before == *snaps {
                continue;
            }
            remove.extend(before.difference(snaps).map(|s| mapping_key(*s, clone)));
            set.extend(snaps.difference(&before).map(|s| (mapping_key(*s, clone), framed(&(*s, clone.clone())))));
            if snaps.is_empty() {
                remove.push(snaps_key(clone));
            } else {
                set.insert(snaps_key(clone), framed(&(clone.clone(), snaps.clone())));
            }
        }
        let (coll, oid) = (Coll::Meta, mapper());
        if !remove.is_empty() {
            txn.push(TxOp::OmapRm { coll, oid: oid.clone(), keys: remove });
        }
        if !set.is_empty() {
            txn.push(TxOp::OmapSet { coll, oid, keys: set });
        }
        result
    }

    /// The transaction is on its way.
    pub fn submitted(&mut self, token: Token) {
        let changes = std::mem::take(&mut self.pending);
        self.submitted.extend(changes.into_iter().map(|(clone, snaps)| (clone, (token, snaps))));
    }

    pub fn committed(&mut self, token: Token) {
        if !self.submitted.is_empty() {
            self.submitted.retain(|_, (t, _)| *t > token);
        }
    }

    /// The snapshots that a clone stands for.
    pub fn current(&self, store: &dyn ObjectRead, clone: &HObject) -> Result<Snaps, ReadError> {
        if let Some((_, snaps)) = self.submitted.get(clone) {
            return Ok(snaps.clone());
        }
        let found = store.omap_values(Coll::Meta, &mapper(), &[snaps_key(clone)])?;
        let raw = found.into_values().next();
        Ok(raw.and_then(unframed::<HObject, Snaps>).map(|(_, snaps)| snaps).unwrap_or_default())
    }

    /// Takes a clone out of the index that the store does not have.
    pub fn forget(&mut self, clone: &HObject, snap: SnapId, txn: &mut Transaction) {
        let keys = vec![mapping_key(snap, clone), snaps_key(clone)];
        txn.push(TxOp::OmapRm { coll: Coll::Meta, oid: mapper(), keys });
    }
}

/// The next clones of a PG that stand for `snap`, at most `max` (Ceph: `get_next_objects_to_trim`).
pub(crate) fn next_to_trim(
    store: &dyn ObjectRead,
    pgid: PgId,
    bits: u32,
    snap: SnapId,
    max: usize,
) -> Result<Vec<HObject>, ReadError> {
    let mut found = Vec::new();
    for prefix in pg_prefixes(pgid, bits) {
        let prefix = format!("{}{prefix}", snap_prefix(pgid.pool, snap)).into_bytes();
        if found.len() >= max {
            break;
        }
        let (pairs, _) = store.omap_range(Coll::Meta, &mapper(), Some(&prefix), max - found.len())?;
        let ours = pairs.into_iter().take_while(|(key, _)| key.as_bytes().starts_with(&prefix));
        found.extend(ours.filter_map(|(_, raw)| unframed::<SnapId, HObject>(raw)).map(|(_, clone)| clone));
    }
    Ok(found)
}

/// All that the index of an OSD holds, for tests and tools: each clone with its snapshots, and how many
/// entries there are by snapshot, which should be one for each of those.
///
/// # Errors
/// If it cannot be read.
pub fn clone_index(store: &dyn ObjectRead) -> Result<(BTreeMap<HObject, Snaps>, usize), ReadError> {
    let (mut clones, mut by_snap) = (BTreeMap::new(), 0);
    let (pairs, _) = store.omap_range(Coll::Meta, &mapper(), None, usize::MAX)?;
    for (key, raw) in pairs {
        match unframed::<HObject, Snaps>(raw).filter(|_| key.as_bytes().starts_with(b"OBJ_")) {
            Some((clone, snaps)) => {
                clones.insert(clone, snaps);
            }
            None => by_snap += 1,
        }
    }
    Ok((clones, by_snap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use os::MemStore;
    use types::SpgId;

    fn clone_of(name: &str, snap: SnapId, hash: u32) -> HObject {
        HObject { oid: name.into(), pool: 2, snap, hash, ..HObject::default() }
    }

    fn store() -> MemStore {
        let mut store = MemStore::new();
        let mut txn = Transaction::new();
        txn.push(TxOp::MkColl { coll: Coll::Meta, bits: 0 });
        store.apply(&txn).expect("a new collection");
        store
    }

    fn apply(map: &mut SnapMap, store: &mut MemStore, mut txn: Transaction) {
        map.prepare(store, coll(), &mut txn).expect("the index can be read");
        map.submitted(Token(1));
        map.committed(Token(1));
        txn.ops.retain(|op| op.colls().0 == Coll::Meta);
        store.apply(&txn).expect("it applies");
    }

    fn coll() -> Coll {
        Coll::Pg(SpgId::from(PgId::new(2, 0)))
    }

    fn keys(store: &MemStore) -> Vec<String> {
        let (pairs, _) = store.omap_range(Coll::Meta, &mapper(), None, 100).expect("it can be read");
        pairs.into_iter().map(|(k, _)| k.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn keys_are_cephs() {
        let soid = HObject { nspace: "n_s".into(), key: "k.1".into(), ..clone_of("a%b", 0x1f, 0x1234_abcd) };
        assert_eq!(snaps_key(&soid).to_string_lossy(), "OBJ_0000000000000002.DCBA4321.1f.a%pb.k%e1.n%us");
        assert_eq!(
            mapping_key(10, &soid).to_string_lossy(),
            "SNA_2_000000000000000A_0000000000000002.DCBA4321.1f.a%pb.k%e1.n%us"
        );
    }

    #[test]
    fn a_pgs_keys_are_found_by_the_low_digits_of_its_hash() {
        let pg = |seed| PgId::new(2, seed);
        assert_eq!(pg_prefixes(pg(0), 0), ["0000000000000002."]);
        assert_eq!(pg_prefixes(pg(5), 4), ["0000000000000002.5"]);
        assert_eq!(pg_prefixes(pg(0x15), 5).len(), 8);
        for hash in [0x35, 0xf5, 0x1234_5675_u32] {
            let key = object_key(&clone_of("o", 1, hash));
            let mine = pg_prefixes(pg(0x15), 5).iter().any(|p| key.starts_with(p.as_bytes()));
            assert_eq!(mine, hash & 0x1f == 0x15, "{hash:x}");
        }
    }

    #[test]
    fn a_clone_is_found_by_each_of_its_snapshots_until_it_is_removed() {
        let (mut map, mut store) = (SnapMap::default(), store());
        let (a, b) = (clone_of("a", 4, 0), clone_of("b", 4, 1));
        map.set(&a, [4, 3]);
        map.set(&b, [4]);
        apply(&mut map, &mut store, Transaction::new());
        let trim =
            |store: &MemStore, seed, snap| next_to_trim(store, PgId::new(2, seed), 1, snap, 9).expect("readable");
        assert_eq!((trim(&store, 0, 4), trim(&store, 0, 3)), (vec![a.clone()], vec![a.clone()]));
        assert_eq!((trim(&store, 1, 4), trim(&store, 1, 3)), (vec![b.clone()], vec![]));
        assert_eq!(keys(&store).len(), 5);

        map.set(&a, [4]);
        apply(&mut map, &mut store, Transaction::new());
        assert_eq!((trim(&store, 0, 4), trim(&store, 0, 3)), (vec![a.clone()], vec![]));

        let mut txn = Transaction::new();
        txn.push(TxOp::Remove { coll: coll(), oid: a.into() });
        txn.push(TxOp::Remove { coll: coll(), oid: b.head().into() });
        apply(&mut map, &mut store, txn);
        assert_eq!((trim(&store, 0, 4), trim(&store, 1, 4)), (vec![], vec![b]));
    }

    #[test]
    fn what_was_submitted_counts_though_the_store_does_not_show_it_yet() {
        let (mut map, store) = (SnapMap::default(), store());
        let a = clone_of("a", 4, 0);
        map.set(&a, [4]);
        map.prepare(&store, coll(), &mut Transaction::new()).expect("readable");
        map.submitted(Token(1));
        let mut txn = Transaction::new();
        txn.push(TxOp::Remove { coll: coll(), oid: a.clone().into() });
        map.prepare(&store, coll(), &mut txn).expect("readable");
        let removed = vec![mapping_key(4, &a), snaps_key(&a)];
        assert_eq!(txn.ops.last(), Some(&TxOp::OmapRm { coll: Coll::Meta, oid: mapper(), keys: removed }));
    }

    #[test]
    fn a_clone_that_is_written_anew_keeps_its_place() {
        let (mut map, mut store) = (SnapMap::default(), store());
        let a = clone_of("a", 4, 0);
        map.set(&a, [4]);
        let mut txn = Transaction::new();
        txn.push(TxOp::Remove { coll: coll(), oid: a.clone().into() });
        apply(&mut map, &mut store, txn);
        assert_eq!(next_to_trim(&store, PgId::new(2, 0), 1, 4, 9), Ok(vec![a]));
    }
}
