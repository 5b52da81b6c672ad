//! "Safe" is carried out: a run with faults is looked at now and then, and each command that `explain` calls safe is
//! tried in a copy of the run, after which all is healed and nothing may be lost.
//!
//! The simulator has no copies; the same seed up to the same look is one. What a verdict promises is checked: no
//! acknowledged write is lost, the replicas are the same, and if OSDs may stop, the PGs go on serving.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::explain::{Act, Answers, Asker, Facts, Question, Safety, To, explain, gather, safety, scrub_list};
use bytes::Bytes;
use rados::{ObjectOp, Reply, Request, TellTarget};
use serde_json::{Value, json};
use types::{OsdId, PgId};

use crate::cluster::{Cluster, Plan, PoolPlan};
use crate::provoke::{self, Situation};
use crate::rng::Rng;
use crate::trace::Trace;

/// Daemons answer within this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a run was like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub looks: usize,
    /// The causes that were found, and how often.
    pub causes: BTreeMap<String, usize>,
    /// The commands that were called safe and carried out.
    pub tried: Vec<String>,
    /// What was said at the last look, of a state that was made on purpose.
    pub told: String,
    /// How many commands were not called safe.
    pub refused: usize,
}

/// The cluster, asked by its operator.
struct Ask<'a>(&'a mut Cluster);

impl Asker for Ask<'_> {
    fn ask(&mut self, q: &Question) -> Result<Value, String> {
        let c = &mut *self.0;
        if q.to == To::Here {
            let osds = c.osds.iter().enumerate().map(|(n, host)| (format!("osd.{n}"), json!(c.world.is_up(*host))));
            return Ok(osds.collect::<serde_json::Map<_, _>>().into());
        }
        let request = request(c, &q.to, &q.json).ok_or("it has no primary")?;
        match c.try_ask(request, PATIENCE) {
            Some(Reply::Command(reply)) if reply.r >= 0 => {
                let text = || Value::String(String::from_utf8_lossy(&reply.data).trim().to_owned());
                Ok(serde_json::from_slice(&reply.data).unwrap_or_else(|_| text()))
            }
            Some(Reply::Op(reply)) if reply.result >= 0 => {
                scrub_list::answer(reply.data(0), matches!(q.to, To::ScrubSnaps(_)))
            }
            Some(other) => Err(format!("{other:?}")),
            None => Err("no answer".to_owned()),
        }
    }
}

fn request(c: &mut Cluster, to: &To, json: &Value) -> Option<Request> {
    let (cmd, data) = (json.to_string(), Bytes::new());
    Some(match to {
        To::Mon => Request::MonCommand { cmd, data },
        To::Mgr => Request::MgrCommand { cmd, data },
        To::Osd(osd) => Request::Tell { target: TellTarget::Osd(*osd), cmd, data },
        To::Pg(pg) => Request::Tell { target: TellTarget::Osd(primary(c, *pg)?), cmd, data },
        To::Scrub(pg) | To::ScrubSnaps(pg) => {
            let snapsets = matches!(to, To::ScrubSnaps(_));
            let ask = scrub_list::question(snapsets);
            Request::Op(Box::new(ObjectOp::on_pg(pg.pool, Vec::new(), pg.seed).push(ask)))
        }
        To::Here => return None,
    })
}

fn primary(c: &mut Cluster, pg: PgId) -> Option<OsdId> {
    let Some(Reply::Map(map)) = c.try_ask(Request::LatestMap, PATIENCE) else { return None };
    Some(map.pg_primary(pg)).filter(|osd| *osd >= 0)
}

/// What the cluster says of itself.
pub fn look(c: &mut Cluster) -> Answers {
    gather(&mut Ask(c), None)
}

/// Something that was called safe.
#[derive(Debug, Clone, PartialEq)]
struct Try {
    text: String,
    act: Act,
}

