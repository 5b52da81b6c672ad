//! Cache tiers: there are none. Who takes one away finds it gone already, who asks about one hears that it is none, and
//! who makes one is refused (Ceph: `OSDMonitor::prepare_command_impl`, where tiers are deprecated from release 18 on).

use types::errno;

use super::pool::named;
use super::{Cmd, CmdResult, Handler, Reply, fail};

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd tier add" | "osd tier add-cache" => add,
        "osd tier rm" | "osd tier remove" => rm,
        "osd tier cache-mode" => cache_mode,
        "osd tier set-overlay" => set_overlay,
        "osd tier rm-overlay" | "osd tier remove-overlay" => rm_overlay,
        _ => return None,
    })
}

fn add(c: &mut Cmd) -> CmdResult {
    let ((_, pool), (_, tier)) = (named(c, "pool")?, named(c, "tierpool")?);
    fail(errno::EOPNOTSUPP, format!("there are no cache tiers here: pool '{tier}' cannot be one of '{pool}'"))
}

fn rm(c: &mut Cmd) -> CmdResult {
    let ((_, pool), (_, tier)) = (named(c, "pool")?, named(c, "tierpool")?);
    Ok(Reply::says(format!("pool '{tier}' is now (or already was) not a tier of '{pool}'")))
}

fn cache_mode(c: &mut Cmd) -> CmdResult {
    let (_, pool) = named(c, "pool")?;
    fail(errno::EINVAL, format!("pool '{pool}' is not a tier"))
}

fn set_overlay(c: &mut Cmd) -> CmdResult {
    let ((_, pool), (_, tier)) = (named(c, "pool")?, named(c, "overlaypool")?);
    fail(errno::EINVAL, format!("tier pool '{tier}' is not a tier of '{pool}'"))
}

fn rm_overlay(c: &mut Cmd) -> CmdResult {
    let (_, pool) = named(c, "pool")?;
    Ok(Reply::says(format!("there is now (or already was) no overlay for '{pool}'")))
}
