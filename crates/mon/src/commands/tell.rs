//! Commands that only this very monitor answers: `ceph tell mon.X …`, and its admin socket.

use types::command::Command;
use types::dump::Dump;
use types::errno;
use types::options::told;

use super::{Cmd, CmdResult, Handler, Reply, cmd, fail};
use crate::connected::release_of;
use types::version;

/// What only a tell can ask for; what `own` flags so comes with it.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    cmd("perf dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "counters", "mon", "r", 0),
    cmd("perf schema", "what kind of counters there are", "mon", "r", 0),
    cmd("perf histogram dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "counters by size and time, of which there are none", "mon", "r", 0),
    cmd("perf histogram schema", "what kind of histograms there are", "mon", "r", 0),
    cmd("perf reset name=var,type=CephString", "count from 0 again", "mon", "rw", 0),
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
        "perf dump" => perf_dump,
        option if told::is_ours(option) => options,
        "perf histogram dump" | "perf histogram schema" => perf_histogram,
        "perf reset" => perf_reset,
        _ => return None,
    })
}

fn version_(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("version", &version::dump()))
}

/// The commit is part of the version's text.
fn git_version(c: &mut Cmd) -> CmdResult {
    let full = version::full();
    let commit = full.split(['(', ')']).nth(1).unwrap_or_default();
    Ok(c.dump("version", &Dump::obj().with("git_version", commit)))
}

fn help(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("help", &types::command::help(super::of_this_monitor())))
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
    Ok(c.dump("ops_in_flight", &d))
}

fn historic(c: &mut Cmd) -> CmdResult {
    let d = c.mon.forwards.dump_history(c.cx.now, &c.mon.config, false);
    Ok(c.dump("op_history", &d))
}

fn historic_slow(c: &mut Cmd) -> CmdResult {
    let d = c.mon.forwards.dump_history(c.cx.now, &c.mon.config, true);
    Ok(c.dump("OpHistory_slow_ops", &d))
}

/// The options of this monitor. `config get WHO` and `config set WHO …` are the monitors' commands, asked through a tell.
fn options(c: &mut Cmd) -> CmdResult {
    let prefix = c.args.prefix();
    match prefix {
        "config get" if !c.args.has("var") => return super::config::get(c),
        "config set" if !c.args.has("var") => return super::config::set(c),
        "config help" if c.args.has("key") => return super::config::help(c),
        _ => {}
    }
    let who = format!("mon.{}", c.mon.setup.name);
    let told = told::answer(&mut c.mon.config, &who, prefix, c.args)?;
    if told.changed {
        c.mon.configured();
    }
    Ok(c.dump(&types::command::told_root(prefix), &told.tree).and_says(told.rs))
}

/// Of one logger, or one of its counters, if that was asked for.
fn perf_dump(c: &mut Cmd) -> CmdResult {
    let all = perf(c);
    let d = all.picked(c.args.str("logger"), c.args.str("counter"));
    Ok(c.dump("perfcounter_collection", &d))
}

/// Nothing here is counted in histograms: of each logger there is an empty one.
fn perf_histogram(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("perfcounter_collection", &perf(c).loggers()))
}

/// What this monitor counts are states, not sums: there is nothing to begin anew.
fn perf_reset(c: &mut Cmd) -> CmdResult {
    let which = c.arg("var")?;
    Ok(c.dump("perf_reset", &perf(c).perf_reset(&which)))
}

fn perf_schema(c: &mut Cmd) -> CmdResult {
    let d = perf(c).perf_schema();
    Ok(c.dump("perfcounter_collection", &d))
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
