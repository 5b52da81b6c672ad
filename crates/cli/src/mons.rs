//! Monitors that come and go while the cluster lives: `add-mon` and `rm-mon`.
//!
//! The monitors' map is what counts; `ceph.conf` follows it, for clients that begin anew.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::conf::Conf;
use crate::dir::{ClusterDir, Daemon, write_file};
use crate::{lock, process, up};

/// Adds a monitor, and gives its name.
///
/// # Errors
/// If there is no room for one more, the others refuse it, or it does not start.
pub fn add(path: &Path) -> Result<String> {
    let dir = ClusterDir::open(path)?;
    let _held = lock::take(&dir, "add-mon")?;
    let here = dir.daemons()?;
    let mut conf = dir.conf()?;
    let base = base_port(&dir, &conf)?;
    let free = |n: &u16| !here.contains(&Daemon::Mon(up::mon_name(*n)));
    let Some(n) = (0..up::MONS_RESERVED).find(free) else {
        bail!("a cluster on one machine has ports for {} monitors, and they are used", up::MONS_RESERVED)
    };
    let (name, addr) = (up::mon_name(n), up::mon_addr(up::mon_port(base, n)));
    let daemon = Daemon::Mon(name.clone());
    ask(&dir, &json!({"prefix": "mon add", "name": name, "addr": addr}))?;
    conf.set(&daemon.to_string(), "mon_addr", &addr);
    list_mons(&dir, &mut conf, |host| if host.contains(&addr) { host } else { format!("{host},[{addr}]") })?;
    let data = dir.data(&daemon);
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    up::start_all(&dir, &[&daemon])?;
    Ok(name)
}

/// Takes a monitor out of the map, stops it, and removes its data.
///
/// # Errors
/// If there is no such monitor, or the others refuse to let it go.
pub fn rm(path: &Path, name: &str) -> Result<()> {
    let dir = ClusterDir::open(path)?;
    let daemon: Daemon = name.parse()?;
    let Daemon::Mon(id) = &daemon else { bail!("{daemon} is no monitor") };
    dir.find(&daemon)?;
    let _held = lock::take(&dir, "rm-mon")?;
    ask(&dir, &json!({"prefix": "mon rm", "name": id}))?;
    process::end(&dir, &daemon, libc::SIGTERM, crate::STOP_PATIENCE)?;
    let mut conf = dir.conf()?;
    let addr = conf.get(name, "mon_addr").unwrap_or_default().to_owned();
    let without = |host: String| {
        let left: Vec<&str> = host.split(',').filter(|part| part.trim_matches(['[', ']']) != addr).collect();
        left.join(",")
    };
    list_mons(&dir, &mut conf, without)?;
    let data = dir.data(&daemon);
    std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    let _ = std::fs::remove_file(dir.pid_file(&daemon));
    say!("removed {daemon}");
    Ok(())
}

/// The cluster's first port.
fn base_port(dir: &ClusterDir, conf: &Conf) -> Result<u16> {
    let said = conf.get("spirula", "port").and_then(|port| port.parse().ok());
    said.with_context(|| {
        format!("{} says no [spirula] port: made by a version with one monitor", dir.conf_file().display())
    })
}

fn ask(dir: &ClusterDir, command: &serde_json::Value) -> Result<()> {
    let answer = up::ask_mon(dir, command)?;
    match answer.starts_with("ERROR") {
        true => bail!("the monitors refuse: {}", answer.trim()),
        false => Ok(()),
    }
}

fn list_mons(dir: &ClusterDir, conf: &mut Conf, change: impl FnOnce(String) -> String) -> Result<()> {
    let host = change(conf.get("global", "mon_host").unwrap_or_default().to_owned());
    conf.set("global", "mon_host", &host);
    write_file(&dir.conf_file(), &conf.to_text())
}
