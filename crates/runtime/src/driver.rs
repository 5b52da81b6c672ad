//! The loop that runs a node. See the crate's documentation for its shape.
//!
//! Invariants:
//! - Outputs are performed in order, all of them before the next input.
//! - A send with `after` is given to its messenger only once the token has committed.
//! - Nothing here waits but [`Driver::wait`]; no read of a disk happens on this thread unless it is
//!   known not to wait.

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future as _, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use foldhash::HashMap;
use messages::{Message, Wire};
use msgr::{
    Action, AuthDone, AuthOutcome, AuthVerdict, Config, ConnKey, Event, LinkError, LinkKey, MessageFrame, Messenger,
};
use node::{AuthReply, ConnId, Dest, Endpoint, Input, Load, Node, Now, Output, Peer, Token};
use os::{Transaction, TxOp};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use types::{EntityAddr, EntityAddrVec, EntityName, UTime};

use crate::admin::{self, AdminHandle, AdminQueue, AdminRequest, SocketFile};
use crate::disk::{BulkRead, Completion, CompletionQueue, Disk};
use crate::held::Held;
use crate::local_time::utc_offset;
use crate::log::Logbook;
use crate::net::{Endpoints, policies};
use crate::sockets::{Acceptor, Alarm, Ready, Socket};

/// How a node is run.
#[derive(Debug)]
pub struct RuntimeConfig {
    /// `osd.3`; a client starts as number −1 and learns its own.
    pub name: EntityName,
    /// The name as in a keyring: `3` of `osd.3`, `admin` of `client.admin`.
    pub entity_id: String,
    /// Who the manager is that lives in a monitor's process, at [`Endpoint::Mgr`].
    pub mgr: Option<(EntityName, String)>,
    pub admin_socket: Option<PathBuf>,
    /// Commands from within the process.
    pub admin: Option<AdminQueue>,
    /// Bulk reads that may wait for the disk at once.
    pub read_threads: usize,
    /// More bytes than this submitted and not yet durable, and no client's requests are read. (Ceph:
    /// `osd_client_message_size_cap`, which counts requests instead.) Peers and monitors are always
    /// read: what we wait for may come from them.
    pub uncommitted_max: u64,
    /// Whether SIGTERM and SIGINT become [`Input::Shutdown`]; not for clients, which just die.
    pub handle_signals: bool,
}

impl RuntimeConfig {
    pub fn new(name: EntityName, entity_id: impl Into<String>) -> Self {
        Self {
            name,
            entity_id: entity_id.into(),
            mgr: None,
            admin_socket: None,
            admin: None,
            read_threads: 4,
            uncommitted_max: 256 << 20,
            handle_signals: true,
        }
    }
}

/// Runs a node on this thread until it says [`Output::Exit`]; gives its exit code.
///
/// # Errors
/// What cannot be set up: the admin socket, the listeners, the signals.
pub fn run_node<N: Node + Send + 'static, D: Disk + Send + 'static>(
    node: N,
    endpoints: Endpoints,
    disk: D,
    completions: CompletionQueue,
    config: RuntimeConfig,
) -> anyhow::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(config.read_threads.max(1))
        .thread_name("disk-read")
        .build()
        .context("cannot make the event loop")?;
    // A spawned task is woken within the thread; the one given to `block_on` would be woken through an
    // eventfd. One task polls many sockets, so tokio's budget of polls a task would only cut turns short.
    let task = runtime.spawn(tokio::task::unconstrained(async move {
        Driver::new(node, endpoints, disk, completions, config)?.run().await
    }));
    let code = runtime.block_on(task).unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    // A read that hangs in a dying disk must not keep the process.
    runtime.shutdown_background();
    code
}

/// Messengers share the space of connection numbers: a connection's endpoint is its number modulo
/// this.
const ENDPOINTS: u64 = 8;
/// What one socket may read in a turn before others get theirs.
const READ_BUDGET: usize = 1 << 20;
/// A peer that does not take what we send gets no more of its requests read.
const UNSENT_MAX: usize = 64 << 20;
/// Before accepting again when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a node may go on by itself before sockets are looked at again.
const CONTINUE_MAX: usize = 64;
/// How many turns may pass before what they submitted and sent goes out.
const GATHER_MAX: usize = 4;
/// How often a node hears how busy the machine is.
const LOAD_EVERY: Duration = Duration::from_secs(60);
/// How long an ending node waits for its last writes.
const FAREWELL: Duration = Duration::from_secs(5);
/// Numbers of listening sockets.
const ACCEPTORS: u64 = 1 << 63;

