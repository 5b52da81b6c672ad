//! A bug that is put back by a test which proves that the simulator finds it. Without the feature
//! `planted-bugs`, which only the simulator asks for, there is none.

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static FORGETFUL: Cell<bool> = const { Cell::new(false) };
    }

    /// Leaders of this thread forget what they answered: a command that is asked again is done again.
    pub fn forget_answers(yes: bool) {
        FORGETFUL.set(yes);
    }

    pub(crate) fn forgets_answers() -> bool {
        FORGETFUL.get()
    }
}

#[cfg(not(feature = "planted-bugs"))]
mod switch {
    pub(crate) fn forgets_answers() -> bool {
        false
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::forget_answers;
pub(crate) use switch::forgets_answers;
