//! Making and removing rules.

use crate::{CrushError, CrushMap, Rule, RuleKind, Step, StepOp};

/// Rule ids are one byte wide.
const RULES_MAX: usize = 256;

/// How a rule treats gaps: firstn closes them (replicas), indep keeps them (erasure-coded shards).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Firstn,
    Indep,
}

impl Mode {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "firstn" => Some(Self::Firstn),
            "indep" => Some(Self::Indep),
            _ => None,
        }
    }
}

impl CrushMap {
    /// The usual rule: `size` devices under `root`, each in another bucket of the type
    /// (Ceph: `add_simple_rule`). An empty `failure_domain` means devices anywhere; an empty `class` any.
    /// Gives the rule's id.
    ///
    /// # Errors
    /// If the name is taken, or root, type or class do not exist.
    pub fn add_simple_rule(
        &mut self,
        name: &str,
        root: &str,
        failure_domain: &str,
        class: &str,
        mode: Mode,
        kind: RuleKind,
    ) -> Result<u32, CrushError> {
        if self.rule_id(name).is_some() {
            return Err(CrushError::Exists(name.to_owned()));
        }
        if !crate::edit::is_valid_name(name) {
            return Err(CrushError::InvalidName(name.to_owned()));
        }
        let id = self.free_rule_id()?;
        let root_id = self.item_id(root).ok_or_else(|| CrushError::NoSuchItem(root.to_owned()))?;
        let type_id = match failure_domain {
            "" => 0,
            name => self.type_id(name).ok_or_else(|| CrushError::NoSuchType(name.to_owned()))?,
        };
        let take = match class {
            "" => root_id,
            class => {
                let id = self.class_id(class).ok_or_else(|| CrushError::NoSuchClass(class.to_owned()))?;
                let missing = || CrushError::ClassNotInRoot { root: root.to_owned(), class: class.to_owned() };
                self.shadow_of(root_id, id).ok_or_else(missing)?
            }
        };
        let mut steps = Vec::with_capacity(5);
        if mode == Mode::Indep {
            steps.push(Step::new(StepOp::SetChooseleafTries, 5, 0));
            steps.push(Step::new(StepOp::SetChooseTries, 100, 0));
        }
        steps.push(Step::new(StepOp::Take, take, 0));
        let choose = match (mode, type_id) {
            (Mode::Firstn, 0) => StepOp::ChooseFirstn,
            (Mode::Firstn, _) => StepOp::ChooseleafFirstn,
            (Mode::Indep, 0) => StepOp::ChooseIndep,
            (Mode::Indep, _) => StepOp::ChooseleafIndep,
        };
        steps.push(Step::new(choose, 0, type_id));
        steps.push(Step::new(StepOp::Emit, 0, 0));
        let (min_size, max_size) = if mode == Mode::Firstn { (1, 10) } else { (3, 20) };
        let ruleset = u8::try_from(id).expect("free_rule_id stays below 256");
        self.put_rule(id, Some(name), Rule { ruleset, kind: kind as u8, min_size, max_size, steps });
        Ok(id)
    }

    fn free_rule_id(&self) -> Result<u32, CrushError> {
        let used = |id: u32| self.rule_exists(id) || self.rules().any(|(_, r)| u32::from(r.ruleset) == id);
        let limit = u32::try_from(RULES_MAX).expect("256");
        (0..limit).find(|id| !used(*id)).ok_or(CrushError::NoFreeRule)
    }

    pub(crate) fn put_rule(&mut self, id: u32, name: Option<&str>, rule: Rule) {
        let index = id as usize;
        if index >= self.rules.len() {
            self.rules.resize(index + 1, None);
        }
        self.rules[index] = Some(rule);
        if let Some(name) = name {
            self.rule_names.insert(id.cast_signed(), name.to_owned());
        }
    }

    /// The largest pool size that the rule serves; erasure-code plugins set their number of chunks.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn set_rule_max_size(&mut self, id: u32, max_size: u8) -> Result<(), CrushError> {
        let rule = self.rules.get_mut(id as usize).and_then(Option::as_mut);
        rule.ok_or_else(|| CrushError::NoSuchRule(id.to_string()))?.max_size = max_size;
        Ok(())
    }

    /// # Errors
    /// If it does not exist. Whether a pool uses it is for the caller to know.
    pub fn remove_rule(&mut self, id: u32) -> Result<(), CrushError> {
        let slot = self.rules.get_mut(id as usize).filter(|r| r.is_some());
        *slot.ok_or_else(|| CrushError::NoSuchRule(id.to_string()))? = None;
        self.rule_names.remove(&id.cast_signed());
        self.rebuild_shadows()
    }

    /// # Errors
    /// If `src` does not exist, or `dst` does.
    pub fn rename_rule(&mut self, src: &str, dst: &str) -> Result<(), CrushError> {
        let id = self.rule_id(src).ok_or_else(|| CrushError::NoSuchRule(src.to_owned()))?;
        if self.rule_id(dst).is_some() {
            return Err(CrushError::Exists(dst.to_owned()));
        }
        self.rule_names.insert(id.cast_signed(), dst.to_owned());
        Ok(())
    }

    /// The types of buckets that keep replicas apart, from the top (for health and balancing).
    pub fn failure_domain_of(&self, rule: u32) -> Option<i32> {
        let chooses = |s: &&Step| matches!(s.op, StepOp::ChooseleafFirstn | StepOp::ChooseleafIndep);
        self.rule(rule)?.steps.iter().find(chooses).map(|s| s.arg2)
    }

    /// A new cluster's map: Ceph's types, the empty root `default`, and `replicated_rule` with one replica a
    /// bucket of type `chooseleaf_type` (`osd_crush_chooseleaf_type`).
    ///
    /// # Errors
    /// If there is no such type.
    pub fn new_cluster(chooseleaf_type: i32) -> Result<Self, CrushError> {
        let mut map = Self::default();
        map.type_names = (0..).zip(TYPES.map(str::to_owned)).collect();
        map.add_bucket("default", "root")?;
        let missing = || CrushError::NoSuchType(chooseleaf_type.to_string());
        let domain = map.type_name(chooseleaf_type).ok_or_else(missing)?.to_owned();
        map.add_simple_rule("replicated_rule", "default", &domain, "", Mode::Firstn, RuleKind::Replicated)?;
        Ok(map)
    }
}

/// The types of a new cluster (Ceph: `OSDMap::_build_crush_types`).
const TYPES: [&str; 12] =
    ["osd", "host", "chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region", "root"];
