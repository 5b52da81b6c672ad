//! What operators and booting OSDs do to the hierarchy: add, move, link, weigh and remove.
//!
//! A location is a map from type name to bucket name (`host=vm1 root=default`). An edit that fails may
//! leave the map half changed: edit a clone, and throw it away then.

use std::collections::BTreeMap;

use crate::build::WEIGHT_MAX;
use crate::{Bucket, CrushError, CrushMap};

/// `type=name` pairs that say where an item belongs.
pub type Location = BTreeMap<String, String>;

type Result<T> = std::result::Result<T, CrushError>;

/// What operators may call a bucket (Ceph: `is_valid_crush_name`). `~` is not in it: shadows have that.
pub fn is_valid_name(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(ok)
}

fn check_name(name: &str) -> Result<()> {
    if is_valid_name(name) { Ok(()) } else { Err(CrushError::InvalidName(name.to_owned())) }
}

fn check_location(loc: &Location) -> Result<()> {
    loc.iter().try_for_each(|(kind, name)| check_name(kind).and_then(|()| check_name(name)))
}

impl CrushMap {
    // --- names

    /// Names an item.
    ///
    /// # Errors
    /// [`CrushError::InvalidName`].
    pub fn set_item_name(&mut self, item: i32, name: &str) -> Result<()> {
        check_name(name)?;
        self.item_names.insert(item, name.to_owned());
        self.finalize();
        Ok(())
    }

    /// (Ceph: `rename_bucket`)
    ///
    /// # Errors
    /// If either name does not fit, or `src` is a device.
    pub fn rename_bucket(&mut self, src: &str, dst: &str) -> Result<()> {
        let Some(id) = self.item_id(src) else {
            return Err(match self.name_exists(dst) {
                true => CrushError::AlreadyRenamed { src: src.to_owned(), dst: dst.to_owned() },
                false => CrushError::NoSuchItem(src.to_owned()),
            });
        };
        if self.name_exists(dst) {
            return Err(CrushError::Exists(dst.to_owned()));
        }
        check_name(dst)?;
        if id >= 0 {
            return Err(CrushError::NotABucket(src.to_owned()));
        }
        self.set_item_name(id, dst)?;
        // Shadows carry the name of what they mirror.
        self.rebuild_shadows()
    }

    // --- adding

    /// An empty bucket that nothing holds yet (`osd crush add-bucket`).
    ///
    /// # Errors
    /// If the name is taken or invalid, or there is no such type.
    pub fn add_bucket(&mut self, name: &str, type_name: &str) -> Result<i32> {
        check_name(name)?;
        if self.name_exists(name) {
            return Err(CrushError::Exists(name.to_owned()));
        }
        let type_id = self.type_id(type_name).and_then(|id| u16::try_from(id).ok()).filter(|id| *id != 0);
        let type_id = type_id.ok_or_else(|| CrushError::NoSuchType(type_name.to_owned()))?;
        let id = self.new_bucket(type_id)?;
        self.set_item_name(id, name)?;
        Ok(id)
    }

    fn new_bucket(&mut self, type_id: u16) -> Result<i32> {
        let t = &self.tunables;
        let bucket = Bucket::new(t.default_bucket_alg(), type_id, &[], &[], t.straw_calc_version)?;
        self.insert_bucket(0, bucket)
    }

    /// Puts an item into a location, making the buckets that are missing there.
    ///
    /// # Errors
    /// If a name is invalid or another item's, if a bucket of the location has another type, if the item is
    /// there already, if it would contain itself, or if nothing of the location exists.
    pub fn insert_item(&mut self, item: i32, weight: u32, name: &str, loc: &Location) -> Result<()> {
        self.insert(item, weight, name, loc, true)
    }

    fn insert(&mut self, item: i32, weight: u32, name: &str, loc: &Location, weigh_sets: bool) -> Result<()> {
        check_name(name)?;
        check_location(loc)?;
        if u64::from(weight) > WEIGHT_MAX {
            return Err(CrushError::Weight);
        }
        match self.item_id(name) {
            Some(id) if id != item => return Err(CrushError::Exists(name.to_owned())),
            Some(_) => {}
            None => self.set_item_name(item, name)?,
        }
        self.hang(item, loc)?;
        let held = self.adjust_weight_in_loc(item, weight, loc, item >= 0 && weigh_sets)?;
        if !held {
            return Err(CrushError::NoPlace);
        }
        self.finalize();
        self.rebuild_shadows()
    }

