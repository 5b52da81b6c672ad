//! A PG's log: its entries, the duplicates that it remembers beyond them, and what an entry touched.

use std::fmt;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::framed::framed;
use crate::hobject::HObject;
use crate::ids::{EVersion, Epoch, OsdReqId, PgId, SnapId, Version};
use crate::interval_set::IntervalSet;
use crate::time::UTime;

/// What a [`LogEntry`] did to its object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogOp {
    /// What Ceph's empty entry has.
    #[default]
    None,
    Modify,
    Clone,
    Delete,
    /// The newest version was lost; an older one holds.
    LostRevert,
    LostDelete,
    LostMark,
    Promote,
    Clean,
    /// Nothing; it only remembers the error that a client got.
    Error,
}

impl LogOp {
    const ALL: [(Self, i32, &'static str); 10] = [
        (Self::None, 0, "unknown"),
        (Self::Modify, 1, "modify"),
        (Self::Clone, 2, "clone"),
        (Self::Delete, 3, "delete"),
        (Self::LostRevert, 5, "l_revert"),
        (Self::LostDelete, 6, "l_delete"),
        (Self::LostMark, 7, "l_mark"),
        (Self::Promote, 8, "promote"),
        (Self::Clean, 9, "clean"),
        (Self::Error, 10, "error"),
    ];

    fn row(self) -> (Self, i32, &'static str) {
        *Self::ALL.iter().find(|(op, ..)| *op == self).expect("the table names every op")
    }

    pub fn as_str(self) -> &'static str {
        self.row().2
    }
}

impl Encode for LogOp {
    fn encode(&self, e: &mut Encoder) {
        e.i32(self.row().1);
    }
}

impl Decode for LogOp {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let code = d.i32()?;
        let known = Self::ALL.iter().find(|(_, c, _)| *c == code);
        known.map(|(op, ..)| *op).ok_or(DecodeError::Invalid { what: "pg_log_entry_t op", value: code as u64 })
    }
}

/// `ObjectModDesc`: how an erasure-coded shard would undo the entry. Kept encoded; replicated pools
/// only say that it cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectModDesc {
    pub can_local_rollback: bool,
    pub rollback_info_completed: bool,
    /// The version that a reader must know, which is also the one that is written.
    pub max_required_version: u8,
    pub ops: Vec<u8>,
}

impl Default for ObjectModDesc {
    fn default() -> Self {
        Self { can_local_rollback: true, rollback_info_completed: false, max_required_version: 1, ops: Vec::new() }
    }
}

impl ObjectModDesc {
    /// What replicated pools write (Ceph: `mark_unrollbackable`).
    pub fn unrollbackable() -> Self {
        Self { can_local_rollback: false, ..Self::default() }
    }
}

impl Encode for ObjectModDesc {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(self.max_required_version, self.max_required_version, |e| {
            e.bool(self.can_local_rollback);
            e.bool(self.rollback_info_completed);
            e.blob(&self.ops);
        });
    }
}

impl Decode for ObjectModDesc {
    const MIN_SIZE: usize = 12;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ObjectModDesc", 2, |d, v| {
            Ok(Self {
                can_local_rollback: d.bool()?,
                rollback_info_completed: d.bool()?,
                max_required_version: v.min(2), // newer ones say that we may read them
                ops: d.blob()?.to_vec(),
            })
        })
    }
}

/// `ObjectCleanRegions`: which parts of an object an entry left as they were, so that recovery copies
/// only the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCleanRegions {
    pub clean_offsets: IntervalSet,
    pub clean_omap: bool,
    pub new_object: bool,
}

/// More clean intervals than this are not worth remembering (Ceph: `osd_object_clean_region_max_num_intervals`).
const CLEAN_INTERVALS_MAX: usize = 10;
/// All offsets there can be.
const ALL_BYTES: u64 = u64::MAX;

impl Default for ObjectCleanRegions {
    /// All clean.
    fn default() -> Self {
        Self { clean_offsets: [(0, ALL_BYTES)].into_iter().collect(), clean_omap: true, new_object: false }
    }
}

impl ObjectCleanRegions {
    pub fn fully_dirty() -> Self {
        Self { clean_offsets: IntervalSet::new(), clean_omap: false, new_object: true }
    }

    pub fn mark_data_region_dirty(&mut self, offset: u64, len: u64) {
        self.clean_offsets.erase(offset, len);
        self.trim();
    }

    pub fn mark_omap_dirty(&mut self) {
        self.clean_omap = false;
    }

    pub fn mark_object_new(&mut self) {
        self.new_object = true;
    }

