//! Every command of the table with missing, extra, mistyped and absurd arguments: it is answered, nothing panics,
//! and what is refused changes nothing. `MON_FUZZ=1000` tries each command so often; `MON_FUZZ_SEED` chooses how.

use bytes::Bytes;
use messages::{Body, MCommand};
use node::{ConnId, Endpoint, Input, Peer};
use serde_json::{Map, Value, json};
use types::{EntityName, features};

use crate::harness::{Cluster, addr, fsid};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const INTS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "8",
    "-1",
    "99",
    "4096",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967295",
    "9223372036854775807",
    "1e3",
];
const FLOATS: [&str; 12] = ["0", "0.5", "1", "1.0", "-0.1", "2", "1e300", "-1e-300", "NaN", "inf", "0x1p3", "0,5"];
const NAMES: [&str; 24] = [
    "p",
    "q",
    "osd.0",
    "osd.1",
    "0",
    "1",
    "vm",
    "default",
    "hdd",
    "host",
    "root",
    "mon",
    "mgr",
    "global",
    "osd",
    "client.admin",
    "replicated_rule",
    "size",
    "pg_num",
    "osd_heartbeat_grace",
    "debug_ms",
    "all",
    "a",
    "mon.a",
];
const ODD: [&str; 16] = [
    "",
    " ",
    "*",
    "osd.",
    "osd.-1",
    "osd.99999999999999999999",
    "a/b",
    "a:b/c:d",
    "\u{0}",
    "ü\u{202e}",
    "%s%n",
    "{}",
    "[]",
    "--",
    "../../x",
    "1.0.0",
];
const PGS: [&str; 8] = ["1.0", "1.7", "1.8", "1.ffffffff", "99.0", "1", "1.", "x.y"];

fn text(d: &mut Dice, kind: &str, spec: &Map<String, Value>) -> String {
    if d.roll(8) == 0 {
        return if d.roll(4) == 0 { "x".repeat(70_000) } else { d.one(&ODD).to_owned() };
    }
    match kind {
        "CephInt" => d.one(&INTS).to_owned(),
        "CephFloat" => d.one(&FLOATS).to_owned(),
        "CephChoices" => {
            let strings: Vec<&str> = spec["strings"].as_str().unwrap().split('|').collect();
            d.one(&strings).to_owned()
        }
        "CephPgid" => d.one(&PGS).to_owned(),
        "CephBool" => d.one(&["true", "false", "--yes-i-really-mean-it"]).to_owned(),
        "CephUUID" => {
            d.one(&["2f9e1c1a-5a5e-4a3c-9f0e-000102030405", "x", "00000000-0000-0000-0000-000000000000"]).into()
        }
        "CephEntityAddr" => d.one(&["1.2.3.4", "1.2.3.4:5/6", "v2:[::1]:1/2", "1.2.3.0/24", ":", "-"]).to_owned(),
        "CephOsdName" => d.one(&["osd.0", "osd.1", "2", "3", "99", "any", "osd.x"]).to_owned(),
        "CephPoolname" => d.one(&["p", "q", "nosuch", ".p"]).to_owned(),
        "CephIPAddr" => d.one(&["127.0.0.1", "127.0.0.1:0/0", "::1", "[::1]:300000"]).to_owned(),
        _ => d.one(&NAMES).to_owned(),
    }
}

fn value(d: &mut Dice, spec: &Map<String, Value>) -> Value {
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("CephString");
    match d.roll(24) {
        0 => Value::Null,
        1 => json!({"a": [1, {"b": null}]}),
        2 => json!([[], [1], "x"]),
        3 => json!(true),
        4 => json!(-1),
        5 => json!(1e308),
        6 => json!(u64::MAX),
        _ if spec.contains_key("n") => (0..d.roll(4)).map(|_| text(d, kind, spec)).collect::<Vec<_>>().into(),
        _ => {
            let text = text(d, kind, spec);
            let number = serde_json::from_str::<Value>(&text).ok().filter(|v| v.is_number() && d.roll(3) > 0);
            number.unwrap_or(Value::String(text))
        }
    }
}

