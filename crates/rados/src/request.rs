//! What a [`crate::Client`] can be asked, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messages::{ClogEntry, MGetPoolStatsReply, MStatfsReply, PoolOp};
use osdmap::OsdMap;
use types::{EntityAddrVec, HObject, ListObject, NotifyReplies, OsdId, PoolId, SnapId};

use crate::op::{ObjectOp, OpReply};

/// Names a request until its reply is taken.
pub type RequestId = u64;

/// A daemon that a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TellTarget {
    /// By name or rank.
    Mon(String),
    Osd(OsdId),
    /// The active manager.
    Mgr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Answered by [`Reply::Op`].
    Op(Box<ObjectOp>),
    /// A page of a pool's objects, from `from` on. Answered by [`Reply::Page`].
    List { pool: PoolId, nspace: Vec<u8>, from: HObject, max: u64 },
    /// The newest map that the monitors have. Answered by [`Reply::Map`].
    LatestMap,
    /// Any map. Answered by [`Reply::Map`].
    Map,
    /// A pool's id. Answered by [`Reply::Pool`]; "no" only after a look at the newest map.
    FindPool(String),
    /// A command in JSON. Answered by [`Reply::Command`], as are the next two.
    MonCommand { cmd: String, data: Bytes },
    /// A command that the active manager serves for the cluster; waits for one.
    MgrCommand { cmd: String, data: Bytes },
    /// A command to one daemon.
    Tell { target: TellTarget, cmd: String, data: Bytes },
    /// Answered by [`Reply::Statfs`].
    Statfs { pool: Option<PoolId> },
    /// Of these pools by name. Answered by [`Reply::PoolStats`].
    PoolStats(Vec<String>),
    /// Makes or removes a snapshot of a pool. Answered by [`Reply::Map`], with one that shows it.
    PoolOp { pool: PoolId, op: PoolOp, name: String, snap: SnapId },
    /// Watches the object of an operation without ops: [`Event::Notify`] tells of notifies. Answered by
    /// [`Reply::Watching`].
    Watch { object: Box<ObjectOp>, timeout: Duration },
    /// Ends a watch, by its cookie. Answered by [`Reply::Op`].
    Unwatch(u64),
    /// Tells all who watch the object, and waits for their answers. Answered by [`Reply::Notified`].
    Notify { object: Box<ObjectOp>, payload: Bytes, timeout: Duration },
    /// A watcher's answer to a notify. Answered by [`Reply::Op`].
    NotifyAck { cookie: u64, notify_id: u64, reply: Bytes },
    /// The cluster's log from now on, as [`Event::Log`]: `log-info` and worse, for one. No reply.
    WatchLog(String),
}

impl Request {
    /// Whether a monitor or the manager answers it.
    pub(crate) fn is_for_monitors(&self) -> bool {
        !matches!(
            self,
            Self::Op(_)
                | Self::List { .. }
                | Self::Watch { .. }
                | Self::Unwatch(_)
                | Self::Notify { .. }
                | Self::NotifyAck { .. }
                | Self::WatchLog(_)
        )
    }
}

/// A command's outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandReply {
    /// 0 or a negative errno.
    pub r: i32,
    pub rs: String,
    pub data: Bytes,
}

/// Objects in the order of the pool, and where the listing goes on; `None` at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<ListObject>,
    pub next: Option<HObject>,
}

#[derive(Debug, Clone)]
pub enum Reply {
    Op(OpReply),
    Page(Page),
    Map(Arc<OsdMap>),
    Pool(PoolId),
    Command(CommandReply),
    Statfs(Box<MStatfsReply>),
    PoolStats(Box<MGetPoolStatsReply>),
    /// A watch's cookie.
    Watching(u64),
    Notified(Notified),
    /// A positive errno: `ETIMEDOUT`, `ENOENT`, …
    Failed(i32),
}

/// What became of a notify.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notified {
    /// 0, or `ETIMEDOUT` if a watcher did not answer.
    pub errno: i32,
    pub replies: NotifyReplies,
}

/// What comes unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Log(ClogEntry),
    /// To be answered with [`Request::NotifyAck`].
    Notify {
        cookie: u64,
        notify_id: u64,
        notifier: u64,
        payload: Bytes,
    },
    /// The object or its watch is gone.
    WatchLost {
        cookie: u64,
        errno: i32,
    },
}

/// Where a daemon is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub name: types::EntityName,
    pub addrs: EntityAddrVec,
}
