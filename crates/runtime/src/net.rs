//! A daemon's addresses and the policies that hold at each.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use msgr::Policies;
use node::{Endpoint, Listening};
use types::ids::ENTITY_TYPE_OSD;
use types::{EntityAddr, EntityAddrVec};

/// One address to listen at. Port 0 takes any free one. The nonce tells this process from its
/// successor; monitors have 0, so that clients find them by address alone.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    pub endpoint: Endpoint,
    pub addr: SocketAddr,
    pub nonce: u32,
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "cannot listen at {addr}: another program already does; choose another port, or stop it (ss -ltnp shows it)"
    )]
    InUse { addr: SocketAddr },
    #[error("cannot listen at {addr}: this machine has no such address")]
    NotOurs { addr: SocketAddr },
    #[error("cannot listen at {addr}")]
    Other {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
}

impl BindError {
    fn new(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { addr },
            _ => Self::Other { addr, source },
        }
    }
}

/// Listening sockets. Made before the node, which is told its addresses.
#[derive(Debug, Default)]
pub struct Endpoints {
    pub(crate) bound: Vec<(Endpoint, EntityAddr, TcpListener)>,
    /// For a client's own address.
    pub(crate) nonce: u32,
}

impl Endpoints {
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(wanted: &[Listen]) -> Result<Self, BindError> {
        let mut bound = Vec::new();
        for &Listen { endpoint, addr, nonce } in wanted {
            let listener = listen(addr).map_err(|source| BindError::new(addr, source))?;
            let actual = listener.local_addr().map_err(|source| BindError::new(addr, source))?;
            bound.push((endpoint, EntityAddr::msgr2(actual, nonce), listener));
        }
        Ok(Self { bound, nonce: 0 })
    }

    /// A client listens nowhere. The nonce must be random.
    pub fn client(nonce: u32) -> Self {
        Self { bound: Vec::new(), nonce }
    }

    pub fn addr(&self, endpoint: Endpoint) -> EntityAddr {
        self.bound.iter().find(|(e, ..)| *e == endpoint).map(|(_, addr, _)| *addr).unwrap_or_default()
    }

    pub fn listening(&self) -> Listening {
        Listening {
            public: self.addr(Endpoint::Public),
            cluster: self.addr(Endpoint::Cluster),
            hb_back: self.addr(Endpoint::HbBack),
            hb_front: self.addr(Endpoint::HbFront),
            mgr: self.addr(Endpoint::Mgr),
        }
    }

    /// What the messengers say our addresses are.
    pub(crate) fn addrs(addr: EntityAddr) -> EntityAddrVec {
        if addr.is_blank() { EntityAddrVec::default() } else { addr.into() }
    }
}

/// How long a port may still belong to a daemon that was killed: one of its threads may wait for the disk.
const DYING: Duration = Duration::from_secs(2);
const DYING_POLL: Duration = Duration::from_millis(20);

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let give_up = Instant::now() + DYING;
    // std sets SO_REUSEADDR and a backlog of 128 (4096 on recent versions).
    let listener = loop {
        match TcpListener::bind(addr) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up => {
                std::thread::sleep(DYING_POLL);
            }
            other => break other?,
        }
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub(crate) fn policies(endpoint: Endpoint, our_type: u8) -> Policies {
    match endpoint {
        Endpoint::Cluster => Policies::between_osds(),
        Endpoint::Public if our_type == ENTITY_TYPE_OSD => Policies::for_clients(),
        Endpoint::Public | Endpoint::HbBack | Endpoint::HbFront | Endpoint::Mgr => Policies::stateless(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_one_line_that_says_what_to_do() {
        let first =
            Endpoints::bind(&[Listen { endpoint: Endpoint::Public, addr: "127.0.0.1:0".parse().unwrap(), nonce: 0 }])
                .unwrap();
        let addr = first.listening().public.sock.unwrap();
        let error = Endpoints::bind(&[Listen { endpoint: Endpoint::Public, addr, nonce: 0 }]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen at {addr}: another program already does")));
        let nowhere = "192.0.2.7:1".parse().unwrap();
        let error = Endpoints::bind(&[Listen { endpoint: Endpoint::Public, addr: nowhere, nonce: 0 }]).unwrap_err();
        assert_eq!(error.to_string(), "cannot listen at 192.0.2.7:1: this machine has no such address");
    }
}
