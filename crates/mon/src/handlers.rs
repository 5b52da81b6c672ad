//! Messages in, by type.

use messages::{Body, ClogEntry, MConfig, MGetConfig, MLog, MLogAck, MMonGetOSDMap};
use messages::{MMonGetVersion, MMonGetVersionReply, MPing, Message};
use messages::{MStatfs, MStatfsReply};
use node::{ConnId, Now};
use types::UTime;

use crate::change::{Change, Space};
use crate::commands::df::pool_room;
use crate::core::{Cx, Mon};
use crate::state::meta;
use crate::subs::ping_front;

/// Lines of the cluster log that are kept.
const LOG_KEEP: usize = 2_000;

impl Mon {
    /// Whether handling this may change the replicated state.
    pub(crate) fn changes_state(&self, msg: &Message) -> bool {
        match &msg.body {
            Body::MMonCommand(m) => self.command_writes(&m.cmd),
            Body::MCommand(m) => self.command_writes(&m.cmd),
            Body::MPoolOp(_)
            | Body::MLog(_)
            | Body::MOSDBoot(_)
            | Body::MOSDAlive(_)
            | Body::MOSDFailure(_)
            | Body::MOSDMarkMeDown(_)
            | Body::MOSDPGTemp(_)
            | Body::MOSDPGCreated(_)
            | Body::MOSDPGReadyToMerge(_)
            | Body::MOSDFull(_) => true,
            _ => false,
        }
    }

    /// Whether any monitor can answer this by itself: what it may know later than the leader does no harm.
    pub(crate) fn is_local(&self, msg: &Message) -> bool {
        match &msg.body {
            Body::MMonGetMap(_)
            | Body::MMonSubscribe(_)
            | Body::MPing(_)
            | Body::MGetConfig(_)
            | Body::MMonGetOSDMap(_) => true,
            Body::MCommand(m) => self.is_local_command(&m.cmd),
            _ => false,
        }
    }

    pub(crate) fn dispatch(&mut self, cx: &mut Cx, conn: ConnId, msg: Message) {
        let Some(msg) = self.osd_message(cx, conn, msg) else { return };
        let tid = msg.tid;
        match msg.body {
            Body::MMonGetMap(_) => self.send_monmap(cx, conn),
            Body::MMonSubscribe(m) => self.subscribe(cx, conn, m),
            Body::MMonGetVersion(m) => self.get_version(cx, conn, tid, &m),
            Body::MMonCommand(m) => self.mon_command(cx, conn, tid, m),
            Body::MCommand(m) => self.tell_command(cx, conn, tid, m),
            Body::MPing(_) => self.ping(cx, conn),
            Body::MStatfs(m) => self.statfs(cx, conn, tid, &m),
            Body::MGetPoolStats(m) => self.pool_stats(cx, conn, tid, &m),
            Body::MPoolOp(m) => self.pool_op(cx, conn, tid, &m),
            Body::MLog(m) => self.cluster_log(cx, conn, m),
            Body::MGetConfig(m) => self.get_config(cx, conn, tid, &m),
            Body::MMonGetOSDMap(m) => self.get_osdmaps(cx, conn, tid, &m),
            Body::MMonGetPurgedSnaps(m) => {
                let reply = self.purged_snaps_since(&m);
                self.reply_message(cx, false, conn, tid, reply);
            }
            // Nothing that a client of ours would send; a newer one may, and gets along without.
            _ => {}
        }
    }

    fn get_version(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: &MMonGetVersion) {
        let (version, oldest_version) = match m.what.as_str() {
            "osdmap" => (self.state.osdmap.epoch.into(), self.state.first_map.into()),
            "monmap" => (self.monmap().epoch.into(), 1),
            "mgrmap" => (self.mgrmap().epoch.into(), 1),
            "fsmap" | "mdsmap" => (crate::fsmap::EPOCH.into(), 1),
            // As in Ceph, an unknown name is not answered.
            _ => return,
        };
        let reply = MMonGetVersionReply { handle: m.handle, version, oldest_version };
        self.reply_message(cx, false, conn, tid, reply);
    }

    /// A ping comes without a session, and is answered whatever state we are in.
    fn ping(&mut self, cx: &mut Cx, conn: ConnId) {
        let pong = types::dump::Dump::obj()
            .with("health", self.health_dump(cx.now, false))
            .with("mon_status", self.mon_status(cx.now));
        let json = pong.to_json();
        cx.send(conn, MPing { front: ping_front(&json) });
    }