/// All that is called safe at a moment: what is advised, and what can be asked of each OSD and pool.
fn safe(f: &Facts, summary: &mut Summary) -> Vec<Try> {
    let mut all: Vec<Try> = Vec::new();
    let mut add = |text: String, act: Act, verdict: &Safety| match verdict {
        Safety::Yes(_) if !all.iter().any(|t| t.text == text) => all.push(Try { text, act }),
        Safety::Yes(_) => {}
        _ => summary.refused += 1,
    };
    let report = explain(f, None).expect("the cluster is there");
    for finding in &report.findings {
        *summary.causes.entry(finding.cause.to_owned()).or_default() += 1;
        for advice in &finding.advice {
            add(advice.command.text.clone(), advice.command.act.clone(), &advice.safe);
        }
    }
    for (osd, facts) in &f.osds {
        if facts.up {
            add(format!("spirula stop osd.{osd}"), Act::Stop(format!("osd.{osd}")), &safety::stop(f, *osd));
        }
        if facts.weight > 0.0 {
            let out = ::explain::Command::out(*osd);
            add(out.text, out.act, &safety::out(f, *osd));
        }
        let purge = ::explain::Command::purge(*osd);
        add(purge.text, purge.act, &safety::purge(f, *osd));
    }
    for (id, pool) in &f.pools {
        let grow = ::explain::Command::pool_set(&pool.name, "size", &(pool.size + 1).to_string());
        add(grow.text, grow.act, &safety::grow(f, *id, pool.size + 1));
        for to in 1..pool.min_size {
            let lower = ::explain::Command::pool_set(&pool.name, "min_size", &to.to_string());
            add(lower.text, lower.act, &safety::lower_min_size(&pool.name, to));
        }
    }
    all
}

/// A run up to a look, and what its last look found.
struct Run {
    c: Cluster,
    facts: Facts,
    summary: Summary,
    last: Vec<Try>,
}

impl Run {
    fn look(&mut self) {
        self.facts = Facts::decode(&look(&mut self.c));
        self.summary.looks += 1;
        self.last = safe(&self.facts, &mut self.summary);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.c.world.trace.lines().for_each(|line| println!("{line}"));
        }
    }
}

/// A run with faults, looked at so many times.
fn until(seed: u64, looks: usize, trace: Trace) -> Run {
    let mut rng = Rng::new(seed ^ 0x0e0b_1a10_5afe_5afe);
    let plan = plan(&mut rng);
    let mut c = Cluster::with_trace(seed, &plan, trace);
    c.wait_up(plan.osds as u64);
    let mut least = usize::MAX;
    for _ in 0..rng.between(1, 2) {
        let size = (*rng.pick(&[1, 2, 2, 3, 3])).min(plan.osds);
        let min_size = rng.between(1, size as u64) as usize;
        least = least.min(size);
        c.create_pool_as(&PoolPlan { size, min_size, pg_num: *rng.pick(&[1, 2, 4]) });
    }
    c.wait_clean();
    c.load(true);
    let mut run = Run { c, facts: Facts::default(), summary: Summary::default(), last: Vec::new() };
    let rots = rng.percent(30) && least > 1;
    let situation = rng.percent(60).then(|| *rng.pick(&Situation::ALL));
    // That one takes a disk away, and with it what has a single copy.
    let situation = situation.filter(|s| least > 1 || *s != Situation::Incomplete);
    let provoked_at = rng.between(1, ROT_AT as u64 - 1) as usize;
    for n in 0..looks {
        if let Some(situation) = situation.filter(|_| n + 1 == provoked_at) {
            provoke(&mut run, &mut rng, situation);
            continue;
        }
        for _ in 0..rng.between(1, 3) {
            fault(&mut run.c, &mut rng);
            let soon = *rng.pick(&[100, 2_000, 15_000]);
            run.c.world.run_for(Duration::from_millis(rng.between(10, soon)));
        }
        if rots && n + 1 == ROT_AT {
            rot(&mut run.c, &mut rng);
        }
        // Often long enough for everybody to have noticed.
        run.c.run(*rng.pick(&[0, 5, 30, 60]));
        run.look();
    }
    run
}

/// Brings a state about that chance seldom brings, and looks at it.
fn provoke(run: &mut Run, rng: &mut Rng, situation: Situation) {
    heal(&mut run.c, &BTreeSet::new());
    run.c.load(true);
    run.c.run(5);
    run.c.world.note("provoked", &format!("{situation:?}"));
    situation.bring_about(&mut run.c, rng);
    run.look();
}

