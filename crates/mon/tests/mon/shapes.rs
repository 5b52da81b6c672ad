//! Answers have the fields and the nesting that real Ceph's have (recorded from 16.2.15).

use std::io::Read;

use serde_json::Value;

use crate::harness::Cluster;

/// Where keys are data: daemons' fields, versions, addresses, names.
const FREE: [&str; 15] = [
    "health.checks",
    "status.health.checks",
    "status.pgmap",
    "osd dump.blocklist",
    "osd dump.erasure_code_profiles",
    "osd dump.pools[].application_metadata",
    "osd pool ls.[].application_metadata",
    "config get",
    "auth ls.auth_dump[].caps",
    "node ls.",
    "config log.[].changes[]",
    "osd pool application get",
    "mgr dump.always_on_modules",
    "features",
    "mon_status.feature_map",
];

/// What differs between `real` and `ours`, by path. Of arrays the first items are compared.
fn differences(path: &str, real: &Value, ours: &Value, out: &mut Vec<String>) {
    if FREE.iter().any(|free| path.starts_with(free)) {
        return;
    }
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = |m: &serde_json::Map<String, Value>| m.keys().cloned().collect::<Vec<_>>();
            if keys(a) != keys(b) {
                out.push(format!("{path}: fields are {:?}, not {:?}", keys(b), keys(a)));
            }
            for (key, value) in a {
                if let Some(other) = b.get(key) {
                    differences(&format!("{path}.{key}"), value, other, out);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if let (Some(a), Some(b)) = (a.first(), b.first()) {
                differences(&format!("{path}[]"), a, b, out);
            }
        }
        (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
            out.push(format!("{path}: {b} is not of the kind of {a}"));
        }
        _ => {}
    }
}

