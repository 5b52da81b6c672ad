//! The stores of simulated hosts: what survives a crash, and what does not.

use std::collections::VecDeque;

use node::Token;
use os::{MemStore, ObjectRead, Transaction};

use crate::rng::Rng;

const FITS: &str = "a core makes only transactions that the model can take";

/// A store under the simulator: submissions show at once, become durable in steps, and a crash loses
/// what was not durable.
pub trait SimStore {
    fn reader(&self) -> &dyn ObjectRead;
    fn submit(&mut self, token: Token, txn: Transaction);
    /// Whether anything waits to become durable.
    fn has_pending(&self) -> bool;
    /// Makes everything durable that was submitted before this call began; gives the tokens in order.
    fn commit(&mut self) -> Vec<Token>;
    /// Loses what is not durable. The rng decides about torn and half-written things.
    fn crash(&mut self, rng: &mut Rng);
}

/// The model store: two copies, one of them durable.
#[derive(Debug, Default)]
pub struct ModelDisk {
    durable: MemStore,
    visible: MemStore,
    pending: VecDeque<(Token, Transaction)>,
}

impl SimStore for ModelDisk {
    fn reader(&self) -> &dyn ObjectRead {
        &self.visible
    }

    fn submit(&mut self, token: Token, txn: Transaction) {
        self.visible.apply(&txn).expect(FITS);
        self.pending.push_back((token, txn));
    }

    fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn commit(&mut self) -> Vec<Token> {
        let durable = &mut self.durable;
        self.pending
            .drain(..)
            .map(|(token, txn)| {
                durable.apply(&txn).expect(FITS);
                token
            })
            .collect()
    }

    fn crash(&mut self, rng: &mut Rng) {
        // Any number of the oldest may have reached the disk before the power went.
        let kept = rng.below(self.pending.len() as u64 + 1) as usize;
        for (_, txn) in self.pending.drain(..).take(kept) {
            self.durable.apply(&txn).expect(FITS);
        }
        self.visible = self.durable.clone();
    }
}
