//! What becomes of each op, and when: for `dump_ops_in_flight`, `dump_historic_ops` and their kin
//! (Ceph: `OpTracker`, `OpRequest`).
//!
//! An op carries its [`Trace`] from arrival to answer. Traces are recycled, so that an op costs no
//! allocation; what an op was is put into words only when somebody asks, or when it was so slow that it
//! is kept. As in Ceph, those kept are the slowest of the last `osd_op_history_duration`, not the last.

use std::time::Duration;

use node::Now;
use types::dump::Dump;
use types::options::Config;
use types::{OsdId, UTime};

use crate::op_counts::OpCounts;

/// A step in an op's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    QueuedForPg,
    ReachedPg,
    /// It cannot go on; why.
    Delayed(&'static str),
    Started,
    /// Sent to the replicas in [`Trace::sub_ops`].
    SubOpsSent,
    /// On our disk.
    OpCommit,
    /// On this replica's.
    SubOpCommit(OsdId),
    CommitSent,
    Done,
}

impl Event {
    fn name(self, sub_ops: &[OsdId]) -> String {
        match self {
            Self::QueuedForPg => "queued_for_pg".into(),
            Self::ReachedPg => "reached_pg".into(),
            Self::Delayed(why) => why.into(),
            Self::Started => "started".into(),
            Self::SubOpsSent => {
                let osds: Vec<String> = sub_ops.iter().map(ToString::to_string).collect();
                format!("waiting for subops from {}", osds.join(","))
            }
            Self::OpCommit => "op_commit".into(),
            Self::SubOpCommit(_) => "sub_op_commit_rec".into(),
            Self::CommitSent => "commit_sent".into(),
            Self::Done => "done".into(),
        }
    }

    /// Ceph: `OpRequest::state_string`; not all events change it.
    fn flag_point(self) -> Option<&'static str> {
        match self {
            Self::QueuedForPg => Some("queued for pg"),
            Self::ReachedPg => Some("reached pg"),
            Self::Delayed(_) => Some("delayed"),
            Self::Started => Some("started"),
            Self::SubOpsSent => Some("waiting for sub ops"),
            Self::CommitSent => Some("commit sent; apply or cleanup"),
            Self::OpCommit | Self::SubOpCommit(_) | Self::Done => None,
        }
    }
}

/// An op's life so far.
#[derive(Debug, Clone)]
pub struct Trace {
    /// When it arrived.
    initiated: Now,
    events: Vec<(Event, Duration)>,
    sub_ops: Vec<OsdId>,
}

impl Default for Trace {
    fn default() -> Self {
        let initiated = Now { mono: Duration::ZERO, wall: UTime::ZERO };
        Self { initiated, events: Vec::with_capacity(12), sub_ops: Vec::new() }
    }
}

impl Trace {
    pub(crate) fn arrived(initiated: Now) -> Self {
        Self { initiated, ..Self::default() }
    }

    pub fn mark(&mut self, now: Now, event: Event) {
        // An op that is tried again and again for the same reason has one line for it.
        if self.events.last().is_none_or(|(last, _)| *last != event) {
            self.events.push((event, now.mono));
        }
    }

    pub fn sub_ops_sent(&mut self, now: Now, osds: &[OsdId]) {
        self.sub_ops.clear();
        self.sub_ops.extend_from_slice(osds);
        self.mark(now, Event::SubOpsSent);
    }

    /// On the monotonic clock.
    pub fn initiated(&self) -> Duration {
        self.initiated.mono
    }

