//! Pools and OSDs (`osd dump`, and the OSDs' own statistics).

use std::collections::BTreeSet;

use serde_json::Value;
use types::OsdId;

use super::Facts;
use super::json::{float, int, items, stamp, text};

#[derive(Debug, Clone, Default)]
pub struct PoolFacts {
    pub name: String,
    pub size: usize,
    pub min_size: usize,
    pub rule: i64,
    pub pg_num: u32,
    pub flags: BTreeSet<String>,
    pub quota_bytes: u64,
    pub quota_objects: u64,
}

#[derive(Debug, Clone, Default)]
pub struct OsdFacts {
    pub up: bool,
    /// The override weight: 0 is out.
    pub weight: f64,
    pub up_from: u32,
    pub up_thru: u32,
    pub down_at: u32,
    pub lost_at: u32,
    /// `full`, `backfillfull`, `nearfull`, and others.
    pub state: BTreeSet<String>,
    /// When it was last marked down; seconds since 1970.
    pub down_stamp: Option<u64>,
    pub kb: u64,
    pub kb_used: u64,
    pub kb_used_data: u64,
    pub kb_avail: u64,
    pub num_pgs: u64,
    /// How many bad copies its disk gave.
    pub repaired: u64,
    /// How long its disk takes to keep a write, in ms, as of late; 0: it had none to keep, or that is not known.
    pub commit_ms: f64,
}

impl OsdFacts {
    pub fn used_ratio(&self) -> f64 {
        if self.kb == 0 { 0.0 } else { 1.0 - self.kb_avail as f64 / self.kb as f64 }
    }

    pub(super) fn add_stat(&mut self, stat: &Value) {
        let whole = |key: &str| int(stat, key).max(0) as u64;
        self.kb = whole("kb");
        self.kb_used = whole("kb_used");
        self.kb_used_data = whole("kb_used_data");
        self.kb_avail = whole("kb_avail");
        self.num_pgs = whole("num_pgs");
        self.repaired = whole("num_shards_repaired");
        let perf = |key: &str| stat["perf_stat"][key].as_f64().unwrap_or(0.0).max(0.0);
        // Older ones give milliseconds only, in which a quick disk takes none.
        let ns = perf("commit_latency_ns");
        self.commit_ms = if ns > 0.0 { ns / 1e6 } else { perf("commit_latency_ms") };
    }
}

fn names(v: &Value, key: &str) -> BTreeSet<String> {
    match &v[key] {
        Value::String(s) => s.split(',').map(str::to_owned).collect(),
        list => list.as_array().into_iter().flatten().filter_map(|n| n.as_str().map(str::to_owned)).collect(),
    }
}

fn pool(v: &Value) -> PoolFacts {
    PoolFacts {
        name: text(v, "pool_name"),
        size: int(v, "size").max(0) as usize,
        min_size: int(v, "min_size").max(0) as usize,
        rule: int(v, "crush_rule"),
        pg_num: int(v, "pg_num").max(0) as u32,
        flags: names(v, "flags_names"),
        quota_bytes: int(v, "quota_max_bytes").max(0) as u64,
        quota_objects: int(v, "quota_max_objects").max(0) as u64,
    }
}

fn osd(v: &Value) -> OsdFacts {
    OsdFacts {
        up: int(v, "up") == 1,
        weight: float(v, "weight"),
        up_from: int(v, "up_from") as u32,
        up_thru: int(v, "up_thru") as u32,
        down_at: int(v, "down_at") as u32,
        lost_at: int(v, "lost_at") as u32,
        state: names(v, "state"),
        ..OsdFacts::default()
    }
}

impl Facts {
    pub(super) fn map(&mut self, dump: &Value) {
        self.epoch = int(dump, "epoch") as u32;
        self.flags = names(dump, "flags_set");
        self.full_ratio = float(dump, "full_ratio");
        self.backfillfull_ratio = float(dump, "backfillfull_ratio");
        self.nearfull_ratio = float(dump, "nearfull_ratio");
        self.pools = items(dump, "pools").map(|p| (int(p, "pool"), pool(p))).collect();
        self.osds = items(dump, "osds").map(|o| (int(o, "osd") as OsdId, osd(o))).collect();
        for x in items(dump, "osd_xinfo") {
            if let Some(osd) = self.osds.get_mut(&(int(x, "osd") as OsdId)) {
                osd.down_stamp = stamp(&text(x, "down_stamp"));
            }
        }
    }
}
