//! How a bucket draws one of its items: a function of the input, the try and the weights, one for each
//! algorithm. Bit for bit what `crush/mapper.c` computes.

use crate::{Bucket, ChooseArg, hash, ln};

/// Only rjenkins1 exists; other hash types give 0 (Ceph: `crush_hash32_3`).
pub(crate) fn hash3(b: &Bucket, x: u32, y: u32, z: u32) -> u32 {
    if b.hash == hash::RJENKINS1 { hash::hash3(x, y, z) } else { 0 }
}

fn hash4(b: &Bucket, x: u32, y: u32, z: u32, w: u32) -> u32 {
    if b.hash == hash::RJENKINS1 { hash::hash4(x, y, z, w) } else { 0 }
}

/// From the newest item back, each is taken with its share of itself and all older ones.
pub(crate) fn draw_list(b: &Bucket, weights: &[u32], sums: &[u32], x: u32, r: i32) -> Option<i32> {
    for ((item, weight), sum) in b.items.iter().zip(weights).zip(sums).rev() {
        let draw = hash4(b, x, item.cast_unsigned(), r.cast_unsigned(), b.id.cast_unsigned()) & 0xffff;
        if (u64::from(draw) * u64::from(*sum)) >> 16 < u64::from(*weight) {
            return Some(*item);
        }
    }
    b.items.first().copied()
}

/// Down a binary tree whose node `n` has its children `2^(h-1)` to either side, h being its height.
pub(crate) fn draw_tree(b: &Bucket, nodes: &[u32], x: u32, r: i32) -> Option<i32> {
    let mut n = nodes.len() >> 1;
    while n & 1 == 0 {
        let node = u32::try_from(n).expect("a tree has fewer than 256 nodes");
        let point = hash4(b, x, node, r.cast_unsigned(), b.id.cast_unsigned());
        let draw = (u64::from(point) * u64::from(*nodes.get(n)?)) >> 32;
        let half = 1usize.checked_shl(n.trailing_zeros().checked_sub(1)?)?;
        let left = n.checked_sub(half)?;
        n = if draw < u64::from(*nodes.get(left)?) { left } else { n + half };
    }
    b.items.get(n >> 1).copied()
}

/// The longest straw, scaled by a draw, wins.
pub(crate) fn draw_straw(b: &Bucket, straws: &[u32], x: u32, r: i32) -> Option<i32> {
    let mut best: Option<(u64, i32)> = None;
    for (item, straw) in b.items.iter().zip(straws) {
        let draw = hash3(b, x, item.cast_unsigned(), r.cast_unsigned()) & 0xffff;
        let length = u64::from(draw) * u64::from(*straw);
        if best.is_none_or(|(high, _)| length > high) {
            best = Some((length, *item));
        }
    }
    best.map(|(_, item)| item)
}

/// The smallest of exponential draws, one an item with its weight as the rate.
pub(crate) fn draw_straw2(
    b: &Bucket,
    own: &[u32],
    arg: Option<&ChooseArg>,
    x: u32,
    r: i32,
    position: usize,
) -> Option<i32> {
    let weights = match arg.map(|a| a.weight_set.as_slice()) {
        None | Some([]) => own,
        Some(sets) => sets[position.min(sets.len() - 1)].as_slice(),
    };
    let ids = match arg.map(|a| a.ids.as_slice()) {
        None | Some([]) => &b.items,
        Some(ids) => ids,
    };
    let mut best: Option<(i64, i32)> = None;
    for ((item, id), weight) in b.items.iter().zip(ids).zip(weights) {
        let draw = match weight.cast_signed() {
            0 => i64::MIN,
            weight => {
                let u = hash3(b, x, id.cast_unsigned(), r.cast_unsigned()) & 0xffff;
                let log = ln::ln(u as u16).cast_signed() - 0x1_0000_0000_0000;
                log / i64::from(weight)
            }
        };
        if best.is_none_or(|(high, _)| draw > high) {
            best = Some((draw, *item));
        }
    }
    best.map(|(_, item)| item)
}
