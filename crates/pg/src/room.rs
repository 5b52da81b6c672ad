//! Whether what a client writes has room on every disk that it goes to.
//!
//! A replica cannot refuse a write: its store would have to end. The monitors' full flags come too late where disks
//! differ in size and monitors are slow, or without a quorum. So replicas whose room gets scarce say with each
//! `MOSDRepOpReply` how much there is, and a primary takes from clients only what fits everywhere, beside what it has
//! under way. The rest waits; what is small and frees space goes on.
//!
//! Invariant: what all primaries together have under way to an OSD that told its room is less than that room, as each
//! takes only its share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use os::{Coll, ObjectRead, Transaction, TxOp};
use osdmap::OsdMap;
use types::{OsdId, SpgId, osd_state};

use crate::client::ClientOp;
use crate::env::Env;
use crate::pg::Pg;

/// From here on replicas tell their room.
const SCARCE: u64 = 2 << 30;
/// Kept for logs, maps, and for what frees space.
const KEPT: u64 = 64 << 20;
/// Those that ask for it (FULL_TRY, FULL_FORCE) get at this, too.
const KEPT_AT_LAST: u64 = 24 << 20;
/// A write takes at least this: a block, its row and its place in the log.
const LEAST: u64 = 16 << 10;

/// Who said nothing for so long, with nothing under way to it, is tried with a write that its last room would take:
/// its answer tells how things are.
const TRIED_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Word {
    bytes: u64,
    /// By the monotonic clock.
    at: Duration,
}

/// What is known of the OSDs' room; kept by the OSD for all its PGs.
#[derive(Debug)]
pub struct Rooms {
    /// What our own store has.
    here: u64,
    /// Bytes that OSDs had when they were last heard. Who is not here has plenty, or does not tell.
    told: BTreeMap<OsdId, Word>,
    /// Those that the map says are full.
    full: BTreeSet<OsdId>,
    under_way: BTreeMap<OsdId, BTreeMap<SpgId, u64>>,
    /// How many primaries share an OSD's room.
    sharers: u64,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { here: u64::MAX, told: BTreeMap::new(), full: BTreeSet::new(), under_way: BTreeMap::new(), sharers: 1 }
    }
}

impl Rooms {
    /// What our own store has, as of now.
    pub fn set_here(&mut self, available: u64) {
        self.here = available;
    }

    /// Whoever is gone, or not full any more, has another room than it told. One that was down for a while has not.
    pub fn new_map(&mut self, map: &OsdMap) {
        self.sharers = map.num_up_osds() as u64;
        let is_full = |osd: OsdId| map.state(osd) & osd_state::FULL != 0;
        let was_full = std::mem::take(&mut self.full);
        self.told
            .retain(|osd, _| map.exists(*osd) && !map.is_destroyed(*osd) && (is_full(*osd) || !was_full.contains(osd)));
        self.full = (0..map.max_osd()).filter(|osd| is_full(*osd)).collect();
    }

    /// What a replica says of its room in `MOSDRepOpReply::result`, which Ceph's primaries do not look at: nothing, or
    /// how many MiB there are, as a negative number from −1 on.
    pub(crate) fn word(&self) -> i32 {
        if self.here >= SCARCE { 0 } else { -1 - (self.here >> 20) as i32 }
    }

    /// Whether room is scarce anywhere.
    pub(crate) fn is_scarce(&self) -> bool {
        self.here < SCARCE || !self.told.is_empty()
    }

    pub(crate) fn heard(&mut self, now: Duration, osd: OsdId, word: i32) {
        match word {
            ..0 => drop(self.told.insert(osd, Word { bytes: u64::from((word + 1).unsigned_abs()) << 20, at: now })),
            0.. => drop(self.told.remove(&osd)),
        }
    }

    /// Nothing is counted while room is plenty.
    pub(crate) fn sent(&mut self, osd: OsdId, pg: SpgId, bytes: u64) {
        if bytes == 0 {
            return;
        }
        *self.under_way.entry(osd).or_default().entry(pg).or_default() += bytes;
    }

