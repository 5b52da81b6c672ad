//! OSDs that are full, or soon will be; pools that reached their quota.

use types::{OsdId, PgId, PoolId};

use crate::command::Command;
use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity, Waiting, codes};
use crate::words;

pub fn find(f: &Facts, found: &mut Vec<Finding>) {
    for level in [&FULL, &BACKFILLFULL, &NEARFULL] {
        let osds: Vec<OsdId> = f.osds_named_by(level.code).into_iter().filter(|o| f.osds.contains_key(o)).collect();
        if !osds.is_empty() && f.checks.contains_key(level.code) {
            found.push(osds_full(f, level, osds));
        }
    }
    for id in f.pools.keys() {
        if let Some(finding) = quota(f, *id) {
            found.push(finding);
        }
    }
}

struct Level {
    cause: &'static str,
    code: &'static str,
    pool_code: &'static str,
    word: &'static str,
    severity: Severity,
    limit: fn(&Facts) -> f64,
    io: &'static str,
}

const FULL: Level = Level {
    cause: "full",
    code: "OSD_FULL",
    pool_code: "POOL_FULL",
    word: "full",
    severity: Severity::Blocked,
    limit: |f| f.full_ratio,
    io: "reads go on; all writes to these pools wait (also those that would land on other OSDs), deletes too unless \
         forced",
};
const BACKFILLFULL: Level = Level {
    cause: "backfillfull",
    code: "OSD_BACKFILLFULL",
    pool_code: "POOL_BACKFILLFULL",
    word: "backfillfull",
    severity: Severity::Weak,
    limit: |f| f.backfillfull_ratio,
    io: "goes on; nothing is backfilled to it any more",
};
const NEARFULL: Level = Level {
    cause: "nearfull",
    code: "OSD_NEARFULL",
    pool_code: "POOL_NEARFULL",
    word: "nearly full",
    severity: Severity::Note,
    limit: |f| f.nearfull_ratio,
    io: "goes on",
};

fn osds_full(f: &Facts, level: &Level, osds: Vec<OsdId>) -> Finding {
    let pools = held(f, &osds);
    let used = |osd: &OsdId| format!("osd.{osd} {}", words::percent(f.osds[osd].used_ratio()));
    let in_: Vec<OsdId> =
        f.osds.iter().filter(|(_, o)| o.up && o.weight > 0.0 && o.kb > 0).map(|(id, _)| *id).collect();
    let others: Vec<OsdId> = in_.iter().copied().filter(|o| !osds.contains(o)).collect();
    let average = in_.iter().map(|o| f.osds[o].used_ratio()).sum::<f64>() / in_.len().max(1) as f64;
    let limit = (level.limit)(f);
    // If all were as full as the average, would this one be below the limit with something to spare?
    let uneven = !others.is_empty() && average < limit * 0.85;
    let why = match uneven {
        true => format!("data is spread unevenly (the average is {})", words::percent(average)),
        false => format!("the cluster as a whole is filling up (the average is {})", words::percent(average)),
    };
    let mut evidence: Vec<String> = vec![osds.iter().take(4).map(used).collect::<Vec<_>>().join(", ")];
    if !others.is_empty() {
        evidence.push(format!("others: {}", others.iter().take(4).map(used).collect::<Vec<_>>().join(", ")));
    }
    evidence.extend(pools.iter().take(3).map(|(id, pgs, bytes)| {
        format!("pool {} has about {} there in {}", f.pool_name(*id), words::bytes(*bytes), words::count(*pgs, "PG"))
    }));
    let ids: Vec<PoolId> = pools.iter().map(|(id, ..)| *id).collect();
    let pgs: Vec<PgId> = match level.severity {
        Severity::Blocked => {
            f.pgs.iter().filter(|(_, pg)| pg.acting.iter().any(|o| osds.contains(o))).map(|(id, _)| *id).collect()
        }
        _ => Vec::new(),
    };
    Finding {
        cause: level.cause,
        severity: level.severity,
        sentence: format!(
            "{} {} {} (limit {}): {why}.",
            words::osds(&osds),
            words::is(osds.len()),
            level.word,
            words::percent(limit)
        ),
        evidence,
        data: "nothing is lost".to_owned(),
        io: level.io.to_owned(),
        waiting: Waiting::no("does not help: space comes only from deleting, moving or adding"),
        advice: advice(f, level, &pools, uneven),
        pgs,
        osds,
        pools: ids,
        health: codes(&[level.code, level.pool_code]),
    }
}

/// What pools have on OSDs, the most first: pool, PGs, bytes.
fn held(f: &Facts, osds: &[OsdId]) -> Vec<(PoolId, u64, u64)> {
    let mut all: Vec<(PoolId, u64, u64)> = Vec::new();
    for id in f.pools.keys() {
        let here = f.pgs_of(*id).filter(|(_, pg)| pg.acting.iter().any(|o| osds.contains(o)));
        let (pgs, bytes) = here.fold((0, 0), |(n, b), (_, pg)| (n + 1, b + pg.bytes));
        if pgs > 0 {
            all.push((*id, pgs, bytes));
        }
    }
    all.sort_by_key(|(id, _, bytes)| (std::cmp::Reverse(*bytes), *id));
    all
}

