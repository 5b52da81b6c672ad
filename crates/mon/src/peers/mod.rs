//! The other monitors: where they are, and what is sent to them.
//!
//! Each monitor speaks over connections that it makes itself, and hears over those that others make: lossy
//! ones, as all that is said may be lost. A peer that does not answer costs one attempt to connect at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use messages::{MMonPeer, Message};
use node::{ConnId, Dest, Endpoint, Output, Peer, Token};
use quorum::MemberId;
use types::{EntityAddr, EntityAddrVec, EntityName};

use crate::core::{Cx, Mon};

pub mod wire;

pub use wire::{Answer, Ask, Envelope, Hello, PeerMsg, Who};

/// Before somebody who refused is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// A connection that does not come about in this time is begun anew.
const DIAL: Duration = Duration::from_secs(2);
/// Somebody who is spoken to and says nothing for so long gets a new connection: this one may be dead.
const SILENCE: Duration = Duration::from_secs(4);
/// So much waits for a connection; what is beyond is lost.
const WAITING_MAX: usize = 64;
const STRANGERS_MAX: usize = 64;

/// Where a monitor is, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    pub addr: EntityAddr,
    pub rank: i64,
}

#[derive(Debug)]
enum Link {
    Down { retry: Duration },
    Dialling { since: Duration, waiting: VecDeque<(Message, Option<Token>)> },
    Up { conn: ConnId },
}

/// The connections to and from other monitors.
#[derive(Debug, Default)]
pub struct Links {
    to: BTreeMap<EntityAddr, Link>,
    heard: BTreeMap<EntityAddr, Duration>,
    /// Where those are who have spoken to us, whether we know them or not.
    strangers: BTreeMap<MemberId, EntityAddr>,
    /// Those that monitors made.
    from: BTreeSet<ConnId>,
}

impl Links {
    pub fn send(&mut self, cx: &mut Cx, rank: i64, addr: EntityAddr, msg: Message, after: Option<Token>) {
        let now = cx.now.mono;
        let heard = *self.heard.entry(addr).or_insert(now);
        let link = self.to.entry(addr).or_insert(Link::Down { retry: Duration::ZERO });
        match link {
            Link::Up { conn } if now.saturating_sub(heard) > SILENCE => {
                cx.out.push(Output::Close { conn: *conn });
                self.heard.insert(addr, now);
                *link = Link::Down { retry: Duration::ZERO };
            }
            Link::Dialling { since, .. } if now.saturating_sub(*since) > DIAL => {
                cx.out.push(Output::ClosePeer { via: Endpoint::Public, addrs: addr.into() });
                *link = Link::Down { retry: Duration::ZERO };
            }
            _ => {}
        }
        match link {
            Link::Up { conn } => cx.out.push(Output::Send { to: Dest::Conn(*conn), msg, after }),
            Link::Dialling { waiting, .. } if waiting.len() < WAITING_MAX => waiting.push_back((msg, after)),
            Link::Dialling { .. } => {}
            Link::Down { retry } if *retry <= now => {
                let to = Dest::Peer { via: Endpoint::Public, name: EntityName::mon(rank), addrs: addr.into() };
                cx.out.push(Output::Send { to, msg, after });
                *link = Link::Dialling { since: now, waiting: VecDeque::new() };
            }
            Link::Down { .. } => {}
        }
    }

    /// A connection of a monitor is ready, one that it made or that we made.
    pub fn connected(&mut self, cx: &mut Cx, conn: ConnId, peer: &Peer, incoming: bool) {
        if incoming {
            self.from.insert(conn);
            return;
        }
        let found = self
            .to
            .iter_mut()
            .find(|(addr, link)| peer.addrs.0.contains(addr) && matches!(link, Link::Dialling { .. }));
        let Some((addr, link)) = found else { return };
        self.heard.insert(*addr, cx.now.mono);
        if let Link::Dialling { waiting, .. } = std::mem::replace(link, Link::Up { conn }) {
            for (msg, after) in waiting {
                cx.out.push(Output::Send { to: Dest::Conn(conn), msg, after });
            }
        }
    }

    /// A connection is gone; gives whose, if it was one of ours to a monitor.
    pub fn reset(&mut self, conn: ConnId) -> Option<EntityAddr> {
        self.from.remove(&conn);
        let (addr, link) = self.to.iter_mut().find(|(_, l)| matches!(l, Link::Up { conn: c } if *c == conn))?;
        *link = Link::Down { retry: Duration::ZERO };
        Some(*addr)
    }

