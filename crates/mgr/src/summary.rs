//! The sums that `ceph -s`, `pg stat` and `df` show.

use std::collections::BTreeMap;

use osdmap::OsdMap;
use types::dump::Dump;
use types::flags::pg_state;
use types::stats::{ObjectStatSum, PoolStat};
use types::{PoolId, StoreStatfs};

use crate::stats::PgMap;
use crate::text;

/// Everything about the data that is shown in short.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// State bits and how many PGs have them.
    pub states: Vec<(u64, u64)>,
    pub num_pgs: u64,
    pub total: PoolStat,
    pub pools: BTreeMap<PoolId, PoolStat>,
    /// Over all stores.
    pub statfs: StoreStatfs,
    /// By device class.
    pub classes: BTreeMap<String, StoreStatfs>,
    pub num_osds: usize,
    /// Seconds, and what changed in them.
    pub delta: Option<(f64, ObjectStatSum)>,
}

/// A sum of differences as a count, which it must be.
fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub(crate) fn add_statfs(sum: &mut StoreStatfs, s: &StoreStatfs) {
    sum.total += s.total;
    sum.available += s.available;
    sum.internally_reserved += s.internally_reserved;
    sum.allocated += s.allocated;
    sum.data_stored += s.data_stored;
    sum.omap_allocated += s.omap_allocated;
    sum.internal_metadata += s.internal_metadata;
}

impl Summary {
    pub fn new(pgs: &PgMap, map: &OsdMap) -> Self {
        let mut statfs = StoreStatfs::default();
        let mut classes: BTreeMap<String, StoreStatfs> = BTreeMap::new();
        for (osd, stat) in &pgs.osds {
            add_statfs(&mut statfs, &stat.statfs);
            let class = map.crush.item_class(*osd).unwrap_or_default().to_owned();
            add_statfs(classes.entry(class).or_default(), &stat.statfs);
        }
        Self {
            states: pgs.by_state().into_iter().collect(),
            num_pgs: pgs.pgs.len() as u64,
            total: pgs.total(),
            pools: pgs.pools(map),
            statfs,
            classes,
            num_osds: pgs.osds.len(),
            delta: pgs.delta(None),
        }
    }

    fn sum(&self) -> &ObjectStatSum {
        &self.total.stats.sum
    }

    /// States from the most to the least frequent.
    fn by_count(&self) -> Vec<(u64, u64)> {
        let mut states = self.states.clone();
        states.sort_by_key(|(state, count)| (std::cmp::Reverse(*count), *state));
        states
    }

    /// `status`'s `pgmap`.
    pub fn status_dump(&self) -> Dump {
        let s = self.sum();
        let states = self
            .by_count()
            .into_iter()
            .map(|(state, count)| Dump::obj().with("state_name", pg_state::to_string(state)).with("count", count));
        let mut d = Dump::obj()
            .with("pgs_by_state", Dump::arr("pg_by_state_element", states))
            .with("num_pgs", self.num_pgs)
            .with("num_pools", self.pools.len())
            .with("num_objects", positive(s.num_objects))
            .with("data_bytes", positive(s.num_bytes))
            .with("bytes_used", self.statfs.used_raw())
            .with("bytes_avail", self.statfs.available)
            .with("bytes_total", self.statfs.total);
        self.put_inactive(&mut d);
        self.put_recovery(&mut d);
        self.put_rates(&mut d);
        d
    }

    /// How many PGs serve nothing, and of how many nothing is known.
    fn inactive(&self) -> (u64, u64) {
        let unknown = self.states.iter().filter(|(s, _)| *s == 0).map(|(_, n)| n).sum();
        let inactive = self
            .states
            .iter()
            .filter(|(s, _)| *s != 0 && s & (pg_state::ACTIVE | pg_state::PEERED) == 0)
            .map(|(_, n)| n)
            .sum();
        (inactive, unknown)
    }

    fn put_inactive(&self, d: &mut Dump) {
        let (inactive, unknown) = self.inactive();
        let ratio = |n: u64| n as f64 / self.num_pgs.max(1) as f64;
        if inactive > 0 {
            d.put("inactive_pgs_ratio", ratio(inactive));
        }
        if unknown > 0 {
            d.put("unknown_pgs_ratio", ratio(unknown));
        }
    }

