//! What an OSD keeps beside an object's data: its info and snapshots; and how requests name objects.

use std::collections::BTreeMap;

use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};

use crate::addr::EntityAddr;
use crate::framed::{framed, unframed};
use crate::hobject::{HObject, SNAP_HEAD};
use crate::ids::{EVersion, EntityName, OsdReqId, PoolId, SnapId, Version};
use crate::interval_set::IntervalSet;
use crate::time::UTime;

/// `object_locator_t`: where the name of an object is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLocator {
    pub pool: PoolId,
    /// Placement follows this instead of the name, unless it is empty.
    pub key: ByteStr,
    pub nspace: ByteStr,
    /// Placement follows this hash, if it is not -1; there is no key then.
    pub hash: i64,
}

impl Default for ObjectLocator {
    fn default() -> Self {
        Self { pool: -1, key: ByteStr::default(), nspace: ByteStr::default(), hash: -1 }
    }
}

impl ObjectLocator {
    pub fn pool(pool: PoolId) -> Self {
        Self { pool, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.pool == -1
    }
}

impl From<&HObject> for ObjectLocator {
    fn from(o: &HObject) -> Self {
        Self { pool: o.pool, key: o.key.clone(), nspace: o.nspace.clone(), hash: -1 }
    }
}

impl Encode for ObjectLocator {
    fn encode(&self, e: &mut Encoder) {
        // A reader who does not know the hash would look in another place.
        let compat = if self.hash == -1 { 3 } else { 6 };
        e.versioned(6, compat, |e| {
            e.i64(self.pool);
            e.i32(-1); // once the preferred OSD
            e.put(&self.key);
            e.put(&self.nspace);
            e.i64(self.hash);
        });
    }
}

impl Decode for ObjectLocator {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_locator_t", 6, |d, v| {
            // Linux's client writes version 5 to this day.
            if v < 5 {
                return Err(DecodeError::TooOld { what: "object_locator_t", version: v });
            }
            let pool = d.i64()?;
            d.i32()?;
            let (key, nspace) = (d.get()?, d.get()?);
            let l = Self { pool, key, nspace, hash: if v >= 6 { d.i64()? } else { -1 } };
            if l.hash != -1 && !l.key.is_empty() {
                return Err(DecodeError::Invalid { what: "object_locator_t hash beside a key", value: l.hash as u64 });
            }
            Ok(l)
        })
    }
}

/// `request_redirect_t`: where a client shall ask instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestRedirect {
    pub locator: ObjectLocator,
    /// Another name, unless it is empty.
    pub object: ByteStr,
}

impl RequestRedirect {
    pub fn is_empty(&self) -> bool {
        self.locator.is_empty() && self.object.is_empty()
    }
}

impl Encode for RequestRedirect {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.locator);
            e.put(&self.object);
            e.u32(0); // once instructions for the OSD
        });
    }
}

impl Decode for RequestRedirect {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("request_redirect_t", 1, |d, _| Ok(Self { locator: d.get()?, object: d.get()? }))
    }
}

/// `SnapContext`: the snapshots that a writer knows, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapContext {
    pub seq: SnapId,
    pub snaps: Vec<SnapId>,
}

unframed! { SnapContext; seq: SnapId, snaps: Vec<SnapId> }

impl SnapContext {
    pub fn is_empty(&self) -> bool {
        self.seq == 0
    }

    /// Strictly descending, and none newer than `seq`.
    pub fn is_valid(&self) -> bool {
        let newest_fits = self.snaps.first().is_none_or(|s| *s <= self.seq);
        self.seq <= crate::hobject::SNAP_HEAD
            && newest_fits
            && self.snaps.windows(2).all(|w| w[0] > w[1])
            && self.snaps.last() != Some(&0)
    }
}

/// `SnapSet`: the clones of an object, kept with its head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapSet {
    pub seq: SnapId,
    /// Newest first; superseded by `clone_snaps` and empty in what Ceph 16 writes for new objects.
    pub snaps: Vec<SnapId>,
    /// Oldest first.
    pub clones: Vec<SnapId>,
    /// What a clone shares with the next newer one.
    pub clone_overlap: BTreeMap<SnapId, IntervalSet>,
    pub clone_size: BTreeMap<SnapId, u64>,
    /// The snapshots that a clone stands for, newest first.
    pub clone_snaps: BTreeMap<SnapId, Vec<SnapId>>,
}

impl SnapSet {
    /// The snapshots as a context, for writes that bring none (Ceph: `get_ssc_as_of`).
    pub fn context_as_of(&self, as_of: SnapId) -> SnapContext {
        let mut snaps: Vec<SnapId> = self.clone_snaps.values().flatten().copied().filter(|s| *s <= as_of).collect();
        snaps.sort_unstable_by(|a, b| b.cmp(a));
        snaps.dedup();
        SnapContext { seq: as_of, snaps }
    }

