//! A PG's log is in order and ends where its info says (its newest entry may be older: a PG that was split
//! off keeps the version that its parent had); nothing is complete that is not in it.

use super::Invariant;
use crate::world::World;

#[derive(Debug)]
pub(super) struct Logs;

/// How many of the newest entries are looked at.
const NEWEST: usize = 16;

impl Invariant for Logs {
    fn look(&mut self, world: &World) {
        for (_, osd) in world.osds() {
            for pg in osd.pgs() {
                let at = format_args!("pg {} on osd.{}", pg.id(), osd.whoami()).to_string();
                let info = pg.info();
                assert_eq!(pg.log_head(), info.last_update, "{at}: the log's head is not last_update");
                assert!(pg.log_tail() <= pg.log_head(), "{at}: the log's tail is beyond its head");
                let whole = info.last_backfill.is_max();
                assert!(!whole || info.last_complete <= info.last_update, "{at}: complete beyond its log");
                let mut newer = None;
                for e in pg.log_entries().rev().take(NEWEST) {
                    assert!(e.version > pg.log_tail() && e.version <= pg.log_head(), "{at}: {} is outside", e.version);
                    assert!(e.prior_version < e.version, "{at}: {} comes after itself", e.version);
                    if let Some(newer) = newer {
                        assert!(e.version < newer, "{at}: {} stands before {newer}", e.version);
                    }
                    newer = Some(e.version);
                }
                // Of a PG that was split the newest writes may have become another's.
                if let Some(newest) = pg.log_entries().next_back().filter(|_| info.history.last_epoch_split == 0) {
                    assert_eq!(newest.version, pg.log_head(), "{at}: the newest entry is not the head");
                }
            }
        }
    }
}
