//! Commands about the CRUSH map: `osd crush …`, `osd setcrushmap`.

use std::collections::BTreeMap;

use ::crush::{CrushError, CrushMap, RuleKind};
use osdmap::{dump_crush, dump_rule, dump_rules, dump_tunables};
use types::dump::Dump;
use types::errno;

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail, parse_osd};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd crush dump" => dump,
        "osd crush tree" => tree,
        "osd crush ls" => ls,
        "osd crush rule ls" | "osd crush rule list" => rule_ls,
        "osd crush rule ls-by-class" => rule_ls_by_class,
        "osd crush rule dump" => rule_dump,
        "osd crush rule create-simple" | "osd crush rule create-replicated" => rule_create,
        "osd crush rule rm" => rule_rm,
        "osd crush rule rename" => rule_rename,
        "osd crush class ls" => class_ls,
        "osd crush class ls-osd" => class_ls_osd,
        "osd crush class create" => class_create,
        "osd crush class rm" => class_rm,
        "osd crush class rename" => class_rename,
        "osd crush get-device-class" => get_class,
        "osd crush set-device-class" => set_class,
        "osd crush rm-device-class" => rm_class,
        "osd crush show-tunables" => show_tunables,
        "osd crush tunables" => tunables,
        "osd crush get-tunable" => get_tunable,
        "osd crush set-tunable" => set_tunable,
        "osd crush weight-set ls" => weight_set_ls,
        "osd crush weight-set dump" => weight_set_dump,
        "osd setcrushmap" => set_map,
        "osd crush set" => set,
        "osd crush add" => add,
        "osd crush create-or-move" => create_or_move,
        "osd crush add-bucket" => add_bucket,
        "osd crush rename-bucket" => rename_bucket,
        "osd crush move" => move_,
        "osd crush link" => link,
        "osd crush swap-bucket" => swap,
        "osd crush rm" | "osd crush remove" | "osd crush unlink" => rm,
        "osd crush reweight" => reweight,
        "osd crush reweight-subtree" => reweight_subtree,
        "osd crush reweight-all" => reweight_all,
        "osd crush set-all-straw-buckets-to-straw2" => straw2,
        _ => return None,
    })
}

impl From<CrushError> for Fail {
    fn from(e: CrushError) -> Self {
        Self(e.errno(), e.to_string())
    }
}

// --- looking

fn dump(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    Ok(c.dump("crush_map", &dump_crush(&map.crush)))
}

fn tree(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let shadow = c.args.has("shadow");
    Ok(c.dump_or("crush_tree", || map.dump_crush_tree(shadow), || map.print_crush_tree(shadow)))
}

fn list<T: ToString>(c: &Cmd, root: &str, item: &'static str, names: &[T]) -> Reply {
    c.dump_or(
        root,
        || Dump::arr(item, names.iter().map(T::to_string)),
        || names.iter().map(|n| n.to_string() + "\n").collect(),
    )
}

fn ls(c: &mut Cmd) -> CmdResult {
    let node = c.arg("node")?;
    let map = c.mon.state.osdmap.clone();
    let Some(id) = map.crush.item_id(&node) else {
        return fail(errno::ENOENT, format!("node '{node}' does not exist"));
    };
    let name = |id: &i32| map.crush.item_name(*id).map_or_else(|| format!("osd.{id}"), str::to_owned);
    let names: Vec<String> = match map.crush.bucket(id) {
        Some(bucket) => bucket.items.iter().map(name).collect(),
        None => vec![name(&id)],
    };
    Ok(list(c, "items", "item", &names))
}

fn rule_ls(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let names: Vec<&str> = map.crush.rules().filter_map(|(id, _)| map.crush.rule_name(id)).collect();
    Ok(list(c, "rules", "rule", &names))
}

fn rule_ls_by_class(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    let map = c.mon.state.osdmap.clone();
    let Some(id) = map.crush.class_id(&class) else {
        return fail(errno::ENOENT, format!("failed to get rules by class '{class}'"));
    };
    let rules = map.crush.rules_of_class(id);
    let names: Vec<&str> = rules.into_iter().filter_map(|id| map.crush.rule_name(id)).collect();
    Ok(list(c, "rules", "rule", &names))
}

