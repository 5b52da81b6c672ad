//! Commands of Ceph's manager modules that this manager does without.
//!
//! Dashboards, Rook and monitoring scripts ask them and take an absence for an answer, if it comes as Ceph's does:
//! "no such command" means an older release to them. Where the truth is an empty list, that is the answer.

use types::command::{Command, FLAG_MGR};
use types::dump::Dump;
use types::errno::{EINVAL, ENOENT, EOPNOTSUPP};

const fn row(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "mgr", perm: "r", flags: FLAG_MGR }
}

/// These belong to `COMMANDS`.
pub static COMMANDS: &[Command] = &[
    row("balancer ls", "plans to even out placement"),
    row("balancer off", "even nothing out by itself"),
    row("balancer on", "(there is no balancer)"),
    row("balancer mode name=mode,type=CephChoices,strings=none|crush-compat|upmap", "(there is no balancer)"),
    row("balancer eval name=option,type=CephString,req=false", "(there is no balancer)"),
    row("balancer eval-verbose name=option,type=CephString,req=false", "(there is no balancer)"),
    row(
        "balancer optimize name=plan,type=CephString name=pools,type=CephString,n=N,req=false",
        "(there is no balancer)",
    ),
    row("balancer execute name=plan,type=CephString", "(there is no balancer)"),
    row("balancer show name=plan,type=CephString", "one plan (there are none)"),
    row("balancer dump name=plan,type=CephString", "one plan (there are none)"),
    row("balancer rm name=plan,type=CephString", "forget a plan"),
    row("balancer reset", "forget all plans"),
    row("balancer pool ls", "pools to which the balancer is confined"),
    row("device ls-lights", "devices whose lights were switched on"),
    row("device monitoring on", "(nothing reads the devices' own measurements)"),
    row("device monitoring off", "read no measurements of devices"),
    row("device get-health-metrics name=devid,type=CephString name=sample,type=CephString,req=false", "one device"),
    row("device check-health", "look for devices that are to fail"),
    row("device ls-by-daemon name=who,type=CephString", "devices that a daemon told of"),
    row("device ls-by-host name=host,type=CephString", "devices that a host's daemons told of"),
    row("device info name=devid,type=CephString", "one device"),
    row("progress clear", "forget what was long-running work"),
    row("progress on", "follow long-running work"),
    row("progress off", "follow no long-running work"),
    row("fs status name=fs,type=CephString,req=false", "file systems (there are none)"),
    row("fs volume ls", "file systems (there are none)"),
    row("fs volume info name=vol_name,type=CephString name=human_readable,type=CephBool,req=false", "one file system"),
    row(
        "fs volume create name=name,type=CephString,goodchars=[A-Za-z0-9-_.] name=placement,type=CephString,req=false",
        "(there are no metadata servers)",
    ),
    row(
        "fs volume rm name=vol_name,type=CephString name=yes-i-really-mean-it,type=CephString,req=false",
        "remove a file system",
    ),
    row("fs subvolumegroup ls name=vol_name,type=CephString", "groups of one file system"),
    row(
        "fs subvolume ls name=vol_name,type=CephString name=group_name,type=CephString,req=false",
        "subvolumes of one file system",
    ),
    row("rbd task list name=task_id,type=CephString,req=false", "background work on images (there is none)"),
    row("rbd trash purge schedule list name=level_spec,type=CephString,req=false", "when trash is purged (never)"),
    row(
        "rbd trash purge schedule status name=level_spec,type=CephString,req=false",
        "when trash is purged next (never)",
    ),
    row(
        "rbd mirror snapshot schedule list name=level_spec,type=CephString,req=false",
        "when images are mirrored (never)",
    ),
    row(
        "rbd mirror snapshot schedule status name=level_spec,type=CephString,req=false",
        "when images are mirrored next",
    ),
    row("orch status name=detail,type=CephBool,req=false", "(there is no orchestrator)"),
    row("orch ls name=service_type,type=CephString,req=false", "(there is no orchestrator)"),
    row("orch ps name=hostname,type=CephString,req=false", "(there is no orchestrator)"),
    row("orch host ls", "(there is no orchestrator)"),
    row("orch device ls name=hostname,type=CephString,n=N,req=false", "(there is no orchestrator)"),
    row("telemetry status", "(nothing is sent to anybody)"),
    row("telemetry show", "(nothing is sent to anybody)"),
    row("telemetry on name=license,type=CephString,req=false", "(nothing is sent to anybody)"),
    row("telemetry off", "(nothing is sent to anybody)"),
    row("prometheus file_sd_config", "(there is no exporter)"),
    row("nfs cluster ls", "(there is no NFS)"),
    row("insights", "(not here)"),
    row("healthcheck history ls name=format,type=CephString,req=false", "(not here)"),
    row("healthcheck history clear", "(not here)"),
    row("orch upgrade status", "(there is no orchestrator)"),
    row("orch apply name=service_type,type=CephString,req=false", "(there is no orchestrator)"),
    row("orch osd rm status", "(there is no orchestrator)"),
    row("zabbix config-show", "(not here)"),
    row("influx config-show", "(not here)"),
    row("restful list-keys", "(not here)"),
    row("alerts send", "(not here)"),
];

