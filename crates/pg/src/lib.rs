//! One placement group: peering, log, operations, replication, recovery.
