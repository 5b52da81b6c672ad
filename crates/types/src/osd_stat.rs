//! What an OSD tells of itself: space, heartbeat peers, latencies.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::features;
use crate::framed::{framed, unframed};
use crate::ids::{Epoch, OsdId};

/// `store_statfs_t`: space of one store, or of one pool in it. All in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatfs {
    pub total: u64,
    pub available: u64,
    pub internally_reserved: u64,
    pub allocated: i64,
    pub data_stored: i64,
    pub data_compressed: i64,
    pub data_compressed_allocated: i64,
    pub data_compressed_original: i64,
    pub omap_allocated: i64,
    pub internal_metadata: i64,
}

framed! { StoreStatfs, "store_statfs_t", 1, compat 1, min 1;
    total, available, internally_reserved, allocated, data_stored, data_compressed, data_compressed_allocated,
    data_compressed_original, omap_allocated, internal_metadata;
}

impl StoreStatfs {
    /// Used bytes, with what the store keeps for itself.
    pub fn used_raw(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }

    /// Used bytes, without it.
    pub fn used(&self) -> u64 {
        self.used_raw().saturating_sub(self.internally_reserved)
    }

    /// From 0 to 1.
    pub fn used_raw_ratio(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.used_raw() as f64 / self.total as f64 }
    }
}

impl AddAssign<&Self> for StoreStatfs {
    fn add_assign(&mut self, o: &Self) {
        self.total = self.total.wrapping_add(o.total);
        self.available = self.available.wrapping_add(o.available);
        self.internally_reserved = self.internally_reserved.wrapping_add(o.internally_reserved);
        let sums = [
            (&mut self.allocated, o.allocated),
            (&mut self.data_stored, o.data_stored),
            (&mut self.data_compressed, o.data_compressed),
            (&mut self.data_compressed_allocated, o.data_compressed_allocated),
            (&mut self.data_compressed_original, o.data_compressed_original),
            (&mut self.omap_allocated, o.omap_allocated),
            (&mut self.internal_metadata, o.internal_metadata),
        ];
        for (sum, more) in sums {
            *sum = sum.wrapping_add(more);
        }
    }
}

/// `pow2_hist_t`: counts by the number of bits of the value; no zeros at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pow2Hist {
    pub h: Vec<i32>,
}

framed! { Pow2Hist, "pow2_hist_t", 1, compat 1, min 1; h; }

impl Pow2Hist {
    pub fn add(&mut self, value: u32) {
        let bin = (u32::BITS - value.leading_zeros()) as usize;
        if self.h.len() <= bin {
            self.h.resize(bin + 1, 0);
        }
        self.h[bin] += 1;
    }
}

impl AddAssign<&Self> for Pow2Hist {
    fn add_assign(&mut self, o: &Self) {
        if self.h.len() < o.h.len() {
            self.h.resize(o.h.len(), 0);
        }
        for (sum, more) in self.h.iter_mut().zip(&o.h) {
            *sum = sum.wrapping_add(*more);
        }
    }
}

/// `objectstore_perf_stat_t`: latencies of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectStorePerfStat {
    pub os_commit_latency_ns: u64,
    pub os_apply_latency_ns: u64,
}

const NS_PER_MS: u64 = 1_000_000;

impl Encode for ObjectStorePerfStat {
    fn encode(&self, e: &mut Encoder) {
        if e.has_feature(features::OS_PERF_STAT_NS) {
            e.versioned(2, 2, |e| {
                e.u64(self.os_commit_latency_ns);
                e.u64(self.os_apply_latency_ns);
            });
        } else {
            e.versioned(1, 1, |e| {
                e.u32((self.os_commit_latency_ns / NS_PER_MS) as u32);
                e.u32((self.os_apply_latency_ns / NS_PER_MS) as u32);
            });
        }
    }
}

impl Decode for ObjectStorePerfStat {
    const MIN_SIZE: usize = 14;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("objectstore_perf_stat_t", 2, |d, v| {
            let mut latency = || if v >= 2 { d.u64() } else { Ok(u64::from(d.u32()?) * NS_PER_MS) };
            Ok(Self { os_commit_latency_ns: latency()?, os_apply_latency_ns: latency()? })
        })
    }
}

/// Ping times to one peer over one network, in microseconds; the arrays are over 1, 5 and 15 minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PingTimes {
    pub pingtime: [u32; 3],
    pub min: [u32; 3],
    pub max: [u32; 3],
    pub last: u32,
}

impl Encode for PingTimes {
    fn encode(&self, e: &mut Encoder) {
        [self.pingtime, self.min, self.max].concat().into_iter().for_each(|v| e.u32(v));
        e.u32(self.last);
    }
}

impl Decode for PingTimes {
    const MIN_SIZE: usize = 40;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let mut three = || Ok([d.u32()?, d.u32()?, d.u32()?]);
        let (pingtime, min, max) = (three()?, three()?, three()?);
        Ok(Self { pingtime, min, max, last: d.u32()? })
    }
}

