//! Reports of daemons' crashes: `crash …`. In Ceph a module of the manager's answers these; here the manager passes
//! them on, as a report must not be lost with it.
//!
//! A report is JSON, kept where Ceph keeps it: under `mgr/crash/crash/ID` among the configuration keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use types::{UTime, errno};

use super::{Cmd, CmdResult, Fail, Handler, Reply, fail};
use crate::change::Space;
use crate::config_db;
use crate::core::Mon;

const PREFIX: &str = "mgr/crash/crash/";
const DAY: u64 = 86_400;

pub fn handler(prefix: &str) -> Option<Handler> {
    Some(match prefix {
        "crash ls" => ls,
        "crash ls-new" => ls_new,
        "crash stat" => stat,
        "crash info" => info,
        "crash json_report" => json_report,
        "crash post" => post,
        "crash rm" => rm,
        "crash prune" => prune,
        "crash archive" => archive,
        "crash archive-all" => archive_all,
        _ => return None,
    })
}

/// One crash. Its keys are in order, as Ceph prints them.
#[derive(Debug, Clone)]
pub struct Report {
    pub id: String,
    pub stamp: UTime,
    fields: BTreeMap<String, Value>,
}

impl Report {
    /// # Errors
    /// What is malformed.
    fn parse(json: &[u8]) -> Result<Self, String> {
        let fields: BTreeMap<String, Value> = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str).ok_or_else(|| format!("missing '{key}' field"));
        let (id, stamp) = (text("crash_id")?.to_owned(), text("timestamp")?);
        let stamp = UTime::parse(stamp)
            .ok_or_else(|| format!("time data '{stamp}' does not match format '%Y-%m-%d %H:%M:%S.%f'"))?;
        Ok(Self { id, stamp, fields })
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key).and_then(Value::as_str)
    }

    fn is_new(&self) -> bool {
        !self.fields.contains_key("archived")
    }

    /// What crashes of one cause have in common: the functions' names, and the assertion without thread, time and
    /// line.
    fn signature(&self) -> Option<String> {
        let Value::Array(frames) = self.fields.get("backtrace")? else { return None };
        let mut text: String = frames.iter().filter_map(Value::as_str).map(function).collect();
        text += &self.text("assert_msg").map(without_place).unwrap_or_default();
        Some(Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect())
    }

    fn json(&self) -> Value {
        self.fields.clone().into_iter().collect()
    }

    fn key(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }
}

/// `foo()` of `(foo()+0x12) [0x55]`.
fn function(frame: &str) -> &str {
    let call = frame.rsplit_once(' ').map_or(frame, |(call, _)| call);
    let name = call.get(1..call.len().saturating_sub(1)).unwrap_or_default();
    name.split('+').next().unwrap_or_default()
}

fn without_place(message: &str) -> String {
    let parts = || {
        let (text, _) = message.rsplit_once('\n')?;
        let (text, said) = text.rsplit_once(": ")?;
        let (head, _) = text.rsplit_once(" time ").and_then(|(head, _)| head.rsplit_once(" thread "))?;
        Some(format!("{head}: {said}"))
    };
    parts().unwrap_or_else(|| message.to_owned())
}

/// All reports, by id, which begins with the time.
fn all(mon: &Mon) -> Vec<Report> {
    let keys = mon.state.space_from(Space::ConfigKey, PREFIX).take_while(|(key, _)| key.starts_with(PREFIX));
    keys.filter_map(|(_, json)| Report::parse(json).ok()).collect()
}

fn module_secs(mon: &Mon, option: &str, usual: u64) -> u64 {
    let settings = mon.settings();
    let found = config_db::effective(&settings, &mon.who("mgr.x", ""));
    found.get(option).and_then(|s| s.value.parse().ok()).unwrap_or(usual)
}

fn before(now: UTime, secs: u64) -> UTime {
    UTime::from_duration(now.to_duration().saturating_sub(Duration::from_secs(secs)))
}

/// New ones that are not long ago.
pub fn recent(mon: &Mon, now: UTime) -> Vec<Report> {
    let mut all = all(mon);
    if !all.is_empty() {
        let after = before(now, module_secs(mon, "mgr/crash/warn_recent_interval", 14 * DAY));
        all.retain(|r| r.is_new() && r.stamp > after);
    }
    all
}

