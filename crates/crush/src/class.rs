//! Device classes, and the shadow trees that they make.
//!
//! For each class there is a copy of the hierarchy with only its devices, whose buckets are called
//! `NAME~CLASS`. Rules that want one class take a shadow root. After every change the shadows are built
//! anew, with the ids that they had: data would move if an id changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Bucket, ChooseArg, CrushError, CrushMap};

type Result<T> = std::result::Result<T, CrushError>;

impl CrushMap {
    /// Gives a device a class (`osd crush set-device-class`), naming the device if it is new. Gives whether
    /// anything changed.
    ///
    /// # Errors
    /// [`CrushError::ClassBound`] if it has another class.
    pub fn set_device_class(&mut self, osd: i32, class: &str) -> Result<bool> {
        if osd < 0 {
            return Err(CrushError::NotADevice(self.item_name(osd).unwrap_or_default().to_owned()));
        }
        match self.item_class(osd) {
            Some(has) if has == class => return Ok(false),
            Some(has) => {
                return Err(CrushError::ClassBound { osd, has: has.to_owned(), wanted: class.to_owned() });
            }
            None => {}
        }
        if !crate::edit::is_valid_name(class) {
            return Err(CrushError::InvalidName(class.to_owned()));
        }
        if !self.item_exists(osd) {
            self.set_item_name(osd, &format!("osd.{osd}"))?;
        }
        let class = self.class_id_or_new(class);
        self.item_class.insert(osd, class);
        self.rebuild_shadows()?;
        Ok(true)
    }

    /// Takes a device's class away. Gives whether it had one.
    ///
    /// # Errors
    /// If the device has no name.
    pub fn rm_device_class(&mut self, osd: i32) -> Result<bool> {
        if !self.item_exists(osd) {
            return Err(CrushError::NoSuchId(osd));
        }
        let had = self.item_class.remove(&osd).is_some();
        if had {
            self.rebuild_shadows()?;
        }
        Ok(had)
    }

    /// Adds a class without devices (`osd crush class create`).
    ///
    /// # Errors
    /// If it exists or its name is invalid.
    pub fn create_class(&mut self, name: &str) -> Result<i32> {
        if self.class_id(name).is_some() {
            return Err(CrushError::Exists(name.to_owned()));
        }
        if !crate::edit::is_valid_name(name) {
            return Err(CrushError::InvalidName(name.to_owned()));
        }
        Ok(self.class_id_or_new(name))
    }

    /// Removes a class from all devices, and with it its shadows (`osd crush class rm`). Whether a rule uses
    /// it is for the caller to know.
    ///
    /// # Errors
    /// If there is no such class.
    pub fn remove_class(&mut self, name: &str) -> Result<()> {
        let class = self.class_id(name).ok_or_else(|| CrushError::NoSuchClass(name.to_owned()))?;
        self.item_class.retain(|item, of| *item < 0 || *of != class);
        self.rebuild_shadows()?;
        self.class_names.remove(&class);
        Ok(())
    }

    /// Renames a class and its shadows.
    ///
    /// # Errors
    /// If `src` does not exist, or `dst` does.
    pub fn rename_class(&mut self, src: &str, dst: &str) -> Result<()> {
        let class = self.class_id(src).ok_or_else(|| CrushError::NoSuchClass(src.to_owned()))?;
        if self.class_id(dst).is_some() {
            return Err(CrushError::Exists(dst.to_owned()));
        }
        if !crate::edit::is_valid_name(dst) {
            return Err(CrushError::InvalidName(dst.to_owned()));
        }
        let shadows = self.item_class.iter().filter(|(id, c)| **id < 0 && **c == class).map(|(id, _)| *id);
        for id in shadows.collect::<Vec<_>>() {
            let plain = self.item_name(id).and_then(|n| n.split('~').next()).map(str::to_owned);
            self.item_names.insert(id, format!("{}~{dst}", plain.unwrap_or_default()));
        }
        self.class_names.insert(class, dst.to_owned());
        Ok(())
    }

    /// The devices of a class.
    pub fn class_devices(&self, class: i32) -> impl Iterator<Item = i32> {
        self.item_class.iter().filter(move |(id, c)| **id >= 0 && **c == class).map(|(id, _)| *id)
    }

    /// The rules that start from a shadow of the class.
    pub fn rules_of_class(&self, class: i32) -> Vec<u32> {
        let of_class = |taken: i32| self.split_class(taken).is_some_and(|(_, c)| c == Some(class));
        self.rules().filter(|(_, rule)| rule.takes().any(of_class)).map(|(id, _)| id).collect()
    }

    pub(crate) fn class_id_or_new(&mut self, name: &str) -> i32 {
        self.class_id(name).unwrap_or_else(|| {
            let id = match self.class_names.last_key_value() {
                Some((last, _)) => last.checked_add(1).unwrap_or_else(|| self.unused_class_id()),
                None => 0,
            };
            self.class_names.insert(id, name.to_owned());
            id
        })
    }

    fn unused_class_id(&self) -> i32 {
        (0..).find(|id| !self.class_names.contains_key(id)).expect("there are fewer than 2^31 classes")
    }