struct Address {
    endpoint: Endpoint,
    messenger: Messenger,
    acceptor: Option<Acceptor>,
}

/// What other tasks tell the loop.
enum Internal {
    Dialled { id: u64, stream: io::Result<TcpStream> },
    ReadDone(Completion),
}

struct Driver<N, D> {
    node: N,
    disk: D,
    bulk: Arc<dyn BulkRead>,
    addresses: Vec<Address>,
    /// By link number × [`ENDPOINTS`] + address.
    sockets: HashMap<u64, Socket>,
    ready: Arc<Ready>,
    held: Held<Message>,
    inbox: VecDeque<Input>,
    outputs: Vec<Output>,
    book: Logbook,
    /// What a client calls itself, where its number does not say.
    auth_names: HashMap<ConnId, EntityName>,
    completions: CompletionQueue,
    completed: Vec<Completion>,
    internal_tx: mpsc::UnboundedSender<Internal>,
    internal: mpsc::UnboundedReceiver<Internal>,
    admin: AdminQueue,
    admin_waiting: HashMap<u64, oneshot::Sender<String>>,
    admin_next: u64,
    terminate: Option<(Signal, Signal)>,
    /// Data that was submitted and is not yet durable, and the clients who wait for it to become less.
    uncommitted: HashMap<Token, u64>,
    uncommitted_bytes: u64,
    uncommitted_max: u64,
    waiting_for_disk: BTreeSet<u64>,
    /// Nothing commits any more.
    store_failed: bool,
    started: Instant,
    /// When it is next looked how busy the machine is.
    load_at: Duration,
    exit: Option<(i32, Duration)>,
    alarm: Wakeup,
    ids: Vec<u64>,
    links: Vec<LinkKey>,
    _socket_file: Option<SocketFile>,
}

impl<N: Node, D: Disk> Driver<N, D> {
    fn new(
        node: N,
        endpoints: Endpoints,
        disk: D,
        completions: CompletionQueue,
        mut config: RuntimeConfig,
    ) -> anyhow::Result<Self> {
        let ready = Arc::new(Ready::default());
        let addresses = make_addresses(endpoints, &config, &ready)?;
        let (internal_tx, internal) = mpsc::unbounded_channel();
        let admin = config.admin.take().unwrap_or_else(|| AdminHandle::new().1);
        let socket_file = match config.admin_socket.take() {
            Some(path) => {
                let listener = admin::listen(&path)?;
                tokio::spawn(admin::serve(listener, admin.handle.clone()));
                Some(SocketFile(path))
            }
            None => None,
        };
        let terminate = if config.handle_signals {
            let term = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
            Some((term, signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?))
        } else {
            None
        };
        Ok(Self {
            node,
            bulk: disk.bulk_reader(),
            disk,
            addresses,
            sockets: HashMap::default(),
            ready,
            held: Held::default(),
            inbox: VecDeque::new(),
            outputs: Vec::new(),
            book: Logbook::default(),
            auth_names: HashMap::default(),
            completions,
            completed: Vec::new(),
            internal_tx,
            internal,
            admin,
            admin_waiting: HashMap::default(),
            admin_next: 0,
            terminate,
            uncommitted: HashMap::default(),
            uncommitted_bytes: 0,
            uncommitted_max: config.uncommitted_max,
            waiting_for_disk: BTreeSet::new(),
            store_failed: false,
            started: Instant::now(),
            load_at: Duration::ZERO,
            exit: None,
            alarm: Wakeup::default(),
            ids: Vec::new(),
            links: Vec::new(),
            _socket_file: socket_file,
        })
    }

