//! Commands: JSON in, JSON or text out; to monitors, managers and daemons.

use bytes::Bytes;
use types::Uuid;

use crate::payload::{Paxos, message};

/// `MMonCommand`: a command to the monitors. `cmd` is one string of JSON; `data` is what `-i` gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonCommand {
    pub paxos: Paxos,
    pub fsid: Uuid,
    pub cmd: Vec<String>,
    pub data: Bytes,
}
message!(MMonCommand = 50, v 1 / 1; paxos, fsid, cmd, data data);

/// `MMonCommandAck`: `data` goes to the client's standard output, `rs` to its standard error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMonCommandAck {
    pub paxos: Paxos,
    /// 0 or a negative errno.
    pub r: i32,
    pub rs: String,
    pub cmd: Vec<String>,
    pub data: Bytes,
}
message!(MMonCommandAck = 51, v 1 / 1, prio PRIO_HIGH; paxos, r, rs, cmd, data data);

/// `MCommand`: a command to one daemon (`ceph tell`), and to the manager before release 15.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MCommand {
    pub fsid: Uuid,
    pub cmd: Vec<String>,
    pub data: Bytes,
}
message!(MCommand = 97, v 1 / 1; fsid, cmd, data data);

/// `MCommandReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MCommandReply {
    pub r: i32,
    pub rs: String,
    pub data: Bytes,
}
message!(MCommandReply = 98, v 1 / 1; r, rs, data data);

/// `MMgrCommand`: a command to the cluster, served by the active manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrCommand {
    pub fsid: Uuid,
    pub cmd: Vec<String>,
    pub data: Bytes,
}
message!(MMgrCommand = 1801, v 1 / 1; fsid, cmd, data data);

/// `MMgrCommandReply`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MMgrCommandReply {
    pub r: i32,
    pub rs: String,
    pub data: Bytes,
}
message!(MMgrCommandReply = 1802, v 1 / 1; r, rs, data data);
