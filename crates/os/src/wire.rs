//! How a transaction travels (Ceph: `ObjectStore::Transaction::encode`), in MOSDRepOp's data segment.
//!
//! ```text
//! frame v9 ┌ data: length, then what each op carries, in op order (payloads, maps, keys)
//!          ├ ops: length, then 72 packed bytes an op, naming collections and objects by number
//!          ├ collections: map of coll_t to its number
//!          ├ objects: map of ghobject_t to its number
//!          └ totals: op count, size and place of the largest write, fadvise flags
//! ```
//! Written payloads are copied once on the way out and not at all on the way in: what is decoded holds on to the frame it
//! came in, and a store copies what it keeps long.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::GHObject;

use crate::{Coll, OBJECT_SIZE_MAX, Transaction, TxOp};

const OP_NOP: u32 = 0;
const OP_CREATE: u32 = 7;
const OP_TOUCH: u32 = 9;
const OP_WRITE: u32 = 10;
const OP_ZERO: u32 = 11;
const OP_TRUNCATE: u32 = 12;
const OP_REMOVE: u32 = 13;
const OP_SETATTR: u32 = 14;
const OP_SETATTRS: u32 = 15;
const OP_RMATTR: u32 = 16;
const OP_CLONE: u32 = 17;
const OP_MKCOLL: u32 = 20;
const OP_RMCOLL: u32 = 21;
const OP_RMATTRS: u32 = 28;
const OP_CLONERANGE2: u32 = 30;
const OP_OMAP_CLEAR: u32 = 31;
const OP_OMAP_SETKEYS: u32 = 32;
const OP_OMAP_RMKEYS: u32 = 33;
const OP_OMAP_SETHEADER: u32 = 34;
const OP_SPLIT_COLLECTION2: u32 = 36;
const OP_OMAP_RMKEYRANGE: u32 = 37;
const OP_COLL_MOVE_RENAME: u32 = 38;
const OP_SETALLOCHINT: u32 = 39;
/// How many objects a collection may come to hold: of no use to us.
const OP_COLL_HINT: u32 = 40;
const OP_TRY_RENAME: u32 = 41;
const OP_MERGE_COLLECTION: u32 = 43;

/// Size of a packed `Op`.
const OP_SIZE: usize = 72;

/// `ObjectStore::Transaction::Op`.
#[derive(Default)]
struct Op {
    op: u32,
    cid: u32,
    oid: u32,
    off: u64,
    len: u64,
    dest_cid: u32,
    dest_oid: u32,
    dest_off: u64,
    hint: u32,
    expected_object_size: u64,
    expected_write_size: u64,
    split_bits: u32,
    split_rem: u32,
}

impl Encode for Op {
    fn encode(&self, e: &mut Encoder) {
        e.u32(self.op);
        e.u32(self.cid);
        e.u32(self.oid);
        e.u64(self.off);
        e.u64(self.len);
        e.u32(self.dest_cid);
        e.u32(self.dest_oid);
        e.u64(self.dest_off);
        e.u32(self.hint);
        e.u64(self.expected_object_size);
        e.u64(self.expected_write_size);
        e.u32(self.split_bits);
        e.u32(self.split_rem);
    }
}

impl Decode for Op {
    const MIN_SIZE: usize = OP_SIZE;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            op: d.u32()?,
            cid: d.u32()?,
            oid: d.u32()?,
            off: d.u64()?,
            len: d.u64()?,
            dest_cid: d.u32()?,
            dest_oid: d.u32()?,
            dest_off: d.u64()?,
            hint: d.u32()?,
            expected_object_size: d.u64()?,
            expected_write_size: d.u64()?,
            split_bits: d.u32()?,
            split_rem: d.u32()?,
        })
    }
}

/// Numbers collections and objects in the order in which ops name them.
struct Writer<'a> {
    ops: Encoder,
    colls: BTreeMap<Coll, u32>,
    oids: BTreeMap<&'a GHObject, u32>,
    largest_len: u32,
    largest_off: u32,
    largest_off_in_data: u32,
    fadvise: u32,
}

impl<'a> Writer<'a> {
    fn cid(&mut self, coll: Coll) -> u32 {
        let next = self.colls.len() as u32;
        *self.colls.entry(coll).or_insert(next)
    }

