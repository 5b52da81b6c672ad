//! States that chance alone seldom brings about, made on purpose: PGs that are down, incomplete, unfound, stale, or by
//! a rule without enough OSDs. For looking at what is said of them.
//!
//! Nothing is lost by any of it: whatever was acknowledged is on a disk that comes back when all is healed.

use rados::{Reply, Request};
use serde_json::json;
use types::{PgId, PoolId};

use crate::cluster::Cluster;
use crate::rng::Rng;

/// Which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Situation {
    /// The only OSD that took the last writes is down.
    Down,
    /// The newest versions of objects are known, and those who have them are down.
    Unfound,
    /// One copy is half made, one disk is new, and the whole copy is down.
    Incomplete,
    /// All who served are down.
    Stale,
    /// The pool's rule takes a class that too few OSDs have.
    DeviceRule,
}

impl Situation {
    pub const ALL: [Self; 5] = [Self::Down, Self::Unfound, Self::Incomplete, Self::Stale, Self::DeviceRule];

    /// Brings it about in the first pool of a cluster that is clean; whether it could.
    pub fn bring_about(self, c: &mut Cluster, rng: &mut Rng) -> bool {
        let Some(acting) = first_acting(c) else { return false };
        let enough = if self == Self::Incomplete { 3 } else { 2 };
        if self != Self::DeviceRule && acting.len() < enough {
            return false;
        }
        match self {
            Self::Down => down(c, &acting),
            Self::Unfound => unfound(c, &acting),
            Self::Incomplete => incomplete(c, &acting),
            Self::Stale => {
                acting.iter().for_each(|osd| c.kill_osd(*osd));
                c.run(20);
            }
            Self::DeviceRule => device_rule(c, rng),
        }
        true
    }
}

/// Takes back what an operator did for it.
pub fn undo(c: &mut Cluster) {
    let pools = c.work.borrow().pools.len();
    for n in 0..pools {
        pool_set(c, n, "crush_rule", "replicated_rule");
    }
}

fn pool_set(c: &mut Cluster, pool: usize, var: &str, val: &str) {
    let order = json!({"prefix": "osd pool set", "pool": Cluster::pool_name(pool), "var": var, "val": val});
    c.order(&order);
}

fn flag(c: &mut Cluster, verb: &str, key: &str) {
    c.order(&json!({"prefix": format!("osd {verb}"), "key": key}));
}

/// Who serves the first PG of the first pool.
fn first_acting(c: &mut Cluster) -> Option<Vec<usize>> {
    let pool: PoolId = *c.work.borrow().pools.first()?;
    let Reply::Map(map) = c.ask(Request::LatestMap) else { return None };
    let acting = map.pg_to_up_acting(PgId::new(pool, 0)).acting;
    Some(acting.iter().filter_map(|osd| usize::try_from(*osd).ok()).collect())
}

fn down(c: &mut Cluster, acting: &[usize]) {
    let (alone, others) = acting.split_first().expect("there are at least two");
    pool_set(c, 0, "min_size", "1");
    others.iter().for_each(|osd| c.kill_osd(*osd));
    c.run(20);
    c.kill_osd(*alone);
    c.run(1);
    others.iter().for_each(|osd| c.start_osd(*osd));
    c.run(20);
}

fn unfound(c: &mut Cluster, acting: &[usize]) {
    let (late, others) = acting.split_first().expect("there are at least two");
    pool_set(c, 0, "min_size", "1");
    for key in ["norecover", "nobackfill"] {
        flag(c, "set", key);
    }
    c.kill_osd(*late);
    c.run(20);
    // Who waits for an object has it recovered.
    c.load(false);
    c.run(5);
    c.start_osd(*late);
    c.run(15);
    others.iter().for_each(|osd| c.kill_osd(*osd));
    c.run(15);
    c.load(true);
}

fn incomplete(c: &mut Cluster, acting: &[usize]) {
    let (half, others) = acting.split_first().expect("there are at least three");
    // No two of them are ever written to while the third is away.
    pool_set(c, 0, "min_size", &others.len().to_string());
    flag(c, "set", "nobackfill");
    flag(c, "set", "norecover");
    c.kill_osd(*half);
    c.run(10);
    c.wipe_osd(*half);
    c.start_osd(*half);
    c.run(15);
    others.iter().for_each(|osd| c.kill_osd(*osd));
    c.run(5);
    c.wipe_osd(others[0]);
    c.start_osd(others[0]);
    c.run(15);
}

fn device_rule(c: &mut Cluster, rng: &mut Rng) {
    let set_class = |c: &mut Cluster, class: &str| {
        c.order(&json!({"prefix": "osd crush rm-device-class", "ids": ["0"]}));
        c.order(&json!({"prefix": "osd crush set-device-class", "class": class, "ids": ["0"]}));
    };
    set_class(c, "ssd");
    let rule = json!({"prefix": "osd crush rule create-replicated", "name": "fast", "root": "default", "type": "osd",
        "class": "ssd"});
    c.order(&rule);
    c.run(1);
    if rng.percent(50) {
        // No OSD is left of the class.
        set_class(c, "hdd");
    }
    pool_set(c, 0, "crush_rule", "fast");
    c.run(20);
}
