//! Daemons as processes: start, look, stop, kill. Always by the pid in the daemon's own file, and only
//! while that pid still runs the daemon the file names.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::dir::{ClusterDir, Daemon};
use crate::interrupt;

const POLL: Duration = Duration::from_millis(10);

/// The pid of a daemon that runs, `None` if it does not. Whoever is killed between starting a daemon and
/// writing its pid leaves one without: it is found among all processes.
pub fn pid(dir: &ClusterDir, daemon: &Daemon) -> Option<i32> {
    let written = std::fs::read_to_string(dir.pid_file(daemon)).ok().and_then(|text| text.trim().parse().ok());
    match written {
        Some(pid) => is_daemon(pid, dir, daemon).then_some(pid),
        None => all_processes().find(|pid| is_daemon(*pid, dir, daemon)),
    }
}

fn all_processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether the process `pid` lives and is this daemon of this folder.
fn is_daemon(pid: i32, dir: &ClusterDir, daemon: &Daemon) -> bool {
    let Ok(cmdline) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let args: Vec<&[u8]> = cmdline.split(|b| *b == 0).collect();
    let name = daemon.to_string();
    args.contains(&b"run-daemon".as_slice())
        && args.contains(&name.as_bytes())
        && args.contains(&dir.root().as_os_str().as_encoded_bytes())
        && state(pid) == State::Runs
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    /// It was killed, or ends; until that is over it holds its ports and its store. It may have no command line
    /// any more, and may still take connections.
    Dying,
    Gone,
}

/// Bits of the flags in `/proc/PID/stat`: the process ends; it is the kernel's.
const PF_EXITING: u64 = 0x4;
const PF_KTHREAD: u64 = 0x20_0000;

fn state(pid: i32) -> State {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let (Some(letter), Some(flags)) = (fields.first(), fields.get(6).and_then(|f| f.parse::<u64>().ok())) else {
        return State::Gone;
    };
    // The first thread may have ended while another still waits for the disk.
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    if *letter == "X" || flags & PF_KTHREAD != 0 || *letter == "Z" && threads() <= 1 {
        return State::Gone;
    }
    let status = read("status");
    let pending = status.lines().filter_map(|l| l.strip_prefix("SigPnd:").or_else(|| l.strip_prefix("ShdPnd:")));
    let killed = pending.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & 1 << 8 != 0);
    if *letter == "Z" || flags & PF_EXITING != 0 || killed { State::Dying } else { State::Runs }
}

/// Waits until a daemon that was killed a moment ago, by whomever, is gone.
///
/// # Errors
/// If it is still dying after `patience`.
pub fn wait_dead(dir: &ClusterDir, daemon: &Daemon, patience: Duration) -> Result<()> {
    let written = std::fs::read_to_string(dir.pid_file(daemon)).ok().and_then(|text| text.trim().parse().ok());
    let Some(pid) = written else { return Ok(()) };
    let give_up = Instant::now() + patience;
    while state(pid) == State::Dying {
        interrupt::check()?;
        if Instant::now() > give_up {
            bail!(
                "{daemon} (pid {pid}) was killed, but is not gone after {} s: does its disk hang?",
                patience.as_secs()
            );
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Starts a daemon in the background with its output in its log file.
///
/// # Errors
/// If the program cannot be started at all; what it finds out later is in its log.
pub fn spawn(dir: &ClusterDir, daemon: &Daemon) -> Result<Child> {
    // A socket left by a killed process would look like a daemon that answers.
    let _ = std::fs::remove_file(dir.socket(daemon));
    let log_path = dir.log_file(daemon);
    let open = || OpenOptions::new().create(true).append(true).open(&log_path);
    let log = open().with_context(|| format!("cannot open {}", log_path.display()))?;
    let errors = open().with_context(|| format!("cannot open {}", log_path.display()))?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg("run-daemon").arg(daemon.to_string()).arg("--dir").arg(dir.root());
    command.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir("/");
    // A session of its own, so that Ctrl-C at the terminal and its closing do not reach the daemon.
    // SAFETY: setsid is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    let child = command.spawn().with_context(|| format!("cannot start {daemon}"))?;
    // The daemon writes the same when it holds its store; who looks before must find it, too. Not through a
    // file beside it, which would be the daemon's own at the same moment.
    let path = dir.pid_file(daemon);
    std::fs::write(&path, format!("{}\n", child.id())).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(child)
}

/// Waits until a daemon that somebody else started answers, or is gone.
///
/// # Errors
/// If it does neither in time.
pub fn wait_answering(dir: &ClusterDir, daemon: &Daemon, patience: Duration) -> Result<()> {
    let give_up = Instant::now() + patience;
    while pid(dir, daemon).is_some() && std::os::unix::net::UnixStream::connect(dir.socket(daemon)).is_err() {
        interrupt::check()?;
        if Instant::now() > give_up {
            bail!("{daemon} runs, but does not answer after {} s: `spirula kill {daemon}`", patience.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Waits until a started daemon answers at its admin socket.
///
/// # Errors
/// If it ended instead (with the reason from its log), or does not answer in time.
pub fn wait_ready(dir: &ClusterDir, daemon: &Daemon, child: &mut Child, patience: Duration) -> Result<()> {
    let give_up = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("cannot watch {daemon}"))? {
            bail!("{daemon} ended at once ({status}): {}", last_line(&dir.log_file(daemon)));
        }
        if std::os::unix::net::UnixStream::connect(dir.socket(daemon)).is_ok() {
            return Ok(());
        }
        interrupt::check()?;
        if Instant::now() > give_up {
            bail!("{daemon} does not answer after {} s: see {}", patience.as_secs(), dir.log_file(daemon).display());
        }
        std::thread::sleep(POLL);
    }
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("its log is empty").trim().to_owned()
}

/// Sends a signal to a daemon and waits until its process is gone. A daemon that does not run is
/// already where it should be.
///
/// # Errors
/// If it is still there after `patience`.
pub fn end(dir: &ClusterDir, daemon: &Daemon, signal: i32, patience: Duration) -> Result<bool> {
    let Some(pid) = pid(dir, daemon) else { return Ok(false) };
    send(pid, signal)?;
    if signal != libc::SIGKILL {
        // A frozen process takes no other signal.
        send(pid, libc::SIGCONT)?;
    }
    let give_up = Instant::now() + patience;
    while is_daemon(pid, dir, daemon) || state(pid) == State::Dying {
        if Instant::now() > give_up {
            bail!("{daemon} (pid {pid}) is still there after {} s: `spirula kill {daemon}`", patience.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}

/// Sends a signal to a process; one that is gone meanwhile is no error.
///
/// # Errors
/// If the system refuses.
pub fn send(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: kill takes two numbers and touches no memory.
    let result = unsafe { libc::kill(pid, signal) };
    let error = std::io::Error::last_os_error();
    if result != 0 && error.raw_os_error() != Some(libc::ESRCH) {
        return Err(error).with_context(|| format!("cannot signal process {pid}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_until_it_is_killed_and_is_gone_when_it_was_waited_for() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("there is a sleep");
        let pid = child.id() as i32;
        assert_eq!(state(pid), State::Runs);
        send(pid, libc::SIGKILL).expect("it is ours");
        assert_ne!(state(pid), State::Runs, "nobody takes it for alive from that moment on");
        child.wait().expect("it ends");
        assert_eq!(state(pid), State::Gone);
    }
}
