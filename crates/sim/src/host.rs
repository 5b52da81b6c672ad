//! One host: its node, its disk, its addresses with their messengers, its clocks.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use messages::Wire;
use msgr::{Config, LinkKey, MessageFrame, Messenger, Policies};
use node::{ConnId, Endpoint, Input, Listening, Node, Now};
use types::{ENTITY_TYPE_CLIENT, ENTITY_TYPE_MON, ENTITY_TYPE_OSD, EntityAddr, EntityAddrVec, EntityName, UTime};

use crate::disk::SimStore;
use crate::held::Held;
use crate::net::PipeId;
use crate::rng::Rng;
use crate::world::HostId;

/// A node that the invariants can look into.
pub trait Simulated: Node {
    fn as_osd(&self) -> Option<&osd::Osd> {
        None
    }

    fn as_mon(&self) -> Option<&mon::Mon> {
        None
    }

    /// What it waits for, for the report of a run that does not end.
    fn describe(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Simulated for osd::Osd {
    fn as_osd(&self) -> Option<&osd::Osd> {
        Some(self)
    }
}

impl Simulated for mon::Mon {
    fn as_mon(&self) -> Option<&mon::Mon> {
        Some(self)
    }
}

/// Makes a host's node each time the host starts: with its addresses and the number of its life.
pub type Maker = Box<dyn FnMut(&Listening, u32) -> Box<dyn Simulated>>;

/// Wall clocks begin here.
const EPOCH_SECS: u64 = 1_795_000_000;
const PORTS: [(Endpoint, u16); 5] = [
    (Endpoint::Public, 6800),
    (Endpoint::Cluster, 6801),
    (Endpoint::HbBack, 6802),
    (Endpoint::HbFront, 6803),
    (Endpoint::Mgr, 6804),
];
/// Messengers share the space of connection numbers: a connection's address is its number modulo this.
const ADDRESSES: u64 = 8;

/// One address, its messenger, and the pipes that are its links.
pub(crate) struct Address {
    pub endpoint: Endpoint,
    pub messenger: Messenger,
    pub links: BTreeMap<LinkKey, (PipeId, usize)>,
}

pub(crate) struct Host {
    pub label: String,
    /// Who it says it is when it authenticates: kind and id.
    pub entity: (u8, String),
    pub maker: Maker,
    pub node: Option<Box<dyn Simulated>>,
    pub life: u32,
    /// Without power: it does not even refuse.
    pub dark: bool,
    pub disk: Box<dyn SimStore>,
    pub commit_due: bool,
    pub held: Held,
    pub inbox: VecDeque<Input>,
    pub addresses: Vec<Address>,
    /// What a client calls itself, where its number does not say.
    pub auth_names: BTreeMap<ConnId, EntityName>,
    /// In the world's time.
    pub wake_at: Option<Duration>,
    /// How far its monotonic clock is ahead of the world's.
    mono_ahead: Duration,
    /// How wrong its wall clock is; it may jump.
    pub wall_off: i64,
}

impl Host {
    pub fn new(entity: (u8, &str), disk: Box<dyn SimStore>, maker: Maker) -> Self {
        let kind = EntityName { kind: entity.0, num: 0 };
        Self {
            label: format!("{}.{}", kind.kind_str(), entity.1),
            entity: (entity.0, entity.1.to_owned()),
            maker,
            node: None,
            life: 0,
            dark: false,
            disk,
            commit_due: false,
            held: Held::default(),
            inbox: VecDeque::new(),
            addresses: Vec::new(),
            auth_names: BTreeMap::new(),
            wake_at: None,
            mono_ahead: Duration::ZERO,
            wall_off: 0,
        }
    }

    /// Begins a life.
    pub fn start(&mut self, id: HostId, rng: &mut Rng) {
        self.life += 1;
        self.dark = false;
        self.mono_ahead = Duration::from_millis(rng.between(1_000, 10_000_000));
        let life = self.life;
        let at = |via| address(id, self.nonce(), via);
        let listening = if self.is_client() {
            Listening::default()
        } else {
            Listening {
                public: at(Endpoint::Public),
                cluster: at(Endpoint::Cluster),
                hb_back: at(Endpoint::HbBack),
                hb_front: at(Endpoint::HbFront),
                mgr: at(Endpoint::Mgr),
            }
        };
        self.addresses = self.make_addresses(id, rng);
        self.node = Some((self.maker)(&listening, life));
    }

    /// Memory is lost, and what the disk had not made durable.
    pub fn stop(&mut self, rng: &mut Rng) {
        self.node = None;
        self.disk.crash(rng);
        self.held = Held::default();
        self.inbox.clear();
        self.addresses.clear();
        self.auth_names.clear();
        self.commit_due = false;
        self.wake_at = None;
    }

    pub fn is_client(&self) -> bool {
        self.entity.0 == ENTITY_TYPE_CLIENT
    }

    /// A monitor keeps its nonce, as its address is known to all.
    fn nonce(&self) -> u32 {
        if self.entity.0 == ENTITY_TYPE_MON { 0 } else { self.life }
    }

    fn make_addresses(&self, id: HostId, rng: &mut Rng) -> Vec<Address> {
        let endpoints: &[Endpoint] = match self.entity.0 {
            ENTITY_TYPE_MON => &[Endpoint::Public, Endpoint::Mgr],
            ENTITY_TYPE_OSD => &[Endpoint::Public, Endpoint::Cluster, Endpoint::HbBack, Endpoint::HbFront],
            _ => &[Endpoint::Public],
        };
        // A monitor learns its rank from the map. A client's number is told by the monitors.
        let unnamed = if self.entity.0 == ENTITY_TYPE_MON { 0 } else { -1 };
        let num = self.entity.1.parse().unwrap_or(unnamed);
        let kind = self.entity.0;
        let make = |(index, &endpoint): (usize, &Endpoint)| {
            let name = match endpoint {
                Endpoint::Mgr => EntityName::mgr(0),
                _ => EntityName { kind, num },
            };
            let addrs = match self.is_client() {
                true => EntityAddrVec::default(),
                false => address(id, self.nonce(), endpoint).into(),
            };
            let mut config = Config::new(name, &self.entity.1, addrs, policies(endpoint, kind));
            if self.is_client() {
                config.nonce = ((id as u32) << 16) + self.life;
            }
            config.seed = rng.next();
            config.key_start = ADDRESSES + index as u64;
            config.key_step = ADDRESSES;
            Address { endpoint, messenger: Messenger::new(config), links: BTreeMap::new() }
        };
        endpoints.iter().enumerate().map(make).collect()
    }

    pub fn address_of(&mut self, conn: ConnId) -> Option<&mut Address> {
        self.addresses.get_mut((conn.0 % ADDRESSES) as usize)
    }

    pub fn at(&mut self, via: Endpoint) -> Option<(usize, &mut Address)> {
        self.addresses.iter_mut().enumerate().find(|(_, a)| a.endpoint == via)
    }

    /// What its clocks show.
    pub fn now(&self, world: Duration) -> Now {
        let wall = Duration::from_secs(EPOCH_SECS) + world;
        let off = Duration::from_nanos(self.wall_off.unsigned_abs());
        let wall = if self.wall_off < 0 { wall.saturating_sub(off) } else { wall + off };
        Now { mono: world + self.mono_ahead, wall: UTime::from_duration(wall) }
    }

    /// When the node or a messenger wants to be woken, in the world's time.
    pub fn deadline(&self) -> Option<Duration> {
        let node = self.node.as_ref()?.next_wakeup();
        let links = self.addresses.iter().filter_map(|a| a.messenger.next_deadline());
        links.chain(node).min().map(|at| at.saturating_sub(self.mono_ahead))
    }
}

/// Where a host listens: `10.0.x.y`, with fixed ports.
pub(crate) fn address(host: HostId, nonce: u32, via: Endpoint) -> EntityAddr {
    let (_, port) = PORTS.iter().find(|(e, _)| *e == via).expect("every endpoint has a port");
    EntityAddr::msgr2(SocketAddr::new(ip(host), *port), nonce)
}

pub(crate) fn ip(host: HostId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, (host / 250) as u8, (host % 250 + 1) as u8))
}

