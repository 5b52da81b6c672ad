//! What was acknowledged is there after kill -9.

use crate::harness::Cluster;

#[test]
fn everything_acknowledged_survives_the_monitor() {
    let mut c = Cluster::with_osds(3);
    c.ok(r#"{"prefix":"osd pool create","pool":"p"}"#);
    c.ok(r#"{"prefix":"config-key set","key":"k","val":"v"}"#);
    c.ok(r#"{"prefix":"config set","who":"osd","name":"debug_osd","value":"5/5"}"#);
    c.ok(r#"{"prefix":"auth get-or-create","entity":"client.x","caps":["mon","allow r"]}"#);
    let before = c.ok(r#"{"prefix":"osd dump"}"#);
    let key = c.ok(r#"{"prefix":"auth get-key","entity":"client.x"}"#);
    let mut c = c.restart();
    assert_eq!(c.ok(r#"{"prefix":"osd dump"}"#), before);
    assert_eq!(c.ok(r#"{"prefix":"config-key get","key":"k"}"#), "v");
    assert_eq!(c.ok(r#"{"prefix":"auth get-key","entity":"client.x"}"#), key);
    assert!(c.ok(r#"{"prefix":"config dump"}"#).contains("debug_osd"));
    c.ok(r#"{"prefix":"osd pool create","pool":"q"}"#);
}

#[test]
fn what_comes_before_the_first_map_waits_for_it() {
    let mut c = Cluster::on(os::MemStore::default(), &[]);
    let uuid = "e3bf4d29-68f2-4a05-a2ba-bd3c132ec808";
    c.input_all([
        node::Input::Start,
        node::Input::Admin { id: 1, command: format!(r#"{{"prefix":"osd new","uuid":"{uuid}","id":"0"}}"#) },
    ]);
    assert!(c.ok(r#"{"prefix":"osd dump"}"#).contains(uuid));
}

#[test]
fn hundreds_of_changes_are_compacted_and_survive() {
    let mut c = Cluster::new();
    for i in 0..450 {
        c.ok(&format!(r#"{{"prefix":"config-key set","key":"k{i}","val":"{i}"}}"#));
    }
    let mut c = c.restart();
    assert_eq!(c.ok(r#"{"prefix":"config-key get","key":"k17"}"#), "17");
    assert_eq!(c.ok(r#"{"prefix":"config-key get","key":"k449"}"#), "449");
}
