//! The map as `ceph osd dump` prints it for people.

use std::fmt::Write;

use types::dump::general_float;
use types::pool_opts::{HitSetParams, POOL_OPTS};
use types::{OsdId, PgPool, PoolOptValue};

use crate::blocklist::in_order;
use crate::dump::{autoscale_name, cache_mode_name, fixed};
use crate::{DEFAULT_PRIMARY_AFFINITY, OsdMap, Release, state};

/// A float as C++ streams print it.
fn short(v: f32) -> String {
    general_float(v.into(), 6)
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|i| i.to_string()).collect();
    format!("[{}]", items.join(","))
}

impl OsdMap {
    /// All of it, as `osd dump` and `osdmaptool --print`.
    pub fn print(&self) -> String {
        let mut out = String::new();
        self.write_head(&mut out);
        out.push_str(&self.print_pools());
        out.push('\n');
        let _ = writeln!(out, "max_osd {}", self.max_osd());
        self.osds().for_each(|osd| out.push_str(&self.print_osd(osd)));
        out.push('\n');
        for (pg, osds) in self.pg_upmap.iter() {
            let _ = writeln!(out, "pg_upmap {pg} {}", list(osds));
        }
        for (pg, items) in self.pg_upmap_items.iter() {
            let _ = writeln!(out, "pg_upmap_items {pg} {}", list(items.iter().flat_map(|(a, b)| [a, b])));
        }
        for (pg, osds) in self.pg_temp.iter() {
            let _ = writeln!(out, "pg_temp {pg} {}", list(osds));
        }
        for (pg, osd) in self.primary_temp.iter() {
            let _ = writeln!(out, "primary_temp {pg} {osd}");
        }
        for (what, entries) in [("blocklist", &self.blocklist.entries), ("range blocklist", &self.blocklist.ranges)] {
            for addr in in_order(entries.keys()) {
                let _ = writeln!(out, "{what} {} expires {}", addr, entries[addr]);
            }
        }
        out
    }

    fn write_head(&self, out: &mut String) {
        let _ = writeln!(out, "epoch {}", self.epoch);
        let _ = writeln!(out, "fsid {}", self.fsid);
        let _ = writeln!(out, "created {}", self.created);
        let _ = writeln!(out, "modified {}", self.modified);
        let _ = writeln!(out, "flags {}", self.flag_string());
        let _ = writeln!(out, "crush_version {}", self.crush_version);
        let _ = writeln!(out, "full_ratio {}", short(self.full_ratio));
        let _ = writeln!(out, "backfillfull_ratio {}", short(self.backfillfull_ratio));
        let _ = writeln!(out, "nearfull_ratio {}", short(self.nearfull_ratio));
        if self.require_min_compat_client != Release::UNKNOWN {
            let _ = writeln!(out, "require_min_compat_client {}", self.require_min_compat_client);
        }
        let _ = writeln!(out, "min_compat_client {}", self.min_compat_client());
        if self.require_osd_release > Release::UNKNOWN {
            let _ = writeln!(out, "require_osd_release {}", self.require_osd_release);
        }
        let _ = writeln!(out, "stretch_mode_enabled {}", self.stretch.enabled);
        if self.stretch.enabled {
            let _ = writeln!(out, "stretch_bucket_count {}", self.stretch.bucket_count);
            let _ = writeln!(out, "degraded_stretch_mode {}", self.stretch.degraded);
            let _ = writeln!(out, "recovering_stretch_mode {}", self.stretch.recovering);
            let _ = writeln!(out, "stretch_mode_bucket {}", self.stretch.bucket);
        }
        if !self.cluster_snapshot.is_empty() {
            let _ = writeln!(out, "cluster_snapshot {}", self.cluster_snapshot);
        }
        out.push('\n');
    }

    /// One line a pool, as `osd pool ls detail` (which adds an empty one).
    pub fn print_pools(&self) -> String {
        let mut out = String::new();
        for (id, pool) in &self.pools {
            let name = self.pool_name(*id).unwrap_or("<unknown>");
            let _ = writeln!(out, "pool {id} '{name}' {}", print_pg_pool(pool));
            for snap in pool.snaps.values() {
                let _ = writeln!(out, "\tsnap {} '{}' {}", snap.snapid, snap.name, snap.stamp);
            }
            if !pool.removed_snaps.is_empty() {
                let _ = writeln!(out, "\tremoved_snaps {}", pool.removed_snaps);
            }
            if let Some(queue) = self.removed_snaps_queue.get(id) {
                let _ = writeln!(out, "\tremoved_snaps_queue {queue}");
            }
        }
        out
    }

