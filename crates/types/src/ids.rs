//! Small identifiers: epochs, versions, placement groups, entities, requests.

use std::fmt;
use std::str::FromStr;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::addr::EntityAddrVec;

/// `epoch_t`: the number of an OSDMap (or of another map of the monitors).
pub type Epoch = u32;
/// `version_t`: a count of writes to one PG, or of versions of a service's state.
pub type Version = u64;
pub type OsdId = i32;
pub type PoolId = i64;
/// `snapid_t`.
pub type SnapId = u64;
/// `shard_id_t`: which chunk of an erasure-coded PG; [`NO_SHARD`] in replicated pools.
pub type ShardId = i8;
pub const NO_SHARD: ShardId = -1;

/// `eversion_t`: a PG's write, ordered by epoch, then version. Printed `epoch'version`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EVersion {
    pub epoch: Epoch,
    pub version: Version,
}

impl EVersion {
    pub const ZERO: Self = Self { epoch: 0, version: 0 };
    pub const MAX: Self = Self { epoch: Epoch::MAX, version: Version::MAX };

    pub fn new(epoch: Epoch, version: Version) -> Self {
        Self { epoch, version }
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for EVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'{}", self.epoch, self.version)
    }
}

impl fmt::Debug for EVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for EVersion {
    fn encode(&self, e: &mut Encoder) {
        e.u64(self.version);
        e.u32(self.epoch);
    }
}

impl Decode for EVersion {
    const MIN_SIZE: usize = 12;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let version = d.u64()?;
        Ok(Self { epoch: d.u32()?, version })
    }
}

/// `pg_t`: a placement group, `pool.seed` with the seed in hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PgId {
    pub pool: PoolId,
    pub seed: u32,
}

impl PgId {
    pub fn new(pool: PoolId, seed: u32) -> Self {
        Self { pool, seed }
    }
}

impl fmt::Display for PgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}", self.pool, self.seed)
    }
}

