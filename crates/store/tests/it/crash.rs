use os::{MemStore, Transaction};
use store::sim::{Lost, SimDevice, SimDisk};

use crate::gen_txn::{Rng, contents, first_txn, open, txn};

/// The device whose syncs do nothing.
type Liar = Option<fn(&SimDisk) -> &SimDevice>;

/// What a run does: transactions, after which of them it commits, and what the model holds after each.
struct Plan {
    seed: u64,
    txns: Vec<Transaction>,
    commit: Vec<bool>,
    states: Vec<Vec<String>>,
}

impl Plan {
    fn new(seed: u64, len: usize) -> Self {
        let mut rng = Rng(seed);
        let mut model = MemStore::new();
        model.apply(&first_txn()).unwrap();
        let states = vec![contents(&model).unwrap()];
        let mut plan = Self { seed, txns: Vec::new(), commit: Vec::new(), states };
        while plan.txns.len() < len {
            let txn = txn(&mut rng);
            if model.apply(&txn).is_ok() {
                plan.txns.push(txn);
                plan.commit.push(rng.below(3) == 0);
                plan.states.push(contents(&model).unwrap());
            }
        }
        plan
    }

    /// An empty store with its collections, closed.
    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        let store = open(&disk).unwrap();
        store.submit(0, &first_txn()).unwrap();
        store.close().unwrap();
        disk.crash(Lost::All, &mut |_| 0)
    }

    /// Lets the disk fail after `ops` writes and syncs, crashes, and looks at what is found again.
    /// `None` when the disk did not fail any more.
    fn run(&self, ops: u64, lost: Lost, liar: Liar) -> Option<Result<(), String>> {
        let disk = Self::disk();
        liar.iter().for_each(|device| device(&disk).make_syncs_lie());
        disk.fail_after(Some(ops));
        let (mut acked, mut submitted, mut failed) = (0, 0, false);
        match open(&disk) {
            Err(_) => failed = true,
            Ok(store) => {
                for (txn, commit) in self.txns.iter().zip(&self.commit) {
                    store.submit(submitted as u64, txn).expect("the model took it");
                    submitted += 1;
                    if !commit {
                        continue;
                    }
                    if store.commit_step().is_err() {
                        failed = true;
                        break;
                    }
                    acked = submitted;
                }
            }
        }
        let mut rng = Rng(self.seed ^ ops);
        let after = disk.crash(lost, &mut |n| rng.below(n));
        failed.then(|| check(&after, &self.states[acked..=submitted]))
    }

    /// Runs with a crash at every step, or at every `stride`th; gives how many there were.
    fn crash_everywhere(&self, lost: Lost, liar: Liar, stride: u64) -> Result<u64, String> {
        let mut ops = 0;
        while let Some(found) = self.run(ops, lost, liar) {
            found.map_err(|why| format!("seed {}, crash after {ops} writes, {lost:?}: {why}", self.seed))?;
            ops += stride;
        }
        Ok(ops)
    }
}

/// `allowed`: the acknowledged state, and those after each transaction submitted since.
fn check(disk: &SimDisk, allowed: &[Vec<String>]) -> Result<(), String> {
    let store = open(disk).map_err(|e| format!("does not open: {e}"))?;
    let found = contents(&store).map_err(|e| format!("cannot be read: {e}"))?;
    if !allowed.contains(&found) {
        return Err("an acknowledged transaction is gone, or one is half there".to_owned());
    }
    // What was recovered must survive another crash at once.
    drop(store);
    let again = open(&disk.crash(Lost::All, &mut |_| 0)).map_err(|e| format!("second crash: {e}"))?;
    let same = contents(&again).is_ok_and(|c| c == found);
    same.then_some(()).ok_or("a second crash lost what was recovered".to_owned())
}

#[test]
fn a_crash_at_any_step_keeps_what_was_acknowledged_and_nothing_half() {
    for (seed, lost) in [(1, Lost::All), (2, Lost::Random), (3, Lost::Suffix), (4, Lost::None), (5, Lost::Random)] {
        let steps = Plan::new(seed, 40).crash_everywhere(lost, None, 1).unwrap();
        assert!(steps > 50, "only {steps} steps");
    }
}

#[test]
fn crashes_after_the_log_has_gone_round_lose_nothing_either() {
    for (seed, lost) in [(11, Lost::Random), (12, Lost::Suffix), (13, Lost::All)] {
        let steps = Plan::new(seed, 250).crash_everywhere(lost, None, 17).unwrap();
        assert!(steps > 400, "only {steps} steps");
    }
}

#[test]
fn a_device_whose_syncs_do_nothing_is_noticed_by_this_very_test() {
    let devices: [fn(&SimDisk) -> &SimDevice; 3] = [|d| &d.block, |d| &d.wal, |d| &d.kv];
    for (i, device) in devices.into_iter().enumerate() {
        // Long enough for the log to go round: before that, it alone holds everything.
        let noticed = (1..5).any(|seed| Plan::new(seed, 250).crash_everywhere(Lost::All, Some(device), 97).is_err());
        assert!(noticed, "device {i}");
    }
}
