//! Whose log counts, and who should serve the PG (Ceph: `find_best_info`, `calc_replicated_acting`,
//! `choose_acting`). Pure functions of what the copies say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use types::{EVersion, OsdId, PgInfo};

use crate::interval::{UpActing, members};

/// The copy whose log is authoritative. `None` if no complete copy reaches the last interval that is
/// known to have gone active. See doc/dev/osd_internals/last_epoch_started before changing this.
pub fn best_info(infos: &BTreeMap<OsdId, &PgInfo>, whoami: OsdId, allowed: impl Fn(OsdId) -> bool) -> Option<OsdId> {
    let mut les = 0;
    for info in infos.values() {
        les = les.max(info.history.last_epoch_started);
        if !info.is_incomplete() {
            les = les.max(info.last_epoch_started);
        }
    }
    // Whoever was in the last active interval has all that was acknowledged before it began.
    let acceptable = infos.values().filter(|i| i.last_epoch_started >= les).map(|i| i.last_update).min()?;
    let eligible = infos.iter().filter(|(osd, i)| {
        allowed(**osd) && i.last_update >= acceptable && i.last_epoch_started >= les && !i.is_incomplete()
    });
    let mut best: Option<(OsdId, &PgInfo)> = None;
    for (osd, info) in eligible {
        if best.is_none_or(|(_, b)| preferred(info, *osd == whoami, b)) {
            best = Some((*osd, info));
        }
    }
    best.map(|(osd, _)| osd)
}

/// Whether it is only known from hearsay (the history that copies share) that the PG was active as late as
/// it was: the copy that was active then may be gone (Ceph: `history_les_bound`).
pub fn is_history_les_bound(infos: &BTreeMap<OsdId, &PgInfo>) -> bool {
    let told = infos.values().map(|i| i.history.last_epoch_started).max();
    let own = infos.values().filter(|i| !i.is_incomplete()).map(|i| i.last_epoch_started).max();
    told > own
}

/// Newest last write, then longest log, then nothing missing, then ourselves.
fn preferred(info: &PgInfo, is_self: bool, best: &PgInfo) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = (info.last_update.cmp(&best.last_update))
        .then_with(|| best.log_tail.cmp(&info.log_tail))
        .then_with(|| best.has_missing().cmp(&info.has_missing()));
    match order {
        Greater => true,
        Less => false,
        Equal => is_self,
    }
}

/// Who should serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The acting set wanted, the primary first.
    pub want: Vec<OsdId>,
    /// Members of the up set that the log does not bring up to date: they are backfilled, and get every
    /// write though they are not in the acting set.
    pub backfill: BTreeSet<OsdId>,
}

impl Choice {
    /// Everyone who gets every write (Ceph: `acting_recovery_backfill`).
    pub fn members(&self) -> BTreeSet<OsdId> {
        self.want.iter().chain(&self.backfill).copied().collect()
    }
}

