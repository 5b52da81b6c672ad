//! What is known of a cluster, in small structs of our own: decoded from the answers to Ceph's commands. What an
//! answer does not hold is absent or zero, never an error: other versions say a little more or less.

mod crush;
mod json;
mod map;
mod pg;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use types::{OsdId, PgId, PoolId};

pub use crush::Crush;
use json::{int, items, stamp, text};
pub use map::{OsdFacts, PoolFacts};
pub use pg::{BadCopy, BadFamily, BadObject, Interval, PgFacts, Query, UnfoundAt};

use crate::answers::Answers;

/// One health check.
#[derive(Debug, Clone, Default)]
pub struct Check {
    pub is_error: bool,
    pub summary: String,
    pub detail: Vec<String>,
    pub muted: bool,
}

/// An operation that takes long.
#[derive(Debug, Clone, Default)]
pub struct SlowOp {
    pub description: String,
    pub age: f64,
    /// Where it stands (`flag_point`), and its last event.
    pub stands: String,
    pub last_event: String,
    /// Who has it for how long, in the OSD's own words.
    pub place: String,
}

/// See the file's documentation.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The daemons are ours: `spirula start` starts them, and `pg repair` never guesses.
    pub spirula: bool,
    /// When the newest statistics were made: seconds since 1970.
    pub now: u64,
    pub status: String,
    pub checks: BTreeMap<String, Check>,
    pub mons: Vec<String>,
    pub quorum: Vec<String>,
    pub epoch: u32,
    pub flags: BTreeSet<String>,
    pub full_ratio: f64,
    pub backfillfull_ratio: f64,
    pub nearfull_ratio: f64,
    pub pools: BTreeMap<PoolId, PoolFacts>,
    pub osds: BTreeMap<OsdId, OsdFacts>,
    pub crush: Crush,
    pub pgs: BTreeMap<PgId, PgFacts>,
    pub queries: BTreeMap<PgId, Query>,
    pub unfound: BTreeMap<PgId, Vec<String>>,
    pub inconsistent: BTreeMap<PgId, Vec<BadObject>>,
    pub bad_snapsets: BTreeMap<PgId, Vec<BadFamily>>,
    pub slow: BTreeMap<OsdId, Vec<SlowOp>>,
    /// The cluster's log: seconds since 1970, and the message.
    pub log: Vec<(u64, String)>,
    pub recovering_objects_per_sec: u64,
    pub recovering_bytes_per_sec: u64,
    /// `mon_osd_down_out_interval`, `mon_osd_min_in_ratio`.
    pub down_out_interval: Option<u64>,
    pub min_in_ratio: Option<f64>,
    /// Which daemons of this machine run; empty: not known.
    pub processes: BTreeMap<String, bool>,
    /// What was asked and not answered, with the reason.
    pub unanswered: BTreeMap<String, String>,
}

impl Facts {
    /// Reads the answers.
    pub fn decode(answers: &Answers) -> Self {
        let nothing = Value::Null;
        let of = |name: &str| answers.got.get(name).unwrap_or(&nothing);
        let mut f = Self { unanswered: answers.failed.clone(), ..Self::default() };
        f.health(of("health detail"));
        f.monitors(of("status"), of("mon dump"));
        f.map(of("osd dump"));
        f.crush = Crush::decode(of("osd crush dump"));
        f.statistics(of("pg dump"));
        f.forget_what_nobody_serves();
        f.log_lines(of("log last"));
        let versions = of("versions")["overall"].as_object();
        f.spirula = versions.is_some_and(|all| all.keys().any(|v| v.contains("spirula")));
        f.down_out_interval = number(of("config get mon mon_osd_down_out_interval")).map(|n| n as u64);
        f.min_in_ratio = number(of("config get mon mon_osd_min_in_ratio"));
        if let Some(all) = of("processes").as_object() {
            f.processes = all.iter().map(|(name, runs)| (name.clone(), runs.as_bool().unwrap_or(false))).collect();
        }
        for (name, answer) in &answers.got {
            f.about_part(name, answer);
        }
        f
    }

    /// `pg 1.0 query` and its kin.
    fn about_part(&mut self, name: &str, answer: &Value) {
        let words: Vec<&str> = name.split(' ').collect();
        match words[..] {
            ["pg", pg, "query"] => {
                pg.parse().ok().map(|id| self.queries.insert(id, Query::decode(answer)));
            }
            ["pg", pg, "list_unfound"] => {
                let names = items(answer, "objects").map(|o| text(&o["oid"], "oid")).collect();
                pg.parse().ok().map(|id| self.unfound.insert(id, names));
            }
            ["list-inconsistent-obj", pg] => {
                let objects = items(answer, "inconsistents").map(BadObject::decode).collect();
                pg.parse().ok().map(|id| self.inconsistent.insert(id, objects));
            }
            ["list-inconsistent-snapset", pg] => {
                let all = BadFamily::decode(answer);
                pg.parse().ok().map(|id| self.bad_snapsets.insert(id, all));
            }
            ["tell", osd, verb @ ("dump_blocked_ops" | "explain_slow_ops")] => {
                let ops = match verb {
                    "explain_slow_ops" => answer.as_str().unwrap_or_default().lines().filter_map(told_op).collect(),
                    _ => items(answer, "ops").map(slow_op).collect(),
                };
                let id = osd.strip_prefix("osd.").and_then(|id| id.parse().ok());
                id.map(|id| self.slow.insert(id, ops));
            }
            _ => {}
        }
    }

