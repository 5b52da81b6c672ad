//! How many PGs of an OSD may be scrubbed at once (`osd_max_scrubs`), as primary or for another.
//!
//! Only routine scrubs take slots. One that was asked for takes none: it must not wait for them. But of the PGs that
//! one order names (`osd scrub N`, `osd deep-scrub all`) some are scrubbed at a time and the others queue, so that
//! an order for all does not leave clients with nothing.
//!
//! Nothing is held back while no client is served. Beside clients the chunks that an OSD leads come one at a time,
//! and after each it rests many times as long as the chunk took: every member reads its copy for it, so that with
//! three copies about a sixteenth of a disk's time goes to scrubs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use node::Load;
use types::SpgId;

/// So many PGs of orders for several are scrubbed at once. An OSD reads for all of them in turn, so that they end at
/// about the same time: with fewer, disks idle while the last maps travel.
const ORDERED_MAX: usize = 8;

/// How many times a chunk's time is rested after it, beside clients, and for how long at most.
const REST_TIMES: u32 = 49;
const REST_MAX: Duration = Duration::from_secs(4);
/// Clients that were served so lately are there.
const CLIENTS_LAST: Duration = Duration::from_secs(3);

const MINUTES_A_DAY: f64 = 1440.0;

/// The slots of one OSD, and what it has mended.
#[derive(Debug, Default)]
pub struct ScrubSlots {
    max: usize,
    local: BTreeSet<SpgId>,
    remote: BTreeSet<SpgId>,
    /// Of orders for several: those that go, those that wait for one of them to be done, and those that were given
    /// the place of one just now.
    ordered: BTreeSet<SpgId>,
    waiting: VecDeque<SpgId>,
    given: Vec<SpgId>,
    /// When a client was last seen to be served.
    clients_at: Option<Duration>,
    /// Beside clients no chunk begins before this.
    not_before: Duration,
    load: Option<Load>,
    /// The load over many hours.
    daily: f64,
    recovering: bool,
    /// Objects whose copy on this OSD was found bad and written anew since it started, by PG.
    pub mended: BTreeMap<SpgId, u64>,
}

impl ScrubSlots {
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    fn has_room(&self) -> bool {
        self.local.len() + self.remote.len() < self.max
    }

    pub(crate) fn take_local(&mut self, id: SpgId) -> bool {
        self.local.contains(&id) || self.has_room() && self.local.insert(id)
    }

    pub(crate) fn take_ordered(&mut self, id: SpgId) -> bool {
        if self.holds_ordered(id) || self.ordered.len() < ORDERED_MAX && self.ordered.insert(id) {
            return true;
        }
        if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
        false
    }

    pub(crate) fn holds_ordered(&self, id: SpgId) -> bool {
        self.ordered.contains(&id)
    }

    /// Its place goes to the one that waits longest.
    pub(crate) fn release_ordered(&mut self, id: SpgId) {
        if self.ordered.remove(&id)
            && let Some(next) = self.waiting.pop_front()
        {
            self.ordered.insert(next);
            self.given.push(next);
        }
    }

    /// The PGs that may begin now and do not know it.
    pub fn take_given(&mut self) -> Vec<SpgId> {
        std::mem::take(&mut self.given)
    }

    /// Clients were served just now.
    pub fn note_clients(&mut self, now: Duration) {
        self.clients_at = Some(now);
    }

    /// How busy the machine is, about once a minute.
    pub fn note_load(&mut self, load: Load) {
        self.daily = match self.load {
            Some(_) => (self.daily * (MINUTES_A_DAY - 1.0) + load.minute) / MINUTES_A_DAY,
            None => load.minute,
        };
        self.load = Some(load);
    }

    /// Whether the machine is idle enough for routine scrubs: below the threshold for a CPU, or below what is usual
    /// there and falling (Ceph: `OSD::scrub_load_below_threshold`).
    pub(crate) fn load_permits(&self, threshold: f64) -> bool {
        self.load.is_none_or(|l| {
            let a_cpu = l.minute / f64::from(l.cpus.max(1));
            a_cpu < threshold || l.minute < self.daily && l.minute < l.quarter
        })
    }

    /// Seconds by which the machine's local time is ahead of UTC.
    pub(crate) fn utc_offset(&self) -> i32 {
        self.load.map_or(0, |l| l.utc_offset)
    }

    /// Whether this OSD recovers objects.
    pub fn note_recovery(&mut self, on: bool) {
        self.recovering = on;
    }

    pub(crate) fn is_recovering(&self) -> bool {
        self.recovering
    }

