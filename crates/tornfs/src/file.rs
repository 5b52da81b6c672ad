//! One file whose unsynced writes live in memory only.
//!
//! The backing file holds what is durable. Reads see it with the writes laid over it. A sync moves them down; a power
//! cut lets chance decide about each: kept, dropped, or torn (a prefix of whole sectors, or some of its 4 KiB blocks).
//!
//! Invariant: bytes of the backing file at or after `floor` are stale (the file was cut shorter since the last
//! sync), and read as zeros.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub const BLOCK: u64 = 4096;
/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

enum Op {
    Write { offset: u64, data: Vec<u8> },
    Resize(u64),
}

/// What became of unsynced operations at a power cut.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    pub kept: u64,
    pub torn: u64,
    pub dropped: u64,
}

pub struct TornFile {
    backing: File,
    len: u64,
    floor: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
    pending: Vec<Op>,
}

impl TornFile {
    /// # Errors
    /// If the backing file cannot be measured.
    pub fn new(backing: File) -> io::Result<Self> {
        let len = backing.metadata()?.len();
        Ok(Self { backing, len, floor: len, blocks: BTreeMap::new(), pending: Vec::new() })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// # Errors
    /// If the backing file cannot be read.
    pub fn read(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(size).min(self.len);
        let mut out = Vec::with_capacity(end.saturating_sub(offset) as usize);
        let mut at = offset;
        while at < end {
            let block = at / BLOCK;
            let stop = ((block + 1) * BLOCK).min(end);
            let (from, to) = ((at % BLOCK) as usize, (stop - block * BLOCK) as usize);
            match self.blocks.get(&block) {
                Some(bytes) => out.extend_from_slice(&bytes[from..to]),
                None => out.extend_from_slice(&self.durable_block(block)?[from..to]),
            }
            at = stop;
        }
        Ok(out)
    }

    /// # Errors
    /// If the backing file cannot be read.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.lay_over(offset, data)?;
        self.pending.push(Op::Write { offset, data: data.to_vec() });
        Ok(())
    }

    /// # Errors
    /// If the backing file cannot be read.
    pub fn resize(&mut self, len: u64) -> io::Result<()> {
        if len < self.len {
            self.floor = self.floor.min(len);
            self.blocks.split_off(&len.div_ceil(BLOCK));
            if let Some(bytes) = self.blocks.get_mut(&(len / BLOCK)) {
                bytes[(len % BLOCK) as usize..].fill(0);
            }
        }
        self.len = len;
        self.pending.push(Op::Resize(len));
        Ok(())
    }

    /// Moves everything to the backing file.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.backing.set_len(self.floor)?;
        self.backing.set_len(self.len)?;
        for (block, bytes) in std::mem::take(&mut self.blocks) {
            let start = block * BLOCK;
            let size = self.len.saturating_sub(start).min(BLOCK) as usize;
            self.backing.write_all_at(&bytes[..size], start)?;
        }
        self.floor = self.len;
        self.pending.clear();
        Ok(())
    }

    /// The power goes. `chance(n)` gives a number below `n`.
    ///
    /// # Errors
    /// If the backing file cannot be written.
    pub fn cut(&mut self, chance: &mut dyn FnMut(u64) -> u64) -> io::Result<Fate> {
        let mut fate = Fate::default();
        let ops = std::mem::take(&mut self.pending);
        // A disk may have done nothing of it yet, everything up to some point, or any of it in any order.
        let mood = chance(3);
        let first = if mood == 1 { chance(ops.len() as u64 + 1) } else { 0 };
        for (i, op) in ops.iter().enumerate() {
            let kept = match mood {
                0 => 0,
                1 => u64::from((i as u64) < first) * 3,
                _ => chance(4),
            };
            match (op, kept) {
                (_, 0) => fate.dropped += 1,
                (Op::Resize(len), _) => {
                    self.backing.set_len(*len)?;
                    fate.kept += 1;
                }
                (Op::Write { offset, data }, 3) => {
                    self.backing.write_all_at(data, *offset)?;
                    fate.kept += 1;
                }
                (Op::Write { offset, data }, 2) => {
                    let sectors = chance(data.len() as u64 / SECTOR + 1);
                    self.backing.write_all_at(&data[..(sectors * SECTOR) as usize], *offset)?;
                    fate.torn += 1;
                }
                (Op::Write { offset, data }, _) => {
                    for (n, part) in data.chunks(BLOCK as usize).enumerate() {
                        if chance(2) == 0 {
                            self.backing.write_all_at(part, offset + n as u64 * BLOCK)?;
                        }
                    }
                    fate.torn += 1;
                }
            }
        }
        self.blocks.clear();
        Ok(fate)
    }

    fn durable_block(&self, block: u64) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; BLOCK as usize].into_boxed_slice();
        let start = block * BLOCK;
        let want = self.floor.saturating_sub(start).min(BLOCK) as usize;
        let mut have = 0;
        while have < want {
            match self.backing.read_at(&mut bytes[have..want], start + have as u64)? {
                0 => break,
                n => have += n,
            }
        }
        Ok(bytes)
    }

    fn lay_over(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        self.len = self.len.max(end);
        let mut at = offset;
        while at < end {
            let block = at / BLOCK;
            let stop = ((block + 1) * BLOCK).min(end);
            if !self.blocks.contains_key(&block) {
                let durable = self.durable_block(block)?;
                self.blocks.insert(block, durable);
            }
            let bytes = self.blocks.get_mut(&block).expect("just put there");
            let (from, to) = ((at % BLOCK) as usize, (stop - block * BLOCK) as usize);
            bytes[from..to].copy_from_slice(&data[(at - offset) as usize..(stop - offset) as usize]);
            at = stop;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> (TornFile, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("tornfs-{name}-{}", std::process::id()));
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        (TornFile::new(file).unwrap(), path)
    }

    #[test]
    fn what_was_synced_survives_every_cut_and_what_was_not_may_go() {
        let (mut file, path) = scratch("survives");
        file.write(0, b"durable").unwrap();
        file.sync().unwrap();
        file.write(3, b"ling").unwrap();
        assert_eq!(file.read(0, 100).unwrap(), b"durling");
        // Nothing was done yet.
        assert_eq!(file.cut(&mut |_| 0).unwrap(), Fate { dropped: 1, ..Fate::default() });
        assert_eq!(std::fs::read(&path).unwrap(), b"durable");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_torn_write_leaves_some_of_its_sectors() {
        let (mut file, path) = scratch("torn");
        file.resize(8192).unwrap();
        file.sync().unwrap();
        file.write(0, &[7; 8192]).unwrap();
        let mut answers = [2, 2, 3].into_iter();
        assert_eq!(file.cut(&mut |_| answers.next().unwrap()).unwrap().torn, 1);
        let left = std::fs::read(&path).unwrap();
        assert_eq!((left.len(), left.iter().filter(|b| **b == 7).count()), (8192, 3 * 512));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn bytes_behind_a_cut_end_read_as_zeros_before_and_after_the_sync() {
        let (mut file, path) = scratch("zeros");
        file.write(0, &[1; 5000]).unwrap();
        file.sync().unwrap();
        file.resize(10).unwrap();
        file.resize(5000).unwrap();
        let mut want = vec![1; 10];
        want.resize(5000, 0);
        assert_eq!(file.read(0, 9999).unwrap(), want);
        file.sync().unwrap();
        assert_eq!((file.read(0, 9999).unwrap(), std::fs::read(&path).unwrap()), (want.clone(), want));
        std::fs::remove_file(path).unwrap();
    }
}
