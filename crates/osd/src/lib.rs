//! The OSD.
pub mod heartbeat;
pub mod reserver;
