//! One object, as each member found it: what is wrong, and which copy is sound.
//!
//! What is reported has Ceph's shape and names (Ceph: `be_select_auth_object`, `be_compare_scrub_objects`).
//! Unlike Ceph, which takes the primary's copy when nothing speaks against that, a copy counts as sound only by
//! evidence, in this order:
//!
//! 1. A copy that cannot be read, whose info does not decode, whose size is not what its info says, or whose
//!    data or omap is not what the digests in its info say, is bad.
//! 2. The log's newest entry for the object says its version, or that it is deleted. A copy at another version
//!    missed a write.
//! 3. If all copies that are left are alike, they are right.
//! 4. Of those that differ, those with the newest info are right if more than half of all copies are as they are.
//! 5. Else those of the newest whose data and omap the digests in their info prove, if they are alike.
//!
//! What that chooses must not destroy what may be worth more: a bad copy of a newer write, or more copies that are
//! alike and are bad by nothing but what their info says of them.
//!
//! If none of that decides, nobody does: [`Verdict::Undecided`] says why.

use std::collections::{BTreeMap, BTreeSet};

use denc::{ByteStr, from_bytes};
use types::scrub_result::{object_error as oe, shard_error as se};
use types::{
    EVersion, HObject, InconsistentObject, ObjectInfo, OsdId, PgId, PgShard, ScrubMap, ScrubObject, ScrubShard,
    SnapSet, object_flag,
};

use crate::object::{OI_ATTR, SS_ATTR};

/// What the log says of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logged {
    /// Nothing: its last write was trimmed.
    Nothing,
    At(EVersion),
    Deleted(EVersion),
}

/// What is to become of an object's copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sound,
    /// The bad copies are to be as the good ones.
    Replace {
        good: Vec<OsdId>,
        bad: Vec<OsdId>,
        version: EVersion,
    },
    /// There should be none.
    Remove {
        bad: Vec<OsdId>,
        version: EVersion,
    },
    Undecided(&'static str),
}

/// What a copy says of itself.
pub(crate) fn info_of(o: &ScrubObject) -> Option<ObjectInfo> {
    from_bytes(o.attrs.get(OI_ATTR.as_bytes())?.clone()).ok()
}

/// One object of which something is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub soid: HObject,
    pub report: InconsistentObject,
    pub shallow: u32,
    pub deep: u32,
    pub missing: usize,
    /// How many copies are not as they should be.
    pub wrong: usize,
    pub verdict: Verdict,
    /// Nothing later was written when the members looked.
    pub at: EVersion,
    /// For the cluster's log.
    pub lines: Vec<String>,
}

/// What came of comparing one object.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Whose copy the others were compared with; that is what the snapshots are checked with.
    pub base: Option<OsdId>,
    pub finding: Option<Finding>,
}

/// What all objects of a comparison share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub pgid: PgId,
    pub primary: OsdId,
    pub max_object_size: u64,
    /// Nothing later was written when the members looked.
    pub at: EVersion,
}

/// One member's copy, looked at alone.
struct Copy<'a> {
    osd: OsdId,
    o: &'a ScrubObject,
    oi: Option<ObjectInfo>,
    errors: u64,
    words: Vec<String>,
    /// Digests in its info say that data and omap are right.
    proven: bool,
    /// A digest in its info says that data or omap is wrong.
    contradicted: bool,
}

