//! Telling clients to hold back ops that cannot be served for a while, so that they do not pile up
//! here (Ceph: `Backoff`, doc/dev/osd_internals/backoff).
//!
//! Invariant: a client that was told to block a range is told to unblock it, at the latest when the
//! interval ends, or loses its session. It would wait forever else.

use std::collections::BTreeMap;

use messages::{BackoffOp, MOSDBackoff};
use node::ConnId;
use types::HObject;

use crate::client::ClientOp;
use crate::env::{Env, PgOutput};
use crate::pg::Pg;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Backoff {
    id: u64,
    begin: HObject,
    /// Equal to `begin`: this object only.
    end: HObject,
}

impl Backoff {
    fn covers(&self, soid: &HObject) -> bool {
        *soid == self.begin || *soid >= self.begin && *soid < self.end
    }
}

#[derive(Debug, Default)]
pub(crate) struct Backoffs {
    by_conn: BTreeMap<ConnId, Vec<Backoff>>,
}

impl Backoffs {
    /// Whether the client was told not to send this.
    pub fn blocks(&self, conn: ConnId, soid: &HObject) -> bool {
        !self.by_conn.is_empty() && self.by_conn.get(&conn).is_some_and(|l| l.iter().any(|b| b.covers(soid)))
    }

    pub fn conn_reset(&mut self, conn: ConnId) {
        self.by_conn.remove(&conn);
    }
}

impl Pg {
    /// Blocks the whole PG.
    pub(crate) fn back_off_pg(&mut self, env: &mut Env, op: &ClientOp) {
        let (begin, end) = (self.id.pgid.hobj_start(), self.id.pgid.hobj_end(self.pool.pg_num));
        self.back_off(env, op.conn, begin, end);
    }

    pub(crate) fn back_off_object(&mut self, env: &mut Env, op: &ClientOp, soid: HObject) {
        self.back_off(env, op.conn, soid.clone(), soid);
    }

    fn back_off(&mut self, env: &mut Env, conn: ConnId, begin: HObject, end: HObject) {
        // Unique in the client's session, which all PGs of this OSD share.
        let id = env.tokens.next().0;
        let backoff = Backoff { id, begin, end };
        self.send_backoff(env, conn, BackoffOp::Block, &backoff);
        self.backoffs.by_conn.entry(conn).or_default().push(backoff);
    }

    fn send_backoff(&self, env: &mut Env, conn: ConnId, op: BackoffOp, b: &Backoff) {
        let m = MOSDBackoff {
            pgid: self.id,
            map_epoch: self.map.epoch,
            op,
            id: b.id,
            begin: b.begin.clone(),
            end: b.end.clone(),
        };
        env.out.push(PgOutput::ToClient { conn, msg: m.into(), after: None });
    }

    /// Lets go of all that `frees` says.
    fn release(&mut self, env: &mut Env, frees: impl Fn(&Backoff) -> bool) {
        for (conn, list) in std::mem::take(&mut self.backoffs.by_conn) {
            let (free, keep): (Vec<_>, Vec<_>) = list.into_iter().partition(&frees);
            for b in &free {
                self.send_backoff(env, conn, BackoffOp::Unblock, b);
            }
            if !keep.is_empty() {
                self.backoffs.by_conn.insert(conn, keep);
            }
        }
    }

    /// The interval is over.
    pub(crate) fn release_all_backoffs(&mut self, env: &mut Env) {
        self.release(env, |_| true);
    }

    /// The PG is active.
    pub(crate) fn release_pg_backoffs(&mut self, env: &mut Env) {
        self.release(env, |b| b.begin != b.end);
    }

    /// The object is there, or known to be gone.
    pub(crate) fn release_object_backoffs(&mut self, env: &mut Env, soid: &HObject) {
        self.release(env, |b| b.begin == *soid && b.end == *soid);
    }
}
