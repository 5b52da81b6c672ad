//! At any moment at most one OSD may answer reads of a PG: else a client could be told what is over.

use std::collections::BTreeMap;

use super::Invariant;
use crate::world::World;

#[derive(Debug)]
pub(super) struct OnePrimary;

impl Invariant for OnePrimary {
    fn look(&mut self, world: &World) {
        let mut serving = BTreeMap::new();
        for (host, osd) in world.osds() {
            let mono = world.clock(host).mono;
            for pg in osd.pgs().filter(|pg| pg.may_read(mono)) {
                let me = (osd.whoami(), pg.map().epoch);
                if let Some(other) = serving.insert(pg.id(), me) {
                    panic!(
                        "pg {} is read from osd.{} at e{} and from osd.{} at e{}",
                        pg.id(),
                        other.0,
                        other.1,
                        me.0,
                        me.1
                    );
                }
            }
        }
    }
}
