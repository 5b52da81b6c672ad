//! `osd tree`, and what `osd crush tree` and `osd df tree` share with it.
//!
//! A tree comes as [`TreeItem`]s in order; each command puts its own columns or fields beside the common
//! ones, which are here.

use std::collections::BTreeSet;

use crush::{CrushMap, TreeItem};
use types::dump::Dump;
use types::table::Table;

use crate::OsdMap;
use crate::dump::fixed;

/// Which OSDs `osd tree` shows; all if nothing is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeFilter {
    pub up: bool,
    pub down: bool,
    pub r#in: bool,
    pub out: bool,
    pub destroyed: bool,
}

impl TreeFilter {
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn shows(self, map: &OsdMap, osd: i32) -> bool {
        self.is_empty()
            || (self.up && map.is_up(osd))
            || (self.down && map.is_down(osd))
            || (self.r#in && map.is_in(osd))
            || (self.out && map.is_out(osd))
            || (self.destroyed && map.is_destroyed(osd))
    }
}

/// A weight as tables have it: five digits, or `0`, or `-` for none (Ceph: `weightf_t`).
pub fn weight_cell(weight: f32) -> String {
    if weight < -0.01 {
        "-".to_owned()
    } else if weight < 0.000_001 {
        "0".to_owned()
    } else {
        format!("{weight:.5}")
    }
}

/// The cells ID, CLASS and WEIGHT, with which every tree begins.
pub fn tree_cells(crush: &CrushMap, item: &TreeItem) -> [String; 3] {
    let class = crush.item_class(item.id).unwrap_or_default().to_owned();
    [item.id.to_string(), class, weight_cell(fixed(item.weight))]
}

/// The cell TYPE NAME: indented by depth.
pub fn tree_name(crush: &CrushMap, item: &TreeItem) -> String {
    let indent = "    ".repeat(item.depth);
    if item.id >= 0 {
        return format!("{indent}osd.{}", item.id);
    }
    let kind = crush.type_name(crush.item_type(item.id)).unwrap_or_default();
    format!("{indent}{kind} {}", crush.item_name(item.id).unwrap_or_default())
}

/// The weight sets' weights of an item in its parent: name and weights.
fn pool_weights(
    crush: &CrushMap,
    item: &TreeItem,
    pool_name: impl Fn(i64) -> Option<String>,
) -> Vec<(String, Vec<u32>)> {
    let Some(pos) = crush.bucket(item.parent).and_then(|b| b.position_of(item.id)) else { return Vec::new() };
    let index = (-1 - item.parent).cast_unsigned();
    let sets = crush.choose_args().iter().filter_map(|(id, args)| {
        let arg = args.get(&index).filter(|a| !a.weight_set.is_empty())?;
        let name = match *id {
            crush::DEFAULT_CHOOSE_ARGS => "(compat)".to_owned(),
            id => pool_name(id).unwrap_or_else(|| id.to_string()),
        };
        Some((name, arg.weight_set.iter().map(|set| set.get(pos).copied().unwrap_or(0)).collect()))
    });
    sets.collect()
}

impl OsdMap {
    /// One item as JSON has it (Ceph: `dump_item_fields`), with `extra` before the children.
    pub fn dump_tree_item(&self, item: &TreeItem, extra: Dump) -> Dump {
        let crush = &self.crush;
        let mut out = Dump::obj().with("id", item.id);
        if let Some(class) = crush.item_class(item.id) {
            out.put("device_class", class);
        }
        let type_id = crush.item_type(item.id);
        let name = match item.id {
            osd @ 0.. => format!("osd.{osd}"),
            id => crush.item_name(id).unwrap_or_default().to_owned(),
        };
        out.put("name", name);
        out.put("type", crush.type_name(type_id).unwrap_or_default());
        out.put("type_id", type_id);
        if item.id >= 0 {
            out.put("crush_weight", fixed(item.weight));
            out.put("depth", item.depth);
        }
        if item.parent < 0 {
            let mut sets = Dump::obj();
            for (name, weights) in pool_weights(crush, item, |id| self.pool_name(id).map(str::to_owned)) {
                sets.put(name, Dump::arr("weight", weights.into_iter().map(fixed)));
            }
            out.put("pool_weights", sets);
        }
        out.extend(extra);
        if item.id < 0 {
            out.put("children", Dump::arr("child", item.children.iter().copied()));
        }
        out
    }

