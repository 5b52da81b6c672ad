//! `spirula up`: from an empty folder (or a cluster that was taken down) to HEALTH_OK.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use types::Uuid;

use crate::asok;
use crate::conf::Conf;
use crate::dir::{ClusterDir, Daemon, write_file};
use crate::lock::Lock;
use crate::{interrupt, lock, process, suggest};

/// What `up` was asked for.
#[derive(Debug, Clone)]
pub struct UpOptions {
    pub osds: i32,
    pub mons: i32,
    pub port: Option<u16>,
    pub osd_size: u64,
    /// `OPTION=VALUE` as given.
    pub set: Vec<String>,
}

/// What the command line of `up` names. A cluster that exists is none of the things that differ from it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub osds: Option<i32>,
    pub mons: Option<i32>,
    pub port: Option<u16>,
    pub osd_size: Option<u64>,
    pub set: Vec<String>,
}

impl Asked {
    fn or_default(&self) -> UpOptions {
        UpOptions {
            osds: self.osds.unwrap_or(3),
            mons: self.mons.unwrap_or(1),
            port: self.port,
            osd_size: self.osd_size.unwrap_or(10 << 30),
            set: self.set.clone(),
        }
    }
}

/// A monitor takes one port and its manager the next.
const PORTS_PER_MON: u16 = 2;
/// An OSD listens for clients, for OSDs, and for heartbeats on both networks.
const PORTS_PER_OSD: u16 = 4;
/// Room for OSDs that are added later.
const OSDS_RESERVED: u16 = 32;
/// Room for monitors: the first one's ports come before the OSDs', the others' behind them.
pub(crate) const MONS_RESERVED: u16 = 9;
/// What a majority can be told from.
const MON_COUNTS: [i32; 4] = [1, 3, 5, 7];
/// Where a free range is looked for when no port was named: below the ports that Linux gives to outgoing
/// connections (32768 and up), any of which may hold a daemon's port just when it starts again.
const PORT_SEARCH: std::ops::Range<u16> = 10_000..32_000;

const START_PATIENCE: Duration = Duration::from_secs(30);
const HEALTH_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Starts the cluster in `path`, making it first if need be.
///
/// # Errors
/// One line: what, why, and what to do. What was started keeps running, so that its logs and state can
/// be looked at; `down` ends it.
pub fn up(path: &Path, asked: &Asked) -> Result<i32> {
    let dir = ClusterDir::new(path)?;
    interrupt::catch();
    let done = up_in(&dir, asked);
    if !interrupt::hit() {
        return done.map(|()| 0);
    }
    if !dir.holds_cluster() {
        dir.remove_rest();
        complain!("spirula: interrupted: there was no cluster yet, and nothing is left of it in {dir}");
        return Ok(interrupt::EXIT_CODE);
    }
    let daemons = dir.daemons()?;
    let running = daemons.iter().filter(|d| process::pid(&dir, d).is_some()).count();
    complain!(
        "spirula: interrupted: {running} of {} daemons run in {dir}; `spirula up --dir {dir}` goes on from there, \
         `spirula down --dir {dir}` stops them",
        daemons.len()
    );
    Ok(interrupt::EXIT_CODE)
}

/// Makes and starts a cluster and says nothing.
///
/// # Errors
/// As [`up`]; whoever calls looks after Ctrl-C.
pub fn up_quietly(dir: &ClusterDir, options: &UpOptions) -> Result<()> {
    let held = create(dir, options)?;
    let daemons = dir.daemons()?;
    start_all(dir, &daemons.iter().collect::<Vec<_>>())?;
    drop(held);
    wait_healthy(dir).map(drop)
}

fn up_in(dir: &ClusterDir, asked: &Asked) -> Result<()> {
    let started = Instant::now();
    let held = if dir.holds_cluster() {
        dir.check_layout()?;
        refuse_changes(dir, asked)?;
        lock::take(dir, "up")?
    } else {
        create(dir, &asked.or_default())?
    };
    let daemons = dir.daemons()?;
    // Those that were killed may be dying still, those that an earlier `up` left may be starting still.
    daemons.iter().try_for_each(|d| process::wait_dead(dir, d, START_PATIENCE))?;
    daemons.iter().try_for_each(|d| process::wait_answering(dir, d, START_PATIENCE))?;
    let stopped: Vec<&Daemon> = daemons.iter().filter(|d| process::pid(dir, d).is_none()).collect();
    if stopped.is_empty() {
        say!("the cluster in {dir} runs already; nothing was changed");
        return Ok(());
    }
    start_all(dir, &stopped)?;
    drop(held);
    let health = wait_healthy(dir)?;
    say!(
        "{health} after {:.1} s: {} OSDs, {} in {dir}",
        started.elapsed().as_secs_f64(),
        daemons.iter().filter(|d| matches!(d, Daemon::Osd(_))).count(),
        match daemons.iter().filter(|d| matches!(d, Daemon::Mon(_))).count() {
            1 => "one monitor".to_owned(),
            n => format!("{n} monitors"),
        }
    );
    print_usage(dir);
    Ok(())
}

