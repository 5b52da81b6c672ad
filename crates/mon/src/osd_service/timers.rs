//! What time alone brings: an OSD that stays down is marked out, blocked clients are let in again,
//! pools reach or leave their quota.

use std::time::Duration;

use messages::ClogLevel;
use osdmap::{flag, state};
use types::{OsdId, pool};

use super::location;
use crate::core::{Cx, Mon};

impl Mon {
    /// Ceph: `OSDMonitor::tick`, down to out.
    pub(super) fn check_down_out(&mut self, cx: &mut Cx) {
        let limit = self.config.str("mon_osd_down_out_subtree_limit").to_owned();
        for (osd, since) in self.osd.down_since.clone() {
            if !self.can_mark_out(osd) {
                continue;
            }
            if self.subtree_is_down(osd, &limit) {
                // When the first of them comes back, the others have the whole time again.
                self.osd.down_since.insert(osd, cx.now.mono);
                continue;
            }
            let down_for = cx.now.mono.saturating_sub(since);
            if self.out_after(osd, down_for).is_none_or(|wait| down_for < wait) {
                continue;
            }
            let base = self.state.osdmap.clone();
            let map = self.map();
            map.inc.xinfo_mut(&base, osd).old_weight = base.weight(osd);
            map.inc.new_weight.insert(osd, 0);
            map.set_state(osd, state::AUTOOUT, true);
            let (secs, place) = (down_for.as_secs(), location(&base, osd));
            let text = format!("Marking osd.{osd} out (has been down for {secs} seconds), in {place}");
            self.pending.clog(ClogLevel::Info, text);
        }
    }

    /// How long the OSD may be down before it is out; `None` for ever. Longer for one that was wrongly down before.
    fn out_after(&self, osd: OsdId, down_for: Duration) -> Option<Duration> {
        let map = &self.state.osdmap;
        let destroyed = map.is_destroyed(osd);
        let option = if destroyed { "mon_osd_destroyed_out_interval" } else { "mon_osd_down_out_interval" };
        let wait = Some(self.config.secs(option)).filter(|wait| !wait.is_zero())?;
        if destroyed || !self.config.bool("mon_osd_adjust_down_out_interval") {
            return Some(wait);
        }
        let lag = self.lag(osd, down_for.as_secs_f64()).clamp(0.0, 86_400.0);
        Some(wait + Duration::from_secs_f64(lag))
    }

    fn can_mark_out(&mut self, osd: OsdId) -> bool {
        let least = self.config.f64("mon_osd_min_in_ratio");
        if self.state.osdmap.is_forbidden(osd, flag::NOOUT, state::NOOUT) {
            return false;
        }
        let map = self.map();
        if map.is_up(osd) || map.weight(osd) == 0 {
            return false;
        }
        let all = map.osds().count();
        let inside = map.osds().filter(|o| map.weight(*o) > 0).count();
        all > 0 && inside as f64 / all as f64 >= least
    }

    /// Whether everything in the OSD's rack (or whatever the limit names, or what is above it) is down: then the
    /// rack is what failed, and moving all its data would be wrong (Ceph: `OSDMap::containing_subtree_is_down`).
    fn subtree_is_down(&self, osd: OsdId, limit: &str) -> bool {
        let map = &self.state.osdmap;
        let Some(limit) = map.crush.type_id(limit) else { return false };
        let ancestors = map.crush.ancestors(osd);
        let place = ancestors.into_iter().find(|id| map.crush.item_type(*id) >= limit);
        place.is_some_and(|place| map.crush.devices_below(place).into_iter().all(|o| map.is_down(o)))
    }

    pub(super) fn check_blocklist(&mut self, cx: &mut Cx) {
        let base = self.state.osdmap.clone();
        let now = cx.now.wall;
        if base.blocklist.entries.is_empty() && base.blocklist.ranges.is_empty() {
            return;
        }
        let map = self.map();
        let over = |(addr, until): (&types::EntityAddr, &types::UTime)| (*until < now).then_some(*addr);
        map.inc.old_blocklist.extend(base.blocklist.entries.iter().filter_map(over));
        map.inc.old_range_blocklist.extend(base.blocklist.ranges.iter().filter_map(over));
    }

    /// Ceph: `OSDMonitor::update_pools_status`.
    pub(super) fn check_quotas(&mut self) {
        let base = self.state.osdmap.clone();
        let bits = pool::flag::FULL | pool::flag::FULL_QUOTA;
        for (id, p) in &base.pools {
            let Some(sum) = self.digest.pools.get(id).cloned() else { continue };
            let (bytes, objects) = (p.quota_max_bytes, p.quota_max_objects);
            let full = bytes > 0 && sum.bytes >= bytes || objects > 0 && sum.objects >= objects;
            if full == p.has_flag(pool::flag::FULL_QUOTA) {
                continue;
            }
            let name = base.pool_name(*id).unwrap_or_default().to_owned();
            let Some(p) = self.map().pool_mut(*id) else { continue };
            if full {
                p.flags |= bits;
                let text = if bytes > 0 && sum.bytes >= bytes {
                    format!("pool '{name}' is full (reached quota's max_bytes: {})", mgr::text::bytes(bytes))
                } else {
                    format!("pool '{name}' is full (reached quota's max_objects: {objects})")
                };
                self.pending.clog(ClogLevel::Warn, text);
            } else {
                p.flags &= !bits;
                let text = format!("pool '{name}' no longer out of quota; removing NO_QUOTA flag");
                self.pending.clog(ClogLevel::Info, text);
            }
        }
    }

    /// A pool is as full as the fullest OSD that it may use: writes to it wait before any OSD has to refuse them
    /// (Ceph: `OSDMonitor::encode_pending`, `OSDMap::get_full_pools`).
    pub(super) fn check_full_pools(&mut self) {
        const LEVELS: [(u32, u64); 3] = [
            (state::FULL, pool::flag::FULL),
            (state::BACKFILLFULL, pool::flag::BACKFILLFULL),
            (state::NEARFULL, pool::flag::NEARFULL),
        ];
        let base = self.state.osdmap.clone();
        let all = LEVELS.iter().fold(0, |all, (_, flag)| all | flag);
        let map = self.map();
        let level = |osd: OsdId| LEVELS.iter().position(|(bit, _)| map.state(osd) & bit != 0);
        let full = map.osds().filter(|osd| map.is_up(*osd) && map.weight(*osd) > 0);
        let full: Vec<(OsdId, usize)> = full.filter_map(|osd| Some((osd, level(osd)?))).collect();
        for id in base.pools.keys() {
            let Some(p) = self.map().pool(*id) else { continue };
            let takes = base.crush.rule(p.crush_rule.into()).map(|rule| rule.takes().collect()).unwrap_or_default();
            let takes: Vec<i32> = takes;
            let on: std::collections::BTreeSet<OsdId> =
                takes.into_iter().flat_map(|take| base.crush.devices_below(take)).collect();
            let worst = full.iter().filter(|(osd, _)| on.contains(osd)).map(|(_, level)| *level).min();
            let mut wanted = worst.map_or(0, |level| LEVELS[level].1);
            if p.has_flag(pool::flag::FULL_QUOTA) {
                wanted = pool::flag::FULL;
            }
            if p.flags & all != wanted
                && let Some(p) = self.map().pool_mut(*id)
            {
                p.flags = p.flags & !all | wanted;
            }
        }
    }
}
