use std::collections::BTreeMap;

use os::{MemStore, ObjectRead, PoolSpace};
use store::sim::SimDisk;
use types::PoolId;

use crate::gen_txn::{Rng, apply_both, contents, first_txn, open, txn};

/// What pools take, and all data together: counted while it changes, and anew at every open.
fn space(store: &dyn ObjectRead) -> (BTreeMap<PoolId, PoolSpace>, u64) {
    let mut pools = store.space_by_pool();
    pools.retain(|_, space| *space != PoolSpace::default());
    (pools, store.statfs().stored)
}

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
            assert_eq!(space(&store), space(&model), "seed {seed} step {i}");
            if i % 10 == 0 {
                assert_eq!(contents(&store).unwrap(), contents(&model).unwrap(), "seed {seed} step {i}");
            }
        }
    }
}
