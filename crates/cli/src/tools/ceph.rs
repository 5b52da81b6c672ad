//! `ceph`: commands to the cluster and its daemons. Which there are, and what they take, the daemons
//! themselves say.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use ::rados::{CommandReply, Event, Request, TellTarget};
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use types::{PgId, errno};

use super::signature::{Signature, parse, parse_descriptions};
use super::{Connect, Session, Words, conf_in, print_bytes, read_input, write_output};

const USAGE: &str = "usage: ceph [-h] [-c CONF | --dir DIR] [-i INPUT_FILE] [-o OUTPUT_FILE] [-n NAME | --id ID] [-s] \
[-f {json,json-pretty,xml,xml-pretty,plain,yaml}] [--connect-timeout SECONDS] [command ...]
  ceph -s                         the cluster's state
  ceph -w                         the cluster's state, then its log as it is written
  ceph -h WORDS                   the commands that begin with these words
  ceph tell TYPE.ID COMMAND       a command to one daemon
  ceph daemon SOCKET COMMAND      a command over an admin socket
";

/// A daemon on this machine answers at once, or is stuck.
const ASOK_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Options {
    connect: Connect,
    input: Option<String>,
    output: Option<String>,
    format: Option<String>,
    help: bool,
    version: bool,
    /// `-w`: the least level of the cluster's log that is shown.
    watch: Option<&'static str>,
    /// `*`: all.
    watch_channel: Option<String>,
    /// A path, of `--admin-daemon` or `daemon`.
    socket: Option<String>,
    /// How often what is asked again and again (`iostat`) is asked.
    period: Option<Duration>,
    words: Vec<String>,
}

/// Seconds, from `min` to a million; also `nan` parses, and is none.
fn seconds(option: &str, text: &str, min: f64) -> Result<Duration> {
    let number = text.parse::<f64>().ok().filter(|n| !n.is_nan());
    let number = number.with_context(|| format!("{option}: '{text}' is no number"))?;
    Ok(Duration::from_secs_f64(number.clamp(min, 1e6)))
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut o = Self::default();
        let mut words = Words::new(args);
        while let Some(word) = words.next() {
            if let Some(v) = words.value(&word, &["-c", "--conf"])? {
                o.connect.conf = Some(v.into());
            } else if let Some(v) = words.value(&word, &["--dir"])? {
                o.connect.conf = Some(conf_in(v));
            } else if let Some(v) = words.value(&word, &["-i", "--in-file"])? {
                o.input = Some(v);
            } else if let Some(v) = words.value(&word, &["-o", "--out-file"])? {
                o.output = Some(v);
            } else if let Some(v) = words.value(&word, &["-n", "--name"])? {
                o.connect.name = Some(v);
            } else if let Some(v) = words.value(&word, &["--id", "--user"])? {
                o.connect.name = Some(format!("client.{v}"));
            } else if let Some(v) = words.value(&word, &["-f", "--format"])? {
                if !["json", "json-pretty", "xml", "xml-pretty", "plain", "yaml"].contains(&v.as_str()) {
                    bail!("--format: '{v}' is none of json, json-pretty, xml, xml-pretty, plain, yaml");
                }
                o.format = Some(v);
            } else if let Some(v) = words.value(&word, &["--connect-timeout"])? {
                o.connect.timeout = Some(seconds("--connect-timeout", &v, 0.001)?);
            } else if let Some(v) = words.value(&word, &["--watch-channel", "-W"])? {
                o.watch_channel = Some(v);
                o.watch = o.watch.or(Some("log-info"));
            } else if let Some(v) = words.value(&word, &["--admin-daemon"])? {
                o.socket = Some(v);
            } else if let Some(v) = words.value(&word, &["--period", "-p"])? {
                o.period = Some(seconds("--period", &v, 0.0)?);
            } else if words.value(&word, &["--cluster", "--keyring", "-k"])?.is_some() {
                // Nothing here depends on them.
            } else {
                match word.as_str() {
                    "-s" | "--status" => o.words.push("status".to_owned()),
                    "-h" | "--help" => o.help = true,
                    "-v" | "--version" => o.version = true,
                    "--verbose" | "--concise" | "--block" => {}
                    "-w" | "--watch" | "--watch-info" => o.watch = Some("log-info"),
                    "--watch-debug" => o.watch = Some("log-debug"),
                    "--watch-sec" => o.watch = Some("log-sec"),
                    "--watch-warn" => o.watch = Some("log-warn"),
                    "--watch-error" => o.watch = Some("log-error"),
                    _ => o.words.push(word),
                }
            }
        }
        if o.words.first().is_some_and(|w| w == "daemon") {
            let name = o.words.get(1).cloned().context("ceph daemon NAME COMMAND: no name")?;
            o.words.drain(..2);
            o.socket = Some(name);
        }
        Ok(o)
    }
}

