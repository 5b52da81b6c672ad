//! OSDMap and Incremental; object to PG to OSDs.

/// `OSDMap`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OsdMap {
    pub epoch: types::Epoch,
}
