//! One failure each, told in a few lines.

use sim::{Cluster, Plan};

fn cluster(seed: u64) -> Cluster {
    let mut c = Cluster::new(seed, &Plan::default());
    c.wait_up(3);
    c.create_pool(8);
    c.wait_clean();
    c
}

/// Runs until this many more writes are acknowledged.
fn work(c: &mut Cluster, writes: u64) {
    let goal = c.acked() + writes;
    let began = c.world.now().as_secs();
    c.load(true);
    while c.acked() < goal {
        c.run(1);
        assert!(c.world.now().as_secs() < began + 120, "only {} of {goal} writes", c.acked());
    }
}

#[test]
fn what_is_written_to_a_new_pool_is_read_back_and_on_every_replica() {
    let mut c = cluster(1);
    work(&mut c, 200);
    c.settle();
}

#[test]
fn a_lost_osd_stops_nobody_and_catches_up_from_the_log() {
    let mut c = cluster(2);
    work(&mut c, 50);
    c.kill_osd(1);
    work(&mut c, 100);
    c.wait_pgs(&["active+undersized+degraded", "active+undersized"]);
    c.start_osd(1);
    work(&mut c, 50);
    c.settle();
}

#[test]
fn a_power_cut_of_everything_loses_nothing_that_was_acknowledged() {
    let mut c = cluster(3);
    for _ in 0..3 {
        work(&mut c, 50);
        c.power_off();
        c.run(2);
        c.power_on();
    }
    work(&mut c, 50);
    c.settle();
}

#[test]
fn a_torn_log_tail_is_cut_off_and_filled_from_the_others() {
    let mut c = cluster(4);
    work(&mut c, 50);
    for round in 0..4 {
        // The crash leaves, of what was not synced, any pages: the tail of the store's log is torn.
        c.kill_osd(round % 3);
        work(&mut c, 20);
        c.start_osd(round % 3);
        c.wait_clean();
    }
    c.settle();
}

#[test]
fn an_osd_that_is_cut_off_serves_nothing_stale() {
    let mut c = cluster(5);
    work(&mut c, 50);
    for osd in 0..3 {
        c.cut_off(osd);
        // It leads some PGs, and clients still ask it: it must fall silent before the others go on.
        work(&mut c, 50);
        c.heal();
        c.wait_clean();
    }
    c.settle();
}

#[test]
fn below_min_size_nothing_is_written_until_an_osd_is_back() {
    let mut c = cluster(6);
    work(&mut c, 50);
    c.kill_osd(0);
    c.kill_osd(1);
    c.wait_up(1);
    let before = c.acked();
    c.run(30);
    assert_eq!(c.acked(), before, "one copy is not enough");
    c.start_osd(0);
    work(&mut c, 50);
    c.start_osd(1);
    c.settle();
}

#[test]
fn a_monitor_that_restarts_interrupts_no_writes() {
    let mut c = cluster(7);
    c.load(true);
    c.run(2);
    c.world.crash(c.mon);
    work(&mut c, 20);
    c.power_on();
    work(&mut c, 20);
    c.settle();
}
