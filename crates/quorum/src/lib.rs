//! The monitors' replicated log: bytes go in, come out committed, in one order, exactly once.
//!
//! [`Log`] is a value without a clock, a disk or a network. It is Raft's log and hard state (term,
//! vote, index, commit), for now with one member: what is persisted by this member is committed.
//! More members add messages and elections; they change neither the entries, nor what is on disk,
//! nor what the owner does: propose, persist when told, apply what is committed.
//!
//! Start at [`Log`]; [`disk`] maps it to a store.
//!
//! Invariants:
//! - Indexes grow by one; terms never shrink along the log.
//! - An entry is given out as committed only after it and all before it are persisted, and only if an
//!   entry of the current term is persisted above it (Raft §5.4.2): the leader's first entry is empty.
//! - Entries at or below the snapshot index are gone: the owner's own state holds their effect.

#![forbid(unsafe_code)]

pub mod disk;
mod entry;
mod log;

pub use entry::{Entry, HardState, Index, MemberId, Term};
pub use log::{Log, Output, Persist, Restored, Role};
