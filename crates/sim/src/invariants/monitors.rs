//! Monitors agree: one leader a term; what is committed is the same everywhere and is never lost; the maps
//! of a monitor only grow, and those of an epoch are one.

use std::collections::BTreeMap;

use quorum::{Index, MemberId, Payload, Role, Term};
use types::Epoch;

use super::Invariant;
use crate::world::{HostId, World};

#[derive(Debug, Default)]
pub(super) struct Monitors {
    leaders: BTreeMap<Term, MemberId>,
    /// The term and the sum of each entry that was seen committed.
    committed: BTreeMap<Index, (Term, u32)>,
    /// How far each host's log was looked at in this life.
    looked: BTreeMap<(HostId, u32), Index>,
    maps: BTreeMap<Epoch, u32>,
    newest: BTreeMap<(HostId, u32), Epoch>,
}

fn sum(payload: &Payload) -> u32 {
    match payload {
        Payload::Opening => 1,
        Payload::Data(data) => types::crc32c(2, data),
        Payload::Members(members) => members.iter().fold(3, |sum, id| types::crc32c(sum, &id.to_le_bytes())),
    }
}

impl Invariant for Monitors {
    fn look(&mut self, world: &World) {
        for (host, mon) in world.mons() {
            let (name, raft, life) = (mon.name(), mon.raft(), world.life(host));
            if raft.role() == Role::Leader {
                let leader = *self.leaders.entry(raft.term()).or_insert(raft.me());
                assert_eq!(leader, raft.me(), "mon.{name} leads in term {} as another did", raft.term());
            }
            let looked = self.looked.entry((host, life)).or_default();
            let commit = raft.committed_index();
            for index in (*looked + 1).max(raft.first_index())..=commit {
                let entry = raft.entry(index).expect("a log has no gaps");
                let seen = (entry.term, sum(&entry.payload));
                let known = *self.committed.entry(index).or_insert(seen);
                assert_eq!(known, seen, "mon.{name} committed another entry {index}");
            }
            assert!(*looked <= commit, "mon.{name} committed up to {looked}, and now to {commit}");
            *looked = commit;
            let map = mon.osdmap();
            let newest = self.newest.entry((host, life)).or_default();
            assert!(*newest <= map.epoch, "mon.{name} went back from map {newest} to {}", map.epoch);
            if *newest < map.epoch {
                *newest = map.epoch;
                let seen = types::crc32c(0, &map.encode_canonical());
                let known = *self.maps.entry(map.epoch).or_insert(seen);
                assert_eq!(known, seen, "mon.{name} has another map {}", map.epoch);
            }
        }
    }
}
