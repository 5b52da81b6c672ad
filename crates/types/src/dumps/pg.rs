//! PGs, as in `pg dump` and `pg N query`.

use super::{fields, intervals};
use crate::dump::Dump;
use crate::flags::pg_state;
use crate::ids::PgShard;
use crate::past_intervals::PastIntervals;
use crate::pg_info::{PgHistory, PgHitSetHistory, PgHitSetInfo, PgInfo, PgNotify};
use crate::stats::{ObjectStatSum, PgStat, PoolStat};

impl ObjectStatSum {
    pub fn dump(&self) -> Dump {
        let mut out = fields!(self;
            num_bytes, num_objects, num_object_clones, num_object_copies, num_objects_missing_on_primary,
            num_objects_missing, num_objects_degraded, num_objects_misplaced, num_objects_unfound,
            num_objects_dirty, num_whiteouts);
        out.put("num_read", self.num_rd);
        out.put("num_read_kb", self.num_rd_kb);
        out.put("num_write", self.num_wr);
        out.put("num_write_kb", self.num_wr_kb);
        out.extend(fields!(self;
            num_scrub_errors, num_shallow_scrub_errors, num_deep_scrub_errors, num_objects_recovered,
            num_bytes_recovered, num_keys_recovered, num_objects_omap, num_objects_hit_set_archive,
            num_bytes_hit_set_archive, num_flush, num_flush_kb, num_evict, num_evict_kb, num_promote,
            num_flush_mode_high, num_flush_mode_low, num_evict_mode_some, num_evict_mode_full,
            num_objects_pinned, num_legacy_snapsets, num_large_omap_objects, num_objects_manifest,
            num_omap_bytes, num_omap_keys, num_objects_repaired));
        out
    }
}

fn osds(list: &[i32]) -> Dump {
    Dump::arr("osd", list.iter().copied())
}

/// Shards as Ceph prints a set: `0,1,2`.
fn shard_set<'a>(shards: impl IntoIterator<Item = &'a PgShard>) -> String {
    shards.into_iter().map(PgShard::to_string).collect::<Vec<_>>().join(",")
}

impl PgStat {
    /// All but the PG's id.
    pub fn dump(&self) -> Dump {
        let mut out =
            fields!(self; version, reported_seq, reported_epoch).with("state", pg_state::to_string(self.state));
        out.extend(fields!(self;
            last_fresh, last_change, last_active, last_peered, last_clean, last_became_active,
            last_became_peered, last_unstale, last_undegraded, last_fullsized, mapping_epoch, log_start,
            ondisk_log_start, created, last_epoch_clean, parent, parent_split_bits, last_scrub,
            last_scrub_stamp, last_deep_scrub, last_deep_scrub_stamp, last_clean_scrub_stamp, log_size,
            ondisk_log_size, stats_invalid, dirty_stats_invalid, omap_stats_invalid, hitset_stats_invalid,
            hitset_bytes_stats_invalid, pin_stats_invalid, manifest_stats_invalid, snaptrimq_len));
        out.put("stat_sum", self.stats.sum.dump());
        out.put("up", osds(&self.up));
        out.put("acting", osds(&self.acting));
        out.put("avail_no_missing", Dump::arr("shard", self.avail_no_missing.iter().copied()));
        let locations = self.object_location_counts.iter();
        let location = |(shards, objects): (_, &i32)| {
            Dump::obj().with("shards", shard_set::<'_>(shards)).with("objects", *objects)
        };
        out.put("object_location_counts", Dump::arr("entry", locations.map(location)));
        out.put("blocked_by", osds(&self.blocked_by));
        out.extend(fields!(self; up_primary, acting_primary));
        out.with("purged_snaps", intervals("interval", &self.purged_snaps))
    }

    /// As in `pg dump pgs_brief`, all but the PG's id.
    pub fn dump_brief(&self) -> Dump {
        let out = Dump::obj().with("state", pg_state::to_string(self.state));
        let mut out = out.with("up", osds(&self.up)).with("acting", osds(&self.acting));
        out.extend(fields!(self; up_primary, acting_primary));
        out
    }
}

impl PoolStat {
    /// All but the pool's id and its count of PGs.
    pub fn dump(&self) -> Dump {
        let mut out = Dump::obj().with("stat_sum", self.stats.sum.dump()).with("store_stats", self.store_stats.dump());
        out.extend(fields!(self; log_size, ondisk_log_size, up, acting, num_store_stats));
        out
    }
}

impl PgHistory {
    pub fn dump(&self) -> Dump {
        fields!(self;
            epoch_created, epoch_pool_created, last_epoch_started, last_interval_started, last_epoch_clean,
            last_interval_clean, last_epoch_split, last_epoch_marked_full, same_up_since, same_interval_since,
            same_primary_since, last_scrub, last_scrub_stamp, last_deep_scrub, last_deep_scrub_stamp,
            last_clean_scrub_stamp)
        .with("prior_readable_until_ub", self.prior_readable_until_ub.as_secs_f64())
    }
}

impl PgHitSetInfo {
    pub fn dump(&self) -> Dump {
        fields!(self; begin, end, version).with("using_gmt", u8::from(self.using_gmt).to_string())
    }
}

impl PgHitSetHistory {
    pub fn dump(&self) -> Dump {
        fields!(self; current_last_update)
            .with("history", Dump::arr("info", self.history.iter().map(PgHitSetInfo::dump)))
    }
}

impl PgInfo {
    pub fn dump(&self) -> Dump {
        fields!(self; pgid, last_update, last_complete, log_tail, last_user_version)
            .with("last_backfill", Dump::text(&self.last_backfill))
            .with("purged_snaps", intervals("purged_snap_interval", &self.purged_snaps))
            .with("history", self.history.dump())
            .with("stats", self.stats.dump())
            .with("empty", i64::from(self.is_empty()))
            .with("dne", i64::from(self.dne()))
            .with("incomplete", i64::from(self.is_incomplete()))
            .with("last_epoch_started", self.last_epoch_started)
            .with("hit_set_history", self.hit_set.dump())
    }
}

impl PgNotify {
    pub fn dump(&self) -> Dump {
        let mut out = Dump::obj().with("from", i32::from(self.from)).with("to", i32::from(self.to));
        out.extend(fields!(self; query_epoch, epoch_sent));
        out.with("info", self.info.dump()).with("past_intervals", self.past_intervals.dump())
    }
}

impl PastIntervals {
    pub fn dump(&self) -> Dump {
        let shard = |s: &PgShard| {
            let out = Dump::obj().with("osd", s.osd);
            if s.shard == crate::NO_SHARD { out } else { out.with("shard", i32::from(s.shard)) }
        };
        let (first, end) = self.bounds();
        let intervals = self.intervals().iter().map(|i| {
            Dump::obj()
                .with("first", i.first.to_string())
                .with("last", i.last.to_string())
                .with("acting", shard_set(&i.acting))
        });
        Dump::obj()
            .with("first", first.to_string())
            .with("last", end.saturating_sub(1).to_string())
            .with("all_participants", Dump::arr("pg_shard", self.all_participants().iter().map(shard)))
            .with("intervals", Dump::arr("compact_interval_t", intervals))
    }
}
