//! The cluster log: what daemons report and the monitors keep for people.

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};
use types::{EntityAddrVec, EntityName, UTime, Uuid};

use crate::Wire;
use crate::mon_session::AuthName;
use crate::payload::{Paxos, Payload, message};

/// `clog_type`: how serious a log line is. In the order of severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum ClogLevel {
    Debug = 0,
    #[default]
    Info = 1,
    Sec = 2,
    Warn = 3,
    Error = 4,
}

impl ClogLevel {
    /// As `ceph -w` prints it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Debug => "[DBG]",
            Self::Info => "[INF]",
            Self::Sec => "[SEC]",
            Self::Warn => "[WRN]",
            Self::Error => "[ERR]",
        }
    }
}

impl Encode for ClogLevel {
    fn encode(&self, e: &mut Encoder) {
        e.u16(*self as u16);
    }
}

impl Decode for ClogLevel {
    const MIN_SIZE: usize = 2;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match d.u16()? {
            0 => Self::Debug,
            1 => Self::Info,
            2 => Self::Sec,
            3 => Self::Warn,
            4 => Self::Error,
            // Ceph's CLOG_UNKNOWN is -1.
            u16::MAX => Self::Info,
            value => return Err(DecodeError::Invalid { what: "clog_type", value: value.into() }),
        })
    }
}

/// `LogEntry`: a line of the cluster log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClogEntry {
    /// Who wrote it, by name (`osd.3`, `client.admin`) …
    pub name: AuthName,
    /// … and by instance.
    pub rank: EntityName,
    pub addrs: EntityAddrVec,
    pub stamp: UTime,
    pub seq: u64,
    pub level: ClogLevel,
    pub msg: String,
    /// `cluster` or `audit`.
    pub channel: String,
}

impl Encode for ClogEntry {
    fn encode(&self, e: &mut Encoder) {
        e.versioned(5, 5, |e| {
            e.put(&self.name);
            e.put(&self.rank);
            e.put(&self.addrs);
            e.put(&self.stamp);
            e.u64(self.seq);
            e.put(&self.level);
            e.string(&self.msg);
            e.string(&self.channel);
        });
    }
}

impl Decode for ClogEntry {
    const MIN_SIZE: usize = 54;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        d.versioned("LogEntry", 5, |d, v| {
            if v < 5 {
                return Err(DecodeError::TooOld { what: "LogEntry", version: v });
            }
            Ok(Self {
                name: d.get()?,
                rank: d.get()?,
                addrs: d.get()?,
                stamp: d.get()?,
                seq: d.u64()?,
                level: d.get()?,
                msg: d.get()?,
                channel: d.get()?,
            })
        })
    }
}

/// `MLog`: lines for the log; and from a monitor to those who subscribed to `log-info` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MLog {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub entries: Vec<ClogEntry>,
}
message!(MLog = 52, v 1 / 1; paxos, fsid, entries);

/// `MLogAck`: the lines up to `last` are kept; do not send them again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MLogAck {
    pub fsid: Uuid,
    pub last: u64,
    pub channel: String,
}

impl Payload for MLogAck {
    const KIND: u16 = 53;
    const NAME: &'static str = "MLogAck";
    const VERSION: u16 = 1;
    const COMPAT: u16 = 1;
    const PRIORITY: u16 = crate::PRIO_HIGH;

    fn encode_payload(&self, e: &mut Encoder, _: &mut Wire) {
        e.put(&self.fsid);
        e.u64(self.last);
        e.string(&self.channel);
    }

    fn decode_payload(d: &mut Decoder, _: &Wire) -> Result<Self, DecodeError> {
        let (fsid, last) = (d.get()?, d.u64()?);
        let channel = if d.is_empty() { String::new() } else { d.get()? };
        Ok(Self { fsid, last, channel })
    }
}
