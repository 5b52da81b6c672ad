//! Whether a map from outside is fit to become the cluster's.
//!
//! Mapping survives any map, but what would hang or crash older readers, or make no sense, must not be
//! accepted (`osd setcrushmap`).

use std::collections::BTreeSet;

use crate::{CrushMap, StepOp, hash};

/// More tries than any sane map makes; a map of a few thousand OSDs wants some hundred.
const TRIES_MAX: u32 = 10_000;

/// OSD ids beyond this would make every table of the cluster as long.
const DEVICES_MAX: i32 = 1 << 20;

/// What is wrong with a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("item {item} in bucket {bucket} does not exist")]
    Dangling { bucket: i32, item: i32 },
    #[error("bucket {0} contains itself")]
    Cycle(i32),
    #[error("bucket {0} has no name")]
    Unnamed(i32),
    #[error("'{name}' is the name of both {a} and {b}")]
    SameName { name: String, a: i32, b: i32 },
    #[error("bucket {bucket} has unknown type {type_id}")]
    UnknownType { bucket: i32, type_id: u16 },
    #[error("bucket {bucket} has unknown hash {hash}")]
    UnknownHash { bucket: i32, hash: u8 },
    #[error("device id {0} is out of range")]
    DeviceId(i32),
    #[error("rule {0} has no name")]
    UnnamedRule(u32),
    #[error("rule {rule} takes {item}, which does not exist")]
    Take { rule: u32, item: i32 },
    #[error("rule {rule} chooses unknown type {type_id}")]
    ChooseType { rule: u32, type_id: i32 },
    #[error("rule {rule} has an unknown step {op}")]
    UnknownStep { rule: u32, op: u32 },
    #[error("{0} tries are too many")]
    Tries(u32),
    #[error("there is no type for devices")]
    NoDeviceType,
}

impl CrushMap {
    /// Checks all that mapping and editing take for granted.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        if !self.type_names.contains_key(&0) {
            return Err(Invalid::NoDeviceType);
        }
        self.validate_buckets()?;
        self.validate_names()?;
        self.validate_cycles()?;
        self.validate_rules()
    }

    fn validate_buckets(&self) -> Result<(), Invalid> {
        for b in self.buckets() {
            if b.type_id == 0 || !self.type_names.contains_key(&b.type_id.into()) {
                return Err(Invalid::UnknownType { bucket: b.id, type_id: b.type_id });
            }
            if b.hash != hash::RJENKINS1 {
                return Err(Invalid::UnknownHash { bucket: b.id, hash: b.hash });
            }
            for item in &b.items {
                if *item >= DEVICES_MAX {
                    return Err(Invalid::DeviceId(*item));
                }
                if *item < 0 && self.bucket(*item).is_none() {
                    return Err(Invalid::Dangling { bucket: b.id, item: *item });
                }
            }
        }
        Ok(())
    }

    fn validate_names(&self) -> Result<(), Invalid> {
        if let Some(b) = self.buckets().find(|b| self.item_name(b.id).is_none()) {
            return Err(Invalid::Unnamed(b.id));
        }
        let mut seen = std::collections::BTreeMap::new();
        for (id, name) in &self.item_names {
            if let Some(other) = seen.insert(name, *id) {
                return Err(Invalid::SameName { name: name.clone(), a: other, b: *id });
            }
            if *id >= DEVICES_MAX {
                return Err(Invalid::DeviceId(*id));
            }
        }
        Ok(())
    }

    /// Takes away, again and again, buckets that hold no other: what remains holds itself.
    fn validate_cycles(&self) -> Result<(), Invalid> {
        let mut left: BTreeSet<i32> = self.buckets().map(|b| b.id).collect();
        loop {
            let flat = |id: &i32| !self.children(*id).iter().any(|c| left.contains(c));
            let done: Vec<i32> = left.iter().copied().filter(flat).collect();
            match (done.is_empty(), left.first()) {
                (_, None) => return Ok(()),
                (true, Some(id)) => return Err(Invalid::Cycle(*id)),
                (false, Some(_)) => done.iter().for_each(|id| _ = left.remove(id)),
            }
        }
    }

    fn validate_rules(&self) -> Result<(), Invalid> {
        let t = &self.tunables;
        let limits = [t.choose_total_tries, t.choose_local_tries, t.choose_local_fallback_tries];
        if let Some(tries) = limits.into_iter().find(|n| *n > TRIES_MAX) {
            return Err(Invalid::Tries(tries));
        }
        for (id, rule) in self.rules() {
            if self.rule_name(id).is_none() {
                return Err(Invalid::UnnamedRule(id));
            }
            for step in &rule.steps {
                match step.op {
                    StepOp::Take if step.arg1 >= 0 && step.arg1 >= self.max_devices => {
                        return Err(Invalid::Take { rule: id, item: step.arg1 });
                    }
                    StepOp::Take if step.arg1 < 0 && self.bucket(step.arg1).is_none() => {
                        return Err(Invalid::Take { rule: id, item: step.arg1 });
                    }
                    StepOp::ChooseFirstn | StepOp::ChooseIndep | StepOp::ChooseleafFirstn | StepOp::ChooseleafIndep
                        if !self.type_names.contains_key(&step.arg2) =>
                    {
                        return Err(Invalid::ChooseType { rule: id, type_id: step.arg2 });
                    }
                    StepOp::SetChooseTries
                    | StepOp::SetChooseleafTries
                    | StepOp::SetChooseLocalTries
                    | StepOp::SetChooseLocalFallbackTries
                        if step.arg1 > TRIES_MAX.cast_signed() =>
                    {
                        return Err(Invalid::Tries(step.arg1.unsigned_abs()));
                    }
                    StepOp::Unknown(op) => return Err(Invalid::UnknownStep { rule: id, op }),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
