//! The driver of simulated clusters.
//!
//! [`World`] runs any number of nodes on one thread with a virtual clock, a network and disks that fail
//! as a seed says. The same seed gives the same run, event for event ([`Trace::hash`]).
//!
//! [`Cluster`] is a cluster of the real monitor, OSDs and stores with clients under load, whose every
//! reply the [`Oracle`] judges; [`scenario::run`] plays a random one. Scenarios are in `tests/it`.

#![forbid(unsafe_code)]

pub mod client;
pub mod cluster;
pub mod disk;
mod held;
pub mod host;
pub mod invariants;
mod net;
pub mod oracle;
pub mod rng;
pub mod scenario;
pub mod trace;
pub mod world;

pub use cluster::{Cluster, Plan};
pub use disk::{ModelDisk, SimStore, StoreDisk};
pub use host::{Maker, Simulated};
pub use oracle::Oracle;
pub use rng::Rng;
pub use trace::Trace;
pub use world::{HostId, Weather, World};
