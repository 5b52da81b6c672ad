//! The durable store as a [`Disk`].

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use node::Token;
use os::{Coll, ObjectRead, ReadError, Transaction};
use store::{OpenError, Options, Reader, Store, StoreEvent};
use types::GHObject;

use crate::disk::{BulkRead, CompletionQueue, Completions, Disk, completions};

/// A store in a folder. Its own threads write and sync.
#[derive(Debug)]
pub struct StoreDisk {
    /// `None` once closed.
    store: Option<Store>,
    reader: Reader,
    completions: Completions,
    /// A transaction was refused: nothing after it may be applied.
    failed: bool,
}

impl StoreDisk {
    /// Opens the store in `dir` and replays its log.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(dir: &Path, options: Options) -> Result<(Self, CompletionQueue), OpenError> {
        let (completions, queue) = completions();
        let tell = completions.clone();
        let store = Store::open(dir, options, move |event| match event {
            // The last one speaks for those before it.
            StoreEvent::Committed(tokens) => {
                if let Some(token) = tokens.last() {
                    tell.committed(Token(*token));
                }
            }
            StoreEvent::Failed(why) => tell.failed(why),
        })?;
        let reader = store.reader();
        Ok((Self { store: Some(store), reader, completions, failed: false }, queue))
    }

    /// The store itself, for what is no daily work (its metadata, its space).
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }
}

impl Disk for StoreDisk {
    fn submit(&mut self, token: Token, txn: Transaction) {
        let Some(store) = self.store.as_ref().filter(|_| !self.failed) else { return };
        if let Err(error) = store.submit_held(token.0, &txn) {
            self.failed = true;
            self.completions.failed(error.to_string());
        }
    }

    fn flush(&mut self) {
        if let Some(store) = &self.store {
            store.release();
        }
    }

    fn reader(&self) -> &dyn ObjectRead {
        &self.reader
    }

    fn try_read_now(&self, coll: Coll, oid: &GHObject, off: u64, len: u64) -> Option<Result<Option<Bytes>, ReadError>> {
        self.reader.try_read_now(coll, oid, off, len).map(Ok)
    }

    fn bulk_reader(&self) -> Arc<dyn BulkRead> {
        Arc::new(self.reader.clone())
    }

    fn close(&mut self) -> Result<(), String> {
        match self.store.take() {
            Some(store) => store.close().map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

impl BulkRead for Reader {
    fn read(&self, coll: Coll, oid: &GHObject, off: u64, len: u64, fresh: bool) -> Result<Option<Bytes>, ReadError> {
        match fresh {
            true => self.read_from_disk(coll, oid, off, len),
            false => ObjectRead::read(self, coll, oid, off, len),
        }
    }
}
