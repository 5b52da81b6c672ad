//! Whether the objects of a family are those that its head's snapset names, and what they add to the PG's sums
//! (Ceph: `PrimaryLogPG::scrub_snapshot_metadata`).
//!
//! A chunk holds whole families, so each is judged by itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::from_bytes;
use types::scrub_result::snapset_error as err;
use types::{HObject, InconsistentSnapset, ObjectInfo, ObjectStatSum, PgId, ScrubObject, SnapId, SnapSet, object_flag};

use crate::object::{OI_ATTR, SS_ATTR};

#[derive(Debug, Default)]
pub(crate) struct Families {
    pub reports: Vec<InconsistentSnapset>,
    pub errors: u32,
    pub lines: Vec<String>,
    /// What these objects add up to.
    pub sum: ObjectStatSum,
}

/// Checks the families of a chunk; `mode` is the word for the kind of scrub.
pub(crate) fn check(mode: &str, pgid: PgId, objects: &BTreeMap<HObject, ScrubObject>) -> Families {
    let mut found = Families::default();
    let mut rest = objects.iter().peekable();
    while let Some((first, _)) = rest.peek() {
        let head = first.head();
        let mut family = Vec::new();
        while let Some(member) = rest.next_if(|(o, _)| o.is_same_family(&head)) {
            family.push(member);
        }
        Family { mode, pgid, head, out: &mut found }.check(&family);
    }
    found
}

struct Family<'a> {
    mode: &'a str,
    pgid: PgId,
    head: HObject,
    out: &'a mut Families,
}

