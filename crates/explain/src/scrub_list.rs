//! What the last scrub of a PG found, in the shape of `rados list-inconsistent-obj`: the op's argument, and its
//! answer as JSON.

use bytes::Bytes;
use serde_json::{Value, json};
use types::scrub_result::{object_error as object, shard_error as shard};
use types::{InconsistentObject, SNAP_HEAD, ScrubLsArg, ScrubLsResult};

/// So many objects are asked for.
const OBJECTS_MAX: u64 = 100;

const SHARD: &[(u64, &str)] = &[
    (shard::MISSING, "missing"),
    (shard::STAT_ERROR, "stat_error"),
    (shard::READ_ERROR, "read_error"),
    (shard::DATA_DIGEST_MISMATCH_INFO, "data_digest_mismatch_info"),
    (shard::OMAP_DIGEST_MISMATCH_INFO, "omap_digest_mismatch_info"),
    (shard::SIZE_MISMATCH_INFO, "size_mismatch_info"),
    (shard::INFO_MISSING, "info_missing"),
    (shard::INFO_CORRUPTED, "info_corrupted"),
    (shard::SNAPSET_MISSING, "snapset_missing"),
    (shard::SNAPSET_CORRUPTED, "snapset_corrupted"),
    (shard::OBJ_SIZE_INFO_MISMATCH, "obj_size_info_mismatch"),
];

const OBJECT: &[(u64, &str)] = &[
    (object::OBJECT_INFO_INCONSISTENCY, "object_info_inconsistency"),
    (object::DATA_DIGEST_MISMATCH, "data_digest_mismatch"),
    (object::OMAP_DIGEST_MISMATCH, "omap_digest_mismatch"),
    (object::SIZE_MISMATCH, "size_mismatch"),
    (object::ATTR_VALUE_MISMATCH, "attr_value_mismatch"),
    (object::ATTR_NAME_MISMATCH, "attr_name_mismatch"),
    (object::SNAPSET_INCONSISTENCY, "snapset_inconsistency"),
    (object::SIZE_TOO_LARGE, "size_too_large"),
];

/// The argument of the op `SCRUBLS`.
pub fn argument() -> Bytes {
    denc::to_bytes(&ScrubLsArg { max: OBJECTS_MAX, ..ScrubLsArg::default() }, 0)
}

/// Its answer.
///
/// # Errors
/// If it is none.
pub fn answer(bytes: Bytes) -> Result<Value, String> {
    let found: ScrubLsResult = denc::from_bytes(bytes).map_err(|e| e.to_string())?;
    let objects: Result<Vec<InconsistentObject>, _> = found.vals.into_iter().map(denc::from_bytes).collect();
    let objects: Vec<Value> = objects.map_err(|e| e.to_string())?.iter().map(one).collect();
    Ok(json!({"epoch": found.interval, "inconsistents": objects}))
}

fn names(table: &[(u64, &'static str)], bits: u64) -> Vec<&'static str> {
    table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

fn one(o: &InconsistentObject) -> Value {
    let snap = if o.object.snap == SNAP_HEAD { json!("head") } else { json!(o.object.snap) };
    let shards = o
        .shards
        .iter()
        .map(|(at, s)| json!({"osd": at.osd, "primary": s.primary, "errors": names(SHARD, s.errors), "size": s.size}));
    json!({
        "object": {"name": o.object.name.to_string_lossy(), "nspace": o.object.nspace.to_string_lossy(), "snap": snap},
        "errors": names(OBJECT, o.errors),
        "union_shard_errors": names(SHARD, o.union_errors),
        "shards": shards.collect::<Vec<_>>(),
    })
}
