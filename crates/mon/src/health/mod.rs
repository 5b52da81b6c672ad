//! Is the cluster well? One file a check; each looks at the state and adds what it finds.

use std::collections::BTreeMap;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use messages::ClogLevel;
use mgr::{HealthCheck, Severity};
use node::Now;
use types::UTime;
use types::dump::Dump;

use crate::change::Space;
use crate::core::{Cx, Mon};

mod clock_skew;
mod flags;
mod full_order;
mod insecure_auth;
mod mgr_down;
mod misplaced;
mod mon_disk;
mod mon_down;
mod no_down_out;
mod osd_down;
mod osd_full;
mod osd_orphan;
mod pg_count;
mod pg_full;
mod pool_app;
mod pool_full;
mod pool_quota;
mod pool_redundancy;
mod recent_crash;
mod slow_ping;
mod too_few_osds;

/// What is wrong, by code.
pub type Checks = BTreeMap<String, HealthCheck>;

/// A check: adds to `checks` what is wrong.
type Check = fn(&Mon, Now, &mut Checks);

const CHECKS: [Check; 21] = [
    osd_down::check,
    osd_full::check,
    full_order::check,
    osd_orphan::check,
    slow_ping::check,
    no_down_out::check,
    pg_full::check,
    pg_count::check,
    misplaced::check,
    pool_redundancy::check,
    mon_disk::check,
    flags::check,
    pool_full::check,
    pool_quota::check,
    pool_app::check,
    too_few_osds::check,
    mgr_down::check,
    mon_down::check,
    clock_skew::check,
    insecure_auth::check,
    recent_crash::check,
];

/// Adds a check that has something to say.
fn report(checks: &mut Checks, code: &str, severity: Severity, summary: String, count: u64, detail: Vec<String>) {
    checks.insert(code.to_owned(), HealthCheck { severity, summary, count, detail });
}

/// `s` unless there is one.
fn s(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// `health_mute_t`: a check that people do not want to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mute {
    /// Stays when the check goes away.
    pub sticky: bool,
    /// Zero for ever.
    pub until: UTime,
    pub summary: String,
    pub count: u64,
}

impl Encode for Mute {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.bool(self.sticky);
            e.put(&self.until);
            e.string(&self.summary);
            e.u64(self.count);
        });
    }
}

impl Decode for Mute {
    const MIN_SIZE: usize = 27;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("health_mute_t", 1, |d, _| {
            Ok(Self { sticky: d.bool()?, until: d.get()?, summary: d.string()?, count: d.u64()? })
        })
    }
}

/// What the log was last told.
#[derive(Debug, Default)]
pub struct HealthWatch {
    /// Of this monitor's disk.
    pub disk_avail_percent: Option<u8>,
    told: Option<Checks>,
    /// When a change of a check's wording was last told (Ceph: `mon_health_log_update_period`).
    updated: BTreeMap<String, std::time::Duration>,
}

impl Mon {
    pub(crate) fn health_checks(&self, now: Now) -> Checks {
        let mut checks = self.mgr_digest(now).checks;
        CHECKS.iter().for_each(|check| check(self, now, &mut checks));
        checks
    }

    fn mutes(&self) -> BTreeMap<String, Mute> {
        let rows = self.state.space(Space::HealthMute);
        rows.filter_map(|(code, v)| Some((code.clone(), denc::from_bytes(v.clone()).ok()?))).collect()
    }

