//! Bugs that are put back by tests which prove that the simulator finds them. Without the feature
//! `planted-bugs`, which only the simulator asks for, there are none.

/// One of the bugs that every implementation had once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A replica says that a write is on its disk when it has only been submitted.
    AckBeforeCommit,
    /// A primary takes writes before the map shows that it is alive.
    SkippedUpThru,
    /// A write that was answered is carried out again when its client repeats it.
    DroppedDup,
    /// A new primary serves though an earlier one may still hold a lease.
    IgnoredLease,
    /// A backfill target keeps the version of an object that it has, though it is an older one.
    StaleBackfill,
    /// A deletion leaves nothing to the snapshots that were taken before it.
    SkippedClone,
}

impl Bug {
    pub const ALL: [(&str, Self); 6] = [
        ("ack-before-commit", Self::AckBeforeCommit),
        ("skipped-up-thru", Self::SkippedUpThru),
        ("dropped-dup", Self::DroppedDup),
        ("ignored-lease", Self::IgnoredLease),
        ("stale-backfill", Self::StaleBackfill),
        ("skipped-clone", Self::SkippedClone),
    ];
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// All PGs of this thread have this bug from now on.
    pub fn plant(bug: Option<Bug>) {
        BUG.set(bug);
    }

    pub(crate) fn has(bug: Bug) -> bool {
        BUG.get() == Some(bug)
    }
}

#[cfg(not(feature = "planted-bugs"))]
mod switch {
    pub(crate) fn has(_: super::Bug) -> bool {
        false
    }
}

pub(crate) use switch::has;
#[cfg(feature = "planted-bugs")]
pub use switch::plant;