    /// Makes the shadow trees follow the plain ones (Ceph: `rebuild_roots_with_classes`).
    ///
    /// # Errors
    /// If a bucket of an old algorithm has no room for its shadow's items.
    pub(crate) fn rebuild_shadows(&mut self) -> Result<()> {
        let old = self.class_bucket.clone();
        self.drop_dead_classes();
        let shadow_roots: Vec<i32> = self.roots().into_iter().filter(|id| self.is_shadow(*id)).collect();
        for root in shadow_roots {
            for id in self.subtree(root).into_iter().filter(|id| *id < 0) {
                self.drop_bucket(id);
            }
        }
        self.class_bucket.clear();
        self.populate_shadows(&old)
    }

    /// Makes the shadow trees of a map without any. `old`: the ids that they had.
    pub(crate) fn populate_shadows(&mut self, old: &BTreeMap<i32, BTreeMap<i32, i32>>) -> Result<()> {
        // Ids of old shadows stay reserved, even of those that are not built yet.
        let reserved: BTreeSet<i32> = old.values().flat_map(|by_class| by_class.values().copied()).collect();
        let roots: Vec<i32> = self.roots().into_iter().filter(|id| !self.is_shadow(*id)).collect();
        let classes: Vec<i32> = self.class_names.keys().copied().collect();
        let mut path = Vec::new();
        for root in roots {
            for class in &classes {
                self.build_shadow(root, *class, old, &reserved, &mut path)?;
            }
        }
        Ok(())
    }

    /// Classes that no device has and no rule takes (Ceph: `_class_is_dead`).
    fn drop_dead_classes(&mut self) {
        let taken: BTreeSet<i32> = self.rules().flat_map(|(_, rule)| rule.takes()).collect();
        let alive = |class: &i32| {
            self.item_class.iter().any(|(id, c)| *id >= 0 && c == class)
                || self.class_bucket.values().any(|by| by.get(class).is_some_and(|shadow| taken.contains(shadow)))
        };
        let dead: Vec<i32> = self.class_names.keys().copied().filter(|class| !alive(class)).collect();
        dead.iter().for_each(|class| _ = self.class_names.remove(class));
    }

    /// The shadow of one bucket and all below it (Ceph: `device_class_clone`). `path` holds the buckets
    /// above it, so that a map that contains itself ends.
    fn build_shadow(
        &mut self,
        plain: i32,
        class: i32,
        old: &BTreeMap<i32, BTreeMap<i32, i32>>,
        reserved: &BTreeSet<i32>,
        path: &mut Vec<i32>,
    ) -> Result<Option<i32>> {
        let (Some(name), Some(class_name)) = (self.item_name(plain), self.class_name(class)) else { return Ok(None) };
        let shadow_name = format!("{name}~{class_name}");
        if let Some(done) = self.item_id(&shadow_name) {
            return Ok(Some(done));
        }
        if path.contains(&plain) {
            return Err(CrushError::Loop(name.to_owned()));
        }
        let Some(original) = self.bucket(plain).cloned() else { return Ok(None) };
        let version = self.tunables.straw_calc_version;
        let mut copy = Bucket::new(original.alg(), original.type_id, &[], &[], version)?;
        copy.hash = original.hash;
        let mut from = Vec::new();
        path.push(plain);
        for (pos, item) in original.items.iter().enumerate() {
            if *item >= 0 {
                if self.item_class.get(item) == Some(&class) {
                    copy.add_item(*item, original.item_weight(pos), version)?;
                    from.push(pos);
                }
            } else if let Some(child) = self.build_shadow(*item, class, old, reserved, path)? {
                let weight = self.bucket(child).map_or(0, |b| b.weight);
                copy.add_item(child, weight, version)?;
                from.push(pos);
            }
        }
        path.pop();
        let id = match old.get(&plain).and_then(|by_class| by_class.get(&class)) {
            Some(id) => *id,
            None => self.free_bucket_id(reserved),
        };
        let items = copy.items.clone();
        let id = self.insert_bucket(id, copy)?;
        self.item_class.insert(id, class);
        self.item_names.insert(id, shadow_name);
        self.class_bucket.entry(plain).or_default().insert(class, id);
        self.copy_weight_sets(plain, id, &items, &from);
        Ok(Some(id))
    }

    fn free_bucket_id(&self, reserved: &BTreeSet<i32>) -> i32 {
        let free = |id: &i32| self.bucket(*id).is_none() && !reserved.contains(id);
        (1..).map(|n: i32| -n).find(free).expect("there are fewer than 2^31 buckets")
    }

    /// A shadow takes over the weight sets of what it mirrors; those of its child buckets are their sums.
    fn copy_weight_sets(&mut self, plain: i32, shadow: i32, items: &[i32], from: &[usize]) {
        let index = |id: i32| (-1 - id).cast_unsigned();
        for args in self.choose_args.values_mut() {
            let Some(original) = args.get(&index(plain)).filter(|a| !a.weight_set.is_empty()) else { continue };
            let weight = |place: usize, set: &[u32], item: i32, pos: usize| match item {
                0.. => set.get(pos).copied().unwrap_or(0),
                child => {
                    let below = args.get(&index(child)).and_then(|a| a.weight_set.get(place));
                    below.map_or(0, |set| set.iter().fold(0u32, |sum, w| sum.saturating_add(*w)))
                }
            };
            let sets = original.weight_set.iter().enumerate().map(|(place, set)| {
                items.iter().zip(from).map(|(item, pos)| weight(place, set, *item, *pos)).collect()
            });
            let copy = ChooseArg { weight_set: sets.collect(), ids: Vec::new() };
            args.insert(index(shadow), copy);
        }
    }
}
