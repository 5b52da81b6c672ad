//! Commands: answers, errors, and shapes as real Ceph gives them.

use crate::harness::Cluster;

#[test]
fn unknown_commands_and_wrong_arguments_are_refused_as_in_ceph() {
    let mut c = Cluster::new();
    assert_eq!(c.run(r#"{"prefix":"nosuch"}"#), (-22, "command not known".to_owned(), String::new()));
    assert_eq!(c.run(r#"{"prefix":"osd pool create"}"#).0, -22);
    let (r, rs, _) = c.run(r#"{"prefix":"osd pool get","pool":"nosuchpool","var":"size"}"#);
    assert_eq!((r, rs.as_str()), (-2, "unrecognized pool 'nosuchpool'"));
    c.ok(r#"{"prefix":"osd pool create","pool":"p"}"#);
    let (r, rs, _) = c.run(r#"{"prefix":"osd pool set","pool":"p","var":"size","val":"0"}"#);
    assert_eq!((r, rs.as_str()), (-22, "pool size must be between 1 and 10"));
}

#[test]
fn the_descriptions_are_served_with_the_manager_s() {
    let mut c = Cluster::new();
    let all = c.json(r#"{"prefix":"get_command_descriptions"}"#);
    let all = all.as_object().unwrap();
    let of = |words: &[&str]| {
        all.values().find(|d| {
            let sig: Vec<_> = d["sig"].as_array().unwrap().iter().filter_map(|w| w.as_str()).collect();
            sig == words
        })
    };
    assert_eq!(of(&["osd", "pool", "create"]).unwrap()["flags"], 0);
    assert_eq!(of(&["pg", "dump"]).unwrap()["flags"], 8);
}
