//! Whose word counts when an OSD is said to be down, and what keeps an OSD up, in or out.

use messages::{MOSDBeacon, MOSDBoot, MOSDFailure};
use node::{ConnId, Input};
use types::{EntityName, OsdId};

use crate::harness::{Cluster, addr, failure};

const FAILED: u8 = MOSDFailure::FAILED;
const REFUSED: u8 = MOSDFailure::FAILED | MOSDFailure::IMMEDIATE;
const ISOLATED: u8 = MOSDFailure::FAILED | MOSDFailure::ISOLATED;

fn field(c: &mut Cluster, id: OsdId, name: &str) -> i64 {
    let dump = c.json(r#"{"prefix":"osd dump","format":"json"}"#);
    dump["osds"][id as usize][name].as_i64().unwrap()
}

fn up(c: &mut Cluster, id: OsdId) -> bool {
    field(c, id, "up") == 1
}

/// OSDs, two on each host, and their sessions.
fn cluster(osds: i32, options: &[(&str, &str)]) -> (Cluster, Vec<ConnId>) {
    let mut c = Cluster::with(options);
    let conns = (0..osds).map(|osd| boot(&mut c, osd, 0)).collect();
    (c, conns)
}

/// Boots as an instance that last had this map.
fn boot(c: &mut Cluster, osd: OsdId, boot_epoch: u32) -> ConnId {
    let conn = c.connect(EntityName::osd(osd), &format!("osd.{osd}"), addr(7000 + osd as u16 * 4, 9));
    let mut m: MOSDBoot = c.boot_message(osd);
    m.metadata.insert("hostname".into(), format!("h{}", osd / 2));
    m.boot_epoch = boot_epoch;
    c.send(conn, m);
    conn
}

fn beacon(c: &mut Cluster, conn: ConnId) {
    c.send(conn, MOSDBeacon { osd_beacon_report_interval: 5, ..MOSDBeacon::default() });
}

#[test]
fn reporters_count_by_the_places_they_stand_in() {
    let (mut c, conns) = cluster(6, &[("mon_osd_reporter_subtree_level", "host")]);
    c.send(conns[2], failure(0, 25, FAILED));
    c.send(conns[3], failure(0, 25, FAILED));
    c.pass(3);
    assert!(up(&mut c, 0), "two OSDs of one host are one witness");
    c.send(conns[4], failure(0, 25, FAILED));
    assert!(!up(&mut c, 0));
    let log = c.ok(r#"{"prefix":"log last","num":20}"#);
    let line =
        "osd.0 failed (root=default,host=h0) (2 reporters from different host after 25.000000 >= grace 20.000000)";
    assert!(log.contains(line), "{log}");
}

#[test]
fn a_report_that_is_taken_back_counts_no_more() {
    let (mut c, conns) = cluster(4, &[]);
    c.send(conns[1], failure(0, 19, FAILED));
    c.send(conns[1], failure(0, 0, 0));
    c.send(conns[2], failure(0, 25, FAILED));
    c.pass(10);
    assert!(up(&mut c, 0));
}

#[test]
fn the_word_of_an_isolated_reporter_does_not_count_against_an_osd_that_speaks() {
    let (mut c, conns) = cluster(6, &[]);
    c.pass(60);
    // Host h2 is cut off. Its OSDs see nobody, the others do not see them.
    for second in 0..30 {
        for conn in &conns {
            beacon(&mut c, *conn);
        }
        for cut_off in [4, 5] {
            for healthy in 0..4 {
                c.send(conns[cut_off], failure(healthy, 20 + second, ISOLATED));
            }
        }
        c.pass(1);
    }
    for osd in 0..6 {
        assert!(up(&mut c, osd), "osd.{osd}");
    }
    c.send(conns[0], failure(4, 25, FAILED));
    c.send(conns[1], failure(4, 25, FAILED));
    assert!(!up(&mut c, 4), "the others' word counts");
}

#[test]
fn what_a_reporter_said_before_it_knew_that_it_is_isolated_counts_no_more() {
    let (mut c, conns) = cluster(6, &[]);
    c.pass(60);
    c.send(conns[4], failure(0, 19, FAILED));
    c.send(conns[4], failure(1, 19, ISOLATED));
    beacon(&mut c, conns[0]);
    c.send(conns[5], failure(0, 20, ISOLATED));
    for _ in 0..30 {
        beacon(&mut c, conns[0]);
        c.pass(1);
    }
    assert!(up(&mut c, 0));
}

#[test]
fn when_most_have_really_died_the_word_of_those_that_are_left_counts() {
    let (mut c, conns) = cluster(6, &[]);
    c.pass(60);
    for _ in 0..28 {
        conns[..2].iter().for_each(|conn| beacon(&mut c, *conn));
        c.pass(1);
    }
    for dead in 2..6 {
        for reporter in &conns[..2] {
            c.send(*reporter, failure(dead, 26, ISOLATED));
        }
        assert!(!up(&mut c, dead), "osd.{dead} has said nothing to anybody");
    }
}

#[test]
fn a_refused_connection_proves_a_death_if_the_session_is_gone_or_others_agree() {
    let (mut c, conns) = cluster(6, &[]);
    c.send(conns[2], failure(0, 0, REFUSED));
    assert!(up(&mut c, 0), "it has a session with us: a firewall between two hosts refuses as well");
    c.input(Input::Reset { conn: conns[0] });
    assert!(!up(&mut c, 0));
    c.send(conns[2], failure(1, 0, REFUSED));
    assert!(up(&mut c, 1));
    c.send(conns[4], failure(1, 0, REFUSED));
    assert!(!up(&mut c, 1), "two say so");
    // Its host was started anew, and the session here did not notice.
    c.send(conns[2], failure(3, 0, REFUSED));
    c.pass(5);
    assert!(up(&mut c, 3));
    c.pass(2);
    assert!(!up(&mut c, 3));
    let log = c.ok(r#"{"prefix":"log last","num":30}"#);
    assert!(log.contains("osd.0 failed (root=default,host=h0) (connection refused reported by osd.2)"), "{log}");
}

#[test]
fn an_osd_that_was_wrongly_suspected_before_has_more_time() {
    let (mut c, mut conns) = cluster(4, &[]);
    let report = |c: &mut Cluster, conns: &[ConnId], secs: i32| {
        c.send(conns[2], failure(0, secs, FAILED));
        c.send(conns[3], failure(0, secs, FAILED));
    };
    report(&mut c, &conns, 21);
    assert!(!up(&mut c, 0));
    c.pass(100);
    // It lived all the time: its map is older than the one that has it down.
    conns[0] = boot(&mut c, 0, 3);
    assert!(up(&mut c, 0));
    report(&mut c, &conns, 22);
    assert!(up(&mut c, 0), "0.3 of 30 s of lagging are granted");
    report(&mut c, &conns, 0);
    c.pass(10);
    assert!(!up(&mut c, 0));
}

#[test]
fn an_osd_of_which_nothing_is_heard_is_down_after_the_report_timeout() {
    let (mut c, conns) = cluster(3, &[("mon_osd_report_timeout", "30")]);
    for _ in 0..28 {
        conns[1..].iter().for_each(|conn| beacon(&mut c, *conn));
        c.pass(1);
    }
    assert!(up(&mut c, 0));
    conns[1..].iter().for_each(|conn| beacon(&mut c, *conn));
    c.pass(5);
    assert!(!up(&mut c, 0) && up(&mut c, 1) && up(&mut c, 2));
}

fn kill(c: &mut Cluster, conns: &[ConnId], osd: usize) {
    c.input(Input::Reset { conn: conns[osd] });
    let by = (0..conns.len()).rev().find(|o| *o != osd).unwrap();
    c.send(conns[by], failure(osd as OsdId, 0, REFUSED));
    assert!(!up(c, osd as OsdId));
}

const OUT: [(&str, &str); 2] = [("mon_osd_down_out_interval", "10"), ("mon_osd_min_up_ratio", "0")];

#[test]
fn a_whole_host_that_is_down_stays_in_if_the_limit_says_so() {
    let (mut c, conns) = cluster(6, &[OUT[0], OUT[1], ("mon_osd_down_out_subtree_limit", "host")]);
    kill(&mut c, &conns, 0);
    kill(&mut c, &conns, 1);
    c.pass(25);
    assert_eq!((field(&mut c, 0, "in"), field(&mut c, 1, "in")), (1, 1));
    boot(&mut c, 1, 0);
    c.pass(8);
    assert_eq!(field(&mut c, 0, "in"), 1, "the time begins anew");
    c.pass(5);
    assert_eq!(field(&mut c, 0, "in"), 0, "one OSD is no host");
}

#[test]
fn when_everything_is_down_nothing_is_out() {
    let (mut c, conns) = cluster(4, &OUT);
    (0..3).for_each(|osd| kill(&mut c, &conns, osd));
    c.pass(1);
    c.ok(r#"{"prefix":"osd down","ids":["3"]}"#);
    c.pass(25);
    assert_eq!(field(&mut c, 0, "in"), 1, "the default limit is a rack; what is above it counts as well");
}

#[test]
fn no_more_are_marked_out_than_the_ratio_allows() {
    let (mut c, conns) = cluster(6, &[OUT[0], OUT[1], ("mon_osd_min_in_ratio", "0.75")]);
    [0, 2, 4].into_iter().for_each(|osd| kill(&mut c, &conns, osd));
    c.pass(30);
    let out = (0..6).filter(|osd| field(&mut c, *osd, "in") == 0).count();
    assert_eq!(out, 2, "with four of six in, the ratio is below 0.75");
}

#[test]
fn flags_hold_for_the_cluster_for_one_osd_for_a_host_and_for_a_class() {
    for (set, unset) in [
        (r#"{"prefix":"osd set","key":"noout"}"#, r#"{"prefix":"osd unset","key":"noout"}"#),
        (r#"{"prefix":"osd add-noout","ids":["0"]}"#, r#"{"prefix":"osd rm-noout","ids":["osd.0"]}"#),
        (
            r#"{"prefix":"osd set-group","flags":"noout","who":["h0"]}"#,
            r#"{"prefix":"osd unset-group","flags":"noout","who":["h0"]}"#,
        ),
        (
            r#"{"prefix":"osd set-group","flags":"noout,nodown","who":["hdd"]}"#,
            r#"{"prefix":"osd unset-group","flags":"noout,nodown","who":["hdd"]}"#,
        ),
    ] {
        let (mut c, conns) = cluster(6, &OUT);
        kill(&mut c, &conns, 0);
        c.ok(set);
        c.pass(20);
        assert_eq!(field(&mut c, 0, "in"), 1, "{set}");
        c.ok(unset);
        c.pass(2);
        assert_eq!(field(&mut c, 0, "in"), 0, "{unset}");
    }
}

#[test]
fn nodown_keeps_up_noup_keeps_down_and_noin_keeps_out() {
    let (mut c, conns) = cluster(6, &OUT);
    c.ok(r#"{"prefix":"osd set-group","flags":"nodown","who":["h0"]}"#);
    c.input(Input::Reset { conn: conns[0] });
    c.send(conns[2], failure(0, 0, REFUSED));
    c.send(conns[2], failure(1, 30, FAILED));
    c.send(conns[4], failure(1, 30, FAILED));
    c.pass(2);
    assert!(up(&mut c, 0) && up(&mut c, 1));
    c.ok(r#"{"prefix":"osd unset-group","flags":"nodown","who":["h0"]}"#);
    c.pass(1);
    assert!(!up(&mut c, 0) && !up(&mut c, 1));
    c.pass(15);
    assert_eq!(field(&mut c, 0, "in"), 0);
    c.ok(r#"{"prefix":"osd set-group","flags":"noup","who":["hdd"]}"#);
    boot(&mut c, 0, 0);
    assert!(!up(&mut c, 0));
    c.ok(r#"{"prefix":"osd unset-group","flags":"noup","who":["hdd"]}"#);
    c.ok(r#"{"prefix":"osd add-noin","ids":["0"]}"#);
    boot(&mut c, 0, 0);
    assert!(up(&mut c, 0));
    assert_eq!(field(&mut c, 0, "in"), 0);
}
