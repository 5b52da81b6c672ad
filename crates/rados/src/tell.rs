//! Commands to single daemons: sent over a connection to each, again when it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use messages::{MCommand, MMgrCommand, Message};
use node::{ConnId, Dest, Endpoint, Now, Output, Peer};
use osdmap::OsdMap;
use types::{EntityAddrVec, EntityName, MgrMap, MonMap, Uuid, errno};

use crate::request::{CommandReply, Place, RequestId, TellTarget};

/// Which message carries a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Tell(TellTarget),
    /// For the cluster, at the active manager.
    Cluster,
}

#[derive(Debug, Clone)]
struct Told {
    request: RequestId,
    kind: Kind,
    cmd: String,
    data: Bytes,
    /// Where it is, once sent.
    sent: Option<EntityAddrVec>,
}

const RETRY: Duration = Duration::from_millis(250);

/// The maps that say where daemons are.
pub(crate) struct Maps<'a> {
    pub osd: &'a OsdMap,
    pub mgr: Option<&'a MgrMap>,
    pub mon: Option<&'a MonMap>,
}

#[derive(Debug, Default)]
pub(crate) struct Tells {
    waiting: BTreeMap<u64, Told>,
    conns: BTreeMap<ConnId, EntityAddrVec>,
    retry_at: Option<Duration>,
}

impl Tells {
    pub fn add(&mut self, tid: u64, request: RequestId, kind: Kind, cmd: String, data: Bytes) {
        self.waiting.insert(tid, Told { request, kind, cmd, data, sent: None });
    }

    pub fn cancel(&mut self, request: RequestId) {
        self.waiting.retain(|_, t| t.request != request);
    }

    /// Sends what is not sent, as far as the maps say where to. Gives those that can never be.
    #[must_use]
    pub fn send(&mut self, maps: &Maps<'_>, fsid: Uuid, out: &mut Vec<Output>) -> Vec<(RequestId, i32)> {
        let mut failed = Vec::new();
        self.waiting.retain(|tid, told| {
            if told.sent.is_some() {
                return true;
            }
            match place(&told.kind, maps) {
                Ok(Some(Place { name, addrs })) => {
                    let to = Dest::Peer { via: Endpoint::Public, name, addrs: addrs.clone() };
                    told.sent = Some(addrs);
                    out.push(Output::Send { to, msg: told.message(fsid).with_tid(*tid), after: None });
                    true
                }
                Ok(None) => true,
                Err(errno) => {
                    failed.push((told.request, errno));
                    false
                }
            }
        });
        failed
    }

    /// A map changed: what was sent to who is no longer there goes again.
    pub fn maps_changed(&mut self, maps: &Maps<'_>) {
        for told in self.waiting.values_mut().filter(|t| t.sent.is_some()) {
            let now = place(&told.kind, maps).ok().flatten().map(|p| p.addrs);
            if now != told.sent {
                told.sent = None;
            }
        }
    }

    pub fn connected(&mut self, conn: ConnId, peer: &Peer) {
        self.conns.insert(conn, peer.addrs.clone());
    }

    pub fn reset(&mut self, now: Now, conn: ConnId) {
        if let Some(addrs) = self.conns.remove(&conn) {
            self.failed(now, &addrs);
        }
    }

    /// Nobody answers there: tried again soon.
    pub fn failed(&mut self, now: Now, addrs: &EntityAddrVec) {
        for told in self.waiting.values_mut().filter(|t| t.sent.as_ref() == Some(addrs)) {
            told.sent = None;
            self.retry_at = Some(now.mono + RETRY);
        }
    }

    pub fn done(&mut self, tid: u64, r: i32, rs: String, data: Bytes) -> Option<(RequestId, CommandReply)> {
        let told = self.waiting.remove(&tid)?;
        Some((told.request, CommandReply { r, rs, data }))
    }

    pub fn next_wakeup(&self) -> Option<Duration> {
        self.retry_at
    }

    /// Whether it is time to [`Self::send`] again.
    pub fn wake(&mut self, now: Now) -> bool {
        let due = self.retry_at.is_some_and(|at| at <= now.mono);
        if due {
            self.retry_at = None;
        }
        due
    }
}

impl Told {
    fn message(&self, fsid: Uuid) -> Message {
        let (cmd, data) = (vec![self.cmd.clone()], self.data.clone());
        match self.kind {
            Kind::Tell(_) => MCommand { fsid, cmd, data }.into(),
            Kind::Cluster => MMgrCommand { fsid, cmd, data }.into(),
        }
    }
}

/// Where a command goes; `None`: not yet known.
fn place(kind: &Kind, maps: &Maps<'_>) -> Result<Option<Place>, i32> {
    match kind {
        Kind::Tell(TellTarget::Osd(_)) if maps.osd.epoch == 0 => Ok(None),
        Kind::Tell(TellTarget::Osd(id)) if !maps.osd.exists(*id) => Err(errno::ENOENT),
        Kind::Tell(TellTarget::Osd(id)) if !maps.osd.is_up(*id) => Err(errno::ENXIO),
        Kind::Tell(TellTarget::Osd(id)) => Ok(Some(Place { name: EntityName::osd(*id), addrs: maps.osd.addrs(*id) })),
        Kind::Tell(TellTarget::Mgr) | Kind::Cluster => Ok(maps
            .mgr
            .filter(|m| m.available && !m.active_addrs.is_empty())
            .map(|m| Place { name: EntityName::mgr(m.active_gid as i64), addrs: m.active_addrs.clone() })),
        Kind::Tell(TellTarget::Mon(who)) => {
            let Some(map) = maps.mon else { return Ok(None) };
            let found = map.by_rank().find(|(rank, m)| m.name == *who || rank.to_string() == *who);
            let (rank, mon) = found.ok_or(errno::ENOENT)?;
            Ok(Some(Place { name: EntityName::mon(rank as i64), addrs: mon.public_addrs.clone() }))
        }
    }
}
