//! Scrub: the members of a PG compare what they hold, while clients go on (Ceph: `PG::chunky_scrub`).
//!
//! ```text
//!   asked for, or due ─► Reserving ─► Chunk ─► Rest ─► Chunk ─► … ─► finish ─► Mending ─► nothing
//!                (osd_max_scrubs; not         └──────────┘                (what is proven)
//!                 if somebody asked)
//! ```
//! A chunk is a range of whole families of objects. Every member lists and digests what it holds of it
//! (`scan`), the primary compares (`compare`, `snapsets`). A write into the range that comes meanwhile makes
//! the chunk void and it is done again, smaller; after `osd_scrub_max_preemptions` such, writes wait for it.
//!
//! What is found is kept for clients to ask (`results`), counted in the PG's statistics, and mended if a
//! person asked for it (`pg repair`) or if the scrub was a routine one (`mend`); never without proof.
//!
//! Invariants:
//! - A member's map is compared only if nothing was written into its range since the chunk began.
//! - A copy is replaced only by one that was found sound, and never while a client writes to the object.
//! - A routine scrub holds a slot of each member; one that was asked for holds none, so it waits for nobody.

mod compare;
mod digests;
mod mend;
mod primary;
mod rebuild;
mod replica;
mod results;
mod scan;
mod schedule;
mod slots;
mod snapsets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use node::Now;
use types::dump::Dump;
use types::options::Config;
use types::{EVersion, HObject, ObjectStatSum, OsdId, ScrubMap, pg_state};

use crate::pg::Pg;

pub use mend::{Measure, Mend};
pub use results::{Results, list};
pub use slots::ScrubSlots;

use compare::Finding;
use mend::Mending;
use replica::ForPrimary;
use scan::Scan;

/// The options of scrubs, cached.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrubConfig {
    pub chunk_min: usize,
    pub chunk_max: usize,
    pub max_preemptions: u64,
    pub deep_stride: u64,
    pub deep_keys: usize,
    /// Seconds since its last write before an object's digests are written down.
    pub digest_min_age: u64,
    pub large_omap_keys: u64,
    pub large_omap_bytes: u64,
    pub sleep: Duration,
    pub min_interval: f64,
    pub max_interval: f64,
    pub deep_interval: f64,
    pub randomize_ratio: f64,
    pub deep_randomize_ratio: f64,
    pub auto_repair: bool,
    pub load_threshold: f64,
    pub during_recovery: bool,
    /// From, until; all day if they are the same.
    pub hours: (i64, i64),
    pub week_days: (i64, i64),
}

impl ScrubConfig {
    pub fn new(c: &Config) -> Self {
        let count = |name| usize::try_from(c.u64(name)).unwrap_or(usize::MAX);
        Self {
            chunk_min: count("osd_scrub_chunk_min"),
            chunk_max: count("osd_scrub_chunk_max"),
            max_preemptions: c.u64("osd_scrub_max_preemptions"),
            deep_stride: c.u64("osd_deep_scrub_stride").max(4096),
            deep_keys: count("osd_deep_scrub_keys").max(1),
            digest_min_age: c.u64("osd_deep_scrub_update_digest_min_age"),
            large_omap_keys: c.u64("osd_deep_scrub_large_omap_object_key_threshold"),
            large_omap_bytes: c.u64("osd_deep_scrub_large_omap_object_value_sum_threshold"),
            sleep: Duration::try_from_secs_f64(c.f64("osd_scrub_sleep")).unwrap_or_default(),
            min_interval: c.f64("osd_scrub_min_interval"),
            max_interval: c.f64("osd_scrub_max_interval"),
            deep_interval: c.f64("osd_deep_scrub_interval"),
            randomize_ratio: c.f64("osd_scrub_interval_randomize_ratio"),
            deep_randomize_ratio: c.f64("osd_deep_scrub_randomize_ratio"),
            auto_repair: c.bool("osd_scrub_auto_repair"),
            load_threshold: c.f64("osd_scrub_load_threshold"),
            during_recovery: c.bool("osd_scrub_during_recovery"),
            hours: (c.i64("osd_scrub_begin_hour"), c.i64("osd_scrub_end_hour")),
            week_days: (c.i64("osd_scrub_begin_week_day"), c.i64("osd_scrub_end_week_day")),
        }
    }
}