/// Runs `ceph` with these arguments; gives its exit code.
///
/// # Errors
/// What keeps a command from being sent at all.
pub fn run(args: &[String]) -> Result<i32> {
    let o = Options::parse(args)?;
    if o.version {
        outln!("{}", types::version::full());
        return Ok(0);
    }
    if let Some(socket) = &o.socket {
        return daemon(&o, socket);
    }
    if let Some(level) = o.watch {
        return watch(&o, level);
    }
    if o.words.is_empty() && !o.help {
        out!("{USAGE}");
        return Ok(0);
    }
    let mut session = match o.connect.open() {
        Ok(session) => session,
        Err(e) if o.help => {
            out!("{USAGE}");
            return Err(e.context("which commands there are only a cluster can say"));
        }
        Err(e) => return Err(e),
    };
    if o.help {
        return help(&mut session, &o.words);
    }
    let input = o.input.as_deref().map(read_input).transpose()?.unwrap_or_default();
    if o.words == ["iostat"] {
        return poll(&mut session, &o);
    }
    let (targets, words) = targets(&mut session, &o.words)?;
    let mut code = 0;
    for target in &targets {
        let prefix = if targets.len() > 1 { format!("{}: ", target.name()) } else { String::new() };
        let reply = one(&mut session, target, &words, &o, &input)?;
        code = show(&o, &reply, &prefix)?.max(code);
    }
    Ok(code)
}

/// `ceph iostat`: a line a second, until Ctrl-C; its columns are named again before they leave the screen.
fn poll(session: &mut Session, o: &Options) -> Result<i32> {
    const ROWS: u32 = 20;
    let period = o.period.unwrap_or(Duration::from_secs(1));
    for n in 0_u32.. {
        let mut words = vec!["iostat".to_owned(), "80".to_owned()];
        if n.is_multiple_of(ROWS) {
            words.push("--print-header".to_owned());
        }
        let reply = one(session, &Target::Cluster, &words, o, &[])?;
        let code = show(o, &reply, "")?;
        if code != 0 || period.is_zero() {
            return Ok(code);
        }
        std::thread::sleep(period);
    }
    Ok(0)
}

/// `ceph -w`: the cluster's state, then its log as it is written. Never ends by itself.
fn watch(o: &Options, level: &str) -> Result<i32> {
    let mut session = o.connect.open()?;
    let words = ["status".to_owned()];
    let reply = one(&mut session, &Target::Cluster, &words, o, &[])?;
    let code = show(o, &reply, "")?;
    if code != 0 {
        return Ok(code);
    }
    outln!();
    session.submit(Request::WatchLog(level.to_owned()));
    let channel = o.watch_channel.as_deref().unwrap_or("cluster");
    loop {
        if let Some(Event::Log(e)) = session.next_event(Duration::from_secs(3600))
            && (channel == "*" || e.channel == channel)
        {
            let line = format!("{} {} {} {}\n", e.stamp, e.name, e.level.tag(), e.msg);
            print_bytes(line.as_bytes())?;
        }
    }
}

/// Who is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// The monitors, or the manager if the table says so.
    Cluster,
    Daemon(TellTarget, String),
    /// The primary of a PG.
    Pg(PgId),
}

impl Target {
    fn name(&self) -> String {
        match self {
            Self::Cluster => "mon.".to_owned(),
            Self::Daemon(_, name) => name.clone(),
            Self::Pg(pg) => format!("pg.{pg}"),
        }
    }
}

