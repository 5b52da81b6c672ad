//! What the map knows about one OSD.

use std::fmt;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddrVec, Epoch, UTime, Uuid, features};

/// `osd_info_t`: the epochs that peering reasons with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OsdInfo {
    /// The last time that the OSD was up and went down on purpose: it had told all up to `last_clean_end`.
    pub last_clean_begin: Epoch,
    pub last_clean_end: Epoch,
    pub up_from: Epoch,
    /// Through this epoch the OSD is known to have been up, and may have accepted writes.
    pub up_thru: Epoch,
    pub down_at: Epoch,
    pub lost_at: Epoch,
}

impl Encode for OsdInfo {
    fn encode(&self, e: &mut Encoder) {
        e.u8(1);
        for epoch in
            [self.last_clean_begin, self.last_clean_end, self.up_from, self.up_thru, self.down_at, self.lost_at]
        {
            e.u32(epoch);
        }
    }
}

impl Decode for OsdInfo {
    const MIN_SIZE: usize = 25;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let _version = d.u8()?;
        Ok(Self {
            last_clean_begin: d.u32()?,
            last_clean_end: d.u32()?,
            up_from: d.u32()?,
            up_thru: d.u32()?,
            down_at: d.u32()?,
            lost_at: d.u32()?,
        })
    }
}

impl fmt::Display for OsdInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "up_from {} up_thru {} down_at {} last_clean_interval [{},{})",
            self.up_from, self.up_thru, self.down_at, self.last_clean_begin, self.last_clean_end
        )?;
        if self.lost_at != 0 {
            write!(f, " lost_at {}", self.lost_at)?;
        }
        Ok(())
    }
}

/// `osd_xinfo_t`: what only the monitors and OSDs want to know.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OsdXInfo {
    pub down_stamp: UTime,
    /// How likely a report of its failure was wrong in the past; 0 to 1.
    pub laggy_probability: f32,
    pub laggy_interval: u32,
    pub features: u64,
    /// The weight before it was marked out.
    pub old_weight: u32,
    pub last_purged_snaps_scrub: UTime,
    /// No up_thru beyond this epoch was given to the instance that is down now.
    pub dead_epoch: Epoch,
}

/// 2^32 rather than 2^32-1: Ceph computes with 32-bit floats.
const PROBABILITY_UNIT: f32 = 4_294_967_296.0;

impl Encode for OsdXInfo {
    fn encode(&self, e: &mut Encoder) {
        let v = if e.has_feature(features::SERVER_OCTOPUS) { 4 } else { 3 };
        e.versioned(v, 1, |e| {
            e.put(&self.down_stamp);
            // By way of 64 bits, since a probability of 1 becomes 0 in Ceph, and checksums must agree.
            e.u32((self.laggy_probability * PROBABILITY_UNIT) as u64 as u32);
            e.u32(self.laggy_interval);
            e.u64(self.features);
            e.u32(self.old_weight);
            if v >= 4 {
                e.put(&self.last_purged_snaps_scrub);
                e.u32(self.dead_epoch);
            }
        });
    }
}

impl Decode for OsdXInfo {
    const MIN_SIZE: usize = 22;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("osd_xinfo_t", 4, |d, v| {
            let mut x = Self {
                down_stamp: d.get()?,
                laggy_probability: d.u32()? as f32 / PROBABILITY_UNIT,
                laggy_interval: d.u32()?,
                ..Self::default()
            };
            if v >= 2 {
                x.features = d.u64()?;
            }
            if v >= 3 {
                x.old_weight = d.u32()?;
            }
            if v >= 4 {
                x.last_purged_snaps_scrub = d.get()?;
                x.dead_epoch = d.u32()?;
            }
            Ok(x)
        })
    }
}

/// Where an OSD can be reached, for each kind of traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsdAddrs {
    /// Clients and monitors.
    pub client: EntityAddrVec,
    /// Other OSDs.
    pub cluster: EntityAddrVec,
    /// Heartbeats over the cluster network.
    pub hb_back: EntityAddrVec,
    /// Heartbeats over the clients' network.
    pub hb_front: EntityAddrVec,
}

/// One OSD of the map. Its weight and affinity are kept apart, in arrays that mapping reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Osd {
    /// Bits of [`crate::state`].
    pub state: u32,
    pub info: OsdInfo,
    pub xinfo: OsdXInfo,
    pub uuid: Uuid,
    pub addrs: OsdAddrs,
}
