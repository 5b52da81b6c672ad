//! CRUSH's 32-bit hash: Robert Jenkins' public-domain mix ("rjenkins1"), for one to five words.
//!
//! The order in which words are mixed is part of the protocol.

const SEED: u32 = 1_315_423_911;
const PAD_X: u32 = 231_232;
const PAD_Y: u32 = 1_232;

/// The only hash that exists (Ceph: `CRUSH_HASH_RJENKINS1`).
pub const RJENKINS1: u8 = 0;

/// Jenkins' evahash mix of three words.
#[inline(always)]
fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    macro_rules! round {
        ($x:ident, $y:ident, $z:ident, $shift:tt $n:literal) => {
            *$x = $x.wrapping_sub(*$y).wrapping_sub(*$z) ^ (*$z $shift $n);
        };
    }
    round!(a, b, c, >> 13);
    round!(b, c, a, << 8);
    round!(c, a, b, >> 13);
    round!(a, b, c, >> 12);
    round!(b, c, a, << 16);
    round!(c, a, b, >> 5);
    round!(a, b, c, >> 3);
    round!(b, c, a, << 10);
    round!(c, a, b, >> 15);
}

pub fn hash1(a: u32) -> u32 {
    let (mut a, mut b, mut x, mut y) = (a, a, PAD_X, PAD_Y);
    let mut hash = SEED ^ a;
    mix(&mut b, &mut x, &mut hash);
    mix(&mut y, &mut a, &mut hash);
    hash
}

#[inline]
pub fn hash2(mut a: u32, mut b: u32) -> u32 {
    let (mut x, mut y) = (PAD_X, PAD_Y);
    let mut hash = SEED ^ a ^ b;
    mix(&mut a, &mut b, &mut hash);
    mix(&mut x, &mut a, &mut hash);
    mix(&mut b, &mut y, &mut hash);
    hash
}

#[inline]
pub fn hash3(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    let (mut x, mut y) = (PAD_X, PAD_Y);
    let mut hash = SEED ^ a ^ b ^ c;
    mix(&mut a, &mut b, &mut hash);
    mix(&mut c, &mut x, &mut hash);
    mix(&mut y, &mut a, &mut hash);
    mix(&mut b, &mut x, &mut hash);
    mix(&mut y, &mut c, &mut hash);
    hash
}

#[inline]
pub fn hash4(mut a: u32, mut b: u32, mut c: u32, mut d: u32) -> u32 {
    let (mut x, mut y) = (PAD_X, PAD_Y);
    let mut hash = SEED ^ a ^ b ^ c ^ d;
    mix(&mut a, &mut b, &mut hash);
    mix(&mut c, &mut d, &mut hash);
    mix(&mut a, &mut x, &mut hash);
    mix(&mut y, &mut b, &mut hash);
    mix(&mut c, &mut x, &mut hash);
    mix(&mut y, &mut d, &mut hash);
    hash
}
