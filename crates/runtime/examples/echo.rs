//! What the event loop costs: a node that sends messages back, and clients that each keep one under
//! way. Prints the server thread's CPU time an operation.
//!
//! `cargo run --release -p runtime --example echo -- [CLIENTS] [SECONDS] [BYTES]`

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use msgr::{Action, Config, Event, MessageFrame, Messenger, Policies, Policy};
use node::{AuthReply, Dest, Endpoint, Input, Node, Now, Output};
use os::ObjectRead;
use runtime::{AdminHandle, Endpoints, Listen, MemDisk, RuntimeConfig, completions, run_node};
use types::{EntityAddrVec, EntityName};

struct Echo;

impl Node for Echo {
    fn handle(&mut self, _: Now, _: &dyn ObjectRead, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Auth { conn, .. } => {
                let reply = AuthReply::Done {
                    name: EntityName::client(-1),
                    entity: "client.admin".into(),
                    global_id: 1,
                    con_mode: msgr::MODE_CRC,
                    payload: Bytes::new(),
                };
                out.push(Output::AuthReply { conn, reply });
            }
            Input::Message { conn, msg, .. } => out.push(Output::Send { to: Dest::Conn(conn), msg, after: None }),
            Input::Admin { .. } => out.push(Output::Exit { code: 0 }),
            _ => {}
        }
    }

    fn next_wakeup(&self) -> Option<Duration> {
        None
    }
}

fn client(addrs: &EntityAddrVec, nonce: u32, bytes: usize, stop: &AtomicBool, ops: &AtomicU64) {
    let policies =
        Policies { incoming: Policy::stateless_server(), outgoing: Policy::lossy_client(), by_type: Vec::new() };
    let mut config = Config::new(EntityName::client(-1), "admin", EntityAddrVec::default(), policies);
    config.nonce = nonce;
    let mut m = Messenger::new(config);
    let conn = m.peer(Duration::ZERO, EntityName::mon(0), addrs);
    let op = MessageFrame {
        kind: 9999,
        front: Bytes::from(vec![1; 256]),
        data: vec![7; bytes].into(),
        ..Default::default()
    };
    m.send(Duration::ZERO, conn, op.clone());
    let Some(Action::Dial { link, addr }) = m.poll_action() else { return };
    let mut socket = TcpStream::connect(addr).expect("the server listens");
    socket.set_nodelay(true).expect("a TCP socket");
    m.link_up(Duration::ZERO, link);
    let mut buf = vec![0; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        if let Some(tx) = m.transmit(link) {
            socket.write_all(&tx.take_all()).expect("the server reads");
        }
        let n = socket.read(&mut buf).expect("the server answers");
        m.handle_bytes(Duration::ZERO, link, &buf[..n]);
        while let Some(event) = m.poll_event() {
            if let Event::Message { .. } = event {
                ops.fetch_add(1, Ordering::Relaxed);
                m.send(Duration::ZERO, conn, op.clone());
            }
        }
    }
}

/// User and system time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<u64>().expect("a number"));
    let (clients, seconds) = (args.next().unwrap_or(16), args.next().unwrap_or(3));
    let bytes = args.next().unwrap_or(4096) as usize;
    let addr: SocketAddr = "127.0.0.1:0".parse()?;
    let endpoints = Endpoints::bind(&[Listen { endpoint: Endpoint::Public, addr, nonce: 0 }])?;
    let addrs: EntityAddrVec = endpoints.addr(Endpoint::Public).into();
    let (admin, queue) = AdminHandle::new();
    let (stop, ops) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for nonce in 0..clients {
        let (addrs, stop, ops) = (addrs.clone(), stop.clone(), ops.clone());
        std::thread::spawn(move || client(&addrs, nonce as u32, bytes, &stop, &ops));
    }
    let (timer_stop, timer_ops) = (stop.clone(), ops.clone());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        timer_stop.store(true, Ordering::Relaxed);
        println!("{} operations", timer_ops.load(Ordering::Relaxed));
        admin.command_blocking("stop".into());
    });
    let (done, completed) = completions();
    let config = RuntimeConfig { admin: Some(queue), ..RuntimeConfig::new(EntityName::mon(0), "a") };
    let (start, before) = (Instant::now(), cpu());
    run_node(Echo, endpoints, MemDisk::new(done), completed, config)?;
    let n = ops.load(Ordering::Relaxed).max(1);
    let spent = cpu() - before;
    let rate = n as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} operations a second, {:.1} µs of the server's CPU each", spent.as_micros() as f64 / n as f64);
    Ok(())
}
