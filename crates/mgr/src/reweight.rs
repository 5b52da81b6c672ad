//! `osd reweight-by-utilization` and `osd reweight-by-pg`: lower the reweight of OSDs that are fuller than
//! the rest, raise that of emptier ones (Ceph: `reweight::by_utilization`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use osdmap::{Incremental, OsdMap};
use types::dump::{Dump, general_float};
use types::errno::{EDOM, EINVAL};
use types::{OsdId, PgId, PoolId};

use crate::stats::PgMap;

/// `mon_reweight_min_pgs_per_osd`, `mon_reweight_min_bytes_per_osd`: with less, chance outweighs use.
const PGS_MIN: usize = 10;
const BYTES_MIN: u64 = 100 << 20;

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    pub overload_percent: i64,
    /// How much a weight may change at once.
    pub change_max: f64,
    pub osds_max: usize,
    /// By PGs rather than by bytes.
    pub by_pg: bool,
    /// Only PGs of these; all if there are none.
    pub pools: BTreeSet<PoolId>,
    pub no_increasing: bool,
}

/// New weights, and how placement would change.
#[derive(Debug)]
pub struct Plan {
    pub weights: BTreeMap<OsdId, u32>,
    pub text: String,
    pub dump: Dump,
}

/// What each OSD carries, and the mean.
struct Load {
    average: f64,
    by_osd: Vec<(OsdId, f64)>,
}

fn by_pgs(pgs: &PgMap, map: &OsdMap, pools: &BTreeSet<PoolId>) -> Result<Load, (i32, String)> {
    let weight = |osd: OsdId| f64::from(map.crush.item_weight(osd).unwrap_or(0)) / 65_536.0;
    let mut counts: BTreeMap<OsdId, usize> = BTreeMap::new();
    let chosen = pgs.pgs.iter().filter(|(id, _)| pools.is_empty() || pools.contains(&id.pool));
    for osd in chosen.flat_map(|(_, s)| &s.acting) {
        if map.exists(*osd) && weight(*osd) > 0.0 {
            *counts.entry(*osd).or_default() += 1;
        }
    }
    let (osds, copies): (usize, usize) = (counts.len(), counts.values().sum());
    if osds == 0 || copies / osds < PGS_MIN {
        return Err((EDOM, format!("Refusing to reweight: we only have {copies} PGs across {osds} osds!\n")));
    }
    let total: f64 = counts.keys().map(|osd| weight(*osd)).sum();
    let by_osd = counts.iter().map(|(osd, n)| (*osd, *n as f64 / weight(*osd))).collect();
    Ok(Load { average: copies as f64 / total, by_osd })
}

fn by_bytes(pgs: &PgMap) -> Result<Load, (i32, String)> {
    let mut sum = types::StoreStatfs::default();
    pgs.osds.values().for_each(|s| crate::summary::add_statfs(&mut sum, &s.statfs));
    let osds = pgs.osds.len().max(1) as u64;
    let refuse = |bytes: u64, what: &str| {
        let text = format!("Refusing to reweight: we only have {} {what} across all osds!\n", bytes >> 10);
        if bytes / osds < BYTES_MIN { Err((EDOM, text)) } else { Ok(()) }
    };
    refuse(sum.total, "kb")?;
    refuse(sum.used_raw(), "kb used")?;
    let by_osd = pgs.osds.iter().filter(|(_, s)| s.statfs.total > 0);
    let by_osd = by_osd.map(|(osd, s)| (*osd, s.statfs.used_raw_ratio())).collect();
    Ok(Load { average: sum.used_raw_ratio(), by_osd })
}

impl Plan {
    /// # Errors
    /// The errno and the sentence, as Ceph refuses.
    pub fn new(pgs: &PgMap, map: &OsdMap, request: &Request) -> Result<Self, (i32, String)> {
        if request.overload_percent <= 100 {
            let text = "You must give a percentage higher than 100. The reweighting threshold will be calculated as \
                        <average-utilization> times <input-percentage>. For example, an argument of 200 would reweight \
                        OSDs which are twice as utilized as the average OSD.\n";
            return Err((EINVAL, text.to_owned()));
        }
        let mut load = if request.by_pg { by_pgs(pgs, map, &request.pools)? } else { by_bytes(pgs)? };
        let average = load.average;
        let overload = average * request.overload_percent as f64 / 100.0;
        load.by_osd.sort_by(|a, b| (b.1 - average).abs().total_cmp(&(a.1 - average).abs()));
        let weights = changes(map, request, &load, overload);

        let mut dump = Dump::obj()
            .with("overload_min", request.overload_percent)
            .with("max_change", request.change_max)
            .with("max_change_osds", request.osds_max)
            .with("average_utilization", average)
            .with("overload_utilization", overload);
        let fixed = |w: u32| f64::from(w) / 65_536.0;
        let rows = weights.iter().map(|(osd, new)| {
            let old = fixed(map.weight(*osd));
            Dump::obj().with("osd", *osd).with("weight", old).with("new_weight", fixed(*new))
        });
        dump.put("reweights", Dump::arr("osd", rows));
        let moved = Moved::new(map, &weights, &request.pools);
        dump.put("utilization", moved.dump());
        let mut text = moved.text();
        let change = general_float(request.change_max, 6);
        let _ = writeln!(text, "\noload {}\nmax_change {change}", request.overload_percent);
        let _ = writeln!(text, "max_change_osds {}\naverage_utilization {average:.4}", request.osds_max);
        let _ = writeln!(text, "overload_utilization {overload:.4}");
        for (osd, new) in &weights {
            let _ = writeln!(text, "osd.{osd} weight {:.4} -> {:.4}", fixed(map.weight(*osd)), fixed(*new));
        }
        Ok(Self { weights: weights.into_iter().collect(), text, dump })
    }
}

