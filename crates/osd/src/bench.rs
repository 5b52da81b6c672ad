//! `ceph tell osd.N bench`: how fast this OSD's store takes writes, without network and replicas.
//!
//! Blocks go to a few objects of the OSD's own, several under way at a time; the answer comes when the last is on
//! disk, and the objects are gone then. PGs go on meanwhile.

use std::time::Duration;

use bytes::Bytes;
use messages::{MCommandReply, Message};
use node::{ConnId, Dest, Now, Output, Token};
use os::{Coll, ObjectRead, Transaction, TxOp};
use types::command::Args;
use types::dump::{Dump, Format};
use types::errno::{EBUSY, EINVAL, ENOSPC};
use types::options::Config;
use types::{GHObject, HObject, op_flag};

use crate::Osd;

/// So many blocks are under way, each in an object of its own.
const DEPTH: u64 = 16;

#[derive(Debug)]
pub(crate) struct Bench {
    /// Who waits for the answer.
    asker: Option<(ConnId, u64)>,
    format: Format,
    count: u64,
    block: Bytes,
    /// By the monotonic clock.
    started: Duration,
    submitted: u64,
    /// Numbers of the transactions under way, oldest first.
    under_way: std::collections::VecDeque<Token>,
}

fn object(n: u64) -> GHObject {
    HObject { oid: format!("disk_bw_test_{n}").as_str().into(), ..HObject::default() }.into()
}

/// A number of bytes as Ceph writes it in a sentence.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(bits, _)| bytes >> bits > 0) {
        Some((bits, unit)) => format!("{} {unit}", bytes >> bits),
        None => format!("{bytes} B"),
    }
}

impl Bench {
    /// (Ceph: the limits of `osd_bench_*`, so that nobody stops an OSD with it.)
    pub(crate) fn new(args: &Args, cfg: &Config, available: u64) -> Result<Self, (i32, String)> {
        let number = |name| args.i64(name).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let (count, mut block) = (number("count").unwrap_or(1 << 30), number("size").unwrap_or(4 << 20));
        let (largest, secs) = (cfg.u64("osd_bench_max_block_size"), cfg.u64("osd_bench_duration"));
        if block > largest {
            let largest = size(largest);
            let why = format!(
                "block 'size' values are capped at {largest}. If you wish to use a higher value, please adjust \
                 'osd_bench_max_block_size'"
            );
            return Err((EINVAL, why));
        }
        let (limit, rate, option) = if block < 1 << 20 {
            let iops = cfg.u64("osd_bench_small_size_max_iops");
            (block.saturating_mul(secs).saturating_mul(iops), format!("{iops} IOPS"), "osd_bench_small_size_max_iops")
        } else {
            let bytes = cfg.u64("osd_bench_large_size_max_throughput");
            (bytes.saturating_mul(secs), format!("{}/s", size(bytes)), "osd_bench_large_size_max_throughput")
        };
        if count > limit {
            let why = format!(
                "'count' values greater than {limit} for a block size of {}, assuming {rate}, for {secs} seconds, can \
                 cause ill effects on osd.  Please adjust '{option}' with a higher value if you wish to use a higher \
                 'count'.",
                size(block)
            );
            return Err((EINVAL, why));
        }
        if let Some(object) = number("object_size") {
            block = block.min(object);
        }
        if available < (2 * DEPTH * block).max(256 << 20) {
            return Err((ENOSPC, "the disk is too full to be measured".into()));
        }
        Ok(Self {
            asker: None,
            format: Format::parse(args.format()).unwrap_or(Format::JsonPretty),
            count,
            block: Bytes::from(vec![0xa5; block as usize]),
            started: Duration::ZERO,
            submitted: 0,
            under_way: std::collections::VecDeque::new(),
        })
    }

    fn result(&self, now: Now) -> String {
        let secs = (now.mono - self.started).as_secs_f64().max(1e-9);
        let bytes = self.submitted as f64;
        Dump::obj()
            .with("bytes_written", self.count)
            .with("blocksize", self.block.len())
            .with("elapsed_sec", secs)
            .with("bytes_per_sec", bytes / secs)
            .with("iops", bytes / secs / self.block.len() as f64)
            .render(self.format, "osd_bench_results")
    }
}

