//! What the members of a PG tell each other while peering: info, history, queries, notifications.

use std::collections::VecDeque;
use std::fmt;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::framed::framed;
use crate::hobject::HObject;
use crate::ids::{EVersion, Epoch, NO_SHARD, ShardId, SpgId, Version};
use crate::interval_set::IntervalSet;
use crate::past_intervals::PastIntervals;
use crate::stats::PgStat;
use crate::time::{Timespan, UTime};

/// `pg_history_t`: the epochs that matter in the life of a PG. Members share what they know; each field
/// only grows (see [`PgHistory::merge`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgHistory {
    pub epoch_created: Epoch,
    pub epoch_pool_created: Epoch,
    /// Lower bound of the last epoch in which the PG became active.
    pub last_epoch_started: Epoch,
    pub last_interval_started: Epoch,
    pub last_epoch_clean: Epoch,
    pub last_interval_clean: Epoch,
    pub last_epoch_split: Epoch,
    pub last_epoch_marked_full: Epoch,
    pub same_up_since: Epoch,
    pub same_interval_since: Epoch,
    pub same_primary_since: Epoch,
    pub last_scrub: EVersion,
    pub last_deep_scrub: EVersion,
    pub last_scrub_stamp: UTime,
    pub last_deep_scrub_stamp: UTime,
    pub last_clean_scrub_stamp: UTime,
    /// How long, from when this was told, members of earlier intervals may still serve reads.
    pub prior_readable_until_ub: Timespan,
}

framed! { PgHistory, "pg_history_t", 10, compat 4, min 9;
    epoch_created, last_epoch_started, last_epoch_clean, last_epoch_split, same_interval_since, same_up_since,
    same_primary_since, last_scrub, last_scrub_stamp, last_deep_scrub, last_deep_scrub_stamp,
    last_clean_scrub_stamp, last_epoch_marked_full, last_interval_started, last_interval_clean,
    epoch_pool_created;
    10 => prior_readable_until_ub;
}

impl PgHistory {
    /// Takes over what another member knows better; true if anything changed (Ceph:
    /// `pg_history_t::merge`). The `same_*_since` are each member's own.
    pub fn merge(&mut self, o: &Self) -> bool {
        fn raise<T: PartialOrd + Copy>(mine: &mut T, theirs: T) -> bool {
            let newer = *mine < theirs;
            if newer {
                *mine = theirs;
            }
            newer
        }
        let mut changed = false;
        // The bound belongs to the interval that started last; of one interval, the tighter bound holds.
        let same_start = self.last_interval_started == o.last_interval_started;
        if self.last_interval_started < o.last_interval_started
            || same_start && o.prior_readable_until_ub < self.prior_readable_until_ub
        {
            self.prior_readable_until_ub = o.prior_readable_until_ub;
            changed = true;
        }
        changed |= raise(&mut self.epoch_created, o.epoch_created);
        changed |= raise(&mut self.epoch_pool_created, o.epoch_pool_created);
        changed |= raise(&mut self.last_epoch_started, o.last_epoch_started);
        changed |= raise(&mut self.last_interval_started, o.last_interval_started);
        changed |= raise(&mut self.last_epoch_clean, o.last_epoch_clean);
        changed |= raise(&mut self.last_interval_clean, o.last_interval_clean);
        changed |= raise(&mut self.last_epoch_split, o.last_epoch_split);
        changed |= raise(&mut self.last_epoch_marked_full, o.last_epoch_marked_full);
        changed |= raise(&mut self.last_scrub, o.last_scrub);
        changed |= raise(&mut self.last_scrub_stamp, o.last_scrub_stamp);
        changed |= raise(&mut self.last_deep_scrub, o.last_deep_scrub);
        changed |= raise(&mut self.last_deep_scrub_stamp, o.last_deep_scrub_stamp);
        changed |= raise(&mut self.last_clean_scrub_stamp, o.last_clean_scrub_stamp);
        changed
    }
}