impl<'a> Copy<'a> {
    fn new(osd: OsdId, soid: &HObject, o: &'a ScrubObject) -> Self {
        let mut c = Self { osd, o, oi: None, errors: 0, words: Vec::new(), proven: false, contradicted: false };
        if o.read_error {
            c.bad(se::READ_ERROR, "candidate had a read error");
        }
        if o.stat_error {
            c.bad(se::STAT_ERROR, "candidate had a stat error");
            return c;
        }
        if soid.is_head() {
            match o.attrs.get(SS_ATTR.as_bytes()) {
                None => c.bad(se::SNAPSET_MISSING, "candidate had a missing snapset key"),
                Some(raw) if from_bytes::<SnapSet>(raw.clone()).is_err() => {
                    c.bad(se::SNAPSET_CORRUPTED, "candidate had a corrupt snapset");
                }
                Some(_) => (),
            }
        }
        match o.attrs.get(OI_ATTR.as_bytes()).map(|raw| from_bytes::<ObjectInfo>(raw.clone())) {
            None => c.bad(se::INFO_MISSING, "candidate had a missing info key"),
            Some(Ok(oi)) if oi.soid == *soid => c.oi = Some(oi),
            Some(_) => c.bad(se::INFO_CORRUPTED, "candidate had a corrupt info"),
        }
        c.check_info();
        c
    }

    fn bad(&mut self, error: u64, words: impl Into<String>) {
        self.errors |= error;
        self.words.push(words.into());
    }

    fn check_info(&mut self) {
        let Some(oi) = &self.oi else { return };
        let o = self.o;
        let data = oi.test_flag(object_flag::DATA_DIGEST) && o.digest_present;
        let omap = oi.test_flag(object_flag::OMAP_DIGEST) && o.omap_digest_present;
        self.contradicted = data && oi.data_digest != o.digest || omap && oi.omap_digest != o.omap_digest;
        // An omap that was never there needs no proof. One that was may have been lost.
        let omap_is_known = omap || !oi.test_flag(object_flag::OMAP) && o.object_omap_keys == 0;
        self.proven = data && omap_is_known && !self.contradicted;
        let (size, said) = (o.size, oi.size);
        if size != said {
            self.bad(se::OBJ_SIZE_INFO_MISMATCH, format!("candidate size {size} info size {said} mismatch"));
        }
    }

    /// Nothing that it says of itself is wrong.
    fn is_faultless(&self) -> bool {
        self.errors == 0 && !self.contradicted
    }

    fn version(&self) -> EVersion {
        self.oi.as_ref().map_or(EVersion::ZERO, |oi| oi.version)
    }

    /// Whether two copies hold the same, as far as both were read.
    fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (self.o, other.o);
        let same = |there: bool, a: u32, b: u32| !there || a == b;
        a.size == b.size
            && a.attrs == b.attrs
            && same(a.digest_present && b.digest_present, a.digest, b.digest)
            && same(a.omap_digest_present && b.omap_digest_present, a.omap_digest, b.omap_digest)
    }
}

/// Compares what the members found of one object.
pub(crate) fn compare(rules: Rules, soid: &HObject, maps: &BTreeMap<OsdId, ScrubMap>, logged: Logged) -> Compared {
    let copies: Vec<Copy> =
        maps.iter().filter_map(|(osd, m)| Some(Copy::new(*osd, soid, m.objects.get(soid)?))).collect();
    let absent: Vec<OsdId> = maps.iter().filter(|(_, m)| !m.objects.contains_key(soid)).map(|(o, _)| *o).collect();
    let (verdict, sound) = judge(&copies, &absent, logged, rules.at);
    // Of those that are alike the primary's, as Ceph says it.
    let base = sound
        .iter()
        .find(|o| **o == rules.primary)
        .or(sound.first())
        .copied()
        .or_else(|| as_ceph_would(rules.primary, &copies));
    let base = base.and_then(|osd| copies.iter().find(|c| c.osd == osd));
    let finding = report(rules, soid, &copies, &absent, base, verdict);
    Compared { base: base.map(|c| c.osd), finding }
}

/// The first without a fault of its own, the primary's before others, the newest before older.
fn as_ceph_would(primary: OsdId, copies: &[Copy]) -> Option<OsdId> {
    let whole = copies.iter().filter(|c| c.errors == 0 && c.oi.is_some());
    whole.max_by_key(|c| (c.version(), c.proven, c.osd == primary, std::cmp::Reverse(c.osd))).map(|c| c.osd)
}

