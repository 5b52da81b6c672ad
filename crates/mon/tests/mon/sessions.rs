//! Clients come in, learn the maps, and hear of changes.

use bytes::Bytes;
use messages::{Body, MMonGetMap, MMonGetVersion, MMonSubscribe, MPing, SubscribeItem};
use node::{AuthReply, ConnId, Endpoint, Input};
use types::MonMap;

use crate::harness::{Cluster, addr, fsid, setup};

fn subscribe(items: &[(&str, u64, u8)]) -> MMonSubscribe {
    let what = items.iter().map(|(w, start, flags)| ((*w).to_owned(), SubscribeItem { start: *start, flags: *flags }));
    MMonSubscribe { what: what.collect(), hostname: "vm".to_owned() }
}

#[test]
fn a_new_client_gets_an_id_a_monmap_and_its_settings() {
    let mut c = Cluster::new();
    // As recorded: mode 10, client, "admin", no global id yet.
    let payload = Bytes::from_static(b"\x0a\x08\0\0\0\x05\0\0\0admin\0\0\0\0\0\0\0\0");
    c.input(Input::Auth { conn: ConnId(99), via: Endpoint::Public, method: 1, payload });
    let AuthReply::Done { global_id, con_mode: 1, .. } = &c.auth[0].1 else { panic!("{:?}", c.auth) };
    assert!(*global_id > 4000);
    let conn = c.client();
    c.send(conn, MMonGetMap {});
    c.send(conn, subscribe(&[("config", 0, 0), ("monmap", 0, 0)]));
    let got = c.received(conn);
    let [Body::MMonMap(first), Body::MConfig(config), Body::MMonMap(_)] = got.as_slice() else { panic!("{got:?}") };
    assert!(config.config.is_empty());
    let map: MonMap = denc::from_bytes(first.map.clone()).unwrap();
    assert_eq!((map.epoch, map.fsid, map.ranks.as_slice()), (1, fsid(), ["a".to_owned()].as_slice()));
}

