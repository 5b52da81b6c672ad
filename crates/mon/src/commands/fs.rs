//! File systems and metadata servers: there are none. Dashboards and Kubernetes ask all the same, and take the answers
//! that Ceph gives before the first one is made (Ceph: `MDSMonitor`, `FSCommands`).

use types::command::Command;
use types::dump::{Dump, Format};
use types::errno;

use super::{Cmd, CmdResult, Handler, Reply, cmd, fail};
use crate::fsmap;

#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    cmd("mds stat",
        "print the state of the metadata servers", "mds", "r", types::command::FLAG_HIDDEN),
    cmd("mds metadata name=who,type=CephString,req=false",
        "print what a metadata server says about itself", "mds", "r", 0),
    cmd("mds count-metadata name=property,type=CephString",
        "count metadata servers by a field of their metadata", "mds", "r", 0),
    cmd("mds versions",
        "count metadata servers by version", "mds", "r", 0),
    cmd("mds ok-to-stop name=ids,type=CephString,n=N",
        "say whether these metadata servers can stop", "mds", "r", 0),
    cmd("mds fail name=role_or_gid,type=CephString",
        "let another metadata server take over", "mds", "rw", 0),
    cmd("mds repaired name=role,type=CephString",
        "count a damaged rank as repaired", "mds", "rw", 0),
    cmd("mds rm name=gid,type=CephInt,range=0",
        "forget a metadata server", "mds", "rw", 0),
    cmd("mds compat show",
        "print what file systems would be incompatible with", "mds", "r", types::command::FLAG_DEPRECATED),
    cmd("fs dump name=epoch,type=CephInt,range=0,req=false",
        "print the map of file systems", "mds", "r", 0),
    cmd("fs ls",
        "list file systems", "fs", "r", 0),
    cmd("fs get name=fs_name,type=CephString",
        "print one file system", "fs", "r", 0),
    cmd("fs feature ls",
        "list what clients of file systems can be required to know", "mds", "r", 0),
    cmd("fs compat show name=fs_name,type=CephString",
        "print what a file system is incompatible with", "mds", "r", 0),
    cmd("fs new name=fs_name,type=CephString,goodchars=[A-Za-z0-9-_.] name=metadata,type=CephString name=data,type=CephString \
         name=force,type=CephBool,req=false name=allow_dangerous_metadata_overlay,type=CephBool,req=false \
         name=fscid,type=CephInt,range=0,req=false name=recover,type=CephBool,req=false",
        "make a file system", "fs", "rw", 0),
    cmd("fs fail name=fs_name,type=CephString",
        "take a file system down", "fs", "rw", 0),
    cmd("fs rm name=fs_name,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
        "remove a file system", "fs", "rw", 0),
    cmd("fs reset name=fs_name,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false",
        "reset a file system", "fs", "rw", 0),
    cmd("fs set name=fs_name,type=CephString name=var,type=CephChoices,strings=max_mds|max_file_size|allow_new_snaps|inline_data|cluster_down|allow_dirfrags|balancer|standby_count_wanted|session_timeout|session_autoclose|allow_standby_replay|down|joinable|min_compat_client \
         name=val,type=CephString name=yes_i_really_mean_it,type=CephBool,req=false name=yes_i_really_really_mean_it,type=CephBool,req=false",
        "change a file system", "mds", "rw", 0),
    cmd("fs set-default name=fs_name,type=CephString",
        "name the file system that is mounted unless another is named", "fs", "rw", 0),
    cmd("fs add_data_pool name=fs_name,type=CephString name=pool,type=CephString",
        "add a pool to a file system", "mds", "rw", 0),
    cmd("fs rm_data_pool name=fs_name,type=CephString name=pool,type=CephString",
        "take a pool from a file system", "mds", "rw", 0),
    cmd("fs authorize name=filesystem,type=CephString name=entity,type=CephString name=caps,type=CephString,n=N",
        "let a client into a file system", "auth", "rwx", 0),
];

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "mds stat" => mds_stat,
        "mds metadata" => no_mds_list,
        "mds count-metadata" | "mds versions" => no_mds,
        "mds ok-to-stop" => ok_to_stop,
        "mds fail" => mds_fail,
        "mds repaired" => mds_repaired,
        "mds rm" => mds_rm,
        "mds compat show" => compat,
        "fs ls" => ls,
        "fs dump" => dump,
        "fs feature ls" => features,
        "fs new" => new,
        "fs rm" => rm,
        "fs get" | "fs compat show" => not_found,
        "fs authorize" => authorize,
        "fs fail" | "fs reset" | "fs set" | "fs set-default" | "fs add_data_pool" | "fs rm_data_pool" => change,
        _ => return None,
    })
}

