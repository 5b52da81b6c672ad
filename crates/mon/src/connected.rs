//! Who is connected to the monitors, by kind and features: `ceph features`, before which nobody raises what clients
//! must be able to do.
//!
//! ```text
//! peon ─Connected(counts)─► leader: adds its own, and those of all others that are in the quorum
//! ```
//!
//! Each client is connected to one monitor, so the sums count nobody twice. A peon tells within a second of a change,
//! and every five seconds, since what is said may be lost (Ceph: `Monitor::get_combined_feature_map`, told with each
//! acknowledgement of a lease).

use std::collections::BTreeMap;
use std::time::Duration;

use quorum::MemberId;
use types::EntityName;
use types::dump::Dump;
use types::features;

use crate::core::{Cx, Mon};
use crate::forward::Forwards;
use crate::peers::PeerMsg;

/// What did not change is told again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// `FeatureMap`: how many of each kind are connected with which features.
pub type Counts = BTreeMap<(u8, u64), u64>;

#[derive(Debug, Default)]
pub struct Connected {
    /// At a peon: what the leader was told, which leader, and when.
    told: Option<(MemberId, Counts, Duration)>,
    /// At the leader.
    others: BTreeMap<MemberId, Counts>,
}

impl Mon {
    fn own_counts(&self) -> Counts {
        let mut counts = Counts::new();
        // What stands for another monitor's session is counted there.
        for (_, session) in self.sessions.iter().filter(|(conn, _)| !Forwards::is_proxy(*conn)) {
            *counts.entry((session.peer.name.kind, session.peer.features)).or_default() += 1;
        }
        counts
    }

    /// How many clients are connected to this monitor.
    pub fn clients(&self) -> usize {
        self.sessions.iter().filter(|(_, s)| s.peer.name.is_client()).count()
    }

    /// A peon's part, about once a second.
    pub(crate) fn tell_connected(&mut self, cx: &mut Cx) {
        let Some(leader) = self.log.leader().filter(|_| !self.log.is_leading()) else { return };
        let (now, counts) = (cx.now.mono, self.own_counts());
        let known = self.connected.told.as_ref();
        if known.is_some_and(|(to, told, at)| *to == leader && *told == counts && now.saturating_sub(*at) < AGAIN) {
            return;
        }
        self.send_peer(cx, leader, PeerMsg::Connected { counts: counts.clone() }, None);
        self.connected.told = Some((leader, counts, now));
    }

    pub(crate) fn on_connected_told(&mut self, from: MemberId, counts: Counts) {
        if self.log.is_leading() {
            self.connected.others.insert(from, counts);
        }
    }

    /// Another leads.
    pub(crate) fn forget_connected(&mut self) {
        self.connected = Connected::default();
    }

    /// `features`: all monitors, managers and OSDs there are, and the clients of all monitors in the quorum.
    pub(crate) fn quorum_features_dump(&self) -> Dump {
        let (all, map, quorum) = (features::ALL, &self.state.osdmap, self.quorum());
        let known = [
            (types::ENTITY_TYPE_MON, quorum.names.len()),
            (types::ENTITY_TYPE_MGR, 1 + self.mgrmap().standbys.len()),
            (types::ENTITY_TYPE_OSD, map.osds().filter(|osd| map.is_up(*osd)).count()),
        ];
        let in_quorum = |id: &MemberId| self.mon_place(*id).is_some_and(|p| quorum.names.contains(&p.name));
        let mut sums = self.own_counts();
        for (_, counts) in self.connected.others.iter().filter(|(id, _)| in_quorum(id)) {
            counts.iter().for_each(|(what, n)| *sums.entry(*what).or_default() += n);
        }
        sums.retain(|(kind, _), _| known.iter().all(|(known, _)| known != kind));
        sums.extend(known.map(|(kind, num)| ((kind, all), num as u64)));
        dump(&sums)
    }

    /// `mon_status`'s `feature_map`: this monitor, the manager in its process, and who is connected to it.
    pub(crate) fn own_features_dump(&self) -> Dump {
        let mut counts = self.own_counts();
        for kind in [types::ENTITY_TYPE_MON, types::ENTITY_TYPE_MGR] {
            counts.retain(|(of, _), _| *of != kind);
            counts.insert((kind, features::ALL), 1);
        }
        dump(&counts)
    }
}

fn dump(counts: &Counts) -> Dump {
    let mut kinds: BTreeMap<u8, Vec<Dump>> = BTreeMap::new();
    for ((kind, features), num) in counts.iter().filter(|(_, num)| **num > 0) {
        let group = Dump::obj()
            .with("features", format!("0x{features:x}"))
            .with("release", release_of(*features))
            .with("num", *num);
        kinds.entry(*kind).or_default().push(group);
    }
    let mut d = Dump::obj();
    for (kind, groups) in kinds {
        d.put(EntityName { kind, num: 0 }.kind_str(), Dump::arr("group", groups));
    }
    d
}

/// The release that a client's features stand for; from luminous on Ceph makes no difference.
pub fn release_of(features: u64) -> &'static str {
    use types::features as f;
    let has = |mask: u64| features & mask == mask;
    if has(f::SERVER_LUMINOUS) {
        "luminous"
    } else if has(f::SERVER_KRAKEN) {
        "kraken"
    } else if has(f::CRUSH_TUNABLES5) {
        "jewel"
    } else if has(f::CRUSH_V4) {
        "hammer"
    } else {
        "unknown"
    }
}
