//! Pools: `osd pool …`.

use osdmap::{OsdMap, dump_pg_pool};
use types::dump::Dump;
use types::{PoolId, errno, pool};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail, pool_set};
use crate::osd_service::NewPool;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd pool ls" => ls,
        "osd pool create" => create,
        "osd pool rm" | "osd pool delete" => rm,
        "osd pool rename" => rename,
        "osd pool get" => pool_set::get,
        "osd pool set" => pool_set::set,
        "osd pool set-quota" => set_quota,
        "osd pool get-quota" => get_quota,
        "osd pool application enable" => app_enable,
        "osd pool application disable" => app_disable,
        "osd pool application set" => app_set,
        "osd pool application rm" => app_rm,
        "osd pool application get" => app_get,
        "osd pool mksnap" => mksnap,
        "osd pool rmsnap" => rmsnap,
        _ => return None,
    })
}

/// The pool that an argument names, in the pending map.
pub fn named(c: &mut Cmd, arg: &str) -> Result<(PoolId, String), Fail> {
    let name = c.arg(arg)?;
    match c.mon.map().pool_id(&name) {
        Some(id) => Ok((id, name)),
        None => fail(errno::ENOENT, format!("unrecognized pool '{name}'")),
    }
}

fn ls(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let detail = c.args.has("detail");
    let tree = || match detail {
        true => Dump::arr("pool", map.pools.keys().map(|id| detail_of(&map, *id))),
        false => Dump::arr("pool_name", map.pool_names.values()),
    };
    let text = || match detail {
        true => map.print_pools() + "\n",
        false => map.pool_names.values().map(|n| format!("{n}\n")).collect(),
    };
    Ok(c.dump_or("pools", tree, text))
}

fn detail_of(map: &OsdMap, id: PoolId) -> Dump {
    let p = map.pool(id).expect("asked for pools of the map");
    let mut d = Dump::obj().with("pool_id", id).with("pool_name", map.pool_name(id).unwrap_or_default());
    d.extend(dump_pg_pool(p));
    d
}

fn create(c: &mut Cmd) -> CmdResult {
    let name = c.arg("pool")?;
    let number =
        |arg: &str| c.args.i64(arg).map_or(0, |n| u32::try_from(n).unwrap_or(if n < 0 { 0 } else { u32::MAX }));
    let mut rule = c.args.text("rule").unwrap_or_default();
    let kind = c.args.text("pool_type").unwrap_or_else(|| "replicated".to_owned());
    // For replicated pools the place of the profile may hold the rule.
    if kind == "replicated" && rule.is_empty() {
        rule = c.args.text("erasure_code_profile").unwrap_or_default();
    }
    if kind == "erasure" {
        return fail(errno::EOPNOTSUPP, "erasure-coded pools are not supported yet");
    }
    if kind != "replicated" {
        return fail(errno::EINVAL, format!("unknown pool type '{kind}'"));
    }
    let want = NewPool {
        name: name.clone(),
        pg_num: number("pg_num"),
        pgp_num: number("pgp_num"),
        size: number("size").min(255) as u8,
        rule,
        rule_id: None,
        expected_num_objects: c.args.i64("expected_num_objects").and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        autoscale_mode: c.args.text("autoscale_mode"),
    };
    match c.mon.new_pool(c.cx.now.wall, &want) {
        Ok(_) => Ok(Reply::says(format!("pool '{name}' created"))),
        Err((errno::EEXIST, text)) => Ok(Reply::says(text)),
        Err(e) => Err(e.into()),
    }
}

fn rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("pool")?;
    let Some(id) = c.mon.map().pool_id(&name) else {
        return Ok(Reply::says(format!("pool '{name}' does not exist")));
    };
    let forced = c.args.flag("yes_i_really_really_mean_it_not_faking");
    let sure = c.args.flag("yes_i_really_really_mean_it") && c.args.str("pool2") == Some(name.as_str());
    if !forced && !sure {
        let text = format!(
            "WARNING: this will *PERMANENTLY DESTROY* all data stored in pool {name}.  If you are *ABSOLUTELY CERTAIN* \
             that is what you want, pass the pool name *twice*, followed by --yes-i-really-really-mean-it."
        );
        return fail(errno::EPERM, text + &c.mon.what_goes_with_pool(id));
    }
    may_be_removed(c, id, forced)?;
    c.mon.remove_pool(id);
    Ok(Reply::says(format!("pool '{name}' removed")))
}

