//! What each chore does.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::boundaries;
use crate::run::{Tally, binary, quiet, root, run};

/// Debian's Python, which sees python3-rados; another one on PATH may not.
const PYTHON: &str = "/usr/bin/python3";

/// What `test` runs of what can be run for hours.
const SIM_SEEDS: &str = "300";
const CRASH_ROUNDS: u64 = 3;
const POWER_CUT_ROUNDS: u64 = 2;
const FUZZ_SECONDS: &str = "20";

/// Every test there is.
pub fn test() -> Result<bool> {
    let mut tally = Tally::default();
    tally.step("build", || run("cargo", &["build", "--release"]));
    tally.step("units and simulations", units);
    tally.step("seeds", || sim(&["--seeds", SIM_SEEDS, "--from", "1"].map(str::to_owned)));
    if clients_present() {
        tally.step("clients", clients);
        tally.step("crashes", || crash(CRASH_ROUNDS));
        if fuse() {
            tally.step("power cuts", || power_cuts(POWER_CUT_ROUNDS));
        } else {
            tally.skip("power cuts", "they need /dev/fuse and root");
        }
    } else {
        tally.skip(
            "clients, crashes, power cuts",
            "ceph-common and python3-rados are not installed, and cannot be here",
        );
    }
    tally.step("fuzzing", || fuzz(&[FUZZ_SECONDS.to_owned()]));
    match lab() {
        Some(lab) => tally.step("conformance", || conformance(&lab)),
        None => tally.skip("conformance", "the lab is not beside this checkout"),
    }
    Ok(tally.finish())
}

fn units() -> Result<bool> {
    if quiet("cargo", &["nextest", "--version"]) {
        run("cargo", &["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        run("cargo", &["test", "--workspace", "--no-fail-fast"])
    }
}

/// Debian's clients, installed if that is allowed and needed.
fn clients_present() -> bool {
    let there = || quiet("ceph", &["--version"]) && quiet(PYTHON, &["-c", "import rados"]);
    if there() {
        return true;
    }
    let install = ["install", "-y", "-q", "--no-install-recommends", "ceph-common", "python3-rados"];
    // apt-get fails at once where it is not allowed.
    let _ = run("apt-get", &["update", "-q"]);
    let _ = std::process::Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive").status();
    there()
}

/// Our own tests with the unmodified clients, on clusters that each test makes.
fn clients() -> Result<bool> {
    run(PYTHON, &["tests/clients/run.py", "--spirula", &binary().display().to_string()])
}

/// A lab of conformance tests, where it lies beside the checkout.
fn lab() -> Option<PathBuf> {
    let lab = std::env::var_os("SPIRULA_LAB").map_or_else(|| root().join("../shared/lab"), PathBuf::from);
    lab.join("conformance").exists().then_some(lab)
}

fn conformance(lab: &std::path::Path) -> Result<bool> {
    let args = [
        "tests/clients/conformance.py",
        "--lab",
        &lab.display().to_string(),
        "--spirula",
        &binary().display().to_string(),
    ];
    run(PYTHON, &args)
}

/// All checks; changes nothing.
pub fn verify() -> Result<bool> {
    let mut tally = Tally::default();
    tally.step("format", || run("cargo", &["fmt", "--all", "--check"]));
    tally
        .step("lints", || run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]));
    tally.step("boundaries", boundaries::check);
    tally.step("docs", || run("cargo", &["doc", "--workspace", "--no-deps", "--quiet"]));
    tally.step("tests", test);
    Ok(tally.finish())
}

/// Rewrites what can be rewritten.
pub fn fix() -> Result<bool> {
    Ok(run("cargo", &["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--quiet"])?
        && run("cargo", &["fmt", "--all"])?)
}

/// Real Ceph and ours under the same load.
pub fn bench(args: &[String]) -> Result<bool> {
    if !run("cargo", &["build", "--release"])? {
        bail!("the build failed");
    }
    let spirula = binary().display().to_string();
    let mut all = vec!["tests/clients/bench.py", "--spirula", &spirula, "--write", "docs/PERFORMANCE.md"];
    all.extend(args.iter().map(String::as_str));
    run(PYTHON, &all)
}

/// Seeds of the simulator.
pub fn sim(args: &[String]) -> Result<bool> {
    let mut all = vec!["run", "--profile", "sweep", "--quiet", "--package", "sim", "--bin", "sweep", "--"];
    all.extend(args.iter().map(String::as_str));
    run("cargo", &all)
}

/// Rounds of kill -9 under load.
pub fn crash(rounds: u64) -> Result<bool> {
    crash_loop(rounds, &[])
}

/// The same with the stores on a file system that forgets what was not synced, once with their logs written through
/// the page cache; then the check of the check: on one whose syncs do nothing the loop must fail.
pub fn power_cuts(rounds: u64) -> Result<bool> {
    if !run("cargo", &["build", "--release", "--package", "tornfs"])? {
        bail!("the build of tornfs failed");
    }
    Ok(crash_loop(rounds, &["--tornfs"])?
        && crash_loop(rounds.div_ceil(2), &["--tornfs", "--no-direct"])?
        && crash_loop(rounds, &["--tornfs", "--lie"])?)
}

fn crash_loop(rounds: u64, more: &[&str]) -> Result<bool> {
    if !run("cargo", &["build", "--release"])? {
        bail!("the build failed");
    }
    let (spirula, rounds) = (binary().display().to_string(), rounds.to_string());
    let mut args = vec!["tests/clients/crash.py", "--spirula", &spirula, "--rounds", &rounds];
    args.extend(more);
    run(PYTHON, &args)
}

/// Whether file systems of ours can be mounted here.
fn fuse() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok()
        && quiet("sh", &["-c", "test $(id -u) = 0"])
}

/// Every decoder and every daemon under damaged input.
pub fn fuzz(args: &[String]) -> Result<bool> {
    let mut all = vec!["run", "--release", "--quiet", "--package", "fuzz", "--"];
    all.extend(args.iter().map(String::as_str));
    run("cargo", &all)
}
