//! Commands: answers, errors, and shapes as real Ceph gives them.

use bytes::Bytes;
use messages::{Body, MCommand, MMonCommand, Message};
use node::{Endpoint, Input};

use crate::harness::{Cluster, fsid};

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

#[test]
fn settings_are_kept_as_ceph_writes_them_and_what_does_not_fit_is_refused_with_the_reason() {
    let mut c = Cluster::new();
    let set = |c: &mut Cluster, who: &str, name: &str, value: &str| {
        c.run(&format!(r#"{{"prefix":"config set","who":"{who}","name":"{name}","value":"{value}"}}"#))
    };
    for (name, value, kept) in [
        ("osd_recovery_sleep", "0.5", "0.500000"),
        ("bluestore_cache_size", "4G", "4294967296"),
        ("debug_osd", "5", "5/5"),
        ("debug_ms", "1/10", "1/10"),
        ("osd_max_backfills", "3", "3"),
    ] {
        assert_eq!(set(&mut c, "osd", name, value).0, 0, "{name}");
        assert_eq!(c.ok(&format!(r#"{{"prefix":"config get","who":"osd.1","key":"{name}"}}"#)), format!("{kept}\n"));
    }
    for (who, name, value, why) in [
        ("osd", "nosuch", "1", "unrecognized config option 'nosuch'"),
        ("mon", "mon_host", "x", "mon_host is special and cannot be stored by the mon"),
        (
            "osd",
            "debug_osd",
            "banana",
            "error parsing value: debug_osd: 'banana' is not of the form N or N/M, where N and M are integers",
        ),
        ("osd", "osd_pool_default_size", "99", "error parsing value: osd_pool_default_size: '99' is not at most 10"),
        ("nix", "osd_max_backfills", "1", "unrecognized config target 'nix'"),
    ] {
        assert_eq!(set(&mut c, who, name, value), (-22, why.to_owned(), String::new()), "{name}");
    }
    let (r, rs, _) = c.run(r#"{"prefix":"config get","who":"osd.1","key":"nosuch"}"#);
    assert_eq!((r, rs.as_str()), (-2, "unrecognized key 'nosuch'"));
}

#[test]
fn what_a_monitor_has_not_answered_yet_is_listed_with_its_age() {
    let mut c = Cluster::new();
    let (client, other) = (c.client(), c.client());
    let cmd = vec![r#"{"prefix":"osd set","key":"noout"}"#.to_owned()];
    let set = MMonCommand { paxos: 0.into(), fsid: fsid(), cmd, data: Bytes::new() };
    let ops = MCommand { fsid: fsid(), cmd: vec![r#"{"prefix":"ops"}"#.into()], data: Bytes::new() };
    let message = |conn, msg: Message| Input::Message { conn, via: Endpoint::Public, msg };
    // Not durable yet, when the other one asks.
    c.input_all([message(client, set.into()), message(other, ops.into())]);
    let listed = c.received(other).into_iter().find_map(|b| match b {
        Body::MCommandReply(m) => Some(String::from_utf8_lossy(&m.data).into_owned()),
        _ => None,
    });
    let listed: serde_json::Value = serde_json::from_str(&listed.expect("an answer")).expect("json");
    assert_eq!(listed["num_ops"], 1);
    assert_eq!(listed["ops"][0]["description"], r#"mon_command({"prefix":"osd set","key":"noout"} v 0)"#);
    assert_eq!(listed["ops"][0]["type_data"]["info"]["source"], "client.4242");
    assert!(c.tell(r#"{"prefix":"ops"}"#).2.contains(r#""num_ops": 0"#), "it was answered meanwhile");
}

#[test]
fn a_pool_takes_only_settings_that_mean_something() {
    let mut c = Cluster::with_osds(3);
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    let mut set =
        |var: &str, val: &str| c.run(&format!(r#"{{"prefix":"osd pool set","pool":"p","var":"{var}","val":"{val}"}}"#));
    for (var, val, why) in [
        ("compression_mode", "nonsense", "unrecognized compression mode 'nonsense'"),
        ("compression_algorithm", "nonsense", "unrecognized compression_algorithm 'nonsense'"),
        ("compression_required_ratio", "2", "compression_required_ratio is out of range (0-1): '2'"),
        ("csum_type", "nonsense", "unrecognized csum_type 'nonsense'"),
        ("pg_autoscale_mode", "nonsense", "specified invalid mode nonsense"),
        ("pg_num_min", "9", "specified pg_num_min 9 > pg_num 8"),
        ("recovery_priority", "99", "pool recovery_priority must be between -10 and 10"),
        ("target_size_ratio", "-1", "target_size_ratio cannot be negative"),
        ("scrub_priority", "x", "error parsing integer value 'x': Expected option value to be integer, got 'x'"),
    ] {
        assert_eq!(set(var, val), (-22, why.to_owned(), String::new()), "{var} {val}");
    }
    assert_eq!(set("csum_type", "crc32c").1, "set pool 1 csum_type to crc32c");
    let get = r#"{"prefix":"osd pool get","pool":"p","var":"csum_type"}"#;
    assert_eq!(c.ok(get), "csum_type: crc32c\n");
    let unset = r#"{"prefix":"osd pool set","pool":"p","var":"csum_type","val":"unset"}"#;
    assert_eq!(c.run(unset).1, "unset pool 1 csum_type");
    assert_eq!(c.run(get).0, -2);
}

#[test]
fn what_is_said_of_the_version_a_range_and_unknown_names_is_what_ceph_says() {
    let mut c = Cluster::with_osds(3);
    assert!(c.ok(r#"{"prefix":"version"}"#).starts_with("ceph version 16.2.15"));
    assert!(c.ok(r#"{"prefix":"version","format":"json"}"#).starts_with(r#"{"version":"ceph version 16.2.15"#));
    let mut says = |json: &str| {
        let (r, rs, _) = c.run(json);
        (r, rs)
    };
    let range = r#"{"prefix":"osd blocklist","range":"range","blocklistop":"add","addr":"10.7.0.0/24"}"#;
    assert!(says(range).1.starts_with("blocklisting cidr:10.7.0.0:0/24 until "));
    for (json, r, rs) in [
        (r#"{"prefix":"mon_status"}"#, -22, "unrecognized command"),
        (r#"{"prefix":"mon metadata","id":"nosuch"}"#, -2, "requested mon not found"),
        (r#"{"prefix":"mgr metadata","who":"nosuch"}"#, -2, "mgr.nosuch does not exist"),
        (
            r#"{"prefix":"osd set-require-min-compat-client","version":"quincy"}"#,
            -22,
            "version quincy is not recognized",
        ),
        (r#"{"prefix":"auth get","entity":"nosuch"}"#, -22, "invalid entity_auth nosuch"),
        (r#"{"prefix":"auth rm","entity":"nosuch"}"#, -22, "bad entity name"),
        (
            r#"{"prefix":"auth add","entity":"client.a","caps":["mon"]}"#,
            -22,
            "bad capabilities request; odd number of arguments",
        ),
        (
            r#"{"prefix":"auth add","entity":"client.a","caps":["mon","nonsense"]}"#,
            -22,
            "mon capability parse failed, stopped at 'nonsense' of 'nonsense'",
        ),
    ] {
        assert_eq!(says(json), (r, rs.to_owned()), "{json}");
    }
    assert_eq!(says(r#"{"prefix":"config reset","num":99999}"#).0, -22);
    let listed = c.ok(r#"{"prefix":"osd blocklist ls"}"#);
    assert!(listed.starts_with("cidr:10.7.0.0:0/24 "), "{listed}");
}

#[test]
fn a_number_that_is_too_large_is_refused_and_not_taken_for_another() {
    let mut c = Cluster::with_osds(3);
    for (json, r) in [
        (r#"{"prefix":"osd pool create","pool":"p","pg_num":5000000000}"#, -34),
        (r#"{"prefix":"osd pool create","pool":"p","pg_num":8,"pgp_num":5000000000}"#, -34),
        (r#"{"prefix":"osd pool create","pool":"p","pg_num":99999999999999999999}"#, -22),
        (r#"{"prefix":"osd setmaxosd","newmax":5000000000}"#, -34),
    ] {
        let (got, rs, _) = c.run(json);
        assert_eq!(got, r, "{json}: {rs}");
    }
    assert_eq!(c.ok(r#"{"prefix":"osd pool ls"}"#), "");
    let add = r#"{"prefix":"osd blocklist","blocklistop":"add","addr":"1.2.3.4:5/6","expire":1e300}"#;
    let (_, rs, _) = c.run(add);
    assert!(rs.contains("until 2106-"), "{rs}");
}

#[test]
fn what_is_described_is_answered() {
    let mut c = Cluster::with_osds(1);
    let described = c.json(r#"{"prefix": "get_command_descriptions"}"#);
    for command in described.as_object().unwrap().values() {
        let words = command["sig"].as_array().unwrap().iter().map_while(|w| w.as_str());
        let prefix = words.collect::<Vec<_>>().join(" ");
        let (r, rs, _) = c.run(&serde_json::json!({ "prefix": prefix }).to_string());
        let unanswered =
            ["unrecognized command", "command not known", "No handler found"].iter().any(|w| rs.contains(w));
        let is_tell = command["flags"] == types::command::FLAG_TELL;
        assert!(!unanswered || is_tell, "{prefix}: {r} {rs}");
    }
}

#[test]
fn a_monitor_s_rank_weight_and_place_are_in_the_map() {
    let mut c = Cluster::new();
    c.ok(r#"{"prefix": "mon set-weight", "name": "a", "weight": 20}"#);
    c.ok(r#"{"prefix": "mon set_location", "name": "a", "args": ["host=x", "rack=y"]}"#);
    c.ok(r#"{"prefix": "mon set-rank", "name": "a", "rank": 0}"#);
    let map = c.json(r#"{"prefix": "mon dump", "format": "json"}"#);
    assert_eq!((&map["mons"][0]["weight"], &map["mons"][0]["crush_location"]), (&20.into(), &"{host=x,rack=y}".into()));
    // Ceph takes a rank that there is not, and changes nothing.
    assert_eq!(c.run(r#"{"prefix": "mon set-rank", "name": "a", "rank": 7}"#).0, 0);
    for (json, errno, words) in [
        (r#"{"prefix": "mon set-rank", "name": "z", "rank": 0}"#, 2, "mon.z does not exist in monmap"),
        (r#"{"prefix": "mon set-weight", "name": "z", "weight": 3}"#, 2, "mon.z does not exist"),
        (r#"{"prefix": "mon set_location", "name": "a", "args": ["nonsense"]}"#, 22, "We could not parse your input"),
        (
            r#"{"prefix": "mon set-addrs", "name": "a", "addrs": "127.0.0.1"}"#,
            22,
            "monitor must bind to a non-zero port",
        ),
        (r#"{"prefix": "mon feature set", "feature_name": "x"}"#, 2, "unknown feature 'x'"),
        (r#"{"prefix": "mon feature set", "feature_name": "kraken"}"#, 1, "please specify '--yes-i-really-mean-it' if"),
        (r#"{"prefix": "mon set election_strategy", "strategy": "connectivity"}"#, 95, "monitors elect their leader"),
        (r#"{"prefix": "mon add disallowed_leader", "name": "a"}"#, 22, "You cannot disallow monitors in your current"),
    ] {
        let (r, rs, _) = c.run(json);
        assert!(r == -errno && rs.starts_with(words), "{json}: {r} {rs}");
    }
}

#[test]
fn there_are_no_cache_tiers_and_no_file_systems_and_ceph_s_words_say_so() {
    let mut c = Cluster::with_osds(3);
    for pool in ["p1", "p2"] {
        c.ok(&format!(r#"{{"prefix": "osd pool create", "pool": "{pool}", "pg_num": 1}}"#));
    }
    for (json, r, words) in [
        (r#"{"prefix": "osd tier add", "pool": "p1", "tierpool": "p2"}"#, -95, "there are no cache tiers here"),
        (r#"{"prefix": "osd tier add", "pool": "p1", "tierpool": "x"}"#, -2, "unrecognized pool 'x'"),
        (
            r#"{"prefix": "osd tier rm", "pool": "p1", "tierpool": "p2"}"#,
            0,
            "pool 'p2' is now (or already was) not a tier of 'p1'",
        ),
        (r#"{"prefix": "osd tier rm-overlay", "pool": "p1"}"#, 0, "there is now (or already was) no overlay for 'p1'"),
        (r#"{"prefix": "osd tier cache-mode", "pool": "p2", "mode": "none"}"#, -22, "pool 'p2' is not a tier"),
        (
            r#"{"prefix": "osd tier set-overlay", "pool": "p1", "overlaypool": "p2"}"#,
            -22,
            "tier pool 'p2' is not a tier of 'p1'",
        ),
        (r#"{"prefix": "fs new", "fs_name": "x", "metadata": "p1", "data": "z"}"#, -2, "pool 'z' does not exist"),
        (
            r#"{"prefix": "fs new", "fs_name": "x", "metadata": "p1", "data": "p2"}"#,
            -95,
            "there are no metadata servers",
        ),
        (r#"{"prefix": "fs get", "fs_name": "x"}"#, -2, "filesystem 'x' not found"),
        (r#"{"prefix": "fs fail", "fs_name": "x"}"#, -2, "Filesystem not found: 'x'"),
        (r#"{"prefix": "fs rm", "fs_name": "x"}"#, 0, "filesystem 'x' does not exist"),
        (r#"{"prefix": "mds ok-to-stop", "ids": ["a", "b"]}"#, 0, "should be safe to stop [a,b]"),
    ] {
        let (got, rs, _) = c.run(json);
        assert!(got == r && rs.starts_with(words), "{json}: {got} {rs}");
    }
}

#[test]
fn noautoscale_turns_the_autoscaler_off_for_all_pools_and_those_to_come() {
    let mut c = Cluster::with_osds(3);
    c.ok(r#"{"prefix": "osd pool create", "pool": "p1", "pg_num": 1, "autoscale_mode": "warn"}"#);
    let said = |c: &mut Cluster, verb: &str| c.run(&format!(r#"{{"prefix": "osd pool {verb} noautoscale"}}"#)).1;
    let mode = |c: &mut Cluster, pool: &str| {
        let get =
            format!(r#"{{"prefix": "osd pool get", "pool": "{pool}", "var": "pg_autoscale_mode", "format": "json"}}"#);
        c.json(&get)["pg_autoscale_mode"].as_str().unwrap().to_owned()
    };
    assert_eq!(said(&mut c, "get"), "noautoscale is off");
    assert_eq!(said(&mut c, "unset"), "noautoscale is already unset!");
    assert_eq!(said(&mut c, "set"), "noautoscale is set, all pools now have autoscale off");
    assert_eq!(said(&mut c, "get"), "noautoscale is on");
    assert_eq!(mode(&mut c, "p1"), "off");
    assert_eq!(said(&mut c, "unset"), "noautoscale is unset, all pools now have autoscale on");
    assert_eq!(mode(&mut c, "p1"), "on");
    let get = r#"{"prefix": "config get", "who": "mon", "key": "osd_pool_default_pg_autoscale_mode"}"#;
    assert_eq!(c.ok(get), "on\n");
}

#[test]
fn a_report_has_the_sections_that_ceph_s_has() {
    let mut c = Cluster::with_osds(1);
    let (r, rs, text) = c.run(r#"{"prefix": "report"}"#);
    assert!(r == 0 && rs.strip_prefix("report ").is_some_and(|crc| crc.parse::<u32>().is_ok()), "{rs}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    // Recorded from 16.2.15.
    let recorded = "cluster_fingerprint version commit timestamp tag health monmap_first_committed \
                    monmap_last_committed monmap quorum osdmap osd_metadata osdmap_clean_epochs \
                    osdmap_first_committed osdmap_last_committed crushmap fsmap mdsmap_first_committed \
                    mdsmap_last_committed auth num_pg num_pg_active num_pg_unknown num_osd pool_sum osd_sum \
                    osd_sum_by_class pool_stats osd_stats num_pg_by_state num_pg_by_osd purged_snaps servicemap paxos";
    assert_eq!(keys, recorded.split_whitespace().collect::<Vec<_>>());
}
