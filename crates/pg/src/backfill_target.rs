//! The target's side of backfill: it lists what it has, takes what is pushed, removes what it is told to,
//! and remembers how far it is (Ceph: `do_scan`, `do_backfill`, `do_backfill_remove`).
//!
//! Invariant: `last_backfill` is stored no sooner than the objects up to it, for the primary speaks of it
//! only when they are acknowledged, and the store keeps the order of what it is given.

use denc::to_bytes;
use messages::{MOSDPGBackfill, MOSDPGBackfillRemove, MOSDPGScan};
use node::Level;
use os::TxOp;
use types::{OsdId, PgShard, features};

use crate::env::{Env, PgOutput};
use crate::pg::{Pg, Phase};

impl Pg {
    /// The primary wants to know what we have.
    pub(crate) fn send_list(&mut self, env: &mut Env, from: OsdId, m: MOSDPGScan) {
        let list = match self.list_objects(env, m.begin) {
            Ok(list) => list,
            Err(e) => {
                let text = format!("{} cannot list its objects to be backfilled: {e}", self.id.pgid);
                return env.cluster_log(Level::Error, text);
            }
        };
        let reply = MOSDPGScan {
            op: MOSDPGScan::DIGEST,
            map_epoch: self.map.epoch,
            query_epoch: m.query_epoch,
            from: PgShard::from(self.whoami),
            pgid: self.id,
            data: to_bytes(&list.objects, features::ALL),
            begin: list.begin,
            end: list.end,
        };
        env.send_osd(from, reply);
    }

    /// Up to `m.last_backfill` we have all.
    pub(crate) fn note_progress(&mut self, env: &mut Env, from: OsdId, m: MOSDPGBackfill) {
        let finish = m.op == MOSDPGBackfill::FINISH;
        if finish {
            self.release_reservations(env);
        }
        self.info.last_backfill = m.last_backfill;
        let held = self.info.stats.stats.sum.num_bytes;
        self.info.stats = m.stats;
        if !finish {
            // What is beyond is still here and takes space.
            self.info.stats.stats.sum.num_bytes = held;
        }
        self.dirty.info = true;
        self.write_metadata();
        let after = Some(self.submit(env));
        if finish {
            let ack = MOSDPGBackfill {
                op: MOSDPGBackfill::FINISH_ACK,
                map_epoch: self.map.epoch,
                query_epoch: m.query_epoch,
                pgid: self.id,
                ..MOSDPGBackfill::default()
            };
            env.out.push(PgOutput::ToOsd { osd: from, msg: ack.into(), after });
        }
    }

    /// Objects that we should not have.
    pub(crate) fn on_backfill_remove(&mut self, from: OsdId, m: MOSDPGBackfillRemove) {
        let serves = matches!(self.phase, Phase::ReplicaActive(_)) && from == self.ua.acting_primary;
        if self.is_stale(from, m.map_epoch) || !serves {
            return;
        }
        let coll = self.coll();
        for (soid, _) in m.objects {
            self.contexts.forget(&soid);
            self.txn.push(TxOp::Remove { coll, oid: soid.into() });
        }
    }
}
