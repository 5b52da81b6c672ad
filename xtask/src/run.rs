//! Running programs, and counting what passed.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_owned()
}

/// Where cargo puts its results.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The release binary.
pub fn binary() -> PathBuf {
    target().join("release").join("spirula")
}

/// Runs a program in the workspace's root with its output shown; gives whether it succeeded.
pub fn run(program: &str, args: &[&str]) -> Result<bool> {
    println!("+ {program} {}", args.join(" "));
    let status = Command::new(program)
        .args(args)
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    Ok(status.success())
}

/// Runs a program silently; gives whether it succeeded.
pub fn quiet(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

/// Runs a program and gives what it printed.
pub fn output(program: &str, args: &[&str]) -> Result<String> {
    let out = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// What a row of steps came to.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u32,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Tally {
    /// Runs one step and notes how it ended.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<bool>) {
        println!("== {name}");
        let started = Instant::now();
        let result = work();
        let took = started.elapsed().as_secs_f64();
        match result {
            Ok(true) => {
                self.passed += 1;
                println!("== {name}: ok, {took:.1} s");
            }
            Ok(false) => {
                println!("== {name}: FAILED, {took:.1} s");
                self.failed.push(name.to_owned());
            }
            Err(e) => {
                println!("== {name}: FAILED, {took:.1} s: {e:#}");
                self.failed.push(name.to_owned());
            }
        }
    }

    pub fn skip(&mut self, name: &str, why: &str) {
        println!("== {name}: skipped: {why}");
        self.skipped.push(name.to_owned());
    }

    /// Prints the sum; gives whether nothing failed.
    pub fn finish(self) -> bool {
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len());
        self.failed.is_empty()
    }
}
