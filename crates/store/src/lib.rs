//! The durable object store: write-ahead log, overlay, allocator, checksums, fsck.
