//! `rados bench` and `rados cleanup`: the loads and the lines of Ceph's (`ObjBencher`).
//!
//! The object names and the record of the last run are Ceph's too, so that either tool reads and cleans
//! up what the other wrote.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use ::rados::{ObjectOp, Reply, Request};
use bytes::Bytes;
use denc::{Decoder, Encoder};
use types::dump::general_float;
use types::{OpArgs, OsdOp, UTime, op};

use super::super::session::Ticket;
use super::{ALL_NAMESPACES, Ctx, DEFAULT_OP_SIZE, Failure, Outcome, failed};

const LAST_RUN: &str = "benchmark_last_metadata";
const PREFIX: &str = "benchmark_data";

/// What a run left for those who read or remove its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastRun {
    object_size: u64,
    ops: u32,
    pid: u32,
    op_size: u64,
}

impl LastRun {
    fn encode(self) -> Bytes {
        let mut e = Encoder::new(0);
        e.u64(self.object_size);
        e.u32(self.ops);
        e.u32(self.pid);
        e.u64(self.op_size);
        e.finish()
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        let (object_size, ops, pid) = (d.u64().ok()?, d.u32().ok()?, d.u32().ok()?);
        Some(Self { object_size, ops, pid, op_size: d.u64().unwrap_or(object_size) })
    }

    fn ops_per_object(self) -> u64 {
        (self.object_size / self.op_size.max(1)).max(1)
    }

    fn objects(self) -> u64 {
        u64::from(self.ops).div_ceil(self.ops_per_object())
    }

    fn name(self, n: u64) -> String {
        object_name(self.pid, n)
    }
}

fn object_name(pid: u32, n: u64) -> String {
    format!("{PREFIX}_{}_{pid}_object{n}", super::super::hostname())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Seq,
    Rand,
}

/// Mean and spread of a series, updated one by one.
#[derive(Debug, Clone, Copy, Default)]
struct Series {
    n: u64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Series {
    fn add(&mut self, v: f64) {
        self.min = if self.n == 0 { v } else { self.min.min(v) };
        self.max = if self.n == 0 { v } else { self.max.max(v) };
        self.n += 1;
        let delta = v - self.mean;
        self.mean += delta / self.n as f64;
        self.squares += delta * (v - self.mean);
    }

    fn deviation(&self) -> f64 {
        if self.n > 1 { (self.squares / (self.n - 1) as f64).sqrt() } else { 0.0 }
    }
}

fn g(v: f64) -> String {
    general_float(v, 6)
}

/// The counters of a run, and its line a second.
struct Progress {
    show_time: bool,
    start: Instant,
    op_size: u64,
    in_flight: u64,
    started: u64,
    finished: u64,
    last_latency: f64,
    latency: Series,
    bandwidth: Series,
    iops: Series,
    seconds: u64,
    /// At the last line that showed progress.
    shown: u64,
    quiet_lines: u64,
}

impl Progress {
    fn new(show_time: bool, op_size: u64) -> Self {
        Self {
            show_time,
            start: Instant::now(),
            op_size,
            in_flight: 0,
            started: 0,
            finished: 0,
            last_latency: 0.0,
            latency: Series::default(),
            bandwidth: Series::default(),
            iops: Series::default(),
            seconds: 0,
            shown: 0,
            quiet_lines: 0,
        }
    }

