//! Addresses: where an entity can be reached, and which instance of it is meant.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::dump::Dump;
use crate::features;

/// The protocol that is spoken at an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddrType {
    #[default]
    None,
    /// msgr1.
    Legacy,
    /// msgr2.
    Msgr2,
    /// Either (in blocklists).
    Any,
    /// A network of hosts (in blocklists); the nonce is the length of its prefix.
    Cidr,
}

impl AddrType {
    fn code(self) -> u32 {
        self as u32
    }

    fn from_code(code: u32) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::None),
            1 => Ok(Self::Legacy),
            2 => Ok(Self::Msgr2),
            3 => Ok(Self::Any),
            4 => Ok(Self::Cidr),
            _ => Err(DecodeError::Invalid { what: "entity_addr_t type", value: code.into() }),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Legacy => "v1",
            Self::Msgr2 => "v2",
            Self::Any => "any",
            Self::Cidr => "cidr",
        }
    }
}

/// `entity_addr_t`: protocol, socket address, and a nonce that tells a process from its successor at
/// the same place. `sock` is `None` for a blank address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityAddr {
    pub kind: AddrType,
    pub nonce: u32,
    pub sock: Option<SocketAddr>,
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCKADDR_STORAGE_SIZE: usize = 128;

impl EntityAddr {
    pub fn msgr2(sock: SocketAddr, nonce: u32) -> Self {
        Self { kind: AddrType::Msgr2, nonce, sock: Some(sock) }
    }

    pub fn is_blank(&self) -> bool {
        self.sock.is_none()
    }

    pub fn port(&self) -> u16 {
        self.sock.map_or(0, |s| s.port())
    }

    /// Whether IP and nonce are equal, whatever port and protocol (Ceph: `probably_equals`/blocklist
    /// comparisons use it).
    pub fn same_host(&self, other: &Self) -> bool {
        self.sock.map(|s| s.ip()) == other.sock.map(|s| s.ip())
    }

    /// `127.0.0.1:6800/123`, without the protocol.
    pub fn legacy_str(&self) -> String {
        match self.sock {
            Some(s) => format!("{s}/{}", self.nonce),
            None => format!("(unrecognized address family 0)/{}", self.nonce),
        }
    }

    /// Parses `v2:127.0.0.1:6800/0`, `127.0.0.1:6800/123`, `[::1]:3300`; a missing protocol is taken
    /// as `default`, a missing port or nonce as 0.
    pub fn parse(text: &str, default: AddrType) -> Option<Self> {
        let (kind, rest) = match text.split_once(':') {
            Some(("v1", rest)) => (AddrType::Legacy, rest),
            Some(("v2", rest)) => (AddrType::Msgr2, rest),
            Some(("any", rest)) => (AddrType::Any, rest),
            Some(("cidr", rest)) => (AddrType::Cidr, rest),
            _ => (default, text),
        };
        let (host, nonce) = match rest.split_once('/') {
            Some((host, nonce)) => (host, nonce.parse().ok()?),
            None => (rest, 0),
        };
        let sock = host.parse::<SocketAddr>().ok().or_else(|| {
            let ip: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
            Some(SocketAddr::new(ip, 0))
        })?;
        Some(Self { kind, nonce, sock: Some(sock) })
    }

    /// As in Ceph's JSON.
    pub fn dump(&self) -> Dump {
        let addr = self.sock.map_or_else(|| "(unrecognized address family 0)".to_owned(), |s| s.to_string());
        Dump::obj().with("type", self.kind.as_str()).with("addr", addr).with("nonce", self.nonce)
    }

    /// The `sockaddr` bytes after the family.
    fn sockaddr_body(&self) -> Option<(u16, Vec<u8>)> {
        let mut out = Vec::with_capacity(26);
        match self.sock? {
            SocketAddr::V4(a) => {
                out.extend_from_slice(&a.port().to_be_bytes());
                out.extend_from_slice(&a.ip().octets());
                out.extend_from_slice(&[0; 8]);
                Some((AF_INET, out))
            }
            SocketAddr::V6(a) => {
                out.extend_from_slice(&a.port().to_be_bytes());
                out.extend_from_slice(&a.flowinfo().to_le_bytes());
                out.extend_from_slice(&a.ip().octets());
                out.extend_from_slice(&a.scope_id().to_le_bytes());
                Some((AF_INET6, out))
            }
        }
    }

    fn sock_from_body(family: u16, b: &[u8]) -> Result<Option<SocketAddr>, DecodeError> {
        let port = || u16::from_be_bytes([b[0], b[1]]);
        match family {
            AF_INET if b.len() >= 6 => {
                let ip = Ipv4Addr::new(b[2], b[3], b[4], b[5]);
                Ok(Some(SocketAddrV4::new(ip, port()).into()))
            }
            AF_INET6 if b.len() >= 26 => {
                let flow = u32::from_le_bytes([b[2], b[3], b[4], b[5]]);
                let ip: [u8; 16] = b[6..22].try_into().expect("16 bytes");
                let scope = u32::from_le_bytes([b[22], b[23], b[24], b[25]]);
                Ok(Some(SocketAddrV6::new(Ipv6Addr::from(ip), port(), flow, scope).into()))
            }
            0 => Ok(None),
            _ => Err(DecodeError::Invalid { what: "sockaddr family", value: family.into() }),
        }
    }

    /// `sockaddr_storage` with its family in network order, as msgr1 and legacy addresses have it.
    fn encode_legacy(&self, e: &mut Encoder) {
        e.u32(0);
        e.u32(self.nonce);
        let mut storage = [0; SOCKADDR_STORAGE_SIZE];
        if let Some((family, body)) = self.sockaddr_body() {
            storage[..2].copy_from_slice(&family.to_be_bytes());
            storage[2..2 + body.len()].copy_from_slice(&body);
        }
        e.raw(&storage);
    }

