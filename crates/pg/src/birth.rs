//! How a PG comes to be: because the monitors or a peer say so, or because the store has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use messages::{Body, Message};
use node::Level;
use os::{Coll, ObjectRead, TxOp};
use osdmap::OsdMap;
use types::{EVersion, Epoch, GHObject, HObject, ObjectInfo, PastIntervals, PgHistory, PgInfo, SpgId, UTime};

use crate::env::Env;
use crate::interval::{UpActing, is_new_interval, note_past_interval};
use crate::object::OI_ATTR;
use crate::persist::{self, Dirty};
use crate::pg::{LoadError, Pg};

impl Pg {
    /// Makes a PG that the monitors want (`MOSDPGCreate2`), first created in epoch `created`. Stands
    /// at `env.map`, which may be later than `created`: `maps` gives the maps from there on, from
    /// which the intervals since then are found (Ceph: OSD::build_initial_pg_history).
    pub fn create(
        id: SpgId,
        env: &mut Env,
        created: Epoch,
        stamp: UTime,
        maps: &dyn Fn(Epoch) -> Option<Arc<OsdMap>>,
    ) -> Self {
        let history = PgHistory {
            epoch_created: created,
            epoch_pool_created: created,
            same_up_since: created,
            same_interval_since: created,
            same_primary_since: created,
            last_scrub_stamp: stamp,
            last_deep_scrub_stamp: stamp,
            last_clean_scrub_stamp: stamp,
            ..PgHistory::default()
        };
        Self::create_with(id, env, history, PastIntervals::default(), created, maps)
    }

    /// Makes a PG because a peer's message (see [`crate::stray_message`]) supposes it. As in
    /// [`Self::create`], `maps` gives the maps since the epoch that the message speaks of.
    pub fn create_for_peer(
        id: SpgId,
        env: &mut Env,
        msg: &Message,
        maps: &dyn Fn(Epoch) -> Option<Arc<OsdMap>>,
    ) -> Self {
        let epoch = crate::route::creation_epoch(msg).unwrap_or(env.map.epoch);
        let (history, past) = match &msg.body {
            Body::MOSDPGNotify2(m) => (m.notify.info.history.clone(), m.notify.past_intervals.clone()),
            Body::MOSDPGLog(m) => (m.info.history.clone(), m.past_intervals.clone()),
            _ => Default::default(),
        };
        Self::create_with(id, env, history, past, epoch, maps)
    }

    /// Makes an empty PG whose history is as told in epoch `since`, and takes it to `env.map`.
    fn create_with(
        id: SpgId,
        env: &mut Env,
        mut history: PgHistory,
        mut past: PastIntervals,
        since: Epoch,
        maps: &dyn Fn(Epoch) -> Option<Arc<OsdMap>>,
    ) -> Self {
        let mut reset = since.min(env.map.epoch);
        let mut last: Option<(Arc<OsdMap>, UpActing)> = None;
        for map in (since..=env.map.epoch).filter_map(maps).filter(|m| m.pool(id.pgid.pool).is_some()) {
            let now = UpActing::of(&map, id.pgid);
            if let Some((before, was)) = &last
                && is_new_interval(was, &now, before, &map, id.pgid)
            {
                note_past_interval(&mut past, was, &history, before, map.epoch, id.pgid);
                reset = map.epoch;
                history.same_interval_since = map.epoch;
                let pg_num = |map: &OsdMap| map.pool(id.pgid.pool).map_or(0, |p| p.pg_num);
                if id.pgid.is_split(pg_num(before), pg_num(&map)) {
                    history.last_epoch_split = map.epoch;
                }
                if was.up != now.up || was.up_primary != now.up_primary {
                    history.same_up_since = map.epoch;
                }
                if was.acting_primary != now.acting_primary {
                    history.same_primary_since = map.epoch;
                }
            }
            last = Some((map, now));
        }
        let info = PgInfo { history, ..PgInfo::new(id) };
        let mut pg = Self::new(id, env, info);
        pg.past = past;
        pg.last_peering_reset = reset;
        let (coll, meta) = (Coll::Pg(id), GHObject::pgmeta(id.pgid));
        pg.txn.push(TxOp::MkColl { coll, bits: id.pgid.split_bits(pg.pool.pg_num) });
        pg.txn.push(TxOp::MkColl { coll: Coll::Temp(id), bits: 0 });
        pg.txn.push(TxOp::Touch { coll, oid: meta });
        pg.dirty = Dirty { info: true, big: true, ..Dirty::default() };
        pg.info.stats.up = pg.ua.up.clone();
        pg.info.stats.acting = pg.ua.acting.clone();
        pg.info.stats.up_primary = pg.ua.up_primary;
        pg.info.stats.acting_primary = pg.ua.acting_primary;
        pg.info.stats.mapping_epoch = pg.info.history.same_interval_since;
        pg.begin(env);
        pg
    }

