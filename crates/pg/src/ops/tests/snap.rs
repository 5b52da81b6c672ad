//! Snapshots: clones, reads at one, rolling back, whiteouts. From the lab's suite `rados_snap`.

use types::errno::{EINVAL, ENOENT, EOLDSNAPC};
use types::{LogOp, SNAP_DIR, osd_flag};

use super::*;

impl Rig {
    fn snaps(&mut self, seq: u64, snaps: &[u64]) {
        (self.msg.snap_seq, self.msg.snaps) = (seq, snaps.to_vec());
    }

    fn at<T>(&mut self, snap: u64, f: impl FnOnce(&mut Self) -> T) -> T {
        self.msg.hobj.snap = snap;
        let out = f(self);
        self.msg.hobj.snap = SNAP_HEAD;
        out
    }

    fn roll_back(&mut self, oid: &str, snap: u64) -> i32 {
        self.run(oid, vec![OsdOp::new(op::ROLLBACK, OpArgs::Snap { snapid: snap }, "")])
    }
}

#[test]
fn the_first_write_after_a_snapshot_keeps_the_object_as_it_was() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("v1"), xattr(op::SETXATTR, "x", b"1")]), 0);
    r.snaps(5, &[5]);
    assert_eq!(r.run("o", vec![write_full("v2")]), 0);
    assert_eq!(r.run("o", vec![write_full("v3")]), 0);
    let kinds: Vec<LogOp> = r.log.iter().map(|l| l.op).collect();
    assert_eq!(kinds, [LogOp::Modify, LogOp::Clone, LogOp::Modify, LogOp::Modify]);
    assert_eq!(r.log[1].snaps(), [5]);
    r.forget();
    assert_eq!(r.data("o"), "v3");
    assert_eq!(r.at(5, |r| r.data("o")), "v1");
    assert_eq!(r.at(5, |r| r.one("o", xattr(op::GETXATTR, "x", b""))), (0, "1".into()));
    assert_eq!(r.at(4, |r| r.run("o", vec![read(0, 0)])), -ENOENT);
    assert_eq!(r.at(6, |r| r.data("o")), "v3");
    assert_eq!(r.at(5, |r| r.run("o", vec![write_full("no")])), -EINVAL);
    assert_eq!((r.stats.num_objects, r.stats.num_object_clones, r.stats.num_bytes), (2, 1, 4));
}

#[test]
fn a_removed_object_lives_on_in_its_snapshots() {
    let mut r = Rig::new();
    assert_eq!(r.run("o", vec![write_full("v1")]), 0);
    r.snaps(3, &[3]);
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), 0);
    r.forget();
    assert_eq!(r.size("o"), Err(ENOENT));
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), -ENOENT);
    assert_eq!(r.at(3, |r| r.data("o")), "v1");
    assert_eq!(r.stats.num_whiteouts, 1);
    assert_eq!(r.roll_back("o", 3), 0);
    r.forget();
    assert_eq!(r.data("o"), "v1");
    assert_eq!(r.stats.num_whiteouts, 0);
}

#[test]
fn rolling_back_follows_every_snapshot() {
    let mut r = Rig::new();
    for (i, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
        assert_eq!(r.run("o", vec![append(text)]), 0);
        let newest = i as u64 + 1;
        r.snaps(newest, &(1..=newest).rev().collect::<Vec<_>>());
    }
    assert_eq!(r.run("o", vec![write_full("head")]), 0);
    for (snap, text) in [(1, "a"), (2, "ab"), (3, "abc"), (4, "abcd")] {
        assert_eq!(r.at(snap, |r| r.data("o")), text);
    }
    assert_eq!(r.roll_back("o", 3), 0);
    r.forget();
    assert_eq!((r.data("o"), r.size("o")), ("abc".into(), Ok(3)));
    assert_eq!(r.at(4, |r| r.data("o")), "abcd");
}

#[test]
fn clones_are_listed_with_what_they_share() {
    let mut r = Rig::new();
    let full = |b: u8, n: usize| OsdOp::extent(op::WRITEFULL, 0, n as u64, vec![b; n]);
    assert_eq!(r.run("o", vec![full(b'a', 8192)]), 0);
    r.snaps(7, &[7]);
    assert_eq!(r.run("o", vec![OsdOp::extent(op::WRITE, 0, 4096, vec![b'b'; 4096])]), 0);
    let (result, out) = r.at(SNAP_DIR, |r| r.one("o", plain(op::LIST_SNAPS)));
    assert_eq!(result, 0);
    let mut e = Encoder::new(0);
    e.versioned(2, 1, |e| {
        e.u32(2);
        for (clone, snaps, overlap) in [(7, vec![7_u64], vec![(4096_u64, 4096_u64)]), (SNAP_HEAD, vec![], vec![])] {
            e.versioned(1, 1, |e| {
                e.u64(clone);
                e.put(&snaps);
                e.put(&overlap);
                e.u64(8192);
            });
        }
        e.u64(7);
    });
    assert_eq!(out, e.finish());
    assert_eq!(r.stats.num_bytes, 8192 + 4096);
    assert_eq!(r.run("o", vec![plain(op::LIST_SNAPS)]), -EINVAL);
}

#[test]
fn a_writer_with_old_snapshots_is_told_if_it_wants() {
    let mut r = Rig::new();
    r.snaps(9, &[9]);
    assert_eq!(r.run("o", vec![write_full("x")]), 0);
    r.snaps(8, &[8]);
    r.msg.flags = osd_flag::ORDERSNAP;
    assert_eq!(r.run("o", vec![write_full("y")]), -EOLDSNAPC);
    r.snaps(8, &[9]);
    r.msg.flags = 0;
    assert_eq!(r.run("o", vec![write_full("y")]), -EINVAL);
}
