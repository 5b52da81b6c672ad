//! Which objects a copy of the PG lacks, and who has them.
//!
//! An object is *missing* on a copy when that copy's log says a version that its store does not hold.
//! It is *unfound* when no copy that we know of holds the version we need.

use std::collections::{BTreeMap, BTreeSet};

use types::{EVersion, HObject, LogEntry, MissingItem, OsdId, PgInfo, PgMissing};

/// The missing set of one copy, and what of it the store does not know yet. Deletes that were not
/// carried out are in it as well (`may_include_deletes`, which all clusters since luminous have).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Missing {
    set: PgMissing,
    changed: BTreeSet<HObject>,
}

impl From<PgMissing> for Missing {
    fn from(set: PgMissing) -> Self {
        Self { set, changed: BTreeSet::new() }
    }
}

impl Missing {
    /// As it was stored.
    pub fn from_items(items: BTreeMap<HObject, MissingItem>) -> Self {
        Self::from(items.into_iter().collect::<PgMissing>())
    }

    /// As it is sent.
    pub fn to_wire(&self) -> PgMissing {
        let mut set = self.set.clone();
        set.may_include_deletes = true;
        set
    }

    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    pub fn len(&self) -> usize {
        self.set.len()
    }

    pub fn get(&self, soid: &HObject) -> Option<&MissingItem> {
        self.set.get(soid)
    }

    pub fn contains(&self, soid: &HObject) -> bool {
        self.set.is_missing(soid)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HObject, &MissingItem)> {
        self.set.items().iter()
    }

    /// The first missing object that is not before `from`.
    pub fn first_from(&self, from: &HObject) -> Option<&HObject> {
        self.set.items().range(from..).next().map(|(o, _)| o)
    }

    /// Missing objects in the order of the versions that are needed.
    pub fn by_version(&self) -> impl Iterator<Item = &HObject> {
        self.set.by_version().values()
    }

    /// The version of the oldest write that is missing.
    pub fn oldest_need(&self) -> Option<EVersion> {
        self.set.oldest_need()
    }

    /// Notes a log entry whose change this copy's store does not have.
    pub fn add_next_event(&mut self, e: &LogEntry) {
        self.changed.insert(e.soid.clone());
        self.set.add_next_event(e);
    }

    pub fn add(&mut self, soid: &HObject, need: EVersion, have: EVersion, is_delete: bool) {
        self.changed.insert(soid.clone());
        self.set.add(soid, need, have, is_delete);
    }

    /// Changes which version is needed; what is held stays.
    pub fn revise_need(&mut self, soid: &HObject, need: EVersion, is_delete: bool) {
        self.changed.insert(soid.clone());
        self.set.revise_need(soid, need, is_delete);
    }

    pub fn revise_have(&mut self, soid: &HObject, have: EVersion) {
        if self.contains(soid) {
            self.changed.insert(soid.clone());
            self.set.revise_have(soid, have);
        }
    }

    /// The copy lacks it no longer.
    pub fn remove(&mut self, soid: &HObject) {
        if self.contains(soid) {
            self.changed.insert(soid.clone());
            self.set.remove(soid);
        }
    }

    /// What it says of one object alone.
    pub fn only(&self, soid: &HObject) -> Self {
        Self::from_items(self.get(soid).map(|item| (soid.clone(), item.clone())).into_iter().collect())
    }

    /// Nothing is missing: all that was known of it is void.
    pub fn clear(&mut self) {
        self.changed.extend(self.set.items().keys().cloned());
        self.set = PgMissing::default();
    }

    /// Gives some objects away, to the PG that splits off.
    pub fn split_off(&mut self, belongs: impl Fn(&HObject) -> bool) -> Self {
        let theirs: Vec<_> = self.iter().filter(|(o, _)| belongs(o)).map(|(o, i)| (o.clone(), i.clone())).collect();
        theirs.iter().for_each(|(o, _)| self.remove(o));
        let changed = theirs.iter().map(|(o, _)| o.clone()).collect();
        Self { set: theirs.into_iter().collect(), changed }
    }

