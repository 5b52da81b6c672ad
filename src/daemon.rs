//! A daemon's life: its folder, its sockets, its store, and the node that runs on them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use cli::conf::Conf;
use cli::dir::{ClusterDir, Daemon, write_file};
use monclient::MonAddr;
use node::Endpoint;
use runtime::{CompletionQueue, Endpoints, Listen, RuntimeConfig, StoreDisk, run_node};
use types::{AddrType, EntityAddr, EntityName, Uuid};

use crate::{crash, machine};

/// Runs one daemon until it ends; gives its exit code. Everything that can go wrong at the start is one
/// line in the daemon's log, and the exit code says that it did.
pub fn run(dir: &ClusterDir, daemon: &Daemon) -> Result<i32> {
    // Opened by its name, the file can be opened again after it was moved (`log reopen`).
    let log_file = dir.log_file(daemon);
    let is_ours = std::fs::read_link("/proc/self/fd/2").is_ok_and(|target| target == log_file);
    runtime::init_log(is_ours.then_some(log_file.as_path()))?;
    crash::watch(dir, daemon);
    crash::post(dir, daemon);
    let result = match daemon {
        Daemon::Mon(name) => run_mon(dir, daemon, name),
        Daemon::Osd(id) => run_osd(dir, daemon, *id),
    };
    if let Err(e) = &result {
        tracing::error!("{daemon} ends: {e:#}");
    }
    result
}

/// The key of a store's metadata under which a monitor's has the names of those who founded the cluster.
const FOUNDERS: &str = "founders";
/// A monitor's store is small; the file is sparse.
const MON_STORE_BYTES: u64 = 4 << 30;

/// The space that an OSD of this cluster claims.
fn osd_size(common: &Common) -> u64 {
    let set = common.options.iter().find(|(name, _)| name == "bluestore_block_size");
    set.and_then(|(_, value)| types::options::parse_size(value)).unwrap_or(10 << 30)
}

/// What both kinds read from `ceph.conf`.
struct Common {
    conf: Conf,
    fsid: Uuid,
    mons: Vec<EntityAddr>,
    options: Vec<(String, String)>,
}

fn common(dir: &ClusterDir, daemon: &Daemon) -> Result<Common> {
    let conf = dir.conf()?;
    let who = daemon.to_string();
    let get = |name: &str| conf.get(&who, name).with_context(|| format!("{} has no {name}", dir.conf_file().display()));
    let fsid = get("fsid")?.parse().map_err(|e| anyhow::anyhow!("fsid in {}: {e}", dir.conf_file().display()))?;
    let mons = parse_mon_host(get("mon_host")?)?;
    let options = options_of(&conf, &who);
    Ok(Common { fsid, mons, options, conf })
}

fn options_of(conf: &Conf, who: &str) -> Vec<(String, String)> {
    let values = conf.values_for(who);
    values.into_iter().filter(|(k, _)| types::options::find(k).is_some()).map(|(k, v)| (k.into(), v.into())).collect()
}

/// `[v2:127.0.0.1:3300/0],[v2:…]`, with or without brackets.
fn parse_mon_host(text: &str) -> Result<Vec<EntityAddr>> {
    text.split([',', ' '])
        .map(|part| part.trim_matches(['[', ']']))
        .filter(|part| !part.is_empty() && !part.starts_with("v1:"))
        .map(|part| {
            EntityAddr::parse(part, AddrType::Msgr2).with_context(|| format!("mon_host: '{part}' is no address"))
        })
        .collect()
}

fn listen(endpoint: Endpoint, port: u16, nonce: u32) -> Listen {
    Listen { endpoint, addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), nonce }
}

/// The pid file, written once the daemon holds its store.
fn write_pid(dir: &ClusterDir, daemon: &Daemon) -> Result<()> {
    write_file(&dir.pid_file(daemon), &format!("{}\n", std::process::id()))
}

