//! Weights: an item's in every bucket that holds it, the sums above it, and the weight sets
//! (choose_args) that must go on matching the buckets that they replace.

use crate::build::WEIGHT_MAX;
use crate::edit::Location;
use crate::{Bucket, BucketAlg, ChooseArg, CrushError, CrushMap};

type Result<T> = std::result::Result<T, CrushError>;

/// A weight that a person typed, as 16.16.
///
/// # Errors
/// [`CrushError::Weight`] if it is negative, not a number, or 32,768 and more.
pub fn weight_from_float(weight: f64) -> Result<u32> {
    // Ceph computes with 32-bit floats.
    let fixed = weight as f32 * 65536.0;
    if fixed.is_nan() || fixed < 0.0 || fixed as u64 > WEIGHT_MAX {
        return Err(CrushError::Weight);
    }
    Ok(fixed as u32)
}

impl CrushMap {
    /// Sets an item's weight everywhere (`osd crush reweight`), and the sums above it.
    ///
    /// # Errors
    /// If nothing holds it, or the sums overflow.
    pub fn reweight_item(&mut self, item: i32, weight: u32) -> Result<()> {
        self.adjust_weight(item, weight, true)
    }

    /// Sets the weight of every device below a bucket (`osd crush reweight-subtree`). Gives how many.
    ///
    /// # Errors
    /// If it is no bucket, or the sums overflow.
    pub fn reweight_subtree(&mut self, id: i32, weight: u32) -> Result<usize> {
        if self.bucket(id).is_none() {
            return Err(CrushError::NoSuchId(id));
        }
        let buckets: Vec<i32> = self.subtree(id).into_iter().filter(|i| *i < 0).collect();
        let mut changed = 0;
        for bucket in buckets {
            let devices: Vec<i32> = self.children(bucket).iter().copied().filter(|i| *i >= 0).collect();
            for device in devices {
                self.adjust_weight_in_bucket(device, weight, bucket, true)?;
                changed += 1;
            }
        }
        self.rebuild_shadows()?;
        Ok(changed)
    }

    /// Recomputes every bucket's weight from what it holds (`osd crush reweight-all`).
    ///
    /// # Errors
    /// If the sums overflow.
    pub fn reweight_all(&mut self) -> Result<()> {
        let plain: Vec<i32> = self.roots().into_iter().filter(|id| !self.is_shadow(*id)).collect();
        for root in plain {
            // Children come after their parents, so the other way round each sum is ready when it is needed.
            for id in self.subtree(root).into_iter().rev().filter(|i| *i < 0) {
                let children: Vec<i32> = self.children(id).to_vec();
                for child in children {
                    if let Some(weight) = self.bucket(child).map(|b| b.weight) {
                        self.set_weight_in(id, child, weight)?;
                    }
                }
            }
        }
        self.rebuild_shadows()
    }

    pub(crate) fn adjust_weight(&mut self, item: i32, weight: u32, weigh_sets: bool) -> Result<()> {
        let holders: Vec<i32> = self.buckets().filter(|b| b.items.contains(&item)).map(|b| b.id).collect();
        if holders.is_empty() {
            return Err(CrushError::NoSuchId(item));
        }
        holders.into_iter().try_for_each(|holder| self.adjust_weight_in_bucket(item, weight, holder, weigh_sets))
    }

    pub(crate) fn adjust_weight_in_loc(
        &mut self,
        item: i32,
        weight: u32,
        loc: &Location,
        weigh_sets: bool,
    ) -> Result<bool> {
        let mut held = false;
        for name in loc.values() {
            let Some(id) = self.item_id(name) else { continue };
            if self.children(id).contains(&item) {
                self.adjust_weight_in_bucket(item, weight, id, weigh_sets)?;
                held = true;
            }
        }
        Ok(held)
    }

    /// Sets a weight in one bucket, then that bucket's weight wherever it is held, up to the roots.
    pub(crate) fn adjust_weight_in_bucket(
        &mut self,
        item: i32,
        weight: u32,
        holder: i32,
        weigh_sets: bool,
    ) -> Result<()> {
        if u64::from(weight) > WEIGHT_MAX {
            return Err(CrushError::Weight);
        }
        if weigh_sets {
            self.set_choose_args_weight(holder, item, weight);
        }
        // A hostile map may hold itself: as deep as there are buckets is deep enough.
        let mut open = vec![(holder, item, weight)];
        let mut steps = 0;
        while let Some((bucket, item, weight)) = open.pop() {
            let sum = self.set_weight_in(bucket, item, weight)?;
            steps += 1;
            if steps > self.buckets.len() * self.buckets.len() {
                return Err(CrushError::Loop(self.item_name(bucket).unwrap_or_default().to_owned()));
            }
            let above = self.buckets().filter(|b| b.items.contains(&bucket)).map(|b| (b.id, bucket, sum));
            open.extend(above.collect::<Vec<_>>());
        }
        self.sum_choose_args(holder);
        Ok(())
    }

