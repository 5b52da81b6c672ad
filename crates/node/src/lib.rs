//! The contract between a daemon's core and the driver that runs it.
//!
//! A daemon is a [`Node`]: a value that takes one [`Input`] at a time and appends [`Output`]s.
//! Two drivers run nodes: `runtime` (sockets, disks, real time) and `sim` (one thread, virtual time,
//! seeded faults). A core cannot tell which.
//!
//! Rules that both drivers keep:
//! - Outputs are performed in order, and all of them before the next input is handled. In
//!   particular a [`Output::Submit`] is visible to reads from the next `handle` on, and durable when
//!   [`Input::Committed`] says so. Commits are reported in the order of submission.
//! - A send with `after` leaves only when that token has committed. Sends to one destination leave in
//!   the order given: one that waits holds back those behind it only if they wait as well.
//! - A core which could do more at once returns `true` from [`Node::runnable`] and gets
//!   [`Input::Continue`].
//! - [`Input::Wake`] comes at, or soon after, [`Node::next_wakeup`].

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use messages::Message;
use os::{Coll, ObjectRead, ReadError, Transaction};
use types::options::Config;
use types::{EntityAddr, EntityAddrVec, EntityName, GHObject, UTime};

mod timers;
pub use timers::Timers;

/// The time, as the driver tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, since some moment before the node started. All deadlines use it.
    pub mono: Duration,
    /// Wall clock; may jump. Only for stamps that people or peers read.
    pub wall: UTime,
}

/// A connection, numbered by the driver and never reused while the node runs. For peers with a
/// lossless session (daemon to daemon) it outlives single sockets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn#{}", self.0)
    }
}

/// Names one submitted transaction or one read; chosen by the core, unique while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The addresses a daemon listens at. An OSD has four, a monitor one and its manager one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// Clients, monitors, managers.
    Public,
    /// OSD to OSD.
    Cluster,
    /// Heartbeats on the cluster network.
    HbBack,
    /// Heartbeats on the public network.
    HbFront,
    /// The manager that lives in a monitor's process.
    Mgr,
}

/// Who is at the other end of a connection, once it is authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub name: EntityName,
    /// What the peer says its addresses are (the socket's own for clients, with their nonce).
    pub addrs: EntityAddrVec,
    pub features: u64,
    /// On an incoming connection the peer's; on one that we made ours, as the peer knows us (a
    /// client learns its own from a monitor).
    pub global_id: u64,
    /// `client.admin` and the like; what a client calls itself.
    pub entity: String,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dest {
    /// Back over a connection that is known. Dropped silently if it is gone.
    Conn(ConnId),
    /// To a daemon, over the session with exactly this instance, connecting if need be.
    /// Lossless (resent over a new socket until acknowledged) between OSDs on `Cluster`; lossy else.
    Peer { via: Endpoint, name: EntityName, addrs: EntityAddrVec },
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// First of all; the store is open (and its transactions replayed).
    Start,
    /// A message, in the order the peer sent it.
    Message {
        conn: ConnId,
        via: Endpoint,
        msg: Message,
    },
    /// A connection is ready and its peer known: incoming, or one that `Dest::Peer` made.
    Connected {
        conn: ConnId,
        via: Endpoint,
        peer: Peer,
        incoming: bool,
    },
    /// A connection and its session are gone for good; nothing more comes from it.
    Reset {
        conn: ConnId,
    },
    /// A lossless peer lost its side of the session (it restarted or forgot us): what was in flight
    /// to it is gone; the connection number stays.
    RemoteReset {
        conn: ConnId,
    },
    /// Nobody listens at the address (`ECONNREFUSED`).
    Refused {
        via: Endpoint,
        name: EntityName,
        addrs: EntityAddrVec,
    },
    /// A client begins to authenticate on an incoming connection; answer with [`Output::AuthReply`].
    Auth {
        conn: ConnId,
        via: Endpoint,
        method: u32,
        payload: Bytes,
    },
    /// This transaction and all submitted before it are on stable storage.
    Committed(Token),
    ReadDone {
        token: Token,
        result: Result<Option<Bytes>, ReadError>,
    },
    /// A command from the admin socket; answer with [`Output::AdminReply`].
    Admin {
        id: u64,
        command: String,
    },
    /// The time that [`Node::next_wakeup`] named has come.
    Wake,
    /// How busy the machine is; about once a minute, from drivers that know.
    Load(Load),
    /// See [`Node::runnable`].
    Continue,
    /// A polite request to stop (SIGTERM): say good-bye, then [`Output::Exit`].
    Shutdown,
    /// The store cannot keep its promises any more (a write or a sync failed): nothing submitted
    /// since the last `Committed` is known to be kept, nothing more will commit.
    StoreFailed {
        why: String,
    },
}

