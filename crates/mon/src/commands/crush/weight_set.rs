//! Weight sets (choose_args): weights that draws use in place of the real ones, for all pools (compat)
//! or for one.

use ::crush::DEFAULT_CHOOSE_ARGS;
use osdmap::Release;
use types::{PoolId, errno};

use super::{change, says};
use crate::commands::{Cmd, CmdResult, Fail, Handler, Reply, fail};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd crush weight-set create" | "osd crush weight-set create-compat" => create,
        "osd crush weight-set rm" | "osd crush weight-set rm-compat" => rm,
        "osd crush weight-set reweight" | "osd crush weight-set reweight-compat" => reweight,
        _ => return None,
    })
}

/// The pool whose set is meant, with its name; `None` for the one of all pools.
fn pool(c: &mut Cmd) -> Result<Option<(PoolId, String)>, Fail> {
    if c.args.prefix().ends_with("-compat") {
        return Ok(None);
    }
    let name = c.arg("pool")?;
    match c.mon.map().pool_id(&name) {
        Some(id) => Ok(Some((id, name))),
        None => fail(errno::ENOENT, format!("pool '{name}' not found")),
    }
}

fn create(c: &mut Cmd) -> CmdResult {
    if c.mon.map().crush().has_other_than_straw2() {
        return fail(errno::EPERM, "crush map contains one or more bucket(s) that are not straw2");
    }
    let compat = c.mon.state.osdmap.require_min_compat_client;
    let own = !c.args.prefix().ends_with("-compat");
    if own && compat < Release::LUMINOUS {
        let text = format!(
            "require_min_compat_client {compat} < luminous, which is required for per-pool weight-sets. Try 'ceph osd \
             set-require-min-compat-client luminous' before using the new interface"
        );
        return fail(errno::EPERM, text);
    }
    let pool = pool(c)?;
    let positions = match &pool {
        Some((id, _)) if c.args.str("mode") == Some("positional") => {
            c.mon.map().pool(*id).map_or(1, |p| usize::from(p.size)).max(1)
        }
        _ => 1,
    };
    let set = pool.as_ref().map_or(DEFAULT_CHOOSE_ARGS, |(id, _)| *id);
    if change(c, |crush| Ok(crush.create_choose_args(set, positions)))? {
        return Ok(Reply::default());
    }
    says(match pool {
        None => "compat weight-set already created".to_owned(),
        Some((_, name)) => format!("weight-set for pool '{name}' already created"),
    })
}

fn rm(c: &mut Cmd) -> CmdResult {
    let set = pool(c)?.map_or(DEFAULT_CHOOSE_ARGS, |(id, _)| id);
    change(c, |crush| {
        crush.remove_choose_args(set);
        Ok(())
    })?;
    Ok(Reply::default())
}

fn reweight(c: &mut Cmd) -> CmdResult {
    let pool = pool(c)?;
    let weights = c.args.list("weight");
    let crush = c.mon.map().crush();
    let set = pool.as_ref().map_or(DEFAULT_CHOOSE_ARGS, |(id, _)| *id);
    let Some(positions) = crush.choose_args_positions(set) else {
        let text = pool.map_or_else(
            || "no backward-compatible weight-set".to_owned(),
            |(_, name)| format!("no weight-set for pool '{name}'"),
        );
        return fail(errno::ENOENT, text);
    };
    if weights.len() != positions {
        let errno = if pool.is_some() { errno::EINVAL } else { errno::ENOENT };
        return fail(errno, format!("must specify exact {positions} weight values"));
    }
    let item = c.arg("item")?;
    let Some(id) = crush.item_id(&item) else {
        return fail(errno::ENOENT, format!("item '{item}' does not exist"));
    };
    let mut fixed = vec![];
    for text in &weights {
        let weight = text.parse::<f64>().map_err(|_| Fail(errno::EINVAL, format!("'{text}' is no weight")))?;
        fixed.push(::crush::weight_from_float(weight)?);
    }
    if !change(c, |crush| crush.reweight_choose_args(set, id, &fixed))? {
        return fail(errno::ENOENT, format!("item {id} not found in crush map"));
    }
    Ok(Reply::default())
}
