//! The manager: its map, the sessions of daemons with it, its own session with the monitors.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddrVec, Uuid};

use crate::Wire;
use crate::opaque::{Opaque, Rest};
use crate::payload::{Paxos, Payload, message};

type StringMap = BTreeMap<String, String>;

/// `MMgrMap`: the encoded MgrMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrMap {
    pub map: Bytes,
}

/// `MServiceMap`: the encoded ServiceMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MServiceMap {
    pub map: Bytes,
}

/// Messages that are nothing but one encoded map.
macro_rules! bare_map {
    ($name:ident = $kind:literal) => {
        impl Payload for $name {
            const KIND: u16 = $kind;
            const NAME: &'static str = stringify!($name);
            const VERSION: u16 = 1;
            const COMPAT: u16 = 1;
            const PRIORITY: u16 = crate::PRIO_HIGH;

            fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
                e.raw(&self.map);
            }

            fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
                Ok(Self { map: d.rest() })
            }
        }
    };
}
bare_map!(MMgrMap = 1796);
bare_map!(MServiceMap = 1799);

macro_rules! map_of_file_systems {
    ($(#[$doc:meta])* $name:ident = $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            pub epoch: u32,
            pub map: Bytes,
        }

        impl Payload for $name {
            const KIND: u16 = $kind;
            const NAME: &'static str = stringify!($name);
            const VERSION: u16 = 1;
            const COMPAT: u16 = 1;
            const PRIORITY: u16 = crate::PRIO_HIGH;

            fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
                e.u32(self.epoch);
                e.raw(&self.map);
            }

            fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
                Ok(Self { epoch: d.u32()?, map: d.rest() })
            }
        }
    };
}
map_of_file_systems!(
    /// `MFSMap`: the encoded FSMap and its epoch.
    MFSMap = 45
);
map_of_file_systems!(
    /// `MFSMapUser`: the encoded FSMapUser, file systems by name, and its epoch.
    MFSMapUser = 103
);

/// `MMgrOpen`: a daemon (or a client that registers as a service) begins a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrOpen {
    /// Without its type: `3` of `osd.3`.
    pub daemon_name: String,
    /// Empty for the daemon types that Ceph knows by their address.
    pub service_name: String,
    /// Metadata and status of a daemon that registers itself in the service map.
    pub service_daemon: Option<(StringMap, StringMap)>,
    /// Its options that differ from the defaults, and the defaults, encoded.
    pub config: Bytes,
    pub config_defaults: Bytes,
}

impl Payload for MMgrOpen {
    const KIND: u16 = 1792;
    const NAME: &'static str = "MMgrOpen";
    const VERSION: u16 = 3;
    const COMPAT: u16 = 1;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.string(&self.daemon_name);
        e.string(&self.service_name);
        e.put(&self.service_daemon);
        e.blob(&self.config);
        e.blob(&self.config_defaults);
    }

    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError> {
        let mut open = Self { daemon_name: d.get()?, ..Self::default() };
        if wire.version >= 2 {
            open.service_name = d.get()?;
            open.service_daemon = d.get()?;
        }
        if wire.version >= 3 {
            open.config = d.blob()?;
            open.config_defaults = d.blob()?;
        }
        Ok(open)
    }
}

/// `MMgrUpdate`: a daemon's metadata changed (since release 18).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrUpdate {
    pub daemon_name: String,
    pub service_name: String,
    /// Metadata and status.
    pub update: Option<(StringMap, StringMap)>,
}
message!(MMgrUpdate = 1803, v 2 / 1; daemon_name, since 2 service_name, since 2 update);

/// `MMgrClose`: ends a session; the manager repeats it as its acknowledgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrClose {
    pub daemon_name: String,
    pub service_name: String,
}
message!(MMgrClose = 1800, v 1 / 1; daemon_name, service_name);

/// `MMgrConfigure`: how often and what a daemon shall report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrConfigure {
    /// Seconds.
    pub stats_period: u32,
    /// Counters of a lower priority are left out.
    pub stats_threshold: u32,
    pub osd_perf_metric_queries: Vec<(Opaque, Vec<Opaque>)>,
    /// An `optional<MetricConfigMessage>`, or empty.
    pub metric_config: Rest,
}
message!(MMgrConfigure = 1793, v 4 / 1;
    stats_period, since 2 stats_threshold, since 3 osd_perf_metric_queries, since 4 metric_config);

