//! New maps for the PGs that live here: one map after the other, and at each all PGs, since on the way PGs
//! split and merge.
//!
//! A merge needs all halves at the map before; so first the PGs are merged that the map merges, then each
//! PG takes the map, which may split it.
//!
//! A merge begins with the primaries of both halves, which are one OSD: when both are ready it tells the
//! monitors, once in each session with them (Ceph: `OSDService::send_ready_to_merge`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messages::{MOSDPGReadyToMerge, Paxos};
use node::{Level, Now, Output};
use os::ObjectRead;
use osdmap::OsdMap;
use pg::{MergeReady, Pg};
use types::pool::MergeRole;
use types::{PgId, SpgId};

use crate::Osd;

/// What PGs said of merges to come. `None`: it cannot be merged now.
#[derive(Debug, Default)]
pub struct Merges {
    sources: BTreeMap<PgId, Option<MergeReady>>,
    targets: BTreeMap<PgId, Option<MergeReady>>,
    /// Sources of which the monitors were told.
    sent: BTreeSet<PgId>,
}

impl Merges {
    pub(crate) fn note(&mut self, pgid: PgId, role: MergeRole, ready: Option<MergeReady>) {
        match role {
            MergeRole::Source => self.sources.insert(pgid, ready),
            MergeRole::Target => self.targets.insert(pgid, ready),
        };
    }

    pub(crate) fn forget(&mut self, pgid: PgId) {
        self.sources.remove(&pgid);
        self.targets.remove(&pgid);
        self.sent.remove(&pgid);
    }

    /// What the monitors have to be told now. `source_of` gives the source of the merge of a pool.
    fn news(&mut self, source_of: impl Fn(PgId) -> Option<PgId>) -> Vec<MOSDPGReadyToMerge> {
        let mut news = Vec::new();
        let unready = self.targets.iter().filter(|(_, ready)| ready.is_none());
        let blocked: BTreeSet<PgId> = unready.filter_map(|(target, _)| source_of(*target)).collect();
        let sources: BTreeSet<PgId> = self.sources.keys().copied().chain(blocked.iter().copied()).collect();
        for pgid in sources {
            if self.sent.contains(&pgid) {
                continue;
            }
            let source = self.sources.get(&pgid);
            let target = pgid.parent().and_then(|t| self.targets.get(&t));
            match (source, target) {
                (Some(Some(source)), Some(Some(target))) => news.push(MOSDPGReadyToMerge {
                    paxos: Paxos::default(),
                    pgid,
                    source_version: source.version,
                    target_version: target.version,
                    last_epoch_started: target.last_epoch_started,
                    last_epoch_clean: target.last_epoch_clean,
                    ready: true,
                }),
                (Some(None), _) | (_, Some(None)) => {
                    news.push(MOSDPGReadyToMerge { pgid, ready: false, ..MOSDPGReadyToMerge::default() });
                }
                _ => continue,
            }
            self.sent.insert(pgid);
        }
        news
    }
}

impl Osd {
    /// Hands new maps to all PGs.
    pub(crate) fn advance_all(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        maps: &[Arc<OsdMap>],
        out: &mut Vec<Output>,
    ) {
        for map in maps {
            self.advance_to(now, store, map, out);
        }
        self.activate_all(now, store, out);
    }

    /// Takes the PGs that stand at an earlier map to this one.
    pub(crate) fn advance_to(&mut self, now: Now, store: &dyn ObjectRead, map: &Arc<OsdMap>, out: &mut Vec<Output>) {
        for (target, before) in self.merges_by(map) {
            self.merge_into(now, store, target, &before, map, out);
        }
        for id in self.pg_ids() {
            self.advance_one(now, store, id, map, out);
        }
    }

    fn advance_one(&mut self, now: Now, store: &dyn ObjectRead, id: SpgId, map: &Arc<OsdMap>, out: &mut Vec<Output>) {
        let Some(mut pg) = self.pgs.remove(&id) else { return };
        let children = match pg.map().epoch < map.epoch {
            true => pg.advance_map(&mut self.env(now, store, map)),
            false => Vec::new(),
        };
        self.pgs.insert(id, pg);
        self.perform(now, id, out);
        if children.is_empty() {
            return;
        }
        for child in children {
            self.pgs.insert(child.id(), child);
        }
        self.pg_cfg.pgs = self.pgs.len();
        self.heartbeat_peers_changed = true;
        // Clients may have been waiting for them.
        self.waiting.retry = true;
    }

