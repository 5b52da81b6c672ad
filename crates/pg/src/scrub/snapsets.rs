//! Whether the objects of a family are those that its head's snapset names, and what they add to the PG's sums
//! (Ceph: `PrimaryLogPG::scrub_snapshot_metadata`).
//!
//! A chunk holds whole families, so each is judged by itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::from_bytes;
use types::scrub_result::snapset_error as err;
use types::{
    HObject, InconsistentSnapset, IntervalSet, ObjectInfo, ObjectStatSum, PgId, ScrubObject, SnapId, SnapSet,
    object_flag,
};

use crate::object::{OI_ATTR, SS_ATTR};

#[derive(Debug, Default)]
pub(crate) struct Families {
    pub reports: Vec<InconsistentSnapset>,
    pub errors: u32,
    /// The heads whose snapsets they are about.
    pub bad: BTreeSet<HObject>,
    pub lines: Vec<String>,
    /// What is no error of its own.
    pub notes: Vec<String>,
    /// Snapsets of which only what the clones themselves prove is wrong, as they should be.
    pub proven: Vec<Proven>,
    /// What these objects add up to.
    pub sum: ObjectStatSum,
}

/// A head's snapset, its errors, and the clones that they were reported of.
#[derive(Debug)]
pub(crate) struct Proven {
    pub head: HObject,
    pub snapset: SnapSet,
    pub errors: u32,
    pub clones: Vec<HObject>,
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

/// What a clone shares with the next newer one is a part of it.
fn overlap_fits(ss: &SnapSet, clone: SnapId, size: u64) -> bool {
    ss.clone_overlap.get(&clone).is_some_and(|shared| shared.iter().all(|(off, len)| off.saturating_add(len) <= size))
}

/// The snapset with the sizes that the clones have, and without overlaps that cannot be: nothing is shared then, which
/// is always true enough. `None` if nothing is to be mended, or a clone is not sound itself.
fn proven_by(ss: &SnapSet, members: &[(&HObject, &ScrubObject)]) -> Option<SnapSet> {
    let mut right = ss.clone();
    for clone in &ss.clones {
        let (_, o) = members.iter().find(|(soid, _)| soid.snap == *clone)?;
        let oi: ObjectInfo = from_bytes(o.attrs.get(OI_ATTR.as_bytes())?.clone()).ok()?;
        if oi.size != o.size || o.read_error || o.stat_error {
            return None;
        }
        right.clone_size.insert(*clone, oi.size);
        if !overlap_fits(&right, *clone, oi.size) {
            right.clone_overlap.insert(*clone, IntervalSet::default());
        }
    }
    (right != *ss).then_some(right)
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
        let errors_before = self.out.errors;
        let snapset = head_member.and_then(|(_, o)| self.snapset(&head, o, &mut report));
        let proven = snapset.as_ref().and_then(|ss| proven_by(ss, members));
        let mut bad_clones = Vec::new();
        let mut any_clone_is_bad = false;
        let mut there = BTreeSet::new();
        for (soid, o) in members {
            there.insert(soid.snap);
            let mut own = InconsistentSnapset { object: (*soid).into(), ..InconsistentSnapset::default() };
            let oi = self.info(soid, o, &mut own);
            let belongs = **soid == head || snapset.as_ref().is_some_and(|ss| ss.clones.contains(&soid.snap));
            if belongs {
                self.add_up(soid, oi.as_ref(), proven.as_ref().or(snapset.as_ref()));
            }
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
                bad_clones.push((*soid).clone());
                self.out.reports.push(own);
            }
        }
        if let Some(ss) = &snapset {
            self.missing_clones(ss, &there, &mut report);
            let errors = self.out.errors - errors_before;
            if let Some(right) = proven.filter(|_| report.errors == 0) {
                self.out.proven.push(Proven { head: head.clone(), snapset: right, errors, clones: bad_clones });
            }
        }
        if self.out.errors > errors_before {
            self.out.bad.insert(head.clone());
        }
        // As Ceph tells them: the newest first.
        report.clones.reverse();
        if head_member.is_some() && (report.errors != 0 || any_clone_is_bad) {
            self.out.reports.push(report);
        }
    }

    fn missing_clones(&mut self, ss: &SnapSet, there: &BTreeSet<SnapId>, report: &mut InconsistentSnapset) {
        let head = self.head.clone();
        // They are counted from one that is there to the next.
        let mut in_a_row = 0;
        for clone in ss.clones.iter().rev() {
            if there.contains(clone) {
                in_a_row = 0;
                continue;
            }
            in_a_row += 1;
            self.error(&head, &format!("expected clone {} {in_a_row} missing", head.with_snap(*clone)));
            report.errors |= err::CLONE_MISSING;
            report.missing.push(*clone);
        }
        if !report.missing.is_empty() {
            let (mode, pgid, missing) = (self.mode, self.pgid, report.missing.len());
            self.out.notes.push(format!("{mode} {pgid} {head} : {missing} missing clone(s)"));
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
                } else if !overlap_fits(ss, soid.snap, *size) {
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
