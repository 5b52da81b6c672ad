//! A PG: its statistics (`pg dump`), what it says of itself (`pg query`), and what scrub found in it.

use std::collections::BTreeSet;

use serde_json::Value;
use types::OsdId;

use super::json::{ids, int, items, stamp, text};

#[derive(Debug, Clone, Default)]
pub struct PgFacts {
    /// `active+clean` in its parts; empty if nobody ever told.
    pub state: BTreeSet<String>,
    /// In the order of the report.
    pub state_text: String,
    /// What the statistics go on saying of one that the map gives to nobody, so that nobody says otherwise.
    pub once: Option<String>,
    pub up: Vec<OsdId>,
    pub acting: Vec<OsdId>,
    pub acting_primary: OsdId,
    pub blocked_by: Vec<OsdId>,
    pub reported_epoch: u32,
    /// Seconds since 1970.
    pub last_fresh: u64,
    pub last_active: u64,
    pub last_peered: u64,
    pub last_change: u64,
    pub objects: u64,
    pub bytes: u64,
    pub copies: u64,
    pub degraded: u64,
    pub misplaced: u64,
    pub unfound: u64,
    pub scrub_errors: u64,
}

/// A list of OSDs without holes.
fn real(list: Vec<OsdId>) -> Vec<OsdId> {
    list.into_iter().filter(|osd| *osd >= 0 && *osd != types::CRUSH_ITEM_NONE).collect()
}

impl PgFacts {
    pub(super) fn decode(v: &Value) -> Self {
        let sum = &v["stat_sum"];
        let whole = |key: &str| int(sum, key).max(0) as u64;
        let when = |key: &str| stamp(&text(v, key)).unwrap_or(0);
        let state_text = text(v, "state");
        Self {
            state: state_text.split('+').map(str::to_owned).collect(),
            up: real(ids(v, "up")),
            acting: real(ids(v, "acting")),
            acting_primary: int(v, "acting_primary") as OsdId,
            blocked_by: ids(v, "blocked_by"),
            reported_epoch: int(v, "reported_epoch") as u32,
            last_fresh: when("last_fresh"),
            last_active: when("last_active"),
            last_peered: when("last_peered"),
            last_change: when("last_change"),
            objects: whole("num_objects"),
            bytes: whole("num_bytes"),
            copies: whole("num_object_copies"),
            degraded: whole("num_objects_degraded"),
            misplaced: whole("num_objects_misplaced"),
            unfound: whole("num_objects_unfound"),
            scrub_errors: whole("num_scrub_errors"),
            state_text,
            once: None,
        }
    }

    pub fn is(&self, state: &str) -> bool {
        self.state.contains(state)
    }

    /// Nobody has reported it yet.
    /// No OSD serves it, whatever was last said of it.
    pub(super) fn is_served_by_nobody(&mut self) {
        if !self.is_unknown() {
            self.once = Some(std::mem::replace(&mut self.state_text, "unknown".to_owned()));
            self.state = [self.state_text.clone()].into();
        }
    }

    pub fn is_unknown(&self) -> bool {
        self.is("unknown") || self.state_text.is_empty()
    }

    pub fn is_clean(&self) -> bool {
        self.is("active") && self.is("clean") && !self.is("stale")
    }
}

/// A time in which the acting set was the same.
#[derive(Debug, Clone, Default)]
pub struct Interval {
    pub first: u32,
    pub last: u32,
    pub acting: Vec<OsdId>,
}

/// Where an unfound object might be, and what became of asking there.
#[derive(Debug, Clone, Default)]
pub struct UnfoundAt {
    pub osd: OsdId,
    pub status: String,
}

/// What a PG says of itself.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The innermost state first.
    pub states: Vec<String>,
    /// Down OSDs without which it does not go on, with the epoch in which each was given up.
    pub blocked_by: Vec<(OsdId, u32)>,
    pub down_to_probe: Vec<OsdId>,
    pub probing: Vec<OsdId>,
    pub history_les_bound: bool,
    pub past: Vec<Interval>,
    pub might_have_unfound: Vec<UnfoundAt>,
}

impl Query {
    pub(super) fn decode(v: &Value) -> Self {
        let mut q = Self::default();
        for state in items(v, "recovery_state") {
            q.states.push(text(state, "name"));
            q.blocked_by.extend(
                items(state, "peering_blocked_by").map(|b| (int(b, "osd") as OsdId, int(b, "current_lost_at") as u32)),
            );
            q.down_to_probe.extend(ids(state, "down_osds_we_would_probe"));
            q.probing.extend(ids(state, "probing_osds"));
            q.history_les_bound |= items(state, "peering_blocked_by_detail").next().is_some();
            for past in items(state, "past_intervals") {
                q.past.extend(items(past, "intervals").map(|i| Interval {
                    first: int(i, "first") as u32,
                    last: int(i, "last") as u32,
                    acting: ids(i, "acting"),
                }));
            }
            q.might_have_unfound.extend(items(state, "might_have_unfound").map(|m| UnfoundAt {
                osd: text(m, "osd").split('(').next().and_then(|id| id.parse().ok()).unwrap_or(-1),
                status: text(m, "status"),
            }));
        }
        q
    }

    pub fn is_in(&self, state: &str) -> bool {
        self.states.iter().any(|s| s.ends_with(state))
    }
}

/// A copy of an object that differs.
#[derive(Debug, Clone, Default)]
pub struct BadCopy {
    pub osd: OsdId,
    pub errors: Vec<String>,
}

/// An object whose copies differ.
#[derive(Debug, Clone, Default)]
pub struct BadObject {
    pub name: String,
    /// Of the object as a whole.
    pub errors: Vec<String>,
    /// Copies with an error of their own.
    pub bad: Vec<BadCopy>,
    /// Copies without.
    pub sound: Vec<OsdId>,
}

impl BadObject {
    /// Nothing shows which copy is right.
    pub fn is_open(&self) -> bool {
        self.bad.is_empty() || self.sound.is_empty()
    }

    pub(super) fn decode(v: &Value) -> Self {
        let errors = |v: &Value| items(v, "errors").filter_map(|e| e.as_str().map(str::to_owned)).collect::<Vec<_>>();
        let copies = items(v, "shards").map(|s| BadCopy { osd: int(s, "osd") as OsdId, errors: errors(s) });
        let (bad, sound): (Vec<BadCopy>, Vec<BadCopy>) = copies.partition(|c| !c.errors.is_empty());
        let sound = sound.into_iter().map(|c| c.osd).collect();
        Self { name: text(&v["object"], "name"), errors: errors(v), bad, sound }
    }
}

/// An object whose clones are not what its snapset says.
#[derive(Debug, Clone, Default)]
pub struct BadFamily {
    pub name: String,
    /// Of the head and of its clones.
    pub errors: BTreeSet<String>,
}

impl BadFamily {
    /// What is said of a head and of each of its clones comes together.
    pub(super) fn decode(answer: &Value) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for said in items(answer, "inconsistents") {
            let name = text(said, "name");
            let errors = items(said, "errors").filter_map(|e| e.as_str().map(str::to_owned));
            match all.iter_mut().find(|f| f.name == name) {
                Some(family) => family.errors.extend(errors),
                None => all.push(Self { name, errors: errors.collect() }),
            }
        }
        all
    }
}
