//! What OSDs ask for while they are up (Ceph: `OSDMonitor::prepare_alive`, `prepare_pgtemp`, …).

use messages::{ClogLevel, MOSDAlive, MOSDFull, MOSDMarkMeDown, MOSDPGCreated, MOSDPGTemp, Message};
use node::ConnId;
use osdmap::state;
use types::{Epoch, OsdId};

use crate::change::Space;
use crate::core::{Cx, Mon};
use crate::pending::Waiter;

const FULL_BITS: u32 = state::FULL | state::BACKFILLFULL | state::NEARFULL;

impl Mon {
    /// An OSD asks that the map say that it was up at a certain epoch, before it serves writes.
    pub(super) fn osd_alive(&mut self, cx: &mut Cx, conn: ConnId, m: &MOSDAlive) {
        let Some(osd) = self.reporter(conn) else { return };
        if self.state.osdmap.info(osd).up_thru >= m.want {
            return self.send_maps_after(cx, conn, m.paxos.version);
        }
        self.set_up_thru(osd, Epoch::try_from(m.paxos.version).unwrap_or(m.want).max(m.want));
    }

    fn set_up_thru(&mut self, osd: OsdId, epoch: Epoch) {
        let known = self.state.osdmap.info(osd).up_thru;
        let map = self.map();
        let pending = map.inc.new_up_thru.get(&osd).copied().unwrap_or(known);
        if epoch > pending {
            map.inc.new_up_thru.insert(osd, epoch);
        }
    }

    fn send_maps_after(&mut self, cx: &mut Cx, conn: ConnId, epoch: u64) {
        let first = Epoch::try_from(epoch).unwrap_or(Epoch::MAX).saturating_add(1);
        self.send_maps(cx, conn, first);
    }

    pub(super) fn osd_mark_me_down(&mut self, cx: &mut Cx, conn: ConnId, m: MOSDMarkMeDown) {
        let Some(osd) = self.reporter(conn).filter(|osd| *osd == m.target_osd) else {
            return self.ack_mark_me_down(conn, m);
        };
        if self.can_mark_down(osd) {
            let (now, base) = (cx.now.wall, self.state.osdmap.clone());
            let map = self.map();
            map.mark_down(now, osd);
            if m.down_and_dead {
                map.inc.xinfo_mut(&base, osd).dead_epoch = m.epoch;
            }
            self.pending.clog(ClogLevel::Info, format!("osd.{osd} marked itself down"));
        }
        self.ack_mark_me_down(conn, m);
    }

    /// The OSD waits for its message to come back before it stops.
    fn ack_mark_me_down(&mut self, conn: ConnId, m: MOSDMarkMeDown) {
        if m.request_ack {
            let msg: Message = MOSDMarkMeDown { request_ack: false, ..m }.into();
            self.pending.waiters.push(Waiter::Message { conn, msg });
        }
    }

    pub(super) fn osd_pg_temp(&mut self, cx: &mut Cx, conn: ConnId, m: MOSDPGTemp) {
        let Some(osd) = self.reporter(conn) else { return };
        let base = self.state.osdmap.clone();
        let mut changed = false;
        for (pgid, wanted) in m.pg_temp {
            // Of two requests only that of the present primary can be the newer one.
            let stale = !m.forced && base.pg_to_up_acting(pgid).acting_primary != osd;
            if !base.pg_exists(pgid) || self.map().pool(pgid.pool).is_none() || stale {
                continue;
            }
            let now = base.pg_temp.get(&pgid).map_or(&[][..], Vec::as_slice);
            let has_primary = base.primary_temp.contains_key(&pgid);
            if now == wanted.as_slice() && !has_primary {
                continue;
            }
            changed = true;
            let map = self.map();
            map.inc.new_pg_temp.insert(pgid, wanted);
            if has_primary {
                map.inc.new_primary_temp.insert(pgid, -1);
            }
        }
        if changed {
            self.set_up_thru(osd, m.map_epoch);
        } else {
            self.send_maps(cx, conn, m.map_epoch.saturating_add(1));
        }
    }

    pub(super) fn osd_pg_created(&mut self, conn: ConnId, m: &MOSDPGCreated) {
        let key = m.pgid.to_string();
        if self.reporter(conn).is_some() && self.state.get(Space::Creating, &key).is_some() {
            self.pending.rm(Space::Creating, key);
        }
    }

    pub(super) fn osd_full(&mut self, cx: &mut Cx, conn: ConnId, m: &MOSDFull) {
        let Some(osd) = self.reporter(conn) else { return };
        let map = self.map();
        let (now, wanted) = (map.state(osd) & FULL_BITS, m.state & FULL_BITS);
        if now == wanted {
            return self.send_maps(cx, conn, m.map_epoch.saturating_add(1));
        }
        map.flip(osd, now ^ wanted);
        self.check_full_pools();
    }
}
