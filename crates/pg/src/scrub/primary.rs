//! The primary's part of a scrub: slots, chunks, and what follows from what they show.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use messages::{MOSDRepScrub, MOSDRepScrubMap, MOSDScrubReserve, Message};
use node::{Level, Token};
use os::ReadError;
use types::pool::flag;
use types::{EVersion, GHObject, HObject, ObjectStatSum, OsdId, ScrubMap, ScrubObject, osdmap_flag};

use super::compare::{self, Compared, Logged, Rules, Verdict};
use super::digests::Record;
use super::schedule::chance;
use super::snapsets::Proven;
use super::{Chunk, Kind, Results, Run, Scan, Stage, snapsets};
use crate::env::Env;
use crate::pg::Pg;

/// So many lines of one chunk go to the cluster's log; the rest is counted.
const LINES_MAX: usize = 32;
/// So many objects that nothing decides are kept for a person to decide.
const UNDECIDED_MAX: usize = 1000;
/// What the smallest chunk is cut down to when writes come between.
const CHUNK_LEAST: usize = 3;

impl Pg {
    // --- slots

    /// A routine scrub asks every member for a slot first.
    pub(super) fn reserve_scrub(&mut self, env: &mut Env, kind: Kind) {
        if !env.scrubs.take_local(self.id) {
            // Not all at the same moment.
            let seed = [self.id.pgid.pool.cast_unsigned(), self.id.pgid.seed.into(), env.now.mono.as_millis() as u64];
            self.scrub.look_at = Some(env.now.mono + Duration::from_secs_f64(1.0 + 4.0 * chance(&seed)));
            return;
        }
        self.scrub.run = Some(self.new_run(kind, Stage::Reserving([self.whoami].into()), true));
        for osd in self.actingset().into_iter().filter(|o| *o != self.whoami) {
            self.send_scrub_reserve(env, osd, MOSDScrubReserve::REQUEST);
        }
        self.check_scrub_slots(env);
    }

    fn new_run(&self, kind: Kind, stage: Stage, holds_slot: bool) -> Run {
        Run {
            kind,
            stage,
            tid: 0,
            start: self.id.pgid.hobj_start(),
            preempt_left: 0,
            divisor: 1,
            holds_slot,
            scrubbed: 0,
            shallow: 0,
            deep: 0,
            missing: 0,
            inconsistent: 0,
            findings: Vec::new(),
            bad_snapsets: BTreeSet::new(),
            snapsets_mended: 0,
            again: false,
            sum: ObjectStatSum::default(),
            omap: (0, 0, 0),
            recording: BTreeSet::new(),
        }
    }

    pub(super) fn scrub_slot_given(&mut self, env: &mut Env, from: OsdId) {
        if let Some(Run { stage: Stage::Reserving(got), .. }) = &mut self.scrub.run {
            got.insert(from);
            self.check_scrub_slots(env);
        } else if self.scrub.run.as_ref().is_none_or(|r| !r.holds_slot) {
            self.send_scrub_reserve(env, from, MOSDScrubReserve::RELEASE);
        }
    }

    pub(super) fn scrub_slot_refused(&mut self, env: &mut Env, _from: OsdId) {
        if matches!(&self.scrub.run, Some(Run { stage: Stage::Reserving(_), .. })) {
            self.abort_scrub(env);
            let seed = [self.id.pgid.seed.into(), env.now.mono.as_millis() as u64];
            self.scrub.look_at = Some(env.now.mono + Duration::from_secs_f64(3.0 + 7.0 * chance(&seed)));
        }
    }

    fn check_scrub_slots(&mut self, env: &mut Env) {
        let acting = self.actingset();
        let Some(Run { stage: Stage::Reserving(got), kind, .. }) = &self.scrub.run else { return };
        if acting.is_subset(got) {
            let kind = *kind;
            self.begin_scrub(env, kind, true);
        }
    }

    // --- beginning and end

    /// One that was asked for begins at once.
    pub(super) fn start_scrub(&mut self, env: &mut Env, kind: Kind) {
        self.begin_scrub(env, kind, false);
    }

