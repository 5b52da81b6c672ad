//! `ceph df`: how full the stores are, and what pools hold.

use mgr::text::{bytes, count};
use osdmap::OsdMap;
use types::dump::Dump;
use types::table::Table;
use types::{OsdId, PgPool, PoolId, PoolStat, StoreStatfs};

use super::{Cmd, CmdResult};
use crate::core::Mon;

/// What one pool holds, and how much more it may: what clients stored, and the space that it takes on all OSDs.
struct PoolUse {
    stored_data: u64,
    stored_omap: u64,
    used_data: u64,
    used_omap: u64,
    objects: u64,
    /// 0 to 1.
    percent: f64,
    max_avail: u64,
    avail_raw: u64,
    /// Copies that there are of an object, on average.
    copies: f64,
}

impl PoolUse {
    /// (Ceph: `PGMapDigest::dump_object_stat_sum`.)
    fn new(mon: &Mon, map: &OsdMap, p: &PgPool, stat: &PoolStat) -> Self {
        let sum = &stat.stats.sum;
        let mut copies = f64::from(p.size);
        if sum.num_object_copies > 0 {
            let degraded = sum.num_objects_degraded.clamp(0, sum.num_object_copies);
            copies *= (sum.num_object_copies - degraded) as f64 / sum.num_object_copies as f64;
        }
        let each = |bytes: i64| if copies > 0.0 { (bytes.max(0) as f64 / copies) as u64 } else { 0 };
        let told = &stat.store_stats;
        let ((stored_data, used_data), (stored_omap, used_omap)) = match stat.num_store_stats {
            0 => ((sum.num_bytes, sum.num_bytes), (sum.num_omap_bytes, sum.num_omap_bytes)),
            _ => {
                let stored = |bytes| each(bytes).cast_signed();
                ((stored(told.data_stored), told.allocated), (stored(told.omap_allocated), told.omap_allocated))
            }
        };
        let [stored_data, stored_omap, used_data, used_omap] =
            [stored_data, stored_omap, used_data, used_omap].map(|n| n.max(0).cast_unsigned());
        let (used, avail_raw) = (used_data + used_omap, rule_avail(mon, map, p));
        let percent = if used + avail_raw > 0 { used as f64 / (used + avail_raw) as f64 } else { 0.0 };
        let max_avail = each(avail_raw.cast_signed());
        let objects = sum.num_objects.max(0) as u64;
        Self { stored_data, stored_omap, used_data, used_omap, objects, percent, max_avail, avail_raw, copies }
    }

    fn stored(&self) -> u64 {
        self.stored_data + self.stored_omap
    }

    fn used(&self) -> u64 {
        self.used_data + self.used_omap
    }
}

/// How many bytes clients can still write to a pool (Ceph: `PGMapDigest::get_pool_free_space`).
pub(crate) fn pool_room(mon: &Mon, map: &OsdMap, p: &PgPool) -> u64 {
    rule_avail(mon, map, p) / u64::from(p.size).max(1)
}

/// How many raw bytes can be written by a rule until its first OSD is full (Ceph: `PGMap::get_rule_avail`).
fn rule_avail(mon: &Mon, map: &OsdMap, p: &PgPool) -> u64 {
    let rule = map.crush.rule(p.crush_rule.into());
    let mut weights: std::collections::BTreeMap<OsdId, f64> = std::collections::BTreeMap::new();
    for root in rule.into_iter().flat_map(crush::Rule::takes) {
        for osd in map.crush.devices_below(root) {
            let share = f64::from(map.crush.item_weight(osd).unwrap_or(0)) * f64::from(map.weight(osd));
            *weights.entry(osd).or_default() += share;
        }
    }
    let all: f64 = weights.values().sum();
    let full = f64::from(map.full_ratio);
    let room = |(osd, weight): (&OsdId, &f64)| {
        let statfs = mon.mgr.stats.osds.get(osd)?.statfs.clone();
        let unusable = statfs.total as f64 * (1.0 - full);
        (*weight > 0.0).then(|| (statfs.available as f64 - unusable).max(0.0) * all / weight)
    };
    let least = weights.iter().filter_map(room).reduce(f64::min);
    least.map_or(0, |bytes| bytes as u64)
}

pub fn df(c: &mut Cmd) -> CmdResult {
    let detail = c.args.has("detail");
    let mon: &Mon = c.mon;
    let map = mon.state.osdmap.clone();
    let pools = mon.mgr.stats.pools(&map);
    let rows: Vec<(PoolId, PoolStat, PoolUse)> = map
        .pools
        .iter()
        .map(|(id, p)| {
            let stat = pools.get(id).cloned().unwrap_or_default();
            let usage = PoolUse::new(mon, &map, p, &stat);
            (*id, stat, usage)
        })
        .collect();
    Ok(c.dump_or("stats", || tree(mon, &map, &rows, detail), || text(mon, &map, &rows, detail)))
}

fn put_statfs(d: &mut Dump, s: &StoreStatfs) {
    d.put("total_bytes", s.total);
    d.put("total_avail_bytes", s.available);
    d.put("total_used_bytes", s.used());
    d.put("total_used_raw_bytes", s.used_raw());
    d.put("total_used_raw_ratio", s.used_raw_ratio());
}

