use os::MemStore;
use store::sim::{Lost, SimDisk};

use crate::gen_txn::{Rng, apply_both, contents, first_txn, open, txn};

/// Runs random transactions until the disk fails after `ops` writes and syncs, crashes, and gives
/// what was found again, and the states that were allowed: from what was acknowledged on. `None` when
/// the disk did not fail any more.
fn run(seed: u64, ops: u64, lost: Lost, lie: bool) -> Option<Result<(), String>> {
    let mut rng = Rng(seed);
    let mut disk = SimDisk::new();
    {
        let store = open(&disk).unwrap();
        apply_both(&store, &mut MemStore::new(), 0, &first_txn());
        store.close().unwrap();
        disk = disk.crash(Lost::All, &mut |_| 0);
    }
    if lie {
        disk.make_syncs_lie();
    }
    let mut model = MemStore::new();
    model.apply(&first_txn()).unwrap();
    disk.fail_after(Some(ops));
    let mut failed = false;
    // States since the last acknowledged one, which is the first.
    let mut allowed = vec![contents(&model).unwrap()];
    match open(&disk) {
        Err(_) => failed = true,
        Ok(store) => {
            for i in 1..40 {
                if apply_both(&store, &mut model, i, &txn(&mut rng)) {
                    allowed.push(contents(&model).unwrap());
                }
                if rng.below(3) > 0 {
                    continue;
                }
                match store.commit_step() {
                    Ok(_) => drop(allowed.drain(..allowed.len() - 1)),
                    Err(_) => {
                        failed = true;
                        break;
                    }
                }
            }
        }
    }
    let after = disk.crash(lost, &mut |n| rng.below(n));
    let check = || {
        let store = open(&after).map_err(|e| format!("does not open: {e}"))?;
        let found = contents(&store).map_err(|e| format!("cannot be read: {e}"))?;
        if !allowed.contains(&found) {
            return Err("an acknowledged transaction is gone, or one is half there".to_owned());
        }
        // What was recovered must survive another crash at once.
        drop(store);
        let again = open(&after.crash(Lost::All, &mut |_| 0)).map_err(|e| format!("second crash: {e}"))?;
        let same = contents(&again).is_ok_and(|c| c == found);
        same.then_some(()).ok_or("a second crash lost what was recovered".to_owned())
    };
    failed.then(check)
}

fn crash_at_every_step(seed: u64, lost: Lost, lie: bool) -> Result<u64, String> {
    let mut ops = 0;
    while let Some(found) = run(seed, ops, lost, lie) {
        found.map_err(|why| format!("seed {seed}, crash after {ops} writes, {lost:?}: {why}"))?;
        ops += 1;
    }
    Ok(ops)
}

#[test]
fn a_crash_at_any_step_keeps_what_was_acknowledged_and_nothing_half() {
    for (seed, lost) in [(1, Lost::All), (2, Lost::Random), (3, Lost::Suffix), (4, Lost::None), (5, Lost::Random)] {
        let steps = crash_at_every_step(seed, lost, false).unwrap();
        assert!(steps > 50, "only {steps} steps");
    }
}

#[test]
fn a_disk_whose_syncs_lie_is_noticed_by_this_very_test() {
    assert!(crash_at_every_step(1, Lost::All, true).is_err());
}
