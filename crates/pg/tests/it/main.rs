//! Cases in text: `testdata/*.txt`. A case begins with `#` and the sentence that it proves; each line
//! is a command, and what it answers stands behind `->` or, if nothing does, is nothing.
//! `PG_REWRITE=1` writes the answers into the files.

mod cluster;
mod pg_num;
mod query;
mod show;
mod sweep;

use std::fmt::Write;
use std::time::Duration;

use cluster::{Cluster, append, get, put, remove, roll_back, write_at};
use types::OsdId;

/// Runs one command; what it answers, if anything.
fn run(c: &mut Cluster, words: &[&str]) -> Option<String> {
    let osds = || words[1..].iter().map(|w| w.parse().expect("an OSD's number")).collect::<Vec<OsdId>>();
    let primary = c.leader();
    match words {
        ["cluster", osds, "size", size, "min", min] => {
            *c = Cluster::new(num(osds), num(size) as u8, num(min) as u8);
        }
        ["settle"] => c.settle(),
        ["state"] => return Some(c.state()),
        ["compare"] => return Some(c.compare()),
        ["put", name, text] => return op(c, primary, name, put(text)),
        ["append", name, text] => return op(c, primary, name, append(text)),
        ["get", name] => return op(c, primary, name, get()),
        ["rm", name] => return op(c, primary, name, remove()),
        ["get", name, "from", osd] => return op(c, num(osd), name, get()),
        ["get", name, "near", osd] => {
            c.op_flags = types::osd_flag::LOCALIZE_READS;
            let answer = op(c, num(osd), name, get());
            c.op_flags = 0;
            return answer;
        }
        ["put", name, text, "to", osd] => return op(c, num(osd), name, put(text)),
        // Only sends; the reply can be asked for later.
        ["send", "put", name, text] => {
            c.send_op(primary, name, put(text));
        }
        ["send", "get", name] => {
            c.send_op(primary, name, get());
        }
        // Behind the writes before it.
        ["send", "get", name, "in_order"] => {
            c.op_flags = types::osd_flag::RWORDERED;
            c.send_op(primary, name, get());
            c.op_flags = 0;
        }
        ["send", "get", name, "at", snap] => {
            c.read_at = num(snap) as u64;
            c.send_op(primary, name, get());
            c.read_at = types::SNAP_HEAD;
        }
        ["send", "rollback", name, snap] => {
            c.send_op(primary, name, roll_back(num(snap) as u64));
        }
        ["send", "rm", name] => {
            c.send_op(primary, name, remove());
        }
        ["send", "append", name, text] => {
            c.send_op(primary, name, append(text));
        }
        ["resend", tid] => {
            c.resend(primary, num(tid) as u64);
            c.settle();
            return Some(reply(c, num(tid) as u64));
        }
        ["reply", tid] => return Some(reply(c, num(tid) as u64)),
        ["report"] => return Some(format!("news of {:?}", c.report())),
        ["outdated"] => return Some(format!("{:?}", std::mem::take(&mut c.outdated))),
        ["big", name, kib] => {
            let text = "0123456789abcdef".repeat(num(kib) as usize * 64);
            return op(c, primary, name, put(&text));
        }
        ["kill", ..] => osds().into_iter().for_each(|o| c.kill(o)),
        ["down", ..] => c.mark_down(&osds()),
        ["dead", ..] => c.mark_dead(&osds()),
        ["start", ..] => c.start(&osds()),
        ["slow", osd] => c.hosts.get_mut(&num(osd)).expect("an OSD").slow_disk = true,
        ["fast", osd] => c.hosts.get_mut(&num(osd)).expect("an OSD").slow_disk = false,
        ["deaf", osd] => c.hosts.get_mut(&num(osd)).expect("an OSD").deaf = true,
        ["hearing", osd] => c.hosts.get_mut(&num(osd)).expect("an OSD").deaf = false,
        ["cut", a, b] => {
            c.cut.insert((num(a).min(num(b)), num(a).max(num(b))));
        }
        // Everything between them is lost, and nobody notices.
        ["lossy", a, b] => {
            c.lossy.insert((num(a).min(num(b)), num(a).max(num(b))));
        }
        ["hold", message, to] => {
            c.hold.insert(((*message).to_owned(), num(to)));
        }
        ["lose"] => return Some(c.lose()),
        ["unhold"] => c.unhold(),
        ["lossless"] => c.lossy.clear(),
        ["reset", a, b] => c.lose_session(num(a), num(b)),
        ["heal"] => c.heal(),
        ["tick", secs] => {
            c.tick(Duration::from_secs_f64(secs.parse().expect("seconds")));
            c.settle();
        }
        ["mon", on] => c.mon = *on == "on",
        ["lost", osd] => {
            let osd = num(osd);
            c.next_map(|inc, map| {
                inc.new_lost.insert(osd, map.epoch);
            });
        }
        ["split"] => c.split_in_two(),
        // The other half of what was split.
        ["turn"] => c.turn(),
        ["map", to @ ..] => {
            let pgid = c.pgid.pgid;
            let to: Vec<OsdId> = to.iter().map(|w| num(w)).collect();
            c.next_map(|inc, _| {
                inc.new_pg_upmap.insert(pgid, to);
            });
        }
        ["min_size", n] => {
            let n = num(n) as u8;
            c.next_map(|inc, map| inc.pool_mut(map, 1).expect("the pool").min_size = n);
        }
        ["delete_pool"] => c.next_map(|inc, _| {
            inc.old_pools.insert(1);
        }),
        ["objects", osd] => {
            let host = &c.hosts[&num(osd)];
            return Some(if host.pg.is_some() { "a copy".into() } else { "no copy".into() });
        }
        ["log_max", n] => {
            c.cfg.max_pg_log_entries = num(n) as usize;
            c.cfg.min_pg_log_entries = num(n) as usize;
            c.cfg.pg_log_trim_min = 1;
        }
        ["norecover", on] => {
            let on = *on == "on";
            c.next_map(|inc, map| inc.set_flags(map, types::osdmap_flag::NORECOVER, on));
        }
        ["mksnap"] => return Some(c.make_snap().to_string()),
        ["rmsnap", snap] => c.remove_snap(num(snap) as u64),
        ["prune"] => c.prune_snaps(),
        ["snapq"] => return Some(c.snap_queue()),
        ["family", name, "on", osd] => return Some(c.family(num(osd), name)),
        ["get", name, "at", snap] => {
            c.read_at = num(snap) as u64;
            let answer = op(c, primary, name, get());
            c.read_at = types::SNAP_HEAD;
            return answer;
        }
        ["rollback", name, snap] => return op(c, primary, name, roll_back(num(snap) as u64)),
        ["write", name, off, text] => return op(c, primary, name, write_at(num(off) as u64, text)),
        ["send", "write", name, off, text] => {
            c.send_op(primary, name, write_at(num(off) as u64, text));
        }
        ["sent"] => return Some(format!("{} bytes", std::mem::take(&mut c.pushed))),
        ["nosnaptrim", on] => {
            let on = *on == "on";
            c.next_map(|inc, map| inc.set_flags(map, types::osdmap_flag::NOSNAPTRIM, on));
        }
        ["snap_sleep", secs] => c.cfg.snap_trim_sleep = Duration::from_secs(num(secs) as u64),
        ["flag", name, on] => {
            let flag = types::osdmap_flag::NAMES.iter().find(|(_, n)| n == name).expect("a flag").0;
            let on = *on == "on";
            c.next_map(|inc, map| inc.set_flags(map, flag, on));
        }
        ["scan", n] => c.cfg.backfill_scan_max = num(n) as usize,
        // So many objects.
        ["fill", n] => {
            for i in 0..num(n) {
                op(c, primary, &format!("o{i}"), put("x"));
            }
        }
        // So much as happens in so many turns.
        ["steps", n] => (0..num(n)).for_each(|_| {
            c.step();
        }),
        ["at", osd] => {
            let at = &c.hosts[&num(osd)].pg.as_ref().expect("a PG").info().last_backfill;
            return Some(
                if at.is_max() {
                    "complete"
                } else if at.is_min() {
                    "nothing"
                } else {
                    "a part"
                }
                .into(),
            );
        }
        ["backoffs"] => return Some(c.take_backoffs()),
        ["chunk", n] => c.cfg.recovery_max_chunk = num(n) as u64,
        ["log", osd] => {
            let pg = c.hosts[&num(osd)].pg.as_ref().expect("a PG");
            let entries: Vec<String> = pg.log_entries().map(|e| format!("{} {}", e.version, e.soid.oid)).collect();
            return Some(format!("({}] {}", pg.info().log_tail, entries.join(", ")));
        }
        ["why"] => {
            let mut why = String::new();
            c.with_pg(primary, |pg, env| why = show::why(&pg.query(env.now)));
            return Some(why);
        }
        ["past", osd] => {
            let mut past = String::new();
            c.with_pg(num(osd), |pg, env| past = show::past(&pg.query(env.now)));
            return Some(past);
        }
        ["might_have_unfound"] => {
            let mut might = String::new();
            c.with_pg(primary, |pg, env| might = show::might_have_unfound(&pg.query(env.now)));
            return Some(might);
        }
        ["unfound"] => {
            let mut unfound = String::new();
            c.with_pg(primary, |pg, _| unfound = show::unfound(&pg.list_unfound(None, 100)));
            return Some(unfound);
        }
        ["mark_unfound_lost", how] => {
            let how = if *how == "revert" { pg::Lost::Revert } else { pg::Lost::Delete };
            let mut said = String::new();
            c.with_pg(primary, |pg, env| {
                said = pg.mark_unfound_lost(env, how).unwrap_or_else(|(e, s)| format!("{e}: {s}"))
            });
            c.settle();
            return Some(said);
        }
        ["info", osd] => return Some(c.pg(num(osd)).map_or("no copy".into(), |pg| show::info(pg.info()))),
        // The last version that users saw.
        ["counts", osd] => return c.pg(num(osd)).map(|pg| pg.info().last_user_version.to_string()),
        ["missing", osd] => {
            let pg = c.pg(num(osd)).expect("a PG");
            let all = pg.missing_objects().map(|(o, have, need)| format!("{} {have}->{need}", o.oid));
            return Some(all.collect::<Vec<_>>().join(", "));
        }
        ["pg_temp", to @ ..] => {
            let pgid = c.pgid.pgid;
            let to: Vec<OsdId> = to.iter().map(|w| num(w)).collect();
            c.next_map(|inc, _| {
                inc.new_pg_temp.insert(pgid, to);
            });
        }
        // An object vanishes from a disk, or one clone of it.
        ["vanish", osd, name] => c.vanish(num(osd), name, None),
        ["vanish", osd, name, clone] => c.vanish(num(osd), name, Some(num(clone) as u64)),
        // `osd purge`: it does not exist any more.
        ["purge", osd] => {
            let osd = num(osd);
            c.next_map(|inc, map| {
                inc.mark_down(map, osd);
                *inc.new_state.entry(osd).or_default() |= types::osd_state::EXISTS;
            });
        }
        [verb @ ("scrub" | "deep-scrub" | "repair")] => {
            c.scrub(verb);
            c.settle();
        }
        ["keep", name, "of", osd] => {
            let mut said = String::new();
            c.with_pg(primary, |pg, env| {
                said = pg.keep_copy(env, name, num(osd)).unwrap_or_else(|(e, s)| format!("{e}: {s}"));
            });
            c.settle();
            return Some(said);
        }
        // `rebuild_snapset`; `sure`: and it is meant.
        ["rebuild", name, sure @ ..] => {
            let mut said = String::new();
            c.with_pg(primary, |pg, env| {
                said = pg.rebuild_snapset(env, name, !sure.is_empty()).unwrap_or_else(|(e, s)| format!("{e}: {s}"));
            });
            c.settle();
            return Some(said);
        }
        // `tell PG scrub|deep_scrub SECS`
        ["age", verb, secs] => {
            c.with_pg(primary, |pg, env| {
                pg.age_scrub(env, *verb == "deep_scrub", num(secs) as u32).expect("the primary");
            });
            c.settle();
        }
        ["order", verb] => c.scrub(verb),
        ["stash", osd, name] => c.stash(num(osd), name),
        // A disk lost what was written since.
        ["restore", osd, name] => c.restore(num(osd), name),
        ["belie", osd, name, clone] => c.belie_clone(num(osd), name, num(clone) as u64),
        // A scrub looks at no more at once.
        ["scrub_chunk", n] => (c.cfg.scrub.chunk_min, c.cfg.scrub.chunk_max) = (num(n) as usize, num(n) as usize),
        ["preemptions", n] => c.cfg.scrub.max_preemptions = num(n) as u64,
        ["inconsistent"] => return Some(c.inconsistent()),
        ["spoil", osd, name] => c.spoil(num(osd), name),
        // Other bytes, with nothing wrong about them.
        ["corrupt", osd, name, text] => {
            let data = bytes::Bytes::from((*text).to_owned());
            c.tamper(num(osd), name, |coll, oid| os::TxOp::Write { coll, oid, off: 0, data: data.clone(), fadvise: 0 });
        }
        ["set_attr", osd, name, attr, text] => {
            let attrs = [((*attr).into(), bytes::Bytes::from((*text).to_owned()))].into();
            let attrs: std::collections::BTreeMap<denc::ByteStr, bytes::Bytes> = attrs;
            c.tamper(num(osd), name, |coll, oid| os::TxOp::SetAttrs { coll, oid, attrs: attrs.clone() });
        }
        ["rm_attr", osd, name, attr] => {
            c.tamper(num(osd), name, |coll, oid| os::TxOp::RmAttr { coll, oid, name: (*attr).into() });
        }
        ["set_omap", osd, name, key, value] => {
            let keys: std::collections::BTreeMap<denc::ByteStr, bytes::Bytes> =
                [((*key).into(), bytes::Bytes::from((*value).to_owned()))].into();
            c.tamper(num(osd), name, |coll, oid| os::TxOp::OmapSet { coll, oid, keys: keys.clone() });
        }
        ["cut_to", osd, name, size] => {
            let size = num(size) as u64;
            c.tamper(num(osd), name, |coll, oid| os::TxOp::Truncate { coll, oid, size });
        }
        // Routine scrubs come so often.
        ["routine", secs] => {
            c.cfg.scrub.min_interval = f64::from(num(secs));
            c.cfg.scrub.deep_interval = f64::from(num(secs));
        }
        ["digest_age", secs] => c.cfg.scrub.digest_min_age = num(secs) as u64,
        ["clog"] => return Some(std::mem::take(&mut c.log).join("; ")),
        other => panic!("what is {other:?}?"),
    }
    None
}

