//! The hashes that place objects: names to a 32-bit hash, hash and pool to a placement seed.
//!
//! All are Robert Jenkins' public-domain mixing (evahash), so every client computes the same.

/// `CEPH_STR_HASH_LINUX`.
pub const STR_HASH_LINUX: u8 = 1;
/// `CEPH_STR_HASH_RJENKINS`, what every pool of today uses.
pub const STR_HASH_RJENKINS: u8 = 2;

const GOLDEN: u32 = 0x9e37_79b9;
const CRUSH_SEED: u32 = 1_315_423_911;

fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    // Rounds of (right, left, right) shifts.
    for (x, y, z) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        *a = a.wrapping_sub(*b).wrapping_sub(*c) ^ (*c >> x);
        *b = b.wrapping_sub(*c).wrapping_sub(*a) ^ (*a << y);
        *c = c.wrapping_sub(*a).wrapping_sub(*b) ^ (*b >> z);
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |w, b| w << 8 | u32::from(*b))
}

/// `ceph_str_hash_rjenkins`.
pub fn rjenkins(text: &[u8]) -> u32 {
    let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, 0_u32);
    let mut chunks = text.chunks_exact(12);
    for k in &mut chunks {
        a = a.wrapping_add(word(&k[..4]));
        b = b.wrapping_add(word(&k[4..8]));
        c = c.wrapping_add(word(&k[8..]));
        mix(&mut a, &mut b, &mut c);
    }
    let mut tail = [0; 12];
    let rest = chunks.remainder();
    tail[..rest.len()].copy_from_slice(rest);
    a = a.wrapping_add(word(&tail[..4]));
    b = b.wrapping_add(word(&tail[4..8]));
    // The lowest byte of the last word holds the length instead of text.
    c = c.wrapping_add(text.len() as u32).wrapping_add(word(&tail[8..]) << 8);
    mix(&mut a, &mut b, &mut c);
    c
}

/// `ceph_str_hash_linux`.
pub fn linux_dcache(text: &[u8]) -> u32 {
    text.iter().fold(0_u32, |h, c| {
        let c = u32::from(*c);
        h.wrapping_add(c << 4).wrapping_add(c >> 4).wrapping_mul(11)
    })
}

/// `ceph_str_hash`: by a pool's `object_hash`.
pub fn str_hash(kind: u8, text: &[u8]) -> u32 {
    match kind {
        STR_HASH_LINUX => linux_dcache(text),
        STR_HASH_RJENKINS => rjenkins(text),
        _ => u32::MAX,
    }
}

/// `crush_hash32_2` of type rjenkins1.
pub fn crush_hash32_2(mut a: u32, mut b: u32) -> u32 {
    let mut hash = CRUSH_SEED ^ a ^ b;
    let (mut x, mut y) = (231_232, 1_232);
    mix(&mut a, &mut b, &mut hash);
    mix(&mut x, &mut a, &mut hash);
    mix(&mut b, &mut y, &mut hash);
    hash
}

/// `ceph_stable_mod`: `x` modulo `b`, so that as `b` grows each value either stays or moves to one new
/// place. `mask` is the next power of two of `b`, less one.
pub fn stable_mod(x: u32, b: u32, mask: u32) -> u32 {
    if x & mask < b { x & mask } else { x & (mask >> 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hash_as_in_a_recorded_cluster() {
        assert_eq!(rjenkins(b"obj1"), 1_828_249_343);
        assert_eq!(rjenkins(b"rbd_children"), 262_261_450);
        assert_eq!(rjenkins(b"rbd_data.105ab87b80e7.0000000000000000"), 2_315_161_948);
    }

    #[test]
    fn stable_mod_moves_a_value_only_to_the_new_place() {
        assert_eq!(stable_mod(13, 12, 15), 5);
        for b in 1..64_u32 {
            let mask = |b: u32| b.next_power_of_two() - 1;
            for x in 0..256 {
                let (before, after) = (stable_mod(x, b, mask(b)), stable_mod(x, b + 1, mask(b + 1)));
                assert!(after < b + 1 && (after == before || after == b));
            }
        }
    }
}
