//! What the last scrub found, for clients who ask (`SCRUBLS`; Ceph: `Scrub::Store`). As in Ceph it is forgotten
//! when the interval ends.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use denc::to_bytes;
use types::errno::{EAGAIN, EINVAL, ENOENT};
use types::{
    Epoch, HObject, InconsistentObject, InconsistentSnapset, SNAP_HEAD, ScrubLsArg, ScrubLsResult, ScrubObjectId,
};

use crate::snap_map::push_escaped;

/// Findings beyond so many are counted and said, but not kept.
const KEPT_MAX: usize = 10_000;

/// In Ceph's order: by snapshot as text, then name, locator and namespace as it writes them in keys.
type Key = (String, Vec<u8>);

#[derive(Debug, Default)]
pub struct Results {
    objects: BTreeMap<Key, Bytes>,
    snapsets: BTreeMap<Key, Bytes>,
}

fn key(id: &ScrubObjectId) -> Key {
    let snap = if id.snap == SNAP_HEAD { "head".to_owned() } else { format!("{:x}", id.snap) };
    let mut key = Vec::new();
    for part in [&id.name, &id.locator, &id.nspace] {
        key.push(b'.');
        push_escaped(&mut key, part);
    }
    (snap, key)
}

impl Results {
    pub fn add_object(&mut self, found: &InconsistentObject) {
        if self.objects.len() < KEPT_MAX {
            self.objects.insert(key(&found.object), to_bytes(found, types::features::ALL));
        }
    }

    pub fn add_snapset(&mut self, found: &InconsistentSnapset) {
        if self.snapsets.len() < KEPT_MAX {
            self.snapsets.insert(key(&found.object), to_bytes(found, types::features::ALL));
        }
    }

    /// The object is sound again.
    pub fn mended(&mut self, soid: &HObject) {
        let key = key(&soid.into());
        self.objects.remove(&key);
        self.snapsets.remove(&key);
    }

    pub fn objects(&self) -> impl Iterator<Item = InconsistentObject> {
        self.objects.values().filter_map(|raw| denc::from_bytes(raw.clone()).ok())
    }

    pub fn snapsets(&self) -> impl Iterator<Item = InconsistentSnapset> {
        self.snapsets.values().filter_map(|raw| denc::from_bytes(raw.clone()).ok())
    }
}

/// Answers `SCRUBLS`; `None`: nothing was scrubbed in this interval. The errno goes with the answer.
pub fn list(results: Option<&Results>, interval: Epoch, indata: Bytes) -> (i32, Bytes) {
    let Ok(arg) = denc::Decoder::new(indata).get::<ScrubLsArg>() else { return (-EINVAL, Bytes::new()) };
    let mut answer = ScrubLsResult { interval, vals: Vec::new() };
    let result = match results {
        _ if arg.interval != 0 && arg.interval != interval => -EAGAIN,
        None => -ENOENT,
        Some(results) => {
            let all = if arg.snapsets { &results.snapsets } else { &results.objects };
            let start = match arg.start_after.name.is_empty() {
                true => Bound::Unbounded,
                false => Bound::Excluded(key(&arg.start_after)),
            };
            let after = all.range((start, Bound::Unbounded));
            let max = usize::try_from(arg.max).unwrap_or(usize::MAX);
            answer.vals = after.take(max).map(|(_, v)| v.clone()).collect();
            0
        }
    };
    (result, to_bytes(&answer, types::features::ALL))
}
