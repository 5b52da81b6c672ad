//! `ceph tell mgr …`: what the manager answers about itself, as every daemon does, from a table of its own.
//!
//! As in Ceph these come as `MCommand`, and commands for the cluster as `MMgrCommand`; since clients from before that
//! send both as `MCommand`, what is not in this table is taken for one of the cluster's
//! (Ceph: `DaemonServer::handle_command`).

use bytes::Bytes;
use types::command::{Args, Command};
use types::dump::{Dump, Format};
use types::errno::EINVAL;
use types::options::told;
use types::version;

use crate::mgr::{Mgr, Reply};

const fn row(sig: &'static str, help: &'static str) -> Command {
    Command { sig, help, module: "mgr", perm: "r", flags: 0 }
}

static COMMANDS: &[Command] = &[
    row("get_command_descriptions", "list the commands that this daemon answers, as JSON"),
    row("git_version", "the commit that this daemon was built from"),
    row("help", "list the commands that this daemon answers, with a line on each"),
    row("log dump", "write the log lines that are kept in memory into the log"),
    row("log flush", "write what waits to be written to the log, which is nothing"),
    row("log reopen", "open the log file again, after it was moved (its monitor does)"),
    row("mgr_status", "whether it is at work, and with which map of managers"),
    row("perf dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false", "counters"),
    row(
        "perf histogram dump name=logger,type=CephString,req=false name=counter,type=CephString,req=false",
        "counters by size and time, of which there are none",
    ),
    row("perf histogram schema", "what kind of histograms there are"),
    row("perf reset name=var,type=CephString", "count from 0 again"),
    row("perf schema", "what kind of counters there are"),
    row("version", "the version of this daemon"),
];

fn commands() -> impl Iterator<Item = &'static Command> + Clone {
    COMMANDS.iter().chain(told::COMMANDS)
}

impl Mgr {
    /// The answer to a tell; `None` if it is a command for the cluster.
    pub(crate) fn told(&mut self, cmd: &[String]) -> Option<Reply> {
        let args = Args::parse(cmd).ok()?;
        let prefix = args.prefix();
        let command = commands().find(|c| c.is_named(prefix))?;
        let answer = command.check(&args).and_then(|()| self.answer_told(prefix, &args));
        Some(match answer {
            Ok((tree, rs)) => {
                let format = Format::parse(args.format()).unwrap_or(Format::JsonPretty);
                Reply { r: 0, rs, data: tree.render(format, &types::command::told_root(prefix)).into() }
            }
            Err((errno, rs)) => Reply { r: -errno, rs, data: Bytes::new() },
        })
    }

    fn answer_told(&mut self, prefix: &str, args: &Args) -> Result<(Dump, String), (i32, String)> {
        if told::is_ours(prefix) {
            let mut config = self.config();
            let who = format!("mgr.{}", self.name());
            let told = told::answer(&mut config, &who, prefix, args)?;
            if told.changed {
                self.set_own(&config);
            }
            return Ok((told.tree, told.rs));
        }
        let tree = match prefix {
            "get_command_descriptions" => types::command::own_descriptions(commands()),
            "help" => types::command::help(commands()),
            "version" => version::dump(),
            "git_version" => Dump::obj().with("git_version", version::SHA),
            "mgr_status" => Dump::obj().with("mgrmap_epoch", self.map_epoch()).with("initialized", true),
            "perf dump" => self.perf().picked(args.str("logger"), args.str("counter")),
            "perf schema" => self.perf().perf_schema(),
            "perf histogram dump" | "perf histogram schema" => self.perf().loggers(),
            // What it counts are states, not sums: there is nothing to begin anew.
            "perf reset" => self.perf().perf_reset(args.str("var").unwrap_or_default()),
            // Its lines are in its monitor's log, which answers the same.
            "log dump" | "log flush" | "log reopen" => Dump::obj(),
            other => return Err((EINVAL, format!("'{other}' is in the table but not answered"))),
        };
        Ok((tree, String::new()))
    }
}
