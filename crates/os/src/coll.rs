//! `coll_t`: where objects are kept together, and how that is written.

use std::fmt;

use denc::{ByteStr, Decode, DecodeError, Decoder, Encode, Encoder};
use types::{NO_SHARD, PgId, SNAP_HEAD, SpgId};

/// `coll_t`: one collection a PG, one for the OSD itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coll {
    #[default]
    Meta,
    Pg(SpgId),
    /// Objects under way to their PG (recovery pushes are assembled here).
    Temp(SpgId),
}

impl fmt::Display for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Pg(pg) => write!(f, "{pg}_head"),
            Self::Temp(pg) => write!(f, "{pg}_TEMP"),
        }
    }
}

impl fmt::Debug for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const TYPE_META: u8 = 0;
const TYPE_PG: u8 = 2;

impl Coll {
    /// The inverse of `Display` for collections of PGs.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "meta" {
            return Some(Self::Meta);
        }
        let (pg, kind) = name.rsplit_once('_')?;
        let (pgid, shard) = match pg.split_once('s') {
            Some((pgid, shard)) => (pgid, shard.parse().ok()?),
            None => (pg, NO_SHARD),
        };
        let pg = SpgId { pgid: pgid.parse::<PgId>().ok()?, shard };
        match kind {
            "head" => Some(Self::Pg(pg)),
            "TEMP" => Some(Self::Temp(pg)),
            _ => None,
        }
    }
}

/// Ceph: `coll_t::encode`: version 2 in fields; a temporary collection only has a version 3, as text.
impl Encode for Coll {
    fn encode(&self, e: &mut Encoder) {
        let (kind, pg) = match self {
            Self::Temp(_) => {
                e.u8(3);
                return e.string(&self.to_string());
            }
            Self::Meta => (TYPE_META, SpgId::default()),
            Self::Pg(pg) => (TYPE_PG, *pg),
        };
        e.u8(2);
        e.u8(kind);
        e.put(&pg);
        e.u64(SNAP_HEAD);
    }
}

impl Decode for Coll {
    const MIN_SIZE: usize = 5;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.u8()? {
            2 => {
                let kind = d.u8()?;
                let pg = d.get()?;
                d.u64()?;
                match kind {
                    TYPE_META => Ok(Self::Meta),
                    TYPE_PG => Ok(Self::Pg(pg)),
                    _ => Err(DecodeError::Invalid { what: "coll_t type", value: kind.into() }),
                }
            }
            3 => {
                let name: ByteStr = d.get()?;
                Self::parse(&name.to_string_lossy())
                    .ok_or(DecodeError::Invalid { what: "coll_t name length", value: name.len() as u64 })
            }
            version => Err(DecodeError::TooOld { what: "coll_t", version }),
        }
    }
}
