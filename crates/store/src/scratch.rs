//! A device that keeps what is written to it in memory, over another that it only reads.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::device::{BlockDevice, Devices};

const PAGE: u64 = 4096;

#[derive(Debug)]
struct Scratch {
    below: Arc<dyn BlockDevice>,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    pages: BTreeMap<u64, Box<[u8; PAGE as usize]>>,
    len: u64,
    /// How much of the device below still shows: less once the device was made shorter.
    below_len: u64,
}

/// So that a store can be opened, and its log replayed, without changing it.
pub fn over(devices: &Devices) -> Devices {
    let Devices { block, wal, kv } = devices;
    Devices { block: over_one(block), wal: over_one(wal), kv: over_one(kv) }
}

pub fn over_one(below: &Arc<dyn BlockDevice>) -> Arc<dyn BlockDevice> {
    let len = below.len();
    let over = Mutex::new(Over { pages: BTreeMap::new(), len, below_len: len });
    Arc::new(Scratch { below: below.clone(), over })
}

impl Scratch {
    fn lock(&self) -> MutexGuard<'_, Over> {
        self.over.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn below_at(&self, over: &Over, off: u64, buf: &mut [u8]) -> io::Result<()> {
        let have = over.below_len.saturating_sub(off).min(buf.len() as u64) as usize;
        buf[have..].fill(0);
        if have > 0 { self.below.read_at(off, &mut buf[..have]) } else { Ok(()) }
    }
}

impl BlockDevice for Scratch {
    fn read_at(&self, off: u64, buf: &mut [u8]) -> io::Result<()> {
        let over = self.lock();
        let end = off + buf.len() as u64;
        if end > over.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.below_at(&over, off, buf)?;
        for (page, content) in over.pages.range(off / PAGE..end.div_ceil(PAGE)) {
            let (start, stop) = (off.max(page * PAGE), end.min((page + 1) * PAGE));
            let from = &content[(start - page * PAGE) as usize..(stop - page * PAGE) as usize];
            buf[(start - off) as usize..(stop - off) as usize].copy_from_slice(from);
        }
        Ok(())
    }

    fn write_at(&self, off: u64, data: &[u8]) -> io::Result<()> {
        let mut over = self.lock();
        let end = off + data.len() as u64;
        for page in off / PAGE..end.div_ceil(PAGE) {
            if !over.pages.contains_key(&page) {
                let mut content = Box::new([0; PAGE as usize]);
                self.below_at(&over, page * PAGE, &mut content[..])?;
                over.pages.insert(page, content);
            }
            let content = over.pages.get_mut(&page).expect("just put there");
            let (start, stop) = (off.max(page * PAGE), end.min((page + 1) * PAGE));
            content[(start - page * PAGE) as usize..(stop - page * PAGE) as usize]
                .copy_from_slice(&data[(start - off) as usize..(stop - off) as usize]);
        }
        over.len = over.len.max(end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.lock().len
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut over = self.lock();
        over.below_len = over.below_len.min(len);
        over.pages.retain(|page, _| page * PAGE < len);
        if let Some(content) = over.pages.get_mut(&(len / PAGE)) {
            content[(len % PAGE) as usize..].fill(0);
        }
        over.len = len;
        Ok(())
    }
}
