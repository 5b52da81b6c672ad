//! The OSD map's service: who is up, who is in, which pools there are.
//!
//! `boot.rs` takes OSDs in, `failure.rs` decides that one is down, `timers.rs` does what time alone
//! brings (out after down, expiry of the blocklist), `pg_num.rs` lets pools grow and shrink, `requests.rs`
//! answers an OSD's other messages, `pending_map.rs` holds the next epoch while it gathers.

use std::collections::BTreeMap;
use std::time::Duration;

use messages::{Body, Message};
use node::{ConnId, Now};
use osdmap::OsdMap;
use types::{Epoch, OsdId, PgId};

use crate::core::{Cx, Mon};
use crate::state::State;

mod boot;
mod failure;
mod pending_map;
mod pg_num;
mod pools;
mod requests;
mod snaps;
mod timers;
mod trim;

pub use pending_map::PendingMap;
pub use pools::{NewPool, autoscale_mode};

/// What the leader remembers of OSDs without replicating it; a new leader learns it anew.
#[derive(Debug, Default)]
pub struct OsdService {
    failures: BTreeMap<OsdId, failure::Failure>,
    /// When each OSD last said anything, to us or to the manager.
    words: BTreeMap<OsdId, Duration>,
    /// When each OSD was last heard of, and how often it says that it reports.
    heard: BTreeMap<OsdId, (Duration, u32)>,
    /// Since when an OSD that is in is down.
    down_since: BTreeMap<OsdId, Duration>,
    /// The epoch in which a PG that is still to be made last changed its primary.
    primary_changed: BTreeMap<PgId, Epoch>,
    /// Which primaries changed up to this epoch this monitor did not see.
    pub blind_before: Epoch,
    /// Of OSDs that are up: the oldest epoch in which one of their PGs was clean, as they said last.
    clean_since: BTreeMap<OsdId, Epoch>,
    next_check: Duration,
}

/// How often time-outs are looked at.
const CHECK_EVERY: Duration = Duration::from_millis(500);

impl OsdService {
    pub fn on_leading(&mut self, now: Now, state: &State) {
        let (primary_changed, blind_before) = (std::mem::take(&mut self.primary_changed), self.blind_before);
        *self = Self { primary_changed, blind_before, ..Self::default() };
        let map = &state.osdmap;
        for osd in map.osds() {
            if map.is_up(osd) {
                self.heard.insert(osd, (now.mono, 0));
            } else if map.is_in(osd) {
                self.down_since.insert(osd, now.mono);
            }
        }
    }

    pub fn on_new_map(&mut self, now: Now, old: &OsdMap, new: &OsdMap) {
        for osd in new.osds() {
            if new.is_up(osd) {
                self.down_since.remove(&osd);
                self.heard.entry(osd).or_insert((now.mono, 0));
                if old.up_from(osd) != new.up_from(osd) {
                    self.heard.insert(osd, (now.mono, 0));
                    self.failures.remove(&osd);
                }
            } else {
                self.heard.remove(&osd);
                self.failures.remove(&osd);
                if new.is_in(osd) {
                    self.down_since.entry(osd).or_insert(now.mono);
                }
            }
            if new.is_out(osd) {
                self.down_since.remove(&osd);
            }
        }
        self.down_since.retain(|osd, _| new.exists(*osd));
        self.failures.retain(|osd, _| new.exists(*osd));
        self.heard.retain(|osd, _| new.exists(*osd));
        self.clean_since.retain(|osd, _| new.is_up(*osd) && old.up_from(*osd) == new.up_from(*osd));
        self.words.retain(|osd, _| new.is_up(*osd));
        self.primary_changed.retain(|pgid, _| new.pools.contains_key(&pgid.pool));
    }

