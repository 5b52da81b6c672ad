//! What a store is asked to do.
//!
//! A [`Transaction`] is a list of changes to objects in collections: all of it happens or none.
//! [`ObjectRead`] is what a core may read while it decides. [`MemStore`] is the executable model:
//! the shortest code that does what a store must do, and the oracle of the real store's tests.

#![forbid(unsafe_code)]

mod coll;
mod memstore;
mod read;
mod transaction;
mod wire;

pub use coll::Coll;
pub use memstore::{ApplyError, MemStore};
pub use read::{ObjectRead, ObjectStat, PoolSpace, ReadError, Statfs};
pub use transaction::{OBJECT_SIZE_MAX, Transaction, TxOp};