/// What kind of scrub it is, and who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kind {
    pub deep: bool,
    /// Mend what is found.
    pub repair: bool,
    /// A person, or a program on behalf of one, asked for it.
    pub asked: bool,
    /// … of several PGs at once: it takes its turn.
    pub queued: bool,
}

impl Kind {
    fn mode(self) -> &'static str {
        match (self.repair && self.asked, self.deep) {
            (true, _) => "repair",
            (false, true) => "deep-scrub",
            (false, false) => "scrub",
        }
    }
}

/// Everything of scrubs that a PG keeps.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    /// To be done as soon as the PG is clean.
    asked: Option<Kind>,
    run: Option<Run>,
    for_primary: Option<ForPrimary>,
    /// A slot given to a scrub that our primary leads.
    remote_slot: bool,
    pub results: Option<Results>,
    mending: Mending,
    /// What the last scrub found and nothing decides, for a person to do so.
    undecided: Vec<Finding>,
    /// Heads whose snapset the last repair found wrong, and nothing says what is right.
    bad_snapsets: BTreeSet<HObject>,
    /// When it is looked at next whether a scrub is due.
    look_at: Option<Duration>,
    /// A repair left errors that nothing could decide.
    repair_failed: bool,
    /// What the repair under way mends lets another one mend the rest.
    again: bool,
    last_tid: u64,
}

/// A scrub under way.
#[derive(Debug)]
struct Run {
    kind: Kind,
    stage: Stage,
    /// What was asked of the members for the chunk; kept to be asked again.
    tid: u64,
    start: HObject,
    preempt_left: u64,
    divisor: usize,
    holds_slot: bool,
    // What came of it so far.
    scrubbed: u64,
    shallow: u32,
    deep: u32,
    missing: usize,
    inconsistent: usize,
    findings: Vec<Finding>,
    /// Heads with errors of snapshots of which nothing proves what is right.
    bad_snapsets: BTreeSet<HObject>,
    /// Snapsets that were written anew.
    snapsets_mended: usize,
    /// Snapsets can be written anew once the copies of their families are alike.
    again: bool,
    sum: ObjectStatSum,
    omap: (i64, i64, i64),
    /// Writes of digests that are not committed everywhere yet: the next chunk waits for them.
    recording: BTreeSet<u64>,
}

#[derive(Debug)]
enum Stage {
    /// Who has given a slot.
    Reserving(BTreeSet<OsdId>),
    Rest(Duration),
    Chunk(Box<Chunk>),
}

#[derive(Debug)]
struct Chunk {
    end: HObject,
    began: Duration,
    /// Nothing before this was written when it began.
    at: EVersion,
    /// Writes make it void, rather than wait.
    can_preempt: bool,
    preempted: bool,
    own: Option<Scan>,
    maps: BTreeMap<OsdId, ScrubMap>,
    waiting: BTreeSet<OsdId>,
}

impl Scrub {
    /// Bits of [`pg_state`].
    fn flags(&self) -> u64 {
        let mut s = match &self.run {
            Some(Run { stage: Stage::Reserving(_), .. }) | None => 0,
            Some(run) => {
                let deep = if run.kind.deep { pg_state::DEEP_SCRUB } else { 0 };
                let repair = if run.kind.repair && run.kind.asked { pg_state::REPAIR } else { 0 };
                pg_state::SCRUBBING | deep | repair
            }
        };
        if self.mending.is_repair() {
            s |= pg_state::REPAIR;
        }
        if self.repair_failed {
            s |= pg_state::FAILED_REPAIR;
        }
        s
    }

    /// Whether a step would do something now.
    pub fn is_runnable(&self, now: Now) -> bool {
        let own = match self.run.as_ref().map(|r| &r.stage) {
            Some(Stage::Chunk(c)) => c.own.as_ref().is_some_and(|s| s.is_runnable() || s.is_done()),
            Some(Stage::Rest(until)) => *until <= now.mono,
            _ => false,
        };
        let mends = self.mending.retry_at().is_some_and(|at| at <= now.mono);
        own || mends || self.for_primary.as_ref().is_some_and(|p| p.scan.is_runnable() || p.scan.is_done())
    }

