//! The kernel's requests, answered from [`TornFile`]s and the backing folder.
//!
//! An inode is a path below the backing folder; it is known for as long as the process lives. Every file is opened
//! for direct I/O, so that the kernel keeps no second copy.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::file::{Fate, TornFile};

const TTL: Duration = Duration::ZERO;
const HANDLE: FileHandle = FileHandle(0);
const FALLOC_KEEP_SIZE: i32 = 1;
const FALLOC_ZERO: i32 = 2 | 16;
/// Zeroing a range is done in pieces of this size.
const ZERO_PIECE: u64 = 1 << 20;

/// What is asked of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Sync,
}

/// Requests on files whose path ends in `file` fail with EIO, or take longer.
#[derive(Debug, Clone)]
struct Fault {
    kind: Access,
    file: String,
    /// How many more times.
    left: u64,
    /// Instead of failing.
    delay: Option<Duration>,
}

/// What is mounted. One lock for all: tests want repeatable, not quick.
pub struct State {
    root: PathBuf,
    lie: bool,
    no_direct: bool,
    dead: bool,
    faults: Vec<Fault>,
    paths: BTreeMap<u64, PathBuf>,
    files: BTreeMap<u64, TornFile>,
}

pub fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no request panics while it holds the lock")
}

impl State {
    pub fn new(root: &Path, lie: bool, no_direct: bool) -> Self {
        let paths = BTreeMap::from([(INodeNo::ROOT.0, root.to_owned())]);
        Self { root: root.to_owned(), lie, no_direct, dead: false, faults: Vec::new(), paths, files: BTreeMap::new() }
    }

