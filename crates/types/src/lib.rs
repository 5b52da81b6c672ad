//! The RADOS vocabulary: what every other crate means by an epoch, an object, a PG, an address.
//!
//! Each type's doc starts with its name in Ceph, so that either name finds it. All of them encode
//! exactly as Ceph 16 (pacific) does and read what releases 14 to 20 write.
//!
//! Start at [`ids`] for the small ones, [`hobject`] for objects, [`addr`] for addresses.

#![forbid(unsafe_code)]

pub mod addr;
pub mod command;
pub mod dump;
pub mod features;
pub mod hobject;
pub mod ids;
pub mod mgr_map;
pub mod mon_map;
pub mod options;
pub mod time;

pub use addr::{AddrType, EntityAddr, EntityAddrVec};
pub use hobject::{GHObject, HObject, NO_GEN, SNAP_DIR, SNAP_HEAD};
pub use ids::{
    ENTITY_TYPE_CLIENT, ENTITY_TYPE_MDS, ENTITY_TYPE_MGR, ENTITY_TYPE_MON, ENTITY_TYPE_OSD, EVersion, EntityInst,
    EntityName, Epoch, NO_SHARD, OsdId, OsdReqId, ParsePgIdError, PgId, PoolId, ShardId, SnapId, SpgId, Uuid, Version,
};
pub use mgr_map::{MgrMap, MgrModule, MgrStandby};
pub use mon_map::{MonFeatures, MonInfo, MonMap};
pub use time::UTime;
