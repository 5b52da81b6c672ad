//! What an onlooker may know of a PG: for simulators that check what must hold.

use std::time::Duration;

use types::{EVersion, EntityAddr, Epoch, HObject, LogEntry, OsdId};

use crate::lease::Readable;
use crate::pg::{Pg, Phase};
use crate::watch::WatchKey;

impl Pg {
    /// The watches on objects of this PG, if it is led here: object, watch, timeout, address.
    pub fn watchers(&self) -> impl Iterator<Item = (&HObject, &WatchKey, Duration, &EntityAddr)> {
        self.watches.all()
    }

    pub fn up(&self) -> &[OsdId] {
        &self.ua.up
    }

    pub fn acting(&self) -> &[OsdId] {
        &self.ua.acting
    }

    /// A primary that would take writes.
    pub fn may_write(&self) -> bool {
        matches!(self.phase, Phase::Active(_)) && self.is_primary() && self.enough_members()
    }

    /// A primary that would answer reads at this moment of its own clock.
    pub fn may_read(&self, mono: Duration) -> bool {
        let activated = matches!(&self.phase, Phase::Active(a) if a.all_activated);
        activated && self.is_primary() && self.enough_members() && self.readable(mono) == Readable::Yes
    }

    /// A primary that holds all its copies to be complete, with no write under way.
    pub fn is_clean_and_idle(&self) -> bool {
        let whole = self.missing_loc.all().next().is_none();
        self.is_primary() && self.is_clean() && whole && self.last_update_ondisk == self.info.last_update
    }

    pub fn same_interval_since(&self) -> Epoch {
        self.info.history.same_interval_since
    }

    /// How many objects this copy lacks.
    pub fn num_missing(&self) -> usize {
        self.missing.len()
    }

    pub fn log_tail(&self) -> EVersion {
        self.log.tail
    }

    /// What takes memory here: how many entries of the log, with their bytes, and how many objects are known well.
    pub fn memory(&self) -> ((usize, usize), usize) {
        let entry = |e: &LogEntry| size_of::<LogEntry>() + e.soid.oid.as_bytes().len() + e.soid.nspace.as_bytes().len();
        ((self.log.size(), self.log.entries().map(entry).sum()), self.contexts.count())
    }

    pub fn log_head(&self) -> EVersion {
        self.log.head
    }
}
