//! The check of the check: known bugs, put back, are found.

use std::panic::catch_unwind;

use pg::planted::{Bug, plant};

/// What the seeds find with a bug; the first of them that does is enough.
fn found(bug: Bug, seeds: std::ops::Range<u64>) -> Option<String> {
    plant(Some(bug));
    let found = seeds.into_iter().find_map(|seed| {
        let panic = catch_unwind(|| sim::scenario::run(seed)).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
    });
    plant(None);
    found
}

#[test]
fn an_acknowledgement_before_the_commit_is_found() {
    let found = found(Bug::AckBeforeCommit, 1..10).expect("it is found");
    assert!(found.contains("not on the disk"), "{found}");
}

#[test]
fn a_skipped_up_thru_is_found() {
    let found = found(Bug::SkippedUpThru, 1..10).expect("it is found");
    assert!(found.contains("takes writes"), "{found}");
}

#[test]
fn a_dropped_dup_is_found() {
    let found = found(Bug::DroppedDup, 1..60).expect("it is found");
    assert!(found.contains("no order of what clients did"), "{found}");
}

#[test]
fn a_command_that_is_done_twice_is_found() {
    mon::planted::forget_answers(true);
    let found = (1..60).find_map(|seed| {
        let run = || sim::mon_scenario::run(seed, sim::Trace::default(), &mut |_| {});
        let panic = catch_unwind(run).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
    });
    mon::planted::forget_answers(false);
    let found = found.expect("it is found");
    assert!(found.contains("was carried out 2 times"), "{found}");
}

#[test]
fn a_lease_that_is_ignored_is_found() {
    let found = found(Bug::IgnoredLease, 40..80).expect("it is found");
    assert!(found.contains("is read from"), "{found}");
}

#[test]
fn a_backfill_that_takes_an_old_version_for_the_newest_is_found() {
    let found = found(Bug::StaleBackfill, 9..60).expect("it is found");
    assert!(found.contains("differs"), "{found}");
}

#[test]
fn a_deletion_that_leaves_nothing_to_snapshots_is_found() {
    found(Bug::SkippedClone, 3..30).expect("it is found");
}
