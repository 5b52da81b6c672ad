//! What the monitor needs to know of the PGs, as the manager last summed it up.

use std::collections::BTreeMap;

use types::PoolId;

/// `PGMapDigest`: sums over all PGs and OSDs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Digest {
    /// PGs by state, as in `active+clean`; a PG that nobody reported yet is `unknown`.
    pub pgs_by_state: BTreeMap<String, u64>,
    pub pools: BTreeMap<PoolId, PoolSum>,
    /// Sums over the OSDs, in KiB.
    pub kb: u64,
    pub kb_used: u64,
    pub kb_avail: u64,
    pub objects: u64,
    /// What the manager finds wrong: by code, as in `PG_DEGRADED`.
    pub checks: BTreeMap<String, HealthCheck>,
}

/// One pool's sums.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolSum {
    /// Bytes that clients stored, replicas counted once.
    pub bytes: u64,
    pub objects: u64,
    /// `pool_stat_t` encoded for the wire, for `MGetPoolStatsReply`.
    pub stat: bytes::Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Told, and no reason to worry.
    Ok,
    Warn,
    Err,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "HEALTH_OK",
            Self::Warn => "HEALTH_WARN",
            Self::Err => "HEALTH_ERR",
        }
    }
}

/// `health_check_t`: one thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    pub severity: Severity,
    pub summary: String,
    pub count: u64,
    pub detail: Vec<String>,
}
