//! The map as `ceph osd dump -f json` has it, field for field.

use std::collections::BTreeMap;

use types::dump::Dump;
use types::pool_opts::{HitSetParams, POOL_OPTS};
use types::{EntityAddr, IntervalSet, OsdId, PgPool, PoolId, PoolOptValue, UTime};

use crate::blocklist::in_order;
use crate::{Incremental, OsdInfo, OsdMap, OsdXInfo, StretchMode, flag, state};

/// 16.16 fixed point as Ceph prints it: by way of a 32-bit float.
pub(crate) fn fixed(weight: u32) -> f32 {
    weight as f32 / 65536.0
}

impl OsdMap {
    pub fn dump(&self) -> Dump {
        let mut flags_set: Vec<_> = flag::names(self.flags).collect();
        flags_set.sort_unstable();
        Dump::obj()
            .with("epoch", self.epoch)
            .with("fsid", self.fsid)
            .with("created", self.created)
            .with("modified", self.modified)
            .with("last_up_change", self.last_up_change)
            .with("last_in_change", self.last_in_change)
            .with("flags", self.flag_string())
            .with("flags_num", self.flags)
            .with("flags_set", Dump::arr("flag", flags_set))
            .with("crush_version", self.crush_version)
            .with("full_ratio", self.full_ratio)
            .with("backfillfull_ratio", self.backfillfull_ratio)
            .with("nearfull_ratio", self.nearfull_ratio)
            .with("cluster_snapshot", &self.cluster_snapshot)
            .with("pool_max", self.pool_max)
            .with("max_osd", self.max_osd())
            .with("require_min_compat_client", self.require_min_compat_client.name())
            .with("min_compat_client", self.min_compat_client().name())
            .with("require_osd_release", self.require_osd_release.name())
            .with("pools", Dump::arr("pool", self.pools.keys().map(|id| self.dump_pool(*id))))
            .with("osds", Dump::arr("osd_info", self.osds().map(|osd| self.dump_osd(osd))))
            .with("osd_xinfo", Dump::arr("xinfo", self.osds().map(|osd| dump_xinfo(osd, &self.xinfo(osd)))))
            .with("pg_upmap", self.dump_upmap())
            .with("pg_upmap_items", self.dump_upmap_items())
            .with("pg_temp", self.dump_pg_temp())
            .with("primary_temp", self.dump_primary_temp())
            .with("blocklist", dump_blocklist(&self.blocklist.entries))
            .with("range_blocklist", dump_blocklist(&self.blocklist.ranges))
            .with("erasure_code_profiles", self.dump_profiles())
            .with("removed_snaps_queue", dump_snaps(&self.removed_snaps_queue))
            .with("new_removed_snaps", dump_snaps(&self.new_removed_snaps))
            .with("new_purged_snaps", dump_snaps(&self.new_purged_snaps))
            .with("crush_node_flags", dump_flags(&self.crush_node_flags, |id| self.crush.item_name(id)))
            .with("device_class_flags", dump_flags(&self.device_class_flags, |id| self.crush.class_name(id)))
            .with("stretch_mode", dump_stretch(&self.stretch))
    }

    /// One pool with its id and name, as in `osd dump` and `osd pool ls detail`.
    pub fn dump_pool(&self, id: PoolId) -> Dump {
        let name = self.pool_name(id).unwrap_or("<unknown>");
        let mut out = Dump::obj().with("pool", id).with("pool_name", name);
        if let Some(pool) = self.pool(id) {
            out.extend(dump_pg_pool(pool));
        }
        out
    }

