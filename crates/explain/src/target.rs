//! What a person asked about.

use std::fmt;

use types::{OsdId, PgId, PoolId};

use crate::facts::Facts;
use crate::finding::Finding;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Cluster,
    Pg(PgId),
    Osd(OsdId),
    Pool(PoolId),
    /// A health check, whether it is raised or not.
    Code(String),
}

/// There is no such thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTarget(pub String);

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnknownTarget {}

/// Codes that have an explanation of their own; one that is not raised is told to be well.
pub(crate) const CODES: &[&str] = &[
    "MON_DOWN",
    "OBJECT_MISPLACED",
    "OBJECT_UNFOUND",
    "OSDMAP_FLAGS",
    "OSD_BACKFILLFULL",
    "OSD_DOWN",
    "OSD_FULL",
    "OSD_HOST_DOWN",
    "OSD_NEARFULL",
    "OSD_ROOT_DOWN",
    "OSD_SCRUB_ERRORS",
    "OSD_TOO_MANY_REPAIRS",
    "PG_AVAILABILITY",
    "PG_BACKFILL_FULL",
    "PG_DAMAGED",
    "PG_DEGRADED",
    "PG_RECOVERY_FULL",
    "POOL_BACKFILLFULL",
    "POOL_FULL",
    "POOL_NEARFULL",
    "POOL_NO_REDUNDANCY",
    "SLOW_OPS",
    "TOO_FEW_OSDS",
];

impl Target {
    /// Finds what a word means: nothing, a PG, an OSD with or without `osd.`, a health code, a pool's name.
    ///
    /// # Errors
    /// If the cluster has no such thing.
    pub fn find(f: &Facts, word: Option<&str>) -> Result<Self, UnknownTarget> {
        let Some(word) = word else { return Ok(Self::Cluster) };
        if let Some((id, _)) = f.pools.iter().find(|(_, p)| p.name == word) {
            return Ok(Self::Pool(*id));
        }
        if let Ok(id) = word.parse::<PgId>() {
            let Some(pool) = f.pools.get(&id.pool) else {
                return Err(UnknownTarget(format!("there is no PG {word}: no pool has the number {}", id.pool)));
            };
            if id.seed >= pool.pg_num && !f.pgs.contains_key(&id) {
                let (name, last) = (&pool.name, PgId::new(id.pool, pool.pg_num.saturating_sub(1)));
                return Err(UnknownTarget(format!("there is no PG {word}: the last of pool {name} is {last}")));
            }
            return Ok(Self::Pg(id));
        }
        if let Ok(id) = word.strip_prefix("osd.").unwrap_or(word).parse::<OsdId>() {
            return match f.osds.contains_key(&id) {
                true => Ok(Self::Osd(id)),
                false => Err(UnknownTarget(format!("there is no osd.{id}; `ceph osd ls` lists them"))),
            };
        }
        if f.checks.contains_key(word) || CODES.contains(&word) {
            return Ok(Self::Code(word.to_owned()));
        }
        Err(UnknownTarget(format!(
            "'{word}' is no PG (1.7f), OSD (osd.3), pool or health code (PG_DEGRADED) of this cluster"
        )))
    }

    /// Whether a finding is about it.
    pub fn concerns(&self, finding: &Finding) -> bool {
        match self {
            Self::Cluster => true,
            Self::Pg(id) => finding.pgs.contains(id),
            Self::Osd(id) => finding.osds.contains(id),
            Self::Pool(id) => finding.pools.contains(id) || finding.pgs.iter().any(|pg| pg.pool == *id),
            Self::Code(code) => finding.health.iter().any(|c| c == code),
        }
    }
}