    /// One line, with its end.
    pub fn print_osd(&self, osd: OsdId) -> String {
        let mut out = format!("osd.{osd}");
        out.push_str(if self.is_up(osd) { " up  " } else { " down" });
        out.push_str(if self.is_in(osd) { " in " } else { " out" });
        let _ = write!(out, " weight {}", short(fixed(self.weight(osd))));
        if self.primary_affinity(osd) != DEFAULT_PRIMARY_AFFINITY {
            let _ = write!(out, " primary_affinity {}", short(fixed(self.primary_affinity(osd))));
        }
        let _ = write!(out, " {} {} {}", self.info(osd), self.addrs(osd), self.cluster_addrs(osd));
        let _ = write!(out, " {}", state::sorted_names(self.state(osd)).join(","));
        if !self.uuid(osd).is_zero() {
            let _ = write!(out, " {}", self.uuid(osd));
        }
        out.push('\n');
        out
    }
}

/// A pool in one line (Ceph: `operator<<(ostream&, const pg_pool_t&)`).
pub fn print_pg_pool(p: &PgPool) -> String {
    let mut out = match p.is_erasure() {
        true => format!("erasure profile {}", p.erasure_code_profile),
        false => "replicated".to_owned(),
    };
    let hash = if p.object_hash == 1 { "linux" } else { "rjenkins" };
    let _ = write!(out, " size {} min_size {} crush_rule {} object_hash {hash}", p.size, p.min_size, p.crush_rule);
    let _ = write!(out, " pg_num {} pgp_num {}", p.pg_num, p.pgp_num);
    let mut optional = |name: &str, show: bool, value: &dyn std::fmt::Display| {
        if show {
            let _ = write!(out, " {name} {value}");
        }
    };
    optional("pg_num_target", p.pg_num_target != p.pg_num, &p.pg_num_target);
    optional("pgp_num_target", p.pgp_num_target != p.pgp_num, &p.pgp_num_target);
    optional("pg_num_pending", p.pg_num_pending != p.pg_num, &p.pg_num_pending);
    optional("autoscale_mode", true, &autoscale_name(p.pg_autoscale_mode));
    optional("last_change", true, &p.last_change);
    let resend = [p.last_force_op_resend, p.last_force_op_resend_prenautilus, p.last_force_op_resend_preluminous];
    let lfor = resend.map(|e| e.to_string()).join("/");
    optional("lfor", resend.iter().any(|e| *e != 0), &lfor);
    optional("owner", p.auid != 0, &p.auid);
    optional("flags", p.flags != 0, &p.flags_string());
    optional("max_bytes", p.quota_max_bytes != 0, &p.quota_max_bytes);
    optional("max_objects", p.quota_max_objects != 0, &p.quota_max_objects);
    let tiers: Vec<_> = p.tiers.iter().map(u64::to_string).collect();
    optional("tiers", !tiers.is_empty(), &tiers.join(","));
    optional("tier_of", p.is_tier(), &p.tier_of);
    optional("read_tier", p.read_tier >= 0, &p.read_tier);
    optional("write_tier", p.write_tier >= 0, &p.write_tier);
    optional("cache_mode", p.cache_mode != 0, &cache_mode_name(p.cache_mode));
    optional("target_bytes", p.target_max_bytes != 0, &p.target_max_bytes);
    optional("target_objects", p.target_max_objects != 0, &p.target_max_objects);
    let hit_set = format!(
        "{} {}s x{} decay_rate {} search_last_n {}",
        p.hit_set_params.type_name(),
        p.hit_set_period,
        p.hit_set_count,
        p.hit_set_grade_decay_rate,
        p.hit_set_search_last_n
    );
    optional("hit_set", p.hit_set_params != HitSetParams::None, &hit_set);
    let (read, write) = (p.min_read_recency_for_promote, p.min_write_recency_for_promote);
    optional("min_read_recency_for_promote", read != 0, &read);
    optional("min_write_recency_for_promote", write != 0, &write);
    optional("stripe_width", true, &p.stripe_width);
    optional("expected_num_objects", p.expected_num_objects != 0, &p.expected_num_objects);
    optional("fast_read", p.fast_read, &u8::from(p.fast_read));
    for (name, ..) in POOL_OPTS {
        match p.opts.get(name) {
            None => {}
            Some(PoolOptValue::Str(v)) => optional(name, true, v),
            Some(PoolOptValue::Int(v)) => optional(name, true, v),
            Some(PoolOptValue::Double(v)) => optional(name, true, &general_float(*v, 6)),
        }
    }
    let applications: Vec<_> = p.application_metadata.keys().map(String::as_str).collect();
    optional("application", !applications.is_empty(), &applications.join(","));
    out
}
