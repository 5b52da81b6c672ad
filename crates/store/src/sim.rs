//! Disks that lose what was not synced, for tests and for the simulator.
//!
//! A [`SimDisk`] is the devices of one store in memory. [`SimDisk::crash`] gives the disk as it might
//! look after a power cut: every synced write is there; of the others, for each piece of 4 KiB, some
//! prefix in the order of writing. The old disk lives on, detached, so that a store which is dropped
//! after the crash can write what it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::device::{BlockDevice, Devices};

const PAGE: usize = 4096;
type Page = Arc<[u8; PAGE]>;

/// What happens to writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// All of them are kept, as after `kill -9`.
    None,
    /// All are lost.
    All,
    /// Each page keeps a random number of the writes to it; pages are independent.
    Random,
    /// A random moment: everything written before it is kept, nothing after.
    Suffix,
}

/// Faults of a disk; shared by its devices.
#[derive(Debug, Default)]
struct Faults {
    /// Writes and syncs that still succeed; `None` means all.
    ops_left: Option<u64>,
    ops: u64,
    syncs: u64,
}

impl Faults {
    fn spend(&mut self) -> io::Result<()> {
        self.ops += 1;
        match &mut self.ops_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("simulated disk failure")),
            Some(n) => {
                *n -= 1;
                Ok(())
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Content {
    pages: BTreeMap<u64, Page>,
    len: u64,
}

impl Content {
    fn read(&self, off: u64, buf: &mut [u8]) -> io::Result<()> {
        if off + buf.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, at, from, n) in pieces(off, buf.len()) {
            match self.pages.get(&page) {
                Some(p) => buf[from..from + n].copy_from_slice(&p[at..at + n]),
                None => buf[from..from + n].fill(0),
            }
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.retain(|page, _| page * (PAGE as u64) < len);
            if let Some(p) = self.pages.get_mut(&(len / PAGE as u64)) {
                Arc::make_mut(p)[(len % PAGE as u64) as usize..].fill(0);
            }
        }
        self.len = len;
    }
}

/// (page, offset in it, offset in the buffer, bytes) of each page that a range touches.
fn pieces(off: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let pos = off + from as u64;
        let at = (pos % PAGE as u64) as usize;
        let n = (len - from).min(PAGE - at);
        let piece = (pos / PAGE as u64, at, from, n);
        from += n;
        (n > 0).then_some(piece)
    })
}

#[derive(Debug, Default)]
struct Inner {
    now: Content,
    synced: Content,
    /// Since the last sync: a counter over the whole disk, the page and what it became.
    unsynced: Vec<(u64, u64, Page)>,
    syncs_lie: bool,
    /// Pages that cannot be read until they are written anew.
    unreadable: BTreeSet<u64>,
    /// So many reads fail, and then no more.
    reads_failing: u32,
}

/// One device of a [`SimDisk`].
#[derive(Debug, Default)]
pub struct SimDevice {
    faults: Arc<Mutex<Faults>>,
    inner: Mutex<Inner>,
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl SimDevice {
    fn new(faults: &Arc<Mutex<Faults>>, content: Content) -> Arc<Self> {
        let inner = Inner { now: content.clone(), synced: content, ..Inner::default() };
        Arc::new(Self { faults: faults.clone(), inner: inner.into() })
    }

    /// From now on syncs keep nothing: a store's tests must notice.
    pub fn make_syncs_lie(&self) {
        locked(&self.inner).syncs_lie = true;
    }

    /// Flips the bits of `mask` in one byte, synced or not.
    pub fn flip(&self, off: u64, mask: u8) {
        let mut inner = locked(&self.inner);
        let Inner { now, synced, .. } = &mut *inner;
        for content in [now, synced] {
            let page = content.pages.entry(off / PAGE as u64).or_insert_with(|| [0; PAGE].into());
            Arc::make_mut(page)[(off % PAGE as u64) as usize] ^= mask;
        }
    }

    /// The pages that hold something, in order.
    pub fn used_pages(&self) -> Vec<u64> {
        locked(&self.inner).synced.pages.keys().copied().collect()
    }

    /// A page cannot be read any more, until it is written (a latent sector error).
    pub fn lose_page(&self, page: u64) {
        locked(&self.inner).unreadable.insert(page);
    }

    /// The next `n` reads fail, whatever they read.
    pub fn fail_reads(&self, n: u32) {
        locked(&self.inner).reads_failing = n;
    }

    /// What was meant for another page is on this one (a write that went astray).
    pub fn misdirect(&self, from: u64, to: u64) {
        let mut inner = locked(&self.inner);
        let Inner { now, synced, .. } = &mut *inner;
        for content in [now, synced] {
            if let Some(page) = content.pages.get(&from).cloned() {
                content.pages.insert(to, page);
            }
        }
    }

    /// A page is as it was before anything was written to it (a write that got lost).
    pub fn forget_page(&self, page: u64) {
        let mut inner = locked(&self.inner);
        let Inner { now, synced, .. } = &mut *inner;
        for content in [now, synced] {
            content.pages.remove(&page);
        }
    }

    fn after_crash(&self, lost: Lost, cut: u64, random: &mut dyn FnMut(u64) -> u64) -> Content {
        let inner = locked(&self.inner);
        if lost == Lost::None {
            return inner.now.clone();
        }
        let mut out = inner.synced.clone();
        let mut by_page: BTreeMap<u64, Vec<(u64, &Page)>> = BTreeMap::new();
        for (when, page, content) in &inner.unsynced {
            by_page.entry(*page).or_default().push((*when, content));
        }
        for (page, versions) in by_page {
            let kept = match lost {
                Lost::None | Lost::All => 0,
                Lost::Random => random(versions.len() as u64 + 1) as usize,
                Lost::Suffix => versions.iter().filter(|(when, _)| *when < cut).count(),
            };
            if let Some((_, content)) = kept.checked_sub(1).map(|i| versions[i]) {
                out.pages.insert(page, content.clone());
                out.len = out.len.max((page + 1) * PAGE as u64).min(inner.now.len.max(out.len));
            }
        }
        out
    }
}

impl BlockDevice for SimDevice {
    fn read_at(&self, off: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut inner = locked(&self.inner);
        if inner.reads_failing > 0 {
            inner.reads_failing -= 1;
            return Err(io::Error::other("simulated hiccup"));
        }
        if !inner.unreadable.is_empty() && pieces(off, buf.len()).any(|(page, ..)| inner.unreadable.contains(&page)) {
            return Err(io::Error::other("simulated unreadable sector"));
        }
        inner.now.read(off, buf)
    }

