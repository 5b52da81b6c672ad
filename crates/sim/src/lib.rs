//! The driver of simulated clusters.
//!
//! [`World`] runs any number of nodes on one thread with a virtual clock, a network and disks that fail
//! as a seed says. The same seed gives the same run, event for event ([`Trace::hash`]).
//!
//! [`Cluster`] is a cluster of the real monitor, OSDs and stores with clients under load, whose every
//! reply the [`History`] keeps and judges; [`scenario::run`] plays a random one, [`mon_scenario`] one about monitors. Scenarios are in `tests/it`.

#![forbid(unsafe_code)]

pub mod client;
pub mod cluster;
pub mod disk;
pub mod explain;
pub mod faults;
mod held;
pub mod history;
pub mod host;
pub mod invariants;
pub mod model;
pub mod mon_scenario;
mod net;
pub mod provoke;
pub mod rng;
pub mod rot;
pub mod scenario;
pub mod snap_client;
pub mod trace;
pub mod world;

pub use cluster::{Cluster, Plan, PoolPlan};
pub use disk::{ModelDisk, SimStore, StoreDisk};
pub use history::History;
pub use host::{Maker, Simulated};
pub use rng::Rng;
pub use trace::Trace;
pub use world::{HostId, Weather, World};
