//! The checksum that a map carries of its own bytes: crc32c as Ceph computes it, from a seed of all
//! ones and without the final inversion, over everything but the four bytes that hold it.

use crc_fast::{CrcAlgorithm, Digest};
use denc::Encoder;

/// Of two pieces one after the other.
pub(crate) fn of(front: &[u8], tail: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(front);
    digest.update(tail);
    !(digest.finalize() as u32)
}

/// `ceph_crc32c(seed, data)`.
pub fn crc32c(seed: u32, data: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, seed.into());
    digest.update(data);
    // The crate inverts at the end, as the iSCSI form has it; Ceph does not.
    !(digest.finalize() as u32)
}

/// Fills the place at `hole` with the checksum of what was written since `start`.
pub(crate) fn seal(e: &mut Encoder, start: usize, hole: usize) {
    let crc = of(&e.as_slice()[start..hole], &e.as_slice()[hole + 4..]);
    e.fill_u32(hole, crc);
}
