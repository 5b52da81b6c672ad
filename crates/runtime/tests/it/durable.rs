//! A node on the real store.

use bytes::Bytes;
use node::{Endpoint, Input, Output, Token};
use os::{Coll, Transaction, TxOp};
use runtime::StoreDisk;
use types::{EntityName, GHObject, Uuid};

use crate::scripted::{Running, Start};

/// Reads the object, writes the next value, and reports both.
fn counter(dir: &std::path::Path) -> Running {
    let start = Start::new(EntityName::osd(0), Endpoint::Public);
    let dir = dir.to_owned();
    start.run_on(
        move || StoreDisk::open(&dir, store::Options::default()).expect("the store opens"),
        |report| {
            move |input, out| {
                let (coll, oid) = (Coll::Meta, GHObject::min());
                match input {
                    Input::Start => {
                        out.push(Output::Read { token: Token(1), coll, oid, off: 0, len: 100, fresh: false })
                    }
                    Input::ReadDone { result, .. } => {
                        let old = result.expect("a good disk").unwrap_or_default();
                        report.send(format!("read {:?}", &old[..])).unwrap();
                        let mut txn = Transaction::new();
                        if old.is_empty() {
                            txn.push(TxOp::MkColl { coll, bits: 0 });
                        }
                        let data: Bytes = [&old[..], &[old.len() as u8]].concat().into();
                        txn.push(TxOp::Write { coll, oid, off: 0, data, fadvise: 0 });
                        out.push(Output::Submit { token: Token(2), txn });
                    }
                    Input::Committed(token) => report.send(format!("committed {}", token.0)).unwrap(),
                    Input::StoreFailed { why } => report.send(why).unwrap(),
                    _ => {}
                }
            }
        },
    )
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = std::env::temp_dir().join(format!("spirula-durable-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let geometry = store::Geometry::new(Uuid([7; 16]), 256 << 20);
    store::Store::mkfs(&dir, &geometry, Default::default()).unwrap();
    for wanted in ["read []", "read [0]", "read [0, 1]"] {
        let node = counter(&dir);
        assert_eq!(node.next(), wanted);
        assert_eq!(node.next(), "committed 2");
        assert_eq!(node.stop(), 7);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
