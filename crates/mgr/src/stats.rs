//! What the OSDs have told: each PG's and each store's statistics, held against the map.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use denc::{Encode, Encoder};
use messages::MPGStats;
use node::Now;
use osdmap::OsdMap;
use types::features;
use types::flags::pg_state;
use types::stats::{ObjectStatSum, PoolStat};
use types::{IntervalSet, OsdId, OsdStat, PgId, PgStat, PoolId, StoreStatfs, UTime};

/// `PGMap`.
#[derive(Debug, Default)]
pub struct PgMap {
    pub version: u64,
    pub stamp: UTime,
    pub pgs: BTreeMap<PgId, PgStat>,
    pub osds: BTreeMap<OsdId, OsdStat>,
    /// What each pool takes on each OSD.
    pub pool_space: BTreeMap<(PoolId, OsdId), StoreStatfs>,
    /// Sums at past moments, for rates.
    history: VecDeque<(Duration, BTreeMap<PoolId, ObjectStatSum>)>,
    /// The same by primary.
    osd_history: VecDeque<(Duration, BTreeMap<OsdId, ObjectStatSum>)>,
}

/// What an OSD does for clients as a primary, in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OsdRates {
    pub writes: u64,
    /// Bytes.
    pub written: u64,
    pub reads: u64,
    /// Bytes.
    pub read: u64,
}

/// What `pg getmap` is written with: latencies in nanoseconds, which no peer of release 16 offers to read.
pub const FEATURES: u64 = features::ALL | features::OS_PERF_STAT_NS;
/// Rates are over about this long.
const RATE_WINDOW: Duration = Duration::from_secs(6);

impl PgMap {
    /// Takes one OSD's report. A PG's statistics count only if they are newer than what is known.
    pub fn report(&mut self, now: Now, from: OsdId, m: &MPGStats, map: &OsdMap) {
        self.version += 1;
        self.stamp = now.wall;
        if map.exists(from) {
            self.osds.insert(from, m.osd_stat.clone());
            self.pool_space.retain(|(_, osd), _| *osd != from);
            self.pool_space.extend(m.pool_stat.iter().map(|(pool, space)| ((*pool, from), space.clone())));
        }
        for (id, stat) in &m.pg_stat {
            if !map.pg_exists(*id) {
                continue;
            }
            let known = self.pgs.get(id);
            let newer = known.is_none_or(|k| {
                k.state == 0 || (stat.reported_epoch, stat.reported_seq) > (k.reported_epoch, k.reported_seq)
            });
            if newer {
                self.pgs.insert(*id, stat.clone());
            }
        }
    }

    /// Follows the map: PGs that are new are unknown, those that are gone are forgotten, and those whose
    /// primary is down without another having reported are stale.
    pub fn follow(&mut self, now: Now, map: &OsdMap) {
        self.version += 1;
        self.stamp = now.wall;
        self.pgs.retain(|id, _| map.pg_exists(*id));
        self.osds.retain(|osd, _| map.exists(*osd));
        self.pool_space.retain(|(pool, osd), _| map.exists(*osd) && map.pools.contains_key(pool));
        for (pool, info) in &map.pools {
            for seed in 0..info.pg_num {
                let id = PgId::new(*pool, seed);
                self.pgs.entry(id).or_insert_with(|| unknown(now, map, id));
            }
        }
        for (id, stat) in &mut self.pgs {
            if stat.state & pg_state::STALE == 0 && stat.acting_primary >= 0 && !map.is_up(stat.acting_primary) {
                let mapping = map.pg_to_up_acting(*id);
                stat.state |= pg_state::STALE;
                stat.last_unstale = now.wall;
                stat.up = mapping.up;
                stat.acting = mapping.acting;
            }
        }
    }

    /// Forgets everything (the manager was restarted).
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Each pool's sums, pools without PGs included.
    pub fn pools(&self, map: &OsdMap) -> BTreeMap<PoolId, PoolStat> {
        let mut sums: BTreeMap<PoolId, PoolStat> = map.pools.keys().map(|id| (*id, PoolStat::default())).collect();
        for (id, stat) in &self.pgs {
            sums.entry(id.pool).or_default().add_pg(stat);
        }
        for ((pool, _), space) in &self.pool_space {
            if let Some(sum) = sums.get_mut(pool) {
                crate::summary::add_statfs(&mut sum.store_stats, space);
                sum.num_store_stats += 1;
            }
        }
        sums
    }

    /// The snapshots that every PG of a pool has trimmed; of pools whose PGs have all reported
    /// (Ceph: `PGMap::calc_purged_snaps`).
    pub fn purged_snaps(&self) -> BTreeMap<PoolId, IntervalSet> {
        let mut purged: BTreeMap<PoolId, Option<IntervalSet>> = BTreeMap::new();
        for (id, stat) in &self.pgs {
            let known = purged.entry(id.pool).or_insert_with(|| Some(stat.purged_snaps.clone()));
            match known {
                _ if stat.state == 0 => *known = None,
                Some(known) => known.intersection_of(&stat.purged_snaps),
                None => (),
            }
        }
        purged.into_iter().filter_map(|(pool, snaps)| Some((pool, snaps?))).collect()
    }

    /// The sum over all PGs.
    pub fn total(&self) -> PoolStat {
        let mut sum = PoolStat::default();
        for stat in self.pgs.values() {
            sum.add_pg(stat);
        }
        sum
    }

