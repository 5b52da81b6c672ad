//! One binary: called as `spirula` it makes and keeps clusters, called as `ceph` or `rados` it does what
//! they do.

mod crash;
mod daemon;
mod machine;
mod mon_tools;
mod store_tools;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::Programs;
use cli::args::{Cli, Command, MonCommand, StoreCommand};
use cli::dir::{ClusterDir, Daemon};

/// A daemon's thread spends its time in small allocations; measured beside glibc's in docs/PERFORMANCE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Binary;

impl Programs for Binary {
    fn run_daemon(&self, dir: &ClusterDir, daemon: &Daemon) -> anyhow::Result<i32> {
        daemon::run(dir, daemon)
    }

    fn mon(&self, command: &MonCommand) -> anyhow::Result<i32> {
        mon_tools::run(command)
    }

    fn store(&self, command: &StoreCommand) -> anyhow::Result<i32> {
        store_tools::run(command)
    }

    fn ceph(&self, args: &[String]) -> anyhow::Result<i32> {
        cli::tools::ceph::run(args)
    }

    fn rados(&self, args: &[String]) -> anyhow::Result<i32> {
        cli::tools::rados::run(args)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let called_as = args.first().and_then(|a| Path::new(a).file_name()).and_then(|n| n.to_str()).unwrap_or_default();
    let rest = args.get(1..).unwrap_or_default().to_vec();
    let command = match called_as {
        "ceph" => Command::Ceph { args: rest },
        "rados" => Command::Rados { args: rest },
        _ => Cli::parse().command,
    };
    match cli::run(&command, &Binary) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(e) => {
            cli::complain!("spirula: {e:#}");
            ExitCode::FAILURE
        }
    }
}