impl Family<'_> {
    fn error(&mut self, soid: &HObject, words: &str) {
        self.out.errors += 1;
        self.out.lines.push(format!("{} {} {soid} : {words}", self.mode, self.pgid));
    }

    fn check(&mut self, members: &[(&HObject, &ScrubObject)]) {
        let head = self.head.clone();
        let head_member = members.iter().find(|(o, _)| **o == head);
        let mut report = InconsistentSnapset { object: (&head).into(), ..InconsistentSnapset::default() };
        let snapset = head_member.and_then(|(_, o)| self.snapset(&head, o, &mut report));
        let mut any_clone_is_bad = false;
        let mut there = BTreeSet::new();
        for (soid, o) in members {
            there.insert(soid.snap);
            let mut own = InconsistentSnapset { object: (*soid).into(), ..InconsistentSnapset::default() };
            let oi = self.info(soid, o, &mut own);
            self.add_up(soid, oi.as_ref(), snapset.as_ref());
            if **soid == head {
                report.errors |= own.errors;
                continue;
            }
            match &snapset {
                Some(ss) if ss.clones.contains(&soid.snap) => self.clone_of(ss, soid, oi.as_ref(), &mut own),
                _ => {
                    let ignored = head_member.is_some() && snapset.is_none();
                    let words = match ignored {
                        true => "clone ignored due to missing snapset",
                        false => "is an unexpected clone",
                    };
                    self.error(soid, words);
                    own.errors |= err::HEADLESS_CLONE;
                    report.clones.push(soid.snap);
                    if head_member.is_some() {
                        report.errors |= err::EXTRA_CLONES;
                    }
                }
            }
            if own.errors != 0 {
                any_clone_is_bad = true;
                self.out.reports.push(own);
            }
        }
        if let Some(ss) = &snapset {
            self.missing_clones(ss, &there, &mut report);
        }
        if head_member.is_some() && (report.errors != 0 || any_clone_is_bad) {
            self.out.reports.push(report);
        }
    }

    fn missing_clones(&mut self, ss: &SnapSet, there: &BTreeSet<SnapId>, report: &mut InconsistentSnapset) {
        let head = self.head.clone();
        for clone in ss.clones.iter().rev().filter(|c| !there.contains(c)) {
            self.error(&head, &format!("expected clone {} 1 missing", head.with_snap(*clone)));
            report.errors |= err::CLONE_MISSING;
            report.missing.push(*clone);
        }
    }

    fn snapset(&mut self, head: &HObject, o: &ScrubObject, report: &mut InconsistentSnapset) -> Option<SnapSet> {
        let Some(raw) = o.attrs.get(SS_ATTR.as_bytes()) else {
            self.error(head, &format!("no '{SS_ATTR}' attr"));
            report.errors |= err::SNAPSET_MISSING;
            return None;
        };
        match from_bytes::<SnapSet>(Bytes::clone(raw)) {
            Ok(ss) => {
                report.snapset = raw.clone();
                if !ss.clones.is_empty() && ss.seq == 0 {
                    self.error(head, "snaps.seq not set");
                    report.errors |= err::SNAP_ERROR;
                }
                Some(ss)
            }
            Err(e) => {
                self.error(head, &format!("can't decode '{SS_ATTR}' attr {e}"));
                report.errors |= err::SNAPSET_CORRUPTED;
                None
            }
        }
    }

    fn info(&mut self, soid: &HObject, o: &ScrubObject, report: &mut InconsistentSnapset) -> Option<ObjectInfo> {
        let Some(raw) = o.attrs.get(OI_ATTR.as_bytes()) else {
            self.error(soid, &format!("no '{OI_ATTR}' attr"));
            report.errors |= err::INFO_MISSING;
            return None;
        };
        match from_bytes::<ObjectInfo>(raw.clone()) {
            Ok(oi) => {
                if oi.size != o.size {
                    let words = format!(
                        "on disk size ({}) does not match object info size ({}) adjusted for ondisk to ({})",
                        o.size, oi.size, oi.size
                    );
                    self.error(soid, &words);
                    report.errors |= err::SIZE_MISMATCH;
                }
                Some(oi)
            }
            Err(e) => {
                self.error(soid, &format!("can't decode '{OI_ATTR}' attr {e}"));
                report.errors |= err::INFO_CORRUPTED | err::INFO_MISSING;
                None
            }
        }
    }

    fn clone_of(&mut self, ss: &SnapSet, soid: &HObject, oi: Option<&ObjectInfo>, own: &mut InconsistentSnapset) {
        let mut wrong = None;
        match ss.clone_size.get(&soid.snap) {
            None => wrong = Some("is missing in clone_size".to_owned()),
            Some(size) => {
                if let Some(oi) = oi.filter(|oi| oi.size != *size) {
                    wrong = Some(format!("size {} != clone_size {size}", oi.size));
                } else if !ss.clone_overlap.contains_key(&soid.snap) {
                    wrong = Some("is missing in clone_overlap".to_owned());
                } else if ss.clone_bytes(soid.snap).is_none() {
                    wrong = Some("bad interval_set in clone_overlap".to_owned());
                }
            }
        }
        if let Some(words) = wrong {
            self.error(soid, &words);
            own.errors |= err::SIZE_MISMATCH;
        }
    }

    fn add_up(&mut self, soid: &HObject, oi: Option<&ObjectInfo>, snapset: Option<&SnapSet>) {
        let sum = &mut self.out.sum;
        sum.num_objects += 1;
        sum.num_object_clones += i64::from(soid.is_snap());
        let Some(oi) = oi else { return };
        sum.num_bytes += match (soid.is_snap(), snapset) {
            (false, _) => oi.size.cast_signed(),
            (true, Some(ss)) => ss.clone_bytes(soid.snap).unwrap_or(0).cast_signed(),
            (true, None) => 0,
        };
        let count = |flag, n: &mut i64| *n += i64::from(oi.test_flag(flag));
        count(object_flag::DIRTY, &mut sum.num_objects_dirty);
        count(object_flag::WHITEOUT, &mut sum.num_whiteouts);
        count(object_flag::OMAP, &mut sum.num_objects_omap);
        count(object_flag::CACHE_PIN, &mut sum.num_objects_pinned);
        count(object_flag::MANIFEST, &mut sum.num_objects_manifest);
    }
}