fn advice(f: &Facts, level: &Level, pools: &[(PoolId, u64, u64)], uneven: bool) -> Vec<Advice> {
    let mut all = Vec::new();
    if uneven {
        let clean = f.pgs.values().all(|pg| pg.is_clean());
        all.push(Advice {
            command: Command::reweight_by_utilization(),
            does: "gives the fullest OSDs less; their PGs move to emptier ones (test-reweight-by-utilization shows \
                   what it would do)"
                .to_owned(),
            risk: "copies data".to_owned(),
            safe: match (clean, level.cause) {
                (true, "nearfull") => {
                    Safety::Yes("all PGs are clean; no copy is removed before its successor is whole".to_owned())
                }
                (true, _) => {
                    Safety::NotKnown("whether the emptier OSDs stay below their limit is not known".to_owned())
                }
                (false, _) => Safety::NotKnown("PGs that are not clean move already".to_owned()),
            },
        });
    }
    all.push(Advice {
        command: Command::add_osd(f),
        does: "adds an OSD; a share of all data moves to it".to_owned(),
        risk: "copies data".to_owned(),
        safe: Safety::Yes("copies are only added before others are removed".to_owned()),
    });
    if let Some((id, ..)) = pools.first() {
        let force = if level.cause == "full" { " --force-full" } else { "" };
        all.push(Advice {
            command: Command::person(&format!("rados -p {} rm OBJECT{force}", f.pool_name(*id))),
            does: "deletes what is not needed; removing snapshots or a whole pool frees space too, after some seconds"
                .to_owned(),
            risk: "what is deleted is gone".to_owned(),
            safe: Safety::NotKnown("what may go is yours to say".to_owned()),
        });
    }
    if level.cause == "full" {
        let higher = format!("{:.2}", (f.full_ratio + 0.01).min(0.97));
        all.push(Advice {
            command: Command::full_ratio(&higher),
            does: format!(
                "lets writes go on until OSDs are {} % full, to gain time",
                (higher.parse::<f64>().unwrap_or(0.0) * 100.0).round()
            ),
            risk: "an OSD whose disk is really full may stop, with all its PGs".to_owned(),
            safe: Safety::No("it uses up the reserve that keeps OSDs able to delete and to start".to_owned()),
        });
    }
    all
}

fn quota(f: &Facts, id: PoolId) -> Option<Finding> {
    let pool = &f.pools[&id];
    if !pool.flags.contains("full_quota") && !quota_is_told(f, &pool.name) {
        return None;
    }
    let (objects, bytes) = f.pgs_of(id).fold((0, 0), |(o, b), (_, pg)| (o + pg.objects, b + pg.bytes));
    let by_bytes = pool.quota_bytes > 0 && bytes >= pool.quota_bytes;
    let (field, evidence) = match by_bytes {
        true => ("max_bytes", format!("{} of at most {}", words::bytes(bytes), words::bytes(pool.quota_bytes))),
        false => ("max_objects", format!("{objects} of at most {}", words::count(pool.quota_objects, "object"))),
    };
    let devices = f.crush.devices(pool.rule).unwrap_or_default();
    let fullest = devices.iter().filter(|o| f.is_up(**o)).map(|o| f.osds[o].used_ratio()).fold(0.0, f64::max);
    Some(Finding {
        cause: "quota",
        severity: Severity::Blocked,
        sentence: format!("Pool {} has reached its quota.", pool.name),
        evidence: vec![evidence],
        data: "nothing is lost".to_owned(),
        io: "reads and deletes go on; writes to the pool wait or fail (ENOSPC)".to_owned(),
        waiting: Waiting::no("does not help"),
        advice: vec![Advice {
            command: Command::quota(&pool.name, field),
            does: "takes the quota away (or name a higher number); writes go on within seconds".to_owned(),
            risk: "the pool may fill the OSDs".to_owned(),
            safe: match !devices.is_empty() && fullest < f.nearfull_ratio && f.nearfull_ratio > 0.0 {
                true => Safety::Yes(format!("its fullest OSD is {} full", words::percent(fullest))),
                false => Safety::No(format!("its fullest OSD is {} full", words::percent(fullest))),
            },
        }],
        pgs: f.pgs_of(id).map(|(id, _)| *id).collect(),
        osds: Vec::new(),
        pools: vec![id],
        health: codes(&["POOL_FULL"]),
    })
}

fn quota_is_told(f: &Facts, pool: &str) -> bool {
    let lines = f.checks.get("POOL_FULL").map(|c| &c.detail[..]).unwrap_or_default();
    lines.iter().any(|l| l.contains(&format!("'{pool}'")) && l.contains("quota"))
}
