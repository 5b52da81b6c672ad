//! The intervals since a PG was last clean: who may have taken writes, and must therefore be asked.
//!
//! An interval is a run of OSD maps over which a PG's up and acting sets stay the same. Only those in
//! which the PG may have gone active matter, and of two of these only the one whose members are a
//! subset of the other's, if it is the later.

use std::collections::BTreeSet;
use std::fmt;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::framed::framed;
use crate::ids::{Epoch, NO_SHARD, OsdId, PgId, PgShard, ShardId};
use crate::pool::{CRUSH_ITEM_NONE, PgPool};

/// `PastIntervals::pg_interval_t`: one interval in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgInterval {
    pub up: Vec<OsdId>,
    pub acting: Vec<OsdId>,
    pub first: Epoch,
    pub last: Epoch,
    pub maybe_went_rw: bool,
    pub primary: OsdId,
    pub up_primary: OsdId,
}

impl Default for PgInterval {
    fn default() -> Self {
        Self { up: vec![], acting: vec![], first: 0, last: 0, maybe_went_rw: false, primary: -1, up_primary: -1 }
    }
}

framed! { PgInterval, "pg_interval_t", 4, compat 2, min 4;
    first, last, up, acting, maybe_went_rw, primary, up_primary;
}

/// `compact_interval_t`: an interval in which the PG may have taken writes. `last` is inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactInterval {
    pub first: Epoch,
    pub last: Epoch,
    pub acting: BTreeSet<PgShard>,
}

framed! { CompactInterval, "compact_interval_t", 1, compat 1, min 1; first, last, acting; }

/// `pi_compact_rep`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct CompactRep {
    first: Epoch,
    last: Epoch,
    all_participants: BTreeSet<PgShard>,
    intervals: Vec<CompactInterval>,
}

framed! { CompactRep, "pi_compact_rep", 1, compat 1, min 1; first, last, all_participants, intervals; }

/// `PastIntervals`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastIntervals {
    rep: CompactRep,
}

impl PastIntervals {
    pub fn is_empty(&self) -> bool {
        self.rep.first > self.rep.last || (self.rep.first == 0 && self.rep.last == 0)
    }

    /// How many intervals are kept.
    pub fn len(&self) -> usize {
        self.rep.intervals.len()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// From the first epoch to one past the last.
    pub fn bounds(&self) -> (Epoch, Epoch) {
        (self.rep.first, self.rep.last.saturating_add(1))
    }

    /// Everyone who was in an acting set: where to look for unfound objects.
    pub fn all_participants(&self) -> &BTreeSet<PgShard> {
        &self.rep.all_participants
    }

    /// The intervals in which the PG may have taken writes, oldest first.
    pub fn intervals(&self) -> &[CompactInterval] {
        &self.rep.intervals
    }

    /// These intervals from the newest back to the one that holds `last_epoch_started`.
    pub fn mayberw_back_to(&self, last_epoch_started: Epoch) -> impl Iterator<Item = &CompactInterval> {
        self.rep.intervals.iter().rev().take_while(move |i| i.last >= last_epoch_started)
    }

    /// Adds the interval that just ended. `erasure`: the place in the acting set is a shard.
    pub fn add_interval(&mut self, erasure: bool, interval: &PgInterval) {
        let rep = &mut self.rep;
        if rep.first == 0 {
            rep.first = interval.first;
        }
        rep.last = interval.last;
        let shard = |i: usize| if erasure { i as ShardId } else { NO_SHARD };
        let members = interval.acting.iter().enumerate().filter(|(_, osd)| **osd != CRUSH_ITEM_NONE);
        let acting: BTreeSet<_> = members.map(|(i, osd)| PgShard { osd: *osd, shard: shard(i) }).collect();
        rep.all_participants.extend(acting.iter().copied());
        if !interval.maybe_went_rw {
            return;
        }
        rep.intervals.retain(|older| !acting.is_subset(&older.acting));
        rep.intervals.push(CompactInterval { first: interval.first, last: interval.last, acting });
    }

    /// Lets the history begin earlier, where the PG was last clean (Ceph: `adjust_start_backwards`).
    pub fn adjust_start_backwards(&mut self, last_epoch_clean: Epoch) {
        self.rep.first = last_epoch_clean;
    }
}

impl fmt::Display for PastIntervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.rep;
        let set = |s: &BTreeSet<PgShard>| s.iter().map(PgShard::to_string).collect::<Vec<_>>().join(",");
        write!(f, "([{},{}] all_participants={} intervals=", r.first, r.last, set(&r.all_participants))?;
        for (i, v) in r.intervals.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}([{},{}] acting {})", v.first, v.last, set(&v.acting))?;
        }
        f.write_str(")")
    }
}

const KIND_NONE: u8 = 0;
const KIND_COMPACT: u8 = 2;

impl Encode for PastIntervals {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u8(KIND_COMPACT);
            e.put(&self.rep);
        });
    }
}

impl Decode for PastIntervals {
    const MIN_SIZE: usize = 7;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("PastIntervals", 1, |d, _| match d.u8()? {
            KIND_NONE => Ok(Self::default()),
            KIND_COMPACT => Ok(Self { rep: d.get()? }),
            kind => Err(DecodeError::Invalid { what: "PastIntervals kind", value: kind.into() }),
        })
    }
}

/// One map's view of a PG: all that a change of which begins a new interval.
#[derive(Debug, Clone, Copy)]
pub struct IntervalView<'a> {
    pub up: &'a [OsdId],
    pub up_primary: OsdId,
    pub acting: &'a [OsdId],
    pub acting_primary: OsdId,
    /// `None` once the pool is deleted.
    pub pool: Option<&'a PgPool>,
    /// Flags of the map: [`crate::flags::osdmap_flag`].
    pub map_flags: u32,
}

