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