/// Whose address this is.
pub(crate) fn listener(hosts: usize, sock: SocketAddr) -> Option<(HostId, Endpoint)> {
    let (via, _) = PORTS.iter().find(|(_, port)| *port == sock.port())?;
    Some(((0..hosts).find(|h| ip(*h) == sock.ip())?, *via))
}

/// The policies that real daemons have (as in crate `runtime`).
fn policies(endpoint: Endpoint, our_type: u8) -> Policies {
    match endpoint {
        Endpoint::Cluster => Policies::between_osds(),
        Endpoint::Public if our_type == ENTITY_TYPE_OSD => Policies::for_clients(),
        Endpoint::Public | Endpoint::HbBack | Endpoint::HbFront | Endpoint::Mgr => Policies::stateless(),
    }
}

pub(crate) fn to_wire(m: MessageFrame) -> Wire {
    let MessageFrame { kind, tid, priority, version, compat_version, data_off, front, middle, data } = m;
    Wire { kind, tid, priority, version, compat_version, data_off, front, middle, data }
}

pub(crate) fn to_frame(w: Wire) -> MessageFrame {
    let Wire { kind, tid, priority, version, compat_version, data_off, front, middle, data } = w;
    MessageFrame { kind, tid, priority, version, compat_version, data_off, front, middle, data }
}