fn print_usage(dir: &ClusterDir) {
    say!("  export CEPH_CONF={}", dir.conf_file().display());
    say!("  ceph -s                                      # or: spirula ceph -s");
    say!("  ceph osd pool create data && rados -p data put greeting /etc/hostname");
    say!("  spirula down --dir {dir}");
}

/// `up` starts what is there. What it is asked to change of it is not ignored: it says what does that.
fn refuse_changes(dir: &ClusterDir, asked: &Asked) -> Result<()> {
    let conf = Conf::read(&dir.conf_file())?;
    let has = |section: &str, key: &str| conf.get(section, key).and_then(|value| value.parse::<u64>().ok());
    let daemons = dir.daemons()?;
    let osds = daemons.iter().filter(|d| matches!(d, Daemon::Osd(_))).count();
    let mons = daemons.len() - osds;
    if let Some(wanted) = asked.osds.filter(|n| usize::try_from(*n) != Ok(osds)) {
        let how = match usize::try_from(wanted).is_ok_and(|n| n > osds) {
            true => format!("`spirula add-osd --dir {dir}` adds one"),
            false => "`ceph osd purge` takes one away (see `spirula explain`)".to_owned(),
        };
        bail!("--osds {wanted}: the cluster in {dir} exists and has {osds} OSDs; {how}");
    }
    if let Some(wanted) = asked.mons.filter(|n| usize::try_from(*n) != Ok(mons)) {
        bail!(
            "--mons {wanted}: the cluster in {dir} exists and has {mons}; `spirula add-mon` and `rm-mon` change that"
        );
    }
    if let Some(wanted) = asked.port.filter(|p| has("spirula", "port").is_some_and(|port| port != u64::from(*p))) {
        bail!("--port {wanted}: the cluster in {dir} exists, and its monitors keep their addresses; leave it out");
    }
    if let Some(wanted) =
        asked.osd_size.filter(|s| has("global", "bluestore_block_size").is_some_and(|size| size != *s))
    {
        bail!(
            "--osd-size {wanted}: the OSDs of the cluster in {dir} keep their size; for those to come, edit \
             bluestore_block_size in {}",
            dir.conf_file().display()
        );
    }
    if !asked.set.is_empty() {
        bail!(
            "the cluster in {dir} exists: change its options with `ceph config set`, or edit {}",
            dir.conf_file().display()
        );
    }
    Ok(())
}

/// Writes everything a new cluster needs. The file that marks the folder as a cluster comes last, so
/// that an interrupted `up` leaves a folder that the next one completes or refuses by name.
fn create(dir: &ClusterDir, options: &UpOptions) -> Result<Lock> {
    if !MON_COUNTS.contains(&options.mons) {
        bail!("--mons {}: 1, 3, 5 or 7: an even number survives no more losses than one less", options.mons);
    }
    if !(1..=i32::from(OSDS_RESERVED)).contains(&options.osds) {
        bail!("--osds {}: from 1 to {OSDS_RESERVED}", options.osds);
    }
    if !dir.has_only_ours() {
        bail!("{dir} is not empty and holds no cluster: name an empty or new folder with --dir");
    }
    let chosen = parse_set(&options.set)?;
    let held = lock::take(dir, "up")?;
    if dir.holds_cluster() {
        return Ok(held); // Another has made it in this moment.
    }
    let made = write_all(dir, options, &chosen);
    if made.is_err() {
        dir.remove_rest();
    }
    made.map(|()| held)
}