    fn decode_legacy_after_marker(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.skip(3)?;
        let nonce = d.u32()?;
        let storage = d.slice(SOCKADDR_STORAGE_SIZE)?;
        let family = u16::from_be_bytes([storage[0], storage[1]]);
        let sock = Self::sock_from_body(family, &storage[2..])?;
        let kind = if sock.is_some() { AddrType::Legacy } else { AddrType::None };
        Ok(Self { kind, nonce, sock })
    }

    fn decode_after_marker(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("entity_addr_t", 1, |d, _| {
            let kind = AddrType::from_code(d.u32()?)?;
            let nonce = d.u32()?;
            let len = d.u32()? as usize;
            let sock = match len {
                0 => None,
                1 => return Err(DecodeError::Invalid { what: "sockaddr length", value: 1 }),
                _ => {
                    let family = d.u16()?;
                    let body = d.slice(len - 2)?;
                    Self::sock_from_body(family, body)?
                }
            };
            Ok(Self { kind, nonce, sock })
        })
    }
}

/// As Ceph prints it: `v2:127.0.0.1:6800/123`.
impl fmt::Display for EntityAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sock {
            None if self.kind == AddrType::None => f.write_str("-"),
            Some(s) if self.kind == AddrType::Any => write!(f, "{s}/{}", self.nonce),
            None => write!(f, "{}:-/{}", self.kind.as_str(), self.nonce),
            Some(s) => write!(f, "{}:{s}/{}", self.kind.as_str(), self.nonce),
        }
    }
}

impl fmt::Debug for EntityAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for EntityAddr {
    fn encode(&self, e: &mut Encoder) {
        if !e.has_feature(features::MSG_ADDR2) {
            return self.encode_legacy(e);
        }
        e.u8(1);
        e.versioned(1, 1, |e| {
            // "Any" means nothing to peers older than nautilus.
            let old_peer = !e.has_feature(features::SERVER_NAUTILUS);
            let kind = if old_peer && self.kind == AddrType::Any { AddrType::Legacy } else { self.kind };
            e.u32(kind.code());
            e.u32(self.nonce);
            // Without a family, Ceph writes the whole union: room for an IPv6 address.
            match self.sockaddr_body() {
                Some((family, body)) => {
                    e.u32(body.len() as u32 + 2);
                    e.u16(family);
                    e.raw(&body);
                }
                None => {
                    e.u32(28);
                    e.raw(&[0; 28]);
                }
            }
        });
    }
}

impl Decode for EntityAddr {
    const MIN_SIZE: usize = 19;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.u8()? {
            0 => Self::decode_legacy_after_marker(d),
            1 => Self::decode_after_marker(d),
            marker => Err(DecodeError::Invalid { what: "entity_addr_t marker", value: marker.into() }),
        }
    }
}

/// `entity_addrvec_t`: the addresses of one instance, one a protocol.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityAddrVec(pub Vec<EntityAddr>);

impl EntityAddrVec {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As in Ceph's JSON: an object that holds the list.
    pub fn dump(&self) -> Dump {
        Dump::obj().with("addrvec", Dump::arr("addr", self.0.iter().map(EntityAddr::dump)))
    }

    /// The address at which msgr2 is spoken.
    pub fn msgr2(&self) -> Option<&EntityAddr> {
        self.0.iter().find(|a| a.kind == AddrType::Msgr2)
    }

    /// Ceph: `legacy_addr`, or the first one there is.
    pub fn legacy_or_first(&self) -> EntityAddr {
        self.0.iter().find(|a| a.kind == AddrType::Legacy).or(self.0.first()).copied().unwrap_or_default()
    }
}

impl From<EntityAddr> for EntityAddrVec {
    fn from(addr: EntityAddr) -> Self {
        Self(vec![addr])
    }
}

/// One address plainly, several as `[v2:…,v1:…]`.
impl fmt::Display for EntityAddrVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => Ok(()),
            [one] => one.fmt(f),
            all => {
                f.write_str("[")?;
                for (i, a) in all.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    a.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Debug for EntityAddrVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Encode for EntityAddrVec {
    fn encode(&self, e: &mut Encoder) {
        if !e.has_feature(features::MSG_ADDR2) {
            return self.legacy_or_first().encode(e);
        }
        e.u8(2);
        e.seq(self.0.iter());
    }
}

impl Decode for EntityAddrVec {
    const MIN_SIZE: usize = 5;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        match d.u8()? {
            0 => Ok(EntityAddr::decode_legacy_after_marker(d)?.into()),
            1 => Ok(EntityAddr::decode_after_marker(d)?.into()),
            2 => Ok(Self(d.get()?)),
            marker => Err(DecodeError::Invalid { what: "entity_addrvec_t marker", value: marker.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use denc::{from_bytes, to_bytes};

    #[test]
    fn an_address_survives_both_encodings() {
        let a = EntityAddr::parse("v2:127.0.0.1:6800/77", AddrType::Any).unwrap();
        assert_eq!(from_bytes::<EntityAddr>(to_bytes(&a, features::ALL)), Ok(a));
        let old = from_bytes::<EntityAddr>(to_bytes(&a, 0)).unwrap();
        assert_eq!((old.kind, old.sock, old.nonce), (AddrType::Legacy, a.sock, 77));
        let v = EntityAddrVec(vec![a, EntityAddr::parse("v1:[::1]:6801/77", AddrType::Any).unwrap()]);
        assert_eq!(from_bytes::<EntityAddrVec>(to_bytes(&v, features::ALL)), Ok(v.clone()));
        assert_eq!(v.to_string(), "[v2:127.0.0.1:6800/77,v1:[::1]:6801/77]");
    }
}
