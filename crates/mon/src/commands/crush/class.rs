//! Device classes.

use std::collections::BTreeSet;
use std::fmt::Write;

use ::crush::CrushError;
use types::{OsdId, errno};

use super::{change, join, no_integer, says};
use crate::commands::{Cmd, CmdResult, Fail, Handler, Reply, fail, parse_osd};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd crush class create" => create,
        "osd crush class rm" => rm,
        "osd crush class rename" => rename,
        "osd crush set-device-class" => set,
        "osd crush rm-device-class" => unset,
        _ => return None,
    })
}

fn create(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    match change(c, |crush| crush.create_class(&class)) {
        Ok(id) => says(format!("created class {class} with id {id} to crush map")),
        Err(Fail(errno::EEXIST, _)) => says(format!("class '{class}' already exists")),
        Err(e) => Err(e),
    }
}

fn rm(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    let crush = c.mon.map().crush();
    // Idempotent, and silent about it.
    let Some(id) = crush.class_id(&class) else { return Ok(Reply::default()) };
    let rules = crush.rules_of_class(id);
    if !rules.is_empty() {
        let names: Vec<_> =
            rules.iter().map(|rule| format!("'{}'", crush.rule_name(*rule).unwrap_or_default())).collect();
        return fail(errno::EBUSY, format!("class '{class}' still referenced by crush_rule(s): {}", names.join(",")));
    }
    let base = c.mon.state.osdmap.clone();
    let uses = |p: &std::collections::BTreeMap<String, String>| p.get("crush-device-class") == Some(&class);
    let profiles = base.erasure_code_profiles.iter().filter(|(_, p)| uses(p)).map(|(name, _)| name.as_str());
    let profiles: Vec<&str> = profiles.collect();
    if !profiles.is_empty() {
        let text = format!("class '{class}' is still referenced by erasure-code-profile(s): [{}]", profiles.join(","));
        return fail(errno::EBUSY, text);
    }
    change(c, |crush| crush.remove_class(&class))?;
    says(format!("removed class {class} with id {id} from crush map"))
}

fn rename(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcname")?, c.arg("dstname")?);
    let crush = c.mon.map().crush();
    if crush.class_id(&src).is_none() && crush.class_id(&dst).is_some() {
        return says(format!("already renamed to '{dst}'"));
    }
    change(c, |crush| crush.rename_class(&src, &dst)).map_err(|Fail(errno, _)| {
        let why = match errno {
            errno::ENOENT => "(2) No such file or directory",
            errno::EEXIST => "(17) File exists",
            _ => "(22) Invalid argument",
        };
        Fail(errno, format!("fail to rename '{src}' to '{dst}' : {why}"))
    })?;
    says(format!("rename class '{src}' to '{dst}'"))
}

/// The OSDs that `ids` means, with what is to be said of those that it cannot mean; whether it means all.
fn wanted(c: &mut Cmd, said: &mut String) -> Result<(Vec<OsdId>, bool), Fail> {
    let ids = c.args.list("ids");
    if ids.first().is_some_and(|id| matches!(id.as_str(), "all" | "any" | "*")) {
        return Ok((c.mon.map().osds().collect(), true));
    }
    let strict = c.args.prefix() == "osd crush rm-device-class";
    let mut osds = vec![];
    for id in ids {
        match parse_osd(&id) {
            Some(osd) if c.mon.map().exists(osd) => osds.push(osd),
            Some(osd) => _ = write!(said, "osd.{osd} does not exist. "),
            None => {
                _ = write!(said, "{}, unable to parse osd id:\"{id}\". ", no_integer(&id));
                if strict {
                    return fail(errno::EINVAL, said.clone());
                }
            }
        }
    }
    Ok((osds, false))
}

fn set(c: &mut Cmd) -> CmdResult {
    let class = c.arg("class")?;
    let mut said = String::new();
    let (osds, all) = wanted(c, &mut said)?;
    let mut updated = BTreeSet::new();
    let result = change(c, |crush| {
        for osd in osds {
            if crush.set_device_class(osd, &class)? {
                updated.insert(osd);
                continue;
            }
            _ = write!(said, "osd.{osd} already set to class {class}. ");
            if !all {
                let name = format!("osd.{osd}");
                _ = write!(said, "set-device-class item id {osd} name '{name}' device_class '{class}': no change. ");
            }
        }
        Ok::<_, CrushError>(())
    });
    match result {
        Ok(()) => says(format!("{said}set osd(s) {} to class '{class}'", join(&updated))),
        Err(Fail(errno, why)) => fail(errno, said + &why),
    }
}

fn unset(c: &mut Cmd) -> CmdResult {
    let mut said = String::new();
    let (osds, _) = wanted(c, &mut said)?;
    let mut updated = BTreeSet::new();
    change(c, |crush| {
        for osd in osds {
            // A device that the CRUSH map does not know has no class either.
            if crush.item_class(osd).is_some() && crush.rm_device_class(osd)? {
                updated.insert(osd);
            } else {
                _ = write!(said, "osd.{osd} belongs to no class, ");
            }
        }
        Ok(())
    })?;
    says(format!("{said}done removing class of osd(s): {}", join(&updated)))
}
