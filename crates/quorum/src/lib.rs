//! The monitors' replicated log: bytes go in, come out committed, in one order, exactly once.
//!
//! [`Raft`] is one member as a value without a clock, a disk or a network: Raft with pre-votes, leaders
//! that step down when they hear no majority, leases, learners, members that come and go one at a time,
//! and snapshots of the owner's state.
//! Start at [`Raft`]; [`Message`] is what members say to each other, [`disk`] maps a log to a store.
//!
//! The owner proposes, persists when told, sends what it is given once the write that it names is
//! stable, applies what is committed, and calls [`Raft::tick`] at a steady pace.
//!
//! Invariants:
//! - At most one leader a term. Terms, votes within a term, and commit indexes never go back.
//! - Indexes grow by one; terms never shrink along the log. Two logs that hold an entry of the same term
//!   at an index are the same up to it.
//! - An entry is given out as committed only after a majority holds it and all before it on stable
//!   storage, and an entry of the leader's own term above it (Raft §5.4.2): a leader's first entry is
//!   empty. What was given out by one is given out by all.
//! - Entries at or below the cut are gone: the owner's own state holds their effect.

#![forbid(unsafe_code)]

pub mod disk;
mod entry;
mod message;
mod raft;

pub use entry::{Cut, Entry, HardState, Index, MemberId, Members, Payload, Term};
pub use message::{Body, Message, Round};
pub use raft::{ChangeRefused, Essence, Output, Persist, Raft, Restored, Role, Setup, Snapshot, Timing};
