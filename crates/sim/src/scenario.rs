//! A random scenario from a seed: a safety phase with faults, then all is healed and liveness demanded.

use std::time::Duration;

use crate::cluster::{Cluster, Plan};
use crate::oracle::Counts;
use crate::rng::Rng;
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
    let mut rng = Rng::new(seed ^ 0x005e_ed0f_5ce7_a210);
    let plan = Plan {
        osds: 3 + usize::from(rng.percent(20)),
        clients: rng.between(1, 3) as usize,
        op_timeout: rng.percent(50).then_some(Duration::from_secs(20)),
        ..Plan::default()
    };
    let mut c = Cluster::new(seed, &plan);
    c.wait_up(plan.osds as u64);
    c.create_pool(rng.between(2, 8) as u32);
    c.wait_clean();
    c.load(true);
    c.run(2);
    for _ in 0..rng.between(4, 10) {
        fault(&mut c, &mut rng);
        c.world.run_for(Duration::from_millis(rng.between(100, 15_000)));
    }
    c.heal();
    c.world.weather = Weather::default();
    c.power_on();
    c.run(5);
    let before = c.acked();
    let healed = c.world.now();
    while c.acked() < before + 20 {
        if c.world.now() >= healed + Duration::from_secs(300) {
            panic!("no writes after everything was healed:\n{}", c.report());
        }
        c.run(1);
    }
    c.wait_pg_num();
    c.settle();
    Summary { trace_hash: c.world.trace.hash(), counts: c.work.borrow().oracle.counts, took: c.world.now() }
}

fn fault(c: &mut Cluster, rng: &mut Rng) {
    let n = rng.below(c.osds.len() as u64) as usize;
    match rng.below(9) {
        0 | 1 if c.world.is_up(c.osds[n]) => c.kill_osd(n),
        0..=2 => c.power_on(),
        3 => {
            c.power_off();
            c.world.run_for(Duration::from_millis(rng.between(1, 3_000)));
            c.power_on();
        }
        4 => c.cut_off(n),
        5 => c.heal(),
        6 => c.world.weather = Weather::stormy(),
        7 => c.set_pg_num(rng.between(1, 16) as u32),
        _ => {
            c.world.crash(c.mon);
            c.world.run_for(Duration::from_millis(rng.between(1, 3_000)));
            c.power_on();
        }
    }
}