    pub fn flag_point(&self) -> &'static str {
        self.events.iter().rev().find_map(|(e, _)| e.flag_point()).unwrap_or("no flag points reached")
    }

    /// The longest stage until `end`, in words.
    fn longest_wait(&self, end: Duration, me: OsdId) -> (Duration, String) {
        let mut stages = vec![];
        let sent = self.events.iter().find(|(e, _)| *e == Event::SubOpsSent).map(|(_, at)| *at);
        // Until the copies are being written, one stage follows the other.
        let mut begin = (self.initiated.mono, format!("the queue of osd.{me}"));
        for (event, at) in &self.events {
            let next = match event {
                Event::QueuedForPg => format!("the queue of osd.{me}"),
                Event::ReachedPg => format!("its PG on osd.{me}, being worked on"),
                Event::Delayed(why) => format!("its PG's state on osd.{me} ({why})"),
                Event::Started => format!("the disk of osd.{me}"),
                Event::SubOpsSent => break,
                Event::OpCommit | Event::SubOpCommit(_) | Event::CommitSent | Event::Done => continue,
            };
            stages.push((at.saturating_sub(begin.0), std::mem::replace(&mut begin, (*at, next)).1));
        }
        stages.push((sent.unwrap_or(end).saturating_sub(begin.0), begin.1));
        // Then all of them are waited for at once: the last to be done is what it took.
        if let Some(sent) = sent {
            let done = |wanted: Event| self.events.iter().find(|(e, _)| *e == wanted).map_or(end, |(_, at)| *at);
            let wait = |until: Duration| until.saturating_sub(sent);
            stages.push((wait(done(Event::OpCommit)), format!("the disk of osd.{me}")));
            for osd in &self.sub_ops {
                let what = format!("replica osd.{osd} (its disk, or the network to it)");
                stages.push((wait(done(Event::SubOpCommit(*osd))), what));
            }
        }
        // Of equals the first.
        stages.into_iter().rev().max_by_key(|(took, _)| *took).unwrap_or_default()
    }

    fn ended(&self) -> Option<Duration> {
        self.events.last().filter(|(e, _)| *e == Event::Done).map(|(_, at)| *at)
    }

    fn wall_at(&self, mono: Duration) -> UTime {
        UTime::from_duration(self.initiated.wall.to_duration() + mono.saturating_sub(self.initiated.mono))
    }
}

/// Who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    pub name: String,
    pub addr: String,
    pub tid: u64,
}

/// An op in words.
#[derive(Debug, Clone)]
pub struct OpReport {
    pub description: String,
    /// `None` for what another OSD sent.
    pub client: Option<ClientInfo>,
    pub trace: Trace,
}

impl OpReport {
    /// Ceph: `TrackedOp::dump`, `OpRequest::_dump`.
    pub fn dump(&self, now: Now) -> Dump {
        let t = &self.trace;
        let age = now.mono.saturating_sub(t.initiated.mono);
        let duration = t.ended().unwrap_or(now.mono).saturating_sub(t.initiated.mono);
        let mut data = Dump::obj().with("flag_point", t.flag_point());
        if let Some(c) = &self.client {
            let info = Dump::obj().with("client", &c.name[..]).with("client_addr", &c.addr[..]).with("tid", c.tid);
            data.put("client_info", info);
        }
        data.put("events", Dump::arr("event", self.events()));
        Dump::obj()
            .with("description", &self.description[..])
            .with("initiated_at", t.initiated.wall)
            .with("age", age.as_secs_f64())
            .with("duration", duration.as_secs_f64())
            .with("type_data", data)
    }

    /// One sentence: what the operation has waited for most, at osd.`me`.
    pub fn explain(&self, now: Now, me: OsdId) -> String {
        let end = self.trace.ended().unwrap_or(now.mono);
        let took = end.saturating_sub(self.trace.initiated.mono).as_secs_f64();
        let verb = if self.trace.ended().is_some() { "took" } else { "is under way for" };
        let (share, what) = self.trace.longest_wait(end, me);
        let share = share.as_secs_f64();
        format!("{} {verb} {took:.3} s, of which {share:.3} s in {what}", self.description)
    }

    fn events(&self) -> Vec<Dump> {
        let t = &self.trace;
        let first = ("initiated".to_owned(), t.initiated.mono);
        let rest = t.events.iter().map(|(e, at)| (e.name(&t.sub_ops), *at));
        let all: Vec<(String, Duration)> = std::iter::once(first).chain(rest).collect();
        let one = |i: usize| {
            // Each event lasts until the next; the last one shows the whole time.
            let (name, at) = &all[i];
            let lasts =
                all.get(i + 1).map_or(at.saturating_sub(t.initiated.mono), |(_, next)| next.saturating_sub(*at));
            Dump::obj().with("event", &name[..]).with("time", t.wall_at(*at)).with("duration", lasts.as_secs_f64())
        };
        (0..all.len()).map(one).collect()
    }

    fn duration(&self) -> Duration {
        self.trace.ended().unwrap_or_default().saturating_sub(self.trace.initiated.mono)
    }
}

/// Traces for ops that come, and the slow ones among those that went.
#[derive(Debug)]
pub struct Tracker {
    #[expect(clippy::vec_box, reason = "an op is moved often: it carries a pointer, and this keeps the boxes")]
    free: Vec<Box<Trace>>,
    /// By arrival.
    history: Vec<OpReport>,
    /// An op is kept if it took longer than this.
    least: Duration,
    slow: Vec<OpReport>,
    enabled: bool,
    size: usize,
    duration: Duration,
    slow_size: usize,
    slow_threshold: Duration,
    /// Client operations that were answered, and what they took together.
    answered: (u64, Duration),
    /// The same of all kinds, with how much they carried.
    counts: OpCounts,
}

