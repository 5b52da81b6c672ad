//! The map on the wire (Ceph: `OSDMap::encode`): a wrapper around a section for clients, a section for
//! OSDs, and a checksum of both.
//!
//! There is one canonical encoding an epoch, with the features of [`OsdMap::encoding_features`]: all
//! daemons must agree on its checksum. Clients get the same bytes, whatever they lack: who speaks msgr2 reads the
//! section for clients as release 14 wrote it, and skips what is appended (the kernel has no `SERVER_OCTOPUS`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddrVec, PgPool, PoolId, Uuid, features};

use crate::blocklist::{self, Blocklist};
use crate::map::StretchMode;
use crate::osd::{Osd, OsdAddrs, OsdInfo, OsdXInfo};
use crate::{OsdMap, Release, crc, flag};

type Result<T> = std::result::Result<T, DecodeError>;

/// An id beyond this is taken for garbage: it would make every table that long (Ceph: `mon_max_osd`
/// is 10,000 by default).
pub(crate) const MAX_OSD_LIMIT: usize = 1 << 20;

/// What changes the encoding of maps (Ceph: `OSDMap::SIGNIFICANT_FEATURES`).
const SIGNIFICANT: u64 = features::PGID64
    | features::PGPOOL3
    | features::OSDENC
    | features::OSDMAP_ENC
    | features::OSD_POOLRESEND
    | features::NEW_OSDOP_ENCODING
    | features::MSG_ADDR2
    | features::CRUSH_TUNABLES5
    | features::CRUSH_CHOOSE_ARGS
    | features::SERVER_LUMINOUS
    | features::SERVER_MIMIC
    | features::SERVER_NAUTILUS
    | features::SERVER_OCTOPUS;

impl OsdMap {
    /// The features of the canonical encoding, which the cluster's required release fixes.
    pub fn encoding_features(&self) -> u64 {
        // Clearing a bit leaves those that mark its incarnation, which it shares with others.
        const INCARNATION_3: u64 = features::SERVER_MIMIC;
        let mut f = SIGNIFICANT;
        if self.require_osd_release < Release::OCTOPUS {
            f &= !(features::SERVER_OCTOPUS & !INCARNATION_3);
        }
        if self.require_osd_release < Release::NAUTILUS {
            f &= !(features::SERVER_NAUTILUS & !INCARNATION_3);
        }
        f
    }

    /// The canonical encoding; its last four bytes are its checksum.
    pub fn encode_canonical(&self) -> Bytes {
        denc::to_bytes(self, self.encoding_features())
    }

    /// The checksum at the end of an encoded map.
    pub fn crc_of_encoded(bytes: &[u8]) -> u32 {
        bytes.last_chunk().map_or(0, |b| u32::from_le_bytes(*b))
    }

    fn encode_client_data(&self, e: &mut Encoder) {
        e.put(&self.fsid);
        e.u32(self.epoch);
        e.put(&self.created);
        e.put(&self.modified);
        e.u32(count(self.pools.len()));
        for (id, pool) in &self.pools {
            e.i64(*id);
            e.put(pool.as_ref());
        }
        e.put(&self.pool_names);
        e.i32(self.pool_max as i32);
        e.u32(self.flags);
        e.i32(self.max_osd());
        e.u32(count(self.osds.len()));
        self.osds.iter().for_each(|o| e.u32(o.state));
        e.put(&self.weights);
        self.encode_addrs(|a| &a.client, e);
        e.put(self.pg_temp.as_ref());
        e.put(self.primary_temp.as_ref());
        match &self.primary_affinity {
            Some(all) => e.put(all.as_ref()),
            None => e.u32(0),
        }
        e.with_length(|e| e.put(self.crush.as_ref()));
        e.put(self.erasure_code_profiles.as_ref());
        e.put(self.pg_upmap.as_ref());
        e.put(self.pg_upmap_items.as_ref());
        e.u32(self.crush_version);
        e.put(&self.new_removed_snaps);
        e.put(&self.new_purged_snaps);
        e.put(&self.last_up_change);
        e.put(&self.last_in_change);
    }

