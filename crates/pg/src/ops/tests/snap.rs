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

impl Rig {
    /// Trims a snapshot from one clone and applies what comes of it.
    pub(super) fn trim(&mut self, oid: &str, clone: u64, snap: u64) {
        let peer = self.peer();
        let clone = self.object(oid).with_snap(clone);
        let write = super::super::trim_clone(&mut self.env(&peer, &[]), &clone, snap).expect("it can be trimmed");
        self.submit(*write);
    }

    fn object(&self, oid: &str) -> HObject {
        HObject { oid: oid.into(), hash: types::hash::rjenkins(oid.as_bytes()), ..self.msg.hobj.clone() }
    }

    fn snapset(&self, oid: &str) -> types::SnapSet {
        let raw = self.store.attr(Coll::Pg(self.msg.pgid), &self.object(oid).into(), crate::object::SS_ATTR.as_bytes());
        denc::from_bytes(raw.expect("memory").expect("a head")).expect("it decodes")
    }

    /// What the sums should be, counted from the objects: objects, clones, whiteouts and bytes.
    fn counted(&self) -> (i64, i64, i64, i64) {
        let coll = Coll::Pg(self.msg.pgid);
        let (all, _) = self.store.list(coll, &types::GHObject::min(), 1000).expect("memory");
        let mut sums = (0, 0, 0, 0);
        for oid in all.iter().filter(|o| !o.is_pgmeta()) {
            let raw = self.store.attr(coll, oid, crate::object::OI_ATTR.as_bytes()).expect("memory");
            let oi: types::ObjectInfo = denc::from_bytes(raw.expect("an info")).expect("it decodes");
            sums.0 += 1;
            sums.2 += i64::from(oi.is_whiteout());
            if oid.hobj.is_head() {
                sums.3 += oi.size.cast_signed();
                let set = self.snapset(&oid.hobj.oid.to_string());
                let own = set.clones.iter().map(|c| set.clone_bytes(*c).expect("a clone"));
                sums.3 += own.sum::<u64>().cast_signed();
            } else {
                sums.1 += 1;
            }
        }
        sums
    }

    fn sums(&self) -> (i64, i64, i64, i64) {
        let s = &self.stats;
        (s.num_objects, s.num_object_clones, s.num_whiteouts, s.num_bytes)
    }
}

/// Three clones: 2 for the snapshot 2, 4 for 3 and 4, and 5.
fn family() -> Rig {
    let mut r = Rig::new();
    let write = |off, n: usize| OsdOp::extent(op::WRITE, off, n as u64, vec![b'x'; n]);
    assert_eq!(r.run("o", vec![write(0, 100)]), 0);
    r.snaps(2, &[2]);
    assert_eq!(r.run("o", vec![write(0, 10)]), 0);
    r.snaps(4, &[4, 3, 2]);
    assert_eq!(r.run("o", vec![write(10, 10)]), 0);
    r.snaps(5, &[5, 4, 3, 2]);
    assert_eq!(r.run("o", vec![write(20, 100)]), 0);
    assert_eq!(r.sums(), r.counted());
    r
}

#[test]
fn a_clone_stays_until_its_last_snapshot_is_removed() {
    let mut r = family();
    assert_eq!(r.snapset("o").clone_snaps[&4], [4, 3]);
    r.log.clear();
    r.trim("o", 4, 3);
    let kinds: Vec<_> = r.log.iter().map(|e| (e.op, e.soid.snap)).collect();
    assert_eq!(kinds, [(LogOp::Modify, 4), (LogOp::Modify, SNAP_HEAD)]);
    assert_eq!(r.log[0].snaps(), [4]);
    assert_eq!(r.snapset("o").clone_snaps[&4], [4]);
    assert_eq!(r.at(3, |r| r.run("o", vec![read(0, 0)])), -ENOENT);
    assert_eq!(r.at(4, |r| r.size("o")), Ok(100));
    r.log.clear();
    r.trim("o", 4, 4);
    let kinds: Vec<_> = r.log.iter().map(|e| (e.op, e.soid.snap)).collect();
    assert_eq!(kinds, [(LogOp::Delete, 4), (LogOp::Modify, SNAP_HEAD)]);
    assert_eq!(r.snapset("o").clones, [2, 5]);
    assert_eq!(r.sums(), r.counted());
}

#[test]
fn what_a_trimmed_clone_shared_its_older_neighbour_shares_no_further() {
    let mut r = family();
    let overlap = |r: &Rig, clone| r.snapset("o").clone_overlap[&clone].iter().collect::<Vec<_>>();
    assert_eq!((overlap(&r, 2), overlap(&r, 4)), (vec![(10, 90)], vec![(0, 10), (20, 80)]));
    r.trim("o", 4, 4);
    r.trim("o", 4, 3);
    assert_eq!(overlap(&r, 2), [(20, 80)]);
    assert_eq!(r.sums(), r.counted());
    r.trim("o", 5, 5);
    r.trim("o", 2, 2);
    assert_eq!((r.sums(), r.counted()), ((1, 0, 0, 120), (1, 0, 0, 120)));
}

#[test]
fn a_whiteout_goes_with_the_last_clone() {
    let mut r = family();
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), 0);
    assert_eq!((r.sums(), r.sums().2), (r.counted(), 1));
    for (clone, snap) in [(2, 2), (4, 3), (4, 4)] {
        r.trim("o", clone, snap);
    }
    assert_eq!(r.sums(), r.counted());
    r.log.clear();
    r.trim("o", 5, 5);
    let kinds: Vec<_> = r.log.iter().map(|e| (e.op, e.soid.snap)).collect();
    assert_eq!(kinds, [(LogOp::Delete, 5), (LogOp::Delete, SNAP_HEAD)]);
    assert_eq!((r.sums(), r.counted()), ((0, 0, 0, 0), (0, 0, 0, 0)));
    assert_eq!(r.stats.num_objects_dirty, 0);
}

#[test]
fn sums_stay_true_through_rollback_truncate_and_delete() {
    let mut r = family();
    assert_eq!(r.roll_back("o", 2), 0);
    assert_eq!(r.sums(), r.counted());
    r.snaps(6, &[6, 5, 4, 3, 2]);
    assert_eq!(r.run("o", vec![truncate(30)]), 0);
    assert_eq!(r.run("o", vec![OsdOp::extent(op::ZERO, 5, 10, "")]), 0);
    assert_eq!(r.sums(), r.counted());
    assert_eq!(r.roll_back("o", 3), 0);
    assert_eq!(r.run("o", vec![write_full("short")]), 0);
    assert_eq!(r.run("o", vec![plain(op::DELETE)]), 0);
    assert_eq!(r.sums(), r.counted());
    assert_eq!(r.run("o", vec![append("back")]), 0);
    assert_eq!(r.sums(), r.counted());
    for (clone, snap) in [(2, 2), (4, 3), (4, 4), (5, 5), (6, 6)] {
        r.trim("o", clone, snap);
    }
    assert_eq!((r.sums(), r.counted()), ((1, 0, 0, 4), (1, 0, 0, 4)));
}