    async fn run(mut self) -> anyhow::Result<i32> {
        self.inbox.push_back(Input::Start);
        let mut gathered = 0;
        loop {
            let more = self.turn();
            // Lets tokio look at the sockets, and what it finds join: each commit and each write to a socket costs
            // as much as all of an operation's own work.
            if self.exit.is_none() && gathered < GATHER_MAX {
                gathered += 1;
                tokio::task::yield_now().await;
                if more || self.has_input() {
                    continue;
                }
            }
            gathered = 0;
            self.hand_out();
            if let Some(code) = self.exit_code() {
                if let Err(why) = self.disk.close() {
                    tracing::error!("the store did not close: {why}");
                }
                return Ok(code);
            }
            if more || !self.wait().await {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether sockets or the disk have something for us.
    fn has_input(&self) -> bool {
        self.ready.any() || !self.completions.0.is_empty()
    }

    /// What the turns since the last call submitted goes to disk as one group, what they sent to the sockets.
    fn hand_out(&mut self) {
        self.disk.flush();
        self.flush();
    }

    /// One turn: everything that is there is handled. Gives whether there is more to do at once.
    fn turn(&mut self) -> bool {
        self.drain_inbox();
        self.serve_sockets();
        self.take_internal();
        self.take_completions();
        self.serve_timers();
        let mut rounds = 0;
        while rounds < CONTINUE_MAX && self.node.runnable() {
            self.input(Input::Continue);
            rounds += 1;
        }
        !self.inbox.is_empty() || self.node.runnable()
    }

    /// The code to end with, once what was promised is done or has taken too long.
    fn exit_code(&mut self) -> Option<i32> {
        let (code, until) = self.exit?;
        let mut unsent = false;
        for id in self.sockets.keys() {
            let (address, link) = split(*id);
            unsent |= self.addresses[address].messenger.transmit(link).is_some_and(|tx| !tx.is_empty());
        }
        let kept = self.held.all_committed() || self.store_failed;
        (self.now().mono >= until || (kept && !unsent)).then_some(code)
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.started.elapsed(), wall: UTime::from_duration(wall) }
    }

    /// Waits until there is something to do; `false` if there was at once.
    async fn wait(&mut self) -> bool {
        let mut deadline = self.node.next_wakeup();
        if let Some((_, until)) = self.exit {
            deadline = Some(until);
        }
        for a in &self.addresses {
            deadline = [deadline, a.messenger.next_deadline()].into_iter().flatten().min();
        }
        self.alarm.set(self.started, deadline);
        let mut waited = false;
        poll_fn(|cx| {
            let mut awake = self.ready.poll_any(cx).is_ready();
            if let Poll::Ready(1..) = self.completions.0.poll_recv_many(cx, &mut self.completed, 1024) {
                awake = true;
            }
            while let Poll::Ready(Some(internal)) = self.internal.poll_recv(cx) {
                self.inbox_internal(internal);
                awake = true;
            }
            while let Poll::Ready(Some(AdminRequest { command, reply })) = self.admin.requests.poll_recv(cx) {
                self.admin_next += 1;
                self.admin_waiting.insert(self.admin_next, reply);
                self.inbox.push_back(Input::Admin { id: self.admin_next, command });
                awake = true;
            }
            if let Some((term, int)) = &mut self.terminate
                && (matches!(term.poll_recv(cx), Poll::Ready(Some(())))
                    || matches!(int.poll_recv(cx), Poll::Ready(Some(()))))
            {
                self.inbox.push_back(Input::Shutdown);
                awake = true;
            }
            awake |= self.alarm.poll(cx).is_ready();
            if awake {
                return Poll::Ready(());
            }
            waited = true;
            Poll::Pending
        })
        .await;
        waited
    }

    // ---- Inputs ------------------------------------------------------------------------------

    fn input(&mut self, input: Input) {
        let now = self.now();
        let mut outputs = std::mem::take(&mut self.outputs);
        if self.book.tells_all() {
            self.book.step(&input_text(&input));
        }
        self.node.handle(now, self.disk.reader(), input, &mut outputs);
        self.book.follow(self.node.logging());
        if self.book.tells_all() {
            outputs.iter().filter_map(output_text).for_each(|text| self.book.step(&text));
        }
        // A send may stand before the submit that it waits for.
        for output in &outputs {
            if let Output::Submit { token, .. } = output {
                self.held.submitted(*token);
            }
        }
        for output in outputs.drain(..) {
            self.perform(now, output);
        }
        self.outputs = outputs;
    }

    fn drain_inbox(&mut self) {
        while let Some(input) = self.inbox.pop_front() {
            self.input(input);
        }
    }

    fn take_internal(&mut self) {
        while let Ok(internal) = self.internal.try_recv() {
            self.inbox_internal(internal);
        }
        self.drain_inbox();
    }

    fn inbox_internal(&mut self, internal: Internal) {
        match internal {
            Internal::Dialled { id, stream } => self.dialled(id, stream),
            Internal::ReadDone(done) => self.completed.push(done),
        }
    }

    fn take_completions(&mut self) {
        while let Ok(done) = self.completions.0.try_recv() {
            self.completed.push(done);
        }
        let mut completed = std::mem::take(&mut self.completed);
        for done in completed.drain(..) {
            match done {
                Completion::Committed(_) if self.store_failed => {}
                Completion::Committed(token) => self.committed(token),
                Completion::Failed { .. } if self.store_failed => {}
                Completion::Failed { why } => {
                    self.store_failed = true;
                    self.input(Input::StoreFailed { why });
                }
                Completion::ReadDone { token, result } => self.input(Input::ReadDone { token, result }),
            }
            self.drain_inbox();
        }
        self.completed = completed;
    }

    fn committed(&mut self, upto: Token) {
        let (mut tokens, mut sends) = (Vec::new(), Vec::new());
        self.held.committed(upto, |token| tokens.push(token), |conn, message| sends.push((conn, message)));
        let now = self.now().mono;
        for (conn, message) in sends {
            self.send_now(now, conn, message);
        }
        for token in tokens {
            self.uncommitted_bytes -= self.uncommitted.remove(&token).unwrap_or(0);
            self.input(Input::Committed(token));
        }
        if self.uncommitted_bytes <= self.uncommitted_max {
            for id in std::mem::take(&mut self.waiting_for_disk) {
                if let Some(socket) = self.sockets.get(&id) {
                    socket.alarm.ring();
                }
            }
        }
    }

    fn serve_timers(&mut self) {
        let now = self.now().mono;
        for address in 0..self.addresses.len() {
            let messenger = &mut self.addresses[address].messenger;
            if messenger.next_deadline().is_some_and(|at| at <= now) {
                messenger.handle_timeout(now);
                self.take_events(address);
            }
        }
        if self.node.next_wakeup().is_some_and(|at| at <= now) {
            if self.load_at <= now {
                self.load_at = now + LOAD_EVERY;
                self.inbox.extend(machine_load(i64::from(self.now().wall.sec)).map(Input::Load));
            }
            self.input(Input::Wake);
        }
        self.drain_inbox();
    }

    // ---- Sockets -----------------------------------------------------------------------------

    fn serve_sockets(&mut self) {
        let mut ids = std::mem::take(&mut self.ids);
        self.ready.take(&mut ids);
        for id in ids.drain(..) {
            if id & ACCEPTORS != 0 {
                self.accept((id & !ACCEPTORS) as usize);
            } else {
                self.serve_socket(id);
            }
        }
        self.ids = ids;
    }

    fn accept(&mut self, address: usize) {
        let Some(acceptor) = &mut self.addresses[address].acceptor else { return };
        acceptor.alarm.rearm();
        let mut accepted = Vec::new();
        while let Some(result) = acceptor.accept() {
            match result {
                Ok(socket) => accepted.push(socket),
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    acceptor.alarm.ring_in(ACCEPT_PAUSE);
                    break;
                }
            }
        }
        let now = self.now().mono;
        for (stream, peer) in accepted {
            let link = self.addresses[address].messenger.accept(now, peer);
            self.add_socket(join(address, link), stream);
        }
    }

    fn add_socket(&mut self, id: u64, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY: {error}");
        }
        let alarm = Alarm::new(id, &self.ready);
        self.sockets.insert(id, Socket::new(stream, alarm));
    }

