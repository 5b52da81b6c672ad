//! The copies of a clean PG are the same: objects, data, attributes (the object's info among them), omap,
//! and where the log ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::ByteStr;
use os::{Coll, ObjectRead};
use types::{GHObject, SpgId};

use super::Invariant;
use crate::world::{HostId, World};

/// Compares what a primary calls clean, whenever all its copies stand at the same version.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    /// What was compared last, of each PG.
    compared: BTreeMap<SpgId, (types::Epoch, types::EVersion)>,
}

impl Invariant for Replicas {
    fn look(&mut self, world: &World) {
        for (host, osd) in world.osds() {
            for pg in osd.pgs().filter(|pg| pg.is_clean_and_idle()) {
                let id = pg.id();
                let key = (pg.same_interval_since(), pg.info().last_update);
                if self.compared.get(&id) == Some(&key) {
                    continue;
                }
                let members = world.osds().filter(|(h, o)| *h != host && pg.acting().contains(&o.whoami()));
                let copies: Vec<(HostId, &pg::Pg)> =
                    members.filter_map(|(h, o)| Some((h, o.pgs().find(|copy| copy.id() == id)?))).collect();
                let same = copies.iter().all(|(_, copy)| {
                    copy.info().last_update == key.1 && copy.same_interval_since() == key.0 && copy.num_missing() == 0
                });
                if !same || copies.len() + 1 != pg.acting().len() {
                    continue;
                }
                self.compared.insert(id, key);
                for (other, _) in copies {
                    // A disk may have gone bad; what becomes of that is for scenarios to say.
                    let rotten = |host: HostId, o: &GHObject| world.disk(host).is_rotten(Coll::Pg(id), o);
                    compare_readable(world, id, host, other, &rotten);
                }
            }
        }
    }
}

/// Panics if two hosts' copies of a PG differ, or one cannot be read.
pub fn compare(world: &World, id: SpgId, one: HostId, other: HostId) {
    if let Some((host, name)) = compare_readable(world, id, one, other, &|_, _| false).first() {
        panic!("pg {id}: {name} cannot be read on {}", world.label(*host));
    }
}

/// Panics if two hosts' copies of a PG differ in what can be read; gives what cannot. What is `rotten` may differ.
fn compare_readable(
    world: &World,
    id: SpgId,
    one: HostId,
    other: HostId,
    rotten: &dyn Fn(HostId, &GHObject) -> bool,
) -> Vec<(HostId, GHObject)> {
    let (a, b) = (objects(world, one, id), objects(world, other, id));
    let names: BTreeSet<&GHObject> = a.keys().chain(b.keys()).collect();
    let mut unreadable = Vec::new();
    for name in names.into_iter().filter(|name| !rotten(one, name) && !rotten(other, name)) {
        let (here, there) = (world.label(one), world.label(other));
        let bad = [(one, a.get(name)), (other, b.get(name))].into_iter().filter(|(_, c)| *c == Some(&None));
        let before = unreadable.len();
        unreadable.extend(bad.map(|(host, _)| (host, name.clone())));
        if unreadable.len() > before {
            continue;
        }
        let (a, b) = (a.get(name).and_then(Option::as_ref), b.get(name).and_then(Option::as_ref));
        assert!(a == b, "pg {id}: {name} differs: on {here} {}; on {there} {}", describe(a), describe(b));
    }
    unreadable
}

/// One object's data, attributes, omap header and omap.
type Content = (Bytes, BTreeMap<ByteStr, Bytes>, Bytes, Vec<(ByteStr, Bytes)>);

/// `None`: its data or its omap cannot be read.
fn objects(world: &World, host: HostId, id: SpgId) -> BTreeMap<GHObject, Option<Content>> {
    let (store, coll): (&dyn ObjectRead, _) = (world.disk(host).reader(), Coll::Pg(id));
    const READS: &str = "a healthy simulated disk reads";
    let (all, _) = store.list(coll, &GHObject::min(), usize::MAX).expect(READS);
    all.into_iter()
        .filter(|o| !o.is_pgmeta())
        .map(|o| {
            let Ok(data) = store.read(coll, &o, 0, u64::MAX) else { return (o, None) };
            let data = data.unwrap_or_default();
            let attrs = store.attrs(coll, &o).expect(READS).unwrap_or_default();
            let omap =
                store.omap_header(coll, &o).and_then(|h| Ok((h, store.omap_range(coll, &o, None, usize::MAX)?.0)));
            let Ok((header, omap)) = omap else { return (o, None) };
            (o, Some((data, attrs, header, omap)))
        })
        .collect()
}

fn describe(content: Option<&Content>) -> String {
    let Some((data, attrs, header, omap)) = content else { return "it is not there".to_owned() };
    let info = attrs.get(b"_".as_slice()).and_then(|raw| denc::from_bytes::<types::ObjectInfo>(raw.clone()).ok());
    let names: Vec<String> = attrs.iter().map(|(k, v)| format!("{k}:{}", v.len())).collect();
    let keys: Vec<String> = omap.iter().map(|(k, v)| format!("{k}:{}", v.len())).collect();
    format!(
        "{} bytes (crc {:#x}), attrs {names:?}, header of {}, omap {keys:?}, {info:?}",
        data.len(),
        types::crc32c(0, data),
        header.len()
    )
}
