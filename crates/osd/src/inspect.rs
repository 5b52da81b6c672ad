//! What operators and their scripts ask of an OSD beside its work: watchers, blocklist, options, statistics.
//!
//! Answers have Ceph's shape; what is not counted here is not made up.

use std::time::Duration;

use node::{Level, Now, Output};
use os::ObjectRead;
use pg::watch::WatchKey;
use types::command::Args;
use types::dump::Dump;
use types::errno::EINVAL;
use types::{EntityAddr, HObject, UTime};

use crate::Osd;

/// The counters of `perf dump`: family, name, whether it only grows, and what it counts.
const COUNTERS: &[(&str, &str, bool, &str)] = &[
    ("osd", "op", true, "operations of clients"),
    ("osd", "op_in_bytes", true, "bytes that clients wrote"),
    ("osd", "numpg", false, "PGs here"),
    ("osd", "map_message_epochs", false, "epoch of the newest map"),
    ("osd", "stat_bytes", false, "bytes of the disk"),
    ("osd", "stat_bytes_used", false, "bytes that are used"),
    ("osd", "stat_bytes_avail", false, "bytes that are free"),
    ("recovery", "client_wait_undisturbed", false, "seconds that clients wait while nothing is recovered"),
    ("recovery", "share_of_limits", false, "the share of its limits that recovery has"),
];

impl Osd {
    /// Who watches the objects that are led from here: "image still has watchers" asks this.
    pub(crate) fn dump_watchers(&self) -> Dump {
        let led = self.pgs.values().filter(|pg| pg.is_primary());
        let watch = |(soid, (cookie, name), timeout, addr): (&HObject, &WatchKey, Duration, &EntityAddr)| {
            Dump::obj()
                .with("namespace", String::from_utf8_lossy(soid.nspace.as_bytes()).into_owned())
                .with("object", String::from_utf8_lossy(soid.oid.as_bytes()).into_owned())
                .with("entity_name", Dump::obj().with("type", name.kind_str()).with("num", name.num))
                .with("cookie", *cookie)
                .with("timeout", timeout.as_secs())
                .with("entity_addr_t", addr.dump())
        };
        Dump::arr("watch", led.flat_map(pg::Pg::watchers).map(watch).collect::<Vec<_>>())
    }

    pub(crate) fn dump_blocklist(&self) -> Dump {
        let entries = self.maps.as_ref().map(|m| m.current().blocklist.entries.clone()).unwrap_or_default();
        let entry = |(addr, until): (EntityAddr, UTime)| {
            Dump::obj().with("entity_addr_t", addr.dump()).with("expire_time", until)
        };
        Dump::arr("entry", entries.into_iter().map(entry))
    }

    pub(crate) fn dump_scrub_reservations(&self) -> Dump {
        let (local, remote) = self.scrubs.taken();
        Dump::obj()
            .with("scrubs_local", local)
            .with("scrubs_remote", remote)
            .with("osd_max_scrubs", self.cfg.u64("osd_max_scrubs"))
    }

    /// Tells the manager how things are, and gives the number by which `osd last-stat-seq` shows that it knows.
    pub(crate) fn flush_pg_stats(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) -> String {
        self.send_report(now, store, out);
        format!("{}\n", self.stat_seq())
    }

    pub(crate) fn log_by_command(&mut self, now: Now, args: &Args, out: &mut Vec<Output>) {
        let text = args.list("message").join(" ");
        self.log(Level::Error, text.clone(), out);
        self.log.entry(now, Level::Error, text);
        self.log.flush(now, &self.setup, &mut self.mon, out);
    }

    /// Counts from 0 again.
    pub(crate) fn reset_counters(&mut self, which: &str) -> Dump {
        if which != "all" && which != "osd" {
            return Dump::obj().with("error", format!("Not find: {which}"));
        }
        self.metrics = crate::command::Metrics::default();
        Dump::obj().with("success", format!("perf reset {which}"))
    }
}

/// `perf schema`: what the counters are.
pub(crate) fn schema() -> Dump {
    const U64: u8 = 2;
    const COUNTER: u8 = 8;
    let mut all = Dump::obj();
    for family in ["osd", "recovery"] {
        let mut counters = Dump::obj();
        for (_, name, grows, what) in COUNTERS.iter().filter(|c| c.0 == family) {
            let one = Dump::obj()
                .with("type", if *grows { U64 | COUNTER } else { U64 })
                .with("metric_type", if *grows { "counter" } else { "gauge" })
                .with("value_type", "integer")
                .with("description", *what)
                .with("nick", "")
                .with("priority", 0)
                .with("units", if name.contains("bytes") { "bytes" } else { "none" });
            counters.put(*name, one);
        }
        all.put(family, counters);
    }
    all
}

/// What an OSD is started on, for `list_devices`.
pub(crate) fn devices(metadata: &std::collections::BTreeMap<String, String>) -> Dump {
    let named = metadata.get("devices").map(String::as_str).unwrap_or_default();
    let one = |name: &str| Dump::obj().with("device", format!("/dev/{name}")).with("device_id", "");
    Dump::arr("device", named.split(',').filter(|n| !n.is_empty()).map(one))
}

/// A command is not what it is named.
pub(crate) fn unanswered(prefix: &str) -> (i32, String) {
    (EINVAL, format!("'{prefix}' is in the table but not answered"))
}
