//! Ops that read an object's data.
//!
//! Small pieces are read at once. Larger ones are noted and read by the driver, so that a slow disk
//! holds up nobody else; then the vector runs again with the data at hand.

use bytes::Bytes;
use denc::Encoder;
use messages::OpResult;
use types::crc32c;
use types::errno::{EINVAL, MAX_ERRNO};
use types::osd_op::{OpArgs, checksum_type};

use super::digest::{xxh32, xxh64};
use super::exec::{Exec, Step, Stop, kib};
use super::{Blocked, ReadRange};

/// The longest read that is made while other ops of the shard wait.
const SYNC_READ_MAX: u64 = 64 << 10;

impl Exec<'_, '_> {
    /// The object's bytes in a range that is known to be inside it; `None` if they are to be read first.
    fn bytes(&mut self, off: u64, len: u64) -> Step<Option<Bytes>> {
        if len == 0 {
            return Ok(Some(Bytes::new()));
        }
        if len > SYNC_READ_MAX {
            let here = |(r, _): &&(ReadRange, Bytes)| r.off == off && r.len == len && r.soid == self.goid.hobj;
            if let Some((_, data)) = self.env.prefetched.iter().find(here) {
                return Ok(Some(data.clone()));
            }
            self.wanted.push(ReadRange { soid: self.goid.hobj.clone(), off, len });
            return Ok(None);
        }
        let data = self.env.store.read(self.coll(), &self.goid, off, len).map_err(|e| self.damaged(e))?;
        Ok(Some(data.unwrap_or_default()))
    }

    /// As [`Self::bytes`], for an op that cannot go on without.
    pub fn bytes_now(&mut self, off: u64, len: u64) -> Step<Bytes> {
        match self.bytes(off, len)? {
            Some(data) => Ok(data),
            None => Err(Stop::Blocked(Blocked::Read(std::mem::take(&mut self.wanted)))),
        }
    }

    /// `READ`: the data, and the arguments as the reply has them. A length of 0 is all (Ceph: `do_read`).
    /// Unlike Ceph, the object's data digest is not checked: the store checks each block it reads, and
    /// scrub compares the digests.
    pub fn read_op(
        &mut self,
        offset: u64,
        length: u64,
        truncate_size: u64,
        truncate_seq: u32,
    ) -> Step<(Bytes, OpArgs)> {
        let mut size = self.obs.oi.size;
        let reaches = offset.saturating_add(length) > truncate_size;
        if self.obs.oi.truncate_seq < u64::from(truncate_seq) && reaches && size > truncate_size {
            size = truncate_size;
        }
        let wanted = if length == 0 { size } else { length };
        let len = wanted.min(size.saturating_sub(offset));
        let data = self.bytes(offset, len)?.unwrap_or_default();
        self.stats.num_rd += 1;
        self.stats.num_rd_kb += kib(len);
        let length = data.len() as u64;
        Ok((data, OpArgs::Extent { offset, length, truncate_size, truncate_seq }))
    }

    fn extents(&mut self, offset: u64, length: u64) -> Step<Vec<(u64, u64)>> {
        let size = self.before.oi.size;
        let len = length.min(size.saturating_sub(offset));
        if !self.before.exists || len == 0 {
            return Ok(Vec::new());
        }
        self.env.store.extents(self.coll(), &self.goid, offset, len).map_err(|e| self.damaged(e))
    }

    /// `MAPEXT`: where data is.
    pub fn map_extents(&mut self, offset: u64, length: u64) -> Step<Bytes> {
        let extents = self.extents(offset, length)?;
        let bytes = denc::to_bytes(&extents, 0);
        self.stats.num_rd += 1;
        self.stats.num_rd_kb += kib(bytes.len() as u64);
        Ok(bytes)
    }

