//! A host that cannot reach the others, though it reaches the monitor: nobody else suffers for it.

use serde_json::json;
use sim::{Cluster, Plan};

/// Two of six OSDs are on a host whose cables to the other OSDs are cut; `ways` are the directions.
fn cut_a_host_off(seed: u64, ways: [bool; 2]) {
    let mut plan = Plan { osds: 6, clients: 1, model_disks: true, ..Plan::default() };
    for (option, value) in [("osd_heartbeat_grace", "6"), ("osd_heartbeat_interval", "1")] {
        plan.options.push((option.into(), value.into()));
    }
    let mut c = Cluster::new(seed, &plan);
    c.wait_up(6);
    c.create_pool(8);
    c.wait_clean();
    c.load(true);
    c.run(60);
    for n in 4..6 {
        for other in 0..4 {
            let (inside, outside) = (c.osds[n], c.osds[other]);
            if ways[0] {
                c.world.cut_one_way(&[inside], &[outside]);
            }
            if ways[1] {
                c.world.cut_one_way(&[outside], &[inside]);
            }
        }
    }
    for _ in 0..12 {
        c.run(3);
        let reply = c.command(&json!({"prefix": "osd dump", "format": "json"}));
        let dump: serde_json::Value = serde_json::from_slice(&reply.data).unwrap();
        for osd in 0..4 {
            let o = &dump["osds"][osd];
            assert_eq!((&o["up"], &o["down_at"]), (&1.into(), &0.into()), "seed {seed} {ways:?}: osd.{osd} is healthy");
        }
    }
    let reply = c.command(&json!({"prefix": "osd dump", "format": "json"}));
    let dump: serde_json::Value = serde_json::from_slice(&reply.data).unwrap();
    for osd in 4..6 {
        let o = &dump["osds"][osd];
        assert_eq!(o["up"], 0, "seed {seed} {ways:?}: osd.{osd} is cut off, and stays down while it is");
        assert!(o["up_from"].as_u64() < o["down_at"].as_u64());
    }
    c.heal();
    c.wait_up(6);
    c.settle();
}

#[test]
fn no_healthy_osd_is_marked_down_for_an_isolated_host() {
    for (seed, ways) in [(1, [true, true]), (2, [true, false]), (3, [false, true]), (4, [true, true])] {
        cut_a_host_off(4_200 + seed, ways);
    }
}

fn up_osds(c: &mut Cluster) -> u64 {
    let reply = c.command(&json!({"prefix": "osd stat", "format": "json"}));
    let stat: serde_json::Value = serde_json::from_slice(&reply.data).unwrap();
    stat["num_up_osds"].as_u64().unwrap()
}

/// Between the death of an OSD and the map that says so.
#[test]
fn a_killed_osd_is_down_at_once_and_a_frozen_one_soon_after_the_grace() {
    for (interval, grace) in [("6", "20"), ("1", "6")] {
        let mut plan = Plan { osds: 3, clients: 1, model_disks: true, ..Plan::default() };
        for (option, value) in [("osd_heartbeat_grace", grace), ("osd_heartbeat_interval", interval)] {
            plan.options.push((option.into(), value.into()));
        }
        plan.options.push(("mon_osd_adjust_heartbeat_grace".into(), "false".into()));
        let mut c = Cluster::new(4_300, &plan);
        c.wait_up(3);
        c.create_pool(8);
        c.wait_clean();
        c.run(30);
        let took = |c: &mut Cluster, up: u64| {
            let began = c.world.now();
            while up_osds(c) > up {
                c.world.run_for(std::time::Duration::from_millis(50));
            }
            (c.world.now() - began).as_secs_f64()
        };
        c.kill_osd(1);
        let killed = took(&mut c, 2);
        assert!(killed < 1.5, "killed: {killed} s");
        c.start_osd(1);
        c.wait_up(3);
        c.wait_clean();
        c.run(30);
        // To the others a host without power and a frozen one are alike.
        c.cut_off(2);
        let frozen = took(&mut c, 2);
        assert!(frozen < grace.parse::<f64>().unwrap() + 2.0, "frozen: {frozen} s with a grace of {grace} s");
        c.heal();
        c.wait_up(3);
    }
}