/// What the machine is like: how many tasks want a CPU, on average over the last minute and the last quarter of an
/// hour; and its local time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    pub minute: f64,
    pub quarter: f64,
    pub cpus: u32,
    /// Seconds by which the machine's local time is ahead of UTC.
    pub utc_offset: i32,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    Send {
        to: Dest,
        msg: Message,
        after: Option<Token>,
    },
    /// Closes a connection (Ceph: `mark_down`). No `Reset` follows.
    Close {
        conn: ConnId,
    },
    /// Closes the session with a peer's instance, if there is one.
    ClosePeer {
        via: Endpoint,
        addrs: EntityAddrVec,
    },
    /// Who we are from now on (a client learns its global id, a daemon its addresses).
    Identity {
        name: EntityName,
        global_id: u64,
    },
    AuthReply {
        conn: ConnId,
        reply: AuthReply,
    },
    Submit {
        token: Token,
        txn: Transaction,
    },
    /// A bulk read; `ReadDone` follows. It sees all that was submitted before it, and may see more.
    Read {
        token: Token,
        coll: Coll,
        oid: GHObject,
        off: u64,
        len: u64,
        /// From the disk itself, not from what memory keeps of it: for scrubs.
        fresh: bool,
    },
    AdminReply {
        id: u64,
        body: String,
    },
    Log {
        level: Level,
        text: String,
    },
    /// The node is done; the driver may end it. Only after everything before it was performed.
    Exit {
        code: i32,
    },
}

/// The answer to an authentication request (msgr2's auth phase).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthReply {
    /// Let in: the peer's name and global id, the connection mode (1 crc, 2 secure), and the payload
    /// of AUTH_DONE.
    Done {
        name: EntityName,
        entity: String,
        global_id: u64,
        con_mode: u32,
        payload: Bytes,
    },
    More {
        payload: Bytes,
    },
    Bad {
        errno: i32,
        allowed_methods: Vec<u32>,
        allowed_modes: Vec<u32>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// How much a daemon logs, and what was asked of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// Of the daemon itself, as Ceph numbers it (`debug_osd`): from 1 on what changes state, from 10 on
    /// [`Level::Debug`], from 20 on every input and output.
    pub own: u8,
    /// Of what it hears and says (`debug_ms`): from 1 on each message, from 5 on pings too.
    pub ms: u8,
    /// What is kept in memory besides.
    pub keep: u8,
    /// Lines are written at all; errors are in any case.
    pub written: bool,
    /// How often what is kept was to be written.
    pub dumps: u32,
    /// How often the file was to be opened again.
    pub reopens: u32,
}

impl Default for Logging {
    fn default() -> Self {
        Self { own: 1, ms: 0, keep: 5, written: true, dumps: 0, reopens: 0 }
    }
}

impl Logging {
    /// After `log dump` or `log reopen`.
    #[must_use]
    pub fn asked(self, command: &str) -> Self {
        match command {
            "log dump" => Self { dumps: self.dumps.wrapping_add(1), ..self },
            "log reopen" => Self { reopens: self.reopens.wrapping_add(1), ..self },
            _ => self,
        }
    }

    /// What options say: `own` are the levels that count for this kind of daemon, of which the largest holds.
    #[must_use]
    pub fn configured(self, cfg: &Config, own: &[&str]) -> Self {
        let most = |levels: &mut dyn Iterator<Item = (u8, u8)>| {
            levels.fold((0, 0), |(log, keep), level| (log.max(level.0), keep.max(level.1)))
        };
        let (own, keep) = most(&mut own.iter().map(|name| cfg.debug_level(name)));
        let (ms, _) = cfg.debug_level("debug_ms");
        Self { own, ms, keep, written: cfg.bool("log_to_file") || cfg.bool("log_to_stderr"), ..self }
    }
}

/// A daemon, or a client, as a value.
pub trait Node {
    /// Takes one input. `store` shows the state that all performed `Submit`s have made.
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>);

    /// When [`Input::Wake`] is due, in terms of [`Now::mono`].
    fn next_wakeup(&self) -> Option<Duration>;

    /// Whether there is work that needs no further input.
    fn runnable(&self) -> bool {
        false
    }

    /// How much is to be logged from now on.
    fn logging(&self) -> Logging {
        Logging::default()
    }
}

/// Our own listening addresses, given to a node when it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listening {
    pub public: EntityAddr,
    pub cluster: EntityAddr,
    pub hb_back: EntityAddr,
    pub hb_front: EntityAddr,
    pub mgr: EntityAddr,
}
