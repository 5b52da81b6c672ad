//! Mending: copies that were proven bad are written anew from copies that were found sound, or deleted.
//!
//! An object that is to be mended counts as missing where its copy is bad, and is recovered at once like one
//! that a client waits for; so clients wait for it, as they would for any recovery, and never read what is bad.
//! (Ceph: `PG::repair_object`, `rep_repair_primary_object`)
//!
//! Two roads lead here: a scrub's findings, and a client's read that met an unreadable copy.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use node::Level;
use types::dump::Dump;
use types::errno::{EINVAL, ENOENT, EROFS};
use types::{EVersion, HObject, MissingItem, ObjectInfo, OsdId, PgShard, shard_error as se};

use super::Kind;
use super::compare::{Finding, Verdict};
use crate::env::{Env, PgOutput};
use crate::object::{Lock, OI_ATTR};
use crate::pg::Pg;

/// So many objects are mended at once.
const MENDS_MAX: usize = 3;
/// When an object that a client is at is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// A copy that is unreadable again so soon after it was written anew, …
const IN_VAIN_WITHIN: Duration = Duration::from_secs(60);
/// … and more often than this in a row, is not what is wrong: the disk gives nothing back.
const IN_VAIN_MAX: u32 = 3;
/// So many objects whose snapset is wrong are told with the command that helps.
const SNAPSETS_SAID_MAX: usize = 10;
/// So many reasons are told.
const REASONS_MAX: usize = 5;

/// One object that is being mended.
#[derive(Debug, Clone)]
pub struct Mend {
    soid: HObject,
    verdict: Verdict,
    /// How many errors go with it.
    shallow: u32,
    deep: u32,
    /// Nothing later was written when it was judged.
    at: EVersion,
    /// What we take the object for is not what the sound copies are: what was written since is not to be relied upon.
    misled: bool,
    /// A person chose: its info is to say what the copy is.
    kept: Option<Measure>,
}

/// What a copy was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    pub version: EVersion,
    pub size: u64,
    pub data: Option<u32>,
    pub omap: Option<u32>,
}

impl Mend {
    fn of(f: Finding, me: OsdId) -> Self {
        let Finding { soid, verdict, shallow, deep, at, report, .. } = f;
        let misled = match &verdict {
            Verdict::Replace { good, bad, .. } if bad.contains(&me) => {
                let (ours, right) =
                    (report.shards.get(&me.into()), good.first().and_then(|o| report.shards.get(&(*o).into())));
                !matches!((ours, right), (Some(a), Some(b)) if a.size == b.size && a.attrs == b.attrs)
            }
            _ => false,
        };
        Self { soid, verdict, shallow, deep, at, misled, kept: None }
    }
}

/// How far a repair has come.
#[derive(Debug)]
struct Progress {
    asked: bool,
    total: usize,
    done: usize,
    /// Why the others were left.
    left: BTreeMap<String, usize>,
}

#[derive(Debug, Default)]
pub(super) struct Mending {
    queue: VecDeque<Mend>,
    flight: BTreeMap<HObject, Mend>,
    progress: Option<Progress>,
    retry_at: Option<Duration>,
    /// Nobody had a copy that could be read; that is not tried again in this interval.
    hopeless: BTreeSet<HObject>,
    /// Copies of ours that were unreadable lately: when last, and how often in a row.
    unreadable: BTreeMap<HObject, (Duration, u32)>,
}

impl Mending {
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.flight.is_empty()
    }

    /// Something else than a copy made it right.
    pub fn is_well(&mut self, soid: &HObject) {
        self.hopeless.remove(soid);
    }

    pub fn is_hopeless(&self, soid: &HObject) -> bool {
        self.hopeless.contains(soid)
    }

    pub fn is_mending(&self, soid: &HObject) -> bool {
        self.flight.contains_key(soid)
    }

    /// Whether somebody asked for it and it is not over.
    pub fn is_repair(&self) -> bool {
        self.progress.as_ref().is_some_and(|p| p.asked)
    }

    pub fn retry_at(&self) -> Option<Duration> {
        self.retry_at
    }

    pub fn dump(&self) -> Option<Dump> {
        let p = self.progress.as_ref()?;
        Some(Dump::obj().with("objects", p.total).with("repaired", p.done).with("under_way", self.flight.len()))
    }
}

