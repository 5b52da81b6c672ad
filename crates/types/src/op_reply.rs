//! What some operations answer with: listings of objects, watchers and clones, pieces of a copy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

use crate::addr::EntityAddr;
use crate::framed::{framed, unframed};
use crate::hobject::HObject;
use crate::ids::{EntityName, OsdReqId, SnapId, Version};
use crate::time::UTime;

/// `librados::ListObjectImpl`: one object of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListObject {
    pub nspace: ByteStr,
    pub oid: ByteStr,
    pub locator: ByteStr,
}

unframed! { ListObject; nspace: ByteStr, oid: ByteStr, locator: ByteStr }

impl From<&HObject> for ListObject {
    fn from(o: &HObject) -> Self {
        Self { nspace: o.nspace.clone(), oid: o.oid.clone(), locator: o.key.clone() }
    }
}

/// `pg_nls_response_t`: the answer to `pgnls`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgNlsResponse {
    /// Where the listing goes on.
    pub handle: HObject,
    pub entries: Vec<ListObject>,
}

framed! { PgNlsResponse, "pg_nls_response_t", 1, compat 1, min 1; handle, entries; }

/// `pg_ls_response_t`: the answer to `pgls`, which knows no namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgLsResponse {
    pub handle: HObject,
    /// Name and locator key.
    pub entries: Vec<(ByteStr, ByteStr)>,
}

impl Encode for PgLsResponse {
    fn encode(&self, e: &mut Encoder) {
        e.u8(1);
        e.put(&self.handle);
        e.put(&self.entries);
    }
}

impl Decode for PgLsResponse {
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.u8()? {
            1 => Ok(Self { handle: d.get()?, entries: d.get()? }),
            v => Err(DecodeError::Invalid { what: "pg_ls_response_t version", value: v.into() }),
        }
    }
}

/// `watch_item_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchItem {
    pub name: EntityName,
    pub cookie: u64,
    pub timeout_seconds: u32,
    pub addr: EntityAddr,
}

framed! { WatchItem, "watch_item_t", 2, compat 1, min 1; name, cookie, timeout_seconds; 2 => addr; }

/// `obj_list_watch_response_t`: the answer to `list-watchers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjListWatchResponse {
    pub entries: Vec<WatchItem>,
}

framed! { ObjListWatchResponse, "obj_list_watch_response_t", 1, compat 1, min 1; entries; }

/// `clone_info`. The head is listed as clone [`crate::SNAP_HEAD`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloneInfo {
    pub cloneid: SnapId,
    pub snaps: Vec<SnapId>,
    /// Start and length of what it shares with the next newer one.
    pub overlap: Vec<(u64, u64)>,
    pub size: u64,
}

framed! { CloneInfo, "clone_info", 1, compat 1, min 1; cloneid, snaps, overlap, size; }

/// `obj_list_snap_response_t`: the answer to `list-snaps`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjListSnapResponse {
    /// Oldest first.
    pub clones: Vec<CloneInfo>,
    pub seq: SnapId,
}

framed! { ObjListSnapResponse, "obj_list_snap_response_t", 2, compat 1, min 1; clones; 2 => seq; }

/// What a notify answers once all watchers did, or its time was up (Ceph: `Notify::maybe_complete_notify`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotifyReplies {
    /// Client's global id and cookie, with what it said.
    pub acks: Vec<((u64, u64), Bytes)>,
    pub timeouts: BTreeSet<(u64, u64)>,
}

unframed! { NotifyReplies; acks: Vec<((u64, u64), Bytes)>, timeouts: BTreeSet<(u64, u64)> }

/// `object_copy_cursor_t`: how far a copy is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectCopyCursor {
    pub attr_complete: bool,
    pub data_offset: u64,
    pub data_complete: bool,
    pub omap_offset: ByteStr,
    pub omap_complete: bool,
}

framed! { ObjectCopyCursor, "object_copy_cursor_t", 1, compat 1, min 1;
    attr_complete, data_offset, data_complete, omap_offset, omap_complete;
}

impl ObjectCopyCursor {
    pub fn is_complete(&self) -> bool {
        self.attr_complete && self.data_complete && self.omap_complete
    }
}

/// `object_copy_data_t`: the answer to `copy-get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCopyData {
    pub cursor: ObjectCopyCursor,
    pub size: u64,
    pub mtime: UTime,
    pub data_digest: u32,
    pub omap_digest: u32,
    /// 1: `data_digest` is known; 2: `omap_digest` is.
    pub flags: u32,
    pub attrs: BTreeMap<ByteStr, Bytes>,
    pub data: Bytes,
    pub omap_header: Bytes,
    /// An encoded map.
    pub omap_data: Bytes,
    pub snaps: Vec<SnapId>,
    pub snap_seq: SnapId,
    pub reqids: Vec<(OsdReqId, Version)>,
    pub reqid_return_codes: BTreeMap<u32, i32>,
    pub truncate_seq: u64,
    pub truncate_size: u64,
}

impl Default for ObjectCopyData {
    fn default() -> Self {
        Self {
            cursor: ObjectCopyCursor::default(),
            size: u64::MAX,
            mtime: UTime::ZERO,
            data_digest: u32::MAX,
            omap_digest: u32::MAX,
            flags: 0,
            attrs: BTreeMap::new(),
            data: Bytes::new(),
            omap_header: Bytes::new(),
            omap_data: Bytes::new(),
            snaps: Vec::new(),
            snap_seq: 0,
            reqids: Vec::new(),
            reqid_return_codes: BTreeMap::new(),
            truncate_seq: 0,
            truncate_size: 0,
        }
    }
}

framed! { ObjectCopyData, "object_copy_data_t", 8, compat 5, min 7;
    size, mtime, attrs, data, omap_data, cursor, omap_header, snaps, snap_seq, flags, data_digest, omap_digest,
    reqids, truncate_seq, truncate_size;
    8 => reqid_return_codes;
}
