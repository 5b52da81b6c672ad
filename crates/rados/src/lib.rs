//! The client of a cluster, as a value.
//!
//! Start at [`Client`]: a `node::Node` that takes [`Request`]s and gives [`Reply`]s, for the command
//! line and for simulations. Below it, [`Objecter`] is the part that OSDs share: it sends object
//! operations to where the map says until they are answered. [`ObjectOp`] is one such operation.

#![forbid(unsafe_code)]

mod client;
mod linger;
mod objecter;
mod op;
mod request;
mod session;
mod target;
mod tell;

pub use client::{Client, Setup};
pub use messages::{ClogEntry, ClogLevel, PoolOp};
pub use objecter::{Objecter, OpId};
pub use op::{ObjectOp, OpReply};
pub use request::{CommandReply, Event, Notified, Page, Reply, Request, RequestId, TellTarget};