    pub fn mark_fully_dirty(&mut self) {
        *self = Self::fully_dirty();
    }

    /// What two entries in a row left clean.
    pub fn merge(&mut self, o: &Self) {
        self.clean_offsets.intersection_of(&o.clean_offsets);
        self.clean_omap &= o.clean_omap;
        self.trim();
    }

    pub fn dirty_regions(&self) -> IntervalSet {
        let mut dirty: IntervalSet = [(0, ALL_BYTES)].into_iter().collect();
        dirty.subtract(&self.clean_offsets);
        dirty
    }

    /// Forgets the shortest intervals when there are too many.
    fn trim(&mut self) {
        while self.clean_offsets.num_intervals() > CLEAN_INTERVALS_MAX {
            let Some((start, len)) = self.clean_offsets.iter().min_by_key(|(_, len)| *len) else { return };
            self.clean_offsets.erase(start, len);
        }
    }
}

impl fmt::Display for ObjectCleanRegions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (omap, new) = (u8::from(self.clean_omap), u8::from(self.new_object));
        write!(f, "clean_offsets: {}, clean_omap: {omap}, new_object: {new}", self.clean_offsets)
    }
}

framed! { ObjectCleanRegions, "ObjectCleanRegions", 1, compat 1, min 1; clean_offsets, clean_omap, new_object; }

/// `pg_log_op_return_item_t`: what one op of a write returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpReturn {
    pub rval: i32,
    pub data: Vec<u8>,
}

impl Encode for OpReturn {
    fn encode(&self, e: &mut Encoder) {
        e.i32(self.rval);
        e.blob(&self.data);
    }
}

impl Decode for OpReturn {
    const MIN_SIZE: usize = 8;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { rval: d.i32()?, data: d.blob()?.to_vec() })
    }
}

/// `pg_log_entry_t`: one write to the PG.
///
/// An OSD holds some 300,000 of them: what few have is apart, see [`LogEntry::rare`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEntry {
    pub op: LogOp,
    pub soid: HObject,
    pub version: EVersion,
    pub prior_version: EVersion,
    pub user_version: Version,
    pub reqid: OsdReqId,
    pub mtime: UTime,
    pub mod_desc: ObjectModDesc,
    pub clean_regions: ObjectCleanRegions,
    pub return_code: i32,
    /// `None` if all of it is empty.
    pub rare: Option<Box<RareOfEntry>>,
}

/// What few entries of the log have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RareOfEntry {
    /// The version that holds again, for [`LogOp::LostRevert`].
    pub reverting_to: EVersion,
    /// The snapshots of a clone, encoded; else empty. See [`LogEntry::snaps`].
    pub snaps_raw: Vec<u8>,
    /// Requests that came with a promoted object.
    pub extra_reqids: Vec<(OsdReqId, Version)>,
    /// By place in `extra_reqids`.
    pub extra_reqid_return_codes: Vec<(u32, i32)>,
    pub op_returns: Vec<OpReturn>,
}

impl RareOfEntry {
    const NONE: Self = Self {
        reverting_to: EVersion::ZERO,
        snaps_raw: Vec::new(),
        extra_reqids: Vec::new(),
        extra_reqid_return_codes: Vec::new(),
        op_returns: Vec::new(),
    };

    /// For [`LogEntry::rare`].
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::NONE).then(|| Box::new(self))
    }
}

impl LogEntry {
    pub fn rare(&self) -> &RareOfEntry {
        const NONE: &RareOfEntry = &RareOfEntry::NONE;
        self.rare.as_deref().unwrap_or(NONE)
    }

    pub fn is_delete(&self) -> bool {
        matches!(self.op, LogOp::Delete | LogOp::LostDelete)
    }

    pub fn is_error(&self) -> bool {
        self.op == LogOp::Error
    }

    pub fn is_clone(&self) -> bool {
        self.op == LogOp::Clone
    }

    /// The object exists after it, and may need recovery (Ceph: `is_update`).
    pub fn is_update(&self) -> bool {
        matches!(
            self.op,
            LogOp::Clone | LogOp::Modify | LogOp::Promote | LogOp::LostRevert | LogOp::LostMark | LogOp::Clean
        )
    }

    pub fn is_lost_revert(&self) -> bool {
        self.op == LogOp::LostRevert
    }

    /// Whether a client may resend it (Ceph: `reqid_is_indexed`).
    pub fn reqid_is_indexed(&self) -> bool {
        self.reqid != OsdReqId::default() && matches!(self.op, LogOp::Modify | LogOp::Delete | LogOp::Error)
    }

    pub fn can_rollback(&self) -> bool {
        self.mod_desc.can_local_rollback
    }

