//! Copies of objects, through the messages that OSDs exchange for them.

use types::errno::{EINVAL, ENOENT, ERANGE};
use types::{ObjectLocator, osd_flag};

use super::*;
use crate::ops::{Copied, Fetch, RemoteCopy};

fn copy_from(source: &str, version: u64) -> OsdOp {
    let args = OpArgs::CopyFrom { snapid: SNAP_HEAD, src_version: version, flags: 0, src_fadvise_flags: 0 };
    OsdOp::new(op::COPY_FROM, args, denc::to_bytes(&(ByteStr::from(source), ObjectLocator::pool(POOL)), 0))
}

impl Rig {
    /// Runs a fetch against this PG, as if it were another.
    fn fetch(&mut self, source: RemoteCopy) -> Copied {
        let mut fetch = Fetch::new(source);
        for _ in 0..100 {
            let hash = types::hash::rjenkins(fetch.source().oid.as_bytes());
            let msg = fetch.request(self.msg.pgid, hash, 10);
            assert!(msg.has_flag(osd_flag::READ));
            let name = fetch.source().oid.to_string_lossy().into_owned();
            let reply = self.reply(&name, msg.ops).expect("an answer");
            if let Some(copied) = fetch.absorb(&reply) {
                return copied;
            }
        }
        panic!("a copy comes to an end");
    }

    fn copy(&mut self, dest: &str, op: OsdOp) -> i32 {
        self.tid += 1;
        let mut msg = MOSDOp { ops: vec![op], ..self.msg.clone() };
        msg.hobj.oid = dest.into();
        msg.hobj.hash = types::hash::rjenkins(dest.as_bytes());
        let source = match self.execute(&msg, &[]) {
            Executed::Blocked(Blocked::Remote(source)) => *source,
            Executed::Write(set) => return self.submit(*set).expect("an answer").result,
            other => panic!("{other:?}"),
        };
        let copied = self.fetch(source);
        let peer = self.peer();
        let mut env = OpEnv { copied: Some(&copied), ..self.env(&peer, &[]) };
        match crate::ops::execute(&mut env, &msg) {
            Executed::Write(set) => self.submit(*set).expect("an answer").result,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_copy_has_everything_of_its_source_and_nothing_else() {
    let mut r = Rig::new();
    let big = OsdOp::extent(op::WRITEFULL, 0, 9 << 10, vec![5; 9 << 10]);
    let omap = encoded(op::OMAPSETVALS, &pairs(&[("k1", "v1"), ("k2", "v2")]));
    let header = OsdOp::new(op::OMAPSETHEADER, OpArgs::default(), Bytes::from("head"));
    let version = r.reply("src", vec![big, xattr(op::SETXATTR, "a", b"1"), omap, header]).expect("done").user_version;
    assert_eq!(r.run("dst", vec![write_full("old"), xattr(op::SETXATTR, "gone", b"1")]), 0);
    r.msg.mtime = UTime { sec: 1_800_000_000, nsec: 0 };
    assert_eq!(r.copy("dst", copy_from("src", version)), 0);
    r.forget();
    assert_eq!(r.size("dst"), Ok(9 << 10));
    assert!(r.data("dst").iter().all(|b| *b == 5));
    let attrs = std::collections::BTreeMap::from([(ByteStr::from("a"), Bytes::from("1"))]);
    assert_eq!(r.one("dst", plain(op::GETXATTRS)).1, denc::to_bytes(&attrs, 0));
    let all = encoded(op::OMAPGETVALSBYKEYS, &vec![ByteStr::from("k1"), "k2".into()]);
    assert_eq!(r.one("dst", all).1, denc::to_bytes(&pairs(&[("k1", "v1"), ("k2", "v2")]), 0));
    assert_eq!(r.one("dst", plain(op::OMAPGETHEADER)).1, "head");
    let stat = r.reply("dst", vec![plain(op::STAT)]).expect("an answer");
    assert_eq!(stat.user_version, version);
    assert_eq!(stat.ops[0].outdata[8..12], 1_700_000_000_u32.to_le_bytes());
}

#[test]
fn a_copy_of_nothing_of_itself_or_of_another_version_fails() {
    let mut r = Rig::new();
    assert_eq!(r.run("src", vec![write_full("x")]), 0);
    assert_eq!(r.run("src", vec![write_full("y")]), 0);
    assert_eq!(r.copy("dst", copy_from("none", 0)), -ENOENT);
    assert_eq!(r.copy("dst", copy_from("src", 1)), -ERANGE);
    assert_eq!(r.copy("src", copy_from("src", 0)), -EINVAL);
    assert_eq!(r.size("dst"), Err(ENOENT));
    assert_eq!(r.copy("dst", copy_from("src", 0)), 0);
    assert_eq!(r.data("dst"), "y");
}
