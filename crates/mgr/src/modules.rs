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
    row("device ls-by-daemon name=who,type=CephString", "devices that a daemon told of"),
    row("device ls-by-host name=host,type=CephString", "devices that a host's daemons told of"),
    row("device info name=devid,type=CephString", "one device"),
    row("progress clear", "forget what was long-running work"),
    row("fs status name=fs,type=CephString,req=false", "file systems (there are none)"),
    row("fs volume ls", "file systems (there are none)"),
    row("rbd task list name=task_id,type=CephString,req=false", "background work on images (there is none)"),
    row("orch status name=detail,type=CephBool,req=false", "(there is no orchestrator)"),
    row("orch ls name=service_type,type=CephString,req=false", "(there is no orchestrator)"),
    row("orch ps name=hostname,type=CephString,req=false", "(there is no orchestrator)"),
    row("orch host ls", "(there is no orchestrator)"),
    row("orch device ls name=hostname,type=CephString,n=N,req=false", "(there is no orchestrator)"),
    row("telemetry status", "(nothing is sent to anybody)"),
    row("telemetry show", "(nothing is sent to anybody)"),
    row("telemetry on name=license,type=CephString,req=false", "(nothing is sent to anybody)"),
    row("telemetry off", "(nothing is sent to anybody)"),
    row(
        "iostat name=width,type=CephInt,req=false name=print_header,type=CephBool,req=false",
        "(see osd pool stats, and ceph -s)",
    ),
    row("prometheus file_sd_config", "(there is no exporter)"),
    row("nfs cluster ls", "(there is no NFS)"),
    row("insights", "(not here)"),
    row("zabbix config-show", "(not here)"),
    row("influx config-show", "(not here)"),
    row("restful list-keys", "(not here)"),
    row("alerts send", "(not here)"),
];

/// What comes back: a tree for `-f json`, or text.
pub enum Told {
    Empty(Dump, &'static str),
    /// Only a word about what was, or was not, done.
    Word(&'static str),
}

/// Answers a command of the table above.
pub fn answer(prefix: &str, subject: &str) -> Result<Told, (i32, String)> {
    let nothing = || Dump::arr("item", Vec::<Dump>::new());
    Ok(match prefix {
        "balancer ls" | "fs volume ls" | "rbd task list" => Told::Empty(nothing(), "[]"),
        "balancer off" | "progress clear" => Told::Word(""),
        "balancer on" | "balancer mode" | "balancer eval" => {
            return Err((
                EOPNOTSUPP,
                "nothing evens out placement here by itself; `ceph osd test-reweight-by-utilization` shows what helps"
                    .into(),
            ));
        }
        "device ls-by-daemon" => Told::Empty(nothing(), "DEVICE  HOST:DEV  EXPECTED FAILURE\n"),
        "device ls-by-host" => Told::Empty(nothing(), "DEVICE  DEV  DAEMONS  EXPECTED FAILURE\n"),
        "device info" => return Err((ENOENT, format!("device {subject} not found"))),
        "fs status" => Told::Empty(Dump::obj(), ""),
        _ => return Err(absent(prefix)),
    })
}

/// (Ceph: `ActivePyModules::handle_command`, `orchestrator.NoOrchestrator`.)
fn absent(prefix: &str) -> (i32, String) {
    let module = prefix.split(' ').next().unwrap_or_default();
    match COMMANDS.iter().any(|c| c.is_named(prefix)) {
        false => (EINVAL, "command not known".into()),
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
