//! Tunables: the parameters of the search, and the named profiles of them.

use crate::{BucketAlg, CrushMap, StepOp, Weights};

/// The tunables of a map. Each release's discovery is a switch that stays off in older maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunables {
    pub choose_local_tries: u32,
    pub choose_local_fallback_tries: u32,
    /// Counts retries, so one less than the tries that are made.
    pub choose_total_tries: u32,
    pub chooseleaf_descend_once: u32,
    pub chooseleaf_vary_r: u8,
    pub chooseleaf_stable: u8,
    pub straw_calc_version: u8,
    /// A bit for each [`BucketAlg`] that new buckets may have.
    pub allowed_bucket_algs: u32,
}

/// A named set of tunables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Argonaut,
    Bobtail,
    Firefly,
    Hammer,
    Jewel,
}

const fn algs(list: &[BucketAlg]) -> u32 {
    let mut bits = 0;
    let mut i = 0;
    while i < list.len() {
        bits |= 1 << list[i] as u32;
        i += 1;
    }
    bits
}

const LEGACY_ALGS: u32 = algs(&[BucketAlg::Uniform, BucketAlg::List, BucketAlg::Straw]);
const STRAW2_ALGS: u32 = LEGACY_ALGS | algs(&[BucketAlg::Straw2]);

impl Profile {
    pub const ALL: [Self; 5] = [Self::Argonaut, Self::Bobtail, Self::Firefly, Self::Hammer, Self::Jewel];

    /// The newest profile; Ceph's `optimal` and `default`.
    pub const OPTIMAL: Self = Self::Jewel;

    pub fn name(self) -> &'static str {
        match self {
            Self::Argonaut => "argonaut",
            Self::Bobtail => "bobtail",
            Self::Firefly => "firefly",
            Self::Hammer => "hammer",
            Self::Jewel => "jewel",
        }
    }

    /// Also knows `legacy`, `optimal` and `default`, as `osd crush tunables` does.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "legacy" => Some(Self::Argonaut),
            "optimal" | "default" => Some(Self::OPTIMAL),
            _ => Self::ALL.into_iter().find(|p| p.name() == name),
        }
    }

    /// The tunables of the profile. None says anything about `straw_calc_version`.
    fn tunables(self, straw_calc_version: u8) -> Tunables {
        let argonaut = self == Self::Argonaut;
        Tunables {
            choose_local_tries: if argonaut { 2 } else { 0 },
            choose_local_fallback_tries: if argonaut { 5 } else { 0 },
            choose_total_tries: if argonaut { 19 } else { 50 },
            chooseleaf_descend_once: (!argonaut).into(),
            chooseleaf_vary_r: matches!(self, Self::Firefly | Self::Hammer | Self::Jewel).into(),
            chooseleaf_stable: (self == Self::Jewel).into(),
            straw_calc_version,
            allowed_bucket_algs: if matches!(self, Self::Hammer | Self::Jewel) { STRAW2_ALGS } else { LEGACY_ALGS },
        }
    }
}

impl Default for Tunables {
    fn default() -> Self {
        Profile::OPTIMAL.tunables(1)
    }
}

impl Tunables {
    /// What a map had before it said anything (Ceph: `set_tunables_legacy`).
    pub const LEGACY: Self = Self {
        choose_local_tries: 2,
        choose_local_fallback_tries: 5,
        choose_total_tries: 19,
        chooseleaf_descend_once: 0,
        chooseleaf_vary_r: 0,
        chooseleaf_stable: 0,
        straw_calc_version: 0,
        allowed_bucket_algs: LEGACY_ALGS,
    };

    /// Takes a profile's values over. `legacy` (`argonaut`), `optimal` and `default` also set how straws are
    /// computed, a later release's name does not (Ceph: `set_tunables_*`).
    pub fn set_profile(&mut self, name: &str) -> bool {
        let Some(profile) = Profile::from_name(name) else { return false };
        let straw_calc_version = match name {
            "legacy" | "argonaut" => 0,
            "optimal" | "default" => 1,
            _ => self.straw_calc_version,
        };
        *self = profile.tunables(straw_calc_version);
        true
    }

