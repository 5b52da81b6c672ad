//! The map of the managers: which one is active, and where.

use std::collections::{BTreeMap, BTreeSet};

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::dump::Dump;
use crate::{EntityAddrVec, Epoch, UTime};

/// `MgrMap::ModuleInfo`, without the module's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MgrModule {
    pub name: String,
    pub can_run: bool,
    pub error: String,
}

impl Encode for MgrModule {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 1, |e| {
            e.string(&self.name);
            e.bool(self.can_run);
            e.string(&self.error);
            e.u32(0); // options
        });
    }
}

impl Decode for MgrModule {
    const MIN_SIZE: usize = 15;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("MgrMap::ModuleInfo", 2, |d, _| Ok(Self { name: d.get()?, can_run: d.bool()?, error: d.get()? }))
    }
}

/// `MgrMap::StandbyInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MgrStandby {
    pub gid: u64,
    pub name: String,
    pub available_modules: Vec<MgrModule>,
    pub mgr_features: u64,
}

impl Encode for MgrStandby {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(4, 1, |e| {
            e.u64(self.gid);
            e.string(&self.name);
            let names: BTreeSet<String> = self.available_modules.iter().map(|m| m.name.clone()).collect();
            e.put(&names);
            e.put(&self.available_modules);
            e.u64(self.mgr_features);
        });
    }
}

impl Decode for MgrStandby {
    const MIN_SIZE: usize = 18;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("MgrMap::StandbyInfo", 4, |d, v| {
            let mut s = Self { gid: d.u64()?, name: d.get()?, ..Self::default() };
            if v >= 2 {
                d.get::<BTreeSet<String>>()?;
            }
            if v >= 3 {
                s.available_modules = d.get()?;
            }
            if v >= 4 {
                s.mgr_features = d.u64()?;
            }
            Ok(s)
        })
    }
}

/// `MgrMap`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MgrMap {
    pub epoch: Epoch,
    /// 0 if none is active.
    pub active_gid: u64,
    pub active_addrs: EntityAddrVec,
    /// Whether the active one serves already.
    pub available: bool,
    pub active_name: String,
    pub active_change: UTime,
    pub active_mgr_features: u64,
    pub standbys: BTreeMap<u64, MgrStandby>,
    pub modules: BTreeSet<String>,
    pub services: BTreeMap<String, String>,
    pub available_modules: Vec<MgrModule>,
    /// By release.
    pub always_on_modules: BTreeMap<u32, BTreeSet<String>>,
    pub last_failure_osd_epoch: Epoch,
    /// The RADOS clients of the active manager, by name.
    pub clients: Vec<(String, EntityAddrVec)>,
}

impl MgrMap {
    /// As `ceph mgr dump` prints it.
    pub fn dump(&self) -> Dump {
        let module = |m: &MgrModule| {
            Dump::obj()
                .with("name", &m.name)
                .with("can_run", m.can_run)
                .with("error_string", &m.error)
                .with("module_options", Dump::obj())
        };
        let standby = |s: &MgrStandby| {
            Dump::obj()
                .with("gid", s.gid)
                .with("name", &s.name)
                .with("mgr_features", s.mgr_features)
                .with("available_modules", Dump::arr("module", s.available_modules.iter().map(module)))
        };
        let mut services = Dump::obj();
        for (name, uri) in &self.services {
            services.put(name.clone(), uri);
        }
        let mut always_on = Dump::obj();
        for (release, names) in &self.always_on_modules {
            let release = match release {
                14 => "nautilus",
                15 => "octopus",
                16 => "pacific",
                _ => "unknown",
            };
            always_on.put(release, Dump::arr("module", names));
        }
        let client = |(name, addrs): &(String, EntityAddrVec)| {
            let mut c = Dump::obj().with("name", name);
            c.extend(addrs.dump());
            c
        };
        Dump::obj()
            .with("epoch", self.epoch)
            .with("active_gid", self.active_gid)
            .with("active_name", &self.active_name)
            .with("active_addrs", self.active_addrs.dump())
            .with("active_addr", self.active_addrs.legacy_or_first().legacy_str())
            .with("active_change", self.active_change)
            .with("active_mgr_features", self.active_mgr_features)
            .with("available", self.available)
            .with("standbys", Dump::arr("standby", self.standbys.values().map(standby)))
            .with("modules", Dump::arr("module", &self.modules))
            .with("available_modules", Dump::arr("module", self.available_modules.iter().map(module)))
            .with("services", services)
            .with("always_on_modules", always_on)
            .with("last_failure_osd_epoch", self.last_failure_osd_epoch)
            .with("active_clients", Dump::arr("client", self.clients.iter().map(client)))
    }
}

impl Encode for MgrMap {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(12, 6, |e| {
            e.u32(self.epoch);
            e.put(&self.active_addrs);
            e.u64(self.active_gid);
            e.bool(self.available);
            e.string(&self.active_name);
            e.put(&self.standbys);
            e.put(&self.modules);
            e.put(&self.services);
            e.put(&self.available_modules);
            e.put(&self.active_change);
            e.put(&self.always_on_modules);
            e.u64(self.active_mgr_features);
            e.u32(self.last_failure_osd_epoch);
            let (names, addrs): (Vec<String>, Vec<EntityAddrVec>) = self.clients.iter().cloned().unzip();
            e.put(&addrs);
            e.put(&names);
        });
    }
}

impl Decode for MgrMap {
    const MIN_SIZE: usize = 40;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("MgrMap", 12, |d, v| {
            if v < 6 {
                return Err(DecodeError::TooOld { what: "MgrMap", version: v });
            }
            let mut m = Self { epoch: d.u32()?, active_addrs: d.get()?, active_gid: d.u64()?, ..Self::default() };
            m.available = d.bool()?;
            m.active_name = d.get()?;
            m.standbys = d.get()?;
            m.modules = d.get()?;
            m.services = d.get()?;
            m.available_modules = d.get()?;
            if v >= 7 {
                m.active_change = d.get()?;
            }
            if v >= 8 {
                m.always_on_modules = d.get()?;
            }
            if v >= 9 {
                m.active_mgr_features = d.u64()?;
            }
            if v >= 10 {
                m.last_failure_osd_epoch = d.u32()?;
            }
            let addrs: Vec<EntityAddrVec> = if v >= 11 { d.get()? } else { vec![] };
            let names: Vec<String> = if v >= 12 { d.get()? } else { vec![] };
            let names = names.into_iter().chain(std::iter::repeat(String::new()));
            m.clients = addrs.into_iter().zip(names).map(|(a, n)| (n, a)).collect();
            Ok(m)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use denc::{from_bytes, to_bytes};

    #[test]
    fn a_recorded_mgrmap_is_read_to_its_end() {
        let bytes = bytes::Bytes::from_static(include_bytes!("../testdata/mgrmap.bin"));
        let map: MgrMap = from_bytes(bytes).unwrap();
        assert_eq!((map.epoch, map.active_name.as_str(), map.available), (13, "x", true));
        let names: Vec<_> = map.clients.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["rbd_support", "volumes"]);
        assert_eq!(from_bytes::<MgrMap>(to_bytes(&map, crate::features::ALL)), Ok(map));
    }
}