    fn begin_scrub(&mut self, env: &mut Env, kind: Kind, holds_slot: bool) {
        let mut run = self.new_run(kind, Stage::Rest(env.now.mono), holds_slot);
        run.preempt_left = env.cfg.scrub.max_preemptions;
        let had_deep = self.info.stats.stats.sum.num_deep_scrub_errors > 0;
        if kind.asked && !kind.deep && had_deep {
            let text = format!("{} Regular scrub request, deep-scrub details will be lost", self.id.pgid);
            env.cluster_log(Level::Error, text);
        }
        env.cluster_log(Level::Debug, format!("{} {} starts", self.id.pgid, kind.mode()));
        self.scrub.run = Some(run);
        self.scrub.results = Some(Results::default());
        self.scrub.repair_failed = false;
        self.stat_changed(env);
    }

    /// Ends a scrub that came to nothing.
    pub(super) fn abort_scrub(&mut self, env: &mut Env) {
        let Some(run) = self.scrub.run.take() else { return };
        self.release_scrub_slots(env, &run);
        self.release_scrub_waiters();
        self.plan_scrub(env);
        self.kick_snap_trim(env);
        self.stat_changed(env);
    }

    fn release_scrub_slots(&self, env: &mut Env, run: &Run) {
        env.scrubs.release_ordered(self.id);
        if !run.holds_slot {
            return;
        }
        env.scrubs.release_local(self.id);
        for osd in self.actingset().into_iter().filter(|o| *o != self.whoami && self.map.is_up(*o)) {
            self.send_scrub_reserve(env, osd, MOSDScrubReserve::RELEASE);
        }
    }

    /// The interval is over: nothing of a scrub outlives it.
    pub(crate) fn stop_scrub(&mut self, env: &mut Env) {
        env.scrubs.forget(self.id);
        let asked = self.scrub.asked.or(self.scrub.run.as_ref().map(|r| r.kind).filter(|k| k.asked));
        self.release_scrub_waiters();
        self.scrub = super::Scrub { asked, last_tid: self.scrub.last_tid, ..super::Scrub::default() };
    }

    // --- what happens

    /// Timers and work that needs no input; whether there is more at once.
    pub(crate) fn scrub_some(&mut self, env: &mut Env) -> bool {
        self.look_for_scrub(env);
        self.scan_for_primary(env);
        match &mut self.scrub.run {
            Some(Run { stage: Stage::Rest(until), .. }) if *until <= env.now.mono => self.next_chunk(env),
            Some(Run { stage: Stage::Chunk(c), .. }) => {
                if let Some(scan) = &mut c.own {
                    scan.step(env);
                }
                self.own_scan_done(env);
            }
            _ => (),
        }
        self.mend_some(env);
        self.scrub.is_runnable(env.now)
    }

    /// Whether a read was a scrub's.
    pub(crate) fn scrub_read_done(
        &mut self,
        env: &mut Env,
        token: Token,
        result: &Result<Option<Bytes>, ReadError>,
    ) -> bool {
        let own = match &mut self.scrub.run {
            Some(Run { stage: Stage::Chunk(c), .. }) => {
                c.own.as_mut().is_some_and(|scan| scan.read_done(env, token, result))
            }
            _ => false,
        };
        own || self.scrub.for_primary.as_mut().is_some_and(|p| p.scan.read_done(env, token, result))
    }

    fn own_scan_done(&mut self, env: &mut Env) {
        let me = self.whoami;
        let Some(Run { stage: Stage::Chunk(c), .. }) = &mut self.scrub.run else { return };
        if let Some(scan) = c.own.take_if(|s| s.is_done()) {
            let Some(map) = scan.into_map() else { return self.abort_scrub(env) };
            c.maps.insert(me, map);
            c.waiting.remove(&me);
            self.check_chunk(env);
        }
    }

