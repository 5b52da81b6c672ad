//! The seam to the store.

use std::sync::Arc;

use bytes::Bytes;
use node::Token;
use os::{Coll, MemStore, ObjectRead, ReadError, Transaction};
use tokio::sync::mpsc;
use types::GHObject;

/// What a disk has finished.
#[derive(Debug)]
pub enum Completion {
    /// This transaction and all submitted before it are on stable storage.
    Committed(Token),
    /// A write or a sync failed: nothing more will commit.
    Failed {
        why: String,
    },
    ReadDone {
        token: Token,
        result: Result<Option<Bytes>, ReadError>,
    },
}

/// Where a disk says so. Any thread may; the driver wakes.
#[derive(Debug, Clone)]
pub struct Completions(mpsc::UnboundedSender<Completion>);

impl Completions {
    pub fn committed(&self, token: Token) {
        self.send(Completion::Committed(token));
    }

    pub fn failed(&self, why: impl Into<String>) {
        self.send(Completion::Failed { why: why.into() });
    }

    pub fn send(&self, completion: Completion) {
        // A driver that is gone needs to know nothing.
        let _ = self.0.send(completion);
    }
}

/// The driver's end.
#[derive(Debug)]
pub struct CompletionQueue(pub(crate) mpsc::UnboundedReceiver<Completion>);

/// The two ends, made before the disk is opened.
pub fn completions() -> (Completions, CompletionQueue) {
    let (tx, rx) = mpsc::unbounded_channel();
    (Completions(tx), CompletionQueue(rx))
}

/// A store as the driver uses it, all on the driver's thread.
pub trait Disk {
    /// Applies a transaction: [`Self::reader`] shows it from now on. Its durability is reported by
    /// [`Completion::Committed`], in the order of submission.
    fn submit(&mut self, token: Token, txn: Transaction);

    /// The driver has nothing more at hand: what was submitted since the last call may go to disk as one group.
    fn flush(&mut self) {}

    /// The state that all submitted transactions have made.
    fn reader(&self) -> &dyn ObjectRead;

    /// A bulk read, if it needs no waiting for the disk.
    fn try_read_now(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Option<Result<Option<Bytes>, ReadError>>;

    /// For bulk reads on other threads. A read sees all that was submitted before it began.
    fn bulk_reader(&self) -> Arc<dyn BulkRead>;

    /// The node has ended, and everything it submitted is committed: leaves the disk so that the next
    /// open is quick.
    ///
    /// # Errors
    /// What failed; nothing that was committed is lost by it.
    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Reads on any thread.
pub trait BulkRead: Send + Sync {
    /// As [`ObjectRead::read`]; if `fresh`, from the disk itself, not from what memory keeps of it.
    ///
    /// # Errors
    /// As [`ObjectRead::read`].
    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64, fresh: bool) -> Result<Option<Bytes>, ReadError>;
}

/// Keeps everything in memory and nothing over a restart: for clients, which store nothing, and for
/// tests.
#[derive(Debug)]
pub struct MemDisk {
    store: MemStore,
    completions: Completions,
    failed: bool,
}

impl MemDisk {
    pub fn new(completions: Completions) -> Self {
        Self { store: MemStore::new(), completions, failed: false }
    }
}

/// Every read of a [`MemDisk`] is answered at once, so its bulk reader is never asked.
struct NoBulk;

impl BulkRead for NoBulk {
    fn read(&self, _: Coll, _: &GHObject, _: u64, _: u64, _: bool) -> Result<Option<Bytes>, ReadError> {
        Ok(None)
    }
}

impl Disk for MemDisk {
    fn submit(&mut self, token: Token, txn: Transaction) {
        match self.store.apply(&txn) {
            // What follows a refused transaction may build on it.
            _ if self.failed => {}
            Ok(()) => self.completions.committed(token),
            Err(error) => {
                self.failed = true;
                self.completions.failed(error.to_string());
            }
        }
    }

    fn reader(&self) -> &dyn ObjectRead {
        &self.store
    }

    fn try_read_now(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Option<Result<Option<Bytes>, ReadError>> {
        Some(self.store.read(coll, oid, off, len))
    }

    fn bulk_reader(&self) -> Arc<dyn BulkRead> {
        Arc::new(NoBulk)
    }
}

impl<D: Disk + ?Sized> Disk for Box<D> {
    fn submit(&mut self, token: Token, txn: Transaction) {
        (**self).submit(token, txn);
    }

    fn flush(&mut self) {
        (**self).flush();
    }

    fn reader(&self) -> &dyn ObjectRead {
        (**self).reader()
    }

    fn try_read_now(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Option<Result<Option<Bytes>, ReadError>> {
        (**self).try_read_now(coll, oid, off, len)
    }

    fn bulk_reader(&self) -> Arc<dyn BulkRead> {
        (**self).bulk_reader()
    }

    fn close(&mut self) -> Result<(), String> {
        (**self).close()
    }
}
