//! Runs one [`node::Node`] against real sockets, disks and time.
//!
//! Start at [`run_node`]. The parts:
//! - [`Endpoints`]: the addresses, bound before the node is made so that it knows its ports.
//! - [`Disk`]: the store as the driver sees it. Submits return at once; [`Completions`] tells, from
//!   any thread, what became durable.
//! - `driver`: the loop. One thread owns the node, its sockets and its messengers; nothing in it
//!   blocks, and disk reads happen on other threads, so that heartbeats are answered whatever the
//!   disk does.
//! - [`AdminHandle`]: commands from within the process or from the admin socket.
//!
//! One turn of the loop reads everything that arrived, handles all of it, hands what was submitted to
//! the store as one group, then writes each connection once.

// One file may, and says why.
#![deny(unsafe_code)]

mod admin;
mod disk;
mod driver;
mod held;
mod local_time;
mod log;
mod net;
mod sockets;
mod store_disk;

pub use admin::{AdminHandle, AdminQueue};
pub use disk::{BulkRead, Completion, CompletionQueue, Completions, Disk, MemDisk, completions};
pub use driver::{RuntimeConfig, run_node};
pub use log::init_log;
pub use net::{BindError, Endpoints, Listen};
pub use store_disk::StoreDisk;
