//! Ops on an object's map of keys and values. Reads see it as it was before the vector.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::{ByteStr, Encoder};
use os::TxOp;
use types::errno::{EINVAL, ENOENT, EOPNOTSUPP};
use types::object_flag;
use types::osd_op::cmpxattr;

use super::exec::{Exec, Step, canceled, decoded, kib};

/// Pairs fetched from the store at a time.
const BATCH: usize = 1024;

impl Exec<'_, '_> {
    /// Whether there is anything to read.
    fn has_omap(&self) -> bool {
        self.obs.oi.is_omap() && self.before.exists
    }

    /// Shows pairs in order to `take`, those with keys after `after` that start with `prefix`, until it
    /// returns false. Whether it did, that is, whether more would have followed.
    pub fn scan(&mut self, after: &[u8], prefix: &[u8], mut take: impl FnMut(&ByteStr, &Bytes) -> bool) -> Step<bool> {
        if !self.has_omap() {
            return Ok(false);
        }
        let (coll, store) = (self.coll(), self.env.store);
        let mut from = ByteStr::from(after);
        if prefix > after {
            // The prefix itself may be a key.
            let key = ByteStr::from(prefix);
            let exact = store.omap_values(coll, &self.goid, std::slice::from_ref(&key));
            if let Some(value) = exact.map_err(|e| self.damaged(e))?.get(&key)
                && !take(&key, value)
            {
                return Ok(true);
            }
            from = key;
        }
        loop {
            let batch = store.omap_range(coll, &self.goid, Some(from.as_bytes()), BATCH);
            let (pairs, more) = batch.map_err(|e| self.damaged(e))?;
            for (key, value) in &pairs {
                if !key.as_bytes().starts_with(prefix) {
                    return Ok(false);
                }
                if !take(key, value) {
                    return Ok(true);
                }
            }
            match pairs.last() {
                Some((last, _)) if more => from = last.clone(),
                _ => return Ok(false),
            }
        }
    }

    /// Scans within the limits of one request: a count, what `put` writes of each pair, and whether more
    /// follow.
    fn scan_limited(
        &mut self,
        after: &[u8],
        prefix: &[u8],
        max: u64,
        put: impl Fn(&mut Encoder, &ByteStr, &Bytes),
    ) -> Step<Bytes> {
        let max = max.min(self.env.cfg.max_omap_entries_per_request);
        let max_bytes = self.env.cfg.max_omap_bytes_per_request;
        let mut e = Encoder::new(0);
        let count_at = e.reserve_u32();
        let mut count = 0_u32;
        let truncated = self.scan(after, prefix, |key, value| {
            let room = u64::from(count) < max && (e.len() - 4) < max_bytes as usize;
            if room {
                count += 1;
                put(&mut e, key, value);
            }
            room
        })?;
        e.fill_u32(count_at, count);
        e.bool(truncated);
        let bytes = e.finish();
        self.account_read(&bytes);
        Ok(bytes)
    }

    fn account_read(&mut self, bytes: &Bytes) {
        self.stats.num_rd += 1;
        self.stats.num_rd_kb += kib(bytes.len() as u64);
    }

    pub fn omap_keys_op(&mut self, input: &Bytes) -> Step<Bytes> {
        let (after, max): (ByteStr, u64) = decoded(input)?;
        self.scan_limited(after.as_bytes(), b"", max, |e, key, _| e.put(key))
    }

    pub fn omap_values_op(&mut self, input: &Bytes) -> Step<Bytes> {
        let (after, (max, prefix)): (ByteStr, (u64, ByteStr)) = decoded(input)?;
        self.scan_limited(after.as_bytes(), prefix.as_bytes(), max, |e, key, value| {
            e.put(key);
            e.put(value);
        })
    }

    /// Pairs for a class: at most `max`, and whether more follow.
    pub fn omap_pairs(&mut self, after: &[u8], prefix: &[u8], max: u64) -> Step<(Vec<(ByteStr, Bytes)>, bool)> {
        let mut pairs = Vec::new();
        let more = self.scan(after, prefix, |key, value| {
            let room = (pairs.len() as u64) < max;
            if room {
                pairs.push((key.clone(), value.clone()));
            }
            room
        })?;
        Ok((pairs, more))
    }

    pub fn omap_header(&mut self) -> Step<Bytes> {
        if !self.has_omap() {
            return Ok(Bytes::new());
        }
        let header = self.env.store.omap_header(self.coll(), &self.goid).map_err(|e| self.damaged(e))?;
        self.account_read(&header);
        Ok(header)
    }

