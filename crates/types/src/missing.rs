//! Which objects of a PG a member lacks, and in which version.
//!
//! Invariant: `rmissing` maps the version of each item's `need` to its object, and nothing else. It is
//! the order of recovery, and is not encoded.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::features;
use crate::hobject::HObject;
use crate::ids::{EVersion, Version};
use crate::pg_log::{LogEntry, ObjectCleanRegions};

/// `pg_missing_item`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingItem {
    pub need: EVersion,
    /// Zero if there is no older version.
    pub have: EVersion,
    pub clean_regions: ObjectCleanRegions,
    /// What is missing is the deletion.
    pub is_delete: bool,
}

const FLAG_DELETE: u8 = 1;

impl Encode for MissingItem {
    fn encode(&self, e: &mut Encoder) {
        // Two impossible versions in front tell the newer forms from each other.
        let octopus = e.has_feature(features::SERVER_OCTOPUS);
        e.put(&EVersion::ZERO);
        if octopus {
            e.put(&EVersion::MAX);
        }
        e.put(&self.need);
        e.put(&self.have);
        e.u8(if self.is_delete { FLAG_DELETE } else { 0 });
        if octopus {
            e.put(&self.clean_regions);
        }
    }
}

impl Decode for MissingItem {
    const MIN_SIZE: usize = 37;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let (_mark, second): (EVersion, EVersion) = d.get()?;
        let octopus = second == EVersion::MAX;
        let need = if octopus { d.get()? } else { second };
        let (have, flags) = (d.get()?, d.u8()?);
        let clean_regions = if octopus { d.get()? } else { ObjectCleanRegions::fully_dirty() };
        Ok(Self { need, have, clean_regions, is_delete: flags & FLAG_DELETE != 0 })
    }
}

/// `pg_missing_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgMissing {
    items: BTreeMap<HObject, MissingItem>,
    rmissing: BTreeMap<Version, HObject>,
    pub may_include_deletes: bool,
}

impl PgMissing {
    pub fn items(&self) -> &BTreeMap<HObject, MissingItem> {
        &self.items
    }

