//! Checksums that clients ask for, and the one that is kept of an object's data.

const P32: [u32; 5] = [2_654_435_761, 2_246_822_519, 3_266_489_917, 668_265_263, 374_761_393];
const P64: [u64; 5] = [
    11_400_714_785_074_694_791,
    14_029_467_366_897_019_727,
    1_609_587_929_392_839_161,
    9_650_029_242_287_828_579,
    2_870_177_450_012_600_261,
];

/// One step of one lane.
fn round32(lane: u32, word: u32) -> u32 {
    lane.wrapping_add(word.wrapping_mul(P32[1])).rotate_left(13).wrapping_mul(P32[0])
}

fn round64(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P64[1])).rotate_left(31).wrapping_mul(P64[0])
}

fn word32(b: &[u8]) -> u32 {
    u32::from_le_bytes(b[..4].try_into().expect("4 bytes"))
}

fn word64(b: &[u8]) -> u64 {
    u64::from_le_bytes(b[..8].try_into().expect("8 bytes"))
}

/// XXH32.
pub(super) fn xxh32(seed: u32, data: &[u8]) -> u32 {
    let mut stripes = data.chunks_exact(16);
    let mut h = if data.len() >= 16 {
        let mut lanes = [
            seed.wrapping_add(P32[0]).wrapping_add(P32[1]),
            seed.wrapping_add(P32[1]),
            seed,
            seed.wrapping_sub(P32[0]),
        ];
        for stripe in &mut stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(4)) {
                *lane = round32(*lane, word32(word));
            }
        }
        let rotated = lanes.iter().zip([1, 7, 12, 18]).map(|(l, r)| l.rotate_left(r));
        rotated.fold(0_u32, u32::wrapping_add)
    } else {
        seed.wrapping_add(P32[4])
    };
    h = h.wrapping_add(data.len() as u32);
    let mut words = stripes.remainder().chunks_exact(4);
    for w in &mut words {
        h = h.wrapping_add(word32(w).wrapping_mul(P32[2])).rotate_left(17).wrapping_mul(P32[3]);
    }
    for b in words.remainder() {
        h = h.wrapping_add(u32::from(*b).wrapping_mul(P32[4])).rotate_left(11).wrapping_mul(P32[0]);
    }
    h = (h ^ h >> 15).wrapping_mul(P32[1]);
    h = (h ^ h >> 13).wrapping_mul(P32[2]);
    h ^ h >> 16
}

/// XXH64.
pub(super) fn xxh64(seed: u64, data: &[u8]) -> u64 {
    let mut stripes = data.chunks_exact(32);
    let mut h = if data.len() >= 32 {
        let mut lanes = [
            seed.wrapping_add(P64[0]).wrapping_add(P64[1]),
            seed.wrapping_add(P64[1]),
            seed,
            seed.wrapping_sub(P64[0]),
        ];
        for stripe in &mut stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round64(*lane, word64(word));
            }
        }
        let rotated = lanes.iter().zip([1, 7, 12, 18]).map(|(l, r)| l.rotate_left(r));
        let merged = rotated.fold(0_u64, u64::wrapping_add);
        let merge = |h: u64, lane: &u64| (h ^ round64(0, *lane)).wrapping_mul(P64[0]).wrapping_add(P64[3]);
        lanes.iter().fold(merged, merge)
    } else {
        seed.wrapping_add(P64[4])
    };
    h = h.wrapping_add(data.len() as u64);
    let mut words = stripes.remainder().chunks_exact(8);
    for w in &mut words {
        h = (h ^ round64(0, word64(w))).rotate_left(27).wrapping_mul(P64[0]).wrapping_add(P64[3]);
    }
    let mut tail = words.remainder();
    if tail.len() >= 4 {
        h = (h ^ u64::from(word32(tail)).wrapping_mul(P64[0])).rotate_left(23);
        h = h.wrapping_mul(P64[1]).wrapping_add(P64[2]);
        tail = &tail[4..];
    }
    for b in tail {
        h = (h ^ u64::from(*b).wrapping_mul(P64[4])).rotate_left(11).wrapping_mul(P64[0]);
    }
    h = (h ^ h >> 33).wrapping_mul(P64[1]);
    h = (h ^ h >> 29).wrapping_mul(P64[2]);
    h ^ h >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_published_vectors() {
        assert_eq!(xxh32(0, b""), 0x02cc_5d05);
        assert_eq!(xxh32(0, b"abc"), 0x32d1_53ff);
        assert_eq!(xxh64(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(0, b"abc"), 0x44bc_2cf5_ad77_0999);
        let text = b"Nobody inspects the spammish repetition";
        assert_eq!(xxh32(0, text), 0xe229_3b2f);
        assert_eq!(xxh64(0, text), 0xfbce_a83c_8a37_8bf1);
    }
}
