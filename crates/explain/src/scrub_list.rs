//! What the last scrub of a PG found, in the shape of `rados list-inconsistent-obj` and `list-inconsistent-snapset`:
//! the op, and its answer as JSON.

use bytes::Bytes;
use serde_json::{Value, json};
use types::osd_op::{OpArgs, OsdOp, op};
use types::scrub_result::{object_error as object, shard_error as shard, snapset_error as snapset};
use types::{InconsistentObject, InconsistentSnapset, SNAP_HEAD, ScrubLsArg, ScrubLsResult, ScrubObjectId};

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

const SNAPSET: &[(u64, &str)] = &[
    (snapset::SNAPSET_MISSING, "snapset_missing"),
    (snapset::SNAPSET_CORRUPTED, "snapset_corrupted"),
    (snapset::INFO_MISSING, "info_missing"),
    (snapset::INFO_CORRUPTED, "info_corrupted"),
    (snapset::SNAP_ERROR, "snapset_error"),
    (snapset::HEADLESS_CLONE, "headless"),
    (snapset::SIZE_MISMATCH, "size_mismatch"),
    (snapset::EXTRA_CLONES, "extra_clones"),
    (snapset::CLONE_MISSING, "clone_missing"),
];

/// The question to a PG, for objects or for snapsets.
pub fn question(snapsets: bool) -> OsdOp {
    let argument = ScrubLsArg { max: OBJECTS_MAX, snapsets, ..ScrubLsArg::default() };
    OsdOp::new(op::SCRUBLS, OpArgs::default(), denc::to_bytes(&argument, 0))
}

/// Its answer.
///
/// # Errors
/// If it is none.
pub fn answer(bytes: Bytes, snapsets: bool) -> Result<Value, String> {
    let found: ScrubLsResult = denc::from_bytes(bytes).map_err(|e| e.to_string())?;
    let read = |raw: Bytes| match snapsets {
        true => denc::from_bytes::<InconsistentSnapset>(raw).map(|s| family(&s)),
        false => denc::from_bytes::<InconsistentObject>(raw).map(|o| one(&o)),
    };
    let all: Result<Vec<Value>, _> = found.vals.into_iter().map(read).collect();
    Ok(json!({"epoch": found.interval, "inconsistents": all.map_err(|e| e.to_string())?}))
}

fn names(table: &[(u64, &'static str)], bits: u64) -> Vec<&'static str> {
    table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

fn id(o: &ScrubObjectId) -> (String, String, Value) {
    let snap = if o.snap == SNAP_HEAD { json!("head") } else { json!(o.snap) };
    (o.name.to_string_lossy().into_owned(), o.nspace.to_string_lossy().into_owned(), snap)
}

fn family(s: &InconsistentSnapset) -> Value {
    let (name, nspace, snap) = id(&s.object);
    let locator = s.object.locator.to_string_lossy();
    json!({
        "name": name, "nspace": nspace, "locator": locator, "snap": snap, "errors": names(SNAPSET, s.errors),
        "missing": s.missing, "extra clones": s.clones,
    })
}

fn one(o: &InconsistentObject) -> Value {
    let (name, nspace, snap) = id(&o.object);
    let shards = o.shards.iter().map(|(at, s)| {
        let mut shard = json!({"osd": at.osd, "primary": s.primary, "errors": names(SHARD, s.errors), "size": s.size});
        for (digest, of) in [("omap_digest", s.omap_digest), ("data_digest", s.data_digest)] {
            if let Some(of) = of {
                shard[digest] = json!(format!("0x{of:08x}"));
            }
        }
        shard
    });
    let locator = o.object.locator.to_string_lossy();
    json!({
        "object": {"name": name, "nspace": nspace, "locator": locator, "snap": snap, "version": o.version},
        "errors": names(OBJECT, o.errors),
        "union_shard_errors": names(SHARD, o.union_errors),
        "shards": shards.collect::<Vec<_>>(),
    })
}