/// The version that a copy says it is.
fn version_of(f: &Finding, osd: OsdId) -> EVersion {
    let shard = f.report.shards.get(&PgShard::from(osd));
    let raw = shard.and_then(|s| s.attrs.get(OI_ATTR.as_bytes())).cloned();
    let oi = raw.and_then(|raw| denc::from_bytes::<ObjectInfo>(raw).ok());
    oi.map_or(EVersion::ZERO, |oi| oi.version)
}

impl Pg {
    /// Begins with what a scrub proved. So many snapsets it wrote anew already; others it left.
    pub(super) fn start_mending(
        &mut self,
        env: &mut Env,
        asked: bool,
        findings: Vec<Finding>,
        snapsets: usize,
        stats_fixed: bool,
    ) {
        if findings.is_empty() && snapsets == 0 && self.scrub.bad_snapsets.is_empty() {
            if stats_fixed {
                env.cluster_log(
                    Level::Info,
                    format!("{} repair: the PG's sums were wrong and are right now", self.id.pgid),
                );
            }
            return;
        }
        let mut progress = Progress { asked, total: findings.len() + snapsets, done: snapsets, left: BTreeMap::new() };
        let found: BTreeSet<HObject> = findings.iter().map(|f| f.soid.clone()).collect();
        for f in findings {
            match f.verdict {
                Verdict::Undecided(why) => {
                    *progress.left.entry(why.to_owned()).or_default() += 1;
                    // Of a snapset no copy is right: see below.
                    if !self.scrub.bad_snapsets.contains(&f.soid) {
                        self.say_choices(env, &f);
                    }
                }
                // Only what its own info says differs, as the size it is allowed to have.
                Verdict::Sound => *progress.left.entry("its copies are alike".to_owned()).or_default() += 1,
                verdict => {
                    let mend = Mend::of(Finding { verdict, ..f }, self.whoami);
                    self.scrub.mending.queue.push_back(mend);
                }
            }
        }
        if !self.scrub.bad_snapsets.is_empty() {
            let heads = self.scrub.bad_snapsets.iter();
            progress.total += heads.filter(|head| !found.contains(head)).count();
            progress.left.insert(self.say_snapsets(env), 0);
        }
        // What a head and its clones share is known by the head.
        let queue = self.scrub.mending.queue.make_contiguous();
        queue.sort_by_cached_key(|m| (m.soid.head(), m.soid.is_snap(), m.soid.clone()));
        self.scrub.mending.progress = Some(progress);
        self.scrub.mending.retry_at = Some(env.now.mono);
        self.mend_some(env);
    }

