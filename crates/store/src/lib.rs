//! The durable object store: write-ahead log, overlay, allocator, checksums, fsck.
//!
//! A [`Store`] takes `os::Transaction`s, shows them to reads at once, and reports each when it is on
//! stable storage. Start at [`Store::submit`]; the order of writes and syncs is in `commit`, the log in
//! `wal`, rows in `kv` and `overlay`; `docs/formats/store.md` argues why no crash can hurt.
//!
//! ```text
//! submit ─► stage ─► overlay (reads see it) ─► queue ─► one log record, one shared sync ─► committed
//!                       └─ frozen overlay ─► checkpoint into redb ─► log space and freed blocks come back
//! ```
//!
//! Invariants:
//! - A token is reported only after everything it stands for was synced.
//! - A block that anything durable refers to is never written again.
//! - A write or sync that fails ends the store: nothing is reported after it.

mod aligned;
mod alloc;
mod buffers;
mod commit;
mod crc;
mod data;
mod device;
mod fsck;
mod key;
mod kv;
mod onode;
mod overlay;
mod presence;
mod repair;
mod scratch;
pub mod sim;
mod space;
mod stage;
mod state;
mod store;
mod superblock;
mod wal;

pub use device::{BlockDevice, Devices, FileDevice};
pub use fsck::{Finding, Mend, fsck, fsck_devices};
pub use kv::{KvError, Table};
pub use repair::{Repaired, repair};
pub use stage::SubmitError;
pub use state::Options;
pub use store::{Geometry, OpenError, Reader, Store, StoreEvent, StoreFailed};
pub use superblock::{Superblock, SuperblockError};
pub use wal::WalError;
