//! The other members' part of a scrub: a slot if there is one, and a map of what they hold.

use std::cmp::Ordering;

use messages::{MOSDRepScrub, MOSDRepScrubMap, MOSDScrubReserve, Message};
use types::{Epoch, OsdId, PgShard, features};

use super::Scan;
use crate::env::Env;
use crate::pg::{Pg, Phase};

/// A scan that the primary asked for.
#[derive(Debug)]
pub(super) struct ForPrimary {
    pub scan: Scan,
    tid: u64,
    map_epoch: Epoch,
}

impl Pg {
    pub(crate) fn on_scrub_reserve(&mut self, env: &mut Env, from: OsdId, m: &MOSDScrubReserve) {
        if self.is_stale(from, m.map_epoch) {
            return;
        }
        let from_primary = from == self.ua.acting_primary && matches!(self.phase, Phase::ReplicaActive(_));
        match m.kind {
            MOSDScrubReserve::REQUEST if from_primary => {
                self.scrub.remote_slot = env.scrubs.take_remote(self.id);
                let kind = match self.scrub.remote_slot {
                    true => MOSDScrubReserve::GRANT,
                    false => MOSDScrubReserve::REJECT,
                };
                self.send_scrub_reserve(env, from, kind);
            }
            MOSDScrubReserve::RELEASE if from_primary => self.release_remote_scrub(env),
            MOSDScrubReserve::GRANT => self.scrub_slot_given(env, from),
            MOSDScrubReserve::REJECT => self.scrub_slot_refused(env, from),
            _ => (),
        }
    }

    pub(super) fn send_scrub_reserve(&self, env: &mut Env, to: OsdId, kind: i32) {
        let from = PgShard::from(self.whoami);
        env.send_osd(to, MOSDScrubReserve { pgid: self.id, map_epoch: self.map.epoch, kind, from });
    }

    pub(super) fn release_remote_scrub(&mut self, env: &mut Env) {
        if std::mem::take(&mut self.scrub.remote_slot) {
            env.scrubs.release_remote(self.id);
        }
    }

    /// The primary wants to know what is here of a range. All that it has written is here already, for its
    /// messages come in order.
    pub(crate) fn on_rep_scrub(&mut self, from: OsdId, tid: u64, m: &MOSDRepScrub) {
        let active = matches!(self.phase, Phase::ReplicaActive(_));
        if self.is_stale(from, m.map_epoch) || !active || from != self.ua.acting_primary {
            return;
        }
        let sane = m.start.cmp(&m.end) == Ordering::Less;
        if !sane || m.scrub_to > self.info.last_update {
            return;
        }
        let scan = Scan::new(self.coll(), &m.start, &m.end, m.deep, self.info.last_update);
        self.scrub.for_primary = Some(ForPrimary { scan, tid, map_epoch: m.map_epoch });
    }

    /// Goes on with what the primary asked for.
    pub(super) fn scan_for_primary(&mut self, env: &mut Env) {
        let Some(p) = &mut self.scrub.for_primary else { return };
        p.scan.step(env);
        if p.scan.is_done()
            && let Some(ForPrimary { scan, tid, map_epoch }) = self.scrub.for_primary.take()
        {
            let reply = MOSDRepScrubMap {
                pgid: self.id,
                map_epoch,
                from: PgShard::from(self.whoami),
                preempted: false,
                // Nothing at all makes no sense to the primary, and ends the scrub.
                scrub_map: scan.into_map().map(|map| denc::to_bytes(&map, features::ALL)).unwrap_or_default(),
            };
            env.send_osd(self.ua.acting_primary, Message::new(reply).with_tid(tid));
        }
    }
}
