//! A blocking session with a cluster: the client's node runs on a thread of its own, requests go in and
//! replies come out over channels.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ::rados::{Client, CommandReply, Event, ObjectOp, OpReply, Reply, Request, RequestId, Setup};
use anyhow::{Result, anyhow, bail};
use node::{Input, Node, Now, Output};
use os::ObjectRead;
use osdmap::OsdMap;
use runtime::{AdminHandle, Endpoints, MemDisk, RuntimeConfig, completions, run_node};
use types::{EntityName, PoolId, errno};

/// Names a request of this session until its reply is taken.
pub(crate) type Ticket = u64;

/// The client with its channels.
struct Bridge {
    client: Client,
    requests: Receiver<(Ticket, Request)>,
    replies: Sender<(Ticket, Reply)>,
    events: Sender<Event>,
    tickets: HashMap<RequestId, Ticket>,
    refused: Arc<AtomicBool>,
}

impl Node for Bridge {
    fn handle(&mut self, now: Now, store: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        let input = match input {
            // Somebody put requests into the channel.
            Input::Admin { id, .. } => {
                out.push(Output::AdminReply { id, body: String::new() });
                Input::Continue
            }
            Input::Refused { name, via, addrs } => {
                self.refused.store(true, Ordering::Relaxed);
                Input::Refused { name, via, addrs }
            }
            input => input,
        };
        while let Ok((ticket, request)) = self.requests.try_recv() {
            self.tickets.insert(self.client.submit(request), ticket);
        }
        self.client.handle(now, store, input, out);
        while let Some((id, reply)) = self.client.next_reply() {
            if let Some(ticket) = self.tickets.remove(&id) {
                let _ = self.replies.send((ticket, reply));
            }
        }
        while let Some(event) = self.client.take_event() {
            let _ = self.events.send(event);
        }
    }

    fn next_wakeup(&self) -> Option<Duration> {
        self.client.next_wakeup()
    }

    fn runnable(&self) -> bool {
        self.client.runnable()
    }
}

/// See the file's documentation.
pub struct Session {
    requests: Sender<(Ticket, Request)>,
    replies: Receiver<(Ticket, Reply)>,
    events: Receiver<Event>,
    poke: AdminHandle,
    next: Ticket,
    /// Replies that came while another was waited for.
    early: HashMap<Ticket, Reply>,
}

impl Session {
    /// Connects as `client.ID`; returns once a monitor has given the map.
    pub(super) fn open(setup: Setup, id: &str, patience: Duration, mon_host: &str) -> Result<Self> {
        // What is wrong reaches the caller as an error; log lines are for those who ask.
        if std::env::var_os("RUST_LOG").is_some() {
            runtime::init_log(None)?;
        }
        let (requests, requests_in) = channel();
        let (replies_out, replies) = channel();
        let (events_out, events) = channel();
        let (poke, queue) = AdminHandle::new();
        let refused = Arc::new(AtomicBool::new(false));
        let nonce = setup.seed as u32;
        let bridge = Bridge {
            client: Client::new(setup),
            requests: requests_in,
            replies: replies_out,
            events: events_out,
            tickets: HashMap::new(),
            refused: refused.clone(),
        };
        let config = RuntimeConfig {
            admin: Some(queue),
            handle_signals: false,
            read_threads: 1,
            ..RuntimeConfig::new(EntityName::client(-1), id)
        };
        std::thread::Builder::new().name("client".to_owned()).spawn(move || {
            let (completions, queue) = completions();
            if let Err(e) = run_node(bridge, Endpoints::client(nonce), MemDisk::new(completions), queue, config) {
                tracing::error!("{e:#}");
            }
        })?;
        let mut session = Self { requests, replies, events, poke, next: 1, early: HashMap::new() };
        let ticket = session.submit(Request::Map);
        match session.wait_for(ticket, Some(patience)) {
            Some(_) => Ok(session),
            None => {
                let why = if refused.load(Ordering::Relaxed) { "nobody listens there" } else { "no answer" };
                bail!(
                    "cannot reach a monitor at {mon_host}: {why} within {} s; is the cluster up? (`spirula up` starts it)",
                    patience.as_secs_f64()
                )
            }
        }
    }

    /// Begins a request.
    pub(crate) fn submit(&mut self, request: Request) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        // A client that has died is noticed when the reply is waited for.
        let _ = self.requests.send((ticket, request));
        self.poke.poke();
        ticket
    }

    /// Waits for what comes unasked.
    pub(crate) fn next_event(&mut self, limit: Duration) -> Option<Event> {
        self.events.recv_timeout(limit).ok()
    }

    /// Waits for the next reply of all.
    pub(crate) fn next_reply(&mut self, limit: Duration) -> Option<(Ticket, Reply)> {
        if let Some(ticket) = self.early.keys().next().copied() {
            return self.early.remove(&ticket).map(|r| (ticket, r));
        }
        self.replies.recv_timeout(limit).ok()
    }

    fn wait_for(&mut self, ticket: Ticket, limit: Option<Duration>) -> Option<Reply> {
        loop {
            if let Some(reply) = self.early.remove(&ticket) {
                return Some(reply);
            }
            let got = match limit {
                Some(limit) => self.replies.recv_timeout(limit),
                None => self.replies.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let (other, reply) = got.ok()?;
            self.early.insert(other, reply);
        }
    }

    /// # Errors
    /// If the client's thread has died.
    pub(crate) fn call(&mut self, request: Request) -> Result<Reply> {
        let ticket = self.submit(request);
        self.wait_for(ticket, None).ok_or_else(|| anyhow!("the client's thread ended; its log says why"))
    }

    /// As [`Self::call`], for no longer than this.
    pub(crate) fn call_within(&mut self, request: Request, limit: Duration) -> Option<Reply> {
        let ticket = self.submit(request);
        self.wait_for(ticket, Some(limit))
    }

    /// An operation on an object; a failed one is a reply too.
    pub(crate) fn op(&mut self, op: ObjectOp) -> Result<OpReply> {
        match self.call(Request::Op(Box::new(op)))? {
            Reply::Op(reply) => Ok(reply),
            other => Ok(OpReply::failed(errno_of(&other))),
        }
    }

    /// A command's reply; what never reached the daemon has an empty text.
    pub(crate) fn command(&mut self, request: Request) -> Result<CommandReply> {
        match self.call(request)? {
            Reply::Command(reply) => Ok(reply),
            other => Ok(CommandReply { r: -errno_of(&other), ..CommandReply::default() }),
        }
    }

    pub(crate) fn pool(&mut self, name: &str) -> Result<std::result::Result<PoolId, i32>> {
        match self.call(Request::FindPool(name.to_owned()))? {
            Reply::Pool(id) => Ok(Ok(id)),
            other => Ok(Err(errno_of(&other))),
        }
    }

    pub(crate) fn latest_map(&mut self) -> Result<Arc<OsdMap>> {
        match self.call(Request::LatestMap)? {
            Reply::Map(map) => Ok(map),
            other => bail!("no map from the monitors: {}", types::errno::message(errno_of(&other))),
        }
    }
}

/// The errno of a reply that is not what was asked for.
pub(super) fn errno_of(reply: &Reply) -> i32 {
    match reply {
        Reply::Failed(errno) => *errno,
        _ => errno::EIO,
    }
}
