//! A family of objects hangs together: the head knows each clone with its size, no clone is without a head
//! that knows it, and the index names each clone by just the snapshots that the head says.

use std::collections::{BTreeMap, BTreeSet};

use os::{Coll, ObjectRead};
use types::{GHObject, HObject, ObjectInfo, SnapId, SnapSet, SpgId};

use super::Invariant;
use crate::world::{HostId, World};

/// Looks at every member of a clean PG after each change.
#[derive(Debug, Default)]
pub(super) struct Clones {
    looked: BTreeMap<(HostId, SpgId), (types::Epoch, types::EVersion)>,
}

impl Invariant for Clones {
    fn look(&mut self, world: &World) {
        for (host, osd) in world.osds() {
            let mut index = None;
            for pg in osd.pgs().filter(|pg| pg.is_clean_and_idle()) {
                let key = (pg.same_interval_since(), pg.info().last_update);
                if self.looked.insert((host, pg.id()), key) == Some(key) {
                    continue;
                }
                let index = index.get_or_insert_with(|| index_of(world, host));
                check(world, host, pg.id(), index);
            }
        }
    }
}

/// Panics if a clean PG's sums are not those that one counts. After a split they are estimates until a scrub
/// has counted; those are left out.
pub fn compare_sums(world: &World) {
    for (host, osd) in world.osds() {
        let index = index_of(world, host);
        for pg in osd.pgs().filter(|pg| pg.is_clean_and_idle() && !pg.info().stats.stats_invalid) {
            let s = &pg.info().stats.stats.sum;
            let told = Sums {
                objects: s.num_objects,
                clones: s.num_object_clones,
                whiteouts: s.num_whiteouts,
                bytes: s.num_bytes,
            };
            let (id, at) = (pg.id(), world.label(host));
            assert_eq!(told, check(world, host, id, &index), "pg {id} on {at}: its sums, and what one counts");
        }
    }
}

type Index = BTreeMap<HObject, BTreeSet<SnapId>>;

const READS: &str = "a healthy simulated disk reads";

fn index_of(world: &World, host: HostId) -> Index {
    let (clones, by_snap) = pg::clone_index(world.disk(host).reader()).expect(READS);
    let named: usize = clones.values().map(BTreeSet::len).sum();
    assert_eq!(by_snap, named, "{}: the index of clones has entries that no clone has", world.label(host));
    clones
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    objects: i64,
    clones: i64,
    whiteouts: i64,
    bytes: i64,
}

/// Panics if a family in one host's copy of a PG does not hang together.
fn check(world: &World, host: HostId, id: SpgId, index: &Index) -> Sums {
    let at = world.label(host);
    let (store, coll): (&dyn ObjectRead, _) = (world.disk(host).reader(), Coll::Pg(id));
    let (all, _) = store.list(coll, &GHObject::min(), usize::MAX).expect(READS);
    let mut sums = Sums::default();
    let (mut there, mut known) = (Index::new(), Index::new());
    for oid in all.iter().filter(|o| !o.is_pgmeta()) {
        let attr = |name: &[u8]| store.attr(coll, oid, name).expect(READS);
        let info = attr(b"_").and_then(|raw| denc::from_bytes::<ObjectInfo>(raw).ok());
        let info = info.unwrap_or_else(|| panic!("pg {id} on {at}: {oid} has no info"));
        sums.objects += 1;
        sums.whiteouts += i64::from(info.is_whiteout());
        if oid.hobj.is_snap() {
            sums.clones += 1;
            there.insert(oid.hobj.clone(), index.get(&oid.hobj).cloned().unwrap_or_default());
            continue;
        }
        let set = attr(b"snapset").map(|raw| denc::from_bytes::<SnapSet>(raw).expect("a snapset")).unwrap_or_default();
        sums.bytes += info.size.cast_signed();
        for clone in &set.clones {
            let size = store.stat(coll, &oid.hobj.with_snap(*clone).into()).expect(READS).map(|s| s.size);
            assert_eq!(size, set.clone_size.get(clone).copied(), "pg {id} on {at}: {oid}, size of clone {clone}");
            sums.bytes += set.clone_bytes(*clone).unwrap_or_default().cast_signed();
            let snaps = set.clone_snaps.get(clone).into_iter().flatten().copied().collect();
            known.insert(oid.hobj.with_snap(*clone), snaps);
        }
    }
    assert_eq!(there, known, "pg {id} on {at}: clones by the index, and by their heads");
    sums
}