    /// Notes which PGs that are still to be made have another primary than before.
    pub fn note_primaries(&mut self, old: &OsdMap, new: &OsdMap, creating: impl Iterator<Item = PgId>) {
        for pgid in creating {
            let before = old.pool(pgid.pool).map(|_| old.pg_to_up_acting(pgid).acting_primary);
            if before != Some(new.pg_to_up_acting(pgid).acting_primary) {
                self.primary_changed.insert(pgid, new.epoch);
            }
        }
    }

    pub fn primary_changed_since(&self, pgid: PgId, start: u64) -> bool {
        start <= u64::from(self.blind_before) || self.primary_changed.get(&pgid).is_some_and(|e| u64::from(*e) >= start)
    }

    /// An OSD that is up has said something.
    pub fn word(&mut self, now: Now, osd: OsdId) {
        self.words.insert(osd, now.mono);
    }

    /// A session ended: if somebody is suspected, it may have been its.
    pub fn look_soon(&mut self) {
        if !self.failures.is_empty() {
            self.next_check = Duration::ZERO;
        }
    }

    pub fn beacon(&mut self, now: Now, osd: OsdId, interval: u32) {
        self.heard.insert(osd, (now.mono, interval));
    }
}

/// `root=default,host=vm`: where an OSD is, from the top.
fn location(map: &OsdMap, osd: OsdId) -> String {
    let mut parts = map.crush.full_location_ordered(osd);
    parts.reverse();
    parts.into_iter().map(|(kind, name)| format!("{kind}={name}")).collect::<Vec<_>>().join(",")
}

impl Mon {
    /// The next OSD map, to be changed.
    pub(crate) fn map(&mut self) -> &mut PendingMap {
        self.pending.map.get_or_insert_with(|| PendingMap::after(&self.state.osdmap))
    }

    /// The OSD that a message comes from, if it is one, and the very instance that is up.
    pub(crate) fn reporter(&self, conn: ConnId) -> Option<OsdId> {
        let peer = &self.sessions.get(conn)?.peer;
        let osd = OsdId::try_from(peer.name.num).ok().filter(|_| peer.name.is_osd())?;
        let map = &self.state.osdmap;
        (map.is_up(osd) && map.addrs(osd) == peer.addrs).then_some(osd)
    }

    /// What an OSD tells the monitors. Gives back what is not for this service.
    pub(crate) fn osd_message(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) -> Option<Message> {
        let tid = msg.tid;
        if let Some(osd) = self.reporter(conn) {
            self.osd.word(cx.now, osd);
        }
        match msg.body {
            Body::MOSDBoot(m) => self.osd_boot(cx, conn, tid, m),
            Body::MOSDAlive(m) => self.osd_alive(cx, conn, &m),
            Body::MOSDFailure(m) => self.osd_failure(cx, conn, &m),
            Body::MOSDMarkMeDown(m) => self.osd_mark_me_down(cx, conn, m),
            Body::MOSDBeacon(m) => self.osd_beacon(cx, conn, &m),
            Body::MOSDPGTemp(m) => self.osd_pg_temp(cx, conn, m),
            Body::MOSDPGCreated(m) => self.osd_pg_created(conn, &m),
            Body::MOSDPGReadyToMerge(m) => self.osd_ready_to_merge(conn, &m),
            Body::MOSDFull(m) => self.osd_full(cx, conn, &m),
            body => return Some(Message { tid, priority: msg.priority, body }),
        }
        None
    }

    /// What time brings; called whenever a proposal can be made.
    pub(crate) fn osd_service(&mut self, cx: &mut Cx) {
        if self.osd.next_check > cx.now.mono || self.state.is_new() {
            return;
        }
        self.osd.next_check = cx.now.mono + CHECK_EVERY;
        self.check_failures(cx);
        self.check_beacons(cx);
        self.check_down_out(cx);
        self.check_blocklist(cx);
        self.check_quotas();
        self.check_full_pools();
        self.check_creating();
        self.prune_purged_snaps();
        self.trim_maps();
    }
}
