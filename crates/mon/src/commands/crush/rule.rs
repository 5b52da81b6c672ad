//! Rules.

use ::crush::{Mode, RuleKind};
use types::errno;

use super::{change, says};
use crate::commands::{Cmd, CmdResult, Handler, Reply, fail};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd crush rule create-simple" | "osd crush rule create-replicated" => create,
        "osd crush rule create-erasure" => create_erasure,
        "osd crush rule rm" => rm,
        "osd crush rule rename" => rename,
        _ => return None,
    })
}

fn create(c: &mut Cmd) -> CmdResult {
    let (name, root, domain) = (c.arg("name")?, c.arg("root")?, c.arg("type")?);
    let class = c.args.text("class").unwrap_or_default();
    let mode = c.args.str("mode").and_then(Mode::from_name).unwrap_or(Mode::Firstn);
    let crush = c.mon.map().crush();
    if crush.rule_id(&name).is_some() {
        return says(format!("rule {name} already exists"));
    }
    // Ceph words these unlike the same errors elsewhere.
    if !crush.name_exists(&root) {
        return fail(errno::ENOENT, format!("root item {root} does not exist"));
    }
    if crush.type_id(&domain).is_none() {
        return fail(errno::EINVAL, format!("unknown type {domain}"));
    }
    if !class.is_empty() && crush.class_id(&class).is_none() {
        return fail(errno::EINVAL, format!("device class {class} does not exist"));
    }
    change(c, |crush| crush.add_simple_rule(&name, &root, &domain, &class, mode, RuleKind::Replicated))?;
    Ok(Reply::default())
}

fn create_erasure(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    if c.mon.map().crush().rule_id(&name).is_some() {
        return says(format!("rule {name} already exists"));
    }
    let profile = c.args.text("profile").unwrap_or_else(|| "default".to_owned());
    if !c.mon.state.osdmap.erasure_code_profiles.contains_key(&profile) {
        let text = "cannot determine the erasure code plugin because there is no 'plugin' entry in the \
                    erasure_code_profile {}";
        return fail(errno::EINVAL, text);
    }
    fail(errno::EOPNOTSUPP, "erasure-coded pools are not supported yet")
}

fn rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let Some(id) = c.mon.map().crush().rule_id(&name) else {
        return says(format!("rule {name} does not exist"));
    };
    if c.mon.map().pools().iter().any(|(_, p)| u32::from(p.crush_rule) == id) {
        return fail(errno::EBUSY, format!("crush ruleset {name} {id} is in use"));
    }
    change(c, |crush| crush.remove_rule(id))?;
    Ok(Reply::default())
}

fn rename(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcname")?, c.arg("dstname")?);
    if src == dst {
        return says("destination rule name is equal to source rule name".to_owned());
    }
    let crush = c.mon.map().crush();
    match (crush.rule_id(&src), crush.rule_id(&dst)) {
        (None, Some(_)) => return says(format!("already renamed to '{dst}'")),
        (None, None) => return fail(errno::ENOENT, format!("source rule name '{src}' does not exist")),
        (Some(_), Some(_)) => return fail(errno::EEXIST, format!("destination rule name '{dst}' already exists")),
        (Some(_), None) => {}
    }
    change(c, |crush| crush.rename_rule(&src, &dst))?;
    Ok(Reply::default())
}
