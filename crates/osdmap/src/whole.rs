//! The mapping of every PG of a map, computed once and asked often (Ceph: `OSDMapMapping`).

use std::collections::BTreeMap;

use crush::{ITEM_NONE, Workspace};
use types::{Epoch, OsdId, PgId, PoolId};

use crate::{OsdMap, PgMapping};

/// All PGs of one epoch, by PG and by OSD.
#[derive(Debug, Clone, Default)]
pub struct OsdMapMapping {
    pub epoch: Epoch,
    pools: BTreeMap<PoolId, Vec<PgMapping>>,
    /// The PGs in whose acting set an OSD is, ascending.
    acting: Vec<Vec<PgId>>,
    /// The PGs in whose up set an OSD is, ascending.
    up: Vec<Vec<PgId>>,
}

impl OsdMapMapping {
    pub fn new(map: &OsdMap) -> Self {
        let osds = map.osds.len();
        let mut all = Self {
            epoch: map.epoch,
            pools: BTreeMap::new(),
            acting: vec![Vec::new(); osds],
            up: vec![Vec::new(); osds],
        };
        let mut work = Workspace::default();
        for (id, pool) in &map.pools {
            let pgs = (0..pool.pg_num).map(|seed| {
                let pg = PgId::new(*id, seed);
                let mapping = map.pg_to_up_acting_in(pg, &mut work);
                note(&mut all.acting, &mapping.acting, pg);
                note(&mut all.up, &mapping.up, pg);
                mapping
            });
            all.pools.insert(*id, pgs.collect());
        }
        all
    }

    /// `None` for PGs that do not exist.
    pub fn get(&self, pg: PgId) -> Option<&PgMapping> {
        self.pools.get(&pg.pool)?.get(pg.seed as usize)
    }

    /// Every PG, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (PgId, &PgMapping)> {
        self.pools.iter().flat_map(|(pool, pgs)| (0..).zip(pgs).map(|(seed, m)| (PgId::new(*pool, seed), m)))
    }

    pub fn acting_pgs(&self, osd: OsdId) -> &[PgId] {
        usize::try_from(osd).ok().and_then(|i| self.acting.get(i)).map_or(&[], Vec::as_slice)
    }

    pub fn up_pgs(&self, osd: OsdId) -> &[PgId] {
        usize::try_from(osd).ok().and_then(|i| self.up.get(i)).map_or(&[], Vec::as_slice)
    }

    /// How many PGs have the OSD in their acting set.
    pub fn num_pgs(&self, osd: OsdId) -> usize {
        self.acting_pgs(osd).len()
    }
}

fn note(by_osd: &mut [Vec<PgId>], osds: &[OsdId], pg: PgId) {
    for osd in osds.iter().filter(|osd| **osd != ITEM_NONE) {
        if let Some(list) = usize::try_from(*osd).ok().and_then(|i| by_osd.get_mut(i)) {
            list.push(pg);
        }
    }
}