    fn statfs(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: &MStatfs) {
        // Summed up now, not a tick ago: a cluster that has just come up has a size.
        let d = self.mgr_digest(cx.now);
        let mut reply = MStatfsReply {
            fsid: self.setup.fsid,
            version: self.state.osdmap.epoch.into(),
            kb: d.kb,
            kb_used: d.kb_used,
            kb_avail: d.kb_avail,
            num_objects: d.objects,
        };
        let map = &self.state.osdmap;
        if let Some((id, pool)) = m.data_pool.and_then(|id| Some((id, map.pool(id)?))) {
            let sum = d.pools.get(&id).cloned().unwrap_or_default();
            reply.kb_used = sum.bytes / 1024;
            reply.kb_avail = pool_room(self, map, pool) / 1024;
            reply.kb = reply.kb_used + reply.kb_avail;
            reply.num_objects = sum.objects;
        }
        self.reply_message(cx, false, conn, tid, reply);
    }

    fn get_config(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: &MGetConfig) {
        let kind = types::EntityName { kind: m.name.kind as u8, num: 0 };
        let mut who = self.who(&format!("{}.{}", kind.kind_str(), m.name.id), &m.host);
        if !m.device_class.is_empty() {
            who.device_class = Some(m.device_class.clone());
        }
        let config = self.config_for(&who);
        self.reply_message(cx, false, conn, tid, MConfig { config });
    }

    fn get_osdmaps(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: &MMonGetOSDMap) {
        // Ceph: at most this many maps an answer, full ones first.
        let max = self.config.u64("osd_map_message_max") as usize;
        let mut reply = self.map_message();
        let wanted = |first: u32, last: u32| (first > 0 && first <= last).then_some(first..=last).into_iter().flatten();
        for epoch in wanted(m.full_first, m.full_last).take(max) {
            self.full(cx, epoch).map(|bytes| reply.maps.insert(epoch, bytes));
        }
        for epoch in wanted(m.inc_first, m.inc_last).take(max.saturating_sub(reply.maps.len())) {
            self.inc(cx, epoch).map(|bytes| reply.incremental_maps.insert(epoch, bytes));
        }
        self.reply_message(cx, false, conn, tid, reply);
    }

    // --- the cluster log

    fn cluster_log(&mut self, cx: &mut Cx, conn: ConnId, m: MLog) {
        let Some(last) = m.entries.last() else { return };
        let ack = MLogAck { fsid: self.setup.fsid, last: last.seq, channel: last.channel.clone() };
        let known: Vec<(types::EntityName, u64, UTime)> =
            self.log_lines().map(|(_, e)| (e.rank, e.seq, e.stamp)).collect();
        let new = m.entries.into_iter().filter(|e| !known.contains(&(e.rank, e.seq, e.stamp)));
        self.pending.log.extend(new);
        self.reply_message(cx, true, conn, 0, ack);
    }

    /// The changes that add lines to the log and take the oldest away.
    pub(crate) fn log_changes(&self, now: Now, lines: Vec<ClogEntry>, changes: &mut Vec<Change>) {
        if lines.is_empty() {
            return;
        }
        let mut next: u64 = self.state.value(Space::Meta, meta::LOG_NEXT).unwrap_or(1);
        let added = lines.len();
        for mut line in lines {
            if line.stamp.is_zero() {
                self.sign(now, next, &mut line);
            }
            let value = denc::to_bytes(&line, types::features::ALL);
            changes.push(Change::Put { space: Space::ClusterLog, key: log_key(next), value });
            next += 1;
        }
        let value = denc::to_bytes(&next, 0);
        changes.push(Change::Put { space: Space::Meta, key: meta::LOG_NEXT.to_owned(), value });
        let have = self.state.space(Space::ClusterLog).count();
        let gone = self.state.space(Space::ClusterLog).take((have + added).saturating_sub(LOG_KEEP));
        changes.extend(gone.map(|(key, _)| Change::Rm { space: Space::ClusterLog, key: key.clone() }));
    }

    /// Fills in that it was this monitor, and when.
    fn sign(&self, now: Now, seq: u64, line: &mut ClogEntry) {
        line.name = messages::AuthName { kind: types::ENTITY_TYPE_MON.into(), id: self.setup.name.clone() };
        line.rank = types::EntityName::mon(self.rank().unwrap_or(0) as i64);
        line.addrs = self.setup.listening.public.into();
        line.stamp = now.wall;
        line.seq = seq;
    }
}

fn log_key(n: u64) -> String {
    format!("{n:016x}")
}