    pub(crate) fn on_rep_scrub_map(&mut self, env: &mut Env, from: OsdId, tid: u64, m: &MOSDRepScrubMap) {
        if self.is_stale(from, m.map_epoch) {
            return;
        }
        let Some(Run { stage: Stage::Chunk(c), tid: asked, .. }) = &mut self.scrub.run else { return };
        // One who does not say what it answers answers what was asked last.
        if !c.waiting.contains(&from) || tid != 0 && tid != *asked {
            return;
        }
        match denc::from_bytes::<ScrubMap>(m.scrub_map.clone()) {
            Ok(map) => {
                c.preempted |= m.preempted;
                c.waiting.remove(&from);
                c.maps.insert(from, map);
                self.check_chunk(env);
            }
            Err(e) => {
                let text = format!("{} osd.{from} sent a scrub map that makes no sense: {e}", self.id.pgid);
                env.cluster_log(Level::Error, text);
                self.abort_scrub(env);
            }
        }
    }

    /// The session with a member was lost: what it was asked, or its answer, may have been lost with it.
    pub(crate) fn scrub_again(&mut self, env: &mut Env, osd: OsdId) {
        match self.scrub.run.as_ref().map(|r| &r.stage) {
            Some(Stage::Chunk(c)) if c.waiting.contains(&osd) => self.ask_for_map(env, osd),
            Some(Stage::Reserving(got)) if !got.contains(&osd) => {
                self.send_scrub_reserve(env, osd, MOSDScrubReserve::REQUEST);
            }
            _ => (),
        }
    }

    // --- chunks

    fn may_go_on(&self, kind: Kind) -> bool {
        let pool = |f| self.pool.has_flag(f);
        let forbidden = match kind.deep {
            true => self.map.test_flag(osdmap_flag::NODEEP_SCRUB) || pool(flag::NODEEP_SCRUB),
            false => self.map.test_flag(osdmap_flag::NOSCRUB) || pool(flag::NOSCRUB),
        };
        self.is_clean() && (kind.asked || !forbidden)
    }

    fn next_chunk(&mut self, env: &mut Env) {
        let Some(run) = &self.scrub.run else { return };
        if !run.recording.is_empty() {
            return self.rest(Duration::from_millis(500), env);
        }
        let (kind, start, divisor) = (run.kind, run.start.clone(), run.divisor);
        if !self.may_go_on(kind) {
            if kind.asked {
                self.scrub.asked = Some(kind);
            }
            return self.abort_scrub(env);
        }
        if self.missing_loc.all().next().is_some() {
            // Something is being mended.
            return self.rest(Duration::from_millis(100), env);
        }
        if let Err(at) = env.scrubs.begin_chunk(env.now.mono) {
            return self.rest(at.saturating_sub(env.now.mono), env);
        }
        let least = (env.cfg.scrub.chunk_min / divisor).max(CHUNK_LEAST);
        let most = match env.scrubs.is_beside_clients(env.now.mono) {
            true => least,
            false => (env.cfg.scrub.chunk_max / divisor).max(least),
        };
        let end = match self.chunk_end(env, &start, most) {
            Ok(end) => end,
            Err(e) => {
                env.cluster_log(Level::Error, format!("{} scrub cannot list objects: {e}", self.id.pgid));
                return self.abort_scrub(env);
            }
        };
        self.scrub.last_tid += 1;
        let tid = self.scrub.last_tid;
        let members: BTreeSet<OsdId> = self.actingbackfill.clone();
        let scan = Scan::new(self.coll(), &start, &end, kind.deep, self.info.last_update);
        let at = self.info.last_update;
        let Some(run) = &mut self.scrub.run else { return };
        run.tid = tid;
        let can_preempt = run.preempt_left > 0;
        run.stage = Stage::Chunk(Box::new(Chunk {
            end,
            began: env.now.mono,
            at,
            can_preempt,
            preempted: false,
            own: Some(scan),
            maps: BTreeMap::new(),
            waiting: members.clone(),
        }));
        for osd in members.into_iter().filter(|o| *o != self.whoami) {
            self.ask_for_map(env, osd);
        }
    }

    fn rest(&mut self, pause: Duration, env: &Env) {
        if let Some(run) = &mut self.scrub.run {
            run.stage = Stage::Rest(env.now.mono + pause);
        }
    }

    /// Where a chunk of about so many objects ends: always between families.
    fn chunk_end(&self, env: &Env, start: &HObject, most: usize) -> Result<HObject, ReadError> {
        let (mut from, coll) = (GHObject::from(start.clone()), self.coll());
        loop {
            let (found, next) = env.store.list(coll, &from, most + 1)?;
            let Some(next) = next else { return Ok(HObject::max()) };
            let boundary = next.hobj.with_snap(0);
            if boundary > *start && found.iter().any(|o| !o.is_pgmeta() && o.hobj < boundary) {
                return Ok(boundary);
            }
            // One family, so far.
            from = next;
        }
    }

