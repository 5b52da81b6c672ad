//! OSDs, as in `pg dump osds` and `osd df`; services, as in `service dump`.

use std::collections::BTreeMap;

use super::fields;
use crate::dump::Dump;
use crate::osd_stat::{HbPing, ObjectStorePerfStat, OsdStat, PingTimes, Pow2Hist, StoreStatfs};
use crate::service_map::{Service, ServiceDaemon, ServiceMap};
use crate::time::UTime;

impl StoreStatfs {
    pub fn dump(&self) -> Dump {
        fields!(self;
            total, available, internally_reserved, allocated, data_stored, data_compressed,
            data_compressed_allocated, data_compressed_original, omap_allocated, internal_metadata)
    }
}

impl ObjectStorePerfStat {
    pub fn dump(&self) -> Dump {
        let ms = |ns: u64| ns as f64 / 1e6;
        Dump::obj()
            .with("commit_latency_ms", ms(self.os_commit_latency_ns))
            .with("apply_latency_ms", ms(self.os_apply_latency_ns))
            .with("commit_latency_ns", self.os_commit_latency_ns)
            .with("apply_latency_ns", self.os_apply_latency_ns)
    }
}

impl Pow2Hist {
    pub fn dump(&self) -> Dump {
        let upper_bound = 1_i32.checked_shl(self.h.len() as u32).unwrap_or(0);
        Dump::obj().with("histogram", Dump::arr("count", self.h.iter().copied())).with("upper_bound", upper_bound)
    }
}

/// `ctime`'s form: `Sat Nov 21 02:23:07 2026`.
pub(crate) fn ctime(sec: u32) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day, h, m, s) = UTime { sec, nsec: 0 }.civil();
    let weekday = DAYS[(sec / 86_400 % 7) as usize];
    format!("{weekday} {} {day:2} {h:02}:{m:02}:{s:02} {year}", MONTHS[(month - 1) as usize])
}

impl PingTimes {
    fn dump(&self, interface: &'static str) -> Dump {
        let mut d = Dump::obj().with("interface", interface);
        d.extend(self.dump_times());
        d
    }

    /// In milliseconds.
    pub fn dump_times(&self) -> Dump {
        let ms = |us: u32| f64::from(us) / 1000.0;
        let three = |v: [u32; 3]| Dump::obj().with("1min", ms(v[0])).with("5min", ms(v[1])).with("15min", ms(v[2]));
        Dump::obj()
            .with("average", three(self.pingtime))
            .with("min", three(self.min))
            .with("max", three(self.max))
            .with("last", ms(self.last))
    }
}

impl HbPing {
    fn dump(&self, osd: i32) -> Dump {
        let mut interfaces = vec![self.back.dump("back")];
        if self.front.pingtime[0] != 0 {
            interfaces.push(self.front.dump("front"));
        }
        let out = Dump::obj().with("osd", osd).with("last update", ctime(self.last_update));
        out.with("interfaces", Dump::arr("interface", interfaces))
    }
}

impl OsdStat {
    /// All but the OSD's id.
    pub fn dump(&self) -> Dump {
        let (s, kb) = (&self.statfs, |bytes: i64| bytes as u64 >> 10);
        let mut out = fields!(self; up_from, seq, num_pgs, num_osds, num_per_pool_osds, num_per_pool_omap_osds);
        out.put("kb", s.total >> 10);
        out.put("kb_used", s.used_raw() >> 10);
        out.put("kb_used_data", kb(s.allocated));
        out.put("kb_used_omap", kb(s.omap_allocated));
        out.put("kb_used_meta", kb(s.internal_metadata));
        out.put("kb_avail", s.available >> 10);
        out.put("statfs", s.dump());
        out.put("hb_peers", Dump::arr("osd", self.hb_peers.iter().copied()));
        out.extend(fields!(self; snap_trim_queue_len, num_snap_trimming, num_shards_repaired));
        out.put("op_queue_age_hist", self.op_queue_age_hist.dump());
        out.put("perf_stat", self.os_perf_stat.dump());
        let alerts = self.os_alerts.iter();
        let alerts = alerts.flat_map(|(osd, of_it)| of_it.iter().map(move |(k, v)| format!(" osd: {osd} {k}:{v}")));
        out.put("alerts", Dump::arr("alert", alerts));
        out.with("network_ping_times", Dump::arr("entry", self.hb_pingtime.iter().map(|(osd, p)| p.dump(*osd))))
    }
}

fn strings(map: &BTreeMap<String, String>) -> Dump {
    Dump::Object(map.iter().map(|(k, v)| (k.clone().into(), v.as_str().into())).collect())
}

impl ServiceDaemon {
    pub fn dump(&self) -> Dump {
        fields!(self; start_epoch)
            .with("start_stamp", self.start_stamp)
            .with("gid", self.gid)
            .with("addr", self.addr.legacy_str())
            .with("metadata", strings(&self.metadata))
            .with("task_status", strings(&self.task_status))
    }
}

impl Service {
    pub fn dump(&self) -> Dump {
        let mut daemons = Dump::obj().with("summary", self.summary.as_str());
        for (name, daemon) in &self.daemons {
            daemons.put(name.clone(), daemon.dump());
        }
        Dump::obj().with("daemons", daemons)
    }
}

impl ServiceMap {
    pub fn dump(&self) -> Dump {
        let mut services = Dump::obj();
        for (name, service) in &self.services {
            services.put(name.clone(), service.dump());
        }
        fields!(self; epoch, modified).with("services", services)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_time_is_dated_as_ctime_does() {
        assert_eq!(ctime(1_795_227_787), "Sat Nov 21 02:23:07 2026");
    }
}