    /// Bytes that only this clone holds (Ceph: `get_clone_bytes`); `None` for an unknown clone.
    pub fn clone_bytes(&self, clone: SnapId) -> Option<u64> {
        let size = *self.clone_size.get(&clone)?;
        let shared = self.clone_overlap.get(&clone)?.size();
        Some(size.saturating_sub(shared))
    }
}

impl Encode for SnapSet {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(3, 2, |e| {
            e.u64(self.seq);
            e.bool(true); // once whether the head exists
            e.put(&self.snaps);
            e.put(&self.clones);
            e.put(&self.clone_overlap);
            e.put(&self.clone_size);
            e.put(&self.clone_snaps);
        });
    }
}

impl Decode for SnapSet {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("SnapSet", 3, |d, v| {
            let seq = d.u64()?;
            d.u8()?;
            let mut s = Self { seq, snaps: d.get()?, clones: d.get()?, ..Self::default() };
            s.clone_overlap = d.get()?;
            s.clone_size = d.get()?;
            if v >= 3 {
                s.clone_snaps = d.get()?;
            }
            Ok(s)
        })
    }
}

/// `watch_info_t`: a watch as it is kept with the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchInfo {
    pub cookie: u64,
    pub timeout_seconds: u32,
    pub addr: EntityAddr,
}

framed! { WatchInfo, "watch_info_t", 4, compat 3, min 4; cookie, timeout_seconds, addr; }

/// `chunk_info_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkInfo {
    pub offset: u32,
    pub length: u32,
    pub oid: HObject,
    pub flags: u32,
}

framed! { ChunkInfo, "chunk_info_t", 1, compat 1, min 1; offset, length, oid, flags; }

/// `object_manifest_t`: an object whose data is elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ObjectManifest {
    #[default]
    None,
    Redirect(HObject),
    Chunked(BTreeMap<u64, ChunkInfo>),
}

impl Encode for ObjectManifest {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| match self {
            Self::None => e.u8(0),
            Self::Redirect(target) => {
                e.u8(1);
                e.put(target);
            }
            Self::Chunked(map) => {
                e.u8(2);
                e.put(map);
            }
        });
    }
}

impl Decode for ObjectManifest {
    const MIN_SIZE: usize = 7;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_manifest_t", 1, |d, _| match d.u8()? {
            0 => Ok(Self::None),
            1 => Ok(Self::Redirect(d.get()?)),
            2 => Ok(Self::Chunked(d.get()?)),
            t => Err(DecodeError::Invalid { what: "object_manifest_t type", value: t.into() }),
        })
    }
}

/// Bits of [`ObjectInfo::flags`], and their names by bit.
pub mod object_flag {
    pub const LOST: u32 = 1 << 0;
    /// The object does not exist, but its snapshots do.
    pub const WHITEOUT: u32 = 1 << 1;
    pub const DIRTY: u32 = 1 << 2;
    pub const OMAP: u32 = 1 << 3;
    pub const DATA_DIGEST: u32 = 1 << 4;
    pub const OMAP_DIGEST: u32 = 1 << 5;
    pub const CACHE_PIN: u32 = 1 << 6;
    pub const MANIFEST: u32 = 1 << 7;
    pub const USES_TMAP: u32 = 1 << 8;
    pub const REDIRECT_HAS_REFERENCE: u32 = 1 << 9;

    pub const NAMES: [&str; 10] = [
        "lost",
        "whiteout",
        "dirty",
        "omap",
        "data_digest",
        "omap_digest",
        "cache_pin",
        "manifest",
        "uses_tmap",
        "redirect_has_reference",
    ];

    /// The names of the flags that are set.
    pub fn names(flags: u32) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(bit, _)| flags & 1 << bit != 0).map(|(_, name)| name)
    }
}

/// `object_info_t`: kept in the attribute `_` of each object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub soid: HObject,
    pub version: EVersion,
    pub prior_version: EVersion,
    pub user_version: Version,
    pub last_reqid: OsdReqId,
    pub size: u64,
    pub mtime: UTime,
    pub local_mtime: UTime,
    /// Bits of [`object_flag`].
    pub flags: u32,
    pub truncate_seq: u64,
    pub truncate_size: u64,
    /// By cookie and client.
    pub watchers: BTreeMap<(u64, EntityName), WatchInfo>,
    /// crc32c of all data, if [`object_flag::DATA_DIGEST`].
    pub data_digest: u32,
    pub omap_digest: u32,
    pub manifest: ObjectManifest,
    pub expected_object_size: u64,
    pub expected_write_size: u64,
    pub alloc_hint_flags: u32,
}

impl Default for ObjectInfo {
    fn default() -> Self {
        Self::new(HObject::default())
    }
}