/// The verdict, and the copies that are right, if it is known.
fn judge(copies: &[Copy], absent: &[OsdId], logged: Logged, at: EVersion) -> (Verdict, Vec<OsdId>) {
    let all = copies.len() + absent.len();
    let everyone = || copies.iter().map(|c| c.osd).collect::<Vec<_>>();
    if let Logged::Deleted(version) = logged {
        return (Verdict::Remove { bad: everyone(), version }, Vec::new());
    }
    let mut good: Vec<&Copy> = copies.iter().filter(|c| c.is_faultless()).collect();
    if good.iter().any(|c| c.version() <= at) {
        // There was no such write: the info is not what was written.
        good.retain(|c| c.version() <= at);
    }
    if let Logged::At(v) = logged
        && good.iter().any(|c| c.version() != v)
    {
        let alike = good.len() == all && good.iter().all(|c| c.is_like(good[0]));
        good.retain(|c| c.version() == v);
        if good.is_empty() && !alike {
            // An older one must not replace what may yet be rescued of the last write.
            return (Verdict::Undecided("no sound copy has the last write that the log knows"), Vec::new());
        }
        if good.is_empty() {
            return (Verdict::Sound, everyone());
        }
    }
    if good.is_empty() {
        let why = match copies.first() {
            Some(c) if copies.iter().all(|o| o.errors == 0 && o.is_like(c)) && absent.is_empty() => {
                "all copies are alike, but they are not what their object info says"
            }
            _ => "no copy is sound",
        };
        return (Verdict::Undecided(why), Vec::new());
    }
    let Some(chosen) = choose(&good, all) else {
        return (Verdict::Undecided("sound copies differ, and nothing says which is right"), Vec::new());
    };
    // Those who lack it may be right, if they are more and no log says that it should be there.
    if logged == Logged::Nothing && absent.len() > chosen.len() {
        return (Verdict::Undecided("most members do not have it, and no log says whether it was deleted"), Vec::new());
    }
    let version = chosen[0].version();
    if let Some(why) = worth_more(copies, &chosen, at) {
        return (Verdict::Undecided(why), Vec::new());
    }
    let good: Vec<OsdId> = chosen.iter().map(|c| c.osd).collect();
    let mut bad: Vec<OsdId> = everyone().into_iter().filter(|o| !good.contains(o)).collect();
    bad.extend(absent);
    if bad.is_empty() {
        return (Verdict::Sound, good);
    }
    (Verdict::Replace { good: good.clone(), bad, version }, good)
}

/// Of copies without a fault, those that are right.
fn choose<'a, 'b>(good: &[&'a Copy<'b>], all: usize) -> Option<Vec<&'a Copy<'b>>> {
    let like = |c: &Copy| good.iter().copied().filter(|o| o.is_like(c)).collect::<Vec<_>>();
    let first = like(good[0]);
    if first.len() == good.len() {
        return Some(first);
    }
    // One that missed its last writes is as it once was: its digests hold, and others may have missed them too.
    let newest = good.iter().map(|c| c.version()).max();
    let newest = || good.iter().copied().filter(|c| Some(c.version()) == newest);
    if let Some(most) = newest().map(like).find(|alike| alike.len() * 2 > all) {
        return Some(most);
    }
    // No digest is over the attributes: it proves a copy only where no number of others says otherwise.
    let proven: Vec<&Copy> = newest().filter(|c| c.proven).collect();
    let one = proven.first()?;
    proven.iter().all(|c| c.is_like(one)).then(|| like(one))
}

