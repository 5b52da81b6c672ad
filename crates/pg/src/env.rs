//! What surrounds a PG: what it is told with each call, and what it asks for in return.
//!
//! A [`crate::Pg`] is a value. Every call takes an [`Env`]: the time, the map, a view of the store,
//! the options, and the list to which the PG appends [`PgOutput`]s. The OSD performs them in order
//! before it makes the next call to any PG.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use messages::Message;
use node::{ConnId, Level, Now, Token};
use os::{Coll, ObjectRead, Transaction};
use osdmap::OsdMap;
use types::options::Config;
use types::pool::MergeRole;
use types::{EVersion, Epoch, GHObject, OsdId};

use crate::ops::RemoteCopy;
use crate::room::Rooms;
use crate::scrub::{ScrubConfig, ScrubSlots};
use crate::track::Tracker;

/// The world as one call sees it.
pub struct Env<'a> {
    pub now: Now,
    pub whoami: OsdId,
    /// The map the call is about. In `advance_map` the next one; else the one the PG stands at.
    pub map: &'a Arc<OsdMap>,
    pub store: &'a dyn ObjectRead,
    pub cfg: &'a PgConfig,
    /// The disk is so full that nothing more may be written.
    pub failsafe_full: bool,
    /// What heartbeats have told about the peers' monotonic clocks.
    pub clocks: &'a BTreeMap<OsdId, ClockDelta>,
    pub tokens: &'a mut Tokens,
    pub tracker: &'a mut Tracker,
    pub scrubs: &'a mut ScrubSlots,
    pub rooms: &'a mut Rooms,
    pub out: &'a mut Vec<PgOutput>,
}

impl Env<'_> {
    pub(crate) fn send_osd(&mut self, osd: OsdId, msg: impl Into<Message>) {
        self.out.push(PgOutput::ToOsd { osd, msg: msg.into(), after: None });
    }

    pub(crate) fn submit(&mut self, txn: Transaction) -> Token {
        let token = self.tokens.next();
        self.out.push(PgOutput::Submit { token, txn });
        token
    }

    pub(crate) fn cluster_log(&mut self, level: Level, text: impl Into<String>) {
        self.out.push(PgOutput::ClusterLog { level, text: text.into() });
    }
}

/// Gives out tokens, unique in one OSD while it runs.
#[derive(Debug, Default)]
pub struct Tokens(u64);

impl Tokens {
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> Token {
        self.0 += 1;
        Token(self.0)
    }
}

/// Bounds of (peer's monotonic clock − ours), in nanoseconds (Ceph: `HeartbeatStamps`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockDelta {
    pub lb: Option<i64>,
    pub ub: Option<i64>,
}

/// What a PG asks for.
#[derive(Debug)]
pub enum PgOutput {
    /// Over the cluster network, to the instance of the OSD in the PG's map. Dropped if it is down.
    ToOsd {
        osd: OsdId,
        msg: Message,
        after: Option<Token>,
    },
    ToClient {
        conn: ConnId,
        msg: Message,
        after: Option<Token>,
    },
    /// What is written to this OSD's disk cannot be read back: it had better leave.
    DiskFails {
        why: String,
    },
    /// An operation was let go of that the client aims again when it has a newer map than this.
    ShareMap {
        conn: ConnId,
        has: Epoch,
    },
    /// `Pg::committed` follows.
    Submit {
        token: Token,
        txn: Transaction,
    },
    /// `Pg::read_done` follows.
    Read {
        token: Token,
        coll: Coll,
        oid: GHObject,
        off: u64,
        len: u64,
        /// From the disk itself, not from what memory keeps of it: for scrubs.
        fresh: bool,
    },
    /// An object that may be led by any OSD is to be copied here, with an [`ops::Fetch`](crate::ops::Fetch);
    /// `Pg::fetched` follows. Answers that come after the interval's end do no harm.
    Fetch {
        token: Token,
        source: Box<RemoteCopy>,
    },
    /// The map must show us alive in this epoch before the PG may go active (`MOSDAlive`). To be
    /// remembered and asked again until a map does.
    UpThru {
        want: Epoch,
    },
    /// The acting set that the PG wants (`MOSDPGTemp`); empty: none but what CRUSH gives. To be
    /// remembered and asked again until [`Self::PgTempDone`].
    PgTemp {
        want: Vec<OsdId>,
        forced: bool,
    },
    /// The wish for another acting set is void.
    PgTempDone,
    /// Tells the monitors that a PG they asked for exists (`MOSDPGCreated`).
    Created,
    /// The PG, which is to be merged, is ready for it, or cannot be (`MOSDPGReadyToMerge`). To be remembered
    /// until [`Self::MergeOff`]: the monitors are told when both halves are ready.
    Merge {
        role: MergeRole,
        ready: Option<MergeReady>,
    },
    /// What was said of a merge is void.
    MergeOff,
    /// A line for the cluster's log, as it is: the PG names itself where that is not plain.
    ClusterLog {
        level: Level,
        text: String,
    },
    /// A slot of `osd_max_backfills` on this OSD; `Pg::local_reserved` follows when it is ours, and
    /// `Pg::local_preempted` if it is taken back.
    ReserveLocal {
        priority: u32,
    },
    /// The PG is more urgent, or less, than it was when it asked.
    UpdateLocal {
        priority: u32,
    },
    CancelLocal,
    /// A slot for a recovery that another OSD leads; `Pg::remote_reserved` follows, and
    /// `Pg::remote_preempted` if it is taken back.
    ReserveRemote {
        priority: u32,
        /// For backfill: about how many bytes it will bring. If there is no room for them, now or later,
        /// `Pg::remote_too_full` says so.
        space: Option<u64>,
    },
    CancelRemote,
    /// A slot of `osd_max_trimming_pgs`; `Pg::snap_trim_reserved` follows when it is ours.
    ReserveSnapTrim,
    CancelSnapTrim,
    /// There are objects to recover: `Pg::recover` is to be called when a slot of
    /// `osd_recovery_max_active` is free (and `osd_recovery_sleep` over). Asking twice is harmless.
    QueueRecovery {
        priority: u32,
    },
    /// This many slots that `Pg::recover` took are free again.
    RecoveryDone {
        slots: u32,
    },
    /// `Pg::stat` or the state changed enough for the manager to be told soon.
    StatChanged,
    /// The PG must soon prove to this OSD that it lives, and expects the same: the set of OSDs to
    /// ping changed.
    PeersChanged,
    /// Nothing is left of the PG here: forget it, and deliver what [`crate::Pg::take_held`] gives as
    /// if it came now. The collection's removal is committed.
    Removed,
}

