//! A report: findings with what they are about, as text for people and as JSON for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use types::PgId;

use crate::facts::Facts;
use crate::finding::{Advice, Finding, Safety, Severity};
use crate::safety;
use crate::target::Target;
use crate::words;

/// Text is broken at this column.
const WIDTH: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub target: Target,
    /// The first line: how it stands.
    pub summary: String,
    pub findings: Vec<Finding>,
    /// What could not be found out, and why: the rest may be incomplete.
    pub unanswered: BTreeMap<String, String>,
}

impl Report {
    pub(crate) fn new(f: &Facts, target: Target, findings: Vec<Finding>) -> Self {
        let summary = match &target {
            Target::Cluster => cluster(f, &findings),
            Target::Pg(id) => pg(f, *id),
            Target::Osd(id) => osd(f, *id),
            Target::Pool(id) => pool(f, *id),
            Target::Code(code) => match f.checks.get(code) {
                Some(check) => format!("{code}: {}", check.summary),
                None => format!("{code} is not raised: nothing of that kind is wrong now."),
            },
        };
        Self { target, summary, findings, unanswered: f.unanswered.clone() }
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.summary);
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (n, finding) in self.findings.iter().enumerate() {
            out.push('\n');
            finding_text(&mut out, n + 1, finding, &mut seen);
        }
        // Without monitors nothing is, and the first finding says so.
        if !self.unanswered.is_empty() && !self.unanswered.contains_key("status") {
            out.push('\n');
            let missing = self.unanswered.iter().map(|(q, why)| format!("{q} ({why})")).collect::<Vec<_>>();
            paragraph(&mut out, "", &format!("Not answered, so not looked at: {}.", missing.join("; ")), 0);
        }
        out
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(finding_json).collect();
        json!({"summary": self.summary, "healthy": self.findings.is_empty(), "findings": findings,
            "unanswered": self.unanswered})
    }
}

/// Breaks a text into lines, the first after `head`, the others indented.
fn paragraph(out: &mut String, head: &str, text: &str, indent: usize) {
    let mut line = head.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn finding_text<'a>(out: &mut String, n: usize, f: &'a Finding, seen: &mut BTreeMap<&'a str, usize>) {
    paragraph(out, &format!("[{n}] "), &format!("{} ({})", f.sentence, f.severity.name()), 4);
    let mut part = |name: &str, text: &str| {
        if !text.is_empty() {
            paragraph(out, &format!("    {name:<9} "), text, 14);
        }
    };
    part("seen", &f.evidence.join("; "));
    part("data", &f.data);
    part("I/O", &f.io);
    part("waiting", &f.waiting.text);
    for advice in &f.advice {
        out.push_str(&format!("    $ {}\n", advice.command.text));
        // What was told once is not told again.
        match seen.get(advice.command.text.as_str()) {
            Some(before) => out.push_str(&format!("      see [{before}]\n")),
            None => advice_text(out, advice),
        }
        seen.entry(advice.command.text.as_str()).or_insert(n);
    }
}

fn advice_text(out: &mut String, a: &Advice) {
    let risk = if a.risk.is_empty() { String::new() } else { format!(" Risk: {}.", a.risk) };
    paragraph(out, "      ", &format!("{}.{risk}", a.does), 6);
    paragraph(out, "      ", &format!("{}: {}.", a.safe.word(), a.safe.why()), 6);
}

fn finding_json(f: &Finding) -> Value {
    let advice = |a: &Advice| {
        let safe = match a.safe {
            Safety::Yes(_) => "yes",
            Safety::No(_) => "no",
            Safety::NotKnown(_) => "not known",
        };
        json!({"command": a.command.text, "does": a.does, "risk": a.risk, "safe": safe, "why": a.safe.why()})
    };
    let pgs: Vec<String> = f.pgs.iter().map(PgId::to_string).collect();
    json!({"cause": f.cause, "severity": f.severity.name(), "sentence": f.sentence, "evidence": f.evidence,
        "data": f.data, "io": f.io,
        "waiting": {"helps": f.waiting.helps, "seconds": f.waiting.seconds, "text": f.waiting.text},
        "commands": f.advice.iter().map(advice).collect::<Vec<_>>(),
        "pgs": pgs, "osds": f.osds, "pools": f.pools, "health": f.health})
}

// --- how it stands

