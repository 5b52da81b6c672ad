//! The manager inside: what it is told, and what the monitor shows of PGs.

use messages::Message;
use mgr::Digest;
use node::{ConnId, Now};
use types::dump::Dump;

use crate::core::{Cx, Mon};

impl Mon {
    /// A message at the manager's address.
    pub(crate) fn mgr_message(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) {
        let map = self.state.osdmap.clone();
        self.mgr.message(cx.now, &map, conn, msg, cx.out);
    }

    /// Lets the manager sum up; what it finds is health and quotas from now on.
    pub(crate) fn mgr_tick(&mut self, cx: &mut Cx) {
        let map = self.state.osdmap.clone();
        let stuck = self.config.u64("mon_pg_stuck_threshold") as u32;
        self.digest = self.mgr.tick(cx.now, &map, stuck);
    }

    /// What the manager knows at this moment.
    pub(crate) fn mgr_digest(&self, now: Now) -> Digest {
        let stuck = self.config.u64("mon_pg_stuck_threshold") as u32;
        self.mgr.digest(now, &self.state.osdmap, stuck)
    }

    pub(crate) fn mgr_new_map(&mut self, cx: &mut Cx) {
        let map = self.state.osdmap.clone();
        self.mgr.follow(cx.now, &map);
    }

    pub(crate) fn pgmap_dump(&self) -> Dump {
        self.mgr.summary(&self.state.osdmap).status_dump()
    }

    pub(crate) fn pgmap_text(&self) -> String {
        self.mgr.summary(&self.state.osdmap).status_text()
    }

    /// The services that registered, as in `status -f json`.
    pub(crate) fn service_map_dump(&self) -> Dump {
        let map = self.mgr.services();
        Dump::obj()
            .with("epoch", map.epoch)
            .with("modified", map.modified)
            .with("services", map.dump().get("services").cloned().unwrap_or_else(Dump::obj))
    }
}