    pub(crate) fn done(&mut self, osd: OsdId, pg: SpgId, bytes: u64) {
        if bytes > 0
            && let Some(sum) = self.under_way.get_mut(&osd).and_then(|pgs| pgs.get_mut(&pg))
        {
            *sum = sum.saturating_sub(bytes);
        }
    }

    /// Whether a push to this OSD may be taken: nothing takes the last room.
    pub fn takes_push(&self, m: &messages::MOSDPGPush) -> bool {
        let bytes: u64 = m.pushes.iter().map(|p| LEAST + p.data.len() as u64).sum();
        self.here >= bytes + KEPT_AT_LAST
    }

    /// Its writes under way are no more (a new interval, or it is gone).
    pub fn forget(&mut self, pg: SpgId) {
        for pgs in self.under_way.values_mut() {
            pgs.remove(&pg);
        }
        self.under_way.retain(|_, pgs| !pgs.is_empty());
    }

    fn fits(&self, now: Duration, osd: OsdId, bytes: u64, kept: u64) -> bool {
        let Some(told) = self.told.get(&osd) else { return true };
        let under_way: u64 = self.under_way.get(&osd).map_or(0, |pgs| pgs.values().sum());
        let is_old = under_way == 0 && now.saturating_sub(told.at) > TRIED_AFTER;
        let room = told.bytes.saturating_sub(if is_old { KEPT_AT_LAST } else { kept });
        // One that is larger than the share still goes, alone.
        bytes <= room && (under_way == 0 || under_way + bytes <= room / self.sharers.max(1))
    }
}

/// What a transaction may take of a disk: 0 if it frees space, or changes nothing.
pub(crate) fn need(store: &dyn ObjectRead, coll: Coll, txn: &Transaction) -> u64 {
    let each = |op: &TxOp| match op {
        TxOp::Write { data, .. } => LEAST + data.len() as u64,
        TxOp::OmapSet { keys, .. } => LEAST + keys.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum::<u64>(),
        TxOp::SetAttrs { attrs, .. } => attrs.values().map(|v| v.len() as u64).sum(),
        // A copy shares nothing with what it is a copy of.
        TxOp::Clone { oid, .. } => LEAST + store.stat(coll, oid).ok().flatten().map_or(0, |s| s.size),
        TxOp::CloneRange { len, .. } => LEAST + len,
        TxOp::Create { .. } | TxOp::Touch { .. } | TxOp::Truncate { .. } | TxOp::Zero { .. } => LEAST,
        _ => 0,
    };
    txn.ops.iter().map(each).sum()
}

/// What became of a write that was looked at.
pub(crate) enum Verdict {
    Go,
    /// It waits until there is room.
    Wait,
    Refuse,
}

impl Pg {
    /// Whether a client's write can be taken now.
    pub(crate) fn judge_room(&self, env: &Env, op: &ClientOp, txn: &Transaction) -> Verdict {
        if !env.rooms.is_scarce() {
            return Verdict::Go;
        }
        let tries = op.tries_when_full();
        let need = need(env.store, self.coll(), txn);
        if need == 0 || tries && need <= LEAST {
            return Verdict::Go;
        }
        let kept = if tries { KEPT_AT_LAST } else { KEPT };
        let here = env.rooms.here >= kept + need;
        let mut others = self.actingbackfill.iter().filter(|o| **o != self.whoami);
        match here && others.all(|osd| env.rooms.fits(env.now.mono, *osd, need, kept)) {
            true => Verdict::Go,
            false if tries => Verdict::Refuse,
            false => Verdict::Wait,
        }
    }

    /// Whether recovery, or backfill, would go on until somebody has nothing left (Ceph: `recovery_toofull`,
    /// `backfill_toofull`).
    pub(crate) fn is_too_full_to_recover(&self, env: &Env) -> bool {
        let piece = env.cfg.recovery_max_chunk;
        let lacks_room = |osd: &OsdId| match *osd == self.whoami {
            true => env.rooms.here < KEPT + piece,
            false => !env.rooms.fits(env.now.mono, *osd, piece, KEPT),
        };
        if self.is_backfilling() {
            return self.backfill_targets.iter().any(lacks_room);
        }
        let is_full = |o: &OsdId| self.map.state(*o) & osd_state::FULL != 0;
        let lacks = |o: &OsdId| match *o == self.whoami {
            true => !self.missing.is_empty(),
            false => self.peers.missing.get(o).is_some_and(|m| !m.is_empty()),
        };
        self.actingbackfill.iter().any(|o| is_full(o) || lacks(o) && lacks_room(o))
    }

