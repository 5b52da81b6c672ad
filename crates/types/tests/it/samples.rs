//! The table of our types by Ceph's names.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, from_bytes, to_bytes};
use types::features;
use types::op_reply::{
    CloneInfo, ObjListSnapResponse, ObjListWatchResponse, ObjectCopyCursor, ObjectCopyData, PgLsResponse,
    PgNlsResponse, WatchItem,
};
use types::osd_stat::{ObjectStorePerfStat, OsdStat, Pow2Hist, StoreStatfs};
use types::pg_info::{PgFastInfo, PgHitSetHistory, PgHitSetInfo};
use types::pool::{PgMergeMeta, PgPool, PoolSnapInfo};

type Rewrite = fn(Bytes) -> Result<Bytes, DecodeError>;
type Prefix = fn(Bytes) -> Result<usize, DecodeError>;

/// One of our types: how to read and write it again, and how to read it and tell what is left.
pub struct Sample {
    pub name: &'static str,
    pub rewrite: Rewrite,
    pub read: Prefix,
}

fn rewrite<T: Encode + Decode>(bytes: Bytes) -> Result<Bytes, DecodeError> {
    from_bytes::<T>(bytes).map(|v| to_bytes(&v, features::ALL))
}

fn read<T: Decode>(bytes: Bytes) -> Result<usize, DecodeError> {
    let mut d = Decoder::new(bytes);
    T::decode(&mut d)?;
    Ok(d.remaining())
}

macro_rules! samples {
    ($($name:literal => $ty:ty,)*) => {
        pub const SAMPLES: &[Sample] = &[$(Sample { name: $name, rewrite: rewrite::<$ty>, read: read::<$ty> },)*];
    };
}

samples! {
    "CompatSet" => types::CompatSet,
    "HitSet::Params" => types::pool_opts::HitSetParams,
    "MgrMap" => types::MgrMap,
    "MgrMap::ModuleInfo" => types::MgrModule,
    "MgrMap::StandbyInfo" => types::MgrStandby,
    "MonMap" => types::MonMap,
    "OSDSuperblock" => types::OsdSuperblock,
    "ObjectCleanRegions" => types::ObjectCleanRegions,
    "ObjectModDesc" => types::ObjectModDesc,
    "ObjectRecoveryInfo" => types::ObjectRecoveryInfo,
    "ObjectRecoveryProgress" => types::ObjectRecoveryProgress,
    "PastIntervals" => types::PastIntervals,
    "PastIntervals::pg_interval_t" => types::PgInterval,
    "PullOp" => types::PullOp,
    "PushOp" => types::PushOp,
    "PushReplyOp" => types::PushReplyOp,
    "ScrubMap" => types::ScrubMap,
    "ScrubMap::object" => types::ScrubObject,
    "ServiceMap" => types::ServiceMap,
    "ServiceMap::Daemon" => types::ServiceDaemon,
    "ServiceMap::Service" => types::Service,
    "SnapContext" => types::SnapContext,
    "SnapSet" => types::SnapSet,
    "chunk_info_t" => types::object::ChunkInfo,
    "clone_info" => CloneInfo,
    "compact_interval_t" => types::CompactInterval,
    "entity_addr_t" => types::EntityAddr,
    "entity_addrvec_t" => types::EntityAddrVec,
    "entity_name_t" => types::EntityName,
    "eversion_t" => types::EVersion,
    "ghobject_t" => types::GHObject,
    "hobject_t" => types::HObject,
    "mon_feature_t" => types::MonFeatures,
    "mon_info_t" => types::MonInfo,
    "obj_list_snap_response_t" => ObjListSnapResponse,
    "obj_list_watch_response_t" => ObjListWatchResponse,
    "object_copy_cursor_t" => ObjectCopyCursor,
    "object_copy_data_t" => ObjectCopyData,
    "object_info_t" => types::ObjectInfo,
    "object_locator_t" => types::ObjectLocator,
    "object_manifest_t" => types::ObjectManifest,
    "object_stat_collection_t" => types::ObjectStatCollection,
    "object_stat_sum_t" => types::ObjectStatSum,
    "objectstore_perf_stat_t" => ObjectStorePerfStat,
    "osd_reqid_t" => types::OsdReqId,
    "osd_stat_t" => OsdStat,
    "pg_create_t" => types::pg_log::PgCreate,
    "pg_fast_info_t" => PgFastInfo,
    "pg_history_t" => types::PgHistory,
    "pg_hit_set_history_t" => PgHitSetHistory,
    "pg_hit_set_info_t" => PgHitSetInfo,
    "pg_info_t" => types::PgInfo,
    "pg_lease_ack_t" => types::PgLeaseAck,
    "pg_lease_t" => types::PgLease,
    "pg_log_dup_t" => types::LogDup,
    "pg_log_entry_t" => types::LogEntry,
    "pg_log_op_return_item_t" => types::OpReturn,
    "pg_log_t" => types::PgLogData,
    "pg_ls_response_t" => PgLsResponse,
    "pg_merge_meta_t" => PgMergeMeta,
    "pg_missing_item" => types::MissingItem,
    "pg_missing_t" => types::PgMissing,
    "pg_nls_response_t" => PgNlsResponse,
    "pg_notify_t" => types::PgNotify,
    "pg_pool_t" => PgPool,
    "pg_query_t" => types::PgQuery,
    "pg_shard_t" => types::PgShard,
    "pg_stat_t" => types::PgStat,
    "pg_t" => types::PgId,
    "pool_opts_t" => types::PoolOpts,
    "pool_snap_info_t" => PoolSnapInfo,
    "pool_stat_t" => types::PoolStat,
    "pow2_hist_t" => Pow2Hist,
    "request_redirect_t" => types::RequestRedirect,
    "spg_t" => types::SpgId,
    "store_statfs_t" => StoreStatfs,
    "timespan_wrapper" => types::Timespan,
    "utime_t" => types::UTime,
    "uuid_d" => types::Uuid,
    "watch_info_t" => types::WatchInfo,
    "watch_item_t" => WatchItem,
}

pub fn sample(name: &str) -> Option<&'static Sample> {
    SAMPLES.iter().find(|s| s.name == name)
}
