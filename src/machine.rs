//! What daemons tell of the machine they run on.

use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

pub fn hostname() -> String {
    let name = read("/proc/sys/kernel/hostname");
    let short = name.split('.').next().unwrap_or_default();
    if short.is_empty() { "localhost".to_owned() } else { short.to_owned() }
}

/// The keys of `ceph osd metadata` and `ceph mon metadata` that the machine answers.
pub fn metadata() -> BTreeMap<String, String> {
    let os: BTreeMap<String, String> = read("/etc/os-release")
        .lines()
        .filter_map(|l| l.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.trim_matches('"').to_owned()))
        .collect();
    let of_os = |key: &str| os.get(key).cloned().unwrap_or_default();
    let kilobytes = |key: &str| {
        let meminfo = read("/proc/meminfo");
        let line = meminfo.lines().find(|l| l.starts_with(key)).unwrap_or_default().to_owned();
        line.split_whitespace().nth(1).unwrap_or("0").to_owned()
    };
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find(|l| l.starts_with("model name"))
        .and_then(|l| l.split_once(':'))
        .map_or_else(String::new, |(_, v)| v.trim().to_owned());
    [
        ("arch", std::env::consts::ARCH.to_owned()),
        ("cpu", cpu),
        ("distro", of_os("ID")),
        ("distro_description", of_os("PRETTY_NAME")),
        ("distro_version", of_os("VERSION_ID")),
        ("kernel_description", read("/proc/sys/kernel/version")),
        ("kernel_version", read("/proc/sys/kernel/osrelease")),
        ("mem_swap_kb", kilobytes("SwapTotal")),
        ("mem_total_kb", kilobytes("MemTotal")),
        ("os", "Linux".to_owned()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect()
}

/// What kind of disk is under a folder, as device classes call it; `None` if the kernel does not say.
pub fn disk_kind(dir: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let dev = std::fs::metadata(dir).ok()?.dev();
    let sys = format!("/sys/dev/block/{}:{}", libc::major(dev), libc::minor(dev));
    let device = std::fs::canonicalize(sys).ok()?;
    // A partition has its disk's queue one folder up.
    let disk = [device.as_path(), device.parent()?].into_iter().find(|d| d.join("queue/rotational").exists())?;
    let turns = read(&disk.join("queue/rotational").display().to_string()) == "1";
    let name = disk.file_name()?.to_str()?;
    Some(match turns {
        true => "hdd",
        false if name.starts_with("nvme") => "nvme",
        false => "ssd",
    })
}

/// What secrets are made from.
///
/// # Errors
/// If the system gives no random numbers.
pub fn entropy() -> std::io::Result<[u8; 32]> {
    use std::io::Read;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Random numbers from the system.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
