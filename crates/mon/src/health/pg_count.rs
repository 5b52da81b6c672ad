//! How many PGs there are: `TOO_FEW_PGS`, `TOO_MANY_PGS` by OSD; `SMALLER_PGP_NUM`, `MANY_OBJECTS_PER_PG` and
//! `POOL_PG_NUM_NOT_POWER_OF_TWO` by pool; `POOL_TOO_FEW_PGS` and `POOL_TOO_MANY_PGS` of pools whose autoscale mode is
//! `warn`. Unlike Ceph's, the last two speak only if the number is wrong by more than three times.

use mgr::Severity;
use node::Now;
use types::dump::general_float;

use super::{Checks, report};
use crate::core::Mon;

pub fn check(mon: &Mon, _: Now, checks: &mut Checks) {
    by_osd(mon, checks);
    pgp_num(mon, checks);
    power_of_two(mon, checks);
    objects(mon, checks);
    autoscale(mon, checks);
}

fn autoscale(mon: &Mon, checks: &mut Checks) {
    let all = mgr::autoscale::status(&mon.mgr.stats, &mon.state.osdmap, mon.config.u64("mon_target_pg_per_osd"));
    let wrong = all.iter().filter(|p| p.mode == "warn" && p.is_wrong);
    let (few, many): (Vec<_>, Vec<_>) = wrong.partition(|p| p.pg_num_final > p.pg_num);
    for (code, word, pools) in [("POOL_TOO_FEW_PGS", "few", few), ("POOL_TOO_MANY_PGS", "many", many)] {
        if pools.is_empty() {
            continue;
        }
        let line = |p: &&mgr::autoscale::PoolStatus| {
            format!("Pool {} has {} placement groups, should have {}", p.name, p.pg_num, p.pg_num_final)
        };
        let (n, lines) = (pools.len(), pools.iter().map(line).collect());
        let summary = format!("{n} pools have too {word} placement groups");
        report(checks, code, Severity::Warn, summary, n as u64, lines);
    }
}

fn by_osd(mon: &Mon, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let inside = map.osds().filter(|osd| map.is_in(*osd)).count() as u64;
    let copies: u64 = mon.mgr.stats.pgs.values().map(|stat| stat.up.len() as u64).sum();
    let Some(per) = copies.max(mon.mgr.stats.pgs.len() as u64).checked_div(inside) else { return };
    let (least, most) = (mon.config.u64("mon_pg_warn_min_per_osd"), mon.config.u64("mon_max_pg_per_osd"));
    if per > 0 && per < least {
        let summary = format!("too few PGs per OSD ({per} < min {least})");
        report(checks, "TOO_FEW_PGS", Severity::Warn, summary, least - per, vec![]);
    }
    if most > 0 && per > most {
        let summary = format!("too many PGs per OSD ({per} > max {most})");
        report(checks, "TOO_MANY_PGS", Severity::Warn, summary, per - most, vec![]);
    }
}

fn pgp_num(mon: &Mon, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let fewer = map.pools.iter().filter(|(_, p)| p.pg_num_target > p.pgp_num_target);
    let line = |(id, p): (&i64, &std::sync::Arc<types::PgPool>)| {
        let name = map.pool_name(*id).unwrap_or_default();
        format!("pool {name} pg_num {} > pgp_num {}", p.pg_num_target, p.pgp_num_target)
    };
    let lines: Vec<String> = fewer.map(line).collect();
    if !lines.is_empty() {
        let n = lines.len();
        let summary = format!("{n} pools have pg_num > pgp_num");
        report(checks, "SMALLER_PGP_NUM", Severity::Warn, summary, n as u64, lines);
    }
}

fn power_of_two(mon: &Mon, checks: &mut Checks) {
    if !mon.config.bool("mon_warn_on_pool_pg_num_not_power_of_two") {
        return;
    }
    let map = &mon.state.osdmap;
    let uneven = map.pools.iter().filter(|(_, p)| !p.pg_num_target.is_power_of_two());
    let lines: Vec<String> = uneven
        .map(|(id, p)| {
            let name = map.pool_name(*id).unwrap_or_default();
            format!("pool '{name}' pg_num {} is not a power of two", p.pg_num_target)
        })
        .collect();
    if !lines.is_empty() {
        let n = lines.len();
        let summary = format!("{n} pool(s) have non-power-of-two pg_num");
        report(checks, "POOL_PG_NUM_NOT_POWER_OF_TWO", Severity::Warn, summary, n as u64, lines);
    }
}

fn objects(mon: &Mon, checks: &mut Checks) {
    let map = &mon.state.osdmap;
    let all: u64 = mon.digest.pools.values().map(|sum| sum.objects).sum();
    let Some(average) = all.checked_div(mon.mgr.stats.pgs.len() as u64).filter(|n| *n > 0) else { return };
    let least = |option: &str| mon.config.i64(option).max(0) as u64;
    let skew = mon.config.f64("mon_pg_warn_max_object_skew");
    if skew <= 0.0 || all < least("mon_pg_warn_min_objects") {
        return;
    }
    let mut lines = vec![];
    for (id, pool) in &map.pools {
        let Some(sum) = mon.digest.pools.get(id) else { continue };
        let each = sum.objects / u64::from(pool.pg_num_target.max(1));
        let ratio = each as f64 / average as f64;
        if sum.objects >= least("mon_pg_warn_min_pool_objects") && ratio > skew {
            let (name, ratio) = (map.pool_name(*id).unwrap_or_default(), general_float(ratio, 6));
            lines.push(format!(
                "pool {name} objects per pg ({each}) is more than {ratio} times cluster average ({average})"
            ));
        }
    }
    if !lines.is_empty() {
        let n = lines.len();
        let summary = format!("{n} pools have many more objects per pg than average");
        report(checks, "MANY_OBJECTS_PER_PG", Severity::Warn, summary, n as u64, lines);
    }
}