fn rule_dump(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let Some(name) = c.args.text("name").filter(|n| !n.is_empty()) else {
        return Ok(c.dump("rules", &dump_rules(&map.crush)));
    };
    match map.crush.rule_id(&name).and_then(|id| dump_rule(&map.crush, id)) {
        Some(d) => Ok(c.dump("rule", &d)),
        None => fail(errno::ENOENT, format!("unknown crush rule '{name}'")),
    }
}

fn class_ls(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    Ok(c.dump("crush_classes", &Dump::arr("class", map.crush.class_names().values())))
}

fn class_ls_osd(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    let map = c.mon.state.osdmap.clone();
    let osds: Vec<i32> = map.crush.class_id(&class).map_or_else(Vec::new, |id| map.crush.class_devices(id).collect());
    Ok(list(c, "osds", "osd", &osds))
}

fn get_class(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let mut rows = vec![];
    for text in c.args.list("ids") {
        let osd = parse_osd(&text).ok_or_else(|| Fail(errno::EINVAL, format!("unable to parse osd id:\"{text}\"")))?;
        if !map.exists(osd) {
            return fail(errno::ENOENT, format!("osd.{osd} does not exist"));
        }
        rows.push((osd, map.crush.item_class(osd).unwrap_or_default().to_owned()));
    }
    let tree = || {
        let one = |(osd, class): &(i32, String)| Dump::obj().with("osd", *osd).with("device_class", class);
        Dump::arr("osd", rows.iter().map(one))
    };
    let text = || match rows.as_slice() {
        [(_, class)] => class.clone(),
        many => many.iter().map(|(osd, class)| format!("{osd}: {class}\n")).collect(),
    };
    Ok(c.dump_or("osd_device_classes", tree, text))
}

fn show_tunables(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    Ok(c.dump("crush_map_tunables", &dump_tunables(&map.crush)))
}

fn get_tunable(c: &mut Cmd) -> CmdResult {
    let value = c.mon.state.osdmap.crush.tunables.straw_calc_version;
    Ok(c.dump_or("tunable", || Dump::obj().with("straw_calc_version", value), || format!("{value}\n")))
}

fn weight_set_ls(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let name = |id: &i64| match *id {
        ::crush::DEFAULT_CHOOSE_ARGS => "(compat)".to_owned(),
        id => map.pool_name(id).unwrap_or_default().to_owned(),
    };
    let names: Vec<String> = map.crush.choose_args().keys().map(name).collect();
    Ok(list(c, "weight_sets", "pool", &names))
}

fn weight_set_dump(c: &mut Cmd) -> CmdResult {
    let all = dump_crush(&c.mon.state.osdmap.crush);
    let sets = all.get("choose_args").cloned().unwrap_or_else(Dump::obj);
    Ok(c.dump("choose_args", &sets))
}

// --- changing

/// Changes the pending CRUSH map; an error leaves it as it was.
fn change<T>(c: &mut Cmd, act: impl FnOnce(&mut CrushMap) -> Result<T, CrushError>) -> Result<T, Fail> {
    let mut crush = c.mon.map().crush();
    let before = crush.clone();
    let result = act(&mut crush)?;
    if crush != before {
        c.mon.map().set_crush(&crush);
    }
    Ok(result)
}

/// `type=name …` of `args`.
fn place(c: &Cmd) -> Result<BTreeMap<String, String>, Fail> {
    let mut place = BTreeMap::new();
    for arg in c.args.list("args") {
        match arg.split_once('=') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
                place.insert(kind.to_owned(), name.to_owned());
            }
            _ => return fail(errno::EINVAL, format!("unable to parse crush location '{arg}'")),
        }
    }
    Ok(place)
}

fn place_text(place: &BTreeMap<String, String>) -> String {
    let parts: Vec<_> = place.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{{{}}}", parts.join(","))
}

fn weight_arg(c: &Cmd) -> Result<(u32, String), Fail> {
    let weight = c.args.f64("weight").ok_or_else(|| Fail(errno::EINVAL, "unable to parse weight value".to_owned()))?;
    Ok((::crush::weight_from_float(weight)?, types::dump::general_float(weight, 6)))
}