    /// `keep_copy`: a person says which copy of an object is right, where nothing else does.
    ///
    /// # Errors
    /// If there is no such choice to make.
    pub fn keep_copy(&mut self, env: &mut Env, name: &str, osd: OsdId) -> Result<String, (i32, String)> {
        let pgid = self.id.pgid;
        if !self.is_primary() {
            return Err((EROFS, "not primary".into()));
        }
        let (chosen, rest) = std::mem::take(&mut self.scrub.undecided).into_iter().partition(|f| f.soid.oid == name);
        self.scrub.undecided = rest;
        let chosen: Vec<Finding> = chosen;
        let unusable = se::MISSING
            | se::READ_ERROR
            | se::STAT_ERROR
            | se::INFO_MISSING
            | se::INFO_CORRUPTED
            | se::SNAPSET_MISSING
            | se::SNAPSET_CORRUPTED;
        let holds = |f: &Finding| {
            f.report.shards.get(&PgShard::from(osd)).filter(|s| s.errors & unusable == 0).map(|s| Measure {
                version: version_of(f, osd),
                size: s.size,
                data: s.data_digest,
                omap: s.omap_digest,
            })
        };
        if chosen.is_empty() {
            return Err((
                ENOENT,
                format!("no scrub found copies of '{name}' that differ without proof: deep-scrub {pgid} first"),
            ));
        }
        if !chosen.iter().all(|f| holds(f).is_some()) {
            self.scrub.undecided.extend(chosen);
            return Err((EINVAL, format!("osd.{osd} has no copy of '{name}' that can be read")));
        }
        let count = chosen.len();
        for mut f in chosen {
            let bad = f.report.shards.keys().map(|at| at.osd).filter(|o| *o != osd).collect();
            let kept = holds(&f);
            f.verdict = Verdict::Replace { good: vec![osd], bad, version: version_of(&f, osd) };
            self.scrub.mending.queue.push_back(Mend { kept, ..Mend::of(f, self.whoami) });
        }
        let progress = Progress { asked: true, total: count, done: 0, left: BTreeMap::new() };
        self.scrub.mending.progress.get_or_insert(progress);
        // A scrub afterwards shows whether all is well, and puts the PG's sums right.
        self.scrub.again = true;
        self.scrub.mending.retry_at = Some(env.now.mono);
        self.mend_some(env);
        self.run_ready(env);
        self.finish(env);
        Ok(format!("keeping osd.{osd}'s copy of {count} objects; the others are written anew"))
    }

    /// Each copy of an object that nothing decides, and how to choose.
    fn say_choices(&self, env: &mut Env, f: &Finding) {
        let pgid = self.id.pgid;
        for (at, shard) in &f.report.shards {
            let oi = shard.attrs.get(OI_ATTR.as_bytes());
            let oi = oi.and_then(|raw| denc::from_bytes::<ObjectInfo>(raw.clone()).ok());
            let digest = shard.data_digest.map_or_else(|| "unread".to_owned(), |d| format!("{d:#010x}"));
            let what = match oi {
                Some(oi) => format!("version {} of {} by {}", oi.version, oi.mtime, oi.last_reqid.name),
                None => "no object info".to_owned(),
            };
            let text = format!(
                "{pgid} {}: osd.{} has {} bytes, digest {digest}, {what}; to keep it: ceph tell {pgid} keep_copy {} {}",
                f.soid, at.osd, shard.size, f.soid.oid, at.osd
            );
            env.cluster_log(Level::Error, text);
        }
    }

    /// How a person has snapsets made anew that are wrong on all copies. Gives the reason why they are left.
    fn say_snapsets(&self, env: &mut Env) -> String {
        let pgid = self.id.pgid;
        for head in self.scrub.bad_snapsets.iter().take(SNAPSETS_SAID_MAX) {
            let text = format!(
                "{pgid} {head}: its snapset and its clones do not agree; to have it made anew from the clones that are \
                 there: ceph tell {pgid} rebuild_snapset {}",
                head.oid
            );
            env.cluster_log(Level::Error, text);
        }
        format!(
            "nothing proves what the snapsets of {} objects should say (`rados list-inconsistent-snapset {pgid}`)",
            self.scrub.bad_snapsets.len()
        )
    }

    /// Starts mends while there is room for them.
    pub(super) fn mend_some(&mut self, env: &mut Env) {
        if self.scrub.mending.retry_at.is_none_or(|at| at > env.now.mono) {
            return;
        }
        self.scrub.mending.retry_at = None;
        if !self.is_primary() || !self.serves() {
            return;
        }
        let mut busy = VecDeque::new();
        while self.scrub.mending.flight.len() < MENDS_MAX
            && let Some(mend) = self.scrub.mending.queue.pop_front()
        {
            if self.is_mend_busy(&mend.soid) {
                busy.push_back(mend);
            } else {
                self.start_mend(env, mend);
            }
        }
        if !busy.is_empty() {
            self.scrub.mending.retry_at = Some(env.now.mono + AGAIN);
            self.scrub.mending.queue.append(&mut busy);
        }
        self.check_mended(env);
    }

