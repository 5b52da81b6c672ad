//! Commands: from the JSON that a client sends to the answer.
//!
//! What there is stands in the tables (`table_*.rs`); which function answers stands in [`handler`].
//! A handler either answers from applied state, or adds to what is pending; in the latter case the
//! answer leaves once that is committed. Commands that the manager answers carry `FLAG_MGR` in its own
//! table, which is served along with ours.

use bytes::Bytes;
use messages::{MCommand, MCommandReply, MMonCommand, MMonCommandAck, Message};
use node::{ConnId, Now};
use types::command::{Args, Command, FLAG_TELL};
use types::dump::{Dump, Format};
use types::errno;

use crate::core::{Cx, Mon};

pub mod auth;
mod caps;
mod cluster;
mod config;
mod config_key;
pub mod crash;
mod crush;
pub(crate) mod df;
mod fs;
mod mon_change;
mod mon_settings;
mod mons;
mod noautoscale;
mod osd;
mod osd_change;
mod osd_place;
mod pool;
mod pool_op;
mod pool_set;
mod report;
mod table_config;
mod table_crush;
mod table_mon;
mod table_osd;
mod table_pool;
mod tell;
mod tier;

const fn cmd(sig: &'static str, help: &'static str, module: &'static str, perm: &'static str, flags: u32) -> Command {
    Command { sig, help, module, perm, flags }
}

/// Every command that the monitor answers.
pub fn own() -> impl Iterator<Item = &'static Command> {
    let tables = [
        table_mon::COMMANDS,
        fs::COMMANDS,
        table_osd::COMMANDS,
        table_crush::COMMANDS,
        table_pool::COMMANDS,
        table_config::COMMANDS,
    ];
    tables.into_iter().flatten()
}

/// What a tell or the admin socket can ask for.
fn of_this_monitor() -> impl Iterator<Item = &'static Command> {
    tell::COMMANDS
        .iter()
        .chain(types::options::told::COMMANDS)
        .chain(own().filter(|c| c.flags & FLAG_TELL == FLAG_TELL))
}

/// A command's answer: what goes to the terminal (`rs`), and its output proper (`data`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    pub rs: String,
    pub data: Bytes,
}

impl Reply {
    pub fn says(rs: impl Into<String>) -> Self {
        Self { rs: rs.into(), data: Bytes::new() }
    }

    pub fn data(data: impl Into<Bytes>) -> Self {
        Self { rs: String::new(), data: data.into() }
    }

    pub fn and_says(self, rs: impl Into<String>) -> Self {
        Self { rs: rs.into(), ..self }
    }

    /// With the line's end that Ceph gives the answer to this command.
    fn ended(self, prefix: &str, format: Option<Format>) -> Self {
        let Some((end, _)) = ENDS.iter().find(|(_, commands)| commands.contains(&prefix)) else { return self };
        let more = match end {
            End::Line => !self.data.is_empty() && !self.data.ends_with(b"\n"),
            End::More => true,
            End::FormattedOnly => format.is_some(),
        };
        match more {
            true => Self { data: [&self.data[..], b"\n"].concat().into(), ..self },
            false => self,
        }
    }
}

/// How answers end with a line's end: Ceph builds some as lines of text, puts one behind others, and leaves the rest as
/// they are (Ceph: `bufferlist::append(std::istream&)`, `rdata.append("\n")`, `Formatter::flush(bufferlist&)`). Scripts
/// compare bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// One in every format, if anything is said.
    Line,
    /// One more behind what there is.
    More,
    /// The same, but for plain text, which ends itself.
    FormattedOnly,
}

/// What ends with a line's end.
const ENDS: &[(End, &[&str])] = &[
    (
        End::Line,
        &[
            "status",
            "df",
            "config-key ls",
            "config-key dump",
            "fs dump",
            "fs ls",
            "mds metadata",
            "mds stat",
            "mon dump",
            "mon feature ls",
            "mon metadata",
            "mon stat",
            "node ls",
            "osd dump",
            "osd info",
            "osd ls",
            "osd ls-tree",
            "osd lspools",
            "osd tree",
            "osd tree-from",
            "quorum_status",
            "version",
        ],
    ),
    (End::More, &["osd crush dump", "osd crush rule dump", "osd crush show-tunables"]),
    (End::FormattedOnly, &["osd erasure-code-profile get", "osd erasure-code-profile ls", "osd pool get-quota"]),
];