/// `pg_hit_set_info_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgHitSetInfo {
    pub begin: UTime,
    pub end: UTime,
    pub version: EVersion,
    pub using_gmt: bool,
}

framed! { PgHitSetInfo, "pg_hit_set_info_t", 2, compat 1, min 1; begin, end, version; 2 => using_gmt; }

/// `pg_hit_set_history_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgHitSetHistory {
    pub current_last_update: EVersion,
    pub history: VecDeque<PgHitSetInfo>,
}

impl Encode for PgHitSetHistory {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.current_last_update);
            e.put(&UTime::ZERO); // once the current hit set
            e.put(&PgHitSetInfo { using_gmt: true, ..PgHitSetInfo::default() });
            e.seq(self.history.iter());
        });
    }
}

impl Decode for PgHitSetHistory {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_hit_set_history_t", 1, |d, _| {
            let current_last_update = d.get()?;
            let _once_current: (UTime, PgHitSetInfo) = d.get()?;
            Ok(Self { current_last_update, history: d.get::<Vec<_>>()?.into() })
        })
    }
}

/// `pg_info_t`: what one member holds of a PG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgInfo {
    pub pgid: SpgId,
    /// The newest entry in the log.
    pub last_update: EVersion,
    /// Up to here nothing is missing.
    pub last_complete: EVersion,
    pub last_epoch_started: Epoch,
    pub last_interval_started: Epoch,
    pub last_user_version: Version,
    /// The log holds what came after this.
    pub log_tail: EVersion,
    /// Objects up to here are present; [`HObject::max`] unless backfill is under way.
    pub last_backfill: HObject,
    pub purged_snaps: IntervalSet,
    pub stats: PgStat,
    pub history: PgHistory,
    pub hit_set: PgHitSetHistory,
}

impl Default for PgInfo {
    /// Empty and complete.
    fn default() -> Self {
        Self {
            pgid: SpgId::default(),
            last_update: EVersion::ZERO,
            last_complete: EVersion::ZERO,
            last_epoch_started: 0,
            last_interval_started: 0,
            last_user_version: 0,
            log_tail: EVersion::ZERO,
            last_backfill: HObject::max(),
            purged_snaps: IntervalSet::new(),
            stats: PgStat::default(),
            history: PgHistory::default(),
            hit_set: PgHitSetHistory::default(),
        }
    }
}

impl PgInfo {
    /// A PG that was just created: empty and complete.
    pub fn new(pgid: SpgId) -> Self {
        Self { pgid, ..Self::default() }
    }

    /// Nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.last_update.version == 0
    }

    /// The member never heard of the PG.
    pub fn dne(&self) -> bool {
        self.history.epoch_created == 0
    }

    pub fn has_missing(&self) -> bool {
        self.last_complete != self.last_update
    }

    pub fn is_incomplete(&self) -> bool {
        !self.last_backfill.is_max()
    }
}

impl fmt::Display for PgInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.pgid)?;
        if self.dne() {
            f.write_str(" DNE")?;
        }
        if self.is_empty() {
            f.write_str(" empty")?;
        } else {
            write!(f, " v {}", self.last_update)?;
            if self.has_missing() {
                write!(f, " lc {}", self.last_complete)?;
            }
            write!(f, " ({},{}]", self.log_tail, self.last_update)?;
        }
        if self.is_incomplete() {
            write!(f, " lb {}", self.last_backfill)?;
        }
        let h = &self.history;
        write!(
            f,
            " local-lis/les={}/{} n={}",
            self.last_interval_started, self.last_epoch_started, self.stats.stats.sum.num_objects
        )?;
        write!(
            f,
            " ec={}/{} lis/c={}/{} les/c/f={}/{}/{} sis={})",
            h.epoch_created,
            h.epoch_pool_created,
            h.last_interval_started,
            h.last_interval_clean,
            h.last_epoch_started,
            h.last_epoch_clean,
            h.last_epoch_marked_full,
            h.same_interval_since
        )
    }
}