    /// The copy got version `v`.
    pub fn got(&mut self, soid: &HObject, v: EVersion) {
        if self.get(soid).is_some_and(|i| i.need <= v) {
            self.remove(soid);
        }
    }

    /// What the store has to be told: items to set and objects to forget.
    pub fn take_changes(&mut self) -> (Vec<(&HObject, &MissingItem)>, Vec<HObject>) {
        let mut set = Vec::new();
        let mut gone = Vec::new();
        for soid in std::mem::take(&mut self.changed) {
            match self.set.items().get_key_value(&soid) {
                Some(kv) => set.push(kv),
                None => gone.push(soid),
            }
        }
        (set, gone)
    }
}

/// Where the objects are that some copy in the acting set lacks (Ceph: `MissingLoc`). Kept by the
/// primary while the PG is active.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MissingLoc {
    needs: BTreeMap<HObject, MissingItem>,
    locations: BTreeMap<HObject, BTreeSet<OsdId>>,
}

impl MissingLoc {
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes up what one member of the acting set lacks.
    pub fn add_active_missing(&mut self, missing: &Missing) {
        for (soid, item) in missing.iter() {
            let known = self.needs.entry(soid.clone()).or_insert_with(|| item.clone());
            if item.need > known.need {
                *known = item.clone();
            }
        }
    }

    /// Notes what a copy has of that which is needed. Whether something new was found.
    pub fn add_source(&mut self, osd: OsdId, info: &PgInfo, missing: &Missing) -> bool {
        let mut found = false;
        for (soid, item) in &self.needs {
            // It must have got as far as the version, and hold the object (Ceph: add_source_info).
            let holds = info.last_update >= item.need && *soid <= info.last_backfill && !missing.contains(soid);
            if holds && !item.is_delete {
                found |= self.locations.entry(soid.clone()).or_default().insert(osd);
            }
        }
        found
    }

    /// A copy went away.
    pub fn remove_source(&mut self, gone: impl Fn(OsdId) -> bool) {
        for osds in self.locations.values_mut() {
            osds.retain(|o| !gone(*o));
        }
        self.locations.retain(|_, osds| !osds.is_empty());
    }

    /// A copy got the object.
    pub fn add_location(&mut self, soid: &HObject, osd: OsdId) {
        if self.needs.contains_key(soid) {
            self.locations.entry(soid.clone()).or_default().insert(osd);
        }
    }

    /// A copy turned out not to hold the object.
    pub fn remove_location(&mut self, soid: &HObject, osd: OsdId) {
        if let Some(osds) = self.locations.get_mut(soid) {
            osds.remove(&osd);
            if osds.is_empty() {
                self.locations.remove(soid);
            }
        }
    }

    /// No copy in the acting set lacks it any longer.
    pub fn recovered(&mut self, soid: &HObject) {
        self.needs.remove(soid);
        self.locations.remove(soid);
    }

    /// Something new is needed of the object.
    pub fn need(&mut self, soid: &HObject, item: MissingItem) {
        self.needs.insert(soid.clone(), item);
    }

    pub fn needs(&self, soid: &HObject) -> Option<&MissingItem> {
        self.needs.get(soid)
    }

    pub fn all(&self) -> impl Iterator<Item = (&HObject, &MissingItem)> {
        self.needs.iter()
    }

    pub fn locations(&self, soid: &HObject) -> impl Iterator<Item = OsdId> {
        self.locations.get(soid).into_iter().flatten().copied()
    }

    pub fn is_unfound(&self, soid: &HObject) -> bool {
        self.needs.get(soid).is_some_and(|i| !i.is_delete) && !self.locations.contains_key(soid)
    }

    pub fn unfound(&self) -> impl Iterator<Item = &HObject> {
        self.needs.iter().filter(|(o, i)| !i.is_delete && !self.locations.contains_key(*o)).map(|(o, _)| o)
    }

    pub fn num_unfound(&self) -> usize {
        self.unfound().count()
    }
}
