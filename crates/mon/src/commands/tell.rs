//! Commands that only this very monitor answers: `ceph tell mon.X …`, and its admin socket.

use types::command::Command;
use types::dump::Dump;
use types::errno;
use types::options::{Config, Source};

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
    cmd("config diff", "the values that differ from the defaults, and where they come from", "mon", "r", 0),
    cmd("perf dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "counters", "mon", "r", 0),
    cmd("perf schema", "what kind of counters there are", "mon", "r", 0),
    cmd("log dump", "write the log lines that are kept in memory into the log", "mon", "r", 0),
    cmd("log flush", "write what waits to be written to the log, which is nothing", "mon", "r", 0),
    cmd("log reopen", "open the log file again, after it was moved", "mon", "r", 0),
    cmd("quorum enter", "take part in the quorum again", "mon", "rw", 0),
    cmd("quorum exit", "take no part in the quorum until told to", "mon", "rw", 0),
    cmd("sync_force name=yes_i_really_mean_it,type=CephBool,req=false name=i_know_what_i_am_doing,type=CephBool,req=false",
        "take the whole state anew from the other monitors", "mon", "rw", 0),
    cmd("dump_mempools", "what the state of this monitor takes in memory", "mon", "r", 0),
    cmd("help", "list the commands that this daemon answers", "mon", "r", 0),
    cmd("get_command_descriptions", "list the commands that this daemon answers, as JSON", "mon", "r", 0),
    cmd("git_version", "the commit that this daemon was built from", "mon", "r", 0),
    cmd("add_bootstrap_peer_hint name=addr,type=CephIPAddr", "where another monitor may be", "mon", "rw", 0),
    cmd("add_bootstrap_peer_hintv name=addrv,type=CephString", "where another monitor may be", "mon", "rw", 0),
    cmd("config help name=key,type=CephString,req=false", "what an option is", "mon", "r", 0),
    cmd("config diff get name=var,type=CephString", "where an option's value comes from", "mon", "r", 0),
    cmd("quorum_status", "who is in the quorum", "mon", "r", 0),
    cmd("mgr stop here", "stop the manager of this process", "mon", "rw", 0),
    cmd("mgr start here", "start the manager of this process", "mon", "rw", 0),
];

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "mgr stop here" => mgr_stop,
        "mgr start here" => mgr_start,
        "version" => version_,
        "git_version" => git_version,
        "help" => help,
        "assert" => crash,
        "add_bootstrap_peer_hint" | "add_bootstrap_peer_hintv" => bootstrap_hint,
        "config help" => super::config::help,
        "config diff get" => config_diff_get,
        "mon_status" => mon_status,
        "sessions" => sessions,
        "compact" => compact,
        "ops" => ops,
        "dump_historic_ops" => historic,
        "dump_historic_slow_ops" => historic_slow,
        "log dump" | "log flush" | "log reopen" => log,
        "quorum enter" => quorum_enter,
        "quorum exit" => quorum_exit,
        "sync_force" => sync_force,
        "dump_mempools" => mempools,
        "perf schema" => perf_schema,
        "injectargs" => injectargs,
        "config get" => config_get,
        "config set" => config_set,
        "config unset" => config_unset,
        "config show" => config_show,
        "config diff" => config_diff,
        "perf dump" => perf_dump,
        _ => return None,
    })
}

fn version_(c: &mut Cmd) -> CmdResult {
    let d =
        Dump::obj().with("version", version::SHORT).with("release", version::RELEASE).with("release_type", "stable");
    Ok(c.dump("version", &d))
}

/// The commit is part of the version's text.
fn git_version(c: &mut Cmd) -> CmdResult {
    let full = version::full();
    let commit = full.split(['(', ')']).nth(1).unwrap_or_default();
    Ok(c.dump("git_version", &Dump::obj().with("git_version", commit)))
}

fn help(c: &mut Cmd) -> CmdResult {
    let mut all: Vec<&Command> = super::of_this_monitor().collect();
    all.sort_by_key(|command| command.prefix());
    let mut d = Dump::obj();
    all.into_iter().for_each(|command| d.put(command.prefix(), command.help));
    Ok(c.dump("help", &d))
}

