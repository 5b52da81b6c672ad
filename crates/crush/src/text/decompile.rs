//! From map to text, character for character as crushtool writes it.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::{BucketAlg, ChooseArgs, CrushMap, Rule, RuleKind, Step, StepOp, Tunables};

fn fixed(weight: u32) -> String {
    format!("{:.3}", weight as f32 / 65536.0)
}

impl CrushMap {
    /// The map as text, from which [`Self::compile`] makes the same map again: weights to three digits,
    /// shadow buckets as lines of the buckets that they mirror.
    pub fn decompile(&self) -> String {
        let mut out = String::from("# begin crush map\n");
        self.write_tunables(&mut out);
        out.push_str("\n# devices\n");
        for (id, name) in self.item_names.range(0..self.max_devices) {
            let class = self.item_class(*id).map(|c| format!(" class {c}")).unwrap_or_default();
            let _ = writeln!(out, "device {id} {name}{class}");
        }
        out.push_str("\n# types\n");
        if !self.type_names.contains_key(&0) {
            out.push_str("type 0 osd\n");
        }
        for (id, name) in &self.type_names {
            let _ = writeln!(out, "type {id} {name}");
        }
        out.push_str("\n# buckets\n");
        let mut done = BTreeSet::new();
        for bucket in self.buckets() {
            self.write_buckets_below(bucket.id, &mut done, &mut out);
        }
        out.push_str("\n# rules\n");
        for (id, rule) in self.rules() {
            self.write_rule(id, rule, &mut out);
        }
        if !self.choose_args.is_empty() {
            out.push_str("\n# choose_args\n");
            for (id, args) in &self.choose_args {
                write_choose_args(*id, args, &mut out);
            }
        }
        out.push_str("\n# end crush map\n");
        out
    }

    /// Only what differs from the oldest maps.
    fn write_tunables(&self, out: &mut String) {
        let (t, legacy) = (&self.tunables, &Tunables::LEGACY);
        for (name, value, default) in [
            ("choose_local_tries", t.choose_local_tries, legacy.choose_local_tries),
            ("choose_local_fallback_tries", t.choose_local_fallback_tries, legacy.choose_local_fallback_tries),
            ("choose_total_tries", t.choose_total_tries, legacy.choose_total_tries),
            ("chooseleaf_descend_once", t.chooseleaf_descend_once, legacy.chooseleaf_descend_once),
            ("chooseleaf_vary_r", t.chooseleaf_vary_r.into(), legacy.chooseleaf_vary_r.into()),
            ("chooseleaf_stable", t.chooseleaf_stable.into(), legacy.chooseleaf_stable.into()),
            ("straw_calc_version", t.straw_calc_version.into(), legacy.straw_calc_version.into()),
            ("allowed_bucket_algs", t.allowed_bucket_algs, legacy.allowed_bucket_algs),
        ] {
            if value != default {
                let _ = writeln!(out, "tunable {name} {value}");
            }
        }
    }

    fn type_text(&self, type_id: i32) -> String {
        match self.type_name(type_id) {
            Some(name) => name.to_owned(),
            None if type_id == 0 => "device".to_owned(),
            None => format!("type{type_id}"),
        }
    }

    fn item_text(&self, item: i32) -> String {
        match self.item_name(item) {
            Some(name) => name.to_owned(),
            None if item >= 0 => format!("device{item}"),
            None => format!("bucket{}", -1 - item),
        }
    }

    /// Buckets come after those that they hold. Each is marked before it is entered, so a cycle ends.
    fn write_buckets_below(&self, top: i32, done: &mut BTreeSet<i32>, out: &mut String) {
        // Depth is bounded by the number of buckets; a stack of our own keeps it off the thread's.
        let mut open = vec![(top, false)];
        while let Some((id, entered)) = open.pop() {
            if entered {
                self.write_bucket(id, out);
            } else if done.insert(id) {
                open.push((id, true));
                open.extend(self.children(id).iter().rev().filter(|c| **c < 0).map(|c| (*c, false)));
            }
        }
    }