    fn encode_osd_data(&self, version: u8, e: &mut Encoder) {
        self.encode_addrs(|a| &a.hb_back, e);
        e.u32(count(self.osds.len()));
        self.osds.iter().for_each(|o| e.put(&o.info));
        blocklist::encode_map(&self.blocklist.entries, e);
        self.encode_addrs(|a| &a.cluster, e);
        e.u32(self.cluster_snapshot_epoch);
        e.string(&self.cluster_snapshot);
        e.u32(count(self.osds.len()));
        self.osds.iter().for_each(|o| e.put(&o.uuid));
        e.u32(count(self.osds.len()));
        self.osds.iter().for_each(|o| e.put(&o.xinfo));
        self.encode_addrs(|a| &a.hb_front, e);
        e.f32(self.nearfull_ratio);
        e.f32(self.full_ratio);
        e.f32(self.backfillfull_ratio);
        e.u8(self.require_min_compat_client.0);
        e.u8(self.require_osd_release.0);
        e.put(&self.removed_snaps_queue);
        e.put(&self.crush_node_flags);
        e.put(&self.device_class_flags);
        if version >= 10 {
            e.bool(self.stretch.enabled);
            e.u32(self.stretch.bucket_count);
            e.u32(self.stretch.degraded);
            e.u32(self.stretch.recovering);
            e.i32(self.stretch.bucket);
        }
        if version >= 11 {
            blocklist::encode_map(&self.blocklist.ranges, e);
        }
    }

    fn encode_addrs(&self, which: impl Fn(&OsdAddrs) -> &EntityAddrVec, e: &mut Encoder) {
        e.u32(count(self.osds.len()));
        self.osds.iter().for_each(|o| e.put(which(&o.addrs)));
    }

