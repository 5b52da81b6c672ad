//! Messages, commits and bad peers over TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use node::{Dest, Endpoint, Input, Output, Token};
use os::{Coll, ObjectRead, ReadError, Transaction, TxOp};
use runtime::{BulkRead, Disk, MemDisk, completions};
use types::{EntityAddrVec, EntityName, GHObject};

use crate::scripted::{Running, Start, data_of, message, reply};

fn echo() -> Running {
    Start::new(EntityName::mon(0), Endpoint::Public).run(|report| {
        move |input, out| match input {
            Input::Message { conn, msg, .. } => out.push(reply(conn, msg)),
            Input::Connected { peer, .. } => report.send(format!("connected {}", peer.entity)).unwrap(),
            Input::Reset { .. } => report.send("reset".into()).unwrap(),
            _ => {}
        }
    })
}

fn client_of(server: &Running, sizes: &'static [usize]) -> Running {
    client_at(server.name, server.addrs.clone(), sizes)
}

fn client_at(name: EntityName, addrs: EntityAddrVec, sizes: &'static [usize]) -> Running {
    Start::new(EntityName::osd(5), Endpoint::Public).run(move |report| {
        move |input, out| match input {
            Input::Start => out.extend(sizes.iter().enumerate().map(|(tid, size)| Output::Send {
                to: Dest::Peer { via: Endpoint::Public, name, addrs: addrs.clone() },
                msg: message(tid as u64, pattern(tid, *size)),
                after: None,
            })),
            Input::Message { msg, .. } => {
                let tid = msg.tid as usize;
                assert_eq!(data_of(&msg), pattern(tid, sizes[tid]));
                report.send(format!("reply {tid}")).unwrap();
            }
            Input::Connected { peer, incoming, .. } => {
                report.send(format!("connected to {} {incoming} {}", peer.name, peer.global_id)).unwrap();
            }
            Input::Reset { .. } => report.send("reset".into()).unwrap(),
            Input::Refused { name, .. } => report.send(format!("refused {name}")).unwrap(),
            _ => {}
        }
    })
}

fn pattern(tid: usize, size: usize) -> Bytes {
    (0..size).map(|i| (i * 7 + tid) as u8).collect()
}

#[test]
fn messages_of_all_sizes_come_back_in_order() {
    let server = echo();
    let client = client_of(&server, &[0, 1, 1023, 1024, 4096, 100_000, 4 << 20, 16 << 20, 4097, 0]);
    assert_eq!(client.next(), "connected to mon.0 false 4242");
    for tid in 0..10 {
        assert_eq!(client.next(), format!("reply {tid}"));
    }
    assert_eq!(server.next(), "connected client.admin");
    assert_eq!(client.stop(), 7);
    assert_eq!(server.next(), "reset");
    assert_eq!(server.stop(), 7);
}

#[test]
fn a_peer_that_nobody_listens_for_is_refused() {
    let server = echo();
    let (name, addrs) = (server.name, server.addrs.clone());
    server.stop();
    let client = client_at(name, addrs, &[10]);
    assert_eq!(client.next(), "refused mon.0");
    client.stop();
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let server = echo();
    let client = client_of(&server, &[10; 3]);
    client.until("reply 2");
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 4096],
        b"ceph v2\n\x10\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0garbage garbage garbage garbage garbage",
    ] {
        let mut socket = TcpStream::connect(server.sock()).unwrap();
        socket.write_all(garbage).unwrap();
        // The server hangs up; how the kernel says so depends on what was unread.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let other = client_of(&server, &[20]);
    other.until("reply 0");
    other.stop();
    client.stop();
    server.stop();
}

/// Commits when the test says so.
struct SlowDisk {
    inner: MemDisk,
    submitted: mpsc::Sender<Token>,
}

impl Disk for SlowDisk {
    fn submit(&mut self, token: Token, txn: Transaction) {
        self.inner.submit(token, txn);
        self.submitted.send(token).unwrap();
    }

    fn reader(&self) -> &dyn ObjectRead {
        self.inner.reader()
    }

    fn try_read_now(&self, _: Coll, _: &GHObject, _: u64, _: u64) -> Option<Result<Option<Bytes>, ReadError>> {
        None
    }

    fn bulk_reader(&self) -> Arc<dyn BulkRead> {
        self.inner.bulk_reader()
    }
}