fn no_mds_list(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("mds_metadata", &Dump::arr("mds", Vec::<Dump>::new())))
}

fn no_mds(c: &mut Cmd) -> CmdResult {
    Ok(c.dump("version", &Dump::obj()))
}

fn ok_to_stop(c: &mut Cmd) -> CmdResult {
    Ok(Reply::says(format!("should be safe to stop [{}]", c.args.list("ids").join(","))))
}

fn mds_fail(c: &mut Cmd) -> CmdResult {
    let who = c.arg("role_or_gid")?;
    Ok(Reply::says(format!("MDS named '{who}' does not exist, is not up or you lack the permission to see.")))
}

fn mds_repaired(c: &mut Cmd) -> CmdResult {
    fail(errno::ENOENT, if c.arg("role")?.contains(':') { "Invalid filesystem" } else { "No filesystem selected" })
}

fn mds_rm(c: &mut Cmd) -> CmdResult {
    let gid = c.args.i64("gid").unwrap_or(0);
    Ok(Reply::says(format!("mds gid {gid} does not exist")))
}

fn compat(c: &mut Cmd) -> CmdResult {
    Ok(c.dump_or("mds_compat", fsmap::compat, fsmap::compat_text))
}

fn ls(c: &mut Cmd) -> CmdResult {
    Ok(c.dump_or(
        "filesystems",
        || Dump::arr("filesystem", Vec::<Dump>::new()),
        || "No filesystems enabled\n".to_owned(),
    ))
}

fn mds_stat(c: &mut Cmd) -> CmdResult {
    let tree = || {
        Dump::obj().with("fsmap", fsmap::dump()).with("mdsmap_first_committed", 1u8).with("mdsmap_last_committed", 1u8)
    };
    Ok(c.dump_or("mds_stat", tree, String::new))
}

fn dump(c: &mut Cmd) -> CmdResult {
    Ok(c.dump_or("fsmap", fsmap::dump, fsmap::text).and_says("dumped fsmap epoch 1"))
}

/// By their numbers (Ceph: `cephfs_features`).
const FEATURES: [&str; 19] = [
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "jewel",
    "kraken",
    "luminous",
    "mimic",
    "reply_encoding",
    "reclaim_client",
    "lazy_caps_wanted",
    "multi_reconnect",
    "deleg_ino",
    "metric_collect",
    "alternate_name",
    "notify_session_state",
    "op_getvxattr",
    "32bits_retry_fwd",
];

fn features(c: &mut Cmd) -> CmdResult {
    let all = || FEATURES.into_iter().enumerate();
    Ok(match c.format() {
        None => Reply::data(all().map(|(n, name)| format!("{n} {name}\n")).collect::<String>()),
        Some(Format::JsonPretty | Format::Json | Format::Xml | Format::XmlPretty) => {
            let one = |(n, name): (usize, &'static str)| Dump::obj().with("index", n).with("name", name);
            c.dump("features", &Dump::arr("feature", all().map(one)))
        }
    })
}

fn new(c: &mut Cmd) -> CmdResult {
    for arg in ["metadata", "data"] {
        let pool = c.arg(arg)?;
        if c.mon.map().pool_id(&pool).is_none() {
            return fail(errno::ENOENT, format!("pool '{pool}' does not exist"));
        }
    }
    fail(errno::EOPNOTSUPP, "there are no metadata servers, and so no file systems")
}

fn rm(c: &mut Cmd) -> CmdResult {
    Ok(Reply::says(format!("filesystem '{}' does not exist", c.arg("fs_name")?)))
}

fn not_found(c: &mut Cmd) -> CmdResult {
    fail(errno::ENOENT, format!("filesystem '{}' not found", c.arg("fs_name")?))
}

fn change(c: &mut Cmd) -> CmdResult {
    fail(errno::ENOENT, format!("Filesystem not found: '{}'", c.arg("fs_name")?))
}

fn authorize(c: &mut Cmd) -> CmdResult {
    fail(errno::EINVAL, format!("filesystem {} does not exist.", c.arg("filesystem")?))
}