    fn put_recovery(&self, d: &mut Dump) {
        let s = self.sum();
        let copies = positive(s.num_object_copies);
        let mut put = |what: &str, n: i64, of: u64| {
            if n > 0 {
                d.put(format!("{what}_objects"), n);
                d.put(format!("{what}_total"), of);
                d.put(format!("{what}_ratio"), n as f64 / of.max(1) as f64);
            }
        };
        put("degraded", s.num_objects_degraded, copies);
        put("misplaced", s.num_objects_misplaced, copies);
        put("unfound", s.num_objects_unfound, positive(s.num_objects));
        let Some((secs, delta)) = &self.delta else { return };
        if delta.num_objects_recovered > 0 || delta.num_bytes_recovered > 0 || delta.num_keys_recovered > 0 {
            let rate = |n: i64| (positive(n) as f64 / secs) as u64;
            d.put("recovering_objects_per_sec", rate(delta.num_objects_recovered));
            d.put("recovering_bytes_per_sec", rate(delta.num_bytes_recovered));
            d.put("recovering_keys_per_sec", rate(delta.num_keys_recovered));
            d.put("num_objects_recovered", positive(delta.num_objects_recovered));
            d.put("num_bytes_recovered", positive(delta.num_bytes_recovered));
            d.put("num_keys_recovered", positive(delta.num_keys_recovered));
        }
    }

    fn put_rates(&self, d: &mut Dump) {
        let Some(r) = Rates::new(self.delta.as_ref()) else { return };
        if r.read_bytes > 0 {
            d.put("read_bytes_sec", r.read_bytes);
        }
        if r.write_bytes > 0 {
            d.put("write_bytes_sec", r.write_bytes);
        }
        d.put("read_op_per_sec", r.read_ops);
        d.put("write_op_per_sec", r.write_ops);
    }

    /// The `data:` and `io:` parts of `ceph -s`.
    pub fn status_text(&self) -> String {
        let s = self.sum();
        let mut out = String::new();
        let mut line = |head: &str, text: &str| out.push_str(&format!("    {head:<9}{text}\n"));
        line("pools:", &format!("{} pools, {} pgs", self.pools.len(), self.num_pgs));
        let objects = text::count(positive(s.num_objects));
        line("objects:", &format!("{objects} objects, {}", text::bytes(positive(s.num_bytes))));
        line("usage:", &self.usage_text());
        let mut pgs: Vec<String> = Vec::new();
        let (inactive, unknown) = self.inactive();
        if inactive + unknown > 0 {
            let share = |n: u64| text::percent(n, self.num_pgs);
            let parts = [(unknown, "unknown"), (inactive, "not active")];
            let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{}% pgs {what}", share(*n)));
            pgs.push(parts.collect::<Vec<_>>().join("\n             "));
        }
        pgs.extend(self.recovery_lines());
        let states = self.by_count();
        let width = states.first().map_or(0, |(_, n)| n.to_string().len());
        pgs.extend(states.iter().map(|(state, n)| format!("{n:<width$} {}", pg_state::to_string(*state))));
        line("pgs:", &pgs.join("\n             "));
        let io = self.io_lines();
        if !io.is_empty() {
            out.push_str(" \n  io:\n");
            for (head, text) in io {
                out.push_str(&format!("    {head:<10}{text}\n"));
            }
        }
        out
    }

    fn usage_text(&self) -> String {
        format!(
            "{} used, {} / {} avail",
            text::bytes(self.statfs.used_raw()),
            text::bytes(self.statfs.available),
            text::bytes(self.statfs.total)
        )
    }

