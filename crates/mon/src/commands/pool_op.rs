//! What librados asks of pools by message: create, delete, snapshots (Ceph: `OSDMonitor::prepare_pool_op`).

use messages::{MGetPoolStats, MPoolOp, MPoolOpReply, PoolOp};
use node::ConnId;
use types::{PoolId, UTime, errno, pool};

use crate::core::{Cx, Mon};
use crate::osd_service::NewPool;

impl Mon {
    pub(crate) fn pool_op(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: &MPoolOp) {
        let mut data = bytes::Bytes::new();
        let result = if m.fsid != self.setup.fsid { Err(errno::EINVAL) } else { self.do_pool_op(cx, m, &mut data) };
        let code = result.map_or_else(|e| -e, |()| 0);
        let epoch = if self.pending.is_empty() { self.state.osdmap.epoch } else { self.map().epoch() };
        let reply = MPoolOpReply {
            paxos: u64::from(epoch).into(),
            fsid: self.setup.fsid,
            reply_code: code.cast_unsigned(),
            epoch,
            response_data: data,
        };
        if code >= 0 {
            self.remember(cx, &messages::Message::new(reply.clone()).with_tid(tid));
        }
        self.reply_message(cx, true, conn, tid, reply);
    }

    fn do_pool_op(&mut self, cx: &mut Cx, m: &MPoolOp, data: &mut bytes::Bytes) -> Result<(), i32> {
        let now = cx.now.wall;
        if m.op == PoolOp::Create {
            if self.map().pool_id(&m.name).is_some() {
                return Ok(());
            }
            let rule_id = u32::try_from(m.crush_rule).ok();
            let want = NewPool { name: m.name.clone(), rule_id, ..NewPool::default() };
            return self.new_pool(now, &want).map(|_| ()).map_err(|(e, _)| e);
        }
        let id = PoolId::from(m.pool);
        if self.map().pool(id).is_none() {
            return if m.op == PoolOp::Delete { Ok(()) } else { Err(errno::ENOENT) };
        }
        // A message that comes again, or later than another client's, finds done what it asks for.
        let done_is_fine = |result, done| if result == Err(done) { Ok(()) } else { result };
        match m.op {
            PoolOp::Delete => self.pool_delete(id),
            PoolOp::CreateSnap => done_is_fine(self.pool_snap_create(now, id, &m.name), errno::EEXIST),
            PoolOp::DeleteSnap => done_is_fine(self.pool_snap_remove(id, &m.name), errno::ENOENT),
            PoolOp::CreateUnmanagedSnap => {
                let snap = self.unmanaged_snap_create(id)?;
                *data = denc::to_bytes(&snap, 0);
                Ok(())
            }
            PoolOp::DeleteUnmanagedSnap => self.unmanaged_snap_remove(id, m.snapid),
            PoolOp::AuidChange => Err(errno::EOPNOTSUPP),
            PoolOp::Create => Err(errno::EINVAL),
        }
    }

    fn pool_delete(&mut self, id: PoolId) -> Result<(), i32> {
        let allowed = self.config.bool("mon_allow_pool_delete");
        let nodelete = self.map().pool(id).is_some_and(|p| p.has_flag(pool::flag::NODELETE));
        if !allowed || nodelete {
            return Err(errno::EPERM);
        }
        self.remove_pool(id);
        Ok(())
    }

    /// Takes a named snapshot of a pool.
    ///
    /// # Errors
    /// `EEXIST`; `EINVAL` if the pool's snapshots are its clients' affair.
    pub(crate) fn pool_snap_create(&mut self, now: UTime, id: PoolId, name: &str) -> Result<(), i32> {
        let map = self.map();
        let epoch = map.epoch();
        let p = map.pool(id).ok_or(errno::ENOENT)?;
        if p.is_unmanaged_snaps_mode() {
            return Err(errno::EINVAL);
        }
        if p.snaps.values().any(|s| s.name == name) {
            return Err(errno::EEXIST);
        }
        let p = map.pool_mut(id).ok_or(errno::ENOENT)?;
        p.add_snap(name, now);
        p.snap_epoch = epoch;
        Ok(())
    }

    /// # Errors
    /// `ENOENT`; `EINVAL` as above.
    pub(crate) fn pool_snap_remove(&mut self, id: PoolId, name: &str) -> Result<(), i32> {
        let map = self.map();
        let epoch = map.epoch();
        let p = map.pool(id).ok_or(errno::ENOENT)?;
        if p.is_unmanaged_snaps_mode() {
            return Err(errno::EINVAL);
        }
        let snap = p.snaps.values().find(|s| s.name == name).map(|s| s.snapid).ok_or(errno::ENOENT)?;
        let p = map.pool_mut(id).ok_or(errno::ENOENT)?;
        // The sequence moves on, so that clients take the change for a newer context.
        p.remove_snap(snap);
        p.snap_epoch = epoch;
        map.inc.new_removed_snaps.entry(id).or_default().insert_one(snap);
        Ok(())
    }

    fn unmanaged_snap_create(&mut self, id: PoolId) -> Result<u64, i32> {
        let map = self.map();
        let epoch = map.epoch();
        if map.pool(id).is_some_and(|p| p.is_pool_snaps_mode()) {
            return Err(errno::EINVAL);
        }
        let p = map.pool_mut(id).ok_or(errno::ENOENT)?;
        let snap = p.add_unmanaged_snap();
        p.snap_epoch = epoch;
        Ok(snap)
    }

    /// # Errors
    /// `EINVAL` for a pool with snapshots of its own, `EOPNOTSUPP` for one without any, `ENOENT` for a
    /// number that was not given out yet.
    fn unmanaged_snap_remove(&mut self, id: PoolId, snap: u64) -> Result<(), i32> {
        let p = self.map().pool(id).ok_or(errno::ENOENT)?.clone();
        if p.is_pool_snaps_mode() {
            return Err(errno::EINVAL);
        }
        if self.is_removed_snap(id, snap) {
            return Ok(());
        }
        if !p.is_unmanaged_snaps_mode() {
            return Err(errno::EOPNOTSUPP);
        }
        if snap > p.snap_seq {
            return Err(errno::ENOENT);
        }
        let map = self.map();
        let epoch = map.epoch();
        let p = map.pool_mut(id).ok_or(errno::ENOENT)?;
        p.remove_unmanaged_snap();
        p.snap_epoch = epoch;
        let seq = p.snap_seq;
        map.inc.new_removed_snaps.entry(id).or_default().insert_one(snap);
        // The number that the removal itself takes: else purged snapshots would never become one range.
        map.pseudo_purged.entry(id).or_default().insert(seq);
        Ok(())
    }

    pub(crate) fn pool_stats(&mut self, cx: &mut Cx, conn: ConnId, tid: u64, m: &MGetPoolStats) {
        let map = self.state.osdmap.clone();
        let mut pool_stats = std::collections::BTreeMap::new();
        let known = self.mgr.stats.pools(&map);
        for name in &m.pools {
            if let Some(stat) = map.pool_id(name).and_then(|id| known.get(&id)) {
                pool_stats.insert(name.clone(), stat.clone());
            }
        }
        let reply = messages::MGetPoolStatsReply {
            paxos: u64::from(map.epoch).into(),
            fsid: self.setup.fsid,
            pool_stats,
            per_pool: true,
        };
        self.reply_message(cx, false, conn, tid, reply);
    }
}