    /// How many PGs are in each state, by the state's bits.
    pub fn by_state(&self) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for stat in self.pgs.values() {
            *counts.entry(stat.state).or_default() += 1;
        }
        counts
    }

    /// Notes the sums of this moment, for rates. To be called about once a second.
    pub fn sample(&mut self, now: Now) {
        let mut sums: BTreeMap<PoolId, ObjectStatSum> = BTreeMap::new();
        let mut by_osd: BTreeMap<OsdId, ObjectStatSum> = BTreeMap::new();
        for (id, stat) in &self.pgs {
            *sums.entry(id.pool).or_default() += &stat.stats.sum;
            *by_osd.entry(stat.acting_primary).or_default() += &stat.stats.sum;
        }
        keep(&mut self.history, now.mono, sums);
        keep(&mut self.osd_history, now.mono, by_osd);
    }

    pub fn osd_rates(&self, osd: OsdId) -> OsdRates {
        let (Some(first), Some(last)) = (self.osd_history.front(), self.osd_history.back()) else {
            return OsdRates::default();
        };
        let (Some(before), Some(after)) = (first.1.get(&osd), last.1.get(&osd)) else { return OsdRates::default() };
        let seconds = (last.0 - first.0).as_secs_f64();
        let rate = |of: fn(&ObjectStatSum) -> i64, unit: f64| match seconds {
            0.0 => 0,
            // PGs that moved make it negative.
            _ => ((of(after) - of(before)).max(0) as f64 * unit / seconds) as u64,
        };
        OsdRates {
            writes: rate(|s| s.num_wr, 1.0),
            written: rate(|s| s.num_wr_kb, 1_024.0),
            reads: rate(|s| s.num_rd, 1.0),
            read: rate(|s| s.num_rd_kb, 1_024.0),
        }
    }

    /// What changed in the window, and in how many seconds; of one pool or of all.
    pub fn delta(&self, pool: Option<PoolId>) -> Option<(f64, ObjectStatSum)> {
        let (first, last) = (self.history.front()?, self.history.back()?);
        let seconds = (last.0 - first.0).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let sum_of = |sums: &BTreeMap<PoolId, ObjectStatSum>| {
            let mut sum = ObjectStatSum::default();
            for (id, s) in sums {
                if pool.is_none_or(|wanted| wanted == *id) {
                    sum += s;
                }
            }
            sum
        };
        let mut delta = sum_of(&last.1);
        delta -= &sum_of(&first.1);
        Some((seconds, delta))
    }
}

/// `PGMap`, as `pg getmap` gives it.
impl Encode for PgMap {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(8, 8, |e| {
            e.u64(self.version);
            e.put(&self.pgs);
            e.put(&self.osds);
            // Which map it follows, and when it looked for PGs: Ceph's manager leaves both at 0, too.
            e.u32(0);
            e.u32(0);
            e.put(&self.stamp);
            e.put(&self.pool_space);
        });
    }
}

fn keep<K>(
    history: &mut VecDeque<(Duration, BTreeMap<K, ObjectStatSum>)>,
    now: Duration,
    sums: BTreeMap<K, ObjectStatSum>,
) {
    history.push_back((now, sums));
    while history.front().is_some_and(|(at, _)| *at + RATE_WINDOW < now) && history.len() > 2 {
        history.pop_front();
    }
}

/// A PG that nobody has reported.
fn unknown(now: Now, map: &OsdMap, id: PgId) -> PgStat {
    let mapping = map.pg_to_up_acting(id);
    PgStat {
        created: map.epoch,
        up: mapping.up,
        up_primary: mapping.up_primary,
        acting: mapping.acting,
        acting_primary: mapping.acting_primary,
        last_fresh: now.wall,
        last_change: now.wall,
        last_active: now.wall,
        last_peered: now.wall,
        last_clean: now.wall,
        last_unstale: now.wall,
        last_undegraded: now.wall,
        last_fullsized: now.wall,
        // It is not late with what nobody knows of it.
        last_scrub_stamp: now.wall,
        last_deep_scrub_stamp: now.wall,
        ..PgStat::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use denc::{DecodeError, Decoder};

    use super::*;

    fn decoded(d: &mut Decoder) -> Result<(PgMap, [u32; 2]), DecodeError> {
        d.versioned("PGMap", 8, |d, _| {
            let (version, pgs, osds) = (d.u64()?, d.get()?, d.get()?);
            let unused = [d.u32()?, d.u32()?];
            let (stamp, pool_space) = (d.get()?, d.get()?);
            Ok((PgMap { version, pgs, osds, stamp, pool_space, ..PgMap::default() }, unused))
        })
    }

    #[test]
    fn the_map_of_real_ceph_comes_back_whole() {
        let mut recorded = Vec::new();
        let packed: &[u8] = include_bytes!("../testdata/pgmap.bin.gz");
        flate2::read::GzDecoder::new(packed).read_to_end(&mut recorded).unwrap();
        let (map, unused) = decoded(&mut Decoder::new(recorded.clone().into())).unwrap();
        assert_eq!((map.version, map.osds.len(), unused), (289, 3, [0, 0]));
        let ours = denc::to_bytes(&map, FEATURES);
        // Ceph's have no order.
        assert_eq!(ours.len(), recorded.len());
        let (again, _) = decoded(&mut Decoder::new(ours)).unwrap();
        assert!((again.pgs, again.osds, again.pool_space) == (map.pgs, map.osds, map.pool_space));
    }
}
