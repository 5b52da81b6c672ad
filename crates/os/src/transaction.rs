//! Changes to objects, as one atomic list.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::ByteStr;
use types::GHObject;

use crate::Coll;

/// The largest size an object may have (Ceph: BlueStore's `OBJECT_MAX_SIZE`). A core refuses larger
/// ones long before (`osd_max_object_size`); the stores and the decoder refuse them once more.
pub const OBJECT_SIZE_MAX: u64 = 0xffff_ffff;

/// One change. An object that does not exist is created by a change that gives it something, and a
/// change that takes something away from it does nothing. Unlike Ceph, whose OSD asserts on some of
/// those; what we refuse is listed in [`ApplyError`](crate::ApplyError).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxOp {
    /// `bits` bits of the hash say what belongs into a PG's collection ([`Coll::holds`]).
    MkColl {
        coll: Coll,
        bits: u32,
    },
    /// The collection must be empty.
    RmColl {
        coll: Coll,
    },
    /// Objects whose hash has `rem` in its low `bits` bits are those of `dest` from now on, which must exist
    /// and be of the same pool. Where a PG splits into several, each has its own, smaller bits first.
    SplitColl {
        coll: Coll,
        bits: u32,
        rem: u32,
        dest: Coll,
    },
    /// All objects are those of `dest`, a PG that differs beyond `bits` bits only, and `coll` is gone.
    MergeColl {
        coll: Coll,
        dest: Coll,
        bits: u32,
    },
    /// `OP_CREATE`: as `Touch`, by a writer who knows that the object does not exist.
    Create {
        coll: Coll,
        oid: GHObject,
    },
    Touch {
        coll: Coll,
        oid: GHObject,
    },
    /// Grows the object as needed. Writing nothing changes no size, but creates the object.
    Write {
        coll: Coll,
        oid: GHObject,
        off: u64,
        data: Bytes,
        fadvise: u32,
    },
    /// As writing zeros, but leaves a hole.
    Zero {
        coll: Coll,
        oid: GHObject,
        off: u64,
        len: u64,
    },
    Truncate {
        coll: Coll,
        oid: GHObject,
        size: u64,
    },
    /// Removes data, attributes and omap. Removing what is not there is not an error.
    Remove {
        coll: Coll,
        oid: GHObject,
    },
    SetAttrs {
        coll: Coll,
        oid: GHObject,
        attrs: BTreeMap<ByteStr, Bytes>,
    },
    RmAttr {
        coll: Coll,
        oid: GHObject,
        name: ByteStr,
    },
    RmAttrs {
        coll: Coll,
        oid: GHObject,
    },
    /// Makes `dest` a copy of `oid`, which must exist: data, attributes and omap. What `dest` was is gone.
    Clone {
        coll: Coll,
        oid: GHObject,
        dest: GHObject,
    },
    /// Copies a range of data, holes included, from `oid`, which must exist; `dest` grows to its end.
    CloneRange {
        coll: Coll,
        oid: GHObject,
        dest: GHObject,
        off: u64,
        len: u64,
        dest_off: u64,
    },
    OmapClear {
        coll: Coll,
        oid: GHObject,
    },
    OmapSet {
        coll: Coll,
        oid: GHObject,
        keys: BTreeMap<ByteStr, Bytes>,
    },
    OmapRm {
        coll: Coll,
        oid: GHObject,
        keys: Vec<ByteStr>,
    },
    /// Removes keys in `first..last`.
    OmapRmRange {
        coll: Coll,
        oid: GHObject,
        first: ByteStr,
        last: ByteStr,
    },
    OmapSetHeader {
        coll: Coll,
        oid: GHObject,
        header: Bytes,
    },
    /// Moves an object, possibly to another collection; whatever was at the destination is replaced.
    /// Moving what is not there does nothing.
    MoveRename {
        coll: Coll,
        oid: GHObject,
        dest_coll: Coll,
        dest: GHObject,
    },
    SetAllocHint {
        coll: Coll,
        oid: GHObject,
        object_size: u64,
        write_size: u64,
        flags: u32,
    },
}

impl TxOp {
    /// The collections that the change touches; the second of those that take two.
    pub fn colls(&self) -> (Coll, Option<Coll>) {
        match self {
            Self::SplitColl { coll, dest, .. } | Self::MergeColl { coll, dest, .. } => (*coll, Some(*dest)),
            Self::MoveRename { coll, dest_coll, .. } => (*coll, Some(*dest_coll)),
            Self::MkColl { coll, .. }
            | Self::RmColl { coll }
            | Self::Create { coll, .. }
            | Self::Touch { coll, .. }
            | Self::Write { coll, .. }
            | Self::Zero { coll, .. }
            | Self::Truncate { coll, .. }
            | Self::Remove { coll, .. }
            | Self::SetAttrs { coll, .. }
            | Self::RmAttr { coll, .. }
            | Self::RmAttrs { coll, .. }
            | Self::Clone { coll, .. }
            | Self::CloneRange { coll, .. }
            | Self::OmapClear { coll, .. }
            | Self::OmapSet { coll, .. }
            | Self::OmapRm { coll, .. }
            | Self::OmapRmRange { coll, .. }
            | Self::OmapSetHeader { coll, .. }
            | Self::SetAllocHint { coll, .. } => (*coll, None),
        }
    }
}

/// `ObjectStore::Transaction`: changes that take effect together, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub ops: Vec<TxOp>,
}

impl Transaction {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub fn push(&mut self, op: TxOp) {
        self.ops.push(op);
    }

    pub fn append(&mut self, other: Self) {
        self.ops.extend(other.ops);
    }
}
