//! Many seeds. `QUORUM_SEEDS=N` (and `QUORUM_FROM=S`) runs more; a failure names its seed.

use quorum::MemberId;

use crate::net::Net;

fn run(seed: u64, churn: bool, careless: bool) -> (usize, usize) {
    let n = [3, 3, 5, 7, 1][(seed % 5) as usize];
    let mut net = Net::new(n, seed);
    net.churn = churn;
    net.careless = careless;
    net.live(12, 12_000);
    net.check_logs();
    let before = net.committed.len();
    converge(&mut net, seed);
    net.check_logs();
    net.check_client();
    (before, net.acked.len())
}

/// With everything mended, someone leads, takes a proposal, and all members hold it.
fn converge(net: &mut Net, seed: u64) {
    assert!(net.run_until(40_000, |net| net.leader().is_some()), "seed {seed}: nobody leads");
    let acked = net.acked.len();
    let tried = |net: &Net| net.acked.len() > acked;
    for _ in 0..20 {
        net.propose();
        if net.run_until(2_000, tried) {
            break;
        }
    }
    assert!(tried(net), "seed {seed}: nothing is committed");
    let everyone = |net: &Net| {
        let Some(leader) = net.leader() else { return false };
        let members = net.members[&leader].raft.as_ref().expect("it leads").members();
        members.iter().all(|m: MemberId| net.members[&m].applied.len() == net.committed.len())
    };
    assert!(net.run_until(60_000, everyone), "seed {seed}: a member does not catch up");
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let env = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let from = env("QUORUM_FROM").unwrap_or(0);
    from..from + env("QUORUM_SEEDS").unwrap_or(default)
}

fn sweep(range: std::ops::Range<u64>, churn: bool) {
    let (mut committed, mut acked) = (0, 0);
    for seed in range.clone() {
        let result = std::panic::catch_unwind(|| run(seed, churn, false));
        match result {
            Ok((c, a)) => (committed, acked) = (committed + c, acked + a),
            Err(panic) => {
                eprintln!("failing seed {seed}: QUORUM_FROM={seed} QUORUM_SEEDS=1");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{} seeds, {committed} entries committed under faults, {acked} acknowledged", range.count());
    assert!(committed > 0 && acked > 0, "the sweep did something");
}

#[test]
fn fixed_members_keep_every_invariant_and_converge() {
    sweep(seeds(1_000), false);
}

#[test]
fn changing_members_keep_every_invariant_and_converge() {
    sweep(seeds(1_000), true);
}

/// The checker checks: an answer that does not wait for the disk loses what was committed.
#[test]
fn answers_that_do_not_wait_for_the_disk_are_caught() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = (0..300).filter(|seed| std::panic::catch_unwind(|| run(*seed, false, true)).is_err()).count();
    std::panic::set_hook(hook);
    assert!(caught > 0, "300 seeds did not catch it");
}