    /// The map epoch at which the stored PG stands; [`Pg::load`] wants that map.
    ///
    /// # Errors
    /// If the store has no such PG or cannot read it.
    pub fn stored_epoch(id: SpgId, store: &dyn ObjectRead) -> Result<Epoch, LoadError> {
        persist::read_epoch(id, store)
    }

    /// Takes up a PG from the store, at the map of [`Pg::stored_epoch`].
    ///
    /// # Errors
    /// If what is stored cannot be read or makes no sense.
    pub fn load(id: SpgId, env: &mut Env) -> Result<Self, LoadError> {
        let stored = persist::read(id, env.store)?;
        let mut pg = Self::new(id, env, stored.info);
        pg.past = stored.past;
        pg.log = stored.log;
        pg.missing = stored.missing;
        pg.persisted_epoch = stored.epoch;
        if stored.deleting {
            pg.start_delete(env);
        } else {
            pg.drop_leftovers(env)?;
            pg.verify_missing(env)?;
        }
        pg.begin(env);
        Ok(pg)
    }

    /// Looks whether the stored missing set is what log and objects say of each other: of the writes since
    /// `last_complete`, an object is missing if the store does not have it at the version of its newest one
    /// (Ceph: `read_log_and_missing`, which does so with `debug_verify_stored_missing` and then asserts).
    /// Log, missing set and objects change together, so a difference is a fault of ours or of the disk; it is
    /// put right, since a write on top of an object that is not there would make matters worse.
    fn verify_missing(&mut self, env: &mut Env) -> Result<(), LoadError> {
        let mut seen = BTreeSet::new();
        let mut wrong = Vec::new();
        let since = self.log.after(self.info.last_complete).rev();
        for e in since.filter(|e| !e.is_error() && e.soid <= self.info.last_backfill) {
            if !seen.insert(&e.soid) {
                continue;
            }
            let stored = self.stored_version(env.store, &e.soid)?;
            let is_here = if e.is_delete() { stored.is_none() } else { stored.is_some_and(|v| v >= e.version) };
            // One that is needed at another version waits for an older write to be restored.
            let is_missing = self.missing.get(&e.soid).is_some_and(|item| item.need == e.version);
            if is_here == is_missing && (is_missing || !self.missing.contains(&e.soid)) {
                wrong.push((e.soid.clone(), e.version, stored.unwrap_or_default(), e.is_delete()));
            }
        }
        for (soid, version, have, is_delete) in wrong {
            let is = if self.missing.contains(&soid) { "is not missing" } else { "is missing" };
            let text = format!("{} {soid} {is} at {version}, against what was stored", self.id.pgid);
            env.cluster_log(Level::Error, text);
            if self.missing.contains(&soid) {
                self.missing.remove(&soid);
            } else {
                self.missing.add(&soid, version, have, is_delete);
            }
        }
        Ok(())
    }

    fn stored_version(&self, store: &dyn ObjectRead, soid: &HObject) -> Result<Option<EVersion>, LoadError> {
        let raw = store.attr(self.coll(), &soid.clone().into(), OI_ATTR.as_bytes());
        let raw = raw.map_err(|e| LoadError::Read(self.id, e))?;
        Ok(raw.and_then(|raw| denc::from_bytes::<ObjectInfo>(raw).ok()).map(|oi| oi.version))
    }

    /// Half-transferred objects of our last life.
    fn drop_leftovers(&mut self, env: &mut Env) -> Result<(), LoadError> {
        let coll = Coll::Temp(self.id);
        if !env.store.collection_exists(coll) {
            self.txn.push(TxOp::MkColl { coll, bits: 0 });
            return Ok(());
        }
        let mut from = GHObject::min();
        loop {
            let page = env.store.list(coll, &from, 256);
            let (objects, next) = page.map_err(|e| LoadError::Read(self.id, e))?;
            self.txn.ops.extend(objects.into_iter().map(|oid| TxOp::Remove { coll, oid }));
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Common to new and loaded PGs (Ceph: `Initial`).
    fn begin(&mut self, env: &mut Env) {
        self.set_lease_interval(env);
        let served = self.info.history.last_epoch_started > 0;
        let since = self.info.history.same_interval_since;
        self.leases.started(env.now.mono, self.info.history.prior_readable_until_ub, served, since);
        self.leases.new_interval(&self.ua, self.is_primary(), env.now.mono, since, &mut self.info.history);
        self.send_notify = !self.is_primary();
        self.finish(env);
    }
}
