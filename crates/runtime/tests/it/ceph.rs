//! Debian's unmodified `ceph` against our listener.

use std::process::{Command, Stdio};

use node::{Endpoint, Input};
use types::EntityName;

use crate::scripted::Start;

#[test]
fn the_ceph_program_completes_the_handshake_and_subscribes() {
    if Command::new("ceph").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: no ceph program here");
        return;
    }
    let mon = Start { nonce: 0, ..Start::new(EntityName::mon(0), Endpoint::Public) }.run(|report| {
        move |input, _| {
            let _ = match input {
                Input::Connected { peer, .. } => report.send(format!("{} {}", peer.entity, peer.global_id)),
                Input::Message { msg, .. } => report.send(msg.body.name().to_owned()),
                _ => Ok(()),
            };
        }
    });
    let mon_host = format!("--mon-host=[v2:{}/0]", mon.sock());
    let args = ["--connect-timeout", "2", "--auth-client-required=none", &mon_host, "-s"];
    let mut ceph = Command::new("ceph");
    ceph.env("CEPH_CONF", "/dev/null").args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut ceph = ceph.spawn().unwrap();
    assert_eq!(mon.next(), "client.admin 4242");
    mon.until("MMonSubscribe");
    // It waits for maps that this node does not send.
    ceph.kill().unwrap();
    ceph.wait().unwrap();
    mon.stop();
}
