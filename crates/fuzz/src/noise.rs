//! Damage, the same for the same seed.

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Debug, Clone)]
pub struct Noise(pub u64);

impl Noise {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n.max(1) as u64) as usize
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.word() as u8).collect()
    }

    /// One of the damages that find bugs in decoders: flipped bits, numbers at their limits, cuts, repeats, foreign
    /// pieces. Several at once now and then.
    pub fn damage(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        for _ in 0..=self.below(4).saturating_sub(1) {
            self.damage_once(bytes, others);
        }
    }

    fn damage_once(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        match self.below(9) {
            _ if bytes.is_empty() => *bytes = self.bytes(20),
            0 | 1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            3 | 4 => {
                let limits = [u64::MAX, 1 << 31, 1 << 63, 0, 1, bytes.len() as u64, (1 << 31) - 1, 1 << 16];
                let number = limits[self.below(limits.len())].to_le_bytes();
                let width = [2, 4, 8][self.below(3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            5 => bytes.truncate(at),
            6 => {
                let piece = bytes[at..(at + self.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            7 => {
                let end = (at + self.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len());
                let to = (from + self.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
}