fn write_all(dir: &ClusterDir, options: &UpOptions, chosen: &BTreeMap<String, String>) -> Result<()> {
    let base = choose_ports(options)?;
    let fsid = random_uuid()?;
    let root = dir.root();
    for folder in ["", "run", "log"] {
        let path = root.join(folder);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let names: Vec<String> = (0..options.mons as u16).map(mon_name).collect();
    for name in &names {
        let data = dir.data(&Daemon::Mon(name.clone()));
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        // Gone once the store is made: a store that is lost later may not begin as if nothing had been.
        write_file(&data.join(FOUNDERS), &format!("{}\n", names.join(" ")))?;
    }
    for id in 0..options.osds {
        interrupt::check()?;
        make_osd(dir, id)?;
    }
    let conf = initial_conf(dir, options, chosen, fsid, base);
    write_file(
        &dir.keyring_file(),
        &format!(
            "[client.admin]\n\tkey = {}\n\tcaps mds = \"allow *\"\n\tcaps mgr = \"allow *\"\n\tcaps mon = \"allow *\"\n\tcaps osd = \"allow *\"\n",
            random_key()?
        ),
    )?;
    write_file(&dir.conf_file(), &conf.to_text())?;
    interrupt::check()?;
    dir.write_layout()
}

/// Makes the folder of one more OSD with an identity of its own.
pub fn make_osd(dir: &ClusterDir, id: i32) -> Result<()> {
    let data = dir.data(&Daemon::Osd(id));
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let uuid = data.join("uuid");
    if !uuid.exists() {
        write_file(&uuid, &format!("{}\n", random_uuid()?))?;
    }
    Ok(())
}

/// Adds one more OSD to a cluster that runs, and gives its id.
///
/// # Errors
/// If there is no room for one more, or it does not start.
pub fn add_osd(path: &Path) -> Result<i32> {
    let dir = ClusterDir::open(path)?;
    let _held = lock::take(&dir, "add-osd")?;
    let taken = dir.daemons()?.into_iter().filter_map(|d| if let Daemon::Osd(id) = d { Some(id) } else { None });
    let id = taken.max().map_or(0, |max| max + 1);
    if id >= i32::from(OSDS_RESERVED) {
        bail!("a cluster on one machine has ports for {OSDS_RESERVED} OSDs, and they are used");
    }
    make_osd(&dir, id)?;
    start_all(&dir, &[&Daemon::Osd(id)])?;
    Ok(id)
}

fn parse_set(set: &[String]) -> Result<BTreeMap<String, String>> {
    let mut chosen = BTreeMap::new();
    for text in set {
        let Some((name, value)) = text.split_once('=') else { bail!("--set {text}: write it as OPTION=VALUE") };
        let Some(def) = types::options::find(name) else {
            let meant = suggest::did_you_mean(name, types::options::all().map(|o| o.name));
            bail!("--set {text}: there is no option '{name}'{meant} (`spirula ceph config ls` lists them)")
        };
        def.check(value).with_context(|| format!("--set {text}"))?;
        chosen.insert(def.name.to_owned(), value.trim().to_owned());
    }
    Ok(chosen)
}

/// What one machine as one failure domain needs; `--set` overrides each.
fn initial_conf(
    dir: &ClusterDir,
    options: &UpOptions,
    chosen: &BTreeMap<String, String>,
    fsid: Uuid,
    base: u16,
) -> Conf {
    let mut conf = Conf::default();
    let mut global = |name: &str, value: &str| conf.set("global", name, value);
    global("fsid", &fsid.to_string());
    let ports: Vec<u16> = (0..options.mons as u16).map(|n| mon_port(base, n)).collect();
    global("mon_host", &mon_host(&ports));
    global("public_addr", "127.0.0.1");
    global("cluster_addr", "127.0.0.1");
    global("auth_cluster_required", "none");
    global("auth_service_required", "none");
    global("auth_client_required", "none");
    global("auth_allow_insecure_global_id_reclaim", "false");
    global("osd_crush_chooseleaf_type", "0");
    global("mon_osd_reporter_subtree_level", "osd");
    if options.osds <= 2 {
        global("mon_osd_min_down_reporters", "1");
    }
    global("mon_allow_pool_delete", "true");
    global("osd_pool_default_pg_autoscale_mode", "off");
    global("osd_pool_default_pg_num", "32");
    global("osd_pool_default_pgp_num", "32");
    global("bluestore_block_size", &options.osd_size.to_string());
    for (name, value) in chosen {
        global(name, value);
    }
    for (n, port) in (0..).zip(ports) {
        conf.set(&format!("mon.{}", mon_name(n)), "mon_addr", &mon_addr(port));
    }
    // Where `ceph daemon osd.0 …` looks.
    for kind in ["mon", "osd"] {
        conf.set(kind, "admin_socket", &dir.run().join("$name.asok").display().to_string());
    }
    conf.set("spirula", "port", &base.to_string());
    conf.set("client", "keyring", &dir.keyring_file().display().to_string());
    conf.set("client", "admin_socket", "");
    conf.set("client", "log_file", "");
    conf
}

/// The first of a range of free ports: the one asked for, or one that is found.
fn choose_ports(options: &UpOptions) -> Result<u16> {
    let count = PORTS_PER_MON * MONS_RESERVED + PORTS_PER_OSD * OSDS_RESERVED;
    let used = |base: u16| {
        let others = (1..options.mons as u16).flat_map(move |n| [mon_port(base, n), mon_port(base, n) + 1]);
        (base..base + PORTS_PER_MON + PORTS_PER_OSD * options.osds as u16).chain(others)
    };
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    if let Some(base) = options.port {
        if base < 1024 || base > u16::MAX - count {
            bail!("--port {base}: choose one from 1024 to {}", u16::MAX - count);
        }
        return match used(base).find(|p| !free(*p)) {
            None => Ok(base),
            Some(taken) => bail!("port {taken} is in use: choose another --port, or leave it out to have one found"),
        };
    }
    // Begin at a place of our own, so that two clusters made at once rarely meet.
    let span = PORT_SEARCH.len() as u32;
    let start = std::process::id().wrapping_mul(count.into()) % span;
    (0..span / u32::from(count))
        .map(|i| PORT_SEARCH.start + ((start + i * u32::from(count)) % (span - u32::from(count))) as u16)
        .find(|base| used(*base).all(free))
        .context("no free range of ports between 10000 and 32000: name one with --port")
}

/// The file in a new monitor's folder that names all who found the cluster.
pub const FOUNDERS: &str = "founders";

/// The name of the `n`th monitor.
pub(crate) fn mon_name(n: u16) -> String {
    char::from(b'a' + n as u8).to_string()
}

/// The port of the `n`th monitor, and behind it its manager's, from the cluster's first.
pub(crate) fn mon_port(base: u16, n: u16) -> u16 {
    match n {
        0 => base,
        n => base + PORTS_PER_MON * n + PORTS_PER_OSD * OSDS_RESERVED,
    }
}

pub(crate) fn mon_addr(port: u16) -> String {
    format!("v2:127.0.0.1:{port}/0")
}

pub(crate) fn mon_host(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("[{}]", mon_addr(*port))).collect::<Vec<_>>().join(",")
}