/// From the OSD that is furthest from the mean on: less to those above the threshold, more to those below the
/// mean that have been lowered before.
fn changes(map: &OsdMap, request: &Request, load: &Load, overload: f64) -> Vec<(OsdId, u32)> {
    let step = (request.change_max * 65_536.0) as u32;
    let mut weights = vec![];
    for (osd, used) in &load.by_osd {
        let weight = map.weight(*osd);
        if weight == 0 {
            continue;
        }
        let fair = (load.average / used * f64::from(weight)) as u32;
        if *used >= overload {
            weights.push((*osd, fair.max(weight.saturating_sub(step))));
        } else if !request.no_increasing && *used <= load.average {
            let more = fair.min(weight.saturating_add(step)).min(osdmap::WEIGHT_IN);
            if more > weight {
                weights.push((*osd, more));
            }
        }
        if weights.len() >= request.osds_max {
            break;
        }
    }
    weights
}

/// How PGs are spread, before and after (Ceph: `summarize_mapping_stats`).
struct Moved {
    moved: usize,
    total: usize,
    average: f64,
    before: Spread,
    after: Spread,
    expected: f64,
    /// The OSDs with least and most PGs: number, before, after.
    min: (OsdId, usize, usize),
    max: (OsdId, usize, usize),
}

type Spread = f64;

impl Moved {
    fn new(map: &OsdMap, weights: &[(OsdId, u32)], pools: &BTreeSet<PoolId>) -> Self {
        let mut inc = Incremental::after(map);
        inc.new_weight.extend(weights.iter().copied());
        let mut next = map.clone();
        let applied = next.apply(&inc).is_ok();
        let (mut moved, mut total) = (0, 0);
        let (mut before, mut after): (BTreeMap<OsdId, usize>, BTreeMap<OsdId, usize>) = Default::default();
        for (id, pool) in map.pools.iter().filter(|(id, _)| pools.is_empty() || pools.contains(id)) {
            for seed in 0..pool.pg_num {
                let pg = PgId::new(*id, seed);
                let up = map.pg_to_up_acting(pg).up;
                let then = if applied { next.pg_to_up_acting(pg).up } else { up.clone() };
                total += usize::from(pool.size);
                moved += up.iter().filter(|osd| !then.contains(osd)).count();
                up.iter().for_each(|osd| *before.entry(*osd).or_default() += 1);
                then.iter().for_each(|osd| *after.entry(*osd).or_default() += 1);
            }
        }
        let osds: Vec<OsdId> = map.osds().filter(|o| map.is_up(*o) && map.is_in(*o)).collect();
        let count = osds.len().max(1) as f64;
        let average = total as f64 / count;
        let of = |counts: &BTreeMap<OsdId, usize>, osd: &OsdId| counts.get(osd).copied().unwrap_or(0);
        let spread = |counts: &BTreeMap<OsdId, usize>| {
            (osds.iter().map(|o| (of(counts, o) as f64 - average).powi(2)).sum::<f64>() / count).sqrt()
        };
        let row = |osd: &OsdId| (*osd, of(&before, osd), of(&after, osd));
        let min = osds.iter().min_by_key(|o| of(&before, o)).map_or((0, 0, 0), row);
        let max = osds.iter().rev().max_by_key(|o| of(&before, o)).map_or((0, 0, 0), row);
        let expected = (average * (1.0 - 1.0 / count)).sqrt();
        Self { moved, total, average, before: spread(&before), after: spread(&after), expected, min, max }
    }

    fn dump(&self) -> Dump {
        Dump::obj()
            .with("moved_pgs", self.moved)
            .with("total_pgs", self.total)
            .with("avg_pgs", self.average)
            .with("std_dev", self.before)
            .with("expected_baseline_std_dev", self.expected)
            .with("new_std_dev", self.after)
            .with("min_osd", self.min.0)
            .with("min_osd_pgs", self.min.1)
            .with("new_min_osd_pgs", self.min.2)
            .with("max_osd", self.max.0)
            .with("max_osd_pgs", self.max.1)
            .with("new_max_osd_pgs", self.max.2)
    }

    fn text(&self) -> String {
        // Ceph computes with 32-bit floats here, and prints six digits.
        let short = |v: f64| general_float(v, 6);
        let share = if self.total > 0 { self.moved as f64 * 100.0 / self.total as f64 } else { 0.0 };
        let mut out = format!("moved {} / {} ({}%)\n", self.moved, self.total, short(share));
        let _ = writeln!(out, "avg {}", short(self.average));
        let (before, after, expected) = (short(self.before), short(self.after), short(self.expected));
        let _ = writeln!(out, "stddev {before} -> {after} (expected baseline {expected})");
        for (what, (osd, old, new)) in [("min", self.min), ("max", self.max)] {
            let times = |n: usize| if self.average > 0.0 { short(n as f64 / self.average) } else { "0".to_owned() };
            let _ = writeln!(out, "{what} osd.{osd} with {old} -> {new} pgs ({} -> {} * mean)", times(old), times(new));
        }
        out
    }
}
