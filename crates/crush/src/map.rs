//! The map itself: buckets, rules, names and classes, and how to look things up in them.
//!
//! Items are numbers: 0 and up are devices (OSDs), negative ones are buckets, `-1 - id` being the
//! bucket's place in the table.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DEFAULT_CHOOSE_ARGS, Tunables};

/// Ceph: `CRUSH_BUCKET_*`: how a bucket picks among its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum BucketAlg {
    Uniform = 1,
    List = 2,
    Tree = 3,
    Straw = 4,
    Straw2 = 5,
}

impl BucketAlg {
    pub const ALL: [Self; 5] = [Self::Uniform, Self::List, Self::Tree, Self::Straw, Self::Straw2];

    pub fn from_wire(v: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| *alg as u32 == v)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::List => "list",
            Self::Tree => "tree",
            Self::Straw => "straw",
            Self::Straw2 => "straw2",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.name() == name)
    }
}

/// The weights of a bucket's items, with what its algorithm derives from them. 16.16 fixed point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// One weight for every item.
    Uniform(u32),
    /// Each item's weight, and the sum of it and all before.
    List {
        items: Vec<u32>,
        sums: Vec<u32>,
    },
    /// A binary tree in an array: item `i` is node `2i + 1`, an inner node holds the sum below it.
    Tree {
        nodes: Vec<u32>,
    },
    /// Each item's weight, and the length of its straw.
    Straw {
        items: Vec<u32>,
        straws: Vec<u32>,
    },
    Straw2(Vec<u32>),
}

/// `crush_bucket`: an inner node of the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub id: i32,
    /// An index into the type names; never 0, which is the devices'.
    pub type_id: u16,
    pub hash: u8,
    pub weight: u32,
    pub items: Vec<i32>,
    pub weights: Weights,
}

impl Bucket {
    pub fn alg(&self) -> BucketAlg {
        match self.weights {
            Weights::Uniform(_) => BucketAlg::Uniform,
            Weights::List { .. } => BucketAlg::List,
            Weights::Tree { .. } => BucketAlg::Tree,
            Weights::Straw { .. } => BucketAlg::Straw,
            Weights::Straw2(_) => BucketAlg::Straw2,
        }
    }

    /// The weight of the item at `pos`; 0 if there is none.
    pub fn item_weight(&self, pos: usize) -> u32 {
        match &self.weights {
            Weights::Uniform(weight) if pos < self.items.len() => *weight,
            Weights::Uniform(_) => 0,
            Weights::List { items, .. } | Weights::Straw { items, .. } | Weights::Straw2(items) => {
                items.get(pos).copied().unwrap_or(0)
            }
            Weights::Tree { nodes } => nodes.get(2 * pos + 1).copied().unwrap_or(0),
        }
    }

    pub fn item_weights(&self) -> Vec<u32> {
        (0..self.items.len()).map(|pos| self.item_weight(pos)).collect()
    }

    pub fn position_of(&self, item: i32) -> Option<usize> {
        self.items.iter().position(|i| *i == item)
    }
}

/// Ceph: `crush_opcodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOp {
    Noop,
    Take,
    ChooseFirstn,
    ChooseIndep,
    Emit,
    ChooseleafFirstn,
    ChooseleafIndep,
    SetChooseTries,
    SetChooseleafTries,
    SetChooseLocalTries,
    SetChooseLocalFallbackTries,
    SetChooseleafVaryR,
    SetChooseleafStable,
    /// From a newer or a hostile writer; skipped when mapping.
    Unknown(u32),
}

impl StepOp {
    const TABLE: [(u32, Self); 13] = [
        (0, Self::Noop),
        (1, Self::Take),
        (2, Self::ChooseFirstn),
        (3, Self::ChooseIndep),
        (4, Self::Emit),
        (6, Self::ChooseleafFirstn),
        (7, Self::ChooseleafIndep),
        (8, Self::SetChooseTries),
        (9, Self::SetChooseleafTries),
        (10, Self::SetChooseLocalTries),
        (11, Self::SetChooseLocalFallbackTries),
        (12, Self::SetChooseleafVaryR),
        (13, Self::SetChooseleafStable),
    ];

    pub fn from_wire(v: u32) -> Self {
        Self::TABLE.iter().find(|(n, _)| *n == v).map_or(Self::Unknown(v), |(_, op)| *op)
    }

    pub fn to_wire(self) -> u32 {
        match self {
            Self::Unknown(v) => v,
            op => Self::TABLE.iter().find(|(_, o)| *o == op).expect("the table holds every known op").0,
        }
    }
}

