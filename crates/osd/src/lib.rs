//! The OSD: boot, maps, placement groups, heartbeats, scheduling.
