//! The CRUSH map as `osd crush dump`, `osd crush rule dump` and `osd crush show-tunables` have it.

use crush::{Bucket, CrushMap, Step, StepOp};
use types::dump::Dump;

use crate::dump::fixed;

/// `osd crush dump`.
pub fn dump_crush(map: &CrushMap) -> Dump {
    Dump::obj()
        .with("devices", Dump::arr("device", (0..map.max_devices()).map(|id| dump_device(map, id))))
        .with("types", dump_types(map))
        .with("buckets", Dump::arr("bucket", map.buckets().map(|b| dump_bucket(map, b))))
        .with("rules", dump_rules(map))
        .with("tunables", dump_tunables(map))
        .with("choose_args", dump_choose_args(map))
}

fn dump_device(map: &CrushMap, id: i32) -> Dump {
    let name = map.item_name(id).map_or_else(|| format!("device{id}"), str::to_owned);
    let out = Dump::obj().with("id", id).with("name", name);
    match map.item_class(id) {
        Some(class) => out.with("class", class),
        None => out,
    }
}

fn dump_types(map: &CrushMap) -> Dump {
    let one = |id: i32, name: &str| Dump::obj().with("type_id", id).with("name", name);
    let unnamed = (!map.type_names.contains_key(&0)).then(|| one(0, "device"));
    Dump::arr("type", unnamed.into_iter().chain(map.type_names.iter().map(|(id, name)| one(*id, name))))
}

fn dump_bucket(map: &CrushMap, b: &Bucket) -> Dump {
    let mut out = Dump::obj().with("id", b.id);
    if let Some(name) = map.item_name(b.id) {
        out.put("name", name);
    }
    out.put("type_id", b.type_id);
    if let Some(name) = map.type_name(b.type_id.into()) {
        out.put("type_name", name);
    }
    let item =
        |(pos, id): (usize, &i32)| Dump::obj().with("id", *id).with("weight", b.item_weight(pos)).with("pos", pos);
    out.with("weight", b.weight)
        .with("alg", b.alg().name())
        .with("hash", if b.hash == crush::hash::RJENKINS1 { "rjenkins1" } else { "unknown" })
        .with("items", Dump::arr("item", b.items.iter().enumerate().map(item)))
}

/// `osd crush rule dump`.
pub fn dump_rules(map: &CrushMap) -> Dump {
    Dump::arr("rule", map.rules().filter_map(|(id, _)| dump_rule(map, id)))
}

/// `osd crush rule dump NAME`. `None` if there is no such rule.
pub fn dump_rule(map: &CrushMap, id: u32) -> Option<Dump> {
    let rule = map.rule(id)?;
    let mut out = Dump::obj().with("rule_id", id);
    if let Some(name) = map.rule_name(id) {
        out.put("rule_name", name);
    }
    let steps = rule.steps.iter().map(|step| dump_step(map, step));
    Some(
        out.with("ruleset", rule.ruleset)
            .with("type", rule.kind)
            .with("min_size", rule.min_size)
            .with("max_size", rule.max_size)
            .with("steps", Dump::arr("step", steps)),
    )
}

fn dump_step(map: &CrushMap, step: &Step) -> Dump {
    let op = |name: &str| Dump::obj().with("op", name);
    let choose =
        |name: &str| op(name).with("num", step.arg1).with("type", map.type_name(step.arg2).unwrap_or_default());
    match step.op {
        StepOp::Noop => op("noop"),
        StepOp::Take => {
            op("take").with("item", step.arg1).with("item_name", map.item_name(step.arg1).unwrap_or_default())
        }
        StepOp::Emit => op("emit"),
        StepOp::ChooseFirstn => choose("choose_firstn"),
        StepOp::ChooseIndep => choose("choose_indep"),
        StepOp::ChooseleafFirstn => choose("chooseleaf_firstn"),
        StepOp::ChooseleafIndep => choose("chooseleaf_indep"),
        StepOp::SetChooseTries => op("set_choose_tries").with("num", step.arg1),
        StepOp::SetChooseleafTries => op("set_chooseleaf_tries").with("num", step.arg1),
        other => Dump::obj().with("opcode", other.to_wire()).with("arg1", step.arg1).with("arg2", step.arg2),
    }
}

/// `osd crush show-tunables`.
pub fn dump_tunables(map: &CrushMap) -> Dump {
    let t = &map.tunables;
    let yes = |b: bool| i64::from(b);
    let profile = t.profile();
    Dump::obj()
        .with("choose_local_tries", t.choose_local_tries)
        .with("choose_local_fallback_tries", t.choose_local_fallback_tries)
        .with("choose_total_tries", t.choose_total_tries)
        .with("chooseleaf_descend_once", t.chooseleaf_descend_once)
        .with("chooseleaf_vary_r", t.chooseleaf_vary_r)
        .with("chooseleaf_stable", t.chooseleaf_stable)
        .with("straw_calc_version", t.straw_calc_version)
        .with("allowed_bucket_algs", t.allowed_bucket_algs)
        .with("profile", profile.map_or("unknown", crush::Profile::name))
        .with("optimal_tunables", yes(profile == Some(crush::Profile::OPTIMAL)))
        .with("legacy_tunables", yes(profile == Some(crush::Profile::Argonaut)))
        .with("minimum_required_version", map.min_required_version())
        .with("require_feature_tunables", yes(t.need_tunables()))
        .with("require_feature_tunables2", yes(t.need_tunables2()))
        .with("has_v2_rules", yes(map.has_v2_rules()))
        .with("require_feature_tunables3", yes(t.need_tunables3()))
        .with("has_v3_rules", yes(map.has_v3_rules()))
        .with("has_v4_buckets", yes(map.has_v4_buckets()))
        .with("require_feature_tunables5", yes(t.need_tunables5()))
        .with("has_v5_rules", yes(map.has_v5_rules()))
}

fn dump_choose_args(map: &CrushMap) -> Dump {
    let mut out = Dump::obj();
    for (id, args) in map.choose_args() {
        let set = args.iter().filter(|(_, arg)| !arg.is_empty());
        let one = set.map(|(index, arg)| {
            let mut out = Dump::obj().with("bucket_id", -1 - index.cast_signed());
            if !arg.weight_set.is_empty() {
                let weights = arg.weight_set.iter().map(|set| Dump::arr("weight", set.iter().map(|w| fixed(*w))));
                out.put("weight_set", Dump::arr("weights", weights));
            }
            if !arg.ids.is_empty() {
                out.put("ids", Dump::arr("id", arg.ids.iter().copied()));
            }
            out
        });
        out.put(id.to_string(), Dump::arr("choose_args", one));
    }
    out
}