impl fmt::Debug for PgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a `pool.seed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsePgIdError;

impl fmt::Display for ParsePgIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a PG is written POOL.SEED with the seed in hex, as in 1.7f")
    }
}

impl std::error::Error for ParsePgIdError {}

impl FromStr for PgId {
    type Err = ParsePgIdError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (pool, seed) = s.split_once('.').ok_or(ParsePgIdError)?;
        Ok(Self {
            pool: pool.parse().map_err(|_| ParsePgIdError)?,
            seed: u32::from_str_radix(seed, 16).map_err(|_| ParsePgIdError)?,
        })
    }
}

impl Encode for PgId {
    fn encode(&self, e: &mut Encoder) {
        e.u8(1);
        e.i64(self.pool);
        e.u32(self.seed);
        e.i32(-1); // once the preferred OSD
    }
}

impl Decode for PgId {
    const MIN_SIZE: usize = 17;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.u8()?;
        let (pool, seed) = (d.i64()?, d.u32()?);
        d.i32()?;
        Ok(Self { pool, seed })
    }
}

/// `spg_t`: a PG, or one shard of an erasure-coded one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpgId {
    pub pgid: PgId,
    pub shard: ShardId,
}

impl Default for SpgId {
    fn default() -> Self {
        PgId::default().into()
    }
}

impl From<PgId> for SpgId {
    /// The only shard of a replicated PG.
    fn from(pgid: PgId) -> Self {
        Self { pgid, shard: NO_SHARD }
    }
}

impl fmt::Display for SpgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shard == NO_SHARD { self.pgid.fmt(f) } else { write!(f, "{}s{}", self.pgid, self.shard) }
    }
}

impl fmt::Debug for SpgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for SpgId {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            self.pgid.encode(e);
            e.i8(self.shard);
        });
    }
}

impl Decode for SpgId {
    const MIN_SIZE: usize = 24;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("spg_t", 1, |d, _| Ok(Self { pgid: d.get()?, shard: d.i8()? }))
    }
}

/// `pg_shard_t`: an OSD in its role as holder of a PG, or of one shard of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PgShard {
    pub osd: OsdId,
    pub shard: ShardId,
}

impl Default for PgShard {
    fn default() -> Self {
        Self { osd: -1, shard: NO_SHARD }
    }
}

impl From<OsdId> for PgShard {
    /// A holder of a replicated PG.
    fn from(osd: OsdId) -> Self {
        Self { osd, shard: NO_SHARD }
    }
}

impl fmt::Display for PgShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.osd, self.shard) {
            (-1, _) => f.write_str("?"),
            (osd, NO_SHARD) => write!(f, "{osd}"),
            (osd, shard) => write!(f, "{osd}({shard})"),
        }
    }
}

impl fmt::Debug for PgShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for PgShard {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.i32(self.osd);
            e.i8(self.shard);
        });
    }
}

impl Decode for PgShard {
    const MIN_SIZE: usize = 11;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("pg_shard_t", 1, |d, _| Ok(Self { osd: d.i32()?, shard: d.i8()? }))
    }
}

pub const ENTITY_TYPE_MON: u8 = 1;
pub const ENTITY_TYPE_MDS: u8 = 2;
pub const ENTITY_TYPE_OSD: u8 = 4;
pub const ENTITY_TYPE_CLIENT: u8 = 8;
pub const ENTITY_TYPE_MGR: u8 = 16;

/// `entity_name_t`: a daemon or a client instance, such as `osd.3` or `client.4121`. For clients the
/// number is the global id.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityName {
    pub kind: u8,
    pub num: i64,
}

impl EntityName {
    pub fn osd(num: OsdId) -> Self {
        Self { kind: ENTITY_TYPE_OSD, num: num.into() }
    }

    pub fn mon(num: i64) -> Self {
        Self { kind: ENTITY_TYPE_MON, num }
    }

    pub fn mgr(num: i64) -> Self {
        Self { kind: ENTITY_TYPE_MGR, num }
    }

    pub fn client(num: i64) -> Self {
        Self { kind: ENTITY_TYPE_CLIENT, num }
    }

    pub fn is_osd(self) -> bool {
        self.kind == ENTITY_TYPE_OSD
    }

    pub fn is_mon(self) -> bool {
        self.kind == ENTITY_TYPE_MON
    }

    pub fn is_client(self) -> bool {
        self.kind == ENTITY_TYPE_CLIENT
    }

    pub fn kind_str(self) -> &'static str {
        match self.kind {
            ENTITY_TYPE_MON => "mon",
            ENTITY_TYPE_MDS => "mds",
            ENTITY_TYPE_OSD => "osd",
            ENTITY_TYPE_CLIENT => "client",
            ENTITY_TYPE_MGR => "mgr",
            _ => "unknown",
        }
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.num < 0 { write!(f, "{}.?", self.kind_str()) } else { write!(f, "{}.{}", self.kind_str(), self.num) }
    }
}

impl fmt::Debug for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for EntityName {
    fn encode(&self, e: &mut Encoder) {
        e.u8(self.kind);
        e.i64(self.num);
    }
}

impl Decode for EntityName {
    const MIN_SIZE: usize = 9;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { kind: d.u8()?, num: d.i64()? })
    }
}

/// An entity and where it can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityInst {
    pub name: EntityName,
    pub addrs: EntityAddrVec,
}

/// `osd_reqid_t`: names a client's operation for good, so that a resend is recognised.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsdReqId {
    pub name: EntityName,
    pub tid: u64,
    /// The client's incarnation: which of its lives sent this.
    pub inc: i32,
}

impl fmt::Display for OsdReqId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}:{}", self.name, self.inc, self.tid)
    }
}

impl fmt::Debug for OsdReqId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for OsdReqId {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 2, |e| {
            self.name.encode(e);
            e.u64(self.tid);
            e.i32(self.inc);
        });
    }
}

impl Decode for OsdReqId {
    const MIN_SIZE: usize = 27;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("osd_reqid_t", 2, |d, _| Ok(Self { name: d.get()?, tid: d.u64()?, inc: d.i32()? }))
    }
}

/// `uuid_d`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// A version 4 UUID from 16 random bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        const WHAT: &str = "a UUID is 32 hex digits in groups of 8-4-4-4-12";
        let hex: Vec<u8> = s.bytes().filter(|b| *b != b'-').collect();
        if hex.len() != 32 || s.len() != 36 {
            return Err(WHAT);
        }
        let mut out = [0; 16];
        for (i, pair) in hex.chunks(2).enumerate() {
            let pair = std::str::from_utf8(pair).map_err(|_| WHAT)?;
            out[i] = u8::from_str_radix(pair, 16).map_err(|_| WHAT)?;
        }
        Ok(Self(out))
    }
}

impl Encode for Uuid {
    fn encode(&self, e: &mut Encoder) {
        e.raw(&self.0);
    }
}

impl Decode for Uuid {
    const MIN_SIZE: usize = 16;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self(d.slice(16)?.try_into().expect("slice gave 16 bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_as_in_ceph() {
        assert_eq!("1.7f".parse(), Ok(PgId::new(1, 0x7f)));
        assert_eq!(PgId::new(3, 255).to_string(), "3.ff");
        assert_eq!(EVersion::new(42, 7).to_string(), "42'7");
        assert_eq!(EntityName::osd(3).to_string(), "osd.3");
        let u: Uuid = "2f9e1c1a-5a5e-4a3c-9f0e-000102030405".parse().unwrap();
        assert_eq!(u.to_string(), "2f9e1c1a-5a5e-4a3c-9f0e-000102030405");
        assert!("7".parse::<PgId>().is_err());
    }
}
