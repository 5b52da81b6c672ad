//! Ceph's own tools over our own client: `ceph` and `rados`.

/// As `print!`, but whoever reads may leave: then this ends, as a program does that knows no better.
macro_rules! out {
    ($($arg:tt)*) => { $crate::tools::print_args(format_args!($($arg)*)) };
}
/// As `println!`, see `out!`.
macro_rules! outln {
    () => { out!("\n") };
    ($($arg:tt)*) => { $crate::tools::print_args(format_args!("{}\n", format_args!($($arg)*))) };
}

pub mod ceph;
pub mod rados;
mod session;
mod signature;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use monclient::MonAddr;
use types::{AddrType, EntityAddr};

use crate::conf::Conf;
pub use session::Session;

/// Where the cluster is and who we are: from the command line, `CEPH_CONF`, `SPIRULA_DIR`, or the usual folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connect {
    pub conf: Option<PathBuf>,
    /// `client.admin`.
    pub name: Option<String>,
    pub timeout: Option<Duration>,
}

/// The configuration of the cluster in a folder, which our own commands take as `--dir`.
pub(crate) fn conf_in(dir: impl Into<PathBuf>) -> PathBuf {
    dir.into().join("ceph.conf")
}

/// A monitor that cannot be reached is given this long.
const PATIENCE: Duration = Duration::from_secs(30);

impl Connect {
    fn conf_file(&self) -> PathBuf {
        self.conf
            .clone()
            .or_else(|| std::env::var_os("CEPH_CONF").map(PathBuf::from))
            .or_else(|| std::env::var_os("SPIRULA_DIR").map(|dir| conf_in(PathBuf::from(dir))))
            .unwrap_or_else(|| PathBuf::from("./spirula-data/ceph.conf"))
    }

    pub fn entity(&self) -> String {
        self.name.clone().unwrap_or_else(|| "client.admin".to_owned())
    }

    /// Opens a session; returns once a monitor has answered.
    ///
    /// # Errors
    /// One line: what could not be reached, why, and what to do.
    pub fn open(&self) -> Result<Session> {
        let file = self.conf_file();
        let conf = Conf::read(&file).with_context(|| {
            format!(
                "no configuration of a cluster: set CEPH_CONF, or give --dir DIR or --conf FILE ({})",
                file.display()
            )
        })?;
        let who = self.entity();
        let mon_host = conf.get(&who, "mon_host").with_context(|| format!("{} has no mon_host", file.display()))?;
        let mons = parse_mon_host(mon_host)?;
        let seconds = |name: &str| conf.get(&who, name).and_then(|v| v.parse::<f64>().ok()).filter(|s| *s > 0.0);
        let timeout = |name: &str| Duration::try_from_secs_f64(seconds(name)?).ok();
        let setup = ::rados::Setup {
            mons,
            hostname: hostname(),
            seed: u64::from(std::process::id()),
            op_timeout: timeout("rados_osd_op_timeout"),
            mon_timeout: timeout("rados_mon_op_timeout"),
        };
        let id = who.split_once('.').map_or(who.as_str(), |(_, id)| id).to_owned();
        let patience = self.timeout.or_else(|| timeout("client_mount_timeout")).unwrap_or(PATIENCE);
        Session::open(setup, &id, patience, mon_host)
    }
}

/// A command to the manager of the cluster that a configuration names: its errno (negative) and what it said.
///
/// # Errors
/// If the cluster cannot be reached within `patience`.
pub fn ask_mgr(
    conf: &std::path::Path,
    command: &serde_json::Value,
    data: Vec<u8>,
    patience: Duration,
) -> Result<(i32, String)> {
    let connect = Connect { conf: Some(conf.to_owned()), name: None, timeout: Some(patience) };
    let request = ::rados::Request::MgrCommand { cmd: command.to_string(), data: data.into() };
    let reply = connect.open()?.command(request)?;
    Ok((reply.r, reply.rs))
}

/// `[v2:127.0.0.1:3300/0],[v1:…]`, or bare addresses; those that only speak the old protocol are left out.
fn parse_mon_host(text: &str) -> Result<Vec<MonAddr>> {
    let parts = text.split([',', ' ']).map(|p| p.trim_matches(['[', ']'])).filter(|p| !p.is_empty());
    let mut mons = Vec::new();
    for part in parts.filter(|p| !p.starts_with("v1:")) {
        let addr =
            EntityAddr::parse(part, AddrType::Msgr2).with_context(|| format!("mon_host: '{part}' is no address"))?;
        mons.push(MonAddr { rank: mons.len() as i64, addrs: addr.into() });
    }
    if mons.is_empty() {
        bail!("mon_host names no address of a monitor: '{text}'");
    }
    Ok(mons)
}

pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let short = name.trim().split('.').next().unwrap_or_default();
    if short.is_empty() { "localhost".to_owned() } else { short.to_owned() }
}

/// A file's bytes, or standard input's for `-`.
pub(crate) fn read_input(path: &str) -> Result<Vec<u8>> {
    if path == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {path}"))
}

/// Writes to a file, or to standard output for `-`.
pub(crate) fn write_output(path: &str, bytes: &[u8]) -> Result<()> {
    if path == "-" {
        return print_bytes(bytes);
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {path}"))
}

/// To standard output; a reader that has left is no error.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// See `out!`.
pub(crate) fn print_args(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if out.write_fmt(text).is_err() {
        // What SIGPIPE would have done; the runtime keeps that away from its sockets.
        std::process::exit(128 + libc::SIGPIPE);
    }
}

/// `(2) No such file or directory`, as `cpp_strerror` writes it.
pub(crate) fn strerror(errno: i32) -> String {
    format!("({}) {}", errno.abs(), types::errno::message(errno))
}

/// Command-line words that are options with values: `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`.
pub(crate) struct Words {
    words: std::collections::VecDeque<String>,
}

impl Words {
    pub fn new(args: &[String]) -> Self {
        Self { words: args.iter().cloned().collect() }
    }

    pub fn next(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// The value, if `word` is this option.
    pub fn value(&mut self, word: &str, names: &[&str]) -> Result<Option<String>> {
        for name in names {
            if word == *name {
                let value = self.next().with_context(|| format!("{name} needs a value"))?;
                return Ok(Some(value));
            }
            let joined = match name.strip_prefix("--") {
                Some(_) => word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')),
                None => word.strip_prefix(name).filter(|_| !word.starts_with("--")),
            };
            if let Some(value) = joined {
                return Ok(Some(value.to_owned()));
            }
        }
        Ok(None)
    }
}
