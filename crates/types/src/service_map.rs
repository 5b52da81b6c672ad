//! The daemons that registered with the manager.

use std::collections::BTreeMap;

use crate::addr::EntityAddr;
use crate::framed::framed;
use crate::ids::Epoch;
use crate::time::UTime;

/// `ServiceMap::Daemon`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceDaemon {
    pub gid: u64,
    pub addr: EntityAddr,
    pub start_epoch: Epoch,
    pub start_stamp: UTime,
    pub metadata: BTreeMap<String, String>,
    pub task_status: BTreeMap<String, String>,
}

framed! { ServiceDaemon, "ServiceMap::Daemon", 2, compat 1, min 1;
    gid, addr, start_epoch, start_stamp, metadata; 2 => task_status;
}

/// `ServiceMap::Service`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    pub daemons: BTreeMap<String, ServiceDaemon>,
    pub summary: String,
}

framed! { Service, "ServiceMap::Service", 1, compat 1, min 1; daemons, summary; }

/// `ServiceMap`: the daemons that registered with the manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceMap {
    pub epoch: Epoch,
    pub modified: UTime,
    pub services: BTreeMap<String, Service>,
}

framed! { ServiceMap, "ServiceMap", 1, compat 1, min 1; epoch, modified, services; }
