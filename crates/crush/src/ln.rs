//! The fixed-point logarithm that straw2 draws with.
//!
//! Straw2 needs the same answer from every implementation for ever, so it has no floating point:
//! a table of reciprocals and logarithms for the upper seven bits, and one for the rest. The tables
//! are computed here, at build time, from what they mean. The second one (`LL`) was computed wrongly
//! when CRUSH was written; its error is part of the protocol now, and is stated as such below.

/// `floor(2^48 · log2(1 + k/2^shift))`, digit by digit: squaring doubles a logarithm.
const fn log2_q48(k: u64, shift: u32) -> u64 {
    // The number in [1, 2), with 63 bits after the point.
    let mut x: u128 = (1u128 << 63) + ((k as u128) << (63 - shift));
    if x >> 64 != 0 {
        return 1 << 48;
    }
    let mut log = 0u64;
    let mut bit = 0;
    while bit < 48 {
        x = (x * x) >> 63;
        log <<= 1;
        if x >> 64 != 0 {
            x >>= 1;
            log |= 1;
        }
        bit += 1;
    }
    log
}

/// `RH[k] = ceil(2^48 / (1 + k/128))`.
const RH: [u64; 129] = {
    let mut t = [0; 129];
    let mut k = 0;
    while k < 129 {
        t[k] = (1u64 << 55).div_ceil(128 + k as u64);
        k += 1;
    }
    t
};

/// `LH[k] = floor(2^48 · log2(1 + k/128))`; the last entry is a little less than that.
const LH: [u64; 129] = {
    let mut t = [0; 129];
    let mut k = 0;
    while k < 128 {
        t[k] = log2_q48(k as u64, 7);
        k += 1;
    }
    t[128] = 0xffff_0000_0000;
    t
};

/// Where `LL` is what it was meant to be.
const LL_RIGHT: [usize; 21] =
    [0, 1, 203, 216, 222, 233, 237, 238, 239, 243, 244, 245, 246, 248, 249, 250, 251, 252, 253, 254, 255];

/// By how much nearly all other entries are too large.
const LL_ERROR: u64 = 0x1_4770_0000;

/// The entries that follow neither rule.
const LL_ODD: [(usize, u64); 23] = [
    (56, 0x0a2_b07f_3458),
    (127, 0x16d_f6ca_19bd),
    (134, 0x182_b07f_3458),
    (181, 0x209_c06e_6212),
    (184, 0x212_b07f_3458),
    (188, 0x21d_6a73_a78f),
    (193, 0x22c_2367_9b4e),
    (198, 0x23a_2c3b_0ea4),
    (199, 0x23d_13ee_805b),
    (200, 0x240_35e9_221f),
    (207, 0x254_9264_4d65),
    (210, 0x25d_13ee_805b),
    (212, 0x262_9645_3882),
    (225, 0x287_bdbf_5255),
    (227, 0x28d_13ee_805b),
    (228, 0x290_35e9_221f),
    (229, 0x292_9645_3882),
    (231, 0x299_02a3_7aab),
    (235, 0x2a4_c760_5d61),
    (236, 0x2a7_bdbf_5255),
    (240, 0x2b2_9645_3882),
    (241, 0x2b5_d022_d80f),
    (247, 0x2c6_1a5e_8f4c),
];

/// `LL[k]`: near `floor(2^48 · log2(1 + k/2^15))`, with CRUSH's historical errors.
const LL: [u64; 256] = {
    let mut t = [0; 256];
    let mut k = 0;
    while k < 256 {
        t[k] = log2_q48(k as u64, 15) + LL_ERROR;
        k += 1;
    }
    let mut i = 0;
    while i < LL_RIGHT.len() {
        t[LL_RIGHT[i]] -= LL_ERROR;
        i += 1;
    }
    i = 0;
    while i < LL_ODD.len() {
        t[LL_ODD[i].0] = LL_ODD[i].1;
        i += 1;
    }
    t
};

static RH_TABLE: [u64; 129] = RH;
static LH_TABLE: [u64; 129] = LH;
static LL_TABLE: [u64; 256] = LL;

/// `2^44 · log2(u + 1)` for `u` up to 0xffff (Ceph: `crush_ln`).
#[inline]
pub(crate) fn ln(u: u16) -> u64 {
    let x = u32::from(u) + 1;
    // Shift the number up until one of bits 15 and 16 is set.
    let (x, exponent) = if x & 0x1_8000 == 0 {
        let bits = x.leading_zeros() - 16;
        (x << bits, 15 - bits)
    } else {
        (x, 15)
    };
    let upper = (x >> 8) as usize - 128;
    let lower = ((u64::from(x) * RH_TABLE[upper]) >> 48) as usize & 0xff;
    (u64::from(exponent) << 44) + ((LH_TABLE[upper] + LL_TABLE[lower]) >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a over the three tables, computed once from the tables of Ceph 16.2.15.
    #[test]
    fn the_tables_are_the_ones_of_ceph() {
        let mut sum = 0xcbf2_9ce4_8422_2325u64;
        for v in RH.iter().chain(&LH).chain(&LL) {
            for byte in v.to_le_bytes() {
                sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(sum, 0xcdf9_4226_38f8_30d3);
    }

    #[test]
    fn the_logarithm_grows_from_nothing_to_almost_sixteen() {
        assert_eq!(ln(0), 0);
        assert_eq!(ln(0xffff) >> 32, 0xffff);
        assert!((0..0xffff).all(|u| ln(u) <= ln(u + 1) + (1 << 34)));
    }
}
