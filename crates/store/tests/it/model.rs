use os::MemStore;
use store::sim::SimDisk;

use crate::gen_txn::{Rng, apply_both, contents, first_txn, open, txn};

#[test]
fn random_transactions_read_as_in_the_model_before_and_after_commits_and_reopens() {
    for seed in 0..20 {
        let mut rng = Rng(seed);
        let disk = SimDisk::new();
        let mut store = open(&disk).unwrap();
        let mut model = MemStore::new();
        apply_both(&store, &mut model, 0, &first_txn());
        for i in 1..150 {
            apply_both(&store, &mut model, i, &txn(&mut rng));
            match rng.below(12) {
                0..4 => drop(store.commit_step().unwrap()),
                4 => {
                    store.commit_step().unwrap();
                    drop(store);
                    store = open(&disk).unwrap();
                }
                5 => {
                    store.close().unwrap();
                    store = open(&disk).unwrap();
                }
                _ => {}
            }
            if i % 10 == 0 {
                assert_eq!(contents(&store).unwrap(), contents(&model).unwrap(), "seed {seed} step {i}");
            }
        }
    }
}
