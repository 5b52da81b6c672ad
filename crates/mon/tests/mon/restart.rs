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

/// Asks for a global id as a new client does.
fn global_id(c: &mut Cluster) -> u64 {
    let payload = bytes::Bytes::from_static(b"\x0a\x08\0\0\0\x05\0\0\0admin\0\0\0\0\0\0\0\0");
    c.auth.clear();
    c.input(node::Input::Auth { conn: node::ConnId(9), via: node::Endpoint::Public, method: 1, payload });
    match &c.auth[0].1 {
        node::AuthReply::Done { global_id, .. } => *global_id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_crash_after_any_write_loses_nothing_acknowledged_and_repeats_no_global_id() {
    let mut c = Cluster::with_osds(2);
    let mut acked: Vec<(usize, String)> = vec![];
    let mut ids: Vec<(usize, u64)> = vec![];
    for i in 0..8 {
        ids.push((c.txns.len(), global_id(&mut c)));
        c.ok(&format!(r#"{{"prefix":"osd pool create","pool":"p{i}","pg_num":1}}"#));
        acked.push((c.txns.len(), format!("p{i}")));
    }
    let txns = std::mem::take(&mut c.txns);
    for crash in 0..=txns.len() {
        let mut store = os::MemStore::default();
        txns[..crash].iter().for_each(|t| store.apply(t).unwrap());
        let mut c = Cluster::on(store, &[]);
        c.mono += std::time::Duration::from_secs(1);
        c.input(node::Input::Start);
        let pools = c.ok(r#"{"prefix":"osd pool ls"}"#);
        for (_, name) in acked.iter().filter(|(at, _)| *at <= crash) {
            assert!(pools.lines().any(|l| l == name), "{name} lost by a crash after write {crash}");
        }
        let fresh = global_id(&mut c);
        assert!(!ids.iter().any(|(at, id)| *at <= crash && *id == fresh), "id {fresh} given twice");
    }
}

#[test]
fn another_cluster_s_store_is_refused() {
    let c = Cluster::new();
    let mut setup = crate::harness::setup(&[]);
    setup.fsid = types::Uuid([7; 16]);
    let mut other = Cluster::on(c.store, &[]);
    other.mon = mon::Mon::new(setup);
    other.input(node::Input::Start);
    assert_eq!(other.exited, Some(1));
}