    fn health(&mut self, health: &Value) {
        self.status = text(health, "status");
        let checks = health["checks"].as_object().into_iter().flatten();
        for (code, check) in checks {
            let detail = items(check, "detail").map(|line| text(line, "message")).collect();
            let is_error = text(check, "severity") == "HEALTH_ERR";
            let muted = check["muted"].as_bool().unwrap_or(false);
            let summary = text(&check["summary"], "message");
            self.checks.insert(code.clone(), Check { is_error, summary, detail, muted });
        }
    }

    fn monitors(&mut self, status: &Value, dump: &Value) {
        self.quorum = items(status, "quorum_names").filter_map(|n| n.as_str().map(str::to_owned)).collect();
        self.mons = items(dump, "mons").map(|m| text(m, "name")).collect();
        let pgmap = &status["pgmap"];
        self.recovering_objects_per_sec = int(pgmap, "recovering_objects_per_sec").max(0) as u64;
        self.recovering_bytes_per_sec = int(pgmap, "recovering_bytes_per_sec").max(0) as u64;
    }

    fn statistics(&mut self, dump: &Value) {
        // Ceph's answer has another layer around it than older ones.
        let dump = if dump["pg_map"].is_object() { &dump["pg_map"] } else { dump };
        self.now = stamp(&text(dump, "stamp")).unwrap_or(0);
        for pg in items(dump, "pg_stats") {
            if let Ok(id) = text(pg, "pgid").parse() {
                self.pgs.insert(id, PgFacts::decode(pg));
            }
        }
        for stat in items(dump, "osd_stats") {
            if let Some(osd) = self.osds.get_mut(&(int(stat, "osd") as OsdId)) {
                osd.add_stat(stat);
            }
        }
    }

    /// The statistics keep the last state of a PG for which CRUSH finds no OSD any more: `active+clean`, for ever.
    fn forget_what_nobody_serves(&mut self) {
        let nowhere = |rule: i64| self.crush.places(rule, &|osd| self.is_in(osd)) == Some(0);
        let pools: BTreeSet<PoolId> = self.pools.iter().filter(|(_, p)| nowhere(p.rule)).map(|(id, _)| *id).collect();
        for (id, pg) in &mut self.pgs {
            // One that is served by others for a while has a primary, which tells.
            if pools.contains(&id.pool) && !pg.is("remapped") {
                pg.is_served_by_nobody();
            }
        }
    }

    fn log_lines(&mut self, log: &Value) {
        let lines = log.as_array().into_iter().flatten();
        self.log = lines.filter_map(|l| Some((stamp(&text(l, "stamp"))?, text(l, "message")))).collect();
    }

    // --- short questions

    pub fn is_up(&self, osd: OsdId) -> bool {
        self.osds.get(&osd).is_some_and(|o| o.up)
    }

    pub fn is_in(&self, osd: OsdId) -> bool {
        self.osds.get(&osd).is_some_and(|o| o.weight > 0.0)
    }

    /// The host that holds an OSD, by the CRUSH map.
    pub fn host_of(&self, osd: OsdId) -> String {
        self.crush.host_of(osd).unwrap_or("its host").to_owned()
    }

    pub fn pool_of(&self, pg: PgId) -> Option<&PoolFacts> {
        self.pools.get(&pg.pool)
    }

    pub fn pool_name(&self, pool: PoolId) -> String {
        self.pools.get(&pool).map_or_else(|| pool.to_string(), |p| p.name.clone())
    }

    /// Seconds since a stamp, by the statistics' clock.
    pub fn since(&self, then: u64) -> u64 {
        self.now.saturating_sub(then)
    }

    /// The OSDs that a health check names.
    pub fn osds_named_by(&self, code: &str) -> BTreeSet<OsdId> {
        let Some(check) = self.checks.get(code) else { return BTreeSet::new() };
        let lines = std::iter::once(&check.summary).chain(&check.detail);
        lines.flat_map(|line| osds_in(line)).collect()
    }

    /// Pools' PGs, as they are.
    pub fn pgs_of(&self, pool: PoolId) -> impl Iterator<Item = (&PgId, &PgFacts)> {
        self.pgs.iter().filter(move |(id, _)| id.pool == pool)
    }
}

/// The OSDs that a text names.
pub(crate) fn osds_in(line: &str) -> Vec<OsdId> {
    line.split("osd.")
        .skip(1)
        .filter_map(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..digits].parse().ok()
        })
        .collect()
}

/// A number, or text that is one.
fn number(v: &Value) -> Option<f64> {
    v.as_f64().or_else(|| v.as_str()?.trim().trim_matches('"').parse().ok())
}

/// `osd_op(…) is under way for 11.020 s, of which 11.001 s in replica osd.2 (its disk, or the network to it)`.
fn told_op(line: &str) -> Option<SlowOp> {
    let (description, rest) = line.split_once(" is under way for ")?;
    let (age, place) = rest.split_once(" s, of which ")?;
    let (_, place) = place.split_once(" s in ")?;
    let (description, place) = (description.to_owned(), place.to_owned());
    Some(SlowOp { description, age: age.parse().ok()?, place, ..SlowOp::default() })
}

fn slow_op(op: &Value) -> SlowOp {
    let data = &op["type_data"];
    SlowOp {
        description: text(op, "description"),
        age: op["age"].as_f64().unwrap_or(0.0),
        stands: text(data, "flag_point"),
        place: String::new(),
        last_event: items(data, "events").last().map(|e| text(e, "event")).unwrap_or_default(),
    }
}
