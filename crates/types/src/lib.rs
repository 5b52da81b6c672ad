//! The RADOS vocabulary: what every other crate means by an epoch, an object, a PG, an address.
//!
//! Each type's doc starts with its name in Ceph, so that either name finds it. All of them encode
//! exactly as Ceph 16 (pacific) does and read what releases 14 to 20 write.
//!
//! Start at [`ids`] for the small ones, [`hobject`] for objects, [`addr`] for addresses.

#![forbid(unsafe_code)]

pub mod addr;
pub mod command;
mod crc;
pub mod dump;
mod dumps;
pub mod errno;
pub mod features;
pub mod flags;
mod framed;
pub mod hash;
pub mod hobject;
pub mod ids;
pub mod interval_set;
pub mod mgr_map;
pub mod missing;
pub mod mon_map;
pub mod network;
pub mod object;
pub mod op_reply;
pub mod options;
pub mod osd_op;
pub mod osd_stat;
pub mod past_intervals;
pub mod pg_info;
pub mod pg_log;
pub mod pool;
pub mod pool_opts;
pub mod recovery;
pub mod scrub_map;
pub mod scrub_result;
pub mod service_map;
pub mod split;
pub mod stats;
pub mod superblock;
pub mod table;
pub mod time;
pub mod version;

pub use addr::{AddrType, EntityAddr, EntityAddrVec};
pub use crc::crc32c;
pub use dumps::pg_autoscale_mode_name;
pub use flags::{osd_state, osdmap_flag, pg_state};
pub use hobject::{GHObject, HObject, NO_GEN, SNAP_DIR, SNAP_HEAD};
pub use ids::{
    ENTITY_TYPE_CLIENT, ENTITY_TYPE_MDS, ENTITY_TYPE_MGR, ENTITY_TYPE_MON, ENTITY_TYPE_OSD, EVersion, EntityInst,
    EntityName, Epoch, NO_SHARD, OsdId, OsdReqId, ParsePgIdError, PgId, PgShard, PoolId, ShardId, SnapId, SpgId, Uuid,
    Version,
};
pub use interval_set::IntervalSet;
pub use mgr_map::{MgrMap, MgrModule, MgrStandby};
pub use missing::{MissingItem, PgMissing};
pub use mon_map::{MonFeatures, MonInfo, MonMap};
pub use object::{
    ObjectInfo, ObjectLocator, ObjectManifest, RequestRedirect, SnapContext, SnapSet, WatchInfo, object_flag,
};
pub use op_reply::{
    CloneInfo, ListObject, NotifyReplies, ObjListSnapResponse, ObjListWatchResponse, ObjectCopyCursor, ObjectCopyData,
    PgLsResponse, PgNlsResponse, WatchItem,
};
pub use osd_op::{OpArgs, OsdOp, op, op_flag, osd_flag};
pub use osd_stat::{HbPing, ObjectStorePerfStat, OsdStat, PingTimes, Pow2Hist, StoreStatfs};
pub use past_intervals::{CompactInterval, PastIntervals, PgInterval};
pub use pg_info::{PgFastInfo, PgHistory, PgInfo, PgLease, PgLeaseAck, PgNotify, PgQuery, PgQueryKind};
pub use pg_log::{LogDup, LogEntry, LogOp, ObjectCleanRegions, ObjectModDesc, OpReturn, PgLogData, RareOfEntry};
pub use pool::{CRUSH_ITEM_NONE, PgPool, PoolSnapInfo};
pub use pool_opts::{PoolOptValue, PoolOpts};
pub use recovery::{ObjectRecoveryInfo, ObjectRecoveryProgress, PullOp, PushOp, PushReplyOp};
pub use scrub_map::{ScrubMap, ScrubObject};
pub use scrub_result::{
    InconsistentObject, InconsistentSnapset, ScrubLsArg, ScrubLsResult, ScrubObjectId, ScrubShard, object_error,
    shard_error, snapset_error,
};
pub use service_map::{Service, ServiceDaemon, ServiceMap};
pub use stats::{ObjectStatCollection, ObjectStatSum, PgStat, PoolStat};
pub use superblock::{CompatSet, OsdSuperblock};
pub use time::{Timespan, UTime};