/// Why a command fails: the errno (positive) and the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail(pub i32, pub String);

impl From<(i32, String)> for Fail {
    fn from((errno, text): (i32, String)) -> Self {
        Self(errno, text)
    }
}

pub type CmdResult = Result<Reply, Fail>;

pub fn fail<T>(errno: i32, text: impl Into<String>) -> Result<T, Fail> {
    Err(Fail(errno, text.into()))
}

/// A command being answered.
pub struct Cmd<'a, 'b, 'c> {
    pub mon: &'a mut Mon,
    pub cx: &'a mut Cx<'b>,
    pub args: &'c Args,
    /// What the client sent along (`-i FILE`).
    pub data: Bytes,
    pub conn: Option<ConnId>,
}

impl Cmd<'_, '_, '_> {
    pub fn now(&self) -> Now {
        self.cx.now
    }

    /// A string argument that the signature demands.
    pub fn arg(&self, name: &str) -> Result<String, Fail> {
        self.args.text(name).ok_or_else(|| Fail(errno::EINVAL, format!("missing required parameter {name}")))
    }

    /// `-f` as asked for; `None` for plain.
    pub fn format(&self) -> Option<Format> {
        Format::parse(self.args.format())
    }

    /// The tree in the format asked for, pretty JSON if none was.
    pub fn dump(&self, root: &str, tree: &Dump) -> Reply {
        Reply::data(tree.render(self.format().unwrap_or(Format::JsonPretty), root))
    }

    /// The tree in the format asked for, or text of its own.
    pub fn dump_or(&self, root: &str, tree: impl FnOnce() -> Dump, plain: impl FnOnce() -> String) -> Reply {
        Reply::data(match self.format() {
            Some(format) => tree().render(format, root),
            None => plain(),
        })
    }

    /// An argument that names an OSD.
    pub fn osd_arg(&self, name: &str) -> Result<types::OsdId, Fail> {
        let text = self.arg(name)?;
        let number = text.strip_prefix("osd.").unwrap_or(&text);
        if number.parse::<i64>().is_ok_and(|id| id > i64::from(types::OsdId::MAX)) {
            return fail(errno::ENOENT, format!("osd.{number} does not exist"));
        }
        parse_osd(&text).ok_or_else(|| Fail(errno::EINVAL, format!("unable to parse osd id value \"{text}\"")))
    }
}

/// `3` or `osd.3`.
pub fn parse_osd(text: &str) -> Option<types::OsdId> {
    text.strip_prefix("osd.").unwrap_or(text).parse().ok().filter(|id| *id >= 0)
}

pub type Handler = fn(&mut Cmd) -> CmdResult;

/// Who answers a command of our table.
fn handler(prefix: &str) -> Option<Handler> {
    cluster::handler(prefix)
        .or_else(|| mons::handler(prefix))
        .or_else(|| mon_change::handler(prefix))
        .or_else(|| mon_settings::handler(prefix))
        .or_else(|| fs::handler(prefix))
        .or_else(|| osd::handler(prefix))
        .or_else(|| osd_change::handler(prefix))
        .or_else(|| osd_place::handler(prefix))
        .or_else(|| crush::handler(prefix))
        .or_else(|| pool::handler(prefix))
        .or_else(|| noautoscale::handler(prefix))
        .or_else(|| tier::handler(prefix))
        .or_else(|| config::handler(prefix))
        .or_else(|| config_key::handler(prefix))
        .or_else(|| auth::handler(prefix))
}

impl Mon {
    /// Whether a command may change the replicated state. What is not understood does not.
    pub(crate) fn command_writes(&self, cmd: &[String]) -> bool {
        Args::parse(cmd).is_ok_and(|args| own().chain(mgr::commands()).any(|c| c.is_named(args.prefix()) && c.writes()))
    }

