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

/// The disk under a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// As in `/dev`.
    name: String,
    /// As device classes call it.
    pub kind: &'static str,
    /// Who made it, and its number: `MODEL_SERIAL`, as far as it tells.
    id: String,
}

/// `None` if the kernel does not say.
pub fn disk(dir: &Path) -> Option<Disk> {
    use std::os::unix::fs::MetadataExt;
    let dev = std::fs::metadata(dir).ok()?.dev();
    let sys = format!("/sys/dev/block/{}:{}", libc::major(dev), libc::minor(dev));
    let device = std::fs::canonicalize(sys).ok()?;
    // A partition has its disk's queue one folder up.
    let disk = [device.as_path(), device.parent()?].into_iter().find(|d| d.join("queue/rotational").exists())?;
    let of = |file: &str| read(&disk.join(file).display().to_string());
    let name = disk.file_name()?.to_str()?.to_owned();
    let kind = match of("queue/rotational") == "1" {
        true => "hdd",
        false if name.starts_with("nvme") => "nvme",
        false => "ssd",
    };
    // Virtual disks keep theirs in another place.
    let serial = Some(of("device/serial")).filter(|s| !s.is_empty()).unwrap_or_else(|| of("serial"));
    Some(Disk { name, kind, id: disk_id(&of("device/model"), &serial) })
}

/// What is there of model and serial number; nothing without the latter, which tells disks apart.
fn disk_id(model: &str, serial: &str) -> String {
    if serial.is_empty() {
        return String::new();
    }
    format!("{model} {serial}").split_whitespace().collect::<Vec<_>>().join("_")
}

impl Disk {
    /// What `ceph osd metadata` and `ceph mon metadata` tell of it (Ceph: `get_device_metadata`).
    pub fn metadata(&self) -> [(&'static str, String); 2] {
        let id = if self.id.is_empty() { String::new() } else { format!("{}={}", self.name, self.id) };
        [("devices", self.name.clone()), ("device_ids", id)]
    }

    /// What only a store on it tells. Dashboards and Rook know the names of BlueStore's alone.
    pub fn store_metadata(&self) -> [(&'static str, String); 6] {
        let turns = u8::from(self.kind == "hdd").to_string();
        [
            ("rotational", turns.clone()),
            ("journal_rotational", turns.clone()),
            ("bluestore_bdev_rotational", turns),
            ("bluestore_bdev_type", self.kind.to_owned()),
            ("bluestore_bdev_devices", self.name.clone()),
            ("default_device_class", self.kind.to_owned()),
        ]
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_named_by_model_and_serial_number() {
        assert_eq!(disk_id("Samsung SSD 970 ", "S4EV "), "Samsung_SSD_970_S4EV");
        assert_eq!((disk_id("", "S4EV"), disk_id("QEMU HARDDISK", "")), ("S4EV".to_owned(), String::new()));
        let disk = Disk { name: "sda".to_owned(), kind: "hdd", id: "X_1".to_owned() };
        assert_eq!(disk.metadata().map(|(_, v)| v), ["sda", "sda=X_1"]);
    }
}
