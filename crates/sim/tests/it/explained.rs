//! What `explain` calls safe is carried out, and loses nothing.

use explain::{Facts, explain};
use serde_json::json;
use sim::cluster::PoolPlan;
use sim::provoke::Situation;
use sim::{Cluster, Plan};

#[test]
fn what_is_called_safe_loses_nothing_on_a_few_fixed_seeds() {
    let mut tried = 0;
    for seed in [1, 2, 3] {
        let summary = sim::explain::run(seed, 2, 1);
        println!("seed {seed}: {summary:?}");
        tried += summary.tried.len();
    }
    assert!(tried >= 4, "only {tried} commands were called safe");
}

/// `TRIES=n` carries out more, `SEED=n` plays another seed.
#[test]
fn states_made_on_purpose_are_named_and_what_is_safe_there_loses_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let causes = ["down", "unfound", "incomplete", "stale", "device-rule"];
    for (situation, cause) in Situation::ALL.into_iter().zip(causes) {
        let summary = sim::explain::provoked(number("SEED"), situation, number("TRIES") as usize);
        assert!(summary.causes.contains_key(cause), "{situation:?} is not told: {}", summary.told);
        assert!(!summary.tried.is_empty(), "nothing is safe in {situation:?}: {summary:?}");
    }
}

#[test]
#[ignore = "takes minutes: FROM=n SEEDS=n"]
fn the_same_whatever_the_seed() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default);
    let (from, seeds) = (number("FROM", 1000), number("SEEDS", 20));
    let mut causes = std::collections::BTreeMap::<String, usize>::new();
    let (mut tried, mut refused) = (0, 0);
    let mut failed = Vec::new();
    for seed in from..from + seeds {
        let Ok(summary) = std::panic::catch_unwind(|| sim::explain::run(seed, 4, 4)) else {
            failed.push(seed);
            continue;
        };
        tried += summary.tried.len();
        refused += summary.refused;
        for (cause, n) in summary.causes {
            *causes.entry(cause).or_default() += n;
        }
    }
    println!("{tried} safe commands were carried out, {refused} were not called safe; causes {causes:?}");
    assert!(failed.is_empty(), "seeds {failed:?}");
}

#[test]
#[ignore = "one command again, by hand: SEED=n LOOK=n TEXT=\"spirula add-osd\" LINES=n"]
fn one_command_again() {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let text = std::env::var("TEXT").expect("TEXT is the command");
    sim::explain::again(number("SEED"), number("LOOK") as usize, &text, number("LINES") as usize);
}

#[test]
fn what_is_not_called_safe_would_have_lost_writes_and_the_check_sees_it() {
    let mut c = Cluster::new(4, &Plan { osds: 2, clients: 1, model_disks: true, ..Plan::default() });
    c.wait_up(2);
    c.create_pool_as(&PoolPlan { size: 2, min_size: 1, pg_num: 1 });
    c.wait_clean();
    c.kill_osd(1);
    c.wait_up(1);
    // Only osd.0 has these.
    c.more_writes(30);
    c.kill_osd(0);
    c.start_osd(1);
    c.run(60);
    let report = explain(&Facts::decode(&sim::explain::look(&mut c)), None).expect("the cluster is there");
    let down = report.findings.iter().find(|f| f.cause == "down").expect("the PG is down");
    let verdict = |text: &str| down.advice.iter().find(|a| a.command.text.starts_with(text)).map(|a| a.safe.is_yes());
    assert_eq!(verdict("spirula start osd.0"), Some(true), "{}", report.to_text());
    assert_eq!(verdict("ceph osd lost 0"), Some(false), "{}", report.to_text());
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        c.command(&json!({"prefix": "osd lost", "id": 0, "yes_i_really_mean_it": true}));
        c.wipe_osd(0);
        c.start_osd(0);
        c.settle();
    }));
    assert!(lost.is_err(), "acknowledged writes are gone, and nobody noticed");
}