    fn serve_socket(&mut self, id: u64) {
        let (address, link) = split(id);
        let Some(socket) = self.sockets.get(&id) else { return };
        socket.alarm.rearm();
        // What could not be written before goes first: room to write may be what woke us.
        self.write(id);
        let mut budget = READ_BUDGET;
        loop {
            let Some(socket) = self.sockets.get_mut(&id) else { return };
            let Address { endpoint, messenger, .. } = &mut self.addresses[address];
            let Some(tx) = messenger.transmit(link) else { return };
            if tx.len() > UNSENT_MAX {
                socket.paused = true;
                return;
            }
            if self.uncommitted_bytes > self.uncommitted_max
                && *endpoint == Endpoint::Public
                && messenger.is_incoming(link)
            {
                self.waiting_for_disk.insert(id);
                return;
            }
            if budget == 0 {
                socket.alarm.ring();
                return;
            }
            let Some(buf) = messenger.recv_buf(link) else { return };
            match socket.read(buf) {
                Ok(None) => return,
                Ok(Some(0)) => return self.lost(id, LinkError::Closed),
                Ok(Some(n)) => {
                    budget = budget.saturating_sub(n);
                    messenger.received(self.started.elapsed(), link);
                    self.take_events(address);
                }
                Err(error) => return self.lost(id, link_error(&error)),
            }
        }
    }

