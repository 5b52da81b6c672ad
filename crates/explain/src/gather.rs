//! What is asked to explain a cluster: the commands that every Ceph has, a few for all, then more about the parts
//! that are not well.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use types::{OsdId, PgId};

use crate::answers::Answers;
use crate::facts::{Facts, PgFacts};

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    Mon,
    Mgr,
    Osd(OsdId),
    /// The primary of a PG.
    Pg(PgId),
    /// What the last scrub of a PG found (`rados list-inconsistent-obj`).
    Scrub(PgId),
    /// … of snapshots (`rados list-inconsistent-snapset`).
    ScrubSnaps(PgId),
    /// Which daemons of this machine run.
    Here,
}

/// One question: a command in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// As a person would type it; names the answer.
    pub name: String,
    pub to: To,
    pub json: Value,
}

impl Question {
    fn new(name: &str, to: To, json: Value) -> Self {
        Self { name: name.to_owned(), to, json }
    }
}

/// Whatever can ask a cluster.
pub trait Asker {
    /// The answer, or in a few words why there is none. What is text only comes as a JSON string.
    fn ask(&mut self, question: &Question) -> Result<Value, String>;
}

/// So many PGs are asked about themselves; those that are alike have the same cause.
const PGS_MAX: usize = 12;

/// Asks all that is needed to explain this part of a cluster, or all of it.
pub fn gather(asker: &mut dyn Asker, target: Option<&str>) -> Answers {
    let mut answers = Answers::default();
    let mut ask = |answers: &mut Answers, q: Question| {
        match asker.ask(&q) {
            Ok(v) => answers.got.insert(q.name, v).map(|_| ()),
            Err(why) => answers.failed.insert(q.name, why).map(|_| ()),
        };
    };
    for q in first() {
        ask(&mut answers, q);
    }
    let facts = Facts::decode(&answers);
    for q in second(&facts, target) {
        ask(&mut answers, q);
    }
    answers
}

fn first() -> Vec<Question> {
    let mon = |prefix: &str| Question::new(prefix, To::Mon, json!({"prefix": prefix, "format": "json"}));
    let option = |who: &str, key: &str| {
        let json = json!({"prefix": "config get", "who": who, "key": key});
        Question::new(&format!("config get {who} {key}"), To::Mon, json)
    };
    vec![
        Question::new("health detail", To::Mon, json!({"prefix": "health", "detail": "detail", "format": "json"})),
        mon("status"),
        mon("mon dump"),
        mon("osd dump"),
        mon("osd crush dump"),
        mon("versions"),
        Question::new("pg dump", To::Mgr, json!({"prefix": "pg dump", "dumpcontents": ["all"], "format": "json"})),
        Question::new(
            "log last",
            To::Mon,
            json!({"prefix": "log last", "num": 300, "level": "info", "channel": "cluster", "format": "json"}),
        ),
        option("mon", "mon_osd_down_out_interval"),
        option("mon", "mon_osd_min_in_ratio"),
        Question::new("processes", To::Here, Value::Null),
    ]
}

/// About PGs that a look at the statistics does not explain, and about OSDs with slow operations.
fn second(f: &Facts, target: Option<&str>) -> Vec<Question> {
    let target: Option<PgId> = target.and_then(|t| t.parse().ok());
    let mut all = Vec::new();
    let mut pgs = |wanted: &dyn Fn(&PgFacts) -> bool, make: &dyn Fn(PgId) -> Question| {
        let ids = f.pgs.iter().filter(|(_, pg)| wanted(pg)).map(|(id, _)| *id);
        // The one that was asked for comes first.
        let (mut asked, rest): (Vec<PgId>, Vec<PgId>) = ids.partition(|id| Some(*id) == target);
        asked.extend(rest);
        all.extend(asked.into_iter().take(PGS_MAX).map(make));
    };
    let has_primary = |pg: &PgFacts| pg.acting_primary >= 0 && f.is_up(pg.acting_primary);
    pgs(&|pg| has_primary(pg) && (!pg.is("active") || pg.unfound > 0), &|id| {
        Question::new(
            &format!("pg {id} query"),
            To::Pg(id),
            json!({"prefix": "pg", "pgid": id.to_string(), "cmd": "query", "format": "json"}),
        )
    });
    pgs(&|pg| has_primary(pg) && pg.unfound > 0, &|id| {
        Question::new(
            &format!("pg {id} list_unfound"),
            To::Pg(id),
            json!({"prefix": "pg", "pgid": id.to_string(), "cmd": "list_unfound", "format": "json"}),
        )
    });
    pgs(&|pg| has_primary(pg) && pg.is("inconsistent"), &|id| {
        Question::new(&format!("list-inconsistent-obj {id}"), To::Scrub(id), Value::Null)
    });
    pgs(&|pg| has_primary(pg) && pg.is("inconsistent"), &|id| {
        Question::new(&format!("list-inconsistent-snapset {id}"), To::ScrubSnaps(id), Value::Null)
    });
    let slow: BTreeSet<OsdId> = f.osds_named_by("SLOW_OPS");
    let up = slow.into_iter().filter(|osd| f.is_up(*osd));
    // Ours say in words where the time goes; Ceph's give events to guess from.
    let verb = if f.spirula { "explain_slow_ops" } else { "dump_blocked_ops" };
    all.extend(up.take(PGS_MAX).map(|osd| {
        let json = json!({"prefix": verb, "format": "json"});
        Question::new(&format!("tell osd.{osd} {verb}"), To::Osd(osd), json)
    }));
    all
}
