//! A node whose behaviour is a closure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use messages::{Body, Message, Wire};
use node::{AuthReply, ConnId, Endpoint, Input, Node, Now, Output};
use os::ObjectRead;
use runtime::{AdminHandle, CompletionQueue, Disk, Endpoints, Listen, MemDisk, RuntimeConfig, completions, run_node};
use types::{EntityAddrVec, EntityName};

/// What to do with an input.
type Script = Box<dyn FnMut(Input, &mut Vec<Output>) + Send>;

struct Scripted(Script);

impl Node for Scripted {
    fn handle(&mut self, _: Now, _: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        (self.0)(input, out);
    }

    fn next_wakeup(&self) -> Option<Duration> {
        None
    }
}

/// A running node.
pub struct Running {
    pub addrs: EntityAddrVec,
    pub name: EntityName,
    pub admin: AdminHandle,
    /// What the script reported.
    pub seen: mpsc::Receiver<String>,
    thread: Option<JoinHandle<i32>>,
}

impl Running {
    pub fn sock(&self) -> SocketAddr {
        self.addrs.0[0].sock.expect("it listens")
    }

    /// The next report; fails the test if none comes.
    pub fn next(&self) -> String {
        self.seen.recv_timeout(Duration::from_secs(20)).expect("the node reports")
    }

    pub fn until(&self, wanted: &str) {
        while self.next() != wanted {}
    }

    /// Ends it and gives its exit code.
    pub fn stop(mut self) -> i32 {
        let _ = self.admin.command_blocking("stop".into());
        self.thread.take().expect("stopped once").join().expect("the driver does not panic")
    }
}

/// How a node is started.
pub struct Start {
    pub name: EntityName,
    pub endpoint: Endpoint,
    pub nonce: u32,
    pub admin_socket: Option<PathBuf>,
    pub uncommitted_max: u64,
}

impl Start {
    pub fn new(name: EntityName, endpoint: Endpoint) -> Self {
        Self { name, endpoint, nonce: 1, admin_socket: None, uncommitted_max: 1 << 20 }
    }

    /// As [`Self::run_on`], on a disk that remembers nothing.
    pub fn run<S>(self, make: impl FnOnce(mpsc::Sender<String>) -> S) -> Running
    where
        S: FnMut(Input, &mut Vec<Output>) + Send + 'static,
    {
        self.run_on(
            || {
                let (completions, queue) = completions();
                (MemDisk::new(completions), queue)
            },
            make,
        )
    }

    /// `script` gets a function that reports to the test, and each input but those every node answers
    /// alike: authentication, `stop`.
    pub fn run_on<S, D>(
        self,
        make_disk: impl FnOnce() -> (D, CompletionQueue) + Send + 'static,
        make: impl FnOnce(mpsc::Sender<String>) -> S,
    ) -> Running
    where
        S: FnMut(Input, &mut Vec<Output>) + Send + 'static,
        D: Disk + Send + 'static,
    {
        let listen = Listen { endpoint: self.endpoint, addr: "127.0.0.1:0".parse().unwrap(), nonce: self.nonce };
        let endpoints = Endpoints::bind(&[listen]).expect("a free port");
        let addrs = endpoints.addr(self.endpoint).into();
        let (report, seen) = mpsc::channel();
        let (admin, queue) = AdminHandle::new();
        let mut script = make(report);
        let node = Scripted(Box::new(move |input, out| match input {
            Input::Auth { conn, .. } => out.push(Output::AuthReply { conn, reply: let_in() }),
            Input::Admin { id, command } if command == "stop" => {
                out.push(Output::AdminReply { id, body: "stopping".into() });
                out.push(Output::Exit { code: 7 });
            }
            input => script(input, out),
        }));
        let config = RuntimeConfig {
            admin: Some(queue),
            admin_socket: self.admin_socket,
            uncommitted_max: self.uncommitted_max,
            handle_signals: false,
            ..RuntimeConfig::new(self.name, self.name.num.to_string())
        };
        let thread = std::thread::spawn(move || {
            let (disk, queue) = make_disk();
            run_node(node, endpoints, disk, queue, config).expect("the node runs")
        });
        Running { addrs, name: self.name, admin, seen, thread: Some(thread) }
    }
}

fn let_in() -> AuthReply {
    AuthReply::Done {
        name: EntityName::client(-1),
        entity: "client.admin".into(),
        global_id: 4242,
        con_mode: msgr::MODE_CRC,
        payload: Bytes::new(),
    }
}

/// A message of a type that nobody knows.
pub fn message(tid: u64, data: Bytes) -> Message {
    let wire = Wire { kind: 9999, tid, priority: 127, data, ..Default::default() };
    Message { tid, priority: 127, body: Body::Unknown(Box::new(wire)) }
}

pub fn data_of(m: &Message) -> Bytes {
    match &m.body {
        Body::Unknown(wire) => wire.data.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn reply(conn: ConnId, msg: Message) -> Output {
    Output::Send { to: node::Dest::Conn(conn), msg, after: None }
}