/// For those who try what becomes of a crash (Ceph: `debug_asok_assert_abort`).
fn crash(c: &mut Cmd) -> CmdResult {
    assert!(!c.mon.config.bool("debug_asok_assert_abort"), "a command at the admin socket asked for it");
    fail(errno::EPERM, "debug_asok_assert_abort is not set")
}

fn bootstrap_hint(c: &mut Cmd) -> CmdResult {
    match c.mon.in_quorum() {
        true => Ok(Reply::data("mon already active; ignoring bootstrap hint")),
        false => fail(errno::EOPNOTSUPP, "a monitor of this cluster finds the others by its store and by mon_host"),
    }
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

/// The store compacts itself; what can be cut off is the log.
fn compact(c: &mut Cmd) -> CmdResult {
    let dropped = c.mon.compact_log();
    Ok(Reply::data(format!("cut {dropped} entries off the log")))
}

fn log(c: &mut Cmd) -> CmdResult {
    c.mon.logging = c.mon.logging.asked(c.args.prefix());
    Ok(c.dump("log", &Dump::obj()))
}

fn quorum_exit(c: &mut Cmd) -> CmdResult {
    c.mon.apart = true;
    Ok(Reply::data("this monitor takes no part in the quorum until it is told to: quorum enter"))
}

fn quorum_enter(c: &mut Cmd) -> CmdResult {
    c.mon.apart = false;
    Ok(Reply::data("this monitor takes part in the quorum again"))
}

/// Unlike Ceph, a monitor that lags behind takes the state from the leader by itself.
fn sync_force(_: &mut Cmd) -> CmdResult {
    let text = "a monitor takes what it lacks from the leader by itself; to begin anew, stop it, remove its folder, \
                and start it";
    fail(errno::EOPNOTSUPP, text)
}

fn mempools(c: &mut Cmd) -> CmdResult {
    let pools = c.mon.state.memory();
    let one = |items: usize, bytes: usize| Dump::obj().with("items", items).with("bytes", bytes);
    let (mut by_pool, mut total) = (Dump::obj(), (0, 0));
    for (pool, (items, bytes)) in pools {
        by_pool.put(pool, one(items, bytes));
        total = (total.0 + items, total.1 + bytes);
    }
    let d = Dump::obj().with("by_pool", by_pool).with("total", one(total.0, total.1));
    Ok(c.dump("mempools", &Dump::obj().with("mempool", d)))
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
    let d = c.mon.forwards.dump(c.cx.now);
    Ok(c.dump("ops", &d))
}

fn historic(c: &mut Cmd) -> CmdResult {
    let d = c.mon.forwards.dump_history(c.cx.now, &c.mon.config, false);
    Ok(c.dump("op_history", &d))
}

fn historic_slow(c: &mut Cmd) -> CmdResult {
    let d = c.mon.forwards.dump_history(c.cx.now, &c.mon.config, true);
    Ok(c.dump("op_history", &Dump::obj().with("OpHistory slow ops", d)))
}

fn injectargs(c: &mut Cmd) -> CmdResult {
    let text = c.args.list("injected_args").join(" ");
    let mut said = vec![];
    let mut words = text.split_whitespace();
    // All of them or none.
    let mut config = c.mon.config.clone();
    while let Some(word) = words.next() {
        let word = word.trim_start_matches('-');
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (word, words.next().unwrap_or("true").to_owned()),
        };
        match config.set(name, &value, Source::Override) {
            Ok(()) => said.push(name.to_owned()),
            Err(e) => return fail(e.errno(), e.to_string()),
        }
    }
    use_config(c, config);
    let said: String = said.iter().map(|name| in_force(c, name)).collect();
    Ok(Reply::data("{}").and_says(said))
}

fn use_config(c: &mut Cmd, config: Config) {
    c.mon.config = config;
    c.mon.configured();
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
    let mut config = c.mon.config.clone();
    config.set(&name, &value, Source::Override).map_err(|e| super::Fail(e.errno(), e.to_string()))?;
    use_config(c, config);
    let said = in_force(c, &name);
    Ok(c.dump("config_set", &Dump::obj().with("success", said)))
}

/// `mon_lease = '6.000000' `
fn in_force(c: &Cmd, name: &str) -> String {
    format!("{} = '{}' ", types::options::normal_name(name), c.mon.config.get(name).unwrap_or_default())
}