/// Ceph: `OSDMonitor::_check_remove_pool`.
pub fn may_be_removed(c: &mut Cmd, id: PoolId, forced: bool) -> Result<(), Fail> {
    let allowed = c.mon.config.bool("mon_allow_pool_delete");
    let p = c.mon.map().pool(id).expect("it was found by name");
    if !allowed && !forced {
        let text = "pool deletion is disabled; you must first set the mon_allow_pool_delete config option to true \
                    before you can destroy a pool";
        return fail(errno::EPERM, text);
    }
    if p.has_flag(pool::flag::NODELETE) {
        return fail(errno::EPERM, "pool deletion is disabled; you must unset nodelete flag for the pool first");
    }
    Ok(())
}

fn rename(c: &mut Cmd) -> CmdResult {
    let (src, dst) = (c.arg("srcpool")?, c.arg("destpool")?);
    let map = c.mon.map();
    let (from, to) = (map.pool_id(&src), map.pool_id(&dst));
    match (from, to) {
        (None, Some(_)) => {
            Ok(Reply::says(format!("pool '{src}' does not exist; pool '{dst}' does -- assuming successful rename")))
        }
        (None, None) => fail(errno::ENOENT, format!("unrecognized pool '{src}'")),
        (Some(_), Some(_)) => fail(errno::EEXIST, format!("pool '{dst}' already exists")),
        (Some(id), None) => {
            map.inc.new_pool_names.insert(id, dst.clone());
            Ok(Reply::says(format!("pool '{src}' renamed to '{dst}'")))
        }
    }
}

fn set_quota(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let (field, value) = (c.arg("field")?, c.arg("val")?);
    let Some(number) = types::options::parse_size(&value) else {
        return fail(errno::EINVAL, format!("error parsing value '{value}': {field} takes a number, such as 3 or 10G"));
    };
    let p = c.mon.map().pool_mut(id).expect("it was found by name");
    match field.as_str() {
        "max_objects" => p.quota_max_objects = number,
        "max_bytes" => p.quota_max_bytes = number,
        _ => return fail(errno::EINVAL, format!("unrecognized option '{field}'")),
    }
    Ok(Reply::says(format!("set-quota {field} = {number} for pool {name}")))
}

fn get_quota(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let sum = c.mon.digest.pools.get(&id).cloned().unwrap_or_default();
    let p = c.mon.map().pool(id).expect("it was found by name").clone();
    let tree = || {
        Dump::obj()
            .with("pool_name", name.as_str())
            .with("pool_id", id)
            .with("quota_max_objects", p.quota_max_objects)
            .with("current_num_objects", sum.objects)
            .with("quota_max_bytes", p.quota_max_bytes)
            .with("current_num_bytes", sum.bytes)
    };
    let text = || {
        let objects = match p.quota_max_objects {
            0 => "N/A".to_owned(),
            n => format!("{} objects  (current num objects: {} objects)", mgr::text::count(n), sum.objects),
        };
        let bytes = match p.quota_max_bytes {
            0 => "N/A".to_owned(),
            n => format!("{}  (current num bytes: {} bytes)", mgr::text::bytes(n), sum.bytes),
        };
        format!("quotas for pool '{name}':\n  max objects: {objects}\n  max bytes  : {bytes}\n")
    };
    Ok(c.dump_or("pool_quotas", tree, text))
}

// --- what pools are used for

const APPS_MAX: usize = 4;

fn app_enable(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let app = c.arg("app")?;
    let sure = c.args.flag("yes_i_really_mean_it");
    if app.is_empty() {
        return fail(errno::EINVAL, "application name must be provided");
    }
    let p = c.mon.map().pool(id).expect("it was found by name");
    let has = &p.application_metadata;
    if !has.contains_key(&app) && !has.is_empty() && !sure {
        let text = format!(
            "Are you SURE? Pool '{name}' already has an enabled application; pass --yes-i-really-mean-it to proceed anyway"
        );
        return fail(errno::EPERM, text);
    }
    if !has.contains_key(&app) && has.len() >= APPS_MAX {
        let text = format!("too many enabled applications on pool '{name}'; max {APPS_MAX}");
        return fail(errno::EINVAL, text);
    }
    let p = c.mon.map().pool_mut(id).expect("it was found by name");
    p.application_metadata.entry(app.clone()).or_default();
    Ok(Reply::says(format!("enabled application '{app}' on pool '{name}'")))
}

