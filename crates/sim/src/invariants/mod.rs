//! What must hold whatever happens: one file an invariant. The world shows each of them every message that
//! is sent, and, twice a second, everything. One that is broken panics and says what it saw.
//!
//! What clients see is judged by [`crate::history`] when the run has ended.

use messages::{Message, Wire};
use node::Endpoint;

use crate::world::{HostId, World};

pub mod clones;
mod durable_acks;
mod epochs;
mod logs;
mod monitors;
mod one_primary;
pub mod replicas;
mod up_thru;
mod wire;

/// A message that leaves a host.
pub struct Sent<'a> {
    pub host: HostId,
    pub via: Endpoint,
    pub msg: &'a Message,
    pub wire: &'a Wire,
}

/// See the module.
pub trait Invariant {
    fn sent(&mut self, _world: &World, _sent: &Sent) {}

    fn look(&mut self, _world: &World) {}

    /// What a host knew is gone with its disk.
    fn wiped(&mut self, _host: HostId) {}
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<wire::Wire>::default(),
        Box::new(durable_acks::DurableAcks),
        Box::<epochs::Epochs>::default(),
        Box::<monitors::Monitors>::default(),
        Box::new(logs::Logs),
        Box::new(one_primary::OnePrimary),
        Box::new(up_thru::UpThru),
        Box::<replicas::Replicas>::default(),
        Box::<clones::Clones>::default(),
    ]
}
