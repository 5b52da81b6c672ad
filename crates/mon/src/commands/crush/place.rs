//! Where devices and buckets are, and what they weigh.

use ::crush::{CrushError, CrushMap};
use types::errno;

use super::{change, device, place_arg, place_text, says, weight_arg, whole};
use crate::commands::{Cmd, CmdResult, Fail, Handler, fail};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
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
        _ => return None,
    })
}

fn set(c: &mut Cmd) -> CmdResult {
    if !c.args.has("id") {
        return whole::set_map(c);
    }
    let (osd, name) = device(c, ". Create it before updating the crush map")?;
    let ((weight, shown), place) = (weight_arg(c)?, place_arg(c)?);
    let said = format!("item id {osd} name '{name}' weight {shown} at location {}", place_text(&place));
    if !c.mon.map().crush().item_exists(osd) {
        return fail(errno::ENOENT, format!("unable to set {said}: does not exist"));
    }
    let changed = change(c, |crush| crush.update_item(osd, weight, &name, &place))?;
    says(if changed { format!("set {said} to crush map") } else { format!("set {said}: no change") })
}

/// Unlike `set` it may give an OSD another place besides the one that it has.
fn add(c: &mut Cmd) -> CmdResult {
    let (osd, name) = device(c, ". Create it before updating the crush map")?;
    let ((weight, shown), place) = (weight_arg(c)?, place_arg(c)?);
    let said = format!("item id {osd} name '{name}' weight {shown} at location {}", place_text(&place));
    if c.mon.map().crush().weight_at(osd, &place).is_none() {
        change(c, |crush| crush.insert_item(osd, weight, &name, &place))?;
        return says(format!("add {said} to crush map"));
    }
    let changed = change(c, |crush| crush.update_item(osd, weight, &name, &place))?;
    says(if changed { format!("set {said} to crush map") } else { format!("set {said}: no change") })
}

fn create_or_move(c: &mut Cmd) -> CmdResult {
    let (osd, name) = device(c, ".  create it before updating the crush map")?;
    let ((weight, shown), place) = (weight_arg(c)?, place_arg(c)?);
    let changed = change(c, |crush| crush.create_or_move_item(osd, weight, &name, &place))?;
    let verb = if changed { "updating" } else { "updated" };
    let at = place_text(&place);
    says(format!("create-or-move {verb} item name '{name}' weight {shown} at location {at} to crush map"))
}

fn add_bucket(c: &mut Cmd) -> CmdResult {
    let (name, kind, place) = (c.arg("name")?, c.arg("type")?, place_arg(c)?);
    let crush = c.mon.map().crush();
    if crush.name_exists(&name) {
        return says(format!("bucket '{name}' already exists"));
    }
    if crush.type_id(&kind) == Some(0) {
        return fail(errno::EINVAL, format!("type '{kind}' is for devices, not buckets"));
    }
    change(c, |crush| {
        let id = crush.add_bucket(&name, &kind)?;
        if place.is_empty() { Ok(()) } else { crush.move_bucket(id, &place) }
    })
    .map_err(|Fail(errno, why)| match place.is_empty() {
        true => Fail(errno, why),
        false => Fail(errno, format!("error moving bucket '{name}' to location {}: {why}", place_text(&place))),
    })?;
    says(match place.is_empty() {
        true => format!("added bucket {name} type {kind} to crush map"),
        false => format!("added bucket {name} type {kind} to location {}", place_text(&place)),
    })
}

fn rename_bucket(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcname")?, c.arg("dstname")?);
    let crush = c.mon.map().crush();
    let renamed = change(c, |crush| crush.rename_bucket(&src, &dst));
    match renamed {
        Ok(()) => says(format!("renamed bucket {src} into {dst}")),
        // What was done before is done.
        Err(Fail(114, text)) => says(text),
        Err(Fail(errno::ENOENT, _)) => fail(errno::ENOENT, format!("srcname = '{src}' does not exist")),
        Err(Fail(errno::EEXIST, _)) => fail(errno::EEXIST, format!("dstname = '{dst}' already exists")),
        Err(Fail(errno::ENOTDIR, _)) => {
            let id = crush.item_id(&src).unwrap_or(0);
            fail(errno::ENOTDIR, format!("srcname = '{src}' is not a bucket because its id = {id} is >= 0"))
        }
        Err(e) => Err(e),
    }
}

/// The id that a name has in the pending map.
fn item(c: &mut Cmd, name: &str) -> Result<i32, Fail> {
    let id = c.mon.map().crush().item_id(name);
    id.ok_or_else(|| Fail(errno::ENOENT, format!("item {name} does not exist")))
}