/// Why copies with a fault must not be replaced by those that were chosen.
fn worth_more(copies: &[Copy], chosen: &[&Copy], at: EVersion) -> Option<&'static str> {
    let version = chosen[0].version();
    let faulty = copies.iter().filter(|c| !c.is_faultless() && c.oi.is_some() && c.version() <= at);
    if faulty.clone().any(|c| c.version() > version) {
        return Some("a copy that is damaged is of a later write than the sound ones");
    }
    if chosen.iter().any(|c| c.proven) {
        return None;
    }
    // As when one lost the object, and led a write to it: it was made anew there, and written upon elsewhere.
    let readable = faulty.filter(|c| c.version() == version && c.errors & !se::OBJ_SIZE_INFO_MISMATCH == 0);
    let outnumbered = readable.clone().any(|c| readable.clone().filter(|o| o.is_like(c)).count() > chosen.len());
    outnumbered.then_some("more copies are alike than those that are what their object info says")
}

/// What Ceph would report of it; `None` if nothing is wrong.
fn report(
    rules: Rules,
    soid: &HObject,
    copies: &[Copy],
    absent: &[OsdId],
    base: Option<&Copy>,
    verdict: Verdict,
) -> Option<Finding> {
    let pgid = rules.pgid;
    let mut lines = Vec::new();
    let mut report = InconsistentObject { object: soid.into(), ..InconsistentObject::default() };
    let mut wrong: BTreeSet<OsdId> = absent.iter().copied().collect();
    let (mut shallow, mut deep) = (0, 0);
    for c in copies {
        let mut shard = shard_of(c, rules.primary);
        if !c.words.is_empty() {
            lines.push(format!("{pgid} shard {} soid {soid} : {}", c.osd, c.words.join(", ")));
        }
        let mut differs = false;
        if let Some(base) = base {
            shard.selected_oi = c.osd == base.osd;
            let words = differences(rules, c, base, soid, &mut shard, &mut report);
            differs = !words.is_empty();
            if differs && shard.errors != 0 {
                lines.push(format!("{pgid} shard {} soid {soid} : {}", c.osd, words.join(", ")));
            } else if differs {
                lines.push(format!("{pgid} soid {soid} : {}", words.join(", ")));
            }
        }
        if shard.errors & se::DEEP != 0 {
            deep += 1;
        } else if shard.errors != 0 {
            shallow += 1;
        }
        if shard.errors != 0 || differs {
            wrong.insert(c.osd);
        }
        report.union_errors |= shard.errors;
        report.shards.insert(PgShard::from(c.osd), shard);
    }
    for osd in absent {
        let shard = ScrubShard { errors: se::MISSING, primary: *osd == rules.primary, ..ScrubShard::default() };
        report.union_errors |= shard.errors;
        report.shards.insert(PgShard::from(*osd), shard);
        shallow += 1;
        lines.push(format!("{pgid} shard {osd} {soid} : missing"));
    }
    if let Verdict::Remove { bad, .. } = &verdict {
        // What should not be there is no reason to call it missing elsewhere, but Ceph has no other word.
        wrong.extend(bad);
        lines.push(format!("{pgid} soid {soid} : it was deleted, but osd {bad:?} still hold it"));
    }
    match base {
        Some(base) => report.version = base.oi.as_ref().map_or(0, |oi| oi.user_version),
        None if !copies.is_empty() => {
            lines.push(format!("{pgid} soid {soid} : failed to pick suitable object info"));
        }
        None => (),
    }
    if report.errors & oe::DEEP != 0 {
        deep += 1;
    } else if report.errors != 0 {
        shallow += 1;
    }
    if wrong.is_empty() && report.errors == 0 {
        return None;
    }
    if shallow + deep == 0 {
        shallow = 1;
    }
    if let Verdict::Undecided(why) = &verdict {
        lines.push(format!("{pgid} soid {soid} : {why}"));
    }
    let missing = absent.len();
    Some(Finding {
        soid: soid.clone(),
        report,
        shallow,
        deep,
        missing,
        wrong: wrong.len(),
        verdict,
        at: rules.at,
        lines,
    })
}

