//! A primary takes writes only in an interval in which the map shows it alive (`up_thru`): whoever peers
//! later can tell from the map alone whether there may have been writes.

use super::Invariant;
use crate::world::World;

#[derive(Debug)]
pub(super) struct UpThru;

impl Invariant for UpThru {
    fn look(&mut self, world: &World) {
        for (_, osd) in world.osds() {
            for pg in osd.pgs().filter(|pg| pg.may_write()) {
                let me = osd.whoami();
                let up_thru = pg.map().info(me).up_thru;
                let since = pg.same_interval_since();
                let id = pg.id();
                assert!(up_thru >= since, "pg {id} takes writes on osd.{me} since e{since}, alive only to e{up_thru}");
            }
        }
    }
}
