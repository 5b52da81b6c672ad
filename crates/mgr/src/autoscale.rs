//! How many PGs each pool should have: `osd pool autoscale-status`, and what is said of pools whose mode is `warn`
//! (Ceph: the manager's module `pg_autoscaler`).
//!
//! All PGs that a root's OSDs are to hold (`mon_target_pg_per_osd`) are shared out by what pools hold or are
//! said to come to hold; a pool's number is changed only if it is wrong by more than three times. Unlike Ceph,
//! this only tells; nothing changes `pg_num` by itself.

use std::collections::BTreeMap;

use osdmap::OsdMap;
use types::dump::{Dump, general_float};
use types::table::Table;
use types::{PgPool, PoolId, pg_autoscale_mode_name};

use crate::stats::PgMap;
use crate::text;

/// Unless the pool says otherwise.
const PG_NUM_MIN: u32 = 32;
const THRESHOLD: f64 = 3.0;

/// What a pool has, and what it should have.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    pub id: PoolId,
    pub name: String,
    pub mode: String,
    pub pg_num: u32,
    pub pg_num_final: u32,
    /// The number is wrong by more than the threshold.
    pub is_wrong: bool,
    ideal: f64,
    root: i32,
    logical_used: u64,
    target_bytes: u64,
    rate: f64,
    capacity: u64,
    capacity_ratio: f64,
    target_ratio: f64,
    effective_ratio: f64,
    bias: f64,
}

/// What the pools of one root share.
#[derive(Debug, Default)]
struct Root {
    capacity: u64,
    pg_left: f64,
    target_ratio: f64,
    target_bytes: f64,
}

/// All pools whose OSDs have told their size.
pub fn status(pgs: &PgMap, map: &OsdMap, pgs_per_osd: u64) -> Vec<PoolStatus> {
    let sums = pgs.pools(map);
    let root_of = |p: &PgPool| map.crush.rule(p.crush_rule.into()).and_then(|rule| rule.takes().next());
    let mut roots: BTreeMap<i32, Root> = BTreeMap::new();
    for pool in map.pools.values() {
        let Some(id) = root_of(pool) else { continue };
        let root = roots.entry(id).or_insert_with(|| {
            let osds = map.crush.devices_below(id);
            let capacity = osds.iter().filter_map(|osd| Some(pgs.osds.get(osd)?.statfs.total)).sum();
            Root { capacity, pg_left: (osds.len() as u64 * pgs_per_osd) as f64, ..Root::default() }
        });
        let (ratio, bytes) = targets(pool);
        root.target_ratio += ratio;
        root.target_bytes += bytes as f64 * f64::from(pool.size);
    }
    let mut all = vec![];
    for (id, pool) in &map.pools {
        let Some(root_id) = root_of(pool) else { continue };
        let root = roots.get_mut(&root_id).expect("each pool's root was added above");
        if root.capacity == 0 {
            continue;
        }
        let used = sums.get(id).map_or(0, |sum| sum.stats.sum.num_bytes.max(0) as u64);
        all.push(one(*id, pool, map.pool_name(*id).unwrap_or_default(), used, (root_id, root)));
    }
    all
}

/// `target_size_ratio`, `target_size_bytes`; the ratio counts if both are set.
fn targets(pool: &PgPool) -> (f64, u64) {
    let ratio = pool.opts.get_f64("target_size_ratio").unwrap_or(0.0);
    let bytes = pool.opts.get_i64("target_size_bytes").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    (ratio, if ratio == 0.0 { bytes } else { 0 })
}

fn one(id: PoolId, pool: &PgPool, name: &str, used: u64, (root_id, root): (i32, &mut Root)) -> PoolStatus {
    let (target_ratio, target_bytes) = targets(pool);
    let (rate, capacity) = (f64::from(pool.size), root.capacity as f64);
    let mut effective_ratio = if root.target_ratio > 0.0 { target_ratio / root.target_ratio } else { target_ratio };
    effective_ratio *= 1.0 - (root.target_bytes / capacity).min(1.0);
    let capacity_ratio = (used.max(target_bytes) as f64 * rate / capacity).max(effective_ratio);
    let pgs = capacity_ratio * root.pg_left;
    root.pg_left -= pgs.floor();
    let bias = pool.opts.get_f64("pg_autoscale_bias").unwrap_or(1.0);
    let ideal = pgs / rate.max(1.0) * bias;
    let least = pool.opts.get_i64("pg_num_min").and_then(|n| u32::try_from(n).ok()).unwrap_or(PG_NUM_MIN);
    let pg_num_final = nearest_power_of_two(ideal).max(least);
    let (now, then) = (f64::from(pool.pg_num_target), f64::from(pg_num_final));
    PoolStatus {
        id,
        name: name.to_owned(),
        mode: pg_autoscale_mode_name(pool.pg_autoscale_mode).to_owned(),
        pg_num: pool.pg_num_target,
        pg_num_final,
        is_wrong: (then > now * THRESHOLD || then < now / THRESHOLD) && capacity_ratio <= 1.0,
        ideal,
        root: root_id,
        logical_used: used,
        target_bytes,
        rate,
        capacity: root.capacity,
        capacity_ratio,
        target_ratio,
        effective_ratio,
        bias,
    }
}