    pub fn refused(&mut self, now: Duration, addrs: &EntityAddrVec) {
        for addr in &addrs.0 {
            if let Some(link) = self.to.get_mut(addr).filter(|l| matches!(l, Link::Dialling { .. })) {
                *link = Link::Down { retry: now + RETRY };
            }
        }
    }

    pub fn is_from_mon(&self, conn: ConnId) -> bool {
        self.from.contains(&conn)
    }

    pub fn heard(&mut self, now: Duration, from: MemberId, addr: EntityAddr) {
        self.heard.insert(addr, now);
        self.strangers.insert(from, addr);
        if self.strangers.len() > STRANGERS_MAX {
            self.strangers.pop_first();
        }
    }
}

impl Mon {
    /// Where a member is, by the state; before there is one, by what we were started with.
    pub(crate) fn mon_place(&self, id: MemberId) -> Option<Place> {
        if let Some((name, addr)) = self.learners.get(&id) {
            return Some(Place { name: name.clone(), addr: *addr, rank: -1 });
        }
        if let Some(members) = self.member_names() {
            let map = self.monmap();
            let name = members.into_iter().find(|(_, m)| *m == id)?.0;
            let addr = map.mons.get(&name)?.public_addrs.0.first().copied()?;
            let rank = map.rank_of(&name)? as i64;
            return Some(Place { name, addr, rank });
        }
        let at = usize::try_from(id).ok()?;
        let (name, addr) = self.setup.mons.get(at)?.clone();
        Some(Place { name, addr, rank: at as i64 })
    }

    /// Where to send what a member is to get: also one that the state does not know yet, or knows no more.
    fn address(&self, id: MemberId) -> Option<(i64, EntityAddr)> {
        let known = self.mon_place(id).map(|p| (p.rank, p.addr));
        known.or_else(|| self.links.strangers.get(&id).map(|addr| (-1, *addr)))
    }

    pub(crate) fn send_peer(&mut self, cx: &mut Cx, to: MemberId, body: PeerMsg, after: Option<Token>) {
        if let Some((rank, addr)) = self.address(to) {
            self.send_peer_at(cx, rank, addr, body, after);
        }
    }

    pub(crate) fn send_peer_at(
        &mut self,
        cx: &mut Cx,
        rank: i64,
        addr: EntityAddr,
        body: PeerMsg,
        after: Option<Token>,
    ) {
        if self.apart {
            return;
        }
        let at = self.setup.listening.public;
        let envelope = Envelope { fsid: self.setup.fsid, from: self.log.me(), at, body };
        let payload = denc::to_bytes(&envelope, types::features::ALL);
        self.links.send(cx, rank, addr, MMonPeer { payload }.into(), after);
    }

    pub(crate) fn peer_message(&mut self, cx: &mut Cx, conn: ConnId, m: MMonPeer) {
        if self.apart || !self.links.is_from_mon(conn) {
            return;
        }
        let Ok(Envelope { fsid, from, at, body }) = denc::from_bytes::<Envelope>(m.payload) else { return };
        if fsid != self.setup.fsid {
            if let PeerMsg::Join { addr, .. } = body {
                let why = format!("this is a monitor of cluster {}, not of {fsid}", self.setup.fsid);
                self.send_peer_at(cx, -1, addr, PeerMsg::Refused { why, fatal: true }, None);
            }
            return;
        }
        self.links.heard(cx.now.mono, from, at);
        match body {
            PeerMsg::Raft(m) if m.from == from => {
                self.mind_strangers(cx, from);
                self.log.step(m);
                self.drive(cx);
            }
            PeerMsg::Raft(_) => {}
            PeerMsg::Ask { rid, ask } => self.asked(cx, from, rid, ask),
            PeerMsg::Answer { rid, applied, answer } => self.answered(cx, rid, applied, answer),
            PeerMsg::Join { name, addr } => self.on_join(cx, from, name, addr),
            PeerMsg::Refused { why, fatal } => self.on_refused_join(cx, &why, fatal),
            PeerMsg::WhatTime { round } => self.on_time_asked(cx, from, round),
            PeerMsg::Time { round, stamp } => self.on_time_told(cx, from, round, stamp),
            PeerMsg::Connected { counts } => self.on_connected_told(from, counts),
        }
    }
}
