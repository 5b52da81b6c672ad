//! The drills themselves: what is done to the cluster, and how it has to behave.

use std::time::Duration;

use anyhow::Result;

use super::stage::{POOL, Stage};

/// One drill.
pub(super) struct Play {
    pub name: &'static str,
    pub about: &'static str,
    pub osds: i32,
    pub play: fn(&mut Stage) -> Result<()>,
}

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "degraded",
        about: "one of three OSDs dies: objects have a copy less, and nobody has to wait",
        osds: 3,
        play: degraded,
    },
    Play {
        name: "peered",
        about: "two of three OSDs are gone: fewer copies than min_size, so reads and writes wait",
        osds: 3,
        play: peered,
    },
    Play {
        name: "remapped",
        about: "an OSD is marked out: others serve its PGs until the data has moved",
        osds: 4,
        play: remapped,
    },
    Play {
        name: "recovering",
        about: "an OSD missed a few writes: the log names the objects that it needs",
        osds: 3,
        play: recovering,
    },
    Play {
        name: "backfilling",
        about: "an OSD missed more writes than the log holds: it is filled object by object",
        osds: 3,
        play: backfilling,
    },
    Play {
        name: "inconsistent",
        about: "one copy of an object differs: scrub finds it and repair mends it",
        osds: 3,
        play: inconsistent,
    },
    Play { name: "stale", about: "every OSD of the PGs is gone, and nobody speaks for them", osds: 3, play: stale },
    Play {
        name: "down",
        about: "the only OSD left may not know the last writes, and must not go on",
        osds: 3,
        play: down,
    },
    Play {
        name: "incomplete",
        about: "the only complete copy is lost while another was being made of it",
        osds: 2,
        play: incomplete,
    },
    Play {
        name: "out-in",
        about: "an OSD is marked out and its data moves away, then in and it moves back",
        osds: 3,
        play: out_in,
    },
    Play {
        name: "device-classes",
        about: "a pool is bound to the OSDs of one class, and its data follows",
        osds: 3,
        play: device_classes,
    },
    Play {
        name: "split-merge",
        about: "a pool's PGs are split and merged again while its objects stay",
        osds: 3,
        play: split_merge,
    },
];

const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;

fn degraded(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(50, LARGE)?;
    s.kill(0)?;
    s.expect("every PG is active+undersized+degraded", |c| c.every(&["active", "undersized", "degraded"]))?;
    s.expect("health says OSD_DOWN and PG_DEGRADED", |c| {
        c.checks.contains("OSD_DOWN") && c.checks.contains("PG_DEGRADED")
    })?;
    s.show("health detail")?;
    s.expect_answer("put while-degraded /proc/version")?;
    s.expect_answer("get obj1 /dev/null")?;
    s.start(0)?;
    s.clean()
}

fn inconsistent(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(20, SMALL)?;
    let (_, answer) = s.ceph_answer(&format!("osd map {POOL} obj3 -f json"))?;
    let map: serde_json::Value = serde_json::from_str(answer.trim())?;
    let pgid = map["pgid"].as_str().unwrap_or_default().to_owned();
    let replica = map["acting"][1].as_i64().and_then(|o| i32::try_from(o).ok()).unwrap_or(0);
    s.ceph("osd set noout")?;
    s.stop(replica)?;
    s.corrupt(replica, &pgid, "obj3")?;
    s.start(replica)?;
    s.ceph("osd unset noout")?;
    s.clean()?;
    s.ceph(&format!("pg deep-scrub {pgid}"))?;
    s.expect("the PG is active+clean+inconsistent", |c| c.some(&["active", "clean", "inconsistent"]))?;
    s.expect("health says OSD_SCRUB_ERRORS and PG_DAMAGED", |c| {
        c.checks.contains("OSD_SCRUB_ERRORS") && c.checks.contains("PG_DAMAGED")
    })?;
    s.show("health detail")?;
    s.expect_answer("get obj3 /dev/null")?;
    s.ceph(&format!("pg repair {pgid}"))?;
    s.expect("no PG is inconsistent any more", |c| c.every(&["active", "clean"]) && !c.some(&["inconsistent"]))?;
    s.clean()
}

