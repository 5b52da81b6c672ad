//! `spirula-tornfs BACKING MOUNTPOINT [--seed N] [--lie] [--no-direct]`: a file system that forgets what was not synced.
//!
//! `kill -9` proves nothing about syncs, because the page cache survives it. Under this file system unsynced writes
//! live in this process only. It prints `mounted` and reads commands on standard input: `cut` plays a power cut (each
//! unsynced write is kept, dropped or torn, by the seed), prints what became of them, and ends; the end of the input
//! unmounts in order, with everything synced. `fail read|write|sync FILE [TIMES]` answers EIO for files whose path ends in
//! FILE, `slow read|write|sync FILE MS` makes them wait (and everybody else: one request at a time), `heal` ends both. With `--lie` a sync answers yes and does nothing: a test that passes on
//! such a disk tests nothing. With `--no-direct` it refuses `O_DIRECT`, as tmpfs did for long.
//!
//! Names are kept at once, as on a disk mounted with `dirsync`; what is forgotten is contents and sizes.

mod file;
mod fs;

use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use file::Fate;
use fs::{State, TornFs};

struct Args {
    backing: PathBuf,
    mountpoint: PathBuf,
    seed: u64,
    lie: bool,
    no_direct: bool,
}

fn parse() -> Option<Args> {
    let (mut paths, mut seed, mut lie, mut no_direct) = (Vec::new(), 1, false, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--lie" => lie = true,
            "--no-direct" => no_direct = true,
            "--seed" => seed = args.next()?.parse().ok()?,
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    let [backing, mountpoint]: [PathBuf; 2] = paths.try_into().ok()?;
    Some(Args { backing, mountpoint, seed, lie, no_direct })
}

fn main() -> ExitCode {
    let Some(args) = parse() else {
        eprintln!("usage: spirula-tornfs BACKING MOUNTPOINT [--seed N] [--lie] [--no-direct]");
        return ExitCode::from(2);
    };
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("spirula-tornfs: {}: {e}", args.mountpoint.display());
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> std::io::Result<()> {
    let state = Arc::new(Mutex::new(State::new(&args.backing, args.lie, args.no_direct)));
    let mut config = fuser::Config::default();
    config.mount_options = vec![fuser::MountOption::FSName("spirula-tornfs".to_owned())];
    let session = fuser::spawn_mount(TornFs(Arc::clone(&state)), &args.mountpoint, &config)?;
    println!("mounted");
    let mut torn = false;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() != "cut" {
            println!("{}", if fs::lock(&state).command(&line) { "done" } else { "what?" });
            continue;
        }
        {
            let Fate { kept, torn: t, dropped } = fs::lock(&state).cut(args.seed)?;
            println!("of {} unsynced writes {kept} were kept, {t} torn, {dropped} dropped", kept + t + dropped);
            torn = true;
            break;
        }
    }
    if !torn {
        fs::lock(&state).sync_all()?;
    }
    // Lazily: a killed daemon's last threads may still hold files for a moment.
    let detached = std::process::Command::new("umount").arg("--lazy").arg(&args.mountpoint).status()?;
    // The kernel ends the session when this process is gone; a second unmount could hit another mount's place.
    std::mem::forget(session);
    if detached.success() { Ok(()) } else { Err(std::io::Error::other("umount --lazy failed")) }
}