fn cluster(f: &Facts, findings: &[Finding]) -> String {
    if f.unanswered.contains_key("status") {
        return "No monitor answers.".to_owned();
    }
    let waiting = f.pgs.values().filter(|pg| !pg.is("active") || pg.is("stale")).count();
    let all = f.pgs.len();
    let health = if f.status.is_empty() { "The health is not known" } else { &f.status };
    let up = f.osds.values().filter(|o| o.up).count();
    let osds = format!("{up} of {} OSDs up", f.osds.len());
    let blind = f.unanswered.contains_key("pg dump");
    let pgs = match (all, waiting) {
        _ if blind => "what its PGs do is not known".to_owned(),
        (0, _) => "no PGs".to_owned(),
        (1, 0) => "the PG serves".to_owned(),
        (_, 0) => format!("all {all} PGs serve"),
        (_, 1) => format!("1 of {all} PGs does not serve"),
        _ => format!("{waiting} of {all} PGs do not serve"),
    };
    let notes = findings.iter().filter(|x| x.severity == Severity::Note).count() as u64;
    let causes = findings.len() as u64 - notes;
    let what = match (causes, notes) {
        (0, 0) if blind => "nothing is known to be wrong".to_owned(),
        (0, 0) => "nothing is wrong".to_owned(),
        (0, n) if blind => format!("nothing is known to be wrong, {}", words::count(n, "note")),
        (0, n) => format!("nothing is wrong, {}", words::count(n, "note")),
        (c, 0) => words::count(c, "cause"),
        (c, n) => format!("{}, {}", words::count(c, "cause"), words::count(n, "note")),
    };
    format!("{health}: {what}; {osds}, {pgs}.")
}

fn pg(f: &Facts, id: PgId) -> String {
    let blind = f.unanswered.contains_key("pg dump");
    let absent = if blind { "its state is not known" } else { "nobody has reported it yet" };
    let Some(pg) = f.pgs.get(&id) else { return format!("PG {id}: {absent}.") };
    let (state, size) = (&pg.state_text, f.pool_of(id).map_or(0, |p| p.size));
    // Who does not serve may not know what there is.
    let holding = match pg.is("active") {
        true => format!(": {}, {}", words::count(pg.objects, "object"), words::bytes(pg.bytes)),
        false => String::new(),
    };
    let where_ = match pg.acting[..] {
        [] => "on no OSD".to_owned(),
        _ if pg.once.is_some() => format!("and mapped to no OSD; {} had it last", words::osds(&pg.acting)),
        _ => format!("on {}, {} of {size} copies", words::osds(&pg.acting), pg.acting.len()),
    };
    let name = f.pool_name(id.pool);
    format!("PG {id} of pool {name} is {} {where_}{holding}.", if state.is_empty() { "unknown" } else { state })
}

fn osd(f: &Facts, id: types::OsdId) -> String {
    let Some(osd) = f.osds.get(&id) else { return format!("osd.{id} is not known.") };
    let (up, in_) = (if osd.up { "up" } else { "down" }, if osd.weight > 0.0 { "in" } else { "out" });
    let mut text = format!("osd.{id} is {up} and {in_}");
    if osd.kb > 0 {
        let (used, pgs) = (words::percent(osd.used_ratio()), words::count(osd.num_pgs, "PG"));
        text += &format!(", {used} full, holds {pgs}");
    }
    text.push('.');
    if osd.up {
        let verdict = safety::stop(f, id);
        text += &match verdict {
            Safety::Yes(why) => format!(" It may be stopped now: {why}."),
            Safety::No(why) => format!(" It must not be stopped now: {why}."),
            Safety::NotKnown(why) => format!(" Whether it may be stopped is not known: {why}."),
        };
    }
    text
}

fn pool(f: &Facts, id: types::PoolId) -> String {
    let Some(pool) = f.pools.get(&id) else { return format!("pool {id} is not known.") };
    let all: Vec<_> = f.pgs_of(id).collect();
    let clean = all.iter().filter(|(_, pg)| pg.is_clean()).count();
    let objects: u64 = all.iter().map(|(_, pg)| pg.objects).sum();
    let bytes: u64 = all.iter().map(|(_, pg)| pg.bytes).sum();
    format!(
        "Pool {} keeps {} (serves with {}): {clean} of {} PGs are active+clean; {}, {}.",
        pool.name,
        if pool.size == 1 { "1 copy".to_owned() } else { format!("{} copies", pool.size) },
        pool.min_size,
        pool.pg_num,
        words::count(objects, "object"),
        words::bytes(bytes)
    )
}
