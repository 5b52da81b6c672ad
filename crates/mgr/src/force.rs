//! `pg force-recovery`, `pg force-backfill`, their contraries, and the same for whole pools: which PGs are
//! concerned, and the word to their primaries (`MOSDForceRecovery`). (Ceph: `DaemonServer`)

use std::collections::{BTreeMap, BTreeSet};

use messages::MOSDForceRecovery;
use osdmap::OsdMap;
use types::command::Args;
use types::errno::{EAGAIN, EINVAL, ENOENT};
use types::flags::pg_state as state;
use types::{OsdId, PgId, SpgId};

use crate::stats::PgMap;

/// What is to be done, and what the operator is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Force {
    pub orders: BTreeMap<OsdId, Vec<SpgId>>,
    pub options: u8,
    pub errno: i32,
    pub words: String,
}

/// The bits of an order, if the command is one of these.
fn options_of(prefix: &str) -> Option<u8> {
    let verb = prefix.strip_prefix("pg ").or_else(|| prefix.strip_prefix("osd pool "))?;
    Some(match verb {
        "force-recovery" => MOSDForceRecovery::RECOVERY,
        "force-backfill" => MOSDForceRecovery::BACKFILL,
        "cancel-force-recovery" => MOSDForceRecovery::RECOVERY | MOSDForceRecovery::CANCEL,
        "cancel-force-backfill" => MOSDForceRecovery::BACKFILL | MOSDForceRecovery::CANCEL,
        _ => return None,
    })
}

impl Force {
    /// `None` if the command is another.
    pub fn new(prefix: &str, args: &Args, map: &OsdMap, stats: &PgMap) -> Option<Self> {
        let mut force = Self { options: options_of(prefix)?, ..Self::default() };
        let candidates = match prefix.starts_with("pg ") {
            true => force.named_pgs(args),
            false => match force.pgs_of_pools(args, map) {
                Some(pgs) => pgs,
                None => return Some(force),
            },
        };
        let mut chosen = Vec::new();
        for id in candidates {
            match stats.pgs.get(&id) {
                Some(stat) if force.judge(id, stat.state) => chosen.push(id),
                Some(_) => {}
                None => force.object(ENOENT, &format!("pg {id} does not exist")),
            }
        }
        if !chosen.is_empty() {
            // What concerns others is said, but is no error of this one.
            force.errno = 0;
        }
        for id in chosen {
            let primary = map.pg_to_up_acting(id).acting_primary;
            if map.is_up(primary) {
                force.orders.entry(primary).or_default().push(id.into());
            }
        }
        Some(force)
    }

    fn say(&mut self, words: &str) {
        self.words.push_str(words);
        self.words.push_str("; ");
    }

    fn object(&mut self, errno: i32, words: &str) {
        self.errno = errno;
        self.say(words);
    }

    fn named_pgs(&mut self, args: &Args) -> BTreeSet<PgId> {
        let mut ids = BTreeSet::new();
        for text in args.list("pgid") {
            match text.parse() {
                Ok(id) => {
                    ids.insert(id);
                }
                Err(_) => self.object(EINVAL, &format!("invalid pgid '{text}'")),
            }
        }
        ids
    }

    fn pgs_of_pools(&mut self, args: &Args, map: &OsdMap) -> Option<BTreeSet<PgId>> {
        let mut ids = BTreeSet::new();
        let names = args.list("who");
        if names.is_empty() {
            self.errno = EINVAL;
            self.words = "must specify one or more pool names".to_owned();
            return None;
        }
        for name in names {
            let Some(id) = map.pool_id(&name) else {
                self.errno = ENOENT;
                self.words = format!("unrecognized pool '{name}'");
                return None;
            };
            let pgs = map.pool(id).map_or(0, |p| p.pg_num);
            ids.extend((0..pgs).map(|seed| PgId::new(id, seed)));
        }
        Some(ids)
    }

    /// Whether the order means anything for a PG in this state. What is pointless is no error, for a script
    /// may race with the cluster; what was done already may be a mistake in it.
    fn judge(&mut self, id: PgId, now: u64) -> bool {
        let recovery = self.options & MOSDForceRecovery::RECOVERY != 0;
        let (what, flag, busy) = match recovery {
            true => ("recovery", state::FORCED_RECOVERY, state::RECOVERY_WAIT | state::RECOVERING),
            false => ("backfill", state::FORCED_BACKFILL, state::BACKFILL_WAIT | state::BACKFILLING),
        };
        let forced = now & flag != 0;
        if self.options & MOSDForceRecovery::CANCEL != 0 {
            if !forced {
                self.say(&format!("pg {id} {what} not forced"));
            }
            return forced;
        }
        if now & (busy | state::DEGRADED) == 0 {
            let need = if recovery { "recovery" } else { "backfilling" };
            self.say(&format!("pg {id} doesn't require {need}"));
            return false;
        }
        if forced {
            self.object(EINVAL, &format!("pg {id} {what} already forced"));
        }
        !forced
    }

    /// The primary has no session with the manager.
    pub fn unreachable(&mut self, osd: OsdId) {
        self.object(EAGAIN, &format!("osd.{osd} is not currently connected"));
    }

    /// The order has gone out.
    pub fn ordered(&mut self, osd: OsdId, pgs: &[SpgId], prefix: &str) {
        let verb = prefix.rsplit(' ').next().unwrap_or_default();
        let ids: Vec<String> = pgs.iter().map(ToString::to_string).collect();
        self.say(&format!("instructing pg(s) [{}] on osd.{osd} to {verb}", ids.join(",")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::PgStat;

    fn ask(cmd: &str, states: &[(&str, u64)]) -> Force {
        let mut stats = PgMap::default();
        for (id, state) in states {
            stats.pgs.insert(id.parse().expect("a pgid"), PgStat { state: *state, ..PgStat::default() });
        }
        let args = Args::parse(&[cmd.to_owned()]).expect("a command");
        Force::new(args.prefix(), &args, &OsdMap::default(), &stats).expect("one of these commands")
    }

    #[test]
    fn a_pg_that_is_whole_needs_no_force_and_that_is_no_error() {
        let force = ask(r#"{"prefix":"pg force-recovery","pgid":["1.0"]}"#, &[("1.0", state::ACTIVE | state::CLEAN)]);
        assert_eq!((force.errno, force.words.as_str()), (0, "pg 1.0 doesn't require recovery; "));
    }

    #[test]
    fn what_is_forced_already_is_an_error_unless_others_are_not() {
        let forced = state::BACKFILL_WAIT | state::FORCED_BACKFILL;
        let cmd = r#"{"prefix":"pg force-backfill","pgid":["1.0"]}"#;
        assert_eq!(ask(cmd, &[("1.0", forced)]).errno, EINVAL);
        let cmd = r#"{"prefix":"pg force-backfill","pgid":["1.0","1.1"]}"#;
        let force = ask(cmd, &[("1.0", forced), ("1.1", state::BACKFILL_WAIT)]);
        assert_eq!((force.errno, force.words.as_str()), (0, "pg 1.0 backfill already forced; "));
    }

    #[test]
    fn a_pg_that_nobody_knows_is_an_error() {
        let force = ask(r#"{"prefix":"pg cancel-force-recovery","pgid":["7.0"]}"#, &[]);
        assert_eq!((force.errno, force.words.as_str()), (ENOENT, "pg 7.0 does not exist; "));
    }
}