impl Encode for PgInfo {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(32, 26, |e| {
            e.put(&self.pgid.pgid);
            e.put(&self.last_update);
            e.put(&self.last_complete);
            e.put(&self.log_tail);
            e.put(&HObject::default()); // once last_backfill in another sort order
            e.put(&self.stats);
            e.put(&self.history);
            e.put(&self.purged_snaps);
            e.u32(self.last_epoch_started);
            e.u64(self.last_user_version);
            e.put(&self.hit_set);
            e.i8(self.pgid.shard);
            e.put(&self.last_backfill);
            e.bool(true); // sorted bitwise
            e.u32(self.last_interval_started);
        });
    }
}

impl Decode for PgInfo {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_info_t", 32, |d, v| {
            if v < 32 {
                return Err(DecodeError::TooOld { what: "pg_info_t", version: v });
            }
            let mut i = Self::default();
            i.pgid.pgid = d.get()?;
            i.last_update = d.get()?;
            i.last_complete = d.get()?;
            i.log_tail = d.get()?;
            let _old_last_backfill: HObject = d.get()?;
            i.stats = d.get()?;
            i.history = d.get()?;
            i.purged_snaps = d.get()?;
            i.last_epoch_started = d.u32()?;
            i.last_user_version = d.u64()?;
            i.hit_set = d.get()?;
            i.pgid.shard = d.i8()?;
            i.last_backfill = d.get()?;
            d.bool()?;
            i.last_interval_started = d.u32()?;
            Ok(i)
        })
    }
}

/// `pg_fast_info_t`: the part of [`PgInfo`] that changes with every write, kept apart so that a write
/// need not store all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgFastInfo {
    pub last_update: EVersion,
    pub last_complete: EVersion,
    pub last_user_version: Version,
    pub version: EVersion,
    pub reported_seq: Version,
    pub last_fresh: UTime,
    pub last_active: UTime,
    pub last_peered: UTime,
    pub last_clean: UTime,
    pub last_unstale: UTime,
    pub last_undegraded: UTime,
    pub last_fullsized: UTime,
    pub log_size: i64,
    pub num_bytes: i64,
    pub num_objects: i64,
    pub num_object_copies: i64,
    pub num_rd: i64,
    pub num_rd_kb: i64,
    pub num_wr: i64,
    pub num_wr_kb: i64,
    pub num_objects_dirty: i64,
}

framed! { PgFastInfo, "pg_fast_info_t", 1, compat 1, min 1;
    last_update, last_complete, last_user_version, version, reported_seq, last_fresh, last_active, last_peered,
    last_clean, last_unstale, last_undegraded, last_fullsized, log_size, num_bytes, num_objects,
    num_object_copies, num_rd, num_rd_kb, num_wr, num_wr_kb, num_objects_dirty;
}

impl From<&PgInfo> for PgFastInfo {
    fn from(info: &PgInfo) -> Self {
        let (s, sum) = (&info.stats, &info.stats.stats.sum);
        Self {
            last_update: info.last_update,
            last_complete: info.last_complete,
            last_user_version: info.last_user_version,
            version: s.version,
            reported_seq: s.reported_seq,
            last_fresh: s.last_fresh,
            last_active: s.last_active,
            last_peered: s.last_peered,
            last_clean: s.last_clean,
            last_unstale: s.last_unstale,
            last_undegraded: s.last_undegraded,
            last_fullsized: s.last_fullsized,
            log_size: s.log_size,
            num_bytes: sum.num_bytes,
            num_objects: sum.num_objects,
            num_object_copies: sum.num_object_copies,
            num_rd: sum.num_rd,
            num_rd_kb: sum.num_rd_kb,
            num_wr: sum.num_wr,
            num_wr_kb: sum.num_wr_kb,
            num_objects_dirty: sum.num_objects_dirty,
        }
    }
}