    fn ask_for_map(&self, env: &mut Env, osd: OsdId) {
        let Some(Run { stage: Stage::Chunk(c), kind, tid, start, .. }) = &self.scrub.run else { return };
        let m = MOSDRepScrub {
            pgid: self.id,
            scrub_from: EVersion::ZERO,
            scrub_to: c.at,
            map_epoch: self.map.epoch,
            min_epoch: self.last_peering_reset,
            chunky: true,
            start: start.clone(),
            end: c.end.clone(),
            deep: kind.deep,
            allow_preemption: c.can_preempt,
            priority: 5,
            high_priority: kind.asked,
            seed: u32::MAX,
        };
        env.send_osd(osd, Message::new(m).with_tid(*tid));
    }

    /// All maps are there: compares them, unless something was written meanwhile.
    fn check_chunk(&mut self, env: &mut Env) {
        let Some(run) = &mut self.scrub.run else { return };
        let Stage::Chunk(c) = &mut run.stage else { return };
        if !c.waiting.is_empty() {
            return;
        }
        env.scrubs.end_chunk(env.now.mono, c.began);
        if c.preempted {
            run.preempt_left = run.preempt_left.saturating_sub(1);
            run.divisor = run.divisor.saturating_mul(2);
            return self.rest(Duration::ZERO, env);
        }
        let (maps, end) = (std::mem::take(&mut c.maps), c.end.clone());
        run.divisor = 1;
        run.preempt_left = env.cfg.scrub.max_preemptions;
        let (records, proven) = self.compare_chunk(env, &maps);
        self.record_digests(env, records);
        self.record_snapsets(env, proven);
        self.release_scrub_waiters();
        if end.is_max() {
            return self.finish_scrub(env);
        }
        let Some(run) = &mut self.scrub.run else { return };
        run.start = end;
        let pause = if run.kind.asked { Duration::ZERO } else { env.cfg.scrub.sleep };
        self.rest(pause, env);
    }

    /// What the log says of some objects.
    fn logged(&self, of: &BTreeSet<HObject>) -> HashMap<HObject, Logged> {
        let mut newest = HashMap::new();
        for e in self.log.entries().rev().filter(|e| !e.is_error() && of.contains(&e.soid)) {
            let said = if e.is_delete() { Logged::Deleted(e.version) } else { Logged::At(e.version) };
            newest.entry(e.soid.clone()).or_insert(said);
        }
        newest
    }

