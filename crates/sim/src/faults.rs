//! What goes wrong in a scenario: to hosts, to the network, to clocks, and by an operator's hand.
//!
//! Nothing here loses more than a cluster must survive: a disk is wiped only if all PGs were clean since
//! the last one was, and before another fault.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::rng::Rng;
use crate::world::{HostId, Weather};

/// Which kinds of faults a seed has; fewer kinds at once make runs that differ more.
#[derive(Debug)]
pub struct Faults {
    kinds: Vec<Kind>,
    /// The pools, by name.
    pools: Vec<String>,
    /// Orders that take back what an operator did.
    undo: Vec<Value>,
    /// A pool that comes and goes, with what is done to it next, and how many there were.
    aside: Option<Aside>,
    asides: usize,
}

#[derive(Debug, Clone, Copy)]
enum Aside {
    Fill,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Power,
    Blackout,
    Monitor,
    Client,
    CutOff,
    CutPair,
    OneWay,
    CutClient,
    Storm,
    Clock,
    Flap,
    OutIn,
    Reweight,
    Affinity,
    PgTemp,
    MinSize,
    Flags,
    PgNum,
    Pool,
    Wipe,
}

const ALL: &[Kind] = &[
    Kind::Kill,
    Kind::Power,
    Kind::Blackout,
    Kind::Monitor,
    Kind::Client,
    Kind::CutOff,
    Kind::CutPair,
    Kind::OneWay,
    Kind::CutClient,
    Kind::Storm,
    Kind::Clock,
    Kind::Flap,
    Kind::OutIn,
    Kind::Reweight,
    Kind::Affinity,
    Kind::PgTemp,
    Kind::MinSize,
    Kind::Flags,
    Kind::PgNum,
    Kind::Pool,
    Kind::Wipe,
];

const FLAGS: &[&str] = &["noup", "nodown", "noout", "noin", "norecover", "nobackfill", "norebalance", "pause"];

impl Faults {
    pub fn new(c: &Cluster, rng: &mut Rng) -> Self {
        let share = *rng.pick(&[25, 50, 100]);
        let mut kinds: Vec<Kind> = ALL.iter().copied().filter(|_| rng.percent(share)).collect();
        // Something always dies.
        kinds.push(*rng.pick(&[Kind::Kill, Kind::Power, Kind::Blackout]));
        let pools = (0..c.work.borrow().pools.len()).map(Cluster::pool_name).collect();
        Self { kinds, pools, undo: Vec::new(), aside: None, asides: 0 }
    }

    /// One more thing goes wrong, or something that did comes right.
    pub fn one(&mut self, c: &mut Cluster, rng: &mut Rng) {
        match rng.below(10) {
            0..=1 => return self.start_someone(c, rng),
            2 => return c.heal(),
            _ => {}
        }
        let osd = rng.below(c.osds.len() as u64) as usize;
        match *rng.pick(&self.kinds) {
            Kind::Kill => self.kill_or_start(c, osd),
            Kind::Power => c.world.power_loss(c.osds[osd]),
            Kind::Blackout => {
                c.black_out();
                c.world.run_for(Duration::from_millis(rng.between(1, 3_000)));
                c.power_on();
            }
            Kind::Monitor => {
                let mon = if c.mons.len() > 1 { *rng.pick(&c.mons) } else { c.mons[0] };
                c.world.crash(mon);
                c.world.run_for(Duration::from_millis(rng.between(1, 3_000)));
                c.power_on();
            }
            Kind::Client => {
                let client = *rng.pick(&c.clients);
                c.world.crash(client);
                c.world.start_if_down(client);
            }
            Kind::CutOff => c.cut_off(osd),
            Kind::CutPair => {
                let other = *rng.pick(&c.osds);
                c.world.cut(&[c.osds[osd]], &[other]);
            }
            Kind::OneWay => self.cut_one_way(c, osd, rng),
            Kind::CutClient => {
                let client = *rng.pick(&c.clients);
                c.world.cut(&[client], &[c.osds[osd]]);
            }
            Kind::Storm => {
                c.world.weather = if rng.percent(60) { Weather::stormy() } else { Weather::default() };
            }
            Kind::Clock => {
                let host = *rng.pick(&[c.mons[0], c.osds[osd], c.clients[0]]);
                let far = *rng.pick(&[1_000_000, 10_000_000_000, 86_400_000_000_000]);
                let by = rng.below(far) as i64;
                c.world.jump_clock(host, if rng.percent(50) { by } else { -by });
            }
            Kind::Flap => {
                for _ in 0..rng.between(1, 4) {
                    let osd = rng.below(c.osds.len() as u64);
                    c.order(&json!({"prefix": "osd down", "ids": [osd.to_string()]}));
                    c.world.run_for(Duration::from_millis(rng.below(1_500)));
                }
            }
            Kind::OutIn => {
                let what = if rng.percent(50) { "osd out" } else { "osd in" };
                self.order(c, json!({"prefix": what, "ids": [osd.to_string()]}));
                self.undo.push(json!({"prefix": "osd in", "ids": [osd.to_string()]}));
            }
            Kind::Reweight => {
                let weight = rng.between(1, 10) as f64 / 10.0;
                self.order(c, json!({"prefix": "osd reweight", "id": osd, "weight": weight}));
                self.undo.push(json!({"prefix": "osd reweight", "id": osd, "weight": 1.0}));
            }
            Kind::Affinity => {
                let weight = *rng.pick(&[0.0, 0.5, 1.0]);
                self.order(c, json!({"prefix": "osd primary-affinity", "id": osd, "weight": weight}));
                self.undo.push(json!({"prefix": "osd primary-affinity", "id": osd, "weight": 1.0}));
            }
            Kind::PgTemp => self.pg_temp(c, rng),
            Kind::MinSize => {
                let (pool, val) = (rng.pick(&self.pools).clone(), rng.between(1, 2).to_string());
                self.order(c, json!({"prefix": "osd pool set", "pool": pool, "var": "min_size", "val": val}));
            }
            Kind::PgNum => {
                let (pool, val) = (rng.pick(&self.pools).clone(), rng.between(1, 8).to_string());
                self.order(c, json!({"prefix": "osd pool set", "pool": pool, "var": "pg_num", "val": val}));
            }
            Kind::Pool => self.pool_aside(c, rng),
            Kind::Wipe => self.wipe(c, osd),
            Kind::Flags => {
                let flag = *rng.pick(FLAGS);
                let what = if rng.percent(60) { "osd set" } else { "osd unset" };
                self.order(c, json!({"prefix": what, "key": flag}));
                self.undo.push(json!({"prefix": "osd unset", "key": flag}));
            }
        }
    }

