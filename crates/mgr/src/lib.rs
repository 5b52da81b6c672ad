//! The manager: PG statistics and the commands that show them.

#![forbid(unsafe_code)]

pub mod digest;

pub use digest::{Digest, HealthCheck, PoolSum, Severity};