/// `osd_stat_t::Interfaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HbPing {
    /// Seconds since 1970.
    pub last_update: u32,
    pub back: PingTimes,
    pub front: PingTimes,
}

unframed! { HbPing; last_update: u32, back: PingTimes, front: PingTimes }

/// `osd_stat_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsdStat {
    pub statfs: StoreStatfs,
    pub hb_peers: Vec<OsdId>,
    pub snap_trim_queue_len: i32,
    pub num_snap_trimming: i32,
    pub num_shards_repaired: u64,
    pub op_queue_age_hist: Pow2Hist,
    pub os_perf_stat: ObjectStorePerfStat,
    pub os_alerts: BTreeMap<i32, BTreeMap<String, String>>,
    pub up_from: Epoch,
    pub seq: u64,
    pub num_pgs: u32,
    pub num_osds: u32,
    pub num_per_pool_osds: u32,
    pub num_per_pool_omap_osds: u32,
    pub hb_pingtime: BTreeMap<OsdId, HbPing>,
}

impl Encode for OsdStat {
    fn encode(&self, e: &mut Encoder) {
        let s = &self.statfs;
        e.versioned(14, 2, |e| {
            // Kilobytes for readers that do not know statfs.
            e.u64(s.total >> 10);
            e.u64(s.total.wrapping_sub(s.available) >> 10);
            e.u64(s.available >> 10);
            e.i32(self.snap_trim_queue_len);
            e.i32(self.num_snap_trimming);
            e.put(&self.hb_peers);
            e.u32(0);
            e.put(&self.op_queue_age_hist);
            e.put(&self.os_perf_stat);
            e.u32(self.up_from);
            e.u64(self.seq);
            e.u32(self.num_pgs);
            e.i64(s.allocated >> 10);
            e.i64(s.omap_allocated >> 10);
            e.i64(s.internal_metadata >> 10);
            e.put(s);
            e.put(&self.os_alerts);
            e.u64(self.num_shards_repaired);
            e.u32(self.num_osds);
            e.u32(self.num_per_pool_osds);
            e.u32(self.num_per_pool_omap_osds);
            e.put(&self.hb_pingtime);
        });
    }
}

impl Decode for OsdStat {
    const MIN_SIZE: usize = 6;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("osd_stat_t", 14, |d, v| {
            if v < 9 {
                return Err(DecodeError::TooOld { what: "osd_stat_t", version: v });
            }
            d.skip(24)?;
            let mut s = Self { snap_trim_queue_len: d.i32()?, num_snap_trimming: d.i32()?, ..Self::default() };
            s.hb_peers = d.get()?;
            let _once_hb_out: Vec<i32> = d.get()?;
            s.op_queue_age_hist = d.get()?;
            s.os_perf_stat = d.get()?;
            s.up_from = d.u32()?;
            s.seq = d.u64()?;
            s.num_pgs = d.u32()?;
            d.skip(24)?;
            s.statfs = d.get()?;
            if v >= 10 {
                s.os_alerts = d.get()?;
            }
            if v >= 11 {
                s.num_shards_repaired = d.u64()?;
            }
            if v >= 12 {
                s.num_osds = d.u32()?;
                s.num_per_pool_osds = d.u32()?;
            }
            if v >= 13 {
                s.num_per_pool_omap_osds = d.u32()?;
            }
            if v >= 14 {
                s.hb_pingtime = d.get()?;
            }
            Ok(s)
        })
    }
}

impl AddAssign<&Self> for OsdStat {
    /// For the sum over all OSDs.
    fn add_assign(&mut self, o: &Self) {
        self.statfs += &o.statfs;
        self.snap_trim_queue_len = self.snap_trim_queue_len.wrapping_add(o.snap_trim_queue_len);
        self.num_snap_trimming = self.num_snap_trimming.wrapping_add(o.num_snap_trimming);
        self.num_shards_repaired = self.num_shards_repaired.wrapping_add(o.num_shards_repaired);
        self.op_queue_age_hist += &o.op_queue_age_hist;
        let (sum, more) = (&mut self.os_perf_stat, &o.os_perf_stat);
        sum.os_commit_latency_ns = sum.os_commit_latency_ns.wrapping_add(more.os_commit_latency_ns);
        sum.os_apply_latency_ns = sum.os_apply_latency_ns.wrapping_add(more.os_apply_latency_ns);
        self.num_pgs = self.num_pgs.wrapping_add(o.num_pgs);
        self.num_osds = self.num_osds.wrapping_add(o.num_osds);
        self.num_per_pool_osds = self.num_per_pool_osds.wrapping_add(o.num_per_pool_osds);
        self.num_per_pool_omap_osds = self.num_per_pool_omap_osds.wrapping_add(o.num_per_pool_omap_osds);
        for (osd, alerts) in &o.os_alerts {
            self.os_alerts.entry(*osd).or_default().extend(alerts.clone());
        }
    }
}
