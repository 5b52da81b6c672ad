//! Who is told, unasked, that an OSD is lost: clients that spoke lately, in the moment that this OSD learns it.
//!
//! Clients do not follow the map; they ask for the next one when a session with an OSD ends. A client that is only
//! connecting when its OSD dies is refused, tries again and again, and asks nobody before its operation is ten
//! seconds old (Ceph: `objecter_timeout`, `Objecter::tick`); one whose question was answered by a map of before
//! the loss is in the same place. Whoever has sessions with other OSDs as well hears it from them.
//!
//! This costs a small message each for clients that would be sent the same map with their next operation.

use std::sync::Arc;
use std::time::Duration;

use node::{ConnId, Now, Output};
use os::ObjectRead;
use osdmap::OsdMap;
use types::Epoch;

use crate::{Conn, Osd};

/// Whose last operation is older has none on its way that it would still take for young.
const LATELY: Duration = Duration::from_secs(30);

/// Whether an OSD was marked down in this very map.
fn loses_an_osd(map: &OsdMap) -> bool {
    map.osds().any(|osd| map.is_down(osd) && map.info(osd).down_at == map.epoch)
}

impl Conn {
    /// A client with this map, by its last operation, sent one.
    pub(crate) fn note_op(&mut self, now: Now, has: Epoch) {
        if self.peer.name.is_client() {
            let before = self.last_op.map_or(0, |(_, epoch)| epoch);
            self.last_op = Some((now.mono, has.max(before)));
        }
    }

    /// The map that a client has which spoke lately.
    fn map_of_lately(&self, now: Now) -> Option<Epoch> {
        let (at, has) = self.last_op?;
        (now.mono.saturating_sub(at) < LATELY).then_some(has)
    }
}

impl Osd {
    /// These maps are new here.
    pub(crate) fn tell_of_losses(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        maps: &[Arc<OsdMap>],
        out: &mut Vec<Output>,
    ) {
        if !maps.iter().any(|map| loses_an_osd(map)) {
            return;
        }
        let lately = |(conn, c): (&ConnId, &Conn)| Some((*conn, c.map_of_lately(now)?));
        let told: Vec<(ConnId, Epoch)> = self.conns.iter().filter_map(lately).collect();
        for (conn, has) in told {
            self.share_map(store, conn, has, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use messages::{Body, MOSDMap};
    use node::{Dest, Endpoint, Peer};
    use os::MemStore;
    use osdmap::Incremental;
    use types::{EntityAddrVec, EntityName, UTime, Uuid, osd_state};

    use super::*;
    use crate::Setup;
    use crate::maps::Maps;

    fn at(secs: u64) -> Now {
        Now { mono: Duration::from_secs(secs), wall: UTime::default() }
    }

    /// An OSD with the first map, in which osd.1 is up.
    fn osd() -> (Osd, MemStore) {
        let mut osd = Osd::new(Setup {
            whoami: 0,
            fsid: Uuid::default(),
            osd_fsid: Uuid::default(),
            listening: node::Listening::default(),
            mons: Vec::new(),
            hostname: "h".into(),
            options: Vec::new(),
            metadata: Default::default(),
            seed: 1,
        });
        let (maps, txn) = Maps::mkfs(0, Uuid::default(), Uuid::default());
        let mut store = MemStore::new();
        store.apply(&txn).expect("a new store");
        osd.maps = Some(maps);
        let mut first = Incremental::new(Uuid::default(), 1);
        first.new_max_osd = Some(2);
        first.new_state.insert(1, osd_state::EXISTS);
        first.new_up_client.insert(1, EntityAddrVec::default());
        (learn(osd, &store, first, 0).0, store)
    }

    /// The OSD learns a map; gives the clients that were told of it.
    fn learn(mut osd: Osd, store: &MemStore, inc: Incremental, secs: u64) -> (Osd, Vec<ConnId>) {
        let (epoch, mut out) = (inc.epoch, Vec::new());
        let m = MOSDMap {
            incremental_maps: [(epoch, denc::to_bytes(&inc, types::features::ALL))].into(),
            newest_map: epoch,
            ..MOSDMap::default()
        };
        osd.new_maps(at(secs), store, &m, true, &mut out);
        assert_eq!(osd.epoch(), epoch);
        let told = out.into_iter().filter_map(|o| match o {
            Output::Send { to: Dest::Conn(conn), msg, .. } => {
                let Body::MOSDMap(m) = msg.body else { return None };
                assert!(m.incremental_maps.keys().eq([&epoch]), "only what the client lacks");
                Some(conn)
            }
            _ => None,
        });
        let told = told.collect();
        (osd, told)
    }

    fn client(osd: &mut Osd, conn: u64, spoke: Option<(u64, Epoch)>) {
        let name = EntityName::client(conn as i64);
        let peer = Peer { name, addrs: EntityAddrVec::default(), features: 0, global_id: conn, entity: "c".into() };
        let mut c = Conn { peer: peer.into(), via: Endpoint::Public, sent_epoch: 0, last_op: None };
        if let Some((secs, has)) = spoke {
            c.note_op(at(secs), has);
        }
        osd.conns.insert(ConnId(conn), c);
    }

    #[test]
    fn clients_that_spoke_lately_hear_at_once_that_an_osd_is_lost() {
        let (mut osd, store) = osd();
        client(&mut osd, 1, Some((95, 1)));
        client(&mut osd, 2, Some((20, 1)));
        client(&mut osd, 3, None);
        let mut nothing_lost = Incremental::new(Uuid::default(), 2);
        nothing_lost.new_weight.insert(1, 0x8000);
        let (mut osd, told) = learn(osd, &store, nothing_lost, 99);
        assert_eq!(told, []);
        client(&mut osd, 1, Some((98, 2)));
        client(&mut osd, 4, Some((98, 3)));
        let mut lost = Incremental::new(Uuid::default(), 3);
        lost.new_state.insert(1, osd_state::UP);
        // Who has that map by now, has been silent or never spoke is not.
        assert_eq!(learn(osd, &store, lost, 100).1, [ConnId(1)]);
    }
}
