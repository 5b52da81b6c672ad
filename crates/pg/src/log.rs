//! The PG's log in memory: the last writes, found by version and request id.
//!
//! Invariants:
//! - Entries are in strictly rising order of version; all are in `(tail, head]`. After a split the
//!   last one may be older than `head`: the newest writes may have been the other PG's.
//! - Dups are in order of version and request: after a merge two writes may have one version.
//! - `requests` names every request id of the entries and of the dups (what remains of trimmed entries,
//!   so that an old resend is still recognised).
//! - `changed` and `changed_dups` name what the store does not know yet: [`PgLog::take_changes`]
//!   turns them into keys to set and keys to remove.

use std::collections::VecDeque;

use denc::ByteStr;
use foldhash::HashMap;
use types::{EVersion, HObject, LogDup, LogEntry, OpReturn, OsdReqId, PgLogData, Version};

/// What the log remembers of a request that was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub version: EVersion,
    pub user_version: Version,
    pub return_code: i32,
    pub op_returns: Vec<OpReturn>,
}

/// What orders the dups, and names each.
type DupId = (EVersion, OsdReqId);

fn dup_id(d: &LogDup) -> DupId {
    (d.version, d.reqid)
}

#[derive(Debug, Clone, Default)]
pub struct PgLog {
    pub head: EVersion,
    pub tail: EVersion,
    entries: VecDeque<LogEntry>,
    dups: VecDeque<LogDup>,
    // Never iterated.
    requests: HashMap<OsdReqId, EVersion>,
    /// How many entries are about objects of this hash: whether there is any has to be known at once.
    hashes: HashMap<u32, u32>,
    changed: Vec<EVersion>,
    changed_dups: Vec<DupId>,
}

/// Keys of the log in the pgmeta object that changed.
#[derive(Debug, Default, PartialEq)]
pub struct LogChanges<'a> {
    pub set: Vec<&'a LogEntry>,
    pub set_dups: Vec<&'a LogDup>,
    pub remove: Vec<ByteStr>,
}

impl PgLog {
    /// A log as it was stored or sent.
    pub fn new(tail: EVersion, head: EVersion, entries: Vec<LogEntry>, mut dups: Vec<LogDup>) -> Self {
        dups.sort_by_key(dup_id);
        let mut log = Self { head, tail, ..Self::default() };
        for dup in dups {
            log.requests.insert(dup.reqid, dup.version);
            log.dups.push_back(dup);
        }
        for entry in entries {
            log.index(&entry);
            log.entries.push_back(entry);
        }
        log
    }

    /// How many entries it holds.
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The entries later than `v`.
    pub fn after(&self, v: EVersion) -> impl DoubleEndedIterator<Item = &LogEntry> + ExactSizeIterator {
        let at = self.entries.partition_point(|e| e.version <= v);
        self.entries.range(at..)
    }

    pub fn find(&self, v: EVersion) -> Option<&LogEntry> {
        // Versions count up by one but for gaps that errors and divergence leave.
        let guess = v.version.checked_sub(self.entries.front()?.version.version)?;
        if let Some(e) = usize::try_from(guess).ok().and_then(|at| self.entries.get(at)).filter(|e| e.version == v) {
            return Some(e);
        }
        let at = self.entries.binary_search_by(|e| e.version.cmp(&v)).ok()?;
        self.entries.get(at)
    }

    /// The newest entry about an object.
    pub fn newest(&self, soid: &HObject) -> Option<&LogEntry> {
        self.hashes.get(&soid.hash)?;
        self.entries.iter().rev().find(|e| e.soid == *soid && !e.is_error())
    }

