//! A random scenario from a seed: a safety phase with faults, then all is healed and liveness demanded.
//!
//! The seed chooses the cluster, its pools and options, the load, and which [`faults`](crate::faults) happen
//! when. Meanwhile the world's invariants look on; what clients saw is judged at the end.

use std::time::Duration;

use crate::client::{Mix, Snaps};
use crate::cluster::{Cluster, Plan, PoolPlan};
use crate::faults::Faults;
use crate::history::Counts;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::world::Weather;

/// What a run was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub trace_hash: u64,
    pub counts: Counts,
    /// Virtual.
    pub took: Duration,
}

/// Runs one seed. Panics if a rule is broken; the message says which.
pub fn run(seed: u64) -> Summary {
    run_traced(seed, Trace::default(), &mut |_| {})
}

/// The same with a trace, which `show` gets if a rule is broken.
pub fn run_traced(seed: u64, trace: Trace, show: &mut dyn FnMut(&Trace)) -> Summary {
    run_sized(seed, false, trace, show)
}

/// The same on a cluster of many OSDs, with many PGs, where most faults hit some PGs and not others.
pub fn run_wide(seed: u64, trace: Trace, show: &mut dyn FnMut(&Trace)) -> Summary {
    run_sized(seed, true, trace, show)
}

fn run_sized(seed: u64, wide: bool, trace: Trace, show: &mut dyn FnMut(&Trace)) -> Summary {
    struct Shown<'a>(Cluster, &'a mut dyn FnMut(&Trace));
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                (self.1)(&self.0.world.trace);
            }
        }
    }
    let mut rng = Rng::new(seed ^ 0x005e_ed0f_5ce7_a210);
    let mut plan = plan(&mut rng);
    let mut pools = pools(&mut rng, plan.osds);
    if wide {
        widen(&mut plan, &mut pools, &mut rng);
    }
    let mut shown = Shown(Cluster::with_trace(seed, &plan, trace), show);
    let c = &mut shown.0;
    c.world.note("seed", &format!("{plan:?} {pools:?}"));
    c.wait_up(plan.osds as u64);
    pools.iter().for_each(|pool| c.create_pool_as(pool));
    c.wait_clean();
    play(c, &mut rng);
    Summary { trace_hash: c.world.trace.hash(), counts: c.work.borrow().history.counts, took: c.world.now() }
}

fn plan(rng: &mut Rng) -> Plan {
    let mut plan = Plan {
        osds: *rng.pick(&[2, 3, 3, 3, 3, 4, 4, 4, 5, 6]),
        clients: rng.between(1, 3) as usize,
        op_timeout: rng.percent(50).then(|| Duration::from_secs(rng.between(5, 30))),
        // The real store has tests of its own; here it is one in a few.
        model_disks: rng.percent(80),
        mix: Mix {
            objects: rng.between(2, 8),
            depth: rng.between(1, 4) as usize,
            think: Duration::from_millis(*rng.pick(&[20, 80, 300])),
            bytes: *rng.pick(&[100, 600, 5_000]),
            snaps: *rng.pick(&[Snaps::None, Snaps::None, Snaps::OfClients, Snaps::OfPool]),
        },
        ..Plan::default()
    };
    let mut option = |name: &str, values: &[&str]| {
        let value = (*rng.pick(values)).to_owned();
        plan.options.retain(|(n, _)| n != name);
        plan.options.push((name.to_owned(), value));
    };
    option("osd_recovery_max_chunk", &["1024", "8388608"]);
    option("osd_recovery_max_omap_entries_per_chunk", &["3", "8096"]);
    option("osd_recovery_max_active", &["0", "1", "3"]);
    option("osd_heartbeat_grace", &["6", "12", "20"]);
    option("osd_heartbeat_interval", &["2", "6"]);
    // More than a run writes: a client that is cut off from one OSD repeats its operation after all that the others
    // wrote meanwhile, and a request that is forgotten by then is rightly carried out again.
    option("osd_pg_log_dups_tracked", &["100000"]);
    option("osd_pg_epoch_persisted_max_stale", &["2", "40"]);
    // Logs that are cut soon: who was away for long is backfilled.
    if rng.percent(30) {
        let short = [("osd_min_pg_log_entries", "20"), ("osd_max_pg_log_entries", "40"), ("osd_pg_log_trim_min", "5")];
        plan.options.extend(short.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
    plan
}

fn widen(plan: &mut Plan, pools: &mut Vec<PoolPlan>, rng: &mut Rng) {
    plan.osds = rng.between(7, 12) as usize;
    plan.mix.objects = rng.between(20, 60);
    let more = rng.between(1, 2);
    pools.extend((0..more).map(|_| PoolPlan { size: *rng.pick(&[2, 3, 4, 5]), min_size: 0, pg_num: 0 }));
    for pool in pools {
        pool.pg_num = *rng.pick(&[8, 16, 32]);
    }
}

fn pools(rng: &mut Rng, osds: usize) -> Vec<PoolPlan> {
    let count = 1 + usize::from(rng.percent(25));
    let pool = |rng: &mut Rng| {
        let size = (*rng.pick(&[2, 3, 3, 3, 4])).min(osds);
        let min_size = if rng.percent(70) { 0 } else { rng.between(1, size as u64) as usize };
        PoolPlan { size, min_size, pg_num: *rng.pick(&[1, 2, 4, 4, 8]) }
    };
    (0..count).map(|_| pool(rng)).collect()
}

/// Faults under load; then health, in which the load must go on, end, and leave everything clean.
fn play(c: &mut Cluster, rng: &mut Rng) {
    c.load(true);
    c.run(1);
    let snaps = c.work.borrow().mix.snaps;
    let snapshots = (snaps == Snaps::OfPool).then(|| c.start_snapshots(0));
    let mut faults = Faults::new(c, rng);
    for _ in 0..rng.between(4, 12) {
        faults.one(c, rng);
        // Often several things go wrong at once, or nearly.
        let longest = *rng.pick(&[50, 1_000, 4_000, 15_000]);
        c.world.run_for(Duration::from_millis(rng.between(0, longest)));
    }
    faults.undo(c);
    c.heal();
    c.world.weather = Weather::default();
    c.power_on();
    let before = c.acked();
    let healed = c.world.now();
    c.run(2);
    while c.acked() < before + 20 {
        if c.world.now() >= healed + LIVELY_AFTER {
            c.judge();
            panic!("no writes after everything was healed:\n{}", c.report());
        }
        c.run(1);
    }
    if let Some(work) = &snapshots {
        c.end_snapshots(work);
    }
    c.settle();
    if snaps != Snaps::None {
        c.remove_snapshots();
        c.wait_trimmed();
        c.compare_replicas();
    }
    c.wait_deleted();
}

/// How long after the last fault there must be new writes.
const LIVELY_AFTER: Duration = Duration::from_secs(150);
