//! What would be lost, in numbers, for the commands that ask "are you sure?".

use types::flags::pg_state;
use types::stats::ObjectStatSum;
use types::{OsdId, PgId, PgStat, PoolId};

use crate::stats::PgMap;
use crate::text;
use osdmap::OsdMap;

fn holding(sum: &ObjectStatSum) -> String {
    let (objects, bytes) = (sum.num_objects.max(0), sum.num_bytes.max(0) as u64);
    format!("{objects} object{} ({})", if objects == 1 { "" } else { "s" }, text::bytes(bytes))
}

fn pgs(count: usize) -> String {
    format!("{count} PG{}", if count == 1 { "" } else { "s" })
}

fn sum<'a>(stats: impl Iterator<Item = &'a PgStat>) -> ObjectStatSum {
    let mut sum = ObjectStatSum::default();
    stats.for_each(|s| sum += &s.stats.sum);
    sum
}

impl PgMap {
    /// What an OSD holds of which no other copy is up: a sentence with a space before it.
    pub fn loss_with_osd(&self, map: &OsdMap, osd: OsdId) -> String {
        let concerned = |s: &&PgStat| s.acting.contains(&osd) || s.up.contains(&osd) || s.blocked_by.contains(&osd);
        let on_it: Vec<&PgStat> = self.pgs.values().filter(concerned).collect();
        if on_it.is_empty() {
            return format!(" No PG is mapped to osd.{osd} or waits for it.");
        }
        let elsewhere = |s: &PgStat| {
            let waits = s.state & (pg_state::DOWN | pg_state::INCOMPLETE) != 0 && s.blocked_by.contains(&osd);
            !waits && s.acting.iter().any(|o| *o != osd && map.is_up(*o))
        };
        let last: Vec<&PgStat> = on_it.iter().copied().filter(|s| !elsewhere(s)).collect();
        let all = holding(&sum(on_it.iter().copied()));
        let worst = match last.len() {
            0 => "of all of them another copy is up".to_owned(),
            n => format!("of {} with {} no other copy is up", pgs(n), holding(&sum(last.iter().copied()))),
        };
        format!(" {} with {all} are mapped to osd.{osd} or wait for it; {worst}.", pgs(on_it.len()))
    }

    /// What a pool holds.
    pub fn loss_with_pool(&self, pool: PoolId) -> String {
        let all = sum(self.pgs.iter().filter(|(id, _)| id.pool == pool).map(|(_, s)| s));
        format!(" It holds {}.", holding(&all))
    }

    /// What a PG held when it was last heard of.
    pub fn loss_with_pg(&self, pg: PgId) -> String {
        let Some(stat) = self.pgs.get(&pg) else { return String::new() };
        format!(" It was last seen {} with {}.", pg_state::to_string(stat.state), holding(&stat.stats.sum))
    }
}