/// Where a PG that is ready to be merged stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeReady {
    pub version: EVersion,
    pub last_epoch_started: Epoch,
    pub last_epoch_clean: Epoch,
}

/// The options that PGs use, cached.
#[derive(Debug, Clone, PartialEq)]
pub struct PgConfig {
    pub min_pg_log_entries: usize,
    pub max_pg_log_entries: usize,
    pub target_pg_log_entries_per_osd: usize,
    pub pg_log_trim_min: usize,
    pub pg_log_trim_max: usize,
    pub pg_log_dups_tracked: usize,
    /// How many PGs this OSD holds; shares `target_pg_log_entries_per_osd` among them.
    pub pgs: usize,
    pub recovery_max_chunk: u64,
    pub recovery_max_omap_entries_per_chunk: usize,
    pub recovery_retry_interval: Duration,
    pub backfill_retry_interval: Duration,
    pub backfill_scan_max: usize,
    pub heartbeat_grace: Duration,
    pub pool_default_read_lease_ratio: f64,
    pub backoff_on_peering: bool,
    pub backoff_on_degraded: bool,
    pub backoff_on_unfound: bool,
    pub allow_recovery_below_min_size: bool,
    pub force_auth_primary_missing_objects: u64,
    /// After how many epochs without another change the PG notes where it stands.
    pub epoch_persisted_max_stale: u32,
    pub max_object_size: u64,
    pub max_write_size: u64,
    pub max_attr_size: u64,
    pub max_attr_name_len: u64,
    pub max_object_name_len: usize,
    pub max_object_namespace_len: usize,
    pub max_write_op_reply_len: usize,
    pub max_pgls: u64,
    pub default_notify_timeout: u32,
    pub max_omap_entries_per_request: u64,
    pub max_omap_bytes_per_request: u64,
    pub target_transaction_size: usize,
    /// `osd_delete_sleep`, or what fits the kind of disk.
    pub delete_sleep: Duration,
    pub pg_stat_report_interval_max: u32,
    pub client_watch_timeout: u32,
    pub pg_max_concurrent_snap_trims: usize,
    /// `osd_snap_trim_sleep`, or what fits the kind of disk.
    pub snap_trim_sleep: Duration,
    /// How many ranges a recovered object may take from its clones; none if that is switched off.
    pub recover_clone_overlap_limit: usize,
    pub scrub: ScrubConfig,
}

impl PgConfig {
    /// `pgs`: see [`Self::pgs`]. For a disk that does not rotate.
    pub fn new(c: &Config, pgs: usize) -> Self {
        Self::for_disk(c, pgs, false)
    }