/// Traces that are kept for ops to come; more are in use only for a moment.
const FREE_MAX: usize = 1_024;

impl Tracker {
    pub fn new(cfg: &Config) -> Self {
        let mut tracker = Self {
            free: Vec::new(),
            history: Vec::new(),
            least: Duration::ZERO,
            slow: Vec::new(),
            enabled: true,
            size: 0,
            duration: Duration::ZERO,
            slow_size: 0,
            slow_threshold: Duration::ZERO,
            answered: (0, Duration::ZERO),
            counts: OpCounts::default(),
        };
        tracker.configure(cfg);
        tracker
    }

    pub fn configure(&mut self, cfg: &Config) {
        self.enabled = cfg.bool("osd_enable_op_tracker");
        self.size = cfg.u64("osd_op_history_size") as usize;
        self.duration = cfg.secs("osd_op_history_duration");
        self.slow_size = cfg.u64("osd_op_history_slow_op_size") as usize;
        self.slow_threshold = cfg.secs("osd_op_history_slow_op_threshold");
        self.least = Duration::ZERO;
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// A trace for an op that arrived at `since` and reaches its PG now.
    pub fn begin(&mut self, since: Now, now: Now) -> Box<Trace> {
        let mut trace = self.free.pop().unwrap_or_default();
        trace.initiated = since;
        trace.events.clear();
        trace.sub_ops.clear();
        trace.mark(since, Event::QueuedForPg);
        trace.mark(now, Event::ReachedPg);
        trace
    }

    /// A client has its answer.
    pub fn answered(&mut self, now: Now, trace: &Trace) {
        self.answered.0 += 1;
        self.answered.1 += now.mono.saturating_sub(trace.initiated.mono);
    }

    /// A client's operation (it reads, it writes) has its answer, with so many bytes.
    pub fn count(&mut self, now: Now, trace: &Trace, kind: (bool, bool), bytes_in: u64, bytes_out: u64) {
        self.counts.add(kind, now.mono.saturating_sub(trace.initiated.mono), bytes_in, bytes_out);
    }

    pub fn counts(&self) -> &OpCounts {
        &self.counts
    }

    /// Counts from 0 again.
    pub fn forget_counts(&mut self) {
        self.counts = OpCounts::default();
    }

    /// How many operations of clients were answered since this was last asked, and how long they took together.
    pub fn take_answered(&mut self) -> (u64, Duration) {
        std::mem::take(&mut self.answered)
    }

    /// An op has ended. `describe` is asked only if it is worth keeping.
    pub fn finish(&mut self, now: Now, mut trace: Box<Trace>, describe: impl FnOnce() -> (String, Option<ClientInfo>)) {
        let took = now.mono.saturating_sub(trace.initiated.mono);
        if self.enabled && (self.history.len() < self.size || took > self.least || took >= self.slow_threshold) {
            trace.mark(now, Event::Done);
            let (description, client) = describe();
            self.keep(now, OpReport { description, client, trace: Trace::clone(&trace) });
        }
        if self.free.len() < FREE_MAX {
            self.free.push(trace);
        }
    }

    fn keep(&mut self, now: Now, op: OpReport) {
        if op.duration() >= self.slow_threshold && self.slow_size > 0 {
            self.slow.push(op.clone());
            self.slow.sort_by_key(|op| op.trace.initiated.mono);
            let over = self.slow.len().saturating_sub(self.slow_size);
            self.slow.drain(..over);
        }
        self.history.push(op);
        self.history.sort_by_key(|op| op.trace.initiated.mono);
        self.trim(now);
    }

    /// Forgets what is old, then what was quickest.
    fn trim(&mut self, now: Now) {
        let oldest = now.mono.saturating_sub(self.duration);
        self.history.retain(|op| op.trace.initiated.mono >= oldest);
        while self.history.len() > self.size {
            let quickest = (0..self.history.len()).min_by_key(|i| self.history[*i].duration());
            self.history.remove(quickest.expect("it is longer than its size"));
        }
        let full = self.history.len() >= self.size;
        self.least = self.history.iter().map(OpReport::duration).min().filter(|_| full).unwrap_or_default();
    }

    /// The ops that ended, by arrival or the slowest first.
    pub fn history(&mut self, now: Now, by_duration: bool) -> Vec<&OpReport> {
        self.trim(now);
        let mut all: Vec<&OpReport> = self.history.iter().collect();
        if by_duration {
            all.sort_by_key(|op| std::cmp::Reverse(op.duration()));
        }
        all
    }

    /// The ops that took longer than `osd_op_history_slow_op_threshold`, the last of them.
    pub fn slow_history(&self) -> &[OpReport] {
        &self.slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        let mono = Duration::from_millis(ms);
        Now { mono, wall: UTime::from_duration(Duration::from_secs(1_700_000_000) + mono) }
    }

    fn tracker(size: &str) -> Tracker {
        let mut cfg = Config::daemon();
        cfg.set("osd_op_history_size", size, types::options::Source::File).unwrap();
        Tracker::new(&cfg)
    }

    fn one(t: &mut Tracker, from: u64, to: u64) {
        let trace = t.begin(at(from), at(from));
        t.finish(at(to), trace, || (format!("op {from}"), None));
    }

    fn names(ops: &[&OpReport]) -> Vec<String> {
        ops.iter().map(|op| op.description.clone()).collect()
    }

    #[test]
    fn the_slowest_are_kept_until_they_are_old() {
        let mut t = tracker("2");
        one(&mut t, 0, 50);
        one(&mut t, 10, 12);
        one(&mut t, 20, 25);
        one(&mut t, 30, 31);
        assert_eq!(names(&t.history(at(40), false)), ["op 0", "op 20"]);
        assert_eq!(names(&t.history(at(600_010), false)), ["op 20"]);
        // What is quick is kept again as soon as there is room.
        one(&mut t, 600_020, 600_021);
        assert_eq!(names(&t.history(at(600_022), true)), ["op 600020"]);
    }

    #[test]
    fn an_op_tells_its_life_as_ceph_tells_it() {
        let mut t = tracker("20");
        let mut trace = t.begin(at(0), at(1));
        trace.mark(at(1), Event::Started);
        trace.sub_ops_sent(at(2), &[1, 2]);
        trace.mark(at(3), Event::SubOpCommit(1));
        trace.mark(at(4), Event::SubOpCommit(2));
        assert_eq!(trace.flag_point(), "waiting for sub ops");
        trace.mark(at(5), Event::CommitSent);
        t.finish(at(11_000), trace, || ("osd_op(x)".into(), None));
        assert_eq!(t.slow_history().len(), 1);
        let json = t.history(at(12_000), false)[0].dump(at(12_000)).to_json();
        for part in [
            r#""age":12,"duration":11,"type_data":{"flag_point":"commit sent; apply or cleanup","events":[{"event":"initiated","time":"2023-11-14T22:13:20.000000+0000","duration":0"#,
            r#"{"event":"waiting for subops from 1,2","time":"2023-11-14T22:13:20.002000+0000","duration":0.001"#,
            r#"{"event":"done","time":"2023-11-14T22:13:31.000000+0000","duration":11}"#,
        ] {
            assert!(json.contains(part), "{json}");
        }
    }

    fn explained(now: Now, act: impl FnOnce(&mut Trace)) -> String {
        let mut trace = tracker("20").begin(at(0), at(1));
        act(&mut trace);
        OpReport { description: "osd_op(x)".into(), client: None, trace: *trace }.explain(now, 3)
    }

    #[test]
    fn one_sentence_says_where_the_time_goes() {
        let queued = OpReport { description: "osd_op(x)".into(), client: None, trace: Trace::arrived(at(0)) };
        assert_eq!(
            queued.explain(at(9_000), 3),
            "osd_op(x) is under way for 9.000 s, of which 9.000 s in the queue of osd.3"
        );
        let delayed = explained(at(7_000), |t| t.mark(at(500), Event::Delayed("waiting for peered")));
        assert!(delayed.ends_with("6.500 s in its PG's state on osd.3 (waiting for peered)"), "{delayed}");
        let written = |own: u64, replica: u64| {
            explained(at(8_000), |t| {
                t.mark(at(10), Event::Started);
                t.sub_ops_sent(at(20), &[1, 2]);
                t.mark(at(30), Event::SubOpCommit(1));
                t.mark(at(own), Event::OpCommit);
                if replica > 0 {
                    t.mark(at(replica), Event::SubOpCommit(2));
                }
            })
        };
        let hangs = written(40, 0);
        assert!(hangs.ends_with("7.980 s in replica osd.2 (its disk, or the network to it)"), "{hangs}");
        let slow = written(5_020, 60);
        assert!(slow.ends_with("5.000 s in the disk of osd.3"), "{slow}");
    }
}