    fn order(&self, c: &mut Cluster, json: Value) {
        c.order(&json);
    }

    fn start_someone(&mut self, c: &mut Cluster, rng: &mut Rng) {
        let down: Vec<HostId> = c.osds.iter().copied().filter(|o| !c.world.is_up(*o)).collect();
        match down.is_empty() {
            true => c.heal(),
            false => c.world.start(*rng.pick(&down)),
        }
    }

    fn kill_or_start(&mut self, c: &mut Cluster, osd: usize) {
        let host = c.osds[osd];
        if c.world.is_up(host) {
            c.world.crash(host);
        } else {
            c.world.start(host);
        }
    }

    /// What one host says does not get to some others; what they say does.
    fn cut_one_way(&mut self, c: &mut Cluster, osd: usize, rng: &mut Rng) {
        let everyone: Vec<HostId> = c.mons.iter().copied().chain(c.osds.iter().copied()).collect();
        let some: Vec<HostId> = everyone.into_iter().filter(|h| *h != c.osds[osd] && rng.percent(60)).collect();
        if rng.percent(50) {
            c.world.cut_one_way(&[c.osds[osd]], &some);
        } else {
            c.world.cut_one_way(&some, &[c.osds[osd]]);
        }
    }

    /// A pool is made, filled, and deleted.
    fn pool_aside(&mut self, c: &mut Cluster, rng: &mut Rng) {
        let name = format!("aside{}", self.asides);
        self.aside = match self.aside {
            None => {
                let (size, pg_num) = (rng.between(1, c.osds.len().min(3) as u64), rng.between(1, 8));
                c.order(&json!({"prefix": "osd pool create", "pool": name, "pg_num": pg_num, "pgp_num": pg_num,
                    "size": size, "yes_i_really_mean_it": true}));
                Some(Aside::Fill)
            }
            Some(Aside::Fill) => {
                c.write_aside(&name, rng.between(1, 30));
                Some(Aside::Delete)
            }
            Some(Aside::Delete) => {
                self.delete_aside(c);
                None
            }
        };
    }

    fn delete_aside(&mut self, c: &mut Cluster) {
        let name = format!("aside{}", self.asides);
        c.order(&json!({"prefix": "osd pool delete", "pool": name, "pool2": name,
            "yes_i_really_really_mean_it": true}));
        self.asides += 1;
    }

    /// An operator names other OSDs for a PG.
    fn pg_temp(&mut self, c: &mut Cluster, rng: &mut Rng) {
        let pool = *rng.pick(&c.work.borrow().pools);
        let pgid = types::PgId::new(pool, rng.below(2) as u32).to_string();
        let mut ids: Vec<String> = (0..c.osds.len()).map(|n| n.to_string()).collect();
        while ids.len() > 1 && rng.percent(50) {
            ids.remove(rng.below(ids.len() as u64) as usize);
        }
        if ids.len() > 1 && rng.percent(50) {
            ids.rotate_left(1);
        }
        self.order(c, json!({"prefix": "osd pg-temp", "pgid": pgid, "id": ids}));
        self.undo.push(json!({"prefix": "osd pg-temp", "pgid": pgid, "id": []}));
    }

    /// An OSD comes back with an empty disk, after all its data was safe elsewhere.
    fn wipe(&mut self, c: &mut Cluster, osd: usize) {
        self.undo(c);
        c.heal();
        c.world.weather = Weather::default();
        c.power_on();
        if c.becomes_clean(Duration::from_secs(100)) {
            c.kill_osd(osd);
            c.wipe_osd(osd);
            c.start_osd(osd);
        }
    }

    /// Takes back what an operator did.
    pub fn undo(&mut self, c: &mut Cluster) {
        for order in std::mem::take(&mut self.undo) {
            c.order(&order);
        }
        if self.aside.take().is_some() {
            self.delete_aside(c);
        }
    }
}