fn num(word: &str) -> i32 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn op(c: &mut Cluster, to: OsdId, name: &str, ops: Vec<types::OsdOp>) -> Option<String> {
    let tid = c.send_op(to, name, ops);
    c.settle();
    Some(reply(c, tid))
}

fn reply(c: &mut Cluster, tid: u64) -> String {
    let mut first = c.take_reply(tid).unwrap_or_else(|| "no answer".into());
    while let Some(again) = c.take_reply(tid) {
        let _ = write!(first, " and again {again}");
    }
    first
}

fn play(text: &str) -> String {
    let mut out = String::new();
    let mut c = Cluster::new(3, 3, 2);
    for line in text.lines() {
        let command = line.split("->").next().unwrap_or_default().trim();
        if command.is_empty() || command.starts_with('#') {
            out.push_str(line.trim_end());
        } else {
            out.push_str(command);
            if command.starts_with("cluster") || command.starts_with("kill") {
                c.log.clear();
            }
            let words: Vec<&str> = command.split_whitespace().collect();
            if let Some(answer) = run(&mut c, &words) {
                let _ = write!(out, " -> {answer}");
            }
        }
        eprintln!("{}", out.lines().last().unwrap_or_default());
        out.push('\n');
    }
    out
}

fn check(name: &str) {
    let path = format!("{}/testdata/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the case can be read");
    let played = play(&text);
    if std::env::var_os("PG_REWRITE").is_some() {
        std::fs::write(&path, played).expect("the case can be written");
        return;
    }
    for (i, (expected, got)) in text.lines().zip(played.lines()).enumerate() {
        assert_eq!(got.trim_end(), expected.trim_end(), "{name}.txt line {}", i + 1);
    }
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

cases!(
    plain, peering, recovery, splitting, lease, lost, snaps, backfill, intervals, divergent, acting, requests, unfound,
    scrub, repair, damage
);
