//! `spirula explain [PG|OSD|POOL|CODE]`: asks a cluster's ordinary commands, ours or Ceph's, and prints what the
//! answers mean. What a monitor does not tell, the processes of this folder may.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::explain::{Answers, Asker, Facts, Question, To, explain, gather, scrub_list};
use ::rados::{CommandReply, ObjectOp, Reply, Request, TellTarget};
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use types::{PgId, errno};

use crate::dir::{ClusterDir, Daemon};
use crate::process;
use crate::tools::{Connect, Session};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A PG (1.7f), an OSD (osd.3), a pool or a health code (PG_DEGRADED) [default: the whole cluster]
    pub what: Option<String>,
    /// The cluster's folder [default: the one that CEPH_CONF is in, else ./spirula-data]
    #[arg(long, env = "SPIRULA_DIR")]
    pub dir: Option<PathBuf>,
    /// The configuration of any cluster, also of Ceph's
    #[arg(short, long)]
    pub conf: Option<PathBuf>,
    /// json for programs
    #[arg(short, long, value_parser = ["plain", "json", "json-pretty"], default_value = "plain")]
    pub format: String,
    /// Keep what the cluster answered in a file as well
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Explain what was kept in a file, and ask nobody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "conf", "save"])]
    pub from: Option<PathBuf>,
}

/// Monitors that do not answer within this time have no majority, or do not run.
const CONNECT: Duration = Duration::from_secs(8);
/// An answer takes no longer, or the daemon hangs.
const PATIENCE: Duration = Duration::from_secs(8);

/// Prints the explanation; the exit code is 0, or 2 if there is nothing of that name.
///
/// # Errors
/// If there is no cluster to ask.
pub fn run(args: &ExplainArgs) -> Result<i32> {
    let what = args.what.as_deref();
    let answers = match &args.from {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Answers::parse(&text).map_err(|e| anyhow!("{} holds no answers: {e}", file.display()))?
        }
        None => gather(&mut live(args)?, what),
    };
    if let Some(file) = &args.save {
        std::fs::write(file, answers.to_text()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let report = match explain(&Facts::decode(&answers), what) {
        Ok(report) => report,
        Err(unknown) => {
            crate::complain!("spirula: {unknown}");
            return Ok(errno::ENOENT);
        }
    };
    let text = match args.format.as_str() {
        "json" => report.to_json().to_string() + "\n",
        "json-pretty" => serde_json::to_string_pretty(&report.to_json())? + "\n",
        _ => report.to_text(),
    };
    crate::tools::print_bytes(text.as_bytes())?;
    Ok(0)
}

/// A cluster that runs, or what is left of it.
struct Live {
    session: std::result::Result<Session, String>,
    dir: Option<ClusterDir>,
    /// The monitors, or the manager, did not answer once: they are not asked again.
    mute: Vec<To>,
}

fn live(args: &ExplainArgs) -> Result<Live> {
    let conf = match (&args.conf, &args.dir) {
        (Some(conf), _) => Some(conf.clone()),
        (None, Some(dir)) => Some(ClusterDir::open(dir)?.conf_file()),
        (None, None) => std::env::var_os("CEPH_CONF").map(PathBuf::from),
    };
    let file = conf.unwrap_or_else(|| PathBuf::from("./spirula-data/ceph.conf"));
    let dir = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .or(Some(Path::new(".")))
        .and_then(|p| ClusterDir::open(p).ok());
    let connect = Connect { conf: Some(file), name: None, timeout: Some(CONNECT) };
    let session = match connect.open() {
        Ok(session) => Ok(session),
        // Without a folder of ours there is nothing else to look at.
        Err(e) if dir.is_none() => return Err(e),
        Err(_) => Err("no monitor answers".to_owned()),
    };
    Ok(Live { session, dir, mute: Vec::new() })
}

impl Asker for Live {
    fn ask(&mut self, q: &Question) -> std::result::Result<Value, String> {
        if q.to == To::Here {
            return Ok(self.dir.as_ref().map_or(json!({}), processes));
        }
        if self.mute.contains(&q.to) {
            return Err("does not answer".to_owned());
        }
        let session = self.session.as_mut().map_err(|e| e.clone())?;
        let cmd = q.json.to_string();
        let data = Bytes::new();
        let request = match &q.to {
            To::Mon => Request::MonCommand { cmd, data },
            To::Mgr => Request::MgrCommand { cmd, data },
            To::Osd(osd) => Request::Tell { target: TellTarget::Osd(*osd), cmd, data },
            To::Pg(pg) => Request::Tell { target: TellTarget::Osd(primary(session, *pg)?), cmd, data },
            To::Scrub(pg) => scrub_request(*pg, false),
            To::ScrubSnaps(pg) => scrub_request(*pg, true),
            To::Here => unreachable!("answered above"),
        };
        match session.call_within(request, PATIENCE) {
            Some(Reply::Command(reply)) => command_answer(&reply),
            Some(Reply::Op(reply)) if reply.result >= 0 => {
                scrub_list::answer(reply.data(0), matches!(q.to, To::ScrubSnaps(_)))
            }
            Some(Reply::Op(reply)) => Err(errno::message(reply.result)),
            Some(Reply::Failed(e)) => Err(errno::message(e)),
            Some(_) => Err("an answer to something else".to_owned()),
            None => {
                self.mute.push(q.to.clone());
                Err(format!("no answer in {} s", PATIENCE.as_secs()))
            }
        }
    }
}

/// What the last scrub of a PG found.
fn scrub_request(pg: PgId, snapsets: bool) -> Request {
    let ask = scrub_list::question(snapsets);
    Request::Op(Box::new(ObjectOp::on_pg(pg.pool, Vec::new(), pg.seed).push(ask)))
}

fn primary(session: &mut Session, pg: PgId) -> std::result::Result<types::OsdId, String> {
    let map = session.latest_map().map_err(|e| e.to_string())?;
    Some(map.pg_primary(pg)).filter(|osd| *osd >= 0).ok_or_else(|| "it has no primary".to_owned())
}

/// JSON, or text.
fn command_answer(reply: &CommandReply) -> std::result::Result<Value, String> {
    if reply.r < 0 {
        let why = if reply.rs.is_empty() { errno::message(reply.r) } else { reply.rs.clone() };
        return Err(why);
    }
    let text = || Value::String(String::from_utf8_lossy(&reply.data).trim().to_owned());
    Ok(serde_json::from_slice(&reply.data).unwrap_or_else(|_| text()))
}

/// Which daemons of a folder run.
fn processes(dir: &ClusterDir) -> Value {
    let all: Vec<Daemon> = dir.daemons().unwrap_or_default();
    all.iter().map(|d| (d.to_string(), json!(process::pid(dir, d).is_some()))).collect::<serde_json::Map<_, _>>().into()
}