/// The ports of an OSD, from the cluster's first.
pub fn osd_ports(base: u16, id: i32) -> [u16; 4] {
    let first = base + PORTS_PER_MON + PORTS_PER_OSD * id as u16;
    [first, first + 1, first + 2, first + 3]
}

fn random_bytes() -> Result<[u8; 16]> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes)
}

fn random_uuid() -> Result<Uuid> {
    Ok(Uuid::from_random(random_bytes()?))
}

/// A secret in the form of Ceph's keys: type 1 (AES), a stamp, 16 bytes, in base64.
fn random_key() -> Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut raw = vec![1, 0];
    raw.extend_from_slice(&(now.as_secs() as u32).to_le_bytes());
    raw.extend_from_slice(&now.subsec_nanos().to_le_bytes());
    raw.extend_from_slice(&16u16.to_le_bytes());
    raw.extend_from_slice(&random_bytes()?);
    Ok(base64(&raw))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let symbol = ALPHABET[(word >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i <= chunk.len() { symbol } else { '=' });
        }
    }
    out
}

/// Monitors first, then the OSDs all at once.
pub fn start_all(dir: &ClusterDir, daemons: &[&Daemon]) -> Result<()> {
    let (mons, osds): (Vec<&Daemon>, Vec<&Daemon>) = daemons.iter().partition(|d| matches!(d, Daemon::Mon(_)));
    start_together(dir, &mons)?;
    for osd in &osds {
        register(dir, osd)?;
    }
    start_together(dir, &osds)
}

fn start_together(dir: &ClusterDir, daemons: &[&Daemon]) -> Result<()> {
    let mut children: Vec<(&Daemon, Child)> = Vec::new();
    for daemon in daemons {
        interrupt::check()?;
        children.push((daemon, process::spawn(dir, daemon)?));
    }
    for (daemon, child) in &mut children {
        process::wait_ready(dir, daemon, child, START_PATIENCE)?;
    }
    Ok(())
}

