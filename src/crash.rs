//! What is left of a daemon that crashed: a report in the cluster's folder, told to the monitors at the next start.
//!
//! A report has Ceph's shape and place: `crash/ID/meta`, JSON; it goes to `crash/posted/` once the monitors have it
//! (Ceph: `handle_fatal_signal`, and the program `ceph-crash`, which posts what it finds).

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use cli::dir::{ClusterDir, Daemon};
use serde_json::json;
use types::{UTime, Uuid};

use crate::machine;

/// Frames that are told of: reports are kept by the monitors.
const FRAMES_MAX: usize = 100;
const MESSAGE_MAX: usize = 4_000;
/// Before the monitors are tried again.
const AGAIN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

fn folder(dir: &ClusterDir) -> PathBuf {
    dir.root().join("crash")
}

/// From now on a panic of any thread of this process leaves a report, the first one.
pub fn watch(dir: &ClusterDir, daemon: &Daemon) {
    let (folder, entity) = (folder(dir), daemon.to_string());
    let before = std::panic::take_hook();
    let reported = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        if reported.swap(true, Ordering::Relaxed) {
            return;
        }
        match write(&folder, &entity, info) {
            Ok(id) => tracing::error!("{entity} crashed; the report is {}", folder.join(id).display()),
            Err(e) => tracing::error!("{entity} crashed, and no report could be written: {e:#}"),
        }
    }));
}

fn write(folder: &Path, entity: &str, info: &PanicHookInfo) -> Result<String> {
    let now = UTime::from_duration(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?);
    let random = machine::entropy()?;
    let id = format!("{}_{}", now.zulu(), Uuid(*random.first_chunk().expect("of 32")));
    let payload = info.payload();
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic");
    let said: String = said.chars().take(MESSAGE_MAX).collect();
    let kind = entity.split('.').next().unwrap_or_default();
    let about = machine::metadata();
    let of_machine = |key: &str| about.get(key).cloned().unwrap_or_default();
    let report = json!({
        "crash_id": id,
        "timestamp": now.zulu(),
        "process_name": format!("ceph-{kind}"),
        "entity_name": entity,
        "ceph_version": types::version::SHORT,
        "utsname_hostname": machine::hostname(),
        "utsname_sysname": "Linux",
        "utsname_release": of_machine("kernel_version"),
        "utsname_version": of_machine("kernel_description"),
        "utsname_machine": of_machine("arch"),
        "os_name": of_machine("distro_description"),
        "os_id": of_machine("distro"),
        "os_version_id": of_machine("distro_version"),
        "assert_msg": said,
        "assert_file": info.location().map_or("", |at| at.file()),
        "assert_line": info.location().map_or(0, |at| at.line()),
        "assert_thread_name": std::thread::current().name().unwrap_or_default(),
        "backtrace": frames(&Backtrace::force_capture().to_string()),
    });
    let own = folder.join(&id);
    std::fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
    cli::dir::write_file(&own.join("meta"), &format!("{report:#}\n"))?;
    Ok(id)
}

/// `(function) [file:line]`, innermost first, from what the standard library prints: a line with a number and a name,
/// and perhaps one with a place.
fn frames(text: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(last) = frames.last_mut().filter(|f| !f.ends_with(']')) {
                last.push_str(&format!(" [{place}]"));
            }
        } else if let Some((_, name)) = line.split_once(": ") {
            frames.push(format!("({name})"));
        }
    }
    // What the panic itself calls is the same in each report.
    let begin = frames.iter().position(|f| f.contains("rust_begin_unwind") || f.contains("begin_panic_handler"));
    frames.drain(..begin.map_or(0, |at| at + 1));
    frames.truncate(FRAMES_MAX);
    // Readers take what is before the last space for the call.
    frames.iter_mut().filter(|f| !f.ends_with(']')).for_each(|f| f.push_str(" [?]"));
    frames
}

/// Tells the monitors of the crashes of this daemon that they do not know, in the background and for as long as
/// that takes: they may be starting as well.
pub fn post(dir: &ClusterDir, daemon: &Daemon) {
    let (dir, daemon) = (dir.clone(), daemon.clone());
    if unposted(&dir, &daemon).is_empty() {
        return;
    }
    let work = move || {
        for report in unposted(&dir, &daemon) {
            while let Err(e) = post_one(&dir, &report) {
                tracing::warn!("the monitors do not know of the crash in {} yet: {e:#}", report.display());
                std::thread::sleep(AGAIN);
            }
        }
    };
    if let Err(e) = std::thread::Builder::new().name("crash-report".to_owned()).spawn(work) {
        tracing::warn!("no thread to report a crash: {e}");
    }
}

fn unposted(dir: &ClusterDir, daemon: &Daemon) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(dir)).into_iter().flatten().flatten();
    let name = daemon.to_string();
    let is_ours = |path: &PathBuf| {
        let meta = std::fs::read_to_string(path.join("meta")).unwrap_or_default();
        let meta: serde_json::Value = serde_json::from_str(&meta).unwrap_or_default();
        meta["entity_name"] == name.as_str()
    };
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_ours).collect();
    found.sort();
    found
}

fn post_one(dir: &ClusterDir, report: &Path) -> Result<()> {
    let json = std::fs::read(report.join("meta")).with_context(|| format!("cannot read {}", report.display()))?;
    let (r, why) = cli::tools::ask_mgr(&dir.conf_file(), &json!({"prefix": "crash post"}), json, PATIENCE)?;
    if r != 0 {
        bail!("`crash post`: {r} {why}");
    }
    let posted = folder(dir).join("posted");
    std::fs::create_dir_all(&posted).with_context(|| format!("cannot make {}", posted.display()))?;
    let name = report.file_name().context("a report has a name")?;
    std::fs::rename(report, posted.join(name)).with_context(|| format!("cannot move {}", report.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_becomes_frames_from_the_place_that_panicked_on() {
        let text = "   0: std::backtrace::Backtrace::force_capture\n   1: __rustc::rust_begin_unwind\n             at /x/p.rs:1:2\n   \
                    2: pg::log::check\n             at ./crates/pg/src/log.rs:7:9\n   3: osd::run\n";
        assert_eq!(frames(text), ["(pg::log::check) [./crates/pg/src/log.rs:7:9]", "(osd::run) [?]"]);
    }
}
