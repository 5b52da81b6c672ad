//! What a stopped OSD's store says of its OSD, and whether a PG that was exported elsewhere may come into it.
//!
//! An imported PG stands at the epoch at which it was exported. When the OSD starts, it is led from there to the
//! newest map as any other PG, so the maps between must be here, and none of them may split or merge it.

use bytes::Bytes;
use messages::OsdSuperblock;
use os::{Coll, ObjectRead, Transaction};
use osdmap::OsdMap;
use pg::carry::{self, Head};
use types::{Epoch, PgId, SpgId};

use crate::maps::{MapError, Maps, decode_map, full_object, read_whole, write_whole};

/// A stopped OSD.
pub struct Offline<'a> {
    store: &'a dyn ObjectRead,
    pub superblock: OsdSuperblock,
    /// The newest map that it holds.
    pub map: std::sync::Arc<OsdMap>,
}

/// Why a PG may not come into a store: what, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("it comes from another cluster (fsid {theirs}; this OSD's is {ours})")]
    OtherCluster { theirs: types::Uuid, ours: types::Uuid },
    #[error(
        "osd.{whoami} has the PG already: take an OSD that has not, or, if that copy is of no use, `spirula store remove-pg` it first"
    )]
    Present { whoami: i32 },
    #[error("pool {0} exists no longer (at epoch {1}): nobody would ask for its data")]
    NoPool(i64, Epoch),
    #[error(
        "the PG stands at epoch {theirs}, and osd.{whoami} knows the maps up to {ours} only: start it, so that it catches up, stop it and import again"
    )]
    TooNew { theirs: Epoch, ours: Epoch, whoami: i32 },
    #[error(
        "the PG stands at epoch {theirs}, but osd.{whoami} has forgotten the maps before {oldest}: who served the PG between is then not known; import into an OSD that was up at {theirs}, or repeat with --force if no newer copy of the PG can exist"
    )]
    TooOld { theirs: Epoch, oldest: Epoch, whoami: i32 },
    #[error(
        "pool '{pool}' had {then} PGs at epoch {at} when the PG was exported, and has {now} at epoch {epoch}: the copy would have to be split or merged. `ceph osd pool set {pool} pg_num {then}`, let the cluster do it, stop the OSD and import again"
    )]
    PgNum { pool: String, then: u32, at: Epoch, now: u32, epoch: Epoch },
    #[error("the map in the file does not decode: {0}")]
    BadMap(denc::DecodeError),
    #[error("the map in the file is of epoch {0}, but the PG stands at {1}")]
    OtherMap(Epoch, Epoch),
    #[error(transparent)]
    Maps(#[from] MapError),
    #[error("{0}")]
    Store(String),
}

/// How a PG that was admitted is to be written.
#[derive(Debug)]
pub struct Admitted {
    /// How many bits of the hash tell its objects.
    pub bits: u32,
    /// Goes with the first transaction: the map at which the PG stands, if it was not there.
    pub extra: Transaction,
    /// What an import that was cut short left behind: to be removed first.
    pub leftover: bool,
}

impl<'a> Offline<'a> {
    /// # Errors
    /// If the store is no OSD's, or what it holds is damaged.
    pub fn open(store: &'a dyn ObjectRead) -> Result<Self, MapError> {
        let maps = Maps::load(store)?.ok_or_else(|| MapError::Missing("the OSD's superblock".to_owned()))?;
        Ok(Self { store, map: maps.current().clone(), superblock: maps.superblock })
    }

    /// Where a PG of this store comes from, for [`carry::export`].
    ///
    /// # Errors
    /// If its map is not here.
    pub fn origin(&self, id: SpgId) -> Result<Head, Refusal> {
        let epoch = carry::summary(id, self.store).map_err(|e| Refusal::Store(e.to_string()))?.epoch;
        let map = self.raw_map(epoch)?.ok_or_else(|| MapError::Missing(format!("osdmap.{epoch}")))?;
        let sb = &self.superblock;
        let (fsid, osd_fsid, whoami) = (sb.cluster_fsid, sb.osd_fsid, sb.whoami);
        Ok(Head { pgid: id, fsid, whoami, osd_fsid, epoch, map, last_update: types::EVersion::ZERO })
    }

    /// Who holds the PG by the newest map that is here.
    pub fn acting(&self, id: PgId) -> Vec<types::OsdId> {
        match self.map.pg_exists(id) {
            true => self.map.pg_to_up_acting(id).acting,
            false => Vec::new(),
        }
    }

    fn raw_map(&self, epoch: Epoch) -> Result<Option<Bytes>, MapError> {
        read_whole(self.store, &full_object(epoch))
    }

    /// Whether an exported PG may come here.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, head: &Head, force: bool) -> Result<Admitted, Refusal> {
        let (sb, id) = (&self.superblock, head.pgid);
        if head.fsid != sb.cluster_fsid {
            return Err(Refusal::OtherCluster { theirs: head.fsid, ours: sb.cluster_fsid });
        }
        let leftover = self.is_leftover(id);
        if self.store.collection_exists(Coll::Pg(id)) && !leftover {
            return Err(Refusal::Present { whoami: sb.whoami });
        }
        if head.epoch > self.map.epoch {
            return Err(Refusal::TooNew { theirs: head.epoch, ours: self.map.epoch, whoami: sb.whoami });
        }
        if head.epoch < sb.oldest_map && !force {
            return Err(Refusal::TooOld { theirs: head.epoch, oldest: sb.oldest_map, whoami: sb.whoami });
        }
        let then = decode_map(head.map.clone()).map_err(Refusal::BadMap)?;
        if then.epoch != head.epoch {
            return Err(Refusal::OtherMap(then.epoch, head.epoch));
        }
        let pool = id.pgid.pool;
        let no_pool = |epoch| Refusal::NoPool(pool, epoch);
        if !self.map.pools.contains_key(&pool) {
            return Err(no_pool(self.map.epoch));
        }
        let before = then.pools.get(&pool).ok_or_else(|| no_pool(then.epoch))?.pg_num;
        let name = self.map.pool_names.get(&pool).cloned().unwrap_or_else(|| pool.to_string());
        for epoch in sb.oldest_map.max(head.epoch + 1)..=self.map.epoch {
            let map = if epoch == self.map.epoch { self.map.clone() } else { Maps::read(self.store, epoch)?.into() };
            let now = map.pools.get(&pool).ok_or_else(|| no_pool(epoch))?.pg_num;
            if now != before {
                return Err(Refusal::PgNum { pool: name, then: before, at: head.epoch, now, epoch });
            }
        }
        let mut extra = Transaction::new();
        if self.raw_map(head.epoch)?.is_none() {
            write_whole(&mut extra, full_object(head.epoch), head.map.clone());
        }
        Ok(Admitted { bits: id.pgid.split_bits(before), extra, leftover })
    }

    /// Whether what is here of the PG is on its way out.
    fn is_leftover(&self, id: SpgId) -> bool {
        carry::summary(id, self.store).is_ok_and(|summary| summary.deleting)
    }
}