fn config_unset(c: &mut Cmd) -> CmdResult {
    let name = c.arg("var")?;
    let mut config = c.mon.config.clone();
    config.unset(&name, Source::Override);
    use_config(c, config);
    let said = in_force(c, &name);
    Ok(c.dump("config_unset", &Dump::obj()).and_says(said))
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

fn config_diff(c: &mut Cmd) -> CmdResult {
    let mut diff = Dump::obj();
    for (name, by_source) in c.mon.config.changed() {
        let default = types::options::find(name).map_or("", |def| def.default_for(true));
        let mut one = Dump::obj().with("default", default);
        by_source.iter().for_each(|(source, value)| one.put(source.as_str(), value));
        one.put("final", c.mon.config.str(name));
        diff.put(name, one);
    }
    Ok(c.dump("config_diff", &Dump::obj().with("diff", diff)))
}

fn config_diff_get(c: &mut Cmd) -> CmdResult {
    let name = types::options::normal_name(&c.arg("var")?);
    let Some(value) = c.mon.config.get(&name) else {
        return fail(errno::ENOENT, format!("unrecognized config option '{name}'"));
    };
    let default = types::options::find(&name).map_or("", |def| def.default_for(true));
    let mut one = Dump::obj().with("default", default);
    for (_, by_source) in c.mon.config.changed().filter(|(n, _)| *n == name) {
        by_source.iter().for_each(|(source, value)| one.put(source.as_str(), value));
    }
    one.put("final", value);
    Ok(c.dump("config_diff_get", &Dump::obj().with("diff", Dump::obj().with(name, one))))
}

/// Of one logger, or one of its counters, if that was asked for.
fn perf_dump(c: &mut Cmd) -> CmdResult {
    let all = perf(c);
    let pick = |from: &Dump, name: &str| {
        from.get(name).map_or_else(Dump::obj, |v| Dump::obj().with(name.to_owned(), v.clone()))
    };
    let d = match (c.args.text("logger"), c.args.text("counter")) {
        (None, _) => all,
        (Some(logger), None) => pick(&all, &logger),
        (Some(logger), Some(counter)) => {
            all.get(&logger).map_or_else(Dump::obj, |f| Dump::obj().with(logger.clone(), pick(f, &counter)))
        }
    };
    Ok(c.dump("perf", &d))
}

fn perf_schema(c: &mut Cmd) -> CmdResult {
    let d = perf(c).perf_schema();
    Ok(c.dump("perf", &d))
}

/// As in Ceph: the cluster in figures (its logger `cluster`), and this monitor.
fn perf(c: &Cmd) -> Dump {
    let mon = &*c.mon;
    let (map, digest) = (&mon.state.osdmap, mon.mgr_digest(c.cx.now));
    let sum = mon.mgr.stats.total().stats.sum;
    let osds = |wanted: &dyn Fn(types::OsdId) -> bool| map.osds().filter(|osd| wanted(*osd)).count();
    let pgs = |word: &str| -> u64 {
        let has = |state: &&String| state.split('+').any(|w| w == word);
        digest.pgs_by_state.iter().filter(|(state, _)| has(state)).map(|(_, n)| n).sum()
    };
    let cluster = Dump::obj()
        .with("num_mon", mon.monmap().mons.len())
        .with("num_osd", osds(&|_| true))
        .with("num_osd_up", osds(&|osd| map.is_up(osd)))
        .with("num_osd_in", osds(&|osd| map.is_in(osd)))
        .with("osd_epoch", map.epoch)
        .with("osd_bytes", digest.kb << 10)
        .with("osd_bytes_used", digest.kb_used << 10)
        .with("osd_bytes_avail", digest.kb_avail << 10)
        .with("num_pool", map.pools.len())
        .with("num_pg", mon.mgr.stats.pgs.len())
        .with("num_pg_active_clean", digest.pgs_by_state.get("active+clean").copied().unwrap_or(0))
        .with("num_pg_active", pgs("active"))
        .with("num_pg_peering", pgs("peering"))
        .with("num_object", sum.num_objects)
        .with("num_object_degraded", sum.num_objects_degraded)
        .with("num_object_misplaced", sum.num_objects_misplaced)
        .with("num_object_unfound", sum.num_objects_unfound)
        .with("num_bytes", sum.num_bytes);
    let own = Dump::obj().with("num_sessions", mon.sessions.conns().len());
    Dump::obj().with("cluster", cluster).with("mon", own)
}