    fn stamp(&self) -> String {
        if !self.show_time {
            return String::new();
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        format!("{} ", UTime::from_duration(now))
    }

    fn done(&mut self, took: Duration) {
        self.in_flight -= 1;
        self.finished += 1;
        self.last_latency = took.as_secs_f64();
        self.latency.add(self.last_latency);
    }

    /// Prints the lines that are due.
    fn tick(&mut self) {
        while self.start.elapsed() >= Duration::from_secs(self.seconds) {
            self.line();
            self.seconds += 1;
        }
    }

    fn until_line(&self) -> Duration {
        Duration::from_secs(self.seconds).saturating_sub(self.start.elapsed())
    }

    fn line(&mut self) {
        let stamp = self.stamp();
        if self.seconds.is_multiple_of(20) {
            if self.seconds > 0 {
                let l = &self.latency;
                outln!("{stamp}min lat: {} max lat: {} avg lat: {}", g(l.min), g(l.max), g(l.mean));
            }
            outln!("{stamp}  sec Cur ops   started  finished  avg MB/s  cur MB/s last lat(s)  avg lat(s)");
        }
        let mib = self.op_size as f64 / f64::from(1 << 20);
        let fresh = (self.finished - self.shown) as f64;
        if self.quiet_lines > 0 {
            self.bandwidth.add(fresh * mib / self.quiet_lines as f64);
            self.iops.add((fresh / self.quiet_lines as f64).floor());
        }
        let average = self.finished as f64 * mib / self.start.elapsed().as_secs_f64().max(1e-9);
        let (current, last) = if fresh > 0.0 && self.quiet_lines > 0 {
            (g(fresh * mib / self.quiet_lines as f64), g(self.last_latency))
        } else {
            ("0".to_owned(), "-".to_owned())
        };
        if fresh > 0.0 {
            self.shown = self.finished;
            self.quiet_lines = 0;
        }
        self.quiet_lines += 1;
        outln!(
            "{stamp}{:>5} {:>7} {:>9} {:>9} {:>9} {:>9} {:>11} {:>11}",
            self.seconds,
            self.in_flight,
            self.started,
            self.finished,
            g(average),
            current,
            last,
            g(self.latency.mean)
        );
    }

    fn summary(&self, kind: Kind, object_size: u64) {
        let elapsed = self.start.elapsed().as_secs_f64();
        let bandwidth = self.finished as f64 * self.op_size as f64 / elapsed / f64::from(1 << 20);
        let average = (self.finished as f64 / elapsed) as u64;
        // A run shorter than a second has no line to count by.
        let (most, least) =
            if self.iops.n > 0 { (self.iops.max, self.iops.min) } else { (average as f64, average as f64) };
        let l = &self.latency;
        let stamp = self.stamp();
        if kind == Kind::Write {
            outln!("{stamp}Total time run:         {}", g(elapsed));
            outln!("Total writes made:      {}", self.finished);
            outln!("Write size:             {}", self.op_size);
            outln!("Object size:            {object_size}");
            outln!("Bandwidth (MB/sec):     {}", g(bandwidth));
            outln!("Stddev Bandwidth:       {}", g(self.bandwidth.deviation()));
            outln!("Max bandwidth (MB/sec): {}", g(self.bandwidth.max));
            outln!("Min bandwidth (MB/sec): {}", g(self.bandwidth.min));
            outln!("Average IOPS:           {average}");
            outln!("Stddev IOPS:            {}", g(self.iops.deviation()));
            outln!("Max IOPS:               {most}");
            outln!("Min IOPS:               {least}");
            outln!("Average Latency(s):     {}", g(l.mean));
            outln!("Stddev Latency(s):      {}", g(l.deviation()));
            outln!("Max latency(s):         {}", g(l.max));
            outln!("Min latency(s):         {}", g(l.min));
        } else {
            outln!("{stamp}Total time run:       {}", g(elapsed));
            outln!("Total reads made:     {}", self.finished);
            outln!("Read size:            {}", self.op_size);
            outln!("Object size:          {object_size}");
            outln!("Bandwidth (MB/sec):   {}", g(bandwidth));
            outln!("Average IOPS:         {average}");
            outln!("Stddev IOPS:          {}", g(self.iops.deviation()));
            outln!("Max IOPS:             {most}");
            outln!("Min IOPS:             {least}");
            outln!("Average Latency(s):   {}", g(l.mean));
            outln!("Max latency(s):       {}", g(l.max));
            outln!("Min latency(s):       {}", g(l.min));
        }
    }
}

/// The content of one op: its number, then a filler, so that a reader knows what belongs where.
fn content(op_size: u64, n: u64) -> Bytes {
    let mut bytes = vec![b'z'; op_size as usize];
    let tag = format!("I'm the {n:16}th op!\0");
    let len = tag.len().min(bytes.len());
    bytes[..len].copy_from_slice(&tag.as_bytes()[..len]);
    bytes.into()
}

pub(super) fn bench(ctx: &mut Ctx) -> Outcome {
    let text = ctx.word(0, "the seconds to run")?;
    let seconds: u64 = text.parse().map_err(|_| Failure(format!("Invalid value for seconds: '{text}'"), 1))?;
    let kind = match ctx.word(1, "write, seq or rand")?.as_str() {
        "write" => Kind::Write,
        "seq" => Kind::Seq,
        "rand" => Kind::Rand,
        other => return Err(Failure(format!("bench: '{other}' is none of write, seq, rand"), 1)),
    };
    let record = ctx.o.run_name.clone().unwrap_or_else(|| LAST_RUN.to_owned());
    let run = match kind {
        Kind::Write => {
            outln!("hints = 1");
            let op_size = ctx.o.op_size.unwrap_or(DEFAULT_OP_SIZE).max(1);
            let object_size = ctx.o.object_size.unwrap_or(op_size).max(op_size);
            LastRun { object_size, ops: 0, pid: std::process::id(), op_size }
        }
        _ => last_run(ctx, &record)?.ok_or_else(|| {
            Failure("Must write data before running a read benchmark!\nerror during benchmark: (2) No such file or directory".to_owned(), 1)
        })?,
    };
    let limit = Duration::from_secs(seconds);
    if kind != Kind::Write {
        return load(ctx, kind, run, limit).map(drop);
    }
    outln!(
        "Maintaining {} concurrent writes of {} bytes to objects of size {} for up to {seconds} seconds or {} objects",
        ctx.o.concurrent,
        run.op_size,
        run.object_size,
        ctx.o.max_objects
    );
    outln!("Object prefix: {PREFIX}_{}_{}", super::super::hostname(), run.pid);
    let ops = load(ctx, kind, run, limit)?;
    let run = LastRun { ops: u32::try_from(ops).unwrap_or(u32::MAX), ..run };
    let op = ctx.object(&record).write_full(run.encode());
    ctx.run(op, "error during benchmark")?;
    if !ctx.o.no_cleanup {
        outln!("Cleaning up (deleting benchmark objects)");
        let start = Instant::now();
        remove(ctx, (0..run.objects()).map(|n| run.name(n)).collect())?;
        outln!("Clean up completed and total clean up time :{}", g(start.elapsed().as_secs_f64()));
        let op = ctx.object(&record).remove();
        ctx.run(op, "error during cleanup")?;
    }
    Ok(())
}

fn last_run(ctx: &mut Ctx, record: &str) -> Result<Option<LastRun>, Failure> {
    let reply = ctx.session.op(ctx.object(record).read(0, 64))?;
    match reply.result {
        r if r == -types::errno::ENOENT => Ok(None),
        r if r < 0 => Err(failed("error during benchmark", r)),
        _ => Ok(LastRun::decode(reply.data(0))),
    }
}

/// Keeps as many ops under way as asked for; gives how many were done.
fn load(ctx: &mut Ctx, kind: Kind, run: LastRun, limit: Duration) -> Result<u64, Failure> {
    let per_object = run.ops_per_object();
    let most = match kind {
        Kind::Write if ctx.o.max_objects > 0 => ctx.o.max_objects * per_object,
        Kind::Seq => u64::from(run.ops),
        _ => u64::MAX,
    };
    let filler = content(run.op_size, 0);
    let mut chance = u64::from(run.pid) << 20 | 1;
    let mut progress = Progress::new(ctx.o.show_time, run.op_size);
    let mut flying: HashMap<Ticket, (Instant, u64)> = HashMap::new();
    loop {
        while flying.len() < ctx.o.concurrent && progress.started < most && progress.start.elapsed() < limit {
            let n = match kind {
                Kind::Rand => next(&mut chance) % u64::from(run.ops).max(1),
                _ => progress.started,
            };
            let object = ctx.object(&run.name(n / per_object));
            let offset = n % per_object * run.op_size;
            let op = match kind {
                Kind::Write => write_op(object, run, offset, tagged(&filler, n)),
                _ => object.read(offset, run.op_size),
            };
            flying.insert(ctx.session.submit(Request::Op(Box::new(op))), (Instant::now(), n));
            progress.started += 1;
            progress.in_flight += 1;
        }
        progress.tick();
        if flying.is_empty() {
            break;
        }
        let Some((ticket, reply)) = ctx.session.next_reply(progress.until_line()) else { continue };
        let Some((began, n)) = flying.remove(&ticket) else { continue };
        progress.done(began.elapsed());
        check(kind, &reply, n, &filler, ctx.o.no_verify)?;
    }
    progress.summary(kind, run.object_size);
    Ok(progress.finished)
}

fn write_op(object: ObjectOp, run: LastRun, offset: u64, data: Bytes) -> ObjectOp {
    let (expected_object_size, expected_write_size) = (run.object_size, run.op_size);
    // Written and read in order, append-only, immutable: what Ceph's benchmark hints.
    const HINTS: u32 = 1 | 4 | 16 | 32;
    let args = OpArgs::AllocHint { expected_object_size, expected_write_size, flags: HINTS };
    object
        .push(OsdOp { flags: types::op_flag::FAILOK, ..OsdOp::new(op::SETALLOCHINT, args, Bytes::new()) })
        .write(offset, data)
}

/// The filler with the number of an op in front.
fn tagged(filler: &Bytes, n: u64) -> Bytes {
    let tag = content((filler.len() as u64).min(64), n);
    let mut bytes = filler.to_vec();
    bytes[..tag.len()].copy_from_slice(&tag);
    bytes.into()
}

fn check(kind: Kind, reply: &Reply, n: u64, filler: &Bytes, unverified: bool) -> Outcome {
    match reply {
        Reply::Op(reply) if reply.result < 0 => Err(failed("error during benchmark", reply.result)),
        Reply::Op(reply) if kind != Kind::Write && !unverified && reply.data(0) != tagged(filler, n) => {
            Err(Failure(format!("op {n} is not correct: what was read is not what the benchmark wrote"), 1))
        }
        Reply::Op(_) => Ok(()),
        Reply::Failed(errno) => Err(failed("error during benchmark", *errno)),
        _ => Err(Failure("the client answered something else".to_owned(), 1)),
    }
}

/// A xorshift: enough to choose what to read.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn remove(ctx: &mut Ctx, names: Vec<String>) -> Outcome {
    let mut waiting = names.into_iter();
    let mut flying = BTreeSet::new();
    let mut removed = 0u64;
    loop {
        while flying.len() < ctx.o.concurrent {
            let Some(name) = waiting.next() else { break };
            let op = ctx.object(&name).remove();
            flying.insert(ctx.session.submit(Request::Op(Box::new(op))));
        }
        if flying.is_empty() {
            break;
        }
        let Some((ticket, reply)) = ctx.session.next_reply(Duration::from_secs(1)) else { continue };
        if !flying.remove(&ticket) {
            continue;
        }
        match reply {
            Reply::Op(r) if r.result < 0 && r.result != -types::errno::ENOENT => {
                return Err(failed("error during cleanup", r.result));
            }
            Reply::Failed(errno) => return Err(failed("error during cleanup", errno)),
            _ => removed += 1,
        }
    }
    outln!("Removed {removed} object{}", if removed == 1 { "" } else { "s" });
    Ok(())
}

/// Removes what a run left; without its record by looking for names that begin so.
pub(super) fn cleanup(ctx: &mut Ctx) -> Outcome {
    let record = ctx.o.run_name.clone().unwrap_or_else(|| LAST_RUN.to_owned());
    let prefix = ctx.o.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
    if !prefix.starts_with(PREFIX) {
        return Err(Failure(format!("Specified --prefix invalid, it must begin with \"{PREFIX}\""), 1));
    }
    if ctx.o.prefix.is_none()
        && let Some(run) = last_run(ctx, &record)?
    {
        remove(ctx, (0..run.objects()).map(|n| run.name(n)).collect())?;
        let op = ctx.object(&record).remove();
        return ctx.run(op, "error during cleanup").map(drop);
    }
    if ctx.o.prefix.is_none() {
        // No benchmark has left anything.
        return Ok(());
    }
    outln!("Warning: using slow linear search");
    let mut names = Vec::new();
    let nspace = if ctx.o.all { ALL_NAMESPACES.to_vec() } else { ctx.o.nspace.clone() };
    ctx.each_object(&nspace, |o| {
        if o.oid.as_bytes().starts_with(prefix.as_bytes()) {
            names.push(o.oid.to_string_lossy().into_owned());
        }
        Ok(())
    })?;
    remove(ctx, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_run_says_how_many_objects_it_made() {
        let run = LastRun { object_size: 16, ops: 9, pid: 7, op_size: 4 };
        assert_eq!(LastRun::decode(run.encode()), Some(run));
        assert_eq!(run.objects(), 3);
        assert_eq!(LastRun::decode(Bytes::new()), None);
    }

    #[test]
    fn each_op_has_content_of_its_own() {
        let filler = content(64, 0);
        assert_eq!(tagged(&filler, 5), content(64, 5));
        assert_ne!(tagged(&filler, 5), tagged(&filler, 6));
        assert_eq!(tagged(&content(3, 0), 1), content(3, 1));
    }
}