impl ObjectInfo {
    pub fn new(soid: HObject) -> Self {
        Self {
            soid,
            version: EVersion::ZERO,
            prior_version: EVersion::ZERO,
            user_version: 0,
            last_reqid: OsdReqId::default(),
            size: 0,
            mtime: UTime::ZERO,
            local_mtime: UTime::ZERO,
            flags: 0,
            truncate_seq: 0,
            truncate_size: 0,
            watchers: BTreeMap::new(),
            data_digest: u32::MAX,
            omap_digest: u32::MAX,
            manifest: ObjectManifest::None,
            expected_object_size: 0,
            expected_write_size: 0,
            alloc_hint_flags: 0,
        }
    }

    pub fn test_flag(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub fn set_flag(&mut self, flag: u32) {
        self.flags |= flag;
    }

    pub fn clear_flag(&mut self, flag: u32) {
        self.flags &= !flag;
    }

    pub fn is_whiteout(&self) -> bool {
        self.test_flag(object_flag::WHITEOUT)
    }

    pub fn is_omap(&self) -> bool {
        self.test_flag(object_flag::OMAP)
    }

    pub fn set_data_digest(&mut self, crc: u32) {
        self.set_flag(object_flag::DATA_DIGEST);
        self.data_digest = crc;
    }

    pub fn clear_data_digest(&mut self) {
        self.clear_flag(object_flag::DATA_DIGEST);
        self.data_digest = u32::MAX;
    }

    pub fn set_omap_digest(&mut self, crc: u32) {
        self.set_flag(object_flag::OMAP_DIGEST);
        self.omap_digest = crc;
    }

    pub fn clear_omap_digest(&mut self) {
        self.clear_flag(object_flag::OMAP_DIGEST);
        self.omap_digest = u32::MAX;
    }
}

impl Encode for ObjectInfo {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(17, 8, |e| {
            e.put(&self.soid);
            e.put(&ObjectLocator::from(&self.soid));
            e.u32(0); // once the category
            e.put(&self.version);
            e.put(&self.prior_version);
            e.put(&self.last_reqid);
            e.u64(self.size);
            e.put(&self.mtime);
            if self.soid.snap == SNAP_HEAD {
                e.put(&OsdReqId::default()); // once who held the write lock
            } else {
                e.u32(0); // once the snapshots
            }
            e.u64(self.truncate_seq);
            e.u64(self.truncate_size);
            e.bool(self.test_flag(object_flag::LOST));
            // Older readers have one watch a client.
            let mut by_client = BTreeMap::new();
            for ((_, name), watch) in &self.watchers {
                by_client.entry(*name).or_insert(watch);
            }
            e.put(&by_client);
            e.put(&EVersion::new(0, self.user_version));
            e.bool(self.test_flag(object_flag::USES_TMAP));
            e.put(&self.watchers);
            e.u32(self.flags);
            e.put(&self.local_mtime);
            e.u32(self.data_digest);
            e.u32(self.omap_digest);
            e.u64(self.expected_object_size);
            e.u64(self.expected_write_size);
            e.u32(self.alloc_hint_flags);
            if self.test_flag(object_flag::MANIFEST) {
                e.put(&self.manifest);
            }
        });
    }
}

impl Decode for ObjectInfo {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("object_info_t", 17, |d, v| {
            if v < 16 {
                return Err(DecodeError::TooOld { what: "object_info_t", version: v });
            }
            let mut o = Self::new(d.get()?);
            let _locator: ObjectLocator = d.get()?;
            let _category: ByteStr = d.get()?;
            o.version = d.get()?;
            o.prior_version = d.get()?;
            o.last_reqid = d.get()?;
            o.size = d.u64()?;
            o.mtime = d.get()?;
            if o.soid.snap == SNAP_HEAD {
                let _wrlock_by: OsdReqId = d.get()?;
            } else {
                let _legacy_snaps: Vec<SnapId> = d.get()?;
            }
            o.truncate_seq = d.u64()?;
            o.truncate_size = d.u64()?;
            let _lost = d.u8()?; // again in the flags
            let _by_client: BTreeMap<EntityName, WatchInfo> = d.get()?;
            o.user_version = d.get::<EVersion>()?.version;
            let _uses_tmap = d.bool()?;
            o.watchers = d.get()?;
            o.flags = d.u32()?;
            o.local_mtime = d.get()?;
            o.data_digest = d.u32()?;
            o.omap_digest = d.u32()?;
            o.expected_object_size = d.u64()?;
            o.expected_write_size = d.u64()?;
            o.alloc_hint_flags = d.u32()?;
            if v >= 17 && o.test_flag(object_flag::MANIFEST) {
                o.manifest = d.get()?;
            }
            Ok(o)
        })
    }
}