/// Splits `tell NAME …` and `pg N …` off the words.
fn targets(session: &mut Session, words: &[String]) -> Result<(Vec<Target>, Vec<String>)> {
    let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
    if word(0) == "pg"
        && let Ok(pg) = word(1).parse()
    {
        return Ok((vec![Target::Pg(pg)], words.to_vec()));
    }
    if word(0) != "tell" {
        return Ok((vec![Target::Cluster], words.to_vec()));
    }
    let rest = words.get(2..).unwrap_or_default().to_vec();
    if rest.is_empty() {
        bail!("\"ceph tell\" requires additional arguments. Try \"ceph tell <name> <command> [options...]\" instead.");
    }
    let name = word(1);
    if let Ok(pg) = name.parse::<PgId>() {
        let whole = ["pg".to_owned(), pg.to_string()].into_iter().chain(rest).collect();
        return Ok((vec![Target::Pg(pg)], whole));
    }
    let (kind, id) = name.split_once('.').unwrap_or((name, ""));
    let found = match (kind, id) {
        ("osd", "*") => {
            let map = session.latest_map()?;
            let up = map.osds().filter(|osd| map.is_up(*osd));
            up.map(|osd| Target::Daemon(TellTarget::Osd(osd), format!("osd.{osd}"))).collect()
        }
        ("osd", id) => {
            let osd = id.parse().map_err(|_| anyhow!("error handling command target: osd id {id} not integer"))?;
            vec![Target::Daemon(TellTarget::Osd(osd), name.to_owned())]
        }
        ("mon", "*") => mon_names(session)?
            .into_iter()
            .map(|mon| Target::Daemon(TellTarget::Mon(mon.clone()), format!("mon.{mon}")))
            .collect(),
        ("mon", id) => vec![Target::Daemon(TellTarget::Mon(id.to_owned()), name.to_owned())],
        ("mgr", _) => vec![Target::Daemon(TellTarget::Mgr, name.to_owned())],
        _ => {
            bail!("error handling command target: unknown type {kind}; write osd.1, mon.a, mgr, or a PG such as 1.7f")
        }
    };
    Ok((found, rest))
}

fn mon_names(session: &mut Session) -> Result<Vec<String>> {
    let cmd = json!({"prefix": "mon dump", "format": "json"}).to_string();
    let reply = session.command(Request::MonCommand { cmd, data: Bytes::new() })?;
    let dump: Value = serde_json::from_slice(&reply.data).context("cannot read the answer of `mon dump`")?;
    let mons = dump.get("mons").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(mons.iter().filter_map(|m| m.get("name")?.as_str().map(str::to_owned)).collect())
}

/// Sends JSON to a target.
fn send(session: &mut Session, target: &Target, to_mgr: bool, json: &Value, data: Bytes) -> Result<CommandReply> {
    let cmd = json.to_string();
    let request = match target {
        Target::Cluster if to_mgr => Request::MgrCommand { cmd, data },
        Target::Cluster => Request::MonCommand { cmd, data },
        Target::Daemon(target, _) => Request::Tell { target: target.clone(), cmd, data },
        Target::Pg(pg) => {
            let osd = session.latest_map()?.pg_primary(*pg);
            if osd < 0 {
                let rs = format!("pg {pg} has no primary now (or there is no such PG)");
                return Ok(CommandReply { r: -errno::ENOENT, rs, data: Bytes::new() });
            }
            Request::Tell { target: TellTarget::Osd(osd), cmd, data }
        }
    };
    session.command(request)
}

fn descriptions(session: &mut Session, target: &Target) -> Result<std::result::Result<Vec<Signature>, i32>> {
    let json = json!({"prefix": "get_command_descriptions"});
    let reply = send(session, target, false, &json, Bytes::new())?;
    if reply.r != 0 {
        return Ok(Err(reply.r));
    }
    Ok(Ok(parse_descriptions(&reply.data).context("cannot read the daemon's list of commands")?))
}