    fn oid(&mut self, oid: &'a GHObject) -> u32 {
        let next = self.oids.len() as u32;
        *self.oids.entry(oid).or_insert(next)
    }

    fn on(&mut self, op: u32, coll: Coll, oid: &'a GHObject) -> Op {
        Op { op, cid: self.cid(coll), oid: self.oid(oid), ..Op::default() }
    }

    /// Appends what the op carries to `data`; gives its fixed part.
    fn op(&mut self, tx: &'a TxOp, data: &mut Encoder, data_start: usize) -> Op {
        match tx {
            TxOp::MkColl { coll, bits } => {
                Op { op: OP_MKCOLL, cid: self.cid(*coll), split_bits: *bits, ..Op::default() }
            }
            TxOp::RmColl { coll } => Op { op: OP_RMCOLL, cid: self.cid(*coll), ..Op::default() },
            TxOp::SplitColl { coll, bits, rem, dest } => Op {
                op: OP_SPLIT_COLLECTION2,
                cid: self.cid(*coll),
                dest_cid: self.cid(*dest),
                split_bits: *bits,
                split_rem: *rem,
                ..Op::default()
            },
            TxOp::MergeColl { coll, dest, bits } => Op {
                op: OP_MERGE_COLLECTION,
                cid: self.cid(*coll),
                dest_cid: self.cid(*dest),
                split_bits: *bits,
                ..Op::default()
            },
            TxOp::Create { coll, oid } => self.on(OP_CREATE, *coll, oid),
            TxOp::Touch { coll, oid } => self.on(OP_TOUCH, *coll, oid),
            TxOp::Write { coll, oid, off, data: payload, fadvise } => {
                let len = u32::try_from(payload.len()).expect("no write reaches 4 GiB");
                self.fadvise |= fadvise;
                if len > self.largest_len {
                    self.largest_len = len;
                    self.largest_off = *off as u32;
                    self.largest_off_in_data = (data.len() - data_start + 4) as u32;
                }
                data.put(payload);
                Op { off: *off, len: len.into(), ..self.on(OP_WRITE, *coll, oid) }
            }
            TxOp::Zero { coll, oid, off, len } => Op { off: *off, len: *len, ..self.on(OP_ZERO, *coll, oid) },
            TxOp::Truncate { coll, oid, size } => Op { off: *size, ..self.on(OP_TRUNCATE, *coll, oid) },
            TxOp::Remove { coll, oid } => self.on(OP_REMOVE, *coll, oid),
            TxOp::SetAttrs { coll, oid, attrs } => {
                data.put(attrs);
                self.on(OP_SETATTRS, *coll, oid)
            }
            TxOp::RmAttr { coll, oid, name } => {
                data.put(name);
                self.on(OP_RMATTR, *coll, oid)
            }
            TxOp::RmAttrs { coll, oid } => self.on(OP_RMATTRS, *coll, oid),
            TxOp::Clone { coll, oid, dest } => {
                let op = self.on(OP_CLONE, *coll, oid);
                Op { dest_oid: self.oid(dest), ..op }
            }
            TxOp::CloneRange { coll, oid, dest, off, len, dest_off } => {
                let op = self.on(OP_CLONERANGE2, *coll, oid);
                Op { dest_oid: self.oid(dest), off: *off, len: *len, dest_off: *dest_off, ..op }
            }
            TxOp::OmapClear { coll, oid } => self.on(OP_OMAP_CLEAR, *coll, oid),
            TxOp::OmapSet { coll, oid, keys } => {
                data.put(keys);
                self.on(OP_OMAP_SETKEYS, *coll, oid)
            }
            TxOp::OmapRm { coll, oid, keys } => {
                data.put(keys);
                self.on(OP_OMAP_RMKEYS, *coll, oid)
            }
            TxOp::OmapRmRange { coll, oid, first, last } => {
                data.put(first);
                data.put(last);
                self.on(OP_OMAP_RMKEYRANGE, *coll, oid)
            }
            TxOp::OmapSetHeader { coll, oid, header } => {
                data.put(header);
                self.on(OP_OMAP_SETHEADER, *coll, oid)
            }
            TxOp::MoveRename { coll, oid, dest_coll, dest } => {
                let op = self.on(OP_COLL_MOVE_RENAME, *coll, oid);
                Op { dest_cid: self.cid(*dest_coll), dest_oid: self.oid(dest), ..op }
            }
            TxOp::SetAllocHint { coll, oid, object_size, write_size, flags } => Op {
                hint: *flags,
                expected_object_size: *object_size,
                expected_write_size: *write_size,
                ..self.on(OP_SETALLOCHINT, *coll, oid)
            },
        }
    }
}

