//! Ctrl-C (and a polite kill), noticed where it does no harm: work goes on to a place where it can stop and say
//! what it leaves. A second Ctrl-C ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

static HIT: AtomicBool = AtomicBool::new(false);

/// What a shell takes for "ended by Ctrl-C".
pub const EXIT_CODE: i32 = 128 + libc::SIGINT;

extern "C" fn note(signal: libc::c_int) {
    HIT.store(true, Ordering::Relaxed);
    // SAFETY: signal() is async-signal-safe and restores the default for the next time.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// From now on [`hit`] tells of signals, instead of their ending the program.
pub fn catch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `note` only stores to an atomic and calls signal(), both allowed in a signal handler.
        unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// Whether somebody wants us to stop.
pub fn hit() -> bool {
    HIT.load(Ordering::Relaxed)
}

/// # Errors
/// If somebody wants us to stop.
pub fn check() -> Result<()> {
    if hit() {
        bail!("interrupted");
    }
    Ok(())
}
