//! Device classes, CRUSH maps from outside, and placement by hand.

use bytes::Bytes;
use crush::CrushMap;

use crate::harness::Cluster;

fn dump(c: &mut Cluster) -> serde_json::Value {
    c.json(r#"{"prefix":"osd dump","format":"json"}"#)
}

fn crush(c: &mut Cluster) -> CrushMap {
    let conn = c.client();
    c.send(
        conn,
        messages::MMonCommand {
            paxos: 0.into(),
            fsid: crate::harness::fsid(),
            cmd: vec![r#"{"prefix":"osd getcrushmap"}"#.to_owned()],
            data: Bytes::new(),
        },
    );
    let acks = c.received(conn).into_iter().filter_map(|b| match b {
        messages::Body::MMonCommandAck(m) => Some(m.data),
        _ => None,
    });
    denc::from_bytes(acks.last().expect("an answer")).expect("a map")
}

fn set_crush(c: &mut Cluster, map: &CrushMap) -> (i32, String) {
    let (r, rs, _) = c.run_with(r#"{"prefix":"osd setcrushmap"}"#, denc::to_bytes(map, types::features::ALL));
    (r, rs)
}

fn class(c: &mut Cluster, osd: i32) -> String {
    c.ok(&format!(r#"{{"prefix":"osd crush get-device-class","ids":["{osd}"]}}"#)).trim().to_owned()
}

#[test]
fn an_osd_without_a_class_gets_its_disk_s_when_it_boots_and_one_that_a_person_chose_stays() {
    let mut c = Cluster::with_osds(2);
    assert_eq!(class(&mut c, 0), "hdd");
    c.ok(r#"{"prefix":"osd crush rm-device-class","ids":["0","1"]}"#);
    c.ok(r#"{"prefix":"osd crush set-device-class","class":"fast","ids":["1"]}"#);
    for osd in 0..2 {
        c.ok(&format!(r#"{{"prefix":"osd down","ids":["{osd}"]}}"#));
        c.boot(osd);
    }
    assert_eq!((class(&mut c, 0).as_str(), class(&mut c, 1).as_str()), ("hdd", "fast"));
}

#[test]
fn a_class_is_removed_before_another_is_set() {
    let mut c = Cluster::with_osds(1);
    let (r, rs, _) = c.run(r#"{"prefix":"osd crush set-device-class","class":"ssd","ids":["osd.0"]}"#);
    assert_eq!(r, -16, "{rs}");
    assert!(rs.contains("osd.0 has already bound to class 'hdd', can not reset class to 'ssd'"), "{rs}");
    c.ok(r#"{"prefix":"osd crush rm-device-class","ids":["osd.0"]}"#);
    c.ok(r#"{"prefix":"osd crush set-device-class","class":"ssd","ids":["osd.0"]}"#);
    assert_eq!(class(&mut c, 0), "ssd");
}

#[test]
fn a_crush_map_that_leaves_a_pool_without_osds_is_refused_with_the_reason() {
    let mut c = Cluster::with_osds(3);
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    let before = crush(&mut c);
    let text = before
        .decompile()
        .replace("step take default", "step take empty")
        .replace("# rules\n", "root empty {\n\tid -20\n\talg straw2\n\thash 0\n}\n\n# rules\n");
    let (r, rs) = set_crush(&mut c, &CrushMap::compile(&text).expect("sound text"));
    assert_eq!(r, -22, "{rs}");
    assert!(rs.contains("rule 'replicated_rule' would find no OSD") && rs.contains("pool 'p'"), "{rs}");
    assert_eq!(crush(&mut c), before);
    assert_eq!(set_crush(&mut c, &before).0, 0);
}

#[test]
fn a_temporary_mapping_that_says_what_is_so_anyway_is_dropped() {
    let mut c = Cluster::with_osds(4);
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    let up = c.json(r#"{"prefix":"pg map","pgid":"1.0","format":"json"}"#)["up"].clone();
    let ids: Vec<String> = up.as_array().unwrap().iter().map(|osd| format!("\"{osd}\"")).collect();
    let temp = |ids: &[String]| format!(r#"{{"prefix":"osd pg-temp","pgid":"1.0","id":[{}]}}"#, ids.join(","));
    c.ok(&temp(&ids));
    assert_eq!(dump(&mut c)["pg_temp"], serde_json::json!([]));
    let turned: Vec<String> = ids.iter().rev().cloned().collect();
    c.ok(&temp(&turned));
    assert_eq!(dump(&mut c)["pg_temp"].as_array().unwrap().len(), 1);
    for id in &ids {
        c.ok(&format!(r#"{{"prefix":"osd down","ids":[{id}]}}"#));
    }
    assert_eq!(dump(&mut c)["pg_temp"], serde_json::json!([]), "all of its OSDs are down");
}

#[test]
fn an_upmap_goes_when_its_osd_is_taken_out() {
    let mut c = Cluster::with_osds(4);
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    let up = c.json(r#"{"prefix":"pg map","pgid":"1.0","format":"json"}"#)["up"].clone();
    let up: Vec<i64> = up.as_array().unwrap().iter().filter_map(serde_json::Value::as_i64).collect();
    let free = (0..4).find(|osd| !up.contains(osd)).expect("three of four are used");
    c.ok(&format!(r#"{{"prefix":"osd pg-upmap-items","pgid":"1.0","id":["{}","{free}"]}}"#, up[0]));
    assert_eq!(dump(&mut c)["pg_upmap_items"].as_array().unwrap().len(), 1);
    c.ok(&format!(r#"{{"prefix":"osd out","ids":["{free}"]}}"#));
    assert_eq!(dump(&mut c)["pg_upmap_items"], serde_json::json!([]));
}

#[test]
fn what_could_lose_data_says_how_much() {
    let mut c = Cluster::with_osds(3);
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    let (r, rs, _) = c.run(r#"{"prefix":"osd lost","id":0}"#);
    assert_eq!(r, -1);
    assert!(rs.contains("8 PGs with 0 objects") && rs.contains("another copy is up"), "{rs}");
    let (r, rs, _) = c.run(r#"{"prefix":"osd pool rm","pool":"p","pool2":"p"}"#);
    assert_eq!(r, -1);
    assert!(rs.contains("It holds 0 objects"), "{rs}");
}

#[test]
fn keys_differ_and_do_not_follow_from_one_another() {
    let mut c = Cluster::new();
    let mut key = |name: &str| c.ok(&format!(r#"{{"prefix":"auth get-or-create-key","entity":"{name}"}}"#));
    let (a, b) = (key("client.a"), key("client.b"));
    assert_ne!(a, b);
    assert_eq!(key("client.a"), a, "a key stays");
}