    /// Whether a command that came to this very monitor is for it alone.
    pub(crate) fn is_local_command(&self, cmd: &[String]) -> bool {
        let Ok(args) = Args::parse(cmd) else { return true };
        let of_monitors = args.prefix().starts_with("config ") && args.text("who").is_some();
        args.prefix() == "get_command_descriptions" || tell::handler(args.prefix()).is_some() && !of_monitors
    }

    pub(crate) fn mon_command(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: MMonCommand) {
        let (r, reply) = self.run_command(cx, Some(conn), &m.cmd, m.data);
        self.audit(conn, &m.cmd);
        let ack = MMonCommandAck { paxos: 0.into(), r, rs: reply.rs, cmd: m.cmd.clone(), data: reply.data };
        if r >= 0 {
            self.remember(cx, &Message::new(ack.clone()).with_tid(tid));
        }
        self.reply_message(cx, r >= 0, conn, tid, ack);
    }

    /// Notes in the log who changed what, if something is changed.
    fn audit(&mut self, conn: ConnId, cmd: &[String]) {
        let Some(session) = self.sessions.get(conn).filter(|_| !self.pending.is_empty()) else { return };
        if !self.command_writes(cmd) {
            return;
        }
        let (name, at) = (session.peer.name, session.peer.addrs.legacy_or_first().legacy_str());
        let msg = format!("from='{name} {at}' entity='{}' cmd='[{}]': finished", session.peer.entity, cmd.concat());
        self.pending.log.push(messages::ClogEntry {
            level: messages::ClogLevel::Info,
            msg,
            channel: "audit".to_owned(),
            ..messages::ClogEntry::default()
        });
    }

    /// `ceph tell mon.X …`: also what only this very monitor can answer.
    pub(crate) fn tell_command(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: MCommand) {
        let (r, reply) = self.run_tell(cx, Some(conn), &m.cmd, m.data);
        self.reply_message(cx, r == 0, conn, tid, MCommandReply { r, rs: reply.rs, data: reply.data });
    }

    fn run_tell(&mut self, cx: &mut Cx, conn: Option<ConnId>, cmd: &[String], data: Bytes) -> (i32, Reply) {
        if let Ok(args) = Args::parse(cmd)
            && args.prefix() == "get_command_descriptions"
        {
            let tree = types::command::own_descriptions(of_this_monitor());
            let format = Format::parse(args.format()).unwrap_or(Format::JsonPretty);
            return finish(Ok(Reply::data(tree.render(format, "command_descriptions"))));
        }
        if let Ok(args) = Args::parse(cmd)
            && let Some(answer) = tell::handler(args.prefix())
        {
            let result = answer(&mut Cmd { mon: self, cx, args: &args, data, conn });
            return finish(result);
        }
        self.run_command(cx, conn, cmd, data)
    }

    /// A command that the manager passes on.
    pub(crate) fn run_for_mgr(&mut self, cx: &mut Cx, request: &mgr::ToMonitor) -> (i32, Reply) {
        let (cmd, data) = (std::slice::from_ref(&request.cmd), request.input.clone());
        if let Ok(args) = Args::parse(cmd)
            && let Some(answer) = crash::handler(args.prefix())
        {
            return finish(answer(&mut Cmd { mon: self, cx, args: &args, data, conn: None }));
        }
        self.run_command(cx, None, cmd, data)
    }