/// As Ceph's module prints it: indented by four.
fn pretty(value: &Value) -> String {
    let lines = format!("{value:#}");
    let lines = lines.lines().map(|line| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        format!("{}{line}", " ".repeat(indent))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn find(c: &Cmd) -> Result<Report, Fail> {
    let id = c.arg("id")?;
    let found = c.mon.state.get(Space::ConfigKey, &format!("{PREFIX}{id}")).and_then(|json| Report::parse(json).ok());
    found.ok_or_else(|| Fail(errno::EINVAL, format!("crash info: {id} not found")))
}

fn listed(c: &Cmd, reports: &[Report]) -> Reply {
    if c.format().is_some() {
        return Reply::data(pretty(&reports.iter().map(Report::json).collect()));
    }
    if reports.is_empty() {
        return Reply::default();
    }
    let rows = reports.iter().map(|r| (r.id.as_str(), r.text("entity_name").unwrap_or("unknown"), r.is_new()));
    let rows: Vec<_> = rows.collect();
    let id_width = rows.iter().map(|(id, ..)| id.len()).max().unwrap_or(0).max(2);
    let who_width = rows.iter().map(|(_, who, _)| who.len()).max().unwrap_or(0).max(6);
    let mut t = format!("{:id_width$}  {:who_width$}  NEW  ", "ID", "ENTITY");
    for (id, who, is_new) in rows {
        t += &format!("\n{id:id_width$}  {who:who_width$}   {}   ", if is_new { '*' } else { ' ' });
    }
    Reply::data(t)
}

fn ls(c: &mut Cmd) -> CmdResult {
    Ok(listed(c, &all(c.mon)))
}

fn ls_new(c: &mut Cmd) -> CmdResult {
    let mut new = all(c.mon);
    new.retain(Report::is_new);
    Ok(listed(c, &new))
}

/// As in Ceph, one that is older than a week is also older than a day.
fn stat(c: &mut Cmd) -> CmdResult {
    let (all, now) = (all(c.mon), c.now().wall);
    let mut t = format!("{} crashes recorded", all.len());
    for days in [1, 3, 7] {
        let older: Vec<&str> =
            all.iter().filter(|r| r.stamp <= before(now, days * DAY)).map(|r| r.id.as_str()).collect();
        t.push('\n');
        if !older.is_empty() {
            t += &format!("{} older than {days} days old:\n{}", older.len(), older.join("\n"));
        }
    }
    Ok(Reply::data(t))
}

fn info(c: &mut Cmd) -> CmdResult {
    Ok(Reply::data(pretty(&find(c)?.json())))
}

fn json_report(c: &mut Cmd) -> CmdResult {
    if c.arg("hours")?.parse::<i64>().is_err() {
        return fail(errno::EINVAL, "<hours> argument must be integer");
    }
    let mut programs: BTreeMap<String, u64> = BTreeMap::new();
    for r in all(c.mon) {
        *programs.entry(r.text("process_name").unwrap_or("unknown").to_owned()).or_default() += 1;
    }
    let counts: Vec<String> = programs.iter().map(|(name, n)| format!("{}: {n}", Value::from(name.as_str()))).collect();
    Ok(Reply::says(format!("{{{}}}", counts.join(", "))))
}

fn post(c: &mut Cmd) -> CmdResult {
    let mut r =
        Report::parse(&c.data).map_err(|why| Fail(errno::EINVAL, format!("malformed crash metadata: {why}")))?;
    if let Some(signature) = r.signature() {
        r.fields.insert("stack_sig".to_owned(), signature.into());
    }
    let max = c.mon.config.u64("mon_config_key_max_entry_size");
    let json = r.json().to_string();
    if json.len() as u64 > max {
        return fail(errno::EFBIG, format!("a crash report is limited to {max} bytes"));
    }
    if c.mon.state.get(Space::ConfigKey, &r.key()).is_none() {
        c.mon.pending.put(Space::ConfigKey, r.key(), json);
        let keep = module_secs(c.mon, "mgr/crash/retain_interval", 365 * DAY);
        forget(c, keep);
    }
    Ok(Reply::default())
}

fn forget(c: &mut Cmd, older_secs: u64) {
    let last = before(c.now().wall, older_secs);
    for r in all(c.mon).into_iter().filter(|r| r.stamp <= last) {
        c.mon.pending.rm(Space::ConfigKey, r.key());
    }
}

fn rm(c: &mut Cmd) -> CmdResult {
    if let Ok(r) = find(c) {
        c.mon.pending.rm(Space::ConfigKey, r.key());
    }
    Ok(Reply::default())
}

fn prune(c: &mut Cmd) -> CmdResult {
    match c.arg("keep")?.parse::<u64>() {
        Ok(days) => forget(c, days.saturating_mul(DAY)),
        Err(_) => return fail(errno::EINVAL, "keep argument must be integer"),
    }
    Ok(Reply::default())
}

fn put_archived(c: &mut Cmd, mut r: Report) {
    if r.is_new() {
        let stamp = c.now().wall.to_string().replace('T', " ").replace("+0000", "");
        r.fields.insert("archived".to_owned(), stamp.into());
        let json = r.json().to_string();
        c.mon.pending.put(Space::ConfigKey, r.key(), json);
    }
}

fn archive(c: &mut Cmd) -> CmdResult {
    let r = find(c)?;
    put_archived(c, r);
    Ok(Reply::default())
}

fn archive_all(c: &mut Cmd) -> CmdResult {
    all(c.mon).into_iter().for_each(|r| put_archived(c, r));
    Ok(Reply::default())
}
