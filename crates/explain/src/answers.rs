//! The answers to [`Question`](crate::Question)s as they came, by the question's name, and their text form: a line
//! an answer, cut down to what the facts are made of. A cluster's state can be kept in it, sent to somebody, and
//! explained there.

use std::collections::BTreeMap;

use serde_json::Value;

/// Answers by the question's name; what was not answered has the reason.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    pub got: BTreeMap<String, Value>,
    pub failed: BTreeMap<String, String>,
}

/// The fields that facts are made of, whatever the answer.
const KEPT: &[&str] = &[
    "acting",
    "acting_primary",
    "age",
    "allocated",
    "blocked_by",
    "buckets",
    "bytes_used",
    "checks",
    "class",
    "comment",
    "count",
    "crush_rule",
    "current_lost_at",
    "data",
    "degraded_objects",
    "description",
    "detail",
    "devices",
    "down_at",
    "down_osds_we_would_probe",
    "down_stamp",
    "end",
    "enter_time",
    "epoch",
    "errors",
    "event",
    "events",
    "first",
    "flag_point",
    "flags_set",
    "flags_names",
    "full_ratio",
    "backfillfull_ratio",
    "nearfull_ratio",
    "id",
    "in",
    "inconsistents",
    "info",
    "intervals",
    "item",
    "item_name",
    "items",
    "kb",
    "kb_avail",
    "kb_used",
    "kb_used_data",
    "last",
    "last_active",
    "last_change",
    "last_fresh",
    "last_peered",
    "last_undegraded",
    "last_fullsized",
    "last_unstale",
    "last_update",
    "less_bound",
    "lost_at",
    "maybe_went_rw",
    "message",
    "might_have_unfound",
    "min_size",
    "misplaced_objects",
    "monmap",
    "mons",
    "name",
    "num",
    "num_bytes",
    "num_mons",
    "num_object_copies",
    "num_objects",
    "num_objects_degraded",
    "num_objects_misplaced",
    "num_objects_missing_on_primary",
    "num_objects_repaired",
    "num_objects_unfound",
    "num_pgs",
    "num_scrub_errors",
    "num_shards_repaired",
    "perf_stat",
    "commit_latency_ms",
    "commit_latency_ns",
    "num_unfound",
    "object",
    "objects",
    "oid",
    "op",
    "ops",
    "osd",
    "osd_stats",
    "osd_xinfo",
    "osds",
    "overall",
    "past_intervals",
    "peer",
    "peer_info",
    "peering_blocked_by",
    "peering_blocked_by_detail",
    "pg_map",
    "pg_num",
    "pg_stats",
    "pg_temp",
    "pgid",
    "pgmap",
    "pool",
    "pool_name",
    "pools",
    "primary",
    "probing_osds",
    "quorum_names",
    "quota_max_bytes",
    "quota_max_objects",
    "recovering_bytes_per_sec",
    "recovering_keys_per_sec",
    "recovering_objects_per_sec",
    "recovery_progress",
    "recovery_state",
    "reported_epoch",
    "rule_id",
    "rule_name",
    "rules",
    "same_interval_since",
    "selected_object_info",
    "severity",
    "shards",
    "size",
    "all_participants",
    "stamp",
    "stat_sum",
    "state",
    "stats_sum",
    "status",
    "steps",
    "summary",
    "type",
    "type_data",
    "type_id",
    "type_name",
    "types",
    "union_shard_errors",
    "up",
    "up_from",
    "up_primary",
    "up_thru",
    "utilization",
    "waiting_on_backfill",
    "backfill_targets",
    "weight",
    "weights",
    "detail",
    "health",
    "osdmap",
    "muted",
    "lines",
    "incomplete",
    "last_complete",
    "last_epoch_started",
    "history",
    "missing",
    "requested_info_from",
    "reweight",
    "scrubber",
    "processes",
    "primary_affinity",
    "version",
    "epoch",
    "locations",
    "need",
    "have",
    "snap",
    "nspace",
];

/// Objects whose keys are names, not fields.
const NAMED: &[&str] = &["checks", "overall", "processes"];

fn prune(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(k, _)| KEPT.contains(&k.as_str()));
            let all = kept.map(|(k, v)| {
                let names = NAMED.contains(&k.as_str());
                let inner = match v {
                    Value::Object(by_name) if names => by_name.iter().map(|(n, v)| (n.clone(), prune(v))).collect(),
                    v => prune(v),
                };
                (k.clone(), inner)
            });
            Value::Object(all.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(prune).collect()),
        plain => plain.clone(),
    }
}

impl Answers {
    /// A line an answer: `name: JSON`, or `name! reason`.
    pub fn to_text(&self) -> String {
        let pruned = |name: &str, v: &Value| if NAMED.contains(&name) { v.clone() } else { prune(v) };
        let got = self.got.iter().map(|(name, v)| format!("{name}: {}\n", pruned(name, v)));
        let failed = self.failed.iter().map(|(name, why)| format!("{name}! {}\n", why.replace('\n', " ")));
        got.chain(failed).collect()
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// The line that is no answer.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            let at = line.find([':', '!']).ok_or_else(|| line.to_owned())?;
            let (name, rest) = (line[..at].to_owned(), line[at + 1..].trim());
            if line[at..].starts_with('!') {
                all.failed.insert(name, rest.to_owned());
            } else {
                let value = serde_json::from_str(rest).map_err(|e| format!("{name}: {e}"))?;
                all.got.insert(name, value);
            }
        }
        Ok(all)
    }
}