/// `crush_rule_step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub op: StepOp,
    pub arg1: i32,
    pub arg2: i32,
}

impl Step {
    pub fn new(op: StepOp, arg1: i32, arg2: i32) -> Self {
        Self { op, arg1, arg2 }
    }
}

/// Which pools a rule is for: `pg_pool_t`'s type, which the rule's mask repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RuleKind {
    Replicated = 1,
    Erasure = 3,
}

/// `crush_rule` with its mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A remnant of rule sets: the rule's own id in every map that is not very old.
    pub ruleset: u8,
    /// A [`RuleKind`], or anything in a hostile map.
    pub kind: u8,
    pub min_size: u8,
    pub max_size: u8,
    pub steps: Vec<Step>,
}

impl Rule {
    /// The items that this rule starts from, in order.
    pub fn takes(&self) -> impl Iterator<Item = i32> {
        self.steps.iter().filter(|s| s.op == StepOp::Take).map(|s| s.arg1)
    }
}

/// `crush_choose_arg`: replaces a straw2 bucket's weights (one set a result position) and ids in draws.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChooseArg {
    pub weight_set: Vec<Vec<u32>>,
    pub ids: Vec<i32>,
}

impl ChooseArg {
    pub fn is_empty(&self) -> bool {
        self.weight_set.is_empty() && self.ids.is_empty()
    }
}

/// `crush_choose_arg_map`: by the bucket's place in the table.
pub type ChooseArgs = BTreeMap<u32, ChooseArg>;

/// `CrushWrapper`: everything about where data goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CrushMap {
    /// Bucket `id` is at `-1 - id`. The length is Ceph's `max_buckets`, holes included.
    pub(crate) buckets: Vec<Option<Bucket>>,
    pub(crate) rules: Vec<Option<Rule>>,
    /// One more than the largest device that any bucket holds.
    pub(crate) max_devices: i32,
    pub type_names: BTreeMap<i32, String>,
    pub(crate) item_names: BTreeMap<i32, String>,
    pub(crate) rule_names: BTreeMap<i32, String>,
    pub tunables: Tunables,
    /// Device, or shadow bucket, to class.
    pub(crate) item_class: BTreeMap<i32, i32>,
    pub(crate) class_names: BTreeMap<i32, String>,
    /// Bucket → class → its shadow bucket.
    pub(crate) class_bucket: BTreeMap<i32, BTreeMap<i32, i32>>,
    pub(crate) choose_args: BTreeMap<i64, ChooseArgs>,
}

/// Where in the table the bucket `id` would be.
pub(crate) fn index_of(id: i32) -> Option<usize> {
    usize::try_from(-1 - i64::from(id)).ok()
}

/// The id of the bucket at `index`.
pub(crate) fn id_at(index: usize) -> i32 {
    -1 - i32::try_from(index).expect("a table of buckets is smaller than 2^31")
}

impl CrushMap {
    // --- buckets

    pub fn bucket(&self, id: i32) -> Option<&Bucket> {
        self.buckets.get(index_of(id)?)?.as_ref()
    }

    pub(crate) fn bucket_mut(&mut self, id: i32) -> Option<&mut Bucket> {
        self.buckets.get_mut(index_of(id)?)?.as_mut()
    }