fn peered(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(50, LARGE)?;
    s.ceph("osd set noout")?;
    s.stop(0)?;
    s.stop(1)?;
    s.expect("every PG is undersized+degraded+peered", |c| c.every(&["undersized", "degraded", "peered"]))?;
    s.expect("health says PG_AVAILABILITY", |c| c.checks.contains("PG_AVAILABILITY"))?;
    s.expect_blocked("put while-peered /proc/version")?;
    s.expect_blocked("get obj1 /dev/null")?;
    s.ceph(&format!("osd pool set {POOL} min_size 1"))?;
    s.expect("every PG is active", |c| c.every(&["active", "undersized", "degraded"]))?;
    s.expect_answer("put with-one-copy /proc/version")?;
    s.start(0)?;
    s.start(1)?;
    s.ceph(&format!("osd pool set {POOL} min_size 2"))?;
    s.ceph("osd unset noout")?;
    s.clean()
}

fn remapped(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    trimmed_logs(s)?;
    s.fill(200, LARGE)?;
    s.ceph("osd out 3")?;
    s.expect("some PG is remapped", |c| c.some(&["remapped"]))?;
    s.show("-s")?;
    s.expect_answer("get obj1 /dev/null")?;
    s.expect("every PG is active+clean, and none on osd.3", |c| {
        c.every(&["active", "clean"]) && !c.some(&["remapped"]) && c.acting.values().all(|osds| !osds.contains(&3))
    })?;
    s.ceph("osd in 3")?;
    s.clean()
}

fn slow_recovery(s: &mut Stage) -> Result<()> {
    s.ceph("config set osd osd_recovery_sleep_hdd 0.05")?;
    s.ceph("config set osd osd_recovery_sleep_ssd 0.05")
}

/// Logs so short that a new member is filled, not brought up to date.
fn trimmed_logs(s: &mut Stage) -> Result<()> {
    for option in ["osd_min_pg_log_entries 10", "osd_max_pg_log_entries 20", "osd_pg_log_trim_min 1"] {
        s.ceph(&format!("config set osd {option}"))?;
    }
    slow_recovery(s)
}

fn recovering(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(50, LARGE)?;
    slow_recovery(s)?;
    s.ceph("osd set noout")?;
    s.kill(0)?;
    s.expect("every PG is active+undersized+degraded", |c| c.every(&["active", "undersized", "degraded"]))?;
    s.fill(50, LARGE)?;
    s.start(0)?;
    s.expect("some PG is recovering", |c| c.some(&["active", "recovering", "degraded"]))?;
    s.ceph("osd unset noout")?;
    s.clean()?;
    s.expect_seen(
        "some PG waited for its turn: active+recovery_wait+degraded",
        &["active", "recovery_wait", "degraded"],
    );
    s.expect_never("no PG was backfilled", &["backfilling"]);
    Ok(())
}

fn backfilling(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    trimmed_logs(s)?;
    s.fill(50, SMALL)?;
    s.ceph("osd set noout")?;
    s.kill(0)?;
    s.expect("every PG is active+undersized+degraded", |c| c.every(&["active", "undersized", "degraded"]))?;
    s.fill(400, SMALL)?;
    s.start(0)?;
    s.expect("some PG is backfilling", |c| c.some(&["backfilling"]))?;
    s.show("-s")?;
    s.expect_answer("put while-backfilling /proc/version")?;
    s.ceph("osd unset noout")?;
    s.clean()?;
    s.expect_seen("some PG waited for its turn: backfill_wait", &["backfill_wait"]);
    Ok(())
}

fn stale(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(50, LARGE)?;
    s.ceph("osd set noout")?;
    (0..3).try_for_each(|osd| s.kill(osd))?;
    s.expect("every PG is stale", |c| c.every(&["stale"]))?;
    s.show("pg dump_stuck stale")?;
    s.expect_blocked("get obj1 /dev/null")?;
    (0..3).try_for_each(|osd| s.start(osd))?;
    s.ceph("osd unset noout")?;
    s.clean()?;
    s.expect_answer("get obj1 /dev/null")
}

fn down(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(50, LARGE)?;
    s.ceph("osd set noout")?;
    s.kill(1)?;
    s.expect("every PG is active+undersized+degraded", |c| c.every(&["active", "undersized", "degraded"]))?;
    s.fill(50, LARGE)?;
    s.kill(0)?;
    s.kill(2)?;
    s.expect("the PGs are stale", |c| c.some(&["stale"]) || c.up == 0)?;
    // osd.1 alone cannot know what the others wrote without it.
    s.start(1)?;
    s.expect("every PG is down", |c| c.every(&["down"]))?;
    s.show("health detail")?;
    s.expect_blocked("get obj1 /dev/null")?;
    s.start(0)?;
    s.expect("every PG is active", |c| c.every(&["active"]))?;
    s.expect_answer("get obj1 /dev/null")?;
    s.start(2)?;
    s.ceph("osd unset noout")?;
    s.clean()
}

