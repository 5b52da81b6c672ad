//! The driver of real clusters: tokio, TCP, disks.
