//! Who serves the PG by one map, and what past intervals mean for peering.
//!
//! A PG may hold a write that we do not know of if in some past interval enough OSDs were together to
//! accept one, and their primary was known to be alive (`up_thru`). Peering must hear from one member
//! of each such interval, or wait (`down`). (Ceph: `PastIntervals::PriorSet`)

use std::collections::{BTreeMap, BTreeSet};

use osdmap::OsdMap;
use types::past_intervals::{self, CompactInterval, EndedInterval, IntervalView, close_interval};
use types::{CRUSH_ITEM_NONE, Epoch, OsdId, PastIntervals, PgHistory, PgId};

/// Who serves a PG, by one map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpActing {
    pub up: Vec<OsdId>,
    pub up_primary: OsdId,
    pub acting: Vec<OsdId>,
    pub acting_primary: OsdId,
}

impl UpActing {
    pub fn of(map: &OsdMap, pgid: PgId) -> Self {
        if map.pool(pgid.pool).is_none() {
            return Self { up_primary: -1, acting_primary: -1, ..Self::default() };
        }
        let m = map.pg_to_up_acting(pgid);
        Self { up: m.up, up_primary: m.up_primary, acting: m.acting, acting_primary: m.acting_primary }
    }

    fn view<'a>(&'a self, map: &'a OsdMap, pgid: PgId) -> IntervalView<'a> {
        IntervalView {
            up: &self.up,
            up_primary: self.up_primary,
            acting: &self.acting,
            acting_primary: self.acting_primary,
            pool: map.pool(pgid.pool),
            map_flags: map.flags,
        }
    }
}

/// The OSDs of a set, without its holes.
pub fn members(osds: &[OsdId]) -> impl Iterator<Item = OsdId> {
    osds.iter().copied().filter(|o| *o != CRUSH_ITEM_NONE && *o >= 0)
}

/// Whether a new interval starts with `map`.
pub fn is_new_interval(old: &UpActing, new: &UpActing, last: &OsdMap, map: &OsdMap, pgid: PgId) -> bool {
    past_intervals::is_new_interval(pgid, &old.view(last, pgid), &new.view(map, pgid))
}

/// Remembers the interval that ended before `map_epoch`.
pub fn note_past_interval(
    past: &mut PastIntervals,
    old: &UpActing,
    history: &PgHistory,
    last: &OsdMap,
    map_epoch: Epoch,
    pgid: PgId,
) {
    let info = last.info(old.acting_primary);
    let ended = EndedInterval {
        view: old.view(last, pgid),
        same_interval_since: history.same_interval_since,
        last_epoch_clean: history.last_epoch_clean,
        primary_up_thru: info.up_thru,
        primary_up_from: info.up_from,
        could_have_gone_active: members(&old.acting).next().is_some(),
    };
    past.add_interval(false, &close_interval(&ended, map_epoch));
}

/// `None` if the OSD does not exist any more.
fn lost_at(map: &OsdMap, osd: OsdId) -> Option<Epoch> {
    map.exists(osd).then(|| map.info(osd).lost_at)
}

/// Whom peering must ask, and whether it can go on at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorSet {
    /// OSDs that are up and may know something.
    pub probe: BTreeSet<OsdId>,
    /// OSDs that took part once and are not up.
    pub down: BTreeSet<OsdId>,
    /// Those without which we may miss a write, and their `lost_at` when we looked.
    pub blocked_by: BTreeMap<OsdId, Epoch>,
    /// No survivor of some interval that may have taken writes is up.
    pub pg_down: bool,
}

impl PriorSet {
    pub fn new(past: &PastIntervals, last_epoch_started: Epoch, now: &UpActing, map: &OsdMap) -> Self {
        let mut prior = Self::default();
        prior.probe.extend(members(&now.acting).chain(members(&now.up)));
        for shard in past.all_participants() {
            if map.is_up(shard.osd) {
                prior.probe.insert(shard.osd);
            } else {
                prior.down.insert(shard.osd);
            }
        }
        for interval in past.mayberw_back_to(last_epoch_started) {
            prior.consider(interval, map);
        }
        prior
    }

    fn consider(&mut self, interval: &CompactInterval, map: &OsdMap) {
        let mut survivors = false;
        let mut waiting_for = BTreeMap::new();
        for shard in &interval.acting {
            match lost_at(map, shard.osd) {
                _ if map.is_up(shard.osd) => survivors = true,
                // It no longer exists: nobody can wait for it.
                None => (),
                // An operator declared what it had since then as lost.
                Some(lost_at) if lost_at > interval.first => survivors = true,
                Some(lost_at) => {
                    waiting_for.insert(shard.osd, lost_at);
                }
            }
        }
        if !survivors && !waiting_for.is_empty() {
            self.pg_down = true;
            self.blocked_by.extend(waiting_for);
        }
    }

    /// Whether a new map makes what was decided from this set void.
    pub fn affected_by(&self, map: &OsdMap) -> bool {
        let relost = |osd: &OsdId| self.blocked_by.get(osd).is_some_and(|at| lost_at(map, *osd) != Some(*at));
        self.probe.iter().any(|o| map.is_down(*o) && !self.down.contains(o) || relost(o))
            || self.down.iter().any(|o| map.is_up(*o) || !map.exists(*o) || relost(o))
    }
}