impl MMgrConfigure {
    pub fn new(stats_period: u32, stats_threshold: u32) -> Self {
        Self { stats_period, stats_threshold, metric_config: NOTHING, ..Self::default() }
    }
}

/// An `optional` that is not there.
const NOTHING: Rest = Rest(Bytes::from_static(&[0]));

/// `PerfCounterType`: what a counter that follows in reports means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerfCounterType {
    pub path: String,
    pub description: String,
    pub nick: String,
    pub kind: u8,
    pub priority: u8,
    pub unit: u8,
}

impl Encode for PerfCounterType {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(3, 1, |e| {
            e.string(&self.path);
            e.string(&self.description);
            e.string(&self.nick);
            e.u8(self.kind);
            e.u8(self.priority);
            e.u8(self.unit);
        });
    }
}

impl Decode for PerfCounterType {
    const MIN_SIZE: usize = 19;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("PerfCounterType", 3, |d, v| {
            let (path, description, nick, kind) = (d.get()?, d.get()?, d.get()?, d.u8()?);
            let priority = if v >= 2 { d.u8()? } else { 5 };
            let unit = if v >= 3 { d.u8()? } else { 0 };
            Ok(Self { path, description, nick, kind, priority, unit })
        })
    }
}

/// `DaemonHealthMetric`: 0 is slow ops (count and oldest age in one number), 1 pending creating PGs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaemonHealthMetric {
    pub kind: u8,
    pub value: u64,
}

impl DaemonHealthMetric {
    /// Under this key of `task_status` an OSD of ours says where the time of its oldest slow operation goes.
    pub const SLOW_OPS_WHY: &str = "slow_ops";
    pub const SLOW_OPS: u8 = 0;

    /// Of slow ops: how many there are, and how many seconds the oldest has been under way.
    pub fn count_and_age(self) -> (u32, u32) {
        (self.value as u32, (self.value >> 32) as u32)
    }
}

impl Encode for DaemonHealthMetric {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.u8(self.kind);
            e.u64(self.value);
        });
    }
}

impl Decode for DaemonHealthMetric {
    const MIN_SIZE: usize = 15;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("DaemonHealthMetric", 1, |d, _| Ok(Self { kind: d.u8()?, value: d.u64()? }))
    }
}

/// `MMgrReport`: a daemon's counters and state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrReport {
    pub daemon_name: String,
    pub declare_types: Vec<PerfCounterType>,
    /// The declared counters' values, in the order of their paths.
    pub packed: Bytes,
    pub undeclare_types: Vec<String>,
    pub service_name: String,
    pub daemon_status: Option<StringMap>,
    pub daemon_health_metrics: Vec<DaemonHealthMetric>,
    /// Its options that differ from the defaults, encoded, if they changed.
    pub config: Bytes,
    pub osd_perf_metric_reports: Vec<(Opaque, Opaque)>,
    pub task_status: Option<StringMap>,
    /// An `optional<MetricReportMessage>`; a report of ours ends with `Rest([0])`, see [`Self::new`].
    pub metric_report: Rest,
}
message!(MMgrReport = 1794, v 9 / 1;
    daemon_name, declare_types, packed, since 2 undeclare_types, since 3 service_name,
    since 3 daemon_status, since 5 daemon_health_metrics, since 6 config,
    since 7 osd_perf_metric_reports, since 8 task_status, since 9 metric_report);

impl MMgrReport {
    /// An empty report of `daemon_name`.
    pub fn new(daemon_name: impl Into<String>) -> Self {
        Self { daemon_name: daemon_name.into(), metric_report: NOTHING, ..Self::default() }
    }
}

/// `MonCommand`: a command that the manager offers, for the monitors' list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandDesc {
    pub cmdstring: String,
    pub helpstring: String,
    pub module: String,
    pub req_perms: String,
    pub flags: u64,
}

impl Encode for CommandDesc {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| {
            e.string(&self.cmdstring);
            e.string(&self.helpstring);
            e.string(&self.module);
            e.string(&self.req_perms);
            e.string("cli,rest"); // a field that is no more
            e.u64(self.flags);
        });
    }
}