fn shard_of(c: &Copy, primary: OsdId) -> ScrubShard {
    ScrubShard {
        errors: c.errors,
        primary: c.osd == primary,
        attrs: c.o.attrs.clone(),
        size: c.o.size,
        omap_digest: c.o.omap_digest_present.then_some(c.o.omap_digest),
        data_digest: c.o.digest_present.then_some(c.o.digest),
        selected_oi: false,
    }
}

/// How a copy differs from the one that counts, in words; the bits go where Ceph has them.
fn differences(
    rules: Rules,
    c: &Copy,
    base: &Copy,
    soid: &HObject,
    shard: &mut ScrubShard,
    report: &mut InconsistentObject,
) -> Vec<String> {
    let (o, b, from) = (c.o, base.o, base.osd);
    let mut words = Vec::new();
    if o.digest_present && b.digest_present && o.digest != b.digest {
        words.push(format!("data_digest {:#010x} != data_digest {:#010x} from shard {from}", o.digest, b.digest));
        report.errors |= oe::DATA_DIGEST_MISMATCH;
    }
    if o.omap_digest_present && b.omap_digest_present && o.omap_digest != b.omap_digest {
        let (ours, theirs) = (o.omap_digest, b.omap_digest);
        words.push(format!("omap_digest {ours:#010x} != omap_digest {theirs:#010x} from shard {from}"));
        report.errors |= oe::OMAP_DIGEST_MISMATCH;
    }
    let Some(oi) = &base.oi else { return words };
    if oi.test_flag(object_flag::DATA_DIGEST) && o.digest_present && oi.data_digest != o.digest {
        let (ours, said) = (o.digest, oi.data_digest);
        words.push(format!("data_digest {ours:#010x} != data_digest {said:#010x} from auth oi {}", describe(oi)));
        shard.errors |= se::DATA_DIGEST_MISMATCH_INFO;
    }
    if oi.test_flag(object_flag::OMAP_DIGEST) && o.omap_digest_present && oi.omap_digest != o.omap_digest {
        let (ours, said) = (o.omap_digest, oi.omap_digest);
        words.push(format!("omap_digest {ours:#010x} != omap_digest {said:#010x} from auth oi {}", describe(oi)));
        shard.errors |= se::OMAP_DIGEST_MISMATCH_INFO;
    }
    if o.stat_error {
        return words;
    }
    let attr = |o: &ScrubObject, name: &str| o.attrs.get(name.as_bytes()).cloned();
    if shard.errors & (se::INFO_MISSING | se::INFO_CORRUPTED) == 0 && attr(o, OI_ATTR) != attr(b, OI_ATTR) {
        words.push("object info inconsistent ".into());
        report.errors |= oe::OBJECT_INFO_INCONSISTENCY;
    }
    let comparable = shard.errors & (se::SNAPSET_MISSING | se::SNAPSET_CORRUPTED) == 0;
    if soid.is_head() && comparable && attr(o, SS_ATTR) != attr(b, SS_ATTR) {
        words.push("snapset inconsistent ".into());
        report.errors |= oe::SNAPSET_INCONSISTENCY;
    }
    if oi.size != o.size {
        words.push(format!("size {} != size {} from auth oi {}", o.size, oi.size, describe(oi)));
        shard.errors |= se::SIZE_MISMATCH_INFO;
    }
    if b.size != o.size {
        words.push(format!("size {} != size {} from shard {from}", o.size, b.size));
        report.errors |= oe::SIZE_MISMATCH;
    }
    if o.size > rules.max_object_size && report.errors & oe::SIZE_TOO_LARGE == 0 {
        words.push(format!("size {} > {} is too large", o.size, rules.max_object_size));
        report.errors |= oe::SIZE_TOO_LARGE;
    }
    let of_users = |name: &&ByteStr| name.as_bytes().starts_with(b"_") && **name != *OI_ATTR;
    for (name, value) in b.attrs.iter().filter(|(n, _)| of_users(n)) {
        match o.attrs.get(name) {
            None => {
                words.push(format!("attr name mismatch '{name}'"));
                report.errors |= oe::ATTR_NAME_MISMATCH;
            }
            Some(ours) if ours != value => {
                words.push(format!("attr value mismatch '{name}'"));
                report.errors |= oe::ATTR_VALUE_MISMATCH;
            }
            Some(_) => (),
        }
    }
    for name in o.attrs.keys().filter(|n| of_users(n) && !b.attrs.contains_key(*n)) {
        words.push(format!("attr name mismatch '{name}'"));
        report.errors |= oe::ATTR_NAME_MISMATCH;
    }
    words
}

