//! One at a time: who starts daemons of a folder holds its lock, so that no two start the same one.
//!
//! The lock is the kernel's, on a file in the folder, and goes with the process that holds it, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::dir::ClusterDir;
use crate::interrupt;

const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

/// Takes the folder's lock for `what` (`up`, `start`). Two `up`s do not wait for each other, the rest does.
///
/// # Errors
/// If another `up` holds it; names its process.
pub fn take(dir: &ClusterDir, what: &str) -> Result<Lock> {
    std::fs::create_dir_all(dir.root()).with_context(|| format!("cannot make {dir}"))?;
    let path = dir.lock_file();
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let give_up = Instant::now() + PATIENCE;
    loop {
        let mut file = open().with_context(|| format!("cannot open {}", path.display()))?;
        // SAFETY: flock takes two numbers and touches no memory; the file is open.
        let held = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0;
        if !held {
            file.set_len(0)?;
            writeln!(file, "{what} {}", std::process::id())?;
            return Ok(Lock(file));
        }
        let mut holder = String::new();
        file.rewind()?;
        file.read_to_string(&mut holder)?;
        // Nothing in it: the holder is about to say who it is.
        let (verb, pid) = holder.trim().split_once(' ').unwrap_or(("command", "?"));
        if verb == "up" || Instant::now() > give_up {
            bail!(
                "another `spirula {verb}` (process {pid}) is at work in {dir}: nothing was changed; let it end first"
            );
        }
        interrupt::check()?;
        std::thread::sleep(POLL);
    }
}