impl Encode for Transaction {
    fn encode(&self, e: &mut Encoder) {
        let mut w = Writer {
            ops: Encoder::with_capacity(e.features(), self.ops.len() * OP_SIZE),
            colls: BTreeMap::new(),
            oids: BTreeMap::new(),
            largest_len: 0,
            largest_off: 0,
            largest_off_in_data: 0,
            fadvise: 0,
        };
        e.versioned(9, 9, |e| {
            e.with_length(|e| {
                let start = e.len();
                for tx in &self.ops {
                    let op = w.op(tx, e, start);
                    w.ops.put(&op);
                }
            });
            e.blob(w.ops.as_slice());
            e.put(&w.colls);
            e.put(&w.oids);
            e.u64(self.ops.len() as u64);
            e.u32(w.largest_len);
            e.u32(w.largest_off);
            e.u32(w.largest_off_in_data);
            e.u32(w.fadvise);
        });
    }
}

/// What the numbers in ops stand for.
struct Names {
    colls: Vec<Coll>,
    oids: Vec<GHObject>,
    fadvise: u32,
}

impl Names {
    fn coll(&self, id: u32) -> Result<Coll, DecodeError> {
        let missing = DecodeError::Invalid { what: "Transaction::Op cid", value: id.into() };
        self.colls.get(id as usize).copied().ok_or(missing)
    }

    fn oid(&self, id: u32) -> Result<GHObject, DecodeError> {
        let missing = DecodeError::Invalid { what: "Transaction::Op oid", value: id.into() };
        self.oids.get(id as usize).cloned().ok_or(missing)
    }