impl PgFastInfo {
    /// Brings `info` up to date if it is older; true if it was (Ceph: `try_apply_to`).
    pub fn apply_to(&self, info: &mut PgInfo) -> bool {
        if self.last_update <= info.last_update {
            return false;
        }
        info.last_update = self.last_update;
        info.last_complete = self.last_complete;
        info.last_user_version = self.last_user_version;
        let s = &mut info.stats;
        s.version = self.version;
        s.reported_seq = self.reported_seq;
        s.last_fresh = self.last_fresh;
        s.last_active = self.last_active;
        s.last_peered = self.last_peered;
        s.last_clean = self.last_clean;
        s.last_unstale = self.last_unstale;
        s.last_undegraded = self.last_undegraded;
        s.last_fullsized = self.last_fullsized;
        s.log_size = self.log_size;
        s.ondisk_log_size = self.log_size;
        let sum = &mut s.stats.sum;
        sum.num_bytes = self.num_bytes;
        sum.num_objects = self.num_objects;
        sum.num_object_copies = self.num_object_copies;
        sum.num_rd = self.num_rd;
        sum.num_rd_kb = self.num_rd_kb;
        sum.num_wr = self.num_wr;
        sum.num_wr_kb = self.num_wr_kb;
        sum.num_objects_dirty = self.num_objects_dirty;
        true
    }
}

/// `pg_notify_t`: a member's info for the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgNotify {
    /// The epoch of the query that this answers.
    pub query_epoch: Epoch,
    pub epoch_sent: Epoch,
    pub info: PgInfo,
    pub to: ShardId,
    pub from: ShardId,
    pub past_intervals: PastIntervals,
}

impl Default for PgNotify {
    fn default() -> Self {
        Self {
            query_epoch: 0,
            epoch_sent: 0,
            info: PgInfo::default(),
            to: NO_SHARD,
            from: NO_SHARD,
            past_intervals: PastIntervals::default(),
        }
    }
}

framed! { PgNotify, "pg_notify_t", 3, compat 2, min 2;
    query_epoch, epoch_sent, info, to, from; 3 => past_intervals;
}

/// What a [`PgQuery`] asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PgQueryKind {
    #[default]
    Info,
    Log,
    Missing,
    FullLog,
}

impl PgQueryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Log => "log",
            Self::Missing => "missing",
            Self::FullLog => "fulllog",
        }
    }
}

impl Encode for PgQueryKind {
    fn encode(&self, e: &mut Encoder) {
        e.i32(match self {
            Self::Info => 0,
            Self::Log => 1,
            Self::Missing => 4,
            Self::FullLog => 5,
        });
    }
}

impl Decode for PgQueryKind {
    const MIN_SIZE: usize = 4;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.i32()? {
            0 => Ok(Self::Info),
            1 => Ok(Self::Log),
            4 => Ok(Self::Missing),
            5 => Ok(Self::FullLog),
            k => Err(DecodeError::Invalid { what: "pg_query_t type", value: k as u64 }),
        }
    }
}

/// `pg_query_t`: the primary asks a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgQuery {
    pub kind: PgQueryKind,
    /// For [`PgQueryKind::Log`]: the log after this.
    pub since: EVersion,
    pub history: PgHistory,
    pub epoch_sent: Epoch,
    pub to: ShardId,
    pub from: ShardId,
}

impl Default for PgQuery {
    fn default() -> Self {
        Self {
            kind: PgQueryKind::Info,
            since: EVersion::ZERO,
            history: PgHistory::default(),
            epoch_sent: 0,
            to: NO_SHARD,
            from: NO_SHARD,
        }
    }
}

framed! { PgQuery, "pg_query_t", 3, compat 3, min 3; kind, since, history, epoch_sent, to, from; }

/// `pg_lease_t`: until when replicas may serve reads. Times are on the primary's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgLease {
    pub readable_until: Timespan,
    pub readable_until_ub: Timespan,
    pub interval: Timespan,
}

framed! { PgLease, "pg_lease_t", 1, compat 1, min 1; readable_until, readable_until_ub, interval; }

/// `pg_lease_ack_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgLeaseAck {
    pub readable_until_ub: Timespan,
}

framed! { PgLeaseAck, "pg_lease_ack_t", 1, compat 1, min 1; readable_until_ub; }
