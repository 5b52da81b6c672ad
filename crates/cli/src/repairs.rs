//! `spirula repairs`: which disks had bad copies that were mended, and what was mended lately.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::dir::ClusterDir;

/// So many lines of the cluster's log are looked through.
const LOG_LINES: &str = "10000";

/// Prints a line a disk, then the mends that the cluster's log still has.
///
/// # Errors
/// If the cluster does not answer.
pub fn show(dir: &ClusterDir) -> Result<()> {
    let stats: Value = serde_json::from_str(&ceph(dir, &["pg", "dump_json", "osds"])?).context("no JSON")?;
    let mut out = std::io::stdout();
    let osds = stats["osd_stats"].as_array().cloned().unwrap_or_default();
    for osd in &osds {
        let count = osd["num_shards_repaired"].as_u64().unwrap_or(0);
        let _ = writeln!(out, "osd.{:<4} {count} bad copies mended since it started", osd["osd"]);
    }
    let log = ceph(dir, &["log", "last", LOG_LINES, "info", "cluster"])?;
    let mends: Vec<&str> = log.lines().filter(|l| l.contains(" repair: ")).collect();
    for line in &mends {
        let _ = writeln!(out, "{line}");
    }
    if mends.is_empty() {
        let _ = writeln!(out, "nothing was mended lately");
    }
    Ok(())
}

fn ceph(dir: &ClusterDir, words: &[&str]) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    let done = command.arg("ceph").args(words).env("CEPH_CONF", dir.conf_file()).output()?;
    if !done.status.success() {
        bail!("`ceph {}` failed: {}", words.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
