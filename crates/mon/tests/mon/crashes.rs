//! Reports of crashes: kept, listed, archived; the words are recorded ones of Ceph 16.2.15.

use crate::harness::Cluster;

/// At 1,795,000,100 s, when the harness begins.
const NOW: &str = "2026-11-18T11:08:20.000000Z";

fn report(id: &str, stamp: &str, rest: &str) -> String {
    format!(r#"{{"crash_id":"{stamp}_{id}","timestamp":"{stamp}"{rest}}}"#)
}

fn crash(c: &mut Cluster, what: &str) -> String {
    let (r, rs, data) = c.ask_mgr(&format!(r#"{{"prefix":"crash {what}"}}"#), "");
    assert_eq!(r, 0, "crash {what}: {rs}");
    data
}

fn about(c: &mut Cluster, what: &str, id: &str) -> (i32, String, String) {
    c.ask_mgr(&format!(r#"{{"prefix":"crash {what}","id":"{id}"}}"#), "")
}

fn with_three() -> Cluster {
    let mut c = Cluster::with_osds(3);
    let osd =
        r#","entity_name":"osd.1","utsname_hostname":"vm","backtrace":["(foo()+0x12) [0x55]","(bar(int)+0x1) [0x56]"]"#;
    let mon = r#","entity_name":"mon.abcdefg","utsname_hostname":"vm","assert_msg":"x thread 7f time 2020: foo.cc: 12: FAILED ceph_assert(0)\n","backtrace":["(foo()+0x12) [0x55]"]"#;
    for json in [
        report("1", "2026-11-18T10:00:00.123456Z", osd),
        report("2", "2026-11-16T10:00:00.123456Z", mon),
        report("3", "2026-10-10T10:00:00.123456Z", ""),
    ] {
        assert_eq!(c.ask_mgr(r#"{"prefix":"crash post"}"#, json), (0, String::new(), String::new()));
    }
    c
}

#[test]
fn reports_are_listed_with_whether_somebody_took_note() {
    let mut c = with_three();
    let lines = [
        "ID                             ENTITY       NEW  ",
        "2026-10-10T10:00:00.123456Z_3  unknown       *   ",
        "2026-11-16T10:00:00.123456Z_2  mon.abcdefg   *   ",
        "2026-11-18T10:00:00.123456Z_1  osd.1         *   ",
    ];
    assert_eq!(crash(&mut c, "ls"), lines.join("\n"));
    about(&mut c, "archive", "2026-11-16T10:00:00.123456Z_2");
    assert_eq!(crash(&mut c, "ls-new").lines().count(), 3);
    assert!(crash(&mut c, "ls").contains("mon.abcdefg       "));
    let stat = "3 crashes recorded\n2 older than 1 days old:\n2026-10-10T10:00:00.123456Z_3\n2026-11-16T10:00:00.123456Z_2\n\
                1 older than 3 days old:\n2026-10-10T10:00:00.123456Z_3\n1 older than 7 days old:\n2026-10-10T10:00:00.123456Z_3";
    assert_eq!(crash(&mut c, "stat"), stat);
    crash(&mut c, "archive-all");
    assert_eq!(crash(&mut c, "ls-new"), "");
    let (r, rs, _) = c.ask_mgr(r#"{"prefix":"crash prune","keep":"7"}"#, "");
    assert_eq!((r, rs.as_str()), (0, ""));
    assert_eq!(crash(&mut c, "ls").lines().count(), 3);
    about(&mut c, "rm", "2026-11-16T10:00:00.123456Z_2");
    assert_eq!(crash(&mut c, "ls").lines().count(), 2);
}

#[test]
fn a_report_is_shown_with_the_signature_that_ceph_gives_its_stack() {
    let mut c = with_three();
    let (_, _, info) = about(&mut c, "info", "2026-11-18T10:00:00.123456Z_1");
    assert!(info.starts_with("{\n    \"backtrace\": [\n        \"(foo()+0x12) [0x55]\",\n"), "{info}");
    assert!(info.contains("ec17f598835936ff08d4b2c8952fc14017f7ff6f60616b6ae8128655a16e4eb0"), "{info}");
    let (_, _, info) = about(&mut c, "info", "2026-11-16T10:00:00.123456Z_2");
    assert!(info.contains("61c8154592f41bdad7c169c8b133e1cdcc4fc8a1b066aa8efbee7388296deca3"), "{info}");
    let (r, rs, _) = about(&mut c, "info", "nix");
    assert_eq!((r, rs.as_str()), (-22, "crash info: nix not found"));
}

#[test]
fn a_report_that_is_none_is_refused_with_the_reason() {
    let mut c = Cluster::with_osds(3);
    for (json, why) in [
        ("x{", "expected value at line 1 column 1"),
        (r#"{"a":1}"#, "missing 'crash_id' field"),
        (r#"{"crash_id":"k","timestamp":"nope"}"#, "time data 'nope' does not match format '%Y-%m-%d %H:%M:%S.%f'"),
    ] {
        let (r, rs, _) = c.ask_mgr(r#"{"prefix":"crash post"}"#, json);
        assert_eq!((r, rs), (-22, format!("malformed crash metadata: {why}")));
    }
    assert_eq!(crash(&mut c, "stat"), "0 crashes recorded\n\n\n");
}

#[test]
fn a_recent_crash_is_a_warning_until_it_is_archived_or_old() {
    let mut c = with_three();
    let (severity, summary, lines) = c.check("RECENT_CRASH");
    assert_eq!((severity.as_str(), summary.as_str()), ("HEALTH_WARN", "2 daemons have recently crashed"));
    assert_eq!(lines[1], "osd.1 crashed on host vm at 2026-11-18T10:00:00.123456Z");
    about(&mut c, "archive", "2026-11-16T10:00:00.123456Z_2");
    assert_eq!(c.check("RECENT_CRASH").1, "1 daemons have recently crashed");
    c.ok(r#"{"prefix":"config set","who":"mgr","name":"mgr/crash/warn_recent_interval","value":"60"}"#);
    assert!(!c.codes().contains(&"RECENT_CRASH".to_owned()));
    c.ask_mgr(r#"{"prefix":"crash post"}"#, report("4", NOW, ""));
    let (_, _, lines) = c.check("RECENT_CRASH");
    assert_eq!(lines, [format!("unidentified daemon crashed on host (unknown) at {NOW}")]);
    let mut c = c.restart();
    assert_eq!(crash(&mut c, "ls").lines().count(), 5, "reports outlive the monitor");
}
