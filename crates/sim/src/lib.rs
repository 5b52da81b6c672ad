//! The driver of simulated clusters.
//!
//! [`World`] runs any number of nodes on one thread with a virtual clock, a network and disks that fail
//! as a seed says. The same seed gives the same run, event for event ([`Trace::hash`]).

#![forbid(unsafe_code)]

pub mod disk;
pub mod rng;
pub mod trace;
pub mod world;

pub use disk::{ModelDisk, SimStore};
pub use rng::Rng;
pub use trace::Trace;
pub use world::{HostId, Maker, Weather, World};
