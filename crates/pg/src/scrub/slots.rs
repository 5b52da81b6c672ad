//! How many PGs of an OSD may be scrubbed at once (`osd_max_scrubs`), as primary or for another.
//!
//! Only routine scrubs take slots. One that was asked for takes none: it must not wait for them.

use std::collections::{BTreeMap, BTreeSet};

use types::SpgId;

/// The slots of one OSD, and what it has mended.
#[derive(Debug, Default)]
pub struct ScrubSlots {
    max: usize,
    local: BTreeSet<SpgId>,
    remote: BTreeSet<SpgId>,
    /// Objects whose copy on this OSD was found bad and written anew since it started, by PG.
    pub mended: BTreeMap<SpgId, u64>,
}

impl ScrubSlots {
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    fn has_room(&self) -> bool {
        self.local.len() + self.remote.len() < self.max
    }

    pub(crate) fn take_local(&mut self, id: SpgId) -> bool {
        self.local.contains(&id) || self.has_room() && self.local.insert(id)
    }

    /// For a scrub that another OSD leads.
    pub(crate) fn take_remote(&mut self, id: SpgId) -> bool {
        self.remote.contains(&id) || self.has_room() && self.remote.insert(id)
    }

    pub(crate) fn release_local(&mut self, id: SpgId) {
        self.local.remove(&id);
    }

    pub(crate) fn release_remote(&mut self, id: SpgId) {
        self.remote.remove(&id);
    }

    /// The PG is not here any more.
    pub fn forget(&mut self, id: SpgId) {
        self.local.remove(&id);
        self.remote.remove(&id);
    }

    /// A bad copy of the PG's on this OSD was written anew.
    pub(crate) fn note_mended(&mut self, id: SpgId) {
        *self.mended.entry(id).or_default() += 1;
    }

    /// How many copies on this OSD were mended since it started.
    pub fn mended_total(&self) -> u64 {
        self.mended.values().sum()
    }
}
