//! Who agrees: the quorum as clients see it, replicated, so that every monitor tells the same.
//!
//! The leader writes it down whenever it begins to lead, and when a monitor comes or has gone. The election
//! epoch grows by two each time and is even while there is a quorum of several (Ceph: odd during an
//! election); a lone monitor's is odd, as Ceph's.

use std::collections::BTreeMap;
use std::time::Duration;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use messages::ClogLevel;
use node::Now;
use quorum::MemberId;
use types::UTime;

use crate::change::Space;
use crate::core::{Cx, Mon};
use crate::state::{Effects, meta};

/// A monitor that was not heard for an election's time, and then for so long, is out of the quorum.
const GONE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quorum {
    pub epoch: u64,
    pub leader: String,
    /// By rank.
    pub names: Vec<String>,
    pub since: UTime,
}

impl Encode for Quorum {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u64(self.epoch);
            e.string(&self.leader);
            e.put(&self.names);
            e.put(&self.since);
        });
    }
}

impl Decode for Quorum {
    const MIN_SIZE: usize = 30;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("quorum", 1, |d, _| {
            Ok(Self { epoch: d.u64()?, leader: d.string()?, names: d.get()?, since: d.get()? })
        })
    }
}

/// Who was not heard when last looked, and since when.
pub type Absent = BTreeMap<MemberId, Duration>;

impl Mon {
    /// The last quorum that was agreed upon.
    pub(crate) fn quorum(&self) -> Quorum {
        self.state.value(Space::Meta, meta::QUORUM).unwrap_or_default()
    }

    /// The quorum's ranks.
    pub(crate) fn quorum_ranks(&self) -> Vec<u32> {
        let map = self.monmap();
        self.quorum().names.iter().filter_map(|name| Some(map.rank_of(name)? as u32)).collect()
    }

    /// Monitors of the map that are not in the quorum, by rank.
    pub(crate) fn out_of_quorum(&self) -> Vec<String> {
        let names = self.quorum().names;
        self.monmap().ranks.into_iter().filter(|name| !names.contains(name)).collect()
    }

    /// How long the quorum has been what it is.
    pub(crate) fn quorum_age(&self, now: Now) -> Duration {
        self.quorum_since.map(|since| now.mono.saturating_sub(since.mono)).unwrap_or_default()
    }

    pub(crate) fn on_quorum(&mut self, now: Now, effects: &Effects) {
        if effects.keys.iter().any(|(space, key)| *space == Space::Meta && key == meta::QUORUM) {
            self.quorum_since = Some(now);
        }
    }

    /// Names by rank of those members.
    fn names_of(&self, ids: &[MemberId]) -> Vec<String> {
        let mut places: Vec<_> = ids.iter().filter_map(|id| self.mon_place(*id)).collect();
        places.sort_by_key(|p| p.rank);
        places.into_iter().map(|p| p.name).collect()
    }

    /// This monitor leads from now on.
    pub(crate) fn begin_quorum(&mut self, cx: &mut Cx) {
        self.watch.absent.clear();
        let names = self.names_of(&self.log.heard());
        self.set_quorum(cx, names);
        let quorum = self.pending_quorum();
        let map = self.monmap();
        let ranks: Vec<String> =
            quorum.names.iter().filter_map(|n| map.rank_of(n)).map(|rank| rank.to_string()).collect();
        let (name, names, ranks) = (&self.setup.name, quorum.names.join(","), ranks.join(","));
        let text = format!("mon.{name} is new leader, mons {names} in quorum (ranks {ranks})");
        self.pending.clog(ClogLevel::Info, text);
    }

    fn set_quorum(&mut self, cx: &Cx, names: Vec<String>) {
        let before = self.pending_quorum().epoch;
        let epoch = if self.monmap().ranks.len() > 1 { (before + 2) & !1 } else { (before + 2) | 1 };
        let quorum = Quorum { epoch, leader: self.setup.name.clone(), names, since: cx.now.wall };
        self.pending.put_value(Space::Meta, meta::QUORUM, &quorum);
    }

    fn pending_quorum(&self) -> Quorum {
        let pending = self.pending.get(Space::Meta, meta::QUORUM).flatten();
        pending.and_then(|b| denc::from_bytes(b.clone()).ok()).unwrap_or_else(|| self.quorum())
    }

    /// The leader looks who is there.
    pub(crate) fn mind_quorum_record(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let heard = self.log.heard();
        let members: Vec<MemberId> = self.log.members().iter().collect();
        self.watch.absent.retain(|id, _| !heard.contains(id) && members.contains(id));
        for id in members.iter().filter(|id| !heard.contains(id)) {
            self.watch.absent.entry(*id).or_insert(now);
        }
        let quorum = self.quorum();
        // Who is missed for a moment stays in; who was out is in at once.
        let is_in = |id: &MemberId| match self.watch.absent.get(id) {
            None => true,
            Some(since) => {
                let was_in = self.mon_place(*id).is_some_and(|p| quorum.names.contains(&p.name));
                was_in && now.saturating_sub(*since) < GONE
            }
        };
        let ids: Vec<MemberId> = members.iter().copied().filter(is_in).collect();
        let names = self.names_of(&ids);
        if names != self.pending_quorum().names && self.is_writeable() {
            let gone: Vec<_> = quorum.names.iter().filter(|n| !names.contains(n)).cloned().collect();
            for name in &gone {
                self.drop_standby(name);
            }
            self.set_quorum(cx, names);
        }
    }
}
