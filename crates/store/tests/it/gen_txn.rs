//! Random transactions over a few objects, and the comparison of two stores.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use denc::ByteStr;
use os::{Coll, MemStore, ObjectRead, Transaction, TxOp};
use store::sim::SimDisk;
use store::{Geometry, Options, Store, Superblock};
use types::{GHObject, HObject, PgId, SNAP_HEAD, Uuid};

/// SplitMix64: small, seeded, the same everywhere.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

pub fn pg(seed: u32) -> Coll {
    Coll::Pg(PgId::new(1, seed).into())
}

/// Where an object may be; now and then where it is not, since a split or a merge.
fn coll_of(rng: &mut Rng, oid: &GHObject) -> Coll {
    match rng.below(3) {
        0 => Coll::Meta,
        1 => pg(0),
        _ => pg(oid.hobj.hash & 1),
    }
}

/// One PG becomes two, or two become one; refused if it is so already.
fn split_or_merge(rng: &mut Rng) -> Vec<TxOp> {
    match rng.below(2) {
        0 => vec![TxOp::MkColl { coll: pg(1), bits: 1 }, TxOp::SplitColl { coll: pg(0), bits: 1, rem: 1, dest: pg(1) }],
        _ => vec![TxOp::MergeColl { coll: pg(1), dest: pg(0), bits: 0 }],
    }
}

pub fn object(n: u64) -> GHObject {
    let oid = format!("object{n}").as_str().into();
    HObject { pool: 1, hash: (n as u32).wrapping_mul(0x9e37_79b9), snap: SNAP_HEAD, oid, ..HObject::default() }.into()
}

pub fn superblock() -> Superblock {
    let Geometry { uuid, size, wal_ring } =
        Geometry { uuid: Uuid::from_random([9; 16]), size: 64 << 20, wal_ring: 256 << 10 };
    Superblock { uuid, size, wal_ring, meta: Default::default() }
}

pub fn options() -> Options {
    Options {
        onode_cache_bytes: 4096,
        kv_cache_bytes: 1 << 20,
        overlay_bytes: 32 << 10,
        large_write: 32 << 10,
        unsettled_bytes: 16 << 10,
    }
}

pub fn open(disk: &SimDisk) -> Result<Store, store::OpenError> {
    Store::open_devices(disk.devices(), options(), "sim", &superblock())
}

/// Makes the collections.
pub fn first_txn() -> Transaction {
    Transaction { ops: [Coll::Meta, pg(0)].map(|coll| TxOp::MkColl { coll, bits: 0 }).into() }
}

fn name(rng: &mut Rng) -> ByteStr {
    format!("key{}", rng.below(6)).as_str().into()
}

fn value(rng: &mut Rng, max: u64) -> Bytes {
    let (n, fill) = (rng.below(max), rng.next() as u8);
    (0..n).map(|i| fill.wrapping_add(i as u8)).collect()
}

fn offset(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => 0,
        1 => 4096 * rng.below(80),
        2 => rng.below(20_000),
        _ => rng.below(400_000),
    }
}

fn length(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => 4096 * (1 + rng.below(20)),
        1 => rng.below(200),
        2 => rng.below(10_000),
        _ => rng.below(90_000),
    }
}

pub fn op(rng: &mut Rng) -> TxOp {
    let (oid, dest) = (object(rng.below(5)), object(rng.below(5)));
    let coll = coll_of(rng, &oid);
    match rng.below(39) {
        0 => TxOp::Touch { coll, oid },
        1 => TxOp::Create { coll, oid },
        2..12 => {
            let len = length(rng);
            TxOp::Write { coll, oid, off: offset(rng), data: value(rng, len), fadvise: 0 }
        }
        12..15 => TxOp::Zero { coll, oid, off: offset(rng), len: length(rng) },
        15..18 => TxOp::Truncate { coll, oid, size: offset(rng) },
        18..20 => TxOp::Remove { coll, oid },
        20..24 => TxOp::SetAttrs { coll, oid, attrs: [(name(rng), value(rng, 200))].into() },
        24 => TxOp::RmAttr { coll, oid, name: name(rng) },
        25 => TxOp::RmAttrs { coll, oid },
        26 => TxOp::Clone { coll, oid, dest },
        27 => TxOp::CloneRange { coll, oid, dest, off: offset(rng), len: length(rng), dest_off: offset(rng) },
        // Now and then too large for the log.
        28 => TxOp::OmapSet { coll, oid, keys: [(name(rng), value(rng, 60_000))].into() },
        29..33 => TxOp::OmapSet { coll, oid, keys: [(name(rng), value(rng, 200)), (name(rng), value(rng, 9))].into() },
        33 => TxOp::OmapRm { coll, oid, keys: vec![name(rng)] },
        34 => TxOp::OmapRmRange { coll, oid, first: name(rng), last: name(rng) },
        35 => TxOp::OmapSetHeader { coll, oid, header: value(rng, 30) },
        36 => TxOp::OmapClear { coll, oid },
        37 => TxOp::MoveRename { coll, oid, dest_coll: coll_of(rng, &dest), dest },
        _ => TxOp::SetAllocHint { coll, oid, object_size: 1, write_size: 1, flags: 0 },
    }
}

pub fn txn(rng: &mut Rng) -> Transaction {
    let mut ops: Vec<TxOp> = (0..1 + rng.below(4)).map(|_| op(rng)).collect();
    if rng.below(8) == 0 {
        ops.extend(split_or_merge(rng));
    }
    Transaction { ops }
}

/// Everything that can be read, as text that differs where the stores do.
pub fn contents(s: &dyn ObjectRead) -> Result<Vec<String>, os::ReadError> {
    let mut out = Vec::new();
    for coll in s.collections() {
        out.push(format!("{coll}"));
        for oid in s.list(coll, &GHObject::min(), usize::MAX)?.0 {
            let size = s.stat(coll, &oid)?.expect("listed").size;
            let data = s.read(coll, &oid, 0, u64::MAX)?.expect("listed");
            let extents = s.extents(coll, &oid, 0, u64::MAX)?;
            let (attrs, header) = (s.attrs(coll, &oid)?, s.omap_header(coll, &oid)?);
            let omap = s.omap_range(coll, &oid, None, usize::MAX)?;
            let mut sum = DefaultHasher::new();
            sum.write(&data);
            out.push(format!(
                "{oid} {size} {} {:x} {extents:?} {attrs:?} {header:?} {omap:?}",
                data.len(),
                sum.finish()
            ));
        }
    }
    Ok(out)
}

/// A model that has seen everything the store took.
pub fn apply_both(store: &Store, model: &mut MemStore, token: u64, txn: &Transaction) -> bool {
    let mut next = model.clone();
    let expected = next.apply(txn);
    match (store.submit(token, txn), expected) {
        (Ok(()), Ok(())) => {
            *model = next;
            true
        }
        (Err(store::SubmitError::Refused(a)), Err(b)) => {
            assert_eq!(a, b, "{txn:?}");
            false
        }
        (a, b) => panic!("the store says {a:?}, the model {b:?} to {txn:?}"),
    }
}