impl Decode for CommandDesc {
    const MIN_SIZE: usize = 34;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("MonCommand", 1, |d, _| {
            let (cmdstring, helpstring, module, req_perms) = (d.get()?, d.get()?, d.get()?, d.get()?);
            d.blob()?;
            Ok(Self { cmdstring, helpstring, module, req_perms, flags: d.u64()? })
        })
    }
}

/// `MMgrBeacon`: a manager's sign of life to the monitors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrBeacon {
    pub paxos: Paxos,
    pub server_addrs: EntityAddrVec,
    pub gid: u64,
    pub available: bool,
    pub name: String,
    pub fsid: Uuid,
    pub module_names: BTreeSet<String>,
    pub command_descs: Vec<CommandDesc>,
    pub metadata: StringMap,
    /// URIs of what the modules serve.
    pub services: StringMap,
    /// `MgrMap::ModuleInfo`s, unread.
    pub modules: Vec<Opaque>,
    pub mgr_features: u64,
    /// The modules' own clients of the cluster, and the modules' names.
    pub clients: Vec<EntityAddrVec>,
    pub client_names: Vec<String>,
}
message!(MMgrBeacon = 1795, v 11 / 8;
    old 8, paxos, server_addrs, gid, available, name, fsid, module_names, command_descs, metadata,
    services, modules, since 9 mgr_features, since 10 clients, since 11 client_names);

/// `MMgrDigest`: what the monitors tell the manager for its modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrDigest {
    pub mon_status_json: Bytes,
    pub health_json: Bytes,
}
message!(MMgrDigest = 1797, v 1 / 1, prio PRIO_HIGH; mon_status_json, health_json);

/// `health_check_t`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// 0 error, 1 warning, 2 ok.
    pub severity: u8,
    pub summary: String,
    pub detail: Vec<String>,
    pub count: i64,
}

impl Encode for HealthCheck {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 1, |e| {
            e.u8(self.severity);
            e.string(&self.summary);
            e.put(&self.detail);
            e.i64(self.count);
        });
    }
}

impl Decode for HealthCheck {
    const MIN_SIZE: usize = 15;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("health_check_t", 2, |d, v| {
            let (severity, summary, detail) = (d.u8()?, d.get()?, d.get()?);
            Ok(Self { severity, summary, detail, count: if v >= 2 { d.i64()? } else { 0 } })
        })
    }
}

/// `health_check_map_t`: by code, such as `PG_DEGRADED`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthChecks(pub BTreeMap<String, HealthCheck>);

impl Encode for HealthChecks {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(1, 1, |e| e.put(&self.0));
    }
}

impl Decode for HealthChecks {
    const MIN_SIZE: usize = 10;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("health_check_map_t", 1, |d, _| Ok(Self(d.get()?)))
    }
}

/// `ProgressEvent`, without its number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressEvent {
    pub message: String,
    /// 0 to 1.
    pub progress: f32,
    /// Whether `ceph -s` shows it; absent from what release 15 writes.
    pub add_to_ceph_s: bool,
}

impl Encode for ProgressEvent {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(2, 1, |e| {
            e.string(&self.message);
            e.f32(self.progress);
            e.bool(self.add_to_ceph_s);
        });
    }
}

impl Decode for ProgressEvent {
    const MIN_SIZE: usize = 14;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("ProgressEvent", 2, |d, v| {
            let (message, progress) = (d.get()?, d.f32()?);
            Ok(Self { message, progress, add_to_ceph_s: v < 2 || d.bool()? })
        })
    }
}

/// `MMonMgrReport`: the manager's health checks, services and statistics for the monitors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MMonMgrReport {
    pub paxos: Paxos,
    pub health_checks: HealthChecks,
    /// An encoded ServiceMap.
    pub service_map: Bytes,
    pub progress_events: BTreeMap<String, ProgressEvent>,
    pub gid: u64,
    /// An encoded PGMapDigest.
    pub digest: Bytes,
}
message!(MMonMgrReport = 1798, v 3 / 1;
    paxos, health_checks, service_map, since 2 progress_events, since 3 gid, data digest);