    pub fn for_disk(c: &Config, pgs: usize, rotational: bool) -> Self {
        let secs = |name: &str| Duration::try_from_secs_f64(c.f64(name)).unwrap_or_default();
        let sleep = |name: &str| {
            let by_kind = if rotational { "hdd" } else { "ssd" };
            let set = secs(name);
            if set.is_zero() { secs(&format!("{name}_{by_kind}")) } else { set }
        };
        let count = |name| usize::try_from(c.u64(name)).unwrap_or(usize::MAX);
        Self {
            min_pg_log_entries: count("osd_min_pg_log_entries"),
            max_pg_log_entries: count("osd_max_pg_log_entries"),
            target_pg_log_entries_per_osd: count("osd_target_pg_log_entries_per_osd"),
            pg_log_trim_min: count("osd_pg_log_trim_min"),
            pg_log_trim_max: count("osd_pg_log_trim_max"),
            pg_log_dups_tracked: count("osd_pg_log_dups_tracked"),
            pgs,
            recovery_max_chunk: c.u64("osd_recovery_max_chunk"),
            recovery_max_omap_entries_per_chunk: count("osd_recovery_max_omap_entries_per_chunk"),
            recovery_retry_interval: c.secs("osd_recovery_retry_interval"),
            backfill_retry_interval: c.secs("osd_backfill_retry_interval"),
            backfill_scan_max: count("osd_backfill_scan_max"),
            heartbeat_grace: c.secs("osd_heartbeat_grace"),
            pool_default_read_lease_ratio: c.f64("osd_pool_default_read_lease_ratio"),
            backoff_on_peering: c.bool("osd_backoff_on_peering"),
            backoff_on_degraded: c.bool("osd_backoff_on_degraded"),
            backoff_on_unfound: c.bool("osd_backoff_on_unfound"),
            allow_recovery_below_min_size: c.bool("osd_allow_recovery_below_min_size"),
            force_auth_primary_missing_objects: c.u64("osd_force_auth_primary_missing_objects"),
            epoch_persisted_max_stale: c.u64("osd_pg_epoch_persisted_max_stale") as u32,
            max_object_size: c.u64("osd_max_object_size"),
            max_write_size: c.u64("osd_max_write_size") << 20,
            max_attr_size: c.u64("osd_max_attr_size"),
            max_attr_name_len: c.u64("osd_max_attr_name_len"),
            max_object_name_len: count("osd_max_object_name_len"),
            max_object_namespace_len: count("osd_max_object_namespace_len"),
            max_write_op_reply_len: count("osd_max_write_op_reply_len"),
            max_pgls: c.u64("osd_max_pgls"),
            default_notify_timeout: c.u64("osd_default_notify_timeout") as u32,
            max_omap_entries_per_request: c.u64("osd_max_omap_entries_per_request"),
            max_omap_bytes_per_request: c.u64("osd_max_omap_bytes_per_request"),
            target_transaction_size: count("osd_target_transaction_size").max(1),
            delete_sleep: sleep("osd_delete_sleep"),
            pg_stat_report_interval_max: c.u64("osd_pg_stat_report_interval_max") as u32,
            client_watch_timeout: c.u64("osd_client_watch_timeout") as u32,
            pg_max_concurrent_snap_trims: count("osd_pg_max_concurrent_snap_trims"),
            recover_clone_overlap_limit: match c.bool("osd_recover_clone_overlap") {
                true => count("osd_recover_clone_overlap_limit"),
                false => 0,
            },
            scrub: ScrubConfig::new(c),
            snap_trim_sleep: sleep("osd_snap_trim_sleep"),
        }
    }
}

impl PgConfig {
    /// How long a PG's log may grow (Ceph: `PG::get_target_pg_log_entries`).
    pub(crate) fn pg_log_entries(&self) -> usize {
        let share = self.target_pg_log_entries_per_osd / self.pgs.max(1);
        share.min(self.max_pg_log_entries).max(self.min_pg_log_entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_a_pg_caches_is_one_of_cephs() {
        let cfg = PgConfig::new(&Config::daemon(), 1);
        assert_eq!((cfg.pg_log_dups_tracked, cfg.recovery_max_chunk), (3000, 8 << 20));
    }

    #[test]
    fn a_pause_that_is_set_counts_before_that_of_the_disks_kind() {
        let mut c = Config::daemon();
        c.set("osd_delete_sleep_hdd", "3", types::options::Source::Override).expect("an option");
        let sleep = |c: &Config, rotational| PgConfig::for_disk(c, 1, rotational).delete_sleep.as_secs();
        assert_eq!((sleep(&c, true), sleep(&c, false)), (3, 0));
        c.set("osd_delete_sleep", "2", types::options::Source::Override).expect("an option");
        assert_eq!((sleep(&c, true), sleep(&c, false)), (2, 2));
    }
}