    fn lost(&mut self, id: u64, error: LinkError) {
        let (address, link) = split(id);
        self.sockets.remove(&id);
        let now = self.now().mono;
        self.addresses[address].messenger.link_lost(now, link, error);
        self.take_events(address);
    }

    fn dial(&mut self, id: u64, addr: std::net::SocketAddr) {
        let tell = self.internal_tx.clone();
        tokio::spawn(async move {
            let stream = TcpStream::connect(addr).await;
            let _ = tell.send(Internal::Dialled { id, stream });
        });
    }

    fn dialled(&mut self, id: u64, stream: io::Result<TcpStream>) {
        let (address, link) = split(id);
        let now = self.now().mono;
        let messenger = &mut self.addresses[address].messenger;
        match stream {
            Ok(stream) => {
                messenger.link_up(now, link);
                if messenger.transmit(link).is_some() {
                    self.add_socket(id, stream);
                }
            }
            Err(error) => {
                messenger.link_lost(now, link, link_error(&error));
            }
        }
        self.take_events(address);
    }

    /// Writes what waits, as far as the socket takes it.
    fn write(&mut self, id: u64) {
        let (address, link) = split(id);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(tx) = self.addresses[address].messenger.transmit(link) else { return };
        match socket.write(tx) {
            Ok(_) if socket.paused && tx.len() <= UNSENT_MAX => {
                socket.paused = false;
                socket.alarm.ring();
            }
            Ok(_) => {}
            Err(error) => self.lost(id, link_error(&error)),
        }
    }

    fn flush(&mut self) {
        let mut links = std::mem::take(&mut self.links);
        for address in 0..self.addresses.len() {
            self.addresses[address].messenger.take_dirty(&mut links);
            for link in links.drain(..) {
                self.write(join(address, link));
            }
        }
        self.links = links;
    }

    // ---- What messengers say -----------------------------------------------------------------

    fn take_events(&mut self, address: usize) {
        self.take_actions(address);
        while let Some(event) = self.addresses[address].messenger.poll_event() {
            self.on_event(address, event);
            self.drain_inbox();
        }
    }

    fn on_event(&mut self, address: usize, event: Event) {
        let via = self.addresses[address].endpoint;
        match event {
            Event::Message { conn, message } => self.on_message(address, conn, message),
            Event::Auth { conn, method, payload, .. } => {
                self.input(Input::Auth { conn: ConnId(conn.0), via, method, payload });
            }
            Event::Connected { conn, peer, incoming } => {
                let conn = ConnId(conn.0);
                let claimed = self.auth_names.remove(&conn);
                let name = match claimed {
                    Some(claimed) if peer.name.num < 0 => claimed,
                    _ => peer.name,
                };
                let msgr::PeerInfo { addrs, features, global_id, entity, .. } = peer;
                let peer = Peer { name, addrs, features, global_id, entity };
                self.input(Input::Connected { conn, via, peer, incoming });
            }
            Event::Reset { conn } => self.reset(conn),
            Event::RemoteReset { conn } => self.input(Input::RemoteReset { conn: ConnId(conn.0) }),
            Event::Refused { name, addrs } => self.input(Input::Refused { via, name, addrs }),
            Event::KeepaliveAck { .. } => {}
            Event::Dropped { peer, error } => match error {
                LinkError::Protocol(error) => tracing::warn!("{via:?}: dropped {peer}: {}", chain(&error)),
                error => tracing::debug!("{via:?}: {peer}: {error}"),
            },
        }
    }