/// The OSD and its name; it must be in the OSD map.
fn device(c: &mut Cmd) -> Result<(i32, String), Fail> {
    let osd = c.osd_arg("id")?;
    if !c.mon.map().exists(osd) {
        return fail(errno::ENOENT, format!("osd.{osd} does not exist.  create it before updating the crush map"));
    }
    Ok((osd, format!("osd.{osd}")))
}

fn set(c: &mut Cmd) -> CmdResult {
    if !c.args.has("id") {
        return set_map(c);
    }
    let (osd, name) = device(c)?;
    let ((weight, shown), place) = (weight_arg(c)?, place(c)?);
    let changed = change(c, |crush| crush.update_item(osd, weight, &name, &place))?;
    let said = format!("item id {osd} name '{name}' weight {shown} at location {}", place_text(&place));
    Ok(Reply::says(if changed { format!("set {said} to crush map") } else { format!("set {said}: no change") }))
}

fn add(c: &mut Cmd) -> CmdResult {
    let (osd, name) = device(c)?;
    let ((weight, shown), place) = (weight_arg(c)?, place(c)?);
    change(c, |crush| crush.update_item(osd, weight, &name, &place))?;
    let said = format!("add item id {osd} name '{name}' weight {shown} at location {}", place_text(&place));
    Ok(Reply::says(format!("{said} to crush map")))
}

fn create_or_move(c: &mut Cmd) -> CmdResult {
    let (osd, name) = device(c)?;
    let ((weight, shown), place) = (weight_arg(c)?, place(c)?);
    let changed = change(c, |crush| crush.create_or_move_item(osd, weight, &name, &place))?;
    let at = place_text(&place);
    Ok(Reply::says(match changed {
        true => format!("create-or-move updating item name '{name}' weight {shown} at location {at} to crush map"),
        false => format!("create-or-move updated item name '{name}' weight {shown} at location {at} to crush map"),
    }))
}

fn add_bucket(c: &mut Cmd) -> CmdResult {
    let (name, kind, place) = (c.arg("name")?, c.arg("type")?, place(c)?);
    if c.mon.map().crush().name_exists(&name) {
        return Ok(Reply::says(format!("bucket '{name}' already exists")));
    }
    change(c, |crush| {
        let id = crush.add_bucket(&name, &kind)?;
        if place.is_empty() { Ok(()) } else { crush.move_bucket(id, &place) }
    })?;
    Ok(Reply::says(match place.is_empty() {
        true => format!("added bucket {name} type {kind} to crush map"),
        false => format!("added bucket {name} type {kind} to location {}", place_text(&place)),
    }))
}

fn rename_bucket(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcname")?, c.arg("dstname")?);
    match change(c, |crush| crush.rename_bucket(&src, &dst)) {
        Err(Fail(114, text)) => Ok(Reply::says(text)),
        result => result.map(|()| Reply::says(format!("renamed bucket {src} into {dst}"))),
    }
}

/// The id that a name has in the pending map.
fn item(c: &mut Cmd, name: &str) -> Result<i32, Fail> {
    let id = c.mon.map().crush().item_id(name);
    id.ok_or_else(|| Fail(errno::ENOENT, format!("item {name} does not exist")))
}

fn move_(c: &mut Cmd) -> CmdResult {
    let (name, place) = (c.arg("name")?, place(c)?);
    let id = item(c, &name)?;
    let at = place_text(&place);
    change(c, |crush| {
        if id < 0 {
            return crush.move_bucket(id, &place);
        }
        let weight = crush.item_weight(id).unwrap_or(0);
        crush.create_or_move_item(id, weight, &name, &place).map(|_| ())
    })?;
    Ok(Reply::says(format!("moved item id {id} name '{name}' to location {at} in crush map")))
}

fn link(c: &mut Cmd) -> CmdResult {
    let (name, place) = (c.arg("name")?, place(c)?);
    let id = item(c, &name)?;
    change(c, |crush| crush.link_bucket(id, &place))?;
    Ok(Reply::says(format!("linked item id {id} name '{name}' to location {} in crush map", place_text(&place))))
}

fn swap(c: &mut Cmd) -> CmdResult {
    let (a, b) = (c.arg("source")?, c.arg("dest")?);
    if !c.args.flag("yes_i_really_mean_it") {
        return fail(errno::EPERM, "pass --yes-i-really-mean-it to swap buckets that hold data");
    }
    let (x, y) = (item(c, &a)?, item(c, &b)?);
    change(c, |crush| crush.swap_buckets(x, y))?;
    Ok(Reply::says(format!("swapped bucket of {a} to {b}")))
}