    /// Those of the keys that exist.
    pub fn omap_values(&mut self, keys: &[ByteStr]) -> Step<BTreeMap<ByteStr, Bytes>> {
        if !self.has_omap() {
            return Ok(BTreeMap::new());
        }
        self.env.store.omap_values(self.coll(), &self.goid, keys).map_err(|e| self.damaged(e))
    }

    pub fn omap_values_by_keys_op(&mut self, input: &Bytes) -> Step<Bytes> {
        let keys: BTreeSet<ByteStr> = decoded(input)?;
        let keys: Vec<ByteStr> = keys.into_iter().collect();
        let bytes = denc::to_bytes(&self.omap_values(&keys)?, 0);
        self.account_read(&bytes);
        Ok(bytes)
    }

    /// `OMAP_CMP`: each stored value must stand to the client's as asked; a missing one is empty.
    pub fn omap_compare(&mut self, input: &Bytes) -> Step {
        if !self.is_visible() {
            return Err(ENOENT.into());
        }
        let assertions: BTreeMap<ByteStr, (Bytes, i32)> = decoded(input)?;
        let keys: Vec<ByteStr> = assertions.keys().cloned().collect();
        let stored = self.omap_values(&keys)?;
        self.stats.num_rd += 1;
        for (key, (value, cmp_op)) in &assertions {
            let order = stored.get(key).map_or(&[][..], |v| &v[..]).cmp(&value[..]);
            let holds = match u8::try_from(*cmp_op) {
                Ok(cmpxattr::EQ) => order.is_eq(),
                Ok(cmpxattr::LT) => order.is_lt(),
                Ok(cmpxattr::GT) => order.is_gt(),
                _ => return Err(EINVAL.into()),
            };
            if !holds {
                return canceled();
            }
        }
        Ok(())
    }

    fn supports_omap(&self) -> Step {
        if self.env.pool.supports_omap() { Ok(()) } else { Err(EOPNOTSUPP.into()) }
    }

    /// What every change of the map does to the object's info.
    fn omap_changed(&mut self, written: usize) {
        self.clean.mark_omap_dirty();
        self.stats.num_wr += 1;
        self.stats.num_wr_kb += kib(written as u64);
        self.obs.oi.clear_omap_digest();
    }

    pub fn omap_set(&mut self, keys: BTreeMap<ByteStr, Bytes>, encoded_len: usize) -> Step {
        self.supports_omap()?;
        self.create_object();
        self.push(TxOp::OmapSet { coll: self.coll(), oid: self.goid.clone(), keys });
        self.obs.oi.set_flag(object_flag::OMAP);
        self.omap_changed(encoded_len);
        Ok(())
    }

    pub fn omap_set_header(&mut self, header: Bytes) -> Step {
        self.supports_omap()?;
        self.create_object();
        self.push(TxOp::OmapSetHeader { coll: self.coll(), oid: self.goid.clone(), header });
        self.obs.oi.set_flag(object_flag::OMAP);
        self.omap_changed(0);
        Ok(())
    }

    pub fn omap_clear(&mut self) -> Step {
        self.supports_omap()?;
        if !self.is_visible() {
            return Err(ENOENT.into());
        }
        if self.obs.oi.is_omap() {
            self.push(TxOp::OmapClear { coll: self.coll(), oid: self.goid.clone() });
            self.omap_changed(0);
            self.obs.oi.clear_flag(object_flag::OMAP);
        }
        Ok(())
    }

    pub fn omap_rm_op(&mut self, input: &Bytes) -> Step {
        if self.is_visible() {
            let keys: BTreeSet<ByteStr> = decoded(input)?;
            return self.omap_rm(keys.into_iter().collect());
        }
        self.omap_rm(Vec::new())
    }

    pub fn omap_rm(&mut self, keys: Vec<ByteStr>) -> Step {
        self.supports_omap()?;
        if !self.is_visible() {
            return Err(ENOENT.into());
        }
        self.push(TxOp::OmapRm { coll: self.coll(), oid: self.goid.clone(), keys });
        self.omap_changed(0);
        Ok(())
    }

    pub fn omap_rm_range_op(&mut self, input: &Bytes) -> Step {
        self.supports_omap()?;
        if !self.is_visible() {
            return Err(ENOENT.into());
        }
        let (first, last): (ByteStr, ByteStr) = decoded(input)?;
        self.push(TxOp::OmapRmRange { coll: self.coll(), oid: self.goid.clone(), first, last });
        // Unlike Ceph 16, which forgets to, so that recovery copies the map.
        self.omap_changed(0);
        Ok(())
    }
}
