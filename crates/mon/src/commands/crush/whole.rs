//! The map as a whole: replacing it, its tunables, its buckets' algorithms.
//!
//! A map from outside must be sound, must serve every pool as its rule says, and must be understood by
//! the clients that `require_min_compat_client` lets in. Unlike Ceph, one that would leave a pool's
//! rule without any OSD is refused too: nobody wants that, and a typing error does it.

use std::sync::Arc;

use ::crush::{CrushMap, WEIGHT_ONE};
use osdmap::OsdMap;
use types::{PoolId, errno};

use super::{change, says};
use crate::commands::{Cmd, CmdResult, Fail, Handler, fail};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd setcrushmap" => set_map,
        "osd crush set-all-straw-buckets-to-straw2" => straw2,
        "osd crush tunables" => tunables,
        "osd crush set-tunable" => set_tunable,
        _ => return None,
    })
}

pub fn set_map(c: &mut Cmd) -> CmdResult {
    let base = c.mon.state.osdmap.clone();
    if let Some(prior) = c.args.i64("prior_version") {
        let version = i64::from(base.crush_version);
        let same = || denc::to_bytes(base.crush.as_ref(), base.encoding_features()) == c.data;
        if prior == version - 1 && same() {
            return says(version.to_string());
        }
        if prior != version {
            return fail(errno::EPERM, format!("prior_version {prior} != crush version {version}"));
        }
    }
    let crush: CrushMap = match denc::from_bytes(c.data.clone()) {
        Ok(crush) => crush,
        Err(e) => return fail(errno::EINVAL, format!("Failed to parse crushmap: {e}")),
    };
    if let Err(e) = crush.validate() {
        return fail(errno::EINVAL, format!("Failed to parse crushmap: {e}"));
    }
    if crush.rules().any(|(id, rule)| u32::from(rule.ruleset) != id) {
        return fail(errno::EINVAL, "crush maps with ruleset != ruleid are no longer allowed");
    }
    check_features(&base, &crush)?;
    check_pools(&base, &crush)?;
    c.mon.map().set_crush(&crush);
    says((base.crush_version + 1).to_string())
}

/// Whether the clients that may connect understand the map (Ceph: `validate_crush_against_features`).
fn check_features(base: &OsdMap, crush: &CrushMap) -> Result<(), Fail> {
    let mut next = base.clone();
    next.crush = Arc::new(crush.clone());
    let (needed, allowed) = (next.min_compat_client(), base.require_min_compat_client);
    if needed <= allowed {
        return Ok(());
    }
    let text = format!("new crush map requires client version {needed} but require_min_compat_client is {allowed}");
    fail(errno::EINVAL, text)
}

/// Whether every pool's rule is there, fits the pool and finds OSDs.
fn check_pools(base: &OsdMap, crush: &CrushMap) -> Result<(), Fail> {
    base.validate_crush_rules(crush).map_err(|e| Fail(errno::EINVAL, e.to_string()))?;
    for (id, pool) in &base.pools {
        let (rule, size) = (u32::from(pool.crush_rule), pool.size);
        if finds_osds(base, crush, rule, size, *id) || !finds_osds(base, &base.crush, rule, size, *id) {
            continue;
        }
        let (name, pgs) = (base.pool_name(*id).unwrap_or_default(), pool.pg_num);
        let text = format!(
            "rule '{}' would find no OSD in the new map, and pool '{name}' ({id}) uses it: its {pgs} PGs would have \
             nowhere to be. See for yourself: spirula crush test MAP --rule {rule} --num-rep {size} --show-mappings",
            crush.rule_name(rule).unwrap_or_default()
        );
        return fail(errno::EINVAL, text);
    }
    Ok(())
}

/// Whether a rule maps anything to OSDs that exist.
fn finds_osds(base: &OsdMap, crush: &CrushMap, rule: u32, size: u8, pool: PoolId) -> bool {
    let count = usize::try_from(crush.max_devices().max(base.max_osd())).unwrap_or(0);
    let weights: Vec<u32> = (0..).take(count).map(|osd| if base.exists(osd) { WEIGHT_ONE } else { 0 }).collect();
    // As many draws as Ceph's smoke test makes; one that finds something is enough.
    (0..=50).any(|x| {
        let found = crush.do_rule(rule, x, size.into(), &weights, pool);
        found.iter().any(|osd| *osd != ::crush::ITEM_NONE)
    })
}

fn straw2(c: &mut Cmd) -> CmdResult {
    change(c, CrushMap::straw_to_straw2)?;
    says(String::new())
}

fn tunables(c: &mut Cmd) -> CmdResult {
    let profile = c.arg("profile")?;
    let mut crush = c.mon.map().crush();
    if !crush.tunables.set_profile(&profile) {
        return fail(errno::EINVAL, format!("unrecognized profile '{profile}'"));
    }
    check_features(&c.mon.state.osdmap.clone(), &crush)?;
    c.mon.map().set_crush(&crush);
    says(format!("adjusted tunables profile to {profile}"))
}

fn set_tunable(c: &mut Cmd) -> CmdResult {
    let value = c.args.i64("value").unwrap_or(-1);
    let Some(version) = u8::try_from(value).ok().filter(|v| *v <= 1) else {
        return fail(errno::EINVAL, format!("value must be 0 or 1; got {value}"));
    };
    change(c, |crush| {
        crush.tunables.straw_calc_version = version;
        Ok(())
    })?;
    says(format!("adjusted tunable straw_calc_version to {version}"))
}