    /// The change that `op` makes with what it carries in `data`; `None` for those without effect.
    fn tx_op(&self, op: &Op, data: &mut Decoder) -> Result<Option<TxOp>, DecodeError> {
        let coll = match op.op {
            OP_NOP => return Ok(None),
            _ => self.coll(op.cid)?,
        };
        let oid = || self.oid(op.oid);
        let dest = || self.oid(op.dest_oid);
        let dest_coll = || self.coll(op.dest_cid);
        Ok(Some(match op.op {
            OP_MKCOLL => TxOp::MkColl { coll, bits: op.split_bits },
            OP_RMCOLL => TxOp::RmColl { coll },
            OP_SPLIT_COLLECTION2 => {
                TxOp::SplitColl { coll, bits: op.split_bits, rem: op.split_rem, dest: dest_coll()? }
            }
            OP_MERGE_COLLECTION => TxOp::MergeColl { coll, dest: dest_coll()?, bits: op.split_bits },
            OP_COLL_HINT => {
                data.blob()?;
                return Ok(None);
            }
            OP_CREATE => TxOp::Create { coll, oid: oid()? },
            OP_TOUCH => TxOp::Touch { coll, oid: oid()? },
            OP_WRITE => {
                let payload = data.blob()?;
                if payload.len() as u64 != op.len {
                    return Err(DecodeError::Invalid { what: "Transaction::Op write length", value: op.len });
                }
                check_range(op.off, op.len)?;
                TxOp::Write { coll, oid: oid()?, off: op.off, data: payload, fadvise: self.fadvise }
            }
            OP_ZERO => {
                check_range(op.off, op.len)?;
                TxOp::Zero { coll, oid: oid()?, off: op.off, len: op.len }
            }
            OP_TRUNCATE => {
                check_range(op.off, 0)?;
                TxOp::Truncate { coll, oid: oid()?, size: op.off }
            }
            OP_REMOVE => TxOp::Remove { coll, oid: oid()? },
            OP_SETATTR => {
                let attrs = BTreeMap::from([(data.get()?, data.blob()?)]);
                TxOp::SetAttrs { coll, oid: oid()?, attrs }
            }
            OP_SETATTRS => TxOp::SetAttrs { coll, oid: oid()?, attrs: data.get()? },
            OP_RMATTR => TxOp::RmAttr { coll, oid: oid()?, name: data.get()? },
            OP_RMATTRS => TxOp::RmAttrs { coll, oid: oid()? },
            OP_CLONE => TxOp::Clone { coll, oid: oid()?, dest: dest()? },
            OP_CLONERANGE2 => {
                check_range(op.off, op.len)?;
                check_range(op.dest_off, op.len)?;
                let (off, len, dest_off) = (op.off, op.len, op.dest_off);
                TxOp::CloneRange { coll, oid: oid()?, dest: dest()?, off, len, dest_off }
            }
            OP_OMAP_CLEAR => TxOp::OmapClear { coll, oid: oid()? },
            OP_OMAP_SETKEYS => TxOp::OmapSet { coll, oid: oid()?, keys: data.get()? },
            OP_OMAP_RMKEYS => TxOp::OmapRm { coll, oid: oid()?, keys: data.get()? },
            OP_OMAP_RMKEYRANGE => TxOp::OmapRmRange { coll, oid: oid()?, first: data.get()?, last: data.get()? },
            OP_OMAP_SETHEADER => TxOp::OmapSetHeader { coll, oid: oid()?, header: data.blob()? },
            OP_COLL_MOVE_RENAME => TxOp::MoveRename { coll, oid: oid()?, dest_coll: dest_coll()?, dest: dest()? },
            OP_TRY_RENAME => TxOp::MoveRename { coll, oid: oid()?, dest_coll: coll, dest: dest()? },
            OP_SETALLOCHINT => TxOp::SetAllocHint {
                coll,
                oid: oid()?,
                object_size: op.expected_object_size,
                write_size: op.expected_write_size,
                flags: op.hint,
            },
            other => return Err(DecodeError::Invalid { what: "Transaction::Op op", value: other.into() }),
        }))
    }
}

fn check_range(off: u64, len: u64) -> Result<(), DecodeError> {
    match off.checked_add(len) {
        Some(end) if end <= OBJECT_SIZE_MAX => Ok(()),
        _ => Err(DecodeError::Invalid { what: "Transaction::Op range", value: off }),
    }
}

/// The keys of a map of names to numbers, by number. Every number below the count occurs once.
fn by_number<T: Decode>(d: &mut Decoder, what: &'static str) -> Result<Vec<T>, DecodeError> {
    let n = d.count(T::MIN_SIZE + 4)?;
    let mut out: Vec<Option<T>> = Vec::new();
    out.resize_with(n, || None);
    for _ in 0..n {
        let name = d.get()?;
        let id = d.u32()?;
        let free = out.get_mut(id as usize).filter(|slot| slot.is_none());
        *free.ok_or(DecodeError::Invalid { what, value: id.into() })? = Some(name);
    }
    Ok(out.into_iter().flatten().collect())
}

impl Decode for Transaction {
    const MIN_SIZE: usize = 46;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ObjectStore::Transaction", 9, |d, version| {
            if version < 9 {
                return Err(DecodeError::TooOld { what: "ObjectStore::Transaction", version });
            }
            let mut data = Decoder::new(d.blob()?);
            let mut ops = Decoder::new(d.blob()?);
            let colls = by_number(d, "Transaction coll_index")?;
            let oids = by_number(d, "Transaction object_index")?;
            let count = d.u64()?;
            d.skip(12)?;
            let names = Names { colls, oids, fadvise: d.u32()? };
            if count != (ops.remaining() / OP_SIZE) as u64 {
                return Err(DecodeError::Invalid { what: "Transaction op count", value: count });
            }
            let mut out = Vec::with_capacity(ops.remaining() / OP_SIZE);
            for _ in 0..count {
                let op = ops.get()?;
                out.extend(names.tx_op(&op, &mut data)?);
            }
            data.expect_end()?;
            Ok(Self { ops: out })
        })
    }
}