    /// Gives the bucket's new weight.
    fn set_weight_in(&mut self, bucket: i32, item: i32, weight: u32) -> Result<u32> {
        let version = self.tunables.straw_calc_version;
        let bucket = self.bucket_mut(bucket).ok_or(CrushError::NoSuchId(bucket))?;
        if let Some(pos) = bucket.position_of(item) {
            bucket.set_item_weight(pos, weight, version)?;
        }
        Ok(bucket.weight)
    }

    /// Turns straw buckets into straw2 (`osd crush set-all-straw-buckets-to-straw2`).
    ///
    /// # Errors
    /// None that a valid map can give.
    pub fn straw_to_straw2(&mut self) -> Result<()> {
        let version = self.tunables.straw_calc_version;
        let straw = |b: &&mut Bucket| b.alg() == BucketAlg::Straw;
        self.buckets.iter_mut().flatten().filter(straw).try_for_each(|b| b.set_alg(BucketAlg::Straw2, version))
    }

    // --- buckets, with their choose_args

    pub(crate) fn bucket_add_item(&mut self, id: i32, item: i32, weight: u32) -> Result<()> {
        let version = self.tunables.straw_calc_version;
        self.bucket_mut(id).ok_or(CrushError::NoSuchId(id))?.add_item(item, weight, version)?;
        for arg in self.choose_args_of(id) {
            arg.weight_set.iter_mut().for_each(|set| set.push(weight));
            if !arg.ids.is_empty() {
                arg.ids.push(item);
            }
        }
        Ok(())
    }

    pub(crate) fn bucket_remove_item(&mut self, id: i32, item: i32) {
        let version = self.tunables.straw_calc_version;
        let Some(bucket) = self.bucket_mut(id) else { return };
        let Some(pos) = bucket.position_of(item) else { return };
        bucket.remove_item_at(pos, version);
        for arg in self.choose_args_of(id) {
            for set in arg.weight_set.iter_mut().filter(|set| pos < set.len()) {
                set.remove(pos);
            }
            if pos < arg.ids.len() {
                arg.ids.remove(pos);
            }
        }
    }

    fn choose_args_of(&mut self, id: i32) -> impl Iterator<Item = &mut ChooseArg> {
        let index = (-1 - id).cast_unsigned();
        self.choose_args.values_mut().filter_map(move |args| args.get_mut(&index))
    }

    fn set_choose_args_weight(&mut self, bucket: i32, item: i32, weight: u32) {
        let Some(pos) = self.bucket(bucket).and_then(|b| b.position_of(item)) else { return };
        for arg in self.choose_args_of(bucket) {
            arg.weight_set.iter_mut().filter_map(|set| set.get_mut(pos)).for_each(|w| *w = weight);
        }
    }

    /// Weight sets of the buckets above must go on summing to those of the bucket.
    fn sum_choose_args(&mut self, bucket: i32) {
        if self.choose_args.is_empty() {
            return;
        }
        let mut below = bucket;
        for above in self.ancestors(bucket) {
            let Some(pos) = self.bucket(above).and_then(|b| b.position_of(below)) else { return };
            let (lower, upper) = ((-1 - below).cast_unsigned(), (-1 - above).cast_unsigned());
            for args in self.choose_args.values_mut() {
                let sums: Vec<u32> = match args.get(&lower) {
                    Some(arg) => {
                        arg.weight_set.iter().map(|s| s.iter().fold(0u32, |a, w| a.saturating_add(*w))).collect()
                    }
                    None => continue,
                };
                let Some(arg) = args.get_mut(&upper) else { continue };
                for (set, sum) in arg.weight_set.iter_mut().zip(sums) {
                    if let Some(slot) = set.get_mut(pos) {
                        *slot = sum;
                    }
                }
            }
            below = above;
        }
    }

    /// Drops choose_args of buckets that are gone or not straw2, and cuts or pads what does not fit
    /// (Ceph: `update_choose_args`).
    pub(crate) fn repair_choose_args(&mut self) {
        let buckets = &self.buckets;
        for args in self.choose_args.values_mut() {
            args.retain(|index, arg| {
                let bucket = buckets.get(*index as usize).and_then(Option::as_ref);
                let Some(bucket) = bucket.filter(|b| b.alg() == BucketAlg::Straw2) else { return false };
                arg.weight_set.iter_mut().for_each(|set| set.resize(bucket.items.len(), 0));
                true
            });
        }
    }
}
