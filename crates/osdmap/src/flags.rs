//! What concerns the map's flags and the OSDs' states beyond their bits, which `types` has.

/// `CEPH_OSDMAP_*`: flags of the whole map.
pub mod flag {
    pub use types::flags::osdmap_flag::*;

    /// What `require_osd_release` replaced (Ceph: `CEPH_OSDMAP_LEGACY_REQUIRE_FLAGS`).
    pub const LEGACY_REQUIRE: u32 = REQUIRE_JEWEL | REQUIRE_KRAKEN | REQUIRE_LUMINOUS;

    /// Those that deserve a health warning while they are set.
    pub const WARN: u32 = PAUSERD
        | PAUSEWR
        | PAUSEREC
        | NOUP
        | NODOWN
        | NOIN
        | NOOUT
        | NOBACKFILL
        | NORECOVER
        | NOSCRUB
        | NODEEP_SCRUB
        | NOTIERAGENT
        | NOSNAPTRIM
        | NOREBALANCE;

    /// `noup,sortbitwise`.
    pub fn string(flags: u32) -> String {
        names(flags).collect::<Vec<_>>().join(",")
    }

    pub fn from_name(name: &str) -> Option<u32> {
        NAMES.into_iter().find(|(_, n)| *n == name).map(|(bit, _)| bit)
    }
}

/// `CEPH_OSD_*`: states of one OSD.
pub mod state {
    pub use types::flags::osd_state::*;

    /// The names of the set states in alphabetical order, as Ceph lists them.
    pub fn sorted_names(states: u32) -> Vec<&'static str> {
        let mut names: Vec<_> = names(states).collect();
        names.sort_unstable();
        names
    }

    pub fn from_name(name: &str) -> Option<u32> {
        NAMES.into_iter().position(|n| n == name).map(|bit| 1 << bit)
    }
}

/// One, as a 16.16 fixed-point weight: fully in (Ceph: `CEPH_OSD_IN`).
pub const WEIGHT_IN: u32 = types::flags::OSD_IN;
/// Ceph: `CEPH_OSD_DEFAULT_PRIMARY_AFFINITY`.
pub const DEFAULT_PRIMARY_AFFINITY: u32 = types::flags::OSD_DEFAULT_PRIMARY_AFFINITY;
