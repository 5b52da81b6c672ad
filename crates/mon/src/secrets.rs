//! Secrets for new keys: the key stream of ChaCha20 under what the system gave at random when the monitor
//! started. A core has no randomness of its own, and keys must not be guessed from one another.

/// Gives each 16 bytes of the stream once.
#[derive(Clone)]
pub struct Secrets {
    key: [u32; 8],
    counter: u32,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    pub fn new(entropy: [u8; 32]) -> Self {
        let mut key = [0; 8];
        for (word, bytes) in key.iter_mut().zip(entropy.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
        Self { key, counter: 0 }
    }

    /// Sixteen bytes that were never given before. 2^32 of them are more than there ever will be keys.
    pub fn next(&mut self) -> [u8; 16] {
        let block = block(&self.key, self.counter, [0; 3]);
        self.counter = self.counter.wrapping_add(1);
        block[..16].try_into().expect("a block has 64 bytes")
    }
}

/// RFC 8439, 2.3: one block of the stream.
fn block(key: &[u32; 8], counter: u32, nonce: [u32; 3]) -> [u8; 64] {
    const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
    const ROUNDS: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ];
    let mut start = [0u32; 16];
    start[..4].copy_from_slice(&CONSTANTS);
    start[4..12].copy_from_slice(key);
    start[12] = counter;
    start[13..].copy_from_slice(&nonce);
    let mut s = start;
    for _ in 0..10 {
        for [a, b, c, d] in ROUNDS {
            for (x, y, z, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                s[x] = s[x].wrapping_add(s[y]);
                s[z] = (s[z] ^ s[x]).rotate_left(by);
            }
        }
    }
    let mut out = [0; 64];
    for (i, bytes) in out.chunks_exact_mut(4).enumerate() {
        bytes.copy_from_slice(&s[i].wrapping_add(start[i]).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_that_of_rfc_8439() {
        let bytes: Vec<u8> = (0..32).collect();
        let key = Secrets::new(bytes.try_into().expect("32")).key;
        let block = block(&key, 1, [0x0900_0000, 0x4a00_0000, 0]);
        let expected = [0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4];
        assert_eq!(block[..16], expected);
        assert_eq!(block[60..], [0xa2, 0x50, 0x3c, 0x4e]);
    }

    #[test]
    fn no_secret_comes_twice() {
        let mut secrets = Secrets::new([7; 32]);
        let given: std::collections::BTreeSet<_> = (0..1000).map(|_| secrets.next()).collect();
        assert_eq!(given.len(), 1000);
    }
}
