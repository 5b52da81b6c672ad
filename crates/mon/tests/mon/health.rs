//! Each health check: what raises it, what it says, what clears it.

use std::collections::BTreeMap;

use messages::{MOSDFull, MPGStats};
use types::flags::pg_state;
use types::{HbPing, PgId, PgStat, PingTimes, UTime};

use crate::harness::{Cluster, addr};

fn with_pool(options: &[(&str, &str)]) -> Cluster {
    let mut c = Cluster::with(options);
    (0..3).for_each(|osd| _ = c.boot(osd));
    c.ok(r#"{"prefix":"osd pool create","pool":"p","pg_num":8}"#);
    c
}

/// PG 1.0 as its primary, osd.0, reports it.
fn pg(state: u64, change: impl FnOnce(&mut PgStat)) -> MPGStats {
    let mut stat = PgStat { state, acting: vec![0, 1, 2], up: vec![0, 1, 2], ..PgStat::default() };
    (stat.reported_epoch, stat.reported_seq, stat.acting_primary) = (9, 9, 0);
    stat.last_change = UTime { sec: 1_795_000_000, nsec: 0 };
    (stat.last_scrub_stamp, stat.last_deep_scrub_stamp) = (stat.last_change, stat.last_change);
    change(&mut stat);
    MPGStats { pg_stat: BTreeMap::from([(PgId::new(1, 0), stat)]), ..MPGStats::default() }
}

fn no_lines(severity: &str, summary: &str) -> (String, String, Vec<String>) {
    (severity.to_owned(), summary.to_owned(), vec![])
}

fn one_line(severity: &str, summary: &str, line: &str) -> (String, String, Vec<String>) {
    (severity.to_owned(), summary.to_owned(), vec![line.to_owned()])
}

#[test]
fn a_cluster_that_is_well_says_nothing() {
    let mut c = with_pool(&[]);
    assert_eq!(c.codes(), [""; 0]);
}

#[test]
fn osds_that_only_crush_knows_are_orphans() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"osd down","ids":["2"]}"#);
    c.ok(r#"{"prefix":"osd rm","ids":["2"]}"#);
    let summary = "1 osds exist in the crush map but not in the osdmap";
    assert_eq!(c.check("OSD_ORPHAN"), one_line("HEALTH_WARN", summary, "osd.2 exists in crush map but not in osdmap"));
    c.ok(r#"{"prefix":"osd crush rm","name":"osd.2"}"#);
    assert!(!c.codes().contains(&"OSD_ORPHAN".to_owned()));
}

#[test]
fn places_of_which_all_osds_are_down_are_named_up_to_the_root() {
    let mut c = with_pool(&[("mon_osd_min_up_ratio", "0")]);
    c.ok(r#"{"prefix":"osd down","ids":["0","1","2"]}"#);
    assert_eq!(c.check("OSD_DOWN").1, "3 osds down");
    let (_, summary, lines) = c.check("OSD_HOST_DOWN");
    assert_eq!(
        (summary.as_str(), lines),
        ("1 host (3 osds) down", vec!["host vm (root=default) (3 osds) is down".into()])
    );
    let (_, summary, lines) = c.check("OSD_ROOT_DOWN");
    assert_eq!((summary.as_str(), lines), ("1 root (3 osds) down", vec!["root default (3 osds) is down".into()]));
}

#[test]
fn a_full_osd_is_named_with_the_pools_that_wait_and_what_helps() {
    let mut c = with_pool(&[]);
    c.report(0, pg(pg_state::ACTIVE | pg_state::CLEAN, |_| {}));
    let conn = c.connect(types::EntityName::osd(1), "osd.1", addr(7004, 9));
    for (state, code, severity, line) in [
        (osdmap::state::NEARFULL, "OSD_NEARFULL", "HEALTH_WARN", "osd.1 is near full"),
        (osdmap::state::BACKFILLFULL, "OSD_BACKFILLFULL", "HEALTH_WARN", "osd.1 is backfill full"),
        (osdmap::state::FULL, "OSD_FULL", "HEALTH_ERR", "osd.1 is full"),
    ] {
        c.send(conn, MOSDFull { map_epoch: 1, state, ..MOSDFull::default() });
        let (is, summary, lines) = c.check(code);
        let word = code[4..].to_lowercase();
        assert_eq!((is.as_str(), summary, lines[0].as_str()), (severity, format!("1 {word} osd(s)"), line));
        if code == "OSD_FULL" {
            assert_eq!(lines[1], "writes to pools 'p' wait or fail (ENOSPC) until there is space");
            assert!(lines[2].contains("--force-full"), "{lines:?}");
            let line = "pool 'p' is full (no space)";
            assert_eq!(c.check("POOL_FULL"), one_line("HEALTH_WARN", "1 pool(s) full", line));
        } else {
            let line = format!("pool 'p' is {word}");
            let code = format!("POOL_{}", word.to_uppercase());
            assert_eq!(c.check(&code), one_line("HEALTH_WARN", &format!("1 pool(s) {word}"), &line));
        }
    }
    c.send(conn, MOSDFull { map_epoch: 1, state: 0, ..MOSDFull::default() });
    assert_eq!(c.codes(), [""; 0], "it clears by itself");
}

#[test]
fn ratios_that_do_not_rise_are_an_error() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"osd set-nearfull-ratio","ratio":0.96}"#);
    let (severity, summary, lines) = c.check("OSD_OUT_OF_ORDER_FULL");
    assert_eq!((severity.as_str(), summary.as_str()), ("HEALTH_ERR", "full ratio(s) out of order"));
    assert_eq!(
        lines,
        [
            "backfillfull_ratio (0.9) < nearfull_ratio (0.96), increased",
            "full_ratio (0.95) < backfillfull_ratio (0.96), increased"
        ]
    );
    c.ok(r#"{"prefix":"osd set-nearfull-ratio","ratio":0.85}"#);
    assert_eq!(c.codes(), [""; 0]);
}

#[test]
fn flags_are_named_with_what_they_are_on() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"osd set","key":"noout"}"#);
    assert_eq!(c.check("OSDMAP_FLAGS").1, "noout flag(s) set");
    for who in ["1", "vm", "hdd"] {
        c.ok(&format!(r#"{{"prefix":"osd set-group","flags":"noup,nodown","who":["{who}"]}}"#));
    }
    let (_, summary, lines) = c.check("OSD_FLAGS");
    assert_eq!(summary, "3 OSDs or CRUSH {nodes, device-classes} have {NOUP,NODOWN,NOIN,NOOUT} flags set");
    let on = ["osd.1", "host vm", "device class 'hdd'"];
    assert_eq!(lines, on.map(|what| format!("{what} has flags nodown,noup")));
    for who in ["1", "vm", "hdd"] {
        c.ok(&format!(r#"{{"prefix":"osd unset-group","flags":"noup,nodown","who":["{who}"]}}"#));
    }
    c.ok(r#"{"prefix":"osd unset","key":"noout"}"#);
    assert_eq!(c.codes(), [""; 0]);
}

#[test]
fn no_down_out_interval_is_as_if_noout_were_set() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"config set","who":"mon","name":"mon_osd_down_out_interval","value":"0"}"#);
    let line = "mon.a has mon_osd_down_out_interval set to 0";
    let summary = "mon a has mon_osd_down_out_interval set to 0";
    assert_eq!(c.check("OSD_NO_DOWN_OUT_INTERVAL"), one_line("HEALTH_WARN", summary, line));
}

#[test]
fn slow_heartbeats_are_named_by_network_the_slowest_first() {
    let mut c = with_pool(&[]);
    let times = |us: [u32; 3]| PingTimes { pingtime: us, min: us, max: us, last: us[0] };
    let ping = HbPing {
        last_update: 1_795_000_100,
        back: times([1_100_000, 1_200_000, 1_300_500]),
        front: times([900, 900, 2_000_000]),
    };
    let mut stats = pg(pg_state::ACTIVE | pg_state::CLEAN, |_| {});
    stats.osd_stat.hb_pingtime = BTreeMap::from([(1, ping.clone()), (2, HbPing { front: times([1; 3]), ..ping })]);
    stats.osd_stat.hb_pingtime.get_mut(&2).unwrap().back = times([1_300_000; 3]);
    c.report(0, stats);
    let (_, summary, lines) = c.check("OSD_SLOW_PING_TIME_BACK");
    assert_eq!(summary, "Slow OSD heartbeats on back (longest 1300.500ms)");
    // The harness counts OSDs by themselves, so the host is shown.
    assert_eq!(
        lines,
        [
            "Slow OSD heartbeats on back from osd.0 [vm] to osd.1 [vm] 1300.500 msec possibly improving",
            "Slow OSD heartbeats on back from osd.0 [vm] to osd.2 [vm] 1300.000 msec"
        ]
    );
    assert_eq!(c.check("OSD_SLOW_PING_TIME_FRONT").1, "Slow OSD heartbeats on front (longest 2000.000ms)");
    c.ok(r#"{"prefix":"config set","who":"mon","name":"mon_warn_on_slow_ping_time","value":"5000"}"#);
    assert_eq!(c.codes(), [""; 0]);
}

#[test]
fn pgs_that_full_osds_hold_up_are_named() {
    let mut c = with_pool(&[]);
    let state = pg_state::ACTIVE | pg_state::REMAPPED | pg_state::BACKFILL_TOOFULL;
    c.report(0, pg(state, |_| {}));
    let (severity, summary, lines) = c.check("PG_BACKFILL_FULL");
    assert_eq!(severity, "HEALTH_WARN");
    let lead = "Low space hindering backfill (add storage if this doesn't resolve itself)";
    assert_eq!(summary, format!("{lead}: 1 pg backfill_toofull"));
    assert_eq!(lines, ["pg 1.0 is active+remapped+backfill_toofull, acting [0,1,2]"]);
    c.report(0, pg(pg_state::ACTIVE | pg_state::RECOVERY_TOOFULL, |s| s.reported_seq = 10));
    let (severity, summary, _) = c.check("PG_RECOVERY_FULL");
    assert_eq!(
        (severity.as_str(), summary.as_str()),
        ("HEALTH_ERR", "Full OSDs blocking recovery: 1 pg recovery_toofull")
    );
    assert!(!c.codes().contains(&"PG_BACKFILL_FULL".to_owned()));
}

#[test]
fn misplaced_objects_are_a_warning_only_where_wanted() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"osd pool application enable","pool":"p","app":"rbd"}"#);
    c.report(
        0,
        pg(pg_state::ACTIVE | pg_state::CLEAN | pg_state::REMAPPED, |s| {
            let sum = &mut s.stats.sum;
            (sum.num_objects, sum.num_object_copies, sum.num_objects_misplaced) = (100, 300, 7);
        }),
    );
    assert_eq!(c.codes(), [""; 0]);
    c.ok(r#"{"prefix":"config set","who":"mon","name":"mon_warn_on_misplaced","value":"true"}"#);
    assert_eq!(c.check("OBJECT_MISPLACED"), no_lines("HEALTH_WARN", "7/300 objects misplaced (2.333%)"));
}

#[test]
fn pools_near_their_quota_are_named_where_a_threshold_is_set() {
    let mut c = with_pool(&[("mon_pool_quota_warn_threshold", "80"), ("mon_pool_quota_crit_threshold", "95")]);
    c.ok(r#"{"prefix":"osd pool application enable","pool":"p","app":"rbd"}"#);
    c.ok(r#"{"prefix":"osd pool set-quota","pool":"p","field":"max_objects","val":"10"}"#);
    let objects = |n: i64, seq: u64| {
        pg(pg_state::ACTIVE | pg_state::CLEAN, |s| {
            (s.stats.sum.num_objects, s.reported_seq) = (n, seq);
        })
    };
    c.report(0, objects(7, 10));
    assert_eq!(c.codes(), [""; 0]);
    c.report(0, objects(8, 11));
    let line = "pool 'p' has 8 objects (max 10)";
    assert_eq!(c.check("POOL_NEAR_FULL"), one_line("HEALTH_WARN", "1 pools nearfull", line));
    c.report(0, objects(10, 12));
    c.pass(1);
    let line = "pool 'p' is full (running out of quota)";
    assert_eq!(c.check("POOL_FULL"), one_line("HEALTH_WARN", "1 pool(s) full", line));
    c.report(0, objects(3, 13));
    c.pass(1);
    assert_eq!(c.codes(), [""; 0], "what was deleted lets writes in again");
}

#[test]
fn one_copy_is_no_redundancy() {
    let mut c = with_pool(&[("mon_allow_pool_size_one", "true")]);
    c.ok(r#"{"prefix":"osd pool set","pool":"p","var":"size","val":"1","yes_i_really_mean_it":true}"#);
    let line = "pool 'p' has no replicas configured";
    assert_eq!(c.check("POOL_NO_REDUNDANCY"), one_line("HEALTH_WARN", "1 pool(s) have no replicas configured", line));
}

#[test]
fn pools_with_odd_or_too_many_pgs_are_named() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"osd pool create","pool":"q","pg_num":12}"#);
    let line = "pool 'q' pg_num 12 is not a power of two";
    let summary = "1 pool(s) have non-power-of-two pg_num";
    assert_eq!(c.check("POOL_PG_NUM_NOT_POWER_OF_TWO"), one_line("HEALTH_WARN", summary, line));
    c.ok(r#"{"prefix":"config set","who":"mon","name":"mon_max_pg_per_osd","value":"6"}"#);
    assert_eq!(c.check("TOO_MANY_PGS"), no_lines("HEALTH_WARN", "too many PGs per OSD (20 > max 6)"));
    c.ok(r#"{"prefix":"config set","who":"mon","name":"mon_max_pg_per_osd","value":"250"}"#);
    c.ok(r#"{"prefix":"config set","who":"mon","name":"mon_pg_warn_min_per_osd","value":"30"}"#);
    assert_eq!(c.check("TOO_FEW_PGS"), no_lines("HEALTH_WARN", "too few PGs per OSD (20 < min 30)"));
}

#[test]
fn a_pool_that_only_warns_says_how_many_pgs_it_should_have() {
    let mut c = with_pool(&[]);
    c.ok(r#"{"prefix":"osd pool application enable","pool":"p","app":"rbd"}"#);
    c.ok(r#"{"prefix":"osd pool set","pool":"p","var":"pg_autoscale_mode","val":"warn"}"#);
    let mut stats = pg(pg_state::ACTIVE | pg_state::CLEAN, |_| {});
    (stats.osd_stat.statfs.total, stats.osd_stat.statfs.available) = (1 << 30, 1 << 29);
    c.report(0, stats);
    let line = "Pool p has 8 placement groups, should have 32";
    let summary = "1 pools have too few placement groups";
    assert_eq!(c.check("POOL_TOO_FEW_PGS"), one_line("HEALTH_WARN", summary, line));
    c.ok(r#"{"prefix":"osd pool set","pool":"p","var":"pg_autoscale_mode","val":"off"}"#);
    assert_eq!(c.codes(), [""; 0]);
}

#[test]
fn pgs_that_serve_nobody_are_named_at_once_if_they_are_down_and_after_a_while_if_not() {
    let mut c = with_pool(&[]);
    let down = pg_state::DOWN;
    let just_now = c.now().wall;
    c.report(0, pg(down, |s| (s.blocked_by, s.last_active, s.last_peered) = (vec![2], just_now, just_now)));
    let line = "pg 1.0 is down, acting [0,1,2], blocked by osd.2";
    assert_eq!(c.check("PG_AVAILABILITY"), one_line("HEALTH_WARN", "Reduced data availability: 1 pg down", line));
    c.pass(60);
    assert!(c.check("PG_AVAILABILITY").1.contains("pgs inactive"), "the others were never reported");
}

#[test]
fn copies_that_are_missing_and_objects_that_nobody_has_are_counted() {
    let mut c = with_pool(&[]);
    let state = pg_state::ACTIVE | pg_state::UNDERSIZED | pg_state::DEGRADED;
    let stat = |s: &mut PgStat| {
        let sum = &mut s.stats.sum;
        (sum.num_objects, sum.num_object_copies, sum.num_objects_degraded, sum.num_objects_unfound) = (4, 12, 5, 1);
        (s.acting, s.last_active, s.last_fullsized) = (vec![0, 1], s.last_change, s.last_change);
    };
    c.report(0, pg(state, stat));
    let (severity, summary, lines) = c.check("PG_DEGRADED");
    assert_eq!(severity, "HEALTH_WARN");
    let words = "Degraded data redundancy: 5/12 objects degraded (41.667%), 1 pg degraded, 1 pg undersized";
    assert_eq!(summary, words);
    let stuck = "current state active+undersized+degraded, last acting [0,1]";
    assert!(lines[0].starts_with("pg 1.0 is stuck undersized for ") && lines[0].ends_with(stuck), "{lines:?}");
    let (_, summary, lines) = c.check("OBJECT_UNFOUND");
    assert_eq!(summary, "1/4 objects unfound (25.000%)");
    assert_eq!(lines, ["pg 1.0 has 1 unfound objects"]);
}

#[test]
fn a_pool_with_objects_says_what_it_is_for() {
    let mut c = with_pool(&[]);
    c.report(0, pg(pg_state::ACTIVE | pg_state::CLEAN, |s| s.stats.sum.num_objects = 1));
    let (severity, summary, lines) = c.check("POOL_APP_NOT_ENABLED");
    let words = "1 pool(s) do not have an application enabled";
    assert_eq!((severity.as_str(), summary.as_str()), ("HEALTH_WARN", words));
    assert_eq!(lines[0], "application not enabled on pool 'p'");
    c.ok(r#"{"prefix":"osd pool application enable","pool":"p","app":"rbd"}"#);
    assert!(!c.codes().contains(&"POOL_APP_NOT_ENABLED".to_owned()));
}

#[test]
fn a_manager_that_is_gone_for_its_grace_is_down() {
    let mut c = with_pool(&[("mon_mgr_beacon_grace", "10")]);
    c.tell(r#"{"prefix":"mgr stop here"}"#);
    assert!(!c.codes().contains(&"MGR_DOWN".to_owned()));
    c.pass(10);
    assert_eq!(c.check("MGR_DOWN"), no_lines("HEALTH_WARN", "no active mgr"));
    c.tell(r#"{"prefix":"mgr start here"}"#);
    assert!(!c.codes().contains(&"MGR_DOWN".to_owned()));
}

#[test]
fn fewer_osds_than_copies_are_too_few() {
    let mut c = Cluster::with_osds(2);
    assert_eq!(c.check("TOO_FEW_OSDS"), no_lines("HEALTH_WARN", "OSD count 2 < osd_pool_default_size 3"));
    c.boot(2);
    assert!(!c.codes().contains(&"TOO_FEW_OSDS".to_owned()));
}

#[test]
fn ids_that_clients_may_keep_without_proof_are_a_warning() {
    let mut c = with_pool(&[("auth_allow_insecure_global_id_reclaim", "true")]);
    let line = "mon.a has auth_allow_insecure_global_id_reclaim set to true";
    let summary = "mon is allowing insecure global_id reclaim";
    assert_eq!(c.check("AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED"), one_line("HEALTH_WARN", summary, line));
}

#[test]
fn a_monitor_whose_disk_runs_full_is_named() {
    for (option, code, severity, summary) in [
        ("mon_data_avail_warn", "MON_DISK_LOW", "HEALTH_WARN", "mon a is low on available space"),
        ("mon_data_avail_crit", "MON_DISK_CRIT", "HEALTH_ERR", "mon a is very low on available space"),
    ] {
        let mut c = with_pool(&[(option, "100")]);
        let (is, says, lines) = c.check(code);
        assert_eq!((is.as_str(), says.as_str()), (severity, summary));
        assert!(lines[0].starts_with("mon.a has ") && lines[0].ends_with("% avail"), "{lines:?}");
    }
}

#[test]
fn a_mute_holds_its_time_and_ends_when_things_get_worse() {
    let mut c = with_pool(&[("mon_osd_min_up_ratio", "0")]);
    c.ok(r#"{"prefix":"osd down","ids":["0"]}"#);
    c.ok(r#"{"prefix":"health mute","code":"OSD_DOWN","ttl":"30s"}"#);
    let health = |c: &mut Cluster| c.ok(r#"{"prefix":"health"}"#);
    c.pass(2);
    assert!(health(&mut c).starts_with("HEALTH_OK (muted: OSD_DOWN("), "{}", health(&mut c));
    c.pass(32);
    assert!(health(&mut c).starts_with("HEALTH_WARN 1 osds down"), "{}", health(&mut c));
    c.ok(r#"{"prefix":"health mute","code":"OSD_DOWN"}"#);
    c.pass(2);
    c.ok(r#"{"prefix":"osd down","ids":["1"]}"#);
    c.pass(2);
    assert!(health(&mut c).contains("2 osds down"), "more than were muted: {}", health(&mut c));
    c.ok(r#"{"prefix":"health mute","code":"OSD_DOWN","sticky":true}"#);
    (0..2).for_each(|osd| _ = c.boot(osd));
    c.pass(2);
    let mutes = c.json(r#"{"prefix":"health","format":"json"}"#)["mutes"].clone();
    assert_eq!((&mutes[0]["code"], &mutes[0]["sticky"]), (&"OSD_DOWN".into(), &true.into()));
    c.ok(r#"{"prefix":"osd down","ids":["0","1"]}"#);
    c.pass(2);
    assert!(health(&mut c).starts_with("HEALTH_OK"), "a sticky one stays: {}", health(&mut c));
    c.ok(r#"{"prefix":"health unmute","code":"OSD_DOWN"}"#);
    c.pass(1);
    assert!(health(&mut c).starts_with("HEALTH_WARN"));
    let (r, rs, _) = c.run(r#"{"prefix":"health mute","code":"NO_SUCH"}"#);
    assert_eq!(r, -2, "{rs}");
    let (r, rs, _) = c.run(r#"{"prefix":"health mute","code":"OSD_DOWN","ttl":"soon"}"#);
    assert_eq!(r, -22, "{rs}");
}

#[test]
fn the_monitor_counts_the_cluster_and_tells_what_its_options_are() {
    let mut c = with_pool(&[]);
    c.report(0, pg(pg_state::ACTIVE | pg_state::CLEAN, |s| s.stats.sum.num_objects = 5));
    let (r, rs, data) = c.tell(r#"{"prefix":"perf dump"}"#);
    assert_eq!(r, 0, "{rs}");
    let perf: serde_json::Value = serde_json::from_str(&data).unwrap();
    let cluster = &perf["cluster"];
    let of = |name: &str| cluster[name].as_u64().unwrap();
    assert_eq!((of("num_osd_up"), of("num_pg"), of("num_pg_active_clean"), of("num_object")), (3, 8, 1, 5));
    c.tell(r#"{"prefix":"config set","var":"mon_max_pg_per_osd","val":["300"]}"#);
    // One bad value among several: none is taken.
    let bad = r#"{"prefix":"injectargs","injected_args":["--mon_max_pg_per_osd=7 --osd_heartbeat_grace=soon"]}"#;
    assert_eq!(c.tell(bad).0, -22);
    let (_, _, data) = c.tell(r#"{"prefix":"config diff"}"#);
    let diff: serde_json::Value = serde_json::from_str(&data).unwrap();
    let one = &diff["diff"]["mon_max_pg_per_osd"];
    assert_eq!((&one["default"], &one["override"], &one["final"]), (&250.into(), &300.into(), &300.into()));
}
