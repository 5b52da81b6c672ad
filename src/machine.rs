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

/// Whether the disk under a folder turns (`1`), from the kernel; `0` if it does not say.
pub fn rotational(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::metadata(dir) else { return false };
    let (major, minor) = (libc::major(meta.dev()), libc::minor(meta.dev()));
    let device = format!("/sys/dev/block/{major}:{minor}");
    // A partition has its disk's queue one folder up.
    [format!("{device}/queue/rotational"), format!("{device}/../queue/rotational")]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .is_some_and(|v| v.trim() == "1")
}

/// Random numbers from the system.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
