//! The stores of simulated hosts: what survives a crash, and what does not.

use std::collections::{BTreeMap, VecDeque};

use node::Token;
use os::{Coll, MemStore, ObjectRead, Transaction};
use store::sim::{Lost, SimDisk};
use store::{BlockDevice, Options, Reader, Store, Superblock};
use types::{GHObject, Uuid};

use crate::rng::Rng;
use crate::rot::Rotten;

const FITS: &str = "a core makes only transactions that the model can take";

/// A store under the simulator: submissions show at once, become durable in steps, and a crash loses
/// what was not durable.
pub trait SimStore {
    fn reader(&self) -> &dyn ObjectRead;
    /// What a crash would leave at least, if the store can tell.
    fn durable(&self) -> Option<&dyn ObjectRead> {
        None
    }
    fn submit(&mut self, token: Token, txn: Transaction);
    /// Whether anything waits to become durable.
    fn has_pending(&self) -> bool;
    /// Makes everything durable that was submitted before this call began; gives the tokens in order.
    fn commit(&mut self) -> Vec<Token>;
    /// Something happens to what is stored, of which the disk says nothing; what it was, if anything could. What no
    /// read can see happens only in the collections that `unseen_in` names.
    fn rot(&mut self, rng: &mut Rng, unseen_in: &dyn Fn(Coll) -> bool) -> Option<String>;
    /// Whether an object is known not to be what was written last.
    fn is_rotten(&self, _coll: Coll, _oid: &GHObject) -> bool {
        false
    }
    /// Loses what is not durable. The rng decides about torn and half-written things.
    fn crash(&mut self, rng: &mut Rng);
}

/// The model store: two copies, one of them durable.
#[derive(Debug, Default)]
pub struct ModelDisk {
    durable: MemStore,
    visible: MemStore,
    pending: VecDeque<(Token, Transaction)>,
    rotten: Rotten,
}

impl SimStore for ModelDisk {
    fn reader(&self) -> &dyn ObjectRead {
        &self.visible
    }

    fn durable(&self) -> Option<&dyn ObjectRead> {
        Some(&self.durable)
    }

    fn submit(&mut self, token: Token, txn: Transaction) {
        self.visible.apply_in_place(&txn).expect(FITS);
        self.rotten.note(&txn);
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
                durable.apply_in_place(&txn).expect(FITS);
                token
            })
            .collect()
    }

    fn rot(&mut self, rng: &mut Rng, unseen_in: &dyn Fn(Coll) -> bool) -> Option<String> {
        // What is on the disk rots.
        self.pending.is_empty().then_some(())?;
        self.rotten.strike([&mut self.visible, &mut self.durable], rng, unseen_in)
    }

    fn is_rotten(&self, coll: Coll, oid: &GHObject) -> bool {
        self.rotten.has(coll, oid)
    }

    fn crash(&mut self, rng: &mut Rng) {
        // Any number of the oldest may have reached the disk before the power went.
        let kept = rng.below(self.pending.len() as u64 + 1) as usize;
        for (_, txn) in self.pending.drain(..).take(kept) {
            self.durable.apply_in_place(&txn).expect(FITS);
        }
        self.visible = self.durable.clone();
    }
}

/// The real store on a simulated disk, which keeps of a crash what a real one might.
pub struct StoreDisk {
    disk: SimDisk,
    superblock: Superblock,
    /// Only `None` while it is opened again.
    store: Option<(Store, Reader)>,
    pending: usize,
}

/// Small, so that short runs see checkpoints come and the log wrap; a record takes up to an eighth.
const WAL_RING: u64 = 32 << 20;
const OVERLAY_BYTES: usize = 512 << 10;

const OPENS: &str = "a store opens again after any crash";

impl StoreDisk {
    /// An empty store of this size.
    pub fn new(uuid: Uuid, size: u64) -> Self {
        let disk = SimDisk::new();
        disk.block.set_len(size).and_then(|()| disk.block.sync()).expect("a new disk has no faults");
        let superblock = Superblock { uuid, size, wal_ring: WAL_RING, meta: BTreeMap::new() };
        let mut new = Self { disk, superblock, store: None, pending: 0 };
        new.open();
        new
    }

    fn open(&mut self) {
        let options = Options { overlay_bytes: OVERLAY_BYTES, kv_cache_bytes: 2 << 20, ..Options::default() };
        let store = Store::open_devices(self.disk.devices(), options, "sim", &self.superblock).expect(OPENS);
        let reader = store.reader();
        self.store = Some((store, reader));
        self.pending = 0;
    }

    fn store(&self) -> &(Store, Reader) {
        self.store.as_ref().expect("it is open but within `crash`")
    }
}

impl SimStore for StoreDisk {
    fn reader(&self) -> &dyn ObjectRead {
        &self.store().1
    }

    fn submit(&mut self, token: Token, txn: Transaction) {
        self.store().0.submit(token.0, &txn).expect(FITS);
        self.pending += 1;
    }

    fn has_pending(&self) -> bool {
        self.pending > 0
    }

    fn commit(&mut self) -> Vec<Token> {
        self.pending = 0;
        let tokens = self.store().0.commit_step().expect("a healthy disk commits");
        tokens.into_iter().map(Token).collect()
    }

    fn rot(&mut self, rng: &mut Rng, _unseen_in: &dyn Fn(Coll) -> bool) -> Option<String> {
        let (block, pages) = (&self.disk.block, self.disk.block.used_pages());
        if pages.is_empty() {
            return None;
        }
        let (page, other) = (*rng.pick(&pages), *rng.pick(&pages));
        Some(match rng.below(4) {
            0 => {
                block.flip(page * 4096 + rng.below(4096), 1 << rng.below(8));
                format!("a bit of page {page} flips")
            }
            1 => {
                block.lose_page(page);
                format!("page {page} cannot be read")
            }
            2 => {
                block.misdirect(other, page);
                format!("page {page} holds what was meant for {other}")
            }
            _ => {
                block.forget_page(page);
                format!("page {page} has lost what was written to it")
            }
        })
    }

    fn crash(&mut self, rng: &mut Rng) {
        let lost = *rng.pick(&[Lost::None, Lost::All, Lost::Random, Lost::Suffix]);
        self.disk = self.disk.crash(lost, &mut |n| rng.below(n));
        // The old store may write as it ends; its disk is no longer ours.
        self.store = None;
        self.open();
    }
}
