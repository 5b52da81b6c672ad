//! One placement group: peering, log, operations, replication, recovery.
//!
//! A [`Pg`] is a value that an OSD embeds. Calls go in, [`PgOutput`]s come out; see [`Env`].
//! Start at [`Pg`]; what an op code does is in [`ops`].
//!
//! How the OSD drives it:
//! - It makes a PG with [`Pg::create`] (the monitors or a peer say that it should exist) or
//!   [`Pg::load`] (it exists in the store), standing at some map epoch.
//! - For each later map it calls [`Pg::advance_map`], in order and without a gap, and
//!   [`Pg::activate_map`] after the last one at hand. A map may split a PG ([`Pg::advance_map`] gives its
//!   children) or merge some ([`Pg::leave`], [`Pg::absorb`]).
//! - [`Pg::client_message`] and [`Pg::peer_message`] take messages. A message that names a later epoch
//!   than the PG stands at is kept inside until the PG gets there.
//! - [`Pg::committed`] and [`Pg::read_done`] answer what the PG asked for; [`Pg::step`] goes on with
//!   what needs no answer, and [`Pg::wake`] comes when [`Pg::next_wakeup`] says.

#![forbid(unsafe_code)]

mod active;
mod backfill;
mod backfill_target;
mod backoff;
mod birth;
pub mod carry;
mod choose;
mod client;
mod env;
mod inspect;
mod interval;
mod lease;
mod log;
mod lost;
mod maps;
mod merge;
mod merge_pgs;
mod missing;
pub mod object;
mod op_counts;
pub mod ops;
mod peering;
mod persist;
mod pg;
pub mod planted;
mod push;
mod query;
mod recovery;
mod remove;
mod replica;
mod replicate;
mod resend;
mod reserve;
mod room;
mod route;
pub mod scrub;
mod snap_map;
mod snap_recovery;
mod snap_subsets;
mod snap_trim;
mod split;
mod state_history;
mod stats;
pub mod track;
pub mod watch;

pub use client::waiting_op;
pub use env::{ClockDelta, Env, MergeReady, PgConfig, PgOutput, Tokens};
pub use lost::Lost;
pub use op_counts::{Latency, OpCounts};
pub use pg::{LoadError, Pg};
pub use room::Rooms;
pub use route::{Stray, creation_epoch, route, stray_message};
pub use snap_map::clone_index;
pub use state_history::{StateTimes, add_times, dump_times};