    /// The version of the newest entry about each of some objects.
    pub fn newest_of<'a>(&self, objects: impl Iterator<Item = &'a HObject>) -> HashMap<&'a HObject, EVersion> {
        let mut newest: HashMap<&HObject, EVersion> = objects.map(|o| (o, EVersion::ZERO)).collect();
        for e in self.entries.iter().filter(|e| !e.is_error()) {
            if let Some(v) = newest.get_mut(&e.soid) {
                *v = e.version;
            }
        }
        newest
    }

    /// What was recorded of a request, if the log or the dups still hold it.
    pub fn request(&self, reqid: &OsdReqId) -> Option<Recorded> {
        let version = *self.requests.get(reqid)?;
        if let Some(e) = self.find(version) {
            if e.reqid == *reqid {
                return Some(Recorded {
                    version: e.version,
                    user_version: e.user_version,
                    return_code: e.return_code,
                    op_returns: e.rare().op_returns.clone(),
                });
            }
            // A request that the object brought along when it was copied here.
            let at = e.rare().extra_reqids.iter().position(|(id, _)| id == reqid)?;
            let of_extra = e.rare().extra_reqid_return_codes.iter().find(|(i, _)| *i as usize == at);
            let return_code = of_extra.map_or(0, |(_, code)| *code);
            let user_version = e.rare().extra_reqids[at].1;
            return Some(Recorded { version: e.version, user_version, return_code, op_returns: Vec::new() });
        }
        let at = self.dups.binary_search_by_key(&(version, *reqid), dup_id).ok()?;
        let d = &self.dups[at];
        Some(Recorded {
            version: d.version,
            user_version: d.user_version,
            return_code: d.return_code,
            op_returns: d.op_returns.clone(),
        })
    }

    /// Adds the next write.
    pub fn append(&mut self, mut entry: LogEntry) {
        assert!(entry.version > self.head, "{} after {}", entry.version, self.head);
        self.head = entry.version;
        self.changed.push(entry.version);
        self.index(&entry);
        entry.clean_regions.clean_offsets.shrink_to_fit();
        if self.entries.len() == self.entries.capacity() {
            // Not twice as many: logs are what most of an OSD's memory holds, and have a greatest length.
            self.entries.reserve_exact(self.entries.len() / 8 + 16);
        }
        self.entries.push_back(entry);
    }

    /// Takes off the entries later than `head`, oldest first (Ceph: `rewind_from_head`).
    pub fn rewind(&mut self, head: EVersion) -> Vec<LogEntry> {
        assert!(head >= self.tail, "rewind to {head}, but the tail is {}", self.tail);
        let at = self.entries.partition_point(|e| e.version <= head);
        let divergent: Vec<LogEntry> = self.entries.drain(at..).collect();
        for e in &divergent {
            self.changed.push(e.version);
            self.unindex_hash(e);
            self.requests.remove(&e.reqid);
            for (id, _) in &e.rare().extra_reqids {
                self.requests.remove(id);
            }
        }
        self.head = head;
        divergent
    }

    /// Puts older entries, all of versions up to our tail, in front (Ceph: `merge_log`, "extend on
    /// tail").
    pub fn extend_tail(&mut self, tail: EVersion, older: Vec<LogEntry>) {
        for e in older.into_iter().rev() {
            self.changed.push(e.version);
            self.requests.entry(e.reqid).or_insert(e.version);
            *self.hashes.entry(e.soid.hash).or_default() += 1;
            self.entries.push_front(e);
        }
        self.tail = tail;
        self.drop_overlapping_dups();
    }

    /// Forgets entries up to `to`; keeps the request ids of those whose versions are within the
    /// last `dups_tracked` writes (Ceph: `IndexedLog::trim`).
    pub fn trim(&mut self, to: EVersion, dups_tracked: usize) {
        let oldest_dup = self.head.version.saturating_sub(dups_tracked as u64);
        while self.entries.front().is_some_and(|e| e.version <= to) {
            let e = self.entries.pop_front().expect("there is a front");
            self.changed.push(e.version);
            self.unindex_hash(&e);
            if e.version.version < oldest_dup || !e.reqid_is_indexed() {
                self.unindex_requests(&e);
            } else {
                for (id, _) in &e.rare().extra_reqids {
                    self.requests.remove(id);
                }
                self.changed_dups.push((e.version, e.reqid));
                self.dups.push_back(LogDup::from(&e));
            }
        }
        while self.dups.front().is_some_and(|d| d.version.version < oldest_dup) {
            self.pop_dup_front();
        }
        self.tail = self.tail.max(to);
    }

    /// Takes over request ids from another copy's dups (Ceph: `merge_log_dups`).
    pub fn merge_dups(&mut self, theirs: &[LogDup]) {
        let mut all: Vec<LogDup> = self.dups.drain(..).collect();
        for d in theirs {
            if d.version <= self.tail
                && let Err(at) = all.binary_search_by_key(&dup_id(d), dup_id)
            {
                self.changed_dups.push(dup_id(d));
                self.requests.entry(d.reqid).or_insert(d.version);
                all.insert(at, d.clone());
            }
        }
        self.dups = all.into();
        self.drop_overlapping_dups();
    }

    /// Replaces everything (a backfill target starts with the primary's recent log).
    pub fn replace(&mut self, other: PgLogData) {
        let stale: Vec<EVersion> = self.entries.iter().map(|e| e.version).collect();
        let stale_dups: Vec<DupId> = self.dups.iter().map(dup_id).collect();
        let changed: Vec<EVersion> = stale.into_iter().chain(other.log.iter().map(|e| e.version)).collect();
        let changed_dups = stale_dups.into_iter().chain(other.dups.iter().map(dup_id)).collect();
        *self = Self::new(other.tail, other.head, other.log, other.dups);
        self.changed = changed;
        self.changed_dups = changed_dups;
    }

    /// The log as it is sent: entries later than `since` and all dups (Ceph: `copy_after`).
    pub fn copy_after(&self, since: EVersion) -> PgLogData {
        // Replicated pools never roll back.
        let mut data = PgLogData {
            head: self.head,
            tail: self.tail,
            can_rollback_to: self.head,
            rollback_info_trimmed_to: self.head,
            ..PgLogData::default()
        };
        data.log.extend(self.after(since).cloned());
        if data.log.len() < self.entries.len() {
            // The tail of what is sent is the last entry that is not.
            let at = self.entries.len() - data.log.len() - 1;
            data.tail = self.entries[at].version;
        }
        data.dups.extend(self.dups.iter().cloned());
        data
    }

    /// The newest `max` entries, with what identifies the requests of those before them
    /// (Ceph: `copy_up_to`).
    pub fn copy_up_to(&self, max: usize) -> PgLogData {
        let skipped = self.entries.len().saturating_sub(max);
        let since = skipped.checked_sub(1).and_then(|at| self.entries.get(at)).map_or(self.tail, |e| e.version);
        let mut data = self.copy_after(since);
        data.dups.extend(self.entries.range(..skipped).filter(|e| e.reqid_is_indexed()).map(LogDup::from));
        data
    }

    /// What the store has to be told, and forgets it.
    pub fn take_changes(&mut self) -> LogChanges<'_> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let mut changed_dups = std::mem::take(&mut self.changed_dups);
        changed_dups.sort_unstable();
        changed_dups.dedup();
        let mut changes = LogChanges::default();
        for v in changed {
            match self.find(v) {
                Some(e) => changes.set.push(e),
                None => changes.remove.push(entry_key(v)),
            }
        }
        for id in changed_dups {
            match self.dups.binary_search_by_key(&id, dup_id) {
                Ok(at) => changes.set_dups.push(&self.dups[at]),
                Err(_) => changes.remove.push(dup_key(id)),
            }
        }
        changes
    }

    /// Gives the entries of some objects away, to the PG that splits off. Head and tail are those of both
    /// from now on. A dup does not say which object it was about, so both get all of them
    /// (Ceph: `pg_log_t::split_out_child`).
    pub fn split_off(&mut self, belongs: impl Fn(&HObject) -> bool) -> Self {
        let (theirs, ours): (Vec<_>, Vec<_>) = self.entries.drain(..).partition(|e| belongs(&e.soid));
        let dups: Vec<LogDup> = self.dups.iter().cloned().collect();
        let mut child = Self::new(self.tail, self.head, theirs, dups);
        child.changed = child.entries.iter().map(|e| e.version).collect();
        child.changed_dups = child.dups.iter().map(dup_id).collect();
        for e in &child.entries {
            self.changed.push(e.version);
            self.unindex_requests(e);
            self.unindex_hash(e);
        }
        self.entries = ours.into();
        child
    }

    /// The logs of PGs that become one: nothing of them is needed any more but which requests were carried
    /// out. `head` is not below any of the heads (Ceph: `pg_log_t::merge_from`).
    pub fn absorb(&mut self, others: Vec<Self>, head: EVersion, dups_tracked: usize) {
        self.trim(self.head, dups_tracked);
        let mut dups: Vec<LogDup> = self.dups.drain(..).collect();
        for mut other in others {
            other.trim(other.head, dups_tracked);
            dups.extend(other.dups);
        }
        dups.sort_by_key(dup_id);
        dups.dedup_by_key(|d| dup_id(d));
        let (changed, changed_dups) = (std::mem::take(&mut self.changed), std::mem::take(&mut self.changed_dups));
        *self = Self::new(head, head, Vec::new(), dups);
        self.changed = changed;
        self.changed_dups = changed_dups;
        self.changed_dups.extend(self.dups.iter().map(dup_id));
    }

    fn index(&mut self, e: &LogEntry) {
        *self.hashes.entry(e.soid.hash).or_default() += 1;
        if e.reqid_is_indexed() {
            self.requests.insert(e.reqid, e.version);
        }
        for (id, _) in &e.rare().extra_reqids {
            self.requests.insert(*id, e.version);
        }
    }

    fn unindex_hash(&mut self, e: &LogEntry) {
        if let Some(count) = self.hashes.get_mut(&e.soid.hash) {
            *count -= 1;
            if *count == 0 {
                self.hashes.remove(&e.soid.hash);
            }
        }
    }

    fn unindex_requests(&mut self, e: &LogEntry) {
        for id in std::iter::once(&e.reqid).chain(e.rare().extra_reqids.iter().map(|(id, _)| id)) {
            if self.requests.get(id) == Some(&e.version) {
                self.requests.remove(id);
            }
        }
    }

    fn pop_dup_front(&mut self) {
        if let Some(d) = self.dups.pop_front() {
            self.changed_dups.push(dup_id(&d));
            if self.requests.get(&d.reqid) == Some(&d.version) {
                self.requests.remove(&d.reqid);
            }
        }
    }

    fn drop_overlapping_dups(&mut self) {
        while self.dups.back().is_some_and(|d| d.version > self.tail) {
            let d = self.dups.pop_back().expect("there is a back");
            self.changed_dups.push(dup_id(&d));
            if self.find(d.version).is_none() {
                self.requests.remove(&d.reqid);
            }
        }
    }
}

