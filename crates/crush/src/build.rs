//! Buckets: making them, and changing what they hold, with all that their algorithm derives.
//!
//! A change gives the derived values (list sums, tree nodes, straws) exactly as Ceph's
//! `crush/builder.c` would have them, since they decide where data lies.

use crate::{Bucket, BucketAlg, CrushError, CrushMap, Weights, hash, map};

/// A tree's node count is one byte on the wire, and a power of two.
const TREE_ITEMS_MAX: usize = 64;

/// Refused above this; Ceph keeps weights in signed integers.
pub(crate) const WEIGHT_MAX: u64 = i32::MAX as u64;

impl Bucket {
    /// A bucket without an id (0) yet. `straw_calc_version` matters to straw buckets only.
    pub fn new(
        alg: BucketAlg,
        type_id: u16,
        items: &[i32],
        weights: &[u32],
        straw_calc_version: u8,
    ) -> Result<Self, CrushError> {
        let mut bucket = Self {
            id: 0,
            type_id,
            hash: hash::RJENKINS1,
            weight: 0,
            items: items.to_vec(),
            weights: Weights::Uniform(weights.first().copied().unwrap_or(0)),
        };
        bucket.set_weights(alg, weights, straw_calc_version)?;
        Ok(bucket)
    }

    /// Derives everything anew from the items' weights.
    fn set_weights(&mut self, alg: BucketAlg, weights: &[u32], straw_calc_version: u8) -> Result<(), CrushError> {
        let uniform = weights.first().copied().unwrap_or(0);
        let sum: u64 = match alg {
            BucketAlg::Uniform => u64::from(uniform) * weights.len() as u64,
            _ => weights.iter().map(|w| u64::from(*w)).sum(),
        };
        if sum > u64::from(u32::MAX) {
            return Err(CrushError::Weight);
        }
        let derived = match alg {
            BucketAlg::Uniform => Weights::Uniform(uniform),
            BucketAlg::List => {
                let mut sum = 0;
                let sums = weights
                    .iter()
                    .map(|w| {
                        sum += w;
                        sum
                    })
                    .collect();
                Weights::List { items: weights.to_vec(), sums }
            }
            BucketAlg::Tree if weights.len() > TREE_ITEMS_MAX => return Err(CrushError::BucketFull),
            BucketAlg::Tree => Weights::Tree { nodes: tree_nodes(weights) },
            BucketAlg::Straw => Weights::Straw { items: weights.to_vec(), straws: straws(weights, straw_calc_version) },
            BucketAlg::Straw2 => Weights::Straw2(weights.to_vec()),
        };
        self.weights = derived;
        self.weight = u32::try_from(sum).expect("checked above");
        Ok(())
    }

    /// Changes the algorithm and keeps the items (`osd crush set-all-straw-buckets-to-straw2`).
    pub(crate) fn set_alg(&mut self, alg: BucketAlg, straw_calc_version: u8) -> Result<(), CrushError> {
        let weights = self.item_weights();
        self.set_weights(alg, &weights, straw_calc_version)
    }

    pub(crate) fn add_item(&mut self, item: i32, weight: u32, straw_calc_version: u8) -> Result<(), CrushError> {
        let mut weights = self.item_weights();
        // A uniform bucket takes on the weight of the first item, and ignores the others'.
        weights.push(weight);
        self.set_weights(self.alg(), &weights, straw_calc_version)?;
        self.items.push(item);
        Ok(())
    }

    /// Removes the item at `pos`.
    pub(crate) fn remove_item_at(&mut self, pos: usize, straw_calc_version: u8) {
        let uniform = self.item_weight(pos);
        let mut weights = self.item_weights();
        weights.remove(pos);
        self.items.remove(pos);
        self.set_weights(self.alg(), &weights, straw_calc_version).expect("fewer items weigh less");
        if let Weights::Uniform(weight) = &mut self.weights {
            *weight = uniform;
        }
    }

    /// Sets the weight of the item at `pos`; in a uniform bucket, that of all items.
    pub(crate) fn set_item_weight(
        &mut self,
        pos: usize,
        weight: u32,
        straw_calc_version: u8,
    ) -> Result<(), CrushError> {
        let mut weights = self.item_weights();
        match self.alg() {
            BucketAlg::Uniform => weights.fill(weight),
            _ => weights[pos] = weight,
        }
        self.set_weights(self.alg(), &weights, straw_calc_version)
    }
}

impl CrushMap {
    /// Puts a bucket into the table, at `id` or (0) in the first free place.
    pub(crate) fn insert_bucket(&mut self, id: i32, mut bucket: Bucket) -> Result<i32, CrushError> {
        let index = match id {
            0 => self.buckets.iter().position(Option::is_none).unwrap_or(self.buckets.len()),
            _ => map::index_of(id).ok_or(CrushError::NoSuchId(id))?,
        };
        // The table doubles from 8, as Ceph's does: its size is visible in the encoding.
        let mut len = self.buckets.len();
        while len <= index {
            len = if len == 0 { 8 } else { len * 2 };
        }
        self.buckets.resize(len, None);
        if self.buckets[index].is_some() {
            return Err(CrushError::Exists(format!("bucket {id}")));
        }
        bucket.id = map::id_at(index);
        let id = bucket.id;
        self.buckets[index] = Some(bucket);
        Ok(id)
    }
}

/// Items are the odd nodes; each inner node holds the sum of the nodes below it.
fn tree_nodes(weights: &[u32]) -> Vec<u32> {
    if weights.is_empty() {
        return Vec::new();
    }
    let leaves = weights.len().next_power_of_two();
    let mut nodes = vec![0u32; 2 * leaves];
    for (i, weight) in weights.iter().enumerate() {
        let mut node = 2 * i + 1;
        nodes[node] = *weight;
        while node != leaves {
            // The parent of a node of height h is 2^h to the left or right, by the next bit.
            let half = 1 << node.trailing_zeros();
            node = if node & (half << 1) != 0 { node - half } else { node + half };
            nodes[node] += weight;
        }
    }
    nodes
}

/// Straw lengths (Ceph: `crush_calc_straw`): known to be only nearly proportional, and kept for old maps.
/// From the lightest item up, each straw grows by the chance that the lighter ones do not win.
/// Version 0 treats items of equal weight as one step, and counts items without weight.
fn straws(weights: &[u32], version: u8) -> Vec<u32> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| weights[*i]);
    let mut straws = vec![0; weights.len()];
    let mut left = i64::try_from(weights.len()).expect("a bucket is smaller than 2^32");
    let (mut straw, mut below, mut last) = (1.0f64, 0.0f64, 0.0f64);
    for (n, at) in order.iter().enumerate() {
        let weight = weights[*at];
        if weight == 0 {
            left -= i64::from(version != 0);
            continue;
        }
        // C truncates here; a straw too long for 32 bits needs weights that validation refuses.
        straws[*at] = (straw * 65536.0) as u32;
        let Some(next) = order.get(n + 1).map(|i| weights[*i]) else { break };
        if version == 0 && next == weight {
            continue;
        }
        below += (f64::from(weight) - last) * left as f64;
        left -= match version {
            0 => order[n + 1..].iter().take_while(|i| weights[**i] == next).count() as i64,
            _ => 1,
        };
        let step = left as f64 * f64::from(next - weight);
        let share = below / (below + step);
        straw *= (1.0 / share).powf(1.0 / left as f64);
        last = f64::from(weight);
    }
    straws
}
