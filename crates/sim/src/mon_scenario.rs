//! Monitors under faults: partitions of every shape, deaths, lost stores, slow disks and jumping clocks, while
//! clients write and an operator gives orders that must be done once.
//!
//! The orders are lines for the cluster's log, as a line that is written twice shows. In the end all is
//! healed; then every order must have been answered, and each line stands there once.

use std::time::Duration;

use serde_json::json;

use crate::cluster::{Cluster, Plan};
use crate::rng::Rng;
use crate::scenario::Summary;
use crate::trace::Trace;
use crate::world::{HostId, Weather};

/// Runs one seed. Panics if a rule is broken; the message says which.
pub fn run(seed: u64, trace: Trace, show: &mut dyn FnMut(&Trace)) -> Summary {
    struct Shown<'a>(Cluster, &'a mut dyn FnMut(&Trace));
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                (self.1)(&self.0.world.trace);
            }
        }
    }
    let mut rng = Rng::new(seed ^ 0x0030_a170_5000_3357);
    let plan = Plan {
        mons: *rng.pick(&[3, 3, 3, 5, 5, 7]),
        osds: 2,
        clients: 1,
        model_disks: rng.percent(90),
        ..Plan::default()
    };
    let mut shown = Shown(Cluster::with_trace(seed, &plan, trace), show);
    let c = &mut shown.0;
    c.wait_up(2);
    c.create_pool(2);
    c.wait_clean();
    c.load(true);
    let mut orders = Orders::default();
    let mut down: Vec<usize> = Vec::new();
    for _ in 0..rng.between(5, 20) {
        orders.give(c, &mut rng);
        fault(c, &mut rng, &mut down, plan.mons);
        let longest = *rng.pick(&[50, 500, 2_000, 8_000]);
        c.world.run_for(Duration::from_millis(rng.between(0, longest)));
    }
    c.heal();
    c.world.weather = Weather::default();
    c.power_on();
    orders.settle(c);
    wait_quorum(c);
    c.settle();
    Summary { trace_hash: c.world.trace.hash(), counts: c.work.borrow().history.counts, took: c.world.now() }
}

/// Lines for the log, each asked for once.
#[derive(Default)]
struct Orders {
    open: Vec<u64>,
    count: u64,
}

impl Orders {
    fn give(&mut self, c: &mut Cluster, rng: &mut Rng) {
        for _ in 0..rng.between(0, 3) {
            self.count += 1;
            let text = format!("order {}.", self.count);
            self.open.push(c.post_command(&json!({"prefix": "log", "logtext": [text]})));
        }
    }

    fn settle(&mut self, c: &mut Cluster) {
        for number in std::mem::take(&mut self.open) {
            assert!(c.wait_reply(number, Duration::from_secs(60)), "an order was not answered within a minute");
        }
        let reply = c.command(&json!({"prefix": "log last", "num": 5000, "level": "info", "channel": "*"}));
        let text = String::from_utf8_lossy(&reply.data).into_owned();
        for n in 1..=self.count {
            // The audit log quotes the command, in JSON.
            let line = format!("order {n}.");
            let found = text.lines().filter(|l| l.trim_end().ends_with(&line)).count();
            assert_eq!(found, 1, "order {n} was carried out {found} times");
        }
    }
}

fn wait_quorum(c: &mut Cluster) {
    let all = c.mons.len();
    for _ in 0..60 {
        let reply = c.command(&json!({"prefix": "quorum_status"}));
        let status: serde_json::Value = serde_json::from_slice(&reply.data).unwrap_or_default();
        if status["quorum"].as_array().is_some_and(|q| q.len() == all) {
            return;
        }
        c.run(1);
    }
    panic!("monitors did not come back into the quorum within a minute");
}

fn fault(c: &mut Cluster, rng: &mut Rng, down: &mut Vec<usize>, mons: usize) {
    let n = rng.below(mons as u64) as usize;
    match rng.below(14) {
        0..=2 => {
            c.heal();
            for n in std::mem::take(down) {
                c.world.start_if_down(c.mons[n]);
            }
        }
        3 => {
            let leader = c.leader().unwrap_or(n);
            c.world.crash(c.mons[leader]);
            down.push(leader);
        }
        4 => {
            c.world.crash(c.mons[n]);
            down.push(n);
        }
        5 => {
            c.world.power_loss(c.mons[n]);
            down.push(n);
        }
        6 => {
            c.world.crash(c.mons[n]);
            c.world.start(c.mons[n]);
        }
        // Two sides, each with a part of everybody else.
        7..=8 => {
            let (one, other): (Vec<HostId>, Vec<HostId>) = c.everyone().into_iter().partition(|_| rng.percent(50));
            c.world.cut(&one, &other);
        }
        // Two sides among the monitors only: everybody else reaches both.
        9 => {
            let (one, other): (Vec<HostId>, Vec<HostId>) = c.mons.clone().into_iter().partition(|_| rng.percent(50));
            c.world.cut(&one, &other);
        }
        10 => {
            let others: Vec<HostId> = c.everyone().into_iter().filter(|h| *h != c.mons[n] && rng.percent(70)).collect();
            match rng.percent(50) {
                true => c.world.cut_one_way(&[c.mons[n]], &others),
                false => c.world.cut_one_way(&others, &[c.mons[n]]),
            }
        }
        11 => {
            let far = *rng.pick(&[1_000_000_000, 86_400_000_000_000]);
            let by = rng.below(far) as i64;
            let by = if rng.percent(50) { by } else { -by };
            c.world.jump_clock(c.mons[n], by);
        }
        12 => {
            let slow = Weather { disk_us: (1_000, 600_000), ..Weather::stormy() };
            c.world.weather = rng.pick(&[Weather::default(), Weather::stormy(), slow]).clone();
        }
        _ => wipe(c, n, down),
    }
}

/// A store is lost, while all others have what was agreed upon: more than that nothing survives.
fn wipe(c: &mut Cluster, n: usize, down: &mut Vec<usize>) {
    c.heal();
    c.world.weather = Weather::default();
    down.clear();
    c.power_on();
    wait_quorum(c);
    c.run(1);
    c.world.crash(c.mons[n]);
    c.wipe_mon(n);
    c.world.start(c.mons[n]);
    wait_quorum(c);
    c.run(5);
    wait_quorum(c);
}