    /// The PGs into which this map merges others of which there is something here, and the map that one of
    /// them stands at.
    fn merges_by(&self, map: &Arc<OsdMap>) -> BTreeMap<SpgId, Arc<OsdMap>> {
        let mut targets = BTreeMap::new();
        for pg in self.pgs.values().filter(|pg| pg.map().epoch < map.epoch) {
            let (id, pool) = (pg.id(), pg.id().pgid.pool);
            let (Some(old), Some(new)) = (pg.map().pool(pool), map.pool(pool)) else { continue };
            let target = id.pgid.merge_target(old.pg_num, new.pg_num);
            let itself = || id.pgid.is_merge_target(old.pg_num, new.pg_num).then_some(id.pgid);
            if let Some(pgid) = target.or_else(itself) {
                targets.entry(SpgId { pgid, ..id }).or_insert_with(|| pg.map().clone());
            }
        }
        targets
    }

    /// Merges what is here of the target's siblings into it; `before` is the map at which they stand.
    fn merge_into(
        &mut self,
        now: Now,
        store: &dyn ObjectRead,
        target: SpgId,
        before: &Arc<OsdMap>,
        map: &Arc<OsdMap>,
        out: &mut Vec<Output>,
    ) {
        let pg_num = |map: &OsdMap| map.pool(target.pgid.pool).map_or(0, |p| p.pg_num);
        let siblings = target.pgid.split_children(pg_num(map), pg_num(before));
        let expected: Vec<SpgId> = siblings.into_iter().map(|pgid| SpgId { pgid, ..target }).collect();
        let mut sources = Vec::new();
        for id in &expected {
            let Some(mut source) = self.pgs.remove(id) else { continue };
            source.leave(&mut self.env(now, store, before));
            self.perform(now, *id, out);
            self.forget_pg(now, *id);
            sources.push(source);
        }
        let mut pg = match self.pgs.remove(&target) {
            Some(pg) if !pg.is_removed() => pg,
            _ => Pg::placeholder(target, &mut self.env(now, store, before)),
        };
        if let Err(e) = pg.absorb(&mut self.env(now, store, map), &expected, sources) {
            return self.give_up(format!("pg {target} cannot be merged: {e}"), out);
        }
        self.pgs.insert(target, pg);
        self.pg_cfg.pgs = self.pgs.len();
        self.log(Level::Info, format!("pg {target} merged with {expected:?}"), out);
        self.advance_one(now, store, target, map, out);
    }

    /// Tells the monitors which merges can go on, or cannot.
    pub(crate) fn send_merges(&mut self, out: &mut Vec<Output>) {
        let Some(map) = self.maps.as_ref().map(|m| m.current().clone()) else { return };
        let source_of = |target: PgId| map.pool(target.pool).map(|p| PgId { seed: p.pg_num_pending, ..target });
        for mut m in self.merges.news(source_of) {
            m.paxos.version = map.epoch.into();
            self.mon.send(m, out);
        }
    }

    /// A new session with the monitors: what was said in the old one may be lost.
    pub(crate) fn send_merges_again(&mut self, out: &mut Vec<Output>) {
        self.merges.sent.clear();
        self.send_merges(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Option<MergeReady> {
        Some(MergeReady { version: types::EVersion::new(3, 4), last_epoch_started: 3, last_epoch_clean: 2 })
    }

    #[test]
    fn the_monitors_are_told_once_when_both_halves_are_ready() {
        let (source, target) = (PgId::new(1, 7), PgId::new(1, 3));
        let mut m = Merges::default();
        m.note(source, MergeRole::Source, ready());
        assert_eq!(m.news(|_| Some(source)), []);
        m.note(target, MergeRole::Target, ready());
        let told = m.news(|_| Some(source));
        assert_eq!((told.len(), told[0].pgid, told[0].ready, told[0].last_epoch_started), (1, source, true, 3));
        assert_eq!(m.news(|_| Some(source)), []);
    }

    #[test]
    fn a_half_that_cannot_be_merged_ends_the_attempt() {
        let (source, target) = (PgId::new(1, 7), PgId::new(1, 3));
        let mut m = Merges::default();
        m.note(target, MergeRole::Target, None);
        let told = m.news(|_| Some(source));
        assert_eq!((told.len(), told[0].pgid, told[0].ready), (1, source, false));
        m.note(source, MergeRole::Source, ready());
        assert_eq!(m.news(|_| Some(source)), []);
    }
}