fn move_(c: &mut Cmd) -> CmdResult {
    let (name, place) = (c.arg("name")?, place_arg(c)?);
    let id = item(c, &name)?;
    let said = format!("item id {id} name '{name}' to location {} in crush map", place_text(&place));
    if c.mon.map().crush().weight_at(id, &place).is_some() {
        return says(format!("no need to move {said}"));
    }
    change(c, |crush| match id {
        ..0 => crush.move_bucket(id, &place),
        _ => crush.create_or_move_item(id, 0, &name, &place).map(|_| ()),
    })?;
    says(format!("moved {said}"))
}

fn link(c: &mut Cmd) -> CmdResult {
    let (name, place) = (c.arg("name")?, place_arg(c)?);
    let id = item(c, &name)?;
    let at = place_text(&place);
    if c.mon.map().crush().weight_at(id, &place).is_some() {
        return says(format!("no need to move item id {id} name '{name}' to location {at} in crush map"));
    }
    let cannot = |errno| Fail(errno, format!("cannot link item id {id} name '{name}' to location {at}"));
    if id >= 0 {
        return Err(cannot(errno::EINVAL));
    }
    change(c, |crush| crush.link_bucket(id, &place)).map_err(|Fail(errno, _)| cannot(errno))?;
    says(format!("linked item id {id} name '{name}' to location {at} in crush map"))
}

fn swap(c: &mut Cmd) -> CmdResult {
    let (source, dest) = (c.arg("source")?, c.arg("dest")?);
    let crush = c.mon.map().crush();
    let id = |what: &str, name: &str| {
        let missing = || Fail(errno::ENOENT, format!("{what} item {name} does not exist"));
        crush.item_id(name).ok_or_else(missing)
    };
    let (a, b) = (id("source", &source)?, id("dest", &dest)?);
    if !c.args.flag("yes_i_really_mean_it") {
        let sure = "pass --yes-i-really-mean-it to proceed anyway";
        if crush.parent(a).is_some() {
            return fail(errno::EPERM, format!("source item {source} is not an orphan bucket; {sure}"));
        }
        if let (Some(x), Some(y)) = (crush.bucket(a), crush.bucket(b))
            && x.alg() != y.alg()
        {
            let (x, y) = (x.alg().name(), y.alg().name());
            return fail(errno::EPERM, format!("source bucket alg {x} != dest bucket alg {y}; {sure}"));
        }
    }
    change(c, |crush| crush.swap_buckets(a, b))
        .map_err(|Fail(_, why)| Fail(errno::EINVAL, format!("failed to swap bucket contents: {why}")))?;
    says(format!("swapped bucket of {source} to {dest}"))
}

fn rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let unlink_only = c.args.prefix() == "osd crush unlink";
    let Some(id) = c.mon.map().crush().item_id(&name) else {
        return says(format!("device '{name}' does not appear in the crush map"));
    };
    let above = match c.args.text("ancestor") {
        None => None,
        Some(ancestor) => {
            let missing =
                || Fail(errno::ENOENT, format!("ancestor item '{ancestor}' does not appear in the crush map"));
            Some(c.mon.map().crush().item_id(&ancestor).ok_or_else(missing)?)
        }
    };
    let remove = |crush: &mut CrushMap| match above {
        None => crush.remove_item(id, unlink_only),
        Some(above) => crush.remove_item_under(id, above, unlink_only),
    };
    match change(c, |crush| remove(crush)) {
        Err(e) if e.0 == CrushError::NoSuchId(id).errno() => {
            return says(format!("item {id} does not appear in that position"));
        }
        result => result?,
    }
    // Flags that were set on the bucket by `osd set-group` do not pass to whoever gets its id next.
    if !unlink_only && c.mon.state.osdmap.crush_node_flags.contains_key(&id) {
        c.mon.map().inc.new_crush_node_flags.insert(id, 0);
    }
    says(format!("removed item id {id} name '{name}' from crush map"))
}

fn in_crush(c: &mut Cmd, name: &str) -> Result<i32, Fail> {
    let id = c.mon.map().crush().item_id(name);
    id.ok_or_else(|| Fail(errno::ENOENT, format!("device '{name}' does not appear in the crush map")))
}

fn reweight(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let id = in_crush(c, &name)?;
    if id < 0 {
        return fail(errno::EINVAL, format!("device '{name}' is not a leaf in the crush map"));
    }
    let (weight, shown) = weight_arg(c)?;
    change(c, |crush| crush.reweight_item(id, weight))?;
    says(format!("reweighted item id {id} name '{name}' to {shown} in crush map"))
}

fn reweight_subtree(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let id = in_crush(c, &name)?;
    if id >= 0 {
        return fail(errno::EINVAL, format!("device '{name}' is not a subtree in the crush map"));
    }
    let (weight, shown) = weight_arg(c)?;
    change(c, |crush| crush.reweight_subtree(id, weight))?;
    says(format!("reweighted subtree id {id} name '{name}' to {shown} in crush map"))
}

fn reweight_all(c: &mut Cmd) -> CmdResult {
    change(c, CrushMap::reweight_all)?;
    says("reweighted crush hierarchy".to_owned())
}