    fn write_at(&self, off: u64, data: &[u8]) -> io::Result<()> {
        let when = {
            let mut faults = locked(&self.faults);
            faults.spend()?;
            faults.ops
        };
        let mut inner = locked(&self.inner);
        let Inner { now, unsynced, unreadable, .. } = &mut *inner;
        for (page, at, from, n) in pieces(off, data.len()) {
            unreadable.remove(&page);
            let p = now.pages.entry(page).or_insert_with(|| [0; PAGE].into());
            Arc::make_mut(p)[at..at + n].copy_from_slice(&data[from..from + n]);
            unsynced.push((when, page, p.clone()));
        }
        now.len = now.len.max(off + data.len() as u64);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        {
            let mut faults = locked(&self.faults);
            faults.spend()?;
            faults.syncs += 1;
        }
        let mut inner = locked(&self.inner);
        if !inner.syncs_lie {
            let Inner { now, synced, unsynced, .. } = &mut *inner;
            for (_, page, content) in unsynced.drain(..) {
                synced.pages.insert(page, content);
            }
            synced.set_len(now.len);
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        locked(&self.inner).now.len
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        locked(&self.faults).spend()?;
        let mut inner = locked(&self.inner);
        inner.now.set_len(len);
        inner.unsynced.retain(|(_, page, _)| page * (PAGE as u64) < len);
        Ok(())
    }
}

/// The devices of one store, in memory, with faults.
#[derive(Debug, Clone)]
pub struct SimDisk {
    pub block: Arc<SimDevice>,
    pub wal: Arc<SimDevice>,
    pub kv: Arc<SimDevice>,
    faults: Arc<Mutex<Faults>>,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    pub fn new() -> Self {
        Self::with(Default::default(), Default::default(), Default::default())
    }

    fn with(block: Content, wal: Content, kv: Content) -> Self {
        let faults = Arc::default();
        Self {
            block: SimDevice::new(&faults, block),
            wal: SimDevice::new(&faults, wal),
            kv: SimDevice::new(&faults, kv),
            faults,
        }
    }

    pub fn devices(&self) -> Devices {
        Devices { block: self.block.clone(), wal: self.wal.clone(), kv: self.kv.clone() }
    }

    /// The disk after a power cut. `random(n)` gives a number below `n`.
    pub fn crash(&self, lost: Lost, random: &mut dyn FnMut(u64) -> u64) -> Self {
        let cut = random(locked(&self.faults).ops + 1);
        let mut after = |device: &SimDevice| device.after_crash(lost, cut, random);
        Self::with(after(&self.block), after(&self.wal), after(&self.kv))
    }

    /// Lets `n` more writes and syncs succeed, and none after; `None` repairs the disk.
    pub fn fail_after(&self, n: Option<u64>) {
        locked(&self.faults).ops_left = n;
    }

    /// Writes and syncs so far.
    pub fn ops(&self) -> u64 {
        locked(&self.faults).ops
    }

    pub fn syncs(&self) -> u64 {
        locked(&self.faults).syncs
    }
}
