//! Commands about the CRUSH map: `osd crush …`, `osd setcrushmap`.
//!
//! `look` answers from the map; the others change a copy of it, which becomes pending if the change
//! succeeds and differs: `place` where items are and what they weigh, `class` device classes, `rule`
//! rules, `weight_set` choose_args, `whole` the map as a whole. Words and errnos are Ceph's
//! (tests/clients/answers).

use std::collections::BTreeMap;

use ::crush::{CrushError, CrushMap};
use types::{OsdId, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail};

mod class;
mod look;
mod place;
mod rule;
mod weight_set;
mod whole;

pub fn handler(prefix: &str) -> Option<Handler> {
    look::handler(prefix)
        .or_else(|| place::handler(prefix))
        .or_else(|| class::handler(prefix))
        .or_else(|| rule::handler(prefix))
        .or_else(|| weight_set::handler(prefix))
        .or_else(|| whole::handler(prefix))
}

impl From<CrushError> for Fail {
    fn from(e: CrushError) -> Self {
        Self(e.errno(), e.to_string())
    }
}

/// What Ceph's integer parser says of an OSD id that is none, and goes on with its own words.
pub fn no_integer(text: &str) -> String {
    format!("Expected option value to be integer, got '{text}'")
}

/// Changes the pending CRUSH map; an error leaves it as it was.
fn change<T>(c: &mut Cmd, act: impl FnOnce(&mut CrushMap) -> Result<T, CrushError>) -> Result<T, Fail> {
    let mut crush = c.mon.map().crush();
    let before = crush.clone();
    let result = act(&mut crush)?;
    if crush != before {
        c.mon.map().set_crush(&crush);
    }
    Ok(result)
}

/// `type=name …` of `args`, in the words of `args` where it is none.
fn place_arg(c: &Cmd) -> Result<BTreeMap<String, String>, Fail> {
    let mut place = BTreeMap::new();
    for arg in c.args.list("args") {
        match arg.split_once('=') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
                place.insert(kind.to_owned(), name.to_owned());
            }
            _ => return fail(errno::EINVAL, format!("'{arg}' is no place: write TYPE=NAME, as in host=vm1")),
        }
    }
    Ok(place)
}

fn place_text(place: &BTreeMap<String, String>) -> String {
    let parts: Vec<_> = place.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{{{}}}", parts.join(","))
}

/// As 16.16, and as Ceph prints it.
fn weight_arg(c: &Cmd) -> Result<(u32, String), Fail> {
    let weight = c.args.f64("weight").ok_or_else(|| Fail(errno::EINVAL, "unable to parse weight value".to_owned()))?;
    Ok((::crush::weight_from_float(weight)?, types::dump::general_float(weight, 6)))
}

/// The OSD of `id` and its name; `missing` is said after the name of one that the OSD map does not have.
fn device(c: &mut Cmd, missing: &str) -> Result<(OsdId, String), Fail> {
    let osd = c.osd_arg("id")?;
    if c.mon.map().exists(osd) {
        return Ok((osd, format!("osd.{osd}")));
    }
    fail(errno::ENOENT, format!("osd.{osd} does not exist{missing}"))
}

/// `0,1,3`, ascending and each once.
fn join(osds: &std::collections::BTreeSet<OsdId>) -> String {
    osds.iter().map(OsdId::to_string).collect::<Vec<_>>().join(",")
}

fn says(text: String) -> CmdResult {
    Ok(Reply::says(text))
}