    /// `SPARSE_READ`: where data is, and all of it in one piece.
    pub fn sparse_read(&mut self, offset: u64, length: u64, truncate_seq: u32, out: &mut OpResult) -> Step<i32> {
        if truncate_seq != 0 {
            return Err(EINVAL.into());
        }
        let extents = self.extents(offset, length)?;
        let mut pieces = Vec::with_capacity(extents.len());
        for (off, len) in &extents {
            pieces.push(self.bytes(*off, *len)?.unwrap_or_default());
        }
        let total: usize = pieces.iter().map(Bytes::len).sum();
        let mut e = Encoder::with_capacity(0, total + 8 + 16 * extents.len());
        e.put(&extents);
        e.u32(total as u32);
        pieces.iter().for_each(|p| e.raw(p));
        out.outdata = e.finish();
        if let OpArgs::Extent { length, .. } = &mut out.op.args {
            *length = total as u64;
        }
        self.stats.num_rd += 1;
        self.stats.num_rd_kb += kib(total as u64);
        Ok(0)
    }

    /// `CMPEXT`: what lies past the object's end compares as zeros. The errno tells the first difference.
    pub fn compare_extent(
        &mut self,
        offset: u64,
        length: u64,
        truncate_size: u64,
        truncate_seq: u32,
        input: &Bytes,
        out: &mut OpResult,
    ) -> Step {
        let mut size = self.obs.oi.size;
        if self.obs.oi.truncate_seq < u64::from(truncate_seq) && offset.saturating_add(length) > truncate_size {
            size = truncate_size;
        }
        let len = length.min(size.saturating_sub(offset));
        out.op.args = OpArgs::Extent { offset, length: len, truncate_size, truncate_seq };
        let data = match len == 0 || !self.before.exists || self.before.oi.is_whiteout() {
            true => Bytes::new(),
            false => self.read_now(offset, len)?,
        };
        let stored = data.iter().chain(std::iter::repeat(&0));
        match input.iter().zip(stored).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => Err(Stop::Errno(MAX_ERRNO.saturating_add(i32::try_from(at).unwrap_or(i32::MAX)))),
        }
    }

    /// A counted read that an op or a class needs at once.
    pub fn read_now(&mut self, offset: u64, length: u64) -> Step<Bytes> {
        let size = self.obs.oi.size;
        let wanted = if length == 0 { size } else { length };
        let data = self.bytes_now(offset, wanted.min(size.saturating_sub(offset)))?;
        self.stats.num_rd += 1;
        self.stats.num_rd_kb += kib(data.len() as u64);
        Ok(data)
    }

    /// `CHECKSUM`: a count and that many sums, one a chunk; the input is the value to start each with.
    pub fn checksum(
        &mut self,
        offset: u64,
        length: u64,
        chunk: u32,
        kind: u8,
        input: &Bytes,
        out: &mut OpResult,
    ) -> Step {
        let aligned = |len: u64| chunk == 0 || len.is_multiple_of(chunk.into());
        if chunk > 0 && length == 0 || !aligned(length) {
            return Err(EINVAL.into());
        }
        let size = self.obs.oi.size;
        let len = match (offset, length) {
            (0, 0) => size,
            _ if offset >= size => return Ok(()),
            _ => length.min(size - offset),
        };
        out.op.args = OpArgs::Checksum { offset, length: len, chunk_size: chunk, kind };
        if !aligned(len) {
            return Err(EINVAL.into());
        }
        let init_size = match kind {
            checksum_type::XXHASH32 | checksum_type::CRC32C => 4,
            checksum_type::XXHASH64 => 8,
            _ => return Err(EINVAL.into()),
        };
        let init = input.get(..init_size).ok_or(EINVAL)?;
        let init = init.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        let data = if len == 0 { Bytes::new() } else { self.read_now(offset, len)? };
        if data.len() as u64 != len {
            return Err(EINVAL.into());
        }
        let chunk = if chunk == 0 { data.len() } else { chunk as usize };
        let count = data.len().checked_div(chunk).unwrap_or(0);
        let mut e = Encoder::with_capacity(0, 4 + 8 * count);
        e.u32(count as u32);
        for piece in data.chunks(chunk.max(1)) {
            match kind {
                checksum_type::XXHASH32 => e.u32(xxh32(init as u32, piece)),
                checksum_type::XXHASH64 => e.u64(xxh64(init, piece)),
                _ => e.u32(crc32c(init as u32, piece)),
            }
        }
        out.outdata = e.finish();
        Ok(())
    }
}
