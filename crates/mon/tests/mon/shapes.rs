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