fn rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let unlink_only = c.args.prefix() == "osd crush unlink";
    let Some(id) = c.mon.map().crush().item_id(&name) else {
        return Ok(Reply::says(format!("device '{name}' does not appear in the crush map")));
    };
    match c.args.text("ancestor") {
        None => change(c, |crush| crush.remove_item(id, unlink_only))?,
        Some(ancestor) => {
            let above = c.mon.map().crush().item_id(&ancestor);
            let missing =
                || Fail(errno::ENOENT, format!("ancestor item '{ancestor}' does not appear in the crush map"));
            let above = above.ok_or_else(missing)?;
            change(c, |crush| crush.remove_item_under(id, above, unlink_only))?;
        }
    }
    Ok(Reply::says(format!("removed item id {id} name '{name}' from crush map")))
}

fn reweight(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let (weight, shown) = weight_arg(c)?;
    let id = c.mon.map().crush().item_id(&name);
    let id = id.ok_or_else(|| Fail(errno::ENOENT, format!("device '{name}' does not appear in the crush map")))?;
    if id < 0 {
        return fail(errno::EINVAL, format!("device '{name}' is not a leaf in the crush map"));
    }
    change(c, |crush| crush.reweight_item(id, weight))?;
    Ok(Reply::says(format!("reweighted item id {id} name '{name}' to {shown} in crush map")))
}

fn reweight_subtree(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let (weight, shown) = weight_arg(c)?;
    let id = item(c, &name)?;
    change(c, |crush| crush.reweight_subtree(id, weight))?;
    Ok(Reply::says(format!("reweighted subtree id {id} name '{name}' to {shown} in crush map")))
}

fn reweight_all(c: &mut Cmd) -> CmdResult {
    change(c, CrushMap::reweight_all)?;
    Ok(Reply::says("reweighted crush hierarchy"))
}

fn straw2(c: &mut Cmd) -> CmdResult {
    change(c, CrushMap::straw_to_straw2)?;
    Ok(Reply::says("replaced all straw buckets with straw2 buckets"))
}

fn tunables(c: &mut Cmd) -> CmdResult {
    let profile = c.arg("profile")?;
    let mut crush = c.mon.map().crush();
    if !crush.tunables.set_profile(&profile) {
        return fail(errno::EINVAL, format!("unrecognized profile '{profile}'"));
    }
    c.mon.map().set_crush(&crush);
    Ok(Reply::says(format!("adjusted tunables profile to {profile}")))
}

fn set_tunable(c: &mut Cmd) -> CmdResult {
    let value = c.args.i64("value").unwrap_or(-1);
    let Some(version) = u8::try_from(value).ok().filter(|v| *v <= 2) else {
        return fail(errno::EINVAL, "value must be 0 or 1; got ".to_owned() + &value.to_string());
    };
    change(c, |crush| {
        crush.tunables.straw_calc_version = version;
        Ok(())
    })?;
    Ok(Reply::says(format!("adjusted tunable straw_calc_version to {version}")))
}

fn set_map(c: &mut Cmd) -> CmdResult {
    let base = c.mon.state.osdmap.clone();
    if let Some(prior) = c.args.i64("prior_version") {
        if prior == i64::from(base.crush_version) - 1
            && denc::to_bytes(base.crush.as_ref(), base.encoding_features()) == c.data
        {
            return Ok(Reply::says(format!("{}", base.crush_version)));
        }
        if prior != i64::from(base.crush_version) {
            return fail(errno::EPERM, format!("prior_version {prior} != crush version {}", base.crush_version));
        }
    }
    let crush: CrushMap = match denc::from_bytes(c.data.clone()) {
        Ok(crush) => crush,
        Err(e) => return fail(errno::EINVAL, format!("Failed to parse crushmap: {e}")),
    };
    if let Err(e) = crush.validate() {
        return fail(errno::EINVAL, format!("crush map is not valid: {e}"));
    }
    for (id, p) in &base.pools {
        if !crush.rule_exists(p.crush_rule.into()) {
            let text = format!("pool {id} uses crush rule {} that the new map does not have", p.crush_rule);
            return fail(errno::EINVAL, text);
        }
    }
    c.mon.map().set_crush(&crush);
    Ok(Reply::says(format!("{}", base.crush_version + 1)))
}

