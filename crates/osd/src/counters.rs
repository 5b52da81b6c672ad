//! What this OSD counts and measures: `perf …`, `dump_mempools`, `cache status`, `dump_pg_recovery_stats`.
//!
//! Names are Ceph's, since exporters and dashboards read them; what is not counted here is left out, not made up.

use std::time::Duration;

use os::ObjectRead;
use pg::{Latency, StateTimes};
use types::dump::Dump;

use crate::Osd;

/// What counters mean, and whether they only grow. What is not here is a pair of a count and a time.
const MEANINGS: &[(&str, bool, &str)] = &[
    ("op_wip", false, "operations of clients under way"),
    ("op", true, "operations of clients that were answered"),
    ("op_in_bytes", true, "bytes that clients wrote"),
    ("op_out_bytes", true, "bytes that clients read"),
    ("op_r", true, "operations that read"),
    ("op_r_out_bytes", true, "bytes that operations read"),
    ("op_w", true, "operations that wrote"),
    ("op_w_in_bytes", true, "bytes that operations wrote"),
    ("op_rw", true, "operations that read and wrote"),
    ("op_rw_in_bytes", true, "bytes that they wrote"),
    ("op_rw_out_bytes", true, "bytes that they read"),
    ("subop", true, "writes for other OSDs"),
    ("subop_in_bytes", true, "bytes of them"),
    ("numpg", false, "PGs here"),
    ("numpg_primary", false, "PGs that are led here"),
    ("numpg_replica", false, "PGs of which a copy here serves"),
    ("numpg_stray", false, "PGs of which a copy is here that does not serve"),
    ("numpg_removing", false, "PGs that are being removed"),
    ("heartbeat_to_peers", false, "OSDs that are pinged"),
    ("map_message_epochs", false, "epoch of the newest map"),
    ("stat_bytes", false, "bytes of the disk"),
    ("stat_bytes_used", false, "bytes that are used"),
    ("stat_bytes_avail", false, "bytes that are free"),
    ("client_wait_undisturbed", false, "seconds that clients wait while nothing is recovered"),
    ("share_of_limits", false, "the share of its limits that recovery has"),
];

/// Writes for other OSDs; what clients asked for is counted where it is answered ([`pg::OpCounts`]).
#[derive(Debug, Default)]
pub struct SubOpCounts {
    bytes: u64,
    count: u64,
    latency: Latency,
}

impl SubOpCounts {
    pub fn add(&mut self, took: Duration, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.latency.add(took);
    }
}

impl Osd {
    /// `perf dump`.
    pub(crate) fn perf(&self, store: &dyn ObjectRead) -> Dump {
        let s = store.statfs();
        let in_flight: usize = self.pgs.values().map(|pg| pg.ops_in_flight().len()).sum();
        let removing = self.pgs.values().filter(|pg| pg.is_deleting()).count();
        let led = self.pgs.values().filter(|pg| pg.is_primary()).count();
        let serving =
            self.pgs.values().filter(|pg| !pg.is_deleting() && pg.acting().contains(&self.setup.whoami)).count();
        let mut osd = Dump::obj().with("op_wip", in_flight);
        osd.extend(self.tracker.counts().dump());
        let subs = self.sub_ops.counts();
        let osd = osd
            .with("subop", subs.count)
            .with("subop_in_bytes", subs.bytes)
            .with("subop_latency", subs.latency.dump())
            .with("numpg", self.pgs.len())
            .with("numpg_primary", led)
            .with("numpg_replica", serving.saturating_sub(led))
            .with("numpg_stray", self.pgs.len() - removing - serving)
            .with("numpg_removing", removing)
            .with("heartbeat_to_peers", self.heartbeats.peers().len())
            .with("map_message_epochs", self.epoch())
            .with("stat_bytes", s.total)
            .with("stat_bytes_used", s.total - s.available.min(s.total))
            .with("stat_bytes_avail", s.available);
        let (wait, share) = self.recovery.pace();
        let recovery = Dump::obj().with("client_wait_undisturbed", wait).with("share_of_limits", share);
        Dump::obj().with("osd", osd).with("recovery", recovery)
    }

    /// `perf schema`: what the counters are.
    pub(crate) fn perf_schema(&self, store: &dyn ObjectRead) -> Dump {
        described(self.perf(store), counter)
    }

    /// `perf histogram dump`: of each logger its histograms.
    pub(crate) fn histograms(&self, store: &dyn ObjectRead) -> Dump {
        let Dump::Object(mut all) = self.perf(store).loggers() else { return Dump::obj() };
        for (_, histograms) in all.iter_mut().filter(|(logger, _)| *logger == "osd") {
            *histograms = self.tracker.counts().histograms();
        }
        Dump::Object(all)
    }

