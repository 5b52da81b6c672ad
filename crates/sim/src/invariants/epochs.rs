//! Maps go forward; a PG stands at a map that its OSD has, in the up and acting sets that this map gives.

use std::collections::BTreeMap;

use types::{Epoch, SpgId};

use super::Invariant;
use crate::world::{HostId, World};

/// The newest epoch seen of each PG of each life of an OSD.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    seen: BTreeMap<(HostId, u32, SpgId), (Epoch, Epoch)>,
}

impl Invariant for Epochs {
    fn look(&mut self, world: &World) {
        let mut seen = BTreeMap::new();
        for (host, osd) in world.osds() {
            let me = osd.whoami();
            for pg in osd.pgs() {
                let (id, map) = (pg.id(), pg.map());
                let mapping = map.pg_to_up_acting(id.pgid);
                if map.pg_exists(id.pgid) {
                    assert_eq!(pg.up(), mapping.up, "pg {id} on osd.{me}: its up set at e{}", map.epoch);
                    assert_eq!(pg.acting(), mapping.acting, "pg {id} on osd.{me}: its acting set at e{}", map.epoch);
                }
                assert!(map.epoch <= osd.map_epoch(), "pg {id} on osd.{me} is ahead of its OSD");
                let h = &pg.info().history;
                assert!(h.same_interval_since <= map.epoch, "pg {id} on osd.{me}: an interval of the future");
                assert!(pg.info().last_epoch_started <= map.epoch, "pg {id} on osd.{me}: started in the future");
                // Another life forgot what it had not stored.
                let key = (host, world.life(host), id);
                if let Some((epoch, started)) = self.seen.get(&key) {
                    assert!(*epoch <= map.epoch, "pg {id} on osd.{me} went back from e{epoch} to e{}", map.epoch);
                    let les = h.last_epoch_started;
                    assert!(*started <= les, "pg {id} on osd.{me}: last_epoch_started went from {started} to {les}");
                }
                seen.insert(key, (map.epoch, h.last_epoch_started));
            }
        }
        self.seen = seen;
    }
}