    /// One OSD, as in `osd dump` and `osd dump ID`.
    pub fn dump_osd(&self, osd: OsdId) -> Dump {
        let addrs = self.osd(osd).map(|o| o.addrs.clone()).unwrap_or_default();
        let info = self.info(osd);
        let mut out = Dump::obj()
            .with("osd", osd)
            .with("uuid", self.uuid(osd))
            .with("up", i64::from(self.is_up(osd)))
            .with("in", i64::from(self.is_in(osd)))
            .with("weight", fixed(self.weight(osd)))
            .with("primary_affinity", fixed(self.primary_affinity(osd)));
        out.extend(dump_info(&info));
        out.with("public_addrs", addrs.client.dump())
            .with("cluster_addrs", addrs.cluster.dump())
            .with("heartbeat_back_addrs", addrs.hb_back.dump())
            .with("heartbeat_front_addrs", addrs.hb_front.dump())
            .with("public_addr", addrs.client.legacy_or_first().legacy_str())
            .with("cluster_addr", addrs.cluster.legacy_or_first().legacy_str())
            .with("heartbeat_back_addr", addrs.hb_back.legacy_or_first().legacy_str())
            .with("heartbeat_front_addr", addrs.hb_front.legacy_or_first().legacy_str())
            .with("state", Dump::arr("state", state::sorted_names(self.state(osd))))
    }

    fn dump_upmap(&self) -> Dump {
        let one = |(pg, osds): (&types::PgId, &Vec<OsdId>)| {
            Dump::obj().with("pgid", *pg).with("osds", Dump::arr("osd", osds.iter().copied()))
        };
        Dump::arr("mapping", self.pg_upmap.iter().map(one))
    }

    fn dump_upmap_items(&self) -> Dump {
        let pair = |(from, to): &(OsdId, OsdId)| Dump::obj().with("from", *from).with("to", *to);
        let one = |(pg, items): (&types::PgId, &Vec<(OsdId, OsdId)>)| {
            Dump::obj().with("pgid", *pg).with("mappings", Dump::arr("mapping", items.iter().map(pair)))
        };
        Dump::arr("mapping", self.pg_upmap_items.iter().map(one))
    }

    fn dump_pg_temp(&self) -> Dump {
        let one = |(pg, osds): (&types::PgId, &Vec<OsdId>)| {
            Dump::obj().with("pgid", *pg).with("osds", Dump::arr("osd", osds.iter().copied()))
        };
        Dump::arr("osds", self.pg_temp.iter().map(one))
    }

    /// PGs and OSDs by turns, as Ceph has it.
    fn dump_primary_temp(&self) -> Dump {
        Dump::arr("pgid", self.primary_temp.iter().flat_map(|(pg, osd)| [Dump::from(*pg), Dump::from(*osd)]))
    }

    pub fn dump_profiles(&self) -> Dump {
        let mut out = Dump::obj();
        for (name, profile) in self.erasure_code_profiles.iter() {
            out.put(name.clone(), dump_strings(profile));
        }
        out
    }
}

fn dump_strings(map: &BTreeMap<String, String>) -> Dump {
    let mut out = Dump::obj();
    map.iter().for_each(|(k, v)| out.put(k.clone(), v));
    out
}

fn dump_info(info: &OsdInfo) -> Dump {
    Dump::obj()
        .with("last_clean_begin", info.last_clean_begin)
        .with("last_clean_end", info.last_clean_end)
        .with("up_from", info.up_from)
        .with("up_thru", info.up_thru)
        .with("down_at", info.down_at)
        .with("lost_at", info.lost_at)
}

fn dump_xinfo(osd: OsdId, x: &OsdXInfo) -> Dump {
    Dump::obj()
        .with("osd", osd)
        .with("down_stamp", x.down_stamp)
        .with("laggy_probability", x.laggy_probability)
        .with("laggy_interval", x.laggy_interval)
        .with("features", x.features)
        .with("old_weight", x.old_weight)
        .with("last_purged_snaps_scrub", x.last_purged_snaps_scrub)
        .with("dead_epoch", x.dead_epoch)
}

fn dump_blocklist(list: &BTreeMap<EntityAddr, UTime>) -> Dump {
    let mut out = Dump::obj();
    for addr in in_order(list.keys()) {
        out.put(addr.to_string(), list[addr]);
    }
    out
}