    fn reset(&mut self, conn: ConnKey) {
        let conn = ConnId(conn.0);
        self.held.forget(conn);
        self.auth_names.remove(&conn);
        self.input(Input::Reset { conn });
    }

    fn on_message(&mut self, address: usize, conn: ConnKey, frame: MessageFrame) {
        let via = self.addresses[address].endpoint;
        let messenger = &mut self.addresses[address].messenger;
        let Some(features) = messenger.features(conn) else { return };
        let kind = frame.kind;
        match Message::decode(to_wire(frame), features) {
            Ok(msg) => {
                if self.book.tells_message(|| comes_often(&msg)) {
                    let peer = messenger.link_of(conn).map_or_else(|| "a peer".into(), |(_, peer)| peer.to_string());
                    self.book.message(&format!("{via:?} <== {peer} {} tid {}", msg.body.name(), msg.tid));
                }
                self.input(Input::Message { conn: ConnId(conn.0), via, msg });
            }
            Err(error) => {
                let peer = messenger.link_of(conn).map_or_else(|| "a peer".into(), |(_, peer)| peer.to_string());
                tracing::warn!("{via:?}: dropped {peer}: cannot read a message of type {kind}: {error}");
                messenger.close(conn);
                self.take_actions(address);
                self.reset(conn);
            }
        }
    }

    // ---- Outputs -----------------------------------------------------------------------------

    fn perform(&mut self, now: Now, output: Output) {
        match output {
            Output::Send { to, msg, after } => self.send(now.mono, to, msg, after),
            Output::Submit { token, txn } => {
                let bytes = data_len(&txn);
                if bytes > 0 {
                    self.uncommitted_bytes += bytes;
                    self.uncommitted.insert(token, bytes);
                }
                self.disk.submit(token, txn);
            }
            Output::Read { token, coll, oid, off, len, fresh } => self.read(token, coll, oid, (off, len), fresh),
            Output::Close { conn } => self.close(conn),
            Output::ClosePeer { via, addrs } => self.close_peer(via, &addrs),
            Output::Identity { name, global_id } => {
                for a in self.addresses.iter_mut().filter(|a| a.endpoint != Endpoint::Mgr) {
                    a.messenger.set_identity(name, global_id);
                }
            }
            Output::AuthReply { conn, reply } => self.auth_reply(conn, reply),
            Output::AdminReply { id, body } => {
                if let Some(reply) = self.admin_waiting.remove(&id) {
                    // Whoever asked may have left.
                    let _ = reply.send(body);
                }
            }
            Output::Log { level, text } => self.book.line(level, &text),
            Output::Exit { code } => {
                self.exit.get_or_insert((code, now.mono + FAREWELL));
            }
        }
    }

    fn send(&mut self, now: Duration, to: Dest, msg: Message, after: Option<Token>) {
        let conn = match to {
            Dest::Conn(conn) => conn,
            Dest::Peer { via, name, addrs } => {
                let Some(address) = self.address_of(via) else {
                    tracing::error!("no endpoint {via:?} to reach {name} at {addrs}");
                    return;
                };
                let messenger = &mut self.addresses[address].messenger;
                let conn = messenger.peer(now, name, &addrs);
                self.take_actions(address);
                ConnId(conn.0)
            }
        };
        if let Some(msg) = self.held.offer(conn, after, msg) {
            self.send_now(now, conn, msg);
        }
    }

    fn send_now(&mut self, now: Duration, conn: ConnId, msg: Message) {
        let address = (conn.0 % ENDPOINTS) as usize;
        let Some(a) = self.addresses.get_mut(address) else { return };
        let Some(features) = a.messenger.features(ConnKey(conn.0)) else { return };
        if self.book.tells_message(|| comes_often(&msg)) {
            let peer = a.messenger.link_of(ConnKey(conn.0)).map_or_else(|| "a peer".into(), |(_, p)| p.to_string());
            self.book.message(&format!("{:?} --> {peer} {} tid {}", a.endpoint, msg.body.name(), msg.tid));
        }
        a.messenger.send(now, ConnKey(conn.0), to_frame(msg.encode(features)));
        self.take_actions(address);
    }