    /// Perhaps there is room now for what waits for it.
    pub fn recheck_room(&mut self, env: &mut Env) {
        self.requeue_for_room();
        self.run_ready(env);
        self.finish(env);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PG: SpgId = SpgId { pgid: types::PgId { pool: 1, seed: 0 }, shard: -1 };

    const NOW: Duration = Duration::from_secs(1);

    fn rooms(word: i32) -> Rooms {
        let mut rooms = Rooms { sharers: 3, ..Rooms::default() };
        rooms.heard(Duration::ZERO, 2, word);
        rooms
    }

    #[test]
    fn who_does_not_tell_or_has_plenty_takes_everything() {
        assert!(rooms(0).fits(NOW, 2, 1 << 40, KEPT));
        assert!(rooms(-1).fits(NOW, 1, 1 << 40, KEPT));
    }

    #[test]
    fn a_primary_has_no_more_under_way_than_its_share_of_what_a_replica_told() {
        let mut rooms = rooms(-1 - (64 + 30));
        assert!(rooms.fits(NOW, 2, 30 << 20, KEPT), "one write may take all of it");
        assert!(!rooms.fits(NOW, 2, 31 << 20, KEPT));
        rooms.sent(2, PG, 6 << 20);
        assert!(rooms.fits(NOW, 2, 4 << 20, KEPT));
        assert!(!rooms.fits(NOW, 2, 5 << 20, KEPT));
        rooms.done(2, PG, 6 << 20);
        assert!(rooms.fits(NOW, 2, 5 << 20, KEPT));
    }

    #[test]
    fn writes_of_an_interval_that_ended_are_not_under_way() {
        let mut rooms = rooms(-1 - (64 + 30));
        rooms.sent(2, PG, 20 << 20);
        rooms.forget(PG);
        assert!(rooms.fits(NOW, 2, 30 << 20, KEPT));
    }

    #[test]
    fn a_word_holds_over_a_restart_but_not_over_the_loss_of_the_osd_or_its_being_full() {
        let map = |state: u32| {
            let mut map = OsdMap::default();
            let mut inc = osdmap::Incremental::new(types::Uuid::default(), 1);
            inc.new_max_osd = Some(3);
            inc.new_state.insert(2, state);
            map.apply(&inc).expect("the first map");
            map
        };
        let mut rooms = rooms(-1);
        let (up, full) = (osd_state::EXISTS | osd_state::UP, osd_state::EXISTS | osd_state::UP | osd_state::FULL);
        for state in [up, osd_state::EXISTS, up, full] {
            rooms.new_map(&map(state));
            assert!(!rooms.fits(NOW, 2, 4 << 20, KEPT));
        }
        rooms.new_map(&map(up));
        assert!(rooms.fits(NOW, 2, 4 << 20, KEPT), "it is not full any more");
        rooms.heard(NOW, 2, -1);
        rooms.new_map(&map(osd_state::EXISTS | osd_state::DESTROYED));
        assert!(rooms.fits(NOW, 2, 4 << 20, KEPT));
    }

    #[test]
    fn a_full_disk_tells_that_there_is_nothing() {
        assert!(!rooms(-1).fits(NOW, 2, 1, KEPT_AT_LAST));
    }

    #[test]
    fn who_is_silent_is_tried_with_what_its_last_room_takes() {
        let (mut rooms, later) = (rooms(-1 - 40), Duration::from_secs(6));
        assert!(!rooms.fits(NOW, 2, 1 << 20, KEPT));
        assert!(rooms.fits(later, 2, 16 << 20, KEPT));
        assert!(!rooms.fits(later, 2, 17 << 20, KEPT));
        rooms.sent(2, PG, 1 << 20);
        assert!(!rooms.fits(later, 2, 1 << 20, KEPT), "one at a time");
    }
}
