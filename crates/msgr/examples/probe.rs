//! Says hello to a monitor: connects with auth none, asks for the monmap and prints what comes.
//!
//! `cargo run -p msgr --example probe -- 127.0.0.1:3300 [--dump FILE]`: FILE gets all that the
//! monitor sent, in hex.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use msgr::{Action, Config, Event, MessageFrame, Messenger, Policies, Policy};
use types::{EntityAddr, EntityAddrVec, EntityName};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mon: SocketAddr = args.first().ok_or("usage: probe ADDRESS [--dump FILE]")?.parse()?;
    let policies =
        Policies { incoming: Policy::stateless_server(), outgoing: Policy::lossy_client(), by_type: Vec::new() };
    let mut config = Config::new(EntityName::client(-1), "admin", EntityAddrVec::default(), policies);
    config.nonce = std::process::id();
    let mut m = Messenger::new(config);
    let start = Instant::now();
    let conn = m.peer(start.elapsed(), EntityName::mon(0), &EntityAddr::msgr2(mon, 0).into());
    m.send(start.elapsed(), conn, subscribe());

    let Some(Action::Dial { link, addr }) = m.poll_action() else { return Err("no dial".into()) };
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    m.link_up(start.elapsed(), link);
    let mut dump = Vec::new();
    let mut messages = 0;
    loop {
        if let Some(tx) = m.transmit(link) {
            socket.write_all(&tx.take_all())?;
        }
        let mut buf = vec![0; 64 * 1024];
        let n = match socket.read(&mut buf) {
            Ok(0) => return Err("the monitor hung up".into()),
            Ok(n) => n,
            Err(_) if messages > 0 => break,
            Err(error) => return Err(error.into()),
        };
        dump.extend_from_slice(&buf[..n]);
        m.handle_bytes(start.elapsed(), link, &buf[..n]);
        while let Some(event) = m.poll_event() {
            match event {
                Event::Message { message, .. } => {
                    println!("message of type {}, {} bytes", message.kind, message.len());
                    messages += 1;
                }
                other => println!("{other:?}"),
            }
        }
    }
    if let [_, flag, file] = &args[..]
        && flag == "--dump"
    {
        let hex: String = dump.iter().map(|b| format!("{b:02x}")).collect();
        let lines: Vec<&str> = hex.as_bytes().chunks(100).map(|c| std::str::from_utf8(c).expect("hex")).collect();
        std::fs::write(file, lines.join("\n") + "\n")?;
    }
    Ok(())
}

/// `MMonSubscribe` for the monmap and the configuration.
fn subscribe() -> MessageFrame {
    let mut front = BytesMut::new();
    front.put_u32_le(2);
    for what in ["config", "monmap"] {
        front.put_u32_le(what.len() as u32);
        front.put_slice(what.as_bytes());
        front.put_u64_le(0);
        front.put_u8(0);
    }
    front.put_u32_le(5);
    front.put_slice(b"probe");
    MessageFrame { kind: 15, priority: 127, version: 3, compat_version: 1, front: front.freeze(), ..Default::default() }
}