fn plan(rng: &mut Rng) -> Plan {
    let mut plan = Plan { osds: rng.between(2, 5) as usize, clients: 1, model_disks: true, ..Plan::default() };
    plan.mix.objects = 12;
    plan.mix.think = Duration::from_millis(*rng.pick(&[50, 200]));
    let mut option = |name: &str, values: &[&str]| {
        let value = (*rng.pick(values)).to_owned();
        plan.options.retain(|(n, _)| n != name);
        plan.options.push((name.to_owned(), value));
    };
    option("mon_osd_down_out_interval", &["0", "0", "20"]);
    option("mon_osd_min_in_ratio", &["0.75", "0.3"]);
    option("osd_heartbeat_grace", &["6", "20"]);
    option("osd_scrub_auto_repair", &["true", "false"]);
    // A request that is forgotten is rightly carried out again.
    option("osd_pg_log_dups_tracked", &["100000"]);
    if rng.percent(30) {
        let short = [("osd_min_pg_log_entries", "20"), ("osd_max_pg_log_entries", "40"), ("osd_pg_log_trim_min", "5")];
        plan.options.extend(short.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
    plan
}

const FLAGS: &[&str] = &["noout", "norecover", "nobackfill", "norebalance", "noup", "nodown", "noscrub", "pause"];

/// What goes wrong, none of which loses anything by itself.
fn fault(c: &mut Cluster, rng: &mut Rng) {
    let osd = rng.below(c.osds.len() as u64) as usize;
    let host = c.osds[osd];
    let pool = Cluster::pool_name(rng.below(c.work.borrow().pools.len() as u64) as usize);
    match rng.below(100) {
        0..45 if c.world.is_up(host) => c.world.crash(host),
        0..65 => c.world.start_if_down(host),
        65..72 => c.order(&json!({"prefix": "osd out", "ids": [osd.to_string()]})),
        72..78 => c.order(&json!({"prefix": "osd in", "ids": [osd.to_string()]})),
        78..83 => c.order(&json!({"prefix": "osd set", "key": *rng.pick(FLAGS)})),
        83..88 => {
            let val = rng.between(1, 2).to_string();
            c.order(&json!({"prefix": "osd pool set", "pool": pool, "var": "min_size", "val": val}));
        }
        88..92 => c.cut_off(osd),
        92..97 => c.heal(),
        _ => c.run(20),
    }
}

/// The look before which a disk goes bad; the last of a run.
const ROT_AT: usize = 4;

/// A disk goes bad in many places, while all objects have their other copies, and a scrub sees it.
fn rot(c: &mut Cluster, rng: &mut Rng) {
    heal(c, &BTreeSet::new());
    c.load(true);
    let host = *rng.pick(&c.osds);
    (0..400).for_each(|_| c.world.rot(host));
    c.order(&json!({"prefix": "osd deep-scrub", "who": "all"}));
    c.run(15);
}

/// Carries out what was called safe; gives the OSDs whose disks are gone with it.
fn carry_out(run: &mut Run, act: &Act) -> BTreeSet<usize> {
    let c = &mut run.c;
    let number = |name: &str| name.strip_prefix("osd.").and_then(|n| n.parse::<usize>().ok());
    let mut gone = BTreeSet::new();
    match act {
        Act::Ask(to, json) => {
            let Some(request) = request(c, to, json) else { return gone };
            let done = c.try_ask(request, PATIENCE);
            let accepted = matches!(&done, Some(Reply::Command(reply)) if reply.r >= 0);
            let purged = json["prefix"] == "osd purge" && accepted;
            if let Some(n) = json["id"].as_u64().filter(|_| purged) {
                // Its disk is thrown away: that is what the command is for.
                c.world.crash(c.osds[n as usize]);
                c.wipe_osd(n as usize);
                gone.insert(n as usize);
            }
        }
        Act::Start(name) => {
            if let Some(n) = number(name) {
                c.world.start_if_down(c.osds[n]);
            }
        }
        Act::Stop(name) => {
            if let Some(n) = number(name) {
                c.world.crash(c.osds[n]);
                still_serving(run, n);
            }
        }
        Act::Restart(name) => {
            if let Some(n) = number(name) {
                c.world.crash(c.osds[n]);
                c.run(1);
                c.start_osd(n);
            }
        }
        Act::AddOsd => c.add_osd(),
        Act::Person => {}
    }
    gone
}

/// Whether every PG that served still does, a while after an OSD was stopped. Only where the facts were true: an OSD
/// that had died or was cut off unnoticed is not their fault.
fn still_serving(run: &mut Run, stopped: usize) {
    let c = &mut run.c;
    let told_truly =
        c.osds.iter().enumerate().all(|(n, h)| n == stopped || c.world.is_up(*h) == run.facts.is_up(n as i32));
    if !told_truly || c.world.has_cuts() {
        return;
    }
    c.run(60);
    let now = Facts::decode(&look(c));
    for (id, before) in run.facts.pgs.iter().filter(|(_, pg)| pg.is("active") && !pg.is("stale")) {
        let serves = now.pgs.get(id).is_some_and(|pg| pg.is("active") && !pg.is("stale"));
        assert!(
            serves,
            "osd.{stopped} was said to be free to stop, and PG {id} ({} before) does not serve: {:?}",
            before.state_text,
            now.pgs.get(id).map(|pg| &pg.state_text)
        );
    }
}

/// Everything that went wrong comes right, but for disks that are gone; then nothing may be lost.
fn heal(c: &mut Cluster, gone: &BTreeSet<usize>) {
    c.heal();
    for flag in FLAGS {
        c.order(&json!({"prefix": "osd unset", "key": flag}));
    }
    provoke::undo(c);
    let gone_hosts: Vec<_> = gone.iter().map(|n| c.osds[*n]).collect();
    for host in c.everyone() {
        if !gone_hosts.contains(&host) {
            c.world.start_if_down(host);
        }
    }
    for n in 0..c.osds.len() {
        if !gone.contains(&n) {
            c.order(&json!({"prefix": "osd in", "ids": [n.to_string()]}));
        }
    }
    // What rotted is mended before copies are compared byte for byte.
    c.load(true);
    c.run(5);
    let calm = ["active+clean", "active+clean+inconsistent", "active+clean+scrubbing+deep", "active+clean+scrubbing"];
    c.wait_pgs(&calm);
    c.order(&json!({"prefix": "osd repair", "who": "all"}));
    c.run(30);
    c.settle();
}

/// A run up to a look, then a command that was called safe.
fn in_a_copy(mut copy: Run, this: &Try) {
    copy.c.world.note("explain", &this.text);
    let gone = carry_out(&mut copy, &this.act);
    copy.c.run(20);
    heal(&mut copy.c, &gone);
}

/// One command again, with the last lines of its trace if it fails.
pub fn again(seed: u64, look: usize, text: &str, lines: usize) {
    let mut first = until(seed, look, Trace::keeping(lines));
    let this =
        std::mem::take(&mut first.last).into_iter().find(|t| t.text == text).expect("it was called safe at this look");
    in_a_copy(until(seed, look, Trace::keeping(lines)), &this);
}

/// A cluster in a state that was made on purpose, looked at once.
fn staged(seed: u64, situation: Situation) -> Run {
    let mut plan = Plan { osds: 4, clients: 1, model_disks: true, ..Plan::default() };
    plan.mix.objects = 12;
    plan.mix.think = Duration::from_millis(200);
    plan.options.push(("osd_pg_log_dups_tracked".to_owned(), "100000".to_owned()));
    if situation == Situation::Incomplete {
        // An OSD with an empty disk is to be backfilled.
        let short = [("osd_min_pg_log_entries", "5"), ("osd_max_pg_log_entries", "10"), ("osd_pg_log_trim_min", "1")];
        plan.options.extend(short.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
    let mut c = Cluster::new(seed, &plan);
    c.wait_up(4);
    c.create_pool_as(&PoolPlan { size: 3, min_size: 2, pg_num: 1 });
    c.wait_clean();
    c.load(true);
    c.run(20);
    let mut run = Run { c, facts: Facts::default(), summary: Summary::default(), last: Vec::new() };
    assert!(situation.bring_about(&mut run.c, &mut Rng::new(seed)), "{situation:?} cannot be made");
    run.look();
    run
}

/// Makes a state on purpose, and carries out up to `tries` of what is called safe then, chosen by the seed.
pub fn provoked(seed: u64, situation: Situation, tries: usize) -> Summary {
    let mut rng = Rng::new(seed ^ 0x7215);
    let mut first = staged(seed, situation);
    let mut left = std::mem::take(&mut first.last);
    let mut summary = std::mem::take(&mut first.summary);
    summary.told = explain(&first.facts, None).expect("the cluster is there").to_text();
    left.retain(|t| t.act != Act::Person);
    while !left.is_empty() && summary.tried.len() < tries {
        let this = left.swap_remove(rng.below(left.len() as u64) as usize);
        println!("seed {seed}, {situation:?}: `{}` was called safe", this.text);
        in_a_copy(staged(seed, situation), &this);
        summary.tried.push(this.text);
    }
    summary
}

/// Plays a seed: so many looks, and at each up to `tries` of what was called safe, chosen by the seed.
pub fn run(seed: u64, looks: usize, tries: usize) -> Summary {
    let mut summary = Summary::default();
    let mut rng = Rng::new(seed ^ 0x7215);
    for n in 1..=looks {
        let mut first = until(seed, n, Trace::default());
        let mut left = std::mem::take(&mut first.last);
        let mut tried = Vec::new();
        summary = Summary { tried: std::mem::take(&mut summary.tried), ..std::mem::take(&mut first.summary) };
        while !left.is_empty() && tried.len() < tries {
            let this = left.swap_remove(rng.below(left.len() as u64) as usize);
            if this.act != Act::Person {
                tried.push(this);
            }
        }
        for this in tried {
            println!("seed {seed}, look {n}: `{}` was called safe", this.text);
            in_a_copy(until(seed, n, Trace::default()), &this);
            summary.tried.push(this.text);
        }
    }
    summary
}
