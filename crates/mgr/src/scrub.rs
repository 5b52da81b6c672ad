//! `pg scrub|deep-scrub|repair`, the same for an OSD and for pools: which PGs are concerned, and the word to
//! their primaries (`MOSDScrub2`). (Ceph: `DaemonServer`)

use std::collections::{BTreeMap, BTreeSet};

use osdmap::OsdMap;
use types::command::Args;
use types::errno::{EAGAIN, EINVAL, ENOENT};
use types::{OsdId, PgId, SpgId};

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScrubOrder {
    pub orders: BTreeMap<OsdId, Vec<SpgId>>,
    /// `scrub`, `deep-scrub` or `repair`.
    pub verb: &'static str,
    scope: Scope,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Scope {
    #[default]
    Pg,
    Osds,
    Pools,
}

/// An errno, and why.
type Refused = (i32, String);

impl ScrubOrder {
    /// `None` if the command is another.
    ///
    /// # Errors
    /// If what it names is not there.
    pub fn new(prefix: &str, args: &Args, map: &OsdMap) -> Option<Result<Self, Refused>> {
        let (scope, verb) = match prefix.rsplit_once(' ')? {
            ("pg", verb) => (Scope::Pg, verb),
            ("osd", verb) => (Scope::Osds, verb),
            ("osd pool", verb) => (Scope::Pools, verb),
            _ => return None,
        };
        let verb = ["scrub", "deep-scrub", "repair"].into_iter().find(|v| *v == verb)?;
        let order = Self { orders: BTreeMap::new(), verb, scope };
        Some(match order.scope {
            Scope::Pg => order.of_pg(args, map),
            Scope::Osds => order.of_osds(args, map),
            Scope::Pools => order.of_pools(args, map),
        })
    }

    fn of_pg(mut self, args: &Args, map: &OsdMap) -> Result<Self, Refused> {
        let text = args.str("pgid").unwrap_or_default();
        let id: PgId = text.parse().map_err(|_| (EINVAL, format!("invalid pgid '{text}'")))?;
        if !map.pg_exists(id) {
            return Err((ENOENT, format!("pg {id} does not exist")));
        }
        let primary = map.pg_to_up_acting(id).acting_primary;
        if primary < 0 {
            return Err((EAGAIN, format!("pg {id} has no primary osd")));
        }
        self.orders.insert(primary, vec![id.into()]);
        Ok(self)
    }

    fn of_osds(mut self, args: &Args, map: &OsdMap) -> Result<Self, Refused> {
        let who = args.str("who").unwrap_or_default();
        let osds: BTreeSet<OsdId> = if matches!(who, "*" | "all" | "any") {
            map.osds().filter(|o| map.is_up(*o)).collect()
        } else {
            // Both parts of what Ceph says, as it says them.
            let number = who.strip_prefix("osd.").unwrap_or(who).parse::<OsdId>();
            let why = if number.is_err() {
                format!("Expected option value to be integer, got '{who}'")
            } else {
                String::new()
            };
            let id = number.ok().filter(|o| *o >= 0).ok_or_else(|| (EINVAL, format!("{why}invalid osd '{who}'")))?;
            if !map.is_up(id) {
                return Err((EAGAIN, format!("osd.{id} is not up")));
            }
            [id].into()
        };
        self.orders = osds.iter().map(|o| (*o, Vec::new())).collect();
        for (pool, p) in &map.pools {
            self.add_pool(map, *pool, p.pg_num);
        }
        self.orders.retain(|osd, _| osds.contains(osd));
        Ok(self)
    }

    fn of_pools(mut self, args: &Args, map: &OsdMap) -> Result<Self, Refused> {
        let names = args.list("who");
        if names.is_empty() {
            return Err((EINVAL, "must specify one or more pool names".into()));
        }
        for name in names {
            let id = map.pool_id(&name).ok_or_else(|| (ENOENT, format!("unrecognized pool '{name}'")))?;
            self.add_pool(map, id, map.pool(id).map_or(0, |p| p.pg_num));
        }
        Ok(self)
    }

    fn add_pool(&mut self, map: &OsdMap, pool: i64, pg_num: u32) {
        for seed in 0..pg_num {
            let id = PgId::new(pool, seed);
            let primary = map.pg_to_up_acting(id).acting_primary;
            if primary >= 0 {
                self.orders.entry(primary).or_default().push(id.into());
            }
        }
    }

    /// What the operator is told, given who could not be reached: an errno, and a sentence.
    pub fn told(&self, unreached: &[OsdId]) -> (i32, String) {
        let verb = self.verb;
        let list = |osds: Vec<String>| osds.join(",");
        match self.scope {
            Scope::Pg => {
                let Some((osd, pg)) = self.orders.iter().find_map(|(o, pgs)| Some((o, pgs.first()?))) else {
                    return (0, String::new());
                };
                match unreached.contains(osd) {
                    true => (EAGAIN, format!("pg {pg} primary osd.{osd} is not currently connected")),
                    false => (0, format!("instructing pg {pg} on osd.{osd} to {verb}")),
                }
            }
            Scope::Osds => {
                let sent = self.orders.keys().filter(|o| !unreached.contains(o)).map(ToString::to_string).collect();
                let failed = list(unreached.iter().map(ToString::to_string).collect());
                if unreached.len() == self.orders.len() {
                    return (0, format!("failed to instruct osd(s) {failed} to {verb} (not connected)"));
                }
                let also = match unreached.is_empty() {
                    true => String::new(),
                    false => format!("; osd(s) {failed} were not connected"),
                };
                (0, format!("instructed osd(s) {} to {verb}{also}", list(sent)))
            }
            Scope::Pools => match unreached.first() {
                Some(osd) => (EAGAIN, format!("osd.{osd} is not currently connected")),
                None => (0, String::new()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(cmd: &str) -> Result<ScrubOrder, Refused> {
        let args = Args::parse(&[cmd.to_owned()]).expect("a command");
        ScrubOrder::new(args.prefix(), &args, &OsdMap::default()).expect("one of these commands")
    }

    #[test]
    fn what_is_not_there_is_refused_as_ceph_refuses_it() {
        let refused = |cmd: &str| ask(cmd).expect_err("refused");
        assert_eq!(refused(r#"{"prefix":"osd deep-scrub","who":"99"}"#), (EAGAIN, "osd.99 is not up".into()));
        assert_eq!(refused(r#"{"prefix":"pg repair","pgid":"7.0"}"#), (ENOENT, "pg 7.0 does not exist".into()));
        assert_eq!(refused(r#"{"prefix":"pg scrub","pgid":"x"}"#), (EINVAL, "invalid pgid 'x'".into()));
    }

    #[test]
    fn a_pg_is_named_with_its_primary() {
        let order = ScrubOrder { orders: [(2, vec![PgId::new(7, 1).into()])].into(), verb: "repair", scope: Scope::Pg };
        assert_eq!(order.told(&[]), (0, "instructing pg 7.1 on osd.2 to repair".into()));
    }
}