#[test]
fn a_reply_waits_for_its_commit_and_a_read_for_its_thread() {
    let (real, queue) = completions();
    let (submitted, tokens) = mpsc::channel();
    // What the inner disk says about commits goes nowhere.
    let disk = SlowDisk { inner: MemDisk::new(completions().0), submitted };
    let start = Start::new(EntityName::mon(0), Endpoint::Public);
    let server = start.run_on(
        move || (disk, queue),
        |report| {
            let mut waiting = None;
            move |input, out| match input {
                Input::Start => report.send("started".into()).unwrap(),
                Input::Message { conn, msg, .. } => {
                    let token = Token(msg.tid + 100);
                    waiting = Some(conn);
                    // The send first: it waits all the same.
                    out.push(Output::Send { to: Dest::Conn(conn), msg, after: Some(token) });
                    out.push(Output::Submit { token, txn: Transaction::new() });
                }
                Input::Committed(token) => {
                    report.send(format!("committed {}", token.0)).unwrap();
                    out.push(Output::Read {
                        token,
                        coll: Coll::Meta,
                        oid: GHObject::min(),
                        off: 0,
                        len: 10,
                        fresh: false,
                    });
                }
                Input::ReadDone { token, result } => {
                    report.send(format!("read {} {result:?} {}", token.0, waiting.is_some())).unwrap();
                }
                _ => {}
            }
        },
    );
    server.until("started");
    let client = client_of(&server, &[5, 6]);
    assert_eq!((tokens.recv().unwrap(), tokens.recv().unwrap()), (Token(100), Token(101)));
    assert_eq!(client.next(), "connected to mon.0 false 4242");
    assert!(client.seen.try_recv().is_err(), "no reply before the commit");
    real.committed(Token(101));
    assert_eq!((client.next(), client.next()), ("reply 0".into(), "reply 1".into()));
    for wanted in ["committed 100", "committed 101", "read 100 Ok(None) true", "read 101 Ok(None) true"] {
        assert_eq!(server.next(), wanted);
    }
    client.stop();
    server.stop();
}

#[test]
fn a_client_is_not_read_while_the_disk_is_far_behind() {
    let (real, queue) = completions();
    let (submitted, tokens) = mpsc::channel();
    let disk = SlowDisk { inner: MemDisk::new(completions().0), submitted };
    let start = Start::new(EntityName::mon(0), Endpoint::Public);
    let server = start.run_on(
        move || (disk, queue),
        |_| {
            let mut count = 0;
            move |input, out| match input {
                Input::Message { msg, .. } => {
                    count += 1;
                    let mut txn = Transaction::new();
                    let (coll, oid) = (Coll::Meta, GHObject::min());
                    txn.push(TxOp::Write { coll, oid, off: 0, data: data_of(&msg), fadvise: 0 });
                    out.push(Output::Submit { token: Token(count), txn });
                }
                Input::Admin { id, .. } => out.push(Output::AdminReply { id, body: count.to_string() }),
                _ => {}
            }
        },
    );
    let client = client_of(&server, &[256 << 10; 20]);
    // The fifth goes over the limit of 1 MiB; one more may have come with it.
    for token in 1..=5 {
        assert_eq!(tokens.recv().unwrap(), Token(token));
    }
    for _ in 0..100 {
        let count: u64 = server.admin.command_blocking("count".into()).unwrap().parse().unwrap();
        assert!(count <= 6, "{count}");
    }
    real.committed(Token(5));
    for token in 6..=20 {
        assert_eq!(tokens.recv().unwrap(), Token(token));
        real.committed(Token(token));
    }
    client.stop();
    server.stop();
}

#[test]
fn osds_talk_over_one_session_whoever_speaks() {
    let quiet = Start::new(EntityName::osd(1), Endpoint::Cluster).run(|report| {
        move |input, out| match input {
            Input::Connected { peer, incoming, .. } => {
                report.send(format!("connected {} {incoming}", peer.name)).unwrap();
                // Answers by address: the session that the peer has made is found.
                let to = Dest::Peer { via: Endpoint::Cluster, name: peer.name, addrs: peer.addrs };
                out.push(Output::Send { to, msg: message(77, Bytes::new()), after: None });
            }
            Input::Message { msg, .. } => report.send(format!("got {}", msg.tid)).unwrap(),
            _ => {}
        }
    });
    let (name, addrs) = (quiet.name, quiet.addrs.clone());
    let talker = Start::new(EntityName::osd(2), Endpoint::Cluster).run(move |report| {
        move |input, out| match input {
            Input::Start => {
                let to = Dest::Peer { via: Endpoint::Cluster, name, addrs: addrs.clone() };
                out.push(Output::Send { to, msg: message(1, Bytes::new()), after: None });
            }
            Input::Message { msg, .. } => report.send(format!("got {}", msg.tid)).unwrap(),
            _ => {}
        }
    });
    assert_eq!(talker.next(), "got 77");
    assert_eq!(quiet.next(), "connected osd.2 true");
    assert_eq!(quiet.next(), "got 1");
    talker.stop();
    quiet.stop();
}

#[test]
fn the_admin_socket_answers_with_a_length_and_a_body() {
    let path = std::env::temp_dir().join(format!("spirula-admin-{}.asok", std::process::id()));
    let start = Start { admin_socket: Some(path.clone()), ..Start::new(EntityName::osd(1), Endpoint::Public) };
    let node = start.run(|report| {
        move |input, out| match input {
            Input::Start => report.send("started".into()).unwrap(),
            Input::Admin { id, command } => out.push(Output::AdminReply { id, body: format!("you said {command}") }),
            _ => {}
        }
    });
    node.until("started");
    let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
    socket.write_all(b"{\"prefix\":\"x\"}\0").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let body = b"you said {\"prefix\":\"x\"}";
    assert_eq!(answer, [&(body.len() as u32).to_be_bytes()[..], body].concat());
    node.stop();
    assert!(!path.exists(), "removed at the end");
}