    /// Somebody is at the object, or at one of its family.
    fn is_mend_busy(&mut self, soid: &HObject) -> bool {
        let head = soid.head();
        let family = self.recovery.objects().iter().any(|o| o.is_same_family(soid));
        if family || self.missing_loc.needs(soid).is_some() || !self.contexts.try_lock(&head, Lock::Exclusive) {
            return true;
        }
        if self.contexts.unlock(&head, Lock::Exclusive) {
            self.requeue_for_lock(&head);
        }
        false
    }

    fn start_mend(&mut self, env: &mut Env, mend: Mend) {
        let soid = mend.soid.clone();
        let newest = self.log.entries().rev().find(|e| e.soid == soid && !e.is_error());
        let now = newest.map(|e| (e.version, e.is_delete()));
        // What the log has forgotten may have been another write.
        let written = now.map_or(self.log.tail, |(v, _)| v) > mend.at;
        const WRITTEN: &str = "it was written meanwhile: scrub again";
        let (bad, good, version, is_delete) = match &mend.verdict {
            Verdict::Replace { good, bad, version } => {
                if written && matches!(now, Some((_, true))) {
                    // A client deleted it meanwhile, on all members.
                    return self.mended(env, mend, false);
                }
                if written && (mend.misled || mend.kept.is_some()) {
                    return self.mend_failed(env, mend, WRITTEN);
                }
                // The log may know of a later write that is nowhere, and a person gave it up.
                let now = now.filter(|_| mend.kept.is_none());
                (bad.clone(), good.clone(), now.map_or(*version, |(v, _)| v), false)
            }
            Verdict::Remove { bad, version } => {
                if now != Some((*version, true)) {
                    return self.mend_failed(env, mend, WRITTEN);
                }
                (bad.clone(), Vec::new(), *version, true)
            }
            _ => return,
        };
        self.scrub.mending.flight.insert(soid.clone(), mend);
        self.set_missing(&soid, &bad, &good, version, is_delete);
        if is_delete {
            self.recover_now(env, &soid);
        } else if bad.contains(&self.whoami) {
            self.start_pull(env, &soid, version, false);
        } else {
            self.recover_now(env, &soid);
        }
        if !self.recovery.is_recovering(&soid) {
            self.unmend(env, &soid, "the sound copy could not be read");
        }
    }

    /// The bad copies count as missing.
    fn set_missing(&mut self, soid: &HObject, bad: &[OsdId], good: &[OsdId], version: EVersion, is_delete: bool) {
        for osd in bad {
            if *osd == self.whoami {
                self.missing.add(soid, version, EVersion::ZERO, is_delete);
                self.contexts.forget(soid);
                self.dirty.info = true;
            } else {
                self.peers.missing.entry(*osd).or_default().add(soid, version, EVersion::ZERO, is_delete);
            }
        }
        self.missing_loc.need(soid, MissingItem { need: version, is_delete, ..MissingItem::default() });
        for osd in good {
            self.missing_loc.add_location(soid, *osd);
        }
    }

    /// An object was recovered; perhaps one of ours.
    pub(crate) fn mend_recovered(&mut self, env: &mut Env, soid: &HObject) {
        if self.missing_loc.needs(soid).is_some() {
            return;
        }
        if let Some(mend) = self.scrub.mending.flight.remove(soid) {
            if let Some(measure) = mend.kept.clone() {
                self.record_kept(env, soid, &measure);
            }
            self.mended(env, mend, true);
            self.scrub.mending.retry_at = Some(env.now.mono);
            self.kick_snap_trim(env);
        }
    }