/// Where an entry is kept in the pgmeta object (Ceph: `eversion_t::get_key_name`).
pub fn entry_key(v: EVersion) -> ByteStr {
    format!("{:010}.{:020}", v.epoch, v.version).into()
}

/// Where a dup is kept (Ceph: `pg_log_dup_t::get_key_name`, which has no request and loses a dup when the
/// merge of two PGs brings two of one version).
pub fn dup_key((v, reqid): DupId) -> ByteStr {
    format!("dup_{:010}.{:020}/{reqid}", v.epoch, v.version).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{EntityName, LogOp};

    fn entry(version: u64) -> LogEntry {
        LogEntry {
            op: LogOp::Modify,
            version: EVersion::new(1, version),
            user_version: version,
            reqid: OsdReqId { name: EntityName::client(1), tid: version, inc: 0 },
            return_code: version as i32,
            ..LogEntry::default()
        }
    }

    fn log(versions: std::ops::RangeInclusive<u64>) -> PgLog {
        let mut log = PgLog::new(EVersion::ZERO, EVersion::ZERO, Vec::new(), Vec::new());
        versions.for_each(|v| log.append(entry(v)));
        log
    }

    #[test]
    fn a_log_takes_little_more_memory_than_its_entries_need() {
        let log = log(1..=10_000);
        assert!(log.entries.capacity() <= 11_300, "{} places", log.entries.capacity());
        assert!(size_of::<LogEntry>() <= 240, "{} bytes an entry", size_of::<LogEntry>());
    }

    fn keys(changes: &LogChanges) -> (Vec<u64>, Vec<u64>, usize) {
        let set = changes.set.iter().map(|e| e.version.version).collect();
        let dups = changes.set_dups.iter().map(|d| d.version.version).collect();
        (set, dups, changes.remove.len())
    }

    #[test]
    fn the_store_is_told_of_each_change_once() {
        let mut l = log(1..=3);
        assert_eq!(keys(&l.take_changes()), (vec![1, 2, 3], vec![], 0));
        assert_eq!(keys(&l.take_changes()), (vec![], vec![], 0));
        l.append(entry(4));
        l.trim(EVersion::new(1, 2), 100);
        assert_eq!(keys(&l.take_changes()), (vec![4], vec![1, 2], 2));
    }

    #[test]
    fn a_trimmed_request_is_remembered_among_the_last_dups_tracked_writes() {
        let mut l = log(1..=10);
        l.trim(EVersion::new(1, 8), 5);
        let known = |tid| l.request(&entry(tid).reqid).map(|r| (r.user_version, r.return_code));
        assert_eq!(known(4), None);
        assert_eq!(known(5), Some((5, 5)));
        assert_eq!(known(10), Some((10, 10)));
    }

    #[test]
    fn what_is_rewound_was_never_requested() {
        let mut l = log(1..=5);
        let divergent = l.rewind(EVersion::new(1, 3));
        assert_eq!(divergent.iter().map(|e| e.version.version).collect::<Vec<_>>(), [4, 5]);
        assert_eq!((l.head, l.request(&entry(5).reqid)), (EVersion::new(1, 3), None));
    }

    #[test]
    fn a_piece_of_the_log_begins_after_the_last_entry_that_is_left_out() {
        let piece = log(1..=5).copy_after(EVersion::new(1, 3));
        assert_eq!((piece.tail, piece.log.len()), (EVersion::new(1, 3), 2));
        let all = log(1..=5).copy_after(EVersion::ZERO);
        assert_eq!((all.tail, all.log.len()), (EVersion::ZERO, 5));
    }

    #[test]
    fn the_newest_part_of_the_log_carries_the_requests_of_the_rest() {
        let mut l = log(1..=6);
        l.trim(EVersion::new(1, 2), 100);
        let piece = l.copy_up_to(2);
        assert_eq!((piece.tail, piece.log.len()), (EVersion::new(1, 4), 2));
        assert_eq!(piece.dups.iter().map(|d| d.version.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let all = l.copy_up_to(100);
        assert_eq!((all.tail, all.log.len(), all.dups.len()), (EVersion::new(1, 2), 4, 2));
    }

    fn about(version: u64, hash: u32) -> LogEntry {
        LogEntry { soid: HObject { hash, ..HObject::default() }, ..entry(version) }
    }

    #[test]
    fn a_split_gives_each_request_to_the_pg_of_its_object_and_old_ones_to_both() {
        let mut l = PgLog::new(EVersion::ZERO, EVersion::ZERO, Vec::new(), Vec::new());
        (1..=6).for_each(|v| l.append(about(v, v as u32 % 2)));
        l.trim(EVersion::new(1, 2), 100);
        l.take_changes();
        let mut child = l.split_off(|o| o.hash == 0);
        assert_eq!((child.head, child.tail), (l.head, l.tail));
        let known = |l: &PgLog| (1..=6).filter(|v| l.request(&entry(*v).reqid).is_some()).collect::<Vec<_>>();
        assert_eq!((known(&l), known(&child)), (vec![1, 2, 3, 5], vec![1, 2, 4, 6]));
        assert_eq!(keys(&l.take_changes()), (vec![], vec![], 2));
        assert_eq!(keys(&child.take_changes()), (vec![4, 6], vec![1, 2], 0));
        child.append(about(7, 0));
        l.append(about(7, 1));
    }

    #[test]
    fn a_merge_keeps_the_requests_of_both_also_where_two_writes_have_one_version() {
        let (mut a, mut b) = (log(1..=4), PgLog::new(EVersion::ZERO, EVersion::ZERO, Vec::new(), Vec::new()));
        let of_b = |v: u64| OsdReqId { inc: 1, ..entry(v).reqid };
        (3..=6).for_each(|v| b.append(LogEntry { reqid: of_b(v), return_code: -1, ..entry(v) }));
        a.take_changes();
        a.absorb(vec![b], EVersion::new(1, 6), 100);
        assert_eq!((a.head, a.tail, a.size()), (EVersion::new(1, 6), EVersion::new(1, 6), 0));
        let code = |id| a.request(&id).map(|r| r.return_code);
        assert_eq!((code(entry(3).reqid), code(of_b(3)), code(of_b(6))), (Some(3), Some(-1), Some(-1)));
        let (set, dups, removed) = keys(&a.take_changes());
        assert_eq!((set, dups.len(), removed), (vec![], 8, 4));
    }

    #[test]
    fn keys_are_as_ceph_writes_them() {
        assert_eq!(entry_key(EVersion::new(19, 1)), "0000000019.00000000000000000001");
        let id = (EVersion::new(19, 1), entry(7).reqid);
        assert_eq!(dup_key(id), "dup_0000000019.00000000000000000001/client.1.0:7");
    }
}
