//! Monitors come into the map and leave it (Ceph: `MonmapMonitor::prepare_command`).
//!
//! Unlike Ceph's, a monitor that was added and has not come yet weighs nothing: it votes once it has the
//! log (`members.rs`).

use types::{AddrType, EntityAddr, EntityAddrVec, MonInfo, errno};

use super::{Cmd, CmdResult, Handler, Reply, fail};
use crate::change::Space;
use crate::core::Mon;
use crate::state::meta;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "mon add" => add,
        "mon rm" | "mon remove" => rm,
        "mon ok-to-stop" => ok_to_stop,
        "mon ok-to-add-offline" => ok_to_add,
        "mon ok-to-rm" => ok_to_rm,
        _ => return None,
    })
}

/// Ceph: `CEPH_MON_PORT_IANA`.
const DEFAULT_PORT: u16 = 3300;

fn add(c: &mut Cmd) -> CmdResult {
    let (name, text) = (c.arg("name")?, c.arg("addr")?);
    let Some(mut addr) = EntityAddr::parse(&text, AddrType::Msgr2).filter(|a| a.sock.is_some()) else {
        return fail(errno::EINVAL, format!("addr {text} does not parse"));
    };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return fail(errno::EINVAL, format!("'{name}' is no name for a monitor: letters, digits, - and _"));
    }
    addr.kind = AddrType::Msgr2;
    addr.nonce = 0;
    if let Some(sock) = addr.sock.as_mut().filter(|s| s.port() == 0) {
        sock.set_port(DEFAULT_PORT);
    }
    let addrs = EntityAddrVec::from(addr);
    let mut map = c.mon.pending_monmap();
    if let Some(info) = map.mons.get(&name) {
        let theirs = &info.public_addrs;
        if *theirs == addrs {
            return Ok(Reply::says(format!("mon.{name} at {addrs} already exists")));
        }
        return fail(errno::EEXIST, format!("mon.{name} already exists at address {theirs}"));
    }
    if let Some(other) = map.mons.values().find(|m| m.public_addrs == addrs) {
        return fail(errno::EEXIST, format!("mon.{} already exists at address {addr}", other.name));
    }
    map.mons.insert(name.clone(), MonInfo { name: name.clone(), public_addrs: addrs.clone(), ..MonInfo::default() });
    map.ranks.push(name.clone());
    c.mon.put_monmap(c.cx.now.wall, map);
    Ok(Reply::says(format!("adding mon.{name} at {addrs}")))
}

fn rm(c: &mut Cmd) -> CmdResult {
    let name = c.arg("name")?;
    let mut map = c.mon.pending_monmap();
    let Some(info) = map.mons.get(&name).cloned() else {
        return Ok(Reply::says(format!("mon.{name} does not exist or has already been removed")));
    };
    if map.mons.len() == 1 {
        return fail(errno::EINVAL, format!("error: refusing removal of last monitor {name}"));
    }
    let left: Vec<_> = c.mon.quorum().names.into_iter().filter(|n| *n != name).collect();
    if left.is_empty() {
        return fail(errno::EBUSY, format!("mon.{name} is the only monitor that is up"));
    }
    map.mons.remove(&name);
    map.ranks.retain(|n| *n != name);
    let count = map.ranks.len();
    c.mon.put_monmap(c.cx.now.wall, map);
    let mut members = c.mon.member_names().unwrap_or_default();
    members.remove(&name);
    c.mon.pending.put_value(Space::Meta, meta::MEMBERS, &members);
    c.mon.pending.rm(Space::MonMetadata, name.clone());
    c.mon.pending.rm(Space::MgrMetadata, name.clone());
    c.mon.drop_standby(&name);
    let addrs = info.public_addrs;
    Ok(Reply::says(format!("removing mon.{name} at {addrs}, there will be {count} monitors")))
}

/// How many of a map of `n` make a quorum.
fn majority(n: usize) -> usize {
    n / 2 + 1
}

fn ok_to_stop(c: &mut Cmd) -> CmdResult {
    let ids = c.args.list("ids");
    let mut left = c.mon.quorum().names;
    left.retain(|n| !ids.contains(n));
    left.sort();
    let (names, stopped) = (left.join(","), ids.join(","));
    if left.len() < majority(c.mon.monmap().ranks.len()) {
        let text = format!("not enough monitors would be available ({names}) after stopping mons [{stopped}]");
        return fail(errno::EBUSY, text);
    }
    Ok(Reply::says(format!("quorum should be preserved ({names}) after stopping [{stopped}]")))
}

fn ok_to_add(c: &mut Cmd) -> CmdResult {
    if c.mon.quorum().names.len() < majority(c.mon.monmap().ranks.len() + 1) {
        return fail(errno::EBUSY, "adding a monitor may break quorum (until that monitor starts)");
    }
    Ok(Reply::says("adding another mon that is not yet online will not break quorum"))
}

fn ok_to_rm(c: &mut Cmd) -> CmdResult {
    let id = c.arg("id")?;
    let (map, quorum) = (c.mon.monmap(), c.mon.quorum().names);
    if map.rank_of(&id).is_none() {
        return Ok(Reply::says(format!("mon.{id} does not exist")));
    }
    if quorum.contains(&id) && quorum.len() - 1 < majority(map.ranks.len() - 1) {
        return fail(errno::EBUSY, format!("removing mon.{id} would break quorum"));
    }
    Ok(Reply::says(format!("safe to remove mon.{id}")))
}

impl Mon {
    pub(super) fn pending_monmap(&self) -> types::MonMap {
        let pending = self.pending.get(Space::Meta, meta::MONMAP).flatten();
        pending.and_then(|b| denc::from_bytes(b.clone()).ok()).unwrap_or_else(|| self.monmap())
    }

    pub(super) fn put_monmap(&mut self, now: types::UTime, mut map: types::MonMap) {
        map.epoch = self.monmap().epoch + 1;
        map.last_changed = now;
        self.pending.put_value(Space::Meta, meta::MONMAP, &map);
    }
}
