//! A client's session with one OSD: the connection, and what the OSD asked to hold back.

use std::collections::BTreeMap;

use node::ConnId;
use types::{EntityAddrVec, HObject, SpgId};

/// A range of a PG's objects that the OSD does not want to hear of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub pgid: SpgId,
    pub begin: HObject,
    pub end: HObject,
}

impl Backoff {
    /// A range that begins where it ends is that one object.
    pub fn covers(&self, pgid: SpgId, oid: &HObject) -> bool {
        self.pgid == pgid && *oid >= self.begin && (*oid < self.end || *oid == self.begin)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// Which instance of the OSD this is with.
    pub addrs: EntityAddrVec,
    /// Once it is open.
    pub conn: Option<ConnId>,
    pub backoffs: BTreeMap<u64, Backoff>,
}

impl Session {
    pub fn holds_back(&self, pgid: SpgId, oid: &HObject) -> bool {
        self.backoffs.values().any(|b| b.covers(pgid, oid))
    }
}