    fn mended(&mut self, env: &mut Env, mend: Mend, written: bool) {
        if let Some(results) = &mut self.scrub.results {
            results.mended(&mend.soid);
        }
        let sum = &mut self.info.stats.stats.sum;
        sum.num_shallow_scrub_errors = (sum.num_shallow_scrub_errors - i64::from(mend.shallow)).max(0);
        sum.num_deep_scrub_errors = (sum.num_deep_scrub_errors - i64::from(mend.deep)).max(0);
        sum.num_scrub_errors = sum.num_shallow_scrub_errors + sum.num_deep_scrub_errors;
        sum.num_objects_repaired += i64::from(written);
        self.dirty.info = true;
        if written {
            self.scrub.mending.hopeless.remove(&mend.soid);
            let (pgid, soid) = (self.id.pgid, &mend.soid);
            if matches!(&mend.verdict, Verdict::Replace { bad, .. } if bad.contains(&self.whoami)) {
                env.scrubs.note_mended(self.id);
            }
            let what = match &mend.verdict {
                Verdict::Remove { bad, .. } => format!("{soid} was deleted, and is gone from osd {bad:?} too"),
                Verdict::Replace { good, bad, .. } => {
                    format!("{soid} on osd {bad:?} was bad, and is written anew from osd {good:?}")
                }
                _ => String::new(),
            };
            env.cluster_log(Level::Info, format!("{pgid} repair: {what}"));
        }
        if let Some(p) = &mut self.scrub.mending.progress {
            p.done += 1;
        }
        self.check_mended(env);
    }

    fn mend_failed(&mut self, env: &mut Env, mend: Mend, why: &str) {
        let text = format!("{} repair: {} is not mended: {why}", self.id.pgid, mend.soid);
        env.cluster_log(Level::Error, text);
        if let Some(p) = &mut self.scrub.mending.progress {
            *p.left.entry(why.to_owned()).or_default() += 1;
        }
        self.check_mended(env);
    }

    /// The mend of an object cannot go on: what counts is again what is there.
    pub(crate) fn unmend(&mut self, env: &mut Env, soid: &HObject, why: &str) {
        let Some(mend) = self.scrub.mending.flight.remove(soid) else { return };
        if let Verdict::Replace { bad, .. } | Verdict::Remove { bad, .. } = &mend.verdict {
            for osd in bad {
                if *osd == self.whoami {
                    self.missing.remove(soid);
                } else if let Some(missing) = self.peers.missing.get_mut(osd) {
                    missing.remove(soid);
                }
            }
        }
        self.missing_loc.recovered(soid);
        self.dirty.info = true;
        self.info.last_complete = self.complete_to();
        self.info.stats.stats.sum.num_objects_missing = self.missing.len() as i64;
        self.scrub.mending.hopeless.insert(soid.clone());
        self.mend_failed(env, mend, why);
        self.kick_snap_trim(env);
        self.scrub.mending.retry_at = Some(env.now.mono);
        self.requeue_for_object(soid);
        // It may have looked unfound for a moment.
        self.release_object_backoffs(env, soid);
    }

    /// A pull or a push of an object came to nothing.
    pub(crate) fn mend_stuck(&mut self, env: &mut Env, soid: &HObject) {
        if !self.scrub.mending.is_mending(soid) || self.recovery.is_recovering(soid) {
            return;
        }
        if !self.missing_loc.is_unfound(soid) {
            // The next one may be able to give it. What is here and cannot be sent is no good either.
            let need = self.missing.get(soid).map(|item| item.need);
            if !need.is_some_and(|need| self.start_pull(env, soid, need, false)) {
                self.unmend(env, soid, "no other copy could be read");
            }
        } else {
            let Some(mend) = self.scrub.mending.flight.get(soid) else { return };
            let Verdict::Replace { bad, .. } = &mend.verdict else { return };
            let others_lack_it = self.replicas_lacking(soid).iter().any(|o| !bad.contains(o));
            if others_lack_it {
                // Recovery was to read it: now nobody can, and that is what unfound means.
                self.scrub.mending.flight.remove(soid);
                return;
            }
            self.unmend(env, soid, "no other copy could be read");
        }
    }

