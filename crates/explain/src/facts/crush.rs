//! Where a rule may put copies (`osd crush dump`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use types::OsdId;

use super::json::{int, items, text};

#[derive(Debug, Clone, Default)]
struct Bucket {
    name: String,
    kind: String,
    /// Ids with weights.
    items: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, Default)]
pub struct Rule {
    pub name: String,
    /// What is taken, and among what the copies are spread; `None` if the rule is of another shape than "take one
    /// thing, choose as many as there are copies".
    pub shape: Option<(String, String)>,
    take: i64,
}

/// See the file's documentation.
#[derive(Debug, Clone, Default)]
pub struct Crush {
    buckets: BTreeMap<i64, Bucket>,
    classes: BTreeMap<OsdId, String>,
    pub rules: BTreeMap<i64, Rule>,
}

impl Crush {
    pub(super) fn decode(dump: &Value) -> Self {
        let bucket = |b: &Value| Bucket {
            name: text(b, "name"),
            kind: text(b, "type_name"),
            items: items(b, "items").map(|i| (int(i, "id"), int(i, "weight"))).collect(),
        };
        let class = |d: &Value| (int(d, "id") as OsdId, text(d, "class"));
        Self {
            buckets: items(dump, "buckets").map(|b| (int(b, "id"), bucket(b))).collect(),
            classes: items(dump, "devices").map(class).filter(|(_, c)| !c.is_empty()).collect(),
            rules: items(dump, "rules").map(|r| (int(r, "rule_id"), rule(r))).collect(),
        }
    }

    pub fn host_of(&self, osd: OsdId) -> Option<&str> {
        let holds = |b: &&Bucket| !b.name.contains('~') && b.items.iter().any(|(id, _)| *id == i64::from(osd));
        self.buckets.values().find(holds).map(|b| b.name.as_str())
    }

    pub fn class_of(&self, osd: OsdId) -> Option<&str> {
        self.classes.get(&osd).map(String::as_str)
    }

    /// The OSDs that a rule may use, with a weight there.
    pub fn devices(&self, rule: i64) -> Option<BTreeSet<OsdId>> {
        let rule = self.rules.get(&rule)?;
        rule.shape.as_ref()?;
        Some(self.below(rule.take))
    }

    /// Among how many places a rule spreads copies if only these OSDs hold any; `None`: not known.
    pub fn places(&self, rule: i64, usable: &dyn Fn(OsdId) -> bool) -> Option<usize> {
        let rule = self.rules.get(&rule)?;
        let (_, domain) = rule.shape.as_ref()?;
        let devices = self.below(rule.take);
        if domain == "osd" {
            return Some(devices.into_iter().filter(|osd| usable(*osd)).count());
        }
        let holds = |id: &i64| self.below(*id).into_iter().any(usable);
        Some(self.buckets_below(rule.take).iter().filter(|id| self.buckets[id].kind == *domain && holds(id)).count())
    }

    fn buckets_below(&self, top: i64) -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        let mut left = vec![top];
        while let Some(id) = left.pop() {
            // A bucket is visited once, whatever a dump says.
            if let Some(bucket) = self.buckets.get(&id).filter(|_| found.insert(id)) {
                left.extend(bucket.items.iter().filter(|(id, w)| *id < 0 && *w > 0).map(|(id, _)| *id));
            }
        }
        found
    }

    fn below(&self, top: i64) -> BTreeSet<OsdId> {
        if top >= 0 {
            return [top as OsdId].into();
        }
        let all = self.buckets_below(top);
        let items = all.iter().flat_map(|id| &self.buckets[id].items);
        items.filter(|(id, w)| *id >= 0 && *w > 0).map(|(id, _)| *id as OsdId).collect()
    }
}

fn rule(v: &Value) -> Rule {
    let steps: Vec<&Value> = items(v, "steps").filter(|s| !text(s, "op").starts_with("set_")).collect();
    let mut rule = Rule { name: text(v, "rule_name"), ..Rule::default() };
    if let [take, choose, emit] = steps[..] {
        let op = text(choose, "op");
        let known = text(take, "op") == "take" && text(emit, "op") == "emit" && int(choose, "num") == 0;
        let leaf = op.starts_with("chooseleaf") || text(choose, "type") == "osd";
        if known && op.starts_with("choose") && leaf {
            rule.take = int(take, "item");
            rule.shape = Some((text(take, "item_name"), text(choose, "type")));
        }
    }
    rule
}
