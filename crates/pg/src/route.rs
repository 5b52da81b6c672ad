//! Which PG a message is for, which map it needs, and what to do if the PG is not here.

use messages::{Body, MOSDPGLog, MOSDPGNotify2, Message};
use types::{Epoch, OsdId, PgInfo, PgNotify, PgQuery, PgQueryKind, SpgId};

use crate::env::Env;

/// Where a message belongs: the PG, and the map epoch that it needs. `None` if it is none of a PG's.
/// (`MOSDPGRemove` names several; ask for each with [`crate::Pg::peer_message`].)
pub fn route(msg: &Message) -> Option<(SpgId, Epoch)> {
    Some(match &msg.body {
        Body::MOSDOp(m) => (m.pgid, m.map_epoch),
        Body::MOSDBackoff(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGNotify2(m) => (m.spgid, m.notify.epoch_sent),
        Body::MOSDPGQuery2(m) => (m.spgid, m.query.epoch_sent),
        Body::MOSDPGInfo2(m) => (m.spgid, m.epoch_sent),
        Body::MOSDPGLog(m) => (m.spgid(), m.epoch),
        Body::MOSDPGLease(m) => (m.spgid, m.epoch),
        Body::MOSDPGLeaseAck(m) => (m.spgid, m.epoch),
        Body::MOSDPGTrim(m) => (m.pgid, m.epoch),
        Body::MOSDPGRemove(m) => (*m.pg_list.first()?, m.epoch),
        Body::MRecoveryReserve(m) => (m.pgid, m.query_epoch),
        Body::MBackfillReserve(m) => (m.pgid, m.query_epoch),
        Body::MOSDPGScan(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGBackfill(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGBackfillRemove(m) => (m.pgid, m.map_epoch),
        Body::MOSDRepOp(m) => (m.pgid, m.map_epoch),
        Body::MOSDRepOpReply(m) => (m.pgid, m.map_epoch),
        Body::MOSDScrubReserve(m) => (m.pgid, m.map_epoch),
        Body::MOSDRepScrub(m) => (m.pgid, m.map_epoch),
        Body::MOSDRepScrubMap(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGPush(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGPushReply(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGPull(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGRecoveryDelete(m) => (m.pgid, m.map_epoch),
        Body::MOSDPGRecoveryDeleteReply(m) => (m.pgid, m.map_epoch),
        _ => return None,
    })
}

/// The epoch from which on [`crate::Pg::create_for_peer`] needs maps for this message.
pub fn creation_epoch(msg: &Message) -> Option<Epoch> {
    match &msg.body {
        Body::MOSDPGNotify2(m) => Some(m.notify.epoch_sent),
        Body::MOSDPGLog(m) => Some(m.query_epoch),
        _ => None,
    }
}

/// What to do with a peer's message for a PG that this OSD does not have.
#[derive(Debug)]
pub enum Stray {
    /// Make the PG with [`crate::Pg::create_for_peer`] and give it the message.
    Create,
    Reply(Box<Message>),
    Ignore,
}

/// Decides on a peer's message for a PG that is not here (Ceph: OSD::handle_pg_query_nopg, and
/// `PGPeeringEvent::create_info`). `env.map` must be at the epoch that [`route`] names or later.
pub fn stray_message(env: &mut Env, _from: OsdId, msg: &Message) -> Stray {
    match &msg.body {
        Body::MOSDPGNotify2(m) if env.map.pg_exists(m.spgid.pgid) => Stray::Create,
        Body::MOSDPGLog(m) if env.map.pg_exists(m.spgid().pgid) => Stray::Create,
        Body::MOSDPGQuery2(m) => Stray::Reply(Box::new(nothing_here(env, m.spgid, &m.query))),
        _ => Stray::Ignore,
    }
}

fn nothing_here(env: &Env, pgid: SpgId, query: &PgQuery) -> Message {
    let info = PgInfo::new(pgid);
    let epoch = env.map.epoch;
    match query.kind {
        PgQueryKind::Info => {
            let notify = PgNotify { query_epoch: query.epoch_sent, epoch_sent: epoch, info, ..PgNotify::default() };
            MOSDPGNotify2 { spgid: pgid, notify }.into()
        }
        _ => MOSDPGLog { epoch, query_epoch: query.epoch_sent, info, ..MOSDPGLog::default() }.into(),
    }
}