    /// The profile that these are, however straws are computed; newest first.
    pub fn profile(&self) -> Option<Profile> {
        Profile::ALL.into_iter().rev().find(|p| p.tunables(self.straw_calc_version) == *self)
    }

    /// The algorithm for new buckets: the best that is allowed (Ceph: `get_default_bucket_alg`).
    pub fn default_bucket_alg(&self) -> BucketAlg {
        let allowed = |alg: &BucketAlg| self.allowed_bucket_algs & (1 << *alg as u32) != 0;
        [BucketAlg::Straw2, BucketAlg::Straw, BucketAlg::Tree, BucketAlg::List, BucketAlg::Uniform]
            .into_iter()
            .find(allowed)
            .unwrap_or(BucketAlg::Straw)
    }

    /// Whether a reader needs the feature CRUSH_TUNABLES.
    pub fn need_tunables(&self) -> bool {
        let legacy = Self::LEGACY;
        (self.choose_local_tries, self.choose_local_fallback_tries, self.choose_total_tries)
            != (legacy.choose_local_tries, legacy.choose_local_fallback_tries, legacy.choose_total_tries)
    }

    pub fn need_tunables2(&self) -> bool {
        self.chooseleaf_descend_once != 0
    }

    pub fn need_tunables3(&self) -> bool {
        self.chooseleaf_vary_r != 0
    }

    pub fn need_tunables5(&self) -> bool {
        self.chooseleaf_stable != 0
    }
}

/// What a reader of the whole map must know.
impl CrushMap {
    fn rule_uses(&self, id: u32, ops: &[StepOp]) -> bool {
        self.rule(id).is_some_and(|r| r.steps.iter().any(|s| ops.contains(&s.op)))
    }

    pub fn has_v2_rules(&self) -> bool {
        self.rules().any(|(id, _)| self.is_v2_rule(id))
    }

    /// Indep and the first `set_*` steps came with feature CRUSH_V2.
    pub fn is_v2_rule(&self, id: u32) -> bool {
        const V2: [StepOp; 4] =
            [StepOp::ChooseIndep, StepOp::ChooseleafIndep, StepOp::SetChooseTries, StepOp::SetChooseleafTries];
        self.rule_uses(id, &V2)
    }

    pub fn has_v3_rules(&self) -> bool {
        self.rules().any(|(id, _)| self.is_v3_rule(id))
    }

    pub fn is_v3_rule(&self, id: u32) -> bool {
        self.rule_uses(id, &[StepOp::SetChooseleafVaryR])
    }

    pub fn has_v4_buckets(&self) -> bool {
        self.buckets().any(|b| matches!(b.weights, Weights::Straw2(_)))
    }

    pub fn has_v5_rules(&self) -> bool {
        self.rules().any(|(id, _)| self.is_v5_rule(id))
    }

    pub fn is_v5_rule(&self, id: u32) -> bool {
        self.rule_uses(id, &[StepOp::SetChooseleafStable])
    }

    /// Choose_args that cannot be folded into the plain weights for old readers.
    pub fn has_incompat_choose_args(&self) -> bool {
        let foldable = |args: &crate::ChooseArgs| {
            args.values().all(|a| a.is_empty() || (a.weight_set.len() == 1 && a.ids.is_empty()))
        };
        match self.choose_args.first_key_value() {
            None => false,
            Some((id, args)) => self.choose_args.len() > 1 || *id != crate::DEFAULT_CHOOSE_ARGS || !foldable(args),
        }
    }

    /// The release that introduced the newest thing in this map.
    pub fn min_required_version(&self) -> &'static str {
        let t = &self.tunables;
        if self.has_v5_rules() || t.need_tunables5() {
            "jewel"
        } else if self.has_v4_buckets() {
            "hammer"
        } else if t.need_tunables3() {
            "firefly"
        } else if t.need_tunables2() || t.need_tunables() {
            "bobtail"
        } else {
            "argonaut"
        }
    }
}
