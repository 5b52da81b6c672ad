//! One failure each, told in a few lines.

use rados::{Reply, Request, TellTarget};
use serde_json::{Value, json};
use sim::{Cluster, Plan};

fn cluster(seed: u64) -> Cluster {
    let mut c = Cluster::new(seed, &Plan::default());
    c.wait_up(3);
    c.create_pool(8);
    c.wait_clean();
    c
}

#[test]
fn what_is_written_to_a_new_pool_is_read_back_and_on_every_replica() {
    let mut c = cluster(1);
    c.more_writes(200);
    c.settle();
}

#[test]
fn a_lost_osd_stops_nobody_and_catches_up_from_the_log() {
    let mut c = cluster(2);
    c.more_writes(50);
    c.kill_osd(1);
    c.more_writes(100);
    c.wait_pgs(&["active+undersized+degraded", "active+undersized"]);
    c.start_osd(1);
    c.more_writes(50);
    c.settle();
}

#[test]
fn a_power_cut_of_everything_loses_nothing_that_was_acknowledged() {
    let mut c = cluster(3);
    for _ in 0..3 {
        c.more_writes(50);
        c.power_off();
        c.run(2);
        c.power_on();
    }
    c.more_writes(50);
    c.settle();
}

#[test]
fn a_torn_log_tail_is_cut_off_and_filled_from_the_others() {
    let mut c = cluster(4);
    c.more_writes(50);
    for round in 0..4 {
        // The crash leaves, of what was not synced, any pages: the tail of the store's log is torn.
        c.kill_osd(round % 3);
        c.more_writes(20);
        c.start_osd(round % 3);
        c.wait_clean();
    }
    c.settle();
}

#[test]
fn an_osd_that_is_cut_off_serves_nothing_stale() {
    let mut c = cluster(5);
    c.more_writes(50);
    for osd in 0..3 {
        c.cut_off(osd);
        // It leads some PGs, and clients still ask it: it must fall silent before the others go on.
        c.more_writes(50);
        c.heal();
        c.wait_clean();
    }
    c.settle();
}

#[test]
fn below_min_size_nothing_is_written_until_an_osd_is_back() {
    let mut c = cluster(6);
    c.more_writes(50);
    c.kill_osd(0);
    c.kill_osd(1);
    c.wait_up(1);
    let before = c.acked();
    c.run(30);
    assert_eq!(c.acked(), before, "one copy is not enough");
    c.start_osd(0);
    c.more_writes(50);
    c.start_osd(1);
    c.settle();
}

#[test]
fn a_monitor_that_restarts_interrupts_no_writes() {
    let mut c = cluster(7);
    c.load(true);
    c.run(2);
    c.world.crash(c.mons[0]);
    c.more_writes(20);
    c.power_on();
    c.more_writes(20);
    c.settle();
}

/// The answer of an OSD to a command without arguments.
fn tell(c: &mut Cluster, osd: i32, prefix: &str) -> Value {
    let cmd = json!({"prefix": prefix}).to_string();
    let request = Request::Tell { target: TellTarget::Osd(osd), cmd, data: bytes::Bytes::new() };
    let Reply::Command(reply) = c.ask(request) else { panic!("{prefix}: no answer") };
    serde_json::from_slice(&reply.data).unwrap_or_else(|e| panic!("{prefix}: {e}: {reply:?}"))
}

#[test]
fn an_operation_that_hangs_is_shown_by_its_osd_and_by_the_clusters_health() {
    let mut plan = Plan::default();
    for (option, value) in [("osd_heartbeat_grace", "60"), ("osd_op_complaint_time", "3")] {
        plan.options.push((option.into(), value.into()));
    }
    let mut c = Cluster::new(16, &plan);
    c.wait_up(3);
    c.create_pool(8);
    c.wait_clean();
    c.more_writes(20);
    // Clients hang at it, and at the primaries that wait for it.
    c.cut_off(2);
    c.run(12);
    let health = c.command(&json!({"prefix": "health"}));
    let health = String::from_utf8_lossy(&health.data).into_owned();
    assert!(health.contains(" slow ops, oldest one blocked for ") && health.contains("osd.1 has slow ops"), "{health}");
    let blocked = tell(&mut c, 1, "dump_blocked_ops");
    let op = &blocked["ops"][0];
    assert!(op["description"].as_str().is_some_and(|d| d.starts_with("osd_op(client.")), "{blocked}");
    assert_eq!(op["type_data"]["flag_point"], "waiting for sub ops");
    let events: Vec<&str> =
        op["type_data"]["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events[..4], ["initiated", "queued_for_pg", "reached_pg", "started"]);
    c.heal();
    c.run(5);
    c.more_writes(20);
    c.settle();
    assert_eq!(tell(&mut c, 1, "dump_blocked_ops")["num_blocked_ops"], 0);
    let slowest = tell(&mut c, 1, "dump_historic_slow_ops");
    assert!(slowest["Ops"].as_array().is_some_and(|ops| !ops.is_empty()), "{slowest}");
    let health = c.command(&json!({"prefix": "health"}));
    assert!(!String::from_utf8_lossy(&health.data).contains("slow ops"), "{health:?}");
}
