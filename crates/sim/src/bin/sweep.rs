//! `sweep N [first-seed]`: runs N random scenarios, a line each; exit code 1 if any broke a rule.
//!
//! Without a first seed it is chosen by the clock: each sweep looks somewhere else, and prints where.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let Some(Ok(count)) = args.next() else {
        eprintln!("usage: sweep N [first-seed]");
        return ExitCode::from(2);
    };
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64 >> 10);
    let first = args.next().and_then(Result::ok).unwrap_or_else(by_clock);
    let mut failed = Vec::new();
    for seed in first..first.saturating_add(count) {
        let start = Instant::now();
        match catch_unwind(|| sim::scenario::run(seed)) {
            Ok(s) => println!(
                "seed {seed}: {} acked, {} failed, {} unknown, {} reads in {:.0} s of theirs, {:.1} s of ours",
                s.counts.acked,
                s.counts.failed,
                s.counts.unknown,
                s.counts.reads,
                s.took.as_secs_f64(),
                start.elapsed().as_secs_f64()
            ),
            Err(_) => {
                println!("seed {seed}: FAILED (above); again: cargo run --release -p sim --bin sweep -- 1 {seed}");
                failed.push(seed);
            }
        }
    }
    println!("{} of {count} seeds failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
