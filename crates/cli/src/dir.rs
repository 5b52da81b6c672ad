//! A cluster's folder: what is where in it, and which daemons live there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::conf::Conf;

/// The version of the folder's layout, kept in the file `spirula`.
const LAYOUT: &str = "1";

/// One daemon of a cluster on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Daemon {
    Mon(String),
    Osd(i32),
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mon(id) => write!(f, "mon.{id}"),
            Self::Osd(id) => write!(f, "osd.{id}"),
        }
    }
}

impl FromStr for Daemon {
    type Err = anyhow::Error;
    fn from_str(s: &str) -> Result<Self> {
        match s.split_once('.') {
            Some(("mon", id)) if !id.is_empty() => Ok(Self::Mon(id.to_owned())),
            Some(("osd", id)) if id.parse::<u16>().is_ok() => Ok(Self::Osd(id.parse()?)),
            _ => bail!("'{s}' is no daemon's name: they are written mon.a or osd.1"),
        }
    }
}

/// The folder of one cluster (`--dir`).
#[derive(Debug, Clone)]
pub struct ClusterDir {
    root: PathBuf,
}

impl ClusterDir {
    /// A folder that exists or is to be made.
    ///
    /// # Errors
    /// If the path cannot be made absolute.
    pub fn new(path: &Path) -> Result<Self> {
        let root = std::path::absolute(path).with_context(|| format!("{} is no usable path", path.display()))?;
        Ok(Self { root })
    }

    /// A folder that must hold a cluster of this layout.
    ///
    /// # Errors
    /// Says what is missing or too new, and what to do.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Self::new(path)?;
        if !dir.holds_cluster() {
            bail!("there is no cluster in {}: make one with `spirula up --dir {}`", dir, path.display());
        }
        dir.check_layout()?;
        Ok(dir)
    }

    /// # Errors
    /// If the folder was made by a version with another layout.
    pub fn check_layout(&self) -> Result<()> {
        let found = std::fs::read_to_string(self.layout_file()).unwrap_or_default();
        if found.trim() != LAYOUT {
            bail!(
                "{} was made by a version of spirula with layout '{}', this one knows '{LAYOUT}': use the version that made it",
                self,
                found.trim()
            );
        }
        Ok(())
    }

    pub fn holds_cluster(&self) -> bool {
        self.conf_file().exists() && self.layout_file().exists()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn conf_file(&self) -> PathBuf {
        self.root.join("ceph.conf")
    }

    pub fn keyring_file(&self) -> PathBuf {
        self.root.join("ceph.client.admin.keyring")
    }

    fn layout_file(&self) -> PathBuf {
        self.root.join("spirula")
    }

    /// See [`crate::lock`].
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Whether nothing is in the folder but what an `up` that came to nothing has left: its lock, and perhaps more.
    pub fn has_only_ours(&self) -> bool {
        let ours = |name: &str| {
            let file = name.strip_suffix(".new").unwrap_or(name);
            // Files being written end in `.new` in place of their last part.
            matches!(file, "run" | "log" | "crash" | "lock" | "ceph" | "ceph.conf" | "spirula")
                || matches!(file, "ceph.client.admin" | "ceph.client.admin.keyring")
                || name.parse::<Daemon>().is_ok()
        };
        let entries: Vec<_> = std::fs::read_dir(&self.root).into_iter().flatten().flatten().collect();
        entries.is_empty()
            || self.lock_file().exists() && entries.iter().all(|e| e.file_name().to_str().is_some_and(ours))
    }

    /// Takes away what an `up` that came to nothing has made, and the folder itself if nothing else is in it.
    pub fn remove_rest(&self) {
        if self.holds_cluster() || !self.has_only_ours() {
            return;
        }
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
        let _ = std::fs::remove_dir(&self.root);
    }

    /// # Errors
    /// If the file cannot be written.
    pub fn write_layout(&self) -> Result<()> {
        write_file(&self.layout_file(), &format!("{LAYOUT}\n"))
    }

    /// # Errors
    /// If `ceph.conf` cannot be read.
    pub fn conf(&self) -> Result<Conf> {
        Conf::read(&self.conf_file())
    }

    pub fn data(&self, daemon: &Daemon) -> PathBuf {
        self.root.join(daemon.to_string())
    }

    /// Sockets and process ids of what runs.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn pid_file(&self, daemon: &Daemon) -> PathBuf {
        self.run().join(format!("{daemon}.pid"))
    }

    pub fn socket(&self, daemon: &Daemon) -> PathBuf {
        self.run().join(format!("{daemon}.asok"))
    }

    pub fn log_file(&self, daemon: &Daemon) -> PathBuf {
        self.root.join("log").join(format!("{daemon}.log"))
    }

    /// The daemons that have a folder, monitors first.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn daemons(&self) -> Result<Vec<Daemon>> {
        let entries = std::fs::read_dir(&self.root).with_context(|| format!("cannot list {self}"))?;
        let mut found: Vec<Daemon> = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
        found.sort();
        Ok(found)
    }

    /// # Errors
    /// If there is no such daemon; names those there are.
    pub fn find(&self, daemon: &Daemon) -> Result<()> {
        let all = self.daemons()?;
        if !all.contains(daemon) {
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            bail!("there is no {daemon} in {self}; there are {}", names.join(", "));
        }
        Ok(())
    }
}

impl fmt::Display for ClusterDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.display().fmt(f)
    }
}

/// Writes a file so that after a crash it is there whole or not at all.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_file(path: &Path, text: &str) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, text)?;
        std::fs::File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)?;
        let parent = path.parent().expect("a file in a cluster's folder has a parent");
        std::fs::File::open(parent)?.sync_all()
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}
