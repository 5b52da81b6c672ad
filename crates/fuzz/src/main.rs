//! `spirula-fuzz SECONDS [--seed N] [--only WORD]`: every decoder and every daemon under damaged input.
//!
//! Each target starts from recorded bytes, damages them ([`noise`]) and reads the result. It must end within a second,
//! hold no more memory than its bound for an input of that size, and not panic. The time is shared equally; the same
//! seed gives the same inputs. Prints a line a target: executions, the most memory held, the slowest input. A finding
//! prints its input as hex and what repeats it.

mod daemons;
mod decoders;
mod memory;
mod noise;
#[path = "../../types/tests/it/samples.rs"]
#[allow(dead_code)]
mod samples;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use decoders::Target;
use noise::Noise;

/// One input that takes longer than this is a finding.
const SLOWEST: Duration = Duration::from_secs(1);
/// Targets that fail so often are left alone.
const FINDINGS_MAX: usize = 5;

struct Args {
    seconds: f64,
    seed: u64,
    only: String,
}

fn parse() -> Option<Args> {
    let mut args = Args { seconds: 0.0, seed: 1, only: String::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seed" => args.seed = words.next()?.parse().ok()?,
            "--only" => args.only = words.next()?,
            _ => args.seconds = word.parse().ok()?,
        }
    }
    (args.seconds > 0.0).then_some(args)
}

fn main() -> ExitCode {
    let Some(args) = parse() else {
        eprintln!("usage: spirula-fuzz SECONDS [--seed N] [--only WORD]");
        return ExitCode::from(2);
    };
    let targets: Vec<Target> =
        decoders::all().into_iter().chain(daemons::all()).filter(|t| t.name.contains(&args.only)).collect();
    let share = Duration::from_secs_f64(args.seconds / targets.len().max(1) as f64);
    let (count, mut executions, mut findings) = (targets.len(), 0, 0);
    println!("{count} targets, {:.2} s each, seed {}", share.as_secs_f64(), args.seed);
    for (i, target) in targets.into_iter().enumerate() {
        let (done, found) = fuzz(target, share, args.seed.wrapping_mul(1000).wrapping_add(i as u64));
        executions += done;
        findings += found;
    }
    println!("{executions} executions of {count} targets in {:.0} s, {findings} findings", args.seconds);
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one target for its share of the time; gives the executions and the findings.
fn fuzz(mut target: Target, share: Duration, seed: u64) -> (u64, usize) {
    let mut noise = Noise(seed);
    let started = Instant::now();
    let (mut executions, mut findings, mut most, mut slowest) = (0u64, 0, 0, Duration::ZERO);
    while started.elapsed() < share && findings < FINDINGS_MAX {
        let before = noise.clone();
        let mut input = target.seeds[noise.below(target.seeds.len())].clone();
        if executions as usize >= target.seeds.len() {
            noise.damage(&mut input, &target.seeds);
        }
        let begun = Instant::now();
        let mut outcome = Ok(());
        let held = memory::peak_of(|| {
            outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&mut noise, &input)));
        });
        let took = begun.elapsed();
        executions += 1;
        most = most.max(held);
        slowest = slowest.max(took);
        let bound = target.per_byte * input.len() + target.at_rest;
        let complaint = match outcome {
            Err(_) => Some("it panicked".to_owned()),
            Ok(()) if held > bound => Some(format!("it held {held} bytes, at most {bound} are allowed")),
            Ok(()) if took > SLOWEST => Some(format!("it took {:.1} s", took.as_secs_f64())),
            Ok(()) => None,
        };
        if let Some(complaint) = complaint {
            findings += 1;
            let hex: String = input.iter().take(4096).map(|b| format!("{b:02x}")).collect();
            println!("FINDING in {}: {complaint}; noise {}, input {hex}", target.name, before.0);
        }
    }
    println!(
        "{:<32} {executions:>9} executions, {:>8} KiB at most, slowest {:>7.1} ms",
        target.name,
        most >> 10,
        slowest.as_secs_f64() * 1000.0
    );
    (executions, findings)
}
