//! `osd pool set noautoscale`: no pool's number of PGs follows what it holds, those to come included (Ceph: the
//! manager's module `pg_autoscaler`, from 16.2.13 on; it keeps the wish in the same setting).

use types::pool::{PG_AUTOSCALE_OFF, PG_AUTOSCALE_ON};

use super::{Cmd, CmdResult, Handler, Reply};
use crate::config_db::{self, Target};

const WISH: &str = "mgr/pg_autoscaler/noautoscale";
const FOR_NEW_POOLS: &str = "osd_pool_default_pg_autoscale_mode";

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "osd pool set noautoscale" => |c| change(c, true),
        "osd pool unset noautoscale" => |c| change(c, false),
        "osd pool get noautoscale" => get,
        _ => return None,
    })
}

fn is_set(c: &Cmd) -> bool {
    c.mon.settings().iter().any(|s| s.option == WISH && s.value == "true")
}

fn get(c: &mut Cmd) -> CmdResult {
    Ok(Reply::says(if is_set(c) { "noautoscale is on" } else { "noautoscale is off" }))
}

fn change(c: &mut Cmd, set: bool) -> CmdResult {
    if set == is_set(c) {
        return Ok(Reply::says(if set { "noautoscale is already set!" } else { "noautoscale is already unset!" }));
    }
    let (mode, name) = if set { (PG_AUTOSCALE_OFF, "off") } else { (PG_AUTOSCALE_ON, "on") };
    let key =
        |section: &str, option| config_db::key(&Target { section: section.to_owned(), ..Target::default() }, option);
    let settings =
        vec![(key("mgr", WISH), Some(set.to_string())), (key("global", FOR_NEW_POOLS), Some(name.to_owned()))];
    c.mon.change_settings(c.cx.now.wall, "", settings);
    let map = c.mon.map();
    let pools: Vec<_> = map.pools().into_iter().map(|(id, _)| id).collect();
    for id in pools {
        map.pool_mut(id).expect("it is of this map").pg_autoscale_mode = mode;
    }
    let verb = if set { "set" } else { "unset" };
    Ok(Reply::says(format!("noautoscale is {verb}, all pools now have autoscale {name}")))
}
