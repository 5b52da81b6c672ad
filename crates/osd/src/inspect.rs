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
}

/// What an OSD is started on, for `list_devices`.
pub(crate) fn devices(metadata: &std::collections::BTreeMap<String, String>) -> Dump {
    let named = metadata.get("devices").map(String::as_str).unwrap_or_default();
    let ids = metadata.get("device_ids").map(String::as_str).unwrap_or_default();
    let id =
        |name: &str| ids.split(',').filter_map(|id| id.split_once('=')).find(|(of, _)| *of == name).map(|(_, id)| id);
    let one = |name: &str| {
        Dump::obj().with("device", format!("/dev/{name}")).with("device_id", id(name).unwrap_or_default().to_owned())
    };
    Dump::arr("device", named.split(',').filter(|n| !n.is_empty()).map(one))
}

/// What this OSD cannot do, and what helps.
pub(crate) fn refused(why: &str) -> (i32, String) {
    (types::errno::EOPNOTSUPP, why.to_owned())
}

/// A command is not what it is named.
pub(crate) fn unanswered(prefix: &str) -> (i32, String) {
    (EINVAL, format!("'{prefix}' is in the table but not answered"))
}
