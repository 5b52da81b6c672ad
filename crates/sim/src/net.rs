//! The network: sockets as two pipes of bytes, each in order, late, and sometimes broken.
//!
//! Hosts speak through crate `msgr`; what it hands to a socket arrives here as pieces. What a network can
//! do to TCP is done to them:
//! - Every piece is late by chance; pieces of one direction keep their order, those of others do not.
//! - A cut ([`Net::is_cut`], for one direction) holds pieces back; when it ends they go on, or the
//!   connection turns out to be dead.
//! - A connection may break at any piece: what is under way is lost, and both ends hear of it, late.
//! - A process that ends closes its sockets; what it wrote before still arrives. A host without power says
//!   nothing at all: its peers notice once it has power again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use msgr::LinkKey;

use crate::world::HostId;

/// A connection's number in the world.
pub(crate) type PipeId = usize;

#[derive(Debug, Clone)]
pub(crate) struct End {
    pub host: HostId,
    pub life: u32,
    /// Which of the host's addresses.
    pub address: usize,
    /// `None` before the socket is accepted, and once this end is done with it.
    pub link: Option<LinkKey>,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// The sender has closed its socket.
    End,
}

/// One connection. End 0 dialled.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub ends: [End; 2],
    /// Under way, by sender.
    pub flight: [VecDeque<Piece>; 2],
    /// How many arrivals are scheduled; fewer than `flight` holds once some were held back by a cut.
    pub scheduled: [usize; 2],
    pub last_arrival: [Duration; 2],
    pub broken: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Net {
    pub pipes: Vec<Pipe>,
    /// From whom nothing reaches whom.
    cuts: BTreeSet<(HostId, HostId)>,
}

impl Net {
    pub fn open(&mut self, ends: [End; 2]) -> PipeId {
        self.pipes.push(Pipe {
            ends,
            flight: Default::default(),
            scheduled: [0; 2],
            last_arrival: [Duration::ZERO; 2],
            broken: false,
        });
        self.pipes.len() - 1
    }

    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.cuts.insert((from, to));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    pub fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }

    pub fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// Whether a new connection could not be made: it takes packets both ways.
    pub fn is_apart(&self, a: HostId, b: HostId) -> bool {
        self.is_cut(a, b) || self.is_cut(b, a)
    }

    /// The connections that are made, not broken, and have an end at this host; with that end.
    pub fn of_host(&self, host: HostId) -> Vec<(PipeId, usize)> {
        let alive = self.pipes.iter().enumerate().filter(|(_, p)| !p.broken);
        alive.filter_map(|(id, p)| Some((id, p.ends.iter().position(|e| e.host == host && e.life > 0)?))).collect()
    }
}