    /// What `osd tree` shows: the hierarchy, or the part below `bucket`; then OSDs that are nowhere in it.
    pub fn tree_items(&self, filter: TreeFilter, bucket: Option<&str>) -> (Vec<TreeItem>, Vec<TreeItem>) {
        let mut walk = match bucket {
            None => self.crush.walk(false),
            Some(name) => self.crush.walk_from(self.crush.item_id(name)),
        };
        if !filter.is_empty() {
            walk = walk.only_with(|osd| filter.shows(self, osd));
        }
        let nodes: Vec<TreeItem> = walk.collect();
        if bucket.is_some() {
            return (nodes, Vec::new());
        }
        let seen: BTreeSet<i32> = nodes.iter().map(|item| item.id).collect();
        let stray = self.osds().filter(|osd| !seen.contains(osd) && filter.shows(self, *osd));
        let lone = |id| TreeItem { id, parent: 0, depth: 0, weight: 0, children: Vec::new() };
        (nodes, stray.map(lone).collect())
    }

    fn tree_status(&self, osd: i32) -> &'static str {
        if self.is_up(osd) {
            "up"
        } else if self.is_destroyed(osd) {
            "destroyed"
        } else {
            "down"
        }
    }

    /// `osd tree -f json`.
    pub fn dump_tree(&self, filter: TreeFilter, bucket: Option<&str>) -> Dump {
        let (nodes, stray) = self.tree_items(filter, bucket);
        let one = |item: &TreeItem| {
            let extra = match item.id {
                osd @ 0.. => Dump::obj()
                    .with("exists", i64::from(self.exists(osd)))
                    .with("status", self.tree_status(osd))
                    .with("reweight", fixed(self.weight(osd)))
                    .with("primary_affinity", fixed(self.primary_affinity(osd))),
                _ => Dump::obj(),
            };
            self.dump_tree_item(item, extra)
        };
        let out = Dump::obj().with("nodes", Dump::arr("item", nodes.iter().map(one)));
        if bucket.is_some() { out } else { out.with("stray", Dump::arr("item", stray.iter().map(one))) }
    }

    /// `osd tree` for people.
    pub fn print_tree(&self, filter: TreeFilter, bucket: Option<&str>) -> String {
        let (nodes, stray) = self.tree_items(filter, bucket);
        let mut table = Table::new().right("ID").right("CLASS").right("WEIGHT").left("TYPE NAME");
        table = table.right("STATUS").right("REWEIGHT").right("PRI-AFF");
        for item in nodes.iter().chain(&stray) {
            let mut cells: Vec<String> = tree_cells(&self.crush, item).into();
            cells.push(tree_name(&self.crush, item));
            match item.id {
                osd @ 0.. if self.exists(osd) => {
                    cells.push(self.tree_status(osd).to_owned());
                    cells.push(weight_cell(fixed(self.weight(osd))));
                    cells.push(weight_cell(fixed(self.primary_affinity(osd))));
                }
                0.. => cells.extend(["DNE".to_owned(), "0".to_owned()]),
                _ => {}
            }
            table.row(cells);
        }
        table.render()
    }

    /// `osd crush tree -f json`.
    pub fn dump_crush_tree(&self, shadow: bool) -> Dump {
        let items = self.crush.walk(shadow).map(|item| self.dump_tree_item(&item, Dump::obj()));
        Dump::obj().with("nodes", Dump::arr("item", items)).with("stray", Dump::arr("item", Vec::<Dump>::new()))
    }

    /// `osd crush tree` for people.
    pub fn print_crush_tree(&self, shadow: bool) -> String {
        let mut table = Table::new().right("ID").right("CLASS").right("WEIGHT");
        let names: Vec<String> = self.crush.choose_args().keys().map(|id| self.weight_set_name(*id)).collect();
        for name in &names {
            table = table.right(name);
        }
        table = table.left("TYPE NAME");
        for item in self.crush.walk(shadow) {
            let mut cells: Vec<String> = tree_cells(&self.crush, &item).into();
            let sets = pool_weights(&self.crush, &item, |id| self.pool_name(id).map(str::to_owned));
            for name in &names {
                let weight = sets.iter().find(|(n, _)| n == name).and_then(|(_, w)| w.first());
                cells.push(weight.map_or_else(String::new, |w| weight_cell(fixed(*w))));
            }
            cells.push(tree_name(&self.crush, &item));
            table.row(cells);
        }
        table.render()
    }

    fn weight_set_name(&self, id: i64) -> String {
        match id {
            crush::DEFAULT_CHOOSE_ARGS => "(compat)".to_owned(),
            id => self.pool_name(id).map_or_else(|| id.to_string(), str::to_owned),
        }
    }
}