impl Osd {
    /// Takes a command's wish; [`Osd::begin_bench`] follows.
    pub(crate) fn want_bench(&mut self, store: &dyn ObjectRead, args: &Args) -> Result<(), (i32, String)> {
        if self.bench.is_some() {
            return Err((EBUSY, "a benchmark runs already".into()));
        }
        self.bench = Some(Bench::new(args, &self.cfg, store.statfs().available)?);
        Ok(())
    }

    /// Whether the command just answered was a wish for a benchmark: then the answer comes when it is done.
    pub(crate) fn begin_bench(&mut self, now: Now, conn: ConnId, tid: u64, out: &mut Vec<Output>) -> bool {
        let Some(bench) = self.bench.as_mut().filter(|b| b.asker.is_none()) else { return false };
        bench.asker = Some((conn, tid));
        bench.started = now.mono;
        self.write_bench(out);
        true
    }

    /// Nobody can be told at the admin socket when it is done.
    pub(crate) fn drop_bench(&mut self) -> bool {
        self.bench.take_if(|b| b.asker.is_none()).is_some()
    }

    fn write_bench(&mut self, out: &mut Vec<Output>) {
        let Some(mut bench) = self.bench.take() else { return };
        while bench.submitted < bench.count && (bench.under_way.len() as u64) < DEPTH {
            let n = bench.submitted / bench.block.len() as u64 % DEPTH;
            let len = (bench.count - bench.submitted).min(bench.block.len() as u64);
            let data = bench.block.slice(..len as usize);
            // The disk is measured, not memory.
            let fadvise = op_flag::FADVISE_DONTNEED;
            let write = TxOp::Write { coll: Coll::Meta, oid: object(n), off: 0, data, fadvise };
            bench.under_way.push_back(self.submit_own(Transaction { ops: vec![write] }, out));
            bench.submitted += len;
        }
        self.bench = Some(bench);
    }

    /// A transaction is on disk; perhaps it was the benchmark's.
    pub(crate) fn bench_committed(&mut self, now: Now, token: Token, out: &mut Vec<Output>) {
        let Some(bench) = self.bench.as_mut().filter(|b| b.asker.is_some()) else { return };
        if bench.under_way.front() != Some(&token) {
            return;
        }
        bench.under_way.pop_front();
        if bench.submitted < bench.count || !bench.under_way.is_empty() {
            return self.write_bench(out);
        }
        let bench = self.bench.take().expect("just looked");
        let remove = |n| TxOp::Remove { coll: Coll::Meta, oid: object(n) };
        self.submit_own(Transaction { ops: (0..DEPTH).map(remove).collect() }, out);
        if let Some((conn, tid)) = bench.asker {
            let reply = MCommandReply { r: 0, rs: String::new(), data: Bytes::from(bench.result(now)) };
            let msg = Message { tid, ..Message::from(reply) };
            out.push(Output::Send { to: Dest::Conn(conn), msg, after: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str, available: u64) -> Result<Bench, (i32, String)> {
        Bench::new(&Args::parse(&[json.to_owned()]).unwrap(), &Config::daemon(), available)
    }

    #[test]
    fn what_would_stop_the_osd_for_long_is_refused_in_cephs_words() {
        let (errno, why) = asked(r#"{"prefix":"bench","count":100000000000,"size":4096}"#, 1 << 40).unwrap_err();
        assert_eq!(errno, EINVAL);
        let begin = "'count' values greater than 12288000 for a block size of 4 KiB, assuming 100 IOPS, for 30 seconds";
        assert!(why.starts_with(begin), "{why}");
        assert_eq!(asked(r#"{"prefix":"bench"}"#, 1 << 20).unwrap_err().0, ENOSPC);
        let bench = asked(r#"{"prefix":"bench"}"#, 1 << 40).unwrap();
        assert_eq!((bench.count, bench.block.len()), (1 << 30, 4 << 20));
    }
}
