//! What the log carries: a proposal is a list of changes, decided by the leader, applied by all.
//!
//! A change says *what becomes of the state*, not what was asked: applying it needs no judgement, so
//! every monitor arrives at the same state.

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{Epoch, UTime};

/// The parts of the state that are plain keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// Single values: see [`crate::state::meta`].
    Meta = 1,
    /// Option settings, by `SECTION/OPTION`.
    Config = 2,
    /// What was changed when, by number.
    ConfigLog = 3,
    ConfigKey = 4,
    /// Entities and their keys.
    Auth = 5,
    /// What daemons say about their hosts.
    OsdMetadata = 6,
    MonMetadata = 7,
    MgrMetadata = 8,
    HealthMute = 9,
    /// PGs that their OSDs have not made yet, with the epoch of their pool's creation.
    Creating = 10,
    /// The cluster log's last lines, by number.
    ClusterLog = 11,
    /// Snapshots that are gone for good: see `osd_service/snaps.rs`.
    OsdSnap = 12,
    /// Answers to commands that were done: see `forward.rs`.
    Done = 13,
}

impl Space {
    pub const ALL: [Self; 13] = [
        Self::Meta,
        Self::Config,
        Self::ConfigLog,
        Self::ConfigKey,
        Self::Auth,
        Self::OsdMetadata,
        Self::MonMetadata,
        Self::MgrMetadata,
        Self::HealthMute,
        Self::Creating,
        Self::ClusterLog,
        Self::OsdSnap,
        Self::Done,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Config => "config",
            Self::ConfigLog => "config_log",
            Self::ConfigKey => "config_key",
            Self::Auth => "auth",
            Self::OsdMetadata => "osd_metadata",
            Self::MonMetadata => "mon_metadata",
            Self::MgrMetadata => "mgr_metadata",
            Self::HealthMute => "health_mute",
            Self::Creating => "creating",
            Self::ClusterLog => "cluster_log",
            Self::OsdSnap => "osd_snap",
            Self::Done => "done",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put {
        space: Space,
        key: String,
        value: Bytes,
    },
    Rm {
        space: Space,
        key: String,
    },
    /// The first OSDMap, whole.
    FirstOsdMap(Bytes),
    /// An encoded `OSDMap::Incremental`, for the epoch after the present one.
    OsdMapInc(Bytes),
    /// OSD maps before this epoch are forgotten.
    TrimMaps(Epoch),
}

impl Encode for Change {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Put { space, key, value } => {
                e.u8(1);
                e.u8(*space as u8);
                e.string(key);
                e.blob(value);
            }
            Self::Rm { space, key } => {
                e.u8(2);
                e.u8(*space as u8);
                e.string(key);
            }
            Self::FirstOsdMap(map) => {
                e.u8(3);
                e.blob(map);
            }
            Self::OsdMapInc(inc) => {
                e.u8(4);
                e.blob(inc);
            }
            Self::TrimMaps(first) => {
                e.u8(5);
                e.u32(*first);
            }
        }
    }
}

impl Decode for Change {
    const MIN_SIZE: usize = 5;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match d.u8()? {
            1 => Self::Put { space: space(d)?, key: d.string()?, value: d.blob()? },
            2 => Self::Rm { space: space(d)?, key: d.string()? },
            3 => Self::FirstOsdMap(d.blob()?),
            4 => Self::OsdMapInc(d.blob()?),
            5 => Self::TrimMaps(d.u32()?),
            value => return Err(DecodeError::Invalid { what: "change", value: value.into() }),
        })
    }
}

fn space(d: &mut Decoder) -> Result<Space, DecodeError> {
    let value = d.u8()?;
    let found = Space::ALL.into_iter().find(|s| *s as u8 == value);
    found.ok_or(DecodeError::Invalid { what: "space", value: value.into() })
}

/// One entry of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// When the leader proposed it; the state's own clock.
    pub stamp: UTime,
    pub changes: Vec<Change>,
}

impl Encode for Proposal {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.put(&self.stamp);
            e.put(&self.changes);
        });
    }
}

impl Decode for Proposal {
    const MIN_SIZE: usize = 18;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("proposal", 1, |d, _| Ok(Self { stamp: d.get()?, changes: d.get()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use denc::{from_bytes, to_bytes};

    #[test]
    fn a_proposal_comes_back_as_it_was() {
        let p = Proposal {
            stamp: UTime { sec: 7, nsec: 8 },
            changes: vec![
                Change::Put { space: Space::Config, key: "k".to_owned(), value: Bytes::from_static(b"v") },
                Change::Rm { space: Space::Creating, key: "1.0".to_owned() },
                Change::FirstOsdMap(Bytes::from_static(b"map")),
                Change::OsdMapInc(Bytes::from_static(b"inc")),
                Change::TrimMaps(7),
            ],
        };
        assert_eq!(from_bytes::<Proposal>(to_bytes(&p, 0)), Ok(p));
    }
}
