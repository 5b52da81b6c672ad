//! Ceph's crc32c: the Castagnoli polynomial, started at a seed the caller gives and not inverted at
//! the end.

use crc_fast::{CrcAlgorithm, Digest};

/// `ceph_crc32c(seed, data)`.
pub fn crc32c(seed: u32, data: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, seed.into());
    digest.update(data);
    // The crate inverts at the end, as the iSCSI form has it; Ceph does not.
    !(digest.finalize() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_ceph() {
        assert_eq!(crc32c(0, b"foo bar baz"), 4_119_623_852);
        assert_eq!(crc32c(1234, b"foo bar baz"), 881_700_046);
        assert_eq!(crc32c(u32::MAX, b"123456789") ^ u32::MAX, 0xe306_9283);
    }
}
