//! Walking the hierarchy: up to the roots, down to the devices, and through all of it for display.

use std::collections::{BTreeMap, BTreeSet};

use crate::CrushMap;

impl CrushMap {
    /// The first plain (not shadow) bucket that holds the item (Ceph: `get_immediate_parent`).
    pub fn parent(&self, item: i32) -> Option<i32> {
        self.buckets().find(|b| b.items.contains(&item) && !self.is_shadow(b.id)).map(|b| b.id)
    }

    /// All plain buckets above the item, nearest first.
    pub fn ancestors(&self, item: i32) -> Vec<i32> {
        let mut above = Vec::new();
        let mut at = item;
        while let Some(parent) = self.parent(at) {
            // A cycle ends the climb; `validate` refuses it elsewhere.
            if above.contains(&parent) {
                break;
            }
            above.push(parent);
            at = parent;
        }
        above
    }

    /// Where the item is, as type and name of each bucket above it, nearest first.
    pub fn full_location_ordered(&self, item: i32) -> Vec<(String, String)> {
        let named = |id: i32| {
            let kind = self.type_name(self.item_type(id)).unwrap_or_default();
            (kind.to_owned(), self.item_name(id).unwrap_or_default().to_owned())
        };
        self.ancestors(item).into_iter().map(named).collect()
    }

    /// Where the item is, by type (Ceph: `get_full_location`).
    pub fn full_location(&self, item: i32) -> BTreeMap<String, String> {
        self.full_location_ordered(item).into_iter().collect()
    }

    /// The nearest bucket of this type above the item.
    pub fn ancestor_of_type(&self, item: i32, type_id: i32) -> Option<i32> {
        self.ancestors(item).into_iter().find(|id| self.item_type(*id) == type_id)
    }

    /// The items that a bucket holds; none for devices.
    pub fn children(&self, item: i32) -> &[i32] {
        self.bucket(item).map_or(&[], |b| &b.items)
    }

    /// Everything below an item, itself included, each once, depth first.
    pub fn subtree(&self, item: i32) -> Vec<i32> {
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        let mut open = vec![item];
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                order.push(at);
                open.extend(self.children(at).iter().rev());
            }
        }
        order
    }

    /// The devices below an item, or the item itself if it is one.
    pub fn devices_below(&self, item: i32) -> BTreeSet<i32> {
        self.subtree(item).into_iter().filter(|i| *i >= 0).collect()
    }

    /// The buckets of a type below an item, itself included.
    pub fn buckets_of_type_below(&self, item: i32, type_id: i32) -> Vec<i32> {
        self.subtree(item).into_iter().filter(|i| *i < 0 && self.item_type(*i) == type_id).collect()
    }

    pub fn subtree_contains(&self, root: i32, item: i32) -> bool {
        self.subtree(root).contains(&item)
    }

    /// All buckets of a type under plain roots (Ceph: `get_subtree_of_type`).
    pub fn all_of_type(&self, type_id: i32) -> Vec<i32> {
        let plain = self.buckets().filter(|b| !self.is_shadow(b.id));
        plain.filter(|b| i32::from(b.type_id) == type_id).map(|b| b.id).collect()
    }

    /// Whether any bucket holds the item.
    pub fn is_held(&self, item: i32) -> bool {
        self.buckets().any(|b| b.items.contains(&item))
    }

    /// Every item that some bucket holds.
    pub fn all_held(&self) -> BTreeSet<i32> {
        self.buckets().flat_map(|b| b.items.iter().copied()).collect()
    }

    /// The weight of a bucket, or of a device where it is found first.
    pub fn item_weight(&self, item: i32) -> Option<u32> {
        if let Some(bucket) = self.bucket(item) {
            return Some(bucket.weight);
        }
        self.buckets().find_map(|b| Some(b.item_weight(b.position_of(item)?)))
    }

    /// Walks all of the hierarchy for display, depth first (Ceph: `CrushTreeDumper`). Roots come in
    /// ascending order of id; below a bucket, items come by class and name as `osd tree` sorts them.
    pub fn walk(&self, shadow: bool) -> TreeWalk<'_> {
        self.walk_from(self.roots().into_iter().filter(|id| shadow || !self.is_shadow(*id)))
    }

    /// [`Self::walk`] of some subtrees.
    pub fn walk_from(&self, roots: impl IntoIterator<Item = i32>) -> TreeWalk<'_> {
        let top =
            |id| TreeItem { id, parent: 0, depth: 0, weight: self.item_weight(id).unwrap_or(0), children: Vec::new() };
        let mut open: Vec<TreeItem> = roots.into_iter().map(top).collect();
        open.reverse();
        TreeWalk { map: self, open, path: Vec::new(), hidden: BTreeSet::new() }
    }
}

/// One line of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeItem {
    pub id: i32,
    /// 0 for roots.
    pub parent: i32,
    pub depth: usize,
    /// As the parent has it, 16.16.
    pub weight: u32,
    /// Filled in when the item comes; last first, as Ceph lists them.
    pub children: Vec<i32>,
}

/// The iterator of [`CrushMap::walk`].
#[derive(Debug)]
pub struct TreeWalk<'a> {
    map: &'a CrushMap,
    open: Vec<TreeItem>,
    /// The buckets above the last item, so that a cycle ends.
    path: Vec<i32>,
    hidden: BTreeSet<i32>,
}

impl TreeWalk<'_> {
    /// Leaves out devices that are not wanted, and buckets without any that are.
    #[must_use]
    pub fn only_with(mut self, wanted: impl Fn(i32) -> bool) -> Self {
        let map = self.map;
        let all: BTreeSet<i32> = self.open.iter().flat_map(|top| map.subtree(top.id)).collect();
        let shown = |item: &i32| map.devices_below(*item).into_iter().any(&wanted);
        self.hidden = all.into_iter().filter(|item| !shown(item)).collect();
        self.open.retain(|top| !self.hidden.contains(&top.id));
        self
    }

    /// Devices by class and number, buckets by name. Devices without a class come with the buckets.
    fn sort_key(&self, id: i32) -> String {
        if id >= 0 {
            return format!("{}_osd.{id:08}", self.map.item_class(id).unwrap_or_default());
        }
        format!("_{}", self.map.item_name(id).unwrap_or_default())
    }
}

impl Iterator for TreeWalk<'_> {
    type Item = TreeItem;

    fn next(&mut self) -> Option<TreeItem> {
        let mut item = self.open.pop()?;
        self.path.truncate(item.depth);
        let Some(bucket) = self.map.bucket(item.id) else { return Some(item) };
        if self.path.contains(&item.id) {
            return Some(item);
        }
        self.path.push(item.id);
        let mut children: Vec<(String, TreeItem)> = Vec::new();
        for (pos, id) in bucket.items.iter().enumerate().filter(|(_, id)| !self.hidden.contains(id)) {
            let (parent, depth, weight) = (item.id, item.depth + 1, bucket.item_weight(pos));
            children.push((self.sort_key(*id), TreeItem { id: *id, parent, depth, weight, children: Vec::new() }));
        }
        children.sort_by(|a, b| b.0.cmp(&a.0));
        item.children = children.iter().map(|(_, c)| c.id).collect();
        self.open.extend(children.into_iter().map(|(_, c)| c));
        Some(item)
    }
}
