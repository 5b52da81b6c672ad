//! The monitor: its services over the replicated log, and its commands.
//!
//! [`Mon`] is the node. Inputs that change state become *changes*; all changes that gather while the
//! last proposal is being written travel in the next one; when it is committed they are applied,
//! subscribers are told and answers are sent. Reads answer from applied state.
//!
//! ```text
//! input ─► handler ─► Pending ─propose─► quorum::Raft─committed─► State::apply ─► subscribers, answers
//! ```
//!
//! Where to look: `commands/` for what a command does, `osd_service/` for who marks an OSD up or down,
//! `health/` for a warning, `subs.rs` for what clients are sent, `state.rs` for what is kept.
//!
//! Invariants:
//! - At most one proposal is under way. What would change state meanwhile is held, in order.
//! - Nothing is answered before what it depends on is committed.

#![forbid(unsafe_code)]

mod auth;
mod change;
mod clocks;
mod commands;
mod config_db;
mod connected;
mod core;
mod forward;
mod fsmap;
mod handlers;
mod health;
mod members;
mod mkfs;
mod osd_service;
mod peers;
mod pending;
mod pgmap;
pub mod planted;
mod quorum_record;
pub mod rebuild;
mod replication;
mod secrets;
mod session;
mod state;
mod subs;

use types::Uuid;

pub use crate::core::Mon;

/// What a monitor is told when it is made.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// `a`, `b`, …
    pub name: String,
    /// Of the cluster. An empty store is made for it; another cluster's store is refused.
    pub fsid: Uuid,
    pub listening: node::Listening,
    /// The monitors by rank, with their addresses: of a new cluster those that found it. Where a name is
    /// not known it is empty. Nothing here counts once the replicated state says more.
    pub mons: Vec<(String, types::EntityAddr)>,
    /// Whether an empty store may begin as one of `mons`, by its place among them. Only the first time: a
    /// store that was lost has forgotten what it promised, so it has to be taken in by the others.
    pub founds: bool,
    /// From the configuration file and the command line: (option, value).
    pub options: Vec<(String, String)>,
    pub hostname: String,
    /// What the monitor tells of its host (kernel, distribution, CPU).
    pub metadata: std::collections::BTreeMap<String, String>,
    /// What keys are made from; from the system's random numbers in earnest, chosen in simulations.
    pub entropy: [u8; 32],
}