fn incomplete(s: &mut Stage) -> Result<()> {
    // One PG with one copy: on osd.N.
    s.pool(1, 1, 1)?;
    trimmed_logs(s)?;
    s.fill(300, SMALL)?;
    let holder = s.now().acting.values().flatten().next().copied().unwrap_or(0) as i32;
    s.ceph("config set osd osd_recovery_sleep_hdd 0.5")?;
    s.ceph("config set osd osd_recovery_sleep_ssd 0.5")?;
    s.ceph(&format!("osd out {holder}"))?;
    s.expect("the PG is backfilling", |c| c.some(&["backfilling"]))?;
    s.kill(holder)?;
    s.expect("one OSD is up", |c| c.up == 1)?;
    s.ceph(&format!("osd lost {holder} --yes-i-really-mean-it"))?;
    s.expect("the PG is incomplete", |c| c.every(&["incomplete"]))?;
    s.show("health detail")?;
    s.expect_blocked("get obj1 /dev/null")?;
    s.start(holder)?;
    s.ceph("config set osd osd_recovery_sleep_hdd 0")?;
    s.ceph("config set osd osd_recovery_sleep_ssd 0")?;
    s.ceph(&format!("osd in {holder}"))?;
    s.clean()?;
    s.expect_answer("get obj1 /dev/null")
}

fn out_in(s: &mut Stage) -> Result<()> {
    s.pool(2, 1, 8)?;
    trimmed_logs(s)?;
    s.fill(200, LARGE)?;
    s.ceph("osd out 0")?;
    s.expect("every PG is active+clean on the others, 3 up and 2 in", |c| {
        c.every(&["active", "clean"]) && c.up == 3 && c.within == 2 && c.acting.values().all(|osds| !osds.contains(&0))
    })?;
    s.show("osd df")?;
    s.ceph("osd in 0")?;
    s.clean()?;
    s.expect_seen("some PG was backfilling", &["backfilling"]);
    s.expect_answer("get obj1 /dev/null")
}

fn device_classes(s: &mut Stage) -> Result<()> {
    s.pool(2, 1, 8)?;
    s.fill(50, LARGE)?;
    s.show("osd crush class ls")?;
    let (code, text) = s.ceph_answer("osd crush set-device-class quick osd.0")?;
    s.expect_that(
        "an OSD that has a class gets no other: it must be removed first",
        code != Some(0) && text.contains("EBUSY"),
    );
    s.ceph("osd crush rm-device-class osd.0 osd.1")?;
    s.ceph("osd crush set-device-class quick osd.0 osd.1")?;
    s.show("osd crush tree --show-shadow")?;
    s.ceph("osd crush rule create-replicated on-quick default osd quick")?;
    s.ceph(&format!("osd pool set {POOL} crush_rule on-quick"))?;
    s.expect("every PG is active+clean on osd.0 and osd.1", |c| {
        c.every(&["active", "clean"]) && c.acting.values().flatten().all(|osd| [0, 1].contains(osd))
    })?;
    let (code, _) = s.ceph_answer("osd crush rule rm on-quick")?;
    s.expect_that("a rule that a pool uses is not removed", code != Some(0));
    s.expect_answer("get obj1 /dev/null")?;
    s.ceph(&format!("osd pool set {POOL} crush_rule replicated_rule"))?;
    s.clean()?;
    s.ceph("osd crush rule rm on-quick")
}

fn split_merge(s: &mut Stage) -> Result<()> {
    s.pool(3, 2, 8)?;
    s.fill(200, SMALL)?;
    let count = |c: &super::watcher::Sample| c.pgs.values().sum::<usize>();
    s.ceph(&format!("osd pool set {POOL} pg_num 16"))?;
    s.expect("there are 16 PGs, active+clean", |c| count(c) == 16 && c.every(&["active", "clean"]))?;
    s.ceph(&format!("osd pool set {POOL} pg_num 8"))?;
    // One pair after the other comes to a rest and is merged.
    s.expect_within(Duration::from_secs(240), "there are 8 PGs, active+clean", |c| {
        count(c) == 8 && c.every(&["active", "clean"])
    })?;
    let objects = s.objects()?;
    s.expect_that("the pool holds its 200 objects", objects == 200);
    s.expect_answer("get obj1 /dev/null")?;
    s.clean()
}
