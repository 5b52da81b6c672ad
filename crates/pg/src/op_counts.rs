//! What clients asked for and how long it took: sums for `perf dump`, and by size and time for `perf histogram dump`
//! (Ceph: `PrimaryLogPG::log_op_stats`, `PerfHistogram`).

use std::time::Duration;

use types::dump::Dump;

/// Ceph's axes have so many buckets each: one for what is below the axis, one for the first quantum, then doubling.
const BUCKETS: usize = 32;
/// Of the axis of time, in nanoseconds (Ceph names it microseconds).
const QUANT_TIME: u64 = 100_000;
/// Of the axis of sizes, in bytes.
const QUANT_SIZE: u64 = 512;

/// How often, and how long together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    count: u64,
    sum: Duration,
}

impl Latency {
    pub fn add(&mut self, took: Duration) {
        self.count += 1;
        self.sum += took;
    }

    /// As `perf dump` shows it.
    pub fn dump(&self) -> Dump {
        let sum = self.sum.as_secs_f64();
        let average = if self.count == 0 { 0.0 } else { sum / self.count as f64 };
        Dump::obj().with("avgcount", self.count).with("sum", sum).with("avgtime", average)
    }
}

/// Counts by how long something took, and how large it was.
#[derive(Debug, Clone)]
pub struct Histogram(Vec<u64>);

impl Default for Histogram {
    fn default() -> Self {
        Self(vec![0; BUCKETS * BUCKETS])
    }
}

fn bucket(value: u64, quant: u64) -> usize {
    match value / quant {
        0 => 1,
        n => (n.ilog2() as usize + 2).min(BUCKETS - 1),
    }
}

fn axis(name: &'static str, quant: u64) -> Dump {
    let end = |n: usize| quant << (n - 1);
    let range = |n: usize| match n {
        0 => Dump::obj().with("max", -1i8),
        1 => Dump::obj().with("min", 0u8).with("max", end(1) - 1),
        n if n == BUCKETS - 1 => Dump::obj().with("min", end(n - 1)),
        n => Dump::obj().with("min", end(n - 1)).with("max", end(n) - 1),
    };
    Dump::obj()
        .with("name", name)
        .with("min", 0u8)
        .with("quant_size", quant)
        .with("buckets", BUCKETS)
        .with("scale_type", "log2")
        .with("ranges", Dump::arr("bucket", (0..BUCKETS).map(range)))
}

impl Histogram {
    fn add(&mut self, took: Duration, bytes: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos, QUANT_TIME) * BUCKETS + bucket(bytes, QUANT_SIZE)] += 1;
    }

    fn dump(&self) -> Dump {
        let axes = [axis("Latency (usec)", QUANT_TIME), axis("Request size (bytes)", QUANT_SIZE)];
        let rows = self.0.chunks(BUCKETS).map(|row| Dump::arr("value", row.iter().copied()));
        Dump::obj().with("axes", Dump::arr("axis", axes)).with("values", Dump::arr("value", rows))
    }
}

/// Operations of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Kind {
    bytes_in: u64,
    bytes_out: u64,
    latency: Latency,
}

impl Kind {
    fn add(&mut self, took: Duration, bytes_in: u64, bytes_out: u64) {
        self.latency.add(took);
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
    }
}

/// What was answered to clients, by whether it read, wrote, or did both.
#[derive(Debug, Clone, Default)]
pub struct OpCounts {
    all: Kind,
    reads: Kind,
    writes: Kind,
    both: Kind,
    reads_out: Histogram,
    writes_in: Histogram,
    both_in: Histogram,
    both_out: Histogram,
}

impl OpCounts {
    pub fn add(&mut self, (read, write): (bool, bool), took: Duration, bytes_in: u64, bytes_out: u64) {
        self.all.add(took, bytes_in, bytes_out);
        match (read, write) {
            (true, true) => {
                self.both.add(took, bytes_in, bytes_out);
                self.both_in.add(took, bytes_in);
                self.both_out.add(took, bytes_out);
            }
            (_, true) => {
                self.writes.add(took, bytes_in, bytes_out);
                self.writes_in.add(took, bytes_in);
            }
            _ => {
                self.reads.add(took, bytes_in, bytes_out);
                self.reads_out.add(took, bytes_out);
            }
        }
    }

    /// The first part of `perf dump osd`.
    pub fn dump(&self) -> Dump {
        let Self { all, reads, writes, both, .. } = self;
        Dump::obj()
            .with("op", all.latency.count)
            .with("op_in_bytes", all.bytes_in)
            .with("op_out_bytes", all.bytes_out)
            .with("op_latency", all.latency.dump())
            .with("op_r", reads.latency.count)
            .with("op_r_out_bytes", reads.bytes_out)
            .with("op_r_latency", reads.latency.dump())
            .with("op_w", writes.latency.count)
            .with("op_w_in_bytes", writes.bytes_in)
            .with("op_w_latency", writes.latency.dump())
            .with("op_rw", both.latency.count)
            .with("op_rw_in_bytes", both.bytes_in)
            .with("op_rw_out_bytes", both.bytes_out)
            .with("op_rw_latency", both.latency.dump())
    }

    /// `perf histogram dump osd`.
    pub fn histograms(&self) -> Dump {
        Dump::obj()
            .with("op_r_latency_out_bytes_histogram", self.reads_out.dump())
            .with("op_w_latency_in_bytes_histogram", self.writes_in.dump())
            .with("op_rw_latency_in_bytes_histogram", self.both_in.dump())
            .with("op_rw_latency_out_bytes_histogram", self.both_out.dump())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_where_ceph_s_ranges_put_it() {
        assert_eq!([0, 511, 512, 1_023, 1_024, 4_096].map(|n| bucket(n, QUANT_SIZE)), [1, 1, 2, 2, 3, 5]);
        assert_eq!([3_200_000, 6_399_999, u64::MAX].map(|n| bucket(n, QUANT_TIME)), [7, 7, 31]);
        let ranges = r#""ranges":[{"max":-1},{"min":0,"max":99999},{"min":100000,"max":199999},"#;
        assert!(axis("Latency (usec)", QUANT_TIME).to_json().contains(ranges));
    }

    #[test]
    fn an_operation_counts_by_what_it_did() {
        let mut counts = OpCounts::default();
        let ms = Duration::from_millis;
        counts.add((true, false), ms(1), 0, 4_096);
        counts.add((false, true), ms(3), 8_192, 0);
        counts.add((true, true), ms(2), 10, 20);
        let d = counts.dump().to_json();
        for part in [
            r#""op":3,"op_in_bytes":8202,"op_out_bytes":4116,"op_latency":{"avgcount":3,"sum":0.006"#,
            r#""op_r":1,"op_r_out_bytes":4096"#,
            r#""op_w":1,"op_w_in_bytes":8192"#,
            r#""op_rw":1,"op_rw_in_bytes":10,"op_rw_out_bytes":20"#,
        ] {
            assert!(d.contains(part), "{d}");
        }
    }
}
