//! What one member holds of a range: it lists the objects with their attributes and, for a deep scrub, digests
//! their data and omap (Ceph: `PGBackend::be_scan_list`, `ReplicatedBackend::be_deep_scrub`).
//!
//! Data is read by outputs, a few objects at a time, so that a slow disk holds nothing up but the scan; omap a
//! batch a step. What cannot be read is marked in the map, and said once with the place where it is.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use denc::{ByteStr, Encoder};
use node::{Level, Token};
use os::{Coll, ReadError};
use types::{EVersion, GHObject, HObject, ScrubMap, ScrubObject, crc32c};

use crate::env::{Env, PgOutput};

/// So many objects are read at once.
const READS_MAX: usize = 4;
/// A read is at least so long: the store reads that much round the page cache, at a quarter of the CPU's time.
const READ_MIN: u64 = 1 << 20;
/// So many objects are listed at once.
const LIST_MAX: usize = 64;
/// So many objects a step are looked at.
const STEP_MAX: usize = 32;

#[derive(Debug)]
struct Reading {
    soid: HObject,
    off: u64,
    crc: u32,
}

#[derive(Debug)]
struct OmapWalk {
    soid: HObject,
    after: Option<ByteStr>,
    crc: u32,
}

#[derive(Debug)]
pub(crate) struct Scan {
    coll: Coll,
    pub end: HObject,
    pub deep: bool,
    /// Where listing goes on; `None` at the end.
    cursor: Option<GHObject>,
    listed: VecDeque<HObject>,
    reading: BTreeMap<Token, Reading>,
    omap: VecDeque<OmapWalk>,
    map: ScrubMap,
    /// Not all that is here could be listed: what the map lacks may be here all the same.
    failed: bool,
}

impl Scan {
    pub fn new(coll: Coll, start: &HObject, end: &HObject, deep: bool, at: EVersion) -> Self {
        Self {
            coll,
            end: end.clone(),
            deep,
            cursor: Some(GHObject::from(start.clone())),
            listed: VecDeque::new(),
            reading: BTreeMap::new(),
            omap: VecDeque::new(),
            map: ScrubMap { valid_through: at, ..ScrubMap::default() },
            failed: false,
        }
    }

    pub fn is_done(&self) -> bool {
        self.cursor.is_none() && self.listed.is_empty() && self.reading.is_empty() && self.omap.is_empty()
    }

    /// `None` if what is here cannot be listed.
    pub fn into_map(self) -> Option<ScrubMap> {
        (!self.failed).then_some(self.map)
    }

    /// Whether a step would do something without an input.
    pub fn is_runnable(&self) -> bool {
        let room = self.reading.len() < READS_MAX;
        !self.omap.is_empty() || room && (!self.listed.is_empty() || self.cursor.is_some())
    }

    pub fn step(&mut self, env: &mut Env) {
        if let Some(walk) = self.omap.pop_front() {
            self.walk_omap(env, walk);
        }
        for _ in 0..STEP_MAX {
            if self.reading.len() >= READS_MAX {
                return;
            }
            let Some(soid) = self.listed.pop_front() else {
                return self.list(env);
            };
            self.look_at(env, soid);
        }
    }

    fn list(&mut self, env: &mut Env) {
        let Some(cursor) = self.cursor.take() else { return };
        match env.store.list(self.coll, &cursor, LIST_MAX) {
            Ok((found, next)) => {
                let inside = found.into_iter().filter(|o| !o.is_pgmeta()).map(|o| o.hobj).filter(|o| *o < self.end);
                self.listed.extend(inside);
                self.cursor = next.filter(|n| n.hobj < self.end);
            }
            Err(e) => {
                self.failed = true;
                env.cluster_log(Level::Error, format!("{} scrub cannot list objects: {e}", self.coll));
            }
        }
    }

    fn look_at(&mut self, env: &mut Env, soid: HObject) {
        let oid = GHObject::from(soid.clone());
        let found = env.store.stat(self.coll, &oid).and_then(|stat| match stat {
            Some(stat) => Ok(env.store.attrs(self.coll, &oid)?.map(|attrs| (stat.size, attrs))),
            None => Ok(None),
        });
        match found {
            Ok(Some((size, attrs))) => {
                self.map.objects.insert(soid.clone(), ScrubObject { size, attrs, ..ScrubObject::default() });
                if self.deep {
                    self.read_on(env, Reading { soid, off: 0, crc: u32::MAX });
                }
            }
            // It was deleted meanwhile.
            Ok(None) => (),
            Err(e) => {
                say(env, self.coll, &soid, &e);
                self.map.objects.insert(soid, ScrubObject { stat_error: true, ..ScrubObject::default() });
            }
        }
    }

