//! The OSD map: the cluster's state that everybody must agree upon, epoch by epoch.
//!
//! Start at [`OsdMap`]. [`OsdMap::pg_to_up_acting`] says where a PG lives; [`Incremental`] is one epoch's
//! change, [`OsdMap::apply`] makes the next map of it, byte for byte the one that Ceph would make.
//!
//! Invariants:
//! - All per-OSD tables are as long as `max_osd`.
//! - The canonical encoding of a map depends on nothing but its content; its checksum tells daemons that
//!   they agree.
//! - Maps and incrementals from outside never make a decode, an apply or a mapping panic.

#![forbid(unsafe_code)]

mod apply;
mod blocklist;
mod build;
mod cluster;
mod codec;
mod crc;
mod crush_dump;
mod dump;
mod features;
mod flags;
mod incremental;
mod map;
mod mapping;
mod osd;
mod print;
mod release;
mod tree;
mod upmap;
mod whole;

pub use apply::ApplyError;
pub use blocklist::Blocklist;
pub use build::NewCluster;
pub use cluster::{FullOsds, PoolRuleError};
pub use crush_dump::{dump_crush, dump_rule, dump_rules, dump_tunables};
pub use dump::{dump_pg_pool, dump_pool_opts};
pub use flags::{DEFAULT_PRIMARY_AFFINITY, WEIGHT_IN, flag, state};
pub use incremental::Incremental;
pub use map::{ErasureCodeProfiles, OsdMap, StretchMode};
pub use mapping::PgMapping;
pub use osd::{Osd, OsdAddrs, OsdInfo, OsdXInfo};
pub use print::print_pg_pool;
pub use release::Release;
pub use tree::{TreeFilter, tree_cells, tree_name, weight_cell};
pub use whole::OsdMapMapping;