fn tree(mon: &Mon, map: &OsdMap, rows: &[(PoolId, PoolStat, PoolUse)], detail: bool) -> Dump {
    let summary = mon.mgr.summary(map);
    let mut stats = Dump::obj();
    put_statfs(&mut stats, &summary.statfs);
    stats.put("num_osds", summary.num_osds);
    stats.put("num_per_pool_osds", summary.num_osds);
    stats.put("num_per_pool_omap_osds", summary.num_osds);
    let mut classes = Dump::obj();
    for (class, statfs) in &summary.classes {
        let mut d = Dump::obj();
        put_statfs(&mut d, statfs);
        classes.put(class.clone(), d);
    }
    let pools = rows.iter().map(|(id, stat, usage)| {
        Dump::obj()
            .with("name", map.pool_name(*id).unwrap_or_default())
            .with("id", *id)
            .with("stats", pool_tree(map.pool(*id).expect("a row a pool"), stat, usage, detail))
    });
    Dump::obj().with("stats", stats).with("stats_by_class", classes).with("pools", Dump::arr("pool", pools))
}

fn pool_tree(p: &PgPool, stat: &PoolStat, u: &PoolUse, detail: bool) -> Dump {
    let sum = &stat.stats.sum;
    let mut d = Dump::obj().with("stored", u.stored());
    if detail {
        d.put("stored_data", u.stored_data);
        d.put("stored_omap", u.stored_omap);
    }
    d.put("objects", u.objects);
    d.put("kb_used", u.used().div_ceil(1024));
    d.put("bytes_used", u.used());
    if detail {
        d.put("data_bytes_used", u.used_data);
        d.put("omap_bytes_used", u.used_omap);
    }
    d.put("percent_used", u.percent);
    d.put("max_avail", u.max_avail);
    if detail {
        d.put("quota_objects", p.quota_max_objects);
        d.put("quota_bytes", p.quota_max_bytes);
        d.put("dirty", 0u8);
        d.put("rd", sum.num_rd.max(0));
        d.put("rd_bytes", sum.num_rd_kb.max(0) * 1024);
        d.put("wr", sum.num_wr.max(0));
        d.put("wr_bytes", sum.num_wr_kb.max(0) * 1024);
        d.put("compress_bytes_used", 0u8);
        d.put("compress_under_bytes", 0u8);
        d.put("stored_raw", (u.stored() as f64 * u.copies) as u64);
        d.put("avail_raw", u.avail_raw);
    }
    d
}

fn text(mon: &Mon, map: &OsdMap, rows: &[(PoolId, PoolStat, PoolUse)], detail: bool) -> String {
    let summary = mon.mgr.summary(map);
    let mut raw = Table::new()
        .left("CLASS")
        .far_right("SIZE")
        .far_right("AVAIL")
        .far_right("USED")
        .far_right("RAW USED")
        .far_right("%RAW USED");
    let classes = summary.classes.iter().map(|(c, s)| (c.as_str(), s));
    for (class, s) in classes.chain([("TOTAL", &summary.statfs)]) {
        let percent = format!("{:.2}", s.used_raw_ratio() * 100.0);
        let percent = if percent == "0.00" { "0".to_owned() } else { percent };
        let cells =
            [class.to_owned(), bytes(s.total), bytes(s.available), bytes(s.used()), bytes(s.used_raw()), percent];
        raw.row(cells);
    }
    let mut table = Table::new().left("POOL").far_right("ID").far_right("PGS").far_right("STORED");
    if detail {
        table = table.far_right("(DATA)").far_right("(OMAP)");
    }
    table = table.far_right("OBJECTS").far_right("USED");
    if detail {
        table = table.far_right("(DATA)").far_right("(OMAP)");
    }
    table = table.far_right("%USED").far_right("MAX AVAIL");
    if detail {
        table = table
            .far_right("QUOTA OBJECTS")
            .far_right("QUOTA BYTES")
            .far_right("DIRTY")
            .far_right("USED COMPR")
            .far_right("UNDER COMPR");
    }
    for (id, _, u) in rows {
        let p = map.pool(*id).expect("a row a pool");
        table.row(pool_row(map, *id, p, u, detail));
    }
    format!("--- RAW STORAGE ---\n{} \n--- POOLS ---\n{}", raw.render(), table.render())
}

fn pool_row(map: &OsdMap, id: PoolId, p: &PgPool, u: &PoolUse, detail: bool) -> Vec<String> {
    let limit = |n: u64, shown: String| if n == 0 { "N/A".to_owned() } else { shown };
    let mut row = vec![map.pool_name(id).unwrap_or_default().to_owned(), id.to_string(), p.pg_num.to_string()];
    row.push(bytes(u.stored()));
    if detail {
        row.extend([bytes(u.stored_data), bytes(u.stored_omap)]);
    }
    row.extend([count(u.objects), bytes(u.used())]);
    if detail {
        row.extend([bytes(u.used_data), bytes(u.used_omap)]);
    }
    let percent = u.percent * 100.0;
    row.push(if percent < 0.005 { "0".to_owned() } else { format!("{percent:.2}") });
    row.push(bytes(u.max_avail));
    if detail {
        row.push(limit(p.quota_max_objects, count(p.quota_max_objects)));
        row.push(limit(p.quota_max_bytes, bytes(p.quota_max_bytes)));
        row.extend(["N/A".to_owned(), bytes(0), bytes(0)]);
    }
    row
}