#[test]
fn map_subscribers_get_the_full_map_once_and_then_increments() {
    let mut c = Cluster::new();
    let conn = c.client();
    c.send(conn, subscribe(&[("osdmap", 0, 0)]));
    let got = c.received(conn);
    let [Body::MOSDMap(m)] = got.as_slice() else { panic!("{got:?}") };
    let first = m.last().unwrap();
    assert!(m.incremental_maps.is_empty() && m.maps.len() == 1);
    let mut map: osdmap::OsdMap = denc::from_bytes(m.maps[&first].clone()).unwrap();
    c.ok(r#"{"prefix":"osd pool create","pool":"p"}"#);
    let got = c.received(conn);
    let [Body::MOSDMap(m)] = got.as_slice() else { panic!("{got:?}") };
    let inc: osdmap::Incremental = denc::from_bytes(m.incremental_maps[&(first + 1)].clone()).unwrap();
    map.apply(&inc).unwrap();
    assert_eq!(map.pool_id("p"), Some(1));
    assert_eq!(osdmap::OsdMap::crc_of_encoded(&map.encode_canonical()), inc.full_crc);
}

#[test]
fn a_onetime_subscription_ends_and_an_old_start_gets_every_increment() {
    let mut c = Cluster::new();
    for name in ["a", "b", "c"] {
        c.ok(&format!(r#"{{"prefix":"osd pool create","pool":"{name}"}}"#));
    }
    let conn = c.client();
    c.send(conn, subscribe(&[("osdmap", 2, SubscribeItem::ONETIME)]));
    let got = c.received(conn);
    let [Body::MOSDMap(m)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(m.incremental_maps.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
    c.ok(r#"{"prefix":"osd pool create","pool":"d"}"#);
    assert_eq!(c.received(conn), vec![]);
}

#[test]
fn settings_reach_those_whom_they_concern() {
    let mut c = Cluster::new();
    let conn = c.client();
    c.send(conn, subscribe(&[("config", 0, 0)]));
    c.received(conn);
    c.ok(r#"{"prefix":"config set","who":"osd","name":"osd_heartbeat_grace","value":"7"}"#);
    assert_eq!(c.received(conn), vec![]);
    c.ok(r#"{"prefix":"config set","who":"client.admin","name":"rados_osd_op_timeout","value":"3"}"#);
    let got = c.received(conn);
    let [Body::MConfig(m)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(m.config.get("rados_osd_op_timeout").map(String::as_str), Some("3"));
}

#[test]
fn who_wants_another_level_of_the_log_hears_no_more_of_the_one_before() {
    let mut c = Cluster::new();
    let conn = c.client();
    c.send(conn, subscribe(&[("log-info", 0, 0)]));
    c.ok(r#"{"prefix":"log","logtext":["one"]}"#);
    let is_log = |b: &Body| matches!(b, Body::MLog(_));
    assert!(c.received(conn).iter().any(is_log));
    // As librados does: it asks for the new one, and only forgets the other.
    c.send(conn, subscribe(&[("log-error", 0, 0)]));
    c.ok(r#"{"prefix":"log","logtext":["two"]}"#);
    assert!(!c.received(conn).iter().any(is_log));
    c.send(conn, subscribe(&[("log-info", 0, 0)]));
    c.ok(r#"{"prefix":"log","logtext":["three"]}"#);
    assert!(c.received(conn).iter().any(is_log));
}

#[test]
fn what_is_no_command_is_refused_in_ceph_s_words() {
    let mut c = Cluster::new();
    for (text, why) in [
        ("get_command_descriptions", "unparseable JSON get_command_descriptions"),
        ("", "unparseable JSON "),
        ("[]", "not JSON object []"),
        ("{}", "command prefix not found"),
        (r#"{"prefix":""}"#, "command prefix must not be empty"),
    ] {
        let (r, rs, _) = c.run(text);
        assert_eq!((r, rs.as_str()), (-22, why));
    }
}

#[test]
fn versions_and_pings_are_answered() {
    let mut c = Cluster::new();
    let conn = c.client();
    c.send(conn, MMonGetVersion { handle: 7, what: "osdmap".to_owned() });
    c.send(conn, MPing::default());
    let got = c.received(conn);
    let [Body::MMonGetVersionReply(v), Body::MPing(p)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!((v.handle, v.version, v.oldest_version), (7, 1, 1));
    let json: String = denc::from_bytes(p.front.clone()).unwrap();
    let pong: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(pong["health"]["status"].is_string() && pong["mon_status"]["state"] == "leader");
}

#[test]
fn an_osd_behind_the_oldest_map_starts_from_that_one_whole() {
    let mut c = Cluster::new();
    for _ in 0..330 {
        c.ok(r#"{"prefix":"osd set","key":"noout"}"#);
        c.ok(r#"{"prefix":"osd unset","key":"noout"}"#);
    }
    let mut c = c.restart();
    let conn = c.client();
    c.send(conn, subscribe(&[("osdmap", 2, 0)]));
    let maps: Vec<_> = c
        .received(conn)
        .into_iter()
        .map(|b| match b {
            Body::MOSDMap(m) => m,
            other => panic!("{other:?}"),
        })
        .collect();
    let oldest = maps[0].oldest_map;
    assert!(oldest > 2 && maps[0].maps.keys().eq([&oldest]), "{oldest}");
    let mut map: osdmap::OsdMap = denc::from_bytes(maps[0].maps[&oldest].clone()).unwrap();
    for bytes in maps.iter().flat_map(|m| m.incremental_maps.values()) {
        map.apply(&denc::from_bytes(bytes.clone()).unwrap()).unwrap();
    }
    assert_eq!(map.epoch, maps[0].newest_map);
}

#[test]
fn an_osd_that_is_down_finds_all_maps_since_when_it_comes_back() {
    let mut c = Cluster::with_osds(1);
    c.ok(r#"{"prefix":"osd down","ids":["0"]}"#);
    for _ in 0..330 {
        c.ok(r#"{"prefix":"osd set","key":"noout"}"#);
        c.ok(r#"{"prefix":"osd unset","key":"noout"}"#);
    }
    let conn = c.client();
    c.send(conn, subscribe(&[("osdmap", 3, 0)]));
    let first = c.received(conn).into_iter().find_map(|b| match b {
        Body::MOSDMap(m) => Some(m),
        _ => None,
    });
    assert_eq!(first.unwrap().oldest_map, 1);
}

#[test]
fn a_monitor_that_agrees_with_nobody_answers_who_asks_it_and_nothing_else() {
    let mut c = Cluster::on(os::MemStore::default(), &[]);
    let mons = ["a", "b", "c"].into_iter().zip(3300..).map(|(name, port)| (name.to_owned(), addr(port, 0)));
    c.mon = mon::Mon::new(mon::Setup { mons: mons.collect(), founds: true, ..setup(&[]) });
    c.input(Input::Start);
    // Recorded from real Ceph's `ceph` program.
    let payload = bytes::Bytes::from_static(b"\x0a\x08\0\0\0\x05\0\0\0admin\0\0\0\0\0\0\0\0");
    c.input(Input::Auth { conn: ConnId(77), via: Endpoint::Public, method: 1, payload });
    assert!(c.auth.is_empty(), "those who look for any monitor find another first");
    c.pass(2);
    assert!(matches!(c.auth[..], [(ConnId(77), AuthReply::Done { .. })]), "{:?}", c.auth);
    let conn = c.client();
    c.send(conn, MPing::default());
    let pong = c.received(conn);
    assert!(matches!(&pong[..], [Body::MPing(_)]), "{pong:?}");
    let (r, _, status) = c.tell(r#"{"prefix":"mon_status"}"#);
    assert!(r == 0 && status.contains(r#""state": "electing""#), "{status}");
}