/// As Ceph prints an object's info.
pub(crate) fn describe(oi: &ObjectInfo) -> String {
    let mut s = format!("{}({} {}", oi.soid, oi.version, oi.last_reqid);
    let flags = object_flag::names(oi.flags).collect::<Vec<_>>().join("|");
    if !flags.is_empty() {
        s += &format!(" {flags}");
    }
    s += &format!(" s {} uv {}", oi.size, oi.user_version);
    if oi.test_flag(object_flag::DATA_DIGEST) {
        s += &format!(" dd {:x}", oi.data_digest);
    }
    if oi.test_flag(object_flag::OMAP_DIGEST) {
        s += &format!(" od {:x}", oi.omap_digest);
    }
    let hint = (oi.expected_object_size, oi.expected_write_size, oi.alloc_hint_flags);
    s + &format!(" alloc_hint [{} {} {}])", hint.0, hint.1, hint.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written last in the PG.
    const AT: EVersion = EVersion { epoch: 3, version: 100 };

    /// Changes the info that a copy carries.
    fn with_info(o: &ScrubObject, change: impl FnOnce(&mut ObjectInfo)) -> ScrubObject {
        let mut oi = info_of(o).expect("it has one");
        change(&mut oi);
        let mut o = o.clone();
        o.attrs.insert(OI_ATTR.into(), denc::to_bytes(&oi, u64::MAX));
        o
    }

    /// A copy whose data is what its info says, and that has an omap of which its info says nothing but that.
    fn with_omap() -> ScrubObject {
        let o = ScrubObject {
            digest_present: true,
            omap_digest_present: true,
            omap_digest: 7,
            object_omap_keys: 2,
            ..copy_at(2, false)
        };
        with_info(&o, |oi| {
            oi.set_flag(object_flag::DATA_DIGEST | object_flag::OMAP);
            oi.data_digest = o.digest;
        })
    }

    fn copy_at(version: u64, read_error: bool) -> ScrubObject {
        let soid = HObject { oid: "a".into(), pool: 1, snap: types::SNAP_HEAD, ..HObject::default() };
        let oi = ObjectInfo { soid, version: EVersion { epoch: 3, version }, size: 0, ..ObjectInfo::default() };
        let attrs = [
            (OI_ATTR.into(), denc::to_bytes(&oi, u64::MAX)),
            (SS_ATTR.into(), denc::to_bytes(&SnapSet::default(), u64::MAX)),
        ];
        ScrubObject { size: 0, attrs: attrs.into_iter().collect(), read_error, ..ScrubObject::default() }
    }

    /// What two members hold of one object whose last write in the log is 3'2.
    fn verdict<const N: usize>(copies: [ScrubObject; N]) -> Verdict {
        let oi: ObjectInfo = from_bytes(copies[0].attrs[OI_ATTR.as_bytes()].clone()).expect("just made");
        let copies: Vec<Copy> = copies.iter().enumerate().map(|(i, o)| Copy::new(i as OsdId, &oi.soid, o)).collect();
        judge(&copies, &[], Logged::At(EVersion { epoch: 3, version: 2 }), AT).0
    }

    #[test]
    fn a_copy_that_missed_the_last_write_does_not_replace_the_one_that_cannot_be_read() {
        assert!(matches!(verdict([copy_at(2, true), copy_at(1, false)]), Verdict::Undecided(_)));
        assert!(matches!(verdict([copy_at(2, false), copy_at(1, false)]), Verdict::Replace { .. }));
        assert_eq!(verdict([copy_at(2, false), copy_at(2, false)]), Verdict::Sound);
    }

    #[test]
    fn a_copy_whose_omap_is_gone_is_not_right_because_nothing_is_left_to_prove() {
        let sound = with_omap();
        let lost = ScrubObject { omap_digest: u32::MAX, object_omap_keys: 0, ..sound.clone() };
        let expected = Verdict::Replace { good: vec![1, 2], bad: vec![0], version: EVersion { epoch: 3, version: 2 } };
        assert_eq!(verdict([lost.clone(), sound.clone(), sound.clone()]), expected);
        assert!(matches!(verdict([lost, sound]), Verdict::Undecided(_)));
    }

    #[test]
    fn one_proven_copy_outweighs_another_but_not_two_that_are_alike() {
        let two = with_omap();
        let one = with_info(&two, |oi| {
            oi.set_flag(object_flag::OMAP_DIGEST);
            oi.omap_digest = 7;
        });
        let (good, bad, version) = (vec![0], vec![1], EVersion { epoch: 3, version: 2 });
        assert_eq!(verdict([one.clone(), two.clone()]), Verdict::Replace { good, bad, version });
        let (good, bad) = (vec![1, 2], vec![0]);
        assert_eq!(verdict([one, two.clone(), two]), Verdict::Replace { good, bad, version });
    }

    /// What members hold of one object of which the log says nothing.
    fn unlogged<const N: usize>(copies: [ScrubObject; N]) -> Verdict {
        let oi = info_of(&copies[0]).expect("it has one");
        let copies: Vec<Copy> = copies.iter().enumerate().map(|(i, o)| Copy::new(i as OsdId, &oi.soid, o)).collect();
        judge(&copies, &[], Logged::Nothing, AT).0
    }

    #[test]
    fn two_old_copies_do_not_replace_a_newer_one_of_which_the_log_knows_no_more() {
        let (newer, older) = (copy_at(2, false), copy_at(1, false));
        assert!(matches!(unlogged([newer, older.clone(), older]), Verdict::Undecided(_)));
    }

    #[test]
    fn an_old_copy_does_not_replace_a_newer_one_that_cannot_be_read_when_the_log_knows_no_more() {
        assert!(matches!(unlogged([copy_at(2, true), copy_at(1, false)]), Verdict::Undecided(_)));
        assert!(matches!(unlogged([copy_at(1, true), copy_at(2, false)]), Verdict::Replace { .. }));
    }

    #[test]
    fn an_info_of_a_write_that_never_was_is_not_the_newest() {
        let right = copy_at(2, false);
        let wrong = ScrubObject { digest_present: true, omap_digest_present: true, ..copy_at(2000, false) };
        let wrong = with_info(&wrong, |oi| oi.set_data_digest(wrong.digest));
        let expected = Verdict::Replace { good: vec![0], bad: vec![1], version: EVersion { epoch: 3, version: 2 } };
        assert_eq!(unlogged([right, wrong]), expected);
    }

    #[test]
    fn one_copy_made_anew_by_a_write_does_not_cut_off_two_that_are_whole() {
        let anew = copy_at(2, false);
        let whole = ScrubObject { size: 9, ..anew.clone() };
        assert!(matches!(verdict([anew.clone(), whole.clone(), whole.clone()]), Verdict::Undecided(_)));
        let (good, bad, version) = (vec![0, 2], vec![1], EVersion { epoch: 3, version: 2 });
        assert_eq!(verdict([anew.clone(), whole, anew]), Verdict::Replace { good, bad, version });
    }
}