    /// Gives the digests that are to be written down, and the snapsets.
    fn compare_chunk(&mut self, env: &mut Env, maps: &BTreeMap<OsdId, ScrubMap>) -> (Vec<Record>, Vec<Proven>) {
        let (at, max_object_size) = (self.info.last_update, env.cfg.max_object_size);
        let rules = Rules { pgid: self.id.pgid, primary: self.whoami, max_object_size, at };
        let objects: BTreeSet<HObject> = maps.values().flat_map(|m| m.objects.keys().cloned()).collect();
        let logged = self.logged(&objects);
        let mut lines = Vec::new();
        let mut base_map: BTreeMap<HObject, ScrubObject> = BTreeMap::new();
        let mut records = Vec::new();
        let (now, min_age) = (env.now.wall, env.cfg.scrub.digest_min_age);
        let Some(run) = &mut self.scrub.run else { return (records, Vec::new()) };
        let results = self.scrub.results.get_or_insert_default();
        let found_before = run.findings.len();
        for soid in &objects {
            let said = logged.get(soid).copied().unwrap_or(Logged::Nothing);
            let Compared { base, finding } = compare::compare(rules, soid, maps, said);
            run.scrubbed += 1;
            let removed = matches!(&finding, Some(f) if matches!(f.verdict, Verdict::Remove { .. }));
            // Where no copy is sound, what the primary has says at least what there is of the family.
            let base = base.unwrap_or(self.whoami);
            if let Some(o) = maps.get(&base).and_then(|m| m.objects.get(soid)).filter(|_| !removed) {
                run.omap.0 += o.object_omap_keys.cast_signed();
                run.omap.1 += o.object_omap_bytes.cast_signed();
                run.omap.2 += i64::from(o.large_omap_object_found);
                base_map.insert(soid.clone(), o.clone());
            }
            let Some(mut finding) = finding else {
                if run.kind.deep
                    && let Some(o) = base_map.get(soid)
                    && let Some(oi) = compare::info_of(o)
                {
                    records.extend(Record::of(soid, &oi, o, now, min_age));
                }
                continue;
            };
            run.shallow += finding.shallow;
            run.deep += finding.deep;
            run.missing += usize::from(finding.missing > 0);
            run.inconsistent += usize::from(finding.wrong > finding.missing);
            lines.append(&mut finding.lines);
            results.add_object(&finding.report);
            run.findings.push(finding);
        }
        let mut families = snapsets::check(run.kind.mode(), self.id.pgid, &base_map);
        run.shallow += families.errors;
        run.bad_snapsets.append(&mut families.bad);
        run.sum += &families.sum;
        lines.append(&mut families.lines);
        for report in &families.reports {
            results.add_snapset(report);
        }
        for note in families.notes {
            env.cluster_log(Level::Info, note);
        }
        // What is written down is what our copy says, and all members take it: not while one of the family is bad.
        let found = &run.findings[found_before..];
        let is_whole = |head: &HObject| !found.iter().any(|f| f.soid.is_same_family(head));
        records.retain(|r: &Record| is_whole(r.soid()));
        let mut proven = if run.kind.repair { std::mem::take(&mut families.proven) } else { Vec::new() };
        let will_be = |head: &HObject| {
            let of_family = found.iter().filter(|f| f.soid.is_same_family(head));
            of_family.into_iter().all(|f| !matches!(f.verdict, Verdict::Undecided(_)))
        };
        let later: Vec<HObject> =
            proven.iter().map(|p| &p.head).filter(|h| !is_whole(h) && will_be(h)).cloned().collect();
        proven.retain(|p| is_whole(&p.head));
        for head in later {
            run.bad_snapsets.remove(&head);
            run.again = true;
        }
        let more = lines.len().saturating_sub(LINES_MAX);
        for line in lines.into_iter().take(LINES_MAX) {
            env.cluster_log(Level::Error, line);
        }
        if more > 0 {
            env.cluster_log(Level::Error, format!("{} {more} more errors like these", self.id.pgid));
        }
        (records, proven)
    }

    // --- the end

    fn finish_scrub(&mut self, env: &mut Env) {
        let Some(mut run) = self.scrub.run.take() else { return };
        self.release_scrub_slots(env, &run);
        let (kind, pgid, mode) = (run.kind, self.id.pgid, run.kind.mode());
        let stats_fixed = self.check_sums(env, &mut run);
        if !run.findings.is_empty() {
            let text = format!("{pgid} {mode} {} missing, {} inconsistent objects", run.missing, run.inconsistent);
            env.cluster_log(Level::Error, text);
        }
        self.say_result(env, &run);
        self.note_result(env, &run);
        let undecided = run.findings.iter().filter(|f| matches!(f.verdict, Verdict::Undecided(_)));
        self.scrub.undecided = undecided.take(UNDECIDED_MAX).cloned().collect();
        self.scrub.bad_snapsets = if kind.repair { std::mem::take(&mut run.bad_snapsets) } else { BTreeSet::new() };
        // A shallow scrub does not know enough to mend; a deep one follows at once.
        let look_closer = kind.repair && !kind.deep && !run.findings.is_empty();
        if look_closer {
            self.scrub.asked.get_or_insert(Kind { deep: true, ..kind });
        } else if kind.repair {
            self.scrub.again = run.again && kind.asked;
            self.start_mending(env, kind.asked, run.findings, run.snapsets_mended, stats_fixed);
        }
        self.plan_scrub(env);
        self.share_info(env);
        self.kick_snap_trim(env);
        self.stat_changed(env);
    }

