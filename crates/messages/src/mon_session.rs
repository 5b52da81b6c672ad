//! A session with a monitor: its map, subscriptions, versions of maps, authentication, configuration.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityName, Epoch, Uuid};

use crate::Wire;
use crate::payload::{Paxos, Payload, message};

/// `MMonMap`: the encoded MonMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonMap {
    pub map: Bytes,
}
message!(MMonMap = 4, v 1 / 1, prio PRIO_HIGH; map);

/// `MMonGetMap`: asks for the MonMap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonGetMap {}
message!(MMonGetMap = 5, v 1 / 1;);

/// `MPing`: librados' `ping_monitor`. The answer carries a JSON string in its front: `health` and
/// `mon_status` (Ceph: `Monitor::handle_ping`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MPing {
    pub front: Bytes,
}

impl Payload for MPing {
    const KIND: u16 = 2;
    const NAME: &'static str = "MPing";
    const VERSION: u16 = 1;
    const COMPAT: u16 = 1;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.raw(&self.front);
    }

    fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
        Ok(Self { front: d.rest() })
    }
}

/// `ceph_mon_subscribe_item`: what is wanted of one topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscribeItem {
    /// The first version wanted; 0 for the newest there is.
    pub start: u64,
    pub flags: u8,
}

impl SubscribeItem {
    /// `CEPH_SUBSCRIBE_ONETIME`: one answer, then no more.
    pub const ONETIME: u8 = 1;

    pub fn is_onetime(self) -> bool {
        self.flags & Self::ONETIME != 0
    }
}

impl Encode for SubscribeItem {
    fn encode(&self, e: &mut Encoder) {
        e.u64(self.start);
        e.u8(self.flags);
    }
}

impl Decode for SubscribeItem {
    const MIN_SIZE: usize = 9;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { start: d.u64()?, flags: d.u8()? })
    }
}

/// `MMonSubscribe`: topics (`monmap`, `osdmap`, `mgrmap`, `config`, `log-info`, …) and from where on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonSubscribe {
    pub what: BTreeMap<String, SubscribeItem>,
    pub hostname: String,
}
message!(MMonSubscribe = 15, v 3 / 1; old 2, what, since 3 hostname);

/// `MMonSubscribeAck`: only to clients that renew by time, older than release 10.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonSubscribeAck {
    /// Seconds until the subscription must be renewed.
    pub interval: u32,
    pub fsid: Uuid,
}
message!(MMonSubscribeAck = 16, v 1 / 1, prio PRIO_HIGH; interval, fsid);

/// `MMonGetVersion`: which version of a map (`osdmap`, …) is the newest?
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonGetVersion {
    pub handle: u64,
    pub what: String,
}
message!(MMonGetVersion = 19, v 1 / 1; handle, what);

/// `MMonGetVersionReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonGetVersionReply {
    pub handle: u64,
    pub version: u64,
    pub oldest_version: u64,
}
message!(MMonGetVersionReply = 20, v 2 / 2, prio PRIO_HIGH; handle, version, since 2 oldest_version);

/// `MAuth`: a step of authentication, as msgr1 and re-authentication do it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MAuth {
    pub paxos: Paxos,
    /// 0 to begin: the payload then lists the methods that the client can do.
    pub protocol: u32,
    pub auth_payload: Bytes,
    pub monmap_epoch: Epoch,
}

impl Payload for MAuth {
    const KIND: u16 = 17;
    const NAME: &'static str = "MAuth";
    const VERSION: u16 = 1;
    const COMPAT: u16 = 1;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.put(&self.paxos);
        e.u32(self.protocol);
        e.blob(&self.auth_payload);
        e.u32(self.monmap_epoch);
    }

    fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
        let (paxos, protocol, auth_payload) = (d.get()?, d.u32()?, d.blob()?);
        let monmap_epoch = if d.is_empty() { 0 } else { d.u32()? };
        Ok(Self { paxos, protocol, auth_payload, monmap_epoch })
    }
}

/// `MAuthReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MAuthReply {
    pub protocol: u32,
    /// 0 or a negative errno.
    pub result: i32,
    /// 0: keep the one you have.
    pub global_id: u64,
    pub result_bl: Bytes,
    pub result_msg: String,
}
message!(MAuthReply = 18, v 1 / 1, prio PRIO_HIGH; protocol, result, global_id, result_bl, result_msg);

/// `MConfig`: the options that the monitors' configuration database holds for this client. Sent even
/// when there are none: librados waits for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MConfig {
    pub config: BTreeMap<String, String>,
}
message!(MConfig = 62, v 1 / 1, prio PRIO_HIGH; config);

/// `EntityName`: who someone claims to be, such as `client.admin` (not [`types::EntityName`], which is
/// an instance). The type is a bit as in `ENTITY_TYPE_CLIENT`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthName {
    pub kind: u32,
    pub id: String,
}

impl fmt::Display for AuthName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = EntityName { kind: self.kind as u8, num: 0 }.kind_str();
        write!(f, "{kind}.{}", self.id)
    }
}

impl Encode for AuthName {
    fn encode(&self, e: &mut Encoder) {
        e.u32(self.kind);
        e.string(&self.id);
    }
}

impl Decode for AuthName {
    const MIN_SIZE: usize = 8;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { kind: d.u32()?, id: d.string()? })
    }
}

/// `MGetConfig`: asks for an [`MConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MGetConfig {
    pub name: AuthName,
    pub host: String,
    pub device_class: String,
}
message!(MGetConfig = 63, v 1 / 1; name, host, device_class);