/// Where a monitor listens.
fn mon_addr(dir: &ClusterDir, common: &Common, daemon: &Daemon) -> Result<EntityAddr> {
    let own = match common.conf.get(&daemon.to_string(), "mon_addr") {
        Some(text) => parse_mon_host(text)?.first().copied(),
        // Clusters of the time when there was one monitor.
        None => common.mons.first().copied(),
    };
    own.with_context(|| format!("{} says no address of {daemon}", dir.conf_file().display()))
}

/// The cluster of a folder, and where one of its monitors listens.
pub fn mon_identity(dir: &ClusterDir, daemon: &Daemon) -> Result<(Uuid, EntityAddr)> {
    let common = common(dir, daemon)?;
    Ok((common.fsid, mon_addr(dir, &common, daemon)?))
}

/// An empty store for a monitor that founds a cluster alone.
pub fn make_mon_store(data: &Path, fsid: Uuid, daemon: &Daemon, name: &str) -> Result<()> {
    make_store(&data.join("store"), fsid, MON_STORE_BYTES, daemon, fsid, name)
}

fn make_store(path: &Path, uuid: Uuid, size: u64, owner: &Daemon, fsid: Uuid, founders: &str) -> Result<()> {
    let mut meta: std::collections::BTreeMap<String, String> =
        [("daemon".to_owned(), owner.to_string()), ("fsid".to_owned(), fsid.to_string())].into();
    if !founders.is_empty() {
        meta.insert(FOUNDERS.to_owned(), founders.to_owned());
    }
    store::Store::mkfs(path, &store::Geometry::new(uuid, size), meta)
        .with_context(|| format!("cannot make a store in {}", path.display()))
}

fn run_mon(dir: &ClusterDir, daemon: &Daemon, name: &str) -> Result<i32> {
    let common = common(dir, daemon)?;
    let port = mon_addr(dir, &common, daemon)?.port();
    let endpoints =
        Endpoints::bind(&[listen(Endpoint::Public, port, 0), listen(Endpoint::Mgr, port + 1, std::process::id())])?;
    let data = dir.data(daemon);
    let founders_file = data.join(cli::up::FOUNDERS);
    let founders = std::fs::read_to_string(&founders_file).unwrap_or_default();
    let (disk, queue) = open_store(&data, common.fsid, MON_STORE_BYTES, daemon, &common, founders.trim())?;
    // From now on the store itself says so.
    let _ = std::fs::remove_file(&founders_file);
    write_pid(dir, daemon)?;
    let founders = disk.store().and_then(|s| s.meta().get(FOUNDERS).cloned()).unwrap_or_default();
    let mut mons = Vec::new();
    for founder in founders.split_whitespace() {
        let addr = common.conf.get(&format!("mon.{founder}"), "mon_addr").map(parse_mon_host).transpose()?;
        mons.extend(addr.into_iter().flatten().map(|addr| (founder.to_owned(), addr)));
    }
    let founds = !mons.is_empty();
    if !founds {
        mons = common.mons.iter().map(|addr| (String::new(), *addr)).collect();
    }
    let node = mon::Mon::new(mon::Setup {
        name: name.to_owned(),
        fsid: common.fsid,
        listening: endpoints.listening(),
        mons,
        founds,
        options: common.options,
        hostname: machine::hostname(),
        metadata: mon_metadata(&dir.data(daemon)),
        entropy: machine::entropy()?,
    });
    let config = RuntimeConfig {
        mgr: Some((EntityName::mgr(0), name.to_owned())),
        admin_socket: Some(dir.socket(daemon)),
        ..RuntimeConfig::new(EntityName::mon(0), name)
    };
    run_node(node, endpoints, disk, queue, config)
}