    pub fn next_wakeup(&self) -> Option<Duration> {
        let rest = match self.run.as_ref().map(|r| &r.stage) {
            Some(Stage::Rest(until)) => Some(*until),
            _ => None,
        };
        [rest, self.look_at, self.mending.retry_at()].into_iter().flatten().min()
    }

    /// Whether a scrub holds the PG's objects (snapshots are trimmed after it).
    pub fn is_active(&self) -> bool {
        self.run.as_ref().is_some_and(|r| !matches!(r.stage, Stage::Reserving(_)))
    }

    /// Whether a client's write to this family has to wait.
    pub fn blocks(&self, head: &HObject) -> bool {
        match &self.run {
            Some(run) => match &run.stage {
                Stage::Chunk(c) => !c.can_preempt && *head >= run.start && *head < c.end,
                _ => false,
            },
            None => false,
        }
    }

    /// Something is written: to a chunk that is being looked at, or behind it.
    pub fn wrote(&mut self, soid: &HObject, stats: &ObjectStatSum) {
        let Some(run) = &mut self.run else { return };
        if *soid < run.start {
            run.sum += stats;
        } else if let Stage::Chunk(c) = &mut run.stage
            && *soid < c.end
        {
            c.preempted = true;
        }
    }

    /// Nobody has it.
    pub fn is_hopeless(&self, soid: &HObject) -> bool {
        self.mending.is_hopeless(soid)
    }

    /// An object is being mended: its copies are not to be relied upon for others.
    pub fn is_mending(&self, soid: &HObject) -> bool {
        self.mending.is_mending(soid)
    }
}

impl Pg {
    /// Bits of [`pg_state`] that scrubs have to do with.
    pub(crate) fn scrub_flags(&self) -> u64 {
        let errors = self.info.stats.stats.sum.num_scrub_errors > 0;
        let inconsistent = if errors { pg_state::INCONSISTENT } else { 0 };
        inconsistent | self.scrub.flags()
    }

    /// What the last scrub of this interval found.
    pub fn scrub_results(&self) -> Option<&Results> {
        self.scrub.results.as_ref()
    }

    /// For `dump_scrubs`.
    pub fn scrub_schedule(&self) -> Dump {
        let h = &self.info.history;
        Dump::obj()
            .with("pgid", self.id.pgid.to_string())
            .with("last_scrub_stamp", Dump::text(h.last_scrub_stamp))
            .with("last_deep_scrub_stamp", Dump::text(h.last_deep_scrub_stamp))
            .with("forced", self.scrub.asked.is_some())
            .with("scrubber", self.dump_scrub())
    }

    /// For `pg query`.
    pub(crate) fn dump_scrub(&self) -> Dump {
        let active = self.scrub.is_active();
        let mut d = Dump::obj()
            .with("epoch_start", if active { self.info.history.same_interval_since } else { 0 }.to_string())
            .with("active", active);
        if let Some(run) = &self.scrub.run {
            let (state, end, waiting) = match &run.stage {
                Stage::Reserving(got) => ("RESERVING", None, self.actingset().difference(got).copied().collect()),
                Stage::Rest(_) => ("NEW_CHUNK", None, Vec::new()),
                Stage::Chunk(c) => ("WAIT_REPLICAS", Some(&c.end), c.waiting.iter().copied().collect::<Vec<_>>()),
            };
            d.put("state", state);
            d.put("start", run.start.to_string());
            d.put("end", end.map_or_else(|| run.start.to_string(), ToString::to_string));
            d.put("deep", run.kind.deep);
            d.put("must_scrub", run.kind.asked);
            d.put("must_repair", run.kind.repair);
            d.put("objects_scrubbed", run.scrubbed);
            d.put("shallow_errors", run.shallow);
            d.put("deep_errors", run.deep);
            d.put("waiting_on_whom", Dump::arr("shard", waiting.into_iter().map(|o| o.to_string())));
        }
        if let Some(progress) = self.scrub.mending.dump() {
            d.put("repair", progress);
        }
        d
    }
}
