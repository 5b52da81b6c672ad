//! Copies that the log does not reach, and copies that move.

use std::time::Duration;

use serde_json::json;
use sim::{Cluster, Plan};

/// Four OSDs, of which three hold each PG, with logs so short that whoever was away must be backfilled.
fn cluster(seed: u64, model_disks: bool) -> Cluster {
    let mut plan = Plan { osds: 4, model_disks, ..Plan::default() };
    for (name, value) in [
        ("osd_min_pg_log_entries", "3"),
        ("osd_max_pg_log_entries", "3"),
        ("osd_pg_log_trim_min", "1"),
        ("osd_backfill_scan_max", "4"),
        ("osd_backfill_retry_interval", "5"),
    ] {
        plan.options.push((name.into(), value.into()));
    }
    let mut c = Cluster::new(seed, &plan);
    c.wait_up(4);
    c.create_pool(8);
    c.wait_clean();
    c
}

fn osd(c: &mut Cluster, verb: &str, id: usize) {
    c.command(&json!({"prefix": format!("osd {verb}"), "ids": [id.to_string()]}));
}

#[test]
fn an_osd_that_was_away_for_longer_than_the_log_is_backfilled_under_load() {
    let mut c = cluster(11, true);
    c.more_writes(200);
    c.kill_osd(1);
    c.more_writes(400);
    c.start_osd(1);
    c.more_writes(100);
    c.settle();
}

#[test]
fn data_leaves_an_osd_that_is_out_and_comes_back_when_it_is_in() {
    let mut c = cluster(12, true);
    c.more_writes(200);
    osd(&mut c, "out", 2);
    c.more_writes(200);
    c.wait_clean();
    osd(&mut c, "in", 2);
    c.more_writes(100);
    c.settle();
}

#[test]
fn a_backfill_survives_that_its_target_and_its_source_die() {
    let mut c = cluster(13, true);
    c.more_writes(300);
    for round in 0..4 {
        osd(&mut c, if round % 2 == 0 { "out" } else { "in" }, 3);
        c.world.run_for(Duration::from_millis(700));
        c.kill_osd(round % 3);
        c.more_writes(60);
        c.start_osd(round % 3);
        c.world.run_for(Duration::from_millis(900));
    }
    c.settle();
}

#[test]
fn a_target_without_room_says_so_and_is_filled_when_there_is_room() {
    let mut c = cluster(14, false);
    c.more_writes(200);
    c.load(false);
    c.command(&json!({"prefix": "osd set-nearfull-ratio", "ratio": 0.0001}));
    c.command(&json!({"prefix": "osd set-backfillfull-ratio", "ratio": 0.0002}));
    osd(&mut c, "out", 0);
    let full = "active+remapped+backfill_toofull";
    c.wait_pgs(&["active+clean", full, "active+remapped+backfill_wait+backfill_toofull"]);
    assert!(c.report().contains("toofull"), "{}", c.report());
    c.command(&json!({"prefix": "osd set-backfillfull-ratio", "ratio": 0.9}));
    c.settle();
}
