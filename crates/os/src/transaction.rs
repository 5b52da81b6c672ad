//! Changes to objects, as one atomic list.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use denc::ByteStr;
use types::{GHObject, SpgId};

/// `coll_t`: where objects are kept together: one collection a PG, one for the OSD itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coll {
    #[default]
    Meta,
    Pg(SpgId),
    /// Objects under way to their PG (recovery pushes are assembled here).
    Temp(SpgId),
}

impl fmt::Display for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Pg(pg) => write!(f, "{pg}_head"),
            Self::Temp(pg) => write!(f, "{pg}_TEMP"),
        }
    }
}

impl fmt::Debug for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One change. An object that does not exist is created by any change that needs it, as in Ceph,
/// except where said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxOp {
    MkColl {
        coll: Coll,
        bits: u32,
    },
    /// The collection must be empty.
    RmColl {
        coll: Coll,
    },
    /// Objects whose hash matches `rem` in its low `bits` bits move to `dest`.
    SplitColl {
        coll: Coll,
        bits: u32,
        rem: u32,
        dest: Coll,
    },
    MergeColl {
        coll: Coll,
        dest: Coll,
        bits: u32,
    },
    Touch {
        coll: Coll,
        oid: GHObject,
    },
    Write {
        coll: Coll,
        oid: GHObject,
        off: u64,
        data: Bytes,
        fadvise: u32,
    },
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
    /// Makes `dest` a copy of `oid`: data, attributes and omap. `dest` must not exist.
    Clone {
        coll: Coll,
        oid: GHObject,
        dest: GHObject,
    },
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