    fn read_on(&mut self, env: &mut Env, r: Reading) {
        let Some(size) = self.map.objects.get(&r.soid).map(|o| o.size) else { return };
        if r.off >= size {
            if let Some(o) = self.map.objects.get_mut(&r.soid) {
                (o.digest, o.digest_present) = (r.crc, true);
            }
            return self.omap.push_back(OmapWalk { soid: r.soid, after: None, crc: u32::MAX });
        }
        let token = env.tokens.next();
        let len = env.cfg.scrub.deep_stride.max(READ_MIN).min(size - r.off);
        let oid = r.soid.clone().into();
        env.out.push(PgOutput::Read { token, coll: self.coll, oid, off: r.off, len, fresh: true });
        self.reading.insert(token, r);
    }

    /// Whether the read was one of ours.
    pub fn read_done(&mut self, env: &mut Env, token: Token, result: &Result<Option<Bytes>, ReadError>) -> bool {
        let Some(mut r) = self.reading.remove(&token) else { return false };
        match result {
            Ok(Some(data)) if !data.is_empty() => {
                r.crc = crc32c(r.crc, data);
                r.off += data.len() as u64;
                self.read_on(env, r);
            }
            // Deleted or cut meanwhile: then the chunk is scrubbed again.
            Ok(_) => {
                self.map.objects.remove(&r.soid);
            }
            Err(e) => self.unreadable(env, &r.soid, e),
        }
        true
    }

    fn unreadable(&mut self, env: &mut Env, soid: &HObject, e: &ReadError) {
        say(env, self.coll, soid, e);
        if let Some(o) = self.map.objects.get_mut(soid) {
            o.read_error = true;
            o.digest_present = false;
        }
    }

    fn walk_omap(&mut self, env: &mut Env, mut walk: OmapWalk) {
        match self.omap_batch(env, &mut walk) {
            Ok(true) => self.omap.push_front(walk),
            Ok(false) => {
                let limits = (env.cfg.scrub.large_omap_keys, env.cfg.scrub.large_omap_bytes);
                let Some(o) = self.map.objects.get_mut(&walk.soid) else { return };
                (o.omap_digest, o.omap_digest_present) = (walk.crc, true);
                if o.object_omap_keys > limits.0 || o.object_omap_bytes > limits.1 {
                    o.large_omap_object_found = true;
                    o.large_omap_object_key_count = o.object_omap_keys;
                    o.large_omap_object_value_size = o.object_omap_bytes;
                }
            }
            Err(e) => self.unreadable(env, &walk.soid, &e),
        }
    }

    /// Digests some keys; whether there are more.
    fn omap_batch(&mut self, env: &Env, walk: &mut OmapWalk) -> Result<bool, ReadError> {
        let oid = GHObject::from(walk.soid.clone());
        if walk.after.is_none() {
            let header = env.store.omap_header(self.coll, &oid)?;
            walk.crc = crc32c(walk.crc, &header);
        }
        let after = walk.after.as_ref().map(|k| k.as_bytes());
        let (pairs, more) = env.store.omap_range(self.coll, &oid, after, env.cfg.scrub.deep_keys)?;
        let Some(o) = self.map.objects.get_mut(&walk.soid) else { return Ok(false) };
        for (key, value) in &pairs {
            let mut e = Encoder::new(0);
            e.put(key);
            e.put(value);
            walk.crc = crc32c(walk.crc, &e.finish());
            o.object_omap_keys += 1;
            o.object_omap_bytes += value.len() as u64;
        }
        walk.after = pairs.into_iter().next_back().map(|(k, _)| k);
        Ok(more && walk.after.is_some())
    }
}

fn say(env: &mut Env, coll: Coll, soid: &HObject, e: &ReadError) {
    let Coll::Pg(id) = coll else { return };
    let text = format!("{} shard {} soid {soid} : cannot be read: {e}", id.pgid, env.whoami);
    env.cluster_log(Level::Error, text);
}
