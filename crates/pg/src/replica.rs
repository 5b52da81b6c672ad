//! `Started/Stray` and `Started/ReplicaActive`: the other side of peering.

use messages::{MOSDPGInfo2, MOSDPGLog, MOSDPGNotify2, MOSDPGTrim};
use node::Level;
use types::{EVersion, Epoch, HObject, OsdId, PgInfo, PgNotify, PgQuery, PgQueryKind};

use crate::env::Env;
use crate::merge::{merge_log, rewind_divergent};
use crate::pg::{OnCommit, Pg, Phase, ReplicaActive};

impl Pg {
    /// Tells the primary that there is a copy here.
    pub(crate) fn notify_primary(&mut self, env: &mut Env) {
        let primary = self.ua.acting_primary;
        if !self.send_notify || primary < 0 || primary == self.whoami {
            return;
        }
        let epoch = self.map.epoch;
        self.send_info(env, primary, epoch);
    }

    fn send_info(&mut self, env: &mut Env, to: OsdId, query_epoch: Epoch) {
        self.leases.refresh_history(env.now.mono, &mut self.info.history);
        let notify = PgNotify {
            query_epoch,
            epoch_sent: self.map.epoch,
            info: self.info.clone(),
            past_intervals: self.past.clone(),
            ..PgNotify::default()
        };
        env.send_osd(to, MOSDPGNotify2 { spgid: self.id, notify });
    }

    pub(crate) fn on_query(&mut self, env: &mut Env, from: OsdId, query: PgQuery) {
        let answers = matches!(self.phase, Phase::Stray | Phase::ReplicaActive(_));
        if self.is_old(query.epoch_sent, query.epoch_sent) || !answers || from != self.ua.acting_primary {
            return;
        }
        self.update_history(env, &query.history);
        if query.kind == PgQueryKind::Info {
            return self.send_info(env, from, query.epoch_sent);
        }
        let since = match query.kind {
            PgQueryKind::Log if query.since >= self.log.tail => query.since,
            PgQueryKind::Log if !query.since.is_zero() => {
                let text = format!(
                    "{} was asked for the log since {}, but it begins at {}; sent all of it",
                    self.id.pgid, query.since, self.log.tail
                );
                env.cluster_log(Level::Error, text);
                EVersion::ZERO
            }
            _ => EVersion::ZERO,
        };
        let m = MOSDPGLog {
            epoch: self.map.epoch,
            query_epoch: query.epoch_sent,
            info: self.info.clone(),
            log: self.log.copy_after(since),
            missing: self.missing.to_wire(),
            ..MOSDPGLog::default()
        };
        env.send_osd(from, m);
    }

    // --- Stray: the primary activates us

    /// Our log is the primary's, but perhaps with writes of our own behind it.
    pub(crate) fn stray_info(&mut self, env: &mut Env, from: OsdId, m: MOSDPGInfo2) {
        if from != self.ua.acting_primary || self.info.last_update < m.info.last_update {
            return;
        }
        if self.info.last_update > m.info.last_update {
            if m.info.last_update < self.log.tail {
                return;
            }
            let removed = rewind_divergent(&mut self.log, &mut self.missing, &mut self.info, m.info.last_update);
            self.remove_objects(removed);
            self.info.stats = m.info.stats.clone();
        }
        if let Some(lease) = &m.lease {
            self.take_lease(env, from, lease);
        }
        self.activate_as_replica(env, m.info.last_epoch_started);
    }

    /// The primary sends what we lack of its log.
    pub(crate) fn stray_log(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLog) {
        if from != self.ua.acting_primary {
            return;
        }
        if m.info.last_backfill == HObject::min() {
            if !is_sane(&m) {
                let text = format!("{} osd.{from} sent a log to start from that makes no sense", self.id);
                return env.cluster_log(Level::Error, text);
            }
            self.restart_as_backfill_target(&m);
        } else if !self.follow_log(env, &m) {
            return;
        }
        if let Some(lease) = &m.lease {
            self.take_lease(env, from, lease);
        }
        self.activate_as_replica(env, m.info.last_epoch_started);
    }

    /// What we have counts for nothing. The objects stay: backfill compares their versions and replaces
    /// those that differ (Ceph: `reset_backfill_claim_log`).
    fn restart_as_backfill_target(&mut self, m: &MOSDPGLog) {
        self.info = PgInfo { pgid: self.info.pgid, ..m.info.clone() };
        self.log.replace(m.log.clone());
        self.info.log_tail = self.log.tail;
        self.missing.clear();
        self.dirty.big = true;
    }

