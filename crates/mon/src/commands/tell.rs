//! Commands that only this very monitor answers: `ceph tell mon.X …`, and its admin socket.

use types::command::Command;
use types::dump::Dump;
use types::errno;
use types::options::Source;

use super::cluster::release_of;
use super::{Cmd, CmdResult, Handler, Reply, cmd, fail};
use types::version;

/// What only a tell can ask for; what `own` flags so comes with it.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    cmd("config get name=var,type=CephString", "one option's value in force", "mon", "r", 0),
    cmd("config set name=var,type=CephString name=val,type=CephString,n=N",
        "set an option until the daemon restarts", "mon", "rw", 0),
    cmd("config unset name=var,type=CephString", "take back what `config set` set", "mon", "rw", 0),
    cmd("config show", "the values in force", "mon", "r", 0),
    cmd("quorum_status", "who is in the quorum", "mon", "r", 0),
    cmd("mgr stop here", "stop the manager of this process", "mon", "rw", 0),
    cmd("mgr start here", "start the manager of this process", "mon", "rw", 0),
];

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "mgr stop here" => mgr_stop,
        "mgr start here" => mgr_start,
        "version" => version_,
        "mon_status" => mon_status,
        "sessions" => sessions,
        "compact" => nothing,
        "ops" => ops,
        "dump_historic_ops" | "dump_historic_slow_ops" => historic,
        "injectargs" => injectargs,
        "config get" => config_get,
        "config set" => config_set,
        "config unset" => config_unset,
        "config show" => config_show,
        _ => return None,
    })
}

fn version_(c: &mut Cmd) -> CmdResult {
    let d =
        Dump::obj().with("version", version::SHORT).with("release", version::RELEASE).with("release_type", "stable");
    Ok(c.dump("version", &d))
}

/// Stands in for the death of a manager's process: its state and its connections are gone.
fn mgr_stop(c: &mut Cmd) -> CmdResult {
    c.mon.mgr.stop(c.cx.out);
    c.mon.mgr_stopped.get_or_insert(c.cx.now.mono);
    c.mon.say_hello(c.cx);
    Ok(Reply::default())
}

fn mgr_start(c: &mut Cmd) -> CmdResult {
    if c.mon.mgr_stopped.take().is_some() {
        if c.mon.log.is_leading() {
            c.mon.mgr.start();
            c.mon.announce_mgr(c.cx);
        }
        c.mon.say_hello(c.cx);
    }
    Ok(Reply::default())
}

fn mon_status(c: &mut Cmd) -> CmdResult {
    let d = c.mon.mon_status(c.cx.now);
    Ok(c.dump("mon_status", &d))
}

fn nothing(_: &mut Cmd) -> CmdResult {
    Ok(Reply::default())
}

fn sessions(c: &mut Cmd) -> CmdResult {
    let all = c.mon.sessions.iter().map(|(_, s)| {
        Dump::obj()
            .with("name", s.peer.name)
            .with("entity_name", &s.peer.entity)
            .with("addrs", s.peer.addrs.dump())
            .with("socket_addr", s.peer.addrs.legacy_or_first().dump())
            .with("con_type", s.peer.name.kind_str())
            .with("con_features", s.peer.features)
            .with("con_features_hex", format!("{:x}", s.peer.features))
            .with("con_features_release", release_of(s.peer.features))
            .with("open", true)
            .with("caps", Dump::obj().with("text", "allow *"))
            .with("authenticated", true)
            .with("global_id", s.peer.global_id)
            .with("global_id_status", "none")
            .with("osd_epoch", s.osd_epoch)
            .with("remote_host", &s.host)
    });
    let d = Dump::arr("session", all);
    Ok(c.dump("sessions", &d))
}

fn ops(c: &mut Cmd) -> CmdResult {
    let d = Dump::obj().with("ops", Dump::arr("op", Vec::<Dump>::new())).with("num_ops", 0u8);
    Ok(c.dump("ops", &d))
}

fn historic(c: &mut Cmd) -> CmdResult {
    let d = Dump::obj().with("size", 20u8).with("duration", 600u16).with("ops", Dump::arr("op", Vec::<Dump>::new()));
    Ok(c.dump("op_history", &d))
}

fn injectargs(c: &mut Cmd) -> CmdResult {
    let text = c.args.list("injected_args").join(" ");
    let mut said = vec![];
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches('-');
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (word, words.next().unwrap_or("true").to_owned()),
        };
        match c.mon.config.set(name, &value, Source::Override) {
            Ok(()) => said.push(format!("{} = '{value}'", types::options::normal_name(name))),
            Err(e) => return fail(errno::EINVAL, e.to_string()),
        }
    }
    Ok(Reply::says(said.join(" ")))
}

fn config_get(c: &mut Cmd) -> CmdResult {
    let Some(name) = c.args.text("var") else {
        // `config get WHO` is the monitors' command, asked through a tell.
        return super::config::get(c);
    };
    match c.mon.config.get(&name) {
        Some(value) => Ok(c.dump("config_get", &Dump::obj().with(name.clone(), value))),
        None => fail(errno::ENOENT, format!("unrecognized config option '{name}'")),
    }
}

fn config_set(c: &mut Cmd) -> CmdResult {
    let Some(name) = c.args.text("var") else { return super::config::set(c) };
    let value = c.args.list("val").join(" ");
    match c.mon.config.set(&name, &value, Source::Override) {
        Ok(()) => Ok(c.dump("config_set", &Dump::obj().with("success", ""))),
        Err(e) => fail(errno::EINVAL, e.to_string()),
    }
}

fn config_unset(c: &mut Cmd) -> CmdResult {
    c.mon.config.unset(&c.arg("var")?, Source::Override);
    Ok(c.dump("config_unset", &Dump::obj().with("success", "")))
}

fn config_show(c: &mut Cmd) -> CmdResult {
    let mut d = Dump::obj().with("name", format!("mon.{}", c.mon.setup.name)).with("cluster", "ceph");
    for def in types::options::all() {
        if let Some(value) = c.mon.config.get(def.name) {
            d.put(def.name, value);
        }
    }
    Ok(c.dump("config_show", &d))
}