fn app_disable(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let app = c.arg("app")?;
    if !c.args.flag("yes_i_really_mean_it") {
        let text = "Are you SURE? Disabling an application within a pool might result in loss of application functionality; \
             pass --yes-i-really-mean-it to proceed anyway";
        return fail(errno::EPERM, text);
    }
    if !c.mon.map().pool(id).expect("it was found by name").application_metadata.contains_key(&app) {
        return Ok(Reply::says(format!("application '{app}' is not enabled on pool '{name}'")));
    }
    c.mon.map().pool_mut(id).expect("it was found by name").application_metadata.remove(&app);
    Ok(Reply::says(format!("disable application '{app}' on pool '{name}'")))
}

/// The pool and application, which must be enabled there.
fn enabled(c: &mut Cmd) -> Result<(PoolId, String, String), Fail> {
    let (id, name) = named(c, "pool")?;
    let app = c.arg("app")?;
    if !c.mon.map().pool(id).expect("it was found by name").application_metadata.contains_key(&app) {
        return fail(errno::ENOENT, format!("application '{app}' is not enabled on pool '{name}'"));
    }
    Ok((id, name, app))
}

fn app_set(c: &mut Cmd) -> CmdResult {
    let (id, name, app) = enabled(c)?;
    let (key, value) = (c.arg("key")?, c.arg("value")?);
    let p = c.mon.map().pool_mut(id).expect("it was found by name");
    let said = format!("set application '{app}' key '{key}' to '{value}' on pool '{name}'");
    p.application_metadata.entry(app).or_default().insert(key, value);
    Ok(Reply::says(said))
}

fn app_rm(c: &mut Cmd) -> CmdResult {
    let (id, name, app) = enabled(c)?;
    let key = c.arg("key")?;
    let p = c.mon.map().pool_mut(id).expect("it was found by name");
    let keys = p.application_metadata.entry(app.clone()).or_default();
    if keys.remove(&key).is_none() {
        return Ok(Reply::says(format!("application '{app}' on pool '{name}' does not have key '{key}'")));
    }
    Ok(Reply::says(format!("removed application '{app}' key '{key}' on pool '{name}'")))
}

fn app_get(c: &mut Cmd) -> CmdResult {
    let map = c.mon.state.osdmap.clone();
    let apps_of = |id: PoolId| {
        let mut d = Dump::obj();
        for (app, keys) in &map.pool(id).expect("pools of the map").application_metadata {
            let mut k = Dump::obj();
            keys.iter().for_each(|(key, value)| k.put(key.clone(), value));
            d.put(app.clone(), k);
        }
        d
    };
    if !c.args.has("pool") {
        let mut d = Dump::obj();
        map.pool_names.iter().for_each(|(id, name)| d.put(name.clone(), apps_of(*id)));
        return Ok(c.dump("pools", &d));
    }
    let (id, name) = named(c, "pool")?;
    let Some(p) = map.pool(id) else { return fail(errno::ENOENT, format!("unrecognized pool '{name}'")) };
    let Some(app) = c.args.text("app") else { return Ok(c.dump(&name, &apps_of(id))) };
    let Some(keys) = p.application_metadata.get(&app) else {
        return fail(errno::ENOENT, format!("pool '{name}' has no application '{app}'"));
    };
    let Some(key) = c.args.text("key") else {
        let mut d = Dump::obj();
        keys.iter().for_each(|(k, v)| d.put(k.clone(), v));
        return Ok(c.dump(&app, &d));
    };
    match keys.get(&key) {
        // As it is, in every format.
        Some(value) => Ok(Reply::data(format!("{value}\n"))),
        None => fail(errno::ENOENT, format!("application '{app}' on pool '{name}' does not have key '{key}'")),
    }
}

// --- snapshots of pools

fn mksnap(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let snap = c.arg("snap")?;
    match c.mon.pool_snap_create(c.cx.now.wall, id, &snap) {
        Ok(()) => Ok(Reply::says(format!("created pool {name} snap {snap}"))),
        Err(errno::EEXIST) => Ok(Reply::says(format!("pool {name} snap {snap} already exists"))),
        Err(e) => fail(e, format!("pool {name} is in unmanaged snaps mode")),
    }
}

fn rmsnap(c: &mut Cmd) -> CmdResult {
    let (id, name) = named(c, "pool")?;
    let snap = c.arg("snap")?;
    match c.mon.pool_snap_remove(id, &snap) {
        Ok(()) => Ok(Reply::says(format!("removed pool {name} snap {snap}"))),
        Err(errno::ENOENT) => Ok(Reply::says(format!("pool {name} snap {snap} does not exist"))),
        Err(e) => fail(e, format!("pool {name} is in unmanaged snaps mode")),
    }
}