    /// A client's read, or a recovery, met a copy of ours that is unreadable. Whether another is being fetched.
    pub(crate) fn mend_at_read(&mut self, env: &mut Env, soid: &HObject) -> bool {
        if self.scrub.mending.is_mending(soid) {
            return self.missing.contains(soid) || self.mend_ours_as_well(env, soid);
        }
        if self.scrub.mending.hopeless.contains(soid) || !self.mend_from_peer(env, soid) {
            return false;
        }
        let Some(version) = self.missing.get(soid).map(|i| i.need) else { return false };
        let good: Vec<OsdId> = self.missing_loc.locations(soid).filter(|o| *o != self.whoami).collect();
        let verdict = Verdict::Replace { good, bad: vec![self.whoami], version };
        let (soid_of, at) = (soid.clone(), self.info.last_update);
        let mend = Mend { soid: soid_of, verdict, shallow: 0, deep: 0, at, misled: false, kept: None };
        self.scrub.mending.flight.insert(soid.clone(), mend);
        self.contexts.forget(soid);
        self.recovery.pushes.remove(soid);
        self.start_pull(env, soid, version, false)
    }

    /// Our copy was to replace others, and cannot be read: whether another sound one is being fetched first.
    fn mend_ours_as_well(&mut self, env: &mut Env, soid: &HObject) -> bool {
        let me = self.whoami;
        let Some(mend) = self.scrub.mending.flight.get_mut(soid) else { return false };
        let Verdict::Replace { good, bad, version } = &mut mend.verdict else { return false };
        good.retain(|o| *o != me);
        if good.is_empty() || bad.contains(&me) {
            return false;
        }
        bad.push(me);
        let need = self.missing_loc.needs(soid).map_or(*version, |item| item.need);
        self.note_unreadable(env, soid);
        self.missing.add(soid, need, EVersion::ZERO, false);
        self.dirty.info = true;
        self.missing_loc.remove_location(soid, me);
        self.contexts.forget(soid);
        self.recovery.pushes.remove(soid);
        self.start_pull(env, soid, need, false)
    }

    /// A copy of ours is unreadable, and another one is to replace it. If that was done just now, and before, in vain,
    /// others had better serve: they have sound copies.
    pub(crate) fn note_unreadable(&mut self, env: &mut Env, soid: &HObject) {
        let now = env.now.mono;
        let lately = &mut self.scrub.mending.unreadable;
        lately.retain(|_, (at, _)| now < *at + IN_VAIN_WITHIN);
        let (at, times) = lately.entry(soid.clone()).or_insert((now, 0));
        (*at, *times) = (now, *times + 1);
        if *times > IN_VAIN_MAX {
            let why = format!("{} {soid} was written anew {IN_VAIN_MAX} times and cannot be read back", self.id.pgid);
            env.out.push(PgOutput::DiskFails { why });
        }
    }

    /// Says how a repair went, once it is over.
    fn check_mended(&mut self, env: &mut Env) {
        if !self.scrub.mending.is_idle() {
            return;
        }
        let Some(p) = self.scrub.mending.progress.take() else { return };
        let mut text = format!("{} repair: repaired {} of {} objects", self.id.pgid, p.done, p.total);
        let left = p.total - p.done.min(p.total);
        if !p.left.is_empty() {
            let reasons: Vec<String> = p.left.keys().take(REASONS_MAX).cloned().collect();
            text += &format!("; left {left} because {}", reasons.join("; "));
        }
        self.scrub.repair_failed = p.asked && !p.left.is_empty();
        if std::mem::take(&mut self.scrub.again) && p.left.is_empty() {
            self.scrub.asked.get_or_insert(Kind { deep: true, repair: true, asked: true, queued: false });
            self.scrub.look_at = Some(env.now.mono);
        }
        let level = if p.left.is_empty() { Level::Info } else { Level::Error };
        env.cluster_log(level, text);
        self.plan_scrub(env);
        self.share_info(env);
        self.stat_changed(env);
    }
}
