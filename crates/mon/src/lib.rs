//! The monitor: its services over the replicated log, and its commands.
//!
//! [`Mon`] is the node. Inputs that change state become *changes*; all changes that gather while the
//! last proposal is being written travel in the next one; when it is committed they are applied,
//! answers are sent and subscribers are told. Reads answer from applied state.

#![forbid(unsafe_code)]

use std::time::Duration;

use node::{Input, Listening, Node, Now, Output};
use os::ObjectRead;
use types::Uuid;

/// What a monitor is told when it is made.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// `a`, `b`, …
    pub name: String,
    /// Of the cluster. An empty store is made for it; another cluster's store is refused.
    pub fsid: Uuid,
    pub listening: Listening,
    /// From the configuration file and the command line: (option, value).
    pub options: Vec<(String, String)>,
    /// For keys and ids; random in earnest, chosen in simulations.
    pub seed: u64,
}

/// The monitor, with its manager inside.
#[derive(Debug)]
pub struct Mon {
    setup: Setup,
}

impl Mon {
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }

    pub fn name(&self) -> &str {
        &self.setup.name
    }
}

impl Node for Mon {
    fn handle(&mut self, _now: Now, _store: &dyn ObjectRead, _input: Input, _out: &mut Vec<Output>) {}

    fn next_wakeup(&self) -> Option<Duration> {
        None
    }
}