    fn write_bucket(&self, id: i32, out: &mut String) {
        let Some(b) = self.bucket(id).filter(|_| !self.is_shadow(id)) else { return };
        let _ = writeln!(out, "{} {} {{", self.type_text(b.type_id.into()), self.item_text(id));
        let _ = writeln!(out, "\tid {id}\t\t# do not change unnecessarily");
        for (class, shadow) in self.class_bucket.get(&id).into_iter().flatten() {
            let class = self.class_name(*class).unwrap_or_default();
            let _ = writeln!(out, "\tid {shadow} class {class}\t\t# do not change unnecessarily");
        }
        let _ = writeln!(out, "\t# weight {}", fixed(b.weight));
        let note = match b.alg() {
            BucketAlg::Uniform => format!("\t# do not change bucket size ({}) unnecessarily", b.items.len()),
            BucketAlg::List => "\t# add new items at the end; do not change order unnecessarily".to_owned(),
            BucketAlg::Tree => "\t# do not change pos for existing items unnecessarily".to_owned(),
            BucketAlg::Straw | BucketAlg::Straw2 => String::new(),
        };
        let _ = writeln!(out, "\talg {}{note}", b.alg().name());
        let hash = if b.hash == crate::hash::RJENKINS1 { "rjenkins1" } else { "unknown" };
        let _ = writeln!(out, "\thash {}\t# {hash}", b.hash);
        for (pos, item) in b.items.iter().enumerate() {
            let _ = write!(out, "\titem {} weight {}", self.item_text(*item), fixed(b.item_weight(pos)));
            if matches!(b.alg(), BucketAlg::Uniform | BucketAlg::Tree) {
                let _ = write!(out, " pos {pos}");
            }
            out.push('\n');
        }
        out.push_str("}\n");
    }

    fn write_rule(&self, id: u32, rule: &Rule, out: &mut String) {
        let name = self.rule_name(id).map(|n| format!("{n} ")).unwrap_or_else(|| " ".to_owned());
        let _ = writeln!(out, "rule {name}{{\n\tid {id}");
        if u32::from(rule.ruleset) != id {
            let set = rule.ruleset;
            let _ = writeln!(out, "\t# WARNING: ruleset {set} != id {id}; this will not recompile to the same map");
        }
        let kind = match rule.kind {
            k if k == RuleKind::Replicated as u8 => "replicated".to_owned(),
            k if k == RuleKind::Erasure as u8 => "erasure".to_owned(),
            k => k.to_string(),
        };
        let _ = writeln!(out, "\ttype {kind}\n\tmin_size {}\n\tmax_size {}", rule.min_size, rule.max_size);
        for step in &rule.steps {
            if let Some(text) = self.step_text(step) {
                let _ = writeln!(out, "\tstep {text}");
            }
        }
        out.push_str("}\n");
    }

    fn step_text(&self, step: &Step) -> Option<String> {
        let choose = |how: &str| format!("{how} {} type {}", step.arg1, self.type_text(step.arg2));
        let set = |what: &str| format!("set_{what} {}", step.arg1);
        Some(match step.op {
            StepOp::Noop => "noop".to_owned(),
            StepOp::Take => match self.split_class(step.arg1) {
                Some((plain, Some(class))) => {
                    format!("take {} class {}", self.item_text(plain), self.class_name(class).unwrap_or_default())
                }
                _ => format!("take {}", self.item_text(step.arg1)),
            },
            StepOp::Emit => "emit".to_owned(),
            StepOp::ChooseFirstn => choose("choose firstn"),
            StepOp::ChooseIndep => choose("choose indep"),
            StepOp::ChooseleafFirstn => choose("chooseleaf firstn"),
            StepOp::ChooseleafIndep => choose("chooseleaf indep"),
            StepOp::SetChooseTries => set("choose_tries"),
            StepOp::SetChooseleafTries => set("chooseleaf_tries"),
            StepOp::SetChooseLocalTries => set("choose_local_tries"),
            StepOp::SetChooseLocalFallbackTries => set("choose_local_fallback_tries"),
            StepOp::SetChooseleafVaryR => set("chooseleaf_vary_r"),
            StepOp::SetChooseleafStable => set("chooseleaf_stable"),
            StepOp::Unknown(_) => return None,
        })
    }
}

fn write_choose_args(id: i64, all: &ChooseArgs, out: &mut String) {
    // Ceph prints the id without its sign, and reads it back so.
    let _ = writeln!(out, "choose_args {} {{", id.cast_unsigned());
    for (index, arg) in all.iter().filter(|(_, arg)| !arg.is_empty()) {
        let _ = writeln!(out, "  {{\n    bucket_id {}", -1 - index.cast_signed());
        if !arg.weight_set.is_empty() {
            out.push_str("    weight_set [\n");
            for set in &arg.weight_set {
                let weights: String = set.iter().map(|w| fixed(*w) + " ").collect();
                let _ = writeln!(out, "      [ {weights}]");
            }
            out.push_str("    ]\n");
        }
        if !arg.ids.is_empty() {
            let ids: String = arg.ids.iter().map(|id| format!("{id} ")).collect();
            let _ = writeln!(out, "    ids [ {ids}]");
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
}
