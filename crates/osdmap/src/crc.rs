//! The checksum that a map carries of its own bytes: crc32c as Ceph computes it, from a seed of all
//! ones and without the final inversion, over everything but the four bytes that hold it.

use denc::Encoder;
use types::crc32c;

/// Of two pieces one after the other.
pub(crate) fn of(front: &[u8], tail: &[u8]) -> u32 {
    crc32c(crc32c(u32::MAX, front), tail)
}

/// Fills the place at `hole` with the checksum of what was written since `start`.
pub(crate) fn seal(e: &mut Encoder, start: usize, hole: usize) {
    let crc = of(&e.as_slice()[start..hole], &e.as_slice()[hole + 4..]);
    e.fill_u32(hole, crc);
}
