//! What object classes see of the op vector that calls them.
//!
//! A method that has to wait (for data to be read, for a disk) fails inside with EAGAIN; the reason is
//! kept and becomes the vector's, whatever the method made of the error.

use std::collections::BTreeMap;

use bytes::Bytes;
use cls::{ClsContext, Errno, Flags};
use denc::{ByteStr, Encoder};
use types::errno::{EAGAIN, EIO, ENOENT};
use types::{EntityInst, UTime};

use super::access::Call;
use super::exec::{Exec, Step, Stop};

struct Caller<'x, 'a, 'e> {
    exec: &'x mut Exec<'a, 'e>,
    flags: Flags,
    blocked: Option<Stop>,
}

/// Runs a method; what it writes into `out` goes to the client.
pub(super) fn run(exec: &mut Exec, call: Call, out: &mut Encoder) -> Step<i32> {
    let mut caller = Caller { exec, flags: call.method.flags, blocked: None };
    let result = (call.method.call)(&mut caller, call.input, out);
    match caller.blocked {
        Some(stop) => Err(stop),
        None => result.map_err(Stop::from),
    }
}

impl<'a, 'e> Caller<'_, 'a, 'e> {
    fn reader(&mut self) -> cls::Result<&mut Exec<'a, 'e>> {
        if self.flags.reads() { Ok(self.exec) } else { Err(EIO) }
    }

    fn writer(&mut self) -> cls::Result<&mut Exec<'a, 'e>> {
        if self.flags.writes() { Ok(self.exec) } else { Err(EIO) }
    }

    fn outcome<T>(&mut self, step: Step<T>) -> cls::Result<T> {
        step.map_err(|stop| match stop {
            Stop::Errno(errno) => errno,
            blocked => {
                self.blocked = Some(blocked);
                EAGAIN
            }
        })
    }

    fn read_step<T>(&mut self, f: impl FnOnce(&mut Exec) -> Step<T>) -> cls::Result<T> {
        let step = f(self.reader()?);
        self.outcome(step)
    }

    fn write_step<T>(&mut self, f: impl FnOnce(&mut Exec) -> Step<T>) -> cls::Result<T> {
        let step = f(self.writer()?);
        self.outcome(step)
    }
}

impl ClsContext for Caller<'_, '_, '_> {
    fn now(&self) -> UTime {
        self.exec.env.now.wall
    }

    fn origin(&self) -> EntityInst {
        EntityInst { name: self.exec.env.reqid.name, addrs: self.exec.env.peer.addrs.clone() }
    }

    fn features(&self) -> u64 {
        self.exec.env.peer.features
    }

    fn unique(&self) -> [u8; 18] {
        let env = &self.exec.env;
        let mut out = [0; 18];
        out[..8].copy_from_slice(&super::digest::xxh64(env.reqid.tid, &env.reqid.name.num.to_le_bytes()).to_le_bytes());
        out[8..14].copy_from_slice(&env.next_version.version.to_le_bytes()[..6]);
        out[14..].copy_from_slice(&(env.next_version.epoch ^ env.pgid.pgid.seed.rotate_left(16)).to_le_bytes());
        out
    }

    // As in Ceph, to stat needs no leave to read.
    fn stat(&mut self) -> Result<(u64, UTime), Errno> {
        self.exec.stats.num_rd += 1;
        let oi = &self.exec.obs.oi;
        if self.exec.is_visible() { Ok((oi.size, oi.mtime)) } else { Err(ENOENT) }
    }

    fn read(&mut self, off: u64, len: u64) -> Result<Bytes, Errno> {
        self.read_step(|x| x.read_now(off, len))
    }

    fn xattr(&mut self, name: &[u8]) -> Result<Bytes, Errno> {
        self.read_step(|x| x.xattr(name))
    }

    fn xattrs(&mut self) -> Result<BTreeMap<ByteStr, Bytes>, Errno> {
        self.read_step(|x| x.xattrs())
    }

    fn omap_value(&mut self, key: &[u8]) -> Result<Bytes, Errno> {
        let key = ByteStr::from(key);
        self.read_step(|x| x.omap_values(std::slice::from_ref(&key)))?.remove(&key).ok_or(ENOENT)
    }

    fn omap_values(&mut self, after: &[u8], prefix: &[u8], max: u64) -> Result<(Vec<(ByteStr, Bytes)>, bool), Errno> {
        self.read_step(|x| x.omap_pairs(after, prefix, max))
    }

    fn omap_header(&mut self) -> Result<Bytes, Errno> {
        self.read_step(|x| x.omap_header())
    }

    fn create(&mut self, exclusive: bool) -> Result<(), Errno> {
        self.write_step(|x| x.create(exclusive, &Bytes::new()))
    }

    fn remove(&mut self) -> Result<(), Errno> {
        self.write_step(|x| x.delete())
    }

    fn write(&mut self, off: u64, data: Bytes) -> Result<(), Errno> {
        self.write_step(|x| x.write(off, data, 0, 0, 0))
    }

    fn write_full(&mut self, data: Bytes) -> Result<(), Errno> {
        self.write_step(|x| x.write_full(data, 0))
    }

    fn truncate(&mut self, size: u64) -> Result<(), Errno> {
        self.write_step(|x| x.truncate(size, 0, 0))
    }

    fn set_xattr(&mut self, name: &[u8], value: Bytes) -> Result<(), Errno> {
        self.write_step(|x| {
            x.set_xattr(name, value);
            Ok(())
        })
    }

    fn rm_xattr(&mut self, name: &[u8]) -> Result<(), Errno> {
        self.write_step(|x| x.rm_xattr(name))
    }

    fn omap_set(&mut self, pairs: BTreeMap<ByteStr, Bytes>) -> Result<(), Errno> {
        let bytes = pairs.iter().map(|(k, v)| k.len() + v.len() + 8).sum();
        self.write_step(|x| x.omap_set(pairs, bytes))
    }

    fn omap_rm(&mut self, keys: Vec<ByteStr>) -> Result<(), Errno> {
        self.write_step(|x| x.omap_rm(keys))
    }

    fn omap_clear(&mut self) -> Result<(), Errno> {
        self.write_step(|x| x.omap_clear())
    }

    fn omap_set_header(&mut self, header: Bytes) -> Result<(), Errno> {
        self.write_step(|x| x.omap_set_header(header))
    }
}