    /// All buckets, from id -1 downwards.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter().flatten()
    }

    /// Ceph's `max_buckets`: the size of the table, holes included.
    pub fn max_buckets(&self) -> usize {
        self.buckets.len()
    }

    pub fn max_devices(&self) -> i32 {
        self.max_devices
    }

    // --- names

    pub fn item_name(&self, item: i32) -> Option<&str> {
        self.item_names.get(&item).map(String::as_str)
    }

    /// Every named item. Deleted devices may linger here (Ceph keeps them too).
    pub fn item_names(&self) -> &BTreeMap<i32, String> {
        &self.item_names
    }

    pub fn item_id(&self, name: &str) -> Option<i32> {
        self.item_names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    pub fn name_exists(&self, name: &str) -> bool {
        self.item_id(name).is_some()
    }

    /// Whether the item has a name (Ceph: `item_exists`).
    pub fn item_exists(&self, item: i32) -> bool {
        self.item_names.contains_key(&item)
    }

    pub fn type_name(&self, type_id: i32) -> Option<&str> {
        self.type_names.get(&type_id).map(String::as_str)
    }

    pub fn type_id(&self, name: &str) -> Option<i32> {
        self.type_names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    /// 0 for devices and for buckets that do not exist.
    pub fn item_type(&self, item: i32) -> i32 {
        self.bucket(item).map_or(0, |b| b.type_id.into())
    }

    // --- rules

    pub fn rule(&self, id: u32) -> Option<&Rule> {
        self.rules.get(id as usize)?.as_ref()
    }

    /// All rules with their ids, ascending.
    pub fn rules(&self) -> impl Iterator<Item = (u32, &Rule)> {
        (0..).zip(&self.rules).filter_map(|(id, r)| Some((id, r.as_ref()?)))
    }

    pub fn rule_name(&self, id: u32) -> Option<&str> {
        self.rule_names.get(&i32::try_from(id).ok()?).map(String::as_str)
    }

    pub fn rule_id(&self, name: &str) -> Option<u32> {
        let id = self.rule_names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)?;
        u32::try_from(id).ok()
    }

    pub fn rule_exists(&self, id: u32) -> bool {
        self.rule(id).is_some()
    }

    /// The rule that serves a pool (Ceph: `CrushWrapper::find_rule`): the first whose mask fits.
    pub fn find_rule(&self, ruleset: u32, kind: u8, size: u32) -> Option<u32> {
        let fits = |r: &Rule| {
            u32::from(r.ruleset) == ruleset
                && r.kind == kind
                && u32::from(r.min_size) <= size
                && u32::from(r.max_size) >= size
        };
        self.rules().find(|(_, r)| fits(r)).map(|(id, _)| id)
    }

    /// The lowest rule for pools of this kind (Ceph: `find_first_ruleset`).
    pub fn find_first_rule(&self, kind: RuleKind) -> Option<u32> {
        self.rules().find(|(_, r)| r.kind == kind as u8).map(|(id, _)| id)
    }

    // --- classes

    pub fn class_id(&self, name: &str) -> Option<i32> {
        self.class_names.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    pub fn class_names(&self) -> &BTreeMap<i32, String> {
        &self.class_names
    }

    pub fn class_name(&self, class: i32) -> Option<&str> {
        self.class_names.get(&class).map(String::as_str)
    }

    pub fn item_class(&self, item: i32) -> Option<&str> {
        self.class_name(*self.item_class.get(&item)?)
    }

    /// The shadow of a bucket that holds only the devices of `class`.
    pub fn shadow_of(&self, bucket: i32, class: i32) -> Option<i32> {
        self.class_bucket.get(&bucket)?.get(&class).copied()
    }

    /// A shadow bucket is known by its name, which no operator can give (Ceph: `is_shadow_item`).
    pub fn is_shadow(&self, item: i32) -> bool {
        self.item_name(item).is_some_and(|n| !crate::edit::is_valid_name(n))
    }

    /// An item without its class: `(-2, Some(hdd))` for the shadow `host~hdd` of bucket -2.
    pub fn split_class(&self, item: i32) -> Option<(i32, Option<i32>)> {
        match self.item_name(item)?.split_once('~') {
            None => Some((item, None)),
            Some((plain, class)) => Some((self.item_id(plain)?, Some(self.class_id(class)?))),
        }
    }

    // --- choose_args

    pub fn choose_args(&self) -> &BTreeMap<i64, ChooseArgs> {
        &self.choose_args
    }

    /// What serves the pool: its own, else those for all (Ceph: `choose_args_get_with_fallback`).
    pub fn choose_args_for(&self, pool: i64) -> Option<&ChooseArgs> {
        self.choose_args.get(&pool).or_else(|| self.choose_args.get(&DEFAULT_CHOOSE_ARGS))
    }

    // --- hierarchy

    /// Buckets that no other bucket holds, in ascending order of id, shadows included.
    pub fn roots(&self) -> BTreeSet<i32> {
        let held: BTreeSet<i32> = self.buckets().flat_map(|b| b.items.iter().copied()).collect();
        self.buckets().map(|b| b.id).filter(|id| !held.contains(id)).collect()
    }

    /// Recomputes what follows from buckets and names (Ceph: `CrushWrapper::finalize`).
    pub(crate) fn finalize(&mut self) {
        let held = self.buckets().flat_map(|b| b.items.iter().copied()).max().unwrap_or(-1);
        let named = self.item_names.last_key_value().map_or(-1, |(id, _)| *id);
        self.max_devices = held.max(named).max(-1).saturating_add(1);
    }
}
