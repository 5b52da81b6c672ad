//! The manager: PG statistics and the commands that show them.
//!
//! OSDs report what their PGs and stores are like ([`stats`]); sums, rates and health follow from that
//! ([`summary`], [`health`]), and commands show them ([`show`]). It also says how pools grow and shrink ([`adjust`]). [`Mgr`] is the value that a monitor
//! holds; it has an address of its own, since clients look for it there.

#![forbid(unsafe_code)]

pub mod adjust;
pub mod autoscale;
pub mod commands;
pub mod digest;
mod force;
mod health;
mod health_scrub;
mod iostat;
mod loss;
mod mgr;
mod modules;
mod osd_df;
mod osd_status;
mod report;
mod reweight;
mod safety;
mod scrub;
mod show;
mod stats;
pub mod summary;
mod tell;
pub mod text;

pub use commands::commands;
pub use digest::{Digest, HealthCheck, PoolSum, Severity};
pub use health::Thresholds;
pub use health_scrub::ScrubThresholds;
pub use mgr::{Mgr, Reply, ToMonitor};
pub use report::digest_dump;
pub use stats::PgMap;
pub use summary::Summary;
