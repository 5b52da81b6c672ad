//! `spirula mon …`: a monitor's store from nothing but OSDs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cli::args::MonCommand;
use cli::dir::{ClusterDir, Daemon, write_file};
use cli::process;
use mon::rebuild::{Found, Identity, LOST, rebuild};
use os::{Coll, ObjectRead};
use store::{Options, Store};
use types::{Epoch, GHObject, UTime};

use crate::daemon;
use crate::machine;
use crate::store_tools::store_dir;

/// Objects looked at in one go.
const LIST_BATCH: usize = 512;

/// Runs one of the commands; gives the exit code.
pub fn run(command: &MonCommand) -> Result<i32> {
    let MonCommand::Rebuild { dir, daemon, from_osds } = command;
    let dir = ClusterDir::open(&dir.dir)?;
    let daemon: Daemon = daemon.parse()?;
    let Daemon::Mon(name) = &daemon else { bail!("{daemon} is no monitor") };
    refuse_if_alive(&dir, &daemon)?;
    let mut found = Found::default();
    for osd in from_osds {
        let before = found.full.len();
        collect(osd, &mut found).with_context(|| format!("looking for maps in {}", osd.display()))?;
        cli::say!("{}: {} maps that were not known yet", osd.display(), found.full.len() - before);
    }
    let (fsid, addr) = daemon::mon_identity(&dir, &daemon)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = UTime::from_duration(now);
    let who = Identity { name: name.clone(), addr, fsid, now, entropy: machine::entropy()? };
    let ((first, newest), txn) = rebuild(&found, &who)?;
    let data = dir.data(&daemon);
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    daemon::make_mon_store(&data, fsid, &daemon, name)?;
    let store = Store::open_quiet(&data.join("store"), Options::default())?;
    store.submit(1, &txn)?;
    store.commit_step()?;
    store.close()?;
    // The others are lost: who asks for a monitor asks this one.
    let mut conf = dir.conf()?;
    conf.set("global", "mon_host", &format!("[{addr}]"));
    write_file(&dir.conf_file(), &conf.to_text())?;
    cli::say!("{daemon} has the OSD maps of epochs {first} to {newest}. Not recovered:");
    LOST.iter().for_each(|lost| cli::say!("  - {lost}"));
    cli::say!("`spirula start {daemon} --dir {dir}` starts it.");
    Ok(0)
}

/// A store that is there, or monitors that live, know more than OSDs do.
fn refuse_if_alive(dir: &ClusterDir, daemon: &Daemon) -> Result<()> {
    let store = dir.data(daemon).join("store");
    if store.join("superblock").exists() {
        bail!("{} is there: it knows more than OSDs do; move it away if it is broken", store.display());
    }
    for other in dir.daemons()? {
        if matches!(other, Daemon::Mon(_)) && process::pid(dir, &other).is_some() {
            bail!("{other} runs: stop it first, or let {daemon} join it with `spirula start {daemon}`");
        }
    }
    Ok(())
}

/// Takes the maps of one OSD's store.
fn collect(osd: &Path, found: &mut Found) -> Result<()> {
    let dir: PathBuf = store_dir(osd)?;
    let store = Store::open_quiet(&dir, Options::default()).context("cannot open its store (does the OSD run?)")?;
    let reader = store.reader();
    let mut from = Some(GHObject::min());
    while let Some(at) = from {
        let (objects, next) = reader.list(Coll::Meta, &at, LIST_BATCH)?;
        for oid in objects {
            let name = oid.hobj.oid.to_string_lossy().into_owned();
            let epoch = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.parse::<Epoch>().ok());
            if let Some(epoch) = epoch("osdmap.") {
                take(&mut found.full, epoch, reader.read(Coll::Meta, &oid, 0, u64::MAX)?);
            } else if let Some(epoch) = epoch("inc_osdmap.") {
                take(&mut found.inc, epoch, reader.read(Coll::Meta, &oid, 0, u64::MAX)?);
            }
        }
        from = next;
    }
    Ok(())
}

fn take<B: AsRef<[u8]>>(maps: &mut BTreeMap<Epoch, B>, epoch: Epoch, bytes: Option<B>) {
    if let Some(bytes) = bytes.filter(|b| !b.as_ref().is_empty()) {
        maps.entry(epoch).or_insert(bytes);
    }
}
