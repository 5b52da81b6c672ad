//! The project's chores. `cargo xtask` with no argument lists them.

mod boundaries;
mod run;
mod steps;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
cargo xtask CHORE

  test     every test: units, simulations, and Debian's unmodified clients against a cluster
  verify   all checks, changing nothing: format, lints, boundaries, docs, tests
  fix      rewrites what can be rewritten: format, simple lints
  bench    real Ceph and Spirula under the same rados bench, one after the other
  sim      simulated clusters: --seeds N [--from S], or --seed S again with --trace LINES
  crash N  N rounds of kill -9 under load (heavy; by hand)
  powercut N  the same with the power cut: unsynced writes are dropped and torn (heavy; by hand; root)
  fuzz N   N seconds of damaged input to every decoder and every daemon; --seed, --only
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |default: u64| args.get(1).and_then(|a| a.parse().ok()).unwrap_or(default);
    let result: Result<bool> = match args.first().map(String::as_str) {
        Some("test") => steps::test(),
        Some("verify") => steps::verify(),
        Some("fix") => steps::fix(),
        Some("bench") => steps::bench(&args[1..]),
        Some("sim") => steps::sim(&args[1..]),
        Some("crash") => steps::crash(number(20)),
        Some("powercut") => steps::power_cuts(number(20)),
        Some("fuzz") if args.len() > 1 => steps::fuzz(&args[1..]),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}
