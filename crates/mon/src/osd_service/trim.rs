//! Which OSD maps are forgotten (Ceph: `OSDMonitor::get_trim_to`): none of the last `mon_min_osdmap_epochs`,
//! none that an OSD which is up still has placement groups to clean from, none that one which is down will have
//! to follow when it comes back: without them its PGs would not know who took writes meanwhile.

use types::Epoch;
use types::dump::Dump;

use crate::change::Change;
use crate::core::Mon;

/// So many at least go at once (Ceph: `paxos_service_trim_min`).
const STEP: Epoch = 100;
/// No more than this many go at once.
const MOST: Epoch = 1_000;
/// For the sake of OSDs that are down no more than this many are kept.
const KEEP_MAX: Epoch = 20_000;

impl Mon {
    pub(super) fn trim_maps(&mut self) {
        let (first, newest) = (self.state.first_map, self.state.osdmap.epoch);
        let keep = self.config.u64("mon_min_osdmap_epochs").min(KEEP_MAX.into()) as Epoch;
        let mut to = newest.saturating_sub(keep).min(self.oldest_unclean());
        if newest - first < KEEP_MAX {
            to = to.min(self.oldest_of_those_down());
        }
        if to >= first + STEP {
            self.pending.changes.push(Change::TrimMaps(to.min(first + MOST)));
        }
    }

    /// The oldest epoch in which a PG of an OSD that is up was clean, by the OSDs' beacons. Those of whom a new
    /// leader has not heard yet may need everything.
    fn oldest_unclean(&self) -> Epoch {
        let map = &self.state.osdmap;
        if map.pools.is_empty() {
            return map.epoch;
        }
        let up = map.osds().filter(|o| map.is_up(*o));
        up.map(|o| self.osd.clean_since.get(&o).copied().unwrap_or(0)).min().unwrap_or(map.epoch)
    }

    /// What the OSDs' beacons told of it, for `report`.
    pub(crate) fn clean_epochs_dump(&self) -> Dump {
        let told = self.osd.clean_since.iter().map(|(osd, epoch)| Dump::obj().with("id", *osd).with("epoch", *epoch));
        let by_pool = Dump::obj().with("per_pool", Dump::arr("pool", Vec::<Dump>::new()));
        Dump::obj()
            .with("min_last_epoch_clean", self.oldest_unclean())
            .with("last_epoch_clean", by_pool)
            .with("osd_epochs", Dump::arr("osd", told))
    }

    fn oldest_of_those_down(&self) -> Epoch {
        let map = &self.state.osdmap;
        let down = map.osds().filter(|o| map.is_down(*o) && !map.is_destroyed(*o)).map(|o| map.info(o));
        let comes_back = down.filter(|info| info.up_from > 0 && info.lost_at < info.down_at);
        comes_back.map(|info| info.down_at).min().unwrap_or(map.epoch)
    }
}
