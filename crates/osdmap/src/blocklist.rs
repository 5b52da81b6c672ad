//! Clients that must not be served: single instances, whole hosts, and ranges of hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use denc::{DecodeError, Decoder, Encoder};
use types::{AddrType, EntityAddr, EntityAddrVec, UTime};

use crate::{OsdMap, Release};

/// Who is refused, and until when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocklist {
    /// An instance; or, with port and nonce 0, all of a host.
    pub entries: BTreeMap<EntityAddr, UTime>,
    /// Networks: the nonce is the length of the prefix in bits.
    pub ranges: BTreeMap<EntityAddr, UTime>,
}

impl OsdMap {
    /// Whether the instance at this address is refused.
    pub fn is_blocklisted(&self, addr: &EntityAddr) -> bool {
        if self.blocklist.entries.is_empty() && self.blocklist.ranges.is_empty() {
            return false;
        }
        // Since nautilus, entries hold for every protocol.
        let kind = if self.require_osd_release < Release::NAUTILUS { AddrType::Legacy } else { AddrType::Any };
        let instance = EntityAddr { kind, ..*addr };
        if self.blocklist.entries.contains_key(&instance) {
            return true;
        }
        let Some(mut sock) = instance.sock else { return false };
        sock.set_port(0);
        let host = EntityAddr { kind, nonce: 0, sock: Some(sock) };
        self.blocklist.entries.contains_key(&host)
            || self.blocklist.ranges.keys().any(|range| range_contains(range, sock.ip()))
    }

    pub fn is_blocklisted_any(&self, addrs: &EntityAddrVec) -> bool {
        addrs.0.iter().any(|a| self.is_blocklisted(a))
    }
}

fn range_contains(range: &EntityAddr, ip: IpAddr) -> bool {
    let prefix = |bits: u128, width: u32| bits.checked_shr(width.saturating_sub(range.nonce)).unwrap_or(0);
    match (range.sock.map(|s| s.ip()), ip) {
        (Some(IpAddr::V4(net)), IpAddr::V4(ip)) => {
            prefix(u128::from(net.to_bits()), 32) == prefix(u128::from(ip.to_bits()), 32)
        }
        (Some(IpAddr::V6(net)), IpAddr::V6(ip)) => prefix(net.to_bits(), 128) == prefix(ip.to_bits(), 128),
        _ => false,
    }
}

/// Ceph orders addresses by their bytes in memory: type, nonce, family, port, IP, of which the first
/// three are little-endian. The order is visible in the encoding, and so in its checksum.
pub(crate) fn memory_order(addr: &EntityAddr) -> Vec<u8> {
    let mut key = Vec::with_capacity(36);
    key.push(addr.kind as u8);
    key.extend_from_slice(&addr.nonce.to_le_bytes());
    match addr.sock {
        None => {}
        Some(std::net::SocketAddr::V4(a)) => {
            key.push(2);
            key.extend_from_slice(&a.port().to_be_bytes());
            key.extend_from_slice(&a.ip().octets());
        }
        Some(std::net::SocketAddr::V6(a)) => {
            key.push(10);
            key.extend_from_slice(&a.port().to_be_bytes());
            key.extend_from_slice(&a.flowinfo().to_le_bytes());
            key.extend_from_slice(&a.ip().octets());
            key.extend_from_slice(&a.scope_id().to_le_bytes());
        }
    }
    key
}

/// The addresses in the order in which Ceph encodes them.
pub(crate) fn in_order<'a>(addrs: impl Iterator<Item = &'a EntityAddr>) -> Vec<&'a EntityAddr> {
    let mut addrs: Vec<_> = addrs.collect();
    addrs.sort_by_key(|a| memory_order(a));
    addrs
}

pub(crate) fn encode_map(map: &BTreeMap<EntityAddr, UTime>, e: &mut Encoder) {
    e.u32(u32::try_from(map.len()).expect("no map reaches 2^32 items"));
    for addr in in_order(map.keys()) {
        e.put(addr);
        e.put(&map[addr]);
    }
}

pub(crate) fn decode_map(d: &mut Decoder) -> Result<BTreeMap<EntityAddr, UTime>, DecodeError> {
    d.get()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn addr(text: &str) -> EntityAddr {
        EntityAddr::parse(text, AddrType::Any).expect("an address")
    }

    #[test]
    fn instances_hosts_and_networks_are_refused_and_nobody_else() {
        let until = UTime { sec: 9, nsec: 0 };
        let list = |all: &[&str]| all.iter().map(|a| (addr(a), until)).collect::<BTreeMap<_, _>>();
        let blocklist = Blocklist {
            entries: list(&["10.0.0.1:1234/99", "10.0.0.2:0/0"]),
            ranges: list(&["cidr:192.168.4.0:0/22", "cidr:[fd00::]:0/8"]),
        };
        let map = OsdMap { require_osd_release: Release::PACIFIC, blocklist: Arc::new(blocklist), ..OsdMap::default() };
        for refused in ["v2:10.0.0.1:1234/99", "v1:10.0.0.2:7/8", "v2:192.168.7.9:1/2", "v2:[fd12::1]:1/2"] {
            assert!(map.is_blocklisted(&addr(refused)), "{refused}");
        }
        for served in ["v2:10.0.0.1:1234/98", "v2:10.0.0.1:1235/99", "v2:192.168.8.1:1/2", "v2:[fe00::1]:1/2"] {
            assert!(!map.is_blocklisted(&addr(served)), "{served}");
        }
        assert!(!map.is_blocklisted(&EntityAddr::default()));
        let bytes = denc::to_bytes(&map, map.encoding_features());
        let back: OsdMap = denc::from_bytes(bytes).expect("decodes");
        assert_eq!(back.blocklist, map.blocklist);
    }

    #[test]
    fn addresses_are_ordered_as_ceph_orders_their_bytes() {
        let all = [addr("10.0.0.1:0/256"), addr("10.0.0.1:0/1"), addr("9.0.0.1:80/1")];
        let order: Vec<String> = in_order(all.iter()).into_iter().map(ToString::to_string).collect();
        assert_eq!(order, ["10.0.0.1:0/256", "10.0.0.1:0/1", "9.0.0.1:80/1"]);
    }
}
