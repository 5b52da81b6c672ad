//! `osd df`: how full OSDs are, alone or under the buckets that hold them.

use std::collections::BTreeSet;

use crush::TreeItem;
use osdmap::{OsdMap, tree_cells, tree_name, weight_cell};
use types::dump::Dump;
use types::errno::EINVAL;
use types::table::Table;
use types::{OsdId, StoreStatfs};

use crate::stats::PgMap;
use crate::text;

/// Which OSDs and buckets are shown.
#[derive(Debug, Default)]
pub struct Filter {
    /// Empty: all.
    items: BTreeSet<i32>,
    class: Option<i32>,
}

impl Filter {
    /// A bucket's or an OSD's name, a device class, or a pool, in this order; empty for everything.
    ///
    /// # Errors
    /// The errno and the sentence if it is none of them.
    pub fn parse(map: &OsdMap, text: &str) -> Result<Self, (i32, String)> {
        let crush = &map.crush;
        let below = |roots: Vec<i32>| roots.into_iter().flat_map(|root| crush.subtree(root)).collect();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Some(item) = crush.item_id(text) {
            return Ok(Self { items: below(vec![item]), class: None });
        }
        if let Some(class) = crush.class_id(text) {
            return Ok(Self { items: BTreeSet::new(), class: Some(class) });
        }
        if let Some(pool) = map.pool_id(text).and_then(|id| map.pool(id)) {
            let takes = crush.rule(pool.crush_rule.into()).map(|rule| rule.takes().collect());
            return Ok(Self { items: below(takes.unwrap_or_default()), class: None });
        }
        Err((EINVAL, format!("'{text}' not a pool, crush node or device class name")))
    }

    fn shows(&self, map: &OsdMap, item: i32) -> bool {
        let has_class = || self.class.is_none_or(|class| map.crush.item_class(item) == map.crush.class_name(class));
        (self.items.is_empty() || self.items.contains(&item)) && (item < 0 || has_class())
    }
}

/// One OSD's or bucket's row.
struct Row {
    item: TreeItem,
    stat: StoreStatfs,
    pgs: usize,
    utilization: f64,
    var: f64,
    reweight: f64,
}

/// All rows, with what is said below them.
pub struct OsdDf<'a> {
    map: &'a OsdMap,
    rows: Vec<Row>,
    stray: Vec<Row>,
    total: StoreStatfs,
    average: f64,
    tree: bool,
}

impl<'a> OsdDf<'a> {
    pub fn new(pgs: &'a PgMap, map: &'a OsdMap, filter: &Filter, tree: bool) -> Self {
        let usage = |osd: OsdId| pgs.osds.get(&osd).map(|s| s.statfs.clone()).unwrap_or_default();
        let shown_osd = |osd: &OsdId| filter.shows(map, *osd);
        let mut average = StoreStatfs::default();
        map.osds().filter(shown_osd).filter(|o| map.is_in(*o)).for_each(|osd| {
            crate::summary::add_statfs(&mut average, &usage(osd));
        });
        let average = average.used_raw_ratio() * 100.0;
        let row = |item: TreeItem| {
            let mut stat = StoreStatfs::default();
            // A bucket is as full as the OSDs below it that are in.
            for osd in map.crush.devices_below(item.id).iter().filter(|o| map.is_in(**o) && shown_osd(o)) {
                crate::summary::add_statfs(&mut stat, &usage(*osd));
            }
            let utilization = stat.used_raw_ratio() * 100.0;
            let var = if average > 0.0 { utilization / average } else { 1.0 };
            let (pgs, reweight) = match item.id {
                osd @ 0.. => (
                    pgs.pgs.values().filter(|s| s.acting.contains(&osd)).count(),
                    f64::from(map.weight(osd)) / 65_536.0,
                ),
                _ => (0, -1.0),
            };
            Row { item, stat, pgs, utilization, var, reweight }
        };
        let (nodes, stray) = map.tree_items(osdmap::TreeFilter::default(), None);
        let wanted = |item: &TreeItem| (tree || item.id >= 0) && filter.shows(map, item.id);
        let rows: Vec<Row> = nodes.into_iter().filter(wanted).map(row).collect();
        let stray: Vec<Row> = stray.into_iter().filter(wanted).map(row).collect();
        let mut total = StoreStatfs::default();
        let mut seen = BTreeSet::new();
        for row in rows.iter().chain(&stray).filter(|r| r.item.id >= 0) {
            if seen.insert(row.item.id) {
                crate::summary::add_statfs(&mut total, &usage(row.item.id));
            }
        }
        Self { map, rows, stray, total, average, tree }
    }