    pub(crate) fn run_command(
        &mut self,
        cx: &mut Cx,
        conn: Option<ConnId>,
        cmd: &[String],
        data: Bytes,
    ) -> (i32, Reply) {
        let args = match Args::parse(cmd) {
            Ok(args) => args,
            Err(why) => return finish(fail(errno::EINVAL, why)),
        };
        let prefix = args.prefix().to_owned();
        if prefix.is_empty() {
            let given = args.get("prefix").is_some();
            let why = if given { "command prefix must not be empty" } else { "command prefix not found" };
            return finish(fail(errno::EINVAL, why));
        }
        if prefix == "get_command_descriptions" {
            return finish(Ok(self.descriptions()));
        }
        let mut found = own().filter(|c| c.is_named(&prefix)).peekable();
        if found.peek().is_none() && mgr::commands().any(|c| c.is_named(&prefix)) {
            return self.run_by_mgr(cx, conn, cmd, data);
        }
        if found.peek().is_none() {
            return finish(fail(errno::EINVAL, "command not known"));
        }
        // Of two commands with the same words the one whose arguments fit is meant.
        let checked: Vec<_> = found.map(|c| c.check(&args)).collect();
        if !checked.iter().any(Result::is_ok)
            && let Some(Err((errno, text))) = checked.into_iter().next()
        {
            return finish(fail(errno, text));
        }
        let Some(answer) = handler(&prefix) else {
            // It is for a tell.
            return finish(fail(errno::EINVAL, "unrecognized command"));
        };
        let mark = self.pending.mark();
        let result = answer(&mut Cmd { mon: self, cx, args: &args, data, conn });
        if result.is_err() {
            // What is refused changes nothing, however far it got.
            self.pending.back_to(mark);
        }
        finish(result.map(|reply| reply.ended(&prefix, Format::parse(args.format()))))
    }

    /// A manager's command that came to the monitor is passed on to the manager (Ceph: `Monitor::handle_command`, for
    /// clients from before luminous; others do so, too).
    fn run_by_mgr(&mut self, cx: &mut Cx, conn: Option<ConnId>, cmd: &[String], data: Bytes) -> (i32, Reply) {
        let map = self.state.osdmap.clone();
        let (own, shown) = match self.mgr.for_monitor(cx.now, &map, cmd, cx.out) {
            Ok(mgr::Reply { r, rs, data }) => return (r, Reply::data(data).and_says(rs)),
            Err(request) => request,
        };
        let own = [own];
        if let Ok(args) = Args::parse(&own)
            && let Some(answer) = crash::handler(args.prefix())
        {
            return finish(answer(&mut Cmd { mon: self, cx, args: &args, data, conn }));
        }
        let (r, reply) = self.run_command(cx, conn, &own, data);
        (r, Reply { data: [&shown[..], &reply.data].concat().into(), ..reply })
    }

    fn descriptions(&self) -> Reply {
        let all = own().filter(|c| handler(&c.prefix()).is_some() || tell::handler(&c.prefix()).is_some());
        Reply::data(types::command::descriptions(all.chain(mgr::commands())).to_json())
    }

    /// A command over the admin socket; gives whether it may change state, and what answers it.
    pub(crate) fn admin_command(&self, command: &str) -> (bool, impl FnOnce(&mut Mon, &mut Cx) -> String + use<>) {
        let command = command.trim();
        let is_json = command.starts_with('{');
        let cmd = vec![if is_json { command.to_owned() } else { Dump::obj().with("prefix", command).to_json() }];
        let run_cmd = cmd.clone();
        let run = move |mon: &mut Mon, cx: &mut Cx| {
            let (r, reply) = mon.run_tell(cx, None, &run_cmd, Bytes::new());
            match r {
                0 if reply.data.is_empty() => reply.rs,
                0 => String::from_utf8_lossy(&reply.data).into_owned(),
                r => format!("ERROR: ({r}) {}", reply.rs),
            }
        };
        (self.command_writes(&cmd), run)
    }
}

fn finish(result: CmdResult) -> (i32, Reply) {
    match result {
        Ok(reply) => (0, reply),
        Err(Fail(errno, text)) => (-errno, Reply::says(text)),
    }
}

/// A time span as Ceph prints it: `45s`, `12m`, `3h`.
pub fn age(span: std::time::Duration) -> String {
    mgr::text::age(span.as_secs())
}

/// `[1,2,0]`.
pub fn ids(osds: &[types::OsdId]) -> String {
    let none = |osd: &types::OsdId| *osd == types::CRUSH_ITEM_NONE;
    let text: Vec<_> = osds.iter().map(|o| if none(o) { "NONE".to_owned() } else { o.to_string() }).collect();
    format!("[{}]", text.join(","))
}
