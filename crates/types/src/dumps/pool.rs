//! Pools, as in `osd dump` and `osd pool ls detail`.

use super::fields;
use crate::dump::Dump;
use crate::pool::{PG_AUTOSCALE_OFF, PG_AUTOSCALE_ON, PG_AUTOSCALE_WARN, PgMergeMeta, PgPool, PoolSnapInfo};
use crate::pool_opts::{HitSetParams, POOL_OPTS, PoolOptValue, PoolOpts};

impl PgMergeMeta {
    pub fn dump(&self) -> Dump {
        fields!(self; source_pgid, ready_epoch, last_epoch_started, last_epoch_clean, source_version, target_version)
    }
}

impl PoolSnapInfo {
    pub fn dump(&self) -> Dump {
        fields!(self; snapid, stamp).with("name", self.name.as_str())
    }
}

impl PoolOptValue {
    pub fn dump(&self) -> Dump {
        match self {
            Self::Str(s) => s.as_str().into(),
            Self::Int(v) => (*v).into(),
            Self::Double(v) => (*v).into(),
        }
    }
}

impl PoolOpts {
    /// The options that are set, by name.
    pub fn dump(&self) -> Dump {
        let mut out = Dump::obj();
        for (name, key, _) in POOL_OPTS {
            if let Some(value) = self.0.get(&key) {
                out.put(name, value.dump());
            }
        }
        out
    }
}

impl HitSetParams {
    pub fn dump(&self) -> Dump {
        let out = Dump::obj().with("type", self.type_name());
        match self {
            Self::Bloom(p) => out
                .with("false_positive_probability", f64::from(p.fpp_micro) / 1e6)
                .with("target_size", p.target_size)
                .with("seed", p.seed),
            _ => out,
        }
    }
}

/// What `pg_autoscale_mode` is called.
pub fn pg_autoscale_mode_name(mode: u8) -> &'static str {
    match mode {
        PG_AUTOSCALE_OFF => "off",
        PG_AUTOSCALE_WARN => "warn",
        PG_AUTOSCALE_ON => "on",
        _ => "???",
    }
}

fn cache_mode_name(mode: u8) -> &'static str {
    const NAMES: [&str; 7] = ["none", "writeback", "forward", "readonly", "readforward", "readproxy", "proxy"];
    NAMES.get(usize::from(mode)).copied().unwrap_or("unknown")
}

impl PgPool {
    /// How much each older hit set counts, in millionths (Ceph: `calc_grade_table`).
    fn grade_table(&self) -> Vec<u32> {
        let keep = 1.0 - f64::from(self.hit_set_grade_decay_rate) / 100.0;
        let mut grade = 1_000_000_u32;
        let mut next = || {
            grade = (f64::from(grade) * keep) as u32;
            grade
        };
        // The count comes from a peer; none of use is larger.
        (0..self.hit_set_count.min(1_000)).map(|_| next()).collect()
    }

    /// All but the pool's id and name.
    pub fn dump(&self) -> Dump {
        let mut out =
            fields!(self; create_time, flags).with("flags_names", self.flags_string()).with("type", self.kind);
        out.extend(fields!(self; size, min_size, crush_rule));
        out.extend(fields!(self; peering_crush_bucket_count, peering_crush_bucket_target));
        out.extend(
            fields!(self; peering_crush_bucket_barrier)
                .with("peering_crush_bucket_mandatory_member", self.peering_crush_mandatory_member)
                .with("object_hash", self.object_hash)
                .with("pg_autoscale_mode", pg_autoscale_mode_name(self.pg_autoscale_mode))
                .with("pg_num", self.pg_num)
                .with("pg_placement_num", self.pgp_num)
                .with("pg_placement_num_target", self.pgp_num_target)
                .with("pg_num_target", self.pg_num_target)
                .with("pg_num_pending", self.pg_num_pending)
                .with("last_pg_merge_meta", self.last_pg_merge_meta.dump())
                .with("last_change", self.last_change.to_string())
                .with("last_force_op_resend", self.last_force_op_resend.to_string())
                .with("last_force_op_resend_prenautilus", self.last_force_op_resend_prenautilus.to_string())
                .with("last_force_op_resend_preluminous", self.last_force_op_resend_preluminous.to_string())
                .with("auid", self.auid)
                .with("snap_mode", if self.is_pool_snaps_mode() { "pool" } else { "selfmanaged" }),
        );
        out.extend(fields!(self; snap_seq, snap_epoch));
        out.put("pool_snaps", Dump::arr("pool_snap_info", self.snaps.values().map(PoolSnapInfo::dump)));
        out.put("removed_snaps", self.removed_snaps.to_string());
        out.extend(fields!(self; quota_max_bytes, quota_max_objects));
        out.put("tiers", Dump::arr("pool_id", self.tiers.iter().copied()));
        out.extend(fields!(self; tier_of, read_tier, write_tier));
        out.put("cache_mode", cache_mode_name(self.cache_mode));
        out.extend(fields!(self;
            target_max_bytes, target_max_objects, cache_target_dirty_ratio_micro,
            cache_target_dirty_high_ratio_micro, cache_target_full_ratio_micro, cache_min_flush_age,
            cache_min_evict_age));
        out.put("erasure_code_profile", self.erasure_code_profile.as_str());
        out.put("hit_set_params", self.hit_set_params.dump());
        out.extend(fields!(self;
            hit_set_period, hit_set_count, use_gmt_hitset, min_read_recency_for_promote,
            min_write_recency_for_promote, hit_set_grade_decay_rate, hit_set_search_last_n));
        out.put("grade_table", Dump::arr("value", self.grade_table()));
        out.extend(fields!(self; stripe_width, expected_num_objects, fast_read));
        out.put("options", self.opts.dump());
        let mut applications = Dump::obj();
        for (application, values) in &self.application_metadata {
            let mut of_it = Dump::obj();
            for (key, value) in values {
                of_it.put(key.clone(), value.as_str());
            }
            applications.put(application.clone(), of_it);
        }
        out.with("application_metadata", applications)
    }
}