    fn follow_log(&mut self, env: &mut Env, m: &MOSDPGLog) -> bool {
        match merge_log(&mut self.log, &mut self.missing, &mut self.info, &m.info, m.log.clone()) {
            Ok(removed) => {
                self.remove_objects(removed);
                self.dirty.big = true;
                true
            }
            Err(e) => {
                env.cluster_log(Level::Error, format!("{} cannot follow its primary's log: {e}", self.id.pgid));
                false
            }
        }
    }

    fn activate_as_replica(&mut self, env: &mut Env, activation: Epoch) {
        if self.is_acting(self.whoami) && self.info.last_epoch_started < activation {
            self.info.last_epoch_started = activation;
            self.info.last_interval_started = self.info.history.same_interval_since;
        }
        self.enter(env, Phase::ReplicaActive(ReplicaActive::default()));
        self.activate_self();
        self.then.push(OnCommit::Activated { reset: self.last_peering_reset, activation });
    }

    // --- ReplicaActive

    pub(crate) fn replica_activate_committed(&mut self, env: &mut Env, activation: Epoch) {
        if let Phase::ReplicaActive(r) = &mut self.phase {
            r.committed = true;
        }
        self.last_complete_ondisk = self.info.last_complete;
        self.acknowledge_activation_of(env, activation);
    }

    /// Tells the primary (again) that we are active, if that is on disk.
    pub(crate) fn acknowledge_activation(&mut self, env: &mut Env) {
        if matches!(&self.phase, Phase::ReplicaActive(r) if r.committed) {
            self.acknowledge_activation_of(env, self.info.last_epoch_started);
        }
    }

    fn acknowledge_activation_of(&mut self, env: &mut Env, activation: Epoch) {
        let mut info = self.info.clone();
        info.history.last_epoch_started = activation;
        info.history.last_interval_started = info.history.same_interval_since;
        let epoch = self.map.epoch;
        let m = MOSDPGInfo2 {
            spgid: self.id,
            epoch_sent: epoch,
            min_epoch: epoch,
            info,
            lease: None,
            lease_ack: Some(self.leases.ack()),
        };
        env.send_osd(self.ua.acting_primary, m);
    }

    /// The primary shares the history (Ceph: `proc_primary_info`).
    pub(crate) fn replica_info(&mut self, env: &mut Env, from: OsdId, m: &MOSDPGInfo2) {
        if from != self.ua.acting_primary {
            return;
        }
        self.update_history(env, &m.info.history);
        if self.info.purged_snaps != m.info.purged_snaps {
            self.info.purged_snaps = m.info.purged_snaps.clone();
            self.dirty.info = true;
        }
        if let Some(lease) = &m.lease {
            self.take_lease(env, from, lease);
        }
    }

    /// The primary is not sure that we heard that we are active. What it says of the log was said before,
    /// and is done: nothing is written until it has our word.
    pub(crate) fn replica_log(&mut self, env: &mut Env, from: OsdId, m: MOSDPGLog) {
        if from != self.ua.acting_primary {
            return;
        }
        if let Some(lease) = &m.lease {
            self.take_lease(env, from, lease);
        }
        self.acknowledge_activation(env);
    }

    /// To a replica: trim your log. To the primary: a replica is complete up to here.
    pub(crate) fn on_trim(&mut self, env: &mut Env, from: OsdId, m: MOSDPGTrim) {
        if self.is_stale(from, m.epoch) {
            return;
        }
        match self.phase {
            Phase::ReplicaActive(_) if m.trim_to <= self.info.last_update => {
                self.log.trim(m.trim_to, env.cfg.pg_log_dups_tracked);
                self.dirty.info = true;
            }
            Phase::Active(_) => {
                self.peers.last_complete_ondisk.insert(from, m.trim_to);
                self.calc_min_last_complete();
            }
            _ => (),
        }
    }

    /// `last_complete` of this copy is on disk. One that has caught up says so.
    pub(crate) fn complete_on_disk(&mut self, env: &mut Env, version: EVersion) {
        self.last_complete_ondisk = self.last_complete_ondisk.max(version);
        if self.last_complete_ondisk != self.info.last_update {
            return;
        }
        if self.is_primary() {
            self.calc_min_last_complete();
        } else if matches!(self.phase, Phase::ReplicaActive(_)) {
            let m = MOSDPGTrim { epoch: self.map.epoch, pgid: self.id, trim_to: self.last_complete_ondisk };
            env.send_osd(self.ua.acting_primary, m);
        }
    }
}

/// Whether a log that is to replace ours is in order and ends where its sender says it stands.
fn is_sane(m: &MOSDPGLog) -> bool {
    let log = &m.log;
    let rising = log.log.iter().zip(log.log.iter().skip(1)).all(|(a, b)| a.version < b.version);
    let inside = log.log.iter().all(|e| e.version > log.tail && e.version <= log.head);
    rising && inside && log.tail <= log.head && log.head == m.info.last_update
}
