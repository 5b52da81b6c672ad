//! Copies from object to object (`COPY_FROM`): the source's PG may be led by another OSD, or by us.
//!
//! The OSD that leads the destination asks the source's primary for one piece after another, as a client
//! would; the conversation itself is [`pg::ops::Fetch`]. It runs over the cluster network, and within this
//! OSD without one. Unlike Ceph, there is no general client in the OSD: copies are all that needs one.
//!
//! Invariants:
//! - An answer counts only if it is to the latest question: each has a number of its own.
//! - Questions only read, so asking again is harmless: that is what is done if an answer takes long,
//!   whatever the reason (a lost message, a new primary, a PG that is peering).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use messages::{Body, MOSDOpReply, Message};
use node::{ConnId, Now, Output, Peer, Token};
use os::ObjectRead;
use osdmap::OsdMap;
use pg::ops::{Copied, Fetch, RemoteCopy};
use types::dump::Dump;
use types::errno::ENOENT;
use types::{EntityName, OsdId, PgId, SpgId};

use crate::Osd;

/// The connection over which this OSD asks itself; the driver never gives out this number.
pub const OWN_CONN: ConnId = ConnId(u64::MAX - 1);

/// How long an answer may take before the question is asked again.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Copy {
    /// Who wants it.
    pg: SpgId,
    token: Token,
    fetch: Fetch,
    asked_at: Duration,
}

/// Copies under way.
#[derive(Debug, Default)]
pub struct Copies {
    /// By the number of the latest question.
    waiting: BTreeMap<u64, Copy>,
    last_tid: u64,
    /// Not asked for yet.
    new: VecDeque<(SpgId, Token, Fetch)>,
    /// Came, not looked at yet.
    answers: VecDeque<(u64, Box<MOSDOpReply>)>,
}

impl Copies {
    /// `objecter_requests`: what was asked, for which PG, and how long ago.
    pub fn dump(&self, now: Now) -> Dump {
        let ops = self.waiting.iter().map(|(tid, copy)| {
            Dump::obj()
                .with("tid", *tid)
                .with("pg", copy.pg.pgid.to_string())
                .with("age", now.mono.saturating_sub(copy.asked_at).as_secs_f64())
        });
        let none = |item| Dump::arr(item, Vec::<Dump>::new());
        Dump::obj()
            .with("ops", Dump::arr("op", ops))
            .with("linger_ops", none("linger_op"))
            .with("pool_ops", none("pool_op"))
            .with("pool_stat_ops", none("pool_stat_op"))
            .with("statfs_ops", none("statfs_op"))
            .with("command_ops", none("command_op"))
    }

    pub fn start(&mut self, pg: SpgId, token: Token, source: RemoteCopy) {
        self.new.push_back((pg, token, Fetch::new(source)));
    }

    /// Takes what a primary answered; backoffs are no answers.
    pub fn answered(&mut self, msg: Message) {
        if let Body::MOSDOpReply(reply) = msg.body {
            self.answers.push_back((msg.tid, reply));
        }
    }
}

impl Osd {
    /// Asks for what is new and goes on with what was answered, until nothing is left to do at once.
    pub(crate) fn run_copies(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        loop {
            if let Some((pg, token, fetch)) = self.copies.new.pop_front() {
                self.ask_for_copy(now, store, Copy { pg, token, fetch, asked_at: now.mono }, out);
            } else if let Some((tid, reply)) = self.copies.answers.pop_front() {
                let Some(mut copy) = self.copies.waiting.remove(&tid) else { continue };
                match copy.fetch.absorb(&reply) {
                    Some(copied) => self.copied(now, store, copy, copied, out),
                    None => self.ask_for_copy(now, store, copy, out),
                }
            } else {
                return;
            }
        }
    }

    pub(crate) fn ask_again_for_copies(&mut self, now: Now, store: &dyn ObjectRead, out: &mut Vec<Output>) {
        let late = self.copies.waiting.iter().filter(|(_, c)| c.asked_at + PATIENCE <= now.mono);
        for tid in late.map(|(tid, _)| *tid).collect::<Vec<_>>() {
            if let Some(copy) = self.copies.waiting.remove(&tid) {
                self.ask_for_copy(now, store, copy, out);
            }
        }
    }

    fn copied(&mut self, now: Now, store: &dyn ObjectRead, copy: Copy, copied: Copied, out: &mut Vec<Output>) {
        let Copy { pg, token, .. } = copy;
        self.with_pg(now, store, pg, out, |pg, env| pg.fetched(env, token, copied));
    }

    fn ask_for_copy(&mut self, now: Now, store: &dyn ObjectRead, mut copy: Copy, out: &mut Vec<Output>) {
        let Some(map) = self.maps.as_ref().map(|m| m.current().clone()) else { return };
        let Some((pgid, hash, primary)) = place(&map, copy.fetch.source()) else {
            let copied = Copied { source: copy.fetch.source().clone(), outcome: Err(ENOENT) };
            return self.copied(now, store, copy, copied, out);
        };
        self.copies.last_tid += 1;
        let tid = self.copies.last_tid;
        let msg = Message::new(copy.fetch.request(pgid, hash, map.epoch)).with_tid(tid);
        copy.asked_at = now.mono;
        self.copies.waiting.insert(tid, copy);
        if primary == self.setup.whoami {
            let peer = self.own_peer(&map);
            self.with_pg(now, store, pgid, out, |pg, env| pg.client_message(env, OWN_CONN, &peer, msg));
        } else {
            // Nowhere if the PG has no primary now; then the question is asked again.
            self.send_osd(primary, msg, None, out);
        }
    }

    /// Who we are to ourselves.
    fn own_peer(&self, map: &OsdMap) -> Arc<Peer> {
        let whoami = self.setup.whoami;
        Arc::new(Peer {
            name: EntityName::osd(whoami),
            addrs: map.cluster_addrs(whoami),
            features: types::features::ALL,
            global_id: 0,
            entity: format!("osd.{whoami}"),
        })
    }
}

/// Where an object is: its PG, its hash, and who leads. `None` if the pool is not there.
fn place(map: &OsdMap, source: &RemoteCopy) -> Option<(SpgId, u32, OsdId)> {
    let locator = &source.locator;
    let pool = map.pool(locator.pool)?;
    let hash = match u32::try_from(locator.hash) {
        Ok(hash) => hash,
        Err(_) => pool.hash_object(&source.oid, &locator.key, &locator.nspace),
    };
    let pgid = pool.raw_pg_to_pg(PgId::new(locator.pool, hash));
    Some((pgid.into(), hash, map.pg_to_up_acting(pgid).acting_primary))
}
