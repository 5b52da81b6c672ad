//! What the map of monitors says of one besides its address: rank, weight, place (Ceph: `MonmapMonitor::prepare_command`).
//!
//! None of it decides who leads: the log's elections do. Ranks are what clients number monitors by, weights are how
//! clients choose among them, and the place is for people.

use std::collections::BTreeMap;

use types::{AddrType, EntityAddr, MonFeatures, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "mon set-rank" => set_rank,
        "mon set-weight" => set_weight,
        "mon set-addrs" => set_addrs,
        "mon set_location" => set_location,
        "mon feature set" => set_feature,
        "mon set election_strategy" => election_strategy,
        "mon add disallowed_leader" | "mon rm disallowed_leader" => disallowed_leader,
        "mon enable_stretch_mode" => enable_stretch_mode,
        "mon set_new_tiebreaker" => new_tiebreaker,
        _ => return None,
    })
}

/// A monitor of the map, by its argument.
fn named(c: &Cmd) -> Result<String, Fail> {
    let name = c.arg("name")?;
    match c.mon.pending_monmap().mons.contains_key(&name) {
        true => Ok(name),
        false => fail(errno::ENOENT, format!("mon.{name} does not exist")),
    }
}

fn set_rank(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let mut map = c.mon.pending_monmap();
    let Some(before) = map.rank_of(&name) else {
        return fail(errno::ENOENT, format!("mon.{name} does not exist in monmap"));
    };
    let wanted = c.args.i64("rank").and_then(|rank| usize::try_from(rank).ok()).filter(|r| *r < map.ranks.len());
    let Some(rank) = wanted else {
        // As in Ceph this is no error, and changes nothing.
        return Ok(Reply::says(format!("mon.{name} keeps rank {before}: the last one is {}", map.ranks.len() - 1)));
    };
    let name = map.ranks.remove(before);
    map.ranks.insert(rank, name);
    c.mon.put_monmap(c.cx.now.wall, map);
    Ok(Reply::default())
}

fn set_weight(c: &mut Cmd) -> CmdResult {
    let name = named(c)?;
    let mut map = c.mon.pending_monmap();
    let info = map.mons.get_mut(&name).expect("it was found by name");
    info.weight = c.args.i64("weight").and_then(|w| u16::try_from(w).ok()).unwrap_or(0);
    c.mon.put_monmap(c.cx.now.wall, map);
    Ok(Reply::default())
}

/// Unlike Ceph's, a monitor is where its folder says, and the map follows.
fn set_addrs(c: &mut Cmd) -> CmdResult {
    let (name, text) = (named(c)?, c.arg("addrs")?);
    let Some(addr) = EntityAddr::parse(&text, AddrType::Msgr2).filter(|a| a.sock.is_some()) else {
        return fail(errno::EINVAL, format!("failed to parse addrs '{text}'"));
    };
    if addr.sock.is_some_and(|sock| sock.port() == 0) {
        return fail(errno::EINVAL, format!("monitor must bind to a non-zero port, not {addr}"));
    }
    let why = "to move a monitor, remove it (mon rm), add it at its new address (mon add), and start it there";
    fail(errno::EOPNOTSUPP, format!("mon.{name} cannot change its address: {why}"))
}

fn set_location(c: &mut Cmd) -> CmdResult {
    let name = named(c)?;
    let words = c.args.list("args");
    let pairs = words.iter().filter_map(|w| w.split_once('=')).filter(|(k, v)| !k.is_empty() && !v.is_empty());
    let place: BTreeMap<String, String> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    if place.len() != words.len() {
        let given = words.join(",");
        let text =
            format!("We could not parse your input location to anything real; [{given}] turned into an empty map!");
        return fail(errno::EINVAL, text);
    }
    let mut map = c.mon.pending_monmap();
    map.mons.get_mut(&name).expect("it was found by name").crush_location = place;
    c.mon.put_monmap(c.cx.now.wall, map);
    Ok(Reply::default())
}

/// All that there are were set when the cluster was made.
fn set_feature(c: &mut Cmd) -> CmdResult {
    let name = c.arg("feature_name")?;
    if !MonFeatures::PACIFIC.names().any(|known| known == name) {
        return fail(errno::ENOENT, format!("unknown feature '{name}'"));
    }
    let feature = format!("mon_feature_t([{name}])");
    if !c.args.flag("yes_i_really_mean_it") {
        let text = format!(
            "please specify '--yes-i-really-mean-it' if you really, **really** want to set feature '{feature}' in the \
             monmap."
        );
        return fail(errno::EPERM, text);
    }
    Ok(Reply::says(format!("setting feature '{feature}'")))
}

const ELECTED: &str = "monitors elect their leader by their logs (Raft), which takes no other strategy";

fn election_strategy(c: &mut Cmd) -> CmdResult {
    match c.arg("strategy")?.as_str() {
        "classic" => Ok(Reply::default()),
        "disallow" | "connectivity" => fail(errno::EOPNOTSUPP, ELECTED),
        other => fail(errno::EINVAL, format!("'{other}' is no strategy: classic")),
    }
}

fn disallowed_leader(_: &mut Cmd) -> CmdResult {
    fail(errno::EINVAL, "You cannot disallow monitors in your current election mode")
}

fn enable_stretch_mode(_: &mut Cmd) -> CmdResult {
    fail(errno::EINVAL, "Monitors must use the connectivity strategy to enable stretch mode")
}

fn new_tiebreaker(_: &mut Cmd) -> CmdResult {
    fail(errno::EINVAL, "Stretch mode is not enabled, so there is no tiebreaker")
}
