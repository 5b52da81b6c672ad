//! The map of the monitors: who they are and where.

use std::collections::{BTreeMap, BTreeSet};

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::dump::Dump;
use crate::{EntityAddrVec, Epoch, UTime, Uuid};

/// `mon_feature_t`: what all monitors of a quorum can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MonFeatures(pub u64);

const FEATURE_NAMES: [&str; 8] =
    ["kraken", "luminous", "mimic", "osdmap-prune", "nautilus", "octopus", "pacific", "elector-pinging"];

impl MonFeatures {
    /// All of release 16.
    pub const PACIFIC: Self = Self(0xff);

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.bits().map(|(_, name)| name)
    }

    /// Each feature's bit with its name.
    pub fn bits(self) -> impl Iterator<Item = (u64, &'static str)> {
        let all = FEATURE_NAMES.into_iter().enumerate().map(|(n, name)| (1 << n, name));
        all.filter(move |(bit, _)| self.0 & bit != 0)
    }
}

impl Encode for MonFeatures {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| e.u64(self.0));
    }
}

impl Decode for MonFeatures {
    const MIN_SIZE: usize = 14;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("mon_feature_t", 1, |d, _| Ok(Self(d.u64()?)))
    }
}

/// `mon_info_t`: one monitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonInfo {
    pub name: String,
    pub public_addrs: EntityAddrVec,
    pub priority: u16,
    pub weight: u16,
    pub crush_location: BTreeMap<String, String>,
}

impl Encode for MonInfo {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(5, 1, |e| {
            e.string(&self.name);
            e.put(&self.public_addrs);
            e.u16(self.priority);
            e.u16(self.weight);
            e.put(&self.crush_location);
        });
    }
}

impl Decode for MonInfo {
    const MIN_SIZE: usize = 15;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("mon_info_t", 5, |d, v| {
            let mut info = Self { name: d.get()?, public_addrs: d.get()?, ..Self::default() };
            if v >= 2 {
                info.priority = d.u16()?;
            }
            if v >= 4 {
                info.weight = d.u16()?;
            }
            if v >= 5 {
                info.crush_location = d.get()?;
            }
            Ok(info)
        })
    }
}

/// `MonMap`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonMap {
    pub epoch: Epoch,
    pub fsid: Uuid,
    pub last_changed: UTime,
    pub created: UTime,
    pub persistent_features: MonFeatures,
    pub optional_features: MonFeatures,
    pub mons: BTreeMap<String, MonInfo>,
    /// Names by rank.
    pub ranks: Vec<String>,
    pub min_mon_release: u8,
    pub removed_ranks: BTreeSet<u32>,
    /// 1 is the classic one: the lowest rank leads.
    pub election_strategy: u8,
    pub disallowed_leaders: BTreeSet<String>,
    pub stretch_mode: bool,
    pub tiebreaker_mon: String,
    pub stretch_marked_down_mons: BTreeSet<String>,
}

impl MonMap {
    pub fn rank_of(&self, name: &str) -> Option<usize> {
        self.ranks.iter().position(|n| n == name)
    }

    /// The monitors by rank.
    pub fn by_rank(&self) -> impl Iterator<Item = (usize, &MonInfo)> {
        self.ranks.iter().enumerate().filter_map(|(rank, name)| Some((rank, self.mons.get(name)?)))
    }