fn dump_snaps(by_pool: &BTreeMap<PoolId, IntervalSet>) -> Dump {
    let interval = |(begin, length): (u64, u64)| Dump::obj().with("begin", begin).with("length", length);
    let one = |(pool, snaps): (&PoolId, &IntervalSet)| {
        Dump::obj().with("pool", *pool).with("snaps", Dump::arr("interval", snaps.iter().map(interval)))
    };
    Dump::arr("pool", by_pool.iter().map(one))
}

fn dump_flags<'a>(flags: &BTreeMap<i32, u32>, name: impl Fn(i32) -> Option<&'a str>) -> Dump {
    let mut out = Dump::obj();
    for (id, bits) in flags {
        let name = name(*id).map_or_else(|| id.to_string(), str::to_owned);
        out.put(name, Dump::arr("flag", state::sorted_names(*bits)));
    }
    out
}

fn dump_stretch(s: &StretchMode) -> Dump {
    Dump::obj()
        .with("stretch_mode_enabled", s.enabled)
        .with("stretch_bucket_count", s.bucket_count)
        .with("degraded_stretch_mode", s.degraded)
        .with("recovering_stretch_mode", s.recovering)
        .with("stretch_mode_bucket", s.bucket)
}

pub(crate) fn autoscale_name(mode: u8) -> &'static str {
    match mode {
        types::pool::PG_AUTOSCALE_OFF => "off",
        types::pool::PG_AUTOSCALE_WARN => "warn",
        types::pool::PG_AUTOSCALE_ON => "on",
        _ => "???",
    }
}

pub(crate) fn cache_mode_name(mode: u8) -> &'static str {
    const NAMES: [&str; 7] = ["none", "writeback", "forward", "readonly", "readforward", "readproxy", "proxy"];
    NAMES.get(usize::from(mode)).copied().unwrap_or("unknown")
}

