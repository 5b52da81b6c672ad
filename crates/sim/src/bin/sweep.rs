//! Runs random scenarios: `sweep [--seeds N] [--from S] [--seed S] [--trace LINES] [--jobs N] [--mons 1] [--wide 1]
//! [--explain 1] [--bug NAME]`. With `--mons 1` the scenarios are those about monitors; with `--wide 1` clusters have many
//! OSDs and PGs; with `--explain 1` what `explain` calls safe is carried out.
//!
//! Without a first seed it is chosen by the clock: each sweep looks somewhere else, and says where. A seed
//! that breaks a rule is run again with its trace, of which the last lines are printed. With a bug that is
//! put back ([`pg::planted`]) some seeds should fail.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pg::planted::{Bug, plant};
use sim::{Trace, explain, mon_scenario, scenario};

struct Args {
    seeds: u64,
    from: Option<u64>,
    /// Lines of the trace of a seed that fails.
    trace: usize,
    jobs: usize,
    /// Scenarios about monitors.
    mons: bool,
    wide: bool,
    /// What is called safe is carried out.
    explain: bool,
    bug: Option<Bug>,
}

const USAGE: &str = "usage: sweep [--seeds N] [--from S] [--seed S] [--trace LINES] [--jobs N] [--mons 1] [--wide 1] \
                     [--explain 1] [--bug NAME]";

fn args() -> Option<Args> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (mons, wide, explain) = (false, false, false);
    let mut args = Args { seeds: 300, from: None, trace: 40, jobs: cores, mons, wide, explain, bug: None };
    let mut rest = std::env::args().skip(1);
    while let Some(flag) = rest.next() {
        let value = rest.next()?;
        if flag == "--bug" {
            args.bug = Some(Bug::ALL.iter().find(|(name, _)| *name == value)?.1);
            continue;
        }
        let value: u64 = value.parse().ok()?;
        match flag.as_str() {
            "--seeds" => args.seeds = value,
            "--from" => args.from = Some(value),
            "--seed" => (args.seeds, args.from) = (1, Some(value)),
            "--trace" => args.trace = value as usize,
            "--jobs" => args.jobs = (value as usize).max(1),
            "--mons" => args.mons = value > 0,
            "--wide" => args.wide = value > 0,
            "--explain" => args.explain = value > 0,
            _ => return None,
        }
    }
    Some(args)
}

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64 >> 10);
    let first = args.from.unwrap_or_else(by_clock);
    println!("seeds {first} to {}", first.saturating_add(args.seeds).saturating_sub(1));
    // The message is printed with the seed.
    std::panic::set_hook(Box::new(|info| PANIC.with_borrow_mut(|text| *text = info.to_string())));
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                plant(args.bug);
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= args.seeds {
                        return;
                    }
                    if !one(first.wrapping_add(n), &args) {
                        failed.lock().unwrap_or_else(|e| e.into_inner()).push(first.wrapping_add(n));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|e| e.into_inner());
    let took = began.elapsed().as_secs_f64();
    println!("{} of {} seeds failed in {took:.0} s: {failed:?}", failed.len(), args.seeds);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Carries out what is called safe in a seed; gives whether nothing was lost by it.
fn explained(seed: u64) -> bool {
    match catch_unwind(|| explain::run(seed, 4, 4)) {
        Ok(s) => println!(
            "seed {seed}: {} safe commands carried out, {} not called safe; {:?}",
            s.tried.len(),
            s.refused,
            s.causes
        ),
        Err(_) => println!("seed {seed}: FAILED: {}", PANIC.with_borrow(String::clone)),
    }
    PANIC.with_borrow_mut(|text| std::mem::take(text).is_empty())
}

/// Runs a seed; gives whether it broke no rule.
fn one(seed: u64, args: &Args) -> bool {
    let start = Instant::now();
    if args.explain {
        return explained(seed);
    }
    let lines = args.trace;
    let play = |trace: Trace, show: &mut dyn FnMut(&Trace)| match (args.mons, args.wide) {
        (true, _) => mon_scenario::run(seed, trace, show),
        (_, true) => scenario::run_wide(seed, trace, show),
        _ => scenario::run_traced(seed, trace, show),
    };
    match catch_unwind(AssertUnwindSafe(|| play(Trace::default(), &mut |_| {}))) {
        Ok(s) => {
            println!(
                "seed {seed}: {} acked, {} failed, {} unknown, {} reads in {:.0} s of theirs, {:.2} s of ours",
                s.counts.acked,
                s.counts.failed,
                s.counts.unknown,
                s.counts.reads,
                s.took.as_secs_f64(),
                start.elapsed().as_secs_f64()
            );
            true
        }
        Err(_) => {
            let mut text = format!("seed {seed}: FAILED: {}\n", PANIC.with_borrow(String::clone));
            if lines > 0 {
                let mut show = |trace: &Trace| trace.lines().for_each(|line| text += &format!("  {line}\n"));
                let again = AssertUnwindSafe(|| play(Trace::keeping(lines), &mut show));
                let _ = catch_unwind(again);
            }
            let wide = if args.wide { " --wide 1" } else { "" };
            println!("{text}again: cargo xtask sim --seed {seed}{wide} [--trace LINES]");
            false
        }
    }
}
