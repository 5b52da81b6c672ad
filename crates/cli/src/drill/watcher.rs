//! Looks at a cluster many times a second and prints what changed: the timeline of a drill.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::rados::Request;
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};

use super::say;
use super::states::explain;
use crate::tools::{Connect, Session};

const LOOK_EVERY: Duration = Duration::from_millis(40);

/// The cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// How many PGs are in which state.
    pub pgs: BTreeMap<String, usize>,
    /// PG → the OSDs that serve it.
    pub acting: BTreeMap<String, Vec<i64>>,
    pub health: String,
    /// Codes, such as `OSD_DOWN`.
    pub checks: BTreeSet<String>,
    pub up: u64,
    pub within: u64,
    pub osds: u64,
}

impl Sample {
    /// Every PG has all of these words in its state.
    pub fn every(&self, words: &[&str]) -> bool {
        !self.pgs.is_empty() && self.pgs.keys().all(|state| has(state, words))
    }

    pub fn some(&self, words: &[&str]) -> bool {
        self.pgs.keys().any(|state| has(state, words))
    }

    pub fn is_clean(&self) -> bool {
        self.pgs.keys().all(|s| s.starts_with("active+clean")) && self.up == self.osds && self.within == self.osds
    }

    /// What the timeline shows of it.
    fn line(&self) -> String {
        let pgs: Vec<String> = self.pgs.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let checks: Vec<&str> = self.checks.iter().map(String::as_str).collect();
        let osds = if self.up == self.osds && self.within == self.osds {
            String::new()
        } else {
            format!("{} up, {} in of {} OSDs; ", self.up, self.within, self.osds)
        };
        let pgs = if pgs.is_empty() { "no PGs".to_owned() } else { pgs.join(", ") };
        format!("{pgs}; {osds}{} {}", self.health, checks.join(" ")).trim_end().to_owned()
    }
}

pub(super) fn has(state: &str, words: &[&str]) -> bool {
    let parts: BTreeSet<&str> = state.split('+').collect();
    words.iter().all(|w| parts.contains(w))
}

#[derive(Debug, Default)]
struct Seen {
    sample: Option<Sample>,
    /// How many looks there were.
    looks: u64,
    /// Every state in which a PG was seen.
    states: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    news: Condvar,
    stop: AtomicBool,
}

/// See the file's documentation.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch the cluster that a `ceph.conf` names; times count from `began`.
    pub fn start(conf: PathBuf, began: Instant) -> Result<Self> {
        let mut session = Connect { conf: Some(conf), ..Connect::default() }.open()?;
        let shared = Arc::new(Shared::default());
        let mine = shared.clone();
        let thread = std::thread::Builder::new().name("watcher".to_owned()).spawn(move || {
            let mut told = BTreeSet::new();
            let mut last = String::new();
            while !mine.stop.load(Ordering::Relaxed) {
                if let Ok(sample) = look(&mut session) {
                    mine.take(sample, began, &mut last, &mut told);
                }
                std::thread::sleep(LOOK_EVERY);
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a look that began after now and that `holds`; gives whether there was one in time.
    pub fn wait(&self, limit: Duration, holds: impl Fn(&Sample) -> bool) -> Result<bool> {
        let give_up = Instant::now() + limit;
        let mut seen = self.seen();
        let from = seen.looks + 1;
        loop {
            if seen.looks > from && seen.sample.as_ref().is_some_and(&holds) {
                return Ok(true);
            }
            if Instant::now() > give_up {
                return Ok(false);
            }
            crate::interrupt::check()?;
            let waited = self.shared.news.wait_timeout(seen, Duration::from_millis(100));
            seen = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Whether any PG was ever seen in a state with these words.
    pub fn was_seen(&self, words: &[&str]) -> bool {
        self.seen().states.iter().any(|state| has(state, words))
    }

    pub fn now(&self) -> Sample {
        self.seen().sample.clone().unwrap_or_default()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn take(&self, sample: Sample, began: Instant, last: &mut String, told: &mut BTreeSet<String>) {
        let line = sample.line();
        if line != *last {
            say(format_args!("{:>7.2} s  {line}", began.elapsed().as_secs_f64()));
            for word in sample.pgs.keys().flat_map(|state| state.split('+')) {
                if told.insert(word.to_owned())
                    && let Some((means, ends)) = explain(word)
                {
                    say(format_args!("           {word}: {means}; what ends it: {ends}."));
                }
            }
            *last = line;
        }
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.states.extend(sample.pgs.keys().cloned());
        seen.sample = Some(sample);
        seen.looks += 1;
        self.news.notify_all();
    }
}

fn ask(session: &mut Session, mgr: bool, cmd: Value) -> Result<Value> {
    let (cmd, data) = (cmd.to_string(), Bytes::new());
    let request = if mgr { Request::MgrCommand { cmd, data } } else { Request::MonCommand { cmd, data } };
    let reply = session.command(request)?;
    if reply.r < 0 {
        return Err(anyhow!("{}", reply.rs));
    }
    serde_json::from_slice(&reply.data).context("an answer is no JSON")
}

fn look(session: &mut Session) -> Result<Sample> {
    let dump = ask(session, true, json!({"prefix": "pg dump", "dumpcontents": ["pgs_brief"], "format": "json"}))?;
    let pgs = dump["pg_stats"].as_array().or(dump.as_array()).cloned().unwrap_or_default();
    let health = ask(session, false, json!({"prefix": "health", "format": "json"}))?;
    let stat = ask(session, false, json!({"prefix": "osd stat", "format": "json"}))?;
    let number = |name: &str| stat[name].as_u64().unwrap_or(0);
    let mut sample = Sample {
        health: health["status"].as_str().unwrap_or("?").to_owned(),
        checks: health["checks"].as_object().into_iter().flat_map(|c| c.keys().cloned()).collect(),
        up: number("num_up_osds"),
        within: number("num_in_osds"),
        osds: number("num_osds"),
        ..Sample::default()
    };
    for pg in pgs {
        let state = pg["state"].as_str().unwrap_or("?").to_owned();
        *sample.pgs.entry(state).or_default() += 1;
        let acting = pg["acting"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        sample.acting.insert(pg["pgid"].as_str().unwrap_or("?").to_owned(), acting);
    }
    Ok(sample)
}
