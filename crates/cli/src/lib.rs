//! The command line: clusters on this machine and their daemons.
//!
//! A cluster is a folder ([`dir::ClusterDir`]). `up` makes and starts it, `down` ends it; each daemon is
//! a process of this same program that was given the hidden command `run-daemon`. What a daemon does
//! once it runs is not known here: the binary hands it in ([`Programs`]).

/// As `println!`, but whoever reads may leave: what was begun is brought to its end all the same.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::write_line(&mut std::io::stdout().lock(), format_args!($($arg)*)) };
}
/// As `eprintln!`, see [`say!`].
#[macro_export]
macro_rules! complain {
    ($($arg:tt)*) => { $crate::write_line(&mut std::io::stderr().lock(), format_args!($($arg)*)) };
}

pub mod args;
pub mod asok;
pub mod conf;
pub mod crush;
pub mod dir;
pub mod drill;
pub mod explain;
pub mod interrupt;
pub mod lock;
pub mod mons;
pub mod process;
pub mod repairs;
pub mod suggest;
pub mod tools;
pub mod up;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use args::{Command, StoreCommand};
use dir::{ClusterDir, Daemon};

/// What the binary adds: the daemons themselves and the tools over our own client. Each gives the
/// process's exit code.
pub trait Programs {
    fn run_daemon(&self, dir: &ClusterDir, daemon: &Daemon) -> Result<i32>;
    fn mon(&self, command: &args::MonCommand) -> Result<i32>;
    fn store(&self, command: &StoreCommand) -> Result<i32>;
    fn ceph(&self, args: &[String]) -> Result<i32>;
    fn rados(&self, args: &[String]) -> Result<i32>;
}

const STOP_PATIENCE: Duration = Duration::from_secs(40);
const KILL_PATIENCE: Duration = Duration::from_secs(10);
const START_PATIENCE: Duration = Duration::from_secs(30);

/// See [`say!`].
#[doc(hidden)]
pub fn write_line(out: &mut dyn std::io::Write, text: std::fmt::Arguments<'_>) {
    // Nobody is left who could be told of an error.
    let _ = out.write_fmt(format_args!("{text}\n"));
}

/// Runs one command and gives the exit code.
///
/// # Errors
/// One that is fit to be printed after `spirula: `.
pub fn run(command: &Command, programs: &dyn Programs) -> Result<i32> {
    match command {
        Command::Up { dir, osds, mons, port, osd_size, set } => {
            let asked = up::Asked { osds: *osds, mons: *mons, port: *port, osd_size: *osd_size, set: set.clone() };
            return up::up(&dir.dir, &asked);
        }
        Command::Down { dir } => down(&dir.dir)?,
        Command::Start { daemon, dir } => start(&dir.dir, daemon)?,
        Command::Stop { daemon, dir } => end_one(&dir.dir, daemon, libc::SIGTERM, STOP_PATIENCE)?,
        Command::Kill { daemon, dir } => end_one(&dir.dir, daemon, libc::SIGKILL, KILL_PATIENCE)?,
        Command::AddOsd { dir } => say!("{}", up::add_osd(&dir.dir)?),
        Command::AddMon { dir } => say!("{}", mons::add(&dir.dir)?),
        Command::RmMon { daemon, dir } => mons::rm(&dir.dir, daemon)?,
        Command::Drill { name, keep } => return drill::run(name.as_deref(), *keep),
        Command::RunDaemon { daemon, dir } => {
            return programs.run_daemon(&ClusterDir::open(&dir.dir)?, &daemon.parse()?);
        }
        Command::Explain(args) => return explain::run(args),
        Command::Repairs { dir } => repairs::show(&ClusterDir::open(&dir.dir)?)?,
        Command::Store(command) => return programs.store(command),
        Command::Mon(command) => return programs.mon(command),
        Command::Crush(command) => crush::run(command)?,
        Command::Ceph { args } => return programs.ceph(args),
        Command::Rados { args } => return programs.rados(args),
    }
    Ok(0)
}

/// Stops all daemons: OSDs together first, so that none reports the others, then the monitors.
fn down(path: &Path) -> Result<()> {
    let dir = ClusterDir::open(path)?;
    let _lock = lock::take(&dir, "down")?;
    let daemons = dir.daemons()?;
    let (mons, osds): (Vec<Daemon>, Vec<Daemon>) =
        daemons.into_iter().filter(|d| process::pid(&dir, d).is_some()).partition(|d| matches!(d, Daemon::Mon(_)));
    if mons.is_empty() && osds.is_empty() {
        say!("nothing runs in {dir}");
        return Ok(());
    }
    let count = mons.len() + osds.len();
    for group in [osds, mons] {
        let failed: Vec<String> = std::thread::scope(|scope| {
            let waits: Vec<_> = group.iter().map(|d| (d, scope.spawn(|| stop_or_kill(&dir, d)))).collect();
            waits
                .into_iter()
                .filter_map(|(d, wait)| match wait.join() {
                    Ok(Ok(())) => None,
                    Ok(Err(e)) => Some(format!("{e:#}")),
                    Err(_) => Some(format!("stopping {d} failed")),
                })
                .collect()
        });
        if !failed.is_empty() {
            bail!("{}", failed.join("; "));
        }
    }
    say!("stopped {count} daemons; the data is kept in {dir}");
    Ok(())
}

fn stop_or_kill(dir: &ClusterDir, daemon: &Daemon) -> Result<()> {
    if process::end(dir, daemon, libc::SIGTERM, STOP_PATIENCE).is_err() {
        process::end(dir, daemon, libc::SIGKILL, KILL_PATIENCE)?;
    }
    let _ = std::fs::remove_file(dir.pid_file(daemon));
    Ok(())
}

/// Starts one daemon; one that runs is left alone.
///
/// # Errors
/// If there is no such daemon or it does not start.
pub fn start(path: &Path, name: &str) -> Result<()> {
    let dir = ClusterDir::open(path)?;
    let daemon: Daemon = name.parse()?;
    dir.find(&daemon)?;
    let held = lock::take(&dir, "start")?;
    process::wait_dead(&dir, &daemon, START_PATIENCE)?;
    if process::pid(&dir, &daemon).is_some() {
        say!("{daemon} runs already");
        return Ok(());
    }
    let mut child = process::spawn(&dir, &daemon)?;
    drop(held);
    process::wait_ready(&dir, &daemon, &mut child, START_PATIENCE)?;
    say!("started {daemon}");
    Ok(())
}

fn end_one(path: &Path, name: &str, signal: i32, patience: Duration) -> Result<()> {
    let dir = ClusterDir::open(path)?;
    let daemon: Daemon = name.parse()?;
    dir.find(&daemon)?;
    let did = process::end(&dir, &daemon, signal, patience)?;
    let _ = std::fs::remove_file(dir.pid_file(&daemon));
    match (did, signal) {
        (false, _) => say!("{daemon} was not running"),
        (true, libc::SIGKILL) => say!("killed {daemon}"),
        (true, _) => say!("stopped {daemon}"),
    }
    Ok(())
}