    /// Newer versions appear only where their content does, so that the checksum stays what older
    /// daemons compute.
    fn osd_data_version(&self) -> u8 {
        if !self.blocklist.ranges.is_empty() {
            11
        } else if self.stretch.enabled {
            10
        } else {
            9
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("no collection reaches 2^32 items")
}

impl Encode for OsdMap {
    /// For peers of release 14 (nautilus) and newer.
    fn encode(&self, e: &mut Encoder) {
        let start = e.len();
        let mut hole = 0;
        e.versioned(8, 7, |e| {
            e.versioned(9, 1, |e| self.encode_client_data(e));
            let version = self.osd_data_version();
            e.versioned(version, 1, |e| self.encode_osd_data(version, e));
            hole = e.reserve_u32();
        });
        crc::seal(e, start, hole);
    }
}

/// Splits a sealed wrapper into its two sections and checks the checksum. Gives the wrapper's body after
/// the checksum too. Shared by maps and incrementals.
pub(crate) fn open<T>(
    what: &'static str,
    d: &mut Decoder,
    body: impl FnOnce(&mut Decoder) -> Result<T>,
) -> Result<(T, u32, Decoder)> {
    let whole = d.clone().rest();
    let (version, compat, len) = (d.u8()?, d.u8()?, d.u32()? as usize);
    if compat > 8 {
        return Err(DecodeError::TooNew { what, compat, known: 8 });
    }
    if version < 8 {
        return Err(DecodeError::TooOld { what, version });
    }
    let frame = d.take(len)?;
    let mut inner = Decoder::new(frame);
    let value = body(&mut inner)?;
    let hole = 6 + inner.pos();
    let expected = inner.u32()?;
    let actual = crc::of(&whole[..hole], &whole[hole + 4..6 + len]);
    if actual != expected {
        return Err(DecodeError::Invalid { what: "crc", value: u64::from(expected) });
    }
    Ok((value, expected, inner))
}

impl Decode for OsdMap {
    const MIN_SIZE: usize = 200;

    fn decode(d: &mut Decoder) -> Result<Self> {
        let (mut map, crc, _) = open("OSDMap", d, |d| {
            let mut map = d.versioned("OSDMap client data", 9, decode_client_data)?;
            d.versioned("OSDMap osd data", 11, |d, v| decode_osd_data(&mut map, d, v))?;
            Ok(map)
        })?;
        map.crc = crc;
        Ok(map)
    }
}

fn decode_client_data(d: &mut Decoder, v: u8) -> Result<OsdMap> {
    if v < 6 {
        return Err(DecodeError::TooOld { what: "OSDMap client data", version: v });
    }
    let mut m = OsdMap { fsid: d.get()?, epoch: d.u32()?, created: d.get()?, modified: d.get()?, ..OsdMap::default() };
    let pools: BTreeMap<PoolId, PgPool> = d.get()?;
    m.pools = pools.into_iter().map(|(id, pool)| (id, Arc::new(pool))).collect();
    m.pool_names = d.get()?;
    m.pool_max = d.i32()?.into();
    m.flags = d.u32()?;
    let max_osd = d.i32()?;
    let max_osd = usize::try_from(max_osd)
        .ok()
        .filter(|n| *n <= MAX_OSD_LIMIT)
        .ok_or(DecodeError::Invalid { what: "max_osd", value: u64::from(max_osd.cast_unsigned()) })?;
    let states: Vec<u32> = d.get()?;
    // Every table has a place for each OSD; the first one bounds the allocation by the input.
    if states.len() != max_osd {
        return Err(DecodeError::Invalid { what: "osd_state length", value: states.len() as u64 });
    }
    m.weights = d.get()?;
    m.weights.resize(max_osd, 0);
    let client: Vec<EntityAddrVec> = d.get()?;
    let mut osds: Vec<Osd> = states.into_iter().map(|state| Osd { state, ..Osd::default() }).collect();
    osds.iter_mut().zip(client).for_each(|(o, a)| o.addrs.client = a);
    m.osds = osds.into_iter().map(Arc::new).collect();
    m.pg_temp = Arc::new(d.get()?);
    m.primary_temp = Arc::new(d.get()?);
    let mut affinity: Vec<u32> = d.get()?;
    if !affinity.is_empty() {
        affinity.resize(max_osd, crate::DEFAULT_PRIMARY_AFFINITY);
        m.primary_affinity = Some(Arc::new(affinity));
    }
    m.crush = Arc::new(d.with_length(|d| d.get())?);
    m.erasure_code_profiles = Arc::new(d.get()?);
    m.pg_upmap = Arc::new(d.get()?);
    m.pg_upmap_items = Arc::new(d.get()?);
    m.crush_version = d.u32()?;
    if v >= 7 {
        m.new_removed_snaps = d.get()?;
        m.new_purged_snaps = d.get()?;
    }
    if v >= 9 {
        m.last_up_change = d.get()?;
        m.last_in_change = d.get()?;
    }
    Ok(m)
}

fn decode_osd_data(m: &mut OsdMap, d: &mut Decoder, v: u8) -> Result<()> {
    if v < 5 {
        return Err(DecodeError::TooOld { what: "OSDMap osd data", version: v });
    }
    let hb_back: Vec<EntityAddrVec> = d.get()?;
    let info: Vec<OsdInfo> = d.get()?;
    let entries = blocklist::decode_map(d)?;
    let cluster: Vec<EntityAddrVec> = d.get()?;
    m.cluster_snapshot_epoch = d.u32()?;
    m.cluster_snapshot = d.string()?;
    let uuids: Vec<Uuid> = d.get()?;
    let xinfo: Vec<OsdXInfo> = d.get()?;
    let hb_front: Vec<EntityAddrVec> = d.get()?;
    let (mut hb_back, mut cluster, mut hb_front) = (hb_back.into_iter(), cluster.into_iter(), hb_front.into_iter());
    for (i, osd) in m.osds.iter_mut().enumerate() {
        let osd = Arc::make_mut(osd);
        osd.info = info.get(i).copied().unwrap_or_default();
        osd.xinfo = xinfo.get(i).copied().unwrap_or_default();
        osd.uuid = uuids.get(i).copied().unwrap_or_default();
        osd.addrs.hb_back = hb_back.next().unwrap_or_default();
        osd.addrs.cluster = cluster.next().unwrap_or_default();
        osd.addrs.hb_front = hb_front.next().unwrap_or_default();
    }
    m.nearfull_ratio = d.f32()?;
    m.full_ratio = d.f32()?;
    m.backfillfull_ratio = d.f32()?;
    m.require_min_compat_client = Release(d.u8()?);
    m.require_osd_release = Release(d.u8()?);
    if m.require_osd_release >= Release::NAUTILUS {
        m.flags |= flag::PGLOG_HARDLIMIT;
    }
    if m.require_osd_release >= Release::LUMINOUS {
        m.flags = m.flags & !flag::LEGACY_REQUIRE | flag::RECOVERY_DELETES;
    }
    if v >= 6 {
        m.removed_snaps_queue = d.get()?;
    }
    if v >= 8 {
        m.crush_node_flags = d.get()?;
    }
    if v >= 9 {
        m.device_class_flags = d.get()?;
    }
    if v >= 10 {
        m.stretch = StretchMode {
            enabled: d.bool()?,
            bucket_count: d.u32()?,
            degraded: d.u32()?,
            recovering: d.u32()?,
            bucket: d.i32()?,
        };
    }
    let ranges = if v >= 11 { blocklist::decode_map(d)? } else { BTreeMap::new() };
    m.blocklist = Arc::new(Blocklist { entries, ranges });
    Ok(())
}