    pub(crate) fn histogram_schema(&self, store: &dyn ObjectRead) -> Dump {
        described(self.histograms(store), |name, _| {
            let what = if name.contains("_out_") { "read" } else { "written" };
            let what = format!("operations by how long they took, and how much was {what}");
            entry(26, ("counter", "integer-2d-histogram"), what, "none")
        })
    }

    /// Counts from 0 again.
    pub(crate) fn reset_counters(&mut self, which: &str) -> Dump {
        if which != "all" && which != "osd" {
            return Dump::obj().with("error", format!("Not find: {which}"));
        }
        self.tracker.forget_counts();
        self.sub_ops.forget_counts();
        Dump::obj().with("success", format!("perf reset {which}"))
    }

    /// `dump_mempools`, of what is counted: logs of PGs and maps of the cluster.
    pub(crate) fn mempools(&self) -> Dump {
        let (mut log, mut total) = ((0, 0), (0, 0));
        for pg in self.pgs.values() {
            let ((items, bytes), _) = pg.memory();
            log = (log.0 + items, log.1 + bytes);
        }
        let maps = self.maps.as_ref().map_or((0, 0), crate::maps::Maps::memory);
        let mut pools = Dump::obj();
        for (name, (items, bytes)) in [("osd_pglog", log), ("osd_mapbl", maps)] {
            pools.put(name, Dump::obj().with("items", items).with("bytes", bytes));
            total = (total.0 + items, total.1 + bytes);
        }
        let total = Dump::obj().with("items", total.0).with("bytes", total.1);
        Dump::obj().with("mempool", Dump::obj().with("by_pool", pools).with("total", total))
    }

    /// `cache status`: objects whose metadata PGs have in hand. Data is cached by the system, not here.
    pub(crate) fn cache_status(&self) -> Dump {
        Dump::obj().with("object_ctx", self.pgs.values().map(|pg| pg.memory().1).sum::<usize>())
    }

    /// `dump_pg_recovery_stats`, of the PGs that are here now.
    pub(crate) fn state_times(&self) -> Dump {
        let mut sum = StateTimes::new();
        self.pgs.values().for_each(|pg| pg::add_times(&mut sum, pg.state_times()));
        pg::dump_times(&sum)
    }

    /// `dump_op_pq_state`: there is one queue, of PGs that have something to do.
    pub(crate) fn queue(&self) -> Dump {
        let pgs = self.run_queue.iter().map(|id| id.pgid.to_string());
        Dump::obj().with("run_queue", Dump::obj().with("pgs", Dump::arr("pg", pgs)))
    }
}

/// A tree of counters with what each is in place of its value.
fn described(tree: Dump, of: impl Fn(&str, &Dump) -> Dump) -> Dump {
    let Dump::Object(loggers) = tree else { return Dump::obj() };
    let logger = |counters| match counters {
        Dump::Object(counters) => {
            let all = counters.into_iter().map(|(name, value)| {
                let schema = of(&name, &value);
                (name, schema)
            });
            Dump::Object(all.collect())
        }
        _ => Dump::obj(),
    };
    Dump::Object(loggers.into_iter().map(|(name, counters)| (name, logger(counters))).collect())
}

/// (Ceph: `perfcounter_type_d`.)
fn counter(name: &str, value: &Dump) -> Dump {
    const TIME: u8 = 1;
    const U64: u8 = 2;
    const AVERAGE: u8 = 4;
    const COUNTER: u8 = 8;
    if matches!(value, Dump::Object(_)) {
        let what = "how often, and how long together; what is answered at once takes no time".to_owned();
        return entry(TIME | AVERAGE, ("gauge", "real-integer-pair"), what, "none");
    }
    let meaning = MEANINGS.iter().find(|m| m.0 == name);
    let (grows, what) = meaning.map_or((false, ""), |m| (m.1, m.2));
    let units = if name.contains("bytes") { "bytes" } else { "none" };
    match grows {
        true => entry(U64 | COUNTER, ("counter", "integer"), what.to_owned(), units),
        false => entry(U64, ("gauge", "integer"), what.to_owned(), units),
    }
}

fn entry(kind: u8, (metric, value): (&'static str, &'static str), what: String, units: &'static str) -> Dump {
    Dump::obj()
        .with("type", kind)
        .with("metric_type", metric)
        .with("value_type", value)
        .with("description", what)
        .with("nick", "")
        .with("priority", 0u8)
        .with("units", units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plain_counter_says_what_it_counts() {
        let all = pg::OpCounts::default().dump();
        let Dump::Object(counters) = all else { panic!("counters have names") };
        for (name, value) in counters {
            let known = MEANINGS.iter().any(|m| m.0 == name);
            assert!(known || matches!(value, Dump::Object(_)), "{name}");
        }
    }
}