fn put(metadata: &mut BTreeMap<String, String>, fields: impl IntoIterator<Item = (&'static str, String)>) {
    metadata.extend(fields.into_iter().map(|(k, v)| (k.to_owned(), v)));
}

fn mon_metadata(data: &Path) -> BTreeMap<String, String> {
    let mut metadata = machine::metadata();
    put(&mut metadata, machine::disk(data).iter().flat_map(|d| d.metadata()));
    metadata
}

fn run_osd(dir: &ClusterDir, daemon: &Daemon, id: i32) -> Result<i32> {
    let common = common(dir, daemon)?;
    let data = dir.data(daemon);
    let uuid_file = data.join("uuid");
    let uuid = std::fs::read_to_string(&uuid_file).with_context(|| format!("cannot read {}", uuid_file.display()))?;
    let osd_fsid = uuid.trim().parse().map_err(|e| anyhow::anyhow!("{}: {e}", uuid_file.display()))?;
    let base = match common.conf.get("spirula", "port") {
        Some(port) => port.parse().with_context(|| format!("[spirula] port = {port}"))?,
        None => common.mons.first().context("mon_host names no address")?.port(),
    };
    let ports = cli::up::osd_ports(base, id);
    let nonce = std::process::id();
    let wanted = [Endpoint::Public, Endpoint::Cluster, Endpoint::HbBack, Endpoint::HbFront];
    let endpoints =
        Endpoints::bind(&wanted.into_iter().zip(ports).map(|(e, port)| listen(e, port, nonce)).collect::<Vec<_>>())?;
    let (disk, queue) = open_store(&data, osd_fsid, osd_size(&common), daemon, &common, "")?;
    write_pid(dir, daemon)?;
    let mut metadata = machine::metadata();
    metadata.insert("osd_data".to_owned(), data.display().to_string());
    let disk_below = machine::disk(&data);
    put(&mut metadata, disk_below.iter().flat_map(|d| d.metadata()));
    put(&mut metadata, disk_below.iter().flat_map(|d| d.store_metadata()));
    put(
        &mut metadata,
        [
            ("bluestore_bdev_size", osd_size(&common).to_string()),
            // `docs/formats/store.md`: a block is the unit of both.
            ("bluestore_bdev_block_size", "4096".to_owned()),
            ("bluestore_min_alloc_size", "4096".to_owned()),
        ],
    );
    if let Ok(made) = std::fs::metadata(&uuid_file).and_then(|m| m.modified()) {
        let since = made.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        put(&mut metadata, [("created_at", types::UTime::from_duration(since).zulu())]);
    }
    let mons = common
        .mons
        .iter()
        .enumerate()
        .map(|(rank, addr)| MonAddr { rank: rank as i64, addrs: (*addr).into() })
        .collect();
    let node = osd::Osd::new(osd::Setup {
        whoami: id,
        fsid: common.fsid,
        osd_fsid,
        listening: endpoints.listening(),
        mons,
        hostname: machine::hostname(),
        options: common.options,
        metadata,
        seed: machine::seed(),
    });
    let config = RuntimeConfig {
        admin_socket: Some(dir.socket(daemon)),
        ..RuntimeConfig::new(EntityName::osd(id), id.to_string())
    };
    run_node(node, endpoints, disk, queue, config)
}

/// Opens the store of a daemon's folder, making it first if there is none.
fn open_store(
    dir: &Path,
    uuid: Uuid,
    size: u64,
    owner: &Daemon,
    common: &Common,
    founders: &str,
) -> Result<(StoreDisk, CompletionQueue)> {
    let path = dir.join("store");
    if !path.join("superblock").exists() {
        make_store(&path, uuid, size, owner, common.fsid, founders)?;
    }
    let opened = StoreDisk::open(&path, store::Options::default());
    let (disk, queue) = opened.with_context(|| {
        let (path, dir) = (path.display(), dir.display());
        format!("cannot open the store in {path} (`spirula store repair --dir {dir}` says what helps)")
    })?;
    let meta = disk.store().map(store::Store::meta);
    let written = |key: &str| meta.and_then(|m| m.get(key)).cloned();
    for (key, what, ours) in [("fsid", "cluster", common.fsid.to_string()), ("daemon", "daemon", owner.to_string())] {
        if let Some(theirs) = written(key).filter(|theirs| *theirs != ours) {
            bail!("the store in {} belongs to {what} {theirs}, not to {ours}", path.display());
        }
    }
    Ok((disk, queue))
}