    /// From the lowest type up: new buckets around the item, until one exists that takes it in.
    fn hang(&mut self, item: i32, loc: &Location) -> Result<()> {
        let mut current = item;
        for (type_id, type_name) in self.type_names.clone() {
            let Some(name) = loc.get(&type_name) else { continue };
            let Some(type_id) = u16::try_from(type_id).ok().filter(|t| *t != 0) else { continue };
            let Some(id) = self.item_id(name) else {
                let id = self.new_bucket(type_id)?;
                self.bucket_add_item(id, current, 0)?;
                self.set_item_name(id, name)?;
                current = id;
                continue;
            };
            let Some(bucket) = self.bucket(id) else { return Err(CrushError::NotABucket(name.clone())) };
            if bucket.type_id != type_id {
                let is = self.type_name(bucket.type_id.into()).unwrap_or("unknown").to_owned();
                return Err(CrushError::WrongType { name: name.clone(), is, wanted: type_name });
            }
            if self.subtree_contains(id, current) {
                return Err(CrushError::AlreadyThere(name.clone()));
            }
            if self.subtree_contains(current, id) {
                return Err(CrushError::Loop(name.clone()));
            }
            return self.bucket_add_item(id, current, 0);
        }
        Ok(())
    }

    /// Adds an item, or moves it and keeps its weight (`osd crush create-or-move`, OSDs do it at each
    /// start). Gives whether anything changed.
    ///
    /// # Errors
    /// As [`Self::insert_item`].
    pub fn create_or_move_item(&mut self, item: i32, weight: u32, name: &str, loc: &Location) -> Result<bool> {
        check_name(name)?;
        if self.weight_at(item, loc).is_some() {
            return Ok(false);
        }
        let mut weight = weight;
        if self.is_held(item) {
            weight = self.item_weight(item).unwrap_or(weight);
            self.remove_item(item, true)?;
        }
        self.insert_item(item, weight, name, loc)?;
        Ok(true)
    }

    /// Adds an item, or moves it and sets its weight (`osd crush set`, `osd crush add`). Gives whether
    /// anything changed.
    ///
    /// # Errors
    /// As [`Self::insert_item`].
    pub fn update_item(&mut self, item: i32, weight: u32, name: &str, loc: &Location) -> Result<bool> {
        check_name(name)?;
        check_location(loc)?;
        let Some(old) = self.weight_at(item, loc) else {
            if self.item_exists(item) && self.is_held(item) {
                self.remove_item(item, true)?;
            }
            self.insert_item(item, weight, name, loc)?;
            return Ok(true);
        };
        let mut changed = false;
        if old != weight {
            self.adjust_weight_in_loc(item, weight, loc, true)?;
            self.rebuild_shadows()?;
            changed = true;
        }
        if self.item_name(item) != Some(name) {
            self.set_item_name(item, name)?;
            changed = true;
        }
        Ok(changed)
    }

    /// The item's weight in the lowest bucket of the location, if that holds it (Ceph: `check_item_loc`).
    pub fn weight_at(&self, item: i32, loc: &Location) -> Option<u32> {
        let lowest = self.type_names.iter().filter(|(id, _)| **id != 0).find_map(|(_, name)| loc.get(name))?;
        let bucket = self.bucket(self.item_id(lowest)?)?;
        Some(bucket.item_weight(bucket.position_of(item)?))
    }

    // --- moving

    /// Takes a bucket from where it is and puts it elsewhere (`osd crush move`).
    ///
    /// # Errors
    /// As [`Self::insert_item`], and if it is no bucket.
    pub fn move_bucket(&mut self, id: i32, loc: &Location) -> Result<()> {
        let (name, weight) = self.named_bucket(id)?;
        if let Some(parent) = self.parent(id) {
            self.adjust_weight_in_bucket(id, 0, parent, true)?;
            self.bucket_remove_item(parent, id);
        }
        self.insert(id, weight, &name, loc, false)
    }

    /// Puts a bucket into another place too (`osd crush link`).
    ///
    /// # Errors
    /// As [`Self::insert_item`], and if it is no bucket.
    pub fn link_bucket(&mut self, id: i32, loc: &Location) -> Result<()> {
        let (name, weight) = self.named_bucket(id)?;
        self.insert(id, weight, &name, loc, true)
    }

    fn named_bucket(&self, id: i32) -> Result<(String, u32)> {
        let name = self.item_name(id).ok_or(CrushError::NoSuchId(id))?.to_owned();
        match self.bucket(id) {
            Some(bucket) => Ok((name, bucket.weight)),
            None => Err(CrushError::NotABucket(name)),
        }
    }

    /// Exchanges the contents and names of two buckets (`osd crush swap-bucket`).
    ///
    /// # Errors
    /// If either is no bucket, or one is above the other.
    pub fn swap_buckets(&mut self, a: i32, b: i32) -> Result<()> {
        let ((a_name, a_weight), (b_name, b_weight)) = (self.named_bucket(a)?, self.named_bucket(b)?);
        if self.ancestors(a).contains(&b) || self.ancestors(b).contains(&a) {
            return Err(CrushError::Loop(b_name));
        }
        for (id, weight) in [(a, b_weight), (b, a_weight)] {
            if self.is_held(id) {
                self.adjust_weight(id, weight, true)?;
            }
        }
        let (mut from_a, from_b) = (self.empty_bucket(a), self.empty_bucket(b));
        // Draws depend on the order of items: Ceph keeps that of the second bucket, and sorts the first's.
        from_a.sort_unstable_by_key(|(item, _)| *item);
        from_b.into_iter().try_for_each(|(item, weight)| self.bucket_add_item(a, item, weight))?;
        from_a.into_iter().try_for_each(|(item, weight)| self.bucket_add_item(b, item, weight))?;
        self.item_names.insert(a, b_name);
        self.item_names.insert(b, a_name);
        self.rebuild_shadows()
    }

