//! What the engine stands on: byte ranges that are written, and kept once they are synced.
//!
//! A write that was not followed by a successful `sync` of the same device may be lost, wholly or in
//! parts of 4 KiB; that is all the engine assumes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file or a disk. Calls block; the engine makes the slow ones on its own threads.
pub trait BlockDevice: Send + Sync + fmt::Debug {
    /// Fills `buf`. Reading beyond the end is an error.
    fn read_at(&self, off: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writing beyond the end makes the device longer.
    fn write_at(&self, off: u64, data: &[u8]) -> io::Result<()>;
    /// Returns once everything written is on stable storage.
    fn sync(&self) -> io::Result<()>;
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What is gained reads as zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// As `read_at`, but `false` instead of waiting for a disk.
    fn try_read_now(&self, off: u64, buf: &mut [u8]) -> io::Result<bool> {
        self.read_at(off, buf).map(|()| true)
    }
}

/// The devices of one store.
#[derive(Debug, Clone)]
pub struct Devices {
    /// Object data, in blocks of 4 KiB.
    pub block: Arc<dyn BlockDevice>,
    /// The write-ahead log.
    pub wal: Arc<dyn BlockDevice>,
    /// The checkpointed metadata.
    pub kv: Arc<dyn BlockDevice>,
}

impl Devices {
    pub(crate) fn open_files(dir: &Path) -> io::Result<Self> {
        let open = |name| FileDevice::open(&dir.join(name)).map(|f| Arc::new(f) as Arc<dyn BlockDevice>);
        Ok(Self { block: open("block")?, wal: open("wal")?, kv: open("kv")? })
    }
}

/// A device that is a file, read and written through the page cache.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    len: AtomicU64,
}

impl FileDevice {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let len = AtomicU64::new(file.metadata()?.len());
        Ok(Self { file, len })
    }
}

impl BlockDevice for FileDevice {
    fn read_at(&self, off: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, off)
    }

    fn write_at(&self, off: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, off)?;
        self.len.fetch_max(off + data.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn try_read_now(&self, off: u64, buf: &mut [u8]) -> io::Result<bool> {
        let iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: `iov` describes `buf`, which we hold exclusively until the call returns; the kernel
        // writes at most `iov_len` bytes to it; the descriptor is open as long as `self.file`.
        let n = unsafe { libc::preadv2(self.file.as_raw_fd(), &iov, 1, off as i64, libc::RWF_NOWAIT) };
        match n {
            // A short count means that only the beginning was in memory.
            0.. => Ok(n as usize == buf.len()),
            _ => match io::Error::last_os_error() {
                e if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EOPNOTSUPP | libc::EINTR)) => Ok(false),
                e => Err(e),
            },
        }
    }
}
