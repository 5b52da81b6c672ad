//! Keys and values for whoever wants to keep some: `config-key …`.

use bytes::Bytes;
use types::dump::Dump;
use types::errno;

use super::{Cmd, CmdResult, Handler, Reply, fail};
use crate::change::Space;
use crate::core::Mon;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "config-key get" => get,
        "config-key set" | "config-key put" => set,
        "config-key rm" | "config-key del" => rm,
        "config-key exists" => exists,
        "config-key ls" | "config-key list" => ls,
        "config-key dump" => dump,
        _ => return None,
    })
}

/// Ceph keeps settings in the same place, so they show here, and can be read.
fn all(mon: &Mon) -> Vec<(String, Bytes)> {
    let keys = mon.state.space(Space::ConfigKey).map(|(k, v)| (k.clone(), v.clone()));
    let settings = mon.state.space(Space::Config).map(|(k, v)| (format!("config/{k}"), v.clone()));
    let mut all: Vec<_> = keys.chain(settings).collect();
    all.sort();
    all
}

fn value(mon: &Mon, key: &str) -> Option<Bytes> {
    let own = mon.state.get(Space::ConfigKey, key);
    own.or_else(|| mon.state.get(Space::Config, key.strip_prefix("config/")?)).cloned()
}

fn get(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    match value(c.mon, &key) {
        Some(value) => Ok(Reply::data(value)),
        None => fail(errno::ENOENT, String::new()),
    }
}

fn set(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    let value = match c.args.text("val") {
        Some(value) => Bytes::from(value),
        None => c.data.clone(),
    };
    let max = c.mon.config.u64("mon_config_key_max_entry_size");
    if value.len() as u64 > max {
        let text =
            format!("error: entry size limited to {max} bytes. Use 'mon config key max entry size' to manually adjust");
        return fail(errno::EFBIG, text);
    }
    c.mon.pending.put(Space::ConfigKey, key.clone(), value);
    Ok(Reply::says(format!("set {key}")))
}

fn rm(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    if value(c.mon, &key).is_some() {
        c.mon.pending.rm(Space::ConfigKey, key);
    }
    Ok(Reply::says("key deleted"))
}

fn exists(c: &mut Cmd) -> CmdResult {
    let key = c.arg("key")?;
    match value(c.mon, &key) {
        Some(_) => Ok(Reply::says(format!("key '{key}' exists"))),
        None => fail(errno::ENOENT, format!("key '{key}' doesn't exist")),
    }
}

fn ls(c: &mut Cmd) -> CmdResult {
    let tree = Dump::arr("key", all(c.mon).into_iter().map(|(k, _)| k));
    Ok(c.dump("keys", &tree))
}

fn dump(c: &mut Cmd) -> CmdResult {
    let prefix = c.args.text("key").unwrap_or_default();
    let mut d = Dump::obj();
    for (key, value) in all(c.mon).into_iter().filter(|(k, _)| k.starts_with(&prefix)) {
        let text = std::str::from_utf8(&value).ok().filter(|t| !t.contains(|ch: char| ch.is_control() && ch != '\n'));
        let shown = text.map_or_else(|| format!("<<< binary blob of length {} >>>", value.len()), str::to_owned);
        d.put(key, shown);
    }
    Ok(c.dump("config-key store", &d))
}