    fn recovery_lines(&self) -> Vec<String> {
        let s = self.sum();
        let copies = positive(s.num_object_copies);
        let part = |n: i64, of: u64, what: &str| {
            (n > 0).then(|| format!("{n}/{of} objects {what} ({}%)", text::percent(positive(n), of)))
        };
        [
            part(s.num_objects_degraded, copies, "degraded"),
            part(s.num_objects_misplaced, copies, "misplaced"),
            part(s.num_objects_unfound, positive(s.num_objects), "unfound"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn io_lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if let Some(r) = Rates::new(self.delta.as_ref()) {
            lines.push(("client:", r.text()));
        }
        if let Some(text) = self.recovery_rate_text() {
            lines.push(("recovery:", text));
        }
        lines
    }

    fn recovery_rate_text(&self) -> Option<String> {
        recovery_rate(self.delta.as_ref())
    }

    /// `pg stat` in one line.
    pub fn oneline(&self) -> String {
        let states: Vec<String> = self.states.iter().map(|(s, n)| format!("{n} {}", pg_state::to_string(*s))).collect();
        let mut out = format!("{} pgs: {}", self.num_pgs, states.join(", "));
        out.push_str(&format!("; {} data, {}", text::bytes(positive(self.sum().num_bytes)), self.usage_text()));
        let mut parts: Vec<String> = Rates::new(self.delta.as_ref()).map(|r| r.text()).into_iter().collect();
        parts.extend(self.recovery_lines());
        parts.extend(self.recovery_rate_text());
        for part in parts {
            out.push_str("; ");
            out.push_str(&part);
        }
        out
    }

    /// `pg stat -f json`.
    pub fn pg_stat_dump(&self) -> Dump {
        let states = self.states.iter().map(|(s, n)| Dump::obj().with("name", pg_state::to_string(*s)).with("num", *n));
        let mut d = Dump::obj()
            .with("num_pg_by_state", Dump::arr("state", states))
            .with("num_pgs", self.num_pgs)
            .with("num_bytes", positive(self.sum().num_bytes))
            .with("total_bytes", self.statfs.total)
            .with("total_avail_bytes", self.statfs.available)
            .with("total_used_bytes", self.statfs.used_raw())
            .with("total_used_raw_bytes", self.statfs.used_raw());
        if let Some(r) = Rates::new(self.delta.as_ref()) {
            if r.read_bytes > 0 {
                d.put("read_bytes_sec", r.read_bytes);
            }
            if r.write_bytes > 0 {
                d.put("write_bytes_sec", r.write_bytes);
            }
            d.put("io_sec", r.read_ops + r.write_ops);
        }
        self.put_recovery(&mut d);
        d
    }
}

/// What clients do, per second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub read_ops: u64,
    pub write_ops: u64,
}

impl Rates {
    /// `None` if nothing is going on.
    pub fn new(delta: Option<&(f64, ObjectStatSum)>) -> Option<Self> {
        let (secs, d) = delta?;
        let rate = |n: i64| (positive(n) as f64 / secs) as u64;
        if d.num_rd <= 0 && d.num_wr <= 0 {
            return None;
        }
        Some(Self {
            read_bytes: rate(d.num_rd_kb << 10),
            write_bytes: rate(d.num_wr_kb << 10),
            read_ops: rate(d.num_rd),
            write_ops: rate(d.num_wr),
        })
    }

    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.read_bytes > 0 {
            parts.push(format!("{}/s rd", text::bytes(self.read_bytes)));
        }
        if self.write_bytes > 0 {
            parts.push(format!("{}/s wr", text::bytes(self.write_bytes)));
        }
        parts.push(format!("{} op/s rd", text::count(self.read_ops)));
        parts.push(format!("{} op/s wr", text::count(self.write_ops)));
        parts.join(", ")
    }
}

pub(crate) fn recovery_rate(delta: Option<&(f64, ObjectStatSum)>) -> Option<String> {
    let (secs, d) = delta?;
    let rate = |n: i64| (positive(n) as f64 / secs) as u64;
    if d.num_objects_recovered <= 0 && d.num_bytes_recovered <= 0 && d.num_keys_recovered <= 0 {
        return None;
    }
    let mut text = format!("{}/s", text::bytes(rate(d.num_bytes_recovered)));
    if d.num_keys_recovered > 0 {
        text.push_str(&format!(", {} keys/s", text::count(rate(d.num_keys_recovered))));
    }
    text.push_str(&format!(", {} objects/s", text::count(rate(d.num_objects_recovered))));
    Some(text)
}