/// What comes back: a tree for `-f json`, or text.
pub enum Told {
    Empty(Dump, &'static str),
    /// Only a word about what was, or was not, done.
    Word(String),
}

/// Answers a command of the table above.
pub fn answer(prefix: &str, subject: &str) -> Result<Told, (i32, String)> {
    let nothing = || Dump::arr("item", Vec::<Dump>::new());
    Ok(match prefix {
        "balancer ls" | "fs volume ls" | "rbd task list" => Told::Empty(nothing(), "[]"),
        "rbd trash purge schedule list" | "rbd mirror snapshot schedule list" => Told::Empty(Dump::obj(), "{}"),
        "rbd trash purge schedule status" => scheduled("scheduled"),
        "rbd mirror snapshot schedule status" => scheduled("scheduled_images"),
        "device ls-lights" => {
            let d = Dump::obj().with("fault", nothing()).with("ident", nothing());
            Told::Empty(d.clone(), "{\n    \"fault\": [],\n    \"ident\": []\n}")
        }
        "balancer off"
        | "balancer rm"
        | "balancer reset"
        | "balancer pool ls"
        | "device check-health"
        | "device monitoring off"
        | "progress clear" => Told::Word(String::new()),
        "progress on" => Told::Word("progress already enabled!".to_owned()),
        "progress off" => {
            return Err((EOPNOTSUPP, "recovery and backfill are always shown in `ceph -s`".into()));
        }
        "device monitoring on" => {
            return Err((EOPNOTSUPP, "nothing here reads the devices' own measurements; smartctl does".into()));
        }
        "balancer show" | "balancer dump" => return Err((ENOENT, format!("plan {subject} not found"))),
        "balancer on"
        | "balancer mode"
        | "balancer eval"
        | "balancer eval-verbose"
        | "balancer optimize"
        | "balancer execute" => {
            return Err((
                EOPNOTSUPP,
                "nothing evens out placement here by itself; `ceph osd test-reweight-by-utilization` shows what helps"
                    .into(),
            ));
        }
        "device ls-by-daemon" => Told::Empty(nothing(), "DEVICE  HOST:DEV  EXPECTED FAILURE\n"),
        "device ls-by-host" => Told::Empty(nothing(), "DEVICE  DEV  DAEMONS  EXPECTED FAILURE\n"),
        "device info" | "device get-health-metrics" => return Err((ENOENT, format!("device {subject} not found"))),
        "fs status" if !subject.is_empty() => Told::Word(format!("Invalid filesystem: {subject}")),
        "fs status" => Told::Empty(Dump::obj(), ""),
        "fs volume create" => return Err((EOPNOTSUPP, "there are no metadata servers, and so no file systems".into())),
        "fs volume info" | "fs volume rm" | "fs subvolume ls" | "fs subvolumegroup ls" => {
            return Err((ENOENT, format!("FS '{subject}' not found")));
        }
        _ => return Err(absent(prefix)),
    })
}

/// When work on images is next to be done: never.
fn scheduled(what: &'static str) -> Told {
    let text = match what {
        "scheduled" => "{\n    \"scheduled\": []\n}",
        _ => "{\n    \"scheduled_images\": []\n}",
    };
    Told::Empty(Dump::obj().with(what, Dump::arr("item", Vec::<Dump>::new())), text)
}

/// (Ceph: `ActivePyModules::handle_command`, `orchestrator.NoOrchestrator`.)
fn absent(prefix: &str) -> (i32, String) {
    let module = prefix.split(' ').next().unwrap_or_default();
    match COMMANDS.iter().any(|c| c.is_named(prefix)) {
        // Clients such as Kubernetes' ceph-csi know these words, and do the work themselves then.
        false => (EINVAL, format!("No handler found for '{prefix}'")),
        true if module == "orch" => (ENOENT, "No orchestrator configured (try `ceph orch set backend`)".into()),
        true => (
            EOPNOTSUPP,
            format!(
                "Module '{module}' is not enabled/loaded (required by command '{prefix}'): use `ceph mgr module \
                 enable {module}` to enable it"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_of_the_table_is_answered_or_refused_as_ceph_does_without_the_module() {
        for command in COMMANDS {
            let words: Vec<&str> = command.sig.split(' ').take_while(|w| !w.contains('=')).collect();
            if let Err((errno, why)) = answer(&words.join(" "), "x") {
                assert!([ENOENT, EOPNOTSUPP].contains(&errno), "{words:?}: {errno} {why}");
            }
        }
        assert_eq!(answer("orch status", "").err().unwrap().0, ENOENT);
        assert_eq!(answer("nonsense", "").err().unwrap().0, EINVAL);
    }
}