fn command(d: &mut Dice, sig: &[Value]) -> Value {
    let words: Vec<&str> = sig.iter().filter_map(Value::as_str).collect();
    let mut cmd = json!({"prefix": words.join(" ")});
    for spec in sig.iter().filter_map(Value::as_object) {
        let required = spec.get("req").and_then(Value::as_str).is_none_or(|r| r.eq_ignore_ascii_case("true"));
        if d.roll(if required { 12 } else { 2 }) > 0 {
            cmd[spec["name"].as_str().unwrap()] = value(d, spec);
        }
    }
    if d.roll(10) == 0 {
        cmd["extra"] = json!("what");
    }
    cmd["format"] = d.one(&["plain", "json", "json-pretty", "xml", "yaml"]).into();
    if d.roll(4) == 0 {
        cmd["yes_i_really_mean_it"] = json!(true);
    }
    cmd
}

fn cluster() -> Cluster {
    let mut c = Cluster::with(&[("mon_allow_pool_size_one", "true")]);
    (0..3).for_each(|osd| _ = c.boot(osd));
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    c.pass(1);
    c
}

/// To the manager; its answer, if there is one at once.
fn ask_mgr(c: &mut Cluster, cmd: &str) -> Option<i32> {
    let conn = ConnId(777_777);
    let (name, addrs) = (EntityName::client(4242), addr(0, 6).into());
    let peer = Peer { name, addrs, features: features::ALL, global_id: 4242, entity: "client.admin".into() };
    c.input(Input::Connected { conn, via: Endpoint::Mgr, peer, incoming: true });
    let m = MCommand { fsid: fsid(), cmd: vec![cmd.to_owned()], data: Bytes::new() };
    c.input(Input::Message { conn, via: Endpoint::Mgr, msg: m.into() });
    let reply = c.received(conn).into_iter().find_map(|b| match b {
        Body::MCommandReply(m) => Some(m.r),
        _ => None,
    });
    c.input(Input::Reset { conn });
    reply
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn no_command_panics_and_what_is_refused_changes_nothing() {
    let mut d = Dice(number("MON_FUZZ_SEED", 0x5eed));
    let table = cluster().json(r#"{"prefix":"get_command_descriptions"}"#);
    let data =
        [Bytes::new(), Bytes::from_static(b"[global]\nfsid = x\n[osd.x\nosd_heartbeat_grace=5"), vec![7; 999].into()];
    let mut wrong = vec![];
    let (mut done, mut refused) = (0, 0);
    for entry in table.as_object().unwrap().values() {
        let sig = entry["sig"].as_array().unwrap();
        let (mgr, tell) = (entry["flags"].as_u64().unwrap() & 8 != 0, entry["flags"].as_u64().unwrap() & 1 != 0);
        let mut c = cluster();
        for _ in 0..number("MON_FUZZ", 12) {
            let cmd = command(&mut d, sig).to_string();
            let before = c.txns.len();
            let r = if mgr {
                ask_mgr(&mut c, &cmd).unwrap_or_else(|| panic!("{cmd} was not answered"))
            } else if tell {
                c.tell(&cmd).0
            } else {
                c.run_with(&cmd, data[d.roll(data.len())].clone()).0
            };
            (done, refused) = (done + 1, refused + u64::from(r < 0));
            let cmd = &cmd[..cmd.len().min(300)];
            if r < 0 && c.txns.len() != before {
                wrong.push(format!("{r}, and yet something changed: {cmd}"));
            }
            assert!(c.exited.is_none(), "the monitor ended: {cmd}");
            if !(-200..=0).contains(&r) {
                wrong.push(format!("{r} is no errno: {cmd}"));
            }
        }
        c.pass(2);
        assert!(c.ok(r#"{"prefix":"health"}"#).starts_with("HEALTH_"), "after {}", entry["sig"]);
    }
    assert!(wrong.is_empty(), "{} of {done}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused * 10 < done * 9, "{refused} of {done} refused: nothing of them is tried in earnest");
}

#[test]
fn what_is_no_command_at_all_is_refused() {
    let mut c = cluster();
    let before = c.txns.len();
    let deep = "[".repeat(100_000);
    for cmd in ["", "{", "null", "[]", "{\"prefix\":1}", "{\"prefix\":\"\"}", "{\"prefix\":[\"osd\"]}", "\u{0}", &deep]
    {
        let (r, rs, _) = c.run(cmd);
        assert_eq!(r, -22, "{}: {rs}", &cmd[..cmd.len().min(40)]);
    }
    assert_eq!(c.txns.len(), before);
}
