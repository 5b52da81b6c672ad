//! Weight sets (choose_args) as operators make and change them; `weigh` keeps them in step with the map.

use std::collections::BTreeMap;

use crate::{BucketAlg, ChooseArg, CrushError, CrushMap};

impl CrushMap {
    /// Whether any bucket is of another algorithm than straw2, the only one that heeds weight sets.
    pub fn has_other_than_straw2(&self) -> bool {
        self.buckets().any(|b| b.alg() != BucketAlg::Straw2)
    }

    /// A weight set that equals the real weights, with one set a result position. Gives false if there is
    /// one already.
    pub fn create_choose_args(&mut self, id: i64, positions: usize) -> bool {
        if self.choose_args.contains_key(&id) {
            return false;
        }
        let straw2 = self.buckets().filter(|b| b.alg() == BucketAlg::Straw2);
        let args: BTreeMap<u32, ChooseArg> = straw2
            .map(|b| {
                let weight_set = vec![b.item_weights(); positions.max(1)];
                ((-1 - b.id).cast_unsigned(), ChooseArg { weight_set, ids: Vec::new() })
            })
            .collect();
        self.choose_args.insert(id, args);
        true
    }

    pub fn remove_choose_args(&mut self, id: i64) {
        self.choose_args.remove(&id);
    }

    /// How many weights an item has in a set; `None` if there is no such set.
    pub fn choose_args_positions(&self, id: i64) -> Option<usize> {
        let args = self.choose_args.get(&id)?;
        Some(args.values().map(|a| a.weight_set.len()).max().unwrap_or(0).max(1))
    }

    /// Sets an item's weights in a set, in every bucket that holds it, and the sums above
    /// (Ceph: `choose_args_adjust_item_weight`). Gives whether any bucket holds it.
    ///
    /// # Errors
    /// [`CrushError::Loop`] if a bucket holds itself.
    pub fn reweight_choose_args(&mut self, id: i64, item: i32, weights: &[u32]) -> Result<bool, CrushError> {
        if !self.choose_args.contains_key(&id) {
            return Ok(false);
        }
        let mut found = false;
        let mut open = vec![(item, weights.to_vec())];
        let mut steps = 0;
        while let Some((item, weights)) = open.pop() {
            let holders: Vec<i32> = self.buckets().filter(|b| b.items.contains(&item)).map(|b| b.id).collect();
            for holder in holders {
                found = true;
                steps += 1;
                if steps > self.buckets.len() * self.buckets.len() {
                    return Err(CrushError::Loop(self.item_name(holder).unwrap_or_default().to_owned()));
                }
                let sums = self.set_weights_in(id, holder, item, &weights);
                open.push((holder, sums));
            }
        }
        Ok(found)
    }

    /// Gives the bucket's own weights in the set.
    fn set_weights_in(&mut self, id: i64, bucket: i32, item: i32, weights: &[u32]) -> Vec<u32> {
        let Some(b) = self.bucket(bucket) else { return weights.to_vec() };
        let (own, pos) = (b.item_weights(), b.position_of(item));
        let args = self.choose_args.entry(id).or_default();
        let arg = args.entry((-1 - bucket).cast_unsigned()).or_default();
        if arg.weight_set.is_empty() {
            arg.weight_set = vec![own; weights.len()];
        }
        for (set, weight) in arg.weight_set.iter_mut().zip(weights) {
            if let Some(slot) = pos.and_then(|pos| set.get_mut(pos)) {
                *slot = *weight;
            }
        }
        arg.weight_set.iter().map(|set| set.iter().fold(0u32, |sum, w| sum.saturating_add(*w))).collect()
    }
}