    /// As `ceph mon dump -f json` prints it, but for the quorum.
    pub fn dump(&self) -> Dump {
        let names = |f: MonFeatures| Dump::arr("feature", f.names());
        let mons = self.by_rank().map(|(rank, m)| {
            let legacy = m.public_addrs.legacy_or_first().legacy_str();
            Dump::obj()
                .with("rank", rank)
                .with("name", &m.name)
                .with("public_addrs", m.public_addrs.dump())
                .with("addr", legacy.as_str())
                .with("public_addr", legacy.as_str())
                .with("priority", m.priority)
                .with("weight", m.weight)
                .with("crush_location", location(&m.crush_location))
        });
        Dump::obj()
            .with("epoch", self.epoch)
            .with("fsid", self.fsid)
            .with("modified", self.last_changed.zulu())
            .with("created", self.created.zulu())
            .with("min_mon_release", self.min_mon_release)
            .with("min_mon_release_name", release_name(self.min_mon_release))
            .with("election_strategy", self.election_strategy)
            .with("disallowed_leaders: ", join(&self.disallowed_leaders))
            .with("stretch_mode", self.stretch_mode)
            .with("tiebreaker_mon", self.tiebreaker_mon.as_str())
            .with("removed_ranks: ", join(&self.removed_ranks))
            .with(
                "features",
                Dump::obj()
                    .with("persistent", names(self.persistent_features))
                    .with("optional", names(self.optional_features)),
            )
            .with("mons", Dump::arr("mon", mons))
    }

    /// As `ceph mon dump` prints it.
    pub fn text(&self) -> String {
        let mut text = format!(
            "epoch {}\nfsid {}\nlast_changed {}\ncreated {}\nmin_mon_release {} ({})\nelection_strategy: {}\n",
            self.epoch,
            self.fsid,
            self.last_changed,
            self.created,
            self.min_mon_release,
            release_name(self.min_mon_release),
            self.election_strategy
        );
        for (rank, m) in self.by_rank() {
            text += &format!("{rank}: {} mon.{}\n", m.public_addrs, m.name);
        }
        text
    }
}

fn release_name(release: u8) -> &'static str {
    match release {
        14 => "nautilus",
        15 => "octopus",
        16 => "pacific",
        17 => "quincy",
        18 => "reef",
        _ => "unknown",
    }
}

fn location(map: &BTreeMap<String, String>) -> String {
    let parts: Vec<_> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{{{}}}", parts.join(","))
}

fn join<T: std::fmt::Display>(items: &BTreeSet<T>) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

impl Encode for MonMap {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(9, 6, |e| {
            e.put(&self.fsid);
            e.u32(self.epoch);
            e.put(&self.last_changed);
            e.put(&self.created);
            e.put(&self.persistent_features);
            e.put(&self.optional_features);
            e.put(&self.mons);
            e.put(&self.ranks);
            e.u8(self.min_mon_release);
            e.put(&self.removed_ranks);
            e.u8(self.election_strategy);
            e.put(&self.disallowed_leaders);
            e.bool(self.stretch_mode);
            e.string(&self.tiebreaker_mon);
            e.put(&self.stretch_marked_down_mons);
        });
    }
}

impl Decode for MonMap {
    const MIN_SIZE: usize = 60;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("MonMap", 9, |d, v| {
            if v < 6 {
                return Err(DecodeError::TooOld { what: "MonMap", version: v });
            }
            let mut m = Self { fsid: d.get()?, epoch: d.u32()?, last_changed: d.get()?, ..Self::default() };
            m.created = d.get()?;
            m.persistent_features = d.get()?;
            m.optional_features = d.get()?;
            m.mons = d.get()?;
            m.ranks = d.get()?;
            if v >= 7 {
                m.min_mon_release = d.u8()?;
            }
            if v >= 8 {
                m.removed_ranks = d.get()?;
                m.election_strategy = d.u8()?;
                m.disallowed_leaders = d.get()?;
            }
            if v >= 9 {
                m.stretch_mode = d.bool()?;
                m.tiebreaker_mon = d.get()?;
                m.stretch_marked_down_mons = d.get()?;
            }
            Ok(m)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use denc::{from_bytes, to_bytes};

    #[test]
    fn a_recorded_monmap_comes_back_as_the_same_bytes() {
        let bytes = bytes::Bytes::from_static(include_bytes!("../testdata/monmap.bin"));
        let map: MonMap = from_bytes(bytes.clone()).unwrap();
        assert_eq!(map.rank_of("a"), Some(0));
        assert_eq!(to_bytes(&map, crate::features::ALL), bytes);
        let json = include_str!("../testdata/monmap.json").trim();
        assert_eq!(map.dump().to_json(), json.replace(",\"quorum\":[0]", ""));
    }
}
