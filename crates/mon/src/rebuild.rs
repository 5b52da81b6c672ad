//! A monitor's state made from what OSDs hold of it: their maps. For when all monitors are lost.
//!
//! What the maps say comes back: pools, CRUSH, who is up and in, blocklist, snapshots. What only the monitors
//! had is gone: see [`LOST`].

use std::collections::BTreeMap;

use bytes::Bytes;
use denc::{from_bytes, to_bytes};
use os::{Coll, Transaction, TxOp};
use osdmap::{Incremental, OsdMap};
use quorum::MemberId;
use types::{EntityAddr, Epoch, MonFeatures, MonInfo, MonMap, UTime, Uuid, features};

use crate::change::Space;
use crate::commands::auth::{Entity, Key};
use crate::mkfs::first_entities;
use crate::secrets::Secrets;
use crate::state::{State, meta};

/// What no OSD holds, in words for people.
pub const LOST: &[&str] = &[
    "the central configuration (`ceph config set`): ceph.conf still holds",
    "config-keys",
    "keys and capabilities made with `ceph auth`: client.admin and the bootstrap ones are new",
    "the cluster log, health mutes, and what daemons said of their hosts (they say it again)",
    "which placement groups of new pools were still to be made: `ceph osd force-create-pg` makes one that stays unknown",
    "the other monitors: add them again",
];

/// Maps found in OSDs' stores, encoded.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub full: BTreeMap<Epoch, Bytes>,
    pub inc: BTreeMap<Epoch, Bytes>,
}

/// Who the new monitor is.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: String,
    pub addr: EntityAddr,
    pub fsid: Uuid,
    pub now: UTime,
    pub entropy: [u8; 32],
}

/// Why there is no state to be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    #[error("there is no OSD map in these stores")]
    NoMap,
    #[error("the OSD map of epoch {epoch} is of cluster {found}, not of {wanted}")]
    OtherCluster { epoch: Epoch, found: Uuid, wanted: Uuid },
    #[error("the OSD map of epoch {epoch} cannot be read")]
    Decode {
        epoch: Epoch,
        #[source]
        source: denc::DecodeError,
    },
}

/// The first and the last epoch that came back, and what writes the state to an empty store.
///
/// # Errors
/// See [`RebuildError`].
pub fn rebuild(found: &Found, who: &Identity) -> Result<((Epoch, Epoch), Transaction), RebuildError> {
    let (&newest, full) = found.full.last_key_value().ok_or(RebuildError::NoMap)?;
    let map = decode::<OsdMap>(newest, full)?;
    if map.fsid != who.fsid {
        return Err(RebuildError::OtherCluster { epoch: newest, found: map.fsid, wanted: who.fsid });
    }
    // As far back as nothing is missing: who follows the maps must be able to follow them all.
    let mut first = newest;
    while first > 1 && found.inc.contains_key(&first) && found.full.contains_key(&(first - 1)) {
        decode::<Incremental>(first, &found.inc[&first])?;
        decode::<OsdMap>(first - 1, &found.full[&(first - 1)])?;
        first -= 1;
    }
    let mut txn = Transaction::new();
    txn.push(TxOp::MkColl { coll: Coll::Meta, bits: 0 });
    let full = found.full.range(first..=newest).map(|(e, b)| (*e, b.clone()));
    let inc = found.inc.range(first + 1..=newest).map(|(e, b)| (*e, b.clone()));
    State::write_new(&mut txn, who.now, (first, newest), keys(who), full, inc);
    Ok(((first, newest), txn))
}

fn decode<T: denc::Decode>(epoch: Epoch, bytes: &Bytes) -> Result<T, RebuildError> {
    from_bytes(bytes.clone()).map_err(|source| RebuildError::Decode { epoch, source })
}

fn keys(who: &Identity) -> Vec<(Space, String, Bytes)> {
    let name = who.name.clone();
    let info = MonInfo { name: name.clone(), public_addrs: who.addr.into(), ..MonInfo::default() };
    let monmap = MonMap {
        epoch: 1,
        fsid: who.fsid,
        last_changed: who.now,
        created: who.now,
        persistent_features: MonFeatures::PACIFIC,
        mons: [(name.clone(), info)].into(),
        ranks: vec![name.clone()],
        min_mon_release: 16,
        election_strategy: 1,
        ..MonMap::default()
    };
    let members: BTreeMap<String, MemberId> = [(name, 0)].into();
    let meta = |key: &str, value: Bytes| (Space::Meta, key.to_owned(), value);
    // Ids that the lost monitors gave out must not come again, and nobody knows which those were: they grew
    // by ten thousand at a time from 4100, so they are far below the time in seconds.
    let ids = u64::from(who.now.sec);
    let mut keys = vec![
        meta(meta::FSID, who.fsid.to_string().into()),
        meta(meta::MONMAP, to_bytes(&monmap, features::ALL)),
        meta(meta::MEMBERS, to_bytes(&members, 0)),
        meta(meta::GLOBAL_ID_MAX, to_bytes(&ids, 0)),
    ];
    let mut secrets = Secrets::new(who.entropy);
    for (entity, caps) in first_entities() {
        let entity_key = Entity::new(Key::new(who.now, secrets.next()), caps);
        keys.push((Space::Auth, entity, to_bytes(&entity_key, features::ALL)));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use os::MemStore;

    fn who() -> Identity {
        Identity {
            name: "a".to_owned(),
            addr: EntityAddr::default(),
            fsid: Uuid([7; 16]),
            now: UTime { sec: 1_795_000_000, nsec: 0 },
            entropy: [1; 32],
        }
    }

    /// Maps of epochs 1 to 3.
    fn found() -> Found {
        let options = osdmap::NewCluster { chooseleaf_type: 0, ..osdmap::NewCluster::default() };
        let mut map = OsdMap::new_cluster(who().fsid, who().now, &options).expect("a first map");
        let mut found = Found::default();
        found.full.insert(1, map.encode_canonical());
        for epoch in 2..=3 {
            let inc = Incremental::after(&map);
            map.apply(&inc).expect("it follows");
            found.inc.insert(epoch, to_bytes(&inc, features::ALL));
            found.full.insert(epoch, map.encode_canonical());
        }
        found
    }

    #[test]
    fn a_state_made_from_maps_is_loaded_like_any_other() {
        let (epochs, txn) = rebuild(&found(), &who()).expect("it can be made");
        assert_eq!(epochs, (1, 3));
        let mut store = MemStore::default();
        store.apply(&txn).expect("it is written");
        let state = State::load(&store).expect("it is read");
        assert_eq!((state.osdmap.epoch, state.first_map, state.member), (3, 1, Some(0)));
        assert_eq!(state.value::<u64>(Space::Meta, meta::GLOBAL_ID_MAX), Some(1_795_000_000));
        assert!(state.get(Space::Auth, "client.admin").is_some());
    }

    #[test]
    fn what_comes_before_a_gap_is_left_out() {
        let mut maps = found();
        maps.inc.remove(&2);
        assert_eq!(rebuild(&maps, &who()).expect("it can be made").0, (2, 3));
        maps.full.clear();
        assert_eq!(rebuild(&maps, &who()), Err(RebuildError::NoMap));
    }

    #[test]
    fn another_cluster_s_maps_are_refused() {
        let other = Identity { fsid: Uuid([8; 16]), ..who() };
        assert!(matches!(rebuild(&found(), &other), Err(RebuildError::OtherCluster { epoch: 3, .. })));
    }
}