    pub(crate) fn is_beside_clients(&self, now: Duration) -> bool {
        self.clients_at.is_some_and(|at| now < at + CLIENTS_LAST)
    }

    /// Whether a chunk may begin: if not, when to ask again.
    pub(crate) fn begin_chunk(&mut self, now: Duration) -> Result<(), Duration> {
        if self.is_beside_clients(now) {
            if now < self.not_before {
                return Err(self.not_before);
            }
            // Until it is known how long it takes.
            self.not_before = now + REST_MAX;
        }
        Ok(())
    }

    pub(crate) fn end_chunk(&mut self, now: Duration, began: Duration) {
        self.not_before = now + (now.saturating_sub(began) * REST_TIMES).min(REST_MAX);
    }

    /// For a scrub that another OSD leads.
    pub(crate) fn take_remote(&mut self, id: SpgId) -> bool {
        self.remote.contains(&id) || self.has_room() && self.remote.insert(id)
    }

    pub(crate) fn release_local(&mut self, id: SpgId) {
        self.local.remove(&id);
    }

    pub(crate) fn release_remote(&mut self, id: SpgId) {
        self.remote.remove(&id);
    }

    /// The PG is not here any more.
    pub fn forget(&mut self, id: SpgId) {
        self.local.remove(&id);
        self.remote.remove(&id);
        self.waiting.retain(|waits| *waits != id);
        self.release_ordered(id);
    }

    /// A bad copy of the PG's on this OSD was written anew.
    pub(crate) fn note_mended(&mut self, id: SpgId) {
        *self.mended.entry(id).or_default() += 1;
    }

    /// How many copies on this OSD were mended since it started.
    /// How many PGs are being scrubbed: led here, and led elsewhere.
    pub fn taken(&self) -> (usize, usize) {
        (self.local.len(), self.remote.len())
    }

    pub fn mended_total(&self) -> u64 {
        self.mended.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use types::PgId;

    use super::*;

    fn pg(seed: u32) -> SpgId {
        PgId::new(1, seed).into()
    }

    #[test]
    fn of_an_order_for_many_some_go_at_a_time_and_the_next_when_one_is_done() {
        let mut slots = ScrubSlots::new(1);
        let begun: Vec<u32> = (0..20).filter(|n| slots.take_ordered(pg(*n))).collect();
        assert_eq!(begun, [0, 1, 2, 3, 4, 5, 6, 7]);
        slots.release_ordered(pg(2));
        assert_eq!(slots.take_given(), [pg(8)], "who waits longest is next");
        assert!(slots.take_ordered(pg(8)) && !slots.take_ordered(pg(12)));
        slots.forget(pg(9));
        slots.forget(pg(8));
        assert_eq!(slots.take_given(), [pg(10)], "one that is gone gives its place on, too");
    }

    #[test]
    fn a_busy_machine_is_left_alone_unless_it_is_less_busy_than_it_uses_to_be() {
        let load = |minute, quarter| Load { minute, quarter, cpus: 4, utc_offset: 0 };
        let mut slots = ScrubSlots::new(1);
        assert!(slots.load_permits(0.5), "nobody said how busy it is");
        slots.note_load(load(6.0, 6.0));
        assert!(!slots.load_permits(0.5) && slots.load_permits(2.0));
        slots.note_load(load(1.9, 6.0));
        assert!(slots.load_permits(0.5));
        slots.note_load(load(4.0, 5.0));
        assert!(slots.load_permits(0.5), "it is falling");
        slots.note_load(load(4.0, 3.0));
        assert!(!slots.load_permits(0.5));
    }

    #[test]
    fn beside_clients_chunks_come_one_at_a_time_with_rests_and_without_them_at_once() {
        let ms = Duration::from_millis;
        let mut slots = ScrubSlots::new(1);
        assert_eq!((slots.begin_chunk(ms(0)), slots.begin_chunk(ms(0))), (Ok(()), Ok(())));
        slots.note_clients(ms(1000));
        assert_eq!(slots.begin_chunk(ms(1000)), Ok(()));
        assert_eq!(slots.begin_chunk(ms(1010)), Err(ms(1000) + REST_MAX));
        slots.end_chunk(ms(1020), ms(1000));
        let rested = ms(1020) + ms(20) * REST_TIMES;
        assert_eq!(slots.begin_chunk(ms(1030)), Err(rested));
        assert_eq!(slots.begin_chunk(rested), Ok(()));
        assert_eq!(slots.begin_chunk(ms(4000)), Ok(()), "the clients are gone");
    }
}
