//! Looking at the CRUSH map.

use osdmap::{dump_crush, dump_rule, dump_rules, dump_tunables};
use types::dump::Dump;
use types::errno;

use crate::commands::{Cmd, CmdResult, Fail, Handler, Reply, fail, parse_osd};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd crush dump" => dump,
        "osd crush tree" => tree,
        "osd crush ls" => ls,
        "osd crush rule ls" | "osd crush rule list" => rule_ls,
        "osd crush rule ls-by-class" => rule_ls_by_class,
        "osd crush rule dump" => rule_dump,
        "osd crush class ls" => class_ls,
        "osd crush class ls-osd" => class_ls_osd,
        "osd crush get-device-class" => get_class,
        "osd crush show-tunables" => show_tunables,
        "osd crush get-tunable" => get_tunable,
        "osd crush weight-set ls" => weight_set_ls,
        "osd crush weight-set dump" => weight_set_dump,
        _ => return None,
    })
}

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
    Ok(list(c, "rules", "name", &names))
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
    Ok(c.dump_or(
        "osds",
        || Dump::arr("osd", osds.iter().copied()),
        || osds.iter().map(|osd| format!("{osd}\n")).collect(),
    ))
}

fn get_class(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let mut rows = std::collections::BTreeMap::new();
    for text in c.args.list("ids") {
        let osd = parse_osd(&text).ok_or_else(|| Fail(errno::EINVAL, format!("unable to parse osd id:'{text}'")))?;
        rows.insert(osd, map.crush.item_class(osd).unwrap_or_default().to_owned());
    }
    let tree = || {
        let one = |(osd, class): (&i32, &String)| Dump::obj().with("osd", *osd).with("device_class", class);
        Dump::arr("osd_device_class", rows.iter().map(one))
    };
    // A line of its own for each, but of one OSD the class alone; nothing at all without one.
    let text = || match rows.len() {
        1 => rows.values().filter(|class| !class.is_empty()).map(|class| format!("{class}\n")).collect(),
        _ => rows.iter().map(|(osd, class)| format!("osd.{osd} {class}\n")).collect(),
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
