//! The first state of a cluster, and what a monitor announces whenever it begins to lead.

use std::collections::BTreeMap;

use messages::ClogLevel;
use osdmap::{NewCluster, OsdMap};
use types::{MgrMap, MonFeatures, MonInfo, MonMap, features};

use crate::change::{Change, Space};
use crate::commands::auth::{Entity, Key};
use crate::core::{Cx, Mon};
use crate::members::mgr_metadata;
use crate::state::meta;

impl Mon {
    pub(crate) fn monmap(&self) -> MonMap {
        self.state.value(Space::Meta, meta::MONMAP).unwrap_or_else(|| self.first_monmap(types::UTime::ZERO))
    }

    pub(crate) fn mgrmap(&self) -> MgrMap {
        self.state.value(Space::Meta, meta::MGRMAP).unwrap_or_default()
    }

    pub(crate) fn service_map_epoch(&self) -> u64 {
        // A service map begins with its frame's six bytes and the epoch.
        let bytes = self.state.get(Space::Meta, meta::SERVICEMAP);
        bytes.and_then(|b| Some(u32::from_le_bytes(b.get(6..10)?.try_into().ok()?))).unwrap_or(0).into()
    }

    fn first_monmap(&self, now: types::UTime) -> MonMap {
        let info = |(name, addr): &(String, types::EntityAddr)| {
            let info = MonInfo { name: name.clone(), public_addrs: (*addr).into(), ..MonInfo::default() };
            (name.clone(), info)
        };
        MonMap {
            epoch: 1,
            fsid: self.setup.fsid,
            last_changed: now,
            created: now,
            persistent_features: MonFeatures::PACIFIC,
            mons: self.setup.mons.iter().map(info).collect(),
            ranks: self.setup.mons.iter().map(|(name, _)| name.clone()).collect(),
            min_mon_release: 16,
            election_strategy: 1,
            ..MonMap::default()
        }
    }

    /// Proposes the first maps and keys.
    pub(crate) fn mkfs(&mut self, cx: &mut Cx) {
        let now = cx.now.wall;
        let monmap = self.first_monmap(now);
        self.pending.put(Space::Meta, meta::FSID, self.setup.fsid.to_string());
        self.pending.put_value(Space::Meta, meta::MONMAP, &monmap);
        let members: BTreeMap<String, quorum::MemberId> = monmap.ranks.iter().cloned().zip(0..).collect();
        self.pending.put_value(Space::Meta, meta::MEMBERS, &members);
        self.pending.changes.push(Change::FirstOsdMap(self.first_osdmap(now)));
        for (name, caps) in first_entities() {
            let key = Key::new(now, self.secrets.next());
            self.pending.put_value(Space::Auth, name, &Entity::new(key, caps));
        }
        self.pending.clog(ClogLevel::Info, format!("mkfs {}", self.setup.fsid));
    }

    fn first_osdmap(&self, now: types::UTime) -> bytes::Bytes {
        let ratio = |name: &str| self.config.f64(name) as f32;
        let profile = self.config.str("osd_pool_default_erasure_code_profile");
        let pairs = profile.split_whitespace().filter_map(|pair| pair.split_once('='));
        let mut options = NewCluster {
            chooseleaf_type: self.config.i64("osd_crush_chooseleaf_type") as i32,
            nearfull_ratio: ratio("mon_osd_nearfull_ratio"),
            backfillfull_ratio: ratio("mon_osd_backfillfull_ratio"),
            full_ratio: ratio("mon_osd_full_ratio"),
            erasure_code_profile: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        };
        let map = OsdMap::new_cluster(self.setup.fsid, now, &options).or_else(|_| {
            // There is no such bucket type, so the default one.
            options.chooseleaf_type = 1;
            OsdMap::new_cluster(self.setup.fsid, now, &options)
        });
        map.expect("hosts are a type of every new map").encode_canonical()
    }

    /// A manager that has been gone for long enough leaves the map (Ceph: `mon_mgr_beacon_grace`).
    pub(crate) fn watch_mgr(&mut self, cx: &mut Cx) {
        let grace = self.config.secs("mon_mgr_beacon_grace");
        let gone = self.mgr_stopped.is_some_and(|at| cx.now.mono.saturating_sub(at) >= grace);
        let mut map = self.mgrmap();
        if gone && map.available {
            map.epoch += 1;
            map.available = false;
            map.active_gid = 0;
            map.active_addrs = types::EntityAddrVec::default();
            let name = std::mem::take(&mut map.active_name);
            map.active_change = cx.now.wall;
            map.last_failure_osd_epoch = self.state.osdmap.epoch;
            self.pending.put_value(Space::Meta, meta::MGRMAP, &map);
            let text = format!("Manager daemon {name} is unresponsive.  No standby daemons available.");
            self.pending.clog(ClogLevel::Info, text);
        }
    }

    /// Puts the manager of this process into the map, as a new one.
    pub(crate) fn announce_mgr(&mut self, cx: &mut Cx) {
        let mut map = self.pending_mgrmap();
        let addr = self.setup.listening.mgr;
        let runs = self.mgr_stopped.is_none();
        map.epoch += 1;
        map.active_gid = u64::from(addr.nonce) << 16 | u64::from(map.epoch) & 0xffff;
        map.active_addrs = addr.into();
        map.active_name = self.setup.name.clone();
        map.available = runs && !addr.is_blank();
        map.standbys.retain(|_, s| s.name != self.setup.name);
        map.active_change = cx.now.wall;
        map.active_mgr_features = features::ALL;
        map.last_failure_osd_epoch = self.state.osdmap.epoch;
        self.pending.put_value(Space::Meta, meta::MGRMAP, &map);
    }

    /// What every leader says of itself when it begins: its manager's address, its metadata.
    pub(crate) fn announce(&mut self, cx: &mut Cx) {
        self.announce_mgr(cx);
        let hello = self.hello();
        self.pending.put_value(Space::MonMetadata, self.setup.name.clone(), &hello.metadata);
        self.pending.put_value(Space::MgrMetadata, self.setup.name.clone(), &mgr_metadata(&hello));
    }

    pub(crate) fn own_metadata(&self) -> BTreeMap<String, String> {
        let mut m: BTreeMap<String, String> = self.setup.metadata.clone();
        m.insert("hostname".to_owned(), self.setup.hostname.clone());
        m.insert("ceph_version".to_owned(), types::version::full());
        m.insert("ceph_version_short".to_owned(), types::version::short());
        m.insert("ceph_release".to_owned(), types::version::RELEASE.to_owned());
        m.insert("compression_algorithms".to_owned(), "none".to_owned());
        m.insert("addrs".to_owned(), types::EntityAddrVec::from(self.setup.listening.public).to_string());
        m
    }
}

/// Who may log in from the beginning, and what each may do.
pub fn first_entities() -> Vec<(String, BTreeMap<String, String>)> {
    let caps = |list: &[(&str, &str)]| list.iter().map(|(s, c)| ((*s).to_owned(), (*c).to_owned())).collect();
    let mut all = vec![(
        "client.admin".to_owned(),
        caps(&[("mds", "allow *"), ("mgr", "allow *"), ("mon", "allow *"), ("osd", "allow *")]),
    )];
    for kind in ["mds", "mgr", "osd", "rbd", "rbd-mirror", "rgw"] {
        let profile = format!("allow profile bootstrap-{kind}");
        all.push((format!("client.bootstrap-{kind}"), caps(&[("mon", &profile)])));
    }
    all
}
