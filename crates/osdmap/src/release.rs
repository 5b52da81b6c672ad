//! Ceph's releases, which order what a cluster may demand of its daemons and clients.

use std::fmt;

/// `ceph_release_t`: a number that grows by one a release; 0 is "unknown".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(pub u8);

const NAMES: [&str; 21] = [
    "unknown",
    "argonaut",
    "bobtail",
    "cuttlefish",
    "dumpling",
    "emperor",
    "firefly",
    "giant",
    "hammer",
    "infernalis",
    "jewel",
    "kraken",
    "luminous",
    "mimic",
    "nautilus",
    "octopus",
    "pacific",
    "quincy",
    "reef",
    "squid",
    "tentacle",
];

impl Release {
    pub const UNKNOWN: Self = Self(0);
    pub const ARGONAUT: Self = Self(1);
    pub const DUMPLING: Self = Self(4);
    pub const FIREFLY: Self = Self(6);
    pub const HAMMER: Self = Self(8);
    pub const JEWEL: Self = Self(10);
    pub const KRAKEN: Self = Self(11);
    pub const LUMINOUS: Self = Self(12);
    pub const MIMIC: Self = Self(13);
    pub const NAUTILUS: Self = Self(14);
    pub const OCTOPUS: Self = Self(15);
    pub const PACIFIC: Self = Self(16);

    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("unknown")
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let at = NAMES.iter().skip(1).position(|n| *n == name)?;
        Some(Self(u8::try_from(at + 1).expect("there are 20 releases")))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