    fn empty_bucket(&mut self, id: i32) -> Vec<(i32, u32)> {
        let Some(bucket) = self.bucket(id) else { return Vec::new() };
        let held: Vec<_> = bucket.items.iter().copied().zip(bucket.item_weights()).collect();
        held.iter().for_each(|(item, _)| self.bucket_remove_item(id, *item));
        held
    }

    // --- removing

    /// Takes an item out of every bucket that holds it, and forgets it unless `unlink_only`.
    ///
    /// # Errors
    /// If it does not exist, or is a bucket that is not empty or in use by a rule.
    pub fn remove_item(&mut self, item: i32, unlink_only: bool) -> Result<()> {
        if item < 0 && !unlink_only {
            self.check_removable(item)?;
        }
        let holders: Vec<i32> = self.buckets().filter(|b| b.items.contains(&item)).map(|b| b.id).collect();
        let mut found = !holders.is_empty();
        for holder in holders {
            self.take_out(item, holder)?;
        }
        found |= self.forget_last(item, unlink_only)?;
        if found { Ok(()) } else { Err(CrushError::NoSuchId(item)) }
    }

    /// [`Self::remove_item`] below one bucket only (`osd crush rm NAME ANCESTOR`).
    ///
    /// # Errors
    /// As there, and if the item is not below `ancestor`.
    pub fn remove_item_under(&mut self, item: i32, ancestor: i32, unlink_only: bool) -> Result<()> {
        let name = || self.item_name(item).unwrap_or_default().to_owned();
        if self.bucket(ancestor).is_none() {
            return Err(CrushError::NotABucket(self.item_name(ancestor).unwrap_or_default().to_owned()));
        }
        if !unlink_only && self.is_bucket_in_use(item) {
            return Err(CrushError::InUse(name()));
        }
        let below = self.subtree(ancestor);
        let holders: Vec<i32> = below.into_iter().filter(|id| self.children(*id).contains(&item)).collect();
        if holders.is_empty() {
            return Err(CrushError::NoSuchId(item));
        }
        if item < 0 && !unlink_only && !self.children(item).is_empty() {
            return Err(CrushError::NotEmpty(name()));
        }
        for holder in holders {
            self.take_out(item, holder)?;
        }
        self.forget_last(item, unlink_only)?;
        Ok(())
    }

    fn check_removable(&self, id: i32) -> Result<()> {
        let name = || self.item_name(id).unwrap_or_default().to_owned();
        match self.bucket(id) {
            None => Err(CrushError::NoSuchId(id)),
            Some(b) if !b.items.is_empty() => Err(CrushError::NotEmpty(name())),
            Some(_) if self.is_bucket_in_use(id) => Err(CrushError::InUse(name())),
            Some(_) => Ok(()),
        }
    }

    /// Whether a rule starts from this bucket or its shadow.
    pub fn is_bucket_in_use(&self, id: i32) -> bool {
        let is_it = |taken: i32| taken == id || self.split_class(taken).is_some_and(|(plain, _)| plain == id);
        self.rules().any(|(_, rule)| rule.takes().any(is_it))
    }

    fn take_out(&mut self, item: i32, holder: i32) -> Result<()> {
        self.adjust_weight_in_bucket(item, 0, holder, true)?;
        self.bucket_remove_item(holder, item);
        Ok(())
    }

    /// Forgets an item that no bucket holds any more (Ceph: `_maybe_remove_last_instance`).
    fn forget_last(&mut self, item: i32, unlink_only: bool) -> Result<bool> {
        if self.is_held(item) || (item < 0 && self.is_bucket_in_use(item)) {
            self.rebuild_shadows()?;
            return Ok(false);
        }
        let known = self.item_names.contains_key(&item) || self.bucket(item).is_some();
        if item < 0 && !unlink_only {
            self.drop_bucket(item);
        }
        if item >= 0 {
            self.item_names.remove(&item);
            if !unlink_only {
                self.item_class.remove(&item);
            }
        }
        self.finalize();
        self.rebuild_shadows()?;
        Ok(known)
    }

    /// Takes a bucket out of the tables; nothing may hold it any more.
    pub(crate) fn drop_bucket(&mut self, id: i32) {
        if let Some(slot) = crate::map::index_of(id).and_then(|i| self.buckets.get_mut(i)) {
            *slot = None;
        }
        self.item_names.remove(&id);
        self.class_bucket.remove(&id);
        self.item_class.remove(&id);
        self.repair_choose_args();
    }
}
