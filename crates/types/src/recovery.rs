//! What travels when an object is recovered: pulls, pushes and how far they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::ByteStr;

use crate::framed::framed;
use crate::hobject::HObject;
use crate::ids::EVersion;
use crate::interval_set::IntervalSet;
use crate::object::{ObjectInfo, SnapSet};

/// `ObjectRecoveryInfo`: which object, in which version, and what of it is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRecoveryInfo {
    pub soid: HObject,
    pub version: EVersion,
    /// `u64::MAX` in a pull of which the size is not known.
    pub size: u64,
    pub oi: ObjectInfo,
    pub ss: SnapSet,
    pub copy_subset: IntervalSet,
    /// What the receiver takes from a clone of its own.
    pub clone_subset: BTreeMap<HObject, IntervalSet>,
    /// The receiver has an older version, of which the rest stays.
    pub object_exist: bool,
}

framed! { ObjectRecoveryInfo, "ObjectRecoveryInfo", 3, compat 1, min 2;
    soid, version, size, oi, ss, copy_subset, clone_subset; 3 => object_exist;
}

/// `ObjectRecoveryProgress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecoveryProgress {
    pub first: bool,
    pub data_recovered_to: u64,
    pub data_complete: bool,
    pub omap_recovered_to: ByteStr,
    pub omap_complete: bool,
}

impl Default for ObjectRecoveryProgress {
    /// Nothing is done yet.
    fn default() -> Self {
        Self {
            first: true,
            data_recovered_to: 0,
            data_complete: false,
            omap_recovered_to: ByteStr::default(),
            omap_complete: false,
        }
    }
}

impl ObjectRecoveryProgress {
    /// Whether everything that `info` asks for was copied.
    pub fn is_complete(&self, info: &ObjectRecoveryInfo) -> bool {
        let end = info.copy_subset.range_end().unwrap_or(0);
        self.data_recovered_to >= end && self.omap_complete
    }
}

framed! { ObjectRecoveryProgress, "ObjectRecoveryProgress", 1, compat 1, min 1;
    first, data_complete, data_recovered_to, omap_recovered_to, omap_complete;
}

/// `PushOp`: a piece of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushOp {
    pub soid: HObject,
    pub version: EVersion,
    /// The bytes of `data_included`, joined.
    pub data: Bytes,
    pub data_included: IntervalSet,
    pub omap_header: Bytes,
    pub omap_entries: BTreeMap<ByteStr, Bytes>,
    pub attrset: BTreeMap<ByteStr, Bytes>,
    pub recovery_info: ObjectRecoveryInfo,
    pub before_progress: ObjectRecoveryProgress,
    pub after_progress: ObjectRecoveryProgress,
}

framed! { PushOp, "PushOp", 1, compat 1, min 1;
    soid, version, data, data_included, omap_header, omap_entries, attrset, recovery_info, after_progress,
    before_progress;
}

/// `PushReplyOp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReplyOp {
    pub soid: HObject,
}

framed! { PushReplyOp, "PushReplyOp", 1, compat 1, min 1; soid; }

/// `PullOp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullOp {
    pub soid: HObject,
    pub recovery_info: ObjectRecoveryInfo,
    pub recovery_progress: ObjectRecoveryProgress,
}

framed! { PullOp, "PullOp", 1, compat 1, min 1; soid, recovery_info, recovery_progress; }
