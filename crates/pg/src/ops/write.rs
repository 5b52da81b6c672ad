//! Ops that change an object's data, or make and delete it.

use bytes::{Bytes, BytesMut};
use os::TxOp;
use types::errno::{EEXIST, EFBIG, EINVAL, ENOENT};
use types::pool::flag;
use types::{SnapId, crc32c, object_flag, op, op_flag};

use super::exec::{Exec, Step, decoded, kib};
use crate::watch::Effect;

/// What an op's flags say about how its data will be used; goes on to the store.
const FADVISE: u32 = op_flag::FADVISE_RANDOM
    | op_flag::FADVISE_SEQUENTIAL
    | op_flag::FADVISE_WILLNEED
    | op_flag::FADVISE_DONTNEED
    | op_flag::FADVISE_NOCACHE;

/// How much of the object a write replaces.
#[derive(PartialEq, Eq)]
enum Extent {
    Part,
    All,
}

impl Exec<'_, '_> {
    /// Ceph: `check_offset_and_length`.
    fn check_range(&self, offset: u64, length: u64) -> Step {
        let max = self.env.cfg.max_object_size;
        let fits = offset < max && length <= max && offset + length <= max;
        if fits { Ok(()) } else { Err(EFBIG.into()) }
    }

    fn fadvise(&self, flags: u32) -> u32 {
        let pool = self.env.pool.has_flag(flag::WRITE_FADVISE_DONTNEED);
        flags & FADVISE | if pool { op_flag::FADVISE_DONTNEED } else { 0 }
    }