    fn status_word(checks: &Checks, mutes: &BTreeMap<String, Mute>) -> &'static str {
        let heard = checks.iter().filter(|(code, _)| !mutes.contains_key(*code));
        heard.map(|(_, c)| c.severity).max().map_or("HEALTH_OK", Severity::as_str)
    }

    pub(crate) fn health_dump(&self, now: Now, detail: bool) -> Dump {
        let (checks, mutes) = (self.health_checks(now), self.mutes());
        let mut all = Dump::obj();
        for (code, c) in &checks {
            let summary = Dump::obj().with("message", &c.summary).with("count", c.count);
            let mut d = Dump::obj().with("severity", c.severity.as_str()).with("summary", summary);
            if detail {
                let lines = c.detail.iter().map(|line| Dump::obj().with("message", line));
                d.put("detail", Dump::arr("item", lines));
            }
            all.put(code.clone(), d.with("muted", mutes.contains_key(code)));
        }
        let muted = mutes.iter().map(|(code, m)| {
            let mut d = Dump::obj().with("code", code);
            if !m.until.is_zero() {
                d.put("ttl", m.until);
            }
            d.with("sticky", m.sticky).with("summary", &m.summary).with("count", m.count)
        });
        Dump::obj()
            .with("status", Self::status_word(&checks, &mutes))
            .with("checks", all)
            .with("mutes", Dump::arr("mute", muted))
    }

    /// The status, and each heard check's summary.
    pub(crate) fn health_summary(&self, now: Now) -> Vec<String> {
        let (checks, mutes) = (self.health_checks(now), self.mutes());
        let mut lines = vec![Self::status_word(&checks, &mutes).to_owned()];
        let heard = checks.iter().filter(|(code, _)| !mutes.contains_key(*code));
        lines.extend(heard.map(|(_, c)| c.summary.clone()));
        if !mutes.is_empty() {
            let left = |m: &Mute| match m.until {
                UTime::ZERO => String::new(),
                until => format!("({})", mgr::text::age(until.since(now.wall).as_secs())),
            };
            let codes: Vec<_> = mutes.iter().map(|(code, m)| format!("{code}{}", left(m))).collect();
            lines.push(format!("(muted: {})", codes.join(" ")));
        }
        lines
    }

    pub(crate) fn health_text(&self, now: Now, detail: bool) -> String {
        let (checks, mutes) = (self.health_checks(now), self.mutes());
        let summary = self.health_summary(now);
        let mut t = summary[0].clone();
        if summary.len() > 1 {
            t += " ";
            t += &summary[1..].join("; ");
        }
        t.push('\n');
        if detail {
            for (code, c) in &checks {
                let tag = match c.severity {
                    Severity::Ok => "[OK]",
                    Severity::Warn => "[WRN]",
                    Severity::Err => "[ERR]",
                };
                let muted = if mutes.contains_key(code) { "(MUTED) " } else { "" };
                t += &format!("{muted}{tag} {code}: {}\n", c.summary);
                c.detail.iter().for_each(|line| t += &format!("    {line}\n"));
            }
        }
        t
    }

    /// Notes in the cluster log what has become wrong, other, or right again.
    pub(crate) fn watch_health(&mut self, cx: &mut Cx) {
        let disk = cx.store.statfs();
        self.health.disk_avail_percent = (disk.available * 100).checked_div(disk.total).map(|p| p as u8);
        let now = self.health_checks(cx.now);
        let before = self.health.told.clone().unwrap_or_default();
        let mut told = now.clone();
        let period = self.config.secs("mon_health_log_update_period");
        for (code, c) in &now {
            let level = match c.severity {
                Severity::Ok => ClogLevel::Info,
                Severity::Warn => ClogLevel::Warn,
                Severity::Err => ClogLevel::Error,
            };
            match before.get(code) {
                None => self.pending.clog(level, format!("Health check failed: {} ({code})", c.summary)),
                Some(old) if old.summary != c.summary || old.severity != c.severity => {
                    // Counts that go down by the second need not all be told.
                    let last = self.health.updated.get(code).copied();
                    if last.is_some_and(|at| at + period > cx.now.mono) {
                        told.insert(code.clone(), old.clone());
                        continue;
                    }
                    self.health.updated.insert(code.clone(), cx.now.mono);
                    self.pending.clog(level, format!("Health check update: {} ({code})", c.summary));
                }
                Some(_) => {}
            }
        }
        for (code, old) in before.iter().filter(|(code, _)| !now.contains_key(*code)) {
            self.pending.clog(ClogLevel::Info, format!("Health check cleared: {code} (was: {})", old.summary));
        }
        if now.is_empty() && !before.is_empty() {
            self.pending.clog(ClogLevel::Info, "Cluster is now healthy".to_owned());
        }
        self.check_mutes(cx, &now);
        self.health.updated.retain(|code, _| now.contains_key(code));
        self.health.told = Some(told);
    }

    /// Mutes end by themselves: with their time, with what they silence, or when that gets worse
    /// (Ceph: `HealthMonitor::check_mutes`).
    fn check_mutes(&mut self, cx: &mut Cx, now: &Checks) {
        for (code, mut mute) in self.mutes() {
            let check = now.get(&code).filter(|_| !mute.sticky);
            let why = if !mute.until.is_zero() && mute.until <= cx.now.wall {
                Some(format!("passed TTL {}", mute.until))
            } else if mute.sticky {
                None
            } else if check.is_none() {
                Some("health alert cleared".to_owned())
            } else if mute.count > 0 {
                let count = check.map_or(0, |c| c.count);
                (count > mute.count).then(|| format!("count increased from {} to {count}", mute.count))
            } else {
                let changed = check.is_some_and(|c| c.summary != mute.summary);
                changed.then(|| "summary changed".to_owned())
            };
            if let Some(why) = why {
                self.pending.clog(ClogLevel::Info, format!("Health alert mute {code} cleared ({why})"));
                self.pending.rm(Space::HealthMute, code);
            } else if let Some(count) = check.map(|c| c.count).filter(|n| *n < mute.count) {
                // What has become better is silenced no further than that.
                mute.count = count;
                self.pending.put_value(Space::HealthMute, code, &mute);
            }
        }
    }
}