    /// The snapshots of a clone; none if they cannot be read.
    pub fn snaps(&self) -> Vec<SnapId> {
        denc::from_bytes(self.rare().snaps_raw.clone()).unwrap_or_default()
    }

    pub fn set_snaps(&mut self, snaps: &[SnapId]) {
        let mut e = Encoder::new(0);
        e.seq(snaps.iter());
        let snaps_raw = e.finish().to_vec();
        self.rare = RareOfEntry { snaps_raw, ..self.rare().clone() }.boxed();
    }
}

impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = self.op.as_str();
        write!(f, "{} ({}) {op:<8} {} by {} ", self.version, self.prior_version, self.soid, self.reqid)?;
        write!(f, "{} {} ObjectCleanRegions {}", self.mtime, self.return_code, self.clean_regions)
    }
}

impl Encode for LogEntry {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(14, 4, |e| {
            e.put(&self.op);
            e.put(&self.soid);
            e.put(&self.version);
            let reverts = self.is_lost_revert();
            let rare = self.rare();
            e.put(if reverts { &rare.reverting_to } else { &self.prior_version });
            e.put(&self.reqid);
            e.put(&self.mtime);
            if reverts {
                e.put(&self.prior_version);
            }
            e.blob(&rare.snaps_raw);
            e.u64(self.user_version);
            e.put(&self.mod_desc);
            e.put(&rare.extra_reqids);
            if self.is_error() {
                e.i32(self.return_code);
            }
            if !rare.extra_reqids.is_empty() {
                e.put(&rare.extra_reqid_return_codes);
            }
            e.put(&self.clean_regions);
            if !self.is_error() {
                e.i32(self.return_code);
            }
            e.put(&rare.op_returns);
        });
    }
}

impl Decode for LogEntry {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_log_entry_t", 14, |d, v| {
            if v < 11 {
                return Err(DecodeError::TooOld { what: "pg_log_entry_t", version: v });
            }
            let mut l = Self { op: d.get()?, soid: d.get()?, version: d.get()?, ..Self::default() };
            let mut rare = RareOfEntry::NONE;
            l.prior_version = d.get()?;
            l.reqid = d.get()?;
            l.mtime = d.get()?;
            if l.is_lost_revert() {
                rare.reverting_to = l.prior_version;
                l.prior_version = d.get()?;
            }
            rare.snaps_raw = d.blob()?.to_vec();
            l.user_version = d.u64()?;
            l.mod_desc = d.get()?;
            rare.extra_reqids = d.get()?;
            if l.is_error() {
                l.return_code = d.i32()?;
            }
            if v >= 12 && !rare.extra_reqids.is_empty() {
                rare.extra_reqid_return_codes = d.get()?;
            }
            l.clean_regions = if v >= 13 { d.get()? } else { ObjectCleanRegions::fully_dirty() };
            if v >= 14 {
                if !l.is_error() {
                    l.return_code = d.i32()?;
                }
                rare.op_returns = d.get()?;
            }
            l.rare = rare.boxed();
            Ok(l)
        })
    }
}

/// `pg_log_dup_t`: of an entry that was trimmed, what is needed to answer a resent request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDup {
    pub reqid: OsdReqId,
    pub version: EVersion,
    pub user_version: Version,
    pub return_code: i32,
    pub op_returns: Vec<OpReturn>,
}

framed! { LogDup, "pg_log_dup_t", 2, compat 1, min 1; reqid, version, user_version, return_code; 2 => op_returns; }

impl From<&LogEntry> for LogDup {
    fn from(l: &LogEntry) -> Self {
        Self {
            reqid: l.reqid,
            version: l.version,
            user_version: l.user_version,
            return_code: l.return_code,
            op_returns: l.rare().op_returns.clone(),
        }
    }
}

/// `pg_log_t`: a PG's log, or a piece of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgLogData {
    pub head: EVersion,
    /// The version before the oldest entry.
    pub tail: EVersion,
    pub can_rollback_to: EVersion,
    pub rollback_info_trimmed_to: EVersion,
    /// Oldest first.
    pub log: Vec<LogEntry>,
    /// Oldest first, all older than `log`.
    pub dups: Vec<LogDup>,
}

framed! { PgLogData, "pg_log_t", 7, compat 3, min 6;
    head, tail, log, can_rollback_to, rollback_info_trimmed_to; 7 => dups;
}

/// `pg_create_t`: how a PG came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgCreate {
    pub created: Epoch,
    pub parent: PgId,
    pub split_bits: i32,
}

framed! { PgCreate, "pg_create_t", 1, compat 1, min 1; created, parent, split_bits; }