    /// In the order of the versions that are needed.
    pub fn by_version(&self) -> &BTreeMap<Version, HObject> {
        &self.rmissing
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn get(&self, oid: &HObject) -> Option<&MissingItem> {
        self.items.get(oid)
    }

    pub fn is_missing(&self, oid: &HObject) -> bool {
        self.items.contains_key(oid)
    }

    /// Whether the object is missing in that version or a newer one.
    pub fn is_missing_at(&self, oid: &HObject, version: EVersion) -> bool {
        self.get(oid).is_some_and(|i| i.need <= version)
    }

    /// The oldest version that is missing.
    pub fn oldest_need(&self) -> Option<EVersion> {
        let (_, oid) = self.rmissing.first_key_value()?;
        self.items.get(oid).map(|i| i.need)
    }

    pub fn have_old(&self, oid: &HObject) -> EVersion {
        self.get(oid).map_or(EVersion::ZERO, |i| i.have)
    }

    fn put(&mut self, oid: &HObject, item: MissingItem) {
        self.rmissing.insert(item.need.version, oid.clone());
        if let Some(old) = self.items.insert(oid.clone(), item)
            && self.items[oid].need.version != old.need.version
        {
            self.unindex(oid, old.need.version);
        }
    }

    fn unindex(&mut self, oid: &HObject, version: Version) {
        if self.rmissing.get(&version) == Some(oid) {
            self.rmissing.remove(&version);
        }
    }

    /// Follows one entry of the log that this member did not apply (Ceph: `add_next_event`).
    pub fn add_next_event(&mut self, e: &LogEntry) {
        let old = self.items.get(&e.soid).cloned();
        let is_new = e.prior_version.is_zero() || e.is_clone();
        let mut item = match &old {
            Some(old) if !is_new => old.clone(),
            _ => MissingItem { have: if is_new { EVersion::ZERO } else { e.prior_version }, ..MissingItem::default() },
        };
        item.need = e.version;
        item.is_delete = e.is_delete();
        if is_new || e.is_lost_revert() {
            item.clean_regions.mark_fully_dirty();
        } else {
            // Of an object not missing before, the default is all clean.
            item.clean_regions.merge(&e.clean_regions);
            item.clean_regions.new_object |= old.is_none() && e.clean_regions.new_object;
        }
        self.put(&e.soid, item);
    }

    pub fn add(&mut self, oid: &HObject, need: EVersion, have: EVersion, is_delete: bool) {
        self.put(oid, MissingItem { need, have, is_delete, clean_regions: ObjectCleanRegions::fully_dirty() });
    }

    /// Another version is needed now; what is had stays.
    pub fn revise_need(&mut self, oid: &HObject, need: EVersion, is_delete: bool) {
        self.add(oid, need, self.have_old(oid), is_delete);
    }

    pub fn revise_have(&mut self, oid: &HObject, have: EVersion) {
        if let Some(item) = self.items.get_mut(oid) {
            item.have = have;
        }
    }

    pub fn mark_fully_dirty(&mut self, oid: &HObject) {
        if let Some(item) = self.items.get_mut(oid) {
            item.clean_regions.mark_fully_dirty();
        }
    }

    pub fn remove(&mut self, oid: &HObject) -> Option<MissingItem> {
        let item = self.items.remove(oid)?;
        self.unindex(oid, item.need.version);
        Some(item)
    }

    /// Takes the object out if it was recovered in that version or a newer one (Ceph: `got`).
    pub fn got(&mut self, oid: &HObject, version: EVersion) -> bool {
        let enough = self.get(oid).is_some_and(|i| i.need <= version);
        enough && self.remove(oid).is_some()
    }

    pub fn clear(&mut self) {
        self.items.clear();
        self.rmissing.clear();
    }
}

impl FromIterator<(HObject, MissingItem)> for PgMissing {
    fn from_iter<I: IntoIterator<Item = (HObject, MissingItem)>>(items: I) -> Self {
        let items: BTreeMap<HObject, MissingItem> = items.into_iter().collect();
        let rmissing = items.iter().map(|(oid, i)| (i.need.version, oid.clone())).collect();
        Self { items, rmissing, may_include_deletes: false }
    }
}

impl Encode for PgMissing {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(5, 2, |e| {
            e.put(&self.items);
            e.bool(self.may_include_deletes);
        });
    }
}

impl Decode for PgMissing {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_missing_t", 5, |d, v| {
            let items: BTreeMap<HObject, MissingItem> = d.get()?;
            let mut missing: Self = items.into_iter().collect();
            missing.may_include_deletes = v >= 4 && d.bool()?;
            Ok(missing)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg_log::LogOp;

    #[test]
    fn a_missing_object_keeps_what_it_has_and_needs_the_newest() {
        let entry = |version, prior, op| LogEntry {
            op,
            soid: HObject { oid: "a".into(), pool: 1, ..HObject::default() },
            version: EVersion::new(1, version),
            prior_version: if prior == 0 { EVersion::ZERO } else { EVersion::new(1, prior) },
            ..LogEntry::default()
        };
        let mut m = PgMissing::default();
        let oid = entry(1, 0, LogOp::Modify).soid;
        m.add_next_event(&entry(5, 3, LogOp::Modify));
        m.add_next_event(&entry(6, 5, LogOp::Modify));
        assert_eq!((m.get(&oid).unwrap().have, m.get(&oid).unwrap().need), (EVersion::new(1, 3), EVersion::new(1, 6)));
        assert_eq!(m.by_version().keys().copied().collect::<Vec<_>>(), [6]);
        m.add_next_event(&entry(7, 6, LogOp::Delete));
        assert!(m.get(&oid).unwrap().is_delete);
        m.add_next_event(&entry(8, 0, LogOp::Modify));
        assert_eq!(m.get(&oid).unwrap().have, EVersion::ZERO);
        assert!(!m.got(&oid, EVersion::new(1, 7)) && m.got(&oid, EVersion::new(1, 8)));
        assert!(m.is_empty() && m.by_version().is_empty());
    }
}