/// Picks the acting set: first those of `up` that the log reaches, then those of `acting`, then any
/// other (Ceph: `calc_replicated_acting`). Those in `cut_off` have logs that cannot be joined to the
/// authoritative one, whatever their infos say.
pub fn acting_set(
    infos: &BTreeMap<OsdId, &PgInfo>,
    auth: OsdId,
    now: &UpActing,
    size: usize,
    force_auth_missing: u64,
    restrict_to_up_acting: bool,
    cut_off: &BTreeSet<OsdId>,
) -> Choice {
    let auth_info = infos[&auth];
    let primary = match infos.get(&now.up_primary) {
        Some(p) if !p.is_incomplete() && p.last_update >= auth_info.log_tail && !cut_off.contains(&now.up_primary) => {
            let behind = p.last_update.version.abs_diff(auth_info.last_update.version);
            let missing = u64::try_from(p.stats.stats.sum.num_objects_missing).unwrap_or(0) + behind;
            if missing > force_auth_missing { auth } else { now.up_primary }
        }
        _ => auth,
    };
    let oldest = infos[&primary].log_tail.min(auth_info.log_tail);
    let reached = |osd: OsdId| {
        !cut_off.contains(&osd) && infos.get(&osd).is_some_and(|i| !i.is_incomplete() && i.last_update >= oldest)
    };

    let mut want = vec![primary];
    let mut backfill = BTreeSet::new();
    for osd in members(&now.up).filter(|o| *o != primary) {
        if reached(osd) {
            want.push(osd);
        } else if infos.contains_key(&osd) {
            backfill.insert(osd);
        }
    }
    let others = |pool: Vec<OsdId>| {
        let mut c: Vec<(EVersion, OsdId)> =
            pool.into_iter().filter(|o| reached(*o)).map(|o| (infos[&o].last_update, o)).collect();
        c.sort_by_key(|(v, _)| std::cmp::Reverse(*v));
        c.into_iter().map(|(_, o)| o).collect::<Vec<_>>()
    };
    let acting: Vec<OsdId> = members(&now.acting).collect();
    for osd in others(acting.clone()) {
        if want.len() < size && !want.contains(&osd) && !now.up.contains(&osd) {
            want.push(osd);
        }
    }
    if !restrict_to_up_acting {
        for osd in others(infos.keys().copied().collect()) {
            if want.len() < size && !want.contains(&osd) && !now.up.contains(&osd) && !acting.contains(&osd) {
                want.push(osd);
            }
        }
    }
    // The monitors take no list that is longer than the pool's size. Who of `up` is left out comes in once the primary
    // is one of them; but for a single copy that primary itself would be left out, never be brought up to date, and the
    // PG never get to where it belongs: it is filled anew.
    let left_out = want.split_off(size.clamp(1, want.len()));
    if left_out.contains(&now.up_primary) {
        backfill.insert(now.up_primary);
    }
    Choice { want, backfill }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{HObject, SpgId};

    fn info(les: u32, last: u64, tail: u64) -> PgInfo {
        let v = |n| EVersion::new(u32::from(n > 0), n);
        PgInfo {
            last_epoch_started: les,
            last_update: v(last),
            last_complete: v(last),
            log_tail: v(tail),
            ..PgInfo::new(SpgId::default())
        }
    }

    fn best(infos: &[PgInfo]) -> Option<OsdId> {
        best_info(&(0..).zip(infos).collect(), 0, |_| true)
    }

    fn want(infos: &[PgInfo], up: &[OsdId]) -> Vec<OsdId> {
        choice(infos, up).want
    }

    fn choice(infos: &[PgInfo], up: &[OsdId]) -> Choice {
        let all: BTreeMap<OsdId, &PgInfo> = (0..).zip(infos).collect();
        let auth = best_info(&all, 0, |_| true).expect("somebody can lead");
        let now = UpActing { up: up.to_vec(), up_primary: up[0], acting: up.to_vec(), acting_primary: up[0] };
        acting_set(&all, auth, &now, 3, 100, false, &BTreeSet::new())
    }

    #[test]
    fn the_newest_log_counts_unless_its_owner_missed_the_last_active_interval() {
        assert_eq!(best(&[info(5, 9, 0), info(5, 12, 0), info(5, 10, 0)]), Some(1));
        assert_eq!(best(&[info(7, 9, 0), info(5, 12, 0)]), Some(0));
    }

    #[test]
    fn of_equal_logs_the_longer_counts_and_then_our_own() {
        assert_eq!(best(&[info(5, 9, 3), info(5, 9, 1)]), Some(1));
        assert_eq!(best(&[info(5, 9, 1), info(5, 9, 1)]), Some(0));
    }

    #[test]
    fn the_only_place_of_a_single_copy_is_filled_also_if_the_log_would_reach_it() {
        let (full, empty) = (info(5, 200, 0), info(0, 0, 0));
        let all: BTreeMap<OsdId, &PgInfo> = [(0, &full), (3, &empty)].into();
        let now = UpActing { up: vec![3], up_primary: 3, acting: vec![0], acting_primary: 0 };
        let choice = acting_set(&all, 0, &now, 1, 100, false, &BTreeSet::new());
        assert_eq!((choice.want, choice.backfill), (vec![0], [3].into()));
    }

    #[test]
    fn a_copy_that_is_not_complete_leads_nobody() {
        let half = PgInfo { last_backfill: HObject::min(), ..info(5, 12, 0) };
        assert_eq!(best(&[info(5, 9, 0), half.clone()]), Some(0));
        assert_eq!(best(&[half]), None);
    }

    #[test]
    fn whoever_the_log_does_not_reach_is_backfilled_and_does_not_serve() {
        let chosen = choice(&[info(5, 300, 100), info(5, 290, 100), info(5, 50, 0)], &[0, 1, 2]);
        assert_eq!((chosen.want.as_slice(), chosen.backfill.clone()), ([0, 1].as_slice(), [2].into()));
        assert_eq!(chosen.members(), [0, 1, 2].into());
    }

    #[test]
    fn a_copy_that_is_half_backfilled_goes_on_being_backfilled() {
        let half = PgInfo { last_backfill: HObject::min(), ..info(5, 300, 0) };
        let chosen = choice(&[info(5, 300, 0), info(5, 300, 0), half, info(5, 300, 0)], &[0, 1, 2]);
        assert_eq!((chosen.want.as_slice(), chosen.backfill), ([0, 1, 3].as_slice(), [2].into()));
    }

    #[test]
    fn a_primary_far_behind_lets_another_lead() {
        assert_eq!(want(&[info(5, 20, 0), info(5, 300, 0), info(5, 300, 0)], &[0, 1, 2]), [1, 0, 2]);
        assert_eq!(want(&[info(5, 290, 0), info(5, 300, 0), info(5, 300, 0)], &[0, 1, 2]), [0, 1, 2]);
    }

    #[test]
    fn a_stray_fills_the_place_of_one_that_is_missing() {
        assert_eq!(want(&[info(5, 9, 0), info(5, 9, 0), info(5, 9, 0)], &[0, 1]), [0, 1, 2]);
    }
}