// --- rules and classes

fn rule_create(c: &mut Cmd) -> CmdResult {
    let (name, root, kind) = (c.arg("name")?, c.arg("root")?, c.arg("type")?);
    let class = c.args.text("class").unwrap_or_default();
    let mode = match c.args.str("mode") {
        Some("indep") => "indep",
        _ => "firstn",
    };
    if c.mon.map().crush().rule_id(&name).is_some() {
        return Ok(Reply::says(format!("rule {name} already exists")));
    }
    let kind = if kind == "osd" { String::new() } else { kind };
    let mode = ::crush::Mode::from_name(mode).expect("one of the two modes");
    change(c, |crush| crush.add_simple_rule(&name, &root, &kind, &class, mode, RuleKind::Replicated))?;
    Ok(Reply::default())
}

fn rule_rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let Some(id) = c.mon.map().crush().rule_id(&name) else {
        return Ok(Reply::says(format!("rule {name} does not exist")));
    };
    if c.mon.map().pools().iter().any(|(_, p)| u32::from(p.crush_rule) == id) {
        return fail(errno::EBUSY, format!("crush rule {name} ({id}) is in use"));
    }
    change(c, |crush| crush.remove_rule(id))?;
    Ok(Reply::default())
}

fn rule_rename(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcname")?, c.arg("dstname")?);
    match change(c, |crush| crush.rename_rule(&src, &dst)) {
        Err(Fail(114, text)) => Ok(Reply::says(text)),
        result => result.map(|()| Reply::default()),
    }
}

fn class_create(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    match change(c, |crush| crush.create_class(&class)) {
        Ok(id) => Ok(Reply::says(format!("created class {class} with id {id} to crush map"))),
        Err(Fail(errno::EEXIST, _)) => Ok(Reply::says(format!("class '{class}' already exists"))),
        Err(e) => Err(e),
    }
}

fn class_rm(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    let crush = c.mon.map().crush();
    let Some(id) = crush.class_id(&class) else { return Ok(Reply::says(format!("class '{class}' does not exist"))) };
    if let Some(rule) = crush.rules_of_class(id).first() {
        let name = crush.rule_name(*rule).unwrap_or_default();
        return fail(errno::EBUSY, format!("class '{class}' still referenced by crush_rule '{name}'"));
    }
    let osds: Vec<i32> = crush.class_devices(id).collect();
    change(c, |crush| osds.into_iter().try_for_each(|osd| crush.rm_device_class(osd).map(|_| ())))?;
    Ok(Reply::says(format!("removed class {class} with id {id} from crush map")))
}

fn class_rename(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcname")?, c.arg("dstname")?);
    change(c, |crush| crush.rename_class(&src, &dst))?;
    Ok(Reply::says(format!("rename class '{src}' to '{dst}'")))
}

/// The OSDs that `ids` names; all of them for `all`.
fn osds(c: &mut Cmd) -> Result<Vec<i32>, Fail> {
    let ids = c.args.list("ids");
    if ids.iter().any(|id| matches!(id.as_str(), "all" | "any" | "*")) {
        return Ok(c.mon.map().osds().collect());
    }
    super::osd::osd_list(c, "ids")
}

fn set_class(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    let osds = osds(c)?;
    if let Some(osd) = osds.iter().find(|osd| !c.mon.map().exists(**osd)) {
        return fail(errno::ENOENT, format!("osd.{osd} does not exist. create it before updating the crush map"));
    }
    let shown = join(&osds);
    change(c, |crush| osds.into_iter().try_for_each(|osd| crush.set_device_class(osd, &class).map(|_| ())))?;
    Ok(Reply::says(format!("set osd(s) {shown} to class '{class}'")))
}

fn rm_class(c: &mut Cmd) -> CmdResult {
    let osds = osds(c)?;
    let shown = join(&osds);
    change(c, |crush| osds.into_iter().try_for_each(|osd| crush.rm_device_class(osd).map(|_| ())))?;
    Ok(Reply::says(format!("done removing class of osd(s): {shown}")))
}

fn join(osds: &[i32]) -> String {
    osds.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