/// Tells the monitor which id and uuid an OSD has; saying it again changes nothing.
pub fn register(dir: &ClusterDir, daemon: &Daemon) -> Result<()> {
    let Daemon::Osd(id) = daemon else { return Ok(()) };
    let path = dir.data(daemon).join("uuid");
    let uuid = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let answer = ask_mon(dir, &json!({"prefix": "osd new", "uuid": uuid.trim(), "id": id.to_string()}))?;
    if answer.starts_with("ERROR") {
        bail!("the monitor refuses {daemon}: {}", answer.trim());
    }
    Ok(())
}

/// Asks the first monitor that answers.
///
/// # Errors
/// If none does.
pub fn ask_mon(dir: &ClusterDir, command: &serde_json::Value) -> Result<String> {
    let mons = dir.daemons()?.into_iter().filter(|d| matches!(d, Daemon::Mon(_)));
    let mut last = anyhow::anyhow!("{dir} has no monitor");
    for mon in mons {
        match asok::ask(&dir.socket(&mon), command, START_PATIENCE) {
            Ok(answer) => return Ok(answer),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Waits until the cluster serves all its data: HEALTH_OK, or warnings that starting longer does not cure.
fn wait_healthy(dir: &ClusterDir) -> Result<String> {
    let give_up = Instant::now() + HEALTH_PATIENCE;
    loop {
        let text = ask_mon(dir, &json!({"prefix": "health", "format": "json"}))?;
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let health = answer["status"].as_str().unwrap_or("unknown");
        let codes: Vec<&str> =
            answer["checks"].as_object().into_iter().flat_map(|checks| checks.keys().map(String::as_str)).collect();
        if health != "unknown" && !codes.iter().any(|code| is_starting(code)) && all_up(dir)? {
            let codes = codes.join(", ");
            return Ok(if codes.is_empty() { health.to_owned() } else { format!("{health} ({codes})") });
        }
        interrupt::check()?;
        if Instant::now() > give_up {
            bail!("still {health} after {} s: `spirula ceph health detail` says why", HEALTH_PATIENCE.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Whether a health code is one that goes away by itself while daemons start and placement groups recover.
fn is_starting(code: &str) -> bool {
    code.starts_with("PG_")
        || code.starts_with("OBJECT_")
        || code.starts_with("OSD_") && code.ends_with("DOWN")
        || matches!(code, "MGR_DOWN" | "MON_DOWN" | "SLOW_OPS")
}

/// Whether every OSD of the folder is up in the map: a cluster with no pools is healthy before.
fn all_up(dir: &ClusterDir) -> Result<bool> {
    let text = ask_mon(dir, &json!({"prefix": "osd stat", "format": "json"}))?;
    let stat: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let here = dir.daemons()?.iter().filter(|d| matches!(d, Daemon::Osd(_)) && process::pid(dir, d).is_some()).count();
    Ok(stat["num_up_osds"].as_u64().is_some_and(|up| up >= here as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_base64_as_everyone_writes_it() {
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64(b"fooba"), "Zm9vYmE=");
        assert_eq!(base64(b"f"), "Zg==");
    }

    #[test]
    fn only_what_time_cures_is_waited_for() {
        assert!(["PG_DEGRADED", "OSD_HOST_DOWN", "MGR_DOWN"].iter().all(|c| is_starting(c)));
        assert!(
            !["POOL_APP_NOT_ENABLED", "TOO_FEW_OSDS", "OSDMAP_FLAGS", "OSD_NEARFULL"].iter().any(|c| is_starting(c))
        );
    }

    #[test]
    fn a_set_that_is_no_option_is_refused_by_name() {
        let e = parse_set(&["osd_colour=red".into()]).unwrap_err();
        assert!(e.to_string().contains("there is no option 'osd_colour'"), "{e}");
        let e = parse_set(&["osd_hartbeat_grace=6".into()]).unwrap_err();
        assert!(e.to_string().contains("did you mean osd_heartbeat_grace?"), "{e}");
        assert!(parse_set(&["osd_heartbeat_grace=6".into()]).is_ok());
    }

    #[test]
    fn the_sockets_of_daemons_are_where_ceph_s_client_looks() {
        let dir = ClusterDir::new(Path::new("/c")).unwrap();
        let options = UpOptions { osds: 3, mons: 1, port: None, osd_size: 1 << 30, set: vec![] };
        let conf = initial_conf(&dir, &options, &BTreeMap::new(), Uuid::default(), 21_000);
        let told = conf.get("osd.0", "admin_socket").map(|path| path.replace("$name", "osd.0"));
        assert_eq!(told, Some(dir.socket(&"osd.0".parse().unwrap()).display().to_string()));
        assert_eq!(conf.get("client.admin", "admin_socket"), Some(""), "clients have none");
    }
}
