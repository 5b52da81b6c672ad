//! Who leads, in sentences.

use crate::net::Net;

/// Three members on a network without faults, and their leader.
fn three(seed: u64) -> (Net, u64) {
    let mut net = Net::new(3, seed);
    net.heal();
    assert!(net.run_until(20_000, |net| net.leader().is_some()));
    let leader = net.leader().expect("just seen");
    (net, leader)
}

fn term(net: &Net, id: u64) -> u64 {
    net.members[&id].raft.as_ref().expect("it runs").term()
}

#[test]
fn a_leader_that_is_killed_is_replaced_within_three_seconds_of_ticks() {
    for seed in 0..50 {
        let (mut net, leader) = three(seed);
        net.crash(leader);
        // Thirty ticks: three seconds, at ten a second.
        assert!(net.run_until(3_000, |net| net.leader().is_some_and(|l| l != leader)), "seed {seed}");
    }
}

#[test]
fn a_member_that_was_cut_off_does_not_unseat_the_leader_when_it_comes_back() {
    let (mut net, leader) = three(5);
    let other = net.members.keys().copied().find(|m| *m != leader).expect("three members");
    let before = term(&net, leader);
    net.isolate(other);
    net.run_until(30_000, |_| false);
    net.heal();
    net.run_until(10_000, |_| false);
    assert_eq!((net.leader(), term(&net, leader), term(&net, other)), (Some(leader), before, before));
}

#[test]
fn a_leader_that_is_cut_off_steps_down_and_its_proposals_are_not_acknowledged() {
    let (mut net, leader) = three(6);
    net.isolate(leader);
    net.propose();
    net.propose();
    let acked = net.acked.len();
    assert!(net.run_until(5_000, |net| net.leader().is_some_and(|l| l != leader)));
    assert!(!net.members[&leader].raft.as_ref().expect("it runs").is_leading());
    net.propose();
    assert!(net.run_until(2_000, |net| net.acked.len() > acked));
    net.heal();
    let same = |net: &Net| net.members.values().all(|m| m.applied.len() == net.committed.len());
    assert!(net.run_until(20_000, same));
    net.check_client();
}

#[test]
fn a_majority_that_is_gone_leaves_nobody_leading() {
    let (mut net, leader) = three(7);
    for other in net.members.keys().copied().filter(|m| *m != leader).collect::<Vec<_>>() {
        net.crash(other);
    }
    assert!(net.run_until(3_000, |net| net.leader().is_none()));
    net.run_until(20_000, |_| false);
    assert_eq!(net.leader(), None);
}