    fn say_result(&self, env: &mut Env, run: &Run) {
        let total = run.shallow + run.deep;
        let mut text = format!("{} {} ", self.id.pgid, run.kind.mode());
        text += &if total > 0 { format!("{total} errors") } else { "ok".to_owned() };
        let remaining = self.info.stats.stats.sum.num_deep_scrub_errors;
        if !run.kind.deep && remaining > 0 {
            text += &format!(" ( {remaining} remaining deep scrub error details lost)");
        }
        env.cluster_log(if total > 0 { Level::Error } else { Level::Debug }, text);
    }

    fn note_result(&mut self, env: &Env, run: &Run) {
        let (deep, now) = (run.kind.deep, env.now.wall);
        let clean = run.shallow == 0 && (run.deep == 0 || !deep);
        let h = &mut self.info.history;
        h.last_scrub = self.info.last_update;
        h.last_scrub_stamp = now;
        if deep {
            h.last_deep_scrub = self.info.last_update;
            h.last_deep_scrub_stamp = now;
        }
        if clean {
            h.last_clean_scrub_stamp = now;
        }
        let sum = &mut self.info.stats.stats.sum;
        sum.num_shallow_scrub_errors = run.shallow.into();
        if deep {
            sum.num_deep_scrub_errors = run.deep.into();
            (sum.num_omap_keys, sum.num_omap_bytes, sum.num_large_omap_objects) = run.omap;
        }
        sum.num_scrub_errors = sum.num_shallow_scrub_errors + sum.num_deep_scrub_errors;
        self.dirty.info = true;
    }

    /// The PG's sums must be what its objects add up to. After a split they are only estimates, which are
    /// replaced without a word. Whether they were wrong and are right now.
    fn check_sums(&mut self, env: &mut Env, run: &mut Run) -> bool {
        let (got, pgid) = (&run.sum, self.id.pgid);
        let stats = &mut self.info.stats;
        let was = &stats.stats.sum;
        let pairs = [
            (got.num_objects, was.num_objects, "objects"),
            (got.num_object_clones, was.num_object_clones, "clones"),
            (got.num_objects_dirty, was.num_objects_dirty, "dirty"),
            (got.num_objects_omap, was.num_objects_omap, "omap"),
            (got.num_objects_pinned, was.num_objects_pinned, "pinned"),
            (got.num_objects_hit_set_archive, was.num_objects_hit_set_archive, "hit_set_archive"),
            (got.num_whiteouts, was.num_whiteouts, "whiteouts"),
            (got.num_bytes, was.num_bytes, "bytes"),
            (got.num_objects_manifest, was.num_objects_manifest, "manifest objects"),
            (got.num_bytes_hit_set_archive, was.num_bytes_hit_set_archive, "hit_set_archive bytes"),
        ];
        // Objects that are not as they should be cannot be added up.
        let sound = run.findings.is_empty() && run.bad_snapsets.is_empty();
        if pairs.iter().all(|(got, was, _)| got == was) {
            stats.stats_invalid = false;
            return false;
        }
        let estimates = stats.stats_invalid;
        let fix = sound && (estimates || run.kind.repair);
        if !estimates {
            let parts: Vec<String> = pairs.iter().map(|(got, was, what)| format!("{got}/{was} {what}")).collect();
            let text = format!("{pgid} {} : stat mismatch, got {}.", run.kind.mode(), parts.join(", "));
            env.cluster_log(Level::Error, text);
            run.shallow += u32::from(!fix);
        }
        if fix {
            let sum = &mut stats.stats.sum;
            sum.num_objects = got.num_objects;
            sum.num_object_clones = got.num_object_clones;
            sum.num_objects_dirty = got.num_objects_dirty;
            sum.num_objects_omap = got.num_objects_omap;
            sum.num_objects_pinned = got.num_objects_pinned;
            sum.num_objects_hit_set_archive = got.num_objects_hit_set_archive;
            sum.num_whiteouts = got.num_whiteouts;
            sum.num_bytes = got.num_bytes;
            sum.num_objects_manifest = got.num_objects_manifest;
            sum.num_bytes_hit_set_archive = got.num_bytes_hit_set_archive;
            stats.stats_invalid = false;
            self.dirty.info = true;
        }
        fix && !estimates
    }
}