    /// The least and the greatest variance, and the standard deviation, of OSDs that are in.
    fn spread(&self) -> (f64, f64, f64) {
        let osds = || self.rows.iter().chain(&self.stray).filter(|r| r.item.id >= 0 && r.reweight > 0.0);
        let (mut min, mut max) = (f64::INFINITY, 0.0f64);
        let (mut sum, mut weights) = (0.0, 0.0);
        for r in osds() {
            min = min.min(r.var);
            max = max.max(r.var);
            sum += r.reweight * (r.utilization - self.average).powi(2);
            weights += r.reweight;
        }
        let dev = if weights > 0.0 { (sum / weights).sqrt() } else { 0.0 };
        (if min.is_finite() { min } else { 0.0 }, max, dev)
    }

    fn status(&self, osd: OsdId) -> &'static str {
        match osd {
            osd if self.map.is_up(osd) => "up",
            osd if self.map.is_destroyed(osd) => "destroyed",
            _ => "down",
        }
    }

    pub fn dump(&self) -> Dump {
        let one = |r: &Row| {
            let mut extra = Dump::obj()
                .with("reweight", r.reweight)
                .with("kb", r.stat.total >> 10)
                .with("kb_used", r.stat.used_raw() >> 10)
                .with("kb_used_data", r.stat.allocated >> 10)
                .with("kb_used_omap", r.stat.omap_allocated >> 10)
                .with("kb_used_meta", r.stat.internal_metadata >> 10)
                .with("kb_avail", r.stat.available >> 10)
                .with("utilization", r.utilization)
                .with("var", r.var)
                .with("pgs", r.pgs);
            if r.item.id >= 0 {
                extra.put("status", self.status(r.item.id));
            }
            self.map.dump_tree_item(&r.item, extra)
        };
        let (min, max, dev) = self.spread();
        let t = &self.total;
        let summary = Dump::obj()
            .with("total_kb", t.total >> 10)
            .with("total_kb_used", t.used_raw() >> 10)
            .with("total_kb_used_data", t.allocated >> 10)
            .with("total_kb_used_omap", t.omap_allocated >> 10)
            .with("total_kb_used_meta", t.internal_metadata >> 10)
            .with("total_kb_avail", t.available >> 10)
            .with("average_utilization", self.average)
            .with("min_var", min)
            .with("max_var", max)
            .with("dev", dev);
        Dump::obj()
            .with("nodes", Dump::arr("item", self.rows.iter().map(one)))
            .with("stray", Dump::arr("item", self.stray.iter().map(one)))
            .with("summary", summary)
    }

    pub fn text(&self) -> String {
        let mut t = Table::new().right("ID").right("CLASS").right("WEIGHT").right("REWEIGHT").right("SIZE");
        for heading in ["RAW USE", "DATA", "OMAP", "META", "AVAIL", "%USE", "VAR", "PGS", "STATUS"] {
            t = t.right(heading);
        }
        if self.tree {
            t = t.left("TYPE NAME");
        }
        for r in self.rows.iter().chain(&self.stray) {
            let mut cells: Vec<String> = tree_cells(&self.map.crush, &r.item).into();
            cells.push(weight_cell(r.reweight as f32));
            cells.extend(usage_cells(&r.stat));
            cells.extend([format!("{:.2}", r.utilization), format!("{:.2}", r.var)]);
            cells.extend(match r.item.id {
                osd @ 0.. => [r.pgs.to_string(), self.status(osd).to_owned()],
                _ => ["-".to_owned(), String::new()],
            });
            if self.tree {
                cells.push(tree_name(&self.map.crush, &r.item));
            }
            t.row(cells);
        }
        let mut cells = vec![String::new(), String::new(), String::new(), "TOTAL".to_owned()];
        cells.extend(usage_cells(&self.total));
        cells.push(format!("{:.2}", self.average));
        t.row(cells);
        let (min, max, dev) = self.spread();
        let dev = types::dump::general_float((dev * 100.0).round() / 100.0, 6);
        format!("{}MIN/MAX VAR: {min:.2}/{max:.2}  STDDEV: {dev}\n", t.render())
    }
}

fn usage_cells(s: &StoreStatfs) -> [String; 6] {
    let whole = |n: i64| text::bytes(n.max(0) as u64);
    [
        text::bytes(s.total),
        text::bytes(s.used_raw()),
        whole(s.allocated),
        whole(s.omap_allocated),
        whole(s.internal_metadata),
        text::bytes(s.available),
    ]
}
