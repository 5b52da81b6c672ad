//! Nobody says that a write is done before it is on a disk: a replica on its own, the primary on those of
//! the whole acting set.

use denc::ByteStr;
use messages::Body;
use os::{Coll, ObjectRead};
use types::osd_op::osd_flag;
use types::{EVersion, GHObject, SpgId};

use super::{Invariant, Sent};
use crate::world::World;

#[derive(Debug)]
pub(super) struct DurableAcks;

impl Invariant for DurableAcks {
    fn sent(&mut self, world: &World, sent: &Sent) {
        let Body::MOSDOpReply(m) = &sent.msg.body else { return };
        // An answer about a whole PG carries the version of the PG's last write, which may be under way.
        let durable = m.flags & i64::from(osd_flag::ONDISK) != 0 && m.flags & i64::from(osd_flag::WRITE) != 0;
        let durable = durable && m.result >= 0;
        if !durable || m.replay_version == EVersion::ZERO {
            return;
        }
        let Some(primary) = world.osd(sent.host) else { return };
        let Some(pg) = primary.pgs().find(|pg| pg.id().pgid == m.pgid) else { return };
        for (host, osd) in world.osds().filter(|(_, osd)| pg.acting().contains(&osd.whoami())) {
            let Some(copy) = osd.pgs().find(|copy| copy.id() == pg.id()) else { continue };
            let (id, version) = (pg.id(), m.replay_version);
            // One that was trimmed is long done; one who is filled without a log never had it.
            if version <= copy.log_tail() || !copy.info().last_backfill.is_max() {
                continue;
            }
            let Some(store) = world.disk(host).durable() else { continue };
            let (ack, on) = (primary.whoami(), osd.whoami());
            // One who is ahead of the primary may have split the PG since: the write is one of its children's then.
            let pg_num = |pg: &pg::Pg| pg.map().pool(id.pgid.pool).map_or(0, |pool| pool.pg_num);
            let is_split = pg_num(copy) > pg_num(pg);
            let of_pool = osd.pgs().map(|copy| copy.id()).filter(|i| is_split && i.pgid.pool == id.pgid.pool);
            let found = std::iter::once(id).chain(of_pool).any(|id| logged(store, id, version));
            assert!(found, "osd.{ack} acked {version} of pg {id}, not on the disk of osd.{on}");
        }
    }
}

fn logged(store: &dyn ObjectRead, id: SpgId, v: EVersion) -> bool {
    let key: ByteStr = format!("{:010}.{:020}", v.epoch, v.version).into();
    let found = store.omap_values(Coll::Pg(id), &GHObject::pgmeta(id.pgid), &[key]);
    found.is_ok_and(|found| !found.is_empty())
}
