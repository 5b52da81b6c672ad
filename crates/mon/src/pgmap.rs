//! The manager inside: what it is told, and what the monitor shows of PGs.

use messages::Message;
use mgr::{Digest, ScrubThresholds, Thresholds, ToMonitor};
use node::{ConnId, Now};
use types::dump::Dump;
use types::{OsdId, PgId, PoolId};

use crate::core::{Cx, Mon};
use crate::pending::Waiter;

impl Mon {
    /// A message at the manager's address.
    pub(crate) fn mgr_message(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) {
        let map = self.state.osdmap.clone();
        if let Some(osd) = self.mgr.osd_of(conn).filter(|osd| map.is_up(*osd)) {
            self.osd.word(cx.now, osd);
        }
        if let Some(request) = self.mgr.message(cx.now, &map, conn, msg, cx.out) {
            self.mgr_request(cx, request);
        }
    }

    /// A command that the manager has judged and that changes the map.
    pub(crate) fn mgr_request(&mut self, cx: &mut Cx, request: ToMonitor) {
        if !self.is_writeable() {
            return self.hold_mgr_request(request);
        }
        let (r, reply) = self.run_for_mgr(cx, &request);
        let msg = request.reply(r, reply.rs, &reply.data);
        self.reply(cx, r == 0, Waiter::Message { conn: request.conn, msg });
    }

    /// What would be lost with an OSD, in numbers: a sentence with a space before it.
    pub(crate) fn what_goes_with(&self, osd: OsdId) -> String {
        self.mgr.stats.loss_with_osd(&self.state.osdmap, osd)
    }

    pub(crate) fn what_goes_with_pool(&self, pool: PoolId) -> String {
        self.mgr.stats.loss_with_pool(pool)
    }

    pub(crate) fn what_goes_with_pg(&self, pg: PgId) -> String {
        self.mgr.stats.loss_with_pg(pg)
    }

    /// Lets the manager sum up; what it finds is health and quotas from now on.
    pub(crate) fn mgr_tick(&mut self, cx: &mut Cx) {
        let map = self.state.osdmap.clone();
        let warn = self.mgr_thresholds();
        self.mgr.mapped(self.mgrmap().epoch);
        self.digest = self.mgr.tick(cx.now, &map, warn);
    }

    fn mgr_thresholds(&self) -> Thresholds {
        Thresholds {
            stuck_secs: self.config.u64("mon_pg_stuck_threshold") as u32,
            trimq: self.config.i64("mon_osd_snap_trim_queue_warn_on").max(0) as u32,
            scrub: ScrubThresholds {
                scrub: (self.config.f64("osd_scrub_max_interval"), self.config.f64("mon_warn_pg_not_scrubbed_ratio")),
                deep: (
                    self.config.f64("osd_deep_scrub_interval"),
                    self.config.f64("mon_warn_pg_not_deep_scrubbed_ratio"),
                ),
                repairs: self.config.u64("mon_osd_warn_num_repaired"),
            },
        }
    }

    /// What the manager knows at this moment.
    pub(crate) fn mgr_digest(&self, now: Now) -> Digest {
        self.mgr.digest(now, &self.state.osdmap, self.mgr_thresholds())
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