    fn take_actions(&mut self, address: usize) {
        while let Some(action) = self.addresses[address].messenger.poll_action() {
            match action {
                Action::Dial { link, addr } => self.dial(join(address, link), addr),
                Action::Hangup { link } => {
                    self.sockets.remove(&join(address, link));
                }
            }
        }
    }

    fn address_of(&self, via: Endpoint) -> Option<usize> {
        self.addresses.iter().position(|a| a.endpoint == via)
    }

    fn close(&mut self, conn: ConnId) {
        self.held.forget(conn);
        self.auth_names.remove(&conn);
        let address = (conn.0 % ENDPOINTS) as usize;
        if let Some(a) = self.addresses.get_mut(address) {
            // What was sent before the close still gets its chance.
            if let Some((link, _)) = a.messenger.link_of(ConnKey(conn.0)) {
                self.write(join(address, link));
            }
            self.addresses[address].messenger.close(ConnKey(conn.0));
            self.take_actions(address);
        }
    }

    fn close_peer(&mut self, via: Endpoint, addrs: &EntityAddrVec) {
        let Some(address) = self.address_of(via) else { return };
        if let Some(conn) = self.addresses[address].messenger.find_peer(addrs) {
            self.close(ConnId(conn.0));
        }
    }

    fn auth_reply(&mut self, conn: ConnId, reply: AuthReply) {
        let Some(a) = self.addresses.get_mut((conn.0 % ENDPOINTS) as usize) else { return };
        let verdict = match reply {
            AuthReply::Done { name, entity, global_id, con_mode, payload } => {
                self.auth_names.insert(conn, name);
                let done = AuthDone { global_id, con_mode, payload };
                AuthVerdict::Done { entity, done, outcome: AuthOutcome::default() }
            }
            AuthReply::More { payload } => AuthVerdict::More { payload },
            AuthReply::Bad { errno, allowed_methods, allowed_modes } => {
                AuthVerdict::Bad { result: -errno.abs(), allowed_methods, allowed_modes }
            }
        };
        a.messenger.auth_reply(ConnKey(conn.0), verdict);
    }

    fn read(&mut self, token: Token, coll: os::Coll, oid: types::GHObject, (off, len): (u64, u64), fresh: bool) {
        if !fresh && let Some(result) = self.disk.try_read_now(coll, &oid, off, len) {
            self.inbox.push_back(Input::ReadDone { token, result });
            return;
        }
        let bulk = self.bulk.clone();
        let tell = self.internal_tx.clone();
        tokio::task::spawn_blocking(move || {
            let result = bulk.read(coll, &oid, off, len, fresh);
            let _ = tell.send(Internal::ReadDone(Completion::ReadDone { token, result }));
        });
    }
}

/// Of Linux; elsewhere it is not known.
fn machine_load(unix_secs: i64) -> Option<Load> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut words = text.split(' ').map(|w| w.parse::<f64>().ok());
    let (minute, quarter) = (words.next()??, words.nth(1)??);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Some(Load { minute, quarter, cpus: u32::try_from(cpus).unwrap_or(1), utc_offset: utc_offset(unix_secs) })
}

/// The one timer. Moving tokio's costs a system call when it moves forward, so one that is set too
/// early is left to ring in vain.
#[derive(Default)]
struct Wakeup {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    /// When it rings.
    armed: Option<Duration>,
}

impl Wakeup {
    fn set(&mut self, started: Instant, deadline: Option<Duration>) {
        let Some(at) = deadline.filter(|at| self.armed.is_none_or(|armed| *at < armed)) else { return };
        self.armed = Some(at);
        let when = tokio::time::Instant::from_std(started + at);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(when),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(when))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.armed.is_some()) else { return Poll::Pending };
        let rang = sleep.as_mut().poll(cx);
        if rang.is_ready() {
            self.armed = None;
        }
        rang
    }
}