    pub fn write(&mut self, offset: u64, mut data: Bytes, truncate_size: u64, truncate_seq: u64, flags: u32) -> Step {
        let (seq, size) = (self.obs.oi.truncate_seq, self.obs.oi.size);
        if seq > truncate_seq && offset.saturating_add(data.len() as u64) > size {
            // A write from before a truncation, arriving after it.
            data.truncate(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX));
        }
        if truncate_seq > seq {
            self.truncate_ahead(truncate_size, truncate_seq);
        }
        let len = data.len() as u64;
        self.check_range(offset, len)?;
        self.create_object();
        self.modify = true;
        let size = self.obs.oi.size;
        self.digest_write(offset, &data);
        if len > 0 {
            let fadvise = self.fadvise(flags);
            self.push(TxOp::Write { coll: self.coll(), oid: self.goid.clone(), off: offset, data, fadvise });
        } else if offset > size {
            self.push(TxOp::Truncate { coll: self.coll(), oid: self.goid.clone(), size: offset });
            self.resize(offset);
        }
        self.account_write(offset, len, Extent::Part);
        self.clean.mark_data_region_dirty(offset, len);
        Ok(())
    }

    /// A write from after a truncation, arriving before it: truncates first.
    fn truncate_ahead(&mut self, truncate_size: u64, truncate_seq: u64) {
        if self.is_visible() {
            self.push(TxOp::Truncate { coll: self.coll(), oid: self.goid.clone(), size: truncate_size });
            let cut = self.obs.oi.size.saturating_sub(truncate_size);
            self.modified.insert(truncate_size, cut);
            self.clean.mark_data_region_dirty(truncate_size, cut);
            self.resize(truncate_size);
        }
        self.obs.oi.truncate_seq = truncate_seq;
        self.obs.oi.truncate_size = truncate_size;
    }

    /// Keeps the digest true where the write covers or extends the object, else forgets it.
    fn digest_write(&mut self, offset: u64, data: &Bytes) {
        let oi = &mut self.obs.oi;
        if offset == 0 && data.len() as u64 >= oi.size {
            oi.set_data_digest(crc32c(u32::MAX, data));
        } else if offset == oi.size && oi.test_flag(object_flag::DATA_DIGEST) {
            oi.set_data_digest(crc32c(oi.data_digest, data));
        } else {
            oi.clear_data_digest();
        }
    }

    pub fn write_full(&mut self, data: Bytes, flags: u32) -> Step {
        let len = data.len() as u64;
        self.check_range(0, len)?;
        self.create_object();
        let size = self.obs.oi.size;
        if len < size {
            self.push(TxOp::Truncate { coll: self.coll(), oid: self.goid.clone(), size: len });
        }
        self.obs.oi.set_data_digest(crc32c(u32::MAX, &data));
        if len > 0 {
            let fadvise = self.fadvise(flags);
            self.push(TxOp::Write { coll: self.coll(), oid: self.goid.clone(), off: 0, data, fadvise });
        }
        self.clean.mark_data_region_dirty(0, len.max(size));
        self.account_write(0, len, Extent::All);
        Ok(())
    }

    pub fn write_same(&mut self, offset: u64, length: u64, data_length: u64, input: &Bytes, flags: u32) -> Step {
        if length == 0 {
            return Ok(());
        }
        let fits = data_length == input.len() as u64 && data_length > 0 && length.is_multiple_of(data_length);
        if !fits {
            return Err(EINVAL.into());
        }
        // Before the data is multiplied.
        self.check_range(offset, length)?;
        let mut data = BytesMut::with_capacity(length as usize);
        (0..length / data_length).for_each(|_| data.extend_from_slice(input));
        self.write(offset, data.freeze(), 0, 0, flags)
    }

    /// `code` is the op's in the reply, which tells what was done.
    pub fn zero(&mut self, offset: u64, length: u64, code: &mut u16) -> Step {
        let (max, size) = (self.env.cfg.max_object_size, self.obs.oi.size);
        let in_bounds = offset < max && (1..=max).contains(&length);
        if self.obs.exists && in_bounds && offset + length >= size {
            // Zeros up to the end are a shorter object; it may not become none, for its attributes' sake.
            if offset >= size {
                return Ok(());
            }
            *code = op::TRUNCATE;
            return self.truncate(offset, 0, 0);
        }
        self.check_range(offset, length)?;
        if length == 0 {
            return Err(EINVAL.into());
        }
        if self.is_visible() {
            self.push(TxOp::Zero { coll: self.coll(), oid: self.goid.clone(), off: offset, len: length });
            self.modified.insert(offset, length);
            self.clean.mark_data_region_dirty(offset, length);
            self.stats.num_wr += 1;
            self.obs.oi.clear_data_digest();
        }
        Ok(())
    }

    /// Truncating what is not there succeeds and makes nothing.
    pub fn truncate(&mut self, size: u64, truncate_size: u64, truncate_seq: u32) -> Step {
        if !self.is_visible() {
            return Ok(());
        }
        self.check_range(size, 0)?;
        if truncate_seq != 0 {
            if u64::from(truncate_seq) <= self.obs.oi.truncate_seq {
                return Ok(());
            }
            self.obs.oi.truncate_seq = truncate_seq.into();
            self.obs.oi.truncate_size = truncate_size;
        }
        self.create_object();
        self.push(TxOp::Truncate { coll: self.coll(), oid: self.goid.clone(), size });
        let old = self.obs.oi.size;
        if old > size {
            self.modified.insert(size, old - size);
        }
        self.clean.mark_data_region_dirty(old.min(size), old.abs_diff(size));
        self.resize(size);
        self.stats.num_wr += 1;
        self.obs.oi.clear_data_digest();
        Ok(())
    }

    pub fn create(&mut self, exclusive: bool, input: &Bytes) -> Step {
        if exclusive && self.is_visible() {
            return Err(EEXIST.into());
        }
        if !input.is_empty() {
            // A category once; no longer kept.
            decoded::<denc::ByteStr>(input)?;
        }
        self.create_object();
        self.modify = true;
        Ok(())
    }

    pub fn set_alloc_hint(&mut self, object_size: u64, write_size: u64, flags: u32) {
        self.create_object();
        self.modify = true;
        let oi = &mut self.obs.oi;
        let same = (oi.expected_object_size, oi.expected_write_size, oi.alloc_hint_flags);
        if same == (object_size, write_size, flags) {
            return;
        }
        (oi.expected_object_size, oi.expected_write_size, oi.alloc_hint_flags) = (object_size, write_size, flags);
        self.push(TxOp::SetAllocHint { coll: self.coll(), oid: self.goid.clone(), object_size, write_size, flags });
    }

    /// Deletes the object; one that has, or gets, clones stays as a whiteout, to remember them.
    pub fn delete(&mut self) -> Step {
        let newest: Option<&SnapId> = self.snapc.snaps.first();
        let will_clone = newest.is_some_and(|s| *s > self.snapset.seq);
        let whiteout = !self.snapset.clones.is_empty() || will_clone;
        if !self.obs.exists || self.obs.oi.is_whiteout() && whiteout {
            return Err(ENOENT.into());
        }
        self.push(TxOp::Remove { coll: self.coll(), oid: self.goid.clone() });
        let size = self.obs.oi.size;
        self.modified.insert(0, size);
        self.clean.mark_data_region_dirty(0, size);
        self.clean.mark_omap_dirty();
        self.stats.num_wr += 1;
        self.resize(0);
        let oi = &mut self.obs.oi;
        oi.clear_data_digest();
        oi.clear_omap_digest();
        oi.clear_flag(object_flag::OMAP);
        let gone = std::mem::take(&mut oi.watchers).into_keys();
        self.effects.extend(gone.map(|watch| Effect::Disconnect { watch, tell: true }));
        if whiteout {
            oi.set_flag(object_flag::WHITEOUT);
            self.stats.num_whiteouts += 1;
            return Ok(());
        }
        self.stats.num_objects -= 1;
        if oi.is_whiteout() {
            oi.clear_flag(object_flag::WHITEOUT);
            self.stats.num_whiteouts -= 1;
        }
        self.obs.exists = false;
        Ok(())
    }

    /// Ceph: `truncate_update_size_and_usage`.
    pub fn resize(&mut self, size: u64) {
        self.stats.num_bytes += size.cast_signed() - self.obs.oi.size.cast_signed();
        self.obs.oi.size = size;
    }

    /// Ceph: `write_update_size_and_usage`.
    fn account_write(&mut self, offset: u64, length: u64, extent: Extent) {
        let size = self.obs.oi.size;
        match extent {
            Extent::All => self.modified.insert(0, size),
            Extent::Part => self.modified.insert(offset, length),
        }
        if extent == Extent::All || length > 0 && offset + length > size {
            self.resize(offset + length);
        }
        self.stats.num_wr += 1;
        self.stats.num_wr_kb += kib(length);
    }
}