/// One command to one target.
fn one(session: &mut Session, target: &Target, words: &[String], o: &Options, input: &[u8]) -> Result<CommandReply> {
    let table = match descriptions(session, target)? {
        Ok(table) => table,
        Err(r) => {
            let rs = format!("problem getting command descriptions from {}", target.name());
            return Ok(CommandReply { r, rs, data: Bytes::new() });
        }
    };
    let mut parsed = match parse(&table, words) {
        Ok(parsed) => parsed,
        Err(advice) => {
            eprint!("{advice}");
            return Ok(CommandReply { r: -errno::EINVAL, rs: "invalid command".to_owned(), data: Bytes::new() });
        }
    };
    if let Some(format) = &o.format {
        parsed.json.insert("format".to_owned(), json!(format));
    }
    let json = Value::Object(parsed.json);
    let mut reply = send(session, target, parsed.to_mgr, &json, Bytes::copy_from_slice(input))?;
    if reply.r < 0 && reply.rs.is_empty() {
        reply.rs = types::errno::message(reply.r);
    }
    if reply.rs.is_empty() && o.format.is_none() && std::io::stderr().is_terminal() && is_unhealthy(words, &reply.data)
    {
        "`spirula explain` says why, what it means, and what helps".clone_into(&mut reply.rs);
    }
    Ok(reply)
}

/// Whether a person asked how the cluster is, and it is not well.
fn is_unhealthy(words: &[String], answer: &[u8]) -> bool {
    let asked = words.first().is_some_and(|w| w == "health" || w == "status");
    asked && ["HEALTH_WARN", "HEALTH_ERR"].iter().any(|s| answer.windows(s.len()).any(|w| w == s.as_bytes()))
}

/// Prints an answer as Ceph's program does; gives the exit code.
fn show(o: &Options, reply: &CommandReply, prefix: &str) -> Result<i32> {
    match &o.output {
        Some(file) => write_output(file, &reply.data)?,
        None => {
            let mut text = Vec::new();
            // A reader of JSON may skip the first line, which once said something.
            if o.format.as_ref().is_some_and(|f| f.starts_with("json")) {
                text.push(b'\n');
            }
            if !reply.data.is_empty() {
                text.extend_from_slice(prefix.as_bytes());
                match prefix {
                    "" => text.extend_from_slice(&reply.data),
                    _ => {
                        text.extend_from_slice(reply.data.trim_ascii_end());
                        text.push(b'\n');
                    }
                }
            }
            print_bytes(&text)?;
        }
    }
    std::io::stdout().flush().ok();
    if reply.r < 0 {
        crate::complain!("Error {}: {}", errno::name(reply.r).unwrap_or("Unknown"), reply.rs);
        return Ok(-reply.r);
    }
    if !reply.rs.is_empty() {
        crate::complain!("{prefix}{}", reply.rs);
    }
    Ok(0)
}

fn help(session: &mut Session, words: &[String]) -> Result<i32> {
    out!("{USAGE}");
    match descriptions(session, &Target::Cluster)? {
        Err(r) => bail!("the monitor gives no list of its commands: {}", types::errno::message(r)),
        Ok(table) => {
            outln!("\n Monitor commands: \n =================");
            for s in table.iter().filter(|s| !s.is_hidden() && s.starts_with(words)) {
                outln!("{:<40} {}", s.usage(), s.help());
            }
        }
    }
    Ok(0)
}

/// `ceph daemon NAME …`: over the admin socket at a path, or of a daemon of this folder's cluster.
fn daemon(o: &Options, name: &str) -> Result<i32> {
    let path = if name.contains('/') {
        name.into()
    } else {
        let conf = o.connect.conf_file();
        let dir = conf.parent().unwrap_or(std::path::Path::new("."));
        dir.join("run").join(format!("{name}.asok"))
    };
    let words = o.words.join(" ");
    let command = match serde_json::from_str::<Value>(&words) {
        Ok(json @ Value::Object(_)) => json,
        _ => {
            let table = crate::asok::ask(&path, &json!({"prefix": "get_command_descriptions"}), ASOK_PATIENCE)?;
            match parse_descriptions(table.as_bytes()).ok().map(|t| parse(&t, &o.words)) {
                Some(Ok(parsed)) => Value::Object(parsed.json),
                // A daemon that lists nothing knows what the words mean.
                _ => json!({"prefix": words}),
            }
        }
    };
    let answer = crate::asok::ask(&path, &command, ASOK_PATIENCE)?;
    print_bytes(answer.as_bytes())?;
    if !answer.ends_with('\n') {
        outln!();
    }
    Ok(0)
}