/// A pool without its id and name (Ceph: `pg_pool_t::dump`).
pub fn dump_pg_pool(p: &PgPool) -> Dump {
    let m = &p.last_pg_merge_meta;
    let merge = Dump::obj()
        .with("source_pgid", m.source_pgid)
        .with("ready_epoch", m.ready_epoch)
        .with("last_epoch_started", m.last_epoch_started)
        .with("last_epoch_clean", m.last_epoch_clean)
        .with("source_version", m.source_version)
        .with("target_version", m.target_version);
    let snaps =
        p.snaps.values().map(|s| Dump::obj().with("snapid", s.snapid).with("stamp", s.stamp).with("name", &s.name));
    let mut applications = Dump::obj();
    p.application_metadata.iter().for_each(|(name, keys)| applications.put(name.clone(), dump_strings(keys)));
    Dump::obj()
        .with("create_time", p.create_time)
        .with("flags", p.flags)
        .with("flags_names", p.flags_string())
        .with("type", p.kind)
        .with("size", p.size)
        .with("min_size", p.min_size)
        .with("crush_rule", p.crush_rule)
        .with("peering_crush_bucket_count", p.peering_crush_bucket_count)
        .with("peering_crush_bucket_target", p.peering_crush_bucket_target)
        .with("peering_crush_bucket_barrier", p.peering_crush_bucket_barrier)
        .with("peering_crush_bucket_mandatory_member", p.peering_crush_mandatory_member)
        .with("object_hash", p.object_hash)
        .with("pg_autoscale_mode", autoscale_name(p.pg_autoscale_mode))
        .with("pg_num", p.pg_num)
        .with("pg_placement_num", p.pgp_num)
        .with("pg_placement_num_target", p.pgp_num_target)
        .with("pg_num_target", p.pg_num_target)
        .with("pg_num_pending", p.pg_num_pending)
        .with("last_pg_merge_meta", merge)
        .with("last_change", Dump::text(p.last_change))
        .with("last_force_op_resend", Dump::text(p.last_force_op_resend))
        .with("last_force_op_resend_prenautilus", Dump::text(p.last_force_op_resend_prenautilus))
        .with("last_force_op_resend_preluminous", Dump::text(p.last_force_op_resend_preluminous))
        .with("auid", p.auid)
        .with("snap_mode", if p.is_pool_snaps_mode() { "pool" } else { "selfmanaged" })
        .with("snap_seq", p.snap_seq)
        .with("snap_epoch", p.snap_epoch)
        .with("pool_snaps", Dump::arr("pool_snap_info", snaps))
        .with("removed_snaps", Dump::text(&p.removed_snaps))
        .with("quota_max_bytes", p.quota_max_bytes)
        .with("quota_max_objects", p.quota_max_objects)
        .with("tiers", Dump::arr("pool_id", p.tiers.iter().copied()))
        .with("tier_of", p.tier_of)
        .with("read_tier", p.read_tier)
        .with("write_tier", p.write_tier)
        .with("cache_mode", cache_mode_name(p.cache_mode))
        .with("target_max_bytes", p.target_max_bytes)
        .with("target_max_objects", p.target_max_objects)
        .with("cache_target_dirty_ratio_micro", p.cache_target_dirty_ratio_micro)
        .with("cache_target_dirty_high_ratio_micro", p.cache_target_dirty_high_ratio_micro)
        .with("cache_target_full_ratio_micro", p.cache_target_full_ratio_micro)
        .with("cache_min_flush_age", p.cache_min_flush_age)
        .with("cache_min_evict_age", p.cache_min_evict_age)
        .with("erasure_code_profile", &p.erasure_code_profile)
        .with("hit_set_params", dump_hit_set(&p.hit_set_params))
        .with("hit_set_period", p.hit_set_period)
        .with("hit_set_count", p.hit_set_count)
        .with("use_gmt_hitset", p.use_gmt_hitset)
        .with("min_read_recency_for_promote", p.min_read_recency_for_promote)
        .with("min_write_recency_for_promote", p.min_write_recency_for_promote)
        .with("hit_set_grade_decay_rate", p.hit_set_grade_decay_rate)
        .with("hit_set_search_last_n", p.hit_set_search_last_n)
        .with("grade_table", Dump::arr("value", Vec::<u32>::new()))
        .with("stripe_width", p.stripe_width)
        .with("expected_num_objects", p.expected_num_objects)
        .with("fast_read", p.fast_read)
        .with("options", dump_pool_opts(p))
        .with("application_metadata", applications)
}

fn dump_hit_set(params: &HitSetParams) -> Dump {
    let out = Dump::obj().with("type", params.type_name());
    match params {
        HitSetParams::Bloom(b) => out
            .with("false_positive_probability", f64::from(b.fpp_micro) / 1e6)
            .with("target_size", b.target_size)
            .with("seed", b.seed),
        _ => out,
    }
}

/// The set options, by name.
pub fn dump_pool_opts(p: &PgPool) -> Dump {
    let mut out = Dump::obj();
    for (name, ..) in POOL_OPTS {
        match p.opts.get(name) {
            None => {}
            Some(PoolOptValue::Str(v)) => out.put(name, v),
            Some(PoolOptValue::Int(v)) => out.put(name, *v),
            Some(PoolOptValue::Double(v)) => out.put(name, *v),
        }
    }
    out
}

impl Incremental {
    /// What of it changes, for logs: only fields that are set.
    pub fn summary(&self) -> String {
        let parts = [
            ("pools", self.new_pools.len()),
            ("old_pools", self.old_pools.len()),
            ("up", self.new_up_client.len()),
            ("state", self.new_state.len()),
            ("weight", self.new_weight.len()),
            ("pg_temp", self.new_pg_temp.len()),
            ("up_thru", self.new_up_thru.len()),
            ("crush", usize::from(!self.crush.is_empty())),
        ];
        let set = parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {n}"));
        format!("e{} {}", self.epoch, set.collect::<Vec<_>>().join(", "))
    }
}
