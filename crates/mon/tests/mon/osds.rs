//! OSDs come up, fail, and are taken out.

use messages::{Body, MMonSubscribe, MOSDAlive, MOSDFailure, MOSDMarkMeDown, MOSDPGCreated, SubscribeItem};

use crate::harness::{Cluster, addr, failure, fsid};

fn osd(c: &mut Cluster, id: usize) -> serde_json::Value {
    c.json(r#"{"prefix":"osd dump","format":"json"}"#)["osds"][id].clone()
}

#[test]
fn an_osd_that_boots_is_up_in_and_placed_by_its_host() {
    let mut c = Cluster::with_osds(3);
    let tree = c.ok(r#"{"prefix":"osd tree"}"#);
    for part in ["root default", "host vm", "osd.0", "osd.2", "hdd"] {
        assert!(tree.contains(part), "{tree}");
    }
    let o = osd(&mut c, 1);
    assert_eq!((&o["up"], &o["in"]), (&1.into(), &1.into()));
    assert_eq!(c.ok(r#"{"prefix":"osd ls"}"#), "0\n1\n2\n");
    let crush = c.json(r#"{"prefix":"osd crush tree","format":"json"}"#);
    let weight = crush["nodes"][2]["crush_weight"].as_f64().unwrap();
    assert!((weight - 10.0 / 1024.0).abs() < 1e-4, "{weight}");
}

#[test]
fn a_pool_s_pgs_are_created_by_their_primaries_until_reported() {
    let mut c = Cluster::new();
    let conns: Vec<_> = (0..3).map(|osd| c.boot(osd)).collect();
    let what = [("osd_pg_creates".to_owned(), SubscribeItem { start: 0, flags: 0 })];
    for conn in &conns {
        c.send(*conn, MMonSubscribe { what: what.clone().into(), hostname: String::new() });
        c.received(*conn);
    }
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":16}"#);
    let mut told = vec![];
    for conn in &conns {
        for body in c.received(*conn) {
            if let Body::MOSDPGCreate2(m) = body {
                told.extend(m.pgs.keys().map(|pg| pg.pgid));
            }
        }
    }
    told.sort();
    assert_eq!(told.len(), 16);
    let pgid = told[0];
    c.send(conns[0], MOSDPGCreated { pgid, ..MOSDPGCreated::default() });
    // A new primary is told of those that are left, and of them only.
    let again = c.boot(0);
    c.send(again, MMonSubscribe { what: what.into(), hostname: String::new() });
    for body in c.received(again) {
        if let Body::MOSDPGCreate2(m) = body {
            assert!(!m.pgs.keys().any(|pg| pg.pgid == pgid));
        }
    }
}

#[test]
fn two_reporters_and_the_grace_make_an_osd_down_and_time_makes_it_out() {
    let mut c = Cluster::with(&[("mon_osd_down_out_interval", "30")]);
    let conns: Vec<_> = (0..4).map(|osd| c.boot(osd)).collect();
    c.send(conns[0], failure(2, 25, MOSDFailure::FAILED));
    c.pass(2);
    assert_eq!(osd(&mut c, 2)["up"], 1, "one reporter is not enough");
    c.send(conns[1], failure(2, 5, MOSDFailure::FAILED));
    assert_eq!(osd(&mut c, 2)["up"], 1, "not all agree for the whole grace");
    c.pass(20);
    assert_eq!(osd(&mut c, 2)["up"], 0);
    let health = c.ok(r#"{"prefix":"health"}"#);
    assert!(health.contains("1 osds down"), "{health}");
    assert_eq!(osd(&mut c, 2)["in"], 1);
    c.pass(31);
    assert_eq!(osd(&mut c, 2)["in"], 0);
    c.boot(2);
    let o = osd(&mut c, 2);
    assert_eq!((&o["up"], &o["in"]), (&1.into(), &1.into()), "it was taken out by itself, so it comes in again");
}

#[test]
fn a_refused_connection_is_a_failure_at_once_unless_nodown_is_set() {
    let mut c = Cluster::new();
    let conns: Vec<_> = (0..3).map(|osd| c.boot(osd)).collect();
    c.ok(r#"{"prefix":"osd set","key":"nodown"}"#);
    c.send(conns[0], failure(1, 0, MOSDFailure::FAILED | MOSDFailure::IMMEDIATE));
    assert_eq!(osd(&mut c, 1)["up"], 1);
    c.ok(r#"{"prefix":"osd unset","key":"nodown"}"#);
    c.input(node::Input::Reset { conn: conns[1] });
    c.send(conns[0], failure(1, 0, MOSDFailure::FAILED | MOSDFailure::IMMEDIATE));
    assert_eq!(osd(&mut c, 1)["up"], 0);
}

#[test]
fn an_osd_that_says_good_bye_is_down_and_answered() {
    let mut c = Cluster::new();
    let conns: Vec<_> = (0..3).map(|osd| c.boot(osd)).collect();
    let m = MOSDMarkMeDown {
        fsid: fsid(),
        target_osd: 0,
        target_addrs: addr(7000, 9).into(),
        request_ack: true,
        ..MOSDMarkMeDown::default()
    };
    c.received(conns[0]);
    c.send(conns[0], m);
    assert!(c.received(conns[0]).iter().any(|b| matches!(b, Body::MOSDMarkMeDown(m) if !m.request_ack)));
    assert_eq!(osd(&mut c, 0)["up"], 0);
}

#[test]
fn up_thru_is_granted_and_shows_in_the_map() {
    let mut c = Cluster::new();
    let conn = c.boot(0);
    c.send(conn, MOSDAlive { paxos: 3.into(), want: 2 });
    assert!(osd(&mut c, 0)["up_thru"].as_u64().unwrap() >= 2);
}

#[test]
fn a_second_instance_of_an_osd_takes_the_place_of_the_first() {
    let mut c = Cluster::with_osds(1);
    let conn = c.connect(types::EntityName::osd(0), "osd.0", addr(8000, 10));
    c.send(conn, c.boot_message(0));
    let o = osd(&mut c, 0);
    assert_eq!((&o["up"], &o["public_addr"]), (&1.into(), &"127.0.0.1:8000/10".into()));
}
