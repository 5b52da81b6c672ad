//! Pools that grow, shrink and go while clients work.

use std::time::Duration;

use sim::{Cluster, Plan};

fn cluster(seed: u64, pg_num: u32) -> Cluster {
    let mut c = Cluster::new(seed, &Plan::default());
    c.wait_up(3);
    c.create_pool(pg_num);
    c.wait_clean();
    c
}

#[test]
fn a_pool_that_is_split_under_load_keeps_everything() {
    let mut c = cluster(31, 4);
    c.load(true);
    c.run(3);
    c.set_pg_num(13);
    c.wait_pg_num();
    c.run(3);
    c.settle();
}

#[test]
fn a_pool_that_is_merged_under_load_keeps_everything() {
    let mut c = cluster(32, 8);
    c.load(true);
    c.run(3);
    c.set_pg_num(3);
    c.wait_pg_num();
    c.run(3);
    c.settle();
}

/// Kills and starts OSDs, one after the other, until the pool has reached its size.
fn harass(c: &mut Cluster, rounds: usize) {
    for round in 0..rounds {
        let osd = round % 3;
        c.kill_osd(osd);
        c.run(4);
        c.start_osd(osd);
        c.run(7);
    }
}

#[test]
fn osds_that_crash_while_a_pool_is_split_and_merged_lose_nothing() {
    for seed in 33..34 {
        let mut c = cluster(seed, 4);
        c.load(true);
        c.run(3);
        c.set_pg_num(16);
        harass(&mut c, 2);
        c.wait_pg_num();
        c.set_pg_num(5);
        harass(&mut c, 3);
        c.wait_pg_num();
        c.settle();
    }
}

#[test]
fn a_power_cut_in_the_middle_of_a_split_or_a_merge_leaves_one_or_the_other() {
    for seed in 41..42 {
        let mut c = cluster(seed, 6);
        c.load(true);
        c.run(2);
        for pg_num in [16, 12] {
            c.set_pg_num(pg_num);
            for millis in [700, 1700] {
                c.world.run_for(Duration::from_millis(millis + seed * 37 % 400));
                c.power_off();
                c.run(1);
                c.power_on();
                c.run(5);
            }
            c.wait_pg_num();
        }
        c.settle();
    }
}

#[test]
fn an_osd_that_was_down_while_the_pool_changed_follows_map_by_map() {
    let mut c = cluster(51, 4);
    c.load(true);
    c.run(2);
    c.kill_osd(2);
    c.run(10);
    c.set_pg_num(16);
    c.run(20);
    c.start_osd(2);
    c.wait_pg_num();
    c.set_pg_num(4);
    c.run(15);
    c.kill_osd(1);
    c.run(10);
    c.start_osd(1);
    c.wait_pg_num();
    c.settle();
}

#[test]
fn a_pool_that_is_deleted_leaves_nothing_behind_even_if_osds_crash_or_were_down() {
    let mut c = cluster(52, 6);
    c.load(true);
    c.run(3);
    c.kill_osd(2);
    c.run(5);
    c.set_pg_num(9);
    c.run(4);
    c.load(false);
    c.run(30);
    c.delete_pool();
    c.world.run_for(Duration::from_millis(20));
    c.kill_osd(1);
    c.run(3);
    c.start_osd(1);
    c.start_osd(2);
    for _ in 0..60 {
        if c.collections() == 0 {
            return;
        }
        c.run(1);
    }
    panic!("{} collections are left", c.collections());
}