#[test]
fn answers_have_the_recorded_fields_in_the_recorded_order() {
    let mut text = String::new();
    let packed: &[u8] = include_bytes!("../../testdata/cli-healthy.json.gz");
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let recorded: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut c = Cluster::with_osds(3);
    for command in [
        r#"{"prefix":"osd pool create","pool":"rbdpool","pg_num":16}"#,
        r#"{"prefix":"osd pool application enable","pool":"rbdpool","app":"rbd"}"#,
        r#"{"prefix":"osd blocklist","blocklistop":"add","addr":"127.0.0.1:1234/99"}"#,
        r#"{"prefix":"config set","who":"osd","name":"debug_ms","value":"0/0"}"#,
    ] {
        c.ok(command);
    }
    let mut wrong = vec![];
    for row in &recorded {
        let command = row["cmd"].to_string();
        let (r, rs, data) = if row["tell"] == true { c.tell(&command) } else { c.run(&command) };
        let Ok(ours) = serde_json::Deserializer::from_str(&data).into_iter().next().unwrap_or(Ok(Value::Null)) else {
            wrong.push(format!("{command}: {r} {rs} {data}"));
            continue;
        };
        differences(row["cmd"]["prefix"].as_str().unwrap(), &row["recorded"], &ours, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(recorded.len() > 50);
}

/// Bytes as real Ceph sends them, so that scripts see the same lines: of each command how `-f json` and `-f xml` begin
/// and end.
#[test]
fn answers_end_their_lines_and_name_their_elements_as_in_ceph() {
    let mut c = Cluster::with_osds(3);
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    let ended = [
        ("df", "stats"),
        ("config-key ls", "keys"),
        ("fs dump", "fsmap"),
        ("mon dump", "monmap"),
        ("mon stat", "monmap"),
        ("node ls", "nodes"),
        ("osd dump", "osdmap"),
        ("osd info", "osds"),
        ("osd ls", "osds"),
        ("osd lspools", "pools"),
        ("osd tree", "tree"),
        ("quorum_status", "quorum_status"),
        ("status", "status"),
    ];
    let bare = [
        ("health", "health"),
        ("mgr stat", "stat"),
        ("mon versions", "ceph_version"),
        ("osd crush rule ls", "rules"),
        ("osd pool ls", "pools"),
        ("osd stat", "osdmap"),
        ("osd versions", "ceph_version"),
        ("versions", "version"),
    ];
    for (commands, end) in [(&ended[..], "\n"), (&bare[..], "")] {
        for (prefix, root) in commands {
            let json = c.ok(&format!(r#"{{"prefix":"{prefix}","format":"json"}}"#));
            assert_eq!(&json[json.trim_end().len()..], end, "{prefix}");
            let xml = c.ok(&format!(r#"{{"prefix":"{prefix}","format":"xml"}}"#));
            assert!(xml.starts_with(&format!("<{root}>")), "{prefix}: {xml}");
            assert_eq!(&xml[xml.trim_end().len()..], end, "{prefix}");
            let pretty = c.ok(&format!(r#"{{"prefix":"{prefix}","format":"json-pretty"}}"#));
            assert!(pretty.ends_with("\n") && !pretty.ends_with("\n\n"), "{prefix}");
        }
    }
    let quota = c.ok(r#"{"prefix":"osd pool get-quota","pool":"p","format":"json-pretty"}"#);
    assert!(quota.ends_with("}\n\n"), "the one that ends twice");
}

#[test]
fn the_manager_ends_and_names_its_answers_as_ceph_does() {
    let mut c = Cluster::with_osds(3);
    let mut ask = |prefix: &str, format: &str| {
        let (r, rs, data) = c.ask_mgr(&format!(r#"{{"prefix":"{prefix}","format":"{format}"}}"#), "");
        assert_eq!(r, 0, "{prefix}: {rs}");
        data
    };
    assert!(ask("osd perf", "json").ends_with("]}\n}"), "the inner part is a line of its own");
    assert!(ask("osd perf", "json-pretty").ends_with("    }\n\n}\n"));
    let xml = ask("pg stat", "xml");
    assert!(xml.starts_with("<pg_info>") && xml.ends_with("\n</pg_info>"), "{xml}");
    assert!(ask("pg ls", "json").ends_with("]}"));
    assert!(ask("osd df", "json").ends_with("}\n"));
    assert!(ask("osd df", "xml").starts_with("<df>"));
    assert!(ask("osd pool stats", "xml").starts_with("<pool_stats>"));
    assert!(ask("balancer status", "json").starts_with("{\n"), "modules answer pretty, whatever the format");
    for format in ["plain", "json-pretty", "xml"] {
        assert!(ask("pg dump_json", format).starts_with(r#"{"pg_ready":true,"pg_map":"#));
    }
}

#[test]
fn the_manager_tells_of_itself_what_every_daemon_does() {
    let mut c = Cluster::with_osds(1);
    let mut ask = |json: &str| c.ask_mgr(json, "");
    let (_, _, version) = ask(r#"{"prefix":"version","format":"json"}"#);
    assert!(version.starts_with(r#"{"version":"16.2.15"#), "{version}");
    let get = r#"{"prefix":"config get","var":"mgr_stats_period","format":"json"}"#;
    assert_eq!(ask(get).2, r#"{"mgr_stats_period":"5"}"#);
    let (_, _, set) = ask(r#"{"prefix":"config set","var":"mgr_stats_period","val":["7"],"format":"json"}"#);
    assert_eq!(set, r#"{"success":"mgr_stats_period = '7' "}"#);
    assert_eq!(ask(get).2, r#"{"mgr_stats_period":"7"}"#);
    assert_eq!(ask(r#"{"prefix":"config get","var":"nonsense"}"#).0, -2);
    let (_, _, status) = ask(r#"{"prefix":"mgr_status","format":"json"}"#);
    assert!(status.ends_with(r#","initialized":true}"#), "{status}");
    // What is not its own is the cluster's: clients from before octopus ask so.
    assert_eq!(ask(r#"{"prefix":"pg stat"}"#).0, 0);
    assert_eq!(ask(r#"{"prefix":"nonsense"}"#).0, -22);
}