fn nearest_power_of_two(n: f64) -> u32 {
    let above = (n.clamp(1.0, 1e9) as u32).next_power_of_two();
    let below = above >> 1;
    if f64::from(above) - n < n - f64::from(below) { above } else { below }
}

impl PoolStatus {
    fn would_adjust(&self) -> bool {
        self.is_wrong && self.mode == "on"
    }

    /// Keys in the order of the alphabet, as Ceph's.
    fn dump(&self) -> Dump {
        Dump::obj()
            .with("actual_capacity_ratio", self.logical_used as f64 * self.rate / self.capacity as f64)
            .with("actual_raw_used", self.logical_used as f64 * self.rate)
            .with("bias", self.bias)
            .with("bulk", false)
            .with("capacity_ratio", self.capacity_ratio)
            .with("crush_root_id", self.root)
            .with("effective_target_ratio", self.effective_ratio)
            .with("logical_used", self.logical_used)
            .with("pg_autoscale_mode", &self.mode)
            .with("pg_num_final", self.pg_num_final)
            .with("pg_num_ideal", self.ideal as u64)
            .with("pg_num_target", self.pg_num)
            .with("pool_id", self.id)
            .with("pool_name", &self.name)
            .with("raw_used", self.logical_used.max(self.target_bytes) as f64 * self.rate)
            .with("raw_used_rate", self.rate)
            .with("subtree_capacity", self.capacity)
            .with("target_bytes", self.target_bytes)
            .with("target_ratio", self.target_ratio)
            .with("would_adjust", self.would_adjust())
    }
}

pub fn dump(all: &[PoolStatus]) -> Dump {
    Dump::arr("pool", all.iter().map(PoolStatus::dump))
}

pub fn table(all: &[PoolStatus]) -> String {
    let headings =
        ["SIZE", "TARGET SIZE", "RATE", "RAW CAPACITY", "RATIO", "TARGET RATIO", "EFFECTIVE RATIO", "BIAS", "PG_NUM"];
    let table = headings.into_iter().fold(Table::new().left("POOL"), Table::far_right);
    let mut table = table.far_right("NEW PG_NUM").left("AUTOSCALE").left("BULK");
    let some = |is: bool, text: String| if is { text } else { String::new() };
    let number = |v: f64| if v.fract() == 0.0 { format!("{v:.1}") } else { general_float(v, 6) };
    for p in all {
        table.row([
            p.name.clone(),
            text::units(p.logical_used, 6),
            some(p.target_bytes > 0, text::units(p.target_bytes, 6)),
            number(p.rate),
            text::units(p.capacity, 6),
            format!("{:.4}", p.capacity_ratio),
            some(p.target_ratio > 0.0, format!("{:.4}", p.target_ratio)),
            some(p.effective_ratio > 0.0, format!("{:.4}", p.effective_ratio)),
            number(p.bias),
            p.pg_num.to_string(),
            some(p.would_adjust(), p.pg_num_final.to_string()),
            p.mode.clone(),
            "False".to_owned(),
        ]);
    }
    text::padded_table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_power_of_two_is_taken() {
        let of = [(0.2, 0), (1.0, 1), (2.9, 2), (3.1, 4), (23.0, 16), (25.0, 32), (96.5, 128)];
        for (n, nearest) in of {
            assert_eq!(nearest_power_of_two(n), nearest, "{n}");
        }
    }

    #[test]
    fn a_pool_reads_as_in_ceph() {
        let mut root = Root { capacity: 19_327_352_832, pg_left: 300.0, ..Root::default() };
        let mut pool = PgPool { size: 3, pg_num_target: 16, ..PgPool::default() };
        let p = one(1, &pool, "rbdpool", 1_048_758, (-1, &mut root));
        assert_eq!((p.pg_num_final, p.is_wrong), (32, false));
        let shown = table(&[PoolStatus { mode: "off".into(), ..p }]);
        let expected = "\
POOL       SIZE  TARGET SIZE  RATE  RAW CAPACITY   RATIO  TARGET RATIO  EFFECTIVE RATIO  BIAS  PG_NUM  NEW PG_NUM  AUTOSCALE  BULK   
rbdpool   1024k                3.0        18432M  0.0002                                  1.0      16              off        False  ";
        assert_eq!(shown, expected);
        pool.pg_num_target = 8;
        let p = one(1, &pool, "p", 10 << 30, (-1, &mut Root { capacity: 40 << 30, pg_left: 300.0, ..Root::default() }));
        assert_eq!((p.pg_num_final, p.is_wrong), (64, true), "three quarters of 300 PGs, by three copies");
    }
}