/// Whether a PG's interval ended between two maps (Ceph: `PastIntervals::is_new_interval`).
pub fn is_new_interval(pgid: PgId, old: &IntervalView<'_>, new: &IntervalView<'_>) -> bool {
    use crate::flags::osdmap_flag::{RECOVERY_DELETES, SORTBITWISE};
    // A deleted pool ends its last interval; after that nothing changes any more.
    let Some(was) = old.pool else { return false };
    let Some(is) = new.pool else { return true };
    let (old_num, new_num) = (was.pg_num, is.pg_num);
    let (old_pending, new_pending) = (was.pg_num_pending, is.pg_num_pending);
    let stretch =
        |p: &PgPool| (p.peering_crush_bucket_count, p.peering_crush_bucket_target, p.peering_crush_mandatory_member);
    old.acting_primary != new.acting_primary
        || old.acting != new.acting
        || old.up_primary != new.up_primary
        || old.up != new.up
        || was.min_size != is.min_size
        || was.size != is.size
        || pgid.is_split(old_num, new_num)
        || pgid.is_merge_source(old_pending, new_pending)
        || pgid.is_merge_source(new_pending, old_pending)
        || pgid.is_merge_source(old_num, new_num)
        || pgid.is_merge_target(old_pending, new_pending)
        || pgid.is_merge_target(new_pending, old_pending)
        || pgid.is_merge_target(old_num, new_num)
        || (old.map_flags ^ new.map_flags) & (SORTBITWISE | RECOVERY_DELETES) != 0
        || stretch(was) != stretch(is)
}

/// What the map before the change says of the interval that ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedInterval<'a> {
    pub view: IntervalView<'a>,
    pub same_interval_since: Epoch,
    pub last_epoch_clean: Epoch,
    /// Of the acting primary.
    pub primary_up_thru: Epoch,
    pub primary_up_from: Epoch,
    /// Whether the acting set could have served the PG (for replicated pools: it is not empty).
    pub could_have_gone_active: bool,
}

/// The interval that ended with the epoch before `new_epoch`, for [`PastIntervals::add_interval`]
/// (Ceph: `PastIntervals::check_new_interval`).
///
/// A set of OSDs can only have taken writes if the monitors knew its primary to be alive in that
/// interval (`up_thru`), or if the PG was clean in it.
pub fn close_interval(old: &EndedInterval<'_>, new_epoch: Epoch) -> PgInterval {
    let v = &old.view;
    let (first, last) = (old.same_interval_since, new_epoch - 1);
    let members = v.acting.iter().filter(|osd| **osd != CRUSH_ITEM_NONE).count();
    let min_size = v.pool.map_or(0, |p| usize::from(p.min_size));
    let able = members > 0 && v.acting_primary != -1 && members >= min_size && old.could_have_gone_active;
    let known_alive = old.primary_up_thru >= first && old.primary_up_from <= first;
    let was_clean = (first..=last).contains(&old.last_epoch_clean);
    PgInterval {
        up: v.up.to_vec(),
        acting: v.acting.to_vec(),
        first,
        last,
        maybe_went_rw: able && (known_alive || was_clean),
        primary: v.acting_primary,
        up_primary: v.up_primary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(first: Epoch, last: Epoch, acting: &[OsdId], maybe_went_rw: bool) -> PgInterval {
        PgInterval { first, last, acting: acting.to_vec(), maybe_went_rw, ..PgInterval::default() }
    }

    #[test]
    fn a_later_subset_replaces_the_larger_set_and_read_only_intervals_leave_participants_only() {
        let mut p = PastIntervals::default();
        p.add_interval(false, &interval(10, 20, &[0, 1, 2], true));
        p.add_interval(false, &interval(21, 30, &[1, 2], true));
        p.add_interval(false, &interval(31, 35, &[5], false));
        p.add_interval(false, &interval(36, 50, &[0, 2, CRUSH_ITEM_NONE], true));
        let firsts: Vec<_> = p.intervals().iter().map(|i| i.first).collect();
        assert_eq!(firsts, [21, 36]);
        assert_eq!(p.all_participants().len(), 4);
        assert_eq!(p.bounds(), (10, 51));
        assert_eq!(p.mayberw_back_to(31).count(), 1);
    }

    #[test]
    fn an_interval_whose_primary_was_never_known_alive_took_no_writes() {
        let pool = PgPool { min_size: 2, ..PgPool::default() };
        let view = IntervalView {
            up: &[1, 2],
            up_primary: 1,
            acting: &[1, 2],
            acting_primary: 1,
            pool: Some(&pool),
            map_flags: 0,
        };
        let ended = EndedInterval {
            view,
            same_interval_since: 10,
            last_epoch_clean: 5,
            primary_up_thru: 9,
            primary_up_from: 3,
            could_have_gone_active: true,
        };
        assert!(!close_interval(&ended, 20).maybe_went_rw);
        assert!(close_interval(&EndedInterval { primary_up_thru: 10, ..ended }, 20).maybe_went_rw);
        assert!(close_interval(&EndedInterval { last_epoch_clean: 19, ..ended }, 20).maybe_went_rw);
        assert!(!close_interval(&EndedInterval { last_epoch_clean: 20, ..ended }, 20).maybe_went_rw);
        let alone = IntervalView { acting: &[1, CRUSH_ITEM_NONE], ..view };
        assert!(!close_interval(&EndedInterval { view: alone, primary_up_thru: 10, ..ended }, 20).maybe_went_rw);
    }
}