    /// The power goes: chance decides about each unsynced write, and every request fails from now on.
    ///
    /// # Errors
    /// If the backing files cannot be written.
    pub fn cut(&mut self, seed: u64) -> io::Result<Fate> {
        self.dead = true;
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut chance = |n: u64| {
            // xorshift64*: small, and the same on every machine.
            word ^= word >> 12;
            word ^= word << 25;
            word ^= word >> 27;
            (word.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % n
        };
        let mut sum = Fate::default();
        for file in self.files.values_mut() {
            let fate = file.cut(&mut chance)?;
            sum.kept += fate.kept;
            sum.torn += fate.torn;
            sum.dropped += fate.dropped;
        }
        Ok(sum)
    }

    /// # Errors
    /// If the backing files cannot be written.
    pub fn sync_all(&mut self) -> io::Result<()> {
        self.files.values_mut().try_for_each(TornFile::sync)
    }

    /// `fail read|write|sync FILE [TIMES]`, `slow read|write|sync FILE MILLISECONDS`, `heal`: what happens to files
    /// whose path ends in FILE from now on. `false` if that is none of these.
    pub fn command(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kind = |word: &str| match word {
            "read" => Some(Access::Read),
            "write" => Some(Access::Write),
            "sync" => Some(Access::Sync),
            _ => None,
        };
        let (kind, file, left, delay) = match words[..] {
            ["heal"] => {
                self.faults.clear();
                return true;
            }
            ["fail", what, file] => (kind(what), file, Some(u64::MAX), None),
            ["fail", what, file, times] => (kind(what), file, times.parse().ok(), None),
            ["slow", what, file, ms] => (kind(what), file, Some(u64::MAX), ms.parse().ok().map(Duration::from_millis)),
            _ => return false,
        };
        let (Some(kind), Some(left)) = (kind, left) else { return false };
        self.faults.push(Fault { kind, file: file.to_owned(), left, delay });
        true
    }

    /// Whether a request fails, and how long it takes first.
    fn fault(&mut self, ino: INodeNo, kind: Access) -> Result<(), Errno> {
        let Some(path) = self.paths.get(&ino.0).map(|p| p.display().to_string()) else { return Ok(()) };
        let mut failed = Ok(());
        for fault in self.faults.iter_mut().filter(|f| f.kind == kind && f.left > 0 && path.ends_with(&f.file)) {
            match fault.delay {
                Some(delay) => std::thread::sleep(delay),
                None => {
                    fault.left -= 1;
                    failed = Err(Errno::EIO);
                }
            }
        }
        failed
    }

    fn path(&self, ino: INodeNo) -> Result<PathBuf, Errno> {
        if self.dead {
            return Err(Errno::EIO);
        }
        self.paths.get(&ino.0).cloned().ok_or(Errno::ENOENT)
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> Result<PathBuf, Errno> {
        Ok(self.path(parent)?.join(name))
    }

    fn entry(&mut self, path: &Path) -> Result<FileAttr, Errno> {
        let meta = fs::symlink_metadata(path)?;
        let ino = if path == self.root { INodeNo::ROOT.0 } else { meta.ino() };
        self.paths.insert(ino, path.to_owned());
        let size = self.files.get(&ino).map_or(meta.len(), TornFile::len);
        let time = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: meta.blocks(),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: FileType::from_std(meta.file_type()).ok_or(Errno::EIO)?,
            perm: (meta.mode() & 0o7777) as u16,
            nlink: meta.nlink() as u32,
            uid: meta.uid(),
            gid: meta.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn file(&mut self, ino: INodeNo) -> Result<&mut TornFile, Errno> {
        if self.dead {
            return Err(Errno::EIO);
        }
        if !self.files.contains_key(&ino.0) {
            let backing = File::options().read(true).write(true).open(self.path(ino)?)?;
            self.files.insert(ino.0, TornFile::new(backing)?);
        }
        Ok(self.files.get_mut(&ino.0).expect("just put there"))
    }

    fn sync(&mut self, ino: INodeNo) -> Result<(), Errno> {
        self.fault(ino, Access::Sync)?;
        if self.lie && !self.dead {
            return Ok(());
        }
        Ok(self.file(ino)?.sync()?)
    }

    fn allocate(&mut self, ino: INodeNo, offset: u64, length: u64, mode: i32) -> Result<(), Errno> {
        let file = self.file(ino)?;
        let end = offset + length;
        if mode & FALLOC_ZERO != 0 {
            let stop = end.min(file.len());
            let mut at = offset;
            while at < stop {
                let piece = ZERO_PIECE.min(stop - at);
                file.write(at, &vec![0; piece as usize])?;
                at += piece;
            }
        }
        if mode & FALLOC_KEEP_SIZE == 0 && end > file.len() {
            file.resize(end)?;
        }
        Ok(())
    }

    fn create(&mut self, parent: INodeNo, name: &OsStr, mode: u32) -> Result<FileAttr, Errno> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.child(parent, name)?;
        File::options().create(true).truncate(false).write(true).mode(mode).open(&path)?;
        self.entry(&path)
    }

    fn remove(&mut self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        let path = self.child(parent, name)?;
        let ino = fs::symlink_metadata(&path)?.ino();
        // An open file lives on through its handle in `files`.
        fs::remove_file(&path)?;
        self.paths.remove(&ino);
        Ok(())
    }

    fn rename(&mut self, from: PathBuf, to: PathBuf) -> Result<(), Errno> {
        fs::rename(&from, &to)?;
        for path in self.paths.values_mut() {
            if let Ok(rest) = path.strip_prefix(&from) {
                *path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
            }
        }
        Ok(())
    }
}

pub struct TornFs(pub Arc<Mutex<State>>);

impl TornFs {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// Answers with nothing but success or an error.
fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(e),
    }
}

impl Filesystem for TornFs {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.state();
        match state.child(parent, name).and_then(|path| state.entry(&path)) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(e) => reply.error(e),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let mut state = self.state();
        match state.path(ino).and_then(|path| state.entry(&path)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(e) => reply.error(e),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        let resized = size.map_or(Ok(()), |size| Ok(state.file(ino)?.resize(size)?));
        match resized.and_then(|()| state.path(ino)).and_then(|path| state.entry(&path)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(e) => reply.error(e),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut state = self.state();
        let made = state.child(parent, name).and_then(|path| {
            fs::create_dir(&path)?;
            state.entry(&path)
        });
        match made {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(e) => reply.error(e),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.state().remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.state().child(parent, name).and_then(|path| Ok(fs::remove_dir(path)?)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = self.state();
        let paths = state.child(parent, name).and_then(|from| Ok((from, state.child(newparent, newname)?)));
        done(paths.and_then(|(from, to)| state.rename(from, to)), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mut state = self.state();
        if state.no_direct && flags.0 & libc::O_DIRECT != 0 {
            return reply.error(Errno::EINVAL);
        }
        match state.file(ino) {
            Ok(_) => reply.opened(HANDLE, FopenFlags::FOPEN_DIRECT_IO),
            Err(e) => reply.error(e),
        }
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.state().create(parent, name, mode) {
            Ok(attr) => reply.created(&TTL, &attr, Generation(0), HANDLE, FopenFlags::FOPEN_DIRECT_IO),
            Err(e) => reply.error(e),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.state();
        let read = state.fault(ino, Access::Read);
        match read.and_then(|()| state.file(ino)).and_then(|file| Ok(file.read(offset, size.into())?)) {
            Ok(data) => reply.data(&data),
            Err(e) => reply.error(e),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        let allowed = state.fault(ino, Access::Write);
        let mut written = allowed.and_then(|()| state.file(ino)).and_then(|file| Ok(file.write(offset, data)?));
        if flags.0 & (libc::O_DSYNC | libc::O_SYNC) != 0 {
            written = written.and_then(|()| state.sync(ino));
        }
        match written {
            Ok(()) => reply.written(data.len() as u32),
            Err(e) => reply.error(e),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file syncs nothing.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.state().sync(ino), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let list = state.path(ino).and_then(|path| Ok(fs::read_dir(path)?));
        let entries = match list {
            Ok(entries) => entries,
            Err(e) => return reply.error(e),
        };
        let mut names: Vec<_> = entries.flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        for (i, entry) in names.iter().enumerate().skip(offset as usize) {
            let Some(kind) = entry.file_type().ok().and_then(FileType::from_std) else { continue };
            let Ok(meta) = entry.metadata() else { continue };
            if reply.add(INodeNo(meta.ino()), i as u64 + 1, kind, entry.file_name()) {
                break;
            }
        }
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        done(self.state().allocate(ino, offset, length, mode), reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        // More than any test needs: a terabyte, all of it free.
        reply.statfs(1 << 28, 1 << 28, 1 << 28, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