fn make_addresses(endpoints: Endpoints, config: &RuntimeConfig, ready: &Arc<Ready>) -> anyhow::Result<Vec<Address>> {
    let nonce = endpoints.nonce;
    let mut bound: Vec<_> = endpoints.bound.into_iter().map(|(e, addr, l)| (e, addr, Some(l))).collect();
    if bound.is_empty() {
        bound.push((Endpoint::Public, EntityAddr::default(), None));
    }
    let mut addresses = Vec::new();
    for (index, (endpoint, addr, listener)) in bound.into_iter().enumerate() {
        let (name, id) = match (&config.mgr, endpoint) {
            (Some((name, id)), Endpoint::Mgr) => (*name, id.as_str()),
            _ => (config.name, config.entity_id.as_str()),
        };
        let acceptor = match listener {
            Some(listener) => {
                let listener =
                    tokio::net::TcpListener::from_std(listener).context("cannot watch a listening socket")?;
                Some(Acceptor::new(listener, Alarm::new(ACCEPTORS | index as u64, ready)))
            }
            None => None,
        };
        let mut messenger = Config::new(name, id, Endpoints::addrs(addr), policies(endpoint, name.kind));
        if addr.is_blank() {
            messenger.nonce = nonce;
        }
        // Cookies need to differ from those of our last life, not to be secret.
        messenger.seed = RandomState::new().hash_one((std::process::id(), index));
        messenger.key_start = ENDPOINTS + index as u64;
        messenger.key_step = ENDPOINTS;
        addresses.push(Address { endpoint, messenger: Messenger::new(messenger), acceptor });
    }
    Ok(addresses)
}

fn join(address: usize, link: LinkKey) -> u64 {
    link.0 * ENDPOINTS + address as u64
}

fn split(id: u64) -> (usize, LinkKey) {
    ((id % ENDPOINTS) as usize, LinkKey(id / ENDPOINTS))
}

/// Bytes of object data that a transaction writes.
fn data_len(txn: &Transaction) -> u64 {
    let len = |op: &TxOp| if let TxOp::Write { data, .. } = op { data.len() as u64 } else { 0 };
    txn.ops.iter().map(len).sum()
}

fn link_error(error: &io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkError::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => LinkError::Closed,
        _ => LinkError::Io(error.to_string()),
    }
}

fn to_wire(m: MessageFrame) -> Wire {
    Wire {
        kind: m.kind,
        tid: m.tid,
        priority: m.priority,
        version: m.version,
        compat_version: m.compat_version,
        data_off: m.data_off,
        front: m.front,
        middle: m.middle,
        data: m.data,
    }
}

fn to_frame(w: Wire) -> MessageFrame {
    MessageFrame {
        kind: w.kind,
        tid: w.tid,
        priority: w.priority,
        version: w.version,
        compat_version: w.compat_version,
        data_off: w.data_off,
        front: w.front,
        middle: w.middle,
        data: w.data,
    }
}

/// Pings and beacons are told of only to who wants to see even those.
fn comes_often(msg: &Message) -> bool {
    matches!(msg.body.name(), "MOSDPing" | "MOSDBeacon" | "MMonPeer" | "MMgrBeacon" | "MMgrReport" | "MPGStats")
}

/// An input in a few words.
fn input_text(input: &Input) -> String {
    match input {
        Input::Message { conn, via, msg } => format!("in: {} tid {} on {conn:?} {via:?}", msg.body.name(), msg.tid),
        Input::Admin { command, .. } => format!("in: admin {command}"),
        Input::Committed(token) => format!("in: committed {token:?}"),
        Input::ReadDone { token, .. } => format!("in: read {token:?}"),
        Input::Connected { peer, via, .. } => format!("in: connected {} {via:?}", peer.name),
        Input::Reset { conn } => format!("in: reset {conn:?}"),
        Input::Refused { name, addrs, .. } => format!("in: refused by {name} {addrs}"),
        Input::Wake => "in: the time has come".to_owned(),
        _ => "in: other".to_owned(),
    }
}

/// An output in a few words; none of what tells itself.
fn output_text(output: &Output) -> Option<String> {
    Some(match output {
        Output::Send { to, msg, after } => {
            format!("out: {} tid {} to {to:?} after {after:?}", msg.body.name(), msg.tid)
        }
        Output::Submit { token, txn } => format!("out: submit {token:?}, {} steps", txn.ops.len()),
        Output::Read { token, oid, off, len, .. } => format!("out: read {token:?} {oid} {off}~{len}"),
        Output::Close { conn } => format!("out: close {conn:?}"),
        Output::Exit { code } => format!("out: exit {code}"),
        _ => return None,
    })
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
